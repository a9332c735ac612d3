"""Visits: targets and features counted by hand, no leak over the origin, baselines and scores."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from perturb import assert_identical, change_after
from sklearn.metrics import roc_auc_score

from ecomlib import visits
from ecomlib.evaluation import interval
from ecomlib.sequences import WeeklyPanel, weekly_panel
from ecomlib.shop import Shop, TooShort


def panel_of(shopped) -> WeeklyPanel:
    """A panel with one basket of 10 lines and 20 dollars in every shopping week."""
    shopped = np.atleast_2d(np.asarray(shopped, dtype=np.float32))
    n, weeks = shopped.shape
    values = shopped[..., None] * np.array([20, 1, 10], np.float32)
    first = np.where(shopped.any(axis=1), shopped.argmax(axis=1), weeks)
    days = pd.date_range("2024-01-01", periods=weeks, freq="7D")
    return WeeklyPanel(values, ["spend", "baskets", "lines"], np.arange(n), days, first)


@pytest.fixture(scope="module")
def shop():
    rng = np.random.default_rng(1)
    n = 3000
    customer = rng.integers(0, 40, n)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 30 * 7 * 24 * 60, n), unit="min")
    orders = pd.DataFrame(
        {
            "customer_id": customer,
            "order_id": np.arange(n),
            "product_id": rng.integers(0, 9, n),
            "timestamp": when,
            "quantity": 1,
            "revenue": rng.uniform(1, 50, n).round(2),
            "discount": 0.0,
        }
    )
    keep = (customer % 4 > 0) | (rng.random(n) < 0.1)  # some customers come seldom
    return Shop(orders[keep].sort_values("timestamp", ignore_index=True))


def arrays_at(shop, valid_origin=16, test_origins=(20, 21)):
    panel = weekly_panel(shop.orders, "2024-01-01", "2024-07-28")
    return panel, visits.prepare(panel, valid_origin, np.array(test_origins))


def test_targets_count_the_next_four_weeks():
    y = visits.shopping_weeks_ahead(panel_of([1, 0, 1, 1, 0, 0, 0, 0, 1, 0]))
    np.testing.assert_array_equal(y, [[2, 2, 1, 0, 1, 1, -1, -1, -1, -1]])


def test_spending_band():
    panel = panel_of([[1, 1, 1, 1, 1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 1, 1, 1, 1, 0, 0]])
    band = visits.spending_band_ahead(panel)
    np.testing.assert_array_equal(band[0], [2, 2, 2, 2, 2, 1, -1, -1, -1, -1])
    # The second: usual after week 0 is 80 (one week known), after week 3 it is 20, then 80 follow.
    np.testing.assert_array_equal(band[1, :4], [1, 2, 3, 3])


def test_channels_of_a_typical_shopping_week_are_one():
    x = visits.channels(panel_of([0, 1, 0, 1]), 3)
    np.testing.assert_allclose(x[0, :, 0], [0, 1, 0, 1])
    np.testing.assert_allclose(x[0, :, 1:4], np.repeat([[0], [1], [0], [1]], 3, axis=1), rtol=1e-6)
    np.testing.assert_allclose(x[0, :, 4], [0, 1, 1, 1])


def test_features_by_hand():
    values, names = visits.features(panel_of([0, 1, 0, 0, 1, 0, 0, 0]), n_lags=2)
    now = dict(zip(names, values[0, -1], strict=True))
    assert (now["recency"], now["known"], now["mean gap"], now["longest gap"]) == (3, 7, 3, 3)
    assert now["shopped, 4 weeks"] == 0.25 and now["shopped, 52 weeks"] == pytest.approx(2 / 7)
    assert now["spend, lag 0"] == 0 and values.shape[-1] == 27 + 2 * 2


def test_parts_do_not_overlap(shop):
    _, task = arrays_at(shop)
    assert task.origins["train"][-1] + visits.HORIZON == task.origins["valid"][0]
    for part in task.origins:
        customer, origin, y = task.rows(part)
        assert (y >= 0).all() and (task.x[customer, origin, -1] == 1).all()
        assert task.weight(part).sum() == len(y)


@pytest.mark.parametrize("origin", [12, 20])
def test_nothing_leaks_over_the_origin(shop, origin):
    """Change all that comes after the origin: inputs, features and baselines at it stay bit-identical."""
    cutoff = pd.Timestamp("2024-01-01") + pd.Timedelta(weeks=origin + 1)

    def at_origin(shop):
        panel, task = arrays_at(shop)
        assert (panel.customers == np.arange(40)).all()
        values, names = visits.features(panel)
        prior = np.full(5, 0.2)
        past = visits.own_past(task, "test", prior) if origin == 20 else np.zeros(0)
        first = (task.rows("test")[1] == 20) if origin == 20 else slice(0)
        known = panel.known[:, origin] > 0
        return {
            "x": task.x[:, : origin + 1],
            "features": values[:, : origin + 1][known],
            "cells": visits.rfm_cells(values, names)[:, origin][known],
            "own past": past[first],
            "targets": task.y[:, : origin + 1 - visits.HORIZON],
        }

    assert_identical(at_origin(shop), at_origin(change_after(shop, cutoff)))


def test_own_past_counts_complete_windows_only():
    shopped = np.tile([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], (2, 1))
    task = visits.prepare(panel_of(shopped), 12, np.array([16, 17]))
    p = visits.own_past(task, "test", np.full(5, 0.2), strength=0.0, half_life=1e9)
    # At week 16 the complete windows are those of weeks 0 to 12: eight full ones, then 3, 2, 1, 0, 0.
    np.testing.assert_allclose(p[0] * 13, [2, 1, 1, 1, 8], rtol=1e-6)


def test_rfm_rule_learns_the_shares_of_a_cell():
    cells, y = np.array([3, 3, 3, 7]), np.array([1, 1, 0, 2])
    p = visits.rfm_rule(cells, y, np.array([3, 7, 11]), np.full(5, 0.2), strength=1e-9)
    np.testing.assert_allclose(p[:2], [[1 / 3, 2 / 3, 0, 0, 0], [0, 0, 1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(p[2], 0.2)


def test_auc_equals_sklearn_with_weights_and_ties():
    rng = np.random.default_rng(0)
    score, label = rng.integers(0, 9, 200) / 9, rng.random(200) < 0.3
    weights = rng.integers(0, 3, (4, 200)).astype(float)
    expected = [roc_auc_score(label, score, sample_weight=w) for w in weights]
    np.testing.assert_allclose(visits.weighted_auc(score, label, weights), expected)


def test_evaluate_pairs_its_draws():
    rng = np.random.default_rng(0)
    customer, y = np.repeat(np.arange(50), 4), rng.integers(0, 5, 200)
    p = rng.dirichlet(np.ones(5), 200)
    a, b = visits.evaluate(p, y, customer, n=50), visits.evaluate(p, y, customer, n=50)
    assert_identical(a, b)
    value, low, high = interval(a["log-loss"])
    assert low < value < high
    assert value == pytest.approx(-np.log(p[np.arange(200), y]).mean(), rel=1e-5)


def test_errors_say_what_to_do():
    with pytest.raises(TooShort, match="cannot hold"):
        visits.prepare(panel_of(np.ones(20)), 14, np.array([18]))
    with pytest.raises(TooShort, match="overlap"):
        visits.prepare(panel_of(np.ones(30)), 14, np.array([16]))


def test_the_same_weights_serve_every_week_and_the_last_week():
    from ecomlib.models import visits_model

    every, last = (visits_model(5, every_week=e, units=4) for e in (True, False))
    last.set_weights(every.get_weights())
    x = np.random.default_rng(0).normal(size=(3, 6, 5)).astype("float32")
    p = every.predict(x, verbose=0)
    assert p.shape == (3, 6, 5)
    np.testing.assert_allclose(p[:, -1], last.predict(x, verbose=0), atol=1e-6)
    # A forecast made at week 2 does not know of the weeks after it.
    np.testing.assert_allclose(p[:, 2], every.predict(x[:, :3], verbose=0)[:, -1], atol=1e-6)


@pytest.mark.parametrize("every_week", [True, False])
def test_lesson_16_and_the_package_build_one_network(every_week):
    import keras
    import nbformat

    from ecomlib.models import visits_model

    path = Path(__file__).parents[1] / "notebooks" / "16_first_keras_lstm.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    source = next(c.source for c in cells if c.cell_type == "code" and "def build(" in c.source)
    x = np.random.default_rng(0).normal(size=(2, 6, 5)).astype("float32")
    names = {"keras": keras, "x": x, "UNITS": 50, "N_CLASSES": 5}
    exec(source.split("\n\n\n")[0], names)  # the function, without what the cell does with it
    models = []
    for make in (lambda: names["build"](every_week), lambda: visits_model(5, every_week=every_week)):
        keras.utils.set_random_seed(1)
        models.append(make())
    assert_identical(*(m.get_weights() for m in models))
    assert_identical(*(m.predict(x, verbose=0) for m in models))
