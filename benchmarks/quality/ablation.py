"""What is each gate for? Each held fixed, on three tasks, with and without recurrent weights (lesson 13).

Accuracy and success rate as in `memory.py`. About four minutes on one core.
"""

from functools import partial

import numpy as np

from benchmarks.quality.memory import SEEDS, households, score_rows
from benchmarks.run import Log, kept
from ecomlib.lessons import memory_tasks


def rows(quick: bool, log: Log) -> list[dict]:
    """Quick: one seed."""
    spend, seeds = households(), SEEDS[:1] if quick else SEEDS
    cases = [
        (task, recurrent, held)
        for task in memory_tasks.GATE_TASKS
        for recurrent in (False, True)
        for held in memory_tasks.ABLATIONS
    ]

    def scores(task: str, recurrent: bool, held: tuple[str, int] | None) -> np.ndarray:
        return np.array(
            [memory_tasks.ablation_accuracy(task, held, spend, seed, recurrent) for seed in seeds]
        )

    jobs = {
        f"{c[0]}, recurrent {c[1]}, {name_of(c[2])}, {len(seeds)} seeds": partial(scores, *c) for c in cases
    }
    found, out = kept("ablation", jobs, log).values(), []
    for (task, recurrent, held), values in zip(cases, found, strict=True):
        out += score_rows(name_of(held), values, task=task, recurrent=recurrent)
        log(f"{task:30} recurrent {recurrent!s:5} {name_of(held):16} {np.round(values, 3)}")
    return out


def name_of(held: tuple[str, int] | None) -> str:
    """What the table calls a gate that is held."""
    return "nothing held" if held is None else f"{held[0]} gate = {held[1]}"
