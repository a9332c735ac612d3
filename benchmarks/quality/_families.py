"""The mailed rows of `coupons` and what is known of each on the day before its campaign begins."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from ecomlib.shop import Shop

WEEKS, DAY = 26, np.timedelta64(1, "D")
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
        "household": household(shop.customers, table),
    }
    return Mailing(table, y, families, words_of(types.cat.categories))


def rhythm(orders: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Seven-day blocks back from the first day: (n, 26, 6) of trips, lines, money; the last says "known"."""
    day = orders["timestamp"].dt.normalize()
    first, last = day.min(), max(day.max(), table["start"].max())
    who = np.unique(orders["customer_id"])
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
        sum_of = lambda weight, i=i, n=len(rows): np.bincount(i, weight, n)  # noqa: E731
        pairs = past[inside].drop_duplicates(["customer_id", "product_id"])
        distinct = np.bincount(
            pd.Index(rows["customer_id"]).get_indexer(pairs["customer_id"]), minlength=len(rows)
        )
        spend = sum_of(money) + 1
        by_hand = [
            sum_of(money * inside) / spend,
            sum_of(money * (with_coupon[past["kind"]] > 0)) / spend,
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


# ----------------------------------------------------------------------------------------- from sets to tables


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
    """One wide table for the rivals: sums of the weeks, 16 factors of each set, and the numbers as they are."""
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
