"""Recommendation: the LSTM against every baseline, for two questions, at three levels.

Protocol. Trips of weeks 1-40 train, 41-44 choose, 45-52 test once. What a model learns comes from the
training weeks only; what it reads (the household's own earlier trips, the sales of the last days) is all
that happened before the trip's day. Every item of the vocabulary is a candidate. Settings of the baselines
are chosen by recall@10 on validation trips; the network's width, dropout and epochs were chosen there too.
An LSTM row is the mean over its seeds, with a bootstrap over households.

Rows whose metric reads "recall@10 ratio" compare two models by one bootstrap over the same households.
"""

import numpy as np

import ecomlib
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

LEVELS = {"category": 50, "product_type": 100, "product_id": 50}  # level: least number of training trips
SEEDS = {"category": (0, 1, 2), "product_type": (0, 1, 2), "product_id": (0, 1, 2)}
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
        "LSTM": {"units": 64, "dropout": 0.4, "trend_days": 14, "profile": True, "epochs": 5},
        "LSTM without trend": {"units": 64, "dropout": 0.4, "profile": True, "epochs": 5},
    },
    "whole": {
        "LSTM alone": {"units": 128, "dropout": 0.3, "epochs": 3},
        "LSTM + personal history": {
            "units": 128,
            "dropout": 0.3,
            "half_lives": (7, 30, 120, 400),
            "trend_days": 14,
            "epochs": 3,
        },
    },
}
PAIRS = {
    "discovery": (
        "LSTM",
        ("popularity", "Markov chain", "item-kNN", "matrix factors", "matrix factors + trend", "TIFU-kNN"),
    ),
    "whole": ("LSTM + personal history", ("LSTM alone", "recent personal frequency", "TIFU-kNN")),
}


def rows(quick: bool, log) -> list[dict]:
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    return [row for level in LEVELS for row in study(prepare(shop, level, LEVELS[level]), level, quick, log)]


def study(task, level: str, quick: bool, log) -> list[dict]:
    """Both questions at one level."""
    found = []
    for question in ("discovery", "whole"):
        valid = task.targets("valid")
        valid = np.sort(np.random.default_rng(0).permutation(valid)[:2000])
        sums = {}
        for name, grid in (SHOP | (NEW if question == "discovery" else OWN)).items():
            model = choose(grid, task, valid, question)
            sums[name] = [rank(model.fit(task), task, task.targets("test"), question)]
            log(f"{level} {question} {name}: recall@10 {recall(sums[name]):.4f}")
        for name, setting in NETS[question].items():
            few = name in ("LSTM without trend", "LSTM alone") or quick
            seeds = SEEDS[level][:1] if few else SEEDS[level]
            sums[name] = [network(task, level, question, setting, seed, quick) for seed in seeds]
            log(f"{level} {question} {name}: recall@10 {recall(sums[name]):.4f}")
        place = {"level": level, "question": question}
        for name, rankings in sums.items():
            found += [row | place for row in score(name, rankings)]
        found += [row | place for row in compare(sums, *PAIRS[question])]
    return found


def choose(grid: list, task, rows: np.ndarray, question: str):
    if len(grid) == 1:
        return grid[0]
    values = [recall([rank(model.fit(task), task, rows, question)]) for model in grid]
    return grid[int(np.argmax(values))]


def network(task, level: str, question: str, setting: dict, seed: int, quick: bool) -> Ranking:
    """Train one LSTM and rank the test trips."""
    import keras

    from ecomlib.recommend_lstm import NextItems

    setting = dict(setting)
    epochs = 1 if quick else setting.pop("epochs")
    setting.pop("epochs", None)
    big = level == "product_id"
    keras.utils.set_random_seed(seed)
    model = NextItems(task, question, n_sampled=1024 if big else 0, seed=seed, **setting)
    model.train(task.targets("train"), epochs, 32 if big else 64, seed=seed)
    return rank(model, task, task.targets("test"), question)


def recall(rankings: list[Ranking]) -> float:
    return float(np.mean([r.per_row()["recall@10"].mean() for r in rankings]))


def household_sums(rankings: list[Ranking], metric: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [r.household_sums(metric) for r in rankings]
    return np.mean([total for total, _ in pairs], axis=0), pairs[0][1]


def score(name: str, rankings: list[Ranking]) -> list[dict]:
    found = []
    for metric in METRICS:
        value, low, high = bootstrap_ratio(*household_sums(rankings, metric), n=500)
        found.append(row(name, metric, value, low, high, len(rankings)))
    shares = [r.coverage() for r in rankings]
    draws = [bootstrap_coverage(rankings[0], seed) for seed in range(40)]
    spread = np.quantile(draws, [0.025, 0.975]) - np.mean(draws)
    value = float(np.mean(shares))
    return [*found, row(name, "coverage@10", value, value + spread[0], value + spread[1], len(rankings))]


def bootstrap_coverage(ranking: Ranking, seed: int) -> float:
    _, who = np.unique(ranking.task.who[ranking.rows], return_inverse=True)
    drawn = np.unique(np.random.default_rng(seed).integers(0, who.max() + 1, who.max() + 1))
    return len(np.unique(ranking.lists[np.isin(who, drawn), :10])) / ranking.task.n_items


def compare(sums: dict, name: str, others: tuple[str, ...]) -> list[dict]:
    found = []
    for other in others:
        for metric in ("recall@10", "recall@20"):
            value, low, high = bootstrap_ratio(
                household_sums(sums[name], metric)[0], household_sums(sums[other], metric)[0], n=1000
            )
            found.append(row(f"{name} / {other}", f"{metric} ratio", value, low, high, len(sums[name])))
    return found


def row(model: str, metric: str, value: float, low: float, high: float, seeds: int) -> dict:
    return {"model": model, "metric": metric, "value": value, "low": low, "high": high, "seeds": seeds}
