"""How making the purchase task grows with the shop: time and peak memory from 1x to 8x the households.

Each size runs in a process of its own: the shop is loaded and cleaned, its orders (and campaigns, redemptions
and customers) are repeated under new household numbers, then `purchases.task` is timed. Peak memory is that
of the whole process, the repeated shop included.
"""

import time
from functools import partial

import pandas as pd

import ecomlib
from benchmarks.quality._alone import Found, alone
from benchmarks.run import Log, kept, row
from ecomlib import purchases

SIZES = (1, 2, 4, 8)


def repeated(shop: ecomlib.Shop, times: int) -> ecomlib.Shop:
    """The shop with every household `times` times, under new numbers."""
    steps = {c: int(shop.orders[c].max()) + 1 for c in ("customer_id", "order_id")}

    def again(table: pd.DataFrame) -> pd.DataFrame:
        ids = [c for c in steps if c in table]
        parts = [table.assign(**{c: table[c] + i * steps[c] for c in ids}) for i in range(times)]
        return pd.concat(parts, ignore_index=True)

    names = ("orders", "customers", "campaigns", "redemptions")
    return shop.with_tables(**{name: again(getattr(shop, name)) for name in names})


def one(times: int) -> Found:
    """Make the task of one size: its households, and the seconds."""
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    shop = repeated(shop, times)
    start = time.perf_counter()
    task = purchases.task(shop, ecomlib.Split.last(test="56D", valid="28D", end="2017-12-24"))
    return {"task": [{"households": len(task.bought), "seconds": time.perf_counter() - start}]}


def rows(quick: bool, log: Log) -> list[dict]:
    """Quick: the shop as it is."""
    sizes = SIZES[:1] if quick else SIZES
    jobs = {f"{times}x": partial(alone, "ecomlib", one, times) for times in sizes}
    out = []
    for size, found in kept("speed/purchases", jobs, log).items():
        made = found["task"][0]
        for metric, value in (("seconds", made["seconds"]), ("peak GB", made["gb"])):
            out.append(row("purchases.task", metric, (value,) * 3, 1, items=made["households"]))
        log(f"{size}  {made['households']:6,} households  {made['seconds']:5.1f} s  {made['gb']:4.1f} GB")
    return out
