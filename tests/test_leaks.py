"""Time never leaks, in any use case: change all that comes after a cutoff, and nothing made before it moves.

What is made: choices (series, categories, vocabulary, settings, joined weights), scales and inputs, and every
model's forecasts on validation and at the first cutoff of the test. The changed future begins with the row's
own week, day or click. Each leak that once passed all tests is planted, and has to be caught.
"""

import importlib
import inspect
from functools import cache

import keras
import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical, change_future, plant, sealed
from toy_shop import RICH_SPLIT, RICH_TEST, rich_shop

from ecomlib import clicks, purchases, recommend, sales, visits
from ecomlib.clicks.task import MONDAY, until_test
from ecomlib.lessons.invented_clicks import invent_clicks
from ecomlib.lessons.multi_hot import MultiHotLSTM
from ecomlib.split import Split

pytestmark = pytest.mark.usefixtures("eager")
CLICK_SPLIT = Split.last(test="5D", valid="5D", end="2024-03-31")  # two days of clicks come after it
CLICK_TEST = pd.Timestamp("2024-03-27")


class Chain(clicks.Markov):
    """A network's stand-in for a mix: it learns in no time."""

    def fit(self, task, part="train", *rest):
        return super().fit(until_test(task) if part == "valid" else task, "train")

    partial_fit = fit


SMALL = {  # settings for a tiny shop; a class that is not named here is tried as it comes
    "sales": [
        sales.WeekdayMean(1),
        sales.WeekdayMean(4),
        sales.LightGBM(n_estimators=10, min_child_samples=5),
        sales.LightGBM(correct=True, n_estimators=10, min_child_samples=5),
        sales.SalesLSTM(members=2, epochs=1, units=4),
        sales.MLP(members=2, epochs=1, units=4),
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
        recommend.PureSVD(4),
        recommend.ALS(4, iterations=2),
        recommend.TIFUKNN(5),
        recommend.TwoStage(trips=100, weeks=4, leaves=4, leaf_rows=5, trees=3),
        recommend.Blend([recommend.EASE(10), recommend.Trend(7)], [1, 0.5]),
        recommend.NextItems(8, 6, profile=True, trend_days=(7,), epochs=1),
        recommend.NextItems(8, 6, own=True, factors=False, n_sampled=5, epochs=1),
    ],
    "clicks": [
        clicks.Popularity(3),
        clicks.SessionKNN(20, recent=50),
        clicks.NextClick(8, 8, n_sampled=20, epochs=1),
        clicks.Mix(Chain(), clicks.SessionKNN(20)),
    ],
}
LESSONS = {"purchases": ["lessons.multi_hot"]}  # what only lessons show
# Fits that see how many customers there are: newcomers change how they round and shuffle, no more. With them
# their scores are equal but for NEAR of their mean size, without them bit for bit.
NEAR = 0.005
COUNT_ALL = (MultiHotLSTM, recommend.PureSVD, recommend.ALS, recommend.TwoStage)
BLEND = recommend.Blend([recommend.EASE(10), recommend.Trend(7)], [1, 0.5])


def every_model(case: str) -> list:
    """One object at least of every public class that can be fitted."""
    modules = [importlib.import_module(f"ecomlib.{name}") for name in [case, *LESSONS.get(case, [])]]
    classes = [getattr(module, name) for module in modules for name in dir(module) if name[0] != "_"]
    classes = [c for c in classes if inspect.isclass(c) and hasattr(c, "fit") and c.__name__ != "Recommender"]
    known = {type(model) for model in SMALL[case]}
    return SMALL[case] + [c() for c in dict.fromkeys(classes) if c not in known]


# ------------------------------------------------------------------------ what each use case makes of a shop


@cache
def two_shops(newcomers=True):
    """The shop, and the same shop with another future from the first day of the test on."""
    shop = rich_shop()
    return shop, change_future(shop, RICH_TEST, newcomers=newcomers)


def made_of_sales(shop, models, n_series=4) -> dict:
    """Series, windows, and each model's forecasts with their calibration, for four categories of eight."""
    task = sales.task(shop, RICH_SPLIT, "category", n_series, lookback=28)
    valid, at = task.cutoffs("valid")[::7], task.cutoffs("test")[:1]
    out = {"series": task.panel.names, "refit": vars(task.windows(task.cutoffs("refit")))}
    out["inputs"] = task.windows(at).inputs()
    out["scale"] = sales.naive_scale(task.panel.values[:, : at[0] + 1])
    for model in models:
        model.fit(sealed(task))
        known = model.predict(task, valid)
        banded = (known[..., 2] > known[..., 0]).any()
        factors = sales.calibrate_band(task.actual(valid), known) if banded else None
        out[repr_of(model)] = {
            "valid": known,
            "factors": np.array(factors, float),
            "test": model.predict(task, at),
        }
    return out


def made_of_visits(shop, models) -> dict:
    """Inputs, labels and forecasts of the customers known at the first cutoff of the test."""
    task = visits.task(shop, RICH_SPLIT)
    cutoff = int(task.cutoffs("test")[0])
    known, at = task.panel.known[:, cutoff] > 0, np.r_[task.cutoffs("valid"), cutoff]
    out = {"customers": task.panel.customers[known], "inputs": task.x[known, : cutoff + 1]}
    out |= {f"labels, {part}": [a[known] for a in task.labels(part)] for part in ("train", "valid")}
    return out | {repr_of(m): m.fit(sealed(task)).predict(task, at)[:, known] for m in models}


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
    return out | {repr_of(m): m.fit(sealed(task)).predict(task, at)[:, known] for m in models}


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
    out |= {"customers": task.names[task.who[rows]], "known_ahead": task.known_ahead[rows]}
    for model in models:
        keras.utils.set_random_seed(0)
        out[repr_of(model)] = model.fit(sealed(task)).scores(task, rows)
        if isinstance(model, recommend.Blend):
            joined = recommend.Blend(model.models, list(model.weights))
            out["weights"] = recommend.tune_blend(sealed(task), joined).weights
    return out


def made_of_clicks(events, models) -> dict:
    """Vocabulary, neighbours' settings, the weight of a mix, and scores after two clicks of test sessions."""
    task = clicks.task(events, CLICK_SPLIT, min_count=20)
    assert task.part.max() == 3 and events["timestamp"].max() > CLICK_SPLIT.end + pd.Timedelta("1D")
    third = task.targets("test")[task.targets("test") - task.start[task.targets("test")] == 2]
    third = third[np.isin(task.names[task.who[third]], first_sessions())]
    assert len(third) >= 5
    rows = np.r_[task.targets("valid")[:40], third]
    out = {c: task.items[c].to_numpy() for c in task.items}
    out |= {"sessions": task.names[task.who[rows]], "until test": until_test(task).items["count"].to_numpy()}
    out["neighbours"] = repr(clicks.tune_knn(sealed(task)))
    for model in models:
        out[repr_of(model)] = model.fit(sealed(task)).scores(task, rows)
        out[f"weight of {repr_of(model)}"] = getattr(model, "weight", 0.0)
    return out


@cache
def two_event_files():
    """Clicks, and the same with another course of all sessions of the test from their third click on."""
    events = invent_clicks(500, 60, days=30).sort_values(["session", "timestamp"], ignore_index=True)
    same = events["session"].eq(events["session"].shift()) & events["item"].eq(events["item"].shift())
    events = events[~same].reset_index(drop=True)
    end = events.groupby("session")["timestamp"].transform("max")
    third = events.groupby("session").cumcount() >= 2
    later = ((end >= CLICK_TEST) & third & (events["timestamp"] >= CLICK_TEST)).to_numpy()
    rng = np.random.default_rng(4)
    item = np.where(later, rng.integers(1, 90, len(events)), events["item"])  # from 61 on new
    keep = ~later | (events["timestamp"] == end) | (rng.random(len(events)) < 0.8)
    changed = events.assign(item=item)[keep]
    new = changed[changed["timestamp"] >= "2024-04-01"].assign(session=lambda t: t["session"] + 10**6)
    return events, pd.concat([changed, new], ignore_index=True)


@cache
def first_sessions():
    """Sessions that begin on the first day of the test with the same two clicks, and go on, in both files."""
    found, day = [], (CLICK_TEST - MONDAY).days
    for events in two_event_files():
        task = clicks.task(events, CLICK_SPLIT, min_count=20)
        third = task.rows("test")
        third = third[(task.start[third] == third - 2) & (task.day[third - 2].astype(int) == day)]
        past = [tuple(task.baskets.indices[row - 2 : row]) for row in third]
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
    alike = any(isinstance(model, COUNT_ALL) or getattr(model, "factors", 0) is True for model in models)
    pair = two_event_files() if case == "clicks" else two_shops(not alike)
    assert_identical(*(MADE[case](each, models, **options) for each in pair), case)
    if alike:
        assert_identical(*(MADE[case](each, models, **options) for each in two_shops()), case, NEAR)


# --------------------------------------------------------------------------------------------- nothing leaks


def is_network(model) -> bool:
    """Whether a model stands where the networks do; training them takes a while."""
    return type(model).__module__.endswith((".model", ".multi_hot"))


ALL = [
    pytest.param(case, model, marks=pytest.mark.slow if is_network(model) else ())
    for case in MADE
    for model in every_model(case)
]


@pytest.mark.parametrize(("case", "model"), ALL, ids=lambda x: x if isinstance(x, str) else repr_of(x))
def test_what_comes_later_changes_nothing(case, model):
    check(case, [model], **({"n_series": 1} if model.name in ("ETS", "Theta") else {}))


@pytest.mark.parametrize("level", ["product_id", "category"])
def test_what_comes_later_changes_no_discovery(level):
    check("recommend", [NET], level=level, question="discovery")


# ------------------------------------------------------------- planted, one at a time: each has to be caught

NET = recommend.NextItems(8, 6, profile=True, epochs=1)
PLANTED = {
    "a chain reads the trip it predicts": (
        ("recommend", [recommend.Markov()], "recommend/Markov"),
        ("recommend.baselines", "Markov._score", "task.baskets[rows - 1]", "task.baskets[rows]"),
    ),
    "the basket's size is known on arrival": (
        ("recommend", [], "recommend/known_ahead"),
        ("recommend.task", "SequenceTask.known_ahead", "np.delete(self.context, 1, axis=1)", "self.context"),
    ),
    "the network is told the basket's size": (
        ("recommend", [NET], "recommend/NextItems"),
        ("recommend.batches", "Batches.inputs", '"known_ahead": self.task.known_ahead[rows]',
         '"known_ahead": self.task.known_ahead[rows] + self.task.context[rows, 1:2]'),
    ),
    "weights of a blend chosen on the test": (
        ("recommend", [BLEND], "the test part is sealed"),
        ("recommend.blend", "tune_blend", 'cutoffs("valid")', 'cutoffs("test")'),
    ),
    "the vocabulary of all weeks": (
        ("recommend", [], "recommend/item"),
        ("recommend.task", "build_task", 'lines.loc[lines["part"] == TRAIN, "item"]', 'lines["item"]'),
    ),
    "what sells on the day itself": (
        ("recommend", [recommend.Popularity(7)], "recommend/Popularity"),
        ("recommend.history", "recent_counts", "day < at[:, None]", "day <= at[:, None]"),
    ),
    "history with the trip itself": (
        ("recommend", [recommend.PersonalFrequency(30)], "recommend/PersonalFrequency"),
        ("recommend.history", "history", "task.start[rows], rows,", "task.start[rows], rows + 1,"),
    ),
    "neighbours of all parts, after the test, too": (
        ("recommend", [recommend.TIFUKNN(5)], "recommend/TIFUKNN"),
        ("recommend.baselines", "TIFUKNN._learn", "task.rows(part)", "np.flatnonzero(task.part <= 1)"),
    ),
    "factors of all customers who will come": (
        ("recommend", [recommend.PureSVD(4)], "recommend/PureSVD"),
        ("recommend.history", "sequence_counts", "task.rows(part)", "np.arange(len(task.who))"),
    ),
    "factors of customers who come later only": (
        ("recommend", [recommend.PureSVD(4)], "recommend/PureSVD"),
        ("recommend.history", "sequence_counts", "task.rows(part)",
         "np.r_[task.rows(part), np.flatnonzero(~np.isin(task.who, task.who[task.rows(part)]))]"),
    ),
    "purchases' categories of all weeks": (
        ("purchases", [], "purchases/categories"),
        ("purchases.task", "customer_weeks", "between(0, n_train - 1)", "between(0, 10**6)"),
    ),
    "promotions scaled by the plans of the whole year": (
        ("purchases", [], "purchases/inputs"),
        ("purchases.channels", "_promotion", "total[:n_train].mean", "total.mean"),
    ),
    "promotions of three weeks later": (
        ("purchases", [], "purchases/inputs"),
        ("purchases.channels", "_promotion", 'plan["mailer"][:-1]', 'np.roll(plan["mailer"], -3, 0)[:-1]'),
    ),
    "frequency tuned on the test": (
        ("purchases", [], "the test part is sealed"),
        ("purchases.baselines", "tune_frequency", '"valid"', '"test"'),
    ),
    "sales' series of all weeks": (
        ("sales", [], "sales/series"),
        ("sales.task", "_largest", "panel.values[:, :first_valid]", "panel.values"),
    ),
    "sales of the promoted week itself": (
        ("sales", [], "sales/inputs"),
        ("sales.known_ahead", "_by_week_features", "past = week - lag", "past = week"),
    ),
    "scale of the visits of all weeks": (
        ("visits", [], "visits/inputs"),
        ("visits.task", "_channels", "logs[:, : last + 1][shopped[:, : last + 1]]", "logs[shopped]"),
    ),
    "windows of visits that are not over": (
        ("visits", [visits.OwnPast()], "visits/own past"),
        ("visits.baselines", "OwnPast.predict", "(task.horizon, 0)", "(1, 0)"),
    ),
    "the clicks' vocabulary of all days": (
        ("clicks", [], "clicks/item"),
        ("clicks.task", "_clean", "item[keep & train]", "item[keep]"),
    ),
    "neighbours tuned on the test": (
        ("clicks", [], "the test part is sealed"),
        ("clicks.baselines", "tune_knn", '"valid"', '"test"'),
    ),
    "the weight of a mix chosen on the test": (
        ("clicks", [clicks.Mix(Chain(), clicks.SessionKNN(20))], "the test part is sealed"),
        ("clicks.model", "Mix.fit", 'targets("valid")', 'targets("test")'),
    ),
}  # fmt: skip


@pytest.mark.parametrize("leak", PLANTED)
def test_a_planted_leak_is_caught(monkeypatch, leak):
    (case, models, named), (module, name, old, new) = PLANTED[leak]
    owner = importlib.import_module(f"ecomlib.{module}")
    *inner, name = name.split(".")
    first_sessions()  # kept from before the fault is planted, whichever test comes first
    plant(monkeypatch, getattr(owner, inner[0]) if inner else owner, name, old, new)
    with pytest.raises(AssertionError, match=named):
        check(case, models)
