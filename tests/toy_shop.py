"""A small invented shop with promotions that work: for tests of whole preparations."""

import numpy as np
import pandas as pd

from ecomlib.shop import Shop


def toy_shop(n_days: int = 140, seed: int = 0) -> Shop:
    """Three categories, 12 products, 25 customers; promoted weeks sell more; starts on a Monday."""
    rng = np.random.default_rng(seed)
    products = pd.DataFrame(
        {
            "product_id": range(12),
            "category": pd.Categorical(np.repeat(["BREAD", "MILK", "TEA"], 4)),
            "department": pd.Categorical(np.repeat(["FRESH", "FRESH", "DRY"], 4)),
        }
    )
    n_weeks = n_days // 7 + 1
    promoted = rng.random((12, n_weeks)) < 0.3
    days = pd.date_range("2017-05-01", periods=n_days)
    rows = []
    for i, day in enumerate(days):
        weekend = 1 + (day.day_of_week >= 5)
        n = rng.poisson(0.8 * weekend * (1 + promoted[:, i // 7]))
        rows.append(pd.DataFrame({"product_id": np.repeat(range(12), n), "timestamp": day}))
    orders = pd.concat(rows, ignore_index=True)
    n = len(orders)
    orders["timestamp"] += pd.to_timedelta(rng.integers(8, 22, n), unit="h")
    orders["customer_id"] = rng.integers(0, 25, n)
    orders["order_id"] = np.arange(n)
    orders["quantity"] = rng.integers(1, 4, n)
    orders["revenue"] = orders["quantity"] * (1.5 + orders["product_id"])
    orders["discount"] = 0.0
    orders = orders.sort_values("timestamp", ignore_index=True)
    product, week = np.nonzero(promoted)
    promotions = pd.DataFrame(
        {
            "product_id": product,
            "week_start": days[0] + pd.to_timedelta(7 * week, unit="D"),
            "display": 0.5,
            "mailer": rng.choice([0.0, 1.0], len(product)),
        }
    )
    return Shop(orders, products, promotions)
