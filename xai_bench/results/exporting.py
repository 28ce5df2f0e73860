"""Tables as text or files: CSV and Parquet at full precision, LaTeX and Markdown as people read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from xai_bench.errors import InputError, unknown
from xai_bench.results import formats, tables
from xai_bench.results.shown import plain, shown

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

FORMATS = ("csv", "parquet", "latex", "markdown")


def export(
    results: Results,
    format: str = "csv",
    table: str | None = None,
    of: str | None = None,
    metric: str | None = None,
    out: str | Path | None = None,
) -> str | None:
    """A table of results in a format, as text, or written to a file.

    Parameters
    ----------
    format : ``csv`` or ``parquet`` (all columns at full precision); ``latex`` (booktabs) or ``markdown`` (rounded, with
        intervals; the first group is bold)
    table : ``leaderboard``, ``pairs``, ``recovery``, ``retention``, ``cost``, ``networks``, ``relevances`` or
        ``numbers`` (every stored number); None: numbers in CSV and Parquet, the leaderboard elsewhere
    of, metric : see ``results.tables.table``
    out : the file; None returns the text

    Raises
    ------
    InputError
        If a choice is not known or was not measured, the file cannot be written, or Parquet has no file or no pyarrow.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    read = format in ("latex", "markdown")
    name = table or ("leaderboard" if read else "numbers")
    if read:
        found = shown(results, name, of, metric)
        return _given(formats.latex(found) if format == "latex" else formats.markdown(found), out)
    frame = tables.table(results, name, of, metric)
    if format == "csv":
        return _given(formats.csv(frame), out)
    _write_parquet(frame, out)
    return None


def text_of(frame: pd.DataFrame, format: str) -> str:
    """Any frame as ``csv`` or ``markdown``."""
    return formats.csv(frame) if format == "csv" else formats.markdown(plain(frame))


def _given(text: str, out: str | Path | None) -> str | None:
    if out is None:
        return text
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as error:
        raise _not_written(out, error) from None
    return None


def _write_parquet(frame: pd.DataFrame, out: str | Path | None) -> None:
    if out is None:
        raise InputError("format parquet: expected a file, got none: name it with --out FILE")
    try:
        frame.to_parquet(out, index=False)
    except ImportError:
        raise InputError("format parquet needs pyarrow: pip install pyarrow, or choose csv") from None
    except OSError as error:
        raise _not_written(out, error) from None


def _not_written(out: str | Path, error: OSError) -> InputError:
    return InputError(f"cannot write {str(out)!r}: {error.strerror}; choose another --out")
