"""How sure is a number? Draw whole customers or series, whole weeks and fits again, and look at the spread.

Never draw single rows: rows of one customer or one week are alike. Two models that meet the same draws are
compared in pairs. One is *better* where the paired 95 % interval excludes the tie; else they are level.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


def draw_units(n_units: int, n: int = 1000, seed: int | np.random.Generator = 0) -> np.ndarray:
    """How often each unit (customer, series, week) counts in the data and in n bootstrap samples.

    float32 (1 + n, n_units): row 0 counts every unit once, the data; every other row is a draw and sums to
    n_units. The same seed gives the same draws.
    """
    drawn = np.random.default_rng(seed).multinomial(n_units, np.full(n_units, 1 / n_units), size=n)
    return np.concatenate([np.ones((1, n_units)), drawn]).astype(np.float32)


@dataclass(frozen=True)
class Draws:
    """The data and n bootstrap samples of rows; each row belongs to one unit and to one week.

    `unit`, `week` (n_rows,) are numbers from 0; `units` (1 + n, n_units) and `weeks` (1 + n, n_weeks) count
    them, see `draw_units`. A row counts as often as its unit times as often as its week.
    """

    unit: np.ndarray
    week: np.ndarray
    units: np.ndarray
    weeks: np.ndarray

    @classmethod
    def of(cls, unit: np.ndarray, week: np.ndarray | None = None, n: int = 1000, seed: int = 0) -> Self:
        """Draw the units and weeks of rows, both (n_rows,) names; without weeks only units are drawn."""
        names, at = np.unique(unit, return_inverse=True)
        labels, when = np.unique(np.zeros(len(at)) if week is None else week, return_inverse=True)
        rng = np.random.default_rng(seed)
        return cls(at, when, draw_units(len(names), n, rng), draw_units(len(labels), n, rng))

    @property
    def cells(self) -> np.ndarray:
        """Each row's cell of the table unit by week, (n_rows,)."""
        return self.unit * self.weeks.shape[1] + self.week

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum of the rows' values in the data (entry 0) and in each sample; (1 + n,)."""
        table = np.bincount(self.cells, values, self.units.shape[1] * self.weeks.shape[1])
        return (self.units @ table.reshape(-1, self.weeks.shape[1]) * self.weeks).sum(axis=1)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean of the rows' values in the data (entry 0) and in each sample; (1 + n,)."""
        return self.sums(values) / self.sums(np.ones(len(self.unit)))

    def counts(self, n: int | None = None) -> Iterator[np.ndarray]:
        """How often each cell counts, (n_cells,): in the data, then in the first n samples (default: all)."""
        for i in range(len(self.units[: None if n is None else 1 + n])):
            yield np.outer(self.units[i].astype(float), self.weeks[i]).ravel()


def mean_of_fits(fits: Sequence[Mapping[str, np.ndarray]], stream: int = 0) -> dict[str, np.ndarray]:
    """Mean of the scores of one model's fits, (1 + n,) for each metric, fits drawn too.

    Two models that are compared get two numbers as `stream`: their fits are drawn apart.
    """
    found = {}
    for metric, first in fits[0].items():
        counts = draw_units(len(fits), len(first) - 1, np.random.default_rng([0, stream]))
        found[metric] = (counts.T * [fit[metric] for fit in fits]).sum(axis=0) / len(fits)
    return found


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Value and percentile interval of a metric, or of a difference or ratio of two, from its draws.

    `draws` (1 + n,) holds the metric on the data first, then on n bootstrap samples. Source: Efron &
    Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    Examples
    --------
    >>> interval(np.array([7.0, 0, 1, 2, 3, 4]), level=0.5)
    (7.0, 1.0, 3.0)
    """
    tail = (1 - level) / 2
    low, high = np.quantile(draws[1:], [tail, 1 - tail])
    return float(draws[0]), float(low), float(high)


def ratio_interval(
    numerator: np.ndarray, denominator: np.ndarray, n: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """Estimate sum(numerator) / sum(denominator) with a percentile bootstrap interval over units.

    WAPE, mean log-loss, coverage and recall are all such ratios. For a paired difference of two models
    give the difference of their numerators. Both arrays (n_units,) hold one sum per unit.

    Examples
    --------
    >>> ratio_interval(np.array([1.0, 2, 3]), np.array([2.0, 4, 6]))
    (0.5, 0.5, 0.5)
    """
    from scipy.stats import bootstrap

    def ratio(top: np.ndarray, bottom: np.ndarray, axis: int = -1) -> np.ndarray:
        return top.sum(axis=axis) / bottom.sum(axis=axis)

    top, bottom = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    found = bootstrap(
        (top, bottom),
        ratio,
        n_resamples=n,
        batch=max(1, 10_000_000 // len(top)),  # bounds the memory
        paired=True,
        method="percentile",
        confidence_level=level,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(ratio(top, bottom)), float(found.low), float(found.high)
