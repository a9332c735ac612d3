"""CDNOW: the four-parameter models against what was published, and the counting network."""

from pathlib import Path

import numpy as np
import pytest

from ecomlib.lessons import counter_example as cdnow


@pytest.fixture(scope="module")
def purchases():
    return cdnow.load_cdnow()


@pytest.fixture(scope="module")
def customers(purchases):
    """The 2,357 customers on whom the published tables were fitted.

    Their numbers are those of `CDNOW_sample.txt` in the package lifetimes 0.11.3.
    """
    ids = np.array(Path(__file__).with_name("cdnow_sample.txt").read_text(encoding="utf-8").split(), int)
    return cdnow.summarise(purchases).loc[ids]


@pytest.fixture(scope="module")
def sample(customers):
    return [customers[column].to_numpy(float) for column in ("repeats", "last", "age")]


def test_cdnow_is_whole(purchases):
    table = cdnow.summarise(purchases)
    assert len(table) == 23_570 and (table["repeats"] >= 0).all()
    counts = cdnow.weekly_counts(purchases)
    assert counts.shape == (23_570, 78) and counts.sum() == (purchases["day"] < 546).sum()


# Fader, Hardie & Lee (2005), "Counting Your Customers" the Easy Way, table 2.
def test_bgnbd_finds_the_published_parameters(sample):
    parameters = cdnow.fit_bgnbd(*sample)
    assert parameters == pytest.approx([0.243, 4.414, 0.793, 2.426], abs=6e-4)
    assert cdnow.bgnbd_log_likelihood(parameters, *sample).sum() == pytest.approx(-9582.4, abs=0.05)


def test_pareto_finds_the_published_parameters(sample):
    parameters = cdnow.fit_pareto(*sample)
    assert parameters == pytest.approx([0.553, 10.578, 0.606, 11.669], rel=1e-3)
    assert cdnow.pareto_log_likelihood(parameters, *sample).sum() == pytest.approx(-9595.0, abs=0.05)


def test_bgnbd_expects_what_was_published_of_one_customer():
    # Fader, Hardie & Lee (2005), Implementing the BG/NBD Model in Excel: x = 2, t_x = 30.43, T = 38.86.
    seen = (np.array([value]) for value in (2.0, 30.43, 38.86))
    found = cdnow.bgnbd_expected(np.array([0.243, 4.414, 0.793, 2.426]), *seen, 39)
    assert found == pytest.approx([1.226], abs=1e-3)


def test_who_bought_lately_is_expected_to_buy_more():
    parameters, age = np.array([0.243, 4.414, 0.793, 2.426]), np.full(2, 38.0)
    early, late = cdnow.bgnbd_expected(parameters, np.full(2, 4.0), np.array([8.0, 36.0]), age, 39)
    assert late > 3 * early


@pytest.mark.parametrize("parameters", [(0.6, 10.0, 0.7, 12.0), (0.6, 14.0, 0.7, 9.0)])
def test_pareto_likelihood_equals_the_integral_over_rates_and_lives(parameters):
    from scipy.special import gamma, roots_genlaguerre

    r, alpha, s, beta = parameters
    x, t, age = 2, 9.0, 30.0
    rate, rate_weight = roots_genlaguerre(100, r - 1)
    leave, leave_weight = roots_genlaguerre(100, s - 1)
    rate, leave = rate[:, None] / alpha, leave / beta
    total = rate + leave
    given = leave * rate**x / total * np.exp(-total * t) + rate ** (x + 1) / total * np.exp(-total * age)
    whole = (rate_weight[:, None] * leave_weight * given).sum() / gamma(r) / gamma(s)
    seen = (np.array([value]) for value in (x, t, age))
    assert cdnow.pareto_log_likelihood(parameters, *seen)[0] == pytest.approx(np.log(whole), abs=1e-3)


def test_pareto_expects_nearly_as_many_as_came(customers, sample):
    expected = cdnow.pareto_expected(cdnow.fit_pareto(*sample), *sample, 39)
    assert cdnow.errors(expected, customers["later"].to_numpy())["bias"] == pytest.approx(-0.12, abs=0.05)


def test_errors_by_hand():
    found = cdnow.errors(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 5.0]))
    assert found["MAE"] == pytest.approx(4 / 3) and found["RMSE"] == pytest.approx(np.sqrt(8 / 3))
    assert found["bias"] == pytest.approx(-0.4)


@pytest.mark.slow
def test_counting_network_continues_a_rhythm():
    counts = np.tile([0, 1, 0, 1], (64, 4)).astype(np.float32)
    net = cdnow.CountLSTM(epochs=30, batch_size=16, units=8, rate=0.02).fit(counts)
    ahead = net.simulate(counts, weeks=10, paths=4)
    assert ahead.shape == (64,) and abs(ahead.mean() - 5) < 1.5


@pytest.mark.slow
def test_nobody_grows_older_than_in_training_while_paths_are_simulated(monkeypatch):
    counts = np.tile([1, 0, 1, 0], (6, 3)).astype(np.float32)
    net = cdnow.CountLSTM(epochs=1, units=2).fit(counts)
    cell, ages = net.model.layers[0].cell, []
    call = cell.call
    monkeypatch.setattr(
        cell, "call", lambda x, *rest, **k: ages.append(np.asarray(x)[:, 2]) or call(x, *rest, **k)
    )
    net._walk(counts, 5, 3, np.random.default_rng(0))
    assert np.concatenate(ages[-5:]).max() <= 1


@pytest.mark.slow
def test_blocks_of_customers_and_their_paths_stay_together():
    counts = np.zeros((5, 8), np.float32)
    counts[0], counts[1:, 0] = 3, 1
    net = cdnow.CountLSTM(epochs=40, batch_size=5, rate=0.05, units=4).fit(np.repeat(counts, 8, axis=0))
    ahead = net.simulate(counts, 4, paths=3, at_once=2)
    assert ahead.shape == (5,) and ahead[0] > ahead[1:].max()


@pytest.mark.slow
def test_epochs_and_units_are_chosen_on_the_last_weeks():
    counts = np.tile([0, 1, 0, 1], (32, 4)).astype(np.float32)
    assert cdnow.tune_counting(counts, ahead=4, epochs=(1, 60), units=(8,)) == (60, 8)
