"""One protocol for every use case, on small and odd shops: each model runs, or one sentence says why not.

The protocol: task(shop, split), model.fit(task), model.predict(task, task.cutoffs("test")),
evaluate(task, forecasts) and advice(table).
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical

from ecomlib import clicks, open_shop, purchases, recommend, sales, visits
from ecomlib.panels import monday_of
from ecomlib.runtime import ROOT
from ecomlib.shop import BadValue, Shop, ShopError
from ecomlib.split import Split

USUAL, SHORT = Split.last(test="56D", valid="28D"), Split.last(test="28D", valid="28D")
FORTNIGHT = Split.last(test="14D", valid="14D")
MOVED = pd.Timedelta(days=1092)  # 156 weeks


def invented_shop(n_weeks: int, n_customers: int = 40, seed: int = 0) -> Shop:
    """Eight products in five categories; customers with a rhythm of their own; closed on Sundays."""
    rng = np.random.default_rng(seed)
    products = pd.DataFrame({"product_id": range(8), "category": list("ABCDEABC"), "department": "ALL"})
    days = pd.date_range("2023-01-02", periods=7 * n_weeks)
    days = days[days.day_of_week < 6]
    often = rng.uniform(0.05, 0.4, n_customers)
    customer, day = np.nonzero(rng.random((n_customers, len(days))) < often[:, None])
    lines = 1 + rng.poisson(1.5, len(day))
    order = np.repeat(np.arange(len(day)), lines)
    taste = rng.dirichlet(np.full(8, 0.7), n_customers)
    product = [rng.choice(8, size=n, p=taste[c]) for n, c in zip(lines, customer, strict=True)]
    hour = pd.to_timedelta(rng.integers(9 * 60, 18 * 60, len(day)), unit="min")
    orders = pd.DataFrame(
        {"customer_id": customer[order], "order_id": order, "product_id": np.concatenate(product)}
    )
    orders["timestamp"] = (days[day] + hour)[order]
    orders = orders.drop_duplicates(["order_id", "product_id"])
    orders = orders.assign(quantity=1, revenue=1.0 + orders["product_id"], discount=0.0)
    return Shop(orders.sort_values("timestamp", ignore_index=True), products)


def clicks_of(shop: Shop) -> pd.DataFrame:
    """The lines of an order as the clicks of a session, ten seconds apart."""
    orders = shop.orders
    later = pd.to_timedelta(10 * orders.groupby("order_id").cumcount(), unit="s")
    return pd.DataFrame(
        {
            "session": orders["order_id"],
            "timestamp": orders["timestamp"] + later,
            "item": orders["product_id"],
        }
    )


@dataclass(frozen=True)
class Case:
    """A use case: its module, how its task is made, a split that 20 weeks can hold, and its models."""

    module: ModuleType
    task: Callable
    split: Split
    rules: tuple[Callable, ...]
    networks: tuple[Callable, ...]

    @property
    def ranks(self) -> bool:
        return self.module in (recommend, clicks)


CASES = {
    "sales": Case(
        sales,
        lambda shop, split: sales.task(shop, split, level="category", n_series=2),
        FORTNIGHT,  # ETS is fitted anew at every cutoff
        (sales.WeekdayMean, sales.ETS, sales.Theta, sales.Ridge, lambda: sales.LightGBM(n_estimators=5)),
        (lambda: sales.SalesLSTM(epochs=1, members=1), lambda: sales.MLP(epochs=1, members=1)),
    ),
    "visits": Case(
        visits,
        visits.task,
        SHORT,
        (
            visits.ClassShares,
            visits.OwnPast,
            visits.RecencyFrequencyMoney,
            visits.Logistic,
            lambda: visits.LightGBM(trees=5, leaf_rows=20),
        ),
        (lambda: visits.VisitsLSTM(epochs=1, units=4),),
    ),
    "purchases": Case(
        purchases,
        lambda shop, split: purchases.task(shop, split, n_categories=5),
        USUAL,
        (
            purchases.BaseRate,
            purchases.WeightedFrequency,
            purchases.Logistic,
            lambda: purchases.LightGBM(trees=5, fits=1),
        ),
        (
            lambda: purchases.PurchaseLSTM(epochs=1, units=4),
            lambda: import_module("ecomlib.lessons.multi_hot").MultiHotLSTM(epochs=1, units=4),
        ),
    ),
    "recommend": Case(
        recommend,
        lambda shop, split: recommend.task(shop, split, level="product_id"),
        USUAL,
        (
            recommend.Popularity,
            recommend.PersonalFrequency,
            recommend.Markov,
            recommend.ItemKNN,
            recommend.TIFUKNN,
            recommend.PureSVD,
            recommend.ALS,
            recommend.EASE,
            recommend.Trend,
            lambda: recommend.Blend([recommend.EASE(), recommend.Trend(14)], [1.0, 0.5]),
            lambda: recommend.TwoStage(trees=5),
        ),
        (
            lambda: recommend.NextItems(units=4, size=4, epochs=1),
            lambda: recommend.NextItems(
                units=4, size=4, epochs=1, own=True, trend_days=(14,), profile=True, n_sampled=16
            ),
        ),
    ),
    "clicks": Case(
        clicks,
        lambda shop, split: clicks.task(clicks_of(shop), split),
        USUAL,
        (clicks.Popularity, clicks.Markov, clicks.SessionKNN),
        (
            lambda: clicks.NextClick(units=4, size=4, epochs=1),
            lambda: clicks.Mix(clicks.NextClick(units=4, size=4, epochs=1), clicks.SessionKNN()),
        ),
    ),
}
FURTHER_ROOMS = {
    "purchases": ("lessons.multi_hot",),
    "recommend": ("recommend.blend", "recommend.two_stage"),
}
SHOPS = {
    "20 weeks": lambda: invented_shop(20),
    "104 weeks": lambda: invented_shop(104),
    "sample shop": lambda: open_shop(ROOT / "data" / "sample_shop"),
}


@cache
def shop_of(name: str) -> Shop:
    return SHOPS[name]()


@cache
def task_of(case: str, shop: str):
    return CASES[case].task(shop_of(shop), CASES[case].split)


def table_of(case: Case, task, makers: tuple[Callable, ...]) -> pd.DataFrame:
    """Take every model through the protocol; the table of their scores."""
    cutoffs, forecasts = task.cutoffs("test"), {}
    for make in makers:
        model = make()
        assert list(inspect.signature(model.fit).parameters)[:2] == ["task", "part"]
        assert set(inspect.signature(model.fit).parameters) <= {"task", "part", "callbacks", "watch"}
        assert model.fit(task) is model
        assert not any(value is task for value in vars(model).values()), "a model keeps no task"
        p = model.predict(task, cutoffs)
        assert len(p) == len(cutoffs)
        if case.ranks:
            assert model.scores(task, cutoffs[:3] + 1).shape == (3, task.n_items)
            assert all(len(set(row)) == len(row) for row in p)
        else:
            assert np.isfinite(p).all()
        forecasts[f"{len(forecasts)} {model.name}"] = p
    return case.module.evaluate(task, forecasts, part="test", n=20)


def check_table(case: Case, table: pd.DataFrame, n_models: int) -> None:
    assert list(table.columns) == ["model", "metric", "value", "low", "high"]
    assert table["model"].nunique() == n_models
    ratios = table[table["metric"].str.endswith(" / best")]
    assert len(ratios) == n_models and (ratios["value"] == 1).any()
    advice = case.module.advice(table)
    assert advice.startswith("Use ") and advice.endswith(".") and "\n" not in advice


def one_sentence(error: ShopError | str) -> bool:
    text = str(error)
    return text.endswith(".") and "\n" not in text and len(text) < 300 and text.count(". ") <= 1


# --------------------------------------------------------------------------------------------- the protocol


@pytest.mark.parametrize("shop", SHOPS)
@pytest.mark.parametrize("case", CASES)
def test_every_rule_runs(case, shop):
    rules = CASES[case].rules
    check_table(CASES[case], table_of(CASES[case], task_of(case, shop), rules), len(rules))


@pytest.mark.parametrize("case", CASES)
def test_no_model_is_left_out(case):
    made = {type(make()) for make in (*CASES[case].rules, *CASES[case].networks)}
    rooms = [f"{case}.baselines", f"{case}.model", *FURTHER_ROOMS.get(case, ())]
    known = {
        model
        for room in rooms
        for model in vars(import_module(f"ecomlib.{room}")).values()
        if inspect.isclass(model) and model.__module__ == f"ecomlib.{room}" and model.__name__[0] != "_"
        if hasattr(model, "predict") and not hasattr(model, "train_step")  # not the Keras model inside
    }
    assert made == known


@pytest.mark.parametrize("case", CASES)
def test_every_use_case_shows_the_same_names(case):
    module = CASES[case].module
    assert {"task", "draws", "evaluate", "advice"} <= set(dir(module))
    assert all(callable(getattr(module, name)) for name in dir(module) if name.islower())


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("shop", SHOPS)
@pytest.mark.parametrize("case", CASES)
def test_every_network_runs(case, shop):
    nets = CASES[case].networks
    check_table(CASES[case], table_of(CASES[case], task_of(case, shop), nets), len(nets))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["sales", "visits", "purchases", "recommend"])
def test_a_training_step_is_traced_once(case, monkeypatch):
    """Where the optimizer makes its variables in the first step, TensorFlow traces that step twice."""
    import keras

    from ecomlib.recommend.model import Network

    owner, traced = Network if case == "recommend" else keras.Model, []
    step = owner.train_step
    monkeypatch.setattr(owner, "train_step", lambda self, data: traced.append(case) or step(self, data))
    for number, make in enumerate(CASES[case].networks, 1):
        make().fit(task_of(case, "20 weeks"))
        assert traced == number * [case]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("sales", "139 days are too few for a lookback of 56"),
        ("visits", "train: of 20 weeks none has a customer known for 8 weeks"),
    ],
)
def test_twenty_weeks_do_not_hold_twelve_weeks_of_validation_and_test(case, said):
    with pytest.raises(ShopError, match=said) as refused:
        CASES[case].task(shop_of("20 weeks"), USUAL)
    assert one_sentence(refused.value)


@pytest.mark.parametrize("n_weeks", [1, 3, 9])
@pytest.mark.parametrize("case", CASES)
def test_a_history_that_is_too_short_is_refused_in_one_sentence(case, n_weeks):
    with pytest.raises(ShopError) as refused:
        CASES[case].task(invented_shop(n_weeks), USUAL)
    assert one_sentence(refused.value), str(refused.value)


# ------------------------------------------------------------------------------------------------- its days


def last_target_day(case: str, task) -> pd.Timestamp:
    last = task.cutoffs("test")[-1]
    if case == "sales":
        return task.days[last + task.horizon]
    if case in ("visits", "purchases"):
        return task.panel.weeks[last + getattr(task, "horizon", 1)] + pd.Timedelta(days=6)
    start = (
        monday_of(shop_of("104 weeks").orders["timestamp"].min())
        if case == "recommend"
        else pd.Timestamp("1970-01-05")
    )
    return start + pd.Timedelta(days=int(task.day[task.cutoffs("test") + 1].max()))


@pytest.mark.parametrize("case", CASES)
def test_a_shop_of_two_years_is_tested_on_its_last_weeks(case):
    newest = shop_of("104 weeks").orders["timestamp"].max().normalize()
    assert abs((last_target_day(case, task_of(case, "104 weeks")) - newest).days) < 7


def test_a_shop_that_is_closed_on_sundays_keeps_its_last_week():
    newest = shop_of("20 weeks").orders["timestamp"].max()
    assert newest.day_name() == "Saturday"
    for case in ("visits", "purchases"):
        assert task_of(case, "20 weeks").panel.weeks[-1] == monday_of(newest)


def moved(shop: Shop) -> Shop:
    """The shop with every date of every table 1,092 days later."""
    tables = {}
    for name in ("orders", "products", "customers", "promotions", "campaigns", "coupons", "redemptions"):
        table = getattr(shop, name)
        if table is not None:
            dates = table.select_dtypes("datetime").columns
            tables[name] = table.assign(**{column: table[column] + MOVED for column in dates})
    return Shop(**tables)


def numbers(value) -> object:
    """All arrays of a task, dates left out."""
    if is_dataclass(value):
        return {f.name: numbers(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {key: numbers(each) for key, each in value.items()}
    if isinstance(value, pd.DatetimeIndex):
        return len(value)
    if isinstance(value, pd.DataFrame):
        return {column: value[column].to_numpy().astype(str) for column in value}
    if hasattr(value, "tocsr"):
        return [value.indptr, value.indices, value.data]
    return value if isinstance(value, np.ndarray | int | float | str | list) else str(value)


def without_month_start(task: sales.SalesTask) -> sales.SalesTask:
    """The task without one column: a Monday three years later is another day of its month."""
    place = task.known_names.index("month start")
    names = [name for name in task.known_names if name != "month start"]
    return replace(task, known=np.delete(task.known, place, axis=2), known_names=names)


@pytest.mark.parametrize("case", CASES)
def test_three_years_later_every_number_is_the_same(case):
    shop, rule = shop_of("sample shop"), CASES[case].rules[-1]
    tasks = [task_of(case, "sample shop"), CASES[case].task(moved(shop), CASES[case].split)]
    if case == "sales":
        tasks = [without_month_start(task) for task in tasks]
    before, after = (numbers(task) for task in tasks)
    if case == "clicks":  # days are counted from one Monday for all files
        after["day"] = after["day"] - MOVED.days
        before["day"], after["day"] = before["day"].round(9), after["day"].round(9)
    assert_identical(before, after)
    assert_identical(*(rule().fit(task).predict(task, task.cutoffs("test")) for task in tasks))


# ------------------------------------------------------------------------------------- what is not a number


@pytest.mark.parametrize("case", CASES)
def test_a_forecast_that_is_no_number_never_wins(case):
    task, rule = task_of(case, "104 weeks"), CASES[case].rules[0]()
    p = rule.fit(task).predict(task, task.cutoffs("test"))
    if CASES[case].ranks:
        rule._score = lambda task, rows: np.full((len(rows), task.n_items), np.nan, np.float32)
        with pytest.raises(BadValue, match="NaN"):
            rule.predict(task, task.cutoffs("test"))
    else:
        with pytest.raises(BadValue):
            CASES[case].module.evaluate(task, {"good": p, "broken": np.full_like(p, np.nan, float)}, n=5)
