"""What needs no network: popular items, a Markov chain, and similar sessions (the rival at its best)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy import sparse

from ecomlib.clicks.task import ClickModel, places
from ecomlib.recommend import baselines
from ecomlib.recommend.history import look_back, sequence_counts
from ecomlib.recommend.task import SequenceTask


class Popularity(ClickModel, baselines.Popularity):
    """What is clicked most, in all of training or in the last `days` days."""


class Markov(ClickModel, baselines.Markov):
    """First-order chain: P(next item | item just seen); `smooth` adds that many clicks on average items."""


@dataclass
class SessionKNN(ClickModel):
    """What similar recent sessions looked at: the `k` most similar ones by cosine vote.

    The running session's items weigh `decay` times less for each step further back. Each item brings in its
    `recent` latest training sessions. Source: Ludewig & Jannach (2018), Evaluation of session-based
    recommendation algorithms, section 3.2.
    """

    k: int = 100
    decay: float = 0.8
    recent: int = 1000
    name: ClassVar[str] = "session-kNN"

    def _learn(self, task: SequenceTask, part: str) -> None:
        sessions = sequence_counts(task, part).astype(bool).astype(np.float32).tocsr()
        length = np.maximum(np.diff(sessions.indptr), 1)
        lately = sessions.T.tocsr()
        lately.data = lately.indices.astype(np.float64) + 1  # sessions are numbered by time
        lately = baselines.keep_largest(lately, self.recent)
        lately.data = (1 / np.sqrt(length[lately.indices])).astype(np.float32)
        self.sessions_, self.lately_ = sessions, lately

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        alike = sparse.csr_matrix(running(task, rows, self.decay) @ self.lately_)
        return (baselines.keep_largest(alike, self.k) @ self.sessions_).toarray()


def running(task: SequenceTask, rows: np.ndarray, decay: float) -> sparse.csr_matrix:
    """The session before each row, each step further back weighing `decay` times less; (n_rows, n_items).

    A row is the step after the cutoff, so the session is that of the step before the row.
    """
    first, today = task.start[rows - 1], task.day[rows - 1]
    return look_back(task, first, rows, today, lambda days, steps: decay**steps) @ task.baskets


GRID = tuple(SessionKNN(k, decay) for k in (100, 500) for decay in (1.0, 0.7))


def tune_knn(task: SequenceTask, grid: Sequence[SessionKNN] = GRID, n: int = 3000) -> SessionKNN:
    """Choose the neighbours' settings on the last `n` cutoffs of validation; returns the fitted model."""
    cutoffs = task.cutoffs("valid")[-n:]
    models = [replace(model).fit(task) for model in grid]
    recall = [np.isfinite(places(task, model.predict(task, cutoffs), cutoffs)).mean() for model in models]
    return models[int(np.argmax(recall))]
