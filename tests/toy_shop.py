"""Small invented shops: one with promotions that work, one in which every choice shows."""

import numpy as np
import pandas as pd

from ecomlib.shop import Shop
from ecomlib.split import Split


def toy_shop(n_days: int = 140, seed: int = 0) -> Shop:
    """Three categories, 12 products, 25 customers; promoted weeks sell more; starts on a Monday."""
    rng = np.random.default_rng(seed)
    products = pd.DataFrame(
        {
            "product_id": range(12),
            "category": pd.Categorical(np.repeat(["BREAD", "MILK", "TEA"], 4)),
            "department": pd.Categorical(np.repeat(["FRESH", "FRESH", "DRY"], 4)),
        }
    )
    n_weeks = n_days // 7 + 1
    promoted = rng.random((12, n_weeks)) < 0.3
    days = pd.date_range("2017-05-01", periods=n_days)
    rows = []
    for i, day in enumerate(days):
        weekend = 1 + (day.day_of_week >= 5)
        n = rng.poisson(0.8 * weekend * (1 + promoted[:, i // 7]))
        rows.append(pd.DataFrame({"product_id": np.repeat(range(12), n), "timestamp": day}))
    orders = pd.concat(rows, ignore_index=True)
    n = len(orders)
    orders["timestamp"] += pd.to_timedelta(rng.integers(8, 22, n), unit="h")
    orders["customer_id"] = rng.integers(0, 25, n)
    orders["order_id"] = np.arange(n)
    orders["quantity"] = rng.integers(1, 4, n)
    orders["revenue"] = orders["quantity"] * (1.5 + orders["product_id"])
    orders["discount"] = 0.0
    orders = orders.sort_values("timestamp", ignore_index=True)
    product, week = np.nonzero(promoted)
    promotions = pd.DataFrame(
        {
            "product_id": product,
            "week_start": days[0] + pd.to_timedelta(7 * week, unit="D"),
            "display": 0.5,
            "mailer": rng.choice([0.0, 1.0], len(product)),
        }
    )
    return Shop(orders, products, promotions)


RICH_WEEKS = 24
RICH_SPLIT = Split.last(test="28D", valid="28D", end="2024-06-02")  # two weeks come after the test
RICH_TEST = pd.Timestamp("2024-05-06")  # its first day, a Monday


def rich_shop(seed: int = 0) -> Shop:
    """Eight categories in which four are kept, and customers, products and categories that come later.

    Categories shrink from C0 to C7, but C3 and C4 are twins, whose lines are the same: with four kept, the
    border lies inside a tie. Customers 5, 205 and 405, products with odd ids and the categories "A NEW" and
    "Z NEW" stand in their tables, but no order has them. Money is a multiple of a quarter, so that a sum does
    not depend on the order of its terms.
    """
    rng = np.random.default_rng(seed)
    start, n_trips = pd.Timestamp("2024-01-01"), 40 * 45
    often = np.repeat([0.04, 0.01], 20)  # half of the customers come seldom
    customer = 10 * rng.choice(np.arange(1, 41), n_trips, p=often)
    day = rng.integers(0, 7 * RICH_WEEKS, n_trips)
    day = np.maximum(day, customer % 30)  # the panel fills up
    size = rng.integers(1, 5, n_trips)
    trip = np.repeat(np.arange(n_trips), size)
    category = rng.choice([0, 1, 2, 3, 5, 6, 7], len(trip), p=[0.3, 0.22, 0.15, 0.12, 0.09, 0.07, 0.05])
    category = np.where(rng.random(len(trip)) < 0.4, customer[trip] // 10 % 3, category)  # habits
    product = 6 * category + 2 * rng.integers(0, 3, len(trip))
    twins = category == 3
    trip, product = np.r_[trip, trip[twins]], np.r_[product, product[twins] + 6]
    hour = rng.choice([9, 12, 18], n_trips)[trip]
    orders = pd.DataFrame({"customer_id": customer[trip], "order_id": trip, "product_id": product})
    orders["timestamp"] = start + pd.to_timedelta(day[trip], unit="D") + pd.to_timedelta(hour, unit="h")
    orders["quantity"] = 1 + trip % 2
    orders["revenue"] = 2.0 * orders["quantity"]
    orders["discount"] = np.where((trip + day[trip] // 7) % 3 == 0, 0.25, 0.0)
    ids = np.r_[np.arange(0, 48, 2), 1, 3, 9, 47]
    products = pd.DataFrame({"product_id": ids, "category": [f"C{i // 6}" for i in ids]})
    products.loc[products["product_id"].isin([1, 47]), "category"] = ["A NEW", "Z NEW"]
    products["department"] = np.where(ids < 24, "FRESH", "DRY")
    products["brand"] = np.where(ids % 4 == 0, "own", "other")
    return Shop(
        orders.drop_duplicates(["order_id", "product_id"]).sort_values("timestamp", ignore_index=True),
        products,
        customers=pd.DataFrame(
            {
                "customer_id": [*range(10, 401, 10), 5, 205, 405],
                "age": [*np.tile(["young", "old"], 20), "NEW", "NEW", "old"],
            }
        ),
        **_plans(rng, start),
    )


def _plans(rng: np.random.Generator, start: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """Promotions of a third of the products' weeks; campaigns with coupons, before and after the cutoff."""
    week, product = np.nonzero(rng.random((RICH_WEEKS, 24)) < 0.3)
    promotions = pd.DataFrame({"product_id": 2 * product, "week_start": start + pd.to_timedelta(week, "W")})
    promotions["display"] = rng.choice([0.25, 0.5], len(week))
    promotions["mailer"] = rng.choice([0.0, 1.0], len(week))
    campaigns = pd.DataFrame(
        {"customer_id": 10 * rng.integers(1, 41, 60), "campaign_id": np.arange(60) // 15}
    )
    campaigns["kind"] = "A"
    campaigns["start"] = start + pd.to_timedelta(6 * campaigns["campaign_id"] + 1, "W")
    campaigns["end"] = campaigns["start"] + pd.Timedelta("28D")
    coupons = pd.DataFrame({"coupon_id": np.arange(24), "campaign_id": np.arange(24) // 6})
    coupons["product_id"] = 2 * np.arange(24)
    used = campaigns.groupby("campaign_id").head(5).reset_index(drop=True)
    redemptions = used[["customer_id", "campaign_id"]].assign(coupon_id=6 * used["campaign_id"])
    redemptions["date"] = used["start"] + pd.Timedelta("9D")
    campaigns = campaigns.drop_duplicates(["customer_id", "campaign_id"], ignore_index=True)
    return {
        "promotions": promotions,
        "campaigns": campaigns,
        "coupons": coupons,
        "redemptions": redemptions.drop_duplicates(ignore_index=True),
    }
