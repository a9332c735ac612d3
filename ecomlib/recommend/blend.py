"""Several recommenders in one: their scores on one scale, added by weights that are chosen on validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ecomlib.recommend.baselines import Trend
from ecomlib.recommend.evaluate import Ranking
from ecomlib.recommend.history import history
from ecomlib.recommend.ranking import Recommender, rank
from ecomlib.recommend.task import SequenceTask

METRICS = ["recall@10", "recall@20", "ndcg@10", "mrr@20"]


@dataclass
class Blend(Recommender):
    """The sum of several models' scores, by weights.

    Scores become z-scores in each row, over what the question asks for: for discovery over what the customer
    never bought. A `Trend` stays as it is: days on which the whole shop turns are to count more.
    """

    models: Sequence[Recommender]
    weights: Sequence[float]
    name: ClassVar[str] = "blend"

    def _learn(self, task: SequenceTask, part: str) -> None:
        for model in self.models:
            model.fit(task, part)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        pairs = zip(self.models, self.weights, strict=True)
        return np.sum([weight * on_one_scale(task, model, rows) for model, weight in pairs], axis=0)


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


def tune_blend(task: SequenceTask, blend: Blend, step: float = 0.1) -> Blend:
    """Choose the weights of a blend of fitted models by its lists for validation; returns the blend, changed.

    Every weight but the first (only their ratios count) goes up or down as long as that helps, first by eight
    steps, then by four, two and one. What helps is the mean relative gain of recall@10, recall@20, NDCG@10
    and MRR@20 on the blend's weights at the start.
    """
    blend.items_, cutoffs = task.items["item"], task.cutoffs("valid")
    parts = [on_one_scale(task, model, cutoffs + 1) for model in blend.models]

    def metrics(weights: np.ndarray) -> np.ndarray:
        scores = sum(w * each for w, each in zip(weights, parts, strict=True))
        lists = rank(task, cutoffs + 1, scores)
        return Ranking.of(task, lists, cutoffs).per_row()[METRICS].mean().to_numpy()

    best, top = np.array(blend.weights, float), 1.0
    start = np.maximum(metrics(best), 1e-9)
    moves = np.eye(len(best))[1:]
    for size in step * 2.0 ** np.arange(3, -1, -1):
        while True:
            tries = [best + size * move for move in (*moves, *-moves)]
            tries = [each for each in tries if (each > -1e-9).all()]
            gains = [float(np.mean(metrics(each) / start)) for each in tries]
            if max(gains, default=0.0) <= top:
                break
            best, top = tries[int(np.argmax(gains))], max(gains)
    blend.weights = [round(max(float(each), 0.0), 6) for each in best]
    return blend
