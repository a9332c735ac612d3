"""Sales metrics against hand values; calibration and the newsvendor rule keep their promise."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_pinball_loss

from ecomlib.panels import Panel
from ecomlib.sales import (
    SalesTask,
    advice,
    calibrate_band,
    compare_forecasts,
    conformal_band,
    draws,
    evaluate,
    naive_scale,
    order_cost,
    score_forecast,
)
from ecomlib.sales.evaluate import forecast_errors
from ecomlib.shop import BadValue

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
    total = forecast_errors(ACTUAL, FORECAST[0])["pinball"].sum() / ACTUAL.size
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
    wide = conformal_band(narrow, factors)
    covered = ((actual >= wide[..., 0]) & (actual <= wide[..., 2]))[20:].mean()
    assert covered == pytest.approx(0.8, abs=0.05)
    assert conformal_band(narrow, np.array([50.0, 1])).min() == 0


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
    table = evaluate(task, {"two fits": [close, far]}, "valid", n=200).set_index("metric")
    assert set(draws(task, close, "valid", n=2)) >= {"WAPE", "pinball", "coverage", "bias"}
    value, low, high = table.loc["WAPE", ["value", "low", "high"]]
    assert value == pytest.approx(2 / 10)
    # one seed or the other, drawn twice; the cutoffs drawn change the sum of sales a little
    assert low == pytest.approx(0.1, rel=0.1) and high == pytest.approx(0.3, rel=0.1)


def test_series_are_drawn_whole():
    actual = np.full((1, 2, 7), 10.0)
    forecast = np.repeat((actual + np.array([0.0, 5])[None, :, None])[..., None], 3, axis=-1)
    value, low, high = score_forecast(actual, forecast)["WAPE"]
    assert (value, low, high) == (0.25, 0, 0.5)


SCALE = np.array([0.5, 10, 20]), np.array([0.6, 12, 24])  # a small scale counts, too


def test_a_closed_day_counts_in_no_metric():
    is_open = np.ones((4, 1, 7), bool)
    is_open[:, :, 2] = False
    kept = [0, 1, 3, 4, 5, 6]
    scored = score_forecast(ACTUAL, FORECAST, SCALE, is_open, n=20)
    without = score_forecast(ACTUAL[..., kept], FORECAST[:, :, :, kept], SCALE, n=20)
    everything = score_forecast(ACTUAL, FORECAST, SCALE, n=20)
    for metric, values in scored.items():
        assert values == pytest.approx(without[metric]) and values != pytest.approx(everything[metric])
    other = FORECAST[:1] * 1.1
    ratio = compare_forecasts(ACTUAL, FORECAST[:1], other, is_open, n=20)
    assert ratio == pytest.approx(
        compare_forecasts(ACTUAL[..., kept], FORECAST[:1, :, :, kept], other[:, :, :, kept], n=20)
    )


def test_the_defaults_are_a_thousand_draws_of_seed_0_and_of_other_weeks():
    assert score_forecast(ACTUAL, FORECAST) == score_forecast(ACTUAL, FORECAST, n=1000, seed=0)
    pair = ACTUAL, FORECAST[0], FORECAST[1]
    default = compare_forecasts(*pair)
    assert default == compare_forecasts(*pair, n=1000, seed=0)
    assert default != compare_forecasts(*pair, seed=1)
    task = hand_task()
    noisy = list(np.random.default_rng(0).gamma(2, 5, (3, 2, 2, 7, 3)))
    assert draws(task, noisy[0])["WAPE"].tolist() == draws(task, noisy[0], "test", 1000, 0)["WAPE"].tolist()
    table = evaluate(task, {"a": noisy})
    pd.testing.assert_frame_equal(table, evaluate(task, {"a": noisy}, "test", n=1000, seed=0))
    assert not table.equals(evaluate(task, {"a": noisy}, seed=1))


def test_weeks_are_drawn():
    actual = np.full((8, 3, 7), 10.0)
    off = np.arange(1.0, 9)[:, None, None] + np.zeros((8, 3, 7))  # each week another error, all series alike
    first = np.repeat((actual + off)[..., None], 3, axis=-1)
    second = np.repeat((actual + 5)[..., None], 3, axis=-1)
    value, low, high = compare_forecasts(actual, first, second)
    assert value == pytest.approx(0.9) and low < 0.8 and high > 1


def test_two_models_of_a_table_meet_seeds_of_their_own():
    task = hand_task()
    noisy = list(np.random.default_rng(0).gamma(2, 5, (3, 2, 2, 7, 3)))
    table = evaluate(task, {"one": noisy, "same": noisy}).set_index(["model", "metric"])
    assert table.loc[("one", "WAPE / best"), ["low", "high"]].tolist() == [1, 1]
    assert table.loc[("same", "WAPE / best"), "low"] < 1 < table.loc[("same", "WAPE / best"), "high"]


def test_the_draws_leave_closed_days_out_and_scale_by_the_days_before():
    task = hand_task()
    truth = task.actual(task.cutoffs("test"))[..., None]
    wrong = np.repeat(truth, 3, axis=-1)
    wrong[:, :, 0] += 70  # the first day after each cutoff is a Monday
    assert draws(task, wrong, n=2)["WAPE"][0] == pytest.approx(4 * 70 / 280)
    closed_on_mondays = replace(task, closed=("Mon",))
    assert draws(closed_on_mondays, wrong, n=2)["WAPE"][0] == 0
    values = np.cumsum(np.arange(42.0))[None]  # "same day last week" misses by ever more
    growing = replace(task, panel=Panel(values, ["grows"], task.panel.days), known=task.known[:1])
    mae, _ = naive_scale(values[:, :28])
    truth = growing.actual(growing.cutoffs("test"))[..., None]
    found = draws(growing, np.repeat(truth + 1, 3, axis=-1), n=2)
    assert found["MASE"][0] == pytest.approx(1 / mae[0])


def test_calibration_by_hand():
    actual = np.arange(1.0, 21)[None, None]  # twenty days, the median is 0: 1 to 20 half widths above it
    band = np.broadcast_to(np.array([-1.0, 0, 1]), (1, 1, 20, 3))
    below, above = calibrate_band(actual, band)
    assert above == pytest.approx(np.quantile(actual, 19 / 20)) and below == 0
    # five days cannot promise nine out of ten: the largest is taken
    assert calibrate_band(actual[..., :5], band[:, :, :5])[1] == 5
    is_open = np.arange(20)[None, None] < 5
    assert calibrate_band(actual, band, is_open)[1] == 5


def test_each_group_of_series_has_its_own_factors():
    actual = np.broadcast_to(np.arange(1.0, 21), (1, 3, 20)) * np.array([1, 2, 2])[:, None]
    band = np.broadcast_to(np.array([-1.0, 0, 1]), (1, 3, 20, 3))
    factors = calibrate_band(actual, band, groups=np.array(["calm", "wild", "wild"]))
    assert factors.shape == (2, 3, 1)
    alone = [calibrate_band(actual[:, rows], band[:, rows])[1] for rows in ([0], [1, 2])]
    assert factors[1].ravel().tolist() == [alone[0], alone[1], alone[1]] and alone[1] > 1.9 * alone[0]
    upper = conformal_band(band, factors)[0, :, 0, 2]
    assert upper.tolist() == factors[1].ravel().tolist()
    is_open = np.arange(20)[None, None] < 5
    assert calibrate_band(actual, band, is_open, np.zeros(3))[1].ravel().tolist() == [10, 10, 10]


def test_no_factor_crosses_the_quantiles_and_days_without_sales_are_refused():
    actual = np.arange(1.0, 21)[None, None]
    above_all = np.broadcast_to(np.array([-1.0, 0, 1]), (1, 1, 20, 3))
    assert calibrate_band(actual, above_all)[0] == 0  # no day is below the median
    assert (np.diff(conformal_band(above_all, calibrate_band(actual, above_all)), axis=-1) >= 0).all()
    flat = np.zeros((1, 1, 20, 3))  # a band without width: no factor reaches the sales
    seldom = np.where(np.arange(20) < 11, 0.0, 5)[None, None]
    wide = np.broadcast_to(np.array([0.0, 1, 9]), (1, 1, 20, 3))
    for sold, band in ((actual, flat), (seldom, wide)):
        with pytest.raises(
            BadValue, match="a band cannot be calibrated on these days"
        ):
            calibrate_band(sold, band)
    assert np.isfinite(calibrate_band(np.where(np.arange(20) < 10, 0.0, 5)[None, None], wide)).all()
