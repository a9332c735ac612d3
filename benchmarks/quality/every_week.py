"""A year of weekly forecasts from one saved model, beside models that are trained again every few weeks.

Protocol. Online Retail's first year (to Sunday, 5 December 2010) trains; of it the last four weeks choose the
learning rate and the epochs of the network and the settings of LightGBM. Then 52 weeks are played: on every
Sunday from 5 December 2010 to 27 November 2011 each arm forecasts the next seven days of the 20 categories
that sold most, and knows nothing later. Nothing is chosen on the year that is played; lesson 61's table had
scored its last eight weeks before. Saturdays, bank holidays and 24 December to 3 January are known closed.

Arms: the rule (mean of 8 weeks); the LSTM and LightGBM of the first year, never trained again; trained again
every 12 or every 4 weeks on all days before; and two that compare before they switch. Those train a
challenger every four weeks, let it forecast beside the model in use for four weeks that neither has learned
from, and switch where its WAPE is smaller ("if ahead"), or where the paired interval of the ratio (series and
weeks drawn) is below 1 ("if better"). Two fits of the network, of one member each; each has its own path of
switches.
The yearly season is not an input: in the first year no day has a year before it.

Rows: scores of all 52 weeks and of each quarter; ratios of the paired draws (series, weeks, fits); "WAPE /
rule" of every week (series and fits drawn); "age": the error of models that are 4, 8, ... weeks old, over
that of models under 4 weeks old in the same weeks; the coverage of the band: set once on the four weeks
before the year, or set again each week from the errors of the last eight weeks; seconds of a fit on one core.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import ecomlib
from benchmarks.quality.second_shop import best_setting, sales_task
from benchmarks.run import Log, kept, row
from ecomlib import sales
from ecomlib.bootstrap import Draws, interval, mean_of_fits
from ecomlib.sales import LightGBM, SalesTask, WeekdayMean
from ecomlib.sales.evaluate import forecast_errors
from ecomlib.split import Split

PLAYED = Split.last(test="364D", valid="28D", end="2011-12-04")
VALID = "2010-11-08"  # the first day of its validation part
N_WEEKS, STEP, SELDOM = 52, 4, 12
QUARTERS = {f"weeks {i + 1} to {i + 13}": slice(i, i + 13) for i in range(0, N_WEEKS, 13)}
SEEDS = 2
N_SERIES = 20
POINTS = range(0, N_WEEKS, STEP)  # a model learns from all days before such a week of the played year
RULE, LSTM, TREES = "mean of 8 weeks", "LSTM", "LightGBM"
NEVER, AHEAD, BETTER = "never", "switch if ahead", "switch if better"
N_DRAWS = 1000
Errors = dict[str, list[np.ndarray]]  # arm -> (N_WEEKS, n_series) absolute errors of each fit


def rows(quick: bool, log: Log) -> list[dict]:
    """All rows. Quick: one fit of one epoch at three points."""
    task = sales_task(ecomlib.load_online_retail(until=VALID), "daily", PLAYED, n_series=N_SERIES)
    settings = chosen(task, quick, log)
    found = fits(task, settings, quick, log)
    errors, switches = arms(task, found)
    for name, weeks in switches.items():
        log(f"{name}: switched after weeks {weeks}")
    out = [*total_rows(task, errors), *week_rows(errors), *age_rows(task, found)]
    out += band_rows(task, found)
    for name in (LSTM, TREES):
        spent = [each["seconds"] for (kind, _, _), each in found.items() if kind == name]
        out.append(row(name, "seconds of a fit", (np.median(spent), min(spent), max(spent)), len(spent)))
    for name, weeks in switches.items():
        out.append(row(name, "switches", (np.mean([len(w) for w in weeks]), *spread(weeks)), len(weeks)))
    return [{"when": "all weeks"} | each for each in out]


def spread(weeks: list[list[int]]) -> tuple[int, int]:
    """Fewest and most switches of a fit's path."""
    return min(map(len, weeks)), max(map(len, weeks))


# ------------------------------------------------------------------------------------------------------ fits


def chosen(task: SalesTask, quick: bool, log: Log) -> dict[str, dict]:
    """The settings with the smallest WAPE in the last four weeks of the first year."""
    from ecomlib.sales import SalesLSTM

    nets = [{"learning_rate": rate, "epochs": n} for rate in (2e-3, 5e-3, 1e-2) for n in (10, 20)]
    trees = [{"correct": correct, "n_estimators": n} for correct in (False, True) for n in (100, 300)]
    grids: dict[str, tuple[Callable[..., Any], list[dict]]] = {
        LSTM: (SalesLSTM, [{"epochs": 1, "members": 1}] if quick else nets),
        TREES: (LightGBM, [{"n_estimators": 5}] if quick else trees),
    }
    jobs: dict[str, Callable[[], Any]] = {name: partial(best_setting, task, *g) for name, g in grids.items()}
    found = kept(f"every_week/settings{'-quick' * quick}", jobs, log)
    log(f"chosen on validation: {found}")
    return found


def fits(task: SalesTask, settings: dict[str, dict], quick: bool, log: Log) -> dict[tuple, dict]:
    """(model, seed, point) -> its forecast of all weeks from the point on; point None: without validation."""
    from ecomlib.sales import SalesLSTM

    points = [None, 0, 4, 12] if quick else [None, *POINTS]
    plan = [(TREES, 0, point) for point in points]
    plan += [(LSTM, seed, point) for seed in range(1 if quick else SEEDS) for point in points]
    jobs: dict[str, Callable[[], Any]] = {}
    for name, seed, point in plan:
        make = {LSTM: partial(SalesLSTM, members=1), TREES: LightGBM}[name]
        jobs[f"{name}, seed {seed}, point {point}"] = partial(
            one_fit, task, make(seed, **settings[name]), point
        )
    found = kept(f"every_week/fits{'-quick' * quick}", jobs, log)
    return dict(zip(plan, found.values(), strict=True))


def one_fit(task: SalesTask, model: Any, point: int | None) -> dict[str, Any]:
    """Learn from all days before a week of the played year (None: before validation), forecast the rest.

    Returns seconds, test (N_WEEKS, n_series, horizon, 3), NaN before the point, and with None valid, too.
    """
    start = time.process_time()
    model.fit(until(task, point))
    seconds = time.process_time() - start
    first = point or 0
    cutoffs = task.cutoffs("test")[first:]
    test = np.full((N_WEEKS, task.n_series, task.horizon, 3), np.nan, np.float32)
    test[first:] = model.predict(task, cutoffs)
    found = {"seconds": seconds, "test": test}
    return found | ({"valid": model.predict(task, task.cutoffs("valid"))} if point is None else {})


def until(task: SalesTask, point: int | None) -> SalesTask:
    """The task whose training part ends before a week of the played year; None: before validation."""
    end = task.valid_start if point is None else task.test_start + 7 * point
    return replace(task, valid_start=end, test_start=end, test_end=end)


# ------------------------------------------------------------------------------------------------------ arms


def arms(task: SalesTask, found: dict[tuple, dict]) -> tuple[Errors, dict[str, list[list[int]]]]:
    """Every arm's errors of each fit; and after which weeks the arms that compare have switched."""
    errors = {key: absolute(task, each["test"]) for key, each in found.items() if key[2] is not None}
    seeds = sorted({seed for name, seed, _ in errors if name == LSTM})
    out: Errors = {RULE: [absolute(task, WeekdayMean(8).predict(task, task.cutoffs("test")))]}
    for name, fits_of, steps in ((TREES, [0], (STEP,)), (LSTM, seeds, (SELDOM, STEP))):
        mine = [{p: e for (n, s, p), e in errors.items() if (n, s) == (name, seed)} for seed in fits_of]
        out[f"{name}, {NEVER}"] = [each[0] for each in mine]
        for step in steps:
            out[f"{name}, every {step} weeks"] = [renewed(each, step) for each in mine]
    switches: dict[str, list[list[int]]] = {}
    for rule in (AHEAD, BETTER):
        paths = [compared(each, rule) for each in mine]
        out[f"{LSTM}, {rule}"] = [path for path, _ in paths]
        switches[f"{LSTM}, {rule}"] = [weeks for _, weeks in paths]
    return out, switches


def absolute(task: SalesTask, forecast: np.ndarray) -> np.ndarray:
    """Absolute errors of the weeks, (N_WEEKS, n_series), in pounds."""
    cutoffs = task.cutoffs("test")
    return forecast_errors(task.actual(cutoffs), forecast, task.is_open(cutoffs))["absolute"]


def renewed(errors: dict[int, np.ndarray], step: int) -> np.ndarray:
    """Errors of an arm that takes a new model every `step` weeks: from each point on its own."""
    out = errors[0].copy()
    for point in sorted(errors):
        if point % step == 0:
            out[point:] = errors[point][point:]
    return out


def compared(errors: dict[int, np.ndarray], rule: str) -> tuple[np.ndarray, list[int]]:
    """Errors of an arm whose challenger is judged on four weeks that neither model has learned from.

    Returns the errors, and the weeks after which it switched.
    """
    used, out, switched = 0, errors[0].copy(), []
    points = sorted(errors)
    for challenger, now in zip(points, points[1:], strict=False):
        if challenger > used:  # trained before week `challenger`, and beside since then
            shadow = slice(challenger, now)
            if wins(errors[challenger][shadow], errors[used][shadow], rule):
                used = challenger
                switched.append(now)
        out[now:] = errors[used][now:]
    return out, switched


def wins(new: np.ndarray, old: np.ndarray, rule: str) -> bool:
    """Whether the new model's errors (weeks, series) are small enough to switch."""
    ratio, _, high = interval(ratio_draws([new], [old]))
    return (ratio if rule == AHEAD else high) < 1


def ratio_draws(new: list[np.ndarray], old: list[np.ndarray]) -> np.ndarray:
    """The ratio of two arms' errors on the data and on N_DRAWS samples of series, weeks and fits."""
    total = [totals(each, stream) for stream, each in enumerate((new, old))]
    return total[0] / total[1]


def totals(errors: list[np.ndarray], stream: int = 0) -> np.ndarray:
    """Sum of the errors of an arm, the mean of its fits, in the data and in each sample; (1 + N_DRAWS,)."""
    n_weeks, n_series = errors[0].shape
    week, series = np.divmod(np.arange(n_weeks * n_series), n_series)
    drawn = Draws.of(series, week, N_DRAWS)
    return mean_of_fits([{"sum": drawn.sums(each.ravel())} for each in errors], stream)["sum"]


# ------------------------------------------------------------------------------------------------------ rows


def total_rows(task: SalesTask, errors: Errors) -> list[dict]:
    """WAPE of every arm, and its ratios to the rule, to the model never trained again and to LightGBM."""
    sold = forecast_errors(*(p := task.actual(task.cutoffs("test")), np.repeat(p[..., None], 3, -1)))["sales"]
    out = []
    for when, weeks in {"all weeks": slice(None), **QUARTERS}.items():
        part = {name: [each[weeks] for each in fits_of] for name, fits_of in errors.items()}
        for name, fits_of in part.items():
            wape = interval(ratio_draws(fits_of, [sold[weeks]]))
            out.append(row(name, "WAPE", wape, len(fits_of), when=when))
        for name, other in pairs(list(errors)):
            ratio = interval(ratio_draws(part[name], part[other]))
            out.append(row(f"{name} / {other}", "WAPE", ratio, len(part[name]), when=when))
    return out


def pairs(names: list[str]) -> list[tuple[str, str]]:
    """Every arm to the rule; every renewed arm to its never trained one; the LSTM to LightGBM."""
    found = [(name, RULE) for name in names if name != RULE]
    for kind in (LSTM, TREES):
        mine = [name for name in names if name.startswith(kind)]
        found += [(name, mine[0]) for name in mine[1:]]
    both = [f"every {STEP} weeks", NEVER]
    return found + [(f"{LSTM}, {each}", f"{TREES}, {each}") for each in both]


def week_rows(errors: Errors) -> list[dict]:
    """Each week's ratio of every arm to the rule; `week` counts from 1."""
    return [
        row(name, "WAPE / rule", interval(ratio_draws(one(fits_of, w), one(errors[RULE], w))), len(fits_of))
        | {"when": "one week", "week": w + 1}
        for name, fits_of in errors.items()
        if name != RULE
        for w in range(N_WEEKS)
    ]


def one(fits_of: list[np.ndarray], week: int) -> list[np.ndarray]:
    """The errors of one week."""
    return [each[week : week + 1] for each in fits_of]


def age_rows(task: SalesTask, found: dict[tuple, dict]) -> list[dict]:
    """The error of models that are `age` to age + 3 weeks old over that of fresh ones in the same weeks."""
    errors = {key: absolute(task, each["test"]) for key, each in found.items() if key[2] is not None}
    seeds = sorted({seed for name, seed, _ in errors if name == LSTM})
    points = sorted({point for _, _, point in errors})
    out = []
    for age in range(STEP, points[-1] + 1, STEP):
        pairs_of = [(point, point + age) for point in points if point + age in points]
        if not pairs_of:
            continue
        aged, fresh = (
            [
                np.concatenate([errors[LSTM, seed, pair[k]][pair[1] : pair[1] + STEP] for pair in pairs_of])
                for seed in seeds
            ]
            for k in (0, 1)
        )
        ratio = interval(ratio_draws(aged, fresh))
        out.append(row(LSTM, "WAPE / fresh", ratio, len(seeds), when="by age", week=age))
    return out


def band_rows(task: SalesTask, found: dict[tuple, dict]) -> list[dict]:
    """How many days the 80 % band of the first year's network held: as trained, set once, set every week."""
    cutoffs, valid = task.cutoffs("test"), task.cutoffs("valid")
    actual, is_open = task.actual(cutoffs), task.is_open(cutoffs)
    thirds = np.arange(task.n_series) * 3 // task.n_series
    seeds = sorted({seed for name, seed, _ in found if name == LSTM})
    bands: dict[str, list[np.ndarray]] = {"as trained": [], "set once": [], "set every week": []}
    for seed in seeds:
        before, test = (found[LSTM, seed, point] for point in (None, 0))
        once = sales.calibrate_band(task.actual(valid), before["valid"], task.is_open(valid), thirds)
        anew = sales.conformal_band(test["test"], once)
        for week in range(8, N_WEEKS):
            past = slice(week - 8, week)
            factors = sales.calibrate_band(actual[past], test["test"][past], is_open[past], thirds)
            anew[week] = sales.conformal_band(test["test"][week], factors)
        bands["as trained"].append(test["test"])
        bands["set once"].append(sales.conformal_band(test["test"], once))
        bands["set every week"].append(anew)
    out = []
    for name, each in bands.items():
        for when, weeks in {"all weeks": slice(None), **QUARTERS}.items():
            held = [forecast_errors(actual[weeks], p[weeks], is_open[weeks]) for p in each]
            share = ratio_draws([e["covered"] for e in held], [held[0]["days"]])
            out.append(
                row(f"{LSTM}, {NEVER}, band {name}", "coverage", interval(share), len(each), when=when)
            )
    return out
