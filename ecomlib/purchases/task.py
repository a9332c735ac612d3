"""Shop in, purchase task out: one weekly sequence per customer and category.

The *cutoff* is the last week that is known, the target is the week after it. Weeks are counted by their
position in the panel.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecomlib.panels import WeeklyPanel, weekly_panel
from ecomlib.purchases.channels import GROUPS, Channels, build, columns, week_of
from ecomlib.shop import BadValue, Shop, TooShort
from ecomlib.split import Split

INPUTS = (*GROUPS, "product")  # what can be left out of a network
FIRST_CUTOFFS = 4  # weeks of history before a hand-made feature means anything


@dataclass(frozen=True)
class PurchaseTask:
    """The task as arrays; n customers, w weeks, k categories.

    Attributes
    ----------
    panel : WeeklyPanel
        What each customer did in all categories together.
    categories : list of str (k,)
    channels : Channels
        What is known at every cutoff.
    parts : dict
        "train", "valid", "test": positions of the cutoffs.
    """

    panel: WeeklyPanel
    categories: list[str]
    channels: Channels
    parts: dict[str, np.ndarray]

    @property
    def bought(self) -> np.ndarray:
        """1.0 where bought: (n, w, k)."""
        return self.channels["bought"]

    def cutoffs(self, part: str) -> np.ndarray:
        """Positions of the cutoffs of "train", "valid" or "test"; their targets lie one week later."""
        if part not in self.parts:
            raise BadValue(f"there is no part {part!r}; choose from {list(self.parts)}.")
        return self.parts[part]

    def target(self, cutoffs: np.ndarray) -> np.ndarray:
        """Bought in the week after each cutoff: (n_cutoffs, n, k)."""
        return self.bought[:, np.asarray(cutoffs) + 1].swapaxes(0, 1)

    def use(self, cutoffs: np.ndarray) -> np.ndarray:
        """Customers known at each cutoff, inactive ones included: bool (n_cutoffs, n)."""
        return self.panel.known[:, cutoffs].T > 0

    def inputs(self, last: int, without: Iterable[str] = ()) -> dict[str, np.ndarray]:
        """What a network reads: "weeks" (n * k, last + 1, 26) and "product" (n * k,), which category it is.

        `last` is the last cutoff. What `without` names is all 0: groups of channels (`channels.GROUPS`) or
        "product".
        """
        if unknown := sorted(set(without) - set(INPUTS)):
            raise BadValue(f"without={unknown}: there is no such group; choose from {list(INPUTS)}.")
        n, k, w, n_channels = self.channels.values.shape
        weeks = self.channels.values.reshape(n * k, w, n_channels)[:, : last + 1]
        left_out = columns(*(name for name in without if name in GROUPS))
        if left_out:
            weeks = weeks.copy()
            weeks[..., left_out] = 0
        product = np.tile(np.arange(k, dtype=np.int32) * ("product" not in without), n)
        return {"weeks": weeks, "product": product}

    def labels(self, part: str, last: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Targets and weights of the sequences, both (n * k, last + 1); weight 0 outside the part.

        `last` is the last cutoff of the sequences. Default: that of the part.
        """
        cutoffs, (n, _, k) = self.cutoffs(part), self.bought.shape
        last = int(cutoffs.max()) if last is None else last
        y = self.bought[:, 1 : last + 2].swapaxes(1, 2).reshape(n * k, last + 1)
        weight = np.zeros((n, last + 1), np.float32)
        weight[:, cutoffs] = self.use(cutoffs).T
        return y, np.repeat(weight, k, axis=0)

    def rows(self, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Customer, cutoff, category (positions) and target of every row that counts, each (n_rows,).

        Rows stand customer by customer, then cutoff by cutoff, then category by category.
        """
        cutoffs, k = self.cutoffs(part), len(self.categories)
        customer, cutoff = (np.repeat(index, k) for index in np.nonzero(self.use(cutoffs).T))
        category = np.arange(len(customer)) % k
        return customer, cutoffs[cutoff], category, self.flat(self.target(cutoffs), part)

    def flat(self, values: np.ndarray, part: str) -> np.ndarray:
        """The rows that count, (n_rows,) in the order of `rows`, of an array (n_cutoffs, n, k)."""
        use = self.use(self.cutoffs(part))
        shape, expected = np.shape(values), (*use.shape, len(self.categories))
        if shape != expected:
            raise BadValue(f"{part}: an array of shape {shape} is no forecast, which has {expected}.")
        return np.swapaxes(values, 0, 1)[use.T].ravel()

    def check_same(self, categories: list[str]) -> None:
        """Refuse a model that was fitted on other categories: it would answer for the wrong ones."""
        if categories != self.categories:
            raise BadValue("the model was fitted on other categories; fit it on this task.")


def task(shop: Shop, split: Split, n_categories: int = 30) -> PurchaseTask:
    """Build the task. Categories, scales and levels come from the weeks before validation.

    Parameters
    ----------
    shop : Shop
        Needs products; promotions, campaigns, coupons and redemptions are used where present.
    split : Split
        Whole weeks; a target belongs to the part in which its week lies.
    n_categories : int
        The categories bought in most customer-weeks of the training period.

    Raises
    ------
    BadValue
        When there are no products, or a part is not made of whole weeks.
    TooShort
        When fewer than six weeks are left for training, or there are fewer categories.
    """
    if shop.products is None:
        raise BadValue("purchases need a products table with a category; give one to the shop.")
    panel = weekly_panel(shop.orders)
    parts = split_weeks(panel.weeks, split)
    n_train, end = parts["valid"][0] + 1, parts["test"][-1] + 2
    if end < len(panel.weeks):
        panel = weekly_panel(shop.orders, end=panel.weeks[end - 1])
    count = customer_weeks(shop.orders, shop.products, panel, n_train)
    categories, position = most_bought(count, shop.products, n_categories)
    return PurchaseTask(panel, categories, build(shop, panel, position, n_train), parts)


def split_weeks(weeks: pd.DatetimeIndex, split: Split) -> dict[str, np.ndarray]:
    """Positions of the cutoffs of "train", "valid" and "test"."""
    first_valid, first_test, end = split.positions(weeks)
    if first_valid < FIRST_CUTOFFS + 2:
        raise TooShort(
            f"the {len(weeks)} weeks from {weeks[0].date()} leave {first_valid} to train; at "
            f"least {FIRST_CUTOFFS + 2} are needed: shorten test or valid, or give a longer history."
        )
    return {
        "train": np.arange(0, first_valid - 1),
        "valid": np.arange(first_valid - 1, first_test - 1),
        "test": np.arange(first_test - 1, end - 1),
    }


def customer_weeks(
    orders: pd.DataFrame, products: pd.DataFrame, panel: WeeklyPanel, n_train: int
) -> pd.Series:
    """In how many customer-weeks of training each category was bought; sorted by category."""
    category = products.set_index("product_id")["category"].astype("str")
    lines = orders[["customer_id"]].assign(
        category=category.reindex(orders["product_id"]).to_numpy(), week=week_of(panel, orders["timestamp"])
    )
    lines = lines[lines["week"].between(0, n_train - 1) & (lines["category"] != "UNKNOWN")]
    return lines.dropna().drop_duplicates().groupby("category").size()


def most_bought(count: pd.Series, products: pd.DataFrame, n: int) -> tuple[list[str], pd.Series]:
    """Names of the n categories of most customer-weeks, and every product's position there."""
    category = products.set_index("product_id")["category"].astype("str")
    chosen = count.sort_values(ascending=False, kind="stable").index[:n]
    if len(chosen) < n:
        raise TooShort(f"training holds {len(chosen)} categories, not {n}; give a smaller n_categories.")
    position = pd.Series(pd.Index(chosen).get_indexer(category), index=category.index)
    return [str(name) for name in chosen], position
