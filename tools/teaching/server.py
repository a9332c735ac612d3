"""How many learners fit on one machine, from the measured memory and processor time of the lessons."""

import math

from tools.notebooks import read_table
from tools.teaching.blocks import lessons
from tools.teaching.parts import PARTS

SYSTEM_GB = 2.0  # the system, and room for peaks that meet
SERVER_GB = 0.1  # each learner's own Jupyter server
MACHINES = (16, 32, 64)
CORES = 8


def learners(gigabytes: float, peak_mb: float) -> int:
    """Learners whose kernels fit into a machine, all at their peak at once.

    Parameters
    ----------
    gigabytes : float
        Memory of the machine.
    peak_mb : float
        Peak of one kernel in MB, shared libraries counted.
    """
    return max(0, math.floor((gigabytes - SYSTEM_GB) / (peak_mb / 1000 + SERVER_GB)))


def table() -> str:
    """A row for each part: its largest lesson, the learners that fit, the minutes of its longest lesson."""
    known = read_table()
    sizes = " | ".join(f"{size} GB" for size in MACHINES)
    lines = [
        f"| part | peak, GB | {sizes} | minutes on {CORES} cores |",
        "| --- | ---: |" + " ---: |" * len(MACHINES) + " ---: |",
    ]
    for digit, caption in PARTS.items():
        runs = [known[one.name] for one in lessons() if one.number[0] == digit and one.name in known]
        if runs:
            large, slow = max(runs, key=lambda run: run.peak_mb), max(runs, key=lambda run: run.cpu_seconds)
            fit = " | ".join(str(learners(size, large.peak_mb)) for size in MACHINES)
            biggest = f"{large.peak_mb / 1000:.1f} ({large.lesson[:2]})"
            minutes = math.ceil(30 * slow.cpu_seconds / 60 / CORES)
            lines.append(f"| {caption} | {biggest} | {fit} | {minutes} ({slow.lesson[:2]}) |")
    return "\n".join(lines)
