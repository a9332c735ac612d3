"""Time never leaks, in any use case: change all that comes after a cutoff, and nothing made before it moves.

What is made: the choices (series, categories, vocabulary, settings, joined weights), the scales and inputs, and
every model's forecasts on validation and at the first cutoff of the test. The changed future begins with the
row's own week, day or click. Each leak that once passed all tests is planted, and has to be caught.
"""

import importlib
import inspect
from functools import cache

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from perturb import assert_identical, change_future, plant, sealed
from toy_shop import RICH_SPLIT, RICH_TEST, rich_shop

from ecomlib import clicks, purchases, recommend, sales, visits
from ecomlib.clicks.task import MONDAY, until_test
from ecomlib.lessons.invented_clicks import invent_clicks
from ecomlib.lessons.multi_hot import MultiHotLSTM
from ecomlib.lessons.rivals import TIFUKNN, Trended
from ecomlib.recommend.batches import Batches
from ecomlib.recommend.task import SequenceTask
from ecomlib.split import Split

CLICK_SPLIT = Split.last(test="7D", valid="7D", end="2024-04-28")  # a week of clicks comes after it
SMALL = {  # settings for a tiny shop; a class that is not named here is tried as it comes
    "sales": [
        sales.WeekdayMean(1),
        sales.WeekdayMean(4),
        sales.LightGBM(n_estimators=10, min_child_samples=5),
        sales.LightGBM(correct=True, n_estimators=10, min_child_samples=5),
        sales.SalesLSTM(members=2, epochs=1, units=4),
    ],
    "visits": [
        visits.LightGBM(leaf_rows=5, trees=3),
        visits.VisitsLSTM(epochs=1, units=4),
    ],
    "purchases": [
        purchases.WeightedFrequency(8, 2),
        purchases.LightGBM(leaves=4, trees=5, fits=2),
        purchases.PurchaseLSTM(epochs=1, units=4),
        MultiHotLSTM(epochs=1, units=4),
    ],
    "recommend": [
        recommend.Popularity(),
        recommend.Popularity(7),
        recommend.PersonalFrequency(30),
        recommend.ItemKNN(5),
        recommend.ItemKNN(5, 1, "step", 30),
        recommend.Factors(4),
        TIFUKNN(5),
        Trended(recommend.Factors(4)),
        recommend.NextItems(8, 6, profile=True, trend_days=7, epochs=1),
        recommend.NextItems(8, 6, half_lives=(7.0, 60.0), n_sampled=5, epochs=1),
    ],
    "clicks": [
        clicks.Popularity(3),
        clicks.SessionKNN(20, recent=50),
        clicks.NextClick(8, 8, n_sampled=20, epochs=1),
        clicks.Mix(clicks.NextClick(8, 8, n_sampled=20, epochs=1), clicks.SessionKNN(20)),
    ],
}
FOREIGN = {"purchases": [MultiHotLSTM], "recommend": [TIFUKNN, Trended]}  # what only lessons show


def every_model(case: str) -> list:
    """One object at least of every public class of a use case that can be fitted."""
    module = importlib.import_module(f"ecomlib.{case}")
    classes = [getattr(module, name) for name in dir(module)]
    classes = [c for c in classes if inspect.isclass(c) and hasattr(c, "fit") and c.__name__ != "Recommender"]
    known = {type(model) for model in SMALL[case]}
    return SMALL[case] + [c() for c in classes if c not in known]


@pytest.fixture(autouse=True, scope="module")
def _eager():
    """Networks of one epoch learn a few batches: tracing them would take most of the time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


# --------------------------------------------------------------------------- what each use case makes of a shop


@cache
def two_shops():
    """The shop, and the same shop with another future from the first day of the test on."""
    shop = rich_shop()
    return shop, change_future(shop, RICH_TEST)


def made_of_sales(shop, models) -> dict:
    """Series, windows, and each model's forecasts with their calibration, for four categories of eight."""
    task = sales.task(shop, RICH_SPLIT, "category", n_series=4, lookback=28)
    valid, at = task.cutoffs("valid")[::7], task.cutoffs("test")[:1]
    out = {"series": task.panel.names, "refit": vars(task.windows(task.cutoffs("refit")))}
    out["inputs"] = task.windows(at).inputs()
    out["scale"] = sales.naive_scale(task.panel.values[:, : at[0] + 1])
    for model in models:
        model.fit(task)
        known = model.predict(task, valid)
        factors = sales.calibrate_band(task.actual(valid), known)
        out[repr_of(model)] = {"valid": known, "factors": factors, "test": model.predict(task, at)}
    return out


def made_of_visits(shop, models) -> dict:
    """Inputs, labels and forecasts of the customers known at the first cutoff of the test."""
    task = visits.task(shop, RICH_SPLIT)
    cutoff = int(task.cutoffs("test")[0])
    known, at = task.panel.known[:, cutoff] > 0, np.r_[task.cutoffs("valid"), cutoff]
    out = {"customers": task.panel.customers[known], "inputs": task.x[known, : cutoff + 1]}
    out |= {f"labels, {part}": [a[known] for a in task.labels(part)] for part in ("train", "valid")}
    return out | {repr_of(m): m.fit(task).predict(task, at)[:, known] for m in models}


def made_of_purchases(shop, models) -> dict:
    """Categories, inputs and forecasts of the customers known at the first cutoff of the test."""
    task = purchases.task(shop, RICH_SPLIT, n_categories=4)
    cutoff = int(task.cutoffs("test")[0])
    known, at = task.panel.known[:, cutoff] > 0, np.r_[task.cutoffs("valid"), cutoff]
    rows = np.repeat(known, 4)
    out = {"categories": task.categories, "customers": task.panel.customers[known]}
    out["inputs"] = {name: values[rows] for name, values in task.inputs(cutoff).items()}
    out["features"] = purchases.features(task, at, np.tile(known, (len(at), 1)))[0]
    out["settings"] = purchases.tune_frequency(sealed(task), (2, 4, 8, 16, 64), (0.5, 1, 2, 4, 8))
    return out | {repr_of(m): m.fit(task).predict(task, at)[:, known] for m in models}


def made_of_recommend(shop, models, level="product_id", question="whole") -> dict:
    """Vocabulary, and the scores of trips: on validation, and on the first day that differs."""
    task = recommend.task(shop, RICH_SPLIT, level, min_count=35).ask(question)
    assert set(np.unique(task.part)) == {0, 1, 2, 3}  # the first is HISTORY: after the test
    orders = rich_shop().orders
    served = orders.loc[orders["timestamp"].dt.normalize() == RICH_TEST, "customer_id"]
    known = np.isin(task.names[task.who], served) & (task.start < np.arange(len(task.who)))
    today = np.flatnonzero(known & (task.day == (RICH_TEST - pd.Timestamp("2024-01-01")).days))
    rows = np.r_[task.targets("valid")[:40], today]
    out = {c: task.items[c].astype(str).to_numpy() for c in task.items}
    out |= {"customers": task.names[task.who[rows]], "arrival": task.arrival[rows]}
    for model in models:
        keras.utils.set_random_seed(0)
        out[repr_of(model)] = model.fit(task).scores(task, rows)
    return out


def made_of_clicks(events, models) -> dict:
    """Vocabulary, neighbours' settings, the weight of a mix, and scores after two clicks of the test sessions."""
    task = clicks.task(events, CLICK_SPLIT)
    assert task.part.max() == 3 and events["timestamp"].max() > CLICK_SPLIT.end + pd.Timedelta("2D")
    third = task.targets("test")[task.targets("test") - task.start[task.targets("test")] == 2]
    third = third[np.isin(task.names[task.who[third]], first_sessions())]
    assert len(third) >= 5
    rows = np.r_[task.targets("valid")[:40], third]
    out = {c: task.items[c].to_numpy() for c in task.items}
    out |= {"sessions": task.names[task.who[rows]], "until test": until_test(task).items["count"].to_numpy()}
    out["neighbours"] = repr(clicks.tune_knn(sealed(task)))
    for model in models:
        out[repr_of(model)] = model.fit(task).scores(task, rows)
        out[f"weight of {repr_of(model)}"] = getattr(model, "weight", 0.0)
    return out


@cache
def two_event_files():
    """Clicks, and the same with another course of all sessions of the test from their third click on."""
    events = invent_clicks(1000, 60, days=63).sort_values(["session", "timestamp"], ignore_index=True)
    same = events["session"].eq(events["session"].shift()) & events["item"].eq(events["item"].shift())
    events = events[~same].reset_index(drop=True)
    end = events.groupby("session")["timestamp"].transform("max")
    third = events.groupby("session").cumcount() >= 2
    later = ((end >= "2024-04-22") & third & (events["timestamp"] >= "2024-04-22")).to_numpy()
    rng = np.random.default_rng(4)
    item = np.where(later, rng.integers(1, 90, len(events)), events["item"])  # from 61 on new
    keep = ~later | (events["timestamp"] == end) | (rng.random(len(events)) < 0.8)
    changed = events.assign(item=item)[keep]
    new = changed[changed["timestamp"] >= "2024-04-29"].assign(session=lambda t: t["session"] + 10**6)
    return events, pd.concat([changed, new], ignore_index=True)


@cache
def first_sessions():
    """Sessions that begin on the first day of the test with the same two clicks, and go on, in both files."""
    found, day = [], (pd.Timestamp("2024-04-22") - MONDAY).days
    for events in two_event_files():
        task = clicks.task(events, CLICK_SPLIT)
        third = task.rows("test")
        third = third[(task.start[third] == third - 2) & (task.day[third - 2].astype(int) == day)]
        past = [tuple(task.bags.indices[row - 2 : row]) for row in third]
        first = dict(zip(task.names[task.who[third]], past, strict=True))
        found.append(set(first.items()))
    return sorted(name for name, _ in found[0] & found[1])


MADE = {
    "sales": made_of_sales,
    "visits": made_of_visits,
    "purchases": made_of_purchases,
    "recommend": made_of_recommend,
    "clicks": made_of_clicks,
}


def repr_of(model) -> str:
    """Name of a model in what is made, told apart by its settings where it shows them."""
    text = repr(model)
    return model.name if " object at " in text else text.replace(", seed=0", "")[:60]


def check(case: str, models: list, **options) -> None:
    """What comes later changes nothing that is made."""
    first, other = (MADE[case](each, models, **options) for each in two_files(case))
    assert_identical(first, other, case)


def two_files(case: str):
    return two_event_files() if case == "clicks" else two_shops()


# ----------------------------------------------------------------------------------------------- nothing leaks

ALL = [(case, model) for case in MADE for model in every_model(case)]


@pytest.mark.parametrize(("case", "model"), ALL, ids=lambda x: x if isinstance(x, str) else repr_of(x))
def test_what_comes_later_changes_nothing(case, model):
    check(case, [model])


def test_what_comes_later_changes_no_discovery():
    check("recommend", [recommend.NextItems(8, 6, profile=True, epochs=1)], question="discovery")


def test_what_comes_later_changes_no_category():
    check("recommend", [], level="category")
