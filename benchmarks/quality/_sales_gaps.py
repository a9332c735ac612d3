"""Daily sales of which half of the days are missing: windows, networks and rivals of `partially_observed`."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from benchmarks.quality._search import in_words
from benchmarks.run import Log, kept, row
from ecomlib import Shop, Split, sales
from ecomlib.bootstrap import interval, mean_of_fits
from ecomlib.panels import Panel
from ecomlib.sales import SalesTask, Windows, sales_network
from ecomlib.sales.baselines import LightGBM
from ecomlib.sales.task import QUANTILES
from ecomlib.shop.complete_journey import CLOSED, HOLIDAYS
from ecomlib.windows import future_windows, past_windows

BLOCK = 14  # days of a block gap
FLOOR = 0.5  # of a window's mean, as in `SalesTask.windows`
SEEDS = 3
BATCH = 128
SETTINGS = [{"learning_rate": rate, "epochs": n} for rate, n in ((5e-3, 12), (1e-2, 16))]
TREES = [{"correct": correct, "trees": trees} for correct in (False, True) for trees in (150, 300)]
FILTERS = [
    {"log": log, "planned": planned, "season": season}
    for log in (False, True)
    for planned in (False, True)
    for season in (False, True)
]
REFERENCES = ("mean of seen days", "Kalman filter", "LightGBM", "LSTM", "LSTM, mask")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def seen_days(kind: str, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Draw the days that are seen, bool (n_series, n_days): half, at random or in blocks of `BLOCK` days.

    Of every two blocks in a row one is hidden, so that no gap is longer than two blocks.
    """
    n, days = shape
    rng = np.random.default_rng([55, seed])
    if kind == "at random":
        return rng.random(shape) >= 0.5
    block = (np.arange(days) + rng.integers(2 * BLOCK, size=(n, 1))) // BLOCK
    first = rng.integers(2, size=(n, days // (2 * BLOCK) + 3))
    return block % 2 == np.take_along_axis(first, block // 2, axis=1)


@dataclass(frozen=True)
class GapWindows(Windows):
    """Windows of which some days were not seen; `seen` is bool (n, lookback)."""

    seen: np.ndarray | None = None

    def weekday_mean(self, weeks: int = 8) -> np.ndarray:
        """Mean of the *seen* ones among the last `weeks` same weekdays; (n, horizon), scaled.

        Where none was seen, of all in the window; where none of these was seen either, the window's mean, 1.
        """
        n, horizon = self.target.shape
        seen = self.seen.reshape(n, -1, self.season)
        sold = np.where(seen, self.past.reshape(seen.shape), 0)
        mean = np.ones((n, self.season))
        for some in (seen.shape[1], weeks):
            count = seen[:, -some:].sum(axis=1)
            mean = np.where(count > 0, sold[:, -some:].sum(axis=1) / np.maximum(count, 1), mean)
        return np.tile(mean, (1, -(-horizon // self.season)))[:, :horizon].astype(np.float32)


@dataclass(frozen=True)
class GapTask(SalesTask):
    """A sales task of which only the `seen` days, bool (n_series, n_days), were recorded.

    `fill` says what stands at a hidden day of a window: "zero", "forward" or "nan"; `mask` adds
    a channel that is 1 on the seen days. The size of a window is the mean of its seen days. A target
    that was not seen is NaN: nothing is learnt from it.
    """

    seen: np.ndarray | None = None
    fill: str = "zero"
    mask: bool = False

    def windows(self, cutoffs: np.ndarray) -> GapWindows:
        """As `SalesTask.windows`, from the seen days only."""
        plain = super().windows(cutoffs)
        after = np.full((self.n_series, self.horizon), np.nan, np.float32)
        values = np.concatenate([np.where(self.seen, self.panel.values, np.nan), after], axis=1)
        sales = past_windows(values, cutoffs, self.lookback).reshape(-1, self.lookback)
        seen = np.isfinite(sales)
        total = np.nansum(sales, axis=1, keepdims=True)
        scale = np.maximum(total / np.maximum(seen.sum(axis=1, keepdims=True), 1), FLOOR)
        target = future_windows(values, cutoffs, self.horizon).reshape(-1, self.horizon) / scale
        made = GapWindows(
            np.where(seen, sales / scale, 0), plain.past_known, plain.future_known, plain.series, scale,
            target, plain.season, seen,
        )  # fmt: skip
        past = filled(made, self.fill).astype(np.float32)
        known = plain.past_known
        if self.mask:
            known = np.concatenate([known, seen[..., None].astype(np.float32)], axis=-1)
        return replace(made, past=past, past_known=known)


def gap_task(task: SalesTask, seen: np.ndarray, fill: str = "zero", mask: bool = False) -> GapTask:
    """The task with some of its days hidden."""
    return GapTask(**vars(task), seen=seen, fill=fill, mask=mask)


def filled(windows: GapWindows, fill: str) -> np.ndarray:
    """The past (n, lookback) with something at the hidden days."""
    past, seen = windows.past, windows.seen
    if fill == "zero":
        return np.where(seen, past, 0)
    if fill == "nan":
        return np.where(seen, past, np.nan)
    last = np.maximum.accumulate(np.where(seen, np.arange(past.shape[1]), -1), axis=1)
    return np.where(last >= 0, np.take_along_axis(past, np.maximum(last, 0), axis=1), 1)


def seen_pinball(target: Any, forecast: Any) -> Any:
    """`pinball_loss` of the days whose target is not NaN; a hidden day adds nothing to the loss."""
    seen = ops.logical_not(ops.isnan(target))
    quantile = ops.convert_to_tensor(QUANTILES, forecast.dtype)
    error = ops.expand_dims(ops.where(seen, target, 0.0), -1) - forecast
    loss = ops.mean(ops.maximum(quantile * error, (quantile - 1) * error), axis=-1)
    return ops.mean(loss * ops.cast(seen, loss.dtype), axis=-1)


class GapLSTM:
    """One `sales_network`, trained as `SalesLSTM` trains its members."""

    def __init__(self, seed: int = 0, learning_rate: float = 5e-3, epochs: int = 12):
        self.seed, self.learning_rate, self.epochs = seed, learning_rate, epochs

    def fit(self, task: GapTask, part: str = "train") -> "GapLSTM":
        """Train on a part's seen targets."""
        keras.utils.set_random_seed(self.seed)
        train = task.windows(task.cutoffs(part))
        self.model = sales_network(task)
        steps = self.epochs * math.ceil(len(train) / BATCH)
        schedule = keras.optimizers.schedules.CosineDecay(
            self.learning_rate / 10, steps, warmup_target=self.learning_rate, warmup_steps=steps // 10
        )
        self.model.compile(keras.optimizers.AdamW(schedule, weight_decay=1e-4, clipnorm=1.0), seen_pinball)
        self.model.fit(train.inputs(), train.target, batch_size=BATCH, epochs=self.epochs, verbose=0)
        return self

    def predict(self, task: GapTask, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast (n_cutoffs, n_series, horizon, 3), shop's currency."""
        windows = task.windows(cutoffs)
        inputs = windows.inputs()
        flat = np.asarray(self.model([inputs[name] for name in ("past", "future", "series")]))
        return task.by_cutoff(flat * windows.scale[:, :, None], cutoffs)


class GapTrees:
    """LightGBM on the columns of `sales.LightGBM` with NaN where a day was not seen; the median only."""

    def __init__(self, seed: int = 0, correct: bool = True, trees: int = 300, leaf_rows: int = 50):
        self.seed, self.correct, self.trees, self.leaf_rows = seed, correct, trees, leaf_rows

    def fit(self, task: GapTask, part: str = "train") -> "GapTrees":
        """Train on a part's seen targets."""
        from lightgbm import LGBMRegressor

        windows = task.windows(task.cutoffs(part))
        table, target = self._table(windows), (windows.target - self._start(windows)).ravel()
        use = np.isfinite(target)
        self.model = LGBMRegressor(
            objective="quantile", alpha=0.5, num_leaves=31, min_child_samples=self.leaf_rows,
            n_estimators=self.trees, learning_rate=0.03, colsample_bytree=0.7, subsample=0.8,
            subsample_freq=1, n_jobs=1, random_state=self.seed, deterministic=True, verbose=-1,
        ).fit(table[use], target[use], categorical_feature=[table.shape[1] - 1])  # fmt: skip
        return self

    def predict(self, task: GapTask, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast (n_cutoffs, n_series, horizon, 3), three times the median, shop's currency."""
        windows = task.windows(cutoffs)
        scaled = self.model.predict(self._table(windows)).reshape(len(windows), -1) + self._start(windows)
        return thrice(task, scaled * windows.scale, cutoffs)

    def _start(self, windows: GapWindows) -> np.ndarray:
        return windows.weekday_mean(8) if self.correct else np.zeros_like(windows.target)

    @staticmethod
    def _table(windows: GapWindows) -> np.ndarray:
        """The columns of `LightGBM.table`; means of seen days in place of means with a NaN in them."""
        table = LightGBM.table(windows)
        weeks = windows.past.shape[1] // windows.season
        for i, k in enumerate((1, 2, 4)):
            seen, past = windows.seen[:, -k * windows.season :], windows.past[:, -k * windows.season :]
            count = seen.sum(axis=1)
            mean = np.where(count > 0, np.nansum(past, axis=1) / np.maximum(count, 1), np.nan)
            table[:, weeks + windows.season + i] = np.repeat(mean, windows.target.shape[1])
        return table


class SeenMean:
    """Mean of the last eight same weekdays that were seen; `zeros`: a hidden day counts as a day of 0."""

    def __init__(self, zeros: bool = False):
        self.zeros = zeros

    def fit(self, task: GapTask, part: str = "train") -> "SeenMean":
        """Nothing to learn."""
        return self

    def predict(self, task: GapTask, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast (n_cutoffs, n_series, horizon, 3), three times the mean, shop's currency."""
        windows = task.windows(cutoffs)
        if self.zeros:
            all_seen = np.ones_like(windows.seen)
            windows = replace(windows, past=np.where(windows.seen, windows.past, 0), seen=all_seen)
        return thrice(task, windows.weekday_mean(8) * windows.scale, cutoffs)


class Kalman:
    """A level and a weekly season that drift, series by series; a missing day is no observation.

    Variances are estimated at the first cutoff and kept; the state is brought up to date at each cutoff.
    Source: Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter; statsmodels'
    `UnobservedComponents`.

    Parameters
    ----------
    log : bool
        Model log(1 + sales).
    planned : bool
        Read holidays and promotions; their coefficients are part of the state.
    season : bool
        The weekly season drifts; False: it is fixed.
    """

    def __init__(self, log: bool = False, planned: bool = False, season: bool = True):
        self.log, self.planned, self.season = log, planned, season

    def fit(self, task: GapTask, part: str = "train") -> "Kalman":
        """Nothing to learn ahead: the filter learns when it is asked to forecast."""
        return self

    def predict(self, task: GapTask, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast (n_cutoffs, n_series, horizon, 3), three times the mean, shop's currency."""
        import statsmodels.tools.sm_exceptions  # noqa: F401 (its import switches its warnings on)

        out = np.zeros((len(cutoffs), task.n_series, task.horizon))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for s in range(task.n_series):
                out[:, s] = self._one(task, s, cutoffs)
        return thrice(task, out.reshape(-1, task.horizon), cutoffs)

    def _one(self, task: GapTask, s: int, cutoffs: np.ndarray) -> np.ndarray:
        """The forecasts of one series, (n_cutoffs, horizon)."""
        is_open = task.is_open(np.arange(-1, len(task.panel.days) - 1))[:, 0, 0]
        sold = task.panel.values[s].astype(float)
        size = sold[: cutoffs[0] + 1][task.seen[s, : cutoffs[0] + 1]].mean()
        sold = np.log1p(sold) if self.log else sold / size
        sold = np.where(task.seen[s] & is_open, sold, np.nan)
        wanted = [i for i, name in enumerate(task.known_names) if name not in WEEKDAYS]
        known = task.known[s][:, wanted].astype(float)
        made, params = [], None
        for cutoff in cutoffs:
            end = cutoff + 1
            model = self._model(sold[:end], known[:end])
            if params is None:
                params = model.fit(disp=False, maxiter=50).params
            ahead = {"exog": known[end : end + task.horizon]} if self.planned else {}
            made.append(model.smooth(params).forecast(task.horizon, **ahead))
        return np.expm1(made) if self.log else np.array(made) * size

    def _model(self, sold: np.ndarray, known: np.ndarray) -> Any:
        from statsmodels.tsa.statespace.structural import UnobservedComponents

        more = {"exog": known, "mle_regression": False} if self.planned else {}
        return UnobservedComponents(sold, "llevel", seasonal=7, stochastic_seasonal=self.season, **more)


def thrice(task: SalesTask, flat: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """One forecast per day, (n, horizon), instead of three quantiles; never below 0."""
    return task.by_cutoff(np.repeat(flat[..., None], 3, axis=-1), cutoffs)


# --------------------------------------------------------------------------------------------- the table


Arm = tuple[Callable[..., Any], list[dict], Callable[[int], GapTask]]  # model, grid, task of a seed


def rows(shop: Shop, quick: bool, log: Log) -> list[dict]:
    """The twelve departments with nothing missing, half of the days at random, half in blocks."""
    split = Split.last(test="56D", valid="28D")
    task = sales.task(shop, split, "department", holidays=HOLIDAYS, closed=CLOSED)
    place = {"shop": "Complete Journey", "question": "sales"}
    out = compare(task, arms(task, None), place | {"gaps": "nothing"}, quick, log)
    for kind in ("at random", "blocks"):
        out += compare(task, arms(task, kind), place | {"gaps": kind}, quick, log)
    return out


def arms(task: SalesTask, kind: str | None, few: bool = False) -> dict[str, Arm]:
    """Every model of the days that were seen; `few`: one network, the others left out."""
    shape = task.panel.values.shape

    def hidden(seed: int, **how: Any) -> GapTask:
        seen = np.ones(shape, bool) if kind is None else seen_days(kind, shape, seed)
        return gap_task(task, seen, **how)

    def as_zero(seed: int) -> GapTask:
        panel = Panel(task.panel.values * hidden(seed).seen, task.panel.names, task.panel.days)
        return gap_task(replace(task, panel=panel), np.ones(shape, bool))

    found: dict[str, Arm] = {
        "mean of seen days": (lambda seed: SeenMean(), [{}], hidden),
        "Kalman filter": (lambda seed, **setting: Kalman(**setting), FILTERS, hidden),
        "LightGBM": (GapTrees, TREES, partial(hidden, fill="nan")),
        "LSTM": (GapLSTM, SETTINGS, hidden),
    }
    if kind is not None:
        found["LSTM, mask"] = (GapLSTM, SETTINGS, partial(hidden, mask=True))
        found["mean, gaps as zero"] = (lambda seed: SeenMean(), [{}], as_zero)
    if kind is not None and not few:
        found["LSTM, gaps as zero"] = (GapLSTM, SETTINGS, as_zero)
        found["LSTM, forward fill"] = (GapLSTM, SETTINGS, partial(hidden, fill="forward"))
    return found


def compare(
    task: SalesTask, found: dict[str, Arm], place: dict, quick: bool, log: Log, seeds: int = SEEDS
) -> list[dict]:
    """WAPE of every arm, and its paired ratios to the others; a seed draws the gaps and the start."""
    scores, chosen = {}, []
    for name, (make, grid, data) in found.items():
        seeds_here = range(1 if quick else seeds)
        setting, loss, fits = forecasts(task, name, make, grid, data, place, seeds_here, quick, log)
        if setting:
            chosen.append(row(name, "WAPE, choosing", (loss,) * 3, 1, **place, setting=in_words(setting)))
        scores[name] = mean_of_fits([{"WAPE": sales.draws(task, p)["WAPE"]} for p in fits])["WAPE"]
    n = 1 if quick else seeds
    out = [row(name, "WAPE", interval(values), n, **place) for name, values in scores.items()]
    out += [
        row(f"{one} / {other}", "WAPE", interval(scores[one] / scores[other]), n, **place)
        for one in scores
        for other in scores
        if one != other and (other in REFERENCES or one.split(",")[0] == other.split(",")[0])
    ]
    return out + chosen


def forecasts(
    task: SalesTask,
    name: str,
    make: Callable[..., Any],
    grid: list[dict],
    data: Callable[[int], GapTask],
    place: dict,
    seeds: range,
    quick: bool,
    log: Log,
) -> tuple[dict, float, list[np.ndarray]]:
    """Search on validation, then fit on both parts: setting, validation loss, test forecasts of each seed."""
    where = f"partially_observed/{' '.join(place.values())}{' quick' * quick}"

    few = {"epochs": 1} if make is GapLSTM else {}

    def search() -> tuple[dict, float]:
        part, asked = data(0), task.cutoffs("valid", 3)
        tried = []
        for setting in [grid[0] | few] if quick else grid:
            model = make(0, **setting).fit(part, "train")
            tried.append((setting, wape(task, model.predict(part, asked), asked)))
        return min(tried, key=lambda pair: pair[1])

    setting, loss = kept(where, {f"{name}, search": search}, log)[f"{name}, search"]

    def fit(seed: int) -> np.ndarray:
        part = data(seed)
        return make(seed, **setting).fit(part, "refit").predict(part, task.cutoffs("test"))

    fits = kept(where, {f"{name}, seed {seed}": partial(fit, seed) for seed in seeds}, log)
    return setting, loss, list(fits.values())


def wape(task: SalesTask, forecast: np.ndarray, cutoffs: np.ndarray) -> float:
    """Absolute errors of the middle forecast over sales, on the open days."""
    actual, is_open = task.actual(cutoffs), task.is_open(cutoffs)
    error = np.abs(actual - forecast[..., 1]) * is_open
    return float(error.sum() / (actual * is_open).sum())
