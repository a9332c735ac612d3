"""Files as they come: packed or not, text, Excel, Parquet or JSON -> tables with a header, read by column."""

import csv
import gzip
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from ecomlib.shop.errors import UnreadableFile

EMPTY = ("", "NULL", "null", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "None", "none", "<NA>", "\\N", "nil")
SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".gz", ".zip", ".xlsx", ".xls", ".parquet", ".json", ".jsonl")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
NO_TABLES = {b"%PDF": "a PDF", b"\x80\x04": "a pickle", b"\x80\x05": "a pickle", b"\x89PNG": "a picture"}
DAMAGED = (OSError, ValueError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)  # or with a password
Columns = Callable[[list[int]], pd.DataFrame]  # column numbers -> their cells


@dataclass(frozen=True)
class Table:
    """A table in a file: its header, and a way to read some of its columns.

    The frame that `read` returns has the column numbers as names; its index holds the lines of the file.
    """

    name: str
    header: list[str]
    read: Columns
    notes: list[str] = field(default_factory=list)
    first: "Table | None" = None  # the same table, its first line taken for data

    def whole(self) -> pd.DataFrame:
        """All cells, under their headers."""
        return self.read([*range(len(self.header))]).set_axis(self.header, axis=1)

    def columns(self, at: Mapping[str, int]) -> dict[str, pd.Series]:
        """Some columns, our name -> cells; each is called as its header."""
        cells = self.read(sorted({*at.values()}))
        return {ours: cells[i].rename(self.header[i]) for ours, i in at.items()}

    @property
    def semicolons(self) -> bool:
        """Whether semicolons part the cells."""
        return any("semicolons" in note for note in self.notes)

    @property
    def where(self) -> dict[str, int]:
        """Position of each header, the first of equal ones, as `plain` writes it."""
        return {plain(name): i for i, name in [*enumerate(self.header)][::-1]}


def plain(name: str) -> str:
    """Write a header so that "Order ID", "order-id" and "order_id" are one."""
    return re.sub(r"[\W_]+", "", str(name).casefold())


def read_tables(paths: Any, known: frozenset[str] = frozenset()) -> list[Table]:
    """Open a file, several, or a folder; an UnreadableFile says which cannot be read.

    Text with commas, semicolons, tabs or bars in UTF-8, UTF-16 or cp1252; Excel, Parquet, JSON lines; each
    also in gzip or zip. A line `sep=;` and lines above the header are skipped; `known` are plain headers that
    help to tell it from them.
    """
    several = isinstance(paths, Sequence) and not isinstance(paths, (str, bytes))
    tables: list[Table] = []
    for path in (Path(p) for p in (paths if several else [paths])):
        if path.is_dir():
            files = [p for p in sorted(path.iterdir()) if p.suffix.lower() in SUFFIXES and p.name[0] != "."]
            if not files:
                raise UnreadableFile(f"{path}: no table is in this folder; put the exported files there.")
        elif path.is_file():
            files = [path]
        else:
            raise UnreadableFile(f"{path}: there is no such file or folder; check the spelling.")
        for file in files:
            for name, opener in _unpacked(file):
                tables += _tables(name, opener, known)
    return tables


def _unpacked(path: Path) -> list[tuple[str, Callable[[], BinaryIO]]]:
    """The files in a file: itself, what gzip packed, or the members of a zip archive."""
    try:
        with open(path, "rb") as file:
            head = file.read(4)
        if head[:2] == b"\x1f\x8b":
            return [(path.name, lambda: gzip.open(path))]  # type: ignore[list-item, return-value]
        if head == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                names = [n for n in archive.namelist() if n[-1] != "/" and not n.startswith("__MACOSX")]
            if "xl/workbook.xml" not in names:
                members = [(f"{path.name}/{n}", zipfile.Path(path, n)) for n in sorted(names)]
                return [(name, partial(member.open, "rb")) for name, member in members]  # type: ignore[misc]
    except (OSError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableFile(f"{path.name}: cannot be opened ({reason}); save or copy it again.") from None
    return [(path.name, lambda: open(path, "rb"))]


def _tables(name: str, opener: Callable[[], BinaryIO], known: frozenset[str]) -> list[Table]:
    """Tell what kind of file it is by its first bytes, and open it."""
    try:
        with opener() as file:
            head = file.read(1 << 17)
        if kind := next((k for sign, k in NO_TABLES.items() if head.startswith(sign)), None):
            raise UnreadableFile(f"{name}: this is {kind}, no table; export it as CSV.")
        if not head.strip():
            raise UnreadableFile(f"{name}: the file is empty; export it again, with its header line.")
        if head[:4] == b"PAR1":
            with opener() as file:
                return [table_of(name, pd.read_parquet(io.BytesIO(file.read())))]
        if head[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
            return _sheets(name, opener, known)
        if (first := head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]) in (b"{", b"["):
            with opener() as file:
                frame = pd.read_json(file, lines=first == b"{", dtype=False, encoding="utf-8-sig")
            return [table_of(name, frame, "line")]
        return [_text(name, opener, head, known)]
    except UnreadableFile:
        raise
    except DAMAGED as error:
        raise _damaged(name, error) from None


def _damaged(name: str, error: BaseException) -> UnreadableFile:
    reason = str(error).splitlines()[0][:100]
    return UnreadableFile(f"{name}: not a whole file of its kind ({reason}); export it again.")


def table_of(name: str, frame: pd.DataFrame, index: str = "row") -> Table:
    """Make a table of a frame, whose cells may have kinds already."""
    if any(frame.index.names):  # pandas keeps a column there
        frame = frame.reset_index()
    frame.index = pd.RangeIndex(1, len(frame) + 1, name=index)
    return Table(name, [*map(str, frame.columns)], lambda at: frame.iloc[:, at].set_axis(at, axis=1))


def _sheets(name: str, opener: Callable[[], BinaryIO], known: frozenset[str]) -> list[Table]:
    """Every sheet of an Excel file that has the header of the first one."""
    try:
        with opener() as file:
            sheets = pd.read_excel(io.BytesIO(file.read()), sheet_name=None, header=None, engine="calamine")
    except ImportError:
        raise UnreadableFile(
            f"{name}: reading Excel needs the package python-calamine; run `python course.py setup`, or "
            f"save the sheet as CSV."
        ) from None
    tables: list[Table] = []
    for sheet, cells in sheets.items():
        if cells.empty:
            continue
        rows = cells.head(60).astype(object).map(str, na_action="ignore").fillna("").to_numpy().tolist()
        at = _header_row(rows, known)
        table = table_of(f"{name}/{sheet}", cells.iloc[at + 1 :].set_axis(rows[at], axis=1))
        if not tables or table.header == tables[0].header:
            tables.append(table)
        else:
            tables[0].notes.append(f"the sheet {sheet!r} has other columns and is left out")
    return tables


def _text(name: str, opener: Callable[[], BinaryIO], head: bytes, known: frozenset[str]) -> Table:
    """A text file: its encoding, its separator and its header are found on the first lines."""
    encoding = "utf-8-sig"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif head[1::2][:200].count(0) > 50:
        encoding = "utf-16-le"
    elif b"\0" in head:
        raise UnreadableFile(f"{name}: this is neither text nor a table of a known kind; export it as CSV.")
    text = head.decode(encoding, errors="replace")
    if len(head) == 1 << 17:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]  # the last line may be cut
    sign = re.match(r'"?sep=(.)"?\r?\n?', text, re.IGNORECASE)
    above = 1 if sign else 0
    text = text[sign.end() :] if sign else text
    separator, rows = _separate(text, known, sign[1] if sign else None)
    if max(map(len, rows), default=0) < 2:
        raise UnreadableFile(
            f"{name}: line {above + 1} holds one cell only ({text[:40]!r}); separate the cells by commas."
        )
    at = _header_row(rows, known)
    header = [cell.strip() for cell in rows[at]]
    notes = [f"{at} line{'s' if at > 1 else ''} above the header skipped"] if at else []
    if separator != ",":
        notes.append(f"the cells are separated by {SEPARATORS.get(separator, repr(separator))}")

    def read(columns: list[int], skip: int = above + at + 1) -> pd.DataFrame:
        return _cells(name, opener, columns, (len(header), skip, separator, encoding), notes)

    names = [f"column {i + 1}" for i in range(len(header))]
    blank = Table(name, names, lambda columns: read(columns, above + at), notes)
    return Table(name, header, read, notes, blank)


class _Headed:
    """A text with another header in front."""

    def __init__(self, header: str, text: io.TextIOWrapper):
        self.header, self.text = header, text

    def read(self, size: int = -1) -> str:
        """Return the header first, then what follows."""
        header, self.header = self.header, ""
        return header or self.text.read(size)

    def __iter__(self) -> Iterator[str]:
        yield from self.text


def _cells(
    name: str, opener: Callable[[], BinaryIO], columns: list[int], shape: tuple, notes: list[str]
) -> pd.DataFrame:
    """Some columns of a text file as text. One column more is read: it sees lines with too many cells."""
    width, skip, separator, encoding = shape
    try:
        with opener() as file, io.TextIOWrapper(file, encoding, newline="") as text:
            for _ in range(skip):
                text.readline()
            names = separator.join(map(str, range(width + 1))) + "\n"
            frame = pd.read_csv(
                _Headed(names, text),
                sep=separator,
                usecols=[*columns, width],
                index_col=False,
                dtype="str",
                keep_default_na=False,
                na_values=list(EMPTY),
                skip_blank_lines=False,
            )
    except UnicodeDecodeError:
        if encoding == "cp1252":
            raise UnreadableFile(f"{name}: not a text in UTF-8 or cp1252; save it as UTF-8.") from None
        notes.append("the text is no UTF-8 and is read as cp1252: look at names with accents")
        return _cells(name, opener, columns, (width, skip, separator, "cp1252"), notes)
    except pd.errors.ParserError as error:
        line = re.search(r"row (\d+)", str(error))
        where = f"{name}: line {int(line[1]) + skip}" if line else f"{name}: a line"
        raise UnreadableFile(f"{where} opens a quotation mark that is never closed; close it.") from None
    except DAMAGED as error:
        raise _damaged(name, error) from None
    frame.columns = frame.columns.astype(int)
    frame.index = pd.RangeIndex(skip + 1, skip + 1 + len(frame), name="line")
    long = frame.pop(width).notna().to_numpy()
    if long.any():
        raise UnreadableFile(
            f"{name}: line {frame.index[long][0]} has more cells than the header's {width} (such lines: "
            f"{long.sum():,}); put texts that hold the separator in quotes."
        )
    return frame.dropna(how="all")[columns]


def _separate(text: str, known: frozenset[str], separator: str | None) -> tuple[str, list[list[str]]]:
    """The separator whose rows are alike, wide, and hold the most known headers; the first 60 rows."""
    best: tuple[tuple, str, list[list[str]]] = ((), ",", [])
    for sign in [separator] if separator else SEPARATORS:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=sign)
        try:
            rows = [row or [""] for row in islice(lines, 60)]
        except csv.Error:
            continue
        width, alike = Counter(len(row) for row in rows).most_common(1)[0] if rows else (0, 0)
        most = max((len(known & {*map(plain, row)}) for row in rows), default=0)
        rank = (most, width > 1, alike / max(len(rows), 1), width)
        if not best[0] or rank > best[0]:
            best = rank, sign, rows
    return best[1], best[2]


def _header_row(rows: list[list[str]], known: frozenset[str]) -> int:
    """The row with the most known headers, else the first that is as wide as most and filled."""
    counts = [len(known & {*map(plain, row)}) for row in rows[:30]]
    if max(counts) >= 2:
        return counts.index(max(counts))
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    filled = (i for i, row in enumerate(rows) if len(row) == width and sum(c != "" for c in row) > width / 2)
    return next(filled, 0)
