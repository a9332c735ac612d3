"""Self-checks of lesson 53, partially observed."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.nb10 import log_loss
from ecomlib.exercises.networks import leak_hint, no_lstm_hint, run_on, untrained_hint
from ecomlib.panels import steps_since

SEEN = np.array([[0, 1, 1, 0, 0, 1, 0], [1, 0, 0, 0, 1, 1, 1]], bool)


def _since(seen: np.ndarray) -> np.ndarray:
    since = steps_since(seen)[:, :-1]
    return np.pad(np.where(since >= 0, since + 1, 0), ((0, 0), (1, 0)))


@checker(
    "53.1",
    wrong=[
        lambda: lambda seen: np.maximum(steps_since(seen), 0),
        lambda: lambda seen: np.maximum(_since(seen) - 1, 0),
        lambda: lambda seen: np.where(seen, 0, _since(seen)),
        lambda: lambda seen: _since(seen)[:, ::-1],
    ],
    right=lambda: _since,
)
def weeks_since_previous(answer: Any) -> str | None:
    """Compare with the steps since the last seen week before each week."""
    for seen in (SEEN, np.random.default_rng(5).random((6, 15)) < 0.4):
        given, wanted = np.asarray(answer(seen.copy()), float), _since(seen)
        if given.shape != seen.shape:
            return f"give one number for every household and week, shape {seen.shape}, not {given.shape}."
        if close(given, np.maximum(steps_since(seen), 0)) or not given[seen].any():
            return (
                "at a seen week you count to the week itself, so it is always 0 there and tells nothing: "
                "count from the last seen week *before* it."
            )
        if close(given, np.maximum(wanted - 1, 0)):
            return "one too few: where the week before was seen, one week has passed."
        if not close(given, wanted):
            return "at week t: t minus the last seen week before t; 0 where no week was seen before."
    return None


DAYS, SEASON = 56, 7


def _sold(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two series of eight weeks and which days were seen; a hidden day holds a number that means nothing."""
    rng = np.random.default_rng(seed)
    sales = rng.integers(1, 60, size=(2, DAYS)).astype(float)
    seen = rng.random((2, DAYS)) < 0.5
    seen[0, 3::SEASON] = False  # a weekday that was never seen
    return np.where(seen, sales, -999.0), seen


def _mean(sales: np.ndarray, seen: np.ndarray) -> np.ndarray:
    count = seen.reshape(len(seen), -1, SEASON).sum(axis=1)
    total = np.where(seen, sales, 0).reshape(len(seen), -1, SEASON).sum(axis=1)
    overall = np.where(seen, sales, 0).sum(axis=1, keepdims=True) / seen.sum(axis=1, keepdims=True)
    return np.where(count > 0, total / np.maximum(count, 1), overall)


@checker(
    "53.2",
    wrong=[
        lambda: lambda sales, seen: sales.reshape(len(sales), -1, 7).mean(axis=1),
        lambda: lambda sales, seen: np.where(seen, sales, 0).reshape(len(sales), -1, 7).mean(axis=1),
        lambda: lambda sales, seen: np.where(seen, sales, 0).reshape(len(sales), 7, -1).mean(axis=2),
        lambda: (
            lambda sales, seen: np.nan_to_num(
                np.where(seen, sales, 0).reshape(len(sales), -1, 7).sum(axis=1)
                / np.maximum(seen.reshape(len(seen), -1, 7).sum(axis=1), 1)
            )
        ),
    ],
    right=lambda: _mean,
)
def mean_of_seen_days(answer: Any) -> str | None:
    """Try days that were never seen, and hidden days that hold another number."""
    for seed in (0, 1):
        sales, seen = _sold(seed)
        given = np.asarray(answer(sales.copy(), seen.copy()), float)
        if given.shape != (2, SEASON):
            return f"give one mean for every series and weekday, shape (2, 7), not {given.shape}."
        other = np.asarray(answer(np.where(seen, sales, 5000.0), seen.copy()), float)
        if not np.isfinite(given).all():
            return "a weekday was never seen: give the mean of all seen days of the series there."
        if not close(given, other):
            return "a hidden day held another number, and your mean changed: it reads hidden days."
        counted = seen.reshape(2, -1, SEASON).sum(axis=1) > 0
        if not close(given[counted], _mean(sales, seen)[counted]):
            return "divide by the number of *seen* days of the weekday; days stand week by week, from 0 on."
        if not close(given, _mean(sales, seen)):
            return "a weekday was never seen: give the mean of all seen days of the series there, not 0."
    return None


WINDOW, LAST = 8, 29  # weeks of a window, the last week that is known


def weeks_with_gaps(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Invent 200 households of 34 weeks: two weeks with a trip, two without; NaN in two weeks of five.

    The second array tells what happened in every week.
    """
    rng = np.random.default_rng(seed)
    truth = (np.arange(34) + rng.integers(4, size=(200, 1))) % 4 < 2
    truth = (truth ^ (rng.random(truth.shape) < 0.02)).astype(float)
    return np.where(rng.random(truth.shape) < 0.4, np.nan, truth), truth


def _windows(trips: np.ndarray, ends: np.ndarray, mask: bool = True) -> np.ndarray:
    """The values and whether they were seen, (households * ends, WINDOW, 1 or 2)."""
    cut = np.lib.stride_tricks.sliding_window_view(trips, WINDOW, axis=1)[:, ends - WINDOW + 1]
    cut = cut.reshape(-1, WINDOW, 1)
    parts = [np.nan_to_num(cut), ~np.isnan(cut)] if mask else [np.nan_to_num(cut)]
    return np.concatenate(parts, axis=-1).astype(np.float32)


def _trained(trips, cutoff, known=0, epochs=15, mask=True, zero=False):
    """Train a small network; `known` weeks leak, `zero` takes a hidden target for no trip."""
    import keras

    ends = np.arange(WINDOW - 1, cutoff + known)
    x, y = _windows(trips, ends, mask), trips[:, ends + 1].ravel()
    use = np.ones(len(y), bool) if zero else ~np.isnan(y)
    layers = [keras.Input(x.shape[1:]), keras.layers.LSTM(16), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    if epochs:
        model.fit(x[use], np.nan_to_num(y[use]), batch_size=64, epochs=epochs, verbose=0)
    return model, model.predict(_windows(trips, np.array([cutoff + known]), mask), verbose=0)[:, 0]


@checker(
    "53.3",
    wrong=[
        lambda: lambda trips, cutoff: _trained(trips, cutoff, known=1, epochs=1),
        lambda: lambda trips, cutoff: _trained(trips, cutoff, epochs=0),
        lambda: lambda trips, cutoff: _trained(trips, cutoff, epochs=1),
        lambda: lambda trips, cutoff: _trained(trips, cutoff, mask=False, epochs=1),
        lambda: lambda trips, cutoff: _trained(trips, cutoff, zero=True, epochs=10),
        lambda: lambda trips, cutoff: (_trained(trips, cutoff, epochs=1)[0], np.full(len(trips), np.nan)),
    ],
    right=lambda: _trained,
)
def network_with_mask(answer: Any) -> str | None:
    """Train on invented households with gaps, change their future, compare with the seen share."""
    trips, truth = weeks_with_gaps()
    future = trips.copy()
    future[:, LAST + 1 :] = 1 - truth[:, LAST + 1 :]
    shaped = f"give one probability for each household, shape ({len(trips)},), not {{}}."
    model, given, problem = run_on((trips, future), answer, LAST, (len(trips),), shaped)
    if problem:
        return problem
    if np.isnan(given[0]).any():
        return (
            "a probability is NaN. Put 0 where a week is hidden, add the mask as a second channel, and "
            "leave targets out that were not seen."
        )
    if given[0].min() < 0 or given[0].max() > 1:
        return "a probability lies between 0 and 1: end with a sigmoid."
    if problem := no_lstm_hint(model) or untrained_hint(model) or leak_hint(given):
        return problem
    if sum(each.shape[-1] for each in model.inputs) < 2:
        return "the network reads one channel, so a hidden week looks like one without a trip: add the mask."
    happened = truth[:, LAST + 1]
    if given[0].mean() < 0.8 * happened.mean():
        return (
            f"you expect {given[0].sum():.0f} households, {happened.sum():.0f} came: "
            "a target that was not seen is no week without a trip. Leave those rows out."
        )
    base = log_loss(np.nanmean(trips[:, : LAST + 1], axis=1), happened)
    own = log_loss(given[0], happened)
    if own < 0.6 * base:
        return None
    return (
        f"log-loss {own:.2f}; the seen share of each household has {base:.2f}. Use every week as a cutoff, "
        "more epochs, or a learning rate of about 0.01."
    )
