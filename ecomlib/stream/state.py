"""The network one trip at a time, and what is kept of a customer between two trips."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ecomlib.gates import sigmoid
from ecomlib.stream.trips import DAY, INPUTS, Trip, inputs


class Cell:
    """One LSTM layer and a sigmoid on top, a step at a time: the arithmetic of lesson 13.

    Parameters
    ----------
    weights : [W (d, 4u), U (u, 4u), b (4u,), V (u, 1), v (1,)]
        As `get_weights()` of `ecomlib.stream.trips.network` gives them.
    """

    def __init__(self, weights: Sequence[np.ndarray]):
        self.kernel, self.recurrent, self.bias, self.head, self.shift = weights
        self.width, self.units = self.kernel.shape[0], len(self.recurrent)

    def step(self, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read the trips x (n, d) of n customers; return probabilities (n,) and the new states (n, 2u).

        A state is h and c side by side; a new customer's is zero.
        """
        u = self.units
        z = x @ self.kernel + state[:, :u] @ self.recurrent + self.bias
        gates = sigmoid(z)
        c = gates[:, u : 2 * u] * state[:, u:] + gates[:, :u] * np.tanh(z[:, 2 * u : 3 * u])
        h = gates[:, 3 * u :] * np.tanh(c)
        return sigmoid(h @ self.head + self.shift)[:, 0], np.concatenate([h, c], axis=1)


class Households:
    """Apply trips to what is kept of each customer, in the order of (time, order), however they arrive.

    Kept are the trips of the last `late` seconds with the state after each, and one trip before them. A late
    trip is put in its place, and the steps after it are done again. A trip that is already there is a
    duplicate; one older than `late` is too late. Neither changes anything.

    Parameters
    ----------
    cell : Cell
        With 8 inputs, or 9: then the trip counter is one.
    late : int, optional
        Seconds; 0 keeps the newest trip only. None compares nothing: each trip is applied as it arrives,
        and one that comes twice counts twice.
    """

    def __init__(self, cell: Cell, late: int | None = 2 * DAY):
        self.cell, self.late = cell, late
        whole = [("time", "i8"), ("order", "i8"), ("before", "i8"), ("number", "i8"), ("lines", "i8")]
        self.kind = np.dtype([*whole, ("spend", "f8"), ("p", "f4"), ("state", "f4", (2 * cell.units,))])
        self.steps = 0  # cell steps so far

    def apply(
        self, kept: Mapping[int, bytes | None], trips: Iterable[Trip]
    ) -> tuple[dict[int, bytes], list[str]]:
        """Apply a micro-batch of trips, in the order of arrival.

        `kept` maps each of its customers to what is kept, None for a new one. Returns what is kept now of
        the customers that changed, records of `kind` as bytes, the newest trip last; and for each trip
        "counted", "duplicate" or "too late".
        """
        books = {c: np.frombuffer(b or b"", self.kind).copy() for c, b in kept.items()}
        todo: dict[int, int] = {}  # customer -> the first position whose state is not known
        said = []
        for trip in trips:
            book, name = books[trip.customer], trip.customer
            ordered = self.late is not None and len(book) > 0
            if ordered and ((book["order"] == trip.order) & (book["time"] == trip.time)).any():
                said.append("duplicate")
            elif ordered and trip.time < book["time"][-1] - self.late:
                said.append("too late")
            else:
                books[name], at = self._place(book, trip)
                todo[name] = min(at, todo.get(name, at))
                said.append("counted")
        changed = list(todo)
        while todo:
            self._steps(books, todo)
        return {name: self._recent(books[name]).tobytes() for name in changed}, said

    def state(self, kept: bytes) -> np.ndarray:
        """The state after a customer's newest trip: (2u,)."""
        return np.frombuffer(kept, self.kind)["state"][-1]

    def _place(self, book: np.ndarray, trip: Trip) -> tuple[np.ndarray, int]:
        """Put a trip where its (time, order) belongs."""
        time, order = book["time"], book["order"]
        at = int(((time < trip.time) | ((time == trip.time) & (order < trip.order))).sum())
        at = len(book) if self.late is None else at
        new = np.zeros(1, self.kind)
        for field in ("time", "order", "spend", "lines"):
            new[field] = getattr(trip, field)
        first = max(1, book["number"][0]) if len(book) else 1
        book = np.concatenate([book[:at], new, book[at:]])
        book["number"] = first + np.arange(len(book))
        book["before"][1:] = book["time"][:-1]
        if first == 1:
            book["before"][0] = -1
        return book, at

    def _steps(self, books: dict[int, np.ndarray], todo: dict[int, int]) -> None:
        """Do the next step of every customer in `todo`, all in one product; take off those that are done."""
        rows = np.stack([books[name][at] for name, at in todo.items()])
        old = [books[n]["state"][at - 1] if at else np.zeros(2 * self.cell.units) for n, at in todo.items()]
        x = inputs(rows, counter=self.cell.width > len(INPUTS))
        p, state = self.cell.step(x, np.stack(old).astype(np.float32))
        self.steps += len(rows)
        for row, (name, at) in enumerate(list(todo.items())):
            books[name]["p"][at], books[name]["state"][at] = p[row], state[row]
            todo[name] += 1
            if todo[name] == len(books[name]):
                del todo[name]

    def _recent(self, book: np.ndarray) -> np.ndarray:
        """The trips of the last `late` seconds and one before them."""
        if self.late is None:
            return book[-1:]
        return book[max(0, int((book["time"] < book["time"][-1] - self.late).sum()) - 1) :]
