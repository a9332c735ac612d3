"""From sessions to the batches a next-item network learns from; knows no network."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ecomlib.recommend.batches import Batch, draw_columns
from ecomlib.recommend.task import SequenceTask

LENGTHS = np.array([1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20])  # sessions are padded to one of these
BLOCK = 30  # batches that are shuffled together; the blocks themselves follow in time
Group = tuple[np.ndarray, np.ndarray, int]


def grid(first: np.ndarray, length: np.ndarray, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the task on a grid of sessions x steps, and which cells are real; both (n, n_steps)."""
    step = np.arange(n_steps)
    real = step < length[:, None]
    return np.where(real, first[:, None] + step, first[:, None]), real


@dataclass(frozen=True)
class ClickBatches:
    """Batches of a task's sessions, with drawn negatives; the settings are those of `NextClick`.

    A batch is a dict of arrays. "columns", "log_pi" (n_columns,): see `draw_columns`. "x" (n, n_steps): place
    among the columns of each item read. "gap" (n, n_steps, 1). "real" (n_real,): cells of the grid that
    hold a click. "right" (n_real,): column of the next item. "pair", "times": see `pairs`.
    """

    task: SequenceTask
    n_sampled: int
    power: float

    def epoch(self, rows: np.ndarray, n_targets: int, rng: np.random.Generator) -> Iterator[Batch]:
        """One batch for each of the groups."""
        for group in self.groups(rows, n_targets, rng):
            yield self.batch(*group, rng)

    def groups(self, rows: np.ndarray, n_targets: int, rng: np.random.Generator) -> Iterator[Group]:
        """Sessions of like length, about `n_targets` targets together, old sessions first.

        A group is each session's first row and number of clicks to read, and the steps they are padded to.
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

    def batch(self, first: np.ndarray, length: np.ndarray, n_steps: int, rng: np.random.Generator) -> Batch:
        """Training batch: each of `length` clicks from `first` on is read, and the one after it predicted."""
        at, real = grid(first, length, n_steps)
        item = self.task.baskets.indices
        x, right = item[at], item[at + 1]
        # A session's items are read and predicted, but one event each: its first click, then each next one.
        held, n_held = np.concatenate([x[real], right[real]]), real.sum() + len(first)
        columns, log_pi = draw_columns(self.task, held, n_held, self.n_sampled, self.power, rng)
        place = np.zeros(self.task.n_items, np.int32)
        place[columns] = np.arange(len(columns))
        pair, times = pairs(real, place[np.column_stack([x[:, 0], right])], len(columns))
        return {
            "columns": columns,
            "log_pi": log_pi,
            "x": place[x],
            "gap": self.task.gap[at],
            "real": np.flatnonzero(real).astype(np.int32),
            "right": place[right[real]],
            "pair": pair,
            "times": times,
        }


def pairs(real: np.ndarray, column: np.ndarray, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Every (row, column) of a session's own items, once, and log(1 + 20 times seen up to the row).

    A row's own session is there for certain: these items have pi = 1.
    """
    row = np.cumsum(real.ravel()).reshape(real.shape) - 1
    here = np.column_stack([np.ones(len(real), bool), real])  # one click more than is read
    session, now, other = np.nonzero(real[:, :, None] & here[:, None, :])
    key = row[session, now].astype(np.int64) * n_columns + column[session, other]
    key, where = np.unique(key, return_inverse=True)
    seen = np.bincount(where, other <= now, len(key))
    return np.column_stack(np.divmod(key, n_columns)).astype(np.int32), np.log1p(20 * seen).astype(np.float32)
