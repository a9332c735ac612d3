"""The test that time never leaks: change the future, and nothing made at the cut-off may move.

Use it in every use case: build features and predictions from `shop` and from `change_after(shop, cutoff)`
and compare them with `assert_identical`.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ecomlib.shop import Shop


def change_after(shop: Shop, cutoff: str | pd.Timestamp, seed: int = 0) -> Shop:
    """Return the shop with every order line at or after the cut-off changed: who, what, how much, how many.

    Half of the later lines are dropped, the others get another product and customer of the shop,
    and another revenue, quantity and discount. The calendar (first and last day) stays as it is.
    Promotions are plans, known before: they stay.
    """
    rng = np.random.default_rng(seed)
    orders = shop.orders.copy()
    later = np.flatnonzero(orders["timestamp"].to_numpy() >= np.datetime64(cutoff))
    n = len(later)
    for column in ("product_id", "customer_id"):
        other = orders[column].to_numpy()[rng.integers(0, len(orders), n)]
        orders[column] = orders[column].to_numpy(copy=True)
        orders.iloc[later, orders.columns.get_loc(column)] = other
    for column in ("revenue", "quantity", "discount"):
        values = orders[column].to_numpy(dtype=float, copy=True)
        values[later] = np.ceil(values[later] * 3 + rng.gamma(2, 20, n))
        orders[column] = values.astype(orders[column].dtype)
    drop = rng.random(n) < 0.5
    drop[-1:] = False  # keep the last line, so that the days are the same
    keep = np.ones(len(orders), bool)
    keep[later[drop]] = False
    redemptions = shop.redemptions
    if redemptions is not None:
        redemptions = redemptions[redemptions["date"] < pd.Timestamp(cutoff)].reset_index(drop=True)
    return shop.with_tables(orders=orders[keep].reset_index(drop=True), redemptions=redemptions)


def change_future(
    shop: Shop, when: pd.Timestamp, ahead: str = "7D", seed: int = 0, newcomers: bool = True
) -> Shop:
    """Change all that is not known before `when`, as hard as can be; what is made of the past must stay.

    On top of `change_after`: customers (`newcomers`) and products of the tables that no order has come in;
    whoever shops on the first changed day does so with another basket; plans from `when` + `ahead` on are
    others, and so are campaigns and redemptions; lines of the same moment, of the past too, stand in another
    order.
    """
    rng = np.random.default_rng(seed)
    late = shop.orders["timestamp"] >= when
    lines = shop.orders.assign(order_id=shop.orders["order_id"].where(~late, 10**6 + np.arange(len(late))))
    orders = change_after(shop.with_tables(orders=lines), when, seed).orders
    late = np.flatnonzero(orders["timestamp"] >= when)
    for column, table in (("customer_id", shop.customers), ("product_id", shop.products)):
        new = table.loc[~table[column].isin(shop.orders[column]), column]
        share = 0.3 if newcomers or column == "product_id" else 0.0
        pick = late[rng.random(len(late)) < share]
        orders.loc[pick, column] = rng.choice(new, len(pick))
    today = shop.orders[shop.orders["timestamp"].dt.normalize() == when].drop_duplicates("customer_id")
    again = pd.concat([today, today.sample(n=3 * len(today), replace=True, random_state=seed)])
    again["order_id"] = 10**7 + np.arange(len(again))
    again["product_id"] = rng.choice(shop.products["product_id"], len(again))
    orders = pd.concat([orders, again]).sample(frac=1, random_state=seed)
    orders = orders.sort_values("timestamp", kind="stable", ignore_index=True)
    return shop.with_tables(orders=orders, **_other_plans(shop, when, ahead))


def _other_plans(shop: Shop, when: pd.Timestamp, ahead: str) -> dict[str, pd.DataFrame]:
    """Promotions from `when` + `ahead` on, campaigns and redemptions from `when` on: all others."""
    plan, begun = shop.promotions.copy(), shop.campaigns.copy()
    late = plan["week_start"] >= when + pd.Timedelta(ahead)
    plan.loc[late, "mailer"] = 1.0
    plan.loc[late, "display"] = plan.loc[late, "display"] + 0.5
    plan.loc[late, "product_id"] = np.resize(shop.products["product_id"], late.sum())
    late = begun["start"] >= when
    begun.loc[late, "end"] = begun["end"].max() + pd.Timedelta("70D")
    begun.loc[late, "customer_id"] = np.resize(shop.customers["customer_id"], late.sum())
    used = shop.redemptions[shop.redemptions["date"] < when]
    used = pd.concat([used, used.assign(date=when + pd.Timedelta("1D"))], ignore_index=True)
    plan = plan.drop_duplicates(["product_id", "week_start"], ignore_index=True)
    begun = begun.drop_duplicates(["customer_id", "campaign_id"], ignore_index=True)
    return {"promotions": plan, "campaigns": begun, "redemptions": used}


def sealed(task: Any) -> Any:
    """The task with a test part that cannot be asked for: whatever chooses has to do without."""

    class Sealed(type(task)):
        pass

    for name in ("cutoffs", "rows", "targets", "labels", "counts"):
        if hasattr(task, name):
            setattr(Sealed, name, _refuse_test(getattr(type(task), name)))
    return Sealed(**{field.name: getattr(task, field.name) for field in fields(task)})


def _refuse_test(method: Callable) -> Callable:
    def refuse(self, part: str = "test", *rest: Any) -> Any:
        assert part != "test", "the test part is sealed, and something asks for it"
        return method(self, part, *rest)

    return refuse


def plant(monkeypatch: Any, owner: Any, name: str, old: str, new: str) -> None:
    """Put a leak into a function of a module or a method of a class: one piece of its code is another.

    A function is replaced wherever the course has imported it.
    """
    was = vars(owner)[name]
    source = textwrap.dedent(inspect.getsource(was.func if isinstance(was, cached_property) else was))
    assert old in source, f"{name} does not hold {old!r} any more"
    module = owner if inspect.ismodule(owner) else inspect.getmodule(owner)
    made: dict[str, Any] = {}
    exec(compile(source.replace(old, new), f"<{name} with a leak>", "exec"), vars(module), made)
    if isinstance(was, cached_property):
        made[name].__set_name__(owner, name)
    monkeypatch.setattr(owner, name, made[name])
    for other in [m for n, m in sys.modules.items() if n.split(".")[0] in ("ecomlib", "benchmarks")]:
        if vars(other).get(name) is was:
            monkeypatch.setattr(other, name, made[name])


def assert_identical(a, b, path: str = "", near: float = 0.0) -> None:
    """Assert that two (nested) results are equal bit for bit.

    `near`: fractions may differ by so much of their mean size.
    """
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_identical(a[key], b[key], f"{path}/{key}", near)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_identical(x, y, f"{path}/{i}", near)
    else:
        x, y = np.asarray(a), np.asarray(b)
        assert x.shape == y.shape and x.dtype == y.dtype, f"{path}: {x.shape} {x.dtype}, {y.shape} {y.dtype}"
        fractions = x.dtype.kind == "f"
        same = np.array_equal(x, y, equal_nan=fractions)
        if near and fractions and not same:
            same = np.allclose(x, y, rtol=0, atol=near * np.nanmean(abs(x)), equal_nan=True)
        assert same, f"{path}: values differ"
