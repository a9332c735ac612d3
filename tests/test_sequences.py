"""Windows, panels, padding, scalers: against slow loops and at their limits."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomlib.sequences import (
    Scaler,
    daily_panel,
    future_windows,
    pad_right,
    past_windows,
    split_by_time,
    window_scale,
)
from ecomlib.shop import BadValue, TooShort


@given(st.integers(1, 3), st.integers(5, 30), st.integers(1, 5), st.booleans())
def test_windows_equal_a_loop(n_series, n_days, length, with_features):
    shape = (n_series, n_days, 2) if with_features else (n_series, n_days)
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    origins = np.arange(length, n_days - length + 1, 2)
    past, future = past_windows(values, origins, length), future_windows(values, origins, length)
    for i, origin in enumerate(origins):
        np.testing.assert_array_equal(past[i], values[:, origin - length : origin])
        np.testing.assert_array_equal(future[i], values[:, origin : origin + length])


@pytest.mark.parametrize(("cut", "origin"), [(past_windows, 2), (past_windows, 11), (future_windows, 8)])
def test_a_window_that_does_not_fit_is_refused(cut, origin):
    with pytest.raises(TooShort, match="do not fit into 10 days"):
        cut(np.zeros((1, 10)), np.array([origin]), 3)


def test_panel_equals_groupby():
    rng = np.random.default_rng(0)
    when = pd.Series(pd.Timestamp("2024-02-27 08:00") + pd.to_timedelta(rng.integers(0, 400, 200), unit="h"))
    key, value = pd.Series(rng.choice(["a", "b", "c"], 200)), pd.Series(rng.random(200))
    panel = daily_panel(when, key, value)
    slow = value.groupby([key, when.dt.normalize()]).sum().unstack(fill_value=0)
    slow = slow.reindex(columns=pd.date_range(when.min().normalize(), when.max().normalize()), fill_value=0)
    np.testing.assert_allclose(panel.values, slow.to_numpy(), rtol=1e-6)
    assert panel.names == ["a", "b", "c"]
    assert panel.index_of(panel.days[5]) == 5
    assert panel.index_of(panel.days[-1] + pd.Timedelta(days=1)) == len(panel.days)
    for day in ("2023-01-01", "2030-01-01"):
        with pytest.raises(BadValue, match=f"{day} lies outside the panel"):
            panel.index_of(day)


def test_panel_keeps_asked_names_and_skips_missing_keys():
    when = pd.Series(pd.to_datetime(["2024-05-01", "2024-05-02", "2024-05-02"]))
    panel = daily_panel(when, pd.Series(["a", None, "b"]), pd.Series([1.0, 2.0, 3.0]), names=["b", "z"])
    np.testing.assert_array_equal(panel.values, [[0, 3], [0, 0]])
    with pytest.raises(TooShort):
        daily_panel(when[:0], pd.Series([], dtype=object), pd.Series([], dtype=float))


def test_split_is_in_time_order_and_complete():
    parts = split_by_time(np.array([5, 1, 9, 7]), 5, 8)
    assert sum(parts.values()).tolist() == [1, 1, 1, 1]
    assert parts["valid"].tolist() == [True, False, False, True]
    with pytest.raises(BadValue):
        split_by_time(np.arange(3), 2, 2)


def test_scale_has_a_floor():
    np.testing.assert_allclose(window_scale(np.zeros((2, 4)), floor=0.5), 0.5)


@given(st.lists(st.integers(0, 6), max_size=5), st.integers(1, 4))
def test_padding_keeps_the_last_steps(lengths, n_steps):
    sequences = [np.arange(1, n + 1) for n in lengths]
    padded, mask = pad_right(sequences, n_steps)
    assert padded.shape == mask.shape == (len(lengths), n_steps)
    for row, real, sequence in zip(padded, mask, sequences, strict=True):
        np.testing.assert_array_equal(row[real], sequence[-n_steps:])
        assert not row[~real].any()


def test_scaler_ignores_padding_and_constant_columns():
    values = np.array([[[1.0, 7], [3, 7], [99, 99]]])
    scaler = Scaler.fit(values, mask=np.array([[True, True, False]]))
    np.testing.assert_allclose(scaler.transform(values)[0, :2], [[-1, 0], [1, 0]])
    with pytest.raises(TooShort):
        Scaler.fit(values, mask=np.zeros((1, 3), bool))
