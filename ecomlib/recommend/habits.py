"""What a household bought before each step, and how: a number of its own for each habit."""

from functools import cached_property

import numpy as np
from scipy import sparse


def ranges(first: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Give first[0], first[0] + 1, ... (length[0] of them), then first[1], ..."""
    shift = np.repeat(first - np.r_[0, np.cumsum(length)[:-1]], length)
    return np.arange(length.sum()) + shift


class Purchases:
    """Every purchase of a task, household by household and item by item: what own habits are made of.

    Arrays (n_purchases,): `row` and `item`; `count`, the how-manieth time the household bought the item;
    `until`, the last row before or at which this is its latest purchase of the item; `began`, the day of its
    first one. `weighted` (n_purchases, n_half_lives): purchases so far, those of h days ago counting half.
    """

    HALF_LIVES = (7.0, 30.0, 120.0, 400.0)  # days
    CHANNELS = 9

    def __init__(self, baskets: sparse.csr_matrix, who: np.ndarray, day: np.ndarray, start: np.ndarray):
        self.who, self.day, self.start = who, day, start  # of the steps
        row, item = np.repeat(np.arange(len(who)), np.diff(baskets.indptr)), baskets.indices
        order = np.argsort(who[row].astype(np.int64) * baskets.shape[1] + item, kind="stable")
        self.row, self.item = row[order], item[order]
        end = np.r_[np.flatnonzero(np.diff(who)), len(who) - 1]  # each household's last step
        who, day = who[self.row], day[self.row]
        new = np.r_[True, (self.item[1:] != self.item[:-1]) | (who[1:] != who[:-1])]
        first = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
        self.count, self.began = np.arange(len(new)) - first + 1, day[first]
        self.edge = np.searchsorted(who, np.arange(len(end) + 1))  # of each household's purchases
        self.until = np.where(np.r_[new[1:], True], end[who], np.r_[self.row[1:], 0])
        self.is_new = np.empty(len(new), bool)  # in the order of `baskets`: not bought before
        self.is_new[order] = new

    @cached_property
    def weighted(self) -> np.ndarray:
        """See the class."""
        day = self.day[self.row]
        weighted = np.ones((len(day), len(self.HALF_LIVES)), np.float32)
        by_count = np.argsort(self.count, kind="stable")
        for at in np.split(by_count, np.cumsum(np.bincount(self.count)))[2:-1]:
            gap = (day[at] - day[at - 1])[:, None]
            weighted[at] += weighted[at - 1] * np.exp2(-gap / self.HALF_LIVES)
        return weighted

    def before(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items bought before each of the `rows`: its position among them, and the latest purchase."""
        order = np.argsort(rows, kind="stable")
        row, who = rows[order], np.unique(self.who[rows])
        some = ranges(self.edge[who], self.edge[who + 1] - self.edge[who])
        low = np.searchsorted(row, self.row[some] + 1)
        length = np.searchsorted(row, self.until[some] + 1) - low
        return order[ranges(low, length)], np.repeat(some, length)

    def habits(self, rows: np.ndarray, at: np.ndarray, latest: np.ndarray) -> np.ndarray:
        """Nine numbers for each pair of `before`, (n_pairs, 9).

        Exponentially weighted counts (four); count; count per trip; days since and trips since the latest
        purchase; days since over the mean gap between purchases (0 after a single one). All are logs.
        """
        row = rows[at]
        since, count = self.day[row] - self.day[self.row[latest]], self.count[latest]
        weighted = self.weighted[latest] * np.exp2(-since[:, None] / self.HALF_LIVES)
        gap = (self.day[self.row[latest]] - self.began[latest]) / np.maximum(count - 1, 1)
        channels = [
            np.log1p(count),
            np.log1p(20 * count / (row - self.start[row])),
            np.log1p(since) - 3,
            np.log(row - self.row[latest]) - 2,
            np.where(count > 1, np.log((since + 1) / (gap + 1)), 0),
        ]
        return np.column_stack([np.log1p(20 * weighted), *channels]).astype(np.float32)
