"""The first Keras LSTM in full: both questions, every baseline, five seeds, each remedy against over-fitting.

    python -m benchmarks.first_lstm

Writes `benchmarks/results/first_lstm.csv`. Every choice is made on the validation origin (week 40, targets
41 to 44); the test origins (weeks 44 to 48, targets 45 to 52) are scored once, at the end.
"""

import ecomlib  # noqa: F401, I001  (first: it sets the environment before TensorFlow starts)

import argparse
import itertools
import time
import warnings
from pathlib import Path

import keras
import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecomlib import cleaning, datasets, sequences, visits
from ecomlib.evaluation import interval
from ecomlib.models import visits_model

RESULTS = Path(__file__).parent / "results" / "first_lstm.csv"
LOSS = {"reduction": "mean_with_sample_weight"}
START = time.time()
COLUMNS = ["question", "part", "model", "metric", "value", "low", "high", "seeds"]


def say(*words):
    print(f"{time.time() - START:5.0f} s", *words, flush=True)


def load():
    shop, _ = cleaning.clean(datasets.load_complete_journey())
    panel = sequences.weekly_panel(shop.orders, "2017-01-02", "2017-12-24")  # weeks 2 to 52
    week = panel.index_of("2017-10-02")  # week 41 begins: week 40 is the last that is known
    return panel, week - 1


def tasks(panel, valid_origin):
    test = np.arange(valid_origin + 4, valid_origin + 9)
    band = visits.spending_band_ahead(panel)
    return {
        "shopping weeks": (visits.prepare(panel, valid_origin, test), 5),
        "spending band": (visits.prepare(panel, valid_origin, test, band), 4),
    }


def mean_log_loss(p, y):
    return float(visits.row_scores(p, y)["log-loss"].mean())


def baselines(panel, task, n_classes, n_fits):
    """Forecasts of every baseline for the test rows; each tuned on the validation rows."""
    rows = {part: task.rows(part) for part in task.origins}
    y, y_valid = rows["train"][2], rows["valid"][2]
    prior = visits.class_shares(y, n_classes)
    out = {"class shares": np.tile(prior, (len(rows["test"][2]), 1))}

    grid = list(itertools.product((1, 3, 10), (6, 13, 26, 1000)))
    best = min(grid, key=lambda g: mean_log_loss(visits.own_past(task, "valid", prior, *g), y_valid))
    say("own past: strength, half-life", best)
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
    say("logistic regression: C", c, f"valid {linear[c][1]:.4f}")
    out["logistic regression"] = linear[c][0].predict_proba(at["test"])

    trees = {}
    for leaves, leaf_rows in itertools.product((7, 15, 31), (100, 400)):
        model = boosted_trees(leaves, leaf_rows, 600)
        stop = lgb.early_stopping(40, verbose=False)
        model.fit(at["train"], y, eval_X=(at["valid"],), eval_y=(y_valid,), callbacks=[stop])
        trees[leaves, leaf_rows] = model, mean_log_loss(model.predict_proba(at["valid"]), y_valid)
    best = min(trees, key=lambda k: trees[k][1])
    model, loss = trees[best]
    say("LightGBM: leaves, rows a leaf", best, f"{model.best_iteration_} trees, valid {loss:.4f}")
    out["LightGBM"] = model.predict_proba(at["test"])
    # What the network gains by averaging fits, the trees may have too.
    again = [boosted_trees(*best, model.best_iteration_, seed).fit(at["train"], y) for seed in range(n_fits)]
    out[f"LightGBM, mean of {n_fits} fits"] = np.mean([m.predict_proba(at["test"]) for m in again], axis=0)
    return out


def boosted_trees(leaves, leaf_rows, trees, seed=0):
    return lgb.LGBMClassifier(
        num_leaves=leaves, min_child_samples=leaf_rows, learning_rate=0.03, n_estimators=trees,
        colsample_bytree=0.5, subsample=0.7, subsample_freq=1, reg_lambda=10.0, verbose=-1,
        n_jobs=2, random_state=seed, deterministic=True, force_row_wise=True,
    )  # fmt: skip


def fit_every_week(task, n_classes, seed, epochs=18, batch=32, rate=4e-3):
    """Train on a forecast after every week; returns the model."""
    keras.utils.set_random_seed(seed)
    weight = task.weight("train")
    keep = weight.any(axis=1)
    n = weight.shape[1]
    model = visits_model(task.x.shape[-1], n_classes)
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


REMEDIES = {
    "plain": {},
    "dropout 0.3": {"dropout": 0.3},
    "recurrent dropout 0.3": {"recurrent_dropout": 0.3},
    "weight decay 0.1": {"decay": 0.1},
    "10 units": {"units": 10},
    "dropout 0.3 and weight decay 0.1": {"dropout": 0.3, "decay": 0.1},
}


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


def remedy_rows(task, seeds):
    for name, kind in REMEDIES.items():
        logs = [fit_last_week(task, seed, **kind) for seed in seeds]
        best = [valid.argmin() for _, valid in logs]
        parts = {
            "training log-loss, last epoch": [train[-1] for train, _ in logs],
            "validation log-loss, last epoch": [valid[-1] for _, valid in logs],
            "validation log-loss, best epoch": [v[b] for (_, v), b in zip(logs, best, strict=True)],
            "best epoch": [b + 1 for b in best],
        }
        for metric, values in parts.items():
            yield name, metric, np.mean(values), np.min(values), np.max(values)
        say(name, {metric: np.round(values, 3).tolist() for metric, values in parts.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="fits of the main model (5)")
    parser.add_argument(
        "--skip-remedies", action="store_true", help="keep the remedies' rows of the last run"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    panel, valid_origin = load()
    rows = []
    for question, (task, n_classes) in tasks(panel, valid_origin).items():
        n_seeds = options.seeds if question == "shopping weeks" else 3
        valid_y = task.rows("valid")[2]
        fits = []
        for seed in range(n_seeds):
            model = fit_every_week(task, n_classes, seed)
            p = forecast(model, task, "valid")
            fits.append((mean_log_loss(p, valid_y), p, model))
            say(question, "LSTM seed", seed, f"valid {fits[-1][0]:.4f}")
        losses = [f[0] for f in fits]
        rows.append(
            (
                question,
                "valid",
                "LSTM, one fit",
                "log-loss",
                np.mean(losses),
                min(losses),
                max(losses),
                n_seeds,
            )
        )
        if question == "shopping weeks":
            kept = options.skip_remedies and RESULTS.exists()
            rows += (
                kept_remedies() if kept else [(question, "valid", *r, 3) for r in remedy_rows(task, range(3))]
            )
        others = baselines(panel, task, n_classes, n_seeds)
        rows += test_rows(question, task, fits, others)
    table = pd.DataFrame(rows, columns=COLUMNS)
    table[["value", "low", "high"]] = table[["value", "low", "high"]].astype(float).round(5)
    RESULTS.parent.mkdir(exist_ok=True)
    table.to_csv(RESULTS, index=False)
    say("wrote", RESULTS.name)


def kept_remedies():
    last = pd.read_csv(RESULTS)
    return list(last[last["model"].isin(REMEDIES)][COLUMNS].itertuples(index=False, name=None))


def test_rows(question, task, fits, others):
    """Score everything on the test rows: intervals over customers; single fits by their range over seeds."""
    customer, _, y = task.rows("test")
    fits = [forecast(model, task, "test") for _, _, model in fits]
    n = len(fits)
    scored = {name: visits.evaluate(p, y, customer) for name, p in others.items()}
    scored[f"LSTM, mean of {n} fits"] = visits.evaluate(np.mean(fits, axis=0), y, customer)
    single = [visits.evaluate(p, y, customer) for p in fits]
    for name, result in scored.items():
        for metric, draws in result.items():
            seeds = n if name.startswith("LSTM") else 1
            yield question, "test", name, metric, *interval(draws), seeds
    for metric in single[0]:
        values = [s[metric][0] for s in single]
        yield question, "test", "LSTM, one fit", metric, np.mean(values), min(values), max(values), n
    # Paired differences. For a single fit: the mean draw over the seeds, the worst seed apart.
    for rival in ("LightGBM", f"LightGBM, mean of {n} fits", "logistic regression"):
        for metric in single[0]:
            mean = scored[f"LSTM, mean of {n} fits"][metric] - scored[rival][metric]
            one = np.mean([s[metric] for s in single], axis=0) - scored[rival][metric]
            yield (
                question,
                "test",
                f"LSTM, mean of {n} fits, minus {rival}",
                metric,
                *interval(mean),
                n,
            )
            yield question, "test", f"LSTM, one fit, minus {rival}", metric, *interval(one), n


if __name__ == "__main__":
    main()
