"""``explain``: from a table to an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xai_bench import __version__
from xai_bench.analysis import frames
from xai_bench.analysis.answer import Answer
from xai_bench.analysis.baselines import FEWER_COLUMNS, baseline_scores
from xai_bench.analysis.clusters import association, clusters
from xai_bench.analysis.evidence import bins_of, p_values
from xai_bench.analysis.found import Asked, Found
from xai_bench.analysis.given import Column, Given, check_counts, given_table
from xai_bench.analysis.kept import kept_scores
from xai_bench.analysis.rows import WITHIN_GROUPS, Rows, Split, first_of_groups, how_permuted, splits
from xai_bench.analysis.score import score_for
from xai_bench.analysis.trainings import Step, held_out_ratio, searched, thresholds, told, trained
from xai_bench.analysis.trust import SECONDS, How, checked_seconds, of_given
from xai_bench.report.kit.wording import listed
from xai_bench.tables.target import Kind

LARGE = 10**6
"""Numbers in a table above which fewer networks are trained on permuted targets and baselines see one seed only."""
FEW_NULL_TRAININGS = 19
ALONE = 0.2
"""Share of the rows that are alone in a group, above which it is said that the test has little to go by."""


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
    simulate: bool = False,
    seconds: float = SECONDS,
    jobs: int | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Answer:
    """Which inputs of a table tell something about a target, and how sure that is.

    Parameters
    ----------
    X : (n, columns) DataFrame or array, or the path of a file (CSV, Parquet, Excel)
    y : the name of a column of X, or (n,) or (n, 1) values in the order of the rows of X
    kind : ``classification`` or ``regression``; None for what the target looks like
    groups : rows of one value stay together (a patient, a mouse): the name of a column, or (n,) values
    time : later rows are held out, earlier ones trained on, rows of one time never on both sides: the name of a column,
        or (n,) values
    weights : what each row counts, >= 0: the name of a column, or (n,) values
    drop : columns that are no inputs
    keep : columns that are used although they look like an identifier or a copy of the target
    missing_codes : numbers that stand for a missing value, such as -999
    folds, seeds : of the cross-validation, and how often it is repeated
    permutations : of the target, in the test of each input: 99 or more
    null_trainings : networks of each kind that are trained on permuted targets: 19 or more
    simulate : also say which method to trust here, by targets that are simulated on the table: see ``trust``
    seconds, jobs : of these simulations
    on_step : is called with one line for every step

    Returns
    -------
    An answer with frames (``inputs``, ``scores``, ``columns`` ...), ``words``, ``trust`` and ``write(folder)``.

    Raises
    ------
    InputError
        If the table cannot be used, in one line.
    """
    check_counts(
        folds=(folds, 2), seeds=(seeds, 1), permutations=(permutations, 99), null_trainings=(null_trainings, 19)
    )
    given = given_table(X, y, kind, {"groups": groups, "time": time, "weights": weights}, drop, keep, missing_codes)
    how = How(seconds=checked_seconds(seconds), jobs=jobs, step=on_step or (lambda line: None))
    found = analysed(given, folds, seeds, permutations, null_trainings, how.step)
    return Answer(replace(found, trust=of_given(given, how)) if simulate else found)


def analysed(given: Given, folds: int, seeds: int, permutations: int, null_trainings: int, step: Step) -> Found:
    """All steps on a table that was read."""
    table, rows = given.table, given.rows
    score = score_for(rows.y, rows.kind)
    folds, noticed = _possible(rows, folds)
    noticed += _untested(given)
    chosen = splits(rows, seeds, folds)
    ratio, first = held_out_ratio(chosen), [split for split in chosen if split.seed == 0]
    large = table.X.size > LARGE
    sampled = list(given.sampled)
    if large:
        sampled += _in_part(rows.kind, table.X.shape[1], len(first), len(chosen), null_trainings)
        null_trainings = FEW_NULL_TRAININGS
    networks = searched(table, rows, chosen, score, step)
    trainings = trained(networks, table, rows, chosen, score, step)
    baselines = baseline_scores(table, rows, first if large else chosen, score, step, large)
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


def _in_part(kind: str, columns: int, first: int, splits: int, null_trainings: int) -> list[tuple[str, int, int, str]]:
    """What of a large table is not taken whole: what, taken, of, why."""
    why = "the table is large"
    found = [
        ("trainings on permuted targets", FEW_NULL_TRAININGS, null_trainings, why),
        ("splits of the baselines", first, splits, why),
    ]
    if kind == "regression":
        found.append(("columns that a split of the forest sees", int(columns * FEWER_COLUMNS), columns, why))
    return [row for row in found if row[1] < row[2]]


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
        by = f"by {given.apart['groups']!r} ({len(np.unique(rows.groups))} groups)"
    elif rows.time is not None:
        by = f"by time ({given.apart['time']!r}: trained on earlier rows, tested on later ones)"
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
        permuted=how_permuted(rows)[0],
        sampled=tuple(sampled),
    )


def _possible(rows: Rows, folds: int) -> tuple[int, list[str]]:
    """Folds that the smallest class or the groups allow, and what is to be said of the rows."""
    if rows.groups is not None:
        return _by_groups(rows, len(np.unique(rows.groups)), folds)
    if rows.kind == "regression" or rows.time is not None:
        return folds, []
    least = int(np.bincount(rows.y)[np.unique(rows.y)].min())
    if least >= folds:
        return folds, []
    return max(2, least), [f"{max(2, least)} folds instead of {folds}: the smallest class has {least} rows"]


def _untested(given: Given) -> list[str]:
    """What the test cannot find: inputs that are the same in all rows of a group, where a target is permuted within."""
    rows, X = given.rows, given.table.X
    if rows.groups is None or how_permuted(rows)[0] != WITHIN_GROUPS:
        return []
    first = first_of_groups(rows.groups)
    same = ((X[first] == X) | (np.isnan(X) & np.isnan(X[first]))).all(axis=0)
    pairs = zip(given.table.input_names, given.table.inputs, strict=True)
    names = [name for name, part in pairs if same[list(part)].all()]
    if not names:
        return []
    return [
        f"the same in all rows of a group, so that the test, {WITHIN_GROUPS}, says nothing of it: {listed(names, 8)}"
    ]


def _by_groups(rows: Rows, count: int, folds: int) -> tuple[int, list[str]]:
    """The same where rows are of so many groups."""
    notices = []
    if count < folds:
        notices.append(f"{count} folds instead of {folds}: there are {count} groups")
    where, alone = how_permuted(rows)
    if alone > ALONE * len(rows):
        notices.append(
            f"the target is permuted {where}: {alone} of {len(rows)} rows are alone in theirs and tell the test nothing"
        )
    return min(folds, count), notices
