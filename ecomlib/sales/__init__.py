"""Sales forecasting: what each department or category will sell on each of the next days."""

import lazy_loader

from ecomlib.sales.baselines import ETS, LightGBM, Theta, WeekdayMean
from ecomlib.sales.evaluate import (
    advice,
    calibrate_band,
    compare_forecasts,
    draws,
    evaluate,
    naive_scale,
    order_cost,
    score_forecast,
    stretch_band,
)
from ecomlib.sales.known_ahead import calendar_features, open_days
from ecomlib.sales.task import QUANTILES, SalesTask, Windows, task

# The network's room needs TensorFlow: it is opened on first use.
__getattr__, _lazy, _ = lazy_loader.attach(
    __name__, submod_attrs={"model": ["SalesLSTM", "pinball_loss", "sales_network"]}
)
__all__ = [
    "ETS",
    "QUANTILES",
    "LightGBM",
    "SalesTask",
    "Theta",
    "WeekdayMean",
    "Windows",
    "advice",
    "calendar_features",
    "calibrate_band",
    "compare_forecasts",
    "draws",
    "evaluate",
    "naive_scale",
    "open_days",
    "order_cost",
    "score_forecast",
    "stretch_band",
    "task",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *_lazy()])
