"""Speed of the hand-written cells beside Keras', same shapes, one run on the CPU.

    python -m benchmarks.speed.gates

One training step each: forward, loss (mean squared error of a dense output on the last hidden state),
backward, Adam. Keras runs `train_on_batch` of a compiled model. The two take turns, so that a busy machine
disturbs both alike. NumPy's matrix product is held to one thread: these matrices are small, and on two
cores that other programs use too, threads that wait for each other made a step 10 to 30 times slower.
Writes `benchmarks/results/gates.csv`.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported

import ecomlib  # noqa: F401, I001  (first: it sets the environment before TensorFlow starts)

import time

import keras
import numpy as np
import pandas as pd

from ecomlib import gates
from ecomlib.lessons import memory_tasks
from ecomlib.runtime import ROOT

BATCH, STEPS, FEATURES, UNITS = 64, 28, 8, 50
REPEATS, INNER = 15, 10
LAYERS = {
    "rnn": keras.layers.SimpleRNN,
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
}
RESULTS = ROOT / "benchmarks" / "results" / "gates.csv"


def numpy_step(kind):
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


def keras_step(kind):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            LAYERS[kind](UNITS),
            keras.layers.Dense(1, use_bias=False),
        ]
    )
    model.compile("adam", "mse")
    return model.train_on_batch


def main():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, STEPS, FEATURES)).astype("float32")
    y = rng.standard_normal((BATCH, 1)).astype("float32")
    rows = []
    for kind in LAYERS:
        steps = {"numpy": numpy_step(kind), "keras": keras_step(kind)}
        taken = {name: [] for name in steps}
        for repeat in range(REPEATS + 1):
            for name, step in steps.items():
                start = time.perf_counter()
                for _ in range(INNER):
                    step(x, y)
                if repeat:  # the first round warms up (Keras traces its graph)
                    taken[name].append((time.perf_counter() - start) / INNER * 1e3)
        ratio = np.array(taken["numpy"]) / np.array(taken["keras"])
        for name, values in (*taken.items(), ("ratio", ratio)):
            low, median, high = np.quantile(values, [0.1, 0.5, 0.9])
            metric = "numpy / keras" if name == "ratio" else "ms per step"
            rows.append(
                {
                    "model": f"{kind} {name}",
                    "metric": metric,
                    "value": median,
                    "low": low,
                    "high": high,
                }
            )
        print(
            f"{kind:5} numpy {np.median(taken['numpy']):6.2f} ms, keras {np.median(taken['keras']):6.2f} ms, "
            f"ratio {np.median(ratio):.2f}"
        )
    shapes = f"batch {BATCH}, {STEPS} steps, {FEATURES} features, {UNITS} units"
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    versions = f"numpy {np.__version__}, keras {keras.__version__}"
    pd.DataFrame(rows).assign(shapes=shapes, versions=versions).round(3).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
