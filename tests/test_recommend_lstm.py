"""The LSTM recommender: windows, padding, the loss by hand, drawn negatives, and no look into the future."""

import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical
from test_recommend import CUTOFF, WEEKS, invent_shop, two_futures

from ecomlib.recommend import prepare, rank
from ecomlib.recommend_lstm import NextItems, bag_loss, windows
from ecomlib.shop import BadValue

OPTIONS = {"units": 8, "size": 6, "dropout": 0.0}
KINDS = {
    "discovery": {"question": "discovery", "profile": True, "trend_days": 7},
    "whole": {"question": "whole", "half_lives": (7.0, 60.0), "scale": 8.0},
    "next": {"question": "next"},
}


@pytest.fixture(scope="module")
def task():
    return prepare(invent_shop(), "product_id", 3, **WEEKS)


def test_windows_hold_every_target_once_after_enough_steps(task):
    rows = task.targets("train")
    cut = windows(task, rows, span=5, burn=4)
    np.testing.assert_array_equal(cut.rows, rows)
    for w in range(len(cut.first)):
        own = cut.rows[cut.edge[w] : cut.edge[w + 1]]
        assert len(own) <= 5 and cut.length[w] <= 9
        assert cut.first[w] + cut.length[w] == own[-1]
        assert (task.start[own] == task.start[cut.first[w]]).all()
        assert (own[0] - cut.first[w] >= 4) or cut.first[w] == task.start[own[0]]


def test_bag_loss_by_hand():
    logits = np.array([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0], [3.0, 1.0, 0.0]], np.float32)
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = (-(np.log(share[0, 0]) + np.log(share[0, 2])) / 2 - np.log(share[2, 1])) / 2
    right = np.array([[0, 0], [0, 2], [2, 1]], np.int32)  # row 1 has no target and does not count
    assert float(bag_loss(right, logits)) == pytest.approx(expected, rel=1e-5)


def test_drawn_negatives_stand_for_those_left_out():
    """Averaged over draws, the corrected sum of exponentials is that of the full softmax."""
    rng = np.random.default_rng(0)
    scores, pi = rng.normal(size=200).astype(np.float32), rng.uniform(0.1, 0.9, 200)
    pi[0] = 1.0  # the target
    full = np.exp(scores).sum()
    sums = []
    for _ in range(250):
        drawn = np.flatnonzero(rng.random(200) < pi)
        loss = bag_loss(
            np.array([[0, 0]], np.int32), scores[None, drawn], np.log(pi[drawn]).astype(np.float32)
        )
        sums.append(np.exp(float(loss) + scores[0]))
    assert np.mean(sums) == pytest.approx(full, rel=0.04)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_company_change_no_score(task, kind):
    model = NextItems(task, **OPTIONS, **KINDS[kind])
    rows = task.targets("test")
    together = model.scores(rows[:20])
    np.testing.assert_allclose(model.scores(rows[7:8]), together[7:8], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_future_changes_no_score(kind):
    results = []
    for task in two_futures():
        limit = (pd.Timestamp(CUTOFF) - pd.Timestamp("2024-01-01")).days
        rows = np.array([r for r in task.targets("test") if task.day[r] < limit])
        model = NextItems(task, **OPTIONS, **KINDS[kind], seed=3)
        for weight in model.weights:
            rng = np.random.default_rng(len(weight.shape))
            weight.assign(rng.normal(scale=0.1, size=weight.shape))
        results.append(np.concatenate([model.scores(rows[i : i + 1]) for i in range(0, len(rows), 60)]))
    assert_identical(*results)


@pytest.mark.parametrize("n_sampled", [0, 10])
def test_training_learns(task, n_sampled):
    model = NextItems(task, "whole", **OPTIONS, n_sampled=n_sampled)
    before = rank(model, task, task.targets("test")).per_row()["recall@10"].mean()
    losses = model.train(task.targets("train"), epochs=5, batch_size=8, rate=0.02).history["loss"]
    assert losses[-1] < losses[0]
    assert rank(model, task, task.targets("test")).per_row()["recall@10"].mean() > before + 0.05


def test_discovery_masks_what_was_bought(task):
    model = NextItems(task, "discovery", **OPTIONS)
    from ecomlib.recommend import history

    rows = task.targets("test")[:10]
    seen = history(task, rows).toarray() > 0
    assert (model.scores(rows)[seen] < -1e8).all()


def test_unknown_question_is_named(task):
    with pytest.raises(BadValue, match="ask 'whole', 'discovery' or 'next'"):
        NextItems(task, "everything")
