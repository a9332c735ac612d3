"""The contract every shop has to meet: seven tables, of which only `orders` is required.

====================  =====================================================================================
table                 one row is
====================  =====================================================================================
orders                one product in one order: customer_id, order_id, product_id, timestamp (naive local
                      time), quantity (units), revenue (what was paid, shop's currency), discount (currency)
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
from functools import cache

import pandas as pd

TABLES = ("orders", "products", "promotions", "customers", "campaigns", "coupons", "redemptions")


class ShopError(ValueError):
    """A shop's data breaks the contract; the message names the place and the mend."""


class MissingColumn(ShopError):
    """A required column is absent."""


class WrongType(ShopError):
    """A column holds values of another kind than the contract asks for."""


class BadValue(ShopError):
    """A value is of the right kind but cannot be true."""


class DuplicateKey(ShopError):
    """Two rows claim to be the same thing."""


class UnknownKey(ShopError):
    """A customer or product is named that does not exist."""


class TooShort(ShopError):
    """There is less history than the task needs."""


@dataclass(frozen=True)
class Shop:
    """A shop's tables. Build one with a loader of `ecomlib.datasets`, or from your own frames.

    Raises
    ------
    ShopError
        When a table breaks the contract (see the module's docstring).

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

    def __post_init__(self):
        validate(self)

    def with_tables(self, **tables: pd.DataFrame) -> "Shop":
        """Return a copy with some tables replaced (and checked again)."""
        return replace(self, **tables)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{t} {len(v):,}" for t in TABLES if (v := getattr(self, t)) is not None)
        return f"Shop({self.name!r}: {sizes})"


def validate(shop: Shop) -> None:
    """Check every table of a shop against the contract.

    Raises
    ------
    ShopError
        One sentence: the table, the column, the first offending row, and how to mend it.
    """
    for table in TABLES:
        frame = getattr(shop, table)
        if frame is not None:
            check_table(frame, table)
    if shop.orders.empty:
        raise TooShort("orders: the table has no rows; export at least one order line.")
    if shop.products is not None:
        _check_known_products(shop.orders, shop.products)


def check_table(frame: pd.DataFrame, table: str) -> None:
    """Check one table's columns, kinds, values and key.

    Raises
    ------
    MissingColumn, WrongType, BadValue, DuplicateKey
    """
    import pandera.errors

    _check_columns(frame, table)
    schema, key = _schemas()[table]
    try:
        schema.validate(frame)
    except pandera.errors.SchemaError as error:
        raise _explain(error, frame, table) from None
    if key:
        repeated = frame.duplicated(list(key))
        if repeated.any():
            row = int(repeated.to_numpy().argmax())
            raise DuplicateKey(
                f"{table}: row {row} repeats the key {', '.join(key)} = "
                f"{', '.join(str(frame[k].iloc[row]) for k in key)}; keep one row for each."
            )


def _check_columns(frame: pd.DataFrame, table: str) -> None:
    schema, _ = _schemas()[table]
    missing = [name for name in schema.columns if name not in frame.columns]
    if missing:
        raise MissingColumn(
            f"{table}: column {missing[0]!r} is missing; found {', '.join(map(str, frame.columns))}. "
            f"Rename or add it (see data/README.md for what it holds)."
        )


# What to tell the reader for each column: (what it must hold, how to mend it).
_MENDS = {
    "timestamp": (
        "naive local date and time",
        "parse it, convert it to the shop's local time, drop the zone",
    ),
    "week_start": ("dates that are Mondays", "use the Monday of the week"),
    "quantity": ("numbers of units, 0 or more", "book returns apart, not as negative quantities"),
    "revenue": ("amounts paid, 0 or more", "book returns apart, not as negative revenue"),
    "discount": ("amounts, 0 or more", "give the discount as a positive amount"),
    "display": ("shares from 0 to 1", "divide by the number of stores"),
    "mailer": ("shares from 0 to 1", "divide by the number of stores"),
    "start": ("naive dates", "parse the dates"),
    "end": ("naive dates", "parse the dates"),
    "date": ("naive dates", "parse the dates"),
}


def _explain(error, frame: pd.DataFrame, table: str) -> ShopError:
    column = error.schema.name if error.schema is not None else "?"
    holds, mend = _MENDS.get(column, ("a value in every row", "fill it in or drop the row"))
    series = frame[column] if column in frame.columns else None
    if series is not None and series.isna().any() and not error.schema.nullable:
        row = int(series.isna().to_numpy().argmax())
        return BadValue(f"{table}: column {column!r} is empty in row {row}; it must hold {holds}: {mend}.")
    if "dtype" in str(error.reason_code).lower() or "DATATYPE" in str(error.reason_code):
        return WrongType(
            f"{table}: column {column!r} is of type {series.dtype}; it must hold {holds}: {mend}."
        )
    row, value = "?", "?"
    cases = error.failure_cases
    if isinstance(cases, pd.DataFrame) and len(cases):
        value = cases["failure_case"].iloc[0]
        label = cases["index"].iloc[0]
        row = frame.index.get_loc(label) if label in frame.index else label
    return BadValue(f"{table}: column {column!r} has {value} in row {row}; it must hold {holds}: {mend}.")


def _check_known_products(orders: pd.DataFrame, products: pd.DataFrame) -> None:
    unknown = ~orders["product_id"].isin(products["product_id"])
    if unknown.all():
        raise UnknownKey(
            f"orders: none of the product_id values is in products (row 0 has "
            f"{orders['product_id'].iloc[0]!r}); export both tables with the same ids."
        )


@cache
def _schemas() -> dict:
    """Pandera schemas and key columns, built on first use (pandera takes 0.5 s to import)."""
    import pandera.pandas as pa

    def col(check=None, dtype=None, nullable=False):
        return pa.Column(dtype, check, nullable=nullable, required=True)

    at_least_0 = pa.Check.ge(0)
    share = pa.Check.in_range(0, 1)
    number = pa.Check(pd.api.types.is_numeric_dtype, error="number")
    naive = pa.Check(_is_naive_datetime, error="naive datetime")
    monday = pa.Check(lambda s: s.dt.dayofweek == 0, error="Monday")
    columns = {
        "orders": {
            "customer_id": col(),
            "order_id": col(),
            "product_id": col(),
            "timestamp": col(naive),
            "quantity": col([number, at_least_0]),
            "revenue": col([number, at_least_0]),
            "discount": col([number, at_least_0]),
        },
        "products": {"product_id": col(), "category": col(nullable=True), "department": col(nullable=True)},
        "promotions": {
            "product_id": col(),
            "week_start": col([naive, monday]),
            "display": col([number, share]),
            "mailer": col([number, share]),
        },
        "customers": {"customer_id": col()},
        "campaigns": {
            "customer_id": col(),
            "campaign_id": col(),
            "kind": col(),
            "start": col(naive),
            "end": col(naive),
        },
        "coupons": {"coupon_id": col(), "campaign_id": col(), "product_id": col()},
        "redemptions": {"customer_id": col(), "campaign_id": col(), "coupon_id": col(), "date": col(naive)},
    }
    keys = {
        "products": ("product_id",),
        "customers": ("customer_id",),
        "promotions": ("product_id", "week_start"),
        "campaigns": ("customer_id", "campaign_id"),
    }
    return {t: (pa.DataFrameSchema(c), keys.get(t)) for t, c in columns.items()}


def _is_naive_datetime(series: pd.Series) -> bool:
    return pd.api.types.is_datetime64_dtype(series)
