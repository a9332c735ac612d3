"""Shop in, recommendation task out: a customer's earlier trips are known, the next one is to be predicted.

A step is what happened at one moment: the set of items that a household bought on one day, or (in `clicks`)
the one page that a visitor opened. The *cutoff* is the row of the last step that is known, the target is the
row after it.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from ecomlib.panels import monday_of
from ecomlib.recommend.habits import Purchases
from ecomlib.shop import BadValue, MissingColumn, Shop, TooShort
from ecomlib.shop.shop import members
from ecomlib.split import Split

HISTORY, TRAIN, VALID, TEST = range(4)  # HISTORY is in no part, as after the test
PARTS = {"train": TRAIN, "valid": VALID, "test": TEST}
QUESTIONS = ("whole", "discovery")
SIDE = {"product_id": ["category", "brand", "department"]}
SIDE |= {"product_type": ["department"], "category": ["department"]}


@dataclass(frozen=True)
class SequenceTask:
    """Steps of many sequences, sorted by sequence, then time.

    `baskets` (n_steps, n_items) holds a 1 where the step holds the item. Arrays (n_steps,): `who`, the number
    of the household or session; `day`, days since a fixed Monday (the fraction is the time of day, where it
    is known); `part`, HISTORY, TRAIN, VALID or TEST: where the step may be a target. `items` has a row per
    column of `baskets`: item, count (training steps that hold it), side columns. `names` (n_sequences,) are
    the customers' or sessions' ids. `question`: "whole" asks for everything on the next step, "discovery"
    only for what is new to the customer.
    """

    baskets: sparse.csr_matrix
    who: np.ndarray
    day: np.ndarray
    part: np.ndarray
    items: pd.DataFrame
    names: np.ndarray
    question: str = "whole"

    def __post_init__(self) -> None:
        if self.question not in QUESTIONS:
            raise BadValue(f"question {self.question!r} is unknown; ask 'whole' or 'discovery'.")

    def ask(self, question: str) -> "SequenceTask":
        """The same steps with another question, "whole" or "discovery"."""
        return replace(self, question=question)

    @property
    def n_items(self) -> int:
        """Size of the vocabulary."""
        return self.baskets.shape[1]

    @cached_property
    def start(self) -> np.ndarray:
        """Row of the first step of each step's own sequence; (n_steps,)."""
        first = np.r_[True, self.who[1:] != self.who[:-1]]
        return np.maximum.accumulate(np.where(first, np.arange(len(self.who)), 0))

    def rows(self, part: str) -> np.ndarray:
        """Rows of all steps of "train", "valid" or "test"."""
        if part not in PARTS:
            raise BadValue(f"there is no part {part!r}; choose from {list(PARTS)}.")
        return np.flatnonzero(self.part == PARTS[part])

    def targets(self, part: str) -> np.ndarray:
        """Rows of a part that can be predicted: at least one earlier step, at least one known item."""
        rows = self.rows(part)
        return rows[(rows > self.start[rows]) & (np.diff(self.baskets.indptr)[rows] > 0)]

    def cutoffs(self, part: str) -> np.ndarray:
        """The last known row before each target of a part."""
        return self.targets(part) - 1

    def counts(self, part: str) -> np.ndarray:
        """Steps of a part that hold each item; (n_items,)."""
        return np.asarray(self.baskets[self.rows(part)].sum(axis=0)).ravel()

    @cached_property
    def purchases(self) -> Purchases:
        """Every purchase, item by item within each sequence."""
        return Purchases(self.baskets, self.who, self.day, self.start)

    @cached_property
    def daily(self) -> sparse.csr_matrix:
        """How many steps of each day hold each item, from the first day on; (n_days, n_items)."""
        day = self.day.astype(int) - int(self.day.min())
        step = np.arange(len(day))
        return sparse.csr_matrix((np.ones(len(day), np.float32), (day, step))) @ self.baskets

    @cached_property
    def context(self) -> np.ndarray:
        """Gap to the step before (log of 1 + days), size (log of 1 + items), weekday as 0/1; (n_steps, 9)."""
        gap = np.diff(self.day, prepend=self.day[:1])
        gap[self.start == np.arange(len(gap))] = 0
        size = np.diff(self.baskets.indptr)
        weekday = np.eye(7)[self.day.astype(int) % 7]
        return np.column_stack([np.log1p(gap), np.log1p(size), weekday]).astype(np.float32)

    @cached_property
    def known_ahead(self) -> np.ndarray:
        """What is known when the customer arrives, before the basket is: gap and weekday; (n_steps, 8)."""
        return np.delete(self.context, 1, axis=1)

    @cached_property
    def gap(self) -> np.ndarray:
        """log(1 + minutes since the step before), for clicks; (n_steps, 1)."""
        return np.log1p(np.expm1(self.context[:, :1].astype(float)) * 1440).astype(np.float32)


def task(shop: Shop, split: Split, level: str = "product_type", min_count: int = 5) -> SequenceTask:
    """Turn orders into trips: what each household bought on each local day.

    Parameters
    ----------
    shop : Shop
        Cleaned (see `ecomlib.clean`).
    split : Split
        A trip is a target of the part in which its day lies.
    level : str
        "product_id", or a column of `shop.products`: the grain at which products are recommended.
    min_count : int
        Items on fewer training trips than this are left out.
    """
    when = shop.orders["timestamp"]
    days = (when.dt.normalize() - monday_of(when.min())).dt.days
    lines = pd.DataFrame({"who": shop.orders["customer_id"], "day": days, "item": _item_of(shop, level)})
    lines["part"] = HISTORY
    for name, mask in split.dates(when.max()).parts(when).items():
        lines.loc[mask, "part"] = PARTS[name]
    lines = lines.loc[members(shop.orders).index]
    built = build_task(lines.drop_duplicates(["who", "day", "item"]), min_count)
    for name in PARTS:
        if not len(built.cutoffs(name)):
            raise TooShort(
                f"orders: in {days.max() + 1} days no household has a trip in the {name} part and one before "
                f"it; shorten the test and the validation, or give more history."
            )
    return _with_side(built, shop, level)


def build_task(lines: pd.DataFrame, min_count: int) -> SequenceTask:
    """Build a task from lines with columns who, day, item, part (one line per item of a step)."""
    counts = lines.loc[lines["part"] == TRAIN, "item"].value_counts().sort_index()
    counts = counts[counts >= min_count]
    if len(counts) < 2:
        raise TooShort(
            f"items: {len(counts)} occur on {min_count} training steps or more; two are needed. "
            f"Lower min_count or give more history."
        )
    who, names = pd.factorize(lines["who"], sort=True)
    order = np.lexsort((lines["day"], who))
    who, day, part = who[order], lines["day"].to_numpy()[order], lines["part"].to_numpy()[order]
    new = np.r_[True, (who[1:] != who[:-1]) | (day[1:] != day[:-1])]
    step, column = np.cumsum(new) - 1, counts.index.get_indexer(lines["item"])[order]
    cells = step[column >= 0], column[column >= 0]
    baskets = sparse.csr_matrix((np.ones(len(cells[0]), np.float32), cells), (step[-1] + 1, len(counts)))
    baskets.sort_indices()
    items = counts.rename_axis("item").reset_index(name="count")
    day, part = day[new].astype(float), part[new].astype(np.int8)
    return SequenceTask(baskets, who[new], day, part, items, np.asarray(names))


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
    products = pd.DataFrame() if shop.products is None else shop.products
    columns = [column for column in SIDE.get(level, ()) if column in products.columns]
    if not columns:
        return task
    table = products[[level, *columns]].astype(dict.fromkeys(columns, "str"))
    if level != "product_id":
        table[level] = table[level].astype("str")
        table = table.groupby([level, *columns], sort=True).size().rename("n").reset_index()
        table = table.sort_values("n", ascending=False, kind="stable")
    table = table.drop_duplicates(level).set_index(level)
    side = table.reindex(task.items["item"])[columns].fillna("UNKNOWN").reset_index(drop=True)
    return replace(task, items=pd.concat([task.items, side], axis=1))


def with_today(task: SequenceTask) -> tuple[SequenceTask, np.ndarray]:
    """Give every sequence one more, empty step, on the day after the last one: its customer is served.

    Returns the longer task, and the step before each new one, (n_sequences,): the cutoffs that `predict` is
    asked with.
    """
    day = np.floor(task.day.max()) + 1
    last = np.flatnonzero(np.r_[task.who[1:] != task.who[:-1], True]) + 1
    indptr = np.insert(task.baskets.indptr, last, task.baskets.indptr[last])
    baskets = sparse.csr_matrix(
        (task.baskets.data, task.baskets.indices, indptr), (len(indptr) - 1, task.n_items)
    )
    who, days = np.insert(task.who, last, task.who[last - 1]), np.insert(task.day, last, day)
    part = np.insert(task.part, last, HISTORY)
    longer = replace(task, baskets=baskets, who=who, day=days, part=part)
    return longer, last + np.arange(len(last)) - 1
