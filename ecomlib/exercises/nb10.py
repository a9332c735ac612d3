"""Self-checks of 10_first_network."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, run_on, untrained_hint

INPUTS, TRUTH, WEIGHT, RATE = np.array([1.0, 3.0]), np.array([1.0, 9.0]), 2.0, 0.1


def _updated(sign: float = -1, factor: float = 2, by_input: bool = True, total: bool = False) -> float:
    errors = WEIGHT * INPUTS - TRUTH
    parts = factor * errors * (INPUTS if by_input else 1)
    return WEIGHT + sign * RATE * float(parts.sum() if total else parts.mean())


@checker(
    "10.1",
    wrong=[
        lambda: _updated(sign=1),
        lambda: _updated(factor=1),
        lambda: _updated(by_input=False),
        lambda: _updated(total=True),
        lambda: WEIGHT,
        lambda: -8.0,
    ],
    right=_updated,
)
def one_update(answer: Any) -> str | None:
    """One update of one weight, from two rows."""
    if close(answer, _updated(), 1e-3):
        return None
    if close(answer, _updated(sign=1), 1e-3):
        return "this goes uphill: the step is taken against the slope."
    if close(answer, _updated(factor=1), 1e-3):
        return "the slope of a square has a factor 2."
    if close(answer, _updated(by_input=False), 1e-3):
        return "multiply each error with its input before you take the mean."
    if close(answer, _updated(total=True), 1e-3):
        return "the loss is a mean over the rows, so its slope is a mean, too."
    if close(answer, -8):
        return "that is the slope; the question asks for the weight after the update."
    return "forecasts 2 x, errors forecast - truth, slope 2 mean(error x); the step is -0.1 times the slope."


def _cross_entropy(logits, label):
    shifted = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(p)), label])


def _overflows(logits, label):
    with np.errstate(all="ignore"):
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return -np.log(p[np.arange(len(p)), label])


@checker(
    "10.2",
    wrong=[
        lambda: lambda logits, label: -_cross_entropy(logits, label),
        lambda: lambda logits, label: np.exp(-_cross_entropy(logits, label)),
        lambda: lambda logits, label: _cross_entropy(logits, label).mean(),
        lambda: lambda logits, label: _cross_entropy(logits, label) / np.log(2),
        lambda: lambda logits, label: _cross_entropy(logits, logits.argmax(axis=1)),
        lambda: _overflows,
    ],
    right=lambda: _cross_entropy,
)
def cross_entropy(answer: Any) -> str | None:
    """Compare with the formula, then try logits of a thousand."""
    rng = np.random.default_rng(2)
    logits, label = rng.normal(size=(20, 3)), rng.integers(3, size=20)
    given, wanted = np.asarray(answer(logits.copy(), label), dtype=float), _cross_entropy(logits, label)
    if given.shape != (20,):
        return f"one loss per row is asked for, shape (20,), not {given.shape}."
    if close(given, -wanted):
        return "the logarithm of a probability is negative; the loss is minus that."
    if close(given, np.exp(-wanted)):
        return "these are the probabilities of what happened; take minus their logarithm."
    if close(given, wanted / np.log(2)):
        return "use the natural logarithm, np.log: the loss is asked for in nats."
    if close(given, _cross_entropy(logits, logits.argmax(axis=1))):
        return "take the probability of the label, not the largest one."
    if not close(given, wanted):
        return "softmax of each row, the probability at its label, minus the logarithm."
    large = np.array([[1000.0, 999.0, 0.0]])
    if not close(answer(large.copy(), np.array([1])), _cross_entropy(large, np.array([1]))):
        return "exp(1000) overflows: subtract each row's largest logit first, the softmax stays the same."
    return None


WINDOW, LAST = 8, 21  # weeks of a window, and the last week that is known


def fortnightly_shop(seed: int = 0) -> np.ndarray:
    """Invent 240 households of 26 weeks that shop every other week, nine times in ten; 0 or 1."""
    rng = np.random.default_rng(seed)
    turn = rng.integers(2, size=(240, 1))
    comes = (np.arange(26) + turn) % 2
    return np.where(rng.random(comes.shape) < 0.1, 1 - comes, comes).astype(float)


def _trained(came, cutoff, known=0, fit=True, output="sigmoid"):
    """Train a small network; `known` more weeks than are allowed make it leak."""
    import keras

    rows = np.lib.stride_tricks.sliding_window_view(came[:, : cutoff + 1 + known], WINDOW + 1, axis=1)
    rows = rows.reshape(-1, WINDOW + 1)
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((WINDOW,)), dense(8, "relu"), dense(1, output)])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    if fit:
        model.fit(rows[:, :WINDOW], rows[:, WINDOW], batch_size=64, epochs=6, verbose=0)
    return model, model.predict(came[:, cutoff + 1 - WINDOW : cutoff + 1], verbose=0)[:, 0]


def _share(came, cutoff):
    return came[:, cutoff + 1 - WINDOW : cutoff + 1].mean(axis=1)


def log_loss(p: np.ndarray, happened: np.ndarray) -> float:
    """Mean cross-entropy of probabilities of a yes, in nats; a sure wrong answer costs log 10,000,000."""
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(happened > 0, np.log(p), np.log(1 - p))))


@checker(
    "10.3",
    wrong=[
        lambda: lambda came, cutoff: _trained(came, cutoff, known=1),
        lambda: lambda came, cutoff: _trained(came, cutoff, fit=False),
        lambda: lambda came, cutoff: (_trained(came, cutoff)[0], _share(came, cutoff)),
        lambda: lambda came, cutoff: _trained(came, cutoff)[1],
        lambda: lambda came, cutoff: (_trained(came, cutoff)[0], 1.0 * came[:, cutoff + 1]),
        lambda: lambda came, cutoff: _trained(came, cutoff, output="linear"),
        lambda: lambda came, cutoff: (_trained(came, cutoff)[0], 1 - _trained(came, cutoff)[1]),
    ],
    right=lambda: _trained,
)
def own_network(answer: Any) -> str | None:
    """Train on an invented shop, change its future, and compare with the share of the last eight weeks."""
    came = fortnightly_shop()
    future = came.copy()
    future[:, LAST + 1 :] = np.random.default_rng(1).integers(2, size=future[:, LAST + 1 :].shape)
    shaped = f"one probability per household, shape ({len(came)},), not {{}}: take [:, 0]."
    model, given, problem = run_on((came, future), answer, LAST, (len(came),), shaped, kinds=(tuple, list))
    if problem := problem or leak_hint(given) or untrained_hint(model):
        return problem
    if given[0].min() < 0 or given[0].max() > 1:
        return "probabilities lie between 0 and 1: give the last layer one unit and a sigmoid."
    truth = came[:, LAST + 1]
    own, base = log_loss(given[0], truth), log_loss(_share(came, LAST), truth)
    if own < 0.8 * base:
        return None
    if log_loss(1 - given[0], truth) < 0.8 * base:
        return "your probability is that of no visit: is the target 1 where the household came?"
    return (
        f"cross-entropy {own:.3f}; the share of the last eight weeks has {base:.3f}. Is the target the week "
        "right after the window? Train for more epochs, or at a higher rate."
    )
