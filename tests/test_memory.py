"""The memory tasks say the truth, held gates stay held, the loop of lesson 12 is the package's."""

from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from benchmarks.quality import memory
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
    rare = pd.DataFrame({"customer_id": [3], "timestamp": when[:1], "revenue": [9.0]})
    spend = memory_tasks.daily_spend(pd.concat([orders, rare]), min_days=2)
    np.testing.assert_array_equal(spend, [[3, 0, 0, 4]])
    assert list(spend.index) == [7]  # the row keeps its household's number
    assert memory_tasks.daily_spend(orders, min_days=3).shape == (0, 4)


def test_chrono_spreads_the_memories():
    weights = gates.init_weights("lstm", 3, 200, seed=0)
    memory_tasks.chrono_init(weights, 100, seed=0)
    remembered = 1 / (1 - gates.sigmoid(weights[2][200:400]))
    assert 2 <= remembered.min() < 8 and 92 < remembered.max() <= 100.1
    np.testing.assert_array_equal(weights[2][:200], -weights[2][200:400])


def test_a_household_trains_chooses_or_tests():
    parts = memory_tasks.split_households(np.arange(30)[:, None], n=8)
    assert [len(part) for part in parts] == [14, 8, 8]
    assert sorted(np.concatenate(parts).ravel()) == list(range(30))


def test_the_starts_differ_by_their_biases_only():
    """The forget gate's chrono start has chrono's forget biases, and input gates that are half open."""
    starts = {start: memory_tasks.coupon_weights(start, 50, seed=3) for start in memory_tasks.STARTS}
    usual = starts["lstm, forget bias 1"][1]
    for start, (kind, weights) in starts.items():
        assert kind == start[: len(kind)]
        if kind == "lstm":
            np.testing.assert_array_equal(weights[0], usual[0])
            np.testing.assert_array_equal(weights[2][32:], 0)
    for bias in (0, 1, 3):
        np.testing.assert_array_equal(starts[f"lstm, forget bias {bias}"][1][2][16:32], bias)
    alone, both = (starts[f"lstm, {name}"][1][2] for name in ("chrono forget gate", "chrono"))
    np.testing.assert_array_equal(alone[16:32], both[16:32])
    assert not alone[:16].any() and (both[:16] <= 0).all() and both[16:32].max() < np.log(70)


def test_the_recurrent_weights_are_cut_or_not():
    task = "stamp card"
    for recurrent in (True, False):
        weights, learn = memory_tasks.held_weights(task, ("forget", 1), recurrent, seed=0)
        assert weights[1].any() == learn[1].any() == recurrent
        assert (weights[2][8:16] == 30).all() and not learn[2][8:16].any() and learn[2][:8].all()
    weights, learn = memory_tasks.held_weights(task, None, True, seed=0)
    assert all(part.all() for part in learn) and weights[0].shape == (2, 32)


def rates_that(scores):
    """A fit whose accuracy after both updates is known: {rate: by seed}; the test's is always 0."""
    asked = []

    def fit(rate, seed):
        asked.append((rate, seed))
        return np.array([[scores[rate][seed], 0], [scores[rate][seed] - 0.01, 0]])

    return fit, asked


def test_a_search_ends_when_a_rate_is_right_with_every_seed():
    fit, asked = rates_that({0.1: [0.5] * 5, 0.2: [1] * 5, 0.3: [1] * 5})
    found = memory.search(fit, range(5), (0.1, 0.2, 0.3))
    assert asked == [(0.1, 0), (0.1, 1)] + [(0.2, seed) for seed in range(5)]
    assert list(found) == [(0.1, 600), (0.1, 1200), (0.2, 600), (0.2, 1200)]
    assert found[0.2, 1200].tolist() == [[0.99, 0]] * 5


def test_a_search_gives_the_best_two_rates_every_seed_and_two_lucky_seeds_do_not_win():
    scores = {0.1: [1, 1, 0.5, 0.5, 0.5], 0.2: [0.8] * 5, 0.3: [0.6] * 5, 0.4: [0.9] * 5}
    fit, asked = rates_that(scores)
    found = memory.search(fit, range(5), tuple(scores))
    assert [len(found[rate, 600]) for rate in scores] == [5, 5, 2, 5]
    assert len(asked) == len(set(asked)) == 17
    rows = memory.search_rows("lstm", found, 5, lag=10)
    assert (rows[0]["rate"], rows[0]["updates"], rows[0]["value"]) == (0.4, 600, 0)  # the test's own figure
    assert [row["metric"] for row in rows[2:]] == ["accuracy, choosing"] * 8
    assert [row["seeds"] for row in rows[2:]] == [5, 5, 5, 5, 2, 2, 5, 5]


@pytest.mark.parametrize(
    ("best", "top", "asked"),
    [(0.001, 0.6, (0.001, 0.0003)), (0.03, 0.6, (0.03, 0.1)), (0.003, 0.6, (0.003,)), (0.03, 1, ())],
    ids=["smallest rate", "largest rate", "most updates", "right"],
)
def test_an_arm_that_is_best_at_an_edge_of_its_search_and_not_right_is_searched_on(best, top, asked):
    def one(rate, seed, updates=memory.UPDATES):
        later = len(updates) > 2
        wider.update([rate] * later)
        return np.array([[(top if rate == best else 0.5) + k / 100, k] for k in range(len(updates))])

    wider = Counter()
    found = memory.wider_search(one, range(5), memory.RATES)
    assert wider == dict.fromkeys(asked, 5)
    chosen = memory.best_setting(found, 5)
    assert chosen == ((best, 4800) if asked else (best, 1200))
    assert len(found) == {2: 14, 1: 10, 0: 6}[len(asked)]


@pytest.mark.parametrize(("top", "n"), [(0.55, 2), (0.8, 5)], ids=["all is chance", "one rate is more"])
def test_where_all_is_chance_every_rate_gets_more_updates(top, n):
    """Two seeds look at each rate, and all of them at the best ones if one is more than chance."""

    def one(rate, seed, updates=memory.UPDATES):
        return np.array([[top if rate == 0.1 and k > 2 else 0.5, k] for k in range(len(updates))])

    found = memory.wider_search(one, range(5), memory.RATES)
    assert {rate for rate, done in found if done == 4800} == {*memory.RATES, 0.0003, 0.1}
    assert len(found[0.1, 4800]) == n and len(found[0.0003, 4800]) == 2
    assert memory.best_setting(found, 5) == ((0.1, 4800) if n == 5 else (0.01, 600))


def test_a_wider_search_loses_no_seed():
    """At the largest rate the first two seeds of five fail; a second look at it ends after them."""

    def one(rate, seed, updates=memory.UPDATES):
        score = 1.0 if rate == 0.1 or seed > 1 else 0.5
        return np.array([[score * (rate >= 0.03), 0]] * len(updates))

    found = memory.wider_search(one, range(5), memory.RATES)
    assert len(found[0.03, 600]) == len(found[0.1, 600]) == 5
    assert memory.best_setting(found, 5) == (0.1, 600)


def test_an_arm_that_is_best_inside_its_search_is_not_searched_on():
    def one(rate, seed, updates=memory.UPDATES):
        return np.array([[0.6 * (rate == 0.003) - k / 100, k] for k in range(len(updates))])

    assert len(memory.wider_search(one, range(5), memory.RATES)) == 8


def test_what_is_chosen_and_what_is_tested_are_other_households(monkeypatch):
    """Training sees the first part; the accuracies are of the second and of the third part, in this order."""
    parts, seen = tuple(np.full((4, 40), k) for k in range(3)), []

    def draw(spend, n, rng):
        seen.append((int(spend[0, 0]), n))
        return np.full((n, 3, 1), spend[0, 0], float), np.arange(n) % 2.0

    def right_at_once(kind, x, y, weights, head):
        return 1.0 if x[0, 0, 0] == 1 else 0.7

    monkeypatch.setattr(memory_tasks, "unseen_accuracy", right_at_once)
    weights = gates.init_weights("lstm", 1, 4, seed=0)
    found = memory.accuracies(parts, draw, 6, 0, (2, 4), kind="lstm", weights=weights, rate=0.01)
    assert found.tolist() == [[1.0, 0.7]] * 2
    assert seen == [(1, 6), (2, 6), (0, 64), (0, 64)]  # right after two updates: no third


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


@pytest.mark.parametrize("number", ["12", "13", "14"])
def test_one_household_runs_through_the_lessons(number):
    cells = nbformat.read(next(LESSON.parent.glob(f"{number}_*.ipynb")), 4).cells
    parameters = next(c.source for c in cells if "parameters" in c.metadata.get("tags", []))
    space: dict = {"np": np}
    exec(parameters, space)
    assert space["HOUSEHOLD"] == 13
