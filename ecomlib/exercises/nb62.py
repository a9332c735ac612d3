"""Self-checks of 62_every_week."""

from typing import Any

import numpy as np
import pandas as pd

from ecomlib.bootstrap import Draws
from ecomlib.exercises import checker, close
from ecomlib.exercises.networks import leak_hint, no_lstm_hint, run_on, untrained_hint

SINCE = pd.Timestamp("2011-03-07")  # the Monday on which the invented week begins


def week_of_orders() -> pd.DataFrame:
    """Order lines before and after SINCE: customers 1 and 2 are old, 3 is new, three lines are of guests."""
    days = [-9, -8, -8, -3, 0, 1, 1, 2, 3, 4]
    return pd.DataFrame(
        {
            "customer_id": ["1", "2", "2", "guest-7", "1", "3", "3", "guest-8", "2", "guest-9"],
            "timestamp": SINCE + pd.to_timedelta(days, unit="D"),
            "revenue": [20.0, 10.0, 5.0, 9.0, 30.0, 40.0, 20.0, 100.0, 10.0, 50.0],
            "guest": [False, False, False, True, False, False, False, True, False, True],
        }
    )


def _new_share(orders, since, guests=False, lines=False, week_only=False):
    known = orders if guests else orders[~orders["guest"]]
    late = known["timestamp"] >= since
    new = ~known["customer_id"].isin(known["customer_id"][~late] if not week_only else [])
    money = np.ones(len(known)) if lines else known["revenue"].to_numpy()
    return money[late & new].sum() / money[late].sum()


@checker(
    "62.1",
    wrong=[
        lambda: lambda orders, since: _new_share(orders, since, guests=True),
        lambda: lambda orders, since: _new_share(orders, since, lines=True),
        lambda: lambda orders, since: _new_share(orders, since, week_only=True),
        lambda: lambda orders, since: 100 * _new_share(orders, since),
    ],
    right=lambda: _new_share,
)
def new_customers(answer: Any) -> str | None:
    """Compare with shares counted by hand."""
    orders = week_of_orders()
    share = answer(orders.copy(), SINCE)
    if not np.isscalar(share):
        return "return one number, the share of the revenue."
    given = float(np.asarray(share))
    if close(given, 0.6):
        return None
    if close(given, 210 / 250):
        return "a guest is no customer: leave the lines with guest=True out of both sums."
    if close(given, 0.5):
        return "that is the share of the lines; a share of the revenue is asked for."
    if close(given, 1):
        return "a customer who bought before `since` is known: compare with the earlier lines."
    return f"in the example known customers paid 40 and new ones 60: 0.6, not {given:.3g}."


OLD_END, NEW_END, N_WEEKS = 0, 8, 20  # of the invented errors: the first week each model has not learned from


def errors_of(ratio: float, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Errors (weeks, series) of an old and a new model; before week NEW_END the new one knows the answers."""
    rng = np.random.default_rng(seed)
    old = rng.gamma(4, 25, (N_WEEKS, 12))
    new = old * ratio * np.exp(spread * rng.normal(size=old.shape) - spread**2 / 2)
    new[:NEW_END] = 0.4 * old[:NEW_END]
    return old, new


def _decide(old, new, new_end, first=None, sure=True, paired=True):
    first = new_end if first is None else first
    old, new = old[first:], new[first:]
    week, series = np.divmod(np.arange(old.size), old.shape[1])
    drawn = Draws.of(series, week, 1000)
    other = drawn if paired else Draws.of(series, week, 1000, seed=1)
    ratio = drawn.sums(new.ravel()) / other.sums(old.ravel())
    limit = np.quantile(ratio[1:], 0.975) if sure else ratio[0]
    return "switch" if limit < 1 else "keep"


@checker(
    "62.2",
    wrong=[
        lambda: lambda old, new, new_end: _decide(old, new, new_end, first=0),
        lambda: lambda old, new, new_end: _decide(old, new, new_end, sure=False),
        lambda: lambda old, new, new_end: _decide(old, new, new_end, paired=False),
        lambda: lambda old, new, new_end: "keep",
        lambda: lambda old, new, new_end: new[new_end:].sum() < old[new_end:].sum(),
    ],
    right=lambda: _decide,
)
def switch_or_keep(answer: Any) -> str | None:
    """Three pairs of models: clearly better, level, clearly worse."""
    cases = ((0.9, 0.1, "switch"), (1.1, 0.1, "keep"), (0.96, 0.5, "keep"))
    for ratio, spread, word in cases:
        given = answer(*errors_of(ratio, spread), NEW_END)
        if given not in ("switch", "keep"):
            return "give one of two words: 'switch' or 'keep'."
        if given == word:
            continue
        if word == "switch":
            return "switch to a new model that is 10 % better everywhere; are the draws paired?"
        if ratio > 1:
            return "the new model has learned from the weeks before new_end: compare on the later ones only."
        return "the new model's error is lower, but the interval of the ratio contains 1: keep the old one."
    return None


DAYS, CHANGE, CUTOFF = (
    532,
    336,
    503,
)  # of the invented shop; a new rhythm from a Monday on; the last day known
READ, AHEAD, SHADOW = 28, 7, 28  # the windows; days on which old and new are compared
CALM, CHANGED = 4, 2  # every fourth week is rich; after the change every second one


def paydays(changed: bool, seed: int = 0) -> np.ndarray:
    """Daily sales (DAYS,) with a rhythm of the week; on every fourth week, later on every second, twice."""
    rng = np.random.default_rng(seed)
    week = np.arange(DAYS) // 7
    late = changed & (np.arange(DAYS) >= CHANGE)
    rich = np.where(late, week % CHANGED == 1, week % CALM == 3)
    rhythm = np.tile([0.8, 0.8, 0.9, 1.0, 1.2, 1.3, 1.0], DAYS // 7)
    return 900 * rhythm * np.where(rich, 2.0, 1.0) * rng.gamma(150, 1 / 150, DAYS)


def old_model(window: np.ndarray) -> np.ndarray:
    """The saved model: the seven days after a window (28,) of whole weeks; it knows the old rhythm only."""
    weeks = np.asarray(window, dtype=float).reshape(4, 7)
    rich = int(weeks.sum(axis=1).argmax())
    usual = np.delete(weeks, rich, axis=0).mean(axis=0)
    return usual * (2.0 if rich == 0 else 1.0)


def _renewed(sales, cutoff, old, known=0, choose="shadow", epochs=25):
    import keras

    train = sales[: cutoff + 1 + known - (0 if known else SHADOW)]
    rows = np.lib.stride_tricks.sliding_window_view(train, READ + AHEAD)
    scale = rows[:, :READ].mean(axis=1, keepdims=True)
    x, y = np.split(rows / scale, [READ], axis=1)
    layers = [keras.layers.Reshape((4, 7)), keras.layers.LSTM(24), keras.layers.Dense(AHEAD)]
    model = keras.Sequential([keras.Input((READ,)), *layers])
    model.compile(keras.optimizers.Adam(0.02), "mae")
    if epochs:
        model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)

    def new(window):
        return np.asarray(model(window[None] / window.mean()))[0] * window.mean()

    loss = dict.fromkeys(("new", "old"), 0.0)
    for end in range(cutoff + 1 - SHADOW, cutoff + 1, 7):
        for name, each in (("new", new), ("old", old)):
            loss[name] += np.abs(each(sales[end - READ : end]) - sales[end : end + 7]).sum()
    use = min(loss, key=lambda name: loss[name]) if choose == "shadow" else choose
    last = sales[cutoff + 1 - READ : cutoff + 1]
    return model, new(last) if use == "new" else old(last)


@checker(
    "62.3",
    wrong=[
        lambda: lambda sales, cutoff, old: _renewed(sales, cutoff, old, choose="new", epochs=12),
        lambda: lambda sales, cutoff, old: _renewed(sales, cutoff, old, choose="old", epochs=1),
        lambda: lambda sales, cutoff, old: _renewed(sales, cutoff, old, known=AHEAD, choose="new", epochs=1),
        lambda: lambda sales, cutoff, old: _renewed(sales, cutoff, old, epochs=0),
        lambda: lambda sales, cutoff, old: old(sales[cutoff + 1 - READ : cutoff + 1]),
    ],
    right=lambda: _renewed,
)
def train_again(answer: Any) -> str | None:
    """A shop whose rhythm has changed, where the new network has to win, and one where the old one has to."""
    sales = paydays(changed=True)
    future = sales.copy()
    future[CUTOFF + 1 :] = 3000 * np.random.default_rng(1).random(DAYS - CUTOFF - 1)
    shaped = f"the next seven days are asked for, shape ({AHEAD},), not {{}}."

    def asked(shop: np.ndarray, cutoff: int) -> Any:
        return answer(shop, cutoff, old_model)

    model, given, problem = run_on((sales, future), asked, CUTOFF, (AHEAD,), shaped, "forecast")
    if problem := problem or leak_hint(given, "days", "forecast") or untrained_hint(model):
        return problem
    if problem := no_lstm_hint(model):
        return problem
    truth, last = sales[CUTOFF + 1 : CUTOFF + 1 + AHEAD], slice(CUTOFF + 1 - READ, CUTOFF + 1)
    ours, theirs = (np.abs(f - truth).sum() / truth.sum() for f in (given[0], old_model(sales[last])))
    if not ours < 0.6 * theirs:
        return (
            f"after the change your WAPE is {ours:.3f}; the old model's is {theirs:.3f}. Train on windows of "
            "four weeks, each divided by its mean, for more epochs, and use the new network if it is better."
        )
    calm = paydays(changed=False, seed=2)
    _, given, problem = run_on((calm,), asked, CUTOFF, (AHEAD,), shaped, "forecast")
    if problem or close(given[0], old_model(calm[last]), 1e-3):
        return problem
    return (
        "in a shop whose rhythm has not changed the old model is the better one on the last four known "
        "weeks: keep it there. Leave these weeks out of the training, else the new network knows them."
    )
