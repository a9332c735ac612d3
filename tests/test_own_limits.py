"""The benchmark that asks from which size of a shop on a network is better than the rule."""

import numpy as np
import pandas as pd
import pytest
from test_own_answers import sample

from benchmarks.quality import own_limits as bench
from ecomlib.shop import TooShort


def test_a_small_part_is_a_part_of_the_larger_one_and_ends_on_the_same_day():
    shop = sample()
    small, large = (bench.cut(shop, share, 10).orders for share in (20, 50))
    assert small["customer_id"].nunique() == 12 and large["customer_id"].nunique() == 30
    assert set(small["customer_id"]) < set(large["customer_id"])
    last = shop.orders["timestamp"].max().normalize()
    days = large["timestamp"].dt.normalize()
    assert days.max() == last and days.min() == last - pd.Timedelta(days=69)
    pd.testing.assert_frame_equal(bench.cut(shop, 100, 99).orders, shop.orders)


def test_a_row_is_a_ratio_to_the_rule_and_a_refusal_is_said(monkeypatch):
    pairs = [("LSTM", "mean"), ("joined", "mean"), ("ETS", "mean"), ("LSTM", "ETS"), ("joined", "ETS")]
    paired = pd.DataFrame(pairs, columns=["first", "second"]).assign(
        metric="WAPE", ratio=0.9, low=0.8, high=1.1
    )
    models = dict.fromkeys(("mean", "ETS", "LSTM", "joined"), [])
    monkeypatch.setattr(bench, "compare", lambda question, task, fits: (None, paired, models))
    rows = pd.DataFrame(bench.measured(sample(), "sales", 50, 30, None))
    assert rows["model"].tolist() == ["LSTM / rule", "joined / rule", "rival / rule"]
    assert (
        set(rows["rule"]) == {"mean"} and set(rows["rival"]) == {"ETS"} and set(rows["n_customers"]) == {60}
    )
    assert rows[["value", "low", "high", "seeds", "weeks", "share"]].iloc[0].tolist() == [
        0.9,
        0.8,
        1.1,
        1,
        30,
        50,
    ]

    def refuse(question, task, fits):
        raise TooShort("nobody came back")

    monkeypatch.setattr(bench, "compare", refuse)
    row = bench.measured(sample(), "purchases", 2, 30, None)[0]
    assert np.isnan(row["value"]) and row["rival"] == "nobody came back" and row["model"] == "joined / rule"


@pytest.mark.slow
def test_the_trial_run_measures_two_sizes(monkeypatch):
    monkeypatch.setattr(
        bench, "kept", lambda name, jobs, log: {job: make() for job, make in list(jobs.items())[:1]}
    )
    rows = bench.rows(True, print)
    assert {row["use"] for row in rows} == {"sales"} and {row["share"] for row in rows} == {2}
