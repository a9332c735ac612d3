"""Self-checks of lesson 52, thousands of inputs."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, loss_hint, range_hint, run_on, untrained_hint

CUSTOMERS, WEEKS, CODES, UNITS, LINES = 10_000, 52, 5_000, 32, 20
WEIGHTS = 4 * UNITS * (CODES + UNITS + 1)
DENSE_GB = CUSTOMERS * WEEKS * CODES * 4 / 1e9
SPARSE_MB = CUSTOMERS * WEEKS * LINES * 8 / 1e6


@checker(
    "52.1",
    wrong=[
        lambda: (WEIGHTS / 4, DENSE_GB, SPARSE_MB),
        lambda: (4 * UNITS * (CODES + UNITS), DENSE_GB, SPARSE_MB),
        lambda: (WEIGHTS, DENSE_GB / 4, SPARSE_MB),
        lambda: (WEIGHTS, DENSE_GB, SPARSE_MB / 2),
        lambda: (WEIGHTS, DENSE_GB, SPARSE_MB / 1000),
    ],
    right=lambda: (WEIGHTS, DENSE_GB, SPARSE_MB),
)
def sizes(answer: Any) -> str | None:
    """Four gates; four bytes per number; in a sparse row a number and its place."""
    if ... in tuple(answer):
        return "replace the three dots with your answers."
    weights, gb, mb = map(float, answer)
    if close(weights, WEIGHTS / 4):
        return "weights: that is one gate; there are four."
    if not close(weights, WEIGHTS):
        return "weights: each of the four gates sees all inputs, the previous state and a bias."
    if not close(gb, DENSE_GB, 0.01):
        return "dense: customers times weeks times products numbers of 4 bytes, in GB."
    if not close(mb, SPARSE_MB, 0.01):
        return "sparse: only the 20 ones of each week, each with 4 bytes for it and 4 for its place, in MB."
    return None


def _hashing(codes: list[list[str]], size: int, signed: bool = True, salted: bool = False) -> np.ndarray:
    out = np.zeros((len(codes), size))
    for row, week in enumerate(codes):
        for code in week:
            number = zlib.crc32((code + str(row) * salted).encode())
            out[row, number % size] += 1 if not signed or number // size % 2 == 0 else -1
    return out


def _last_wins(codes: list[list[str]], size: int) -> np.ndarray:
    out = np.zeros((len(codes), size))
    for row, week in enumerate(codes):
        for code in week:
            number = zlib.crc32(code.encode())
            out[row, number % size] = 1 if number // size % 2 == 0 else -1
    return out


@checker(
    "52.2",
    wrong=[
        lambda: lambda codes, size: _hashing(codes, size, signed=False),
        lambda: lambda codes, size: _hashing(codes, size, salted=True),
        lambda: lambda codes, size: _hashing(codes[::-1], size),
        lambda: lambda codes, size: _hashing(codes, size + 1),
        lambda: _last_wins,
    ],
    right=lambda: _hashing,
)
def hashed(answer: Any) -> str | None:
    """Compare with crc32 and its sign: same place every time, sums, signs."""
    rng = np.random.default_rng(0)
    codes = [[f"product {i}" for i in rng.integers(300, size=rng.integers(0, 40))] for _ in range(30)]
    found, wanted = np.asarray(answer([list(week) for week in codes], 16), float), _hashing(codes, 16)
    if found.shape != wanted.shape:
        return f"the shape is {found.shape}; 30 weeks and 16 places give (30, 16)."
    if close(found, wanted):
        return None
    alone = np.asarray(answer([["product 7"], [], ["product 7"]], 16), float)
    if not close(alone[0], alone[2]):
        return "one product in two weeks has two places. The place may depend on the name only."
    if close(found, _hashing(codes, 16, signed=False)):
        return "the sign is missing: two products in one place should be able to cancel."
    if close(found, _last_wins(codes, 16)):
        return "several products of a week can have one place: add them up."
    return "place: crc32(code.encode()) % size; sign: + where crc32(...) // size is even, else -."


KNOWN, N_CODES, MOST_WEIGHTS = 24, 300, 5_000


def themes(seed: int = 0) -> np.ndarray:
    """Invent weeks of 300 customers, (300, 27, 300), 0 and 1.

    In each week a customer follows one of six themes and buys a few of its 50 products. Product 0 is bought
    in the week after the first two themes.
    """
    rng = np.random.default_rng(seed)
    theme = rng.integers(6, size=(300, 27))
    bought = rng.random((300, 27, N_CODES)) < 0.005
    inside = np.arange(N_CODES) // 50 == theme[..., None]
    bought |= inside & (rng.random(bought.shape) < 0.1)
    likely = np.where(theme[:, :-1] < 2, 0.85, 0.08)
    bought[:, 1:, 0] = rng.random(likely.shape) < likely
    return bought.astype("float32")


def frequency(bought: np.ndarray, cutoff: int) -> np.ndarray:
    """Smoothed frequency of product 0, the base rate counting three weeks: (n,)."""
    past = bought[:, : cutoff + 1, 0]
    return (past.sum(axis=1) + 3 * past.mean()) / (cutoff + 4)


def factors(bought: np.ndarray, cutoff: int, size: int = 8) -> np.ndarray:
    """Factors of all weeks, (n, w, size), fitted on the weeks up to the cutoff."""
    past = bought[:, : cutoff + 1].reshape(-1, N_CODES)
    _, vectors = np.linalg.eigh(past.T @ past)
    return bought @ vectors[:, -size:]


def trained(
    bought: np.ndarray, cutoff: int, known: int = 0, epochs: int = 12, size: int = 8, fitted_on: int = 0
) -> tuple[Any, np.ndarray]:
    """An LSTM of a few factors; `known` more weeks, or factors fitted on more weeks, make it leak.

    `size` 0 gives the network all products.
    """
    import keras

    last = cutoff + known
    x = factors(bought, fitted_on or last, size) if size else bought
    week = keras.Input((last, x.shape[2]))
    state = keras.layers.LSTM(8, return_sequences=True)(week)
    model = keras.Model(week, keras.layers.Dense(1, "sigmoid")(state))
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    if epochs:
        model.fit(x[:, :last], bought[:, 1 : last + 1, :1], 32, epochs, verbose=0)
    return model, model.predict(x[:, 1 : last + 1], verbose=0)[:, -1, 0]


def network_hint(answer: Callable[[np.ndarray, int], Any]) -> str | None:
    """Run an answer on two shops that differ after the cutoff; say what is wrong with it, or None."""
    bought = themes()
    other = bought.copy()
    other[:, KNOWN + 1 :] = np.roll(1 - other[:, KNOWN + 1 :], 1, axis=0)
    shaped = f"one probability per customer, shape ({len(bought)},), not {{}}."
    model, given, problem = run_on((bought, other), answer, KNOWN, (len(bought),), shaped)
    if (
        problem := problem
        or leak_hint(given, made="answers")
        or untrained_hint(model)
        or range_hint(given[0])
    ):
        return problem
    if (size := model.count_params()) > MOST_WEIGHTS:
        return f"{size:,} weights, more than {MOST_WEIGHTS:,}: make few numbers of the 300 first."
    y = bought[:, KNOWN + 1, 0]
    advice = (
        "Fit the factors on the weeks up to the cutoff, shift the target by one week, and train until the "
        "loss stops falling."
    )
    return loss_hint(given[0], y, frequency(bought, KNOWN), "the smoothed frequency", 0.8, advice)


@checker(
    "52.3",
    wrong=[
        lambda: lambda bought, cutoff: trained(bought, cutoff, known=1, epochs=2),
        lambda: lambda bought, cutoff: trained(bought, cutoff, epochs=0),
        lambda: lambda bought, cutoff: trained(bought, cutoff, epochs=2, size=0),
        lambda: lambda bought, cutoff: (trained(bought, cutoff, epochs=1)[0], frequency(bought, cutoff)),
        lambda: lambda bought, cutoff: trained(bought, cutoff, epochs=2, fitted_on=26),
        lambda: frequency,
    ],
    right=lambda: trained,
)
def own_network(answer: Any) -> str | None:
    """Train on an invented shop of 300 products, change its future, compare with the smoothed frequency."""
    return network_hint(answer)
