"""Checkers of lesson 00, start here."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close


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


@checker(
    "00.3",
    wrong=[
        lambda: {"question": "sales", "step": "day", "ahead": 7, "without a network": "nothing"},
        lambda: {"question": "How many?", "step": "line", "ahead": 1, "without a network": "a mean " * 8},
    ],
    right=lambda: {
        "question": "How many loaves will each store sell tomorrow?",
        "step": "day",
        "ahead": 1,
        "without a network": "take the mean of the last four same weekdays of this store",
    },
)
def own_question(answer: Any) -> str | None:
    """Judge a dictionary: a question, its step, how far ahead, what one would do without a network."""
    keys = {"question", "step", "ahead", "without a network"}
    if not isinstance(answer, dict) or keys - set(answer):
        return "give a dictionary with the keys " + ", ".join(f'"{key}"' for key in sorted(keys)) + "."
    if not str(answer["question"]).strip().endswith("?"):
        return "a question ends with a question mark."
    if answer["step"] not in ("day", "week", "trip"):
        return 'step is one of "day", "week", "trip"; lines of a basket have no order.'
    if isinstance(answer["ahead"], bool) or not isinstance(answer["ahead"], int) or answer["ahead"] < 1:
        return "ahead is a whole number of steps, 1 or more."
    if len(str(answer["without a network"]).split()) < 8:
        return "say in eight words or more what you would do without a network."
    return None
