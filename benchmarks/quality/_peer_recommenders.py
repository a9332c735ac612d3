"""Recommenders of implicit behind the course's protocol, for `benchmarks/quality/peers.py`."""

import time
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ecomlib.recommend.history import history, sequence_counts
from ecomlib.recommend.ranking import Recommender
from ecomlib.recommend.task import SequenceTask


class Peer(Recommender):
    """A recommender of a library behind the course's protocol, which remembers what its fit cost."""

    def fit(self, task: SequenceTask, part: str = "train") -> "Peer":
        """Learn from the steps of a part."""
        start = time.process_time()
        super().fit(task, part)
        self.minutes_ = (time.process_time() - start) / 60
        return self


@dataclass
class ImplicitALS(Peer):
    """Alternating least squares; a household's factors are computed from its history at the moment."""

    factors: int = 32
    regularisation: float = 10.0
    alpha: float = 2.0
    seed: int = 0
    name = "ALS"

    def _learn(self, task: SequenceTask, part: str) -> None:
        from implicit.als import AlternatingLeastSquares

        self.model_ = AlternatingLeastSquares(
            self.factors, regularization=self.regularisation, random_state=self.seed, num_threads=1
        )
        self.model_.fit(self._confidence(sequence_counts(task, part)), show_progress=False)

    def _confidence(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        counts = counts.astype(np.float32)
        counts.data = 1 + self.alpha * np.log1p(counts.data)
        return counts

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        seen = self._confidence(history(task, rows))
        return self.model_.recalculate_user(np.arange(len(rows)), seen) @ self.model_.item_factors.T


@dataclass
class ImplicitKNN(Peer):
    """Item-kNN of `kind` BM25, Cosine or TFIDF on the household matrix."""

    kind: str = "BM25"
    k: int = 300
    seed: int = 0
    name = "item-kNN"

    def _learn(self, task: SequenceTask, part: str) -> None:
        from implicit import nearest_neighbours

        self.model_ = getattr(nearest_neighbours, f"{self.kind}Recommender")(self.k, num_threads=1)
        counts = sequence_counts(task, part).astype(float)
        counts.data = np.log1p(counts.data)
        self.model_.fit(counts, show_progress=False)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        seen = history(task, rows)
        seen.data = np.log1p(seen.data)
        return (seen @ self.model_.similarity).toarray()


@dataclass
class ImplicitBPR(Peer):
    """Bayesian personalised ranking; a household's factors are those of the end of training."""

    factors: int = 32
    rate: float = 0.05
    regularisation: float = 0.01
    iterations: int = 100
    seed: int = 0
    name = "BPR"

    def _learn(self, task: SequenceTask, part: str) -> None:
        from implicit.bpr import BayesianPersonalizedRanking

        self.model_ = BayesianPersonalizedRanking(
            self.factors, self.rate, self.regularisation, iterations=self.iterations, num_threads=1,
            random_state=self.seed,
        )  # fmt: skip
        self.model_.fit(sequence_counts(task, part).astype(bool).astype(np.float32), show_progress=False)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        return self.model_.user_factors[task.who[rows]] @ self.model_.item_factors.T
