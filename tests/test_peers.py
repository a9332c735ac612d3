"""The benchmark of the peers: its table, and how its rows are made, without any of the libraries."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from benchmarks.quality import _alone as alone
from benchmarks.quality import _peer_forecasters as forecasters
from benchmarks.quality import _peer_recbole as recbole
from benchmarks.quality import _peer_recommenders as recommenders
from benchmarks.quality import peers
from ecomlib.panels import Panel
from ecomlib.recommend.task import TEST, TRAIN, VALID, build_task
from ecomlib.results import read_benchmark
from ecomlib.sales import SalesTask

METRICS = {
    "sales": {"WAPE", "pinball", "coverage", "bias", "MASE", "RMSSE"},
    "discovery": {"recall@10", "recall@20", "ndcg@10", "mrr@20", "novelty@10", "popularity@10"},
    "CDNOW": {"MAE", "MSE"},
}
METRICS["discovery"] |= {"coverage@10"}
COST = {"CPU minutes", "peak GB"}
PAIRED = {"sales": {"WAPE", "pinball"}, "discovery": {"recall@10", "recall@20", "ndcg@10", "mrr@20"}}
PAIRED["CDNOW"] = {"MAE", "MSE"}


def whole(table):
    """Every peer of a task has every metric once and is paired with the LSTM; intervals are in order."""
    assert list(table.columns) == ["model", "metric", "value", "low", "high", "seeds", "task", "library"]
    assert not table.duplicated(["model", "metric", "task"]).any()
    known = table[~table["metric"].isin(COST)]  # not every system says what a fit costs
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).mean() > 0.99
    assert (known["low"] <= known["high"]).all() and known["value"].notna().all()
    for task, rows in table.groupby("task"):
        joint = " minus " if task == "CDNOW" else " / "
        pairs = rows["model"].str.contains(f"LSTM{joint}", regex=False)
        for model, own in rows[~pairs].groupby("model"):
            assert set(own["metric"]) == METRICS[task] | COST, model
            paired = rows.loc[rows["model"] == f"LSTM{joint}{model}", "metric"]
            assert set(paired) == (PAIRED[task] if model != "LSTM" else set()), model
        assert "LSTM" in set(rows["model"])
    return table.set_index(["task", "model", "metric"]).sort_index()


def test_the_committed_table_is_whole_and_no_peer_was_left_untuned():
    table = whole(read_benchmark("peers"))
    models = {task: set(table.loc[task].index.get_level_values("model")) for task in METRICS}
    assert models["sales"] >= {*peers.CLASSICAL, peers.ENSEMBLE, *peers.NETWORKS}
    assert models["discovery"] >= {
        f"{name}{more}" for name in peers.grids(False) for more in ("", " + trend")
    }
    assert models["CDNOW"] >= {"BG/NBD", "Pareto/NBD"}
    assert table["library"].nunique() == 6
    seeds = table.loc["sales", "seeds"].groupby(level="model").first()
    assert (seeds[["LSTM", *peers.NETWORKS]] == 3).all() and (seeds[[*peers.CLASSICAL]] == 1).all()
    # what others had reached with the same libraries, on the same rows
    assert table.loc[("discovery", "ALS + trend", "recall@10"), "value"] > 0.092
    assert table.loc[("sales", "TiDE", "WAPE"), "value"] < 0.26
    assert table.loc[("sales", "AutoETS", "WAPE"), "value"] < 0.272
    np.testing.assert_allclose(table.loc["CDNOW"].loc[("Pareto/NBD", "MAE"), "value"], 0.79377, atol=1e-5)


def test_the_courses_network_is_the_one_of_the_other_tables():
    table = whole(read_benchmark("peers"))["value"]
    sales = read_benchmark("sales").query("dataset == 'categories' and period == 'test' and horizon == 7")
    sales = sales.query("holidays == 'in' and series == 'all'").set_index(["model", "metric"])["value"]
    for metric in ("WAPE", "pinball", "coverage"):
        assert table["sales", "LSTM", metric] == pytest.approx(sales["LSTM", metric], rel=1e-4)
    lists = read_benchmark("recommend").query("level == 'product_type' and question == 'discovery'")
    lists = lists.query("window == '45-52'").set_index(["model", "metric"])["value"]
    for metric in ("recall@10", "ndcg@10", "mrr@20"):
        assert table["discovery", "LSTM", metric] == pytest.approx(lists["LSTM", metric], rel=1e-4)
    counts = read_benchmark("purchases").query("where == 'CDNOW'").set_index(["model", "metric"])["value"]
    for metric in ("MAE", "MSE"):
        assert table["CDNOW", "LSTM", metric] == pytest.approx(counts["LSTM", metric], rel=1e-4)


def cost(library, **found):
    return found | {"library": library, "minutes": 2.0, "gb": 0.5}


def sales_task():
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=42)
    values = rng.uniform(50, 60, (2, 42)).astype(np.float32)
    known = rng.random((2, 49, 2)).astype(np.float32)
    return SalesTask(Panel(values, ["BEEF", "SOUP"], days), known, ["Mon", "day before"], 14, 28, 42, 14, 7)


def forecast(task, off):
    band = np.array([-2.0, 0, 2]) + off
    return {part: task.actual(task.cutoffs(part))[..., None] + band for part in ("valid", "test")}


def test_rows_of_sales_are_made_without_the_libraries():
    task = sales_task()
    found = {"LSTM": [cost("keras", **forecast(task, off)) for off in (1.0, 3.0)]}
    for off, name in enumerate(peers.CLASSICAL):
        found[name] = [cost("statsforecast", **forecast(task, off - 9.0))]
    table = whole(pd.DataFrame(peers.sales_rows(task, found)))
    assert table.loc[("sales", "LSTM", "WAPE"), "seeds"] == 2
    total = task.actual(task.cutoffs("test")).mean()
    wape = table["value"].unstack()["WAPE"]["sales"]
    assert wape["LSTM"] == pytest.approx(2 / total) and wape["AutoETS"] == pytest.approx(9 / total)
    assert wape[peers.ENSEMBLE] == pytest.approx(7.5 / total), "the median of -9, -8, -7, -6"
    assert wape["LSTM / Theta"] == pytest.approx(2 / 6)
    assert table.loc[("sales", peers.ENSEMBLE, "CPU minutes"), "value"] == 8
    assert (table["value"].unstack()["coverage"]["sales"].dropna() > 0.99).all(), "bands are calibrated"


def test_rows_of_recommendation_and_cdnow_are_made_without_the_libraries():
    rng, metrics = np.random.default_rng(0), sorted(METRICS["discovery"] - {"coverage@10"})
    place = {"who": np.repeat(range(10), 4), "week": np.tile(range(4), 10)}

    def fit(library, level):
        rows = pd.DataFrame({metric: level + 0.01 * rng.random(40) for metric in metrics} | place)
        return cost(library, rows=rows, coverage=level)

    found = {"ALS": [fit("implicit", 0.1)], "LSTM": [fit("keras", 0.2), fit("tensorflow", 0.4)]}
    table = whole(pd.DataFrame(peers.recommend_rows(found)))["value"]
    assert table["discovery", "LSTM", "coverage@10"] == pytest.approx(0.3)
    ratio = table["discovery", "LSTM / ALS", "mrr@20"]
    assert ratio == pytest.approx(table["discovery", "LSTM", "mrr@20"] / table["discovery", "ALS", "mrr@20"])
    later = rng.poisson(1, 50).astype(float)
    found = {"BG/NBD": [cost("lifetimes", expected=later + 1)]}
    found["LSTM"] = [cost("keras", expected=later - off) for off in (1, 3)]
    table = whole(pd.DataFrame(peers.cdnow_rows(found, later)))["value"]
    assert table["CDNOW", "LSTM minus BG/NBD", "MAE"] == pytest.approx(1)
    assert table["CDNOW", "LSTM minus BG/NBD", "MSE"] == pytest.approx(5 - 1)


def test_neuralforecast_reads_a_line_for_each_series_and_day():
    task = sales_task()
    table = forecasters.long_table(task)
    assert list(table.columns) == ["unique_id", "ds", "y", "Mon", "day_before"] and len(table) == 84
    line = table[(table["unique_id"] == 1) & (table["ds"] == task.days[5])].iloc[0]
    assert line["y"] == task.panel.values[1, 5] and line["day_before"] == task.known[1, 5, 1]


class Last:
    """A model of one series that forecasts its last value, and says how many values it was fitted on."""

    def __init__(self, fits, season_length):
        self.fits = fits

    def fit(self, past):
        self.fits.append(len(past))
        return self

    def forward(self, past, horizon, level):
        return {"lo-80": np.full(horizon, past[-1] - 1), "mean": np.full(horizon, past[-1])} | {
            "hi-80": np.full(horizon, past[-1] + 1)
        }


def test_a_model_of_one_series_reads_up_to_the_cutoff_and_is_fitted_once_a_week():
    task, fits = sales_task(), []
    made = forecasters.per_series(task, np.arange(20, 29), lambda: Last(fits, 7))
    assert fits == [21, 28, 21, 28]
    np.testing.assert_allclose(made[:, 1, 0, 1], task.panel.values[1, 20:29], rtol=1e-6)
    np.testing.assert_allclose(made[:, 1, 6, 2], task.panel.values[1, 20:29] + 1, rtol=1e-6)


def trips():
    lines = pd.DataFrame({"who": 1, "day": [0, 0, 3, 3, 7, 9], "item": list("abacbd")})
    lines = pd.concat([lines, lines.assign(who=2, day=lines["day"] + 1)])
    lines["part"] = np.select([lines["day"] < 5, lines["day"] < 9], [TRAIN, VALID], TEST)
    lines = pd.concat([lines, pd.DataFrame({"who": 3, "day": 0, "item": list("abcd"), "part": TRAIN})])
    return build_task(lines, min_count=1)


@dataclass
class Fixed(recommenders.Peer):
    """Scores that its seed decides."""

    seed: int = 0
    name = "fixed"

    def _learn(self, task, part):
        self.scores_ = np.random.default_rng(self.seed).random(task.n_items)

    def _score(self, task, rows):
        return np.tile(self.scores_, (len(rows), 1))


def test_a_recommender_is_scored_alone_and_with_the_trend_once_for_each_seed():
    found = peers.peer(trips(), "fixed", [Fixed(), Fixed(5)], (0, 1, 2))
    assert list(found) == ["fixed", "fixed + trend"] and [len(fits) for fits in found.values()] == [3, 3]
    assert all({"rows", "coverage", "minutes", "chosen"} == set(fit) for fit in found["fixed"])


def test_recbole_reads_what_was_bought_before_the_row():
    task = trips()  # households 1 and 2: ab, ac, b, d; household 3: abcd
    first, every = (recbole.Purchases.of(task, repeats) for repeats in (False, True))
    assert (len(first.step), len(every.step)) == (12, 16)
    seen, n = first.before(task, np.array([0, 2, 3, 7]), 4)
    assert n.tolist() == [1, 3, 3, 3] and (seen > 0).sum(axis=1).tolist() == [0, 3, 3, 3]
    assert set(seen[1, :2]) == {1, 2} and seen[1, 2] == 3, "c is new on the second trip"
    seen, n = every.before(task, np.array([3]), 2)
    assert n.tolist() == [2] and seen[0, 1] == 2, "the latest two, b last"


def test_recbole_learns_what_is_new_on_a_later_trip_from_what_came_before():
    task, net = trips(), recbole.RecBole(length=4)
    net.read_ = recbole.Purchases.of(task, repeats=False)
    ((seen, row, place, item, other),) = net._batches(task, "train", np.random.default_rng(0))
    assert sorted(row) == [0, 1] and item.tolist() == [3, 3], "c, for both households"
    assert place.tolist() == [1, 1] and all(set(seen[r, :2]) == {1, 2} for r in row)
    assert ((other >= 1) & (other <= task.n_items)).all()


@pytest.mark.slow
def test_a_process_of_its_own_says_what_it_cost():
    found = alone.alone("json", echo, 3)
    fit = found["echo"][0]
    assert (fit["made"], fit["library"], fit["minutes"]) == (3, "json", 7.0)
    assert 0 <= found["echo"][1]["minutes"] < 1 and not fit["gb"] > 100


def echo(value):
    return {"echo": [{"made": value, "minutes": 7.0}, {"made": value}]}


def test_quick_asks_for_fewer_and_shorter_fits(monkeypatch):
    def one(found):
        return [name for name, (library, grid, seeds) in found.items() if len(grid) > 1 or len(seeds) > 1]

    assert one(peers.grids(True)) == [] and len(one(peers.grids(False))) == 5
    jobs = {quick: peers.sales_jobs(sales_task(), quick) for quick in (True, False)}
    assert set(jobs[True]) < set(jobs[False])
    assert {
        job.args[-1]["max_steps"] for name, job in jobs[True].items() if name.split(",")[0] in peers.NETWORKS
    } == {5}


def test_what_lessons_23_33_and_43_say_of_the_peers():
    table = read_benchmark("peers")
    pairs = table[table["model"].str.startswith("LSTM ")].set_index(["task", "metric"])
    assert len(pairs.loc[("sales", "WAPE")]) == 9 and (pairs.loc[("sales", "WAPE"), "high"] < 1).all()
    discovery = pairs.loc[("discovery", "recall@10")].set_index("model")
    level = discovery.loc["LSTM / ALS + trend"]
    assert level["low"] < level["value"] < 1 < level["high"]
    assert (discovery.drop("LSTM / ALS + trend")["low"] > 1).all()
    assert (pairs.loc[("CDNOW", "MAE"), "low"] > 0).all()
    errors = ["MAE", "MSE"]
    theirs = table[table["library"] == "lifetimes"].set_index(["model", "metric"])["value"]
    ours = read_benchmark("purchases").query("where == 'CDNOW'").set_index(["model", "metric"])["value"]
    for model in ("BG/NBD", "Pareto/NBD"):
        np.testing.assert_allclose(theirs[model][errors], ours[model][errors], rtol=1e-3)
