"""Recurrent cells by hand: the simple RNN and the LSTM, forward and backward through time, in NumPy.

Every cell takes a batch of sequences `x` of shape (batch, steps, features) and a list of weights in the
layout of the Keras layer of the same kind, so that `layer.get_weights()` goes in and
`layer.set_weights(weights)` comes out. The GRU, by the same scheme, is in `ecomlib.lessons.gates_gru`.

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
`h[-1]` the final state. A backward pass takes the gradient of the loss with respect to the outputs
(`dh_all`) and, if the loss uses them, to the final states (`dh_last`, `dc_last`). It returns the gradients
with respect to everything that went in, and leaves dL/dh_t (and dL/dC_t) of every step in the cache.

Sources: Elman (1990); Hochreiter and Schmidhuber (1997); Gers, Schmidhuber and Cummins (2000) for the
forget gate.
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


def rnn_forward(
    x: np.ndarray, weights: Weights, h0: np.ndarray | None = None, mask: np.ndarray | None = None
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
    cache : dict of x, h and mask, steps first, and the weights
    """
    cache, h = start("rnn", x, weights, mask, h0)
    kernel, recurrent, bias = weights
    from_x = cache["x"] @ kernel + bias  # (steps, batch, u): the inputs are known, one product does all steps
    for t in range(len(from_x)):
        h[t + 1] = np.tanh(from_x[t] + h[t] @ recurrent)
        carry(cache, t, h)
    return outputs(cache), cache


def rnn_backward(
    dh_all: np.ndarray | None, cache: dict, dh_last: np.ndarray | None = None
) -> tuple[np.ndarray, Weights, np.ndarray]:
    """Backpropagate through time through `rnn_forward`; arguments as in `lstm_backward`.

    Returns
    -------
    dx (batch, steps, features), dweights [as weights], dh0 (batch, u)
    """
    h, m, dh = cache["h"], cache["mask"], output_gradients(dh_all, cache, dh_last)
    recurrent = cache["weights"][1]
    dz = np.empty_like(h[1:])
    for t in reversed(range(len(dz))):
        dz[t] = dh[t + 1] * (1 - h[t + 1] ** 2)
        back = dz[t] @ recurrent.T
        if m is not None:  # a masked step handed its state on: its gradient goes straight through
            dz[t] *= m[t]
            back = np.where(m[t], back, dh[t + 1])
        dh[t] += back
    return *input_gradients(cache, dz), dh[0]


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
    x, h0, c0, mask
        As in `rnn_forward`.
    weights : [W (features, 4u), U (u, 4u), b (4u,)], blocks in the order i, f, c (that is g), o

    Returns
    -------
    h_all : array (batch, steps, u)
    cache : dict
        x, h, c, the gates i, f, g, o and mask, steps first, and the weights.

    Examples
    --------
    >>> weights = init_weights("lstm", features=3, units=2, seed=0)
    >>> h_all, cache = lstm_forward(np.ones((4, 5, 3)), weights)
    >>> h_all.shape, cache["f"].shape
    ((4, 5, 2), (5, 4, 2))
    """
    cache, h, c = start("lstm", x, weights, mask, h0, c0)
    kernel, recurrent, bias = weights
    z = cache["x"] @ kernel + bias  # (steps, batch, 4u)
    i, f, g, o = gates = np.split(z, 4, axis=-1)  # views: filling them fills z
    u = h.shape[-1]
    for t in range(len(z)):
        z[t] += h[t] @ recurrent
        z[t, :, : 2 * u] = sigmoid(z[t, :, : 2 * u])
        g[t] = np.tanh(g[t])
        o[t] = sigmoid(o[t])
        c[t + 1] = f[t] * c[t] + i[t] * g[t]
        h[t + 1] = o[t] * np.tanh(c[t + 1])
        carry(cache, t, h, c)
    return outputs(cache), cache | {"c": c} | dict(zip("ifgo", gates, strict=True))


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
    c, m, dh = cache["c"], cache["mask"], output_gradients(dh_all, cache, dh_last)
    i, f, g, o = (cache[name] for name in "ifgo")
    recurrent = cache["weights"][1]
    dc = cache["dc"] = np.zeros_like(c)
    dc[-1] = 0 if dc_last is None else dc_last
    dz = np.empty((*i.shape[:2], 4 * i.shape[2]), c.dtype)
    di, df, dg, do = np.split(dz, 4, axis=-1)
    for t in reversed(range(len(dz))):
        tanh_c = np.tanh(c[t + 1])
        dc_t = dc[t + 1] + dh[t + 1] * o[t] * (1 - tanh_c**2)  # through h_t and along the cell state
        di[t] = dc_t * g[t] * i[t] * (1 - i[t])
        df[t] = dc_t * c[t] * f[t] * (1 - f[t])
        dg[t] = dc_t * i[t] * (1 - g[t] ** 2)
        do[t] = dh[t + 1] * tanh_c * o[t] * (1 - o[t])
        back_h, back_c = dz[t] @ recurrent.T, dc_t * f[t]
        if m is not None:
            dz[t] *= m[t]
            back_h, back_c = np.where(m[t], back_h, dh[t + 1]), np.where(m[t], back_c, dc[t + 1])
            dc_t = np.where(m[t], dc_t, dc[t + 1])
        dh[t] += back_h
        dc[t], dc[t + 1] = back_c, dc_t
    return *input_gradients(cache, dz), dh[0], dc[0]


CELLS: dict[str, tuple] = {"rnn": (rnn_forward, rnn_backward), "lstm": (lstm_forward, lstm_backward)}


def init_weights(
    kind: str, features: int, units: int, seed: int, forget_bias: float = 1.0, dtype: str = "float32"
) -> Weights:
    """Draw starting weights by Keras' rules: Glorot uniform, orthogonal, zeros, forget bias one.

    The rules are Keras', the numbers are not: `seed` is for NumPy's generator. `forget_bias` is the start of
    the LSTM's forget-gate bias (Jozefowicz et al., 2015, recommend 1). Shapes as in the module's table.

    Examples
    --------
    >>> init_weights("lstm", features=3, units=2, seed=0)[2]
    array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)
    """
    rng = np.random.default_rng(seed)
    (_, columns), _, bias_shape = weight_shapes(kind, features, units)
    limit = np.sqrt(6 / (features + columns))
    kernel = rng.uniform(-limit, limit, (features, columns))
    q, r = np.linalg.qr(rng.standard_normal((columns, units)))
    recurrent = (q * np.sign(np.diag(r))).T  # (units, columns), its rows are orthonormal
    bias = np.zeros(bias_shape)
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
    return sum(int(np.prod(shape)) for shape in weight_shapes(kind, features, units))


def weight_shapes(kind: str, features: int, units: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of kernel, recurrent kernel and bias, as in the module's table."""
    if kind not in BLOCKS:
        raise ShapeError(f"unknown kind {kind!r}; use one of {', '.join(BLOCKS)}.")
    columns = BLOCKS[kind] * units
    return (features, columns), (units, columns), (2, columns) if kind == "gru" else (columns,)


def start(
    kind: str, x: np.ndarray, weights: Weights, mask: np.ndarray | None, *states: np.ndarray | None
) -> tuple:
    """Check the shapes; make the cache, and room for each state at every step, (steps + 1, batch, u)."""
    if len(weights) != 3:
        raise ShapeError(f"{kind}: needs three weight arrays, got {len(weights)}; use a layer with a bias.")
    if not all(isinstance(w, np.ndarray) and w.dtype.kind == "f" for w in weights):
        raise ShapeError(f"{kind}: the weights must be arrays of floats; write np.array([[2.0]]).")
    x = np.asarray(x, weights[0].dtype)
    if x.ndim != 3:
        raise ShapeError(f"{kind}: x must be (batch, steps, features), got {x.shape}.")
    (batch, steps, features), units = x.shape, len(weights[1])
    shapes = weight_shapes(kind, features, units)
    for name, array, shape in (
        *zip(("kernel", "recurrent kernel", "bias"), weights, shapes, strict=True),
        *(("initial state", state, (batch, units)) for state in states),
        ("mask", mask, (batch, steps)),
    ):
        if array is not None and np.shape(array) != shape:
            raise ShapeError(f"{kind}: the {name} must be {shape} for x {x.shape}, got {np.shape(array)}.")
    room = [np.zeros((steps + 1, batch, units), x.dtype) for _ in states]
    for array, state in zip(room, states, strict=True):
        array[0] = 0 if state is None else state
    m = None if mask is None else np.asarray(mask, bool).T[:, :, None]  # (steps, batch, 1)
    seen = None if m is None else np.logical_or.accumulate(m, axis=0)
    x = np.ascontiguousarray(x.swapaxes(0, 1))
    return {"x": x, "h": room[0], "mask": m, "seen": seen, "weights": weights}, *room


def carry(cache: dict, t: int, *states: np.ndarray) -> None:
    """In masked rows, replace the new state by the old one."""
    if cache["mask"] is not None:
        for s in states:
            np.copyto(s[t + 1], s[t], where=~cache["mask"][t])


def outputs(cache: dict) -> np.ndarray:
    """States -> outputs (batch, steps, u); before a row's first real step the output is zero."""
    h, seen = cache["h"][1:], cache["seen"]
    return (h if seen is None else h * seen).swapaxes(0, 1)


def output_gradients(dh_all: np.ndarray | None, cache: dict, dh_last: np.ndarray | None) -> np.ndarray:
    """Room for dL/dh_t, (steps + 1, batch, u), filled with what comes directly from the loss."""
    dh = cache["dh"] = np.zeros_like(cache["h"])
    steps, batch, units = dh[1:].shape
    wanted = {"dh_all": (batch, steps, units), "dh_last": (batch, units)}
    for (name, shape), array in zip(wanted.items(), (dh_all, dh_last), strict=True):
        if array is not None and np.shape(array) != shape:
            raise ShapeError(f"{name} must be {shape}, as the outputs, got {np.shape(array)}.")
    if dh_all is not None:
        dh[1:] = np.swapaxes(dh_all, 0, 1) * (1 if cache["seen"] is None else cache["seen"])
    dh[-1] += 0 if dh_last is None else dh_last
    return dh


def input_gradients(cache: dict, dz: np.ndarray) -> tuple[np.ndarray, Weights]:
    """dL/dx and dL/dweights from dL/dz of every step, z = x W + h U + b: (steps, batch, columns)."""
    dx = (dz @ cache["weights"][0].T).swapaxes(0, 1)
    return dx, [outer(cache["x"], dz), outer(cache["h"][:-1], dz), dz.sum(axis=(0, 1))]


def outer(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum over steps and batch of the outer products a_t^T b_t, as one product: (columns a, columns b)."""
    return a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1])
