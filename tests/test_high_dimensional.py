"""Lesson 52's benchmark: sparse inputs are exact, what is fitted knows the past only."""

import nbformat
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from perturb import assert_identical, change_future, plant
from toy_shop import RICH_SPLIT, RICH_TEST, rich_shop

from benchmarks.quality import _many_inputs as many
from benchmarks.quality import high_dimensional as bench
from ecomlib import purchases
from ecomlib.runtime import ROOT


@pytest.fixture(scope="module")
def shop():
    return rich_shop()


@pytest.fixture(scope="module")
def task(shop):
    return purchases.task(shop, RICH_SPLIT, n_categories=4)


@pytest.fixture(scope="module")
def question(task):
    return many.Question.of(task, 6, 2)


@pytest.fixture(scope="module")
def codes(shop, task):
    return many.multi_hot(shop, task, "product_id")


# ------------------------------------------------------------------------------------------------ the inputs


def test_a_code_is_one_where_it_was_bought(shop, task, codes):
    n, w, _ = task.bought.shape
    assert codes.shape[0] == n * w and set(codes.data) == {1}
    orders = shop.orders.assign(week=many.week_of(task.panel, shop.orders["timestamp"]))
    orders = orders[orders["week"].between(0, w - 1)]
    early = orders[orders["week"] <= task.cutoffs("valid")[0]]
    weeks = early.groupby("product_id").apply(lambda one: len(one[["customer_id", "week"]].drop_duplicates()))
    assert codes.shape[1] == len(weeks)
    most = weeks.sort_values(ascending=False).iloc[0]
    seen = np.tile(np.arange(w) <= task.cutoffs("valid")[0], n)
    assert codes[seen].sum(axis=0).max() == codes[seen][:, 0].sum() == most
    one = orders[orders["product_id"].isin(weeks.index)].iloc[-1]
    row = list(task.panel.customers).index(one["customer_id"]) * w + one["week"]
    same = orders[(orders["customer_id"] == one["customer_id"]) & (orders["week"] == one["week"])]
    assert codes[row].sum() == same["product_id"][same["product_id"].isin(weeks.index)].nunique()


def test_a_level_without_detail_is_what_the_task_has(shop, task):
    wide = many.multi_hot(shop, task, "category").toarray()
    assert sorted(map(tuple, wide.T.tolist()))[-1] in set(
        map(tuple, task.bought.reshape(-1, 4).T.astype(float).tolist())
    )


def test_the_target_counts_the_parts_known_weeks_only(question, task):
    last = int(task.cutoffs("valid").max())
    y, weight = np.moveaxis(question.target("valid", last), -1, 0)
    k = task.bought.shape[2]
    want_y, want = (each.reshape(len(y), k, -1).swapaxes(1, 2) for each in task.labels("valid", last))
    assert np.array_equal(weight, want) and np.array_equal(y, want_y)


def test_sixty_four_numbers_keep_distances_and_hashing_has_signs(codes):
    seen = np.asarray(codes.sum(axis=1)).ravel() > 0
    whole = many.weighted(codes, seen)
    for method in ("SVD", "random projection", "hashing"):
        if method != "SVD":  # it cannot make more numbers than there are codes
            made = many.COMPRESS[method](codes, seen)
            true = np.linalg.norm(whole[seen][:40].toarray()[:, None] - whole[seen][:40].toarray(), axis=-1)
            near = np.linalg.norm(made[seen][:40][:, None] - made[seen][:40], axis=-1)
            assert np.corrcoef(true.ravel(), near.ravel())[0, 1] > 0.8, method
    once = many.hashed(sp.eye(codes.shape[1], format="csr", dtype=np.float32), np.ones(codes.shape[1], bool))
    assert ((once != 0).sum(axis=1) == 1).all() and once.min() < 0 < once.max()


def test_svd_rebuilds_a_table_of_low_rank(monkeypatch):
    monkeypatch.setattr(many, "SIZE", 2)
    monkeypatch.setattr(many, "weighted", lambda rows, seen: rows)
    rng = np.random.default_rng(0)
    rows = sp.csr_matrix(rng.normal(size=(30, 2)) @ rng.normal(size=(2, 9)))
    made = many.svd(rows, np.arange(30) < 20)
    assert np.allclose(made @ made.T, (rows @ rows.T).toarray())


# ----------------------------------------------------------------------------------------------- the network


def weeks_of(question, codes, size=0):
    return many.sequences(question, "codes", codes, size)


def test_a_sparse_layer_is_a_dense_one(question, codes):
    import tensorflow as tf

    arm, n_weeks = weeks_of(question, codes), question.bought.shape[1]
    layer = many.FewOfMany(arm.n_codes, 3)
    made = layer(tf.sparse.from_dense(arm.codes[:5].toarray())).numpy()
    wide = codes[: 5 * n_weeks].toarray().reshape(5, n_weeks, -1)
    assert np.allclose(made, wide @ layer.kernel.numpy(), atol=1e-5)


def test_codes_that_go_to_the_gates_are_an_lstm_of_the_multi_hot(question, codes):
    import keras

    arm, (n, w, k) = weeks_of(question, codes), question.bought.shape
    net = many.network(w, arm, units=3, k=k)
    wide = keras.layers.LSTM(3, return_sequences=True)
    x = np.concatenate([question.household, codes.toarray().reshape(n, w, -1)], axis=-1)
    wide(x[:1])
    first, last = (each for each in net.layers if isinstance(each, keras.layers.Dense))
    wide_first = next(each for each in net.layers if isinstance(each, many.FewOfMany))
    last.kernel.assign(np.random.default_rng(0).normal(size=last.kernel.shape))
    lstm = next(each for each in net.layers if isinstance(each, keras.layers.LSTM))
    kernel = np.concatenate([first.kernel.numpy(), wide_first.kernel.numpy()])
    wide.set_weights([kernel, *lstm.get_weights()[1:]])
    logits = wide(x) @ last.kernel.numpy() + last.bias.numpy() + question.usual
    p = net.predict(arm.inputs(question, w - 1), verbose=0)
    assert np.allclose(p, 1 / (1 + np.exp(-np.asarray(logits))), atol=1e-5)
    assert not lstm.cell.kernel.trainable
    inputs = 5 + arm.n_codes
    assert sum(int(np.prod(v.shape)) for v in net.trainable_variables) == (
        4 * 3 * (inputs + 3 + 1) + (3 + 1) * k
    )


def test_an_untrained_network_is_the_smoothed_frequency(question, codes, task):
    rule = purchases.WeightedFrequency(6, 2).fit(task).predict(task, np.arange(task.bought.shape[1]))
    for arm in (many.Arm("none", 0), weeks_of(question, codes), weeks_of(question, codes, 4)):
        net = many.network(question.bought.shape[1], arm, k=4)
        p = net.predict(arm.inputs(question, question.bought.shape[1] - 1), verbose=0)
        assert np.allclose(p, np.clip(rule.swapaxes(0, 1), 1e-4, 1 - 1e-4), atol=1e-5)


def test_dropout_leaves_out_codes_in_training_only(question, codes):
    import tensorflow as tf

    layer = many.FewOfMany(codes.shape[1], 3, dropout=0.5)
    some = tf.sparse.from_dense(weeks_of(question, codes).codes[:9].toarray())
    calm, again, shaken = layer(some), layer(some), layer(some, training=True)
    assert np.array_equal(calm, again) and not np.allclose(calm, shaken)


def test_the_search_keeps_the_best_epoch_and_every_seed_its_settings(question, codes, monkeypatch):
    calls = []

    def fit(question, arm, seed, rate, dropout, epochs, watch):
        calls.append((seed, rate, dropout, epochs, watch))
        loss = abs(np.log10(rate) + 2.5) - 0.1 * (dropout == 0.5)
        return {"losses": [loss + 1, loss] if watch else [], "epochs": 2 if watch else epochs}

    monkeypatch.setattr(bench, "fit", fit)
    found = bench.searched(question, weeks_of(question, codes), 3, False)["fits"]
    assert [(one["rate"], one["dropout"], one["epochs"]) for one in found] == [(3e-3, 0.5, 2)] * 3
    assert [call[1:3] for call in calls if call[4]] == [
        (3e-3, 0), (1e-2, 0), (1e-3, 0), (3e-3, 0.5), (3e-3, 0.8)
    ]  # fmt: skip
    assert calls[-2:] == [(1, 3e-3, 0.5, 2, False), (2, 3e-3, 0.5, 2, False)]


def test_a_search_does_not_end_at_an_edge():
    ladder, tried = (1, 2, 3, 4, 5, 6), []
    assert bench.best_of(ladder, (3, 4), lambda x: tried.append(x) or abs(x - 5.4)) == 5
    assert tried == [3, 4, 5, 6]
    assert bench.best_of(ladder, (3, 4), lambda x: x) == 1


# ----------------------------------------------------------------------------------------------------- leaks


def forecasts(shop) -> dict:
    """Inputs up to the last training week, and forecasts at the first cutoff of the test, of every kind."""
    task = purchases.task(shop, RICH_SPLIT, n_categories=4)
    question = many.Question.of(task, 6, 2)
    codes = many.multi_hot(shop, task, "product_id")
    first = int(task.cutoffs("test")[0])
    last = slice(0, first + 1)
    out = {"usual": question.usual[:, last], "vocabulary": codes.shape[1]}
    small = {"SVD": lambda rows, seen: many.weighted(rows, seen).toarray()[:, :3], "hashing": many.hashed}
    arms = [weeks_of(question, codes), weeks_of(question, codes, 4)]
    for name, method in small.items():
        many.COMPRESS[name] = method
        arms.append(many.compressed(question, name, codes, name))
        out[f"{name}, input"] = arms[-1].dense[:, last]
    for arm in arms:
        made = bench.fit(question, arm, 0, 1e-2, 0.0, 1, watch=True)
        out[f"{arm.name} {arm.size}"] = made["test"][0]
        out[f"{arm.name} {arm.size}, losses"] = np.array(made["losses"])
    return out


@pytest.fixture
def _small(monkeypatch):
    monkeypatch.setattr(many, "COMPRESS", dict(many.COMPRESS))
    monkeypatch.setattr(bench, "PATIENCE", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("_small", "eager")
def test_nothing_after_the_cutoff_changes_what_was_made_before():
    shop = rich_shop()
    assert_identical(forecasts(shop), forecasts(change_future(shop, RICH_TEST, newcomers=False)))


KNOWN = 'np.arange(w) <= question.parts["valid"][0]'
PLANTED = {
    "a vocabulary of all weeks": ("multi_hot", 'cells[cells["week"] <= task.cutoffs("valid")[0]]', "cells"),
    "scale and idf of all weeks": ("compressed", KNOWN, "np.arange(w) >= 0"),
}


@pytest.mark.slow
@pytest.mark.usefixtures("_small", "eager")
@pytest.mark.parametrize("leak", PLANTED)
def test_a_planted_leak_is_caught(leak, monkeypatch):
    plant(monkeypatch, many, *PLANTED[leak])
    shop = rich_shop()
    with pytest.raises(AssertionError):
        assert_identical(forecasts(shop), forecasts(change_future(shop, RICH_TEST, newcomers=False)))


def test_the_cell_to_take_away_knows_the_past_only():
    cells = nbformat.read(ROOT / "notebooks" / "52_high_dimensional.ipynb", as_version=4).cells
    place: dict = {}
    exec(next(c.source for c in cells if "take-with-you" in c.metadata.get("tags", [])), place)
    rng = np.random.default_rng(0)
    lines = pd.DataFrame({"who": np.arange(900) % 30, "step": rng.integers(12, size=900)})
    lines["code"] = rng.integers(40, size=900)
    other = lines.copy()
    later = (other["step"] > 7) & (np.arange(900) < 860)
    other.loc[later, "code"] = rng.integers(60, size=later.sum())
    made, changed = (place["few_numbers"](t["who"], t["step"], t["code"], 7, 5) for t in (lines, other))
    assert made.shape == (30, 12, 5) and np.array_equal(made[:, :8], changed[:, :8])
    assert not np.array_equal(made[:, 8:], changed[:, 8:])
    assert place["few_numbers"](lines["who"], lines["step"], lines["code"] % 5, 7).shape == (30, 12, 5)
    with pytest.raises(ValueError, match="from 0"):
        place["few_numbers"](lines["who"], lines["step"] - 1, lines["code"], 7)


# ------------------------------------------------------------------------------------------ the small example


def test_a_penalty_sees_the_products_of_rows_only():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x, y = sp.csr_matrix(rng.normal(size=(40, 90))), rng.integers(2, size=40)
    z = bench._same_distances(x, np.ones(40, bool))
    assert z.shape == (40, 40)
    p = [LogisticRegression(C=1, tol=1e-8).fit(each, y).predict_proba(each) for each in (x, z)]
    assert np.allclose(*p, atol=1e-4)


def test_shuffled_answers_are_learnt_by_heart_and_forecast_by_chance():
    rng = np.random.default_rng(0)
    x, y = sp.csr_matrix(rng.normal(size=(80, 400))), np.arange(80) % 2
    p, seen = bench.out_of_fold(x, np.ones(80, bool), y, "no penalty", 0)
    assert seen == 1 and abs(p[y == 1].mean() - p[y == 0].mean()) < 0.2
    x = sp.csr_matrix(np.column_stack([y + 0.1 * rng.normal(size=80), rng.normal(size=(80, 3))]))
    p, _ = bench.out_of_fold(x, np.ones(80, bool), y, "penalty", 0)
    assert p[y == 1].min() > p[y == 0].max()


# -------------------------------------------------------------------------------------------------- the table


@pytest.fixture(scope="module")
def table():
    found = pd.read_csv(ROOT / "benchmarks" / "results" / "high_dimensional.csv").fillna({"where": ""})
    return found.set_index(["where", "model", "metric"])[["value", "low", "high"]]


def test_what_the_lesson_says_of_the_inputs_stands_in_the_table(table):
    paired = table.loc["paired"].droplevel("metric")
    names = list(table.loc["cost"].index.get_level_values("model").unique())
    assert len(names) == 15
    for name in names:
        assert paired.loc[f"{name} minus {bench.BASE}", "high"] < 0  # better than no network
        if name not in (bench.OURS, bench.NOTHING):
            assert paired.loc[f"{name} minus {bench.OURS}", "low"] > 0
    none = paired.loc[f"{bench.NOTHING} minus {bench.OURS}"]
    assert none["low"] < 0 < none["high"]  # level
    assert (
        paired.loc[[f"{one} minus {bench.OURS}" for one in (bench.MANY, "SVD, all types")], "value"].max()
        < 0.001
    )
    types = table.loc[""]["value"].droplevel("metric").filter(like=f", {bench.TYPES}").sort_values()
    assert list(types.index[-2:]) == [f"hashing, {bench.TYPES}", f"random projection, {bench.TYPES}"]


def test_nothing_is_learnt_on_the_second_shop(table):
    paired = table.loc["online retail, paired"].droplevel("metric")
    paired = paired[paired.index.str.endswith(bench.BASE)]
    assert len(paired) == 4 and (paired["low"] < 0).all() and (paired["high"] > 0).all()
    rates = table.loc["online retail, cost"]["value"].unstack()["learning rate"]
    assert (rates == bench.RATES[0]).all()


def test_all_products_fit_into_two_gigabytes(table):
    cost = table.loc["cost"].loc[bench.APART]
    assert cost.loc["inputs"]["value"] > 50_000 and cost.loc["peak GB"]["high"] < 2


def test_no_search_of_rate_or_epochs_ended_at_an_edge(table):
    cost = table.loc["cost"]["value"].unstack()
    assert (cost["epochs"] < bench.EPOCHS).all()
    assert cost["learning rate"].between(bench.RATES[1], bench.RATES[-2]).all()


def test_the_baseline_is_the_one_of_lesson_33(table):
    known = pd.read_csv(ROOT / "benchmarks" / "results" / "purchases.csv").fillna({"where": ""})
    known = known[(known["where"] == "") & (known["metric"] == "log-loss")].set_index("model")["value"]
    assert abs(table.loc[("", bench.BASE, "log-loss")]["value"] - known[bench.BASE]) < 1e-5


def test_the_small_example_shows_the_curse(table):
    kids = table.loc["children"]
    auc = {m: kids.loc[(f"{m}, types", "AUC")]["value"] for m in ("no penalty", "penalty", "SVD")}
    for level in ("types", "products"):
        assert kids.loc[(f"no penalty, {level}", "training AUC")]["low"] > 0.999
    assert auc["no penalty"] < 0.65 < 0.66 < auc["penalty"] < 0.72 and auc["SVD"] > 0.66
    for other in ("penalty, departments", "penalty, categories", "no penalty, types"):
        assert kids.loc[(f"penalty, types minus {other}", "AUC")]["low"] > 0
    for pair in ("penalty, types minus penalty, products", "penalty, products minus no penalty, products"):
        assert kids.loc[(pair, "AUC")]["low"] < 0 < kids.loc[(pair, "AUC")]["high"]
