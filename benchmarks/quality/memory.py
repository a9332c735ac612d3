"""How far back can a cell remember? The coupon task: every start, every lag, five seeds (lesson 12).

Every start has its own search at every lag: four learning rates, 600 and 1,200 updates, chosen on households
that neither train nor judge it. Where the best is not right and has the most updates, or the smallest or the
largest rate, up to 4,800 updates are tried, and beyond such a rate one more; where all is chance, every rate
gets them, with two seeds. A start that no setting brings above chance at 50 days is not tried at longer
lags. Accuracy is on the households to test on; its low and high are the worst and the best seed. The success
rate counts the seeds above 95 %; its low and high are a 95 % Wilson interval. "accuracy, choosing" is the
search itself, on the households to choose on. About two and a half hours on one core.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from statsmodels.stats.proportion import proportion_confint

import ecomlib
from benchmarks.run import Log, kept, row
from ecomlib.lessons import memory_tasks

SEEDS = range(5)
LAGS = (10, 25, 50, 75, 100)
RATES = (0.01, 0.003, 0.03, 0.001)  # in the order in which they are tried
UPDATES = (600, 1200)
FURTHER, MORE_UPDATES = {0.001: 0.0003, 0.03: 0.1}, (*UPDATES, 2400, 4800)  # for a best rate at the edge
RIGHT = 0.999  # a run stops when so many answers of the households to choose on are right
CHANCE = 0.6  # a mean accuracy below this is no more than guessing
Found = dict[tuple[float, int], np.ndarray]


def households() -> tuple[np.ndarray, ...]:
    """Daily spending of the households to train on, to choose settings on, and to test on."""
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    return memory_tasks.split_households(memory_tasks.daily_spend(shop.orders).to_numpy())


def accuracies(
    spend: tuple[np.ndarray, ...],
    draw: Callable[..., memory_tasks.Batch],
    n: int,
    seed: int,
    updates: tuple[int, ...] = UPDATES,
    **training: Any,
) -> np.ndarray:
    """Train a cell and score it on n sequences of other households, after each of `updates`.

    Once the households to choose on are answered right, training stops and the score stands for the rest.

    Parameters
    ----------
    spend : (array, array, array)
        From `households`.
    draw : function (spend, n, generator) -> x, y
    n, seed : int
    updates : numbers, from small to large
    training : kind, weights, rate, learn, as in `memory_tasks.train_cell`

    Returns
    -------
    array (len(updates), 2)
        Balanced accuracy on the households to choose on, and on those to test on.
    """
    starts = 2_000_000 + seed, 1_000_000 + seed
    asked = [draw(part, n, np.random.default_rng(s)) for part, s in zip(spend[1:], starts, strict=True)]
    kind, weights = training["kind"], training["weights"]
    found: list[list[float]] = []

    def look(done: int, head: np.ndarray) -> bool:
        if done not in updates:
            return False
        found.append([memory_tasks.unseen_accuracy(kind, x, y, weights, head) for x, y in asked])
        return found[-1][0] > RIGHT

    training |= {"draw": partial(draw, spend[0]), "updates": updates[-1], "seed": seed}
    memory_tasks.train_cell(**training, look=look)
    return np.array(found + found[-1:] * (len(updates) - len(found)))


def search(
    fit: Callable[[float, int], np.ndarray],
    seeds: range,
    rates: tuple[float, ...],
    right: float = RIGHT,
    updates: tuple[int, ...] = UPDATES,
) -> Found:
    """Try each learning rate with two seeds, then the best two with all, until one is right with all.

    Parameters
    ----------
    fit : function (rate, seed) -> array (len(updates), 2)
        Accuracy on the households to choose on, and on those to test on. Only the first is looked at here.
    seeds, rates : numbers, in the order of trying
    right : float
        A mean accuracy that ends the search.
    updates : numbers
        After which `fit` looks.

    Returns
    -------
    dict
        (rate, updates) -> array (seeds tried, 2).
    """
    found: dict[float, list[np.ndarray]] = {}

    def best(rate: float) -> float:
        return np.mean(found[rate], axis=0)[:, 0].max()

    def train(rate: float, n: int) -> bool:
        done = found.setdefault(rate, [])
        done += [fit(rate, seed) for seed in seeds[len(done) : n]]
        return best(rate) > right

    if not any(train(rate, 2) and train(rate, len(seeds)) for rate in rates):
        for rate in sorted(rates, key=best, reverse=True)[:2]:
            train(rate, len(seeds))
    return {
        (rate, done): np.array(tried)[:, k] for rate, tried in found.items() for k, done in enumerate(updates)
    }


def wider_search(
    one: Callable[..., np.ndarray], seeds: range, rates: tuple[float, ...], right: float = RIGHT
) -> Found:
    """A `search`, and one with more updates if its best is not right and lies at an edge, or is chance.

    `one` is a function (rate, seed, updates) -> array (len(updates), 2); without updates: `UPDATES`. Of a
    rate at the edge and the one beyond the larger goes first: it costs less. Where all is chance no rate is
    the best: all get more updates, with two seeds, and with all if one of them is more than chance.
    """
    found, longer = search(one, seeds, rates, right), partial(one, updates=MORE_UPDATES)
    rate, done = chosen = best_setting(found, len(seeds))
    level, more = found[chosen][:, 0].mean(), {}
    if level < CHANCE:
        tried = *rates, *(FURTHER[r] for r in rates if r in FURTHER)
        more = search(longer, seeds[:2], tried, right, MORE_UPDATES)
        if max(scores[:, 0].mean() for scores in more.values()) >= CHANCE:
            more = search(longer, seeds, tried, right, MORE_UPDATES)
    elif level <= right and (rate in FURTHER or done == UPDATES[-1]):
        edge = tuple(sorted({rate, FURTHER.get(rate, rate)}, reverse=True))
        more = search(longer, seeds, edge, right, MORE_UPDATES)
    return found | more | found


def best_setting(found: Found, n: int) -> tuple[float, int]:
    """The setting that is best on the households to choose on, of those with n seeds."""
    complete = [setting for setting, scores in found.items() if len(scores) == n]
    return max(complete, key=lambda setting: found[setting][:, 0].mean())


def search_rows(model: str, found: Found, n: int, **place: object) -> list[dict]:
    """Test figures of the setting that is best on the households to choose on (with n seeds); the search."""
    chosen = best_setting(found, n)
    test = found[chosen][:, 1]
    wins = int((test > 0.95).sum())
    success = (wins / n, *proportion_confint(wins, n, method="wilson"))
    rate, updates = chosen
    spread = test.mean(), test.min(), test.max()
    out = [
        row(model, "accuracy", spread, n, **place, rate=rate, updates=updates),
        row(model, "success rate", success, n, **place, rate=rate, updates=updates),
    ]
    for (rate, updates), scores in found.items():
        tried = scores[:, 0]
        spread = tried.mean(), tried.min(), tried.max()
        out.append(row(model, "accuracy, choosing", spread, len(tried), **place, rate=rate, updates=updates))
    return out


def rows(quick: bool, log: Log) -> list[dict]:
    """Quick: one seed, one rate, the shortest lag."""
    spend = households()
    seeds, lags, rates = (SEEDS[:1], LAGS[:1], RATES[:1]) if quick else (SEEDS, LAGS, RATES)

    def job(lag: int, start: str) -> Found:
        def draw(*to: Any) -> memory_tasks.Batch:
            return memory_tasks.coupon_task(to[0], lag, *to[1:])

        def fit(rate: float, seed: int, updates: tuple[int, ...] = UPDATES) -> np.ndarray:
            kind, weights = memory_tasks.coupon_weights(start, lag, seed)
            return accuracies(spend, draw, 2000, seed, updates, kind=kind, weights=weights, rate=rate)

        return wider_search(fit, seeds, rates)

    out: list[dict] = []
    hopeless: set[str] = set()
    for lag in lags:
        starts = [start for start in memory_tasks.STARTS if start not in hopeless]
        jobs = {f"lag {lag}, {start}, {len(seeds)} seeds": partial(job, lag, start) for start in starts}
        for start, found in zip(starts, kept("memory", jobs, log).values(), strict=True):
            out += search_rows(start, found, len(seeds), lag=lag)
            if lag >= 50 and max(scores[:, 0].mean() for scores in found.values()) < CHANCE:
                hopeless.add(start)
    return out
