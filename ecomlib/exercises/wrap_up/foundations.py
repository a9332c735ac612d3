"""Wrap-up quiz of lessons 10 to 17, on the sales of one store."""

import numpy as np
import pandas as pd

from ecomlib.exercises.wrap_up import Option, Question, products_of
from ecomlib.shop.shop import Shop

STORE = 367  # the one that sells most; no lesson looks at a single store
MONDAY = pd.Timestamp("2017-01-02")
RATE, UNITS, BIAS, LOOKBACK, HORIZON, HELD_OUT = 0.02, 24, 3.0, 28, 7, 84


def store_lines(shop: Shop) -> pd.DataFrame:
    """Order lines of the store in the 51 whole weeks from 2 January on, with their week, from 0."""
    lines = shop.orders[shop.orders["store_id"] == STORE]
    week = (lines["timestamp"].dt.normalize() - MONDAY).dt.days // 7
    return lines.assign(week=week)[week.between(0, 50)]


def questions(shop: Shop) -> list[Question]:
    """Return five questions: an update, class shares, weights, a forget gate, windows."""
    lines = store_lines(shop)
    weekly = lines.groupby("week")["revenue"].sum().to_numpy() / 1000
    return [_update(weekly), _classes(lines), _weights(shop, lines), _gate(weekly), _windows()]


def _update(weekly: np.ndarray) -> Question:
    rows = np.array([[weekly[t - 4 : t].mean(), weekly[t]] for t in (10, 11, 12)]).round(2)
    x, y = rows.T
    slope = 2 * ((x - y) * x).mean()
    shown = ", ".join(f"{a:.2f} -> {b:.2f}" for a, b in rows)
    return Question(
        f"Store {STORE}, in thousand dollars: the mean of four weeks -> the next week: {shown}. A neuron "
        "with one weight, w = 1, and no bias forecasts the next week. The loss is the mean squared "
        f"error over the three rows. What is w after one update with the learning rate {RATE}?",
        Option(f"{1 - RATE * slope:.4f}", "the slope is twice the mean of error times input; go against it."),
        (
            Option(f"{1 + RATE * slope:.4f}", "this goes along the slope, and the loss rises."),
            Option(
                f"{1 - RATE * 2 * (x - y).mean():.4f}", "that is the bias's slope: multiply by the input."
            ),
        ),
        "b",
    )


def _classes(lines: pd.DataFrame) -> Question:
    trips = lines.assign(day=lines["timestamp"].dt.date).drop_duplicates(["customer_id", "day"])
    came = trips.loc[trips["week"] == 19, "customer_id"].unique()
    count = trips[trips["week"] == 20].groupby("customer_id").size().reindex(came, fill_value=0).clip(upper=2)
    shares = (count.value_counts(normalize=True).sort_index()).to_numpy()
    none, one, more = shares.round(2)
    return Question(
        f"{len(came)} households shopped at the store in week 20 of the year. In week 21 a share of "
        f"{none:.2f} made no trip there, {one:.2f} made one, {more:.2f} more. Which loss, in nats, has a "
        "classifier that gives everyone these shares?",
        Option(f"{-(shares * np.log(shares)).sum():.3f}", "minus the mean logarithm of what each got."),
        (
            Option(f"{np.log(3):.3f}", "log 3 is the loss of three equal probabilities; the shares differ."),
            Option(f"{1 - shares.max():.3f}", "that is the share of wrong classes, no cross-entropy."),
        ),
        "a",
    )


def _weights(shop: Shop, lines: pd.DataFrame) -> Question:
    sold = lines.merge(products_of(shop)[["product_id", "department"]])
    days = sold.assign(day=sold["timestamp"].dt.date).groupby("department", observed=True)["day"].nunique()
    n, d = int((days >= 300).sum()), int((days >= 300).sum()) + 7
    block = UNITS * (UNITS + d) + UNITS
    return Question(
        f"{n} departments of the store sell something on 300 days or more. An LSTM of {UNITS} units "
        "reads at each step the sales of these departments and the weekday as a one-hot vector. How "
        "many weights has it?",
        Option(f"{4 * block:,}", f"4 (u (u + d) + u) with u = {UNITS} and d = {d}."),
        (
            Option(f"{block:,}", "that is one of the four blocks: three gates and the candidate."),
            Option(f"{4 * UNITS * (UNITS + d):,}", "the biases are missing, one per unit and block."),
        ),
        "c",
    )


def _gate(weekly: np.ndarray) -> Question:
    best, worst = int(weekly.argmax()), int(weekly.argmin())
    k, gate = abs(best - worst), 1 / (1 + np.exp(-BIAS))
    return Question(
        f"The store's best week and its worst week are {k} weeks apart. A forget gate stays at the value "
        f"that a bias of {BIAS:g} gives it, and nothing is added. Which share of the cell state is left "
        f"after {k} weeks?",
        Option(f"{gate**k:.3f}", f"sigmoid({BIAS:g}) = {gate:.4f}, once per week: {gate:.4f}^{k}."),
        (
            Option(f"{gate:.3f}", "that is left after one week."),
            Option(f"{1 / k:.3f}", "the share falls by a factor per week, not as one over the weeks."),
        ),
        "b",
    )


def _windows() -> Question:
    n = 51 * 7
    train = n - HELD_OUT
    return Question(
        f"{n} days in a row of the store's sales. The last {HELD_OUT} are validation and test. A window "
        f"has {LOOKBACK} days, its target is the {HORIZON} days after it, and there is a cutoff on every "
        "day. How many windows are for training?",
        Option(f"{train - LOOKBACK - HORIZON + 1}", "window and target must both lie in the training days."),
        (
            Option(f"{train - LOOKBACK}", "the last of these have target days in the validation period."),
            Option(f"{n - LOOKBACK - HORIZON + 1}", "that counts the windows of all parts."),
        ),
        "a",
    )
