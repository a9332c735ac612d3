"""Purchase prediction: the shared LSTM against simple rules, a line, trees and the obvious network.

Protocol. Local weeks 2 to 52. Targets of weeks up to 40 train, 41 to 44 choose, 45 to 52 test. Every
household known by the origin counts, silent ones included; 30 categories. Half-life and shrinkage of the
frequency and the leaves and number of trees are chosen on weeks 41 to 44. An interval is a bootstrap over
whole households of the mean of the seeds' probabilities or, in rows "seed", of one seed.
"""

import numpy as np
from quality import row

import ecomlib
from ecomlib import cdnow
from ecomlib import purchases as pu
from ecomlib.evaluation import bootstrap_ratio, interval

WEEKS = {"start": "2017-01-02", "end": "2017-12-24"}
GROUPS = ("household", "marketing", "product", "who")


def rows(quick: bool, log) -> list[dict]:
    from ecomlib.models import MultiHotLSTM, PurchaseLSTM

    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    task = pu.prepare(shop, **WEEKS)
    log(f"task: {len(task.who)} households, {len(task.categories)} categories")
    study, seeds = Study(task, log), (0,) if quick else (0, 1, 2)
    options = {"epochs": 1} if quick else {}
    origins = task.origins["test"]
    study.add("base rate", [np.broadcast_to(pu.base_rate(task), task.target(origins).shape)])
    best = pu.tune_frequency(task)
    study.add("own frequency", [pu.weighted_frequency(task, origins, np.inf, 5.0)])
    study.add("recency-weighted frequency", [pu.weighted_frequency(task, origins, *best)])
    log("frequency done")
    study.add("shared LSTM", [PurchaseLSTM(s, **options).fit(task).predict(task, "test") for s in seeds])
    study.table_learners(quick)
    study.add("multi-hot LSTM", [MultiHotLSTM(s, **options).fit(task).predict(task, "test") for s in seeds])
    for group in () if quick else GROUPS:
        study.add(
            f"shared LSTM without {group}",
            [PurchaseLSTM(0, without=(group,)).fit(task).predict(task, "test")],
        )
    return study.rows() + counter_example(quick, log)


class Study:
    """All forecasts of the test part and the table made of them."""

    def __init__(self, task, log):
        self.task, self.log = task, log
        self.y, self.customer = task.rows("test")
        self.kind = pu.kinds(task)
        self.scores, self.flat, self.seeds, self.table, self.first = {}, {}, {}, [], None

    def add(self, name: str, forecasts: list, flat: bool = False) -> None:
        p = [f if flat else self.task.flat(f, "test") for f in forecasts]
        self.flat[name], self.seeds[name] = np.mean(p, axis=0), len(p)
        self.scores[name] = pu.evaluate(self.flat[name], self.y, self.customer, 100)
        self.put(name, "", self.scores[name], len(p))
        for seed, one in enumerate(p if len(p) > 1 else ()):
            scores = pu.evaluate(one, self.y, self.customer, 100)
            self.put(name, f"seed {seed}", scores, 1)
            if (name, seed) == ("shared LSTM", 0):
                self.first = scores
        self.log(f"{name}: log-loss {self.scores[name]['log-loss'][0]:.5f}")

    def put(self, name, where, scores, seeds):
        self.table += [row(name, m, interval(v), seeds, where=where) for m, v in scores.items()]

    def table_learners(self, quick: bool) -> None:
        """Logistic regression and LightGBM on the hand-made features."""
        from lightgbm import LGBMClassifier, early_stopping
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        task = self.task
        late = task.origins["train"][-4:] if quick else task.origins["train"][4:]
        x, names = pu.features(task, late)
        y = task.target(late)[task.use(late)].ravel()
        x_test, _ = pu.features(task, task.origins["test"])
        self.log(f"features: {x.shape}")
        scaler = StandardScaler().fit(x)

        def scaled(table):
            return np.clip(scaler.transform(table), -6, 6)  # a few extreme rows must not bend the line

        line = LogisticRegression(max_iter=200).fit(
            scaled(x[::3]), y[::3]
        )  # a third of the rows is plenty for a line
        self.add("logistic regression", [line.predict_proba(scaled(x_test))[:, 1]], flat=True)
        x_valid, _ = pu.features(task, task.origins["valid"])
        y_valid, _ = task.rows("valid")
        names = {
            "feature_name": [f"f{i}" for i in range(len(names))],
            "categorical_feature": [names.index("category")],
        }

        def grow(leaves, trees, seed=0, **options):
            return LGBMClassifier(
                n_estimators=trees,
                learning_rate=0.06,
                num_leaves=leaves,
                min_child_samples=200,
                colsample_bytree=0.7,
                n_jobs=2,
                random_state=seed,
                verbose=-1,
            ).fit(x, y, **names, **options)

        watch = {"eval_X": (x_valid,), "eval_y": (y_valid,), "callbacks": [early_stopping(25, verbose=False)]}
        loss = {}
        for leaves in (31,) if quick else (15, 31, 63):
            model = grow(leaves, 20 if quick else 600, **watch)
            loss[leaves, model.best_iteration_] = pu.log_loss(model.booster_.predict(x_valid), y_valid).mean()
        best = min(loss, key=loss.get)
        self.log(f"LightGBM: leaves, trees {best}; valid {loss[best]:.5f}")
        # What the network gains by averaging fits, the trees may have too.
        fits = [grow(*best, seed) for seed in range(1 if quick else 3)]
        self.add("LightGBM", [fit.booster_.predict(x_test) for fit in fits], flat=True)

    def rows(self) -> list[dict]:
        ours = "shared LSTM"
        for other in self.flat:
            if other == ours:
                continue
            if other.startswith(f"{ours} without"):  # one seed, so it is paired with the same seed
                draws = self.scores[other]["log-loss"] - self.first["log-loss"]
                self.put(f"{other} minus {ours}, seed 0", "paired", {"log-loss": draws}, 1)
                continue
            theirs, mine, seeds = self.scores[other], self.scores[ours], self.seeds[ours]
            lost = theirs["log-loss"] - mine["log-loss"]
            gained = mine["average precision"] / theirs["average precision"]
            self.put(f"{other} minus {ours}", "paired", {"log-loss": lost}, seeds)
            self.put(f"{ours} to {other}", "paired", {"average precision": gained}, seeds)
        for kind in ("new", "regular", "lapsing"):
            here = self.kind == kind
            for name in ("recency-weighted frequency", "LightGBM", ours):
                self.put(
                    name,
                    kind,
                    pu.evaluate(self.flat[name][here], self.y[here], self.customer[here], 50),
                    self.seeds[name],
                )
        position = np.arange(len(self.y)) % len(self.task.categories)
        for k, category in enumerate(self.task.categories):
            here = position == k
            for name in ("recency-weighted frequency", ours):
                scores = pu.evaluate(self.flat[name][here], self.y[here], self.customer[here], 50)
                self.put(name, category, {m: scores[m] for m in ("log-loss", "AUC")}, self.seeds[name])
        return self.table


def counter_example(quick: bool, log) -> list[dict]:
    """CDNOW: two four-parameter models and an LSTM that simulates; intervals over customers."""
    from ecomlib.models import CountLSTM

    purchases = cdnow.load_cdnow()
    table = cdnow.summarise(purchases)
    seen, later = [table[c].to_numpy(float) for c in ("repeats", "last", "age")], table["later"].to_numpy()
    counts = cdnow.weekly_counts(purchases)[:, : cdnow.WEEKS]
    nets = [CountLSTM(s, epochs=1 if quick else 6).fit(counts) for s in range(1 if quick else 3)]
    ahead = cdnow.WEEKS
    forecasts = {
        "rate so far": [seen[0] / seen[2] * ahead],
        "BG/NBD": [cdnow.bgnbd_expected(cdnow.fit_bgnbd(*seen), *seen, ahead)],
        "Pareto/NBD": [cdnow.pareto_expected(cdnow.fit_pareto(*seen), *seen, ahead)],
        "LSTM": [net.simulate(counts, ahead) for net in nets],
    }
    out = []
    for name, p in forecasts.items():
        p = np.mean(p, axis=0)
        gap, place = np.abs(p - later), {"seeds": len(forecasts[name]), "where": "CDNOW"}
        out.append(row(name, "MAE", bootstrap_ratio(gap, np.ones(len(gap)), 200), **place))
        values = {metric: value for metric, value in cdnow.errors(p, later).items() if metric != "MAE"}
        out += [row(name, metric, (value,) * 3, **place) for metric, value in values.items()]
        log(f"CDNOW, {name}: MAE {gap.mean():.3f}")
    return out
