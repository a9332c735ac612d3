"""Speed of the hand-written cells beside Keras', same shapes, on the CPU.

One training step each: forward, loss (mean squared error of a dense output on the last hidden state),
backward, Adam. Keras runs `train_on_batch` of a compiled model. The two take turns, so that a busy machine
disturbs both alike. NumPy's matrix product is held to one thread: these matrices are small, and on two
cores that other programs use too, threads that wait for each other made a step 10 to 30 times slower.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported

import ecomlib  # noqa: F401, I001  (first: it sets the environment before TensorFlow starts)

import time
from collections.abc import Callable

import keras
import numpy as np

from benchmarks.run import Log, row
from ecomlib import gates
from ecomlib.lessons import memory_tasks

BATCH, STEPS, FEATURES, UNITS = 64, 28, 8, 50
REPEATS, INNER = 15, 10
LAYERS = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def numpy_step(kind: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """A training step of the hand-written cell."""
    forward, backward = memory_tasks.CELLS[kind]
    weights = gates.init_weights(kind, FEATURES, UNITS, seed=0)
    head = np.full((UNITS, 1), 0.1, np.float32)
    optimiser = memory_tasks.Adam([*weights, head], rate=1e-3, clip=np.inf)

    def step(x, y):
        h_all, cache = forward(x, weights)
        error = h_all[:, -1] @ head - y
        dy = (2 / len(x)) * error
        dweights = backward(None, cache, dy @ head.T)[1]
        optimiser.step([*dweights, h_all[:, -1].T @ dy])
        return float(np.mean(error**2))

    return step


def keras_step(kind: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """A training step of Keras' layer of the same kind."""
    keras.utils.set_random_seed(0)
    output = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), LAYERS[kind](UNITS), output])
    model.compile("adam", "mse")
    return model.train_on_batch


def rows(quick: bool, log: Log) -> list[dict]:
    """Median, fastest and slowest tenth of the repeats, and the ratio of the two. Quick: three repeats."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, STEPS, FEATURES)).astype("float32")
    y = rng.standard_normal((BATCH, 1)).astype("float32")
    repeats, out = 3 if quick else REPEATS, []
    for kind in LAYERS:
        steps = {"numpy": numpy_step(kind), "keras": keras_step(kind)}
        taken: dict[str, list[float]] = {name: [] for name in steps}
        for repeat in range(repeats + 1):
            for name, step in steps.items():
                start = time.perf_counter()
                for _ in range(INNER):
                    step(x, y)
                if repeat:  # the first round warms up (Keras traces its graph)
                    taken[name].append((time.perf_counter() - start) / INNER)
        ratio = np.array(taken["numpy"]) / np.array(taken["keras"])
        for name, metric, values in (
            *((f"{kind} {name}", "seconds", seconds) for name, seconds in taken.items()),
            (f"{kind} ratio", "numpy / keras", ratio),
        ):
            low, median, high = np.quantile(values, [0.1, 0.5, 0.9])
            out.append(row(name, metric, (median, low, high), repeats, batch=BATCH, steps=STEPS, units=UNITS))
        milliseconds = {name: round(1e3 * float(np.median(seconds)), 2) for name, seconds in taken.items()}
        log(f"{kind:5} ms per step {milliseconds}, ratio {np.median(ratio):.2f}")
    return out
