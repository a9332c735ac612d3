"""Sales without orders: daily and weekly reports become panels, and every model of the room takes them."""

import numpy as np
import pandas as pd
import pytest

from ecomlib import Split, sales
from ecomlib.own.sales_reader import read_sales
from ecomlib.shop.errors import ShopError

WEEKLY = Split.last(test="56D", valid="28D")


def report(path, freq, n, first="2022-01-03", planned=0):
    rng = np.random.default_rng(0)
    days = pd.date_range(first, periods=n + planned, freq=freq)
    rows = pd.DataFrame([(d, s) for d in days for s in ("north", "south")], columns=["Day", "Store"]).assign(
        Promo=lambda r: np.where(r.index % 6 < 2, "yes", "no"), Price=2.0
    )
    rows["Sold"] = (100 + 20 * (rows["Promo"] == "yes") + rng.normal(0, 5, len(rows))).round(2)
    rows.loc[rows["Day"].isin(days[n:]), "Sold"] = np.nan
    rows.to_csv(path, index=False)
    return rows


@pytest.fixture(scope="module")
def weekly(tmp_path_factory):
    path = tmp_path_factory.mktemp("sales") / "weekly.csv"
    rows = report(path, "7D", 110, planned=3)
    return rows, read_sales(path, date="Day", series="store", amount="SOLD", promotion="Promo", price="Price")


def test_weeks_stay_weeks(weekly):
    rows, panel = weekly
    assert panel.values.shape == (2, 110)
    assert (panel.values > 0).all()  # no days without sales in between
    assert panel.days[-1] == rows["Day"].unique()[109]  # the newest week is whole
    np.testing.assert_allclose(
        panel.values[0], rows.loc[rows["Store"] == "north", "Sold"].dropna(), rtol=1e-6
    )


def test_the_task_of_weeks(weekly):
    rows, panel = weekly
    task = sales.task(panel, WEEKLY, lookback=12, horizon=4)
    assert task.season == 1
    assert not {"Mon", "Sun"} & set(task.known_names)
    assert task.known.shape == (2, 114, len(task.known_names))
    promo = task.known[0, :, task.known_names.index("promotion")]
    wanted = (rows.loc[rows["Store"] == "north", "Promo"] == "yes").to_numpy()
    assert promo.tolist() == [
        *wanted.astype(float),
        0.0,
    ]  # three planned weeks, and one of which nothing is said
    cutoffs = task.cutoffs("test")
    assert len(cutoffs) == 8 - 4 + 1
    forecast = sales.WeekdayMean(8).fit(task).predict(task, cutoffs)
    past = task.panel.values[:, cutoffs[0] - 7 : cutoffs[0] + 1]
    np.testing.assert_allclose(forecast[0, :, 0, 1], past.mean(axis=1), rtol=1e-5)
    windows = task.windows(cutoffs[:1])
    naive = windows.weekday_mean(1)[:, 3] * windows.scale[:, 0]
    np.testing.assert_allclose(naive, past[:, -1], rtol=1e-5)
    wape = sales.evaluate(task, {"mean": forecast}).set_index("metric").loc["WAPE", "value"]
    assert 0.03 < wape < 0.12  # noise of 5 and promotions of 20 on 107


@pytest.mark.slow
def test_every_model_forecasts_weeks(weekly):
    task = sales.task(weekly[1], WEEKLY, lookback=12, horizon=4)
    cutoffs = task.cutoffs("next")
    models = (
        sales.ETS(),
        sales.Theta(),
        sales.LightGBM(n_estimators=20),
        sales.SalesLSTM(epochs=1, members=1),
    )
    for model in models:
        forecast = model.fit(task).predict(task, cutoffs)
        assert forecast.shape == (1, 2, 4, 3)
        assert ((forecast > 50) & (forecast < 170)).all(), model.name


def test_days_are_filled_and_stores_added_up(tmp_path):
    path = tmp_path / "daily.csv"
    rows = report(path, "D", 200)
    rows.drop(index=[10, 11]).to_csv(path, index=False, sep=";", decimal=",")
    panel = read_sales(path, date="Day", series=None, amount="Sold")
    assert panel.values.shape == (1, 200)
    assert panel.values[0, 5] == 0
    np.testing.assert_allclose(panel.values[0, 7], rows["Sold"][14:16].sum(), rtol=1e-6)
    task = sales.task(panel, Split.last(test="28D", valid="28D"))
    assert task.season == 7
    assert task.known_names[:2] == ["Mon", "Tue"]


def test_what_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "daily.csv"
    report(path, "D", 50)
    for options, words in (
        ({"amount": "Umsatz"}, "no column 'Umsatz' for amount="),
        ({"date": "Promo"}, "is no date and time"),
        ({"amount": "Promo"}, "is no number"),
    ):
        with pytest.raises(ShopError, match=words):
            read_sales(path, **{"date": "Day", "series": "Store", "amount": "Sold", **options})
    report(path, "MS", 20)
    with pytest.raises(ShopError, match="31 days apart; give sums of days or weeks"):
        read_sales(path, date="Day", series="Store", amount="Sold")
    report(path, "7D", 1)
    with pytest.raises(ShopError, match="all sales have one date"):
        read_sales(path, date="Day", series="Store", amount="Sold")
    report(path, "7D", 20)
    panel = read_sales(path, date="Day", series="Store", amount="Sold")
    with pytest.raises(ShopError, match="20 weeks are too few"):
        sales.task(panel, WEEKLY, lookback=12, horizon=4)
