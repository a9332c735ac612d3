"""Wrap-up quizzes: each answer computed a second time, another way; data that no lesson uses; kind words."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from ecomlib import clean, load_complete_journey
from ecomlib.exercises import wrap_up
from ecomlib.exercises.wrap_up import foundations, purchases, recommend, sales
from ecomlib.results import read_benchmark

pytestmark = pytest.mark.slow  # all questions are computed from the whole shop

ANSWERS = {"foundations": "bacba", "sales": "cabbc", "purchases": "bacab", "recommend": "cabbc"}


@pytest.fixture(scope="module")
def shop():
    """The running shop, cleaned."""
    return clean(load_complete_journey())[0]


@pytest.fixture(scope="module")
def made(shop):
    """All questions by part."""
    return {part: wrap_up.questions(part, shop) for part in wrap_up.PARTS}


def rights(questions):
    """Return the right answers as they are printed."""
    return [one.right.text for one in questions]


def lines_of(shop):
    """Order lines with their product, day and week from 2 January on."""
    lines = shop.orders.merge(shop.products)
    lines["day"] = lines["timestamp"].dt.normalize()
    lines["week"] = (lines["day"] - pd.Timestamp("2017-01-02")).dt.days // 7
    return lines


def test_the_letters_are_those_of_the_key_and_spread_evenly(made):
    assert {part: "".join(one.letter for one in made[part]) for part in made} == ANSWERS
    assert max(Counter("".join(ANSWERS.values())).values()) <= 0.45 * 20
    for letters in ANSWERS.values():
        assert set(letters) == set("abc")


def test_options_differ_and_say_something(made):
    for part, questions in made.items():
        for one in questions:
            options = one.options
            assert list(options) == list("abc") and options[one.letter] is one.right, part
            assert len({option.text for option in options.values()}) == 3, one.text
            assert all(len(option.says.split()) >= 5 for option in options.values()), one.text


def test_foundations(shop, made):
    lines = lines_of(shop)
    lines = lines[(lines["store_id"] == 367) & lines["week"].between(0, 50)]
    sold = [lines.loc[lines["week"] == w, "revenue"].sum() / 1000 for w in range(51)]
    rows = [(round(sum(sold[t - 4 : t]) / 4, 2), round(sold[t], 2)) for t in (10, 11, 12)]

    def loss(w):
        return sum((w * x - y) ** 2 for x, y in rows) / 3

    slope = (loss(1 + 1e-6) - loss(1 - 1e-6)) / 2e-6
    days = lines.groupby(["customer_id", "week"])["day"].nunique()
    came = days.xs(19, level="week").index
    trips = [min(days.get((customer, 20), 0), 2) for customer in came]
    shares = np.array([trips.count(k) / len(trips) for k in range(3)])
    each = [-np.log(shares[k]) for k in trips]
    n = (lines.groupby("department", observed=True)["day"].nunique() >= 300).sum()
    weights = sum(4 * size for size in (24 * 24, 24 * (n + 7), 24))
    gap = abs(int(np.argmax(sold)) - int(np.argmin(sold)))
    state = 1.0
    for _ in range(gap):
        state *= 1 / (1 + np.exp(-3))
    kept = [c for c in range(357) if c - 27 >= 0 and c + 7 < 357 - 84]
    wanted = [
        f"{1 - 0.02 * slope:.4f}",
        f"{np.mean(each):.3f}",
        f"{weights:,}",
        f"{state:.3f}",
        f"{len(kept)}",
    ]
    assert rights(made["foundations"]) == wanted


def test_sales(shop, made):
    lines = lines_of(shop)
    lines = lines[lines["category"] == "CAT FOOD"]
    days = pd.date_range("2017-01-02", periods=140)
    sold = lines.groupby("day")["revenue"].sum().reindex(days, fill_value=0).round()
    week = sold["2017-03-13":"2017-03-19"]
    mean = [round(np.mean([sold[day - pd.Timedelta(weeks=k)] for k in range(1, 5)])) for day in week.index]
    wrong = (week - mean).abs()
    naive = [abs(sold[day] - sold[day - pd.Timedelta("7D")]) for day in sold[7:70].index]
    saturdays = sold[:77][sold[:77].index.day_name() == "Saturday"]
    grid = np.unique(saturdays)
    pinball = [sum(max(0.9 * (y - f), 0.1 * (f - y)) for y in saturdays) for f in grid]
    inside = 0
    for day in sold[70:126].index:
        past = [v for d, v in sold[14:70].items() if d.day_name() == day.day_name()]
        inside += np.quantile(past, 0.1) <= sold[day] <= np.quantile(past, 0.9)
    sundays = sold[:63][sold[:63].index.day_name() == "Sunday"]
    cost = {f: sum(max(0.45 * (y - f), 0.15 * (f - y)) for y in sundays) for f in sundays}
    wanted = [
        f"{wrong.sum() / week.sum():.3f}",
        f"{round(wrong.mean(), 2) / round(np.mean(naive), 2):.3f}",
        f"{grid[int(np.argmin(pinball))]:.0f}",
        f"{100 * inside / 56:.1f} %",
        f"{min(cost, key=cost.get):.0f}",
    ]
    assert rights(made["sales"]) == wanted


def test_purchases(shop, made):
    lines = lines_of(shop)
    first = lines.groupby("customer_id")["week"].min()
    known = sorted(first[first <= 19].index)
    coffee = lines[(lines["category"] == "COFFEE") & lines["week"].between(12, 20)]
    spent = coffee.groupby(["customer_id", "week"])["revenue"].sum()
    spent = spent[spent > 0]
    pairs = set(spent.index)
    rate = round(sum(week < 20 for customer, week in pairs if customer in set(known)) / (8 * len(known)), 3)
    buys = {customer: (customer, 20) in pairs for customer in known}
    loss = [-np.log(rate if buys[c] else 1 - rate) for c in known]
    share = round(np.mean(list(buys.values())), 3)
    assert abs(np.mean(loss) - float(rights(made["purchases"])[0])) < 1e-3  # the shares are rounded
    exact = -(share * np.log(rate) + (1 - share) * np.log(1 - rate))
    times = {c: sum((c, week) in pairs for week in range(12, 20)) for c in known}
    one = next(c for c in known if times[c] == 3 and buys[c])
    weight = {week: 0.5 ** ((19 - week) / 4) for week in range(12, 20)}
    above = sum(w for week, w in weight.items() if (one, week) in pairs) + 2 * rate
    p = above / (sum(weight.values()) + 2)
    top = sorted(known, key=lambda c: (-times[c], c))[: len(known) // 10]
    lift = round(np.mean([buys[c] for c in top]), 3) / share
    usual = round(spent[[c in set(known) for c in spent.index.get_level_values(0)]].mean(), 2)
    wanted = [
        f"{exact:.4f}",
        f"{p:.3f}",
        f"{-np.log(round(p, 3)):.3f}",
        f"{lift:.2f}",
        f"{0.1 / (0.25 * usual):.3f}",
    ]
    assert rights(made["purchases"]) == wanted


def test_recommend(shop, made):
    trips, favourites = recommend.trips_of(shop)
    past, last = [item for trip in trips[:-1] for item in trip], trips[-1]
    top = Counter({item: 1000 * n - favourites.index(item) for item, n in Counter(past).items()})
    listed = [item for item, _ in top.most_common(5)]
    hits = [item in last for item in listed]
    place = min(favourites.index(item) for item in last) + 1
    gains = sum(1 / np.log2(1 + n) for n, hit in enumerate(hits, 1) if hit)
    best = sum(1 / np.log2(1 + n) for n in range(1, 6))
    ceiling = np.mean([1 if len(trip) <= 5 else 5 / len(trip) for trip in trips])
    wanted = [
        len([item for item in last if item not in past]) / len(last),
        len(last & set(listed)) / len(last),
        ceiling,
        1 / place,
        gains / best,
    ]
    assert rights(made["recommend"]) == [f"{value:.3f}" for value in wanted]
    assert len(trips) == 30 and len(last) >= 7


def test_the_data_are_new(shop):
    sixty = set(read_benchmark("sales")["series"].dropna())
    assert "BACON" in sixty and sales.CATEGORY not in sixty
    thirty = set(read_benchmark("purchases")["where"].dropna())
    assert "FLUID MILK PRODUCTS" in thirty and purchases.CATEGORY not in thirty
    assert shop.orders.groupby("store_id")["revenue"].sum().idxmax() == foundations.STORE


def test_right_wrong_and_open_answers_are_told(capsys):
    wrap_up.mark("sales", ANSWERS["sales"])
    assert capsys.readouterr().out.count("correct") == 5
    wrap_up.mark("sales", ".....")
    assert capsys.readouterr().out.count("not yet: a, b or c?") == 5
    wrap_up.mark("sales", "aabbc")
    assert "1. not yet: that is the mean of the daily percentages" in capsys.readouterr().out
    wrap_up.ask("sales")
    printed = capsys.readouterr().out
    assert printed.count("   a) ") == 5 and max(map(len, printed.splitlines())) <= 88
    with pytest.raises(ValueError, match="5 letters"):
        wrap_up.mark("sales", "abc")
    with pytest.raises(ValueError, match="no part 'cooking'"):
        wrap_up.questions("cooking", shop)
