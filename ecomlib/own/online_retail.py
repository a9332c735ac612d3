"""The course's second shop: Online Retail, two years of a British web shop for gifts, as it was exported.

Published by Daqing Chen (UCI Machine Learning Repository 352 and 502, CC BY 4.0); the files and their source
stand in `data/online_retail`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ecomlib.own.opening import open_shop
from ecomlib.runtime import ROOT
from ecomlib.shop.shop import Shop

# Last words that say how a thing looks, not what it is.
NO_THINGS = {"PINK", "BLUE", "RED", "WHITE", "GREEN", "BLACK", "IVORY", "CREAM", "SILVER", "GOLD", "SPOT"}
NO_THINGS |= {"SMALL", "LARGE", "MEDIUM", "MINI", "SET", "SETS", "DESIGN", "SPOTS", "ASSORTED", "PACK"}
FOLDER = ROOT / "data" / "online_retail"


def load_online_retail(n_categories: int = 40, until: str | None = None, **switches: Any) -> Shop:
    """Load Online Retail, both years, cleaned as `open_shop` does it.

    Parameters
    ----------
    n_categories : int
        The export has no categories. A product's is the last word of its name, of the words that occur last
        in most products, such as BAG, HEART, CANDLE; "OTHER" for the rest. Names alone decide, never sales.
    until : date, optional
        Products that were first sold on this day or later do not choose the words.
    **switches
        As in `open_shop`.

    Returns
    -------
    Shop
        In pounds; closed on Saturdays (402 lines in two years). `orders["guest"]` marks the lines without
        a customer; `report` says what was left out.
    """
    shop = open_shop(sorted(FOLDER.glob("*.parquet")), name="Online Retail", currency="£", **switches)
    products = shop.products
    assert products is not None
    names, chosen = products["name"], None
    if until is not None:
        early = shop.orders["product_id"][shop.orders["timestamp"] < pd.Timestamp(until)]
        chosen = names[products["product_id"].isin(early)]
    products = products.assign(category=word_categories(names, n_categories, chosen))
    object.__setattr__(shop, "products", products)  # keeps the report, checks nothing anew
    return shop


def word_categories(names: Sequence[object], n: int, chosen: Sequence[object] | None = None) -> list[str]:
    """The last word of each name that says a thing, of the n - 1 such words most names end with, or "OTHER".

    `chosen` are the names that choose the words; default: all.

    Examples
    --------
    >>> word_categories(["RED BAG", "BLUE BAGS", "BAG FOR TEA", "CUP"], 2)
    ['BAG', 'BAG', 'BAG', 'OTHER']
    """
    ends = [row[-1] for row in map(_things, names if chosen is None else chosen) if row]
    common = {word for word, _ in Counter(ends).most_common(n - 1)}
    return [next((word for word in _things(name)[::-1] if word in common), "OTHER") for name in names]


def _things(name: object) -> list[str]:
    """The words of a name that may say what the thing is, without the plural's S."""
    words = re.findall(r"[A-Z]{3,}", str(name).upper())
    return [re.sub(r"(?<![AS])S$", "", word) for word in words if word not in NO_THINGS]
