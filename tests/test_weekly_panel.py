"""The weekly panel of customers: sums, silence, first week, bad input."""

import numpy as np
import pandas as pd
import pytest

from ecomlib.sequences import weekly_panel
from ecomlib.shop import BadValue, TooShort


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


def test_whole_weeks_only_and_all_customers():
    panel = weekly_panel(LINES)
    assert list(panel.weeks.strftime("%d %a")) == ["06 Mon", "13 Mon"]
    assert list(panel.customers) == ["a", "b", "c"]
    np.testing.assert_array_equal(panel["spend"], [[0, 4], [3, 0], [0, 0]])
    np.testing.assert_array_equal(panel["baskets"], [[0, 1], [1, 0], [0, 0]])
    np.testing.assert_array_equal(panel["lines"], [[0, 1], [2, 0], [0, 0]])


def test_known_since_the_first_order_even_before_the_panel():
    panel = weekly_panel(LINES)
    np.testing.assert_array_equal(panel.first, [1, 0, 2])
    np.testing.assert_array_equal(panel.known, [[0, 1], [1, 2], [0, 0]])


def test_sums_agree_with_pandas():
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
    for channel, expected in (
        ("spend", group["revenue"].sum()),
        ("lines", group.size()),
    ):
        table = expected.unstack().reindex(index=panel.customers, columns=panel.weeks).fillna(0)
        np.testing.assert_allclose(panel[channel], table, rtol=1e-5)


def test_chosen_weeks_and_index():
    panel = weekly_panel(LINES, "2024-05-01", "2024-05-31")
    assert len(panel.weeks) == 5 and panel.index_of("2024-05-19") == 2
    for day in ("2023-01-01", "2025-01-01"):
        with pytest.raises(BadValue, match=f"{day} lies outside the panel"):
            panel.index_of(day)
    assert panel["spend"].sum() == LINES["revenue"].sum()


def test_too_short():
    with pytest.raises(TooShort, match="no lines"):
        weekly_panel(LINES[:0])
    with pytest.raises(TooShort, match="no whole week"):
        weekly_panel(LINES[:1])
