"""Rivals of the recommender: ALS, EASE, blends and boosted trees, against dense solutions and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from perturb import assert_identical
from test_recommend import SPLIT, Given, invent_shop, trips

from benchmarks.quality.recommend import thinned
from ecomlib import recommend
from ecomlib.recommend.blend import METRICS, on_one_scale, tune_blend
from ecomlib.recommend.history import history, sequence_counts, trend
from ecomlib.recommend.task import HISTORY, TEST, TRAIN, VALID
from ecomlib.shop import TooShort


@pytest.fixture(scope="module")
def task():
    return recommend.task(invent_shop(), SPLIT, "product_id", 3)


def ridge_point(counts, other, alpha, penalty):
    """The x that makes sum (1 + alpha log(1 + n)) (bought - x y)^2 over all columns + penalty |x|^2 least."""
    weight = np.diag(1 + alpha * np.log1p(counts))
    left = other.T @ weight @ other + penalty * np.eye(other.shape[1])
    return np.linalg.solve(left, other.T @ weight @ (counts > 0))


def test_als_solves_the_normal_equations_of_one_customer(task):
    model, row = recommend.ALS(3, regularisation=2.0, alpha=1.5).fit(task), task.targets("test")[7]
    counts = history(task, np.array([row])).toarray()[0].astype(float)
    expected = model.points_ @ ridge_point(counts, model.points_.astype(float), 1.5, 2.0)
    np.testing.assert_allclose(model.scores(task, np.array([row]))[0], expected, rtol=1e-3, atol=1e-4)


def test_als_ends_where_households_and_items_solve_each_other(task):
    model = recommend.ALS(2, regularisation=1.0, alpha=2.0, iterations=300).fit(task)
    counts = sequence_counts(task).toarray().astype(float)
    households = np.array([ridge_point(row, model.points_.astype(float), 2.0, 1.0) for row in counts])
    items = np.array([ridge_point(column, households, 2.0, 1.0) for column in counts.T])
    np.testing.assert_allclose(model.points_, items, rtol=0.02, atol=0.01)


def test_ease_is_the_ridge_of_each_item_on_all_others(task):
    model = recommend.EASE(4.0).fit(task)
    seen = (sequence_counts(task).toarray() > 0) * 1.0
    assert (np.diag(model.weights_) == 0).all()
    for item in (0, 11, task.n_items - 1):
        others = np.delete(seen, item, axis=1)
        left = others.T @ others + 4.0 * np.eye(others.shape[1])
        expected = np.linalg.solve(left, others.T @ seen[:, item])
        np.testing.assert_allclose(np.delete(model.weights_[:, item], item), expected, rtol=1e-2, atol=1e-4)


def test_ease_scores_an_item_by_what_else_was_bought():
    """Whoever bought a bought b, too; c stands alone."""
    task = trips(
        (1, 0, "ab", TRAIN), (2, 0, "ab", TRAIN), (3, 0, "c", TRAIN), (4, 0, "a", VALID), (4, 1, "b", TEST)
    )
    model = recommend.EASE(1.0).fit(task)
    # Of each other a and b are the ridge 2 / (2 + 1).
    np.testing.assert_allclose(model.scores(task, np.array([4])), [[0, 2 / 3, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("model", "learnt"), [(recommend.ALS(2, 1.0), "points_"), (recommend.EASE(1.0), "weights_")]
)
def test_they_learn_from_the_training_part_only(model, learnt):
    steps = [(1, 0, "ab", TRAIN), (2, 0, "ac", TRAIN), (3, 0, "b", TRAIN), (3, 1, "c", TRAIN)]
    later = [(1, 3, "c", VALID), (2, 4, "b", TEST), (3, 5, "a", HISTORY), (3, 6, "b", HISTORY)]
    short, long = (getattr(model.fit(trips(*each)), learnt) for each in (steps, steps + later))
    np.testing.assert_array_equal(short, long)


# ---------------------------------------------------------------------------------------------- blends


@pytest.mark.parametrize("question", ["whole", "discovery"])
def test_a_blend_adds_z_scores_of_what_is_asked_and_the_trend_as_it_is(task, question):
    task, rows = task.ask(question), task.targets("test")[:9]
    ease, model = recommend.EASE(5.0).fit(task), recommend.Popularity().fit(task)
    got = recommend.Blend([ease, model, recommend.Trend(7)], [2, 0.5, 3]).fit(task).scores(task, rows)
    for n, row in enumerate(rows):
        asked = np.full(task.n_items, True)
        if question == "discovery":
            asked = history(task, np.array([row])).toarray()[0] == 0
        z = [each.scores(task, np.array([row]))[0] for each in (ease, model)]
        z = [(each - each[asked].mean()) / each[asked].std() for each in z]
        expected = 2 * z[0] + 0.5 * z[1] + 3 * trend(task, np.array([row]), 7)[0]
        np.testing.assert_allclose(got[n][asked], expected[asked], rtol=1e-3, atol=1e-3)


def test_scores_that_are_all_alike_stay_finite(task):
    model = Given(np.ones((len(task.who), task.n_items), np.float32)).fit(task)
    assert (on_one_scale(task, model, task.targets("test")[:5]) == 0).all()


def noisy(task, part, right):
    """A model that knows `right` of what one part's trips hold, and guesses the rest."""
    rng = np.random.default_rng(1)
    table = rng.random((len(task.who), task.n_items)).astype(np.float32)
    rows = task.rows(part)
    table[rows] += right * task.baskets[rows].toarray()
    return Given(table).fit(task)


def test_weights_are_found_on_validation(task):
    """The second model knows the validation weeks, the third only the test weeks."""
    models = [recommend.Popularity(), noisy(task, "valid", 2.0), noisy(task, "test", 9.0)]
    blend = tune_blend(task, recommend.Blend(models, [1.0, 0.0, 0.0]).fit(task))
    assert blend.weights[0] == 1 and blend.weights[1] >= 0.5 and blend.weights[2] <= 0.3


def test_no_single_step_leads_to_better_weights(task):
    models, cutoffs = [recommend.EASE(5.0), recommend.ALS(4, 1.0), recommend.Trend(7)], task.cutoffs("valid")

    def metrics(weights):
        lists = recommend.Blend(models, weights).fit(task).predict(task, cutoffs)
        return recommend.Ranking.of(task, lists, cutoffs).per_row()[METRICS].mean()

    begun = [1.0, 0.0, 0.0]
    found, start = tune_blend(task, recommend.Blend(models, begun).fit(task)).weights, metrics(begun)
    best = (metrics(found) / start).mean()
    assert best > 1 and found[0] == 1
    for move in (*np.eye(3)[1:] * 0.1, *np.eye(3)[1:] * -0.1):
        assert (found + move < 0).any() or (metrics(found + move) / start).mean() <= best + 1e-9


def test_the_test_weeks_choose_no_weight(task):
    baskets = task.baskets.copy()
    late = np.repeat(np.isin(task.part, (TEST, HISTORY)), np.diff(baskets.indptr))
    baskets.indices[late] = np.random.default_rng(0).integers(0, task.n_items, late.sum())
    found = []
    for each in (task, replace(task, baskets=baskets)):
        blend = recommend.Blend([recommend.EASE(5.0), recommend.ALS(4), recommend.Trend(7)], [1, 0, 0])
        found.append(tune_blend(each, blend.fit(each)).weights)
    assert found[0] == found[1] != [1, 0, 0]


# ------------------------------------------------------------------------------------------ two stages


def test_candidates_are_all_that_was_bought_and_the_best_of_the_rest(task):
    model, rows = recommend.TwoStage(new=3, trees=5, leaf_rows=5).fit(task), task.targets("test")[:30]
    owner, item = model._candidates(task, rows)
    scores = model.scores(task, rows)
    for n, row in enumerate(rows):
        seen = history(task, np.array([row])).toarray()[0] > 0
        chosen = np.isin(np.arange(task.n_items), item[owner == n])
        assert chosen[seen].all() and chosen.sum() == min(seen.sum() + 3, task.n_items)
        new = np.where(seen, -np.inf, model.new_.scores(task.ask("discovery"), np.array([row]))[0])
        assert chosen[np.argsort(-new)[: min(3, (~seen).sum())]].all()
        assert chosen.all() or scores[n][chosen].min() > scores[n][~chosen].max()


def test_features_of_one_candidate_by_hand():
    """Item a on days 0 and 4 of three trips, then a trip on day 10; b once, c by another household."""
    task = trips(
        (1, 0, "a", TRAIN), (1, 4, "ab", TRAIN), (1, 6, "b", TRAIN), (1, 10, "abc", TEST), (2, 0, "c", TRAIN),
        (2, 3, "abc", TRAIN), (2, 5, "ab", TRAIN), (2, 9, "a", TRAIN),
    )  # fmt: skip
    model = recommend.TwoStage(trees=1, leaf_rows=1).fit(task)
    x = model._features(task, np.array([3]), np.array([0, 0, 0]), np.array([0, 1, 2]))
    # times bought, of the trips, trips, days as a customer
    np.testing.assert_allclose(x[:, :4], [[2, 2 / 3, 3, 10], [2, 2 / 3, 3, 10], [0, 0, 3, 10]], rtol=1e-6)
    # days since the last time, since the first, trips since, mean gap, days since / (gap + 1), rate
    nan = [np.nan] * 6
    expected = [[6, 10, 2, 4, 6 / 5, 2 / 17], [4, 6, 1, 2, 4 / 3, 2 / 13], nan]
    np.testing.assert_allclose(x[:, 4:10], expected, rtol=1e-6)
    fade = 0.5 ** (np.array([10, 6, 4]) / 120)
    np.testing.assert_allclose(x[:, 12], [fade[0] + fade[1], fade[1] + fade[2], 0], rtol=1e-6)
    # trips of training, mean size of a trip, size of the last, log(1 + days since it), weekday
    np.testing.assert_allclose(x[0, 19:], [5, 4 / 3, 1, np.log1p(4), 3], rtol=1e-6)


def test_the_first_stage_of_the_training_rows_saw_only_earlier_weeks(task, monkeypatch):
    seen = []
    fit = recommend.TwoStage._fit_first_stage
    monkeypatch.setattr(
        recommend.TwoStage, "_fit_first_stage", lambda self, t, part: (seen.append(t), fit(self, t, part))
    )
    features = recommend.TwoStage._features
    monkeypatch.setattr(
        recommend.TwoStage,
        "_features",
        lambda self, t, rows, *pair: (seen.append(rows), features(self, t, rows, *pair))[1],  # fmt: skip
    )
    recommend.TwoStage(weeks=2, trees=2, leaf_rows=5).fit(task)
    early, rows, full = seen
    assert task.day[early.rows("train")].max() < task.day[rows].min()
    assert task.day[rows].min() >= task.day[task.rows("train")].max() - 14
    assert full is task


def test_too_few_steps_are_refused_in_one_sentence():
    task = trips((1, 0, "ab", TRAIN), (1, 1, "ab", TRAIN), (2, 0, "a", TEST))
    with pytest.raises(TooShort, match="two are needed"):
        recommend.TwoStage().fit(task)


@pytest.mark.parametrize("model", [recommend.EASE(5.0), recommend.ALS(4)], ids=repr)
def test_in_discovery_neither_the_basket_nor_later_weeks_move_a_blend(task, model):
    task = task.ask("discovery")
    row = int(task.targets("test")[40])
    baskets = task.baskets.copy()
    later = task.day[np.repeat(np.arange(len(task.who)), np.diff(baskets.indptr))] >= task.day[row]
    baskets.indices[later] = np.random.default_rng(0).integers(0, task.n_items, later.sum())
    blend = recommend.Blend([model, recommend.Trend(7)], [1, 2])
    assert_identical(
        *(blend.fit(t).scores(t, np.array([row])) for t in (task, replace(task, baskets=baskets)))
    )


def test_thinned_leaves_every_fourth_validation_trip_and_all_others(task):
    less = thinned(task, every=4)
    assert less.rows("valid").tolist() == task.rows("valid")[::4].tolist()
    assert (less.part[np.setdiff1d(task.rows("valid"), less.rows("valid"))] == HISTORY).all()
    for part in ("train", "test"):
        assert less.rows(part).tolist() == task.rows(part).tolist()
