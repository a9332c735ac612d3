"""Three functions for a shop of your own: what is good enough for it, and the answer after its last day.

Every choice is made on validation; the test weeks are scored once, by models that learned from the training
part only. The network, its joined forecast or another rival is advised only where the paired 95 % interval
(units, weeks and fits drawn) excludes the tie with the simple one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecomlib.bootstrap import interval
from ecomlib.own.profile import profile
from ecomlib.own.questions import Models, Purchases, Recommend, Sales
from ecomlib.own.saved import read, save, wake
from ecomlib.results import Scores, score_fits, score_table
from ecomlib.shop import BadValue, Shop

N_DRAWS = 1000
JOINED = "joined"


@dataclass
class Answer:
    """What one of the three functions found; `print` shows the verdict, `table` is the answer.

    Attributes
    ----------
    question : Question
        With its plan: settings, dates, names.
    scores : DataFrame
        model, metric, value, low, high on the test part, from simple to complex.
    paired : DataFrame
        metric, first, second, ratio, low, high, verdict ("better", "level", "worse") of the first.
    advice, chosen : str
        One sentence; the model that made `table`.
    notes : list of str
        What to know of the data and the answer.
    model
        The chosen model, fitted on all days.
    table : DataFrame
        The answer for what comes after the last day.
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

        Raises
        ------
        BadValue
            Where the export does not hold the days that the model knows, or changes their names.
        """
        task = self.question.whole(self.question.task(shop))
        wake(self.model, task)
        return self.question.table(shop, task, self.model)

    def save(self, folder: str | Path) -> None:
        """Write the answer and its model into a folder; see `ecomlib.own.load`."""
        save(self, folder)

    def __str__(self) -> str:
        return "\n".join(
            [self.advice, *(f"- {note}" for note in self.notes), self.paired.to_string(index=False)]
        )


def load(folder: str | Path) -> Answer:
    """Read what `Answer.save` wrote; `load(folder).score(shop)` answers for a new export."""
    return Answer(**read(folder))


def forecast_sales(
    shop: Shop,
    level: str | None = None,
    n_series: int | None = None,
    horizon: int | None = None,
    country: str | None = None,
    test: str = "56D",
    valid: str = "28D",
    fits: int = 2,
    epochs: int | None = None,
) -> Answer:
    """Forecast every series' sales after the last whole day, with a band of 80 %.

    Weekdays without sales are taken as closed. Where most days have no sale, weekly sums are forecast.

    Parameters
    ----------
    shop : Shop
    level : column of `shop.products`, optional
        Default: the department, or the category where there is one department only.
    n_series, horizon : int, optional
        How many series (see `sales.task`); days, or weeks of a slow shop, ahead: default 7 days or 4 weeks.
    country : str, optional
        Whose public holidays are known ahead, such as "DE".
    test, valid : duration
        The last part of the data, and the part before it.
    fits : int
        Networks that are trained for the test; the first one's settings make the answer.
    epochs : int, optional
        Default: those of the course.

    Raises
    ------
    ShopError
        One line: what cannot be done with these data and why.
    """
    plan = {"level": level, "n_series": n_series, "horizon": horizon, "country": country}
    return _answer(Sales(**plan, test=test, valid=valid, epochs=epochs), shop, fits)


def predict_purchases(
    shop: Shop,
    n_categories: int = 30,
    test: str = "56D",
    valid: str = "28D",
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
    test: str = "56D",
    valid: str = "28D",
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
    """Choose on validation, score the test once, advise, fit the advised model on everything, answer."""
    if fits < 1:
        raise BadValue(f"fits={fits}: at least one network has to be trained.")
    task = question.task(shop)
    simple, rivals, network = question.models(task)
    rule, first = _best(question, task, simple)
    rival, second = _best(question, task, rivals)
    networks = [_fit(question, task, f"LSTM, fit {i + 1} of {fits}", network(i)) for i in range(fits)]
    joined = [question.join(task, each, second) for each in networks]
    models = {rule: [first], rival: [second], "LSTM": networks, JOINED: joined}
    forecasts = {name: [question.forecast(task, model, "test") for model in m] for name, m in models.items()}
    with np.errstate(divide="ignore", invalid="ignore"):  # a ratio to a recall of 0 excludes no tie
        found = score_fits(lambda each: question.draws(task, each, "test", N_DRAWS), forecasts)
        scores = score_table(found, question.headline, question.smaller_is_better)
        pairs = [("LSTM", rule), (JOINED, rule), (rival, rule), ("LSTM", rival), (JOINED, rival)]
        paired = pd.DataFrame([_pair(question, found, *pair) for pair in pairs])
    chosen, advice = _advise(question, paired, rule, rival)
    notes = [f"{name}: {fact}" for name, fact in profile(shop).items()]
    notes += [f"level: {question.plan['level']}"] * ("level" in question.plan)
    notes += getattr(shop.report, "notes", [])
    model = models[chosen][0]
    notes += question.prepare(task, model)
    question.made.clear()
    whole = question.whole(task)
    _fit(question, whole, f"{chosen}, on all days", model)
    return Answer(question, scores, paired, advice, chosen, notes, model, question.table(shop, whole, model))


def _fit(question: Any, task: Any, name: str, model: Any) -> Any:
    print(f"{question.title}: fitting {name}", flush=True)
    return model.fit(task)


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
    tried = ("LSTM", rival) if alone else (JOINED, "LSTM", rival)
    better = [name for name in tried if rows[name, rule].verdict == "better"]
    if not better:
        no = f"the LSTM is not better ({says('LSTM', rule)}), joined neither, nor {rival}"
        return rule, f"Use {rule}: {no}."
    chosen = better[0]
    more = f"the LSTM is not better than {rule}, nor is it joined"
    if chosen != rival:
        level = {"better": "worse", "level": "level with it", "worse": "better"}[rows[chosen, rival].verdict]
        more = f"{rival} alone is {level} ({says(chosen, rival)})"
    return chosen, f"Use {chosen}: {says(chosen, rule)}; {more}."
