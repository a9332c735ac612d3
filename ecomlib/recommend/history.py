"""What is known at a step of all that came before it: own purchases, and what sells at present."""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from ecomlib.recommend.habits import ranges
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
    return look_back(task, task.start[rows], rows, task.day[rows], decay) @ task.baskets


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


def sequence_counts(task: SequenceTask, part: str = "train") -> sparse.csr_matrix:
    """How often each sequence's steps of a part hold each item; (n_sequences, n_items)."""
    rows = task.rows(part)
    pick = sparse.csr_matrix(
        (np.ones(len(rows), np.float32), (task.who[rows], rows)), (len(task.names), len(task.who))
    )
    return pick @ task.baskets


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
