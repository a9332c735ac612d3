"""Will this customer buy this category next week? Shop in; one weekly sequence a customer and category out.

An *origin* is the last week that is known, the target is the week after it. Weeks are counted by their
position in the panel. Everything at an origin is made of that week and those before it, and of two things
planned ahead: next week's mailers and displays, and the coupons already in the customer's hands.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecomlib.evaluation import bootstrap_weights
from ecomlib.sequences import WeeklyPanel, weekly_panel
from ecomlib.shop import BadValue, Shop, TooShort

HALF_LIVES = (3.0, 8.0, 20.0)  # weeks, for the hand-made features
EPSILON = 1e-6  # no probability is taken smaller


@dataclass(frozen=True)
class Purchases:
    """The task as arrays; n customers, w weeks, k categories.

    Attributes
    ----------
    panel : WeeklyPanel
        What each customer did in all categories together.
    categories : list of str (k,)
    category : float32 (n, w, k, 3)
        bought (0 or 1); log(1 + lines), over its mean in the training weeks; share of the price taken off.
    household : float32 (n, w, 5)
        shopped; log spend, baskets and lines over their training means; known (0 before the first order).
    marketing : float32 (n, w, k, 3)
        log(1 + coupons for the category that are in hand and valid next week); campaigns running for the
        customer; coupons redeemed this week, log(1 + count).
    promotion : float32 (w, k, 3)
        Mailer of next week, display of next week, mailer of this week, over their training means.
    who : float32 (n, d)
        What is known of the customer as 0 and 1; all 0 where nothing is known.
    origins : dict
        "train", "valid", "test": positions of the origins.
    """

    panel: WeeklyPanel
    categories: list[str]
    category: np.ndarray
    household: np.ndarray
    marketing: np.ndarray
    promotion: np.ndarray
    who: np.ndarray
    origins: dict[str, np.ndarray]

    @property
    def bought(self) -> np.ndarray:
        """1.0 where bought: (n, w, k)."""
        return self.category[..., 0]

    def target(self, origins) -> np.ndarray:
        """Bought in the week after each origin: (n, n_origins, k)."""
        return self.bought[:, np.asarray(origins) + 1]

    def use(self, origins) -> np.ndarray:
        """Customers known by each origin, silent ones included: bool (n, n_origins)."""
        return self.panel.known[:, np.asarray(origins)] > 0

    def sequences(self, last: int, without=()) -> np.ndarray:
        """One sequence a customer and category, weeks 0 to `last`: float32 (n * k, last + 1, 14).

        Parameters
        ----------
        last : int
            Position of the last origin.
        without : names out of "category", "household", "marketing"
            Groups whose channels are left at 0.
        """
        n, _, k, _ = self.category.shape
        parts = {
            "category": self.category[:, : last + 1],
            "household": self.household[:, : last + 1, None],
            "marketing": self.marketing[:, : last + 1],
            "promotion": self.promotion[None, : last + 1],
        }
        x = np.zeros((n, k, last + 1, 14), np.float32)
        start = 0
        for name, part in parts.items():
            end = start + part.shape[-1]
            if name not in without and not (name == "promotion" and "marketing" in without):
                x[..., start:end] = part.swapaxes(1, 2)
            start = end
        return x.reshape(n * k, last + 1, 14)

    def inputs(self, last: int, without=()) -> dict[str, np.ndarray]:
        """What the network reads: "weeks" (n * k, last + 1, 14), "product" (n * k,), "who" (n * k, d)."""
        n, k = len(self.who), len(self.categories)
        product = (
            np.zeros(n * k, np.int32) if "product" in without else np.tile(np.arange(k, dtype=np.int32), n)
        )
        who = np.zeros_like(self.who) if "who" in without else self.who
        weeks = self.sequences(last, without)
        return {"weeks": weeks, "product": product, "who": np.repeat(who, k, axis=0)}

    def labels(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Targets and weights of the sequences, both (n * k, last origin + 1); weight 0 outside the part."""
        last = int(self.origins[part].max())
        n, _, k = self.bought.shape
        y = self.bought[:, 1 : last + 2].swapaxes(1, 2).reshape(n * k, last + 1)
        weight = np.zeros((n, last + 1), np.float32)
        weight[:, self.origins[part]] = self.use(self.origins[part])
        return y, np.repeat(weight, k, axis=0)

    def rows(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Target (n_rows,) and customer position (n_rows,) of every row of a part, as `flat` orders them."""
        use = self.use(self.origins[part])
        customer = np.repeat(np.nonzero(use)[0], len(self.categories))
        return self.flat(self.target(self.origins[part]), part), customer

    def flat(self, values: np.ndarray, part: str) -> np.ndarray:
        """Rows that count, (n_rows,), of an array (n, n_origins, k)."""
        return values[self.use(self.origins[part])].ravel()


def prepare(
    shop: Shop,
    valid_start: str | pd.Timestamp = "2017-10-02",
    test_start: str | pd.Timestamp = "2017-10-30",
    n_categories: int = 30,
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
) -> Purchases:
    """Build the task. Categories, scales and levels come from the weeks before `valid_start`.

    Parameters
    ----------
    shop : Shop
        Needs products; promotions, campaigns, coupons, redemptions and customers are used where present.
    valid_start, test_start : date
        Mondays of the first target week of the validation and of the test part.
    n_categories : int
        The categories bought in most customer-weeks of the training period.
    start, end : date, optional
        Any day of the first and last week; default: the weeks the orders cover wholly.

    Returns
    -------
    Purchases

    Raises
    ------
    BadValue
        When there are no products, or the two dates are not Mondays in order.
    TooShort
        When the history has no room for the three parts.
    """
    if shop.products is None:
        raise BadValue("purchases need a products table with a category; give one to the shop.")
    mondays = [pd.Timestamp(valid_start), pd.Timestamp(test_start)]
    if any(m.day_of_week for m in mondays) or mondays[0] >= mondays[1]:
        raise BadValue("valid_start and test_start must be Mondays, the first one earlier; change the dates.")
    panel = weekly_panel(shop.orders, start, end)
    first_valid, first_test = ((m - panel.weeks[0]).days // 7 for m in mondays)
    n_weeks = len(panel.weeks)
    if first_valid < 5 or first_test >= n_weeks:
        raise TooShort(
            f"{n_weeks} weeks from {panel.weeks[0].date()} have no room to train before {mondays[0].date()} "
            f"and to test from {mondays[1].date()}; choose other dates."
        )
    origins = {
        "train": np.arange(0, first_valid - 1),
        "valid": np.arange(first_valid - 1, first_test - 1),
        "test": np.arange(first_test - 1, n_weeks - 1),
    }
    category_of, categories, category = _categories(shop, panel, first_valid, n_categories)
    shape = (len(panel.customers), n_weeks, len(categories))
    return Purchases(
        panel,
        categories,
        category,
        _household(panel, first_valid),
        _marketing(shop, panel, category_of, shape),
        _promotion(shop, panel, category_of, shape, first_valid),
        _who(shop, panel),
        origins,
    )


def _week(panel: WeeklyPanel, when: pd.Series) -> np.ndarray:
    """Position of the week of each moment; may lie outside the panel."""
    return ((when.to_numpy() - panel.weeks[0].to_datetime64()) // np.timedelta64(7, "D")).astype(np.int64)


def _grid(index: tuple, shape: tuple, weights=None) -> np.ndarray:
    """Sum weights into cells of an array; cells outside it are left out."""
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(index, shape, strict=True)])
    cell = np.ravel_multi_index(tuple(i[inside] for i in index), shape)
    weights = None if weights is None else np.asarray(weights, float)[inside]
    return np.bincount(cell, weights, int(np.prod(shape))).reshape(shape).astype(np.float32)


def _scaled(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Divide log(1 + values) by its mean over the positive training cells."""
    logs, known = np.log1p(values), np.log1p(train[train > 0])
    return (logs / (known.mean() if len(known) else 1.0)).astype(np.float32)


def _categories(shop, panel, first_valid, n_categories):
    orders, products = shop.orders, shop.products
    names = products["category"].astype("category")
    code = names.cat.codes.to_numpy()[pd.Index(products["product_id"]).get_indexer(orders["product_id"])]
    week = _week(panel, orders["timestamp"])
    customer = pd.Index(panel.customers).get_indexer(orders["customer_id"])
    known = ~np.isin(names.cat.categories[code], ["UNKNOWN"]) & (code >= 0)
    train = known & (week >= 0) & (week < first_valid)
    pairs = np.unique(np.stack([code[train], customer[train] * 10_000 + week[train]]), axis=1)
    count = np.bincount(pairs[0], minlength=len(names.cat.categories))
    chosen = np.argsort(-count, kind="stable")[:n_categories]
    chosen = chosen[count[chosen] > 0]
    if len(chosen) < n_categories:
        raise TooShort(f"only {len(chosen)} categories were bought before validation; ask for fewer.")
    position = np.full(len(names.cat.categories) + 1, -1)
    position[chosen] = np.arange(len(chosen))
    shape = (len(panel.customers), len(panel.weeks), len(chosen))
    cell = (customer, week, position[code])
    lines = _grid(cell, shape)
    off, paid = _grid(cell, shape, orders["discount"]), _grid(cell, shape, orders["revenue"])
    share = off / np.maximum(off + paid, 0.01)
    scaled = _scaled(lines, lines[:, :first_valid])
    category = np.stack([lines > 0, scaled, share], axis=-1).astype(np.float32)
    category_of = pd.Series(position[names.cat.codes.to_numpy()], index=products["product_id"].to_numpy())
    return category_of, [str(n) for n in names.cat.categories[chosen]], category


def _household(panel, first_valid):
    shopped = panel["baskets"] > 0
    logs = [_scaled(panel[c], panel[c][:, :first_valid]) for c in panel.channels]
    return np.stack([shopped, *logs, panel.known > 0], axis=-1).astype(np.float32)


def _marketing(shop, panel, category_of, shape):
    n, w, k = shape
    held, running, used = np.zeros(shape, np.float32), np.zeros((n, w), np.float32), np.zeros((n, w))
    customers = pd.Index(panel.customers)
    if shop.campaigns is not None:
        campaigns = shop.campaigns
        who = customers.get_indexer(campaigns["customer_id"])
        # In hand: begun by the end of the origin's week, and valid on the Monday after it.
        start, end = _week(panel, campaigns["start"]), _week(panel, campaigns["end"])
        weeks = np.arange(w)
        active = (start[:, None] <= weeks) & (end[:, None] >= weeks + 1) & (who >= 0)[:, None]
        np.add.at(running, who[who >= 0], active[who >= 0].astype(np.float32))
        if shop.coupons is not None:
            coupons = shop.coupons
            position = category_of.reindex(coupons["product_id"]).fillna(-1).to_numpy(int)
            table = coupons.assign(position=position)[position >= 0]
            table = table.drop_duplicates(["coupon_id", "campaign_id", "position"])
            ids = pd.Index(campaigns["campaign_id"].unique())
            per = _grid((ids.get_indexer(table["campaign_id"]), table["position"].to_numpy()), (len(ids), k))
            coupon_count = per[ids.get_indexer(campaigns["campaign_id"])]
            for week in weeks:  # a week at a time: the whole product would take gigabytes
                on = active[:, week]
                np.add.at(held[:, week], who[on], coupon_count[on])
    if shop.redemptions is not None:
        cell = (
            customers.get_indexer(shop.redemptions["customer_id"]),
            _week(panel, shop.redemptions["date"]),
        )
        used = _grid(cell, (n, w))
    wide = [np.broadcast_to(a[..., None], shape) for a in (running, np.log1p(used))]
    return np.stack([np.log1p(held), *wide], axis=-1).astype(np.float32)


def _promotion(shop, panel, category_of, shape, first_valid):
    _, w, k = shape
    out = np.zeros((w, k, 3), np.float32)
    if shop.promotions is None:
        return out
    table = shop.promotions
    position = category_of.reindex(table["product_id"]).fillna(-1).to_numpy(int)
    week = _week(panel, table["week_start"])
    for column, kind in enumerate(("mailer", "display")):
        total = _grid((week, position), (w + 1, k), table[kind])
        scaled = total / np.maximum(total[:first_valid].mean(axis=0), 0.01)
        scaled = np.minimum(scaled, 5.0)  # a category seldom advertised must not shout
        out[..., column] = scaled[1:]
        if kind == "mailer":
            out[..., 2] = scaled[:-1]
    return out


def _who(shop, panel):
    if shop.customers is None or len(shop.customers.columns) < 2:
        return np.zeros((len(panel.customers), 1), np.float32)
    table = shop.customers.set_index("customer_id").reindex(panel.customers)
    return pd.get_dummies(table.astype("str").where(table.notna())).to_numpy(np.float32)


# ------------------------------------------------------------------------------------------------ baselines


def faded_sum(values: np.ndarray, half_life: float) -> np.ndarray:
    """Sum over the weeks so far in which a week counts half after `half_life` weeks; axis 1 is time.

    Examples
    --------
    >>> faded_sum(np.array([[1.0, 0.0, 1.0]]), half_life=1)
    array([[1.  , 0.5 , 1.25]])
    """
    out, fade = np.zeros(values.shape, float), 0.5 ** (1 / half_life)
    out[:, 0] = values[:, 0]
    for week in range(1, values.shape[1]):
        out[:, week] = fade * out[:, week - 1] + values[:, week]
    return out


def base_rate(task: Purchases) -> np.ndarray:
    """Share of the known customer-weeks of the training part with a purchase, by category: (k,)."""
    origins = task.origins["train"]
    return task.target(origins)[task.use(origins)].mean(axis=0)


def weighted_frequency(
    task: Purchases, origins, half_life: float = 12.0, strength: float = 3.0
) -> np.ndarray:
    """Forecast a customer's own faded frequency, drawn to the category's base rate: (n, n_origins, k).

    The defaults are what `tune_frequency` finds in the course's shop.

    Parameters
    ----------
    half_life : float
        Weeks; np.inf counts all weeks alike (plain frequency).
    strength : float
        The base rate counts as many weeks.
    """
    times = faded_sum(task.bought, half_life)[:, origins]
    weeks = faded_sum((task.panel.known > 0).astype(float), half_life)[:, origins, None]
    return (times + strength * base_rate(task)) / (weeks + strength)


def tune_frequency(
    task: Purchases, half_lives=(6, 8, 10, 12, 14, 16, 20, 26), strengths=(1, 2, 3, 4)
) -> tuple:
    """Choose half-life and strength by log-loss on the validation part: (half_life, strength)."""
    y, _ = task.rows("valid")

    def loss(pair):
        p = task.flat(weighted_frequency(task, task.origins["valid"], *pair), "valid")
        return log_loss(p, y).mean()

    return min(((h, s) for h in half_lives for s in strengths), key=loss)


def features(task: Purchases, origins) -> tuple[np.ndarray, list[str]]:
    """Recency, frequency, money, lags, calendar and marketing by hand, for trees and for a line.

    Returns
    -------
    array float32 (n_rows, 44)
        Rows as in `Purchases.flat`: known customers, origin by origin, category by category.
    names : list of str
    """
    origins, bought, known = np.asarray(origins), task.bought, task.panel.known.astype(np.float32)
    n, w, k = bought.shape
    week = np.arange(w)
    use = known[:, origins] > 0
    last = np.maximum.accumulate(np.where(bought > 0, week[:, None], -1), axis=1)
    recency = np.where(last >= 0, week[:, None] - last, known[..., None])
    times = bought.cumsum(axis=1)
    rate = times / np.maximum(known[..., None], 1)
    shopped = task.household[..., 0]
    seen = np.maximum.accumulate(np.where(shopped > 0, week, -1), axis=1)
    columns = {
        "recency": recency,
        "times": times,
        "frequency": rate,
        "recency x frequency": recency * rate,
        "household recency": (week - seen)[..., None],
        "known": known[..., None],
        "week": week[None, :, None],
        "base rate": base_rate(task)[None, None],
        "category": np.arange(k)[None, None],
        "spend": task.household[..., 1:2],
        "baskets": task.household[..., 2:3],
        "lines": task.category[..., 1],
    }
    for h in HALF_LIVES:
        weeks = faded_sum((known > 0).astype(float), h)[..., None]
        columns[f"faded {h:.0f}: bought"] = faded_sum(bought, h) / np.maximum(weeks, 1)
        for i, name in enumerate(("lines", "discount"), start=1):
            columns[f"faded {h:.0f}: {name}"] = faded_sum(task.category[..., i], h) / np.maximum(weeks, 1)
        for i, name in enumerate(("shopped", "spend")):
            columns[f"faded {h:.0f}: {name}"] = faded_sum(task.household[..., i], h)[..., None] / np.maximum(
                weeks, 1
            )
    columns["redeemed so far"] = task.marketing[..., 2].cumsum(axis=1)
    for i, name in enumerate(("coupons held", "campaigns", "redeemed")):
        columns[name] = task.marketing[..., i]
    for i, name in enumerate(("mailer next", "display next", "mailer now")):
        columns[name] = task.promotion[None, ..., i]
    for lag in range(12):
        columns[f"bought, lag {lag}"] = np.pad(bought, ((0, 0), (lag, 0), (0, 0)))[:, :w]
    out = np.empty((int(use.sum()) * k, len(columns)), np.float32)
    for j, values in enumerate(columns.values()):
        out[:, j] = np.broadcast_to(values, (n, w, k))[:, origins][use].ravel()
    return out, list(columns)


# -------------------------------------------------------------------------------------------------- scoring


def log_loss(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Log-loss of every row, nats.

    Examples
    --------
    >>> log_loss(np.array([0.5]), np.array([1.0])).round(3)
    array([0.693])
    """
    p = np.clip(np.asarray(p, float), EPSILON, 1 - EPSILON)
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))


def _ranked(p, y, weights):
    """Area under the ROC curve, average precision and lift of the top tenth, rows weighing `weights`."""
    hit, n = y * weights, weights
    ends = np.flatnonzero(np.r_[np.diff(p) != 0, True])  # tied rows stand or fall together
    tp, total = hit.cumsum()[ends], n.cumsum()[ends]
    new = np.diff(tp, prepend=0)
    fp_new = np.diff(total - tp, prepend=0)
    positives, negatives = tp[-1], total[-1] - tp[-1]
    auc = (fp_new * (tp - new / 2)).sum() / (positives * negatives)
    ap = (new * tp / np.maximum(total, 1e-9)).sum() / positives
    tenth = np.interp(total[-1] / 10, total, tp)
    return auc, ap, 10 * tenth / positives


def evaluate(p: np.ndarray, y: np.ndarray, customer: np.ndarray, n: int = 200, seed: int = 0) -> dict:
    """Score forecasts on the data (entry 0) and on n bootstrap samples of whole customers.

    Parameters
    ----------
    p, y, customer : arrays (n_rows,)

    Returns
    -------
    dict of arrays (n + 1,)
        "log-loss", "Brier", "AUC", "average precision", "lift top 10 %", "calibration error". The same seed
        draws the same customers, so the difference of two models is paired.
    """
    p = np.asarray(p, float)
    ids, unit = np.unique(customer, return_inverse=True)
    draws = np.concatenate([np.ones((1, len(ids))), bootstrap_weights(len(ids), n, seed)])
    rows = draws @ np.bincount(unit)
    out = {
        "log-loss": draws @ np.bincount(unit, log_loss(p, y)) / rows,
        "Brier": draws @ np.bincount(unit, (p - y) ** 2) / rows,
    }
    order = np.argsort(-p, kind="stable")
    ps, ys, us = p[order], y[order].astype(float), unit[order]
    ranked = np.array([_ranked(ps, ys, draw[us]) for draw in draws])
    out |= dict(zip(("AUC", "average precision", "lift top 10 %"), ranked.T, strict=True))
    bins = calibration_bins(p)
    n_bins = bins.max() + 1
    gap = np.zeros((len(ids), n_bins))
    np.add.at(gap, (unit, bins), p - y)
    out["calibration error"] = np.abs(draws @ gap).sum(axis=1) / rows
    return out


def calibration(p: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Mean forecast p and share y that bought, for each bin of `calibration_bins`."""
    return pd.DataFrame({"p": p, "y": y}).groupby(calibration_bins(p)).mean()


def calibration_bins(p: np.ndarray, n_bins: int = 20) -> np.ndarray:
    """Bin of every row: n_bins bins with equally many rows, by probability."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.digitize(p, edges)


def kinds(task: Purchases, part: str = "test") -> np.ndarray:
    """Kind of customer of every row: "new" (known 10 weeks), "lapsing" (4 silent weeks), "regular"."""
    origins = task.origins[part]
    recent = faded_sum(task.household[..., 0], np.inf)
    before = np.pad(recent, ((0, 0), (4, 0)))[:, : recent.shape[1]]
    silent = (recent - before)[:, origins] == 0
    known = task.panel.known[:, origins]
    kind = np.where(known <= 10, "new", np.where(silent, "lapsing", "regular"))
    return task.flat(np.repeat(kind[..., None], len(task.categories), axis=2), part)
