"""Cleaning: nothing vanishes unreported, a second pass finds nothing, missing names get a name."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomlib.shop import Shop, TooShort
from ecomlib.shop.cleaning import clean

LINES = st.lists(
    st.tuples(
        st.integers(1, 4),  # customer
        st.sampled_from(["tea", "fuel", "pen", "ghost"]),
        st.integers(0, 48),  # hour
        st.integers(0, 3),  # quantity
        st.sampled_from([0.0, 1.5, 20.0]),
    ),
    min_size=1,
    max_size=30,
)


def make_shop(lines) -> Shop:
    orders = pd.DataFrame(lines, columns=["customer_id", "product_id", "hour", "quantity", "revenue"])
    hour = pd.to_timedelta(orders.pop("hour"), unit="h")
    orders = orders.assign(
        order_id=range(len(orders)), timestamp=pd.Timestamp("2024-03-01") + hour, discount=0.0
    )
    products = pd.DataFrame(
        {
            "product_id": ["tea", "fuel", "pen"],
            "category": pd.Categorical(["DRINKS", "FUEL", None]),
            "department": ["GROCERY", "FUEL", "DRUG GM"],
        }
    )
    return Shop(orders, products)


@settings(max_examples=25)
@given(LINES.filter(lambda lines: any(q > 0 and p in ("tea", "pen") for _, p, _, q, _ in lines)))
def test_every_line_is_kept_or_reported(lines):
    shop = make_shop(lines)
    cleaned, report = clean(shop)
    assert len(cleaned.orders) + report["lines"].sum() == len(shop.orders)
    assert cleaned.orders["revenue"].sum() + report["revenue"].sum() == pytest.approx(
        shop.orders["revenue"].sum()
    )
    assert set(cleaned.orders["product_id"]) <= {"tea", "pen"}
    assert cleaned.orders["timestamp"].is_monotonic_increasing
    again, second = clean(cleaned)
    assert second["lines"].sum() == 0
    pd.testing.assert_frame_equal(again.orders, cleaned.orders)


def test_a_missing_category_is_named_and_the_input_left_alone():
    shop = make_shop([(1, "pen", 0, 1, 2.0)])
    cleaned, _ = clean(shop)
    assert list(cleaned.products["category"]) == ["DRINKS", "FUEL", "UNKNOWN"]
    assert shop.products["category"].isna().sum() == 1


def test_a_line_exported_twice_counts_once():
    shop = make_shop([(1, "tea", 0, 1, 2.0)])
    twice = shop.with_tables(orders=pd.concat([shop.orders, shop.orders], ignore_index=True))
    cleaned, report = clean(twice)
    assert len(cleaned.orders) == 1
    assert report.set_index("step").loc["repeated line", "lines"] == 1


def test_fuel_can_be_kept():
    cleaned, _ = clean(make_shop([(1, "fuel", 0, 30, 40.0)]), not_goods=None)
    assert len(cleaned.orders) == 1


def test_nothing_left_is_said():
    with pytest.raises(TooShort, match="no line is left"):
        clean(make_shop([(1, "tea", 0, 0, 0.0)]))
