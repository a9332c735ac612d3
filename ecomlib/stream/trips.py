"""From a shop to trips in the order of time: what a network reads of each, and who comes back."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ecomlib.shop import BadValue, Shop
from ecomlib.shop.shop import members

DAY = 86_400  # seconds
INPUTS = ("days since trip", "first", "spend", "lines", "weekday sin", "weekday cos", "hour sin", "hour cos")
COUNTER = "trips so far"


class Trip(NamedTuple):
    """What the till sends of one trip; `time` in seconds, `spend` in the shop's currency."""

    customer: int
    order: int
    time: int
    spend: float
    lines: int


def trips(shop: Shop, days: int = 7) -> pd.DataFrame:
    """One row per trip of a known customer, sorted by time, then order.

    Columns: those of `Trip`; week (from the Monday of the first week, 0 first), number (the customer's trips
    so far, this one included), before (time of the trip before, -1 without one) and back: 1 where the
    customer returns within `days`, else 0, and -1 where the data end before that is known.
    """
    lines = members(shop.orders)
    table = lines.groupby(lines["order_id"].rename("order"), as_index=False).agg(
        customer=("customer_id", "first"),
        time=("timestamp", "min"),
        spend=("revenue", "sum"),
        lines=("product_id", "size"),
    )
    monday = table["time"].min().to_period("W").start_time
    table["week"] = (table["time"] - monday) // pd.Timedelta("7D")
    table["time"] = table["time"].astype("datetime64[s]").astype("int64")
    table = table.sort_values(["time", "order"], ignore_index=True)
    each = table.groupby("customer")["time"]
    table["number"] = each.cumcount() + 1
    table["before"] = each.shift(1).fillna(-1).astype("int64")
    gap = each.shift(-1) - table["time"]
    known = gap.le(days * DAY) | table["time"].le(table["time"].max() - days * DAY)
    table["back"] = np.where(known, gap.le(days * DAY), -1)
    return table


def inputs(table: Any, counter: bool = False) -> np.ndarray:
    """What a network reads of each trip: float32 (n, 8), named by INPUTS; (n, 9) with the trip counter.

    `table` has the columns time, before, spend and lines as arrays, and number where `counter` is set. No
    input needs a fit: a household's first trip of the year is read like any other.
    """
    time, before = np.asarray(table["time"]), np.asarray(table["before"])
    first = before < 0
    gap = np.where(first, 0, np.log1p(np.maximum(time - before, 0) / DAY)) / 2
    spend = np.log1p(np.maximum(table["spend"], 0)) / 4
    weekday, hour = 2 * np.pi * time / (7 * DAY), 2 * np.pi * time / DAY
    waves = [np.sin(weekday), np.cos(weekday), np.sin(hour), np.cos(hour)]
    columns = [gap, first, spend, np.log1p(table["lines"]) / 3, *waves]
    columns += [np.log(table["number"])] if counter else []
    return np.stack(columns, axis=-1).astype(np.float32)


def padded(table: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    """Values of the trips (n, ...) by customer: (customers, longest, ...), zeros behind the last trip."""
    row = pd.factorize(table["customer"])[0]
    made = np.zeros((row.max() + 1, int(table["number"].max()), *values.shape[1:]), values.dtype)
    made[row, table["number"] - 1] = values
    return made


def network(width: int, units: int = 32) -> Any:
    """A Keras network that gives a probability after every trip: (batch, trips, width) -> (..., 1)."""
    import keras

    layers = [keras.Input((None, width)), keras.layers.LSTM(units, return_sequences=True)]
    return keras.Sequential([*layers, keras.layers.Dense(1, activation="sigmoid")])


def stability(reference: np.ndarray, now: np.ndarray, bins: int = 10) -> float:
    """Population stability index of one input: 0 for the same shares in the reference's quantile bins.

    Sum over the bins of (q - p) ln(q / p); half a row is added to each bin. Above .25 the input has changed.

    Examples
    --------
    >>> round(stability(np.arange(100.0), np.arange(100.0)), 6)
    0.0
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    counts = [np.bincount(np.digitize(v, edges), minlength=len(edges) + 1) + 0.5 for v in (reference, now)]
    p, q = (c / c.sum() for c in counts)
    return float(((q - p) * np.log(q / p)).sum())


def outside(reference: np.ndarray, now: np.ndarray) -> float:
    """Share of an input's values that lie outside the range of the reference."""
    return float(np.mean((now < reference.min()) | (now > reference.max())))


def read_trip(fields: dict[bytes, bytes]) -> Trip:
    """Read one message of the log; a BadValue names a field that is missing, no number, or cannot be true."""
    values: dict[str, Any] = {}
    for name, kind in Trip.__annotations__.items():
        text = fields.get(name.encode(), b"").decode(errors="replace")
        try:
            values[name] = kind(text)
        except ValueError:
            raise BadValue(f"{name} is {text!r}, which is no number.") from None
    trip = Trip(**values)
    fits = all(0 <= number < 2**63 for number in (trip.customer, trip.order, trip.lines))
    if not (fits and 0 <= trip.time < 2**40 and np.isfinite(trip.spend)):
        raise BadValue(f"spend, lines or time cannot be true: {values}.")
    return trip
