"""Every comparison of the course a second time, in another shop: Online Retail, both years.

Protocol. The last week of the data is cut off, so they end on 4 December 2011. The last eight whole weeks
test; the four weeks before them choose; all earlier weeks train. The networks have the recipes that were
chosen on the running shop. Chosen here, on the four weeks: the learning rate of the sales networks (of the
weekly ones also the epochs), the epochs of those of silence and purchases, the settings of the rivals, and
the weight of the network in the joined forecast. The four weeks are of September and October, the test is the
time before Christmas. It had been scored before: sales with other categories (colours among them), silence
with the running shop's 18 epochs (the network's log-loss was 1.030 times that of LightGBM), discovery and
whole basket with the models that are here; purchases had not.

Sales: the 40 categories of `load_online_retail`, the last words of the products' names; products that
were sold before the validation weeks choose the words. Daily, seven days ahead, and weekly, one
week ahead. Saturdays, bank holidays and 24 December to 3 January are known closed days. "..., last year" also
reads what the same three weeks of the last year were over the eight weeks before them: a yearly season.
Silence: lesson 16's task, every third customer. Purchases: lesson 33's, every fifth customer (the arrays of
all of them would take 2 GB). Discovery and whole basket: product codes on at least 50 training trips as
items, all customers. Two fits of each network, one of LightGBM for purchases and of every other rival.

Rows whose model reads "A / B" are ratios by the same draws of series or customers, weeks and fits.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import ecomlib
from benchmarks.quality import purchases as purchases_bench
from benchmarks.quality import recommend as recommend_bench
from benchmarks.quality import visits as visits_bench
from benchmarks.quality.sales import Study
from benchmarks.run import Log, kept, row
from ecomlib import purchases, recommend, sales, visits
from ecomlib.bootstrap import interval, mean_of_fits
from ecomlib.joined import best_weight, join
from ecomlib.panels import Panel
from ecomlib.recommend import TIFUKNN, NextItems, Popularity, TwoStage
from ecomlib.sales import LightGBM, Ridge, SalesTask, WeekdayMean
from ecomlib.sales.known_ahead import LAST_YEAR_NAMES
from ecomlib.shop import Shop
from ecomlib.shop.shop import members
from ecomlib.split import Split
from ecomlib.windows import future_windows

SPLIT = Split.last(test="56D", valid="28D", end="2011-12-04")
VALID = "2011-09-12"  # the first day of its validation part
SEEDS = 2  # fits of each network
SOME = {"silence": 3, "purchases": 5}  # every third, every fifth customer
LSTM, JOINED, YEAR = "LSTM", "LSTM, joined", ", last year"
CHRISTMAS = [(12, day) for day in range(24, 32)] + [(1, day) for day in range(1, 4)]
SCORES = {  # metric -> whether its ratio of two models means something
    "sales": {"WAPE": True, "pinball": True, "MASE": True, "coverage": False, "bias": False},
    "silence": {"log-loss": True, "Brier": True, "accuracy": True, "AUC inactive": True},
    "purchases": {"log-loss": True, "Brier": True, "AUC": True, "average precision": True},
}
SCORES |= dict.fromkeys(("discovery", "whole"), dict.fromkeys(recommend_bench.METRICS, True))
Fits = dict[str, list[dict[str, np.ndarray]]]  # model -> the draws of each of its fits, by metric


def rows(quick: bool, log: Log) -> list[dict]:
    """All rows. Quick: one fit of one epoch each."""
    shop = ecomlib.load_online_retail(until=VALID)
    out = []
    for use in (silence_rows, recommend_rows, purchase_rows, sales_rows):
        out += use(shop, quick, log)
    return out


def scored(use: str, where: str, fits: Fits) -> list[dict]:
    """Every model's scores, then the ratios of the network, alone and joined, to every other model."""
    place = {"use": use, "where": where}
    scores = {name: mean_of_fits(each, stream) for stream, (name, each) in enumerate(fits.items())}
    out = [
        row(name, metric, interval(found[metric]), len(fits[name]), **place)
        for name, found in scores.items()
        for metric in SCORES[use]
    ]
    for one, other in pairs(list(fits)):
        for metric in [metric for metric, compared in SCORES[use].items() if compared]:
            ratio = interval(scores[one][metric] / scores[other][metric])
            out.append(row(f"{one} / {other}", metric, ratio, len(fits[one]), **place))
    return out


def pairs(names: list[str]) -> list[tuple[str, str]]:
    """The network and its joined form against all with the same inputs; last year's sales against none."""
    found = []
    for year in ("", YEAR):
        alike = [name for name in names if name.endswith(YEAR) == bool(year)]
        ours = [name + year for name in (LSTM, JOINED) if name + year in alike]
        found += [(one, other) for one in ours for other in alike if other not in ours]
        found += [(ours[1], ours[0])] if len(ours) == 2 else []
    return found + [(name + YEAR, name) for name in names if name + YEAR in names]


def some_customers(shop: Shop, step: int) -> Shop:
    """The shop with the orders of every `step`-th customer, by id; guests stay, they are no customers."""
    orders = shop.orders
    ids = np.sort(members(orders)["customer_id"].unique().astype(str))
    left_out = np.setdiff1d(ids, ids[::step])
    return shop.with_tables(orders=orders[~orders["customer_id"].astype(str).isin(left_out)])


# ---------------------------------------------------------------------------------------------------- sales


def sales_rows(shop: Shop, quick: bool, log: Log) -> list[dict]:
    """Weekly, then daily; each with and without last year's sales as an input."""
    out = []
    for step in ("weekly", "daily"):
        task = sales_task(shop, step)
        fits: Fits = {}
        for name, each in {"": task, YEAR: task.with_last_year()}.items():
            study = sales_study(each, step, name, quick, log)
            shown = [model for model in study.forecasts if not model.endswith("not calibrated")]
            fits |= {model + name: [sales.draws(task, p) for p in study.forecasts[model]] for model in shown}
        out += scored("sales", step, fits)
    return out


def sales_task(shop: Shop, step: str, split: Split = SPLIT, **sizes: Any) -> SalesTask:
    """The categories day by day; or week by week, from the first Monday to the end of the split."""
    import holidays

    bank = holidays.country_holidays("GB", subdiv="ENG", years=range(2009, 2013))
    easter = ("2010-04-04", "2011-04-24")  # no bank holidays, but the shop was closed
    closed = ("Sat", *CHRISTMAS, *easter, bank)
    quiet = pd.date_range("2009-12-01", "2012-01-03")
    quiet = quiet[~sales.known_ahead.open_days(quiet, closed[1:])]  # a Saturday is no holiday
    options = {"level": "category", "n_series": 40, "holidays": (quiet, []), "closed": closed}
    daily = sales.task(shop, split, **{**options, **sizes})
    if step == "daily":
        return daily
    first = (7 - daily.panel.days[0].day_of_week) % 7
    n = (daily.test_end - first) // 7
    values = daily.panel.values[:, first : first + 7 * n].reshape(daily.n_series, n, 7).sum(axis=2)
    weeks = Panel(values, daily.panel.names, daily.panel.days[first::7][:n])
    return sales.task(weeks, split, lookback=8, horizon=1, holidays=(quiet, []))


class MeanAndLastYear(WeekdayMean):
    """The mean of eight weeks, times what last year's sales did then, to a power."""

    def __init__(self, power: float = 1.0, lift: str = LAST_YEAR_NAMES[0]):
        super().__init__(8)
        self.power, self.lift = power, lift

    def predict(self, task: SalesTask, cutoffs: np.ndarray) -> np.ndarray:
        """Forecast (n_cutoffs, n_series, horizon, 3), shop's currency."""
        known = task.known[..., [task.known_names.index(self.lift)]]
        factor = np.exp(self.power * future_windows(known, cutoffs, task.horizon))
        return super().predict(task, cutoffs) * factor


def sales_study(task: SalesTask, step: str, year: str, quick: bool, log: Log) -> Study:
    """All models of one task, each with the setting that has the smallest WAPE on validation."""
    from ecomlib.sales import MLP, SalesLSTM

    rates = [{"learning_rate": rate} for rate in (5e-3, 1e-2)]
    if step == "weekly":  # an epoch has a seventh of the windows
        rates = [rate | {"epochs": epochs} for rate in rates for epochs in (10, 30)]
    rates = [{"epochs": 1}] if quick else rates
    trees = [{"correct": correct, "n_estimators": n} for correct in (False, True) for n in (100, 300)]
    grids: dict[str, tuple[Callable[..., Any], list[dict]]] = {
        "Ridge": (lambda seed, **setting: Ridge(**setting), [{"penalty": p} for p in (100, 1000, 10000)]),
        "LightGBM": (LightGBM, trees[: 1 if quick else None]),
        "MLP": (MLP, rates),
        LSTM: (SalesLSTM, rates),
    }
    if year:
        mixed = [{"power": power, "lift": lift} for power in (0.25, 0.5, 0.75, 1) for lift in LAST_YEAR_NAMES]
        grids = {"mean of 8 weeks": (lambda seed, **setting: MeanAndLastYear(**setting), mixed)} | grids
        del grids["MLP"]
    jobs: dict[str, Callable[[], Any]] = {
        name: partial(best_setting, task, *grid) for name, grid in grids.items()
    }
    chosen = kept(f"second_shop/{step}{year}{'-quick' * quick}", jobs, log)
    log(f"{step}{year}, chosen on validation: {chosen}")
    place = {"dataset": f"online retail{year}", "period": "test", "horizon": step}
    study = Study(task, place, quick, log)
    if not year:
        study.fit("mean of 8 weeks", [WeekdayMean(8)])
    for name, (make, _) in grids.items():
        seeds = range(SEEDS if name in (LSTM, "MLP", "LightGBM") and not quick else 1)
        study.fit(name, [make(seed, **chosen[name]) for seed in seeds])
    add_joined(study)
    return study


def best_setting(task: SalesTask, make: Callable[..., Any], grid: list[dict]) -> dict:
    """The setting of a grid with the smallest WAPE on validation; a network alone stands for three."""
    if len(grid) == 1:
        return grid[0]

    def loss(setting: dict) -> float:
        alone = {"members": 1} if "learning_rate" in setting else {}
        model = make(0, **setting, **alone).fit(task, "train")
        return valid_wape(task, model.predict(task, task.cutoffs("valid")))

    return min(grid, key=loss)


def valid_wape(task: SalesTask, forecast: np.ndarray) -> float:
    """WAPE of a forecast on the validation part."""
    return float(sales.draws(task, forecast, "valid", n=1)["WAPE"][0])


def add_joined(study: Study) -> None:
    """Add the weighted mean of the network and LightGBM, the weight with the smallest validation WAPE."""
    both = list(zip(study.raw[LSTM], study.raw["LightGBM"], strict=True))  # the validation, the test

    def loss(weight: float) -> float:
        return float(np.mean([valid_wape(study.task, p) for p in join(*both[0], weight)]))

    best = best_weight(loss)
    study.log(f"weight of the LSTM beside LightGBM: {best:.1f}")
    study.calibrated(JOINED, *(join(*part, best) for part in both))


# ------------------------------------------------------------------------------------ silence and purchases


def silence_rows(shop: Shop, quick: bool, log: Log) -> list[dict]:
    """In how many of the next four weeks does a customer buy? As in the benchmark of lesson 16."""
    task = visits.task(some_customers(shop, SOME["silence"]), SPLIT)
    seeds, where = range(1 if quick else SEEDS), f"second_shop/silence{'-quick' * quick}"
    few = {"epochs": 1 if quick else chosen_epochs(where, visits.VisitsLSTM(0, epochs=24), task, log)}
    jobs: dict[str, Callable[[], Any]] = {
        f"{LSTM}, seed {seed}": partial(visits_bench.fit, task, seed=seed, **few) for seed in seeds
    }
    jobs["LightGBM"] = partial(visits_bench.fit_trees, task, seeds)
    jobs["simple"] = partial(simple_silence, task)
    found = kept(where, jobs, log)
    forecasts = {name: [p] for name, p in found["simple"].items()}
    forecasts["LightGBM"] = found["LightGBM"]
    forecasts[LSTM] = [found[f"{LSTM}, seed {seed}"] for seed in seeds]
    forecasts[JOINED] = visits_bench.joined(task, forecasts[LSTM], forecasts["LightGBM"], log)
    fits = {name: [visits.draws(task, p["test"]) for p in each] for name, each in forecasts.items()}
    return scored("silence", "every third customer", fits)


def chosen_epochs(where: str, net: Any, task: Any, log: Log) -> int:
    """Epochs with the smallest validation loss. At a constant rate a short fit is the start of a long one."""

    def search() -> int:
        return int(np.argmin(net.fit(task, watch=True).history["val_loss"])) + 1

    epochs = kept(where, {"epochs": search}, log)["epochs"]
    log(f"{where}: {epochs} epochs, chosen on validation")
    return epochs


def simple_silence(task: visits.VisitsTask) -> dict[str, dict[str, np.ndarray]]:
    """The customer's own past and the line, each tuned on validation, and the class shares."""
    past = visits_bench.tune(visits.OwnPast, task, prior_windows=(1, 3, 10, 30), half_life=(6, 13, 26, 1000))
    line = visits_bench.tune(visits.Logistic, task, c=(0.003, 0.03, 0.3))
    models = (visits.ClassShares(), visits.OwnPast(**past), visits.Logistic(**line))
    return {model.name: visits_bench.forecasts_of(model.fit(task), task) for model in models}


def purchase_rows(shop: Shop, quick: bool, log: Log) -> list[dict]:
    """Which of 30 categories does a customer buy next week? As in the benchmark of lesson 33."""
    task = purchases.task(some_customers(shop, SOME["purchases"]), SPLIT)
    seeds, where = range(1 if quick else SEEDS), f"second_shop/purchases{'-quick' * quick}"
    few = {"epochs": 1 if quick else chosen_epochs(where, purchases.PurchaseLSTM(0, epochs=10), task, log)}
    jobs: dict[str, Callable[[], Any]] = {
        "simple": partial(simple_purchases, task),
        "LightGBM": partial(purchases_bench.grown, task, *(((15,), 20) if quick else ((15, 31),))),
    }
    for seed in seeds:
        net = purchases.PurchaseLSTM(seed, **few)
        jobs[f"{LSTM}, seed {seed}"] = partial(purchases_bench.forecast, net, task)
    found = kept(where, jobs, log)
    forecasts = {name: [p] for name, p in found["simple"].items()}
    forecasts["LightGBM"] = [found["LightGBM"]]
    forecasts[LSTM] = [found[f"{LSTM}, seed {seed}"] for seed in seeds]
    joins = [purchases_bench.joined(task, ours, found["LightGBM"]) for ours in forecasts[LSTM]]
    log(f"LightGBM: {found['LightGBM']['settings']}; weights of the LSTM beside it: {[w for _, w in joins]}")
    forecasts[JOINED] = [p for p, _ in joins]
    fits = {name: [purchases.draws(task, p["test"]) for p in each] for name, each in forecasts.items()}
    return scored("purchases", "every fifth customer", fits)


def simple_purchases(task: purchases.PurchaseTask) -> dict[str, purchases_bench.Forecast]:
    """The base rate, and the smoothed frequency, tuned on validation."""
    chosen = purchases.tune_frequency(task, (8, 16, 26, 52, 104, np.inf), (1, 3, 8, 16, 32))
    models = (purchases.BaseRate(), purchases.WeightedFrequency(*chosen))
    return {model.name: purchases_bench.forecast(model, task) for model in models}


# ------------------------------------------------------------------------------------------- recommendation


def recommend_rows(shop: Shop, quick: bool, log: Log) -> list[dict]:
    """Which product codes are on the next trip? As in the benchmark of lesson 43."""
    task = recommend.task(shop, SPLIT, "product_id", min_count=50)
    log(f"recommendation: {task.n_items} items, {len(task.cutoffs('test'))} test trips")
    out = []
    for question in ("discovery", "whole"):
        out += scored(question, "product codes", recommend_fits(task.ask(question), quick, log))
    return out


def recommend_fits(task: recommend.SequenceTask, quick: bool, log: Log) -> Fits:
    """Draws of every model for one question: rivals first, since a joined forecast needs the best of them."""
    where = f"second_shop/{task.question}{'-quick' * quick}"
    rivals = kept(where, rival_jobs(task), log)
    best = rivals[recommend_bench.BEST[task.question][-1]]["model"]
    net = recommend_bench.DISCOVERY if task.question == "discovery" else recommend_bench.WHOLE
    net = replace(net, n_sampled=1024, **({"epochs": 1} if quick else {}))
    nets = kept(where, net_jobs(task, net, best, range(1 if quick else SEEDS)), log)
    models = {name: [found] for name, found in rivals.items()}
    for each in nets.values():
        for name, found in each.items():
            models.setdefault(name, []).append(found)
    return {name: recommend_bench.draws_of(fits) for name, fits in models.items()}


def rival_jobs(task: recommend.SequenceTask) -> dict[str, Callable[[], dict]]:
    """Every rival's name -> a function that tunes it on validation and scores its test lists."""
    bench, lately = recommend_bench, [Popularity(days) for days in (7, 14, 28, 56)]
    grids: dict[str, Iterable] = {"popularity": [Popularity()], "recent popularity": lately}
    if task.question == "whole":
        grids |= {"TIFU-kNN": [*bench.TIFU, TIFUKNN(300, 0.9, 7, 0.9, 0.5)]}
        more = {"two-stage LightGBM": lambda: bench.tested(task, TwoStage().fit(task))}
    else:
        more = {
            n: j for n, j in bench.rival_jobs(task, "second shop").items() if n in bench.BEST["discovery"]
        }
    jobs = {n: lambda grid=grid: bench.tested(task, bench.tuned(task, grid)) for n, grid in grids.items()}
    return jobs | more


def net_jobs(
    task: recommend.SequenceTask, net: NextItems, rival: recommend.Recommender, seeds: Iterable[int]
) -> dict[str, Callable[[], dict[str, dict]]]:
    """A fit's name -> a function that trains it and scores it alone and joined with the rival."""
    return {
        f"{LSTM}, seed {seed}": partial(recommend_bench.trained, task, LSTM, replace(net, seed=seed), rival)
        for seed in seeds
    }
