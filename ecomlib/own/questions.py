"""The three questions, each with the same five parts: its task, its models, their score, the answer's table.

A question's `plan` holds what a saved answer needs to build the same task from a new export. Every task is
made of the days that the plan names, so that scales and vocabularies are those of the first one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from holidays import country_holidays, list_supported_countries

from ecomlib import purchases, recommend, sales
from ecomlib.own.profile import closed_weekdays, last_whole_day
from ecomlib.panels import Panel, daily_panel, weekly_panel
from ecomlib.recommend.baselines import cosine_neighbours
from ecomlib.recommend.history import history, sequence_counts
from ecomlib.recommend.task import TRAIN
from ecomlib.shop import BadValue, Shop, TooShort
from ecomlib.shop.shop import members
from ecomlib.split import DAY, Split

Models = dict[str, Any]  # name -> model, from simple to complex
SLOW = 0.5  # of the open days without a sale: such series are forecast by the week
BUY_AGAIN = 0.05  # of the customers: with fewer, no model of repeated purchases
MOST_ITEMS = 5000  # for EASE, whose matrix has this number squared


@dataclass
class Joined:
    """Two models' forecasts in one: `weight` of the first; with `odds` they are joined as log-odds."""

    models: list[Any]
    weight: float = 0.5
    odds: bool = False

    def fit(self, task: Any, part: str = "train") -> "Joined":
        """Fit both."""
        for model in self.models:
            model.fit(task, part)
        return self

    def predict(self, task: Any, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast of the shape that both have."""
        return self.mix(*(model.predict(task, cutoffs) for model in self.models))

    def mix(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Join two forecasts; quantiles that do not cross still do not."""
        if not self.odds:
            return self.weight * first + (1 - self.weight) * second
        a, b = (np.log(p / (1 - p)) for p in (np.clip(each, 1e-6, 1 - 1e-6) for each in (first, second)))
        return 1 / (1 + np.exp(-(self.weight * a + (1 - self.weight) * b)))


class Question:
    """What the three questions share; `plan` holds settings, and after the first task its dates and names.

    Each has `task(shop)`; `whole(task)`, whose training part is all that the first export knew;
    `models(task)`, simple baselines, other rivals, and the network of a seed; `draws`; and `table(shop, task,
    model)`, the answer for what comes after the last day.
    """

    title: ClassVar[str]
    headline: ClassVar[str]
    smaller_is_better: ClassVar[bool] = True
    draws: ClassVar[Callable[..., dict[str, np.ndarray]]]

    def __init__(self, **plan: Any):
        self.plan = plan
        self.made: dict[tuple, np.ndarray] = {}

    def forecast(self, task: Any, model: Any, part: str) -> np.ndarray:
        """The forecast of a part, kept until `made` is cleared: some rivals take a minute for each."""
        if isinstance(model, Joined):
            return model.mix(*(self.forecast(task, each, part) for each in model.models))
        if (id(model), part) not in self.made:
            self.made[id(model), part] = model.predict(task, task.cutoffs(part))
        return self.made[id(model), part]

    def split(self, first: pd.Timestamp, last: pd.Timestamp) -> Split:
        """The split of data from `first` to `last`; later ones keep the days of the first one.

        Raises
        ------
        BadValue
            Where a new export does not reach over all days of the first one.
        """
        if "end" not in self.plan:
            dates = Split.last(self.plan["test"], self.plan["valid"]).dates(last)
            if dates.valid <= first:
                raise TooShort(
                    f"{self.title}: {(last - first).days + 1} days leave none for training before a "
                    f"valid={self.plan['valid']} and a test={self.plan['test']}; shorten them."
                )
            days = {"first": first, "valid_from": dates.valid, "test_from": dates.test, "end": dates.end}
            self.plan |= {name: str(day.date()) for name, day in days.items()}
        known = {name: pd.Timestamp(self.plan[name]) for name in ("first", "valid_from", "test_from", "end")}
        if first != known["first"] or last + DAY < known["end"]:
            raise BadValue(
                f"the export goes from {first.date()} to {last.date()}; the model knows the days from "
                f"{self.plan['first']} to {(known['end'] - DAY).date()}: export from the first of them on."
            )
        return Split(last + DAY - known["test_from"], known["test_from"] - known["valid_from"])

    def check_names(self, names: list[str]) -> None:
        """Keep the names of series, categories or items; refuse an export whose old orders give others."""
        if names != self.plan.setdefault("names", names):
            other = sorted(set(names) ^ set(self.plan["names"])) or ["their order"]
            raise BadValue(
                f"{self.title}: the orders before {self.plan['valid_from']} were changed since the model was "
                f"made, and with them {other[0]!r}: ask the shop again."
            )

    def value(self, task: Any, model: Any) -> float:
        """The headline on validation, smaller is better: what every choice is made by."""
        sign = 1 if self.smaller_is_better else -1
        return sign * float(
            self.draws(task, self.forecast(task, model, "valid"), "valid", 1)[self.headline][0]
        )

    def join(self, task: Any, network: Any, rival: Any) -> Any:
        """The network with the rival; the weight is chosen on validation."""
        both = Joined([network, rival], odds=self.headline == "log-loss")
        tries = [replace(both, weight=i / 10) for i in range(11)]
        return min(tries, key=lambda each: self.value(task, each))

    def prepare(self, task: Any, model: Any) -> list[str]:
        """Keep what the table needs of the validation part; notes on it."""
        return []


class Sales(Question):
    """What every series will sell on each of the next days, or weeks where most days have no sale."""

    title, headline = "sales", "WAPE"
    draws = staticmethod(sales.draws)

    def task(self, shop: Shop) -> sales.SalesTask:
        """Daily series of a level of the products, or weekly ones, up to the last whole day."""
        plan, when = self.plan, shop.orders["timestamp"]
        last = last_whole_day(when)
        shop = shop.with_tables(orders=shop.orders[when < last + DAY])
        plan["level"] = plan["level"] or self._level(shop)
        level, n_series = plan["level"], plan["n_series"]
        closed = plan.setdefault("closed", closed_weekdays(when))
        name = shop.products.set_index("product_id")[level].astype(str)  # type: ignore[union-attr]
        key = pd.Series(name.reindex(shop.orders["product_id"]).to_numpy())
        daily = daily_panel(when[when < last + DAY], key, shop.orders["revenue"])
        if "weekly" not in plan:
            largest = daily.values[np.argsort(-daily.values.sum(axis=1))[: n_series or 12]]
            empty = (largest == 0).mean() - len(closed) / 7
            plan["weekly"] = bool(empty > SLOW * (1 - len(closed) / 7))
            plan["horizon"] = plan["horizon"] or (4 if plan["weekly"] else 7)
        if plan["weekly"]:
            weeks = _weeks(daily)
            split = self.split(weeks.days[0], weeks.days[-1] + 6 * DAY)
            task = sales.task(weeks, split, n_series=n_series or 12, lookback=8, horizon=plan["horizon"])
        else:
            split = self.split(daily.days[0], last)
            sizes = {"n_series": n_series, "horizon": plan["horizon"], "closed": tuple(closed)}
            if plan["country"] not in (None, *list_supported_countries()):
                raise BadValue(
                    f"country={plan['country']!r} is not known; say it with two letters, as in 'DE'."
                )
            calendar = country_holidays(plan["country"]) if plan["country"] else None
            task = sales.task(shop, split, level, holidays=calendar, **sizes)
        self.check_names(task.panel.names)
        return task

    @staticmethod
    def _level(shop: Shop) -> str:
        if shop.products is None:
            raise BadValue("sales need a products table with a department or category; give one to the shop.")
        sizes = {name: shop.products[name].nunique() for name in ("department", "category")}
        return "category" if sizes["department"] < 2 <= sizes["category"] else "department"

    def whole(self, task: sales.SalesTask) -> sales.SalesTask:
        """The task whose training part is all that the first export knew."""
        end = int(task.panel.days.searchsorted(pd.Timestamp(self.plan["end"])))
        return replace(task, valid_start=end, test_start=end, test_end=end)

    def models(self, task: sales.SalesTask) -> tuple[Models, Models, Callable[[int], Any]]:
        """Means of weeks; LightGBM and ETS; the mean of three LSTMs."""
        simple = {f"mean of {weeks} weeks": sales.WeekdayMean(weeks) for weeks in (8, 4)}
        rivals = {"LightGBM": sales.LightGBM(), "LightGBM (correction)": sales.LightGBM(correct=True)}
        epochs = self.plan["epochs"] or 10
        return simple, rivals | {"ETS": sales.ETS()}, lambda seed: sales.SalesLSTM(seed, epochs=epochs)

    def prepare(self, task: sales.SalesTask, model: Any) -> list[str]:
        """Keep the band's factors of validation, for thirds of the series by size; say what they do."""
        valid = task.cutoffs("valid")
        thirds = np.arange(task.n_series) * 3 // task.n_series  # series stand by size
        forecast, scored = (self.forecast(task, model, part) for part in ("valid", "test"))
        step = "weeks" if self.plan["weekly"] else "days"
        notes = ["most days have no sale: the forecast is of weekly sums"] * self.plan["weekly"]
        bias = sales.draws(task, scored, n=1)["bias"][0]
        notes += ["no holidays are known: say country='DE', for example"] * (self.plan["country"] is None)
        notes += [f"the forecast's sum was {bias:+.1%} off in the test", "days without stock are not known"]
        self.plan["band"] = None
        try:
            factors = sales.calibrate_band(task.actual(valid), forecast, task.is_open(valid), thirds)
        except BadValue as error:
            return [*notes, f"no band: {error}"]
        self.plan["band"] = factors.tolist()
        band = sales.conformal_band(scored, factors)
        held = sales.draws(task, band, n=1)["coverage"][0]
        return [*notes, f"the band of 80 % held {held:.0%} of the test's {step}"]

    def table(self, shop: Shop, task: sales.SalesTask, model: Any) -> pd.DataFrame:
        """Columns series, day (or a week's first), low, middle, high; a refused band is empty."""
        forecast = model.predict(task, task.cutoffs("next"))[0]
        if self.plan["band"] is None:
            forecast[..., [0, 2]] = np.nan
        else:
            forecast = np.sort(sales.conformal_band(forecast, np.array(self.plan["band"])), axis=-1)
        days = np.tile(task.days[-task.horizon :], task.n_series)
        table = pd.DataFrame({"series": np.repeat(task.panel.names, task.horizon), "day": days})
        table[["low", "middle", "high"]] = forecast.reshape(-1, 3)
        return table


def _weeks(panel: Panel) -> Panel:
    """Sums of whole weeks from Monday to Sunday."""
    first = -panel.days[0].day_of_week % 7
    n_weeks = (len(panel.days) - first) // 7
    if n_weeks < 1:
        raise TooShort(f"sales: {len(panel.days)} days hold no whole week; give a longer history.")
    inside = slice(first, first + 7 * n_weeks)
    sums = panel.values[:, inside].reshape(len(panel.names), n_weeks, 7).sum(axis=2)
    return Panel(sums, panel.names, panel.days[inside][::7])


class Purchases(Question):
    """How likely every customer is to buy of every category in the next week."""

    title, headline = "purchases", "log-loss"

    def task(self, shop: Shop) -> purchases.PurchaseTask:
        """Weeks of all customers and of the categories bought most; at most `n_categories` of them."""
        orders = members(shop.orders)
        weeks = weekly_panel(shop.orders).weeks
        split = self.split(weeks[0], weeks[-1] + 6 * DAY)
        train = orders[orders["timestamp"] < pd.Timestamp(self.plan["valid_from"])]
        each = train.groupby("customer_id")["order_id"].nunique()
        if len(each) and (again := (each > 1).mean()) < BUY_AGAIN:
            raise TooShort(f"purchases: of {len(each):,} customers {again:.1%} bought twice: no model.")
        if "names" not in self.plan and shop.products is not None:
            held = shop.products.set_index("product_id")["category"].astype(str)
            sold = held.reindex(train.loc[train["timestamp"] >= weeks[0], "product_id"])
            self.plan["n_categories"] = min(self.plan["n_categories"], sold[sold != "UNKNOWN"].nunique())
        task = purchases.task(shop, split, self.plan["n_categories"])
        self.check_names(task.categories)
        return task

    def whole(self, task: purchases.PurchaseTask) -> purchases.PurchaseTask:
        """The task whose training part is all that the first export knew."""
        end = int(task.panel.weeks.searchsorted(pd.Timestamp(self.plan["end"])))
        return replace(
            task, parts={"train": np.arange(end - 1), "next": np.array([len(task.panel.weeks) - 1])}
        )

    def models(self, task: purchases.PurchaseTask) -> tuple[Models, Models, Callable[[int], Any]]:
        """Own frequency with the settings chosen on validation; two learners; the shared LSTM."""
        best = purchases.tune_frequency(task, (6, 12, 26), (1, 3, 9))
        rivals = {"logistic regression": purchases.Logistic(), "LightGBM": purchases.LightGBM()}
        epochs = self.plan["epochs"] or 4
        simple = {"own frequency": purchases.WeightedFrequency(*best)}
        return simple, rivals, lambda seed: purchases.PurchaseLSTM(seed, epochs=epochs)

    @staticmethod
    def draws(
        task: purchases.PurchaseTask, forecast: np.ndarray, part: str = "test", n: int = 1000
    ) -> dict[str, np.ndarray]:
        """See `purchases.draws`; the scores of ranking, which take minutes, are left out."""
        found = purchases.draws(task, forecast, part, n, n_ranked=0)
        return {metric: values for metric, values in found.items() if len(values) == 1 + n}

    def table(self, shop: Shop, task: purchases.PurchaseTask, model: Any) -> pd.DataFrame:
        """Columns customer_id, category, week (its Monday), probability; the likeliest first."""
        k = len(task.categories)
        table = pd.DataFrame({"customer_id": np.repeat(task.panel.customers, k)})
        table["category"] = np.tile(task.categories, len(task.panel.customers))
        table["week"] = task.panel.weeks[-1] + 7 * DAY
        table["probability"] = np.ravel(model.predict(task, task.cutoffs("next"))[0])
        return table.sort_values("probability", ascending=False, kind="stable", ignore_index=True)


class Recommend(Question):
    """Which products come next for every customer: what is new to them, or the whole basket."""

    title, headline, smaller_is_better = "recommendation", "recall@10", False
    draws = staticmethod(recommend.draws)

    def task(self, shop: Shop) -> recommend.SequenceTask:
        """Trips of all customers; items are product types where the shop has them, else products."""
        plan, when = self.plan, shop.orders["timestamp"]
        has_types = shop.products is not None and "product_type" in shop.products
        plan["level"] = plan["level"] or ("product_type" if has_types else "product_id")
        split = self.split(when.min().normalize(), when.max().normalize())
        task = recommend.task(shop, split, plan["level"], plan["min_count"]).ask(plan["question"])
        self.check_names(task.items["item"].astype(str).tolist())
        return task

    def whole(self, task: recommend.SequenceTask) -> recommend.SequenceTask:
        """The task whose training part is all that the first export knew."""
        monday = pd.Timestamp(self.plan["first"])
        last = (pd.Timestamp(self.plan["end"]) - (monday - monday.day_of_week * DAY)).days
        return replace(task, part=np.where(task.day < last, TRAIN, 0).astype(np.int8))

    def models(self, task: recommend.SequenceTask) -> tuple[Models, Models, Callable[[int], Any]]:
        """What sells, or what the customer bought most; factors or neighbours; the LSTM over trips."""
        r, epochs = recommend, self.plan["epochs"]
        if task.question == "discovery":
            simple: Models = {"popularity": r.Popularity(), "popularity of four weeks": r.Popularity(28)}
            rivals: Models = {
                "item-kNN": r.ItemKNN(),
                "ALS + trend": r.Blend([r.ALS(), r.Trend(7)], [1, 1.5]),
            }
            if task.n_items <= MOST_ITEMS:
                rivals["EASE + trend"] = r.Blend([r.EASE(), r.Trend(7)], [1, 2.5])
            usual = {"units": 64, "dropout": 0.4, "profile": True, "trend_days": (3, 7, 14, 28)}
            usual |= {"learning_rate": 3e-3, "epochs": epochs or 12}
        else:
            simple = {"own frequency": r.PersonalFrequency(), "own of late": r.PersonalFrequency(120)}
            rivals = {"item-kNN": r.ItemKNN(half_life=120), "TIFU-kNN": r.TIFUKNN()}
            usual = {"own": True, "trend_days": (7,), "epochs": epochs or 8}
        return simple, rivals, lambda seed: r.NextItems(seed=seed, **usual)

    def join(self, task: recommend.SequenceTask, network: Any, rival: Any) -> recommend.Blend:
        """A blend of both, its weights chosen on validation."""
        return recommend.tune_blend(task, recommend.Blend([network, rival], [1, 0.1]))

    def table(self, shop: Shop, task: recommend.SequenceTask, model: Any) -> pd.DataFrame:
        """Columns customer_id, rank, item, reason; for discovery nothing that the customer has bought."""
        today, cutoffs = recommend.with_today(task)
        lists = model.predict(today, cutoffs, k=self.plan["k"])
        seen = history(today, cutoffs + 1)
        counts = sequence_counts(task)
        counts.data = np.log1p(counts.data)
        near = cosine_neighbours(counts, 100, 10.0).T.tocsr()  # row: item, column: what is close to it
        label, counted = self._labels(shop, task), task.items["count"]
        rows: list[tuple] = []
        for i, (name, items) in enumerate(zip(today.names, lists, strict=True)):
            own = slice(*seen.indptr[i : i + 2])
            times = dict(zip(seen.indices[own], seen.data[own], strict=True))
            items = items[~np.isin(items, seen.indices[own])] if task.question == "discovery" else items
            close = near[items][:, seen.indices[own]].toarray()
            for rank, (item, cosine) in enumerate(zip(items, close, strict=True), 1):
                reason = f"on {counted[item]:,} trips of all customers"
                if item in times:
                    reason = f"bought on {times[item]:.0f} trips before"
                elif len(cosine) and cosine.max() > 0:
                    reason = f"customers who buy {label[seen.indices[own][cosine.argmax()]]} buy it, too"
                rows.append((name, rank, label[item], reason))
        return pd.DataFrame(rows, columns=["customer_id", "rank", "item", "reason"])

    def _labels(self, shop: Shop, task: recommend.SequenceTask) -> list[str]:
        """What an item is called: a product by its name, where the shop has one."""
        items = task.items["item"]
        if self.plan["level"] != "product_id" or shop.products is None or "name" not in shop.products:
            return items.astype(str).tolist()
        names = shop.products.set_index("product_id")["name"]
        return names.reindex(items).fillna(pd.Series(items.to_numpy(), items)).astype(str).tolist()
