"""Draws of whole units, intervals, paired ratios: by hand and against textbooks and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ecomlib.bootstrap import Draws, draw_units, interval, mean_of_fits, ratio_interval
from ecomlib.lessons.bars import score_bars
from ecomlib.probability import brier, log_loss, ranking_draws
from ecomlib.results import COLUMNS, advice, read_benchmark, results_table, score_fits, score_table
from ecomlib.shop import BadValue

RNG = np.random.default_rng(0)


def test_draws_count_units_and_begin_with_the_data():
    draws = draw_units(50, n=400, seed=3)
    assert draws.shape == (401, 50)
    assert (draws[0] == 1).all() and (draws.sum(axis=1) == 50).all()
    assert draws[1:].std(axis=0).mean() == pytest.approx(np.sqrt(0.98), rel=0.1)  # multinomial, not a shuffle
    np.testing.assert_array_equal(draws, draw_units(50, n=400, seed=3))
    assert (draws[1:] != draw_units(50, n=400, seed=4)[1:]).any()


def test_the_defaults_are_a_thousand_draws_of_seed_0():
    np.testing.assert_array_equal(draw_units(7), draw_units(7, n=1000, seed=0))
    assert draw_units(7).dtype == np.float32
    x = RNG.gamma(1, 1, 30)
    assert ratio_interval(x, np.ones(30)) == ratio_interval(x, np.ones(30), n=1000, seed=0, level=0.95)
    assert ratio_interval(x, np.ones(30)) != ratio_interval(x, np.ones(30), seed=1)


def test_the_draws_of_rows_and_of_fits_can_be_drawn_again():
    unit, week = RNG.integers(0, 9, 40), RNG.integers(0, 5, 40)
    first, again, other = (Draws.of(unit, week, 20, seed) for seed in (1, 1, 2))
    for name in ("units", "weeks"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (getattr(first, name) != getattr(other, name)).any()
        np.testing.assert_array_equal(
            getattr(Draws.of(unit, week), name), getattr(Draws.of(unit, week, 1000, 0), name)
        )
    assert len(list(first.counts())) == 21 and len(list(first.counts(5))) == 6
    fits = [{"WAPE": RNG.random(21)} for _ in range(3)]
    stream = [mean_of_fits(fits, at)["WAPE"] for at in (0, 0, 1)]
    np.testing.assert_array_equal(stream[0], stream[1])
    np.testing.assert_array_equal(stream[0], mean_of_fits(fits)["WAPE"])
    assert (stream[0] != stream[2]).any()


def test_a_unit_without_rows_counts_nothing():
    values, unit = np.array([1.0, 3.0]), np.array([0, 1])  # unit 2 has no row
    draws = Draws(unit, np.zeros(2, int), np.array([[1, 1, 1], [0, 1, 2]]), np.ones((2, 1)))
    np.testing.assert_allclose(draws.means(values), [2, 3])


def test_whole_units_are_drawn_not_rows():
    # Two customers, who are each always the same: the mean of a draw is 0, 1/2 or 1, whatever the rows.
    values, unit = np.repeat([0.0, 1.0], 100), np.repeat([0, 1], 100)
    means = Draws.of(unit, n=400).means(values)
    assert set(means) == {0.0, 0.5, 1.0}
    assert interval(means) == (0.5, 0.0, 1.0)


def test_units_and_weeks_are_drawn_and_multiply():
    # Two units, two weeks, one row each. The sample takes unit 1 twice, and week 0 once, week 1 three times.
    unit, week, values = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 4.0, 8.0])
    draws = Draws(unit, week, np.array([[1, 1], [0, 2]]), np.array([[1, 1], [1, 3]]))
    np.testing.assert_allclose(draws.sums(values), [15, 2 * 4 + 6 * 8])
    np.testing.assert_allclose(draws.means(values), [15 / 4, (2 * 4 + 6 * 8) / 8])
    np.testing.assert_allclose(list(draws.counts()), [[1, 1, 1, 1], [0, 0, 2, 6]])
    assert list(draws.cells) == [0, 1, 2, 3] and len(list(draws.counts(0))) == 1


def test_names_of_units_and_weeks_become_numbers():
    draws = Draws.of(np.array(["b", "a", "b"]), np.array([44, 45, 45]), n=300, seed=1)
    assert draws.unit.tolist() == [1, 0, 1] and draws.week.tolist() == [0, 1, 1]
    assert draws.units.shape == draws.weeks.shape == (301, 2)
    assert (draws.units[1:] != draws.weeks[1:]).any()  # drawn apart
    by_week = Draws.of(np.zeros(100, int), np.repeat([0, 1], 50), n=300).means(np.repeat([0.0, 1.0], 50))
    assert set(by_week) == {0.0, 0.5, 1.0}  # two weeks, each always the same
    assert set(Draws.of(np.zeros(100, int), n=300).means(np.repeat([0.0, 1.0], 50))) == {0.5}


def test_the_mean_of_fits_draws_the_fits():
    fits = [{"loss": np.full(401, value)} for value in (1.0, 2.0)]
    first, second = (mean_of_fits(fits, stream)["loss"] for stream in (0, 1))
    assert first[0] == 1.5 and set(first[1:]) == {1.0, 1.5, 2.0}
    assert (first != second).any()  # two models' fits are drawn apart
    short = [{"loss": np.full(401, 1.0), "AUC": np.arange(3.0)}]
    assert mean_of_fits(short)["AUC"].tolist() == [0, 1, 2]


def test_a_list_of_forecasts_is_scored_fit_by_fit():
    def score(p):
        assert p.shape == (2,)  # a fit, not a list of them and not one of its rows
        return {"loss": np.full(201, p.mean())}

    fits = [np.ones(2), 3 * np.ones(2)]
    found = score_fits(score, {"rule": np.ones(2), "net": fits, "other": fits})
    assert set(found["rule"]["loss"]) == {1.0}
    assert found["net"]["loss"][0] == 2 and set(found["net"]["loss"][1:]) == {1.0, 2.0, 3.0}
    assert (found["net"]["loss"] != found["other"]["loss"]).any()  # two models' fits are drawn apart


def test_the_interval_holds_95_percent():
    draws = np.r_[7.0, np.arange(1001)]
    value, low, high = interval(draws)
    assert value == 7 and (low, high) == (pytest.approx(25), pytest.approx(975))


def test_the_ratio_interval_has_the_textbook_width():
    x = np.random.default_rng(1).normal(10, 2, 400)
    value, low, high = ratio_interval(x, np.ones(400), n=4000)
    assert value == pytest.approx(x.mean())
    assert high - low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.1)


def test_the_level_is_the_share_inside():
    x = np.random.default_rng(1).normal(10, 2, 400)
    _, low, high = ratio_interval(x, np.ones(400), n=4000, level=0.5)
    assert high - low == pytest.approx(2 * 0.674 * x.std() / 20, rel=0.1)
    assert low + high == pytest.approx(2 * x.mean(), rel=0.002)


def test_counts_may_be_whole_numbers():
    bought, asked = np.array([1, 0, 2, 1]), np.array([2, 1, 2, 3])
    value, low, high = ratio_interval(bought, asked)
    assert value == 0.5 and 0 <= low < 0.5 < high <= 1


def test_the_interval_is_that_of_the_percentiles_of_n_draws():
    x = np.random.default_rng(5).gamma(0.2, 50, 60)  # skewed: other methods would shift the interval
    draws = draw_units(60, n=20_000).astype(float) @ x / 60
    assert ratio_interval(x, np.ones(60), n=20_000)[1:] == pytest.approx(interval(draws)[1:], rel=0.02)
    _, low, high = ratio_interval(x, np.ones(60), n=1)
    assert low == high


def test_sums_are_made_in_double_precision():
    large = np.array([2.0**24, 1.0], np.float32)  # their sum is no float32
    ones = np.ones(2, np.float32)
    assert ratio_interval(large, ones)[0] == (2**24 + 1) / 2
    assert ratio_interval(ones, large)[0] == 2 / (2**24 + 1)
    p = np.array([0.3, 0.7], np.float32)
    for score in (log_loss, brier):
        assert score(p, np.array([1, 0])).dtype == np.float64
        np.testing.assert_array_equal(score(p, np.array([1, 0])), score(p.astype(float), np.array([1, 0])))
        assert score(np.stack([1 - p, p], axis=1), np.array([1, 0])).dtype == np.float64


def test_a_paired_ratio_is_sure_where_its_parts_are_not():
    sales = RNG.gamma(0.5, 100, 60)
    assert ratio_interval(0.3 * sales, sales) == pytest.approx((0.3, 0.3, 0.3))


def test_log_loss_and_brier_by_hand():
    p, y = np.array([0.9, 0.2]), np.array([1, 1])
    np.testing.assert_allclose(log_loss(p, y), [-np.log(0.9), -np.log(0.2)])
    np.testing.assert_allclose(brier(p, y), [0.01, 0.64])
    both = np.column_stack([1 - p, p])
    np.testing.assert_allclose(log_loss(both, y), log_loss(p, y), rtol=1e-5)
    np.testing.assert_allclose(brier(both, y), 2 * brier(p, y), rtol=1e-5)


def test_probabilities_of_several_classes_need_not_sum_to_one():
    p, y = np.array([[2, 1, 1], [1, 1, 0]]), np.array([0, 2])
    np.testing.assert_allclose(log_loss(p * 0.25, y)[0], -np.log(0.5), rtol=1e-5)
    np.testing.assert_allclose(brier(p * 0.125, y)[0], 0.25 + 2 * 0.0625, rtol=1e-5)
    assert log_loss([0.5], np.array([1])) == pytest.approx(np.log(2))
    assert brier([1], np.array([0])) == 1


def test_a_sure_and_wrong_forecast_costs_much_but_not_everything():
    assert log_loss(np.array([0.0, 1.0]), np.array([1, 0])) == pytest.approx(-np.log(1e-6))
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-6), rel=1e-5)


@pytest.mark.parametrize("levels", [12, 300, 100_000], ids=["all tied", "some tied", "none tied"])
def test_ranking_equals_scikit_learn_with_ties_and_weights(levels):
    rng = np.random.default_rng(levels)
    score, label = rng.integers(0, levels, 300) / levels, rng.integers(0, 3, 300) == 0
    draws = Draws.of(rng.integers(0, 40, 300), rng.integers(0, 8, 300), n=20)
    found = ranking_draws(score, label, draws)
    for i, weight in enumerate(count[draws.cells] for count in draws.counts()):
        assert found["AUC"][i] == pytest.approx(roc_auc_score(label, score, sample_weight=weight))
        expected = average_precision_score(label, score, sample_weight=weight)
        assert found["average precision"][i] == pytest.approx(expected)
    few = ranking_draws(score, label, draws, 5)
    assert few["AUC"].tolist() == found["AUC"][:6].tolist()


def test_the_lift_is_that_of_the_best_tenth():
    # 20 rows: the best two hold 2 of the 4 positives, the best four hold 3 of them.
    label = np.zeros(20)
    label[[0, 1, 3, 19]] = 1
    found = ranking_draws(-np.arange(20.0), label, Draws.of(np.arange(20), n=0))
    assert found["lift top 10 %"][0] == pytest.approx((2 / 4) / (2 / 20))


def test_a_ranking_without_an_order_has_the_lift_of_chance():
    label = np.tile([1, 0, 0, 0], 10)
    found = ranking_draws(np.ones(40), label, Draws.of(np.arange(40), n=0))
    assert (found["AUC"][0], found["lift top 10 %"][0]) == pytest.approx((0.5, 1.0))


LOSSES = {
    "rule": {"loss": np.array([2.0, 2.1, 1.9, 2.0])},
    "trees": {"loss": np.array([1.01, 1.2, 0.9, 1.02])},
    "network": {"loss": np.array([1.0, 1.1, 1.0, 1.0])},
}


def test_the_table_holds_every_metric_and_the_paired_ratio_to_the_best():
    table = score_table(LOSSES, "loss")
    assert list(table.columns) == COLUMNS and len(table) == 6
    ratio = table[table["metric"] == "loss / best"].set_index("model")
    assert tuple(ratio.loc["network", ["value", "low", "high"]]) == (1, 1, 1)
    expected = interval(LOSSES["trees"]["loss"] / LOSSES["network"]["loss"])
    assert tuple(ratio.loc["trees", ["value", "low", "high"]]) == pytest.approx(expected)


def test_a_single_model_is_the_advice():
    table = score_table({"rule": LOSSES["rule"]}, "loss")
    assert advice(table) == "Use rule: loss 2, and no simpler model is level with it."


def test_advice_is_the_simplest_model_that_is_level_with_the_best():
    table = score_table(LOSSES, "loss")
    assert advice(table).startswith("Use trees: loss 1.01, level with network")
    alone = score_table({name: LOSSES[name] for name in ("rule", "network")}, "loss")
    assert advice(alone).startswith("Use network: loss 1, and no simpler model")
    turned = score_table(LOSSES, "loss", smaller_is_better=False)
    assert advice(turned).startswith("Use rule")


@pytest.mark.parametrize("smaller", [True, False])
def test_a_best_of_0_is_advised_although_it_has_no_ratio(smaller):
    rest = np.array([1.0, 1, 2]) * smaller
    draws = {"a": {"loss": rest}, "b": {"loss": np.zeros(3)}, "c": {"loss": np.zeros(3)}}
    with np.errstate(invalid="ignore", divide="ignore"):
        table = score_table(draws, "loss", smaller)
    assert advice(table).startswith("Use b: loss 0, and" if smaller else "Use a: loss 0, and")


def test_the_best_is_advised_where_a_draw_of_it_is_0():
    draws = {"a": {"hits": np.array([1.0, 0, 3])}, "b": {"hits": np.array([2.0, 0, 3])}}
    with np.errstate(invalid="ignore"):
        assert advice(score_table(draws, "hits", smaller_is_better=False)).startswith("Use b: hits 2")


def test_the_best_is_chosen_on_the_data_not_on_a_draw():
    draws = {"a": {"loss": np.array([1.0, 9.0, 9.0])}, "b": {"loss": np.array([2.0, 1.0, 1.0])}}
    table = score_table(draws, "loss").set_index(["model", "metric"])["value"]
    assert table["a", "loss / best"] == 1 and table["b", "loss / best"] == 2


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.2), (0.8, 1.0)])
def test_an_interval_that_ends_at_the_tie_is_level(low, high):
    table = results_table(
        [
            ("rule", "loss", 1.1, 1, 1.2),
            ("rule", "loss / best", 1.1, low, high),
            ("network", "loss", 1.0, 0.9, 1.1),
            ("network", "loss / best", 1.0, 1.0, 1.0),
            ("rule", "other", 0.5, 0.5, 0.5),
        ]
    )
    sentence = advice(table)
    level = f"(ratio 1.100 [{low:.3f}, {high:.3f}])"
    assert sentence == f"Use rule: loss 1.1, level with network, which is more complex {level}."


def test_bars_show_value_interval_and_colour():
    import matplotlib

    matplotlib.use("agg")
    table = results_table([("rule", "loss", 0.3, 0.2, 0.5), ("LSTM", "loss", 0.2, 0.1, 0.25)])
    ax = score_bars(table, "log-loss (nats)", "The network is ahead", {"LSTM": "#0173b2"})
    bars = ax.containers[0]
    assert [bar.get_width() for bar in bars] == [0.3, 0.2]
    assert [matplotlib.colors.to_hex(bar.get_facecolor()) for bar in bars] == ["#a6a6a6", "#0173b2"]
    spreads = ax.containers[1].lines[2][0].get_segments()
    np.testing.assert_allclose([segment[:, 0] for segment in spreads], [[0.2, 0.5], [0.1, 0.25]])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["rule", "LSTM"]
    assert ax.yaxis_inverted() and ax.get_xlabel() == "log-loss (nats)"
    assert ax.get_title(loc="left") + ax.get_title() == "The network is ahead"
    assert ax.figure.get_size_inches().tolist() == pytest.approx([8, 1.3])
    assert score_bars(table, "", "", ax=ax) is ax


def test_a_score_that_is_no_number_is_refused():
    broken = LOSSES | {"network": {"loss": np.full(4, np.nan)}}
    with pytest.raises(BadValue, match="network: its forecasts hold a value that is no number"):
        score_table(broken, "loss")


def test_a_table_and_a_missing_benchmark():
    table = results_table([("a", "WAPE", 0.2, 0.1, 0.3)])
    assert table.to_dict("records") == [
        {"model": "a", "metric": "WAPE", "value": 0.2, "low": 0.1, "high": 0.3}
    ]
    with pytest.raises(FileNotFoundError, match="git checkout benchmarks/results/nothing.csv"):
        read_benchmark("nothing")
    assert isinstance(read_benchmark("sales"), pd.DataFrame)
