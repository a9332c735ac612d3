"""Each lesson's take-with-you cell runs alone, and on another shop than the course's."""

import io

import nbformat
import numpy as np
import pandas as pd
import pytest
from test_small_shops import SHOPS, invented_shop, one_sentence

import ecomlib
from ecomlib import open_shop, sales
from ecomlib.runtime import ROOT
from ecomlib.shop import Shop, ShopError
from tools.notebooks import NOTEBOOKS, find

LESSONS = [path for path in find() if path.parent == NOTEBOOKS]


def cell_of(path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return next(cell.source for cell in cells if "take-with-you" in cell.metadata.get("tags", []))


@pytest.fixture
def one_member(monkeypatch):
    """A sales network of one member in place of three: tracing its graph takes most of lesson 62's cell."""
    seed, _, *rest = sales.SalesLSTM.__init__.__defaults__
    monkeypatch.setattr(sales.SalesLSTM.__init__, "__defaults__", (seed, 1, *rest))


@pytest.mark.slow
@pytest.mark.usefixtures("one_member")
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_it_runs_alone(path, monkeypatch):
    """With nothing that the lesson's other cells made; fresh kernels would cost minutes of imports."""
    monkeypatch.chdir(path.parent)
    exec(cell_of(path), {"__name__": "__main__"})


# -------------------------------------------------------------------------------------------- on a small shop


def taken(number: str) -> dict:
    """Return the names that a lesson's cell to take away defines."""
    place: dict = {}
    exec(cell_of(next(path for path in LESSONS if path.stem.startswith(number))), place)
    return place


def weekly_csv(n_days: int) -> io.StringIO:
    """Write a file of two departments whose every fourth week is twice as large as the others."""
    days = pd.date_range("2024-01-01", periods=n_days)
    rows = [f"{d:%Y-%m-%d},{n},{k * (1 + (i // 7 % 4 == 0))}" for i, d in enumerate(days) for n, k in SIZES]
    return io.StringIO("\n".join(["date,name,amount", *rows]))


SIZES = (("tea", 9), ("jam", 4))


@pytest.mark.slow
def test_the_cell_of_lesson_14_takes_a_csv_and_beats_the_mean_of_four_weeks():
    import keras

    keras.utils.set_random_seed(0)
    network, mean = taken("14")["lstm_on_csv"](weekly_csv(364))
    assert mean == pytest.approx(0.3) and network < 0.9 * mean
    with pytest.raises(AssertionError, match="give more weeks"):
        taken("14")["lstm_on_csv"](weekly_csv(140))


@pytest.mark.slow
def test_the_checks_of_lesson_17_find_a_second_softmax():
    import keras

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4, 2)), rng.integers(5, size=60)
    last = [keras.layers.Dense(5, activation="softmax"), keras.layers.Softmax()]
    model = keras.Sequential([keras.Input((4, 2)), keras.layers.LSTM(8), *last])
    model.compile("adam", "sparse_categorical_crossentropy")
    told = taken("17")["diagnose"](model, x, y, epochs=5)
    assert told["by heart"] > 0.9 and abs(told["start"] - np.log(5)) < 0.3  # 0.9: e / (e + 4)
    with pytest.raises(ValueError, match="not finite"):
        taken("17")["diagnose"](model, np.full_like(x, np.nan), y)


TAKES_A_SHOP = [path for path in LESSONS if "open_shop" in cell_of(path)]
EXPORTS = ("square_items.csv.gz", "woocommerce_items.csv.gz")  # two of the invented ones


ASSERTED = (
    "the shop is too short for these",
    "a list of ten would hold every item",
    "too few days with sales",
)


MANY = "68 products"
# What must not be refused, beside the shop of 68 products.
RUNS = dict.fromkeys(("15", "62"), ("104 weeks", "sample shop", *EXPORTS))


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


def shop_named(name: str) -> Shop:
    """A small or odd shop, one of many products, or an export as `open_shop` reads it."""
    if name in EXPORTS:
        return open_shop(ROOT / "data" / "exports" / name)
    return many_products(104) if name == MANY else SHOPS[name]()


@pytest.mark.slow
@pytest.mark.usefixtures("one_member")
@pytest.mark.parametrize("shop", [*SHOPS, MANY, *EXPORTS])
@pytest.mark.parametrize("path", TAKES_A_SHOP, ids=lambda path: path.stem)
def test_it_runs_on_another_shop_or_says_in_one_sentence_why_not(path, shop, monkeypatch, tmp_path):
    made = shop_named(shop)
    monkeypatch.setattr(ecomlib, "load_complete_journey", lambda: made, raising=False)
    monkeypatch.setattr(ecomlib, "open_shop", lambda *paths, **options: made, raising=False)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")  # what a cell writes beside the notebooks is thrown away
    said = ""
    try:
        exec(cell_of(path), {"__name__": "taken"})
    except (ShopError, AssertionError) as refused:
        said = str(refused) or "an assert without a word"
    if shop in (MANY, *RUNS.get(path.stem[:2], ())):
        assert said == ""
    assert said == "" or said in ASSERTED or one_sentence(said)
