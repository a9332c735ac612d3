"""Memory tasks with a known truth for lessons 12 and 13, and the short NumPy training loop that learns them.

The background of every task is real: a household's spending, day by day. The signal is planted, so that what
has to be remembered, and for how long, is known. On real behaviour nobody knows the right answer, and a
network that fails could always be excused.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score

from ecomlib import gates
from ecomlib.gates import Weights
from ecomlib.lessons.gates_gru import gru_backward, gru_forward
from ecomlib.panels import daily_panel

Batch = tuple[np.ndarray, np.ndarray]
Draw = Callable[[int, np.random.Generator], Batch]
CELLS: dict[str, tuple] = {**gates.CELLS, "gru": (gru_forward, gru_backward)}
GATE_BLOCK = {"input": 0, "forget": 1, "output": 3}
EARLY = 20  # the coupon comes on one of the first 20 days


def daily_spend(orders: pd.DataFrame, min_days: int = 20) -> pd.DataFrame:
    """Spending of every household on every day, from the first day of the panel to the last.

    Parameters
    ----------
    orders : DataFrame
        A shop's orders.
    min_days : int
        Households with fewer days of shopping are left out.

    Returns
    -------
    table (households, days), float32, in the shop's currency; its index is the customer_id
    """
    household = orders["customer_id"]
    customers = sorted(household.unique())
    panel = daily_panel(orders["timestamp"], household, orders["revenue"], customers)
    spend = pd.DataFrame(panel.values, index=customers)
    return spend[(spend > 0).sum(axis=1) >= min_days]


def split_households(spend: np.ndarray, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split households, not days: those to train on, n to choose settings on, and n to test on."""
    order = np.random.default_rng(0).permutation(len(spend))
    return spend[order[: -2 * n]], spend[order[-2 * n : -n]], spend[order[-n:]]


def random_windows(spend: np.ndarray, steps: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Cut n windows at random: random household, random first day; log10(1 + spend), (n, steps)."""
    who = rng.integers(len(spend), size=n)
    start = rng.integers(spend.shape[1] - steps + 1, size=n)
    return np.log10(1 + spend[who[:, None], start[:, None] + np.arange(steps)])


def coupon_task(spend: np.ndarray, lag: int, n: int, rng: np.random.Generator) -> Batch:
    """Draw the coupon task: recall the brand of the one leaflet that had a coupon, `lag` days ago or more.

    Every day each household gets a leaflet for one of two brands. On one of the first 20 days a coupon is
    attached. After the last day the household buys the brand of that leaflet.

    Parameters
    ----------
    spend : array (households, days)
    lag : int
        Days between the coupon and the answer, at least.
    n : int
        Sequences to draw.
    rng : NumPy generator

    Returns
    -------
    x : array (n, lag + 20, 3), float32
        Real spending, the leaflet's brand (-1 or 1), the coupon (0 or 1).
    y : array (n,), float32
        0 or 1, half and half.

    Examples
    --------
    >>> x, y = coupon_task(np.ones((3, 60)), lag=10, n=4, rng=np.random.default_rng(0))
    >>> x.shape, x[..., 2].sum(axis=1)
    ((4, 30, 3), array([1., 1., 1., 1.], dtype=float32))
    """
    steps = lag + EARLY
    x = np.empty((n, steps, 3), np.float32)
    x[..., 0] = random_windows(spend, steps, n, rng)
    x[..., 1] = rng.choice([-1, 1], size=(n, steps))
    x[..., 2] = np.arange(steps) == rng.integers(EARLY, size=n)[:, None]
    y = (x[..., 1] * x[..., 2]).sum(axis=1) > 0
    return x, y.astype(np.float32)


def stamp_card_task(
    spend: np.ndarray, n: int, rng: np.random.Generator, steps: int = 60, full: int = 5
) -> Batch:
    """Draw the stamp-card task: say every day whether the card holds `full` stamps or more.

    Every day with a purchase (real) gives a stamp. On about one day in twenty the card is emptied.

    Returns
    -------
    x : array (n, steps, 2), float32
        A purchase (0 or 1), the card is emptied (0 or 1).
    y : array (n, steps), float32
        0 or 1 for every day.
    """
    bought = random_windows(spend, steps, n, rng) > 0
    emptied = rng.random((n, steps)) < 1 / 20
    x = np.stack([bought, emptied], axis=-1).astype(np.float32)
    card, y = np.zeros(n), np.zeros((n, steps), np.float32)
    for t in range(steps):
        card = np.where(emptied[:, t], 0, card + bought[:, t])
        y[:, t] = card >= full
    return x, y


def two_coupons_task(spend: np.ndarray, n: int, rng: np.random.Generator, steps: int = 30) -> Batch:
    """Draw the till's task: tell what one of two coupons is worth, on the days it is asked for.

    A household learns early what its coffee and its tea coupon are worth. On later days the till asks for
    coffee, for tea, or for nothing. It wants a yes when the coupon asked for is worth something, else a no.

    Returns
    -------
    x : array (n, steps, 5), float32
        Real spending; coffee coupon (-1 worthless, 1 worth something, 0 not today); tea coupon; the till
        asks for coffee (0 or 1); for tea (0 or 1).
    y : array (n, steps), float32
        0 or 1 for every day.
    """
    value, day = rng.integers(2, size=(n, 2)), rng.integers(5, size=(n, 2))
    asked = rng.integers(3, size=(n, steps)) * (np.arange(steps) >= 5)
    x, y = np.zeros((n, steps, 5), np.float32), np.zeros((n, steps), np.float32)
    x[..., 0] = random_windows(spend, steps, n, rng)
    for k in (0, 1):
        x[np.arange(n), day[:, k], 1 + k] = 2 * value[:, k] - 1
        x[..., 3 + k] = asked == k + 1
        y += x[..., 3 + k] * value[:, [k]]
    return x, y


class Adam:
    """Adam (Kingma and Ba, 2015) with Keras' constants; updates in place.

    Parameters
    ----------
    weights : list of arrays
    rate : float
    clip : float
        Largest norm of the whole gradient; a longer one is scaled down. Infinite: no clipping.
    """

    def __init__(self, weights: Weights, rate: float, clip: float = 1.0):
        self.weights, self.rate, self.clip, self.t = weights, rate, clip, 0
        self.mean = [np.zeros_like(w) for w in weights]
        self.square = [np.zeros_like(w) for w in weights]

    def step(self, gradients: Weights) -> float:
        """Update the weights; return the gradient's norm before clipping."""
        self.t += 1
        norm = float(np.sqrt(sum(np.sum(g * g) for g in gradients)))
        shrink = min(1.0, self.clip / max(norm, 1e-12))
        rate = self.rate * float(np.sqrt(1 - 0.999**self.t)) / (1 - 0.9**self.t)
        for w, g, m, s in zip(self.weights, gradients, self.mean, self.square, strict=True):
            g = shrink * g
            m += 0.1 * (g - m)
            s += 0.001 * (g * g - s)
            w -= rate * m / (np.sqrt(s) + 1e-7)
        return norm


def chrono_init(weights: Weights, longest: int, seed: int) -> None:
    """Set the gate biases so that the units start with memories between 2 and `longest` steps, in place.

    A forget gate of 1 - 1/T remembers for about T steps, and sigmoid(log(T - 1)) is 1 - 1/T. The input
    gates get the opposite bias. Tallec and Ollivier (2018), Can recurrent neural networks warp time?
    """
    units = weights[1].shape[0]
    memory = np.random.default_rng(seed).uniform(2, longest, units)
    weights[2][units : 2 * units] = np.log(memory - 1)
    weights[2][:units] = -np.log(memory - 1)


def hold_gate(weights: Weights, gate: str, value: int) -> Weights:
    """Fix one gate of an LSTM at 0 or 1, in place, whatever it sees.

    Its columns get weight 0 and a bias of -30 or 30.

    Parameters
    ----------
    weights : list of arrays
    gate : {"input", "forget", "output"}
    value : {0, 1}

    Returns
    -------
    list of arrays like the weights
        0 in the gate's columns, 1 elsewhere. Gradients multiplied by them leave the gate alone.
    """
    units = weights[1].shape[0]
    block = slice(GATE_BLOCK[gate] * units, (GATE_BLOCK[gate] + 1) * units)
    learn = [np.ones_like(w) for w in weights]
    for w, keep in zip(weights, learn, strict=True):
        w[..., block] = 0
        keep[..., block] = 0
    weights[2][block] = 30 if value else -30
    return learn


def cut_recurrence(weights: Weights, learn: Weights) -> None:
    """Hold the recurrent weights at zero, in place.

    The gates then see the input only, and no other unit can stand in for a gate that is missing.
    """
    weights[1][:] = 0
    learn[1][:] = 0


def train_cell(
    kind: str,
    draw: Draw,
    weights: Weights,
    rate: float = 0.01,
    updates: int = 600,
    batch: int = 64,
    seed: int = 0,
    learn: Weights | None = None,
    look: Callable[[int, np.ndarray], bool] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Train a cell (in place) and a logistic output on fresh batches, by the cross-entropy of yes and no.

    Parameters
    ----------
    kind : {"rnn", "lstm", "gru"}
    draw : function (n, generator) -> x (n, steps, features), y (n,) or (n, steps)
        y with one value per sequence is asked after the last step; with one value per step, at every step.
    weights : list of arrays
        Of the cell; updated in place.
    rate : float
        Of Adam.
    updates, batch : int
        Batches, and sequences per batch.
    seed : int
        For the batches and the start of the output.
    learn : list of arrays, optional
        From `hold_gate`.
    look : function (updates done, head) -> bool, optional
        Called after each update; training stops when it returns True.

    Returns
    -------
    head : array (units + 1,)
        Weights of the output, the last is its bias.
    losses : array (updates,)
        Mean cross-entropy of each batch, in nats.
    """
    forward, backward = CELLS[kind]
    rng = np.random.default_rng(seed)
    units = weights[1].shape[0]
    head = np.append(rng.standard_normal(units) / np.sqrt(units), 0).astype(np.float32)
    optimiser, losses = Adam([*weights, head], rate), []
    for done in range(1, updates + 1):
        x, y = draw(batch, rng)
        h, cache = forward(x, weights)
        z = (h if y.ndim == 2 else h[:, -1]) @ head[:-1] + head[-1]
        losses.append(np.mean(np.logaddexp(0, z) - y * z))
        dz = (gates.sigmoid(z) - y) / y.size
        dh = dz[..., None] * head[:-1]
        dweights = (backward(dh, cache) if y.ndim == 2 else backward(None, cache, dh))[1]
        if learn is not None:
            dweights = [g * keep for g, keep in zip(dweights, learn, strict=True)]
        seen = (h if y.ndim == 2 else h[:, -1]).reshape(-1, units)
        optimiser.step([*dweights, np.append(dz.reshape(-1) @ seen, dz.sum())])
        if look is not None and look(done, head):
            break
    return head, np.array(losses)


def unseen_accuracy(kind: str, x: np.ndarray, y: np.ndarray, weights: Weights, head: np.ndarray) -> float:
    """Balanced accuracy of the answers: the mean of the share of yes and of no that are right.

    Parameters
    ----------
    kind : {"rnn", "lstm", "gru"}
    x : array (n, steps, features)
    y : array (n,) or (n, steps)
        Asked after the last step, or at every step.
    weights, head : arrays
        From `train_cell`.
    """
    h, _ = CELLS[kind][0](x, weights)
    yes = (h if y.ndim == 2 else h[:, -1]) @ head[:-1] + head[-1] > 0
    return float(balanced_accuracy_score(y.ravel(), yes.ravel()))


STARTS = (
    "rnn",
    "gru",
    "lstm, forget bias 0",
    "lstm, forget bias 1",
    "lstm, forget bias 3",
    "lstm, chrono forget gate",
    "lstm, chrono",
)


def coupon_weights(start: str, lag: int, seed: int) -> tuple[str, Weights]:
    """Kind of a cell of 16 units and its weights at the start.

    Parameters
    ----------
    start : one of STARTS
        "chrono forget gate" has the forget biases of "chrono", and input gates that start half open.
    lag : int
        Days to remember.
    seed : int
    """
    kind = start.split(",")[0]
    bias = float(start[-1]) if start[-1].isdigit() else 1.0
    weights = gates.init_weights(kind, 3, 16, seed, forget_bias=bias)
    if "chrono" in start:
        chrono_init(weights, lag + EARLY, seed)
    if start.endswith("forget gate"):
        weights[2][:16] = 0
    return kind, weights


ABLATIONS = (None, ("input", 1), ("forget", 1), ("forget", 0), ("output", 1))
GATE_TASKS: dict[str, tuple[int, Callable[..., Batch]]] = {
    "one coupon among 70 leaflets": (3, lambda spend, n, rng: coupon_task(spend, 50, n, rng)),
    "stamp card": (2, stamp_card_task),
    "two coupons at the till": (5, two_coupons_task),
}


def held_weights(
    task: str, held: tuple[str, int] | None, recurrent: bool, seed: int
) -> tuple[Weights, Weights]:
    """Weights of an LSTM of 8 units with one gate held, and what may be learnt of them (see `hold_gate`).

    Parameters
    ----------
    task : a key of GATE_TASKS
    held : (gate, 0 or 1) or None
    recurrent : bool
        False cuts the recurrent weights (see `cut_recurrence`).
    seed : int
    """
    weights = gates.init_weights("lstm", GATE_TASKS[task][0], 8, seed)
    chrono_init(weights, 50, seed)
    learn = hold_gate(weights, *held) if held else [np.ones_like(w) for w in weights]
    if not recurrent:
        cut_recurrence(weights, learn)
    return weights, learn
