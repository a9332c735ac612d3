"""How a table tells what a search chose."""

from typing import Any


def in_words(setting: dict[str, Any]) -> str:
    """A setting as a table tells it: "rate 0.012, epochs 24"."""
    return ", ".join(f"{name} {value}" for name, value in setting.items())
