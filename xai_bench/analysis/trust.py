"""``trust``: which method to trust on a table like this one, from targets that are simulated on it."""

from __future__ import annotations

import tempfile
import time as clock
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xai_bench.analysis.difficulty import UNKNOWN, real_score, signal_for
from xai_bench.analysis.given import Column, Given, check_counts, given_inputs, given_table
from xai_bench.analysis.leader import leader
from xai_bench.analysis.rows import splits
from xai_bench.analysis.score import Score, score_for
from xai_bench.analysis.simulations import METHODS, MODELS, Ground, Kind, kinds, run_within, scores, source, suite_of
from xai_bench.analysis.trainings import Step
from xai_bench.analysis.trusted import Trust
from xai_bench.analysis.verdict import Simulation
from xai_bench.datasets.rules import Places
from xai_bench.errors import InputError
from xai_bench.paired import LEAST_DRAWS
from xai_bench.tables import target
from xai_bench.tables.encoding import Encoded, filled

ROWS = 1000
"""Rows on which targets are simulated at the most, drawn at random."""
DRAWS = 10
SECONDS = 600.0
FOLDS = 3
"""Of the real target, for the score of the forest."""
EQUAL = (0.5, 0.5)


@dataclass(frozen=True)
class Real:
    """The target of a table, on the rows on which others are simulated."""

    name: str
    score: Score
    reached: float


def trust(
    X: Any,
    y: Column = None,
    *,
    kind: target.Kind | None = None,
    groups: Column = None,
    time: Column = None,
    weights: Column = None,
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    missing_codes: Sequence[float] = (),
    draws: int = DRAWS,
    seconds: float = SECONDS,
    jobs: int | None = None,
    explainers: Sequence[str] = METHODS,
    models: Sequence[str] = MODELS,
    out: str | Path | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Trust:
    """Which method to trust on a table: methods are ranked on targets that are simulated on its inputs.

    The truth of such a target is known, and its inputs are correlated as they are. Targets are additive, pairwise or of
    higher order, with few or many relevant inputs (see ``datasets.simulated``), and so noisy that a random forest
    predicts them about as well as ``y``. Half of them choose a method, the others score it. It is recommended where it
    is shown to be better than the leader of the suite ``standard``; else that leader is.

    Parameters
    ----------
    X : (n, columns) DataFrame or array, or the path of a file; encoded as by ``explain``
    y : the name of a column of X, or (n,) values; None for inputs alone: half of the variance is then noise
    kind : ``classification`` or ``regression``; None for what the target looks like, regression without one
    groups, time, weights, drop, keep, missing_codes : see ``explain``. Groups and time count for the score of the
        forest only: rows of a simulated target have noise of their own
    draws : targets of every kind that choose, and as many that score: 5 or more
    seconds : after the first draw no further one begins that would not be done by then
    jobs : worker processes; None for this process
    explainers, models : methods and networks that are compared, by their labels in ``standard`` (with the settings that
        they have there), or by their names; the leader is always among them
    out : folder below which results are kept (``runs/trust``), to be gone on with; None keeps none
    on_step : is called with one line for every step

    Raises
    ------
    InputError
        If the table cannot be used, in one line.
    """
    check_counts(draws=(draws, LEAST_DRAWS))
    roles = {"groups": groups, "time": time, "weights": weights}
    how = How(
        draws, checked_seconds(seconds), jobs, tuple(explainers), tuple(models), out, on_step or (lambda line: None)
    )
    if y is None:
        found = given_inputs(X, kind, roles, drop, keep, missing_codes)
        return _without_target(found.encoded, kind or "regression", how)
    return of_given(given_table(X, y, kind, roles, drop, keep, missing_codes), how)


@dataclass(frozen=True)
class How:
    """How methods are compared: see ``trust``."""

    draws: int = DRAWS
    seconds: float = SECONDS
    jobs: int | None = None
    explainers: tuple[str, ...] = METHODS
    models: tuple[str, ...] = MODELS
    out: str | Path | None = None
    step: Step = lambda line: None


def checked_seconds(seconds: Any) -> float:
    """Raise InputError unless it is a number above 0."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds > 0:
        raise InputError(f"seconds: expected a number above 0, got {seconds!r}")
    return float(seconds)


def of_given(given: Given, how: How) -> Trust:
    """On a table that was read, with the difficulty of its target."""
    begun = clock.monotonic()
    table, n = given.table, len(given.rows)
    taken = _rows(n)
    table, rows = given.taken(taken).table, given.rows.take(taken)
    how.step("forest on the real target")
    score = score_for(rows.y, rows.kind)
    real = Real(table.target_name, score, real_score(table, rows, splits(rows, 1, FOLDS), score))
    classes = EQUAL
    if table.kind == "classification":
        counts = np.bincount(rows.y)
        classes = tuple((counts[counts > 0] / len(rows.y)).tolist())
    ground = Ground(table.X.astype(np.float64), table.feature_names, table.inputs, table.kind, classes)
    return _simulated(ground, given.name, given.of_rows, real, how, begun)


def _without_target(encoded: Encoded, kind: str, how: How) -> Trust:
    taken = _rows(len(encoded.X))
    ground = Ground(encoded.X[taken], encoded.names, encoded.inputs, kind, EQUAL)
    return _simulated(ground, "table", len(encoded.X), None, how, clock.monotonic())


def _rows(n: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(n)[:ROWS])


def _simulated(ground: Ground, name: str, of_rows: int, real: Real | None, how: How, begun: float) -> Trust:
    first = leader()
    methods = tuple(dict.fromkeys([*how.explainers, first.explainer]))
    models = tuple(dict.fromkeys([*how.models, *([first.model] if first.model else [])]))
    (full,) = filled(ground.X)
    shared = ground.rows_of()
    signals, reached = dict[Kind, float](), list[float]()
    for one in kinds(len(Places.of(full, ground.inputs).varying)):
        how.step(f"noise of simulated targets: {one.name}")
        signal, level = (UNKNOWN, float("nan")) if real is None else _signal(shared, one, real)
        signals[one] = signal
        reached.append(level)
    suite = suite_of(shared, signals, how.draws, methods, models)
    with ExitStack() as after:
        out = how.out or after.enter_context(tempfile.TemporaryDirectory())
        left = how.seconds - (clock.monotonic() - begun)
        results, draws = run_within(suite, how.draws, left, how.jobs, out, how.step)
    difficulty = pd.DataFrame({
        "kind": [one.name for one in signals], "relevant": [one.relevant for one in signals],
        "signal": list(signals.values()), "reached": reached, "real": real.reached if real else float("nan"),
    })  # fmt: skip
    asked = Simulation(
        name=name,
        target=real.name if real else "",
        rows=len(ground.X),
        of_rows=of_rows,
        inputs=len(ground.inputs),
        kind=ground.kind,
        score=real.score.name if real else "",
        real=real.reached if real else float("nan"),
        chance=real.score.chance if real else float("nan"),
        draws=draws,
        asked=how.draws,
        seconds=clock.monotonic() - begun,
    )
    return Trust(asked, scores(results, signals, draws), difficulty, first, results)


def _signal(shared: dict[str, Any], kind: Kind, real: Real) -> tuple[float, float]:
    return signal_for(lambda signal, seed: source(shared, kind, signal, seed), real.score, real.reached)
