"""Which products come next? Earlier trips in, ranked lists out: the task, baselines, a network and scores."""

import lazy_loader

# These three are imported now, since a module of the same name would hide them; the rest on first use, since
# the network needs TensorFlow, which takes seconds.
from ecomlib.recommend.evaluate import evaluate as evaluate
from ecomlib.recommend.history import history as history
from ecomlib.recommend.task import task as task

SIMPLE = ["ItemKNN", "Markov", "PersonalFrequency", "Popularity", "TIFUKNN", "Trend"]
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "baselines": [*SIMPLE, "ALS", "EASE", "PureSVD"],
        "batches": ["cut_windows"],
        "blend": ["Blend", "tune_blend"],
        "evaluate": ["Ranking", "advice", "draws", "evaluate"],
        "history": ["history"],
        "model": ["NextItems", "set_loss"],
        "ranking": ["Recommender", "top_k"],
        "two_stage": ["TwoStage"],
        "task": ["SequenceTask", "task", "with_today"],
    },
)
