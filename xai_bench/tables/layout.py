"""How a text file holds a table: its separator, the line with the names, a line of units, its decimal mark.

All of it is found in the first lines. Nothing is guessed that would cost a row: a title above the names, or values in
their place, are refused with the line that is wrong.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from xai_bench.errors import InputError
from xai_bench.tables.words import MISSING

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
"""In the order of preference where several split the lines equally well."""
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)*|[.,]\d+)([eE][+-]?\d+)?%?")
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
VALUES_SHARE = 0.5
"""A first line with this share of decimal numbers is a row of values."""
UNITS_SHARE = 0.9
"""Of the values of a column of numbers, below a line of units."""


@dataclass(frozen=True)
class Layout:
    """Where the values begin and how they are written.

    Attributes
    ----------
    names : of the columns, without blanks around them; "" where a column has none
    units : of the columns, or () where no line has them
    width : fields of most rows
    skipped : lines above the first row of values
    separator, decimal : between fields; the decimal mark
    notices : what was done, in words
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    width: int
    skipped: int
    separator: str
    decimal: str
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """One line of fields. ``number``: that of its last physical line, from 1."""

    number: int
    fields: tuple[str, ...]

    @property
    def filled(self) -> int:
        """Fields that are not empty."""
        return sum(map(bool, self.fields))


def layout_of(name: str, lines: Sequence[str]) -> Layout:
    """The layout of a file whose first physical lines these are.

    Raises
    ------
    InputError
        Without a line of names, or with a title above it.
    """
    separator = separator_of(lines)
    rows = _split(lines, separator)
    if not rows:
        raise InputError(f"{name!r} is empty: expected a header line and rows")
    header, below = rows[0], rows[1:]
    _check_title(name, rows)
    _check_values(name, header)
    width, notices = len(header.fields), []
    usual = _usual_width(below) if below else width
    names = [field.strip() for field in header.fields]
    if width > usual and not any(field.strip(" ,;|\t") for field in names[usual:]):
        names = names[:usual]
        notices.append("the header line ends with separators that no row has: left out")
    units = _units(below)
    if units:
        notices.append(f"line {below[0].number} holds units, not values: read as the units of the columns")
    last = below[0] if units else header
    return Layout(tuple(names), units, usual, last.number, separator, _decimal(below, separator), tuple(notices))


def separator_of(lines: Sequence[str]) -> str:
    """The separator that splits the most lines into one number of fields, above one."""

    def share(separator: str) -> float:
        widths = Counter(len(row.fields) for row in _split(lines, separator))
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        return count / widths.total() if width > 1 else 0.0

    shares = {separator: share(separator) for separator in SEPARATORS}
    best = max(shares.values())
    return next(s for s, value in shares.items() if value == best) if best else ","


def _split(lines: Sequence[str], separator: str) -> list[Line]:
    """The lines that hold anything."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    try:
        rows = [Line(reader.line_num, tuple(field.strip(" ") for field in fields)) for fields in reader]
    except csv.Error:
        return []
    return [row for row in rows if row.filled]


def _usual_width(rows: Sequence[Line]) -> int:
    return Counter(len(row.fields) for row in rows).most_common(1)[0][0]


def _check_title(name: str, rows: Sequence[Line]) -> None:
    """Refuse lines above the header: they have one field, or few, where all others have more."""
    width = _usual_width(rows)
    first = rows[0]
    shorter = len(first.fields) < width and first.filled <= max(1, width // 2)
    padded = first.filled == 1 and bool(first.fields[0]) and width > 2
    if not (shorter or padded):
        return
    header = next((row for row in rows[1:] if row.filled > max(1, width // 2)), None)
    if header is None:
        return
    raise InputError(
        f"expected column names in the first line of {name!r}, got {' '.join(first.fields).strip()!r}: line "
        f"{header.number} looks like the header; remove what stands above it"
    )


def _check_values(name: str, header: Line) -> None:
    """Refuse a first line that holds values where names should stand."""
    fields = [field for field in header.fields if field]
    numbers = [field for field in fields if NUMBER.fullmatch(field)]
    if len(numbers) == len(fields):
        counted = [int(field) for field in fields if field.isdigit()]
        values = len(counted) < len(fields) or any(b - a != 1 for a, b in pairwise(counted))
    else:
        decimal = sum(bool(DECIMAL_POINT.fullmatch(field) or DECIMAL_COMMA.fullmatch(field)) for field in fields)
        values = decimal >= VALUES_SHARE * len(fields)
    if values:
        raise InputError(
            f"expected column names in the first line of {name!r}, got what looks like values, such as "
            f"{numbers[0]!r}: add a header line"
        )


def _units(rows: Sequence[Line]) -> tuple[str, ...]:
    """The fields of the first line below the header, if words stand above all columns of numbers."""
    if len(rows) < 4:
        return ()
    first, rest = rows[0].fields, rows[1:]
    above = []
    for column, text in enumerate(first):
        values = [row.fields[column] for row in rest if column < len(row.fields) and row.fields[column]]
        if values and sum(bool(NUMBER.fullmatch(value)) for value in values) >= UNITS_SHARE * len(values):
            above.append(text)
    words = [text for text in above if not NUMBER.fullmatch(text)]
    told = [text for text in words if text.lower() not in MISSING - {"-", ""}]
    return first if len(above) > 1 and len(words) == len(above) and len(told) > len(above) / 2 else ()


def _decimal(rows: Sequence[Line], separator: str) -> str:
    """A comma, where fields such as 1,5 stand beside none such as 1.5 and commas do not separate."""
    if separator == ",":
        return "."
    fields = [field for row in rows for field in row.fields]
    commas = any(DECIMAL_COMMA.fullmatch(field) for field in fields)
    return "," if commas and not any(DECIMAL_POINT.fullmatch(field) for field in fields) else "."
