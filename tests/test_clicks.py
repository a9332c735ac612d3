"""Click files, sessions, ranked lists, neighbours, the network, the mix, and the command."""

import gzip
import json
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical

from ecomlib import Split, clicks, open_clicks
from ecomlib.clicks.baselines import running
from ecomlib.clicks.task import ClickModel, places
from ecomlib.lessons.invented_clicks import invent_clicks
from ecomlib.own.clicks_reader import cut_sessions
from ecomlib.shop.errors import BadValue, MissingColumn, ShopError, TooShort, UnreadableFile, WrongType

WEEKS = Split.last(test="7D", valid="7D")
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
    "diginetica, underscores": (
        "session_id;user_id;item_id;timeframe;eventdate\n"
        "1;;31331;526309;2016-05-09\n1;;81766;1031018;2016-05-09\n2;12;32118;243569;2016-05-10\n"
    ),
    "session_rec": (
        "SessionId\tItemId\tTime\n1\t2145\t1396861869.277\n1\t2146\t1396862049.868\n2\t2147\t1396872997.614\n"
    ),
    "rees46": (
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
        "2019-10-01 00:00:00 UTC,view,44600062,21,,shiseido,35.79,541312140,72d76fde\n"
        "2019-10-01 00:00:01 UTC,cart,44600062,21,,,33.20,541312140,72d76fde\n"
        "2019-10-01 00:00:01 UTC,view,17200506,20,,,543.10,519107250,566511c2\n"
        "2019-10-01 00:00:04 UTC,view,3900821,20,,aqua,33.20,554748717,9333dfbd\n"
    ),
    "ga4": "".join(
        json.dumps(
            {
                "event_timestamp": str(moment),
                "event_name": name,
                "event_params": [
                    {"key": "page", "value": {"string_value": "x"}},
                    {"key": "ga_session_id", "value": {"int_value": "77"}},
                ],
                "user_pseudo_id": who,
                "items": [{"item_id": item, "price": "3.5"}],
            }
        )
        + "\n"
        for moment, name, who, item in (
            (1612069510766593, "view_item", "10111055.8", "9195"),
            (1612069511766593, "add_to_cart", "10111055.8", "9195"),
            (1612069512766593, "view_item", "10111055.8", "9196"),
            (1612069513766593, "view_item", "4", "9195"),
        )
    ),
    "ga4, flat": (
        "event_name,event_timestamp,user_pseudo_id,ga_session_id,item_id\n"
        "view_item,1612069510766593,8,77,05\nview_item,1612069512766593,8,77,5\nview_item,1612069513766593,9,77,5\n"
    ),
    "usual names": "user,item,time\n7,tea,2024-05-01 09:30\n7,cup,2024-05-01 09:31\n8,tea,2024-05-01 09:30\n",
}


@pytest.fixture(scope="module")
def task():
    return clicks.task(invent_clicks(600, 80), WEEKS)


@pytest.fixture
def written(tmp_path):
    def write(content, name="clicks.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def session_task(*sessions):
    """A task of sessions given as lists of item numbers: one per day, the last two valid and test."""
    rows = [
        (number, pd.Timestamp("2024-05-01") + pd.Timedelta(days=number, minutes=step), item)
        for number, items in enumerate(sessions)
        for step, item in enumerate(items)
    ]
    events = pd.DataFrame(rows, columns=["session", "timestamp", "item"])
    return clicks.task(events, Split.last(test="1D", valid="1D"), min_count=1)


class Fixed(ClickModel):
    """A model that gives the same scores whatever it is asked."""

    name = "fixed"

    def __init__(self, scores):
        self.row = np.array(scores, np.float32)

    def _learn(self, task, part):
        pass

    def _score(self, task, rows):
        return np.tile(self.row, (len(rows), 1))


# ------------------------------------------------------------------------------------------ reading files


@pytest.mark.parametrize("format", FILES)
def test_each_layout_is_read(format, written, capsys):
    events = open_clicks(written(FILES[format]))
    assert events.columns.tolist() == ["session", "timestamp", "item"]
    assert len(events) == 3
    assert events.attrs["left_out"] == {}
    assert events["timestamp"].dt.tz is None
    assert events["session"].nunique() == (3 if format in ("rees46", "retailrocket") else 2)
    assert ("guess" in capsys.readouterr().out) == (format == "usual names")


@pytest.mark.parametrize("word", ["event", "event_type", "event_name"])
def test_the_kind_of_event_has_three_names(word, written):
    text = f"session_id,timestamp,product_id,{word}\n1,2024-05-01,5,view\n1,2024-05-02,6,purchase\n"
    assert open_clicks(written(text))["item"].tolist() == ["5"]


def test_a_packed_file_other_text_and_a_named_column_are_read(written):
    text = FILES["course"].replace("tea", "thé")
    expected = open_clicks(written(text))
    assert expected["item"].tolist() == ["thé", "cup", "thé"]
    packed = (gzip.compress(text.encode()), text.encode("utf-16"), text.encode("cp1252"))
    named = text.replace("product_id", "what")
    for content, columns in (*((c, None) for c in packed), (named.encode(), {"item": "what"})):
        found = open_clicks(written(content), columns)
        assert found.equals(expected)


def test_a_click_far_from_the_rest_is_left_out(written):
    rows = [f"{n},2024-05-{1 + n % 28:02d},tea,view\n" for n in range(30)]
    text = "session_id,timestamp,product_id,event\n" + "".join(rows) + "x,2039-01-01,tea,view\n"
    events = open_clicks(written(text))
    assert events.attrs["left_out"] == {"dated far from the rest": 1}
    assert len(events) == 30


def test_values_are_the_files(written):
    events = open_clicks(written(FILES["diginetica"]))
    assert events["item"].tolist() == ["31331", "81766", "32118"]
    assert events["timestamp"].iloc[1] == pd.Timestamp("2016-05-09 00:08:46.309")
    events = open_clicks(written(FILES["yoochoose"]))
    assert events["timestamp"].iloc[0] == pd.Timestamp("2014-04-07 10:51:09.277")
    events = open_clicks(written(FILES["retailrocket"]))
    # The visit of 257597 is cut (47 idle minutes), and addtocart is no view.
    assert events["session"].nunique() == 3
    first = events.loc[events["item"] == "355908", "timestamp"]
    assert first.tolist() == [pd.Timestamp("2015-06-02 05:02:12.117")]


def test_ids_stay_as_they_are_written(written):
    text = "session_id,timestamp,product_id\n1,2024-05-01,05\n1,2024-05-01,5\n"
    assert open_clicks(written(text))["item"].tolist() == ["05", "5"]


def test_a_session_ends_after_30_idle_minutes():
    minutes = [0, 30, 60, 91, 91]  # 30 minutes do not cut, 31 do
    events = pd.DataFrame({"visitor": [7, 7, 7, 7, 8], "item": range(5)})
    events["timestamp"] = pd.Timestamp("2024-05-01") + pd.to_timedelta(minutes, unit="min")
    assert cut_sessions(events)["session"].tolist() == [1, 1, 1, 2, 3]


@pytest.mark.parametrize("empty", ["", "NA", "null", "None"])
def test_clicks_without_a_product_are_left_out_and_counted(empty, written):
    for format, item in (("course", "cup"), ("diginetica", "81766"), ("retailrocket", "248676")):
        events = open_clicks(written(FILES[format].replace(item, empty)))
        assert len(events) == 2
        assert events.attrs["left_out"] == {"without a product": 1}
        assert not events.isna().any(axis=None)


def test_clicks_without_a_session_or_visitor_are_left_out_and_counted(written):
    events = open_clicks(written(FILES["course"].replace("b,2024", ",2024")))
    assert events["session"].tolist() == ["a", "a"]
    assert events.attrs["left_out"] == {"without a session": 1}
    guests = "customer_id,timestamp,product_id\n7,2024-05-01,tea\n,2024-05-01,tea\n,2024-05-01,cup\n"
    events = open_clicks(written(guests))
    assert len(events) == 1
    assert events.attrs["left_out"] == {"without a visitor": 2}
    with pytest.raises(TooShort, match="every click lacks its product or its visitor"):
        open_clicks(written(guests.replace("7,", ",")))


HEAD = "sessionId;userId;itemId;timeframe;eventdate\n"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("sessionId;userId;timeframe;eventdate\n1;NA;5;2016-05-09\n", MissingColumn, "hold the item"),
        (HEAD + "1;NA;5;x;2016-05-09\n", WrongType, "'x' in line 2, which is no number"),
        (HEAD + "1;NA;5;5;2016-05-09\n1;NA;5;5;May\n", WrongType, "'May' in line 3, which is no date"),
        ("timestamp,visitorid,event,itemid,transactionid\n1433221332117,1,buy,3,\n", TooShort, "kind view"),
        ("timestamp,product_id\n2024-05-01,tea\n", MissingColumn, "hold the session"),
        ("one two three\n", UnreadableFile, "one cell only"),
        ("", UnreadableFile, "the file is empty"),
    ],
)
def test_bad_files_are_named_in_one_sentence(text, error, words, written):
    with pytest.raises(error, match=words) as caught:
        open_clicks(written(text))
    assert "\n" not in str(caught.value)


def test_a_click_without_a_moment_is_left_out(written):
    events = open_clicks(written(HEAD + "1;NA;5;5;\n1;NA;5;5;2016-05-09\n"))
    assert events.attrs["left_out"] == {"without a moment": 1}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnreadableFile, match="there is no such file"):
        open_clicks(tmp_path / "none.csv")


# ----------------------------------------------------------------------------------------------- sessions


def test_sessions_are_clean(task):
    item = task.baskets.indices
    same = task.who[1:] == task.who[:-1]
    assert (item[1:][same] != item[:-1][same]).all()
    assert np.bincount(task.who).min() >= 2
    assert task.items["count"].min() >= 5


def test_parts_follow_each_other_by_the_end_of_a_session():
    events = invent_clicks(600, 80)
    task = clicks.task(events, WEEKS)
    end = pd.Series(task.day).groupby(task.who).max()
    part = pd.Series(task.part).groupby(task.who).agg(["min", "max"])
    assert (part["min"] == part["max"]).all()
    last = np.floor(task.day.max())
    expected = np.select([end < last - 13, end < last - 6], [1, 2], 3)
    assert (part["min"].to_numpy() == expected).all()
    week_before = str(events["timestamp"].max().date() - pd.Timedelta(days=7))
    ended = Split.last(test="7D", valid="7D", end=week_before)
    assert len(clicks.task(events, ended).names) < len(task.names)


def test_cleaning_by_hand():
    # 1 1 counts once; 5 5 is one click, so the session goes and with it item 5; training never saw 9.
    task = session_task([1, 1, 2, 3], [3, 2, 1], [1, 2], [5, 5], [2, 9, 3], [9, 3, 2])
    assert task.items["item"].tolist() == [1, 2, 3]
    assert task.items["count"].tolist() == [3, 3, 2]
    kept = [task.baskets.indices[task.who == s].tolist() for s in range(len(task.names))]
    assert kept == [[0, 1, 2], [2, 1, 0], [0, 1], [1, 2], [2, 1]]
    assert task.names.tolist() == [0, 1, 2, 4, 5]
    assert task.cutoffs("train").tolist() == [0, 1, 3, 4, 6]
    assert (task.cutoffs("valid").tolist(), task.cutoffs("test").tolist()) == ([8], [10])


def test_only_the_last_clicks_of_long_sessions_are_kept():
    events = invent_clicks(300, 40)
    long, short = (clicks.task(events, WEEKS, max_length=n, min_count=1) for n in (50, 3))
    assert np.bincount(short.who).max() == 3
    for s in range(5):
        long_items, short_items = (
            t.items["item"].to_numpy()[t.baskets.indices[t.who == s]] for t in (long, short)
        )
        assert short_items.tolist() == long_items[-3:].tolist()


def test_what_cannot_be_used_is_named():
    with pytest.raises(TooShort, match="in 2.9 days none is left in the train part"):
        clicks.task(invent_clicks(50, 40, days=3), WEEKS)
    events = invent_clicks(50, 40)
    with pytest.raises(BadValue, match="1 clicks lack"):
        clicks.task(events.assign(item=events["item"].where(events.index != 5)), WEEKS)
    with pytest.raises(TooShort, match="lower min_count"):
        clicks.task(events, WEEKS, min_count=10_000)


def test_until_test_joins_validation_to_training(task):
    known = clicks.until_test(task)
    assert len(known.cutoffs("train")) == len(task.cutoffs("train")) + len(task.cutoffs("valid"))
    assert known.items["count"].sum() == (task.part <= 2).sum()
    np.testing.assert_array_equal(known.cutoffs("test"), task.cutoffs("test"))


# ------------------------------------------------------------------------------------- lists and metrics


def test_lists_are_best_first_without_the_item_just_seen():
    task = session_task([0, 1, 2, 3], [3, 2], [0, 1])
    lists = Fixed([0.4, 0.3, 0.2, 0.1]).fit(task).predict(task, np.array([0, 1]), k=3)
    assert lists.tolist() == [[1, 2, 3], [0, 2, 3]]


def test_ties_are_drawn(task):
    cutoffs = task.cutoffs("test")
    lists = Fixed(np.zeros(task.n_items)).fit(task).predict(task, cutoffs)
    assert np.isfinite(places(task, lists, cutoffs)).mean() == pytest.approx(20 / task.n_items, rel=0.4)
    assert (lists != task.baskets.indices[cutoffs][:, None]).all()
    assert not (np.diff(lists[0]) > 0).all()  # not in the order of the catalogue


def test_scores_that_are_no_numbers_are_refused(task):
    model = Fixed(np.full(task.n_items, np.nan)).fit(task)
    with pytest.raises(BadValue, match="fixed: some scores are NaN"):
        model.predict(task, task.cutoffs("test"))


def test_recall_and_mrr_by_hand():
    # The test session clicks 0 1 2 3: after 0, 1 and 2 the right items are 1, 2 and 3.
    task = session_task(list(range(30)), [0, 1], [0, 1, 2, 3])
    lists = np.tile(np.arange(4, 24), (3, 1))
    lists[0, 0], lists[1, 3] = 1, 2  # first place, fourth place, not in the list
    assert places(task, lists, task.cutoffs("test")).tolist() == [1, 4, np.inf]
    draws = clicks.draws(task, lists, n=5)
    np.testing.assert_allclose(draws["recall@20"], np.full(6, 2 / 3), rtol=1e-6)  # one session: no spread
    np.testing.assert_allclose(draws["MRR@20"], np.full(6, (1 + 1 / 4) / 3), rtol=1e-6)


def test_only_the_first_20_places_count():
    task = session_task(list(range(40)), [0, 1], [0, 1, 2])
    lists = np.tile(np.arange(10, 35), (2, 1))
    lists[0, 19], lists[1, 20] = 1, 2
    found = clicks.draws(task, lists, n=1)
    assert (found["recall@20"][0], found["MRR@20"][0]) == (pytest.approx(1 / 2), pytest.approx(1 / 40))


def test_the_part_and_the_seed_are_said(task):
    lists = {
        part: clicks.Popularity().fit(task).predict(task, task.cutoffs(part)) for part in ("valid", "test")
    }
    right = {part: task.baskets.indices[task.targets(part)] for part in lists}
    for part, found in lists.items():
        expected = (found == right[part][:, None]).any(axis=1).mean()
        assert clicks.draws(task, found, part, n=1)["recall@20"][0] == pytest.approx(expected, rel=1e-5)
        value = clicks.evaluate(task, {"m": found}, part, n=1)["value"]
        assert value[0] == pytest.approx(expected, rel=1e-5)
    default, again = clicks.draws(task, lists["test"]), clicks.draws(task, lists["test"], "test", 1000, 0)
    np.testing.assert_array_equal(default["MRR@20"], again["MRR@20"])
    other = clicks.draws(task, lists["test"], seed=1)
    assert (other["MRR@20"][1:] != default["MRR@20"][1:]).any()
    tables = [clicks.evaluate(task, {"m": lists["test"]}, seed=seed) for seed in (0, 0, 1)]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])
    assert tables[0].equals(clicks.evaluate(task, {"m": lists["test"]}))


def test_intervals_draw_whole_sessions(monkeypatch):
    events = pd.concat(
        [
            pd.DataFrame({"session": 0, "timestamp": pd.Timestamp("2024-05-01"), "item": range(30)}),
            pd.DataFrame({"session": 1, "timestamp": pd.Timestamp("2024-05-02"), "item": range(30)}),
            pd.DataFrame({"session": 2, "timestamp": pd.Timestamp("2024-05-03"), "item": range(10)}),
            pd.DataFrame({"session": 3, "timestamp": pd.Timestamp("2024-05-03"), "item": range(4)}),
        ]
    )
    task = clicks.task(events, Split.last(test="1D", valid="1D"), min_count=1)
    right = task.baskets.indices[task.cutoffs("test") + 1]
    lists = np.tile(np.arange(28, 8, -1), (12, 1))
    lists[:9, 0] = right[:9]  # all of session 2 right, all of session 3 wrong
    found = clicks.draws(task, lists, n=400)["recall@20"]
    assert found[0] == pytest.approx(9 / 12)
    assert set(np.unique(found.round(6))) == {0.0, 0.75, 1.0}  # a drawn pair holds both, or one of them twice
    monkeypatch.setattr(sys.modules["ecomlib.clicks.evaluate"], "DRAWN", 2 * 150)  # blocks of 150 draws
    blocks = clicks.draws(task, lists, n=400)["recall@20"]
    assert blocks.shape == (401,)
    assert blocks[0] == found[0]
    assert len(np.unique(blocks[1:].reshape(8, 50), axis=0)) == 8  # no block repeats another


def test_table_and_advice(task):
    cutoffs = task.cutoffs("test")
    right = task.baskets.indices[cutoffs + 1]
    perfect = np.tile(np.arange(20), (len(cutoffs), 1))
    perfect[:, 0] = right
    poor = np.where(np.arange(20) == 0, task.baskets.indices[cutoffs][:, None], 0)
    table = clicks.evaluate(task, {"plain": poor, "good": perfect, "big": perfect}, n=50)
    assert list(table.columns) == ["model", "metric", "value", "low", "high"]
    assert table.set_index(["model", "metric"]).loc[("good", "MRR@20"), "value"] == 1
    assert clicks.advice(table).startswith("Use good")


# --------------------------------------------------------------------------------------------- neighbours


def test_running_session_is_only_the_past(task):
    row = int(task.cutoffs("test")[5]) + 1
    weights = running(task, np.array([row]), 0.5).toarray()[0]
    expected = np.zeros(task.n_items)
    for back, step in enumerate(range(row - 1, task.start[row] - 1, -1)):
        expected[task.baskets.indices[step]] += 0.5**back
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_session_knn_equals_a_loop(task):
    model = clicks.SessionKNN(k=10_000, decay=0.8, recent=10_000).fit(task)
    row = int(task.cutoffs("test")[3]) + 1
    now = running(task, np.array([row]), 0.8).toarray()[0]
    expected = np.zeros(task.n_items)
    for session in np.unique(task.who[task.part == 1]):
        held = np.unique(task.baskets.indices[task.who == session])
        expected[held] += now[held].sum() / np.sqrt(len(held))
    expected[task.baskets.indices[row - 1]] = -np.inf  # the item just seen
    np.testing.assert_allclose(model.scores(task, np.array([row]))[0], expected, rtol=1e-4)


def test_neighbours_find_the_planted_structure(task):
    knn = clicks.tune_knn(task)
    cutoffs = task.cutoffs("test")
    recall = np.isfinite(places(task, knn.predict(task, cutoffs), cutoffs)).mean()
    assert recall > 1.5 * 20 / task.n_items


def test_settings_are_chosen_on_validation_alone(task):
    @dataclass
    class Knows(clicks.SessionKNN):
        """Right on one part, wrong on the others."""

        part: str = "test"

        def _learn(self, task, part):
            self.known = set(task.targets(self.part))

        def _score(self, task, rows):
            scores = np.zeros((len(rows), task.n_items))
            right = np.array([row in self.known for row in rows])
            scores[right, task.baskets.indices[rows[right]]] = 1
            return scores

    grid = [Knows(part="test"), Knows(part="valid")]
    assert clicks.tune_knn(task, grid).part == "valid"
    assert not any(hasattr(model, "known") for model in grid)  # a grid holds settings, nothing learned


def test_the_live_end_of_a_session_can_be_served(task):
    """A cutoff may be the last click there is: the step after it does not exist yet."""
    lists = clicks.SessionKNN().fit(task).predict(task, np.array([len(task.who) - 1]))
    assert lists.shape == (1, 20)
    longer = np.array([np.flatnonzero(np.diff(task.who))[0]])  # the last click of the first session
    own = set(task.baskets.indices[task.who == 0])
    assert set(running(task, longer + 1, 1.0).indices) == own


# -------------------------------------------------------------------------------------------------- leaks


def change_test_days(events):
    """The same clicks with other items, new ones among them, in the sessions of the test days."""
    end = events.groupby("session")["timestamp"].transform("max")
    later = (end >= events["timestamp"].max().normalize() - pd.Timedelta(days=6)).to_numpy()
    item = events["item"].to_numpy(copy=True)
    item[later] = np.random.default_rng(5).integers(1, 200, later.sum())
    return events.assign(item=item)


def fitted(task):
    """All that is learnt without a network."""
    cutoffs = task.cutoffs("train")[:50]
    models = {"popularity": clicks.Popularity(), "Markov": clicks.Markov(), "kNN": clicks.tune_knn(task)}
    return {
        "items": {c: task.items[c].to_numpy() for c in ("item", "count")},
        "clicks": task.baskets.indices[task.part < 3],
        **{name: model.fit(task).scores(task, cutoffs + 1) for name, model in models.items()},
    }


def test_nothing_is_fitted_on_test_days():
    events = invent_clicks(600, 80)
    task, other = clicks.task(events, WEEKS), clicks.task(change_test_days(events), WEEKS)
    assert (other.baskets.indices[other.part == 3][:50] != task.baskets.indices[task.part == 3][:50]).any()
    assert_identical(fitted(task), fitted(other))


def test_a_test_click_brings_no_item_back_that_training_lost_with_its_long_sessions():
    """Item 9 opens training sessions of which the last two clicks are kept; then a test clicks it."""
    rows = [(n, n, item) for n in range(4) for item in (9, 1, 2)]
    rows += [(n, min(n, 6), item) for n in (4, 5, 7) for item in (1, 2)]
    vocabulary = []
    for last in (9, 2):
        events = pd.DataFrame([*rows, (6, 6, 1), (6, 6, last)], columns=["session", "day", "item"])
        events["timestamp"] = pd.Timestamp("2024-05-01") + pd.to_timedelta(events["day"], unit="D")
        made = clicks.task(events, Split.last(test="1D", valid="1D"), min_count=2, max_length=2)
        vocabulary.append(made.items["item"].tolist())
    assert vocabulary == [[1, 2], [1, 2]]


def test_a_planted_leak_is_caught():
    def leaky(events):
        task = clicks.task(events, WEEKS)
        task.items["count"] = np.asarray(task.baskets.sum(axis=0)).ravel().astype(int)  # test days as well
        return task

    events = invent_clicks(600, 80)
    with pytest.raises(AssertionError, match="items/count"):
        assert_identical(fitted(leaky(events)), fitted(leaky(change_test_days(events))))


# ------------------------------------------------------------------------------------ network and mix


def test_pairs_are_the_sessions_own_items():
    from ecomlib.clicks.batches import pairs

    real = np.array([[True, True], [True, False]])
    column = np.array([[4, 7, 4], [1, 3, 0]])  # a session of three clicks, and one of two
    pair, times = pairs(real, column, 10)
    assert pair.tolist() == [[0, 4], [0, 7], [1, 4], [1, 7], [2, 1], [2, 3]]
    np.testing.assert_allclose(np.expm1(times) / 20, [1, 0, 1, 1, 1, 0], rtol=1e-5)


def test_an_epoch_predicts_every_click_once(task):
    from ecomlib.clicks.batches import ClickBatches

    rows = task.cutoffs("train") + 1
    maker, rng = ClickBatches(task, 20, 0.5), np.random.default_rng(0)
    batches = [maker.batch(*group, rng) for group in maker.groups(rows, 64, rng)]
    right = np.concatenate([batch["columns"][batch["right"]] for batch in batches])
    to_end = np.bincount(task.who)[task.who[rows]] - (rows - task.start[rows])
    read = rows[to_end <= 20]  # only the last 20 clicks of a session are predicted
    assert 0 < len(read) < len(rows)
    assert np.bincount(right).tolist() == np.bincount(task.baskets.indices[read]).tolist()
    assert max(len(batch["right"]) for batch in batches) < 3 * 64


class Votes(ClickModel):
    """A stand-in for one part of a mix: names one item per row, and has nothing to learn."""

    name = "votes"

    def __init__(self, find):
        self.find = find

    def fit(self, task, part="train", *options):
        return super().fit(task, part)

    def _learn(self, task, part):
        pass

    partial_fit = fit

    def _score(self, task, rows):
        scores = np.zeros((len(rows), task.n_items), np.float32)
        scores[np.arange(len(rows)), self.find(task, rows)] = 9
        return scores


def test_the_weight_is_chosen_on_validation():
    from ecomlib.clicks import Mix
    from ecomlib.clicks.model import mixed

    def knows(task, rows):
        return task.baskets.indices[rows]

    def wrong(task, rows):
        return (knows(task, rows) + 1) % task.n_items

    def only_in_test(task, rows):
        return np.where(task.part[rows] == 3, knows(task, rows), wrong(task, rows))

    many = session_task(*[np.random.default_rng(s).permutation(60).tolist() for s in range(40)])
    assert Mix(Votes(knows), Votes(wrong)).fit(many).weight > 0
    assert Mix(Votes(wrong), Votes(knows)).fit(many).weight < 1
    assert (
        Mix(Votes(only_in_test), Votes(wrong)).fit(many).weight
        == Mix(Votes(wrong), Votes(wrong)).fit(many).weight
    )
    both = Mix(Votes(knows), Votes(wrong)).fit(many)
    both.network.name = "other"
    cutoffs = many.cutoffs("test")
    lists = both.lists(many, cutoffs)  # scored once: what each would have given alone
    for model in (both.network, both.neighbours, both):
        np.testing.assert_array_equal(lists[model.name], model.predict(many, cutoffs))
    scores, votes = (
        np.array([[0.0, 0.0, -np.inf]]),
        np.array([[1, 3, -np.inf]]),
    )  # the last: the item just seen
    np.testing.assert_allclose(mixed(0.25, scores, votes)[0], [1 / 8 + 3 / 16, 1 / 8 + 9 / 16, 0])


@pytest.mark.slow
def test_network_learns_alike_from_the_same_past():
    def weights(events):
        task = clicks.task(events, WEEKS)
        model = clicks.NextClick(units=8, size=8, n_sampled=20, epochs=1).fit(task)
        return {"weights": model.network_.get_weights(), "loss": np.array(model.history_["loss"])}

    events = invent_clicks(600, 80)
    assert_identical(weights(events), weights(change_test_days(events)))


@pytest.mark.slow
def test_lstm_scores_do_not_depend_on_padding_or_on_what_follows(task):
    model = clicks.NextClick(units=8, size=8, epochs=0).fit(task)
    rows = task.cutoffs("test")[:40] + 1
    alone = np.concatenate([model.scores(task, rows[i : i + 1]) for i in range(len(rows))])
    np.testing.assert_allclose(model.scores(task, rows), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_network_beats_popularity_and_goes_on_learning(task):
    cutoffs = task.cutoffs("test")
    model = clicks.NextClick(units=32, size=32, epochs=6).fit(task, watch=True)
    lists = {"popularity": clicks.Popularity().fit(task).predict(task, cutoffs)}
    lists["LSTM"] = model.predict(task, cutoffs)
    value = clicks.evaluate(task, lists, n=20).set_index(["model", "metric"])["value"]
    assert value["LSTM", "recall@20"] > 1.2 * value["popularity", "recall@20"]
    before = model.network_.get_weights()[0].copy()
    assert (model.partial_fit(task).network_.get_weights()[0] != before).any()
    assert len(model.history_["loss"]) == len(model.history_["val_loss"]) == 6
    assert model.history_["val_loss"][-1] < model.history_["val_loss"][0]


# ------------------------------------------------------------------------------------------------ command


@pytest.mark.slow
def test_the_command_trains_and_scores(tmp_path, capsys):
    from ecomlib.own.clicks_command import main

    events = invent_clicks(300, 40).rename(columns={"session": "session_id", "item": "product_id"})
    events["product_id"] = events["product_id"].astype("object").where(events.index != 8, "")
    events.to_csv(tmp_path / "clicks.csv", index=False)
    out = tmp_path / "new" / "table.csv"
    assert main([str(tmp_path / "clicks.csv"), "--epochs", "2", "--out", str(out)]) == 0
    table = pd.read_csv(out)
    assert set(table["model"]) == {"popularity", "Markov chain", "session-kNN", "LSTM", "LSTM + session-kNN"}
    said = capsys.readouterr().out
    for words in ("1 without a product left out", "epoch 2: loss", "recall@20", "Use "):
        assert words in said
    options = ["--epochs", "3", "--minutes", "0", "--out", str(out)]
    assert main([str(tmp_path / "clicks.csv"), *options]) == 0
    assert "out of time; --epochs 1 repeats exactly this" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    from ecomlib.own.clicks_command import main

    assert main([str(tmp_path / "none.csv")]) == 1
    assert "there is no such file" in capsys.readouterr().err
    (tmp_path / "clicks.csv").write_bytes(FILES["course"].replace("tea", "thé").encode("cp1252"))
    assert main([str(tmp_path / "clicks.csv")]) == 1
    said = capsys.readouterr().err
    assert "give more events" in said  # it is read, and holds three clicks
    assert said.count("\n") == 1
    assert issubclass(UnreadableFile, ShopError)


def test_older_clicks_of_the_running_session_weigh_less():
    task = session_task([1, 2, 3], [1, 2, 3], [1, 2, 1, 3])
    row = int(task.cutoffs("test")[-1]) + 1  # item 1 was seen just now and two steps back, item 2 one back
    np.testing.assert_allclose(running(task, np.array([row]), 0.5).toarray(), [[1.25, 0.5, 0]])
