"""Recurrent cells by hand: simple RNN, LSTM and GRU, forward and backward through time, in NumPy.

Every cell takes a batch of sequences `x` of shape (batch, steps, features) and a list of weights in the
layout of the Keras layer of the same kind, so that `layer.get_weights()` goes in and
`layer.set_weights(weights)` comes out:

====  ==================  =====================  =============  ==========================
kind  kernel              recurrent kernel       bias           blocks of u columns
====  ==================  =====================  =============  ==========================
rnn   (features, u)       (u, u)                 (u,)           one
lstm  (features, 4u)      (u, 4u)                (4u,)          input, forget, cell, output
gru   (features, 3u)      (u, 3u)                (2, 3u)        update, reset, candidate
====  ==================  =====================  =============  ==========================

A mask of shape (batch, steps) marks the real steps. A masked step changes nothing: it hands the state on
and repeats the output before it (zeros, when no real step came before), as in Keras.

A forward pass returns the outputs and a cache. The arrays in the cache have the steps first, (steps,
batch, u), so that one step is one contiguous block; `h` and `c` have one step more: `h[0]` is the start and
`h[-1]` the final state. A backward pass takes the gradient of the loss by the outputs (`dh_all`) and, if
the loss uses them, by the final states (`dh_last`, `dc_last`), and returns the gradients by everything that
went in. It also leaves dL/dh_t for every step in `cache["dh"]` (and dL/dC_t in `cache["dc"]`).

Sources: Elman (1990); Hochreiter and Schmidhuber (1997); Gers, Schmidhuber and Cummins (2000) for the
forget gate; Cho et al. (2014) for the GRU, in the variant that resets after the product, as Keras has it.
"""

import numpy as np

Weights = list[np.ndarray]
BLOCKS = {"rnn": 1, "lstm": 4, "gru": 3}


class ShapeError(ValueError):
    """Arrays that do not fit together; the message names both shapes."""


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)), written with tanh: it never overflows and keeps the dtype.

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return 0.5 * np.tanh(0.5 * z) + 0.5


# ---------------------------------------------------------------------------------------------- simple RNN


def rnn_forward(
    x: np.ndarray,
    weights: Weights,
    h0: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, dict]:
    """Run a simple RNN: h_t = tanh(x_t W + h_{t-1} U + b).

    Parameters
    ----------
    x : array (batch, steps, features)
    weights : [W (features, u), U (u, u), b (u,)]
    h0 : array (batch, u), optional
        The state before the first step; zeros if left out.
    mask : bool array (batch, steps), optional
        True where the step is real.

    Returns
    -------
    h_all : array (batch, steps, u)
    cache : dict
        x, h and mask, steps first, and the weights.

    Raises
    ------
    ShapeError
        When an array does not fit the others.

    Examples
    --------
    >>> weights = init_weights("rnn", features=3, units=2, seed=0)
    >>> h_all, cache = rnn_forward(np.ones((4, 5, 3)), weights)
    >>> h_all.shape, cache["h"].shape
    ((4, 5, 2), (6, 4, 2))
    """
    x, m, seen, (h,) = _start("rnn", x, weights, mask, h0)
    kernel, recurrent, bias = weights
    from_x = x @ kernel + bias  # (steps, batch, u): the inputs are known, so one product does all steps
    for t in range(len(x)):
        h[t + 1] = np.tanh(from_x[t] + h[t] @ recurrent)
        _carry(m, t, h)
    return _outputs(h, seen), {
        "x": x,
        "h": h,
        "mask": m,
        "seen": seen,
        "weights": weights,
    }


def rnn_backward(
    dh_all: np.ndarray | None, cache: dict, dh_last: np.ndarray | None = None
) -> tuple[np.ndarray, Weights, np.ndarray]:
    """Backpropagate through time through `rnn_forward`.

    Parameters
    ----------
    dh_all : array (batch, steps, u) or None
        dL/d(outputs); None when the loss uses the final state only.
    cache : dict
        From `rnn_forward`. `cache["dh"]` (steps + 1, batch, u) is filled with dL/dh_t.
    dh_last : array (batch, u), optional
        dL/d(final state).

    Returns
    -------
    dx (batch, steps, features), dweights [as weights], dh0 (batch, u)
    """
    x, h, m = cache["x"], cache["h"], cache["mask"]
    kernel, recurrent, _ = cache["weights"]
    dh = cache["dh"] = _output_gradients(dh_all, cache, dh_last)
    dz = np.empty_like(h[1:])
    for t in reversed(range(len(x))):
        dz[t] = dh[t + 1] * (1 - h[t + 1] ** 2)
        back = dz[t] @ recurrent.T
        if m is not None:  # a masked step handed its state on: its gradient goes straight through
            dz[t] *= m[t]
            back = np.where(m[t], back, dh[t + 1])
        dh[t] += back
    return (
        _back(dz @ kernel.T),
        [_outer(x, dz), _outer(h[:-1], dz), dz.sum(axis=(0, 1))],
        dh[0],
    )


# ---------------------------------------------------------------------------------------------------- LSTM


def lstm_forward(
    x: np.ndarray,
    weights: Weights,
    h0: np.ndarray | None = None,
    c0: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, dict]:
    """Run an LSTM.

    i_t, f_t, o_t = sigmoid(x_t W + h_{t-1} U + b), each with its own block of W, U and b
    g_t = tanh(x_t W + h_{t-1} U + b)     the candidate
    C_t = f_t * C_{t-1} + i_t * g_t       the cell state
    h_t = o_t * tanh(C_t)                 the hidden state, which is also the output

    Parameters
    ----------
    x : array (batch, steps, features)
    weights : [W (features, 4u), U (u, 4u), b (4u,)], blocks in the order i, f, c (that is g), o
    h0, c0 : array (batch, u), optional
        The states before the first step; zeros if left out.
    mask : bool array (batch, steps), optional
        True where the step is real.

    Returns
    -------
    h_all : array (batch, steps, u)
    cache : dict
        x, h, c, the gates i, f, g, o and mask, steps first, and the weights.

    Raises
    ------
    ShapeError
        When an array does not fit the others.

    Examples
    --------
    >>> weights = init_weights("lstm", features=3, units=2, seed=0)
    >>> h_all, cache = lstm_forward(np.ones((4, 5, 3)), weights)
    >>> h_all.shape, cache["f"].shape
    ((4, 5, 2), (5, 4, 2))
    """
    x, m, seen, (h, c) = _start("lstm", x, weights, mask, h0, c0)
    kernel, recurrent, bias = weights
    z = x @ kernel + bias  # (steps, batch, 4u)
    i, f, g, o = gates = np.split(z, 4, axis=-1)  # views: filling them fills z
    u = h.shape[-1]
    for t in range(len(x)):
        z[t] += h[t] @ recurrent
        z[t, :, : 2 * u] = sigmoid(z[t, :, : 2 * u])
        g[t] = np.tanh(g[t])
        o[t] = sigmoid(o[t])
        c[t + 1] = f[t] * c[t] + i[t] * g[t]
        h[t + 1] = o[t] * np.tanh(c[t + 1])
        _carry(m, t, h, c)
    cache = {"x": x, "h": h, "c": c, "mask": m, "seen": seen, "weights": weights}
    return _outputs(h, seen), cache | dict(zip("ifgo", gates, strict=True))


def lstm_backward(
    dh_all: np.ndarray | None,
    cache: dict,
    dh_last: np.ndarray | None = None,
    dc_last: np.ndarray | None = None,
) -> tuple[np.ndarray, Weights, np.ndarray, np.ndarray]:
    """Backpropagate through time through `lstm_forward`.

    Parameters
    ----------
    dh_all : array (batch, steps, u) or None
        dL/d(outputs); None when the loss uses the final states only.
    cache : dict
        From `lstm_forward`. `cache["dh"]` and `cache["dc"]` (steps + 1, batch, u) are filled with
        dL/dh_t and dL/dC_t.
    dh_last, dc_last : array (batch, u), optional
        dL/d(final states).

    Returns
    -------
    dx (batch, steps, features), dweights [as weights], dh0 (batch, u), dc0 (batch, u)
    """
    x, h, c, m = (cache[name] for name in ("x", "h", "c", "mask"))
    i, f, g, o = (cache[name] for name in "ifgo")
    kernel, recurrent, _ = cache["weights"]
    dh = cache["dh"] = _output_gradients(dh_all, cache, dh_last)
    dc = cache["dc"] = np.zeros_like(c)
    if dc_last is not None:
        dc[-1] = dc_last
    dz = np.empty((*h[1:].shape[:2], 4 * h.shape[-1]), h.dtype)
    di, df, dg, do = np.split(dz, 4, axis=-1)
    for t in reversed(range(len(x))):
        tanh_c = np.tanh(c[t + 1])
        dc_t = dc[t + 1] + dh[t + 1] * o[t] * (1 - tanh_c**2)  # through h_t and along the cell state
        di[t] = dc_t * g[t] * i[t] * (1 - i[t])
        df[t] = dc_t * c[t] * f[t] * (1 - f[t])
        dg[t] = dc_t * i[t] * (1 - g[t] ** 2)
        do[t] = dh[t + 1] * tanh_c * o[t] * (1 - o[t])
        back_h, back_c = dz[t] @ recurrent.T, dc_t * f[t]
        if m is not None:
            dz[t] *= m[t]
            back_h, back_c = (
                np.where(m[t], back_h, dh[t + 1]),
                np.where(m[t], back_c, dc[t + 1]),
            )
            dc_t = np.where(m[t], dc_t, dc[t + 1])
        dh[t] += back_h
        dc[t], dc[t + 1] = back_c, dc_t
    dweights = [_outer(x, dz), _outer(h[:-1], dz), dz.sum(axis=(0, 1))]
    return _back(dz @ kernel.T), dweights, dh[0], dc[0]


# ----------------------------------------------------------------------------------------------------- GRU


def gru_forward(
    x: np.ndarray,
    weights: Weights,
    h0: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, dict]:
    """Run a GRU (Keras' default, `reset_after=True`).

    z_t, r_t = sigmoid(x_t W + a + h_{t-1} U + b)     update and reset gate, each with its own block
    g_t = tanh(x_t W + a + r_t * (h_{t-1} U + b))     the candidate
    h_t = z_t * h_{t-1} + (1 - z_t) * g_t

    Parameters
    ----------
    x : array (batch, steps, features)
    weights : [W (features, 3u), U (u, 3u), [a, b] (2, 3u)], blocks in the order z, r, g
    h0 : array (batch, u), optional
        The state before the first step; zeros if left out.
    mask : bool array (batch, steps), optional
        True where the step is real.

    Returns
    -------
    h_all : array (batch, steps, u)
    cache : dict
        x, h, the gates z, r, g, the candidate's recurrent part and mask, steps first, and the weights.

    Raises
    ------
    ShapeError
        When an array does not fit the others.

    Examples
    --------
    >>> weights = init_weights("gru", features=3, units=2, seed=0)
    >>> gru_forward(np.ones((4, 5, 3)), weights)[0].shape
    (4, 5, 2)
    """
    x, m, seen, (h,) = _start("gru", x, weights, mask, h0)
    kernel, recurrent, bias = weights
    a = x @ kernel + bias[0]
    z, r, g = gates = np.split(a, 3, axis=-1)
    u = h.shape[-1]
    from_h = np.empty_like(h[1:])
    for t in range(len(x)):
        b = h[t] @ recurrent + bias[1]
        from_h[t] = b[:, 2 * u :]
        a[t, :, : 2 * u] = sigmoid(a[t, :, : 2 * u] + b[:, : 2 * u])
        g[t] = np.tanh(g[t] + r[t] * from_h[t])
        h[t + 1] = z[t] * h[t] + (1 - z[t]) * g[t]
        _carry(m, t, h)
    cache = {
        "x": x,
        "h": h,
        "from_h": from_h,
        "mask": m,
        "seen": seen,
        "weights": weights,
    }
    return _outputs(h, seen), cache | dict(zip("zrg", gates, strict=True))


def gru_backward(
    dh_all: np.ndarray | None, cache: dict, dh_last: np.ndarray | None = None
) -> tuple[np.ndarray, Weights, np.ndarray]:
    """Backpropagate through time through `gru_forward`.

    Parameters
    ----------
    dh_all : array (batch, steps, u) or None
        dL/d(outputs); None when the loss uses the final state only.
    cache : dict
        From `gru_forward`. `cache["dh"]` (steps + 1, batch, u) is filled with dL/dh_t.
    dh_last : array (batch, u), optional
        dL/d(final state).

    Returns
    -------
    dx (batch, steps, features), dweights [as weights], dh0 (batch, u)
    """
    x, h, m, from_h = (cache[name] for name in ("x", "h", "mask", "from_h"))
    z, r, g = (cache[name] for name in "zrg")
    kernel, recurrent, _ = cache["weights"]
    dh = cache["dh"] = _output_gradients(dh_all, cache, dh_last)
    da = np.empty((*from_h.shape[:2], 3 * h.shape[-1]), h.dtype)  # by x_t W + a
    db = np.empty_like(da)  # by h_{t-1} U + b
    dz, dr, dg = np.split(da, 3, axis=-1)
    u = h.shape[-1]
    for t in reversed(range(len(x))):
        dg[t] = dh[t + 1] * (1 - z[t]) * (1 - g[t] ** 2)
        dr[t] = dg[t] * from_h[t] * r[t] * (1 - r[t])
        dz[t] = dh[t + 1] * (h[t] - g[t]) * z[t] * (1 - z[t])
        db[t, :, : 2 * u], db[t, :, 2 * u :] = da[t, :, : 2 * u], dg[t] * r[t]
        back = dh[t + 1] * z[t] + db[t] @ recurrent.T
        if m is not None:
            da[t] *= m[t]
            db[t] *= m[t]
            back = np.where(m[t], back, dh[t + 1])
        dh[t] += back
    dbias = np.stack([da.sum(axis=(0, 1)), db.sum(axis=(0, 1))])
    return _back(da @ kernel.T), [_outer(x, da), _outer(h[:-1], db), dbias], dh[0]


# ------------------------------------------------------------------------------------------------- weights


def init_weights(
    kind: str,
    features: int,
    units: int,
    seed: int,
    forget_bias: float = 1.0,
    dtype: str = "float32",
) -> Weights:
    """Draw starting weights by Keras' rules: Glorot uniform, orthogonal, zeros, forget bias one.

    Parameters
    ----------
    kind : {"rnn", "lstm", "gru"}
    features, units : int
    seed : int
        For NumPy's generator: the same rules as Keras, not the same numbers.
    forget_bias : float
        The start of the LSTM's forget-gate bias (Jozefowicz et al., 2015, recommend 1).
    dtype : str

    Returns
    -------
    [kernel, recurrent kernel, bias] in the shapes of the module's table

    Examples
    --------
    >>> [w.shape for w in init_weights("lstm", features=3, units=2, seed=0)]
    [(3, 8), (2, 8), (8,)]
    >>> init_weights("lstm", features=3, units=2, seed=0)[2]
    array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)
    """
    rng = np.random.default_rng(seed)
    columns = _blocks(kind) * units
    limit = np.sqrt(6 / (features + columns))
    kernel = rng.uniform(-limit, limit, (features, columns))
    q, r = np.linalg.qr(rng.standard_normal((columns, units)))
    recurrent = (q * np.sign(np.diag(r))).T  # (units, columns), its rows are orthonormal
    bias = np.zeros((2, columns) if kind == "gru" else columns)
    if kind == "lstm":
        bias[units : 2 * units] = forget_bias
    return [w.astype(dtype) for w in (kernel, recurrent, bias)]


def count_parameters(kind: str, features: int, units: int) -> int:
    """Count a cell's weights: for the LSTM 4 (u (u + d) + u).

    Examples
    --------
    >>> count_parameters("lstm", features=8, units=50)
    11800
    """
    bias = 2 if kind == "gru" else 1
    return _blocks(kind) * (units * (units + features) + bias * units)


# ------------------------------------------------------------------------------------------- shared details


def _start(kind, x, weights, mask, *states):
    """Check the shapes; return x and mask with the steps first, and room for the states of every step."""
    if len(weights) != 3:
        raise ShapeError(
            f"{kind}: three weight arrays are needed, got {len(weights)}; use a layer with a bias."
        )
    if not all(isinstance(w, np.ndarray) and w.dtype.kind == "f" for w in weights):
        raise ShapeError(f"{kind}: the weights must be arrays of floats; write np.array([[2.0]]).")
    kernel, recurrent, bias = weights
    units, columns = recurrent.shape[0], _blocks(kind) * recurrent.shape[0]
    x = np.asarray(x, kernel.dtype)
    if x.ndim != 3:
        raise ShapeError(f"{kind}: x must be (batch, steps, features), got {x.shape}.")
    batch, steps, features = x.shape
    bias_shape = (2, columns) if kind == "gru" else (columns,)
    for name, array, shape in (
        ("kernel", kernel, (features, columns)),
        ("recurrent kernel", recurrent, (units, columns)),
        ("bias", bias, bias_shape),
        *(("initial state", s, (batch, units)) for s in states if s is not None),
        *((("mask", np.asarray(mask), (batch, steps)),) if mask is not None else ()),
    ):
        if array.shape != shape:
            raise ShapeError(f"{kind}: the {name} must be {shape} for x {x.shape}, got {array.shape}.")
    room = [np.zeros((steps + 1, batch, units), kernel.dtype) for _ in states]
    for array, state in zip(room, states, strict=True):
        array[0] = 0 if state is None else state
    m = seen = None
    if mask is not None:
        m = np.asarray(mask, bool).T[:, :, None]  # (steps, batch, 1)
        seen = np.logical_or.accumulate(m, axis=0)
    return np.ascontiguousarray(x.swapaxes(0, 1)), m, seen, room


def _carry(m, t, *states):
    """In masked rows, replace the new state by the old one."""
    if m is not None:
        for s in states:
            np.copyto(s[t + 1], s[t], where=~m[t])


def _outputs(h, seen):
    """States -> outputs (batch, steps, u); before a row's first real step the output is zero."""
    return _back(h[1:] if seen is None else h[1:] * seen)


def _output_gradients(dh_all, cache, dh_last):
    """Room for dL/dh_t, (steps + 1, batch, u), filled with what comes directly from the loss."""
    dh = np.zeros_like(cache["h"])
    steps, batch, units = dh[1:].shape
    for name, array, shape in (
        ("dh_all", dh_all, (batch, steps, units)),
        ("dh_last", dh_last, (batch, units)),
    ):
        if array is not None and np.shape(array) != shape:
            raise ShapeError(f"{name} must be {shape}, as the outputs, got {np.shape(array)}.")
    if dh_all is not None:
        dh[1:] = np.swapaxes(dh_all, 0, 1)
        if cache["seen"] is not None:
            dh[1:] *= cache["seen"]
    if dh_last is not None:
        dh[-1] += dh_last
    return dh


def _outer(a, b):
    """Sum over steps and batch of the outer products a_t^T b_t, as one product: (columns a, columns b)."""
    return a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1])


def _back(array):
    """(steps, batch, k) -> (batch, steps, k)."""
    return array.swapaxes(0, 1)


def _blocks(kind):
    if kind not in BLOCKS:
        raise ShapeError(f"unknown kind {kind!r}; use one of {', '.join(BLOCKS)}.")
    return BLOCKS[kind]
