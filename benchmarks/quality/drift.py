"""A year trip by trip: whether a network trained in March is still as good in December.

After each trip: does the customer return within seven days? Every arm is trained on the weeks up to 10, whose
answers are known at the start of week 12. Settings are chosen on weeks 12 to 17, each arm's own; weeks 18 to
51 are played once. (The prototype of this lesson had looked at them.) A label is known seven days after its
trip: at the start of week w an arm may learn from weeks up to w - 2. Updates come every third week, those
of LightGBM, too, the shift of one number every week; a network is trained again before weeks 18 and 35.

"recent weeks" are the weights of "LSTM frozen" with a state no older than those of the training: it reads the
trips of the last weeks only, the first of them as a first trip. How many weeks is chosen, too. (Earlier runs
trained on batches of customers with a similar number of trips; the mean forecast depended on their order.)
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.run import Log, kept, row
from ecomlib import clean, load_complete_journey
from ecomlib.bootstrap import Draws, interval, mean_of_fits
from ecomlib.gates import lstm_forward, sigmoid
from ecomlib.stream.trips import DAY, inputs, network, trips

LEARN, CHOOSE, PLAY = 10, range(12, 18), range(18, 52)  # weeks; week 0 is the one Sunday before 2 January
EVERY, RETRAIN = 3, (18, 35)
UNITS, BATCH, RECENT, LONGEST = 32, 128, 60, 80  # trips of a customer that an update, a training reads
RATES, EPOCHS = (5e-3, 1e-2, 2e-2), (20, 40)
LOOK_BACK = (2, 3, 4, 6, 8, 10)  # weeks
STEPS = (3e-4, 1e-3, 3e-3, 1e-2)  # rates of the later updates
NETS = {"LSTM": False, "LSTM, counter": True}
PARTS = {"all": PLAY, "18-28": range(18, 29), "29-39": range(29, 40), "40-51": range(40, 52)}
PAIRS = [
    ("LSTM, counter frozen", "LSTM frozen"),
    ("LSTM frozen", "LSTM recent weeks"),
    ("LSTM recent weeks", "smoothed frequency"),
    ("LSTM recent weeks", "LightGBM frozen"),
    ("LSTM recent weeks", "LightGBM updated"),
    ("LSTM fine-tuned", "smoothed frequency"),
    ("LSTM retrained", "smoothed frequency"),
    ("LSTM retrained", "LSTM fine-tuned"),
    ("LSTM retrained", "LightGBM updated"),
    ("LSTM, counter fine-tuned", "LightGBM updated"),
    ("LightGBM updated", "smoothed frequency"),
    ("LSTM, counter frozen", "smoothed frequency"),
    ("LSTM frozen", "smoothed frequency"),
    ("LSTM, counter shifted", "LSTM, counter frozen"),
    ("LSTM, counter fine-tuned", "LSTM, counter frozen"),
    ("LSTM, counter fine-tuned", "smoothed frequency"),
    ("LSTM, counter fine-tuned", "LSTM frozen"),
    ("LSTM shifted", "LSTM frozen"),
    ("LSTM fine-tuned", "LSTM frozen"),
    ("LSTM retrained", "LSTM frozen"),
    ("LSTM frozen", "LightGBM frozen"),
    ("LSTM fine-tuned", "LightGBM updated"),
    ("LightGBM updated", "LightGBM frozen"),
]


class Year:
    """The trips, with what every arm reads; `table` is sorted by time."""

    def __init__(self, table: pd.DataFrame):
        self.table, self.y = table, table["back"].to_numpy()
        self.week = table["week"].to_numpy()
        self.customer = pd.factorize(table["customer"])[0]
        self.place = table["number"].to_numpy() - 1
        self.of = np.argsort(self.customer, kind="stable")  # rows by customer, each in the order of time
        self.count = np.bincount(self.customer)
        self.start = np.concatenate([[0], np.cumsum(self.count)[:-1]])
        self.at = np.argsort(self.of)  # of each row, its position in `of`

    def rows(self, weeks: range) -> np.ndarray:
        """Positions of the trips of some weeks whose answer is known by the end of the data."""
        return np.flatnonzero(np.isin(self.week, list(weeks)) & (self.y >= 0))

    def batches(
        self, last_week: int, recent: int = 10**6, rng: np.random.Generator | None = None
    ) -> list[np.ndarray]:
        """Rows (customers, trips) up to a week, -1 behind the last.

        Customers with a similar number of trips stand together, which is fast; with `rng` they are mixed.
        """
        until = np.bincount(self.customer[self.week <= last_week], minlength=len(self.count))
        order = rng.permutation(len(until)) if rng else np.argsort(until, kind="stable")
        made = []
        for some in np.array_split(order[until[order] > 0], -(-int((until > 0).sum()) // BATCH)):
            length = np.minimum(until[some], recent)
            first = self.start[some] + until[some] - length
            grid = np.arange(length.max())
            at = np.minimum(first[:, None] + grid, len(self.of) - 1)
            made.append(np.where(grid < length[:, None], self.of[at], -1))
        return made


def train(
    model: Any, year: Year, x: np.ndarray, weeks: tuple[int, int], recent: int, updates: int, seed: int
):
    """Make updates from the trips of labelled weeks (first, last); one batch per update, in random order.

    The rate falls to zero along half a cosine.
    """
    rng, queue, rate = np.random.default_rng(seed), [], float(model.optimizer.learning_rate)
    for done in range(updates):
        model.optimizer.learning_rate = rate * (1 + np.cos(np.pi * done / updates)) / 2
        queue = queue or year.batches(weeks[1], recent, rng)
        at = queue.pop()
        use = (at >= 0) & (year.week[at] >= weeks[0]) & (year.y[at] >= 0)
        if use.any():
            model.train_on_batch(
                x[at] * (at >= 0)[..., None], np.maximum(year.y[at], 0)[..., None], use * 1.0
            )
    model.optimizer.learning_rate = rate


@cache
def compiled(width: int) -> Any:
    """A compiled network of this width; building its graph takes longer than many updates, so it is one."""
    import keras

    model = network(width, UNITS)
    model.compile(keras.optimizers.Adam(clipnorm=1.0), "binary_crossentropy", weighted_metrics=[])
    return model


def new(width: int, rate: float, seed: int) -> Any:
    """The network with new weights and an optimizer that remembers nothing."""
    import keras

    keras.utils.set_random_seed(seed)
    model = compiled(width)
    model.set_weights(network(width, UNITS).get_weights())
    for variable in model.optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    model.optimizer.learning_rate = rate
    return model


def forecast(model: Any, year: Year, x: np.ndarray, last_week: int = 52) -> np.ndarray:
    """Log-odds after every trip up to a week, from the whole history of each customer: (n,)."""
    *weights, head, shift = [np.asarray(w) for w in model.get_weights()]
    made = np.zeros(len(x), np.float32)
    for at in year.batches(last_week):
        out = lstm_forward(x[at], weights)[0]
        made[at[at >= 0]] = (out @ head + shift)[..., 0][at >= 0]
    return made


def loss(odds: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Log-loss of each forecast, from log-odds: (n,), nats."""
    return np.logaddexp(0, np.where(y > 0, -odds, odds))


def fit(year: Year, x: np.ndarray, rate: float, epochs: int, seed: int) -> list:
    """The weights of a network that learned from the first weeks."""
    model = new(x.shape[-1], rate, seed)
    train(model, year, x, (0, LEARN), LONGEST, epochs * len(year.batches(LEARN)), 1000 * seed + epochs)
    return model.get_weights()


def search_first(year: Year, x: np.ndarray) -> dict:
    """Loss on the weeks to choose by, for each rate and number of epochs."""
    rows, found = year.rows(CHOOSE), {}
    for rate in RATES:
        model = new(x.shape[-1], rate, 0)
        for epochs in EPOCHS:
            weights = fit(year, x, rate, epochs, 0)
            model.set_weights(weights)
            found[rate, epochs] = loss(forecast(model, year, x, CHOOSE[-1])[rows], year.y[rows]).mean()
    return found


def recent(year: Year, x: np.ndarray, weights: list, weeks: int, rows: np.ndarray) -> np.ndarray:
    """Log-odds with a state that reads the trips of the last weeks only: (n,), 0 where not asked."""
    *lstm, head, shift = weights
    made, time = np.zeros(len(x), np.float32), year.table["time"].to_numpy()
    count = np.zeros(len(x), int)
    for own in np.split(year.of, year.start[1:]):
        count[own] = np.arange(1, len(own) + 1) - np.searchsorted(time[own], time[own] - 7 * weeks * DAY)
    rows = rows[np.argsort(count[rows], kind="stable")]
    for some in np.array_split(rows, -(-len(rows) // 1000)):
        n, grid = count[some][:, None], np.arange(count[some].max())
        at = np.minimum(year.at[some][:, None] + 1 - n + grid, len(year.of) - 1)
        given = x[np.where(grid < n, year.of[at], -1)]
        given[:, 0, :2] = 0, 1  # no trip before it
        last = lstm_forward(given, lstm)[0][np.arange(len(some)), n[:, 0] - 1]
        made[some] = (last @ head + shift)[:, 0]
    return made


def fine_tuned(year: Year, x: np.ndarray, weights: list, rate: float, seed: int, weeks: range) -> np.ndarray:
    """Log-odds with one pass over the last four labelled weeks, every third week."""
    model, odds = new(x.shape[-1], rate, seed), np.zeros(len(x), np.float32)
    model.set_weights(weights)
    for week in weeks[::EVERY]:
        n = len(year.batches(week - 2, RECENT))
        train(model, year, x, (week - 5, week - 2), RECENT, n, 1000 * seed + week)
        now = np.isin(year.week, range(week, week + EVERY))
        odds[now] = forecast(model, year, x, week + EVERY - 1)[now]
    return odds


def retrained(year: Year, x: np.ndarray, rate: float, epochs: int, seed: int) -> np.ndarray:
    """Log-odds with a new network at the weeks RETRAIN, from all labelled weeks, with as many updates."""
    odds = np.zeros(len(x), np.float32)
    updates = epochs * len(year.batches(LEARN))
    for week, end in zip(RETRAIN, (*RETRAIN[1:], 53), strict=True):
        model = new(x.shape[-1], rate, seed)
        train(model, year, x, (0, week - 2), LONGEST, updates, 1000 * seed + week)
        now = (year.week >= week) & (year.week < end)
        odds[now] = forecast(model, year, x, end - 1)[now]
    return odds


def shifted(year: Year, odds: np.ndarray, back: int, weeks: range) -> np.ndarray:
    """Log-odds plus one number per week, with which the last `back` labelled weeks would have been right."""
    made = odds.copy()
    for week in weeks:
        rows = year.rows(range(week - 1 - back, week - 1))
        low, high = -4.0, 4.0
        for _ in range(30):  # the mean forecast grows with the shift
            middle = (low + high) / 2
            more = sigmoid(odds[rows] + middle).mean() < year.y[rows].mean()
            low, high = (middle, high) if more else (low, middle)
        made[year.week == week] += middle
    return made


def frequency(year: Year, half: float, weight: float) -> np.ndarray:
    """Log-odds of a customer's own share of returns; the last trip counts twice as much as `half` before."""
    share = year.y[year.rows(range(LEARN + 1))].mean()
    gap = (year.table["time"] - year.table["before"]).to_numpy()
    came = np.where(year.table["before"].to_numpy() >= 0, gap <= 7 * DAY, -1)
    fade, p = 0.5 ** (1 / half), np.empty(len(gap))
    for rows in np.split(year.of, year.start[1:]):
        top, bottom = weight * share, weight
        for r in rows:
            if came[r] >= 0:
                top, bottom = fade * (top - weight * share) + came[r], fade * (bottom - weight) + 1
                top, bottom = top + weight * share, bottom + weight
            p[r] = top / bottom
    return np.log(p / (1 - p))


def tree_inputs(year: Year, counter: bool) -> np.ndarray:
    """What the network reads, gaps before, and exponentially weighted means of gaps and returns: (n, k)."""
    table = year.table
    gap = np.where(table["before"] >= 0, (table["time"] - table["before"]) / DAY, np.nan)
    long = pd.DataFrame({"gap": gap, "log": np.log1p(gap), "came": np.where(np.isnan(gap), gap, gap <= 7)})
    each = long.groupby(year.customer)
    columns = [gap, each["gap"].shift(1), each["gap"].shift(2), table["spend"], table["lines"]]
    columns += [table["time"] // DAY % 7, table["time"] % DAY / 3600]
    for half in (2, 5, 10, 30):
        means = each[["log", "came"]].ewm(halflife=half).mean().droplevel(0).sort_index()
        columns += [means["log"], means["came"]]
    columns += [table["number"]] * counter
    return np.column_stack(columns)


def boosted(year: Year, x: np.ndarray, last: int, leaves: int, trees: int, seed: int = 0) -> np.ndarray:
    """Log-odds of LightGBM that learned from the labelled weeks up to `last`."""
    import lightgbm

    rows = year.rows(range(last + 1))
    model = lightgbm.LGBMClassifier(
        num_leaves=leaves, n_estimators=trees, learning_rate=0.05, subsample=0.8, subsample_freq=1,
        colsample_bytree=0.8, random_state=seed, n_jobs=1, verbose=-1,
    )  # fmt: skip
    return model.fit(x[rows], year.y[rows]).predict(x, raw_score=True)


def plays(
    year: Year, x: dict, tree: np.ndarray, weights: dict, chosen: dict, seeds: int
) -> dict[str, Callable[[], np.ndarray]]:
    """Every arm that learns during the year, by its name and seed."""
    whole = range(CHOOSE[0], PLAY[-1] + 1)
    jobs: dict[str, Callable[[], np.ndarray]] = {}
    for seed in range(seeds):
        for net in NETS:
            first, rate = weights[f"fit {net}/{seed}"], chosen[f"{net} fine-tuned"]
            jobs[f"{net} fine-tuned/{seed}"] = partial(fine_tuned, year, x[net], first, rate, seed, whole)
        size = chosen["LightGBM"][1:]
        jobs[f"LightGBM frozen/{seed}"] = partial(boosted, year, tree, LEARN, *size, seed)
        jobs[f"LightGBM updated/{seed}"] = partial(updated, year, tree, *size, seed)
    for seed in range(seeds):  # the dearest comes last
        jobs[f"LSTM retrained/{seed}"] = partial(retrained, year, x["LSTM"], *chosen["LSTM"], seed)
    return jobs


def updated(year: Year, x: np.ndarray, leaves: int, trees: int, seed: int) -> np.ndarray:
    """Log-odds of LightGBM that learns again from all labelled weeks, every third week."""
    odds = np.zeros(len(year.y))
    for week in PLAY[::EVERY]:
        now = np.isin(year.week, range(week, week + EVERY))
        odds[now] = boosted(year, x, week - 2, leaves, trees, seed)[now]
    return odds


def smallest(table: dict) -> Any:
    """The key of the smallest value."""
    return min(table, key=table.get)


def played(year: Year, quick: bool, log: Log) -> tuple[dict[str, list[np.ndarray]], dict]:
    """The log-odds of every arm, one array per seed, and what was chosen."""
    seeds = 1 if quick else 3
    x = {net: inputs(year.table, counter) for net, counter in NETS.items()}
    valid = year.rows(CHOOSE)
    score = lambda odds: float(loss(odds[valid], year.y[valid]).mean())  # noqa: E731
    halves = {(half, weight): (half, weight) for half in (3, 5, 10, 20, 40) for weight in (0.3, 1, 3)}
    found = kept("drift", {f"search {net}": lambda n=net: search_first(year, x[n]) for net in NETS}, log)
    job = {"frequency": lambda: {key: score(frequency(year, *key)) for key in halves}}
    own = kept("drift", job, log)["frequency"]
    tree = {counter: tree_inputs(year, counter) for counter in (False, True)}
    grid = [(c, leaves, n) for c in tree for leaves in (7, 15, 31) for n in (50, 100, 200)]
    job = {"trees": lambda: {key: score(boosted(year, tree[key[0]], LEARN, *key[1:])) for key in grid}}
    trees = kept("drift", job, log)["trees"]
    chosen = {net: smallest(found[f"search {net}"]) for net in NETS}
    chosen |= {"smoothed frequency": smallest(own), "LightGBM": smallest(trees)}
    arms = {"smoothed frequency": [frequency(year, *chosen["smoothed frequency"])]}
    fits = {
        f"fit {net}/{seed}": partial(fit, year, x[net], *chosen[net], seed)
        for net in NETS
        for seed in range(seeds)
    }
    weights = kept("drift", fits, log)
    tune = {
        f"tune {net}/{rate}": lambda n=net, r=rate: score(
            fine_tuned(year, x[n], weights[f"fit {n}/0"], r, 0, CHOOSE)
        )
        for net in NETS
        for rate in STEPS
    }
    tuned = kept("drift", tune, log)
    for net in NETS:
        chosen[f"{net} fine-tuned"] = smallest({rate: tuned[f"tune {net}/{rate}"] for rate in STEPS})
    jobs = plays(year, x, tree[chosen["LightGBM"][0]], weights, chosen, seeds)
    made = kept("drift", jobs, log)
    for net in NETS:
        model, frozen = new(x[net].shape[-1], 1e-3, 0), []
        for seed in range(seeds):
            model.set_weights(weights[f"fit {net}/{seed}"])
            frozen.append(forecast(model, year, x[net]))
        back = {b: score(shifted(year, frozen[0], b, CHOOSE)) for b in (2, 4, 8)}
        chosen[f"{net} shifted"] = smallest(back)
        arms[f"{net} frozen"] = frozen
        arms[f"{net} shifted"] = [shifted(year, f, smallest(back), PLAY) for f in frozen]
    first = [weights[f"fit LSTM/{seed}"] for seed in range(seeds)]
    ages = {age: score(recent(year, x["LSTM"], first[0], age, valid)) for age in LOOK_BACK}
    chosen["LSTM recent weeks"] = smallest(ages)
    asked = year.rows(PLAY)
    arms["LSTM recent weeks"] = [recent(year, x["LSTM"], w, smallest(ages), asked) for w in first]
    for job in jobs:
        arms.setdefault(job.rsplit("/", 1)[0], []).append(made[job])
    return arms, chosen


def rows(quick: bool, log: Log) -> list[dict]:
    """Log-loss of every arm over the played weeks, by part and by week, the pairs, and what was chosen."""
    year = Year(trips(clean(load_complete_journey())[0]))
    arms, chosen = played(year, quick, log)
    log(f"chosen on weeks {CHOOSE[0]} to {CHOOSE[-1]}: {chosen}")
    made = []
    for part, weeks in PARTS.items():
        at = year.rows(weeks)
        draws, y = Draws.of(year.customer[at], year.week[at]), year.y[at]
        scores = {}
        for stream, (arm, fits) in enumerate(arms.items()):
            each = [
                {"log-loss": draws.means(loss(f[at], y)), "bias": draws.means(sigmoid(f[at]) - y)}
                for f in fits
            ]
            scores[arm] = mean_of_fits(each, stream)
            made += [row(arm, m, interval(v), len(fits), weeks=part) for m, v in scores[arm].items()]
        for a, b in PAIRS:
            gap = scores[a]["log-loss"] - scores[b]["log-loss"]
            made.append(row(f"{a} minus {b}", "log-loss", interval(gap), len(arms[a]), weeks=part))
    for week in PLAY:
        at = year.rows(range(week, week + 1))
        draws = Draws.of(year.customer[at], n=300)
        for stream, (arm, fits) in enumerate(arms.items()):
            each = [{"log-loss": draws.means(loss(f[at], year.y[at]))} for f in fits]
            spread = interval(mean_of_fits(each, stream)["log-loss"])
            made.append(row(arm, "log-loss", spread, len(fits), weeks=str(week)))
    for arm, choice in chosen.items():
        for name, value in zip(
            ("first", "second", "third"), np.atleast_1d(np.array(choice, float)), strict=False
        ):
            made.append(row(arm, f"chosen {name}", (value, value, value), 1, weeks="12-17"))
    return made
