"""Self-checks of lesson 43, recommendation: evaluate."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close


def _flat_recall() -> float:
    return 10 / 500


@checker("43.1", wrong=[lambda: 1 / 500, lambda: 0.5, lambda: 0.0, lambda: 10], right=_flat_recall)
def flat_recall(answer: Any) -> str | None:
    """Recall of a model that knows nothing."""
    if close(answer, _flat_recall(), 1e-3):
        return None
    return "each bought item stands on the list with the chance that ten of 500 places give."


def _ndcg(hits, n_right, k):
    gain = 1 / np.log2(np.arange(2, k + 2))
    hits = np.asarray(list(hits)[:k], float)
    return float((gain[: len(hits)] * hits).sum() / gain[: min(n_right, k)].sum())


def _not_normalised(hits, n_right, k):
    return float((np.asarray(hits[:k]) / np.log2(np.arange(2, len(hits[:k]) + 2))).sum())


def _ideal_of_hits(hits, n_right, k):
    return _ndcg(hits, max(int(np.sum(hits[:k])), 1), k)


@checker("43.2", wrong=[lambda: _not_normalised, lambda: _ideal_of_hits], right=lambda: _ndcg)
def ndcg(answer: Any) -> str | None:
    """NDCG at k of one list."""
    rng = np.random.default_rng(0)
    for k in (5, 10):
        for n_right in (1, 4, 12):
            hits = (rng.random(10) < 0.3).tolist()
            hits = [h and sum(hits[:i]) < n_right for i, h in enumerate(hits)]
            got = answer(list(hits), n_right, k)
            if close(got, _ndcg(hits, n_right, k)):
                continue
            if close(got, _not_normalised(hits, n_right, k)):
                return "divide by the gain of the best list that was possible."
            return "the best list holds min(n_right, k) hits in its first places, found or not."
    return None


def _shelf(favourites, discoveries, n_new, slots=10):
    old = list(favourites[: slots - n_new])
    new = [item for item in discoveries if item not in old][:n_new]
    rest = [item for item in [*favourites, *discoveries] if item not in old and item not in new]
    n_fill = slots - len(old) - len(new)
    return [*old, *rest[:n_fill], *new]


def _with_repeats(favourites, discoveries, n_new):
    return [*favourites[: 10 - n_new], *discoveries[:n_new]]


def _no_filling(favourites, discoveries, n_new):
    old = favourites[: 10 - n_new]
    return [*old, *[item for item in discoveries if item not in old][:n_new]]


@checker("43.3", wrong=[lambda: _with_repeats, lambda: _no_filling], right=lambda: _shelf)
def fill_shelf(answer: Any) -> str | None:
    """Ten slots from two lists."""
    cases = [
        (list(range(20)), list(range(100, 120)), 3),
        (list(range(20)), [2, 4, 100, 6, 101, 102, 103, 104, 105, 106], 4),
        ([1, 2, 3], list(range(100, 120)), 2),
        (list(range(20)), [100], 5),
    ]
    for favourites, discoveries, n_new in cases:
        got = list(answer(list(favourites), list(discoveries), n_new))
        if len(set(got)) != len(got):
            return "an item stands on the shelf twice."
        if len(got) != 10:
            return f"{len(got)} slots are filled; when one list runs out, the other fills up to ten."
        fresh = [item for item in discoveries if item not in favourites[: 10 - n_new]]
        if len(favourites) >= 10 and len(fresh) >= n_new and got != _shelf(favourites, discoveries, n_new):
            return "favourites come first in their order, then n_new discoveries in theirs."
    return None
