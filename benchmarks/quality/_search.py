"""A search that does not end at an edge, and how a table tells what it chose."""

from collections.abc import Callable
from typing import Any


def in_words(setting: dict[str, Any]) -> str:
    """A setting as a table tells it: "rate 0.012, epochs 24"."""
    return ", ".join(f"{name} {value}" for name, value in setting.items())


def best_of(ladder: tuple[float, ...], start: tuple[float, ...], loss: Callable[[float], float]) -> float:
    """Try `start`, then the neighbours of the best so far, until none of them is new."""
    found = {each: loss(each) for each in start}
    while True:
        best = min(found, key=lambda each: found[each])
        i = ladder.index(best)
        new = [each for each in ladder[max(i - 1, 0) : i + 2] if each not in found]
        if not new:
            return best
        found |= {each: loss(each) for each in new}
