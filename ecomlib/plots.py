"""Figures that several notebooks share. Each returns an Axes and never calls show()."""

import matplotlib.pyplot as plt


def learning_curve(history: dict[str, list[float]], ylabel: str, title: str, ax=None):
    """Draw training and validation loss by epoch.

    Parameters
    ----------
    history : dict
        Keras' `History.history`: "loss" and, if present, "val_loss".
    ylabel : str
        The loss and its unit.
    title : str
        The message of the figure.

    Returns
    -------
    matplotlib Axes
    """
    ax = ax or plt.subplots()[1]
    epochs = range(1, len(history["loss"]) + 1)
    ax.plot(epochs, history["loss"], marker=".", label="training")
    if "val_loss" in history:
        ax.plot(epochs, history["val_loss"], marker=".", label="validation")
    ax.set(xlabel="epoch", ylabel=ylabel, title=title)
    ax.legend()
    return ax


def window_layout(origins: dict[str, int], lookback: int, horizon: int, n_days: int, title: str, ax=None):
    """Draw where windows and their targets lie: three origins, a week apart, in each part.

    Parameters
    ----------
    origins : dict
        Part's name -> its first origin drawn, a day's number; the parts' borders are drawn at the
        origins of all but the first.
    lookback, horizon, n_days : int
        Days.

    Returns
    -------
    matplotlib Axes
    """
    ax = ax or plt.subplots(figsize=(9, 3.2))[1]
    level = 3 * len(origins)
    for first in origins.values():
        for origin in (first, first + 7, first + 14):
            level -= 1
            ax.barh(level, lookback, left=origin - lookback, color="C0", height=0.7)
            ax.barh(level, horizon, left=origin, color="C1", height=0.7)
    for border in list(origins.values())[1:]:
        ax.axvline(border, color="black", lw=1)
    ticks = [3 * row + 1 for row in reversed(range(len(origins)))]
    ax.set(xlabel="day of the year", yticks=ticks, yticklabels=list(origins), xlim=(0, n_days), title=title)
    ax.legend(ax.containers[:2], [f"{lookback} days back", f"{horizon} days ahead"], loc="lower left")
    return ax


def score_bars(results, xlabel: str, title: str, highlight: dict[str, str] | None = None, ax=None):
    """Draw a results table as horizontal bars with their intervals.

    Parameters
    ----------
    results : DataFrame
        Columns model, value, low, high: the rows of one metric.
    highlight : dict, optional
        Model's name -> colour; the others are grey.

    Returns
    -------
    matplotlib Axes
    """
    ax = ax or plt.subplots(figsize=(8, 0.5 + 0.4 * len(results)))[1]
    colours = [(highlight or {}).get(model, "0.65") for model in results["model"]]
    reach = [results["value"] - results["low"], results["high"] - results["value"]]
    ax.barh(results["model"], results["value"], color=colours)
    ax.errorbar(results["value"], results["model"], xerr=reach, fmt="none", color="black", capsize=3)
    ax.invert_yaxis()
    ax.set(xlabel=xlabel, title=title)
    return ax
