"""What is known of a customer and a category at a cutoff: 14 weekly channels in four groups.

Everything in week t is made of that week and those before it, and of two things planned ahead: the
mailers and displays of week t + 1, and the coupons already in the customer's hands.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecomlib.panels import WeeklyPanel, sum_cells
from ecomlib.shop import BadValue, Shop

GROUPS = {
    "category": ("bought", "lines", "discount"),
    "household": ("shopped", "spend", "baskets", "all lines", "known"),
    "marketing": ("coupons held", "campaigns", "coupons redeemed"),
    "promotion": ("mailer next week", "display next week", "mailer this week"),
}
CHANNELS = [name for names in GROUPS.values() for name in names]
MOST_PROMOTED = 5.0  # times the mean: a category seldom advertised must not dominate


def columns(*names: str) -> list[int]:
    """Positions of channels, or of all channels of a group, among those a network reads.

    Examples
    --------
    >>> columns("promotion", "bought")
    [11, 12, 13, 0]
    """
    unknown = [name for name in names if name not in GROUPS and name not in CHANNELS]
    if unknown:
        raise BadValue(f"there is no channel {unknown}; choose from {CHANNELS}, or groups {list(GROUPS)}.")
    return [CHANNELS.index(one) for name in names for one in GROUPS.get(name, (name,))]


@dataclass(frozen=True)
class Channels:
    """The weekly channels of n customers, w weeks and k categories; `channels["bought"]` gives one.

    Attributes
    ----------
    groups : dict of float32 arrays
        "category" (n, w, k, 3): bought (0 or 1); log(1 + lines) over its mean in the training weeks; share
        of the price taken off. "household" (n, w, 5): shopped; log spend, baskets and lines in all
        categories over their training means; known (0 before the first order). "marketing" (n, w, k, 3):
        log(1 + coupons for the category that are in hand and valid next week); campaigns running for the
        customer; log(1 + coupons redeemed this week). "promotion" (w, k, 3): mailers of next week, displays
        of next week, mailers of this week, over their training means.
    """

    groups: dict[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        """One channel, (n, w, k), not to be written to."""
        group = next((group for group, names in GROUPS.items() if name in names), None)
        if group is None:
            raise BadValue(f"there is no channel {name!r}; choose from {CHANNELS}.")
        values = self.groups[group][..., GROUPS[group].index(name)]
        values = values[..., None] if group == "household" else values
        return np.broadcast_to(values, self.groups["category"].shape[:3])

    def sequences(self, last: int, without: Iterable[str] = ()) -> np.ndarray:
        """One sequence per customer and category, weeks 0 to `last`: float32 (n * k, last + 1, 14).

        Parameters
        ----------
        last : int
            Position of the last cutoff.
        without : group names
            Their channels are left at 0.
        """
        n, _, k, _ = self.groups["category"].shape
        x = np.zeros((n, k, last + 1, len(CHANNELS)), np.float32)
        for group, values in self.groups.items():
            if group not in without:
                values = values[..., None, :] if group == "household" else values
                values = np.broadcast_to(values, (n, *values.shape[-3:]))[:, : last + 1]
                x[..., columns(group)] = values.swapaxes(1, 2)
        return x.reshape(n * k, last + 1, len(CHANNELS))


def week_of(panel: WeeklyPanel, when: pd.Series) -> np.ndarray:
    """Position of the week of each moment; may lie outside the panel."""
    return ((when.to_numpy() - panel.weeks[0].to_datetime64()) // np.timedelta64(7, "D")).astype(np.int64)


def build(shop: Shop, panel: WeeklyPanel, position: pd.Series, n_train: int) -> Channels:
    """Make all channels; the scales come from the first `n_train` weeks.

    Parameters
    ----------
    position : Series of int, product_id -> position of its category, -1 for none
    """
    shape = (len(panel.customers), len(panel.weeks), int(position.max()) + 1)
    made = (
        _category(shop, panel, position, shape, n_train),
        _household(panel, n_train),
        _marketing(shop, panel, position, shape),
        _promotion(shop, panel, position, shape, n_train),
    )
    return Channels({name: values.astype(np.float32) for name, values in zip(GROUPS, made, strict=True)})


def _category_of(position: pd.Series, product: pd.Series) -> np.ndarray:
    return position.reindex(product).fillna(-1).to_numpy(int)


def _scaled(values: np.ndarray, n_train: int) -> np.ndarray:
    """Divide log(1 + values) by its mean over the positive cells of the training weeks."""
    train = values[:, :n_train]
    known = np.log1p(train[train > 0])
    return np.log1p(values) / (known.mean() if len(known) else 1.0)


def _category(shop: Shop, panel: WeeklyPanel, position: pd.Series, shape: tuple, n_train: int) -> np.ndarray:
    orders = shop.orders
    customer = pd.Index(panel.customers).get_indexer(orders["customer_id"])
    cell = (customer, week_of(panel, orders["timestamp"]), _category_of(position, orders["product_id"]))
    lines, off, paid = (
        sum_cells(cell, shape, weights).astype(np.float32)
        for weights in (None, orders["discount"], orders["revenue"])
    )
    return np.stack([lines > 0, _scaled(lines, n_train), off / np.maximum(off + paid, 0.01)], axis=-1)


def _household(panel: WeeklyPanel, n_train: int) -> np.ndarray:
    logs = [_scaled(panel[channel], n_train) for channel in panel.channels]
    return np.stack([panel["baskets"] > 0, *logs, panel.known > 0], axis=-1)


def _marketing(shop: Shop, panel: WeeklyPanel, position: pd.Series, shape: tuple) -> np.ndarray:
    n, w, _ = shape
    held, running, used = np.zeros(shape, np.float32), np.zeros((n, w)), np.zeros((n, w))
    customers = pd.Index(panel.customers)
    if shop.campaigns is not None:
        campaigns = shop.campaigns[shop.campaigns["customer_id"].isin(customers)]
        customer = customers.get_indexer(campaigns["customer_id"])
        # In hand: begun by the end of the cutoff's week, and valid on the Monday after it.
        start, end = week_of(panel, campaigns["start"]), week_of(panel, campaigns["end"])
        coupons = _coupons_per_campaign(shop, position, campaigns["campaign_id"], shape[2])
        for week in range(w):  # week by week: the whole product would take gigabytes
            on = (start <= week) & (end >= week + 1)
            running[:, week] = np.bincount(customer[on], minlength=n)
            np.add.at(held[:, week], customer[on], coupons[on])
    if shop.redemptions is not None:
        customer = customers.get_indexer(shop.redemptions["customer_id"])
        used = sum_cells((customer, week_of(panel, shop.redemptions["date"])), (n, w))
    wide = [np.broadcast_to(each[..., None], shape) for each in (running, np.log1p(used.astype(np.float32)))]
    return np.stack([np.log1p(held), *wide], axis=-1)


def _coupons_per_campaign(shop: Shop, position: pd.Series, campaign: pd.Series, k: int) -> np.ndarray:
    """Coupons of every row's campaign for each category, each coupon once: (n_rows, k)."""
    ids = pd.Index(campaign.unique())
    if shop.coupons is None:
        return np.zeros((len(campaign), k))
    table = shop.coupons.assign(position=_category_of(position, shop.coupons["product_id"]))
    table = table.drop_duplicates(["coupon_id", "campaign_id", "position"])
    cell = (ids.get_indexer(table["campaign_id"]), table["position"].to_numpy())
    return sum_cells(cell, (len(ids), k))[ids.get_indexer(campaign)]


def _promotion(shop: Shop, panel: WeeklyPanel, position: pd.Series, shape: tuple, n_train: int) -> np.ndarray:
    _, w, k = shape
    if shop.promotions is None:
        return np.zeros((w, k, 3))
    table = shop.promotions
    cell = (week_of(panel, table["week_start"]), _category_of(position, table["product_id"]))
    mailer, display = (
        sum_cells(cell, (w + 1, k), table[kind]).astype(np.float32) for kind in ("mailer", "display")
    )
    mailer, display = (
        np.minimum(total / np.maximum(total[:n_train].mean(axis=0), 0.01), MOST_PROMOTED)
        for total in (mailer, display)
    )
    return np.stack([mailer[1:], display[1:], mailer[:-1]], axis=-1)
