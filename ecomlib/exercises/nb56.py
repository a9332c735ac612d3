"""Self-checks of lesson 56, more than one machine."""

from typing import Any

import numpy as np

from ecomlib.exercises import checker, close
from ecomlib.exercises.nb10 import log_loss
from ecomlib.exercises.networks import leak_hint, no_lstm_hint, run_on, untrained_hint


def _three(part: np.ndarray) -> tuple[float, float, float]:
    return len(part), part.sum(), (part**2).sum()


def _joined(told: list) -> tuple[float, float]:
    n, total, squares = np.sum(told, axis=0)
    return total / n, np.sqrt(squares / n - (total / n) ** 2)


@checker(
    "56.1",
    wrong=[
        lambda: (lambda part: (part.mean(), part.std()), lambda told: tuple(np.mean(told, axis=0))),
        lambda: (lambda part: part, lambda told: (np.concatenate(told).mean(), np.concatenate(told).std())),
        lambda: (
            lambda part: (len(part), part.mean(), part.std()),
            lambda told: tuple(np.average(np.array(told)[:, 1:], axis=0, weights=np.array(told)[:, 0])),
        ),
        lambda: (_three, lambda told: _joined(told)[0]),
        lambda: (_three, lambda told: (_joined(told)[0], _joined(told)[1] ** 2)),
    ],
    right=lambda: (_three, _joined),
)
def mean_of_parts(answer: Any) -> str | None:
    """Compare with the mean and spread of all lines; a part may tell three numbers."""
    summary, combine = answer
    rng = np.random.default_rng(56)
    parts = [rng.gamma(2.0, 3.0 + 4 * i, size=n) for i, n in enumerate((5, 40, 400))]
    told = [summary(part.copy()) for part in parts]
    if max(np.size(each) for each in told) > 3:
        return f"a part tells {max(np.size(each) for each in told)} numbers: three are enough for any size."
    given, lines = np.ravel(combine(told)), np.concatenate(parts)
    if given.shape != (2,):
        return "combine has to return two numbers: the mean and the standard deviation of all lines."
    if not close(given[0], lines.mean()):
        means = np.mean([part.mean() for part in parts])
        so = " This is the mean of the parts' means." if close(given[0], means) else ""
        return f"the mean is {given[0]:.2f}; of all lines it is {lines.mean():.2f}.{so}"
    if not close(given[1], lines.std()):
        return (
            "the mean is right, the standard deviation is not: it needs the sum of the squares over all "
            "parts, because the parts' means differ."
        )
    return None


def _slope(parts: list, w: np.ndarray) -> np.ndarray:
    n = sum(len(y) for _, y in parts)
    return sum(2 * x.T @ (x @ w - y) for x, y in parts) / n


@checker(
    "56.2",
    wrong=[
        lambda: lambda parts, w: np.mean([2 * x.T @ (x @ w - y) / len(y) for x, y in parts], axis=0),
        lambda: lambda parts, w: sum(2 * x.T @ (x @ w - y) for x, y in parts),
        lambda: lambda parts, w: _slope(parts[:1], w),
        lambda: lambda parts, w: -_slope(parts, w),
    ],
    right=lambda: _slope,
)
def gradient_of_parts(answer: Any) -> str | None:
    """Compare with the gradient over all rows; the parts have different sizes."""
    rng = np.random.default_rng(57)
    parts = [(rng.normal(size=(n, 3)), rng.normal(size=n) + i) for i, n in enumerate((4, 64, 10))]
    w = rng.normal(size=3)
    given, wanted = np.asarray(answer(parts, w.copy()), float), _slope(parts, w)
    if given.shape != w.shape:
        return f"give one number for each weight, shape {w.shape}, not {given.shape}."
    if close(given, _slope(parts[:1], w)):
        return "this is the gradient of the first part alone."
    if close(given, sum(len(y) for _, y in parts) * wanted):
        return "the loss is a mean over all rows: divide the sum of the parts by their number of rows."
    if close(given, np.mean([_slope([part], w) for part in parts], axis=0)):
        return (
            "every part counts the same here, but they have 4, 64 and 10 rows: weigh each part by its rows."
        )
    return None if close(given, wanted) else "not the gradient of the mean of (x w - y)**2 over all rows."


WINDOW, LAST = 8, 29  # weeks of a window, the last week that is known
TRIPS = (1, 2, 3)  # weeks with a trip in four, by part


def weeks_in_parts(seed: int = 0) -> np.ndarray:
    """Three parts of 80 households and 34 weeks: each part has its own rhythm; a little noise."""
    rng = np.random.default_rng(seed)
    begin = rng.integers(4, size=(3, 80, 1))
    trips = (np.arange(34) + begin) % 4 < np.array(TRIPS)[:, None, None]
    return (trips ^ (rng.random(trips.shape) < 0.03)).astype(float)


def _windows(weeks: np.ndarray, ends: np.ndarray) -> np.ndarray:
    cut = np.lib.stride_tricks.sliding_window_view(weeks, WINDOW, axis=-1)[..., ends - WINDOW + 1, :]
    return cut.reshape(-1, WINDOW, 1).astype(np.float32)


def _trained(weeks, cutoff, known=0, epochs=8, use=slice(None)):
    """Train a small network on the parts of `use`; `known` weeks leak."""
    import keras

    ends = np.arange(WINDOW - 1, cutoff + known)
    x, y = _windows(weeks[use], ends), weeks[use][..., ends + 1].ravel()
    layers = [keras.Input((WINDOW, 1)), keras.layers.LSTM(16), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    if epochs:
        model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    now = _windows(weeks, np.array([cutoff + known]))
    return model, model.predict(now, verbose=0).reshape(weeks.shape[:2])


@checker(
    "56.3",
    wrong=[
        lambda: lambda weeks, cutoff: _trained(weeks, cutoff, known=1, epochs=1),
        lambda: lambda weeks, cutoff: _trained(weeks, cutoff, epochs=0),
        lambda: lambda weeks, cutoff: _trained(weeks, cutoff, use=slice(0, 1)),
        lambda: lambda weeks, cutoff: (_trained(weeks, cutoff, epochs=1)[0], np.full(weeks.shape[:2], 2.0)),
        lambda: lambda weeks, cutoff: _trained(weeks, cutoff, epochs=1)[1],
    ],
    right=lambda: _trained,
)
def network_of_all_parts(answer: Any) -> str | None:
    """Train on three invented parts, change their future, compare with each household's share of weeks."""
    weeks = weeks_in_parts()
    future = weeks.copy()
    future[..., LAST + 1 :] = 1 - weeks[..., LAST + 1 :]
    shaped = f"give one probability for each part and household, shape {weeks.shape[:2]}, not {{}}."
    model, given, problem = run_on((weeks, future), answer, LAST, weeks.shape[:2], shaped)
    if problem:
        return problem
    if not (given[0].min() >= 0 and given[0].max() <= 1):
        return "a probability lies between 0 and 1: end with a sigmoid."
    if problem := no_lstm_hint(model) or untrained_hint(model) or leak_hint(given):
        return problem
    share = weeks[..., : LAST + 1].mean(axis=-1)
    came = weeks[..., LAST + 1]
    own, base = (np.array([*map(log_loss, p, came)]) for p in (given[0], share))
    worst = int(np.argmax(own - 0.7 * base))
    if (own < 0.7 * base).all():
        return None
    return (
        f"part {worst}: log-loss {own[worst]:.2f}; the share of each household has {base[worst]:.2f}. Learn "
        "from the weeks of all three parts, for more epochs, or with a learning rate of about 0.01."
    )
