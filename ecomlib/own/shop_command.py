"""Read an export of a shop system, and answer for the days after its last one: python course.py shop FILE."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from ecomlib.own.opening import SWITCHES, check_export, open_shop
from ecomlib.shop import Shop
from ecomlib.shop.errors import ShopError
from ecomlib.shop.shop import members


def main(arguments: list[str] | None = None) -> int:
    """Read, check or ask an export; returns the exit status: 1 where something has to be fixed."""
    parser = argparse.ArgumentParser(prog="python course.py shop", description=__doc__)
    parser.add_argument("files", nargs="+", help="the export: a file, several, or a folder")
    parser.add_argument("--check", action="store_true", help="say every finding at once, with counts")
    parser.add_argument("--out", type=Path, help="a folder for the forecast, the lists and the page")
    parser.add_argument("--country", help="whose holidays are known ahead, such as DE")
    parser.add_argument(
        "--fits", type=int, default=1, help="networks that are trained for the test (default 1)"
    )
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
    asked = {name: options.pop(name) for name in ("country", "fits")}
    options["columns"] = dict(text.partition("=")[::2] for text in options["columns"])
    paths = files if len(files) > 1 else files[0]
    if check:
        report = check_export(paths, **options)
        print(report)
        return 1 if report.problems else 0
    try:
        shop = open_shop(paths, **options)
    except (ShopError, OSError) as error:
        print(f"cannot go on: {error}", file=sys.stderr)
        return 1
    print(shop.report, f"\n{shop}", sep="\n")
    return 0 if out is None else answer_all(shop, out, **asked)


def answer_all(shop: Shop, out: Path, country: str | None = None, **options: Any) -> int:
    """Ask a shop the three questions and write the files and the page; what cannot be answered is said.

    `options` go to the three functions, such as fits=1. Returns 1 where no question has an answer.
    """
    from ecomlib.own.answer import forecast_sales, predict_purchases, recommend_products
    from ecomlib.own.report import write_answers

    print(f"Three questions; this takes about {expected_minutes(shop):.0f} min on two cores.", flush=True)
    asks: dict[str, Any] = {
        "forecast.csv": lambda: forecast_sales(shop, country=country, **options),
        "who_to_contact.csv": lambda: predict_purchases(shop, **options),
        "recommendations.csv": lambda: recommend_products(shop, **options),
    }
    answers, begun = {}, time.monotonic()
    for file, ask in asks.items():
        try:
            answers[file] = ask()
        except ShopError as error:
            answers[file] = str(error)
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
