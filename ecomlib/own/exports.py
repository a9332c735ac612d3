"""The exports of shop systems, known by their headers -> order lines in the course's columns."""

import difflib
import re
from collections.abc import Mapping
from configparser import ConfigParser
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from ecomlib.own.cells import Reader, as_amounts, as_text, as_times, bare, without_people
from ecomlib.own.files import Table, plain, table_of
from ecomlib.shop.errors import DuplicateKey, MissingColumn, UnreadableFile

NUMBERS = "quantity price revenue discount gross line_discount subtotal refund order_refund"
TEXTS = "name category department product_type country currency status cancelled kind time"
Columns = Mapping[str, list[str]]  # our column, with "?" where it may be missing -> plain headers
ORDER_FACTS = ("customer_id", "timestamp", "currency", "status", "cancelled", "subtotal", "order_refund")


@dataclass(frozen=True)
class Layouts:
    """Known headers of one kind of file, and which columns it cannot do without.

    `formats` map our columns to plain headers, see orders.ini; "usual" is none, but has usual names. In
    `need`, one column of each group is enough.
    """

    formats: Mapping[str, Columns]
    need: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, file: str, *need: tuple[str, ...]) -> "Layouts":
        """Those of a file beside this module."""
        read = ConfigParser(delimiters="=", interpolation=None)
        read.read(Path(__file__).with_name(file), encoding="utf-8")
        texts = {name: read[name].items() for name in read.sections()}
        return cls({name: {ours: text.split() for ours, text in some} for name, some in texts.items()}, need)

    @property
    def headers(self) -> frozenset[str]:
        """Every plain header that is known."""
        return frozenset(chain(*(names for some in self.formats.values() for names in some.values())))

    @property
    def ours(self) -> list[str]:
        """Every column that a header can be taken for."""
        return sorted({ours.strip("?") for ours in chain(*self.formats.values())})


NEED = (("product_id", "name"), ("timestamp",), ("order_id", "customer_id"), ("revenue", "gross", "price"))
SALES = Layouts.of("orders.ini", *NEED)


@dataclass
class Reading:
    """A table, and what its columns were taken for: our name -> position.

    `sure` says that the header is one that is known; `before` are the first lines, once they are read.
    """

    table: Table
    format: str
    at: dict[str, int]
    sure: bool = True
    before: pd.DataFrame | None = None

    @property
    def columns(self) -> dict[str, str]:
        """Our name -> header."""
        return {ours: self.table.header[position] for ours, position in self.at.items()}


def recognise(table: Table, layouts: Layouts, columns: Mapping[str, str] | None = None) -> Reading:
    """Tell what a table's columns hold: by what the caller says, by a known header, or by usual names.

    Raises
    ------
    MissingColumn
        When it is not certain; the sentence says what to write as `columns=`.
    """
    given = dict(columns or {})
    if unknown := [ours for ours in given if ours not in layouts.ours]:
        known = ", ".join(layouts.ours)
        raise MissingColumn(f"columns={{{unknown[0]!r}: ...}}: there is no such column; use {known}.")
    where = table.where
    for name in given.values():
        if plain(name) not in where:
            near = difflib.get_close_matches(name, table.header, 1) or table.header[:20]
            raise MissingColumn(f"{table.name}: there is no column {name!r}; found {', '.join(near)}.")
    format, found = _known(layouts, where)
    if not format:
        found = _usual(table, layouts, where, set(given))
    taken = {plain(name) for name in given.values()}
    found = {ours: name for ours, name in found.items() if name not in taken}
    found |= {ours: plain(name) for ours, name in given.items()}
    for group in layouts.need:
        if not any(name in found for name in group):
            there = ", ".join(table.header[:30])
            raise MissingColumn(
                f"{table.name}: no column is known to hold the {group[0]} (found: {there}); say which does: "
                f"columns={{{group[0]!r}: 'its header', ...}}."
            )
    header = [plain(name) for name in table.header]
    if twice := [name for name in found.values() if header.count(name) > 1]:
        raise DuplicateKey(
            f"{table.name}: the column {table.header[where[twice[0]]]!r} is there twice; keep one of them."
        )
    at = {ours: where[name] for ours, name in found.items()}
    return Reading(table, format or "flat file", at, bool(format or given))


def _known(layouts: Layouts, where: Mapping[str, int]) -> tuple[str, dict[str, str]]:
    """The known format of which most columns are there, with all that it needs; "" for none."""
    best: tuple[str, dict[str, str]] = ("", {})
    for format, names in layouts.formats.items():
        if format == "usual":
            continue
        hits = {ours.strip("?"): n for ours, some in names.items() for n in some[::-1] if n in where}
        if all(ours in hits or ours[-1] == "?" for ours in names) and len(hits) > len(best[1]):
            best = format, hits
    return best


def _usual(table: Table, layouts: Layouts, where: Mapping[str, int], given: set[str]) -> dict[str, str]:
    """Columns with usual names; where two could be meant, the reader asks."""
    several = {o.strip("?"): [n for n in some if n in where] for o, some in layouts.formats["usual"].items()}
    for ours in ("order_id", "customer_id", "product_id"):  # a number names it better than a word
        numbers = [n for n in several.get(ours, ()) if re.search("(id|no|nr|number|nummer|code|sku)$", n)]
        several[ours] = numbers or several.get(ours, [])
    for ours, names in several.items():
        if len(names) > 1 and ours not in given:
            both = " or ".join(repr(table.header[where[name]]) for name in names)
            raise MissingColumn(f"{table.name}: is {ours} {both}? Say it: columns={{{ours!r}: ...}}.")
    found = {ours: names[0] for ours, names in several.items() if len(names) == 1}
    if "timestamp" not in found and "time" in found:
        found["timestamp"] = found.pop("time")
    return found


def read_lines(reading: Reading, reader: Reader) -> pd.DataFrame:
    """Read the order lines of a table: ids as texts, times, amounts; what is negative stays so.

    Columns order_id, customer_id, product_id, timestamp, quantity, revenue, discount, and of those that the
    table has: name, category, department, country, currency, status, cancelled, line_id, and refunds.
    """
    raw = reading.table.columns(reading.at)
    head = [cells.head(3) for cells in raw.values()]
    reading.before = pd.concat(head, axis=1).set_axis([*reading.columns.values()], axis=1)
    reader.notes += [f"{reading.table.name}: {note}" for note in reading.table.notes]
    lines = as_amounts(raw, NUMBERS.split(), reading.table.semicolons, reader)
    moment = raw["timestamp"]
    if "time" in raw:
        moment = as_text(moment).str.cat(as_text(raw["time"]), sep=" ").rename(moment.name)
    lines["timestamp"] = as_times(moment, reader)
    for name in ("order_id", "customer_id", "product_id", "line_id"):
        if name in raw:
            written = as_text(raw[name])
            lines[name] = bare(written)
            if changed := int(((written != lines[name]) & written.notna()).sum()):
                reader.note(f"{changed:,} cells of {raw[name].name!r} lose a blank at an end, or a .0")
    lines |= {name: as_text(raw[name]) for name in TEXTS.split() if name in raw and name != "time"}
    frame = pd.DataFrame(lines, index=moment.index)
    if reading.format == "shopify":  # an order's facts stand in its first row only
        facts = frame.columns[frame.columns.isin(ORDER_FACTS)]
        frame[facts] = frame.groupby("order_id", dropna=False)[facts].transform("first")
    if "name" in frame:
        frame["product_id"] = frame.get("product_id", frame["name"]).fillna(frame["name"])
    frame["customer_id"] = without_people(frame["customer_id"], reader) if "customer_id" in frame else pd.NA
    if "order_id" not in frame:
        reader.note("no column names the order: what one customer bought at one moment is taken for an order")
        who = frame["customer_id"].astype("str").fillna("guest")
        frame["order_id"] = who.str.cat(frame["timestamp"].dt.strftime("%Y-%m-%d %H:%M:%S"), sep=" ")
    return _with_money(frame, reader)


def _with_money(frame: pd.DataFrame, reader: Reader) -> pd.DataFrame:
    """Work out quantity, revenue (what was received) and discount of each line."""
    if "quantity" not in frame:
        reader.note("no column holds a quantity: each line is one unit")
        frame["quantity"] = 1.0
    if "kind" in frame:  # a till writes a refund as a line of its own, in some with plain signs
        back = frame.pop("kind").str.contains(r"(?i)refund|return", regex=True, na=False)
        for name in {"quantity", "revenue", "gross"} & set(frame.columns):
            frame[name] = frame[name].where(~back, -frame[name].abs())
    off = frame.pop("line_discount").abs().fillna(0.0) if "line_discount" in frame else None
    gross = frame.pop("gross") if "gross" in frame else None
    if "price" in frame:
        price = frame.pop("price") * frame["quantity"]
        gross = price if gross is None else gross
    if "revenue" not in frame and gross is not None:
        frame["revenue"] = gross if off is None else gross - off * np.sign(gross)
    if "subtotal" in frame:  # after the discounts of the whole order, which its lines share
        paid = frame.groupby(pd.factorize(frame["order_id"])[0])["revenue"].transform("sum")
        share = (frame.pop("subtotal") / paid.where(paid != 0)).fillna(1.0).clip(0, 1)
        frame["revenue"] = frame["revenue"] * share
    if "discount" not in frame:
        if gross is not None:
            off = (gross - frame["revenue"]).abs().round(6)
        elif off is None:
            reader.note("no column holds a discount: it is 0")
        frame["discount"] = 0.0 if off is None else off
    frame["discount"] = frame["discount"].fillna(0.0)
    return frame


def one_row_per_item(table: Table) -> Table:
    """Part the cells in which WooCommerce writes an order's items: `name:Tea|quantity:2|total:6;name:...`."""
    cells = [name for name in table.header if re.fullmatch(r"lineitems|lineitem\d+", plain(name))]
    if not cells:
        return table
    orders = table.whole()
    items = orders[cells].stack().dropna().str.split(r";(?=(?:id|name|product_id):)", regex=True).explode()
    facts = [dict(re.findall(r"(?:^|\|)(\w+):([^|]*)", item)) for item in items]
    frame = pd.DataFrame(facts, items.index.get_level_values(0), dtype="str").add_prefix("item_")
    whole = table_of(table.name, orders.drop(columns=cells).join(frame.replace("", None)))
    return replace(whole, notes=[*table.notes, "items that share a cell are parted: one row per item"])


def join_olist(tables: list[Table]) -> list[Table]:
    """Join Olist's files (orders, items, customers, products) to one table; other tables pass through."""
    marks = {"orders": "orderpurchasetimestamp", "items": "orderitemid", "customers": "customeruniqueid"}
    marks["products"] = "productcategoryname"
    parts = {name: t for name, mark in marks.items() for t in tables if mark in t.where}
    if len(tables) < 2 or not {"orders", "items"} <= set(parts):
        return tables
    if "customers" not in parts:
        raise UnreadableFile(
            "olist: the file of customers is missing; its customer_unique_id names the customer (the "
            "customer_id of the orders is new for each order). Put it beside the orders."
        )
    frames = {name: table.whole() for name, table in parts.items()}
    whole = frames["items"].merge(frames["orders"], how="left", on="order_id")
    customers = frames["customers"][["customer_id", "customer_unique_id"]]
    whole = whole.merge(customers, how="left", on="customer_id").drop(columns="customer_id")
    if "products" in frames:
        product = frames["products"][["product_id", "product_category_name"]].drop_duplicates("product_id")
        whole = whole.merge(product, how="left", on="product_id")
    return [table_of("olist", whole)]
