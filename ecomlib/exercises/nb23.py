"""Self-checks of 23_sales_evaluate."""

from functools import partial
from typing import Any

import numpy as np

from ecomlib.exercises import checker, close

MISSING, LEFT = 0.30, 0.10


@checker(
    "23.1",
    wrong=[lambda: LEFT / (MISSING + LEFT), lambda: MISSING, lambda: 0.9],
    right=lambda: MISSING / (MISSING + LEFT),
)
def best_quantile(answer: Any) -> str | None:
    """Apply the newsvendor rule."""
    if close(answer, MISSING / (MISSING + LEFT)):
        return None
    if close(answer, LEFT / (MISSING + LEFT)):
        return "that is the share of days on which the shelf runs empty; the order is the other one."
    return "divide the cost of a missing dollar by the sum of both costs."


def two_models() -> tuple[np.ndarray, np.ndarray]:
    """Errors (8 weeks, 30 series) of two models; in some weeks, and for some series, the first is better."""
    rng = np.random.default_rng(5)
    b = rng.gamma(4, 25, 30) * rng.gamma(9, 1 / 9, (8, 1)) * rng.gamma(30, 1 / 30, (8, 30))
    return b * np.exp(rng.normal(-0.03, 0.07, (8, 1)) + rng.normal(0, 0.12, 30)), b


def _drawn(a, b, n=1000, weeks=True, series=True, level=0.95, paired=True, cells=False):
    """The interval of the ratio; each argument but n is a way to get it wrong."""
    rng = np.random.default_rng(0)

    def sums(errors, draw):
        return np.einsum("nw,ws,ns->n", draw[0], errors, draw[1])

    def draw():
        counts = [rng.multinomial(size, np.full(size, 1 / size), n) for size in a.shape]
        return [c if wanted else np.ones_like(c) for c, wanted in zip(counts, (weeks, series), strict=True)]

    one = draw()
    ratio = sums(a, one) / sums(b, one if paired else draw())
    if cells:
        counts = rng.multinomial(a.size, np.full(a.size, 1 / a.size), n)
        ratio = counts @ a.ravel() / (counts @ b.ravel())
    return tuple(np.quantile(ratio, [(1 - level) / 2, (1 + level) / 2]))


@checker(
    "23.2",
    wrong=[
        lambda: partial(_drawn, weeks=False),
        lambda: partial(_drawn, series=False),
        lambda: partial(_drawn, paired=False),
        lambda: partial(_drawn, cells=True),
        lambda: partial(_drawn, level=0.8),
        lambda: lambda a, b: _drawn(b, a),
        lambda: lambda a, b: a.sum() / b.sum(),
    ],
    right=lambda: _drawn,
)
def interval_of_ratio(answer: Any) -> str | None:
    """Compare with the interval of many draws of weeks and series, and with those of other draws."""
    a, b = two_models()
    found = np.asarray(answer(a.copy(), b.copy()), dtype=float)
    if found.shape != (2,) or not found[0] < found[1]:
        return "return two numbers, the low and the high end."

    ways: list[tuple[dict[str, Any], str]] = [
        ({}, "in each draw: rows and columns with replacement, then a's sum over b's sum of what was drawn."),
        ({"paired": False}, "both models must meet the same draws: draw once, use the draw for both."),
        ({"series": False}, "draw both: the weeks and the series."),
        ({"weeks": False}, "draw both: the weeks and the series."),
        (
            {"cells": True},
            "draw whole weeks and whole series; what a week does to all series is chance, too.",
        ),
        ({"level": 0.8}, "95 % of the draws lie between the 2.5 and the 97.5 % quantile."),
    ]
    intervals = np.array([_drawn(a, b, n=10_000, **other) for other, _ in ways])
    off = np.abs(intervals - found).max(axis=1)
    right = off.argmin() == 0 and off[0] < 0.1 * np.ptp(intervals[0])
    return None if right else ways[off.argmin()][1]


def _spread(values):
    return np.std(values, ddof=1) if len(values) > 1 else 0.0


def _choose(scores):
    best = min(scores, key=lambda name: np.mean(scores[name]))
    limit = np.mean(scores[best]) + _spread(scores[best])
    return next(name for name, values in scores.items() if np.mean(values) <= limit)


def _choose_by(spread):
    """The right rule with another measure of spread."""

    def choose(scores):
        best = min(scores, key=lambda name: np.mean(scores[name]))
        limit = np.mean(scores[best]) + spread(scores[best])
        return next((name for name, values in scores.items() if np.mean(values) <= limit), None)

    return choose


@checker(
    "23.3",
    wrong=[
        lambda: _choose_by(np.std),
        lambda: _choose_by(lambda values: 0.003),
        lambda: _choose_by(lambda values: np.std(values, ddof=1) if len(values) > 1 else np.nan),
        lambda: lambda scores: min(scores, key=lambda name: np.mean(scores[name])),
        lambda: lambda scores: min(scores, key=lambda name: np.min(scores[name])),
        lambda: lambda scores: next(iter(scores)),
    ],
    right=lambda: _choose,
)
def choose(answer: Any) -> str | None:
    """One model clearly better, level ones among two and three, a single run, a spread that decides."""
    clear = {"mean": [0.28], "LightGBM": [0.271, 0.272], "LSTM": [0.262, 0.263, 0.261]}
    level = {"mean": [0.263], "LightGBM": [0.270, 0.271], "LSTM": [0.262, 0.266, 0.258]}
    middle = {"mean": [0.280], "LightGBM": [0.2625, 0.2635], "LSTM": [0.262, 0.266, 0.258]}
    if answer(dict(level)) != "mean":
        return "when the simplest model is within one standard deviation of the best, take it."
    if answer(dict(clear)) != "LSTM":
        return "here the LSTM is better by far more than its spread; the simpler models are too far off."
    if answer(dict(middle)) != "LightGBM":
        return "go through the models from the simplest on, and take the first that is close enough."
    # Spread of the LSTM's seeds: 0.0020 with ddof=1, 0.0016 with ddof=0; LightGBM is 0.0018 off.
    close_call = {"mean": [0.280], "LightGBM": [0.2638, 0.2638], "LSTM": [0.260, 0.262, 0.264]}
    if answer(dict(close_call)) != "LightGBM":
        return "the standard deviation over seeds is that of a sample: ddof=1."
    narrow = {"mean": [0.280], "LightGBM": [0.2645, 0.2645], "LSTM": [0.260, 0.262, 0.264]}
    if answer(dict(narrow)) != "LSTM":
        return "the tolerance is the best model's own standard deviation over its seeds, not a fixed number."
    single = {"mean": [0.262], "LightGBM": [0.272, 0.273], "LSTM": [0.263, 0.264, 0.262]}
    single_best = {"mean": [0.280], "LightGBM": [0.2621], "LSTM": [0.262]}
    if answer(dict(single)) != "mean" or answer(dict(single_best)) != "LSTM":
        return "a single run has no spread: its tolerance is 0 (np.std with ddof=1 gives nan)."
    return None
