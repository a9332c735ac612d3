"""The split: counted back from the shop's own last day, in days and in weeks; bad ones are refused."""

import datetime

import numpy as np
import pandas as pd
import pytest

from ecomlib.shop import BadValue, TooShort
from ecomlib.split import Split

DAYS = pd.date_range("2024-01-01", periods=100)  # a Monday to Tuesday, 9 April


def test_parts_follow_each_other_and_end_with_the_data():
    split = Split.last(test="14D", valid="7D")
    valid, test, end = split.positions(DAYS)
    assert (valid, test, end) == (79, 86, 100)
    masks = split.dates(DAYS[-1]).parts(DAYS)
    assert [int(mask.sum()) for mask in masks.values()] == [79, 7, 14]
    assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()
    assert np.flatnonzero(masks["test"])[0] == test and np.flatnonzero(masks["valid"])[0] == valid


def test_a_moment_after_the_test_lies_in_no_part():
    masks = Split.last(test="14D", valid="7D", end="2024-03-31").dates(DAYS[-1]).parts(DAYS)
    assert int(masks["test"].sum()) == 14 and not any(mask[-9:].any() for mask in masks.values())
    late_on_the_last_day = pd.Series([pd.Timestamp("2024-03-31 23:59"), pd.Timestamp("2024-04-01")])
    found = Split.last(test="14D", valid="7D", end="2024-03-31").dates(DAYS[-1]).parts(late_on_the_last_day)
    assert found["test"].tolist() == [True, False]


def test_the_usual_split_is_eight_weeks_after_four():
    assert Split.last() == Split.last(test="56D", valid="28D", end=None)
    assert Split.last().positions(DAYS) == (100 - 84, 100 - 56, 100)


def test_one_day_is_enough_and_the_end_may_be_the_last_day():
    split = Split.last(test="1D", valid="1D", end="2024-04-09")
    assert split.positions(DAYS) == (98, 99, 100)
    assert split.positions(DAYS[-3:]) == (1, 2, 3)
    assert all(isinstance(at, int) for at in split.positions(DAYS))
    assert set(split.dates(DAYS[-1]).parts(DAYS)) == {"train", "valid", "test"}
    dated = split.dates(DAYS[-1]).parts([datetime.date(2024, 4, 8), datetime.date(2024, 4, 9)])
    assert dated["valid"].tolist() == [True, False]


def test_a_longer_history_moves_the_test_with_it():
    split = Split.last(test="8W", valid="4W")
    year, two = (pd.date_range("2024-01-01", periods=n, freq="7D") for n in (52, 104))
    assert split.positions(year) == (40, 44, 52)
    assert split.positions(two) == (92, 96, 104)


@pytest.mark.parametrize("bad", ["0D", "12h", "-7D", "36h"])
def test_a_part_is_made_of_whole_days(bad):
    with pytest.raises(BadValue, match="whole days"):
        Split.last(test=bad)


def test_what_cannot_be_is_refused_in_one_sentence():
    weeks = pd.date_range("2024-01-01", periods=20, freq="7D")
    with pytest.raises(BadValue, match="after the last day of the data, 2024-04-09"):
        Split.last(end="2024-05-01").positions(DAYS)
    with pytest.raises(BadValue, match="inside a step of 7 days"):
        Split.last(test="10D", valid="7D").positions(weeks)
    with pytest.raises(TooShort, match="20 steps from 2024-01-01 leave none for training"):
        Split.last(test="70D", valid="70D").positions(weeks)
    with pytest.raises(BadValue, match="2024-05-10, inside"):
        Split.last(test="9D", valid="1D").positions(weeks[:20])
    with pytest.raises(TooShort, match="1 steps"):
        Split.last(test="1D", valid="1D").positions(DAYS[:1])
