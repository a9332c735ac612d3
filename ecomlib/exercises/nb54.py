"""Self-checks of lesson 54, mixed data."""

from typing import Any

import numpy as np
import pandas as pd

from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, loss_hint, range_hint, run_on, untrained_hint

LAST_DAY = pd.Timestamp("2024-12-31")


def _day(text: str) -> pd.Timestamp:
    return pd.Timestamp(f"2024-{text}")


def mailings() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Invent three campaigns, the last of which ends after the data, and their redemptions."""
    kinds = [
        (7, _day("10-01"), _day("11-10")),
        (8, _day("11-05"), LAST_DAY),
        (9, _day("12-10"), _day("12-31")),
    ]
    kinds[2] = (9, _day("12-10"), LAST_DAY + pd.Timedelta("12D"))
    mailed = pd.DataFrame(
        [(who, *kind) for kind in kinds for who in (1, 2, 3, 4)],
        columns=["customer_id", "campaign_id", "start", "end"],
    )
    used = [(1, 7, _day("10-03")), (1, 7, _day("10-20")), (2, 7, _day("11-06")), (3, 8, _day("11-05"))]
    used += [(1, 8, _day("12-30")), (4, 9, _day("12-12"))]
    redemptions = pd.DataFrame(used, columns=["customer_id", "campaign_id", "date"])
    return mailed, redemptions.assign(coupon_id=range(len(used)))


def _answered(mailed: pd.DataFrame, redemptions: pd.DataFrame, last_day: pd.Timestamp) -> pd.DataFrame:
    rows = mailed[mailed["end"] <= last_day]
    pairs = redemptions[["customer_id", "campaign_id"]].drop_duplicates()
    rows = rows.merge(pairs.assign(y=1), how="left")
    return rows.assign(y=rows["y"].fillna(0).astype(int))


def _censored_kept(mailed, redemptions, last_day):
    return _answered(mailed, redemptions, last_day + pd.Timedelta("400D"))


def _doubled(mailed, redemptions, last_day):
    rows = mailed[mailed["end"] <= last_day]
    pairs = redemptions[["customer_id", "campaign_id"]].assign(y=1)
    rows = rows.merge(pairs, how="left")
    return rows.assign(y=rows["y"].fillna(0).astype(int))


def _any_campaign(mailed, redemptions, last_day):
    rows = mailed[mailed["end"] <= last_day]
    return rows.assign(y=rows["customer_id"].isin(redemptions["customer_id"]).astype(int))


def _too_strict(mailed, redemptions, last_day):
    return _answered(mailed, redemptions, last_day - pd.Timedelta("1D"))


@checker(
    "54.1",
    wrong=[lambda: _censored_kept, lambda: _doubled, lambda: _any_campaign, lambda: _too_strict],
    right=lambda: _answered,
)
def answers(answer: Any) -> str | None:
    """Run it on three invented campaigns, one of them censored."""
    mailed, redemptions = mailings()
    wanted = _answered(mailed, redemptions, LAST_DAY)
    found = answer(mailed.copy(), redemptions.copy(), LAST_DAY)
    if not isinstance(found, pd.DataFrame) or "y" not in found:
        return "return the mailed rows as a table with a column y."
    if 9 in set(found["campaign_id"]):
        return "campaign 9 ends after the last day: nobody knows its answers yet. Leave it out."
    if 8 not in set(found["campaign_id"]):
        return "campaign 8 ends on the last day: its answers are known. Keep it."
    if len(found) != len(wanted):
        return f"{len(found)} rows; {len(wanted)} were mailed. Household 1 used two coupons of campaign 7."
    y = found.sort_values(["campaign_id", "customer_id"])["y"].to_numpy()
    if close(y, wanted.sort_values(["campaign_id", "customer_id"])["y"]):
        return None
    return "y is 1 where this household used a coupon of this campaign: compare both columns, not one."


def _before(redemptions: pd.DataFrame, customers: Any, start: pd.Timestamp) -> np.ndarray:
    known = redemptions[redemptions["date"] < start]
    counts = known.groupby("customer_id")["campaign_id"].nunique()
    return counts.reindex(customers).fillna(0).to_numpy()


def _on_the_day(redemptions, customers, start):
    return _before(redemptions, customers, start + pd.Timedelta("1D"))


def _coupons(redemptions, customers, start):
    known = redemptions[redemptions["date"] < start]
    return known["customer_id"].value_counts().reindex(customers).fillna(0).to_numpy()


def _unknown(redemptions, customers, start):
    known = redemptions[redemptions["date"] < start]
    return known.groupby("customer_id")["campaign_id"].nunique().reindex(customers).to_numpy()


def _finished(redemptions, customers, start):
    ends = redemptions.groupby("campaign_id")["date"].transform("max")
    return _before(redemptions[ends < start], customers, start)


@checker(
    "54.2",
    wrong=[
        lambda: _on_the_day,
        lambda: _coupons,
        lambda: _unknown,
        lambda: _finished,
        lambda: lambda redemptions, customers, start: _before(redemptions, customers, LAST_DAY),
    ],
    right=lambda: _before,
)
def redeemed_before(answer: Any) -> str | None:
    """Ask at a first day; then change what comes later."""
    _, redemptions = mailings()
    who, start = [4, 3, 2, 1], _day("11-05")
    wanted = _before(redemptions, who, start)
    found = np.asarray(answer(redemptions.copy(), who, start), float)
    if found.shape != wanted.shape:
        return f"one number per household in the order given, shape {wanted.shape}, not {found.shape}."
    if np.isnan(found).any():
        return "a household that never redeemed has redeemed in 0 campaigns, not in NaN."
    if close(found, _on_the_day(redemptions, who, start)) and not close(found, wanted):
        return "household 3 redeemed on the first day itself. Only days before the first day are known."
    if close(found, _coupons(redemptions, who, start)) and not close(found, wanted):
        return "household 1 used two coupons of one campaign: count campaigns, not coupons."
    later = redemptions.assign(
        date=redemptions["date"].where(redemptions["date"] < start, start + pd.Timedelta("3D")),
        campaign_id=redemptions["campaign_id"].where(redemptions["date"] < start, 99),
    )
    if not close(answer(later, who, start), found):
        return "what comes after the first day changed, and so did your numbers: cut by date first."
    if close(found, wanted):
        return None
    return "keep the rows with date < start, then count each household's different campaigns among them."


HOUSEHOLDS, WEEKS, PRODUCTS, KNOWN = 250, 24, 8, 21  # week 21 is the last that is known


def coupon_shop(seed: int = 0) -> np.ndarray:
    """Invent households that buy what they like, and this week's coupons: 0 and 1, (250, 24, 16).

    The first 8 numbers of a week are the products bought, the last 8 those that have a coupon for the
    household. A coupon makes nobody come: who shops this week and likes the product uses it.
    """
    rng = np.random.default_rng(seed)
    likes = rng.random((HOUSEHOLDS, 1, PRODUCTS)) < 0.35
    comes = rng.random((HOUSEHOLDS, WEEKS, 1)) < rng.choice([0.3, 0.95], (HOUSEHOLDS, 1, 1))
    offered = rng.random((HOUSEHOLDS, WEEKS, PRODUCTS)) < 0.25
    bought = likes & comes & (rng.random(offered.shape) < 0.85)
    return np.concatenate([bought, offered], axis=-1).astype("float32")


def redeemed(shop: np.ndarray) -> np.ndarray:
    """Whether a household used a coupon in a week: it bought a product that had one; (250, 24)."""
    return (shop[..., :PRODUCTS] * shop[..., PRODUCTS:]).any(axis=-1).astype("float32")


def frequency(shop: np.ndarray, cutoff: int) -> np.ndarray:
    """The share of a household's weeks in which it redeemed, with three weeks at the base rate."""
    past = redeemed(shop[:, : cutoff + 1])
    return (past.sum(axis=1) + 3 * past.mean()) / (past.shape[1] + 3)


def example(shop: np.ndarray, week: int) -> dict[str, np.ndarray]:
    """What is known before a week: eight weeks of the number bought, all bought before, the coupons."""
    bought = shop[:, :week, :PRODUCTS]
    return {
        "weeks": bought[:, -8:].sum(axis=-1, keepdims=True),
        "basket": bought.mean(axis=1),
        "coupons": shop[:, week, PRODUCTS:],
    }


def trained(shop: np.ndarray, cutoff: int, late: int = 0, epochs: int = 12, match: bool = True) -> tuple:
    """Train a network of three inputs; `late` more weeks make it leak, without `match` it sees no coupons."""
    import keras
    from keras import layers

    past = [example(shop, week) for week in range(8, cutoff + 1 + late)]
    x = {name: np.concatenate([one[name] for one in past]) for name in past[0]}
    y = redeemed(shop)[:, 8 : cutoff + 1 + late].T.ravel()
    inputs = {name: keras.Input(values.shape[1:], name=name) for name, values in x.items()}
    rhythm = layers.LSTM(4, unroll=True)(inputs["weeks"])
    both = layers.Multiply()([inputs["basket"], inputs["coupons"]])
    h = layers.Concatenate()([rhythm, both, inputs["basket"]] if match else [rhythm])
    h = layers.Dense(16, "relu")(h)
    model = keras.Model(inputs, layers.Dense(1, "sigmoid")(h))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    if epochs:
        model.fit(x, y, batch_size=100, epochs=epochs, verbose=0)
    return model, model.predict(example(shop, cutoff + 1), verbose=0)[:, 0]


@checker(
    "54.3",
    wrong=[
        lambda: lambda shop, cutoff: trained(shop, cutoff, late=1, epochs=6),
        lambda: lambda shop, cutoff: trained(shop, cutoff, epochs=0),
        lambda: lambda shop, cutoff: trained(shop, cutoff, match=False),
        lambda: lambda shop, cutoff: (trained(shop, cutoff, epochs=1)[0], frequency(shop, cutoff)),
        lambda: frequency,
    ],
    right=lambda: trained,
)
def own_network(answer: Any) -> str | None:
    """Train on an invented shop, change its future purchases, and compare with each household's share."""
    shop = coupon_shop()
    other = shop.copy()
    other[:, KNOWN + 1 :, :PRODUCTS] = 1 - other[:, KNOWN + 1 :, :PRODUCTS]  # the coupons are known ahead
    other[:, KNOWN + 2 :, PRODUCTS:] = 1 - other[:, KNOWN + 2 :, PRODUCTS:]
    shaped = f"one probability per household, shape ({HOUSEHOLDS},), not {{}}."
    model, given, problem = run_on((shop, other), answer, KNOWN, (HOUSEHOLDS,), shaped)
    if (
        problem := problem
        or leak_hint(given, "purchases", "answers")
        or untrained_hint(model)
        or range_hint(given[0])
    ):
        return problem
    y = redeemed(shop)[:, KNOWN + 1]
    advice = (
        "Does the network see which of the household's products have a coupon this week? Multiply basket "
        "and coupons."
    )
    return loss_hint(given[0], y, frequency(shop, KNOWN), "the household's own share", 0.85, advice)
