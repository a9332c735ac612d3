"""The counter-example: CDNOW, a music web shop of 1997-98, two four-parameter models that suit it, an LSTM.

The data are of Fader and Hardie, as the MIT-licensed package `lifetimes` ships them: each purchase of 23,570
customers whose first one fell in January to March 1997.

BG/NBD and Pareto/NBD are written here because that is smaller and faster, with the same forecasts: both fits
take 1.6 + 1.5 s on these customers, those of `lifetimes` (archived) 0.9 + 15.2 s, those of pymc-marketing
(`fit(method="map")`) 111 + 119 s. A test finds the published parameters on the published sample.
"""

import itertools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import pandas as pd
from keras import layers, ops
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1, logsumexp

from ecomlib.panels import sum_cells
from ecomlib.runtime import ROOT

WEEKS = 39  # to fit, and again to predict
MOST = 3  # counts above it are read, and drawn, as this many
Array = np.ndarray


def load_cdnow() -> pd.DataFrame:
    """Load customer and day (0 is 1997-01-01) of every day with a purchase: (67,591 rows, 2)."""
    return pd.read_parquet(ROOT / "data" / "cdnow" / "purchases.parquet")


def summarise(purchases: pd.DataFrame, weeks: int = WEEKS) -> pd.DataFrame:
    """Sum up each customer: repeats, last (week of the last one), age (weeks seen), later (to predict).

    Weeks are counted from the customer's first purchase; a day is a seventh of a week.
    """
    end = 7 * weeks - 1
    first = purchases.groupby("customer")["day"].min()
    early = purchases[purchases["day"] <= end].groupby("customer")["day"].agg(["count", "max"])
    late = purchases[purchases["day"].between(end + 1, end + 7 * weeks)].groupby("customer").size()
    return pd.DataFrame(
        {
            "repeats": early["count"] - 1,
            "last": (early["max"] - first) / 7,
            "age": (end - first) / 7,
            "later": late.reindex(first.index).fillna(0).astype(int),
        }
    )


def weekly_counts(purchases: pd.DataFrame, weeks: int = 2 * WEEKS) -> Array:
    """Purchase days per customer and calendar week: float32 (n_customers, weeks)."""
    customer, ids = pd.factorize(purchases["customer"], sort=True)
    cell = (customer, purchases["day"].to_numpy() // 7)
    return sum_cells(cell, (len(ids), weeks)).astype(np.float32)


def bgnbd_log_likelihood(parameters: Array, x: Array, t: Array, age: Array) -> Array:
    """Log-likelihood of every customer; parameters r, alpha, a, b > 0.

    Notes
    -----
    Fader, Hardie & Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24(2), equation 6.
    """
    r, alpha, a, b = parameters
    alive = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + age)
    gone = betaln(a + 1, b + np.maximum(x, 1) - 1) - betaln(a, b) - (r + x) * np.log(alpha + t)
    gone = np.where(x > 0, gone, -np.inf)
    return gammaln(r + x) - gammaln(r) + r * np.log(alpha) + logsumexp([alive, gone], axis=0)


def fit_bgnbd(x: Array, t: Array, age: Array) -> Array:
    """Parameters r, alpha, a, b of highest likelihood: (4,)."""
    return _fit(bgnbd_log_likelihood, np.ones(4), x, t, age)


def _fit(log_likelihood: Callable[..., Array], start: Array, *seen: Array) -> Array:
    data = [np.asarray(values, float) for values in seen]

    def loss(logs: Array) -> float:
        return -log_likelihood(np.exp(logs), *data).mean()

    return np.exp(minimize(loss, np.log(start), method="L-BFGS-B").x)


def bgnbd_expected(parameters: Array, x: Array, t: Array, age: Array, ahead: float) -> Array:
    """Repeats to expect in the `ahead` weeks after `age` (the same paper, equation 10): (n_customers,)."""
    r, alpha, a, b = parameters
    z = ahead / (alpha + age + ahead)
    more = 1 - ((alpha + age) / (alpha + age + ahead)) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, z)
    odds = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * ((alpha + age) / (alpha + t)) ** (r + x), 0)
    return (a + b + x - 1) / (a - 1) * more / (1 + odds)


def _pareto_tail(parameters: Array, x: Array, t: Array, age: Array) -> Array:
    """Log of the part of the Pareto/NBD likelihood in which the customer left between t and age, over x."""
    r, alpha, s, beta = parameters
    big, small = max(alpha, beta), min(alpha, beta)
    second = s + 1 if alpha >= beta else r + x

    def term(end: Array) -> tuple[Array, Array]:
        z = (big - small) / (big + end)
        return hyp2f1(r + s + x, second, r + s + x + 1, z), -(r + s + x) * np.log(big + end)

    (early, log_early), (late, log_late) = term(t), term(age)
    gap = np.maximum(early - late * np.exp(log_late - log_early), 1e-300)
    return np.log(s) - np.log(r + s + x) + np.log(gap) + log_early


def pareto_log_likelihood(parameters: Array, x: Array, t: Array, age: Array) -> Array:
    """Pareto/NBD log-likelihood of every customer; parameters r, alpha, s, beta > 0.

    Customers buy at a constant rate until they leave for good; over customers, rates are gamma(r, alpha)
    and chances to leave per week gamma(s, beta).

    Notes
    -----
    Schmittlein, Morrison & Colombo (1987), Counting Your Customers, Management Science 33(1), in the form of
    Fader & Hardie (2005), A Note on Deriving the Pareto/NBD Model.
    """
    r, alpha, s, beta = parameters
    front = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    stayed = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
    return front + np.logaddexp(stayed, _pareto_tail(parameters, x, t, age))


def fit_pareto(x: Array, t: Array, age: Array) -> Array:
    """Parameters r, alpha, s, beta of highest likelihood: (4,)."""
    return _fit(pareto_log_likelihood, np.array([1.0, 10.0, 1.0, 10.0]), x, t, age)


def pareto_expected(parameters: Array, x: Array, t: Array, age: Array, ahead: float) -> Array:
    """Repeats to expect in the `ahead` weeks after `age` under Pareto/NBD: (n_customers,)."""
    r, alpha, s, beta = parameters
    stayed = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
    alive = 1 / (1 + np.exp(_pareto_tail(parameters, x, t, age) - stayed))
    left = 1 - ((beta + age) / (beta + age + ahead)) ** (s - 1)
    return (r + x) * (beta + age) / ((alpha + age) * (s - 1)) * left * alive


def errors(expected: Array, actual: Array) -> dict[str, float]:
    """MAE and RMSE in purchases, correlation, bias of the total."""
    gap = expected - actual
    mae, rmse = np.abs(gap).mean(), np.sqrt((gap**2).mean())
    found = {"MAE": mae, "RMSE": rmse, "correlation": np.corrcoef(expected, actual)[0, 1]}
    return {name: float(value) for name, value in (found | {"bias": gap.sum() / actual.sum()}).items()}


class CountLSTM:
    """An LSTM that counts: it learns the purchases of the next week, then simulates paths week by week.

    Epochs and units are what `tune_counting` finds on the last weeks before the forecast.

    Parameters
    ----------
    seed, epochs, batch_size, units : int
    rate : float, of learning; the weights that answer are averaged over the last steps
    """

    def __init__(
        self, seed: int = 0, epochs: int = 6, batch_size: int = 256, rate: float = 0.005, units: int = 32
    ):
        self.seed, self.epochs, self.batch_size = seed, epochs, batch_size
        self.rate, self.units = rate, units

    def inputs(self, counts: Array) -> Array:
        """Count, known (0 before the first purchase), age, log(1 + purchases so far): float32 (n, w, 4)."""
        known = (counts.cumsum(axis=1) > 0).astype(np.float32)
        age = known.cumsum(axis=1) / counts.shape[1]
        read = [np.minimum(counts, MOST), known, age, np.log1p(counts.cumsum(axis=1))]
        return np.stack(read, axis=-1).astype(np.float32)

    def fit(self, counts: Array) -> "CountLSTM":
        """Train on counts (n, w): how many come in the week after each one."""
        keras.utils.set_random_seed(self.seed)
        x = self.inputs(counts)
        steps = layers.LSTM(self.units, return_sequences=True, unroll=True)  # in half of the time
        net = [keras.Input((counts.shape[1] - 1, 4)), steps, layers.Dense(MOST + 1, "softmax")]
        self.model = keras.Sequential(net)
        loss = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
        self.model.compile(keras.optimizers.Adam(self.rate, use_ema=True), loss)
        self.model.optimizer.build(self.model.trainable_variables)  # else the step is traced twice
        y, weight = x[:, 1:, 0].astype(int), x[:, :-1, 1]
        self.model.fit(x[:, :-1], y, self.batch_size, self.epochs, verbose=0, sample_weight=weight)
        return self

    def simulate(self, counts: Array, weeks: int, paths: int = 40, at_once: int = 2000) -> Array:
        """Mean number of purchases in the `weeks` weeks after counts (n, w), over random paths: (n,)."""
        rng = np.random.default_rng(self.seed)
        blocks = range(0, len(counts), at_once)  # they bound the memory
        return np.concatenate([self._walk(counts[i : i + at_once], weeks, paths, rng) for i in blocks])

    def _walk(self, counts: Array, weeks: int, paths: int, rng: np.random.Generator) -> Array:
        cell, answer = self.model.layers[0].cell, self.model.layers[1]
        x = self.inputs(counts)
        _, *start = layers.RNN(cell, return_state=True)(x)
        state = [ops.repeat(part, paths, axis=0) for part in start]
        step = np.repeat(x[:, -1], paths, axis=0)
        before, total = np.repeat(counts.sum(axis=1), paths), np.zeros(len(step))
        for _ in range(weeks):
            share = np.asarray(answer(state[0])).cumsum(axis=1)
            step[:, 0] = (rng.random((len(step), 1)) > share[:, :-1]).sum(axis=1)
            total += step[:, 0]
            step[:, 2] = np.minimum(step[:, 2] + 1 / counts.shape[1], 1)  # no older than in training
            step[:, 3] = np.log1p(before + total)
            _, state = cell(step, state)
        return total.reshape(len(counts), paths).mean(axis=1)


def tune_counting(
    counts: Array, ahead: int = 13, epochs: Sequence[int] = (3, 6, 12), units: Sequence[int] = (16, 32)
) -> tuple[int, int]:
    """Epochs and units of `CountLSTM` with the smallest squared error in the last `ahead` weeks of counts."""
    early, later = counts[:, :-ahead], counts[:, -ahead:].sum(axis=1)
    error = {}
    for e, u in itertools.product(epochs, units):
        expected = CountLSTM(epochs=e, units=u).fit(early).simulate(early, ahead)
        error[e, u] = errors(expected, later)["RMSE"]
    return min(error, key=lambda settings: error[settings])
