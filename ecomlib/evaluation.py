"""Metrics, their intervals, and the one results table in which every use case ends."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ecomlib.runtime import ROOT

COLUMNS = ["model", "metric", "value", "low", "high"]


def bootstrap_weights(n_units: int, n: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each unit is drawn in each of n bootstrap samples; shape (n, n_units).

    Draw whole customers or whole series, never single rows: rows of one customer are alike.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n).astype(np.float32)


def bootstrap_ratio(
    numerator: np.ndarray,
    denominator: np.ndarray,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Estimate sum(numerator) / sum(denominator) with a percentile bootstrap interval over units.

    WAPE, mean log-loss, coverage and recall are all such ratios. For a paired difference of two
    models give the difference of their numerators.

    Parameters
    ----------
    numerator, denominator : array (n_units,)
        One sum a unit (customer or series).

    Returns
    -------
    value, low, high : float

    Notes
    -----
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    Examples
    --------
    >>> value, low, high = bootstrap_ratio(np.array([1.0, 2, 3]), np.array([2.0, 4, 6]))
    >>> value, low, high
    (0.5, 0.5, 0.5)
    """
    numerator = np.asarray(numerator, dtype=float)
    denominator = np.asarray(denominator, dtype=float)
    weights = bootstrap_weights(len(numerator), n, seed)
    draws = (weights @ numerator) / (weights @ denominator)
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(numerator.sum() / denominator.sum()), float(low), float(high)


def results_table(rows: Iterable[tuple[str, str, float, float, float]]) -> pd.DataFrame:
    """Build the results table: columns model, metric, value, low, high."""
    return pd.DataFrame(list(rows), columns=COLUMNS)


def write_results(table: pd.DataFrame, use_case: str) -> Path:
    """Write a notebook's results table to `build/results/<use case>.csv` and return the path."""
    path = ROOT / "build" / "results" / f"{use_case}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table[COLUMNS].to_csv(path, index=False)
    return path


def read_benchmark(use_case: str) -> pd.DataFrame:
    """Read the committed full comparison, `benchmarks/results/<use case>.csv`.

    Returns
    -------
    DataFrame
        Columns model, metric, value, low, high, seeds, and those that tell where the row belongs.

    Raises
    ------
    FileNotFoundError
        With the command that brings the file back.
    """
    path = ROOT / "benchmarks" / "results" / f"{use_case}.csv"
    if not path.exists():
        where = path.relative_to(ROOT).as_posix()
        raise FileNotFoundError(f"{where} is missing; it comes with the course: git checkout {where}")
    return pd.read_csv(path)


def forecast_errors(actual: np.ndarray, forecast: np.ndarray, is_open: np.ndarray | None = None) -> dict:
    """Sum a forecast's errors over the horizon: what all forecasting metrics are made of.

    Parameters
    ----------
    actual : array (n_origins, n_series, horizon)
    forecast : array (n_seeds, n_origins, n_series, horizon, 3)
        Quantiles 10, 50 and 90 %; a leading axis of 1 for a forecaster without seeds.
    is_open : bool array (n_origins, 1, horizon), optional
        Days that count; default all.

    Returns
    -------
    dict of arrays (n_seeds, n_origins, n_series)
        "days", "sales", "absolute", "squared", "signed", "pinball" (twice the mean over the three
        quantiles, so that it is on the scale of the absolute error), "covered" (days inside the 80 % band).
    """
    count = np.ones(actual.shape) if is_open is None else np.broadcast_to(is_open, actual.shape).astype(float)
    low, middle, high = np.moveaxis(forecast.astype(float), -1, 0)
    quantile = np.array([0.1, 0.5, 0.9])
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


def naive_scale(values: np.ndarray, season: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """In-sample error of "same day last week" by series: the unit of MASE and RMSSE.

    Parameters
    ----------
    values : array (n_series, n_days)
        Training days only.

    Returns
    -------
    mean absolute error, root mean squared error : arrays (n_series,)

    Examples
    --------
    >>> mae, rmse = naive_scale(np.array([[1.0, 2, 3, 5]]), season=2)
    >>> mae
    array([2.5])
    """
    error = values[:, season:].astype(float) - values[:, :-season]
    return np.abs(error).mean(axis=1), np.sqrt((error**2).mean(axis=1))


FORECAST_METRICS = {
    "WAPE": ("absolute", "sales"),
    "pinball": ("pinball", "sales"),
    "coverage": ("covered", "days"),
    "bias": ("signed", "sales"),
}


def _draw(units: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Bootstrap weights (1 + n, units); the first row counts each unit once: the value itself."""
    drawn = rng.multinomial(units, np.full(units, 1 / units), size=n)
    return np.concatenate([np.ones((1, units)), drawn])


def _forecast_draws(
    errors: dict, scale: tuple | None, n: int, seed: int, draw_origins: bool = True, stream: int = 0
) -> dict[str, np.ndarray]:
    """Every metric on the data (entry 0) and on n bootstrap samples of series, origins and seeds.

    Series and origins depend on `seed` alone, so that two models meet the same samples and can be compared
    in pairs; the draws of a model's own seeds depend on `stream` too.
    """
    n_seeds, n_origins, n_series = errors["sales"].shape
    rng = np.random.default_rng(seed)
    w_series, w_origin = _draw(n_series, n, rng), _draw(n_origins, n, rng)
    w_seed = _draw(n_seeds, n, np.random.default_rng([seed, stream]))
    if not draw_origins:
        w_origin = np.ones_like(w_origin)

    def total(name: str) -> np.ndarray:
        by_series = np.einsum("bk,kos,bo->bs", w_seed, errors[name], w_origin, optimize=True)
        return (by_series * w_series).sum(axis=1)

    draws = {m: total(top) / total(bottom) for m, (top, bottom) in FORECAST_METRICS.items()}
    if scale is not None:
        mae, rmse = scale
        w_day = np.einsum("kos,bo->bks", errors["days"], w_origin, optimize=True)
        mean = np.einsum("kos,bo->bks", errors["absolute"], w_origin, optimize=True) / np.maximum(w_day, 1)
        square = np.einsum("kos,bo->bks", errors["squared"], w_origin, optimize=True) / np.maximum(w_day, 1)
        weight = w_seed[:, :, None] * w_series[:, None, :]
        weight = weight / weight.sum(axis=(1, 2), keepdims=True)
        draws["MASE"] = (mean / mae * weight).sum(axis=(1, 2))
        draws["RMSSE"] = (np.sqrt(square) / rmse * weight).sum(axis=(1, 2))
    return draws


def score_forecast(
    actual: np.ndarray,
    forecast: np.ndarray,
    scale: tuple[np.ndarray, np.ndarray] | None = None,
    is_open: np.ndarray | None = None,
    n: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float, float]]:
    """Score a forecast: WAPE, pinball, coverage, bias and, with a scale, MASE and RMSSE.

    Parameters
    ----------
    actual : array (n_origins, n_series, horizon)
    forecast : array ([n_seeds,] n_origins, n_series, horizon, 3)
        With seeds the value is the mean of the seeds' metrics, and the interval covers seeds too.
    scale : (mae, rmse), optional
        From `naive_scale` on the training days.
    is_open : bool array (n_origins, 1, horizon), optional
        Days that count.

    Returns
    -------
    dict of metric to (value, low, high)
        95 % percentile bootstrap interval over series, origins and seeds, drawn independently.

    Notes
    -----
    WAPE is sum |error| / sum sales; MASE: Hyndman & Koehler (2006), International Journal of
    Forecasting 22(4); RMSSE: the M5 competition's, here a plain mean over series.

    Examples
    --------
    >>> actual = np.full((1, 2, 7), 10.0)
    >>> forecast = np.stack([actual - 1, actual + 1, actual + 2], axis=-1)
    >>> [round(value, 3) for value in score_forecast(actual, forecast)["WAPE"]]
    [0.1, 0.1, 0.1]
    """
    forecast = forecast if forecast.ndim == 5 else forecast[None]
    draws = _forecast_draws(forecast_errors(actual, forecast, is_open), scale, n, seed)
    return {metric: interval(values) for metric, values in draws.items()}


def compare_forecasts(
    actual: np.ndarray,
    forecast: np.ndarray,
    other: np.ndarray,
    is_open: np.ndarray | None = None,
    metric: str = "WAPE",
    draw_origins: bool = True,
    n: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Ratio of two forecasters' metric with a paired bootstrap interval; below 1 the first is better.

    Both meet the same bootstrap samples of series and origins; each one's seeds are drawn on their own.

    Parameters
    ----------
    actual, forecast, other, is_open
        As in `score_forecast`.
    metric : "WAPE" or "pinball"
    draw_origins : bool
        True: the interval speaks of other weeks too. False: of these weeks, other series and seeds.
    """
    both = [f if f.ndim == 5 else f[None] for f in (forecast, other)]
    first, second = (
        _forecast_draws(forecast_errors(actual, f, is_open), None, n, seed, draw_origins, stream)[metric]
        for stream, f in enumerate(both)
    )
    return interval(first / second)


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Value and interval of a metric, or of a difference or ratio of two, from its draws.

    Parameters
    ----------
    draws : array (n + 1,)
        Entry 0 is the metric on the data, the rest on bootstrap samples.
    """
    tail = (1 - level) / 2
    low, high = np.quantile(draws[1:], [tail, 1 - tail])
    return float(draws[0]), float(low), float(high)


def calibrate_band(actual: np.ndarray, forecast: np.ndarray, is_open: np.ndarray | None = None) -> np.ndarray:
    """Conformal calibration: by how much the band has to be stretched to hold what it promises.

    Each side of the band is stretched on its own, until a tenth of the days in this period lies beyond it.

    Parameters
    ----------
    actual : array (n_origins, n_series, horizon)
        Of the validation period, which the model was not trained on.
    forecast : array (n_origins, n_series, horizon, 3)
    is_open : bool array (n_origins, 1, horizon), optional

    Returns
    -------
    array (2,)
        Factors for the lower and the upper half of the band; above 1 where it was too narrow.

    Notes
    -----
    Split conformal prediction with the score of Romano, Patterson & Candes (2019), Conformalized Quantile
    Regression, arXiv:1905.03222, taken relative to the band's own width.
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
    Harris & Marschak, 1951, Econometrica 19(3)).

    Examples
    --------
    >>> order_cost(np.array([8.0, 12.0]), np.array([10.0, 10.0]), under=0.9, over=0.1)
    array([1.8, 0.2])
    """
    cost = under * np.maximum(demand - order, 0) + over * np.maximum(order - demand, 0)
    return cost if is_open is None else cost * is_open
