"""The sales task: shapes, calendar, promotions, and the proof that time does not leak."""

import sys

import holidays
import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical, change_after
from toy_shop import toy_shop

from ecomlib.sales import (
    ETS,
    LightGBM,
    Ridge,
    Theta,
    WeekdayMean,
    calendar_features,
    calibrate_band,
    conformal_band,
    known_ahead,
    open_days,
)
from ecomlib.sales import task as sales_task
from ecomlib.shop import BadValue, MissingColumn, TooShort
from ecomlib.shop.complete_journey import CLOSED, HOLIDAYS
from ecomlib.split import Split
from ecomlib.windows import future_windows

TASK = sys.modules["ecomlib.sales.task"]  # the module; the package's name `task` is the function
START = pd.Timestamp("2017-05-01")  # a Monday
SPLIT = Split.last(test="28D", valid="14D")


@pytest.fixture(scope="module")
def shop():
    return toy_shop()


def task_of(shop, split=SPLIT, **sizes):
    sizes = {"lookback": 28, "holidays": HOLIDAYS, "closed": CLOSED} | sizes
    return sales_task(shop, split, "category", **sizes)


def test_shapes_and_parts(shop):
    task = task_of(shop)
    assert (task.n_series, task.valid_start, task.test_start, task.test_end) == (3, 98, 112, 140)
    assert task.cutoffs("test").tolist() == [111, 118, 125, 132]
    assert task.cutoffs("valid").tolist() == list(range(97, 105))
    assert task.cutoffs("train")[[0, -1]].tolist() == [27, 90]
    assert task.cutoffs("refit")[-1] + task.horizon == task.test_start - 1
    assert task.cutoffs("next").tolist() == [139]
    windows = task.windows(task.cutoffs("train"))
    n = 64 * 3
    assert windows.past.shape == (n, 28)
    assert windows.past_known.shape == (n, 28, len(task.known_names))
    assert windows.future_known.shape == (n, 7, len(task.known_names) + 3)
    back = (windows.target * windows.scale).reshape(64, 3, 7)
    np.testing.assert_allclose(back, task.actual(task.cutoffs("train")), rtol=1e-5)
    inputs = windows.inputs()
    assert inputs["past"].dtype == inputs["future"].dtype == np.float32


def test_calendar_knows_the_moving_holidays():
    days = pd.date_range("2017-01-01", "2017-12-31")
    table = calendar_features(days, HOLIDAYS).set_index(days)
    assert table.index[table["quiet holiday"] == 1].strftime("%m-%d").tolist() == ["04-16", "11-23", "12-25"]
    free = table.index[table["open holiday"] == 1].strftime("%m-%d").tolist()
    assert free == ["01-01", "05-29", "07-04", "09-04"]
    assert table.loc["2017-12-31", "day before"] == 1  # New Year's Day of the next year counts
    assert days[~open_days(days, CLOSED)].strftime("%m-%d").tolist() == ["12-25"]
    assert (table[known_ahead.WEEKDAYS].sum(axis=1) == 1).all()


def test_holiday_weeks_are_named():
    task = task_of(toy_shop(n_days=245))  # to Sunday 31 December
    sundays = task.panel.days.get_loc("2017-12-10") + np.array([0, 7, 14])
    assert task.holiday_weeks(sundays).tolist() == [False, True, True]
    near = task.panel.days[task.near_holiday[: len(task.panel.days)]].strftime("%m-%d").tolist()
    assert near[-7:-2] == ["12-22", "12-23", "12-24", "12-25", "12-29"]  # the next year's first day counts


def test_promotions_rise_with_the_plan_and_can_be_left_out(shop):
    task = task_of(shop)
    nothing = task_of(shop.with_tables(promotions=None))
    assert task.without("promotions").known_names == nothing.known_names
    np.testing.assert_array_equal(task.without("promotions").known, nothing.known)
    assert len(task.without("promotions", "holidays").known_names) == 8
    lift = task.known[:, 70:, task.known_names.index("expected lift")]
    level = task.known[:, 70:, task.known_names.index("display")]
    assert np.corrcoef(lift.ravel(), level.ravel())[0, 1] > 0.8
    assert 0 <= level.min() <= level.max() <= 1


CUTOFFS = (111, 113, 116)  # a Sunday, a Tuesday, a Friday: a week's sum is over on Sundays only


def everything_at_the_cutoff(shop, models, cutoff):
    """Features, calibration and predictions made on the last day before a test period."""
    task = task_of(shop, Split.last(test=f"{139 - cutoff}D", valid="14D"))
    at = task.cutoffs("test")[:1]
    assert at.tolist() == [cutoff]
    out = {"names": task.panel.names, "inputs": task.windows(at).inputs()}
    train = task.windows(task.cutoffs("refit"))
    out["train"] = {"inputs": train.inputs(), "target": train.target}
    for model in models:
        forecast = model.fit(task, "refit").predict(task, at)
        valid = task.cutoffs("valid")
        factors = calibrate_band(task.actual(valid), model.predict(task, valid))
        out[model.name] = {"forecast": forecast, "band": conformal_band(forecast, factors)}
    return out


def simple_models():
    return [WeekdayMean(4), LightGBM(n_estimators=10, min_child_samples=5)]


def assert_no_leak(shop, models, cutoff=111, seeds=(1, 2)):
    first = everything_at_the_cutoff(shop, models(), cutoff)
    for seed in seeds:
        changed = change_after(shop, START + pd.Timedelta(days=cutoff + 1), seed)
        assert_identical(first, everything_at_the_cutoff(changed, models(), cutoff))


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_the_future_changes_nothing(shop, cutoff):
    assert_no_leak(shop, lambda: [*simple_models(), Ridge()], cutoff)


def test_the_future_changes_nothing_for_the_classics(shop):
    one = task_of(shop, n_series=1)
    other = task_of(change_after(shop, one.panel.days[112]), n_series=1)
    for model in (ETS(), Theta()):
        assert_identical(model.predict(one, np.array([111])), model.predict(other, np.array([111])))


@pytest.mark.slow
def test_the_future_changes_nothing_for_the_network(shop):
    from ecomlib.sales import MLP, SalesLSTM

    small = {"epochs": 1, "units": 8, "members": 1}
    assert_no_leak(shop, lambda: [SalesLSTM(**small), MLP(**small)], cutoff=113, seeds=[1])


def late_window(values, cutoffs, n_steps):
    return future_windows(values, np.asarray(cutoffs) - n_steps + 1, n_steps)


HONEST = known_ahead.promotion_features


def weights_of_today(shop, names, days, level, horizon):
    return HONEST(shop, names, days, level, -12)  # a lag of 0 weeks: the week's own revenue is its weight


def weights_of_last_week(shop, names, days, level, horizon):
    return HONEST(
        shop, names, days, level, 1
    )  # a lag of 1 week: not over at a cutoff in the middle of a week


@pytest.mark.parametrize(
    ("name", "leak", "cutoffs"),
    [
        ("past_windows", late_window, CUTOFFS),
        ("promotion_features", weights_of_today, CUTOFFS),
        ("promotion_features", weights_of_last_week, CUTOFFS[1:]),
    ],
)
def test_a_planted_leak_is_caught(shop, monkeypatch, name, leak, cutoffs):
    monkeypatch.setattr(TASK, name, leak)
    for cutoff in cutoffs:
        with pytest.raises(AssertionError, match="values differ"):
            assert_no_leak(shop, lambda: [WeekdayMean(4)], cutoff, seeds=[1])


def test_what_is_missing_is_named(shop):
    with pytest.raises(MissingColumn, match="'aisle' is missing"):
        sales_task(shop, SPLIT, "aisle")
    with pytest.raises(TooShort, match="140 days are too few"):
        sales_task(shop, Split.last(), "category")
    with pytest.raises(BadValue, match="no part 'exam'"):
        task_of(shop).cutoffs("exam")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"lookback": 50}, "lookback=50: a window is made of whole weeks"),
        ({"lookback": 0}, "lookback=0"),
        ({"n_series": 0}, "n_series=0: there must be at least 1"),
        ({"n_series": -1}, "n_series=-1"),
        ({"horizon": 0}, "horizon=0"),
        ({"split": Split.last(valid="3D")}, "a validation of 3 days does not hold a horizon of 7 days; use"),
        ({"split": Split.last(test="6D")}, "a test of 6 days"),
        ({"split": Split.last(end="2030-01-01")}, "after the last day of the data, 2017-09-17"),
        ({"closed": ["Someday"]}, "closed holds 'Someday'; give a weekday"),
    ],
)
def test_sizes_that_cannot_be_are_named(shop, sizes, words):
    with pytest.raises(BadValue, match=words):
        task_of(shop, **sizes)


def test_unknown_covariates_and_short_windows_are_named(shop):
    task = task_of(shop)
    with pytest.raises(BadValue, match="no covariates 'weather' to leave out"):
        task.without("weather")
    with pytest.raises(TooShort, match="mean of 8 weeks: a window of 28 days holds 4 weeks"):
        WeekdayMean(8).predict(task, task.cutoffs("test"))
    with pytest.raises(BadValue, match="weeks=0"):
        WeekdayMean(0)


def test_another_shop_brings_its_own_calendar(shop):
    summer = {pd.Timestamp("2017-08-15"): "Assumption"}
    task = task_of(shop, holidays=(summer, HOLIDAYS[1]), closed=((8, 15), "2017-09-03"))
    day, known = task.panel.days, task.known[0, :140]
    quiet = day[known[:, task.known_names.index("quiet holiday")] == 1]
    assert quiet.strftime("%m-%d").tolist() == ["08-15"]
    assert day[~open_days(day, task.closed)].strftime("%m-%d").tolist() == ["08-15", "09-03"]
    day_before = np.array([day.get_loc("2017-08-14")])
    assert task.is_open(day_before)[0, 0].tolist() == [False] + 6 * [True]
    forecast = WeekdayMean(4).predict(task, day_before)
    assert (forecast[:, :, 0] == 0).all() and (forecast[:, :, 1, 1] > 0).all()
    assert "quiet holiday" not in calendar_features(day, None)


def test_calendars_of_the_holidays_package_and_closed_weekdays(shop):
    german = holidays.country_holidays("DE", subdiv="BY")  # looks its years up when it is asked
    task = task_of(shop, holidays=german, closed=("Sun", german))
    day = task.panel.days
    quiet = day[task.known[0, :140, task.known_names.index("quiet holiday")] == 1]
    assert quiet.strftime("%m-%d").tolist() == ["05-01", "05-25", "06-05", "06-15"]
    shut = day[~open_days(day, task.closed)]
    assert len(shut) == 20 + 4 and {6} < set(shut.day_of_week)
    assert task_of(shop, holidays=None).known_names[:8] == task.known_names[:8]


@pytest.mark.parametrize("model", [WeekdayMean(4), Theta(), LightGBM(n_estimators=3, min_child_samples=5)])
def test_every_forecaster_says_0_on_closed_days(shop, model):
    task = task_of(shop, closed=("Wed",), n_series=1)
    forecast = model.fit(task).predict(task, task.cutoffs("test")[:2])
    assert (forecast[:, :, 2] == 0).all() and (forecast[:, :, [0, 1, 3, 4, 5, 6], 1] > 0).all()


def test_the_days_after_the_last_day_are_forecast_and_not_known(shop):
    task = task_of(shop)
    forecast = WeekdayMean(4).fit(task).predict(task, task.cutoffs("next"))
    by_hand = task.panel.values[:, -28:].reshape(3, 4, 7).mean(axis=1)
    np.testing.assert_allclose(forecast[0, :, :, 1], by_hand, rtol=1e-5)
    trees = LightGBM(n_estimators=3, min_child_samples=5).fit(task).predict(task, task.cutoffs("next"))
    assert np.isfinite(trees).all() and trees.shape == (1, 3, 7, 3)
    assert np.isnan(task.windows(task.cutoffs("next")).target).all()
    with pytest.raises(TooShort, match="do not fit into steps 0 to 139"):
        task.actual(task.cutoffs("next"))


def test_plans_after_the_horizon_change_nothing(shop):
    """A week's plan is known ahead; the plans of the weeks after the horizon are not read."""
    plan = shop.promotions
    later = plan["week_start"] >= START + pd.Timedelta(days=112)
    other = shop.with_tables(
        promotions=plan.assign(
            display=plan["display"].where(~later, 1.0), mailer=plan["mailer"].where(~later, 0.3)
        )
    )
    first, second = (task_of(s).known[:, :112] for s in (shop, other))
    assert_identical(first, second)
    assert (task_of(shop).known[:, 112:] != task_of(other).known[:, 112:]).any()


def test_series_are_chosen_by_their_sales_before_validation(shop):
    orders = shop.orders
    bread = (orders["product_id"] < 4) & (orders["timestamp"] >= START + pd.Timedelta(days=98))
    later = shop.with_tables(orders=orders.assign(revenue=orders["revenue"].where(~bread, 9999.0)))
    assert [task_of(later, n_series=n).panel.names for n in (1, 3)] == [["TEA"], ["TEA", "MILK", "BREAD"]]
