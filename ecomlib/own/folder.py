"""Your own shop: a folder of CSV or Parquet files in the course's layout -> `Shop`.

`data/README.md` names every file and column; `data/sample_shop/` is an example.
"""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ecomlib.own.cells import ISO, WHOLE_NUMBER, ZONE
from ecomlib.own.files import SEPARATORS
from ecomlib.shop.checks import check_columns, check_same_kinds, check_table, place, quoted
from ecomlib.shop.errors import ID_COLUMNS, TABLES, BadValue, UnknownKey, UnreadableFile, WrongType
from ecomlib.shop.shop import Shop

TIMES = ("timestamp", "week_start", "start", "end", "date")
NUMBERS = ("quantity", "revenue", "discount", "manufacturer_coupon", "display", "mailer")

# Which table lists the values of a column, and which tables must name no others.
LISTED = {
    "product_id": ("products", ("orders", "promotions", "coupons")),
    "customer_id": ("customers", ("orders", "campaigns", "redemptions")),
    "coupon_id": ("coupons", ("redemptions",)),
}


def read_shop(
    folder: str | Path, name: str | None = None, currency: str = "$", unknown: str = "error"
) -> Shop:
    """Read a shop from a folder with `orders.csv` and, where there are any, the other tables.

    Parameters
    ----------
    folder : path
        Holds orders.csv (or orders.parquet) and up to six more: products, promotions, customers,
        campaigns, coupons, redemptions. CSV files are comma-separated UTF-8, times like
        2024-05-31 17:45 in local time, numbers with a decimal point.
    name : str, optional
        The shop's name; default the folder's.
    currency : str
        For labels.
    unknown : {"error", "keep"}
        What to do with rows whose product, customer or coupon is not in the table that lists them (where
        there is one). Cleaning removes kept lines of unknown products.

    Returns
    -------
    Shop

    Raises
    ------
    ShopError
        The first problem found, in one sentence: file, line, column, and how to fix it. Nothing is written.

    Examples
    --------
    >>> from ecomlib.runtime import ROOT
    >>> shop = read_shop(ROOT / "data" / "sample_shop")
    >>> shop.name, len(shop.products)
    ('sample_shop', 24)
    """
    if unknown not in ("error", "keep"):
        raise BadValue(f"unknown must be 'error' or 'keep', not {unknown!r}; 'keep' leaves such lines in.")
    folder = Path(folder)
    if not folder.is_dir():
        raise UnreadableFile(f"{folder}: there is no such folder; give the one that holds orders.csv.")
    tables = {table: frame for table in TABLES if (frame := _read_table(folder, table)) is not None}
    if "orders" not in tables:
        found = ", ".join(sorted(p.name for p in folder.iterdir())) or "nothing"
        raise UnreadableFile(f"orders.csv is missing in {folder.name}, found {found}; add it or rename one.")
    _convert_ids(tables)
    for table, frame in tables.items():
        check_table(frame, table)
    check_same_kinds(tables)
    if unknown == "error":
        _check_listed(tables)
    tables = {table: frame.reset_index(drop=True) for table, frame in tables.items()}
    return Shop(**tables, name=name or folder.name, currency=currency)


def _read_table(folder: Path, table: str) -> pd.DataFrame | None:
    """Read one table; its index holds the line numbers of the file, for messages. Ids of a CSV stay text."""
    names = (f"{table}.csv", f"{table}.parquet")
    paths = sorted(path for path in folder.iterdir() if path.name.lower() in names)
    if not paths:
        return None
    path = paths[0]
    if len(paths) > 1:
        raise UnreadableFile(f"{table}: there is both {path.name} and {paths[1].name}; keep one of them.")
    if path.name not in names:
        raise UnreadableFile(f"{path.name}: write the file's name in small letters: {path.name.lower()}.")
    if not path.is_file():
        raise UnreadableFile(f"{path.name}: this is a folder; put the file itself in its place.")
    if path.suffix == ".csv":
        return convert(_read_text(path, table), table)
    try:  # not by read_parquet, which cannot read a column that is there twice
        return pq.ParquetFile(path).read().to_pandas().reset_index(drop=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0].replace(str(path), path.name)
        raise UnreadableFile(f"{path.name}: not a Parquet file ({reason}); export it again.") from None


def _read_text(path: Path, table: str) -> pd.DataFrame:
    """Read a CSV file as text, indexed by the line in which each row begins.

    Refused is what pandas would repair without a word: a repeated name, too many or too few cells.
    """
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise UnreadableFile(f"{path.name}: cannot be opened ({error.strerror}); allow reading it.") from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UnreadableFile(f"{path.name}: line {line} is not UTF-8 text; save the file as UTF-8.") from None
    if not text.strip():
        raise UnreadableFile(f"{path.name}: the file is empty; export it again, with its header line.")
    reader = csv.reader(io.StringIO(text), strict=True)
    rows: dict[int, list[str]] = {}
    header: list[str] = []
    begin = 1
    try:
        for row in reader:
            header = header or row
            if row and (len(row) != len(header) or begin == len(row) == 1):
                _check_width(row, len(header), f"{path.name}: line {begin}", reader.line_num > begin)
            if not header:
                raise UnreadableFile(f"{path.name}: line 1 is empty; name the columns in the first line.")
            if row:
                rows[begin] = row
            begin = reader.line_num + 1
    except csv.Error:
        raise UnreadableFile(
            f"{path.name}: line {begin} has a quotation mark that is never closed, or a cell of over "
            f"{csv.field_size_limit():,} characters; close it, or shorten the cell."
        ) from None
    del rows[1]
    frame = pd.DataFrame([*rows.values()], columns=[name.strip() for name in header], dtype="str")
    check_columns(frame, table)
    return frame.mask(frame == "").set_axis(pd.Index(rows, name="line", dtype="int64"))


def _check_width(row: list[str], width: int, where: str, several_lines: bool) -> None:
    """Say why a line has other cells than its header: another separator, or a mark that closes too late."""
    text = ",".join(row)
    other = [SEPARATORS[sign] for sign in ";\t|" if text.count(sign) >= max(width - 1, 1)]
    if len(row) == width and not other:
        return
    remedy = "put texts that hold a comma in quotes, or complete the line"
    if other:
        remedy = f"it is separated by {other[0]}; save the file with commas and decimal points"
    elif several_lines:
        remedy = "close its quotation mark, which is open down to a later line"
    cells = f"{len(row)} cell{'s' if len(row) > 1 else ''}"
    header = f" and the header {width}" if len(row) != width else " only"
    raise UnreadableFile(f"{where} has {cells}{header}; {remedy}.")


def convert(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """Give the contract's columns their kinds; other columns become numbers where all cells are."""
    columns = {}
    for name, cells in frame.items():
        if name in ID_COLUMNS:
            columns[name] = cells  # see _convert_ids
        elif name in TIMES:
            columns[name] = _as_time(cells, table)
        elif name in NUMBERS:
            columns[name] = _as_number(cells, table)
        else:
            numbers = pd.to_numeric(cells, errors="coerce")
            columns[name] = numbers if numbers.notna().equals(cells.notna()) else cells
    return pd.DataFrame(columns, index=frame.index)


def _convert_ids(tables: dict[str, pd.DataFrame]) -> None:
    """Make an id column whole numbers where every table allows it; beside one "GIFT-1" all are texts."""
    for column in ID_COLUMNS:
        holders = [frame for frame in tables.values() if column in frame]
        texts = [frame for frame in holders if frame.index.name == "line"]  # from a CSV file
        whole = all(frame[column].dropna().str.fullmatch(WHOLE_NUMBER).all() for frame in texts)
        named = [v for frame in holders if frame.index.name != "line" for v in frame[column].head(1)]
        if whole and not any(isinstance(value, str) for value in named):
            for frame in texts:
                if frame[column].notna().all():
                    frame[column] = frame[column].astype("int64")


def _refuse(cells: pd.Series, bad: pd.Series, table: str, what: str) -> None:
    if bad.any():
        text, line = cells[bad].iloc[0], cells.index[bad][0]
        raise WrongType(f"{table}: column {cells.name!r} has {text!r} in line {line}, {what}.")


def _as_number(cells: pd.Series, table: str) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    bad = numbers.isna() & cells.notna()
    comma = cells[bad].str.contains(",").head(1).any()
    remedy = "use a decimal point and no thousands sign" if comma else "write a plain number like 12.50"
    _refuse(cells, bad, table, f"not a number; {remedy}")
    return numbers


def _as_time(cells: pd.Series, table: str) -> pd.Series:
    zoned = cells.str.fullmatch(rf"\s*{ISO}{ZONE}\s*", na=False)
    remedy = "with a time zone; convert all times to the shop's local time and write them without zone"
    _refuse(cells, zoned, table, remedy)
    iso = cells.where(cells.str.fullmatch(rf"\s*{ISO}\s*", na=False))
    times = pd.to_datetime(iso, format="ISO8601", errors="coerce")
    remedy = "not a date; write dates like 2024-05-31 or 2024-05-31 17:45"
    _refuse(cells, times.isna() & cells.notna(), table, remedy)
    return times


def _check_listed(tables: dict[str, pd.DataFrame]) -> None:
    for column, (home, others) in LISTED.items():
        for table in (t for t in others if home in tables and t in tables):
            frame = tables[table]
            unknown = ~frame[column].isin(tables[home][column]).to_numpy()
            if unknown.any():
                at = int(np.argmax(unknown))
                raise UnknownKey(
                    f"{table}: column {column!r} has {quoted(frame[column].iloc[at])} in {place(frame, at)}, "
                    f"which {home} does not list (such rows: {unknown.sum():,}); add the {home[:-1]}, "
                    f"or read with unknown='keep'."
                )
