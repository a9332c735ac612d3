"""The hand-written cells equal Keras' and equal their finite differences, masks included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ecomlib  # noqa: F401  (sets the environment before TensorFlow starts)
from ecomlib import gates
from ecomlib.lessons import memory_tasks

KINDS = ("rnn", "lstm", "gru")


def n_states(kind):
    return 2 if kind == "lstm" else 1


def run(kind, x, weights, states, mask):
    """Forward; returns outputs, final states, cache."""
    h_all, cache = memory_tasks.CELLS[kind][0](x, weights, *states, mask=mask)
    return h_all, [cache["h"][-1]] + ([cache["c"][-1]] if kind == "lstm" else []), cache


def run_back(kind, dh_all, cache, d_states):
    """Backward; returns dx, dweights, gradients with respect to the initial states."""
    dx, dweights, *d0 = memory_tasks.CELLS[kind][1](dh_all, cache, *d_states)
    return dx, dweights, d0


def problem(kind, batch, steps, features, units, seed, dtype="float64", mask="none"):
    """Random input, weights (bias not zero), states, mask and output gradients."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    weights = gates.init_weights(kind, features, units, seed, dtype=dtype)
    weights[2] = weights[2] + 0.3 * draw(*weights[2].shape)
    states = [0.5 * draw(batch, units) for _ in range(n_states(kind))]
    d_states = [draw(batch, units) for _ in states]
    lengths = rng.integers(0, steps + 1, batch)
    masks = {
        "none": None,
        "right": np.arange(steps) < lengths[:, None],
        "left": np.arange(steps) >= lengths[:, None],
        "any": rng.random((batch, steps)) < 0.6,
        "all masked": np.zeros((batch, steps), bool),
    }
    return (
        draw(batch, steps, features),
        weights,
        states,
        masks[mask],
        draw(batch, steps, units),
        d_states,
    )


# ------------------------------------------------------------------------------------------ against Keras


@pytest.fixture(scope="module")
def keras_run():
    """The same forward and backward pass through a Keras layer, gradients by tf.GradientTape."""
    import keras
    import tensorflow as tf

    classes = {
        "rnn": keras.layers.SimpleRNN,
        "lstm": keras.layers.LSTM,
        "gru": keras.layers.GRU,
    }

    def call(kind, x, weights, states, mask, dh_all, d_states):
        units = states[0].shape[1]
        layer = classes[kind](units, return_sequences=True, return_state=True, dtype=str(x.dtype))
        layer.build(x.shape)
        layer.set_weights(weights)
        inputs = [tf.constant(a) for a in (x, *states)]
        with tf.GradientTape() as tape:
            for tensor in inputs:
                tape.watch(tensor)
            sent = tf.constant(mask) if mask is not None else None
            h_all, *final = layer(inputs[0], initial_state=inputs[1:], mask=sent)
            loss = tf.reduce_sum(h_all * dh_all)
            loss += sum(tf.reduce_sum(s * d) for s, d in zip(final, d_states, strict=True))
        wanted = [*inputs, *[w.value for w in layer.trainable_weights]]
        grads = tape.gradient(loss, wanted, unconnected_gradients="zero")
        to_numpy = [g.numpy() for g in grads]
        k = 1 + len(states)
        return (
            h_all.numpy(),
            [s.numpy() for s in final],
            to_numpy[0],
            to_numpy[k:],
            to_numpy[1:k],
        )

    return call


@pytest.mark.parametrize("mask", ["none", "right", "left", "any", "all masked"])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_keras_in_float64(kind, mask, keras_run):
    _compare_with_keras(keras_run, kind, mask, "float64", 1e-10)


@pytest.mark.parametrize("mask", ["none", "right"])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_keras_in_float32(kind, mask, keras_run):
    _compare_with_keras(keras_run, kind, mask, "float32", 1e-5)


def _compare_with_keras(keras_run, kind, mask, dtype, tolerance):
    batch, steps, features, units = 5, 7, 3, 4
    x, weights, states, mask, dh_all, d_states = problem(
        kind, batch, steps, features, units, seed=1, dtype=dtype, mask=mask
    )
    h_all, final, cache = run(kind, x, weights, states, mask)
    ours = (h_all, final, *run_back(kind, dh_all, cache, d_states))
    theirs = keras_run(kind, x, weights, states, mask, dh_all, d_states)
    for name, a, b in zip(("outputs", "states", "dx", "dweights", "d0"), ours, theirs, strict=True):
        for one, two in zip(_list(a), _list(b), strict=True):
            assert one.dtype == dtype, name
            scale = max(1.0, np.abs(two).max())
            np.testing.assert_allclose(one / scale, two / scale, rtol=0, atol=tolerance, err_msg=name)


def _list(a):
    return a if isinstance(a, list) else [a]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_go_to_keras_and_back(kind):
    import keras

    classes = {
        "rnn": keras.layers.SimpleRNN,
        "lstm": keras.layers.LSTM,
        "gru": keras.layers.GRU,
    }
    layer = classes[kind](4)
    layer.build((None, None, 3))
    weights = gates.init_weights(kind, 3, 4, seed=0)
    layer.set_weights(weights)
    for ours, theirs in zip(weights, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert gates.count_parameters(kind, 3, 4) == layer.count_params()
    fresh = classes[kind](4)
    fresh.build((None, None, 3))
    kernel, recurrent, bias = fresh.get_weights()
    np.testing.assert_array_equal(weights[2], bias)  # zeros, and ones for the forget gate
    np.testing.assert_allclose(weights[1] @ weights[1].T, np.eye(4), atol=1e-5)  # orthonormal rows, as Keras'
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(4), atol=1e-5)
    limit = np.sqrt(6 / sum(kernel.shape))
    assert np.abs(kernel).max() <= limit and np.abs(weights[0]).max() <= limit


# ------------------------------------------------------------------- against finite differences, any shape

shapes = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 3),
        "steps": st.integers(0, 5),
        "features": st.integers(1, 3),
        "units": st.integers(1, 3),
        "seed": st.integers(0, 2**16),
        "mask": st.sampled_from(["none", "right", "left", "any", "all masked"]),
    }
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(case=shapes)
def test_gradients_equal_finite_differences(kind, case):
    x, weights, states, mask, dh_all, d_states = problem(kind, **case)

    def loss():
        h_all, final, _ = run(kind, x, weights, states, mask)
        return np.sum(h_all * dh_all) + sum(np.sum(s * d) for s, d in zip(final, d_states, strict=True))

    _, _, cache = run(kind, x, weights, states, mask)
    dx, dweights, d0 = run_back(kind, dh_all, cache, d_states)
    rng = np.random.default_rng(case["seed"])
    for array, grad in zip([x, *weights, *states], [dx, *dweights, *d0], strict=True):
        assert array.shape == grad.shape
        # One random direction tests every entry of the array at once.
        direction, start = rng.standard_normal(array.shape), array.copy()
        array += 1e-6 * direction
        up = loss()
        array[...] = start - 1e-6 * direction
        down = loss()
        array[...] = start
        assert (up - down) / 2e-6 == pytest.approx(np.sum(grad * direction), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(case=shapes)
def test_a_masked_sequence_equals_the_sequence_without_its_masked_steps(kind, case):
    x, weights, states, mask, dh_all, _ = problem(kind, **case)
    h_all, final, cache = run(kind, x, weights, states, mask)
    dx = run_back(kind, dh_all, cache, [])[0]
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    for row, keep in enumerate(mask):
        short_h, short_final, _ = run(
            kind,
            x[row : row + 1, keep],
            weights,
            [s[row : row + 1] for s in states],
            None,
        )
        np.testing.assert_allclose(h_all[row, keep], short_h[0], atol=1e-12)
        for long, short in zip(final, short_final, strict=True):
            np.testing.assert_allclose(long[row], short[0], atol=1e-12)
        assert not h_all[row, np.cumsum(keep) == 0].any()  # zeros before the first real step
    assert np.all(dx[~mask] == 0)  # a masked input moves nothing


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_read_leaves_the_state_alone(kind):
    x, weights, states, _, _, d_states = problem(kind, 3, 0, 2, 4, seed=0)
    h_all, final, cache = run(kind, x, weights, states, None)
    assert h_all.shape == (3, 0, 4)
    dx, dweights, d0 = run_back(kind, None, cache, d_states)
    assert dx.shape == (3, 0, 2) and all(not d.any() for d in dweights)
    for a, b in zip([*final, *d0], [*states, *d_states], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_the_cache_holds_the_gradient_of_every_state(kind):
    """dL/dh_t, read from the cache, equals dh0 of the same run started at step t."""
    x, weights, states, _, _, d_states = problem(kind, 2, 6, 3, 4, seed=3)
    _, _, cache = run(kind, x, weights, states, None)
    run_back(kind, None, cache, d_states)
    for t in range(1, 6):
        later = [cache["h"][t]] + ([cache["c"][t]] if kind == "lstm" else [])
        _, _, tail = run(kind, x[:, t:], weights, later, None)
        dh0 = run_back(kind, None, tail, d_states)[2][0]
        np.testing.assert_allclose(cache["dh"][t], dh0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_float32(kind):
    x, weights, states, mask, dh_all, d_states = problem(
        kind, 2, 3, 2, 4, seed=0, dtype="float32", mask="any"
    )
    h_all, final, cache = run(kind, x.astype("float64"), weights, states, mask)
    dx, dweights, d0 = run_back(kind, dh_all, cache, d_states)
    assert {a.dtype for a in (h_all, *final, dx, *dweights, *d0)} == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, w: (x[0], w), "batch, steps, features"),
        (lambda x, w: (x[..., :1], w), "kernel must be"),
        (lambda x, w: (x, w[:2]), "three weight arrays"),
        (lambda x, w: (x, [w[0], w[1], w[2][:-1]]), "bias must be"),
    ],
)
def test_arrays_that_do_not_fit_are_named(change, words):
    x, weights, *_ = problem("lstm", 2, 3, 2, 4, seed=0)
    with pytest.raises(gates.ShapeError, match=words):
        gates.lstm_forward(*change(x, weights))
    with pytest.raises(gates.ShapeError, match="mask must be"):
        gates.lstm_forward(x, weights, mask=np.ones((2, 2)))
    with pytest.raises(gates.ShapeError, match="initial state must be"):
        gates.lstm_forward(x, weights, h0=np.ones((2, 2)))
    with pytest.raises(gates.ShapeError, match="unknown kind"):
        gates.init_weights("LSTM", 1, 1, 0)


def test_needs_only_numpy():
    import subprocess
    import sys

    code = (
        "import sys, ecomlib.gates; bad = {'pandas', 'tensorflow', 'keras'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_weights_that_are_not_floats_and_gradients_of_another_shape_are_refused():
    whole = [np.array([[2]]), np.array([[2]]), np.array([0])]
    with pytest.raises(gates.ShapeError, match="arrays of floats"):
        gates.rnn_forward(np.ones((1, 3, 1)), whole)
    with pytest.raises(gates.ShapeError, match="arrays of floats"):
        gates.rnn_forward(np.ones((1, 3, 1)), [[[2.0]], [[2.0]], [0.0]])
    _, cache = gates.lstm_forward(np.ones((2, 3, 1)), gates.init_weights("lstm", 1, 4, seed=0))
    with pytest.raises(gates.ShapeError, match="dh_all must be"):
        gates.lstm_backward(np.ones((1, 1, 1)), cache)
