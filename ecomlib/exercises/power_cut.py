"""A consumer in a process of its own, whose power goes between state and acknowledgement."""

import os
import subprocess
import sys
import tempfile

import numpy as np

from ecomlib.runtime import ROOT

CODE = """
import os, sys
import numpy as np
from ecomlib.stream import log, state
url, name, file, one, late, cut = sys.argv[1:]
with np.load(file) as weights:
    cell = state.Cell([weights[key] for key in weights.files])
calls = []
def between():
    calls.append(1)
    if len(calls) == int(cut):
        os._exit(9)  # no clean-up, no last word
households = state.Households(cell, None if late == "None" else int(late))
consumer = log.Consumer(log.Log(log.connect(url), name), households, one=one == "True", between=between)
while consumer.once():
    pass
"""


def work(url: str, name: str, weights: list[np.ndarray], one: bool, late: int | None, cut: int) -> bool:
    """Work through a log in a new process; True when its power went in micro-batch `cut` (0: never)."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(os.path.join(folder, "cell.npz"), *weights)
        told = [url, name, os.path.join(folder, "cell.npz"), str(one), str(late), str(cut)]
        return subprocess.run([sys.executable, "-c", CODE, *told], cwd=ROOT).returncode == 9
