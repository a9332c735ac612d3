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

from ecomlib.shop.checks import check_columns, check_same_kinds, check_table, place, quoted
from ecomlib.shop.errors import (
    ID_COLUMNS,
    TABLES,
    BadValue,
    DuplicateKey,
    UnknownKey,
    UnreadableFile,
    WrongType,
)
from ecomlib.shop.shop import Shop

TIMES = ("timestamp", "week_start", "start", "end", "date")
NUMBERS = ("quantity", "revenue", "discount", "manufacturer_coupon", "display", "mailer")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}

WHOLE_NUMBER = r"0|[1-9]\d{0,17}"  # as it would be printed: "007" stays a text
DATE = r"\s*\d{4}-\d\d-\d\d(?:[T ]\d\d(?::\d\d){0,2}(?:\.\d+)?)?\s*"
ZONE = r"(?:Z|UTC|[+-]\d\d(?::?\d\d)?)\s*"

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
    if len(paths) > 1:
        raise UnreadableFile(
            f"{table}: there is both {paths[0].name} and {paths[1].name}; keep the one that counts."
        )
    path = paths[0]
    if path.name not in names:
        raise UnreadableFile(f"{path.name}: write the file's name in small letters: {path.name.lower()}.")
    if not path.is_file():
        raise UnreadableFile(f"{path.name}: this is a folder; put the file itself in its place.")
    return _read_parquet(path) if path.suffix == ".parquet" else convert(_read_text(path, table), table)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        names = pq.read_schema(path).names
        twice = [name for name in names if names.count(name) > 1]
        frame = pd.DataFrame() if twice else pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0].replace(str(path), path.name)
        raise UnreadableFile(f"{path.name}: not a Parquet file ({reason}); export it again.") from None
    if twice:
        raise DuplicateKey(f"{path.name}: the column {twice[0]!r} is there twice; keep one of them.")
    return frame.reset_index(drop=True)


def _read_text(path: Path, table: str) -> pd.DataFrame:
    """Read a CSV file as text, every cell a string, and index it by line number."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{path.name}: cannot be opened ({error.strerror}); allow reading it.") from None
    if not raw.strip():
        raise UnreadableFile(f"{path.name}: the file is empty; export it again, with its header line.")
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UnreadableFile(
            f"{path.name}: line {line} is not UTF-8 text; save the file with the encoding UTF-8."
        ) from None
    lines = _check_cells(text, path)
    # pandas would skip blank lines on its own: it keeps them here, and the check says which they are.
    try:
        frame = pd.read_csv(
            io.StringIO(text), dtype="str", keep_default_na=False, na_values=[""], skip_blank_lines=False
        )
    except pd.errors.ParserError:
        raise UnreadableFile(
            f"{path.name}: line {([1] + lines)[-1]} has a quotation mark that is never closed; close it."
        ) from None
    frame.index = pd.Index(lines, name="line", dtype="int64")
    frame.columns = [str(column).strip() for column in frame.columns]
    check_columns(frame, table)
    return frame[frame.index > 0]


def _check_cells(text: str, path: Path) -> list[int]:
    """Refuse what pandas would repair without a word: a repeated name, too many or too few cells.

    Returns the line in which each row begins; 0 for a blank line.
    """
    rows = csv.reader(io.StringIO(text))
    lines, begin, width = [], 1, 0
    try:
        for row in rows:
            if begin == 1:
                width = _check_header(row, path)
            else:
                lines.append(begin if row else 0)
            if row and len(row) != width:
                remedy = "put texts that hold a comma in quotes, or complete the line"
                if word := _separator(row, width):
                    remedy = f"it is separated by {word}; save the file with commas and decimal points"
                elif rows.line_num > begin:
                    remedy = f"close its quotation mark, which is open down to line {rows.line_num}"
                cells = f"{len(row)} cell{'s' if len(row) > 1 else ''}"
                raise UnreadableFile(
                    f"{path.name}: line {begin} has {cells} and the header {width}; {remedy}."
                )
            begin = rows.line_num + 1
    except csv.Error:
        raise UnreadableFile(
            f"{path.name}: line {begin} holds a cell of over {csv.field_size_limit():,} characters; "
            f"look for a quotation mark that is never closed."
        ) from None
    return lines


def _check_header(header: list[str], path: Path) -> int:
    """Check the first line and return how many columns it names."""
    if not header:
        raise UnreadableFile(f"{path.name}: line 1 is empty; name the columns in the first line.")
    if len(header) == 1 and (word := _separator(header, 1)):
        raise UnreadableFile(
            f"{path.name}: line 1 is separated by {word}; save the file with commas and decimal points."
        )
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise DuplicateKey(f"{path.name}: line 1 has the column {twice[0]!r} twice; keep one of them.")
    return len(header)


def _separator(row: list[str], width: int) -> str | None:
    """Name the sign that parts this row's cells, where it is another one than the comma."""
    text = ",".join(row)
    return next((word for sign, word in SEPARATORS.items() if text.count(sign) >= max(width - 1, 1)), None)


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
        holders = [frame for frame in tables.values() if column in frame.columns]
        if all(_allows_numbers(frame[column]) for frame in holders):
            for frame in holders:
                if frame.index.name == "line" and frame[column].notna().all():
                    frame[column] = frame[column].astype("int64")


def _allows_numbers(ids: pd.Series) -> bool:
    if ids.index.name == "line":  # from a CSV file
        return ids.dropna().str.fullmatch(WHOLE_NUMBER).all()
    return not (len(ids) and isinstance(ids.iloc[0], str))


def _as_number(cells: pd.Series, table: str) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    bad = (numbers.isna() & cells.notna()).to_numpy()
    if bad.any():
        line, text = cells.index[bad][0], cells[bad].iloc[0]
        remedy = (
            "use a decimal point and no thousands sign" if "," in text else "write a plain number like 12.50"
        )
        raise WrongType(
            f"{table}: column {cells.name!r} has {text!r} in line {line}, not a number; {remedy}."
        )
    return numbers


def _as_time(cells: pd.Series, table: str) -> pd.Series:
    zoned = cells.str.fullmatch(DATE + ZONE, na=False).to_numpy(bool)
    if zoned.any():
        line, text = cells.index[zoned][0], cells[zoned].iloc[0]
        raise WrongType(
            f"{table}: column {cells.name!r} has a time zone in line {line} ({text}); convert all times to "
            f"the shop's local time and write them without zone."
        )
    times = pd.to_datetime(
        cells.where(cells.str.fullmatch(DATE, na=False)), format="ISO8601", errors="coerce"
    )
    bad = (times.isna() & cells.notna()).to_numpy()
    if bad.any():
        line, text = cells.index[bad][0], cells[bad].iloc[0]
        raise WrongType(
            f"{table}: column {cells.name!r} has {text!r} in line {line}, not a date; write dates like "
            f"2024-05-31 or 2024-05-31 17:45."
        )
    return times


def _check_listed(tables: dict[str, pd.DataFrame]) -> None:
    for column, (home, others) in LISTED.items():
        for table in others:
            if home not in tables or table not in tables:
                continue
            frame = tables[table]
            unknown = ~frame[column].isin(tables[home][column]).to_numpy()
            if unknown.any():
                at = int(np.argmax(unknown))
                raise UnknownKey(
                    f"{table}: column {column!r} has {quoted(frame[column].iloc[at])} in {place(frame, at)}, "
                    f"which {home} does not list (such rows: {unknown.sum():,}); add the {home[:-1]}, "
                    f"or read with unknown='keep'."
                )
