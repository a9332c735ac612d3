"""The first page's parts that come from the course itself: results, map, minutes, which lesson, the picture.

python -m tools.front     rewrite them in README.md, and draw book/_static/results.png

The web book takes the top of README.md for its own first page.
"""

import hashlib
import re
from pathlib import Path

from tools.comparisons import (
    ALONE,
    BEST,
    FIRST,
    LEVEL,
    MUSIC,
    SECOND,
    TABLES,
    WORST,
    Comparison,
    Table,
    comparisons,
    strongest,
)
from tools.form.lesson import MINUTES, README, ROOT, TITLE, find_lessons
from tools.teaching.parts import PARTS

PICTURE = ROOT / "book" / "_static" / "results.png"
BLOCK = r"(<!-- {name}: .*? -->\n)(.*?)(<!-- end of {name} -->)"
SHOPS = {
    FIRST: "Complete Journey, supermarkets",
    SECOND: "Online Retail, a gift shop",
    MUSIC: "CDNOW, a music shop",
}
COLOURS = {BEST: "#0173b2", LEVEL: "#6b6b6b", WORST: "#c1430b"}
MARKS = {BEST: "^", LEVEL: "o", WORST: "v"}

# The three results of the first page: a table, the rival, what is asked, what it is compared with.
THREE = [
    (
        0,
        "mean of 8 weeks",
        "how much will each of 60 categories sell in the next 7 days?",
        "the mean of the last 8 weeks, weekday by weekday",
    ),
    (
        4,
        "linear mix",
        "which kinds of product will a household buy for the first time?",
        "a linear mix of ALS, EASE and two trends",
    ),
    (
        6,
        "Pareto/NBD",
        "how often will each customer of a music shop buy again?",
        "Pareto/NBD, a model with four parameters",
    ),
]
METRICS = {"WAPE": "absolute error (WAPE)", "recall@10": "recall@10", "MAE": "mean absolute error"}

# Where to begin: what someone wants, and the lessons for it; those that do not exist are left out.
WISHES = [
    ("see in half an hour what this is", ["00"]),
    ("learn neural networks from one neuron on", ["10"]),
    ("look at a shop's data: trips, gaps, baskets, campaigns", ["11"]),
    ("understand what an LSTM computes, and why gradients vanish", ["12", "13", "14"]),
    ("train a first Keras LSTM on customers' visits (churn, repeat purchases)", ["15", "16"]),
    ("find out why a network does not learn", ["17"]),
    ("forecast sales or demand for many products", ["21", "22", "23"]),
    ("predict who buys again, and what", ["31", "32", "33"]),
    ("recommend products, fill the next basket", ["41", "42", "43"]),
    ("choose between RNN, LSTM, GRU, Transformer and trees", ["51"]),
    ("use thousands of inputs, gaps in the data, or mixed kinds of data", ["52", "53", "54"]),
    ("serve a live stream, or more data than one machine holds", ["55", "56"]),
    ("use your own export, and run it every week", ["61", "62"]),
]


def heads() -> dict[str, tuple[str, str, dict[str, float]]]:
    """Each lesson's number -> its file in `notebooks/`, its title, its minutes."""
    found = {}
    for lesson in find_lessons():
        first = lesson.cells[0].source
        title, minutes = TITLE.search(first), MINUTES.search(first)
        if not lesson.is_solution and title and minutes:
            times = {name: float(minutes[name]) for name in ("read", "run", "exercises")}
            found[lesson.number] = (lesson.path.name, title[0].removeprefix("# "), times)
    return found


def three_results() -> list[tuple[Table, Comparison, str, str]]:
    """The results of the first page: a table, a comparison, the question, what it is compared with."""
    rows = []
    for place, rival, question, against in THREE:
        table = TABLES[place]
        one = next(c for c in comparisons(table) if c.ours in ALONE and c.rival == rival)
        rows.append((table, one, question, against))
    return rows


def results_block() -> str:
    """Markdown table of the three results, and how often the LSTM is better over all questions."""
    lessons = heads()
    rows = ["| a shop asks | the LSTM is compared with | result | the LSTM is |", "| --- | --- | --- | --- |"]
    for table, one, question, against in three_results():
        value, (low, high) = one.gain[0], sorted(one.gain[1:])
        what = METRICS[table.metric]
        kind = ("lower" if value > 0 else "higher") if table.metric in ("WAPE", "MAE") else "higher"
        shown, low, high = (value, low, high) if kind != "higher" or value > 0 else (-value, -high, -low)
        result = f"{what} {shown:.0f} % {kind} [{low:.0f}, {high:.0f}]"
        link = f"[lesson {table.lesson}](notebooks/{lessons[table.lesson][0]})"
        rows.append(f"| {question} ({link}) | {against} | {result} | **{one.verdict}** |")
    return "\n".join(rows) + "\n\n" + tally() + "\n"


def tally() -> str:
    """In one sentence: in how many questions the LSTM is better, level and worse."""
    verdicts = [one.verdict for _, one in strongest()]
    counts = [f"{word} in {verdicts.count(word)}" for word in (BEST, LEVEL, WORST)]
    shops = len({table.shop for table, _ in strongest()})
    return (
        f"Against the best of its rivals, in {len(verdicts)} questions over {shops} shops, the LSTM alone is "
        f"{counts[0]}, {counts[1]} and {counts[2]}."
    )


def map_block() -> str:
    """Markdown table: each part of the course with its lessons and the hours that it takes."""
    rows = ["| part | lessons | hours |", "| --- | --- | ---: |"]
    lessons = heads()
    for digit, part in PARTS.items():
        there = {number: head for number, head in lessons.items() if number[0] == digit}
        links = " · ".join(f"[{short(title, file)}](notebooks/{file})" for file, title, _ in there.values())
        minutes = sum(sum(times.values()) for _, _, times in there.values())
        if there:
            rows.append(f"| {part} | {links} | {minutes / 60:.1f} |")
    return "\n".join(rows) + "\n\n" + hours() + "\n"


def short(title: str, file: str) -> str:
    """A lesson's title for the map: up to the colon, for a use case its step (prepare, train, evaluate)."""
    number, step = title[:2], Path(file).stem.split("_")[-1]
    return f"{number} · {step}" if number[0] in "234" else title.split(": ")[0]


def hours() -> str:
    """In one sentence: how long a lesson takes, and all of them."""
    times = [head[2] for head in heads().values()]
    sums = {name: sum(each[name] for each in times) for name in times[0]}
    whole = sorted(sum(each.values()) for each in times)
    longest = max(each["run"] for each in times)
    return (
        f"A lesson takes {whole[0]:.0f} to {whole[-1]:.0f} minutes with its exercises, "
        f"{whole[len(whole) // 2]:.0f} at the median; the computer needs {longest:.0f} of them at most. "
        f"All {len(times)} lessons together: {sums['read'] / 60:.0f} hours to read and "
        f"{sums['exercises'] / 60:.0f} to exercise."
    )


def wishes_block() -> str:
    """Markdown table: what someone wants, and where to begin."""
    rows, lessons = ["| you want to | begin with |", "| --- | --- |"], heads()
    for wish, numbers in WISHES:
        links = [f"[{n}](notebooks/{lessons[n][0]})" for n in numbers if n in lessons]
        if links:
            rows.append(f"| {wish} | {', '.join(links)} |")
    return "\n".join(rows) + "\n"


def sign() -> str:
    """Letters that change with any figure of the picture."""
    rows = [
        (table.shop, table.title, one.rival, *(f"{g:.1f}" for g in one.gain)) for table, one in strongest()
    ]
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:12]


def draw(path: Path = PICTURE) -> None:
    """Draw the LSTM against the best of its rivals, in per cent of the rival's figure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = strongest()
    shops = list(SHOPS)
    rows.sort(key=lambda row: (shops.index(row[0].shop), -row[1].gain[0]))
    figure, ax = plt.subplots(figsize=(8, 5.2), dpi=200)
    y, labels, before = 0.0, [], ""
    for table, one in rows:
        if table.shop != before:
            before = table.shop
            ax.text(-0.02, y - 0.5, SHOPS[before], weight="bold", va="center", ha="right", fontsize=9.5,
                    transform=ax.get_yaxis_transform())  # fmt: skip
            y -= 1.4
        (value, low, high), colour = one.gain, COLOURS[one.verdict]
        spread = [[value - low], [high - value]]
        ax.errorbar(value, y, xerr=spread, capsize=3, lw=2, ms=7, color=colour, marker=MARKS[one.verdict])
        ax.text(12.5, y, one.verdict, color=colour, va="center", fontsize=9.5, weight="bold")
        title = table.title.split(": ")[-1]
        labels.append((y, f"{title[0].lower()}{title[1:]}, beside {one.rival}"))
        y -= 1
    ax.axvline(0, color="0.3", lw=1)
    ax.set_yticks([at for at, _ in labels], [text for _, text in labels], fontsize=9)
    ax.set(xlim=(-28, 18), ylim=(y + 0.3, 0))
    ax.set_xticks([-20, -10, 0, 10], ["20 % worse", "10 %", "level", "10 % better"], fontsize=9)
    found = ", ".join(f"{word} in {sum(one.verdict == word for _, one in rows)}" for word in MARKS)
    figure.suptitle(f"An LSTM beside its best rival: {found}", weight="bold", fontsize=13, x=0.02, ha="left")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    figure.tight_layout()
    figure.savefig(path, metadata={"Title": sign(), "Software": None})
    plt.close(figure)


def alt() -> str:
    """What the picture shows, in words."""
    said = []
    for word in MARKS:
        names = [f"{t.title.split(': ')[-1]} ({t.shop})" for t, one in strongest() if one.verdict == word]
        said.append(f"{word} in {len(names)}, {', '.join(names)}")
    return f"Forest plot of an LSTM beside the best of its rivals, with 95 % intervals: {'; '.join(said)}."


def replaced(text: str) -> str:
    """Text of README.md with the blocks made anew."""
    blocks = {"results": results_block(), "map": map_block(), "wishes": wishes_block()}
    blocks["picture"] = f"![{alt()}](book/_static/results.png)\n"
    for name, made in blocks.items():
        found = re.search(BLOCK.format(name=name), text, re.DOTALL)
        text = text.replace(found[0], found[1] + made + found[3]) if found else text
    return text


def main() -> None:
    """Rewrite README.md's blocks and draw the picture where a figure of it has moved."""
    text = README.read_text(encoding="utf-8")
    if (new := replaced(text)) != text:
        README.write_text(new, encoding="utf-8")
    if drawn() != sign():
        draw()


def drawn() -> str:
    """The sign in the committed picture; "" where there is none."""
    from PIL import Image

    return Image.open(PICTURE).info.get("Title", "") if PICTURE.exists() else ""


if __name__ == "__main__":
    main()
