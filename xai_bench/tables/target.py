"""The column that is predicted: classes with their names, or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.errors import InputError
from xai_bench.tables.columns import differing_labels, read_column
from xai_bench.tables.numerals import numerals, texts_of
from xai_bench.wording import have, plural

Kind = Literal["classification", "regression"]
MOST_DECIMAL_CLASSES = 50
FEW_NUMBERS = 10
"""Whole numbers of so many values at the most are classes, where nobody says what they are."""
LEAST_OF_CLASS = 3
"""Rows: one for each of the parts."""
SCARCE = 10
"""Rows of a class below which a part may lack it."""


@dataclass(frozen=True)
class Target:
    """(n,) classes 0 .. k-1 with their names, or numbers; and what is to be known about them."""

    name: str
    kind: Kind
    values: NDArray
    class_names: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def target_of(column: pd.Series, kind: Kind | None, decimal: str = ".") -> Target:
    """The target in a column of a sheet; ``kind`` None for what its values look like.

    Raises
    ------
    InputError
        If values are missing, no numbers where numbers are due, or too many or too small classes.
    """
    name = str(column.name)
    texts, numbers = _texts_and_numbers(column, decimal)
    absent = int(_missing(texts, numbers).sum())
    if absent:
        raise InputError(
            f"expected a target in every row, got {plural(absent, 'missing value')} in {name!r} (an empty "
            "field, NA, None and the like): drop those rows, or write the label in another way"
        )
    notices: tuple[str, ...] = ()
    boolean = pd.api.types.is_bool_dtype(column)
    few = kind == "classification" or (kind is None and texts.nunique() <= FEW_NUMBERS)
    if numbers is None and not few and read_column(column).column.kind == "date":
        raise InputError(
            f"the target {name!r} holds dates, such as {str(column.dropna().iloc[0])!r}: expected classes or numbers; "
            "write it as a number, such as days"
        )
    if kind is None:
        kind = _looks_like(numbers)
        notices = (f"the target {name!r} is read as {_said(kind, None if boolean else numbers)}",)
    if kind == "regression":
        if numbers is None:
            raise InputError(
                f"the target {name!r} holds {example(column)}: expected numbers for a regression; for classes set "
                "kind = 'classification'"
            )
        return Target(name, kind, numbers, notices=notices)
    labels, values = np.unique(texts.to_numpy(dtype=str) if numbers is None else numbers, return_inverse=True)
    _check_classes(name, len(labels), len(values), numbers is not None and bool((numbers != np.floor(numbers)).any()))
    names = tuple(
        str(bool(label)) if boolean else str(label) if numbers is None else f"{label:.15g}" for label in labels
    )
    sizes = np.bincount(values)
    return Target(name, kind, values, names, (*notices, *_labelled(name, column, names, sizes)))


def missing(column: pd.Series, decimal: str = ".") -> NDArray[np.bool_]:
    """(n,) the rows in which the column of a target has no value."""
    return _missing(*_texts_and_numbers(column, decimal))


def _missing(texts: pd.Series, numbers: NDArray[np.float64] | None) -> NDArray[np.bool_]:
    return texts.isna().to_numpy(dtype=bool) if numbers is None else np.isnan(numbers)


def _texts_and_numbers(column: pd.Series, decimal: str) -> tuple[pd.Series, NDArray[np.float64] | None]:
    """The labels without blanks around them, and the numbers if all of them are."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "c":  # booleans are numeric here
        return column, column.to_numpy(dtype=np.float64, na_value=np.nan)
    if column.dtype == object and all(isinstance(value, bool) for value in column.dropna()):
        return column, column.to_numpy(dtype=np.float64, na_value=np.nan)
    texts = texts_of(column)
    found = numerals(texts.fillna(""), decimal, words=0)
    return texts, None if found is None else found.values


def _looks_like(numbers: NDArray[np.float64] | None) -> Kind:
    if numbers is None:
        return "classification"
    whole = bool((numbers == np.floor(numbers)).all())
    few = len(np.unique(numbers)) <= (FEW_NUMBERS if whole else 2)
    return "classification" if few else "regression"


def _said(kind: Kind, numbers: NDArray[np.float64] | None) -> str:
    if kind == "regression":
        return "a number (regression); say kind = 'classification' if it holds classes"
    if numbers is None:
        return "classes"
    return "classes, as it holds few different numbers; say kind = 'regression' if it is a quantity"


def _check_classes(name: str, classes: int, n: int, decimal: bool) -> None:
    if decimal and classes > MOST_DECIMAL_CLASSES:
        raise InputError(
            f"the target {name!r} has {classes} different decimal numbers: expected at most {MOST_DECIMAL_CLASSES} "
            "classes; set kind = 'regression', or write the classes as integers"
        )
    if classes > max(n, 20) / 2:  # below 20 rows, their number is the mistake to name
        raise InputError(
            f"the target {name!r} has {classes} classes in {n} rows: expected several rows a class; choose another "
            "target, or set kind = 'regression'"
        )


def _labelled(name: str, column: pd.Series, names: tuple[str, ...], sizes: NDArray) -> list[str]:
    """Notices about the labels.

    Raises
    ------
    InputError
        If a class has too few rows to be in every part.
    """
    if len(names) > 1 and sizes.sum() >= 20 and sizes.min() < LEAST_OF_CLASS:
        smallest = int(sizes.argmin())
        raise InputError(
            f"the class {names[smallest]!r} of the target {name!r} has {plural(int(sizes[smallest]), 'row')}: expected "
            f"at least {LEAST_OF_CLASS}, one for each part; leave those rows out, or merge the class with another"
        )
    notices = []
    written = list(dict.fromkeys(value for value in column.dropna() if isinstance(value, str)))
    for group in differing_labels(written):
        texts = " and ".join(map(repr, group))
        if len({label.strip() for label in group}) == 1:
            notices.append(f"the labels {texts} of the target {name!r} differ by blanks only: read as one")
        else:
            notices.append(
                f"the labels {texts} of the target {name!r} differ by blanks or case: those that differ by case are "
                "kept apart; if they are one, write them alike"
            )
    scarce = [label for label, size in zip(names, sizes, strict=True) if size < SCARCE]
    if scarce:
        listed = ", ".join(map(repr, scarce[:5]))
        notices.append(
            f"{'the class' if len(scarce) == 1 else 'the classes'} {listed} of the target {name!r} "
            f"{have(len(scarce))} fewer than {SCARCE} rows: a part of the data may lack "
            f"{'it' if len(scarce) == 1 else 'them'}"
        )
    return notices


def example(column: pd.Series) -> str:
    """The first value of a column that is not a number, for an error line."""
    known = column.dropna()
    strange = known[pd.to_numeric(known.astype(str), errors="coerce").isna()]
    value = (strange if len(strange) else known).iloc[0]
    return f"{'text' if isinstance(value, str) else 'other values'} such as {str(value)!r}"
