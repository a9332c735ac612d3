"""The explorers compute in JavaScript what NumPy computes: an LSTM, and gradients on their way back."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ecomlib import gates
from ecomlib.lessons import gate_explorer
from ecomlib.lessons.gradient_explorer import GradientExplorer
from ecomlib.runtime import GATE_COLORS

SCRIPT = Path(gate_explorer.__file__).with_name("gate_explorer.js")
SCRIPTS = sorted(SCRIPT.parent.glob("*.js"))
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


def ask_node(script, expression, data):
    """Value of a JavaScript expression in `m`, the module, and `cases`."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node found; tests/test_explorer_browser.py compares the two in a browser")
    program = (
        f"import * as m from {json.dumps(script.as_uri())};"
        "import fs from 'node:fs';"
        "const cases = JSON.parse(fs.readFileSync(0));"
        f"console.log(JSON.stringify({expression}));"
    )
    command = [node, "--no-warnings", "--input-type=module", "-e", program]
    ran = subprocess.run(
        command, input=json.dumps(data), capture_output=True, text=True, timeout=30, check=True
    )
    return json.loads(ran.stdout)


TRACES = "cases.map((c) => m.trace(c.xs, c.weights, c.held))"
WAYS_BACK = """cases.map((c) => ({
  rnn: m.rnnBack(c.xs, m.scaled(c.rnn, c.scale, c.bias), c.last),
  ...m.lstmBack(c.xs, m.scaled(c.lstm, c.scale, c.bias), c.last),
}))"""


def test_javascript_equals_its_numpy_twin():
    traces, two = ask_node(SCRIPT, f"[{TRACES}, m.toInput(99)]", cases())
    assert two == pytest.approx(float(gate_explorer.to_input(99)), abs=1e-12)
    compare(traces)


def ways_back():
    """Cases of the gradient explorer: its own starts at several scales, biases and lengths."""
    out = []
    for k, (scale, bias) in enumerate([(1, 1), (0.25, -2), (6, 4), (2.5, 1), (1, 6)]):
        explorer = GradientExplorer(["week"] * (3 + 9 * k), [0, 20, 150] * (1 + 3 * k), units=3 + k, seed=k)
        xs = gate_explorer.to_input(explorer.dollars).tolist()
        case = {name: getattr(explorer, name) for name in ("rnn", "lstm", "last")}
        out.append(case | {"xs": xs, "scale": scale, "bias": bias})
    return out


def compare_ways_back(found):
    """Compare norms by lag with `ecomlib.gates`, through whose backward pass lesson 12 goes."""
    for case, norms in zip(ways_back(), found, strict=True):
        x, last = np.array(case["xs"]).reshape(1, -1, 1), np.array([case["last"]])
        for kind, (forward, backward) in gates.CELLS.items():
            W, U, b = (np.array(w) for w in case[kind])
            if kind == "lstm":
                b[len(U) : 2 * len(U)] = case["bias"]
            _, cache = forward(x, [case["scale"] * W, case["scale"] * U, b])
            backward(None, cache, last)
            for state in ("dh", "dc") if kind == "lstm" else ("dh",):
                ours = np.linalg.norm(cache[state][:, 0], axis=1)[::-1]
                theirs = norms["rnn" if kind == "rnn" else state]
                np.testing.assert_allclose(theirs, ours, rtol=1e-9, err_msg=f"{kind} {state}")
            if kind == "lstm":
                np.testing.assert_allclose(norms["forget"], cache["f"][::-1, 0].mean(axis=1), rtol=1e-12)


def test_the_gradient_goes_back_as_in_the_package():
    compare_ways_back(ask_node(SCRIPT.with_name("gradient_explorer.js"), WAYS_BACK, ways_back()))


def test_the_gradient_explorer_starts_as_keras_does_with_a_gradient_of_length_one():
    explorer = GradientExplorer(["a", "b"], [0, 5.004], units=4)
    assert explorer.dollars == [0, 5.0] and np.linalg.norm(explorer.last) == pytest.approx(1)
    W, U, b = explorer.lstm
    assert np.shape(W) == (1, 16) and np.shape(U) == (4, 16) and b == [0.0] * 4 + [1.0] * 4 + [0.0] * 8
    state = json.loads(explorer._repr_mimebundle_()[1]["explorer"])
    assert state["script"] == "gradient_explorer" and state["rnn"] == explorer.rnn
    assert repr(explorer) == "GradientExplorer(4 units, 2 weeks)"


@pytest.mark.parametrize("script", [path.stem for path in SCRIPTS if path.stem != "explorer_base"])
def test_a_page_gets_one_module_that_imports_nothing(script):
    text = gate_explorer.module(script)
    assert "import" not in {line.split(" ")[0] for line in text.splitlines()}
    assert text.count("function plate(") == text.count("export default { render }") == 1


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
    state = json.loads(metadata["explorer"])
    assert state["households"] == HOUSEHOLDS and set(state["weights"]) == set("ifgo")
    assert state["colors"]["f"] == GATE_COLORS["forget"] and state["colors"]["h"] == GATE_COLORS["hidden"]


def test_the_javascript_holds_no_colour_of_a_gate():
    """Colours come from Python, so that a gate looks alike in every drawing of the course."""
    text = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS).lower()
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
