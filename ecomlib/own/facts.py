"""What every real export holds besides sales: each fact is found, counted, and left out by its own switch."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ecomlib.own.cells import Reader, as_text
from ecomlib.shop.errors import BadValue, TooShort

NOT_SOLD = "cancell?ed|voided|failed|pending(?: payment)?|trash|(?:checkout-)?draft|expired|unavailable"
NOT_SOLD += "|on-hold|refused"
GUESTS = r"(?i)\s*(?:guests?|gast|anonymous|unknown|walk-?in|(?:no|cash) customer)\s*"
# Names of lines that are no goods, whole; and the codes that one shop gives them.
NO_GOODS = (
    r"(?i)(?:dotcom )?postage|carriage|freight|(?:shipping|delivery)(?: (?:charge|cost|fee)s?)?|manual"
    r"|discount|adjust(?:ment)?(?: .*)?|bank charges|(?:amazon|service|handling) (?:fee|charge)s?"
    r"|.* commission|samples?|(?:this is a )?test product\.?|.*\bgift ?(?:card|voucher|certificate)s?\b.*"
    r"|tips?|donation|deposit"
)
CODES = {
    "online_retail": r"(?i)(?:POST|DOT|C[23]|[MDSB]|CRUK|PADS|ADJUST.?|BANK CHARGES|AMAZONFEE|TEST\d+|GIFT.*)"
}
FAR = np.timedelta64(90, "D")  # without a line, before or after almost all lines
SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}


STEPS = ["step", "lines", "left_out", "revenue", "why"]  # lines and revenue of all that were found


class Facts:
    """Lines that stay, and a row for everything that was found: lines, money, and how many left."""

    def __init__(self, lines: pd.DataFrame, switches: Mapping[str, Any], reader: Reader):
        self.lines, self.switches, self.reader = lines, switches, reader
        self.keep = np.ones(len(lines), bool)
        self.money = lines["revenue"].to_numpy(float)
        self.rows: list[tuple] = []  # of STEPS

    def found(self, step: str, mask: Any, what: str, switch: str | None = None, drop: bool = True) -> None:
        """Count lines with a fact among all lines; drop those still there unless the switch says "keep"."""
        mask = np.asarray(mask, bool)
        drop = drop and (switch is None or self.switches[switch] != "keep")
        left_out = int((mask & self.keep).sum()) if drop else 0
        if mask.any():
            word = f"{what}; {switch}={self.switches[switch]!r}" if switch else what
            self.rows.append((step, int(mask.sum()), left_out, float(np.nansum(self.money[mask])), word))
        if drop:
            self.keep &= ~mask


def clean_lines(facts: Facts, format: str) -> pd.DataFrame:
    """Apply every switch to the lines of an export; returns those that stay, a row per product and order."""
    lines = facts.lines
    overlap, repeated, alike = exported_twice(lines)
    facts.found("files overlap", overlap, "the same lines in two files count once", "repeats")
    facts.found("repeated export", repeated, "a whole order that stands there twice counts once", "repeats")
    facts.found("line that repeats another", alike, "most are scans, and are added up below", drop=False)
    for column, word in (("product_id", "product"), ("timestamp", "date"), ("order_id", "order")):
        facts.found(f"without {word}", lines[column].isna(), "cannot be counted")
    amounts = lines["quantity"].isna() | lines["revenue"].isna()
    facts.found("without amount", amounts, "quantity or price is empty")
    far = far_dates(lines["timestamp"])
    facts.found("date far from the rest", far, _span(lines["timestamp"], far), "far_dates")
    _currencies(facts)
    status = lines["status"].str.strip().str.casefold() if "status" in lines else pd.Series("", lines.index)
    called_off = lines["cancelled"].notna() if "cancelled" in lines else False
    gone = status.str.fullmatch(NOT_SOLD, na=False) | called_off
    facts.found("cancelled order", gone, "was never paid or was called off", "cancelled")
    hit, names = no_goods(lines, format)
    facts.found("no goods", hit, f"postage, fees, gift cards: {names}", "not_goods")
    before = facts.keep.copy()
    back = _returns(facts)
    facts.found("quantity 0", lines["quantity"] == 0, "nothing was sold")
    nothing = (lines["revenue"] == 0) & (lines["discount"] == 0) & (lines["quantity"] != 0)
    facts.found("price 0", nothing, "samples, gifts and corrections of the stock", "free")
    guest = _guests(facts, format)
    kept = (lines.assign(guest=guest) if guest.any() else lines)[facts.keep]
    if kept.empty:
        text = "no line is left after cleaning; look at every finding with `python course.py shop --check`."
        raise TooShort(text)
    if facts.switches["returns"] == "net":
        kept = _net(kept, lines[back & before], facts)
    return _one_row_a_product(_one_customer_an_order(kept, facts), facts)


def exported_twice(lines: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lines that two files hold, lines of a whole order that one file holds twice, all that repeat another.

    Two scans of one product stand beside each other in one order; a repeated export brings the order's
    lines again further down, or all of them twice. Of two files the later one counts. Columns that are not
    part of a sale, such as a running number, do not count.
    """
    order, product = (pd.factorize(lines[column])[0] for column in ("order_id", "product_id"))
    file = lines["file"].to_numpy() if "file" in lines else np.zeros(len(lines), int)
    pair = pd.Series(order * (product.max(initial=0) + 2) + product)
    some = np.flatnonzero(pair.duplicated(keep=False))  # few: only they are compared in every column
    code = pd.factorize(pair.iloc[some])[0]
    for column in {"timestamp", "quantity", "revenue", "line_id"} & set(lines.columns):
        other = pd.factorize(lines[column].iloc[some])[0]
        code = pd.factorize(code * (other.max(initial=0) + 2) + other)[0]
    line = np.arange(len(lines))
    line[some] = len(lines) + code
    alike = pd.Series(line * (file.max(initial=0) + 1) + file).duplicated().to_numpy()
    moved = (order[1:] != order[:-1]) | (file[1:] != file[:-1])
    run = np.cumsum(np.r_[True, moved])[: len(line)]
    part = pd.DataFrame({"line": line, "run": run, "file": file, "order": order})
    part = part[part["line"].duplicated(keep=False) & (part["order"] >= 0)]
    count = part.groupby(["line", "run"])["file"].agg(["size", "last"]).reset_index()
    best = count.sort_values(["line", "size", "run"]).drop_duplicates("line", keep="last")
    best = best.set_index("line").reindex(part["line"])
    other = part["run"].to_numpy() != best["run"].to_numpy()
    elsewhere = part["file"].to_numpy() != best["last"].to_numpy()
    overlap, repeated = np.zeros(len(lines), bool), np.zeros(len(lines), bool)
    overlap[part.index[other & elsewhere]], repeated[part.index[other & ~elsewhere]] = True, True
    # What is left stands in one place: scans, unless every line of the order is there as often.
    part = pd.DataFrame({"line": line, "order": order})[~overlap & ~repeated & (order >= 0)]
    part["nth"] = part.groupby("line").cumcount()
    part["size"] = part["line"].map(part["line"].value_counts())
    part["first"] = part["nth"] == 0
    per = part.groupby("order").agg(least=("size", "min"), most=("size", "max"), distinct=("first", "sum"))
    even = (per["least"] == per["most"]) & (per["least"] > 1)
    whole = even if even.mean() > 0.5 else even & (per["distinct"] > 1)
    repeated[part.index[(part["nth"] > 0) & part["order"].isin(whole.index[whole])]] = True
    return overlap, repeated, alike


def far_dates(times: pd.Series) -> np.ndarray:
    """Lines that lie more than 90 days from the rest and are at most one in 200: a typing error, a test."""
    day = times.to_numpy("datetime64[D]")
    days, count = np.unique(day[~np.isnat(day)], return_counts=True)
    if count.sum() < 20 or len(days) < 2:
        return np.zeros(len(day), bool)
    few = max(1, count.sum() // 200)
    before = count.cumsum()[:-1]
    gap = np.diff(days) > FAR
    low, high = gap & (before <= few), gap & (count.sum() - before <= few)
    first = days[1:][low].max() if low.any() else days[0]
    last = days[:-1][high].min() if high.any() else days[-1]
    return (day < first) | (day > last)


def _span(times: pd.Series, far: np.ndarray) -> str:
    if not far.any():
        return ""
    first, last, example = times[~far].min(), times[~far].max(), times[far].iloc[0]
    years = max((first - example).days, (example - last).days) / 365.25
    return f"{example:%Y-%m-%d} lies {years:.1f} years from {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _currencies(facts: Facts) -> None:
    """Keep one currency: the one that is asked for, or the one that nine of ten lines have."""
    if "currency" not in facts.lines or not facts.lines["currency"].notna().any():
        return
    currency = facts.lines["currency"].str.strip().str.upper()
    share = currency.value_counts(normalize=True)
    wanted = facts.switches["currency"]
    main = wanted.upper() if wanted else share.index[0]
    if main not in share.index:
        raise BadValue(f"currency={wanted!r}: no line has it; the file holds {', '.join(share.index)}.")
    if not wanted and share.iloc[0] < 0.9:
        parts = ", ".join(f"{name} {part:.0%}" for name, part in share.items())
        text = f"currency: the lines are in {parts}, never summed: keep one, currency={main!r}."
        facts.reader.refuse(BadValue(text))
    facts.switches = {**facts.switches, "currency": main}
    other = currency.notna() & (currency != main)
    facts.found("other currency", other, f"only {main} is kept, never summed")


def no_goods(lines: pd.DataFrame, format: str) -> tuple[np.ndarray, str]:
    """Lines of products whose whole name or code says that they are no goods, and the names found."""
    code = lines["product_id"].drop_duplicates().dropna()
    hit = code[code.str.fullmatch(NO_GOODS)]
    if format in CODES:
        hit = pd.concat([hit, code[code.str.fullmatch(CODES[format])]])
    if "name" in lines:  # all names of the product
        named = lines[["product_id", "name"]].drop_duplicates().dropna()
        fits = named["name"].str.strip().str.fullmatch(NO_GOODS).groupby(named["product_id"]).all()
        hit = pd.concat([hit, fits.index[fits].to_series()])
    names = hit.drop_duplicates().tolist()
    text = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if names[12:] else "")
    return lines["product_id"].isin(names).to_numpy(), text


def _returns(facts: Facts) -> np.ndarray:
    """Find what came back: cancelled orders (C536379), negative quantities, negative amounts, refunds."""
    lines = facts.lines
    cancelled = lines["order_id"].str.fullmatch(r"C\d+", na=False).to_numpy(bool)
    cancelled = cancelled & (2 * cancelled.sum() < len(cancelled))
    below = (lines["quantity"] < 0).to_numpy()
    paid_back = (lines["revenue"] < 0).to_numpy() & ~below
    facts.found("order begins with C", cancelled, "a cancelled order, booked backwards", "returns")
    facts.found("quantity below 0", below, "a return, or a correction of the stock", "returns")
    facts.found("amount below 0", paid_back, "money given back", "returns")
    for column in ("refund", "order_refund"):
        if column in lines:
            amount = lines[column].abs().fillna(0)
            facts.found("refunded later", amount > 0, "the sale stays, unless returns='net'", drop=False)
            if facts.switches["returns"] == "net":
                if column == "order_refund":
                    paid = lines.groupby(pd.factorize(lines["order_id"])[0])["revenue"].transform("sum")
                    amount = lines["revenue"] * (amount / paid.where(paid > 0)).fillna(0).clip(0, 1)
                lines["revenue"] = (lines["revenue"] - amount).clip(lower=0)
    return cancelled | below | paid_back


def _net(kept: pd.DataFrame, back: pd.DataFrame, facts: Facts) -> pd.DataFrame:
    """Take each return off the same customer's latest earlier lines of the product."""
    pair = ["customer_id", "product_id"]
    pairs, wanted = (pd.MultiIndex.from_frame(frame[pair]) for frame in (kept, back))
    left, unmatched = kept["quantity"].to_numpy(float).copy(), 0
    before = left.copy()
    sold: dict[tuple, list[int]] = {}
    for row in np.flatnonzero(pairs.isin(wanted)).tolist():
        sold.setdefault(pairs[row], []).append(row)
    time = kept["timestamp"].to_numpy()
    for who, when, units in zip(wanted, back["timestamp"].to_numpy(), -back["quantity"], strict=True):
        for row in sorted(sold.get(who, ()), key=lambda r: time[r], reverse=True):
            if time[row] <= when and units > 0:
                taken = min(units, left[row])
                left[row], units = left[row] - taken, units - taken
        unmatched += int(units > 0)
    share = np.divide(left, before, out=np.ones(len(left)), where=before > 0)
    less = float((kept["revenue"] * (1 - share)).sum())
    why = f"taken off earlier lines; {unmatched:,} found no earlier sale of their customer"
    facts.rows.append(("returns netted", len(back), int((left == 0).sum()), -less, why))
    kept = kept.assign(quantity=left, revenue=kept["revenue"] * share, discount=kept["discount"] * share)
    return kept[left > 0]


def _guests(facts: Facts, format: str) -> np.ndarray:
    """Orders without a customer, or of a customer who stands for many: each becomes a guest of its own."""
    ids, orders = as_text(facts.lines["customer_id"]), facts.lines["order_id"]
    trips = facts.lines[facts.keep].drop_duplicates("order_id")
    count = as_text(trips["customer_id"]).value_counts()
    stand_ins = {c for c in count.index if re.fullmatch(GUESTS, c)}
    for zero in [c for c in count.index if re.fullmatch(r"-?0+|-1|9{2,}", c.strip())]:
        if format == "woocommerce" or count[zero] >= 2 * count.drop(zero).max():
            stand_ins.add(zero)
    if len(count) > 20 and count.iloc[0] >= max(0.05 * len(trips), 20 * count.median()):
        weeks = trips["timestamp"].dt.to_period("W")
        most = weeks[as_text(trips["customer_id"]).to_numpy() == count.index[0]].nunique()
        if most > 0.8 * weeks.nunique():
            stand_ins.add(count.index[0])
    guest = (ids.isna() | ids.isin(stand_ins)).to_numpy(bool)
    names = f" ({', '.join(sorted(map(repr, stand_ins)))} stands for many)" if stand_ins else ""
    why = f"counts for sales, not for customers{names}"
    facts.found("without customer", guest, why, "guests", drop=facts.switches["guests"] == "drop")
    if guest.any():
        facts.lines["customer_id"] = ids.mask(guest, "guest-" + orders.astype("str"))
    if guest.all():
        facts.reader.note("no line names a customer: it serves sales, not purchases or recommendations")
    return guest


def _one_customer_an_order(lines: pd.DataFrame, facts: Facts) -> pd.DataFrame:
    """Part an order that has two customers: shops number their orders anew each year, or in each store."""
    customer = lines["customer_id"].astype("str")
    first = customer.groupby(pd.factorize(lines["order_id"])[0]).transform("first")
    mixed = lines["order_id"].isin(lines["order_id"][first.to_numpy() != customer.to_numpy()])
    if mixed.any():
        money = float(lines["revenue"][mixed].sum())
        facts.rows.append(("order of two customers", int(mixed.sum()), 0, money, "parted into one for each"))
        lines = lines.assign(order_id=lines["order_id"].mask(mixed, lines["order_id"] + "/" + customer))
    return lines


def _one_row_a_product(lines: pd.DataFrame, facts: Facts) -> pd.DataFrame:
    """Add up the scans of one product in one order."""
    again = lines.duplicated(["order_id", "product_id"], keep=False)
    if not again.any():
        return lines
    how = dict.fromkeys(lines.columns.drop(["order_id", "product_id"]), "first")
    how |= dict.fromkeys(("quantity", "revenue", "discount"), "sum")
    summed = lines[again].groupby(["order_id", "product_id"], as_index=False, sort=False).agg(how)
    n, money = int(again.sum()), float(lines["revenue"][again].sum())
    why = f"added up to {len(summed):,} lines, one per order"
    facts.rows.append(("scans of one product", n, 0, money, why))
    return pd.concat([lines[~again], summed[lines.columns]], ignore_index=True)
