"""Self-checks of lesson 12, recurrence and gradients."""

from typing import Any

import numpy as np

from ecomlib import gates
from ecomlib.exercises import checker, close


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


@checker(
    "12.1",
    wrong=[lambda: 0.5 ** (1 / 50), lambda: 0.5, lambda: _logit(0.5), lambda: -_logit(0.5 ** (1 / 50))],
    right=lambda: _logit(0.5 ** (1 / 50)),
)
def bias_for_half(answer: Any) -> str | None:
    """Bias of a constant forget gate that keeps half after 50 steps."""
    gate = 0.5 ** (1 / 50)
    if close(answer, gate, 1e-3):
        return "that is the gate's value f; the question asks for the bias b with sigmoid(b) = f."
    if close(answer, _logit(gate), 1e-3):
        return None
    left = float(gates.sigmoid(np.asarray(answer, float))) ** 50
    return (
        f"with that bias {left:.4f} of the state is left after 50 steps; solve sigmoid(b) ** 50 = 0.5 for b, "
        "and give three decimals."
    )


DAYS, KEPT = 24, 12  # days of a sequence; those whose answers must not change with the later ones


def leaflets(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw sequences of leaflets (n, 24, 2), brand -1 or 1 and coupon 0 or 1, and their answers (n, 24, 1).

    The answer is 1 if the last leaflet with a coupon, up to and with this day, was of brand 1. Day 0 has a
    coupon, later days one in five.
    """
    rng = np.random.default_rng(seed)
    brand = rng.choice([-1.0, 1.0], size=(n, DAYS))
    coupon = rng.random((n, DAYS)) < 0.2
    coupon[:, 0] = True
    last = np.maximum.accumulate(np.where(coupon, np.arange(DAYS), 0), axis=1)
    x = np.stack([brand, coupon], axis=-1).astype("float32")
    return x, (np.take_along_axis(brand, last, axis=1) > 0)[..., None].astype("float32")


def _reader(kind: str = "recurrent", fit: bool = True, targets: Any = None):
    def train(x, y):
        import keras

        lstm = keras.layers.LSTM(16, return_sequences=kind != "last")
        middle = {"both ways": keras.layers.Bidirectional(lstm), "dense": keras.layers.Dense(16, "relu")}
        out = keras.layers.Dense(1, activation="sigmoid")
        model = keras.Sequential([keras.Input(x.shape[1:]), middle.get(kind, lstm), out])
        model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
        if fit:
            wanted = y if targets is None else targets(x, y)
            model.fit(x, y[:, -1] if kind == "last" else wanted, epochs=8, batch_size=32, verbose=0)
        return model

    return train


@checker(
    "12.2",
    wrong=[
        lambda: _reader("dense"),
        lambda: _reader("both ways"),
        lambda: _reader("last"),
        lambda: _reader(fit=False),
        lambda: _reader(targets=lambda x, y: 1 - y),
        lambda: _reader(targets=lambda x, y: (x[..., :1] > 0).astype("float32")),
        lambda: lambda x, y: None,
    ],
    right=_reader,
)
def rememberer(answer: Any) -> str | None:
    """Train on invented leaflets, change later days, and compare with the brand of today's leaflet."""
    import keras

    x, y = leaflets(600, 0)
    new, truth = leaflets(300, 1)
    keras.utils.set_random_seed(0)
    model = answer(x.copy(), y.copy())
    if not isinstance(model, keras.Model):
        return "return the trained Keras model."
    p = np.asarray(model(new))
    if p.shape != truth.shape:
        return (
            f"the model gives the shape {p.shape}, one answer per day is (300, 24, 1): a recurrent layer "
            "returns the state of every step with return_sequences=True."
        )
    later = new.copy()
    later[:, KEPT:] = leaflets(300, 2)[0][:, KEPT:]
    if not close(np.asarray(model(later))[:, :KEPT], p[:, :KEPT], 1e-4):
        return "the days after a day changed its answer: the network reads the sequence backwards, too."
    if getattr(model, "optimizer", None) is None or int(model.optimizer.iterations) == 0:
        return "the model has not been trained: compile it, then call fit."
    own = np.mean((p > 0.5) == (truth > 0.5))
    today = np.mean((new[..., :1] > 0) == (truth > 0.5))
    if own > 0.95:
        return None
    if own < 0.1:
        return "almost every answer is the wrong brand: fit on y as it was given."
    return (
        f"right on {own:.0%} of the days; the brand of today's leaflet is right on {today:.0%}. The answer "
        "needs a state: a recurrent layer, trained for some epochs at a rate like 0.01."
    )


@checker(
    "12.3",
    wrong=[
        lambda: (1.0, 0.9, 0.0),
        lambda: (1.0, 1.0, 0.0),
        lambda: (-2.0, 2.0, 0.0),
        lambda: (2.0, 2.0, 1.5),
        lambda: (2.0, -2.0, 0.0),  # the sign flips every day
        lambda: (2.0, 2.0),
    ],
    right=lambda: (2.0, 2.0, 0.0),
)
def latch(answer: Any) -> str | None:
    """One unit that stores a sign for 50 days."""
    if np.shape(answer) != (3,):
        return "give three numbers: (W, U, b)."
    w, u, b = (np.full(shape, float(v)) for v, shape in zip(answer, ((1, 1), (1, 1), (1,)), strict=True))
    x = np.zeros((2, 51, 1))
    x[:, 0, 0] = 1, -1
    plus, minus = gates.rnn_forward(x, [w, u, b])[0][:, :, 0]
    if plus.min() > 0.5 and minus.max() < -0.5:
        return None
    return (
        f"after +1 the state falls to {plus.min():.2f} within the 50 days, after -1 it rises to "
        f"{minus.max():.2f}; on every day they should be beyond 0.5 and -0.5."
    )
