"""The benchmark of lesson 62 by hand: which model answers when, what it has learned from, its table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.quality import every_week as bench
from ecomlib.runtime import ROOT
from ecomlib.sales import Ridge
from tests.perturb import assert_identical
from tests.test_second_shop import long_task

TABLE = ROOT / "benchmarks" / "results" / "every_week.csv"
WEEK = np.arange(bench.N_WEEKS)


def flat(value, n_series=3):
    """Errors (N_WEEKS, n_series) that are the same everywhere, or given by week."""
    return np.repeat(np.broadcast_to(value, bench.N_WEEKS)[:, None], n_series, axis=1).astype(float)


def test_a_renewed_arm_takes_each_model_from_its_own_week_on():
    errors = {point: flat(point) for point in bench.POINTS}
    assert (bench.renewed(errors, 4)[:, 0] == WEEK // 4 * 4).all()
    assert (bench.renewed(errors, 12)[:, 0] == WEEK // 12 * 12).all()


def test_a_challenger_has_to_win_on_four_weeks_that_neither_has_learned_from():
    # Each model is worthless for four weeks, and better than all before it later on.
    errors = {point: flat(np.where(point + 4 > WEEK, 9.0, 5.0 - point / 100)) for point in bench.POINTS}
    errors[0] = flat(5.0)
    out, switched = bench.compared(errors, bench.AHEAD)
    assert switched == [] and (out == 5).all()
    # Better from the start: used after its four weeks, not in them.
    errors = {point: flat(5.0 - point / 100) for point in bench.POINTS}
    out, switched = bench.compared(errors, bench.AHEAD)
    assert switched == list(range(8, bench.N_WEEKS, 4))
    assert (out[:8] == 5).all() and np.allclose(out[8:12], 4.96) and np.allclose(out[48:], 4.56)
    # Better only in weeks that it has learned from: never used.
    errors = {point: flat(np.where(point > WEEK, 1.0, 5.0 + point)) for point in bench.POINTS}
    assert bench.compared(errors, bench.AHEAD)[1] == []


def test_switching_if_better_needs_an_interval_below_one():
    rng = np.random.default_rng(0)
    old = 5 + rng.random((4, 12))
    noise = np.where(np.arange(12) < 6, 0.5, 1.45)
    assert bench.wins(0.9 * old, old, bench.BETTER) and bench.wins(0.9 * old, old, bench.AHEAD)
    assert bench.wins(noise * old, old, bench.AHEAD) and not bench.wins(noise * old, old, bench.BETTER)
    assert not bench.wins(1.1 * old, old, bench.AHEAD)


def test_ratios_are_paired_and_take_the_mean_of_fits():
    old = 1 + np.random.default_rng(0).random((5, 4))
    ratio = bench.ratio_draws([0.5 * old, 1.5 * old], [old])
    assert ratio[0] == pytest.approx(1)
    assert {round(float(r), 6) for r in ratio[1:]} == {0.5, 1.0, 1.5}  # only the fits move it


def test_age_compares_models_of_two_ages_in_the_same_weeks(monkeypatch):
    monkeypatch.setattr(bench, "absolute", lambda task, errors: errors)
    found = {
        (bench.LSTM, seed, point): {"test": flat(100.0 + (WEEK - point) * 1.0)}
        for seed in range(2)
        for point in bench.POINTS
    }
    rows = bench.age_rows(None, found)
    assert [each["week"] for each in rows] == list(range(4, 49, 4))
    for each in rows:  # a model of age a has the error 100 + a + 1.5 in the mean of four weeks
        assert each["value"] == pytest.approx((101.5 + each["week"]) / 101.5)


def test_a_model_learns_from_the_days_before_its_week_only():
    task = long_task(weeks=80)
    task = replace(task, test_start=60 * 7, valid_start=56 * 7)
    end = task.test_start + 7 * 8
    later = task.panel.values.copy()
    later[:, end:] = 7
    changed = replace(task, panel=replace(task.panel, values=later))
    for one, point in ((task, 8), (task, None)):
        known = bench.until(one, point)
        limit = end if point else task.valid_start
        assert known.cutoffs("train")[-1] + task.horizon == limit - 1
    learned = [Ridge().fit(bench.until(each, 8)) for each in (task, changed)]
    cutoffs = task.cutoffs("test")[:9]  # the last one is the day before week 8
    assert_identical(
        *(model.predict(each, cutoffs) for model, each in zip(learned, (task, changed), strict=True))
    )
    leaked = [Ridge().fit(bench.until(each, 9)) for each in (task, changed)]  # a week too many
    with pytest.raises(AssertionError):
        assert_identical(*(m.predict(each, cutoffs) for m, each in zip(leaked, (task, changed), strict=True)))


@pytest.fixture
def table():
    return pd.read_csv(TABLE)


def test_the_table_has_every_arm_every_week_and_every_age(table):
    weeks = table[table["metric"] == "WAPE / rule"]
    assert (weeks.groupby("model")["week"].apply(list).map(lambda w: w == [*range(1, 53)])).all()
    arms = set(table.loc[(table["when"] == "all weeks") & ~table["model"].str.contains("/"), "model"])
    assert {"mean of 8 weeks", "LSTM, never", "LSTM, every 4 weeks", "LSTM, switch if better"} <= arms
    assert list(table.loc[table["when"] == "by age", "week"]) == list(range(4, 49, 4))
    closed = table["value"].isna()  # the week after Christmas: the shop sold nothing
    assert set(table.loc[closed, "metric"]) == {"WAPE / rule"} and table.loc[closed, "week"].nunique() == 1
    scored = table[~closed]
    assert (scored["low"] <= scored["value"]).all() and (scored["value"] <= scored["high"]).all()


def test_the_table_of_a_quarter_and_of_the_year_agree(table):
    """The year's WAPE lies between those of its quarters."""
    wape = table[(table["metric"] == "WAPE") & ~table["model"].str.contains(" / ")]
    for _, rows in wape.groupby("model"):
        year = rows.loc[rows["when"] == "all weeks", "value"].squeeze()
        quarters = rows.loc[rows["when"] != "all weeks", "value"]
        assert len(quarters) == 4 and quarters.min() <= year <= quarters.max()
