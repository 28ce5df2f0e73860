"""The conformance suite for data sources: many small named checks. ``check_data_source(MySource(n=100))``.

A source whose files are absent is skipped where rows are needed. Every check loads the rows anew:
check large sources with few rows.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import chain, pairwise
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from xai_bench.conformance.base import (
    Check,
    CheckFailed,
    CheckResult,
    CheckSkipped,
    a_check,
    line,
    random_states,
    report_of,
    require_declaration,
    require_identity,
    require_pickles,
    require_silence,
    require_state_kept,
    run_checks,
)
from xai_bench.conformance.elsewhere import drawn_with
from xai_bench.datasets.base import Bools, Dataset, DataSource, Fold, GroundTruth, Kind, Table
from xai_bench.metrics.recovery import oracle_relevance, reduced

FOLDS = 3


def check_data_source(source: DataSource | type[DataSource]) -> None:
    """Run every check on a data source (a class is built with its default fields).

    Raises
    ------
    CheckFailed
        At the first check that fails.
    """
    run_checks(CHECKS, source)


def check_report(source: DataSource | type[DataSource]) -> list[CheckResult]:
    """(check, passed | failed | skipped, reason) of every check, in order."""
    return report_of(CHECKS, source)


def _drawn(source: DataSource, seed: int = 0) -> Table:
    _here(source)
    try:
        return source.draw(np.random.default_rng(seed))
    except Exception as error:
        raise CheckFailed(f"expected draw() to give a table, got {line(error)}") from error


def _loaded(source: DataSource, seed: int = 0, fold: Fold | None = None) -> Dataset:
    _here(source)
    try:
        return source.load(seed, fold)
    except Exception as error:
        raise CheckFailed(f"expected load() to give a dataset, got {line(error)}") from error


def _here(source: DataSource) -> None:
    reason = source.missing()
    if reason is not None:
        raise CheckSkipped(f"no data: {reason}")


def _truth(source: DataSource, seed: int = 0) -> GroundTruth:
    truth = _drawn(source, seed).truth
    if truth is None:
        raise CheckSkipped("it states no truth")
    return truth


def _bits(table: Table) -> list[object]:
    truth = table.truth
    graded = None if truth is None or truth.relevance is None else truth.relevance.tobytes()
    return [np.asarray(table.X).tobytes(), np.asarray(table.y).tobytes(), truth and truth.roles, graded]


@a_check
def check_declaration(source: DataSource) -> None:
    """It is a DataSource with a name of one word and a label of one line."""
    require_declaration(source, DataSource)
    label = source.label
    if not isinstance(label, str) or not label.strip() or len(label.splitlines()) > 1:
        raise CheckFailed(f"expected a label of one line, got {label!r}")


@a_check
def check_identity(source: DataSource) -> None:
    """identity() is JSON, the same on every call, and the same for a source with equal fields."""
    require_identity(source, lambda **_: type(source)(**dict(source)))


@a_check
def check_pickles(source: DataSource) -> None:
    """Workers receive it pickled: the copy is equal, with the same hash and identity."""
    require_pickles(source, "data source")


@a_check
def check_missing_answers(source: DataSource) -> None:
    """missing() answers with one line or None, and never raises."""
    try:
        reason = source.missing()
    except Exception as error:
        raise CheckFailed(f"expected missing() not to raise, got {line(error)}") from error
    if reason is not None and (not isinstance(reason, str) or not reason.strip() or len(reason.splitlines()) > 1):
        raise CheckFailed(f"expected missing() to return one line or None, got {reason!r}")


@a_check
def check_shapes(source: DataSource) -> None:
    """X is (n, d) numbers, y is (n,), and what describes the inputs has d entries."""
    table = _drawn(source)
    X, y = np.asarray(table.X), np.asarray(table.y)
    if X.ndim != 2 or y.shape != X.shape[:1] or X.dtype.kind not in "fiub" or y.dtype.kind not in "fiub":
        raise CheckFailed(
            f"expected numbers X (n, d) and y (n,), got {X.shape} of {X.dtype} and {y.shape} of {y.dtype}"
        )
    for what in ("feature_names", "feature_units"):
        entries = getattr(table, what)
        if entries and len(entries) != X.shape[1]:
            raise CheckFailed(f"expected {X.shape[1]} {what} or none, got {len(entries)}")
    pixels = {X.shape[1], len(table.inputs) or X.shape[1]}
    if table.feature_shape is not None and int(np.prod(table.feature_shape)) not in pixels:
        raise CheckFailed(f"expected a feature_shape of {min(pixels)} inputs, got {table.feature_shape}")


@a_check
def check_loads(source: DataSource) -> None:
    """load() accepts what is drawn: finite numbers, several classes or values, three parts with rows."""
    data = _loaded(source)
    for part in ("train", "valid", "test"):
        X, y = getattr(data, f"X_{part}"), getattr(data, f"y_{part}")
        if X.shape != (len(y), data.d) or not len(y) or not np.isfinite(X).all() or not np.isfinite(y).all():
            raise CheckFailed(f"expected rows of finite numbers in the {part} part, got {X.shape} and {y.shape}")


@a_check
def check_targets(source: DataSource) -> None:
    """Classes are whole numbers 0 .. k - 1, each in some row, with k names or none."""
    table = _drawn(source)
    if table.kind not in get_args(Kind):
        raise CheckFailed(f"expected a kind out of {', '.join(get_args(Kind))}, got {table.kind!r}")
    if table.kind == "regression":
        raise CheckSkipped("it has no classes")
    found = np.unique(table.y)
    if not np.array_equal(found, np.arange(len(found))):
        raise CheckFailed(f"expected classes 0 .. {len(found) - 1}, each in some row, got {found[:10].tolist()}")
    if table.class_names and len(table.class_names) != len(found):
        raise CheckFailed(f"expected {len(found)} class_names or none, got {len(table.class_names)}")


@a_check
def check_names(source: DataSource) -> None:
    """The inputs have different names of one line."""
    names = _loaded(source).feature_names
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CheckFailed(f"expected different names of the inputs, got {twice[0]!r} {names.count(twice[0])} times")
    strange = [name for name in names if not isinstance(name, str) or not name.strip() or len(name.splitlines()) > 1]
    if strange:
        raise CheckFailed(f"expected names of one line, got {strange[0]!r}")


@a_check
def check_deterministic(source: DataSource) -> None:
    """The same seed gives the same bits."""
    if _bits(_drawn(source, 3)) != _bits(_drawn(source, 3)) or _dataset_bits(source, 3) != _dataset_bits(source, 3):
        raise CheckFailed("expected equal bits for the same seed, got others: draw from the rng that draw() is given")


def _dataset_bits(source: DataSource, seed: int) -> list[bytes]:
    data = _loaded(source, seed)
    return [getattr(data, f"{array}_{part}").tobytes() for array in "Xy" for part in ("train", "valid", "test")]


@a_check
def check_own_generator(source: DataSource) -> None:
    """Rows come from the rng that draw() is given: global generators are not drawn from, whatever their state."""
    _drawn(source)  # what a library draws on its first import is not its doing
    found = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        before = random_states()
        found.append(_bits(_drawn(source)))
        moved = [
            what.removeprefix("random state of ") for what, state in random_states().items() if state != before[what]
        ]
        if moved:
            raise CheckFailed(
                f"expected draws from the rng that draw() is given, got some from the global generator of {moved[0]}"
            )
    if found[0] != found[1]:
        raise CheckFailed("expected the same rows whatever the global generators hold, got others")


@a_check
def check_order_of_sets(source: DataSource) -> None:
    """The same seed gives the same bits in every process: nothing depends on the order of a set of texts."""
    _here(source)
    if type(source).__module__.partition(".")[0] == "xai_bench":
        raise CheckSkipped("its numbers are held by a test of the package, which runs with other orders of sets")
    first = drawn_with(1, source)
    if first is None:
        raise CheckSkipped("no other process could draw it: put it into a module or a plugin file")
    if drawn_with(2, source) != first:
        raise CheckFailed("expected the same rows in every process, got others: sort what comes out of a set")


@a_check
def check_seeds_differ(source: DataSource) -> None:
    """Another data seed gives other rows, or another split of the same rows."""
    if _dataset_bits(source, 0) == _dataset_bits(source, 1):
        raise CheckFailed("expected other rows, or another split, from another seed, got the same bits")


@a_check
def check_keeps_nothing(source: DataSource) -> None:
    """What it draws in between, and what becomes of a table, changes nothing."""
    table = _drawn(source)
    before = _bits(table)
    for seed in (1, 2):
        _drawn(source, seed)
    for array in (table.X, table.y):
        if isinstance(array, np.ndarray) and array.flags.writeable:
            array[:] = 0
    if _bits(_drawn(source)) != before:
        raise CheckFailed("expected equal bits after other draws, got others: hand out a copy of what you keep")


@a_check
def check_global_state_unchanged(source: DataSource) -> None:
    """Random states, and torch's default dtype, gradient mode and threads, are as before."""
    require_state_kept(lambda: _drawn(source))


@a_check
def check_silent(source: DataSource) -> None:
    """It prints nothing."""
    require_silence(lambda: _drawn(source))


@a_check
def check_folds(source: DataSource) -> None:
    """Of consecutive folds each row is in one test part, and the rows are the same in all of them."""
    folds = [_loaded(source, 0, Fold(number, FOLDS)) for number in range(FOLDS)]
    rows = len(_drawn(source).y)
    tested = sum(len(fold.y_test) for fold in folds)
    if tested != rows or len({fold.content_hash for fold in folds}) > 1:
        raise CheckFailed(f"expected the same {rows} rows in {FOLDS} test parts, got {tested}")
    for fold in folds:
        if sum(len(part) for part in (fold.y_train, fold.y_valid, fold.y_test)) != rows:
            raise CheckFailed(f"expected every one of {rows} rows in one of three parts, got another number")


@a_check
def check_truth_fits(source: DataSource) -> None:
    """A truth has d roles; blocks, and groups, have columns of X and share none."""
    truth, d = _truth(source), _drawn(source).X.shape[1]
    if len(truth.roles) != d:
        raise CheckFailed(f"expected {d} roles, one for each input, got {len(truth.roles)}")
    for what, parts in (("groups", truth.groups), ("blocks", truth.blocks)):
        columns = list(chain.from_iterable(parts))
        if len(set(columns)) < len(columns) or not set(columns) <= set(range(d)):
            raise CheckFailed(f"expected {what} of different columns in 0..{d - 1}, got {parts}")
    reduced(np.zeros(d), truth)


@a_check
def check_truth_agrees(source: DataSource) -> None:
    """Grades agree with roles: every relevant input stands above every noise input."""
    try:
        oracle_relevance(_truth(source))
    except ValueError as error:
        raise CheckFailed(f"expected grades that agree with the roles, got {line(error)}") from error


@a_check
def check_truth_is_fixed(source: DataSource) -> None:
    """Roles come from the fields: another seed, or another number of rows, leaves them as they are."""
    roles = _truth(source).roles
    if _truth(source, 1).roles != roles:
        raise CheckFailed("expected the same roles for every seed, got others: what defines the truth is a field")
    larger = _larger(source)
    if larger is not None and _truth(larger).roles != roles:
        raise CheckFailed("expected the same roles for every number of rows, got others")


def _larger(source: DataSource) -> DataSource | None:
    """The same source with ten rows more; None if it has no field ``n``."""
    n: Any = getattr(source, "n", None)
    return type(source)(**{**dict(source), "n": n + 10}) if isinstance(n, int) else None


@a_check
def check_nested_rows(source: DataSource) -> None:
    """More rows of a seed begin with the fewer ones: learning curves compare the same rows."""
    larger = _larger(source)
    if larger is None:
        raise CheckSkipped("it has no field n")
    few, many = _drawn(source), _drawn(larger)
    n = len(few.y)
    if not (np.array_equal(many.X[:n], few.X) and np.array_equal(many.y[:n], few.y)):
        raise CheckFailed(f"expected {n + 10} rows to begin with the {n} of the same seed, got others: draw row by row")


@a_check
def check_relevant_inputs_vary(source: DataSource) -> None:
    """No relevant input is constant."""
    truth = _truth(source)
    constant = truth.relevant & (np.ptp(_drawn(source).X, axis=0) == 0)
    if constant.any():
        raise CheckFailed(
            f"expected relevant inputs that vary, got constant columns {np.flatnonzero(constant).tolist()}"
        )


@a_check
def check_ceiling(source: DataSource) -> None:
    """ceiling() is None, or the same best score on every call, of at most 1, which more inputs never lower."""
    table = _drawn(source)
    d = table.X.shape[1]
    relevant = table.truth.relevant if table.truth is not None else np.zeros(d, dtype=bool)
    steps = [np.zeros(d, dtype=bool), *_growing(relevant), relevant, np.ones(d, dtype=bool)]
    scores = [_ceiling(source, mask, table) for mask in steps]
    if scores != [_ceiling(source, mask, table) for mask in steps]:
        raise CheckFailed("expected the same ceiling on every call, got others")
    known = [float(score) for score in scores if score is not None]
    if not known:
        raise CheckSkipped("it knows no ceiling")
    lowest = 0.0 if table.kind == "classification" else -1e-9
    if not all(np.isfinite(score) and lowest <= score <= 1 + 1e-9 for score in known):
        raise CheckFailed(f"expected ceilings in [0, 1], got {known}")
    if any(later < earlier - 1e-9 for earlier, later in pairwise(known)):
        raise CheckFailed(f"expected ceilings that do not fall as inputs are added, got {[round(s, 4) for s in known]}")


def _ceiling(source: DataSource, mask: Bools, table: Table) -> float | None:
    """The one place that asks for it."""
    return source.best_score(mask, table.truth)


def _growing(relevant: Bools) -> list[NDArray[np.bool_]]:
    """The first relevant input, the first two, four ..."""
    columns, found, k = np.flatnonzero(relevant), [], 1
    while k < len(columns):
        mask = np.zeros(len(relevant), dtype=bool)
        mask[columns[:k]] = True
        found.append(mask)
        k *= 2
    return found


@a_check
def check_error_floor(source: DataSource) -> None:
    """error_floor() is None, or a finite number >= 0 of a regression."""
    floor = source.error_floor()
    if floor is None:
        raise CheckSkipped("it knows no error floor")
    if not np.isfinite(floor) or floor < 0 or _drawn(source).kind != "regression":
        raise CheckFailed(f"expected an error floor >= 0 of a regression, got {floor!r}")


CHECKS: tuple[Check, ...] = (
    *(check_declaration, check_identity, check_pickles, check_missing_answers),
    *(check_shapes, check_loads, check_targets, check_names),
    *(check_deterministic, check_own_generator, check_folds, check_seeds_differ, check_keeps_nothing),
    *(check_global_state_unchanged, check_silent),
    *(check_truth_fits, check_truth_agrees, check_truth_is_fixed, check_relevant_inputs_vary),
    check_nested_rows,
    *(check_ceiling, check_error_floor),
    check_order_of_sets,  # the slowest
)
