"""The conformance suite for explainers: many small named checks, for plugin authors and for this package.

From Python ``check_explainer(MyExplainer)``; in pytest one test for every check::

    @pytest.mark.parametrize("check", CHECKS, ids=check_name)
    def test_contract(check):
        check(MyExplainer())

A check raises ``CheckFailed`` with one line, or ``CheckSkipped`` where it does not apply. The networks are
small, with weights that are drawn or set by hand: nothing is trained.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import pickle
import random
import unittest
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xai_bench.component import canonical_json
from xai_bench.explainers.base import Explainer, Kind, Needs, Problem
from xai_bench.models.spectral import SpectralLinear

Check = Callable[[Explainer], None]
Outcome = Literal["passed", "failed", "skipped"]


class CheckFailed(AssertionError):
    """An explainer breaks its contract: which check, what was expected, what came."""


class CheckSkipped(unittest.SkipTest):
    """A check that does not apply to this explainer; pytest shows it as skipped."""


class CheckResult(NamedTuple):
    """One row of the report."""

    check: str
    outcome: Outcome
    reason: str


def check_name(check: Check) -> str:
    """``returns_relevance`` for ``check_returns_relevance``."""
    return getattr(check, "__name__", str(check)).removeprefix("check_")


def check_explainer(explainer: Explainer | type[Explainer]) -> None:
    """Run every check on an explainer (a class is built with its default fields).

    Raises
    ------
    CheckFailed
        At the first check that fails.
    """
    for check in CHECKS:
        with contextlib.suppress(CheckSkipped):
            _run(check, explainer)


def check_report(explainer: Explainer | type[Explainer]) -> list[CheckResult]:
    """(check, passed | failed | skipped, reason) of every check, in order."""
    results = []
    for check in CHECKS:
        try:
            _run(check, explainer)
            results.append(CheckResult(check_name(check), "passed", ""))
        except CheckSkipped as skipped:
            results.append(CheckResult(check_name(check), "skipped", str(skipped)))
        except CheckFailed as failed:
            results.append(CheckResult(check_name(check), "failed", str(failed)))
    return results


def _run(check: Check, explainer: Explainer | type[Explainer]) -> None:
    try:
        check(explainer() if isinstance(explainer, type) else explainer)
    except (CheckFailed, CheckSkipped):
        raise
    except Exception as error:  # a check that breaks down is the explainer's failure too
        raise CheckFailed(f"{check_name(check)}: {_line(error)}") from error


# Problems: hand-set or drawn weights, inputs of which none is constant.


@dataclass(frozen=True)
class Scene:
    """A kind of problem; ``problem()`` builds it anew, so that no check sees what another one did to it."""

    kind: Kind = "classification"
    d: int = 12
    n_outputs: int = 2
    layers: Literal["plain", "spectral"] = "plain"
    batch_norm: bool = False
    n_valid: int = 12

    def problem(self) -> Problem:
        """Build it; equal scenes give equal bits."""
        rng = np.random.default_rng([7, self.d, self.n_outputs])
        model = _network(self, rng)
        X_train, X_valid = (_float32(rng.normal(size=(n, self.d))) for n in (60, self.n_valid))
        with torch.no_grad():
            outputs = [model(X) for X in (X_train, X_valid)]
        y_train, y_valid = (y[:, 0] if self.kind == "regression" else y.argmax(1) for y in outputs)
        return Problem(model, X_train, y_train, X_valid, y_valid, self.kind, self.n_outputs)


REGRESSION = Scene(kind="regression", n_outputs=1)
BINARY = Scene()
FIVE_CLASSES = Scene(n_outputs=5)
SCENES = {
    "regression": REGRESSION,
    "binary": BINARY,
    "five_classes": FIVE_CLASSES,
    "two_inputs": Scene(d=2),
    "one_validation_row": Scene(n_valid=1),
    "batch_norm": Scene(batch_norm=True),
    "spectral": Scene(layers="spectral"),
    "spectral_batch_norm": Scene(layers="spectral", batch_norm=True),
}


def _network(scene: Scene, rng: np.random.Generator) -> nn.Module:
    hidden = 6
    first: nn.Module = _linear(rng, scene.d, hidden)
    if scene.layers == "spectral":
        first = SpectralLinear(scene.d, hidden)
        with torch.no_grad():
            first.phi.copy_(_float32(rng.normal(size=(hidden, scene.d)) / np.sqrt(scene.d)))
            first.lambda_in.copy_(_float32(rng.uniform(0.5, 1.5, size=scene.d)))
    modules: list[nn.Module] = [first, nn.Tanh()]
    if scene.batch_norm:
        norm = nn.BatchNorm1d(hidden)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(_float32(rng.normal(size=hidden) / 4))
        norm.running_var.copy_(_float32(rng.uniform(0.2, 1.0, size=hidden)))
        modules += [norm, nn.Dropout(0.2)]
    modules += [_linear(rng, hidden, hidden), nn.ReLU(), _linear(rng, hidden, scene.n_outputs)]
    return nn.Sequential(*modules).eval()


def _linear(rng: np.random.Generator, n_in: int, n_out: int) -> nn.Linear:
    layer = nn.Linear(n_in, n_out)
    with torch.no_grad():
        layer.weight.copy_(_float32(rng.normal(size=(n_out, n_in)) / np.sqrt(n_in)))
        layer.bias.copy_(_float32(rng.normal(size=n_out) / 4))
    return layer


def linear_problem(weights: tuple[float, ...], layers: Literal["plain", "spectral"] = "plain") -> Problem:
    """y = w . x, known exactly to the model: one layer with the weights, one that passes its value on."""
    rng = np.random.default_rng(11)
    d = len(weights)
    first = nn.Linear(d, 1) if layers == "plain" else SpectralLinear(d, 1)
    last = nn.Linear(1, 1)
    with torch.no_grad():
        (first.weight if isinstance(first, nn.Linear) else first.phi).copy_(torch.tensor([weights]))
        last.weight.fill_(1.0)
        for layer in (first, last):
            assert layer.bias is not None
            layer.bias.zero_()
    model = nn.Sequential(first, last).eval()
    X_train, X_valid = (_float32(rng.normal(size=(n, d))) for n in (300, 40))
    with torch.no_grad():
        return Problem(model, X_train, model(X_train)[:, 0], X_valid, model(X_valid)[:, 0], "regression", 1)


def _float32(values: NDArray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


# What the checks share.


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _fail(check: str, explainer: Explainer, text: str) -> CheckFailed:
    return CheckFailed(f"{check}: {explainer.name}: {text}")


def _supported(check: str, explainer: Explainer, *scenes: Scene) -> Problem:
    """The first of the scenes that the explainer says it supports."""
    reasons: list[str] = []
    for scene in scenes:
        problem = scene.problem()
        reason = _unsupported(check, explainer, problem)
        if reason is None:
            return problem
        reasons.append(reason)
    raise CheckSkipped(f"unsupported: {reasons[0]}")


def _unsupported(check: str, explainer: Explainer, problem: Problem) -> str | None:
    try:
        reason = explainer.unsupported(problem)
    except Exception as error:
        raise _fail(check, explainer, f"expected unsupported() not to raise, got {_line(error)}") from error
    if reason is not None and (not isinstance(reason, str) or not reason.strip() or "\n" in reason):
        raise _fail(check, explainer, f"expected unsupported() to return one line or None, got {reason!r}")
    return reason


def _explained(check: str, explainer: Explainer, problem: Problem, seed: int = 0) -> NDArray[np.float64]:
    """The relevance as the harness gets it; what ``explain`` rejects fails the check."""
    try:
        return explainer.explain(problem, seed=seed).relevance
    except Exception as error:
        raise _fail(check, explainer, f"expected an explanation of a problem it supports, got {_line(error)}") from error


ANY_MODEL = (BINARY, SCENES["spectral"], REGRESSION, SCENES["two_inputs"])


# The checks. Their names end up in reports: short, and each says one thing.


def check_declaration(explainer: Explainer) -> None:
    """It is an Explainer with a name of one word and a known ``needs``."""
    if not isinstance(explainer, Explainer):
        raise CheckFailed(f"declaration: expected a subclass of Explainer, got {type(explainer).__name__}")
    name = getattr(type(explainer), "name", None)
    if not isinstance(name, str) or not name or any(c.isspace() or c == "," for c in name):
        raise CheckFailed(f"declaration: expected a name without spaces and commas, got {name!r}")
    if explainer.needs not in get_args(Needs):
        raise _fail("declaration", explainer, f"expected needs to be one of {get_args(Needs)}, got {explainer.needs!r}")


def check_identity(explainer: Explainer) -> None:
    """identity() is JSON, the same on every call, and the same for an explainer with equal fields."""
    try:
        first, second = canonical_json(explainer.identity()), canonical_json(explainer.identity())
        rebuilt = canonical_json(type(explainer)(**json.loads(first)["fields"]).identity())
    except Exception as error:
        raise _fail("identity", explainer, f"expected identity() to be JSON, got {_line(error)}") from error
    if not first == second == rebuilt:
        raise _fail("identity", explainer, f"expected the same identity() every time, got {first} and {rebuilt}")


def check_pickles(explainer: Explainer) -> None:
    """Workers receive it pickled: the copy is equal to it."""
    try:
        other = pickle.loads(pickle.dumps(explainer))
    except Exception as error:
        raise _fail("pickles", explainer, f"expected a picklable explainer, got {_line(error)}") from error
    if other != explainer or other.identity() != explainer.identity():
        raise _fail("pickles", explainer, "expected an equal explainer back from pickle, got another one")


def check_unsupported_answers(explainer: Explainer) -> None:
    """unsupported() answers with one line or None, never raises, also where there is no model."""
    for scene in SCENES.values():
        _unsupported("unsupported_answers", explainer, scene.problem())
    without = replace(BINARY.problem(), model=None)
    reason = _unsupported("unsupported_answers", explainer, without)
    if explainer.needs != "data" and reason is None:
        raise _fail("unsupported_answers", explainer, "expected a reason for a problem without model, got None")


def check_max_inputs(explainer: Explainer) -> None:
    """Above ``max_inputs`` it says so: unsupported() extends that of the base class."""
    limited = explainer.model_copy(update={"max_inputs": 3})
    for scene in (BINARY, SCENES["spectral"]):
        if _unsupported("max_inputs", limited, scene.problem()) is None:
            raise _fail("max_inputs", explainer, "expected a reason for 12 inputs at max_inputs = 3, got None")


def _check_scene(name: str, explainer: Explainer) -> None:
    problem = _supported(name, explainer, SCENES[name])
    relevance = _explained(name, explainer, problem)
    if relevance.shape != (problem.d,) or not np.isfinite(relevance).all() or (relevance < 0).any():
        raise _fail(name, explainer, f"expected ({problem.d},) finite relevances >= 0, got {relevance}")


def _scene_check(name: str, what: str) -> Check:
    check = functools.partial(_check_scene, name)
    functools.update_wrapper(check, _check_scene)
    check.__name__ = f"check_{name}"  # type: ignore[attr-defined]
    check.__doc__ = f"It explains {what}: (d,) finite relevances >= 0."
    return check


check_regression = _scene_check("regression", "a regression of 12 inputs")
check_binary = _scene_check("binary", "two classes")
check_five_classes = _scene_check("five_classes", "five classes")
check_two_inputs = _scene_check("two_inputs", "a problem of two inputs")
check_one_validation_row = _scene_check("one_validation_row", "a single validation row")
check_batch_norm = _scene_check("batch_norm", "a model with batch norm after an activation")
check_spectral = _scene_check("spectral", "a model with a spectral first layer")
check_spectral_batch_norm = _scene_check("spectral_batch_norm", "a spectral model with batch norm")


def check_deterministic(explainer: Explainer) -> None:
    """The same seed gives the same bits."""
    problem = _supported("deterministic", explainer, *ANY_MODEL)
    first = _explained("deterministic", explainer, problem, seed=3)
    second = _explained("deterministic", explainer, problem, seed=3)
    if first.tobytes() != second.tobytes():
        raise _fail("deterministic", explainer, f"expected equal bits for the same seed, got {_difference(first, second)}")


def check_keeps_nothing(explainer: Explainer) -> None:
    """What it explains in between changes nothing."""
    problem = _supported("keeps_nothing", explainer, *ANY_MODEL)
    first = _explained("keeps_nothing", explainer, problem)
    for scene in (SCENES["two_inputs"], FIVE_CLASSES, SCENES["spectral_batch_norm"]):
        between = scene.problem()
        if _unsupported("keeps_nothing", explainer, between) is None:
            _explained("keeps_nothing", explainer, between, seed=1)
    again = _explained("keeps_nothing", explainer, problem)
    if first.tobytes() != again.tobytes():
        raise _fail("keeps_nothing", explainer, f"expected the same after other problems, got {_difference(first, again)}")


def check_model_unchanged(explainer: Explainer) -> None:
    """unsupported() and explain() leave weights, buffers, mode, hooks and outputs of the model as they were."""
    problem = _supported("model_unchanged", explainer, SCENES["batch_norm"], SCENES["spectral_batch_norm"], *ANY_MODEL)
    if explainer.needs == "data":
        raise CheckSkipped("it uses no model")
    before = _state(problem)
    explainer.unsupported(problem)
    _explained("model_unchanged", explainer, problem)
    for what, value in _state(problem).items():
        if value != before[what]:
            raise _fail("model_unchanged", explainer, f"expected the model's {what} as before, got another one")


def _state(problem: Problem) -> dict[str, object]:
    model = problem.fitted
    with torch.no_grad():
        outputs = model(problem.X_valid.clone()).numpy().tobytes()
    return {
        "structure": repr(model),
        "state_dict": {name: value.numpy().tobytes() for name, value in model.state_dict().items()},
        "mode": [module.training for module in model.modules()],
        "requires_grad": [parameter.requires_grad for parameter in model.parameters()],
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()],
        "outputs": outputs,
    }


def check_data_unchanged(explainer: Explainer) -> None:
    """The rows it is given stay as they were, bit by bit."""
    problem = _supported("data_unchanged", explainer, *ANY_MODEL)
    tensors = {name: getattr(problem, name) for name in ("X_train", "y_train", "X_valid", "y_valid")}
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    explainer.unsupported(problem)
    _explained("data_unchanged", explainer, problem)
    for name, tensor in tensors.items():
        if not torch.equal(tensor, before[name]) or tensor.requires_grad:
            raise _fail("data_unchanged", explainer, f"expected {name} as before, got a changed one: work on a copy")


def check_global_state_unchanged(explainer: Explainer) -> None:
    """Random states, default dtype, gradient mode and warning filters outside are restored."""
    problem = _supported("global_state_unchanged", explainer, *ANY_MODEL)
    _explained("global_state_unchanged", explainer, problem)  # what is set on first use only is not its doing
    before = _global_state()
    explainer.unsupported(problem)
    _explained("global_state_unchanged", explainer, problem)
    after = _global_state()
    for what, value in before.items():
        if after[what] != value:
            _restore_dtype_and_mode(before)
            raise _fail("global_state_unchanged", explainer, f"expected the {what} as before, got another one")


def _global_state() -> dict[str, object]:
    kind, keys, position, has_gauss, _ = np.random.get_state(legacy=True)  # type: ignore[misc]
    return {
        "random state of torch": torch.get_rng_state().numpy().tobytes(),
        "random state of numpy": (kind, np.asarray(keys).tobytes(), position, has_gauss),
        "random state of random": random.getstate(),
        "default dtype of torch": torch.get_default_dtype(),
        "gradient mode of torch": torch.is_grad_enabled(),
        "number of threads": torch.get_num_threads(),
    }


def _restore_dtype_and_mode(state: dict[str, object]) -> None:
    torch.set_default_dtype(state["default dtype of torch"])  # type: ignore[arg-type]
    torch.set_grad_enabled(bool(state["gradient mode of torch"]))
    torch.set_num_threads(int(state["number of threads"]))  # type: ignore[call-overload]


def check_silent(explainer: Explainer) -> None:
    """It prints nothing and shows no progress bar."""
    problem = _supported("silent", explainer, *ANY_MODEL)
    _explained("silent", explainer, problem)  # notices on first import are not its own
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        _explained("silent", explainer, problem)
    printed = (out.getvalue() + err.getvalue()).strip()
    if printed:
        raise _fail("silent", explainer, f"expected no output, got {printed.splitlines()[0][:80]!r}")


def check_constant_input(explainer: Explainer) -> None:
    """An input that is constant on the training rows is 0; the others are explained all the same."""
    problem = _supported("constant_input", explainer, *ANY_MODEL)
    X_train, X_valid = problem.X_train.clone(), problem.X_valid.clone()
    X_train[:, 1], X_valid[:, 1] = 0.0, 0.0
    relevance = _explained("constant_input", explainer, replace(problem, X_train=X_train, X_valid=X_valid))
    if relevance[1] != 0:
        raise _fail("constant_input", explainer, f"expected 0 for a constant input, got {relevance[1]:.3g}")


def check_permuted_inputs(explainer: Explainer) -> None:
    """Other places for the same inputs move their relevances along.

    Exactly (to 1 %) where another seed changes nothing; else by the largest and the rank correlation.
    """
    problem = _linear_supported("permuted_inputs", explainer, (4.0, 1.0, -2.0, 0.5))
    order = torch.tensor([2, 0, 3, 1])
    moved = replace(
        problem,
        model=_with_inputs_in_order(problem.model, order),
        X_train=problem.X_train[:, order].contiguous(),
        X_valid=problem.X_valid[:, order].contiguous(),
    )
    original, other_seed = (_explained("permuted_inputs", explainer, problem, seed=seed) for seed in (0, 1))
    found = _explained("permuted_inputs", explainer, moved)
    expected = original[order.numpy()]
    tolerance = 0.01 * max(float(original.max()), 1e-12)
    if np.allclose(original, other_seed, rtol=0, atol=1e-3 * tolerance):
        same = np.allclose(found, expected, rtol=0, atol=tolerance)
    else:
        ranks = [values.argsort().argsort() for values in (found, expected)]
        same = found.argmax() == expected.argmax() and np.corrcoef(*ranks)[0, 1] >= 0.6
    if not same:
        raise _fail("permuted_inputs", explainer, f"expected {_short(expected)} after moving inputs, got {_short(found)}")


def _with_inputs_in_order(model: nn.Module | None, order: Tensor) -> nn.Module | None:
    model = copy.deepcopy(model)
    if model is not None:
        first = next(model.children())
        with torch.no_grad():
            if isinstance(first, SpectralLinear):
                first.phi.copy_(first.phi[:, order])
                first.lambda_in.copy_(first.lambda_in[order])
            elif isinstance(first, nn.Linear):
                first.weight.copy_(first.weight[:, order])
    return model


def check_relevant_input(explainer: Explainer) -> None:
    """Of y = 5 x_j it finds x_j, wherever it stands."""
    for j in (0, 2):
        problem = _linear_supported("relevant_input", explainer, tuple(5.0 if k == j else 0.0 for k in range(4)))
        relevance = _explained("relevant_input", explainer, problem)
        if relevance.argmax() != j or (relevance == relevance[j]).sum() > 1:
            text = f"expected x{j + 1} to be the most relevant of y = 5 x{j + 1}, got {_short(relevance)}"
            raise _fail("relevant_input", explainer, text)


def _linear_supported(check: str, explainer: Explainer, weights: tuple[float, ...]) -> Problem:
    reasons: list[str] = []
    for layers in ("plain", "spectral"):
        problem = linear_problem(weights, layers)  # type: ignore[arg-type]
        reason = _unsupported(check, explainer, problem)
        if reason is None:
            return problem
        reasons.append(reason)
    raise CheckSkipped(f"unsupported: {reasons[0]}")


def _difference(first: NDArray, second: NDArray) -> str:
    return f"differences up to {np.abs(first - second).max():.3g}"


def _short(values: NDArray) -> str:
    return f"[{', '.join(f'{value:.3g}' for value in values)}]"


CHECKS: tuple[Check, ...] = (
    check_declaration,
    check_identity,
    check_pickles,
    check_unsupported_answers,
    check_max_inputs,
    check_regression,
    check_binary,
    check_five_classes,
    check_two_inputs,
    check_one_validation_row,
    check_batch_norm,
    check_spectral,
    check_spectral_batch_norm,
    check_deterministic,
    check_keeps_nothing,
    check_model_unchanged,
    check_data_unchanged,
    check_global_state_unchanged,
    check_silent,
    check_constant_input,
    check_permuted_inputs,
    check_relevant_input,
)
