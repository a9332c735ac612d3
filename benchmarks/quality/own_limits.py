"""From which size of a shop on is a network better than the simple rule? The course's shop, cut to parts.

Protocol. The running shop is cut to 2, 5, 10, 20, 50 and 100 % of its customers and its last 52 weeks, 20 and
100 % also to their last 26 weeks. Each part is asked the three questions of `ecomlib.own` as a reader's shop
would be: all choices on its validation weeks, the test of its last eight weeks scored once, one fit of the
network. One sample of customers for each size, of which the smaller ones are parts of the larger ones: three
samples would take more than an hour. A single size can be good or bad by chance: read the whole table.

Rows: "LSTM / rule", "joined / rule", "rival / rule", the ratio of the headline metric with its interval
over series or customers and weeks; `rule` and `rival` say which models they were.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import ecomlib
from benchmarks.run import Log, kept, row
from ecomlib.own.answer import JOINED, LSTM, compare
from ecomlib.own.questions import Purchases, Recommend
from ecomlib.own.sales_question import Sales
from ecomlib.shop import Shop, ShopError

SIZES = ((2, 52), (5, 52), (10, 52), (20, 52), (50, 52), (100, 52), (20, 26), (100, 26))  # per cent, weeks
PARTS = {"test": "56D", "valid": "28D"}
ASKED: dict[str, Callable[..., Any]] = {
    "sales": partial(
        Sales, level=None, n_series=None, horizon=None, country="US", closed_too=[(12, 25)], **PARTS
    ),
    "purchases": partial(Purchases, n_categories=30, **PARTS),
    "recommendation": partial(Recommend, level=None, question="discovery", k=10, min_count=5, **PARTS),
}


def rows(quick: bool, log: Log) -> list[dict]:
    """All rows, the smallest parts first. Quick: one epoch each, no part above 5 %."""
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    jobs: dict[str, Callable[[], list[dict]]] = {}
    for share, weeks in SIZES[: 2 if quick else None]:
        part = cut(shop, share, weeks)
        for use in ASKED:
            job = partial(measured, part, use, share, weeks, 1 if quick else None)
            jobs[f"{use}, {share} %, {weeks} weeks"] = job
    return sum(kept(f"own_limits{'-quick' * quick}", jobs, log).values(), [])


def cut(shop: Shop, share: int, weeks: int) -> Shop:
    """A share of the customers, per cent, and the last weeks of their orders."""
    orders = shop.orders
    ids = np.random.default_rng(0).permutation(np.sort(orders["customer_id"].unique()))
    some = ids[: round(len(ids) * share / 100)]
    late = orders["timestamp"] >= orders["timestamp"].max().normalize() - pd.Timedelta(days=7 * weeks - 1)
    return shop.with_tables(orders=orders[late & orders["customer_id"].isin(some)])


def measured(shop: Shop, use: str, share: int, weeks: int, epochs: int | None) -> list[dict]:
    """Three ratios to the rule; where a question cannot be asked, one row that says why."""
    place = {"use": use, "share": share, "n_customers": shop.orders["customer_id"].nunique(), "weeks": weeks}
    question = ASKED[use](epochs=epochs)
    try:
        task = question.task(shop)
        _, paired, models = compare(question, task, fits=1)
    except ShopError as error:
        return [row("joined / rule", question.headline, (np.nan,) * 3, 0, **place, rule="", rival=str(error))]
    rule, rival = (name for name in models if name not in (LSTM, JOINED))
    place |= {"rule": rule, "rival": rival}
    called = {LSTM: LSTM, JOINED: JOINED, rival: "rival"}
    return [
        row(f"{called[each.first]} / rule", each.metric, (each.ratio, each.low, each.high), 1, **place)
        for each in paired.itertuples()
        if each.second == rule
    ]
