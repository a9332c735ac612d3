"""Rivals of the recommender that only its lessons and its benchmark show: TIFU-kNN, and a trend on top."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from ecomlib.recommend.history import look_back, trend
from ecomlib.recommend.ranking import Recommender
from ecomlib.recommend.task import SequenceTask


@dataclass
class TIFUKNN(Recommender):
    """Temporal item frequency with nearest neighbours: the reference for next-basket recommendation.

    Trips are put in groups of `group`; inside a group an older trip counts `within` times less, an older
    group `across` times less. The score is `own` of the customer's own vector and the rest of the mean of
    the `k` most similar other households. Source: Hu, He, Gao & Zhang (2020), SIGIR, section 4.
    """

    k: int = 300
    own: float = 0.7
    group: int = 7
    within: float = 0.9
    across: float = 0.7
    name: ClassVar[str] = "TIFU-kNN"

    def _learn(self, task: SequenceTask, part: str) -> None:
        rows = task.rows(part)
        who, first, length = np.unique(task.who[rows], return_index=True, return_counts=True)
        self.names_ = task.names[who]
        self.vectors_ = self._vectors(task, rows[first], rows[first] + length)
        self.square_ = np.asarray(self.vectors_.multiply(self.vectors_).sum(axis=1)).ravel()

    def _vectors(self, task: SequenceTask, first: np.ndarray, stop: np.ndarray) -> sparse.csr_matrix:
        def decay(days: np.ndarray, trips: np.ndarray) -> np.ndarray:
            return self.within ** (trips % self.group) * self.across ** (trips // self.group)

        counts = look_back(task, first, stop, np.zeros(len(first)), decay) @ task.bags
        total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1e-9)
        return sparse.csr_matrix(sparse.diags_array((1 / total).astype(np.float32)) @ counts)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        own = self._vectors(task, task.start[rows], rows)
        distance = self.square_ - 2 * (own @ self.vectors_.T).toarray()
        itself = task.names[task.who[rows]][:, None] == self.names_
        distance[itself] = np.inf
        k = min(self.k, len(self.names_) - 1)
        near = np.argpartition(distance, k, axis=1)[:, :k]
        row = np.repeat(np.arange(len(rows)), k)
        weight = np.full(len(row), 1 / max(k, 1), np.float32)
        pick = sparse.csr_matrix((weight, (row, near.ravel())), distance.shape)
        return (self.own * own + (1 - self.own) * (pick @ self.vectors_)).toarray()


@dataclass
class Trended(Recommender):
    """Another model's scores (standardised in each row) plus `weight` times the trend of the last days."""

    model: Recommender
    days: int = 14
    weight: float = 0.5
    name: ClassVar[str] = "trended"

    def _learn(self, task: SequenceTask, part: str) -> None:
        self.model.fit(task, part)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        scores = self.model.scores(task, rows)
        scores = scores / np.maximum(scores.std(axis=1, keepdims=True), 1e-9)
        return scores + self.weight * trend(task, rows, self.days)
