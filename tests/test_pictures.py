"""The figures of the first lessons draw what they are given and show nothing by themselves."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ecomlib import pictures


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_the_map_marks_planned_lessons():
    ax = pictures.course_map(
        {"Foundations": {11: "data", 12: "recurrence"}, "Sales": {21: "prepare"}}, {11, 21}
    )
    words = [text.get_text() for text in ax.texts]
    assert "recurrence\n(planned)" in words
    assert "data" in words
    assert [box.get_linestyle() in ("--", "dashed") for box in ax.patches] == [False, True, False]


def test_basket_shares_add_up():
    baskets = pd.DataFrame({"products": [1, 1, 3, 99], "paid": [1.0, 2.0, 3.0, 94.0]})
    ax = pictures.basket_sizes(baskets)
    for bars in ax.containers:
        assert sum(bar.get_height() for bar in bars) == pytest.approx(100)


def test_return_gaps_count_every_gap():
    left, right = pictures.returns(pd.Series([1.0, 7.0, 300.0]), pd.Series([5, 12]))
    assert sum(bar.get_height() for bar in left.patches) == pytest.approx(100)
    assert sum(bar.get_height() for bar in right.patches) == 2


def test_the_other_figures_label_their_axes():
    weekly = pd.DataFrame({"sales": [9.0, 8.0], "active": [3, 2], "seen": [3, 4]}, index=[2, 3])
    hours = pd.DataFrame(np.ones((7, 24)), columns=range(24))
    lift = pd.DataFrame(
        {"lift": [1.0, 2], "low": [1.0, 1], "high": [1.0, 3], "price cut": [0, 0.3]}, ["none", "both"]
    )
    mean = pd.DataFrame({"a": [1.0, 2], "b": [2.0, 3]}, index=[-1, 0])
    days = pd.date_range("2024-01-01", periods=7)
    grid = pd.DataFrame(np.eye(2, dtype=bool), index=["TEA", "HONEY"], columns=[1, 2])
    axes = [
        *pictures.sales_and_panel(weekly),
        pictures.weekday_and_hour(hours, [1 / 7] * 7),
        *pictures.promotion_lift(lift, "TEA"),
        pictures.campaign_groups(mean, {"a": 5, "b": 6}),
        pictures.index_curves(weekly, (2, 3)),
        *pictures.three_sequences(pd.Series(1.0, days), grid, pd.Series([2, 3], days[[0, 4]])),
    ]
    assert all(ax.get_title(loc="left") or ax.get_title() for ax in axes)
    assert all(ax.get_xlabel() for ax in axes[:7])
