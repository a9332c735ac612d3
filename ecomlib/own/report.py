"""One page for a shop: what was read, what its data are like, three verdicts with tables and pictures.

The page is one file without a script. Its pictures stand inside it, and its own policy forbids every request.
"""

import io
from base64 import b64encode
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from ecomlib.own.profile import profile
from ecomlib.shop import Shop

PAGE = "report.html"
TITLES = {
    "forecast.csv": "What will be sold?",
    "who_to_contact.csv": "Who is likely to buy?",
    "recommendations.csv": "What to show to whom?",
}
SHOWN = 12  # series with a picture, and lines of a long table
BLUE, GREY = "#0173b2", "0.35"
HEAD = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))


def write_answers(folder: str | Path, shop: Shop, answers: Mapping[str, Any]) -> list[Path]:
    """Write the answers' tables and the page; either all of them are new, or none is.

    Parameters
    ----------
    folder : path
        Is made where it is missing.
    shop : Shop
    answers : dict
        Name of a file of `TITLES` -> an `Answer`, or the sentence that says why there is none.

    Returns
    -------
    list of Path
        What was written. The file of a question without an answer is taken away.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as half:
        for file, answer in answers.items():
            if not isinstance(answer, str):
                answer.table.to_csv(Path(half) / file, index=False)
        (Path(half) / PAGE).write_text(page(shop, answers), encoding="utf-8")
        folder.mkdir(exist_ok=True)
        for file in (*TITLES, PAGE):
            if (Path(half) / file).exists():
                (Path(half) / file).replace(folder / file)
            else:
                (folder / file).unlink(missing_ok=True)
    return [folder / file for file in (*TITLES, PAGE) if (folder / file).exists()]


def page(shop: Shop, answers: Mapping[str, Any]) -> str:
    """The page as HTML; arguments as in `write_answers`."""
    parts = [HEAD.substitute(title=escape(shop.name)), f"<h1>{escape(shop.name)}</h1>", "<h2>In short</h2>"]
    for file, answer in answers.items():
        parts += [f"<h3>{TITLES[file]}</h3>", _advice(getattr(answer, "advice", answer))]
    parts += ["<h2>What the data are like</h2>", _table(profile(shop).rename("").reset_index(), header=False)]
    parts += _what_was_read(shop)
    for file, answer in answers.items():
        parts.append(f"<h2>{TITLES[file]}</h2>")
        parts += [_advice(answer)] if isinstance(answer, str) else _verdict(shop, file, answer)
    return "\n".join([*parts, "</body></html>\n"])


def _what_was_read(shop: Shop) -> list[str]:
    report = shop.report
    if report is None:
        return []
    taken = pd.DataFrame(list(report.columns.items()), columns=["column", "taken from"])
    parts = ["<h2>What was read</h2>", f"<p>Read as {escape(report.format)}.</p>", _table(taken)]
    shown = report.steps.assign(revenue=[f"{x:,.2f} {shop.currency}" for x in report.steps["revenue"]])
    return [*parts, _table(shown), _list(report.notes)]


def _verdict(shop: Shop, file: str, answer: Any) -> list[str]:
    """Everything about one answer."""
    draw: Callable[..., list[str]] = {
        "forecast.csv": _forecasts, "who_to_contact.csv": _buyers, "recommendations.csv": _lists
    }[file]  # fmt: skip
    metric = answer.question.headline
    scores = answer.scores[answer.scores["metric"].isin([metric, f"{metric} / best"])]
    parts = [_advice(answer.advice), '<div class="pictures">', *draw(shop, answer), "</div>"]
    unit = f", amounts in {escape(shop.currency)}" * (file == "forecast.csv")
    parts += [f"<h3>The first lines of {file}{unit}</h3>", _table(answer.table.head(SHOWN))]
    parts += ["<h3>How good each model was in the last weeks</h3>", _table(scores)]
    told = [*(f"{name}: {fact}" for name, fact in profile(shop).items()), *getattr(shop.report, "notes", [])]
    notes = [note for note in answer.notes if note not in told]  # they stand further up
    return [*parts, "<h3>Two models beside each other</h3>", _table(answer.paired), _list(notes)]


def _forecasts(shop: Shop, answer: Any) -> list[str]:
    """Every large series: its last weeks, and the forecast with its band."""
    task = answer.question.task(shop)
    step, n_back = ("week", 26) if task.season == 1 else ("day", 28)
    unit, table, parts = f"{shop.currency} per {step}", answer.table.groupby("series", sort=False), []
    for name, rows in list(table)[:SHOWN]:
        past = pd.Series(task.panel.values[task.panel.names.index(str(name))], task.panel.days)[-n_back:]
        low, middle, high = (rows[column].to_numpy() for column in ("low", "middle", "high"))

        def draw(ax: Axes, past: pd.Series = past, rows: pd.DataFrame = rows, name: str = str(name)) -> None:
            ax.plot(past.index, past, color=GREY, label="sold")
            ax.plot(rows["day"], rows["middle"], color=BLUE, label="forecast")
            ax.fill_between(rows["day"], rows["low"], rows["high"], color=BLUE, alpha=0.25, label="80 %")
            ax.set(title=name, ylabel=unit, ylim=(0, 1.3 * ax.get_ylim()[1]))
            ax.legend(fontsize=7, ncols=3, loc="upper center")
            ticks = AutoDateLocator(maxticks=5)
            ax.xaxis.set(major_locator=ticks, major_formatter=ConciseDateFormatter(ticks))

        band = f", with a band from {low.min():,.0f} to {high.max():,.0f}" if np.isfinite(low).all() else ""
        alt = f"{name}: the last {n_back} {step}s were {past.mean():,.0f} {unit} on average; the next "
        parts.append(_picture(draw, f"{alt}{len(rows)} are forecast as {middle.mean():,.0f}{band}."))
    return parts


def _buyers(shop: Shop, answer: Any) -> list[str]:
    """Whether a probability is what it says, and how many buyers are expected of each category."""
    found = np.array(answer.question.plan["reliability"])

    def reliability(ax: Axes) -> None:
        top = 1.05 * found.max()
        ax.plot([0, top], [0, top], color=GREY, linewidth=0.8, label="as it should be")
        ax.plot(*found.T, "o-", color=BLUE, label=answer.chosen)
        ax.set(xlabel="probability that was said", ylabel="share that bought", title="In the last weeks")
        ax.legend(fontsize=7)

    told = "; ".join(f"said {said:.1%}, bought {bought:.1%}" for said, bought in found[[0, -1]])
    expected = answer.table.groupby("category")["probability"].sum().nlargest(SHOWN)
    return [
        _picture(reliability, f"Tenths of the rows by the probability of {answer.chosen}: {told}."),
        _bars(expected, "expected buyers in the next week", "Categories"),
    ]


def _lists(shop: Shop, answer: Any) -> list[str]:
    """The items that stand in most lists."""
    return [_bars(answer.table["item"].value_counts().head(SHOWN), "lists that show it", "Items")]


def _bars(values: pd.Series, xlabel: str, title: str) -> str:
    def draw(ax: Axes) -> None:
        ax.barh([str(name)[:28] for name in values.index], values, color=BLUE)
        ax.invert_yaxis()
        ax.set(xlabel=xlabel, title=title)

    told = ", ".join(f"{name} {value:,.0f}" for name, value in values.head(3).items())
    return _picture(draw, f"{title} by {xlabel}: {told} are the most.")


def _picture(draw: Callable[[Axes], None], alt: str) -> str:
    figure = Figure(figsize=(4.2, 2.8), layout="constrained")
    draw(figure.subplots())
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    code = b64encode(file.getvalue()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{code}">'


def _table(table: pd.DataFrame, header: bool = True) -> str:
    text = table.to_html(index=False, header=header, border=0, float_format="{:,.4g}".format, na_rep="")
    return f'<div class="wide" tabindex="0">{text}</div>'


def _advice(text: str) -> str:
    return f'<p class="advice">{escape(text)}</p>'


def _list(texts: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>" if texts else ""
