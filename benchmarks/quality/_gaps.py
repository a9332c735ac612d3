"""Weeks that nobody saw: how they are hidden, and what the models read of the rest."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras
import numpy as np
import pandas as pd
from keras import ops

from ecomlib import Shop, Split, visits
from ecomlib.panels import steps_since
from ecomlib.visits.baselines import LAGS, RECENT, features
from ecomlib.visits.task import CHANNELS, WEEKDAYS, VisitsTask

BLOCK = 8  # weeks of a block gap
SHARE = 0.5  # of the weeks, or of the trips, that is hidden


@dataclass(frozen=True)
class Gappy:
    """What a shop has where it did not see everything.

    `task` is made of the orders that it saw, but for the targets: they are what really happened. `seen`, bool
    (n, w), says which weeks were recorded.
    """

    task: VisitsTask
    seen: np.ndarray

    @property
    def observed(self) -> np.ndarray:
        """Seen, and not before the first order: bool (n, w)."""
        return self.seen & (self.task.panel.known > 0)


# ------------------------------------------------------------------------------------------------- hide


def seen_weeks(kind: str, whole: VisitsTask, seed: int) -> np.ndarray:
    """Draw the weeks that are seen, bool (n, w): about half, at random or in blocks of `BLOCK` weeks.

    The week of a household's first order is always seen, because the shop knows the household by it.
    """
    n, w = whole.panel.known.shape
    rng = np.random.default_rng([53, seed])
    if kind == "at random":
        seen = rng.random((n, w)) >= SHARE
    else:
        block = (np.arange(w) + rng.integers(BLOCK, size=(n, 1))) // BLOCK
        seen = np.take_along_axis(rng.random((n, w // BLOCK + 2)) >= SHARE, block, axis=1)
    return seen | (whole.panel.known == 1)


def hide_weeks(shop: Shop, whole: VisitsTask, seen: np.ndarray, split: Split) -> Gappy:
    """The task of a shop that saw these weeks only; whatever happened in the others is not in its orders."""
    customer, week = cells(shop, whole)
    inside = (week >= 0) & (week < seen.shape[1])
    keep = ~inside | seen[customer, np.clip(week, 0, seen.shape[1] - 1)]
    return Gappy(task_of(shop, whole, keep, split), seen)


def missed_trips(kind: str, shop: Shop, whole: VisitsTask, seed: int) -> np.ndarray:
    """Order lines that the shop did see, bool (n_lines,): about half of the baskets, and nobody knows which.

    "at random": all baskets alike; "small baskets": a basket is missed the more often, the smaller it is
    among those of its household; "elsewhere": each household has a share of its own, which it buys in
    other shops. A household's first basket is always seen.
    """
    rng = np.random.default_rng([54, seed])
    customer, _ = cells(shop, whole)
    lines = shop.orders.assign(customer=customer)
    baskets = lines.groupby("order_id", sort=True).agg(
        customer=("customer", "first"), revenue=("revenue", "sum"), timestamp=("timestamp", "min")
    )
    share = np.full(len(baskets), SHARE)
    if kind == "small baskets":
        share = 1 - baskets.groupby("customer")["revenue"].rank(pct=True).to_numpy()
    elif kind == "elsewhere":
        share = rng.beta(1.5, 1.5, size=len(whole.x))[baskets["customer"]]
    first = baskets.sort_values("timestamp", kind="stable").duplicated("customer").reindex(baskets.index)
    kept = baskets.index[(rng.random(len(baskets)) >= share) | ~first.to_numpy(bool)]
    return shop.orders["order_id"].isin(kept).to_numpy()


def cells(shop: Shop, whole: VisitsTask) -> tuple[np.ndarray, np.ndarray]:
    """Row and week of every order line in the whole panel, both int (n_lines,)."""
    panel = whole.panel
    week = (shop.orders["timestamp"].to_numpy() - panel.weeks[0].to_datetime64()) // np.timedelta64(7, "D")
    return pd.Index(panel.customers).get_indexer(shop.orders["customer_id"]), week.astype(np.int64)


def task_of(shop: Shop, whole: VisitsTask, keep: np.ndarray, split: Split) -> VisitsTask:
    """The task made of some order lines, with the targets of all; its scales are those of the whole task.

    A network that was trained on whole data is served with the scales it was trained with.
    """
    task = visits.task(shop.with_tables(orders=shop.orders[keep]), split)
    if not np.array_equal(task.panel.first, whole.panel.first):
        raise ValueError("the first order of a household was hidden: its weeks would count from another one")
    x = task.x.copy()
    x[..., 1:4] = np.log1p(task.panel.values) / scales(whole)
    return replace(task, x=x, y=whole.y)


def scales(task: VisitsTask) -> np.ndarray:
    """What spend, baskets and lines were divided by, (3,)."""
    customer, week = np.argwhere(task.panel["baskets"] > 0)[0]
    return np.log1p(task.panel.values[customer, week]) / task.x[customer, week, 1:4]


# ------------------------------------------------------------------------------------------------- fill


def since_previous(seen: np.ndarray) -> np.ndarray:
    """Weeks from the last seen week *before* each week, (n, w); 0 where there was none.

    At a seen week it tells how long the gap was that ended there. Counted to the week itself it would be
    0 at every seen week and tell nothing.
    """
    since = steps_since(seen)[:, :-1]
    return np.pad(np.where(since >= 0, since + 1, 0), ((0, 0), (1, 0)))


def last_seen(x: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The values of the last seen week, at every week, (n, w, channels); 0 before the first."""
    since = steps_since(observed)
    at = np.where(since >= 0, np.arange(x.shape[1]) - since, 0)
    filled = np.take_along_axis(x, at[..., None], axis=1)
    return np.where((since >= 0)[..., None], filled, 0)


def mean_so_far(x: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Each household's mean over the weeks seen so far, (n, w, channels); 0 before the first."""
    seen = observed[..., None]
    return (x * seen).cumsum(axis=1) / np.maximum(seen.cumsum(axis=1), 1)


def inputs(gappy: Gappy, arm: str) -> list[np.ndarray]:
    """What the network of an arm reads; the first array is (n, w, channels), the others stand beside it."""
    x, seen = gappy.task.x, gappy.observed
    known = (gappy.task.panel.known > 0)[..., None]
    mask = seen[..., None].astype(np.float32)
    since = np.log1p(since_previous(seen))[..., None] / 2

    def filled(values: np.ndarray) -> np.ndarray:
        out = np.where((~seen)[..., None] & known, values, x)
        out[..., CHANNELS.index("known")] = known[..., 0]
        return out

    made: dict[str, Callable[[], list[np.ndarray]]] = {
        "zero": lambda: [x],
        "forward fill": lambda: [filled(last_seen(x, seen))],
        "own mean": lambda: [filled(mean_so_far(x, seen))],
        "mask": lambda: [x, mask],
        "mask and time": lambda: [x, mask, since],
        "skip": lambda: [np.concatenate([x, since], axis=-1), mask, since],
        "decay": lambda: [x, mask, since, last_seen(x, seen)],
    }
    return [each.astype(np.float32) for each in made[arm]()]


# ----------------------------------------------------------------------------------------------- models


class InputDecay(keras.layers.Layer):
    """A hidden value drifts from the last seen one to a mean, each channel at a rate that is learnt.

    Source: Che et al. (2018), Scientific Reports 8:6085, equations 10 and 11 (GRU-D); its decay of the
    state is left out.
    """

    def build(self, shapes: list[tuple]) -> None:
        """Make a rate, a bias and a mean for every channel."""
        channels = (shapes[0][-1],)
        self.rate = self.add_weight(shape=channels, initializer="ones", name="rate")
        self.bias = self.add_weight(shape=channels, initializer="zeros", name="bias")
        self.mean = self.add_weight(shape=channels, initializer="zeros", name="mean")

    def call(self, given: list) -> object:
        """From values, mask, time and last values, each (batch, w, ...), to (batch, w, channels + 1)."""
        x, mask, since, last = given
        keep = ops.exp(-ops.relu(self.rate * since + self.bias))
        guess = keep * last + (1 - keep) * self.mean
        return ops.concatenate([mask * x + (1 - mask) * guess, mask], axis=-1)


def network(arm: str, made: list[np.ndarray], units: int, n_classes: int) -> keras.Model:
    """One LSTM layer and a softmax after every week; each arm has its own input before it."""
    given = [keras.Input((None, each.shape[-1])) for each in made]
    lstm = keras.layers.LSTM(units, return_sequences=True)
    if arm == "skip":  # at a skipped week the state is the last seen week's: the head needs the time since
        state = lstm(given[0], mask=ops.squeeze(given[1], -1) > 0.5)
        # An operation, no layer: a layer hands the mask on, and the loss then leaves the skipped weeks out.
        state = ops.concatenate([state, given[1], given[2]], axis=-1)
        state = keras.layers.Dense(units, activation="relu")(state)
    else:
        joined = InputDecay()(given) if arm == "decay" else given[0]
        if arm.startswith("mask"):
            joined = keras.layers.Concatenate()(given)
        state = lstm(joined)
    return keras.Model(given, keras.layers.Dense(n_classes, activation="softmax")(state))


def gap_features(gappy: Gappy) -> np.ndarray:
    """`visits.features` for weeks with gaps: float32 (n, w, k), NaN where a week was not seen.

    Means are taken over the seen weeks only, and columns tell how many there were, how long ago the last
    one was, and how many seen weeks passed without a trip.
    """
    task, seen = gappy.task, gappy.observed
    panel, values = task.panel, features(task)
    columns = dict(zip(values[1], np.moveaxis(values[0], -1, 0), strict=True))
    shopped = panel["baskets"] > 0
    for n in RECENT:
        count = window_sum(seen, n)
        columns[f"seen, {n} weeks"] = count
        for name, each in {"shopped": shopped, **{name: panel[name] for name in panel.channels}}.items():
            mean = np.divide(
                window_sum(each * seen, n), count, out=np.full(count.shape, np.nan), where=count > 0
            )
            columns[f"{name}, {n} weeks"] = mean if name == "shopped" else np.log1p(np.maximum(mean, 0))
    for lag in range(LAGS):
        was_seen = np.pad(seen, ((0, 0), (lag, 0)))[:, : seen.shape[1]]
        for name in ("spend", "baskets"):
            columns[f"{name}, lag {lag}"] = np.where(was_seen, columns[f"{name}, lag {lag}"], np.nan)
    for day in WEEKDAYS:
        columns[day] = np.where(seen, columns[day], np.nan)
    count = seen.cumsum(axis=1)
    trips = shopped.cumsum(axis=1)
    columns["weeks since seen"] = steps_since(seen)
    columns["seen weeks since trip"] = count - np.maximum.accumulate(np.where(shopped, count, 0), axis=1)
    columns["seen weeks per trip"] = count / np.maximum(trips, 1)
    return np.stack(list(columns.values()), axis=-1).astype(np.float32)


def window_sum(values: np.ndarray, n_weeks: int) -> np.ndarray:
    """Sum of the last n_weeks weeks, at every week: (n, w)."""
    total = np.pad(values.astype(float).cumsum(axis=1), ((0, 0), (n_weeks, 0)))
    return total[:, n_weeks:] - total[:, :-n_weeks]
