"""When validation and test begin: one way to say it, counted back from the end of the shop's own data."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecomlib.shop.errors import BadValue, TooShort

DAY = pd.Timedelta(days=1)


class Dates(NamedTuple):
    """First day of the validation part, first day of the test part, first day after it; midnights."""

    valid: pd.Timestamp
    test: pd.Timestamp
    end: pd.Timestamp

    def parts(self, when: pd.Series | pd.DatetimeIndex | np.ndarray) -> dict[str, np.ndarray]:
        """Boolean masks of the moments of each part; a moment after the test lies in no part."""
        moment = np.asarray(when, dtype="datetime64[ns]")
        valid, test, end = (day.to_datetime64() for day in self)
        return {
            "train": moment < valid,
            "valid": (moment >= valid) & (moment < test),
            "test": (moment >= test) & (moment < end),
        }


@dataclass(frozen=True)
class Split:
    """Train, then validation, then test, in the order of time; made by `Split.last`."""

    test: pd.Timedelta
    valid: pd.Timedelta
    end: pd.Timestamp | None = None

    @classmethod
    def last(
        cls, test: str | pd.Timedelta = "56D", valid: str | pd.Timedelta = "28D", end: str | None = None
    ) -> "Split":
        """Take the last days of the data: `test` for the test, the `valid` before them for validation.

        Parameters
        ----------
        test, valid : duration
            Such as "56D" or "8W".
        end : date, optional
            The last day of the test part, where the data go on after it.
        """
        lengths = {"test": pd.Timedelta(test), "valid": pd.Timedelta(valid)}
        for name, length in lengths.items():
            if length < DAY or length % DAY:
                raise BadValue(f"{name}={length}: a part is made of whole days; use 56D or 8W, for example.")
        return cls(lengths["test"], lengths["valid"], None if end is None else pd.Timestamp(end).normalize())

    def dates(self, last: pd.Timestamp) -> Dates:
        """The days on which the parts begin, for data whose last day is `last`.

        Examples
        --------
        >>> [f"{day:%d %b}" for day in Split.last(test="14D", valid="7D").dates(pd.Timestamp("2024-05-31"))]
        ['11 May', '18 May', '01 Jun']
        """
        last = pd.Timestamp(last).normalize()
        if self.end is not None and self.end > last:
            raise BadValue(
                f"the split ends on {self.end.date()}, after the last day of the data, {last.date()}; "
                f"give an earlier end, or leave it out."
            )
        end = (last if self.end is None else self.end) + DAY
        return Dates(end - self.test - self.valid, end - self.test, end)

    def positions(self, steps: pd.DatetimeIndex) -> tuple[int, int, int]:
        """Positions of the first validation step, the first test step, and the step after the test.

        `steps` (n_steps,) holds the first day of every day or week of a panel, without gaps.

        Examples
        --------
        >>> Split.last(test="14D", valid="7D").positions(pd.date_range("2024-01-01", periods=10, freq="7D"))
        (7, 8, 10)
        """
        step = steps[1] - steps[0] if len(steps) > 1 else DAY
        dates = self.dates(steps[-1] + step - DAY)
        for day in dates:
            if (day - steps[0]) % step:
                raise BadValue(
                    f"the split has a border on {day.date()}, inside a step of {step.days} days; "
                    f"use multiples of {step.days} days, and an end that closes a step."
                )
        valid, test, end = ((day - steps[0]) // step for day in dates)
        if valid < 1:
            raise TooShort(
                f"{len(steps)} steps from {steps[0].date()} leave none for training before the validation "
                f"of {self.valid.days} days and the test of {self.test.days}; shorten them."
            )
        return valid, test, end
