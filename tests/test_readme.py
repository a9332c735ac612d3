"""What README.md and CONTRIBUTING.md say is so."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import course
from tools import install
from tools.form import TABLE, find_lessons, table_of_lessons

ROOT = Path(__file__).resolve().parents[1]
TEXTS = ("README.md", "CONTRIBUTING.md", "data/README.md")


def read(name: str) -> str:
    """Text of a file of the course."""
    return (ROOT / name).read_text(encoding="utf-8")


README = read("README.md")


def test_the_table_lists_the_lessons_as_they_are():
    table = TABLE.search(README)[2]
    assert table == table_of_lessons(), "refresh it with: python -m tools.form"
    assert table.count("](notebooks/") == sum(not lesson.is_solution for lesson in find_lessons())


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_exists(name):
    for command in re.findall(r"\bpython3?[\d.]* course\.py\b([^`\n|]*)", read(name)):
        name, *options = shlex.split(command.split("#")[0]) or ["open"]
        if name.startswith("-"):
            name, options = "open", [name, *options]
        assert name in course.COMMANDS, command
        unknown = [
            option for option in options if option[0] == "-" and option not in course.COMMANDS[name][0]
        ]
        assert not unknown, command


def test_every_command_is_documented():
    table = re.search(r"## Commands\n(.*?)\n## ", README, re.DOTALL)[1]
    documented = set(re.findall(r"`python course\.py ?(\w*)", table))
    assert {name or "open" for name in documented} == set(course.COMMANDS)


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)\)", read(name)):
        if not re.match(r"https?://|mailto:", target):
            assert ((ROOT / name).parent / target).exists(), target


def test_the_gate_runs_the_command_of_the_readme():
    assert "python course.py test\n" in README
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.rstrip().splitlines()[-1] == 'exec "$python" course.py test'


def test_the_hooks_of_a_commit_need_no_network():
    repos = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    hooks = repos[0]["hooks"]
    assert [hook["language"] for hook in hooks] == ["system"] * 3
    commands = [hook["entry"].split() for hook in hooks]
    assert [command[2:4] for command in commands] == [["ruff", "check"], ["ruff", "format"], ["mypy"]]
    assert all(command[:2] == ["python", "-m"] and find_spec(command[2]) for command in commands)


def test_sizes_agree_with_the_code():
    assert f"{install.DISK_GB} GB of free disk" in README
    assert "Python 3.11, 3.12 or 3.13" in README
