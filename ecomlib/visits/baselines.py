"""What a network has to beat: rules that count, and two learners on features made by hand.

The defaults are what the benchmark `visits` finds on the validation part of the course's shop; on another
shop try others there, too.
"""

from typing import Any, Self

import numpy as np

from ecomlib.panels import WEEKDAYS, ewm_sum, steps_since, sum_cells
from ecomlib.shop import TooShort
from ecomlib.visits.task import VisitsTask

RECENT = (4, 8, 13, 26, 52)  # weeks over which the hand-made features look back
LAGS = 12  # weeks, for the features
GAP_HALF_LIFE, GAP_PRIOR = 42.0, 14.0  # days: a gap counts half after six weeks; two weeks before the first


class ClassShares:
    """Share of each class, the same for all customers: the answer when nothing is known of them."""

    name = "class shares"

    def fit(self, task: VisitsTask, part: str = "train") -> Self:
        """Count the classes of a part's rows."""
        y = task.rows(part)[2]
        self.prior = np.bincount(y, minlength=task.n_classes) / len(y)
        return self

    def predict(self, task: VisitsTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities (n_cutoffs, n_customers, n_classes)."""
        task.check_same(len(self.prior))
        return np.broadcast_to(self.prior, (len(cutoffs), len(task.x), len(self.prior)))


class OwnPast(ClassShares):
    """The classes of a customer's own earlier windows; one counts half after `half_life` weeks.

    The class shares of the training rows count as `prior_windows` windows.
    """

    name = "own past"

    def __init__(self, prior_windows: float = 3.0, half_life: float = 13.0):
        self.prior_windows, self.half_life = prior_windows, half_life

    def predict(self, task: VisitsTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities as of `ClassShares`; windows not over by the cutoff do not count."""
        task.check_same(len(self.prior))
        seen = (task.y[..., None] == np.arange(task.n_classes)) & (task.panel.known > 0)[..., None]
        # The window of week t is over `horizon` weeks later.
        over = np.pad(seen.astype(float), ((0, 0), (task.horizon, 0), (0, 0)))[:, : seen.shape[1]]
        counts = ewm_sum(over, self.half_life)[:, cutoffs] + self.prior_windows * self.prior
        return (counts / counts.sum(axis=-1, keepdims=True)).swapaxes(0, 1)


class RecencyFrequencyMoney(ClassShares):
    """The class shares of a customer's cell in a table of recency, frequency and money, 5 x 5 x 3.

    In each cell the class shares of all training rows count as `prior_rows` rows. `money` are two limits of
    the spend per shopping week, in the shop's currency; default: thirds of the training rows.
    """

    name = "recency, frequency, money"

    def __init__(self, prior_rows: float = 20.0, money: tuple[float, float] | None = None):
        self.prior_rows, self.money = prior_rows, money

    def fit(self, task: VisitsTask, part: str = "train") -> Self:
        """Count the classes of a part's rows in every cell."""
        super().fit(task, part)
        customer, cutoff, y = task.rows(part)
        rfm = self._values(task)[customer, cutoff]
        thirds = np.quantile(rfm[:, 2], [1 / 3, 2 / 3])
        self.limits = thirds if self.money is None else np.log1p(self.money)
        counts = sum_cells((self._cell(rfm), y), (75, task.n_classes)) + self.prior_rows * self.prior
        self.shares = counts / counts.sum(axis=1, keepdims=True)
        return self

    def predict(self, task: VisitsTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities as of `ClassShares`."""
        task.check_same(len(self.prior))
        return self.shares[self._cell(self._values(task)[:, cutoffs])].swapaxes(0, 1)

    def _values(self, task: VisitsTask) -> np.ndarray:
        values, names = features(task)
        wanted = ("recency", "shopped, 13 weeks", "spend of a shopping week")
        return values[..., [names.index(name) for name in wanted]]

    def _cell(self, rfm: np.ndarray) -> np.ndarray:
        """Number of the cell, 0 to 74."""
        r = np.digitize(rfm[..., 0], [1, 2, 4, 9])
        f = np.digitize(rfm[..., 1], [0.2, 0.4, 0.6, 0.8])
        return (r * 5 + f) * 3 + np.digitize(rfm[..., 2], self.limits)


class Logistic(ClassShares):
    """Logistic regression on `features`; `c` is the inverse strength of the ridge penalty."""

    name = "logistic regression"

    def __init__(self, c: float = 0.03):
        self.c = c

    def fit(self, task: VisitsTask, part: str = "train") -> Self:
        """Learn from the rows of a part."""
        super().fit(task, part)
        self._learn(*rows_of(task, part))
        return self

    def predict(self, task: VisitsTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities as of `ClassShares`; 0 for a class that training never saw."""
        task.check_same(len(self.prior))
        x = features(task)[0][:, cutoffs]
        p = np.zeros((*x.shape[:2], task.n_classes))
        p[..., self.prior > 0] = self._answer(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1)
        return p.swapaxes(0, 1)

    def _learn(self, x: np.ndarray, y: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.line = make_pipeline(StandardScaler(), LogisticRegression(C=self.c, max_iter=1000)).fit(x, y)

    def _answer(self, x: np.ndarray) -> np.ndarray:
        return self.line.predict_proba(x)


class LightGBM(Logistic):
    """Gradient boosting on `features`: the mean of `fits` models, the first with `seed`.

    It may average fits, as a network may. A leaf holds at least `leaf_rows` rows.
    """

    name = "LightGBM"

    def __init__(
        self, leaves: int = 15, leaf_rows: int = 400, trees: int = 186, fits: int = 1, seed: int = 0
    ):
        self.leaves, self.leaf_rows, self.trees = leaves, leaf_rows, trees
        self.fits, self.seed = fits, seed

    def _learn(self, x: np.ndarray, y: np.ndarray) -> None:
        seeds = range(self.seed, self.seed + self.fits)
        self.models = [grow(x, y, self.leaves, self.leaf_rows, self.trees, seed) for seed in seeds]

    def _answer(self, x: np.ndarray) -> np.ndarray:
        p = np.mean([model.booster_.predict(x) for model in self.models], axis=0)
        return p if p.ndim == 2 else np.stack([1 - p, p], axis=1)  # of two classes it gives the second


def grow(
    x: np.ndarray, y: np.ndarray, leaves: int, leaf_rows: int, trees: int, seed: int = 0, **options: Any
) -> Any:
    """One LGBMClassifier of `LightGBM`; options go to its fit."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        num_leaves=leaves, min_child_samples=leaf_rows, n_estimators=trees, learning_rate=0.03,
        colsample_bytree=0.5, subsample=0.7, subsample_freq=1, reg_lambda=10.0, random_state=seed,
        deterministic=True, force_row_wise=True, verbose=-1,
        n_jobs=1,  # two threads wait for each other on a busy machine
    ).fit(x, y, **options)  # fmt: skip


def rows_of(task: VisitsTask, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and classes of a part's rows."""
    customer, cutoff, y = task.rows(part)
    if y.min() == y.max():
        raise TooShort(f"{part}: every row has class {y[0]}, nothing to learn; give a longer history.")
    return features(task)[0][customer, cutoff], y


def features(task: VisitsTask) -> tuple[np.ndarray, list[str]]:
    """Recency, frequency, rhythm and money by hand: float32 (n_customers, n_weeks, 63), and the names.

    The features of a week come from that week and those before it.
    """
    panel = task.panel
    known, shopped = panel.known, panel["baskets"] > 0
    since, trips = steps_since(shopped), shopped.cumsum(axis=1)
    recency = np.where(since >= 0, since, known)
    last = np.arange(shopped.shape[1]) - since
    mean_gap = np.where(trips > 1, (last - panel.first[:, None]) / np.maximum(trips - 1, 1), known)
    columns = {
        "recency": recency,
        "known": known,
        "recency / known": recency / np.maximum(known, 1),
        "mean gap": mean_gap,
        "longest gap": np.maximum.accumulate(np.where(since >= 0, recency, 0), axis=1),
        "recency / mean gap": recency / np.maximum(mean_gap, 1),
        "spend of a shopping week": np.log1p(panel["spend"].cumsum(axis=1) / np.maximum(trips, 1)),
    }
    for n in RECENT:
        columns[f"shopped, {n} weeks"] = recent_mean(shopped, n, known)
        for channel in panel.channels:
            columns[f"{channel}, {n} weeks"] = np.log1p(np.maximum(recent_mean(panel[channel], n, known), 0))
    for lag in range(LAGS):  # lag 0 is the cutoff's own week
        for channel in ("spend", "baskets"):
            shifted = np.pad(panel[channel], ((0, 0), (lag, 0)))[:, : shopped.shape[1]]
            columns[f"{channel}, lag {lag}"] = np.log1p(shifted)
    columns |= days({day: task.channel[day] for day in WEEKDAYS})
    return np.stack(list(columns.values()), axis=-1).astype(np.float32), list(columns)


def days(trips: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Recency and rhythm in days, at every Sunday, and the days of the week with a trip.

    `trips` maps the weekdays from Monday on to 0 or 1 per customer and week, (n, w).
    """
    n, w = trips[WEEKDAYS[0]].shape
    on = np.stack(list(trips.values()), axis=-1).reshape(n, 7 * w) > 0
    since = steps_since(on)
    before = np.pad(since, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]  # on the evening before
    gap = np.where(on & (before >= 0), before + 1, 0)
    recent = ewm_sum(gap, GAP_HALF_LIFE) + GAP_PRIOR, ewm_sum(gap > 0, GAP_HALF_LIFE) + 1
    columns = {
        "days since trip": since,
        "longest gap, days": np.maximum.accumulate(since, axis=1),
        "mean gap, days": gap.cumsum(axis=1) / np.maximum((gap > 0).cumsum(axis=1), 1),
        "recent gap, days": np.divide(*recent),
        "days since / recent gap": (since + 1) / np.divide(*recent),
    }
    return {name: values[:, 6::7] for name, values in columns.items()} | trips


def recent_mean(values: np.ndarray, n_weeks: int, known: np.ndarray) -> np.ndarray:
    """Mean of the last n_weeks known weeks, at every week: (n_customers, n_weeks_in_all)."""
    total = np.pad(values.astype(float).cumsum(axis=1), ((0, 0), (n_weeks, 0)))
    sums = total[:, n_weeks:] - total[:, :-n_weeks]
    return sums / np.maximum(np.minimum(known, n_weeks), 1)
