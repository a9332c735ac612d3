"""From clicks to sessions: what is learnt from, and what is predicted."""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import sparse

from ecomlib.recommend.ranking import Recommender
from ecomlib.recommend.task import HISTORY, PARTS, TRAIN, VALID, SequenceTask
from ecomlib.shop.errors import BadValue, TooShort
from ecomlib.split import Split

MONDAY = np.datetime64("1970-01-05")


def task(events: pd.DataFrame, split: Split, min_count: int = 5, max_length: int = 50) -> SequenceTask:
    """Turn clicks into sessions. A session belongs to the part in which it ends.

    Clicks on the item just seen are dropped; then items clicked fewer than `min_count` times in training,
    sessions of one click, and all but the last clicks of long ones, again and again until nothing changes. So
    what training never saw is dropped from the later parts: it cannot be recommended. Sessions are numbered
    by the time at which they begin.

    Parameters
    ----------
    events : DataFrame
        Columns session, timestamp, item.
    split : Split
        Such as `Split.last(test="7D", valid="7D")`.
    max_length : int
        Only the last clicks of longer sessions are kept.
    """
    if n := int(events[["session", "timestamp", "item"]].isna().any(axis=1).sum()):
        raise BadValue(f"events: {n:,} clicks lack a session, a timestamp or an item; drop them.")
    events = events.sort_values(["session", "timestamp"], kind="stable")
    stamp = events["timestamp"].to_numpy("datetime64[ns]")
    session = pd.factorize(events["session"])[0]
    item = pd.factorize(events["item"])[0]
    begin, end = (pd.Series(stamp).groupby(session).transform(how).to_numpy() for how in ("min", "max"))
    part = np.full(len(events), HISTORY, np.int8)
    for name, mask in split.dates(pd.Timestamp(stamp.max())).parts(end).items():
        part[mask] = PARTS[name]
    keep = _clean(session, item, part == TRAIN, part != HISTORY, min_count, max_length)
    for name, number in PARTS.items():
        if not (keep & (part == number)).any():
            days = (stamp.max() - stamp.min()) / np.timedelta64(1, "D")
            raise TooShort(
                f"events: of {len(events):,} clicks in {days:.1f} days none is left in the {name} part; give "
                f"more events, a lower min_count, or a shorter validation and test."
            )
    order = np.flatnonzero(keep)
    order = order[np.lexsort((order, session[order], begin[order]))]
    new = np.r_[True, np.diff(session[order]) != 0]
    column, catalogue = pd.factorize(events["item"].to_numpy()[order], sort=True)
    baskets = sparse.csr_matrix((np.ones(len(order), np.float32), column, np.arange(len(order) + 1)))
    day = (stamp[order] - MONDAY) / np.timedelta64(1, "D")
    count = np.bincount(column[part[order] == TRAIN], minlength=len(catalogue))
    items = pd.DataFrame({"item": catalogue, "count": count})
    names = events["session"].to_numpy()[order][new]
    return SequenceTask(baskets, np.cumsum(new) - 1, day, part[order], items, names)


def _clean(
    session: np.ndarray, item: np.ndarray, train: np.ndarray, keep: np.ndarray, min_count: int, longest: int
) -> np.ndarray:
    """Which clicks stay: no repeats, no rare items, no sessions of one click or of more than `longest`."""
    keep = keep.copy()
    while True:
        before = keep.sum()
        at = np.flatnonzero(keep)
        keep[at[1:][(session[at[1:]] == session[at[:-1]]) & (item[at[1:]] == item[at[:-1]])]] = False
        keep &= np.bincount(item[keep & train], minlength=item.max() + 1)[item] >= min_count
        keep &= np.bincount(session[keep], minlength=session.max() + 1)[session] >= 2
        if keep.sum() == before:
            at = np.flatnonzero(keep)[::-1]
            keep[at[pd.Series(at).groupby(session[at]).cumcount() >= longest]] = False
            if keep.sum() == before:
                return keep


def until_test(task: SequenceTask) -> SequenceTask:
    """Join validation to training, for a last fit once everything has been chosen."""
    known = replace(task, part=np.where(task.part == VALID, TRAIN, task.part).astype(np.int8))
    return replace(known, items=task.items.assign(count=known.counts("train").astype(int)))


class ClickModel(Recommender):
    """A model of the next click. The item just seen scores minus infinity: no session repeats it at once."""

    def scores(self, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
        """Score every item for the click at each row, a cutoff + 1, which need not exist yet."""
        return without_last(task, np.asarray(super().scores(task, rows), np.float32), np.asarray(rows))


def without_last(task: SequenceTask, scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Scores (n_rows, n_items), changed in place: minus infinity for the item of the step before each row."""
    scores[np.arange(len(scores)), task.baskets.indices[rows - 1]] = -np.inf
    return scores


def places(task: SequenceTask, lists: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """Place of the item clicked next in the list of each cutoff, 1 is best; infinity where it is missing."""
    right = task.baskets.indices[np.asarray(cutoffs) + 1]
    hits = lists == right[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)
