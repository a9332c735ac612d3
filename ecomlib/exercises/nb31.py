"""Self-checks of 31_purchase_prepare."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close

HALF_LIFE, BACK = 4, 12
LEAKS = {"coupon of a campaign that starts next week", "redemption in next week", "mean of the whole year"}
FAIR = {"mailer of next week", "category chosen on training weeks"}


@checker(
    "31.1", wrong=[lambda: 1 / (BACK / HALF_LIFE), lambda: 0.5**BACK], right=lambda: 0.5 ** (BACK / HALF_LIFE)
)
def weight(answer: Any) -> str | None:
    """Three half-lives."""
    if close(answer, 0.5 ** (BACK / HALF_LIFE)):
        return None
    return "count the half-lives that fit into twelve weeks; each one halves the weight."


def _frequency(bought, half_life, prior, prior_weeks):
    fade = 0.5 ** (np.arange(bought.shape[1])[::-1] / half_life)
    return (bought @ fade + prior_weeks * prior) / (fade.sum() + prior_weeks)


def _plain(bought, half_life, prior, prior_weeks):
    return (bought.sum(axis=1) + prior_weeks * prior) / (bought.shape[1] + prior_weeks)


def _reversed(bought, half_life, prior, prior_weeks):
    return _frequency(bought[:, ::-1], half_life, prior, prior_weeks)


@checker("31.2", wrong=[lambda: _plain, lambda: _reversed], right=lambda: _frequency)
def frequency(answer: Any) -> str | None:
    """Compare on random weeks."""
    bought = (np.random.default_rng(0).random((6, 15)) < 0.3).astype(float)
    found, arguments = answer(bought, 5.0, 0.1, 2.0), (bought, 5.0, 0.1, 2.0)
    if close(found, _frequency(*arguments)):
        return None
    if close(found, _reversed(*arguments)):
        return "the newest week is the last column and must count most."
    if close(found, _plain(*arguments)):
        return "all weeks count alike; let the weights fade."
    return "divide (weighted purchases + prior_weeks times prior) by (sum of the weights + prior_weeks)."


@checker("31.3", wrong=[lambda: LEAKS | FAIR, lambda: FAIR], right=lambda: LEAKS)
def leaks(answer: Any) -> str | None:
    """Judge by when a number is known."""
    answer = set(answer)
    if answer - LEAKS - FAIR:
        return "use the names given in the text."
    if answer & FAIR:
        return "something in your set was known at the cutoff; ask when, not about which week."
    return (
        None if answer == LEAKS else "something is missing: what was not yet decided or done at the cutoff?"
    )
