"""pyproject, lock, environment.yml and what else describes the environment agree."""

import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import course
from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = {
    "linux": {"sys_platform": "linux", "platform_machine": "x86_64", "os_name": "posix"},
    "linux arm": {"sys_platform": "linux", "platform_machine": "aarch64", "os_name": "posix"},
    "mac": {"sys_platform": "darwin", "platform_machine": "arm64", "os_name": "posix"},
    "windows": {"sys_platform": "win32", "platform_machine": "AMD64", "os_name": "nt"},
}


OPTIONAL = [group for group in PROJECT["dependency-groups"] if (ROOT / f"requirements-{group}.lock").exists()]


def locked(lock: str = LOCK) -> list[Requirement]:
    """Every package of a lock, with its marker."""
    return [Requirement(line) for line in re.findall(r"^([\w.-]+==[^\\\n]+?)(?: \\)?$", lock, re.MULTILINE)]


def direct() -> list[Requirement]:
    """Every package pyproject.toml asks for, but for the optional groups, which have locks of their own."""
    groups = [packages for name, packages in PROJECT["dependency-groups"].items() if name not in OPTIONAL]
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


@pytest.mark.parametrize("group", ["", *OPTIONAL])
def test_the_lock_is_hashed_and_names_no_host(group):
    lock = (ROOT / (f"requirements-{group}.lock" if group else "requirements.lock")).read_text(
        encoding="utf-8"
    )
    assert "://" not in lock
    assert not re.search(
        r"^\s*-", re.sub(r"^ +--hash=sha256:[0-9a-f]{64}( \\)?$", "", lock, flags=re.MULTILINE), re.M
    )
    for entry in re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("group", OPTIONAL)
def test_an_optional_group_stands_on_the_same_versions(group):
    own = locked((ROOT / f"requirements-{group}.lock").read_text(encoding="utf-8"))
    course_pins: dict[str, set] = {}  # one version may be for older Pythons, one for newer ones
    for package in locked():
        course_pins.setdefault(canonicalize_name(package.name), set()).add(package.specifier)
    names = {canonicalize_name(package.name) for package in own}
    assert {
        canonicalize_name(Requirement(text).name) for text in PROJECT["dependency-groups"][group]
    } <= names
    for package in own:
        assert package.specifier in course_pins.get(canonicalize_name(package.name), [package.specifier])


def test_groups_that_lessons_need_have_a_lock_and_a_sign_of_their_presence():
    assert {*course.TESTED} == {*notebooks.OPTIONAL} <= {*OPTIONAL}
    for group, package in notebooks.OPTIONAL.items():
        lock = (ROOT / f"requirements-{group}.lock").read_text(encoding="utf-8")
        assert package in {canonicalize_name(each.name) for each in locked(lock)}
        assert package not in {canonicalize_name(each.name) for each in locked()}


def test_environment_yml_is_python_pip_and_the_lock():
    python, pip, packages = ENVIRONMENT["dependencies"]
    assert SpecifierSet(python.removeprefix("python ")) == SpecifierSet(PROJECT["project"]["requires-python"])
    assert (pip, packages) == ("pip", {"pip": ["-r requirements.lock"]})
    assert ENVIRONMENT["name"] == PROJECT["project"]["name"]


def test_python_ranges_agree():
    wanted = SpecifierSet(PROJECT["project"]["requires-python"])
    for minor in range(8, 18):
        refused = bool(course.unfit((3, minor), "Linux", "x86_64"))
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


def test_no_marker_splits_inside_one_python():
    """A set of files made with 3.11.7 has to serve Debian's 3.11.2."""
    for package in locked():
        marker = str(package.marker or "")
        for versions in re.findall(r'python_full_version [<>=!]+ "([^"]+)"', marker):
            assert re.fullmatch(r"3\.\d+(\.\*)?", versions), f"{package.name}: {package.marker}"


# --------------------------------------------------------------------------------------------------
# Other places that set the course up
# --------------------------------------------------------------------------------------------------
def test_the_public_workflow_calls_the_commands_of_the_readme():
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    jobs = flow["jobs"]
    matrix = jobs["quick"]["strategy"]["matrix"]
    assert matrix["python"] == list(PYTHONS)
    assert [name.split("-")[0] for name in matrix["os"]] == ["ubuntu", "windows", "macos"]
    assert "cron" in flow[True]["schedule"][0], "YAML reads the word `on` as true"
    runs = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    for command in [command for commands in runs.values() for command in commands if "course.py" in command]:
        assert command.split()[2] in course.COMMANDS
    assert runs["everything"] == ["bash .ci/run"]
    recipe = re.search(r"^uv pip compile (.*) -o requirements.lock$", CONTRIBUTING, re.M)[1]
    assert set(recipe.split()) | {"--upgrade"} == set(runs["newest"][1].split()[3:-2])


def test_a_container_and_binder_use_the_same_lock():
    container = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    assert "python course.py setup && python course.py check" in container
    python = (ROOT / ".binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    assert python in PYTHONS
    lines = (ROOT / ".binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["-r ../requirements.lock"]
    assert "pip install --no-deps -e ." in (ROOT / ".binder" / "postBuild").read_text(encoding="utf-8")
