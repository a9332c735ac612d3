"""Metrics against hand values and at their limits; calibration and the newsvendor rule keep their promise."""

import numpy as np
import pytest
from sklearn.metrics import mean_pinball_loss

from ecomlib.evaluation import (
    bootstrap_ratio,
    calibrate_band,
    compare_forecasts,
    forecast_errors,
    naive_scale,
    order_cost,
    score_forecast,
    stretch_band,
)

RNG = np.random.default_rng(0)
ACTUAL = RNG.gamma(2, 10, (4, 3, 7))
FORECAST = np.sort(RNG.gamma(2, 10, (2, 4, 3, 7, 3)), axis=-1)


def test_scores_equal_their_definitions():
    scores = score_forecast(ACTUAL, FORECAST, (np.array([5.0, 10, 20]), np.array([6.0, 12, 24])), n=50)
    middle = FORECAST[..., 1]
    error = np.abs(ACTUAL - middle)
    assert scores["WAPE"][0] == pytest.approx(np.mean([e.sum() / ACTUAL.sum() for e in error]))
    assert scores["bias"][0] == pytest.approx((middle - ACTUAL).sum() / (2 * ACTUAL.sum()))
    inside = (FORECAST[..., 0] <= ACTUAL) & (FORECAST[..., 2] >= ACTUAL)
    assert scores["coverage"][0] == pytest.approx(inside.mean())
    mase = (error.mean(axis=(1, 3)) / [5, 10, 20]).mean()
    assert scores["MASE"][0] == pytest.approx(mase)
    rmsse = (np.sqrt((error**2).mean(axis=(1, 3))) / [6, 12, 24]).mean()
    assert scores["RMSSE"][0] == pytest.approx(rmsse)


def test_pinball_equals_scikit_learn():
    total = forecast_errors(ACTUAL, FORECAST)["pinball"][0].sum() / ACTUAL.size
    by_hand = [
        mean_pinball_loss(ACTUAL.ravel(), FORECAST[0, ..., i].ravel(), alpha=q)
        for i, q in enumerate([0.1, 0.5, 0.9])
    ]
    assert total == pytest.approx(2 * np.mean(by_hand))


def test_a_perfect_forecast_and_closed_days():
    perfect = np.repeat(ACTUAL[..., None], 3, axis=-1)
    scores = score_forecast(ACTUAL, perfect, n=20)
    assert scores["WAPE"] == (0, 0, 0)
    assert scores["coverage"] == (1, 1, 1)
    wrong_on_day_0 = perfect.copy()
    wrong_on_day_0[:, :, 0] += 50
    is_open = np.ones((4, 1, 7), bool)
    is_open[:, :, 0] = False
    assert score_forecast(ACTUAL, wrong_on_day_0, is_open=is_open, n=20)["WAPE"][0] == 0


def test_intervals_hold_the_value_and_pairs_cancel():
    for low_to_high in score_forecast(ACTUAL, FORECAST, n=400).values():
        value, low, high = low_to_high
        assert low <= value <= high
    assert compare_forecasts(ACTUAL, FORECAST[:1], FORECAST[:1]) == (1, 1, 1)
    half = FORECAST[0].copy()
    half[..., 1] = (half[..., 1] + ACTUAL) / 2  # half the error everywhere: the ratio is sure
    np.testing.assert_allclose(compare_forecasts(ACTUAL, half, FORECAST[0]), 0.5)


def test_the_seeds_of_two_forecasters_are_drawn_apart():
    several = RNG.gamma(2, 10, (3, 4, 3, 7, 3))
    value, low, high = compare_forecasts(ACTUAL, several, several, n=400)
    assert value == 1 and low < 0.999 and high > 1.001  # three other seeds might have been met on either side
    part = score_forecast(ACTUAL, several[0], n=400)["WAPE"]
    assert part == score_forecast(ACTUAL, several[:1], n=400)["WAPE"]


def test_naive_scale_of_a_weekly_pattern_is_zero():
    mae, rmse = naive_scale(np.tile(np.arange(7.0), (1, 4)))
    assert mae == rmse == 0


def test_bootstrap_interval_has_the_textbook_width():
    x = np.random.default_rng(1).normal(10, 2, 400)
    value, low, high = bootstrap_ratio(x, np.ones(400), n=4000)
    assert value == pytest.approx(x.mean())
    assert high - low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.1)


def test_calibration_makes_the_band_cover_what_it_says():
    rng = np.random.default_rng(2)
    actual = rng.normal(100, 10, (40, 5, 7))
    narrow = np.broadcast_to(np.array([95.0, 100, 105]), (40, 5, 7, 3))
    factors = calibrate_band(actual[:20], narrow[:20])
    assert np.all(factors > 2)
    wide = stretch_band(narrow, factors)
    covered = ((actual >= wide[..., 0]) & (actual <= wide[..., 2]))[20:].mean()
    assert covered == pytest.approx(0.8, abs=0.05)
    assert stretch_band(narrow, np.array([50.0, 1])).min() == 0


def test_the_newsvendor_quantile_is_the_cheapest_order():
    demand = np.random.default_rng(3).gamma(4, 25, 20_000)
    cost = [order_cost(np.quantile(demand, q), demand, under=0.9, over=0.1).mean() for q in (0.8, 0.9, 0.97)]
    assert cost[1] == min(cost)
