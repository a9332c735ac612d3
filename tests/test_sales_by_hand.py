"""Sales by hand: closed days in every score, the level of an interval, what is drawn, a window's scale."""

from dataclasses import replace

import holidays
import numpy as np
import pandas as pd
import pytest
from toy_shop import toy_shop

from ecomlib import Split, sales
from ecomlib.panels import Panel
from ecomlib.sales import (
    ETS,
    LightGBM,
    SalesTask,
    Theta,
    WeekdayMean,
    calendar_features,
    calibrate_band,
    compare_forecasts,
    draws,
    naive_scale,
    open_days,
    score_forecast,
)
from ecomlib.shop import BadValue

DAYS = pd.date_range("2024-01-01", periods=42)  # from a Monday; the last two weeks are the test


def task_of(values, closed=()):
    values = np.atleast_2d(values).astype(np.float32)
    known = np.zeros((len(values), values.shape[1] + 7, 1), np.float32)
    days = pd.date_range(DAYS[0], periods=values.shape[1])
    panel = Panel(values, [f"series {i}" for i in range(len(values))], days)
    return SalesTask(panel, known, ["nothing"], 14, 28, 42, 14, 7, closed=closed)


def band(truth, low, middle, high):
    return np.stack([truth + low, truth + middle, truth + high], axis=-1)


def test_a_closed_day_enters_no_score():
    task = task_of(np.full((2, 42), 10.0), closed=("Sun",))
    truth = task.actual(task.cutoffs("test"))
    forecast = band(truth, -2.0, 1.0, 2.0)
    forecast[:, :, 6] = [50.0, 60, 70]  # Sundays: wrong by far, too high, outside the band
    found = {metric: values[0] for metric, values in draws(task, forecast, n=10).items()}
    # of an open day: |error| 1 and +1; pinball 2 * (0.1 * 2 + 0.5 * 1 + 0.1 * 2) / 3 = 0.6; sales 10
    assert found["WAPE"] == pytest.approx(0.1) and found["bias"] == pytest.approx(0.1)
    assert found["pinball"] == pytest.approx(0.06) and found["coverage"] == 1
    forecast[:, :, :6, 2] = 9  # the band ends below what was sold on the open days
    forecast[:, :, 6] = [0.0, 10, 20]
    assert draws(task, forecast, n=10)["coverage"][0] == 0


def test_a_weekly_task_is_scaled_by_the_week_before():
    values = np.arange(10.0) ** 2  # from week to week 1, 3, 5, ...; over seven weeks 49 and more
    weeks = pd.date_range(DAYS[0], periods=10, freq="7D")
    panel = Panel(values[None].astype(np.float32), ["series"], weeks)
    task = SalesTask(panel, np.zeros((1, 11, 1), np.float32), ["nothing"], 8, 9, 10, 2, 1)
    truth = task.actual(task.cutoffs("test"))
    found = draws(task, band(truth, -1.0, 4.0, 5.0), n=10)
    assert found["MASE"][0] == pytest.approx(4 / np.diff(values[:9]).mean())
    assert found["RMSSE"][0] == pytest.approx(4 / np.sqrt((np.diff(values[:9]) ** 2).mean()))


def test_intervals_hold_95_of_100_draws():
    rng = np.random.default_rng(0)
    task = task_of(rng.gamma(2, 10, (6, 42)))
    cutoffs = task.cutoffs("test")
    truth, scale = task.actual(cutoffs), naive_scale(task.panel.values[:, :28])
    one, two = (np.sort(rng.gamma(2, 10, (*truth.shape, 3)), axis=-1) for _ in range(2))
    first, second = draws(task, one), draws(task, two)
    for metric, values in score_forecast(truth, one, scale).items():
        by_hand = (first[metric][0], *np.quantile(first[metric][1:], [0.025, 0.975]))
        assert values == pytest.approx(by_hand)
    ratio = first["WAPE"] / second["WAPE"]
    by_hand = (ratio[0], *np.quantile(ratio[1:], [0.025, 0.975]))
    assert compare_forecasts(truth, one, two) == pytest.approx(by_hand)


def test_weeks_are_drawn_like_series():
    task = task_of(np.full((3, 42), 10.0))
    truth = task.actual(task.cutoffs("test"))
    good, bad = band(truth, -1.0, 1.0, 2.0), band(truth, -1.0, 1.0, 2.0)
    bad[1, ..., 1] += 2  # three times the error, in the second week only
    assert compare_forecasts(truth, bad, good) == pytest.approx((2, 1, 3))


def test_the_unit_of_mase_comes_from_the_days_before_the_part():
    values = np.full(42, 10.0)
    values[:28] += np.tile([1.0, -1], 14)  # misses "same day last week" by 2 on every day before the test
    values[28:] += 50 * np.arange(14) % 7
    task = task_of(values)
    forecast = band(task.actual(task.cutoffs("test")), -1.0, 1.0, 2.0)
    found = draws(task, forecast, n=10)
    assert found["MASE"][0] == pytest.approx(1 / 2) and found["RMSSE"][0] == pytest.approx(1 / 2)


def test_each_side_of_the_band_is_stretched_by_its_own_open_days():
    actual = np.tile(np.arange(80.0, 121), 7).reshape(1, 41, 7, order="F")  # 80 to 120, seven times
    forecast = np.broadcast_to(np.array([98.0, 100, 105]), (*actual.shape, 3))  # 2 below, 5 above
    n = actual.size
    level = np.ceil(0.9 * (n + 1)) / n
    by_hand = np.quantile((100 - actual) / 2, level), np.quantile((actual - 100) / 5, level)
    np.testing.assert_allclose(calibrate_band(actual, forecast), by_hand)
    is_open = np.array([1, 1, 1, 1, 1, 1, 0], bool).reshape(1, 1, 7)
    shut = actual.copy()
    shut[..., 6] = 0  # nothing is sold on closed days
    np.testing.assert_allclose(
        calibrate_band(shut, forecast, is_open), calibrate_band(actual[..., :6], forecast[..., :6, :])
    )


def test_a_window_is_divided_by_its_mean_per_day():
    task = task_of([np.arange(42.0), np.full(42, 3.0)])
    windows = task.windows(np.array([13, 20]))
    assert windows.scale.ravel().tolist() == [6.5, 3.0, 13.5, 3.0]  # mean of days 0 to 13, of 7 to 20
    np.testing.assert_allclose(windows.past[0], np.arange(14) / 6.5)
    np.testing.assert_allclose(windows.target[2], np.arange(21, 28) / 13.5, rtol=1e-6)


def test_the_calendar_by_hand():
    days = pd.date_range("2024-12-24", "2025-01-03")
    table = calendar_features(days, (["2024-12-25"], ["2025-01-01"])).set_index(days)
    assert table.index[table["day after"] == 1].strftime("%m-%d").tolist() == ["12-26", "01-02"]
    assert table.loc["2025-01-01":, "month start"].round(2).tolist() == pytest.approx([1, 0.9, 0.8])
    assert table.loc[:"2024-12-31", "month start"].max() == 0


def test_no_forecast_is_below_0():
    task = task_of(np.full(42, 3.0))
    flat = np.tile([-5.0, -1, 2], (7, 1))[None]
    assert task.by_cutoff(flat, np.array([27]))[0, 0, 0].tolist() == [0, 0, 2]


def test_the_largest_series_are_chosen_by_the_days_before_validation():
    shop = toy_shop()
    orders, late = shop.orders, shop.orders["timestamp"] >= "2017-08-07"
    small = orders["product_id"] < 4  # BREAD, the cheapest: a hundred times as much from validation on
    more = orders["revenue"].where(~(late & small), orders["revenue"] * 100)
    grown = shop.with_tables(orders=orders.assign(revenue=more))
    split = Split.last(test="28D", valid="14D")
    names = [sales.task(s, split, "category", lookback=28, n_series=2).panel.names for s in (shop, grown)]
    assert names[0] == names[1] == ["TEA", "MILK"]


def test_the_mean_has_the_quantiles_of_the_same_weekdays():
    task = replace(task_of(np.repeat([10.0, 20, 30, 40, 50, 60], 7)), lookback=28)
    forecast = WeekdayMean(4).predict(task, np.array([41]))[0, 0, 3]
    np.testing.assert_allclose(forecast, [33, 45, 57])  # of 30, 40, 50 and 60


@pytest.mark.parametrize("model", [ETS(), Theta()], ids=lambda model: model.name)
@pytest.mark.parametrize("season", [0.0, 60.0], ids=["no season", "a strong season"])
def test_the_band_of_the_classics_holds_80_of_100_days(model, season):
    noise = np.random.default_rng(1).normal(0, 10, 140)
    week = season * np.tile([-1.0, -0.5, 0, 0, 0, 0.5, 1], 20)
    task = replace(task_of(100 + week + noise), valid_start=100, test_start=112, test_end=140)
    low, _, high = model.predict(task, np.array([132]))[0, 0].T
    assert (high - low).mean() == pytest.approx(2 * 1.2816 * 10, rel=0.25)


def test_theta_forecasts_what_statsmodels_does_and_its_band_grows_as_in_the_formula():
    from statsmodels.tsa.forecasting.theta import ThetaModel

    sales = pd.Series(np.tile([3.0, 1, 1, 2, 4, 9, 8], 12) * np.random.default_rng(2).normal(10, 1, 84))
    own = Theta()._forecast([sales], 14)[0]
    theirs = ThetaModel(sales, period=7, method="multiplicative", use_test=False).fit().forecast(14)
    np.testing.assert_allclose(own[:, 1], theirs)
    # level 10, 14, 10: smoothed with 1/2 it is 10, 12, 11, so the errors are 4 and -2 (their sd is 3)
    spread = Theta._spread(np.array([10.0, 14, 10]), 0.5, 3)
    np.testing.assert_allclose(spread, 1.2815516 * 3 * np.sqrt([1, 1.25, 1.5]))


def test_ets_takes_the_form_with_the_smallest_aicc():
    grown = np.tile([3.0, 1, 1, 2, 4, 9, 8], 10) * np.linspace(1, 6, 70)
    history = [pd.Series(grown * np.random.default_rng(2).normal(1, 0.02, 70))]
    fits = {form: ETS()._model(history[0], *form).fit(disp=False, maxiter=200).aicc for form in ETS.forms}
    best, alone = min(fits, key=fits.get), ETS()
    alone.forms = (best,)
    np.testing.assert_array_equal(ETS()._forecast(history, 7), alone._forecast(history, 7))


def test_trees_know_three_quantiles_in_order_and_learn_from_the_part_they_are_given():
    rng = np.random.default_rng(3)
    task = replace(task_of(rng.gamma(4, 25, (2, 140))), valid_start=98, test_start=112, test_end=140)
    small = {"n_estimators": 30, "learning_rate": 0.1, "min_child_samples": 5}
    cutoffs = task.cutoffs("test")
    model = LightGBM(**small).fit(task)
    forecast = model.predict(task, cutoffs)
    assert (forecast[..., 2] - forecast[..., 0]).mean() > 50  # the 80 % band of this gamma is 120 wide
    other = LightGBM(**small).fit(task, "refit").predict(task, cutoffs)
    assert not np.array_equal(forecast, other)
    model.models = model.models[::-1]  # crossed quantiles are put in order
    np.testing.assert_array_equal(model.predict(task, cutoffs), forecast)


@pytest.mark.parametrize("closed", [(12, 25), [(13, 40)], "Sun"])
def test_a_closed_day_that_is_no_day_is_refused(closed):
    with pytest.raises(BadValue, match="closed holds .*; give a weekday such as 'Sun', a .month, day."):
        open_days(DAYS, closed)


def test_every_kind_of_calendar_is_read():
    new_york = holidays.financial_holidays("NYSE")  # of a market, not of a country
    day, task = pd.Timestamp("2017-07-04"), {"split": Split.last(test="28D", valid="14D"), "lookback": 28}
    for given in (new_york, ["2017-07-04", "2017-08-01", "2017-08-15"], {day: "free"}, (new_york, [])):
        made = sales.task(toy_shop(), level="category", holidays=given, **task)
        assert made.known[0, made.days.get_loc(day), made.known_names.index("quiet holiday")] == 1
    with pytest.raises(BadValue, match="a calendar holds 'U'; give dates"):
        sales.task(toy_shop(), level="category", holidays="US", **task)


def test_a_forecast_of_another_shape_is_refused():
    task = task_of(np.full((2, 42), 10.0))
    wanted = r"a forecast of the test part has the shape \(2, 2, 7, 3\), not "
    for shape in ((2, 2, 7), (1, 2, 7, 3), (5, 2, 7, 3)):
        with pytest.raises(BadValue, match=wanted):
            sales.evaluate(task, {"odd": np.ones(shape)})
