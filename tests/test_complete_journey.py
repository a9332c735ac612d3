"""The running shop's loader, on a folder of a few invented lines: clock, first Monday, share of stores."""

import datetime

import pandas as pd
import pytest

from ecomlib.shop import complete_journey
from ecomlib.shop.complete_journey import CLOSED, HOLIDAYS, load_complete_journey

TABLES = {
    "transactions": {
        "household_id": [7, 7, 8],
        "basket_id": [1, 1, 2],
        "product_id": [100, 200, 100],
        # 03:30 UTC is the evening before in New York, in winter five and in summer four hours earlier
        "transaction_timestamp": pd.to_datetime(["2017-01-02 03:30", "2017-01-02 03:30", "2017-07-04 03:30"]),
        "quantity": [1, 2, 1],
        "sales_value": [4.0, 3.0, 5.0],
        "retail_disc": [1.0, 0.0, 0.5],
        "coupon_match_disc": [0.0, 0.25, 0.0],
        "coupon_disc": [0.0, 0.75, 0.0],
        "store_id": [10, 10, 20],
    },
    "products": {
        "product_id": [100, 200],
        "product_category": ["TEA", "BREAD"],
        "department": ["GROCERY", "GROCERY"],
        "brand": ["National", "Private"],
        "product_type": ["GREEN TEA", "LOAF"],
    },
    "demographics": {"household_id": [8], "age": ["45-54"]},
    "campaigns": {"household_id": [7], "campaign_id": [3]},
    "campaign_descriptions": {
        "campaign_id": [3],
        "campaign_type": ["Type A"],
        "start_date": pd.to_datetime(["2017-03-06"]),
        "end_date": pd.to_datetime(["2017-04-09"]),
    },
    "coupons": {"coupon_upc": [55, 55], "product_id": [100, 100], "campaign_id": [3, 3]},
    "coupon_redemptions": {
        "household_id": [7],
        "coupon_upc": [55],
        "campaign_id": [3],
        "redemption_date": pd.to_datetime(["2017-03-10"]),
    },
    # Week 1: two stores have rows, one shows product 100. Week 2: one store has rows, and it shows it.
    "promotions": {
        "product_id": [100, 200, 100, 100],
        "store_id": [10, 20, 10, 10],
        "week": [1, 1, 2, 2],
        "display_location": ["3", "0", "3", "3"],
        "mailer_location": ["0", "A", "0", "0"],
    },
}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    for name, columns in TABLES.items():
        pd.DataFrame(columns).to_parquet(tmp_path / f"{name}.parquet", index=False)
    monkeypatch.setattr(complete_journey, "data_file", lambda table: tmp_path / f"{table}.parquet")
    monkeypatch.setenv("ECOM_CACHE", str(tmp_path / "cache"))
    return load_complete_journey()


def test_the_clock_is_that_of_the_stores(shop):
    assert shop.orders["timestamp"].tolist() == [
        pd.Timestamp("2017-01-01 22:30"),
        pd.Timestamp("2017-01-01 22:30"),
        pd.Timestamp("2017-07-03 23:30"),
    ]


def test_revenue_is_what_the_shop_received(shop):
    assert shop.orders["revenue"].tolist() == [4.0, 3.0, 5.0]
    assert shop.orders["discount"].tolist() == [1.0, 0.25, 0.5]
    assert shop.orders["manufacturer_coupon"].tolist() == [0.0, 0.75, 0.0]


def test_promotions_are_shares_of_the_stores_open_that_week_dated_by_mondays(shop):
    found = {
        (row.product_id, str(row.week_start.date())): (row.display, row.mailer)
        for row in shop.promotions.itertuples()
    }
    assert found == {
        (100, "2016-12-26"): (0.5, 0.0),
        (200, "2016-12-26"): (0.0, 0.5),
        (100, "2017-01-02"): (1.0, 0.0),  # a row that stands twice counts once
    }


def test_every_customer_and_every_coupon_once(shop):
    assert shop.customers["customer_id"].tolist() == [7, 8]
    assert shop.customers["age"].isna().tolist() == [True, False]
    assert len(shop.coupons) == 1 and shop.campaigns["kind"].tolist() == ["Type A"]


def test_the_calendar_of_the_year():
    quiet, busy = ({d: name for d, name in part.items() if d.year == 2017} for part in HOLIDAYS)
    assert sorted(quiet) == [
        datetime.date(2017, 4, 16),
        datetime.date(2017, 11, 23),
        datetime.date(2017, 12, 25),
    ]
    assert sorted(busy) == [
        datetime.date(2017, 1, 1),
        datetime.date(2017, 5, 29),
        datetime.date(2017, 7, 4),
        datetime.date(2017, 9, 4),
    ]
    assert CLOSED == ((12, 25),)
