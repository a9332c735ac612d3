"""Purchase prediction: the shared LSTM against the smoothed frequency, a line, LightGBM, the obvious network.

Protocol. Local weeks 2 to 52. Targets of weeks up to 40 train, 41 to 44 choose, 45 to 52 test. Every
household known at the cutoff counts, inactive ones included; 30 categories. Chosen on weeks 41 to 44:
half-life and prior weight of the frequency, leaves and number of trees, inputs, dropout, rate and epochs of
the multi-hot LSTM (rows "search"), the weight of the network in the joined forecast. An interval draws
households and weeks and, where a row has several fits, the fits; the value of such a row is the mean of the
fits' scores. LightGBM has one fit. Every interval has 1,000 draws (in the committed table those of AUC,
average precision and lift still have 50: no verdict is given on them).

Two more windows, weeks 29 to 36 and 37 to 44, each with 4 weeks before it to choose and all weeks before
those to train. The network's settings were chosen on weeks 41 to 44. There LightGBM has 15 leaves and
chooses its trees; in the last eight weeks it chooses both.

"coupons": what the coupons of lesson 33 bring in dollars per week, and which share of them reaches a buyer,
by the lists of the smoothed frequency and of the network.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import ecomlib  # isort: skip  (before Keras)
import keras
import numpy as np

from benchmarks.quality._search import PATIENCE, in_words
from benchmarks.run import Log, kept, row
from ecomlib import purchases
from ecomlib.bootstrap import Draws, interval, mean_of_fits
from ecomlib.joined import best_weight, join
from ecomlib.lessons.customer_kinds import kinds
from ecomlib.lessons.multi_hot import FEW, MultiHotLSTM
from ecomlib.probability import log_loss
from ecomlib.purchases.baselines import CATEGORY, boosting, rows_of
from ecomlib.purchases.channels import GROUPS
from ecomlib.shop import Shop
from ecomlib.split import Split

ENDS = {"45-52": "2017-12-24", "29-36": "2017-09-03", "37-44": "2017-10-29"}  # week 53 lacks Christmas Day
NEW = ("trip days", "category days", "trend")  # what the weekly panel did not hold
LEFT_OUT = {  # one fit each
    "household": ("household",),
    "days": ("trip days", "category days"),
    "trend": ("trend",),
}
OURS, BOOSTING, FREQUENCY = (
    purchases.PurchaseLSTM.name,
    purchases.LightGBM.name,
    purchases.WeightedFrequency.name,
)
JOINED = f"{OURS} joined with {BOOSTING}"
PLAIN = "without days and trend"
COUPONS, COST, FACE, MARGIN = 2000, 0.05, 0.50, 0.25  # a week; dollars to send, off the price; of a sale
MOST = 60  # epochs of the multi-hot LSTM
ARMS = [  # its settings; each is trained until its validation loss stands still
    {"reads": reads, "dropout": dropout, "learning_rate": rate}
    for reads, dropout, rate in itertools.product((FEW, tuple(GROUPS)), (0, 0.3), (1e-3, 3e-3, 1e-2))
]
Forecast = dict[str, np.ndarray]  # part -> (n_cutoffs, n, k)
Tried = list[tuple[dict[str, Any], list[float]]]  # settings, and the validation loss after every epoch
Scores = dict[str, np.ndarray]


def rows(quick: bool, log: Log) -> list[dict]:
    """Quick: one fit of one epoch each, few trees, no ablation, two windows."""
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    windows = dict(list(ENDS.items())[: 2 if quick else 3])
    splits = {name: Split.last(test="56D", valid="28D", end=end) for name, end in windows.items()}
    tasks = {name: purchases.task(shop, split) for name, split in splits.items()}
    margin = margins(shop, tasks["45-52"])
    del shop
    chosen = kept("purchases", searches(tasks, quick), log)
    tried = chosen.pop(MultiHotLSTM.name)
    best = best_arm(tried)
    log(f"chosen on validation: {MultiHotLSTM.name} {best}")
    for name, each in chosen.items():
        log(f"chosen on validation: {name} {each['settings'] if isinstance(each, dict) else each}")
    found = kept("purchases", jobs(tasks, chosen | {MultiHotLSTM.name: best}, quick), log)
    found |= {f"{name}, seed 0": each for name, each in chosen.items() if isinstance(each, dict)}
    study = Study(tasks["45-52"], log)
    study.add_all(found)
    study.coupons(margin)
    return study.table + search_rows(tried) + rolling(tasks, found) + counter_example(quick, log)


# ------------------------------------------------------------------------------------------------- the fits


def searches(tasks: dict[str, purchases.PurchaseTask], quick: bool) -> dict[str, Callable[[], Any]]:
    """What is chosen on validation before the fits: its name -> a function that gives it.

    Of LightGBM that is its fit, too.
    """
    task, few = tasks["45-52"], ((31,), 20) if quick else ()
    found: dict[str, Callable[[], Any]] = {
        "frequency": partial(purchases.tune_frequency, task, (6, 8, 10, 12, 14, 16, 20, 26), (1, 2, 3, 4)),
        BOOSTING: partial(grown, task, *(few or ((15, 31, 63),))),
    }
    found |= {
        f"{window}: {BOOSTING}": partial(grown, tasks[window], *(few or ((15,),)))
        for window in list(tasks)[1:]
    }
    return found | {
        MultiHotLSTM.name: partial(tune_multi_hot, task, *((ARMS[:1], 1) if quick else (ARMS, MOST)))
    }


def jobs(
    tasks: dict[str, purchases.PurchaseTask], chosen: dict[str, Any], quick: bool
) -> dict[str, Callable[[], Forecast]]:
    """Every model to fit: its name -> a function that gives its forecasts; a fit's name ends in its seed."""
    task, few = tasks["45-52"], {"epochs": 1} if quick else {}
    seeds = range(1 if quick else 3)
    models = {f"{OURS}, seed {seed}": purchases.PurchaseLSTM(seed, **few) for seed in seeds}
    models |= {
        "base rate, seed 0": purchases.BaseRate(),
        "plain frequency, seed 0": purchases.WeightedFrequency(np.inf, 5.0),
        f"{FREQUENCY}, seed 0": purchases.WeightedFrequency(*chosen["frequency"]),
    }
    nets: dict[str, Callable[[], Forecast]] = {
        name: partial(forecast, model, task) for name, model in models.items()
    }
    for window in list(tasks)[1:]:
        for seed in seeds[:2]:
            net = purchases.PurchaseLSTM(seed, **few)
            nets[f"{window}: {OURS}, seed {seed}"] = partial(forecast, net, tasks[window])
    net = MultiHotLSTM(0, **chosen[MultiHotLSTM.name])
    nets[f"{MultiHotLSTM.name}, seed 0"] = partial(forecast, net, task)
    left_out = (
        {PLAIN: NEW} | {} if quick else {PLAIN: NEW, **{f"without {g}": n for g, n in LEFT_OUT.items()}}
    )
    for name, groups in left_out.items():
        for seed in seeds[: 2 if name == PLAIN else 1]:
            net = purchases.PurchaseLSTM(seed, without=groups, **few)
            nets[f"{OURS} {name}, seed {seed}"] = partial(forecast, net, task)
    if not quick:
        nets["logistic regression, seed 0"] = partial(forecast, purchases.Logistic(), task)
    return nets


def forecast(model: Any, task: purchases.PurchaseTask) -> Forecast:
    """Fit a model; its forecasts of both parts."""
    return predicted(model.fit(task), task)


def predicted(model: Any, task: purchases.PurchaseTask) -> Forecast:
    """A model's forecasts of both parts."""
    return {part: np.float32(model.predict(task, task.cutoffs(part))) for part in ("valid", "test")}


def grown(
    task: purchases.PurchaseTask, leaves: tuple[int, ...] = (15, 31), most_trees: int = 800
) -> dict[str, Any]:
    """LightGBM, its leaves and number of trees chosen on the validation part: "settings" and forecasts."""
    from lightgbm import Dataset, early_stopping
    from lightgbm import train as boost

    train, (x, y) = rows_of(task, "train"), rows_of(task, "valid")
    best = {}
    for n in leaves:
        stop = early_stopping(25, verbose=False)
        settings = boosting(n)
        data = Dataset(*train, categorical_feature=[CATEGORY], params=settings)
        seen = [Dataset(x, y, reference=data)]
        booster = boost(settings, data, most_trees, valid_sets=seen, callbacks=[stop])
        best[log_loss(booster.predict(x), y).mean()] = n, booster
    n, booster = best[min(best)]
    model = purchases.LightGBM(n, booster.best_iteration, fits=1)
    model.categories, model.models = task.categories, [booster]  # it predicts with its best iteration
    return {"settings": (n, booster.best_iteration)} | predicted(model, task)


def tune_multi_hot(task: purchases.PurchaseTask, arms: list[dict], epochs: int) -> Tried:
    """Settings of the multi-hot network, each with the validation loss after every epoch."""
    tried = []
    for arm in arms:
        still = keras.callbacks.EarlyStopping(patience=PATIENCE)
        net = MultiHotLSTM(0, epochs, **arm).fit(task, callbacks=[still], watch=True)
        tried.append((arm, net.history["val_loss"]))
    return tried


def best_arm(tried: Tried) -> dict[str, Any]:
    """The settings with the smallest validation loss, and its epoch."""
    arm, losses = min(tried, key=lambda each: min(each[1]))
    return arm | {"epochs": int(np.argmin(losses)) + 1}


def search_rows(tried: Tried) -> list[dict]:
    """The search of the multi-hot network: smallest validation loss of every setting, and its epoch."""
    out = []
    for arm, losses in tried:
        inputs, epoch = "few" if arm["reads"] == FEW else "all", int(np.argmin(losses))
        said = in_words({"dropout": arm["dropout"], "rate": arm["learning_rate"]})
        for metric, value in {"validation log-loss": losses[epoch], "epoch": epoch + 1}.items():
            out.append(
                row(MultiHotLSTM.name, metric, (value,) * 3, 1, where=f"search: {inputs} inputs, {said}")
            )
    return out


# -------------------------------------------------------------------------------------------------- scores


def joined(task: purchases.PurchaseTask, ours: Forecast, theirs: Forecast) -> tuple[Forecast, float]:
    """Weighted mean of two forecasts, and the weight of ours, chosen on the validation part."""
    y, valid = task.rows("valid")[-1], [task.flat(each["valid"], "valid") for each in (ours, theirs)]
    weight = np.float32(best_weight(lambda weight: log_loss(join(*valid, weight), y).mean()))
    return {part: join(ours[part], theirs[part], weight) for part in ("valid", "test")}, float(weight)


def fits_of(found: dict[str, Forecast], name: str) -> list[Forecast]:
    """All fits of a model."""
    return [found[job] for job in sorted(found) if job.startswith(f"{name}, seed ")]


class Study:
    """The test part of one task: the scores of every fit, and the rows made of them."""

    def __init__(self, task: purchases.PurchaseTask, log: Log):
        self.task, self.log, self.table = task, log, []
        self.scores: dict[str, list[Scores]] = {}
        self.p: dict[str, list[np.ndarray]] = {}

    def put(self, name: str, where: str, scores: Scores, fits: int) -> None:
        """Add a row per metric."""
        self.table += [row(name, m, interval(v), fits, where=where) for m, v in scores.items()]

    def add(self, name: str, fits: list[Forecast]) -> None:
        """Score a model."""
        self.p[name] = [each["test"] for each in fits]
        self.scores[name] = [self.score(name, each) for each in self.p[name]]
        self.put(name, "", mean_of_fits(self.scores[name]), len(fits))
        if name == OURS:
            for seed, one in enumerate(self.scores[name]):
                self.put(name, f"seed {seed}", {"log-loss": one["log-loss"]}, 1)
        self.log(f"{name}: log-loss {np.mean([each['log-loss'][0] for each in self.scores[name]]):.5f}")

    def score(self, name: str, p: np.ndarray) -> Scores:
        """All scores; of the joined forecast and of a network without a group the log-loss alone."""
        if name == JOINED or (name.startswith(f"{OURS} without ") and PLAIN not in name):
            return loss_draws(self.task, p)
        return purchases.draws(self.task, p)

    def pair(self, other: str, ours: str) -> None:
        """The other model's scores minus ours, on the same draws; fits are drawn, too."""
        left_out = other.startswith(f"{OURS} without ") and PLAIN not in other
        fits = self.scores[ours][: 1 if left_out else None]
        theirs, mine = mean_of_fits(self.scores[other], 1), mean_of_fits(fits)
        lost = {m: theirs[m] - mine[m] for m in ("log-loss", "average precision", "AUC") if m in theirs}
        self.put(f"{other} minus {ours}", "paired", lost, len(fits))

    def add_all(self, found: dict[str, Forecast]) -> None:
        """Every row of the last eight weeks."""
        names = [job.rpartition(", seed ")[0] for job in found if not job[0].isdigit()]
        for name in dict.fromkeys(names):
            self.add(name, fits_of(found, name))
        boosted = found[f"{BOOSTING}, seed 0"]
        joins = [joined(self.task, ours, boosted) for ours in fits_of(found, OURS)]
        self.log(f"weights of the LSTM in the joined forecast: {[w for _, w in joins]}")
        self.add(JOINED, [made for made, _ in joins])
        for other in dict.fromkeys([*names, JOINED]):
            if other != OURS:
                self.pair(other, OURS)
        self.pair(BOOSTING, f"{OURS} {PLAIN}")
        self.pair(MultiHotLSTM.name, FREQUENCY)
        kind, category = kinds(self.task), self.task.rows("test")[2]
        for where in ("new", "regular", "at risk"):
            self.part(where, kind == where, (FREQUENCY, BOOSTING, OURS))
        for k, where in enumerate(self.task.categories):
            self.part(where, category == k, (FREQUENCY, BOOSTING, OURS))

    def coupons(self, margin: np.ndarray, n: int = COUPONS) -> None:
        """What the coupons bring by the frequency's list and by the network's; fits are drawn, too."""
        theirs, ours = (
            mean_of_fits([coupon_draws(self.task, p, margin, n) for p in self.p[name]], stream)
            for stream, name in enumerate((FREQUENCY, OURS))
        )
        fits = len(self.p[OURS])
        self.put(FREQUENCY, "coupons", theirs, 1)
        self.put(OURS, "coupons", ours, fits)
        self.put(f"{OURS} minus {FREQUENCY}", "coupons", {m: ours[m] - theirs[m] for m in ours}, fits)

    def part(self, where: str, rows: np.ndarray, names: tuple[str, ...]) -> None:
        """Log-loss on a part of the rows, and that of the last model taken off the others'."""
        losses = {name: [loss_draws(self.task, p, rows) for p in self.p[name]] for name in names}
        for name, fits in losses.items():
            self.put(name, where, mean_of_fits(fits), len(fits))
            if name != names[-1]:
                lost = mean_of_fits(fits, 1)["log-loss"] - mean_of_fits(losses[names[-1]])["log-loss"]
                self.put(f"{name} minus {names[-1]}", where, {"log-loss": lost}, len(losses[names[-1]]))


def margins(shop: Shop, task: purchases.PurchaseTask) -> np.ndarray:
    """What a purchase of each category brings, dollars (k,): the margin of what an order spends on it.

    From the weeks before validation.
    """
    start = task.panel.weeks[task.cutoffs("valid")[0] + 1]
    early = shop.orders[shop.orders["timestamp"] < start]
    category = shop.products.set_index("product_id")["category"].astype("str")
    lines = early.groupby(category.reindex(early["product_id"]).to_numpy())
    return MARGIN * (lines["revenue"].sum() / lines["order_id"].nunique()).reindex(task.categories).to_numpy()


def coupon_draws(task: purchases.PurchaseTask, p: np.ndarray, margin: np.ndarray, n: int = COUPONS) -> Scores:
    """Send n coupons each week where probability times margin is highest; households and weeks are drawn.

    "dollars per week": the margins of those that are used, less their face value and what sending all of them
    costs. "share that buys": of the coupons sent.
    """
    cutoffs = task.cutoffs("test")
    worth = np.where(task.use(cutoffs)[..., None], p * margin, -1).reshape(len(cutoffs), -1)
    sent = np.zeros_like(worth)
    np.put_along_axis(sent, np.argsort(-worth, axis=1)[:, :n], 1, axis=1)
    buys = sent.reshape(p.shape) * task.target(cutoffs)
    week, household = np.indices(buys.shape[:2])
    drawn = Draws.of(household.ravel(), week.ravel())
    gained = drawn.sums((buys * (margin - FACE)).sum(axis=2).ravel()) / len(cutoffs)
    share = drawn.sums(buys.sum(axis=2).ravel()) / len(cutoffs) / n
    return {"dollars per week": gained - COST * n, "share that buys": share}


def loss_draws(task: purchases.PurchaseTask, p: np.ndarray, rows: np.ndarray | None = None) -> Scores:
    """Draws of the log-loss on all test rows, or on a part of them."""
    customer, week, _, y = task.rows("test")
    rows = np.ones(len(y), bool) if rows is None else rows
    loss = log_loss(task.flat(p, "test")[rows], y[rows])
    return {"log-loss": Draws.of(customer[rows], week[rows]).means(loss)}


def rolling(tasks: dict[str, purchases.PurchaseTask], found: dict[str, Forecast]) -> list[dict]:
    """The network, LightGBM and the joined forecast in every window, in all of them, and week by week."""
    unit, monday, window, losses = [], [], [], {OURS: [], BOOSTING: [], JOINED: []}
    for name, task in sorted(tasks.items()):
        start = "" if name == "45-52" else f"{name}: "
        ours, theirs = (fits_of(found, f"{start}{model}")[:2] for model in (OURS, BOOSTING))
        joins = [joined(task, each, theirs[0])[0] for each in ours]
        customer, week, _, y = task.rows("test")
        unit.append(task.panel.customers[customer])
        monday.append(task.panel.weeks.to_numpy()[week + 1].astype("datetime64[D]"))
        window.append(np.full(len(y), f"weeks {name}"))
        for model, fits in zip(losses, (ours, theirs[:1], joins), strict=True):
            losses[model].append([log_loss(task.flat(p["test"], "test"), y) for p in fits])
    unit, monday, window = (np.concatenate(each) for each in (unit, monday, window))
    rows = {model: np.concatenate(each, axis=1) for model, each in losses.items()}  # (fits, rows)
    places = {name: window == name for name in dict.fromkeys(window)}
    places |= {"weeks 29-52": np.ones(len(unit), bool)}
    places |= {f"week of {day}": monday == day for day in dict.fromkeys(monday)}
    out = []
    for where, here in places.items():
        drawn = Draws.of(unit[here], monday[here])
        made = {model: [{"log-loss": drawn.means(fit[here])} for fit in fits] for model, fits in rows.items()}
        for i, (model, fits) in enumerate(made.items()):
            spread = mean_of_fits(fits, i)["log-loss"]
            if not where.startswith("week of"):
                out.append(row(model, "log-loss", interval(spread), len(fits), where=where))
            if model != OURS:
                lost = interval(spread - mean_of_fits(made[OURS])["log-loss"])
                out.append(row(f"{model} minus {OURS}", "log-loss", lost, len(made[OURS]), where=where))
    return out


def counter_example(quick: bool, log: Log) -> list[dict]:
    """CDNOW: two four-parameter models and an LSTM that simulates; customers and fits drawn."""
    from ecomlib.lessons import counter_example as cdnow

    bought = cdnow.load_cdnow()
    table, ahead = cdnow.summarise(bought), cdnow.WEEKS
    seen, later = [table[c].to_numpy(float) for c in ("repeats", "last", "age")], table["later"].to_numpy()
    counts = cdnow.weekly_counts(bought)[:, :ahead]
    search = {"CDNOW": lambda: (1, 4) if quick else cdnow.tune_counting(counts)}
    epochs, units = kept("purchases", search, log)["CDNOW"]
    log(f"CDNOW, chosen on weeks 27 to 39: {epochs} epochs, {units} units")

    def simulated(seed: int) -> np.ndarray:
        net = cdnow.CountLSTM(seed, epochs, units=units).fit(counts)
        return net.simulate(counts, ahead, paths=2 if quick else 40)

    nets = {f"CDNOW, seed {seed}": partial(simulated, seed) for seed in range(1 if quick else 3)}
    forecasts = {
        "rate so far": [seen[0] / seen[2] * ahead],
        "BG/NBD": [cdnow.bgnbd_expected(cdnow.fit_bgnbd(*seen), *seen, ahead)],
        "Pareto/NBD": [cdnow.pareto_expected(cdnow.fit_pareto(*seen), *seen, ahead)],
        "LSTM": list(kept("purchases", nets, log).values()),
    }
    drawn, scores, out = Draws.of(np.arange(len(later))), {}, []
    for i, (name, fits) in enumerate(forecasts.items()):
        each = [{"MAE": drawn.means(abs(p - later)), "MSE": drawn.means((p - later) ** 2)} for p in fits]
        scores[name] = mean_of_fits(each, i)
        out += [row(name, m, interval(v), len(fits), where="CDNOW") for m, v in scores[name].items()]
        for metric in ("correlation", "bias"):
            value = float(np.mean([cdnow.errors(p, later)[metric] for p in fits]))
            out.append(row(name, metric, (value,) * 3, len(fits), where="CDNOW"))
        log(f"CDNOW, {name}: MAE {scores[name]['MAE'][0]:.3f}, MSE {scores[name]['MSE'][0]:.3f}")
    for m, best in scores["Pareto/NBD"].items():
        lost = interval(scores["LSTM"][m] - best)
        out.append(row("LSTM minus Pareto/NBD", m, lost, len(nets), where="CDNOW"))
    return out
