"""The figures of the foundations draw what they are given and show nothing by themselves."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ecomlib.lessons import network_drawings, shop_figures, window_figures
from ecomlib.runtime import GATE_COLORS


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_the_map_shows_no_lesson_that_does_not_exist():
    ax = shop_figures.course_map(
        {"Foundations": {11: "data", 12: "recurrence"}, "Sales": {21: "prepare"}}, {11, 21}
    )
    words = [text.get_text() for text in ax.texts]
    assert words == ["Foundations", "11", "data", "Sales", "21", "prepare"]
    assert len(ax.patches) == 4  # a filled box and its frame for each


def test_the_grid_of_a_task_draws_each_square_in_its_colour_and_a_dot_per_trip():
    kind, trips = np.array([[1, 2, 4], [0, 0, 1]]), np.array([[1, 0, 1], [0, 0, 1]], dtype=bool)
    ax = window_figures.task_grid(kind, trips, ["A", "B"], first_week=2, title="Two households")
    mesh = ax.collections[0]
    assert np.array_equal(np.asarray(mesh.get_array()).reshape(2, 3), kind)
    shown = mesh.cmap(mesh.norm(kind))
    wanted = [plt.matplotlib.colors.to_rgba(list(window_figures.KINDS.values())[k]) for k in kind.ravel()]
    np.testing.assert_allclose(shown.reshape(-1, 4), wanted)
    dots = ax.lines[0].get_xydata().tolist()
    assert dots == [[2, 0], [4, 0], [4, 1]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A", "B"]
    assert list(ax.get_xlim()) == [1.5, 4.5]


def test_basket_shares_add_up():
    baskets = pd.DataFrame({"products": [1, 1, 3, 99], "paid": [1.0, 2.0, 3.0, 94.0]})
    ax = shop_figures.basket_sizes(baskets)
    for bars in ax.containers:
        assert sum(bar.get_height() for bar in bars) == pytest.approx(100)


def test_return_gaps_count_every_gap():
    left, right = shop_figures.returns(pd.Series([1.0, 7.0, 300.0]), pd.Series([5, 12]))
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
        *shop_figures.sales_and_panel(weekly),
        shop_figures.weekday_and_hour(hours, [1 / 7] * 7),
        *shop_figures.promotion_lift(lift, "TEA"),
        shop_figures.campaign_groups(mean, {"a": 5, "b": 6}),
        shop_figures.index_curves(weekly, (2, 3)),
        *shop_figures.three_sequences(pd.Series(1.0, days), grid, pd.Series([2, 3], days[[0, 4]])),
    ]
    assert all(ax.get_title(loc="left") or ax.get_title() for ax in axes)
    assert all(ax.get_xlabel() for ax in axes[:7])


def test_every_gate_has_its_colour_in_the_drawing_of_the_cell():
    from matplotlib.colors import to_hex

    ax = network_drawings.lstm_cell()
    drawn = {to_hex(box.get_edgecolor()) for box in ax.patches if "Fancy" in type(box).__name__}
    assert {GATE_COLORS[gate] for gate in ("forget", "input", "candidate", "output")} <= drawn


def test_the_unrolled_unit_shows_each_number_of_each_step():
    names = "ifgoch"
    run = {name: np.array([0.01, 0.02, 0.03]) + 0.1 * (k + 1) for k, name in enumerate(names)}
    ax = network_drawings.unrolled_lstm(run, ["one", "two", "three"])
    words = [text.get_text().replace("$", "") for text in ax.texts]
    assert {"one", "two", "three"} <= set(words)
    for k, name in enumerate(names):
        for t in range(3):
            label = name if name in "ifgo" else f"{name.replace('c', 'C')}_{t + 1}"
            assert f"{label}\n{0.01 * (t + 1) + 0.1 * (k + 1):.2f}" in words
    places = [ax.texts[words.index(f"C_{t}\n0.5{t}")].get_position()[0] for t in (1, 2, 3)]
    assert places == sorted(places)


def test_windows_end_with_the_cutoff_and_targets_begin_after_it():
    ax = window_figures.window_layout({"train": 99, "test": 299}, 56, 7, 365, "t", dropped=296)
    spans = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
    assert spans[:2] == [(44, 100), (100, 107)]  # days 44 to 99 are known, days 100 to 106 the target
    assert spans[-1] == (297, 304) and spans[-1][0] < 300 < spans[-1][1]  # the target crosses the border
    assert [line.get_xdata()[0] for line in ax.lines] == [300]
