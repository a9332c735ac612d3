"""Two forecasts joined in one: a weighted mean, the weight chosen on validation.

Models that err in different ways err less together, and one weight needs few validation weeks. Rankings have
no common scale: `recommend.Blend` joins them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


def join(first: np.ndarray, second: np.ndarray, weight: float, odds: bool = False) -> np.ndarray:
    """Weighted mean of two forecasts of one shape, `weight` of the first; with `odds`, of their log-odds.

    Quantiles that do not cross still do not.

    Examples
    --------
    >>> join(np.array([0.8, 0.5]), np.array([0.2, 0.1]), 0.75)
    array([0.65, 0.4 ])
    >>> join(np.array([0.8]), np.array([0.2]), 0.5, odds=True)
    array([0.5])
    """
    if not odds:
        return weight * first + (1 - weight) * second
    a, b = (np.log(p / (1 - p)) for p in (np.clip(each, 1e-6, 1 - 1e-6) for each in (first, second)))
    return 1 / (1 + np.exp(-(weight * a + (1 - weight) * b)))


def best_weight(loss: Callable[[float], float], n: int = 10) -> float:
    """The weight of 0, 1 / n, ..., 1 with the smallest loss; the first of equal ones.

    `loss` scores the joined forecast of the validation part, never that of the test.

    Examples
    --------
    >>> best_weight(lambda weight: abs(weight - 0.52))
    np.float64(0.5)
    """
    return min(np.linspace(0, 1, n + 1), key=loss)


@dataclass
class Joined:
    """Two models as one; see `join`."""

    models: list[Any]
    weight: float = 0.5
    odds: bool = False

    def fit(self, task: Any, part: str = "train") -> "Joined":
        """Fit both."""
        for model in self.models:
            model.fit(task, part)
        return self

    def predict(self, task: Any, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast of the shape that both have."""
        return self.mix(*(model.predict(task, cutoffs) for model in self.models))

    def mix(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Join two forecasts that the models made."""
        return join(first, second, self.weight, self.odds)
