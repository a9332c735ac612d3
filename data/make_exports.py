"""Make `data/exports/`: one invented shop as four systems would export it.

    python data/make_exports.py

Every name, address and number is invented; nothing can be learnt from them but how exports look and what
hides in them: guests, cancelled orders, returns, gift cards, a second currency, a test order of 1999, times
with an offset, decimal commas. The same seed gives the same bytes. The shop's truth: Fridays and Saturdays
sell twice as much as other days, Sundays nothing; each customer comes on a rhythm and has three favourites.
"""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).resolve().parent / "exports"
FIRST_DAY, WEEKS, CUSTOMERS = pd.Timestamp("2023-01-02"), 52, 70
SHELVES = {
    "Bread": [("Rye loaf", 4.2), ("Wheat loaf", 3.8), ("Baguette", 2.4), ("Focaccia", 5.5)],
    "Cake": [("Apple cake", 3.9), ("Cheesecake", 4.4), ("Brownie", 2.9)],
    "Coffee": [("Espresso beans 250 g", 8.5), ("Filter coffee 500 g", 11.9), ("Decaf 250 g", 8.9)],
    "Pantry": [("Plum jam", 4.6), ("Honey 500 g", 7.2), ("Olive oil 0.5 l", 9.8), ("Sea salt", 2.1)],
}
PRODUCTS = [(name, price, shelf) for shelf, items in SHELVES.items() for name, price in items]
GIFT = ("Gift card 25", 25.0, "Gift cards")


def invent(seed: int = 7) -> pd.DataFrame:
    """Return order lines: order, customer (0 for a guest), moment, name, price, shelf, quantity, discount."""
    rng = np.random.default_rng(seed)
    rhythm, favourites = rng.uniform(5, 40, CUSTOMERS), rng.integers(0, len(PRODUCTS), (CUSTOMERS, 3))
    weight = np.array([1, 1, 1, 1, 2, 2, 0]) / 8 * 7
    rows, order = [], 1000
    for day in range(7 * WEEKS):
        comes = np.flatnonzero(rng.random(CUSTOMERS) < weight[day % 7] / rhythm)
        guests = rng.poisson(1.2 * weight[day % 7])
        for customer in [*(comes + 1), *[0] * guests]:
            order += 1
            moment = FIRST_DAY + pd.Timedelta(days=day, minutes=int(rng.integers(480, 1110)))
            mine = favourites[customer - 1] if customer else rng.integers(0, len(PRODUCTS), 3)
            picks = {int(p) for p in rng.choice(mine, rng.integers(1, 4))} | {
                int(rng.integers(len(PRODUCTS)))
            }
            off = 0.1 if rng.random() < 0.08 else 0.0
            for pick in sorted(picks):
                name, price, shelf = PRODUCTS[pick]
                quantity = int(1 + rng.poisson(0.4))
                cut = round(off * price * quantity, 2)
                rows.append((order, customer, moment, name, price, shelf, quantity, cut))
            if rng.random() < 0.01:
                rows.append((order, customer, moment, *GIFT, 1, 0.0))
    names = ["order", "customer", "moment", "name", "price", "shelf", "quantity", "discount"]
    lines = pd.DataFrame(rows, columns=names)
    code = {name: f"{n:03d}" for n, (name, *_) in enumerate(PRODUCTS, 1)}
    return lines.assign(gross=(lines["price"] * lines["quantity"]).round(2), code=lines["name"].map(code))


def shopify(lines: pd.DataFrame) -> pd.DataFrame:
    """Newest first; an order's facts stand in its first row only; the last weeks: the file is small."""
    lines = lines[lines["moment"] >= FIRST_DAY + pd.Timedelta(weeks=45)]
    lines = lines.sort_values("order", ascending=False, kind="stable")
    first, order = ~lines.duplicated("order"), lines["order"]
    total, off = (lines.groupby("order")[name].transform("sum").round(2) for name in ("gross", "discount"))
    local = lines["moment"].dt.tz_localize("America/New_York").dt.strftime("%Y-%m-%d %H:%M:%S %z")
    mail = "person" + lines["customer"].astype(str) + "@example.org"
    facts = {
        "Email": mail.where(lines["customer"] > 0, ""),
        "Financial Status": np.where(
            order % 41 == 0, "refunded", np.where(order % 53 == 0, "voided", "paid")
        ),
        "Currency": np.where(order % 97 == 0, "CAD", "USD"),
        "Subtotal": (total - off).round(2),
        "Discount Amount": off,
        "Created at": local,
        "Cancelled at": local.where(order % 53 == 0, ""),
        "Refunded Amount": (total - off).where(order % 41 == 0, 0.0).round(2),
    }
    table = pd.DataFrame(
        {"Name": "#" + order.astype(str), **{k: pd.Series(v, lines.index) for k, v in facts.items()}}
    )
    table[list(facts)] = table[list(facts)].where(first, other=np.nan)
    lineitem = {"quantity": lines["quantity"], "name": lines["name"], "price": lines["price"]}
    lineitem["sku"] = lines["code"].where(lines["name"] != "Brownie", "").fillna("")
    table = table.assign(
        **{f"Lineitem {name}": values for name, values in lineitem.items()}, Vendor=lines["shelf"]
    )
    return table.assign(Id=order.where(first, "").astype(str))


def woocommerce(lines: pd.DataFrame) -> pd.DataFrame:
    """One row an item; customer 0 is a guest; one test order is dated 1999."""
    order, moment = lines["order"], lines["moment"].dt.strftime("%Y-%m-%d %H:%M:%S")
    status = np.where(order % 47 == 0, "cancelled", np.where(order % 61 == 0, "refunded", "completed"))
    return pd.DataFrame(
        {
            "order_id": order,
            "date": moment.where(order != order.iloc[0], "1999-01-01 00:00:00"),
            "status": status,
            "order_currency": "USD",
            "customer_id": lines["customer"],
            "item_id": np.arange(1, len(lines) + 1),
            "item_product_id": lines["code"].fillna("900"),
            "item_name": lines["name"],
            "item_quantity": lines["quantity"],
            "item_subtotal": lines["gross"],
            "item_total": (lines["gross"] - lines["discount"]).round(2),
            "item_refunded": (lines["gross"] - lines["discount"]).where(order % 61 == 0, 0.0).round(2),
        }
    )


def square(lines: pd.DataFrame) -> pd.DataFrame:
    """A till's items: dollar signs, a time of its own, refunds as lines with a minus."""
    back = lines[lines["order"] % 59 == 0].assign(
        quantity=lambda t: -t["quantity"], gross=lambda t: -t["gross"]
    )
    back = back.assign(discount=0.0, order=back["order"].astype(str) + "R", kind="Refund")
    lines = pd.concat([lines.assign(kind="Payment", order=lines["order"].astype(str)), back])
    lines = lines.sort_values("moment", ascending=False, kind="stable")

    def money(values: pd.Series) -> pd.Series:
        return values.map(lambda v: f"-${-v:,.2f}" if v < 0 else f"${abs(v):,.2f}")

    return pd.DataFrame(
        {
            "Date": lines["moment"].dt.strftime("%Y-%m-%d"),
            "Time": lines["moment"].dt.strftime("%H:%M:%S"),
            "Time Zone": "Eastern Time (US & Canada)",
            "Category": lines["shelf"],
            "Item": lines["name"],
            "Qty": lines["quantity"].astype(float),
            "SKU": lines["code"].fillna(""),
            "Gross Sales": money(lines["gross"]),
            "Discounts": money(-lines["discount"]),
            "Net Sales": money(lines["gross"] - lines["discount"]),
            "Transaction ID": "T" + lines["order"],
            "Event Type": lines["kind"],
            "Customer ID": ("K" + lines["customer"].astype(str)).where(lines["customer"] > 0, ""),
        }
    )


def invoices(lines: pd.DataFrame) -> str:
    """An unknown flat file: decimal commas, semicolons, a line above the header, days before months."""
    lines = lines[lines["moment"] >= FIRST_DAY + pd.Timedelta(weeks=43)]
    table = pd.DataFrame(
        {
            "Belegnr": "R" + lines["order"].astype(str),
            "Kundennr": lines["customer"].map("{:05d}".format).where(lines["customer"] > 0, ""),
            "Artikelnr": lines["code"].fillna("GUT"),
            "Bezeichnung": lines["name"].str.replace("Apple cake", "Käsekuchen"),
            "Warengruppe": lines["shelf"],
            "Datum": lines["moment"].dt.strftime("%d.%m.%Y %H:%M"),
            "Menge": lines["quantity"],
            "Einzelpreis": lines["price"].map(lambda v: f"{v:.2f}".replace(".", ",")),
        }
    )
    return "Umsatzliste 2023\n" + table.to_csv(index=False, sep=";")


def main() -> None:
    """Write the four files."""
    FOLDER.mkdir(exist_ok=True)
    lines = invent()
    (FOLDER / "shopify_orders.csv").write_text(
        shopify(lines).to_csv(index=False), encoding="utf-8", newline=""
    )
    for name, make in (("woocommerce_items", woocommerce), ("square_items", square)):
        text = make(lines).to_csv(index=False).encode()
        (FOLDER / f"{name}.csv.gz").write_bytes(gzip.compress(text, mtime=0))
    (FOLDER / "umsatzliste.csv").write_bytes(invoices(lines).encode("cp1252"))


if __name__ == "__main__":
    main()
