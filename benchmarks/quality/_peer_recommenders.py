"""Recommenders of implicit and cornac behind the course's protocol, for `benchmarks/quality/peers.py`."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from ecomlib.recommend.history import history, sequence_counts
from ecomlib.recommend.ranking import Recommender
from ecomlib.recommend.task import PARTS, SequenceTask


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


@dataclass
class Sequential(Peer):
    """GRU4Rec or SASRec of cornac on households' first purchases of an item, in the order of time."""

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    length: int = 50  # items of a household that are read, the latest ones
    latest: int = 10_000  # items of a household that are trained on, the latest ones

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the model."""
        return self.kind

    def _learn(self, task: SequenceTask, part: str) -> None:
        import torch
        from cornac import models
        from cornac.data import SequentialDataset

        torch.set_num_threads(1)
        step, item = first_purchases(task)
        keep = np.flatnonzero(task.part[step] == PARTS[part])
        ends = np.searchsorted(task.who[step[keep]], task.who[step[keep]], side="right")
        keep = keep[ends - np.arange(len(keep)) <= self.latest]
        who = task.who[step[keep]].tolist()
        lines = zip(who, who, item[keep].tolist(), task.day[step[keep]].tolist(), strict=True)
        columns = {column: column for column in range(task.n_items)}
        data = SequentialDataset.build(list(lines), "USIT", global_iid_map=columns)
        self.model_ = getattr(models, self.kind)(seed=self.seed, **self.settings).fit(data)
        self.model_.model.eval()

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        import torch

        length = self.settings.get("max_len", self.length)
        read = torch.as_tensor(latest_items(task, rows, length))
        net = self.model_.model
        with torch.no_grad():
            if self.kind == "SASRec":
                return net(None, read, torch.arange(task.n_items)).numpy()
            state = [torch.zeros(len(rows), size) for size in self.settings["layers"]]
            for column in read.T:
                inputs, items, bias = net.embed(column, state, None)
                hidden = net.hidden_step(inputs, state, training=False)
                for layer in state:
                    layer[column == task.n_items] = 0  # nothing has been read yet
            return net.score_items(hidden, items, bias).numpy()[:, : task.n_items]


def first_purchases(task: SequenceTask) -> tuple[np.ndarray, np.ndarray]:
    """Step and item of every household's first purchase of an item, by time; random within a trip."""
    step = np.repeat(np.arange(len(task.who)), np.diff(task.bags.indptr))
    _, first = np.unique(task.who[step] * task.n_items + task.bags.indices, return_index=True)
    first = first[np.lexsort((np.random.default_rng(0).random(len(first)), step[first]))]
    return step[first], task.bags.indices[first]


def latest_items(task: SequenceTask, rows: np.ndarray, length: int) -> np.ndarray:
    """The last `length` first purchases before each row, padded in front by n_items; (n_rows, length)."""
    step, item = first_purchases(task)
    stop = np.searchsorted(step, rows)
    at = stop[:, None] - np.arange(length, 0, -1)
    known = at >= np.searchsorted(step, task.start[rows])[:, None]
    return np.where(known, item[np.maximum(at, 0)], task.n_items).astype(np.int64)
