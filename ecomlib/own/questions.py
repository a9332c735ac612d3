"""The three questions, each with the same five parts: its task, its models, their score, the answer's table.

A question's `plan` holds what a saved answer needs to build the same task from a new export. Every task is
made of the days that the plan names, so that scales and vocabularies are those of the first one.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ecomlib import purchases, recommend
from ecomlib.joined import Joined, best_weight
from ecomlib.panels import weekly_panel
from ecomlib.probability import log_loss
from ecomlib.recommend.baselines import cosine_neighbours
from ecomlib.recommend.history import history, sequence_counts
from ecomlib.recommend.task import TRAIN
from ecomlib.shop import BadValue, Shop, TooShort
from ecomlib.shop.shop import members
from ecomlib.split import DAY, Split

Models = dict[str, Any]  # name -> model, from simple to complex
BUY_AGAIN = 0.05  # of the customers: with fewer, no model of repeated purchases
MOST_CELLS = 2_600_000  # customers x weeks x categories: with more the answer takes too long, and over 2.5 GB
FEWEST = 4  # categories: with fewer, some of the customers have to go
HISTORY = (1, 2, 4, 8, 13)  # weeks known, or trips: from which of them on is a model better than the rule?
TRIPS = 400_000  # a network sees in all, where that is enough for 4 epochs: more would take too long
MOST_ITEMS = 5000  # for EASE, whose matrix has this number squared


class Question:
    """What the three questions share; `plan` holds settings, and after the first task its dates and names.

    Each has `task(shop)`; `known(task, until)`, whose training part ends on a day of the plan;
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
            dates = self.parts(first, last).dates(last)
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

    def parts(self, first: pd.Timestamp, last: pd.Timestamp) -> Split:
        """The last eight and four weeks; of less than 32 weeks a quarter and an eighth."""
        n_weeks = ((last - first).days + 1) // 7
        for name, most, share in (("test", 8, 4), ("valid", 4, 8)):
            self.plan[name] = self.plan[name] or f"{7 * max(1, min(most, n_weeks // share))}D"
        return Split.last(self.plan["test"], self.plan["valid"])

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
        found = self.draws(task, self.forecast(task, model, "valid"), "valid", 1)
        return sign * float(found[self.headline][0])

    def join(self, task: Any, network: Any, rival: Any) -> Any:
        """The network with the rival; the weight is chosen on validation."""
        both = Joined([network, rival], odds=self.headline == "log-loss")
        weight = best_weight(lambda weight: self.value(task, replace(both, weight=float(weight))))
        return replace(both, weight=round(float(weight), 2))

    def with_rule(self, known: np.ndarray, worse: np.ndarray, model: Any, rule: Any, unit: str) -> list[str]:
        """Keep the rule for customers whose history is too short for the model; a note that says so.

        `known` is the history of each row of validation, `worse` what the model loses against the rule.
        """
        short = [h for h in HISTORY if (known <= h).any() and worse[known <= h].mean() > 0]
        self.plan["below"] = max(short, default=0)
        self.plan["rule"] = rule if short and model is not rule else None
        if self.plan["rule"] is None:
            return []
        return [f"customers with {unit} up to {self.plan['below']} get the rule: it is better there"]

    def by_rule(self, known: np.ndarray) -> np.ndarray:
        """For which customers the rule answers; bool, shape of `known`."""
        return (known <= self.plan["below"]) & (self.plan["rule"] is not None)

    def unknown(self, shop: Shop) -> list[str]:
        """What a later export holds that the model has not seen: sentences."""
        new = shop.orders["timestamp"] >= pd.Timestamp(self.plan["end"])
        if not new.any():
            return []
        level, item = self.plan.get("level", "category"), shop.orders["product_id"]
        if level != "product_id" and shop.products is not None:
            item = item.map(shop.products.set_index("product_id")[level].astype(str))
        keys = {} if self.title == "sales" else {"customers": shop.orders["customer_id"]}
        keys[{"product_id": "products", "category": "categories"}.get(level, level)] = item
        notes: list[str] = []
        for name, key in keys.items():
            other = ~key[new].isin(key[~new])
            if other.any():
                notes.append(
                    f"since {self.plan['end']} there are new {name}: {key[new][other].nunique():,}, in "
                    f"{other.mean():.1%} of the lines; the model has not seen them"
                )
        return notes


def with_products(shop: Shop) -> Shop:
    """The shop with a products table, where it has none."""
    if shop.products is not None:
        return shop
    products = pd.DataFrame({"product_id": shop.orders["product_id"].unique()})
    return shop.with_tables(products=products.assign(category="ALL", department="ALL"))


class Purchases(Question):
    """How likely every customer is to buy of every category in the next week."""

    title, headline = "purchases", "log-loss"

    def task(self, shop: Shop) -> purchases.PurchaseTask:
        """Weeks of all customers and of the categories bought most; at most `n_categories` of them."""
        plan, orders = self.plan, members(shop.orders)
        panel = weekly_panel(shop.orders)
        split = self.split(panel.weeks[0], panel.weeks[-1] + 6 * DAY)
        train = orders[orders["timestamp"] < pd.Timestamp(plan["valid_from"])]
        each = train.groupby("customer_id")["order_id"].nunique()
        if len(each) and (again := (each > 1).mean()) < BUY_AGAIN:
            raise TooShort(f"purchases: of {len(each):,} customers {again:.1%} bought twice: no model.")
        shop = with_products(shop)
        products: pd.DataFrame = shop.products  # type: ignore[assignment]
        if plan.setdefault("whole", len(set(products["category"].astype(str)) - {"UNKNOWN"}) < 2):
            products = products.assign(category="anything")
        shop = shop.with_tables(products=products)
        if "names" not in plan:
            category = products["category"].astype(str).set_axis(products["product_id"])
            sold = category.reindex(train.loc[train["timestamp"] >= panel.weeks[0], "product_id"])
            wanted = min(plan["n_categories"], sold[sold != "UNKNOWN"].nunique())
            plan["n_categories"] = min(wanted, MOST_CELLS // panel.known.size)
            if plan["n_categories"] < min(wanted, FEWEST):
                raise BadValue(
                    f"purchases: {len(panel.customers):,} customers in {len(panel.weeks)} weeks do not fit "
                    "into memory; give a part of the customers, or a later first day."
                )
        task = purchases.task(shop, split, plan["n_categories"])
        self.check_names(task.categories)
        return task

    def known(self, task: purchases.PurchaseTask, until: str = "end") -> purchases.PurchaseTask:
        """The task whose training part ends where the plan says: "test_from", or all of the first export."""
        end = int(task.panel.weeks.searchsorted(pd.Timestamp(self.plan[until])))
        parts = {"train": np.arange(end - 1), "next": np.array([len(task.panel.weeks) - 1])}
        return replace(task, parts=parts)

    def models(self, task: purchases.PurchaseTask) -> tuple[Models, Models, Callable[[int], Any]]:
        """The smoothed frequency with the settings chosen on validation; two learners; the shared LSTM."""
        best = purchases.tune_frequency(task, (6, 12, 26), (1, 3, 9))
        rivals = {"logistic regression": purchases.Logistic(), "LightGBM": purchases.LightGBM(fits=1)}
        epochs = self.plan["epochs"] or 4
        simple = {"smoothed frequency": purchases.WeightedFrequency(*best)}
        return simple, rivals, lambda seed: purchases.PurchaseLSTM(seed, epochs=epochs)

    @staticmethod
    def draws(
        task: purchases.PurchaseTask, forecast: np.ndarray, part: str = "test", n: int = 1000
    ) -> dict[str, np.ndarray]:
        """See `purchases.draws`; the scores of ranking, which no answer shows, are left out."""
        found = purchases.draws(task, forecast, part, n, n_ranked=0)
        return {metric: values for metric, values in found.items() if len(values) == 1 + n}

    def prepare(self, task: purchases.PurchaseTask, model: Any, rule: Any) -> list[str]:
        """Who gets the rule, by validation; whether the probabilities are what they say, in the test."""
        cutoffs = task.cutoffs("valid")
        y, use = task.target(cutoffs), task.use(cutoffs)
        both = (self.forecast(task, each, "valid") for each in (model, rule))
        ours, theirs = (log_loss(p.ravel(), y.ravel()).reshape(y.shape).mean(axis=2)[use] for p in both)
        notes = ["no categories: the question is who buys at all"] * self.plan["whole"]
        known = task.panel.known[:, cutoffs].T[use]
        notes += self.with_rule(known, ours - theirs, model, rule, "weeks known")
        p = task.flat(self.forecast(task, model, "test"), "test")
        y = task.flat(task.target(task.cutoffs("test")), "test")
        tenths = np.array_split(np.argsort(p, kind="stable"), 10)
        self.plan["reliability"] = [[float(p[rows].mean()), float(y[rows].mean())] for rows in tenths]
        return notes

    def table(self, shop: Shop, task: purchases.PurchaseTask, model: Any) -> pd.DataFrame:
        """Columns customer_id, category, week (its Monday), probability, model; the likeliest first."""
        k, cutoffs = len(task.categories), task.cutoffs("next")
        table = pd.DataFrame({"customer_id": np.repeat(task.panel.customers, k)})
        table["category"] = np.tile(task.categories, len(task.panel.customers))
        table["week"] = task.panel.weeks[-1] + 7 * DAY
        p = np.array(model.predict(task, cutoffs)[0])
        rule = self.by_rule(task.panel.known[:, -1])
        if rule.any():
            p[rule] = self.plan["rule"].predict(task, cutoffs)[0][rule]
        table["probability"] = p.ravel()
        table["model"] = np.repeat(np.where(rule, *reversed(self.plan["models"])), k)
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

    def known(self, task: recommend.SequenceTask, until: str = "end") -> recommend.SequenceTask:
        """The task whose training part ends where the plan says: "test_from", or all of the first export."""
        monday = pd.Timestamp(self.plan["first"])
        last = (pd.Timestamp(self.plan[until]) - (monday - monday.day_of_week * DAY)).days
        return replace(task, part=np.where(task.day < last, TRAIN, 0).astype(np.int8))

    def models(self, task: recommend.SequenceTask) -> tuple[Models, Models, Callable[[int], Any]]:
        """What sells, or what the customer bought most; factors or neighbours; the LSTM over trips."""
        r, epochs = recommend, self.plan["epochs"]
        often = TRIPS // max(len(task.cutoffs("train")), 1)
        if task.question == "discovery":
            simple: Models = {"popularity": r.Popularity(), "popularity of four weeks": r.Popularity(28)}
            factors = r.Blend([r.ALS(), r.Trend(7)], [1, 1.5])
            rivals: Models = {"item-kNN": r.ItemKNN(), "ALS + trend": factors}
            if task.n_items <= MOST_ITEMS:
                rivals["EASE + trend"] = r.Blend([r.EASE(), r.Trend(7)], [1, 2.5])
            usual = {"units": 64, "dropout": 0.4, "profile": True, "trend_days": (3, 7, 14, 28)}
            usual |= {"learning_rate": 3e-3, "epochs": epochs or int(np.clip(often, 4, 12))}
        else:
            simple = {"personal top frequency": r.PersonalFrequency()}
            simple["recent top frequency"] = r.PersonalFrequency(120)
            rivals = {"item-kNN": r.ItemKNN(half_life=120), "TIFU-kNN": r.TIFUKNN()}
            usual = {"own": True, "trend_days": (7,), "epochs": epochs or int(np.clip(often, 4, 8))}
        usual["n_sampled"] = 1024 * (task.n_items > MOST_ITEMS // 2)
        return simple, rivals, lambda seed: r.NextItems(seed=seed, **usual)

    def join(self, task: recommend.SequenceTask, network: Any, rival: Any) -> recommend.Blend:
        """A blend of both, its weights chosen on validation."""
        return recommend.tune_blend(task, recommend.Blend([network, rival], [1, 0.1]))

    def prepare(self, task: recommend.SequenceTask, model: Any, rule: Any) -> list[str]:
        """Who gets the rule: customers of so few trips that it found more in validation."""
        cutoffs = task.cutoffs("valid")
        found = [recommend.Ranking.of(task, self.forecast(task, m, "valid"), cutoffs) for m in (rule, model)]
        theirs, ours = (each.per_row()["recall@10"].to_numpy() for each in found)
        trips = found[0].rows - task.start[found[0].rows]
        notes = [f"{task.n_items:,} items, each a {self.plan['level']}"]
        return notes + self.with_rule(trips, theirs - ours, model, rule, "trips")

    def table(self, shop: Shop, task: recommend.SequenceTask, model: Any) -> pd.DataFrame:
        """Columns customer_id, rank, item, reason, model; for discovery nothing that was bought before."""
        today, cutoffs = recommend.with_today(task)
        lists = model.predict(today, cutoffs, k=self.plan["k"])
        rule = self.by_rule(cutoffs - today.start[cutoffs] + 1)
        if rule.any():
            lists[rule] = self.plan["rule"].predict(today, cutoffs[rule], k=self.plan["k"])
        model_of = np.where(rule, *reversed(self.plan["models"]))
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
                rows.append((name, rank, label[item], reason, model_of[i]))
        return pd.DataFrame(rows, columns=["customer_id", "rank", "item", "reason", "model"])

    def _labels(self, shop: Shop, task: recommend.SequenceTask) -> list[str]:
        """What an item is called: a product by its name, where the shop has one."""
        items = task.items["item"]
        if self.plan["level"] != "product_id" or shop.products is None or "name" not in shop.products:
            return items.astype(str).tolist()
        names = shop.products.set_index("product_id")["name"]
        return names.reindex(items).fillna(pd.Series(items.to_numpy(), items)).astype(str).tolist()
