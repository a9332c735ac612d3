"""Self-checks of 23_sales_evaluate."""

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


def _order_for(band, share):
    low, middle, high = np.moveaxis(band, -1, 0)
    if share <= 0.5:
        return low + (middle - low) * (share - 0.1) / 0.4
    return middle + (high - middle) * (share - 0.5) / 0.4


def _one_line(band, share):
    return band[..., 0] + (band[..., 2] - band[..., 0]) * (share - 0.1) / 0.8


@checker(
    "23.2",
    wrong=[
        lambda: _one_line,
        lambda: lambda band, share: band[..., 1],
        lambda: lambda band, share: band * share,
    ],
    right=lambda: _order_for,
)
def order_for(answer: Any) -> str | None:
    """Compare with linear interpolation at and between the three quantiles."""
    band = np.sort(np.random.default_rng(0).gamma(3, 10, (4, 5, 7, 3)), axis=-1)
    for share in (0.1, 0.5, 0.9, 0.3, 0.75):
        found = np.asarray(answer(band, share), dtype=float)
        if found.shape != band.shape[:-1]:
            return f"return one order per day, shape {band.shape[:-1]}, not {found.shape}."
        low, middle, high = band[..., 0], band[..., 1], band[..., 2]
        below = low + (middle - low) * (share - 0.1) / 0.4
        expected = below if share <= 0.5 else middle + (high - middle) * (share - 0.5) / 0.4
        if not close(found, expected):
            if share in (0.1, 0.5, 0.9):
                return f"for share {share} the order is the forecast quantile itself."
            return (
                "interpolate from 10 to 50 % below the median, from 50 to 90 % above it: two lines, not one."
            )
    return None


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
