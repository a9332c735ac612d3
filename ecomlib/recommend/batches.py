"""Windows of trips, cut and put together into the arrays that a network reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ecomlib.recommend.habits import ranges
from ecomlib.recommend.history import day_trend
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
    """Batches of windows of one task; `settings` is a `NextItems`, `n_sampled` its negatives in training.

    A batch is a dict of arrays. "shape" (2,): n_windows, n_steps of the grid; cell = window * n_steps + step.
    "ids", "cell" (n_held,): every item read and where it lies. "context" (n_windows, n_steps, 9). "target"
    (n_targets,): the cell before each target, "known_ahead" (n_targets, 8). With a profile "owned" (n_owned,
    2): target and item of everything bought before, "owned_weight" (n_owned,); at discovery and with own
    habits "pair" (n_pairs, 2), the same, and with these "habits" (n_pairs, 9): `Purchases.habits`. With
    trends "trend" (n_days, n_spans, n_items) and "day" (n_targets,): see `trend`. In training "right"
    (n_right, 2): target and item of every right item, and where negatives are drawn "columns", "log_pi"
    (n_columns,), of which "pair" and "right" then hold the places.
    """

    task: SequenceTask
    settings: Any
    n_sampled: int = 0

    @cached_property
    def trends(self) -> np.ndarray:
        """The trends of every day of the task; (n_days, n_spans, n_items)."""
        days = int(self.task.day.min()) + np.arange(self.task.daily.shape[0])
        return np.stack([day_trend(self.task, days, span) for span in self.settings.trend_days], axis=1)

    def epoch(self, cut: Windows, size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Batches of `size` windows to learn from, in random order."""
        for group in self.groups(cut, size, rng):
            rows, batch = self.inputs(cut, group)
            yield batch | self.outputs(rows, rng)

    def groups(self, cut: Windows, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """The windows of each batch of an epoch."""
        return chunks(rng.permutation(len(cut.first)), size)

    def inputs(self, cut: Windows, group: np.ndarray) -> tuple[np.ndarray, Batch]:
        """The targets of some windows, (n_targets,) rows, and what the state before them is made of."""
        first, length = cut.first[group], cut.length[group]
        steps, n_steps = ranges(first, length), int(length.max())
        cell = ranges(np.arange(len(group)) * n_steps, length)
        n_targets = cut.edge[group + 1] - cut.edge[group]
        rows = cut.rows[ranges(cut.edge[group], n_targets)]
        baskets = self.task.baskets[steps]
        target = np.repeat(np.arange(len(group)) * n_steps - first, n_targets) + rows - 1
        context = np.zeros((len(group) * n_steps, self.task.context.shape[1]), np.float32)
        context[cell] = self.task.context[steps]
        batch = {
            "shape": np.array([len(group), n_steps], np.int32),
            "ids": baskets.indices.astype(np.int32),
            "cell": np.repeat(cell, np.diff(baskets.indptr)).astype(np.int32),
            "context": context.reshape(len(group), n_steps, -1),
            "target": target.astype(np.int32),
            "known_ahead": self.task.known_ahead[rows],
        }
        if self.settings.profile:
            at, latest = self.task.purchases.before(rows)
            weight = np.log1p(self.task.purchases.count[latest])
            norm = np.sqrt(np.bincount(at, weight**2, len(rows)))[at]
            batch["owned"] = np.column_stack([at, self.task.purchases.item[latest]]).astype(np.int32)
            batch["owned_weight"] = (weight / norm).astype(np.float32)
        return rows, batch

    def outputs(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> Batch:
        """What the output layer reads; with `rng` (training) also what is right, and the drawn columns."""
        batch, baskets = {}, self.task.baskets[rows]
        place = np.arange(self.task.n_items, dtype=np.int32)
        if rng is not None and self.n_sampled:
            columns, batch["log_pi"] = draw_columns(
                self.task, baskets.indices, baskets.nnz, self.n_sampled, POWER, rng
            )
            place = np.full(self.task.n_items, -1, np.int32)
            place[columns] = np.arange(len(columns))
            batch["columns"] = columns
        if self.settings.own or self.settings.question_ == "discovery":
            at, latest = self.task.purchases.before(rows)
            column = place[self.task.purchases.item[latest]]
            at, latest, column = at[column >= 0], latest[column >= 0], column[column >= 0]
            batch["pair"] = np.column_stack([at, column]).astype(np.int32)
        if self.settings.own:
            batch["habits"] = self.task.purchases.habits(rows, at, latest)
        if self.settings.trend_days:
            days, batch["day"] = np.unique(self.task.day[rows].astype(int), return_inverse=True)
            batch["day"] = batch["day"].astype(np.int32)
            batch["trend"] = self.trends[days - int(self.task.day.min())]
            if "columns" in batch:
                batch["trend"] = batch["trend"][:, :, batch["columns"]]
        if rng is not None:
            size = np.diff(baskets.indptr)
            right = np.column_stack([np.repeat(np.arange(len(rows)), size), place[baskets.indices]])
            if self.settings.question_ == "discovery":
                right = right[self.task.purchases.is_new[ranges(self.task.baskets.indptr[rows], size)]]
            batch["right"] = right.astype(np.int32)
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
