"""Time and memory of `open_shop` on an invented export of half a million lines and more."""

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benchmarks.quality._alone import Found, alone
from benchmarks.run import Log, kept, row

SIZES = (0.5, 1.5, 3.0)  # million lines
METRICS = ("lines that stay", "seconds", "CPU seconds", "GB")
HEADER = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
HEADER += ["Country"]


def invent(path: Path, n: int, seed: int = 0) -> None:
    """Write n lines in the layout of Online Retail: 12 lines per order, a fifth of guests, some returns."""
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


def measure(path: Path) -> Found:
    """Open the file; what it took."""
    begun = time.perf_counter()
    from ecomlib.own.opening import open_shop

    shop = open_shop(path)
    took, cpu = time.perf_counter() - begun, time.process_time()
    return {"open_shop": [{"lines that stay": len(shop.orders), "seconds": took, "CPU seconds": cpu}]}


def opened(millions: float) -> dict[str, float]:
    """Invent a file of a size and open it in a process of its own; what it took, and the file's size."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "export.csv"
        invent(path, int(millions * 1e6))
        found = alone("pandas", measure, path)["open_shop"][0]
        return found | {"GB": found["gb"], "MB": round(path.stat().st_size / 1e6)}


def rows(quick: bool, log: Log) -> list[dict]:
    """Each size once. Quick: the smallest only."""
    sizes = {f"{millions} million lines": millions for millions in (SIZES[:1] if quick else SIZES)}
    found = kept("speed/opening", {name: partial(opened, size) for name, size in sizes.items()}, log)
    return [
        row("open_shop", metric, (each[metric],) * 3, 1, millions=sizes[name], MB=each["MB"])
        for name, each in found.items()
        for metric in METRICS
    ]
