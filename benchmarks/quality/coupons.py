"""Who redeems a coupon of this campaign? Families of inputs on different clocks, each left out in turn.

A row is a household that a campaign was mailed to; everything is known on the day before the campaign begins.
Every model, with all families and with each left out, gets its own search on two earlier rounds of campaigns;
so the families that a model keeps are chosen there, too. The test campaigns were looked at while the lesson
was designed (with campaigns among them whose answers are cut off); with these choices they are scored once.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

import ecomlib
from benchmarks.quality import _families
from benchmarks.quality._families import Mailing, scaled, table_of
from benchmarks.run import Log, kept, row
from ecomlib.bootstrap import Draws, interval, mean_of_fits
from ecomlib.probability import log_loss, ranking_draws

FIRST, ROUNDS, TEST = "2017-03-01", ("2017-06-28", "2017-08-08"), "2017-10-04"
SEEDS, EPOCHS, RATES, DROPS = 5, 24, (1e-3, 3e-3, 1e-2), (0.2, 0.5)
C = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
ALL = "all families"
FAMILIES = ("rhythm", "basket", "coupons", "match", "campaign", "past", "household")
RIVALS = ("logistic regression", "LightGBM")
KINDS = (*RIVALS, "network")
Arm = tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Rows to train on and rows to ask about."""

    train: np.ndarray
    asked: np.ndarray


def parts(mailed: pd.DataFrame, last_day: pd.Timestamp) -> dict[str, Part]:
    """The two rounds of validation and the test: train on what is over when the first asked one begins.

    A campaign whose end lies after the day on which its answers are needed is left out: it is censored.
    """
    starts = [pd.Timestamp(day) for day in (*ROUNDS, TEST)]
    ends = [*starts[1:], last_day + pd.Timedelta("1D")]
    needed = [starts[-1]] * len(ROUNDS) + [ends[-1]]
    found = {}
    for name, start, end, known in zip(("round 1", "round 2", "test"), starts, ends, needed, strict=True):
        asked = (mailed["start"] >= start) & (mailed["start"] < end) & (mailed["end"] < known)
        found[name] = Part(np.flatnonzero(mailed["end"] < start), np.flatnonzero(asked))
    return found


# -------------------------------------------------------------------------------------------- the models


def linear(m: Mailing, part: Part, arm: Arm, sets: str, c: float) -> np.ndarray:
    """Logistic regression on one table; probabilities of the asked rows."""
    from sklearn.linear_model import LogisticRegression

    train, asked = scaled(*table_of(m, part.train, part.asked, arm, sets))
    model = LogisticRegression(C=c, max_iter=2000).fit(train, m.y[part.train])
    return model.predict_proba(asked)[:, 1]


def trees(
    m: Mailing, part: Part, arm: Arm, sets: str, leaves: int, leaf_rows: int, steps: Iterable[int], seed: int
) -> list[np.ndarray]:
    """LightGBM on one table; probabilities of the asked rows after each number of trees in `steps`."""
    from lightgbm import LGBMClassifier

    train, asked = table_of(m, part.train, part.asked, arm, sets)
    model = LGBMClassifier(
        n_estimators=max(steps), learning_rate=0.03, num_leaves=leaves, min_child_samples=leaf_rows,
        subsample=0.8, subsample_freq=1, colsample_bytree=0.5, random_state=seed, n_jobs=1, verbose=-1,
    ).fit(train, m.y[part.train])  # fmt: skip
    return [model.booster_.predict(asked, num_iteration=n) for n in steps]


def build(shapes: dict[str, tuple[int, ...]], drop: float) -> Any:
    """A functional network with an input for each family."""
    import keras
    from keras import layers

    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    bag = layers.Dense(16, use_bias=False, name="bag")  # one table of vectors for both sets
    sets = [bag(inputs[name]) for name in ("basket", "coupons") if name in inputs]
    read = [layers.LSTM(16)(inputs["rhythm"])] if "rhythm" in inputs else []
    read += sets + ([layers.Multiply()(sets)] if len(sets) == 2 else [])
    read += [inputs[name] for name in FAMILIES[3:] if name in inputs]
    h = layers.Dropout(drop)(layers.Concatenate()(read) if len(read) > 1 else read[0])
    h = layers.Dropout(drop)(layers.Dense(32, "relu")(h))
    return keras.Model(inputs, layers.Dense(1, "sigmoid")(h))


def network(
    m: Mailing, part: Part, arm: Arm, sets: str, rate: float, drop: float, epochs: int, seed: int,
    every: bool = False,
) -> list[np.ndarray]:  # fmt: skip
    """The network; probabilities of the asked rows at the end, with `every` after each epoch."""
    import keras

    train, asked = inputs_of(m, part, arm, sets)
    keras.utils.set_random_seed(seed)
    model = build({name: x.shape[1:] for name, x in train.items()}, drop)
    model.compile(keras.optimizers.Adam(rate, weight_decay=1e-4), "binary_crossentropy")
    found: list[np.ndarray] = []

    def ask() -> None:
        found.append(model.predict_on_batch(asked)[:, 0])

    note = [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ask())] * every
    model.fit(train, m.y[part.train], batch_size=64, epochs=epochs, verbose=0, callbacks=note)
    if not every:
        ask()
    return found


def inputs_of(m: Mailing, part: Part, arm: Arm, sets: str) -> tuple[dict, dict]:
    """A dictionary of arrays for training and one for the asked rows; numbers scaled by training rows."""
    train, asked = {}, {}
    for name in arm:
        x = m.families[name]
        if name in ("basket", "coupons"):
            x = _families.unit(x @ m.words if sets == "words" else x)
            train[name], asked[name] = (x[rows].toarray().astype("f4") for rows in (part.train, part.asked))
        elif name == "rhythm":
            train[name], asked[name] = x[part.train], x[part.asked]
        else:
            train[name], asked[name] = scaled(x[part.train], x[part.asked])
    return train, asked


# -------------------------------------------------------------------------------------------- the search

Task = tuple[Mailing, dict[str, Part]]


def arms(families: Arm = FAMILIES) -> dict[str, Arm]:
    """All families, and all but each."""
    left = {f"without {name}": tuple(f for f in families if f != name) for name in families}
    return {ALL: families} | left


def pooled(task: Task, p: Iterable[np.ndarray]) -> float:
    """Log-loss over the rows of the validation rounds."""
    m, split = task
    y = [m.y[split[name].asked] for name in split if name != "test"]
    return float(log_loss(np.concatenate(list(p)), np.concatenate(y)).mean())


def search(task: Task, kind: str, arm: Arm, quick: bool, sets: str | None = None) -> tuple[float, dict]:
    """The smallest validation log-loss of a model with these families, and its settings."""
    m, split = task
    rounds = [part for name, part in split.items() if name != "test"]
    kinds = [sets] if sets else ["words", "types"] if {"basket", "coupons"} & set(arm) else ["words"]
    found: list[tuple[float, dict]] = []
    if kind == "logistic regression":
        for which, c in itertools.product(kinds, C):
            settings = {"sets": which, "c": c}
            found.append((pooled(task, [linear(m, part, arm, **settings) for part in rounds]), settings))
    elif kind == "LightGBM":
        steps = range(10, 31 if quick else 301, 10)
        for which, leaves, rows in itertools.product(kinds, (4, 8), (20, 60)):
            settings = {"sets": which, "leaves": leaves, "leaf_rows": rows}
            p = [trees(m, part, arm, **settings, steps=steps, seed=0) for part in rounds]
            found += [
                (pooled(task, each), settings | {"steps": (n,)})
                for n, each in zip(steps, zip(*p, strict=True), strict=True)
            ]
    else:
        for rate, drop in itertools.product(RATES[:1] if quick else RATES, DROPS[:1] if quick else DROPS):
            settings = {"sets": sets or "words", "rate": rate, "drop": drop}
            epochs = 1 if quick else EPOCHS
            p = [network(m, part, arm, **settings, epochs=epochs, seed=0, every=True) for part in rounds]
            found += [
                (pooled(task, each), settings | {"epochs": n})
                for n, each in enumerate(zip(*p, strict=True), 1)
            ]
    return min(found, key=lambda pair: pair[0])
