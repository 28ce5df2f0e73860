"""``explain``: from a table to an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from xai_bench import __version__
from xai_bench.analysis import frames
from xai_bench.analysis.answer import Answer
from xai_bench.analysis.baselines import baseline_scores
from xai_bench.analysis.clusters import association, clusters
from xai_bench.analysis.evidence import bins_of, p_values
from xai_bench.analysis.found import Asked, Found
from xai_bench.analysis.kept import kept_scores
from xai_bench.analysis.rows import Rows, Split, splits
from xai_bench.analysis.score import score_for
from xai_bench.analysis.trainings import Step, held_out_ratio, searched, thresholds, told, trained
from xai_bench.datasets.table import Table, checked
from xai_bench.errors import InputError
from xai_bench.places import expanded
from xai_bench.tables.prepared import Prepared, prepared
from xai_bench.tables.reading import Sheet, read_sheet, sheet_of
from xai_bench.tables.target import Kind

if TYPE_CHECKING:
    Column = str | ArrayLike | None

TARGET = "target"
MOST_ROWS = 10_000
"""Rows that networks, baselines and tests see at the most."""
LARGE = 10**6
"""Numbers in a table above which fewer networks are trained on permuted targets and baselines see one seed only."""
FEW_NULL_TRAININGS = 19


@dataclass(frozen=True)
class Given:
    """A table with a role for each of its columns."""

    found: Prepared
    table: Table
    rows: Rows
    name: str
    sampled: tuple[tuple[str, int, int, str], ...] = ()


def explain(
    X: Any,
    y: Column,
    *,
    kind: Kind | None = None,
    groups: Column = None,
    time: Column = None,
    weights: Column = None,
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    missing_codes: Sequence[float] = (),
    folds: int = 5,
    seeds: int = 3,
    permutations: int = 999,
    null_trainings: int = 39,
    on_step: Callable[[str], None] | None = None,
) -> Answer:
    """Which inputs of a table tell something about a target, and how sure that is.

    Parameters
    ----------
    X : (n, columns) DataFrame or array, or the path of a file (CSV, Parquet, Excel)
    y : the name of a column of X, or (n,) values
    kind : ``classification`` or ``regression``; None for what the target looks like
    groups : rows of one value stay together (a patient, a mouse): the name of a column, or (n,) values
    time : later rows are held out, earlier ones trained on: the name of a column, or (n,) values
    weights : what each row counts, >= 0: the name of a column, or (n,) values
    drop : columns that are no inputs
    keep : columns that are used although they look like an identifier or a copy of the target
    missing_codes : numbers that stand for a missing value, such as -999
    folds, seeds : of the cross-validation, and how often it is repeated
    permutations : of the target, in the test of each input: 99 or more
    null_trainings : networks of each kind that are trained on permuted targets: 19 or more
    on_step : is called with one line for every step

    Returns
    -------
    An answer with frames (``inputs``, ``scores``, ``columns`` ...), ``words`` and ``write(folder)``.

    Raises
    ------
    InputError
        If the table cannot be used, in one line.
    """
    _check_counts(
        folds=(folds, 2), seeds=(seeds, 1), permutations=(permutations, 99), null_trainings=(null_trainings, 19)
    )
    given = _given(X, y, kind, {"groups": groups, "time": time, "weights": weights}, drop, keep, missing_codes)
    return Answer(analysed(given, folds, seeds, permutations, null_trainings, on_step or (lambda line: None)))


def analysed(given: Given, folds: int, seeds: int, permutations: int, null_trainings: int, step: Step) -> Found:
    """All steps on a table that was read."""
    table, rows = given.table, given.rows
    score = score_for(rows.y, rows.kind)
    folds, noticed = _possible(rows, folds)
    chosen = splits(rows, seeds, folds)
    ratio, first = held_out_ratio(chosen), [split for split in chosen if split.seed == 0]
    large = table.X.size > LARGE
    sampled = list(given.sampled)
    if large:
        sampled.append(("trainings on permuted targets", FEW_NULL_TRAININGS, null_trainings, "the table is large"))
        sampled.append(("splits of the baselines", len(first), len(chosen), "the table is large"))
        null_trainings = FEW_NULL_TRAININGS
    networks = searched(table, rows, chosen, score, step)
    trainings = trained(networks, table, rows, chosen, score, step)
    baselines = baseline_scores(table, rows, first if large else chosen, score, step)
    limits = thresholds(networks, table, rows, chosen, score, null_trainings, step)
    step("testing each input")
    tested = p_values(bins_of(table.X, table.inputs), rows, permutations)
    cluster = clusters(association(table.X, table.inputs))
    names = table.input_names
    by_method = frames.methods(names, trainings, limits, ratio)
    asked = replace(
        _asked(given, score.name, score.chance, chosen, (folds, seeds), (permutations, null_trainings), sampled),
        networks=tuple(map(told, networks)),
    )
    return Found(
        asked=asked,
        columns=given.found.table,
        scores=frames.scores(trainings, baselines, ratio),
        inputs=frames.inputs(names, trainings, limits, tested, cluster, ratio),
        methods=by_method,
        trainings=frames.tidy(names, trainings),
        clusters=frames.clusters(names, trainings, cluster, ratio),
        kept=kept_scores(table, rows, first, trainings, score, step),
        agreement=frames.agreement(trainings),
        common=frames.common(by_method),
        notices=(*given.found.notices, *noticed),
    )


def _asked(
    given: Given,
    score: str,
    chance: float,
    chosen: Sequence[Split],
    repeated: tuple[int, int],
    runs: tuple[int, int],
    sampled: Sequence[tuple[str, int, int, str]],
) -> Asked:
    rows = given.rows
    by = "at random"
    if rows.groups is not None:
        by = f"by group ({len(np.unique(rows.groups))} groups)"
    elif rows.time is not None:
        by = "by time, later ones after earlier ones"
    return Asked(
        name=given.name,
        target=given.table.target_name,
        kind=given.table.kind,
        rows=len(rows),
        inputs=len(given.table.inputs),
        columns=given.table.X.shape[1],
        classes=given.table.class_names,
        score=score,
        chance=chance,
        trainings=len(chosen),
        folds=repeated[0],
        seeds=repeated[1],
        by=by,
        permutations=runs[0],
        null_trainings=runs[1],
        version=__version__,
        sampled=tuple(sampled),
    )


def _check_counts(**counts: tuple[int, int]) -> None:
    for name, (value, least) in counts.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise InputError(f"{name}: expected a whole number >= {least}, got {value!r}")


def _given(
    X: Any,
    y: Column,
    kind: Kind | None,
    roles: dict[str, Column],
    drop: Sequence[str],
    keep: Sequence[str],
    missing_codes: Sequence[float],
) -> Given:
    """The table, checked, with a column for the target and one for every other role."""
    if kind not in (None, "classification", "regression"):
        raise InputError(f"kind: expected 'classification' or 'regression', got {kind!r}")
    if roles["groups"] is not None and roles["time"] is not None:
        raise InputError("expected groups or time, got both: hold rows out by one of them")
    sheet = _sheet(X)
    sheet, target = _with_column(sheet, y, TARGET)
    apart: dict[str, str] = {}
    for role, values in roles.items():
        if values is not None:
            sheet, apart[role] = _with_column(sheet, values, role)
    found = prepared(sheet, target, kind, drop, keep, missing_codes, tuple(apart.values()))
    encoded = found.encoded
    table = checked(
        sheet.name,
        Table(
            X=encoded.X,
            y=found.target.values,
            kind=found.target.kind,
            feature_names=encoded.names,
            feature_units=encoded.units,
            inputs=encoded.inputs,
            input_names=encoded.input_names,
            class_names=found.target.class_names,
            target_name=found.target.name,
            holes=True,
        ),
    )
    rows = Rows(table.y, table.kind, *(_role(sheet.frame, role, apart.get(role)) for role in roles))
    return _sampled(Given(found, table, rows, sheet.name))


def _sheet(X: Any) -> Sheet:
    if isinstance(X, str | Path):
        path = expanded(X)
        if not path.is_file():
            found = "a folder" if path.is_dir() else "nothing"
            raise InputError(f"expected a file at {str(X)!r}, found {found}: correct the path")
        return read_sheet(path)
    if isinstance(X, pd.DataFrame):
        return sheet_of(X)
    values = np.asarray(X)
    if values.ndim != 2:
        raise InputError(
            f"X: expected a DataFrame, an array (n, columns) or the path of a file, got {type(X).__name__}"
        )
    return sheet_of(pd.DataFrame(values, columns=[f"x{j + 1}" for j in range(values.shape[1])]))


def _with_column(sheet: Sheet, values: Column, role: str) -> tuple[Sheet, str]:
    """The sheet with the values as a column, and its name; a text is the name of a column that is there."""
    if isinstance(values, str):
        return sheet, values
    column = pd.Series(np.asarray(values)) if not isinstance(values, pd.Series) else values.reset_index(drop=True)
    if len(column) != len(sheet.frame):
        raise InputError(f"{role}: expected {len(sheet.frame)} values, one a row of X, got {len(column)}")
    name = str(getattr(values, "name", None) or role)
    if name in sheet.frame:
        name = f"({role})"
    units = (*sheet.units, "") if sheet.units else ()
    return replace(sheet, frame=sheet.frame.assign(**{name: column}), units=units), name


def _role(frame: pd.DataFrame, role: str, name: str | None) -> NDArray | None:
    """(n,) numbers of groups, places in time, or weights."""
    if name is None:
        return None
    column = frame[name.strip()]
    if column.isna().any():
        raise InputError(f"{role}: expected a value in every row, got {int(column.isna().sum())} missing values")
    if role == "groups":
        return pd.factorize(column)[0]
    if role == "time":
        return _places(column)
    weights = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise InputError("weights: expected numbers >= 0, and some above 0, got others")
    return weights


def _places(column: pd.Series) -> NDArray:
    """Ranks of numbers or dates."""
    from xai_bench.tables.columns import read_column

    read = read_column(column.rename("time"))
    if np.isnan(read.values).any() or read.column.levels:
        raise InputError("time: expected numbers or dates, got texts of another kind")
    return np.argsort(np.argsort(read.values, kind="stable"), kind="stable")


def _sampled(given: Given) -> Given:
    """At most ``MOST_ROWS`` rows, drawn at random."""
    n = len(given.rows)
    if n <= MOST_ROWS:
        return given
    chosen = np.sort(np.random.default_rng(0).permutation(n)[:MOST_ROWS])
    table = replace(given.table, X=given.table.X[chosen], y=given.table.y[chosen])
    return replace(
        given,
        table=table,
        rows=given.rows.take(chosen),
        sampled=(("rows", MOST_ROWS, n, "drawn at random, so that the answer takes minutes"),),
    )


def _possible(rows: Rows, folds: int) -> tuple[int, list[str]]:
    """Folds that the smallest class allows, and what is to be said of that."""
    if rows.kind == "regression" or rows.groups is not None or rows.time is not None:
        return folds, []
    least = int(np.bincount(rows.y)[np.unique(rows.y)].min())
    if least >= folds:
        return folds, []
    return max(2, least), [f"{max(2, least)} folds instead of {folds}: the smallest class has {least} rows"]
