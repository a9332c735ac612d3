"""The gate explorer: one LSTM unit with sliders, over a household's weeks.

The numbers are computed in the browser, by `gate_explorer.js`; `trace` and `draw_trace` are its twins in
Python: a test compares them, and a page without JavaScript still has the figure.
"""

import json
import re
from pathlib import Path
from typing import Any

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import traitlets
from numpy.typing import ArrayLike

from ecomlib.gates import sigmoid
from ecomlib.runtime import GATE_COLORS

# Weights of x_t and h_{t-1}, and the bias, for the gates i, f, o and the candidate g.
PRESETS: dict[str, dict[str, Any]] = {
    "Keras' start (forget bias 1)": {
        "weights": {"i": [0.4, 0.2, 0.0], "f": [0.3, -0.2, 1.0], "g": [0.5, 0.3, 0.0], "o": [0.3, 0.2, 0.0]}
    },
    "a long memory (forget bias 4)": {
        "weights": {"i": [0.0, 0.0, -2.0], "f": [0.0, 0.0, 4.0], "g": [1.0, 0.0, -1.0], "o": [0.0, 0.0, 4.0]}
    },
    "counts inactive weeks": {
        "weights": {"i": [-6.0, 0.0, 4.0], "f": [-6.0, 0.0, 4.0], "g": [0.0, 0.0, 0.3], "o": [0.0, 0.0, 4.0]}
    },
}
# One letter per value in the code, the same colours as in every other drawing of the course.
LETTERS = {"i": "input", "f": "forget", "g": "candidate", "o": "output", "c": "cell", "h": "hidden"}
SHOWN = {"sync": True, "page": True}  # of a trait: JavaScript reads it, in the notebook and in the web book
COLORS = {letter: GATE_COLORS[name] for letter, name in LETTERS.items()}


def to_input(dollars: ArrayLike) -> np.ndarray:
    """What the unit reads: log10(1 + dollars of the week); 0 is an inactive week, 2 is 99 dollars."""
    return np.log10(1 + np.asarray(dollars, float))


def lstm_step(
    x: float, h: float, c: float, weights: dict[str, list[float]], held: dict[str, float] | None = None
) -> dict[str, float]:
    """One step of one unit, as `lstmStep` in gate_explorer.js.

    Parameters
    ----------
    x, h, c : float
        Input, hidden state before, cell state before.
    weights : dict
        "i", "f", "g", "o": three numbers each, the weights of x and h and the bias.
    held : dict, optional
        Gates ("i", "f", "o") held at a value, whatever they see.

    Returns
    -------
    dict with i, f, g, o, c, h

    Examples
    --------
    >>> zero = {name: [0.0, 0.0, 0.0] for name in "ifgo"}
    >>> step = lstm_step(1.0, 0.0, 2.0, zero, held={"f": 1})
    >>> step["i"], step["f"], float(step["c"])
    (0.5, 1, 2.0)
    """
    z = {name: w * x + u * h + b for name, (w, u, b) in weights.items()}
    gate = {name: float(sigmoid(np.asarray(z[name]))) for name in "ifo"} | (held or {})
    g = float(np.tanh(z["g"]))
    c = gate["f"] * c + gate["i"] * g
    return {**gate, "g": g, "c": c, "h": gate["o"] * float(np.tanh(c))}


def trace(
    xs: np.ndarray, weights: dict[str, list[float]], held: dict[str, float] | None = None
) -> dict[str, np.ndarray]:
    """Run one unit over a series from states of zero, as `trace` in gate_explorer.js.

    Parameters
    ----------
    xs : array (steps,)
    weights, held : dict
        As in `lstm_step`.

    Returns
    -------
    dict with i, f, g, o, c, h, an array (steps,) each
    """
    steps, h, c = [], 0.0, 0.0
    for x in xs:
        steps.append(lstm_step(x, h, c, weights, held))
        h, c = steps[-1]["h"], steps[-1]["c"]
    return {name: np.array([step[name] for step in steps], float) for name in "ifgoch"}


def module(name: str) -> str:
    """Text of an explorer's JavaScript, with the shared part in place of its import."""
    own, base = (Path(__file__).with_name(f"{n}.js").read_text("utf-8") for n in (name, "explorer_base"))
    return re.sub(r"^import .*$", lambda _: re.sub(r"^export ", "", base, flags=re.M), own, flags=re.M)


class Explorer(anywidget.AnyWidget):
    """A widget whose output holds its state as well, for pages that have no kernel to ask."""

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        state = {"script": type(self).__module__.split(".")[-1], **self.trait_values(page=True)}
        return data or {}, {**metadata, "explorer": json.dumps(state)}


class GateExplorer(Explorer):
    """Sliders for one LSTM unit's input, states and weights; live gates and the trace over a year.

    Parameters
    ----------
    households : list of dict
        "name" (str), "weeks" (list of str, one label per week), "spend" (list of float, dollars per week).

    Notes
    -----
    Everything is computed in the browser, so it works while the kernel is busy, and in the web book,
    which has no kernel. In a notebook, `explorer.weights` and `explorer.held` follow the sliders.
    """

    _esm = module("gate_explorer")
    households: traitlets.List = traitlets.List().tag(**SHOWN)
    presets = traitlets.Dict(PRESETS).tag(**SHOWN)
    weights = traitlets.Dict(next(iter(PRESETS.values()))["weights"]).tag(**SHOWN)
    held = traitlets.Dict().tag(**SHOWN)
    colors = traitlets.Dict(COLORS).tag(**SHOWN)

    def __repr__(self) -> str:
        weeks = len(self.households[0]["spend"]) if self.households else 0
        return f"GateExplorer({len(self.households)} households, {weeks} weeks)"


def draw_trace(
    spend: np.ndarray,
    weights: dict[str, list[float]],
    held: dict[str, float] | None = None,
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """Draw what the explorer draws: spending, gates and states by week.

    Parameters
    ----------
    spend : array (weeks,), dollars
    weights, held : dict
        As in `lstm_step`.
    axes : array of three Axes, optional

    Returns
    -------
    array of three Axes
    """
    run = trace(to_input(spend), weights, held)
    axes = plt.subplots(3, sharex=True, figsize=(8, 5.4))[1] if axes is None else axes
    week = np.arange(1, len(spend) + 1)
    axes[0].bar(week, spend, color="0.55")
    axes[0].set(ylabel="spending\n(dollars)", title="One unit over a household's weeks")
    # Where two gates agree, the input gate stays visible as a broad line under the other.
    for name, width, alpha in (("i", 5, 0.5), ("f", 2, 1), ("o", 2, 1)):
        axes[1].plot(week, run[name], COLORS[name], label=LETTERS[name], linewidth=width, alpha=alpha)
    axes[1].set(ylabel="gate\n(0 to 1)", ylim=(-0.05, 1.05))
    axes[2].plot(week, run["c"], color=COLORS["c"], label="cell state C")
    axes[2].plot(week, run["h"], color=COLORS["h"], linestyle="--", label="hidden state h")
    axes[2].axhline(0, color="0.7", linewidth=1)
    axes[2].set(ylabel="state", xlabel="week")
    for ax in axes[1:]:
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return axes
