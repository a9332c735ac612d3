"""Where windows and their targets lie (lesson 15), and what a weekly task asks of whom (lesson 16)."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

KINDS = {  # of a square of `task_grid`, and its colour
    "not seen yet": "#ffffff",
    "known, not asked": "#d9d9d9",
    "train": "#56b4e9",
    "valid": "#de8f05",
    "test": "#cc78bc",
}


def window_layout(
    cutoffs: Mapping[str, int],
    lookback: int,
    horizon: int,
    n_days: int,
    title: str,
    ax: Axes | None = None,
    shapes: tuple[str, str] | None = None,
    dropped: int | None = None,
) -> Axes:
    """Draw where windows and their targets lie: three cutoffs, a week apart, in each part.

    Parameters
    ----------
    cutoffs : dict
        Part's name -> its first cutoff drawn, a day's number, the last day in the window. Each part but
        the first begins on the day after its cutoff; a line is drawn there.
    lookback, horizon, n_days : int
        Days.
    title : str
    shapes : (str, str), optional
        What is written beside the first window drawn and beside its target.
    dropped : int, optional
        Cutoff of a window whose target crosses a border; it is drawn hatched, in a row of its own.
    """
    ax = ax or plt.subplots(figsize=(9, 3.8))[1]
    rows = [first + week for first in cutoffs.values() for week in (0, 7, 14)]
    names = list(cutoffs)
    if dropped is not None:
        rows, names = [*rows, dropped], [*names, "dropped"]
    n_rows = len(rows)
    for level, cutoff in zip(reversed(range(n_rows)), rows, strict=True):
        hatched = dropped is not None and level == 0
        hatch, alpha = ("///", 0.5) if hatched else (None, 1.0)
        ax.barh(level, lookback, left=cutoff + 1 - lookback, height=0.7, color="C0", hatch=hatch, alpha=alpha)
        ax.barh(level, horizon, left=cutoff + 1, height=0.7, color="C1", hatch=hatch, alpha=alpha)
    borders = {part: first + 1 for part, first in list(cutoffs.items())[1:]}
    for part, border in borders.items():
        ax.axvline(border, color="black", lw=1)
        at, side = (border + 2, "left") if part == list(borders)[-1] else (border - 2, "right")
        ax.text(at, n_rows - 1, f"{part} starts", ha=side, va="center", fontsize="small")
    if shapes:
        first = rows[0] + 1
        ax.text(first - lookback - 2, n_rows - 1, shapes[0], ha="right", va="center", fontsize="small")
        ax.text(first + horizon + 2, n_rows - 1, shapes[1], va="center", fontsize="small")
    ax.set(xlabel="day of the year", xlim=(0, n_days), ylim=(-0.6, n_rows), title=title)
    ax.set_yticks([max(n_rows - 2 - 3 * k, 0) for k in range(len(names))], names)
    ax.legend(ax.containers[:2], [f"{lookback} days back", f"{horizon} days ahead"], loc="lower left")
    return ax


def task_grid(kind: np.ndarray, trips: np.ndarray, names: Sequence[str], first_week: int, title: str) -> Axes:
    """Draw households by weeks: what a task asks at each cutoff, and in which weeks there was a trip.

    Parameters
    ----------
    kind : int array (households, weeks)
        Position in `KINDS`: of which part the week is a cutoff for the household, if of any.
    trips : bool array (households, weeks)
        Drawn as dots.
    names : sequence of str
        One per household.
    first_week : int
        Number of the first column's week.
    title : str
    """
    fig, ax = plt.subplots(figsize=(9, 1.3 + 0.36 * len(kind)), layout="constrained")
    weeks = np.arange(kind.shape[1] + 1) + first_week - 0.5
    edges = np.arange(len(kind) + 1) - 0.5
    colours = ListedColormap(list(KINDS.values()))
    highest = len(KINDS) - 1
    ax.pcolormesh(weeks, edges, kind, cmap=colours, vmin=0, vmax=highest, edgecolor="white", linewidth=0.8)
    row, week = np.nonzero(trips)
    ax.plot(week + first_week, row, "k.", ms=4, label="a week with a trip")
    patches = [Patch(facecolor=colour, edgecolor="0.6", label=name) for name, colour in KINDS.items()]
    fig.legend(handles=[*patches, ax.lines[0]], loc="outside lower center", ncols=6, fontsize=9)
    ax.set_yticks(range(len(kind)), names)
    ax.invert_yaxis()
    ax.grid(False)
    ax.set(xlabel="week of 2017", title=title)
    return ax
