"""GRU4Rec and SASRec of RecBole behind the course's protocol, for `benchmarks/quality/peers.py`.

Networks and losses are RecBole's. The histories are made here, since its data sets cannot ask for what is new
to a household, and so is the loop of Adam steps. RecBole asks for an old ray, which only its own search of
settings needs (`recbole.quick_start`): what is imported here runs without it. In training, every place of a
window counts at once, not one place of one history at a time, and a pass over all pairs takes less time.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.quality._peer_recommenders import Peer
from benchmarks.quality.recommend import valid_gain
from ecomlib.recommend.habits import ranges
from ecomlib.recommend.task import SequenceTask

DEFAULTS = {  # RecBole's: its own reader of them stops at NumPy 2 ("`np.float_` was removed")
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "LIST_SUFFIX": "_list",
    "ITEM_LIST_LENGTH_FIELD": "item_length",
    "NEG_PREFIX": "neg_",
    "device": "cpu",
    "num_layers": 1,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,
}


@dataclass(frozen=True)
class Purchases:
    """Purchases in the order of their steps, those of one step in any order: `step` and `item`, (n,)."""

    step: np.ndarray
    item: np.ndarray

    @classmethod
    def of(cls, task: SequenceTask, repeats: bool) -> "Purchases":
        """All purchases, or those of what is new to the household."""
        size = np.diff(task.baskets.indptr)
        step, item = np.repeat(np.arange(len(size)), size), task.baskets.indices.astype(np.int64)
        if not repeats:
            first = np.unique(task.who[step].astype(np.int64) * task.n_items + item, return_index=True)[1]
            step, item = step[first], item[first]
        order = np.lexsort((np.random.default_rng(0).random(len(step)), step))
        return cls(step[order], item[order])

    def before(self, task: SequenceTask, rows: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The last purchases before each row, (n_rows, length), and how many they are, (n_rows,).

        Where there is none, one zero counts as one.
        """
        stop = np.searchsorted(self.step, rows)
        n = np.minimum(stop - np.searchsorted(self.step, task.start[rows]), length)
        return self.window(stop - n, n, length), np.maximum(n, 1)

    def window(self, first: np.ndarray, n: np.ndarray, length: int) -> np.ndarray:
        """The purchases first, ..., first + n - 1 as 1 + item, then zeros; (n_windows, length)."""
        found = np.zeros((len(first), length), np.int64)
        found[np.arange(length) < n[:, None]] = 1 + self.item[ranges(first, n)]
        return found


@dataclass
class RecBole(Peer):
    """A network of RecBole, trained until the lists for validation stop getting better; for one task only.

    `size`: of an item's vector and of the state. `length`: purchases that are read. `repeats`: all purchases
    are read, else only the first one of each item.
    """

    kind: str = "GRU4Rec"
    size: int = 64
    dropout: float = 0.3
    rate: float = 1e-3
    loss: str = "CE"
    length: int = 100
    repeats: bool = False
    seed: int = 0
    epochs: int = 6
    patience: int = 1
    batch: int = 64
    name = "RecBole"

    def _learn(self, task: SequenceTask, part: str) -> None:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(self.seed)
        self.net_, self.read_ = self._made(task.n_items + 1), Purchases.of(task, self.repeats)
        optimizer = torch.optim.Adam(self.net_.parameters(), lr=self.rate)
        best, rng, self.gains_ = copy.deepcopy(self.net_.state_dict()), np.random.default_rng(self.seed), []
        for _ in range(self.epochs):
            self.net_.train()
            for batch in self._batches(task, part, rng):
                optimizer.zero_grad()
                self._loss(*map(torch.from_numpy, batch)).backward()
                optimizer.step()
            self.gains_.append(valid_gain(task, self))
            if max(self.gains_) == self.gains_[-1]:
                best = copy.deepcopy(self.net_.state_dict())
            elif len(self.gains_) - int(np.argmax(self.gains_)) > self.patience:
                break
        self.net_.load_state_dict(best)

    def _made(self, n: int) -> Any:
        """RecBole's network for n items, the empty one included; in training it gives all its states."""
        from recbole.model import sequential_recommender as networks

        class EveryState(getattr(networks, self.kind)):
            def gather_indexes(self, output: Any, index: Any) -> Any:
                return output if self.training else super().gather_indexes(output, index)

        drawn = dict.fromkeys(("dropout_prob", "hidden_dropout_prob", "attn_dropout_prob"), self.dropout)
        sizes = {"hidden_size": self.size, "embedding_size": self.size, "inner_size": 4 * self.size}
        sizes |= {"MAX_ITEM_LIST_LENGTH": self.length, "loss_type": self.loss}
        known = SimpleNamespace(num=lambda field: n)  # of its data set, a network reads only this
        return EveryState(DEFAULTS | drawn | sizes, known)

    def _batches(self, task: SequenceTask, part: str, rng: np.random.Generator) -> Iterator[tuple]:
        """Once through the households: a window of what each bought, (n, length), and what it predicts.

        That is every new purchase of a later trip: the row and the place in the window of the last purchase
        before the trip, 1 + item, 1 + any item.
        """
        new, read = Purchases.of(task, repeats=False), self.read_
        asked = np.isin(new.step, task.targets(part))
        step, item = new.step[asked], new.item[asked]
        before = np.searchsorted(read.step, step)
        who, first, n = np.unique(task.who[step], return_index=True, return_counts=True)
        begin, end = np.searchsorted(task.who[read.step], who), before[first + n - 1]
        begin = begin + rng.integers(np.maximum(end - begin - self.length, 0) + 1)
        for some in np.split(rng.permutation(len(who)), np.arange(self.batch, len(who), self.batch)):
            seen = read.window(begin[some], np.minimum(end - begin, self.length)[some], self.length)
            pick, row = ranges(first[some], n[some]), np.repeat(np.arange(len(some)), n[some])
            place = before[pick] - 1 - begin[some][row]
            inside = (place >= 0) & (place < self.length)
            other = rng.integers(task.n_items, size=int(inside.sum()))
            yield seen, row[inside], place[inside], 1 + item[pick][inside], 1 + other

    def _loss(self, seen: Any, row: Any, place: Any, item: Any, other: Any) -> Any:
        """RecBole's loss."""
        state, vectors = self.net_.forward(seen, row)[row, place], self.net_.item_embedding
        if self.loss == "CE":
            return self.net_.loss_fct(state @ vectors.weight.T, item)
        right, wrong = ((state * vectors(each)).sum(dim=-1) for each in (item, other))
        return self.net_.loss_fct(right, wrong)

    def _score(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        import torch

        self.net_.eval()
        names, found = (self.net_.ITEM_SEQ, self.net_.ITEM_SEQ_LEN), [np.empty((0, task.n_items), np.float32)]
        for some in np.split(rows, np.arange(100, len(rows), 100)):
            asked = map(torch.from_numpy, self.read_.before(task, some, self.length))
            with torch.no_grad():
                found.append(self.net_.full_sort_predict(dict(zip(names, asked, strict=True)))[:, 1:].numpy())
        return np.concatenate(found)
