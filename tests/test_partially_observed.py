"""Lesson 53's benchmark: what is hidden stays hidden, gaps are filled from the past only, scores by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical, change_future, plant
from toy_shop import RICH_SPLIT, RICH_TEST, rich_shop, toy_shop

from benchmarks.quality import _gaps as gaps
from benchmarks.quality import _sales_gaps as days
from benchmarks.quality import partially_observed as bench
from ecomlib import Split, sales, visits
from ecomlib.sales import pinball_loss

pytestmark = pytest.mark.usefixtures("eager")
ARMS = bench.ARMS
SEEN = np.array([[1, 0, 0, 1, 1, 0]], bool)


@pytest.fixture(scope="module")
def shop():
    return rich_shop()


@pytest.fixture(scope="module")
def whole(shop):
    return visits.task(shop, RICH_SPLIT)


@pytest.fixture(scope="module")
def gappy(shop, whole):
    return gaps.hide_weeks(shop, whole, gaps.seen_weeks("at random", whole, 0), RICH_SPLIT)


# ------------------------------------------------------------------------------------------- weeks and trips


def test_about_half_is_hidden_and_the_first_week_never(whole):
    for kind in bench.KINDS:
        seen = gaps.seen_weeks(kind, whole, 1)
        assert 0.4 < seen.mean() < 0.65 and seen[whole.panel.known == 1].all()
        assert not np.array_equal(seen, gaps.seen_weeks(kind, whole, 2))
    weeks = np.ones((4, 200))
    long = replace(
        whole, panel=replace(whole.panel, weeks=pd.date_range("2020-01-06", periods=200, freq="7D"))
    )
    seen = gaps.seen_weeks("blocks", replace(long, x=weeks), 0)
    borders = np.diff(np.flatnonzero(np.diff(seen[0].astype(int))))
    assert (borders[1:-1] % gaps.BLOCK == 0).all() and len(borders) > 5


def test_hidden_weeks_leave_no_trace_but_the_truth_stays(whole, gappy):
    hidden = ~gappy.seen & (whole.panel.known > 0)
    assert gappy.task.panel.values[hidden].sum() == 0 < whole.panel.values[hidden].sum()
    assert np.array_equal(gappy.task.panel.values[gappy.seen], whole.panel.values[gappy.seen])
    assert np.array_equal(gappy.task.y, whole.y)
    same = gappy.seen & (whole.panel["baskets"] > 0)
    assert np.allclose(gappy.task.x[same][:, :4], whole.x[same][:, :4])  # the scale of the whole task


def test_missed_trips_are_half_and_small_ones_rather(shop, whole):
    revenue = shop.orders.groupby("order_id")["revenue"].sum()
    for kind in bench.TRIPS:
        keep = gaps.missed_trips(kind, shop, whole, 0)
        kept = shop.orders.loc[keep, "order_id"].unique()
        assert 0.4 < len(kept) / len(revenue) < 0.65
        missed = revenue.drop(kept)
        assert (revenue[kept].mean() > 1.2 * missed.mean()) == (kind == "small baskets")
        first = shop.orders.groupby("customer_id")["timestamp"].min()
        assert shop.orders[keep].groupby("customer_id")["timestamp"].min().equals(first)
        assert np.array_equal(gaps.task_of(shop, whole, keep, RICH_SPLIT).y, whole.y)


# -------------------------------------------------------------------------------------------------- fillings


def test_time_since_counts_to_the_week_before():
    assert gaps.since_previous(SEEN).tolist() == [[0, 1, 2, 3, 1, 1]]


def test_fillings_by_hand():
    x = np.array([2, 9, 9, 4, 0, 9.0])[None, :, None]
    assert gaps.last_seen(x, SEEN)[0, :, 0].tolist() == [2, 2, 2, 4, 0, 0]
    assert gaps.mean_so_far(x, SEEN)[0, :, 0].tolist() == [2, 2, 2, 3, 2, 2]
    late = np.array([[0, 1, 0, 0, 0, 0]], bool)
    assert gaps.last_seen(x, late)[0, :, 0].tolist() == [0, 9, 9, 9, 9, 9]


def test_seen_weeks_are_the_same_in_every_arm(gappy):
    plain = gappy.task.x
    for arm in ARMS:
        made = gaps.inputs(gappy, arm)
        assert np.array_equal(made[0][gappy.observed][:, :13], plain[gappy.observed])
        assert np.isfinite(np.concatenate(made, axis=-1)).all()
    mask = gaps.inputs(gappy, "mask")[1][..., 0]
    assert np.array_equal(mask > 0, gappy.seen & (gappy.task.panel.known > 0))


def inputs_of(shop, seen):
    task = visits.task(shop, RICH_SPLIT)
    made = gaps.hide_weeks(shop, task, seen | (task.panel.known == 1), RICH_SPLIT)
    last = int(task.cutoffs("test")[0]) + 1
    found = {arm: [each[:, :last] for each in gaps.inputs(made, arm)] for arm in ARMS}
    return found | {"LightGBM": gaps.gap_features(made)[:, :last]}


@pytest.fixture(scope="module")
def futures(shop, whole):
    seen = gaps.seen_weeks("at random", whole, 0)
    later = seen.copy()
    later[:, int(whole.cutoffs("test")[0]) + 1 :] ^= True
    return (shop, seen), (change_future(shop, RICH_TEST, newcomers=False), later)


def test_nothing_of_the_future_is_in_the_inputs(futures):
    assert_identical(*(inputs_of(*each) for each in futures))


def test_a_mean_of_all_weeks_is_caught(futures, monkeypatch):
    plant(
        monkeypatch, gaps, "mean_so_far", "(x * seen).cumsum(axis=1)", "(x * seen).sum(axis=1, keepdims=True)"
    )
    with pytest.raises(AssertionError, match="own mean"):
        assert_identical(*(inputs_of(*each) for each in futures))


def test_gap_features_count_seen_weeks_only(whole, gappy):
    names = visits.features(whole)[1]
    columns = gaps.gap_features(gappy)
    hidden = ~gappy.seen & (whole.panel.known > 0)
    assert np.isnan(columns[hidden][:, names.index("spend, lag 0")]).all()
    customer, week = 3, 15
    seen = gappy.seen[customer, week - 3 : week + 1]
    shopped = (whole.panel["baskets"][customer, week - 3 : week + 1] > 0) & seen
    assert columns[customer, week, names.index("shopped, 4 weeks")] == pytest.approx(
        shopped.sum() / seen.sum()
    )
    every = gaps.Gappy(whole, np.ones_like(gappy.seen))
    shared = [i for i, name in enumerate(names) if "lag" not in name]
    known = whole.panel.known > 0
    assert np.allclose(
        gaps.gap_features(every)[known][:, shared], visits.features(whole)[0][known][:, shared]
    )


# ---------------------------------------------------------------------------------------------------- models


def test_input_decay_is_its_equation():
    layer = gaps.InputDecay()
    given = [np.array([[[5.0]]]), np.array([[[0.0]]]), np.array([[[2.0]]]), np.array([[[3.0]]])]
    given = [each.astype("float32") for each in given]
    layer(given)
    layer.set_weights([np.array([0.5]), np.array([0.1]), np.array([7.0])])
    keep = np.exp(-(0.5 * 2 + 0.1))
    assert np.allclose(layer(given), [[[keep * 3 + (1 - keep) * 7, 0]]])
    given[1][:] = 1  # a seen value stays
    assert np.allclose(layer(given), [[[5, 1]]])


def test_a_skipped_week_keeps_the_state_and_counts_in_the_loss(gappy):
    made = gaps.inputs(gappy, "skip")
    net = gaps.network("skip", made, 4, 5)
    other = [each.copy() for each in made]
    other[0][~gappy.observed] = 9.0  # whatever stands there
    rows = gappy.task.panel.known[:, 0] > 0
    assert np.allclose(net([each[rows] for each in made]), net([each[rows] for each in other]), atol=1e-6)
    assert getattr(net.outputs[0], "_keras_mask", None) is None  # else Keras drops these weeks from the loss


def test_every_arm_answers_every_week(gappy):
    for arm in ARMS:
        made = gaps.inputs(gappy, arm)
        p = np.asarray(gaps.network(arm, made, 3, 5)([each[:2] for each in made]))
        assert p.shape == (2, made[0].shape[1], 5) and np.allclose(p.sum(axis=-1), 1, atol=1e-5)


def test_forecast_over_true_by_hand(whole):
    cutoffs = whole.cutoffs("test")
    p = np.zeros((len(cutoffs), len(whole.x), 5))
    p[..., 1] = p[..., 3] = 0.5  # two weeks for everybody
    y = whole.rows("test")[2]
    assert bench.scored(whole, p)["forecast / true"][0] == pytest.approx(2 * len(y) / y.sum())


# ----------------------------------------------------------------------------------------------------- sales


@pytest.fixture(scope="module")
def daily():
    return sales.task(toy_shop(), Split.last(test="14D", valid="14D"), "category", lookback=28)


@pytest.fixture(scope="module")
def half(daily):
    return days.gap_task(daily, days.seen_days("at random", daily.panel.values.shape, 0), mask=True)


def test_of_two_blocks_one_is_hidden():
    seen = days.seen_days("blocks", (20, 280), 3)
    assert abs(seen.mean() - 0.5) < 0.05
    runs = [len(run) for row in seen.astype(int) for run in "".join(map(str, row)).split("1") if run]
    assert max(runs) <= 2 * days.BLOCK


def test_windows_know_the_seen_days_only(daily, half):
    cutoffs = daily.cutoffs("train", 7)
    other = daily.panel.values.copy()
    other[~half.seen] = 777.0
    changed = replace(half, panel=replace(daily.panel, values=other))
    for fill in ("zero", "forward", "nan"):
        first, second = (replace(each, fill=fill).windows(cutoffs) for each in (half, changed))
        for name, each in first.inputs().items():
            assert np.array_equal(each, second.inputs()[name], equal_nan=True), (fill, name)
        assert np.array_equal(first.scale, second.scale)
        assert np.array_equal(first.target, second.target, equal_nan=True)
    assert np.isnan(first.target).mean() == pytest.approx(0.5, abs=0.1)


def test_all_days_seen_is_the_task_of_lesson_22(daily):
    every = days.gap_task(daily, np.ones(daily.panel.values.shape, bool))
    first, second = (each.windows(daily.cutoffs("test")) for each in (daily, every))
    for name, each in first.inputs().items():
        assert np.allclose(each, second.inputs()[name], atol=1e-5), name
    assert np.allclose(first.target * first.scale, second.target * second.scale, atol=1e-3)


def test_the_mean_of_seen_weekdays_by_hand():
    past = np.array([[4.0, 0, 8, 6]])
    seen = np.array([[True, False, False, True]])
    made = days.GapWindows(past, None, None, None, None, np.zeros((1, 2)), 2, seen)
    assert made.weekday_mean(2).tolist() == [[4, 6]]
    assert made.weekday_mean(1).tolist() == [[4, 6]]  # not seen last week: of all weeks
    none = replace(made, seen=np.array([[True, False, True, False]]))
    assert none.weekday_mean(2).tolist() == [[6, 1]]  # never seen: the window's mean


def test_a_hidden_target_adds_nothing_to_the_loss():
    rng = np.random.default_rng(0)
    target, forecast = rng.random((3, 7)).astype("float32"), rng.random((3, 7, 3)).astype("float32")
    assert np.allclose(days.seen_pinball(target, forecast), pinball_loss(target, forecast), atol=1e-6)
    target[0, 1:] = np.nan
    first = pinball_loss(target[:1, :1], forecast[:1, :1]) / 7
    assert np.allclose(days.seen_pinball(target, forecast)[0], first, atol=1e-6)


def test_the_filter_needs_no_filling(daily, half):
    cutoffs = daily.cutoffs("test")
    other = daily.panel.values.copy()
    other[~half.seen] = 777.0
    changed = replace(half, panel=replace(daily.panel, values=other))
    assert_identical(*(days.Kalman().predict(each, cutoffs) for each in (half, changed)))


def test_the_filter_knows_a_week_by_heart(daily):
    week = np.tile([3.0, 5, 2, 8, 6, 9, 4], 30)[: daily.panel.values.shape[1]]
    values = np.tile(week, (3, 1)).astype("float32")
    task = replace(daily, panel=replace(daily.panel, values=values))
    half = days.gap_task(task, days.seen_days("at random", values.shape, 1))
    for log in (False, True):
        p = days.Kalman(log=log, season=False).predict(half, task.cutoffs("test"))
        assert np.allclose(p[..., 1], task.actual(task.cutoffs("test")), rtol=0.02)


def test_the_filter_and_the_trees_know_no_future(daily, half):
    cutoff = daily.cutoffs("test")[:1]
    later = daily.panel.values.copy()
    later[:, cutoff[0] + 1 :] *= 3
    changed = replace(half, panel=replace(daily.panel, values=later))
    for model in (days.Kalman(), days.GapTrees(trees=5, leaf_rows=5)):
        found = [
            model.fit(replace(t, fill="nan", mask=False), "train").predict(t, cutoff) for t in (half, changed)
        ]
        assert_identical(*found)
