"""Running, testing and measuring notebooks; a stick for another machine; a lesson as it came; progress."""

import base64
import csv
import io
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from packaging.markers import Marker
from packaging.tags import parse_tag
from packaging.utils import canonicalize_name
from PIL import Image

from tools import download, install, learner, notebooks

ROOT = Path(__file__).resolve().parents[1]
LIMIT_MB = 2000
CPU_MINUTES = 50


# --------------------------------------------------------------------------------------------------
# What the lessons cost (benchmarks/results/lessons.csv, by `python course.py run --measure`)
# --------------------------------------------------------------------------------------------------
def test_every_notebook_has_been_measured():
    assert list(notebooks.read_table()) == [notebooks.name_of(path) for path in notebooks.find()]


def test_no_lesson_needs_more_memory_than_a_small_machine_has():
    larger = {name for name, cost in notebooks.read_table().items() if cost.peak_mb > LIMIT_MB}
    assert not larger, f"over {LIMIT_MB} MB: {larger}"


def test_all_notebooks_together_stay_within_their_processor_time():
    spent = sum(cost.cpu_seconds for cost in notebooks.read_table().values()) / 60
    assert spent <= CPU_MINUTES, f"{spent:.1f} minutes"


# --------------------------------------------------------------------------------------------------
# Notebooks
# --------------------------------------------------------------------------------------------------
def save(path: Path, *cells) -> Path:
    """Write a notebook of a few code cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = new_notebook(cells=[new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells])
    nbformat.write(notebook, path)
    return path


def test_a_number_picks_the_lesson_and_its_solution(tmp_path):
    for name in ("21_a", "22_b", "solutions/21_a", "21_a_mine", "21_a_2_mine"):
        save(tmp_path / f"{name}.ipynb")
    (tmp_path / "solutions" / "notes.txt").touch()
    names = [notebooks.name_of(path) for path in notebooks.find(["21"], tmp_path)]
    assert names == ["21_a", "solutions/21_a"]
    assert len(notebooks.find([], tmp_path)) == len(notebooks.find(["2"], tmp_path)) == 3
    with pytest.raises(ValueError, match=r"no notebook '99'\. There are: 21, 22\."):
        notebooks.find(["99"], tmp_path)


def test_an_unknown_lesson_is_one_sentence(capsys):
    for command in (["run", "99"], ["test", "99"]):
        assert notebooks.main(command) == 2
        assert "There is no notebook '99'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_refreshes_outputs_and_measures_kernel_and_children(tmp_path):
    child = "import numpy as np, time; big = np.ones(40_000_000); time.sleep(0.6)"
    path = save(
        tmp_path / "11_a.ipynb",
        "import subprocess, sys, time\nwhile time.process_time() < 2: pass",
        f"subprocess.run([sys.executable, '-c', {child!r}]).returncode",
    )
    run = notebooks.execute(path)
    assert run.problem == "" and 1 <= run.cpu_seconds < 20
    assert 350 < run.peak_mb < 900, "320 MB of the child and some of the kernel"
    written = nbformat.read(path, as_version=4)
    assert written.cells[1].outputs[0]["data"]["text/plain"] == "0"
    assert "execution" not in written.cells[0].metadata and "version" not in written.metadata.language_info
    assert path.read_bytes().endswith(b"}\n") and not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_a_picture_is_sharp_and_small(tmp_path):
    """Twice the pixels of its width on a page, in few colours, and the colours of thin lines stay."""
    setup = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nimport ecomlib\necomlib.setup()"
    draw = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2], color='#d55e00', linewidth=1)\nplt.show()"
    path = save(tmp_path / "11_a.ipynb", setup, draw)
    assert notebooks.execute(path).problem == ""
    output = nbformat.read(path, as_version=4).cells[1].outputs[0]
    png = base64.b64decode(output["data"]["image/png"])
    image, shown = Image.open(io.BytesIO(png)), output["metadata"]["image/png"]
    assert image.width == pytest.approx(2 * shown["width"], abs=1) and shown["width"] > 300
    assert image.height == pytest.approx(2 * shown["height"], abs=1)
    colours = np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0).astype(int)
    assert len(colours) <= notebooks.COLOURS and len(png) < 20_000
    assert abs(colours - (213, 94, 0)).max(axis=1).min() < 12


@pytest.mark.slow
def test_a_notebook_that_fails_is_left_as_it_was(tmp_path):
    path = save(tmp_path / "11_a.ipynb", "print(1)", "1 / 0")
    before = path.read_bytes()
    run = notebooks.execute(path)
    assert "ZeroDivisionError" in run.problem and "\x1b" not in run.problem
    assert path.read_bytes() == before


def test_what_processes_share_counts_once():
    linux = [SimpleNamespace(rss=rss, shared=shared) for rss, shared in ((900, 400), (700, 390), (100, 60))]
    assert notebooks.resident(linux) == 500 + 310 + 40 + 400
    elsewhere = [SimpleNamespace(rss=900), SimpleNamespace(rss=700)]
    assert notebooks.resident(elsewhere) == 1600 and notebooks.resident([]) == 0


@pytest.fixture
def nobody_has_scale(monkeypatch):
    monkeypatch.setattr(notebooks, "OPTIONAL", {"scale": "a_package_that_nobody_has"})


NEEDS = new_code_cell("import a_package_that_nobody_has", metadata={"tags": ["needs-scale"]})


def test_a_lesson_without_its_packages_runs_up_to_the_cell_that_needs_them(
    tmp_path, nobody_has_scale, capsys
):
    path = save(tmp_path / "56_a.ipynb", "open('ran', 'w').close()", NEEDS, "1 / 0")
    before = path.read_bytes()
    run = notebooks.execute(path)
    assert run.problem == "" and (tmp_path / "ran").exists() and path.read_bytes() == before
    assert "56_a" in run.skipped and "from cell 1 on" in run.skipped and "--group scale" in run.skipped
    options = notebooks.argparse.Namespace(measure=True, jobs=1, dry=False)
    assert notebooks.run(options, [path]) == 0 and "skipped" in capsys.readouterr().out
    assert "56_a" not in notebooks.read_table(), "what was not whole is not measured"


def test_what_is_installed_is_not_skipped(monkeypatch):
    monkeypatch.setattr(notebooks, "OPTIONAL", {"scale": "numpy"})
    assert notebooks.first_without([NEEDS]) is None


def test_tests_of_a_lesson_without_its_packages_are_skipped_from_there(nobody_has_scale):
    import conftest

    found = []

    class Item:
        def __init__(self, cell):
            self.cell, self.path, self.marks = cell, Path("notebooks/56_a.ipynb"), []
            found.append(self)

        def add_marker(self, mark):
            self.marks.append(mark.kwargs["reason"])

    cells = [Item(cell) for cell in (new_code_cell("1"), NEEDS, new_code_cell("2"))]
    conftest.pytest_collection_modifyitems(found)
    assert [len(item.marks) for item in cells] == [0, 1, 1]
    assert "56_a.ipynb" in cells[2].marks[0] and "setup --group scale" in cells[2].marks[0]


def test_the_table_keeps_what_was_not_measured_again_and_drops_what_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "TABLE", tmp_path / "lessons.csv")
    paths = [Path("notebooks/11_a.ipynb"), Path("notebooks/solutions/11_a.ipynb")]
    monkeypatch.setattr(notebooks, "find", lambda: paths)
    notebooks.write_table([notebooks.Run(name, 1.004, 30.4, 900.6) for name in ("11_a", "10_gone")])
    notebooks.write_table([notebooks.Run("solutions/11_a", 2, 5, 700)])
    with notebooks.TABLE.open() as file:
        assert list(csv.reader(file)) == [
            ["lesson", "minutes", "cpu_seconds", "peak_mb"],
            ["11_a", "1.00", "30", "901"],
            ["solutions/11_a", "2.00", "5", "700"],
        ]


@pytest.mark.slow
def test_a_notebook_stays_in_one_process_and_long_ones_come_first(tmp_path):
    """As `course.py test` does: two workers, whole notebooks, the order of lessons.csv, a closing table."""
    for folder in ("tests", "tools", "benchmarks/results"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("tests/conftest.py", "tools/__init__.py", "tools/notebooks.py", "tools/doctor.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-p no:cacheprovider'\n")
    output = [new_output("stream", text="2\n")]
    for number in ("11", "12", "13"):
        cells = [
            new_code_cell("x = 1"),
            new_code_cell("x += 1"),
            new_code_cell("print(x)", outputs=output, execution_count=3),
        ]
        save(tmp_path / "notebooks" / f"{number}_a.ipynb", *cells[: 2 if number == "12" else 3])
    wrong = new_code_cell("print(1)", outputs=output, execution_count=1)
    save(tmp_path / "notebooks" / "14_wrong.ipynb", wrong)
    costs = "lesson,minutes,cpu_seconds,peak_mb\n11_a,1,1,1\n12_a,9,1,1\n13_a,2,1,1\n"
    (tmp_path / "benchmarks" / "results" / "lessons.csv").write_text(costs)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "--no-loadscope-reorder",
    ]
    found = subprocess.run(
        [*command, "--nbval", "--nbval-current-env", "notebooks", "tests"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    ran = re.findall(r"\[(gw\d)\].* (?:PASSED|FAILED) notebooks/(\d\d)_", found.stdout)
    workers = {number: {worker for worker, cell in ran if cell == number} for _, number in ran}
    assert {number: len(who) for number, who in workers.items()} == {"11": 1, "12": 1, "13": 1, "14": 1}, (
        found.stdout
    )
    assert workers["12"] != workers["13"], "the two longest start first, one in each process"
    table = re.findall(r"^(\S+) +(\d+\.\d\d)  (ok|FAILED)$", found.stdout, re.M)
    assert [(name, result) for name, _, result in table] == [
        ("11_a", "ok"),
        ("12_a", "ok"),
        ("13_a", "ok"),
        ("14_wrong", "FAILED"),
    ]
    assert found.returncode == 1


# --------------------------------------------------------------------------------------------------
# A stick for another machine
# --------------------------------------------------------------------------------------------------
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_every_entry_of_the_lock_is_read():
    assert len(download.ENTRY.findall(LOCK)) == len(re.findall(r"^[\w.-]+==", LOCK, re.M))


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("system", download.SYSTEMS)
def test_the_markers_are_those_of_the_target(system, python):
    text = download.wanted(LOCK, system, python)
    names = [canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", text, re.M)]
    assert len(names) == len(set(names)) > 150 and ";" not in text
    assert ("tensorflow-cpu" in names) == (system == "linux") != ("tensorflow" in names)
    assert ("colorama" in names) == ("pywinpty" in names) == (system == "windows") != ("pexpect" in names)
    assert ("appnope" in names) == (system == "macos-arm64") and "uv" in names and "pip" in names


def test_the_target_of_this_machine_gives_what_is_installed_here():
    here = {"linux": "linux", "darwin": "macos-arm64", "win32": "windows"}[sys.platform]
    text = download.wanted(LOCK, here, f"{sys.version_info[0]}.{sys.version_info[1]}")
    mine = [pin for pin, marker, _ in download.ENTRY.findall(LOCK) if not marker or Marker(marker).evaluate()]
    assert re.findall(r"^([\w.-]+==\S+)", text, re.M) == mine


def test_platform_tags_are_real_ones():
    for system in download.SYSTEMS:
        for tag in download.platforms(system):
            (parsed,) = parse_tag(f"cp312-cp312-{tag}")
            assert parsed.platform == tag
    assert "manylinux_2_28_x86_64" in download.platforms("linux")
    assert "macosx_11_0_arm64" in download.platforms("macos-arm64")


@pytest.mark.parametrize("target", [["--for", "amiga", "3.12"], ["--for", "windows", "3.9"]])
def test_an_unknown_target_is_one_sentence(target, capsys):
    assert download.main(target) == 2
    assert "--for SYSTEM VERSION: windows, macos-arm64, linux, linux-arm64" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------
# A lesson as it came; progress
# --------------------------------------------------------------------------------------------------
def exercise(name: str, *said: str):
    """Return a cell of an exercise and what its check printed."""
    return new_code_cell(
        f'check("{name}", answer)', outputs=[new_output("stream", text=text) for text in said]
    )


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A course without git, with two lessons, at its first start."""
    for module in (learner, install):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    folder = tmp_path / "notebooks"
    monkeypatch.setattr(learner, "NOTEBOOKS", folder)
    monkeypatch.setattr(learner, "find", lambda prefixes=(): notebooks.find(prefixes, folder))
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.0.0"\n')
    save(folder / "11_a.ipynb", exercise("11.1", "not yet: x\n"), exercise("11.2", "not yet: x\n"))
    save(folder / "12_b.ipynb", exercise("12.1", "not yet: x\n"))
    save(folder / "solutions" / "11_a.ipynb", exercise("11.1", "correct\n"))
    install.pack_lessons()
    return folder


def test_a_lesson_comes_back_and_the_learners_copy_is_kept(desk, capsys):
    lesson = desk / "11_a.ipynb"
    came = lesson.read_bytes()
    assert learner.main(["reset", "11"]) == 0 and "is as it came." in capsys.readouterr().out
    for kept in ("11_a_mine.ipynb", "11_a_2_mine.ipynb"):
        save(lesson, "mine = 1")
        mine = lesson.read_bytes()
        install.pack_lessons()  # a later start does not take a changed lesson for the one that came
        assert learner.main(["reset", "11"]) == 0
        assert lesson.read_bytes() == came and (desk / kept).read_bytes() == mine
        assert kept in capsys.readouterr().out
    assert learner.main(["reset", "77"]) == 2 and "There is no notebook '77'" in capsys.readouterr().err


def test_a_new_version_of_the_course_is_packed_again(desk):
    (desk.parent / "pyproject.toml").write_text('[project]\nversion = "1.1.0"\n')
    save(desk / "11_a.ipynb", "new = 1")
    with zipfile.ZipFile(install.pack_lessons()) as archive:
        assert archive.read("11_a.ipynb") == (desk / "11_a.ipynb").read_bytes()


def test_in_a_clone_git_has_the_lesson_as_it_came(desk):
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a commit -qm a"):
        subprocess.run(["git", *command.split()], cwd=desk.parent, check=True)
    came = (desk / "11_a.ipynb").read_bytes()
    install.pack_lessons().unlink()
    save(desk / "11_a.ipynb", "mine = 1")
    assert learner.main(["reset", "11"]) == 0
    assert (desk / "11_a.ipynb").read_bytes() == came


def test_progress_is_read_from_the_learners_notebooks(desk, capsys):
    save(
        desk / "11_a.ipynb", exercise("11.1", "correct\n"), exercise("11.2", "not yet: this is not correct\n")
    )
    assert learner.progress() == {"11_a": {"11.1": True, "11.2": False}, "12_b": {"12.1": False}}
    assert learner.main(["reset", "11"]) == 0
    assert learner.progress()["11_a"] == {"11.1": True, "11.2": False}, "the kept copy counts"
    capsys.readouterr()
    assert learner.main(["progress", "--certificate", "Ada <L>"]) == 0
    assert "1 of 3 exercises solved" in capsys.readouterr().out
    page = (desk.parent / "build" / "certificate.html").read_text(encoding="utf-8")
    assert "Ada &lt;L&gt;" in page and "solved 1 of 3 exercises" in page and "11_a: 1 of 2" in page
    assert "12_b" not in page and "://" not in page
