"""Bars with intervals, for lessons 15 and 33."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
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
