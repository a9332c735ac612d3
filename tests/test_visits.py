"""Visits: targets and features counted by hand, no leak over the cutoff, baselines, network and scores."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical, change_after

from benchmarks.quality import visits as benchmark
from ecomlib import visits
from ecomlib.bootstrap import Draws, interval
from ecomlib.panels import WeeklyPanel
from ecomlib.shop import BadValue, Shop, TooShort
from ecomlib.split import Split
from ecomlib.visits.task import VisitsTask, _channels

SPLIT = Split.last(test="56D", valid="28D")  # of 30 weeks: targets from week 18, from week 22


def orders_of(shopped) -> pd.DataFrame:
    """Ten lines of two dollars, one basket, on the Wednesday of every shopping week; customers 0, 1, ..."""
    customer, week = np.nonzero(np.atleast_2d(shopped))
    customer, week = np.repeat(customer, 10), np.repeat(week, 10)
    when = pd.Timestamp("2024-01-03 12:00") + pd.to_timedelta(7 * week, unit="D")
    table = pd.DataFrame({"customer_id": customer, "order_id": 1000 * customer + week, "timestamp": when})
    table = table.assign(product_id=np.arange(len(table)) % 10, quantity=1, revenue=2.0, discount=0.0)
    return table.sort_values("timestamp", ignore_index=True)


def panel_of(shopped) -> WeeklyPanel:
    """The panel of `orders_of`, a customer without any week included."""
    shopped = np.atleast_2d(np.asarray(shopped, dtype=np.float32))
    n, weeks = shopped.shape
    values = shopped[..., None] * np.array([20, 1, 10], np.float32)
    first = np.where(shopped.any(axis=1), shopped.argmax(axis=1), weeks)
    days = pd.date_range("2024-01-01", periods=weeks, freq="7D")
    return WeeklyPanel(values, ["spend", "baskets", "lines"], np.arange(n), days, first)


def task_of(shopped, test: str = "28D", valid: str = "28D", **settings) -> visits.VisitsTask:
    return visits.task(Shop(orders_of(shopped)), Split.last(test, valid), **settings)


@pytest.fixture(scope="module")
def shop() -> Shop:
    rng = np.random.default_rng(1)
    n = 3000
    customer = rng.integers(0, 40, n)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 30 * 7 * 24 * 60, n), unit="min")
    orders = pd.DataFrame(
        {
            "customer_id": customer,
            "order_id": np.arange(n),
            "product_id": rng.integers(0, 9, n),
            "timestamp": when,
            "quantity": 1,
            "revenue": rng.uniform(1, 50, n).round(2),
            "discount": 0.0,
        }
    )
    keep = (customer % 4 > 0) | (rng.random(n) < 0.1)  # some customers come seldom
    return Shop(orders[keep].sort_values("timestamp", ignore_index=True))


@pytest.fixture(scope="module")
def task(shop) -> visits.VisitsTask:
    return visits.task(shop, SPLIT)


# ------------------------------------------------------------------------------------------------- the task


def test_the_target_counts_the_weeks_after_the_cutoff_and_not_its_own():
    y = visits.shopping_weeks_ahead(panel_of([1, 0, 1, 1, 0, 0, 0, 0, 1, 0]), 4)
    assert y.tolist() == [[2, 2, 1, 0, 1, 1, -1, -1, -1, -1]]
    assert visits.shopping_weeks_ahead(panel_of([1, 0, 1]), 1).tolist() == [[0, 1, -1]]


def test_channels_of_a_typical_shopping_week_are_one():
    shopped = np.ones((2, 20), int)
    shopped[0, [0, 1, 2, 5]] = 0
    channel = task_of(shopped, min_known=2).channel
    assert list(channel)[:6] == ["shopped", "spend", "baskets", "lines", "known", "days since trip"]
    for name in ("shopped", "spend", "baskets", "lines"):
        np.testing.assert_allclose(channel[name], shopped, rtol=1e-6)
    assert channel["known"][0].tolist() == [0, 0, 0] + [1] * 17  # from the first order on


def test_days_since_the_last_trip_are_counted_to_the_sunday_and_trips_stand_on_their_weekday():
    shopped = np.stack([np.isin(np.arange(20), [0, 17, 19]), np.ones(20)]).astype(int)
    channel = task_of(shopped, min_known=2, horizon=2).channel
    # The trips are on a Wednesday: four days before the Sunday of their own week.
    days = np.expm1(2 * channel["days since trip"][0])
    np.testing.assert_allclose(days, [*(4 + 7 * np.arange(17)), 4, 11, 4], rtol=1e-5)
    assert np.flatnonzero(channel["Wednesday"][0]).tolist() == [0, 17, 19]
    others = ("Monday", "Tuesday", "Thursday", "Friday", "Saturday", "Sunday")
    assert not any(channel[day].any() for day in others) and channel["Wednesday"].max() == 1


def test_days_outside_the_panel_do_not_count():
    orders = orders_of([[1, 1, 1]])
    orders["timestamp"] += pd.to_timedelta(np.repeat([-14, 0, 28], 10), unit="D")  # weeks -2, 1 and 6
    channels = _channels(orders, panel_of([[1, 1, 1]]), 2)[..., -7:]
    assert channels.shape == (1, 3, 7) and np.argwhere(channels).tolist() == [[0, 1, 2]]


def test_the_scale_of_the_channels_ends_with_the_training_cutoffs():
    orders = orders_of(np.ones((3, 20)))
    split = Split.last("28D", "28D")
    task = visits.task(Shop(orders), split)
    dear = orders["timestamp"] >= task.panel.weeks[task.cutoffs("train")[-1] + 1]
    later = visits.task(Shop(orders.assign(revenue=orders["revenue"].where(~dear, 99.0))), split)
    assert_identical(later.x[:, : task.cutoffs("train")[-1] + 1], task.x[:, : task.cutoffs("train")[-1] + 1])
    assert (later.channel["spend"][:, -1] > 1.5).all()


def test_the_parts_share_no_week_and_the_last_target_is_the_last_week(task):
    train, valid, test = (task.cutoffs(part) for part in ("train", "valid", "test"))
    assert train.tolist() == list(range(7, 14))  # targets end in week 17
    assert valid.tolist() == [17] and test.tolist() == [21, 22, 23, 24, 25]
    assert len(task.panel.weeks) == 30


def test_a_split_that_ends_earlier_cuts_the_weeks_after_it(shop):
    task = visits.task(shop, Split.last("56D", "28D", end="2024-07-14"))
    assert task.panel.weeks[-1] == pd.Timestamp("2024-07-08") and task.x.shape[1] == 28
    assert task.cutoffs("test")[-1] == 23 and (task.y[:, -4:] == -1).all()


def test_a_customer_is_forecast_from_its_eighth_known_week_on_inactive_ones_included():
    shopped = np.ones((3, 24), int)
    shopped[1, :9] = 0  # known from week 9 on: forecast from week 16 on
    shopped[2, 1:] = 0  # inactive since week 0
    task = task_of(shopped, test="56D", valid="28D")
    assert task.cutoffs("test").tolist() == [15, 16, 17, 18, 19]
    customer, cutoff, y = task.rows("test")
    assert customer.tolist() == [0, 2] + [0, 1, 2] * 4
    assert cutoff.tolist() == [15, 15] + [16] * 3 + [17] * 3 + [18] * 3 + [19] * 3
    assert y.tolist() == [4, 0] + [4, 4, 0] * 4


def test_labels_and_weights_hold_exactly_the_rows(task):
    for part in ("train", "valid", "test"):
        customer, cutoff, y = task.rows(part)
        labels, weight = task.labels(part)
        assert labels.shape == weight.shape == (40, task.cutoffs(part)[-1] + 1)
        assert (weight[customer, cutoff] == 1).all() and weight.sum() == len(y)
        assert_identical(labels[customer, cutoff], y)
        assert not labels[weight == 0].any()


def test_flat_takes_the_rows_in_their_order(task):
    customer, cutoff, _ = task.rows("test")
    names = 100 * np.arange(40) + task.cutoffs("test")[:, None]
    assert_identical(task.flat(names, "test"), 100 * customer + cutoff)


def test_another_horizon(shop):
    task = visits.task(shop, SPLIT, horizon=2, min_known=3)
    assert task.cutoffs("train").tolist() == list(range(2, 16))
    assert task.cutoffs("valid").tolist() == [17, 18, 19] and task.n_classes == 3
    p = visits.ClassShares().fit(task).predict(task, task.cutoffs("valid"))
    assert p.shape == (3, 40, 3)


def test_what_cannot_be_done_is_said_in_one_sentence(shop, task):
    with pytest.raises(TooShort, match="train: of 20 weeks none has a customer known for 8 weeks"):
        task_of(np.ones((2, 20)), test="56D", valid="28D")
    with pytest.raises(TooShort, match="valid: "):
        task_of(np.ones((2, 30)), test="56D", valid="21D")
    with pytest.raises(TooShort, match="at least one"):
        visits.task(Shop(orders_of(np.zeros((1, 3)))), SPLIT)
    with pytest.raises(BadValue, match="at least 1"):
        visits.task(shop, SPLIT, horizon=0)
    with pytest.raises(BadValue, match="no part 'tests'"):
        task.cutoffs("tests")
    with pytest.raises(BadValue, match="is no forecast"):
        task.flat(np.zeros((2, 40)), "test")
    with pytest.raises(BadValue, match="fit it on this task"):
        visits.ClassShares().fit(visits.task(shop, SPLIT, horizon=2)).predict(task, task.cutoffs("test"))
    with pytest.raises(TooShort, match="every row has class 4"):
        visits.Logistic().fit(task_of(np.ones((2, 30))))


# -------------------------------------------------------------------------------------- features, baselines


def test_features_by_hand():
    shopped = [0, 1, 0, 0, 1, 0, 0, 0]
    panel = panel_of(shopped)
    x = _channels(orders_of(shopped), panel, last=7)
    values, names = visits.features(VisitsTask(panel, x, visits.shopping_weeks_ahead(panel, 4), 4, 8, 5, {}))
    now = dict(zip(names, values[0, -1], strict=True))
    assert (now["recency"], now["known"], now["mean gap"], now["longest gap"]) == (3, 7, 3, 3)
    assert now["recency / known"] == pytest.approx(3 / 7) and now["recency / mean gap"] == 1
    assert now["shopped, 4 weeks"] == 0.25 and now["shopped, 52 weeks"] == pytest.approx(2 / 7)
    assert now["spend of a shopping week"] == pytest.approx(np.log1p(20))
    assert now["spend, 8 weeks"] == pytest.approx(np.log1p(40 / 7))
    assert now["spend, lag 0"] == 0 and now["spend, lag 3"] == pytest.approx(np.log1p(20))
    assert now["baskets, lag 6"] == pytest.approx(np.log(2)) and values.shape[-1] == 63
    # In days: trips on the Wednesdays of weeks 1 and 4, 21 days apart, seen from the Sunday of week 7.
    assert (now["days since trip"], now["mean gap, days"], now["longest gap, days"]) == (25, 21, 25)
    weight = 0.5 ** (25 / 42)  # the gap was over 25 days ago; two weeks count as one gap of today
    recent = (21 * weight + 14) / (weight + 1)
    assert now["recent gap, days"] == pytest.approx(recent)
    assert now["days since / recent gap"] == pytest.approx(26 / recent)
    assert values[0, :, names.index("Wednesday")].tolist() == shopped and now["Monday"] == 0
    assert values[0, 0, names.index("recency")] == 0  # nothing is known


@pytest.mark.parametrize("cutoff", [17, 21])
def test_nothing_leaks_over_the_cutoff(shop, cutoff):
    """Change all that comes after the cutoff: inputs, features and forecasts at it stay bit-identical."""
    after = pd.Timestamp("2024-01-01") + pd.Timedelta(weeks=cutoff + 1)

    def at_cutoff(shop):
        task = visits.task(shop, SPLIT)
        assert (task.panel.customers == np.arange(40)).all()
        known = task.panel.known[:, cutoff] > 0
        rules = (visits.ClassShares(), visits.OwnPast(), visits.RecencyFrequencyMoney(), visits.Logistic())
        trees = visits.LightGBM(leaf_rows=5, trees=3)
        return {
            "x": task.x[:, : cutoff + 1],
            "features": visits.features(task)[0][:, : cutoff + 1][known],
            "targets": task.y[:, : cutoff + 1 - task.horizon],
            "labels": task.labels("train"),
            **{m.name: m.fit(task).predict(task, np.array([cutoff]))[:, known] for m in (*rules, trees)},
        }

    assert_identical(at_cutoff(shop), at_cutoff(change_after(shop, after)))


def test_class_shares_count_the_training_rows_only():
    shopped = np.ones((2, 24), int)
    shopped[1, 17:] = 0
    task = task_of(shopped)
    # Training cutoffs 7 to 11; the targets of the last end in week 15, the second one stays away from 17 on.
    p = visits.ClassShares().fit(task).predict(task, task.cutoffs("valid"))
    assert p.shape == (1, 2, 5) and p[0].tolist() == [[0, 0, 0, 0, 1]] * 2
    assert visits.ClassShares().fit(task, "valid").prior.tolist() == [0, 0.5, 0, 0, 0.5]


def test_own_past_counts_complete_windows_only():
    shopped = np.tile([1] * 12 + [0] * 12, (2, 1))
    shopped[:, -1] = 1  # so that the data go on to the last week
    task = task_of(shopped)
    rule = visits.OwnPast(prior_windows=1e-12, half_life=1e9).fit(task)
    p = rule.predict(task, np.array([16, 3]))
    # At week 16 the complete windows are those of weeks 0 to 12: eight full ones, then 3, 2, 1, 0, 0.
    np.testing.assert_allclose(p[0, 0] * 13, [2, 1, 1, 1, 8], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(p[1, 0], rule.prior)  # no window is over yet


def test_own_past_fades_and_is_drawn_to_the_shares():
    shopped = np.ones((1, 24), int)
    shopped[0, 4:12] = 0
    task = task_of(shopped)
    rule = visits.OwnPast(prior_windows=2.0, half_life=1.0).fit(task)
    rule.prior = np.full(5, 0.2)
    # At week 5 the windows of weeks 0 and 1 are over: 3 and 2 shopping weeks, the older one fades to a half.
    np.testing.assert_allclose(rule.predict(task, np.array([5]))[0, 0] * 3.5, [0.4, 0.4, 1.4, 0.9, 0.4])


def test_the_cells_of_recency_frequency_and_money():
    rule = visits.RecencyFrequencyMoney(money=(25, 60))
    rule.limits = np.log1p([25, 60])
    rfm = np.array([[0, 0.1, 0.0], [1, 0.1, 3.2], [2, 0.7, 3.3], [9, 1.0, 5.0]])
    assert rule._cell(rfm).tolist() == [0, 15 + 0 + 0, 30 + 9 + 1, 60 + 12 + 2]


def test_the_rule_learns_the_shares_of_a_cell():
    shopped = np.zeros((3, 30), int)
    shopped[0] = 1  # recency 0, frequency 1: always 4
    shopped[1, ::2] = shopped[2, ::2] = 1  # every other week: always 2
    task = task_of(shopped)
    rule = visits.RecencyFrequencyMoney(prior_rows=1e-9, money=(25, 60)).fit(task)
    np.testing.assert_allclose(rule.limits, np.log1p([25, 60]))
    p = rule.predict(task, task.cutoffs("test"))
    np.testing.assert_allclose(p[0], np.eye(5)[[4, 2, 2]], atol=1e-6)
    np.testing.assert_allclose(rule.shares[74], rule.prior)  # a cell that training never met


def test_money_is_cut_into_thirds_of_the_shop(task):
    rule = visits.RecencyFrequencyMoney().fit(task)
    spend = rule._values(task)[task.rows("train")[0], task.rows("train")[1], 2]
    assert np.allclose(np.bincount(np.digitize(spend, rule.limits)) / len(spend), 1 / 3, atol=0.01)


def test_learners_answer_for_classes_they_never_saw(task):
    y = np.where(task.y >= 0, np.minimum(2 * (task.y > 2), task.y), -1)  # only the classes 0 and 2 are left
    few = replace(task, y=y)
    for model in (visits.Logistic(), visits.LightGBM(leaf_rows=5, trees=5, fits=2)):
        p = model.fit(few).predict(few, few.cutoffs("test"))
        assert p.shape == (5, 40, 5) and not p[..., [1, 3, 4]].any()
        np.testing.assert_allclose(p.sum(axis=-1), 1, atol=1e-9)
        hit = few.flat(p, "test")[np.arange(len(few.rows("test")[2])), few.rows("test")[2]]
        assert hit.mean() > 0.6


def test_several_fits_of_the_trees_are_averaged(task):
    one, other, both = (
        visits.LightGBM(leaf_rows=5, trees=5, **kind).fit(task).predict(task, task.cutoffs("test"))
        for kind in ({"seed": 3}, {"seed": 4}, {"seed": 3, "fits": 2})
    )
    assert not np.allclose(one, other)
    np.testing.assert_allclose(both, (one + other) / 2)


def test_a_choice_of_settings_reads_no_test_week(shop, task):
    changed = visits.task(change_after(shop, task.panel.weeks[22]), SPLIT)
    choices = [
        benchmark.tune(visits.OwnPast, t, prior_windows=(1, 10), half_life=(2, 13)) for t in (task, changed)
    ]
    assert choices[0] == choices[1]


def test_the_weight_of_the_joined_forecast_is_chosen_on_validation(task):
    sure = {
        part: 0.9 * np.eye(5)[np.maximum(task.target(task.cutoffs(part)), 0)] + 0.02 for part in task.parts
    }
    even = {part: np.full_like(p, 0.2) for part, p in sure.items()}
    ours = {"valid": sure["valid"], "test": even["test"]}  # right on validation, useless on the test
    theirs = {"valid": even["valid"], "test": sure["test"]}
    (found,) = benchmark.joined(task, [ours], [theirs], print)
    np.testing.assert_allclose(found["test"], even["test"])


def test_without_the_days_a_network_reads_the_weeks_only(task):
    x = task.x.copy()
    weekly = benchmark.without_days(task)
    assert not weekly.x[..., 5:].any() and weekly.x.shape == x.shape and task.x[..., 6:].any()
    assert_identical(weekly.x[..., :5], x[..., :5])
    assert_identical(task.x, x)


def test_differences_over_all_windows_count_every_row_once(shop, task):
    split = Split.last("56D", "28D", end="2024-06-30")
    tasks = {"37-44": visits.task(shop, split), benchmark.LESSON: task}
    rng = np.random.default_rng(0)
    models = ("LightGBM", "LSTM", benchmark.JOINED)
    every = {
        window: {name: [rng.dirichlet(np.ones(5), each.use(each.cutoffs("test")).shape)] for name in models}
        for window, each in tasks.items()
    }
    table = benchmark.pooled_rows(tasks, every)
    first, losses = table[0], []
    for window, each in tasks.items():
        y = each.rows("test")[2]
        p = [each.flat(every[window][name][0], "test")[np.arange(len(y)), y] for name in ("LSTM", "LightGBM")]
        losses.append(np.log(p[1]) - np.log(p[0]))
    assert (first["model"], first["metric"]) == ("LSTM minus LightGBM", "log-loss")
    assert first["value"] == pytest.approx(np.concatenate(losses).mean(), rel=1e-4)
    assert first["low"] < first["value"] < first["high"]
    assert len(table) == 6 * (1 + sum(len(each.cutoffs("test")) for each in tasks.values()))
    alone = next(each for each in table if each["weeks"] == "45-48")  # the first cutoff of the last window
    here = task.rows("test")[1] == task.cutoffs("test")[0]
    assert alone["value"] == pytest.approx(losses[-1][here].mean(), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("average", [False, True])
def test_a_remedy_gives_a_loss_per_epoch_and_the_network_of_the_best(task, average):
    kind = {"cosine": True, "average": average, "units": 2, "last_only": False}
    train, valid, model = benchmark.fit_remedy(task, 0, rate=0.3, epochs=8, **kind)
    assert train.shape == valid.shape == (8,) and (train < 9).all()
    cutoffs = task.cutoffs("valid")
    p = model.predict(task.x[:, : cutoffs[-1] + 1], verbose=0)[:, cutoffs].swapaxes(0, 1)
    best = benchmark.early_stop(valid)
    assert average or valid[best] < valid[-1] - 1e-3  # the last step is not the best
    assert benchmark.loss(task, p) == pytest.approx(valid[best], rel=1e-4)


def test_training_stops_where_early_stopping_gives_up():
    losses = [3.0, 2.0, 2.5, 2.4, 2.3, 2.2, 2.1, 1.0]
    for whole, seen in ((True, 8), (False, 7)):
        stop, model = benchmark.Stopped(whole), SimpleNamespace(stop_training=False)
        stop.set_model(model)
        for epoch, value in enumerate(losses, 1):
            model.get_weights = partial(int, epoch)
            stop.on_test_end({"loss": value})
            if model.stop_training:
                break
        assert (len(stop.losses), stop.weights) == (seen, 2)
    assert benchmark.early_stop(np.array(losses)) == 1


def remedy_of(task, rate, valid, right):
    """A remedy's fit with these losses, that gives what happens the probability `right`, by customer."""
    right = np.broadcast_to(right, 40)[None, :, None]
    p = np.tile((1 - right) / 4, (5, 1, 5))
    y = np.maximum(task.target(task.cutoffs("test")), 0)
    np.put_along_axis(p, y[..., None], np.tile(right, (5, 1, 1)), axis=-1)
    return {"rate": rate, "train": np.ones(len(valid)), "valid": np.array(valid), "test": p}


def test_a_remedy_is_scored_at_the_rate_that_validation_prefers(task):
    low, mid, high = benchmark.RATES
    some = np.where(np.arange(40) % 2, 0.2, 0.4)
    found = {
        "plain": [remedy_of(task, rate, [2.0, 1.9], some) for rate in (low, mid, high)],
        "more targets": [
            remedy_of(task, low, [1.5, 1.6], 0.9),  # best on the test
            remedy_of(task, mid, [1.4, 1.8], 2 * some),  # best on validation, at its first epoch
            remedy_of(task, high, [1.6, 1.45], 0.8),
            remedy_of(task, mid, [1.3, 1.7], some),
        ],
    }
    assert benchmark.best_rate(found["more targets"][:3]) == mid
    table = {(r["model"], r["metric"], r["part"]): r for r in benchmark.remedy_rows(task, found)}
    more = {
        metric: r for (model, metric, part), r in table.items() if (model, part) == ("more targets", "valid")
    }
    assert more[f"validation log-loss, rate {high}"]["value"] == 1.45
    assert more["validation log-loss, last epoch"]["value"] == 1.8
    stopped = more["validation log-loss, early stopping"]
    assert (stopped["value"], stopped["low"], stopped["high"]) == pytest.approx((1.35, 1.3, 1.4))
    assert more["learning rate"]["value"] == mid and more["epoch kept by early stopping"]["value"] == 1
    tested = table["more targets", "log-loss", "test"]
    plain = table["plain", "log-loss", "test"]
    assert tested["seeds"] == 2 and plain["low"] < plain["value"] < plain["high"]
    paired = table["more targets minus plain", "log-loss", "test"]
    assert paired["value"] == pytest.approx(tested["value"] - plain["value"]) == pytest.approx(-np.log(2) / 2)
    assert (paired["low"], paired["high"]) == pytest.approx((-np.log(2), 0))  # of the fits: the rows cancel
    assert ("plain minus more targets", "log-loss", "test") not in table


def test_every_remedy_is_tried_until_its_best_rate_is_no_edge_and_gets_more_seeds_there(task, monkeypatch):
    low, mid, high = benchmark.RATES
    asked = []

    def remedy(task, seed, rate, whole, **kind):
        asked.append((tuple(kind), seed, rate, whole))
        best = high if kind else low
        return remedy_of(task, rate, [1.0 + (rate != best)], 0.5)

    monkeypatch.setattr(benchmark, "remedy", remedy)
    monkeypatch.setattr(benchmark, "kept", lambda name, jobs, log: {k: job() for k, job in jobs.items()})
    found = benchmark.remedies(task, False, lambda text: None)
    beyond, below = pytest.approx(3 * high), pytest.approx(low / 3, rel=0.01)  # the best lies at an edge
    assert {name: [each["rate"] for each in fits] for name, fits in found.items()} == {
        name: [low, mid, high, *([beyond, high, high] if kind else [below, low, low])]
        for name, kind in benchmark.REMEDIES.items()
    }
    assert sum(whole for *_, whole in asked) == len(benchmark.REMEDIES)  # the first try's rate, once each
    assert all(rate == mid and seed == 0 for _, seed, rate, whole in asked if whole)


def test_the_next_rate_lies_beyond_the_edge():
    low, mid, high = benchmark.RATES
    for best, more in ((mid, []), (high, [3.6e-2]), (low, [4.3e-4])):
        asked = []

        def attempt(rate, asked=asked, best=best):
            asked.append(rate)
            return abs(rate - best)

        assert benchmark.best_of(benchmark.LADDER, benchmark.RATES, attempt) == best
        assert asked == [low, mid, high, *more]


# ------------------------------------------------------------------------------------------------- scores


def test_scores_by_hand():
    shopped = np.zeros((2, 24), int)
    shopped[0] = 1
    shopped[1, 0] = 1
    task = task_of(shopped)  # one test cutoff; classes 4 and 0
    p = np.array([[[0.3, 0.05, 0.05, 0.1, 0.5], [0.25, 0.5, 0.25, 0.0, 0.0]]])
    scores = visits.draws(task, p, n=10)
    assert scores["log-loss"][0] == pytest.approx((np.log(2) + np.log(4)) / 2, rel=1e-5)
    brier = (0.09 + 0.0025 * 2 + 0.01 + 0.25, 0.5625 + 0.25 + 0.0625)
    assert scores["Brier"][0] == pytest.approx(np.mean(brier), rel=1e-4)
    assert (
        scores["accuracy"][0] == 0.5 and scores["AUC inactive"][0] == 0
    )  # 0.3 for who came, 0.25 for who did not


def test_a_draw_takes_whole_customers_and_weeks():
    rng = np.random.default_rng(0)
    shopped = (rng.random((30, 40)) < rng.random((30, 1))).astype(int)
    shopped[:, [0, -1]] = 1
    task = task_of(shopped, test="84D")
    cutoffs = task.cutoffs("test")
    p = np.tile(rng.dirichlet(np.ones(5), (1, 30)), (len(cutoffs), 1, 1))
    found = visits.draws(task, p, n=200, seed=3)
    customer, week, y = task.rows("test")
    losses = -np.log(task.flat(p, "test")[np.arange(len(y)), y])
    drawn = Draws.of(customer, week, 200, 3)
    weights = np.stack([count[drawn.cells] for count in drawn.counts()])
    np.testing.assert_allclose(found["log-loss"], (weights * losses).sum(1) / weights.sum(1), rtol=1e-4)
    _, low, high = interval(found["log-loss"])
    assert high - low > 3 * losses.std() / np.sqrt(len(losses))  # drawn rows would be 0.8 of it at most
    assert_identical(found, visits.draws(task, p, n=200, seed=3))


def test_evaluate_and_advice_speak_of_all_models(task):
    models = [visits.ClassShares(), visits.OwnPast()]
    p = {m.name: m.fit(task).predict(task, task.cutoffs("test")) for m in models}
    table = visits.evaluate(task, p, n=50)
    assert list(table.columns) == ["model", "metric", "value", "low", "high"]
    assert set(table["metric"]) == {
        "log-loss",
        "Brier",
        "accuracy",
        "AUC inactive",
        "log-loss / best",
    }
    assert visits.advice(table).startswith("Use own past: log-loss ")
    valid = visits.evaluate(
        task, {"class shares": models[0].predict(task, task.cutoffs("valid"))}, "valid", n=5
    )
    assert valid["value"][0] != table["value"][0]


def test_accuracy_and_ranking_by_scikit_learn():
    from sklearn.metrics import accuracy_score, roc_auc_score

    rng = np.random.default_rng(0)
    task = task_of(
        (rng.random((30, 40)) < rng.random((30, 1))).astype(int) | (np.arange(40) == 0), test="84D"
    )
    p = rng.dirichlet(np.ones(5), (len(task.cutoffs("test")), 30)).astype(np.float32)
    _, _, y = task.rows("test")
    flat = task.flat(p, "test")
    found = visits.draws(task, p)
    assert found["accuracy"][0] == pytest.approx(accuracy_score(y, flat.argmax(axis=1)))
    assert found["AUC inactive"][0] == pytest.approx(roc_auc_score(y == 0, flat[:, 0]))
    assert found["AUC inactive"].shape == (1001,)
    assert_identical(found, visits.draws(task, p, "test", n=1000, seed=0))
    tables = [
        visits.evaluate(task, {"a": p}, **kwargs) for kwargs in ({}, {"n": 1000, "seed": 0}, {"seed": 1})
    ]
    assert tables[0].equals(tables[1]) and not tables[0].equals(tables[2])
    with pytest.raises(BadValue, match="^a forecast holds probabilities, 0 to 1, that sum to 1 per row"):
        visits.draws(task, p * 1.01)
    assert visits.draws(task, p * 1.0005)["accuracy"][0] == found["accuracy"][0]  # single precision may round


@pytest.mark.parametrize("fault", [np.nan, -0.5, 2.0])
def test_what_is_no_probability_is_refused(task, fault):
    p = visits.ClassShares().fit(task).predict(task, task.cutoffs("test")).copy()
    p[0, 1, 2] = fault
    with pytest.raises(BadValue, match="probabilities"):
        visits.draws(task, p)
    with pytest.raises(BadValue, match="lacks 5 classes"):
        visits.draws(task, p[..., :4])


# ------------------------------------------------------------------------------------------------ networks


def test_a_forecast_after_every_week_knows_nothing_of_the_weeks_after_it():
    network = visits.visits_network(5, units=4)
    x = np.random.default_rng(0).normal(size=(3, 6, 5)).astype("float32")
    p = np.asarray(network(x))
    assert p.shape == (3, 6, 5)
    np.testing.assert_allclose(p[:, 2], np.asarray(network(x[:, :3]))[:, -1], atol=1e-6)


@pytest.mark.slow
def test_the_network_learns_and_forecasts_beyond_the_last_target():
    shopped = np.zeros((24, 30), int)
    shopped[:12] = 1  # half of the customers always come, half never again
    shopped[12:, 0] = 1
    task = task_of(shopped)
    net = visits.VisitsLSTM(epochs=30, units=4, learning_rate=0.05, momentum=0.5, recurrent_dropout=0)
    net.fit(task, watch=True)
    assert net.history["val_loss"][-1] < 0.1 < net.history["val_loss"][0]
    p = net.predict(task, np.array([task.cutoffs("test")[0], 29]))  # 29: the last week, nothing follows it
    assert p.shape == (2, 24, 5)
    assert p[:, :12].argmax(axis=-1).tolist() == [[4] * 12] * 2
    assert not p[:, 12:].argmax(axis=-1).any()


@pytest.mark.slow
def test_the_running_average_of_the_weights_answers(task, eager):
    import keras

    seen = []
    keep = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(net_weights(keep.model))
    )

    def net_weights(model):
        return model.get_weights()[0]

    net = visits.VisitsLSTM(epochs=2, units=2, batch_size=16, momentum=0.5).fit(task, callbacks=[keep])
    mean = seen[0]
    for weights in seen[1:]:
        mean = 0.5 * mean + 0.5 * weights
    np.testing.assert_allclose(net_weights(net.model), mean, rtol=1e-4, atol=1e-6)
    assert not np.allclose(mean, seen[-1], atol=1e-5)


def test_lesson_16_and_the_package_build_one_network():
    import keras
    import nbformat

    path = Path(__file__).parents[1] / "notebooks" / "16_first_keras_lstm.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    source = next(c.source for c in cells if c.cell_type == "code" and "def build(" in c.source)
    x = np.random.default_rng(0).normal(size=(2, 6, 5)).astype("float32")
    names = {"keras": keras, "x": x, "UNITS": 50, "N_CLASSES": 5}
    exec(source.split("\n\n\n")[0], names)  # the function, without what the cell does with it
    models = []
    for make in (lambda: names["build"](True), lambda: visits.visits_network(5)):
        keras.utils.set_random_seed(1)
        models.append(make())
    assert_identical(*(m.get_weights() for m in models))
    assert_identical(*(np.asarray(m(x)) for m in models))
