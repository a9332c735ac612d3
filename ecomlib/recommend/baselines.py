"""What needs no network: popular items, own habits, similar items, and factors."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from ecomlib.recommend.history import history, recent_counts, sequence_counts
from ecomlib.recommend.ranking import Recommender
from ecomlib.recommend.task import SequenceTask


@dataclass
class Popularity(Recommender):
    """What sells most: in all training weeks, or in the last `days` days before each trip."""

    days: int | None = None
    name: ClassVar[str] = "popularity"

    def _learn(self, task: SequenceTask, part: str) -> None:
        self.total_ = task.counts(part)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        if self.days is None:
            return np.tile(self.total_, (len(rows), 1))
        at, back = np.unique(task.day[rows].astype(int), return_inverse=True)
        return (recent_counts(task, at, self.days) + 1e-6 * self.total_)[back]


@dataclass
class PersonalFrequency(Recommender):
    """What this customer bought most, with a half-life in days most lately; ties are broken by popularity."""

    half_life: float | None = None
    name: ClassVar[str] = "personal frequency"

    def _learn(self, task: SequenceTask, part: str) -> None:
        total = task.counts(part).astype(float)
        self.tie_ = (1e-4 * total / total.max()).astype(np.float32)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        return history(task, rows, self.half_life).toarray() + self.tie_


@dataclass
class Markov(Recommender):
    """First-order chain over trips: P(item on the next trip | item on this one), summed over this trip.

    `smooth` pretends that many further trips whose next trip is an average one.
    """

    smooth: float = 10.0
    name: ClassVar[str] = "Markov chain"

    def _learn(self, task: SequenceTask, part: str) -> None:
        rows = task.targets(part)
        before, after = task.bags[rows - 1], task.bags[rows]
        counts = np.asarray(before.sum(axis=0)).ravel() + self.smooth
        self.chain_ = sparse.diags_array((1 / counts).astype(np.float32)) @ (before.T @ after)
        self.rest_ = (self.smooth / counts).astype(np.float32)
        self.average_ = np.asarray(after.mean(axis=0)).ravel().astype(np.float32)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        last = task.bags[rows - 1]
        return (last @ self.chain_).toarray() + np.outer(last @ self.rest_ + 1e-3, self.average_)


@dataclass
class ItemKNN(Recommender):
    """The `k` nearest of each item bought, by cosine: items of the same households, or trips (`by` "step").

    `shrink` is added to the cosine's denominator, so that rare pairs are not trusted blindly. With a
    half-life in days the customer's own earlier trips fade.
    """

    k: int = 100
    shrink: float = 10.0
    by: str = "who"
    half_life: float | None = None
    name: ClassVar[str] = "item-kNN"

    def _learn(self, task: SequenceTask, part: str) -> None:
        if self.by == "who":
            matrix = sequence_counts(task, part)
            matrix.data = np.log1p(matrix.data)
        else:
            matrix = task.bags[task.rows(part)]
        self.near_ = cosine_neighbours(matrix, self.k, self.shrink)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        seen = history(task, rows, self.half_life)
        seen.data = np.log1p(seen.data)
        return (seen @ self.near_).toarray()


def cosine_neighbours(matrix: sparse.csr_matrix, k: int, shrink: float) -> sparse.csr_matrix:
    """The k nearest columns of each column by shrunk cosine; (n_items, n_items), diagonal 0."""
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel())
    columns = matrix.tocsc()
    blocks = []
    for at in range(0, matrix.shape[1], 1000):
        near = (columns[:, at : at + 1000].T @ matrix).tocoo()
        keep = near.row + at != near.col
        value = near.data[keep] / (length[near.row[keep] + at] * length[near.col[keep]] + shrink)
        block = sparse.csr_matrix((value, (near.row[keep], near.col[keep])), near.shape)
        blocks.append(keep_largest(block, k))
    return sparse.vstack(blocks, format="csr")


def keep_largest(matrix: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """Keep the k largest entries of each row."""
    size = np.diff(matrix.indptr)
    row = np.repeat(np.arange(matrix.shape[0]), size)
    order = np.lexsort((-matrix.data, row))
    rank = np.arange(len(row)) - np.repeat(matrix.indptr[:-1], size)
    order = order[rank < k]
    return sparse.csr_matrix((matrix.data[order], (row[order], matrix.indices[order])), matrix.shape)


@dataclass
class Factors(Recommender):
    """Matrix factorisation: households and items as points, scikit-learn's truncated SVD.

    A customer's point is computed from their history at the moment of the trip, so nothing is refitted.
    Source: Cremonesi, Koren & Turrin (2010), RecSys (PureSVD).
    """

    size: int = 32
    half_life: float | None = None
    name: ClassVar[str] = "matrix factors"

    def _learn(self, task: SequenceTask, part: str) -> None:
        from sklearn.decomposition import TruncatedSVD

        counts = sequence_counts(task, part)
        counts.data = np.log1p(counts.data)
        svd = TruncatedSVD(min(self.size, min(counts.shape) - 1), n_iter=4, random_state=0).fit(counts)
        self.points_ = svd.components_.T.astype(np.float32)
        self.axes_ = self.points_ * np.sqrt(svd.singular_values_).astype(np.float32)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        seen = history(task, rows, self.half_life)
        seen.data = np.log1p(seen.data)
        return (seen @ self.points_) @ self.points_.T
