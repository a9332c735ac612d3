"""Forecasts by statsforecast, neuralforecast and lifetimes, for `benchmarks/quality/peers.py`."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.quality._alone import Found
from ecomlib.sales import SalesTask

REFIT = {"AutoARIMA": 56}  # days after which a model of one series is fitted anew: a week, if not said here


def classical(task: SalesTask, name: str) -> Found:
    """Forecast the validation and the test days with a model of statsforecast."""
    from statsforecast import models

    make = {
        "AutoETS": partial(models.AutoETS, season_length=7),
        "AutoARIMA": partial(models.AutoARIMA, season_length=7, approximation=True),
        "MSTL": partial(models.MSTL, season_length=[7]),
        "Theta": partial(models.DynamicOptimizedTheta, season_length=7),
    }[name]
    every = REFIT.get(name, 7)
    return {name: [{part: per_series(task, task.cutoffs(part), make, every) for part in ("valid", "test")}]}


def per_series(task: SalesTask, cutoffs: np.ndarray, make: Callable[[], Any], every: int = 7) -> np.ndarray:
    """Forecast each series on its own, fitted again after `every` days and brought up to date in between."""
    out = np.zeros((len(cutoffs), task.n_series, task.horizon, 3), np.float32)
    for s, values in enumerate(task.panel.values.astype(float)):
        # A multiplicative season cannot start from 0: the course's own ETS has the same floor.
        values = np.maximum(values, max(0.01 * values[: cutoffs[0] + 1].mean(), 0.01))
        fitted = -every
        for i, cutoff in enumerate(cutoffs):
            past = values[: cutoff + 1]
            if cutoff - fitted >= every:
                model, fitted = make().fit(past), cutoff
            ahead = model.forward(past, task.horizon, level=[80])
            out[i, s] = np.column_stack([ahead["lo-80"], ahead["mean"], ahead["hi-80"]])
    return task.by_cutoff(out.reshape(-1, task.horizon, 3), cutoffs)


def network(task: SalesTask, name: str, seed: int, settings: dict[str, Any]) -> Found:
    """Train a network of neuralforecast on train, forecast valid; again on both, forecast the test."""
    table = long_table(task)
    return {name: [{part: trained(task, table, name, seed, settings, part) for part in ("valid", "test")}]}


def trained(
    task: SalesTask, table: pd.DataFrame, name: str, seed: int, settings: dict[str, Any], part: str
) -> np.ndarray:
    """Forecasts of a part by a network trained on all days before it."""
    import torch
    from neuralforecast import NeuralForecast, models
    from neuralforecast.losses.pytorch import DistributionLoss, MQLoss

    for logger in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    loss = DistributionLoss("StudentT", level=[80]) if name == "DeepAR" else MQLoss(level=[80])
    quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu", "devices": 1}
    sizes = {"h": task.horizon, "input_size": task.lookback, "batch_size": task.n_series}
    sizes |= {"futr_exog_list": list(table.columns[3:]), "random_seed": seed, "loss": loss}
    options = sizes | {"windows_batch_size": 256, "scaler_type": "standard"} | quiet | settings
    cutoffs = task.cutoffs(part)
    known = table[table["ds"] < task.days[cutoffs[-1] + 1 + task.horizon]]
    step = int(cutoffs[1] - cutoffs[0])
    made = NeuralForecast([getattr(models, name)(**options)], freq="D").cross_validation(
        known, n_windows=len(cutoffs), step_size=step, val_size=0, refit=False
    )
    made = made.sort_values(["cutoff", "unique_id", "ds"])
    if list(made["cutoff"].unique()) != list(task.days[cutoffs]):
        raise ValueError(f"{name}: the library forecasts from other days than were asked for")
    bands = made[[f"{name}-lo-80", f"{name}-median", f"{name}-hi-80"]]
    return task.by_cutoff(bands.to_numpy(np.float32).reshape(-1, task.horizon, 3), cutoffs)


def long_table(task: SalesTask) -> pd.DataFrame:
    """The sales and what is known ahead of them, one line per series and day, as neuralforecast reads it."""
    n = task.panel.values.shape[1]
    names = [name.replace(" ", "_") for name in task.known_names]
    keys = {"unique_id": np.repeat(np.arange(task.n_series), n), "ds": np.tile(task.days[:n], task.n_series)}
    known = pd.DataFrame(task.known[:, :n].reshape(-1, len(names)), columns=names)
    return pd.concat([pd.DataFrame(keys | {"y": task.panel.values.ravel()}), known], axis=1)


def customer_base(name: str, seen: np.ndarray, ahead: int = 39) -> Found:
    """Fit a model of lifetimes to repeats, last and age, (3, n_customers); expect the repeats to come."""
    import lifetimes

    kinds = {"BG/NBD": lifetimes.BetaGeoFitter, "Pareto/NBD": lifetimes.ParetoNBDFitter}
    model = kinds[name]()
    model.fit(*seen)
    expected = model.conditional_expected_number_of_purchases_up_to_time(ahead, *seen)
    return {name: [{"expected": np.asarray(expected)}]}
