"""Figures of lessons 00, 11 and 15: the map of the course, and the first look at a shop.

Each function draws a table that the lesson computes in the open. None of them calls show().
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

# The map of the course: its parts and the lessons of each; part 1 begins with lesson 10, part 2 with
# lesson 21.
_TITLES = {
    "Foundations": "one neuron, the data, recurrence, the gates, by hand, preprocess, first LSTM, "
    "when it fails",
    "Sales": "prepare, train, evaluate",
    "Purchases": "prepare, train, evaluate",
    "Recommendation": "prepare, train, evaluate",
    "What comes after": "RNN or GRU, many inputs, partly seen, mixed kinds, real time, scale out",
    "Your own shop": "your data, every week",
}
COURSE = {
    part: dict(enumerate(titles.split(", "), 10 * number + (number > 1)))
    for number, (part, titles) in enumerate(_TITLES.items(), 1)
}
WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def course_map(parts: Mapping[str, Mapping[int, str]], there: set[int]) -> Axes:
    """Draw the parts of the course as rows of boxes, one for each lesson that exists.

    Parameters
    ----------
    parts : mapping of a part's name to its lessons {number: title}
    there : set of int
        The lessons that exist.
    """
    ax = plt.subplots(figsize=(11.5, 5.6))[1]
    for row, (name, lessons) in enumerate(parts.items()):
        ax.text(-0.15, -row, name, ha="right", va="center", fontsize=12)
        for column, number in enumerate(number for number in lessons if number in there):
            at, x = (column, -row - 0.4), column + 0.46
            ax.add_patch(plt.Rectangle(at, 0.92, 0.8, facecolor=f"C{row}", alpha=0.35))
            ax.add_patch(plt.Rectangle(at, 0.92, 0.8, edgecolor=f"C{row}", facecolor="none", lw=1.5))
            ax.text(x, -row + 0.22, str(number), ha="center", va="center", fontsize=11, weight="bold")
            ax.text(x, -row - 0.12, lessons[number], ha="center", va="center", fontsize=9)
    ax.set(xlim=(-1.9, max(map(len, parts.values()))), ylim=(0.5 - len(parts), 0.5))
    ax.set_title("The parts of the course: foundations first, then the use case you need")
    ax.axis("off")
    return ax


def sales_and_panel(weekly: pd.DataFrame) -> np.ndarray:
    """Draw sales per week beside the households seen so far and active in the week.

    Parameters
    ----------
    weekly : DataFrame
        Index: week; columns sales (currency), active, seen (households).

    Returns
    -------
    array of two Axes
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
    left.plot(weekly["sales"] / 1000)
    left.set(
        title="Sales are level; the peak is before Christmas", ylabel="sales per week (thousand dollars)"
    )
    right.plot(weekly["seen"], label="seen so far")
    right.plot(weekly["active"], ls="--", label="active in the week")
    right.set(title="First sightings pile up; the active households stay level", ylabel="households")
    right.legend()
    for ax in (left, right):
        ax.set(xlabel="week of 2017", ylim=(0, 1.08 * max(line.get_ydata().max() for line in ax.lines)))
    fig.tight_layout()
    return np.array([left, right])


def weekday_and_hour(share: pd.DataFrame, of_week: Sequence[float]) -> Axes:
    """Draw a heat map of the baskets by weekday and hour.

    Parameters
    ----------
    share : DataFrame (7, n_hours)
        Per cent of a weekday's baskets in each hour.
    of_week : sequence of 7 floats
        Each weekday's share of all baskets, 0 to 1.
    """
    fig, ax = plt.subplots(figsize=(9, 2.9))
    image = ax.imshow(share, aspect="auto", cmap="viridis")
    ax.set(title="Working days peak at 17 h; the weekend spreads over the afternoon", yticks=range(7))
    ax.set(xlabel="local hour of the day", xticks=range(0, share.shape[1], 3), xticklabels=share.columns[::3])
    ax.set_yticklabels([f"{day} ({part:.0%})" for day, part in zip(WEEKDAYS, of_week, strict=True)])
    ax.grid(False)
    fig.colorbar(image, label="% of the day's baskets")
    return ax


def basket_sizes(baskets: pd.DataFrame, largest: int = 60) -> Axes:
    """Draw the share of the baskets and of the sales by the basket's size.

    Parameters
    ----------
    baskets : DataFrame
        One row per basket: products (different ones), paid (currency).
    largest : int
        Larger baskets are counted here.
    """
    size, paid = baskets["products"].clip(upper=largest), baskets["paid"]
    weights = [np.full(len(size), 100 / len(size)), paid / paid.sum() * 100]
    ax = plt.subplots()[1]
    labels = ["of the baskets", "of the sales"]
    ax.hist([size, size], bins=list(range(1, largest + 2, 2)), weights=weights, label=labels)
    ax.set(title="Most baskets are small; half the sales come from a few large ones", ylabel="share (%)")
    ax.set_xlabel(f"different products in the basket ({largest} = {largest} or more)")
    ax.legend()
    return ax


def returns(gaps: pd.Series, trips: pd.Series) -> np.ndarray:
    """Draw the days to the next trip, and the trips of the households.

    Parameters
    ----------
    gaps : Series
        Days from one trip to the next.
    trips : Series
        Trips in the year, one value per household.

    Returns
    -------
    array of two Axes
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
    left.hist(gaps.clip(upper=31), bins=np.arange(0.5, 32), weights=np.full(len(gaps), 100 / len(gaps)))
    left.set(title="The next trip is mostly near", ylabel="share of trips (%)")
    left.set_xlabel("days to the next trip (31 = 31 or more)")
    right.hist(trips, bins=np.arange(0, trips.max() + 10, 10))
    right.set(title="From a few trips per year to nearly one per day", xlabel="trips in the year")
    right.set_ylabel("households")
    fig.tight_layout()
    return np.array([left, right])


def promotion_lift(lift: pd.DataFrame, category: str) -> np.ndarray:
    """Draw how much more was sold in promoted weeks, and how much cheaper.

    Parameters
    ----------
    lift : DataFrame
        Index: promotion; columns lift, low, high (units / usual units), price cut (0 to 1).
    category : str

    Returns
    -------
    array of two Axes
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    bars = [lift["lift"] - lift["low"], lift["high"] - lift["lift"]]
    left.bar(lift.index, lift["lift"], yerr=bars, capsize=4)
    left.set(title=f"{category.capitalize()}: promoted products sell more ...", ylabel="units / usual units")
    right.bar(lift.index, lift["price cut"] * 100, color="C1")
    right.set(title="... and are cheaper in the very same weeks", ylabel="discount (% of shelf price)")
    for ax in (left, right):
        ax.set_xlabel("promotion")
        ax.grid(False, axis="x")
    fig.tight_layout()
    return np.array([left, right])


def campaign_groups(mean: pd.DataFrame, sizes: Mapping[str, int]) -> Axes:
    """Draw what groups of households spent, before and after a campaign began.

    Parameters
    ----------
    mean : DataFrame
        Index: weeks since the campaign began; one column per group (currency per week and household).
    sizes : mapping of group to its number of households
    """
    ax = plt.subplots()[1]
    for (name, values), style in zip(mean.items(), ("-", "--", ":"), strict=False):
        ax.plot(values, style, marker=".", label=f"{name} ({sizes[name]:,} households)")
    ax.axvline(-0.5, color="grey", lw=1)
    ax.set(
        title="Those who use coupons spent more long before the campaign", ylim=(0, mean.max().max() * 1.45)
    )
    ax.set(xlabel="weeks since the campaign began", ylabel="dollars per week and household\non its products")
    ax.legend(loc="upper left", fontsize=9)
    return ax


def three_sequences(daily: pd.Series, weeks: pd.DataFrame, trips: pd.Series) -> np.ndarray:
    """Draw one sequence of each use case: days of numbers, weeks of sets, trips at uneven distances.

    Parameters
    ----------
    daily : Series
        Index: days; sales (currency).
    weeks : bool DataFrame (n_categories, n_weeks)
        True where a household bought of the category in the week.
    trips : Series
        Index: days with a trip; different products bought.

    Returns
    -------
    array of three Axes
    """
    fig, axes = plt.subplots(3, 1, figsize=(9, 6.6), height_ratios=[2, 3, 1.4])
    axes[0].plot(daily / 1000, marker=".")
    axes[0].set(title="Sales: a step is a day, it holds a number", ylabel="thousand dollars")
    axes[1].imshow(weeks, aspect="auto", cmap="Blues", vmax=1.4)
    axes[1].set(title="Purchases: a step is a week, it holds a set (dark = bought)", xlabel="week of 2017")
    axes[1].set(xticks=range(weeks.shape[1]), xticklabels=weeks.columns, yticks=range(len(weeks)))
    axes[1].set_yticklabels([str(name).capitalize()[:28] for name in weeks.index], fontsize=9)
    axes[1].set_xticks(np.arange(0.5, weeks.shape[1] - 1), minor=True)
    axes[1].grid(False)
    axes[1].grid(which="minor", axis="x", color="white")
    axes[2].scatter(trips.index, np.zeros(len(trips)), s=trips * 12, alpha=0.6)
    axes[2].set(
        title="Recommendation: a step is a trip, it holds a set, at uneven distances (area = products)"
    )
    axes[2].set(yticks=[], ylim=(-1, 1))
    day = pd.Timedelta(days=1)
    for ax in (axes[0], axes[2]):
        ax.set_xlim(daily.index[0] - day, daily.index[-1] + day)
        ax.xaxis.offsetText.set_visible(False)  # a year and month alone at the corner say little
    axes[2].set_xlabel(f"day of {daily.index[0].year}")
    fig.tight_layout()
    return axes


def index_curves(curves: pd.DataFrame, base: tuple[int, int]) -> Axes:
    """Draw weekly curves as an index, 100 = their mean over the weeks base[0] to base[1].

    Parameters
    ----------
    curves : DataFrame
        One row per week; "sales" and "sales per household seen so far".
    base : (int, int)
        First and last week of the base.
    """
    ax = (curves / curves.loc[base[0] : base[1]].mean() * 100).plot()
    ax.set(xlabel="week of 2017", ylabel=f"index (weeks {base[0]} to {base[1]} = 100)")
    ax.set_title("Dividing by the households seen so far invents a fall in the first weeks")
    return ax
