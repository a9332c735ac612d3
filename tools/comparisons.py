"""What the committed tables say: every paired comparison with an LSTM, in one form and by one rule.

The tables are `benchmarks/results/*.csv`. A paired row is named "A / B" (a ratio) or "A minus B"
(a difference). The LSTM is *better* or *worse* where the 95 % interval excludes the tie; else it is *level*.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAIR = re.compile(r"(?P<ours>.+?) (?P<sign>/|minus) (?P<rival>.+)")
SMALLER = ("WAPE", "log-loss", "MAE", "MSE", "pinball", "MASE", "RMSSE", "Brier")  # the smaller, the better
HEADLINES = ("WAPE", "log-loss", "recall@10", "MAE", "average precision", "AUC")
ALONE = ("LSTM", "shared LSTM")
JOINED = (
    "LSTM, joined",
    "LSTM and LightGBM",
    "mean of LSTM and LightGBM",
    "shared LSTM joined with LightGBM",
)
FIRST, SECOND, MUSIC = "Complete Journey", "Online Retail", "CDNOW"
BEST, LEVEL, WORST = "better", "level", "worse"


@dataclass(frozen=True)
class Comparison:
    """One network against one rival: `value` is a ratio or a difference, with its 95 % interval."""

    ours: str
    rival: str
    metric: str
    value: float
    low: float
    high: float
    ratio: bool
    rivals_own: float  # the rival's own figure of this metric; NaN where the table has none

    @property
    def verdict(self) -> str:
        """Whether the network is better, level or worse: the interval must exclude the tie."""
        tie = 1.0 if self.ratio else 0.0
        if self.low <= tie <= self.high:
            return LEVEL
        return BEST if (self.value < tie) == (self.metric in SMALLER) else WORST

    @property
    def gain(self) -> tuple[float, float, float]:
        """By how many per cent of the rival's figure the network is better, with the interval."""
        shares = [v - 1 if self.ratio else v / self.rivals_own for v in (self.value, self.low, self.high)]
        value, low, high = (100 * share for share in shares)
        return (-value, -high, -low) if self.metric in SMALLER else (value, low, high)

    @property
    def text(self) -> str:
        """The value with its interval."""
        return _rounded(self.value, self.low, self.high, "" if self.ratio else "+")


@dataclass(frozen=True)
class Table:
    """Which rows of a table belong together, and what they are about."""

    title: str
    name: str  # the table: benchmarks/results/<name>.csv
    where: Mapping[str, object]
    metric: str
    shop: str = FIRST
    lesson: str = ""
    front: bool = False  # one of the questions of the first page
    ours: tuple[str, ...] = ALONE + JOINED


SALES = {"dataset": "categories", "holidays": "in", "series": "all"}
TYPES = {"level": "product_type"}
TABLES = [
    Table(
        "Sales of 7 days, 60 categories", "sales", SALES | {"period": "test"}, "WAPE", lesson="23", front=True
    ),
    Table(
        "Sales of 7 days, 24 weeks instead of 8", "sales", SALES | {"period": "24 weeks"}, "WAPE", lesson="23"
    ),
    Table(
        "Shopping weeks of the next month",
        "visits",
        {"weeks": "45-52", "part": "test"},
        "log-loss",
        lesson="16",
        front=True,
    ),
    Table(
        "Purchases: who buys which category next week",
        "purchases",
        {"where": "paired"},
        "log-loss",
        lesson="33",
        front=True,
    ),
    Table(
        "Recommendation: new product types",
        "recommend",
        TYPES | {"question": "discovery", "window": "45-52"},
        "recall@10",
        lesson="43",
        front=True,
    ),
    Table(
        "Recommendation: whole next basket",
        "recommend",
        TYPES | {"question": "whole", "window": "45-52"},
        "recall@10",
        lesson="43",
        front=True,
    ),
    Table(
        "Purchases: how often each customer buys",
        "purchases",
        {"where": "CDNOW"},
        "MAE",
        MUSIC,
        "33",
        front=True,
    ),
    Table(
        "Sales by week", "second_shop", {"use": "sales", "where": "weekly"}, "WAPE", SECOND, "23", front=True
    ),
    Table(
        "Sales by day", "second_shop", {"use": "sales", "where": "daily"}, "WAPE", SECOND, "23", front=True
    ),
    Table(
        "Shopping weeks of the next month",
        "second_shop",
        {"use": "silence"},
        "log-loss",
        SECOND,
        "16",
        front=True,
    ),
    Table(
        "Purchases: who buys which product next week",
        "second_shop",
        {"use": "purchases"},
        "log-loss",
        SECOND,
        "33",
        front=True,
    ),
    Table(
        "Recommendation: new products",
        "second_shop",
        {"use": "discovery"},
        "recall@10",
        SECOND,
        "43",
        front=True,
    ),
    Table(
        "Recommendation: whole next basket",
        "second_shop",
        {"use": "whole"},
        "recall@10",
        SECOND,
        "43",
        front=True,
    ),
    Table("Sales, against other libraries", "peers", {"task": "sales"}, "WAPE", lesson="23"),
    Table(
        "Recommendation, against other libraries", "peers", {"task": "discovery"}, "recall@10", lesson="43"
    ),
    Table("Purchases: how many, against another library", "peers", {"task": "CDNOW"}, "MAE", MUSIC, "33"),
    Table(
        "Which cell? Shopping weeks, a fifth of the households",
        "cells",
        {"task": "visits", "at": 20},
        "log-loss",
        lesson="51",
    ),
]


def read(name: str) -> pd.DataFrame:
    """Read a committed table."""
    return pd.read_csv(RESULTS / f"{name}.csv")


def comparisons(table: Table) -> list[Comparison]:
    """The paired rows of a table, the network first, in the order of the file.

    A row with the network as the second is turned round; of two rows for one pair the first is kept.
    """
    rows = every = read(table.name)
    for column, wanted in table.where.items():
        rows = rows[rows[column] == wanted]
    single = pd.concat([rows, every])[lambda t: t["metric"] == table.metric]  # some stand without a place
    own = single.drop_duplicates("model").set_index("model")["value"]
    found: dict[tuple[str, str], Comparison] = {}
    for row in rows[rows["metric"] == table.metric].itertuples():
        pair = PAIR.fullmatch(str(row.model))
        if not pair:
            continue
        ours, rival, ratio = pair["ours"], pair["rival"], pair["sign"] == "/"
        value, low, high = float(row.value), float(row.low), float(row.high)
        if ours not in table.ours and rival in table.ours:  # "LightGBM minus LSTM"
            ours, rival = rival, ours
            value, low, high = (1 / v if ratio else -v for v in (value, high, low))
        variant = "LSTM" in rival and not (ours in JOINED and rival in ALONE)
        if ours in table.ours and not variant:
            own_figure = float(own.get(rival, float("nan")))
            each = Comparison(ours, rival, table.metric, value, low, high, ratio, own_figure)
            found.setdefault((ours, rival), each)
    return list(found.values())


def others() -> list[Table]:
    """Tables of benchmarks that TABLES does not name: a paired row with an LSTM makes one."""
    made = []
    for path in sorted(RESULTS.glob("*.csv")):
        rows = pd.read_csv(path)
        if path.stem in {table.name for table in TABLES} or "metric" not in rows:
            continue
        paired = rows[rows["model"].str.contains(r" / | minus ") & rows["metric"].isin(HEADLINES)]
        places = [name for name in rows.columns[6:] if paired[name].nunique() > 1]
        for key, part in paired.groupby([*places, "metric"], sort=False, dropna=False):
            where = {name: v for name, v in zip(places, key, strict=False) if not pd.isna(v)}
            names = {name for model in part["model"] for name in re.split(r" / | minus ", model)}
            ours = tuple(sorted(name for name in names if name.startswith("LSTM")))
            title = ", ".join(str(v) for v in where.values()) or path.stem
            table = Table(title, path.stem, where, str(key[-1]), "", ours=ours)
            if comparisons(table):
                made.append(table)
    return made


def strongest() -> list[tuple[Table, Comparison]]:
    """The LSTM alone against the rival with the best figure, for each question of the first page."""
    picked = []
    for table in TABLES:
        if table.front:
            alone = [each for each in comparisons(table) if each.ours in ALONE]
            best = min if table.metric in SMALLER else max
            picked.append((table, best(alone, key=lambda each: each.rivals_own)))
    return picked


def _rounded(value: float, low: float, high: float, sign: str) -> str:
    digits = 4 if max(abs(low), abs(high)) < 0.02 else 3
    return f"{value:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
