"""Replay a shop's year through a log, a network and a live page: python course.py stream."""

import argparse
import sys
import time
import webbrowser
from bisect import bisect_right
from contextlib import nullcontext
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pandas as pd

from ecomlib.runtime import ROOT
from ecomlib.shop.errors import ShopError
from ecomlib.stream import trips as data
from ecomlib.stream.log import Consumer, Log, connect, server
from ecomlib.stream.screen import Board, Screen
from ecomlib.stream.state import Cell, Households

LEARN = 11  # weeks that the network learns from; then the whole year is replayed


def main(arguments: list[str] | None = None) -> int:
    """Train, or read what was trained before; replay the year; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python course.py stream", description=__doc__)
    parser.add_argument("files", nargs="*", help="your shop's export; without one, the running shop")
    parser.add_argument("--days", type=float, default=2.0, help="days of the shop per second (default 2)")
    parser.add_argument("--until", type=int, default=10**6, help="stop after so many trips")
    parser.add_argument("--server", default="", help="valkey, or redis://...; default: in this process")
    parser.add_argument("--answers", type=Path, help="a folder that Answer.save wrote: products to show next")
    parser.add_argument("--port", type=int, default=0, help="of the page (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the page's address")
    options = parser.parse_args(arguments)
    try:
        return play(options)
    except (ShopError, OSError) as error:
        print(f"cannot go on: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0


def play(options: argparse.Namespace) -> int:
    """Do what the options ask."""
    from ecomlib import clean, load_complete_journey, open_shop

    shop = open_shop(options.files) if options.files else clean(load_complete_journey())[0]
    table = data.trips(shop)
    known = table["week"] <= LEARN
    if known.all() or not known.any():
        raise OSError(f"the shop has no trips after its first {LEARN} weeks: there is nothing to replay.")
    households = Households(Cell(weights(table, not options.files)))
    with server(options.server) if options.server else nullcontext("") as url:
        log = Log(connect(url), name=f"trips:{time.time_ns()}")
        board = Board(households, data.inputs(table[known]), log, products(options.answers))
        end = Event()
        consumer = Consumer(log, households, tell=board.tell)
        worker = Thread(target=consumer.run, args=(end.is_set,), daemon=True)
        worker.start()
        with Screen(board, options.port) as screen:
            print(f"The till is at {screen.url} (this machine only); stop with Ctrl+C.", flush=True)
            if not options.no_browser:
                webbrowser.open(screen.url)
            begun = time.monotonic()
            n = replay(log, table, options.days, options.until)
            while log.waiting():
                time.sleep(0.05)
            took = time.monotonic() - begun
            print(f"{n:,} trips in {took:.0f} s, {n / took:,.0f} per second: {dict(board.count)}", flush=True)
        end.set()
        worker.join(5)
    return 0


def replay(log: Log, table: pd.DataFrame, days: float, until: int) -> int:
    """Send trips as fast as the shop's clock runs; return how many."""
    rows = [data.Trip(*row) for row in table[list(data.Trip._fields)].itertuples(index=False)][:until]
    begun, at = time.monotonic(), 0
    while at < len(rows):
        now = rows[0].time + (time.monotonic() - begun) * days * data.DAY
        since, at = at, bisect_right(rows, now, at, min(at + 500, len(rows)), key=lambda trip: trip.time)
        log.put(rows[since:at])
        time.sleep(0.02)
    return at


def weights(table: pd.DataFrame, keep: bool = False, epochs: int = 8) -> list[np.ndarray]:
    """Weights of a network that was trained on the first weeks; kept in build/stream for the running shop."""
    path = ROOT / "build" / "stream" / "weights.npz"
    if keep and path.exists():
        with np.load(path) as saved:
            return [saved[name] for name in saved.files]
    import keras

    print("Training the network on the first weeks (about half a minute).", flush=True)
    keras.utils.set_random_seed(0)
    some = table[(table["week"] <= LEARN) & (table["number"] <= 80)]  # 80: few have more in these weeks
    use = (some["week"] <= LEARN - 1) & (some["back"] >= 0)
    x, y = data.padded(some, data.inputs(some)), data.padded(some, np.maximum(some["back"].to_numpy(), 0))
    model = data.network(x.shape[-1])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", weighted_metrics=[])
    weight = data.padded(some, use.to_numpy(float))
    model.fit(x, y[..., None], sample_weight=weight, batch_size=128, epochs=epochs, verbose=0)
    found = [np.asarray(w) for w in model.get_weights()]
    if keep:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, *found)
    return found


def products(folder: Path | None) -> dict[int, list[str]]:
    """Three products per customer from a saved answer of `recommend_products`; nothing without one."""
    if folder is None:
        return {}
    table: Any = pd.read_csv(folder / "table.csv")
    if not {"customer_id", "item"} <= set(table.columns):
        raise OSError(f"{folder}: no table of recommended products; save the answer of recommend_products.")
    return {c: [str(item) for item in rows.head(3)] for c, rows in table.groupby("customer_id")["item"]}


if __name__ == "__main__":
    sys.exit(main())
