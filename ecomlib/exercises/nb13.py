"""Self-checks of lesson 13, the LSTM's gates."""

from typing import Any

import numpy as np

from ecomlib import gates
from ecomlib.exercises import checker, close
from ecomlib.exercises.nb10 import log_loss
from ecomlib.exercises.networks import leak_hint, no_lstm_hint, run_on, untrained_hint


def _blocks(x_t, h, C, W, b, order="figo", stacked=None, bias=True):
    """One step in the notation of books; `order` names the blocks (g: the candidate), as they stand in W."""
    column = np.concatenate([h, x_t] if stacked is None else [x_t, h])
    z = dict(zip(order, np.split(W @ column + (b if bias else 0), 4), strict=True))
    return {g: gates.sigmoid(z[g]) for g in "fio"} | {"g": np.tanh(z["g"]), "C": C}


def _book(*args, **how):
    at = _blocks(*args, **{"order": "figo"} | how)
    C = at["f"] * at["C"] + at["i"] * at["g"]
    return at["o"] * np.tanh(C), C


def _with(**how):
    return lambda *args: _book(*args, **how)


def _no_old_cell(*args):
    at = _blocks(*args)
    return at["o"] * np.tanh(at["i"] * at["g"]), at["i"] * at["g"]


def _no_tanh(*args):
    C = _book(*args)[1]
    return _blocks(*args)["o"] * C, C


def _loose(*args):
    """What loose texts write: the candidate itself as cell state."""
    at = _blocks(*args)
    return at["o"] * np.tanh(at["g"]), at["g"]


@checker(
    "13.1",
    wrong=[
        lambda: _with(order="ifgo"),
        lambda: _with(order="fiog"),
        lambda: _with(order="ifog"),
        lambda: _with(bias=False),
        lambda: _no_old_cell,
        lambda: _loose,
        lambda: _no_tanh,
        lambda: lambda *args: _book(*args)[::-1],
        lambda: lambda *args: _book(*args)[0],
        lambda: lambda x_t, h, C, W, b: _book(h[:2], np.append(x_t, h[2:]), C, W, b),
    ],
    right=lambda: _book,
)
def one_step(answer: Any) -> str | None:
    """One LSTM step with one matrix and columns; blocks f, i, candidate, o."""
    rng = np.random.default_rng(0)
    given = [rng.standard_normal(2), rng.standard_normal(3), 2 * rng.standard_normal(3)]
    given += [rng.standard_normal((12, 5)), rng.standard_normal(12)]
    new = answer(*[part.copy() for part in given])
    if not isinstance(new, tuple | list | np.ndarray) or len(new) != 2 or np.shape(new) != (2, 3):
        return "return two arrays of shape (u,): the new h and the new C."
    right_h, right_c = _book(*given)
    if close(new[0], right_h) and close(new[1], right_c):
        return None
    if close(new[1], right_h) and close(new[0], right_c):
        return "both are right, but in the other order: first h, then C."
    if close(new[1], right_c):
        return "C is right, h is not: h = o * tanh(C), with the new C."
    for other, said in (
        (_with(order="ifgo"), "these are Keras' blocks; here they come as forget, input, candidate, output."),
        (_with(order="ifog"), "these are i, f, o, g; here they come as forget, input, candidate, output."),
        (_with(order="fiog"), "the third block is the candidate, the fourth the output gate."),
        (_with(bias=False), "the bias is missing."),
        (_no_old_cell, "the old cell state is missing: C = f * C + i * g."),
        (_loose, "that is the candidate; the cell state is C = f * C + i * g."),
        (lambda *a: _book(*a, stacked="x first"), "the column is h above x_t, not x_t above h."),
    ):
        if close(new[1], other(*given)[1]):
            return said
    return "C is not right: W @ [h, x_t] + b in four blocks; C = f * C + i * g, a tanh makes the candidate g."


WEEKS, LAST = 40, 31  # weeks of the invented shop, and the last one that is known


def rhythmic_shop(seed: int = 0) -> np.ndarray:
    """Invent 300 households of 40 weeks, each with a gap of its own of 2, 3, 4 or 6 weeks; 0 or 1."""
    rng = np.random.default_rng(seed)
    gap = rng.choice([2, 3, 4, 6], size=(300, 1))
    return ((np.arange(WEEKS) + rng.integers(12, size=(300, 1))) % gap == 0).astype(float)


def _trained(came, cutoff, known=0, fit=True, layer="LSTM"):
    """Forecast week cutoff + 1 from all weeks before it; `known` more weeks than allowed make it leak."""
    import keras

    lstm, dense = keras.layers.LSTM(16, return_sequences=True), keras.layers.Dense(16, "relu")
    middle = lstm if layer == "LSTM" else dense
    model = keras.Sequential([keras.Input((None, 1)), middle, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    weeks = came[:, : cutoff + 1 + known, None]
    if fit:
        model.fit(weeks[:, :-1], weeks[:, 1:], batch_size=32, epochs=12, verbose=0)
    return model, model.predict(came[:, : cutoff + 1, None], verbose=0)[:, -1, 0]


def _own_share(came, cutoff):
    return came[:, : cutoff + 1].mean(axis=1)


@checker(
    "13.2",
    wrong=[
        lambda: lambda came, cutoff: _trained(came, cutoff, known=1),
        lambda: lambda came, cutoff: _trained(came, cutoff, fit=False),
        lambda: lambda came, cutoff: _trained(came, cutoff, layer="dense"),
        lambda: lambda came, cutoff: (_trained(came, cutoff)[0], _own_share(came, cutoff)),
        lambda: lambda came, cutoff: (_trained(came, cutoff)[0], came[:, cutoff]),
        lambda: lambda came, cutoff: _trained(came, cutoff)[1],
    ],
    right=lambda: _trained,
)
def whose_turn(answer: Any) -> str | None:
    """Train on households with a rhythm each, change the future, and compare with their shares."""
    came = rhythmic_shop()
    future = came.copy()
    future[:, LAST + 1 :] = 1 - future[:, LAST + 1 :]
    shaped = f"one probability per household, shape ({len(came)},), not {{}}."
    model, given, problem = run_on((came, future), answer, LAST, (len(came),), shaped, kinds=(tuple, list))
    no_state = "the model has no LSTM layer: without a state it does not know when the last visit was."
    if problem := problem or no_lstm_hint(model, no_state) or leak_hint(given) or untrained_hint(model):
        return problem
    truth = came[:, LAST + 1]
    own, base = log_loss(given[0], truth), log_loss(_own_share(came, LAST), truth)
    if own < 0.5 * base:
        return None
    return (
        f"log-loss {own:.3f}; each household's own share of weeks has {base:.3f}, half of that is asked for. "
        "Is the target of a week the week after it? Try more epochs, a rate of 0.02, batches of 32."
    )


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
    dollars[:3, 0] = 100, 250, 100  # then empty weeks, or small ones
    dollars[5:] = rng.uniform(0, 10, (2, 21)) * (rng.random((2, 21)) < 0.7)
    x = np.log10(1 + dollars)[:, :, None]
    c = gates.lstm_forward(x, [table[:1], table[1:2], table[2]])[1]["c"][-1, :, 0]
    if (c[:2] <= 0.5).any():
        return f"20 empty weeks after a week of 100 dollars C is {c[0]:.2f}; is the forget gate open enough?"
    if c[2] <= 0.5:
        return (
            f"20 weeks of 10 dollars after a week of 100 leave C at {c[2]:.2f}; what small weeks write must "
            "not wash it out (the weight of h lets the candidate know what is kept)."
        )
    if (c[3:] >= 0.1).any():
        return f"after weeks of at most 10 dollars C is {c[3:].max():.2f}; close the input gate for small x."
    return None
