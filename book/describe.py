"""Gives every page a description of its own: a search engine shows it below the title."""

import html
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SHORTEST, LONGEST = 60, 160  # characters


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write the shop's question, or else the page's first sentence of some length, into its head."""
    if doctree is None:
        return
    texts = [" ".join(node.astext().split()) for node in doctree.findall(nodes.paragraph)]
    asked = [text for text in texts if re.match("The shop.s question: ", text)]
    long = [text for text in texts if len(text) >= SHORTEST and " · " not in text]
    title = re.sub(r"<[^>]+>", "", context.get("title") or "")
    text = f"{html.unescape(title)}. {asked[0].split(': ', 1)[1]}" if asked else (long or texts or [title])[0]
    if len(text) > LONGEST:
        text = text[: LONGEST - 1].rsplit(" ", 1)[0] + "…"
    context["metatags"] = (
        context.get("metatags", "") + f'<meta name="description" content="{html.escape(text)}">\n'
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
