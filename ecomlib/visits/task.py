"""Shop in, visits task out: one weekly sequence per customer, and how many of the next weeks have a trip.

The *cutoff* is the last week that is known, the target counts the weeks after it. Weeks are counted by their
position in the panel.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecomlib.panels import WEEKDAYS, WeeklyPanel, event_days, weekly_panel
from ecomlib.shop import BadValue, Shop, TooShort
from ecomlib.split import Split
from ecomlib.windows import future_windows

CHANNELS = ("shopped", "spend", "baskets", "lines", "known", "days since trip", *WEEKDAYS)


@dataclass(frozen=True)
class VisitsTask:
    """The task as arrays; n customers, w weeks.

    Attributes
    ----------
    panel : WeeklyPanel
        What each customer did in every week.
    x : float32 (n, w, 13)
        What a network reads, see `channel`.
    y : int (n, w)
        Class of the weeks after each week, 0 to n_classes - 1; -1 where the data end before.
    horizon, min_known, n_classes : int
        Weeks ahead, weeks a customer must be known before it is forecast, possible answers.
    parts : dict
        "train", "valid", "test": positions of the cutoffs.
    """

    panel: WeeklyPanel
    x: np.ndarray
    y: np.ndarray
    horizon: int
    min_known: int
    n_classes: int
    parts: dict[str, np.ndarray]

    @property
    def channel(self) -> dict[str, np.ndarray]:
        """The channels by name, each (n, w).

        "shopped" and "known" (since the first order) are 0 or 1; "spend", "baskets" and "lines" are
        log(1 + value) over its mean in the shopping weeks of the training cutoffs. "days since trip" is
        log(1 + days) / 2 at the week's Sunday, 0 before the first trip; "Monday" to "Sunday" are 1 where the
        customer had a trip on that day of the week.
        """
        return {name: self.x[..., i] for i, name in enumerate(CHANNELS)}

    def cutoffs(self, part: str) -> np.ndarray:
        """Positions of the cutoffs of "train", "valid" or "test"; their targets lie inside the part."""
        if part not in self.parts:
            raise BadValue(f"there is no part {part!r}; choose from {list(self.parts)}.")
        return self.parts[part]

    def target(self, cutoffs: np.ndarray) -> np.ndarray:
        """Class of the weeks after each cutoff: int (n_cutoffs, n)."""
        return self.y[:, cutoffs].T

    def use(self, cutoffs: np.ndarray) -> np.ndarray:
        """Customers forecast at each cutoff, inactive ones included: bool (n_cutoffs, n)."""
        known = self.panel.known[:, cutoffs].T
        return (known >= self.min_known) & (self.target(cutoffs) >= 0)

    def labels(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Targets and weights, both (n, last cutoff + 1); target 0 and weight 0 outside the part."""
        cutoffs = self.cutoffs(part)
        weight = np.zeros((len(self.x), int(cutoffs.max()) + 1), np.float32)
        weight[:, cutoffs] = self.use(cutoffs).T
        return np.where(weight > 0, self.y[:, : weight.shape[1]], 0), weight

    def rows(self, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Customer, cutoff (positions) and target of every row that counts, each (n_rows,).

        Rows stand cutoff by cutoff, then customer by customer.
        """
        cutoffs = self.cutoffs(part)
        cutoff, customer = np.nonzero(self.use(cutoffs))
        return customer, cutoffs[cutoff], self.flat(self.target(cutoffs), part)

    def flat(self, values: np.ndarray, part: str) -> np.ndarray:
        """The rows that count, in the order of `rows`, of an array (n_cutoffs, n) or (n_cutoffs, n, k)."""
        use = self.use(self.cutoffs(part))
        if np.shape(values)[:2] != use.shape:
            raise BadValue(f"{part}: shape {np.shape(values)} is no forecast, which begins with {use.shape}.")
        return np.asarray(values)[use]

    def check_same(self, n_classes: int) -> None:
        """Refuse a model that was fitted on another number of classes."""
        if n_classes != self.n_classes:
            raise BadValue(
                f"the model has {n_classes} classes, the task {self.n_classes}; fit it on this task."
            )


def shopping_weeks_ahead(panel: WeeklyPanel, horizon: int) -> np.ndarray:
    """Weeks with a trip among the `horizon` after each week: int (n, w), -1 at the end."""
    shopped = (panel["baskets"] > 0).astype(int)
    ahead, weeks = np.full_like(shopped, -1), np.arange(shopped.shape[1] - horizon)
    ahead[:, : len(weeks)] = future_windows(shopped, weeks, horizon).sum(axis=-1).T
    return ahead


def task(shop: Shop, split: Split, horizon: int = 4, min_known: int = 8) -> VisitsTask:
    """Build the task. The scales of the channels come from the weeks up to the last training cutoff.

    Parameters
    ----------
    shop : Shop
        Orders are enough.
    split : Split
        Whole weeks. A target lies in one part with all its weeks, so the parts share none of them.
    horizon, min_known : int
        Weeks ahead; weeks since its first order, that week included, after which a customer is forecast.

    Raises
    ------
    TooShort
        When a part holds no forecast.
    BadValue
        When horizon or min_known is below 1, or a part is not made of whole weeks.
    """
    if min(horizon, min_known) < 1:
        raise BadValue(f"horizon={horizon}, min_known={min_known}: both are weeks, at least 1.")
    panel = weekly_panel(shop.orders)
    first_valid, first_test, end = split.positions(panel.weeks)
    if end < len(panel.weeks):
        panel = weekly_panel(shop.orders, end=panel.weeks[end - 1])
    parts = {
        "train": np.arange(min_known - 1, first_valid - horizon),
        "valid": np.arange(first_valid - 1, first_test - horizon),
        "test": np.arange(first_test - 1, end - horizon),
    }
    for part, cutoffs in parts.items():
        if not (panel.known[:, cutoffs] >= min_known).any():
            raise TooShort(
                f"{part}: of {end} weeks none has a customer known for {min_known} weeks and the {horizon} "
                f"weeks after it in the same part; give a longer history or part, or a smaller min_known."
            )
    x, y = _channels(shop.orders, panel, int(parts["train"][-1])), shopping_weeks_ahead(panel, horizon)
    return VisitsTask(panel, x, y, horizon, min_known, horizon + 1, parts)


def _channels(orders: pd.DataFrame, panel: WeeklyPanel, last: int) -> np.ndarray:
    """See `VisitsTask.channel`; the scale comes from weeks 0 to `last`."""
    shopped, logs = panel["baskets"] > 0, np.log1p(panel.values)
    scale = logs[:, : last + 1][shopped[:, : last + 1]].mean(axis=0)
    known = (panel.known > 0)[..., None]
    customer = pd.Index(panel.customers).get_indexer(orders["customer_id"])
    day = (orders["timestamp"].to_numpy() - panel.weeks[0].to_datetime64()) // np.timedelta64(1, "D")
    week, weekday = np.divmod(day.astype(np.int64), 7)
    since, on = event_days((customer, week), weekday, shopped.shape)
    days = [np.log1p(np.maximum(since, 0))[..., None] / 2, np.moveaxis(on, 0, -1)]
    return np.concatenate([shopped[..., None], logs / scale, known, *days], axis=-1).astype(np.float32)
