"""The purchase task: shapes, known-future inputs, leaks, scores, and the counter-example."""

import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical, change_after
from sklearn.metrics import average_precision_score, roc_auc_score
from toy_shop import toy_shop

from ecomlib import cdnow
from ecomlib import purchases as pu
from ecomlib.shop import BadValue, TooShort

DATES = {"valid_start": "2017-07-24", "test_start": "2017-08-14", "n_categories": 3}


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
    customers = pd.DataFrame({"customer_id": range(25), "age": ["25-34", None] * 12 + [None]})
    return shop.with_tables(
        campaigns=campaigns, coupons=coupons, redemptions=redemptions, customers=customers
    )


@pytest.fixture(scope="module")
def shop():
    return shop_with_marketing()


@pytest.fixture(scope="module")
def task(shop):
    return pu.prepare(shop, **DATES)


def made_at(task, origin):
    """Everything the models read at an origin, and what the rules forecast there."""
    return {
        "sequences": task.inputs(origin),
        "features": pu.features(task, np.array([origin]))[0],
        "rule": pu.weighted_frequency(task, np.array([origin])),
    }


def test_bought_equals_a_groupby(shop, task):
    lines = shop.orders.merge(shop.products, on="product_id")
    week = (lines["timestamp"] - task.panel.weeks[0]).dt.days // 7
    pairs = set(zip(lines["customer_id"], week, lines["category"].astype(str), strict=True))
    n, w, k = np.nonzero(task.bought)
    found = {(task.panel.customers[i], j, task.categories[c]) for i, j, c in zip(n, w, k, strict=True)}
    assert found == {p for p in pairs if 0 <= p[1] < len(task.panel.weeks)}


def test_parts_follow_each_other_and_their_targets_do_not_meet(task):
    train, valid, test = (task.origins[p] for p in ("train", "valid", "test"))
    assert train.max() + 1 == valid.min() and valid.max() + 1 == test.min()
    assert task.panel.weeks[valid.min() + 1] == pd.Timestamp(DATES["valid_start"])
    assert test.max() + 1 == len(task.panel.weeks) - 1


def test_silent_customers_stay_and_the_not_yet_known_are_left_out(task):
    use = task.use(task.origins["test"])
    assert (use == (task.panel.known[:, task.origins["test"]] > 0)).all()
    y, customer = task.rows("test")
    assert len(y) == len(customer) == use.sum() * 3


def test_coupon_is_in_hand_from_the_week_it_comes_to_the_last_it_is_valid_after(task):
    held = task.marketing[0, :, task.categories.index("BREAD"), 0]
    # From the week of 8 May (start 10 May) to that of 22 May: valid on Monday 29 May, not on 5 June.
    assert list(np.flatnonzero(held)) == [1, 2, 3]


def test_rows_line_up_with_features(task):
    origins = task.origins["test"]
    x, names = pu.features(task, origins)
    lag = x[:, names.index("bought, lag 0")]
    assert np.array_equal(lag, task.flat(task.bought[:, origins], "test"))
    assert np.isfinite(x).all()


def test_what_is_made_at_an_origin_ignores_all_that_comes_later(shop, task):
    origin = int(task.origins["test"][0])
    cutoff = task.panel.weeks[origin + 1]
    changed = change_after(shop, cutoff)
    late = changed.campaigns["start"] >= cutoff
    campaigns = changed.campaigns.assign(
        end=changed.campaigns["end"].where(~late, pd.Timestamp("2018-01-01")), kind="B"
    )
    other = pu.prepare(changed.with_tables(campaigns=campaigns), **DATES)
    assert not np.array_equal(task.bought[:, origin + 1 :], other.bought[:, origin + 1 :])
    assert_identical(made_at(task, origin), made_at(other, origin))


def test_planted_leak_is_caught(shop, task):
    origin = int(task.origins["test"][0])
    other = pu.prepare(change_after(shop, task.panel.weeks[origin + 1]), **DATES)
    with pytest.raises(AssertionError):
        assert_identical(made_at(task, origin + 1), made_at(other, origin + 1))


def test_scores_equal_scikit_learn_and_weights_equal_repetition():
    rng = np.random.default_rng(0)
    p = rng.random(400).round(2)
    y = (rng.random(400) < p).astype(float)
    scores = pu.evaluate(p, y, np.arange(400) // 10, n=2)
    assert scores["AUC"][0] == pytest.approx(roc_auc_score(y, p))
    assert scores["average precision"][0] == pytest.approx(average_precision_score(y, p))
    weight = rng.integers(0, 3, 400)
    order = np.argsort(-p, kind="stable")
    auc, ap, _ = pu._ranked(p[order], y[order], weight[order].astype(float))
    assert auc == pytest.approx(roc_auc_score(y, p, sample_weight=weight))
    assert ap == pytest.approx(average_precision_score(y, p, sample_weight=weight))


def test_calibration_error_of_the_truth_is_small_and_of_a_doubled_one_is_not():
    rng = np.random.default_rng(0)
    p = rng.beta(1, 8, 40_000)
    y = (rng.random(len(p)) < p).astype(float)
    who = np.arange(len(p)) // 100
    assert pu.evaluate(p, y, who, 1)["calibration error"][0] < 0.01
    assert pu.evaluate(np.minimum(2 * p, 1), y, who, 1)["calibration error"][0] > 0.05


def test_frequency_with_infinite_half_life_is_a_plain_mean(task):
    origin = np.array([10])
    p = pu.weighted_frequency(task, origin, np.inf, 0.0)[:, 0]
    known = task.panel.known[:, 10]
    expected = task.bought[:, :11].sum(axis=1) / np.maximum(known, 1)[:, None]
    assert np.allclose(p[known > 0], expected[known > 0])


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({"valid_start": "2017-07-25"}, BadValue, "Mondays"),
        ({"test_start": "2017-12-04"}, TooShort, "weeks"),
        ({"n_categories": 9}, TooShort, "categories"),
    ],
)
def test_bad_input_gets_one_clear_sentence(shop, change, error, word):
    with pytest.raises(error, match=word):
        pu.prepare(shop, **(DATES | change))


def test_shop_without_products_is_told_so(shop):
    with pytest.raises(BadValue, match="products"):
        pu.prepare(shop.with_tables(products=None, promotions=None, coupons=None), **DATES)


def test_marketing_is_optional():
    bare = pu.prepare(toy_shop(), **DATES)
    assert not bare.marketing.any() and bare.who.shape == (25, 1)


def test_bgnbd_finds_the_published_parameters():
    # Fader, Hardie & Lee (2005), table 2: every tenth customer of CDNOW.
    table = cdnow.summarise(cdnow.load_cdnow())
    one = table[table.index % 10 == 1] if len(table[table.index % 10 == 1]) == 2357 else table.iloc[::10]
    parameters = cdnow.fit_bgnbd(one["repeats"], one["last"], one["age"])
    assert parameters == pytest.approx([0.243, 4.414, 0.793, 2.426], rel=0.2)


@pytest.mark.parametrize("parameters", [(0.6, 10.0, 0.7, 12.0), (0.6, 14.0, 0.7, 9.0)])
def test_pareto_likelihood_equals_the_integral_over_rates_and_lives(parameters):
    from scipy.special import gamma, roots_genlaguerre

    r, alpha, s, beta = parameters
    x, t, age = 2, 9.0, 30.0
    rate, rate_weight = roots_genlaguerre(100, r - 1)
    leave, leave_weight = roots_genlaguerre(100, s - 1)
    rate, leave = rate[:, None] / alpha, leave / beta
    total = rate + leave
    given = leave * rate**x / total * np.exp(-total * t) + rate ** (x + 1) / total * np.exp(-total * age)
    whole = (rate_weight[:, None] * leave_weight * given).sum() / gamma(r) / gamma(s)
    found = cdnow.pareto_log_likelihood(parameters, [x], [t], [age])[0]
    assert found == pytest.approx(np.log(whole), abs=1e-3)


def test_pareto_forecast_of_a_fit_meets_the_total():
    table = cdnow.summarise(cdnow.load_cdnow()).iloc[::10]
    seen = table["repeats"], table["last"], table["age"]
    expected = cdnow.pareto_expected(cdnow.fit_pareto(*seen), *seen, 39)
    assert expected.sum() == pytest.approx(table["later"].sum(), rel=0.2)


def test_cdnow_is_whole():
    purchases = cdnow.load_cdnow()
    table = cdnow.summarise(purchases)
    assert len(table) == 23_570 and (table["repeats"] >= 0).all()
    assert cdnow.weekly_counts(purchases).sum() == (purchases["day"] < 546).sum()


def test_network_ignores_later_weeks_and_learns(shop, task):
    from ecomlib.models import PurchaseLSTM

    net = PurchaseLSTM(epochs=2, batch_size=32, units=8).fit(task)
    assert net.history["loss"][-1] < net.history["loss"][0]
    origin = int(task.origins["test"][0])
    other = pu.prepare(change_after(shop, task.panel.weeks[origin + 1]), **DATES)
    here, there = (net.every_week(each, origin + 2) for each in (task, other))
    assert_identical(here[:, : origin + 1], there[:, : origin + 1])
    assert not np.array_equal(here[:, origin + 1 :], there[:, origin + 1 :])
    assert ((here > 0) & (here < 1)).all()


def test_counting_network_walks_on():
    from ecomlib.models import CountLSTM

    counts = np.tile([0, 1, 0, 1], (64, 4)).astype(np.float32)
    net = CountLSTM(epochs=30, batch_size=16, units=8, learning_rate=0.02).fit(counts)
    walked = net.simulate(counts, weeks=10, walks=4)
    assert walked.shape == (64,) and abs(walked.mean() - 5) < 1.5
