"""The first Keras LSTM in full: every baseline, remedies against over-fitting one by one, three windows.

Each remedy has a search of its own: three learning rates, and further ones while the best lies at an edge;
the number of epochs by early stopping, at most 24; both on the validation part. Two more fits follow at the
rate chosen, and all three are scored on the test.
LightGBM and the weight of the joined forecast are chosen on each window's own validation part, the four weeks
before it. The network's settings were chosen on weeks 33 to 44: windows 29-36 and 37-44 are not new to them.
Weeks 45 to 52 were scored before with other settings; with these they are scored once. Rows of a single
cutoff (its four weeks: "29-32") draw customers and fits.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import ecomlib  # isort: skip  (before Keras)
import keras
import numpy as np

from benchmarks.quality._search import best_of
from benchmarks.run import Log, kept, row
from ecomlib import visits
from ecomlib.bootstrap import Draws, interval, mean_of_fits
from ecomlib.joined import best_weight, join
from ecomlib.probability import log_loss, ranking_draws
from ecomlib.split import Split
from ecomlib.visits.baselines import grow, rows_of

WINDOWS = {"29-36": "2017-09-03", "37-44": "2017-10-29", "45-52": "2017-12-24"}  # week 53 lacks Christmas Day
LESSON = "45-52"  # the window of lesson 16; remedies and simple baselines are measured there only
SEEDS = {"29-36": 3, "37-44": 3, LESSON: 5}
DAYS_SEEDS = 3  # of the network without the days
REMEDY_SEEDS = 3  # fits of each remedy, at its own rate
BATCH, RATE = 64, 4e-3  # of the lesson's first try, as in `VisitsLSTM`
RATES = (1.3e-3, RATE, 1.2e-2)
LADDER = (1.4e-4, 4.3e-4, *RATES, 3.6e-2, 0.11)  # the search goes on along it
PATIENCE = 5  # epochs without a new best before early stopping gives up
PLAIN, MORE = "plain", "more targets"
REMEDIES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "dropout 0.3": {"dropout": 0.3},
    "recurrent dropout 0.3": {"recurrent_dropout": 0.3},
    "weight decay 0.1": {"decay": 0.1},
    "10 units": {"units": 10},
    "cosine decay": {"cosine": True},
    "averaged weights": {"average": True},
    MORE: {"last_only": False},
    f"{MORE}, cosine decay": {"last_only": False, "cosine": True},
    f"{MORE}, averaged weights": {"last_only": False, "average": True},
}
JOINED = "LSTM and LightGBM"
Forecast = dict[str, np.ndarray]  # part -> (n_cutoffs, n_customers, n_classes)
Remedy = dict[str, Any]  # "train" and "valid": the loss by epoch; "test": a forecast; "rate": the rate


def rows(quick: bool, log: Log) -> list[dict]:
    """All rows of the table; quick: one fit of one epoch each."""
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    tasks = {
        window: visits.task(shop, Split.last(test="56D", valid="28D", end=end))
        for window, end in WINDOWS.items()
    }
    found = kept("visits", jobs(tasks, quick), log)
    out: list[dict] = []
    every: dict[str, dict[str, list[np.ndarray]]] = {}
    out += remedy_rows(tasks[LESSON], remedies(tasks[LESSON], quick, log))
    for window, task in tasks.items():
        fits = {"LightGBM": found[f"{window}: LightGBM"]}
        for name in ("LSTM", "LSTM without the days"):
            if seeds := [each for job, each in found.items() if job.startswith(f"{window}: {name}, seed")]:
                fits[name] = seeds
                out.append(valid_row(window, task, name, seeds))
        fits[JOINED] = joined(task, fits["LSTM"], fits["LightGBM"], log)
        simple = simple_baselines(task, log) if window == LESSON else {}
        forecasts = {name: [p["test"] for p in each] for name, each in fits.items()}
        out += test_rows(window, task, {name: [p] for name, p in simple.items()} | forecasts)
        every[window] = {name: forecasts[name] for name in ("LightGBM", "LSTM", JOINED)}
        log(f"weeks {window}: scored")
    return out + pooled_rows(tasks, every)


# ------------------------------------------------------------------------------------------ the networks


def jobs(tasks: dict[str, visits.VisitsTask], quick: bool) -> dict[str, Callable[[], Any]]:
    """Every model to fit: its name -> a function that gives its forecasts, or its losses by epoch."""
    epochs = {"epochs": 1} if quick else {}
    made: dict[str, Callable[[], Any]] = {}
    for window, task in tasks.items():
        seeds = range(1 if quick else SEEDS[window])
        for seed in seeds:
            made[f"{window}: LSTM, seed {seed}"] = partial(fit, task, seed=seed, **epochs)
        made[f"{window}: LightGBM"] = partial(fit_trees, task, seeds)
    task = tasks[LESSON]
    for seed in range(1 if quick else DAYS_SEEDS):
        made[f"{LESSON}: LSTM without the days, seed {seed}"] = partial(
            fit, without_days(task), seed=seed, **epochs
        )
    return made


def without_days(task: visits.VisitsTask) -> visits.VisitsTask:
    """The task with the channels of single days at 0."""
    x = task.x.copy()
    x[..., visits.CHANNELS.index("days since trip") :] = 0
    return replace(task, x=x)


def fit(task: visits.VisitsTask, **settings: Any) -> Forecast:
    """Train on a forecast after every week; the forecasts of both parts."""
    return forecasts_of(visits.VisitsLSTM(**settings).fit(task), task)


def forecasts_of(model: Any, task: visits.VisitsTask) -> Forecast:
    """The forecasts of the validation and of the test part."""
    return {part: model.predict(task, task.cutoffs(part)) for part in ("valid", "test")}


def remedies(task: visits.VisitsTask, quick: bool, log: Log) -> dict[str, list[Remedy]]:
    """Every remedy's fits: one at each rate, then more seeds at the best on validation, which is no edge.

    The fit with the rate of the first try goes through all epochs, the others stop early.
    """
    few = {"epochs": 1} if quick else {}

    def job(name: str, rate: float, seed: int) -> Callable[[], Remedy]:
        whole = rate == RATE and seed == 0
        return partial(remedy, task, seed, rate=rate, whole=whole, **REMEDIES[name], **few)

    def fits(name: str, rate: float, seeds: Iterable[int]) -> list[Remedy]:
        jobs = {f"{name}, rate {rate:g}, seed {seed}": job(name, rate, seed) for seed in seeds}
        return list(kept("visits", jobs, log).values())

    def searched(name: str) -> list[Remedy]:
        tried: list[Remedy] = []

        def attempt(rate: float) -> float:
            tried.extend(fits(name, rate, [0]))
            return reached(tried[-1])

        if quick:
            attempt(RATE)
            return tried
        rate = best_of(LADDER, RATES, attempt)
        log(f"{name}: rate {rate}")
        return tried + fits(name, rate, range(1, REMEDY_SEEDS))

    return {name: searched(name) for name in REMEDIES}


def best_rate(fits: list[Remedy]) -> float:
    """The learning rate with the smallest validation loss at the epoch that early stopping keeps."""
    return min(fits, key=reached)["rate"]


def reached(each: Remedy) -> float:
    """The validation loss at the epoch that early stopping keeps."""
    return float(each["valid"][early_stop(each["valid"])])


def remedy(task: visits.VisitsTask, seed: int, rate: float, **kind: Any) -> Remedy:
    """Fit a remedy; its losses by epoch, and its forecast of the test part."""
    train, valid, model = fit_remedy(task, seed, rate, **kind)
    test = task.cutoffs("test")
    p = model.predict(task.x[:, : test[-1] + 1], batch_size=512, verbose=0)
    return {"rate": rate, "train": train, "valid": valid, "test": p[:, test].swapaxes(0, 1)}


def fit_remedy(
    task: visits.VisitsTask,
    seed: int,
    rate: float = RATE,
    whole: bool = True,
    last_only: bool = True,
    decay: float | None = None,
    cosine: bool = False,
    average: bool = False,
    epochs: int = 24,
    **kind: Any,
) -> tuple[np.ndarray, np.ndarray, keras.Model]:
    """Train the lesson's first network with one thing changed; `last_only`: one target per customer.

    The loss on training and on validation after every epoch, and the network of the epoch that early stopping
    keeps; `whole`: go on after it.
    """
    keras.utils.set_random_seed(seed)
    (y, weight), valid = task.labels("train"), task.labels("valid")
    if last_only:
        weight = weight * (np.arange(weight.shape[1]) == weight.shape[1] - 1)
    asked, use = weight.any(axis=1), valid[1].any(axis=1)
    schedule: Any = rate
    if cosine:
        schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * -(-int(asked.sum()) // BATCH))
    model = visits.visits_network(task.x.shape[-1], task.n_classes, **kind)
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
    adam = keras.optimizers.Adam(schedule, weight_decay=decay, use_ema=average, ema_momentum=0.98)
    model.compile(adam, loss)
    stop = Stopped(whole)  # first: it looks at the weights while the average stands in for the last step
    history = model.fit(
        task.x[asked, : y.shape[1]], y[asked], sample_weight=weight[asked], batch_size=BATCH, epochs=epochs,
        validation_data=(task.x[use, : valid[0].shape[1]], valid[0][use], valid[1][use]),
        validation_batch_size=512, verbose=0, callbacks=[stop] + [keras.callbacks.SwapEMAWeights()] * average,
    ).history  # fmt: skip
    model.set_weights(stop.weights)
    return np.array(history["loss"]), np.array(history["val_loss"]), model


class Stopped(keras.callbacks.Callback):
    """Keep the weights of the epoch that `early_stop` names, and stop the training there unless `whole`.

    `keras.callbacks.EarlyStopping` would keep the last step's weights where an average is scored.
    """

    def __init__(self, whole: bool):
        super().__init__()
        self.whole, self.losses = whole, []

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Note the validation loss of the epoch."""
        self.losses.append((logs or {})["loss"])
        best, last = early_stop(np.array(self.losses)), len(self.losses) - 1
        if best == last:
            self.weights = self.model.get_weights()
        self.model.stop_training = not self.whole and last - best >= PATIENCE


# ------------------------------------------------------------------------------------------ the baselines


def simple_baselines(task: visits.VisitsTask, log: Log) -> dict[str, np.ndarray]:
    """Forecasts of the simpler baselines for the test part; each tuned on the validation part."""
    past = tune(visits.OwnPast, task, prior_windows=(1, 3, 10), half_life=(6, 13, 26, 1000))
    line = tune(visits.Logistic, task, c=(0.003, 0.03, 0.3))
    log(f"own past {past}, logistic regression {line}")
    rules = [visits.ClassShares(), visits.OwnPast(**past), visits.RecencyFrequencyMoney(money=(25, 60))]
    rules.append(visits.Logistic(**line))
    return {rule.name: rule.fit(task).predict(task, task.cutoffs("test")) for rule in rules}


def tune(model: type, task: visits.VisitsTask, **grid: Iterable[float]) -> dict[str, Any]:
    """The settings of a grid with the smallest log-loss on the validation part."""
    settings = (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))
    part = task.cutoffs("valid")
    return min(settings, key=lambda s: loss(task, model(**s).fit(task).predict(task, part)))


def fit_trees(task: visits.VisitsTask, seeds: Iterable[int]) -> list[Forecast]:
    """One LightGBM per seed, tuned on the validation part."""
    best = tune_trees(task)
    return [forecasts_of(visits.LightGBM(**best, seed=seed).fit(task), task) for seed in seeds]


def tune_trees(task: visits.VisitsTask) -> dict[str, int]:
    """Leaves, rows per leaf and number of trees of `LightGBM`, the number by early stopping."""
    from lightgbm import early_stopping

    train, (x, y) = rows_of(task, "train"), rows_of(task, "valid")
    found = {}
    for leaves, leaf_rows in itertools.product((7, 15, 31), (100, 400)):
        stop = early_stopping(40, verbose=False)
        model = grow(*train, leaves, leaf_rows, 600, eval_X=(x,), eval_y=(y,), callbacks=[stop])
        p = model.booster_.predict(x, num_iteration=model.best_iteration_)
        found[leaves, leaf_rows, model.best_iteration_] = log_loss(p, y).mean()
    best = min(found, key=lambda settings: found[settings])
    return dict(zip(("leaves", "leaf_rows", "trees"), best, strict=True))


def joined(task: visits.VisitsTask, ours: list[Forecast], theirs: list[Forecast], log: Log) -> list[Forecast]:
    """Each network joined with one LightGBM; one weight, the one with the smallest validation log-loss."""
    pairs = list(zip(ours, theirs, strict=True))

    def mix(weight: float, part: str) -> list[np.ndarray]:
        return [join(a[part], b[part], weight) for a, b in pairs]

    best = best_weight(lambda weight: sum(loss(task, p) for p in mix(weight, "valid")), 20)
    log(f"weight of the LSTM beside LightGBM: {best:.2f}")
    return [{"test": p} for p in mix(best, "test")]


# -------------------------------------------------------------------------------------------- the scores


def loss(task: visits.VisitsTask, p: np.ndarray, part: str = "valid") -> float:
    """Mean log-loss of a part."""
    return float(log_loss(task.flat(p, part), task.rows(part)[2]).mean())


def valid_row(window: str, task: visits.VisitsTask, name: str, fits: list[Forecast]) -> dict:
    """Validation log-loss of single fits: mean, best and worst seed."""
    losses = [loss(task, p["valid"]) for p in fits]
    spread = np.mean(losses), min(losses), max(losses)
    return row(name, "log-loss", spread, len(fits), weeks=window, part="valid")


def remedy_rows(task: visits.VisitsTask, found: dict[str, list[Remedy]]) -> list[dict]:
    """Of every remedy the search and its mean over the seeds, with the best and the worst; then differences.

    The differences are those of the test's log-loss, from the plain network and from more targets, paired:
    customers, weeks and fits are drawn.
    """
    out: list[dict] = []
    customer, week, y = task.rows("test")
    drawn, losses = Draws.of(customer, week), {}
    for stream, (name, fits) in enumerate(found.items()):
        place = {"weeks": LESSON, "part": "valid"}
        lowest = [reached(each) for each in fits]
        for each, value in zip(fits[: len({fit["rate"] for fit in fits})], lowest, strict=False):
            out.append(row(name, f"validation log-loss, rate {each['rate']}", (value,) * 3, 1, **place))
        whole = next(each for each in fits if each["rate"] == RATE)
        for part, word in (("train", "training"), ("valid", "validation")):
            out.append(row(name, f"{word} log-loss, last epoch", (whole[part][-1],) * 3, 1, **place))
        best = best_rate(fits)
        chosen = [i for i, each in enumerate(fits) if each["rate"] == best]
        parts = {
            "learning rate": [best],
            "validation log-loss, early stopping": [lowest[i] for i in chosen],
            "epoch kept by early stopping": [early_stop(fits[i]["valid"]) + 1 for i in chosen],
        }
        for metric, v in parts.items():
            out.append(row(name, metric, (np.mean(v), min(v), max(v)), len(v), **place))
        tested = [{"log-loss": drawn.means(log_loss(task.flat(fits[i]["test"], "test"), y))} for i in chosen]
        losses[name] = mean_of_fits(tested, stream)["log-loss"], len(tested)
    place = {"weeks": LESSON, "part": "test"}
    for name, (values, n) in losses.items():
        out.append(row(name, "log-loss", interval(values), n, **place))
        for other in (PLAIN, MORE):
            if name not in (other, PLAIN):
                paired = interval(values - losses[other][0])
                out.append(row(f"{name} minus {other}", "log-loss", paired, n, **place))
    return out


def early_stop(valid: np.ndarray) -> int:
    """Epoch that `EarlyStopping(patience=PATIENCE, restore_best_weights=True)` keeps, counted from 0."""
    for epoch in range(len(valid)):
        best = int(valid[: epoch + 1].argmin())
        if epoch - best >= PATIENCE:
            return best
    return int(valid.argmin())


def test_rows(window: str, task: visits.VisitsTask, forecasts: dict[str, list[np.ndarray]]) -> list[dict]:
    """Score everything on the test part; the paired differences draw customers, weeks and fits."""
    place = {"weeks": window, "part": "test"}
    singles = {name: [visits.draws(task, p) for p in fits] for name, fits in forecasts.items()}
    scores = {name: mean_of_fits(fits, stream) for stream, (name, fits) in enumerate(singles.items())}
    out = []
    for name, found in scores.items():
        n = len(singles[name])
        out += [row(name, metric, interval(values), n, **place) for metric, values in found.items()]
    for metric in scores["LSTM"]:
        values = [fit[metric][0] for fit in singles["LSTM"]]
        spread = np.mean(values), min(values), max(values)
        out.append(row("LSTM, from best to worst fit", metric, spread, len(values), **place))
    for name, rival in itertools.product(("LSTM", "LSTM without the days", JOINED), scores):
        if name in scores and rival in ("LightGBM", "LSTM", "logistic regression") and name != rival:
            out += [
                row(f"{name} minus {rival}", metric, interval(values - scores[rival][metric]),
                    len(singles[name]), **place)
                for metric, values in scores[name].items()
            ]  # fmt: skip
    return out


def pooled_rows(
    tasks: dict[str, visits.VisitsTask], every: dict[str, dict[str, list[np.ndarray]]]
) -> list[dict]:
    """Paired differences over all windows and at each cutoff; as many fits as every window has."""
    n = min(len(fits) for models in every.values() for fits in models.values())
    parts = [named_rows(window, task) for window, task in tasks.items()]
    customer, week, y = (np.concatenate(each) for each in zip(*parts, strict=True))
    forecasts = {
        name: [
            np.concatenate([task.flat(every[window][name][i], "test") for window, task in tasks.items()])
            for i in range(n)
        ]
        for name in ("LightGBM", "LSTM", JOINED)
    }
    places = {"29-52": np.ones(len(y), bool)}
    ahead = tasks[LESSON].horizon - 1
    places |= {f"{first}-{first + ahead}": week == first for first in np.unique(week)}
    out = []
    for weeks, here in places.items():
        drawn = Draws.of(customer[here], week[here])
        found = {
            name: mean_of_fits([pair_scores(p[here], y[here], drawn) for p in fits], stream)
            for stream, (name, fits) in enumerate(forecasts.items())
        }
        for name, rival in (("LSTM", "LightGBM"), (JOINED, "LightGBM"), (JOINED, "LSTM")):
            for metric, values in found[name].items():
                spread = interval(values - found[rival][metric])
                out.append(row(f"{name} minus {rival}", metric, spread, n, weeks=weeks, part="test"))
    return out


def named_rows(window: str, task: visits.VisitsTask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Customer's name, first week of the year that is forecast, and class of every test row."""
    customer, cutoff, y = task.rows("test")
    first = int(window.split("-")[0])
    return task.panel.customers[customer], first + cutoff - task.cutoffs("test")[0], y


def pair_scores(p: np.ndarray, y: np.ndarray, drawn: Draws) -> dict[str, np.ndarray]:
    """Draws of the log-loss, and of the AUC of silence."""
    inactive = ranking_draws(p[:, 0], y == 0, drawn)["AUC"]
    return {"log-loss": drawn.means(log_loss(p, y)), "AUC inactive": inactive}
