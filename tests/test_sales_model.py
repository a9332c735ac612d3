"""The sales network: the lesson shows the package's, untrained it is the eight-week mean, it can be saved."""

import json
from pathlib import Path

import numpy as np
import pytest
from toy_shop import toy_shop

import ecomlib
from ecomlib import Split, sales

pytestmark = pytest.mark.usefixtures("eager")
LESSON = Path(ecomlib.__file__).parents[1] / "notebooks" / "22_sales_train.ipynb"


def lesson_cell(text: str) -> str:
    cells = json.loads(LESSON.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return next(source for source in sources if text in source)


@pytest.fixture(scope="module")
def task():
    return sales.task(toy_shop(), Split.last(test="28D", valid="14D"), "category", lookback=28)


@pytest.fixture(scope="module")
def inputs(task):
    return task.windows(task.cutoffs("valid")).inputs()


def run(model, inputs):
    return np.asarray(model([inputs["past"], inputs["future"], inputs["series"]]))


def test_the_lesson_builds_the_packages_network(task, inputs):
    import keras
    from keras import layers, ops

    from ecomlib.sales import sales_network

    names = {"keras": keras, "layers": layers, "ops": ops, "task": task, "x": inputs}
    names |= {"UNITS": 8, "EMBEDDING": 4, "DROPOUT": 0.1}
    exec(lesson_cell("def encoder("), names)
    exec(lesson_cell("def build():"), names)
    shown, packaged = names["build"](), sales_network(task, 8, 4, 0.1)
    packaged.set_weights(shown.get_weights())
    np.testing.assert_array_equal(run(shown, inputs), run(packaged, inputs))


def test_untrained_it_is_the_eight_week_mean(task, inputs):
    from ecomlib.sales import sales_network

    out = run(sales_network(task, 8, 4), inputs)
    np.testing.assert_allclose(out[..., 1], inputs["future"][..., 0], atol=1e-6)
    assert (np.diff(out, axis=-1) > 0).all()


@pytest.mark.parametrize("part", ["recurrent", "encode", "correct"])
def test_what_is_left_out_is_left_out(task, inputs, part):
    import keras

    from ecomlib.sales import sales_network

    keras.utils.set_random_seed(0)
    network = sales_network(task, 8, 4, **{part: False})
    other = {name: array.copy() for name, array in inputs.items()}
    other["past"] += 1
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds.count("LSTM") == {"recurrent": 0, "encode": 1, "correct": 2}[part]
    out, weights = run(network, inputs), network.get_weights()
    start = np.zeros_like(out[..., 1]) if part == "correct" else inputs["future"][..., 0]
    np.testing.assert_allclose(out[..., 1], start, atol=1e-6)
    rng = np.random.default_rng(0)
    network.set_weights([w + rng.normal(0, 0.1, w.shape) for w in weights])
    assert np.array_equal(run(network, inputs), run(network, other)) == (part == "encode")


def test_an_mlp_forecasts_each_day_alone_but_for_the_window(task, inputs):
    from ecomlib.sales import MLP, SalesLSTM

    network = MLP(seed=1, members=1, epochs=1, units=8).fit(task).model
    changed = inputs["future"].copy()
    changed[:, 0] += 1  # the first day's columns
    out, other = run(network, inputs), run(network, inputs | {"future": changed})
    np.testing.assert_array_equal(out[:, 1:], other[:, 1:])
    assert not np.array_equal(out[:, 0], other[:, 0])
    lstm = SalesLSTM(seed=1, members=1, epochs=1, units=8).fit(task).model
    assert not np.array_equal(run(lstm, inputs)[:, 1:], run(lstm, inputs | {"future": changed})[:, 1:])


def test_the_lessons_loss_is_the_packages_and_scikit_learns():
    from keras import ops
    from sklearn.metrics import mean_pinball_loss

    from ecomlib.sales import pinball_loss

    rng = np.random.default_rng(0)
    y, f = rng.random((20, 7)).astype("float32"), rng.random((20, 7, 3)).astype("float32")
    names = {"ops": ops, "np": np, "y": y[0], "pinball_loss": pinball_loss}
    exec(lesson_cell("def pinball("), names)
    np.testing.assert_array_equal(names["pinball"](y, f), pinball_loss(y, f))
    quantiles = enumerate([0.1, 0.5, 0.9])
    slow = np.mean([mean_pinball_loss(y.ravel(), f[..., i].ravel(), alpha=q) for i, q in quantiles])
    assert float(np.mean(pinball_loss(y, f))) == pytest.approx(slow, rel=1e-5)


@pytest.mark.slow
def test_a_forecast_is_the_mean_of_the_members(task, tmp_path):
    import keras

    from ecomlib.sales import SalesLSTM

    network = SalesLSTM(seed=3, members=2, epochs=1, units=4).fit(task, watch=True)
    assert len(network.history["val_loss"]) == 1
    cutoffs = task.cutoffs("test")
    windows = task.windows(cutoffs)
    inputs = windows.inputs()
    parts = [np.asarray(p) for p in network.model([inputs[k] for k in ("past", "future", "series")])]
    mean = np.maximum(np.mean(parts, axis=0) * windows.scale[:, :, None], 0)
    forecast = network.predict(task, cutoffs)
    np.testing.assert_allclose(forecast.reshape(mean.shape), mean, rtol=1e-6)
    network.model.save(tmp_path / "network.keras")
    network.model = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(network.predict(task, cutoffs), forecast)
