"""Recommendation: the LSTM against every baseline, for two questions, at three levels.

Protocol. Trips of weeks 1-40 train, 41-44 choose, 45-52 test once. What a model learns comes from the
training weeks only; what it reads (the household's own earlier trips, the sales of the last days) is all
that happened before the trip's day. Every item of the vocabulary is a candidate. Settings of the baselines
and the network's epochs are chosen by recall@10 on the same 2,000 validation trips; its width, dropout and
inputs were chosen there too, once, at the level of product types. An LSTM row is the mean over its seeds.
Intervals are a bootstrap over households.

Rows whose model reads "A / B" or "A - B" compare two models by one bootstrap over the same households.

Each model's sums are kept under `build/bench/recommend`, so that a run that was cut off goes on where it
stopped; what was made with other settings or other code is not used. One part alone:

    python benchmarks/quality_recommend.py category discovery
"""

import hashlib
import inspect
import itertools
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from quality import Log, row

import ecomlib
from ecomlib import recommend
from ecomlib.evaluation import bootstrap_ratio
from ecomlib.recommend import (
    TIFUKNN,
    Factors,
    ItemKNN,
    Markov,
    PersonalFrequency,
    Popularity,
    Ranking,
    Trended,
    prepare,
    rank,
)
from ecomlib.runtime import usable_cores

LEVELS = {"category": 50, "product_type": 100, "product_id": 50}  # level: least number of training trips
QUESTIONS = ("discovery", "whole")
SEEDS = {"category": (0, 1, 2), "product_type": (0, 1, 2), "product_id": (0, 1)}
METRICS = ("recall@10", "recall@20", "ndcg@10", "mrr@20", "discoveries@10", "popularity@10")
SHOP = {
    "popularity": [Popularity()],
    "recent popularity": [Popularity(days) for days in (7, 14, 28)],
    "Markov chain": [Markov(smooth) for smooth in (10, 100)],
    "item-kNN": [
        ItemKNN(k, shrink, by, half)
        for k, shrink, by, half in (
            (100, 10, "who", None),
            (1000, 10, "who", None),
            (300, 100, "who", 60),
            (300, 10, "step", None),
        )
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
        "LSTM": {"units": 64, "dropout": 0.4, "trend_days": 14, "profile": True},
        "LSTM without trend": {"units": 64, "dropout": 0.4, "profile": True},
    },
    "whole": {
        "LSTM + personal history": {
            "units": 128,
            "dropout": 0.3,
            "half_lives": (7, 30, 120, 400),
            "trend_days": 14,
        },
        "LSTM alone": {"units": 128, "dropout": 0.3},
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
FOLDER = Path(__file__).resolve().parents[1] / "build/bench/recommend"


def rows(quick: bool, log) -> list[dict]:
    """One part after another in each of as many processes as there are cores, at most two."""
    ecomlib.load_complete_journey()  # fills the cache, so that no two processes do it at once
    places = list(itertools.product(LEVELS, QUESTIONS))[::-1]  # the longest first
    with ProcessPoolExecutor(min(usable_cores(), 2), mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(part, places, repeat(quick), repeat(log)))
    return [row for found in parts[::-1] for row in found]


def part(place: tuple[str, str], quick: bool, log) -> list[dict]:
    """One question at one level, on one core."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    return Study(prepare(shop, place[0], LEVELS[place[0]]), *place, quick, log).rows()


class Study:
    """All models for one question at one level."""

    def __init__(self, task, level: str, question: str, quick: bool, log):
        self.task, self.level, self.question, self.quick, self.log = task, level, question, quick, log
        valid = task.targets("valid")
        self.valid = np.sort(np.random.default_rng(0).permutation(valid)[:2000])
        self.sums: dict[str, list[dict]] = {}

    def rows(self) -> list[dict]:
        for name, grid in (SHOP | (NEW if self.question == "discovery" else OWN)).items():
            self.keep(name, 0, grid, self.baseline)
        for name, setting in NETS[self.question].items():
            if name == "LSTM without trend" and self.level != "product_type":
                continue
            one = self.quick or name not in ("LSTM", "LSTM + personal history")
            for seed in SEEDS[self.level][:1] if one else SEEDS[self.level]:
                self.keep(name, seed, setting | {"n_sampled": self.n_sampled}, self.network)
        if self.n_sampled and self.question == "discovery":
            setting = NETS["discovery"]["LSTM"] | {"n_sampled": 0}
            self.keep("LSTM, full softmax", 0, setting, self.network)
        found = [row for name, sums in self.sums.items() for row in score(name, sums)]
        found += compare(self.sums, *PAIRS[self.question])
        if "LSTM, full softmax" in self.sums:
            found += compare(self.sums, "LSTM, full softmax", ("LSTM",))
        return [one | {"level": self.level, "question": self.question} for one in found]

    @property
    def epochs(self) -> int:
        return 1 if self.quick else EPOCHS[self.level][self.question]

    @property
    def n_sampled(self) -> int:
        return 1024 if self.level == "product_id" else 0

    def keep(self, name: str, seed: int, setting, make) -> None:
        """Make the sums of one model, or take those that were kept."""
        used = [recommend.rank, recommend.history, recommend.look_back, recommend.trend]
        if make == self.network:
            from ecomlib import recommend_lstm

            used.append(recommend_lstm)
        else:
            used += [type(model) for model in setting]
        code = "".join(map(inspect.getsource, used))
        sign = hashlib.sha1(repr((setting, self.epochs, BATCH, code)).encode()).hexdigest()[:8]
        file = FOLDER / f"{self.level} {self.question} {name.replace('+', 'and')} {seed} {sign}.json"
        if not file.exists():
            ranking, about = make(setting, seed)
            who, n = sums_of(ranking)
            file.parent.mkdir(parents=True, exist_ok=True)
            half_written = file.with_suffix(".tmp")
            half_written.write_text(json.dumps(who | n | {"about": about}), encoding="utf-8")
            half_written.replace(file)
        kept = json.loads(file.read_text(encoding="utf-8"))
        self.sums.setdefault(name, []).append(kept)
        value = np.sum(kept["recall@10"]) / np.sum(kept["n"])
        self.log(f"{self.level} {self.question} {name}: recall@10 {value:.4f}  {kept['about']}")

    def baseline(self, grid: list, seed: int) -> tuple[Ranking, dict]:
        """Choose a setting on validation trips, then rank the test trips."""
        values = [0.0]
        if len(grid) > 1:
            values = [
                recall_at_10(model.fit(self.task), self.task, self.valid, self.question) for model in grid
            ]
        model = grid[int(np.argmax(values))]
        about = {"valid": round(float(max(values)), 4), "chosen": repr(model)}
        return rank(model.fit(self.task), self.task, self.task.targets("test"), self.question), about

    def network(self, setting: dict, seed: int) -> tuple[Ranking, dict]:
        """Train one LSTM, keep the epoch that is best on validation trips, and rank the test trips."""
        import keras

        from ecomlib.recommend_lstm import NextItems

        study, found = self, []

        class KeepBest(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                self.begun = time.perf_counter()

            def on_epoch_end(self, epoch, logs=None):
                seconds = time.perf_counter() - self.begun
                value = recall_at_10(self.model, study.task, study.valid, study.question)
                if not found or value > max(v for v, _ in found):
                    self.best = self.model.get_weights()
                found.append((value, seconds))
                study.log(f"    epoch {epoch + 1}: recall@10 {value:.4f} on validation, {seconds:.0f} s")
                if len(found) - 1 - np.argmax([v for v, _ in found]) >= 2:
                    self.model.stop_training = True

            def on_train_end(self, logs=None):
                self.model.set_weights(self.best)

        keras.utils.set_random_seed(seed)
        model = NextItems(self.task, self.question, seed=seed, **setting)
        train, batch = self.task.targets("train"), BATCH[self.level]
        model.train(train, self.epochs, batch, seed=seed, callbacks=[KeepBest()])
        values, seconds = zip(*found, strict=True)
        about = {
            "valid": round(max(values), 4),
            "epochs": 1 + int(np.argmax(values)),
            "seconds an epoch": round(float(np.median(seconds)), 1),
        }
        return rank(model, self.task, self.task.targets("test"), self.question), about


def recall_at_10(model, task, rows: np.ndarray, question: str) -> float:
    return float(rank(model, task, rows, question).per_row()["recall@10"].mean())


def sums_of(ranking: Ranking) -> tuple[dict, dict]:
    """Each metric's sum in every household, and its number of trips; coverage with its interval."""
    pairs = {metric: ranking.household_sums(metric) for metric in METRICS}
    value, draws = ranking.coverage(), [bootstrap_coverage(ranking, seed) for seed in range(40)]
    low, high = value + np.quantile(draws, [0.025, 0.975]) - np.mean(draws)
    n = {"n": pairs[METRICS[0]][1].tolist(), "coverage@10": [value, float(low), float(high)]}
    return {metric: total.round(6).tolist() for metric, (total, _) in pairs.items()}, n


def bootstrap_coverage(ranking: Ranking, seed: int) -> float:
    """Coverage of as many households, drawn anew; fewer distinct ones, so only its spread is used."""
    _, who = np.unique(ranking.task.who[ranking.rows], return_inverse=True)
    drawn = np.unique(np.random.default_rng(seed).integers(0, who.max() + 1, who.max() + 1))
    return len(np.unique(ranking.lists[np.isin(who, drawn), :10])) / ranking.task.n_items


def mean_sums(sums: list[dict], metric: str) -> np.ndarray:
    return np.mean([kept[metric] for kept in sums], axis=0)


def score(name: str, sums: list[dict]) -> list[dict]:
    found = []
    for metric in METRICS:
        spread = bootstrap_ratio(mean_sums(sums, metric), np.array(sums[0]["n"]))
        found.append(row(name, metric, spread, len(sums)))
    found.append(row(name, "coverage@10", np.mean([kept["coverage@10"] for kept in sums], axis=0), len(sums)))
    seconds = [kept["about"]["seconds an epoch"] for kept in sums if "epochs" in kept["about"]]
    if seconds:
        spread = np.mean(seconds), min(seconds), max(seconds)
        found.append(row(name, "seconds an epoch", spread, len(sums)))
    return found


def compare(sums: dict, name: str, others: tuple[str, ...]) -> list[dict]:
    """Ratio and difference of two models, by one bootstrap over the households of both."""
    found = []
    for other in others:
        for metric in ("recall@10", "recall@20"):
            ours, theirs = mean_sums(sums[name], metric), mean_sums(sums[other], metric)
            spread = bootstrap_ratio(ours, theirs)
            found.append(row(f"{name} / {other}", f"{metric} ratio", spread, len(sums[name])))
            spread = bootstrap_ratio(ours - theirs, np.array(sums[name][0]["n"]))
            found.append(row(f"{name} - {other}", f"{metric} difference", spread, len(sums[name])))
    return found


if __name__ == "__main__":
    part((sys.argv[1], sys.argv[2]), False, Log())
