"""Broken shops: each gets one clear sentence with the place and the mend, and nothing is written."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomlib.own.folder import read_shop
from ecomlib.panels import daily_panel
from ecomlib.runtime import ROOT
from ecomlib.shop import (
    BadValue,
    DuplicateKey,
    MissingColumn,
    Shop,
    ShopError,
    TooShort,
    UnknownKey,
    UnreadableFile,
    WrongType,
)
from ecomlib.windows import past_windows

SAMPLE = ROOT / "data" / "sample_shop"


def edit(file, old, new, count=1):
    """Return a fault: replace a text in a file (at its first places)."""

    def fault(folder):
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text, f"the sample's {file} has changed: {old!r} is gone"
        (folder / file).write_text(text.replace(old, new, count), encoding="utf-8")

    return fault


def cell(file, line, column, value):
    """Return a fault: write a value into one cell of a file (line 2 is the first row)."""

    def fault(folder):
        frame = pd.read_csv(folder / file, dtype=str, keep_default_na=False)
        frame.loc[line - 2, column] = value
        frame.to_csv(folder / file, index=False)

    return fault


def drop_column(file, column):
    def fault(folder):
        pd.read_csv(folder / file, dtype=str).drop(columns=column).to_csv(folder / file, index=False)

    return fault


def write(file, content: bytes):
    return lambda folder: (folder / file).write_bytes(content)


def keep_lines(file, n):
    def fault(folder):
        lines = (folder / file).read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / file).write_text("".join(lines[:n]), encoding="utf-8")

    return fault


def repeat_line(file, line):
    def fault(folder):
        lines = (folder / file).read_text(encoding="utf-8").splitlines(keepends=True)
        lines.insert(line, lines[line - 1])
        (folder / file).write_text("".join(lines), encoding="utf-8")

    return fault


def in_parquet_too(folder):
    pd.read_csv(folder / "orders.csv").to_parquet(folder / "orders.parquet")


def zoned_parquet(folder):
    frame = pd.read_csv(folder / "orders.csv", parse_dates=["timestamp"])
    frame["timestamp"] = frame["timestamp"].dt.tz_localize("UTC")
    frame.to_parquet(folder / "orders.parquet")
    (folder / "orders.csv").unlink()


def semicolons(folder):
    frame = pd.read_csv(folder / "orders.csv")
    frame.to_csv(folder / "orders.csv", sep=";", decimal=",", index=False)


HEADER = b"customer_id,order_id,product_id,timestamp,quantity,revenue,discount\n"

# name, the fault, the exception, what the sentence must name
BROKEN = [
    ("missing column", drop_column("orders.csv", "revenue"), MissingColumn, ["orders", "'revenue'"]),
    ("missing column elsewhere", drop_column("coupons.csv", "campaign_id"), MissingColumn, ["coupons"]),
    ("renamed column", edit("orders.csv", "timestamp", "time"), MissingColumn, ["'timestamp'", "time"]),
    ("column twice", edit("products.csv", "brand", "category"), DuplicateKey, ["'category'", "twice"]),
    (
        "word as number",
        cell("orders.csv", 5, "quantity", "two"),
        WrongType,
        ["'quantity'", "'two'", "line 5"],
    ),
    ("decimal comma", cell("orders.csv", 9, "revenue", "5,50"), WrongType, ["'revenue'", "line 9", "point"]),
    ("unparsable date", cell("orders.csv", 4, "timestamp", "soon"), WrongType, ["'timestamp'", "line 4"]),
    (
        "day before month",
        cell("orders.csv", 7, "timestamp", "31/05/2024 09:00"),
        WrongType,
        ["line 7", "2024-05"],
    ),
    ("impossible date", cell("orders.csv", 3, "timestamp", "2024-02-30 09:00"), WrongType, ["line 3"]),
    (
        "one time zone",
        cell("orders.csv", 6, "timestamp", "2024-01-02T09:00:00Z"),
        WrongType,
        ["zone", "line 6"],
    ),
    ("mixed time zones", cell("orders.csv", 8, "timestamp", "2024-01-02 09:00+02:00"), WrongType, ["line 8"]),
    ("zone in Parquet", zoned_parquet, WrongType, ["'timestamp'", "drop the zone"]),
    ("empty file", write("orders.csv", b""), UnreadableFile, ["orders.csv", "empty"]),
    ("blank file", write("products.csv", b"\n\n"), UnreadableFile, ["products.csv", "empty"]),
    ("header only", write("orders.csv", HEADER), TooShort, ["orders", "no rows"]),
    ("semicolons", semicolons, UnreadableFile, ["orders.csv", "semicolons"]),
    ("comma in a text", edit("products.csv", "Assam", "Assam, loose"), UnreadableFile, ["line 2", "quotes"]),
    ("duplicate product", repeat_line("products.csv", 3), DuplicateKey, ["product_id P002", "line 4"]),
    ("duplicate customer", repeat_line("customers.csv", 2), DuplicateKey, ["customer_id 1", "line 3"]),
    ("duplicate promotion", repeat_line("promotions.csv", 2), DuplicateKey, ["line 3", "week_start"]),
    (
        "negative price",
        cell("orders.csv", 11, "revenue", "-3.10"),
        BadValue,
        ["'revenue'", "-3.1", "line 11"],
    ),
    ("negative quantity", cell("orders.csv", 12, "quantity", "-1"), BadValue, ["'quantity'", "line 12"]),
    ("infinite price", cell("orders.csv", 13, "revenue", "inf"), BadValue, ["'revenue'", "line 13"]),
    ("empty cell", cell("orders.csv", 14, "customer_id", ""), BadValue, ["'customer_id'", "line 14"]),
    ("empty date", cell("orders.csv", 14, "timestamp", ""), BadValue, ["'timestamp'", "line 14"]),
    ("share over 1", cell("promotions.csv", 4, "display", "50"), BadValue, ["'display'", "line 4", "0 to 1"]),
    (
        "week not a Monday",
        cell("promotions.csv", 5, "week_start", "2024-01-03"),
        BadValue,
        ["Mondays", "line 5"],
    ),
    ("unknown product", cell("orders.csv", 10, "product_id", "P999"), UnknownKey, ["'P999'", "line 10"]),
    ("unknown promoted product", cell("promotions.csv", 3, "product_id", "P999"), UnknownKey, ["promotions"]),
    (
        "two customers, one order",
        cell("orders.csv", 3, "customer_id", "60"),
        BadValue,
        ["order 1001", "line 3"],
    ),
    ("CSV and Parquet", in_parquet_too, UnreadableFile, ["orders", "both"]),
    (
        "no orders",
        lambda folder: (folder / "orders.csv").unlink(),
        UnreadableFile,
        ["orders.csv", "products.csv"],
    ),
]


def latin1(folder):
    text = (folder / "products.csv").read_text(encoding="utf-8").replace("Assam", "Thé noir")
    (folder / "products.csv").write_bytes(text.encode("latin-1"))


def cut_off(folder):
    text = (folder / "orders.csv").read_text(encoding="utf-8").rstrip("\n")
    (folder / "orders.csv").write_text(text.rsplit(",", 2)[0], encoding="utf-8")


def bad_parquet(folder):
    (folder / "customers.csv").unlink()
    (folder / "customers.parquet").write_bytes(b"PAR1 but no more")


LAST = len((SAMPLE / "orders.csv").read_text(encoding="utf-8").splitlines())
BROKEN = [case for case in BROKEN if case[2]] + [
    ("wrong encoding", latin1, UnreadableFile, ["products.csv", "line 2", "UTF-8"]),
    ("line cut off", cut_off, UnreadableFile, ["orders.csv", f"line {LAST}", "5 cells"]),
    ("not a Parquet file", bad_parquet, UnreadableFile, ["customers.parquet"]),
]


def column(file, name, change):
    """Return a fault: change all cells of a column, given as texts."""

    def fault(folder):
        frame = pd.read_csv(folder / file, dtype=str, keep_default_na=False)
        frame.assign(**{name: change(frame[name])}).to_csv(folder / file, index=False)

    return fault


def parquet(change):
    """Return a fault: write the orders as Parquet, changed."""

    def fault(folder):
        orders = pd.read_csv(folder / "orders.csv", parse_dates=["timestamp"])
        change(orders).to_parquet(folder / "orders.parquet")
        (folder / "orders.csv").unlink()

    return fault


def column_twice(folder):
    parquet(lambda orders: orders)(folder)
    table = pq.read_table(folder / "orders.parquet")
    pq.write_table(table.append_column("revenue", table["revenue"]), folder / "orders.parquet")


def as_folder(file):
    def fault(folder):
        (folder / "orders.csv").unlink()
        (folder / file).mkdir()

    return fault


def numbered_products(folder):
    """Number all products, but pad the numbers with zeros in products.csv only."""
    column("orders.csv", "product_id", lambda ids: ids.str.lstrip("P0"))(folder)
    column("products.csv", "product_id", lambda ids: ids.str.lstrip("P"))(folder)


def blank_line_before_a_fault(folder):
    cell("orders.csv", 9, "revenue", "free")(folder)
    edit("orders.csv", "\n", "\n\n")(folder)


def line_break_before_a_fault(folder):
    edit("products.csv", "Assam", '"As\nsam"')(folder)
    repeat_line("products.csv", 4)(folder)


def old_mac_line_ends(folder):
    cell("orders.csv", 9, "revenue", "free")(folder)
    (folder / "orders.csv").write_bytes((folder / "orders.csv").read_bytes().replace(b"\n", b"\r"))


def open_to_the_end(folder):
    text = (folder / "products.csv").read_text(encoding="utf-8")
    (folder / "products.csv").write_text(',"'.join(text.rsplit(",", 1)), encoding="utf-8")


def two_levels(orders):
    orders.loc[5, "revenue"] = -1
    return orders.set_index(["customer_id", "order_id"], drop=False).rename_axis(["a", "b"])


T = "timestamp"
BROKEN += [
    ("zone in hours", cell("orders.csv", 3, T, "2024-01-02T09:00:00+02"), WrongType, ["zone", "line 3"]),
    ("zone after the hour", cell("orders.csv", 3, T, "2024-01-02T09+02:00"), WrongType, ["zone", "line 3"]),
    ("one zone for all", column("orders.csv", T, lambda t: t + "+02"), WrongType, ["zone", "line 2"]),
    (
        "two zones",
        column("orders.csv", T, lambda t: t + np.where(t.index % 2, "+01", "+02")),
        WrongType,
        ["line 2"],
    ),
    ("year only", cell("orders.csv", 3, T, "2024"), WrongType, ["'2024'", "line 3", "not a date"]),
    ("month only", cell("orders.csv", 3, T, "2024-05"), WrongType, ["'2024-05'", "line 3"]),
    ("date without dashes", cell("orders.csv", 3, T, "20240101"), WrongType, ["'20240101'", "line 3"]),
    ("padded ids", numbered_products, UnknownKey, ["'2'", "line 2", "products"]),
    (
        "texts here, numbers there",
        parquet(lambda orders: orders.assign(product_id=7)),
        WrongType,
        ["products: column 'product_id' holds texts and orders numbers"],
    ),
    (
        "ids of another kind",
        parquet(lambda orders: orders.assign(customer_id=[{"id": 1}] * len(orders))),
        WrongType,
        ["{'id': 1}", "row 0"],
    ),
    ("two index levels", parquet(two_levels), BadValue, ["'revenue'", "row 5"]),
    ("column twice in Parquet", column_twice, DuplicateKey, ["'revenue'", "twice"]),
    ("folder as CSV", as_folder("orders.csv"), UnreadableFile, ["orders.csv", "folder"]),
    ("folder as Parquet", as_folder("orders.parquet"), UnreadableFile, ["orders.parquet", "folder"]),
    (
        "file name in capitals",
        lambda f: (f / "orders.csv").rename(f / "Orders.CSV"),
        UnreadableFile,
        ["Orders.CSV", "small letters"],
    ),
    (
        "header in capitals",
        edit("orders.csv", "revenue", "Revenue"),
        MissingColumn,
        ["'Revenue'", "small letters"],
    ),
    (
        "header on two lines",
        edit("orders.csv", "discount", '"dis\ncount"'),
        MissingColumn,
        ["orders: column 'discount'"],
    ),
    (
        "key on two lines",
        edit("products.csv", "P002,", '"P\n1",X,X,X,X\n"P\n1",'),
        DuplicateKey,
        ["product_id P 1", "line 5"],
    ),
    ("old Mac line ends", old_mac_line_ends, WrongType, ["'free'", "line 9"]),
    ("blank line", blank_line_before_a_fault, WrongType, ["'free'", "line 10"]),
    (
        "blank first line",
        edit("orders.csv", "cust", "\ncust"),
        UnreadableFile,
        ["line 1 is empty"],
    ),
    ("line break in a cell", line_break_before_a_fault, DuplicateKey, ["line 5"]),
    (
        "open quotation mark",
        edit("orders.csv", "1001", '"1001'),
        UnreadableFile,
        ["line 2", "quotation mark"],
    ),
    ("open to the end", open_to_the_end, UnreadableFile, ["line 25", "quotation"]),
    ("huge cell", cell("products.csv", 3, "brand", "x" * 140_000), UnreadableFile, ["line 3", "131,072"]),
    ("bars", edit("orders.csv", ",", "|", count=-1), UnreadableFile, ["orders.csv", "bars"]),
    (
        "semicolons below a header with commas",
        edit("orders.csv", "\n23,1001,2024-01-01 18:07,P002,2,11.0,0.0", "\n23;1;x;P002;2;11,0;0,0"),
        UnreadableFile,
        ["line 2", "semicolons"],
    ),
    ("empty quantity", cell("orders.csv", 3, "quantity", ""), BadValue, ["line 3", "fill it in or drop"]),
    ("empty discount", cell("orders.csv", 3, "discount", ""), BadValue, ["line 3", "0 where there was none"]),
    ("empty share", cell("promotions.csv", 3, "display", ""), BadValue, ["line 3", "0 where there was none"]),
    (
        "unknown customer",
        column("orders.csv", "customer_id", lambda ids: ids.replace("23", "99")),
        UnknownKey,
        ["has 99 in line 2", "customers"],
    ),
    (
        "unknown coupon",
        cell("redemptions.csv", 2, "coupon_id", "K9"),
        UnknownKey,
        ["'K9'", "line 2", "coupons"],
    ),
    ("campaign ends first", cell("campaigns.csv", 2, "end", "2024-01-01"), BadValue, ["'end'", "line 2"]),
]


def snapshot(folder):
    return {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("fault", "error", "names"), [c[1:] for c in BROKEN], ids=[c[0] for c in BROKEN])
def test_a_broken_shop_gets_one_sentence(tmp_path, fault, error, names):
    folder = tmp_path / "shop"
    shutil.copytree(SAMPLE, folder)
    fault(folder)
    before = snapshot(folder)
    with pytest.raises(ShopError) as caught:
        read_shop(folder)
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert "\n" not in message
    assert message.endswith((".", ").")), message
    assert re.search(r"[;:] \w", message), f"no remedy: {message}"
    for name in names:
        assert name in message
    assert snapshot(folder) == before  # nothing was written


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UnreadableFile, match="no such folder"):
        read_shop(tmp_path / "nowhere")


def test_a_history_too_short_for_the_windows():
    shop = read_shop(SAMPLE)
    few = shop.orders[shop.orders["timestamp"] < "2024-01-15"]
    panel = daily_panel(few["timestamp"], few["product_id"], few["revenue"])
    with pytest.raises(TooShort, match="longer history"):
        past_windows(panel.values, [14], 56)


def test_the_sample_shop_reads_whole():
    shop = read_shop(SAMPLE)
    assert shop.name == "sample_shop"
    assert shop.orders["customer_id"].dtype == "int64"
    assert shop.orders["timestamp"].is_monotonic_increasing
    for table in ("products", "promotions", "customers", "campaigns", "coupons", "redemptions"):
        assert len(getattr(shop, table)), table
    assert shop.customers["household_size"].isna().any()  # an empty cell that may be empty stays empty


def test_parquet_reads_the_same_as_csv(tmp_path):
    shop = read_shop(SAMPLE)
    for table in ("orders", "products"):
        getattr(shop, table).to_parquet(tmp_path / f"{table}.parquet")
    again = read_shop(tmp_path)
    pd.testing.assert_frame_equal(again.orders, shop.orders)
    pd.testing.assert_frame_equal(again.products, shop.products)


def test_only_orders_are_required(tmp_path):
    shutil.copy(SAMPLE / "orders.csv", tmp_path)
    shop = read_shop(tmp_path, name="mine")
    assert shop.products is None
    assert shop.name == "mine"


def test_unknown_products_may_be_kept(tmp_path):
    shutil.copytree(SAMPLE, tmp_path / "shop")
    cell("orders.csv", 10, "product_id", "P999")(tmp_path / "shop")
    assert (read_shop(tmp_path / "shop", unknown="keep").orders["product_id"] == "P999").sum() == 1
    with pytest.raises(BadValue, match="'error' or 'keep'"):
        read_shop(tmp_path / "shop", unknown="drop")


def test_ids_with_leading_zeros_stay_text(tmp_path):
    shutil.copy(SAMPLE / "orders.csv", tmp_path)
    edit("orders.csv", "\n23,", "\n023,", count=-1)(tmp_path)
    assert read_shop(tmp_path).orders["customer_id"].iloc[0] == "023"


def test_one_text_among_the_ids_makes_all_of_them_texts(tmp_path):
    """A gift card nobody bought, or a customer "guest", must not cut the other ids off from the orders."""
    folder = tmp_path / "shop"
    shutil.copytree(SAMPLE, folder)
    for file in ("orders.csv", "products.csv", "promotions.csv", "coupons.csv"):
        column(file, "product_id", lambda ids: ids.str.lstrip("P0"))(folder)
    assert read_shop(folder).orders["product_id"].dtype == "int64"
    cell("products.csv", 26, "product_id", "GIFT-1")(folder)
    cell("customers.csv", 62, "customer_id", "guest")(folder)
    shop = read_shop(folder)
    assert shop.orders["product_id"].isin(shop.products["product_id"]).all()
    assert shop.orders["customer_id"].isin(shop.customers["customer_id"]).all()
    shop.products.to_parquet(folder / "products.parquet")
    (folder / "products.csv").unlink()
    assert read_shop(folder).orders["product_id"].iloc[0] == "2"


def test_a_file_that_may_not_be_opened_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    shutil.copy(SAMPLE / "orders.csv", tmp_path)
    with pytest.raises(UnreadableFile, match=r"^orders.csv: cannot be opened .Permission denied.; "):
        read_shop(tmp_path)


def test_the_script_makes_the_sample_shop_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "data"))
    import make_sample_shop

    for table, frame in make_sample_shop.make().items():
        stamp = "%Y-%m-%d %H:%M" if table == "orders" else "%Y-%m-%d"
        text = frame.to_csv(index=False, date_format=stamp, lineterminator="\n")
        assert text == (SAMPLE / f"{table}.csv").read_text(encoding="utf-8"), table


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("quantity", True, WrongType),
        ("revenue", "1.50", WrongType),
        ("discount", float("nan"), BadValue),
        ("timestamp", "2024-01-01", WrongType),
        ("timestamp", pd.Timestamp("2024-01-01", tz="UTC"), WrongType),
        ("timestamp", pd.Timestamp(1704096000), BadValue),  # seconds read as nanoseconds: 1970
        ("timestamp", pd.Timestamp("2924-01-01"), BadValue),
        ("revenue", 1 + 0j, WrongType),
        ("revenue", float("inf"), BadValue),
    ],
)
def test_frames_are_checked_like_files(column, value, error):
    orders = read_shop(SAMPLE).orders.head(3).copy()
    orders[column] = [value] * 3
    with pytest.raises(error, match=f"'{column}'.*row 0"):
        Shop(orders)


def test_ids_are_of_one_kind():
    orders = read_shop(SAMPLE).orders.head(3)
    with pytest.raises(WrongType, match="'order_id' mixes numbers and texts .row 2 has '7'"):
        Shop(orders.assign(order_id=pd.Series([5, 6, "7"], dtype=object)))


def test_ids_are_of_the_same_kind_in_all_tables():
    shop = read_shop(SAMPLE)
    customers = shop.customers.assign(customer_id=shop.customers["customer_id"].astype(str))
    with pytest.raises(WrongType, match="customers: column 'customer_id' holds texts and orders numbers"):
        shop.with_tables(customers=customers)
    assert len(shop.with_tables(customers=customers.head(0)).customers) == 0


@pytest.mark.parametrize("orders", [None, [1, 2], "orders.csv"])
def test_orders_are_a_frame(orders):
    with pytest.raises(WrongType, match="orders: this is a .*; give a pandas DataFrame"):
        Shop(orders)


def test_the_package_imports_nothing_heavy():
    heavy = "{'pandas', 'keras', 'tensorflow', 'pandera', 'matplotlib'}"
    code = f"import sys, ecomlib; bad = {heavy} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@settings(max_examples=30)
@given(st.sampled_from(["customer_id", "order_id", "timestamp", "quantity", "revenue", "discount"]), TEXT)
def test_whatever_stands_in_a_cell_is_read_or_refused_in_one_sentence(column, text):
    """Never a crash of another kind, and never a line of the message too many."""
    frame = pd.read_csv(SAMPLE / "orders.csv", dtype=str, nrows=4)
    frame.loc[2, column] = text
    with tempfile.TemporaryDirectory() as folder:
        frame.to_csv(Path(folder) / "orders.csv", index=False)
        try:
            read_shop(folder)
        except ShopError as error:
            message = str(error)
        else:
            return
    assert "\n" not in message
    assert column in message or "orders.csv" in message
