"""Which products come next? Earlier trips in, ranked lists out: the task, baselines, a network and scores."""

import lazy_loader

from ecomlib.recommend.evaluate import evaluate
from ecomlib.recommend.history import history
from ecomlib.recommend.task import task

BASELINES = ["Factors", "ItemKNN", "Markov", "PersonalFrequency", "Popularity", "TIFUKNN", "Trended"]
# Imported on first use: the network needs TensorFlow, which takes seconds. The three names above are imported
# now, since a module of the same name would hide them.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "baselines": BASELINES,
        "batches": ["cut_windows"],
        "evaluate": ["Ranking", "advice", "draws"],
        "model": ["NextItems", "bag_loss"],
        "ranking": ["Recommender", "best_items", "top_k"],
        "task": ["SequenceTask", "with_today"],
    },
)
__all__ += ["evaluate", "history", "task"]
