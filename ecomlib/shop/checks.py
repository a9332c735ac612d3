"""Checks of a shop's tables against the contract: read this when your own file is refused."""

from collections.abc import Mapping
from functools import cache
from numbers import Number
from typing import TYPE_CHECKING, Any

import pandas as pd

from ecomlib.shop.errors import (
    ID_COLUMNS,
    TABLES,
    BadValue,
    DuplicateKey,
    MissingColumn,
    ShopError,
    TooShort,
    UnknownKey,
    WrongType,
)

if TYPE_CHECKING:
    from ecomlib.shop.shop import Shop


def validate(shop: "Shop") -> None:
    """Check every table of a shop against the contract.

    A ShopError is one sentence: the table, the column, the first offending row, and how to fix it.
    """
    tables = {t: frame for t in TABLES if (frame := getattr(shop, t)) is not None or t == "orders"}
    for table, frame in tables.items():
        check_table(frame, table)
    check_same_kinds(tables)
    if shop.products is not None and not shop.orders["product_id"].isin(shop.products["product_id"]).any():
        raise UnknownKey(
            f"orders: none of the product_id values is in products ({place(shop.orders, 0)} has "
            f"{quoted(shop.orders['product_id'].iloc[0])}); export both tables with the same ids."
        )


def check_table(frame: pd.DataFrame, table: str) -> None:
    """Check a table's columns, kinds, values and key; its index names the rows, such as lines of a file."""
    import pandera.errors

    if not isinstance(frame, pd.DataFrame):
        raise WrongType(f"{table}: this is a {type(frame).__name__}; give a pandas DataFrame.")
    check_columns(frame, table)
    if frame.empty and table == "orders":
        raise TooShort("orders: the table has no rows; export at least one order line.")
    schema, key = _schemas()[table]
    try:
        schema.validate(frame.reset_index(drop=True))  # so that a finding's index is its position
    except pandera.errors.SchemaError as error:
        raise _explain(error, frame, table) from None
    for column in ID_COLUMNS:
        if column in schema.columns and frame[column].dtype == object:
            _check_one_kind(frame, table, column)
    if key and (repeated := frame.duplicated(key).to_numpy()).any():
        row = int(repeated.argmax())
        values = ", ".join(f"{name} {frame[name].iloc[row]}" for name in key)
        raise DuplicateKey(f"{table}: {place(frame, row)} repeats the key {values}; keep one row for each.")
    if table == "orders":
        _check_one_customer_an_order(frame)
    if table == "campaigns" and (early := (frame["end"] < frame["start"]).to_numpy()).any():
        row = int(early.argmax())
        raise BadValue(
            f"campaigns: column 'end' has {frame['end'].iloc[row]:%Y-%m-%d} in {place(frame, row)}, "
            f"before the start on {frame['start'].iloc[row]:%Y-%m-%d}; give the campaign's last day."
        )


def check_columns(frame: pd.DataFrame, table: str) -> None:
    """Check that a table has its required columns, each once."""
    schema, _ = _schemas()[table]
    missing = [name for name in schema.columns if name not in frame.columns]
    if missing:
        remedy, names = "rename or add it (data/README.md says what it holds)", [*map(str, frame.columns)]
        if alike := [name for name in names if name.strip().lower() == missing[0]]:
            remedy = f"write {alike[0]!r} in small letters and without spaces"
        found = ", ".join(names) or "none"
        raise MissingColumn(f"{table}: column {missing[0]!r} is missing, found {found}; {remedy}.")
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DuplicateKey(f"{table}: column {twice!r} is there twice; keep one of them.")


def check_same_kinds(tables: Mapping[str, pd.DataFrame]) -> None:
    """Check that a column of ids holds the same kind in all tables: 7 and "7" never match."""
    for column in ID_COLUMNS:
        kinds = {
            table: "texts" if isinstance(frame[column].iloc[0], str) else "numbers"
            for table, frame in tables.items()
            if column in _schemas()[table][0].columns and len(frame)
        }
        first = next(iter(kinds), "")
        for table, kind in kinds.items():
            if kind != kinds[first]:
                raise WrongType(
                    f"{table}: column {column!r} holds {kind} and {first} {kinds[first]}; "
                    f"write the ids the same way in both."
                )


def quoted(value: object) -> str:
    """Write a value for a message: 2.0, not np.float64(2.0); texts in quotes and cut to 60 characters."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def place(frame: pd.DataFrame, position: int) -> str:
    """Name a row as its user knows it: "row 3", or "line 5" of a file."""
    label = position if frame.index.nlevels > 1 else frame.index[position]
    return f"{frame.index.name or 'row'} {label}"


def _check_one_kind(frame: pd.DataFrame, table: str, column: str) -> None:
    """Refuse ids that mix numbers and texts, or are neither."""
    ids = frame[column]
    kind = ids.map(lambda v: 0 if isinstance(v, str) else 1 if isinstance(v, Number) else 2).to_numpy(int)
    if (kind == 2).any():
        row = int(kind.argmax())
        raise WrongType(
            f"{table}: column {column!r} has {quoted(ids.iloc[row])} in {place(frame, row)}, neither a "
            f"number nor a text; write every id as one of the two."
        )
    if (kind != kind[:1]).any():
        row = int((kind != kind[0]).argmax())
        raise WrongType(
            f"{table}: column {column!r} mixes numbers and texts ({place(frame, row)} has "
            f"{quoted(ids.iloc[row])}); make all of them texts with astype(str)."
        )


def _check_one_customer_an_order(orders: pd.DataFrame) -> None:
    order, customer = (pd.factorize(orders[column])[0] for column in ("order_id", "customer_id"))
    first = pd.Series(customer).groupby(order, sort=False).transform("first").to_numpy()
    other = (first != customer).nonzero()[0]
    if len(other):
        raise BadValue(
            f"orders: column 'customer_id' has {quoted(orders['customer_id'].iloc[other[0]])} in "
            f"{place(orders, other[0])}, but order {quoted(orders['order_id'].iloc[other[0]])} belongs to "
            f"another customer above; give every order one customer."
        )


# Checks of a whole column's kind, and how to fix it.
_NUMBER, _NAIVE, _YEAR = "number", "naive datetime", "possible year"
_LOCAL = "parse it, convert it to the shop's local time, drop the zone"
_KIND_REMEDIES = {_NUMBER: "convert it with pandas.to_numeric", _NAIVE: _LOCAL}

# What to tell the reader for each column: (what it must hold, how to fix it).
_REMEDIES = {
    "timestamp": ("naive local date and time", _LOCAL),
    "week_start": ("dates that are Mondays", "use the Monday of the week"),
    "quantity": ("numbers of units, 0 or more", "book returns apart, not as negative quantities"),
    "revenue": ("amounts paid, 0 or more", "book returns apart, not as negative revenue"),
    "discount": ("amounts, 0 or more", "give the discount as a positive amount"),
    **dict.fromkeys(("display", "mailer"), ("shares from 0 to 1", "divide by the number of stores")),
    **dict.fromkeys(("start", "end", "date"), ("naive dates", "parse the dates")),
    _YEAR: ("a year from 1990 to 2100", "look at its format and its unit (seconds or milliseconds?)"),
}
# The columns a table cannot do without; those in brackets may have empty cells. Before the bar: its key.
_COLUMNS = {
    "orders": "| customer_id order_id product_id timestamp quantity revenue discount",
    "products": "product_id | (category) (department)",
    "promotions": "product_id week_start | display mailer",
    "customers": "customer_id |",
    "campaigns": "customer_id campaign_id | kind start end",
    "coupons": "| coupon_id campaign_id product_id",
    "redemptions": "| customer_id campaign_id coupon_id date",
}

_MAY_BE_0 = ("discount", "display", "mailer")


def _explain(error: Any, frame: pd.DataFrame, table: str) -> ShopError:
    """Turn pandera's finding into one sentence: where, what, what it should be, how to fix it."""
    column = error.schema.name
    series = frame[column]
    holds, remedy = _REMEDIES.get(column, ("a value in every row", "fill it in or drop the row"))
    if series.isna().any() and not error.schema.nullable:
        where = place(frame, int(series.isna().to_numpy().argmax()))
        remedy = "fill it in " + ("(0 where there was none)" if column in _MAY_BE_0 else "or drop the row")
        return BadValue(f"{table}: column {column!r} is empty in {where}; it must hold {holds}: {remedy}.")
    check = getattr(error.check, "error", None)
    if isinstance(check, str) and check in _KIND_REMEDIES:
        example = f" ({place(frame, 0)} has {quoted(series.iloc[0])})" if len(frame) else ""
        return WrongType(
            f"{table}: column {column!r} is of type {series.dtype}{example}; it must hold {holds}: "
            f"{_KIND_REMEDIES[check]}."
        )
    holds, remedy = _REMEDIES[_YEAR] if check == _YEAR else (holds, remedy)
    failed = error.failure_cases
    value, position = failed["failure_case"].iloc[0], int(failed["index"].iloc[0])
    if pd.api.types.is_number(value) and value == float("inf"):
        remedy = "look for a division by zero"
    return BadValue(
        f"{table}: column {column!r} has {value} in {place(frame, position)}; it must hold {holds}: {remedy}."
    )


@cache
def _schemas() -> dict:
    """Pandera schemas and key columns, built on first use (pandera takes 0.5 s to import)."""
    import pandera.pandas as pa

    number = pa.Check(pd.api.types.is_any_real_numeric_dtype, error=_NUMBER)
    naive = pa.Check(pd.api.types.is_datetime64_dtype, error=_NAIVE)
    amount = [number, pa.Check.in_range(0, float("inf"), include_max=False)]
    checks = {
        "timestamp": [naive, pa.Check(lambda s: s.dt.year.between(1990, 2100), error=_YEAR)],
        "week_start": [naive, pa.Check(lambda s: s.dt.day_of_week == 0, error="Monday")],
        **dict.fromkeys(("start", "end", "date"), naive),
        **dict.fromkeys(("quantity", "revenue", "discount"), amount),
        **dict.fromkeys(("display", "mailer"), [number, pa.Check.in_range(0, 1)]),
    }
    schemas = {}
    for table, text in _COLUMNS.items():
        names = {name.strip("()"): name[0] == "(" for name in text.replace("|", "").split()}
        columns = {name: pa.Column(None, checks.get(name), nullable=empty) for name, empty in names.items()}
        schemas[table] = pa.DataFrameSchema(columns), text.partition("|")[0].split()
    return schemas
