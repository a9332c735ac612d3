"""The check of the machine names each problem and how to fix it; the report fits on one line."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tools import doctor

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_this_machine_is_ready():
    answers = doctor.ask()
    assert {name: text for name, (fine, text) in answers.items() if not fine} == {}


def test_each_problem_is_named_with_its_fix(monkeypatch, capsys):
    def fails():
        raise doctor.NotReady("no data: get some")

    def breaks():
        raise RuntimeError("odd")

    monkeypatch.setattr(doctor, "QUESTIONS", {"memory": lambda: "8 GB", "data": fails, "kernel": breaks})
    assert doctor.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ok", "memory", "8", "GB"]
    assert lines[1].split(maxsplit=2) == ["FAIL", "data", "no data: get some."]
    assert lines[2].split(maxsplit=2)[2].startswith("RuntimeError: odd. Try this:")
    assert lines[3].startswith("2 of 3 to fix")
    assert doctor.main(["--quick"]) == 1
    assert "kernel" not in capsys.readouterr().out


def test_the_report_is_one_line_without_names_of_persons(monkeypatch, capsys):
    def fails():
        raise doctor.NotReady(f"{Path.home()}/x is\nnot {ROOT}: get some")

    questions = {"Python": lambda: "Python 3.12.1 on Linux x86_64", "memory": lambda: "8 GB", "kernel": fails}
    questions |= {"disk": lambda: "9 GB free", "packages": lambda: "195 as in requirements.lock"}
    monkeypatch.setattr(doctor, "QUESTIONS", questions)
    assert doctor.main(["--report"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert (
        line.startswith("course ") and "NOT READY | Python 3.12.1 on Linux x86_64 | 8 GB | 9 GB free" in line
    )
    assert line.endswith("FAIL kernel: ~/x is not (the course): get some.")
    monkeypatch.setattr(doctor, "QUESTIONS", {name: lambda: "fine" for name in questions})
    assert doctor.main(["--report"]) == 0
    assert " | ready | fine" in capsys.readouterr().out


def test_the_report_takes_no_longer_name_for_the_course(monkeypatch, capsys):
    def fails():
        raise doctor.NotReady(f"{ROOT}home/x is not {Path.home()}")

    monkeypatch.setattr(doctor, "QUESTIONS", dict.fromkeys(["Python", "memory", "disk", "packages"], fails))
    assert doctor.main(["--report"]) == 1
    assert f"FAIL Python: {ROOT}home/x is not ~" in capsys.readouterr().out


def test_memory_is_measured_against_the_lessons(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "COSTS", tmp_path / "lessons.csv")
    doctor.COSTS.write_text(
        "lesson,minutes,cpu_seconds,peak_mb\n11_a,1,9,900\n33_b,1,9,3100\nsolutions/32_c,1,9,2900\n"
    )
    monkeypatch.setattr(doctor, "memory_gb", lambda: (2.0, 1.0))
    with pytest.raises(doctor.NotReady, match=r"2\.0 GB of memory"):
        doctor.memory()
    monkeypatch.setattr(doctor, "memory_gb", lambda: (8.0, 1.0))
    assert doctor.memory().endswith("lessons need up to 3.1 GB; close other programs before a long lesson")
    monkeypatch.setattr(doctor, "memory_gb", lambda: (4.0, 3.0))
    assert doctor.memory().endswith("lessons need up to 3.1 GB; too little for lesson 32, 33")


def test_a_full_disk_and_a_changed_package_are_seen(monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=10**8))
    with pytest.raises(doctor.NotReady, match="free some space"):
        doctor.disk()
    lock = tmp_path / "lock"
    lock.write_text(f"numpy==0.1 \\\n    --hash=x\nabsent-package==1\npandas=={version('pandas')}\n")
    monkeypatch.setattr(doctor, "LOCK", lock)
    with pytest.raises(
        doctor.NotReady, match=r"numpy \S+ instead of 0\.1, absent-package missing instead of 1"
    ):
        doctor.packages()


def test_another_package_with_the_name_ecomlib_is_seen(monkeypatch, tmp_path):
    """The name ecomlib on PyPI belongs to an unrelated project: do not take that for the course."""
    info = tmp_path / "ecomlib-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ecomlib\nVersion: 1.0.0\n")
    assert "ecomlib is" in doctor.project()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(doctor.NotReady, match="unrelated package from PyPI"):
        doctor.project()


@pytest.mark.parametrize(
    ("program", "fix"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "AVX"),
        ("raise ImportError('DLL load failed while importing')", "Redistributable"),
        (
            "raise ValueError('other')",
            "ValueError: other.*: delete the folder|ValueError: other.*: in this environment",
        ),
        (
            "assert False, 'Keras uses another backend: unset KERAS_BACKEND'",
            "unset KERAS_BACKEND.*reason in brackets",
        ),
    ],
)
def test_a_tensorflow_that_does_not_compute_is_explained(program, fix, monkeypatch):
    monkeypatch.setattr(doctor, "TENSORFLOW", program)
    with pytest.raises(doctor.NotReady, match=fix):
        doctor.tensorflow()


@pytest.mark.slow
def test_keras_settings_of_the_reader_are_found_outside_course_py(monkeypatch, tmp_path):
    """Conda users start without course.py: their own settings reach Keras."""
    (tmp_path / "keras.json").write_text(json.dumps({"floatx": "float64"}))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(doctor.NotReady, match="floatx is not float32"):
        doctor.tensorflow()


def test_the_check_starts_without_any_package():
    """It has to be able to say what is missing: nothing outside the standard library at the top."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from tools import doctor, install; print('fine')"
    found = subprocess.run([sys.executable, "-S", "-c", code, str(ROOT)], capture_output=True, text=True)
    assert found.stdout.strip() == "fine", found.stderr
