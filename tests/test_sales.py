"""The sales task: shapes, calendar, promotions, and the proof that time does not leak."""

import numpy as np
import pandas as pd
import pytest
from pandas.tseries.holiday import AbstractHolidayCalendar, Holiday
from perturb import assert_identical, change_after
from toy_shop import toy_shop

from ecomlib import sales
from ecomlib.baselines import ETS, LightGBM, Theta, WeekdayMean
from ecomlib.evaluation import calibrate_band, stretch_band
from ecomlib.sales import calendar_features, open_days, sales_task
from ecomlib.shop import BadValue, MissingColumn, TooShort

START = pd.Timestamp("2017-05-01")  # a Monday
SIZES = {"window": 28, "horizon": 7, "test_days": 28, "valid_days": 14}


@pytest.fixture(scope="module")
def shop():
    return toy_shop()


def task_of(shop, **sizes):
    return sales_task(shop, "category", **(SIZES | sizes))


def test_shapes_and_parts(shop):
    task = task_of(shop)
    assert (task.n_series, task.valid_start, task.test_start, task.test_end) == (3, 98, 112, 140)
    assert task.origins("test").tolist() == [112, 119, 126, 133]
    assert task.origins("valid").tolist() == list(range(98, 106))
    assert task.origins("train")[[0, -1]].tolist() == [28, 91]
    assert task.origins("refit")[-1] + task.horizon == task.test_start
    windows = task.windows(task.origins("train"))
    n = 64 * 3
    assert windows.past.shape == (n, 28)
    assert windows.past_known.shape == (n, 28, len(task.known_names))
    assert windows.future_known.shape == (n, 7, len(task.known_names) + 3)
    back = (windows.target * windows.scale).reshape(64, 3, 7)
    np.testing.assert_allclose(back, task.actual(task.origins("train")), rtol=1e-5)
    inputs = windows.inputs()
    assert inputs["past"].dtype == inputs["future"].dtype == np.float32


def test_calendar_knows_the_moving_holidays():
    days = pd.date_range("2017-01-01", "2017-12-31")
    table = calendar_features(days).set_index(days)
    assert table.index[table["feast"] == 1].strftime("%m-%d").tolist() == ["04-16", "11-23", "12-25"]
    civic = table.index[table["civic holiday"] == 1].strftime("%m-%d").tolist()
    assert civic == ["01-01", "05-29", "07-04", "09-04"]
    assert table.loc["2017-12-31", "day before"] == 1  # New Year's Day of the next year counts
    assert days[~open_days(days)].strftime("%m-%d").tolist() == ["12-25"]
    assert (table[sales.WEEKDAYS].sum(axis=1) == 1).all()


def test_holiday_weeks_are_named():
    task = task_of(toy_shop(n_days=245))  # to Sunday 31 December
    origins = task.panel.index_of("2017-12-11") + np.array([0, 7, 14])
    assert task.holiday_weeks(origins).tolist() == [False, True, True]
    near = task.panel.days[task.near_holiday].strftime("%m-%d").tolist()
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


CUTOFFS = (112, 114, 117)  # a Monday, a Wednesday, a Saturday: a week's sum is over on Sundays only


def everything_at_the_cutoff(shop, models, cutoff):
    """Features, calibration and predictions made on the first day of a test period."""
    task = task_of(shop, test_start=START + pd.Timedelta(days=cutoff), test_days=140 - cutoff)
    origin = task.origins("test")[:1]
    assert origin.tolist() == [cutoff]
    out = {"names": task.panel.names, "inputs": task.windows(origin).inputs()}
    train = task.windows(task.origins("refit"))
    out["train"] = {"inputs": train.inputs(), "target": train.target}
    for model in models:
        forecast = model.fit(task, "refit").predict(task, origin)
        valid = task.origins("valid")
        factors = calibrate_band(task.actual(valid), model.predict(task, valid))
        out[model.name] = {"forecast": forecast, "band": stretch_band(forecast, factors)}
    return out


def simple_models():
    return [WeekdayMean(1), WeekdayMean(4), LightGBM(n_estimators=10, min_child_samples=5)]


def assert_no_leak(shop, models, cutoff=112, seeds=(1, 2)):
    first = everything_at_the_cutoff(shop, models(), cutoff)
    for seed in seeds:
        changed = change_after(shop, START + pd.Timedelta(days=cutoff), seed)
        assert_identical(first, everything_at_the_cutoff(changed, models(), cutoff))


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_the_future_changes_nothing(shop, cutoff):
    assert_no_leak(shop, simple_models, cutoff)


def test_the_future_changes_nothing_for_the_classics(shop):
    one = task_of(shop, n_series=1)
    other = task_of(change_after(shop, one.panel.days[112]), n_series=1)
    for model in (ETS(), Theta()):
        assert_identical(model.predict(one, np.array([112])), model.predict(other, np.array([112])))


def test_the_future_changes_nothing_for_the_network(shop):
    from ecomlib.models import LSTMForecaster

    assert_no_leak(shop, lambda: [LSTMForecaster(epochs=1, units=8, members=1)], cutoff=114, seeds=[1])


def late_window(values, origins, n_steps):
    return sales.future_windows(values, np.asarray(origins) - n_steps + 1, n_steps)


def weights_of_today(shop, panel, level, horizon):
    return HONEST(shop, panel, level, -12)  # a lag of 0 weeks: the week's own revenue is its weight


def weights_of_last_week(shop, panel, level, horizon):
    return HONEST(shop, panel, level, 1)  # a lag of 1 week: not over at an origin in the middle of a week


HONEST = sales.promotion_features


@pytest.mark.parametrize(
    ("name", "leak", "cutoffs"),
    [
        ("past_windows", late_window, CUTOFFS),
        ("promotion_features", weights_of_today, CUTOFFS),
        ("promotion_features", weights_of_last_week, CUTOFFS[1:]),
    ],
)
def test_a_planted_leak_is_caught(shop, monkeypatch, name, leak, cutoffs):
    monkeypatch.setattr(sales, name, leak)
    for cutoff in cutoffs:
        with pytest.raises(AssertionError, match="values differ"):
            assert_no_leak(shop, lambda: [WeekdayMean(1)], cutoff, seeds=[1])


def test_what_is_missing_is_named(shop):
    with pytest.raises(MissingColumn, match="'aisle' is missing"):
        sales_task(shop, "aisle")
    with pytest.raises(TooShort, match="140 days are too few"):
        sales_task(shop, "category")
    with pytest.raises(ValueError, match="no part 'exam'"):
        task_of(shop).origins("exam")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"window": 50}, "window=50: a window is made of whole weeks"),
        ({"window": 0}, "window=0"),
        ({"n_series": 0}, "n_series=0: there must be at least 1"),
        ({"n_series": -1}, "n_series=-1"),
        ({"horizon": 0}, "horizon=0"),
        ({"valid_days": 3}, "valid_days=3: a horizon of 7 days does not fit; use at least 7"),
        ({"test_days": 6}, "test_days=6"),
        ({"test_start": "2030-01-01"}, "do not lie within the orders, 2017-05-01 to 2017-09-17"),
        ({"test_start": "2017-09-10"}, "use another day or fewer test_days"),
        ({"test_start": "2016-09-10"}, "test_start 2016-09-10"),
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
        WeekdayMean(8).predict(task, task.origins("test"))
    with pytest.raises(BadValue, match="weeks=0"):
        WeekdayMean(0)


def test_another_shop_brings_its_own_calendar(shop):
    class Assumption(AbstractHolidayCalendar):
        rules = [Holiday("Assumption", month=8, day=15)]

    task = task_of(shop, holidays=(Assumption(), sales.CivicHolidays()), closed=((8, 15), (9, 3)))
    day = task.panel.days
    assert day[task.known[0, :, task.known_names.index("feast")] == 1].strftime("%m-%d").tolist() == ["08-15"]
    assert day[~open_days(day, task.closed)].strftime("%m-%d").tolist() == ["08-15", "09-03"]
    on_the_day = np.array([task.panel.index_of("2017-08-15")])
    assert task.is_open(on_the_day)[0, 0].tolist() == [False] + 6 * [True]
    forecast = WeekdayMean(4).predict(task, on_the_day)
    assert (forecast[:, :, 0] == 0).all() and (forecast[:, :, 1, 1] > 0).all()
    assert "feast" not in calendar_features(day, None)
