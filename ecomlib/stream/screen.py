"""The till's screen: a live page from the standard library's server, for this machine only."""

import json
import time
from collections import Counter, deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np

from ecomlib.stream.log import Log
from ecomlib.stream.state import Households
from ecomlib.stream.trips import COUNTER, INPUTS, Trip, inputs, outside, stability

PAGE = Path(__file__).with_name("screen.html")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Board:
    """What the screen shows; `tell` is what a `Consumer` calls after each micro-batch.

    Parameters
    ----------
    households, log : Households, Log
        Those of the consumer.
    reference : float array (n, inputs)
        Inputs of the trips that the network was trained on: the drift is measured against them.
    products : dict, optional
        Customer -> names of the products to show.
    """

    def __init__(
        self,
        households: Households,
        reference: np.ndarray,
        log: Log,
        products: Mapping[int, list[str]] | None = None,
    ):
        self.households, self.log = households, log
        self.reference, self.products = reference, products or {}
        self.latest: deque = deque(maxlen=12)
        self.seen: deque = deque(maxlen=2000)  # inputs of the newest trips
        self.pace: deque = deque(maxlen=200)  # (clock, trips so far)
        self.count: Counter = Counter()
        self.lock = Lock()

    def tell(self, trips: list[Trip], said: list[str], kept: dict[int, bytes]) -> None:
        """Take note of a micro-batch."""
        with self.lock:
            self.count.update(said)
            for trip in (t for t, became in zip(trips, said, strict=True) if became == "counted"):
                book = np.frombuffer(kept[trip.customer], self.households.kind)
                own = book[(book["order"] == trip.order) & (book["time"] == trip.time)]
                if not len(own):  # a later trip of the same micro-batch has replaced it
                    continue
                self.seen.append(inputs(own, self.reference.shape[1] > len(INPUTS))[0])
                show = {
                    "time": trip.time,
                    "customer": trip.customer,
                    "spend": round(trip.spend, 2),
                    "back": round(float(own["p"][0]), 3),
                    "products": self.products.get(trip.customer, []),
                }
                self.latest.appendleft(show)
            self.pace.append((time.monotonic(), sum(self.count.values())))

    def now(self) -> dict[str, Any]:
        """The page's numbers as JSON takes them."""
        with self.lock:
            (t0, n0), (t1, n1) = (self.pace[0], self.pace[-1]) if self.pace else ((0, 0), (0, 0))
            found: dict[str, Any] = {"latest": list(self.latest), "counts": dict(self.count)}
            recent = np.array(self.seen)
        found["per_second"] = round((n1 - n0) / (t1 - t0), 1) if t1 > t0 else 0
        found |= {"waiting": self.log.waiting(), "aside": len(self.log.aside()), "drift": []}
        if len(recent) >= 200:
            for name, then, now in zip((*INPUTS, COUNTER), self.reference.T, recent.T, strict=False):
                found["drift"].append([name, round(stability(then, now), 3), round(outside(then, now), 3)])
        return found


class Screen(ThreadingHTTPServer):
    """Serve a board on 127.0.0.1 as long as the block runs; `url` is the page's address.

    A request under another name than this machine's is refused: no page elsewhere can read this one.
    """

    def __init__(self, board: Board, port: int = 0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.board, self.url = board, f"http://127.0.0.1:{self.server_port}/"

    def __enter__(self) -> "Screen":
        Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Screen

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "").partition(":")[0]
        body, kind = b"", "text/html; charset=utf-8"
        if self.path == "/":
            body = PAGE.read_bytes()
        elif self.path == "/now":
            body, kind = json.dumps(self.server.board.now()).encode(), "application/json"
        status = 403 if host not in ("127.0.0.1", "localhost") else 200 if body else 404
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if status == 200 else b"")

    def log_message(self, *told: Any) -> None:
        """Say nothing: one request comes every half second."""
