"""A shop of your own asked three questions: the verdict, what comes after the last day, save and load."""

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from ecomlib import open_shop, own, sales
from ecomlib.joined import Joined
from ecomlib.own.answer import Answer, _advise, _pair, compare
from ecomlib.own.profile import closed_weekdays, last_whole_day, profile
from ecomlib.own.questions import Purchases, Recommend
from ecomlib.own.sales_question import Sales
from ecomlib.runtime import ROOT
from ecomlib.shop import BadValue, Shop, TooShort, UnreadableFile

WEEKS = {"test": "28D", "valid": "28D", "epochs": 1}
ASKED = {
    "sales": (Sales, {"level": None, "n_series": None, "horizon": None, "country": None, "closed_too": []}),
    "purchases": (Purchases, {"n_categories": 3}),
    "new": (Recommend, {"level": "product_id", "question": "discovery", "k": 24, "min_count": 5}),
    "basket": (Recommend, {"level": "product_id", "question": "whole", "k": 5, "min_count": 5}),
}


@contextmanager
def eagerly():
    """A few batches without graphs: tracing takes most of the time."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@cache
def sample() -> Shop:
    return open_shop(ROOT / "data" / "sample_shop")


def ask(name, **more):
    kind, plan = ASKED[name]
    return kind(**plan | more, **WEEKS)


@cache
def answer(name, model="joined", **plan) -> Answer:
    """An answer by a model of one's choice, without the comparison."""
    question, shop = ask(name, **plan), sample()
    task = question.task(shop)
    simple, rivals, network = question.models(task)
    models = simple | rivals
    for each in rivals.values():  # few trees, a step or two, a member less: they need not be good
        if isinstance(each, sales.LightGBM):
            each.options["n_estimators"] = 20
    with eagerly():
        if model in models:
            chosen = models[model].fit(task)
        else:
            rival, net = next(iter(rivals.values())).fit(task), network(0)
            net.batch_size = 4096
            if name == "sales":
                net.members = 2
            chosen = question.join(task, net.fit(task), rival)
            if isinstance(chosen, Joined):
                chosen = replace(chosen, weight=0.5)  # both count
        first = next(iter(simple.values())).fit(task)
        question.plan["models"] = [model, next(iter(simple))]
        notes = question.prepare(task, chosen, chosen if model in simple else first)
        question.made.clear()
        chosen.fit(question.known(task))
    table = question.table(shop, question.known(task), chosen)
    return Answer(question, table[:0], table[:0], "advice", model, notes, chosen, table)


def later(shop: Shop, days: int) -> Shop:
    """The same shop, exported some days later: its last weeks happen again, with a new customer."""
    gap = pd.Timedelta(days=days)
    orders = shop.orders
    again = orders[orders["timestamp"] > orders["timestamp"].max().normalize() - gap + pd.Timedelta(days=1)]
    again = again.assign(timestamp=again["timestamp"] + gap, order_id=again["order_id"] + 10**6)
    again.loc[again["order_id"].isin(again["order_id"].unique()[:3]), "customer_id"] = 999
    return shop.with_tables(orders=pd.concat([orders, again], ignore_index=True), customers=None)


# ------------------------------------------------------------------------------------------- save and load


@pytest.mark.slow
def test_another_process_gives_the_same_numbers(tmp_path):
    for name in ASKED:
        answer(name).save(tmp_path / name)
        assert not [
            path for path in (tmp_path / name).iterdir() if path.suffix not in (".csv", ".json", ".npz")
        ]
    code = (
        "import sys; from pathlib import Path\n"
        "from ecomlib import own, open_shop\n"
        f"shop = open_shop({str(ROOT / 'data' / 'sample_shop')!r})\n"
        "for folder in Path(sys.argv[1]).iterdir():\n"
        "    own.load(folder).score(shop).to_pickle(folder / 'again.pkl')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)
    for name in ASKED:
        again = pd.read_pickle(tmp_path / name / "again.pkl")
        pd.testing.assert_frame_equal(again, answer(name).table, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("sales", "mean of 8 weeks"),
        ("sales", "LightGBM (correction)"),
        ("sales", "ETS"),
        ("purchases", "smoothed frequency"),
        ("purchases", "logistic regression"),
        ("new", "popularity of four weeks"),
        ("new", "ALS + trend"),
        ("new", "EASE + trend"),
        ("basket", "recent top frequency"),
        ("basket", "TIFU-kNN"),
    ],
)
def test_every_model_can_be_saved(name, model, tmp_path, monkeypatch):
    monkeypatch.setattr(sales.ETS, "forms", sales.ETS.forms[:1])  # the choice among four takes seconds
    made = answer(name, model)
    made.save(tmp_path)
    loaded = own.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.score(sample()), made.table, check_exact=True)
    plans = [{k: v for k, v in each.question.plan.items() if k != "rule"} for each in (loaded, made)]
    assert loaded.notes == made.notes and plans[0] == plans[1]


def test_a_folder_without_an_answer_and_a_changed_one_are_refused(tmp_path):
    with pytest.raises(UnreadableFile, match=r"no answer\.json"):
        own.load(tmp_path)
    answer("basket", "recent top frequency").save(tmp_path)
    path = tmp_path / "answer.json"
    text = path.read_text()
    path.write_text(text.replace("ecomlib.recommend.baselines", "os"))
    with pytest.raises(BadValue, match=r"names os\.PersonalFrequency"):
        own.load(tmp_path)
    path.write_text(text.replace('"numpy": "', '"numpy": "9'))
    with pytest.raises(BadValue, match="saved with numpy 9"):
        own.load(tmp_path)


# ------------------------------------------------------------------------------------------- a later export


@pytest.mark.slow
def test_a_later_export_is_answered_for_its_own_last_day():
    shop = later(sample(), 14)
    end = shop.orders["timestamp"].max().normalize()
    table = answer("sales").score(shop)
    assert table["day"].min() == end + pd.Timedelta(days=1)
    table = answer("purchases").score(shop)
    assert (table["week"] == end + pd.Timedelta(days=1)).all()
    assert 999 in set(table["customer_id"])
    assert 999 in set(answer("new").score(shop)["customer_id"])


def test_a_later_export_changes_no_scale_and_no_vocabulary():
    question, shop = ask("purchases"), later(sample(), 14)
    first, longer = question.task(sample()), question.task(shop)
    rows, n_weeks = np.isin(longer.panel.customers, first.panel.customers), len(first.panel.weeks)
    now, then = longer.channels.values[rows][:, :, :n_weeks], first.channels.values
    np.testing.assert_array_equal(now, then)
    assert len(longer.panel.weeks) == n_weeks + 2 and longer.categories == first.categories
    first, longer = question.known(first), question.known(longer)
    np.testing.assert_array_equal(longer.cutoffs("train"), first.cutoffs("train"))
    assert longer.cutoffs("next") == n_weeks + 1 and first.cutoffs("train").max() == n_weeks - 2
    question = ask("new")
    first, longer = (question.known(question.task(each)) for each in (sample(), shop))
    np.testing.assert_array_equal(longer.counts("train"), first.counts("train"))
    assert longer.baskets.sum() > first.baskets.sum() == first.counts("train").sum()
    question = ask("sales")
    first, longer = (question.known(question.task(each)) for each in (sample(), shop))
    np.testing.assert_array_equal(longer.cutoffs("train"), first.cutoffs("train"))
    assert first.cutoffs("train").max() == len(first.panel.days) - 1 - first.horizon


def test_an_export_that_forgets_is_refused():
    shop = sample()
    day = shop.orders["timestamp"]
    young = shop.with_tables(orders=shop.orders[day >= day.min() + pd.Timedelta(days=30)])
    short = shop.with_tables(orders=shop.orders[day < day.max() - pd.Timedelta(days=30)])
    for name in ASKED:
        for other in (young, short):
            with pytest.raises(BadValue, match="the model knows the days from"):
                answer(name, next(iter(models_of(name)))).score(other)


def models_of(name):
    question = ask(name)
    return question.models(question.task(sample()))[0]


def test_old_orders_that_were_changed_are_refused():
    orders = sample().orders
    first = orders["product_id"].iloc[0]
    gone = orders["product_id"].eq(first) & (orders.index > 0)
    shop = sample().with_tables(orders=orders[~gone].reset_index(drop=True))
    with pytest.raises(BadValue, match=f"were changed since the model was made, and with them '{first}'"):
        answer("basket", "personal top frequency").score(shop)


# --------------------------------------------------------------------------------------------- the tables


def test_the_forecast_lies_after_the_last_day_with_a_band_that_never_crosses():
    made = answer("sales")
    days = made.table["day"].unique()
    assert days[0] == sample().orders["timestamp"].max().normalize() + pd.Timedelta(days=1)
    assert len(days) == 7
    low, middle, high = made.table[["low", "middle", "high"]].to_numpy().T
    assert (low >= 0).all() and (low <= middle).all() and (middle <= high).all() and (high > low).any()
    assert made.question.plan["band"] is not None and any("band of 80 %" in note for note in made.notes)


def test_probabilities_are_probabilities_of_every_customer():
    table = answer("purchases").table
    assert table["probability"].between(0, 1).all() and table["probability"].is_monotonic_decreasing
    assert len(table) == sample().orders["customer_id"].nunique() * 3
    assert not table.duplicated(["customer_id", "category"]).any()


def test_nothing_that_is_owned_is_a_discovery_and_every_item_has_its_reason():
    table = answer("new").table
    orders = sample().orders
    names = dict(zip(orders["product_id"].astype(str), orders["product_id"], strict=True))
    owned = set(zip(orders["customer_id"], orders["product_id"], strict=True))
    offered = list(zip(table["customer_id"], table["item"].map(names), strict=True))
    assert not owned & set(offered)
    day = orders["timestamp"].dt.normalize()
    trips = (
        orders.assign(day=day).groupby(["customer_id", "product_id"])["day"].nunique().unstack(fill_value=0)
    )
    logs = np.log1p(trips)
    length = np.sqrt((logs**2).sum())
    near = (logs.T @ logs) / (np.outer(length, length) + 10)
    said = 0
    for (customer, item), reason in zip(offered, table["reason"], strict=True):
        if reason.startswith("customers who buy "):
            close = near.loc[item, trips.columns[trips.loc[customer] > 0]]
            assert close[names[reason.split()[3]]] >= close.max() * (1 - 1e-6)
            said += 1
    assert said > 100


def test_the_reason_counts_the_trips_of_the_customer():
    table = answer("basket", "personal top frequency").table
    orders = sample().orders.assign(day=sample().orders["timestamp"].dt.normalize())
    trips = orders.groupby(["customer_id", "product_id"])["day"].nunique()
    bought = table[table["reason"].str.startswith("bought on")]
    said = bought["reason"].str.extract(r"(\d+)")[0].astype(int).to_numpy()
    keys = list(zip(bought["customer_id"], bought["item"], strict=True))
    np.testing.assert_array_equal(said, trips.loc[keys].to_numpy())
    assert len(said) > 100


# --------------------------------------------------------------------------------------------- the verdict


def paired(**verdicts):
    pairs = [("LSTM", "rule"), ("joined", "rule"), ("rival", "rule"), ("LSTM", "rival"), ("joined", "rival")]
    rows = [
        {"first": a, "second": b, "ratio": 0.9, "low": 0.8, "high": 1.1, "verdict": "level"} for a, b in pairs
    ]
    for row in rows[:3]:
        row["verdict"] = verdicts.get(row["first"], "level")
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("verdicts", "chosen", "sentence"),
    [
        ({}, "rule", "the LSTM is not better"),
        ({"LSTM": "worse", "joined": "level"}, "rule", "joined neither"),
        ({"LSTM": "better"}, "LSTM", "rival alone is level with it"),
        ({"LSTM": "better", "joined": "better"}, "joined", "rival alone is level with it"),
        ({"rival": "better"}, "rival", "the LSTM is not better than rule"),
    ],
)
def test_the_network_is_advised_only_where_the_interval_excludes_the_tie(verdicts, chosen, sentence):
    name, advice = _advise(ask("sales"), paired(**verdicts), "rule", "rival")
    assert name == chosen and sentence in advice and advice.startswith(f"Use {chosen}: ")


def test_joined_without_the_network_is_not_advised():
    table = paired(joined="better", rival="better")
    table.loc[4, ["low", "high"]] = 1.0
    assert _advise(ask("sales"), table, "rule", "rival")[0] == "rival"
    table.loc[0, "verdict"] = "better"
    assert _advise(ask("sales"), table, "rule", "rival")[0] == "LSTM"


@pytest.mark.parametrize(
    ("ask_of", "factor", "verdict"),
    [
        ("sales", 0.5, "better"),
        ("sales", 1.5, "worse"),
        ("new", 0.5, "worse"),
        ("new", 1.5, "better"),
        ("new", 1.0, "level"),
    ],
)
def test_more_recall_and_less_error_is_better(ask_of, factor, verdict):
    question = ask(ask_of)
    base = np.random.default_rng(0).uniform(0.9, 1.1, 1001)
    other = np.random.default_rng(1).uniform(0.9, 1.1, 1001)
    found = {"a": {question.headline: base * factor}, "b": {question.headline: other}}
    row = _pair(question, found, "a", "b")
    assert row["verdict"] == verdict and row["low"] < row["high"]


def test_a_choice_never_sees_the_test():
    orders = sample().orders
    task, moved = ask("sales").task(sample()), None
    test_from = task.days[task.test_start]
    changed = orders.assign(revenue=orders["revenue"].where(orders["timestamp"] < test_from, 77.0))
    moved = ask("sales").task(sample().with_tables(orders=changed))
    models = [sales.WeekdayMean(8), sales.WeekdayMean(4), sales.LightGBM(n_estimators=20)]
    one, two = ([ask("sales").value(each, m.fit(each)) for m in models] for each in (task, moved))
    assert one == two and not np.array_equal(task.panel.values, moved.panel.values)


def test_all_learn_from_validation_before_the_test_is_scored():
    class Seen(sales.WeekdayMean):
        """Keeps where the training part of each of its fits ended."""

        seen: tuple = ()

        def fit(self, task, part="train"):
            self.seen = (*self.seen, task.valid_start)
            return super().fit(task, part)

    question = ask("sales")
    task = question.task(sample())
    question.models = lambda task: ({"rule": Seen(8)}, {"rival": Seen(4)}, lambda seed: Seen(2))
    scores, paired, models = compare(question, task, fits=2)
    assert list(models) == ["rule", "rival", "LSTM", "joined"] and set(scores["model"]) == set(models)
    both = (task.valid_start, task.test_start)
    assert [each.seen for fits in list(models.values())[:3] for each in fits] == [both, both, both, both[1:]]
    assert [each.models for each in models["joined"]] == [[fit, models["rival"][0]] for fit in models["LSTM"]]
    known = [question.known(task, until).cutoffs("train").max() for until in ("test_from", "end")]
    assert known == [task.test_start - 1 - task.horizon, task.test_end - 1 - task.horizon]


def test_the_joined_weight_is_the_best_of_eleven():
    class Fixed:
        def __init__(self, p):
            self.p = p

        def predict(self, task, cutoffs):
            return task.target(cutoffs) * 0.0 + self.p

    question = ask("purchases")
    task = question.task(sample())
    rate = float(task.flat(task.target(task.cutoffs("valid")), "valid").mean())
    odds = [np.log(rate / (1 - rate)) + shift for shift in (0.7, -0.3)]  # 0.3 of the first is the rate itself
    low, high = (Fixed(1 / (1 + np.exp(-each))) for each in odds)
    assert question.join(task, low, high).weight == 0.3
    np.testing.assert_allclose(question.join(task, low, high).predict(task, np.array([9])), rate)


# ------------------------------------------------------------------------------------- what cannot be done


def test_a_shop_to_which_nobody_returns_gets_no_purchase_model():
    orders = sample().orders.copy()
    orders["customer_id"] = orders["order_id"]
    with pytest.raises(TooShort, match=r"of \d+ customers 0\.0% bought twice: no model"):
        own.predict_purchases(Shop(orders, sample().products))


def test_too_short_a_history_and_no_products_are_one_sentence():
    day = sample().orders["timestamp"]
    short = sample().with_tables(orders=sample().orders[day < day.min().normalize() + pd.Timedelta(days=90)])
    few = sample().with_tables(orders=sample().orders[day < day.min().normalize() + pd.Timedelta(days=45)])
    with pytest.raises(TooShort, match="45 days are too few"):
        own.forecast_sales(few)
    for question in (own.forecast_sales, own.predict_purchases, own.recommend_products):
        long = "77D" if question is own.predict_purchases else "80D"
        with pytest.raises(TooShort, match=f"leave none for training before a valid=28D and a test={long}"):
            question(short, test=long, valid="28D")
    with pytest.raises(BadValue, match="country='Mars' is not known"):
        own.forecast_sales(sample(), country="Mars")
    with pytest.raises(BadValue, match="fits=0"):
        own.forecast_sales(sample(), fits=0)


@pytest.mark.parametrize(
    ("weeks", "test", "valid"), [(9, "14D", "7D"), (30, "49D", "21D"), (60, "56D", "28D")]
)
def test_a_short_history_has_a_short_test(weeks, test, valid):
    first = pd.Timestamp("2024-01-01")
    question = Sales(**ASKED["sales"][1], test=None, valid=None, epochs=None)
    question.parts(first, first + pd.Timedelta(days=7 * weeks - 1))
    assert (question.plan["test"], question.plan["valid"]) == (test, valid)
    question = Sales(**ASKED["sales"][1], test="70D", valid=None, epochs=None)
    question.parts(first, first + pd.Timedelta(days=7 * weeks - 1))
    assert (question.plan["test"], question.plan["valid"]) == ("70D", valid)


def test_slow_series_are_forecast_by_the_week():
    orders = sample().orders
    few = orders[(orders["timestamp"].dt.day_of_year % 3 == 0)].reset_index(drop=True)
    question = Sales(**ASKED["sales"][1], test="28D", valid="28D", epochs=1)
    task = question.task(sample().with_tables(orders=few))
    assert task.season == 1 and task.horizon == 4 and question.plan["weekly"]
    assert task.panel.days[0].day_of_week == 0
    week = few["timestamp"].between(task.panel.days[3], task.panel.days[4], inclusive="left")
    np.testing.assert_allclose(task.panel.values[:, 3].sum(), few.loc[week, "revenue"].sum(), rtol=1e-5)
    made = sales.WeekdayMean(8).fit(task)
    assert any("weekly sums" in note for note in question.prepare(task, made, made))
    assert (question.table(sample(), task, made)["day"].diff().dropna().dt.days.isin([7, -21])).all()


def test_a_shop_without_products_or_categories_is_asked_what_it_can_answer():
    bare = Shop(sample().orders)
    task = ask("sales").task(bare)
    assert set(task.panel.names) <= set(bare.orders["product_id"].astype(str)) and task.n_series > 10
    question = Purchases(n_categories=30, **WEEKS)
    task = question.task(bare)
    week = task.panel["baskets"] > 0
    np.testing.assert_array_equal(task.bought[:, :, 0], week)  # who buys at all
    rule = next(iter(question.models(task)[0].values())).fit(task)
    question.plan["models"] = ["rule", "rule"]
    assert "no categories: the question is who buys at all" in question.prepare(task, rule, rule)


def test_too_many_customers_for_the_memory_get_fewer_categories_or_a_sentence(monkeypatch):
    from ecomlib.own import questions

    size = ask("purchases").task(sample()).panel.known.size
    monkeypatch.setattr(questions, "MOST_CELLS", 6 * size)
    assert len(Purchases(n_categories=20, **WEEKS).task(sample()).categories) == 6
    monkeypatch.setattr(questions, "MOST_CELLS", 3 * size)
    with pytest.raises(BadValue, match=r"\d+ customers in \d+ weeks do not fit into memory"):
        Purchases(n_categories=20, **WEEKS).task(sample())


def test_texts_and_new_values_of_the_customers_are_no_inputs():
    ids = sample().orders["customer_id"].unique()
    mail = pd.DataFrame({"customer_id": ids, "email": [f"{i}@example.org" for i in ids], "says": "long text"})
    shop = sample().with_tables(customers=mail)
    for name in ASKED:
        made, same = ask(name).task(shop), ask(name).task(sample())
        for field in ("known", "baskets", "context"):
            if hasattr(made, field):
                assert (abs(getattr(made, field) - getattr(same, field))).sum() == 0
    assert ask("purchases").task(shop).inputs(9)["weeks"].shape[-1] == 26
    more = later(sample(), 14)
    products = more.products.assign(category="a new category", department="a new department")
    products = products.assign(product_id=[f"new {i}" for i in range(len(products))]).head(1)
    orders = more.orders.assign(product_id=more.orders["product_id"].astype(object))
    orders.loc[orders.index[-3:], "product_id"] = "new 0"
    products = pd.concat([more.products.astype({"product_id": object}), products])
    more = more.with_tables(orders=orders, products=products)
    for name in ASKED:  # a saved model meets a product, a category and a department that it does not know
        assert len(answer(name).score(more))
    with pytest.raises(BadValue, match="'display' is known to the model or to this export only"):
        answer("sales").score(Shop(more.orders, more.products))


# ------------------------------------------------------------------------- levels, holidays, a yearly season


def test_the_level_is_the_finest_whose_series_sell_on_nearly_every_day(monkeypatch):
    from ecomlib.own import sales_question

    assert ask("sales").task(sample()) and answer("sales").question.plan["level"] == "department"
    monkeypatch.setattr(sales_question, "MANY", 4)
    question = ask("sales")
    question.task(sample())
    assert question.plan["level"] == "department"  # days without a sale of a category
    monkeypatch.setattr(sales_question, "FULL", 0.9)
    question = ask("sales")
    question.task(sample())
    assert question.plan["level"] == "category" and question.plan["n_series"] == 60


def test_holidays_on_which_the_shop_sells_are_open_ones():
    orders = sample().orders
    easter = orders["timestamp"].dt.normalize() == "2024-04-01"
    shop = sample().with_tables(orders=orders[~easter].reset_index(drop=True))
    question = Sales(**ASKED["sales"][1] | {"country": "DE"}, **WEEKS)
    task = question.task(shop)
    sold = question.plan["sold_on"]
    assert "Easter Monday" not in sold and "Labor Day" in sold
    names = ["quiet holiday", "open holiday"]
    known = pd.DataFrame(task.known[0], task.days, task.known_names)[names]
    assert known.loc["2024-04-01"].tolist() == [1, 0] and known.loc["2024-05-01"].tolist() == [0, 1]
    made = sales.WeekdayMean(8).fit(task)
    notes = question.prepare(task, made, made)
    assert any(
        note.startswith("holidays on which the shop sells: ") and "Labor Day" in note for note in notes
    )
    assert not any("no holidays are known" in note for note in notes)
    assert any("no holidays are known" in note for note in answer("sales").notes)
    assert any("days without stock are not seen" in note for note in answer("sales").notes)


def test_days_on_which_the_shop_never_opens_are_forecast_as_0():
    question = Sales(**ASKED["sales"][1] | {"closed_too": [(7, 30)]}, **WEEKS)
    task = question.task(sample())
    made = sales.WeekdayMean(8).fit(task)
    question.prepare(task, made, made)
    day = (
        question.table(sample(), question.known(task), made).set_index("day").loc[pd.Timestamp("2024-07-30")]
    )
    assert (day[["low", "middle", "high"]] == 0).all(axis=None)


def test_two_years_have_a_yearly_season():
    orders = sample().orders
    gap = pd.Timedelta(days=7 * 30)
    years = [
        orders.assign(timestamp=orders["timestamp"] - i * gap, order_id=orders["order_id"] + i * 10**6)
        for i in range(4)
    ]
    shop = sample().with_tables(orders=pd.concat(years, ignore_index=True))
    question = ask("sales")
    assert question.task(shop).known_names[-2:] == ["last year", "last year, all series"]
    assert "last year" not in answer("sales").question.task(sample()).known_names
    made = sales.WeekdayMean(8).fit(question.task(shop))
    assert "last year's sales are read, too" in question.prepare(question.task(shop), made, made)


@pytest.mark.parametrize("model", ["LightGBM (correction)", "ETS", "mean of 4 weeks"])
def test_no_band_crosses_or_falls_below_zero(model, monkeypatch):
    monkeypatch.setattr(sales.ETS, "forms", sales.ETS.forms[:1])  # the choice among four takes seconds
    made = answer("sales", model, n_series=3)
    question = made.question
    task = question.known(question.task(sample()))
    question.plan["band"] = np.full((2, task.n_series, 1), 30.0).tolist()  # far too wide
    low, middle, high = question.table(sample(), task, made.model)[["low", "middle", "high"]].to_numpy().T
    assert (low >= 0).all() and (low <= middle).all() and (middle <= high).all()


# ----------------------------------------------------------------------------------- new customers, new items


def test_customers_below_the_measured_history_get_the_rule():
    question = ask("purchases")
    task = question.task(sample())
    question.plan["models"] = ["joined", "smoothed frequency"]
    rule = next(iter(question.models(task)[0].values())).fit(task)

    class Other:
        """The rule for all who are known for over four weeks, nonsense for the others."""

        def predict(self, task, cutoffs):
            new = task.panel.known[:, cutoffs].T <= 4
            return np.where(new[..., None], 0.999, rule.predict(task, cutoffs) * 0.999)

    known, worse = np.array([1, 2, 4, 8, 20]), np.array([1.0, 1.0, 1.0, -9.0, -9.0])
    assert question.with_rule(known, worse, 1, rule, "weeks known")[0].startswith(
        "customers with weeks known up to 4"
    )
    assert question.by_rule(known).tolist() == [True, True, True, False, False]
    assert question.with_rule(known, -worse, 1, rule, "weeks known")  # 8 and 20 weeks alone decide nothing
    assert question.with_rule(known, -np.abs(worse), 1, rule, "") == [] and not question.by_rule(known).any()
    question.with_rule(known, worse, 1, rule, "weeks known")
    whole = question.known(task)
    table = question.table(sample(), whole, Other())
    of = dict(zip(task.panel.customers, task.panel.known[:, -1], strict=True))
    by_rule = table["customer_id"].map(of) <= 4
    assert (table["model"] == np.where(by_rule, "smoothed frequency", "joined")).all()
    assert (table["probability"] < 0.999).all() and "joined" in set(table["model"])


def test_what_the_model_has_not_seen_is_counted(capsys):
    table = answer("purchases", "smoothed frequency").score(later(sample(), 14))
    said = table.attrs["notes"]
    assert len(said) == 1 and said[0].startswith("since 2024-07-29 there are new customers: 1, in ")
    assert said[0] in capsys.readouterr().out
    assert answer("purchases", "smoothed frequency").score(sample()).attrs["notes"] == []


def test_the_measured_limit_is_named_where_the_shop_is_smaller(monkeypatch):
    from ecomlib.own import answer as module

    rows = [("sales", 20, 0.9), ("sales", 50, 1.1), ("sales", 500, 0.9), ("sales", 1000, 0.8)]  # 20: lucky
    rows += [("purchases", 10, 0.9)]
    table = pd.DataFrame(rows, columns=["use", "n_customers", "high"])
    table = table.assign(model="joined / rule", value=0.7, low=0.6, weeks=52)
    monkeypatch.setattr(module, "read_benchmark", lambda name: table)
    question = ask("sales")
    assert "from 500 of them in 52 weeks on (0.700 [0.600, 0.900]" in module.too_small(question, 60)
    assert module.too_small(question, 500) == "" == module.too_small(ask("new"), 5)


# --------------------------------------------------------------------------------------------- the profile


def test_the_profile_sees_closed_days_a_broken_last_day_and_a_strange_clock():
    days = pd.date_range("2024-01-01", periods=70)
    days = days[days.day_of_week < 6]
    when = pd.Series([day + pd.Timedelta(hours=h) for day in days for h in (9, 12, 18)])
    assert closed_weekdays(when) == ["Sun"]
    year = pd.Series(pd.date_range("2024-01-01", periods=210))
    fair = year[(year.dt.day_of_week < 6) | (year == pd.Timestamp("2024-02-04"))]  # one Sunday of 30
    assert closed_weekdays(fair) == ["Sun"] and closed_weekdays(year) == []
    assert last_whole_day(when) == days[-1]
    assert last_whole_day(when[:-1]) == days[-2]
    assert last_whole_day(when.dt.normalize()) == days[-1]  # dates without a clock
    orders = pd.DataFrame({"customer_id": 1, "order_id": range(len(when)), "product_id": "tea"})
    orders["timestamp"] = when - pd.Timedelta(hours=9)
    shop = Shop(orders.assign(quantity=1, revenue=2.0, discount=0.0))
    facts = profile(shop)
    assert facts["closed on"] == "Sun" and "is the clock UTC?" in facts["sold from midnight to six"]
    assert facts["open days without a sale"] == "0 of 60" and "100.0% bought twice" in facts["customers"]


def test_the_profile_asks_about_days_on_which_no_year_has_a_sale():
    days = pd.Series(pd.date_range("2021-12-31", "2023-12-31"))
    shut = days.dt.strftime("%m-%d").isin(["12-25", "01-01"]) | (days == "2023-05-09")  # open in May 2022
    orders = pd.DataFrame({"timestamp": days[~shut] + pd.Timedelta(hours=9), "product_id": "tea"})
    orders = orders.assign(customer_id=1, order_id=orders.index, quantity=1, revenue=2.0, discount=0.0)
    said = "; no year has one on 01-01, 12-25: never open then? Say --closed 01-01 12-25"

    def told(some):
        return profile(Shop(orders[some].reset_index(drop=True)))["open days without a sale"]

    when = orders["timestamp"]
    assert told(when > "2000") == "5 of 731" + said
    assert told(when < "2023") == "2 of 366" + said
    assert told((when < "2023") & (when.dt.month != 7)) == "33 of 366"  # one year does not tell a break
    assert told(when.dt.day_of_year % 9 > 0).endswith("of 731")  # 41 days of both years: chance, too


@pytest.mark.slow
@pytest.mark.parametrize("name", ["forecast_sales", "predict_purchases", "recommend_products"])
def test_a_question_from_the_export_to_the_files(name, tmp_path, capsys):
    extra = {"n_categories": 3} if name == "predict_purchases" else {}
    with eagerly():
        made = getattr(own, name)(sample(), **WEEKS, fits=2, **extra)
    assert set(made.scores["model"]) >= {"LSTM", "joined"} and len(made.paired) == 5
    assert made.chosen in made.advice and made.advice.startswith("Use ")
    assert "LSTM, fit 2 of 2" in capsys.readouterr().out and not made.question.made
    made.save(tmp_path)
    loaded = own.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.score(sample()), made.table, check_exact=True)
    assert str(loaded) == str(made)
