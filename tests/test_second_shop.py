"""The benchmark of the second shop by hand: rows and pairs, last year's season, joined weights, its table."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from benchmarks import run
from benchmarks.quality import second_shop as bench
from benchmarks.quality.sales import Study
from ecomlib import load_online_retail, purchases, sales
from ecomlib.own import online_retail
from ecomlib.own.online_retail import word_categories
from ecomlib.panels import Panel
from ecomlib.runtime import ROOT
from ecomlib.sales import SalesTask, WeekdayMean
from ecomlib.shop import Shop
from ecomlib.split import Split
from tests.toy_shop import RICH_SPLIT, rich_shop, toy_shop

TABLE = ROOT / "benchmarks" / "results" / "second_shop.csv"


def quiet(text):
    """A log that says nothing."""


@pytest.fixture
def nothing_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "KEPT", tmp_path)


def long_task(season=7, weeks=80, seed=0):
    """Two series over 80 weeks, noise around 100; test: the last 8 weeks, validation: the 4 before."""
    n = weeks * season
    values = 100 + 10 * np.random.default_rng(seed).random((2, n))
    days = pd.date_range("2010-01-04", periods=n, freq="D" if season == 7 else "7D")
    ends = [(weeks - back) * season for back in (12, 8, 0)]
    horizon = season
    known = np.zeros((2, n + horizon, 1), np.float32)
    panel = Panel(values.astype(np.float32), ["A", "B"], days)
    return SalesTask(panel, known, ["nothing"], *ends, 8 * season, horizon)


def find(rows, model, metric):
    (found,) = [r for r in rows if (r["model"], r["metric"]) == (model, metric)]
    return found


def test_a_row_is_a_mean_of_fits_and_a_ratio_is_drawn_in_pairs():
    flat = dict.fromkeys(("Brier", "accuracy", "AUC inactive"), np.array([1.0, 1.0, 1.0]))
    fits = {
        "own past": [{"log-loss": np.array([0.5, 0.4, 0.8])} | flat],
        "LSTM": [{"log-loss": np.array([0.25, 0.2, 0.4])} | flat] * 2,
        "LSTM, joined": [{"log-loss": np.array([0.2, 0.1, 0.3])} | flat],
    }
    rows = bench.scored("silence", "some", fits)
    assert find(rows, "own past", "log-loss")["value"] == 0.5
    ratio = find(rows, "LSTM / own past", "log-loss")
    assert (ratio["value"], ratio["low"], ratio["high"], ratio["seeds"]) == (0.5, 0.5, 0.5, 2)
    assert (ratio["use"], ratio["where"]) == ("silence", "some")
    assert find(rows, "LSTM, joined / LSTM", "log-loss")["value"] == 0.8
    assert "own past / LSTM" not in {r["model"] for r in rows}


def test_a_coverage_or_bias_has_no_ratio():
    task = long_task()
    p = WeekdayMean(8).predict(task, task.cutoffs())
    draws = sales.draws(task, p, n=3)
    rows = bench.scored("sales", "daily", {"LSTM": [draws], "Ridge": [draws]})
    assert {r["metric"] for r in rows if "/" in r["model"]} == {"WAPE", "pinball", "MASE"}
    assert find(rows, "LSTM / Ridge", "WAPE")["value"] == 1


def test_pairs_compare_like_with_like_and_last_year_with_none():
    names = [
        "Ridge",
        "LSTM",
        "LSTM, joined",
        "Ridge, last year",
        "LSTM, last year",
        "LSTM, joined, last year",
    ]
    assert bench.pairs(names) == [
        ("LSTM", "Ridge"),
        ("LSTM, joined", "Ridge"),
        ("LSTM, joined", "LSTM"),
        ("LSTM, last year", "Ridge, last year"),
        ("LSTM, joined, last year", "Ridge, last year"),
        ("LSTM, joined, last year", "LSTM, last year"),
        ("Ridge, last year", "Ridge"),
        ("LSTM, last year", "LSTM"),
        ("LSTM, joined, last year", "LSTM, joined"),
    ]


@pytest.mark.parametrize("season", [1, 7])
def test_last_years_lift_is_three_weeks_over_the_eight_before_them(season):
    task = long_task(season)
    values = np.full_like(task.panel.values, 100)
    week = 10
    values[0, season * week : season * (week + 3)] = 200  # three whole weeks of the first series
    task.panel.values[:] = values
    own, every = np.moveaxis(task.with_last_year().known[..., -2:], -1, 0)
    middle = season * (week + 1) + season // 2 + 52 * season
    # The eight weeks end a week before the same day: three days of them (no week) lie in the better weeks.
    before = 100 * (1 + (season // 2 + 1 if season == 7 else 1) / (8 * season))
    assert own[0, middle] == pytest.approx(np.log(201 / (before + 1)), abs=1e-5)
    assert own[1, middle] == 0
    assert every[0, middle] == pytest.approx(np.log(301 / (before + 101)), rel=0.02)
    assert not own[:, : 61 * season - 2].any()  # 52 weeks, and the nine before them, are not known yet
    made = bench.MeanAndLastYear(0.5).predict(task.with_last_year(), np.array([middle - 1]))
    plain = WeekdayMean(8).predict(task, np.array([middle - 1]))
    assert made[0, 0, 0] == pytest.approx(plain[0, 0, 0] * np.sqrt(201 / (before + 1)), rel=1e-5)


@pytest.mark.parametrize("season", [1, 7])
def test_last_years_lift_reads_nothing_after_the_cutoff(season):
    task = long_task(season)
    for cutoff in task.cutoffs()[:2]:
        other = long_task(season)
        other.panel.values[:, cutoff + 1 :] = 7
        ahead = slice(0, cutoff + 1 + task.horizon)
        one, two = (each.with_last_year().known[:, ahead] for each in (task, other))
        assert np.array_equal(one, two)


def test_weeks_are_sums_of_days_from_the_first_monday():
    shop, split = toy_shop(143), Split.last(test="28D", valid="28D", end="2017-09-17")
    kind = {"level": "category", "n_series": 3}
    days, weeks = (bench.sales_task(shop, step, split, **kind) for step in ("daily", "weekly"))
    assert weeks.season == 1 and weeks.horizon == 1 and weeks.panel.names == days.panel.names
    assert len(weeks.panel.days) == 20 and weeks.panel.days[-1] == pd.Timestamp("2017-09-11")
    assert weeks.panel.values[:, -1] == pytest.approx(days.panel.values[:, 133:140].sum(axis=1))
    late = bench.sales_task(shop_from(shop, "2017-05-03"), "weekly", split, **kind)
    assert late.panel.days[0] == pd.Timestamp("2017-05-08")
    assert np.allclose(late.panel.values, weeks.panel.values[:, 1:])
    assert not days.is_open(days.cutoffs())[:, 0, 5].any()  # the horizon begins on a Monday


def shop_from(shop: Shop, day: str) -> Shop:
    return Shop(shop.orders[shop.orders["timestamp"] >= day].reset_index(drop=True), shop.products)


def test_a_joined_forecast_takes_its_weight_from_validation(nothing_kept):
    task = long_task()
    study = Study(task, {"dataset": "x", "period": "test", "horizon": 7}, False, quiet)
    actual = [task.actual(cutoffs)[None, ..., None] for cutoffs in (study.valid, study.cutoffs)]
    band = np.array([-5.0, 0, 5])
    study.raw["LSTM"] = tuple(each + 30 + band for each in actual)
    study.raw["LightGBM"] = tuple(each - 10 + band for each in actual)
    bench.add_joined(study)  # 30 w = 10 (1 - w)
    off = study.raw[bench.JOINED][1] - actual[1]
    assert off[..., 1] == pytest.approx(0.2 * 30 - 0.8 * 10, abs=1e-4) or off[..., 1] == pytest.approx(
        0.3 * 30 - 0.7 * 10, abs=1e-4
    )


def test_the_best_setting_is_that_of_validation():
    task = long_task()

    class Off:
        def __init__(self, seed, by):
            self.by = by

        def fit(self, task, part):
            assert part == "train"
            return self

        def predict(self, task, cutoffs):
            wrong = (
                self.by * (cutoffs < task.test_start - 1)[:, None, None, None]
            )  # in the test all are right
            return task.actual(cutoffs)[..., None] + wrong + np.zeros(3)

    grid = [{"by": 9}, {"by": 2}, {"by": 5}]
    assert bench.best_setting(task, Off, grid) == {"by": 2}


def test_epochs_are_those_of_the_smallest_validation_loss(nothing_kept):
    class Net:
        history = {"val_loss": [0.5, 0.3, 0.2, 0.4]}

        def fit(self, task, watch):
            assert watch
            return self

    assert bench.chosen_epochs("x", Net(), None, quiet) == 3


def test_some_customers_are_every_second_one_by_id_with_all_their_orders():
    shop = rich_shop()
    some = bench.some_customers(shop, 2)
    ids = sorted(shop.orders["customer_id"].unique().astype(str))
    assert sorted(some.orders["customer_id"].unique().astype(str)) == ids[::2]
    kept = shop.orders["customer_id"].astype(str).isin(ids[::2])
    assert len(some.orders) == kept.sum()


def test_rows_of_silence_and_purchases_on_a_tiny_shop(nothing_kept, monkeypatch):
    from ecomlib import visits

    def shares(task, seed=0, **settings):
        return bench.visits_bench.forecasts_of(visits.ClassShares().fit(task), task)

    monkeypatch.setattr(bench, "SPLIT", RICH_SPLIT)
    monkeypatch.setattr(bench, "SOME", {"silence": 1, "purchases": 2})
    monkeypatch.setattr(bench, "chosen_epochs", lambda where, net, task, log: 3)
    monkeypatch.setattr(bench.visits_bench, "fit", shares)
    monkeypatch.setattr(bench.visits_bench, "fit_trees", lambda task, seeds: [shares(task) for _ in seeds])
    rows = bench.silence_rows(rich_shop(), False, quiet)
    names = ["class shares", "own past", "logistic regression", "LightGBM", "LSTM", "LSTM, joined"]
    assert list(dict.fromkeys(r["model"] for r in rows if "/" not in r["model"])) == names
    assert find(rows, "LSTM / class shares", "log-loss")["value"] == pytest.approx(1)
    assert find(rows, "LSTM", "Brier")["seeds"] == bench.SEEDS

    monkeypatch.setattr(bench.purchases, "task", partial(purchases.task, n_categories=4))
    monkeypatch.setattr(bench.purchases, "PurchaseLSTM", lambda seed, **few: purchases.BaseRate())
    rows = bench.purchase_rows(rich_shop(), False, quiet)
    assert find(rows, "LSTM / base rate", "log-loss")["value"] == pytest.approx(1)
    weight = find(rows, "LSTM, joined / LightGBM", "log-loss")["value"]
    assert 0.5 < weight < 2
    assert {r["where"] for r in rows} == {"every fifth customer"}


def test_products_that_come_later_do_not_choose_the_categories(monkeypatch):
    names = ["RED BAG", "BLUE BAGS", "TIN CUP", "WALL CLOCK", "OLD CLOCK", "BIG CLOCK"]
    orders = pd.DataFrame({"product_id": range(6), "customer_id": 1, "order_id": range(6), "quantity": 1})
    orders = orders.assign(revenue=1.0, discount=0.0, timestamp=pd.date_range("2011-01-01", periods=6))
    shop = Shop(
        orders, pd.DataFrame({"product_id": range(6), "name": names}).assign(category="", department="")
    )
    monkeypatch.setattr(online_retail, "open_shop", lambda files, **options: replace(shop))
    early, late = (
        load_online_retail(2, until).products["category"].tolist() for until in ("2011-01-04", None)
    )
    assert early == [*2 * ["BAG"], *4 * ["OTHER"]] and late == [*3 * ["OTHER"], *3 * ["CLOCK"]]
    assert word_categories(["RED BAG", "TIN CUPS", "CUP", "CUP"], 2, ["BAGS"]) == ["BAG", *3 * ["OTHER"]]
    assert pd.Timestamp(bench.VALID) == bench.SPLIT.dates(bench.SPLIT.end).valid


@pytest.mark.slow
def test_the_benchmarks_categories_are_those_of_the_products_sold_before_its_validation():
    shop = load_online_retail(until=bench.VALID)
    assert shop.products is not None
    names, early = shop.products["name"], shop.orders["timestamp"] < bench.VALID
    early = shop.products["product_id"].isin(shop.orders["product_id"][early])
    assert set(shop.products["category"]) == set(word_categories(names[early], 40))
    assert set(word_categories(names, 40)) != set(word_categories(names[early], 40))


@pytest.mark.skipif(not TABLE.exists(), reason="the table is not made yet")
def test_the_table_holds_every_use_case_and_every_ratio_has_both_sides():
    table = pd.read_csv(TABLE)
    assert list(table.columns) == [*run.LEADING, "use", "where"]
    assert set(table["use"]) == set(bench.SCORES)
    assert (table["low"] <= table["high"]).all()
    for (use, where), some in table.groupby(["use", "where"]):
        models = set(some["model"])
        assert {"LSTM", "LSTM, joined"} <= models, (use, where)
        for pair in [name for name in models if " / " in name]:
            one, other = pair.split(" / ")
            assert {one, other} <= models
            for metric in some.loc[some["model"] == pair, "metric"]:
                value = some[some["metric"] == metric].set_index("model")["value"]
                assert value[pair] == pytest.approx(value[one] / value[other], rel=1e-4)
