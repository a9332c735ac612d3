"""What is each gate for? Each held still, on three tasks, with and without recurrent weights (lesson 13).

Accuracy and success rate as in `quality_memory.py`. About four minutes on one core.
"""

import numpy as np
from quality_memory import SEEDS, households, score_rows

from ecomlib import memory


def rows(quick: bool, log) -> list[dict]:
    """Quick: one seed."""
    train, test = households()
    out = []
    for task in memory.GATE_TASKS:
        for recurrent in (False, True):
            for held in memory.ABLATIONS:
                scores = np.array(
                    [
                        memory.ablation_score(task, held, train, test, seed, recurrent)
                        for seed in (SEEDS[:1] if quick else SEEDS)
                    ]
                )
                name = "nothing held" if held is None else f"{held[0]} gate = {held[1]}"
                out += score_rows(name, scores, task=task, recurrent=recurrent)
                log(f"{task:30} recurrent {recurrent!s:5} {name:16} {np.round(scores, 3)}")
    return out
