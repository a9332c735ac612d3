"""What is each gate for? Each held fixed, on three tasks, with and without recurrent weights (lesson 13).

Accuracy and success rate as in `memory.py`. About four minutes on one core.
"""

import numpy as np

from benchmarks.quality.memory import SEEDS, households, score_rows
from ecomlib.lessons import memory_tasks


def rows(quick: bool, log) -> list[dict]:
    """Quick: one seed."""
    spend = households()
    out = []
    for task in memory_tasks.GATE_TASKS:
        for recurrent in (False, True):
            for held in memory_tasks.ABLATIONS:
                scores = np.array(
                    [
                        memory_tasks.ablation_accuracy(task, held, spend, seed, recurrent)
                        for seed in (SEEDS[:1] if quick else SEEDS)
                    ]
                )
                name = "nothing held" if held is None else f"{held[0]} gate = {held[1]}"
                out += score_rows(name, scores, task=task, recurrent=recurrent)
                log(f"{task:30} recurrent {recurrent!s:5} {name:16} {np.round(scores, 3)}")
    return out
