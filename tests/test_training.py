"""What a lesson shows of a training run: the line per epoch and the curve."""

import matplotlib as mpl
import pytest


@pytest.fixture(scope="module")
def training():
    mpl.use("agg")
    from ecomlib import training

    return training


def test_one_line_per_second_epoch_and_always_the_same(training, capsys):
    log = training.EpochLog(every=2)
    for epoch in range(4):
        log.on_epoch_end(epoch, {"loss": 1.23456 / (epoch + 1), "val_loss": 2.0})
    assert capsys.readouterr().out == "epoch   2  loss 0.617  val_loss 2\nepoch   4  loss 0.309  val_loss 2\n"


def test_more_digits_are_shown_on_request(training, capsys):
    training.EpochLog(digits=5).on_epoch_end(0, {"loss": 1.23456789})
    assert capsys.readouterr().out == "epoch   1  loss 1.2346\n"


def test_the_curve_shows_both_losses_by_epoch(training):
    ax = training.learning_curve({"loss": [3.0, 2.0], "val_loss": [4.0, 5.0]}, "log-loss (nats)", "It turns")
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines()}
    assert lines == {"training": [[1, 3], [2, 2]], "validation": [[1, 4], [2, 5]]}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "log-loss (nats)")
    alone = training.learning_curve({"loss": [3.0]}, "loss", "One", ax=ax.figure.add_subplot())
    assert [line.get_label() for line in alone.get_lines()] == ["training"]
