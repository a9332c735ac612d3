"""What is known at a step of all that came before it: own purchases, and what sells at present."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from scipy import sparse

from ecomlib.recommend.task import SequenceTask

Decay = Callable[[np.ndarray, np.ndarray], np.ndarray]


def history(task: SequenceTask, rows: np.ndarray, half_life: float | None = None) -> sparse.csr_matrix:
    """How often each item was bought before each row, the row itself left out; (n_rows, n_items).

    With a half-life in days older trips count less.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecomlib.recommend.task import TRAIN, build_task
    >>> lines = pd.DataFrame({"who": 1, "day": [0, 7, 7, 14], "item": list("abaa"), "part": TRAIN})
    >>> history(build_task(lines, min_count=1), np.array([2]), half_life=7).toarray()
    array([[0.75, 0.5 ]], dtype=float32)
    """
    decay = None if half_life is None else lambda days, trips: np.exp2(-days / half_life)
    rows = np.asarray(rows)
    return look_back(task, task.start[rows], rows, task.day[rows], decay) @ task.bags


def look_back(
    task: SequenceTask, first: np.ndarray, stop: np.ndarray, today: np.ndarray, decay: Decay | None = None
) -> sparse.csr_matrix:
    """Weights of the steps first, ..., stop - 1 of each row; (n_rows, n_steps).

    `decay` turns the steps' ages, in days before `today` and in trips (0 for the latest), into weights;
    without it every step counts 1.
    """
    length = stop - first
    column = ranges(first, length)
    weight = np.ones(len(column), np.float32)
    if decay is not None:
        weight = decay(np.repeat(today, length) - task.day[column], np.repeat(stop, length) - 1 - column)
    indptr = np.r_[0, np.cumsum(length)]
    return sparse.csr_matrix((weight.astype(np.float32), column, indptr), (len(length), len(task.who)))


def ranges(first: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Give first[0], first[0] + 1, ... (length[0] of them), then first[1], ..."""
    shift = np.repeat(first - np.r_[0, np.cumsum(length)[:-1]], length)
    return np.arange(length.sum()) + shift


def sequence_counts(task: SequenceTask, part: str = "train") -> sparse.csr_matrix:
    """How often each sequence's steps of a part hold each item; (n_sequences, n_items)."""
    rows = task.rows(part)
    pick = sparse.csr_matrix(
        (np.ones(len(rows), np.float32), (task.who[rows], rows)), (len(task.names), len(task.who))
    )
    return pick @ task.bags


def recent_counts(task: SequenceTask, at: np.ndarray, days: int) -> np.ndarray:
    """How many steps held each item in the `days` days before each day of `at`, (n,); (n, n_items)."""
    day = int(task.day.min()) + np.arange(task.daily.shape[0])
    inside = (day < at[:, None]) & (day >= at[:, None] - days)
    return (sparse.csr_matrix(inside, dtype=np.float32) @ task.daily).toarray()


def trend(task: SequenceTask, rows: np.ndarray, days: int, prior: float = 5.0) -> np.ndarray:
    """How each item sold in the `days` days before each row's day against its usual share; (n_rows, n_items).

    log of (sales + prior) / (expected sales + prior): 0 is as usual, 0.7 is twice as much.
    """
    at, back = np.unique(task.day[rows].astype(int), return_inverse=True)
    return day_trend(task, at, days, prior)[back]


def day_trend(task: SequenceTask, at: np.ndarray, days: int, prior: float = 5.0) -> np.ndarray:
    """`trend` at the days `at`, (n,); (n, n_items)."""
    recent = recent_counts(task, at, days)
    usual = (task.items["count"] / task.items["count"].sum()).to_numpy(np.float32)
    expected = recent.sum(axis=1, keepdims=True) * usual
    return np.log((recent + prior) / (expected + prior)).astype(np.float32)


class Purchases:
    """Every purchase of a task, household by household and item by item: what own habits are made of.

    Arrays (n_purchases,): `row` and `item`; `count`, the how-manieth time the household bought the item;
    `until`, the last row before or at which this is its latest purchase of the item; `began`, the day of its
    first one. `faded` (n_purchases, n_half_lives): purchases so far, those of h days ago counting half.
    """

    HALF_LIVES = (7.0, 30.0, 120.0, 400.0)  # days
    CHANNELS = 9

    def __init__(self, task: SequenceTask):
        self.task, held = task, np.diff(task.bags.indptr)
        row, item = np.repeat(np.arange(len(held)), held), task.bags.indices
        order = np.argsort(task.who[row].astype(np.int64) * task.n_items + item, kind="stable")
        self.row, self.item = row[order], item[order]
        who, day = task.who[self.row], task.day[self.row]
        new = np.r_[True, (self.item[1:] != self.item[:-1]) | (who[1:] != who[:-1])]
        first = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
        self.count, self.began = np.arange(len(new)) - first + 1, day[first]
        self.edge = np.searchsorted(who, np.arange(len(task.names) + 1))  # of each household's purchases
        end = np.r_[np.flatnonzero(np.diff(task.who)), len(task.who) - 1]  # its last row
        self.until = np.where(np.r_[new[1:], True], end[who], np.r_[self.row[1:], 0])
        self.is_new = np.empty(len(new), bool)  # in the order of `bags`: not bought before
        self.is_new[order] = new

    @cached_property
    def faded(self) -> np.ndarray:
        """See the class."""
        day = self.task.day[self.row]
        faded = np.ones((len(day), len(self.HALF_LIVES)), np.float32)
        by_count = np.argsort(self.count, kind="stable")
        for at in np.split(by_count, np.cumsum(np.bincount(self.count)))[2:-1]:
            gap = (day[at] - day[at - 1])[:, None]
            faded[at] += faded[at - 1] * np.exp2(-gap / self.HALF_LIVES)
        return faded

    def before(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items bought before each of the sorted `rows`: its position among them, and the latest purchase."""
        who = np.unique(self.task.who[rows])
        some = ranges(self.edge[who], self.edge[who + 1] - self.edge[who])
        low = np.searchsorted(rows, self.row[some] + 1)
        length = np.searchsorted(rows, self.until[some] + 1) - low
        return ranges(low, length), np.repeat(some, length)

    def habits(self, rows: np.ndarray, at: np.ndarray, latest: np.ndarray) -> np.ndarray:
        """Nine numbers for each pair of `before`, (n_pairs, 9).

        Faded counts (four); count; count per trip; days since and trips since the latest purchase; days since
        over the mean gap between purchases (0 after a single one). All are logs.
        """
        day, row = self.task.day, rows[at]
        since, count = day[row] - day[self.row[latest]], self.count[latest]
        faded = self.faded[latest] * np.exp2(-since[:, None] / self.HALF_LIVES)
        gap = (day[self.row[latest]] - self.began[latest]) / np.maximum(count - 1, 1)
        channels = [
            np.log1p(count),
            np.log1p(20 * count / (row - self.task.start[row])),
            np.log1p(since) - 3,
            np.log(row - self.row[latest]) - 2,
            np.where(count > 1, np.log((since + 1) / (gap + 1)), 0),
        ]
        return np.column_stack([np.log1p(20 * faded), *channels]).astype(np.float32)
