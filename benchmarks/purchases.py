"""How preparing the purchase task grows with the shop: time and peak memory from 1x to 8x the households.

    python -m benchmarks.purchases

Each size runs in a process of its own: the shop is loaded and cleaned, its orders (and campaigns, redemptions
and customers) are repeated under new household numbers, then `purchases.prepare` is timed. Peak memory is
that of the whole process, the repeated shop included.
"""

import argparse
import resource
import subprocess
import sys
import time

import pandas as pd

SIZES = (1, 2, 4, 8)


def repeated(shop, times: int):
    """The shop with every household `times` times, under new numbers."""
    steps = {c: int(shop.orders[c].max()) + 1 for c in ("customer_id", "order_id")}

    def again(table):
        ids = [c for c in steps if c in table]
        parts = [table.assign(**{c: table[c] + i * steps[c] for c in ids}) for i in range(times)]
        return pd.concat(parts, ignore_index=True)

    names = ("orders", "customers", "campaigns", "redemptions")
    return shop.with_tables(**{name: again(getattr(shop, name)) for name in names})


def one(times: int) -> None:
    import ecomlib
    from ecomlib import purchases

    shop, _ = ecomlib.clean(ecomlib.load_complete_journey())
    shop = repeated(shop, times)
    start = time.perf_counter()
    task = purchases.prepare(shop, start="2017-01-02", end="2017-12-24")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{times}x  {len(task.who):6,} households  {seconds:5.1f} s  {peak:4.1f} GB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, help="one size only")
    times = parser.parse_args().times
    if times:
        one(times)
        return
    for size in SIZES:
        subprocess.run([sys.executable, "-m", "benchmarks.purchases", "--times", str(size)], check=True)


if __name__ == "__main__":
    main()
