"""Click files: read them, cut them into sessions, and score a next-item LSTM against session-kNN.

    python -m ecomlib.events train FILE --format diginetica

Four layouts are read, all by path; nothing is ever downloaded:

============  ==============================================================================================
retailrocket  `events.csv`: timestamp (ms), visitorid, event, itemid, transactionid; visits are cut after
              30 idle minutes
yoochoose     `yoochoose-clicks.dat`, no header: session, timestamp (ISO, Z), item, category
diginetica    `train-item-views.csv`, semicolons: sessionId;userId;itemId;timeframe (ms in session);eventdate
course        `events.csv`: session_id, timestamp, product_id, and any further columns; without session_id a
              customer_id, whose visits are cut after 30 idle minutes
============  ==============================================================================================
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from ecomlib.recommend import (
    HISTORY,
    TEST,
    TRAIN,
    SequenceTask,
    keep_largest,
    look_back,
    sequence_counts,
)
from ecomlib.shop import BadValue, MissingColumn, ShopError, TooShort

FORMATS = ("retailrocket", "yoochoose", "diginetica", "course")
IDLE = pd.Timedelta(minutes=30)


def read_events(
    path: str | Path, format: str | None = None, kinds: tuple[str, ...] = ("view",)
) -> pd.DataFrame:
    """Read a click file.

    Parameters
    ----------
    path : path
    format : one of FORMATS, optional
        Guessed from the first line when left out.
    kinds : tuple of str
        RetailRocket and course files only: which events count as a step.

    Returns
    -------
    DataFrame
        Columns session, timestamp (naive, as in the file), item; sorted by session and time.

    Raises
    ------
    ShopError
        One sentence naming what is wrong with the file and how to mend it.
    """
    path = Path(path)
    if not path.is_file():
        raise BadValue(f"{path}: there is no such file; give the path of a click file.")
    format = format or guess_format(path)
    if format not in FORMATS:
        raise BadValue(f"format {format!r} is unknown; use one of {', '.join(FORMATS)}.")
    try:
        events = _READERS[format](path, kinds)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise BadValue(f"{path.name}: this is not a {format} file ({error}); check --format.") from None
    if events.empty:
        raise TooShort(f"{path.name}: no event of kind {', '.join(kinds)} is in the file.")
    return events.sort_values(["session", "timestamp"], kind="stable", ignore_index=True)


def guess_format(path: Path) -> str:
    """Tell the layout of a click file by its first line."""
    with open(path, encoding="utf-8") as file:
        first = file.readline()
    for format, sign in (
        ("retailrocket", "visitorid"),
        ("diginetica", "sessionId;"),
        ("course", "product_id"),
    ):
        if sign in first:
            return format
    if first.count(",") == 3 and first.strip()[:1].isdigit():
        return "yoochoose"
    raise BadValue(f"{path.name}: the first line {first.strip()[:60]!r} fits no known layout; give --format.")


def _require(columns: list[str], found: pd.Index, path: Path, hint: str = "") -> None:
    for column in columns:
        if column not in found:
            raise MissingColumn(f"{path.name}: column {column!r} is missing; found {', '.join(found)}.{hint}")


def _table(path: Path, columns: list[str], **options) -> pd.DataFrame:
    head = pd.read_csv(path, nrows=0, sep=options.get("sep", ","))
    _require(columns, head.columns, path, " Check --format.")
    return pd.read_csv(path, usecols=columns, **options)


def _retailrocket(path: Path, kinds: tuple[str, ...]) -> pd.DataFrame:
    table = _table(path, ["timestamp", "visitorid", "event", "itemid"])
    table = table[table["event"].isin(kinds)]
    stamp = pd.to_datetime(_numbers(table["timestamp"], path), unit="ms")
    return cut_visits(
        pd.DataFrame({"visitor": table["visitorid"], "timestamp": stamp, "item": table["itemid"]})
    )


def _yoochoose(path: Path, kinds: tuple[str, ...]) -> pd.DataFrame:
    table = pd.read_csv(path, header=None, usecols=[0, 1, 2], names=["session", "timestamp", "item"])
    return table.assign(timestamp=_moments(table["timestamp"], path))


def _diginetica(path: Path, kinds: tuple[str, ...]) -> pd.DataFrame:
    table = _table(path, ["sessionId", "itemId", "timeframe", "eventdate"], sep=";")
    day = _moments(table["eventdate"], path)
    stamp = day + pd.to_timedelta(_numbers(table["timeframe"], path), unit="ms")
    return pd.DataFrame({"session": table["sessionId"], "timestamp": stamp, "item": table["itemId"]})


def _course(path: Path, kinds: tuple[str, ...]) -> pd.DataFrame:
    table = pd.read_csv(path)
    _require(["timestamp", "product_id"], table.columns, path)
    if "event" in table.columns:
        table = table[table["event"].isin(kinds)]
    table = table.assign(timestamp=_moments(table["timestamp"], path)).rename(columns={"product_id": "item"})
    if "session_id" in table.columns:
        return table.rename(columns={"session_id": "session"})[["session", "timestamp", "item"]]
    if "customer_id" not in table.columns:
        raise MissingColumn(f"{path.name}: give a column 'session_id', or 'customer_id' to cut visits from.")
    return cut_visits(table.rename(columns={"customer_id": "visitor"})[["visitor", "timestamp", "item"]])


_READERS = {
    "retailrocket": _retailrocket,
    "yoochoose": _yoochoose,
    "diginetica": _diginetica,
    "course": _course,
}


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    value = pd.to_numeric(column, errors="coerce")
    if value.isna().any():
        row = int(value.isna().to_numpy().argmax())
        raise BadValue(
            f"{path.name}: column {column.name!r} has {column.iloc[row]!r} in line {column.index[row] + 2}; "
            f"it must hold milliseconds as a number."
        )
    return value


def _moments(column: pd.Series, path: Path) -> pd.Series:
    # A click file has few distinct dates or many distinct moments; parsing the distinct ones serves both.
    codes, distinct = pd.factorize(column)
    moments = pd.to_datetime(pd.Series(distinct), errors="coerce", utc=True, format="ISO8601")
    value = pd.Series(moments.dt.tz_localize(None).to_numpy()[codes], index=column.index)
    bad = (codes < 0) | value.isna().to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise BadValue(
            f"{path.name}: {column.iloc[row]!r} (data row {row}) is no date and time; write it as "
            f"2024-05-01T09:30:00Z or 2024-05-01."
        )
    return value


def cut_visits(events: pd.DataFrame, idle: pd.Timedelta = IDLE) -> pd.DataFrame:
    """Cut each visitor's clicks into sessions wherever nothing happened for `idle`.

    Examples
    --------
    >>> clicks = pd.DataFrame({"visitor": 7, "item": [1, 2, 3],
    ...     "timestamp": pd.to_datetime(["2024-05-01 09:00", "2024-05-01 09:10", "2024-05-01 12:00"])})
    >>> cut_visits(clicks)["session"].tolist()
    [1, 1, 2]
    """
    events = events.sort_values(["visitor", "timestamp"], kind="stable")
    other = events["visitor"].ne(events["visitor"].shift())
    late = events["timestamp"].diff() > idle
    return events.assign(session=(other | late).cumsum())[["session", "timestamp", "item"]]


def prepare_sessions(
    events: pd.DataFrame, test_days: int = 7, min_count: int = 5, max_length: int = 50
) -> SequenceTask:
    """Turn clicks into sessions, with the last days as test.

    Clicks on the item just seen are dropped; then items seen fewer than `min_count` times in training and
    sessions of one click, again and again until nothing changes. Test sessions end in the last
    `test_days` days; items that training never saw are dropped from them, for they cannot be recommended.

    Parameters
    ----------
    events : DataFrame
        Columns session, timestamp, item.
    test_days : int
        The validation part is as long, and lies before it.
    max_length : int
        Only the last clicks of longer sessions are kept.

    Raises
    ------
    TooShort
        When no session is left in training or test.
    """
    end = events.groupby("session")["timestamp"].transform("max")
    last = events["timestamp"].max()
    if events["timestamp"].min() >= last - pd.Timedelta(days=test_days):
        raise TooShort(
            f"events: they span {(last - events['timestamp'].min()).days} days, the test alone takes "
            f"{test_days}; give fewer --test-days."
        )
    test = (end > last - pd.Timedelta(days=test_days)).to_numpy()
    session, names = pd.factorize(events["session"])
    item, catalogue = pd.factorize(events["item"], sort=True)
    keep = np.ones(len(events), bool)
    while True:
        before = keep.sum()
        at = np.flatnonzero(keep)
        keep[at[1:][(session[at[1:]] == session[at[:-1]]) & (item[at[1:]] == item[at[:-1]])]] = False
        count = np.bincount(item[keep & ~test], minlength=len(catalogue))
        keep &= count[item] >= min_count
        length = np.bincount(session[keep], minlength=len(names))
        keep &= length[session] >= 2
        if keep.sum() == before:
            break
    from_end = np.bincount(session[keep], minlength=len(names))[session[keep]]
    rank = pd.Series(session[keep]).groupby(session[keep]).cumcount().to_numpy()
    keep[np.flatnonzero(keep)[rank < from_end - max_length]] = False
    if not (keep & test).any() or not (keep & ~test).any():
        raise TooShort(
            f"events: after cleaning {(keep & ~test).sum()} training and {(keep & test).sum()} test clicks "
            f"are left; give more events, a lower --min-count or other --test-days."
        )
    return _session_task(events[keep], test[keep])


def _session_task(events: pd.DataFrame, test: np.ndarray) -> SequenceTask:
    """Number the sessions by their time, so that training ends with the most recent ones."""
    stamp = events["timestamp"].to_numpy("datetime64[ns]")
    opened = pd.Series(stamp).groupby(events["session"].to_numpy(), sort=False).transform("min").to_numpy()
    order = np.lexsort((np.arange(len(events)), events["session"].to_numpy(), opened))
    session = events["session"].to_numpy()[order]
    new = np.r_[True, session[1:] != session[:-1]]
    item, catalogue = pd.factorize(events["item"].to_numpy()[order], sort=True)
    n = len(order)
    bags = sparse.csr_matrix((np.ones(n, np.float32), item, np.arange(n + 1)), (n, len(catalogue)))
    part = np.where(test[order], TEST, TRAIN).astype(np.int8)
    monday = np.datetime64("1970-01-05")
    day = (stamp[order] - monday) / np.timedelta64(1, "D")
    count = np.bincount(item[part == TRAIN], minlength=len(catalogue))
    items = pd.DataFrame({"item": catalogue, "count": count})
    return SequenceTask(bags, np.cumsum(new) - 1, day, part, items, session[new])


# ---------------------------------------------------------------------------------------------- scoring


@dataclass
class SessionKNN:
    """Session-based nearest neighbours: what similar recent sessions looked at.

    The running session's items weigh `fade` less for each step further back; each item brings in its
    `recent` latest training sessions; the `k` most similar ones vote (cosine).

    Notes
    -----
    Ludewig & Jannach (2018), Evaluation of session-based recommendation algorithms, section 3.2.
    """

    k: int = 100
    fade: float = 0.8
    recent: int = 1000
    idf: bool = False

    def fit(self, task: SequenceTask) -> "SessionKNN":
        """Learn from the training steps; returns the model itself."""
        self.task = task
        self.sessions = sequence_counts(task).astype(bool).astype(np.float32).tocsr()
        length = np.maximum(np.diff(self.sessions.indptr), 1)
        lately = self.sessions.T.tocsr()
        lately.data = lately.indices.astype(np.float64) + 1  # sessions are numbered by time
        lately = keep_largest(lately, self.recent)
        lately.data = (1 / np.sqrt(length[lately.indices])).astype(np.float32)
        self.lately = lately
        if self.idf:
            weight = np.log(len(task.names) / np.maximum(task.items["count"], 1)).to_numpy(np.float32)
            self.sessions = self.sessions @ sparse.diags_array(weight).tocsr()
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target step; (n_rows, n_items)."""
        now = running(self.task, rows, self.fade)
        near = keep_largest(sparse.csr_matrix(now @ self.lately), self.k)
        return (near @ self.sessions).toarray()


def running(task: SequenceTask, rows: np.ndarray, fade: float) -> sparse.csr_matrix:
    """The running session before each row: its items, each step further back weighing `fade` less."""
    rows = np.asarray(rows)
    return (
        look_back(task, task.start[rows], rows, task.day[rows], lambda days, steps: fade**steps) @ task.bags
    )


def rank_next(model, task: SequenceTask, rows: np.ndarray) -> np.ndarray:
    """Place of the true next item among the whole catalogue, 1 is best; (n_rows,).

    The item just seen is left out, since no session holds it twice running. Among equal scores the true
    item's place is drawn at random (fixed seed), so a model gains nothing from ties.
    """
    return rank_all({"model": model}, task, rows)["model"]


def rank_all(models: dict, task: SequenceTask, rows: np.ndarray, block: int = 256) -> dict[str, np.ndarray]:
    """Places of the true next items by each model, see `rank_next`; a `Mix` reuses its parts' scores.

    Blocks of rows are ranked on all cores; what is drawn depends on the block alone.
    """

    def places(at: int) -> dict[str, np.ndarray]:
        some, scores, found = rows[at : at + block], {}, {}
        for name, model in models.items():
            if isinstance(model, Mix):
                parts = [
                    scores[id(part)] if id(part) in scores else part.scores(some)
                    for part in (model.lstm, model.knn)
                ]
                scores[id(model)] = model.combine(*parts)
            else:
                scores[id(model)] = np.asarray(model.scores(some), np.float32)
            found[name] = _places(scores[id(model)], task, some, np.random.default_rng(at))
        return found

    with ThreadPoolExecutor() as pool:
        blocks = list(pool.map(places, range(0, len(rows), block)))
    return {name: np.concatenate([b[name] for b in blocks]) for name in models}


def _places(scores: np.ndarray, task: SequenceTask, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    row, item = np.arange(len(rows)), task.bags.indices
    own, last = scores[row, item[task.bags.indptr[rows]]], scores[row, item[task.bags.indptr[rows - 1]]]
    better = np.count_nonzero(scores > own[:, None], axis=1)
    equal = np.count_nonzero(scores >= own[:, None], axis=1) - better
    better, equal = better - (last > own), equal - (last == own)
    return 1 + better + rng.integers(0, np.maximum(equal, 1))


# ------------------------------------------------------------------------------------- an invented shop


def invent_clicks(n_sessions: int = 2000, n_items: int = 300, days: int = 60, seed: int = 0) -> pd.DataFrame:
    """Invent clicks with a known structure, to try the code without a download.

    Every item has six related items. A visitor goes on to a related item of the current page (half of the
    clicks) or of an earlier page (a fifth), back to an earlier page (a tenth), or to a popular item of the
    same shelf. A few shelves are in fashion at any time.

    Returns
    -------
    DataFrame
        Columns session, timestamp, item.
    """
    rng = np.random.default_rng(seed)
    shelf = np.sort(rng.integers(0, max(n_items // 50, 2), n_items))
    first, size = np.searchsorted(shelf, shelf), np.bincount(shelf)[shelf]
    weight = 1 / (1 + rng.permutation(n_items)) ** 0.7
    related = first[:, None] + (rng.random((n_items, 6)) ** 1.5 * size[:, None]).astype(int)
    length = np.minimum(1 + rng.geometric(0.22, n_sessions), 30)
    n_steps = int(length.max())
    opened = np.sort(rng.random(n_sessions)) * days
    clicks = np.zeros((n_sessions, n_steps), int)
    share = np.cumsum(weight) / weight.sum()
    fashion = np.searchsorted(share, (rng.random(n_sessions) * 0.5 + opened / days * 0.5))
    clicks[:, 0] = np.where(
        rng.random(n_sessions) < 0.5, fashion, np.searchsorted(share, rng.random(n_sessions))
    )
    everyone = np.arange(n_sessions)
    for step in range(1, n_steps):
        how, now = rng.random(n_sessions), clicks[:, step - 1]
        earlier = clicks[everyone, (rng.random(n_sessions) * step).astype(int)]
        of = np.where(how < 0.5, now, earlier)
        following = related[of, np.minimum(rng.geometric(0.4, n_sessions) - 1, 5)]
        popular = first[now] + (rng.random(n_sessions) ** 2 * size[now]).astype(int)
        clicks[:, step] = np.select([how < 0.7, how < 0.8], [following, earlier], popular)
    real = np.arange(n_steps) < length[:, None]
    pause = np.cumsum(rng.exponential(1.0, (n_sessions, n_steps)), axis=1) / 1440
    stamp = pd.Timestamp("2024-03-04") + pd.to_timedelta((opened[:, None] + pause)[real], unit="D").round(
        "ms"
    )
    session = np.repeat(everyone + 1, length)
    return pd.DataFrame({"session": session, "timestamp": stamp, "item": clicks[real] + 1})


def write_clicks(events: pd.DataFrame, path: str | Path, format: str) -> None:
    """Write clicks in one of the four layouts, exactly as their publishers do."""
    stamp = events["timestamp"].dt
    milliseconds = (events["timestamp"] - pd.Timestamp(0)) // pd.Timedelta(milliseconds=1)
    if format == "retailrocket":
        table = pd.DataFrame({"timestamp": milliseconds, "visitorid": events["session"], "event": "view"})
        table = table.assign(itemid=events["item"], transactionid="")
        table.to_csv(path, index=False)
    elif format == "yoochoose":
        when = stamp.strftime("%Y-%m-%dT%H:%M:%S.") + stamp.microsecond.floordiv(1000).map("{:03d}Z".format)
        table = pd.DataFrame(
            {"session": events["session"], "when": when, "item": events["item"], "category": 0}
        )
        table.to_csv(path, index=False, header=False)
    elif format == "diginetica":
        day = stamp.normalize()
        start = day.groupby(events["session"]).transform("min")
        frame = ((events["timestamp"] - start) // pd.Timedelta(milliseconds=1)).astype("int64")
        table = pd.DataFrame({"sessionId": events["session"], "userId": "NA", "itemId": events["item"]})
        table.assign(timeframe=frame, eventdate=start.dt.strftime("%Y-%m-%d")).to_csv(
            path, sep=";", index=False
        )
    elif format == "course":
        columns = {"session": "session_id", "item": "product_id"}
        events.rename(columns=columns).assign(event="view").to_csv(path, index=False)
    else:
        raise BadValue(f"format {format!r} is unknown; use one of {', '.join(FORMATS)}.")


# --------------------------------------------------------------------------------------------- command


KNN_GRID = tuple(SessionKNN(k, fade) for k in (100, 500) for fade in (1.0, 0.7))
MIX_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def hold_out(task: SequenceTask, share: float = 0.03) -> SequenceTask:
    """Make the latest `share` of the training sessions the test part, to choose settings on."""
    late = (task.part == TRAIN) & (task.who > np.quantile(task.who[task.part == TRAIN], 1 - share))
    part = np.where(late, TEST, np.where(task.part == TRAIN, TRAIN, HISTORY))
    return replace(task, part=part.astype(np.int8))


def choose_knn(task: SequenceTask, grid=KNN_GRID, n: int = 3000) -> SessionKNN:
    """Choose the neighbours' settings on held-out sessions, then fit them to all training sessions."""
    inner = hold_out(task)
    rows = inner.targets("test")[-n:]
    recall = [(rank_next(model.fit(inner), inner, rows) <= 20).mean() for model in grid]
    best = grid[int(np.argmax(recall))]
    return replace(best).fit(task)


@dataclass
class Mix:
    """`weight` of the LSTM's and the rest of the neighbours' share of each item."""

    lstm: object
    knn: object
    weight: float = 0.5

    def fit(self, task: SequenceTask, n: int = 2000) -> "Mix":
        """Choose the weight on held-out sessions; the LSTM must not have learnt from them."""
        inner = hold_out(task)
        rows = inner.targets("test")[-n:]
        knn = replace(self.knn).fit(inner)
        mixes = {"LSTM": self.lstm, "knn": knn} | {w: Mix(self.lstm, knn, w) for w in MIX_WEIGHTS}
        places = rank_all(mixes, inner, rows)
        recall = [(places[w] <= 20).mean() for w in MIX_WEIGHTS]
        self.weight = MIX_WEIGHTS[int(np.argmax(recall))]
        return self

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for each target step; (n_rows, n_items)."""
        return self.combine(self.lstm.scores(rows), self.knn.scores(rows))

    def combine(self, network: np.ndarray, votes: np.ndarray) -> np.ndarray:
        """Mix the two models' scores; (n_rows, n_items)."""
        network = np.exp(network - network.max(axis=1, keepdims=True))
        network *= self.weight / network.sum(axis=1, keepdims=True)
        return network + (1 - self.weight) * votes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-9)


def train_sessions(
    task: SequenceTask, epochs: int = 4, minutes: float | None = None, seed: int = 42, say=print
):
    """Train the next-item LSTM on clicks, all but the held-out sessions (see `hold_out`).

    Parameters
    ----------
    epochs : int
    minutes : float, optional
        No epoch is begun that would end after this; so a slow machine trains less and stays in time.

    Returns
    -------
    NextClick
    """
    import keras

    from ecomlib.events_lstm import NextClick

    keras.utils.set_random_seed(seed)
    model = NextClick(task, seed=seed)
    rows = hold_out(task).targets("train")
    model.train(rows, epochs, int(np.clip(len(rows) // 50, 64, 1024)), seed, minutes, say)
    return model


def learn_latest(model, task: SequenceTask, seed: int = 42) -> None:
    """Let the LSTM learn from the held-out sessions too, once they have served to choose the weight."""
    model.train(hold_out(task).targets("test"), 1, 1024, seed, say=lambda text: None)


def score_sessions(models: dict, task: SequenceTask, rows: np.ndarray | None = None) -> pd.DataFrame:
    """Score next-item models on the test sessions: recall@20 and mrr@20 with intervals over sessions."""
    from ecomlib.evaluation import bootstrap_ratio, results_table

    rows = task.targets("test") if rows is None else rows
    places = rank_all(models, task, rows)
    _, session = np.unique(task.who[rows], return_inverse=True)
    table, n = [], np.bincount(session).astype(float)
    for name in models:
        place = places[name]
        for metric, value in (("recall@20", place <= 20), ("mrr@20", (place <= 20) / place)):
            table.append((name, metric, *bootstrap_ratio(np.bincount(session, value), n, n=200)))
    return results_table(table)


def main(arguments: list[str] | None = None) -> int:
    """Train and score on a click file; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m ecomlib.events", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train and score on a click file")
    train.add_argument("file", help="path of the click file")
    train.add_argument("--format", choices=FORMATS, help="its layout (guessed when left out)")
    train.add_argument("--test-days", type=int, default=7, help="the last days are the test (default 7)")
    train.add_argument("--min-count", type=int, default=5, help="leave out rarer items (default 5)")
    train.add_argument("--epochs", type=int, default=4, help="passes over the training clicks (default 4)")
    train.add_argument(
        "--minutes", type=float, default=4.0, help="begin no epoch that would end after this (default 4)"
    )
    train.add_argument("--seed", type=int, default=42, help="of all that is drawn (default 42)")
    train.add_argument("--out", help="where to write the table (default build/results/events.csv)")
    options = parser.parse_args(arguments)
    try:
        return _train(options)
    except ShopError as error:
        print(f"cannot use this file: {error}", file=sys.stderr)
        return 1


def _train(options) -> int:
    from ecomlib.evaluation import write_results
    from ecomlib.recommend import Markov, Popularity

    begun = last = time.monotonic()

    def say(text: str) -> None:
        print(text, flush=True)

    def stage(text: str) -> None:
        nonlocal last
        last, before = time.monotonic(), last
        say(f"[{last - begun:4.0f} s, this {last - before:.0f} s] {text}")

    events = read_events(options.file, options.format)
    stage(f"read {len(events):,} clicks in {events['session'].nunique():,} sessions")
    task = prepare_sessions(events, options.test_days, options.min_count)
    tested = len(np.unique(task.who[task.part == TEST]))
    stage(
        f"prepared {len(task.names):,} sessions ({tested:,} of them test), {task.n_items:,} items, "
        f"{len(task.targets('train')):,} clicks to learn from, {len(task.targets('test')):,} to predict"
    )
    knn = choose_knn(task)
    stage(f"chose session-kNN with k {knn.k}, fade {knn.fade}; the LSTM trains:")
    lstm = train_sessions(task, options.epochs, options.minutes, options.seed, say)
    stage("trained the LSTM")
    mix = Mix(lstm, knn).fit(task)
    learn_latest(lstm, task, options.seed)
    stage(f"mixed {mix.weight:g} LSTM and {1 - mix.weight:g} session-kNN")
    models = {
        "popularity": Popularity().fit(task),
        "Markov chain": Markov(1.0).fit(task),
        "session-kNN": knn,
        "LSTM": lstm,
        "LSTM + session-kNN": mix,
    }
    table = score_sessions(models, task)
    stage("scored the test sessions, every item a candidate; intervals are over sessions:")
    wide = table.assign(text=table.apply(lambda r: f"{r.value:.4f} [{r.low:.4f}, {r.high:.4f}]", axis=1))
    wide = wide.pivot(index="model", columns="metric", values="text").reindex(table["model"].unique())
    say(wide.rename_axis(index=None, columns=None).to_string())
    say(advice(table))
    if options.out:
        table.to_csv(options.out, index=False)
    else:
        write_results(table, "events")
    return 0


def advice(table: pd.DataFrame) -> str:
    """Say which model to use: the simplest whose recall@20 lies in the best one's interval."""
    recall = table[table["metric"] == "recall@20"].set_index("model")
    best = recall["value"].idxmax()
    simplest = recall.index[recall["value"] >= recall.loc[best, "low"]][0]
    if simplest == best:
        return f"Use {best}: no simpler model's recall@20 lies in its interval."
    return f"Use {simplest}: simpler than {best}, and its recall@20 lies in that one's interval."


if __name__ == "__main__":
    sys.exit(main())
