"""What is each gate for? Each held fixed, on three tasks, with and without recurrent weights (lesson 13).

Every cell of the table has its own search of learning rate and updates; metrics and search as in `memory.py`,
but 99 % on the households to choose on ends a search. An arm that is best at the smallest rate with the most
updates may only be slow: it gets up to four times the updates, and a third of the rate. Half an hour on one
core.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.quality.memory import (
    RATES,
    SEEDS,
    UPDATES,
    Found,
    accuracies,
    best_setting,
    households,
    search,
    search_rows,
)
from benchmarks.run import Log, kept
from ecomlib.lessons import memory_tasks

RIGHT = 0.99
SLOW_RATES, SLOW_UPDATES = (min(RATES), 0.0003), (*UPDATES, 2400, 4800)


def rows(quick: bool, log: Log) -> list[dict]:
    """Quick: one seed, one rate."""
    spend = households()
    seeds, rates = (SEEDS[:1], RATES[:1]) if quick else (SEEDS, RATES)
    cases = [
        (task, held, recurrent)
        for task in memory_tasks.GATE_TASKS
        for recurrent in (False, True)
        for held in memory_tasks.ABLATIONS
    ]

    def job(task: str, held: tuple[str, int] | None, recurrent: bool) -> Found:
        return wider_search(partial(fit, spend, task, held, recurrent), seeds, rates)

    jobs = {f"{c[0]}, {name_of(c[1])}, recurrent {c[2]}, {len(seeds)} seeds": partial(job, *c) for c in cases}
    found, out = kept("ablation", jobs, log).values(), []
    for (task, held, recurrent), tried in zip(cases, found, strict=True):
        out += search_rows(name_of(held), tried, len(seeds), task=task, recurrent=recurrent)
    return out


def fit(
    spend: tuple[np.ndarray, ...],
    task: str,
    held: tuple[str, int] | None,
    recurrent: bool,
    rate: float,
    seed: int,
    updates: tuple[int, ...] = UPDATES,
) -> np.ndarray:
    """Train one cell of 8 units and score it after each of `updates`; see `accuracies`."""
    weights, learn = memory_tasks.held_weights(task, held, recurrent, seed)
    cell = {"kind": "lstm", "weights": weights, "learn": learn, "rate": rate}
    return accuracies(spend, memory_tasks.GATE_TASKS[task][1], 1000, seed, updates, **cell)


def wider_search(one: Callable[..., np.ndarray], seeds: range, rates: tuple[float, ...]) -> Found:
    """The search of `memory.py`, and further settings if the best is the smallest rate with the most updates.

    `one` is a function (rate, seed, updates) as `fit`.
    """
    found = search(one, seeds, rates, RIGHT)
    if best_setting(found, len(seeds)) == (min(RATES), UPDATES[-1]):
        found |= search(partial(one, updates=SLOW_UPDATES), seeds, SLOW_RATES, RIGHT, SLOW_UPDATES)
    return found


def name_of(held: tuple[str, int] | None) -> str:
    """What the table calls a gate that is held."""
    return "nothing held" if held is None else f"{held[0]} gate = {held[1]}"
