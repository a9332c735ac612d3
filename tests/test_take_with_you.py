"""Each lesson's take-with-you cell runs alone, in a fresh kernel."""

import nbclient
import pytest
from nbformat.v4 import new_notebook
from notebook_form import find_lessons, name_of

LESSONS = [lesson for lesson in find_lessons() if not lesson.is_solution]


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_it_runs_alone(lesson, request):
    only = request.config.getoption("--only")
    if only and only != name_of(lesson):
        pytest.skip("another lesson was asked for")
    for cell in lesson.tagged("take-with-you"):
        notebook = new_notebook(cells=[cell])
        nbclient.NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(lesson.folder)}}
        ).execute()
