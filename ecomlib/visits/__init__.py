"""In how many of the next weeks will a customer shop? The task, baselines, network and scores."""

import lazy_loader

from ecomlib.visits.baselines import (
    ClassShares,
    LightGBM,
    Logistic,
    OwnPast,
    RecencyFrequencyMoney,
    features,
)
from ecomlib.visits.evaluate import advice, draws, evaluate
from ecomlib.visits.task import CHANNELS, VisitsTask, shopping_weeks_ahead, task

# The network needs TensorFlow, which takes seconds to import: it is imported on first use.
__getattr__, _, _ = lazy_loader.attach(__name__, submod_attrs={"model": ["VisitsLSTM", "visits_network"]})

__all__ = [
    "CHANNELS",
    "ClassShares",
    "LightGBM",
    "Logistic",
    "OwnPast",
    "RecencyFrequencyMoney",
    "VisitsLSTM",
    "VisitsTask",
    "advice",
    "draws",
    "evaluate",
    "features",
    "shopping_weeks_ahead",
    "task",
    "visits_network",
]


def __dir__() -> list[str]:
    return __all__
