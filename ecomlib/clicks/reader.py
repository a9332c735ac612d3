"""Read click files in four layouts, by path; nothing is ever downloaded.

They are RetailRocket's `events.csv`, `yoochoose-clicks.dat` (without a header), Diginetica's
`train-item-views.csv` (semicolons), and the course's own `events.csv`, with a session_id or a customer_id.
Where a file names visitors and no sessions, visits are cut after 30 idle minutes.
"""

from pathlib import Path

import pandas as pd

from ecomlib.shop.errors import BadValue, MissingColumn, TooShort, UnreadableFile

IDLE = pd.Timedelta(minutes=30)
LAYOUTS = {  # the file's columns and our names; "clock" is in milliseconds since 1970, "later" since the day
    "retailrocket": {"visitorid": "visitor", "timestamp": "clock", "itemid": "item", "event": "event"},
    "yoochoose": {"session": "session", "timestamp": "timestamp", "item": "item"},
    "diginetica": {"sessionId": "session", "eventdate": "timestamp", "timeframe": "later", "itemId": "item"},
    "course": {"timestamp": "timestamp", "product_id": "item"},
}
OPTIONAL = {"course": {"session_id": "session", "customer_id": "visitor", "event": "event"}}
SIGNS = {"visitorid": "retailrocket", "sessionId;": "diginetica", "product_id": "course"}  # in line 1
FORMATS = tuple(LAYOUTS)


def read_clicks(path: str | Path, format: str | None = None) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read a click file; where it names the kind of event, only the kind "view".

    Parameters
    ----------
    path : path
    format : one of FORMATS, optional
        Guessed from the first line when left out.

    Returns
    -------
    clicks : DataFrame
        Columns session, timestamp (naive, as in the file), item; ids are texts, as in the file.
    left_out : dict of str to int
        Why clicks were left out, and how many: without a product, session or visitor (a guest).
    """
    path = Path(path)
    if not path.is_file():
        raise UnreadableFile(f"{path}: there is no such file; give the path of a click file.")
    try:
        format = format or _guess(path)
        table = _table(path, format)
    except UnicodeDecodeError:
        raise UnreadableFile(
            f"{path.name}: this is no UTF-8 text (UTF-16, packed, Excel?); save it as CSV, encoding UTF-8."
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise BadValue(f"{path.name}: this is not a {format} file ({error}); check --format.") from None
    if "event" in table.columns:
        table = table[table["event"] == "view"]
    if table.empty:
        raise TooShort(f"{path.name}: no event of kind view is in the file.")
    who = "session" if "session" in table.columns else "visitor"
    left_out = {}
    for column, name in (("item", "product"), (who, who)):
        empty = table[column].isna()
        if empty.any():
            left_out[f"without a {name}"], table = int(empty.sum()), table[~empty]
    if table.empty:
        raise TooShort(f"{path.name}: every click lacks its product or its {who}; export both columns.")
    clicks = table.assign(timestamp=_moments(table, path))
    clicks = cut_sessions(clicks) if who == "visitor" else clicks[["session", "timestamp", "item"]]
    return clicks.reset_index(drop=True), left_out


def _guess(path: Path) -> str:
    """Tell the layout of a click file by its first line."""
    with open(path, encoding="utf-8-sig") as file:
        first = file.readline().strip()
    found = [format for sign, format in SIGNS.items() if sign in first]
    if not found and not (first.count(",") == 3 and first[:1].isdigit()):
        raise BadValue(f"{path.name}: the first line {first[:60]!r} fits no known layout; give --format.")
    return found[0] if found else "yoochoose"


def _table(path: Path, format: str) -> pd.DataFrame:
    """Read a layout's columns, every cell a text, under our names; the index holds the lines of the file."""
    if format not in LAYOUTS:
        raise BadValue(f"format {format!r} is unknown; use one of {', '.join(FORMATS)}.")
    names = LAYOUTS[format]
    options = {"sep": ";" if format == "diginetica" else ",", "dtype": "str", "encoding": "utf-8-sig"}
    if format == "yoochoose":
        table = pd.read_csv(path, header=None, names=list(names), usecols=range(3), **options)
    else:
        found = pd.read_csv(path, nrows=0, **options).columns
        if missing := [name for name in names if name not in found]:
            raise MissingColumn(
                f"{path.name}: column {missing[0]!r} is missing; found {', '.join(found)}. Check --format."
            )
        names = names | {name: ours for name, ours in OPTIONAL.get(format, {}).items() if name in found}
        table = pd.read_csv(path, usecols=list(names), **options)
    table.index += 1 if format == "yoochoose" else 2
    table = table.rename(columns=names)
    if "session" not in table.columns and "visitor" not in table.columns:
        raise MissingColumn(f"{path.name}: give a column 'session_id', or 'customer_id' to cut visits from.")
    return table


def _moments(table: pd.DataFrame, path: Path) -> pd.Series:
    """The moment of every click, without a time zone."""
    if "clock" in table.columns:
        return pd.to_datetime(_numbers(table["clock"], path), unit="ms")
    # A click file has few distinct dates or many distinct moments; parsing the distinct ones serves both.
    codes, distinct = pd.factorize(table["timestamp"], use_na_sentinel=False)
    moments = pd.to_datetime(pd.Series(distinct), errors="coerce", utc=True, format="ISO8601")
    moments = pd.Series(moments.dt.tz_localize(None).to_numpy()[codes], index=table.index)
    wish = "date and time; write it like 2024-05-01T09:30:00Z"
    moments = _checked(moments, table["timestamp"], path, wish)
    if "later" in table.columns:
        moments += pd.to_timedelta(_numbers(table["later"], path), unit="ms")
    return moments


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    return _checked(numbers, column, path, "number of milliseconds; write a whole number")


def _checked(values: pd.Series, column: pd.Series, path: Path, wish: str) -> pd.Series:
    bad = column[values.isna()]
    if len(bad):
        raise BadValue(f"{path.name}: {bad.iloc[0]!r} in line {bad.index[0]} is no {wish}.")
    return values


def cut_sessions(clicks: pd.DataFrame, idle: pd.Timedelta = IDLE) -> pd.DataFrame:
    """Cut each visitor's clicks into sessions: a new one begins after more than `idle` without a click.

    Columns visitor, timestamp, item in; session (1, 2, ...), timestamp, item out, sorted by visitor and time.
    """
    clicks = clicks.sort_values(["visitor", "timestamp"], kind="stable")
    other = clicks["visitor"].ne(clicks["visitor"].shift())
    late = clicks["timestamp"].diff() > idle
    return clicks.assign(session=(other | late).cumsum())[["session", "timestamp", "item"]]
