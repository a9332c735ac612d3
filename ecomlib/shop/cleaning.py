"""Cleaning: one function, and a report that says what was removed, how much it was worth, and why."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ecomlib.shop.errors import TooShort
from ecomlib.shop.shop import Shop

# What the running shop books as a sale that nobody orders from a shelf. Fuel hides in three places.
NOT_GOODS = {
    "department": ("FUEL", "COUPON", "CNTRL/STORE SUP", "POSTAL CENTER", "PROD-WHS SALES"),
    "category": ("COUPON/MISC ITEMS", "FUEL", "TICKETS", "MISC SALES TRAN"),
}


def clean(shop: Shop, not_goods: Mapping[str, Sequence[str]] | None = NOT_GOODS) -> tuple[Shop, pd.DataFrame]:
    """Remove what is not a sale of goods, name what is missing, and report every step.

    Parameters
    ----------
    not_goods : mapping of product column to values, or None
        Products with one of these values are left out of the orders. The default names the running
        shop's fuel, gift cards and service lines; values another shop does not have do nothing.

    Returns
    -------
    Shop
        Orders sorted by time, customer and order; products with missing categories called "UNKNOWN".
    report : DataFrame
        One row per step: lines, revenue (currency), share of all revenue, why.
    """
    orders, report = shop.orders, []
    total = orders["revenue"].sum()

    def drop(step: str, bad: pd.Series, why: str) -> None:
        nonlocal orders
        revenue = orders.loc[bad, "revenue"].sum()
        report.append((step, int(bad.sum()), revenue, revenue / total if total else 0.0, why))
        orders = orders[~bad] if bad.any() else orders  # a copy of millions of lines takes its time

    repeated = orders.duplicated(["order_id", "product_id"])  # by two columns: a sixth of the time
    repeated = orders.duplicated() if repeated.any() else repeated
    drop("repeated line", repeated, "an export that ran twice counts the same sale twice")
    why = "nothing left the shop: coupon entries, voided or corrected lines"
    drop("quantity 0", orders["quantity"] == 0, why)
    products = shop.products
    if products is not None:
        known = orders["product_id"].isin(products["product_id"])
        drop("unknown product", ~known, "no category or department to count it under")
        matches = products.isin(dict(not_goods or {})).any(axis=1)
        bad = orders["product_id"].isin(products.loc[matches, "product_id"])
        drop("not goods", bad, "fuel, gift cards and services are not ordered for a shelf")
        products = _name_missing(products)
    if orders.empty:
        raise TooShort("orders: no line is left after cleaning; look at the report's steps one by one.")
    orders = orders.sort_values(["timestamp", "customer_id", "order_id"], kind="stable", ignore_index=True)
    columns = ["step", "lines", "revenue", "share_of_revenue", "why"]
    return shop.with_tables(orders=orders, products=products), pd.DataFrame(report, columns=columns)


def _name_missing(products: pd.DataFrame, name: str = "UNKNOWN") -> pd.DataFrame:
    """Give a missing category a name of its own: missing is the normal case and may carry a signal."""
    products = products.copy()
    for column in ("category", "department", "product_type", "brand"):
        if column in products.columns and products[column].isna().any():
            if isinstance(products[column].dtype, pd.CategoricalDtype):
                products[column] = products[column].cat.add_categories(name)
            products[column] = products[column].fillna(name)
    return products
