"""What the conformance suites share: a check, its report, and the global state that it leaves as it found it."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import pickle
import random
import unittest
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from xai_bench.component import Component, canonical_json
from xai_bench.explainers.base import seeded

Check = Callable[[Any], None]
Outcome = Literal["passed", "failed", "skipped"]


class CheckFailed(AssertionError):
    """A component breaks its contract: which check, what was expected, what came."""


class CheckSkipped(unittest.SkipTest):
    """A check that does not apply to this component; pytest shows it as skipped."""


class CheckResult(NamedTuple):
    """One row of the report."""

    check: str
    outcome: Outcome
    reason: str


def check_name(check: Check) -> str:
    """``relevant_input`` for ``check_relevant_input``."""
    return getattr(check, "__name__", str(check)).removeprefix("check_")


def a_check(function: Check) -> Check:
    """Make ``function`` a check: names itself in its error, fails where it breaks down, restores what is global."""

    @functools.wraps(function)
    def check(component: Any) -> None:
        subject = f"{check_name(check)}: {getattr(component, 'name', type(component).__name__)}"
        with _global_state_restored():
            try:
                function(component)
            except CheckSkipped:
                raise
            except CheckFailed as failed:
                raise CheckFailed(f"{subject}: {failed}") from failed.__cause__
            except Exception as error:
                raise CheckFailed(f"{subject}: expected no error, got {line(error)}") from error

    return check


def run_checks(checks: Sequence[Check], component: Any) -> None:
    """Run every check on a component (a class is built with its default fields).

    Raises
    ------
    CheckFailed
        At the first check that fails.
    """
    built = component() if isinstance(component, type) else component
    for check in checks:
        with contextlib.suppress(CheckSkipped):
            check(built)


def report_of(checks: Sequence[Check], component: Any) -> list[CheckResult]:
    """(check, passed | failed | skipped, reason) of every check, in order."""
    built = component() if isinstance(component, type) else component
    results = []
    for check in checks:
        outcome: Outcome = "passed"
        reason = ""
        try:
            check(built)
        except CheckSkipped as skipped:
            outcome, reason = "skipped", str(skipped)
        except CheckFailed as failed:
            outcome, reason = "failed", str(failed)
        results.append(CheckResult(check_name(check), outcome, reason))
    return results


def line(error: BaseException) -> str:
    """An exception in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def require_declaration(component: Any, base: type, article: str = "a subclass of ") -> None:
    """It is an instance of its family's base class, with a name of one word."""
    if not isinstance(component, base):
        raise CheckFailed(f"expected {article}{base.__name__}, got {type(component).__name__}")
    name = getattr(component, "name", None)
    if not isinstance(name, str) or not name or any(c.isspace() or c in ",/:" for c in name):
        raise CheckFailed(f"expected a name without spaces, commas, slashes and colons, got {name!r}")


def require_identity(component: Component, rebuilt: Callable[..., Component] | None = None) -> None:
    """identity() is JSON, the same on every call, and the same for a component with equal fields."""
    build = rebuilt or type(component)
    try:
        first, second = canonical_json(component.identity()), canonical_json(component.identity())
        third = canonical_json(build(**json.loads(canonical_json(component.fields()))).identity())
    except Exception as error:
        raise CheckFailed(f"expected identity() to be JSON, got {line(error)}") from error
    if not first == second == third:
        raise CheckFailed(f"expected the same identity() every time, got {first}, {second} and {third}")


def require_pickles(component: Component, word: str) -> None:
    """Workers receive it pickled: the copy is equal, with the same hash and identity."""
    try:
        other = pickle.loads(pickle.dumps(component))
    except Exception as error:
        raise CheckFailed(f"expected a picklable {word}, got {line(error)}") from error
    if other != component or other.identity() != component.identity() or hash(other) != hash(component):
        raise CheckFailed(f"expected an equal {word} back from pickle, got another one")


def require_state_kept(action: Callable[[], object]) -> None:
    """``action`` leaves random states, and torch's settings, as they were.

    It runs once before: what a library draws on its first import is not its doing.
    """
    settings = _settings()
    action()
    draw_from_every_stream()  # to a place where no seeding leads
    before = {**settings, **random_states()}
    action()
    after = {**_settings(), **random_states()}
    for what, value in before.items():
        if after[what] != value:
            raise CheckFailed(f"expected the {what} as before, got another one: restore it, or do not touch it")


def require_silence(action: Callable[[], object]) -> None:
    """``action`` prints nothing; notices on first import are not its own."""
    action()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        action()
    printed = (out.getvalue() + err.getvalue()).strip()
    if printed:
        raise CheckFailed(f"expected no output, got {printed.splitlines()[0][:80]!r}")


def draw_from_every_stream() -> None:
    """Move the global generators on."""
    _ = random.random(), np.random.random(), torch.rand(3)  # noqa: NPY002


def _settings() -> dict[str, object]:
    return {
        "default dtype of torch": torch.get_default_dtype(),
        "gradient mode of torch": torch.is_grad_enabled(),
        "number of threads": torch.get_num_threads(),
    }


def random_states() -> dict[str, object]:
    """The states of the global generators, comparable."""
    twister = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    return {
        "random state of torch": torch.get_rng_state().tolist(),
        "random state of numpy": (twister["key"].tolist(), twister["pos"]),
        "random state of random": random.getstate(),
    }


@contextlib.contextmanager
def _global_state_restored() -> Iterator[None]:
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    try:
        torch.set_default_dtype(torch.float32)
        with seeded(0), torch.set_grad_enabled(torch.is_grad_enabled()):
            yield
    finally:
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
