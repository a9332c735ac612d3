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
Made = dict[str, np.ndarray]  # channel -> array (n, w, k), or one that broadcasts to it


def columns(*names: str) -> list[int]:
    """Positions of channels, or of all channels of a group, among the 14."""
    unknown = [name for name in names if name not in GROUPS and name not in CHANNELS]
    if unknown:
        raise BadValue(f"there is no channel {unknown}; choose from {CHANNELS}, or groups {list(GROUPS)}.")
    return [CHANNELS.index(one) for name in names for one in GROUPS.get(name, (name,))]


@dataclass(frozen=True)
class Channels:
    """All channels of n customers, k categories and w weeks; `channels["bought"]` gives one, (n, w, k).

    `values` is float32 (n, k, w, 14): bought (0 or 1); log(1 + lines) over its mean in the training weeks;
    share of the price taken off; shopped; log spend, baskets and lines in all categories over their training
    means; known (0 before the first order); log(1 + coupons for the category that are in hand and valid next
    week); campaigns running for the customer; log(1 + coupons redeemed this week); mailers of next week,
    displays of next week, mailers of this week, over their training means.
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
    """Make all channels; the scales come from the first `n_train` weeks, what the shop lacks is 0.

    `position` holds the position of each product_id's category, -1 for none.
    """
    n, w, k = shape = (len(panel.customers), len(panel.weeks), int(position.max()) + 1)
    values = np.zeros((n, k, w, len(CHANNELS)), np.float32)
    for made in (
        _category(shop, panel, position, shape, n_train),
        _household(panel, n_train),
        _marketing(shop, panel, position, shape),
        _promotion(shop, panel, position, shape, n_train),
    ):
        for name, each in made.items():
            values.swapaxes(1, 2)[..., CHANNELS.index(name)] = each
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


def _category(shop: Shop, panel: WeeklyPanel, position: pd.Series, shape: tuple, n_train: int) -> Made:
    orders = shop.orders
    customer = pd.Index(panel.customers).get_indexer(orders["customer_id"])
    cell = (customer, week_of(panel, orders["timestamp"]), _category_of(position, orders["product_id"]))
    lines, off, paid = (
        sum_cells(cell, shape, weights).astype(np.float32)
        for weights in (None, orders["discount"], orders["revenue"])
    )
    share = off / np.maximum(off + paid, 0.01)
    return {"bought": lines > 0, "lines": _scaled(lines, n_train), "discount": share}


def _household(panel: WeeklyPanel, n_train: int) -> Made:
    logs = [_scaled(panel[channel], n_train) for channel in ("spend", "baskets", "lines")]
    values = [panel["baskets"] > 0, *logs, panel.known > 0]
    return {name: each[..., None] for name, each in zip(GROUPS["household"], values, strict=True)}


def _marketing(shop: Shop, panel: WeeklyPanel, position: pd.Series, shape: tuple) -> Made:
    n, w, k = shape
    made, customers = {}, pd.Index(panel.customers)
    if shop.campaigns is not None:
        campaigns = shop.campaigns[shop.campaigns["customer_id"].isin(customers)]
        campaign, ids = pd.factorize(campaigns["campaign_id"])
        brings = np.ones((len(ids), k + 1), np.float32)  # itself, last, and coupons for every category
        brings[:, :k] = 0 if shop.coupons is None else _coupons(shop.coupons, position, ids, k)
        # In hand: begun by the end of the cutoff's week, and valid on the Monday after it.
        start, end = week_of(panel, campaigns["start"]), week_of(panel, campaigns["end"])
        change = np.zeros((n, w + 1, k + 1), np.float32)
        for week, sign in ((start, 1), (np.maximum(start, end), -1)):
            cell = (customers.get_indexer(campaigns["customer_id"]), week.clip(0, w))
            np.add.at(change, cell, sign * brings[campaign])
        now = change.cumsum(axis=1)[:, :w]
        made = {"coupons held": np.log1p(now[..., :k]), "campaigns": now[..., k:]}
    if shop.redemptions is not None:
        customer = customers.get_indexer(shop.redemptions["customer_id"])
        used = sum_cells((customer, week_of(panel, shop.redemptions["date"])), (n, w))
        made["coupons redeemed"] = np.log1p(used.astype(np.float32))[..., None]
    return made


def _coupons(table: pd.DataFrame, position: pd.Series, campaigns: pd.Index, k: int) -> np.ndarray:
    """Coupons of each campaign for each category, each coupon once."""
    table = table.assign(position=_category_of(position, table["product_id"]))
    table = table.drop_duplicates(["coupon_id", "campaign_id", "position"])
    campaign = pd.Index(campaigns).get_indexer(table["campaign_id"])
    return sum_cells((campaign, table["position"].to_numpy()), (len(campaigns), k))


def _promotion(shop: Shop, panel: WeeklyPanel, position: pd.Series, shape: tuple, n_train: int) -> Made:
    if shop.promotions is None:
        return {}
    table, plan = shop.promotions, {}
    cell = (week_of(panel, table["week_start"]), _category_of(position, table["product_id"]))
    for kind in ("mailer", "display"):
        total = sum_cells(cell, (shape[1] + 1, shape[2]), table[kind]).astype(np.float32)
        plan[kind] = np.minimum(total / np.maximum(total[:n_train].mean(axis=0), 0.01), MOST_PROMOTED)
    next_week = {f"{kind} next week": total[1:] for kind, total in plan.items()}
    return {**next_week, "mailer this week": plan["mailer"][:-1]}
