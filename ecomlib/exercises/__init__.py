"""Self-checks: `check("21.2", answer)` prints "correct", or "not yet" and a hint.

The checkers of notebook NN live in `ecomlib/exercises/nbNN.py`. Where an exercise has one right result they
compute it; where many answers are right they test what the answer does, and a right one stands there as an
example. These are self-checks, not an examination: whoever wants to look an answer up can.
"""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Judge = Callable[[Any], str | None]


@dataclass(frozen=True)
class Exercise:
    """One exercise: how to judge an answer, answers that are wrong, and one that is right."""

    name: str
    judge: Judge
    wrong: list[Callable[[], object]] = field(default_factory=list)
    right: Callable[[], object] | None = None


_EXERCISES: dict[str, Exercise] = {}


def checker(
    name: str, wrong: list[Callable[[], object]], right: Callable[[], object] | None = None
) -> Callable[[Judge], Judge]:
    """Register a judge: a function of the answer that returns a hint, or None when it is correct.

    Parameters
    ----------
    name : str
        "NN.k": notebook and exercise.
    wrong : list of functions without argument
        At least two typical wrong answers; a test expects "not yet" for each of them.
    right : function without argument, optional
        A correct answer; a test expects "correct". The solution notebooks prove it in any case.
    """
    if len(wrong) < 2:
        raise ValueError(f"exercise {name} needs at least two typical wrong answers")

    def register(judge: Judge) -> Judge:
        _EXERCISES[name] = Exercise(name, judge, wrong, right)
        return judge

    return register


def exercise(name: str) -> Exercise:
    """Find an exercise by its name.

    Raises
    ------
    KeyError
        When there is no such exercise.
    """
    if not re.fullmatch(r"\d\d\.\d", name):
        raise KeyError(f"an exercise is named like '21.2' (notebook 21, exercise 2), not {name!r}")
    if name not in _EXERCISES:
        module = f"ecomlib.exercises.nb{name[:2]}"
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
    if name not in _EXERCISES:
        raise KeyError(f"there is no exercise {name!r}")
    return _EXERCISES[name]


def hint(name: str, answer: object) -> str | None:
    """Judge an answer: None when it is correct, else what to look at."""
    judge = exercise(name).judge
    if answer is ...:
        return "replace the dots with your answer."
    try:
        return judge(answer)
    except NotImplementedError:
        return "write the body of the function."
    except Exception as error:  # a learner's function may fail in any way; say how
        return f"your answer stopped with {type(error).__name__}: {error}."


def check(name: str, answer: object) -> None:
    """Print "correct", or "not yet" with a hint.

    Examples
    --------
    >>> check("21.2", ...)
    not yet: replace the dots with your answer.
    """
    problem = hint(name, answer)
    print("correct" if problem is None else f"not yet: {problem}")


def close(answer: Any, expected: Any, tolerance: float = 1e-6) -> bool:
    """Whether a number or array equals the expected one, of the same shape, within a tolerance."""
    import numpy as np

    given, wanted = np.asarray(answer, dtype=float), np.asarray(expected, dtype=float)
    return given.shape == wanted.shape and np.allclose(given, wanted, rtol=tolerance, atol=tolerance)
