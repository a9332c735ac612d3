"""The comparison of lesson 51: causal networks of one size, one search for all, paired differences."""

from itertools import islice

import keras
import numpy as np
import pytest
from perturb import assert_identical, change_future
from toy_shop import RICH_SPLIT, RICH_TEST, rich_shop

from benchmarks.quality import _networks as networks
from benchmarks.quality import _search as search
from benchmarks.quality import cells, memory
from ecomlib import sales, visits
from ecomlib.probability import log_loss

pytestmark = pytest.mark.usefixtures("eager")
FASTEST = "linear filter"  # of the networks, which are all fitted by the same lines
X = np.random.default_rng(0).normal(size=(3, 60, 13)).astype(np.float32)


def reads_ahead(model: keras.Model) -> bool:
    """Whether an answer up to step 11 moves by one bit when the later steps change."""
    later = X[:, :40].copy()
    later[:, 12:] = np.random.default_rng(1).normal(size=later[:, 12:].shape)
    before, after = (np.asarray(model(x))[:, :12] for x in (X[:, :40], later))
    return not np.array_equal(before, after)


@pytest.mark.parametrize("kind", networks.SIZES)
def test_no_network_reads_ahead_and_all_have_one_size(kind):
    model = networks.network(kind, 13, networks.SIZES[kind], 5)
    assert not reads_ahead(model)
    wanted = 1695 if kind == "linear filter" else 7400
    assert abs(model.count_params() / wanted - 1) < 0.05
    np.testing.assert_allclose(np.asarray(model(X[:, :4])).sum(axis=-1), 1, rtol=1e-5)


def test_a_planted_look_ahead_is_caught(monkeypatch):
    two_ways = keras.Sequential([keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True))])
    assert reads_ahead(two_ways)
    monkeypatch.setattr(networks.CausalAttention, "slopes", np.zeros((2, 1, 1), np.float32))
    monkeypatch.setattr(networks.ops, "where", lambda back, near, far: near)  # the mask forgotten
    assert reads_ahead(networks.network("attention", 13, 20, 5))


@pytest.mark.parametrize("kind", ["convolution", "attention"])
def test_the_first_step_is_within_reach(kind):
    model = networks.network(kind, 13, networks.SIZES[kind], 5, reach=60)
    first = X.copy()
    first[:, 0] += 5
    assert np.abs(np.asarray(model(first) - model(X))[:, -1]).max() > 1e-7


def test_attention_is_the_formula():
    layer = networks.CausalAttention()
    x = X[:1, :7, :4]
    found = np.asarray(layer(x))[0]
    kernel, bias, out, last = (np.asarray(w) for w in layer.weights)
    query, key, value = np.split(x[0] @ kernel + bias, 3, axis=1)
    seen = []
    for head, slope in enumerate((1 / 16, 1 / 256)):
        part = slice(2 * head, 2 * head + 2)
        for t in range(7):
            score = [query[t, part] @ key[s, part] / np.sqrt(2) - slope * (t - s) for s in range(t + 1)]
            share = np.exp(score) / np.exp(score).sum()
            seen.append(share @ value[: t + 1, part])
    seen = np.array(seen).reshape(2, 7, 2).swapaxes(0, 1).reshape(7, 4)
    np.testing.assert_allclose(found, seen @ out + last, atol=1e-5)


def test_a_second_training_starts_afresh_and_averages_its_weights():
    model = networks.network("GRU", 2, 3, 2)
    first, other = (networks.first_weights(model, seed) for seed in (0, 1))
    assert_identical(first, networks.first_weights(model, 0))
    assert not np.array_equal(first[0], other[0])
    x = X[:8, :5, :2]
    data = x, (x[..., 0] > 0).astype(int), np.ones(x.shape[:2], np.float32)
    once, again = (list(islice(networks.learn(model, first, data, 0.01, 8, 0), 3)) for _ in range(2))
    assert_identical(once, again)
    epochs = networks.learn(model, first, data, 0.01, 8, 0)
    assert_identical(once[0], after_one := next(epochs))
    stepped = model.get_weights()  # those of the one update, not averaged
    for mean, start, weight in zip(after_one, first, stepped, strict=True):
        np.testing.assert_allclose(mean, start + 0.02 * (weight - start), atol=1e-7)
    model.set_weights(other)  # whoever looks may set others: training goes on from its own
    assert_identical(once[1], next(epochs))


@pytest.fixture(scope="module")
def tasks():
    shop = rich_shop()
    future = change_future(shop, RICH_TEST, newcomers=False)
    return [visits.task(each, RICH_SPLIT) for each in (shop, future)]


@pytest.mark.parametrize("arm", [cells.LINE, cells.BOOSTED, FASTEST])
def test_the_search_knows_nothing_of_the_test(tasks, arm, monkeypatch):
    monkeypatch.setattr(cells, "RATES", (0.01, 0.03))
    monkeypatch.setattr(cells, "CS", (0.003, 0.3))
    monkeypatch.setattr(cells, "TREES", [(4, 20), (4, 40)])
    for first in ("FIRST_RATES", "FIRST_CS", "FIRST_TREES"):
        monkeypatch.setattr(cells, first, range(2))
    monkeypatch.setattr(cells, "ROUNDS", 20)
    monkeypatch.setattr(cells, "SIZES", {0: (64, 2)})
    found = []
    for task in tasks:
        each = cells.tuned(task, arm, 50, (0, 1))
        _, cutoff, _ = task.rows("test")
        each["test"] = [p[cutoff == cutoff[0]] for p in each["test"]]
        found.append(each)
    assert_identical(*found)
    assert len(found[0]["search"]) == 2 and len(found[0]["test"]) == len(found[0]["train"]) == 2


def test_the_best_setting_and_epoch_win_by_the_mean_of_the_seeds(tasks, monkeypatch):
    task, asked = tasks[0], []
    losses = {"a": ([3.0, 1.0, 2.0], [3.0, 2.8, 1.0]), "b": ([1.9, 0.9, 1.7], [1.9, 4.0])}
    again = {("b", 1): [1.9, 4.0, 3.0]}

    def fit(setting, seed, least=0):
        def predict(epochs, rows):
            asked.append((setting, seed, epochs))
            return np.full((len(rows[0]), task.n_classes), 1 / task.n_classes)

        curve = losses[setting][seed]
        return np.array(again.pop((setting, seed)) if len(curve) < least else curve), predict

    monkeypatch.setattr(cells, "fitter", lambda *to: (fit, ["a", "b"], range(2)))
    found = cells.tuned(task, "any", 50, (0, 1))
    assert (found["setting"], found["epochs"]) == ("a", 3) and {each[2] for each in asked} == {3}
    np.testing.assert_allclose(found["train"], np.log(task.n_classes))
    assert again == {} and found["search"]["b"].tolist() == pytest.approx([1.9, 2.45, 2.35])


@pytest.mark.parametrize(
    ("best", "tried"), [(3, [2, 3, 4]), (2, [1, 2, 3, 4]), (0, [0, 1, 2, 3, 4]), (6, [2, 3, 4, 5, 6])]
)
def test_a_search_goes_on_while_the_best_lies_at_an_edge(best, tried):
    fitted = []

    def fit(setting):
        fitted.append(setting)
        return abs(setting - 10 * best)

    ladder = tuple(range(0, 70, 10))
    found = search.climbed(fit, ladder, range(2, 5), loss=lambda loss: loss)
    assert list(found) == [10 * at for at in tried] == sorted(fitted) and len(set(fitted)) == len(fitted)
    assert found[10 * best] == 0


def test_the_mean_of_fits_ends_where_the_first_of_them_ends(monkeypatch):
    np.testing.assert_allclose(search.mean_curve([[3, 1], [5, 4, 2, 3]]), [4, 2.5])
    monkeypatch.setattr(search, "PATIENCE", 2)
    assert [search.stands_still(x) for x in ([3], [3, 1, 2], [3, 1, 2, 2], [3, 1, 2, 0.5])] == [0, 0, 1, 0]


@pytest.mark.parametrize(("arm", "n"), [(FASTEST, 1), (cells.BOOSTED, cells.STEP)])
def test_a_fit_ends_when_its_validation_loss_stands_still(tasks, arm, n, monkeypatch):
    """Of two fits, one stops early: its curve is a beginning of the other's, its last answer stays."""
    task, curves = tasks[0], []
    for patience in (2, 3):
        monkeypatch.setattr(search, "PATIENCE", patience)
        # A loss that rises from the first look on.
        rising = iter(range(1, 99))
        monkeypatch.setattr(cells, "log_loss", lambda p, y, rising=rising: np.array([float(next(rising))]))
        fit, ladder, _ = cells.fitter(task, arm, 50, False)
        losses, predict = fit(ladder[3], 0)
        curves.append(losses)
        assert len(losses) == (patience + 1) * n
        asked = task.rows("valid")
        assert_identical(predict(len(losses), asked), predict(len(losses) + 50, asked))
        assert len(fit(ladder[3], 0, least=5 * n)[0]) == 5 * n
    np.testing.assert_array_equal(curves[0], curves[1][: len(curves[0])])


def test_a_share_has_its_own_households(tasks):
    task = tasks[0]
    every, some, other = (cells.households(task, *to) for to in ((100, 0), (20, 0), (20, 1)))
    assert len(some) == round(len(every) / 5) and set(some) <= set(every) == set(task.rows("train")[0])
    assert set(some) != set(other)
    customer, cutoff, y = cells.rows_of(task, "valid", some)
    assert set(customer) <= set(some)
    np.testing.assert_array_equal(y, task.y[customer, cutoff])


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    luck, three = rng.normal(size=1001), np.ones(1001)
    arms = {"LSTM": 0.0, cells.LINE: 0.01, cells.BOOSTED: 0.02, "GRU": -0.005}
    scores = {
        (at, arm): 1 + luck + extra * (100 / at) * three for at in (100, 5) for arm, extra in arms.items()
    }
    found = {(r["model"], r["metric"]): r["value"] for r in cells.difference_rows(scores, 5, 3, {"at": 5})}
    assert found["GRU minus LSTM", "log-loss"] == pytest.approx(-0.1)
    assert found["GRU minus LightGBM", "log-loss"] == pytest.approx(-0.5)
    assert found["GRU", "log-loss, minus that with most households"] == pytest.approx(-0.095)
    assert found["LightGBM", "what it loses minus what the LSTM loses"] == pytest.approx(0.38)
    assert ("LSTM", "what it loses minus what the LSTM loses") not in found
    for each in cells.difference_rows(scores, 5, 3, {}):
        assert each["high"] - each["low"] < 1e-9  # the common luck is gone


def test_a_class_that_training_never_saw_gets_nothing():
    p = cells.whole(np.array([[0.25, 0.75]]), np.array([0, 3]), 5)
    np.testing.assert_array_equal(p, [[0.25, 0, 0, 0.75, 0]])
    assert log_loss(p, np.array([3]))[0] == pytest.approx(-np.log(0.75), abs=1e-4)


def test_recall_is_judged_as_in_lesson_12(monkeypatch):
    monkeypatch.setattr(memory, "UPDATES", (1, 2))
    spend = (np.random.default_rng(0).gamma(1, 20, (30, 60)),) * 3
    model = networks.network("convolution", 3, 4, 2, last=True, reach=22)
    found = cells.recall(model, spend, 2, 0.01, 0)
    assert found.shape == (2, 2) and ((found > 0.3) & (found < 0.7)).all()


def test_the_cell_of_the_sales_network_is_exchanged(monkeypatch):
    task = sales.task(rich_shop(), RICH_SPLIT, "category", n_series=4)
    monkeypatch.setattr(cells, "SEEDS", (0,))
    sizes = {}
    for cell in ("GRU", "LSTM"):
        found = cells.exchanged(task, cell, (0,), quick=True)
        assert len(found["test"]) == 1 and found["test"][0].shape[-1] == 3
        sizes[cell] = found["weights"]
    assert keras.layers.LSTM.__name__ == "LSTM" and sizes["GRU"] != sizes["LSTM"]
