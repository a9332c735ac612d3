"""Online Retail: the claims of `partially_observed` that can be tried there, and real gaps, its closed days.

Visits as in `second_shop`: every third customer, the last eight whole weeks to 4 December 2011. Sales: the
twelve largest categories, the same weeks. "closed days": nothing is hidden. The shop was closed on five
working days between 22 April and 2 May 2011 and on 30 May; the eight weeks from 2 May on are forecast,
with those days as days of 0 and as days that were not seen. Settings of this part are chosen on the
28 days before.
"""

from dataclasses import replace
from typing import Any

import numpy as np

import ecomlib
from benchmarks.quality import _sales_gaps as gaps
from benchmarks.quality.partially_observed import Visits
from benchmarks.quality.second_shop import SOME, SPLIT, VALID, sales_task, some_customers
from benchmarks.run import Log
from ecomlib import Shop, Split

NAME = "Online Retail"
SPRING = Split.last(test="56D", valid="28D", end="2011-06-26")
SERIES = 12


def rows(quick: bool, log: Log) -> list[dict]:
    """Visits, sales with half of the days missing, and the closed days of spring."""
    shop = ecomlib.load_online_retail(until=VALID)
    return visit_rows(shop, quick, log) + sales_rows(shop, quick, log) + closed_rows(shop, quick, log)


def visit_rows(shop: Shop, quick: bool, log: Log) -> list[dict]:
    """Block gaps that are known, and trips that nobody knows were missed."""
    study = Visits(some_customers(shop, SOME["silence"]), SPLIT, quick, log, NAME)
    missed = {"at random": study.missing_baskets("at random")}
    whole = study.whole(missed)
    out = study.table("nothing hidden", "", whole)
    out += study.table("known gaps", "blocks", study.known_gaps("blocks", ("zero", "mask")))
    found = study.missed_trips("at random", whole, missed["at random"])
    return out + study.table("missed trips", "at random", found) + study.chosen


def sales_rows(shop: Shop, quick: bool, log: Log) -> list[dict]:
    """Half of the days missing at random."""
    task = sales_task(shop, "daily", n_series=SERIES)
    place = {"shop": NAME, "question": "sales", "gaps": "at random"}
    return gaps.compare(task, gaps.arms(task, "at random", few=True), place, quick, log)


def closed_rows(shop: Shop, quick: bool, log: Log) -> list[dict]:
    """Closed days as days of 0, and as days that were not seen."""
    task = sales_task(shop, "daily", SPRING, n_series=SERIES)
    n_days = len(task.panel.days)
    is_open = task.is_open(np.arange(-1, n_days - task.horizon))[:, 0, 0]
    is_open = np.append(is_open, np.ones(n_days - len(is_open), bool))
    seen = np.broadcast_to(is_open, task.panel.values.shape)
    never_closed = replace(task, closed=())
    models: dict[str, Any] = {
        "mean": (lambda seed: gaps.SeenMean(), [{}]),
        "Kalman filter": (lambda seed, **setting: gaps.Kalman(**setting), gaps.FILTERS),
        "LSTM": (gaps.GapLSTM, gaps.SETTINGS),
    }
    found = {}
    for name, (make, grid) in models.items():
        found[f"{name}, closed as zero"] = (
            make, grid, lambda seed: gaps.gap_task(never_closed, np.ones_like(seen)),
        )  # fmt: skip
        found[f"{name}, closed as missing"] = (make, grid, lambda seed: gaps.gap_task(task, seen))
    place = {"shop": NAME, "question": "sales", "gaps": "closed days"}
    return gaps.compare(task, found, place, quick, log)
