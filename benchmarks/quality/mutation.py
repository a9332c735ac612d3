"""Do the unit tests see a wrong line? Every mutant of the modules that the course's numbers come from.

    python course.py setup --group mutation
    python course.py bench mutation

mutmut changes one thing at a time (a sign, a limit, an argument) and runs the tests of the mutant's own
module. A mutant that no test notices survives. The table holds the share that was killed; the survivors
stand, each with its line, in `benchmarks/results/mutation_survivors.txt`. What survives is of seven kinds:

- the same program: `dtype=None` where NumPy takes float64 anyway, `freq="d"`, `axis` of a vector, capitals in
  `einsum`, a `zip` of lists that are equally long, a default that every caller overrides, None for False
- a guard for what does not occur: `np.maximum(rows, 1e-9)` over positive counts
- speed and memory only: `optimize`, the size of a batch or a block
- the looks of a picture: caps and colours of error bars
- the words of a message, of which a test reads a part
- the number of draws and the seed of recommendation and clicks, which their tests always give; the seed with
  which fits are drawn
- a limit that the data of the tests do not come near: a weekday open in a third of the weeks in place of
  half, a mean absolute error of 1 in place of 0, a band exactly as wide as the widest
"""

import difflib
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from importlib.util import find_spec

from benchmarks.run import Log, kept, row, sign_of
from ecomlib.runtime import ROOT

TESTS = {
    "bootstrap": "test_bootstrap.py",
    "probability": "test_bootstrap.py",
    "results": "test_bootstrap.py",
    "panels": "test_panels.py",
    "windows": "test_panels.py",
    "split": "test_split.py",
    "sales/evaluate": "test_sales_evaluate.py test_sales_by_hand.py",
    "visits/evaluate": "test_visits.py",
    "purchases/evaluate": "test_purchases.py",
    "recommend/evaluate": "test_recommend.py",
    "clicks/evaluate": "test_clicks.py",
}
NEEDED = ("ecomlib", "tests", "tools", "benchmarks", "notebooks", "docs", "pyproject.toml", "course.py")
KILLED = {1, 3, 36}  # a failed test, an error, no end: mutmut's exit codes
SETTINGS = """[mutmut]
source_paths=
    ecomlib/{module}.py
also_copy=
    {needed}
pytest_add_cli_args=
    -m
    not slow and not browser and not book
pytest_add_cli_args_test_selection=
    {tests}
"""


def rows(quick: bool, log: Log) -> list[dict]:
    """Mutate one module after the other; quick: the split alone."""
    if find_spec("mutmut") is None:
        raise SystemExit("mutmut is not installed: python course.py setup --group mutation")
    out, survivors, total, killed = [], [], 0, 0
    sign = sign_of((ROOT / "tests").glob("*.py"))  # what is kept was found by these tests
    chosen = ["split"] if quick else [*TESTS]
    jobs = {f"{module}, tests {sign}": partial(mutate, module, TESTS[module]) for module in chosen}
    for module, (exit_codes, left) in zip(chosen, kept("mutation", jobs, log).values(), strict=True):
        n, dead = len(exit_codes), sum(code in KILLED for code in exit_codes.values())
        total, killed = total + n, killed + dead
        survivors += [f"{module}: {line}" for line in left]
        out.append(row(module, "share of mutants killed", (dead / n,) * 3, 1, mutants=n))
        log(f"{module}: {dead} of {n} mutants killed")
    out.append(row("all", "share of mutants killed", (killed / total,) * 3, 1, mutants=total))
    if not quick:
        path = ROOT / "benchmarks" / "results" / "mutation_survivors.txt"
        path.write_text("\n".join(survivors) + "\n", encoding="utf-8")
    return out


def mutate(module: str, tests: str) -> tuple[dict[str, int], list[str]]:
    """Run mutmut on one module in a folder of its own: exit code per mutant, and the survivors' lines."""
    folder = ROOT / "build" / "mutants" / module.replace("/", "_")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (*NEEDED, "data"):
        os.symlink(ROOT / name, folder / name)
    lines = [
        "\n    ".join(names) for names in ((*NEEDED, "data"), [f"tests/{name}" for name in tests.split()])
    ]
    settings = SETTINGS.format(module=module, needed=lines[0], tests=lines[1])
    (folder / "setup.cfg").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "-m", "mutmut", "run", "--max-children", "2"]
    path = os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    found = folder / "mutants" / "ecomlib" / f"{module}.py.meta"
    if not found.exists():
        raise SystemExit(f"mutmut did not run on {module}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    exit_codes = json.loads(found.read_text(encoding="utf-8"))["exit_code_by_key"]
    source = found.with_suffix("").read_text(encoding="utf-8")
    left = [change(source, key) for key, code in exit_codes.items() if code not in KILLED]
    return exit_codes, left


def change(source: str, key: str) -> str:
    """What a mutant changed: the old line -> the new one."""
    name = key.rpartition(".")[2]
    base = name.rpartition("__mutmut_")[0]
    old, new = (function(source, text) for text in (f"{base}__mutmut_orig", name))
    lines = [line for line in difflib.ndiff(old, new) if line[:2] in ("- ", "+ ")]
    before, after = (" ".join(x[2:].strip() for x in lines if x[0] == sign) for sign in "-+")
    return f"{base.removeprefix('x_')}: {before} -> {after}"


def function(source: str, name: str) -> list[str]:
    """Body of a function in mutmut's file, without its name."""
    lines = source.splitlines()
    first = next(i for i, line in enumerate(lines) if line.lstrip().startswith(f"def {name}("))
    indent = len(lines[first]) - len(lines[first].lstrip())
    body = [lines[first].replace(name, "f")]
    for line in lines[first + 1 :]:
        if line.strip() and len(line) - len(line.lstrip()) <= indent and not line.lstrip().startswith(")"):
            break
        body.append(line)
    return body
