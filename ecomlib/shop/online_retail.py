"""The course's second shop: Online Retail, two years of a British web shop for gifts, as it was exported.

Published by Daqing Chen (UCI Machine Learning Repository 352 and 502, CC BY 4.0); the files and their source
stand in `data/online_retail`.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ecomlib.runtime import ROOT
from ecomlib.shop.opening import open_shop
from ecomlib.shop.shop import Shop

# Last words that say how a thing looks, not what it is.
NO_THINGS = {"PINK", "BLUE", "RED", "WHITE", "GREEN", "BLACK", "IVORY", "CREAM", "SILVER", "GOLD", "SPOT"}
NO_THINGS |= {"SMALL", "LARGE", "MEDIUM", "MINI", "SET", "SETS", "DESIGN", "SPOTS", "ASSORTED", "PACK"}
FOLDER = ROOT / "data" / "online_retail"


def load_online_retail(n_categories: int = 40, **switches: Any) -> Shop:
    """Load Online Retail, both years, cleaned as `open_shop` does it.

    Parameters
    ----------
    n_categories : int
        The export has no categories. A product's is the last word of its name, of the words that occur last
        in most products, such as BAG, HEART, CANDLE; "OTHER" for the rest. Names alone decide, never sales.
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
    category = word_categories(products["name"], n_categories)
    object.__setattr__(
        shop, "products", products.assign(category=category)
    )  # keeps the report, checks nothing anew
    return shop


def word_categories(names: Iterable[object], n: int) -> list[str]:
    """The last word of each name that says a thing, of the n - 1 such words most names end with, or "OTHER".

    Examples
    --------
    >>> word_categories(["RED BAG", "BLUE BAGS", "BAG FOR TEA", "CUP"], 2)
    ['BAG', 'BAG', 'BAG', 'OTHER']
    """
    words = [re.findall(r"[A-Z]{3,}", str(name).upper()) for name in names]
    words = [[re.sub(r"(?<![AS])S$", "", word) for word in row if word not in NO_THINGS] for row in words]
    common = {word for word, _ in Counter(row[-1] for row in words if row).most_common(n - 1)}
    return [next((word for word in row[::-1] if word in common), "OTHER") for row in words]
