"""The contract every shop has to meet: seven tables, of which only `orders` is required.

====================  =====================================================================================
table                 one row is
====================  =====================================================================================
orders                one product in one order: customer_id, order_id, product_id, timestamp (naive local
                      time), quantity (units), revenue (received, shop's currency), discount (currency)
products              one product: product_id, category, department, brand, ... (free further columns)
promotions            one product in one week: product_id, week_start (a Monday), display and mailer
                      (share of the stores, 0 to 1, that showed it on a display / in the mailer)
customers             one customer: customer_id and whatever is known about them
campaigns             one campaign that reached one customer: customer_id, campaign_id, kind, start, end
coupons               one coupon for one product: coupon_id, campaign_id, product_id
redemptions           one coupon used: customer_id, campaign_id, coupon_id, date
====================  =====================================================================================
"""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ecomlib.shop.checks import validate
from ecomlib.shop.errors import TABLES


@dataclass(frozen=True)
class Shop:
    """A shop's tables. Build one with a loader, or from your own frames.

    The module's docstring says what each table holds; one that breaks it raises a ShopError. `name` is
    shown in texts; `currency` is the sign of the shop's money ("$"); `report` is what `open_shop` found.

    Examples
    --------
    >>> orders = pd.DataFrame({"customer_id": [1], "order_id": [1], "product_id": ["tea"],
    ...     "timestamp": pd.to_datetime(["2024-05-01 09:30"]), "quantity": [2], "revenue": [5.0],
    ...     "discount": [0.0]})
    >>> len(Shop(orders).orders)
    1
    """

    orders: pd.DataFrame
    products: pd.DataFrame | None = None
    promotions: pd.DataFrame | None = None
    customers: pd.DataFrame | None = None
    campaigns: pd.DataFrame | None = None
    coupons: pd.DataFrame | None = None
    redemptions: pd.DataFrame | None = None
    name: str = "shop"
    currency: str = "$"
    report: Any = None

    def __post_init__(self) -> None:
        validate(self)

    def with_tables(self, **tables: pd.DataFrame) -> "Shop":
        """Return a copy with some tables replaced (and checked again)."""
        return replace(self, **tables)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{t} {len(v):,}" for t in TABLES if (v := getattr(self, t)) is not None)
        return f"Shop({self.name!r}: {sizes})"


def members(orders: pd.DataFrame) -> pd.DataFrame:
    """Lines of known customers: a guest's order counts for sales, not for customers."""
    return orders[~orders["guest"]] if "guest" in orders else orders
