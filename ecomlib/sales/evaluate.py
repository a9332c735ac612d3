"""Scores of a sales forecast: metrics with intervals, paired comparison, calibration of the band, money."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ecomlib.bootstrap import draw_units, interval
from ecomlib.results import advise, score_table
from ecomlib.sales.task import QUANTILES, SalesTask
from ecomlib.shop import BadValue

METRICS = {
    "WAPE": ("absolute", "sales"),
    "pinball": ("pinball", "sales"),
    "coverage": ("covered", "days"),
    "bias": ("signed", "sales"),
}
Scale = tuple[np.ndarray, np.ndarray]


def forecast_errors(
    actual: np.ndarray, forecast: np.ndarray, is_open: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Sum a forecast's errors over the horizon: what all forecasting metrics are made of.

    Arguments as in `score_forecast`, the forecast with its axis of seeds. Returns arrays (n_seeds, n_cutoffs,
    n_series); "pinball" is twice the mean over the three quantiles, so that it is on the scale of the
    absolute error, "covered" counts days inside the 80 % band.
    """
    count = np.ones(actual.shape) if is_open is None else np.broadcast_to(is_open, actual.shape).astype(float)
    low, middle, high = np.moveaxis(forecast.astype(float), -1, 0)
    quantile = np.array(QUANTILES)
    gap = actual[..., None] - forecast
    pinball = 2 * np.maximum(quantile * gap, (quantile - 1) * gap).mean(axis=-1)
    parts = {
        "days": np.broadcast_to(count, middle.shape),
        "sales": np.broadcast_to(actual * count, middle.shape),
        "absolute": np.abs(actual - middle) * count,
        "squared": (actual - middle) ** 2 * count,
        "signed": (middle - actual) * count,
        "pinball": pinball * count,
        "covered": ((actual >= low) & (actual <= high)) * count,
    }
    return {name: part.sum(axis=-1) for name, part in parts.items()}


def naive_scale(values: np.ndarray, season: int = 7) -> Scale:
    """In-sample error of "same day last week" by series, the unit of MASE and RMSSE: (MAE, RMSE).

    `values` (n_series, n_days) are those of the training days only.

    Examples
    --------
    >>> mae, rmse = naive_scale(np.array([[1.0, 2, 3, 5]]), season=2)
    >>> mae
    array([2.5])
    """
    error = values[:, season:].astype(float) - values[:, :-season]
    return np.abs(error).mean(axis=1), np.sqrt((error**2).mean(axis=1))


def _forecast_draws(
    errors: dict[str, np.ndarray],
    scale: Scale | None,
    n: int,
    seed: int,
    draw_cutoffs: bool = True,
    stream: int = 0,
) -> dict[str, np.ndarray]:
    """Every metric on the data (entry 0) and on n bootstrap samples of series, cutoffs and seeds.

    Two models meet the same series and cutoffs; the draws of a model's own seeds depend on `stream` too.
    """
    n_seeds, n_cutoffs, n_series = errors["sales"].shape
    rng = np.random.default_rng(seed)
    w_series, w_cutoff = (draw_units(units, n, rng).astype(float) for units in (n_series, n_cutoffs))
    w_seed = draw_units(n_seeds, n, np.random.default_rng([seed, stream])).astype(float)
    if not draw_cutoffs:
        w_cutoff = np.ones_like(w_cutoff)

    def total(name: str) -> np.ndarray:
        by_series = np.einsum("bk,kos,bo->bs", w_seed, errors[name], w_cutoff, optimize=True)
        return (by_series * w_series).sum(axis=1)

    draws = {m: total(top) / total(bottom) for m, (top, bottom) in METRICS.items()}
    if scale is not None:
        mae, rmse = scale
        can = mae > 0  # a series that repeats its weeks exactly has no scale
        w_day = np.einsum("kos,bo->bks", errors["days"], w_cutoff)
        mean = np.einsum("kos,bo->bks", errors["absolute"], w_cutoff) / np.maximum(w_day, 1)
        square = np.einsum("kos,bo->bks", errors["squared"], w_cutoff) / np.maximum(w_day, 1)
        weight = w_seed[:, :, None] * (w_series * can)[:, None, :]
        weight = weight / np.maximum(weight.sum(axis=(1, 2), keepdims=True), 1)
        draws["MASE"] = (mean / np.where(can, mae, 1) * weight).sum(axis=(1, 2))
        draws["RMSSE"] = (np.sqrt(square) / np.where(can, rmse, 1) * weight).sum(axis=(1, 2))
    return draws


def score_forecast(
    actual: np.ndarray,
    forecast: np.ndarray,
    scale: Scale | None = None,
    is_open: np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float, float]]:
    """Score a forecast: WAPE, pinball, coverage, bias and, with a scale, MASE and RMSSE.

    Parameters
    ----------
    actual : array (n_cutoffs, n_series, horizon)
    forecast : array ([n_seeds,] n_cutoffs, n_series, horizon, 3)
        With seeds the value is the mean of the seeds' metrics, and the interval covers seeds too.
    scale : (mae, rmse), optional
        From `naive_scale` on the training days.
    is_open : bool array (n_cutoffs, 1, horizon), optional
        Days that count.

    Returns
    -------
    dict of metric to (value, low, high)
        95 % percentile bootstrap interval over series, cutoffs and seeds, drawn independently. WAPE is
        total error / total sales; MASE: Hyndman & Koehler (2006), International Journal of
        Forecasting 22(4); RMSSE: the M5 competition's, here a plain mean over series.

    Examples
    --------
    >>> actual = np.full((1, 2, 7), 10.0)
    >>> forecast = np.stack([actual - 1, actual + 1, actual + 2], axis=-1)
    >>> [round(value, 3) for value in score_forecast(actual, forecast)["WAPE"]]
    [0.1, 0.1, 0.1]
    """
    errors = forecast_errors(actual, _with_seeds(forecast), is_open)
    return {metric: interval(values) for metric, values in _forecast_draws(errors, scale, n, seed).items()}


def _with_seeds(forecast: np.ndarray) -> np.ndarray:
    return forecast if forecast.ndim == 5 else forecast[None]


def compare_forecasts(
    actual: np.ndarray,
    forecast: np.ndarray,
    other: np.ndarray,
    is_open: np.ndarray | None = None,
    metric: str = "WAPE",
    draw_cutoffs: bool = True,
    n: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Ratio of two forecasters' metric with a paired bootstrap interval; below 1 the first is better.

    Arguments as in `score_forecast`. With `draw_cutoffs` the interval speaks of other weeks too, without it
    of these weeks, other series and seeds.
    """
    first, second = (
        _forecast_draws(
            forecast_errors(actual, _with_seeds(f), is_open), None, n, seed, draw_cutoffs, stream
        )[metric]
        for stream, f in enumerate((forecast, other))
    )
    return interval(first / second)


def draws(
    task: SalesTask,
    forecast: np.ndarray,
    part: str = "test",
    n: int = 1000,
    seed: int = 0,
    stream: int = 0,
) -> dict[str, np.ndarray]:
    """Score a forecast at a part's cutoffs, on the data (entry 0) and on n bootstrap samples.

    `forecast` holds all cutoffs of the part; two models with seeds of their own get two numbers as `stream`.
    """
    cutoffs = task.cutoffs(part)
    seeds, wanted = _with_seeds(np.asarray(forecast)), (len(cutoffs), task.n_series, task.horizon, 3)
    if seeds.shape[1:] != wanted:
        raise BadValue(f"a forecast of the {part} part has the shape {wanted}, not {np.shape(forecast)}.")
    errors = forecast_errors(task.actual(cutoffs), seeds, task.is_open(cutoffs))
    scale = naive_scale(task.panel.values[:, : cutoffs[0] + 1])
    return _forecast_draws(errors, scale, n, seed, stream=stream)


def evaluate(
    task: SalesTask,
    forecasts: Mapping[str, np.ndarray],
    part: str = "test",
    n: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Score forecasts as `draws` takes them, from simple to complex: model, metric, value, low, high."""
    scores = {
        name: draws(task, forecast, part, n, seed, stream)
        for stream, (name, forecast) in enumerate(forecasts.items())
    }
    return score_table(scores, "WAPE")


def advice(table: pd.DataFrame) -> str:
    """Say in one sentence which model of a table of `evaluate` to use."""
    return advise(table, "WAPE")


def calibrate_band(actual: np.ndarray, forecast: np.ndarray, is_open: np.ndarray | None = None) -> np.ndarray:
    """Conformal calibration: by how much the band has to be stretched to hold what it promises.

    Each side of the band is stretched on its own, until a tenth of the days lies beyond it. The days must be
    of a period that the model was not trained on. Returns factors (2,) for the lower and the upper half of
    the band; above 1 where it was too narrow. Source: split conformal prediction with the score of Romano,
    Patterson & Candes (2019), arXiv:1905.03222, taken relative to the band's own width.
    """
    count = np.ones(actual.shape, bool) if is_open is None else np.broadcast_to(is_open, actual.shape)
    low, middle, high = np.moveaxis(forecast, -1, 0)
    tiny = 1e-6
    below = ((middle - actual) / np.maximum(middle - low, tiny))[count]
    above = ((actual - middle) / np.maximum(high - middle, tiny))[count]
    n = len(below)
    level = min(np.ceil(0.9 * (n + 1)) / n, 1.0)  # the +1 pays for the day still to come
    return np.array([np.quantile(below, level), np.quantile(above, level)])


def stretch_band(forecast: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Stretch the band (..., 3) around its median by the factors of `calibrate_band`; never below 0.

    Examples
    --------
    >>> stretch_band(np.array([4.0, 5.0, 7.0]), np.array([2.0, 1.5]))
    array([3., 5., 8.])
    """
    low, middle, high = np.moveaxis(forecast, -1, 0)
    low = np.maximum(middle - factors[0] * (middle - low), 0)
    return np.stack([low, middle, middle + factors[1] * (high - middle)], axis=-1)


def order_cost(
    order: np.ndarray, demand: np.ndarray, under: float, over: float, is_open: np.ndarray | None = None
) -> np.ndarray:
    """Cost of ordering for a demand: `under` for each unit that is missing, `over` for each left.

    The cheapest order is the quantile under / (under + over) of the demand (the newsvendor rule: Arrow,
    Harris & Marschak, 1951, Econometrica 19(3)): the mean cost is (under + over) times the pinball loss of
    that quantile.

    Examples
    --------
    >>> order_cost(np.array([8.0, 12.0]), np.array([10.0, 10.0]), under=0.9, over=0.1)
    array([1.8, 0.2])
    """
    cost = under * np.maximum(demand - order, 0) + over * np.maximum(order - demand, 0)
    return cost if is_open is None else cost * is_open
