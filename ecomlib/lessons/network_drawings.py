"""Drawings of networks for lessons 12 and 13: boxes, arrows, and one unit's numbers over some steps."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from ecomlib.runtime import GATE_COLORS

GREY, CELL, HIDDEN = "0.45", GATE_COLORS["cell"], GATE_COLORS["hidden"]


def _box(ax, x, y, text, colour, width=0.9, height=0.62):
    style = {"boxstyle": "round,pad=0.02,rounding_size=0.08", "facecolor": "white"}
    patch = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, edgecolor=colour, linewidth=2, zorder=3, **style
    )
    ax.add_patch(patch)
    ax.text(x, y, text, ha="center", va="center", zorder=4, fontsize=9)


def _arrow(ax, start, end, colour=GREY, text="", shift=(0, 0.16), curve=0.0, dashed=False):
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.8, "shrinkA": 0, "shrinkB": 0}
    style |= {"connectionstyle": f"arc3,rad={curve}", "linestyle": "--" if dashed else "-"}
    ax.annotate("", end, start, arrowprops=style, zorder=2)
    middle = ((start[0] + end[0]) / 2 + shift[0], (start[1] + end[1]) / 2 + shift[1])
    ax.text(*middle, text, color=colour, ha="center", va="center", fontsize=9)


def _canvas(ax, width, height, title):
    ax = ax or plt.subplots(figsize=(8, 8 * height / width))[1]
    ax.set(xlim=(0, width), ylim=(0, height), title=title, aspect="equal")
    ax.axis("off")
    return ax


def unrolled_rnn(ax: Axes | None = None) -> Axes:
    """Draw a simple RNN unrolled over four steps, with the gradient's way back."""
    ax = _canvas(ax, 11, 4.2, "Forward in grey, the gradient's way back in orange")
    for t in range(1, 5):
        x = 2.2 * t
        _box(ax, x, 2.3, f"$h_{t}$", HIDDEN)
        _box(ax, x, 0.6, f"$x_{t}$", GREY)
        _arrow(ax, (x, 0.95), (x, 1.95), text="$W$", shift=(0.22, 0))
        _arrow(ax, (x - 1.7 if t > 1 else x - 1.3, 2.42), (x - 0.5, 2.42), text="$U$", shift=(0, 0.2))
        if t > 1:
            _arrow(ax, (x - 0.5, 2.14), (x - 1.7, 2.14), CELL, rf"$\times J_{t}$", (0, -0.24), dashed=True)
    ax.text(0.55, 2.42, "$h_0$", ha="center", va="center", fontsize=10)
    _box(ax, 8.8, 3.75, "loss $L$", CELL, width=1.2, height=0.55)
    _arrow(ax, (8.7, 2.65), (8.7, 3.44))
    _arrow(ax, (8.9, 3.44), (8.9, 2.65), CELL, r"$\partial L/\partial h_4$", (0.72, 0), dashed=True)
    return ax


def lstm_cell(ax: Axes | None = None) -> Axes:
    """Draw one step of an LSTM: the cell state above, the gates below."""
    ax = _canvas(ax, 12, 6.2, "One step of an LSTM: the cell state runs along the top, the gates decide")
    top, act = 5.0, 2.3
    _arrow(ax, (0.7, top), (3.0, top), CELL, "$C_{t-1}$", (-0.6, 0.3))
    _arrow(ax, (3.5, top), (5.8, top), CELL)
    _arrow(ax, (6.3, top), (11.6, top), CELL, "$C_t$", (2.3, 0.3))
    times = r"$\times$"
    for x, y, sign in ((3.25, top, times), (6.05, top, "+"), (6.05, 3.7, times), (9.6, act, times)):
        ax.add_patch(plt.Circle((x, y), 0.25, facecolor="white", edgecolor="0.2", linewidth=1.6, zorder=3))
        ax.text(x, y, sign, ha="center", va="center", zorder=4)
    gates = {"forget": (3.25, "f", r"$\sigma$"), "input": (4.9, "i", r"$\sigma$")}
    gates |= {"candidate": (6.55, "g", "tanh"), "output": (8.2, "o", r"$\sigma$")}
    for gate, (x, letter, squash) in gates.items():
        _box(ax, x, act, f"{gate}\n${letter}_t$  {squash}", GATE_COLORS[gate], width=1.4, height=0.85)
        _arrow(ax, (x, 0.9), (x, act - 0.46))
    ax.plot([1.0, 8.2], [0.9, 0.9], color=GREY, linewidth=1.8)
    _arrow(ax, (3.25, act + 0.46), (3.25, top - 0.27), GATE_COLORS["forget"])
    _arrow(ax, (4.9, act + 0.46), (5.83, 3.58), GATE_COLORS["input"])
    _arrow(ax, (6.55, act + 0.46), (6.2, 3.46), GATE_COLORS["candidate"])
    _arrow(ax, (6.05, 3.97), (6.05, top - 0.27))
    _arrow(ax, (8.92, act), (9.33, act), GATE_COLORS["output"])
    _box(ax, 9.6, 3.7, "tanh", CELL, width=0.9, height=0.5)
    _arrow(ax, (9.6, top), (9.6, 3.97), CELL)
    _arrow(ax, (9.6, 3.43), (9.6, act + 0.27), CELL)
    _arrow(ax, (9.87, act), (11.6, act), HIDDEN, "$h_t$", (0.4, 0.3))
    ax.text(0.9, 0.9, "$x_t$ and $h_{t-1}$", ha="right", va="center", fontsize=10)
    ax.set_xlim(-0.9, 12)
    return ax


def unrolled_lstm(run: Mapping[str, np.ndarray], inputs: Sequence[str], ax: Axes | None = None) -> Axes:
    """Draw an LSTM unit unrolled over some steps: C along the top, h below it, every number written in.

    Parameters
    ----------
    run : dict
        Arrays (steps,) "i", "f", "g", "o", "c", "h", as `gate_explorer.trace` returns them.
    inputs : sequence of str
        What stands in the input's box of each step.
    ax : Axes, optional
    """
    wide, top, out = 5.8, 5.0, 2.5
    width = wide * len(inputs) + 1.5
    ax = ax or plt.subplots(figsize=(10, 10 * 6.3 / width))[1]
    ax = _canvas(ax, width, 6.3, "The cell state C runs along the top, the hidden state h below it")
    for t, text in enumerate(inputs):
        x = 3.6 + wide * t  # the middle of the step's cell
        frame = FancyBboxPatch(
            (x - 2.1, 1.75), 4.2, 3.8, zorder=0, boxstyle="round,pad=0.02,rounding_size=0.2"
        )
        ax.add_patch(frame).set(facecolor="0.96", edgecolor="0.7")
        _arrow(ax, (x - 3.6 if not t else x - 5.05, top), (x - 1.4, top), CELL)
        _arrow(ax, (x - 1.1, top), (x + 0.25, top), CELL)
        _arrow(ax, (x - 3.6 if not t else x - 4.0, out), (x - 2.1, out), HIDDEN)
        for at, y, sign in ((x - 1.25, top, r"$\times$"), (x + 0.4, top, "+"), (x + 1.65, out, r"$\times$")):
            ax.add_patch(plt.Circle((at, y), 0.26, facecolor="white", edgecolor="0.2", zorder=3))
            ax.text(at, y, sign, ha="center", va="center", zorder=4)
        boxes = {"forget": (x - 1.25, 3.7), "input": (x - 0.1, 3.7), "candidate": (x + 0.9, 3.7)}
        for gate, (at, y) in (boxes | {"output": (x + 0.6, out)}).items():
            letter = "g" if gate == "candidate" else gate[0]
            _box(ax, at, y, f"${letter}$\n{run[letter][t]:.2f}", GATE_COLORS[gate], width=0.85, height=0.9)
        _arrow(ax, (x - 1.25, 4.15), (x - 1.25, top - 0.28), GATE_COLORS["forget"])
        _arrow(ax, (x - 0.1, 4.15), (x + 0.3, top - 0.26), GATE_COLORS["input"])
        _arrow(ax, (x + 0.9, 4.15), (x + 0.5, top - 0.26), GATE_COLORS["candidate"])
        _arrow(ax, (x + 1.03, out), (x + 1.38, out), GATE_COLORS["output"])
        _arrow(ax, (x + 1.65, top), (x + 1.65, out + 0.28), CELL, "tanh", (0.02, -0.05))
        ax.texts[-1].set(rotation=90, backgroundcolor="0.96", fontsize=9)
        _box(ax, x, 0.55, text, GREY, width=3.2, height=0.8)
        _arrow(ax, (x, 0.97), (x, 1.72))
        for name, y, colour in (("c", top, CELL), ("h", out, HIDDEN)):
            label = f"${name.upper() if name == 'c' else name}_{t + 1}$\n{run[name][t]:.2f}"
            ax.text(x + 2.9, y + 0.1, label, color=colour, ha="center", va="bottom", linespacing=1.1)
    last = 3.6 + wide * (len(inputs) - 1)
    _arrow(ax, (last + 0.66, top), (width, top), CELL)
    _arrow(ax, (last + 1.93, out), (width, out), HIDDEN)
    ax.text(0.7, top + 0.1, "$C_0$\n0", color=CELL, ha="center", va="bottom", linespacing=1.1)
    ax.text(0.7, out + 0.1, "$h_0$\n0", color=HIDDEN, ha="center", va="bottom", linespacing=1.1)
    return ax
