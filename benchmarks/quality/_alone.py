"""Work in a process of its own, with what it costs: some libraries must not share one with TensorFlow."""

import importlib
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

Found = dict[str, list[dict]]  # a model -> what each of its fits gave


def alone(library: str, work: Callable[..., Found], *arguments: Any) -> Found:
    """Call a function in a process of its own, which starts empty.

    `work` returns what each fit of each model gave. To each fit, the library, the CPU minutes of the call
    (unless `work` says them itself) and the peak memory are added.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, library, work, arguments).result()


def _measured(library: str, work: Callable[..., Found], arguments: tuple) -> Found:
    importlib.import_module(library)
    start = time.process_time()
    found = work(*arguments)
    cost = {"library": library, "minutes": (time.process_time() - start) / 60, "gb": peak_gb()}
    return {name: [cost | each for each in fits] for name, fits in found.items()}


def one_thread() -> None:
    """Ask TensorFlow for one thread; a RuntimeError where this process has used it already."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def peak_gb() -> float:
    """Largest memory of this process so far; NaN where the system does not say it."""
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s*(\d+)", status.read_text()) if status.exists() else None
    return int(peak[1]) * 1024 / 1e9 if peak else float("nan")
