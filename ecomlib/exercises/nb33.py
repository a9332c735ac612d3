"""Self-checks of 33_purchase_evaluate."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close, nb32
from ecomlib.probability import log_loss

SENT, COST, REACHED, MARGIN = 2000, 0.05, 0.40, 0.75


@checker(
    "33.1",
    wrong=[lambda: SENT * REACHED * MARGIN, lambda: SENT * (MARGIN - COST)],
    right=lambda: SENT * (REACHED * MARGIN - COST),
)
def net_margin(answer: Any) -> str | None:
    """Every coupon costs, only some reach a buyer."""
    if close(answer, SENT * (REACHED * MARGIN - COST)):
        return None
    if close(answer, SENT * REACHED * MARGIN):
        return "take off what the coupons cost."
    return "the margin comes from the coupons that reach a buyer; the cost from all that are sent."


def _interval(saved):
    draws = np.random.default_rng(0).multinomial(len(saved), np.full(len(saved), 1 / len(saved)), 1000)
    low, high = np.quantile(draws @ saved / len(saved), [0.025, 0.975])
    return saved.mean(), low, high


def _judged(bought, cutoff, other, sign=1, **settings):
    model, p = nb32.trained(bought, cutoff, **settings)
    y = bought[:, cutoff + 1]
    return model, p, _interval(sign * (log_loss(other, y) - log_loss(p, y)))


def _unpaired(bought, cutoff, other):
    model, p, _ = _judged(bought, cutoff, other)
    y = bought[:, cutoff + 1]
    theirs, ours = (_interval(log_loss(each, y)) for each in (other, p))
    return model, p, (theirs[0] - ours[0], theirs[1] - ours[2], theirs[2] - ours[1])


@checker(
    "33.2",
    wrong=[
        lambda: lambda bought, cutoff, other: _judged(bought, cutoff, other, known=1, epochs=2),
        lambda: lambda bought, cutoff, other: _judged(bought, cutoff, other, epochs=0),
        lambda: lambda bought, cutoff, other: _judged(bought, cutoff, other, sign=-1),
        lambda: _unpaired,
    ],
    right=lambda: _judged,
)
def judged_network(answer: Any) -> str | None:
    """Train on an invented shop, change its future; compare the verdict with a paired bootstrap."""
    verdicts = []

    def pair(bought: np.ndarray, cutoff: int) -> Any:
        made = answer(bought, cutoff, nb32.frequency(bought, cutoff))
        if not isinstance(made, tuple) or len(made) != 3:
            return None
        verdicts.append((bought[:, cutoff + 1], made))
        return made[:2]

    problem = nb32.network_hint(pair)
    if not verdicts:
        return "return three things: the trained model, its probabilities, and (value, low, high)."
    if problem:
        return problem
    y, (_, p, found) = verdicts[0]
    bought = nb32.habits()
    saved = log_loss(nb32.frequency(bought, nb32.KNOWN), y) - log_loss(np.asarray(p, float), y)
    value, low, high = _interval(saved)
    if np.shape(found) != (3,):
        return "the verdict is three numbers: value, low and high."
    if close(found[0], -value, 1e-3):
        return "saved is the loss of the other model minus yours, so that better is above 0."
    if not close(found[0], value, 1e-3):
        return "the value is the mean over the households of: loss of the other model minus yours."
    if max(abs(found[1] - low), abs(found[2] - high)) < 0.2 * (high - low):
        return None
    return (
        "draw households with replacement, 1,000 times; take the mean difference of each draw (paired), then "
        "the 2.5 % and 97.5 % quantiles."
    )


def _assign(households, share, seed):
    return np.random.default_rng(seed).random(len(households)) < share


def _first(households, share, seed):
    return np.arange(len(households)) < share * len(households)


def _unseeded(households, share, seed):
    return np.random.default_rng().random(len(households)) < share


@checker("33.3", wrong=[lambda: _first, lambda: _unseeded], right=lambda: _assign)
def assign(answer: Any) -> str | None:
    """Right share, the same for a seed, and not by position."""
    households = np.arange(10_000)
    one, again, other = (np.asarray(answer(households, 0.3, seed)) for seed in (0, 0, 1))
    if one.shape != households.shape or one.dtype != bool:
        return "return one True or False for each household."
    if not np.array_equal(one, again):
        return "the same seed must give the same households, or nobody can check it."
    if np.array_equal(one, other) or abs(np.corrcoef(one, households)[0, 1]) > 0.1:
        return "choose at random: neither the first nor the best households."
    return None if abs(one.mean() - 0.3) < 0.02 else "withhold it from the share that was asked for."
