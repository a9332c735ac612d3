"""Time and memory of `open_shop` on an invented export: python -m benchmarks.speed.opening [millions]."""

import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

HEADER = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
HEADER += ["Country"]


def invent(path, n, seed=0):
    """Write n lines in the layout of Online Retail: 12 lines an order, a fifth of guests, some returns."""
    rng = np.random.default_rng(seed)
    order = np.sort(rng.integers(0, n // 12, n))
    when = pd.Timestamp("2022-01-03 08:00") + pd.to_timedelta(
        order * (730 * 1440 / (n // 12)) // 1, unit="min"
    )
    product = (5000 * rng.beta(1, 4, n)).astype(int)
    customer = rng.integers(12000, 12000 + n // 200, n // 12 + 1).astype(float)
    customer[rng.random(len(customer)) < 0.2] = np.nan
    back = rng.random(n // 12 + 1) < 0.02
    sign = np.where(back[order], "C", "")
    columns = [
        [f"{s}{500000 + o}" for s, o in zip(sign, order, strict=True)],
        [f"{20000 + p}{'A' if p % 7 == 0 else ''}" for p in product],
        [f"PRODUCT NUMBER {p}" for p in product],
        rng.integers(1, 13, n) * np.where(back[order], -1, 1),
        when.strftime("%Y-%m-%d %H:%M:%S"),
        (1 + product % 40) / 4,
        customer[order],
        np.where(product % 11 == 0, "France", "United Kingdom"),
    ]
    pd.DataFrame(dict(zip(HEADER, columns, strict=True))).to_csv(path, index=False)


def measure(path):
    begun = time.perf_counter()
    from ecomlib.own.opening import open_shop

    shop = open_shop(path)
    took, used = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20
    print(f"{len(shop.orders):,} lines stay; {took:.1f} s, {cpu:.1f} CPU seconds, {peak:.2f} GiB at most")


if __name__ == "__main__":
    if sys.argv[1:] and not sys.argv[1][0].isdigit():
        measure(sys.argv[1])
    else:
        millions = float(sys.argv[1]) if sys.argv[1:] else 1.5
        with TemporaryDirectory() as folder:
            path = Path(folder) / "export.csv"
            invent(path, int(millions * 1e6))
            print(f"{millions} million lines, {path.stat().st_size / 1e6:.0f} MB:", end=" ", flush=True)
            subprocess.run([sys.executable, __file__, str(path)], check=True)
