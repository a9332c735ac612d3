"""In how many of the next weeks will a customer shop? The task, baselines, network and scores."""

import lazy_loader

from ecomlib.visits.evaluate import evaluate as evaluate
from ecomlib.visits.task import task as task

RULES = ["ClassShares", "LightGBM", "Logistic", "OwnPast", "RecencyFrequencyMoney", "features"]
# On first use: the network needs TensorFlow. Modules of the same name would hide the two names above.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "baselines": RULES,
        "evaluate": ["advice", "draws", "evaluate"],
        "model": ["VisitsLSTM", "visits_network"],
        "task": ["CHANNELS", "VisitsTask", "shopping_weeks_ahead", "task"],
    },
)
