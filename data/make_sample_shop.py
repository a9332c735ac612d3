"""Make `data/sample_shop/`: a tiny invented tea shop in the course's own layout.

    python data/make_sample_shop.py

Every number is invented: the files show the layout and serve the tests. The same seed gives the same
bytes. Customers come on their own rhythm, buy their favourites, and buy more of what is in the mailer.
"""

from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).resolve().parent / "sample_shop"
FIRST_DAY, WEEKS = pd.Timestamp("2024-01-01"), 30
ASSORTMENT = {
    ("TEA", "BLACK TEA"): ["Assam", "Ceylon", "Darjeeling", "Earl Grey", "English Breakfast"],
    ("TEA", "GREEN TEA"): ["Sencha", "Gunpowder", "Jasmine", "Genmaicha"],
    ("TEA", "HERBAL TEA"): ["Chamomile", "Peppermint", "Rooibos", "Fennel"],
    ("FOOD", "BISCUITS"): ["Shortbread", "Ginger Nuts", "Oat Cookies", "Digestives"],
    ("FOOD", "HONEY"): ["Acacia Honey", "Heather Honey", "Forest Honey"],
    ("HOME", "TEAWARE"): ["Mug", "Teapot", "Strainer", "Tin"],
}
PRICES = {
    "BLACK TEA": 5.5,
    "GREEN TEA": 6.9,
    "HERBAL TEA": 4.2,
    "BISCUITS": 3.1,
    "HONEY": 7.5,
    "TEAWARE": 14.0,
}


def make(seed: int = 7, n_customers: int = 60) -> dict[str, pd.DataFrame]:
    """Invent all seven tables; a dict of table name to DataFrame."""
    rng = np.random.default_rng(seed)
    products = _products()
    promotions = _promotions(rng, products)
    customers = _customers(rng, n_customers)
    campaigns, coupons, redemptions = _marketing(rng, customers, products)
    orders = _orders(rng, customers, products, promotions)
    return {
        "orders": orders,
        "products": products,
        "promotions": promotions,
        "customers": customers,
        "campaigns": campaigns,
        "coupons": coupons,
        "redemptions": redemptions,
    }


def _products() -> pd.DataFrame:
    rows = [
        (name, category, department, "Own" if i % 2 else "Leaf & Co")
        for (department, category), names in ASSORTMENT.items()
        for i, name in enumerate(names)
    ]
    products = pd.DataFrame(rows, columns=["product_type", "category", "department", "brand"])
    products.insert(0, "product_id", [f"P{n:03d}" for n in range(1, len(products) + 1)])
    return products


def _promotions(rng, products) -> pd.DataFrame:
    weeks = pd.date_range(FIRST_DAY, periods=WEEKS, freq="7D")
    rows = []
    for week in weeks:
        for product in rng.choice(products["product_id"], size=3, replace=False):
            rows.append((product, week, rng.choice([0.0, 0.5, 1.0]), rng.choice([0.5, 1.0])))
    return pd.DataFrame(rows, columns=["product_id", "week_start", "display", "mailer"])


def _customers(rng, n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": np.arange(1, n + 1),
            "since": FIRST_DAY + pd.to_timedelta(rng.integers(0, 60, n), unit="D"),
            "household_size": rng.choice(["1", "2", "3+", ""], n),  # unknown is the normal case
        }
    )


def _marketing(rng, customers, products) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    spans = {"C1": ("welcome", "2024-02-05", "2024-03-03"), "C2": ("summer", "2024-06-03", "2024-06-30")}
    campaigns, coupons, redemptions = [], [], []
    for n, (campaign, (kind, start, end)) in enumerate(spans.items()):
        reached = rng.choice(customers["customer_id"], size=25, replace=False)
        campaigns += [(int(c), campaign, kind, pd.Timestamp(start), pd.Timestamp(end)) for c in reached]
        coupon, product = f"K{n + 1}", products["product_id"].iloc[4 * n]
        coupons.append((coupon, campaign, product))
        for customer in rng.choice(reached, size=6, replace=False):
            date = pd.Timestamp(start) + pd.Timedelta(days=int(rng.integers(0, 28)))
            redemptions.append((int(customer), campaign, coupon, date))
    return (
        pd.DataFrame(campaigns, columns=["customer_id", "campaign_id", "kind", "start", "end"]),
        pd.DataFrame(coupons, columns=["coupon_id", "campaign_id", "product_id"]),
        pd.DataFrame(redemptions, columns=["customer_id", "campaign_id", "coupon_id", "date"]),
    )


def _orders(rng, customers, products, promotions) -> pd.DataFrame:
    promoted = promotions.groupby("week_start")["product_id"].agg(set)
    ids = products["product_id"].to_numpy()
    price = dict(zip(ids, products["category"].map(PRICES), strict=True))
    lines = []
    for customer, since in zip(customers["customer_id"], customers["since"], strict=True):
        taste = rng.dirichlet(np.full(len(ids), 0.25))  # a few favourites each
        gap = rng.uniform(4, 20)  # days between two visits, on average
        day = (since - FIRST_DAY).days + rng.exponential(gap)
        while day < 7 * WEEKS:
            when = FIRST_DAY + pd.Timedelta(days=int(day))
            in_mailer = promoted.get(when - pd.Timedelta(days=when.day_of_week), set())
            wish = taste * np.where([i in in_mailer for i in ids], 3.0, 1.0)
            n_lines = min(1 + rng.poisson(1.2), 6)
            when += pd.Timedelta(minutes=int(rng.integers(9 * 60, 19 * 60)))
            for product in np.sort(rng.choice(ids, size=n_lines, replace=False, p=wish / wish.sum())):
                off = 0.2 if product in in_mailer else 0.0
                units = 1 + rng.poisson(0.3)
                full = round(units * price[product], 2)
                lines.append((int(customer), when, product, units, full - round(full * off, 2), full * off))
            day += max(1.0, rng.exponential(gap))
    orders = pd.DataFrame(
        lines, columns=["customer_id", "timestamp", "product_id", "quantity", "revenue", "discount"]
    ).sort_values(["timestamp", "customer_id"], kind="stable", ignore_index=True)
    orders.insert(1, "order_id", orders.groupby(["timestamp", "customer_id"], sort=False).ngroup() + 1001)
    return orders.round({"revenue": 2, "discount": 2})


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for table, frame in make().items():
        stamp = "%Y-%m-%d %H:%M" if table == "orders" else "%Y-%m-%d"
        frame.to_csv(FOLDER / f"{table}.csv", index=False, date_format=stamp, lineterminator="\n")
        print(f"{table}.csv: {len(frame):,} rows")
