"""What lesson 56's benchmark does on workers: a search over settings, and one network on several workers."""

import functools
import json
import os
import signal
import socket
import time

import numpy as np

import ecomlib
from benchmarks.quality._alone import peak_gb
from ecomlib import Split, scale
from ecomlib.runtime import ROOT

FOLDER = ROOT / "build" / "scale"
SETTINGS = [(rate, units) for units in (8, 16, 32) for rate in (3e-3, 6e-3, 1.2e-2, 2.4e-2)]


def spent(client=None) -> tuple[float, float]:
    """CPU seconds of this process and its workers together, and the largest worker's peak in MB."""
    mine = time.process_time()
    if client is None:
        return mine, 0.0
    cpu, peak = client.run(time.process_time), client.run(peak_gb)
    return mine + sum(cpu.values()), 1000 * max(peak.values())


@functools.cache
def visits_arrays() -> dict:
    """The visits task of lesson 16 as arrays: x, y and weight of training, and of validation."""
    path = FOLDER / "visits.npz"
    if not path.exists():
        from ecomlib import visits

        shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
        task = visits.task(shop, Split.last(test="56D", valid="28D", end="2017-12-24"))
        data = {}
        for part in ("train", "valid"):
            y, weight = task.labels(part)
            data |= {f"{part} x": task.x[:, : y.shape[1]], f"{part} y": y, f"{part} weight": weight}
        FOLDER.mkdir(parents=True, exist_ok=True)
        np.savez(path, **data)
    return dict(np.load(path))


def seeded_layers(units: int, outputs: int, activation: str, **options) -> list:
    """An LSTM and its output layer that start from the same weights in every process.

    Each initialiser has a seed of its own. Without it Keras takes a number from Python's generator, and so
    does the thread with which a worker talks to the scheduler: `set_random_seed` before does not help.
    """
    import keras

    starts = keras.initializers
    seeds = {
        "kernel_initializer": starts.GlorotUniform(1),
        "recurrent_initializer": starts.Orthogonal(seed=2),
    }
    last = keras.layers.Dense(outputs, activation=activation, kernel_initializer=starts.GlorotUniform(3))
    return [keras.layers.LSTM(units, **seeds, **options), last]


def fit_one(data: dict, rate: float, units: int, epochs: int = 4) -> float:
    """Train a network with one setting; its log-loss on validation."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    x, y, weight = (data[f"train {name}"] for name in ("x", "y", "weight"))
    layers = seeded_layers(units, 5, "softmax", return_sequences=True)
    net = keras.Sequential([keras.Input((None, x.shape[-1])), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")
    net.compile(keras.optimizers.Adam(rate), loss)
    net.fit(x, y, sample_weight=weight, batch_size=256, epochs=epochs, verbose=0)
    valid = [data[f"valid {name}"] for name in ("x", "y", "weight")]
    return float(net.evaluate(*valid[:2], sample_weight=valid[2], batch_size=2467, verbose=0))


def search(workers: str, kill: str = "") -> dict:
    """All settings on some workers; with `kill`, a worker is killed when a third of them is done."""
    data = visits_arrays()
    with scale.connect(int(workers)) as client:
        client.run(__import__, "keras")  # both start from here: TensorFlow is loaded
        pids, begun = client.run(os.getpid), time.perf_counter()
        there = client.scatter(data, broadcast=True)
        jobs = [client.submit(fit_one, there, *setting, pure=False) for setting in SETTINGS]
        while kill and sum(job.done() for job in jobs) < len(jobs) // 3:
            time.sleep(0.1)
        if kill:
            os.kill(next(iter(pids.values())), signal.SIGKILL)
        losses = client.gather(jobs)
        seconds = time.perf_counter() - begun
        cpu, worker = spent(client)
        after = {*client.run(os.getpid).values()}
    about = {"seconds": seconds, "CPU seconds": cpu, "peak MB, a worker": worker}
    about |= {"workers lost": len({*pids.values()} - after), "settings": len(losses)}
    return about | {"best loss": min(losses), "losses": losses}


def windows() -> tuple[np.ndarray, np.ndarray]:
    """8,192 windows of 28 weeks and 13 channels, and whether the household shops in the next week."""
    x = visits_arrays()["train x"]
    rng = np.random.default_rng(56)
    who, last = rng.integers(len(x), size=8192), rng.integers(28, x.shape[1] - 1, size=8192)
    steps = last[:, None] + np.arange(-27, 1)
    return x[who[:, None], steps].astype(np.float32), x[who, last + 1, :1].astype(np.float32)


def train(
    rank: int, addresses: list[str], how: str = "loop", epochs: int = 3, batch: int = 256, n: int = 8192
) -> tuple[list[float], np.ndarray, float, float]:
    """Train one network on all workers together: losses, weights, seconds, of them seconds of the loop.

    `addresses` holds one address per worker; `rank` is this worker's place. "fit" tries Keras' own way.
    """
    cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
    if len(addresses) > 1:
        os.environ["TF_CONFIG"] = json.dumps(cluster)
    begun = time.perf_counter()
    import keras
    import tensorflow as tf

    several = tf.distribute.MultiWorkerMirroredStrategy if len(addresses) > 1 else tf.distribute.get_strategy
    strategy = several()
    with strategy.scope():
        net = keras.Sequential([keras.Input((28, 13)), *seeded_layers(32, 1, "sigmoid")])
        adam = keras.optimizers.Adam(0.01)
        adam.build(net.trainable_variables)
    x, y = windows()
    if how == "fit":
        net.compile(adam, "binary_crossentropy")
        net.fit(x, y, batch_size=batch, epochs=1, verbose=0)
    share = batch // len(addresses)

    def of_one_worker(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(keras.losses.binary_crossentropy(y, net(x, training=True))) / batch
        slopes = tape.gradient(loss, net.trainable_variables)
        adam.apply_gradients(zip(slopes, net.trainable_variables, strict=True))  # adds up over the workers
        return loss

    @tf.function
    def step(x, y):
        return strategy.reduce("SUM", strategy.run(of_one_worker, (x, y)), axis=None)

    ready, losses = time.perf_counter(), []
    for _ in range(epochs):
        found = []
        for first in range(rank * share, n, batch):
            rows = slice(first, first + share)
            found.append(float(step(tf.constant(x[rows]), tf.constant(y[rows]))))
        losses.append(float(np.mean(found)))
    weights = np.concatenate([np.ravel(w) for w in net.get_weights()])
    return losses, weights, time.perf_counter() - begun, time.perf_counter() - ready


def free_addresses(n: int) -> list[str]:
    """Addresses of this machine that nobody uses now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    found = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return found


def _train(*arguments) -> tuple:
    try:
        return train(*arguments)
    except Exception as error:
        return type(error).__name__, str(error).splitlines()[0][:200]


def training(workers: str, how: str = "loop") -> dict:
    n = int(workers)
    windows()  # made once, before the workers look for it
    with scale.connect(n) as client:
        names, addresses = list(client.scheduler_info()["workers"]), free_addresses(n)
        jobs = [client.submit(_train, i, addresses, how, workers=[names[i]], pure=False) for i in range(n)]
        found = client.gather(jobs)
    if how == "fit":
        return {"works": 0, "error": ": ".join(found[0])} if isinstance(found[0][0], str) else {"works": 1}
    losses, weights, seconds, loop = found[0]
    np.save(FOLDER / f"weights_{n}.npy", weights)
    one = np.load(FOLDER / "weights_1.npy")
    about = {f"loss, epoch {i + 1}": loss for i, loss in enumerate(losses)}
    about |= {"seconds": seconds, "seconds of the loop": loop, "weights": len(weights)}
    about["largest difference of a weight"] = float(np.abs(weights - one).max())
    return about | {"workers agree": int(all(np.array_equal(each[1], weights) for each in found))}
