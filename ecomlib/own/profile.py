"""What a shop's data are like: span, whole days, closed weekdays, clock, growth, customers who return."""

import pandas as pd

from ecomlib.sales.known_ahead import WEEKDAYS, open_days
from ecomlib.shop.shop import Shop, members

HOUR = pd.Timedelta(hours=1)
SELDOM = 0.05  # of the weeks: a weekday with sales in fewer of them is one on which the shop is closed
FEW, MANY = 3, 12  # days without a sale: few in all, or those of two years, may be closed; many are chance
NIGHT = 0.2  # of the lines between midnight and six: more than a shop sells at night


def last_whole_day(when: pd.Series) -> pd.Timestamp:
    """The last day that seems to be in the data as a whole.

    The newest day is left out where its last sale comes over an hour before the hour at which all but 5 % of
    the days before have had theirs.

    Examples
    --------
    >>> days = pd.date_range("2024-05-01", periods=9)
    >>> when = pd.Series([*(days[:8] + pd.Timedelta(hours=19)), days[8] + pd.Timedelta(hours=11)])
    >>> str(last_whole_day(when).date())
    '2024-05-08'
    """
    day = when.dt.normalize()
    closing = (when - day).groupby(day).max()
    if len(closing) > 1 and closing.iloc[-1] < closing.iloc[:-1].quantile(0.05) - HOUR:
        return closing.index[-2]
    return closing.index[-1]


def closed_weekdays(when: pd.Series) -> list[str]:
    """Weekdays with sales in fewer than 5 % of the weeks, such as ["Sun"]."""
    days = pd.DatetimeIndex(when.dt.normalize().unique())
    n_weeks = max(((days.max() - days.min()).days + 1) / 7, 1)
    return [name for i, name in enumerate(WEEKDAYS) if (days.day_of_week == i).sum() < SELDOM * n_weeks]


def profile(shop: Shop) -> pd.Series:
    """What to know of a shop's orders before a model is asked: one line of text for each fact."""
    orders, known = shop.orders, members(shop.orders)
    when, money = orders["timestamp"], orders["revenue"]
    days = pd.Series(when.dt.normalize().unique()).sort_values()
    closed = closed_weekdays(when)
    calendar = pd.date_range(days.iloc[0], days.iloc[-1])
    calendar = calendar[open_days(calendar, closed)]
    idle = calendar.difference(pd.DatetimeIndex(days)).strftime("%m-%d").value_counts()
    never = idle.index[(idle > 1) | (idle.sum() <= FEW)].difference(days.dt.strftime("%m-%d"))
    ask = f"; no year has one on {', '.join(never)}: never open then? Say --closed {' '.join(never[:2])}"
    ask += " ..." * (len(never) > 2)
    night = (when.dt.hour < 6).mean() if (when != when.dt.normalize()).any() else 0.0
    span = days.iloc[-1] - days.iloc[0]
    early, late = (money[p].sum() for p in (when < when.min() + span / 4, when >= when.max() - span / 4))
    orders_each = known.groupby("customer_id")["order_id"].nunique()
    facts = {
        "span": f"{days.iloc[0]:%Y-%m-%d} to {days.iloc[-1]:%Y-%m-%d}, {span.days + 1:,} days",
        "last whole day": f"{last_whole_day(when):%Y-%m-%d}",
        "open days without a sale": f"{idle.sum():,} of {len(calendar):,}" + ask * (0 < len(never) <= MANY),
        "closed on": ", ".join(closed) or "no weekday",
        "sold from midnight to six": f"{night:.0%} of the lines"
        + ": is the clock UTC?" * bool(night > NIGHT),
        "last quarter over first": f"{late / max(early, 1e-9):.2f} times the revenue",
        "orders": f"{orders['order_id'].nunique():,}, {money.sum():,.0f} {shop.currency}",
        "customers": f"{len(orders_each):,}, {(orders_each > 1).mean():.1%} bought twice or more",
        "products": f"{orders['product_id'].nunique():,}, the ten largest are "
        f"{money.groupby(orders['product_id'].to_numpy()).sum().nlargest(10).sum() / money.sum():.0%}",
    }
    return pd.Series(facts)
