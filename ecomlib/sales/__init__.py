"""Sales forecasting: what each department or category will sell on each of the next days."""

import lazy_loader

from ecomlib.sales.evaluate import evaluate as evaluate
from ecomlib.sales.task import task as task

SCORES = ["advice", "calibrate_band", "compare_forecasts", "draws", "naive_scale", "order_cost"]
# On first use: the network needs TensorFlow. Modules of the same name would hide the two names above.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "baselines": ["ETS", "LightGBM", "Ridge", "Theta", "WeekdayMean"],
        "evaluate": [*SCORES, "evaluate", "conformal_band", "score_forecast"],
        "known_ahead": ["calendar_features", "open_days"],
        "model": ["MLP", "SalesLSTM", "pinball_loss", "sales_network"],
        "task": ["QUANTILES", "SalesTask", "Windows", "task"],
    },
)
