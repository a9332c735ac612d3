"""The benchmark of coupons: its families know nothing of the campaign, its choices nothing of the test."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical
from scipy import sparse
from toy_shop import rich_shop

from benchmarks.quality import _families, coupons
from ecomlib.bootstrap import Draws
from ecomlib.results import read_benchmark
from ecomlib.runtime import ROOT

START = pd.Timestamp("2024-01-01")
WEEK, DAY = pd.Timedelta("7D"), pd.Timedelta("1D")
DAYS = tuple(str((START + k * WEEK).date()) for k in (9, 13, 17))


@pytest.fixture(scope="module")
def shop():
    """Ten campaigns of two weeks, every second week from week 3, to 20 households each."""
    made, rng = rich_shop(), np.random.default_rng(0)
    mailed, coupons_, used = [], [], []
    for campaign in range(10):
        start = START + (3 + 2 * campaign) * WEEK
        who = rng.choice(np.arange(10, 401, 10), 20, replace=False)
        what = {"campaign_id": campaign, "kind": "AB"[campaign % 2], "start": start, "end": start + 13 * DAY}
        mailed.append(pd.DataFrame({"customer_id": np.sort(who)}).assign(**what))
        products = rng.choice(np.arange(0, 48, 2), 6, replace=False)
        coupons_.append(
            pd.DataFrame({"coupon_id": products, "product_id": products, "campaign_id": campaign})
        )
        day = start + pd.to_timedelta([0, *rng.integers(0, 14, 7)], unit="D")  # one on the first day
        used.append(pd.DataFrame({"customer_id": who[:8], "coupon_id": products[0], "date": day}))
        used[-1]["campaign_id"] = campaign
    types = made.products["category"].astype(str) + " " + made.products["department"].astype(str)
    tables = {"campaigns": mailed, "coupons": coupons_, "redemptions": used}
    return made.with_tables(
        products=made.products.assign(product_type=types),
        **{name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()},
    )


def later_changed(shop, day):
    """Nobody redeems from a day on, and every line from it on is another; later campaigns are gone."""
    orders = shop.orders.copy()
    late = orders["timestamp"] >= day
    orders.loc[late, "product_id"] = 47
    orders.loc[late, "revenue"] *= 3
    return shop.with_tables(
        orders=orders,
        redemptions=shop.redemptions[shop.redemptions["date"] < day].reset_index(drop=True),
        campaigns=shop.campaigns[shop.campaigns["start"] <= day].reset_index(drop=True),
    )


def families(shop, campaign):
    """The families of one campaign's rows, as arrays."""
    made = _families.mailing(shop, "2024-01-01")
    at = np.flatnonzero(made.table["campaign_id"] == campaign)
    dense = {name: x.toarray() if sparse.issparse(x) else x for name, x in made.families.items()}
    return {name: x[at] for name, x in dense.items() if name != "campaign"} | {
        "campaign": made.families["campaign"][at][:, -4:]
    }


def test_no_family_knows_what_comes_from_the_first_day_on(shop):
    first_day = START + 11 * WEEK  # campaign 4
    assert_identical(families(shop, 4), families(later_changed(shop, first_day), 4))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("past", '["date"] < start', '["date"] <= start'),
        ("sets", "(when < start)", "(when < start + 5 * DAY)"),
        ("rhythm", 'table["start"] - first', 'table["start"] + 5 * DAY - first'),
    ],
)
def test_a_planted_leak_is_caught(shop, monkeypatch, name, old, new):
    from perturb import plant

    plant(monkeypatch, _families, name, old, new)
    with pytest.raises(AssertionError):
        test_no_family_knows_what_comes_from_the_first_day_on(shop)


def test_censored_campaigns_are_left_out_and_training_is_over_before(shop):
    table = _families.mailing(shop, "2024-01-01").table
    last_day = table["end"].max() - pd.Timedelta("1D")  # the last campaign is not over
    split = coupons.parts(table, last_day, DAYS)
    assert list(split) == ["round 1", "round 2", "test"]
    for part, start, needed in zip(split.values(), DAYS, (DAYS[-1], DAYS[-1], None), strict=True):
        assert (table["end"].iloc[part.train] < start).all() and len(part.train)
        assert (table["start"].iloc[part.asked] >= start).all() and len(part.asked)
        assert needed is None or (table["end"].iloc[part.asked] < needed).all()
    asked = table["campaign_id"].iloc[split["test"].asked]
    assert set(asked) == {7, 8}  # 9 is censored


@pytest.fixture(scope="module")
def task(shop):
    made = _families.mailing(shop, "2024-01-01")
    return made, coupons.parts(made.table, made.table["end"].max(), DAYS)


@pytest.mark.parametrize("kind", coupons.RIVALS)
def test_settings_and_weights_are_chosen_without_the_test(task, kind, monkeypatch):
    made, split = task
    monkeypatch.setattr(coupons, "C", (0.01, 1.0))
    fewer = {f: x for f, x in made.families.items() if f not in ("basket", "coupons")}  # types are few here
    arm = tuple(fewer)
    y = made.y.copy()
    y[split["test"].asked] = 1 - y[split["test"].asked]
    other = _families.Mailing(made.table, y, made.families, made.words)
    chosen = [coupons.search((m, split), kind, arm, True)[:2] for m in (made, other)]
    assert chosen[0] == chosen[1]
    fits = [coupons.searched((m, split), kind, arm, None, True) for m in (made, other)]
    flat = {"fits": coupons.base_models((made, split))["base rate"]}
    weights = [coupons.mixed((m, split), f, flat)[0] for m, f in zip((made, other), fits, strict=True)]
    assert weights[0] == weights[1]


def test_the_rule_counts_campaigns_redeemed_before(task):
    made, split = task
    p = coupons.rule(task, split["test"], prior=0)
    before = np.expm1(made.families["past"][:, 1]).round()
    train = split["test"].train
    for n in (0, 1):
        at = before[split["test"].asked] == n
        assert np.allclose(p[at], made.y[train][before[train] == n].mean())


def test_scores_of_the_decision():
    """Ten rows in two campaigns; the best fifth is one row of each; four of five redeemers in six rows."""
    p = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.3, 0.2, 0.1])
    y = np.array([1, 0, 1, 0, 1, 1, 0, 0, 1, 0.0])
    campaign = np.array([1, 2] * 5)
    found = coupons.scores(y, p, campaign, Draws.of(np.arange(10), n=0))
    assert found["redeemers in the best fifth"][0] == pytest.approx(1 / 5)
    assert found["mailed for 80 %"][0] == pytest.approx(6 / 10)


def test_a_family_left_out_is_compared_with_its_own_model():
    names = [
        "base rate",
        "LightGBM",
        "LightGBM, without past",
        "network",
        "network, ids",
        "logistic regression",
    ]
    names += ["logistic regression without the coupon set", "both rivals joined", "network, without past"]
    pairs = coupons.differences(names)
    assert ("LightGBM, without past", "LightGBM") in pairs and ("network, without past", "network") in pairs
    assert ("network", "both rivals joined") in pairs and len(pairs) == len(set(pairs))
    assert not any((b, a) in pairs for a, b in pairs)


def test_products_that_are_new_are_a_campaign_of_the_second_shop(shop):
    named = shop.products.assign(name=shop.products["product_type"])
    made = _families.arrivals(shop.with_tables(products=named), periods=5, days=28)
    first = shop.orders.groupby("product_id")["timestamp"].min().dt.normalize()
    starts = made.campaigns.groupby("campaign_id")["start"].first()
    new = made.coupons.merge(starts, left_on="campaign_id", right_index=True)
    age = new["start"] - new["product_id"].map(first)
    assert age.between(pd.Timedelta("1D"), pd.Timedelta("28D")).all()
    used = made.redemptions.merge(starts, left_on="campaign_id", right_index=True)
    assert (used["date"] - used["start"]).between(pd.Timedelta(0), pd.Timedelta("27D")).all()


@pytest.mark.slow
def test_the_lesson_makes_the_families_that_the_benchmark_makes():
    cells = nbformat.read(ROOT / "notebooks" / "54_heterogeneous.ipynb", as_version=4).cells
    place: dict = {}
    for cell in cells:
        if cell.cell_type == "code" and "alt" not in cell.metadata:  # no drawing
            exec(cell.source, place)
        if cell.id == "l54-known":
            break
    made = _families.mailing(place["shop"], coupons.FIRST)
    split = coupons.parts(made.table, place["last_day"])
    assert np.array_equal(place["rows"]["test"], split["test"].asked)
    assert np.array_equal(place["rows"]["validation"], split["round 2"].asked)
    for name, x in made.families.items():
        ours = place["data"][name]
        assert abs(ours - x).max() < 1e-5, name


@pytest.mark.slow
def test_the_search_hands_on_the_fits_of_its_first_seed(task):
    made, split = task
    fewer = tuple(f for f in made.families if f not in ("basket", "coupons", "rhythm"))
    for kind in coupons.KINDS:
        found = coupons.searched(task, kind, fewer, None, True)
        again = coupons.fit(task, kind, fewer, found["settings"], 0, split)
        assert all(np.array_equal(again[name], p) for name, p in found["fits"][0].items()), kind


@pytest.mark.slow
def test_a_network_that_is_kept_starts_anew_from_its_seed(task):
    made, split = task
    arm = ("rhythm", "basket", "coupons", "past")

    def last(rate, seed, over="test"):
        return _families.network(made, split[over], arm, "words", rate, 0.5, 2, seed)[-1]

    first = last(0.01, 0)
    other = last(0.02, 1, "round 2"), last(0.01, 1)
    assert np.array_equal(first, last(0.01, 0)) and not np.array_equal(first, other[1])
    every = _families.network(made, split["test"], arm, "words", 0.01, 0.5, 2, 0, every=True)
    assert len(every) == 2 and np.array_equal(every[-1], first)


SAID = [  # what lesson 54 says: shop, model, rival, score, word
    ("Complete Journey", "network", "logistic regression", "log-loss", "level"),
    ("Complete Journey", "network", "LightGBM", "log-loss", "level"),
    (
        "Complete Journey",
        "network, chosen families",
        "logistic regression, chosen families",
        "log-loss",
        "level",
    ),
    ("Complete Journey", "network, chosen families", "LightGBM, chosen families", "log-loss", "level"),
    ("Complete Journey", "network, chosen families", "both rivals joined", "log-loss", "level"),
    ("Complete Journey", "network and LightGBM", "LightGBM", "log-loss", "level"),
    ("Complete Journey", "network and LightGBM", "both rivals joined", "log-loss", "level"),
    ("Complete Journey", "all three joined", "both rivals joined", "log-loss", "level"),
    ("Complete Journey", "network", "logistic regression without the coupon set", "log-loss", "level"),
    ("Complete Journey", "network, ids", "network", "log-loss", "worse"),
    ("Complete Journey", "network, ids", "network", "AUC", "worse"),
    ("Online Retail", "network, words", "network, ids", "log-loss", "better"),
    ("Online Retail", "network, words", "network, ids", "AUC", "better"),
    ("Online Retail", "network, words", "network, no set", "log-loss", "worse"),
    ("Online Retail", "network, words", "network, no set", "AUC", "level"),
    ("Online Retail", "logistic regression, words", "logistic regression, ids", "log-loss", "level"),
    ("Online Retail", "logistic regression, words", "logistic regression, ids", "AUC", "level"),
    ("Complete Journey", "network", "one rule", "log-loss", "better"),
]
NEEDED = {  # families without which a model is worse
    "network": {"rhythm"},
    "LightGBM": set(),
    "logistic regression": set(),
}
NEEDED_HERE = {  # the same with the four campaigns held fixed
    "network": {"rhythm", "campaign"},
    "LightGBM": {"past", "rhythm"},
    "logistic regression": {"past", "rhythm"},
}


@pytest.fixture(scope="module")
def table():
    test = read_benchmark("coupons").query("part == 'test' and drawn != 'households, seeds'")
    return test.set_index(["shop", "model", "metric"])[["value", "low", "high"]]


@pytest.mark.parametrize(("shop", "model", "rival", "metric", "word"), SAID)
def test_the_lesson_says_what_the_table_says(table, shop, model, rival, metric, word):
    value, low, high = table.loc[(shop, f"{model} minus {rival}", metric)]
    good = (value < 0) == (metric == "log-loss")
    assert word == ("level" if low <= 0 <= high else "better" if good else "worse")


@pytest.mark.parametrize(
    ("drawn", "needed"),
    [("households, campaigns, seeds", NEEDED), ("households, seeds", NEEDED_HERE)],
)
def test_the_families_that_a_model_needs(drawn, needed):
    test = read_benchmark("coupons").query("part == 'test' and metric == 'log-loss' and drawn == @drawn")
    low = test.set_index("model")["low"]
    for kind, families_ in needed.items():
        found = {f for f in _families.FAMILIES if low[f"{kind}, without {f} minus {kind}"] > 0}
        assert found == families_, kind
