"""The first Keras LSTM in full: both questions, every baseline, five seeds, each remedy against over-fitting.

Every choice is made on the validation part (cutoff week 40, targets 41 to 44); the test part (cutoffs 44 to
48, targets 45 to 52) is scored once, at the end.
"""

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

import ecomlib
from benchmarks.run import Log, kept, row
from ecomlib import visits
from ecomlib.bootstrap import interval
from ecomlib.panels import WeeklyPanel
from ecomlib.probability import log_loss
from ecomlib.split import Split
from ecomlib.visits.baselines import grow, recent_mean, rows_of
from ecomlib.visits.task import sum_ahead

SPLIT = Split.last(test="56D", valid="28D", end="2017-12-24")  # week 53 lacks Christmas Day
SEEDS = {"shopping weeks": 5, "spending band": 3}
REMEDY_SEEDS = 3
PATIENCE = 5  # epochs without a new best before early stopping gives up
DRAWS = 2000
REMEDIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout 0.3": {"dropout": 0.3},
    "recurrent dropout 0.3": {"recurrent_dropout": 0.3},
    "weight decay 0.1": {"decay": 0.1},
    "10 units": {"units": 10},
    "dropout 0.3 and weight decay 0.1": {"dropout": 0.3, "decay": 0.1},
}
OURS, FREE = "LSTM, one fit", "LSTM without recurrent dropout, one fit"
Forecast = dict[str, np.ndarray]  # part -> (n_cutoffs, n_customers, n_classes)


def rows(quick: bool, log: Log) -> list[dict]:
    """All rows of the table; quick: one fit of one epoch each."""
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    tasks = {
        "shopping weeks": visits.task(shop, SPLIT),
        "spending band": visits.task(shop, SPLIT, target=spending_band_ahead, n_classes=4),
    }
    found = kept("visits", jobs(tasks, quick), log)
    out = []
    for question, task in tasks.items():
        fits = [p for job, p in found.items() if job.startswith(f"{question}: {OURS}")]
        out += valid_rows(question, task, OURS, fits)
        if question == "shopping weeks":
            free = [p for job, p in found.items() if job.startswith(f"{question}: {FREE}")]
            out += valid_rows(question, task, FREE, free)
            for name in REMEDIES:
                logs = [losses for job, losses in found.items() if job.startswith(f"{name}, seed")]
                out += remedy_rows(question, name, logs)
        out += test_rows(question, task, fits, baselines(task, len(fits), log))
        log(f"{question}: all scored")
    return out


def spending_band_ahead(panel: WeeklyPanel, horizon: int) -> np.ndarray:
    """Band of the spend in the weeks after each week, against the customer's own usual; -1 at the end.

    Usual is the mean of the last 26 known weeks, times the horizon. 0 silent, 1 below two thirds of usual, 2
    between, 3 above one and a half times usual.
    """
    ahead = sum_ahead(panel["spend"].astype(float), horizon)
    usual = horizon * recent_mean(panel["spend"], 26, panel.known)
    band = np.select([ahead == 0, ahead < 2 / 3 * usual, ahead <= 3 / 2 * usual], [0, 1, 2], 3)
    return np.where(ahead < 0, -1, band)


# ------------------------------------------------------------------------------------------ the networks


def jobs(tasks: dict[str, visits.VisitsTask], quick: bool) -> dict[str, Callable[[], Any]]:
    """Every network to fit: its name -> a function that gives its forecasts, or its losses by epoch."""
    epochs = {"epochs": 1} if quick else {}
    nets: dict[str, Callable[[], Any]] = {}
    for question, task in tasks.items():
        for seed in range(1 if quick else SEEDS[question]):
            nets[f"{question}: {OURS}, seed {seed}"] = partial(fit, task, seed=seed, **epochs)
    task = tasks["shopping weeks"]
    for seed in range(1 if quick else REMEDY_SEEDS):
        free = partial(fit, task, seed=seed, recurrent_dropout=0, **epochs)
        nets[f"shopping weeks: {FREE}, seed {seed}"] = free
        for name, kind in REMEDIES.items():
            nets[f"{name}, seed {seed}"] = partial(fit_last_week, task, seed, **kind, **epochs)
    return nets


def fit(task: visits.VisitsTask, **settings: Any) -> Forecast:
    """Train on a forecast after every week; the forecasts of both parts."""
    model = visits.VisitsLSTM(**settings).fit(task)
    return {part: model.predict(task, task.cutoffs(part)) for part in ("valid", "test")}


def fit_last_week(
    task: visits.VisitsTask,
    seed: int,
    decay: float | None = None,
    epochs: int = 24,
    batch: int = 32,
    rate: float = 4e-3,
    **kind: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Train with one target per customer; the loss on training and on validation after every epoch."""
    import keras

    keras.utils.set_random_seed(seed)
    last, (valid_cutoff,) = task.cutoffs("train")[-1], task.cutoffs("valid")
    use, ask = task.use(np.array([last, valid_cutoff]))
    x, y = task.x[use, : last + 1], task.y[use, last]
    x_valid, y_valid = task.x[ask, : valid_cutoff + 1], task.y[ask, valid_cutoff]
    model = visits.visits_network(task.x.shape[-1], task.n_classes, every_week=False, **kind)
    model.compile(keras.optimizers.Adam(rate, weight_decay=decay), "sparse_categorical_crossentropy")
    history = model.fit(
        x, y, batch_size=batch, epochs=epochs, validation_data=(x_valid, y_valid),
        validation_batch_size=512, verbose=0,
    ).history  # fmt: skip
    return np.array(history["loss"]), np.array(history["val_loss"])


# ------------------------------------------------------------------------------------------ the baselines


def baselines(task: visits.VisitsTask, n_fits: int, log: Log) -> dict[str, np.ndarray]:
    """Forecasts of every baseline for the test part; each tuned on the validation part."""
    past = tune(visits.OwnPast, task, prior_windows=(1, 3, 10), half_life=(6, 13, 26, 1000))
    line, trees = tune(visits.Logistic, task, c=(0.003, 0.03, 0.3)), tune_trees(task)
    log(f"own past {past}, logistic regression {line}, LightGBM {trees}")
    rules = {
        "class shares": visits.ClassShares(),
        "own past": visits.OwnPast(**past),
        "recency, frequency, money": visits.RecencyFrequencyMoney(money=(25, 60)),
        "logistic regression": visits.Logistic(**line),
        "LightGBM": visits.LightGBM(**trees),
        # What the network gains by averaging fits, the trees may have too.
        f"LightGBM, mean of {n_fits} fits": visits.LightGBM(**trees, fits=n_fits),
    }
    return {name: rule.fit(task).predict(task, task.cutoffs("test")) for name, rule in rules.items()}


def tune(model: type, task: visits.VisitsTask, **grid: Iterable[float]) -> dict[str, Any]:
    """The settings of a grid with the smallest log-loss on the validation part."""
    settings = (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))
    part = task.cutoffs("valid")
    return min(settings, key=lambda s: loss(task, model(**s).fit(task).predict(task, part)))


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


# -------------------------------------------------------------------------------------------- the scores


def loss(task: visits.VisitsTask, p: np.ndarray, part: str = "valid") -> float:
    """Mean log-loss of a part."""
    return float(log_loss(task.flat(p, part), task.rows(part)[2]).mean())


def valid_rows(question: str, task: visits.VisitsTask, name: str, fits: list[Forecast]) -> list[dict]:
    """Validation log-loss of single fits: mean, best and worst seed."""
    losses = [loss(task, p["valid"]) for p in fits]
    spread = np.mean(losses), min(losses), max(losses)
    return [row(name, "log-loss", spread, len(fits), question=question, part="valid")]


def remedy_rows(question: str, name: str, logs: list[tuple[np.ndarray, np.ndarray]]) -> list[dict]:
    """A remedy's loss by its mean over the seeds, with the best and the worst of them."""
    best = [valid.argmin() for _, valid in logs]
    stopped = [early_stop(valid) for _, valid in logs]
    parts = {
        "training log-loss, last epoch": [train[-1] for train, _ in logs],
        "validation log-loss, last epoch": [valid[-1] for _, valid in logs],
        "validation log-loss, best epoch": [v[b] for (_, v), b in zip(logs, best, strict=True)],
        "validation log-loss, early stopping": [v[k] for (_, v), k in zip(logs, stopped, strict=True)],
        "best epoch": [b + 1 for b in best],
        "epoch kept by early stopping": [k + 1 for k in stopped],
    }
    return [
        row(name, metric, (np.mean(v), min(v), max(v)), len(logs), question=question, part="valid")
        for metric, v in parts.items()
    ]


def early_stop(valid: np.ndarray) -> int:
    """Epoch that `EarlyStopping(patience=PATIENCE, restore_best_weights=True)` keeps, counted from 0."""
    for epoch in range(len(valid)):
        best = int(valid[: epoch + 1].argmin())
        if epoch - best >= PATIENCE:
            return best
    return int(valid.argmin())


def test_rows(
    question: str, task: visits.VisitsTask, fits: list[Forecast], others: dict[str, np.ndarray]
) -> list[dict]:
    """Score everything on the test part: intervals over customers; single fits by their range over seeds."""
    n, place = len(fits), {"question": question, "part": "test"}
    ours = [p["test"] for p in fits]
    mean_name = f"LSTM, mean of {n} fits"
    scored = {name: visits.draws(task, p, n=DRAWS) for name, p in others.items()}
    scored[mean_name] = visits.draws(task, np.mean(ours, axis=0), n=DRAWS)
    single = [visits.draws(task, p, n=DRAWS) for p in ours]
    out = []
    for name, result in scored.items():
        seeds = n if name.startswith("LSTM") else 1
        out += [row(name, metric, interval(draws), seeds, **place) for metric, draws in result.items()]
    for metric in single[0]:
        values = [s[metric][0] for s in single]
        out.append(row(OURS, metric, (np.mean(values), min(values), max(values)), n, **place))
    # Paired differences. For a single fit: the mean draw over the seeds.
    for rival in ("LightGBM", f"LightGBM, mean of {n} fits", "logistic regression"):
        for metric in single[0]:
            mean = scored[mean_name][metric] - scored[rival][metric]
            one = np.mean([s[metric] for s in single], axis=0) - scored[rival][metric]
            out.append(row(f"{mean_name}, minus {rival}", metric, interval(mean), n, **place))
            out.append(row(f"{OURS}, minus {rival}", metric, interval(one), n, **place))
    return out
