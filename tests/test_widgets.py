"""The explorer's JavaScript computes what its NumPy twin computes, and that is an LSTM."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ecomlib import gates
from ecomlib.lessons import gate_explorer
from ecomlib.runtime import GATE_COLORS

SCRIPT = Path(gate_explorer.__file__).with_name("gate_explorer.js")
HOUSEHOLDS = [
    {
        "name": "household 1",
        "weeks": [f"week {k}" for k in range(1, 9)],
        "spend": [12.5, 0, 0, 80, 3.2, 0, 0, 41],
    }
]


def cases(n=40):
    """Random weights, series and held gates, the presets among them."""
    rng = np.random.default_rng(0)
    out = [
        {"xs": gate_explorer.to_input([0, 10, 250]).tolist(), "weights": p["weights"], "held": {}}
        for p in gate_explorer.PRESETS.values()
    ]
    for k in range(n):
        held = {name: int(rng.integers(2)) for name in "ifo" if rng.random() < 0.3}
        weights = {name: rng.uniform(-6, 6, 3).round(1).tolist() for name in "ifgo"}
        out.append({"xs": rng.uniform(0, 3, k % 12).tolist(), "weights": weights, "held": held})
    return out


def test_javascript_equals_its_numpy_twin():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node found; tests/test_explorer_browser.py compares the two in a browser")
    program = (
        f"import * as m from {json.dumps(SCRIPT.as_uri())};"
        "import fs from 'node:fs';"
        "const cases = JSON.parse(fs.readFileSync(0));"
        "console.log(JSON.stringify([cases.map((c) => m.trace(c.xs, c.weights, c.held)), m.toInput(99)]));"
    )
    ran = subprocess.run(
        [node, "--no-warnings", "--input-type=module", "-e", program],
        input=json.dumps(cases()),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    traces, two = json.loads(ran.stdout)
    assert two == pytest.approx(float(gate_explorer.to_input(99)), abs=1e-12)
    compare(traces)


def compare(traces):
    """Compare what JavaScript's `trace` gave for `cases()` with NumPy."""
    for case, steps in zip(cases(), traces, strict=True):
        ours = gate_explorer.trace(case["xs"], case["weights"], case["held"])
        for name in "ifgoch":
            np.testing.assert_allclose([s[name] for s in steps], ours[name], rtol=0, atol=1e-12)


def keras_weights(weights):
    """Return the explorer's weights in Keras' layout: [(1, 4), (1, 4), (4,)], order i, f, c, o."""
    table = np.array([weights[name] for name in "ifgo"], float).T
    return [table[:1], table[1:2], table[2]]


def test_the_twin_is_an_lstm():
    for case in cases():
        if not case["held"]:
            run = gate_explorer.trace(case["xs"], case["weights"])
            x = np.array(case["xs"]).reshape(1, -1, 1)
            h, cache = gates.lstm_forward(x, keras_weights(case["weights"]))
            np.testing.assert_allclose(run["h"], h[0, :, 0], atol=1e-12)
            for name in "ifgo":
                np.testing.assert_allclose(run[name], cache[name][:, 0, 0], atol=1e-12)


def test_counting_preset_counts_inactive_weeks():
    weights = gate_explorer.PRESETS["counts inactive weeks"]["weights"]
    run = gate_explorer.trace(gate_explorer.to_input([50, 0, 0, 0, 0, 60, 0]), weights)
    assert abs(run["c"][0]) < 0.01 and abs(run["c"][5]) < 0.01
    assert np.all(np.diff(run["c"][:5]) > 0.2)


def test_text_form_is_fixed_and_the_state_travels_with_the_output():
    explorer = gate_explorer.GateExplorer(households=HOUSEHOLDS)
    assert repr(explorer) == "GateExplorer(1 households, 8 weeks)"
    data, metadata = explorer._repr_mimebundle_()
    assert data["text/plain"] == repr(explorer)
    state = json.loads(json.dumps(metadata["explorer"]))
    assert state["households"] == HOUSEHOLDS and set(state["weights"]) == set("ifgo")
    assert state["colors"]["f"] == GATE_COLORS["forget"] and state["colors"]["h"] == GATE_COLORS["hidden"]


def test_the_javascript_holds_no_colour_of_a_gate():
    """Colours come from Python, so that a gate looks alike in every drawing of the course."""
    text = SCRIPT.read_text().lower()
    assert not [color for color in GATE_COLORS.values() if color in text]


def test_the_static_figure_draws_the_same_trace():
    import matplotlib

    matplotlib.use("Agg")
    weights = gate_explorer.PRESETS["counts inactive weeks"]["weights"]
    axes = gate_explorer.draw_trace(HOUSEHOLDS[0]["spend"], weights)
    drawn = axes[2].lines[0].get_ydata()
    np.testing.assert_allclose(
        drawn, gate_explorer.trace(gate_explorer.to_input(HOUSEHOLDS[0]["spend"]), weights)["c"], atol=1e-12
    )
