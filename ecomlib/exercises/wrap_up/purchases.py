"""Wrap-up quiz of lessons 31 to 33, on a category that is not among their thirty."""

import numpy as np
import pandas as pd

from ecomlib.exercises.wrap_up import Option, Question, products_of
from ecomlib.shop.shop import Shop

CATEGORY = "COFFEE"
MONDAY = pd.Timestamp("2017-01-02")
FIRST, CUTOFF = 12, 19  # the eight weeks that are looked at, from 0; the week after is asked about
HALF_LIFE, PRIOR, MARGIN, LETTER = 4, 2, 0.25, 0.10


def weeks_of(shop: Shop) -> pd.DataFrame:
    """Dollars spent on the category: a row per household known at the cutoff, a column per week."""
    orders = shop.orders
    week = (orders["timestamp"].dt.normalize() - MONDAY).dt.days // 7
    known = np.sort(orders.loc[week <= CUTOFF, "customer_id"].unique())
    products = products_of(shop)
    ours = products.loc[products["category"] == CATEGORY, "product_id"]
    lines = orders.assign(week=week)[orders["product_id"].isin(ours) & week.between(FIRST, CUTOFF + 1)]
    spent = lines.pivot_table(index="customer_id", columns="week", values="revenue", aggfunc="sum")
    return spent.reindex(known).reindex(columns=range(FIRST, CUTOFF + 2)).fillna(0.0)


def questions(shop: Shop) -> list[Question]:
    """Return five questions: the base rate's loss, a smoothed frequency, a row's loss, lift, a letter."""
    spent = weeks_of(shop)
    bought = (spent > 0).to_numpy()
    rate = round(float(bought[:, :-1].mean()), 3)
    times = bought[:, :-1].sum(axis=1)
    row = int(np.argmax((times == 3) & bought[:, -1]))  # the first with three weeks that then buys
    past, p = bought[row, :-1].astype(float), frequency(bought[row, :-1].astype(float), rate)
    return [
        _base(bought, rate),
        _smoothed(past, rate, p),
        _row(p),
        _lift(times, bought[:, -1]),
        _letter(spent.to_numpy()),
    ]


def frequency(past: np.ndarray, rate: float) -> float:
    """Smoothed frequency after the last week, with the half-life and the prior weight of the quiz."""
    weight = 0.5 ** (np.arange(len(past))[::-1] / HALF_LIFE)
    return float((weight @ past + PRIOR * rate) / (weight.sum() + PRIOR))


def _base(bought: np.ndarray, rate: float) -> Question:
    share = round(float(bought[:, -1].mean()), 3)
    loss = -(share * np.log(rate) + (1 - share) * np.log(1 - rate))
    return Question(
        f"{CATEGORY.capitalize()}: the base rate of eight weeks in spring is {rate:.3f} for a household "
        f"and a week. In the week after, a share of {share:.3f} of {len(bought):,} households buys. "
        "Which log-loss has the forecast that gives everyone the base rate?",
        Option(f"{loss:.4f}", "minus the logarithm of what each outcome got, weighted by the outcomes."),
        (
            Option(f"{-np.log(1 - rate):.4f}", "that is the loss of those who do not buy; some do."),
            Option(f"{1 - share:.4f}", "that is the accuracy of 'nobody buys'."),
        ),
        "b",
    )


def _smoothed(past: np.ndarray, rate: float, p: float) -> Question:
    weight = 0.5 ** (np.arange(len(past))[::-1] / HALF_LIFE)
    return Question(
        f"A household's last eight weeks, the newest last: {', '.join(f'{v:.0f}' for v in past)}. Its "
        f"smoothed frequency with a half-life of {HALF_LIFE} weeks (the newest week has weight 1), a "
        f"prior weight of {PRIOR} and the base rate {rate:.3f}:",
        Option(f"{p:.3f}", "weighted weeks plus prior weight times base rate, over the sum of the weights."),
        (
            Option(f"{(past.sum() + PRIOR * rate) / (len(past) + PRIOR):.3f}", "all weeks weigh alike here."),
            Option(f"{weight @ past / weight.sum():.3f}", "the base rate is missing."),
        ),
        "a",
    )


def _row(p: float) -> Question:
    shown = round(p, 3)
    return Question(
        f"In the next week this household buys. What does the row with p = {shown:.3f} add to the log-loss?",
        Option(f"{-np.log(shown):.3f}", "minus the logarithm of the probability of what happened."),
        (
            Option(f"{-np.log(1 - shown):.3f}", "that would be right had it not bought."),
            Option(f"{(1 - shown) ** 2:.3f}", "that is the Brier score of the row."),
        ),
        "c",
    )


def _lift(times: np.ndarray, buys: np.ndarray) -> Question:
    top = np.argsort(-times, kind="stable")[: len(times) // 10]
    share, rate = round(float(buys[top].mean()), 3), round(float(buys.mean()), 3)
    found = buys[top].sum() / buys.sum()
    return Question(
        "Take the tenth of the households that bought in most of the eight weeks. In the week after "
        f"{share:.3f} of them buy, of all households {rate:.3f}. What is the lift of this tenth?",
        Option(f"{share / rate:.2f}", "the rate in the chosen group over the rate of all."),
        (
            Option(f"{share - rate:.2f}", "that is the difference; lift is the ratio."),
            Option(f"{found:.2f}", "that is the share of all buyers who are in the tenth (recall)."),
        ),
        "a",
    )


def _letter(spent: np.ndarray) -> Question:
    usual = round(float(spent[spent > 0].mean()), 2)
    return Question(
        f"A household that buys spends {usual:.2f} dollars per week on it; {100 * MARGIN:.0f} % of that is "
        f"margin. A letter costs {LETTER:.2f} dollars. With probability u it makes a household buy that "
        "would not have bought otherwise, as a random test has shown. From which u does the letter pay?",
        Option(
            f"{LETTER / (MARGIN * usual):.3f}", "where u times the margin of a purchase exceeds the cost."
        ),
        (
            Option(f"{LETTER / usual:.3f}", "the shop earns the margin, not the sales."),
            Option(f"{LETTER:.3f}", "the size of the purchase counts, too."),
        ),
        "b",
    )
