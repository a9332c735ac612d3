"""What the LSTM has to beat, behind the shape it has itself: fit(task, part), predict(task, origins).

Each forecaster returns (n_origins, n_series, horizon, 3): the 10, 50 and 90 % quantiles of the sales of each
day in the shop's currency, from what was known before the origin.
"""

import warnings

import numpy as np
import pandas as pd

from ecomlib.sales import QUANTILES, SalesTask, Windows, by_origin, close_days
from ecomlib.shop import BadValue, TooShort

Z90 = 1.2815515655446004  # 90 % quantile of the normal distribution


class WeekdayMean:
    """Mean of the last `weeks` same weekdays; with weeks=1 it is the seasonal naive forecast.

    The quantiles are those of the same days (weeks > 1).

    Parameters
    ----------
    weeks : int
        At most window / 7.

    Raises
    ------
    TooShort
        When it is asked to forecast from a window that holds fewer weeks.
    """

    def __init__(self, weeks: int = 8):
        if weeks < 1:
            raise BadValue(f"weeks={weeks}: a mean needs at least 1.")
        self.weeks = weeks
        self.name = "last week" if weeks == 1 else f"mean of {weeks} weeks"

    def fit(self, task: SalesTask, part: str = "train") -> "WeekdayMean":
        """Nothing to learn."""
        return self

    def predict(self, task: SalesTask, origins) -> np.ndarray:
        """Forecast (n_origins, n_series, horizon, 3), shop's currency."""
        if task.window < 7 * self.weeks:
            raise TooShort(
                f"{self.name}: a window of {task.window} days holds {task.window // 7} weeks; make the task "
                f"with window={7 * self.weeks}, or use WeekdayMean({task.window // 7})."
            )
        windows = task.windows(origins)
        weeks = windows.past.reshape(len(windows), -1, 7)[:, -self.weeks :]
        days = np.arange(task.horizon) % 7
        low, high = np.quantile(weeks, [QUANTILES[0], QUANTILES[2]], axis=1)
        quantiles = np.stack([low, weeks.mean(axis=1), high], axis=-1)[:, days]
        return close_days(by_origin(quantiles * windows.scale[:, :, None], task), task, origins)


class _PerSeries:
    """A classical model for each series on its own, which knows all history before the origin."""

    def fit(self, task: SalesTask, part: str = "train"):
        """Nothing to learn ahead: these models are fitted when they are asked to forecast."""
        return self

    def predict(self, task: SalesTask, origins) -> np.ndarray:
        """Forecast (n_origins, n_series, horizon, 3), shop's currency."""
        import statsmodels.tools.sm_exceptions  # noqa: F401 (its import switches its warnings on)

        out = np.zeros((len(origins), task.n_series, task.horizon, 3), np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # optimisers that stop early say so on every series
            for s in range(task.n_series):
                # statsmodels' intervals need an index, so a Series.
                sales = task.panel.values[s].astype(float)
                # A multiplicative season cannot start from 0, so a day without sales counts as a little.
                sales = np.maximum(sales, max(0.01 * sales[: min(origins)].mean(), 0.01))
                histories = [pd.Series(sales[:origin]) for origin in origins]
                out[:, s] = self._forecast(histories, task.horizon)
        return close_days(np.maximum(out, 0), task, origins)


class ETS(_PerSeries):
    """Exponential smoothing with a weekly season; its form is chosen by AICc.

    Error and season are both additive or both multiplicative, the trend is none or damped. Form and
    parameters are estimated before the first origin and kept; level, trend and season are brought up to
    date at each origin. The band of a multiplicative form is simulated.

    Notes
    -----
    Hyndman et al. (2008), Forecasting with Exponential Smoothing; statsmodels' `ETSModel`.
    """

    name = "ETS"
    forms = (("add", None), ("add", "add"), ("mul", None), ("mul", "add"))

    def _forecast(self, histories: list[pd.Series], horizon: int) -> np.ndarray:
        fits = [self._model(histories[0], *form).fit(disp=False, maxiter=200) for form in self.forms]
        chosen = int(np.nanargmin([fit.aicc for fit in fits]))
        out = []
        for history in histories:
            state = self._model(history, *self.forms[chosen]).smooth(fits[chosen].params)
            ahead = state.get_prediction(
                start=len(history), end=len(history) + horizon - 1, rng=np.random.default_rng(0)
            )
            out.append(ahead.summary_frame(alpha=0.2)[["pi_lower", "mean", "pi_upper"]].to_numpy())
        return np.stack(out)

    @staticmethod
    def _model(history: pd.Series, kind: str, trend: str | None):
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel

        damped = trend is not None
        return ETSModel(
            history, error=kind, trend=trend, damped_trend=damped, seasonal=kind, seasonal_periods=7
        )


class Theta(_PerSeries):
    """The Theta method after removing the weekly season, fitted anew at each origin.

    The season is multiplicative: better than an additive one on the running shop's validation period.

    Notes
    -----
    Assimakopoulos & Nikolopoulos (2000), International Journal of Forecasting 16(4); statsmodels'
    `ThetaModel`.
    """

    name = "Theta"

    def _forecast(self, histories: list[pd.Series], horizon: int) -> np.ndarray:
        from statsmodels.tsa.forecasting.theta import ThetaModel

        out = []
        for history in histories:
            fit = ThetaModel(history, period=7, method="multiplicative", use_test=False).fit()
            band = fit.prediction_intervals(horizon, alpha=0.2)
            out.append(np.column_stack([band["lower"], fit.forecast(horizon), band["upper"]]))
        return np.stack(out)


class LightGBM:
    """Gradient-boosted trees over all series: what the LSTM's decoder reads, plus scaled lags.

    One model a quantile.

    Parameters
    ----------
    seed : int
    correct : bool
        False: forecast scaled sales. True: forecast the correction of the eight-week mean, as the LSTM does.
        On the validation period of the running shop the correction is better for the twelve departments,
        the level for the sixty categories.
    options
        LightGBM's parameters, on top of those chosen on the validation period.

    Notes
    -----
    Ke et al. (2017), LightGBM, NeurIPS; the global form with lags as in the M5 competition.
    """

    name = "LightGBM"

    def __init__(self, seed: int = 0, correct: bool = False, **options):
        self.seed, self.correct = seed, correct
        self.options = {
            "n_estimators": 300,
            "learning_rate": 0.03,
            "min_child_samples": 50,
            "colsample_bytree": 0.7,
            "subsample": 0.8,
            "subsample_freq": 1,
            "n_jobs": 1,  # small tables: a second thread waits more than it works
            **options,
        }

    def fit(self, task: SalesTask, part: str = "train") -> "LightGBM":
        """Train one model a quantile on a part's origins."""
        from lightgbm import LGBMRegressor

        windows = task.windows(task.origins(part))
        table, target = self.table(windows), (windows.target - self._start(windows)).ravel()
        self.models = [
            LGBMRegressor(
                objective="quantile",
                alpha=q,
                num_leaves=31 if q == 0.5 else 15,  # the outer quantiles have less to learn from
                random_state=self.seed,
                deterministic=True,
                verbose=-1,
                **self.options,
            ).fit(table, target, categorical_feature=[table.shape[1] - 1])
            for q in QUANTILES
        ]
        return self

    def predict(self, task: SalesTask, origins) -> np.ndarray:
        """Forecast (n_origins, n_series, horizon, 3), shop's currency."""
        windows = task.windows(origins)
        table = self.table(windows)
        scaled = np.stack([model.predict(table) for model in self.models], axis=-1)
        scaled = scaled.reshape(len(windows), task.horizon, 3) + self._start(windows)[..., None]
        scaled = np.sort(scaled, axis=-1)
        sales = scaled * windows.scale[:, :, None]
        return close_days(by_origin(np.maximum(sales, 0), task), task, origins)

    def _start(self, windows: Windows) -> np.ndarray:
        """What the trees' output is added to, (n, horizon), scaled."""
        return windows.weekday_mean(8) if self.correct else np.zeros_like(windows.target)

    @staticmethod
    def table(windows: Windows) -> np.ndarray:
        """One row a window and day to forecast; (n * horizon, n_columns), the series last.

        Columns: the eight same weekdays, the last seven days, means of 7, 14 and 28 days, what the
        LSTM's decoder reads, the day's number, the series.
        """
        n, horizon = windows.target.shape
        days = np.arange(horizon)
        same_weekday = windows.past.reshape(n, -1, 7)[:, :, days % 7].swapaxes(1, 2)
        recent = [windows.past[:, -7:]] + [
            windows.past[:, -k:].mean(axis=1, keepdims=True) for k in (7, 14, 28)
        ]
        recent = np.repeat(np.concatenate(recent, axis=1)[:, None], horizon, axis=1)
        day = np.broadcast_to(days[None, :, None], (n, horizon, 1))
        series = np.broadcast_to(windows.series[:, None, None], (n, horizon, 1))
        columns = [same_weekday, recent, windows.inputs()["future"], day, series]
        return np.concatenate(columns, axis=-1).reshape(n * horizon, -1).astype(np.float32)
