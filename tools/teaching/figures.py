"""The pictures of the hand-outs, drawn by the package from its own numbers, as SVG."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from ecomlib import gates  # noqa: E402
from ecomlib.lessons import bars, gate_explorer, network_drawings  # noqa: E402
from ecomlib.results import read_benchmark  # noqa: E402
from ecomlib.runtime import GATE_COLORS  # noqa: E402

DOLLARS = (20.0, 90.0, 0.0)  # three weeks of an invented household
UNIT = {
    "i": [2.0, 0.5, -3.0],
    "f": [0.0, 0.0, 3.0],
    "g": [1.0, 0.0, 0.0],
    "o": [1.0, 0.0, -1.0],
}  # weights of x, h, bias
BIASES = (0, 1, 3, 5)
PLACE = {"dataset": "categories", "period": "test", "horizon": 7, "holidays": "in", "series": "all"}
BOTH = "mean of LSTM and LightGBM"
PAIRS = ("LSTM / mean of 8 weeks", "LSTM / Ridge", "LSTM / LightGBM", f"{BOTH} / LightGBM")


def weeks() -> dict[str, np.ndarray]:
    """What the unit does in the three weeks: arrays (3,) i, f, g, o, c, h."""
    return gate_explorer.trace(gate_explorer.to_input(list(DOLLARS)), UNIT)


def cell() -> Figure:
    """One step of an LSTM."""
    figure, ax = plt.subplots(figsize=(8, 4.2))
    network_drawings.lstm_cell(ax).set_title("")
    return figure


def unrolled() -> Figure:
    """One unit over three weeks, with its numbers."""
    inputs = gate_explorer.to_input(list(DOLLARS))
    said = [
        f"{d:.0f} dollars\n$x_{t}$ = {x:.2f}" for t, (d, x) in enumerate(zip(DOLLARS, inputs, strict=True), 1)
    ]
    figure, ax = plt.subplots(figsize=(10, 3.5))
    network_drawings.unrolled_lstm(weeks(), said, ax).set_title("")
    return figure


def left(bias: float, steps: float) -> float:
    """Share of the cell state that is left after some steps, the forget gate being at its bias."""
    return float(gates.sigmoid(np.array(bias, float)) ** steps)


def kept() -> Figure:
    """How much of the cell state is left, by the bias of the forget gate."""
    figure, ax = plt.subplots(figsize=(8, 2.1))
    steps = range(53)
    for width, bias in zip((1, 1.6, 2.2, 2.8), BIASES, strict=True):
        ax.plot(steps, [left(bias, step) for step in steps], color=GATE_COLORS["forget"], linewidth=width)
    for at, bias in zip((1, 4, 17, 48), BIASES, strict=True):
        ax.text(at + 0.6, left(bias, at) + 0.02, f"bias {bias}", fontsize=10)
    ax.set(xlabel="weeks without anything new", ylabel="share left", ylim=(0, 1.05), xlim=(0, 52))
    return figure


def ratios() -> pd.DataFrame:
    """Ratios of WAPE with intervals, in the last eight weeks: model, value, low, high."""
    bench = read_benchmark("sales")
    here = np.logical_and.reduce([bench[name] == value for name, value in PLACE.items()])
    rows = bench[here & (bench["metric"] == "WAPE")].set_index("model").loc[list(PAIRS)]
    named = [pair.replace(BOTH, "both joined") for pair in PAIRS]
    return rows[["value", "low", "high"]].set_axis(named).rename_axis("model").reset_index()


def forest() -> Figure:
    """The ratios as a forest plot."""
    figure, ax = plt.subplots(figsize=(8, 1.9))
    bars.ratio_forest(ratios(), "WAPE of the first, divided by WAPE of the second", "", False, ax)
    return figure


def split() -> Figure:
    """A year cut into training, validation and test, with one window and its horizon."""
    figure, ax = plt.subplots(figsize=(8, 1.9))
    parts = (("training", 0, 281, "0.85"), ("validation", 281, 28, "#8fc1e3"), ("test", 309, 56, "#f0c37a"))
    for name, start, days, colour in parts:
        ax.barh(0, days, left=start, color=colour, edgecolor="0.3", height=0.5)
        ax.text(start + days / 2, 0.36, name, ha="center", fontsize=10)
    ax.barh(-0.75, 56, left=150, color=GATE_COLORS["hidden"], height=0.3)
    ax.barh(-0.75, 7, left=206, color=GATE_COLORS["cell"], height=0.3)
    ax.plot([206, 206], [-1.0, 0.25], color="black", linewidth=1.2)
    ax.text(148, -0.75, "window: what is known", ha="right", va="center", fontsize=10)
    ax.text(216, -0.75, "horizon: what is forecast", ha="left", va="center", fontsize=10)
    ax.text(206, -1.22, "cutoff", ha="center", va="center", fontsize=10)
    ax.set(xlim=(0, 365), ylim=(-1.4, 0.6), yticks=[], xlabel="days of a year")
    ax.spines[["left", "right", "top"]].set_visible(False)
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "cell": cell,
    "unrolled": unrolled,
    "kept": kept,
    "forest": forest,
    "split": split,
}


def draw(folder: Path) -> None:
    """Write every picture into a folder; the same numbers give the same file."""
    style: Any = {
        "svg.hashsalt": "kit",
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with plt.rc_context():
        plt.rcdefaults()  # what a lesson or another picture has set before counts for nothing
        plt.rcParams.update(style)
        for name, make in FIGURES.items():
            figure = make()
            figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
            plt.close(figure)
