"""Purchase prediction: the shared LSTM against simple rules, a line, trees and the obvious network.

Protocol. Local weeks 2 to 52. Targets of weeks up to 40 train, 41 to 44 choose, 45 to 52 test. Every
household known at the cutoff counts, silent ones included; 30 categories. Half-life and prior weight of the
frequency and the leaves and number of trees are chosen on weeks 41 to 44. An interval is a bootstrap over
whole households of the mean of the seeds' probabilities or, in rows "seed", of one seed.
"""

from collections.abc import Callable

import numpy as np

import ecomlib
from benchmarks.run import Log, kept, row
from ecomlib import purchases
from ecomlib.bootstrap import interval, ratio_interval
from ecomlib.lessons.customer_kinds import kinds
from ecomlib.lessons.multi_hot import MultiHotLSTM
from ecomlib.probability import log_loss
from ecomlib.purchases.baselines import grow, rows_of
from ecomlib.split import Split

SPLIT = Split.last(test="56D", valid="28D", end="2017-12-24")  # week 53 lacks Christmas Day
GROUPS = {
    "household": ("household",),
    "marketing": ("marketing", "promotion"),
    "product": ("product",),
    "who": ("who",),
}
OURS = purchases.PurchaseLSTM.name


def rows(quick: bool, log: Log) -> list[dict]:
    """Quick: one seed, one epoch, few trees, no ablation."""
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    task = purchases.task(shop, SPLIT)
    log(f"task: {len(task.who)} households, {len(task.categories)} categories")
    study, cutoffs = Study(task, log), task.cutoffs("test")
    best = purchases.tune_frequency(task, (6, 8, 10, 12, 14, 16, 20, 26), (1, 2, 3, 4))
    rules = {
        "base rate": purchases.BaseRate(),
        "own frequency": purchases.WeightedFrequency(np.inf, 5.0),
        "recency-weighted frequency": purchases.WeightedFrequency(*best),
        "logistic regression": purchases.Logistic(),
    }
    for name, rule in rules.items():
        study.add(name, [rule.fit(task).predict(task, cutoffs)])
    leaves, trees = tune_trees(task, (31,), 20) if quick else tune_trees(task)
    log(f"LightGBM: {leaves} leaves, {trees} trees")
    # What the network gains by averaging fits, the trees may have too.
    fits = [purchases.LightGBM(leaves, trees, fits=1, seed=seed) for seed in range(1 if quick else 3)]
    study.add("LightGBM", [fit.fit(task).predict(task, cutoffs) for fit in fits])
    found = kept("purchases", jobs(task, quick), log)
    for name in (OURS, MultiHotLSTM.name):
        study.add(name, [p for job, p in found.items() if job.startswith(f"{name}, seed")])
    for group in () if quick else GROUPS:
        study.add(f"{OURS} without {group}", [found[f"{OURS} without {group}"]])
    return study.rows() + counter_example(quick, log)


def jobs(task: purchases.PurchaseTask, quick: bool) -> dict[str, Callable[[], np.ndarray]]:
    """Every network to fit: its name -> a function that gives its probabilities in the test part."""
    cutoffs, options = task.cutoffs("test"), {"epochs": 1} if quick else {}
    nets = {
        f"{net.name}, seed {seed}": net(seed, **options)
        for net in (purchases.PurchaseLSTM, MultiHotLSTM)
        for seed in range(1 if quick else 3)
    }
    for group in {} if quick else GROUPS:
        nets[f"{OURS} without {group}"] = purchases.PurchaseLSTM(0, without=GROUPS[group])
    return {name: lambda net=net: net.fit(task).predict(task, cutoffs) for name, net in nets.items()}


def tune_trees(
    task: purchases.PurchaseTask, leaves: tuple[int, ...] = (15, 31, 63), most_trees: int = 600
) -> tuple[int, int]:
    """Leaves and number of trees of `LightGBM`, chosen on the validation part."""
    from lightgbm import early_stopping

    train, (x, y) = rows_of(task, "train"), rows_of(task, "valid")
    loss = {}
    for n in leaves:
        stop = early_stopping(25, verbose=False)
        model = grow(*train, n, most_trees, eval_X=(x,), eval_y=(y,), callbacks=[stop])
        loss[n, model.best_iteration] = log_loss(model.predict(x), y).mean()
    return min(loss, key=lambda settings: loss[settings])


class Study:
    """All forecasts of the test part and the table made of them."""

    def __init__(self, task: purchases.PurchaseTask, log: Log):
        self.task, self.log = task, log
        self.category = task.rows("test")[2]
        self.kind = kinds(task)
        self.scores, self.p, self.seeds, self.table, self.first = {}, {}, {}, [], None

    def draws(self, p: np.ndarray, where: np.ndarray | None = None) -> dict[str, np.ndarray]:
        return purchases.draws(self.task, p, n=100 if where is None else 50, where=where)

    def add(self, name: str, forecasts: list[np.ndarray]) -> None:
        self.p[name], self.seeds[name] = np.mean(forecasts, axis=0), len(forecasts)
        self.scores[name] = self.draws(self.p[name])
        self.put(name, "", self.scores[name], len(forecasts))
        for seed, one in enumerate(forecasts if len(forecasts) > 1 else ()):
            scores = self.draws(one)
            self.put(name, f"seed {seed}", scores, 1)
            if (name, seed) == (OURS, 0):
                self.first = scores
        self.log(f"{name}: log-loss {self.scores[name]['log-loss'][0]:.5f}")

    def put(self, name: str, where: str, scores: dict[str, np.ndarray], seeds: int) -> None:
        self.table += [row(name, m, interval(v), seeds, where=where) for m, v in scores.items()]

    def rows(self) -> list[dict]:
        for other in self.p:
            if other == OURS:
                continue
            if other.startswith(f"{OURS} without"):  # one seed, so it is paired with the same seed
                lost = self.scores[other]["log-loss"] - self.first["log-loss"]
                self.put(f"{other} minus {OURS}, seed 0", "paired", {"log-loss": lost}, 1)
                continue
            theirs, mine, seeds = self.scores[other], self.scores[OURS], self.seeds[OURS]
            lost = theirs["log-loss"] - mine["log-loss"]
            gained = mine["average precision"] / theirs["average precision"]
            self.put(f"{other} minus {OURS}", "paired", {"log-loss": lost}, seeds)
            self.put(f"{OURS} to {other}", "paired", {"average precision": gained}, seeds)
        rule = "recency-weighted frequency"
        for kind in ("new", "regular", "lapsing"):
            for name in (rule, "LightGBM", OURS):
                self.put(name, kind, self.draws(self.p[name], self.kind == kind), self.seeds[name])
        for k, category in enumerate(self.task.categories):
            for name in (rule, OURS):
                scores = self.draws(self.p[name], self.category == k)
                self.put(name, category, {m: scores[m] for m in ("log-loss", "AUC")}, self.seeds[name])
        return self.table


def counter_example(quick: bool, log: Log) -> list[dict]:
    """CDNOW: two four-parameter models and an LSTM that simulates; intervals over customers."""
    from ecomlib.lessons import counter_example as cdnow

    bought = cdnow.load_cdnow()
    table = cdnow.summarise(bought)
    seen, later = [table[c].to_numpy(float) for c in ("repeats", "last", "age")], table["later"].to_numpy()
    ahead = cdnow.WEEKS
    counts = cdnow.weekly_counts(bought)[:, :ahead]
    nets = [cdnow.CountLSTM(s, epochs=1 if quick else 6).fit(counts) for s in range(1 if quick else 3)]
    forecasts = {
        "rate so far": [seen[0] / seen[2] * ahead],
        "BG/NBD": [cdnow.bgnbd_expected(cdnow.fit_bgnbd(*seen), *seen, ahead)],
        "Pareto/NBD": [cdnow.pareto_expected(cdnow.fit_pareto(*seen), *seen, ahead)],
        "LSTM": [net.simulate(counts, ahead) for net in nets],
    }
    out = []
    for name, p in forecasts.items():
        gap, place = np.abs(np.mean(p, axis=0) - later), {"seeds": len(p), "where": "CDNOW"}
        out.append(row(name, "MAE", ratio_interval(gap, np.ones(len(gap)), 200), **place))
        values = {m: value for m, value in cdnow.errors(np.mean(p, axis=0), later).items() if m != "MAE"}
        out += [row(name, metric, (value,) * 3, **place) for metric, value in values.items()]
        log(f"CDNOW, {name}: MAE {gap.mean():.3f}")
    return out
