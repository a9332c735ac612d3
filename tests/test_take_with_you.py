"""Each lesson's take-with-you cell runs alone, in a fresh kernel."""

import nbclient
import nbformat
import pytest

from tools.notebooks import NOTEBOOKS, find

LESSONS = [path for path in find() if path.parent == NOTEBOOKS]


@pytest.mark.slow
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_it_runs_alone(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if "take-with-you" in cell.metadata.get("tags", []):
            notebook = nbformat.v4.new_notebook(cells=[cell])
            place = {"metadata": {"path": str(path.parent)}}
            nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
