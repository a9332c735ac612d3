"""Recommendation: the LSTM against every baseline, for two questions, at three levels.

Protocol. The eight weeks before Christmas test, once; the four weeks before them choose; all earlier weeks
train. What a model learns comes from the training weeks only; what it reads (the household's own earlier
trips, the sales of the last days) is all that happened before the trip's day. Every item of the vocabulary
is a candidate. Settings of the baselines and the network's epochs are chosen by recall@10 on the same 2,000
validation trips; its width, dropout and inputs were chosen there too, once, at the level of product types.
An LSTM row is the mean over its seeds. Intervals are a bootstrap over households.

Rows whose model reads "A / B" or "A - B" compare two models by one bootstrap over the same households.
"""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from multiprocessing import get_context

import joblib
import numpy as np

import ecomlib
from benchmarks.run import Log, kept, row
from ecomlib import recommend
from ecomlib.bootstrap import interval
from ecomlib.lessons.rivals import TIFUKNN, Trended
from ecomlib.recommend import (
    Factors,
    ItemKNN,
    Markov,
    NextItems,
    PersonalFrequency,
    Popularity,
    Ranking,
)

SPLIT = ecomlib.Split.last(test="8W", valid="4W", end="2017-12-24")
LEVELS = {"category": 50, "product_type": 100, "product_id": 50}  # level: least number of training trips
QUESTIONS = ("discovery", "whole")
SEEDS = {"category": (0, 1, 2), "product_type": (0, 1, 2), "product_id": (0, 1)}
SHOP = {
    "popularity": [Popularity()],
    "recent popularity": [Popularity(days) for days in (7, 14, 28)],
    "Markov chain": [Markov(smooth) for smooth in (10, 100)],
    "item-kNN": [
        ItemKNN(100, 10, "who"),
        ItemKNN(1000, 10, "who"),
        ItemKNN(300, 100, "who", 60),
        ItemKNN(300, 10, "step"),
    ],
    "matrix factors": [Factors(size) for size in (8, 16, 32, 64)],
    "TIFU-kNN": [
        TIFUKNN(300, 0.7),
        TIFUKNN(300, 0.9, 7, 0.9, 0.8),
        TIFUKNN(300, 0.7, 7, 0.95, 0.8),
        TIFUKNN(300, 0.9, 7, 0.95, 0.9),
    ],
}
NEW = {"matrix factors + trend": [Trended(Factors(16), 14, weight) for weight in (0.3, 1.0, 2.0)]}
OWN = {
    "personal frequency": [PersonalFrequency()],
    "recent personal frequency": [PersonalFrequency(days) for days in (60, 120, 240)],
}
NETS = {
    "discovery": {
        "LSTM": NextItems(64, trend_days=14, profile=True),
        "LSTM without trend": NextItems(64, profile=True),
    },
    "whole": {
        "LSTM + personal history": NextItems(dropout=0.3, half_lives=(7, 30, 120, 400), trend_days=14),
        "LSTM alone": NextItems(dropout=0.3),
    },
}
EPOCHS = {  # at most; the best on validation trips is kept
    "category": {"discovery": 6, "whole": 3},
    "product_type": {"discovery": 7, "whole": 3},
    "product_id": {"discovery": 5, "whole": 3},
}
BATCH = {"category": 64, "product_type": 64, "product_id": 32}
PAIRS = {
    "discovery": (
        "LSTM",
        ("popularity", "Markov chain", "item-kNN", "matrix factors", "matrix factors + trend", "TIFU-kNN"),
    ),
    "whole": ("LSTM + personal history", ("LSTM alone", "recent personal frequency", "TIFU-kNN")),
}


def rows(quick: bool, log: Log) -> list[dict]:
    """One part after another in as many processes as there are cores, two at most. Quick: one seed."""
    ecomlib.load_complete_journey()  # fills the cache, so that no two processes do it at once
    places = list(itertools.product(LEVELS, QUESTIONS))[::-1]  # the longest first
    with ProcessPoolExecutor(min(joblib.cpu_count(), 2), mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(part, places, repeat(quick), repeat(log)))
    return [row for found in parts[::-1] for row in found]


def part(place: tuple[str, str], quick: bool, log: Log) -> list[dict]:
    """One question at one level, on one core."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    level, question = place
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    task = recommend.task(shop, SPLIT, level, min_count=LEVELS[level]).ask(question)
    models: dict[str, list[dict]] = {}
    for job, found in kept("recommend", jobs(task, level, quick), log).items():
        log(f"{job}: recall@10 {found['draws']['recall@10'][0]:.4f}  {found['about']}")
        models.setdefault(job.split(": ")[1].split(", seed")[0], []).append(found)
    table = [each for name, found in models.items() for each in score(name, found)]
    table += compare(models, *PAIRS[question])
    if "LSTM, full softmax" in models:
        table += compare(models, "LSTM, full softmax", ("LSTM",))
    return [each | {"level": level, "question": question} for each in table]


def jobs(task: recommend.SequenceTask, level: str, quick: bool) -> dict[str, Callable[[], dict]]:
    """Every model of one question and level: its name -> a function that gives its test scores."""
    question = task.question
    found: dict[str, Callable[[], dict]] = {}
    for name, grid in (SHOP | (NEW if question == "discovery" else OWN)).items():
        found[name] = lambda grid=grid: tuned(task, grid)
    sampled = 1024 if level == "product_id" else 0
    epochs = 1 if quick else EPOCHS[level][question]
    for name, net in NETS[question].items():
        if name == "LSTM without trend" and level != "product_type":
            continue
        one = quick or name not in ("LSTM", "LSTM + personal history")
        for seed in SEEDS[level][:1] if one else SEEDS[level]:
            each = replace(net, n_sampled=sampled, epochs=epochs, batch_size=BATCH[level], seed=seed)
            found[f"{name}, seed {seed}"] = lambda each=each: trained(task, each)
    if sampled and question == "discovery":
        full = replace(NETS["discovery"]["LSTM"], epochs=epochs, batch_size=BATCH[level])
        found["LSTM, full softmax, seed 0"] = lambda: trained(task, full)
    return {f"{level} {question}: {name}": job for name, job in found.items()}


def valid_recall(task: recommend.SequenceTask, model: recommend.Recommender) -> float:
    """Mean recall@10 on 2,000 validation trips."""
    cutoffs = np.sort(np.random.default_rng(0).permutation(task.cutoffs("valid"))[:2000])
    return Ranking.of(task, model.predict(task, cutoffs), cutoffs).per_row()["recall@10"].mean()


def tuned(task: recommend.SequenceTask, grid: list[recommend.Recommender]) -> dict:
    """Choose a setting on validation trips, then score it on the test trips."""
    values = [valid_recall(task, model.fit(task)) for model in grid] if len(grid) > 1 else [0.0]
    model = grid[int(np.argmax(values))].fit(task)
    return tested(task, model, {"valid": round(float(max(values)), 4), "chosen": repr(model)})


def trained(task: recommend.SequenceTask, model: NextItems) -> dict:
    """Train one LSTM, keep the epoch that is best on validation trips, and score it on the test trips."""
    import keras

    found: list[tuple[float, float]] = []

    class KeepBest(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.begun = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            seconds = time.perf_counter() - self.begun
            value = valid_recall(task, model)
            if not found or value > max(v for v, _ in found):
                self.best = self.model.get_weights()
            found.append((value, seconds))
            if len(found) - 1 - np.argmax([v for v, _ in found]) >= 2:
                self.model.stop_training = True

        def on_train_end(self, logs=None):
            self.model.set_weights(self.best)

    keras.utils.set_random_seed(model.seed)
    model.fit(task, callbacks=[KeepBest()])
    values, seconds = zip(*found, strict=True)
    about = {"valid": round(max(values), 4), "epochs": 1 + int(np.argmax(values))}
    return tested(task, model, about | {"seconds per epoch": round(float(np.median(seconds)), 1)})


def tested(task: recommend.SequenceTask, model: recommend.Recommender, about: dict) -> dict:
    """Draws of every metric on the test part, and the coverage with its interval."""
    cutoffs = task.cutoffs("test")
    lists = model.predict(task, cutoffs)
    ranking = Ranking.of(task, lists, cutoffs)
    _, who = np.unique(task.who[ranking.rows], return_inverse=True)
    value, spread = ranking.coverage(), []
    for seed in range(40):  # as many households drawn anew hold fewer distinct ones: only the spread is used
        drawn = np.unique(np.random.default_rng(seed).integers(0, who.max() + 1, who.max() + 1))
        spread.append(len(np.unique(ranking.lists[np.isin(who, drawn), :10])) / task.n_items)
    low, high = value + np.quantile(spread, [0.025, 0.975]) - np.mean(spread)
    return {"draws": recommend.draws(task, lists), "coverage": (value, low, high), "about": about}


def mean_draws(found: list[dict], metric: str) -> np.ndarray:
    """Mean over the seeds."""
    return np.mean([each["draws"][metric] for each in found], axis=0)


def score(name: str, found: list[dict]) -> list[dict]:
    """Rows of one model."""
    table = [row(name, m, interval(mean_draws(found, m)), len(found)) for m in found[0]["draws"]]
    table.append(row(name, "coverage@10", tuple(np.mean([f["coverage"] for f in found], axis=0)), len(found)))
    seconds = [each["about"]["seconds per epoch"] for each in found if "epochs" in each["about"]]
    if seconds:
        spread = (float(np.mean(seconds)), min(seconds), max(seconds))
        table.append(row(name, "seconds per epoch", spread, len(found)))
    return table


def compare(models: dict[str, list[dict]], name: str, others: tuple[str, ...]) -> list[dict]:
    """Ratio and difference of two models, by the same draws of households."""
    table, n = [], len(models[name])
    for other, metric in itertools.product(others, ("recall@10", "recall@20")):
        ours, theirs = mean_draws(models[name], metric), mean_draws(models[other], metric)
        table.append(row(f"{name} / {other}", f"{metric} ratio", interval(ours / theirs), n))
        table.append(row(f"{name} - {other}", f"{metric} difference", interval(ours - theirs), n))
    return table
