"""pyproject, lock and environment.yml agree; course.py and the machine check behave when things go wrong."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import course
from ecomlib import check

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = {
    "linux": {"sys_platform": "linux", "platform_machine": "x86_64", "os_name": "posix"},
    "linux arm": {"sys_platform": "linux", "platform_machine": "aarch64", "os_name": "posix"},
    "mac": {"sys_platform": "darwin", "platform_machine": "arm64", "os_name": "posix"},
    "windows": {"sys_platform": "win32", "platform_machine": "AMD64", "os_name": "nt"},
}


def locked() -> list[Requirement]:
    """Every package of the lock, with its marker."""
    return [Requirement(line) for line in re.findall(r"^([\w.-]+==[^\\\n]+?)(?: \\)?$", LOCK, re.MULTILINE)]


def direct() -> list[Requirement]:
    """Every package pyproject.toml asks for."""
    groups = PROJECT["dependency-groups"].values()
    return [
        Requirement(text) for text in [*PROJECT["project"]["dependencies"], *(t for g in groups for t in g)]
    ]


def tracked() -> list[Path]:
    """Return the files git knows, or all files where this is no clone."""
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if found.returncode:
        pytest.skip("not a git clone")
    return [ROOT / name for name in found.stdout.splitlines() if (ROOT / name).is_file()]


# --------------------------------------------------------------------------------------------------
# The three descriptions of the environment
# --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
def test_each_direct_dependency_is_locked_once_and_admitted(python, machine):
    env = {**MACHINES[machine], "python_version": python, "python_full_version": f"{python}.9"}
    env |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    pins = {}
    for package in locked():
        if package.marker is None or package.marker.evaluate(env):
            assert canonicalize_name(package.name) not in pins, f"{package.name} is locked twice"
            pins[canonicalize_name(package.name)] = str(package.specifier).removeprefix("==")
    for wanted in direct():
        if wanted.marker is None or wanted.marker.evaluate(env):
            pin = pins.get(canonicalize_name(wanted.name))
            assert pin, f"{wanted.name} is not in requirements.lock"
            assert pin in wanted.specifier, f"{wanted} does not admit the locked {pin}"
    assert ("tensorflow" in pins) != ("tensorflow-cpu" in pins)
    assert ("tensorflow-cpu" in pins) == (machine == "linux")


def test_the_lock_is_hashed_and_names_no_host():
    assert "://" not in LOCK
    assert not re.search(
        r"^\s*-", re.sub(r"^ +--hash=sha256:[0-9a-f]{64}( \\)?$", "", LOCK, flags=re.MULTILINE), re.M
    )
    for entry in re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry, entry


def test_environment_yml_is_python_pip_and_the_lock():
    python, pip, packages = ENVIRONMENT["dependencies"]
    assert SpecifierSet(python.removeprefix("python ")) == SpecifierSet(PROJECT["project"]["requires-python"])
    assert (pip, packages) == ("pip", {"pip": ["-r requirements.lock"]})
    assert ENVIRONMENT["name"] == PROJECT["project"]["name"]


def test_python_ranges_agree():
    wanted = SpecifierSet(PROJECT["project"]["requires-python"])
    for minor in range(8, 18):
        refused = False
        try:
            course.check_python((3, minor), "Linux", "x86_64")
        except course.CourseError:
            refused = True
        assert refused == (f"3.{minor}.5" not in wanted) == (f"3.{minor}" not in PYTHONS)
    assert PROJECT["tool"]["ruff"]["target-version"] == "py311"


def test_no_other_lock_is_tracked():
    names = {path.name for path in tracked()}
    assert not names & {"uv.lock", "pylock.toml", "poetry.lock", "Pipfile.lock", "conda-lock.yml"}


def test_nothing_tells_anyone_to_install_the_unrelated_ecomlib():
    assert PROJECT["project"]["name"] != "ecomlib"
    assert "ecomlib" not in {canonicalize_name(package.name) for package in locked()}
    line = re.compile(r"\b(pip3?|uv|conda|mamba|pipx|poetry)\b.*\b(install|add|sync)\b.*\becomlib\b")
    for path in tracked():
        if path != Path(__file__).resolve() and path.suffix in (
            [".md", ".ipynb", ".py", ".toml", ".yml", ".cff", ".json", ".sh", ".cfg"]
        ):
            for text in path.read_text(encoding="utf-8").splitlines():
                # The one sentence that warns of it may name it.
                assert not line.search(text) or "not" in text.lower(), f"{path.name}: {text.strip()}"


def test_the_installed_packages_are_the_locked_ones():
    for package in locked():
        if package.marker is None or package.marker.evaluate():
            assert version(package.name) in package.specifier


# --------------------------------------------------------------------------------------------------
# course.py: set-up
# --------------------------------------------------------------------------------------------------
@pytest.fixture
def home(tmp_path, monkeypatch):
    """Make course.py work in an empty folder, with an installation that only counts how often it ran."""
    (tmp_path / "requirements.lock").write_text("package==1\n")
    monkeypatch.setattr(course, "ROOT", str(tmp_path))
    monkeypatch.setattr(course, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(course, "KEPT", str(tmp_path / ".venv-kept"))
    monkeypatch.setattr(course, "LOCK", str(tmp_path / "requirements.lock"))
    monkeypatch.setattr(course, "BUILD", str(tmp_path / "build"))
    installs = []

    def install():
        Path(course.venv_python()).parent.mkdir(parents=True, exist_ok=True)
        Path(course.venv_python()).touch()
        installs.append(sorted(path.name for path in (tmp_path / ".venv").rglob("*") if path.is_file()))

    monkeypatch.setattr(course, "install", install)
    return tmp_path, installs


def test_the_second_set_up_does_nothing(home, capsys):
    _, installs = home
    course.setup()
    capsys.readouterr()
    course.setup()
    assert len(installs) == 1
    assert capsys.readouterr().out == ""


def test_an_interrupted_set_up_starts_afresh(home, monkeypatch, capsys):
    folder, installs = home
    whole = course.install

    def interrupted():
        whole()
        (folder / ".venv" / "half-written").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(course, "install", interrupted)
    assert course.main(["setup"]) == 130
    assert "Start the same command again" in capsys.readouterr().err
    monkeypatch.setattr(course, "install", whole)
    course.setup()
    assert installs[-1] == ["python" if course.os.name != "nt" else "python.exe"]
    assert course.read_stamp() == course.expected_stamp()


@pytest.mark.parametrize(
    "state", ["empty folder", "no interpreter", "broken link", "a file", "cut-off stamp"]
)
def test_no_partial_venv_is_trusted(home, state):
    folder, installs = home
    venv = folder / ".venv"
    if state == "a file":
        venv.write_text("")
    elif state == "broken link":
        venv.symlink_to(folder / "gone")
    else:
        venv.mkdir()
    if state == "no interpreter":
        (venv / course.STAMP).write_text(course.expected_stamp())
    if state == "cut-off stamp":
        course.install()
        (venv / course.STAMP).write_text(course.expected_stamp()[:30])
    before = len(installs)
    course.setup()
    assert len(installs) == before + 1
    assert course.read_stamp() == course.expected_stamp()


def test_a_new_lock_rebuilds_and_another_admitted_python_does_not(home):
    folder, installs = home
    course.setup()
    (folder / ".venv" / "old").touch()
    stamp = folder / ".venv" / course.STAMP
    stamp.write_text(stamp.read_text().rsplit(" ", 1)[0] + " 3.12")
    course.setup()
    assert len(installs) == 1
    (folder / "requirements.lock").write_text("package==2\n")
    course.setup()
    assert len(installs) == 2 and "old" not in installs[-1]
    assert not (folder / ".venv-kept").exists()


@pytest.mark.parametrize("how", ["no network", "interrupted", "killed"])
def test_an_update_that_fails_leaves_the_old_set_up(home, monkeypatch, how):
    folder, installs = home
    course.setup()
    (folder / ".venv" / "old").touch()
    lock, whole = (folder / "requirements.lock").read_text(), course.install

    def fails():
        whole()
        raise KeyboardInterrupt if how == "interrupted" else course.CourseError("No package index")

    if how == "killed":  # no handler runs: the folders stay as they are
        (folder / ".venv").rename(folder / ".venv-kept")
        (folder / ".venv").mkdir()
    else:
        (folder / "requirements.lock").write_text("package==2\n")
        monkeypatch.setattr(course, "install", fails)
        assert course.main(["setup"]) in (2, 130)
        (folder / "requirements.lock").write_text(lock)
    before = len(installs)
    course.setup()  # back to the old lock: nothing has to be fetched
    assert len(installs) == before and (folder / ".venv" / "old").exists()
    assert course.read_stamp() == course.expected_stamp()


def test_line_ends_do_not_change_the_stamp(home):
    folder, _ = home
    unix = course.expected_stamp()
    (folder / "requirements.lock").write_bytes(b"package==1\r\n")
    assert course.expected_stamp() == unix


def test_a_set_up_waits_for_another_one(home, monkeypatch):
    """Two at once: the second finds the work done."""
    from threading import Thread

    _, installs = home
    whole = course.install
    monkeypatch.setattr(course, "install", lambda: (course.time.sleep(0.3), whole()))
    threads = [Thread(target=course.setup) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(installs) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends the children of a console by itself")
def test_a_killed_set_up_leaves_nothing_that_writes_into_the_next_one(home):
    """The installer that outlives a killed course.py holds the lock until it ends."""
    folder, _ = home
    program = (
        "import course, sys; course.BUILD = course.ROOT = sys.argv[1]\n"
        "with course.only_one_setup():\n"
        "    course.step('installing', ['sleep', '1.2'], course.child_env())"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", program, str(folder / "build")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    first.stdout.readline()
    first.kill()
    first.wait()
    start = course.time.time()
    with course.only_one_setup():
        assert course.time.time() - start > 0.4


# --------------------------------------------------------------------------------------------------
# course.py: one sentence for everything that can go wrong
# --------------------------------------------------------------------------------------------------
def test_an_old_python_a_new_python_and_an_intel_mac_are_turned_away():
    with pytest.raises(course.CourseError, match=r"needs Python 3\.11 to 3\.13, but this is Python 3\.9"):
        course.check_python((3, 9), "Linux", "x86_64")
    with pytest.raises(course.CourseError, match=r"this is Python 3\.14"):
        course.check_python((3, 14), "Linux", "x86_64")
    with pytest.raises(course.CourseError, match="Intel"):
        course.check_python((3, 12), "Darwin", "x86_64")
    course.check_python((3, 12), "Darwin", "arm64")


def test_a_full_disk_is_found_before_anything_is_made(home, monkeypatch, capsys):
    folder, installs = home
    usage = course.shutil.disk_usage(folder)
    monkeypatch.setattr(course.shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    assert course.main(["setup"]) == 2
    assert re.search(r"needs 3\.5 GB of free disk and there are 1\.0 GB", capsys.readouterr().err)
    assert not installs
    assert not (folder / ".venv").exists()


FAILURES = [
    (
        "NewConnectionError: [Errno -3] Temporary failure in name resolution",
        "No package index can be reached",
    ),
    ("error: Failed to fetch: dns error", "No package index can be reached"),
    ("OSError: [Errno 28] No space left on device", "The disk is full"),
    (
        "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE",
        "not the one the course was made with",
    ),
    ("ERROR: No matching distribution found for tensorflow==2.21.0", "no build for this system"),
    ("SSLError: CERTIFICATE_VERIFY_FAILED", "this network replaces certificates"),
    ("The virtual environment was not created because ensurepip is not available", "-venv and start again"),
    ("something else", "See its output below"),
]


@pytest.mark.parametrize(("output", "sentence"), FAILURES)
def test_a_failed_step_is_explained(output, sentence, home, capsys):
    program = f"import sys; print({output!r}); sys.exit(1)"
    with pytest.raises(course.CourseError) as raised:
        course.step("installing", [sys.executable, "-c", program], course.child_env())
    assert sentence in str(raised.value)
    assert output in str(raised.value), "the last lines of the output belong to the message"
    assert "installing: " in capsys.readouterr().out


def test_a_python_without_venv_is_explained(monkeypatch, tmp_path):
    monkeypatch.setattr(course, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(course, "KEPT", str(tmp_path / ".venv-kept"))
    monkeypatch.setattr(course.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(course.CourseError, match="no module 'ensurepip'.*apt install"):
        course.install()


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["tset"], "Did you mean 'test'"),
        (["fly"], "There is no command 'fly'"),
        (["run", "99"], "There is no notebook '99'"),
        (["test", "99"], "There is no notebook '99'"),
    ],
)
def test_unknown_words_are_refused_politely(arguments, answer, capsys):
    assert course.main(arguments) == 2
    error = capsys.readouterr().err
    assert answer in error
    assert "Traceback" not in error


def test_options_without_a_command_open_the_course():
    options = course.parse(["--no-browser", "--port", "8899"])
    assert (options.command, options.no_browser, options.port) == ("open", True, 8899)
    assert course.parse([]).command == "open"
    assert course.parse(["test", "21", "--jobs", "1"]).notebooks == ["21"]


def test_a_number_picks_the_lesson_and_its_solution(tmp_path, monkeypatch):
    (tmp_path / "solutions").mkdir()
    for name in ("21_a.ipynb", "22_b.ipynb", "solutions/21_a.ipynb", "solutions/notes.txt"):
        (tmp_path / name).touch()
    monkeypatch.setattr(course, "NOTEBOOKS", str(tmp_path))
    assert [course.label(path) for path in course.find_notebooks(["21"])] == ["21_a", "solutions/21_a"]
    assert len(course.find_notebooks([])) == 3
    assert len(course.find_notebooks(["2"])) == 3
    assert len(course.find_notebooks(["22_b.ipynb"])) == 1


def test_pip_keeps_the_network_settings_and_nothing_else(monkeypatch):
    monkeypatch.setenv("PIP_CONSTRAINT", "other.txt")
    monkeypatch.setenv("PIP_TARGET", "elsewhere")
    listing = (
        "global.index-url='https://mirror.example/simple'\n:env:.find-links=''\nglobal.constraint='/etc/c.txt'\n"
        "global.extra-index-url='\\nhttps://a.example\\nhttps://b.example'\nglobal.timeout='9'\n:env:.timeout='60'\n"
        "install.user='true'\nglobal.proxy='http://proxy.example:3128'\n"
    )
    env = course.pip_env("python", listing)
    mine = {name: value for name, value in env.items() if name.startswith("PIP_")}
    assert mine == {
        "PIP_INDEX_URL": "https://mirror.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://a.example https://b.example",
        "PIP_FIND_LINKS": "",
        "PIP_TIMEOUT": "60",
        "PIP_PROXY": "http://proxy.example:3128",
        "PIP_CONFIG_FILE": course.os.devnull,
    }


def test_children_get_no_setting_that_changes_a_notebook(monkeypatch):
    for name in ("MPLBACKEND", "KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    env = course.child_env()
    assert not {"MPLBACKEND", "KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", "PYTHONSTARTUP"} & set(env)
    assert env["HTTPS_PROXY"] == "http://proxy.example:3128"


def test_later_parts_run_when_one_fails_and_the_end_says_which(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(course, "BUILD", str(tmp_path))
    monkeypatch.setattr(course, "ROOT", str(tmp_path))
    tasks = [
        course.Task(name, [sys.executable, "-c", f"print('said by {name}'); raise SystemExit({code})"])
        for name, code in (("lint", 1), ("11_shop_data", 0), ("solutions/11_shop_data", 1), ("12_gates", 0))
    ]
    course.run_tasks(tasks, 2)
    assert course.closing(tasks, course.time.time(), "course test", 2) == 1
    out = capsys.readouterr().out
    assert "said by lint" in out
    assert "said by 12_gates" not in out
    assert (
        out.strip()
        .splitlines()[-1]
        .startswith("course test: FAILED in 0.0 minutes: lint, solutions/11_shop_data")
    )
    assert course.closing(tasks[1:2], course.time.time(), "course test", 2) == 0


# --------------------------------------------------------------------------------------------------
# The machine check
# --------------------------------------------------------------------------------------------------
def test_the_check_names_each_problem_and_its_mend(monkeypatch, capsys):
    def fails():
        raise check.NotReady("no data: get some")

    def breaks():
        raise RuntimeError("odd")

    monkeypatch.setattr(check, "QUESTIONS", {"memory": lambda: "8 GB", "data": fails, "kernel": breaks})
    assert check.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ok", "memory", "8", "GB"]
    assert lines[1].split(maxsplit=2) == ["FAIL", "data", "no data: get some."]
    assert lines[2].startswith("FAIL  kernel      RuntimeError: odd. Try this:")
    assert lines[3].startswith("2 of 3 to mend")


def test_the_check_sees_small_memory_a_full_disk_and_a_changed_package(monkeypatch, tmp_path):
    monkeypatch.setattr(check, "memory_gb", lambda: (2.0, 1.0))
    with pytest.raises(check.NotReady, match=r"2\.0 GB of memory"):
        check.memory()
    monkeypatch.setattr(check, "memory_gb", lambda: (8.0, 1.0))
    assert "close other programs" in check.memory()
    usage = check.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(check.shutil, "disk_usage", lambda path: usage._replace(free=10**8))
    with pytest.raises(check.NotReady, match="free some space"):
        check.disk()
    lock = tmp_path / "lock"
    lock.write_text(f"numpy==0.1 \\\n    --hash=x\nabsent-package==1\npandas=={version('pandas')}\n")
    monkeypatch.setattr(check, "LOCK", lock)
    with pytest.raises(
        check.NotReady, match=r"numpy \S+ instead of 0\.1, absent-package missing instead of 1"
    ):
        check.packages()


def test_the_check_explains_a_tensorflow_that_does_not_compute(monkeypatch):
    for program, mend in {
        "import os, signal; os.kill(os.getpid(), signal.SIGILL)": "AVX",
        "raise ImportError('DLL load failed while importing')": "Redistributable",
        "raise ValueError('other')": "ValueError: other",
    }.items():
        monkeypatch.setattr(check, "TENSORFLOW", program)
        with pytest.raises(check.NotReady, match=mend):
            check.tensorflow()


def test_the_check_starts_without_any_package():
    """It has to be able to say what is missing: nothing outside the standard library at the top."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import ecomlib.check; print('fine')"
    found = subprocess.run([sys.executable, "-S", "-c", code, str(ROOT)], capture_output=True, text=True)
    assert found.stdout.strip() == "fine", found.stderr


def test_markers_of_the_lock_can_be_read():
    for package in locked():
        assert package.marker is None or isinstance(package.marker, Marker)
