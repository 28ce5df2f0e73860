"""Numbers as people write them: 1,234.5, 1.234,5, 45 %, € 12, and words that stand for a missing value."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.errors import one_line
from xai_bench.tables.words import MISSING

SIGNS = "%€$£¥"
THOUSANDS_COMMA = r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"
THOUSANDS_POINT = r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?"
THOUSANDS_GAP = r"([+-]?[1-9]\d{0,2}(?:[ \u00a0\u202f\u2009'’]\d{3})+)([.,]\d+)?"
UNIT = r"([+-]?(?:[1-9][\d.,]*|0(?:[.,]\d+)?|[.,]\d+))\s*([^\W\d_][^\d\s]{0,9})"
"""A number and what it is a number of, as in 12 kg; codes such as 007A are none."""
MINUS = str.maketrans("\u2212\uff0d\ufe63", "---")
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
    texts = _in_plain_letters(texts)
    sign = _sign(texts)
    if sign:
        texts = texts.str.replace(re.escape(sign), "", regex=True).str.strip()
    return pd.to_numeric(_with_points(texts, decimal), errors="coerce"), sign


def _in_plain_letters(texts: pd.Series) -> pd.Series:
    """Other digits and minus signs as those of ASCII; no blanks or apostrophes between thousands."""
    other = ~texts.map(str.isascii).astype(bool)
    if other.any():
        texts = texts.mask(other, texts[other].map(lambda text: "".join(map(_digit, text.translate(MINUS)))))
    gaps = texts.str.fullmatch(THOUSANDS_GAP)
    return texts.mask(gaps, texts.str.replace(r"[ \u00a0\u202f\u2009'’]", "", regex=True)) if gaps.any() else texts


def _digit(letter: str) -> str:
    return str(unicodedata.decimal(letter)) if letter.isdecimal() else letter


def _sign(texts: pd.Series) -> str:
    """The one of ``SIGNS`` that most texts begin or end with, or the unit that most end with."""
    for sign in SIGNS:
        if (texts.str.startswith(sign) | texts.str.endswith(sign)).mean() > 1 - WORD_SHARE:
            return sign
    units = texts.str.extract(f"^{UNIT}$")[1].value_counts()
    return str(units.index[0]) if len(units) and units.iloc[0] > (1 - WORD_SHARE) * len(texts) else ""


def texts_of(series: pd.Series) -> pd.Series:
    """Every cell as one line of text without blanks around it; missing where there is none."""
    texts = series.astype(object).map(_text, na_action="ignore")
    return texts.mask(texts == "")


def _text(value: object) -> str:
    return one_line(value.decode("utf-8", "replace") if isinstance(value, bytes) else value).strip()


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
