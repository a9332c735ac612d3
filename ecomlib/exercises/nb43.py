"""Self-checks of lesson 43, recommendation: evaluate."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, run_on, untrained_hint


def _flat_recall() -> float:
    return 10 / 500


@checker("43.1", wrong=[lambda: 1 / 500, lambda: 0.5, lambda: 0.0, lambda: 10], right=_flat_recall)
def flat_recall(answer: Any) -> str | None:
    """Recall of a model that knows nothing."""
    if close(answer, _flat_recall(), 1e-3):
        return None
    return "each bought item stands on the list with the chance that ten of 500 places give."


PAGES, KNOWN = 12, 9  # of the invented shop; pages of a visit that are known


def visits(seed: int = 0) -> np.ndarray:
    """Invent 400 visits of 12 pages, (400, 12): each keeps to a step of its own, one page in ten jumps."""
    rng = np.random.default_rng(seed)
    step = rng.choice([1, 2, 4, 7], 400)
    page = rng.integers(0, PAGES, (400, KNOWN + 3))
    for t in range(1, page.shape[1]):
        page[:, t] = np.where(rng.random(400) < 0.9, (page[:, t - 1] + step) % PAGES, page[:, t])
    return page


def chain(pages: np.ndarray, cutoff: int) -> np.ndarray:
    """Scores of a Markov chain over pages: what followed the last page; (n, PAGES)."""
    counts = np.ones((PAGES, PAGES))
    np.add.at(counts, (pages[:, :cutoff].ravel(), pages[:, 1 : cutoff + 1].ravel()), 1)
    return (counts / counts.sum(axis=1, keepdims=True))[pages[:, cutoff]]


def reciprocal_rank(scores: np.ndarray, right: np.ndarray) -> float:
    """MRR of scores (n, k) for the right columns (n,); of equal scores the right one comes last."""
    own = np.take_along_axis(scores, right[:, None], axis=1)
    return float((1 / (scores >= own).sum(axis=1)).mean())


def trained(
    pages: np.ndarray, cutoff: int, ahead: int = 0, epochs: int = 20, shift: int = 1
) -> tuple[Any, np.ndarray]:
    """Train a small LSTM on the pages up to the cutoff; `ahead` more make it leak, `shift` 0 copies."""
    import keras

    past = pages[:, : cutoff + 1 + ahead]
    x = keras.Input((None,), dtype="int32")
    steps = keras.layers.LSTM(32, return_sequences=True)(keras.layers.Embedding(PAGES, 16)(x))
    model = keras.Model(x, keras.layers.Dense(PAGES)(steps))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    if epochs:
        model.fit(past[:, : past.shape[1] - shift], past[:, shift:], batch_size=50, epochs=epochs, verbose=0)
    return model, model.predict(past, verbose=0)[:, -1]


@checker(
    "43.2",
    wrong=[
        lambda: lambda pages, cutoff: trained(pages, cutoff, ahead=1, epochs=2),
        lambda: lambda pages, cutoff: trained(pages, cutoff, epochs=0),
        lambda: lambda pages, cutoff: trained(pages, cutoff, epochs=2, shift=0),
        lambda: lambda pages, cutoff: (trained(pages, cutoff, epochs=1)[0], chain(pages, cutoff)),
        lambda: chain,
    ],
    right=lambda: trained,
)
def next_page(answer: Any) -> str | None:
    """Train on invented visits, change what comes after the cutoff, and compare with the Markov chain."""
    pages, cutoff = visits(), KNOWN - 1
    other = pages.copy()
    other[:, KNOWN:] = (PAGES - 1) - other[:, KNOWN:]
    shaped = f"one score per visit and page, shape ({len(pages)}, {PAGES}), not {{}}."
    model, given, problem = run_on((pages, other), answer, cutoff, (len(pages), PAGES), shaped, "scores")
    if problem := problem or leak_hint(given, "pages", "scores") or untrained_hint(model):
        return problem
    right = pages[:, KNOWN]
    own, rival = reciprocal_rank(given[0], right), reciprocal_rank(chain(pages, cutoff), right)
    if own > rival + 0.15:
        return None
    return (
        f"MRR {own:.2f}; the Markov chain has {rival:.2f}. The target at page t is page t + 1; a layer must "
        "remember the page before the last, and it takes some twenty epochs."
    )


def _shelf(favourites, novel, n_new, slots=10):
    old = list(favourites[: slots - n_new])
    new = [item for item in novel if item not in old][:n_new]
    rest = [item for item in [*favourites, *novel] if item not in old and item not in new]
    n_fill = slots - len(old) - len(new)
    return [*old, *rest[:n_fill], *new]


def _with_repeats(favourites, novel, n_new):
    return [*favourites[: 10 - n_new], *novel[:n_new]]


def _no_filling(favourites, novel, n_new):
    old = favourites[: 10 - n_new]
    return [*old, *[item for item in novel if item not in old][:n_new]]


@checker("43.3", wrong=[lambda: _with_repeats, lambda: _no_filling], right=lambda: _shelf)
def fill_shelf(answer: Any) -> str | None:
    """Ten slots from two lists."""
    cases = [
        (list(range(20)), list(range(100, 120)), 3),
        (list(range(20)), [2, 4, 100, 6, 101, 102, 103, 104, 105, 106], 4),
        ([1, 2, 3], list(range(100, 120)), 2),
        (list(range(20)), [100], 5),
    ]
    for favourites, novel, n_new in cases:
        got = list(answer(list(favourites), list(novel), n_new))
        if len(set(got)) != len(got):
            return "an item stands on the shelf twice."
        if len(got) != 10:
            return f"{len(got)} slots are filled; when one list runs out, the other fills up to ten."
        fresh = [item for item in novel if item not in favourites[: 10 - n_new]]
        if len(favourites) >= 10 and len(fresh) >= n_new and got != _shelf(favourites, novel, n_new):
            return "favourites come first in their order, then n_new novel items in theirs."
    return None
