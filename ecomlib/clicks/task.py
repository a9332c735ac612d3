"""From clicks to sessions: what is learnt from, what is predicted, and how a model's scores become a list."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from joblib import cpu_count
from scipy import sparse

from ecomlib.recommend.ranking import Recommender, top_k
from ecomlib.recommend.task import HISTORY, PARTS, TRAIN, VALID, SequenceTask
from ecomlib.shop.errors import BadValue, TooShort
from ecomlib.split import Split

MONDAY = np.datetime64("1970-01-05")


def task(events: pd.DataFrame, split: Split, min_count: int = 5, max_length: int = 50) -> SequenceTask:
    """Turn clicks into sessions. A session belongs to the part in which it ends.

    Clicks on the item just seen are dropped; then items clicked fewer than `min_count` times in training and
    sessions of one click, again and again until nothing changes. So what training never saw is dropped
    from the later parts: it cannot be recommended.

    Parameters
    ----------
    events : DataFrame
        Columns session, timestamp, item.
    split : Split
        Such as `Split.last(test="7D", valid="7D")`.
    max_length : int
        Only the last clicks of longer sessions are kept.

    Returns
    -------
    SequenceTask
        One step per click. Sessions are numbered by the time at which they begin.

    Raises
    ------
    BadValue
        When a session, time or item is missing.
    TooShort
        When a part has nothing to predict.
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
    keep = _clean(session, item, part == TRAIN, part != HISTORY, min_count)
    to_end = pd.Series(session[keep][::-1]).groupby(session[keep][::-1]).cumcount().to_numpy()[::-1]
    keep[np.flatnonzero(keep)[to_end >= max_length]] = False
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
    bags = sparse.csr_matrix(
        (np.ones(len(order), np.float32), column, np.arange(len(order) + 1)), (len(order), len(catalogue))
    )
    day = (stamp[order] - MONDAY) / np.timedelta64(1, "D")
    count = np.bincount(column[part[order] == TRAIN], minlength=len(catalogue))
    items = pd.DataFrame({"item": catalogue, "count": count})
    names = events["session"].to_numpy()[order][new]
    return SequenceTask(bags, np.cumsum(new) - 1, day, part[order], items, names)


def _clean(
    session: np.ndarray, item: np.ndarray, train: np.ndarray, keep: np.ndarray, min_count: int
) -> np.ndarray:
    """Which clicks stay: no repeats, no rare items, no sessions of one click."""
    keep = keep.copy()
    while True:
        before = keep.sum()
        at = np.flatnonzero(keep)
        keep[at[1:][(session[at[1:]] == session[at[:-1]]) & (item[at[1:]] == item[at[:-1]])]] = False
        keep &= np.bincount(item[keep & train], minlength=item.max() + 1)[item] >= min_count
        keep &= np.bincount(session[keep], minlength=session.max() + 1)[session] >= 2
        if keep.sum() == before:
            return keep


def until_test(task: SequenceTask) -> SequenceTask:
    """Join validation to training, for a last fit once everything has been chosen."""
    part = np.where(task.part == VALID, TRAIN, task.part).astype(np.int8)
    known = replace(task, part=part)
    return replace(known, items=task.items.assign(count=known.counts("train").astype(int)))


class Ranker(Recommender):
    """A model of next clicks: a recommender whose lists leave out the item just seen."""

    def predict(self, task: SequenceTask, cutoffs: np.ndarray, k: int = 20, block: int = 256) -> np.ndarray:
        """Rank the whole catalogue after each cutoff (the last click known); see `rank_all`.

        Returns
        -------
        int array (n_cutoffs, k)
            Columns of items, best first.
        """
        return rank_all({self.name: self}, task, cutoffs, k, block)[self.name]


def rank_all(
    models: Mapping[str, Any], task: SequenceTask, cutoffs: np.ndarray, k: int = 20, block: int = 256
) -> dict[str, np.ndarray]:
    """Let several models rank the whole catalogue after each cutoff.

    The item of the cutoff itself is left out, since no session holds an item twice running. Among equal
    scores the places are drawn at random (fixed seed), so that no model gains from ties.

    Parameters
    ----------
    models : dict of name to model
        With scores(task, rows). A model that joins others names them in `parts` and has
        combine(scores, scores): the parts' scores are computed once for all.
    block : int
        Cutoffs that are ranked together, on all cores; what is drawn depends on the block alone.

    Returns
    -------
    dict of name to int array (n_cutoffs, k)
        Columns of items, best first; k is at most the number of items less one.

    Raises
    ------
    BadValue
        When a score is NaN, as after a training that diverged.
    """
    cutoffs, k = np.asarray(cutoffs), min(k, task.n_items - 1)

    def ranked(at: int) -> list[np.ndarray]:
        some, found = cutoffs[at : at + block], []
        known: dict[int, np.ndarray] = {}
        order = np.random.default_rng(at).permutation(task.n_items)
        for name, model in models.items():
            parts = [
                known[id(part)] if id(part) in known else part.scores(task, some + 1)
                for part in getattr(model, "parts", ())
            ]
            scores = model.combine(*parts) if parts else model.scores(task, some + 1)
            known[id(model)] = scores
            if np.isnan(scores).any():
                raise BadValue(f"{name}: some scores are NaN; train it again with smaller steps.")
            shuffled = np.array(scores[:, order], np.float32)
            shuffled[order == task.bags.indices[task.bags.indptr[some]][:, None]] = -np.inf
            found.append(order[top_k(shuffled, k)])
        return found

    with ThreadPoolExecutor(cpu_count()) as pool:
        blocks = list(pool.map(ranked, range(0, len(cutoffs), block)))
    return {
        name: np.concatenate(lists) for name, lists in zip(models, zip(*blocks, strict=True), strict=True)
    }


def places(task: SequenceTask, lists: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """Place of the item clicked next in each list, 1 is best; infinity where the list lacks it.

    Parameters
    ----------
    lists : int array (n_cutoffs, k)
    cutoffs : int array (n_cutoffs,)

    Returns
    -------
    float array (n_cutoffs,)
    """
    right = task.bags.indices[task.bags.indptr[np.asarray(cutoffs) + 1]]
    hits = lists == right[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)
