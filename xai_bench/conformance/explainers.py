"""The conformance suite for explainers: many small named checks, for plugin authors and for this package.

From Python ``check_explainer(MyExplainer)``; in pytest one test for every check::

    @pytest.mark.parametrize("check", CHECKS, ids=check_name)
    def test_contract(check):
        check(MyExplainer())

A check raises ``CheckFailed`` with one line, or ``CheckSkipped`` where it does not apply, and leaves random
states and torch's settings as it found them. The networks are small and their weights drawn or set by hand:
nothing is trained.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from dataclasses import fields, replace
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xai_bench.conformance.base import (
    Check,
    CheckFailed,
    CheckResult,
    CheckSkipped,
    a_check,
    check_name,
    draw_from_every_stream,
    line,
    report_of,
    require_declaration,
    require_identity,
    require_pickles,
    require_silence,
    require_state_kept,
    run_checks,
)
from xai_bench.conformance.scenes import (
    ALL_SPECTRAL,
    ANY_MODEL,
    BATCH_NORM,
    BINARY,
    FIVE_CLASSES,
    ONE_VALIDATION_ROW,
    REGRESSION,
    SCENES,
    SPECTRAL,
    SPECTRAL_BATCH_NORM,
    SPECTRAL_ONE_ROW,
    TWO_INPUTS,
    UNEQUAL,
    LinearScene,
    Recipe,
    Scene,
)
from xai_bench.explainers.base import Explainer, Explanation, LocalExplainer, Needs, Problem, Selector
from xai_bench.models.folding import fold_spectral
from xai_bench.models.spectral import SpectralLinear

__all__ = ["CHECKS", "CheckFailed", "CheckResult", "CheckSkipped", "check_explainer", "check_name", "check_report"]


def check_explainer(explainer: Explainer | type[Explainer]) -> None:
    """Run every check on an explainer (a class is built with its default fields).

    Raises
    ------
    CheckFailed
        At the first check that fails.
    """
    run_checks(CHECKS, explainer)


def check_report(explainer: Explainer | type[Explainer]) -> list[CheckResult]:
    """(check, passed | failed | skipped, reason) of every check, in order."""
    return report_of(CHECKS, explainer)


def _supported(explainer: Explainer, *recipes: Recipe) -> Problem:
    """The first of the problems that the explainer says it supports, built anew: it has not seen this one.

    Those that are for pictures only get the same problems as pictures.
    """
    reasons: list[str] = []
    for as_it_is in (True, False):
        for recipe in recipes:
            built = recipe.problem if as_it_is else functools.partial(_as_pictures, recipe)
            reason = _unsupported(explainer, built())
            if reason is None:
                return built()
            reasons.append(reason)
    raise CheckSkipped(f"unsupported: {reasons[0]}")


def _as_pictures(recipe: Recipe) -> Problem:
    """Its inputs in rows and columns, as near to a square as they go."""
    problem = recipe.problem()
    rows = max(k for k in range(1, problem.d + 1) if problem.d % k == 0 and k * k <= problem.d)
    return replace(problem, feature_shape=(rows, problem.d // rows))


def _unsupported(explainer: Explainer, problem: Problem) -> str | None:
    try:
        reason = explainer.unsupported(problem)
    except Exception as error:
        raise CheckFailed(f"expected unsupported() not to raise, got {line(error)}") from error
    if reason is not None and (not isinstance(reason, str) or not reason.strip() or "\n" in reason):
        raise CheckFailed(f"expected unsupported() to return one line or None, got {reason!r}")
    return reason


def _explained(explainer: Explainer, problem: Problem, seed: int = 0) -> NDArray[np.float64]:
    """The relevance as the harness gets it; what ``explain`` rejects fails the check."""
    try:
        found = explainer.explain(problem, seed=seed)
    except Exception as error:
        raise CheckFailed(f"expected an explanation of a problem it supports, got {line(error)}") from error
    if not isinstance(found, Explanation):
        kind = type(found).__name__
        raise CheckFailed(f"expected explain() to return an Explanation, got a {kind}: write relevance() instead")
    return found.relevance


def _difference(first: NDArray, second: NDArray) -> str:
    return f"differences up to {np.abs(first - second).max():.3g}"


def _short(values: NDArray) -> str:
    return f"[{', '.join(f'{value:.3g}' for value in np.ravel(values))}]"


@a_check
def check_declaration(explainer: Explainer) -> None:
    """It is an Explainer with a name of one word and a known ``needs``."""
    require_declaration(explainer, Explainer)
    if explainer.needs not in get_args(Needs):
        raise CheckFailed(f"expected needs to be one of {', '.join(get_args(Needs))}, got {explainer.needs!r}")


@a_check
def check_identity(explainer: Explainer) -> None:
    """identity() is JSON, the same on every call, and the same for an explainer with equal fields."""
    require_identity(explainer)


@a_check
def check_pickles(explainer: Explainer) -> None:
    """Workers receive it pickled: the copy is equal, with the same hash and identity."""
    require_pickles(explainer, "explainer")


@a_check
def check_unsupported_answers(explainer: Explainer) -> None:
    """unsupported() answers with one line or None, never raises, also where there is no model."""
    for scene in SCENES:
        _unsupported(explainer, scene.problem())
    reason = _unsupported(explainer, replace(BINARY.problem(), model=None))
    if explainer.needs != "data" and reason is None:
        raise CheckFailed("expected unsupported() to give a reason where there is no model, got None")


@a_check
def check_max_inputs(explainer: Explainer) -> None:
    """Above ``max_inputs`` it says so: unsupported() extends that of the base class."""
    limited = explainer.model_copy(update={"max_inputs": 3})
    for scene in (BINARY, SPECTRAL):
        if _unsupported(limited, scene.problem()) is None:
            raise CheckFailed("expected unsupported() to give a reason for 12 inputs at max_inputs = 3, got None")


HIDDEN = ("X_test", "y_test", "truth")
"""What a problem does not have, because no explainer may see it."""


@a_check
def check_no_test_rows(explainer: Explainer) -> None:
    """It asks the problem for no test rows and no truth."""
    asked: list[str] = []

    class Watched(Problem):
        def __getattr__(self, name: str) -> object:
            if name in HIDDEN:
                asked.append(name)
            raise AttributeError(f"a problem has no {name!r}")

    problem = _supported(explainer, *ANY_MODEL)
    with contextlib.suppress(Exception):  # Other checks say what else is wrong.
        explainer.explain(Watched(**{part.name: getattr(problem, part.name) for part in fields(problem)}))
    if asked:
        raise CheckFailed(f"expected no look at test rows and truth, got one at {asked[0]}: use the other rows")


@a_check
def check_returns_relevance(explainer: Explainer) -> None:
    """relevance() returns (d,) finite numbers >= 0."""
    _check_scenes(explainer, *ANY_MODEL)


def _check_scenes(explainer: Explainer, *scenes: Scene) -> None:
    problem = _supported(explainer, *scenes)
    relevance = _explained(explainer, problem)
    if relevance.shape != (problem.d,) or not np.isfinite(relevance).all() or (relevance < 0).any():
        raise CheckFailed(f"expected ({problem.d},) finite relevances >= 0, got {_short(relevance)}")


@a_check
def check_valid_score(explainer: Explainer) -> None:
    """A selector that ``predicts`` gives a finite ``valid_score``, by which it can be tuned; another one gives none."""
    if not isinstance(explainer, Selector):
        raise CheckSkipped("it is no Selector")
    score = explainer.select(_supported(explainer, *ANY_MODEL)).valid_score
    if explainer.predicts and (score is None or not np.isfinite(score)):
        raise CheckFailed(f"expected a finite valid_score where predicts = True, got {score!r}")
    if not explainer.predicts and score is not None:
        raise CheckFailed(f"expected valid_score = None where predicts = False, got {score!r}")


@a_check
def check_regression(explainer: Explainer) -> None:
    """It explains a regression of 12 inputs."""
    _check_scenes(explainer, REGRESSION, replace(REGRESSION, layers="tokens"))


@a_check
def check_binary(explainer: Explainer) -> None:
    """It explains two classes."""
    _check_scenes(explainer, BINARY, replace(BINARY, layers="tokens"))


@a_check
def check_five_classes(explainer: Explainer) -> None:
    """It explains five classes."""
    _check_scenes(explainer, FIVE_CLASSES, replace(FIVE_CLASSES, layers="tokens"))


@a_check
def check_two_inputs(explainer: Explainer) -> None:
    """It explains a problem of two inputs."""
    _check_scenes(explainer, TWO_INPUTS, replace(TWO_INPUTS, layers="tokens"))


@a_check
def check_one_validation_row(explainer: Explainer) -> None:
    """It explains a problem with a single validation row."""
    _check_scenes(explainer, ONE_VALIDATION_ROW, SPECTRAL_ONE_ROW, replace(ONE_VALIDATION_ROW, layers="tokens"))


@a_check
def check_batch_norm(explainer: Explainer) -> None:
    """It explains a model with batch norm and dropout after an activation."""
    _check_scenes(explainer, BATCH_NORM)


@a_check
def check_spectral(explainer: Explainer) -> None:
    """It explains a model with a spectral first layer."""
    _check_scenes(explainer, SPECTRAL)


@a_check
def check_spectral_batch_norm(explainer: Explainer) -> None:
    """It explains a model with a spectral first layer, batch norm and dropout."""
    _check_scenes(explainer, SPECTRAL_BATCH_NORM)


@a_check
def check_all_spectral(explainer: Explainer) -> None:
    """It explains a model with spectral layers only."""
    _check_scenes(explainer, ALL_SPECTRAL)


@a_check
def check_deterministic(explainer: Explainer) -> None:
    """The same seed gives the same bits, whatever the global random states."""
    problem = _supported(explainer, *ANY_MODEL)
    first = _explained(explainer, problem, seed=3)
    draw_from_every_stream()
    second = _explained(explainer, problem, seed=3)
    if first.tobytes() != second.tobytes():
        raise CheckFailed(f"expected equal bits for the same seed, got {_difference(first, second)}")


@a_check
def check_keeps_nothing(explainer: Explainer) -> None:
    """What it explains in between changes nothing."""
    problem = _supported(explainer, *ANY_MODEL)
    first = _explained(explainer, problem)
    for scene in (TWO_INPUTS, FIVE_CLASSES, SPECTRAL_BATCH_NORM):
        between = scene.problem()
        if _unsupported(explainer, between) is None:
            _explained(explainer, between, seed=1)
    again = _explained(explainer, problem)
    if first.tobytes() != again.tobytes():
        raise CheckFailed(f"expected equal bits after other problems, got {_difference(first, again)}")


@a_check
def check_model_unchanged(explainer: Explainer) -> None:
    """unsupported() and explain() leave weights, buffers, mode, hooks and outputs of the model as they were."""
    if explainer.needs == "data":
        raise CheckSkipped("it uses no model")
    problem = _supported(explainer, BATCH_NORM, SPECTRAL_BATCH_NORM, *ANY_MODEL)
    before = _model_state(problem)
    _unsupported(explainer, problem)
    _explained(explainer, problem)
    after = _model_state(problem)
    for what, value in before.items():
        if after[what] != value:
            raise CheckFailed(f"expected the {what} of the model as before, got another: work on a copy")


def _model_state(problem: Problem) -> dict[str, object]:
    model = problem.fitted
    state = {
        "structure": repr(model),
        "training mode": [module.training for module in model.modules()],
        "state_dict": {name: value.numpy().tobytes() for name, value in model.state_dict().items()},
        "requires_grad": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad is None for parameter in model.parameters()],
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()],
    }
    with torch.no_grad():
        return {**state, "outputs": model(problem.X_valid.clone()).numpy().tobytes()}


@a_check
def check_data_unchanged(explainer: Explainer) -> None:
    """The rows it is given stay as they were, bit by bit."""
    problem = _supported(explainer, *ANY_MODEL)
    tensors = {name: getattr(problem, name) for name in ("X_train", "y_train", "X_valid", "y_valid")}
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    _unsupported(explainer, problem)
    _explained(explainer, problem)
    for name, tensor in tensors.items():
        if tensor.requires_grad or not torch.equal(tensor, before[name]):
            raise CheckFailed(f"expected {name} as before, got a changed one: work on a copy")


@a_check
def check_global_state_unchanged(explainer: Explainer) -> None:
    """Random states, and torch's default dtype, gradient mode and threads, are as before."""
    problem = _supported(explainer, *ANY_MODEL)

    def used() -> None:
        _unsupported(explainer, problem)
        _explained(explainer, problem)

    require_state_kept(used)


@a_check
def check_silent(explainer: Explainer) -> None:
    """It prints nothing and shows no progress bar."""
    problem = _supported(explainer, *ANY_MODEL)
    require_silence(lambda: _explained(explainer, problem))


@a_check
def check_constant_input(explainer: Explainer) -> None:
    """An input that is constant on the training rows gets 0; the others are explained all the same."""
    problem = _supported(explainer, *ANY_MODEL)
    X_train, X_valid = problem.X_train.clone(), problem.X_valid.clone()
    X_train[:, 1], X_valid[:, 1] = 0.0, 0.0
    relevance = _explained(explainer, replace(problem, X_train=X_train, X_valid=X_valid))
    if relevance[1] != 0:
        raise CheckFailed(f"expected 0 for a constant input, got {relevance[1]:.3g}")


@a_check
def check_several_columns(explainer: Explainer) -> None:
    """An input of several columns gets one relevance >= 0; the columns get what they get by themselves."""
    problem = _supported(explainer, *ANY_MODEL)
    alone = _explained(explainer, problem)
    together = replace(problem, inputs=((0, problem.d - 1), *((j,) for j in range(1, problem.d - 1))))
    columns = _explained(explainer, together)
    if columns.tobytes() != alone.tobytes():
        raise CheckFailed(
            f"expected equal bits of the columns whatever the inputs, got {_difference(columns, alone)}: let "
            "relevances() return those of relevance()"
        )


@a_check
def check_permuted_inputs(explainer: Explainer) -> None:
    """Other places for the same inputs move their relevances along.

    To 1e-5 of the largest one where another seed changes nothing, else by the largest and the rank correlation.
    """
    problem = _supported(explainer, UNEQUAL, replace(UNEQUAL, layers="spectral"))
    order = torch.tensor([2, 0, 3, 1])
    moved = replace(
        problem,
        model=_with_inputs_in_order(problem.model, order),
        X_train=problem.X_train[:, order].contiguous(),
        X_valid=problem.X_valid[:, order].contiguous(),
    )
    original, other_seed = (_explained(explainer, problem, seed=seed) for seed in (0, 1))
    expected, found = original[order.numpy()], _explained(explainer, moved)
    if original.tobytes() == other_seed.tobytes():
        same = np.abs(found - expected).max() <= 1e-5 * original.max()
    else:
        ranks = np.array([values.argsort().argsort() for values in (found, expected)])
        same = found.argmax() == expected.argmax() and np.corrcoef(ranks)[0, 1] >= 0.6
    if not same:
        raise CheckFailed(f"expected {_short(expected)} after moving the inputs, got {_short(found)}")


def _with_inputs_in_order(model: nn.Module | None, order: Tensor) -> nn.Module | None:
    model = copy.deepcopy(model)
    if model is not None:
        first = next(model.children())
        for tensor in (first.phi, first.lambda_in) if isinstance(first, SpectralLinear) else (first.weight,):
            assert isinstance(tensor, Tensor)
            tensor.copy_(tensor[..., order])
    return model


@a_check
def check_relevant_input(explainer: Explainer) -> None:
    """Of y = 5 x_j it finds x_j, wherever it stands."""
    for j in (0, 2):
        weights = tuple(5.0 if k == j else 0.0 for k in range(4))
        problem = _supported(explainer, LinearScene(weights), LinearScene(weights, "spectral"))
        relevance = _explained(explainer, problem)
        if (relevance >= relevance[j]).sum() > 1:
            raise CheckFailed(f"expected x{j + 1} to be the most relevant of y = 5 x{j + 1}, got {_short(relevance)}")


@a_check
def check_completeness(explainer: Explainer) -> None:
    """Where it declares ``completeness``: the sums of its attributions follow the outputs, to 1 % of their spread."""
    if not isinstance(explainer, LocalExplainer) or not explainer.completeness:
        raise CheckSkipped("it does not declare completeness")
    adds_up(explainer, _supported(explainer, REGRESSION, ALL_SPECTRAL))


def adds_up(explainer: LocalExplainer, problem: Problem) -> None:
    """On one problem: a regression, or all rows of one class.

    Raises
    ------
    CheckFailed
        If sums of attributions do not follow the outputs, to 1 % of their standard deviation.
    """
    model = fold_spectral(copy.deepcopy(problem.fitted)).requires_grad_(False)
    target = problem.y_valid if problem.kind == "classification" else None
    values = explainer.attribute(model, problem.X_valid.clone(), target, problem)
    sums = np.asarray(values.detach() if isinstance(values, Tensor) else values, dtype=np.float64).sum(1)
    chosen = 0 if target is None else int(target[0])
    with torch.no_grad():
        outputs = problem.fitted(problem.X_valid)[:, chosen].double().numpy()
    off = np.ptp(sums - outputs)
    if not off <= 1e-2 * outputs.std():
        raise CheckFailed(
            f"expected sums of attributions that follow the outputs, got differences that vary by {off:.3g} where the "
            f"outputs have a standard deviation of {outputs.std():.3g}"
        )


@a_check
def check_rows_apart(explainer: Explainer) -> None:
    """What a row gets does not depend on the rows that are explained beside it."""
    if not isinstance(explainer, LocalExplainer) or explainer.aggregate != "mean_abs" or not explainer.rows_apart():
        raise CheckSkipped("it explains no rows one by one, or says that it compares them")
    problem = _supported(explainer, *ANY_MODEL)
    whole, other_seed = (_explained(explainer, problem, seed=seed) for seed in (0, 1))
    if whole.tobytes() != other_seed.tobytes():
        raise CheckSkipped("it draws: other rows get other draws")
    n = min(explainer.rows, len(problem.X_valid))
    if n < len(problem.X_valid) or n < 3:
        raise CheckSkipped("it explains a draw of the rows")
    found = np.zeros(problem.d)
    for part in (slice(0, n // 3), slice(n // 3, n)):
        some = replace(problem, X_valid=problem.X_valid[part], y_valid=problem.y_valid[part])
        found += _explained(explainer, some) * len(some.X_valid) / n
    if not np.abs(found - whole).max() <= 1e-4 * whole.max():
        raise CheckFailed(f"expected {_short(whole)} also for parts of the rows, got {_short(found)}")


def _shares(relevance: NDArray[np.float64]) -> NDArray[np.float64]:
    total = float(relevance.sum())
    return relevance / total if total > 0 else relevance


@a_check
def check_scale_of_outputs(explainer: Explainer) -> None:
    """A model whose outputs are multiplied by .001 or 1000 gets the same relevances, but for one factor of all."""
    if not isinstance(explainer, LocalExplainer):
        raise CheckSkipped("it does not attribute outputs")
    problem = _supported(explainer, *ANY_MODEL)
    expected = _shares(_explained(explainer, problem))
    for scale in (1e-3, 1e3):
        model = copy.deepcopy(problem.fitted)
        last = list(model.children())[-1]
        assert isinstance(last, nn.Linear | SpectralLinear)
        for tensor in (last.weight if isinstance(last, nn.Linear) else last.phi, last.bias):
            if tensor is not None:
                tensor.mul_(scale)
        found = _shares(_explained(explainer, replace(problem, model=model)))
        if not np.abs(found - expected).max() <= 1e-3 * expected.max():
            raise CheckFailed(f"expected shares {_short(expected)} at outputs times {scale:g}, got {_short(found)}")


CHECKS: tuple[Check, ...] = (
    *(check_declaration, check_identity, check_pickles, check_unsupported_answers, check_max_inputs),
    *(check_no_test_rows, check_returns_relevance, check_valid_score),
    *(check_regression, check_binary, check_five_classes, check_two_inputs, check_one_validation_row),
    *(check_batch_norm, check_spectral, check_spectral_batch_norm, check_all_spectral),
    *(check_data_unchanged, check_model_unchanged, check_deterministic, check_keeps_nothing),
    *(check_global_state_unchanged, check_silent, check_constant_input, check_permuted_inputs, check_relevant_input),
    *(check_completeness, check_rows_apart, check_scale_of_outputs, check_several_columns),
)
