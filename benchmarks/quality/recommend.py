"""Recommendation: the LSTM against every rival, for two questions, in three windows.

Protocol. A window's eight weeks test, once; the four weeks before them choose; all earlier weeks train. What
a model learns comes from the training weeks only; what it reads (the household's own earlier trips, the sales
of the last days) is all that happened before the trip's day. Every item of the vocabulary is a candidate.
Settings of the rivals and weights of a joined forecast are chosen on all validation trips of their window.
The network's settings were chosen once, on weeks 41 to 44, for product types: they are part of the second
window, and of no test week of the first and the third. A row "LSTM" is the mean over its fits. Intervals draw
households, weeks and fits. The last eight weeks had been scored some 35 times by earlier models when this
network was chosen; weeks 29 to 36 had not been looked at.

Categories and single products: the last window only, one fit of the network with the settings of product
types. At products the network learns from drawn negatives, and blends are tuned on every fourth validation
trip: to rank 4,632 items takes five times as long.

What each ingredient of the network brings: the same network with one thing changed (`CHANGED`), at product
types in the last window, each with as many fits as the network. One network reads one thing more, the scores
of EASE.

Rows whose model reads "A / B" are ratios by the same draws; "window" is a window, "all three" or one week.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from typing import Self

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

import ecomlib
from benchmarks.run import Log, kept, row
from ecomlib import recommend
from ecomlib.bootstrap import Draws, interval, mean_of_fits
from ecomlib.recommend import (
    ALS,
    EASE,
    TIFUKNN,
    Blend,
    ItemKNN,
    Markov,
    NextItems,
    PersonalFrequency,
    Popularity,
    PureSVD,
    Ranking,
    Trend,
    TwoStage,
    tune_blend,
)
from ecomlib.recommend.batches import Batch, Batches, Windows, chunks, cut_windows
from ecomlib.recommend.model import Callbacks, Epoch, Gate, Network, Tensors
from ecomlib.recommend.task import HISTORY

WINDOWS = {"45-52": "2017-12-24", "37-44": "2017-10-29", "29-36": "2017-09-03"}
LEVELS = {"product_type": 100, "category": 50, "product_id": 50}  # level: least number of training trips
LAST = "45-52"
FITS, OTHER_FITS = 3, 1  # of every network: at product types, and elsewhere
METRICS = ["recall@10", "recall@20", "ndcg@10", "mrr@20"]
SIMPLE = {
    "popularity": [Popularity()],
    "recent popularity": [Popularity(days) for days in (7, 14, 28)],
    "Markov chain": [Markov(smooth) for smooth in (10, 100)],
    "item-kNN": [ItemKNN(100, 10, "who"), ItemKNN(300, 100, "who", 60), ItemKNN(300, 10, "step")],
    "PureSVD": [PureSVD(size) for size in (8, 16, 32, 64)],
}
OWN = {
    "personal top frequency": [PersonalFrequency()],
    "recent personal top frequency": [PersonalFrequency(days) for days in (60, 120, 240)],
}
FOR_ALL = ("popularity", "recent popularity", *OWN)  # the other simple ones at product types only
# The first one is the best of 18 on weeks 41 to 44, and the only one that the other windows try.
TIFU = [TIFUKNN(300, 0.7, 7, 0.95, 0.8), TIFUKNN(300, 0.9, 7, 0.95, 0.9), TIFUKNN(300, 0.7, 7, 0.9, 0.7)]
# Found on weeks 41 to 44, too, before the mix that is chosen now: there they are level, in the last weeks
# this one is ahead. It stays in every window, so that the network has to do with the harder of the two.
MIX_3 = Blend([ALS(32, 30, 0.5), EASE(1000), Trend(7), Trend(3)], [1, 0.2, 2.1, 1])
DISCOVERY = NextItems(64, dropout=0.4, trend_days=(3, 7, 14, 28), profile=True, epochs=12, learning_rate=3e-3)
WHOLE = NextItems(128, dropout=0.3, own=True, trend_days=(7,), epochs=8)
# One change at a time; at product types, in the last window. Settings of a `Changed`.
TRAINED = {
    "LSTM, random first vectors": {"factors": False},
    "LSTM, all trips weigh the same": {"weight_power": 0.0},
    "LSTM, 3 epochs": {"epochs": 3},
    "LSTM, last weights": {"last_weights": True},
    "LSTM, falling rate": {"falling_rate": True, "last_weights": True},
    "LSTM, gates without state": {"flat_gates": True},
    "LSTM, sorted windows": {"sorted_windows": True},
}
CHANGED: dict[str, dict[str, dict]] = {
    "discovery": {
        "LSTM without recurrence": {"units": 0},
        "LSTM without profile": {"profile": False},
        "LSTM with one trend": {"trend_days": (14,)},
        **TRAINED,
        "LSTM with EASE": {"ease": 500.0},
    },
    "whole": {
        "LSTM without recurrence": {"units": 0},
        "LSTM without own habits": {"own": False, "trend_days": (), "epochs": 12},
        "LSTM without trend": {"trend_days": ()},
        **TRAINED,
    },
}
BEST = {
    "discovery": ("ALS + trend", "EASE + trend", "linear mix (3 days)", "linear mix"),
    "whole": ("TIFU-kNN", "two-stage LightGBM"),
}
Found = dict[str, list[dict]]  # a model -> what each of its fits gave


def rows(quick: bool, log: Log) -> list[dict]:
    """One place after another, in one process. Quick: one fit of one epoch, the last window."""
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    table = []
    for level, question in product(LEVELS, ("discovery", "whole")):
        windows = list(WINDOWS) if level == "product_type" and not quick else [LAST]
        found = {window: study(shop, level, question, window, quick, log) for window in windows}
        place = {"level": level, "question": question}
        for window, models in found.items():
            table += [each | place | {"window": window} for each in scored(models, question)]
        if len(windows) > 1:
            table += [each | place for each in pooled(found, question)]
    return table


def study(shop: ecomlib.Shop, level: str, question: str, window: str, quick: bool, log: Log) -> Found:
    """All models of one place: rivals first, since a joined forecast needs their settings."""
    split = ecomlib.Split.last(test="8W", valid="4W", end=WINDOWS[window])
    task = recommend.task(shop, split, level, min_count=LEVELS[level]).ask(question)
    task = thinned(task, every=4) if level == "product_id" else task
    where = f"{level} {question} {window}"
    rivals = kept(
        "recommend", {f"{where}, {name}": job for name, job in rival_jobs(task, window, level).items()}, log
    )
    models = {job.split(", ")[1]: [found] for job, found in rivals.items()}
    jobs = net_jobs(task, level, window, {name: found[0]["model"] for name, found in models.items()}, quick)
    for job, found in kept(
        "recommend", {f"{where}, {name}": each for name, each in jobs.items()}, log
    ).items():
        for name, result in found.items():
            models.setdefault(name, []).append(result)
        log(
            f"{job}: "
            + ", ".join(f"{n} {r['rows'][METRICS].mean().round(4).tolist()}" for n, r in found.items())
        )
    return models


def thinned(task: recommend.SequenceTask, every: int) -> recommend.SequenceTask:
    """The same task with one in so many of its validation trips; the others are in no part."""
    part, rows = task.part.copy(), task.rows("valid")
    part[np.delete(rows, np.s_[::every])] = HISTORY
    return replace(task, part=part)


def rival_jobs(
    task: recommend.SequenceTask, window: str, level: str = "product_type"
) -> dict[str, Callable[[], dict]]:
    """Every rival: its name -> a function that tunes it and scores its test lists."""
    last, types = window == LAST, level == "product_type"
    grids = (SIMPLE if last else {}) | (OWN if task.question == "whole" and last else {})
    grids = {name: grid for name, grid in grids.items() if types or name in FOR_ALL}
    if task.question == "whole" or last:
        grids["TIFU-kNN"] = TIFU if last else TIFU[:1]
    jobs: dict[str, Callable[[], dict]] = {
        name: lambda grid=grid: tested(task, tuned(task, grid)) for name, grid in grids.items()
    }
    if task.question == "whole":
        return jobs | {"two-stage LightGBM": lambda: tested(task, TwoStage().fit(task))}
    als = cache(lambda: with_trend(task, als_grid()))  # chosen once, also for the mix
    ease = cache(lambda: with_trend(task, ease_grid()))
    jobs |= {"ALS + trend": lambda: tested(task, als()), "EASE + trend": lambda: tested(task, ease())}
    jobs |= {"linear mix (3 days)": lambda: tested(task, MIX_3.fit(task))}
    return jobs | {"linear mix": lambda: tested(task, linear_mix(task, als(), ease()))}


def als_grid() -> list[ALS]:
    """Settings of ALS that are tried: factors, regularisation, weight of a purchase."""
    return [ALS(*each) for each in product((16, 32), (10, 30), (0.5, 2))]


def ease_grid() -> list[EASE]:
    """Settings of EASE that are tried."""
    return [EASE(1000), EASE(2000)]


def with_trend(task: recommend.SequenceTask, grid: Iterable[recommend.Recommender]) -> Blend:
    """The best model of a grid with a trend: first its own settings, then the trend's days and weight."""
    best = tuned(task, [Blend([model, Trend(7)], [1, 1.5]) for model in grid]).models[0]
    blends = [Blend([best, Trend(days).fit(task)], [1, 1.0]) for days in (3, 7, 14, 28)]
    return max((tune_blend(task, blend, step=0.25) for blend in blends), key=lambda b: valid_gain(task, b))


def valid_gain(task: recommend.SequenceTask, model: recommend.Recommender) -> float:
    """Mean of the four metrics on the validation trips, each over its usual size."""
    cutoffs = task.cutoffs("valid")
    values = Ranking.of(task, model.predict(task, cutoffs), cutoffs).per_row()[METRICS].mean()
    return float((values / [0.1, 0.16, 0.07, 0.1]).mean())


def tuned(task: recommend.SequenceTask, grid: list[recommend.Recommender]) -> recommend.Recommender:
    """The setting of a grid that is best on validation trips, fitted."""
    if len(grid) == 1:
        return grid[0].fit(task)
    return max(grid, key=lambda model: valid_gain(task, model.fit(task)))


def linear_mix(task: recommend.SequenceTask, als: Blend, ease: Blend) -> Blend:
    """ALS, EASE and two trends, added up: ALS with its trend, to which EASE and a second trend are added."""
    (model, trend), (_, weight) = als.models, als.weights
    found = []
    for days in {3, 7, 14, 28} - {trend.days}:
        models = [model, ease.models[0], trend, Trend(days).fit(task)]
        found.append(tune_blend(task, Blend(models, [1, 0.2, weight, 0])))
    return max(found, key=lambda mix: valid_gain(task, mix))


def net_jobs(
    task: recommend.SequenceTask, level: str, window: str, rivals: dict, quick: bool
) -> dict[str, Callable[[], dict[str, dict]]]:
    """Every network: its name and seed -> a function that gives its scores, and those of its joined forms."""
    net = DISCOVERY if task.question == "discovery" else WHOLE
    best = rivals[BEST[task.question][-1]]
    net = replace(net, n_sampled=1024 * (level == "product_id"), **({"epochs": 1} if quick else {}))
    kinds = {"LSTM": net}
    if level == "product_type" and window == LAST:
        kinds |= {name: Changed(**vars(net) | change) for name, change in CHANGED[task.question].items()}
    partners = {"LSTM": best, "LSTM with EASE": rivals.get("ALS + trend")}  # each joined with its own
    jobs, fits = {}, FITS if level == "product_type" and not quick else OTHER_FITS
    for name, kind in kinds.items():
        for seed in range(fits):
            one, rival = replace(kind, seed=seed), partners.get(name)
            jobs[f"{name}, seed {seed}"] = lambda name=name, one=one, rival=rival: trained(
                task, name, one, rival
            )
    return jobs


@dataclass
class Changed(NextItems):
    """The network, with changes that are no settings of it.

    `last_weights`: those after the last step, not their mean over the last hundred. `falling_rate`: see
    `FallingRate`. `sorted_windows`: batches of windows of like length, see `of_like_length`. `flat_gates`: a
    habit or a trend counts by the item only, not by the state. `ease`: see `WithEase`; 0: without.
    """

    last_weights: bool = False
    falling_rate: bool = False
    sorted_windows: bool = False
    flat_gates: bool = False
    ease: float = 0.0

    def build(self, task: recommend.SequenceTask) -> Self:
        """See `NextItems.build`."""
        super().build(task)
        if self.ease:
            self.network_ = WithEase(self, task)
        for gate in (self.network_.habits, self.network_.trends) if self.flat_gates else ():
            if gate is not None:
                gate.dense.kernel.trainable = False  # it is zero
        return self

    def fit(
        self,
        task: recommend.SequenceTask,
        part: str = "train",
        callbacks: Callbacks = (),
        watch: bool = False,
    ) -> Self:
        """See `NextItems.fit`."""
        own = [LastWeights()] * self.last_weights + [FallingRate(self)] * self.falling_rate
        return super().fit(task, part, [*callbacks, *own], watch)

    def _epoch(self, task: recommend.SequenceTask, part: str) -> Epoch:
        batches, cut = ChangedBatches(task, self, self.n_sampled), cut_windows(task, task.targets(part))
        return partial(batches.epoch, cut, self.batch_size)


class ChangedBatches(Batches):
    """Batches for a `Changed`; for one with EASE they say which half of the households a target is of."""

    def groups(self, cut: Windows, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """See `Batches.groups`."""
        if self.settings.sorted_windows:
            return of_like_length(cut.length, size, rng)
        return super().groups(cut, size, rng)

    def outputs(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> Batch:
        """See `Batches.outputs`; "half" (n_targets,) is there in training only."""
        batch = super().outputs(rows, rng)
        if rng is not None and self.settings.ease:
            batch["half"] = (self.task.who[rows] % 2).astype(np.int32)
        return batch


class LastWeights(keras.callbacks.Callback):
    """Keep the weights of the last step: what the optimizer does at the end of training is left out."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Before the first step."""
        self.model.optimizer.finalize_variable_values = lambda weights: None


class FallingRate(keras.callbacks.Callback):
    """The learning rate falls from epoch to epoch, in equal steps, towards 0."""

    def __init__(self, net: NextItems):
        super().__init__()
        self.net = net

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Before an epoch."""
        self.model.optimizer.learning_rate = self.net.learning_rate * (1 - epoch / self.net.epochs)


class WithEase(Network):
    """The network with another model's opinion: the scores of EASE, standardised, weigh in like a trend.

    EASE is learned twice, each time from half of the households. In training a household reads the scores of
    the EASE that has not seen it, else their mean: scores that know the answer are trusted too much. (With
    one EASE of all households three fits had a recall@10 of .084, with these two .097.)
    """

    def __init__(self, settings: Changed, task: recommend.SequenceTask):
        super().__init__(settings, task)
        parts = [np.where(task.who % 2 == half, HISTORY, task.part) for half in (0, 1)]
        weights = [EASE(settings.ease).fit(replace(task, part=part)).weights_ for part in parts]
        self.ease = tf.constant(np.stack(weights), tf.float32)
        self.opinion = Gate(self.out.kernel.shape[0], 1, task.n_items, 0.5)

    def logits(self, state: tf.Tensor, batch: Tensors | Batch, training: bool = False) -> tf.Tensor:
        """See `Network.logits`."""
        shape = [tf.shape(state)[0], self.ease.shape[1]]
        bought = tf.scatter_nd(batch["owned"], tf.ones_like(batch["owned_weight"]), shape)
        share = tf.one_hot(batch["half"], 2) if "half" in batch else tf.fill([shape[0], 2], 0.5)
        scores = tf.einsum("ni,hij,nh->nj", bought, self.ease, share)
        mean, variance = tf.nn.moments(scores, 1, keepdims=True)
        scores = (scores - mean) / tf.sqrt(variance + 1e-9)
        weight = self.opinion(state) + self.opinion.item[:, 0]
        return super().logits(state, batch, training) + weight * scores


def of_like_length(length: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of `size` windows with little padding: of ten batches drawn, sorted by length, in any order."""
    drawn = chunks(rng.permutation(len(length)), 10 * size)
    order = np.concatenate([pool[np.argsort(length[pool], kind="stable")] for pool in drawn])
    groups = list(chunks(order, size))
    return (groups[i] for i in rng.permutation(len(groups)))


def trained(
    task: recommend.SequenceTask, name: str, net: NextItems, rival: recommend.Recommender | None
) -> dict[str, dict]:
    """Train a network; its scores, and those of a blend with a rival, weights chosen on validation."""
    found = {name: tested(task, net.fit(task))}
    if rival is not None:
        found[f"{name}, joined"] = tested(task, tune_blend(task, Blend([net, rival], [1, 0.1])))
    for each in found.values():
        del each["model"]  # a network: too much to keep
    return found


def tested(task: recommend.SequenceTask, model: recommend.Recommender) -> dict:
    """What is known of a model on the test part: metrics by row, coverage, the settings chosen."""
    cutoffs = task.cutoffs("test")
    lists = model.predict(task, cutoffs)
    ranking = Ranking.of(task, lists, cutoffs)
    by_row = ranking.per_row().astype(np.float32)
    by_row["who"], by_row["week"] = task.names[task.who[ranking.rows]], task.day[ranking.rows] // 7
    return {"rows": by_row, "coverage": ranking.coverage(), "model": model}


def draws_of(fits: list[dict]) -> list[dict[str, np.ndarray]]:
    """Metrics of every fit on the same draws of households and weeks."""
    by_row = fits[0]["rows"]
    drawn = Draws.of(by_row["who"].to_numpy(), by_row["week"].to_numpy())
    return [{m: drawn.means(fit["rows"][m].to_numpy(float)) for m in by_row.columns[:-2]} for fit in fits]


def scored(models: Found, question: str) -> list[dict]:
    """Every model's metrics, and the ratios that the lesson speaks of."""
    draws = {name: draws_of(fits) for name, fits in models.items()}
    table = []
    for name, fits in draws.items():
        mean = mean_of_fits(fits)
        table += [row(name, metric, interval(mean[metric]), len(fits)) for metric in mean]
        shown = [fit["coverage"] for fit in models[name]]
        table.append(row(name, "coverage@10", (np.mean(shown), min(shown), max(shown)), len(fits)))
    return table + ratios(draws, question)


def ratios(draws: dict[str, list[dict[str, np.ndarray]]], question: str) -> list[dict]:
    """The network, alone and joined, over its rivals, and over itself with one thing changed."""
    ours = [name for name in ("LSTM", "LSTM, joined", "LSTM with EASE, joined") if name in draws]
    pairs = [(name, other) for name in ours for other in (*BEST[question], "LSTM") if other != name]
    pairs += [(ours[0], other) for other in draws if (ours[0], other) not in pairs and other not in ours]
    table = []
    for name, other in pairs:
        first, second = mean_of_fits(draws[name], 1), mean_of_fits(draws[other], 2)
        n = len(draws[name])
        table += [row(f"{name} / {other}", m, interval(first[m] / second[m]), n) for m in METRICS]
    return table


def pooled(found: dict[str, Found], question: str) -> list[dict]:
    """Ratios over the weeks of all windows, and week by week (there only households and fits are drawn)."""
    common = [name for name in found[LAST] if all(name in models for models in found.values())]
    every: Found = {}
    for name in common:
        fits = zip(*(models[name] for models in found.values()), strict=False)  # as many as all windows have
        every[name] = [{"rows": pd.concat([each["rows"] for each in fit])} for fit in fits]
    draws = {name: draws_of(fits) for name, fits in every.items()}
    table = [each | {"window": "all three"} for each in ratios(draws, question)]
    for week in sorted(every["LSTM"][0]["rows"]["week"].unique()):
        some = {
            n: [{"rows": f["rows"][f["rows"]["week"] == week]} for f in fits] for n, fits in every.items()
        }
        by_week = ratios({name: draws_of(fits) for name, fits in some.items()}, question)
        shown = {f"{name} / {other}" for name in ("LSTM", "LSTM, joined") for other in BEST[question]}
        table += [each | {"window": f"week {week + 1:.0f}"} for each in by_week if each["model"] in shown]
    return table
