"""The memory tasks say the truth, held gates stay held, the loop of lesson 12 is the package's."""

from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from ecomlib import gates
from ecomlib.lessons import memory_tasks

LESSON = Path(__file__).resolve().parents[1] / "notebooks" / "12_recurrence_and_gradients.ipynb"
SPEND = np.random.default_rng(0).gamma(1, 20, (30, 120)) * (np.random.default_rng(1).random((30, 120)) < 0.3)


def test_the_coupon_task_asks_for_the_brand_of_the_one_marked_leaflet():
    x, y = memory_tasks.coupon_task(SPEND, 30, 500, np.random.default_rng(0))
    assert x.shape == (500, 50, 3) and x.dtype == y.dtype == np.float32
    day = x[:, :, 2].argmax(axis=1)
    assert np.all(x[:, :, 2].sum(axis=1) == 1) and day.max() < memory_tasks.EARLY
    np.testing.assert_array_equal(y, (x[np.arange(500), day, 1] + 1) / 2)
    assert 0.4 < y.mean() < 0.6


def test_the_stamp_card_counts_since_it_was_emptied():
    x, y = memory_tasks.stamp_card_task(SPEND, 20, np.random.default_rng(0))
    for row, answers in zip(x, y, strict=True):
        card = 0
        for (bought, emptied), answer in zip(row, answers, strict=True):
            card = 0 if emptied else card + bought
            assert answer == (card >= 5)


def test_the_till_hears_a_yes_only_for_the_coupon_it_asks_for():
    x, y = memory_tasks.two_coupons_task(SPEND, 50, np.random.default_rng(0))
    told = x[:, :, 1:3].sum(axis=1)  # -1 or 1 for each coupon
    asked = x[:, :, 3:]
    np.testing.assert_array_equal(y, (asked * (told[:, None] > 0)).sum(axis=2))
    assert not asked[:, :5].any() and set(np.unique(told)) == {-1, 1}


def test_daily_spend_adds_up_orders():
    when = pd.to_datetime(["2024-01-01 09:00", "2024-01-01 18:00", "2024-01-04 12:00"])
    orders = pd.DataFrame({"customer_id": [7, 7, 7], "timestamp": when, "revenue": [1.0, 2.0, 4.0]})
    np.testing.assert_array_equal(memory_tasks.daily_spend(orders, min_days=2), [[3, 0, 0, 4]])
    assert memory_tasks.daily_spend(orders, min_days=3).shape == (0, 4)


def test_chrono_spreads_the_memories():
    weights = gates.init_weights("lstm", 3, 200, seed=0)
    memory_tasks.chrono_init(weights, 100, seed=0)
    remembered = 1 / (1 - gates.sigmoid(weights[2][200:400]))
    assert 2 <= remembered.min() < 8 and 92 < remembered.max() <= 100.1
    np.testing.assert_array_equal(weights[2][:200], -weights[2][200:400])


def test_households_are_tested_or_trained_on_never_both():
    spend = np.arange(30)[:, None]
    train, test = memory_tasks.split_households(spend, n_test=8)
    assert len(test) == 8 and set(train.ravel()) | set(test.ravel()) == set(range(30)) and len(train) == 22


def test_accuracy_counts_yes_and_no_alike():
    """Three yes, one of them right; one no, which is right: (1/3 + 1) / 2."""
    w = [np.array([[1.0]]), np.zeros((1, 1)), np.zeros(1)]
    x, y = np.array([1.0, -1, -1, -1]).reshape(4, 1, 1), np.array([1.0, 1, 1, 0])
    found = memory_tasks.unseen_accuracy("rnn", x, y, w, np.array([1.0, 0]))
    assert found == pytest.approx(2 / 3)
    assert memory_tasks.unseen_accuracy("rnn", x, y[:, None], w, np.array([1.0, 0])) == found


@pytest.mark.parametrize("held", memory_tasks.ABLATIONS[1:])
def test_a_held_gate_stays_where_it_is(held):
    gate, value = held
    weights = gates.init_weights("lstm", 2, 4, seed=0)
    learn = memory_tasks.hold_gate(weights, gate, value)
    memory_tasks.cut_recurrence(weights, learn)
    before = weights[0].copy()
    memory_tasks.train_cell(
        "lstm",
        lambda n, rng: memory_tasks.stamp_card_task(SPEND, n, rng, steps=8),
        weights,
        updates=5,
        learn=learn,
    )
    assert not np.array_equal(weights[0], before) and not weights[1].any()
    _, cache = gates.lstm_forward(
        memory_tasks.stamp_card_task(SPEND, 3, np.random.default_rng(1))[0], weights
    )
    np.testing.assert_allclose(cache[gate[0]], value, atol=1e-6)


def test_adam_clips_the_common_norm_and_goes_downhill():
    weights = [np.array([3.0]), np.array([-4.0])]
    optimiser = memory_tasks.Adam(weights, rate=0.1)
    norms = [optimiser.step([w.copy() for w in weights])]
    # the first running mean is a tenth of the clipped gradient, whose length is 1
    np.testing.assert_allclose(optimiser.mean, [[0.1 * 3 / 5], [-0.1 * 4 / 5]])
    norms += [optimiser.step([w.copy() for w in weights]) for _ in range(200)]
    assert norms[0] == pytest.approx(5) and norms[-1] < 0.5


def test_a_short_lag_is_learnt():
    weights = gates.init_weights("lstm", 2, 8, seed=0)
    memory_tasks.chrono_init(weights, 15, seed=0)
    _, losses = memory_tasks.train_cell(
        "lstm",
        lambda n, rng: memory_tasks.stamp_card_task(SPEND, n, rng, steps=15, full=3),
        weights,
        0.02,
        150,
    )
    assert losses[-10:].mean() < 0.5 * losses[:10].mean()


def test_the_loop_taught_in_the_lesson_is_the_packages():
    source = next(c.source for c in nbformat.read(LESSON, 4).cells if c.source.startswith("def train_reader"))
    space = {
        "np": np,
        "gates": gates,
        "memory_tasks": memory_tasks,
        "train": SPEND,
        "LAG": 10,
        "SEED": 3,
    }
    exec(source, space)  # the lesson's own cell
    for kind in ("rnn", "lstm"):
        ours, theirs = (gates.init_weights(kind, 3, 16, seed=0) for _ in range(2))
        head, losses = space["train_reader"](kind, ours, 0.01, 5)
        same_head, same_losses = memory_tasks.train_cell(
            kind, lambda n, rng: memory_tasks.coupon_task(SPEND, 10, n, rng), theirs, 0.01, 5, seed=3
        )
        np.testing.assert_allclose(losses, same_losses, atol=1e-5)
        np.testing.assert_allclose(head, same_head, atol=1e-5)
