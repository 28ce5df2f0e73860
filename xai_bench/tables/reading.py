"""A table as it stands in a file, or in a DataFrame: columns of numbers or texts, and what was seen on the way."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd

from xai_bench.errors import InputError, one_line
from xai_bench.tables.layout import Layout, layout_of
from xai_bench.wording import plural

FIRST_LINES = 200
"""From which the layout is found."""
LONGEST_HEAD = 2**24
"""Letters of them at the most."""
MARKS = {
    b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip
"""First bytes of a file in another encoding, the longer ones first."""
OTHER_FORMATS = {"JSON": rb'\s*(\{\s*"|\[\s*[\[{])', "a web page or XML": rb"\s*<(!doctype|html|table|\?xml)"}
"""What is no table of lines, and how it begins."""
ENCODINGS = ("utf-8-sig", "cp1252")
"""Tried in turn."""
PACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
UNNAMED = "Unnamed: "
"""Names of columns without a name begin so, as in pandas."""


@dataclass(frozen=True)
class Sheet:
    """A table as it was read.

    Attributes
    ----------
    name : of the file, or ``table``
    frame : (n, columns) names without blanks around them; cells that are empty are missing
    units : one a column, or ()
    decimal : the decimal mark of texts
    notices : what was done, in words
    """

    name: str
    frame: pd.DataFrame
    units: tuple[str, ...] = ()
    decimal: str = "."
    notices: tuple[str, ...] = ()


def read_sheet(path: Path) -> Sheet:
    """Read CSV with any common separator, packed or not; Parquet (``.parquet``); or Excel (``.xlsx``).

    Raises
    ------
    InputError
        If the file cannot be read, in one line.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            sheet = _parquet(path)
        elif kind in (".xlsx", ".xlsm", ".xls", ".ods"):
            sheet = _excel(path)
        else:
            sheet = _text(path)
    except InputError:
        raise
    except pd.errors.EmptyDataError:
        raise InputError(f"{path.name!r} is empty: expected a header line and rows") from None
    except Exception as error:  # The libraries that read files raise whatever they like.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"cannot read {path.name!r} as a table ({reason}): expected text with one separator and a header line, "
            "Parquet in a file named .parquet, or Excel in one named .xlsx"
        ) from None
    return usable(sheet)


def sheet_of(frame: pd.DataFrame) -> Sheet:
    """A DataFrame as if it were read from a file: names as text, the index left out."""
    frame = frame.reset_index(drop=True)
    frame.columns = pd.Index([_name(label, number) for number, label in enumerate(frame.columns)], dtype=object)
    return usable(Sheet("table", frame))


def _name(label: Any, number: int) -> str:
    """The label of a column as a text; of several levels, all of them."""
    parts = label if isinstance(label, tuple) else (label,)
    return " ".join(str(part) for part in parts if not pd.isna(part)).strip() or f"{UNNAMED}{number}"


def usable(sheet: Sheet) -> Sheet:
    """The sheet without empty rows and columns.

    Raises
    ------
    InputError
        Without rows, or with names that are not one line, or twice there.
    """
    frame = sheet.frame
    if frame.shape[1] == 1 and not frame.empty:
        _check_separated(sheet.name, frame)
    if frame.empty:
        raise InputError(
            f"{sheet.name!r} has {len(frame)} rows of {frame.shape[1]} columns: expected a header line and rows"
        )
    broken = [column for column in frame.columns if one_line(column, len(column) + 1) != column]
    if broken:
        raise InputError(f"expected column names of one line, got {broken[0]!a}: rename it")
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    if twice:
        which = "the table" if sheet.name == "table" else repr(sheet.name)
        raise InputError(f"expected each column of {which} once, got {twice[0]!r} again: rename or remove one")
    return _without_empty(sheet)


def _check_separated(name: str, frame: pd.DataFrame) -> None:
    """Refuse one column whose name holds several words between blanks or marks that do not separate here."""
    words = re.split(r"[ :^~]+", frame.columns[0])
    cells = frame.iloc[:, 0].dropna().astype(str).str.strip()
    if len(words) > 1 and len(cells) and (cells.str.count(r"[ :^~]+") == len(words) - 1).all():
        raise InputError(
            f"expected fields between commas, semicolons, tabs or bars, got one field a line in {name!r}, such as "
            f"{one_line(frame.columns[0], 60)!r}: separate the fields by one of these"
        )


def _without_empty(sheet: Sheet) -> Sheet:
    """Unnamed columns and rows without any value are what separators at the end of lines leave behind."""
    absent = sheet.frame.isna()
    rows = absent.all(axis=1)
    columns = absent.all(axis=0) & sheet.frame.columns.str.startswith(UNNAMED)
    notices = list(sheet.notices)
    if columns.any():
        notices.append(f"{plural(int(columns.sum()), 'empty column')} without a name: left out")
    if rows.any() and not rows.all():
        notices.append(f"{plural(int(rows.sum()), 'empty row')}: left out")
        sheet = replace(sheet, frame=sheet.frame[~rows].reset_index(drop=True).infer_objects())
    units = tuple(unit for unit, out in zip(sheet.units, columns, strict=True) if not out) if sheet.units else ()
    return replace(sheet, frame=sheet.frame.loc[:, ~columns.to_numpy()], units=units, notices=tuple(notices))


def _parquet(path: Path) -> Sheet:
    try:
        frame = pd.read_parquet(path)
    except ImportError:
        raise InputError(
            f"reading {path.name!r} needs a Parquet library: run pip install pyarrow, or save the table as CSV"
        ) from None
    return replace(sheet_of(frame), name=path.name)


def _excel(path: Path) -> Sheet:
    """The first sheet of a workbook; its first row holds the names."""
    try:
        book = pd.ExcelFile(path)
    except ImportError:
        raise InputError(
            f"reading {path.name!r} needs a library for Excel: run pip install 'xai-bench[excel]', or save the table "
            "as CSV"
        ) from None
    with book:
        frame = book.parse(0, keep_default_na=False, na_values=[""])
        sheets = [str(sheet) for sheet in book.sheet_names]
    frame.columns = frame.columns.astype(str).str.strip()
    unnamed = frame.columns.str.startswith(UNNAMED)
    if len(unnamed) > 2 and unnamed.sum() == len(unnamed) - 1:
        raise InputError(
            f"expected column names in the first row of {path.name!r}, got the title {frame.columns[~unnamed][0]!r}: "
            "remove the rows above the names"
        )
    notices = (f"of {len(sheets)} sheets the first, {sheets[0]!r}, is read",) if len(sheets) > 1 else ()
    return Sheet(path.name, frame, notices=notices)


def _text(path: Path) -> Sheet:
    """CSV, by whatever separator, in UTF-8 or, if it is not, in the letters of Western Windows."""
    with _opened(path) as file:
        beginning = file.read(4096)
    mark = next((encoding for first, encoding in MARKS.items() if beginning.startswith(first)), None)
    if mark is None and b"\0" in beginning:
        raise ValueError("it holds bytes that are no text")
    other = next((name for name, begins in OTHER_FORMATS.items() if re.match(begins, beginning, re.I)), None)
    if other:
        raise InputError(
            f"expected a table with a header line and fields between separators in {path.name!r}, got what looks like "
            f"{other}: save it as CSV"
        )
    encodings = (mark,) if mark else ENCODINGS
    for encoding in encodings:
        try:
            sheet = _decoded(path, encoding)
        except UnicodeDecodeError:
            if encoding == encodings[-1]:
                raise
            continue
        if encoding == "cp1252":
            notice = "the text is not UTF-8: read as Windows-1252; check letters with accents"
            sheet = replace(sheet, notices=(notice, *sheet.notices))
        return sheet
    raise AssertionError("unreachable: the last encoding returns or raises")


def _decoded(path: Path, encoding: str) -> Sheet:
    with _opened(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        lines = list(_head(text))
    layout = layout_of(path.name, lines)
    with _opened(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        frame = _parsed(path.name, text, layout)
    return Sheet(path.name, frame, _padded(layout.units, frame.shape[1]), layout.decimal, layout.notices)


def _head(text: IO[str]) -> Iterator[str]:
    letters = 0
    for line in islice(text, FIRST_LINES):
        letters += len(line)
        if letters > LONGEST_HEAD:
            return
        yield line


def _parsed(name: str, text: IO[str], layout: Layout) -> pd.DataFrame:
    """The rows below the header. Words such as NA stay texts: whether they mean missing depends on the column."""
    width = max(layout.width, len(layout.names))
    names = [layout.names[i] if i < len(layout.names) else "" for i in range(width)]
    named = [field or f"{UNNAMED}{number}" for number, field in enumerate(names)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame = pd.read_csv(
                text,
                sep=layout.separator,
                decimal=layout.decimal,
                header=None,
                names=range(width),
                index_col=False,
                skiprows=layout.skipped,
                keep_default_na=False,
                na_values=[""],
                skipinitialspace=True,
                low_memory=False,
            )
        except pd.errors.EmptyDataError:
            return pd.DataFrame(columns=named)
    if frame.iloc[:, len(layout.names) :].notna().any(axis=None):
        raise InputError(
            f"expected a name for every column of {name!r}, got rows with more fields than the header: name them"
        )
    frame.columns = pd.Index(named)
    return frame


def _padded(units: tuple[str, ...], width: int) -> tuple[str, ...]:
    return (*units, *[""] * (width - len(units)))[:width] if units else ()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked."""
    kind = path.suffix.lower()
    if kind == ".zip":
        with zipfile.ZipFile(path) as archive:
            if not archive.namelist():
                raise ValueError("an archive without a file")
            with archive.open(archive.namelist()[0]) as file:
                yield file
        return
    with PACKED.get(kind, open)(path, "rb") as file:
        yield cast(IO[bytes], file)
