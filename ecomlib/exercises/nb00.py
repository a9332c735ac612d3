"""Checkers of lesson 00, start here."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, run_on, untrained_hint


@checker(
    "00.1",
    wrong=[lambda: (-8, -15), lambda: (-1, -2), lambda: (7, 14), lambda: -7],
    right=lambda: (-7, -14),
)
def positions(answer: Any) -> str | None:
    """Judge two positions from the end of a window whose last day is the day before the forecast."""
    answer = tuple(answer) if np.iterable(answer) else (answer,)
    if len(answer) != 2:
        return "give two positions, (one week before, two weeks before)."
    if any(position >= 0 for position in answer):
        return "count from the end: -1 is the last day of the window."
    # Day numbers: the forecast is for day 0, the window holds days -56 to -1.
    window = np.arange(-56, 0)
    for weeks, position in enumerate(answer, 1):
        if window[position] != -7 * weeks:
            off = -window[position]
            return f"position {position} lies {off} day(s) before the forecast's; the last is 1 before it."
    return None


def _wape(actual, forecast):
    return np.abs(np.asarray(actual) - np.asarray(forecast)).sum() / np.sum(actual)


def _mape(actual, forecast):
    return np.mean(np.abs(np.asarray(actual) - np.asarray(forecast)) / np.asarray(actual))


def _signed(actual, forecast):
    return (np.asarray(forecast) - np.asarray(actual)).sum() / np.sum(actual)


def _by_forecast(actual, forecast):
    return np.abs(np.asarray(actual) - np.asarray(forecast)).sum() / np.sum(forecast)


def _rowwise(actual, forecast):
    return sum(abs(actual - forecast)) / sum(actual)


@checker(
    "00.2",
    wrong=[
        lambda: _mape,
        lambda: _signed,
        lambda: _by_forecast,
        lambda: _rowwise,
        lambda: lambda actual, forecast: 100 * _wape(actual, forecast),
        lambda: lambda actual, forecast: round(_wape(actual, forecast), 2),
    ],
    right=lambda: _wape,
)
def wape(answer: Any) -> str | None:
    """Judge a function of what was sold and of what was forecast."""
    actual, forecast = np.array([[10.0, 20.0], [40.0, 5.0]]), np.array([[12.0, 15.0], [40.0, 9.0]])
    given = answer(actual, forecast)
    if np.ndim(given):
        return "return one number for the whole array (np.sum, not Python's sum)."
    if close(given, _signed(actual, forecast)) or close(given, abs(_signed(actual, forecast))):
        return "too much on one day must not pay for too little on another: take absolute values first."
    if close(given, _mape(actual, forecast)):
        return "sum first, divide once: dividing day by day lets the smallest day count most."
    if close(given, _by_forecast(actual, forecast)):
        return "divide by what was sold, not by what was forecast."
    if close(given, 100 * _wape(actual, forecast)):
        return "give a share, not a percentage: 0.15, not 15."
    if close(given, _wape(actual, forecast), 0.02) and not close(given, _wape(actual, forecast)):
        return "nearly: do not round the result."
    if not close(given, _wape(actual, forecast)):
        return "sum of |actual - forecast|, divided by the sum of actual."
    with_zero = np.array([0.0, 10.0]), np.array([1.0, 10.0])
    return None if close(answer(*with_zero), _wape(*with_zero)) else "a day without a sale must not break it."


DAYS, LAST, WINDOW = 133, 125, 28  # of the invented shop; the cutoff; what the network of the example reads


def growing_sales() -> np.ndarray:
    """Invent daily sales of 12 departments, in dollars, that grow by one per cent per day; (12, DAYS)."""
    rng = np.random.default_rng(0)
    rhythm = np.tile([0.95, 0.9, 0.95, 1.0, 1.05, 1.15, 1.0], DAYS // 7)
    return rng.gamma(3, 100, (12, 1)) * rhythm * 1.01 ** np.arange(DAYS) * rng.gamma(400, 1 / 400, (12, DAYS))


def _trained(sales, cutoff, known=0, epochs=5, back=True):
    """Train a small LSTM; `known` more days than are allowed make it leak, `back` turns it into dollars."""
    import keras

    rows = np.lib.stride_tricks.sliding_window_view(sales[:, : cutoff + 1 + known], WINDOW + 1, axis=1)
    rows = (rows / rows[..., :WINDOW].mean(axis=-1, keepdims=True)).reshape(-1, WINDOW + 1)
    model = keras.Sequential([keras.Input((WINDOW, 1)), keras.layers.LSTM(8), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mae")
    if epochs:
        model.fit(rows[:, :WINDOW, None], rows[:, WINDOW:], batch_size=64, epochs=epochs, verbose=0)
    last = sales[:, cutoff + 1 - WINDOW : cutoff + 1]
    scale = last.mean(axis=1, keepdims=True)
    forecast = np.asarray(model((last / scale)[..., None]))[:, 0]
    return model, forecast * (scale[:, 0] if back else 1)


def _the_mean(sales, cutoff):
    return sales[:, cutoff - 55 : cutoff + 1].reshape(-1, 8, 7)[..., 0].mean(axis=1)


@checker(
    "00.3",
    wrong=[
        lambda: lambda sales, cutoff: _trained(sales, cutoff, known=1, epochs=1),
        lambda: lambda sales, cutoff: _trained(sales, cutoff, epochs=0),
        lambda: lambda sales, cutoff: _trained(sales, cutoff, back=False, epochs=1),
        lambda: lambda sales, cutoff: (_trained(sales, cutoff, epochs=1)[0], _the_mean(sales, cutoff)),
        lambda: lambda sales, cutoff: _trained(sales, cutoff, epochs=0)[1],
    ],
    right=lambda: _trained,
)
def own_network(answer: Any) -> str | None:
    """Train on an invented shop that grows, change its future, and compare with the mean of eight weeks."""
    sales = growing_sales()
    future = sales.copy()
    future[:, LAST + 1 :] *= np.random.default_rng(1).uniform(0.2, 3, (len(sales), DAYS - LAST - 1))
    shaped = f"one forecast per department is asked for, shape ({len(sales)},), not {{}}: take [:, 0]."
    model, given, problem = run_on((sales, future), answer, LAST, (len(sales),), shaped, "forecasts")
    if problem := problem or leak_hint(given, "days", "forecasts") or untrained_hint(model):
        return problem
    truth = sales[:, LAST + 1]
    own, base = (float(_wape(truth, made)) for made in (given[0], _the_mean(sales, LAST)))
    if own < 0.6 * base:
        return None
    if given[0].max() < 0.1 * truth.min():
        return "these are not dollars: multiply each forecast by the mean that its window was divided by."
    return (
        f"WAPE {own:.3f}; the mean of eight same weekdays has {base:.3f}, and 0.6 of that is asked for. "
        "Divide each window, and its target, by its own mean; train for some epochs at a rate like 0.01."
    )
