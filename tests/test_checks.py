"""Every explainer of this package passes the public checks, and each check catches what it is for."""

from __future__ import annotations

import inspect
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import xai_bench.checks as checks
from xai_bench import registry
from xai_bench.checks import (
    CHECKS,
    SCENES,
    CheckFailed,
    CheckSkipped,
    check_explainer,
    check_name,
    check_report,
    linear_problem,
)
from xai_bench.explainers.base import Explainer, Kind, LocalExplainer, Needs, Problem
from xai_bench.explainers.captum import Captum
from xai_bench.explainers.shap import Shap

GENERIC = {"captum": Captum(method="FeatureAblation"), "shap": Shap(method="GradientExplainer")}


def built_in() -> list[str]:
    names = registry.names("explainers")
    return [name for name in names if registry.source("explainers", name).startswith("xai_bench.explainers")]


@pytest.mark.parametrize("check", CHECKS, ids=check_name)
@pytest.mark.parametrize("name", built_in())
def test_every_explainer_passes(name, check):
    explainer = GENERIC.get(name) or registry.create("explainers", name, {})
    check(explainer)


def test_every_check_is_collected_named_and_described():
    defined = [
        value
        for name, value in vars(checks).items()
        if name.startswith("check_") and name not in ("check_explainer", "check_report", "check_name")
    ]
    assert set(CHECKS) == set(defined)
    assert len({check_name(check) for check in CHECKS}) == len(CHECKS)
    assert all(inspect.getdoc(check) for check in CHECKS)


@pytest.mark.parametrize("scene", SCENES.values(), ids=list(SCENES))
def test_scenes_are_what_they_say(scene):
    problem, again = scene.problem(), scene.problem()
    assert problem.X_train.shape == (60, scene.d)
    assert len(problem.X_valid) == scene.n_valid
    assert not (problem.X_train == problem.X_train[0]).all(0).any()
    assert torch.equal(problem.model(problem.X_valid), again.model(again.X_valid))
    if scene.kind == "classification":
        assert set(problem.y_train.tolist()) == set(range(scene.n_outputs))


def test_the_linear_problem_is_linear():
    for layers in ("plain", "spectral"):
        problem = linear_problem((0.0, 5.0, -1.0), layers)
        torch.testing.assert_close(problem.y_valid, 5 * problem.X_valid[:, 1] - problem.X_valid[:, 2])


# One explainer for every way to break the contract.


class Good(Explainer):
    """The mean absolute gradient, in three lines."""

    name: ClassVar[str] = "good"
    needs: ClassVar[Needs] = "gradient"

    def relevance(self, problem: Problem) -> NDArray:
        X = problem.X_valid.clone().requires_grad_(True)
        problem.fitted(X).square().sum().backward()
        return X.grad.abs().mean(0).numpy()


class WrongShape(Good):
    def relevance(self, problem: Problem) -> NDArray:
        return super().relevance(problem)[:-1]


class OnlyWideProblems(Good):
    def relevance(self, problem: Problem) -> NDArray:
        return np.ones(12)


class NotFinite(Good):
    def relevance(self, problem: Problem) -> NDArray:
        return np.where(np.arange(problem.d) == 0, np.nan, super().relevance(problem))


class Negative(Good):
    def relevance(self, problem: Problem) -> NDArray:
        return -super().relevance(problem)


class RegressionOnly(Good):
    def relevance(self, problem: Problem) -> NDArray:
        if problem.kind == "classification":
            raise RuntimeError("no classes please")
        return super().relevance(problem)


class TwoClassesAtMost(Good):
    def relevance(self, problem: Problem) -> NDArray:
        if problem.n_outputs > 2:
            raise RuntimeError("too many classes")
        return super().relevance(problem)


class StandardisesRows(Good):
    def relevance(self, problem: Problem) -> NDArray:
        return super().relevance(problem) * problem.X_valid.std(0).numpy()


class NoBatchNorm(Good):
    def relevance(self, problem: Problem) -> NDArray:
        if any(isinstance(module, nn.BatchNorm1d) for module in problem.fitted):
            raise RuntimeError("no rule for BatchNorm1d")
        return super().relevance(problem)


class PlainLayersOnly(Good):
    def relevance(self, problem: Problem) -> NDArray:
        return next(problem.fitted.children()).in_features * (super().relevance(problem) + problem.fitted[0].weight[0].numpy())

    def unsupported(self, problem: Problem) -> str | None:
        return None if problem.model is not None else "it needs a model"


class Random(Good):
    """Its own generator, which no seed reaches."""

    def relevance(self, problem: Problem) -> NDArray:
        return super().relevance(problem) + np.random.default_rng().random(problem.d) * 1e-6


class Remembers(Good):
    calls: ClassVar[list[int]] = []

    def relevance(self, problem: Problem) -> NDArray:
        if self.calls and self.calls[-1] != problem.n_outputs:
            self.calls.append(problem.n_outputs)
            return super().relevance(problem) * len(self.calls)
        self.calls.append(problem.n_outputs)
        del self.calls[:-1]
        return super().relevance(problem)


class ChangesTheModel(Good):
    def unsupported(self, problem: Problem) -> str | None:
        if problem.model is not None:
            next(problem.model.parameters()).data += 1e-3
        return super().unsupported(problem)


class LeavesAHook(Good):
    def unsupported(self, problem: Problem) -> str | None:
        if problem.model is not None:
            problem.model.register_forward_hook(lambda *_: None)
        return super().unsupported(problem)


class SetsTrainMode(Good):
    def unsupported(self, problem: Problem) -> str | None:
        if problem.model is not None:
            problem.model.train()
        return super().unsupported(problem)


class ChangesTheData(Good):
    def relevance(self, problem: Problem) -> NDArray:
        problem.X_valid[:, 0] = 0
        return super().relevance(problem)


class LeavesGradientsOn(Good):
    def relevance(self, problem: Problem) -> NDArray:
        problem.X_valid.requires_grad_(True)
        return super().relevance(problem)


class SeedsGlobally(Good):
    def unsupported(self, problem: Problem) -> str | None:
        np.random.seed(0)
        return super().unsupported(problem)


class SetsTheDtype(Good):
    def relevance(self, problem: Problem) -> NDArray:
        found = super().relevance(problem)
        torch.set_default_dtype(torch.float64)
        return found


class Chatty(Good):
    def relevance(self, problem: Problem) -> NDArray:
        print("100%|##########| explaining")
        return super().relevance(problem)


class RaisesWhenAsked(Good):
    def unsupported(self, problem: Problem) -> str | None:
        if problem.n_outputs == 5:
            raise ValueError("five?")
        return super().unsupported(problem)


class AnswersFalse(Good):
    def unsupported(self, problem: Problem) -> str | None:
        return False


class AnswersLines(Good):
    def unsupported(self, problem: Problem) -> str | None:
        return "no\nbecause"


class ForgetsSuper(Good):
    def unsupported(self, problem: Problem) -> str | None:
        return "it needs a model" if problem.model is None else None


class ForgetsTheModel(Good):
    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) if problem.model is not None else None


class Position(Good):
    """It prefers inputs at the end."""

    def relevance(self, problem: Problem) -> NDArray:
        return super().relevance(problem) * np.arange(1, problem.d + 1)


class NoisyPosition(Good):
    """The same, with some noise."""

    def relevance(self, problem: Problem) -> NDArray:
        return np.arange(problem.d) * (1 + 0.01 * problem.generator.random(problem.d))


class Constant(Good):
    def relevance(self, problem: Problem) -> NDArray:
        return np.ones(problem.d)


class NoFiniteStandardDeviation(Good):
    def relevance(self, problem: Problem) -> NDArray:
        return super().relevance(problem) / problem.X_train.std(0).numpy()


class HidesConstants(Good):
    """It takes the base's public method over, and forgets the constants."""

    def explain(self, problem, seed=0):
        from dataclasses import replace

        found = super().explain(problem, seed)
        return replace(found, relevance=found.relevance + 1e-3)


class TwoWords(Good):
    name: ClassVar[str] = "two words"


class UnknownNeed(Good):
    needs: ClassVar[Needs] = "luck"


class Counter(Good):
    """Another identity every time it is asked."""

    asked: ClassVar[list[int]] = []

    def fingerprint(self) -> dict:
        self.asked.append(1)
        return {"asked": len(self.asked)}


class NoJson(Good):
    def fingerprint(self) -> dict:
        return {"when": {1, 2}}


class Local(LocalExplainer):
    name: ClassVar[str] = "local"

    def attribute(self, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem) -> Tensor:
        return X[:, :1]


BAD = {
    WrongShape: "regression",
    OnlyWideProblems: "two_inputs",
    NotFinite: "regression",
    Negative: "regression",
    RegressionOnly: "binary",
    TwoClassesAtMost: "five_classes",
    StandardisesRows: "one_validation_row",
    NoBatchNorm: "batch_norm",
    Random: "deterministic",
    Remembers: "keeps_nothing",
    ChangesTheModel: "model_unchanged",
    LeavesAHook: "model_unchanged",
    SetsTrainMode: "model_unchanged",
    ChangesTheData: "data_unchanged",
    LeavesGradientsOn: "data_unchanged",
    SeedsGlobally: "global_state_unchanged",
    SetsTheDtype: "global_state_unchanged",
    Chatty: "silent",
    RaisesWhenAsked: "unsupported_answers",
    AnswersFalse: "unsupported_answers",
    AnswersLines: "unsupported_answers",
    ForgetsTheModel: "unsupported_answers",
    ForgetsSuper: "max_inputs",
    HidesConstants: "constant_input",
    NoFiniteStandardDeviation: "constant_input",
    Position: "permuted_inputs",
    NoisyPosition: "permuted_inputs",
    Constant: "relevant_input",
    TwoWords: "declaration",
    UnknownNeed: "declaration",
    Counter: "identity",
    NoJson: "identity",
    Local: "regression",
}


@pytest.fixture(autouse=True)
def default_dtype():
    yield
    torch.set_default_dtype(torch.float32)


def test_a_good_explainer_passes():
    check_explainer(Good)
    check_explainer(Good())
    assert {row.outcome for row in check_report(Good)} == {"passed"}


@pytest.mark.parametrize("explainer", BAD, ids=lambda bad: bad.__name__)
def test_a_bad_explainer_is_caught_by_the_right_check(explainer):
    with pytest.raises(CheckFailed, match=f"^{BAD[explainer]}: ") as caught:
        check_explainer(explainer)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_pickled_is_caught():
    class Inner(Good):
        pass

    with pytest.raises(CheckFailed, match="^pickles: good: expected a picklable explainer"):
        check_explainer(Inner)


def test_not_an_explainer():
    with pytest.raises(CheckFailed, match="^declaration: expected a subclass of Explainer, got int"):
        check_explainer(3)
    # A class that cannot be built without fields says which one it needs.
    with pytest.raises(CheckFailed, match="the field 'method' is required"):
        check_explainer(Captum)


def test_the_report_lists_every_check_and_goes_on_after_a_failure():
    rows = check_report(Negative)
    assert [row.check for row in rows] == [check_name(check) for check in CHECKS]
    outcomes = {row.check: row.outcome for row in rows}
    assert outcomes["identity"] == "passed"
    assert outcomes["regression"] == outcomes["binary"] == "failed"
    assert "return absolute values" in next(row.reason for row in rows if row.check == "regression")


def test_what_is_unsupported_is_skipped_with_the_reason():
    class Classes(Good):
        def unsupported(self, problem: Problem) -> str | None:
            kind: Kind = "regression"
            return super().unsupported(problem) or ("it needs classes" if problem.kind == kind else None)

    rows = {row.check: row for row in check_report(Classes)}
    assert rows["regression"] == ("regression", "skipped", "unsupported: it needs classes")
    assert rows["binary"].outcome == "passed"
    with pytest.raises(CheckSkipped, match="it needs classes"):
        checks.check_regression(Classes())


def test_a_skipped_check_is_a_skip_in_pytest(pytester):
    pytester.makepyfile(
        """
        import pytest
        from xai_bench.checks import CHECKS, check_name
        from xai_bench.explainers.spectral import Spectral

        @pytest.mark.parametrize("check", CHECKS, ids=check_name)
        def test_contract(check):
            check(Spectral())
        """
    )
    result = pytester.runpytest("-q")
    assert result.parseoutcomes() == {"passed": len(CHECKS) - 6, "skipped": 6}
