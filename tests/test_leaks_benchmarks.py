"""The benchmarks' own code path: whatever they choose or calibrate knows nothing of the test part.

Two ways to see it. A *sealed* task refuses to be asked for its test part, so a search that looks there stops.
And where a function forecasts the test, too, the forecast at its first cutoff stays bit-identical while all
that comes after it changes.
"""

import numpy as np
import pytest
from perturb import assert_identical, change_future, plant, sealed
from toy_shop import RICH_SPLIT, RICH_TEST, rich_shop

from benchmarks.quality import purchases as purchases_bench
from benchmarks.quality import recommend as recommend_bench
from benchmarks.quality import sales as sales_bench
from benchmarks.quality import visits as visits_bench
from ecomlib import purchases, recommend, sales, visits

pytestmark = pytest.mark.usefixtures("eager")
QUIET = lambda text: None  # noqa: E731


@pytest.fixture(scope="module")
def shops():
    shop = rich_shop()
    return shop, change_future(shop, RICH_TEST)


def same(shops, choose) -> None:
    """What is chosen on a shop is chosen on the shop with another future, too."""
    assert_identical(*(choose(shop) for shop in shops))


# ------------------------------------------------------------------------------------------------- purchases


def purchase_choices(shop, monkeypatch) -> dict:
    """Every search of the benchmark but the obvious network's, and the weight of the joined forecast."""
    task = sealed(purchases.task(shop, RICH_SPLIT, n_categories=4))
    monkeypatch.setattr(purchases_bench, "predicted", lambda model, task: {})
    found = {}
    for name, search in purchases_bench.searches({"45-52": task, "29-36": task}, quick=True).items():
        if "multi-hot" not in name:
            found[name] = search()
    rules = purchases.BaseRate(), purchases.WeightedFrequency(3, 1)
    p = [rule.fit(task).predict(task, task.cutoffs("valid")) for rule in rules]
    return found | {"weight": purchases_bench.joined(task, *({"valid": each, "test": each} for each in p))[1]}


def test_purchases_are_chosen_without_the_test(shops, monkeypatch):
    same(shops, lambda shop: purchase_choices(shop, monkeypatch))


@pytest.mark.slow
def test_the_obvious_network_is_chosen_without_the_test(shops):
    task = sealed(purchases.task(shops[0], RICH_SPLIT, n_categories=4))
    tried = purchases_bench.tune_multi_hot(task, purchases_bench.ARMS[:1], 1)
    assert purchases_bench.best_arm(tried)["epochs"] == 1


# ---------------------------------------------------------------------------------------------------- visits


def visit_choices(shop) -> dict:
    """Settings by grid and by early stopping, losses by epoch, and the weight of the joined forecast."""
    task, said = sealed(visits.task(shop, RICH_SPLIT)), []
    known = task.panel.known[:, int(task.cutoffs("valid")[0])] > 0
    found = {
        "past": visits_bench.tune(visits.OwnPast, task, prior_windows=(1, 3, 10), half_life=(2, 6, 13)),
        "line": visits_bench.tune(visits.Logistic, task, c=(0.003, 0.03, 0.3)),
        "trees": visits_bench.tune_trees(task),
        "losses": visits_bench.fit_remedy(task, 0, epochs=1, units=3)[:2],
    }
    p = [m.fit(task).predict(task, task.cutoffs("valid")) for m in (visits.ClassShares(), visits.OwnPast())]
    visits_bench.joined(task, *([{"valid": each, "test": each}] for each in p), said.append)
    return found | {"weight": said, "customers": task.panel.customers[known]}


def test_visits_are_chosen_without_the_test(shops):
    same(shops, visit_choices)


# ----------------------------------------------------------------------------------------------------- sales


def sales_forecasts(shop) -> dict:
    """Calibrated forecasts at the first cutoff of the test, means of models and orders among them."""
    task = sales.task(shop, RICH_SPLIT, "category", n_series=4)
    place = {"dataset": "categories", "period": "test", "horizon": 7}
    study = sales_bench.Study(task, place, True, QUIET)
    study.fresh = np.ones(task.n_series, bool)
    few = {"n_estimators": 5, "min_child_samples": 5}
    study.fit("LightGBM", [sales.LightGBM(seed, **few) for seed in (0, 1)])
    study.fit("LSTM", [sales.Ridge(penalty) for penalty in (10, 100)])  # in its place: the same path
    study.fit("mean of 8 weeks", [sales.WeekdayMean(8)])
    study.arm("LightGBM without promotions", [sales.LightGBM(0, **few)], task.without("promotions"))
    study.means()
    out = {name: forecast[:, 0] for name, forecast in study.forecasts.items()}
    return {"scale": study.scale, "orders": study.orders()["the mean + a margin"][:, 0], **out}


@pytest.fixture
def _fitted_here(monkeypatch):
    """No fit is kept on disk."""
    monkeypatch.setattr(sales_bench, "kept", lambda name, jobs, log: {k: job() for k, job in jobs.items()})
    monkeypatch.setattr(sales_bench, "POOLED", [])


@pytest.mark.usefixtures("_fitted_here")
def test_sales_are_calibrated_without_the_test(shops):
    same(shops, sales_forecasts)


# -------------------------------------------------------------------------------------------- recommendation


def tuned(shop, monkeypatch, question="discovery") -> dict:
    """Settings and weights that the benchmark chooses; what it would score on the test is handed out."""
    task = sealed(recommend.task(shop, RICH_SPLIT, min_count=35, level="product_id").ask(question))
    monkeypatch.setattr(
        recommend_bench,
        "tested",
        lambda t, model: {"model": model, "chosen": getattr(model, "weights", model)},
    )
    monkeypatch.setattr(
        recommend_bench, "als_grid", lambda: [recommend.ALS(k, 10, iterations=2) for k in (2, 4)]
    )
    monkeypatch.setattr(recommend_bench, "TwoStage", lambda: recommend.Popularity())
    monkeypatch.setattr(recommend_bench, "SIMPLE", {"popularity": [recommend.Popularity(d) for d in (7, 28)]})
    jobs = recommend_bench.rival_jobs(task, recommend_bench.LAST)
    found = {name: repr(job()["model"]) for name, job in jobs.items()}
    net = recommend.NextItems(4, 4, epochs=1, factors=False)
    joined = recommend_bench.trained(task, "LSTM", net, recommend.EASE(10).fit(task))
    return found | {"weights": joined["LSTM, joined"]["chosen"]}


@pytest.mark.slow
@pytest.mark.parametrize("question", ["discovery", "whole"])
def test_recommendation_is_chosen_without_the_test(shops, monkeypatch, question):
    same(shops, lambda shop: tuned(shop, monkeypatch, question))


# ------------------------------------------------------------- planted, one at a time: each has to be caught

PURCHASES, VISITS, SALES = purchases_bench, visits_bench, sales_bench.Study
PLANTED = {
    "LightGBM stopped on the test": (PURCHASES, "grown", '(task, "valid")', '(task, "test")', "sealed"),
    "a weight chosen on the test": (PURCHASES, "joined", 'rows("valid")', 'rows("test")', "sealed"),
    "visits' trees stopped there, too": (VISITS, "tune_trees", '(task, "valid")', '(task, "test")', "sealed"),
    "visits' settings chosen on the test": (VISITS, "tune", '"valid"', '"test"', "sealed"),
    "epochs watched on the test": (VISITS, "fit_remedy", 'labels("valid")', 'labels("test")', "sealed"),
    "rivals chosen on the test": (recommend_bench, "valid_gain", '"valid"', '"test"', "sealed"),
    "bands calibrated on the test": (
        SALES, "calibrated", "calibrate_band(self.known, each, self.valid_open) for each in valid",
        "calibrate_band(self.actual, each, self.is_open) for each in test", "LightGBM",
    ),
    "a margin chosen on the test": (
        SALES, "orders", "order_cost(past * (1 + m), sold, MISSING, LEFT, self.valid_open)",
        "order_cost(mean[0] * (1 + m), self.actual, MISSING, LEFT, self.is_open)", "orders",
    ),
    "fitted on the test as well": (SALES, "fit", '"refit"', '"all"', "LightGBM"),
}  # fmt: skip


@pytest.mark.usefixtures("_fitted_here")
@pytest.mark.parametrize("leak", PLANTED)
def test_a_planted_leak_is_caught(shops, monkeypatch, leak):
    owner, name, old, new, named = PLANTED[leak]
    plant(monkeypatch, owner, name, old, new)
    if leak == "fitted on the test as well":
        ask = sales.SalesTask.cutoffs
        more = {"all": lambda task: np.arange(55, task.test_end - 7)}
        monkeypatch.setattr(
            sales.SalesTask, "cutoffs", lambda t, part="test": more[part](t) if part in more else ask(t, part)
        )
    choose = {
        purchases_bench: lambda shop: purchase_choices(shop, monkeypatch),
        visits_bench: visit_choices,
        recommend_bench: lambda shop: tuned(shop, monkeypatch),
    }.get(owner, sales_forecasts)
    with pytest.raises(AssertionError, match=named):
        same(shops, choose)
