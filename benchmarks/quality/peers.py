"""Peers: libraries that others wrote and use, on the course's arrays, rows and metrics.

    python course.py setup --group peers
    python course.py bench peers

Sales: 60 categories, 7 days ahead, the eight test cutoffs of `benchmarks/quality/sales.py`. statsforecast's
models see one series each, all of it up to the cutoff, and are fitted again every week (AutoARIMA once, with
its approximation). neuralforecast's networks are trained on all series with the course's covariates known
ahead: once on the training days, to forecast the validation days, on which every band is calibrated, and
once on both. Four or five settings of each network were tried on validation: scale, steps, rate, size
(of TFT 60 to 300 steps, rates of .002 and .005, sizes of 32 and 64: WAPE .234 to .237; 60 steps are best).
Recommendation: discovery, product types, weeks 45 to 52, as in `benchmarks/quality/recommend.py`. "+ trend"
adds what sells in the shop at present, which the course's LSTM reads, too. Settings, days and weight are
chosen on validation, with one seed; 8 settings of ALS, 10 of item-kNN and 13 of BPR were tried there before.
Chosen are ALS with 32 factors, regularisation 30 and weight 2, item-kNN with the cosine of all items, and BPR
with 30 passes at rate .01.
RecBole's GRU4Rec and SASRec predict what is new on a later trip from what the household bought before it. Six
settings of each were tried on validation, one fit each: rate, dropout, size, loss, and which purchases are
read (first ones, or all). Passes stop when validation gets worse.
CDNOW: lifetimes' customer-base models, 39 weeks seen and 39 to predict.

"LSTM" is the course's own network, fitted here again. Rows "LSTM / X" (and "LSTM minus X") are paired: series
or households, weeks and fits are drawn. "CPU minutes" is what one fit costs: sales both fits and all
forecasts, recommendation the fit without its search, CDNOW fit and forecast. "peak GB" is the largest memory
of the process that did it, libraries included (recommendation: TensorFlow, too, and the search). The
committed table has rows of several machines and days: `peers.json` says which.

Left out. Of RecBole 1.2.1, its reader of settings ("`np.float_` was removed in the NumPy 2.0 release"), its
data sets and its search (it asks for ray <= 2.6.3): `_peer_recbole.py` needs none of them. cornac 3.0.1 has
both networks, too; on the households' first purchases six and two settings, up to 43 CPU seconds each,
reached a recall@10 of .042 and .048 on validation, where ALS alone has .087. NHITS is as good as the others
on validation and loses the holiday weeks of the test.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

import ecomlib
from benchmarks.quality import recommend as own
from benchmarks.quality._alone import Found, alone, one_thread
from benchmarks.quality._peer_forecasters import classical, customer_base, network
from benchmarks.quality._peer_recbole import RecBole
from benchmarks.quality._peer_recommenders import ImplicitALS, ImplicitBPR, ImplicitKNN, Peer
from benchmarks.run import Log, kept, row
from ecomlib import Split, recommend, sales
from ecomlib.bootstrap import Draws, interval, mean_of_fits
from ecomlib.recommend import Blend
from ecomlib.recommend.task import SequenceTask
from ecomlib.sales import SalesTask, calibrate_band, compare_forecasts, conformal_band, naive_scale
from ecomlib.sales.evaluate import score_forecast
from ecomlib.shop.complete_journey import CLOSED, HOLIDAYS

SEEDS = (0, 1, 2)
PACKAGES = ("statsforecast", "neuralforecast", "torch", "implicit", "recbole", "lifetimes")
CLASSICAL = ("AutoETS", "AutoARIMA", "MSTL", "Theta")
ENSEMBLE = "median of the four"
OURS = "LSTM"
SHOWN = ("rows", "coverage")  # of a recommender: what is kept
NETWORKS: dict[str, dict[str, Any]] = {
    "TiDE": {"max_steps": 400, "hidden_size": 128},
    "NHITS": {"max_steps": 400, "mlp_units": 3 * [[128, 128]], "dropout_prob_theta": 0.2},
    "DeepAR": {"max_steps": 200, "learning_rate": 3e-3, "lstm_hidden_size": 64, "lstm_n_layers": 1},
    "TFT": {"max_steps": 60, "hidden_size": 32, "learning_rate": 5e-3, "windows_batch_size": 128},
}
SEQUENTIAL: dict[str, dict[str, Any]] = {
    "GRU4Rec": {"rate": 5e-3, "length": 200, "repeats": True},
    "SASRec": {"rate": 5e-3, "dropout": 0.2},
}


def rows(quick: bool, log: Log) -> list[dict]:
    """One use case after another. Quick: one seed, few steps, without the slowest."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise SystemExit(f"{', '.join(missing)}: not installed; python course.py setup --group peers")
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    split = Split.last(test="56D", valid="28D")
    task = sales.task(shop, split, "category", horizon=7, holidays=HOLIDAYS, closed=CLOSED)
    out = sales_rows(task, gathered(sales_jobs(task, quick), quick, log))
    split = Split.last(test="8W", valid="4W", end=own.WINDOWS[own.LAST])
    trips = recommend.task(shop, split, "product_type", own.LEVELS["product_type"]).ask("discovery")
    out += recommend_rows(gathered(recommend_jobs(trips, quick), quick, log))
    return out + cdnow_rows(gathered(cdnow_jobs(quick), quick, log), cdnow_table()["later"].to_numpy())


def gathered(jobs: dict[str, Callable[[], Found]], quick: bool, log: Log) -> Found:
    """Do every job, and put together what each gives for each model."""
    found: Found = {}
    for result in kept("peers-quick" if quick else "peers", jobs, log).values():
        for name, each in result.items():
            found.setdefault(name, []).extend(each)
    return found


# ---- sales


def sales_jobs(task: SalesTask, quick: bool) -> dict[str, Callable[[], Found]]:
    """Every forecaster and seed."""
    jobs: dict[str, Callable[[], Found]] = {}
    for name in CLASSICAL:
        if not (quick and name == "AutoARIMA"):
            jobs[name] = partial(alone, "statsforecast", classical, task, name)
    for name, settings in NETWORKS.items():
        chosen = settings | {"max_steps": 5} if quick else settings
        for seed in SEEDS[: 1 if quick else 3]:
            jobs[f"{name}, seed {seed}"] = partial(alone, "neuralforecast", network, task, name, seed, chosen)
    for seed in SEEDS[: 1 if quick else 3]:
        jobs[f"LSTM, sales, seed {seed}"] = partial(alone, "keras", sales_alone, task, seed, quick)
    return jobs


def sales_alone(task: SalesTask, seed: int, quick: bool) -> Found:
    """The course's network in a new process, as in `benchmarks/quality/sales.py`: more threads round else."""
    one_thread()
    return own_sales(task, seed, quick)


def own_sales(task: SalesTask, seed: int, quick: bool) -> Found:
    """The course's network."""
    net = sales.SalesLSTM(seed, **({"epochs": 1} if quick else {}))
    valid = net.fit(task, "train").predict(task, task.cutoffs("valid"))
    return {OURS: [{"valid": valid, "test": net.fit(task, "refit").predict(task, task.cutoffs("test"))}]}


def sales_rows(task: SalesTask, found: Found) -> list[dict]:
    """Scores with calibrated bands, what a fit costs, and the course's network over each peer."""
    if set(CLASSICAL) <= set(found):
        found = found | {ENSEMBLE: [ensemble([found[name][0] for name in CLASSICAL])]}
    test = task.cutoffs("test")
    actual, is_open = task.actual(test), task.is_open(test)
    scale = naive_scale(task.panel.values[:, : task.test_start])
    bands, out = {name: calibrated(task, fits) for name, fits in found.items()}, []
    for name, fits in found.items():
        place = {"task": "sales", "library": fits[0]["library"]}
        scores = score_forecast(actual, bands[name], scale, is_open)
        out += [row(name, metric, values, len(fits), **place) for metric, values in scores.items()]
        out += cost_rows(name, fits, place)
        for metric in ("WAPE", "pinball") if name != OURS else ():
            ratio = compare_forecasts(actual, bands[OURS], bands[name], is_open, metric)
            out.append(row(f"{OURS} / {name}", metric, ratio, len(found[OURS]), **place))
    return out


def calibrated(task: SalesTask, fits: list[dict]) -> np.ndarray:
    """Test forecasts of all fits; each one's band is calibrated on its own forecasts of the validation."""
    valid = task.cutoffs("valid")
    actual, is_open = task.actual(valid), task.is_open(valid)
    return np.stack(
        [conformal_band(fit["test"], calibrate_band(actual, fit["valid"], is_open)) for fit in fits]
    )


def ensemble(fits: list[dict]) -> dict:
    """Median of several forecasts, quantile by quantile; it costs what they cost together."""
    parts = {part: np.median([fit[part] for fit in fits], axis=0) for part in ("valid", "test")}
    cost = {"minutes": sum(fit["minutes"] for fit in fits), "gb": max(fit["gb"] for fit in fits)}
    return parts | cost | {"library": fits[0]["library"]}


def cost_rows(name: str, fits: list[dict], place: dict) -> list[dict]:
    """CPU minutes and peak memory: the mean of the fits, the least and the most."""
    out = []
    for metric, part in (("CPU minutes", "minutes"), ("peak GB", "gb")):
        values = [fit[part] for fit in fits if np.isfinite(fit[part])] or [np.nan]
        out.append(row(name, metric, (np.mean(values), min(values), max(values)), len(fits), **place))
    return out


# ---- recommendation


def grids(quick: bool) -> dict[str, tuple[str, list[Peer], tuple[int, ...]]]:
    """A peer's name -> its library, the settings that are tried, and its seeds."""
    few, seeds = (1, SEEDS[:1]) if quick else (None, SEEDS)
    als = [ImplicitALS(*each) for each in ((32, 30, 2), (32, 30, 0.5), (64, 30, 2), (16, 30, 2))]
    knn = [ImplicitKNN(*each) for each in (("BM25", 300), ("BM25", 955), ("Cosine", 955))]
    bpr = [ImplicitBPR(32, *each) for each in ((0.01, 0.01, 30), (0.01, 0.05, 50), (0.02, 0.1, 100))]
    found: dict[str, tuple[str, list[Peer], tuple[int, ...]]] = {
        "ALS": ("implicit", als[:few], seeds),
        "item-kNN": ("implicit", knn[:few], SEEDS[:1]),
        "BPR": ("implicit", bpr[:few], seeds),
    }
    for kind, settings in SEQUENTIAL.items():
        chosen = settings | {"epochs": 1} if quick else settings
        found[kind] = ("recbole", [RecBole(kind, **chosen)], seeds)
    return found


def recommend_jobs(task: SequenceTask, quick: bool) -> dict[str, Callable[[], Found]]:
    """Every recommender, the course's with each seed."""
    jobs: dict[str, Callable[[], Found]] = {}
    for name, (library, grid, seeds) in grids(quick).items():
        jobs[name] = partial(alone, library, peer, task, name, grid, seeds)
    for seed in SEEDS[: 1 if quick else 3]:
        jobs[f"LSTM, discovery, seed {seed}"] = partial(alone, "keras", own_recommender, task, seed, quick)
    return jobs


def peer(task: SequenceTask, name: str, grid: list[Peer], seeds: tuple[int, ...]) -> Found:
    """Choose a peer's settings and trend on validation, with one seed; score its test lists with each."""
    blend = own.with_trend(task, grid)
    first, trend = blend.models
    chosen = f"{first}, trend of {trend.days} days x {blend.weights[1]:.2f}"
    found: Found = {name: [], f"{name} + trend": []}
    for seed in seeds:
        model = first if seed == first.seed else replace(first, seed=seed).fit(task)
        cost = {"minutes": model.minutes_, "chosen": chosen}
        for each, made in zip(found, (model, Blend([model, trend], blend.weights)), strict=True):
            made.items_ = task.items["item"]
            result = own.tested(task, made)
            found[each].append({part: result[part] for part in SHOWN} | cost)
    return found


def own_recommender(task: SequenceTask, seed: int, quick: bool) -> Found:
    """The course's network."""
    net = replace(own.DISCOVERY, seed=seed, **({"epochs": 1} if quick else {}))
    start = time.process_time()
    net.fit(task)
    minutes = (time.process_time() - start) / 60
    found = own.tested(task, net)
    return {OURS: [{part: found[part] for part in SHOWN} | {"minutes": minutes}]}


def recommend_rows(found: Found) -> list[dict]:
    """Scores of the lists, what a fit costs, and the course's network over each peer."""
    draws, out = {name: own.draws_of(fits) for name, fits in found.items()}, []
    for name, fits in found.items():
        place = {"task": "discovery", "library": fits[0]["library"]}
        mean = mean_of_fits(draws[name])
        out += [row(name, metric, interval(mean[metric]), len(fits), **place) for metric in mean]
        shown = [fit["coverage"] for fit in fits]
        out.append(row(name, "coverage@10", (np.mean(shown), min(shown), max(shown)), len(fits), **place))
        out += cost_rows(name, fits, place)
        if name != OURS:
            first, second = mean_of_fits(draws[OURS], 1), mean_of_fits(draws[name], 2)
            for metric in own.METRICS:
                ratio = interval(first[metric] / second[metric])
                out.append(row(f"{OURS} / {name}", metric, ratio, len(found[OURS]), **place))
    return out


# ---- CDNOW


def cdnow_table() -> pd.DataFrame:
    """What is seen of each customer, and what is to be predicted."""
    from ecomlib.lessons import counter_example as cdnow  # imports Keras

    return cdnow.summarise(cdnow.load_cdnow())


def cdnow_jobs(quick: bool) -> dict[str, Callable[[], Found]]:
    """Both models of lifetimes, and the course's network."""
    seen = cdnow_table()[["repeats", "last", "age"]].to_numpy(float).T
    jobs: dict[str, Callable[[], Found]] = {
        name: partial(alone, "lifetimes", customer_base, name, seen) for name in ("BG/NBD", "Pareto/NBD")
    }
    jobs["LSTM, CDNOW"] = partial(alone, "keras", own_counts, SEEDS[:1] if quick else SEEDS, quick)
    return jobs


def own_counts(seeds: tuple[int, ...], quick: bool) -> Found:
    """The course's counting network, with what `tune_counting` finds on weeks 27 to 39."""
    from ecomlib.lessons import counter_example as cdnow

    counts = cdnow.weekly_counts(cdnow.load_cdnow())[:, : cdnow.WEEKS]
    epochs, units = (1, 4) if quick else cdnow.tune_counting(counts)
    fits = []
    for seed in seeds:
        start = time.process_time()
        net = cdnow.CountLSTM(seed, epochs, units=units).fit(counts)
        expected = net.simulate(counts, cdnow.WEEKS, paths=2 if quick else 40)
        fits.append({"expected": expected, "minutes": (time.process_time() - start) / 60})
    return {OURS: fits}


def cdnow_rows(found: Found, later: np.ndarray) -> list[dict]:
    """Errors of the repeats expected, what a fit costs, and the course's network minus each peer."""
    drawn, scores, out = Draws.of(np.arange(len(later))), {}, []
    for stream, (name, fits) in enumerate(found.items()):
        gaps = [fit["expected"] - later for fit in fits]
        each = [{"MAE": drawn.means(abs(gap)), "MSE": drawn.means(gap**2)} for gap in gaps]
        scores[name] = mean_of_fits(each, stream)
    for name, fits in found.items():
        place = {"task": "CDNOW", "library": fits[0]["library"]}
        out += [row(name, m, interval(v), len(fits), **place) for m, v in scores[name].items()]
        out += cost_rows(name, fits, place)
        for metric, values in scores[name].items() if name != OURS else ():
            lost = interval(scores[OURS][metric] - values)
            out.append(row(f"{OURS} minus {name}", metric, lost, len(found[OURS]), **place))
    return out
