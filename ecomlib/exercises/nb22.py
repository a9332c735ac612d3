"""Self-checks of 22_sales_train."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close

UNITS, N_IN = 48, 7 * (1 + 17) + 8


def _weights(units: int, n_in: int) -> int:
    return 4 * units * (units + n_in + 1)


@checker(
    "22.1",
    wrong=[lambda: _weights(UNITS, 18 + 8), lambda: _weights(UNITS, N_IN) // 4, lambda: _weights(32, N_IN)],
    right=lambda: _weights(UNITS, N_IN),
)
def encoder_weights(answer: Any) -> str | None:
    """Count the weights of the encoder's LSTM."""
    if close(answer, _weights(UNITS, N_IN)):
        return None
    if close(answer, _weights(UNITS, N_IN) / 4):
        return "that is one gate; an LSTM has four sets of weights: input, forget, candidate and output."
    if close(answer, _weights(UNITS, 18 + 8)):
        return "a folded step holds seven days: n is 7 times 18, plus the embedding."
    return "n = 7 * (1 + 17) + 8 inputs per step and u = 48 units in 4 u (u + n + 1)."


def _pinball(target, forecast, quantiles):
    q = np.asarray(quantiles)
    error = target[..., None] - forecast
    return np.maximum(q * error, (q - 1) * error).mean()


def _swapped(target, forecast, quantiles):
    return _pinball(-target, -forecast, quantiles)


@checker(
    "22.2",
    wrong=[lambda: _swapped, lambda: lambda y, f, q: np.abs(y[..., None] - f).mean()],
    right=lambda: _pinball,
)
def pinball(answer: Any) -> str | None:
    """Compare with the definition, for the course's quantiles and for others."""
    rng = np.random.default_rng(0)
    target, forecast = rng.gamma(3, 1, (50, 7)), np.sort(rng.gamma(3, 1, (50, 7, 3)), axis=-1)
    for quantiles in ((0.1, 0.5, 0.9), (0.05, 0.3, 0.8)):
        found = answer(target, forecast, quantiles)
        if np.ndim(found) != 0:
            return "return one number: the mean over windows, days and quantiles."
        if close(found, _swapped(target, forecast, quantiles)):
            return "the error is target minus forecast; with the sign turned, q and 1 - q change places."
        if close(found, 2 * _pinball(target, forecast, quantiles)):
            return "that is twice the loss; the formula has no factor 2."
        if not close(found, _pinball(target, forecast, quantiles)):
            return "take max(q * e, (q - 1) * e) with e = target[..., None] - forecast, then the mean."
    return None


def _verdict(before, after):
    before, after = np.asarray(before), np.asarray(after)
    gap = after.mean() - before.mean()
    error = np.sqrt(before.var(ddof=1) / len(before) + after.var(ddof=1) / len(after))
    if abs(gap) < 2.5 * error:
        return "cannot say"
    return "better" if gap < 0 else "worse"


@checker(
    "22.3",
    wrong=[
        lambda: lambda before, after: "better" if np.mean(after) < np.mean(before) else "worse",
        lambda: lambda before, after: "cannot say",
        lambda: lambda before, after: "better" if min(after) < min(before) else "cannot say",
    ],
    right=lambda: _verdict,
)
def verdict(answer: Any) -> str | None:
    """Hand over pairs that clearly differ, and pairs that differ by luck."""
    luck = [([0.180, 0.186, 0.183], [0.184, 0.179, 0.182]), ([0.20, 0.18, 0.19], [0.185, 0.192, 0.179])]
    for before, after in luck:
        for pair in ((before, after), (after, before)):
            if answer(*pair) != "cannot say":
                return (
                    "two sets of seeds that overlap widely differ by luck; compare the gap with their spread."
                )
    if answer([0.180, 0.186, 0.183], [0.160, 0.163, 0.158]) != "better":
        return "here every seed after the change is far below every seed before: a lower WAPE is better."
    if answer([0.160, 0.163, 0.158], [0.180, 0.186, 0.183]) != "worse":
        return "here every seed after the change is far above every seed before."
    return None
