"""Twenty shops instead of one: sums, the purchase task, a search and a training on one process and on Dask.

    python course.py setup --group scale
    python course.py bench speed/scale

The larger shops are invented in their size only: the running shop's lines once more, with new customers and
orders. They are written to build/scale (0.3 GB). Each figure comes from a process of its own, which is told
what to do by its arguments and answers with one line of JSON.
"""

import ecomlib  # noqa: F401, I001  (before NumPy)

import functools
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.quality._alone import peak_gb
from benchmarks.run import kept, row
from benchmarks.speed._workers import FOLDER, SETTINGS, search, spent, training
from ecomlib import Split, purchases, scale
from ecomlib.runtime import ROOT

PACKAGES = ("dask", "polars", "duckdb")
ORDERS = ["customer_id", "order_id", "product_id", "timestamp", "quantity", "revenue", "discount"]
PER_SHOP = 4  # files of a shop
SIZES = (1, 2, 4, 8, 20)
ENGINES = ("pandas", "pandas by file", "polars", "polars, the course's", "duckdb", "Dask")
SPLIT = Split.last(test="56D", valid="28D")
ALL_CORES = set(range(os.cpu_count() or 1))


def shops(n: int) -> Path:
    """A folder with n shops in parts; made once."""
    folder = FOLDER / f"x{n}"
    if (folder / "whole").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    shop = ecomlib.load_complete_journey()
    orders = shop.orders[ORDERS]
    codes, ids = pd.factorize(orders["customer_id"], sort=True)
    for i in range(n):
        more = {
            "customer_id": orders["customer_id"] + 10_000 * i,
            "order_id": orders["order_id"] + i * 10**12,
        }
        for part in range(PER_SHOP):
            lines = orders.assign(**more)[codes * PER_SHOP // len(ids) == part]
            lines.to_parquet(folder / f"orders_{i:02}_{part}.parquet", index=False)
    for name in ("products", "promotions", "coupons"):
        getattr(shop, name).to_parquet(folder / f"{name}.parquet", index=False)
    for name in ("campaigns", "redemptions"):
        table = getattr(shop, name)
        copies = [table.assign(customer_id=table["customer_id"] + 10_000 * i) for i in range(n)]
        pd.concat(copies, ignore_index=True).to_parquet(folder / f"{name}.parquet", index=False)
    (folder / "whole").touch()
    return folder


def bare(engine: str, folder: Path):
    """The sums as one would type them; a frame with the column revenue."""
    lines, others = scale.parts_of(folder)
    by = ["customer_id", "week", "department"]
    if engine == "pandas":
        products = pd.read_parquet(others["products"], columns=["product_id", "department"])
        all_lines = pd.concat([pd.read_parquet(path) for path in lines], ignore_index=True)
        all_lines["week"] = all_lines["timestamp"].dt.to_period("W-SUN").dt.start_time
        return all_lines.merge(products, on="product_id").groupby(by, observed=True)["revenue"].sum()
    if engine == "duckdb":
        import duckdb

        duckdb.sql("set threads to 2")
        return duckdb.sql(
            f"""select customer_id, date_trunc('week', timestamp) as week, department, sum(revenue) as revenue
            from read_parquet({[*map(str, lines)]}) join read_parquet('{others["products"]}')
            using (product_id) group by all order by all"""
        ).df()
    import polars as pl

    products = pl.scan_parquet(others["products"]).select("product_id", "department")
    week = pl.col("timestamp").dt.truncate("1w").alias("week")
    sums = pl.scan_parquet(lines).join(products, on="product_id").group_by("customer_id", week, "department")
    return sums.agg(pl.col("revenue").sum()).sort(by).collect(engine="streaming")


def sums(engine: str, size: str) -> dict:
    """Sum a shop by customer, week and department: seconds, memory, and what came out."""
    folder, client, begun = shops(int(size)), None, time.perf_counter()
    if engine == "Dask":
        client = scale.connect(2)
    started, cpu = time.perf_counter(), spent(client)[0]
    if engine in ("pandas", "polars", "duckdb"):
        found = bare(engine, folder)
    else:
        which = {"pandas by file": "files", "Dask": "dask"}.get(engine, "polars")
        found = scale.weekly_sums(folder, which, client)
    seconds = time.perf_counter() - started
    revenue = found if isinstance(found, pd.Series) else found["revenue"]
    total, worker = float(np.sum(np.asarray(revenue))), spent(client)
    about = {
        "seconds": seconds,
        "CPU seconds": worker[0] - cpu,
        "peak MB": 1000 * peak_gb(),
        "rows": len(found),
    }
    if client:
        about |= {"peak MB, a worker": worker[1], "seconds to start": started - begun}
        client.close()
    return about | {"total": round(total, 2)}


def fingerprint(task) -> tuple[list, str]:
    """The customers of a task, and a hash of all its channels."""
    return task.panel.customers.tolist(), hashlib.sha256(task.channels.values.tobytes()).hexdigest()


def purchase_on_dask(size: str) -> dict:
    folder, begun = shops(int(size)), time.perf_counter()
    with scale.connect(2) as client:
        started = time.perf_counter()
        parts = scale.open_shop(folder, client)
        opened = time.perf_counter()
        found = scale.purchase_tasks(parts, SPLIT, fingerprint)
        seconds = time.perf_counter()
        cpu, worker = spent(client)
    (FOLDER / "fingerprints.json").write_text(json.dumps(found))
    about = {"seconds to start": started - begun, "seconds to open": opened - started}
    about |= {"seconds": seconds - opened, "CPU seconds": cpu, "peak MB": 1000 * peak_gb()}
    return about | {"peak MB, a worker": worker, "customers": sum(len(ids) for ids, _ in found)}


def purchase_in_one(size: str) -> dict:
    """The same parts, opened one after the other, and one task of all of them; compare with Dask's."""
    lines, others = scale.parts_of(shops(int(size)))
    begun = time.perf_counter()
    shop = ecomlib.open_shop([lines[0], *others.values()])
    orders = [shop.orders, *(ecomlib.open_shop([path, others["products"]]).orders for path in lines[1:])]
    opened = time.perf_counter()
    whole = shop.with_tables(orders=pd.concat(orders, ignore_index=True))
    task = purchases.task(whole, SPLIT)
    seconds, row_of = time.perf_counter() - opened, pd.Index(task.panel.customers)
    parts = json.loads((FOLDER / "fingerprints.json").read_text())
    equal = [
        hashlib.sha256(task.channels.values[row_of.get_indexer(ids)].tobytes()).hexdigest() == sign
        for ids, sign in parts
    ]
    about = {"seconds to open": opened - begun, "seconds": seconds, "CPU seconds": time.process_time()}
    about |= {"peak MB": 1000 * peak_gb(), "parts with equal arrays": sum(equal), "parts": len(equal)}
    return about | {"GB of the arrays": task.channels.values.nbytes / 1e9}


def alone(*arguments: str) -> dict:
    """Do one piece in a process of its own, on all cores."""
    command = [sys.executable, "-m", "benchmarks.speed.scale", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1]) | {"load": os.getloadavg()[0]}


def pieces(quick: bool) -> dict[str, tuple[tuple[str, ...], int]]:
    """Name of a piece -> its arguments, and how often it is measured: the fastest run counts."""
    sizes = (1, 2) if quick else SIZES
    found = {
        f"{engine}, x{n}": (("sums", engine, str(n)), 2 if n < 8 else 1) for n in sizes for engine in ENGINES
    }
    size = str(1 if quick else 8)
    found["purchases, Dask"] = (("purchase_on_dask", size), 1)
    found["purchases, one process"] = (("purchase_in_one", size), 1)
    for name, more in {
        "1 worker": ("1",),
        "2 workers": ("2",),
        "2 workers, one killed": ("2", "kill"),
    }.items():
        found[f"search, {name}"] = (("search", *more), 1)
    for name, more in {"1": ("1",), "2": ("2",), "fit": ("2", "fit")}.items():
        found[f"training, {name}"] = (("training", *more), 1)
    return found


def best_of(arguments: tuple[str, ...], n: int) -> dict:
    """The fastest of n runs, with the slowest's seconds; what came out must be the same."""
    runs = [alone(*arguments) for _ in range(n)]
    for name in {"rows", "total"} & {*runs[0]}:
        assert len({run[name] for run in runs}) == 1, (arguments, name)
    best = min(runs, key=lambda run: run.get("seconds", 0))
    return best | {"slowest": max(run.get("seconds", 0) for run in runs), "runs": n}


def pays(found: dict[str, dict]) -> list[dict]:
    """From which size a second machine pays: computed from the parts measured here, not measured itself.

    A machine is two workers. Sums: Dask's seconds fall with the number of workers, polars stays on one
    machine. Search: a fit takes what it takes, a cluster costs its start. Training: a step is computing,
    which is halved, and the exchange of gradients, which is not.
    """
    polars, dask = found["polars, x20"], found["Dask, x20"]
    machines = dask["seconds"] / polars["seconds"]
    out = [row("Dask, sums", "machines needed to be as fast as polars on one", (machines,) * 3, 1)]
    gb = found["pandas, x8"]["peak MB"] / 8e3
    out.append(row("pandas, sums", "shops that fill 8 GB", (8 / gb,) * 3, 1))
    start = dask["seconds to start"]
    fit = found["search, 1 worker"]["seconds"] / len(SETTINGS)
    out.append(row("search", "settings from which a second machine pays", (4 * start / fit,) * 3, 1))
    one, two = (found[f"training, {n}"]["seconds of the loop"] / 96 for n in (1, 2))
    exchange = max(two - one / 2, 0.0)
    out.append(row("training", "ms of a step, one process", (1e3 * one,) * 3, 1))
    out.append(row("training", "ms of the exchange in a step", (1e3 * exchange,) * 3, 1))
    windows = 256 * 2 * exchange / one
    return [*out, row("training", "windows per batch from which two workers pay", (windows,) * 3, 1)]


def rows(quick, log):
    jobs = {name: functools.partial(best_of, *about) for name, about in pieces(quick).items()}
    return table_of(kept("scale", jobs, log), quick)


def table_of(found: dict[str, dict], quick: bool) -> list[dict]:
    """The rows of the table, from what every piece told."""
    table, one = [], found["pandas, x1"]
    for name, about in found.items():
        model, _, place = name.partition(", x") if ", x" in name else (name, "", "")
        if place:  # the table keeps six digits: so it tells how far off the sums are, not the sums
            off = {"dollars off": about["total"] - int(place) * one["total"]}
            about = about | off | {"rows off": about["rows"] - int(place) * one["rows"]}
        if "losses" in about:
            pairs = zip(about["losses"], found["search, 1 worker"]["losses"], strict=True)
            about = about | {"settings with the loss of 1 worker": sum(a == b for a, b in pairs)}
        for metric, value in about.items():
            if metric in ("slowest", "runs", "error", "losses", "total"):
                continue
            value = round(value, 2) if metric == "dollars off" else value
            high = about["slowest"] if metric == "seconds" else value
            table.append(row(model, metric, (value, value, high), 1, shops=int(place) if place else ""))
    return table + ([] if quick else pays(found))


DOES = {each.__name__: each for each in (sums, purchase_on_dask, purchase_in_one, search, training)}

if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, ALL_CORES)
    print(json.dumps(DOES[sys.argv[1]](*sys.argv[2:])))
