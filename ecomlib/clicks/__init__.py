"""Clicks of a web shop: a session so far in, the next item out; the command is `python -m ecomlib.clicks`.

A session is a sequence of `recommend` whose steps hold one item each.
"""

import lazy_loader

from ecomlib.clicks.baselines import Markov, Popularity, SessionKNN, tune_knn
from ecomlib.clicks.evaluate import advice, draws, evaluate
from ecomlib.clicks.reader import cut_sessions, read_clicks
from ecomlib.clicks.task import task, until_test

__getattr__, __lazy_dir, _lazy = lazy_loader.attach(__name__, submod_attrs={"model": ["Mix", "NextClick"]})
__all__ = [
    "Markov",
    "Mix",
    "NextClick",
    "Popularity",
    "SessionKNN",
    "advice",
    "cut_sessions",
    "draws",
    "evaluate",
    "read_clicks",
    "task",
    "tune_knn",
    "until_test",
]


def __dir__() -> list[str]:
    return __all__
