"""What each column of a table holds, and what becomes of it: one list."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.errors import one_line
from xai_bench.tables.numerals import COMMA, SIGNS, Numerals, numerals, texts_of
from xai_bench.tables.reading import UNNAMED, Sheet
from xai_bench.tables.words import MISSING
from xai_bench.wording import plural

ColumnKind = Literal["number", "two values", "category", "date", "identifier", "free text", "constant", "empty"]
MOST_LEVELS = 20
"""Of a category that become columns; the rarer ones are joined."""
OTHER, ABSENT = "(other)", "(missing)"
FEW_ROWS = 20
"""Below, nothing is called an identifier."""
WORDS_OF_TEXT = 4
"""Words in a cell of free text, on average."""
LONG_DIGITS = 6
"""Whole numbers of so many digits, all different, may be identifiers."""
IDENTIFIER = re.compile(r"^index$|(^|[_\W])(id|ids|nr|no|idx|row|rowid|uuid|guid)([_\W]|$)", re.I)
CODES = tuple(sign * value for value in (9, 99, 999, 9999, 99999, 8888, 7777, 888, 777) for sign in (-1, 1))
"""Numbers that often stand for a missing value."""
DATE_FORMATS = (
    "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M", "%Y-%m-%d %I:%M %p", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%y",
    "%d/%m/%y", "%m/%d/%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y", "%d %B %Y",
)  # fmt: skip
NO_DATE = r"[0\W]+"
"""Such as 0000-00-00."""
ROUNDING = 1e-12
"""Of the largest number of a column: broken numbers that differ by less are one."""
WHOLE = 2**53
"""From here on not every whole number is a float64."""
TELLING = 100
"""Steps of single precision that the values of a column span at least."""


AS_IT_IS = "used as it is"
"""What is done with most columns."""


@dataclass(frozen=True)
class Column:
    """What a column holds and what becomes of it.

    Attributes
    ----------
    name, unit : as in the table; "" without a unit
    kind : what the values are
    used : whether it is an input
    done : what was done with it
    why : what there is to know about it; "" where there is nothing
    levels : of a category, as its columns are ordered
    missing : cells without a value
    """

    name: str
    kind: ColumnKind
    used: bool = True
    done: str = AS_IT_IS
    why: str = ""
    unit: str = ""
    levels: tuple[str, ...] = ()
    missing: int = 0

    @property
    def line(self) -> str:
        """What a user is to know, in one line."""
        return f"column {self.name!r}: {'; '.join(part for part in (self.why, self.done) if part)}"

    def left_out(self, why: str) -> Column:
        """The same as no input, for that reason."""
        return replace(self, used=False, done="left out", why=_joined(self.why, why))

    def noted(self, why: str) -> Column:
        """The same with one thing more to know, "" for nothing."""
        return replace(self, why=_joined(self.why, why))


@dataclass(frozen=True)
class Read:
    """A column and its values (n,): float64 with NaN where one is missing; of a category, numbers of its levels.

    ``codes``: numbers for a missing value that it had.
    """

    column: Column
    values: NDArray[np.float64]
    codes: frozenset[float] = frozenset()


def read_columns(sheet: Sheet, codes: Collection[float] = ()) -> list[Read]:
    """Every column of a sheet.

    ``codes``: numbers that stand for a missing value.
    """
    units = sheet.units or ("",) * sheet.frame.shape[1]
    return [
        read_column(sheet.frame[name], unit, sheet.decimal, codes)
        for name, unit in zip(sheet.frame, units, strict=True)
    ]


def read_column(series: pd.Series, unit: str = "", decimal: str = ".", codes: Collection[float] = ()) -> Read:
    """What one column holds: of numbers, texts, booleans, dates, or a pandas category."""
    column = Column(str(series.name), "number", unit=unit)
    if series.isna().all():
        return _empty(column, len(series))
    kind = series.dtype.kind if isinstance(series.dtype, np.dtype) else ""
    if pd.api.types.is_datetime64_any_dtype(series):
        return _dated(column, series)
    if isinstance(series.dtype, pd.PeriodDtype):
        return _dated(column, series.dt.to_timestamp())
    if pd.api.types.is_timedelta64_dtype(series):
        return _numeric(replace(column, unit="days"), series.dt.total_seconds().to_numpy(float) / 86400, codes)
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _worded(column, series.astype(object))
    if pd.api.types.is_bool_dtype(series) or _all_booleans(series):
        return _two(column, series)
    if pd.api.types.is_numeric_dtype(series) and kind != "c":
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        if pd.api.types.is_integer_dtype(series) and _blurred(values, series.nunique()):
            return _worded(column, series.astype(object))
        return _numeric(column, values, codes)
    return _from_texts(column, series, decimal, codes)


def _blurred(values: NDArray[np.float64], different: int) -> bool:
    """Whether whole numbers are so long that different ones, such as identifiers, are one float64."""
    known = values[~np.isnan(values)]
    return bool(np.abs(known).max(initial=0) >= WHOLE) and len(np.unique(known)) < different


def _all_booleans(series: pd.Series) -> bool:
    return series.dtype == object and all(isinstance(value, bool | np.bool_) for value in series.dropna())


def _empty(column: Column, n: int) -> Read:
    empty = replace(column, kind="empty", missing=n).left_out("it holds no value")
    return Read(empty, np.full(n, np.nan))


def _from_texts(column: Column, series: pd.Series, decimal: str, codes: Collection[float]) -> Read:
    texts = texts_of(series)
    found = numerals(texts.fillna(""), decimal)
    if found is not None and not _name_rows(texts, found):
        if found.words:
            shown = ", ".join(repr(one_line(word, 40)) for word in found.words[:5])
            column = column.noted(f"the {'word' if len(found.words) == 1 else 'words'} {shown} read as missing")
        unit = column.unit or found.sign
        return _numeric(replace(column, unit=unit), found.values, codes)
    if texts.isna().all():
        return _empty(column, len(texts))
    dates = _dates(texts)
    return _worded(column, texts) if dates is None else _dated(column.noted(dates.note), dates.values)


def _name_rows(texts: pd.Series, found: Numerals) -> bool:
    """Whether numbers are identifiers: too long for a float64, or whole, all different and with letters, as 17A."""
    values = found.values
    if _blurred(values, texts.nunique()) and texts.dropna().str.fullmatch(r"[+-]?\d+").all():
        return True
    if found.sign in SIGNS or len(values) < FEW_ROWS:  # "" is in every text
        return False
    return bool((values == np.floor(values)).all()) and len(np.unique(values)) == len(values)


def _numeric(column: Column, values: NDArray[np.float64], codes: Collection[float]) -> Read:
    infinite = np.isinf(values)
    if infinite.any():
        column = column.noted(f"{plural(int(infinite.sum()), 'infinite value')} read as missing")
    coded = np.isin(values, list(codes))
    if coded.any():
        column = column.noted(f"{plural(int(coded.sum()), 'code')} for missing, as was said")
    had = frozenset(values[coded].tolist())
    values = np.where(infinite | coded, np.nan, values)
    known = values[~np.isnan(values)]
    missing = len(values) - len(known)
    column = replace(column, missing=missing)
    if not len(known):
        return _empty(column, len(values))
    blurred = np.ptp(known) <= ROUNDING * np.abs(known).max() and not (known == np.floor(known)).all()
    if (np.ptp(known) == 0 or blurred) and not missing:
        but = ", but for rounding" if np.ptp(known) > 0 else ""
        return Read(replace(column, kind="constant").left_out(f"all values are {known[0]:g}{but}"), values)
    column = _identified(column, values)
    code = _code(known)
    if code is not None:
        count = int((known == code).sum())
        column = column.noted(
            f"{code:g} occurs {count} times, far from all other values, and may stand for missing: if so, say "
            f"missing_codes = [{code:g}]"
        )
    if len(np.unique(known)) == 2 and column.used:
        column = replace(column, kind="two values")
    return Read(_filled(column, len(values)), values, had)


def _filled(column: Column, n: int) -> Column:
    """What is done where some of n values are missing."""
    if not column.missing or not column.used:
        return column
    done = "filled with the median of the training rows"
    return replace(column, done=done).noted(_absent(column, n))


def _absent(column: Column, n: int) -> str:
    """How many values are missing; where it is most of them, of how many."""
    many = column.missing > n / 2
    return plural(column.missing, "missing value") + (f" in {plural(n, 'row')}" if many else "")


def _identified(column: Column, values: NDArray[np.float64]) -> Column:
    """Left out if it names the rows; noted if it may."""
    n = len(values)
    whole = n >= FEW_ROWS and not np.isnan(values).any() and (values == np.floor(values)).all()
    if column.unit or not whole or len(np.unique(values)) < n:
        return column
    named = column.name.startswith(UNNAMED) or bool(IDENTIFIER.search(_words(column.name)))
    counts = bool(np.ptp(values) == n - 1)
    span, largest = np.ptp(values), float(np.abs(values).max())
    coarse = bool(np.spacing(np.float32(min(largest, 3e38))) > span / TELLING)
    long = float(np.abs(values).min()) >= 10 ** (LONG_DIGITS - 1)
    if coarse or (named and (counts or long)):
        text = "it counts the rows" if counts else "all its values are different whole numbers"
        return replace(column, kind="identifier").left_out(f"{text}: an identifier")
    if counts:
        return column.noted(f"it counts the rows: it may be an identifier; if so, say drop = [{column.name!r}]")
    if named or long:
        return column.noted(
            f"all its values are different whole numbers: it may be an identifier; if so, say drop = [{column.name!r}]"
        )
    return column


def _words(name: str) -> str:
    """A name with the words of patientId apart."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)


def _code(known: NDArray[np.float64]) -> float | None:
    """A number that stands apart from all others and often means that a value is missing."""
    code = _apart(known)
    return code if code in CODES else None


def _apart(known: NDArray[np.float64]) -> float | None:
    """The smallest or largest value, if it occurs twice and is further from all others than these are apart."""
    values, counts = np.unique(known, return_counts=True)
    if len(values) < 4:
        return None
    if counts[0] > 1 and values[1] - values[0] > np.ptp(values[1:]):
        return float(values[0])
    if counts[-1] > 1 and values[-1] - values[-2] > np.ptp(values[:-1]):
        return float(values[-1])
    return None


def _two(column: Column, series: pd.Series) -> Read:
    """Booleans; a category where some are missing."""
    if series.isna().any():
        return _worded(column, series.astype(object))
    values = series.to_numpy(dtype=np.float64)
    if np.ptp(values) == 0:
        return Read(replace(column, kind="constant").left_out(f"all values are {bool(values[0])}"), values)
    return Read(replace(column, kind="two values"), values)


@dataclass(frozen=True)
class _Dates:
    """Dates that were read from texts, and what is to be known of that."""

    values: pd.Series
    note: str


def _dates(texts: pd.Series) -> _Dates | None:
    """The dates of a column in one of the formats, or None."""
    absent = texts.str.lower().isin(MISSING) | texts.str.fullmatch(NO_DATE).fillna(False).astype(bool)
    words = sorted(texts[absent].unique())
    texts = texts.mask(absent)
    known = pd.Series(texts.dropna().unique())
    if known.empty or not known.str.contains(r"\d", regex=True).all() or known.str.len().max() > 40:
        return None
    fitting = []
    for form in (*DATE_FORMATS, "ISO8601"):
        utc = form == "ISO8601"
        if pd.to_datetime(known.head(50), format=form, errors="coerce", utc=utc).notna().all():
            values = pd.to_datetime(texts, format=form, errors="coerce", utc=utc)
            if values.notna().sum() == texts.notna().sum():
                fitting.append((form, values))
    if not fitting:
        return None
    form, values = fitting[0]
    turned = form.replace("%d", "?").replace("%m", "%d").replace("?", "%m")
    both = turned != form and turned in [other for other, _ in fitting]
    notes = ["the day is taken to stand before the month"] if both else []
    if "%y" in form:
        values = _one_century(values)
        notes.append("years of two digits")
    if words:
        shown = ", ".join(repr(word) for word in words[:5])
        notes.append(f"the {'word' if len(words) == 1 else 'words'} {shown} read as missing")
    return _Dates(values, "; ".join(notes))


def _one_century(dates: pd.Series) -> pd.Series:
    """Years of two digits so that they lie close together: 59 to 80 are not torn apart at 69."""
    late = dates.dt.year >= 2000
    earlier = dates.mask(late, dates - pd.DateOffset(years=100))
    return earlier if earlier.max() - earlier.min() < dates.max() - dates.min() else dates


def _dated(column: Column, dates: pd.Series) -> Read:
    """Days since the first date."""
    column = replace(column, kind="date", unit="days", missing=int(dates.isna().sum()))
    days = ((dates - dates.min()) / pd.Timedelta(days=1)).to_numpy(dtype=np.float64, na_value=np.nan)
    if dates.nunique() < 2 and not column.missing:
        return Read(replace(column, kind="constant").left_out("all dates are equal"), days)
    column = column.noted(f"dates from {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}")
    apart = _apart(days[~np.isnan(days)])
    if apart is not None:
        date, count = dates[days == apart].iloc[0], int((days == apart).sum())
        column = column.noted(
            f"{date:%Y-%m-%d} occurs {count} times, far from all other dates, and may stand for missing: if so, leave "
            "those cells empty"
        )
    done = "used as the number of days since the first"
    if column.missing:
        column = column.noted(_absent(column, len(dates)))
        done += ", filled with the median of the training rows"
    return Read(replace(column, done=done), days)


def _worded(column: Column, series: pd.Series) -> Read:
    """A category, an identifier or free text."""
    texts = texts_of(series)
    counts = texts.value_counts()
    n, missing = int(counts.sum()), int(texts.isna().sum())
    column = replace(column, kind="category", missing=missing)
    nothing = np.full(len(texts), np.nan)
    if len(counts) == 1 and not missing:
        constant = replace(column, kind="constant").left_out(f"all values are {one_line(counts.index[0], 40)!r}")
        return Read(constant, nothing)
    words = float(np.mean([len(str(text).split()) for text in counts.index]))
    if len(counts) > MOST_LEVELS and len(counts) > n / 2:
        if words >= WORDS_OF_TEXT:
            return Read(replace(column, kind="free text").left_out("free text is not read"), nothing)
        numbers = pd.to_numeric(pd.Series(counts.index), errors="coerce").notna()
        commas = pd.Series(counts.index).str.fullmatch(COMMA)
        if not numbers.all() and (numbers | commas).mean() > 0.5:
            return Read(replace(column, kind="number").left_out(_partly(counts.index, numbers)), nothing)
        why = f"{plural(len(counts), 'different text')} in {plural(n, 'row')}: an identifier"
        if len(counts) < n:
            why += "; if rows that share one belong together, name the column with groups"
        return Read(replace(column, kind="identifier").left_out(why), nothing)
    if len(counts) > MOST_LEVELS and words >= WORDS_OF_TEXT:
        return Read(replace(column, kind="free text").left_out("free text is not read"), nothing)
    return _category(column, texts, counts)


def _partly(texts: pd.Index, numbers: pd.Series) -> str:
    """What is wrong with a column of numbers that has other texts too."""
    other = [repr(one_line(text, 40)) for text, number in zip(texts, numbers, strict=True) if not number]
    return (
        f"{int(numbers.sum())} of {plural(len(texts), 'different text')} are numbers, others such as {other[0]} are "
        "not: write these as numbers, or leave their cells empty"
    )


def _category(column: Column, texts: pd.Series, counts: pd.Series) -> Read:
    alike = differing_labels(counts.index)
    if alike:
        column = column.noted(f"{_pairs(alike)} differ by case only: if they are one, write them alike")
    kept = sorted(counts.index[:MOST_LEVELS])
    rare, levels = len(counts) - len(kept), list(kept)
    number = {level: float(i) for i, level in enumerate(kept)}
    if rare:
        levels.append(_unlike(kept, OTHER))
        column = column.noted(f"{len(counts)} different texts: the rarest {rare} joined as {levels[-1]}")
    other = float(len(levels) - 1)
    if column.missing:
        levels.append(_unlike(kept, ABSENT))
        column = column.noted(f"{_absent(column, len(texts))}: a level of its own")
    absent = float(len(levels) - 1)
    values = texts.map(number).fillna(other).where(texts.notna(), absent).to_numpy(float)
    two = len(levels) == 2
    done = f"one input of {len(levels)} columns (one-hot)"
    if two:
        done = AS_IT_IS if levels == ["0", "1"] else f"one column: 1 is {levels[1]!r}, 0 {levels[0]!r}"
    return Read(replace(column, kind="two values" if two else "category", levels=tuple(levels), done=done), values)


def _unlike(levels: Collection[str], name: str) -> str:
    """The name, in further brackets as long as it is a level already."""
    while name in levels:
        name = f"({name})"
    return name


def differing_labels(labels: Collection[str]) -> list[list[str]]:
    """Groups of labels that are equal but for case and blanks."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(" ".join(str(label).split()).casefold(), []).append(str(label))
    return [sorted(group) for group in groups.values() if len(group) > 1]


def _pairs(groups: list[list[str]]) -> str:
    return ", ".join(" and ".join(repr(one_line(label, 40)) for label in group) for group in groups[:3])


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
