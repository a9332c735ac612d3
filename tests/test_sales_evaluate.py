"""Sales metrics against hand values; calibration and the newsvendor rule keep their promise."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_pinball_loss

from ecomlib.bootstrap import interval
from ecomlib.panels import Panel
from ecomlib.sales import (
    SalesTask,
    advice,
    calibrate_band,
    compare_forecasts,
    draws,
    evaluate,
    naive_scale,
    order_cost,
    score_forecast,
    stretch_band,
)
from ecomlib.sales.evaluate import forecast_errors

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


def test_the_cost_of_orders_is_the_pinball_loss():
    demand, order = np.array([3.0, 8, 5]), np.array([5.0, 5, 5])
    cost = order_cost(order, demand, under=0.3, over=0.1).mean()
    assert cost == pytest.approx(0.4 * mean_pinball_loss(demand, order, alpha=0.75))
    assert order_cost(order, demand, 0.3, 0.1, np.array([True, False, True])).tolist() == [0.2, 0, 0]


def hand_task():
    """Two series over six weeks, nothing to learn; the last two weeks are the test."""
    days = pd.date_range("2024-01-01", periods=42)
    values = np.stack([np.full(42, 10.0), np.tile([0.0, 20], 21)]).astype(np.float32)
    known = np.zeros((2, 49, 1), np.float32)
    return SalesTask(Panel(values, ["even", "odd"], days), known, ["nothing"], 14, 28, 42, 14, 7)


def test_the_table_by_hand():
    task = hand_task()
    cutoffs = task.cutoffs("test")
    assert cutoffs.tolist() == [27, 34]
    truth = task.actual(cutoffs)[..., None]
    close = np.concatenate([truth - 1, truth + 1, truth + 2], axis=-1)
    far = close + np.array([2.0, 4, 6])
    table = evaluate(task, {"far": far, "close": close}).set_index(["model", "metric"])
    # 28 days, 1 off each; sales 140 + 140 over both weeks
    assert table.loc[("close", "WAPE"), "value"] == pytest.approx(28 / 280)
    assert table.loc[("far", "WAPE"), "value"] == pytest.approx(5 * 28 / 280)
    assert table.loc[("far", "bias"), "value"] == pytest.approx(0.5)
    assert table.loc[("close", "coverage"), "value"] == 1 and table.loc[("far", "coverage"), "value"] == 0
    assert table.loc[("far", "WAPE / best"), ["value", "low", "high"]].tolist() == pytest.approx([5, 5, 5])
    # "even" repeats its weeks exactly and has no scale; "odd" misses "same day last week" by 20 every day
    assert table.loc[("close", "MASE"), "value"] == pytest.approx(1 / 20)
    assert table.loc[("close", "RMSSE"), "value"] == pytest.approx(1 / 20)
    assert advice(table.reset_index()).startswith("Use close: WAPE 0.1, and no simpler model")
    level = evaluate(task, {"rule": close, "network": close}, n=50)
    assert advice(level).startswith("Use rule")


def test_draws_of_a_part_and_of_several_seeds():
    task = hand_task()
    truth = task.actual(task.cutoffs("valid"))[..., None]
    close, far = (np.concatenate([truth, truth + k, truth + k], axis=-1) for k in (1, 3))
    found = draws(task, np.stack([close, far]), "valid", n=200)
    assert found["WAPE"][0] == pytest.approx(2 / 10) and set(found) >= {"pinball", "coverage", "bias"}
    value, low, high = interval(found["WAPE"])
    # one seed or the other, drawn twice; the cutoffs drawn change the sum of sales a little
    assert low == pytest.approx(0.1, rel=0.1) and high == pytest.approx(0.3, rel=0.1)


def test_series_are_drawn_whole():
    actual = np.full((1, 2, 7), 10.0)
    forecast = np.repeat((actual + np.array([0.0, 5])[None, :, None])[..., None], 3, axis=-1)
    value, low, high = score_forecast(actual, forecast)["WAPE"]
    assert (value, low, high) == (0.25, 0, 0.5)
