"""Recommendation: trips, history, baselines, metrics against scikit-learn, and time that never leaks."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical, change_after
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, recall_score

from ecomlib.recommend import (
    TEST,
    TIFUKNN,
    TRAIN,
    Factors,
    ItemKNN,
    Markov,
    PersonalFrequency,
    Popularity,
    Trended,
    best_items,
    build_task,
    history,
    prepare,
    rank,
    recent_counts,
    top_k,
    trend,
    with_today,
)
from ecomlib.shop import BadValue, MissingColumn, Shop, TooShort

CUTOFF = "2024-02-22"
WEEKS = {"train_until": 6, "valid_until": 7, "test_until": 9}
MODELS = [
    Popularity(),
    Popularity(7),
    Markov(),
    ItemKNN(20, 1.0),
    Factors(4),
    TIFUKNN(5),
    PersonalFrequency(30.0),
    Trended(Factors(4)),
]


def invent_shop(n_customers: int = 30, n_products: int = 40, weeks: int = 9, seed: int = 0) -> Shop:
    """A small shop whose customers keep to a favourite shelf."""
    rng = np.random.default_rng(seed)
    n = n_customers * weeks * 8
    customer = rng.integers(0, n_customers, n)
    product = (customer % 4 * 10 + rng.integers(0, 14, n)) % n_products
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, weeks * 7, n), unit="D")
    orders = pd.DataFrame(
        {
            "customer_id": customer,
            "order_id": np.arange(n),
            "product_id": product,
            "timestamp": day + pd.to_timedelta(rng.integers(8 * 60, 20 * 60, n), unit="min"),
            "quantity": 1,
            "revenue": 2.0,
            "discount": 0.0,
        }
    )
    products = pd.DataFrame({"product_id": np.arange(n_products)})
    products["category"] = "c" + (products["product_id"] // 5).astype(str)
    products["department"] = "d" + (products["product_id"] // 20).astype(str)
    return Shop(orders.sort_values("timestamp", ignore_index=True), products)


@pytest.fixture(scope="module")
def task():
    return prepare(invent_shop(), "product_id", 3, **WEEKS)


def test_a_trip_is_a_set_of_one_household_and_day():
    shop = invent_shop()
    shuffled = shop.with_tables(orders=shop.orders.sample(frac=1, random_state=1).reset_index(drop=True))
    one, other = (prepare(s, "product_id", 3, **WEEKS) for s in (shop, shuffled))
    assert (one.bags != other.bags).nnz == 0
    assert set(np.unique(one.bags.data)) == {1.0}
    days = shop.orders.assign(day=shop.orders["timestamp"].dt.normalize())
    assert one.bags.shape[0] == len(days[["customer_id", "day"]].drop_duplicates())


def test_history_is_a_loop_over_earlier_trips(task):
    for half_life in (None, 10.0):
        got = history(task, task.targets("test")[:20], half_life).toarray()
        for row, found in zip(task.targets("test")[:20], got, strict=True):
            expected = np.zeros(task.n_items)
            for step in range(task.start[row], row):
                age = task.day[row] - task.day[step]
                weight = 1 if half_life is None else 0.5 ** (age / half_life)
                expected += weight * task.bags[step].toarray()[0]
            np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_recent_counts_leave_out_the_day_itself(task):
    got = recent_counts(task, 7)
    for day in (0, 3, 20):
        window = (task.day >= day - 7) & (task.day < day)
        np.testing.assert_array_equal(got[day], np.asarray(task.bags[window].sum(axis=0)).ravel())


def test_trend_is_zero_where_sales_are_as_usual():
    lines = [(who, day, item, TRAIN) for day in range(20) for who, item in ((0, "a"), (1, "b"))]
    task = build_task(pd.DataFrame(lines, columns=["who", "day", "item", "part"]), 1)
    np.testing.assert_allclose(trend(task, 7), 0, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 30), (4, 3000), (3, 2561)])
def test_top_k_equals_a_full_sort(shape):
    scores = np.random.default_rng(0).permuted(np.arange(np.prod(shape)).reshape(shape), axis=1) * 1.0
    np.testing.assert_array_equal(top_k(scores, 10), np.argsort(-scores, axis=1)[:, :10])


def test_serving_in_blocks_equals_one_sort():
    rng = np.random.default_rng(0)
    states, vectors = rng.normal(size=(150, 6)), rng.normal(size=(3000, 6))
    expected = np.argsort(-(states @ vectors.T), axis=1)[:, :20]
    np.testing.assert_array_equal(best_items(states, vectors), expected)


@pytest.mark.parametrize("question", ["whole", "discovery"])
def test_metrics_equal_scikit_learns(task, question):
    rng = np.random.default_rng(0)

    class Random:
        def scores(self, rows):
            return self.table[np.searchsorted(task.targets("test"), rows)]

    model = Random()
    model.table = rng.random((len(task.targets("test")), task.n_items)).astype(np.float32)
    ranking = rank(model, task, task.targets("test"), question)
    got = ranking.per_row()
    scores = model.scores(ranking.rows)
    right = task.bags[ranking.rows].toarray() > 0
    if question == "discovery":
        seen = history(task, ranking.rows).toarray() > 0
        scores, right = np.where(seen, -1, scores), right & ~seen
    listed = np.zeros_like(right)
    np.put_along_axis(listed, np.argsort(-scores, axis=1)[:, :10], True, axis=1)
    expected = recall_score(right, listed, average="samples", zero_division=0)
    assert got["recall@10"].mean() == pytest.approx(expected)
    assert got["ndcg@10"].mean() == pytest.approx(ndcg_score(right, scores, k=10))
    first = np.zeros_like(right)
    best = np.where(right, scores, -np.inf).argmax(axis=1)
    first[np.arange(len(first)), best] = True
    place = 1 / np.array(
        [label_ranking_average_precision_score(a[None], b[None]) for a, b in zip(first, scores, strict=True)]
    )
    np.testing.assert_allclose(got["mrr@20"], np.where(place <= 20, 1 / place, 0))


def test_ties_gain_nothing(task):
    class Flat:
        def scores(self, rows):
            return np.zeros((len(rows), task.n_items), np.float32)

    ranking = rank(Flat(), task, task.targets("test"))
    assert ranking.per_row()["recall@10"].mean() == pytest.approx(10 / task.n_items, rel=0.25)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: repr(m).split("(")[0])
def test_models_score_every_item(task, model):
    rows = task.targets("test")[:7]
    scores = model.fit(task).scores(rows)
    assert scores.shape == (7, task.n_items)
    assert np.isfinite(scores).all()


@cache
def two_futures():
    """The shop as it is, and with everything from CUTOFF on changed."""
    shop = invent_shop()
    return [prepare(each, "product_id", 3, **WEEKS) for each in (shop, change_after(shop, CUTOFF))]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: repr(m).split("(")[0])
def test_the_future_changes_no_score(model):
    """Change all orders from a day of the test weeks on: vocabulary and scores up to that day stay."""
    results = []
    for task in two_futures():
        limit = (pd.Timestamp(CUTOFF) - pd.Timestamp("2024-01-01")).days
        rows = [r for r in task.targets("test") if task.day[r] < limit]
        results.append(
            [
                task.items["item"].to_numpy(),
                task.names[task.who[rows]],
                model.fit(task).scores(np.array(rows)),
            ]
        )
    assert_identical(*results)


def test_the_leak_test_finds_a_planted_leak():
    class Leaky(Popularity):
        def fit(self, task):
            self.task, self.recent = task, None
            self.total = np.asarray(task.bags.sum(axis=0)).ravel()
            return self

    with pytest.raises(AssertionError):
        test_the_future_changes_no_score(Leaky())


def test_discovery_lists_hold_nothing_bought_before(task):
    ranking = rank(Popularity().fit(task), task, task.targets("test"), "discovery")
    room = task.n_items - np.diff(history(task, ranking.rows).astype(bool).indptr)
    assert ranking.new[room >= 20].all()
    assert (ranking.size > 0).all()


def test_levels_and_side_information():
    task = prepare(invent_shop(), "category", 3, **WEEKS)
    assert task.items["item"].tolist() == [f"c{i}" for i in range(8)]
    assert task.items["department"].tolist() == ["d0"] * 4 + ["d1"] * 4
    assert task.covered == {"train": 1.0, "valid": 1.0, "test": 1.0}


def test_later_sales_change_no_side_information():
    shop = invent_shop()
    one, other = (prepare(s, "category", 3, **WEEKS) for s in (shop, change_after(shop, "2024-02-12")))
    pd.testing.assert_frame_equal(one.items, other.items)


def test_bad_input_is_named(task):
    shop = invent_shop()
    with pytest.raises(MissingColumn, match="'aisle' is missing"):
        prepare(shop, "aisle", 3, **WEEKS)
    with pytest.raises(TooShort, match="Lower min_count"):
        prepare(shop, "product_id", 10_000, **WEEKS)
    with pytest.raises(TooShort, match="before and after week 40"):
        prepare(shop, "product_id", 3)
    with pytest.raises(BadValue, match="must rise"):
        prepare(shop, "product_id", 3, 6, 6, 9)
    with pytest.raises(BadValue, match="'both' is unknown"):
        rank(Popularity().fit(task), task, task.targets("test"), "both")


def test_tifu_by_hand():
    """Two trips in one group: the older one counts `within` times less."""
    lines = pd.DataFrame({"who": [0, 0, 0, 1, 1], "day": [0, 1, 2, 0, 1], "item": list("abcab")})
    task = build_task(lines.assign(part=[TRAIN, TRAIN, TEST, TRAIN, TRAIN]).replace("c", "a"), 1)
    model = TIFUKNN(k=1, own=1.0, group=7, within=0.5).fit(task)
    np.testing.assert_allclose(model.scores(np.array([2])), [[1 / 3, 2 / 3]], rtol=1e-6)


def test_today_is_scored_like_any_other_step(task):
    longer, rows = with_today(task)
    assert len(rows) == len(task.names)
    assert (longer.who[rows] == np.arange(len(task.names))).all()
    np.testing.assert_array_equal(
        history(longer, rows).toarray(),
        np.vstack([task.bags[task.who == who].sum(axis=0) for who in range(len(task.names))]),
    )
    with pytest.raises(BadValue, match="not after the last step"):
        with_today(task, 3)
