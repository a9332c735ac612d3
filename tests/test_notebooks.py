"""Every notebook keeps the form, and every rule of the form finds the fault it is there for."""

import base64
import copy
from functools import cache

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.form import (
    LESSON_RULES,
    SOLUTION_RULES,
    Lesson,
    allowed,
    defined_first,
    find_lessons,
    lowered,
    rules_for,
    unbound,
)

KNOWN = allowed()
# Rules that are younger than some lessons; no lesson may break one of the others.
YOUNG = {
    "alt",
    "colours",
    "defined_first",
    "header",
    "height",
    "hide_input",
    "level",
    "network_exercise",
    "pauses",
    "quiz_letters",
}
YOUNG |= {"picture_text", "size", "take_with_you", "width", "words", "wrap_up"}
CASES = [
    pytest.param(lesson, rule, id=f"{lesson.name}-{rule.__name__}")
    for lesson in find_lessons()
    for rule in rules_for(lesson)
]


@pytest.mark.parametrize(("lesson", "rule"), CASES)
def test_notebook_keeps_the_form(lesson, rule):
    problems = rule(lesson)
    known = KNOWN.get(rule.__name__, {}).get(lesson.name, 0)
    assert len(problems) <= known, f"{lesson.name}: {known} known, found " + "; ".join(problems)
    assert len(problems) == known, f"fewer faults than known, {len(problems)}: python -m tools.form --tighten"


def test_the_known_faults_are_of_rules_and_lessons_that_are_there():
    cases = {(rule.__name__, lesson.name) for lesson in find_lessons() for rule in rules_for(lesson)}
    assert {(rule, lesson) for rule, lessons in KNOWN.items() for lesson in lessons} <= cases
    assert set(KNOWN) <= YOUNG
    assert all(n > 0 for lessons in KNOWN.values() for n in lessons.values())


def test_known_faults_only_shrink():
    known = {"width": {"11": 3, "12": 1}, "height": {"11": 2}}
    found = {"width": {"11": 5, "13": 1}, "height": {"11": 1}, "alt": {"11": 1}}
    assert lowered(known, found) == {"width": {"11": 3}, "height": {"11": 1}}


def test_there_are_notebooks():
    assert CASES, "no notebook found in notebooks/"


# --------------------------------------------------------------------------------------------------
# The rules themselves, on a small right notebook and on planted faults
# --------------------------------------------------------------------------------------------------
def code(source, tags=(), text="", **metadata):
    """Make a code cell that printed a text."""
    outputs = [new_output("stream", name="stdout", text=text)] if text else []
    return new_code_cell(source, outputs=outputs, metadata={"tags": list(tags), **metadata})


ALT = "A line that rises from zero on the left to one on the right: the numbers of this lesson."
LEVEL = "# x\n\nIntermediate · read 5 min · run 1 min · exercises 30 min"
PNG = base64.b64encode(bytes(90)).decode()
WIDE = {"image/png": {"width": 1050, "height": 300}}
WORDS = """# Words

## Terms of the field

| term | also | 中文 | meaning | defined in |
| --- | --- | --- | --- | --- |
| gate | gated, `Gate` | 门 | It opens and shuts. | [12](../notebooks/12_gates.ipynb#the-gate "the-gate") |
| leaky gate |  | 漏门 | It never shuts. | 13 |
| state ° |  | 状态 | What is carried on. | 13 |
| tenure |  | 存续期 | For how long a customer is known. | – |

## Names
"""


def make_lesson():
    """Make a lesson without a fault."""
    return copy.deepcopy(right_lesson())


@cache
def right_lesson():
    answer = (
        "<details><summary>Answer</summary>\n**{}.** "
        + "The others forget what was said above. " * 3
        + "</details>"
    )
    cells = [
        new_markdown_cell(
            "# 12 · Gates\n\nBeginner · read 5 min · run 1 min · exercises 30 min\n\n"
            "[← 11 · Data](11_data.ipynb) · [13 · Training →](13_training.ipynb)"
            " · [Solutions](solutions/12_gates.ipynb)"
        ),
        new_markdown_cell("## You will learn\n\nThree things, see [the data](#the-data)."),
        code("from ecomlib import check, setup\n\nsetup(1)", ["setup"], "seed 1\n"),
        code("N = 3", ["parameters"]),
        new_markdown_cell("## The data"),
        *[code(f"x{k} = {k}\nprint(x{k})", text=f"{k}\n") for k in range(4)],
        code("plt.plot([x0, x1])\nplt.show()", ["hide-input"], alt=ALT),
        *[code(f"x{k} = {k}\nprint(x{k})", text=f"{k}\n") for k in range(5, 8)],
        new_markdown_cell("**Try** another number."),
        *[code(f"x{k} = {k}\nprint(x{k})", text=f"{k}\n") for k in range(9, 15)],
        new_markdown_cell("## Baseline"),
        new_markdown_cell("## The gate\n\nA **gate** opens and shuts.\n\n$$f = 1$$", id="the-gate"),
        new_markdown_cell("## Exercises"),
    ]
    for k in (1, 2, 3):
        cells.append(new_markdown_cell(f"### Exercise {k}: try"))
        cells.append(
            code(f'answer = ...\ncheck("12.{k}", answer)', ["exercise"], "not yet: replace the dots.\n")
        )
    cells += [
        new_markdown_cell(
            "## Quiz\n\n" + "\n\n".join(f"**{k}.** Why?\n\n{answer.format('abc'[k - 1])}" for k in (1, 2, 3))
        ),
        new_markdown_cell("## Takeaways\n\nThe same three things."),
        code("import math\n\nprint(math.floor(2.5))", ["take-with-you"], "2\n"),
        code("assert N == 3", ["checks"]),
    ]
    cells[9].outputs = [new_output("display_data", data={"image/png": PNG})]
    return finish(cells)


def make_solution():
    """Make the solution of that lesson."""
    return copy.deepcopy(right_solution())


@cache
def right_solution():
    cells = [
        new_markdown_cell("# 12 · Gates: solutions\n\n[Back](../12_gates.ipynb)"),
        code("from ecomlib import check", ["setup"]),
        *[code(f'answer = {k}\ncheck("12.{k}", answer)', ["solution"], "correct\n") for k in (1, 2, 3)],
    ]
    return finish(cells)


def finish(cells):
    """Number the cells as a run from top to bottom does."""
    notebook = new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )
    notebook.nbformat_minor = 5
    for number, cell in enumerate([cell for cell in cells if cell.cell_type == "code"], 1):
        cell.execution_count = number
    return notebook


@cache
def right_course():
    """Return the text of each file of a course of three lessons."""
    other = finish([new_markdown_cell(f"{LEVEL}\n\n## A heading")])
    notebooks = {"11_data": other, "12_gates": right_lesson(), "13_training": other}
    notebooks["solutions/12_gates"] = right_solution()
    texts = {f"notebooks/{name}.ipynb": nbformat.writes(each) for name, each in notebooks.items()}
    return texts | {"docs/words.md": WORDS}


@pytest.fixture
def folder(tmp_path):
    """Make a folder of three lessons, of which 12 is looked at."""
    for name in ("notebooks/solutions", "docs"):
        (tmp_path / name).mkdir(parents=True)
    for name, text in right_course().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / "notebooks"


def complaints(path, folder):
    """Return the names of the rules that complain about a file."""
    lesson = Lesson(path, folder)
    return {rule.__name__ for rule in rules_for(lesson) if rule(lesson)}


def test_the_right_notebook_and_solution_have_no_fault(folder):
    assert complaints(folder / "12_gates.ipynb", folder) == set()
    assert complaints(folder / "solutions" / "12_gates.ipynb", folder) == set()


def tagged(notebook, tag):
    """Return the first cell with a tag."""
    return next(cell for cell in notebook.cells if tag in cell.metadata.get("tags", []))


def by_id(notebook, cell_id):
    """Return the cell with an id."""
    return next(cell for cell in notebook.cells if cell.id == cell_id)


def setter(at, **changes):
    """Make a fault: change fields of one cell, found by its number or tag."""

    def fault(notebook):
        cell = tagged(notebook, at) if isinstance(at, str) else notebook.cells[at]
        cell.update(copy.deepcopy(changes))

    return fault


def replacer(old, new):
    """Make a fault: replace a text wherever it occurs in the sources."""

    def fault(notebook):
        for cell in notebook.cells:
            cell.source = cell.source.replace(old, new)

    return fault


def output(**fields):
    """Make a fault: the first plain code cell shows this output."""
    return setter(5, outputs=[new_output(**fields)])


def move_quiz_first(notebook):
    quiz = next(cell for cell in notebook.cells if cell.source.startswith("## Quiz"))
    notebook.cells.remove(quiz)
    notebook.cells.insert(1, quiz)


def drop_tagged(tag):
    return lambda notebook: notebook.cells.remove(tagged(notebook, tag))


def add_tag(tag):
    return lambda notebook: notebook.cells[5].metadata["tags"].append(tag)


def widgets(notebook):
    notebook.metadata["widgets"] = {}


def two_cells_one_alt(notebook):
    for key in ("outputs", "metadata"):
        notebook.cells[10][key] = copy.deepcopy(notebook.cells[9][key])


SENTENCE = "In this shop the network sells more than every simpler model does, by"
BIG = base64.b64encode(bytes(701 * 1024)).decode()
FAULTS = [
    ("valid", widgets),
    ("valid", lambda notebook: notebook.metadata["kernelspec"].update(name="ir")),
    ("executed", setter(5, execution_count=None)),
    ("executed", setter(5, execution_count=99)),
    ("clean_output", output(output_type="error", ename="E", evalue="", traceback=[])),
    ("clean_output", output(output_type="stream", name="stderr", text="Warning")),
    (
        "clean_output",
        output(output_type="execute_result", data={"text/plain": "<Axes: >"}, execution_count=3),
    ),
    ("plain_python", setter(5, source="!ls")),
    ("plain_python", setter(5, source="x = 1\n%pip install something")),
    ("plain_python", setter(5, source="%%bash\nfalse")),
    ("plain_python", setter(5, source="%nosuchmagic")),
    ("plain_python", setter(5, source="print?")),
    ("plain_python", setter(5, source="get_ipython().system('ls')")),
    ("plain_python", setter(5, source="subprocess.run(['false'])")),
    ("tags", add_tag("hide-everything")),
    ("tags", add_tag("nbval-ignore-output")),
    ("tags", add_tag("raises-exception")),
    ("tags", setter(5, source="# NBVAL_IGNORE_OUTPUT\nx = 1")),
    ("height", setter(5, source="x = 1\n" * 21)),
    ("height", setter("take-with-you", source="x = 1\n" * 21)),
    ("width", setter(5, source="x = " + "1 + " * 20 + "1")),
    ("words", setter(4, source="## The data\n\nThe stores are drawn by lot.")),
    ("words", setter(4, source="## The data\n\nWe train one model a quantile.")),
    ("words", setter(4, source="## The data\n\nIt makes 192 numbers a code.")),
    ("words", setter(4, source="## The data\n\nOne row is a trip. New is what we may read.")),
    ("words", setter(4, source="## The data\n\nThe tiniest example has two rows.")),
    ("words", setter(4, source="## The data\n\nThe origins of the forecasts.")),
    ("words", setter(5, source="results.write_results(table)")),
    ("alt", lambda notebook: notebook.cells[9].metadata.pop("alt")),
    ("alt", lambda notebook: notebook.cells[9].metadata.update(alt="A rising line.")),
    ("alt", two_cells_one_alt),
    ("alt", lambda notebook: notebook.cells[9].outputs.append(notebook.cells[9].outputs[0])),
    ("colours", setter(5, source='plt.plot(loss, color="C3", label="the LSTM")')),
    ("colours", setter(5, source='ax.plot(f, c="#123456", label="forget gate")')),
    ("colours", setter(5, source='ax.plot(loss, label="LSTM, seed 1")')),
    ("colours", setter(5, source='ours = {"LightGBM": "tab:blue"}')),
    ("defined_first", setter(4, source="## The data\n\nIt is read by gates.")),
    ("defined_first", setter(4, source="## The data\n\nA leaky  gate lets it through.")),
    ("defined_first", setter(4, source="## The data\n\nThe tenure of a customer.")),
    ("defined_first", setter(5, source="gate = keras.layers.Gate()")),
    ("defined_first", replacer("A **gate** opens", "A gate opens")),
    ("defined_first", lambda notebook: by_id(notebook, "the-gate").update(id="another")),
    ("hide_input", lambda notebook: notebook.cells[9].metadata.update(tags=[])),
    ("hide_input", setter(5, source=f'print(f"{SENTENCE} {{x0}}")')),
    ("picture_size", output(output_type="display_data", data={"image/png": BIG})),
    ("picture_text", setter(9, source="ax.plot(x)\nax.legend(fontsize=7)\nplt.show()")),
    ("picture_text", lambda notebook: notebook.cells[9].outputs[0].metadata.update(WIDE)),
    ("no_absolute_path", setter(5, source='open("/home/me/shop.csv")')),
    ("no_absolute_path", output(output_type="stream", name="stdout", text="C:\\Users\\me")),
    ("no_absolute_path", setter(5, source='open("C:/Users/me/shop.csv")')),
    ("no_absolute_path", setter(5, source='open("~/shop.csv")')),
    ("no_absolute_path", setter(5, source='open("/content/shop.csv")')),
    ("links", replacer("(#the-data)", "(#the-date)")),
    ("links", replacer("(#the-data)", "(14_none.ipynb)")),
    ("links", replacer("(#the-data)", "(11_data.ipynb#no-such-heading)")),
    ("links", setter(4, source="## The data\n\n![x](https://example.org/x.png)")),
    ("links", setter(4, source='## The data\n\n<script src="x.js"></script>')),
    ("links", setter(4, source="## The data\n\n[x][ref]\n\n[ref]: nowhere.ipynb")),
    ("links", setter(4, source="## The data\n\n![x][ref]\n\n[ref]: https://example.org/x.png")),
    ("links", replacer("(#the-data)", "(../../notebooks)")),
    ("first_import", setter("setup", source="import keras\nfrom ecomlib import setup")),
    ("header", replacer("# 12 · Gates", "# 13 · Gates")),
    ("header", replacer("read 5 min", "read")),
    ("header", replacer("read 5 min", "read 20 min")),
    ("header", replacer("[← 11 · Data]", "[11 · Data]")),
    ("header", replacer("(13_training.ipynb)", "(11_data.ipynb)")),
    ("header", replacer(" · [Solutions]", " | [Solutions]")),
    ("header", replacer("Beginner", "Easy")),
    ("level", replacer("Beginner", "Intermediate")),
    ("level", setter(4, source="## The data\n\nThe slope is $\\partial L / \\partial w$.")),
    ("level", setter(4, source="## The data\n\n**You need** lesson [11](11_data.ipynb).")),
    ("blocks", replacer("## You will learn", "## Learn")),
    ("blocks", replacer("## Takeaways", "## The end")),
    ("blocks", drop_tagged("parameters")),
    ("blocks", drop_tagged("take-with-you")),
    ("blocks", move_quiz_first),
    ("blocks", replacer("## The data", "## Data")),
    ("blocks", replacer("## Baseline", "## Rivals")),
    ("blocks", setter("checks", source="print(1)")),
    ("blocks", setter("checks", source="assert True")),
    ("blocks", setter("checks", source='print("""\nassert N\n""")')),
    ("blocks", setter("checks", metadata={"tags": ["checks", "nbval-skip"], "reason": "it takes long"})),
    ("blocks", lambda notebook: notebook.cells.append(new_markdown_cell("The end."))),
    ("size", lambda notebook: notebook.cells.__delitem__(slice(10, 20))),
    ("size", lambda notebook: [cell.update(source="x = 1\n" * 9) for cell in notebook.cells[5:21]]),
    ("pauses", replacer("**Try** another number.", "Another number.")),
    ("quiz", replacer("**2.** Why?\n\n<details>", "**2.** Why?")),
    ("quiz", replacer("The others forget what was said above. ", "")),
    ("quiz", replacer("**b.** The", "The")),
    ("quiz_letters", replacer("**c.** The", "**b.** The")),
    ("exercises", setter("exercise", outputs=[new_output("stream", text="correct\n")])),
    ("exercises", replacer('check("12.2"', 'check("12.9"')),
    ("exercises", lambda notebook: tagged(notebook, "exercise").metadata.update(tags=[])),
    ("network_exercise", setter(5, source="layer = keras.layers.LSTM(8)")),
    ("network_exercise", setter(5, source="model.fit(task, callbacks=[EpochLog()])")),
    ("wrap_up", setter(4, source="## The data\n\n## Wrap-up quiz")),
    ("wrap_up", setter(5, source='ask("foundations", shop)')),
    ("take_with_you", setter("take-with-you", source="print(N)")),
    ("take_with_you", setter("take-with-you", source="N = 4\nprint(N)")),
    ("take_with_you", setter("take-with-you", source="def double(numbers):\n    return 2 * numbers")),
]


@pytest.mark.parametrize(("rule", "fault"), FAULTS, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(FAULTS)])
def test_a_planted_fault_is_found(rule, fault, folder):
    notebook = make_lesson()
    fault(notebook)
    path = folder / "12_gates.ipynb"
    nbformat.write(notebook, path)
    found = next(each for each in LESSON_RULES if each.__name__ == rule)
    assert found(Lesson(path, folder))


FINE = [
    "The state of the shop is an everyday word.",
    "A gate (lesson 12) comes later; gates do.",  # points onwards once
    "Gates, as lessons 11 to 13 say, and leaky gates, too.",
    "The code `Gate` and $gate$ are no prose, nor is [this](#the-gate).",
    "Gateways are no gates (lesson 12).",
]


@pytest.mark.parametrize("text", FINE)
def test_what_points_onwards_or_is_no_use_is_fine(text, folder):
    notebook = make_lesson()
    setter(4, source=f"## The data\n\n{text}")(notebook)
    path = folder / "12_gates.ipynb"
    nbformat.write(notebook, path)
    assert complaints(path, folder) == set()


def test_a_longer_term_is_not_taken_for_the_shorter_one(folder):
    notebook = make_lesson()
    setter(4, source="## The data\n\nA leaky gate lets it through.")(notebook)
    path = folder / "12_gates.ipynb"
    nbformat.write(notebook, path)
    assert defined_first(Lesson(path, folder)) == ["cell 4 uses 'leaky gate', which lesson 13 defines"]


def test_a_term_that_no_cell_defines_is_found(folder):
    words = folder.parent / "docs" / "words.md"
    words.write_text(WORDS.replace("| 13 |\n| state", "| 12 |\n| state"), encoding="utf-8")
    assert defined_first(Lesson(folder / "12_gates.ipynb", folder)) == ["no cell defines 'leaky gate'"]


def test_a_lesson_without_solution_is_found(folder):
    (folder / "solutions" / "12_gates.ipynb").unlink()
    assert complaints(folder / "12_gates.ipynb", folder) == {"has_solution", "links"}


def test_a_header_without_the_way_to_the_solutions_is_found(folder):
    notebook = make_lesson()
    replacer(" · [Solutions](solutions/12_gates.ipynb)", "")(notebook)
    nbformat.write(notebook, folder / "12_gates.ipynb")
    assert complaints(folder / "12_gates.ipynb", folder) == {"header"}


def test_an_evaluating_lesson_needs_a_model_and_an_evaluation(folder):
    for name, missing in (("12_gates_train", 1), ("12_gates_evaluate", 2)):
        path = folder / f"{name}.ipynb"
        nbformat.write(make_lesson(), path)
        problems = next(rule for rule in LESSON_RULES if rule.__name__ == "blocks")(Lesson(path, folder))
        assert len(problems) == missing


def test_the_last_lesson_of_a_part_needs_its_wrap_up_quiz_without_answers(folder):
    find = next(rule for rule in LESSON_RULES if rule.__name__ == "wrap_up")
    notebook = make_lesson()
    path = folder / "17_gates.ipynb"
    nbformat.write(notebook, path)
    assert len(find(Lesson(path, folder))) == 1
    open_ones = "".join(f"{n}. not yet: a, b or c?\n" for n in range(1, 6))
    quiz = [
        new_markdown_cell("## Wrap-up quiz\n\nFive questions."),
        code('ask("foundations", shop)', ["wrap-up"]),
        code('letters = "....."\nmark("foundations", letters, shop)', ["wrap-up"], open_ones),
    ]
    notebook.cells[-4:-4] = quiz
    nbformat.write(notebook, path)
    assert find(Lesson(path, folder)) == []
    quiz[2].outputs[0].text = open_ones.replace("3. not yet: a, b or c?", "3. correct: so it is.")
    nbformat.write(notebook, path)
    assert len(find(Lesson(path, folder))) == 1


BUILDS = "net = keras.Sequential([keras.layers.LSTM(8)])"
TRAINED = f"def answer(x, y):\n    {BUILDS}\n    net.fit(x, y)"


@pytest.mark.parametrize(
    ("answer", "asks", "kept"),
    [
        (TRAINED, "To beat: the mean of four weeks.", True),
        (TRAINED, "Train it.", False),  # compared with nothing
        (BUILDS, "To beat: the mean of four weeks.", False),  # not trained
        ("model.fit(x, y)", "To beat: the mean of four weeks.", False),  # not built
    ],
)
def test_an_exercise_trains_a_network_if_it_is_built_fitted_and_compared(answer, asks, kept, folder):
    lesson, solution = make_lesson(), make_solution()
    setter(5, source="layer = keras.layers.LSTM(8)")(lesson)
    replacer("### Exercise 2: try", f"### Exercise 2: try\n\n{asks}")(lesson)
    replacer("answer = 2", answer)(solution)
    path = folder / "12_gates.ipynb"
    nbformat.write(lesson, path)
    nbformat.write(solution, folder / "solutions" / "12_gates.ipynb")
    assert ("network_exercise" in complaints(path, folder)) != kept


SOLUTION_FAULTS = [
    setter("solution", outputs=[new_output("stream", text="not yet: no\n")]),
    replacer('check("12.2"', 'check("12.1"'),
    drop_tagged("solution"),
    replacer("(../12_gates.ipynb)", "(../11_data.ipynb)"),
]


@pytest.mark.parametrize(
    "fault", SOLUTION_FAULTS, ids=["not-correct", "other-exercise", "missing", "no-way-back"]
)
def test_a_solution_out_of_step_is_found(fault, folder):
    notebook = make_solution()
    fault(notebook)
    path = folder / "solutions" / "12_gates.ipynb"
    nbformat.write(finish(notebook.cells), path)
    assert complaints(path, folder) == {"solution_in_step"}


def test_a_solution_without_lesson_is_found(folder):
    (folder / "12_gates.ipynb").unlink()
    assert complaints(folder / "solutions" / "12_gates.ipynb", folder) == {"links", "solution_in_step"}


def test_every_rule_has_a_planted_fault():
    planted = {rule for rule, _ in FAULTS} | {"has_solution", "solution_in_step"}
    assert {rule.__name__ for rule in [*LESSON_RULES, *SOLUTION_RULES]} == planted


def test_unbound_knows_what_a_cell_defines():
    assert (
        unbound("import a.b\nfor i in [1]:\n    print(i, a, [j for j in 'x'])\ndef f(k):\n    return k") == []
    )
    assert unbound("print(shop)") == ["shop"]


@pytest.mark.parametrize("lesson", [x for x in find_lessons() if not x.is_solution], ids=lambda x: x.name)
def test_each_lesson_ends_with_how_to_free_the_memory(lesson):
    last = [cell.source for cell in lesson.notebook.cells if cell.cell_type == "markdown"][-1]
    assert "*Kernel, Shut Down Kernel*" in last
