"""Cells of an export -> ids, numbers and times; what cannot be told for certain is asked, never guessed."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ecomlib.shop.errors import BadValue, ShopError, WrongType

WHOLE_NUMBER = r"0|[1-9]\d{0,17}"  # as it would be printed: "007" stays a text
ZONE = r"(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)"
PARTS = (
    r"^\s*(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})"
    r"(?:[ T,]+(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s*([AaPp]\.?[Mm]\.?)?)?\s*$"
)
ISO = r"\d{4}-\d\d-\d\d(?:[T ]\d\d(?::\d\d){0,2}(?:\.\d+)?)?"
IN_UTC = "times are in UTC: give timezone='Europe/Paris' or the shop's own for its local days"
CLOCKS = {10: "s", 13: "ms", 16: "us", 19: "ns"}  # digits of a moment since 1970 -> its unit


@dataclass
class Reader:
    """How cells are read, and what was noticed on the way.

    Parameters
    ----------
    timezone : str or (str, str), optional
        Times that name a zone, or count since 1970, are converted to this one; without it they keep the
        clock that is written. A pair converts times without a zone, too: from the first to the second.
    dayfirst : bool, optional
        Whether 3/4/2024 is in April; asked for where no date of the column tells.
    decimal : str, optional
        The decimal sign; asked for where no amount of the file tells.
    every : bool
        Problems are gathered in place of being raised.
    """

    timezone: str | tuple[str, str] | None = None
    dayfirst: bool | None = None
    decimal: str | None = None
    every: bool = False
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep a sentence, once."""
        if text not in self.notes:
            self.notes.append(text)

    def refuse(self, error: ShopError) -> None:
        """Raise an error, or keep its sentence and go on."""
        if not self.every:
            raise error
        self.problems.append(str(error))

    def bad(self, cells: pd.Series, what: str, remedy: str) -> None:
        """Refuse cells that are not what they should be: the first one, its line, and how many there are."""
        if len(cells):
            self.refuse(
                WrongType(
                    f"column {cells.name!r} has {str(cells.iloc[0])[:60]!r} in {cells.index.name or 'row'} "
                    f"{cells.index[0]}, which is no {what} (such cells: {len(cells):,}); {remedy}."
                )
            )


def as_text(cells: pd.Series) -> pd.Series:
    """Write cells of any kind as text: 17850.0 as "17850", what is empty as missing."""
    if pd.api.types.is_string_dtype(cells.dtype) and cells.dtype != object:
        return cells
    if cells.dtype == object:
        return cells.map(
            lambda v: str(int(v)) if isinstance(v, float) and v.is_integer() else str(v), na_action="ignore"
        ).astype("str")
    if pd.api.types.is_float_dtype(cells.dtype) and (cells.dropna() % 1 == 0).all():
        cells = cells.astype("Int64")
    return cells.astype("str").where(cells.notna())


def bare(ids: pd.Series) -> pd.Series:
    """Drop what is no part of an id: blanks at its ends, and ".0" where every id has it."""
    codes, distinct = pd.factorize(as_text(ids))
    texts = pd.Series(distinct, dtype="str").str.strip()
    if len(texts) and texts.str.fullmatch(r"\d+\.0").all():
        texts = texts.str[:-2]
    return pd.Series(texts.array.take(codes, allow_fill=True), index=ids.index, name=ids.name)


def as_ids(cells: pd.Series) -> pd.Series:
    """Ids as whole numbers where each is one without a leading zero, else as texts."""
    codes, distinct = pd.factorize(bare(cells))
    texts = pd.Series(distinct, dtype="str")
    whole = len(texts) and texts.str.fullmatch(WHOLE_NUMBER).all() and (codes >= 0).all()
    values = texts.astype("int64") if whole else texts
    return pd.Series(values.array.take(codes, allow_fill=not whole), index=cells.index, name=cells.name)


def without_people(ids: pd.Series, reader: Reader) -> pd.Series:
    """Replace e-mail addresses and names of persons by a hash: a customer keeps theirs in every export.

    The hash hides whom it names from a reader, not from one who has the address and tries it.
    """
    codes, distinct = pd.factorize(as_text(ids))
    texts = pd.Series(distinct, dtype="str")
    person = texts.str.contains(r"\S@\S|[^\W\d]\s+[^\W\d]", regex=True)
    if not person.any():
        return ids
    reader.note(f"{int(person.sum()):,} e-mail addresses or names of customers are hashed")
    plain = texts[person].str.strip().str.casefold()
    texts[person] = plain.map(lambda text: hashlib.sha256(text.encode()).hexdigest()[:12])
    return pd.Series(texts.array.take(codes, allow_fill=True), index=ids.index, name=ids.name)


def decimal_sign(columns: Iterable[pd.Series], semicolons: bool, reader: Reader) -> str:
    """Tell the decimal sign of a file from all its columns of amounts."""
    texts = [c.dropna().drop_duplicates() for c in columns if pd.api.types.is_string_dtype(c.dtype)]
    cells = pd.concat([pd.Series(dtype="str"), *(text.astype("str") for text in texts)])
    signed = cells[cells.str.contains(r"\d[.,]\d", regex=True)].str.replace(r"[^\d.,]", "", regex=True)
    comma = signed.str.contains(r",(?:\d{1,2}|\d{4,})$|\.\d{3},|^0,", regex=True)
    point = signed.str.contains(r"\.(?:\d{1,2}|\d{4,})$|,\d{3}\.|^0\.", regex=True)
    if comma.any() and not point.any():
        reader.note("amounts have a decimal comma")
        return ","
    unclear = signed[~comma & ~point]
    unclear = unclear if comma.any() or semicolons else unclear[unclear.str.contains(",")]
    if not point.any() and len(unclear):
        reader.refuse(
            BadValue(
                f"{unclear.iloc[0]!r} may be a number of thousands or have three decimals; say which with "
                f"decimal='.' or decimal=','."
            )
        )
    return "."


def as_amounts(cells: Mapping, names: Iterable, semicolons: bool, reader: Reader) -> dict[str, pd.Series]:
    """Numbers of those columns of a file that are there; they have one decimal sign."""
    amounts = {name: cells[name] for name in names if name in cells}
    sign = reader.decimal or decimal_sign(amounts.values(), semicolons, reader)
    return {name: as_numbers(column, sign, reader) for name, column in amounts.items()}


def as_numbers(cells: pd.Series, decimal: str, reader: Reader) -> pd.Series:
    """Numbers of text cells: "$1,250.00", "1.250,00 EUR" and "(2.50)" are read, what is none is refused."""
    if pd.api.types.is_numeric_dtype(cells.dtype):
        return cells.astype(float)
    codes, distinct = pd.factorize(cells)  # a file has few distinct amounts
    text = pd.Series(distinct, dtype="str")
    text = text.str.replace(
        r"[\s\u2009\u202f'\u2019$\u00a3\u20ac\u00a5\u20b9]|^[A-Z]{3}|[A-Z]{3}$", "", regex=True
    )
    text = text.str.replace(r"^\((.*)\)$|^(.*)-$", r"-\1\2", regex=True)
    thousands = "," if decimal == "." else "."
    grouped = rf"-?\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+(?:{re.escape(decimal)}\d+)?"
    text = text.mask(text.str.fullmatch(grouped), text.str.replace(thousands, ""))
    text = text.mask(text.str.contains(thousands, regex=False), "no number").str.replace(decimal, ".")
    numbers = pd.to_numeric(text, errors="coerce").astype(float).to_numpy()
    found = np.append(np.where(np.isfinite(numbers), numbers, np.nan), np.nan)[codes]
    bad = cells[np.isnan(found) & cells.notna().to_numpy()]
    reader.bad(bad, "number", "write a plain number like 12.50, or leave it out")
    return pd.Series(found, index=cells.index, name=cells.name)


def as_times(cells: pd.Series, reader: Reader) -> pd.Series:
    """Local times without a zone, of dates in any order, with or without a zone, or counted since 1970."""
    timezone = reader.timezone
    home = timezone if timezone is None or isinstance(timezone, str) else timezone[1]
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        codes, distinct = pd.factorize(cells)
        moments = pd.Series(pd.DatetimeIndex(distinct))
        if moments.dt.tz is not None:
            if home is None and str(moments.dt.tz) == "UTC":
                reader.note(IN_UTC)
            moments = moments.dt.tz_convert(home or moments.dt.tz).dt.tz_localize(None)
            timezone = home
    else:
        codes, distinct = pd.factorize(as_text(cells))
        moments, zoned = _moments(pd.Series(distinct, dtype="str", name=cells.name), reader, home)
        timezone = home if zoned else timezone
    if isinstance(timezone, tuple):
        clock = moments.dt.tz_localize(timezone[0], ambiguous=True, nonexistent="shift_forward")
        moments = clock.dt.tz_convert(timezone[1]).dt.tz_localize(None)
    times = pd.Series(moments.array.take(codes, allow_fill=True), index=cells.index, name=cells.name)
    bad = cells[times.isna() & cells.notna()]
    reader.bad(bad, "date and time", "write it like 2024-05-31 17:45, or drop the line")
    whole = moments.dt.nanosecond.eq(0).all() and moments.dt.microsecond.eq(0).all()
    return times.astype(f"datetime64[{'s' if whole else 'us'}]")


def _moments(texts: pd.Series, reader: Reader, home: str | None) -> tuple[pd.Series, bool]:
    """Moments of distinct texts, and whether they named a zone."""
    texts = texts.str.strip()
    if len(texts) and texts.str.fullmatch(r"\d{10}|\d{13}|\d{16}|\d{19}|\d{10}\.\d+").all():
        unit = CLOCKS[len(texts.iloc[0].split(".")[0])]
        moments = pd.to_datetime(pd.to_numeric(texts), unit=unit, utc=True)
    elif len(texts) and texts.str.fullmatch(r"(?:19|20)\d{6}").all():
        return pd.to_datetime(texts, format="%Y%m%d", errors="coerce"), False
    else:
        at_end = rf"(?i)\s*({ZONE})$"
        zone = texts.str.extract(at_end)[0].where(texts.str.contains(r":|[T ]\d\d(?!\d)", regex=True))
        local = texts.mask(zone.notna(), texts.str.replace(at_end, "", regex=True))
        moments = _local(local, reader)
        if not zone.notna().any():
            return moments, False
        zone = zone.str.upper().replace({"Z": "+0000", "UTC": "+0000", "GMT": "+0000"}).str.replace(":", "")
        zone = zone.str.pad(5, "right", "0")  # +02, as databases write it
        if home is None and not zone.eq("+0000").all():
            reader.note("times keep the clock that is written, without their offset")
            return moments, True
        offset = pd.to_timedelta(zone.str[:3] + ":" + zone.str[3:] + ":00").fillna(pd.Timedelta(0))
        moments = (moments - offset).dt.tz_localize("UTC")
    if home is None:
        reader.note(IN_UTC)
    return moments.dt.tz_convert(home or "UTC").dt.tz_localize(None), True


def _local(texts: pd.Series, reader: Reader) -> pd.Series:
    """Moments of distinct texts without a zone; month-first or day-first is told by the dates themselves."""
    iso = texts.str.fullmatch(ISO)
    moments = pd.to_datetime(texts.where(iso), format="ISO8601", errors="coerce").astype("datetime64[us]")
    named = texts.str.contains(r"(?i)[a-z]{3}.*\d{4}", regex=True) & ~iso
    if named.any():
        moments[named] = pd.to_datetime(texts[named], format="mixed", errors="coerce")
    parts = texts[~iso & ~named].str.extract(PARTS).dropna(subset=[0])
    if parts.empty:
        return moments
    a, b, c = (pd.to_numeric(parts[i]) for i in range(3))
    year_first = parts[0].str.len() == 4
    days, months = (a[~year_first] > 12).any(), (b[~year_first] > 12).any()
    dayfirst = reader.dayfirst
    if dayfirst is None and not year_first.all():
        dayfirst = bool(days)
        if days == months:
            reader.refuse(
                BadValue(
                    f"column {texts.name!r} has dates like {texts[parts.index[0]]!r}, which "
                    f"{'come in both orders' if days else 'may begin with the day or the month'}; say which "
                    f"with dayfirst=True or dayfirst=False."
                )
            )
        else:
            reader.note(f"dates like {texts[parts.index[0]]!r} begin with the {'day' if days else 'month'}")
    year, month, day = a.where(year_first, c), b, c.where(year_first, a)
    if not dayfirst:
        month, day = b.where(year_first, a), c.where(year_first, b)
    year = year.where(year > 99, year + np.where(year < 70, 2000, 1900))
    hour = pd.to_numeric(parts[3]).fillna(0)
    half = parts[6].str[0].str.upper()
    hour = hour.where(half.isna(), hour % 12 + 12 * (half == "P"))
    pieces = {"year": year, "month": month, "day": day, "hour": hour}
    pieces |= {"minute": pd.to_numeric(parts[4]).fillna(0), "second": pd.to_numeric(parts[5]).fillna(0)}
    moments[parts.index] = pd.to_datetime(pd.DataFrame(pieces), errors="coerce").astype("datetime64[us]")
    return moments
