"""Every public function of the package says the type of each parameter and of what it returns."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def untyped(text: str) -> Iterator[str]:
    """Public functions and methods without a type somewhere, `__init__` included."""
    body = ast.parse(text).body
    classes = [node for node in body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    for node in [*body, *(inner for one in classes for inner in one.body)]:
        if not isinstance(node, ast.FunctionDef) or (node.name.startswith("_") and node.name != "__init__"):
            continue
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        given += [one for one in (node.args.vararg, node.args.kwarg) if one]
        bare = [one.arg for one in given if one.annotation is None and one.arg not in ("self", "cls")]
        if node.returns is None and node.name != "__init__":
            bare.append("return")
        if bare:
            yield f"line {node.lineno}, {node.name}: {', '.join(bare)}"


@pytest.mark.parametrize("path", sorted((ROOT / "ecomlib").rglob("*.py")), ids=lambda path: path.stem)
def test_public_functions_are_typed(path):
    assert not list(untyped(path.read_text(encoding="utf-8")))


def test_a_missing_type_is_seen():
    text = (
        "class A:\n    def __init__(self, n): ...\n    def f(self, *, k=1) -> int: ...\ndef g(x: int): ...\n"
    )
    assert [found.split(", ")[1] for found in untyped(text)] == ["g: return", "__init__: n", "f: k"]
    assert not list(untyped("def _h(x): ...\nclass _B:\n    def f(self, x): ...\n"))
