"""An invented web shop, to try the code without a download."""

import numpy as np
import pandas as pd


def invent_clicks(n_sessions: int = 2000, n_items: int = 300, days: int = 60, seed: int = 0) -> pd.DataFrame:
    """Invent clicks with a known structure, to try the code without a download.

    Every item has six related items. A visitor goes on to a related item of the current page (half of the
    clicks) or of an earlier page (a fifth), back to an earlier page (a tenth), or to a popular item of the
    same shelf. A few shelves are in fashion at any time.

    Parameters
    ----------
    n_sessions, n_items, days, seed : int

    Returns
    -------
    DataFrame
        Columns session, timestamp, item.
    """
    rng = np.random.default_rng(seed)
    shelf = np.sort(rng.integers(0, max(n_items // 50, 2), n_items))
    first, size = np.searchsorted(shelf, shelf), np.bincount(shelf)[shelf]
    weight = 1 / (1 + rng.permutation(n_items)) ** 0.7
    related = first[:, None] + (rng.random((n_items, 6)) ** 1.5 * size[:, None]).astype(int)
    length = np.minimum(1 + rng.geometric(0.22, n_sessions), 30)
    n_steps = int(length.max())
    opened = np.sort(rng.random(n_sessions)) * days
    clicks = np.zeros((n_sessions, n_steps), int)
    share = np.cumsum(weight) / weight.sum()
    fashion = np.searchsorted(share, (rng.random(n_sessions) * 0.5 + opened / days * 0.5))
    clicks[:, 0] = np.where(
        rng.random(n_sessions) < 0.5, fashion, np.searchsorted(share, rng.random(n_sessions))
    )
    everyone = np.arange(n_sessions)
    for step in range(1, n_steps):
        how, now = rng.random(n_sessions), clicks[:, step - 1]
        earlier = clicks[everyone, (rng.random(n_sessions) * step).astype(int)]
        of = np.where(how < 0.5, now, earlier)
        following = related[of, np.minimum(rng.geometric(0.4, n_sessions) - 1, 5)]
        popular = first[now] + (rng.random(n_sessions) ** 2 * size[now]).astype(int)
        clicks[:, step] = np.select([how < 0.7, how < 0.8], [following, earlier], popular)
    real = np.arange(n_steps) < length[:, None]
    pause = np.cumsum(rng.exponential(1.0, (n_sessions, n_steps)), axis=1) / 1440
    stamp = pd.Timestamp("2024-03-04") + pd.to_timedelta((opened[:, None] + pause)[real], unit="D").round(
        "ms"
    )
    session = np.repeat(everyone + 1, length)
    return pd.DataFrame({"session": session, "timestamp": stamp, "item": clicks[real] + 1})
