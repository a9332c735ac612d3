"""What is each gate for? Each held fixed, on three tasks, with and without recurrent weights (lesson 13).

Every cell of the table has its own search of learning rate and updates; metrics and search as in `memory.py`,
but 99 % on the households to choose on ends a search. An hour and a half on one core.
"""

from functools import partial

import numpy as np

from benchmarks.quality.memory import (
    RATES,
    SEEDS,
    UPDATES,
    Found,
    accuracies,
    households,
    search_rows,
    wider_search,
)
from benchmarks.run import Log, kept
from ecomlib.lessons import memory_tasks

RIGHT = 0.99


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
        return wider_search(partial(fit, spend, task, held, recurrent), seeds, rates, RIGHT)

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


def name_of(held: tuple[str, int] | None) -> str:
    """What the table calls a gate that is held."""
    return "nothing held" if held is None else f"{held[0]} gate = {held[1]}"
