"""Recommendation: a customer's earlier trips (or a session's clicks) in, a ranked list of products out.

One table of steps serves both. A step is what happened at one moment: the set of items a household bought
on one day, or the one page a visitor opened. Steps are sorted by sequence (household or session) and time,
and nothing that a step is scored with comes from the step itself or from a later one.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from ecomlib.runtime import usable_cores
from ecomlib.sequences import monday_of
from ecomlib.shop import BadValue, MissingColumn, Shop, TooShort

HISTORY, TRAIN, VALID, TEST = 0, 1, 2, 3
PARTS = {"train": TRAIN, "valid": VALID, "test": TEST}
SIDE = {
    "product_id": ("category", "brand", "department"),
    "product_type": ("department",),
    "category": ("department",),
}


@dataclass(frozen=True)
class SequenceTask:
    """Steps of many sequences, ready to be modelled.

    Attributes
    ----------
    bags : csr_matrix (n_steps, n_items) of float32
        1 where the step holds the item. Steps are sorted by sequence, then time.
    who : array (n_steps,) of int
        The sequence (household or session) of each step, 0, 1, 2, ...
    day : array (n_steps,) of float
        Days since a fixed Monday; the fraction is the time of day where it is known.
    part : array (n_steps,) of int8
        HISTORY, TRAIN, VALID or TEST: where the step may serve as a target.
    items : DataFrame
        One row an item, in column order: item, count (training steps that hold it), side columns.
    names : array
        The customer or session id of each sequence.
    covered : dict
        For each part the share of its (step, item) pairs whose item is in the vocabulary.
    """

    bags: sparse.csr_matrix
    who: np.ndarray
    day: np.ndarray
    part: np.ndarray
    items: pd.DataFrame
    names: np.ndarray
    covered: dict = field(default_factory=dict)

    @property
    def n_items(self) -> int:
        """Size of the vocabulary."""
        return self.bags.shape[1]

    @cached_property
    def start(self) -> np.ndarray:
        """Row of the first step of each step's own sequence; shape (n_steps,)."""
        first = np.r_[True, self.who[1:] != self.who[:-1]]
        return np.maximum.accumulate(np.where(first, np.arange(len(self.who)), 0))

    def targets(self, part: str) -> np.ndarray:
        """Rows of a part that can be predicted: at least one earlier step, at least one known item."""
        known = np.diff(self.bags.indptr) > 0
        return np.flatnonzero((self.part == PARTS[part]) & (np.arange(len(self.who)) > self.start) & known)

    @cached_property
    def context(self) -> np.ndarray:
        """What is known of each step besides its items; shape (n_steps, 9).

        log(1 + days since the step before), log(1 + number of items), and the weekday as seven 0/1 columns.
        """
        gap = np.diff(self.day, prepend=self.day[:1])
        gap[self.start == np.arange(len(gap))] = 0
        size = np.diff(self.bags.indptr)
        weekday = np.eye(7)[self.day.astype(int) % 7]
        return np.column_stack([np.log1p(gap), np.log1p(size), weekday]).astype(np.float32)

    @cached_property
    def arrival(self) -> np.ndarray:
        """What is known when the customer arrives, before the basket is: gap and weekday; (n_steps, 8)."""
        return np.delete(self.context, 1, axis=1)

    @cached_property
    def pause(self) -> np.ndarray:
        """log(1 + minutes since the step before), for clicks; shape (n_steps, 1)."""
        return np.log1p(np.expm1(self.context[:, :1].astype(float)) * 1440).astype(np.float32)


def prepare(
    shop: Shop,
    level: str = "product_type",
    min_count: int = 100,
    train_until: int = 40,
    valid_until: int = 44,
    test_until: int = 52,
) -> SequenceTask:
    """Turn orders into trips: what each household bought on each local day.

    Parameters
    ----------
    shop : Shop
        Cleaned (see `ecomlib.clean`).
    level : str
        "product_id", or a column of `shop.products`: the grain at which products are recommended.
    min_count : int
        Items on fewer training trips than this are left out; `task.covered` says what that costs.
    train_until, valid_until, test_until : int
        Last week of each part; week 1 starts on the Monday on or before the first order.

    Raises
    ------
    MissingColumn, TooShort, BadValue
    """
    if not 0 < train_until < valid_until < test_until:
        raise BadValue(f"weeks {train_until}, {valid_until}, {test_until} must rise: train, valid, test.")
    days = (shop.orders["timestamp"].dt.normalize() - monday_of(shop.orders["timestamp"].min())).dt.days
    lines = pd.DataFrame({"who": shop.orders["customer_id"], "day": days, "item": _item_of(shop, level)})
    week = lines["day"] // 7 + 1
    lines["part"] = np.select(
        [week <= train_until, week <= valid_until, week <= test_until], [TRAIN, VALID, TEST], HISTORY
    )
    task = build_task(lines.drop_duplicates(["who", "day", "item"]), min_count)
    if not len(task.targets("train")) or not len(task.targets("test")):
        raise TooShort(
            f"orders: no household shops both before and after week {train_until}; "
            f"give earlier weeks as train_until, valid_until, test_until."
        )
    return _with_side(task, shop, level)


def build_task(lines: pd.DataFrame, min_count: int) -> SequenceTask:
    """Build a task from lines with columns who, day, item, part (one line an item of a step)."""
    counts = lines.loc[lines["part"] == TRAIN, "item"].value_counts()
    counts = counts[counts >= min_count]
    if len(counts) < 2:
        raise TooShort(
            f"items: {len(counts)} occur on {min_count} training steps or more; two are needed. "
            f"Lower min_count or give more history."
        )
    counts = counts.sort_index()
    column = pd.Index(counts.index).get_indexer(lines["item"])
    known = column >= 0
    covered = {
        n: float(known[lines["part"] == p].mean()) for n, p in PARTS.items() if (lines["part"] == p).any()
    }
    who, names = pd.factorize(lines["who"], sort=True)
    order = np.lexsort((lines["day"], who))
    who, day, part = who[order], lines["day"].to_numpy()[order], lines["part"].to_numpy()[order]
    new = np.r_[True, (who[1:] != who[:-1]) | (day[1:] != day[:-1])]
    step, column, known = np.cumsum(new) - 1, column[order], known[order]
    bags = sparse.csr_matrix(
        (np.ones(known.sum(), np.float32), (step[known], column[known])), (step[-1] + 1, len(counts))
    )
    bags.sort_indices()
    items = pd.DataFrame({"item": counts.index, "count": counts.to_numpy()})
    return SequenceTask(
        bags, who[new], day[new].astype(float), part[new].astype(np.int8), items, np.asarray(names), covered
    )


def _item_of(shop: Shop, level: str) -> pd.Series:
    if level == "product_id":
        return shop.orders["product_id"]
    if shop.products is None or level not in shop.products.columns:
        raise MissingColumn(f"products: column {level!r} is missing; use level='product_id' or add it.")
    names = shop.products.set_index("product_id")[level].astype("str")
    return shop.orders["product_id"].map(names).fillna("UNKNOWN")


def _with_side(task: SequenceTask, shop: Shop, level: str) -> SequenceTask:
    """Add what is known of each item; a type's or category's department is that of most of its products.

    Products are counted, not sales, so that later sales cannot change what the training weeks see.
    """
    columns = [] if shop.products is None else [c for c in SIDE.get(level, ()) if c in shop.products.columns]
    if not columns:
        return task
    table = shop.products[[level, *columns]].astype(dict.fromkeys(columns, "str"))
    if level != "product_id":
        table[level] = table[level].astype("str")
        table = table.groupby([level, *columns], sort=True).size().rename("n").reset_index()
        table = table.sort_values("n", ascending=False, kind="stable")
    table = table.drop_duplicates(level).set_index(level)
    side = table.reindex(task.items["item"])[columns].fillna("UNKNOWN").reset_index(drop=True)
    return replace(task, items=pd.concat([task.items, side], axis=1))


def with_today(task: SequenceTask, day: float | None = None) -> tuple[SequenceTask, np.ndarray]:
    """Give every sequence one more, empty step: the moment at which its customer is served.

    Parameters
    ----------
    day : float, optional
        Days since the task's first Monday; the day after the last step when left out.

    Returns
    -------
    SequenceTask
        The same vocabulary; the new steps are the last of each sequence.
    rows : array (n_sequences,)
        The new steps, to be scored.

    Raises
    ------
    BadValue
        When `day` is not after the last step.
    """
    day = np.floor(task.day.max()) + 1 if day is None else day
    if day <= task.day.max():
        raise BadValue(f"day {day} is not after the last step, which is on day {task.day.max():g}.")
    last = np.flatnonzero(np.r_[task.who[1:] != task.who[:-1], True]) + 1
    indptr = np.insert(task.bags.indptr, last, task.bags.indptr[last])
    bags = sparse.csr_matrix((task.bags.data, task.bags.indices, indptr), (len(indptr) - 1, task.n_items))
    who, days = np.insert(task.who, last, task.who[last - 1]), np.insert(task.day, last, day)
    part = np.insert(task.part, last, HISTORY)
    longer = replace(task, bags=bags, who=who, day=days, part=part)
    return longer, last + np.arange(len(last))


# ---------------------------------------------------------------------------------------------- history


def history(task: SequenceTask, rows: np.ndarray, half_life: float | None = None) -> sparse.csr_matrix:
    """How often each item was bought before each row, older trips counting less.

    Parameters
    ----------
    rows : array (n_rows,)
        Steps to look back from; the step itself is never counted.
    half_life : float, optional
        Days after which a purchase counts half. None counts every purchase as one.

    Returns
    -------
    csr_matrix (n_rows, n_items)

    Examples
    --------
    >>> lines = pd.DataFrame({"who": 1, "day": [0, 7, 7, 14], "item": list("abaa"), "part": TRAIN})
    >>> task = build_task(lines, min_count=1)
    >>> history(task, np.array([2]), half_life=7).toarray()
    array([[0.75, 0.5 ]], dtype=float32)
    """
    decay = None if half_life is None else lambda days, trips: np.exp2(-days / half_life)
    rows = np.asarray(rows)
    return look_back(task, task.start[rows], rows, task.day[rows], decay) @ task.bags


def look_back(task: SequenceTask, first, stop, today, decay=None) -> sparse.csr_matrix:
    """Weights of the steps first, ..., stop - 1 of each row; shape (n_rows, n_steps).

    Parameters
    ----------
    first, stop : array (n_rows,) of int
    today : array (n_rows,) of float
        The day from which ages are counted.
    decay : function of (age in days, age in trips: 0 for the latest), optional
        Gives the weights; without it every step counts 1.
    """
    length = stop - first
    indptr = np.r_[0, np.cumsum(length)]
    column = np.arange(indptr[-1]) - np.repeat(indptr[:-1] - first, length)
    weight = np.ones(len(column), np.float32)
    if decay is not None:
        weight = decay(np.repeat(today, length) - task.day[column], np.repeat(stop, length) - 1 - column)
    return sparse.csr_matrix((weight.astype(np.float32), column, indptr), (len(length), len(task.who)))


def recent_counts(task: SequenceTask, days: int) -> np.ndarray:
    """Sales of every item in the `days` days before each day; (n_days, n_items), the day itself left out."""
    last = int(task.day.max()) + 1
    day = sparse.csr_matrix(
        (np.ones(len(task.day), np.float32), (task.day.astype(int), np.arange(len(task.day)))),
        (last + 1, len(task.day)),
    )
    total = np.vstack([np.zeros(task.n_items), np.cumsum((day @ task.bags).toarray(), axis=0)])
    edge = np.arange(last + 1)
    return (total[edge] - total[np.maximum(edge - days, 0)]).astype(np.float32)


def trend(task: SequenceTask, days: int, doubt: float = 5.0) -> np.ndarray:
    """How each item sold in the last `days` days against its usual share; (n_days, n_items).

    log of (sales + doubt) / (expected sales + doubt): 0 is as usual, 0.7 is twice as much.
    """
    recent = recent_counts(task, days)
    usual = (task.items["count"] / task.items["count"].sum()).to_numpy(np.float32)
    expected = recent.sum(axis=1, keepdims=True) * usual
    return np.log((recent + doubt) / (expected + doubt)).astype(np.float32)


# -------------------------------------------------------------------------------------------- baselines


@dataclass
class Popularity:
    """What sells most: in all training weeks, or in the last `days` days before each trip."""

    days: int | None = None

    def fit(self, task: SequenceTask) -> "Popularity":
        """Learn from the training steps; returns the model itself."""
        self.task, self.total = task, task.items["count"].to_numpy(np.float32)
        self.recent = None if self.days is None else recent_counts(task, self.days)
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target step; (n_rows, n_items)."""
        if self.recent is None:
            return np.tile(self.total, (len(rows), 1))
        return self.recent[self.task.day[rows].astype(int)] + 1e-6 * self.total


@dataclass
class PersonalFrequency:
    """What this customer bought most; with a half-life in days, what they bought most lately.

    Ties, all items never bought among them, are broken by popularity.
    """

    half_life: float | None = None

    def fit(self, task: SequenceTask) -> "PersonalFrequency":
        """Learn from the training steps; returns the model itself."""
        self.task = task
        self.tie = (1e-4 * task.items["count"] / task.items["count"].max()).to_numpy(np.float32)
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target step; (n_rows, n_items)."""
        return history(self.task, rows, self.half_life).toarray() + self.tie


@dataclass
class Markov:
    """First-order chain over trips: P(item on the next trip | item on this one), summed over this trip.

    `smooth` pretends that many further trips whose next trip is an average one.
    """

    smooth: float = 10.0

    def fit(self, task: SequenceTask) -> "Markov":
        """Learn from the training steps; returns the model itself."""
        rows = task.targets("train")
        before, after = task.bags[rows - 1], task.bags[rows]
        self.task, average = task, np.asarray(after.mean(axis=0)).ravel()
        counts = np.asarray(before.sum(axis=0)).ravel() + self.smooth
        self.chain = sparse.diags_array((1 / counts).astype(np.float32)) @ (before.T @ after)
        self.rest, self.average = (self.smooth / counts).astype(np.float32), average.astype(np.float32)
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target step; (n_rows, n_items)."""
        last = self.task.bags[np.asarray(rows) - 1]
        return (last @ self.chain).toarray() + np.outer(last @ self.rest + 1e-3, self.average)


@dataclass
class ItemKNN:
    """Items that share customers (or trips) with what was bought: cosine, the `k` nearest of each item.

    Parameters
    ----------
    k : int
    shrink : float
        Added to the cosine's denominator, so that rare pairs are not trusted blindly.
    by : "who" or "step"
        Whether two items meet in one household's history or on one trip.
    half_life : float, optional
        How fast the customer's own earlier trips fade.
    """

    k: int = 100
    shrink: float = 10.0
    by: str = "who"
    half_life: float | None = None

    def fit(self, task: SequenceTask) -> "ItemKNN":
        """Learn from the training steps; returns the model itself."""
        self.task = task
        if self.by == "who":
            matrix = sequence_counts(task)
            matrix.data = np.log1p(matrix.data)
        else:
            matrix = task.bags[task.part == TRAIN]
        self.near = cosine_neighbours(matrix, self.k, self.shrink)
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target step; (n_rows, n_items)."""
        seen = history(self.task, rows, self.half_life)
        seen.data = np.log1p(seen.data)
        return (seen @ self.near).toarray()


def sequence_counts(task: SequenceTask) -> sparse.csr_matrix:
    """Training counts of each sequence; (n_sequences, n_items)."""
    rows = np.flatnonzero(task.part == TRAIN)
    pick = sparse.csr_matrix(
        (np.ones(len(rows), np.float32), (task.who[rows], rows)), (len(task.names), len(task.who))
    )
    return pick @ task.bags


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
class TIFUKNN:
    """Temporal item frequency with nearest neighbours: the reference for next-basket recommendation.

    Trips are put in groups of `group`; inside a group an older trip counts `within` times less, an older
    group `across` times less. The score is `own` of the customer's own vector and the rest of the mean of
    the `k` most similar households (vectors at the end of training).

    Notes
    -----
    Hu, He, Gao & Zhang (2020), Modeling Personalized Item Frequency Information for Next-basket
    Recommendation, SIGIR, section 4.
    """

    k: int = 300
    own: float = 0.7
    group: int = 7
    within: float = 0.9
    across: float = 0.7

    def fit(self, task: SequenceTask) -> "TIFUKNN":
        """Learn from the training steps; returns the model itself."""
        self.task = task
        edges = np.flatnonzero(np.r_[True, task.who[1:] != task.who[:-1]])
        trained = np.add.reduceat(task.part <= TRAIN, edges) * (task.part[edges] <= TRAIN)
        self.vectors = _unit_sum(self._vectors(edges, edges + trained))
        self.square = np.asarray(self.vectors.multiply(self.vectors).sum(axis=1)).ravel()
        return self

    def _vectors(self, first: np.ndarray, stop: np.ndarray) -> sparse.csr_matrix:
        def decay(days, trips):
            return self.within ** (trips % self.group) * self.across ** (trips // self.group)

        return look_back(self.task, first, stop, np.zeros(len(first)), decay) @ self.task.bags

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target step; (n_rows, n_items)."""
        rows = np.asarray(rows)
        own = _unit_sum(self._vectors(self.task.start[rows], rows))
        distance = self.square - 2 * (own @ self.vectors.T).toarray()
        distance[np.arange(len(rows)), self.task.who[rows]] = np.inf
        near = np.argpartition(distance, self.k, axis=1)[:, : self.k]
        row = np.repeat(np.arange(len(rows)), self.k)
        pick = sparse.csr_matrix(
            (np.full(len(row), 1 / self.k, np.float32), (row, near.ravel())), distance.shape
        )
        return (self.own * own + (1 - self.own) * (pick @ self.vectors)).toarray()


def _unit_sum(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    total = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-9)
    return sparse.csr_matrix(sparse.diags_array((1 / total).astype(np.float32)) @ matrix)


@dataclass
class Factors:
    """Matrix factorisation: households and items as points, scikit-learn's truncated SVD (PureSVD).

    A customer's point is computed from their history at the moment of the trip, so nothing is refitted.

    Notes
    -----
    Cremonesi, Koren & Turrin (2010), Performance of recommender algorithms on top-N tasks, RecSys.
    """

    size: int = 32
    half_life: float | None = None

    def fit(self, task: SequenceTask) -> "Factors":
        """Learn from the training steps; returns the model itself."""
        from sklearn.decomposition import TruncatedSVD

        counts = sequence_counts(task)
        counts.data = np.log1p(counts.data)
        svd = TruncatedSVD(min(self.size, min(counts.shape) - 1), n_iter=4, random_state=0).fit(counts)
        self.task, self.points = task, svd.components_.T.astype(np.float32)
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target step; (n_rows, n_items)."""
        seen = history(self.task, rows, self.half_life)
        seen.data = np.log1p(seen.data)
        return (seen @ self.points) @ self.points.T


@dataclass
class Trended:
    """Another model's scores (standardised in each row) plus `weight` times the trend of the last days."""

    model: object
    days: int = 14
    weight: float = 0.5

    def fit(self, task: SequenceTask) -> "Trended":
        """Learn from the training steps; returns the model itself."""
        self.task, self.trend = task, trend(task, self.days)
        self.model.fit(task)
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target step; (n_rows, n_items)."""
        scores = self.model.scores(rows)
        scores = scores / np.maximum(scores.std(axis=1, keepdims=True), 1e-9)
        return scores + self.weight * self.trend[self.task.day[rows].astype(int)]


# ------------------------------------------------------------------------------------------- evaluation


def top_k(scores: np.ndarray, k: int, block: int = 128) -> np.ndarray:
    """Columns of the k largest scores of each row, best first; (n_rows, k).

    Exact and fast: only the k blocks of columns with the largest maxima can hold a winner.

    Examples
    --------
    >>> top_k(np.array([[0.1, 0.9, 0.5]]), 2)
    array([[1, 2]])
    """
    n_rows, n_columns = scores.shape
    n_blocks = -(-n_columns // block)
    if n_blocks <= 2 * k:
        found = np.argpartition(-scores, min(k, n_columns - 1), axis=1)[:, :k]
    else:
        whole = n_columns // block * block
        peak = scores[:, :whole].reshape(n_rows, -1, block).max(axis=2)
        if whole < n_columns:
            peak = np.column_stack([peak, scores[:, whole:].max(axis=1)])
        best = np.argpartition(-peak, k - 1, axis=1)[:, :k]
        column = (best[:, :, None] * block + np.arange(block)).reshape(n_rows, -1)
        value = np.take_along_axis(scores, np.minimum(column, n_columns - 1), axis=1)
        value[column >= n_columns] = -np.inf
        inside = np.argpartition(-value, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(column, inside, axis=1)
    order = np.argsort(-np.take_along_axis(scores, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


def best_items(states: np.ndarray, vectors: np.ndarray, k: int = 20, block: int = 64) -> np.ndarray:
    """Serve many customers: the k items whose vectors have the largest dot product with each state.

    Exact. Blocks of customers are multiplied and searched side by side on the cores of the machine, so that
    never more than a few blocks of scores are in memory.

    Parameters
    ----------
    states : array (n_customers, size) of float32
    vectors : array (n_items, size) of float32
        For a model with a bias give every vector one number more, and every state a 1.

    Returns
    -------
    array (n_customers, k) of int
        Best first.

    Examples
    --------
    >>> best_items(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [3.0, 0.0], [2.0, 5.0]]), k=2)
    array([[1, 2]])
    """
    catalogue = vectors.T if len(states) <= block else np.ascontiguousarray(vectors.T)

    def serve(at: int) -> np.ndarray:
        return top_k(states[at : at + block] @ catalogue, k)

    with ThreadPoolExecutor(usable_cores()) as pool:
        return np.vstack(list(pool.map(serve, range(0, len(states), block))))


@dataclass(frozen=True)
class Ranking:
    """The lists of one model for one question, and what was truly bought.

    Attributes
    ----------
    rows : array (n,)
        Target steps.
    lists : array (n, 20)
        Recommended item columns, best first.
    hits : array (n, 20) of bool
    size : array (n,)
        Number of items that count as right.
    new : array (n, 20) of bool
        Whether the listed item is new to the customer.
    """

    task: SequenceTask
    rows: np.ndarray
    lists: np.ndarray
    hits: np.ndarray
    size: np.ndarray
    new: np.ndarray

    def per_row(self) -> pd.DataFrame:
        """Metrics of every list: recall@10, recall@20, ndcg@10, mrr@20 and two of the list itself."""
        gain = 1 / np.log2(np.arange(2, 12))
        ideal = np.cumsum(gain)[np.minimum(self.size, 10) - 1]
        place = np.where(self.hits.any(axis=1), self.hits.argmax(axis=1) + 1, np.inf)
        share = self.task.items["count"].to_numpy() / self.task.items["count"].max()
        return pd.DataFrame(
            {
                "recall@10": self.hits[:, :10].sum(axis=1) / self.size,
                "recall@20": self.hits.sum(axis=1) / self.size,
                "ndcg@10": self.hits[:, :10] @ gain / ideal,
                "mrr@20": 1 / place,
                "discoveries@10": self.new[:, :10].mean(axis=1),
                "popularity@10": share[self.lists[:, :10]].mean(axis=1),
            }
        )

    def household_sums(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Sum and number of a metric for each household, for `evaluation.bootstrap_ratio`."""
        _, who = np.unique(self.task.who[self.rows], return_inverse=True)
        return np.bincount(who, self.per_row()[metric]), np.bincount(who).astype(float)

    def coverage(self, k: int = 10) -> float:
        """Share of the catalogue that at least one list shows."""
        return len(np.unique(self.lists[:, :k])) / self.task.n_items


def rank(model, task: SequenceTask, rows: np.ndarray, question: str = "whole", block: int = 1000) -> Ranking:
    """Let a model rank the whole catalogue for each target step.

    Parameters
    ----------
    model : object with scores(rows) -> array (n_rows, n_items)
    question : "whole" or "discovery"
        "discovery" leaves out what the customer bought before, both from the lists and from what is
        right, and skips trips that hold nothing new.

    Notes
    -----
    Every item is a candidate: a metric over a hundred sampled candidates can reverse the order of two
    models (Krichene & Rendle 2020, On sampled metrics for item recommendation). Equal scores are put in
    one random order, the same for every model.
    """
    if question not in ("whole", "discovery"):
        raise BadValue(f"question {question!r} is unknown; ask 'whole' or 'discovery'.")
    shuffled = np.random.default_rng(0).permutation(task.n_items)
    parts = []
    for at in range(0, len(rows), block):
        some = rows[at : at + block]
        seen = history(task, some).astype(bool).toarray()
        right = task.bags[some].astype(bool).toarray()
        if question == "discovery":
            right &= ~seen
            keep = right.any(axis=1)
            some, seen, right = some[keep], seen[keep], right[keep]
        if not len(some):
            continue
        scores = np.array(model.scores(some), np.float32)
        if question == "discovery":
            scores[seen] = -np.inf
        lists = shuffled[top_k(scores[:, shuffled], min(20, task.n_items))]
        hits = np.take_along_axis(right, lists, axis=1)
        new = ~np.take_along_axis(seen, lists, axis=1)
        parts.append((some, lists, hits, right.sum(axis=1), new))
    if not parts:
        raise TooShort(f"no target step has an answer to the question {question!r}.")
    return Ranking(task, *(np.concatenate(p) for p in zip(*parts, strict=True)))
