"""The counter-example: CDNOW, a music web shop of 1997-98, and the four-parameter model that suits it.

The data are Fader and Hardie's, as shipped in the MIT-licensed package `lifetimes`: every purchase of 23,570
customers whose first one fell in January to March 1997.
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


def errors(expected: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """MAE and RMSE in purchases, correlation, bias of the total."""
    gap = expected - actual
    return {
        "MAE": float(np.abs(gap).mean()),
        "RMSE": float(np.sqrt((gap**2).mean())),
        "correlation": float(np.corrcoef(expected, actual)[0, 1]),
        "bias": float(gap.sum() / actual.sum()),
    }
