"""Will this customer buy this category next week? The task, baselines, networks and scores."""

import lazy_loader

from ecomlib.purchases.baselines import (
    BaseRate,
    LightGBM,
    Logistic,
    WeightedFrequency,
    features,
    tune_frequency,
    tune_lightgbm,
)
from ecomlib.purchases.channels import CHANNELS, GROUPS, columns
from ecomlib.purchases.evaluate import advice, draws, evaluate, kinds
from ecomlib.purchases.task import PurchaseTask, task

_NETWORKS = ["MultiHotLSTM", "PurchaseLSTM", "purchase_network", "week_loss"]
# The networks need TensorFlow, which takes seconds to import: they are imported on first use.
__getattr__, _, _ = lazy_loader.attach(__name__, submod_attrs={"model": _NETWORKS})

__all__ = [
    "CHANNELS",
    "GROUPS",
    "BaseRate",
    "LightGBM",
    "Logistic",
    "MultiHotLSTM",
    "PurchaseLSTM",
    "PurchaseTask",
    "WeightedFrequency",
    "advice",
    "columns",
    "draws",
    "evaluate",
    "features",
    "kinds",
    "purchase_network",
    "task",
    "tune_frequency",
    "tune_lightgbm",
    "week_loss",
]


def __dir__() -> list[str]:
    return __all__
