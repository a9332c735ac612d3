"""What is known of a customer and a category at a cutoff: 26 weekly channels in seven groups.

Everything in week t is made of that week and those before it, and of two things planned ahead: the
mailers and displays of week t + 1, and the coupons already in the customer's hands.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ecomlib.panels import WEEKDAYS, WeeklyPanel, event_days, ewm_sum, sum_cells
from ecomlib.shop import BadValue, Shop

GROUPS = {
    "category": ("bought", "lines", "discount"),
    "household": ("shopped", "spend", "baskets", "all lines", "known"),
    "marketing": ("coupons held", "campaigns", "coupons redeemed"),
    "promotion": ("mailer next week", "display next week", "mailer this week"),
    "trip days": ("days since trip", *WEEKDAYS),
    "category days": ("days since purchase", "purchase days"),
    "trend": ("buyers this week", "buyers lately"),
}
CHANNELS = [name for names in GROUPS.values() for name in names]
HOUSEHOLD = {"spend": "spend", "baskets": "baskets", "all lines": "lines"}  # channel -> the panel's
MOST_PROMOTED = 5.0  # times the mean: a category seldom advertised must not dominate
FEW_BUYERS = 0.002  # added to the shares of the trend: a week without a buyer has a logarithm, too
Made = dict[str, np.ndarray]  # channel -> array (n, w, k), or one that broadcasts to it


def columns(*names: str) -> list[int]:
    """Positions of channels, or of all channels of a group, among the 26."""
    unknown = [name for name in names if name not in GROUPS and name not in CHANNELS]
    if unknown:
        raise BadValue(f"there is no channel {unknown}; choose from {CHANNELS}, or groups {list(GROUPS)}.")
    return [CHANNELS.index(one) for name in names for one in GROUPS.get(name, (name,))]


@dataclass(frozen=True)
class Channels:
    """All channels of n customers, k categories and w weeks; `channels["bought"]` gives one, (n, w, k).

    `values` is float32 (n, k, w, 26): bought (0 or 1); log(1 + lines) over its mean in the training weeks;
    share of the price taken off; shopped; log spend, baskets and lines in all categories over their training
    means; known (0 before the first order); log(1 + coupons for the category that are in hand and valid next
    week); campaigns running for the customer; log(1 + coupons redeemed this week); mailers of next week,
    displays of next week, mailers of this week, over their training means; log(1 + days since the last trip)
    / 2 at the week's Sunday (0 before the first); a trip on Monday to Sunday (0 or 1); log(1 + days since the
    last purchase) / 2; days with a purchase / 2; log of the share of known customers who bought this week,
    and of its weighted mean (half-life 2 weeks), over the share in the training weeks.
    """

    values: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        """One channel (n, w, k), or a group as it varies: household (n, w, 5), promotion (w, k, 3)."""
        places, values = columns(name), self.values.swapaxes(1, 2)
        if name not in GROUPS:
            return values[..., places[0]]
        values = values[..., places[0] : places[-1] + 1]
        if name in ("household", "trip days"):  # the same in every category
            return values[:, :, 0]
        return values[0] if name in ("promotion", "trend") else values  # the same for every customer


def build(
    shop: Shop, panel: WeeklyPanel, position: pd.Series, n_train: int, common: dict[str, Any] | None = None
) -> Channels:
    """Make all channels; the scales come from the first `n_train` weeks, what the shop lacks is 0.

    `position` holds the position of each product_id's category, -1 for none. `common` is what `levels` says
    of all customers, where the shop holds only some of them.
    """
    n, w, k = shape = (len(panel.customers), len(panel.weeks), int(position.max()) + 1)
    values = np.zeros((n, k, w, len(CHANNELS)), np.float32)

    def put(made: Made) -> None:
        for name, each in made.items():
            values.swapaxes(1, 2)[..., CHANNELS.index(name)] = each

    weekday = shop.orders["timestamp"].dt.day_of_week.to_numpy()
    cell = cells(shop.orders, panel, position)
    lines, made = _category(shop.orders, cell, shape)
    if common is None:
        train = lines[:, :n_train]
        common = levels(panel, train[train > 0], (lines > 0).sum(axis=0), n_train)
    put(made | {"lines": np.log1p(lines) / common["lines"]})
    put(_household(panel, common))
    put(_marketing(shop, panel, position, shape))
    put(_promotion(shop, panel, position, shape, n_train))
    since, on = event_days(cell[:2], weekday, shape[:2])
    put({day: on[i, ..., None] for i, day in enumerate(WEEKDAYS)})
    put({"days since trip": _log_days(since)[..., None]})
    since, on = event_days(cell, weekday, shape)
    put({"days since purchase": _log_days(since), "purchase days": on.sum(axis=0, dtype=np.float32) / 2})
    put({name: common[name] for name in GROUPS["trend"]})
    values.setflags(write=False)  # what a network reads is a view of it
    return Channels(values)


def week_of(panel: WeeklyPanel, when: pd.Series) -> np.ndarray:
    """Position of the week of each moment; may lie outside the panel."""
    return ((when.to_numpy() - panel.weeks[0].to_datetime64()) // np.timedelta64(7, "D")).astype(np.int64)


def cells(orders: pd.DataFrame, panel: WeeklyPanel, position: pd.Series) -> tuple[np.ndarray, ...]:
    """Customer, week and category (positions) of every line, as `panels.sum_cells` takes them."""
    customer = pd.Index(panel.customers).get_indexer(orders["customer_id"])
    return customer, week_of(panel, orders["timestamp"]), _category_of(position, orders["product_id"])


def levels(panel: WeeklyPanel, lines: np.ndarray, buyers: np.ndarray, n_train: int) -> dict[str, Any]:
    """What all customers together tell: the scales of four channels, and both channels of the trend.

    `lines` holds the counts above 0 of the training weeks; `buyers` (w, k) customers who bought.
    """
    train = {name: panel[each][:, :n_train] for name, each in HOUSEHOLD.items()}
    logs = {"lines": np.log1p(lines)} | {name: np.log1p(x[x > 0]) for name, x in train.items()}
    return {n: x.mean() if len(x) else 1.0 for n, x in logs.items()} | _trend(buyers, panel, n_train)


def _category_of(position: pd.Series, product: pd.Series) -> np.ndarray:
    return position.reindex(product).fillna(-1).to_numpy(int)


def _category(orders: pd.DataFrame, cell: tuple[np.ndarray, ...], shape: tuple) -> tuple[np.ndarray, Made]:
    lines, off, paid = (
        sum_cells(cell, shape, weights).astype(np.float32)
        for weights in (None, orders["discount"], orders["revenue"])
    )
    share = off / np.maximum(off + paid, 0.01)
    return lines, {"bought": lines > 0, "discount": share}


def _household(panel: WeeklyPanel, common: dict[str, Any]) -> Made:
    made = {name: np.log1p(panel[each]) / common[name] for name, each in HOUSEHOLD.items()}
    made |= {"shopped": panel["baskets"] > 0, "known": panel.known > 0}
    return {name: each[..., None] for name, each in made.items()}


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


def _log_days(since: np.ndarray) -> np.ndarray:
    return np.log1p(np.maximum(since, 0).astype(np.float32)) / 2


def _trend(buyers: np.ndarray, panel: WeeklyPanel, n_train: int) -> Made:
    """From the number of customers who bought, (w, k): the shop's own trend, the same for every customer."""
    known = (panel.known > 0).sum(axis=0)[:, None]
    share = buyers / np.maximum(known, 1)
    lately = (ewm_sum(each.T, half_life=2.0).T for each in (buyers, known))
    usual = share[:n_train].mean(axis=0) + FEW_BUYERS
    made = {"buyers this week": share, "buyers lately": np.divide(*lately)}
    return {name: np.log((each + FEW_BUYERS) / usual) for name, each in made.items()}
