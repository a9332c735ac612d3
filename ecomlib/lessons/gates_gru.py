"""The GRU by hand, forward and backward through time, by the scheme of `ecomlib.gates`.

Source: Cho et al. (2014), in the variant that resets after the product, as Keras has it.
"""

import numpy as np

from ecomlib.gates import Weights, carry, outer, output_gradients, outputs, sigmoid, start


def gru_forward(
    x: np.ndarray, weights: Weights, h0: np.ndarray | None = None, mask: np.ndarray | None = None
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

    Examples
    --------
    >>> from ecomlib.gates import init_weights
    >>> weights = init_weights("gru", features=3, units=2, seed=0)
    >>> gru_forward(np.ones((4, 5, 3)), weights)[0].shape
    (4, 5, 2)
    """
    cache, h = start("gru", x, weights, mask, h0)
    kernel, recurrent, bias = weights
    a = cache["x"] @ kernel + bias[0]
    z, r, g = gates = np.split(a, 3, axis=-1)  # views: filling them fills a
    u = h.shape[-1]
    from_h = np.empty_like(h[1:])
    for t in range(len(a)):
        b = h[t] @ recurrent + bias[1]
        from_h[t] = b[:, 2 * u :]
        a[t, :, : 2 * u] = sigmoid(a[t, :, : 2 * u] + b[:, : 2 * u])
        g[t] = np.tanh(g[t] + r[t] * from_h[t])
        h[t + 1] = z[t] * h[t] + (1 - z[t]) * g[t]
        carry(cache, t, h)
    return outputs(cache), cache | {"from_h": from_h} | dict(zip("zrg", gates, strict=True))


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
    h, m, dh = cache["h"], cache["mask"], output_gradients(dh_all, cache, dh_last)
    z, r, g, from_h = (cache[name] for name in ("z", "r", "g", "from_h"))
    kernel, recurrent, _ = cache["weights"]
    da = np.empty((*from_h.shape[:2], 3 * h.shape[-1]), h.dtype)  # with respect to x_t W + a
    db = np.empty_like(da)  # with respect to h_{t-1} U + b
    dz, dr, dg = np.split(da, 3, axis=-1)
    u = h.shape[-1]
    for t in reversed(range(len(da))):
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
    dweights = [outer(cache["x"], da), outer(h[:-1], db), dbias]
    return (da @ kernel.T).swapaxes(0, 1), dweights, dh[0]
