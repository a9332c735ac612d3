"""Recommendation: trips, history, baselines, metrics by hand and by scikit-learn, time that never leaks."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical, change_after
from scipy import sparse
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, recall_score

from ecomlib import Shop, Split, recommend
from ecomlib.bootstrap import Draws
from ecomlib.lessons.serving import best_items
from ecomlib.recommend.batches import draw_columns
from ecomlib.recommend.history import history, recent_counts, sequence_counts, trend
from ecomlib.recommend.ranking import Recommender, top_k
from ecomlib.recommend.task import HISTORY, TEST, TRAIN, VALID, SequenceTask, build_task, with_today
from ecomlib.shop import BadValue, MissingColumn, TooShort

CUTOFF = "2024-02-22"
SPLIT = Split.last(test="14D", valid="7D")
MODELS = [
    recommend.Popularity(),
    recommend.Popularity(7),
    recommend.Markov(),
    recommend.ItemKNN(20, 1.0),
    recommend.ItemKNN(20, 1.0, "step", 30.0),
    recommend.PureSVD(4),
    recommend.TIFUKNN(5),
    recommend.PersonalFrequency(30.0),
    recommend.ALS(4, 1.0),
    recommend.EASE(5.0),
    recommend.Blend([recommend.EASE(5.0), recommend.ALS(4), recommend.Trend(7)], [1.0, 0.5, 2.0]),
    recommend.TwoStage(trees=5, leaf_rows=5),
]


def invent_shop(n_customers: int = 30, n_products: int = 40, weeks: int = 9, seed: int = 0) -> Shop:
    """A small shop whose customers keep to a favourite shelf; its last week lasts from Monday to Sunday."""
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


def trips(*steps: tuple) -> SequenceTask:
    """A task by hand: (who, day, items, part) per step; one letter is one item."""
    lines = [(who, day, item, part) for who, day, items, part in steps for item in items]
    return build_task(pd.DataFrame(lines, columns=["who", "day", "item", "part"]), 1)


class Given(Recommender):
    """A model whose scores are given, one row for each row of the task."""

    name = "given"

    def __init__(self, table):
        self.table = table

    def _learn(self, task, part):
        pass

    def _score(self, task, rows):
        return self.table[rows]


@pytest.fixture(scope="module")
def task():
    return recommend.task(invent_shop(), SPLIT, "product_id", 3)


def test_a_trip_is_a_set_of_one_household_and_day():
    shop = invent_shop()
    shuffled = shop.with_tables(orders=shop.orders.sample(frac=1, random_state=1).reset_index(drop=True))
    one, other = (recommend.task(s, SPLIT, "product_id", 3) for s in (shop, shuffled))
    assert (one.baskets != other.baskets).nnz == 0
    assert set(np.unique(one.baskets.data)) == {1.0}
    days = shop.orders.assign(day=shop.orders["timestamp"].dt.normalize())
    assert one.baskets.shape[0] == len(days[["customer_id", "day"]].drop_duplicates())


def test_parts_and_cutoffs_by_hand():
    task = trips(
        (1, 0, "ab", TRAIN), (1, 3, "b", TRAIN), (1, 5, "a", TEST), (2, 1, "ab", TRAIN), (2, 9, "a", HISTORY)
    )
    assert task.targets("train").tolist() == [1]  # the first trip of a household has nothing before it
    assert task.cutoffs("test").tolist() == [1]
    assert task.start.tolist() == [0, 0, 0, 3, 3]
    assert task.counts("train").tolist() == [2, 3]
    assert task.items["count"].tolist() == [2, 3]
    np.testing.assert_allclose(task.context[:, 0], np.log1p([0, 3, 2, 0, 8]), rtol=1e-6)
    np.testing.assert_allclose(task.context[:, 1], np.log1p([2, 1, 1, 2, 1]), rtol=1e-6)
    assert task.context[:, 2:].argmax(axis=1).tolist() == [0, 3, 5, 1, 2]
    with pytest.raises(BadValue, match="no part 'later'"):
        task.cutoffs("later")


def test_the_split_is_counted_from_the_shops_own_end(task):
    assert [task.day[task.rows(part)].min() for part in ("train", "valid", "test")] == [0, 42, 49]
    assert not (task.part == HISTORY).any()
    end = recommend.task(invent_shop(), Split.last("14D", "7D", end="2024-02-25"), "product_id", 3)
    assert end.day[end.rows("test")].max() == 55
    assert (end.part[end.day > 55] == HISTORY).all()


def test_a_shop_of_two_years_is_tested_on_its_last_weeks():
    shop = invent_shop(10, 8, 104)
    task = recommend.task(shop, Split.last(), "product_id")
    assert task.day[task.rows("test")].min() == 104 * 7 - 56
    assert task.day[task.rows("train")].max() == 104 * 7 - 56 - 28 - 1


@pytest.mark.parametrize("half_life", [None, 10.0])
def test_history_is_a_loop_over_earlier_trips(task, half_life):
    got = history(task, task.targets("test")[:20], half_life).toarray()
    for row, found in zip(task.targets("test")[:20], got, strict=True):
        expected = np.zeros(task.n_items)
        for step in range(task.start[row], row):
            age = task.day[row] - task.day[step]
            weight = 1 if half_life is None else 0.5 ** (age / half_life)
            expected += weight * task.baskets[step].toarray()[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_sequence_counts_are_those_of_one_part():
    task = trips((1, 0, "ab", TRAIN), (1, 3, "b", TRAIN), (1, 5, "a", VALID), (2, 1, "a", VALID))
    assert sequence_counts(task).toarray().tolist() == [[1, 2], [0, 0]]
    assert sequence_counts(task, "valid").toarray().tolist() == [[1, 0], [1, 0]]


def test_recent_counts_leave_out_the_day_itself(task):
    days = np.array([20, 0, 3])
    for got, day in zip(recent_counts(task, days, 7), days, strict=True):
        window = (task.day >= day - 7) & (task.day < day)
        np.testing.assert_array_equal(got, np.asarray(task.baskets[window].sum(axis=0)).ravel())


def test_trend_by_hand():
    steps = [(who, day, item, TRAIN) for day in range(20) for who, item in ((0, "a"), (1, "b"))]
    even = trips(*steps)
    np.testing.assert_allclose(trend(even, np.arange(5, 20), 7), 0, atol=1e-6)
    late = trips(*steps, *[(who, 20, "a", TEST) for who in (0, 1, 2)], (3, 21, "a", TEST))
    # On the day before: 3 a, no b; each has half of the usual sales.
    expected = np.log([[(3 + 5) / (1.5 + 5), (0 + 5) / (1.5 + 5)]])
    np.testing.assert_allclose(trend(late, np.array([len(late.who) - 1]), 1), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, 30), (4, 3000), (3, 2561), (3, 5)])
def test_top_k_equals_a_full_sort(shape):
    scores = np.random.default_rng(0).permuted(np.arange(np.prod(shape)).reshape(shape), axis=1) * 1.0
    np.testing.assert_array_equal(top_k(scores, 10), np.argsort(-scores, axis=1)[:, :10])


def test_serving_in_blocks_equals_one_sort():
    rng = np.random.default_rng(0)
    states, vectors = rng.normal(size=(150, 6)), rng.normal(size=(3000, 6))
    expected = np.argsort(-(states @ vectors.T), axis=1)[:, :20]
    np.testing.assert_array_equal(best_items(states, vectors), expected)


# ------------------------------------------------------------------------------------------ evaluation


@pytest.mark.parametrize("question", ["whole", "discovery"])
def test_metrics_equal_scikit_learns(task, question):
    asked, cutoffs = task.ask(question), task.cutoffs("test")
    model = Given(np.random.default_rng(0).random((len(task.who), task.n_items)).astype(np.float32)).fit(task)
    ranking = recommend.Ranking.of(asked, model.predict(asked, cutoffs), cutoffs)
    got = ranking.per_row()
    scores, right = model.table[ranking.rows], task.baskets[ranking.rows].toarray() > 0
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


def test_metrics_by_hand():
    """Twelve items a to l, a on four training trips, b on two, the others on one; then b and l are bought."""
    task = trips(
        (1, 0, "ab", TRAIN),
        (1, 1, "a", TRAIN),
        (1, 2, "bl", TEST),
        (2, 0, "abcdefghijkl", TRAIN),
        (2, 1, "a", TRAIN),
    )
    lists = np.array([[2, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0]])  # c b d ... k l a: b is second, l eleventh
    ranking = recommend.Ranking.of(task, lists, [1])
    gain = 1 / np.log2(np.arange(2, 4))
    expected = {
        "recall@10": 1 / 2,
        "recall@20": 1,
        "ndcg@10": gain[1] / gain.sum(),  # the best list has both hits in front
        "mrr@20": 1 / 2,
        "novelty@10": 9 / 10,  # all but b
        "popularity@10": (2 / 4 + 9 * 1 / 4) / 10,
    }
    assert ranking.per_row().iloc[0].to_dict() == pytest.approx(expected)
    assert ranking.size.tolist() == [2] and ranking.hits[0].nonzero()[0].tolist() == [1, 10]
    assert ranking.new[0].tolist() == [True, False, *[True] * 9, False]
    assert ranking.coverage() == pytest.approx(10 / 12)
    assert ranking.coverage(3) == pytest.approx(3 / 12)
    fresh = recommend.Ranking.of(task.ask("discovery"), lists, [1])  # only l is new
    assert fresh.size.tolist() == [1] and fresh.hits[0].nonzero()[0].tolist() == [10]
    assert fresh.per_row()["recall@10"].tolist() == [0] and fresh.per_row()["mrr@20"].tolist() == [1 / 11]


def test_ideal_of_a_long_basket_is_ten_hits():
    items = "abcdefghijklm"
    task = trips((1, 0, "a", TRAIN), (2, 0, items, TRAIN), (1, 1, items, TEST))
    ranking = recommend.Ranking.of(task, np.arange(13)[None], [0])
    assert ranking.per_row()["ndcg@10"].tolist() == pytest.approx([1.0])
    assert ranking.per_row()["recall@10"].tolist() == pytest.approx([10 / 13])


def test_each_list_has_its_own_metrics_and_weeks_are_drawn_beside_households(task):
    cutoffs = task.cutoffs("test")
    lists = np.stack([np.random.default_rng(i).permutation(task.n_items)[:20] for i in range(len(cutoffs))])
    ranking = recommend.Ranking.of(task, lists, cutoffs)
    rows = ranking.per_row()
    np.testing.assert_allclose(rows["novelty@10"], [row[:10].mean() for row in ranking.new])
    shares = [ranking.share[row[:10]].mean() for row in ranking.lists]
    np.testing.assert_allclose(rows["popularity@10"], shares)
    assert rows["popularity@10"].nunique() > 1
    drawn = Draws.of(task.who[ranking.rows], task.day[ranking.rows] // 7, 20, 3)
    found = recommend.draws(task, lists, n=20, seed=3)
    np.testing.assert_allclose(found["recall@10"], drawn.means(rows["recall@10"].to_numpy()))
    table = recommend.evaluate(task, {"random": lists}, n=20, seed=3)
    low = table.set_index("metric").loc["recall@10", "low"]
    assert low == pytest.approx(np.quantile(found["recall@10"][1:], 0.025))


def test_days_0_to_6_are_a_week():
    """The only household is hit on days 6 and 7, not on day 8, which is in the week of day 7."""
    task = trips((1, 0, "ab", TRAIN), (1, 6, "a", TEST), (1, 7, "a", TEST), (1, 8, "b", TEST))
    recall = recommend.draws(task, np.zeros((3, 1), int), n=200)["recall@10"]
    assert recall[0] == pytest.approx(2 / 3) and set(recall[1:].round(3)) == {0.5, 0.667, 1.0}


def test_draws_are_of_whole_households():
    """Household 1 is hit on both of its trips, household 2 on none of its two."""
    steps = [
        (who, day, item, part)
        for who, item in ((1, "a"), (2, "b"))
        for day, part in enumerate((TRAIN, TEST, TEST))
    ]
    task = trips(*steps, (3, 0, "c", TRAIN))
    lists = np.zeros((4, 1), int)
    recall = recommend.draws(task, lists, n=200)["recall@10"]
    assert recall[0] == 0.5 and len(recall) == 201
    assert set(recall[1:]) == {0.0, 0.5, 1.0}  # a draw of single trips would also give 0.25 and 0.75
    table = recommend.evaluate(task, {"all a": lists, "right": np.array([[0], [0], [1], [1]])}, n=200)
    value = table.set_index(["model", "metric"])["value"]
    assert value["all a", "recall@10"] == 0.5 and value["all a", "recall@10 / best"] == 0.5
    assert recommend.advice(table).startswith("Use all a: recall@10 0.5, level with right")


def test_discovery_is_scored_where_something_is_new():
    task = trips((1, 0, "ab", TRAIN), (1, 1, "a", TEST), (1, 2, "ac", TEST), (2, 0, "c", TRAIN)).ask(
        "discovery"
    )
    lists = recommend.Popularity().fit(task).predict(task, task.cutoffs("test"))
    assert lists[:, 0].tolist() == [2, 2]  # c is the only one that is new to household 1
    ranking = recommend.Ranking.of(task, lists, task.cutoffs("test"))
    assert ranking.rows.tolist() == [2] and ranking.hits[0].tolist() == [True, False, False]
    same = trips((1, 0, "ab", TRAIN), (1, 1, "a", TEST)).ask("discovery")
    with pytest.raises(TooShort, match="no target step has an answer to the question 'discovery'"):
        recommend.Ranking.of(same, lists[:1], same.cutoffs("test"))


def test_ties_gain_nothing(task):
    flat = Given(np.zeros((len(task.who), task.n_items), np.float32)).fit(task)
    recall = recommend.draws(task, flat.predict(task, task.cutoffs("test")))["recall@10"][0]
    assert recall == pytest.approx(10 / task.n_items, rel=0.25)


def test_scores_that_are_no_numbers_are_refused(task):
    table = np.zeros((len(task.who), task.n_items), np.float32)
    table[task.targets("test")[-1], 3] = np.nan
    with pytest.raises(BadValue, match="given: some scores are NaN"):
        Given(table).fit(task).predict(task, task.cutoffs("test"))


# ------------------------------------------------------------------------------------------- baselines


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_models_score_every_item_and_keep_no_task(task, model):
    scores = model.fit(task).scores(task, task.targets("test")[:7])
    assert scores.shape == (7, task.n_items)
    assert np.isfinite(scores).all()
    assert isinstance(model.name, str)
    assert not any(isinstance(value, SequenceTask) for value in vars(model).values())


@pytest.mark.parametrize("model", MODELS, ids=repr)
@pytest.mark.parametrize(("n_customers", "n_products"), [(30, 5), (4, 40), (2, 3)])
def test_few_items_and_few_households(model, n_customers, n_products):
    task = recommend.task(invent_shop(n_customers, n_products), SPLIT, "product_id")
    for question in ("whole", "discovery"):
        asked = task.ask(question)
        lists = model.fit(asked).predict(asked, asked.cutoffs("test"))
        assert lists.shape == (len(asked.cutoffs("test")), min(task.n_items, 20))
        assert all(len(set(row)) == len(row) for row in lists)
    table = recommend.evaluate(task, {"model": model.predict(task, task.cutoffs("test"))}, n=20)
    assert table["value"].between(0, 1).all()


def test_a_model_of_other_items_is_refused(task):
    other = recommend.task(invent_shop(n_products=30), SPLIT, "product_id", 3)
    with pytest.raises(BadValue, match="fitted on other items"):
        recommend.Popularity().fit(other).scores(task, task.targets("test"))


def test_popularity_by_hand():
    task = trips((1, 0, "ab", TRAIN), (2, 3, "b", TRAIN), (2, 9, "a", VALID), (2, 10, "b", TEST))
    rows = np.array([2, 3])
    assert recommend.Popularity().fit(task).scores(task, rows).tolist() == [[1, 2], [1, 2]]
    recent = recommend.Popularity(7).fit(task).scores(task, rows)
    np.testing.assert_allclose(recent, [[0, 1], [1, 1]], atol=1e-5)
    assert recommend.Popularity().fit(task, "valid").scores(task, rows).tolist() == [[1, 0], [1, 0]]


def test_markov_by_hand():
    """After a comes b on one of two trips that hold a; the chain reads the last trip only."""
    task = trips(
        (1, 0, "a", TRAIN), (1, 1, "b", TRAIN), (1, 2, "a", TRAIN), (1, 3, "a", TRAIN), (1, 4, "b", TEST)
    )
    scores = recommend.Markov(smooth=0).fit(task).scores(task, np.array([4, 2]))
    np.testing.assert_allclose(scores, [[1 / 2, 1 / 2], [1, 0]], atol=2e-3)


def test_tifu_by_hand():
    """Two trips in one group: the older one counts `within` times less."""
    task = trips(
        (0, 0, "a", TRAIN), (0, 1, "b", TRAIN), (0, 2, "a", TEST), (1, 0, "a", TRAIN), (1, 1, "b", TRAIN)
    )
    model = recommend.TIFUKNN(k=1, own=1.0, group=7, within=0.5).fit(task)
    np.testing.assert_allclose(np.exp(model.scores(task, np.array([2]))), [[1 / 3, 2 / 3]], rtol=1e-3)
    model = recommend.TIFUKNN(k=1, own=0.0, group=1, across=0.25).fit(task)  # the other household alone
    np.testing.assert_allclose(np.exp(model.scores(task, np.array([2]))), [[1 / 5, 4 / 5]], rtol=1e-3)


def test_tifu_learns_from_the_training_part_only():
    steps = ((0, 0, "a", TRAIN), (0, 1, "b", VALID), (0, 2, "b", TEST), (0, 3, "b", HISTORY))
    task = trips(*steps, (1, 0, "b", TRAIN), (1, 1, "a", VALID), (1, 2, "a", TEST), (1, 9, "a", HISTORY))
    model = recommend.TIFUKNN(k=1, own=0.0).fit(task)
    np.testing.assert_allclose(np.exp(model.scores(task, np.array([1, 5]))), [[0, 1], [1, 0]], atol=2e-4)


# ------------------------------------------------------------------------------- time that never leaks


@cache
def two_futures():
    """The shop as it is, and with everything from CUTOFF on changed."""
    shop = invent_shop()
    return [recommend.task(each, SPLIT, "product_id", 3) for each in (shop, change_after(shop, CUTOFF))]


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_the_future_changes_no_score(model):
    """Change all orders from a day of the test weeks on: vocabulary and scores up to that day stay."""
    results = []
    for task in two_futures():
        limit = (pd.Timestamp(CUTOFF) - pd.Timestamp("2024-01-01")).days
        rows = np.array([r for r in task.targets("test") if task.day[r] < limit])
        assert len(rows) > 20
        fitted = model.fit(task)
        results.append([task.items["item"].to_numpy(), task.names[task.who[rows]], fitted.scores(task, rows)])
    assert_identical(*results)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_the_trip_itself_changes_no_score(task, model):
    """Change what is bought from one trip on: the scores of this very trip stay."""
    row = int(task.targets("test")[40])
    baskets = task.baskets.copy()
    later = task.day[np.repeat(np.arange(len(task.who)), np.diff(baskets.indptr))] >= task.day[row]
    baskets.indices[later] = np.random.default_rng(0).integers(0, task.n_items, later.sum())
    changed = SequenceTask(baskets, task.who, task.day, task.part, task.items, task.names)
    assert_identical(*(model.fit(t).scores(t, np.array([row])) for t in (task, changed)))


def test_the_leak_test_finds_a_planted_leak():
    class Leaky(recommend.Popularity):
        def _learn(self, task, part):
            self.total_ = np.asarray(task.baskets.sum(axis=0)).ravel()

    with pytest.raises(AssertionError):
        test_the_future_changes_no_score(Leaky())


def test_later_sales_choose_no_item():
    """Product 39 sells in the test weeks only, so it is in no vocabulary."""
    shop = invent_shop()
    late = shop.orders[shop.orders["timestamp"] >= "2024-02-19"].assign(
        product_id=39, order_id=lambda t: t.order_id + 10**6
    )
    early = shop.orders[shop.orders["product_id"] != 39]
    orders = pd.concat([early, late]).sort_values("timestamp", ignore_index=True)
    task = recommend.task(shop.with_tables(orders=orders), SPLIT, "product_id", 3)
    assert 39 not in set(task.items["item"])


def test_levels_and_side_information():
    task = recommend.task(invent_shop(), SPLIT, "category")
    assert task.items["item"].tolist() == [f"c{i}" for i in range(8)]
    assert task.items["department"].tolist() == ["d0"] * 4 + ["d1"] * 4


def test_later_sales_change_no_side_information():
    shop = invent_shop()
    one, other = (recommend.task(s, SPLIT, "category", 3) for s in (shop, change_after(shop, "2024-02-12")))
    pd.testing.assert_frame_equal(one.items, other.items)


def test_bad_input_is_named(task):
    shop = invent_shop()
    with pytest.raises(MissingColumn, match="'aisle' is missing"):
        recommend.task(shop, SPLIT, "aisle", 3)
    with pytest.raises(TooShort, match="Lower min_count"):
        recommend.task(shop, SPLIT, "product_id", 10_000)
    with pytest.raises(TooShort, match="Lower min_count"):
        recommend.task(shop, Split.last(), "product_id", 3)  # nothing is left for training
    alone = shop.with_tables(orders=shop.orders.assign(customer_id=np.arange(len(shop.orders))))
    with pytest.raises(TooShort, match="no household has a trip in the train part and one before it"):
        recommend.task(alone, SPLIT, "category")
    with pytest.raises(BadValue, match="'both' is unknown"):
        task.ask("both")
    with pytest.raises(BadValue, match="not the shape"):
        recommend.evaluate(task, {"model": np.zeros((3, 20), int)})


def test_today_is_scored_like_any_other_step(task):
    longer, cutoffs = with_today(task)
    assert len(cutoffs) == len(task.names)
    assert (longer.who[cutoffs + 1] == np.arange(len(task.names))).all()
    assert (longer.day[cutoffs + 1] == 63).all()
    np.testing.assert_array_equal(
        history(longer, cutoffs + 1).toarray(),
        np.vstack([task.baskets[task.who == who].sum(axis=0) for who in range(len(task.names))]),
    )
    model = recommend.PersonalFrequency().fit(task)
    lists = model.predict(longer, cutoffs)
    most = history(longer, cutoffs + 1).toarray()
    assert (most[np.arange(len(most)), lists[:, 0]] == most.max(axis=1)).all()


def test_the_chance_of_a_drawn_column_by_hand():
    """Items a and b are on 3 and 1 of 4 training purchases; b is held once, two negatives are drawn."""
    task = trips((1, 0, "a", TRAIN), (1, 1, "a", TRAIN), (1, 2, "ab", TRAIN))
    power = np.array([3.0, 1.0]) ** 0.75
    columns, log_pi = draw_columns(task, np.array([0, 1]), 2, 2, 0.75, np.random.default_rng(0))
    missed = (1 - np.array([3, 1]) / 4) ** 2 * (1 - power / power.sum()) ** 2
    assert columns.tolist() == [0, 1]
    np.testing.assert_allclose(log_pi, np.log(1 - missed), rtol=1e-5)


def test_keep_largest_keeps_the_largest_of_each_row():
    table = sparse.csr_matrix(np.array([[3.0, 1, 2], [0, 5, 0]]))
    from ecomlib.recommend.baselines import cosine_neighbours, keep_largest

    assert keep_largest(table, 2).toarray().tolist() == [[3, 0, 2], [0, 5, 0]]
    ties = sparse.csr_matrix(np.array([[1.0, 2, 1, 2, 1, 3], [0, 1, 1, 0, 1, 1]]))
    kept = keep_largest(ties, 4)  # the first ones of equal ones
    assert kept.indices[:4].tolist() == [0, 1, 3, 5] and kept.indices[4:].tolist() == [1, 2, 4, 5]
    near = cosine_neighbours(sparse.csr_matrix(np.array([[1.0, 1, 0], [0, 1, 1]])), k=2, shrink=0.0).toarray()
    np.testing.assert_allclose(near, [[0, 0.5**0.5, 0], [0.5**0.5, 0, 0.5**0.5], [0, 0.5**0.5, 0]])


def test_the_chain_runs_forwards():
    """After a came b, after b came c; nothing came before a."""
    task = trips((1, 0, "a", TRAIN), (1, 1, "b", TRAIN), (1, 2, "c", TRAIN))
    scores = recommend.Markov(smooth=1e-6).fit(task).scores(task, np.array([1, 2]))
    np.testing.assert_allclose(scores, [[0, 1, 0], [0, 0, 1]], atol=2e-3)
