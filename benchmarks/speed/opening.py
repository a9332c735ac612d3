"""Time and memory of `open_shop` on an invented export of half a million lines and more."""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benchmarks.quality._alone import peak_gb
from benchmarks.run import Log, row

SIZES = (0.5, 1.5, 3.0)  # million lines
HEADER = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
HEADER += ["Country"]


def invent(path: Path, n: int, seed: int = 0) -> None:
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


def measure(path: Path) -> dict[str, float]:
    """Open the file; what it took, and the peak of memory of this process."""
    begun = time.perf_counter()
    from ecomlib.own.opening import open_shop

    shop = open_shop(path)
    took, cpu = time.perf_counter() - begun, time.process_time()
    return {"lines that stay": len(shop.orders), "seconds": took, "CPU seconds": cpu, "GB": peak_gb()}


def rows(quick: bool, log: Log) -> list[dict]:
    """Each size once, in a process of its own. Quick: the smallest only."""
    out = []
    for millions in SIZES[:1] if quick else SIZES:
        with TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as pool:
            path = Path(folder) / "export.csv"
            invent(path, int(millions * 1e6))
            place = {"millions": millions, "MB": round(path.stat().st_size / 1e6)}
            found = pool.submit(measure, path).result()
        for metric, value in found.items():
            out.append(row("open_shop", metric, (value,) * 3, 1, **place))
        log(f"{millions} million lines opened")
    return out
