"""One way to choose for all arms: on along a ladder of settings, and on with training while it helps."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

PATIENCE = 5  # looks at the validation loss without a new smallest one, then a fit ends


def climbed(
    fit: Callable[[Any], Any], ladder: Sequence, first: Iterable[int], loss: Callable[[Any], float]
) -> dict[Any, Any]:
    """Fit the first settings of a ladder, then the next one as long as the best lies at an edge.

    Parameters
    ----------
    fit : function setting -> fit
    ladder : settings in order, from small to large
    first : positions of those that are tried in any case
    loss : function fit -> validation loss

    Returns
    -------
    dict
        Setting -> fit, in the order of the ladder. The best lies inside, or at the ladder's own end.
    """
    done = {at: fit(ladder[at]) for at in first}
    while True:
        best = min(sorted(done), key=lambda at: loss(done[at]))
        beside = [at for at in (best - 1, best + 1) if at not in done and 0 <= at < len(ladder)]
        if not beside:
            return {ladder[at]: done[at] for at in sorted(done)}
        done[beside[0]] = fit(ladder[beside[0]])


def stands_still(losses: Sequence[float]) -> bool:
    """Whether the smallest loss lies `PATIENCE` looks back."""
    return len(losses) - 1 - int(np.argmin(losses)) >= PATIENCE


def mean_curve(curves: Sequence[Sequence[float]]) -> np.ndarray:
    """Mean loss after each epoch, (epochs of the longest fit,): a fit that has ended stays as it is."""
    longest = max(map(len, curves))
    return np.mean([[*curve, *[curve[-1]] * (longest - len(curve))] for curve in curves], axis=0)


def in_words(setting: dict[str, Any]) -> str:
    """A setting as a table tells it: "rate 0.012, epochs 24"."""
    return ", ".join(f"{name} {value}" for name, value in setting.items())


def best_of(ladder: Sequence[float], start: Iterable[float], loss: Callable[[float], float]) -> float:
    """The setting of a ladder with the smallest loss: `start` is tried, then `climbed` goes on."""
    losses = climbed(loss, ladder, map(ladder.index, start), loss=lambda found: found)
    return min(losses, key=losses.__getitem__)
