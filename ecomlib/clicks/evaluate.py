"""How good are ranked lists of next items? recall@20 and MRR@20, with intervals over sessions."""

import numpy as np
import pandas as pd

from ecomlib.bootstrap import Draws
from ecomlib.clicks.task import places
from ecomlib.recommend.task import SequenceTask
from ecomlib.results import Forecasts, score_fits, score_table
from ecomlib.results import advice as advice

DRAWN = 20_000_000  # weights of sessions that are in memory at once: a file may hold a million sessions


def draws(
    task: SequenceTask, lists: np.ndarray, part: str = "test", n: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Both metrics on the data (entry 0) and on n draws of whole sessions; `lists` are (n_cutoffs, 20)."""
    cutoffs = task.cutoffs(part)
    place = places(task, lists, cutoffs)
    session = task.who[cutoffs]
    metrics = {"recall@20": place <= 20, "MRR@20": np.where(place <= 20, 1 / place, 0.0)}
    block = max(1, DRAWN // len(np.unique(session)))
    found: dict[str, list[np.ndarray]] = {metric: [] for metric in metrics}
    for at in range(0, n, block):
        drawn = Draws.of(session, n=min(block, n - at), seed=seed + at)
        for metric, values in metrics.items():
            found[metric].append(drawn.means(values)[min(at, 1) :])
    return {metric: np.concatenate(blocks) for metric, blocks in found.items()}


def evaluate(
    task: SequenceTask, forecasts: Forecasts, part: str = "test", n: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Score lists as `draws` takes them, from simple to complex: model, metric, value, low, high."""
    found = score_fits(lambda each: draws(task, each, part, n, seed), forecasts)
    return score_table(found, "recall@20", smaller_is_better=False)
