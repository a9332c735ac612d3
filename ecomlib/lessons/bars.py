"""Scores as bars and ratios as a forest, with their intervals."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes


def score_bars(
    results: pd.DataFrame,
    xlabel: str,
    title: str,
    highlight: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the rows of one metric as bars with intervals; `highlight` gives colours, the rest is grey."""
    ax = ax or plt.subplots(figsize=(8, 0.5 + 0.4 * len(results)))[1]
    colours = [(highlight or {}).get(model, "0.65") for model in results["model"]]
    reach = [results["value"] - results["low"], results["high"] - results["value"]]
    ax.barh(results["model"], results["value"], color=colours)
    ax.errorbar(results["value"], results["model"], xerr=reach, fmt="none", color="black", capsize=3)
    ax.invert_yaxis()
    ax.set(xlabel=xlabel, title=title)
    return ax


def ratio_forest(
    ratios: pd.DataFrame, xlabel: str, title: str, larger_is_better: bool, ax: Axes | None = None
) -> Axes:
    """Draw one ratio per row with its interval: blue where the first model is better, grey where level.

    `ratios` has the columns model, value, low, high. Orange is where the first model is worse.
    """
    ax = ax or plt.subplots(figsize=(8, 0.6 + 0.32 * len(ratios)))[1]
    above, below = ratios["low"] > 1, ratios["high"] < 1
    better, worse = (above, below) if larger_is_better else (below, above)
    for some, colour, label in (
        (better, "#0173b2", "better"),
        (~better & ~worse, "0.45", "level"),
        (worse, "#de8f05", "worse"),
    ):
        rows = ratios[some]
        at = np.flatnonzero(some)
        reach = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        if len(rows):
            ax.errorbar(rows["value"], at, xerr=reach, fmt="o", color=colour, capsize=3, label=label)
    ax.axvline(1, color="black", linewidth=0.8)
    ax.set_yticks(range(len(ratios)), ratios["model"])
    ax.invert_yaxis()
    ax.set(xlabel=xlabel, title=title)
    ax.legend(loc="best", fontsize=9)
    return ax
