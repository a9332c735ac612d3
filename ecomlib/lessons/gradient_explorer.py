"""The gradient explorer of lesson 12; `ecomlib.gates` is the twin in Python of `gradient_explorer.js`."""

from collections.abc import Sequence

import numpy as np
import traitlets

from ecomlib import gates
from ecomlib.lessons.gate_explorer import COLORS, SHOWN, Explorer, module


class GradientExplorer(Explorer):
    """Sliders for the scale of the weights, the forget bias and the lag; norms of dL/dh_t and dL/dC_t.

    Arguments: labels and dollars per week; the size of both cells and the seed of their starting weights.
    """

    _esm = module("gradient_explorer")
    weeks, dollars, rnn, lstm, last = (traitlets.Any().tag(**SHOWN) for _ in range(5))
    colors = traitlets.Dict(COLORS).tag(**SHOWN)

    def __init__(self, weeks: Sequence[str], dollars: Sequence[float], units: int = 16, seed: int = 0):
        last = np.random.default_rng(seed).standard_normal(units)  # dL/dh of the last week, made of length 1
        drawn = {kind: gates.init_weights(kind, 1, units, seed, dtype="float64") for kind in gates.CELLS}
        state = {kind: [w.round(4).tolist() for w in weights] for kind, weights in drawn.items()}
        state |= {"last": (last / np.linalg.norm(last)).tolist(), "weeks": list(weeks)}
        super().__init__(dollars=np.asarray(dollars, float).round(2).tolist(), **state)

    def __repr__(self) -> str:
        return f"GradientExplorer({len(self.last)} units, {len(self.weeks)} weeks)"
