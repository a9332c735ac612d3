"""Self-checks of 21_sales_prepare."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, run_on, untrained_hint


def _mase(actual, forecast, history, season=7):
    naive = np.abs(history[:, season:] - history[:, :-season]).mean(axis=1)
    return (np.abs(actual - forecast).mean(axis=1) / naive).mean()


def _mase_pooled(actual, forecast, history, season=7):
    return np.abs(actual - forecast).mean() / np.abs(history[:, season:] - history[:, :-season]).mean()


def _mase_yesterday(actual, forecast, history, season=7):
    return _mase(actual, forecast, history, 1)


@checker("21.1", wrong=[lambda: _mase_pooled, lambda: _mase_yesterday], right=lambda: _mase)
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
    "21.2",
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


DAYS, LAST, WINDOW = 140, 132, 14  # of the invented shop; the cutoff; what the network of the example reads


def promoted_days(seed: int = 0) -> np.ndarray:
    """Invent (10, DAYS, 2): sales in dollars, and the plan of promotions, which double the sales of a day."""
    rng = np.random.default_rng(seed)
    plan = (rng.random((10, DAYS)) < 0.3).astype(float)
    plan[:, LAST + 1] = np.arange(10) % 2  # half of the series are promoted on the day to forecast
    rhythm = np.tile([0.95, 0.9, 0.95, 1.0, 1.05, 1.1, 1.05], DAYS // 7)
    sold = rng.gamma(3, 100, (10, 1)) * rhythm * (1 + plan) * rng.gamma(400, 1 / 400, (10, DAYS))
    return np.stack([sold, plan], axis=-1)


def _with_plan(days, cutoff, known=0, epochs=12, plan=True):
    """Train a small LSTM on sales and on the plan of each next day; `known` more days make it leak."""
    import keras

    at = np.arange(WINDOW - 1, cutoff + known)  # cutoffs whose next day is known
    rows = np.concatenate([at, [cutoff]])[:, None] + np.arange(1 - WINDOW, 1)
    sold, ahead = days[:, rows, 0], days[:, rows + 1, 1] * plan
    scale = sold.mean(axis=-1, keepdims=True)
    x = np.stack([sold / scale, ahead], axis=-1)
    y = days[:, at + 1, 0] / scale[:, :-1, 0]
    model = keras.Sequential([keras.Input((WINDOW, 2)), keras.layers.LSTM(16), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mae")
    if epochs:
        model.fit(x[:, :-1].reshape(-1, WINDOW, 2), y.reshape(-1, 1), batch_size=64, epochs=epochs, verbose=0)
    return model, np.asarray(model(x[:, -1]))[:, 0] * scale[:, -1, 0]


def _weekday_mean(days, cutoff):
    return days[:, cutoff - 55 : cutoff + 1, 0].reshape(-1, 8, 7)[..., 0].mean(axis=1)


@checker(
    "21.3",
    wrong=[
        lambda: lambda days, cutoff: _with_plan(days, cutoff, known=1, epochs=1),
        lambda: lambda days, cutoff: _with_plan(days, cutoff, epochs=0),
        lambda: lambda days, cutoff: _with_plan(days, cutoff, epochs=1, plan=False),
        lambda: lambda days, cutoff: (_with_plan(days, cutoff, epochs=1)[0], _weekday_mean(days, cutoff)),
        lambda: lambda days, cutoff: _with_plan(days, cutoff, epochs=0)[1],
    ],
    right=lambda: _with_plan,
)
def reads_the_plan(answer: Any) -> str | None:
    """Train on an invented shop, change its sales to come, then its plan, and compare with a mean."""
    days = promoted_days()
    future, replanned = days.copy(), days.copy()
    future[:, LAST + 1 :, 0] *= np.random.default_rng(1).uniform(0.2, 3, (len(days), DAYS - LAST - 1))
    replanned[:, LAST + 1, 1] = 1 - days[:, LAST + 1, 1]
    shaped = f"one forecast per series is asked for, shape ({len(days)},), not {{}}: take [:, 0]."
    shops = (days, future, replanned)
    model, given, problem = run_on(shops, answer, LAST, (len(days),), shaped, "forecasts")
    if problem := problem or leak_hint(given, "sales of the days", "forecasts") or untrained_hint(model):
        return problem
    if close(given[0], given[2], 1e-3):
        return (
            "the promotions planned for the day to forecast changed, and your forecasts did not: the plan of "
            "day cutoff + 1 is known ahead, so the network may read it."
        )
    truth = days[:, LAST + 1, 0]
    own, base = (np.abs(made - truth).sum() / truth.sum() for made in (given[0], _weekday_mean(days, LAST)))
    if own < 0.6 * base:
        return None
    return (
        f"WAPE {own:.3f}; the mean of eight same weekdays has {base:.3f}, and 0.6 of that is asked for. At "
        "each step let the network read the day's sales and the next day's plan; train for more epochs."
    )
