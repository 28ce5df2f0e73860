"""A table ready for training: what was read, what became of every column, numbers and target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from xai_bench.errors import InputError, unknown
from xai_bench.tables.between import Repeats, related, repeats
from xai_bench.tables.columns import FEW_ROWS, Column, Read, read_columns
from xai_bench.tables.encoding import Encoded, encode
from xai_bench.tables.reading import Sheet
from xai_bench.tables.target import Kind, Target, target_of
from xai_bench.wording import have, plural


@dataclass(frozen=True)
class Prepared:
    """What is trained on.

    Attributes
    ----------
    columns : every column but the target and those that were set aside, in the order of the table
    encoded : those that are used, as numbers
    target : what is predicted, None if the table has no target
    notices : what a user is to know, in lines: of the file, of columns, of the target, of rows
    repeats : rows that have a twin, if there are many
    """

    columns: tuple[Column, ...]
    encoded: Encoded
    target: Target | None
    notices: tuple[str, ...]
    repeats: Repeats | None = None

    @property
    def table(self) -> pd.DataFrame:
        """One row a column: column, kind, used, done, why."""
        rows = [(c.name, c.kind, c.used, c.done, c.why) for c in self.columns]
        return pd.DataFrame(rows, columns=["column", "kind", "used", "done", "why"])

    @property
    def predicted(self) -> Target:
        """The target of a table that was read with one."""
        assert self.target is not None
        return self.target


def prepared(
    sheet: Sheet,
    target: str | None,
    kind: Kind | None = None,
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    missing_codes: Sequence[float] = (),
    apart: Sequence[str] = (),
) -> Prepared:
    """Every column read, related to the others and encoded.

    Parameters
    ----------
    target : the column that is predicted; None where only the inputs are wanted
    drop : columns that are no inputs
    keep : columns that are used although they look like an identifier or a copy of the target
    missing_codes : numbers that stand for a missing value
    apart : columns with another role, such as groups: no inputs either, and not listed

    Raises
    ------
    InputError
        If a column does not exist, or the target cannot be used.
    """
    frame = sheet.frame
    for column in (*([] if target is None else [target]), *drop, *keep, *apart):
        if column.strip() not in frame:
            raise unknown("column", column, frame.columns)
    drop, keep = [name.strip() for name in drop], [name.strip() for name in keep]
    found = None
    if target is not None:
        target = target.strip()
        if target in drop:
            raise InputError(f"expected a target that is kept, got {target!r} in drop too: take it out there")
        found = target_of(frame[target], kind, sheet.decimal)
    left = [name for name in frame if name != target and name not in {*drop, *(part.strip() for part in apart)}]
    units = tuple(unit for name, unit in zip(frame, sheet.units, strict=True) if name in left) if sheet.units else ()
    reads = read_columns(replace(sheet, frame=frame[left], units=units), missing_codes)
    reads = related([_kept(read, frame[read.column.name], keep) for read in reads], found, keep)
    if len(frame) >= FEW_ROWS:  # else their number is the mistake to name
        _check_inputs([read.column for read in reads])
    twins = repeats(reads)
    of_target = found.notices if found else ()
    notices = [
        *sheet.notices,
        *of_target,
        *_codes_elsewhere(missing_codes, found, reads),
        *(read.column.line for read in reads if read.column.why),
    ]
    if twins:
        notices.append(twins.line)
    return Prepared(tuple(read.column for read in reads), encode(reads, len(frame)), found, tuple(notices), twins)


def _check_inputs(columns: Sequence[Column]) -> None:
    """Raise InputError, with the first reasons, unless two inputs are left."""
    used = sum(column.used for column in columns)
    if used < 2:
        out = [column.line for column in columns if not column.used]
        because = f" ({'; '.join(out[:3])}{' ...' if len(out) > 3 else ''})" if out else ""
        raise InputError(f"expected at least 2 inputs to rank, got {used}{because}: add columns")


def _codes_elsewhere(codes: Sequence[float], target: Target | None, reads: Sequence[Read]) -> list[str]:
    """Notices of numbers for missing values that no column has, or the target."""
    notices = []
    for code in codes:
        rows = int((target.values == code).sum()) if target is not None and target.kind == "regression" else 0
        if target is not None and rows:
            notices.append(
                f"{plural(rows, 'row')} {have(rows)} {code:g} as their target {target.name!r}, "
                "which is read as a number: leave their cells empty if it is missing there"
            )
        if not any(code in read.codes for read in reads):
            notices.append(f"missing_codes: {code:g} occurs in no column of numbers")
    return notices


def _kept(read: Read, series: pd.Series, keep: Sequence[str]) -> Read:
    """An identifier in numbers is used where the user says so.

    Raises
    ------
    InputError
        If a column that is to be kept has no numbers that could be used.
    """
    column = read.column
    if column.used or column.name not in keep:
        return read
    if column.kind != "identifier" or not pd.api.types.is_numeric_dtype(series):
        raise InputError(
            f"expected a column that can be used in keep, got {column.name!r} ({column.kind}: {column.why}): take it "
            "out there"
        )
    return replace(read, column=replace(column, kind="number", used=True, done="used, as was said"))
