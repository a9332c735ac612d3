"""Wrap-up quiz of lessons 21 to 23, on a category that is not among their sixty."""

import numpy as np
import pandas as pd

from ecomlib.exercises.wrap_up import Option, Question, products_of
from ecomlib.shop.shop import Shop

CATEGORY = "CAT FOOD"
MONDAY = pd.Timestamp("2017-01-02")
SHOWN = 10  # the week that the first question shows, from 0: in March, far from the lessons' test
MISSING, LEFT = 0.45, 0.15


def weeks_of(shop: Shop) -> np.ndarray:
    """Sales of the category in whole dollars, (weeks, 7), of 20 weeks from Monday, 2 January on."""
    products = products_of(shop)
    ours = products.loc[products["category"] == CATEGORY, "product_id"]
    lines = shop.orders[shop.orders["product_id"].isin(ours)]
    days = pd.date_range(MONDAY, periods=140)
    sold = lines.groupby(lines["timestamp"].dt.normalize())["revenue"].sum().reindex(days, fill_value=0)
    return sold.to_numpy().reshape(20, 7).round()


def questions(shop: Shop) -> list[Question]:
    """Return five questions: WAPE, MASE, pinball loss, coverage, an order."""
    weeks = weeks_of(shop)
    return [_wape(weeks), _mase(weeks), _pinball(weeks), _coverage(weeks), _order(weeks)]


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


def _wape(weeks: np.ndarray) -> Question:
    sold, mean = weeks[SHOWN], weeks[SHOWN - 4 : SHOWN].mean(axis=0).round()
    wrong = np.abs(sold - mean)
    return Question(
        f"{CATEGORY.capitalize()}, Monday to Sunday, in dollars. Sold: {_numbers(sold)}. Forecast, the "
        f"mean of the last four same weekdays: {_numbers(mean)}. What is the WAPE of this week?",
        Option(
            f"{wrong.sum() / sold.sum():.3f}", "the sum of the absolute errors over the sum of the sales."
        ),
        (
            Option(f"{(wrong / sold).mean():.3f}", "that is the mean of the daily percentages (MAPE)."),
            Option(f"{(mean - sold).sum() / sold.sum():+.3f}", "here errors cancel: that is the bias."),
        ),
        "c",
    )


def _mase(weeks: np.ndarray) -> Question:
    sold, mean = weeks[SHOWN], weeks[SHOWN - 4 : SHOWN].mean(axis=0).round()
    error = np.abs(sold - mean).mean().round(2)
    naive = np.abs(np.diff(weeks[:SHOWN], axis=0)).mean().round(2)
    return Question(
        f"The mean absolute error of that week is {error:.2f} dollars. In the ten weeks before it, 'the "
        f"same day last week' was wrong by {naive:.2f} dollars on average. What is the MASE(7)?",
        Option(f"{error / naive:.3f}", "the error over that of the seasonal naive forecast in training."),
        (
            Option(f"{naive / error:.3f}", "the other way round: below 1 has to mean better than naive."),
            Option(f"{error / sold.mean():.3f}", "that divides by the sales, not by the naive error."),
        ),
        "a",
    )


def _pinball(weeks: np.ndarray) -> Question:
    saturdays = np.sort(weeks[:11, 5])  # eleven: one value is the 90 % quantile, and no other
    return Question(
        f"Eleven Saturdays, sorted: {_numbers(saturdays)}. Which constant forecast has the lowest pinball "
        "loss at q = 0.9?",
        Option(f"{saturdays[9]:.0f}", "nine of ten of the others lie below it: the 90 % quantile."),
        (
            Option(f"{np.median(saturdays):.0f}", "the median is best at q = 0.5."),
            Option(f"{saturdays.mean():.0f}", "the mean is best by the squared error."),
        ),
        "b",
    )


def _coverage(weeks: np.ndarray) -> Question:
    past, later = weeks[SHOWN - 8 : SHOWN], weeks[SHOWN : SHOWN + 8]
    low, high = np.quantile(past, [0.1, 0.9], axis=0)
    inside, above = int(((later >= low) & (later <= high)).sum()), int((later > high).sum())
    n = later.size
    return Question(
        f"An 80 % band from the 10 % and 90 % quantiles of the eight same weekdays before. Of the {n} "
        f"days of the next eight weeks {above} lie above the band and {n - inside - above} below. What "
        "is its coverage?",
        Option(
            f"{100 * inside / n:.1f} %", "the share of days inside; the band promised 80 %, so calibrate it."
        ),
        (
            Option(f"{100 * (1 - above / n):.1f} %", "the days below the band are outside, too."),
            Option("80.0 %", "that is what the band promises; coverage is what it holds."),
        ),
        "b",
    )


def _order(weeks: np.ndarray) -> Question:
    share = MISSING / (MISSING + LEFT)
    sundays = np.sort(weeks[:9, 6])  # nine: the quartiles are values of the list
    low, middle, high = np.quantile(sundays, [1 - share, 0.5, share])
    return Question(
        f"Suppose the category did not keep: a dollar missing costs {MISSING} dollars, a dollar left "
        f"over {LEFT}. Nine Sundays, sorted: {_numbers(sundays)}. Which order is the cheapest on such "
        "days?",
        Option(
            f"{high:.0f}",
            f"{MISSING} / ({MISSING} + {LEFT}) = {share:.2f}: the {100 * share:.0f} % quantile.",
        ),
        (
            Option(f"{middle:.0f}", "the median is the order for equal costs."),
            Option(f"{low:.0f}", "the two costs are mixed up: what is missing costs more here."),
        ),
        "c",
    )
