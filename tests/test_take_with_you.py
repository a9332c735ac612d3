"""Each lesson's take-with-you cell runs alone, and on another shop than the course's.

nbval runs it on the course's shop, after the cells above it; here it stands in an empty namespace.
"""

import ast
import contextlib
import inspect
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import nbformat
import numpy as np
import pandas as pd
import pytest
from test_small_shops import SHOPS, invented_shop, one_sentence

import ecomlib
from ecomlib import open_shop, sales
from ecomlib.panels import monday_of
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


# ------------------------------------------------------------------- the other cells on the two small shops


@dataclass(frozen=True)
class Tables:
    """What a shop's owner can hand to a cell to take away, made of the order lines alone."""

    lines: pd.DataFrame
    daily: pd.Series  # revenue of every day, zero where the shop is closed
    weekly: np.ndarray  # revenue, (customers, weeks, categories)

    @classmethod
    def of(cls, shop: Shop) -> "Tables":
        lines = shop.orders.merge(shop.products, on="product_id")
        week = (lines["timestamp"] - monday_of(lines["timestamp"].min())).dt.days // 7
        places = [pd.factorize(lines[name], sort=True)[0] for name in ("customer_id", "category")]
        weekly = np.zeros([1 + values.max() for values in (places[0], week, places[1])])
        np.add.at(weekly, (places[0], week, places[1]), lines["revenue"])
        daily = lines.resample("D", on="timestamp")["revenue"].sum()
        return cls(lines.assign(week=week), daily, weekly)

    @property
    def bought(self) -> np.ndarray:
        """Whether a customer bought anything in a week, 0 or 1; (customers, weeks)."""
        return (self.weekly.sum(axis=2) > 0) * 1.0

    @property
    def open_days(self) -> pd.Series:
        """Revenue of the days on which the shop sold."""
        return self.daily[self.daily > 0]

    @property
    def band(self) -> np.ndarray:
        """Quantiles of the open days of the same weekday; (open days, 3)."""
        days = self.open_days.groupby(self.open_days.index.day_of_week)
        return np.column_stack([days.transform("quantile", q) for q in (0.1, 0.5, 0.9)])


def csv_of(table: pd.DataFrame) -> io.StringIO:
    return io.StringIO(table.to_csv(index=False))


def days_of(shop: Tables) -> pd.DataFrame:
    """Date, name and amount of every order line, as lesson 14 asks for them."""
    names = {"timestamp": "date", "category": "name", "revenue": "amount"}
    return shop.lines[list(names)].rename(columns=names).assign(date=lambda t: t["date"].dt.normalize())


def printed(number: str, **own: object) -> str:
    """What a cell prints with a shop's own values in the place of those that it invents."""
    tree = ast.parse(cell_of(next(path for path in LESSONS if path.stem.startswith(number))))
    given = [n for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") in own]
    assert len(given) == len(own), f"lesson {number} no longer invents {', '.join(own)}"
    tree.body = [node for node in tree.body if node not in given]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(tree, number, "exec"), dict(own))
    return out.getvalue()


def mixed(s: Tables) -> object:
    """A forecast of lesson 54's network: weeks, the baskets of two customers, and one number."""
    categories = s.weekly.shape[2]
    sets = (s.weekly.sum(axis=1) > 0) * 1.0
    net = taken("54")["mixed_network"](s.weekly.shape[1], categories, categories, 1)
    return net({"weeks": s.weekly, "set_a": sets, "set_b": sets[::-1], "numbers": sets[:, :1]})


def of_keras(number: str, s: Tables) -> object:
    """What the layers of lessons 12 and 13 answer, and a network's checks of lesson 17."""
    import keras

    _, weeks, categories = s.weekly.shape
    if number == "12":
        return taken("12")["chrono_lstm"](4, categories, weeks)(s.weekly)
    if number == "13":
        layer = keras.layers.LSTM(4)
        last = layer(s.weekly / s.weekly.max())
        every = taken("13")["gates_of"](layer, s.weekly / s.weekly.max())
        np.testing.assert_allclose(every["h"][:, -1], last, atol=1e-5)
        return np.stack(list(every.values()))
    x = s.weekly[:, -10:-1]
    model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.LSTM(4), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return list(taken("17")["diagnose"](model, x, s.bought[:, -1], epochs=1).values())


ON_TABLES: dict[str, Callable[[Tables], object]] = {
    "00": lambda s: taken("00")["score_weekday_mean"](s.daily, np.random.default_rng(0)),
    "10": lambda s: taken("10")["next_column"](s.weekly.sum(axis=0).T, epochs=1),
    "11": lambda s: printed("11", EXPORT=s.lines.to_csv(index=False)),
    "12": partial(of_keras, "12"),
    "13": partial(of_keras, "13"),
    "14": lambda s: taken("14")["lstm_on_csv"](csv_of(days_of(s))),
    "16": lambda s: printed("16", my_file=csv_of(s.lines)),
    "17": partial(of_keras, "17"),
    "21": lambda s: taken("21")["weekday_mean_wape"](s.open_days),
    "22": lambda s: taken("22")["conformal"](s.band, s.band, s.open_days.to_numpy()),
    "23": lambda s: taken("23")["order_quantity"](s.band, 0.45, 0.05),
    "31": lambda s: taken("31")["smoothed_frequency"](s.bought, np.maximum.accumulate(s.bought, axis=1)),
    "32": lambda s: printed(
        "32", my_group=s.weekly.sum(axis=1).argmax(axis=1), my_week=0, my_bought=s.bought
    ),
    "33": lambda s: taken("33")["paired"](
        s.lines["revenue"], s.lines["revenue"].mean(), s.lines["customer_id"]
    ),
    "51": lambda s: list(
        taken("51")["compare_cells"](s.weekly[:, -14:-1], s.bought[:, -1], rates=(0.01,), epochs=1).values()
    ),
    "52": lambda s: taken("52")["few_numbers"](
        s.lines["customer_id"], s.lines["week"], s.lines["product_id"], last=15
    ),
    "53": lambda s: taken("53")["channels_of"](np.where(s.bought > 0, s.weekly.sum(axis=2), np.nan)),
    "54": mixed,
    "55": lambda s: taken("55")["against"](s.weekly[:, :10].reshape(-1, 5), s.weekly[:, 10:].reshape(-1, 5)),
    "56": lambda s: list(
        taken("56")["sums_of_files"](
            [part for _, part in s.lines.groupby("week")], ["customer_id", "category"], "revenue"
        )
    ),
    "61": lambda s: printed("61", my_table=s.daily.rename("sales").rename_axis("day").reset_index()),
}
REFUSES = {
    ("14", "20 weeks"): "give more weeks",
    ("16", "20 weeks"): "139 days; give at least 168",
    ("61", "20 weeks"): "too few days",
}


BAND, SALES = np.tile([85.0, 100, 115], (60, 1)), np.random.default_rng(0).normal(100, 20, 60)
DAILY = pd.Series(np.arange(140.0) % 7 + 1, pd.date_range("2024-01-01", periods=140))
ONES = np.ones((3, 9))
WRONG: dict[str, tuple[str, tuple, str]] = {
    "a day is missing": ("21", (DAILY.where(DAILY.index != "2024-03-01"),), "a number is missing"),
    "weekly totals": ("21", (DAILY.resample("W").sum(),), "give daily sales of 16 weeks or more"),
    "a band with a gap": ("22", (np.where(BAND == 85, np.nan, BAND), BAND, SALES), "a number is missing"),
    "an old band with a gap": ("22", (BAND, BAND + [np.nan, 0, 0], SALES), "a number is missing"),
    "sales with a gap": ("22", (BAND, BAND, np.r_[np.nan, SALES[1:]]), "a number is missing"),
    "a band without width": ("22", (BAND, BAND * 0, SALES), "the band has no width"),
    "no costs": ("23", (BAND, 0, 0), "give two costs above 0"),
    "two negative costs": ("23", (BAND, -0.5, -0.5), "give two costs above 0"),
    "an order outside the band": ("23", (BAND, 0.98, 0.02), "no order at the 98% quantile of this band"),
    "counts": ("31", (2 * ONES, ONES), "give 0 and 1, not counts"),
    "other customers": ("31", (ONES, ONES[:2]), "give arrays of one shape"),
    "nobody is known": ("31", (ONES, 0 * ONES), "with weeks that are known"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_input_gets_a_sentence(name):
    number, given, said = WRONG[name]
    function = next(filter(inspect.isfunction, taken(number).values()))
    with pytest.raises((ValueError, AssertionError), match=re.escape(said)):
        function(*given)


def test_order_lines_with_times_and_dates_as_text_count_as_their_days():
    wape = taken("21")["weekday_mean_wape"]
    halves = pd.concat([DAILY / 2, DAILY.set_axis(DAILY.index + pd.Timedelta("17h")) / 2]).iloc[::-1]
    for same in (halves, DAILY.set_axis(DAILY.index.strftime("%Y-%m-%d"))):
        assert wape(same) == pytest.approx(wape(DAILY)) == 0
    assert wape(DAILY.where(DAILY.index < "2024-05-13", 2 * DAILY)) > 0


@cache
def tables_of(name: str) -> Tables:
    return Tables.of(SHOPS[name]())


@pytest.fixture
def one_step(monkeypatch, eager):
    """Whatever a cell asks for, its network learns one step, from all rows at once."""
    import keras

    fit, whole = keras.Model.fit, 10**6

    def once(self, x, y, batch_size=None, epochs=1, *rest, **more):
        return fit(self, x, y, whole, 1, *rest, **more)

    monkeypatch.setattr(keras.Model, "fit", once)


def test_every_lessons_cell_meets_the_small_shops():
    assert {path.stem[:2] for path in LESSONS} == {*ON_TABLES, *(path.stem[:2] for path in TAKES_A_SHOP)}


@pytest.mark.slow
@pytest.mark.usefixtures("one_step")
@pytest.mark.parametrize("shop", ["20 weeks", "104 weeks"])
@pytest.mark.parametrize("number", ON_TABLES)
def test_it_takes_the_tables_of_a_small_shop(number, shop, capsys):
    if said := REFUSES.get((number, shop)):
        with pytest.raises((ValueError, AssertionError), match=f"^{said}$"):
            ON_TABLES[number](tables_of(shop))
        return
    found = ON_TABLES[number](tables_of(shop))
    told = found if isinstance(found, str) else capsys.readouterr().out
    if found is None or isinstance(found, str):
        assert told and not re.search(r"\b(nan|inf)\b", told)
    else:
        found = np.asarray(found, dtype=float)
        assert found.size and np.isfinite(found).all()
