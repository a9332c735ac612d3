"""The benchmark of sales by hand: which part a fit sees, pairs, pooled windows, money, groups of series."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import run
from benchmarks.quality import sales as bench
from ecomlib.panels import Panel
from ecomlib.sales import SalesTask, WeekdayMean

PLACE = {"dataset": "categories", "period": "test", "horizon": 7}


class Off:
    """Says the truth plus `by`, in the test `late` more; its band is a dollar wide on each side."""

    def __init__(self, by: float, seed: int = 0, late: float = 0):
        self.by, self.seed, self.late, self.seen = by, seed, late, []

    def fit(self, task, part):
        self.seen.append((part, task.n_series))
        return self

    def predict(self, task, cutoffs):
        self.seen.append(cutoffs.tolist())
        off = self.by + self.late * (cutoffs >= task.test_start - 1)[:, None, None]
        return (task.actual(cutoffs) + off)[..., None] + np.array([-1.0, 0, 1])


def task_of(values, names=("BEEF", "SOUP")):
    values = np.asarray(values, np.float32)
    days = pd.date_range("2024-01-01", periods=42)
    known = np.zeros((len(values), 49, 1), np.float32)
    return SalesTask(Panel(values, list(names), days), known, ["nothing"], 14, 28, 42, 14, 7)


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "KEPT", tmp_path)

    def made(task, place=PLACE):
        return bench.Study(task, place, False, lambda text: None)

    return made


def found(rows, model, metric, **where):
    some = [r for r in rows if (r["model"], r["metric"]) == (model, metric)]
    some = [r for r in some if all(r[k] == v for k, v in where.items())]
    assert len(some) == 1
    return some[0]


def test_a_band_is_calibrated_on_validation_and_the_test_is_forecast_after_a_second_fit(study):
    task = task_of(np.full((2, 42), 50.0))
    model = Off(3.0, late=5)
    own = study(task)
    own.fit("LightGBM", [model])
    assert model.seen[0] == ("train", 2) and model.seen[2] == ("refit", 2)
    assert model.seen[1] == task.cutoffs("valid").tolist() == list(range(13, 21))
    assert model.seen[3] == task.cutoffs("test").tolist() == [27, 34]
    # 3 too high in validation: the lower half has to be three times as wide, the upper one shrinks to nothing
    np.testing.assert_allclose(own.forecasts["LightGBM"][0, 0, 0, 0], [55, 58, 58], atol=1e-4)
    np.testing.assert_allclose(own.forecasts["LightGBM, not calibrated"][0, 0, 0, 0], [57, 58, 59])
    arm = Off(1.0)
    own.arm("LSTM, no encoder", [arm])
    assert [seen[0] for seen in arm.seen[::2]] == ["refit"]
    np.testing.assert_allclose(own.forecasts["LSTM, no encoder"][0, 0, 0, 0], [50, 51, 52])


def full(study, values, lstm=1.0):
    """A study of all models; the LSTM's two fits are off by `lstm` and by 3."""
    own = study(task_of(values))
    own.fit("seasonal naive", [WeekdayMean(1)])
    for name, by in {"mean of 8 weeks": 4, "ETS": 8, "Theta": 6, "Ridge": 5}.items():
        own.fit(name, [Off(by)])
    own.fit("LightGBM", [Off(-3.0, 0), Off(-3.0, 1)])
    own.fit("LSTM", [Off(lstm, 0), Off(3.0, 1)])
    own.fit("MLP", [Off(2.0, 0), Off(2.0, 1)])
    own.arm(bench.ONE, [Off(4.0)])
    own.arm("LSTM, no encoder", [Off(5.0)])
    own.means()
    return own


def test_the_rows_of_a_place_by_hand(study):
    own = full(study, np.full((2, 42), 50.0))
    rows = own.rows()
    lstm = found(rows, "LSTM", "WAPE", period="test")
    assert (lstm["value"], lstm["seeds"]) == (pytest.approx(2 / 50), 2)
    assert (lstm["low"], lstm["high"]) == (pytest.approx(1 / 50), pytest.approx(3 / 50))  # a fit drawn twice
    assert found(rows, "LSTM / LightGBM", "WAPE", period="test")["value"] == pytest.approx(2 / 3)
    both = found(rows, f"{bench.BOTH} / LightGBM", "WAPE", period="test")
    assert both["value"] == pytest.approx((1 + 0) / 2 / 3)  # the fits' means are off by -1 and by 0
    part = found(rows, "LSTM, one network / LSTM, no encoder", "WAPE", period="test")
    assert part["value"] == part["high"] == pytest.approx(4 / 5)
    assert {r["series"] for r in rows} == {"all", "fresh", "BEEF", "SOUP"}
    assert found(rows, "LSTM", "coverage", series="SOUP")["value"] == 1
    assert {r["holidays"] for r in rows} == {"in"}  # no week holds a holiday there


def test_the_cost_of_orders_by_hand(study):
    rows = full(study, np.full((2, 42), 50.0)).rows()
    # of BEEF alone, seven days: the mean is 4 over; the best margin for it on validation is 0
    for order in ("the mean itself", "the mean + a margin"):
        assert found(rows, order, "order cost")["value"] == pytest.approx(4 * 7 * 0.05)
    assert found(rows, "ETS", "order cost")["value"] == pytest.approx(8 * 7 * 0.05, rel=1e-3)
    assert found(rows, "LightGBM", "order cost")["value"] == pytest.approx(0, abs=1e-3)  # band reaches 50
    saved = found(rows, "ETS - LSTM", "order cost")
    assert saved["value"] == pytest.approx((8 - 2) * 7 * 0.05, rel=1e-3)
    assert saved["low"] == pytest.approx((8 - 3) * 7 * 0.05, rel=1e-3)
    assert saved["series"] == "fresh"


def test_the_windows_are_pooled_by_the_names_of_the_series(study):
    first, second = full(study, np.full((2, 42), 50.0)), full(study, np.full((2, 42), 50.0))
    second.task = replace(second.task, panel=replace(second.task.panel, names=["SOUP", "BEEF"]))
    second.cutoffs = second.cutoffs - 14
    second.forecasts["ETS"] = second.forecasts["ETS"] + 8
    other = study(task_of(np.full((2, 42), 50.0)), PLACE | {"horizon": 28})
    rows = bench.pooled([first, second, other])
    assert {r["period"] for r in rows} == {f"{len({*first.cutoffs, *second.cutoffs})} weeks"}
    assert found(rows, "ETS", "WAPE")["value"] == pytest.approx((8 + 16) / 2 / 50)
    ratio = found(rows, "LSTM / ETS", "WAPE")
    assert ratio["value"] == pytest.approx(2 / 12) and ratio["low"] < 0.1 < 0.2 < ratio["high"]
    assert ratio["seeds"] == 2


def test_a_model_for_every_few_series_sees_those_only():
    task = task_of(np.arange(4)[:, None] * 10.0 + np.ones((4, 42)), names="ABCD")
    models = []

    def make():
        models.append(Off(0.0))
        return models[-1]

    grouped = bench.InGroups(make, size=2).fit(task, "refit")
    forecast = grouped.predict(task, np.array([27, 34]))
    np.testing.assert_array_equal(forecast[..., 1], task.actual(np.array([27, 34])))
    assert [model.seen[0] for model in models] == [("refit", 2), ("refit", 2)]


def test_a_week_alone_is_compared_with_itself(study):
    own = full(study, np.full((2, 42), 50.0))
    own.forecasts["mean of 8 weeks"][:, -1] += 4.0  # the last week only
    rows = [r for r in own.by_week() if r["model"] == "LSTM / mean of 8 weeks"]
    days = [f"week of {own.task.days[cutoff + 1]:%Y-%m-%d}" for cutoff in own.cutoffs]
    assert [r["period"] for r in rows] == days
    assert [r["value"] for r in rows[:-1]] == pytest.approx([2 / 4] * (len(rows) - 1))
    assert rows[-1]["value"] == pytest.approx(2 / 8) and {r["metric"] for r in rows} == {"WAPE"}


def test_the_weekday_columns_are_left_out_and_no_other():
    task = task_of(np.full((2, 42), 50.0))
    names = ["Mon", "display", "Sun"]
    known = np.zeros((2, 49, 3), np.float32) + [1, 2, 3]
    left = replace(task, known=known, known_names=names).without("weekdays")
    assert left.known_names == ["display"] and (left.known == 2).all()


def test_a_median_alone_learns_from_the_absolute_error_and_has_no_band():
    from ecomlib.sales import model

    class Asked:
        def fit(self, *about):
            forecast = np.array([[[0.0, 3.0, 9.0]], [[0.0, 1.0, 9.0]]])
            self.loss = model.pinball_loss(np.array([[1.0], [2.0]]), forecast).tolist()

        def predict(self, *about):
            return np.array([[[[1.0, 2.0, 3.0]]]])

    pinball, alone = model.pinball_loss, bench.median_only(Asked())
    assert alone.fit("task", "refit") is alone and alone.loss == [[2.0], [1.0]]
    assert alone.predict("task", "cutoffs").tolist() == [[[[2.0, 2.0, 2.0]]]]
    assert model.pinball_loss is pinball


def test_the_committed_table_holds_the_fits_that_the_docstring_names():
    table = pd.read_csv(run.ROOT / "benchmarks" / "results" / "sales.csv")
    main = {"dataset": "categories", "horizon": 7, "metric": "WAPE", "holidays": "in", "series": "all"}
    seeds = table[(table[list(main)] == pd.Series(main)).all(axis=1)].set_index(["period", "model"])["seeds"]
    for period, n in {"test": 3, "autumn": 2, "summer": 2, "24 weeks": 2}.items():
        assert [seeds[period, name] for name in ("LSTM", "MLP", "LightGBM", bench.BOTH)] == [n] * 4
    assert all(seeds["test", name] == 1 for name in [*bench.ARMS, *bench.PARTS])
    weekly = table["period"].str.startswith("week of ")
    places = {tuple(place.values()) for place in bench.PLACES} | {("categories", "24 weeks", 7)}
    found = table.loc[~weekly, ["dataset", "period", "horizon"]]
    assert set(found.itertuples(index=False, name=None)) == places
    mondays = [f"week of {day:%Y-%m-%d}" for day in pd.date_range("2017-07-17", periods=24, freq="7D")]
    counts = table[weekly].groupby("model")["period"].agg(list)
    assert {name: sorted(weeks) for name, weeks in counts.items()} == {
        " / ".join(pair): mondays for pair in bench.WEEKLY
    }
    departments = set(table.loc[table["dataset"] == "departments", "model"])
    assert {"MLP", "LSTM", "LightGBM", "Theta", bench.BOTH} <= departments
