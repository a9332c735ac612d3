"""Will this customer buy this category next week? The task, baselines, a network and scores."""

import lazy_loader

from ecomlib.purchases.evaluate import evaluate as evaluate
from ecomlib.purchases.task import task as task

BASELINES = ["BaseRate", "LightGBM", "Logistic", "WeightedFrequency", "features", "tune_frequency"]
# On first use: the network needs TensorFlow. Modules of the same name would hide the two names above.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "baselines": BASELINES,
        "channels": ["CHANNELS", "GROUPS", "columns"],
        "evaluate": ["advice", "draws", "evaluate"],
        "model": ["PurchaseLSTM", "purchase_network", "week_loss"],
        "task": ["PurchaseTask", "task"],
    },
)
