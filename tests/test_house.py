"""The arrows between the rooms of the package, their sizes, and what it costs to come in."""

import ast
import inspect
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from ecomlib import sales
from tools.house import LESSONS, ROOT, USE_CASES, arrows, imports, modules, page, room

CORE = "runtime split panels windows bootstrap probability results training gates shop.shop shop.errors"
SIDE = ("joined", "shop.checks")  # modules read only when needed
WINGS = {*USE_CASES, *LESSONS, "own", "stream", "scale"}
MAY_IMPORT = {  # besides their own room and the core
    **dict.fromkeys(LESSONS, WINGS),
    "clicks": {"recommend"},
    "own": {"sales", "purchases", "recommend", "clicks"},
    "scale": {"purchases", "own"},
}
ROOMS = ("task", "baselines", "model", "evaluate")
PACKAGE = 10_400  # lines without those of the lessons; it may only shrink
KNOWN = modules()
TOOLS = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "tools").rglob("*.py")}


@cache
def all_imports():
    return {module: imports(path, KNOWN) for module, path in KNOWN.items()}


def wing(name):
    return room(name) if room(name) in WINGS else "core"


def lines(path):
    """All lines of a file, and those of code: without docstrings, comments and blanks."""
    text = path.read_text(encoding="utf-8")
    doc = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            doc |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    rows = text.splitlines()
    code = [r for n, r in enumerate(rows, 1) if r.strip() and not r.strip().startswith("#") and n not in doc]
    return len(rows), len(code)


# ---------------------------------------------------------------------------------------------- the rooms


def test_every_use_case_has_the_same_rooms():
    for case in USE_CASES:
        for name in ROOMS:
            path = KNOWN[f"ecomlib.{case}.{name}"]
            found = ast.parse(path.read_text(encoding="utf-8")).body
            assert any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in found), path


def test_the_core_has_its_rooms():
    assert {f"ecomlib.{name}" for name in CORE.split()} <= set(KNOWN)


def test_the_page_shows_todays_rooms_and_arrows():
    text = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    assert text == page(text), "run python -m tools.house"


# --------------------------------------------------------------------------------------------- the arrows


def test_imports_are_found_wherever_they_stand(tmp_path):
    path = tmp_path / "ecomlib" / "here.py"
    path.parent.mkdir()
    path.write_text(
        "import numpy\nfrom ecomlib.split import Split\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from ecomlib.gates import RNN\n"
        "def later():\n    from ecomlib import panels\n    import ecomlib.shop.errors\n"
    )
    assert imports(path, KNOWN) == {"ecomlib.split", "ecomlib.panels", "ecomlib.shop.errors"}


def test_no_modules_import_each_other():
    TopologicalSorter({name: found - {"ecomlib"} for name, found in all_imports().items()}).prepare()
    TopologicalSorter(arrows()).prepare()


def test_no_import_leaves_its_wing_upwards():
    for module, found in all_imports().items():
        for other in found:
            here, there = wing(module), wing(other)
            allowed = {here, "core", *MAY_IMPORT.get(here, ())}
            assert there in allowed, f"{module} imports {other}"


def test_a_use_case_is_read_from_the_task_upwards():
    for case in USE_CASES:
        above = {f"ecomlib.{case}.{name}" for name in ("batches", "baselines", "model", "evaluate")}
        for name in ("known_ahead", "channels", "history", "task"):
            assert not all_imports().get(f"ecomlib.{case}.{name}", set()) & above, f"{case}.{name}"
        for name in ("batches", "baselines", "evaluate"):
            assert f"ecomlib.{case}.model" not in all_imports().get(f"ecomlib.{case}.{name}", set()), (
                f"{case}.{name}"
            )


def test_the_package_knows_no_notebook_and_no_tool():
    for module, path in KNOWN.items():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        names = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        names += [name.name for n in ast.walk(tree) if isinstance(n, ast.Import) for name in n.names]
        foreign = {name.split(".")[0] for name in names} & {"tools", "benchmarks", "tests", "course", "book"}
        assert not foreign, f"{module} imports {foreign}"
        assert not re.search(r"\.ipynb|notebooks/", text), module


# ---------------------------------------------------------------------------------------------- the sizes


def test_the_core_can_be_read_in_one_evening():
    core = [lines(p) for m, p in KNOWN.items() if wing(m) == "core" and m[8:] not in SIDE]
    assert sum(total for total, _ in core) <= 1400
    assert sum(code for _, code in core) <= 750


def test_the_package_stays_small():
    size = {m: lines(p)[0] for m, p in KNOWN.items()}
    assert sum(n for m, n in size.items() if wing(m) == "stream") <= 770
    assert sum(n for m, n in size.items() if wing(m) not in LESSONS) <= PACKAGE
    text = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    assert f"without `lessons` and `exercises` at most {PACKAGE:,}, " in text
    assert sum(n for m, n in size.items() if wing(m) == "lessons") <= 1600
    size |= {tool: lines(path)[0] for tool, path in TOOLS.items()}
    assert {m: n for m, n in size.items() if n > 400} == {}


def test_no_class_or_function_is_too_long():
    limits = {ast.ClassDef: 150, ast.FunctionDef: 60}
    found = {
        f"{module}:{node.name}": node.end_lineno - node.lineno + 1
        for module, path in (KNOWN | TOOLS).items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if type(node) in limits and node.end_lineno - node.lineno >= limits[type(node)]
    }
    assert found == {}


# ----------------------------------------------------------------------------------------------- the words


def defaults(tree: ast.Module) -> list[tuple[str, ast.expr]]:
    """Name and value of every default: of functions, of classes and of what a module sets."""
    found: list[tuple[str, ast.expr | None]] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            by_place = [*node.args.posonlyargs, *node.args.args]
            given = [*node.args.defaults, *node.args.kw_defaults]
            names = [*by_place[len(by_place) - len(node.args.defaults) :], *node.args.kwonlyargs]
            found += [(name.arg, value) for name, value in zip(names, given, strict=True)]
        if isinstance(node, (ast.Module, ast.ClassDef)):
            sets = [n for n in node.body if isinstance(n, (ast.Assign, ast.AnnAssign))]
            found += [
                (ast.unparse(n.targets[0] if isinstance(n, ast.Assign) else n.target), n.value) for n in sets
            ]
    return [(name, value) for name, value in found if value]


def of_the_running_shop(text: str) -> set[str]:
    """What stands in a default and is true of the running shop only."""
    found = set()
    for name, value in defaults(ast.parse(text)):
        for each in (n.value for n in ast.walk(value) if isinstance(n, ast.Constant)):
            numbered = type(each) is int and (
                each in range(2016, 2019) or (each in WEEKS and PLACE.search(name))
            )
            if numbered or (isinstance(each, str) and SHOPS_OWN.search(each)):
                found.add(f"{name}: {each}")
    return found


FEASTS = (
    "christmas|thanksgiving|easter|independence day|labor day|memorial day|new year|black friday|juneteenth"
)
SHOPS_OWN = re.compile(rf"(?i:(?!1970)\d{{4}}-\d\d|\b2017|^\d\d-\d\d$|{FEASTS})|\bUSA?\b|\bAmerica/")
WEEKS, PLACE = (
    range(29, 54),
    re.compile(r"(?i)week|cutoff|\b(start|end|first|last|test|valid|closed|holidays)\b"),
)


def test_no_date_of_the_running_shop_is_a_default():
    for module, path in KNOWN.items():
        if module == "ecomlib.shop.complete_journey" or wing(module) in LESSONS:
            continue
        text = path.read_text(encoding="utf-8")
        assert of_the_running_shop(text) == set(), module
        used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        assert not used & {"HOLIDAYS", "CLOSED", "FIRST_MONDAY", "STORE_ZONE"}, module
    given = inspect.signature(sales.task).parameters
    assert given["holidays"].default is None and given["closed"].default == ()


@pytest.mark.parametrize(
    "planted",
    [
        "def task(shop, *, end='2017-12-24'): pass",
        "def task(shop, country='US'): pass",
        "class Split:\n    first_week: int = 45",
        "class Task:\n    closed: tuple = field(default=('12-25',))",
        "def task(shop, closed=('Christmas Day',)): pass",
        "ask = lambda shop, cutoff=44: cutoff",
        "def task(shop, end=pd.Timestamp(2017, 12, 24)): pass",
    ],
)
def test_a_planted_default_of_the_running_shop_is_found(planted):
    assert of_the_running_shop(planted)
    assert not of_the_running_shop(
        "def fit(units: int = 50, weeks: int = 8, name='use it', split='56D'): pass"
    )


def test_the_last_known_step_has_one_name():
    for path in KNOWN.values():
        assert not re.search(r"\borigins?\b", path.read_text(encoding="utf-8"), re.IGNORECASE), path


# ------------------------------------------------------------------------------------------------ the door


def answer(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_door_opens_fast_and_shows_what_is_inside():
    code = (
        "import time; begun = time.perf_counter(); import ecomlib; took = time.perf_counter() - begun\n"
        "import sys; assert not {'tensorflow', 'keras', 'pandas'} & set(sys.modules)\n"
        "assert {'Shop', 'Split', 'check', 'clean', 'sales', 'setup'} <= set(dir(ecomlib))\n"
        "print(took)"
    )
    assert min(float(answer(code)) for _ in range(3)) < 0.3


def test_a_use_case_needs_no_tensorflow_until_its_network():
    code = "import sys"  # one process for all: where the last has loaded none, none has
    for case in USE_CASES:
        code += f"\nfrom ecomlib import {case}; {case}.task, {case}.evaluate, {case}.advice\n"
        code += f"print('{case}', *{{'tensorflow', 'keras'}} & set(sys.modules), callable({case}.task))"
    assert answer(code).splitlines() == [f"{case} True" for case in USE_CASES]


def test_the_checker_of_exercises_is_at_the_door():
    assert answer("import ecomlib; print(callable(ecomlib.check))") == "True"
    assert Path(ROOT / "ecomlib" / "exercises" / "__init__.py").exists()
