"""Click files as they come -> a table of clicks: session, timestamp, item. Nothing is ever downloaded.

Where a file names visitors and no sessions, visits are cut after 30 idle minutes.
"""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ecomlib.own.cells import Reader, as_numbers, as_text, as_times
from ecomlib.own.exports import Layouts, Reading, recognise
from ecomlib.own.facts import far_dates
from ecomlib.own.files import Table, read_tables, table_of
from ecomlib.shop.errors import TooShort

IDLE = pd.Timedelta(minutes=30)
VIEWS = {"view", "viewitem", "productview", "productviewed", "detail", "click", "pageview"}
LAYOUTS = Layouts.of("clicks.ini", ("item",), ("timestamp",), ("session", "visitor"))


def open_clicks(
    paths: Any,
    columns: Mapping[str, str] | None = None,
    timezone: str | tuple[str, str] | None = None,
    dayfirst: bool | None = None,
) -> pd.DataFrame:
    """Read a click file, several, or a folder; where they name the kind of event, only views.

    Parameters
    ----------
    paths : path or list of paths
        As in `open_shop`. Known are the course's layout, RetailRocket, YooChoose (no header), Diginetica with
        both headers, SessionId/ItemId/Time, REES46, GA4 (JSON lines or flat), and usual names.
    columns : dict, optional
        Our column (timestamp, item, session, visitor, event) -> your header.
    timezone, dayfirst
        As in `open_shop`.

    Returns
    -------
    DataFrame
        Columns session, timestamp, item; ids are texts, as in the file. `attrs["left_out"]` says why clicks
        were left out, and how many; `attrs["notes"]` what to know.
    """
    reader = Reader(timezone, dayfirst)
    tables = [_flat_ga4(table) for table in read_tables(paths, LAYOUTS.headers)]
    readings = [recognise(_named(table), LAYOUTS, columns) for table in tables]
    whole = pd.concat([_events(r, reader) for r in readings], ignore_index=True)
    if not all(reading.sure for reading in readings):
        taken = ", ".join(f"{ours} <- {name}" for ours, name in readings[0].columns.items())
        print(f"A guess: {taken}. Is it wrong? Say columns={{...}}.", whole.head(3).to_string(), sep="\n")
    table, left_out = whole, {}
    if "event" in table:
        kind = table["event"].str.lower().str.replace(r"[\W_]+", "", regex=True)
        table = table[kind.isin(VIEWS)]
        if table.empty:
            kinds = ", ".join(map(str, whole["event"].unique()[:8]))
            raise TooShort(f"{tables[0].name}: no event of kind view is in the file (found {kinds}).")
    who = "session" if "session" in table else "visitor"
    for column, name in (("item", "product"), (who, who), ("timestamp", "moment")):
        if n := int(table[column].isna().sum()):
            left_out[f"without a {name}"], table = n, table[table[column].notna()]
    if table.empty:
        raise TooShort(f"{tables[0].name}: every click lacks its product or its {who}; export both columns.")
    far = far_dates(table["timestamp"])
    if far.any():
        left_out["dated far from the rest"], table = int(far.sum()), table[~far]
    clicks = cut_sessions(table) if who == "visitor" else table[["session", "timestamp", "item"]]
    clicks = clicks.reset_index(drop=True)
    clicks.attrs |= {"left_out": left_out, "notes": reader.notes}
    return clicks


def _named(table: Table) -> Table:
    """Take a first line that holds a moment for data: YooChoose has no header."""
    dated = any(re.match(r"\d{4}-\d\d-\d\d|\d{10,}$", cell) for cell in table.header)
    return table.first if dated and table.first else table


def _events(reading: Reading, reader: Reader) -> pd.DataFrame:
    """The columns of one table: times as moments, the rest as text."""
    table = reading.table
    raw = table.columns({ours: i for ours, i in reading.at.items() if ours != "category"})
    events = {ours: as_text(column) for ours, column in raw.items() if ours not in ("timestamp", "later")}
    moment = as_times(raw["timestamp"], reader)
    if "later" in raw:
        moment = moment + pd.to_timedelta(as_numbers(raw["later"], ".", reader), unit="ms")
    if reading.format == "ga4" and "session" in events:  # numbered anew for each visitor
        events["session"] = events["visitor"].str.cat(events["session"], sep="/")
    reader.notes += [f"{table.name}: {note}" for note in table.notes]
    return pd.DataFrame({**events, "timestamp": moment.astype("datetime64[us]")})


def _flat_ga4(table: Table) -> Table:
    """Lay out GA4's nested events flat: one row per item."""
    if not {"eventname", "items", "eventtimestamp"} <= set(table.where):
        return table
    frame = table.whole()
    frame = frame[frame["items"].str.len() > 0].explode("items")
    params = frame["event_params"] if "event_params" in frame else pd.Series([[]] * len(frame), frame.index)
    params = [row if isinstance(row, list) else [] for row in params]
    named = [{p.get("key"): p.get("value") or {} for p in row} for row in params]
    value = [row.get("ga_session_id", {}).get("int_value") for row in named]
    frame = frame[["event_timestamp", "event_name", "user_pseudo_id"]].assign(
        item_id=[item.get("item_id") for item in frame["items"]], ga_session_id=value
    )
    return table_of(table.name, frame.reset_index(drop=True))


def cut_sessions(clicks: pd.DataFrame, idle: pd.Timedelta = IDLE) -> pd.DataFrame:
    """Cut each visitor's clicks into sessions: a new one begins after more than `idle` without a click.

    Columns visitor, timestamp, item in; session (1, 2, ...), timestamp, item out, sorted by visitor and time.
    """
    clicks = clicks.sort_values(["visitor", "timestamp"], kind="stable")
    other = clicks["visitor"].ne(clicks["visitor"].shift())
    late = clicks["timestamp"].diff() > idle
    return clicks.assign(session=(other | late).cumsum())[["session", "timestamp", "item"]]
