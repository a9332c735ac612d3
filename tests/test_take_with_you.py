"""Each lesson's take-with-you cell runs alone, in a fresh kernel, and on another shop than the course's."""

import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
from test_small_shops import SHOPS, invented_shop, one_sentence

import ecomlib
from ecomlib.shop import Shop, ShopError
from tools.notebooks import NOTEBOOKS, find

LESSONS = [path for path in find() if path.parent == NOTEBOOKS]


@pytest.mark.slow
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_it_runs_alone(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if "take-with-you" in cell.metadata.get("tags", []):
            notebook = nbformat.v4.new_notebook(cells=[cell])
            place = {"metadata": {"path": str(path.parent)}}
            nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()


# -------------------------------------------------------------------------------------------- on a small shop


def cell_of(path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return next(cell.source for cell in cells if "take-with-you" in cell.metadata.get("tags", []))


TAKES_A_SHOP = [path for path in LESSONS if "load_complete_journey()" in cell_of(path)]


ASSERTED = ("", "the shop is too short for these", "a list of ten would hold every item")


def many_products(n_weeks: int) -> Shop:
    """An invented shop of 40 customers that sells, beside its eight products, 60 rarer ones."""
    shop, rng = invented_shop(n_weeks), np.random.default_rng(0)
    usual = shop.orders["product_id"].to_numpy()
    rare = rng.random(len(usual)) < 0.1
    product = np.where(rare, 8 + rng.integers(60, size=len(usual)), usual)
    number = np.arange(68)
    names = {"product_type": [f"T{i}" for i in number], "category": [f"C{i // 2}" for i in number]}
    return Shop(
        shop.orders.assign(product_id=product),
        pd.DataFrame({"product_id": number, **names, "department": "ALL"}),
    )


@pytest.mark.parametrize("path", TAKES_A_SHOP, ids=lambda path: path.stem)
def test_the_cell_imports_the_reader_that_its_comment_names(path):
    place: dict = {}
    imports = [line for line in cell_of(path).splitlines() if line.startswith(("import", "from"))]
    exec("\n".join(imports), place)
    assert "open_shop" in place or "ecomlib.open_shop" in cell_of(path)


@pytest.mark.slow
@pytest.mark.parametrize("shop", [*SHOPS, "68 products"])
@pytest.mark.parametrize("path", TAKES_A_SHOP, ids=lambda path: path.stem)
def test_it_runs_on_another_shop_or_says_in_one_sentence_why_not(path, shop, monkeypatch):
    made = many_products(104) if shop == "68 products" else SHOPS[shop]()
    monkeypatch.setattr(ecomlib, "load_complete_journey", lambda: made, raising=False)
    said = ""
    try:
        exec(cell_of(path), {"__name__": "taken"})
    except (ShopError, AssertionError) as refused:
        said = str(refused) or "an assert without a word"
    if shop == "68 products":
        assert said == ""
    assert said in ASSERTED or one_sentence(said)
