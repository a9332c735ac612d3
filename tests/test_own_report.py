"""The page and the files of a shop of one's own: whole or not there, no request, readable on a phone."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_own_answers import answer, later, paired, sample

from ecomlib.own import answer as asked
from ecomlib.own import report, shop_command
from ecomlib.own.opening import open_shop
from ecomlib.runtime import ROOT
from ecomlib.sales.known_ahead import open_days
from ecomlib.shop import TooShort

SALES, LIST = "forecast.csv", "recommendations.csv"


def told(name, model):
    """An answer by a model that needs no training, with a made-up verdict."""
    made = answer(name, model)
    metric = made.question.headline
    rows = [("rule", metric, 0.3, 0.2, 0.4), ("rule", f"{metric} / best", 1.0, 1.0, 1.0)]
    scores = pd.DataFrame(rows, columns=["model", "metric", "value", "low", "high"])
    return replace(made, scores=scores, paired=paired(), advice="Use the rule: 1 < 2 & <b>level</b>.")


@pytest.fixture(scope="module")
def answers():
    models = {SALES: ("sales", "mean of 8 weeks"), "who_to_contact.csv": ("purchases", "smoothed frequency")}
    models[LIST] = ("new", "popularity of four weeks")
    return {file: told(*each) for file, each in models.items()}


@pytest.fixture(scope="module")
def shop():
    """The sample shop with the report of an export, in pounds."""
    read = open_shop(ROOT / "data" / "exports" / "umsatzliste.csv")
    return replace(sample(), report=read.report, currency="£", name="Tea <&> more")


def test_the_page_holds_everything_and_asks_for_nothing(answers, shop, tmp_path):
    files = report.write_answers(tmp_path / "new" / "out", shop, answers)
    assert [path.name for path in files] == [*report.TITLES, report.PAGE]
    text = files[-1].read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^" )]{0,40})', text)
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)
    assert "<script" not in text and "http://" not in text and "https://" not in text
    assert "Tea &lt;&amp;&gt; more" in text and "&lt;b&gt;level&lt;/b&gt;" in text and "<b>" not in text
    alts = re.findall(r'<img alt="([^"]*)"', text)
    assert len(alts) == len(sources) and all(len(alt) >= 60 for alt in alts)
    assert sum("£ per day" in alt for alt in alts) == len(answers[SALES].table["series"].unique())
    for word in ("last whole day", "Read as", answers[LIST].table["item"][0], "low"):
        assert str(word) in text
    for file, made in answers.items():
        assert len(pd.read_csv(tmp_path / "new" / "out" / file)) == len(made.table)


def test_a_question_without_an_answer_is_one_sentence_and_its_old_file_goes(answers, shop, tmp_path):
    report.write_answers(tmp_path, shop, answers)
    report.write_answers(tmp_path, shop, answers | {SALES: "sales: 9 days are too few."})
    assert not (tmp_path / SALES).exists() and (tmp_path / LIST).exists()
    assert (tmp_path / report.PAGE).read_text(encoding="utf-8").count("sales: 9 days are too few.") == 2


def test_what_fails_leaves_nothing_half_written(answers, shop, tmp_path, monkeypatch):
    out = tmp_path / "out"
    report.write_answers(out, shop, answers)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(report, "page", fail)
    short = {file: replace(made, table=made.table.head(1)) for file, made in answers.items()}
    with pytest.raises(RuntimeError):
        report.write_answers(out, shop, short)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command_says_how_long_answers_the_rest_and_ends_well(answers, tmp_path, monkeypatch, capsys):
    def refuse(shop, **_):
        raise TooShort("purchases: of 74 customers 0.4% bought twice: no model.")

    def forecast(shop, country, closed, fits):
        assert (country, closed) == ("DE", ["Sun", (12, 25)])
        return answers[SALES]

    monkeypatch.setattr(asked, "forecast_sales", forecast)
    monkeypatch.setattr(asked, "predict_purchases", refuse)
    monkeypatch.setattr(asked, "recommend_products", lambda shop, fits: answers[LIST])
    monkeypatch.setattr(shop_command, "open_shop", lambda *_, **__: sample())
    options = ["--country", "DE", "--closed", "sunday", "12-25"]
    assert shop_command.main(["x.csv", "--out", str(tmp_path / "out"), *options]) == 0
    printed = capsys.readouterr().out
    assert "this takes about" in printed and printed.count("bought twice: no model.") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [SALES, LIST, report.PAGE]
    for name in ("forecast_sales", "recommend_products"):
        monkeypatch.setattr(asked, name, refuse)
    assert shop_command.main(["x.csv", "--out", str(tmp_path / "none")]) == 1
    assert [path.name for path in (tmp_path / "none").iterdir()] == [report.PAGE]


@pytest.mark.parametrize("day", ["Sund", "7", "13-25", "2-30", "2023-02-29", "25.12.", "Christmas"])
def test_a_closed_day_that_cannot_be_read_is_one_sentence(day, capsys):
    assert shop_command.main(["x.csv", "--closed", "Sun", day]) == 1  # before the file is opened
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and f"--closed {day}: say a weekday (Sun)" in said.err and not said.out


def test_closed_days_are_those_that_the_forecast_takes():
    days = pd.date_range("2024-12-20", "2025-12-31")
    told = [shop_command.closed_day(text) for text in ("SUN", "12-25", "2-29", "2024-12-27")]
    shut = days[~open_days(days, told)]
    other = [str(day.date()) for day in shut if day.day_of_week < 6]
    assert other == ["2024-12-25", "2024-12-27", "2025-12-25"]
    assert (days.day_of_week == 6).sum() == len(shut) - 3


def test_files_and_the_folder_lie_where_the_reader_stands(monkeypatch, tmp_path):
    import course
    from tools import install

    called: list[str] = []
    monkeypatch.setattr(install, "setup", lambda groups: "python")
    monkeypatch.setattr(course, "call", lambda *arguments: called.extend(arguments))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").touch()
    course.run(["shop", "x.csv", "--out", "new", "--country", "DE"])
    assert called[-5:] == [str(tmp_path / "x.csv"), "--out", str(tmp_path / "new"), "--country", "DE"]


def test_more_to_learn_from_takes_longer():
    assert shop_command.expected_minutes(sample()) < shop_command.expected_minutes(later(sample(), 60))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_the_page_on_a_phone_and_asks_nobody(chromium, answers, shop, tmp_path, scheme):
    path = report.write_answers(tmp_path, shop, answers)[-1]
    tab = chromium.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    asked_for, said = [], []
    tab.on("request", lambda request: asked_for.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(path.as_uri())
    assert [url for url in asked_for if not url.startswith("data:")] == [path.as_uri()] and not said
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 100)")
    colour = tab.evaluate("getComputedStyle(document.body).color")
    light = np.mean([int(n) for n in re.findall(r"\d+", colour)[:3]]) > 128
    assert light == (scheme == "dark")
    if scheme == "light":
        assert tab.pdf()[:4] == b"%PDF"
    tab.close()
