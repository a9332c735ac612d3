"""How sure is a number? Draw whole customers or whole series again and again, and look at the spread.

Never draw single rows: rows of one customer are alike. Two models that meet the same draws are compared
in pairs, which removes what both have in common.
"""

import numpy as np


def draw_units(n_units: int, n: int = 1000, seed: int | np.random.Generator = 0) -> np.ndarray:
    """How often each unit (customer, series, week) counts in the data and in n bootstrap samples.

    float32 (1 + n, n_units): row 0 counts every unit once, the data; every other row is a draw with
    replacement and sums to n_units. The same seed gives the same draws.
    """
    drawn = np.random.default_rng(seed).multinomial(n_units, np.full(n_units, 1 / n_units), size=n)
    return np.concatenate([np.ones((1, n_units)), drawn]).astype(np.float32)


def unit_means(values: np.ndarray, unit: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Mean of the rows' values, once per draw of whole units: (1 + n,).

    Parameters
    ----------
    values : array (n_rows,)
    unit : int array (n_rows,)
        The unit of every row, 0 to n_units - 1.
    draws : array (1 + n, n_units)
        From `draw_units`.

    Examples
    --------
    >>> draws = np.array([[1, 1], [2, 0]])
    >>> unit_means(np.array([1.0, 2.0, 6.0]), np.array([0, 0, 1]), draws)
    array([3. , 1.5])
    """
    n_units = draws.shape[1]
    return (draws @ np.bincount(unit, values, n_units)) / (draws @ np.bincount(unit, minlength=n_units))


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

    WAPE, mean log-loss, coverage and recall are all such ratios. For a paired difference of two
    models give the difference of their numerators.

    Parameters
    ----------
    numerator, denominator : array (n_units,)
        One sum per unit (customer or series).

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
