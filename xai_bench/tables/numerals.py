"""Numbers as people write them: 1,234.5, 1.234,5, 45 %, € 12, and words that stand for a missing value."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.tables.words import MISSING

SIGNS = "%€$£¥"
THOUSANDS_COMMA = r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"
THOUSANDS_POINT = r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?"
PLAIN = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
COMMA = r"[+-]?\d*,\d+"
OTHER_WORDS = 3
"""Words beside numbers, further than those of ``MISSING``, that may stand for a missing value ..."""
WORD_SHARE = 0.1
"""... in this share of the rows at the most ..."""
DIFFERENT_NUMBERS = 10
"""... of a column with more numbers than this."""


class Numerals(NamedTuple):
    """(n,) float64, NaN where a value is missing; the sign that stands at every number; words read as missing."""

    values: NDArray[np.float64]
    sign: str
    words: tuple[str, ...]


def numerals(texts: pd.Series, decimal: str = ".", words: int = OTHER_WORDS) -> Numerals | None:
    """The numbers of a column of texts (n,); None if it holds others.

    ``decimal``: the mark of the file where that is known. ``words``: how many further words may stand for a missing
    value.
    """
    codes, found = pd.factorize(texts)
    unique = pd.Series(np.asarray(found, dtype=object), dtype=object).astype(str).str.strip()
    absent = unique.str.lower().isin(MISSING)
    values, sign = _parsed(unique[~absent], decimal)
    known = values.notna()
    others = unique[~absent][~known]
    if len(others):
        rows = np.isin(codes, others.index)
        few = len(others) <= words and rows.sum() <= WORD_SHARE * len(codes) and known.sum() > DIFFERENT_NUMBERS
        if not few:
            return None
    if not known.any():
        return None
    all_values = values.reindex(unique.index).to_numpy(dtype=np.float64)
    row_values = np.append(all_values, np.nan)[codes]
    said = tuple(sorted({*unique[absent & (unique != "")], *others}))
    return Numerals(np.where(np.isfinite(row_values), row_values, np.nan), sign, said)


def _parsed(texts: pd.Series, decimal: str) -> tuple[pd.Series, str]:
    """Numbers of distinct texts, NaN where one is none, and their common sign."""
    plain = pd.to_numeric(texts, errors="coerce")
    if plain.notna().all():
        return plain, ""
    sign = _sign(texts)
    if sign:
        texts = texts.str.replace(re.escape(sign), "", regex=True).str.strip()
    return pd.to_numeric(_with_points(texts, decimal), errors="coerce"), sign


def _sign(texts: pd.Series) -> str:
    """The one of ``SIGNS`` that most texts begin or end with."""
    for sign in SIGNS:
        if (texts.str.startswith(sign) | texts.str.endswith(sign)).mean() > 1 - WORD_SHARE:
            return sign
    return ""


def _with_points(texts: pd.Series, decimal: str) -> pd.Series:
    """Without thousands' marks and with decimal points, by the first way of writing that all texts but words follow."""
    ways = [(THOUSANDS_COMMA, ",", "."), (f"{THOUSANDS_POINT}|{COMMA}", ".", ",")]
    for pattern, mark, point in ways if decimal == "." else reversed(ways):
        written = texts.str.fullmatch(pattern)
        whole = texts.str.fullmatch(PLAIN if point == "." else r"[+-]?\d+")
        numeric = texts.str.contains(r"\d", regex=True) & ~texts.str.contains(r"[^\d.,+\-eE]", regex=True)
        if written.any() and (written | whole)[numeric].all():
            return texts.str.replace(mark, "", regex=False).str.replace(point, ".", regex=False)
    return texts
