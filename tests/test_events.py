"""Readers of click files, each on a small invented file of exactly its layout; sessions; the command."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical

from ecomlib.events import (
    FORMATS,
    SessionKNN,
    advice,
    choose_knn,
    guess_format,
    hold_out,
    invent_clicks,
    main,
    prepare_sessions,
    rank_next,
    read_events,
    running,
    write_clicks,
)
from ecomlib.recommend import TEST, TRAIN
from ecomlib.shop import BadValue, MissingColumn, TooShort

FILES = {
    "retailrocket": (
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,view,355908,\n"
        "1433221400000,257597,addtocart,355908,\n"
        "1433224214164,257597,view,248676,\n"
        "1433221999827,111016,view,318965,\n"
    ),
    "yoochoose": (
        "1,2014-04-07T10:51:09.277Z,214536502,0\n"
        "1,2014-04-07T10:54:09.868Z,214536500,0\n"
        "2,2014-04-07T13:56:37.614Z,214662742,S\n"
    ),
    "diginetica": (
        "sessionId;userId;itemId;timeframe;eventdate\n"
        "1;;31331;1031018;2016-05-09\n"  # a file does not keep the order inside a session: timeframe does
        "1;;81766;526309;2016-05-09\n"
        "2;12;32118;243569;2016-05-10\n"
    ),
    "course": (
        "session_id,timestamp,product_id,event\n"
        "a,2024-05-01T09:30:00,tea,view\n"
        "a,2024-05-01T09:31:00,cup,view\n"
        "b,2024-05-02T10:00:00,tea,view\n"
    ),
}


@pytest.fixture(scope="module")
def task():
    return prepare_sessions(invent_clicks(600, 80))


@pytest.mark.parametrize("format", FORMATS)
def test_each_layout_is_read(format, tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text(FILES[format])
    events = read_events(path)
    assert guess_format(path) == format
    assert len(events) == 3
    assert events["timestamp"].is_monotonic_increasing or format == "retailrocket"
    assert events["timestamp"].dt.tz is None


def test_values_are_the_files(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text(FILES["diginetica"])
    events = read_events(path)
    assert events["item"].tolist() == [81766, 31331, 32118]
    assert events["timestamp"].iloc[0] == pd.Timestamp("2016-05-09 00:08:46.309")
    path.write_text(FILES["yoochoose"])
    assert read_events(path)["timestamp"].iloc[0] == pd.Timestamp("2014-04-07 10:51:09.277")
    path.write_text(FILES["retailrocket"])
    events = read_events(path)  # the visit of 257597 is cut: 48 idle minutes; addtocart is no view
    assert events["session"].nunique() == 3
    assert events.loc[events["item"] == 355908, "timestamp"].iloc[0] == pd.Timestamp(
        "2015-06-02 05:02:12.117"
    )


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_is_read_back(format, tmp_path):
    clicks = invent_clicks(50, 40)
    write_clicks(clicks, tmp_path / "clicks.csv", format)
    back = read_events(tmp_path / "clicks.csv", format)
    np.testing.assert_array_equal(back["item"], clicks["item"])


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("sessionId;userId;timeframe;eventdate\n1;NA;5;2016-05-09\n", MissingColumn, "'itemId' is missing"),
        ("sessionId;userId;itemId;timeframe;eventdate\n1;NA;5;x;2016-05-09\n", BadValue, "'x' in line 2"),
        ("sessionId;userId;itemId;timeframe;eventdate\n1;NA;5;5;May\n", BadValue, "'May'.*no date"),
        ("timestamp,visitorid,event,itemid,transactionid\n5,1,buy,3,\n", TooShort, "no event of kind view"),
        ("timestamp,product_id\n2024-05-01,tea\n", MissingColumn, "session_id"),
        ("one two three\n", BadValue, "fits no known layout"),
        ("", BadValue, "fits no known layout"),
    ],
)
def test_bad_files_are_named(text, error, words, tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text(text)
    with pytest.raises(error, match=words):
        read_events(path)


def test_sessions_are_clean(task):
    item = task.bags.indices
    same = task.who[1:] == task.who[:-1]
    assert (item[1:][same] != item[:-1][same]).all()
    assert np.bincount(task.who).min() >= 2
    assert task.items["count"].min() >= 5
    end = pd.Series(task.day).groupby(task.who).max()
    tested = pd.Series(task.part == TEST).groupby(task.who).all()
    assert end[tested].min() > end[~tested].max() >= task.day.max() - 7 - 1


def test_too_few_days_are_named():
    clicks = invent_clicks(50, 40, days=3)
    with pytest.raises(TooShort, match="fewer --test-days"):
        prepare_sessions(clicks)


def test_running_session_is_only_the_past(task):
    row = task.targets("test")[5]
    weights = running(task, np.array([row]), 0.5).toarray()[0]
    expected = np.zeros(task.n_items)
    for back, step in enumerate(range(row - 1, task.start[row] - 1, -1)):
        expected[task.bags.indices[step]] += 0.5**back
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_session_knn_equals_a_loop(task):
    model = SessionKNN(k=10_000, fade=0.8, recent=10_000).fit(task)
    row = task.targets("test")[3]
    now = running(task, np.array([row]), 0.8).toarray()[0]
    expected = np.zeros(task.n_items)
    for session in np.unique(task.who[task.part == TRAIN]):
        held = np.unique(task.bags.indices[task.who == session])
        expected[held] += now[held].sum() / np.sqrt(len(held))
    np.testing.assert_allclose(model.scores(np.array([row]))[0], expected, rtol=1e-4)


def test_neighbours_find_the_planted_structure(task):
    rows = task.targets("test")
    found = (rank_next(choose_knn(task), task, rows) <= 20).mean()
    assert found > 1.5 * 20 / task.n_items


def test_ties_are_drawn(task):
    class Flat:
        def scores(self, rows):
            return np.zeros((len(rows), task.n_items), np.float32)

    place = rank_next(Flat(), task, task.targets("test"))
    assert place.mean() == pytest.approx(task.n_items / 2, rel=0.15)


def change_test_days(clicks, days=7):
    """The same clicks with other items, new ones among them, in the sessions of the test days."""
    rng = np.random.default_rng(5)
    end = clicks.groupby("session")["timestamp"].transform("max")
    later = (end > clicks["timestamp"].max() - pd.Timedelta(days=days)).to_numpy()
    item = clicks["item"].to_numpy(copy=True)
    item[later] = rng.integers(1, 200, later.sum())
    return clicks.assign(item=item)


def fitted(task):
    """All that is learnt, from counts to the network's weights."""
    import keras

    from ecomlib.events_lstm import NextClick

    keras.utils.set_random_seed(0)
    lstm, knn = NextClick(task, units=8, size=8, n_sampled=20), SessionKNN().fit(task)
    lstm.train(hold_out(task).targets("train"), 1, 256, say=lambda text: None)
    rows = task.targets("train")[:50]
    return {
        "items": {c: task.items[c].to_numpy() for c in ("item", "count")},
        "clicks": task.bags.indices[task.part == TRAIN],
        "knn": knn.scores(rows),
        "weights": lstm.get_weights(),
    }


def test_nothing_is_fitted_on_test_days():
    clicks = invent_clicks(600, 80)
    task, other = prepare_sessions(clicks), prepare_sessions(change_test_days(clicks))
    assert (other.bags.indices[other.part == TEST][:50] != task.bags.indices[task.part == TEST][:50]).any()
    assert_identical(fitted(task), fitted(other))


def test_a_planted_leak_is_caught():
    def leaky(clicks):
        task = prepare_sessions(clicks)
        count = np.asarray(task.bags.sum(axis=0)).ravel().astype(int)  # test days counted as well
        return replace(task, items=task.items.assign(count=count))

    clicks = invent_clicks(600, 80)
    with pytest.raises(AssertionError, match="items/count"):
        assert_identical(fitted(leaky(clicks)), fitted(leaky(change_test_days(clicks))))


def test_lstm_scores_do_not_depend_on_padding_or_on_what_follows(task):
    from ecomlib.events_lstm import NextClick

    model = NextClick(task, units=8, size=8)
    rows = task.targets("test")[:40]
    alone = np.concatenate([model.scores(rows[i : i + 1]) for i in range(len(rows))])
    np.testing.assert_allclose(model.scores(rows), alone, rtol=1e-4, atol=1e-5)


def test_pairs_are_the_sessions_own_items():
    from ecomlib.events_lstm import NextClick

    real = np.array([[True, True], [True, False]])
    column = np.array([[4, 7, 4], [1, 3, 0]])  # a session of three clicks, and one of two
    pair, times = NextClick.pairs(real, column, 10)
    assert pair.tolist() == [[0, 4], [0, 7], [1, 4], [1, 7], [2, 1], [2, 3]]
    np.testing.assert_allclose(np.expm1(times) / 20, [1, 0, 1, 1, 1, 0], rtol=1e-5)


def test_advice_prefers_the_simplest():
    table = pd.DataFrame(
        {"model": ["plain", "big"], "metric": "recall@20", "value": [0.49, 0.5], "low": [0.48, 0.49]}
    )
    assert advice(table).startswith("Use plain")
    assert advice(table.assign(value=[0.4, 0.5])).startswith("Use big")


def test_the_command_trains_and_scores(tmp_path, capsys):
    write_clicks(invent_clicks(300, 40), tmp_path / "clicks.csv", "diginetica")
    out = tmp_path / "table.csv"
    assert main(["train", str(tmp_path / "clicks.csv"), "--epochs", "1", "--out", str(out)]) == 0
    table = pd.read_csv(out)
    assert set(table["model"]) == {"popularity", "Markov chain", "session-kNN", "LSTM", "LSTM + session-kNN"}
    assert "recall@20" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert main(["train", str(tmp_path / "none.csv")]) == 1
    assert "there is no such file" in capsys.readouterr().err
