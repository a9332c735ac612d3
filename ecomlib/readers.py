"""Your own shop: a folder of CSV or Parquet files in the course's layout -> `Shop`.

`data/README.md` names every file and column; `data/sample_shop/` is an example.
"""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from ecomlib.shop import (
    ID_COLUMNS,
    TABLES,
    BadValue,
    DuplicateKey,
    Shop,
    UnknownKey,
    UnreadableFile,
    WrongType,
    check_columns,
    check_table,
)

IDS = ("customer_id", "order_id", "product_id", "campaign_id", "coupon_id")
TIMES = ("timestamp", "week_start", "start", "end", "date")
NUMBERS = ("quantity", "revenue", "discount", "manufacturer_coupon", "display", "mailer")


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
        What to do with lines whose product is not in products. Cleaning removes kept ones.

    Returns
    -------
    Shop

    Raises
    ------
    ShopError
        The first problem found, in one sentence: file, line, column, and how to mend it. Nothing is written.

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
    if "products" in tables and unknown == "error":
        _check_products(tables)
    tables = {table: frame.reset_index(drop=True) for table, frame in tables.items()}
    return Shop(**tables, name=name or folder.name, currency=currency)


def _read_table(folder: Path, table: str) -> pd.DataFrame | None:
    """Read and check one table; its index holds the line numbers of the file, for messages."""
    paths = [path for path in (folder / f"{table}.csv", folder / f"{table}.parquet") if path.exists()]
    if not paths:
        return None
    if len(paths) == 2:
        raise UnreadableFile(f"{table}: there is both a CSV and a Parquet file; keep the one that counts.")
    if paths[0].suffix == ".csv":
        frame = _convert(_read_text(paths[0], table), table)
    else:
        frame = _read_parquet(paths[0])
    check_table(frame, table)
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UnreadableFile(f"{path.name}: not a Parquet file ({reason}); export it again.") from None


def _read_text(path: Path, table: str) -> pd.DataFrame:
    """Read a CSV file as text, every cell a string, and index it by line number."""
    raw = path.read_bytes()
    if not raw.strip():
        raise UnreadableFile(f"{path.name}: the file is empty; export it again, with its header line.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UnreadableFile(
            f"{path.name}: line {line} is not UTF-8 text; save the file with the encoding UTF-8."
        ) from None
    header = text.split("\n", 1)[0]
    for delimiter, word in ((";", "semicolons"), ("\t", "tabs")):
        if "," not in header and delimiter in header:
            raise UnreadableFile(
                f"{path.name}: line 1 is separated by {word}; save the file with commas and decimal points."
            )
    _check_cells(text, path)
    frame = pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False, na_values=[""])
    frame.index = pd.RangeIndex(2, len(frame) + 2, name="line")
    frame.columns = [str(column).strip() for column in frame.columns]
    check_columns(frame, table)
    return frame


def _check_cells(text: str, path: Path) -> None:
    """Refuse what pandas would mend without a word: a repeated name, too many or too few cells."""
    rows = csv.reader(io.StringIO(text))
    header = next(rows)
    width = len(header)
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise DuplicateKey(f"{path.name}: line 1 has the column {twice[0]!r} twice; keep one of them.")
    for row in rows:
        if row and len(row) != width:
            raise UnreadableFile(
                f"{path.name}: line {rows.line_num} has {len(row)} cells and the header {width}; "
                f"put texts that hold a comma in quotes, or complete the line."
            )


def _convert(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """Give the contract's columns their kinds; other columns become numbers where all cells are."""
    columns = {}
    for name, cells in frame.items():
        if name in ID_COLUMNS:
            columns[name] = _as_id(cells)
        elif name in TIMES:
            columns[name] = _as_time(cells, table)
        elif name in NUMBERS:
            columns[name] = _as_number(cells, table)
        else:
            numbers = pd.to_numeric(cells, errors="coerce")
            columns[name] = numbers if numbers.notna().equals(cells.notna()) else cells
    return pd.DataFrame(columns, index=frame.index)


def _as_id(cells: pd.Series) -> pd.Series:
    """Whole numbers where every id is one as it would be printed, else text: "007" stays "007"."""
    if len(cells) and cells.notna().all() and cells.str.fullmatch(r"0|[1-9]\d{0,17}").all():
        return cells.astype("int64")
    return cells


def _as_number(cells: pd.Series, table: str) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    bad = (numbers.isna() & cells.notna()).to_numpy()
    if bad.any():
        line, text = cells.index[bad][0], cells[bad].iloc[0]
        mend = (
            "use a decimal point and no thousands sign" if "," in text else "write a plain number like 12.50"
        )
        raise WrongType(f"{table}: column {cells.name!r} has {text!r} in line {line}, not a number; {mend}.")
    return numbers


def _as_time(cells: pd.Series, table: str) -> pd.Series:
    zoned = cells.str.contains(r":\d\d.*(?:Z|UTC|[+-]\d\d:?\d\d)$", na=False).to_numpy()
    if zoned.any():
        line, text = cells.index[zoned][0], cells[zoned].iloc[0]
        raise WrongType(
            f"{table}: column {cells.name!r} has a time zone in line {line} ({text}); convert all times to "
            f"the shop's local time and write them without zone."
        )
    times = pd.to_datetime(cells, format="ISO8601", errors="coerce")
    bad = (times.isna() & cells.notna()).to_numpy()
    if bad.any():
        line, text = cells.index[bad][0], cells[bad].iloc[0]
        raise WrongType(
            f"{table}: column {cells.name!r} has {text!r} in line {line}, not a date; write dates like "
            f"2024-05-31 or 2024-05-31 17:45."
        )
    return times


def _check_products(tables: dict[str, pd.DataFrame]) -> None:
    known = tables["products"]["product_id"]
    for table in ("orders", "promotions", "coupons"):
        if table in tables:
            frame = tables[table]
            unknown = ~frame["product_id"].isin(known).to_numpy()
            if unknown.any():
                at = int(np.argmax(unknown))
                raise UnknownKey(
                    f"{table}: column 'product_id' has {frame['product_id'].iloc[at]!r} in "
                    f"{frame.index.name or 'row'} {frame.index[at]}, which products does not list "
                    f"({unknown.sum()} such lines); add the product, or read with unknown='keep'."
                )
