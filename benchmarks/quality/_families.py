"""The mailed rows of `coupons`, what is known of each before its campaign begins, and the models."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ecomlib.shop.shop import Shop, members

WEEKS, DAY = 26, np.timedelta64(1, "D")
FAMILIES = ("rhythm", "basket", "coupons", "match", "campaign", "past", "household")
Arm = tuple[str, ...]
PAID = ("revenue", "discount", "manufacturer_coupon")


@dataclass(frozen=True)
class Mailing:
    """Mailed rows: `table` names them, `y` (n,) says who redeemed, `families` what is known.

    "rhythm" is (n, 26, channels), "basket" and "coupons" are sparse (n, types), the others (n, numbers);
    `words` (types, words) holds 1 where a type's name has the word.
    """

    table: pd.DataFrame
    y: np.ndarray
    families: dict
    words: sparse.csr_matrix


@dataclass(frozen=True)
class Part:
    """Rows to train on and rows to ask about."""

    train: np.ndarray
    asked: np.ndarray


def mailing(shop: Shop, first: str) -> Mailing:
    """All campaigns from a first day on, the censored ones among them (the parts leave them out)."""
    table = shop.campaigns[shop.campaigns["start"] >= first].sort_values(["start", "campaign_id"])
    table = table.reset_index(drop=True)
    used = shop.redemptions[["customer_id", "campaign_id"]].drop_duplicates().assign(y=1)
    y = table.merge(used, how="left")["y"].fillna(0).to_numpy("f4")
    types = shop.products["product_type"].astype(object).fillna("unknown").astype("category")
    lines = shop.orders.assign(
        kind=types.cat.codes.to_numpy()[
            pd.Index(shop.products["product_id"]).get_indexer(shop.orders["product_id"])
        ]
    )
    basket, coupons, match = sets(shop, table, lines, types)
    families = {
        "rhythm": rhythm(shop.orders, table),
        "basket": basket,
        "coupons": coupons,
        "match": match,
        "campaign": facts(shop, table),
        "past": past(shop, table),
    }
    if shop.customers is not None:
        families["household"] = household(shop.customers, table)
    return Mailing(table, y, families, words_of(types.cat.categories))


def rhythm(orders: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Seven-day blocks back from the first day: (n, 26, 6) of trips, lines, money; the last says "known"."""
    day = orders["timestamp"].dt.normalize()
    first, last = day.min(), max(day.max(), table["start"].max())
    who = np.union1d(orders["customer_id"], table["customer_id"])
    n_days = (last - first).days + 1
    cell = np.searchsorted(who, orders["customer_id"]) * n_days + (day - first).dt.days.to_numpy()
    trip = ~orders["order_id"].duplicated().to_numpy()
    channels = [trip, np.ones(len(orders)), *(orders[name].to_numpy() for name in PAID if name in orders)]
    daily = [np.bincount(cell, x, len(who) * n_days).reshape(len(who), n_days) for x in channels]
    total = np.concatenate([np.zeros((len(who), 1, len(daily))), np.stack(daily, -1).cumsum(axis=1)], axis=1)
    at = (table["start"] - first).dt.days.to_numpy()[:, None] - 7 * np.arange(WEEKS, -1, -1)
    i = np.searchsorted(who, table["customer_id"])[:, None]
    blocks = np.diff(total[i, np.maximum(at, 0)], axis=1)
    known = (at[:, :-1] >= 0)[..., None]
    return np.concatenate([np.log1p(np.maximum(blocks, 0)) * known / 2, known], axis=-1).astype("f4")


def sets(
    shop: Shop, table: pd.DataFrame, lines: pd.DataFrame, types: pd.Series
) -> tuple[sparse.csr_matrix, sparse.csr_matrix, np.ndarray]:
    """Types bought in 26 weeks (n, types), types with coupons (n, types), and their match by hand (n, 5)."""
    words = words_of(types.cat.categories)
    kind_of = pd.Series(types.cat.codes.to_numpy(), shop.products["product_id"])
    found = []
    for (campaign, start), rows in table.groupby(["campaign_id", "start"], sort=False):
        offered = shop.coupons.loc[shop.coupons["campaign_id"] == campaign, "product_id"].unique()
        with_coupon = np.bincount(kind_of.reindex(offered).dropna().astype(int), minlength=words.shape[0])
        when = lines["timestamp"]
        past = lines[(when < start) & (when >= start - 7 * WEEKS * DAY)]
        past = past[past["customer_id"].isin(rows["customer_id"])]
        i = pd.Index(rows["customer_id"]).get_indexer(past["customer_id"])
        shape = len(rows), words.shape[0]
        bought = sparse.csr_matrix((np.ones(len(past)), (i, past["kind"])), shape).log1p()
        offers = sparse.csr_matrix(np.tile(np.log1p(with_coupon), (len(rows), 1)))
        money = past["revenue"].to_numpy()
        inside = past["product_id"].isin(offered).to_numpy()
        sum_of = partial(np.bincount, i, minlength=len(rows))
        pairs = past[inside].drop_duplicates(["customer_id", "product_id"])
        distinct = np.bincount(
            pd.Index(rows["customer_id"]).get_indexer(pairs["customer_id"]), minlength=len(rows)
        )
        spend = sum_of(weights=money) + 1
        by_hand = [
            sum_of(weights=money * inside) / spend,
            sum_of(weights=money * (with_coupon[past["kind"]] > 0)) / spend,
            np.log1p(distinct),
            cosine(bought, offers),
            cosine(bought @ words, offers @ words),
        ]
        found.append((rows.index, bought, offers, np.stack(by_hand, axis=1)))
    order = np.argsort(np.concatenate([index for index, *_ in found]))
    basket, coupons = (sparse.vstack([one[k] for one in found]).tocsr()[order] for k in (1, 2))
    return basket, coupons, np.concatenate([one[3] for one in found])[order].astype("f4")


def facts(shop: Shop, table: pd.DataFrame) -> np.ndarray:
    """What the campaign is: kind, length, and how many coupons, products and households it has."""
    coupons = shop.coupons.groupby("campaign_id").nunique().reindex(table["campaign_id"])
    mailed = table["campaign_id"].map(table["campaign_id"].value_counts())
    numbers = [(table["end"] - table["start"]).dt.days, *coupons.to_numpy().T, mailed]
    kinds = [table["kind"] == kind for kind in sorted(table["kind"].unique())]
    return np.stack([*kinds, *(np.log(np.asarray(x, float)) for x in numbers)], axis=1).astype("f4")


def past(shop: Shop, table: pd.DataFrame) -> np.ndarray:
    """Campaigns mailed and redeemed before, coupons used before, days since the last one."""
    out = np.zeros((len(table), 5), "f4")
    for start, rows in table.groupby("start"):
        before = shop.redemptions[shop.redemptions["date"] < start].groupby("customer_id")
        used = before.agg({"campaign_id": "nunique", "coupon_id": "size", "date": "max"})
        used = used.reindex(rows["customer_id"])
        got = shop.campaigns.loc[shop.campaigns["start"] < start, "customer_id"].value_counts()
        got = got.reindex(rows["customer_id"]).fillna(0).to_numpy()
        redeemed, coupons = used[["campaign_id", "coupon_id"]].fillna(0).to_numpy().T
        days = (start - used["date"]).dt.days.fillna(365).to_numpy()
        columns = got, redeemed, coupons, np.expm1(redeemed / (got + 2)), days
        out[rows.index] = np.log1p(np.stack(columns, axis=1))
    return out


def household(customers: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """What the household told, one-hot; that it told nothing is a value of its own."""
    told = customers.set_index("customer_id").reindex(table["customer_id"])
    return pd.get_dummies(told.fillna("not told")).to_numpy("f4")


# ---------------------------------------------------------------------------------------- from sets to tables


def words_of(names: Sequence[str]) -> sparse.csr_matrix:
    """1 where a name has a word: (names, words); a word has two letters or more."""
    from sklearn.feature_extraction.text import CountVectorizer

    split = CountVectorizer(token_pattern=r"[a-z]{2,}", binary=True)
    return split.fit_transform([re.sub(r"\d", " ", str(name)).lower() for name in names]).astype(float)


def unit(x: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows of length 1; a row of zeros stays."""
    from sklearn.preprocessing import normalize

    return normalize(x)


def cosine(a: sparse.csr_matrix, b: sparse.csr_matrix) -> np.ndarray:
    """Cosine of the rows of two matrices: 1 for the same direction, 0 for nothing in common."""
    return np.asarray(unit(a).multiply(unit(b)).sum(axis=1)).ravel()


def scaled(train: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both standardised by the training rows; a column that is constant there becomes 0."""
    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std > 1e-6, std, np.inf)
    return tuple(np.clip((x - mean) / std, -5, 5).astype("f4") for x in (train, asked))


def table_of(
    m: Mailing, train: np.ndarray, asked: np.ndarray, arm: Sequence[str], sets: str
) -> tuple[np.ndarray, np.ndarray]:
    """One wide table for the rivals: sums of the weeks, 16 factors of each set, the numbers as they are."""
    from sklearn.decomposition import TruncatedSVD

    rows, columns = np.concatenate([train, asked]), []
    for name in arm:
        x = m.families[name][rows]
        if name == "rhythm":
            sums = [x[:, -weeks:].mean(axis=1) for weeks in (2, 4, 13, 26)]
            ago = (x[:, ::-1, 0] > 0).argmax(axis=1) + WEEKS * (x[..., 0].max(axis=1) == 0)
            columns += [*sums, ago[:, None]]
        elif name in ("basket", "coupons"):
            x = unit(x @ m.words if sets == "words" else x)
            columns.append(TruncatedSVD(16, random_state=0).fit(x[: len(train)]).transform(x))
        else:
            columns.append(x)
    table = np.concatenate(columns, axis=1)
    return table[: len(train)], table[len(train) :]


# -------------------------------------------------------------------------------------------- the models


def linear(m: Mailing, part: Part, arm: Arm, sets: str, c: float) -> np.ndarray:
    """Logistic regression on one table; probabilities of the asked rows."""
    from sklearn.linear_model import LogisticRegression

    train, asked = scaled(*table_of(m, part.train, part.asked, arm, sets))
    model = LogisticRegression(C=c, max_iter=2000).fit(train, m.y[part.train])
    return model.predict_proba(asked)[:, 1]


def trees(
    m: Mailing, part: Part, arm: Arm, sets: str, leaves: int, leaf_rows: int, steps: Iterable[int], seed: int
) -> list[np.ndarray]:
    """LightGBM on one table; probabilities of the asked rows after each number of trees in `steps`."""
    from lightgbm import LGBMClassifier

    train, asked = table_of(m, part.train, part.asked, arm, sets)
    model = LGBMClassifier(
        n_estimators=max(steps), learning_rate=0.03, num_leaves=leaves, min_child_samples=leaf_rows,
        subsample=0.8, subsample_freq=1, colsample_bytree=0.5, random_state=seed, n_jobs=1, verbose=-1,
    ).fit(train, m.y[part.train])  # fmt: skip
    return [model.booster_.predict(asked, num_iteration=n) for n in steps]


def build(shapes: dict[str, tuple[int, ...]], drop: float) -> Any:
    """A functional network with an input for each family, wide and deep (Cheng et al., 2016)."""
    import keras
    from keras import layers

    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    bag = layers.Dense(16, use_bias=False, name="bag")  # one table of vectors for both sets
    sets = [bag(inputs[name]) for name in ("basket", "coupons") if name in inputs]
    read = [layers.LSTM(16)(inputs["rhythm"])] if "rhythm" in inputs else []
    read += sets + ([layers.Multiply()(sets)] if len(sets) == 2 else [])
    numbers = [inputs[name] for name in FAMILIES[3:] if name in inputs]
    h = layers.Dropout(drop)(layers.Concatenate()(read + numbers))
    h = layers.Dropout(drop)(layers.Dense(32, "relu")(h))
    score = layers.Dense(1)(h)
    if numbers:
        wide = layers.Concatenate()(numbers) if len(numbers) > 1 else numbers[0]
        score = layers.Add()([score, layers.Dense(1, use_bias=False)(wide)])
    return keras.Model(inputs, layers.Activation("sigmoid")(score))


@lru_cache(maxsize=2)
def compiled(shapes: tuple, drop: float) -> Any:
    """A compiled network, kept: to build and trace one takes as long as ten epochs of training it."""
    import keras

    model = build(dict(shapes), drop)
    model.compile(keras.optimizers.Adam(use_ema=True, ema_momentum=0.98), "binary_crossentropy")
    return model


def started(shapes: tuple, drop: float, rate: float, seed: int) -> Any:
    """The compiled network as it is before training: weights and dropout of a seed, an optimiser at 0."""
    import keras

    model = compiled(shapes, drop)
    keras.utils.set_random_seed(seed)
    for ours, new in zip(model.variables, build(dict(shapes), drop).variables, strict=True):
        ours.assign(new)
    for state in model.optimizer.variables:
        state.assign(keras.ops.zeros_like(state))
    model.optimizer.learning_rate = rate
    return model


def network(
    m: Mailing, part: Part, arm: Arm, sets: str, rate: float, drop: float, epochs: int, seed: int,
    every: bool = False,
) -> list[np.ndarray]:  # fmt: skip
    """The network; probabilities of the asked rows at the end, with `every` after each epoch."""
    import keras

    train, asked = inputs_of(m, part, arm, sets)
    model = started(tuple((name, x.shape[1:]) for name, x in train.items()), drop, rate, seed)
    found: list[np.ndarray] = []

    def ask() -> None:
        found.append(model.predict_on_batch(asked)[:, 0])

    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ask())
    calls = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True), *[note] * every]
    model.fit(train, m.y[part.train], batch_size=128, epochs=epochs, verbose=0, callbacks=calls)
    if not every:
        ask()
    return found


def inputs_of(m: Mailing, part: Part, arm: Arm, sets: str) -> tuple[dict, dict]:
    """A dictionary of arrays for training and one for the asked rows; numbers scaled by training rows."""
    train, asked = {}, {}
    for name in arm:
        x = m.families[name]
        if name in ("basket", "coupons"):
            x = unit(x @ m.words if sets == "words" else x)
            train[name], asked[name] = (x[rows].toarray().astype("f4") for rows in (part.train, part.asked))
        elif name == "rhythm":
            train[name], asked[name] = x[part.train], x[part.asked]
        else:
            train[name], asked[name] = scaled(x[part.train], x[part.asked])
    return train, asked


# ------------------------------------------------------------------------------------------- the second shop


def arrivals(shop: Shop, periods: int = 14, days: int = 28) -> Shop:
    """A shop without coupons in the same form: every 28 days its new products are the "campaign".

    Asked is every fifth customer with an order in the 26 weeks before; the products are those first sold in
    the 28 days before; who buys one of them in the next 28 days has "redeemed". A name stands for a product.
    """
    orders = members(shop.orders)
    day = orders["timestamp"].dt.normalize()
    end, new = day.max() + DAY, orders.assign(day=day).groupby("product_id")["day"].min()
    asked = np.sort(orders["customer_id"].unique())[::5]
    campaigns, coupons, used = [], [], []
    for period in range(periods):
        start = end - (periods - period) * days * DAY
        now = (day >= start) & (day < start + days * DAY)
        lately = orders.loc[(day < start) & (day >= start - 7 * WEEKS * DAY), "customer_id"].unique()
        what = {"campaign_id": period, "kind": "new", "start": start, "end": start + (days - 1) * DAY}
        campaigns.append(pd.DataFrame({"customer_id": np.intersect1d(asked, lately)}).assign(**what))
        products = new.index[(new >= start - days * DAY) & (new < start)]
        coupons.append(
            pd.DataFrame({"product_id": products, "coupon_id": products}).assign(campaign_id=period)
        )
        bought = orders[now & orders["product_id"].isin(products)].drop_duplicates("customer_id")
        bought = pd.DataFrame({"customer_id": bought["customer_id"], "coupon_id": bought["product_id"],
                               "date": day[bought.index]})  # fmt: skip
        used.append(bought.assign(campaign_id=period))
    tables = {
        name: pd.concat(parts, ignore_index=True)
        for name, parts in zip(
            ("campaigns", "coupons", "redemptions"), (campaigns, coupons, used), strict=True
        )
    }
    products = shop.products.assign(product_type=shop.products["name"])
    return Shop(orders, products, **tables, name=shop.name, currency=shop.currency)
