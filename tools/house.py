"""Draw the package from its imports: `python -m tools.house` renews the picture in docs/house.md."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
USE_CASES = ("sales", "visits", "purchases", "recommend", "clicks")
LESSONS = ("lessons", "exercises")
SERVING = ("own", "stream", "scale")  # they serve every use case


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of `ecomlib` by its dotted name."""
    paths = sorted((root / "ecomlib").rglob("*.py"))
    return {".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}


@cache
def imported(path: Path) -> frozenset[str]:
    """Names that a file imports, inside functions as well; those for type hints do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hints = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
    skip = {id(inner) for node in hints for inner in ast.walk(node)}
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in skip:
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and id(node) not in skip and not node.level:
            names |= {f"{node.module}.{name.name}" for name in node.names}
    return frozenset(names)


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of `known` that a file imports, see `imported`."""
    found = {name if name in known else name.rpartition(".")[0] for name in imported(path)}
    return {name for name in found if name in known and known[name] != path}


def room(module: str) -> str:
    """The room of a module: a module or folder of `ecomlib`."""
    return [*module.split("."), "ecomlib"][1]


def arrows(root: Path = ROOT) -> dict[str, set[str]]:
    """The rooms that each room imports; the package's own front door is left out."""
    known = modules(root)
    found: dict[str, set[str]] = {room(module): set() for module in known}
    for module, path in known.items():
        found[room(module)] |= {room(name) for name in imports(path, known)} - {room(module), "ecomlib"}
    del found["ecomlib"]
    return found


def reach(found: dict[str, set[str]], start: str) -> set[str]:
    """All rooms that a room comes to along the arrows, which must hold no circle."""
    return found[start] | {far for near in found[start] for far in reach(found, near)}


def picture(root: Path = ROOT) -> str:
    """The rooms and their arrows as a Mermaid flowchart; an arrow that a longer way implies is left out."""
    found, known = arrows(root), modules(root)
    core = sorted(set(found) - {*USE_CASES, *LESSONS, *SERVING})
    lines = ["```mermaid", "flowchart TD"]
    wings = {"own shop, live": SERVING, "use cases": USE_CASES, "for single lessons": LESSONS, "core": core}
    for wing, names in wings.items():
        lines.append(f'  subgraph {wing.replace(" ", "_")}_["{wing}"]')
        for name in names:
            inner = sorted(m.split(".")[2] for m in known if m.startswith(f"ecomlib.{name}."))
            listed = name in USE_CASES or len(inner) < 10
            text = ", ".join(inner) if listed else f"{len(inner)} modules"
            lines.append(f'    {name}["{name}{"<br/>" + text if text else ""}"]')
        lines.append("  end")
    for name in sorted(found):
        implied = {far for near in found[name] for far in reach(found, near)}
        lines += [f"  {name} --> {other}" for other in sorted(found[name] - implied)]
    return "\n".join([*lines, "```"])


def page(text: str, root: Path = ROOT) -> str:
    """The page with the picture of today's code in the place of the old one."""
    before, _, rest = text.partition("```mermaid")
    return before + picture(root) + rest.partition("```")[2]


if __name__ == "__main__":
    path = ROOT / "docs" / "house.md"
    path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
