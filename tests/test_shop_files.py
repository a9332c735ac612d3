"""Broken shops: each gets one clear sentence with the place and the fix, and nothing is written."""

import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomlib import open_shop
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


def latin1(folder):
    text = (folder / "products.csv").read_text(encoding="utf-8").replace("Assam", "Thé noir")
    (folder / "products.csv").write_bytes(text.encode("latin-1"))


def cut_off(folder):
    text = (folder / "orders.csv").read_text(encoding="utf-8").rstrip("\n")
    (folder / "orders.csv").write_text(text.rsplit(",", 2)[0], encoding="utf-8")


def bad_parquet(folder):
    (folder / "customers.csv").unlink()
    (folder / "customers.parquet").write_bytes(b"PAR1 but no more")


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


T = "timestamp"
# name, the fault, the exception, what the sentence must name
REFUSED = [
    ("missing column", drop_column("orders.csv", "revenue"), MissingColumn, ["orders.csv", "revenue"]),
    ("missing column elsewhere", drop_column("coupons.csv", "campaign_id"), MissingColumn, ["coupons"]),
    ("column twice", edit("products.csv", "brand", "category"), DuplicateKey, ["'category'", "twice"]),
    (
        "word as number",
        cell("orders.csv", 5, "quantity", "two"),
        WrongType,
        ["'quantity'", "'two'", "line 5"],
    ),
    ("decimal comma", cell("orders.csv", 9, "revenue", "5,50"), WrongType, ["'revenue'", "line 9", "12.50"]),
    ("unparsable date", cell("orders.csv", 4, T, "soon"), WrongType, ["'timestamp'", "line 4"]),
    ("impossible date", cell("orders.csv", 3, T, "2024-02-30 09:00"), WrongType, ["line 3"]),
    ("year only", cell("orders.csv", 3, T, "2024"), WrongType, ["'2024'", "line 3", "no date"]),
    ("month only", cell("orders.csv", 3, T, "2024-05"), WrongType, ["'2024-05'", "line 3"]),
    ("date without dashes", cell("orders.csv", 3, T, "20240101"), WrongType, ["'20240101'", "line 3"]),
    ("no date elsewhere", cell("campaigns.csv", 2, "end", "soon"), WrongType, ["campaigns.end", "line 2"]),
    ("empty file", write("orders.csv", b""), UnreadableFile, ["orders.csv", "empty"]),
    ("blank file", write("products.csv", b"\n\n"), UnreadableFile, ["products.csv", "empty"]),
    ("header only", write("orders.csv", HEADER), TooShort, ["no line"]),
    ("comma in a text", edit("products.csv", "Assam", "Assam, loose"), UnreadableFile, ["line 2", "quotes"]),
    ("duplicate customer", repeat_line("customers.csv", 2), DuplicateKey, ["customer_id 1", "line 3"]),
    ("duplicate promotion", repeat_line("promotions.csv", 2), DuplicateKey, ["line 3", "week_start"]),
    ("infinite price", cell("orders.csv", 13, "revenue", "inf"), WrongType, ["'revenue'", "line 13"]),
    ("share over 1", cell("promotions.csv", 4, "display", "50"), BadValue, ["'display'", "line 4", "0 to 1"]),
    ("empty share", cell("promotions.csv", 3, "display", ""), BadValue, ["line 3", "0 where there was none"]),
    (
        "week not a Monday",
        cell("promotions.csv", 5, "week_start", "2024-01-03"),
        BadValue,
        ["Mondays", "line 5"],
    ),
    ("campaign ends first", cell("campaigns.csv", 2, "end", "2024-01-01"), BadValue, ["'end'", "line 2"]),
    (
        "no orders",
        lambda folder: (folder / "orders.csv").unlink(),
        BadValue,
        ["no table of orders", "products.csv"],
    ),
    ("not a Parquet file", bad_parquet, UnreadableFile, ["customers.parquet"]),
    ("padded ids", numbered_products, UnknownKey, ["'2'", "products"]),
    ("column twice in Parquet", column_twice, UnreadableFile, ["orders.parquet", "revenue"]),
    ("folder as CSV", as_folder("orders.csv"), UnreadableFile, ["orders.csv", "directory"]),
    ("folder as Parquet", as_folder("orders.parquet"), UnreadableFile, ["orders.parquet", "directory"]),
    ("old Mac line ends", old_mac_line_ends, WrongType, ["'free'", "line 9"]),
    ("blank line", blank_line_before_a_fault, WrongType, ["'free'", "line 10"]),
    (
        "open quotation mark",
        edit("orders.csv", "1001", '"1001'),
        UnreadableFile,
        ["line 2", "quotation mark"],
    ),
    ("open to the end", open_to_the_end, UnreadableFile, ["line 25", "quotation"]),
    (
        "semicolons below a header with commas",
        edit("orders.csv", "\n23,1001,2024-01-01 18:07,P002,2,11.0,0.0", "\n23;1;x;P002;2;11,0;0,0"),
        WrongType,
        ["line 2"],
    ),
]

ZONED = "times keep the clock that is written"
# name, the fault, what the report must say of it (nothing where nothing is lost), lines and money that go
READ = [
    ("renamed column", edit("orders.csv", "timestamp", "time"), "this is a guess", 0, 0),
    ("day before month", cell("orders.csv", 7, T, "31/05/2024 09:00"), "begin with the day", 0, 0),
    ("one time zone", cell("orders.csv", 6, T, "2024-01-02T09:00:00+03:00"), ZONED, 0, 0),
    ("zone in hours", cell("orders.csv", 3, T, "2024-01-02T09:00:00+02"), ZONED, 0, 0),
    ("zone after the hour", cell("orders.csv", 3, T, "2024-01-02T09+02:00"), ZONED, 0, 0),
    ("one zone for all", column("orders.csv", T, lambda t: t + "+02"), ZONED, 0, 0),
    ("two zones", column("orders.csv", T, lambda t: t + np.where(t.index % 2, "+01", "+02")), ZONED, 0, 0),
    ("zone in Parquet", zoned_parquet, "times are in UTC", 0, 0),
    ("semicolons", semicolons, "separated by semicolons", 0, 0),
    ("bars", edit("orders.csv", ",", "|", count=-1), "separated by bars", 0, 0),
    ("wrong encoding", latin1, "no UTF-8 and is read as cp1252", 0, 0),
    ("blank first line", edit("orders.csv", "cust", "\ncust"), "above the header skipped", 0, 0),
    ("duplicate product", repeat_line("products.csv", 3), "1 lines repeat a product", 0, 0),
    ("line break in a cell", line_break_before_a_fault, "1 lines repeat a product", 0, 0),
    ("negative price", cell("orders.csv", 11, "revenue", "-3.10"), "amount below 0", 1, 22.4),
    ("negative quantity", cell("orders.csv", 12, "quantity", "-1"), "quantity below 0", 1, 14.0),
    ("empty quantity", cell("orders.csv", 3, "quantity", ""), "without amount", 1, 6.9),
    ("line cut off", cut_off, "without amount", 1, 4.2),
    ("empty date", cell("orders.csv", 14, T, ""), "without date", 1, 6.0),
    ("empty customer", cell("orders.csv", 14, "customer_id", ""), "guests", 0, 0),
    ("unknown product", cell("orders.csv", 10, "product_id", "P999"), "unknown product", 1, 13.8),
    (
        "unknown promoted product",
        cell("promotions.csv", 3, "product_id", "P999"),
        "does not list (P999)",
        0,
        0,
    ),
    ("unknown coupon", cell("redemptions.csv", 2, "coupon_id", "K9"), "does not list (K9)", 0, 0),
    (
        "unknown customer",
        column("orders.csv", "customer_id", lambda ids: ids.replace("23", "99")),
        "90 lines have a customer_id that customers does not list (99)",
        0,
        0,
    ),
    ("two customers, one order", cell("orders.csv", 3, "customer_id", "60"), "order of two customers", 0, 0),
    ("CSV and Parquet", in_parquet_too, "files overlap", 0, 0),
    ("empty discount", cell("orders.csv", 3, "discount", ""), "", 0, 0),
    ("file name in capitals", lambda f: (f / "orders.csv").rename(f / "Orders.CSV"), "", 0, 0),
    ("header in capitals", edit("orders.csv", "revenue", "Revenue"), "", 0, 0),
    ("huge cell", cell("products.csv", 3, "brand", "x" * 140_000), "", 0, 0),
]


@cache
def sample():
    """The sample shop, read once."""
    return open_shop(SAMPLE)


def snapshot(folder):
    return {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("fault", "error", "names"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_a_broken_shop_gets_one_sentence(tmp_path, fault, error, names):
    folder = tmp_path / "shop"
    shutil.copytree(SAMPLE, folder)
    fault(folder)
    before = snapshot(folder)
    with pytest.raises(ShopError) as caught:
        open_shop(folder)
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert "\n" not in message
    assert message.endswith((".", ").")), message
    assert re.search(r"[;:] \w", message), f"no remedy: {message}"
    for name in names:
        assert name in message
    assert snapshot(folder) == before  # nothing was written


@pytest.mark.parametrize(("fault", "says", "lines", "money"), [c[1:] for c in READ], ids=[c[0] for c in READ])
def test_what_can_be_read_is_read_and_its_report_says_what_was_done(tmp_path, fault, says, lines, money):
    folder = tmp_path / "shop"
    shutil.copytree(SAMPLE, folder)
    fault(folder)
    shop, whole = open_shop(folder), sample()
    found = [*shop.report.notes, *shop.report.steps["step"], *shop.report.steps["why"]]
    assert any(says in text for text in found), found
    assert len(shop.orders) == len(whole.orders) - lines
    assert shop.orders["revenue"].sum() == pytest.approx(whole.orders["revenue"].sum() - money)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UnreadableFile, match="nowhere"):
        open_shop(tmp_path / "nowhere")


def test_a_history_too_short_for_the_windows():
    shop = sample()
    few = shop.orders[shop.orders["timestamp"] < "2024-01-15"]
    panel = daily_panel(few["timestamp"], few["product_id"], few["revenue"])
    with pytest.raises(TooShort, match="longer history"):
        past_windows(panel.values, [14], 56)


def test_the_sample_shop_reads_whole():
    shop = open_shop(SAMPLE)
    assert shop.name == "sample_shop"
    assert shop.orders["customer_id"].dtype == "int64"
    assert shop.orders["timestamp"].is_monotonic_increasing
    for table in ("products", "promotions", "customers", "campaigns", "coupons", "redemptions"):
        assert len(getattr(shop, table)), table
    assert shop.customers["household_size"].isna().any()  # an empty cell that may be empty stays empty


def test_parquet_reads_the_same_as_csv(tmp_path):
    shop = sample()
    for table in ("orders", "products"):
        getattr(shop, table).to_parquet(tmp_path / f"{table}.parquet")
    again = open_shop(tmp_path)
    pd.testing.assert_frame_equal(again.orders, shop.orders)
    pd.testing.assert_frame_equal(again.products, shop.products)


def test_only_orders_are_required(tmp_path):
    shutil.copy(SAMPLE / "orders.csv", tmp_path)
    shop = open_shop(tmp_path, name="mine")
    assert shop.name == "mine"
    assert shop.promotions is None
    assert "no column holds a category: all products are one, 'ALL'" in shop.report.notes


def test_what_an_order_line_says_of_its_product_is_kept(tmp_path):
    """One file in the course's layout: its categories were once said not to be there."""
    shop = sample()
    told = ["product_id", "category", "department"]
    lines = shop.orders.merge(shop.products[told], on="product_id")
    lines["product_type"] = "type of " + lines["category"].astype(str)
    lines.to_csv(tmp_path / "orders.csv", index=False)
    again = open_shop(tmp_path / "orders.csv")
    products = again.products.merge(shop.products[told], on="product_id", suffixes=("", " before"))
    assert len(products) == shop.orders["product_id"].nunique()
    for column in told[1:]:
        assert (products[column] == products[f"{column} before"]).all()
    assert (products["product_type"] == "type of " + products["category"].astype(str)).all()
    assert not any("no column holds" in note for note in again.report.notes)


def test_ids_with_leading_zeros_stay_text(tmp_path):
    shutil.copy(SAMPLE / "orders.csv", tmp_path)
    edit("orders.csv", "\n23,", "\n023,", count=-1)(tmp_path)
    assert open_shop(tmp_path).orders["customer_id"].iloc[0] == "023"


def test_one_text_among_the_ids_makes_all_of_them_texts(tmp_path):
    """A gift card nobody bought, or a customer "guest", must not cut the other ids off from the orders."""
    folder = tmp_path / "shop"
    shutil.copytree(SAMPLE, folder)
    for file in ("orders.csv", "products.csv", "promotions.csv", "coupons.csv"):
        column(file, "product_id", lambda ids: ids.str.lstrip("P0"))(folder)
    assert open_shop(folder).orders["product_id"].dtype == "int64"
    cell("products.csv", 26, "product_id", "GIFT-1")(folder)
    cell("customers.csv", 62, "customer_id", "guest")(folder)
    shop = open_shop(folder)
    assert shop.orders["product_id"].isin(shop.products["product_id"]).all()
    assert shop.orders["customer_id"].isin(shop.customers["customer_id"]).all()
    shop.products.to_parquet(folder / "products.parquet")
    (folder / "products.csv").unlink()
    assert open_shop(folder).orders["product_id"].iloc[0] == "2"


def test_a_file_that_may_not_be_opened_is_named(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("ecomlib.own.files.open", refuse, raising=False)
    shutil.copy(SAMPLE / "orders.csv", tmp_path)
    with pytest.raises(UnreadableFile, match=r"^orders.csv: cannot be opened .Permission denied.; "):
        open_shop(tmp_path)


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
    orders = sample().orders.head(3).copy()
    orders[column] = [value] * 3
    with pytest.raises(error, match=f"'{column}'.*row 0"):
        Shop(orders)


def test_ids_are_of_one_kind():
    orders = sample().orders.head(3)
    with pytest.raises(WrongType, match="'order_id' mixes numbers and texts .row 2 has '7'"):
        Shop(orders.assign(order_id=pd.Series([5, 6, "7"], dtype=object)))


def test_ids_are_of_the_same_kind_in_all_tables():
    shop = sample()
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
            open_shop(folder)
        except ShopError as error:
            message = str(error)
        else:
            return
    assert "\n" not in message
    assert column in message or "orders.csv" in message
