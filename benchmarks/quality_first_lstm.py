"""The first Keras LSTM in full: both questions, every baseline, five seeds, each remedy against over-fitting.

Every choice is made on the validation origin (week 40, targets 41 to 44); the test origins (weeks 44 to 48,
targets 45 to 52) are scored once, at the end.
"""

import itertools
import warnings

import keras
import lightgbm as lgb
import numpy as np
from quality import row
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecomlib import cleaning, datasets, sequences, visits
from ecomlib.evaluation import interval
from ecomlib.models import visits_model

SEEDS = {"shopping weeks": 5, "spending band": 3}
REMEDY_SEEDS = 3
PATIENCE = 5  # epochs without a new best before early stopping gives up
DRAWS = 2000
LOSS = {"reduction": "mean_with_sample_weight"}
REMEDIES = {
    "plain": {},
    "dropout 0.3": {"dropout": 0.3},
    "recurrent dropout 0.3": {"recurrent_dropout": 0.3},
    "weight decay 0.1": {"decay": 0.1},
    "10 units": {"units": 10},
    "dropout 0.3 and weight decay 0.1": {"dropout": 0.3, "decay": 0.1},
}


def rows(quick: bool, log) -> list[dict]:
    """All rows of the table; quick: one fit of one epoch each."""
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    epochs = {"epochs": 1} if quick else {}
    shop, _ = cleaning.clean(datasets.load_complete_journey())
    panel = sequences.weekly_panel(shop.orders, "2017-01-02", "2017-12-24")  # weeks 2 to 52
    valid_origin = panel.index_of("2017-10-02") - 1  # week 41 begins: week 40 is the last that is known
    out = []
    for question, (task, n_classes) in tasks(panel, valid_origin).items():
        models = []
        for seed in range(1 if quick else SEEDS[question]):
            models.append(fit_every_week(task, n_classes, seed, **epochs))
            log(f"{question}: LSTM, seed {seed}")
        out += valid_rows(question, task, models, "LSTM, one fit")
        if question == "shopping weeks":
            few = range(1 if quick else REMEDY_SEEDS)
            plain = [fit_every_week(task, n_classes, s, recurrent_dropout=0, **epochs) for s in few]
            out += valid_rows(question, task, plain, "LSTM without recurrent dropout, one fit")
            out += remedy_rows(question, task, few, log, **epochs)
        others = baselines(panel, task, n_classes, len(models), log)
        out += test_rows(question, task, models, others)
        log(f"{question}: all scored")
    return out


def tasks(panel, valid_origin):
    test = np.arange(valid_origin + 4, valid_origin + 9)
    band = visits.spending_band_ahead(panel)
    return {
        "shopping weeks": (visits.prepare(panel, valid_origin, test), 5),
        "spending band": (visits.prepare(panel, valid_origin, test, band), 4),
    }


def mean_log_loss(p, y):
    return float(visits.row_scores(p, y)["log-loss"].mean())


def baselines(panel, task, n_classes, n_fits, log):
    """Forecasts of every baseline for the test rows; each tuned on the validation rows."""
    rows = {part: task.rows(part) for part in task.origins}
    y, y_valid = rows["train"][2], rows["valid"][2]
    prior = visits.class_shares(y, n_classes)
    out = {"class shares": np.tile(prior, (len(rows["test"][2]), 1))}

    grid = list(itertools.product((1, 3, 10), (6, 13, 26, 1000)))
    best = min(grid, key=lambda g: mean_log_loss(visits.own_past(task, "valid", prior, *g), y_valid))
    log(f"own past: strength, half-life {best}")
    out["own past"] = visits.own_past(task, "test", prior, *best)

    values, names = visits.features(panel)
    at = {part: values[customer, origin] for part, (customer, origin, _) in rows.items()}
    cells = {part: visits.rfm_cells(v, names) for part, v in at.items()}
    rule = {part: visits.rfm_rule(cells["train"], y, cells[part], prior) for part in ("valid", "test")}
    out["recency, frequency, money"] = rule["test"]

    linear = {}
    for c in (0.003, 0.03, 0.3):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000)).fit(at["train"], y)
        linear[c] = model, mean_log_loss(model.predict_proba(at["valid"]), y_valid)
    c = min(linear, key=lambda c: linear[c][1])
    log(f"logistic regression: C {c}, valid {linear[c][1]:.4f}")
    out["logistic regression"] = linear[c][0].predict_proba(at["test"])

    trees = {}
    for leaves, leaf_rows in itertools.product((7, 15, 31), (100, 400)):
        model = boosted_trees(leaves, leaf_rows, 600)
        stop = lgb.early_stopping(40, verbose=False)
        model.fit(at["train"], y, eval_X=(at["valid"],), eval_y=(y_valid,), callbacks=[stop])
        trees[leaves, leaf_rows] = model, mean_log_loss(model.predict_proba(at["valid"]), y_valid)
    best = min(trees, key=lambda k: trees[k][1])
    model, loss = trees[best]
    log(f"LightGBM: leaves, rows a leaf {best}, {model.best_iteration_} trees, valid {loss:.4f}")
    out["LightGBM"] = model.predict_proba(at["test"])
    # What the network gains by averaging fits, the trees may have too.
    again = [boosted_trees(*best, model.best_iteration_, seed).fit(at["train"], y) for seed in range(n_fits)]
    out[f"LightGBM, mean of {n_fits} fits"] = np.mean([m.predict_proba(at["test"]) for m in again], axis=0)
    return out


def boosted_trees(leaves, leaf_rows, trees, seed=0):
    return lgb.LGBMClassifier(
        num_leaves=leaves, min_child_samples=leaf_rows, learning_rate=0.03, n_estimators=trees,
        colsample_bytree=0.5, subsample=0.7, subsample_freq=1, reg_lambda=10.0, verbose=-1,
        n_jobs=1, random_state=seed, deterministic=True, force_row_wise=True,
    )  # fmt: skip


def fit_every_week(task, n_classes, seed, epochs=18, batch=32, rate=4e-3, recurrent_dropout=0.2):
    """Train on a forecast after every week; returns the model."""
    keras.utils.set_random_seed(seed)
    weight = task.weight("train")
    keep = weight.any(axis=1)
    n = weight.shape[1]
    model = visits_model(task.x.shape[-1], n_classes, recurrent_dropout=recurrent_dropout)
    steps = epochs * -(-int(keep.sum()) // batch)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(**LOSS),
    )
    y = np.maximum(task.y, 0)
    model.fit(
        task.x[keep, :n], y[keep, :n], sample_weight=weight[keep],
        batch_size=batch, epochs=epochs, verbose=0,
    )  # fmt: skip
    return model


def forecast(model, task, part):
    customer, origin, _ = task.rows(part)
    p = model.predict(task.x[:, : origin.max() + 1], batch_size=512, verbose=0)
    return p[customer, origin]


def fit_last_week(task, seed, decay=None, epochs=24, batch=32, rate=4e-3, **kind):
    """Train the seed model, one target a customer; returns its loss on training and validation by epoch."""
    keras.utils.set_random_seed(seed)
    origin = task.origins["train"][-1]
    use, (valid_origin,) = task.use[:, origin], task.origins["valid"]
    ask = task.use[:, valid_origin]
    x, y = task.x[use, : origin + 1], task.y[use, origin]
    x_valid, y_valid = task.x[ask, : valid_origin + 1], task.y[ask, valid_origin]
    model = visits_model(task.x.shape[-1], 5, every_week=False, **kind)
    model.compile(keras.optimizers.Adam(rate, weight_decay=decay), "sparse_categorical_crossentropy")
    log = model.fit(
        x, y, batch_size=batch, epochs=epochs, validation_data=(x_valid, y_valid),
        validation_batch_size=512, verbose=0,
    ).history  # fmt: skip
    return np.array(log["loss"]), np.array(log["val_loss"])


def valid_rows(question, task, models, name):
    y = task.rows("valid")[2]
    losses = [mean_log_loss(forecast(model, task, "valid"), y) for model in models]
    spread = np.mean(losses), min(losses), max(losses)
    return [row(name, "log-loss", spread, len(models), question=question, part="valid")]


def remedy_rows(question, task, seeds, log, **options):
    """Each remedy's loss by its mean over the seeds, with the best and the worst of them."""
    out = []
    for name, kind in REMEDIES.items():
        logs = [fit_last_week(task, seed, **kind, **options) for seed in seeds]
        best = [valid.argmin() for _, valid in logs]
        kept = [early_stop(valid) for _, valid in logs]
        parts = {
            "training log-loss, last epoch": [train[-1] for train, _ in logs],
            "validation log-loss, last epoch": [valid[-1] for _, valid in logs],
            "validation log-loss, best epoch": [v[b] for (_, v), b in zip(logs, best, strict=True)],
            "validation log-loss, early stopping": [v[k] for (_, v), k in zip(logs, kept, strict=True)],
            "best epoch": [b + 1 for b in best],
            "epoch kept by early stopping": [k + 1 for k in kept],
        }
        for metric, values in parts.items():
            spread = np.mean(values), np.min(values), np.max(values)
            out.append(row(name, metric, spread, len(logs), question=question, part="valid"))
        log(f"{name}: " + ", ".join(f"{m} {np.round(v, 3).tolist()}" for m, v in parts.items()))
    return out


def early_stop(valid: np.ndarray) -> int:
    """Epoch that `EarlyStopping(patience=PATIENCE, restore_best_weights=True)` keeps, counted from 0."""
    for epoch in range(len(valid)):
        best = int(valid[: epoch + 1].argmin())
        if epoch - best >= PATIENCE:
            return best
    return int(valid.argmin())


def test_rows(question, task, models, others):
    """Score everything on the test rows: intervals over customers; single fits by their range over seeds."""
    customer, _, y = task.rows("test")
    fits = [forecast(model, task, "test") for model in models]
    n, place = len(fits), {"question": question, "part": "test"}
    mean_name = f"LSTM, mean of {n} fits"
    scored = {name: visits.evaluate(p, y, customer, n=DRAWS) for name, p in others.items()}
    scored[mean_name] = visits.evaluate(np.mean(fits, axis=0), y, customer, n=DRAWS)
    single = [visits.evaluate(p, y, customer, n=DRAWS) for p in fits]
    out = []
    for name, result in scored.items():
        seeds = n if name.startswith("LSTM") else 1
        out += [row(name, metric, interval(draws), seeds, **place) for metric, draws in result.items()]
    for metric in single[0]:
        values = [s[metric][0] for s in single]
        spread = np.mean(values), min(values), max(values)
        out.append(row("LSTM, one fit", metric, spread, n, **place))
    # Paired differences. For a single fit: the mean draw over the seeds.
    for rival in ("LightGBM", f"LightGBM, mean of {n} fits", "logistic regression"):
        for metric in single[0]:
            mean = scored[mean_name][metric] - scored[rival][metric]
            one = np.mean([s[metric] for s in single], axis=0) - scored[rival][metric]
            out.append(row(f"{mean_name}, minus {rival}", metric, interval(mean), n, **place))
            out.append(row(f"LSTM, one fit, minus {rival}", metric, interval(one), n, **place))
    return out
