"""The test that time never leaks: change the future, and nothing made at the cut-off may move.

Use it in every use case: build features and predictions from `shop` and from `change_after(shop, cutoff)`
and compare them with `assert_identical`.
"""

import numpy as np
import pandas as pd

from ecomlib.shop import Shop


def change_after(shop: Shop, cutoff: str | pd.Timestamp, seed: int = 0) -> Shop:
    """Return the shop with every order line at or after the cut-off changed: who, what, how much, how many.

    Half of the later lines are dropped, the others get another product and customer of the shop,
    and another revenue, quantity and discount. The calendar (first and last day) stays as it is.
    Promotions are plans, known before: they stay.
    """
    rng = np.random.default_rng(seed)
    orders = shop.orders.copy()
    later = np.flatnonzero(orders["timestamp"].to_numpy() >= np.datetime64(cutoff))
    n = len(later)
    for column in ("product_id", "customer_id"):
        other = orders[column].to_numpy()[rng.integers(0, len(orders), n)]
        orders[column] = orders[column].to_numpy(copy=True)
        orders.iloc[later, orders.columns.get_loc(column)] = other
    for column in ("revenue", "quantity", "discount"):
        values = orders[column].to_numpy(dtype=float, copy=True)
        values[later] = np.ceil(values[later] * 3 + rng.gamma(2, 20, n))
        orders[column] = values.astype(orders[column].dtype)
    drop = rng.random(n) < 0.5
    drop[-1:] = False  # keep the last line, so that the days are the same
    keep = np.ones(len(orders), bool)
    keep[later[drop]] = False
    redemptions = shop.redemptions
    if redemptions is not None:
        redemptions = redemptions[redemptions["date"] < pd.Timestamp(cutoff)].reset_index(drop=True)
    return shop.with_tables(orders=orders[keep].reset_index(drop=True), redemptions=redemptions)


def assert_identical(a, b, path: str = "") -> None:
    """Assert that two (nested) results are equal bit for bit."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_identical(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_identical(x, y, f"{path}/{i}")
    else:
        x, y = np.asarray(a), np.asarray(b)
        assert x.shape == y.shape and x.dtype == y.dtype, f"{path}: {x.shape} {x.dtype}, {y.shape} {y.dtype}"
        assert np.array_equal(x, y, equal_nan=x.dtype.kind == "f"), f"{path}: values differ"
