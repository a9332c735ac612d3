"""The one runner of the benchmarks: its table is read back as it was written, finished fits are kept."""

import json

import pandas as pd
import pytest

from benchmarks import run
from benchmarks.quality import mutation
from ecomlib import results
from ecomlib.runtime import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def test_a_table_is_read_back_as_it_was_written(tmp_path, monkeypatch):
    rows = [
        run.row("LSTM", "WAPE", (0.123456789, 0.1, 0.2), 3, level="category"),
        run.row("LSTM / trees", "WAPE ratio", (1.0, 0.9, 1.1), 3, level="category"),
    ]
    path = run.write("invented", rows, 1.25, tmp_path / "benchmarks" / "results")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    table = results.read_benchmark("invented")
    assert list(table.columns) == [*results.COLUMNS, "seeds", "level"]
    assert table.to_dict("records") == [
        rows[0] | {"value": 0.123457},
        rows[1],
    ]
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert about["command"] == "python course.py bench invented" and about["minutes"] == 1.2


def test_a_finished_fit_is_kept_and_a_broken_run_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "KEPT", tmp_path)
    done = []

    def job(name):
        def work():
            if name == "third" and len(done) < 3:
                raise KeyboardInterrupt
            done.append(name)
            return {"score": len(done)}

        return work

    jobs = {name: job(name) for name in ("first", "second / a", "third")}
    with pytest.raises(KeyboardInterrupt):
        run.kept("invented", jobs, run.Log())
    done.append("interrupted")
    found = run.kept("invented", jobs, run.Log())
    assert done == ["first", "second / a", "interrupted", "third"]
    assert found == {"first": {"score": 1}, "second / a": {"score": 2}, "third": {"score": 4}}
    assert "2 of 3 fits are kept; left: third" in capsys.readouterr().out
    monkeypatch.setattr(run, "code_sign", lambda: "other")
    assert run.kept("invented", {"first": jobs["first"]}, run.Log()) == {"first": {"score": 5}}


def test_a_mutation_run_goes_on_with_the_modules_that_are_left(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(mutation, "ROOT", tmp_path)
    monkeypatch.setattr(mutation, "find_spec", lambda name: True)
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    asked = []

    def mutate(module, tests):
        asked.append(module)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {"one": 1, "two": 0}, ["a -> b"]

    monkeypatch.setattr(mutation, "mutate", mutate)
    with pytest.raises(KeyboardInterrupt):
        mutation.rows(False, run.Log())
    modules = [*mutation.TESTS]
    table = mutation.rows(False, run.Log())
    assert asked == [*modules[:3], *modules[2:]]
    assert [row["model"] for row in table] == [*modules, "all"] and {row["value"] for row in table} == {0.5}
    survivors = (tmp_path / "benchmarks" / "results" / "mutation_survivors.txt").read_text().splitlines()
    assert survivors == [f"{module}: a -> b" for module in modules]
    (tmp_path / "tests" / "test_new.py").write_text("assert True")  # may kill what survived
    mutation.rows(True, run.Log())
    assert asked[-1] == "split" and len(asked) == len(modules) + 2


def test_every_surviving_mutant_is_one_of_todays_code():
    lines = (RESULTS / "mutation_survivors.txt").read_text(encoding="utf-8").splitlines()
    table = results.read_benchmark("mutation").set_index("model")
    assert len(lines) == round((1 - table.loc["all", "value"]) * table.loc["all", "mutants"]) > 0
    source = {
        module: " ".join((ROOT / "ecomlib" / f"{module}.py").read_text(encoding="utf-8").split())
        for module in mutation.TESTS
    }
    for line in lines:
        module, _, rest = line.split(": ", 2)
        assert " ".join(rest.split(" -> ")[0].split()) in source[module], line


def test_every_benchmark_keeps_what_is_done_or_says_why_not():
    for name in run.names():
        kind, _, short = name.rpartition("/")
        code = (ROOT / "benchmarks" / (kind or "quality") / f"{short}.py").read_text(encoding="utf-8")
        assert "kept(" in code or name in run.__doc__, name


def test_every_benchmark_can_be_asked_for_and_every_table_says_how_it_was_made():
    assert {"sales", "visits", "purchases", "recommend", "speed/gates"} <= set(run.names())
    with pytest.raises(SystemExit):
        run.main(["nothing"])
    tables = {str(path.relative_to(RESULTS).with_suffix("")) for path in RESULTS.rglob("*.csv")}
    assert tables - {"lessons"} <= set(run.names())
    for name in run.names():
        kind, _, short = name.rpartition("/")
        code = (ROOT / "benchmarks" / (kind or "quality") / f"{short}.py").read_text(encoding="utf-8")
        assert "\ndef rows(quick" in code, name
        table = RESULTS / f"{name}.csv"
        if table.exists():
            assert set(run.LEADING) <= set(pd.read_csv(table).columns), name
            command = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))["command"]
            assert command == f"python course.py bench {name}"
