"""The conformance suite for metrics: many small named checks. ``check_metric(my_metric)``.

A metric is tried on small truths: plain, graded, with groups, blocks and windows, without a relevant or a noise input.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from xai_bench.conformance.base import (
    Check,
    CheckFailed,
    CheckResult,
    CheckSkipped,
    a_check,
    draw_from_every_stream,
    line,
    report_of,
    require_declaration,
    require_silence,
    require_state_kept,
    run_checks,
)
from xai_bench.datasets.base import GroundTruth, Role, Window
from xai_bench.metrics.base import Metric
from xai_bench.metrics.recovery import oracle_relevance, random_scores

RANKINGS = 400
"""Random rankings that a chance level is compared with."""
ERRORS = 5
"""Standard errors that their mean may be away from it."""
CLOSE = 1e-9


def check_metric(metric: Metric) -> None:
    """Run every check on a metric.

    Raises
    ------
    CheckFailed
        At the first check that fails.
    """
    run_checks(CHECKS, metric)


def check_report(metric: Metric) -> list[CheckResult]:
    """(check, passed | failed | skipped, reason) of every check, in order."""
    return report_of(CHECKS, metric)


@dataclass(frozen=True)
class _Roles:
    """Numbers of inputs of each role, one role after the other."""

    relevant: int
    noise: int
    redundant: int = 0
    suppressor: int = 0

    def all(self) -> tuple[Role, ...]:
        found: list[Role] = ["relevant"] * self.relevant
        found += ["redundant"] * self.redundant
        found += ["suppressor"] * self.suppressor
        found += ["noise"] * self.noise
        return tuple(found)


def _grades(roles: tuple[Role, ...]) -> NDArray[np.float64]:
    return np.array([j + 1.0 if role == "relevant" else 0.0 for j, role in enumerate(roles)])


def _truths() -> dict[str, GroundTruth]:
    plain, all_roles = _Roles(3, 7).all(), _Roles(3, 5, 2, 2).all()
    windows = (
        *(Window("a", "line", "relevant", (0, 3)), Window("b", "line", "relevant", (1, 4))),
        *(Window("c", "line", "noise", (5, 6)), Window("d", "line", "noise", (7, 8))),
    )
    return {
        "plain": GroundTruth(plain),
        "graded": GroundTruth(plain, relevance=_grades(plain), resolution=2.0),
        "one relevant input": GroundTruth(_Roles(1, 7).all()),
        "every role": GroundTruth(all_roles, relevance=_grades(all_roles), resolution=1.5),
        "groups": GroundTruth(_Roles(4, 6).all(), groups=((0, 1), (5, 6, 7))),
        "blocks": GroundTruth(plain, relevance=_grades(plain), resolution=2.0, blocks=((0, 1), (4, 5, 6))),
        "windows": GroundTruth(plain, windows=windows),
        "no relevant input": GroundTruth(_Roles(0, 5).all()),
        "no noise": GroundTruth(_Roles(5, 0).all()),
        "no noise, but copies": GroundTruth(_Roles(4, 0, 5).all()),
    }


def _score(metric: Metric, relevance: NDArray, truth: GroundTruth) -> Any:
    try:
        return metric(relevance.copy(), copy.deepcopy(truth))
    except Exception as error:
        raise CheckFailed(f"expected a score or None, got {line(error)}") from error


def _chance(metric: Metric, truth: GroundTruth) -> Any:
    try:
        return metric.chance(copy.deepcopy(truth))
    except Exception as error:
        raise CheckFailed(f"expected a chance level or None, got {line(error)}") from error


def _relevances(d: int) -> Iterator[NDArray[np.float64]]:
    """Random ones, with ties, sparse, all equal, all zero, huge, tiny, and of one input only."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        yield rng.random(d)
        yield rng.integers(0, 3, d).astype(float)
        yield rng.random(d) * (rng.random(d) < 0.5)
    yield np.ones(d)
    yield np.zeros(d)
    yield rng.random(d) * 1e300
    yield rng.random(d) * 1e-300
    for j in (0, d - 1):
        yield np.eye(d)[j]


def _defined(metric: Metric) -> Iterator[tuple[str, GroundTruth]]:
    """The truths for which the metric has a score for some relevance."""
    for what, truth in _truths().items():
        if any(_score(metric, relevance, truth) is not None for relevance in _relevances(len(truth.roles))):
            yield what, truth


def _ranks_only(metric: Metric) -> None:
    if metric.reads != "ranks":
        raise CheckSkipped(f"it reads {metric.reads}, not ranks")


@a_check
def check_declaration(metric: Metric) -> None:
    """It is a Metric with a name of one word, a title of one line, bounds in order, and a known ``reads``."""
    require_declaration(metric, Metric, "a ")
    known = get_args(get_type_hints(Metric)["reads"])
    if metric.reads not in known:
        raise CheckFailed(f"expected reads to be one of {', '.join(known)}, got {metric.reads!r}")
    if not isinstance(metric.title, str) or not metric.title.strip() or len(metric.title.splitlines()) > 1:
        raise CheckFailed(f"expected a title of one line, got {metric.title!r}")
    if not metric.lower < metric.upper or not math.isfinite(metric.lower) or not math.isfinite(metric.upper):
        raise CheckFailed(f"expected finite bounds, lower < upper, got {metric.lower!r} and {metric.upper!r}")
    if not isinstance(metric.descriptive, bool):
        raise CheckFailed(f"expected descriptive to be True or False, got {metric.descriptive!r}")


@a_check
def check_defined(metric: Metric) -> None:
    """It has a score for one of the truths at least."""
    if not list(_defined(metric)):
        raise CheckFailed(f"expected a score for one of {len(_truths())} truths, got none")


@a_check
def check_numbers(metric: Metric) -> None:
    """A score is a finite number, or None where it is not defined; NaN is neither."""
    for what, truth in _truths().items():
        for relevance in _relevances(len(truth.roles)):
            score = _score(metric, relevance, truth)
            if score is None:
                continue
            if isinstance(score, bool) or not isinstance(score, int | float | np.number) or not math.isfinite(score):
                raise CheckFailed(f"expected a finite number or None on the truth {what!r}, got {score!r}")


@a_check
def check_bounds(metric: Metric) -> None:
    """Every score is between ``lower`` and ``upper``."""
    for what, truth in _truths().items():
        for relevance in _relevances(len(truth.roles)):
            score = _score(metric, relevance, truth)
            if score is not None and not metric.lower - CLOSE <= score <= metric.upper + CLOSE:
                raise CheckFailed(
                    f"expected scores in [{metric.lower:g}, {metric.upper:g}] on the truth {what!r}, got {score:g}"
                )


@a_check
def check_reaches_upper(metric: Metric) -> None:
    """The truth itself as relevance reaches ``upper``, unless the metric is descriptive."""
    if metric.descriptive:
        raise CheckSkipped("it is descriptive: there is nothing to reach")
    reached = 0
    for what, truth in _defined(metric):
        score = _score(metric, oracle_relevance(truth), truth)
        if score is not None and abs(score - metric.upper) > CLOSE:
            raise CheckFailed(f"expected {metric.upper:g} for the truth itself on the truth {what!r}, got {score:g}")
        reached += score is not None
    if not reached:
        raise CheckFailed(f"expected {metric.upper:g} for the truth itself on some truth, got None on all")


@a_check
def check_larger_is_better(metric: Metric) -> None:
    """The truth upside down scores less than the truth itself."""
    if metric.descriptive:
        raise CheckSkipped("it is descriptive: neither good nor bad")
    compared = 0
    for what, truth in _defined(metric):
        oracle = oracle_relevance(truth)
        best, worst = _score(metric, oracle, truth), _score(metric, oracle.max() - oracle, truth)
        if best is not None and worst is not None:
            compared += 1
            if worst > best - CLOSE:
                raise CheckFailed(
                    f"expected less for the truth upside down on the truth {what!r}, got {worst:g} against {best:g}"
                )
    if not compared:
        raise CheckSkipped("it is not defined for both")


@a_check
def check_chance(metric: Metric) -> None:
    """The chance level is the mean score of random rankings, to five standard errors, and defined where they are."""
    _ranks_only(metric)
    for what, truth in _truths().items():
        chance = _chance(metric, truth)
        scores = random_scores(metric, truth, RANKINGS, np.random.default_rng(1))
        if (chance is None) != (scores is None):
            raise CheckFailed(
                f"expected a chance level where random rankings have a score, got {chance!r} on the truth {what!r}"
            )
        if chance is None or scores is None:
            continue
        error = float(scores.std(ddof=1)) / math.sqrt(len(scores))
        if not math.isfinite(chance) or abs(float(scores.mean()) - chance) > ERRORS * error + CLOSE:
            raise CheckFailed(
                f"expected a chance level of {scores.mean():.4g} (standard error {error:.2g}) on the truth {what!r}, "
                f"got {chance:.4g}"
            )


@a_check
def check_chance_within_bounds(metric: Metric) -> None:
    """A chance level is None or a number between the bounds, below ``upper``."""
    for what, truth in _truths().items():
        chance = _chance(metric, truth)
        if chance is not None and not metric.lower <= chance < metric.upper:
            raise CheckFailed(
                f"expected a chance level in [{metric.lower:g}, {metric.upper:g}) on the truth {what!r}, got {chance!r}"
            )


@a_check
def check_ties(metric: Metric) -> None:
    """Where all inputs are tied the score is the chance level: ties count at their expected value."""
    _ranks_only(metric)
    for what, truth in _truths().items():
        if truth.blocks or truth.groups:
            continue  # sums of blocks are not tied
        chance, score = _chance(metric, truth), _score(metric, np.ones(len(truth.roles)), truth)
        if (score is None) != (chance is None) or (score is not None and abs(score - chance) > CLOSE):
            raise CheckFailed(f"expected {chance} where all inputs are tied on the truth {what!r}, got {score}")


@a_check
def check_order_of_columns(metric: Metric) -> None:
    """Other places for the same inputs change no score, ties included."""
    rng = np.random.default_rng(2)
    for what, truth in _truths().items():
        order = rng.permutation(len(truth.roles))
        for relevance in _relevances(len(truth.roles)):
            score, moved = _score(metric, relevance, truth), _score(metric, relevance[order], truth.take(order))
            if (score is None) != (moved is None) or (score is not None and abs(score - moved) > CLOSE):
                raise CheckFailed(f"expected {score} after moving the inputs on the truth {what!r}, got {moved}")


@a_check
def check_monotone(metric: Metric) -> None:
    """A growing function of the relevances changes no score of ranks."""
    _ranks_only(metric)
    rng = np.random.default_rng(3)
    for what, truth in _truths().items():
        if truth.blocks:
            continue  # their relevances are summed
        for relevance in (rng.random(len(truth.roles)), rng.integers(0, 3, len(truth.roles)).astype(float)):
            score = _score(metric, relevance, truth)
            for other in (np.exp(3 * relevance), relevance**3, 7 * relevance + 1):
                changed = _score(metric, other, truth)
                if (score is None) != (changed is None) or (score is not None and abs(score - changed) > CLOSE):
                    raise CheckFailed(
                        f"expected {score} for the same ranking on the truth {what!r}, got {changed}: it reads values"
                    )


@a_check
def check_scale(metric: Metric) -> None:
    """Relevances have no unit: a multiple of them has the same score."""
    for what, truth in _truths().items():
        for relevance in list(_relevances(len(truth.roles)))[:15]:
            score, scaled = _score(metric, relevance, truth), _score(metric, 1024 * relevance, truth)
            if (score is None) != (scaled is None) or (score is not None and abs(score - scaled) > CLOSE):
                raise CheckFailed(f"expected {score} for 1024 times the relevance on the truth {what!r}, got {scaled}")


@a_check
def check_arguments_unchanged(metric: Metric) -> None:
    """Relevance and truth stay as they were."""
    for truth in _truths().values():
        grades = None if truth.relevance is None else truth.relevance.copy()
        for relevance in _relevances(len(truth.roles)):
            before = relevance.copy()
            metric.function(relevance, truth)
            metric.chance(truth)
            if not np.array_equal(relevance, before):
                raise CheckFailed("expected the relevance as before, got a changed one: work on a copy")
            if grades is not None and not np.array_equal(np.asarray(truth.relevance), grades):
                raise CheckFailed("expected the truth as before, got a changed one: work on a copy")


@a_check
def check_deterministic(metric: Metric) -> None:
    """Equal arguments give equal scores, whatever the global random states."""
    for _, truth in _defined(metric):
        for relevance in _relevances(len(truth.roles)):
            first = _score(metric, relevance, truth)
            draw_from_every_stream()
            if _score(metric, relevance, truth) != first:
                raise CheckFailed(f"expected equal scores for equal arguments, got {first} and another one")


@a_check
def check_global_state_unchanged(metric: Metric) -> None:
    """Random states, and torch's default dtype, gradient mode and threads, are as before."""
    require_state_kept(lambda: list(_defined(metric)))


@a_check
def check_silent(metric: Metric) -> None:
    """It prints nothing."""
    require_silence(lambda: list(_defined(metric)))


CHECKS: tuple[Check, ...] = (
    *(check_declaration, check_defined, check_numbers, check_bounds),
    *(check_reaches_upper, check_larger_is_better),
    *(check_chance, check_chance_within_bounds, check_ties),
    *(check_order_of_columns, check_monotone, check_scale),
    *(check_arguments_unchanged, check_deterministic, check_global_state_unchanged, check_silent),
)
