"""What learners get wrong in the exercises: each typical wrong answer, and the hint that it gets."""

import hashlib
import json
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from ecomlib import exercises
from tools.teaching.blocks import TEACHING

HINTS = TEACHING / "hints.json"
Known = dict[str, dict]  # exercise -> {"from": fingerprint, "hints": [...]}


def module_of(name: str) -> Path:
    """File of the checkers of an exercise."""
    return Path(exercises.__file__).parent / f"nb{name[:2]}.py"


def fingerprint(name: str) -> str:
    """Changes when the module of an exercise does."""
    return hashlib.sha256(module_of(name).read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:12]


def read() -> Known:
    """Return the committed hints."""
    return json.loads(HINTS.read_text(encoding="utf-8")) if HINTS.exists() else {}


def hints_of(name: str) -> list[str]:
    """Give each typical wrong answer of an exercise to its judge; return the hints that differ in words."""
    one = exercises.exercise(name)
    found = [exercises.hint(name, wrong()) or "" for wrong in one.wrong]
    said = [" ".join(text.split()) for text in found if text]
    return list({re.sub(r"-?\d[\d.,]*", "0", text): text for text in reversed(said)}.values())[::-1]


def names() -> list[str]:
    """All exercises there are."""
    for path in sorted(Path(exercises.__file__).parent.glob("nb*.py")):
        import_module(f"ecomlib.exercises.{path.stem}")
    return sorted(exercises._EXERCISES)


def stale() -> list[str]:
    """Exercises whose module has changed since their hints were written down, or that have none."""
    known = read()
    return [name for name in names() if known.get(name, {}).get("from") != fingerprint(name)]


def renew(say: Callable[[str], object] = print) -> None:
    """Bring the committed hints up to date; only what has changed is asked again."""
    known, wanted = read(), names()
    for name in stale():
        say(f"hints of exercise {name}")
        known[name] = {"from": fingerprint(name), "hints": hints_of(name)}
    text = json.dumps({name: known[name] for name in wanted}, indent=1, ensure_ascii=False)
    HINTS.write_text(text + "\n", encoding="utf-8")
