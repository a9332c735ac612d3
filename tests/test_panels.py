"""Panels and windows: against slow loops, by hand, and at their limits."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomlib.panels import (
    daily_panel,
    event_days,
    ewm_sum,
    monday_of,
    steps_since,
    sum_cells,
    weekly_panel,
)
from ecomlib.shop import TooShort
from ecomlib.windows import future_windows, past_windows, window_scale


@given(st.integers(1, 3), st.integers(5, 30), st.integers(1, 5), st.booleans())
def test_windows_equal_a_loop(n_series, n_days, length, with_features):
    shape = (n_series, n_days, 2) if with_features else (n_series, n_days)
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    cutoffs = np.arange(length - 1, n_days - length, 2)
    past, future = past_windows(values, cutoffs, length), future_windows(values, cutoffs, length)
    for i, cutoff in enumerate(cutoffs):
        np.testing.assert_array_equal(past[i], values[:, cutoff - length + 1 : cutoff + 1])
        np.testing.assert_array_equal(future[i], values[:, cutoff + 1 : cutoff + 1 + length])


@pytest.mark.parametrize(("cut", "cutoff"), [(past_windows, 1), (past_windows, 10), (future_windows, 7)])
def test_a_window_that_does_not_fit_is_refused(cut, cutoff):
    with pytest.raises(TooShort, match="do not fit into steps 0 to 9"):
        cut(np.zeros((1, 10)), np.array([cutoff]), 3)


def test_the_message_names_the_steps_that_were_asked_for():
    with pytest.raises(TooShort, match="windows of 3 steps from step 8 to 12 do not fit into steps 0 to 9"):
        future_windows(np.zeros((1, 10)), np.array([7, 9]), 3)


def test_scale_is_each_windows_own_mean_with_a_floor():
    past = np.array([[[2.0, 4.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 9.0]]])
    np.testing.assert_allclose(window_scale(past), [[[3], [0.001]], [[1], [4.5]]])
    np.testing.assert_allclose(window_scale(past, floor=2), [[[3], [2]], [[2], [4.5]]])


def test_daily_panel_equals_groupby():
    rng = np.random.default_rng(0)
    when = pd.Series(pd.Timestamp("2024-02-27 08:00") + pd.to_timedelta(rng.integers(0, 400, 200), unit="h"))
    key, value = pd.Series(rng.choice(["a", "b", "c"], 200)), pd.Series(rng.random(200))
    panel = daily_panel(when, key, value)
    slow = value.groupby([key, when.dt.normalize()]).sum().unstack(fill_value=0)
    slow = slow.reindex(columns=pd.date_range(when.min().normalize(), when.max().normalize()), fill_value=0)
    np.testing.assert_allclose(panel.values, slow.to_numpy(), rtol=1e-6)
    assert panel.names == ["a", "b", "c"] and list(panel.days) == list(slow.columns)
    assert panel.values.dtype == np.float32


def test_daily_names_are_sorted_as_texts_and_whole_numbers_are_summed():
    when = pd.Series(pd.to_datetime(["2024-05-01 23:59", "2024-05-02 00:00", "2024-05-02 12:00"]))
    panel = daily_panel(when, pd.Series([10, 9, 9]), pd.Series([1, 2, 3]))
    assert panel.names == ["10", "9"]
    np.testing.assert_array_equal(panel.values, [[1, 0], [0, 5]])
    mixed = daily_panel(when, pd.Series(["b", 7, "a"], dtype=object), pd.Series([1, 2, 3]))
    assert mixed.names == ["7", "a", "b"]


def test_daily_panel_keeps_asked_names_and_skips_missing_keys():
    when = pd.Series(pd.to_datetime(["2024-05-01", "2024-05-02", "2024-05-02"]))
    panel = daily_panel(when, pd.Series(["a", None, "b"]), pd.Series([1.0, 2.0, 3.0]), names=["b", "z"])
    np.testing.assert_array_equal(panel.values, [[0, 3], [0, 0]])
    with pytest.raises(TooShort, match="^the panel has no lines; give at least one sale.$"):
        daily_panel(when[:0], pd.Series([], dtype=object), pd.Series([], dtype=float))


def orders(rows):
    frame = pd.DataFrame(rows, columns=["customer_id", "order_id", "timestamp", "revenue"])
    return frame.assign(timestamp=pd.to_datetime(frame["timestamp"]))


LINES = orders(
    [
        ("b", 1, "2024-05-03 09:00", 99.0),  # a Friday: its week is not covered from Monday on
        ("b", 2, "2024-05-06 00:00", 1.0),
        ("b", 2, "2024-05-06 00:00", 2.0),
        ("a", 3, "2024-05-19 23:59", 4.0),
        ("c", 4, "2024-05-25 10:00", 8.0),
    ]
)
WEEKS = ("2024-05-06", "2024-05-19")


def test_weekly_sums_and_all_customers():
    panel = weekly_panel(LINES, *WEEKS)
    assert list(panel.weeks.strftime("%d %a")) == ["06 Mon", "13 Mon"]
    assert list(panel.customers) == ["a", "b", "c"]
    np.testing.assert_array_equal(panel["spend"], [[0, 4], [3, 0], [0, 0]])
    np.testing.assert_array_equal(panel["baskets"], [[0, 1], [1, 0], [0, 0]])
    np.testing.assert_array_equal(panel["lines"], [[0, 1], [2, 0], [0, 0]])
    assert panel.values.dtype == np.float32
    assert weekly_panel(LINES.assign(revenue=[1, 2, 3, 4, 5]), *WEEKS)["spend"].sum() == 9


def test_known_since_the_first_order_even_before_the_panel():
    panel = weekly_panel(LINES, *WEEKS)
    np.testing.assert_array_equal(panel.first, [1, 0, 2])
    np.testing.assert_array_equal(panel.known, [[0, 1], [1, 2], [0, 0]])


def daily_orders(first: str, last: str, closed: tuple = ()) -> pd.DataFrame:
    days = pd.date_range(first, last)
    days = days[~days.day_of_week.isin(closed)]
    return orders([("a", i, day, 1.0) for i, day in enumerate(days)])


@pytest.mark.parametrize(
    ("first", "last", "closed", "weeks"),
    [
        ("2024-05-06", "2024-06-02", (), 4),  # Monday to Sunday
        ("2024-05-07", "2024-06-01", (), 2),  # both edges cut
        ("2024-05-06", "2024-06-01", (6,), 4),  # closed on Sundays: Saturday ends the week
        ("2024-05-07", "2024-06-02", (0,), 4),  # closed on Mondays: Tuesday begins it
        ("2024-05-06", "2024-05-31", (6,), 3),  # closed on Sundays, and the last Saturday is missing
        ("2024-05-07", "2024-05-19", (), 1),  # one whole week is enough
        ("2024-05-06", "2024-05-12", (5, 6), 1),  # closed at weekends
    ],
)
def test_a_week_is_whole_when_every_weekday_that_is_open_is_covered(first, last, closed, weeks):
    panel = weekly_panel(daily_orders(first, last, closed))
    assert len(panel.weeks) == weeks
    assert set(panel.weeks.day_of_week) == {0}


def test_two_sundays_in_advent_do_not_make_a_shop_open_on_sundays():
    usual = daily_orders("2024-10-07", "2024-12-28", closed=(6,))
    advent = orders([("b", 900, "2024-12-08 12:00", 5.0), ("b", 901, "2024-12-15 12:00", 5.0)])
    assert len(weekly_panel(pd.concat([usual, advent], ignore_index=True)).weeks) == 12
    # open on every second Sunday: a shop that is open on Sundays, so the last week is not whole
    every_second = orders([("b", 910 + i, f"2024-{day}", 5.0) for i, day in enumerate(SUNDAYS)])
    assert len(weekly_panel(pd.concat([usual, every_second], ignore_index=True)).weeks) == 11


SUNDAYS = ("10-13", "10-27", "11-10", "11-24", "12-08", "12-22")


def test_a_shop_with_few_days_counts_every_weekday_as_open():
    few = orders([("a", i, day, 1.0) for i, day in enumerate(("2024-05-06", "2024-05-29", "2024-06-20"))])
    panel = weekly_panel(few)
    assert list(panel.weeks[[0, -1]].strftime("%Y-%m-%d")) == ["2024-05-06", "2024-06-10"]


def test_weekly_sums_agree_with_pandas():
    rng = np.random.default_rng(0)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 70 * 24 * 60, 500), unit="min")
    frame = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 20, 500),
            "order_id": rng.integers(0, 200, 500),
            "timestamp": when,
            "revenue": rng.uniform(0, 9, 500),
        }
    )
    panel = weekly_panel(frame, "2024-01-01", "2024-03-10")
    group = frame.groupby(["customer_id", frame["timestamp"].dt.to_period("W").dt.start_time])
    for channel, expected in (("spend", group["revenue"].sum()), ("lines", group.size())):
        table = expected.unstack().reindex(index=panel.customers, columns=panel.weeks).fillna(0)
        np.testing.assert_allclose(panel[channel], table, rtol=1e-5)


def test_chosen_weeks():
    panel = weekly_panel(LINES, "2024-05-01", "2024-05-31")
    assert len(panel.weeks) == 5
    assert panel["spend"].sum() == LINES["revenue"].sum()


def test_too_short():
    with pytest.raises(TooShort, match="^the panel has no lines; give at least one sale.$"):
        weekly_panel(LINES[:0])
    with pytest.raises(TooShort, match="^the orders cover no whole week from Monday to Sunday; give"):
        weekly_panel(daily_orders("2024-05-08", "2024-05-17"), "2024-05-13", "2024-05-08")


def test_the_monday_of_each_weekday():
    week = pd.date_range("2024-05-06 13:00", periods=7)
    assert {monday_of(day) for day in week} == {pd.Timestamp("2024-05-06")}
    assert monday_of("2024-05-05 23:59") == pd.Timestamp("2024-04-29")


def test_lines_outside_the_cells_are_left_out():
    index = (np.array([0, 0, -1, 2, 1]), np.array([1, 1, 0, 0, -1]))
    np.testing.assert_array_equal(sum_cells(index, (2, 2)), [[0, 2], [0, 0]])
    assert sum_cells(index, (2, 2)).dtype == np.float64
    np.testing.assert_array_equal(sum_cells(index, (2, 2), [1, 2, 4, 8, 16]), [[0, 3], [0, 0]])
    with pytest.raises(ValueError, match="zip"):
        sum_cells(index, (2, 2, 2))


def test_fading_halves_after_the_half_life_and_never_reads_ahead():
    values = np.array([[4.0, 0, 0, 0, 1]])
    np.testing.assert_allclose(ewm_sum(values, half_life=2)[0], [4, 4 * 0.5**0.5, 2, 2 * 0.5**0.5, 2])
    np.testing.assert_allclose(ewm_sum(values, half_life=np.inf)[0], [4, 4, 4, 4, 5])
    np.testing.assert_array_equal(ewm_sum(values[:, :3], 2), ewm_sum(values, 2)[:, :3])
    np.testing.assert_allclose(ewm_sum(np.array([[1, 0, 1]]), 1), [[1, 0.5, 1.25]])


def test_steps_since_by_hand_and_with_more_axes():
    happened = np.array([[[0, 1], [1, 0], [0, 0], [0, 1]]], bool)
    np.testing.assert_array_equal(steps_since(happened)[0].T, [[-1, 0, 1, 2], [0, 1, 2, 0]])


def test_event_days_are_counted_to_the_sunday_and_outside_the_panel_there_are_none():
    who, week, weekday = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 3]), np.array([1, 4, 6, 0])
    since, on = event_days((who, week), weekday, (2, 3))
    assert since.dtype == np.int32 and since.tolist() == [[2, 9, 0], [-1, -1, -1]]  # Friday, then a Sunday
    assert np.argwhere(on).tolist() == [[1, 0, 0], [4, 0, 0], [6, 0, 2]]
    with_item = event_days((who, week, np.array([0, 1, 1, 0])), weekday, (2, 3, 2))[0]
    assert with_item[0].T.tolist() == [[5, 12, 19], [2, 9, 0]]
