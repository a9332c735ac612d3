"""What needs no network: popular items, own habits, similar items and households, factors, a trend."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from ecomlib.recommend.history import history, look_back, recent_counts, sequence_counts, trend
from ecomlib.recommend.ranking import Recommender
from ecomlib.recommend.task import SequenceTask

LITTLE = 1e-4  # added to a share, so that it has a log


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
    name: ClassVar[str] = "personal top frequency"

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
        before, after = task.baskets[rows - 1], task.baskets[rows]
        counts = np.asarray(before.sum(axis=0)).ravel() + self.smooth
        self.chain_ = sparse.diags_array((1 / counts).astype(np.float32)) @ (before.T @ after)
        self.rest_ = (self.smooth / counts).astype(np.float32)
        self.average_ = np.asarray(after.mean(axis=0)).ravel().astype(np.float32)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        last = task.baskets[rows - 1]
        return (last @ self.chain_).toarray() + np.outer(last @ self.rest_ + 1e-3, self.average_)


@dataclass
class ItemKNN(Recommender):
    """The `k` nearest of each item bought, by cosine: items of the same households, or trips (`by` "step").

    `shrink` is added to the cosine's denominator, so that rare pairs are not trusted blindly. With a
    half-life in days the customer's own earlier trips count less.
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
            matrix = task.baskets[task.rows(part)]
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
    """Keep the k largest entries of each row, the first ones of equal ones."""
    size, edge = np.diff(matrix.indptr), matrix.indptr
    row = np.repeat(np.arange(matrix.shape[0]), size)
    least = np.full(matrix.shape[0], -np.inf)  # the k-th largest; a sort of all entries takes far longer
    for i in np.flatnonzero(size > k):
        least[i] = np.partition(matrix.data[edge[i] : edge[i + 1]], size[i] - k)[size[i] - k]
    some = np.flatnonzero(matrix.data >= least[row])
    order = some[np.lexsort((-matrix.data[some], row[some]))]
    size = np.bincount(row[some], minlength=matrix.shape[0])
    order = order[np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size) < k]
    return sparse.csr_matrix((matrix.data[order], (row[order], matrix.indices[order])), matrix.shape)


@dataclass
class PureSVD(Recommender):
    """Matrix factorisation: households and items as points, scikit-learn's truncated SVD.

    A customer's point is computed from their history at the moment of the trip, so nothing is trained again.
    Source: Cremonesi, Koren & Turrin (2010), RecSys (PureSVD).
    """

    size: int = 32
    name: ClassVar[str] = "PureSVD"

    def _learn(self, task: SequenceTask, part: str) -> None:
        from sklearn.decomposition import TruncatedSVD

        counts = sequence_counts(task, part)
        counts.data = np.log1p(counts.data)
        svd = TruncatedSVD(min(self.size, min(counts.shape) - 1), n_iter=4, random_state=0).fit(counts)
        self.points_ = svd.components_.T.astype(np.float32)
        self.axes_ = self.points_ * np.sqrt(svd.singular_values_).astype(np.float32)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        seen = history(task, rows)
        seen.data = np.log1p(seen.data)
        return (seen @ self.points_) @ self.points_.T


@dataclass
class ALS(Recommender):
    """Matrix factorisation of implicit feedback: bought or not, a pair that is bought often weighs more.

    A pair's weight is 1 + `alpha` * log(1 + times bought), so 1 where it never was. Customers and items get
    `factors` numbers each, by ridge regressions in turns; a customer's are computed from their history at the
    moment of the trip, so nothing is trained again. Source: Hu, Koren & Volinsky (2008), ICDM.
    """

    factors: int = 32
    regularisation: float = 30.0
    alpha: float = 0.5
    iterations: int = 15
    name: ClassVar[str] = "ALS"

    def _learn(self, task: SequenceTask, part: str) -> None:
        counts = sequence_counts(task, part)
        shape = counts.shape[1], self.factors
        self.points_ = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
        for _ in range(self.iterations):
            households = self._points(counts, self.points_)
            self.points_ = self._points(counts.T.tocsr(), households)

    def _points(self, counts: sparse.csr_matrix, other: np.ndarray) -> np.ndarray:
        """Solve for the point of each row of counts, given the columns' points; (n_rows, factors)."""
        size = other.shape[1]
        squares = (other[:, :, None] * other[:, None, :]).reshape(len(other), -1)
        every = other.T @ other + self.regularisation * np.eye(size, dtype=np.float32)
        extra = counts.astype(np.float32)
        extra.data = self.alpha * np.log1p(extra.data)
        left = (extra @ squares).reshape(-1, size, size) + every
        right = (extra + extra.astype(bool)) @ other
        return np.linalg.solve(left, right[:, :, None])[:, :, 0]

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        return self._points(history(task, rows), self.points_) @ self.points_.T


@dataclass
class EASE(Recommender):
    """Each item's purchases by ridge regression on those of all other items, in closed form.

    `penalty` is the ridge's. Source: Steck (2019), WWW, Embarrassingly shallow autoencoders for sparse data.
    """

    penalty: float = 1000.0
    name: ClassVar[str] = "EASE"

    def _learn(self, task: SequenceTask, part: str) -> None:
        seen = sequence_counts(task, part).sign()  # bought or not
        square = (seen.T @ seen).toarray()
        square[np.diag_indices_from(square)] += self.penalty
        inverse = np.linalg.inv(square)
        self.weights_ = -inverse / np.diag(inverse)
        np.fill_diagonal(self.weights_, 0)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        return history(task, rows).sign() @ self.weights_


@dataclass
class TIFUKNN(Recommender):
    """Temporal item frequency with nearest neighbours: the reference for next-basket recommendation.

    Trips are put in groups of `group`; inside a group an older trip counts `within` times less, an older
    group `across` times less. The score is `own` of the customer's own vector and the rest of the mean of
    the `k` most similar other households; its log, so that it can be joined with other scores. Source: Hu,
    He, Gao & Zhang (2020), SIGIR, section 4.
    """

    k: int = 300
    own: float = 0.7
    group: int = 7
    within: float = 0.95
    across: float = 0.8
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

        counts = look_back(task, first, stop, np.zeros(len(first)), decay) @ task.baskets
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
        share = (self.own * own + (1 - self.own) * (pick @ self.vectors_)).toarray()
        return np.log(share + LITTLE)


@dataclass
class Trend(Recommender):
    """How each item sold in the last `days` days against its usual share (`history.trend`); see `Blend`."""

    days: int = 7
    name: ClassVar[str] = "trend"

    def _learn(self, task: SequenceTask, part: str) -> None:
        """Nothing: the usual shares come with the task."""

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        return trend(task, rows, self.days)
