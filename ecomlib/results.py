"""The one results table in which every use case ends: made, read, and turned into advice."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from ecomlib.bootstrap import interval, mean_of_fits
from ecomlib.runtime import ROOT
from ecomlib.shop.errors import BadValue

COLUMNS = ["model", "metric", "value", "low", "high"]


def results_table(rows: Iterable[tuple[str, str, float, float, float]]) -> pd.DataFrame:
    """Build the results table: columns model, metric, value, low, high."""
    return pd.DataFrame(list(rows), columns=COLUMNS)


Scores = dict[str, np.ndarray]  # metric -> (1 + n,): on the data, then on n bootstrap samples
Forecasts = Mapping[str, np.ndarray | list[np.ndarray]]  # a model's forecast, or one per fit


def score_fits(score: Callable[[np.ndarray], Scores], forecasts: Forecasts) -> dict[str, Scores]:
    """Scores of every model on samples that all share; of several fits their mean, with fits drawn."""
    lists = {model: made if isinstance(made, list) else [made] for model, made in forecasts.items()}
    return {
        model: mean_of_fits([score(each) for each in made], stream)
        for stream, (model, made) in enumerate(lists.items())
    }


def score_table(
    draws: Mapping[str, Mapping[str, np.ndarray]], headline: str, smaller_is_better: bool = True
) -> pd.DataFrame:
    """Build the results table of several models from the draws of their metrics.

    A row per model and metric, and a row "<headline> / best" per model: the paired ratio to the model with
    the best headline. Its interval holds 1 where the two are level. `draws`: see `score_fits`.
    """
    value = {model: float(scores[headline][0]) for model, scores in draws.items()}
    if broken := [model for model in value if not np.isfinite(value[model])]:
        raise BadValue(
            f"{broken[0]}: its forecasts hold a value that is no number; train it again or leave it out."
        )
    best = (min if smaller_is_better else max)(value, key=lambda model: value[model])
    rows = []
    for model, scores in draws.items():
        rows += [(model, metric, *interval(values)) for metric, values in scores.items()]
        rows.append((model, f"{headline} / best", *interval(scores[headline] / draws[best][headline])))
    return results_table(rows)


def advice(table: pd.DataFrame) -> str:
    """Say in one sentence which model of a table of `evaluate` to use: the first that is level with the best.

    Models stand in the table from simple to complex. Two models are level when the paired interval of
    their ratio holds 1.
    """
    headline = table["metric"][table["metric"].str.endswith(" / best")].iloc[0].removesuffix(" / best")
    value = table[table["metric"] == headline].set_index("model")["value"]
    ratio = table[table["metric"] == f"{headline} / best"].set_index("model")
    best = str(ratio.index[(ratio["value"] == 1) | ratio["value"].isna()][0])  # 0 / 0 where the best is 0
    level = (ratio["low"] <= 1) & (ratio["high"] >= 1)
    use = str(level.index[level.to_numpy()][0]) if level.any() else best
    spread = f"{headline} {value[use]:.4g}"
    if use == best:
        return f"Use {use}: {spread}, and no simpler model is level with it."
    row = ratio.loc[use]
    return (
        f"Use {use}: {spread}, level with {best}, which is more complex "
        f"(ratio {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}])."
    )


def read_benchmark(name: str) -> pd.DataFrame:
    """Read a committed comparison, `benchmarks/results/<name>.csv`: COLUMNS, seeds, a row's place."""
    path = ROOT / "benchmarks" / "results" / f"{name}.csv"
    if not path.exists():
        where = path.relative_to(ROOT).as_posix()
        raise FileNotFoundError(f"{where} is missing; it comes with the course: git checkout {where}")
    return pd.read_csv(path)
