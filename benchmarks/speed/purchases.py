"""How making the purchase task grows with the shop: time and peak memory from 1x to 8x the households.

Each size runs in a process of its own: the shop is loaded and cleaned, its orders (and campaigns, redemptions
and customers) are repeated under new household numbers, then `purchases.task` is timed. Peak memory is that
of the whole process, the repeated shop included.
"""

import resource
import subprocess
import sys
import time

import pandas as pd

import ecomlib
from benchmarks.run import Log, row
from ecomlib import purchases
from ecomlib.runtime import ROOT

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


def one(times: int) -> None:
    """Print households, seconds and peak memory (GB) of one size."""
    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    shop = repeated(shop, times)
    start = time.perf_counter()
    task = purchases.task(shop, ecomlib.Split.last(test="56D", valid="28D", end="2017-12-24"))
    seconds = time.perf_counter() - start
    print(len(task.bought), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def rows(quick: bool, log: Log) -> list[dict]:
    """Quick: the shop as it is."""
    out = []
    for times in SIZES[:1] if quick else SIZES:
        command = [sys.executable, "-m", "benchmarks.speed.purchases", str(times)]
        found = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout.split()
        households, seconds, peak = (float(value) for value in found)
        for metric, value in (("seconds", seconds), ("peak GB", peak)):
            out.append(row("purchases.task", metric, (value,) * 3, 1, items=int(households)))
        log(f"{times}x  {households:6,.0f} households  {seconds:5.1f} s  {peak:4.1f} GB")
    return out


if __name__ == "__main__":
    one(int(sys.argv[1]))
