"""Set-up as a learner meets it: real small installations by uv, from wheels made here, without a network."""

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import course
from tools import install

ROOT = Path(__file__).resolve().parents[1]
UV = install.program(Path(sys.prefix), "uv")
NOWHERE = "http://127.0.0.1:9/simple"  # no server listens there
posix = pytest.mark.skipif(os.name == "nt", reason="a shell script stands for uv")


def wheel(folder: Path, name: str, tag: str = "py3-none-any", files: dict[str, str] | None = None) -> str:
    """Write version 1 of a package as a wheel; return its entry for a lock."""
    info = f"{name}-1.dist-info"
    files = {f"{name}.py": "WHO = 'installed'\n\n\ndef main():\n    pass\n"} if files is None else files
    files |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-says = {name}:main\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(inside, text)
            archive.getinfo(inside).external_attr = 0o100755 << 16  # a program
    return f"{name}==1 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Home:
    """A copy of the course with a lock of one tiny package."""

    def __init__(self, folder: Path):
        self.folder, self.wheels = folder, folder / "wheels"
        (folder / "tools").mkdir(parents=True)
        (folder / "ecomlib").mkdir()
        (folder / "ecomlib" / "__init__.py").touch()
        for name in ("course.py", "pyproject.toml", "tools/__init__.py", "tools/install.py"):
            shutil.copy(ROOT / name, folder / name)
        (folder / "requirements.lock").write_text(wheel(self.wheels, "tiny"))

    def command(self, *arguments: str, path: Path = UV.parent, **env: str) -> subprocess.CompletedProcess:
        """Run a command of the course, with a uv on the PATH and no network."""
        env = self.environment(path, **env)
        command = [sys.executable, str(self.folder / "course.py"), *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, encoding="utf-8")

    def environment(self, path: Path = UV.parent, **env: str) -> dict[str, str]:
        """Return the environment of a machine without a network."""
        keep = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PIP_", "UV_", "PYTHON"))
        }
        keep |= {
            "PATH": f"{path}{os.pathsep}{os.environ['PATH']}",
            "UV_CACHE_DIR": str(self.folder / "cache"),
        }
        keep |= {
            "PIP_INDEX_URL": NOWHERE,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "0",
            "UV_HTTP_RETRIES": "0",
        }
        return {**keep, "PYTHONUTF8": "1", **env}

    def says(self, code: str = "import tiny; print(tiny.WHO)") -> str:
        """Return what a program prints with the course's Python, started elsewhere."""
        python = install.program(self.folder / ".venv", "python")
        return subprocess.run(
            [python, "-c", code], cwd=self.folder.parent, capture_output=True, text=True
        ).stdout.strip()

    def leftovers(self) -> list[str]:
        """Folders of unfinished set-ups."""
        return [path.name for path in self.folder.glob(".venv-*")]


@pytest.fixture
def home(tmp_path) -> Home:
    """A course in a folder whose name is hard: spaces, umlauts, brackets, Chinese."""
    return Home(tmp_path / "Mein Kurs (für [alle]) 课程")


def fake_uv(folder: Path, script: str) -> Path:
    """Put a uv of our own on the PATH: a shell script, in which $UV is the true one."""
    folder.mkdir()
    (folder / "uv").write_text(f"#!/bin/sh\nUV='{UV}'\n{script}\n")
    (folder / "uv").chmod(0o755)
    return folder


# --------------------------------------------------------------------------------------------------
# Set-up
# --------------------------------------------------------------------------------------------------
def test_a_set_up_installs_the_lock_once_and_survives_a_move(home):
    first = home.command("setup")
    assert first.returncode == 0, first.stderr
    assert "Set-up finished" in first.stdout and home.says() == "installed"
    assert home.says("import ecomlib; print(ecomlib.__file__)").startswith(str(home.folder))
    second = home.command("setup")
    assert "Set-up finished" not in second.stdout and not home.leftovers()
    home.folder = home.folder.rename(home.folder.with_name("moved"))
    assert home.says("import ecomlib; print(ecomlib.__file__)").startswith(str(home.folder))
    script = install.program(home.folder / ".venv", "tiny-says")
    assert subprocess.run([script]).returncode == 0, "scripts find their Python after a move"
    assert "Set-up finished" not in home.command("setup").stdout


@pytest.mark.slow
def test_windows_line_ends_change_nothing(home):
    assert home.command("setup").returncode == 0
    for name in ("course.py", "requirements.lock", "tools/install.py"):
        path = home.folder / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert "Set-up finished" not in home.command("setup").stdout
    shutil.rmtree(home.folder / ".venv")
    assert home.command("setup").returncode == 0 and home.says() == "installed"


def test_a_deep_folder_is_no_problem_here(tmp_path):
    deep = Home(tmp_path.joinpath(*["a folder with a long name"] * 6))
    assert deep.command("setup").returncode == 0 and deep.says() == "installed"


def test_an_unrelated_package_of_the_same_name_is_never_imported(home):
    (home.folder / "requirements.lock").write_text(wheel(home.wheels, "ecomlib"))
    assert home.command("setup").returncode == 0
    assert home.says("import ecomlib; print(ecomlib.__file__)").startswith(str(home.folder / "ecomlib"))


@pytest.mark.slow
@pytest.mark.parametrize("state", ["a file", "an empty folder", "no interpreter", "a cut-off stamp"])
def test_no_partial_environment_is_trusted(home, state):
    venv = home.folder / ".venv"
    if state == "a file":
        venv.write_text("")
    else:
        venv.mkdir()
    if state == "no interpreter":
        (venv / install.STAMP).write_text("x")
    if state == "a cut-off stamp":
        assert home.command("setup").returncode == 0
        stamp = venv / install.STAMP
        stamp.write_text(stamp.read_text()[:30])
    assert "Set-up finished" in home.command("setup").stdout
    assert home.says() == "installed"


@posix
@pytest.mark.slow
def test_a_killed_set_up_leaves_the_old_environment_and_its_rest_goes_away(home, tmp_path):
    assert home.command("setup").returncode == 0
    (home.folder / "requirements.lock").write_text(wheel(home.wheels, "other"))
    slow = fake_uv(tmp_path / "slow", 'case "$1" in pip) sleep 3;; esac\nexec "$UV" "$@"')
    command = [sys.executable, str(home.folder / "course.py"), "setup"]
    process = subprocess.Popen(command, env=home.environment(slow), stdout=subprocess.DEVNULL)
    while not home.leftovers():
        time.sleep(0.05)
    time.sleep(0.7)
    process.kill()
    process.wait()
    assert home.says() == "installed", "an update that was killed touches nothing"
    (left,) = home.leftovers()
    os.utime(home.folder / left, (0, 0))
    assert home.command("setup").returncode == 0
    assert home.says("import other; print(other.WHO)") == "installed" and home.says() == ""
    assert not home.leftovers()


@posix
def test_a_set_up_that_is_asked_to_stop_stops_what_it_started(home, tmp_path):
    slow = fake_uv(tmp_path / "slow", 'case "$1" in pip) exec sleep 30;; esac\nexec "$UV" "$@"')
    command = [sys.executable, str(home.folder / "course.py"), "setup"]
    process = subprocess.Popen(command, env=home.environment(slow), stderr=subprocess.PIPE, text=True)
    while not list(home.folder.glob(".venv-*/env/pyvenv.cfg")):
        time.sleep(0.05)
    time.sleep(0.5)
    process.terminate()
    assert "Start the same command again" in process.communicate(timeout=10)[1]
    assert process.returncode == 130 and not home.leftovers() and not (home.folder / ".venv").exists()


@pytest.mark.slow
def test_two_set_ups_at_once_both_end_well(home):
    command = [sys.executable, str(home.folder / "course.py"), "setup"]
    both = [subprocess.Popen(command, env=home.environment(), stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert home.says() == "installed" and not home.leftovers()


@pytest.mark.slow
def test_a_new_lock_takes_the_place_of_the_old_one_and_a_failing_one_does_not(home):
    assert home.command("setup").returncode == 0
    lock = home.folder / "requirements.lock"
    whole = lock.read_text()
    lock.write_text(whole + "absent==2 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    found = home.command("setup")
    assert found.returncode == 2 and home.says() == "installed" and not home.leftovers()
    assert "it has no absent 2" in found.stderr and "No package index can be reached" in found.stderr
    assert "Traceback" not in found.stderr
    lock.write_text(whole)
    assert "Set-up finished" not in home.command("setup").stdout, "back to the old lock: nothing to fetch"


def test_a_changed_file_is_refused(home):
    text = (home.folder / "requirements.lock").read_text()
    (home.folder / "requirements.lock").write_text(re.sub("sha256:.{64}", "sha256:" + "0" * 64, text))
    found = home.command("setup")
    assert found.returncode == 2 and not (home.folder / ".venv").exists()
    assert "not the one the course was made with" in found.stderr


def test_wheels_of_another_python_are_named(home):
    for path in home.wheels.iterdir():
        path.unlink()
    (home.folder / "requirements.lock").write_text(wheel(home.wheels, "tiny", "cp310-cp310-win_amd64"))
    found = home.command("setup")
    assert found.returncode == 2
    here = ".".join(map(str, sys.version_info[:3]))
    assert re.search(
        rf"wheels/ does not fit: it has no tiny 1 for Python {here} on \w+ \w+; "
        "tiny-1-cp310-cp310-win_amd64.whl was made for Python 3.10 on win_amd64",
        found.stderr,
    )


@pytest.mark.slow
def test_a_group_has_a_lock_of_its_own_and_stays(home):
    (home.folder / "requirements-extra.lock").write_text(wheel(home.wheels, "extra"))
    assert home.command("setup").returncode == 0
    assert home.says("import extra; print(extra.WHO)") == ""
    assert home.command("setup", "--group", "extra").returncode == 0
    assert home.says("import extra, tiny; print(extra.WHO, tiny.WHO)") == "installed installed"
    assert "Set-up finished" not in home.command("setup").stdout
    lock = home.folder / "requirements.lock"
    lock.write_text(lock.read_text() + wheel(home.wheels, "third"))
    assert home.command("setup").returncode == 0
    assert home.says("import extra, third; print(extra.WHO, third.WHO)") == "installed installed"
    found = home.command("setup", "--group", "extr")
    assert found.returncode == 2 and "There is no group 'extr'. There are: extra." in found.stderr


@pytest.mark.parametrize(("ci", "found"), [("", "no"), ("true", "yes")])
def test_in_ci_the_tests_install_the_groups_that_lessons_need(home, ci, found):
    (home.folder / "requirements-scale.lock").write_text(wheel(home.wheels, "extra"))
    home.command("test", CI=ci)  # there is nothing to test in this home
    code = "from importlib.util import find_spec; print('yes' if find_spec('extra') else 'no')"
    assert home.says(code) == found


@pytest.mark.slow
@posix
@pytest.mark.parametrize("tampered", [False, True])
def test_without_uv_pip_brings_the_locked_one_from_wheels(home, tmp_path, tampered):
    script = f"#!/bin/sh\nexec '{UV}' \"$@\"\n"
    entry = wheel(home.wheels, "uv", files={"uv-1.data/scripts/uv": script})
    if tampered:
        entry = re.sub("sha256:.{64}", "sha256:" + "0" * 64, entry)
    lock = home.folder / "requirements.lock"
    lock.write_text(lock.read_text() + entry)
    none = tmp_path / "none"
    none.mkdir()
    found = home.command("setup", PATH=str(none))
    if tampered:
        assert found.returncode == 2 and "not the one the course was made with" in found.stderr
    else:
        assert found.returncode == 0, found.stderr
        assert "fetching uv: done" in found.stdout and home.says() == "installed"


def test_an_old_uv_of_the_machine_is_not_used(tmp_path, monkeypatch):
    old = fake_uv(tmp_path / "old", "echo uv 0.1.2")
    monkeypatch.setenv("PATH", str(old))
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(install.SetupError, match="no module 'ensurepip'.*apt install"):
        install.find_uv(tmp_path, [], {})


# --------------------------------------------------------------------------------------------------
# One sentence for everything that can go wrong
# --------------------------------------------------------------------------------------------------
def test_an_old_python_a_new_python_and_an_intel_mac_are_turned_away():
    assert re.search(
        r"needs Python 3\.11 to 3\.13, but this is Python 3\.9", course.unfit((3, 9), "Linux", "x86_64")
    )
    assert "this is Python 3.14" in course.unfit((3, 14), "Linux", "x86_64")
    assert "Intel" in course.unfit((3, 12), "Darwin", "x86_64")
    assert course.unfit((3, 12), "Darwin", "arm64") == ""


def test_an_old_python_can_read_course_py():
    """Python 3.6 and later read all of it; an older one stops at the line that says why."""
    text = (ROOT / "course.py").read_text(encoding="utf-8")
    ast.parse(text, feature_version=(3, 6))
    first = next(line for line in text.splitlines() if re.search(r"""\bf["']""", line))
    assert first.startswith("WANTED") and "IS THIS LINE AN ERROR?" in first
    assert len(text.splitlines()) <= 250


def test_a_full_disk_and_a_folder_that_cannot_be_written_to_are_found_first(home, monkeypatch, capsys):
    monkeypatch.setattr(install, "ROOT", home.folder)
    usage = shutil.disk_usage(home.folder)
    monkeypatch.setattr(install.shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    assert course.main(["setup"]) == 2
    assert "needs 3.5 GB of free disk, and there are 1.0 GB" in capsys.readouterr().err
    monkeypatch.setattr(install.os, "access", lambda path, mode: False)
    for command in ("setup", "test", "download", "open", "check"):
        assert course.main([command]) == 2
        assert "cannot be written to: copy the course" in capsys.readouterr().err
    assert not (home.folder / ".venv").exists() and not home.leftovers()


FAILURES = {
    "NewConnectionError: [Errno -3] Temporary failure in name resolution": "No package index can be reached",
    "error: Failed to fetch: dns error": "No package index can be reached",
    "OSError: [Errno 28] No space left on device": "The disk is full",
    "Disk quota exceeded (os error 122)": "The disk is full",
    "DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE": "not the one the course was made with",
    "ERROR: No matching distribution found for tensorflow==2.21.0": "has no file for this system",
    "SSLError: CERTIFICATE_VERIFY_FAILED": "this network replaces certificates",
    "invalid peer certificate: UnknownIssuer": "this network replaces certificates",
    "407 Proxy Authentication Required": "The proxy refused",
    "Missing dependencies for SOCKS support": "The proxy refused",
    "PermissionError: [WinError 32] The process cannot access the file": "Another program holds a file open",
    "Read-only file system (os error 30)": "may not be written to",
    "The filename or extension is too long. (os error 206)": "too long for Windows",
    "something else": "See its output below",
}


@pytest.mark.parametrize("output", FAILURES)
def test_a_failed_step_is_explained(output, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(install, "ROOT", tmp_path)
    program = [sys.executable, "-c", f"import sys; print({output!r}); sys.exit(1)"]
    with pytest.raises(install.SetupError) as raised:
        install.step(tmp_path, "installing", program, dict(os.environ))
    assert FAILURES[output] in str(raised.value) and output in str(raised.value)
    assert "installing: failed" in capsys.readouterr().out
    assert output in (tmp_path / "build" / "setup.log").read_text()


def test_a_long_step_shows_that_it_is_alive(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(install, "SILENCE", 0.2)
    program = "import time; print('Downloading tiny (2.0MiB)', flush=True); time.sleep(1)"
    install.step(tmp_path, "fetching", [sys.executable, "-c", program], dict(os.environ))
    out = capsys.readouterr().out
    assert "    Downloading tiny (2.0MiB)" in out and re.search(r"^    \.\.\. [01] s$", out, re.M)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["tset"], "Did you mean 'test'"),
        (["fly"], "There is no command 'fly'"),
        (["setup", "--grup", "x"], "setup --group NAME"),
    ],
)
def test_unknown_words_are_refused_politely(arguments, answer, capsys):
    assert course.main(arguments) == 2
    error = capsys.readouterr().err
    assert answer in error and "Traceback" not in error


def test_help_needs_no_set_up(capsys, monkeypatch):
    monkeypatch.setattr(install, "setup", lambda groups=(): pytest.fail("no set-up for help"))
    for arguments in (["--help"], ["test", "--help"]):
        assert course.main(arguments) == 0
        assert all(f"python course.py {name}" in capsys.readouterr().out for name in ["download"])
    assert set(course.MODULES) | {"open", "setup"} == set(course.COMMANDS)


# --------------------------------------------------------------------------------------------------
# What reaches pip, uv and the lessons
# --------------------------------------------------------------------------------------------------
def test_pip_and_uv_get_the_network_settings_and_nothing_else(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "SSL_", "HTTPS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONSTRAINT", "other.txt")
    monkeypatch.setenv("PIP_TARGET", "elsewhere")
    monkeypatch.setenv("UV_CONSTRAINT", "other.txt")
    monkeypatch.setenv("UV_INSECURE_HOST", "mine.example")
    listing = (
        "global.index-url='https://mirror.example/simple'\n:env:.find-links=''\nglobal.constraint='/etc/c.txt'\n"
        "global.extra-index-url='\\nhttps://a.example\\nhttps://b.example'\nglobal.timeout='9'\n:env:.timeout='60'\n"
        "install.user='true'\nglobal.proxy='http://proxy.example:3128'\nglobal.trusted-host='theirs.example'\n"
        "global.cert='/etc/ca.pem'\n"
    )
    settings = install.index_settings(listing)
    mine = {name: value for name, value in install.pip_env(settings).items() if name.startswith("PIP_")}
    assert mine == {
        "PIP_INDEX_URL": "https://mirror.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://a.example https://b.example",
        "PIP_FIND_LINKS": "",
        "PIP_TIMEOUT": "60",
        "PIP_PROXY": "http://proxy.example:3128",
        "PIP_TRUSTED_HOST": "theirs.example",
        "PIP_CERT": "/etc/ca.pem",
        "PIP_CONFIG_FILE": os.devnull,
    }
    env = install.uv_env(settings)
    assert env["UV_DEFAULT_INDEX"] == "https://mirror.example/simple" and env["UV_HTTP_TIMEOUT"] == "60"
    assert env["UV_INDEX"] == "https://a.example https://b.example" and "UV_FIND_LINKS" not in env
    assert env["HTTPS_PROXY"] == "http://proxy.example:3128" and env["SSL_CERT_FILE"] == "/etc/ca.pem"
    assert env["UV_INSECURE_HOST"] == "mine.example", "what is set for uv itself wins"
    assert "UV_CONSTRAINT" not in env


POISON = {
    ".ipython/profile_default/startup/00.py": "import pandas\npandas.options.display.max_rows = 3\nprint(9)",
    ".ipython/profile_default/ipython_config.py": "raise RuntimeError('personal')",
    ".jupyter/jupyter_server_config.py": "c.ServerApp.contents_manager_class = 'absent.Manager'",
    ".jupyter/jupyter_config.py": "raise RuntimeError('personal')",
    ".keras/keras.json": '{"floatx": "float64", "epsilon": 1e-7, "backend": "tensorflow"}',
    ".config/matplotlib/matplotlibrc": "axes.facecolor: red",
    ".matplotlib/matplotlibrc": "axes.facecolor: red",
}
CLEAN = """
import keras, matplotlib, pandas
from jupyter_core.paths import jupyter_config_path
from tools import doctor
print(doctor.kernel())
assert keras.config.floatx() == "float32"
assert matplotlib.rcParams["axes.facecolor"] == "white"
assert pandas.options.display.max_rows != 3
assert not [path for path in jupyter_config_path() if path.endswith(".jupyter")]
"""


@pytest.mark.slow
def test_nothing_personal_reaches_a_kernel_and_nothing_is_written_into_home(tmp_path, monkeypatch):
    for name, text in POISON.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path / ".config" / "matplotlib"))
    for name in (
        "KERAS_BACKEND",
        "PYTHONSTARTUP",
        "PYTHONOPTIMIZE",
        "MPLBACKEND",
        "JUPYTER_PATH",
        "TF_CPP_MIN_LOG_LEVEL",
    ):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    env = course.child_env()
    assert env["HTTPS_PROXY"] == "http://proxy.example:3128"
    found = subprocess.run([sys.executable, "-c", CLEAN], cwd=ROOT, env=env, capture_output=True, text=True)
    assert found.stdout.strip() == "python3 starts and computes", found.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_home_that_cannot_be_written_to_is_replaced(monkeypatch):
    monkeypatch.setattr(course.os, "access", lambda path, mode: False)
    assert course.child_env()["HOME"] == str(ROOT / "build" / "home")
    assert install.uv_env({})["UV_CACHE_DIR"] == str(ROOT / "build" / "uv-cache")
