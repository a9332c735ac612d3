"""Clicks of a web shop: a session so far in, the next item out; the command is `course.py clicks`."""

import lazy_loader

# These two are imported now, since a module of the same name would hide them; the rest on first use, since
# the network needs TensorFlow, which takes seconds.
from ecomlib.clicks.evaluate import evaluate as evaluate
from ecomlib.clicks.task import task as task

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "baselines": ["Markov", "Popularity", "SessionKNN", "tune_knn"],
        "evaluate": ["advice", "draws", "evaluate"],
        "model": ["Mix", "NextClick"],
        "task": ["task", "until_test"],
    },
)
