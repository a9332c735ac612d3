"""Self-checks of lesson 13, the LSTM's gates."""

from typing import Any

import numpy as np

from ecomlib import gates
from ecomlib.exercises import checker, close


def _steps(order_wrong: bool = False) -> float:
    c = 2.0
    for i, g in ((0, 0), (0, 0), (1, -0.5)):
        c = 0.5 * (c + i * g) if order_wrong else 0.5 * c + i * g
    return c


@checker(
    "13.1",
    wrong=[_steps, lambda: np.tanh(_steps()), lambda: 0.5 * np.tanh(_steps(True)), lambda: 0.5 * _steps()],
    right=lambda: 0.5 * np.tanh(_steps()),
)
def three_steps(answer: Any) -> str | None:
    """Hidden state after three steps."""
    if close(answer, 0.5 * np.tanh(_steps()), 1e-3):
        return None
    if close(answer, _steps(), 1e-3):
        return "that is the cell state C_3; h_3 is what the output gate shows of it."
    if close(answer, np.tanh(_steps()), 1e-3):
        return "the output gate is half open; multiply by it."
    if close(answer, 0.5 * _steps(), 1e-3):
        return "the cell state goes through tanh before the output gate."
    return "halve C in each step; in step 3 add i * g after halving; then h = o * tanh(C)."


def _step(x_t, h, C, kernel, recurrent, bias):
    i, f, g, o = np.split(x_t @ kernel + h @ recurrent + bias, 4, axis=1)
    C = gates.sigmoid(f) * C + gates.sigmoid(i) * np.tanh(g)
    return gates.sigmoid(o) * np.tanh(C), C


def _other_order(x_t, h, C, kernel, recurrent, bias):
    f, i, g, o = np.split(x_t @ kernel + h @ recurrent + bias, 4, axis=1)
    C = gates.sigmoid(f) * C + gates.sigmoid(i) * np.tanh(g)
    return gates.sigmoid(o) * np.tanh(C), C


def _no_old_cell(x_t, h, C, kernel, recurrent, bias):
    i, _, g, o = np.split(x_t @ kernel + h @ recurrent + bias, 4, axis=1)
    C = gates.sigmoid(i) * np.tanh(g)
    return gates.sigmoid(o) * np.tanh(C), C


def _swapped(*args):
    return _step(*args)[::-1]


def _no_tanh(x_t, h, C, kernel, recurrent, bias):
    i, f, g, o = np.split(x_t @ kernel + h @ recurrent + bias, 4, axis=1)
    C = gates.sigmoid(f) * C + gates.sigmoid(i) * np.tanh(g)
    return gates.sigmoid(o) * C, C


@checker(
    "13.2",
    wrong=[lambda: _other_order, lambda: _no_old_cell, lambda: _swapped, lambda: _no_tanh],
    right=lambda: _step,
)
def one_step(answer: Any) -> str | None:
    """One LSTM step for a batch."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape) for shape in ((2, 12), (3, 12), (12,))]
    x_t, h, c = rng.standard_normal((5, 2)), rng.standard_normal((5, 3)), 2 * rng.standard_normal((5, 3))
    new = answer(x_t, h.copy(), c.copy(), *weights)
    if not isinstance(new, tuple | list) or len(new) != 2:
        return "return two arrays: the new h and the new C."
    right_h, right_c = _step(x_t, h, c, *weights)
    if close(new[0], right_h) and close(new[1], right_c):
        return None
    if close(new[1], right_h) and close(new[0], right_c):
        return "both are right, but in the other order: first h, then C."
    if close(new[1], _other_order(x_t, h, c, *weights)[1]):
        return "the blocks come in Keras' order: input, forget, candidate, output."
    if close(new[1], right_c):
        return "C is right, h is not: h = o * tanh(C), with the new C."
    return "C is not right: C = f * C + i * g, with sigmoid gates and a tanh candidate."


_RIGHT = {"i": [4.0, 0.0, -6.0], "f": [0.0, 0.0, 6.0], "g": [4.0, 6.0, -6.0], "o": [0.0, 0.0, 4.0]}
_START = {"i": [0.4, 0.2, 0.0], "f": [0.3, -0.2, 1.0], "g": [0.5, 0.3, 0.0], "o": [0.3, 0.2, 0.0]}


@checker(
    "13.3",
    wrong=[
        lambda: _START,
        lambda: _RIGHT | {"f": [0.0, 0.0, 1.0]},  # leaks
        lambda: _RIGHT | {"i": [0.0, 0.0, 4.0]},  # writes every week
        lambda: _RIGHT | {"i": [6.0, 0.0, -3.0], "g": [6.0, 0.0, -3.0]},  # 10 dollars are enough
        lambda: _RIGHT | {"g": [4.0, 0.0, -6.0]},  # small weeks wash the large one out
    ],
    right=lambda: _RIGHT,
)
def big_spender(answer: Any) -> str | None:
    """Weights that remember one large week for 20 weeks."""
    if not isinstance(answer, dict) or set(answer) != set("ifgo"):
        return 'give a dict with the keys "i", "f", "g" and "o", three numbers each.'
    table = np.array([answer[name] for name in "ifgo"], float).T
    if table.shape != (3, 4):
        return "each gate needs three numbers: weight of x, weight of h, bias."
    rng = np.random.default_rng(0)
    dollars = np.zeros((7, 21))
    dollars[2, 1:], dollars[3] = 10, 10
    dollars[:3, 0] = 100, 250, 100  # then silent weeks, or small ones
    dollars[5:] = rng.uniform(0, 10, (2, 21)) * (rng.random((2, 21)) < 0.7)
    x = np.log10(1 + dollars)[:, :, None]
    c = gates.lstm_forward(x, [table[:1], table[1:2], table[2]])[1]["c"][-1, :, 0]
    if (c[:2] <= 0.5).any():
        return f"20 silent weeks after a week of 100 dollars C is {c[0]:.2f}; is the forget gate open enough?"
    if c[2] <= 0.5:
        return (
            f"20 weeks of 10 dollars after a week of 100 leave C at {c[2]:.2f}; what small weeks write must "
            "not wash it out (the weight of h lets the candidate know what is kept)."
        )
    if (c[3:] >= 0.1).any():
        return f"after weeks of at most 10 dollars C is {c[3:].max():.2f}; close the input gate for small x."
    return None
