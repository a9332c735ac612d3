"""Read an export of a shop system, and answer for the days after its last one: python course.py shop FILE."""

import argparse
import re
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ecomlib.own.opening import SWITCHES, check_export, open_shop
from ecomlib.panels import WEEKDAYS
from ecomlib.sales.known_ahead import open_days
from ecomlib.shop import Shop
from ecomlib.shop.errors import BadValue, ShopError
from ecomlib.shop.shop import members


def main(arguments: list[str] | None = None) -> int:
    """Read, check or ask an export; returns the exit status: 1 where something has to be fixed."""
    parser = argparse.ArgumentParser(prog="python course.py shop", description=__doc__)
    parser.add_argument("files", nargs="+", help="the export: a file, several, or a folder")
    parser.add_argument("--check", action="store_true", help="say every finding at once, with counts")
    parser.add_argument("--out", type=Path, help="a folder for the forecast, the lists and the page")
    parser.add_argument("--country", help="whose holidays are known ahead, such as DE")
    days = "days on which the shop never opens: Sun, 12-25 (of every year), 2024-12-27"
    parser.add_argument("--closed", nargs="+", metavar="DAY", default=[], help=days)
    parser.add_argument("--fits", type=int, default=1, help="networks that are trained (default 1)")
    pair: dict[str, Any] = {"metavar": "OURS=HEADER", "nargs": "*", "default": []}
    parser.add_argument("--columns", help="what your headers hold: order_id=Invoice", **pair)
    for name in ("currency", "timezone", "decimal"):
        parser.add_argument(f"--{name}", help="see ecomlib.open_shop")
    order: dict[str, Any] = {"action": argparse.BooleanOptionalAction, "help": "does 3/4/2024 lie in April?"}
    parser.add_argument("--dayfirst", default=None, **order)
    for name, values in SWITCHES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", choices=values, default=values[0])
    options = vars(parser.parse_args(arguments))
    files, check, out = (options.pop(name) for name in ("files", "check", "out"))
    asked = {name: options.pop(name) for name in ("country", "closed", "fits")}
    options["columns"] = dict(text.partition("=")[::2] for text in options["columns"])
    paths = files if len(files) > 1 else files[0]
    try:
        asked["closed"] = [closed_day(text) for text in asked["closed"]]
        if check:
            report = check_export(paths, **options)
            print(report)
            return 1 if report.problems else 0
        shop = open_shop(paths, **options)
    except (ShopError, OSError) as error:
        print(f"cannot go on: {error}", file=sys.stderr)
        return 1
    print(shop.report, f"\n{shop}", sep="\n")
    return 0 if out is None else answer_all(shop, out, **asked)


def closed_day(text: str) -> Any:
    """Read "sunday", "12-25" (of every year) or "2024-12-27" as `forecast_sales(closed=...)` takes it."""
    day: Any = {name[:n].lower(): name[:3] for name in WEEKDAYS for n in (3, 9)}.get(text.lower())
    if date := re.fullmatch(r"(\d{4}-)?(\d\d?)-(\d\d?)", text):
        day = text if date[1] else (int(date[2]), int(date[3]))
    with suppress(BadValue):
        if day:
            open_days(pd.DatetimeIndex([]), [day])
            return day
    raise BadValue(f"--closed {text}: say a weekday (Sun), a month and day (12-25) or a date (2024-12-27).")


def answer_all(shop: Shop, out: Path, country: str | None = None, closed: Iterable = (), **more: Any) -> int:
    """Ask a shop the three questions and write the files and the page; what cannot be answered is said.

    `more` goes to the three functions, such as fits=1. Returns 1 where no question has an answer.
    """
    from ecomlib.own.answer import forecast_sales, predict_purchases, recommend_products
    from ecomlib.own.report import write_answers

    print(f"Three questions; this takes about {expected_minutes(shop):.0f} min on two cores.", flush=True)
    asks: dict[str, Any] = {
        "forecast.csv": lambda: forecast_sales(shop, country=country, closed=closed, **more),
        "who_to_contact.csv": lambda: predict_purchases(shop, **more),
        "recommendations.csv": lambda: recommend_products(shop, **more),
    }
    answers, begun = {}, time.monotonic()
    for file, ask in asks.items():
        try:
            answers[file] = replace(ask(), model=None)  # the page needs none, and the next its memory
        except ShopError as error:
            answers[file] = str(error)
        if "keras" in sys.modules:
            sys.modules["keras"].backend.clear_session()
        print(f"[{(time.monotonic() - begun) / 60:.1f} min] {file}: {answers[file]}\n", flush=True)
    for path in write_answers(out, shop, answers):
        print(path)
    return int(all(isinstance(answer, str) for answer in answers.values()))


def expected_minutes(shop: Shop) -> float:
    """How long the three questions may take with one fit each: a rough guess from the sizes of the shop."""
    orders = members(shop.orders)
    weeks = (shop.orders["timestamp"].max() - shop.orders["timestamp"].min()).days / 7
    trips = len(orders[["customer_id", "order_id"]].drop_duplicates())
    cells = orders["customer_id"].nunique() * weeks
    return 1 + weeks / 50 + cells / 1e5 + trips / 1e5


if __name__ == "__main__":
    sys.exit(main())
