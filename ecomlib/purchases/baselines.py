"""What a network has to beat: base rate, smoothed frequency, and two learners on features made by hand."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np

from ecomlib.panels import WEEKDAYS, ewm_sum, steps_since
from ecomlib.probability import log_loss
from ecomlib.purchases.channels import GROUPS
from ecomlib.purchases.task import FIRST_CUTOFFS, PurchaseTask
from ecomlib.shop import TooShort

HALF_LIVES = (3.0, 8.0, 20.0)  # weeks, for the features
RHYTHM = 8.0  # that of them which says on which weekdays a customer comes
LAGS = 12  # weeks, for the features
N_FEATURES = 68  # columns of `features`
CATEGORY = 8  # the column of `features` that is no quantity


class BaseRate:
    """Each category's share of customer-weeks with a purchase, the same for all customers."""

    name = "base rate"

    def fit(self, task: PurchaseTask, part: str = "train") -> Self:
        """Count the purchases of the known customers in a part's target weeks."""
        cutoffs = task.cutoffs(part)
        self.categories = task.categories
        self.rate = task.target(cutoffs)[task.use(cutoffs)].mean(axis=0)
        return self

    def predict(self, task: PurchaseTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities (n_cutoffs, n, k)."""
        task.check_same(self.categories)
        return np.broadcast_to(self.rate, (len(cutoffs), len(task.bought), len(self.rate)))


class WeightedFrequency(BaseRate):
    """A customer's own share of weeks, drawn to the base rate, which counts as `prior_weeks` weeks.

    A week counts half after `half_life` weeks; np.inf counts all weeks alike (plain frequency). The defaults
    are what `tune_frequency` finds in the course's shop.
    """

    name = "smoothed frequency"

    def __init__(self, half_life: float = 12.0, prior_weeks: float = 3.0):
        self.half_life, self.prior_weeks = half_life, prior_weeks

    def predict(self, task: PurchaseTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities (n_cutoffs, n, k)."""
        task.check_same(self.categories)
        times = ewm_sum(task.bought, self.half_life)[:, cutoffs]
        weeks = ewm_sum((task.panel.known > 0).astype(float), self.half_life)[:, cutoffs, None]
        p = (times + self.prior_weeks * self.rate) / np.maximum(weeks + self.prior_weeks, 1e-9)
        return p.swapaxes(0, 1)


def tune_frequency(
    task: PurchaseTask, half_lives: Iterable[float], prior_weeks: Iterable[float]
) -> tuple[float, float]:
    """Choose half-life and prior weight by log-loss on the validation part: (half_life, prior_weeks)."""
    y = task.rows("valid")[-1]

    def loss(settings: tuple[float, float]) -> float:
        p = WeightedFrequency(*settings).fit(task).predict(task, task.cutoffs("valid"))
        return log_loss(task.flat(p, "valid"), y).mean()

    return min(itertools.product(half_lives, prior_weeks), key=loss)


def features(
    task: PurchaseTask, cutoffs: np.ndarray, use: np.ndarray | None = None
) -> tuple[np.ndarray, list[str]]:
    """Recency, frequency, money, days, trend and marketing by hand: (n_rows, N_FEATURES), and the names.

    Rows stand as in `PurchaseTask.rows`, for the customers of `use` (bool, (n_cutoffs, n); default: all).
    """
    n, w, k = task.bought.shape
    use = np.ones((len(cutoffs), n), bool) if use is None else use
    names, columns = [], np.empty((N_FEATURES, use.sum() * k), np.float32)
    for column, (name, values) in zip(columns, _features(task), strict=True):  # all at once take gigabytes
        names.append(name)
        column[:] = np.broadcast_to(values, (n, w, k))[:, cutoffs][use.T].ravel()
    return columns.T, names


def _features(task: PurchaseTask) -> Iterator[tuple[str, np.ndarray]]:
    """Each column of `features` as an array that broadcasts to (n, w, k)."""
    bought, w, channels = task.bought, task.bought.shape[1], task.channels
    known = task.panel.known.astype(np.float32)[..., None]
    since, trip = steps_since(bought > 0), steps_since(channels["shopped"][:, :, :1] > 0)
    recency, times = np.where(since >= 0, since, known), bought.cumsum(axis=1)
    rate, week = times / np.maximum(known, 1), np.arange(w)[None, :, None]
    yield "recency", recency
    yield "times", times
    yield "frequency", rate
    yield "recency x frequency", recency * rate
    yield "household recency", np.where(trip >= 0, trip, week + 1)
    yield "known", known
    yield "week", week
    yield "base rate", BaseRate().fit(task).rate
    yield "category", np.arange(bought.shape[2])
    for name in ("spend", "baskets", "lines"):
        yield name, channels[name]
    for h in HALF_LIVES:
        weeks = np.maximum(ewm_sum((known > 0).astype(float), h), 1)
        for name in ("bought", "lines", "discount", "purchase days"):
            yield f"weighted {h:.0f}: {name}", ewm_sum(channels[name], h) / weeks
        for name in ("shopped", "spend", *(WEEKDAYS if h == RHYTHM else ())):  # the same in every category
            yield f"weighted {h:.0f}: {name}", ewm_sum(channels[name][:, :, :1], h) / weeks
    yield "redeemed so far", channels["coupons redeemed"].cumsum(axis=1)
    for group in ("marketing", "promotion", "trip days", "category days", "trend"):
        for name in GROUPS[group]:
            yield name, channels[name]
    for i in range(LAGS):  # lag 0 is the cutoff's own week
        yield f"bought, lag {i}", np.pad(bought, ((0, 0), (i, 0), (0, 0)))[:, :w]


def rows_of(task: PurchaseTask, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and targets of a part's rows, without the cutoffs that have hardly any history."""
    cutoffs = task.cutoffs(part)
    cutoffs = cutoffs[cutoffs >= FIRST_CUTOFFS]
    use = task.use(cutoffs)
    y = task.target(cutoffs).swapaxes(0, 1)[use.T].ravel()
    if not 0 < y.mean() < 1:
        raise TooShort(f"{part}: learning needs weeks with and without a purchase; give a longer history.")
    return features(task, cutoffs, use)[0], y


class Logistic:
    """Logistic regression on `features`, of a third of the rows: plenty for 69 weights."""

    name = "logistic regression"

    def fit(self, task: PurchaseTask, part: str = "train") -> Self:
        """Learn from the rows of a part."""
        self.categories = task.categories
        self._learn(task, part)
        return self

    def predict(self, task: PurchaseTask, cutoffs: np.ndarray) -> np.ndarray:
        """Probabilities (n_cutoffs, n, k)."""
        task.check_same(self.categories)
        p = self._answer(features(task, cutoffs)[0])
        return p.reshape(-1, len(cutoffs), len(task.categories)).swapaxes(0, 1)

    def _learn(self, task: PurchaseTask, part: str) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        x, y = rows_of(task, part)
        self.scaler = StandardScaler(copy=False)
        for some in np.array_split(x, 1 + len(x) // 100_000):  # all at once take three times the memory
            self.scaler.partial_fit(some)
        third = np.random.default_rng(0).random(len(y)) < 1 / 3
        self.line = LogisticRegression(max_iter=200).fit(self._scaled(x[third]), y[third])

    def _answer(self, x: np.ndarray) -> np.ndarray:
        return self.line.predict_proba(self._scaled(x))[:, 1]

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        x = self.scaler.transform(x)
        return np.clip(x, -6, 6, out=x)  # a few extreme rows must not bend the line


class LightGBM(Logistic):
    """Gradient boosting on `features`: the mean of `fits` models, the first with `seed`.

    What a network gains by averaging fits, it may have, too. Leaves and trees were chosen on the validation
    part of the course's shop.
    """

    name = "LightGBM"

    def __init__(self, leaves: int = 31, trees: int = 293, fits: int = 3, seed: int = 0):
        self.leaves, self.trees, self.fits, self.seed = leaves, trees, fits, seed

    def _learn(self, task: PurchaseTask, part: str) -> None:
        from lightgbm import Dataset, train

        x, y = rows_of(task, part)
        settings = [boosting(self.leaves, self.seed + i) for i in range(self.fits)]
        data = [Dataset(x, y, categorical_feature=[CATEGORY], params=each).construct() for each in settings]
        del x  # its bins are kept, in a quarter of the memory
        self.models = [train(each, d, self.trees) for each, d in zip(settings, data, strict=True)]

    def _answer(self, x: np.ndarray) -> np.ndarray:
        return np.mean([model.predict(x) for model in self.models], axis=0)


def boosting(leaves: int, seed: int = 0) -> dict[str, Any]:
    """LightGBM's parameters."""
    return {
        "objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 200, "feature_fraction": 0.7,
        "learning_rate": 0.06, "seed": seed, "verbose": -1,
    }  # fmt: skip
