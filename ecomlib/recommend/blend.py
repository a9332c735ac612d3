"""Several recommenders in one: their scores on one scale, added by weights that are chosen on validation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ecomlib.recommend.baselines import Trend
from ecomlib.recommend.evaluate import Ranking
from ecomlib.recommend.history import history
from ecomlib.recommend.ranking import Recommender
from ecomlib.recommend.task import SequenceTask

METRICS = ["recall@10", "recall@20", "ndcg@10", "mrr@20"]


@dataclass
class Blend(Recommender):
    """The sum of several models' scores, by weights.

    Scores become z-scores in each row, over what the question asks for: for discovery over what the customer
    never bought. A `Trend` stays as it is: days on which the whole shop turns shall count more.

    Examples
    --------
    >>> Blend([Popularity(), Trend(7)], [1, 0.5])  # doctest: +SKIP
    """

    models: Sequence[Recommender]
    weights: Sequence[float]
    name: ClassVar[str] = "blend"

    def _learn(self, task: SequenceTask, part: str) -> None:
        for model in self.models:
            model.fit(task, part)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        return sum(w * on_one_scale(task, m, rows) for m, w in zip(self.models, self.weights, strict=True))


def on_one_scale(task: SequenceTask, model: Recommender, rows: np.ndarray) -> np.ndarray:
    """Scores of one model of a `Blend`; (n_rows, n_items)."""
    scores = model.scores(task, rows)
    if isinstance(model, Trend):
        return scores
    asked = np.ones(scores.shape, bool)
    if task.question == "discovery":
        asked[history(task, rows).nonzero()] = False
    n = np.maximum(asked.sum(axis=1, keepdims=True), 1)
    scores = scores - np.sum(scores, axis=1, keepdims=True, where=asked) / n
    spread = np.sqrt(np.sum(scores**2, axis=1, keepdims=True, where=asked) / n)
    return (scores / np.maximum(spread, 1e-9)).astype(np.float32)
