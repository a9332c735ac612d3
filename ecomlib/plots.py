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


def window_layout(
    origins: dict[str, int],
    lookback: int,
    horizon: int,
    n_days: int,
    title: str,
    ax=None,
    shapes: tuple[str, str] | None = None,
    dropped: int | None = None,
):
    """Draw where windows and their targets lie: three origins, a week apart, in each part.

    Parameters
    ----------
    origins : dict
        Part's name -> its first origin drawn, a day's number; the parts' borders are drawn at the
        origins of all but the first.
    lookback, horizon, n_days : int
        Days.
    shapes : (str, str), optional
        What is written beside the first window drawn and beside its target.
    dropped : int, optional
        Origin of a window whose target crosses a border; it is drawn hatched, in a row of its own.

    Returns
    -------
    matplotlib Axes
    """
    ax = ax or plt.subplots(figsize=(9, 3.8))[1]
    n_rows = 3 * len(origins) + (dropped is not None)
    rows, ticks = [], []
    for part, first in origins.items():
        ticks.append((n_rows - len(rows) - 2, part))
        rows += [first, first + 7, first + 14]
    if dropped is not None:
        ticks.append((0, "dropped"))
        rows.append(dropped)
    for level, origin in zip(reversed(range(n_rows)), rows, strict=True):
        look = {"height": 0.7, "hatch": "///", "alpha": 0.5} if level == 0 and dropped else {"height": 0.7}
        ax.barh(level, lookback, left=origin - lookback, color="C0", **look)
        ax.barh(level, horizon, left=origin, color="C1", **look)
    borders = list(origins.items())[1:]
    for part, border in borders:
        side = {"x": border + 2, "ha": "left"} if part == borders[-1][0] else {"x": border - 2, "ha": "right"}
        ax.axvline(border, color="black", lw=1)
        ax.text(y=n_rows - 1, s=f"{part} starts", va="center", fontsize="small", **side)
    if shapes:
        ax.text(rows[0] - lookback - 2, n_rows - 1, shapes[0], ha="right", va="center", fontsize="small")
        ax.text(rows[0] + horizon + 2, n_rows - 1, shapes[1], va="center", fontsize="small")
    ax.set(xlabel="day of the year", xlim=(0, n_days), ylim=(-0.6, n_rows), title=title)
    ax.set_yticks(*zip(*ticks, strict=True))
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
