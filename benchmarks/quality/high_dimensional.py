"""Thousands of inputs per week: multi-hot, and five ways to make 64 numbers of them. Lesson 52.

Protocol. Lesson 31's task and split: local weeks 2 to 52, targets of weeks 41 to 44 choose, 45 to 52 test.
One sequence per household; every network is one LSTM of 48 units and answers for all 30 categories. To its
answer the log-odds of the smoothed frequency are added, so that an untrained network is the smoothed
frequency. What differs is what it reads of a week beside five numbers of the household. Vocabularies, idf,
factors and scales come from the weeks before validation. Chosen on the four weeks, for every input on its
own: learning rate, then dropout of the inputs (both tried until the neighbours of the best were, too), epochs
(the fit with the smallest validation loss is seed 0, the other seeds have its settings). The sizes (48 units,
64 numbers) were not searched. The test weeks had been scored before, by a prototype with other settings and
one week more; with these, they are scored once.

`where`: "" the test of the running shop; "validation" the same fits on the four weeks; "paired" minus the
network that reads 30 categories, or the smoothed frequency; "cost" weights, megabytes of the
input, CPU seconds per epoch, and what was chosen; "children" the small example, households and repeats drawn;
"online retail" the second shop, every fifth customer, two fits, its codes as inputs.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import keras
import numpy as np
import pandas as pd
import scipy.sparse as sp

import ecomlib
from benchmarks.quality._alone import alone
from benchmarks.quality._many_inputs import (
    COMPRESS,
    SIZE,
    Arm,
    Question,
    compressed,
    multi_hot,
    network,
    sequences,
)
from benchmarks.quality._search import best_of
from benchmarks.quality.second_shop import SPLIT as SECOND_SPLIT
from benchmarks.quality.second_shop import VALID, some_customers
from benchmarks.run import Log, kept, row
from ecomlib import purchases
from ecomlib.bootstrap import Draws, interval, mean_of_fits
from ecomlib.probability import log_loss, ranking_draws
from ecomlib.purchases.model import week_loss
from ecomlib.shop import Shop
from ecomlib.split import Split

SPLIT = Split.last(test="56D", valid="28D", end="2017-12-24")
BATCH = 128
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
DROPOUTS = (0.0, 0.5, 0.8, 0.9)  # of the inputs; with 1 it would be the network that reads no product
EPOCHS, PATIENCE, SEEDS = 48, 2, 3
OURS, BASE, NOTHING = "30 categories", "smoothed frequency", "household numbers alone"
TYPES, PRODUCTS, CODES = "all types", "all products", "all codes"
MANY = f"multi-hot, {TYPES}"  # the arm of the question: it may try more
MORE = {MANY: (0.3, 0.5, 0.8)}  # at the two best rates
APART = f"multi-hot, {PRODUCTS}"  # each of its fits in a process of its own, for its peak memory
FIRST = (100, 500)  # multi-hot of so many types
SECOND = (np.array([6, 8, 12, 16, 26, 52]), (1, 2, 3, 4, 8))  # half-lives and prior weeks, second shop
PENALTIES = np.logspace(-3, 2, 6)
FOLDS, REPEATS = 5, 2
PAIRS = (  # of the small example
    ("penalty, types", "penalty, departments"),
    ("penalty, types", "penalty, categories"),
    ("penalty, types", "no penalty, types"),
    ("penalty, types", "penalty, products"),
    ("penalty, products", "no penalty, products"),
    ("SVD, types", "penalty, types"),
)
Fit = dict[str, Any]


def rows(quick: bool, log: Log) -> list[dict]:
    """All rows. Quick: one fit of one epoch each, few inputs."""
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    out = children(shop, quick, log)
    task = purchases.task(shop, SPLIT)
    question = Question.of(task)
    found = kept("high_dimensional", jobs(shop, task, question, quick), log)
    out += scored(task, {name: each["fits"] for name, each in found.items()}, "", log)
    return out + second_rows(quick, log)


# ------------------------------------------------------------------------------------------------- the fits


class Keep(keras.callbacks.Callback):
    """Keep the averaged weights of the epoch with the smallest validation loss; stop `patience` later."""

    def __init__(self, patience: int = PATIENCE):
        super().__init__()
        self.patience, self.losses, self.best = patience, [], []

    def on_test_end(self, logs: dict | None = None) -> None:
        """While the weights are scored, their average stands in their place."""
        self.losses.append(float((logs or {})["loss"]))
        if self.losses[-1] == min(self.losses):
            self.best = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Stop after `patience` epochs without a smaller loss."""
        self.model.stop_training = epoch - int(np.argmin(self.losses)) >= self.patience


def fit(
    question: Question, arm: Arm, seed: int, rate: float, dropout: float, epochs: int, watch: bool
) -> Fit:
    """Train one network; with `watch` its best epoch on validation is kept.

    "losses" by epoch on validation, "epochs" of the one kept, "seconds" of CPU per epoch, "weights", and the
    forecasts "valid" and "test".
    """
    keras.utils.set_random_seed(seed)
    k, last = question.bought.shape[2], int(question.parts["valid" if watch else "train"].max())
    net, x, keep = network(last + 1, arm, dropout, k=k), arm.inputs(question, last), Keep()
    net.compile(keras.optimizers.Adam(rate, clipnorm=1.0, use_ema=True, ema_momentum=0.95), week_loss)
    more: dict[str, Any] = {}
    if watch:
        swap = keras.callbacks.SwapEMAWeights()
        more = {"callbacks": [keep, swap], "validation_data": (x, question.target("valid", last))}
    start = time.process_time()
    net.fit(x, question.target("train", last), BATCH, epochs, verbose=0, validation_batch_size=512, **more)
    seconds = (time.process_time() - start) / len(net.history.epoch)
    full = network(question.bought.shape[1], arm, k=k)
    full.set_weights(keep.best if watch else net.get_weights())
    p = full.predict(arm.inputs(question, question.bought.shape[1] - 1), batch_size=512, verbose=0)
    return {
        "losses": keep.losses,
        "epochs": int(np.argmin(keep.losses)) + 1 if watch else epochs,
        "seconds": seconds,
        "weights": sum(int(np.prod(each.shape)) for each in net.trainable_variables),
    } | {part: p[:, question.parts[part]].swapaxes(0, 1) for part in ("valid", "test")}


def apart(*arguments: Any) -> Fit:
    """A fit in a process of its own, with its peak memory."""
    return alone("ecomlib", _fit_only, *arguments)["fit"][0]


def _fit_only(*arguments: Any) -> dict[str, list[Fit]]:
    return {"fit": [fit(*arguments)]}


def searched(question: Question, arm: Arm, seeds: int, quick: bool) -> dict[str, list[Fit]]:
    """The fits of an arm: rate, then dropout, and epochs are chosen with seed 0 on validation."""
    epochs, train = 1 if quick else EPOCHS, apart if arm.name == APART else fit
    tried: dict[tuple[float, float], Fit] = {}

    def attempt(rate: float, dropout: float = 0.0) -> float:
        if (rate, dropout) not in tried:
            tried[rate, dropout] = train(question, arm, 0, rate, dropout, epochs, True)
        return min(tried[rate, dropout]["losses"])

    if quick:
        attempt(1e-2)
    else:
        rate = best_of(RATES, (3e-3, 1e-2), attempt)
        two = sorted({rate for rate, _ in tried}, key=attempt)[:2]
        if arm.dense is not None or arm.codes is not None:
            best_of(DROPOUTS, DROPOUTS[:1], lambda dropout: attempt(rate, dropout))
        for rate, dropout in product(two, MORE.get(arm.name, ())):
            attempt(rate, dropout)
    chosen = min(tried, key=lambda setting: attempt(*setting))
    first, settings = tried[chosen], dict(zip(("rate", "dropout"), chosen, strict=True))
    cost = {"megabytes": arm.megabytes, "made": arm.seconds, "V": arm.n_inputs}
    fits = [first] + [train(question, arm, seed, *chosen, first["epochs"], False) for seed in range(1, seeds)]
    return {"fits": [one | settings | cost for one in fits]}


def jobs(
    shop: Shop, task: purchases.PurchaseTask, question: Question, quick: bool
) -> dict[str, Callable[[], dict[str, list[Fit]]]]:
    """Every arm's name -> a function that makes its input, searches and fits."""
    seeds = 1 if quick else SEEDS

    def job(make: Callable[[], Arm]) -> Callable[[], dict[str, list[Fit]]]:
        return lambda: searched(question, make(), seeds, quick)

    def codes(level: str, first: int | None = None) -> sp.csr_matrix:
        return multi_hot(shop, task, level)[:, :first]

    made: dict[str, Callable[[], dict[str, list[Fit]]]] = {
        NOTHING: job(lambda: Arm(NOTHING, 0)),
        OURS: job(lambda: Arm(OURS, question.bought.shape[2], np.array(task.bought))),
        MANY: job(lambda: sequences(question, MANY, codes("product_type"))),
    }
    if quick:
        return made
    for first in FIRST:
        name = f"multi-hot, {first} types"
        made[name] = job(partial(_named, sequences, question, name, codes, "product_type", first))
    for level, what in (("product_type", TYPES), ("product_id", PRODUCTS)):
        for method in COMPRESS:
            if (method, what) != ("autoencoder", PRODUCTS):  # its last layer would have 4 million weights
                name = f"{method}, {what}"
                made[name] = job(partial(_named, compressed, question, name, codes, level, None, method))
        name = f"embedding bag, {what}"
        made[name] = job(partial(_named, sequences, question, name, codes, level, None, SIZE))
    made[APART] = job(lambda: sequences(question, APART, codes("product_id")))
    return made


def _named(
    make: Callable[..., Arm], question: Question, name: str, codes: Callable, level: str, *more: Any
) -> Arm:
    """An arm whose codes are read only when it is made; `more` begins with how many codes it keeps."""
    return make(question, name, codes(level, more[0]), *more[1:])


# ------------------------------------------------------------------------------------------------- the scores


def draws(task: purchases.PurchaseTask, p: np.ndarray, part: str) -> dict[str, np.ndarray]:
    """Draws of the log-loss of a part."""
    customer, week, _, y = task.rows(part)
    return {"log-loss": Draws.of(customer, week).means(log_loss(task.flat(p, part), y))}


def scored(
    task: purchases.PurchaseTask, found: dict[str, list[Fit]], shop: str, log: Log, *usual: float
) -> list[dict]:
    """Every arm on test and validation, its difference to 30 categories and to no network, and its cost."""
    rule = purchases.WeightedFrequency(*usual).fit(task)
    base = {part: rule.predict(task, task.cutoffs(part)) for part in ("valid", "test")}
    fits = {BASE: [base], **found}
    out: list[dict] = []
    for part, where in (("valid", "validation"), ("test", "")):
        each = {name: [draws(task, one[part], part) for one in made] for name, made in fits.items()}
        scores = {
            name: mean_of_fits(made, stream)["log-loss"] for stream, (name, made) in enumerate(each.items())
        }
        place = {"where": f"{shop}{', ' * bool(shop and where)}{where}"}
        out += [
            row(name, "log-loss", interval(value), len(fits[name]), **place) for name, value in scores.items()
        ]
        for name, value in scores.items():
            log(f"{shop} {name}: log-loss {part} {value[0]:.5f}")
    place = {"where": f"{shop}{', ' * bool(shop)}paired"}
    for other in (OURS, BASE):
        for name in found:
            if name != other:
                lost = interval(scores[name] - scores[other])
                out.append(row(f"{name} minus {other}", "log-loss", lost, len(fits[name]), **place))
    return out + costs(found, f"{shop}{', ' * bool(shop)}cost")


def costs(found: dict[str, list[Fit]], where: str) -> list[dict]:
    """What each arm costs and what was chosen for it; over its fits: mean, least, most."""
    names = {
        "V": "inputs", "weights": "weights", "megabytes": "megabytes of input", "made": "seconds to make it",
        "seconds": "seconds per epoch", "epochs": "epochs", "rate": "learning rate", "dropout": "dropout",
        "gb": "peak GB",
    }  # fmt: skip
    out = []
    for arm, fits in found.items():
        for key, metric in names.items():
            if values := [one[key] for one in fits if key in one]:
                spread = (float(np.mean(values)), min(values), max(values))
                out.append(row(arm, metric, spread, len(fits), where=where))
    return out


def second_rows(quick: bool, log: Log) -> list[dict]:
    """Online Retail: the network that reads its 30 words, all of its codes, or 64 factors of them."""
    shop = some_customers(ecomlib.load_online_retail(until=VALID), 5)
    task = purchases.task(shop, SECOND_SPLIT)
    usual = purchases.tune_frequency(task, *SECOND)
    log(f"online retail, smoothed frequency {usual}")
    question, seeds = Question.of(task, *usual), 1 if quick else 2
    codes = multi_hot(shop, task, "product_id")
    arms = [Arm(NOTHING, 0), Arm(OURS, 30, np.array(task.bought))]
    arms.append(sequences(question, f"multi-hot, {CODES}", codes))
    arms += [] if quick else [compressed(question, f"SVD, {CODES}", codes, "SVD")]
    work = {arm.name: partial(searched, question, arm, seeds, quick) for arm in arms}
    found = kept("high_dimensional/second", work, log)
    return scored(task, {name: each["fits"] for name, each in found.items()}, "online retail", log, *usual)


# --------------------------------------------------------------------------------------- children at home


def children(shop: Shop, quick: bool, log: Log) -> list[dict]:
    """From a year's basket: are there children in the household? For every level of names, three learners."""
    out, place = [], {"where": "children"}
    scores: dict[str, np.ndarray] = {}
    levels = {"departments": "department", "categories": "category", "types": "product_type"}
    levels |= {} if quick else {"products": "product_id"}
    for level, column in levels.items():
        x, has, y = baskets(shop, column)
        for learner in LEARNERS:
            fits = [out_of_fold(x, has, y, learner, seed) for seed in range(1 if quick else REPEATS)]
            drawn = [ranking_draws(p, y, Draws.of(np.arange(len(y))), 1000) for p, _ in fits]
            name = f"{learner}, {level}"
            scores[name] = mean_of_fits(drawn, len(scores))["AUC"]
            seen = [auc for _, auc in fits]
            out += [
                row(name, "AUC", interval(scores[name]), len(fits), **place),
                row(name, "training AUC", (np.mean(seen), min(seen), max(seen)), len(fits), **place),
                row(name, "inputs", (x.shape[1],) * 3, len(fits), **place),
            ]
            log(f"children, {name} ({x.shape[1]}): AUC {scores[name][0]:.3f}, training {np.mean(seen):.3f}")
    for one, other in PAIRS:
        lost = interval(scores[one] - scores[other])
        out.append(row(f"{one} minus {other}", "AUC", lost, 1 if quick else REPEATS, **place))
    return out


def baskets(shop: Shop, level: str) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    """What each household bought in the year, tf-idf (n, V); which of them answered; children or not."""
    from sklearn.feature_extraction.text import TfidfTransformer

    assert shop.products is not None and shop.customers is not None
    products = shop.products.set_index("product_id", drop=False)[level].astype("str")
    code = products.reindex(shop.orders["product_id"]).to_numpy(dtype=object)
    told = shop.customers.dropna(subset="kids_count").set_index("customer_id")["kids_count"]
    who, ids = pd.factorize(shop.orders["customer_id"], sort=True)
    column, names = pd.factorize(code, sort=True)
    ok = column >= 0
    counts = sp.csr_matrix((np.ones(ok.sum()), (who[ok], column[ok])), shape=(len(ids), len(names)))
    has = np.isin(ids, told.index)
    y = (told.reindex(ids[has]) != "0").to_numpy(int)
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts).tocsr(), has, y


def out_of_fold(
    x: sp.csr_matrix, has: np.ndarray, y: np.ndarray, learner: str, seed: int
) -> tuple[np.ndarray, float]:
    """Probabilities of households that were left out of the fit, and the mean AUC on those that were not."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    z, model = LEARNERS[learner](x, has)
    p, seen = np.empty(len(y)), []
    for fit_on, left_out in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(z, y):
        model.fit(z[fit_on], y[fit_on])
        p[left_out] = model.predict_proba(z[left_out])[:, 1]
        seen.append(roc_auc_score(y[fit_on], model.predict_proba(z[fit_on])[:, 1]))
    return p, float(np.mean(seen))


def _same_distances(x: sp.csr_matrix, has: np.ndarray) -> np.ndarray:
    """As many numbers as households that keep all products of two rows: a penalty on squares sees no more."""
    values, vectors = np.linalg.eigh((x[has] @ x[has].T).toarray())
    return vectors * np.sqrt(np.clip(values, 0, None))


def _penalised() -> Any:
    from sklearn.linear_model import LogisticRegressionCV

    return LogisticRegressionCV(
        Cs=PENALTIES, cv=3, scoring="neg_log_loss", max_iter=1000, l1_ratios=(0,), use_legacy_attributes=False
    )


def _plain(x: sp.csr_matrix, has: np.ndarray) -> tuple[np.ndarray, Any]:
    from sklearn.linear_model import LogisticRegression

    return _same_distances(x, has), LogisticRegression(C=1e6, max_iter=5000)


def _svd(x: sp.csr_matrix, has: np.ndarray) -> tuple[np.ndarray, Any]:
    from sklearn.decomposition import TruncatedSVD

    made = TruncatedSVD(min(32, x.shape[1] - 1), random_state=0).fit_transform(x)[has]
    return made / made.std(), _penalised()


LEARNERS: dict[str, Callable[[sp.csr_matrix, np.ndarray], tuple[np.ndarray, Any]]] = {
    "no penalty": _plain,
    "penalty": lambda x, has: (_same_distances(x, has), _penalised()),
    "SVD": _svd,
}
