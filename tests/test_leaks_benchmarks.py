"""The benchmarks' own code path: whatever they choose or calibrate knows nothing of the test part.

Two ways to see it. A *sealed* task refuses to be asked for its test part, so a search that looks there stops.
And where a function forecasts the test, too, the forecast at its first cutoff stays bit-identical while all
that comes after it changes.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from perturb import assert_identical, change_future, plant, sealed
from toy_shop import RICH_SPLIT, RICH_TEST, rich_shop

from benchmarks.quality import _peer_forecasters as forecasters
from benchmarks.quality import peers as peers_bench
from benchmarks.quality import purchases as purchases_bench
from benchmarks.quality import recommend as recommend_bench
from benchmarks.quality import sales as sales_bench
from benchmarks.quality import second_shop as second_bench
from benchmarks.quality import visits as visits_bench
from benchmarks.quality._peer_recommenders import Peer
from ecomlib import purchases, recommend, sales, visits
from ecomlib.recommend.history import sequence_counts

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
    """No fit is kept on disk, and the second shop's benchmark has the tiny shop's weeks."""
    monkeypatch.setattr(second_bench, "SPLIT", RICH_SPLIT)
    monkeypatch.setattr(second_bench, "SOME", {"silence": 1, "purchases": 1})
    monkeypatch.setattr(second_bench, "scored", lambda use, where, fits: fits)
    for bench in (sales_bench, second_bench):
        monkeypatch.setattr(bench, "kept", lambda name, jobs, log: {k: job() for k, job in jobs.items()})
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


# ----------------------------------------------------------------------------------------------------- peers


@dataclass
class Favourites(Peer):
    """A peer without a library: how often each item was bought, to a power."""

    power: float = 1.0
    seed: int = 0
    name = "favourites"

    def _learn(self, task, part):
        self.scores_ = np.asarray(sequence_counts(task, part).sum(axis=0), float).ravel() ** self.power

    def _score(self, task, rows):
        return np.tile(self.scores_, (len(rows), 1))


class LastDays:
    """A model of one series without a library, in the words of statsforecast: the last days again."""

    def fit(self, past):
        return self

    def forward(self, past, horizon, level):
        mean = past[-horizon:]
        return {f"lo-{level[0]}": mean - 9, "mean": mean, f"hi-{level[0]}": mean + 9}


def peer_choices(shop, monkeypatch) -> dict:
    """A peer's settings, trend and weight, and the course's network; their scores of validation trips."""
    task = sealed(recommend.task(shop, RICH_SPLIT, min_count=35, level="product_id").ask("discovery"))
    rows = task.targets("valid")[:40]
    handed_out = lambda task, model: {"rows": model.scores(task, rows), "coverage": 0.0}  # noqa: E731
    monkeypatch.setattr(recommend_bench, "tested", handed_out)
    monkeypatch.setattr(recommend_bench, "DISCOVERY", recommend.NextItems(4, 4, factors=False))
    found = peers_bench.peer(task, "favourites", [Favourites(1.0), Favourites(0.5)], (0, 1))
    found |= peers_bench.own_recommender(task, 0, quick=True)
    return {name: [[fit.get("chosen", ""), fit["rows"]] for fit in fits] for name, fits in found.items()}


def peer_bands(shop, monkeypatch) -> dict:
    """Calibrated forecasts at the first cutoff of the test: a classical peer, the network, an ensemble."""
    task = sales.task(shop, RICH_SPLIT, "category", n_series=4)
    monkeypatch.setattr(sales, "SalesLSTM", lambda seed, epochs: sales.Ridge(10))  # the same path
    cost = {"minutes": 1.0, "gb": 1.0, "library": ""}
    parts = {part: forecasters.per_series(task, task.cutoffs(part), LastDays) for part in ("valid", "test")}
    found = {"last days": [parts | cost]} | peers_bench.own_sales(task, 0, quick=True)
    both = [fits[0] | cost for fits in found.values()]
    found[peers_bench.ENSEMBLE] = [peers_bench.ensemble(both)]
    return {name: peers_bench.calibrated(task, fits)[:, 0] for name, fits in found.items()}


@pytest.mark.parametrize("choose", [peer_choices, peer_bands])
def test_peers_are_chosen_and_calibrated_without_the_test(shops, monkeypatch, choose):
    same(shops, lambda shop: choose(shop, monkeypatch))


# ----------------------------------------------------------------------------------------------- second shop


def second_settings(shop, monkeypatch) -> dict:
    """Its searches: a setting for sales, rivals and joined weights for recommendation, epochs."""
    task = sealed(recommend.task(shop, RICH_SPLIT, min_count=35, level="product_id").ask("whole"))
    handed_out = lambda t, model: {"model": model, "chosen": getattr(model, "weights", 0)}  # noqa: E731
    monkeypatch.setattr(recommend_bench, "tested", handed_out)
    monkeypatch.setattr(second_bench, "TwoStage", recommend.Popularity)
    found = {name: repr(job()["model"]) for name, job in second_bench.rival_jobs(task).items()}
    nets = second_bench.net_jobs(task, Favourites(), recommend.EASE(10).fit(task), (0,))
    found["weights"] = [job()["LSTM, joined"]["chosen"] for job in nets.values()]
    days = sealed(sales.task(shop, RICH_SPLIT, "category", n_series=4))
    grid = [{"penalty": penalty} for penalty in (10, 1000, 100000)]
    ridge = lambda seed, **setting: sales.Ridge(**setting)  # noqa: E731
    weeks = sealed(visits.task(shop, RICH_SPLIT))
    monkeypatch.setattr(visits_bench, "forecasts_of", lambda model, task: repr(vars(model))[:60])
    return found | {
        "penalty": second_bench.best_setting(days, ridge, grid)["penalty"],
        "silence": second_bench.simple_silence(weeks),
        "epochs": second_bench.chosen_epochs("silence", visits.VisitsLSTM(0, 1, units=3), weeks, QUIET),
    }


def second_sales(shop, monkeypatch) -> dict:
    """Calibrated and joined forecasts of weeks at the first cutoff of the test, and all choices."""
    trees, ridge = sales.LightGBM, sales.Ridge
    small = lambda seed, correct, n_estimators: trees(  # noqa: E731
        seed, correct=correct, n_estimators=n_estimators // 20, min_child_samples=5
    )
    monkeypatch.setattr(second_bench, "LightGBM", small)
    monkeypatch.setattr(second_bench, "SEEDS", 1)
    for name in ("SalesLSTM", "MLP"):
        monkeypatch.setattr(
            sales, name, lambda seed=0, learning_rate=0.1, **_: ridge(1e4 * learning_rate + seed)
        )
    task, said = second_bench.sales_task(shop, "weekly", RICH_SPLIT, n_series=4), []
    study = second_bench.sales_study(task, "weekly", "", False, said.append)
    out = {name: forecast[:, 0] for name, forecast in study.forecasts.items()}
    return out | {"chosen": [text for text in said if "weight of" in text or "chosen on" in text]}


def first_cutoff(task, forecast, **_):
    """In place of scores: the forecasts that are made before the test of the customers known then."""
    return forecast[0][task.panel.known[:, int(task.cutoffs("test")[0])] > 0]


def second_silence(shop, monkeypatch) -> dict:
    """Forecasts of silence at the first cutoff of the test, the joined one's too, and its weight."""

    def forecasts(model, task):
        model.fit(task)
        return {part: model.predict(task, task.cutoffs(part)) for part in ("valid", "test")}

    own_past = lambda task: forecasts(visits.OwnPast(1, 2), task)  # noqa: E731
    monkeypatch.setattr(second_bench, "simple_silence", lambda task: {"own past": own_past(task)})
    monkeypatch.setattr(visits_bench, "fit_trees", lambda task, seeds: [own_past(task) for _ in seeds])
    monkeypatch.setattr(visits_bench, "fit", lambda task, **_: forecasts(visits.ClassShares(), task))
    monkeypatch.setattr(visits, "draws", first_cutoff)
    said = []
    return {"silence": second_bench.silence_rows(shop, True, said.append), "weights": said}


def second_purchases(shop, monkeypatch) -> dict:
    """Forecasts of purchases at the first cutoff of the test, and what was chosen for them."""
    monkeypatch.setattr(purchases, "draws", first_cutoff)
    monkeypatch.setattr(purchases, "task", partial(purchases.task, n_categories=4))
    monkeypatch.setattr(purchases, "PurchaseLSTM", lambda seed, epochs: purchases.WeightedFrequency(3, 1))
    said = []
    return {"purchases": second_bench.purchase_rows(shop, True, said.append), "chosen": said}


@pytest.mark.usefixtures("_fitted_here")
@pytest.mark.parametrize("choose", [second_settings, second_sales, second_silence, second_purchases])
def test_the_second_shop_is_chosen_and_calibrated_without_the_test(shops, monkeypatch, choose):
    same(shops, lambda shop: choose(shop, monkeypatch))


# ------------------------------------------------------------- planted, one at a time: each has to be caught

PURCHASES, VISITS, SALES, SECOND = purchases_bench, visits_bench, sales_bench.Study, second_bench
CALIBRATED = (
    SALES, "calibrated", "calibrate_band(self.known, each, self.valid_open) for each in valid",
    "calibrate_band(self.actual, each, self.is_open) for each in test",
)  # fmt: skip
PLANTED = {
    "LightGBM stopped on the test": (PURCHASES, "grown", '(task, "valid")', '(task, "test")', "sealed"),
    "a weight chosen on the test": (PURCHASES, "joined", 'rows("valid")', 'rows("test")', "sealed"),
    "visits' trees stopped there, too": (VISITS, "tune_trees", '(task, "valid")', '(task, "test")', "sealed"),
    "visits' settings chosen on the test": (VISITS, "tune", '"valid"', '"test"', "sealed"),
    "epochs watched on the test": (VISITS, "fit_remedy", 'labels("valid")', 'labels("test")', "sealed"),
    "rivals chosen on the test": (recommend_bench, "valid_gain", '"valid"', '"test"', "sealed"),
    "bands calibrated on the test": (*CALIBRATED, "LightGBM"),
    "a margin chosen on the test": (
        SALES, "orders", "order_cost(past * (1 + m), sold, MISSING, LEFT, self.valid_open)",
        "order_cost(mean[0] * (1 + m), self.actual, MISSING, LEFT, self.is_open)", "orders",
    ),
    "fitted on the test as well": (SALES, "fit", '"refit"', '"all"', "LightGBM"),
    "a peer's trend chosen on the test": (
        recommend_bench, "valid_gain", '"valid"', '"test"', "sealed", peer_choices,
    ),
    "a peer's bands calibrated on the test": (
        peers_bench, "calibrated", '"valid"', '"test"', "last days", peer_bands,
    ),
    "the peers' LSTM fitted on the test as well": (
        peers_bench, "own_sales", '"refit"', '"all"', "LSTM", peer_bands,
    ),
    "the second shop's settings chosen on the test": (
        SECOND, "best_setting", 'cutoffs("valid")', 'cutoffs("test")', "sealed", second_settings,
    ),
    "its bands calibrated on the test": (*CALIBRATED, "mean of 8 weeks", second_sales),
    "its joined sales weighed on the test": (
        SECOND, "add_joined", "valid_wape(study.task, p) for p in join(*both[0], weight)",
        'sales.draws(study.task, p, "test", n=1)["WAPE"][0] for p in join(*both[1], weight)',
        "LSTM, joined", second_sales,
    ),
    "its joined silence weighed on the test": (
        VISITS, "joined", 'loss(task, p) for p in mix(weight, "valid")',
        'loss(task, p, "test") for p in mix(weight, "test")', "silence", second_silence,
    ),
}  # fmt: skip


@pytest.mark.usefixtures("_fitted_here")
@pytest.mark.parametrize("leak", PLANTED)
def test_a_planted_leak_is_caught(shops, monkeypatch, leak):
    owner, name, old, new, named, *path = PLANTED[leak]
    plant(monkeypatch, owner, name, old, new)
    if new == '"all"':
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
    if path:
        choose = lambda shop: path[0](shop, monkeypatch)  # noqa: E731
    with pytest.raises(AssertionError, match=named):
        same(shops, choose)
