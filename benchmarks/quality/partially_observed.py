"""Weeks and trips that the shop did not see: fillings, a mask, and training under the gaps, beside trees.

Visits: lesson 16's task and its test weeks 45 to 52. They had been looked at before, in the prototype of
this lesson, too; the settings are chosen anew on validation, weeks 41 to 44, and the test is scored once. One
LSTM layer of 32 units, Adam with cosine decay; every arm has its own search with seed 0: two rates, then
twice the epochs for the better one (the rows "choosing" tell what it took). Then three seeds. A seed draws
the gaps and the network's start; all arms of a seed have the same gaps, so their seeds are paired, too.
LightGBM has its search of leaves and trees for every kind of gap. What is forecast is what really happened,
in training and in the test.

* "known gaps": half of the weeks are hidden, and the shop knows which.
* "missed trips": half of the baskets are not recorded, and nobody knows which. "whole": trained on whole
  data; "gaps": trained on data with the same gaps. Both are served data with gaps.
* "silence": nothing is hidden, but a week without a trip is called missing.

Sales: the twelve departments of lesson 22, seven days ahead, the last 56 days; settings chosen on the 28 days
before, then fitted on both. Second shop: see `_second_shop_gaps`.
"""

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

import ecomlib
from benchmarks.quality import _gaps as gaps
from benchmarks.quality._gaps import Gappy
from benchmarks.quality._search import in_words
from benchmarks.run import Log, kept, row
from ecomlib import Shop, Split, visits
from ecomlib.bootstrap import Draws, interval, mean_of_fits
from ecomlib.probability import log_loss
from ecomlib.visits.baselines import features, grow

NAME = "partially_observed"
SPLIT = Split.last(test="56D", valid="28D", end="2017-12-24")
SEEDS = 3
UNITS, BATCH = 32, 256
RATES, EPOCHS = (1.2e-2, 2.4e-2), (12, 24)
KINDS = ("at random", "blocks")
ARMS = ("zero", "forward fill", "own mean", "mask", "mask and time", "skip", "decay")
TREES = [{"leaves": leaves, "leaf_rows": leaf_rows} for leaves, leaf_rows in ((15, 400), (7, 100))]
METRICS = ("log-loss", "AUC inactive")
WORSE = ("forward fill", "own mean", "mask and time", "skip", "decay")  # no arm is compared with these
SILENCE = ("forward fill", "own mean", "skip")  # treatments of an inactive week that is called missing
TRIPS = ("at random", "small baskets", "elsewhere")
Forecast = dict[str, np.ndarray]  # part -> (n_cutoffs, n, n_classes)
Scores = dict[str, np.ndarray]


def rows(quick: bool, log: Log) -> list[dict]:
    """All rows of the table; quick: one seed, one epoch, no search."""
    from benchmarks.quality import _sales_gaps, _second_shop_gaps

    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    out = Visits(shop, SPLIT, quick, log).rows()
    out += _sales_gaps.rows(shop, quick, log)
    return out + _second_shop_gaps.rows(quick, log)


class Visits:
    """All fits of the visits task of one shop, and the rows of its table."""

    def __init__(
        self,
        shop: Shop,
        split: Split,
        quick: bool,
        log: Log,
        name: str = "Complete Journey",
    ):
        self.shop, self.split, self.quick, self.log, self.name = shop, split, quick, log, name
        self.seeds = range(1 if quick else SEEDS)
        self.task = visits.task(shop, split)
        self.full = Gappy(self.task, np.ones(self.task.panel.known.shape, bool))
        self.chosen: list[dict] = []  # rows: the setting of each arm and its validation loss

    def rows(self) -> list[dict]:
        """The three questions, one after the other."""
        missed = {kind: self.missing_baskets(kind) for kind in TRIPS}
        whole = self.whole(missed)
        out = self.table("nothing hidden", "", whole)
        for kind in KINDS:
            out += self.table("known gaps", kind, self.known_gaps(kind, ARMS))
        for kind in TRIPS:
            out += self.table("missed trips", kind, self.missed_trips(kind, whole, missed[kind]))
        out += self.table("silence", "", self.silence() | {"zero": whole["LSTM"]})
        return out + self.chosen

    def whole(self, missed: Mapping[str, list[Gappy]]) -> dict[str, list[Forecast]]:
        """Trained on whole data; served whole data, and data with missed trips."""
        full = [self.full] * len(self.seeds)
        served = [{kind: data[seed] for kind, data in missed.items()} for seed in self.seeds]
        return {
            "LightGBM": self.trees("nothing hidden", "", full, plain_features, served),
            "LSTM": self.nets("nothing hidden", "", "zero", full, served),
        }

    def known_gaps(self, kind: str, arms: tuple[str, ...]) -> dict[str, list[Forecast]]:
        """Every treatment of hidden weeks, and LightGBM with NaN."""
        data = []
        for seed in self.seeds:
            seen = gaps.seen_weeks(kind, self.task, seed)
            data.append(gaps.hide_weeks(self.shop, self.task, seen, self.split))
        found = {"LightGBM": self.trees("known gaps", kind, data, gaps.gap_features)}
        return found | {arm: self.nets("known gaps", kind, arm, data) for arm in arms}

    def missing_baskets(self, kind: str) -> list[Gappy]:
        """The task without the baskets that nobody saw, once per seed."""
        lines = [gaps.missed_trips(kind, self.shop, self.task, seed) for seed in self.seeds]
        tasks = [gaps.task_of(self.shop, self.task, keep, self.split) for keep in lines]
        return [Gappy(task, self.full.seen) for task in tasks]

    def missed_trips(
        self, kind: str, whole: Mapping[str, list[Forecast]], data: list[Gappy]
    ) -> dict[str, list[Forecast]]:
        """Served data with missed trips: trained on whole data, and under the same gaps."""
        found = {f"{name}, whole": [{"test": p[kind]} for p in fits] for name, fits in whole.items()}
        found["LightGBM, gaps"] = self.trees("missed trips", kind, data, plain_features)
        return found | {"LSTM, gaps": self.nets("missed trips", kind, "zero", data)}

    def silence(self) -> dict[str, list[Forecast]]:
        """A week without a trip is called missing, and treated as such."""
        seen = (self.task.panel["baskets"] > 0) | (self.task.panel.known == 0)
        data = [Gappy(self.task, seen)] * len(self.seeds)
        return {arm: self.nets("silence", "", arm, data) for arm in SILENCE}

    def nets(
        self, question: str, kind: str, arm: str, data: list[Gappy], served: Any = None
    ) -> list[Forecast]:
        """A network per seed; rate and epochs are searched with the first one."""
        grid = [{"rate": RATES[0], "epochs": 1}] if self.quick else [
            {"rate": rate, "epochs": EPOCHS[0]} for rate in RATES
        ]  # fmt: skip
        fit = partial(train, arm=arm)
        return self.fits((question, kind, arm), fit, data, grid, served, longer=not self.quick)

    def trees(
        self,
        question: str,
        kind: str,
        data: list[Gappy],
        table: Callable[[Gappy], np.ndarray],
        served: Any = None,
    ) -> list[Forecast]:
        """A LightGBM per seed; leaves are searched with the first one, trees by early stopping."""
        grid = TREES[: 1 if self.quick else None]
        fit = partial(grown, table=table, most=5 if self.quick else 600)
        return self.fits((question, kind, "LightGBM"), fit, data, grid, served)

    def fits(
        self,
        place: tuple[str, str, str],
        fit: Callable,
        data: list[Gappy],
        grid: list[dict],
        served: Any,
        longer: bool = False,
    ) -> list[Forecast]:
        """Search with seed 0, then fit every seed with the setting of the smallest validation loss.

        `place` is the question, the kind of gap and the arm.
        """
        question, kind, arm = place
        name = f"{question} {kind}".strip() + f", {arm}"
        where = f"{NAME}/{self.name}{' quick' * self.quick}"
        served = served or [{}] * len(data)

        def search() -> tuple[dict, Forecast]:
            tried = [(setting, fit(data[0], served[0], seed=0, **setting)) for setting in grid]
            best = min(tried, key=lambda pair: valid_loss(self.task, pair[1]))
            if longer:
                more = best[0] | {"epochs": EPOCHS[1]}
                best = min(best, (more, fit(data[0], served[0], seed=0, **more)),
                           key=lambda pair: valid_loss(self.task, pair[1]))  # fmt: skip
            return best

        setting, first = kept(where, {f"{name}, seed 0": search}, self.log)[f"{name}, seed 0"]
        setting = {**setting, **first.get("chosen", {})}
        loss = (valid_loss(self.task, first),) * 3
        here = {"shop": self.name, "question": question, "gaps": kind, "setting": in_words(setting)}
        self.chosen.append(row(arm, "log-loss, choosing", loss, 1, **here))
        jobs = {
            f"{name}, seed {seed}": partial(fit, data[seed], served[seed], seed=seed, **setting)
            for seed in range(1, len(data))
        }
        return [first, *kept(where, jobs, self.log).values()]

    def table(self, question: str, kind: str, fits: Mapping[str, list[Forecast]]) -> list[dict]:
        """Scores of every arm, and paired differences to every other one; seeds are paired by their gaps."""
        place = {"shop": self.name, "question": question, "gaps": kind}
        scores = {
            name: mean_of_fits([scored(self.task, p["test"]) for p in each]) for name, each in fits.items()
        }
        n = len(next(iter(fits.values())))
        out = [
            row(name, metric, interval(values), n, **place)
            for name, found in scores.items()
            for metric, values in found.items()
        ]
        for one, other in itertools.permutations(scores, 2):
            if other in WORSE:
                continue
            change = {metric: scores[one][metric] - scores[other][metric] for metric in METRICS}
            out += [row(f"{one} minus {other}", m, interval(v), n, **place) for m, v in change.items()]
        return out


def plain_features(gappy: Gappy) -> np.ndarray:
    """LightGBM's columns where no gap is known: those of lesson 16."""
    return features(gappy.task)[0]


def train(
    gappy: Gappy, served: Mapping[str, Gappy], arm: str, seed: int, rate: float, epochs: int
) -> Forecast:
    """Train one network and forecast: validation and test part, and the test part of what it is served."""
    import keras

    task, made = gappy.task, gaps.inputs(gappy, arm)
    y, weight = task.labels("train")
    use, n = weight.any(axis=1), weight.shape[1]
    keras.utils.set_random_seed(seed)
    model = gaps.network(arm, made, UNITS, task.n_classes)
    steps = epochs * -(-int(use.sum()) // BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.Adam(schedule), loss)
    model.fit(
        [each[use, :n] for each in made], y[use], sample_weight=weight[use], batch_size=BATCH, epochs=epochs,
        verbose=0,
    )  # fmt: skip

    def answers(data: Gappy, parts: tuple[str, ...]) -> list[np.ndarray]:
        p = model.predict(gaps.inputs(data, arm), batch_size=512, verbose=0)
        return [p[:, task.cutoffs(part)].swapaxes(0, 1) for part in parts]

    found = dict(zip(("valid", "test"), answers(gappy, ("valid", "test")), strict=True))
    return found | {kind: answers(data, ("test",))[0] for kind, data in served.items()}


def grown(
    gappy: Gappy,
    served: Mapping[str, Gappy],
    table: Callable[[Gappy], np.ndarray],
    seed: int,
    leaves: int,
    leaf_rows: int,
    trees: int | None = None,
    most: int = 600,
) -> dict[str, Any]:
    """One LightGBM, and its forecasts as of `train`; without `trees`, early stopping chooses their number."""
    from lightgbm import early_stopping

    task, x = gappy.task, table(gappy)
    parts = {part: task.rows(part) for part in ("train", "valid")}
    (x_train, y), (x_valid, y_valid) = ((x[who, when], y) for who, when, y in parts.values())
    options = {}
    if trees is None:
        stop = early_stopping(40, verbose=False)
        options = {"eval_X": (x_valid,), "eval_y": (y_valid,), "callbacks": [stop]}
    model = grow(x_train, y, leaves, leaf_rows, trees or most, seed, **options)
    trees = trees or model.best_iteration_

    def answers(columns: np.ndarray, part: str) -> np.ndarray:
        asked = columns[:, task.cutoffs(part)]
        p = model.booster_.predict(asked.reshape(-1, asked.shape[-1]), num_iteration=trees)
        return p.reshape(*asked.shape[:2], -1).swapaxes(0, 1)

    found: dict[str, Any] = {part: answers(x, part) for part in ("valid", "test")}
    found |= {kind: answers(table(data), "test") for kind, data in served.items()}
    return found | {"chosen": {"trees": trees}}


def valid_loss(task: visits.VisitsTask, p: Forecast) -> float:
    """Mean log-loss of the validation part."""
    return float(log_loss(task.flat(p["valid"], "valid"), task.rows("valid")[2]).mean())


def scored(task: visits.VisitsTask, p: np.ndarray) -> Scores:
    """Draws of log-loss and AUC, and of the weeks that are forecast over the weeks that came."""
    found = visits.draws(task, p)
    customer, week, y = task.rows("test")
    drawn = Draws.of(customer, week)
    expected = task.flat(p, "test") @ np.arange(task.n_classes)
    return {name: found[name] for name in METRICS} | {"forecast / true": drawn.sums(expected) / drawn.sums(y)}
