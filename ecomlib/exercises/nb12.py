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


def _clip(gradients, limit):
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    return [g * min(1.0, limit / norm) for g in gradients] if norm else list(gradients)


def _each_alone(gradients, limit):
    return [_clip([g], limit)[0] for g in gradients]


def _by_value(gradients, limit):
    return [np.clip(g, -limit, limit) for g in gradients]


def _always(gradients, limit):
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    return [g * limit / norm for g in gradients]


def _deaf(gradients, limit):
    return _clip(gradients, 1.5)


@checker(
    "12.2",
    wrong=[lambda: _each_alone, lambda: _by_value, lambda: _always, lambda: _deaf],
    right=lambda: _clip,
)
def clip_by_norm(answer: Any) -> str | None:
    """Clip a list of gradients by their common norm."""
    rng = np.random.default_rng(0)
    for size, limit, hint in (
        (10.0, 1.5, "a long gradient"),
        (0.01, 1.5, "a gradient shorter than the limit"),
        (10.0, 0.2, "a long gradient and a limit of 0.2"),
    ):
        gradients = [size * rng.standard_normal(shape) for shape in ((3, 4), (2, 3), 4)]
        before = [g.copy() for g in gradients]
        clipped, expected = answer(gradients, limit), _clip(before, limit)
        if not isinstance(clipped, list | tuple) or len(clipped) != 3:
            return "return a list with one array for each gradient."
        if any(not np.array_equal(g, b) for g, b in zip(gradients, before, strict=True)):
            return "the gradients that were passed in have changed; return new arrays."
        if not all(close(c, e) for c, e in zip(clipped, expected, strict=True)):
            norm = np.sqrt(sum(np.sum(np.square(c)) for c in clipped))
            wanted = np.sqrt(sum(np.sum(e**2) for e in expected))
            return (
                f"for {hint} the common norm becomes {norm:.3g}, it should be {wanted:.3g}, and all entries "
                "must be scaled by the same factor."
            )
    return None


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
