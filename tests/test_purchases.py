"""The purchase task: shapes, named channels, leaks, baselines, networks, and scores worked by hand."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical, change_after
from toy_shop import toy_shop

from benchmarks.quality import purchases as benchmark
from benchmarks.quality.purchases import grown
from ecomlib import purchases
from ecomlib.bootstrap import Draws, interval
from ecomlib.lessons.customer_kinds import kinds
from ecomlib.lessons.multi_hot import FEW, MultiHotLSTM
from ecomlib.panels import WeeklyPanel
from ecomlib.probability import log_loss
from ecomlib.purchases.channels import Channels
from ecomlib.purchases.evaluate import calibration_bins, calibration_error_draws
from ecomlib.purchases.model import Batches
from ecomlib.shop import BadValue, TooShort
from ecomlib.split import Split

SPLIT = Split.last(test="35D", valid="21D")  # of 20 weeks from 2017-05-01


def shop_with_marketing():
    shop = toy_shop()
    campaigns = pd.DataFrame(
        {
            "customer_id": [0, 1, 2],
            "campaign_id": [1, 1, 2],
            "kind": "A",
            "start": pd.to_datetime(["2017-05-10", "2017-05-10", "2017-08-22"]),
            "end": pd.to_datetime(["2017-06-04", "2017-06-04", "2017-09-10"]),
        }
    )
    coupons = pd.DataFrame({"coupon_id": [7, 8], "campaign_id": [1, 2], "product_id": [0, 5]})
    redemptions = pd.DataFrame(
        {
            "customer_id": [0, 2],
            "campaign_id": [1, 2],
            "coupon_id": [7, 8],
            "date": pd.to_datetime(["2017-05-20", "2017-08-25"]),
        }
    )
    return shop.with_tables(campaigns=campaigns, coupons=coupons, redemptions=redemptions)


@pytest.fixture(scope="module")
def shop():
    return shop_with_marketing()


@pytest.fixture(scope="module")
def task(shop):
    return purchases.task(shop, SPLIT, n_categories=3)


def small_task(bought, known=None):
    """A task of one channel only: `bought` (n, w, k), the last two weeks test, the two before validation."""
    bought = np.asarray(bought, np.float32)
    n, w, k = bought.shape
    first = np.zeros(n, int) if known is None else np.asarray(known)
    weeks = pd.date_range("2024-01-01", periods=w, freq="7D")
    panel = WeeklyPanel(np.zeros((n, w, 3)), ["spend", "baskets", "lines"], np.arange(n), weeks, first)
    values = np.zeros((n, k, w, len(purchases.CHANNELS)), np.float32)
    values[..., 0] = bought.swapaxes(1, 2)
    values[..., 3] = bought.max(axis=2)[:, None]
    parts = {"train": np.arange(w - 5), "valid": np.arange(w - 5, w - 3), "test": np.arange(w - 3, w - 1)}
    names = [f"c{i}" for i in range(k)]
    return purchases.PurchaseTask(panel, names, Channels(values), parts)


# ------------------------------------------------------------------------------------------------- the task


def test_bought_equals_a_groupby(shop, task):
    lines = shop.orders.merge(shop.products, on="product_id")
    week = (lines["timestamp"] - task.panel.weeks[0]).dt.days // 7
    pairs = set(zip(lines["customer_id"], week, lines["category"].astype(str), strict=True))
    n, w, k = np.nonzero(task.bought)
    found = {(task.panel.customers[i], j, task.categories[c]) for i, j, c in zip(n, w, k, strict=True)}
    assert found == {p for p in pairs if 0 <= p[1] < len(task.panel.weeks)}


def test_parts_follow_each_other_and_the_last_target_is_the_last_week(task):
    train, valid, test = (task.cutoffs(part) for part in ("train", "valid", "test"))
    assert train[0] == 0 and train[-1] + 1 == valid[0] and valid[-1] + 1 == test[0]
    assert (len(valid), len(test)) == (3, 5) and test[-1] + 1 == len(task.panel.weeks) - 1


def test_a_split_that_ends_earlier_cuts_the_weeks_after_it(shop):
    task = purchases.task(shop, Split.last(test="35D", valid="21D", end="2017-09-03"), 3)
    assert task.panel.weeks[-1] == pd.Timestamp("2017-08-28") and task.bought.shape[1] == 18


def test_inactive_customers_stay_and_the_not_yet_known_are_left_out():
    task = small_task(np.zeros((2, 8, 3)), known=[0, 6])
    customer, cutoff, category, y = task.rows("test")
    assert customer.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert cutoff.tolist() == [5, 5, 5, 6, 6, 6, 6, 6, 6] and category.tolist() == [0, 1, 2] * 3
    assert y.shape == (9,)


def test_the_label_of_a_week_is_the_purchase_of_the_next():
    bought = np.zeros((1, 8, 1))
    bought[0, [2, 6]] = 1
    task = small_task(bought)
    y, weight = task.labels("test")
    assert y[0].tolist() == [0, 1, 0, 0, 0, 1, 0] and weight[0].tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert task.target(task.cutoffs("test")).ravel().tolist() == [1, 0]


def test_labels_equal_targets_at_every_cutoff(task):
    y, weight = task.labels("train")
    cutoffs = task.cutoffs("train")
    target = task.target(cutoffs).transpose(1, 2, 0)
    assert np.array_equal(y.reshape(target.shape), target)
    assert np.array_equal(weight.reshape(target.shape)[:, 0] > 0, task.use(cutoffs).T)


def test_coupon_is_in_hand_from_the_week_it_comes_to_the_last_it_is_valid_after(task):
    held = task.channels["coupons held"][0, :, task.categories.index("BREAD")]
    # From the week of 8 May (start 10 May) to that of 22 May: valid on Monday 29 May, not on 5 June.
    assert list(np.flatnonzero(held)) == [1, 2, 3]


def test_a_channel_has_the_same_place_by_name_and_in_the_sequences(task):
    last, k = 10, len(task.categories)
    x = task.inputs(last)["weeks"].reshape(25, k, last + 1, len(purchases.CHANNELS))
    for name in purchases.CHANNELS:
        (place,) = purchases.columns(name)
        assert np.array_equal(x[..., place], task.channels[name][:, : last + 1].swapaxes(1, 2))
    assert purchases.columns("category", "household") == list(range(8))
    n, w, k = task.bought.shape
    shapes = {group: task.channels[group].shape for group in purchases.GROUPS}
    assert shapes == {
        "category": (n, w, k, 3),
        "household": (n, w, 5),
        "marketing": (n, w, k, 3),
        "promotion": (w, k, 3),
        "trip days": (n, w, 8),
        "category days": (n, w, k, 2),
        "trend": (w, k, 2),
    }


@pytest.mark.parametrize("group", list(purchases.GROUPS))
def test_leaving_a_group_out_empties_its_channels_and_no_other(task, group):
    whole, less = (task.inputs(12, without)["weeks"] for without in ((), (group,)))
    its = purchases.columns(group)
    others = [c for c in range(len(purchases.CHANNELS)) if c not in its]
    assert whole[..., its].any() and not less[..., its].any()
    assert np.array_equal(whole[..., others], less[..., others])


def test_leaving_the_product_out_empties_it(task):
    assert task.inputs(3)["product"].any() and not task.inputs(3, ("product",))["product"].any()


@pytest.mark.parametrize("without", [("markting",), ("who",)])
def test_a_group_that_is_none_is_refused(task, without):
    with pytest.raises(BadValue, match="no such group"):
        task.inputs(5, without)


def test_unknown_names_are_refused(task):
    with pytest.raises(BadValue, match="no channel"):
        task.channels["display"]
    with pytest.raises(BadValue, match="no channel"):
        purchases.columns("display")
    with pytest.raises(BadValue, match="no part"):
        task.cutoffs("tests")


def test_a_week_of_one_customer_by_hand(shop):
    """Two lines of bread and one of milk, half off; a promotion far above its mean is cut at five."""
    orders = shop.orders[shop.orders["customer_id"] != 0]
    week = pd.Timestamp("2017-05-15 10:00")
    mine = orders.head(3).assign(
        customer_id=0, order_id=99_999, timestamp=week, product_id=[0, 1, 4], revenue=[1.0, 3.0, 2.0]
    )
    mine["discount"] = [3.0, 1.0, 0.0]
    orders = pd.concat([orders, mine]).sort_values("timestamp", ignore_index=True)
    plan = shop.promotions.head(2).assign(
        product_id=0, week_start=pd.to_datetime(["2017-05-01", "2017-06-05"]), mailer=[0.1, 0.9], display=0.0
    )
    redemptions = shop.redemptions.head(1).assign(customer_id=0, date=pd.Timestamp("2017-05-17"))
    coupons = pd.DataFrame({"coupon_id": [7, 7, 8], "campaign_id": [1, 1, 1], "product_id": [0, 1, 0]})
    other = shop.with_tables(orders=orders, promotions=plan, redemptions=redemptions, coupons=coupons)
    task = purchases.task(other, SPLIT, 3)
    bread, milk, tea = (task.categories.index(name) for name in ("BREAD", "MILK", "TEA"))
    at = {name: task.channels[name][0, 2] for name in purchases.CHANNELS}
    assert at["bought"][[bread, milk, tea]].tolist() == [1, 1, 0]
    assert at["discount"][[bread, milk, tea]] == pytest.approx([0.5, 0, 0])
    assert at["lines"][bread] / at["lines"][milk] == pytest.approx(np.log(3) / np.log(2))
    assert at["coupons redeemed"] == pytest.approx(np.log([2, 2, 2]))
    assert at["campaigns"].tolist() == [1, 1, 1]
    assert at["coupons held"][[bread, milk]] == pytest.approx([np.log(3), 0])  # coupons 7 and 8, each once
    # The mean of the 12 training weeks is 1 / 12: 0.9 is 10.8 times as much.
    assert task.channels["mailer this week"][0, [0, 1, 5], bread] == pytest.approx([1.2, 0, 5])


def test_days_since_and_weekdays_by_hand(shop):
    """Bread twice on Tuesday 9 May and again on Monday 22 May, milk on Saturday 13 May; week 0 is 1 May."""
    days = ["2017-05-09 09:00", "2017-05-09 18:00", "2017-05-13 10:00", "2017-05-22 10:00"]
    mine = shop.orders.head(4).assign(
        customer_id=0,
        order_id=[99_990, 99_991, 99_992, 99_993],
        timestamp=pd.to_datetime(days),
        product_id=[0, 1, 4, 0],
    )
    orders = pd.concat([shop.orders[shop.orders["customer_id"] != 0], mine])
    other = shop.with_tables(orders=orders.sort_values("timestamp", ignore_index=True))
    task = purchases.task(other, SPLIT, 3)
    bread = task.categories.index("BREAD")
    trips, items = task.channels["trip days"][0, :5], task.channels["category days"][0, :5, bread]
    assert np.expm1(2 * trips[:, 0]) == pytest.approx([0, 1, 8, 6, 13], rel=1e-5)
    assert trips[:, 1:].nonzero()[0].tolist() == [1, 1, 3]
    assert trips[:, 1:].nonzero()[1].tolist() == [1, 5, 0]  # Tuesday, Saturday, Monday
    assert np.expm1(2 * items[:, 0]) == pytest.approx([0, 5, 12, 6, 13], rel=1e-5)
    assert items[:, 1].tolist() == [0, 0.5, 0, 0.5, 0]


def test_the_trend_is_the_share_of_known_customers_over_that_of_training(task):
    buyers, known = task.bought.sum(axis=0), (task.panel.known > 0).sum(axis=0)[:, None]
    share = buyers / known
    usual = share[:12].mean(axis=0) + 0.002  # 12 training weeks
    expected = np.log((share + 0.002) / usual)
    assert np.allclose(task.channels["buyers this week"], expected, atol=1e-5)
    lately = (buyers[1] + buyers[0] * 2**-0.5) / (known[1] + known[0] * 2**-0.5)
    found = task.channels["buyers lately"][0, 1]
    assert found == pytest.approx(np.log((lately + 0.002) / usual), rel=1e-4)


# -------------------------------------------------------------------------------------------------- no leaks


def made_at(task, cutoff):
    """Everything the models read at a cutoff, and what the baseline forecasts there."""
    at = np.array([cutoff])
    return {
        "inputs": task.inputs(cutoff),
        "features": purchases.features(task, at)[0],
        "frequency": purchases.WeightedFrequency().fit(task).predict(task, at),
    }


def test_what_is_made_at_a_cutoff_ignores_all_that_comes_later(shop, task):
    cutoff = int(task.cutoffs("test")[0])
    after = task.panel.weeks[cutoff + 1]
    changed = change_after(shop, after)
    late = changed.campaigns["start"] >= after
    campaigns = changed.campaigns.assign(
        end=changed.campaigns["end"].where(~late, pd.Timestamp("2018-01-01")), kind="B"
    )
    other = purchases.task(changed.with_tables(campaigns=campaigns), SPLIT, 3)
    assert not np.array_equal(task.bought[:, cutoff + 1 :], other.bought[:, cutoff + 1 :])
    assert_identical(made_at(task, cutoff), made_at(other, cutoff))


@pytest.mark.parametrize("part", ["valid", "test"])
def test_new_customers_and_days_after_the_cutoff_move_no_channel(shop, task, part):
    """Days, trend and scales of the training weeks stay, whoever comes later and however often."""
    cutoff = int(task.cutoffs(part)[0])
    changed = change_after(shop, task.panel.weeks[cutoff + 1])
    late = changed.orders[changed.orders["timestamp"] >= task.panel.weeks[cutoff + 1]]
    new = late.assign(customer_id=late["customer_id"] + 100, order_id=late["order_id"] + 100_000)
    orders = pd.concat([changed.orders, new]).sort_values("timestamp", ignore_index=True)
    other = purchases.task(changed.with_tables(orders=orders), SPLIT, 3)
    assert len(other.bought) > len(task.bought)
    here, there = (each.channels.values[:25, :, : cutoff + 1] for each in (task, other))
    assert_identical(here, there)


def test_planted_leak_is_caught(shop, task):
    cutoff = int(task.cutoffs("test")[0])
    other = purchases.task(change_after(shop, task.panel.weeks[cutoff + 1]), SPLIT, 3)
    with pytest.raises(AssertionError):
        assert_identical(made_at(task, cutoff + 1), made_at(other, cutoff + 1))


def test_plans_beyond_the_next_week_move_nothing(shop, task):
    """The mailers and displays of the next week are known; the plan of the weeks after it is not."""
    cutoff = int(task.cutoffs("train")[-1])
    late = shop.promotions["week_start"] > task.panel.weeks[cutoff + 1]
    assert late.any()
    plan = shop.promotions.assign(
        mailer=shop.promotions["mailer"].where(~late, 1.0),
        display=shop.promotions["display"].where(~late, 1.0),
    )
    other = purchases.task(shop.with_tables(promotions=plan), SPLIT, 3)
    assert_identical(made_at(task, cutoff), made_at(other, cutoff))
    promotions = [each.channels["display next week"] for each in (task, other)]
    assert not np.array_equal(*promotions)


def test_promotions_are_scaled_by_the_mean_of_the_training_weeks(shop):
    weeks = pd.date_range("2017-05-01", periods=20, freq="7D")
    mailer = np.r_[np.tile([0.25, 0.0, 0.5], 4), np.full(8, 1.0)]  # 12 training weeks, their mean is 0.25
    plan = pd.DataFrame({"product_id": 0, "week_start": weeks, "display": 0.0, "mailer": mailer})
    task = purchases.task(shop.with_tables(promotions=plan), SPLIT, 3)
    bread = task.categories.index("BREAD")
    assert task.channels["mailer this week"][0, :, bread] == pytest.approx(4 * mailer)
    assert task.channels["mailer next week"][0, :-1, bread] == pytest.approx(4 * mailer[1:])


def test_categories_are_chosen_on_training_weeks():
    shop = toy_shop()
    bread = shop.orders["product_id"].isin(range(4))
    early = shop.orders["timestamp"] < "2017-07-24"  # the first validation week
    other = shop.with_tables(orders=shop.orders[~(bread & early)].reset_index(drop=True))
    assert "BREAD" in purchases.task(shop, SPLIT, 3).categories
    assert sorted(purchases.task(other, SPLIT, 2).categories) == ["MILK", "TEA"]
    with pytest.raises(TooShort, match="2 categories"):
        purchases.task(other, SPLIT, 3)


# ------------------------------------------------------------------------------------------------- baselines


def test_base_rate_by_hand():
    bought = np.zeros((2, 8, 1))
    bought[0, 1:4] = 1
    task = small_task(bought, known=[0, 2])
    # Training cutoffs 0 to 2. Customer 0 buys in all three target weeks; customer 1 is known at cutoff 2.
    p = purchases.BaseRate().fit(task).predict(task, task.cutoffs("test"))
    assert p.shape == (2, 2, 1) and p == pytest.approx(np.full((2, 2, 1), 3 / 4))


def test_weighted_frequency_by_hand():
    bought = np.zeros((1, 8, 1))
    bought[0, [1, 3]] = 1
    task = small_task(bought)  # base rate: one of the target weeks 1 to 3 and the other -> 2 / 3
    model = purchases.WeightedFrequency(half_life=1, prior_weeks=3).fit(task)
    assert model.rate == pytest.approx([2 / 3])
    # At cutoff 3 week 3 counts 1, week 2 a half, week 1 a quarter, week 0 an eighth.
    assert model.predict(task, [3])[0, 0, 0] == pytest.approx((1.25 + 3 * 2 / 3) / (1.875 + 3))


def test_frequency_with_infinite_half_life_is_a_plain_mean(task):
    p = purchases.WeightedFrequency(np.inf, 0.0).fit(task).predict(task, [10])[0]
    known = task.panel.known[:, 10]
    expected = task.bought[:, :11].sum(axis=1) / np.maximum(known, 1)[:, None]
    assert np.allclose(p[known > 0], expected[known > 0])


def test_tuning_picks_the_settings_of_the_smallest_validation_loss(task):
    best = purchases.tune_frequency(task, half_lives=(1, 12), prior_weeks=(0.01, 3))
    assert best == (12, 3)  # customers of this shop buy at random: weigh all weeks, and the mean


def test_features_stand_in_the_order_of_rows(task):
    cutoffs = task.cutoffs("test")
    x, names = purchases.features(task, cutoffs, task.use(cutoffs))
    customer, cutoff, category, _ = task.rows("test")
    assert x.shape == (len(customer), len(names)) and np.isfinite(x).all()
    assert np.array_equal(x[:, names.index("bought, lag 0")], task.bought[customer, cutoff, category])
    assert np.array_equal(x[:, names.index("bought, lag 2")], task.bought[customer, cutoff - 2, category])
    assert np.array_equal(x[:, names.index("category")], category)


def test_recency_counts_weeks_since_the_last_purchase():
    bought = np.zeros((1, 8, 1))
    bought[0, [1, 4]] = 1
    x, names = purchases.features(small_task(bought), np.arange(8))
    assert x[:, names.index("recency")].tolist() == [1, 0, 1, 2, 0, 1, 2, 3]  # before: weeks known


@pytest.mark.parametrize(
    "model",
    [
        purchases.BaseRate(),
        purchases.WeightedFrequency(),
        purchases.Logistic(),
        purchases.LightGBM(leaves=3, trees=5, fits=2),
    ],
    ids=lambda model: model.name,
)
def test_every_baseline_gives_a_probability_for_each_cutoff_customer_and_category(task, model):
    cutoffs = task.cutoffs("test")
    p = model.fit(task).predict(task, cutoffs)
    assert p.shape == (5, 25, 3) and ((p >= 0) & (p <= 1)).all()
    alone = model.predict(task, cutoffs[2:3])
    assert np.allclose(alone[0], p[2])
    other = replace(task, categories=["BREAD", "MILK", "COFFEE"])
    with pytest.raises(BadValue, match="other categories"):
        model.predict(other, cutoffs)


def test_lightgbm_finds_a_rhythm_and_tuning_says_how_many_trees():
    rng = np.random.default_rng(0)
    week, habit = np.arange(20), rng.integers(0, 2, 300)
    bought = ((week + habit[:, None]) % 2).astype(float)[..., None]
    task = small_task(bought)
    found = grown(task, leaves=(2, 4), most_trees=60)
    leaves, trees = found["settings"]
    p = purchases.LightGBM(leaves, trees, fits=1).fit(task).predict(task, task.cutoffs("test"))
    assert np.allclose(p, found["test"], atol=1e-6)  # the search ends in the fit of its settings
    assert leaves in (2, 4) and 1 <= trees <= 60
    assert np.abs(p - task.target(task.cutoffs("test"))).max() < 0.1


# -------------------------------------------------------------------------------------------------- scores


def forecast_of(task, rows, part="test"):
    """A forecast whose rows, in the order of `task.rows`, are the values given."""
    customer, cutoff, category, _ = task.rows(part)
    cutoffs = task.cutoffs(part)
    p = np.full((len(cutoffs), len(task.bought), len(task.categories)), 0.5)
    p[np.searchsorted(cutoffs, cutoff), customer, category] = rows
    return p


def test_scores_by_hand():
    bought = np.zeros((5, 8, 1))
    bought[0, [6, 7]] = 1  # the two test targets of customer 0; nobody else buys
    task = small_task(bought)
    p = np.array([0.8, 0.2, 0.4, *[0.1] * 7])
    scores = purchases.draws(task, forecast_of(task, p), n=2)
    assert scores["log-loss"][0] == pytest.approx(
        -(np.log(0.8) + np.log(0.2) + np.log(0.6) + 7 * np.log(0.9)) / 10
    )
    assert scores["Brier"][0] == pytest.approx((0.04 + 0.64 + 0.16 + 7 * 0.01) / 10)
    assert scores["AUC"][0] == pytest.approx((8 + 7) / 16)  # 0.8 beats all 8; 0.2 beats seven
    assert scores["average precision"][0] == pytest.approx((1 / 1 + 2 / 3) / 2)
    # The best tenth is one row of ten; it holds one of the two purchases, at random it would be a tenth.
    assert scores["lift top 10 %"][0] == pytest.approx(5)


@pytest.mark.parametrize("value", [0, 1])
def test_rows_that_are_all_alike_cannot_be_ranked(value):
    task = small_task(np.full((5, 8, 1), value))
    with pytest.raises(BadValue, match="test: a ranking needs rows with and rows without a purchase"):
        purchases.draws(task, forecast_of(task, np.full(10, 0.5)), n=1)


def test_the_lift_is_of_the_best_tenth_not_of_the_best_fifth():
    bought = np.zeros((10, 8, 1))
    bought[:2, [6, 7]] = 1  # 4 of 20 rows; the best 2 rows hold 2 of them, the best 4 all
    task = small_task(bought)
    scores = purchases.draws(task, forecast_of(task, np.linspace(0.9, 0.1, 20)), n=1)
    assert scores["lift top 10 %"][0] == pytest.approx(10 * 2 / 4)


def test_whole_customers_are_drawn_not_rows():
    # Half of the customers always buy, half never; the forecast is 0.8 for all. Log-losses 0.22 and 1.61.
    bought = np.zeros((20, 8, 30))
    bought[:10] = 1
    task = small_task(bought)
    p = np.full((2, 20, 30), 0.8)
    p[0, 0, 0] = 0.81  # a ranking needs two values
    loss = purchases.draws(task, p, n=1000)["log-loss"]
    # The mean of 20 customers of which each has one of two losses: s = 1.386 * sqrt(0.25 / 20).
    assert loss[1:].std() == pytest.approx(np.log(4) * np.sqrt(0.25 / 20), rel=0.1)


def test_calibration_error_by_hand():
    bought = np.zeros((10, 8, 1))
    bought[:3, [6, 7]] = 1  # 6 of 20 rows
    task = small_task(bought)
    p = forecast_of(task, np.r_[np.full(10, 0.8), np.full(10, 0.1)])
    # Where 0.8 was said 6 of 10 bought, where 0.1 was said nobody.
    assert purchases.draws(task, p, n=1)["calibration error"][0] == pytest.approx((2 + 1) / 20)


def test_weeks_are_drawn_beside_customers(task):
    p = np.random.default_rng(0).uniform(0.1, 0.9, task.target(task.cutoffs("test")).shape)
    customer, week, _, y = task.rows("test")
    by_hand = Draws.of(customer, week, 20, 3).means(log_loss(task.flat(p, "test"), y))
    found = purchases.draws(task, p, n=20, seed=3, n_ranked=2)
    np.testing.assert_allclose(found["log-loss"], by_hand)


def test_the_ranking_may_have_fewer_draws_than_the_rest(task):
    p = purchases.WeightedFrequency().fit(task).predict(task, task.cutoffs("test"))
    found = purchases.draws(task, p, n=3, n_ranked=2)
    assert found["Brier"][0] == pytest.approx(((task.flat(p, "test") - task.rows("test")[-1]) ** 2).mean())
    assert len(found["Brier"]) == 4 and len(found["AUC"]) == 3


def test_the_table_pairs_the_models_and_the_advice_names_one(task):
    cutoffs = task.cutoffs("test")
    models = [purchases.BaseRate(), purchases.WeightedFrequency()]
    p = {model.name: model.fit(task).predict(task, cutoffs) for model in models}
    p["wrong"] = 1 - p["base rate"]
    table = purchases.evaluate(task, p, n=200)
    assert list(table.columns) == ["model", "metric", "value", "low", "high"]
    losses = {name: purchases.draws(task, forecast, n=200)["log-loss"] for name, forecast in p.items()}
    best = min(losses, key=lambda name: losses[name][0])
    row = table[(table["model"] == "wrong") & (table["metric"] == "log-loss / best")].iloc[0]
    assert tuple(row[["value", "low", "high"]]) == interval(losses["wrong"] / losses[best])
    assert purchases.advice(table).startswith("Use base rate") and row["low"] > 1


@pytest.mark.parametrize(
    ("forecast", "word"),
    [
        (np.full((5, 25, 3), np.nan), "probabilities"),
        (np.full((5, 25, 3), 1.5), "probabilities"),
        (np.full((25, 5, 3), 0.5), "shape"),
    ],
)
def test_a_forecast_that_holds_no_probabilities_is_refused(task, forecast, word):
    with pytest.raises(BadValue, match=word):
        purchases.evaluate(task, {"broken": forecast})


def test_new_customers_and_those_at_risk_by_hand():
    """New: known for ten weeks or less. At risk: no trip in the last four weeks, not in the last three."""
    bought = np.zeros((4, 20, 1))
    bought[0, 14] = 1  # cutoffs 17 and 18: inactive in weeks 15 to 17, then 15 to 18
    bought[1, 13] = 1  # inactive for four weeks at both
    bought[2, 0] = 1  # known since week 8: new at cutoff 17 (tenth week), no longer at 18
    task = small_task(bought, known=[0, 0, 8, 17])
    expected = ["regular", "at risk", "at risk", "at risk", "new", "at risk", "new", "new"]
    assert kinds(task).tolist() == expected


# ------------------------------------------------------------------------------------------ odd shops, errors


@pytest.mark.parametrize(
    ("split", "n_categories", "error", "word"),
    [
        (Split.last(test="35D", valid="20D"), 3, BadValue, "step"),
        (Split.last(test="98D", valid="21D"), 3, TooShort, "weeks"),
        (Split.last(test="140D", valid="21D"), 3, TooShort, "train"),
        (SPLIT, 9, TooShort, "categories"),
    ],
)
def test_bad_input_gets_one_clear_sentence(shop, split, n_categories, error, word):
    with pytest.raises(error, match=word):
        purchases.task(shop, split, n_categories)


def test_shop_without_products_is_told_so(shop):
    with pytest.raises(BadValue, match="products"):
        purchases.task(shop.with_tables(products=None, promotions=None, coupons=None), SPLIT)


def test_marketing_is_optional():
    bare = purchases.task(toy_shop(), SPLIT, 3)
    assert not bare.channels["marketing"].any()


# ------------------------------------------------------------------------------------------------- networks


@pytest.mark.slow
def test_network_ignores_later_weeks_and_learns(shop, task):
    net = purchases.PurchaseLSTM(epochs=2, batch_size=32, units=8).fit(task, watch=True)
    assert net.history["loss"][-1] < net.history["loss"][0] and len(net.history["val_loss"]) == 2
    cutoff = int(task.cutoffs("test")[0])
    other = purchases.task(change_after(shop, task.panel.weeks[cutoff + 1]), SPLIT, 3)
    here, there = (net.every_week(each, cutoff + 2) for each in (task, other))
    assert_identical(here[:, : cutoff + 1], there[:, : cutoff + 1])
    assert not np.array_equal(here[:, cutoff + 1 :], there[:, cutoff + 1 :])
    p = net.predict(task, task.cutoffs("test"))
    assert p.shape == (5, 25, 3) and ((p > 0) & (p < 1)).all()
    assert np.allclose(p[0], here[:, cutoff], atol=1e-6)
    with pytest.raises(BadValue, match="other categories"):
        net.predict(replace(task, categories=["BREAD", "MILK", "COFFEE"]), [cutoff])


@pytest.mark.slow
def test_the_watched_loss_is_that_of_the_averaged_weights_that_answer(task):
    net = purchases.PurchaseLSTM(epochs=2, batch_size=16, units=4, momentum=0.8).fit(task, watch=True)
    p = net.predict(task, task.cutoffs("valid"))
    loss = log_loss(task.flat(p, "valid"), task.rows("valid")[-1]).mean()
    assert net.history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    raw = purchases.PurchaseLSTM(epochs=2, batch_size=16, units=4, momentum=0.0).fit(task)
    assert not np.allclose(raw.predict(task, task.cutoffs("valid")), p, atol=1e-4)


def test_a_batch_holds_the_rows_asked_for_and_an_epoch_each_row_once():
    x = {"product": np.arange(10), "weeks": np.arange(20.0).reshape(10, 2)}
    rows = np.array([1, 3, 5, 7, 9])
    batches = Batches(x, np.arange(10) * 100, rows.copy(), 2, np.random.default_rng(0))
    seen = []
    for _ in range(2):
        held = [batches[i] for i in range(len(batches))]
        assert all((of["product"] * 100 == y).all() for of, y in held) and len(held) == 3
        assert all((of["weeks"][:, 0] == 2 * of["product"]).all() for of, _ in held)
        seen.append(np.concatenate([of["product"] for of, _ in held]))
        batches.on_epoch_end()
    assert all(sorted(each) == rows.tolist() for each in seen)
    assert not np.array_equal(*seen)
    assert len(Batches(x)) == 1 and len(Batches(x)[0]) == 1


@pytest.mark.parametrize(
    ("reads", "n_columns"), [(FEW, 4 * 3 + 5 + 8), (tuple(purchases.GROUPS), 13 * 3 + 13)]
)
def test_the_obvious_network_reads_what_its_docstring_says(task, reads, n_columns):
    last, k = 6, len(task.categories)
    x = MultiHotLSTM(reads=reads).inputs(task, last)
    assert x.shape == (25, last + 1, n_columns) and x.dtype == np.float32
    bought = x[..., : 3 * k : 3] if reads != FEW else x[..., :k]
    assert np.array_equal(bought, task.bought[:, : last + 1])
    buyers = np.broadcast_to(task.channels["buyers lately"][:, : last + 1], (25, last + 1, k))
    mailer = task.channels["mailer next week"][:, : last + 1]
    assert (
        np.array_equal(x[..., -k:], mailer)
        if reads == FEW
        else np.array_equal(x[..., 1 - 2 * k :: 2], buyers)
    )


def test_the_obvious_network_learns_and_answers_in_the_same_shape(task, eager):
    net = MultiHotLSTM(epochs=2, batch_size=8, units=8).fit(task)
    assert net.history["loss"][-1] < net.history["loss"][0]
    p = net.predict(task, task.cutoffs("test"))
    assert p.shape == (5, 25, 3) and ((p > 0) & (p < 1)).all()


def test_loss_counts_the_weeks_with_a_weight_only():
    # p = 0.5, 0.25 and 0.001 for y = 1, 0, 1; the last week does not count.
    target = np.array([[[1, 1], [0, 1], [1, 0]]], "float32")
    loss = purchases.week_loss(target, np.array([[0.5, 0.25, 0.001]], "float32"))
    assert float(loss) == pytest.approx((np.log(2) - np.log(0.75)) / 2, rel=1e-5)


def test_a_calibrated_forecast_has_no_error_and_a_shifted_one_its_shift():
    p = np.repeat([0.25, 0.75], 400)
    y = np.tile([1, 0, 0, 0], 100).tolist() + np.tile([1, 1, 1, 0], 100).tolist()
    once = Draws.of(np.arange(800) % 50, n=0)
    assert calibration_error_draws(p, np.array(y), once)[0] == pytest.approx(0)
    assert calibration_error_draws(p + 0.1, np.array(y), once)[0] == pytest.approx(0.1)


def test_twenty_bins_with_equally_many_rows_and_fewer_where_forecasts_are_alike():
    bins = calibration_bins(np.linspace(0, 1, 2000))
    assert np.bincount(bins).tolist() == [100] * 20
    assert np.bincount(calibration_bins(np.linspace(0, 1, 90), n_bins=3)).tolist() == [30] * 3
    assert len(set(calibration_bins(np.repeat([0.1, 0.2], 50)))) == 2


def test_the_calibration_error_has_one_value_per_draw():
    p, y, unit = np.full(6, 0.5), np.array([1, 1, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    draws = Draws(unit, np.zeros(6, int), np.array([[1, 1, 1, 0], [1, 1, 0, 1]]), np.ones((2, 1)))
    np.testing.assert_allclose(calibration_error_draws(p, y, draws), [1 / 6, 0])


def test_the_defaults_of_the_scores_and_sure_forecasts(task):
    y = task.target(task.cutoffs("test"))
    sure = np.clip(y.astype(float), 0.0, 1.0)  # 0 and 1 are probabilities, too
    found = purchases.draws(task, sure)
    assert found["AUC"][0] == 1 and found["log-loss"].shape == (1001,) and found["AUC"].shape == (1001,)
    single = np.random.default_rng(0).random(sure.shape).astype(np.float32)
    for metric, values in purchases.draws(task, single).items():
        same = purchases.draws(task, single, "test", n=1000, seed=0, n_ranked=None)[metric]
        np.testing.assert_array_equal(values, same)
        np.testing.assert_array_equal(values, purchases.draws(task, single.astype(float))[metric])
    tables = [purchases.evaluate(task, {"a": single}, **kwargs) for kwargs in ({}, {"n": 1000, "seed": 0})]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(purchases.evaluate(task, {"a": single}, seed=1))


def test_channels_of_a_typical_week_are_one(task):
    """Scales are means over the cells that hold something: the inactive weeks of training do not count."""
    for name in ("lines", "spend", "baskets", "all lines"):
        train = task.channels[name][:, :12]
        assert (train == 0).any() and train[train > 0].mean() == pytest.approx(1, rel=1e-5)


def test_gaps_of_two_bins_do_not_cancel():
    p = np.repeat([0.8, 0.1], 10)
    y = np.r_[np.repeat([1, 0], [6, 4]), np.repeat([1, 0], [3, 7])]  # 0.2 too high, then 0.2 too low
    assert calibration_error_draws(p, y, Draws.of(np.arange(20), n=0))[0] == pytest.approx(0.2)


def test_the_frequency_is_tuned_on_validation_weeks():
    bought = np.zeros((40, 20, 1))
    bought[:20, :10] = bought[20:, 10:18] = 1  # validation, weeks 16 and 17, is like the weeks before it
    bought[:20, 18:] = 1  # the test is not: there a short memory is wrong
    best = purchases.tune_frequency(small_task(bought), half_lives=(1, 26), prior_weeks=(1,))
    assert best == (1, 1)


@pytest.mark.slow
def test_a_network_lets_go_of_the_arrays_that_it_has_read(shop):
    early = shop.with_tables(orders=shop.orders[shop.orders["timestamp"] < "2017-06-26"])  # eight weeks
    task = purchases.task(early, Split.last(test="7D", valid="7D"), n_categories=3)
    seen = weakref.ref(task.channels.values)
    net = purchases.PurchaseLSTM(epochs=1, units=2).fit(task, watch=True)
    net.predict(task, task.cutoffs("test"))
    del task
    gc.collect()
    assert seen() is None  # or a lesson holds 400 MB twice


def test_the_margin_of_a_category_is_that_of_its_orders_before_validation(shop, task):
    baskets = shop.orders.groupby(["customer_id", shop.orders["timestamp"].dt.date]).ngroup()
    shop = replace(shop, orders=shop.orders.assign(order_id=baskets))  # of several lines
    start = task.panel.weeks[task.cutoffs("valid")[0] + 1]
    lines = shop.orders.merge(shop.products, on="product_id")
    milk = lines[(lines["category"] == "MILK") & (lines["timestamp"] < start)]
    assert start == pd.Timestamp("2017-07-24") and lines["timestamp"].max() > start
    wanted = 0.25 * milk.groupby("order_id")["revenue"].sum().mean()
    assert len(milk) > milk["order_id"].nunique()
    assert benchmark.margins(shop, task)[task.categories.index("MILK")] == pytest.approx(wanted)


def test_coupons_go_to_the_highest_expected_margins_and_only_used_ones_cost_their_face_value():
    bought = np.zeros((3, 12, 2))
    bought[0, -1, 0] = bought[1, -2:, 1] = 1  # in the two test weeks
    task = small_task(bought, known=[0, 0, 99])  # household 2 is not known
    p = np.array([[[0.5, 0.1], [0.2, 0.3], [0.9, 0.9]], [[0.5, 0.1], [0.4, 0.3], [0.9, 0.9]]])
    made = benchmark.coupon_draws(task, p, np.array([1.0, 2.0]), n=2)
    # sent: (0, a) for .5 and (1, b) for .6, in both weeks; used: the second, then both; worth .50 and 1.50
    assert made["dollars per week"][0] == pytest.approx((1.5 + 0.5 + 1.5) / 2 - 2 * 0.05)
    assert made["share that buys"][0] == pytest.approx(3 / 4)
    assert made["share that buys"].shape == (1001,) and made["dollars per week"].min() == pytest.approx(-0.1)


def test_the_gain_of_one_list_over_the_other_draws_the_fits():
    bought = np.zeros((2, 12, 1))
    bought[0, -2:] = 1
    study = benchmark.Study(small_task(bought), print)
    good, bad = (np.tile(np.array(p)[None, :, None], (2, 1, 1)) for p in ([0.9, 0.1], [0.1, 0.9]))
    study.p = {benchmark.FREQUENCY: [bad], benchmark.OURS: [good, bad]}
    study.coupons(np.array([1.0]), n=1)  # a used coupon brings .50
    found = {(r["model"], r["metric"]): r for r in study.table}
    gain = found[f"{benchmark.OURS} minus {benchmark.FREQUENCY}", "dollars per week"]
    assert gain["value"] == pytest.approx(0.25) and gain["seeds"] == 2  # of .5 and 0
    assert gain["low"] == 0 and gain["high"] > 0.5 and gain["where"] == "coupons"
    assert found[benchmark.FREQUENCY, "share that buys"]["value"] == 0
