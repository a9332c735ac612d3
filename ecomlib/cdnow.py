"""The counter-example: CDNOW, a music web shop of 1997-98, and two four-parameter models that suit it.

The data are Fader and Hardie's, as shipped in the MIT-licensed package `lifetimes`: every purchase of 23,570
customers whose first one fell in January to March 1997.

Both models are written here because no maintained library fits them without a sampler of its own; the tests
compare the likelihoods with numerical integration.
"""

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1, logsumexp

from ecomlib.runtime import ROOT

WEEKS = 39  # to fit, and again to predict


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
    late = (
        purchases[(purchases["day"] > end) & (purchases["day"] <= end + 7 * weeks)].groupby("customer").size()
    )
    return pd.DataFrame(
        {
            "repeats": early["count"] - 1,
            "last": (early["max"] - first) / 7,
            "age": (end - first) / 7,
            "later": late.reindex(first.index).fillna(0).astype(int),
        }
    )


def weekly_counts(purchases: pd.DataFrame, weeks: int = 2 * WEEKS) -> np.ndarray:
    """Purchase days a customer and calendar week: float32 (n_customers, weeks)."""
    inside = purchases[purchases["day"] < 7 * weeks]
    customer, ids = pd.factorize(inside["customer"], sort=True)
    cell = customer * weeks + inside["day"].to_numpy() // 7
    return np.bincount(cell, minlength=len(ids) * weeks).reshape(len(ids), weeks).astype(np.float32)


def bgnbd_log_likelihood(parameters, x, t, age) -> np.ndarray:
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


def fit_bgnbd(x, t, age) -> np.ndarray:
    """Parameters r, alpha, a, b of highest likelihood: (4,)."""
    x, t, age = (np.asarray(v, float) for v in (x, t, age))

    def loss(logs):
        return -bgnbd_log_likelihood(np.exp(logs), x, t, age).mean()

    return np.exp(minimize(loss, np.zeros(4), method="L-BFGS-B").x)


def bgnbd_expected(parameters, x, t, age, ahead: float) -> np.ndarray:
    """Repeats to expect in the `ahead` weeks after `age` (the same paper, equation 10): (n_customers,)."""
    r, alpha, a, b = parameters
    x, t, age = (np.asarray(v, float) for v in (x, t, age))
    z = ahead / (alpha + age + ahead)
    more = 1 - ((alpha + age) / (alpha + age + ahead)) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, z)
    odds = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * ((alpha + age) / (alpha + t)) ** (r + x), 0)
    return (a + b + x - 1) / (a - 1) * more / (1 + odds)


def _pareto_tail(parameters, x, t, age) -> np.ndarray:
    """Log of the part of the Pareto/NBD likelihood in which the customer left between t and age, over x."""
    r, alpha, s, beta = parameters
    big, small = max(alpha, beta), min(alpha, beta)
    second = s + 1 if alpha >= beta else r + x

    def term(end):
        z = (big - small) / (big + end)
        return hyp2f1(r + s + x, second, r + s + x + 1, z), -(r + s + x) * np.log(big + end)

    (early, log_early), (late, log_late) = term(t), term(age)
    gap = np.maximum(early - late * np.exp(log_late - log_early), 1e-300)
    return np.log(s) - np.log(r + s + x) + np.log(gap) + log_early


def pareto_log_likelihood(parameters, x, t, age) -> np.ndarray:
    """Pareto/NBD log-likelihood of every customer; parameters r, alpha, s, beta > 0.

    Customers buy at a constant rate until they leave for good; rates are gamma(r, alpha), chances to leave
    a week gamma(s, beta) over customers.

    Notes
    -----
    Schmittlein, Morrison & Colombo (1987), Counting Your Customers, Management Science 33(1), in the form of
    Fader & Hardie (2005), A Note on Deriving the Pareto/NBD Model.
    """
    r, alpha, s, beta = parameters
    x, t, age = (np.asarray(v, float) for v in (x, t, age))
    front = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    stayed = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
    return front + np.logaddexp(stayed, _pareto_tail(parameters, x, t, age))


def fit_pareto(x, t, age) -> np.ndarray:
    """Parameters r, alpha, s, beta of highest likelihood: (4,)."""
    x, t, age = (np.asarray(v, float) for v in (x, t, age))

    def loss(logs):
        return -pareto_log_likelihood(np.exp(logs), x, t, age).mean()

    return np.exp(minimize(loss, np.log([1.0, 10.0, 1.0, 10.0]), method="L-BFGS-B").x)


def pareto_expected(parameters, x, t, age, ahead: float) -> np.ndarray:
    """Repeats to expect in the `ahead` weeks after `age` under Pareto/NBD: (n_customers,)."""
    r, alpha, s, beta = parameters
    x, t, age = (np.asarray(v, float) for v in (x, t, age))
    stayed = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
    alive = 1 / (1 + np.exp(_pareto_tail(parameters, x, t, age) - stayed))
    left = 1 - ((beta + age) / (beta + age + ahead)) ** (s - 1)
    return (r + x) * (beta + age) / ((alpha + age) * (s - 1)) * left * alive


def errors(expected: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """MAE and RMSE in purchases, correlation, bias of the total."""
    gap = expected - actual
    return {
        "MAE": float(np.abs(gap).mean()),
        "RMSE": float(np.sqrt((gap**2).mean())),
        "correlation": float(np.corrcoef(expected, actual)[0, 1]),
        "bias": float(gap.sum() / actual.sum()),
    }
