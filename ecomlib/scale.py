"""The course's functions on a shop that one process cannot hold: sums part by part, and Dask.

A shop in parts is a folder: files `orders*.parquet`, each with whole customers, and beside them the other
tables of the course's layout. The packages come with `python course.py setup --group scale`.
"""

import copyreg
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecomlib import panels, purchases
from ecomlib.own import opening
from ecomlib.panels import WeeklyPanel
from ecomlib.purchases.channels import build, cells, levels
from ecomlib.purchases.task import PurchaseTask, customer_weeks, most_bought, split_weeks
from ecomlib.shop import BadValue, Shop
from ecomlib.shop.errors import TABLES
from ecomlib.split import Split

ENGINES = ("files", "polars", "dask")
ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
KEY = ["customer_id", "week", "department"]
Client = Any  # dask.distributed.Client, which is imported only when it is asked for


def package(name: str) -> Any:
    """Import a package of the group `scale`.

    Raises an ImportError that says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise ImportError(f"{name} is missing; type `python course.py setup --group scale` once.") from None


def connect(where: int | str = 2, **options: Any) -> Client:
    """Start workers on this machine, each a process with one thread; or join a cluster by its address.

    Parameters
    ----------
    where : int or str
        The number of workers, or the address that `dask scheduler` prints, such as "tcp://10.0.0.7:8786".
        The workers of a cluster need this folder and the packages, too.
    **options
        Of `dask.distributed.LocalCluster`, such as memory_limit="1.5GB".
    """
    distributed = package("distributed")
    # A use case loads its rooms when they are asked for; a function that names one travels by that name.
    copyreg.pickle(type(purchases), lambda module: (importlib.import_module, (module.__name__,)))  # type: ignore[arg-type]
    if isinstance(where, str):
        return distributed.Client(where)
    local = {"threads_per_worker": 1, "dashboard_address": ":0", "env": ONE_THREAD, "silence_logs": 50}
    return distributed.Client(n_workers=where, **local | options)


def parts_of(folder: str | Path) -> tuple[list[Path], dict[str, Path]]:
    """Files of order lines, and the other tables by name, of a shop in parts."""
    files = sorted(Path(folder).glob("*.parquet"))
    others = {name: path for path in files for name in TABLES[1:] if path.stem.startswith(name)}
    lines = [path for path in files if path.stem.startswith("orders")]
    if not lines or "products" not in others:
        raise BadValue(f"{folder}: give a folder with orders*.parquet and products.parquet.")
    return lines, others


def weekly_sums(folder: str | Path, engine: str = "files", client: Client = None) -> pd.DataFrame:
    """Sum the revenue of a shop in parts by customer, week and department.

    Parameters
    ----------
    engine : str
        "files": pandas, one part after the other, then the sums of the sums; "polars": one query that
        streams through the files; "dask": as "files", the parts side by side on the workers.
    client : Client, optional
        For "dask"; see `connect`.

    Returns
    -------
    DataFrame
        customer_id, week (its Monday), department, revenue; sorted. The same rows from every engine.
    """
    if engine not in ENGINES:
        raise BadValue(f"engine={engine!r}: choose from {ENGINES}.")
    lines, others = parts_of(folder)
    if engine == "polars":
        return _polars(lines, others["products"])
    products = pd.read_parquet(others["products"], columns=["product_id", "department"])
    group = products.set_index("product_id")["department"].astype("str").astype("category")
    if engine == "dask":
        sums = client.gather(client.map(_sum_file, lines, group=client.scatter(group), pure=False))
    else:
        sums = [_sum_file(path, group) for path in lines]
    return _sum(pd.concat(sums, ignore_index=True))


def _sum_file(path: Path, group: pd.Series) -> pd.DataFrame:
    lines = pd.read_parquet(path, columns=["customer_id", "product_id", "timestamp", "revenue"])
    return sum_lines(lines, group)


def sum_lines(lines: pd.DataFrame, group: pd.Series) -> pd.DataFrame:
    """The sums of some order lines; `group` has the department of each product_id."""
    day = lines["timestamp"].to_numpy().astype("datetime64[D]")
    monday = day - (day.astype(np.int64) + 3) % 7  # 1 January 1970 was a Thursday
    which = group.index.get_indexer(lines["product_id"])
    return _sum(lines.assign(week=monday, department=group.array.take(which, allow_fill=True)))


def _sum(lines: pd.DataFrame) -> pd.DataFrame:
    return lines.groupby(KEY, observed=True)["revenue"].sum().reset_index()


def _polars(lines: Sequence[Path], products: Path) -> pd.DataFrame:
    pl = package("polars")
    week = pl.col("timestamp").dt.truncate("1w").alias("week")
    named = pl.scan_parquet(lines).join(
        pl.scan_parquet(products).select("product_id", "department"), on="product_id"
    )
    sums = named.group_by("customer_id", week, "department").agg(pl.col("revenue").sum())
    return sums.sort(KEY).collect(engine="streaming").to_pandas()


@dataclass(frozen=True)
class Parts:
    """A shop in parts of whole customers, on the workers of a cluster.

    Attributes
    ----------
    client : Client
    shops : list of Future
        A `Shop` per part: its cleaned order lines, and all of the other tables, which a worker holds once.
    steps : DataFrame
        What was read and left out of each part: step, lines, left_out, revenue.
    """

    client: Client
    shops: list = field(repr=False)
    steps: pd.DataFrame = field(repr=False)

    def map(self, function: Callable, *settings: Any) -> list:
        """Apply a function of a Shop, and settings, to every part where it lies; the results, in order."""
        [told] = self.client.scatter([settings], hash=False)
        options = {"function": function, "settings": told, "pure": False}
        return self.client.gather(self.client.map(_apply, self.shops, **options))


def _apply(shop: Shop, function: Callable, settings: tuple) -> Any:
    return function(shop, *settings)


def open_shop(folder: str | Path, client: Client, **options: Any) -> Parts:
    """Open every part with `ecomlib.open_shop`, on the workers.

    Takes its options. Each part is judged by its own lines, so a customer may stand in one part only.

    Raises
    ------
    BadValue
        When a customer has lines in two parts, or ids are numbers in one and texts in another.
    """
    lines, others = parts_of(folder)
    first, *more = lines
    opened = [client.submit(_open, [first, *others.values()], options, pure=False)]
    opened += client.map(_open, [[path, others["products"]] for path in more], options=options, pure=False)
    tables = client.submit(itemgetter(1), opened[0], pure=False)
    shops = client.map(_shop, opened, others=tables, pure=False)
    ids, steps = zip(*client.gather(client.map(itemgetter(2), opened, pure=False)), strict=True)
    if len({each.dtype.kind for each in ids}) > 1:
        raise BadValue(f"{folder}: customer_id holds numbers in one part and texts in another.")
    counts = pd.Series(np.concatenate(ids)).value_counts()
    if counts.max() > 1:
        who = counts.index[0]
        raise BadValue(f"{folder}: customer {who} has lines in two parts; use `scale.by_customer` first.")
    return Parts(client, shops, pd.concat(steps, ignore_index=True))


def _open(paths: list[Path], options: dict) -> tuple:
    shop = opening.open_shop(paths, **options)
    others = {name: table for name in TABLES[1:] if (table := getattr(shop, name)) is not None}
    steps = shop.report.steps[["step", "lines", "left_out", "revenue"]]
    return shop.orders, others, (shop.orders["customer_id"].unique(), steps)


def _shop(opened: tuple, others: dict) -> Shop:
    return Shop(opened[0], **others)


def by_customer(files: Sequence[str | Path], folder: str | Path, n: int) -> None:
    """Write order lines anew, in n parts with whole customers; with a Client open, on its workers."""
    lines = package("dask.dataframe").read_parquet([str(path) for path in files])
    shuffled = lines.shuffle("customer_id", npartitions=n)
    shuffled.to_parquet(folder, name_function=lambda i: f"orders_{i:03}.parquet", write_index=False)


def weekly_panel(parts: Parts, start: Any = None, end: Any = None) -> WeeklyPanel:
    """`panels.weekly_panel` of all parts: equal to that of the whole shop."""
    if start is None or end is None:
        first, last = panels.whole_weeks(np.concatenate(parts.map(_days)))
        start, end = first if start is None else start, last if end is None else end
    made = parts.map(_panel, start, end)
    customers = np.concatenate([panel.customers for panel in made])
    order = np.argsort(customers, kind="stable")
    values, known = (np.concatenate([getattr(p, name) for p in made])[order] for name in ("values", "first"))
    return WeeklyPanel(values, made[0].channels, customers[order], made[0].weeks, known)


def _days(shop: Shop) -> np.ndarray:
    return np.unique(shop.orders["timestamp"].to_numpy().astype("datetime64[D]"))


def _panel(shop: Shop, start: pd.Timestamp, end: pd.Timestamp) -> WeeklyPanel:
    return panels.weekly_panel(shop.orders, start, end)


def purchase_tasks(
    parts: Parts, split: Split, function: Callable[[PurchaseTask], Any], n_categories: int = 30
) -> list:
    """Build `purchases.task` part by part and apply a function to each; the results, in order of the parts.

    A part's task is equal to the rows of its customers in the task of the whole shop: categories, scales and
    trend come from all parts. It lives on its worker only while `function` uses it.
    """
    panel = weekly_panel(parts)
    cutoffs = split_weeks(panel.weeks, split)
    n_train, end = cutoffs["valid"][0] + 1, cutoffs["test"][-1] + 2
    about = (panel.weeks[0], panel.weeks[end - 1], n_train)
    if end < len(panel.weeks):
        panel = weekly_panel(parts, *about[:2])
    count = pd.concat(parts.map(_count, *about)).groupby(level=0).sum()
    products = parts.client.submit(getattr, parts.shops[0], "products").result()
    categories, position = most_bought(count, products, n_categories)
    customers, lines, buyers = zip(*parts.map(_lines, *about, position), strict=True)
    order = np.argsort(np.concatenate(customers), kind="stable")  # as in one piece: a mean keeps its last bit
    common = levels(panel, np.concatenate(lines)[order], np.sum(buyers, axis=0), n_train)
    return parts.map(_task, *about, position, common, categories, cutoffs, function)


def _count(shop: Shop, start: pd.Timestamp, end: pd.Timestamp, n_train: int) -> pd.Series:
    return customer_weeks(shop.orders, shop.products, _panel(shop, start, end), n_train)


def _lines(
    shop: Shop, start: pd.Timestamp, end: pd.Timestamp, n_train: int, position: pd.Series
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lines of training above 0 with their customers, and how many customers bought: (w, k)."""
    panel = _panel(shop, start, end)
    shape = (len(panel.customers), len(panel.weeks), int(position.max()) + 1)
    lines = panels.sum_cells(cells(shop.orders, panel, position), shape).astype(np.float32)
    train = lines[:, :n_train]
    there = train > 0
    return np.repeat(panel.customers, there.sum(axis=(1, 2))), train[there], (lines > 0).sum(axis=0)


def _task(shop: Shop, start: Any, end: Any, n_train: int, position: pd.Series, *rest: Any) -> Any:
    common, categories, cutoffs, function = rest
    panel = _panel(shop, start, end)
    channels = build(shop, panel, position, n_train, common)
    return function(PurchaseTask(panel, categories, channels, cutoffs))
