"""Broken shops: each gets one clear sentence with the place and the mend, and nothing is written."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomlib.datasets import read_shop
from ecomlib.runtime import ROOT
from ecomlib.sequences import daily_panel, past_windows
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
    ("wrong encoding", edit("products.csv", "Assam", "Assam"), None, []),  # replaced below
    ("semicolons", semicolons, UnreadableFile, ["orders.csv", "semicolons"]),
    ("comma in a text", edit("products.csv", "Assam", "Assam, loose"), UnreadableFile, ["line 2", "quotes"]),
    (
        "line cut off",
        lambda f: (f / "orders.csv").write_bytes((f / "orders.csv").read_bytes()[:-9]),
        None,
        [],
    ),
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
    ("not a Parquet file", write("events.parquet", b"PAR1"), None, []),
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


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


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
    assert re.search(r"[;:] \w", message), f"no mend: {message}"
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


@pytest.mark.parametrize("orders", [None, [1, 2], "orders.csv"])
def test_orders_are_a_frame(orders):
    with pytest.raises(WrongType, match="orders: this is a .*; give a pandas DataFrame"):
        Shop(orders)


def test_the_package_imports_nothing_heavy():
    heavy = "{'pandas', 'keras', 'tensorflow', 'pandera', 'matplotlib'}"
    code = f"import sys, ecomlib; bad = {heavy} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=8)


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
