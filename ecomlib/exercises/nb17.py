"""Self-checks of lesson 17, when it does not learn."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ecomlib.exercises import checker, close

CLASSES = 200
START = np.log(CLASSES)
FLOOR = np.log(1 + (CLASSES - 1) / np.e)


@checker(
    "17.1",
    wrong=[lambda: (1 / CLASSES, FLOOR), lambda: (np.log2(CLASSES), FLOOR), lambda: (START, START)],
    right=lambda: (START, FLOOR),
)
def before_training(answer: Any) -> str | None:
    """Compare with log K, and with the loss of a softmax of a sure softmax."""
    if ... in tuple(answer):
        return "replace both dots with your answers."
    start, floor = map(float, answer)
    if close(start, np.log2(CLASSES)):
        return "start: the losses of this lesson are in nats; take the natural logarithm, np.log."
    if not close(start, START, 1e-3):
        return "start: before training each class gets 1/200. Minus the log of it is the loss."
    if close(floor, START, 1e-3):
        return "floor: the right class got 1, the others 0. A softmax of these numbers is not uniform."
    if not close(floor, FLOOR, 1e-3):
        return "floor: the second softmax makes e / (e + 199) of (1, 0, ..., 0). Minus its log is the loss."
    return None


def _invented(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Customers with six weeks of trips and money; the label: trips in the last three weeks, 0 to 3."""
    rng = np.random.default_rng(seed)
    trips = rng.integers(2, size=(n, 6))
    x = np.stack([trips, trips * rng.uniform(0.5, 1.5, (n, 6))], axis=-1)
    return x.astype(np.float32), trips[:, 3:].sum(axis=1)


def _training(rate: float = 0.05, twice: bool = False, mixed: bool = False) -> Callable:
    def training(x, y):
        import keras

        if mixed:
            x = x[np.random.default_rng(0).permutation(len(x))]
        last = [keras.layers.Softmax()] if twice else []
        dense = keras.layers.Dense(4, activation="softmax")
        net = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.LSTM(8), dense, *last])
        net.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        net.fit(x, y, epochs=12, batch_size=32, verbose=0)
        return net

    return training


@checker(
    "17.2",
    wrong=[lambda: _training(rate=3.0), lambda: _training(twice=True), lambda: _training(mixed=True)],
    right=_training,
)
def repaired(answer: Any) -> str | None:
    """Train on invented customers, ask on others; name the kind of fault that is left."""
    import keras

    x, y = _invented(256, 0)
    new_x, new_y = _invented(256, 1)
    keras.utils.set_random_seed(0)
    net = answer(x.copy(), y.copy())
    if not isinstance(net, keras.Model):
        return "return the trained network."
    p = np.asarray(net(new_x))
    if p.shape != (256, 4) or not close(p.sum(axis=1), np.ones(256), 1e-3):
        return "the network has to give four probabilities per row that add up to 1."
    rate = float(net.optimizer.learning_rate)
    if rate > 0.3 or rate < 1e-4:
        return f"a learning rate of {rate:g} is far outside of what the sweep of this lesson found usable."
    if p.max() < 0.5:  # e / (e + 3) is 0.475
        return "no probability is above one half, the network is never sure. What follows the Dense layer?"
    loss = -np.log(p[np.arange(256), new_y] + 1e-7).mean()
    simple = -np.log((np.bincount(y) / len(y))[new_y]).mean()
    if loss > simple - 0.2:
        return f"log-loss {loss:.2f}, the class shares have {simple:.2f}. Does each row keep its own label?"
    if loss > 0.8:
        return f"better than the class shares, but log-loss {loss:.2f} on new rows; train longer."
    return None


Rows = tuple[np.ndarray, np.ndarray]


def _neighbours(k: int, x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Class shares among the k nearest rows: k = 1 learns by heart."""

    def answer(new: np.ndarray) -> np.ndarray:
        near = np.argsort(((new[:, None] - x) ** 2).sum(axis=-1), axis=1)[:, :k]
        return (np.eye(3)[y[near]].sum(axis=1) + 0.1) / (k + 0.3)

    return answer


def _rows(n: int, noise: float, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    return x, np.digitize(x[:, 0] + noise * rng.normal(size=n), [-0.5, 0.5])


def _loss(model: Callable[[np.ndarray], np.ndarray], rows: Rows) -> float:
    return -np.log(model(rows[0])[np.arange(len(rows[1])), rows[1]]).mean()


def _by(*parts: str) -> Callable:
    def choose(settings, fit, data):
        losses = [sum(_loss(fit(s, *data["train"]), data[part]) for part in parts) for s in settings]
        return settings[int(np.argmin(losses))]

    return choose


@checker(
    "17.3",
    wrong=[
        lambda: _by("train"),
        lambda: _by("test"),
        lambda: _by("valid", "test"),
        lambda: lambda settings, fit, data: settings[2],
        lambda: lambda settings, fit, data: 2,
    ],
    right=lambda: _by("valid"),
)
def honest_choice(answer: Any) -> str | None:
    """Change the test part: the choice must stay. Change validation: it must follow."""
    settings = [1, 6, 30, 150]
    train, sharp, blurred = _rows(300, 0.6, 0), _rows(300, 0.0, 1), _rows(300, 3.0, 2)
    alike = _rows(300, 0.6, 3)
    for valid in (alike, blurred):
        want = _by("valid")(settings, _neighbours, {"train": train, "valid": valid})
        chosen = [
            answer(list(settings), _neighbours, {"train": train, "valid": valid, "test": test})
            for test in (sharp, blurred, (sharp[0], 2 - sharp[1]))
        ]
        if any(one not in settings for one in chosen):
            return f"return one of the settings, not {chosen[0]!r}."
        if len(set(chosen)) > 1:
            return "other test rows, another choice: the test part was used. Only validation may choose."
        if chosen[0] == 1 != want:
            return "the setting with one neighbour learns by heart: the training loss cannot choose."
        if chosen[0] != want:
            return "fit each setting on train, take its log-loss on valid, return the one with the smallest."
    return None
