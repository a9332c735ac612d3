"""Which cell? RNN, LSTM, GRU and their rivals, all of about one size and all tuned alike (lesson 51).

*visits*: lesson 16's question (weeks 45 to 52 test, the four weeks before them validate), with 100, 20 and
5 % of the households. A seed draws the households of a share and the start of a network. Every arm chooses
its setting (a network its learning rate) and its number of epochs (or trees) by the mean validation loss over
the seeds, on the households of the share only; with 1,000 households or more, seed 0 alone chooses the
setting. All search as `_search` does: on along a ladder while the best is at an edge; a fit ends when its
validation loss has stopped falling, and those of several seeds go on until the last one's has. Averaged
weights answer, as in lesson 16; no arm has dropout. All households are asked in the test weeks. These were
scored before, by lesson 16 and three times by this comparison: with one rate for all; with three rates and
few epochs; and with a search in which a fit that had ended counted with its last loss. Here all is chosen
anew on validation.
Differences are paired: the same draws of households, weeks and seeds.
*second shop*: the same with every sixth customer of Online Retail.
*memory*: lesson 12's coupon task, with its search, three seeds, and about as many weights as the LSTM there.
No linear filter can do it: the answer is a product of two inputs.
*sales*: lesson 22's network with its two cells exchanged, one network of about equal weights; the rate by
seed 0 on validation, from a ladder, too; ten epochs of a cosine schedule each.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ecomlib
from benchmarks.quality import _networks as networks
from benchmarks.quality import memory
from benchmarks.quality._search import climbed, mean_curve, stands_still
from benchmarks.quality.second_shop import SPLIT as SECOND_SPLIT
from benchmarks.quality.second_shop import VALID, some_customers
from benchmarks.run import Log, kept, row
from ecomlib import Split, sales, visits
from ecomlib.bootstrap import Draws, interval, mean_of_fits
from ecomlib.lessons import memory_tasks
from ecomlib.probability import log_loss
from ecomlib.shop.complete_journey import CLOSED, HOLIDAYS
from ecomlib.visits.baselines import grow

SEEDS = (0, 1, 2)
WINDOW = Split.last(test="56D", valid="28D", end="2017-12-24")  # lesson 16's
SHARES = (100, 20, 5)  # % of the households
SIZES = {1000: (64, 40), 300: (32, 60), 0: (16, 90)}  # households at least -> batch, epochs at most
# Ladders of settings, and where on them every search begins.
RATES, FIRST_RATES = (0.0002, 0.0006, 0.002, 0.006, 0.02, 0.06, 0.2), range(2, 5)
CS, FIRST_CS = (3e-5, 3e-4, 0.003, 0.03, 0.3, 3.0), range(1, 5)  # inverse strength of the line's penalty
TREES = ((2, 400), (4, 400), (4, 100), (8, 400), (8, 100), (15, 400), (15, 100), (31, 100))
FIRST_TREES = range(2, 6)  # leaves, rows per leaf
ROUNDS, STEP = 1000, 10  # trees at most, and looked at after so many each
LINE, BOOSTED = "logistic regression", "LightGBM"
MANY = 1000  # of so many households, seed 0 alone chooses the setting
SOME = 6  # every sixth customer of the second shop
FORGET = {"convolution": 9, "attention": 8}  # sizes in the memory task
LAGS = (10, 50, 100)
SALES = {"SimpleRNN": 65, "GRU": 30, "LSTM": 24}  # units, for about equal weights
SALES_RATES, FIRST_SALES = (0.0006, 0.00125, 0.0025, 0.005, 0.01, 0.02, 0.04), range(2, 5)
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # customer, cutoff, class
Predict = Callable[[int, Rows], np.ndarray]  # epochs, rows -> probabilities
# setting, seed, least number of epochs -> validation loss by epoch, forecasts
Fit = Callable[..., tuple[np.ndarray, Predict]]


def rows(quick: bool, log: Log) -> list[dict]:
    """All rows of the table; quick: one seed, one setting, few epochs, the smallest share."""
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    other = ecomlib.load_online_retail(until=VALID)
    second = visits.task(some_customers(other, SOME), SECOND_SPLIT)
    out = visit_rows(visits.task(shop, WINDOW), "visits", SHARES[-1:] if quick else SHARES, quick, log)
    out += visit_rows(second, "second shop", SHARES[:1], quick, log)
    out += memory_rows(quick, log)
    daily = Split.last(test="56D", valid="28D")
    categories = sales.task(shop, daily, "category", holidays=HOLIDAYS, closed=CLOSED)
    return out + sales_rows(categories, quick, log)


# ------------------------------------------------------------------------------------- visits: one search


def visit_rows(
    task: visits.VisitsTask, name: str, shares: Sequence[int], quick: bool, log: Log
) -> list[dict]:
    """Every arm at every share: its losses, what it loses against others, and against all households."""
    seeds = SEEDS[:1] if quick else SEEDS
    jobs = {
        f"{name}, {share} per cent, {arm}": partial(tuned, task, arm, share, seeds, quick)
        for share in shares
        for arm in arms_of(name)
    }
    found = kept(f"cells{'-quick' * quick}", jobs, log)
    customer, week, y = task.rows("test")
    drawn = Draws.of(customer, week)
    out: list[dict] = []
    scores: dict[tuple[int, str], np.ndarray] = {}
    for share in shares:
        for arm in arms_of(name):
            each = found[f"{name}, {share} per cent, {arm}"]
            fits = [{"log-loss": drawn.means(log_loss(p, y))} for p in each["test"]]
            # One stream for all: a seed is one draw of households.
            scores[share, arm] = mean_of_fits(fits)["log-loss"]
            out += arm_rows(arm, each, fits, scores[share, arm], {"task": name, "at": share})
        out += difference_rows(scores, share, len(seeds), {"task": name, "at": share})
    return out


def arms_of(name: str) -> list[str]:
    """The arms; in the second shop the cells and the two learners on features only."""
    return [LINE, BOOSTED, *(networks.CELLS if name == "second shop" else networks.SIZES)]


def arm_rows(arm: str, found: dict, fits: list[dict], score: np.ndarray, place: dict) -> list[dict]:
    """What one arm reached at one share, and its search."""
    n = len(fits)
    chosen = place | {"setting": str(found["setting"]), "epochs": found["epochs"]}
    out = [row(arm, "log-loss", interval(score), n, **chosen)]
    each = [fit["log-loss"][0] for fit in fits]
    out += [row(arm, f"log-loss, seed {seed}", (x, x, x), 1, **place) for seed, x in enumerate(each)]
    gap = np.array(each) - found["train"]
    for metric, values in {"training log-loss": found["train"], "test minus training": gap}.items():
        out.append(row(arm, metric, (np.mean(values), min(values), max(values)), n, **place))
    for setting, losses in found["search"].items():
        tried = place | {"setting": str(setting), "epochs": int(losses.argmin()) + 1}
        out.append(row(arm, "log-loss, choosing", (losses.min(), losses.min(), losses[-1]), n, **tried))
    return out


def difference_rows(scores: dict, share: int, n: int, place: dict) -> list[dict]:
    """Each arm minus the LSTM, the line and LightGBM at one share; minus itself at the largest share."""
    out = []
    for arm in [arm for at, arm in scores if at == share]:
        score, most = scores[share, arm], max(at for at, other in scores if other == arm)
        for rival in ("LSTM", LINE, BOOSTED):
            if arm != rival:
                difference = interval(score - scores[share, rival])
                out.append(row(f"{arm} minus {rival}", "log-loss", difference, n, **place))
        if share < most:
            lost = score - scores[most, arm]
            out.append(row(arm, "log-loss, minus that with most households", interval(lost), n, **place))
            if arm != "LSTM":
                metric = "what it loses minus what the LSTM loses"
                extra = lost - (scores[share, "LSTM"] - scores[most, "LSTM"])
                out.append(row(arm, metric, interval(extra), n, **place))
    return out


def tuned(task: visits.VisitsTask, arm: str, share: int, seeds: Sequence[int], quick: bool = False) -> dict:
    """Search one arm's setting and epochs on validation, then forecast the test with each seed.

    The same search for all: the setting, then the epochs, with the smallest mean validation loss.

    Returns
    -------
    dict
        "setting", "epochs"; "test": probabilities (n_rows, n_classes) per seed; "train": log-loss per seed on
        the training rows of the share; "search": setting -> mean validation loss by epoch.
    """
    fit, ladder, first = fitter(task, arm, share, quick)
    few = seeds[:1] if len(households(task, share, 0)) >= MANY else seeds

    def together(setting: Any, seeds: Sequence[int]) -> list:
        """A fit of every seed: all go on until the last one stands still, so that their mean has no gaps."""
        fits = {seed: fit(setting, seed) for seed in seeds}
        longest = max(len(losses) for losses, _ in fits.values())
        ended = [seed for seed in seeds if len(fits[seed][0]) < longest]
        return list((fits | {seed: fit(setting, seed, longest) for seed in ended}).values())

    def curve(fits: list) -> np.ndarray:
        return mean_curve([losses for losses, _ in fits])

    fits = climbed(lambda s: together(s, few), ladder, first, lambda each: curve(each).min())
    search = {setting: curve(each) for setting, each in fits.items()}
    best = min(search, key=lambda setting: search[setting].min())
    every = fits[best] if few == seeds else together(best, seeds)
    epochs = int(curve(every).argmin()) + 1
    found: dict[str, Any] = {"setting": best, "epochs": epochs, "search": search, "test": [], "train": []}
    for seed, (_, predict) in zip(seeds, every, strict=True):
        found["test"].append(predict(epochs, task.rows("test")).astype(np.float32))
        asked = rows_of(task, "train", households(task, share, seed))
        found["train"].append(float(log_loss(predict(epochs, asked), asked[2]).mean()))
    return found


def fitter(task: visits.VisitsTask, arm: str, share: int, quick: bool) -> tuple[Fit, Sequence, range]:
    """How an arm is fitted at a share, its ladder of settings, and where the search begins; quick: one."""
    few = slice(3, 4) if quick else slice(None)
    if arm == LINE:
        fit = partial(fit_line, task, share, visits.features(task)[0])
        return fit, CS[few], range(1) if quick else FIRST_CS
    if arm == BOOSTED:
        fit = partial(fit_trees, task, share, visits.features(task)[0], STEP if quick else ROUNDS)
        return fit, TREES[few], range(1) if quick else FIRST_TREES
    # Compiled once, for all settings and seeds.
    model = networks.network(arm, task.x.shape[-1], networks.SIZES[arm], task.n_classes)
    fit = partial(fit_network, task, share, model, 1 if quick else None)
    return fit, RATES[few], range(1) if quick else FIRST_RATES


def households(task: visits.VisitsTask, share: int, seed: int) -> np.ndarray:
    """Positions of the households of a share: of those with a training row, drawn anew for every seed."""
    all_of_them = np.unique(task.rows("train")[0])
    n = round(len(all_of_them) * share / 100)
    return np.sort(np.random.default_rng([seed, 51]).permutation(all_of_them)[:n])


def rows_of(task: visits.VisitsTask, part: str, who: np.ndarray) -> Rows:
    """The rows of some households in a part."""
    customer, cutoff, y = task.rows(part)
    keep = np.isin(customer, who)
    return customer[keep], cutoff[keep], y[keep]


def fit_network(
    task: visits.VisitsTask,
    share: int,
    model: Any,
    epochs: int | None,
    rate: float,
    seed: int,
    least: int = 0,
) -> tuple[np.ndarray, Predict]:
    """Train a network on the households of a share; validation loss after every epoch, at `least` so many."""
    who = households(task, share, seed)
    y, weight = task.labels("train")
    batch, most = next(how for least, how in SIZES.items() if len(who) >= least)
    start = networks.first_weights(model, seed)
    data = task.x[who, : y.shape[1]], y[who], weight[who]
    by_epoch: list[list[np.ndarray]] = []

    def predict(epoch: int, asked: Rows) -> np.ndarray:
        customer, cutoff, _ = asked
        model.set_weights(by_epoch[min(epoch, len(by_epoch)) - 1])
        ids, at = np.unique(customer, return_inverse=True)
        x = task.x[ids, : int(cutoff.max()) + 1]
        p = np.concatenate([model.predict_on_batch(x[i : i + 512]) for i in range(0, len(x), 512)])
        return p[at, cutoff].astype(float)

    valid, losses = rows_of(task, "valid", who), []
    for weights in networks.learn(model, start, data, rate, batch, seed):
        by_epoch.append(weights)
        losses.append(log_loss(predict(len(by_epoch), valid), valid[2]).mean())
        if (stands_still(losses) and len(losses) >= least) or len(losses) == (epochs or most):
            break
    return np.array(losses), predict


def fit_line(
    task: visits.VisitsTask, share: int, x: np.ndarray, c: float, seed: int
) -> tuple[np.ndarray, Predict]:
    """Logistic regression on the features x of lesson 16; it has no epochs."""
    customer, cutoff, y = rows_of(task, "train", who := households(task, share, seed))
    line = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000))
    line.fit(x[customer, cutoff], y)

    def predict(_: int, asked: Rows) -> np.ndarray:
        return whole(line.predict_proba(x[asked[0], asked[1]]), line.classes_, task.n_classes)

    valid = rows_of(task, "valid", who)
    return np.array([log_loss(predict(1, valid), valid[2]).mean()]), predict


def fit_trees(
    task: visits.VisitsTask,
    share: int,
    x: np.ndarray,
    most: int,
    setting: tuple[int, int],
    seed: int,
    least: int = 0,
) -> tuple[np.ndarray, Predict]:
    """LightGBM on the same features; its epochs are trees, `most` at most and `least` at least."""
    from lightgbm.callback import EarlyStopException

    customer, cutoff, y = rows_of(task, "train", who := households(task, share, seed))
    classes, losses, valid = np.unique(y), [], rows_of(task, "valid", who)

    def answers(booster: Any, trees: int, asked: Rows) -> np.ndarray:
        p = booster.predict(x[asked[0], asked[1]], num_iteration=trees)
        return whole(p, classes, task.n_classes)

    def look(env: Any) -> None:
        trees = env.iteration + 1
        if trees % STEP == 0:
            losses.append(log_loss(answers(env.model, trees, valid), valid[2]).mean())
            if stands_still(losses) and trees >= least:
                raise EarlyStopException(env.iteration, [])

    model = grow(x[customer, cutoff], y, *setting, most, seed, callbacks=[look])
    # The loss stands until the next look; there is none before the first.
    curve = np.repeat([losses[0], *losses], [STEP - 1, *[STEP] * (len(losses) - 1), 1])

    def predict(trees: int, asked: Rows) -> np.ndarray:
        return answers(model.booster_, min(trees, STEP * len(losses)), asked)

    return curve, predict


def whole(p: np.ndarray, classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Probabilities of all classes: 0 for one that training never saw."""
    out = np.zeros((len(p), n_classes))
    out[:, classes] = p
    return out


# ------------------------------------------------------------------------------------------------- memory


def memory_rows(quick: bool, log: Log) -> list[dict]:
    """Lesson 12's coupon task for what is new here, by lesson 12's own search."""
    spend = memory.households()
    seeds, lags = (SEEDS[:1], LAGS[:1]) if quick else (SEEDS, LAGS)
    rates = memory.RATES[:1] if quick else memory.RATES
    jobs = {
        f"memory, lag {lag}, {kind}": partial(remembered, spend, kind, lag, seeds, rates)
        for lag in lags
        for kind in FORGET
    }
    found = kept(f"cells{'-quick' * quick}", jobs, log)
    out = []
    for lag in lags:
        for kind in FORGET:
            each = found[f"memory, lag {lag}, {kind}"]
            out += memory.search_rows(kind, each, len(seeds), task="memory", at=lag)
            weights = (recaller(kind, lag).count_params(),) * 3
            out.append(row(kind, "weights", weights, 1, task="memory", at=lag))
    return out


def remembered(
    spend: tuple[np.ndarray, ...], kind: str, lag: int, seeds: Sequence[int], rates: tuple[float, ...]
) -> memory.Found:
    """Lesson 12's search of rate and updates."""
    model = recaller(kind, lag)

    def fit(rate: float, seed: int) -> np.ndarray:
        return recall(model, spend, lag, rate, seed)

    return memory.search(fit, range(len(seeds)), rates)


def recaller(kind: str, lag: int) -> Any:
    """A network for the coupon task that answers after the last step."""
    return networks.network(kind, 3, FORGET[kind], 2, last=True, reach=lag + memory_tasks.EARLY)


def recall(model: Any, spend: tuple[np.ndarray, ...], lag: int, rate: float, seed: int) -> np.ndarray:
    """Accuracy after each of `memory.UPDATES`, on households to choose on and to test on; as lesson 12's.

    Fresh batches of 64; training stops once the households to choose on are answered right.
    """
    starts = 2_000_000 + seed, 1_000_000 + seed
    asked = [
        memory_tasks.coupon_task(part, lag, 2000, np.random.default_rng(s))
        for part, s in zip(spend[1:], starts, strict=True)
    ]
    networks.restart(model, networks.first_weights(model, seed), rate)
    rng, found = np.random.default_rng(seed), []
    for done in range(1, memory.UPDATES[-1] + 1):
        model.train_on_batch(*memory_tasks.coupon_task(spend[0], lag, 64, rng))
        if done in memory.UPDATES:
            answers = [np.concatenate([model.predict_on_batch(x[i : i + 500]) for i in range(0, 2000, 500)])
                       for x, _ in asked]  # fmt: skip
            found.append([
                balanced_accuracy_score(y, p.argmax(axis=1))
                for (_, y), p in zip(asked, answers, strict=True)
            ])  # fmt: skip
            if found[-1][0] > memory.RIGHT:
                break
    return np.array(found + found[-1:] * (len(memory.UPDATES) - len(found)))


# -------------------------------------------------------------------------------------------------- sales


def sales_rows(task: sales.SalesTask, quick: bool, log: Log) -> list[dict]:
    """Lesson 22's network with each cell: scores, and ratios to the network with LSTMs."""
    seeds = SEEDS[:1] if quick else SEEDS
    jobs = {f"sales, {cell}": partial(exchanged, task, cell, seeds, quick) for cell in SALES}
    found = kept(f"cells{'-quick' * quick}", jobs, log)
    place: dict[str, object] = {"task": "sales", "at": task.horizon}
    scores, out = {}, []
    for stream, (cell, each) in enumerate(zip(SALES, found.values(), strict=True)):
        scores[cell] = mean_of_fits([sales.draws(task, p) for p in each["test"]], stream)
        for metric in ("WAPE", "pinball"):
            spread = interval(scores[cell][metric])
            out.append(row(cell, metric, spread, len(seeds), **place, rate=each["rate"]))
        out.append(row(cell, "weights", (each["weights"],) * 3, 1, **place))
        for rate, loss in each["search"].items():
            out.append(row(cell, "pinball, choosing", (loss,) * 3, 1, **place, rate=rate))
    for cell in SALES:
        for metric in ("WAPE", "pinball"):
            if cell != "LSTM":
                ratio = interval(scores[cell][metric] / scores["LSTM"][metric])
                out.append(row(f"{cell} / LSTM", metric, ratio, len(seeds), **place))
    return out


def exchanged(task: sales.SalesTask, cell: str, seeds: Sequence[int], quick: bool) -> dict[str, Any]:
    """One cell in the place of both LSTMs: its rate by validation, its forecasts of the test per seed."""
    import keras

    def fit(rate: float, seed: int) -> sales.SalesLSTM:
        epochs = {"epochs": 1} if quick else {}
        with patch.object(keras.layers, "LSTM", getattr(keras.layers, cell)):
            net = sales.SalesLSTM(seed, members=1, learning_rate=rate, units=SALES[cell], **epochs)
            return net.fit(task)

    def first_fit(rate: float) -> tuple[sales.SalesLSTM, float]:
        p = (net := fit(rate, seeds[0])).predict(task, task.cutoffs("valid"))
        return net, float(sales.draws(task, p, "valid", n=1)["pinball"][0])

    ladder, first = (SALES_RATES[3:4], range(1)) if quick else (SALES_RATES, FIRST_SALES)
    tried = climbed(first_fit, ladder, first, loss=lambda found: found[1])
    search = {rate: loss for rate, (_, loss) in tried.items()}
    best = min(search, key=lambda rate: search[rate])
    nets = [tried[best][0], *(fit(best, seed) for seed in seeds[1:])]
    test = [net.predict(task, task.cutoffs("test")) for net in nets]
    return {"rate": best, "search": search, "test": test, "weights": nets[0].model.count_params()}
