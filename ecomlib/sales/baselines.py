"""What the LSTM has to beat. Each forecast holds the 10, 50 and 90 % quantiles of every day's sales."""

import warnings
from typing import Any

import numpy as np
import pandas as pd

from ecomlib.sales.task import QUANTILES, SalesTask, Windows
from ecomlib.shop import BadValue, TooShort


class WeekdayMean:
    """Mean of the last `weeks` same weekdays; with weeks=1 it is the seasonal naive forecast.

    The quantiles are those of the same days (weeks > 1).
    """

    def __init__(self, weeks: int = 8):
        if weeks < 1:
            raise BadValue(f"weeks={weeks}: a mean needs at least 1.")
        self.weeks = weeks
        self.name = "seasonal naive" if weeks == 1 else f"mean of {weeks} weeks"

    def fit(self, task: SalesTask, part: str = "train") -> "WeekdayMean":
        """Nothing to learn."""
        return self

    def predict(self, task: SalesTask, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast (n_cutoffs, n_series, horizon, 3), shop's currency."""
        season = task.season
        held = task.lookback // season
        if held < self.weeks:
            raise TooShort(
                f"{self.name}: a window of {task.lookback} days holds {held} weeks; make the task with "
                f"lookback={season * self.weeks}, or use WeekdayMean({held})."
            )
        windows = task.windows(cutoffs)
        weeks = windows.past.reshape(len(windows), -1, season)[:, -self.weeks :]
        days = np.arange(task.horizon) % season
        low, high = np.quantile(weeks, [QUANTILES[0], QUANTILES[2]], axis=1)
        quantiles = np.stack([low, weeks.mean(axis=1), high], axis=-1)[:, days]
        return task.by_cutoff(quantiles * windows.scale[:, :, None], cutoffs)


class _PerSeries:
    """A classical model for each series on its own, which knows all history up to the cutoff."""

    name: str
    season = 7

    def fit(self, task: SalesTask, part: str = "train") -> "_PerSeries":
        """Nothing to learn ahead: these models are fitted when they are asked to forecast."""
        return self

    def predict(self, task: SalesTask, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast (n_cutoffs, n_series, horizon, 3), shop's currency."""
        import statsmodels.tools.sm_exceptions  # noqa: F401 (its import switches its warnings on)

        self.season = task.season
        out = np.zeros((len(cutoffs), task.n_series, task.horizon, 3), np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # optimisers that stop early say so on every series
            for s in range(task.n_series):
                # statsmodels' intervals need an index, so a Series.
                sales = task.panel.values[s].astype(float)
                # A multiplicative season cannot start from 0, so a day without sales counts as a little.
                sales = np.maximum(sales, max(0.01 * sales[: min(cutoffs) + 1].mean(), 0.01))
                histories = [pd.Series(sales[: cutoff + 1]) for cutoff in cutoffs]
                out[:, s] = self._forecast(histories, task.horizon)
        return task.by_cutoff(out.reshape(-1, task.horizon, 3), cutoffs)

    def _forecast(self, histories: list[pd.Series], horizon: int) -> np.ndarray:
        raise NotImplementedError


class ETS(_PerSeries):
    """Exponential smoothing with a weekly season; its form is chosen by AICc.

    Error and season are both additive or both multiplicative, the trend is none or damped. Form and
    parameters are estimated at the first cutoff and kept; level, trend and season are brought up to
    date at each cutoff. The band of a multiplicative form is simulated.
    Source: Hyndman et al. (2008), Forecasting with Exponential Smoothing; statsmodels' `ETSModel`.
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

    def _model(self, history: pd.Series, kind: str, trend: str | None) -> Any:
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel

        week = {"seasonal": kind, "seasonal_periods": self.season} if self.season > 1 else {}
        model = ETSModel(history, error=kind, trend=trend, damped_trend=trend is not None, **week)
        # Only standard errors, which nobody asks for, need the Hessian: it takes 40 % of the time.
        model.hessian = lambda params, **options: -np.eye(len(params))
        return model


class Theta(_PerSeries):
    """The Theta method after removing the weekly season, fitted anew at each cutoff.

    The season is multiplicative: better than an additive one on the running shop's validation period. Source:
    Assimakopoulos & Nikolopoulos (2000), International Journal of Forecasting 16(4); statsmodels'
    `ThetaModel`. The band is our own: statsmodels 0.15 takes the residuals of the sales *with* their season,
    which makes the band of a weekly season up to three times too wide.
    """

    name = "Theta"

    def _forecast(self, histories: list[pd.Series], horizon: int) -> np.ndarray:
        from statsmodels.tsa.forecasting.theta import ThetaModel
        from statsmodels.tsa.seasonal import seasonal_decompose

        out = []
        for history in histories:
            n, season = self.season, np.ones(1)
            if n > 1:
                season = seasonal_decompose(history.to_numpy(), model="multiplicative", period=n).seasonal[:n]
            level = history / season[np.arange(len(history)) % n]
            fit = ThetaModel(level, deseasonalize=False).fit()
            spread = self._spread(level.to_numpy(), fit.params["alpha"], horizon)
            middle = fit.forecast(horizon).to_numpy()
            band = np.column_stack([middle - spread, middle, middle + spread])
            out.append(band * season[np.arange(len(history), len(history) + horizon) % n, None])
        return np.stack(out)

    @staticmethod
    def _spread(level: np.ndarray, alpha: float, horizon: int) -> np.ndarray:
        """Half width of the 80 % band of exponential smoothing; (horizon,)."""
        from scipy.signal import lfilter
        from scipy.stats import norm

        smooth, _ = lfilter([alpha], [1, alpha - 1], level, zi=[(1 - alpha) * level[0]])
        error = np.std(level[1:] - smooth[:-1])
        return norm.ppf(QUANTILES[2]) * error * np.sqrt(1 + np.arange(horizon) * alpha**2)


class Ridge:
    """Linear regression with a penalty on LightGBM's table, in closed form: a second for sixty series.

    It forecasts the correction of the eight-week mean. Each series' quantiles are those of its own errors on
    the days of the fit. `penalty`, the weight of the squared coefficients of the standardised columns, was
    chosen on the running shop's validation period. Source: Hoerl & Kennard (1970), Technometrics 12(1).
    """

    name = "Ridge"

    def __init__(self, penalty: float = 100.0):
        self.penalty = penalty

    def fit(self, task: SalesTask, part: str = "train") -> "Ridge":
        """Solve for the coefficients on a part's cutoffs."""
        from sklearn.linear_model import Ridge as Regression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        windows = task.windows(task.cutoffs(part))
        table, change = self._table(windows), windows.target - windows.weekday_mean(8)
        self.model = make_pipeline(StandardScaler(), Regression(self.penalty)).fit(table, change.ravel())
        errors = change.ravel() - self.model.predict(table)
        errors = errors.reshape(-1, task.n_series, task.horizon)
        self.offsets = np.quantile(errors, QUANTILES, axis=(0, 2)).T  # (n_series, 3)
        return self

    def predict(self, task: SalesTask, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast (n_cutoffs, n_series, horizon, 3), shop's currency."""
        windows = task.windows(cutoffs)
        change = self.model.predict(self._table(windows)).reshape(len(windows), -1)
        scaled = (windows.weekday_mean(8) + change)[..., None] + self.offsets[windows.series][:, None]
        return task.by_cutoff(scaled * windows.scale[:, :, None], cutoffs)

    @staticmethod
    def _table(windows: Windows) -> np.ndarray:
        """LightGBM's columns without the numbers of day and series, which have no order."""
        return LightGBM.table(windows)[:, :-2]


class LightGBM:
    """Gradient boosting over all series, a model per quantile, on what the LSTM's decoder reads and lags.

    With `correct` it forecasts the correction of the eight-week mean, as the LSTM does, else scaled sales: on
    the validation period of the running shop the correction is better for the twelve departments, the level
    for the sixty categories. `options` are LightGBM's parameters (Ke et al., 2017, NeurIPS), on top of those
    chosen on the validation period.
    """

    name = "LightGBM"

    def __init__(self, seed: int = 0, correct: bool = False, **options: Any):
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
        """Train one model per quantile on a part's cutoffs."""
        from lightgbm import LGBMRegressor

        windows = task.windows(task.cutoffs(part))
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

    def predict(self, task: SalesTask, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast (n_cutoffs, n_series, horizon, 3), shop's currency."""
        windows = task.windows(cutoffs)
        table = self.table(windows)
        scaled = np.stack([model.predict(table) for model in self.models], axis=-1)
        scaled = scaled.reshape(len(windows), task.horizon, 3) + self._start(windows)[..., None]
        return task.by_cutoff(np.sort(scaled, axis=-1) * windows.scale[:, :, None], cutoffs)

    def _start(self, windows: Windows) -> np.ndarray:
        """What the output is added to, (n, horizon), scaled."""
        return windows.weekday_mean(8) if self.correct else np.zeros_like(windows.target)

    @staticmethod
    def table(windows: Windows) -> np.ndarray:
        """One row per window and day to forecast; (n * horizon, n_columns), the series last.

        Columns: the eight same weekdays, the last seven days, means of 7, 14 and 28 days, what the
        LSTM's decoder reads, the day's number, the series.
        """
        n, horizon = windows.target.shape
        days = np.arange(horizon)
        season = windows.season
        same_weekday = windows.past.reshape(n, -1, season)[:, :, days % season].swapaxes(1, 2)
        means = [windows.past[:, -k * season :].mean(axis=1, keepdims=True) for k in (1, 2, 4)]
        recent = np.concatenate([windows.past[:, -season:], *means], axis=1)
        recent = np.repeat(recent[:, None], horizon, axis=1)
        day = np.broadcast_to(days[None, :, None], (n, horizon, 1))
        series = np.broadcast_to(windows.series[:, None, None], (n, horizon, 1))
        columns = [same_weekday, recent, windows.inputs()["future"], day, series]
        return np.concatenate(columns, axis=-1).reshape(n * horizon, -1).astype(np.float32)
