"""What is known of a customer and a category at a cutoff: 14 weekly channels in four groups.

Everything in week t is made of that week and those before it, and of two things planned ahead: the
mailers and displays of week t + 1, and the coupons already in the customer's hands.
"""

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
    """Positions of channels, or of all channels of a group, among the 14.

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
    """All channels of n customers, k categories and w weeks; `channels["bought"]` gives one, (n, w, k).

    Attributes
    ----------
    values : float32 (n, k, w, 14)
        bought (0 or 1); log(1 + lines) over its mean in the training weeks; share of the price taken off;
        shopped; log spend, baskets and lines in all categories over their training means; known (0 before
        the first order); log(1 + coupons for the category that are in hand and valid next week); campaigns
        running for the customer; log(1 + coupons redeemed this week); mailers of next week, displays of next
        week, mailers of this week, over their training means.
    """

    values: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        """One channel (n, w, k), or a group as it varies: household (n, w, 5), promotion (w, k, 3)."""
        places, values = columns(name), self.values.swapaxes(1, 2)
        if name not in GROUPS:
            return values[..., places[0]]
        values = values[..., places[0] : places[-1] + 1]
        return {"household": values[:, :, 0], "promotion": values[0]}.get(name, values)


def build(shop: Shop, panel: WeeklyPanel, position: pd.Series, n_train: int) -> Channels:
    """Make all channels; the scales come from the first `n_train` weeks.

    Parameters
    ----------
    position : Series of int, product_id -> position of its category, -1 for none
    """
    shape = (len(panel.customers), len(panel.weeks), int(position.max()) + 1)
    made = [
        _category(shop, panel, position, shape, n_train),
        _household(panel, n_train)[:, :, None],
        _marketing(shop, panel, position, shape),
        _promotion(shop, panel, position, shape, n_train),
    ]
    values = np.empty((shape[0], shape[2], shape[1], len(CHANNELS)), np.float32)
    for group, part in zip(GROUPS, made, strict=True):
        values.swapaxes(1, 2)[..., columns(group)] = part
    values.setflags(write=False)  # what a network reads is a view of it
    return Channels(values)


def week_of(panel: WeeklyPanel, when: pd.Series) -> np.ndarray:
    """Position of the week of each moment; may lie outside the panel."""
    return ((when.to_numpy() - panel.weeks[0].to_datetime64()) // np.timedelta64(7, "D")).astype(np.int64)


def _category_of(position: pd.Series, product: pd.Series) -> np.ndarray:
    return position.reindex(product).fillna(-1).to_numpy(int)


def _scaled(values: np.ndarray, n_train: int) -> np.ndarray:
    """Divide log(1 + values) by its mean over the positive cells of the training weeks."""
    train = values[:, :n_train]
    known = np.log1p(train[train > 0])
    return np.log1p(values) / (known.mean() if len(known) else 1.0)


def _over_mean(total: np.ndarray, n_train: int) -> np.ndarray:
    """Divide by the mean of the training weeks, (w, k)."""
    return np.minimum(total / np.maximum(total[:n_train].mean(axis=0), 0.01), MOST_PROMOTED)


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
    n, w, k = shape
    held, running, used = np.zeros(shape, np.float32), np.zeros((n, w)), np.zeros((n, w))
    customers = pd.Index(panel.customers)
    if shop.campaigns is not None:
        campaigns = shop.campaigns[shop.campaigns["customer_id"].isin(customers)]
        customer = customers.get_indexer(campaigns["customer_id"])
        campaign, ids = pd.factorize(campaigns["campaign_id"])
        coupons = np.zeros((len(ids), k))  # of a campaign for a category, each once
        if shop.coupons is not None:
            table = shop.coupons.assign(position=_category_of(position, shop.coupons["product_id"]))
            table = table.drop_duplicates(["coupon_id", "campaign_id", "position"])
            cell = (pd.Index(ids).get_indexer(table["campaign_id"]), table["position"].to_numpy())
            coupons = sum_cells(cell, coupons.shape)
        # In hand: begun by the end of the cutoff's week, and valid on the Monday after it.
        start, end = week_of(panel, campaigns["start"]), week_of(panel, campaigns["end"])
        for week in range(w):  # week by week: the whole product would take gigabytes
            on = (start <= week) & (end >= week + 1)
            running[:, week] = np.bincount(customer[on], minlength=n)
            np.add.at(held[:, week], customer[on], coupons[campaign[on]])
    if shop.redemptions is not None:
        customer = customers.get_indexer(shop.redemptions["customer_id"])
        used = sum_cells((customer, week_of(panel, shop.redemptions["date"])), (n, w))
    wide = [np.broadcast_to(x[..., None], shape) for x in (running, np.log1p(used.astype(np.float32)))]
    return np.stack([np.log1p(held), *wide], axis=-1)


def _promotion(shop: Shop, panel: WeeklyPanel, position: pd.Series, shape: tuple, n_train: int) -> np.ndarray:
    _, w, k = shape
    if shop.promotions is None:
        return np.zeros((w, k, 3))
    table = shop.promotions
    cell = (week_of(panel, table["week_start"]), _category_of(position, table["product_id"]))
    mailer, display = (sum_cells(cell, (w + 1, k), table[kind]) for kind in ("mailer", "display"))
    mailer, display = (_over_mean(total.astype(np.float32), n_train) for total in (mailer, display))
    return np.stack([mailer[1:], display[1:], mailer[:-1]], axis=-1)
