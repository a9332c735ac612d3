"""How good are ranked lists? Recall, NDCG, MRR and the kind of items, over draws of whole households."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecomlib.bootstrap import Draws
from ecomlib.recommend.history import history
from ecomlib.recommend.task import SequenceTask
from ecomlib.results import Forecasts, score_fits, score_table
from ecomlib.results import advice as advice
from ecomlib.shop import BadValue, TooShort


@dataclass(frozen=True)
class Ranking:
    """The lists of one model beside what was truly bought; made by `Ranking.of`.

    `rows` (n,) are the target steps with something right, `size` (n,) how many items are right. `lists`
    (n, k) are item columns, best first; `hits` and `new` (n, k) say which of them are right, and new to the
    customer. `share` (n_items,): training steps that hold the item, relative to the most popular one.
    """

    rows: np.ndarray
    lists: np.ndarray
    hits: np.ndarray
    size: np.ndarray
    new: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, task: SequenceTask, lists: np.ndarray, cutoffs: np.ndarray) -> "Ranking":
        """Compare the lists after each cutoff, (n_cutoffs, k), with the step that followed."""
        rows, lists = np.asarray(cutoffs) + 1, np.asarray(lists)
        if lists.ndim != 2 or len(lists) != len(rows):
            raise BadValue(f"{lists.shape} is not the shape of {len(rows)} ranked lists, one per cutoff.")
        seen, right = history(task, rows).astype(bool), task.baskets[rows].astype(bool)
        if task.question == "discovery":
            right = right > right.multiply(seen)
        size = np.asarray(right.sum(axis=1)).ravel()
        if not (some := np.flatnonzero(size)).size:
            raise TooShort(f"no target step has an answer to the question {task.question!r}.")
        at = np.repeat(some, lists.shape[1]), lists[some].ravel()
        hits, known = (np.asarray(table[at]).reshape(-1, lists.shape[1]) for table in (right, seen))
        share = task.items["count"].to_numpy() / task.items["count"].max()
        return cls(rows[some], lists[some], hits, size[some], ~known, share)

    def per_row(self) -> pd.DataFrame:
        """Metrics of every list: recall@10, recall@20, ndcg@10, mrr@20 and two of the list itself.

        novelty@10 is the share of the first ten that the customer never bought, popularity@10 the mean
        `share` of the first ten. Järvelin & Kekäläinen (2002), ACM TOIS 20(4), for NDCG.
        """
        gain = 1 / np.log2(np.arange(2, 12))
        ideal = np.cumsum(gain)[np.minimum(self.size, 10) - 1]
        first = self.hits[:, :10]
        place = np.where(self.hits.any(axis=1), self.hits.argmax(axis=1) + 1, np.inf)
        return pd.DataFrame(
            {
                "recall@10": first.sum(axis=1) / self.size,
                "recall@20": self.hits.sum(axis=1) / self.size,
                "ndcg@10": first @ gain[: first.shape[1]] / ideal,
                "mrr@20": 1 / place,
                "novelty@10": self.new[:, :10].mean(axis=1),
                "popularity@10": self.share[self.lists[:, :10]].mean(axis=1),
            }
        )

    def coverage(self, k: int = 10) -> float:
        """Share of the catalogue that at least one list shows among its first k."""
        return len(np.unique(self.lists[:, :k])) / len(self.share)


def draws(
    task: SequenceTask, lists: np.ndarray, part: str = "test", n: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Metrics of `Ranking.per_row` on the data (entry 0) and on n draws of whole households and weeks.

    `lists` (n_cutoffs, 20) are for the part's cutoffs. The same seed draws the same households.
    """
    ranking = Ranking.of(task, lists, task.cutoffs(part))
    drawn = Draws.of(task.who[ranking.rows], task.day[ranking.rows] // 7, n, seed)
    return {metric: drawn.means(value) for metric, value in ranking.per_row().items()}


def evaluate(
    task: SequenceTask, forecasts: Forecasts, part: str = "test", n: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Score lists as `draws` takes them, from simple to complex: model, metric, value, low, high."""
    found = score_fits(lambda each: draws(task, each, part, n, seed), forecasts)
    return score_table(found, "recall@10", smaller_is_better=False)
