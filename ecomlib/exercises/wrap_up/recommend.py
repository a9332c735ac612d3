"""Wrap-up quiz of lessons 41 to 43, on the categories that one household buys from in spring."""

from collections import Counter

import numpy as np
import pandas as pd

from ecomlib.exercises.wrap_up import Option, Question, products_of
from ecomlib.shop.shop import Shop

LEVEL = "category"
FIRST, LAST = pd.Timestamp("2017-01-02"), pd.Timestamp("2017-05-28")
K, TRIPS = 5, 30


def trips_of(shop: Shop) -> tuple[list[set[str]], list[str]]:
    """Return a household's first 30 trips of the year, and all categories, what sells most first.

    The household is the first with so many trips by May whose last trip makes the questions worth asking:
    of 7 to 15 categories, some new; a hit and a miss on its own list; no hit at the top of the shop's list.

    Raises
    ------
    ValueError
        When the shop has no such household.
    """
    lines = shop.orders[shop.orders["timestamp"].between(FIRST, LAST)].merge(products_of(shop))
    lines["day"] = lines["timestamp"].dt.normalize()
    lines = lines.dropna(subset=[LEVEL]).drop_duplicates(["customer_id", "day", LEVEL])
    lines[LEVEL] = lines[LEVEL].astype(str)
    sold = lines[LEVEL].value_counts()
    favourites = sorted(sold.index, key=lambda item: (-sold[item], item))
    n_trips = lines.groupby("customer_id")["day"].nunique()
    many = lines[lines["customer_id"].isin(n_trips.index[n_trips >= TRIPS])]
    for _, ours in many.groupby("customer_id"):
        trips = [set(group) for _, group in ours.groupby("day")[LEVEL]][:TRIPS]
        hits = [item in trips[-1] for item in own_list(trips[:-1], favourites)]
        new = len(trips[-1].difference(*trips[:-1]))
        order = not hits[0] and hits != hits[::-1]  # so that the places of the hits matter
        fits = order and 2 <= sum(hits) <= 3 and 7 <= len(trips[-1]) <= 15 and 2 <= new <= 5
        if fits and first_place(trips[-1], favourites) in range(2, 7):
            return trips, favourites
    raise ValueError("this shop has no such household")


def own_list(trips: list[set[str]], favourites: list[str]) -> list[str]:
    """Return the most frequent categories of some trips; among equals the shop's favourite comes first."""
    count = Counter(item for trip in trips for item in trip)
    place = {item: n for n, item in enumerate(favourites)}
    return sorted(count, key=lambda item: (-count[item], place[item]))[:K]


def first_place(bought: set[str], favourites: list[str]) -> int:
    """Return the place of the first category on the shop's list that was bought, from 1."""
    return 1 + next(place for place, item in enumerate(favourites) if item in bought)


def questions(shop: Shop) -> list[Question]:
    """Return five questions: what is new, recall, its ceiling, the first hit, the order of the hits."""
    trips, favourites = trips_of(shop)
    past, last = trips[:-1], trips[-1]
    hits = np.array([item in last for item in own_list(past, favourites)])
    place = first_place(last, favourites)
    return [_new(past, last), _recall(hits, last), _ceiling(trips), _first(place), _ndcg(hits, last)]


def _new(past: list[set[str]], last: set[str]) -> Question:
    before = set().union(*past)
    new = len(last - before)
    return Question(
        f"A household bought from {len(before)} categories on its first {len(past)} trips of the year. "
        f"Its next trip holds {len(last)} categories, {len(last & before)} of them among these. How much "
        "of the trip could a list for discovery hit?",
        Option(f"{new / len(last):.3f}", "only what is new to the household counts for discovery."),
        (
            Option(f"{1 - new / len(last):.3f}", "that is the share of repeats: the easy part."),
            Option(f"{new / (len(before) + new):.3f}", "divide by the trip, not by all known categories."),
        ),
        "c",
    )


def _recall(hits: np.ndarray, last: set[str]) -> Question:
    n = int(hits.sum())
    return Question(
        f"Of the {K} categories that it bought most often before, {n} are in this trip of {len(last)}. "
        f"What is the recall@{K} of the personal top frequency?",
        Option(f"{n / len(last):.3f}", "hits over what was bought."),
        (
            Option(f"{n / K:.3f}", "hits over the length of the list: the precision."),
            Option(f"{n / (K + len(last) - n):.3f}", "that divides by all that is listed or bought."),
        ),
        "a",
    )


def _ceiling(trips: list[set[str]]) -> Question:
    sizes = np.array([len(trip) for trip in trips])
    return Question(
        f"Its {TRIPS} trips hold these numbers of categories: {', '.join(map(str, sizes))}. Which mean "
        f"recall@{K} can the best of all lists reach on them?",
        Option(f"{np.minimum(K / sizes, 1).mean():.3f}", "a list of five cannot hold a larger trip."),
        (
            Option("1.000", "a trip of ten needs a list of ten."),
            Option(f"{min(K / sizes.mean(), 1):.3f}", "take the ceiling of each trip first, then the mean."),
        ),
        "b",
    )


def _first(place: int) -> Question:
    return Question(
        "On the list of what the whole shop buys most, the first category that is in the trip stands in "
        f"place {place}. What does the trip add to the MRR?",
        Option(f"{1 / place:.3f}", "one over the place of the first hit."),
        (
            Option(f"{1 / np.log2(1 + place):.3f}", "that is how NDCG weighs a hit in this place."),
            Option(f"{1 / (place + 1):.3f}", "places are counted from 1."),
        ),
        "b",
    )


def _ndcg(hits: np.ndarray, last: set[str]) -> Question:
    gain = 1 / np.log2(2 + np.arange(K))
    best = gain[: min(K, len(last))].sum()
    shown = ", ".join("hit" if hit else "miss" for hit in hits)
    return Question(
        f"The household's own list from place 1 on: {shown}. What is its NDCG@{K} for the trip of "
        f"{len(last)}?",
        Option(f"{gain @ hits / best:.3f}", "discounted hits over those of the best possible list."),
        (
            Option(f"{gain @ hits:.3f}", "divide by the best that was possible."),
            Option(f"{gain[: int(hits.sum())].sum() / best:.3f}", "that puts the hits first; they are not."),
        ),
        "c",
    )
