"""Self-checks of 21_sales_prepare."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close

# The sizes the notebook sets: days of the year, validation and test, horizon, series.
N_DAYS, VALID_DAYS, TEST_DAYS, HORIZON, N_SERIES = 365, 28, 56, 7, 12


def _n_windows(window: int) -> int:
    valid_start = N_DAYS - TEST_DAYS - VALID_DAYS
    return len(np.arange(window, valid_start - HORIZON + 1)) * N_SERIES


@checker(
    "21.1",
    wrong=[lambda: _n_windows(56), lambda: _n_windows(84) // N_SERIES, lambda: _n_windows(84) + N_SERIES],
    right=lambda: _n_windows(84),
)
def windows_of_84_days(answer: Any) -> str | None:
    """Count the training windows of 84 days."""
    if close(answer, _n_windows(84)):
        return None
    if close(answer, _n_windows(84) / N_SERIES):
        return "that is the number of cutoffs; each cutoff gives one window per series."
    if close(answer, _n_windows(56)):
        return "the first cutoff closes a window of 84 days, so it comes 28 days later than with 56."
    return (
        "the first cutoff is day 83, the last one's whole horizon ends before the validation period; "
        "count the cutoffs, then multiply by the series."
    )


def _mase(actual, forecast, history, season=7):
    naive = np.abs(history[:, season:] - history[:, :-season]).mean(axis=1)
    return (np.abs(actual - forecast).mean(axis=1) / naive).mean()


def _mase_pooled(actual, forecast, history, season=7):
    return np.abs(actual - forecast).mean() / np.abs(history[:, season:] - history[:, :-season]).mean()


def _mase_yesterday(actual, forecast, history, season=7):
    return _mase(actual, forecast, history, 1)


@checker("21.2", wrong=[lambda: _mase_pooled, lambda: _mase_yesterday], right=lambda: _mase)
def mase(answer: Any) -> str | None:
    """Compare with the definition on random series of very different size."""
    rng = np.random.default_rng(0)
    size = np.array([[1.0], [50.0], [2000.0]])
    actual, forecast = rng.gamma(3, size, (3, 14)), rng.gamma(3, size, (3, 14))
    history = rng.gamma(3, size, (3, 70))
    found = answer(actual, forecast, history)
    if np.ndim(found) != 0:
        return "return one number, the mean over the series."
    if close(found, _mase_pooled(actual, forecast, history)) or close(
        found, np.abs(actual - forecast).mean() / np.abs(history[:, 7:] - history[:, :-7]).mean()
    ):
        return "divide series by series and take the mean last; else the largest series decides alone."
    if close(found, _mase_yesterday(actual, forecast, history)):
        return "the history's error is against the same day last week, seven columns earlier."
    if not close(found, _mase(actual, forecast, history)):
        return (
            "mean |error| of each series over the mean |history[:, 7:] - history[:, :-7]| of the same series."
        )
    if not close(answer(actual, forecast, history, 1), _mase(actual, forecast, history, 1)):
        return "use the argument `season`; the function is right for 7 only."
    return None


def _recent(weeks):
    weight = 0.75 ** np.arange(weeks.shape[1])[::-1]
    return np.einsum("nwd,w->nd", weeks, weight / weight.sum())


@checker(
    "21.3",
    wrong=[
        lambda: lambda weeks: weeks.mean(axis=1),
        lambda: lambda weeks: weeks[:, -1],
        lambda: lambda weeks: weeks,
        lambda: lambda weeks: np.full(weeks[:, 0].shape, np.nan),
    ],
    right=lambda: _recent,
)
def better_baseline(answer: Any) -> str | None:
    """Try it where the level shifts and where it does not, against the plain mean."""
    rng = np.random.default_rng(1)
    pattern = np.array([0.8, 0.7, 0.7, 0.8, 1.1, 1.6, 1.3])
    steady = pattern * rng.normal(1, 0.2, (3000, 9, 7))
    shift = np.where(np.arange(9) >= 5, 1.3, 1.0)[:, None]
    errors = {}
    for name, weeks in (("steady", steady), ("shift", steady * shift)):
        forecast = np.asarray(answer(weeks[:, :8].copy()))
        if forecast.shape != (3000, 7):
            return f"return one week for each row, shape (n, 7), not {forecast.shape}."
        own, plain = (np.abs(weeks[:, 8] - f).mean() for f in (forecast, weeks[:, :8].mean(axis=1)))
        errors[name] = own / plain
    if not np.isfinite(list(errors.values())).all():
        return "the forecast holds nan or inf; return a number for every day."
    if errors["shift"] > 0.97:
        return (
            f"after a shift its error is {errors['shift']:.2f} times the plain mean's; trust late weeks more."
        )
    if errors["steady"] > 1.05:
        return (
            f"without a shift its error is {errors['steady']:.2f} times the plain mean's; average more weeks."
        )
    return None
