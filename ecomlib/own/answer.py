"""Three functions for a shop of your own: what is good enough for it, and the answer after its last day.

Every choice is made on validation, by models that learned from the training part. Then all learn from both
parts, and the test weeks are scored once. The network, its joined forecast or another rival is advised only
where the paired 95 % interval (units, weeks and fits drawn) excludes the tie with the simple one.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow import default_memory_pool

from ecomlib.bootstrap import interval
from ecomlib.own.profile import profile
from ecomlib.own.questions import Models, Purchases, Recommend
from ecomlib.own.sales_question import Sales
from ecomlib.own.saved import read, save, wake
from ecomlib.results import Scores, read_benchmark, score_fits, score_table
from ecomlib.shop import BadValue, Shop
from ecomlib.shop.shop import members

N_DRAWS = 1000
LSTM, JOINED = "LSTM", "joined"


@dataclass
class Answer:
    """What one of the three functions found; `print` shows the verdict.

    Attributes
    ----------
    question : Sales, Purchases or Recommend
        Its `plan` has settings, dates and names.
    scores, paired : DataFrame
        Of the test part: model, metric, value, low, high, from simple to complex; and metric, first, second,
        ratio, low, high and the verdict of the first: "better", "level", "worse".
    advice, chosen : str
        What to use, in one sentence; the name of the model that made `table`.
    notes : list of str
        What to know of data and answer.
    model : a fitted model
        It knows all days.
    table : DataFrame
        The answer, for what comes after the last day.
    """

    question: Any
    scores: pd.DataFrame
    paired: pd.DataFrame
    advice: str
    chosen: str
    notes: list[str]
    model: Any
    table: pd.DataFrame

    def score(self, shop: Shop) -> pd.DataFrame:
        """The table for a later export that begins on the same day; nothing is trained.

        What the model has not seen, such as new customers, is printed, and kept in `table.attrs["notes"]`.

        Raises
        ------
        BadValue
            Where the export does not hold the days that the model knows, or changes their names.
        """
        task = self.question.known(self.question.task(shop))
        wake(self.model, task)
        table = self.question.table(shop, task, self.model)
        table.attrs["notes"] = self.question.unknown(shop)
        for note in table.attrs["notes"]:
            print(note)
        return table

    def save(self, folder: str | Path) -> None:
        """Write the answer and its model into a folder; see `ecomlib.own.load`."""
        save(self, folder)

    def __str__(self) -> str:
        notes = (f"- {note}" for note in self.notes)
        return "\n".join([self.advice, *notes, self.paired.to_string(index=False)])


def load(folder: str | Path) -> Answer:
    """Read what `Answer.save` wrote; `load(folder).score(shop)` answers for a new export."""
    return Answer(**read(folder))


def forecast_sales(
    shop: Shop,
    level: str | None = None,
    n_series: int | None = None,
    horizon: int | None = None,
    country: str | None = None,
    closed: Iterable = (),
    test: str | None = None,
    valid: str | None = None,
    fits: int = 2,
    epochs: int | None = None,
) -> Answer:
    """Forecast every series' sales after the last whole day, with a band of 80 %.

    Weekdays without sales are taken as closed. Where most days have no sale, weekly sums are forecast.

    Parameters
    ----------
    shop : Shop
    level : column of `shop.products`, optional
        Default: the category where 20 or more sell on nearly every day; else the department or the category,
        whichever first has two, else the product.
    n_series, horizon : int, optional
        How many series (see `sales.task`); days, or weeks of a slow shop, ahead: default 7 days or 4 weeks.
    country : str, optional
        Whose public holidays are known ahead, such as "DE".
    closed : items, each a weekday, a (month, day), a date
        Days besides on which the shop never opens, such as (12, 25).
    test, valid : duration, optional
        The last part of the data, and the part before it: eight and four weeks, less in a short history.
    fits : int
        Networks that are trained for the test; the first one's settings make the answer.
    epochs : int, optional
        Default: those of the course.

    Raises
    ------
    ShopError
        One line: what cannot be done with these data and why.
    """
    plan = {"level": level, "n_series": n_series, "horizon": horizon}
    more: dict[str, Any] = {"country": country, "closed_too": list(closed)}
    return _answer(Sales(**plan, **more, test=test, valid=valid, epochs=epochs), shop, fits)


def predict_purchases(
    shop: Shop,
    n_categories: int = 30,
    test: str | None = None,
    valid: str | None = None,
    fits: int = 2,
    epochs: int | None = None,
) -> Answer:
    """How likely every customer is to buy of every category in the week after the last whole one.

    Arguments as in `forecast_sales`; `n_categories` is the most that are asked about.
    """
    return _answer(Purchases(n_categories=n_categories, test=test, valid=valid, epochs=epochs), shop, fits)


def recommend_products(
    shop: Shop,
    level: str | None = None,
    question: str = "discovery",
    k: int = 10,
    min_count: int = 5,
    test: str | None = None,
    valid: str | None = None,
    fits: int = 2,
    epochs: int | None = None,
) -> Answer:
    """The `k` products to show every customer on the next visit, with a reason for each.

    `question` is "discovery" (only what is new to the customer) or "whole" (the next basket); `level` and
    `min_count` as in `recommend.task`, default the product type where the products have one, else the
    product; the other arguments as in `forecast_sales`.
    """
    plan = {"level": level, "question": question, "k": k, "min_count": min_count}
    return _answer(Recommend(**plan, test=test, valid=valid, epochs=epochs), shop, fits)


def _answer(question: Any, shop: Shop, fits: int) -> Answer:
    """Compare, advise, fit the advised model on everything, answer for what comes after the last day."""
    task = question.task(shop)
    default_memory_pool().release_unused()  # what the texts of a million lines took: 0.3 GB
    scores, paired, models = compare(question, task, fits)
    rule, rival = (name for name in models if name not in (LSTM, JOINED))
    chosen, advice = _advise(question, paired, rule, rival)
    if chosen not in (LSTM, JOINED):
        advice += too_small(question, members(shop.orders)["customer_id"].nunique())
    notes = [f"{name}: {fact}" for name, fact in profile(shop).items()]
    notes += getattr(shop.report, "notes", [])
    model, first = models[chosen][0], models[rule][0]
    question.plan["models"] = [chosen, rule]
    notes += question.prepare(task, model, first)
    question.made.clear()
    whole = question.known(task)
    parts = model.models if chosen == JOINED else [model]
    _together(
        lambda: [each.fit(whole) for each in (*parts[1:], first) if each is not model],
        lambda: _fit(question, whole, f"{chosen}, on all days", parts[0]),
    )
    return Answer(question, scores, paired, advice, chosen, notes, model, question.table(shop, whole, model))


def compare(question: Any, task: Any, fits: int) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, list[Any]]]:
    """Choose on validation, then score the test once.

    Returns `scores` and `paired` as in `Answer`, and the models: rule, rival, LSTM and joined, name -> its
    fits on all weeks before the test.
    """
    if fits < 1:
        raise BadValue(f"fits={fits}: at least one network has to be trained.")
    simple, rivals, network = question.models(task)
    one = network(0)
    (rule, first), (rival, second) = _together(
        lambda: [_best(question, task, models) for models in (simple, rivals)],
        lambda: _fit(question, task, "LSTM, to choose by", one),
    )
    joined = question.join(task, one, second)
    for each in (first, second, one, joined):
        question.forecast(task, each, "valid")  # kept: the band is made from it
    # Everything is chosen. Before the test is scored, all learn from the validation weeks, too.
    known = question.known(task, "test_from")
    networks = [one, *(network(i) for i in range(1, fits))]
    _together(
        lambda: (first.fit(known), second.fit(known)),
        lambda: [_fit(question, known, f"LSTM, fit {i + 1} of {fits}", n) for i, n in enumerate(networks)],
    )
    both = [joined, *(copy(joined) for _ in networks[1:])]
    for each, fitted in zip(both, networks, strict=True):
        each.models = [fitted, *joined.models[1:]]
    models = {rule: [first], rival: [second], LSTM: networks, JOINED: both}
    forecasts = {name: [question.forecast(task, model, "test") for model in m] for name, m in models.items()}
    with np.errstate(divide="ignore", invalid="ignore"):  # a ratio to a recall of 0 excludes no tie
        found = score_fits(lambda each: question.draws(task, each, "test", N_DRAWS), forecasts)
        scores = score_table(found, question.headline, question.smaller_is_better)
        pairs = [(LSTM, rule), (JOINED, rule), (rival, rule), (LSTM, rival), (JOINED, rival)]
        paired = pd.DataFrame([_pair(question, found, *pair) for pair in pairs])
    return scores, paired, models


def too_small(question: Any, n_customers: int) -> str:
    """What was measured on the course's shop, cut to fewer customers, where that says more than here."""
    try:
        table = read_benchmark("own_limits").sort_values(["weeks", "n_customers"], ascending=False)
    except FileNotFoundError:  # outside the course
        return ""
    table = table[(table["use"] == question.title) & (table["model"] == "joined / rule")]
    better = (table["high"] < 1 if question.smaller_is_better else table["low"] > 1).cummin()
    row = table[better].tail(1).squeeze(axis=0)  # the smallest one that is better with all larger ones
    if not better.any() or n_customers >= row["n_customers"]:
        return ""
    spread = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    return (
        f" In the course's shop, cut to fewer customers, joined was better from {row['n_customers']:,.0f} of "
        f"them in {row['weeks']:.0f} weeks on ({spread}, own_limits.csv); here are {n_customers:,}."
    )


def _fit(question: Any, task: Any, name: str, model: Any) -> Any:
    print(f"{question.title}: fitting {name}", flush=True)
    return model.fit(task)


def _together(beside: Callable[[], Any], network: Callable[[], Any]) -> Any:
    """Fit a network, and beside it in a thread what needs no Keras; returns what the thread found."""
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(beside)
        network()
        return found.result()


def _best(question: Any, task: Any, models: Models) -> tuple[str, Any]:
    """Fit some models; the one with the best headline on validation, and its name."""
    values = {name: question.value(task, _fit(question, task, name, each)) for name, each in models.items()}
    best = min(values, key=lambda name: values[name])
    return best, models[best]


def _pair(question: Any, found: dict[str, Scores], first: str, second: str) -> dict[str, Any]:
    """One row of `Answer.paired`."""
    ratio, low, high = interval(found[first][question.headline] / found[second][question.headline])
    below, above = ("better", "worse") if question.smaller_is_better else ("worse", "better")
    verdict = below if high < 1 else above if low > 1 else "level"
    names = {"metric": question.headline, "first": first, "second": second}
    return names | {"ratio": ratio, "low": low, "high": high, "verdict": verdict}


def _advise(question: Any, paired: pd.DataFrame, rule: str, rival: str) -> tuple[str, str]:
    """The model to use, and the sentence that says so: joined, network or rival only if better."""
    rows = {(row.first, row.second): row for row in paired.itertuples()}

    def says(first: str, second: str) -> str:
        row: Any = rows[first, second]
        return f"{question.headline} {row.ratio:.3f} [{row.low:.3f}, {row.high:.3f}] times that of {second}"

    alone = rows[JOINED, rival].low == rows[JOINED, rival].high  # joined without the network is the rival
    tried = (LSTM, rival) if alone else (JOINED, LSTM, rival)
    better = [name for name in tried if rows[name, rule].verdict == "better"]
    if not better:
        no = f"the LSTM is not better ({says(LSTM, rule)}), joined neither, nor {rival}"
        return rule, f"Use {rule}: {no}."
    chosen = better[0]
    more = f"the LSTM is not better than {rule}, nor is it joined"
    if chosen != rival:
        level = {"better": "worse", "level": "level with it", "worse": "better"}[rows[chosen, rival].verdict]
        more = f"{rival} alone is {level} ({chosen}: {says(chosen, rival)})"
    return chosen, f"Use {chosen}: {says(chosen, rule)}; {more}."
