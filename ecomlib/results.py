"""The one results table in which every use case ends: made, read, drawn, and turned into advice."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ecomlib.bootstrap import interval
from ecomlib.runtime import ROOT
from ecomlib.shop.errors import BadValue

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ["model", "metric", "value", "low", "high"]


def results_table(rows: Iterable[tuple[str, str, float, float, float]]) -> pd.DataFrame:
    """Build the results table: columns model, metric, value, low, high."""
    return pd.DataFrame(list(rows), columns=COLUMNS)


def score_table(
    draws: Mapping[str, Mapping[str, np.ndarray]], headline: str, smaller_is_better: bool = True
) -> pd.DataFrame:
    """Build the results table of several models from the draws of their metrics.

    A row per model and metric, and a row "<headline> / best" per model: the paired ratio to the model with
    the best headline. Its interval holds 1 where the two are level.

    Parameters
    ----------
    draws : dict of model to dict of metric to array (1 + n,)
        Entry 0 is the metric on the data, the rest on bootstrap samples that all models share.
    headline : str
        The metric by which models are compared.
    """
    best = _best({model: scores[headline][0] for model, scores in draws.items()}, smaller_is_better)
    rows = []
    for model, scores in draws.items():
        rows += [(model, metric, *interval(values)) for metric, values in scores.items()]
        rows.append((model, f"{headline} / best", *interval(scores[headline] / draws[best][headline])))
    return results_table(rows)


def _best(values: Mapping[str, float], smaller_is_better: bool) -> str:
    if not np.isfinite(list(values.values())).all():
        broken = next(model for model, value in values.items() if not np.isfinite(value))
        raise BadValue(
            f"{broken}: its forecasts hold a value that is no number; train it again or leave it out."
        )
    return (min if smaller_is_better else max)(values, key=lambda model: values[model])


def advise(table: pd.DataFrame, headline: str, smaller_is_better: bool = True) -> str:
    """Say in one sentence which model to use: the first that is level with the best.

    Models stand in the table from simple to complex. Two models are level when the paired interval of
    their ratio holds 1.
    """
    value = table[table["metric"] == headline].set_index("model")["value"]
    ratio = table[table["metric"] == f"{headline} / best"].set_index("model")
    best = _best(value.to_dict(), smaller_is_better)
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
    """Read a committed full comparison, `benchmarks/results/<name>.csv`.

    Its columns are model, metric, value, low, high, seeds, and those that tell where the row belongs.
    """
    path = ROOT / "benchmarks" / "results" / f"{name}.csv"
    if not path.exists():
        where = path.relative_to(ROOT).as_posix()
        raise FileNotFoundError(f"{where} is missing; it comes with the course: git checkout {where}")
    return pd.read_csv(path)


def score_bars(
    results: pd.DataFrame,
    xlabel: str,
    title: str,
    highlight: Mapping[str, str] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the rows of one metric as bars with intervals; `highlight` gives colours, the rest is grey."""
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(8, 0.5 + 0.4 * len(results)))[1]
    colours = [(highlight or {}).get(model, "0.65") for model in results["model"]]
    reach = [results["value"] - results["low"], results["high"] - results["value"]]
    ax.barh(results["model"], results["value"], color=colours)
    ax.errorbar(results["value"], results["model"], xerr=reach, fmt="none", color="black", capsize=3)
    ax.invert_yaxis()
    ax.set(xlabel=xlabel, title=title)
    return ax
