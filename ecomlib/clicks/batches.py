"""From sessions to the batches a next-item network learns from; knows no network."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ecomlib.recommend.task import SequenceTask

LENGTHS = np.array([1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20])  # sessions are padded to one of these
BLOCK = 30  # batches that are shuffled together; the blocks themselves follow in time


def grid(first: np.ndarray, length: np.ndarray, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the task on a grid of sessions x steps, and which cells are real; both (n, n_steps)."""
    step = np.arange(n_steps)
    real = step < length[:, None]
    return np.where(real, first[:, None] + step, first[:, None]), real


@dataclass(frozen=True)
class ClickBatches:
    """Batches of a task's sessions, with drawn negatives; the settings are those of `NextClick`."""

    task: SequenceTask
    n_sampled: int
    power: float

    def groups(
        self, rows: np.ndarray, n_targets: int, rng: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        """Sessions of like length, about `n_targets` targets together, old sessions first.

        Yields first row and number of clicks to read of each session, and the steps they are padded to.
        How many groups there are does not depend on `rng`.
        """
        first, length = np.unique(self.task.start[rows], return_counts=True)
        read = np.minimum(length, LENGTHS[-1])
        first = first + length - read
        block = (np.cumsum(read) - 1) // (BLOCK * n_targets)
        for b in range(block[-1] + 1):
            at = rng.permutation(np.flatnonzero(block == b))
            padded = LENGTHS[np.searchsorted(LENGTHS, read[at])]
            groups = []
            for n_steps in np.unique(padded):
                some = at[padded == n_steps]
                n = max(round(len(some) * n_steps / n_targets), 1)
                groups += [(first[g], read[g], n_steps) for g in np.array_split(some, n)]
            for i in rng.permutation(len(groups)):
                yield groups[i]

    def batch(
        self, first: np.ndarray, length: np.ndarray, n_steps: int, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Training batch: each of `length` clicks from `first` on is read, and the one after it predicted.

        A column that came by chance stands for 1 / pi items like it, so -log(pi) is added to its score (the
        logQ correction: Bengio & Senecal, 2008, IEEE Transactions on Neural Networks 19(4), section 3).
        A row's own session is there for certain: its items have pi = 1.

        Returns
        -------
        dict of arrays
            columns, log_pi (n_columns,): items of the softmax, log of the chance of each to be among them;
            x (n, n_steps): place of each item read among the columns; pause (n, n_steps, 1); real (n_real,):
            cells that hold a click; right (n_real,): column of the next item; pair (n_pairs, 2), times
            (n_pairs,): see `pairs`.
        """
        at, real = grid(first, length, n_steps)
        item, count = self.task.bags.indices, self.task.items["count"].to_numpy(float)
        x, right = item[at], item[at + 1]
        # A session's items are read and predicted, but one event each: its first click, then each next one.
        held, n_held = np.concatenate([x[real], right[real]]), real.sum() + len(first)
        share, draw = count / count.sum(), count**self.power / (count**self.power).sum()
        drawn = np.searchsorted(np.cumsum(draw), rng.random(self.n_sampled))
        columns = np.union1d(held, drawn.clip(max=self.task.n_items - 1))
        missed = np.log1p(-share[columns]) * n_held + np.log1p(-draw[columns]) * self.n_sampled
        place = np.zeros(self.task.n_items, np.int32)
        place[columns] = np.arange(len(columns))
        pair, times = pairs(real, place[np.column_stack([x[:, 0], right])], len(columns))
        return {
            "columns": columns.astype(np.int32),
            "log_pi": np.log(-np.expm1(missed)).astype(np.float32),
            "x": place[x],
            "pause": self.task.pause[at],
            "real": np.flatnonzero(real).astype(np.int32),
            "right": place[right[real]],
            "pair": pair,
            "times": times,
        }


def pairs(real: np.ndarray, column: np.ndarray, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Every (row, column) of a session's own items, once, and log(1 + 20 times seen up to the row)."""
    row = np.cumsum(real.ravel()).reshape(real.shape) - 1
    here = np.column_stack([np.ones(len(real), bool), real])  # one click more than is read
    session, now, other = np.nonzero(real[:, :, None] & here[:, None, :])
    key = row[session, now].astype(np.int64) * n_columns + column[session, other]
    key, where = np.unique(key, return_inverse=True)
    seen = np.bincount(where, other <= now, len(key))
    return np.column_stack(np.divmod(key, n_columns)).astype(np.int32), np.log1p(20 * seen).astype(np.float32)
