"""README's first page: its picture, results, map and "which lesson" agree with the tables and the lessons."""

import re
import sys
from collections import Counter

import pandas as pd
import pytest

from tools import comparisons, front
from tools.comparisons import BEST, LEVEL, WORST, Comparison
from tools.form.lesson import README, ROOT

TEXT = README.read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "book"))
import pages  # noqa: E402


def one(value, low, high, ratio=True, metric="WAPE", own=2.0):
    """A comparison of no model in particular."""
    return Comparison("LSTM", "rival", metric, value, low, high, ratio, own)


@pytest.mark.parametrize(
    ("each", "verdict"),
    [
        (one(0.9, 0.8, 0.99), BEST),
        (one(0.9, 0.8, 1.0), LEVEL),  # an interval that touches the tie does not exclude it
        (one(1.1, 1.01, 1.2), WORST),
        (one(1.1, 1.01, 1.2, metric="recall@10"), BEST),
        (one(0.9, 0.8, 0.99, metric="recall@10"), WORST),
        (one(-0.1, -0.2, -0.01, False, "log-loss"), BEST),
        (one(0.1, 0.01, 0.2, False, "log-loss"), WORST),
        (one(0.1, -0.01, 0.2, False, "log-loss"), LEVEL),
    ],
)
def test_the_verdict_is_the_one_rule(each, verdict):
    assert each.verdict == verdict


def test_the_gain_is_in_per_cent_of_the_rival_and_positive_where_the_network_is_better():
    assert one(0.9, 0.8, 1.05).gain == pytest.approx((10, -5, 20))
    assert one(1.1, 0.95, 1.2, metric="recall@10").gain == pytest.approx((10, -5, 20))
    assert one(0.2, 0.1, 0.4, False, "MAE", own=2.0).gain == pytest.approx((-10, -20, -5))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Results of a few invented rows."""
    rows = [
        ("rival", "log-loss", 0.5, 0.4, 0.6, 1, "here"),
        ("rival minus LSTM", "log-loss", 0.1, 0.05, 0.2, 1, "here"),
        ("LSTM minus rival", "log-loss", 9, 9, 9, 1, "here"),  # the same pair again
        ("LSTM minus LSTM without days", "log-loss", 9, 9, 9, 1, "here"),
        ("rival minus other", "log-loss", 9, 9, 9, 1, "here"),
        ("rival minus LSTM", "log-loss", 9, 9, 9, 1, "elsewhere"),
        ("rival / LSTM", "WAPE", 2, 1.6, 4, 1, "here"),
    ]
    columns = ["model", "metric", "value", "low", "high", "seeds", "where"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "invented.csv", index=False)
    monkeypatch.setattr(comparisons, "RESULTS", tmp_path)
    return tmp_path


def test_a_row_that_names_the_network_second_is_turned_round(folder):
    table = comparisons.Table("", "invented", {"where": "here"}, "log-loss")
    assert comparisons.comparisons(table) == [
        Comparison("LSTM", "rival", "log-loss", -0.1, -0.2, -0.05, False, 0.5)
    ]
    (ratio,) = comparisons.comparisons(comparisons.Table("", "invented", {"where": "here"}, "WAPE"))
    assert (ratio.value, ratio.low, ratio.high) == (0.5, 0.25, 0.625)


def test_a_table_that_nobody_named_is_found(folder, monkeypatch):
    monkeypatch.setattr(comparisons, "TABLES", [])
    assert {(t.title, t.metric) for t in comparisons.others()} == {
        ("here", "log-loss"),
        ("elsewhere", "log-loss"),
        ("here", "WAPE"),
    }


def test_every_named_table_has_its_rows():
    for table in comparisons.TABLES:
        found = comparisons.comparisons(table)
        assert found, table.title
        assert not table.front or all(c.rivals_own == c.rivals_own for c in found), table.title


def test_the_first_page_shows_a_win_a_tie_and_a_loss():
    assert [each.verdict for _, each, *_ in front.three_results()] == [BEST, LEVEL, WORST]


def test_the_readme_and_its_picture_are_those_of_the_tables():
    assert front.replaced(TEXT) == TEXT, "python -m tools.front"
    assert front.drawn() == front.sign(), "python -m tools.front"
    counts = Counter(each.verdict for _, each in comparisons.strongest())
    assert f"better in {counts[BEST]}, level in {counts[LEVEL]} and worse in {counts[WORST]}." in TEXT


def test_a_figure_that_moved_is_seen():
    shown = re.search(r"WAPE\) (\d+) %", TEXT)
    assert front.replaced(TEXT.replace(shown[0], f"WAPE) {int(shown[1]) + 1} %")) == TEXT


def test_the_map_and_the_wishes_hold_each_lesson_once():
    numbers = sorted(front.heads())
    for block in (front.map_block(), front.wishes_block()):
        assert sorted(re.findall(r"notebooks/(\d\d)_", block)) == numbers
    assert not re.search("planned|to come", front.map_block())


# ------------------------------------------------------------------------------------- the book's own pages


def test_the_results_page_holds_every_comparison(tmp_path):
    text = pages.results(tmp_path / "results")
    every = [*comparisons.TABLES, *comparisons.others()]
    rows = [c for table in every for c in comparisons.comparisons(table)]
    assert len(re.findall(r"^\| .*\*\*(?:better|level|worse)\*\* \|$", text, re.MULTILINE)) == len(rows)
    names = {path.name for path in comparisons.RESULTS.glob("*.csv")}
    assert {path.name for path in (tmp_path / "results").iterdir()} == names
    assert all(f"(results/{name})" in text for name in names)


def test_the_glossary_holds_every_term_with_its_chinese_name():
    words = (ROOT / "docs" / "words.md").read_text(encoding="utf-8")
    text = pages.glossary(words)
    rows = re.findall(r"^\| ([^|]+?) °? *\|[^|]*\| ([^|]+?) \|[^|]+\|[^|]*(?:\)|–) \|$", words, re.MULTILINE)
    assert len(rows) >= 170
    for name, chinese in rows:
        entry = text.split(f"\n{name}\n  ")[1].split("\n")[0]
        assert chinese == name or chinese in entry, name
    assert "Names that are not the field's" in text


def test_the_first_page_of_the_book_is_the_top_of_the_readme():
    text = pages.front()
    assert text.startswith("# LSTM for retail and e-commerce")
    assert "(results.md)" in text and "## Start" not in text and "<!--" not in text
    assert "book/_static" not in text and (ROOT / "book" / "_static" / "results.png").exists()


def test_the_notebooks_are_zipped_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        pages.zipped(tmp_path / name)
    first, second = (tmp_path / name / "notebooks.zip" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
