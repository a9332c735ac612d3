"""Build the web book: stage the pages in build/book-source, then let Sphinx turn them into HTML.

    python book/build.py [folder for the pages; build/book if none is named]

Called by `python course.py book` with the course's own Python.
"""

import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "book"))
import pages as made  # noqa: E402

from ecomlib.lessons import gate_explorer  # noqa: E402
from tools.house import LESSONS, modules, room  # noqa: E402
from tools.teaching.parts import PARTS  # noqa: E402

SOURCE = ROOT / "build" / "book-source"
PAGES = {
    "core": "The core",
    "sales": "Sales forecasting",
    "visits": "Visits",
    "purchases": "Purchase prediction",
    "recommend": "Recommendation",
    "clicks": "Clicks",
    "own": "Your own shop",
    "stream": "As it happens",
    "scale": "More than one machine",
}
WIDGET = "application/vnd.jupyter.widget-view+json"
EXTRA = ROOT / "build" / "book-extra"  # forms and slides: into the book as they are

# Stands where a notebook shows an explorer: the JavaScript module of JupyterLab, without a kernel.
# Written into the page, not imported: a browser refuses imports in a page opened from the disk.
EXPLORER = """<div class="explorer"></div>
<script type="module">
{module}
const place = document.querySelector(".explorer:empty");  // the first that has none yet
const values = new Map(Object.entries({state}));
const model = {{
  get: (name) => values.get(name), set: (name, value) => values.set(name, value),
  on() {{}}, off() {{}}, save_changes() {{}},
}};
render({{ model, el: place }});
</script>"""


def stage() -> list[Path]:
    """Copy the lessons, the data's description and the book's own pages to one folder.

    Returns
    -------
    list of Path
        The staged notebooks, relative to the folder.
    """
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(
        ROOT / "book", SOURCE, ignore=shutil.ignore_patterns("build.py", "pages.py", "__pycache__")
    )
    notebooks = []
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts or path.stem.endswith("_mine"):
            continue
        target = SOURCE / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(adapt(path), encoding="utf-8")
        notebooks.append(target.relative_to(SOURCE))
    linked(notebooks)
    for name, text in package_pages().items():
        (SOURCE / "package").mkdir(exist_ok=True)
        (SOURCE / "package" / f"{name}.md").write_text(text, encoding="utf-8")
    made.write(SOURCE)
    shutil.copy(ROOT / "docs" / "questions.md", SOURCE / "docs")
    from tools.teaching import book as teaching  # draws pictures: only when the book is made

    teaching.stage(SOURCE, EXTRA)
    index = SOURCE / "index.md"
    text = index.read_text(encoding="utf-8").replace(
        "<!-- lessons -->", contents(notebooks) + teaching.contents()
    )
    index.write_text(text, encoding="utf-8")
    return notebooks


def adapt(path: Path) -> str:
    """Return a notebook's text for the book: folded solutions, alt texts, widgets that need no kernel."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        tags = cell["metadata"].setdefault("tags", [])
        shown = cell["metadata"].setdefault("mystnb", {})
        if "solution" in tags:
            tags.append("hide-cell")
            shown |= {"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide it"}
        if "checks" in tags:
            tags.append("hide-input")
        if alt := cell["metadata"].get("alt"):
            shown["image"] = {"alt": alt}
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            # Half its pixels wide, so sharp; no height: where the page is narrower, it follows the width.
            output.get("metadata", {}).get("image/png", {}).pop("height", None)
            if data.pop(WIDGET, None) is not None:
                state = output["metadata"]["explorer"]
                module = gate_explorer.module(json.loads(state)["script"])
                data["text/html"] = EXPLORER.format(module=module, state=state)
    return json.dumps(notebook, ensure_ascii=False)


def package_pages() -> dict[str, str]:
    """Return a page for the core, each use case and what serves them: the docstrings of its rooms."""
    rooms: dict[str, list[str]] = {name: [] for name in PAGES}
    for module in modules():
        if module != "ecomlib" and room(module) not in LESSONS and not module.split(".")[-1].startswith("_"):
            rooms[room(module) if room(module) in PAGES else "core"].append(module)
    pages = {}
    for name, caption in PAGES.items():
        blocks = [f"# {caption}: the package\n"]
        for module in rooms[name]:
            members = (
                "" if modules()[module].name == "__init__.py" else "   :members:\n"
            )  # its rooms hold them
            blocks.append(f"## `{module}`\n\n```{{eval-rst}}\n.. automodule:: {module}\n{members}```\n")
        pages[name] = "\n".join(blocks)
    return pages


def linked(notebooks: list[Path]) -> None:
    """Copy what the notebooks link to outside their folder, and data/README.md."""
    targets = {ROOT / "data" / "README.md"}
    for notebook in notebooks:
        for cell in json.loads((SOURCE / notebook).read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                for target in re.findall(r"\]\(([^)#\s]+)", "".join(cell["source"])):
                    if "://" not in target:
                        targets.add((ROOT / notebook.parent / target).resolve())
    for target in sorted(targets):
        there = SOURCE / target.relative_to(ROOT)
        if target.is_file() and not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            text = target.read_text(encoding="utf-8") if target.suffix == ".md" else None
            if text is None or target.name == "README.md" and target.parent.name == "data":
                shutil.copy(target, there)
            else:
                there.write_text("---\norphan: true\n---\n\n" + text, encoding="utf-8")


def contents(notebooks: list[Path]) -> str:
    """Return a table of contents for each part, and one for the solutions; the map lists the lessons."""
    groups = {caption: [] for caption in [*PARTS.values(), "Solutions"]}
    for notebook in notebooks:
        solved = notebook.parent.name == "solutions"
        groups["Solutions" if solved else PARTS.get(notebook.name[0], "More")].append(notebook)
    blocks = []
    for caption, pages in groups.items():
        if pages:
            names = "\n".join(page.with_suffix("").as_posix() for page in pages)
            blocks.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{names}\n```\n")
    return "\n".join(blocks)


def main(arguments: list[str]) -> int:
    """Stage and build; a warning of Sphinx is an error."""
    from sphinx.cmd.build import main as sphinx

    target = Path(arguments[0]).resolve() if arguments else ROOT / "build" / "book"
    notebooks = stage()
    shutil.rmtree(target, ignore_errors=True)
    options = ["-W", "--keep-going", "-q", "-E", "-d", str(ROOT / "build" / "doctrees")]
    code = sphinx([*options, "-D", f"html_extra_path={EXTRA}", str(SOURCE), str(target)])
    if code == 0:
        made.spoken(target)
        print(f"{len(notebooks)} notebooks as pages in {target}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
