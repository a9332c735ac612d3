"""Own habits: what was bought before a step, by a loop over earlier trips, and each number by hand."""

import numpy as np
import pytest
from test_recommend import SPLIT, invent_shop, trips

from ecomlib import recommend
from ecomlib.recommend.habits import Purchases
from ecomlib.recommend.history import history
from ecomlib.recommend.task import TRAIN


@pytest.fixture(scope="module")
def task():
    return recommend.task(invent_shop(), SPLIT, "product_id", 3)


def test_what_was_bought_before_is_a_loop_over_earlier_trips(task):
    rows = np.random.default_rng(0).choice(task.targets("test"), 60)
    at, latest = task.purchases.before(rows)
    found = {(n, task.purchases.item[e]): e for n, e in zip(at, latest, strict=True)}
    assert len(found) == len(at)
    for n, row in enumerate(rows):
        for item in range(task.n_items):
            steps = [s for s in range(task.start[row], row) if task.baskets[s, item]]
            assert ((n, item) in found) == bool(steps)
            if steps:
                e = found[n, item]
                assert task.purchases.row[e] == steps[-1] and task.purchases.count[e] == len(steps)
                assert task.purchases.began[e] == task.day[steps[0]]


def test_the_weighted_counts_are_those_of_the_history(task):
    rows = task.targets("test")[:40]
    at, latest = task.purchases.before(rows)
    habits = task.purchases.habits(rows, at, latest)
    for k, half_life in enumerate(Purchases.HALF_LIVES):
        expected = np.log1p(20 * history(task, rows, half_life).toarray())[at, task.purchases.item[latest]]
        np.testing.assert_allclose(habits[:, k], expected, rtol=1e-4)


def test_the_five_other_habits_by_hand():
    # Bought on days 0, 2 and 8, the household came on day 9, too, and now it is day 14.
    task = trips(
        (1, 0, "a", TRAIN), (1, 2, "ab", TRAIN), (1, 8, "a", TRAIN), (1, 9, "b", TRAIN), (1, 14, "b", TRAIN)
    )
    rows = np.array([4])
    at, latest = task.purchases.before(rows)
    a, b = task.purchases.habits(rows, at, latest)[:, 4:]
    expected = [np.log(4), np.log1p(20 * 3 / 4), np.log(7) - 3, np.log(2) - 2, np.log(7 / 5)]
    np.testing.assert_allclose(a, expected, rtol=1e-5)
    np.testing.assert_allclose(b[-1], np.log(6 / 8), rtol=1e-5)


def test_a_single_purchase_has_no_gap():
    task = trips((1, 0, "ab", TRAIN), (1, 5, "b", TRAIN), (2, 0, "a", TRAIN))
    rows = np.array([1])
    at, latest = task.purchases.before(rows)
    assert (task.purchases.habits(rows, at, latest)[:, -1] == 0).all()


def test_new_is_what_was_not_bought_before(task):
    seen = history(task, np.arange(len(task.who))).toarray() > 0
    row = np.repeat(np.arange(len(task.who)), np.diff(task.baskets.indptr))
    np.testing.assert_array_equal(task.purchases.is_new, ~seen[row, task.baskets.indices])
