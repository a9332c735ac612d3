"""The window up to the cutoff, the horizon after it.

The *cutoff* is the last step that is known. What lies after it is a target, or was planned before.
"""

import numpy as np

from ecomlib.shop.errors import TooShort


def past_windows(values: np.ndarray, cutoffs: np.ndarray, n_steps: int) -> np.ndarray:
    """Cut the n_steps steps that end with each cutoff; shape (n_cutoffs, n_series, n_steps[, n_features]).

    Parameters
    ----------
    values : array (n_series, n_steps_in_all[, n_features])
    cutoffs : array of int (n_cutoffs,)
        The last step *in* the window.
    n_steps : int

    Examples
    --------
    >>> past_windows(np.arange(6.0)[None], np.array([2, 3]), 2)[:, 0]
    array([[1., 2.],
           [2., 3.]])
    """
    return _cut(values, np.asarray(cutoffs) - n_steps + 1, n_steps)


def future_windows(values: np.ndarray, cutoffs: np.ndarray, horizon: int) -> np.ndarray:
    """Cut the `horizon` steps after each cutoff; shape (n_cutoffs, n_series, horizon[, n_features]).

    Examples
    --------
    >>> future_windows(np.arange(6.0)[None], np.array([2, 3]), 2)[:, 0]
    array([[3., 4.],
           [4., 5.]])
    """
    return _cut(values, np.asarray(cutoffs) + 1, horizon)


def _cut(values: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    n_steps = values.shape[1]
    if len(starts) and (starts.min() < 0 or starts.max() + length > n_steps):
        raise TooShort(
            f"windows of {length} steps from step {starts.min()} to {starts.max() + length - 1} do not fit "
            f"into steps 0 to {n_steps - 1}; use other cutoffs, shorter windows or a longer history."
        )
    # A view of all windows costs no memory; only the chosen ones are copied.
    view = np.lib.stride_tricks.sliding_window_view(values, length, axis=1)[:, starts]
    if values.ndim == 3:  # (n_series, n_cutoffs, n_features, length) -> features last
        view = np.moveaxis(view, -1, -2)
    return np.ascontiguousarray(np.moveaxis(view, 1, 0))


def window_scale(past: np.ndarray, floor: float = 1e-3) -> np.ndarray:
    """Mean of each window over its last axis, at least `floor`: the size by which a window is divided.

    Dividing by the window's own mean makes a bakery and a spice rack look alike to one network, and
    needs nothing that is not known at the cutoff.
    """
    return np.maximum(past.mean(axis=-1, keepdims=True), floor)
