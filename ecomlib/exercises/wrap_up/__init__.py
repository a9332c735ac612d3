"""The wrap-up quiz at the end of each part: five questions on data of the shop that no lesson has used.

`ask("sales")` prints the questions, `mark("sales", "bacab")` says what is right and why. All figures, those
of the options too, are computed from the running shop: the wrong ones by the usual mistakes.
"""

import importlib
from dataclasses import dataclass
from functools import cache
from textwrap import fill

import pandas as pd

from ecomlib.shop.cleaning import clean
from ecomlib.shop.complete_journey import load_complete_journey
from ecomlib.shop.shop import Shop

PARTS = ("foundations", "sales", "purchases", "recommend")
LETTERS = "abc"


@dataclass(frozen=True)
class Option:
    """A possible answer, and what is to be said when it is chosen."""

    text: str
    says: str


@dataclass(frozen=True)
class Question:
    """A question with three options, the right one first; `letter` is where it is printed."""

    text: str
    right: Option
    wrong: tuple[Option, Option]
    letter: str

    @property
    def options(self) -> dict[str, Option]:
        """The options by their letters."""
        others = iter(self.wrong)
        return {letter: self.right if letter == self.letter else next(others) for letter in LETTERS}


def products_of(shop: Shop) -> pd.DataFrame:
    """Return the products of a shop.

    Raises
    ------
    ValueError
        When the shop has no table of products.
    """
    if shop.products is None:
        raise ValueError("the quiz needs a shop with a table of products")
    return shop.products


def questions(part: str, shop: Shop) -> list[Question]:
    """Return the questions of a part.

    Parameters
    ----------
    part : str
        "foundations", "sales", "purchases" or "recommend".
    shop : Shop
        The cleaned shop of the lessons; nothing in it is changed.

    Raises
    ------
    ValueError
        When there is no such part.
    """
    if part not in PARTS:
        raise ValueError(f"there is no part {part!r}; the parts are {', '.join(PARTS)}")
    made: list[Question] = importlib.import_module(f"ecomlib.exercises.wrap_up.{part}").questions(shop)
    return made


@cache
def of_running_shop(part: str) -> list[Question]:
    """Return the questions of a part; the shop is opened once and given back."""
    return questions(part, clean(load_complete_journey())[0])


def ask(part: str) -> None:
    """Print the questions of a part with their options."""
    for number, one in enumerate(of_running_shop(part), 1):
        print(
            "\n".join(fill(line, 88, subsequent_indent="   ") for line in f"{number}. {one.text}".split("\n"))
        )
        print("\n".join(f"   {letter}) {option.text}" for letter, option in one.options.items()), end="\n\n")


def mark(part: str, answers: str) -> None:
    """Print for each answer whether it is right, and why.

    Parameters
    ----------
    part : str
        The part of the course.
    answers : str
        One letter per question, such as "bacab"; a dot for a question that is still open.

    Raises
    ------
    ValueError
        When the number of letters is not that of the questions.
    """
    made = of_running_shop(part)
    if len(answers) != len(made):
        raise ValueError(f"give {len(made)} letters, one per question; a dot where you have no answer yet")
    for number, (one, letter) in enumerate(zip(made, answers, strict=True), 1):
        word = "correct" if letter == one.letter else "not yet"
        said = one.options[letter].says if letter in one.options else "a, b or c?"
        print(fill(f"{number}. {word}: {said}", 88, subsequent_indent="   "))
