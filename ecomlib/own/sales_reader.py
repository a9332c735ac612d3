"""Sales without orders: a report of amounts by day or week and series -> a panel for `sales.task`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ecomlib.own.cells import Reader, as_amounts, as_text, as_times
from ecomlib.own.files import Table, plain, read_tables
from ecomlib.panels import Panel
from ecomlib.shop.errors import BadValue, MissingColumn, TooShort


@dataclass(frozen=True)
class SalesPanel(Panel):
    """Daily or weekly series side by side; `days` are the days, or the first days of the weeks.

    `planned` holds "promotion" and "price", as far as they are given: (n_series, n_steps or more). Steps
    after the last sale are known ahead.
    """

    planned: dict[str, np.ndarray] = field(default_factory=dict)


def read_sales(
    path: Any,
    date: str,
    series: str | None,
    amount: str,
    promotion: str | None = None,
    price: str | None = None,
    dayfirst: bool | None = None,
    decimal: str | None = None,
) -> SalesPanel:
    """Read sums of sales, such as a report by store or department, day by day or week by week.

    Parameters
    ----------
    path : path or list of paths
        As in `open_shop`.
    date, series, amount : str
        Headers: the day, or a day of each week, always the same weekday; what the sums are of (None: one
        series); how much was sold.
    promotion, price : str, optional
        Headers of what is planned ahead: a number or yes/no, and the price. Rows after the last amount,
        with an empty amount, say what comes.

    Returns
    -------
    SalesPanel
        Amounts of one series and day add up; a day without a row is 0. Weeks stay weeks, never days.

    Raises
    ------
    MissingColumn, WrongType, BadValue, TooShort
    """
    reader = Reader(dayfirst=dayfirst, decimal=decimal)
    headers = {"date": date, "series": series, "amount": amount, "promotion": promotion, "price": price}
    wanted = {ours: name for ours, name in headers.items() if name}
    tables = read_tables(path, frozenset(map(plain, wanted.values())))
    rows = pd.concat([_rows(table, wanted, reader) for table in tables], ignore_index=True)
    rows["series"] = as_text(rows["series"]).str.strip() if series else "ALL"
    rows = rows.dropna(subset=["date", "series"]).assign(date=lambda r: r["date"].dt.normalize())
    sold = rows.dropna(subset=["amount"])
    if sold.empty:
        raise TooShort(f"{tables[0].name}: no row has a date, a series and an amount; look at the headers.")
    steps = _steps(sold["date"], rows["date"].max(), tables[0].name)
    n = int((sold["date"].max() - steps[0]) // (steps[1] - steps[0])) + 1
    names = sorted(sold["series"].unique())

    def table(values: pd.Series, how: str) -> pd.DataFrame:
        grid = values.groupby([rows["series"], rows["date"]]).agg(how).unstack()
        return grid.reindex(index=names, columns=steps)

    values = table(rows["amount"].fillna(0), "sum").fillna(0).to_numpy(np.float32)[:, :n]
    planned = {}
    if promotion:
        planned["promotion"] = table(rows["promotion"], "max").fillna(0).to_numpy(np.float32)
    if price:
        grid = table(rows["price"], "mean").ffill(axis=1).bfill(axis=1)
        planned["price"] = grid.fillna(0).to_numpy(np.float32)
    return SalesPanel(values, names, steps[:n], planned)


def _rows(table: Table, wanted: dict[str, str], reader: Reader) -> pd.DataFrame:
    """The wanted columns of one file."""
    for ours, name in wanted.items():
        if plain(name) not in table.where:
            found = ", ".join(table.header[:30])
            raise MissingColumn(f"{table.name}: there is no column {name!r} for {ours}= (found: {found}).")
    raw = table.columns({ours: table.where[plain(name)] for ours, name in wanted.items()})
    if "promotion" in raw:
        text = as_text(raw["promotion"]).str.strip().str.casefold()
        raw["promotion"] = text.replace({"yes": "1", "true": "1", "no": "0", "false": "0"})
    rows = pd.DataFrame(as_amounts(raw, ("amount", "price", "promotion"), table.semicolons, reader))
    return rows.assign(series=raw.get("series", "ALL"), date=as_times(raw["date"], reader))


def _steps(sold: pd.Series, last: pd.Timestamp, name: str) -> pd.DatetimeIndex:
    """All days, or all weeks where every two dates lie whole weeks apart; nothing else is accepted."""
    days = pd.DatetimeIndex(sorted(sold.unique()))
    if len(days) < 2:
        raise TooShort(f"{name}: all sales have one date; give a history of days or weeks.")
    gaps = (days[1:] - days[:-1]).days.to_numpy()
    weekly = bool((gaps % 7 == 0).all())
    if np.median(gaps) > (7 if weekly else 2):
        raise BadValue(f"{name}: the dates are {np.median(gaps):.0f} days apart; give sums of days or weeks.")
    return pd.date_range(days[0], last, freq="7D" if weekly else "D")
