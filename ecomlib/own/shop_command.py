"""Read an export of a shop system and say what is in it: python course.py shop FILE [--check]."""

import argparse
import sys
from typing import Any

from ecomlib.own.opening import SWITCHES, check_export, open_shop
from ecomlib.shop.errors import ShopError


def main(arguments: list[str] | None = None) -> int:
    """Read or check an export; returns the exit status: 1 where something has to be mended."""
    parser = argparse.ArgumentParser(prog="python course.py shop", description=__doc__)
    parser.add_argument("files", nargs="+", help="the export: a file, several, or a folder")
    parser.add_argument("--check", action="store_true", help="say every finding at once, with counts")
    pair: dict[str, Any] = {"metavar": "OURS=HEADER", "nargs": "*", "default": []}
    parser.add_argument("--columns", help="what your headers hold: order_id=Invoice", **pair)
    for name in ("currency", "timezone", "decimal"):
        parser.add_argument(f"--{name}", help="see ecomlib.open_shop")
    order: dict[str, Any] = {"action": argparse.BooleanOptionalAction, "help": "does 3/4/2024 lie in April?"}
    parser.add_argument("--dayfirst", default=None, **order)
    for name, values in SWITCHES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", choices=values, default=values[0])
    options = vars(parser.parse_args(arguments))
    files, check = options.pop("files"), options.pop("check")
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
