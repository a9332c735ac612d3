"""The LSTM recommender: windows, padding, the loss by hand, drawn negatives, and no look into the future."""

import keras
import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical
from test_recommend import CUTOFF, SPLIT, invent_shop, two_futures

from benchmarks.quality.recommend import Changed, of_like_length
from ecomlib import recommend
from ecomlib.recommend import NextItems, cut_windows, set_loss
from ecomlib.recommend.history import history
from ecomlib.recommend.model import Network
from ecomlib.recommend.task import SequenceTask, with_today

SIZES = {"units": 8, "size": 6, "dropout": 0.0}
KINDS = {
    "discovery": {"profile": True, "trend_days": (3, 7)},
    "whole": {"own": True, "trend_days": (7,)},
}


@pytest.fixture(scope="module")
def task():
    return recommend.task(invent_shop(), SPLIT, "product_id", 3)


def spread(model: NextItems) -> NextItems:
    """Give every weight a value that matters, the joined-in ones too, which begin at zero."""
    for weight in model.network_.trainable_weights:
        rng = np.random.default_rng(len(weight.shape))
        weight.assign(rng.normal(scale=0.1, size=weight.shape))
    return model


def test_windows_hold_every_target_once_after_enough_steps(task):
    rows = task.targets("train")
    cut = cut_windows(task, rows, span=5, burn=4)
    np.testing.assert_array_equal(cut.rows, rows)
    for w in range(len(cut.first)):
        own = cut.rows[cut.edge[w] : cut.edge[w + 1]]
        assert len(own) <= 5 and cut.length[w] <= 9
        assert cut.first[w] + cut.length[w] == own[-1]
        assert (task.start[own] == task.start[cut.first[w]]).all()
        assert (own[0] - cut.first[w] >= 4) or cut.first[w] == task.start[own[0]]


def test_set_loss_by_hand():
    logits = np.array([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0], [3.0, 1.0, 0.0]], np.float32)
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = (-(np.log(share[0, 0]) + np.log(share[0, 2])) / 2 - np.log(share[2, 1])) / 2
    right = np.array([[0, 0], [0, 2], [2, 1]], np.int32)  # row 1 has no target and does not count
    assert float(set_loss(right, logits)) == pytest.approx(expected, rel=1e-5)


def test_drawn_negatives_stand_for_those_left_out():
    """Averaged over draws, the corrected sum of exponentials is that of the full softmax."""
    rng = np.random.default_rng(0)
    scores, pi = rng.normal(size=200).astype(np.float32), rng.uniform(0.1, 0.9, 200)
    pi[0] = 1.0  # the target
    full = np.exp(scores).sum()
    sums = []
    for _ in range(250):
        drawn = np.flatnonzero(rng.random(200) < pi)
        loss = set_loss(
            np.array([[0, 0]], np.int32), scores[None, drawn], np.log(pi[drawn]).astype(np.float32)
        )
        sums.append(np.exp(float(loss) + scores[0]))
    assert np.mean(sums) == pytest.approx(full, rel=0.04)


def test_the_logq_correction_by_hand():
    """A negative drawn with chance 1/4 counts four times; the target itself once."""
    logits = np.array([[1.0, 0.5, 0.0]], np.float32)
    log_pi = np.log(np.array([0.5, 0.25, 1.0], np.float32))
    expected = np.log(np.exp(1.0) + 4 * np.exp(0.5) + np.exp(0.0)) - 1.0
    assert float(set_loss(np.array([[0, 0]], np.int32), logits, log_pi)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("question", KINDS)
def test_padding_and_company_change_no_score(task, question):
    model = spread(NextItems(**SIZES, **KINDS[question]).build(task.ask(question)))
    rows = task.targets("test")
    together = model.scores(task, rows[:20])
    np.testing.assert_allclose(model.scores(task, rows[7:8]), together[7:8], atol=1e-5)
    order = np.random.default_rng(0).permutation(20)
    np.testing.assert_allclose(model.scores(task, rows[order]), together[order], atol=1e-5)


@pytest.mark.parametrize("question", KINDS)
def test_the_future_changes_no_score(question):
    results = []
    for task in two_futures():
        limit = (pd.Timestamp(CUTOFF) - pd.Timestamp("2024-01-01")).days
        rows = np.array([r for r in task.targets("test") if task.day[r] < limit])
        model = spread(NextItems(**SIZES, **KINDS[question], seed=3).build(task.ask(question)))
        results.append(np.concatenate([model.scores(task, rows[i : i + 1]) for i in range(0, len(rows), 60)]))
    assert_identical(*results)


@pytest.mark.parametrize("question", KINDS)
def test_the_trip_itself_changes_no_score(task, question):
    """The basket, its size too, is not known when the customer arrives."""
    row = int(task.targets("test")[40])
    baskets = task.baskets.tolil()
    baskets[row] = np.ones(task.n_items)
    changed = SequenceTask(baskets.tocsr(), task.who, task.day, task.part, task.items, task.names)
    model = spread(NextItems(**SIZES, **KINDS[question]).build(task.ask(question)))
    assert_identical(*(model.scores(t, np.array([row])) for t in (task, changed)))


@pytest.mark.slow
@pytest.mark.parametrize("n_sampled", [0, 10])
def test_training_learns(task, n_sampled):
    def recall(model: NextItems) -> float:
        return recommend.draws(task, model.predict(task, task.cutoffs("test")), n=1)["recall@10"][0]

    settings = {**SIZES, "n_sampled": n_sampled, "batch_size": 8, "learning_rate": 0.02, "epochs": 5}
    before = recall(NextItems(**settings).build(task))
    model = NextItems(**settings).fit(task, watch=True)
    assert model.history_["loss"][-1] < model.history_["loss"][0]
    assert model.history_["val_loss"][-1] < model.history_["val_loss"][0]
    assert recall(model) > before  # it starts from the factors, which know something already
    assert not any(isinstance(value, SequenceTask) for value in vars(model).values())


@pytest.mark.usefixtures("eager")
def test_the_same_seed_gives_the_same_weights_bit_for_bit(task):
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        model = NextItems(**{**SIZES, "dropout": 0.3}, **KINDS["discovery"], epochs=1, seed=1)
        model.fit(task.ask("discovery"), "valid")
        weights.append([w.numpy() for w in model.network_.trainable_weights])
    assert_identical(*weights)


def test_discovery_masks_what_was_bought(task):
    model = NextItems(**SIZES).build(task.ask("discovery"))
    rows = task.targets("test")[:10]
    seen = history(task, rows).toarray() > 0
    assert (model.scores(task, rows)[seen] < -1e8).all()


def test_today_can_be_asked_of_a_fitted_network(task):
    model = spread(NextItems(**SIZES, **KINDS["whole"]).build(task))
    longer, cutoffs = with_today(task)
    lists = model.predict(longer, cutoffs[:3], k=5)
    assert lists.shape == (3, 5)
    last = task.targets("test")[-1:]  # an old trip scores as before
    at = last + task.who[last]  # every household before it has one step more
    np.testing.assert_allclose(model.scores(longer, at), model.scores(task, last), atol=1e-6)


# ----------------------------------------------------------------- what the benchmark changes in training


class LastSeen(keras.callbacks.Callback):
    """The weights after the last epoch, before training ends."""

    def on_epoch_end(self, epoch, logs=None):
        self.weights = [w.numpy() for w in self.model.trainable_weights]


@pytest.mark.usefixtures("eager")
def test_the_benchmarks_network_keeps_the_weights_of_the_last_step(task):
    found, seen = {}, LastSeen()
    for last in (True, False):
        model = Changed(**SIZES, epochs=2, batch_size=32, last_weights=last).fit(task, "valid", [seen])
        found[last] = [w.numpy() for w in model.network_.trainable_weights]
        if last:
            assert_identical(found[True], seen.weights)
    assert_identical(found[True], seen.weights)  # the second run trained in the same way ...
    assert np.abs(found[True][0] - found[False][0]).max() > 1e-3  # ... and ends with a mean


def test_batches_of_like_length_hold_every_window_once():
    length = np.random.default_rng(1).integers(1, 60, 95)
    groups = list(of_like_length(length, 5, np.random.default_rng(0)))
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), np.arange(95))
    firsts = [length[group].min() for group in groups]
    assert [len(group) for group in groups] == [5] * 19 and firsts != sorted(firsts)
    pools = np.random.default_rng(0).permutation(95)
    for pool in (pools[:50], pools[50:]):
        inside = sorted((group for group in groups if group[0] in pool), key=lambda g: length[g].min())
        np.testing.assert_array_equal(np.concatenate([length[g] for g in inside]), np.sort(length[pool]))


def test_sorted_windows_are_the_same_targets_with_less_padding(task):
    seen, cells = {}, {}
    for kind in (False, True):
        model = Changed(**SIZES, batch_size=4, sorted_windows=kind).build(task)
        batches = list(model._epoch(task, "train")(np.random.default_rng(0)))
        seen[kind] = np.sort(np.concatenate([batch["known_ahead"] @ [1, *range(7)] for batch in batches]))
        cells[kind] = sum(int(np.prod(batch["shape"])) for batch in batches)
    np.testing.assert_allclose(seen[True], seen[False], rtol=1e-6)
    assert cells[True] < cells[False]


class Rates(keras.callbacks.Callback):
    """The learning rate of every epoch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_epoch_end(self, epoch, logs=None):
        self.found.append(float(self.model.optimizer.learning_rate.numpy()))


@pytest.mark.usefixtures("eager")
def test_the_falling_rate_falls_in_equal_steps(task):
    seen = Rates()
    Changed(**SIZES, epochs=4, batch_size=32, falling_rate=True, learning_rate=0.01).fit(
        task, "valid", [seen]
    )
    assert seen.found == pytest.approx([0.01, 0.0075, 0.005, 0.0025])


@pytest.mark.usefixtures("eager")
def test_flat_gates_learn_a_weight_per_item_and_none_from_the_state(task):
    found = {}
    for flat in (True, False):
        model = Changed(**SIZES, **KINDS["whole"], epochs=1, batch_size=32, flat_gates=flat).fit(
            task, "valid"
        )
        gates = (model.network_.habits, model.network_.trends)
        found[flat] = [np.abs(gate.dense.kernel.numpy()).max() for gate in gates]
        assert all(np.abs(gate.item.numpy()).max() > 0 for gate in gates)
    assert found[True] == [0, 0] and min(found[False]) > 0


def test_ease_beside_the_network_has_not_seen_the_household_that_it_trains(task):
    task = task.ask("discovery")
    model = Changed(**SIZES, **KINDS["discovery"], batch_size=8, ease=5.0).build(task)
    rows = task.rows("train")
    bought = np.zeros((len(task.names), task.n_items))
    np.add.at(bought, task.who[rows], task.baskets[rows].toarray())
    batch = next(model._epoch(task, "train")(np.random.default_rng(0)))
    states = model.network_.states(batch)
    plain = Network.logits(model.network_, states, batch)
    has = np.zeros(plain.shape)
    has[tuple(batch["owned"].T)] = 1
    scores = []
    for half in (0, 1):  # by hand: ridge regressions on the households of the other half
        seen = np.sign(bought[np.arange(len(bought)) % 2 != half])
        inverse = np.linalg.inv(seen.T @ seen + 5 * np.eye(task.n_items))
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        scores.append(has @ weights)
    assert set(batch["half"]) == {0, 1}
    for expected, read in (
        (np.where(batch["half"][:, None] == 0, *scores), batch),
        (np.mean(scores, axis=0), {name: each for name, each in batch.items() if name != "half"}),
    ):
        expected = expected - expected.mean(1, keepdims=True)
        expected = expected / np.maximum(expected.std(1, keepdims=True), 1e-9)  # 0 without history
        found = model.network_.logits(states, read) - plain
        asked = has == 0
        np.testing.assert_allclose(found.numpy()[asked], 0.5 * expected[asked], atol=2e-3)
