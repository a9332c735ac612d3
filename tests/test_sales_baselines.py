"""Sales baselines: one shape for all, right on series whose future is obvious."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ecomlib.panels import Panel
from ecomlib.sales import ETS, LightGBM, Ridge, SalesTask, Theta, WeekdayMean, calendar_features
from ecomlib.shop.complete_journey import HOLIDAYS

DAYS = pd.date_range("2017-05-01", periods=140)
WEEK = np.array([3.0, 1, 1, 2, 4, 9, 8])


def make_task(noise: float = 0.0) -> SalesTask:
    values = np.tile(WEEK, 20) * np.array([[10.0], [200.0]])
    values = values * np.random.default_rng(0).normal(1, noise, values.shape)
    calendar = calendar_features(pd.date_range(DAYS[0], periods=147), HOLIDAYS)
    known = np.broadcast_to(calendar.to_numpy()[None], (2, 147, 14))
    panel = Panel(values.astype(np.float32), ["small", "large"], DAYS)
    return SalesTask(panel, known, list(calendar.columns), 98, 112, 140, 28, 7)


MODELS = [
    WeekdayMean(1),
    WeekdayMean(4),
    ETS(),
    Theta(),
    Ridge(),
    LightGBM(n_estimators=200, learning_rate=0.1, min_child_samples=5, subsample=1.0),
    LightGBM(correct=True, n_estimators=200, learning_rate=0.1, min_child_samples=5, subsample=1.0),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_weekly_pattern_is_continued(model):
    task = make_task(noise=0.02)
    cutoffs = task.cutoffs("test")[:2]
    forecast = model.fit(task).predict(task, cutoffs)
    assert forecast.shape == (2, 2, 7, 3)
    assert (np.diff(forecast, axis=-1) >= 0).all()
    np.testing.assert_allclose(forecast[..., 1], task.actual(cutoffs), rtol=0.15)


def test_the_mean_is_the_mean_of_the_same_weekdays():
    task = make_task(noise=0.3)
    cutoff = task.cutoffs("test")[1]
    forecast = WeekdayMean(3).fit(task).predict(task, np.array([cutoff]))[0, :, :, 1]
    firsts = [cutoff + 1 - 7 * k for k in (1, 2, 3)]
    by_hand = np.mean([task.panel.values[:, first : first + 7] for first in firsts], axis=0)
    np.testing.assert_allclose(forecast, by_hand, rtol=1e-5)


@pytest.mark.slow
def test_ets_follows_a_season_that_grows_with_the_level():
    task = make_task(noise=0.02)
    growing = task.panel.values * np.linspace(1, 3, 140, dtype=np.float32)
    task = replace(task, panel=Panel(growing, task.panel.names, DAYS))
    cutoffs = task.cutoffs("test")[:2]
    for model in (ETS(), Theta()):
        forecast = model.predict(task, cutoffs)
        np.testing.assert_allclose(forecast[..., 1], task.actual(cutoffs), rtol=0.15)
        np.testing.assert_array_equal(forecast, model.predict(task, cutoffs))  # simulated bands too


def test_trees_without_rounds_of_correction_are_the_eight_week_mean():
    task = replace(make_task(noise=0.3), lookback=56)
    model = LightGBM(correct=True, n_estimators=1, learning_rate=1e-9, boost_from_average=False)
    forecast = model.fit(task, "refit").predict(task, task.cutoffs("test"))
    mean = WeekdayMean(8).predict(task, task.cutoffs("test"))[..., 1]
    np.testing.assert_allclose(forecast[..., 1], mean, rtol=1e-4)


def test_trees_read_what_the_network_reads():
    task = make_task(noise=0.3)
    windows = task.windows(task.cutoffs("valid"))
    table = LightGBM.table(windows)
    future = windows.inputs()["future"].reshape(len(table), -1)
    assert table.shape == (len(windows) * 7, 4 + 10 + future.shape[1] + 2)
    np.testing.assert_array_equal(table[:, 14:-2], future)
    np.testing.assert_allclose(table[:, :4].mean(axis=1), windows.weekday_mean(4).ravel(), rtol=1e-5)


def test_ridge_by_hand():
    task = replace(make_task(noise=0.3), lookback=56)
    windows = task.windows(task.cutoffs("refit"))
    model = Ridge(penalty=7.0).fit(task, "refit")
    table = LightGBM.table(windows)[:, :-2].astype(float)
    spread = table.std(axis=0)
    table = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1)
    change = (windows.target - windows.weekday_mean(8)).ravel()
    inner = table.T @ table + 7 * np.eye(table.shape[1])
    fitted = table @ np.linalg.solve(inner, table.T @ (change - change.mean())) + change.mean()
    error = (change - fitted).reshape(-1, 2, 7)
    by_hand = np.quantile(error, [0.1, 0.5, 0.9], axis=(0, 2)).T
    np.testing.assert_allclose(model.offsets, by_hand, atol=1e-3)
    mean = windows.weekday_mean(8) + fitted.reshape(-1, 7)
    forecast = model.predict(task, task.cutoffs("refit"))
    expected = (mean[..., None] + by_hand[windows.series][:, None]) * windows.scale[:, :, None]
    np.testing.assert_allclose(forecast.reshape(expected.shape), np.maximum(expected, 0), rtol=1e-3, atol=0.1)


def test_a_huge_penalty_leaves_the_eight_week_mean_and_its_errors():
    task = replace(make_task(noise=0.3), lookback=56)
    cutoffs = task.cutoffs("test")
    mean, model = WeekdayMean(8).predict(task, cutoffs)[..., 1], Ridge(penalty=1e12).fit(task)
    scale = task.windows(cutoffs).scale.reshape(len(cutoffs), 2, 1)
    change = (model.predict(task, cutoffs)[..., 1] - mean) / scale
    np.testing.assert_allclose(change, np.broadcast_to(change[:1, :, :1], change.shape), atol=1e-4)
