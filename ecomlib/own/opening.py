"""One line in: an export of a shop system -> a cleaned `Shop` with a report of everything that was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ecomlib.own.cells import Reader, as_amounts, as_ids, as_text, as_times, without_people
from ecomlib.own.exports import SALES, join_olist, one_row_per_item, read_lines, recognise
from ecomlib.own.facts import SIGNS, STEPS, Facts, clean_lines
from ecomlib.own.files import Table, plain, read_tables
from ecomlib.shop.checks import check_columns, check_table
from ecomlib.shop.cleaning import clean
from ecomlib.shop.errors import ID_COLUMNS, TABLES, BadValue, ShopError
from ecomlib.shop.shop import Shop, members

SWITCHES = {
    "returns": ("drop", "net"),
    "guests": ("sales", "drop"),
    **dict.fromkeys(("repeats", "far_dates", "cancelled", "not_goods", "free"), ("drop", "keep")),
}
CONTRACT = ("order_id", "customer_id", "product_id", "timestamp", "quantity", "revenue", "discount")
OTHERS = "week_start display mailer category department kind start end date"
TIMES = ("week_start", "start", "end", "date")  # of the tables beside the orders
NUMBERS = ("manufacturer_coupon", "display", "mailer")
# Which table lists the values of a column, and which tables should name no others.
LISTED = {
    "product_id": ("products", ("promotions", "coupons")),
    "customer_id": ("customers", ("orders", "campaigns", "redemptions")),
    "coupon_id": ("coupons", ("redemptions",)),
}


@dataclass(frozen=True)
class Report:
    """What was read and what was done to it; `print(shop.report)` shows all of it.

    `format` is the export that was recognised, `columns` says which header was taken for each of our columns.
    `steps` has columns step, lines (found), left_out (lines), revenue (of the lines found), why. `notes` are
    to be known, `problems` to be fixed (after `check_export` only). `before` and `after` are the first
    lines, in the file and as they were taken.
    """

    format: str
    columns: dict[str, str]
    steps: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    before: pd.DataFrame | None = None
    after: pd.DataFrame | None = None

    def __str__(self) -> str:
        taken = "\n".join(f"  {ours:12s} <- {name}" for ours, name in self.columns.items())
        shown = {"revenue": "{:,.2f}", "lines": "{:,}", "left_out": "{:,}"}
        steps = self.steps.assign(**{name: self.steps[name].map(form.format) for name, form in shown.items()})
        parts = [f"Read as {self.format}. The columns were taken for:\n{taken}"]
        frames = {"As it is in the file:\n": self.before, "As it was taken:\n": self.after, "": steps}
        for title, frame in frames.items():
            parts += [title + frame.to_string(index=False)] if frame is not None and len(frame) else []
        for sign, texts in (("-", self.notes), ("!", self.problems)):
            parts += ["\n".join(f"{sign} {text}" for text in texts)] if texts else []
        return "\n\n".join(parts)


def open_shop(
    paths: Any,
    columns: Mapping[str, str] | None = None,
    *,
    name: str | None = None,
    currency: str | None = None,
    timezone: str | tuple[str, str] | None = None,
    dayfirst: bool | None = None,
    decimal: str | None = None,
    **switches: str,
) -> Shop:
    """Open a shop system's export and clean it.

    Parameters
    ----------
    paths : path or list of paths
        A file, several, or a folder: CSV and other text, Excel, Parquet, JSON lines, packed or not.
        Recognised by their headers: the course's own layout, Shopify, WooCommerce, Online Retail, Olist's
        folder, Square, Loyverse, ShopKeep, Amazon, Etsy, eBay, and flat files with usual names.
    columns : dict, optional
        Our column -> your header, such as {"order_id": "Invoice"}: what is not recognised, or wrongly.
    currency : str, optional
        The one to keep where there are several, such as "USD"; else the sign to show.
    timezone, dayfirst, decimal
        See `ecomlib.own.cells`; asked for where the file leaves it open.
    **switches
        returns "drop" | "net" (taken off the earlier sale); guests "sales" (they count for sales, not for
        customers) | "drop"; repeats, far_dates, cancelled, not_goods, free (price 0): "drop" | "keep".

    Returns
    -------
    Shop
        Its `report` says what was read, found, left out, and what to look at.

    Raises
    ------
    ShopError
        One sentence: what is wrong or unclear, where, and what to do.
    """
    shop, sure = _open(paths, columns, Reader(timezone, dayfirst, decimal), name, currency, **switches)
    if not sure:
        print(shop.report)
    return shop


def check_export(paths: Any, columns: Mapping[str, str] | None = None, **options: Any) -> Report:
    """Say everything that there is to say about an export at once; raises nothing that a file can cause.

    Takes the arguments of `open_shop`.
    """
    how = {key: options.pop(key, None) for key in ("timezone", "dayfirst", "decimal")}
    reader = Reader(**how, every=True)
    try:
        shop, _ = _open(paths, columns, reader, **options)
    except ShopError as error:
        problems = [*reader.problems, str(error)]
        return Report("nothing that is known", {}, pd.DataFrame(columns=STEPS), reader.notes, problems)
    return shop.report


def _open(
    paths: Any, columns: Any, reader: Reader, name: Any = None, currency: Any = None, **given: str
) -> tuple[Shop, bool]:
    """Read, clean and check; problems go where the reader says. Also whether the columns are sure."""
    for key, value in given.items():
        if value not in SWITCHES.get(key, ()):
            raise BadValue(f"{key}={value!r}: the switches are {SWITCHES}.")
    switches = {key: values[0] for key, values in SWITCHES.items()} | given | {"currency": currency}
    tables = join_olist([one_row_per_item(table) for table in read_tables(paths, SALES.headers)])
    others, sales = _by_role(tables)
    if not sales:
        raise BadValue(f"{paths}: no table of orders is among {', '.join(t.name for t in tables)}; add it.")
    readings = [recognise(table, SALES, columns) for table in sales]
    first, sure = readings[0], all(reading.sure for reading in readings)
    if not sure:
        reader.note("this is a guess: is a column taken wrongly? Then say columns={...}")
    frames = [read_lines(reading, reader) for reading in readings]
    lines = pd.concat([frame.assign(file=i) for i, frame in enumerate(frames)]) if frames[1:] else frames[0]
    if "currency" not in lines:
        switches["currency"] = None
    facts = Facts(lines.reset_index(drop=True), switches, reader)
    facts.rows += [_file_row(r.table.name, frame) for r, frame in zip(readings, frames, strict=True)]
    del frames, lines
    lines = clean_lines(facts, first.format)
    sign = facts.switches["currency"] or currency or "$"
    label = name or Path(paths if isinstance(paths, (str, Path)) else paths[0]).resolve().name.split(".")[0]
    shop = Shop(**_tables(lines, others, reader), name=label, currency=SIGNS.get(sign, sign))
    shop, second = clean(shop)
    second = second[second["lines"] > 0].drop(columns="share_of_revenue")
    second["left_out"] = second["lines"]
    steps = pd.concat([pd.DataFrame(facts.rows, columns=STEPS), second], ignore_index=True)
    after = shop.orders[list(CONTRACT)].head(3)
    report = Report(first.format, first.columns, steps, reader.notes, reader.problems, first.before, after)
    object.__setattr__(shop, "report", report)  # nothing that would have to be checked again
    return shop, sure


def _by_role(tables: list[Table]) -> tuple[dict[str, Table], list[Table]]:
    """Tell the course's other tables by their file names; all the rest are sales."""
    others = {}
    for table in tables:
        stem = plain(table.name.rsplit("/", 1)[-1].split(".")[0])
        role = next((t for t in TABLES[1:] if stem.startswith(t)), None)
        if role and role not in others and not {"orderid", "quantity"} <= table.where.keys():
            others[role] = table
    return others, [table for table in tables if table not in others.values()]


def _file_row(name: str, frame: pd.DataFrame) -> tuple:
    """What one file holds: the first row of the report."""
    time, kinds = frame["timestamp"], {"order_id": "orders", "product_id": "products"}
    kinds |= {"customer_id": "customers", "country": "countries"}
    span = f"{time.min():%Y-%m-%d %H:%M} to {time.max():%Y-%m-%d %H:%M}" if time.notna().any() else "no dates"
    counts = ", ".join(f"{frame[c].nunique():,} {kind}" for c, kind in kinds.items() if c in frame)
    return (f"read {name}", len(frame), 0, float(frame["revenue"].sum()), f"{span}; {counts}")


def _tables(lines: pd.DataFrame, others: dict[str, Table], reader: Reader) -> dict[str, pd.DataFrame]:
    """The contract's tables: orders, products (made of the lines where there is no file), and the rest."""
    more = [c for c in ("guest", "country") if c in lines]
    tables = {"orders": lines[[*CONTRACT, *more]].copy()}
    if "country" in more:
        tables["orders"]["country"] = lines["country"].astype("category")
    ours = {plain(column): column for column in (*ID_COLUMNS, *OTHERS.split())}
    for role, table in others.items():
        cells = table.whole().rename(columns=lambda header: ours.get(plain(header), header))
        reader.notes += [f"{table.name}: {note}" for note in table.notes]
        check_columns(cells, role)
        said = {name: column.rename(f"{role}.{name}") for name, column in cells.items()}  # for messages
        amounts = as_amounts(said, NUMBERS, table.semicolons, reader)
        for name, column in said.items():
            if name in TIMES:
                cells[name] = as_times(column, replace(reader, timezone=None))  # a day has no zone
            elif name in amounts:
                cells[name] = amounts[name]
            elif name == "customer_id" or column.dtype == "str" and column.str.contains(r"\S@\S").any():
                cells[name] = without_people(column, reader)
            elif name not in ID_COLUMNS and column.dtype == "str":
                numbers = pd.to_numeric(column, errors="coerce")
                cells[name] = numbers if numbers.notna().equals(column.notna()) else column
        tables[role] = cells
    if "products" not in tables:
        tables["products"] = _products(lines, reader)
    _same_ids(tables)
    again = tables["products"]["product_id"].duplicated()
    if again.any():
        tables["products"] = tables["products"][~again]
        reader.note(f"products: {again.sum():,} lines repeat a product; the first one is kept")
    for column, (home, those) in LISTED.items():
        for role in (role for role in those if home in others and role in tables):
            rows = tables[role] if "guest" not in tables[role] else members(tables[role])
            strange = rows.loc[~rows[column].isin(tables[home][column]), column].dropna()
            if len(strange):
                some = f"{len(strange):,} lines have a {column} that {home} does not list"
                reader.note(f"{role}: {some} ({strange.iloc[0]})")
    for role in others:
        check_table(tables[role], role)
    return {role: frame.reset_index(drop=True) for role, frame in tables.items()}


def _products(lines: pd.DataFrame, reader: Reader) -> pd.DataFrame:
    """One row per product: the name, category, department and type that its lines have first."""
    products = lines[["product_id"]].drop_duplicates()
    for column in ("name", "category", "department", "product_type"):
        if column in lines:
            known = lines.loc[lines[column].notna(), ["product_id", column]].drop_duplicates("product_id")
            products = products.merge(known, how="left", on="product_id")
        elif column in ("category", "department"):
            reader.note(f"no column holds a {column}: all products are one, 'ALL'")
            products[column] = "ALL"
    return products.reset_index(drop=True)


def _same_ids(tables: dict[str, pd.DataFrame]) -> None:
    """Write each kind of id as numbers in all tables, or as texts in all."""
    for column in ID_COLUMNS:
        holders = [frame for frame in tables.values() if column in frame]
        ids = [as_ids(frame[column]) for frame in holders]
        texts = any(values.dtype != "int64" for values in ids)
        for frame, values in zip(holders, ids, strict=True):
            frame[column] = as_text(values) if texts else values
