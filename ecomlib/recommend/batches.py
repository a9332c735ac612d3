"""Windows of trips, cut and put together into the arrays that a network reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from ecomlib.recommend.history import history, ranges, trend
from ecomlib.recommend.task import SequenceTask

SPAN = 30  # targets of one window; its LSTM reads them and up to SPAN steps before: 60 in all
POWER = 0.75  # negatives are drawn with chance count ** POWER

Batch = dict[str, np.ndarray]


class Windows(NamedTuple):
    """Window w reads the `length[w]` steps from `first[w]` on and predicts rows[edge[w] : edge[w + 1]]."""

    first: np.ndarray
    length: np.ndarray
    rows: np.ndarray
    edge: np.ndarray


def cut_windows(task: SequenceTask, rows: np.ndarray, span: int = SPAN, burn: int = SPAN) -> Windows:
    """Cut the sequences into windows of at most `span` targets, each with its last `burn` steps or more."""
    rows = np.sort(rows)
    start = task.start[rows]
    chunk = (rows - start - 1) // span
    new = np.flatnonzero(np.r_[True, (start[1:] != start[:-1]) | (chunk[1:] != chunk[:-1])])
    edge = np.r_[new, len(rows)]
    first = start[new] + np.maximum(chunk[new] * span - burn, 0)
    return Windows(first, rows[edge[1:] - 1] - first, rows, edge)


@dataclass(frozen=True)
class Batches:
    """Batches of windows of one task; the settings are those of `NextItems`.

    A batch is a dict of arrays. "shape" (2,): n_windows, n_steps of the grid; cell = window * n_steps + step.
    "ids", "cell" (n_held,): every item read and where it lies. "step" (n_real,), "context" (n_real, 9): every
    real cell and its context. "target" (n_targets,): the cell before each target, "arrival" (n_targets, 8).
    With a profile "owned", "owner", "owned_weight" (n_owned,): every item bought before a target, which
    target, and its weight. "masked" (n_targets, n_columns): bought before, for discovery. "past" (n_past,
    n_targets, n_columns): own history by half-life, then the trend. In training "right" (n_pairs, 2): row and
    column of every right item, and where negatives are drawn "columns", "log_pi" (n_columns,).
    """

    task: SequenceTask
    half_lives: tuple[float, ...] = ()
    trend_days: int = 0
    profile: bool = False
    n_sampled: int = 0

    def epoch(self, cut: Windows, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Batches of `size` windows to learn from: windows of like length together, in random order."""
        order = rng.permutation(len(cut.first))
        order = np.concatenate(
            [o[np.argsort(cut.length[o], kind="stable")] for o in chunks(order, 10 * size)]
        )
        groups = list(chunks(order, size))
        for i in rng.permutation(len(groups)):
            rows, batch = self.inputs(cut, groups[i])
            yield batch | self.outputs(rows, rng)

    def inputs(self, cut: Windows, group: np.ndarray) -> tuple[np.ndarray, Batch]:
        """The targets of some windows, (n_targets,) rows, and what is known before them."""
        first, length = cut.first[group], cut.length[group]
        n_steps = int(length.max())
        steps = ranges(first, length)
        cell = ranges(np.arange(len(group)) * n_steps, length)
        n_targets = cut.edge[group + 1] - cut.edge[group]
        rows = cut.rows[ranges(cut.edge[group], n_targets)]
        bags = self.task.bags[steps]
        target = np.repeat(np.arange(len(group)) * n_steps - first, n_targets) + rows - 1
        batch = {
            "shape": np.array([len(group), n_steps], np.int32),
            "ids": bags.indices.astype(np.int32),
            "cell": np.repeat(cell, np.diff(bags.indptr)).astype(np.int32),
            "step": cell.astype(np.int32),
            "context": self.task.context[steps],
            "target": target.astype(np.int32),
            "arrival": self.task.arrival[rows],
        }
        if self.profile:
            owned = history(self.task, rows)
            owner = np.repeat(np.arange(len(rows)), np.diff(owned.indptr))
            weight = np.log1p(owned.data)
            norm = np.sqrt(np.bincount(owner, weight**2, len(rows)))[owner]
            batch |= {"owned": owned.indices.astype(np.int32), "owner": owner.astype(np.int32)}
            batch["owned_weight"] = (weight / norm).astype(np.float32)
        return rows, batch

    def outputs(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> Batch:
        """What the output layer reads; with `rng` (training) also what is right, and the drawn columns."""
        batch: Batch = {}
        columns: slice | np.ndarray = slice(None)
        task, right = self.task, self.task.bags[rows]
        if rng is not None and self.n_sampled:
            columns, batch["log_pi"] = draw_columns(
                task, right.indices, right.nnz, self.n_sampled, POWER, rng
            )
            batch["columns"] = columns
        right = right[:, columns]
        if task.question == "discovery":
            seen = history(task, rows)[:, columns].astype(bool)
            batch["masked"] = seen.toarray().astype(np.uint8)
            right = right - right.multiply(seen)
            right.eliminate_zeros()
        past = [np.log1p(20 * history(task, rows, h)[:, columns].toarray()) for h in self.half_lives]
        if self.trend_days:
            past.append(trend(task, rows, self.trend_days)[:, columns])
        if past:
            batch["past"] = np.stack(past)
        if rng is not None:
            pairs = sparse.coo_matrix(right)
            batch["right"] = np.column_stack([pairs.row, pairs.col]).astype(np.int32)
        return batch


def draw_columns(
    task: SequenceTask, held: np.ndarray, n_held: int, n_drawn: int, power: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Columns of a batch's softmax, and log(pi), pi being each one's chance to be there; both (n_columns,).

    They are the items `held` by the batch, which `n_held` events brought in, and `n_drawn` negatives drawn
    with chance count ** power. A column stands for 1 / pi items like it, so -log(pi) is added to its score
    (the logQ correction: Bengio & Senecal, 2008, IEEE Transactions on Neural Networks 19(4), section 3).
    """
    count = task.items["count"].to_numpy(float)
    share, draw = count / count.sum(), count**power / (count**power).sum()
    drawn = np.searchsorted(np.cumsum(draw), rng.random(n_drawn))
    columns = np.union1d(held, drawn.clip(max=task.n_items - 1))
    missed = np.log1p(-share[columns]) * n_held + np.log1p(-draw[columns]) * n_drawn
    return columns.astype(np.int32), np.log(-np.expm1(missed)).astype(np.float32)


def chunks(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Pieces of `size` entries; the last may be shorter."""
    return (order[at : at + size] for at in range(0, len(order), size))
