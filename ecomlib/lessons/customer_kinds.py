"""Which customers a purchase forecast serves: the new, the regular and those about to leave (lesson 33)."""

import numpy as np

from ecomlib.panels import ewm_sum
from ecomlib.purchases.task import PurchaseTask

NEW_WEEKS, INACTIVE_WEEKS = 10, 4  # a new customer is known as long, one at risk inactive as long


def kinds(task: PurchaseTask, part: str = "test") -> np.ndarray:
    """Kind of customer of every row: "new" (known 10 weeks), "at risk" (4 inactive weeks), "regular"."""
    cutoffs = task.cutoffs(part)
    trips = ewm_sum(task.channels["shopped"][..., 0], np.inf)
    before = np.pad(trips, ((0, 0), (INACTIVE_WEEKS, 0)))[:, : trips.shape[1]]
    inactive, known = (trips == before)[:, cutoffs].T, task.panel.known[:, cutoffs].T
    kind = np.where(known <= NEW_WEEKS, "new", np.where(inactive, "at risk", "regular"))
    return task.flat(np.repeat(kind[..., None], len(task.categories), axis=2), part)
