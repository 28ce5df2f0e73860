"""The conformance suite: every registered explainer passes it, and every kind of bad one is caught by name."""

from __future__ import annotations

import random
from typing import ClassVar

import numpy as np
import pytest
import torch

from xai_bench import registry
from xai_bench.conformance.base import report_of, run_checks
from xai_bench.conformance.explainers import CHECKS, CheckFailed, check_explainer, check_name, check_report
from xai_bench.conformance.scenes import SCENES, LinearScene
from xai_bench.explainers.base import Explainer, LocalExplainer, Selection, Selector

# The generic wrappers have no default method. This one of captum's draws from torch's global stream.
FIELDS = {
    "captum": {"method": "ShapleyValueSampling"},
    "shap": {"method": "GradientExplainer"},
    # captum perturbs one row at a time, in Python.
    "captum_kernel_shap": {"rows": 8, "n_samples": 40},
    "lime": {"rows": 8, "n_samples": 40},
    "shap_kernel": {"rows": 8},
    "shap_permutation": {"rows": 8},
    # Few trees and short paths find one input of four as well.
    "random_forest": {"trees": 20},
    "random_forest_permutation": {"trees": 20},
    "gradient_boosting": {"iterations": 20},
    "tree_shap": {"trees": 20},
    "boruta": {"runs": 3, "trees": 20},
    "lassonet": {"hidden": [8], "lambda_start": 1.0, "path_multiplier": 1.2, "n_iters": [300, 5]},
    "conditional_permutation": {"permutations": 3},
    "leave_one_out": {"iterations": 5},
    "knockoffs": {"strengths": 5, "folds": 2},
    "conditional_randomisation": {"strengths": 3, "folds": 2},
    "sage": {"orders": 64, "background": 8},
    "spectral_moments": {"steps": 60},
    # Shorter ones lose the input.
    "spectral_path": {"hidden": [16], "levels": 10, "first_steps": 300, "level_steps": 60, "refit_steps": 60},
    "group_lasso_path": {"hidden": [16], "levels": 10, "first_steps": 300, "level_steps": 60, "refit_steps": 60},
    "xgboost_gain": {"iterations": 20, "importance": "total_gain"},
    "xgboost_shap": {"iterations": 10},
    "ebm": {"bags": 1, "interactions": 1, "max_rounds": 20},
    "tabnet": {"epochs": 12, "batch_size": 64, "learning_rate": 0.05},
    # Gates that stay open have no order: few stay.
    "stg": {"hidden": [8], "steps": 60, "strength": 2.0, "learning_rate": 0.03},
    "deep_lasso": {"steps": 60},
    "sequential_attention": {"steps": 60, "chosen": 3},
    "concrete_selector": {"steps": 80},
    "recursive_feature_machine": {"rounds": 2},
}
PATHS = ("spectral_path", "group_lasso_path", "lassonet")
"""A minute of training for the three of them."""
MANY_FITS = ("conditional_randomisation", "leave_one_out")
"""Two models an input, in each of thirty explanations."""
NETWORKS = ("tabnet", "stg", "deep_lasso", "sequential_attention", "concrete_selector", "ebm")
"""Half a minute for the six of them."""
DEAR = (*PATHS, *MANY_FITS, *NETWORKS)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in DEAR else ()) for name in registry.names("explainers")],
)
def test_registered_explainers_pass(name):
    explainer = registry.create("explainers", name, FIELDS.get(name, {}))
    if "it needs the package" in (reason := explainer.unsupported(SCENES[0].problem()) or ""):
        pytest.skip(reason)
    report = check_report(explainer)
    assert [row for row in report if row.outcome == "failed"] == []
    # Skipping is for what a method says it does not support: not for most of the suite.
    assert sum(row.outcome == "passed" for row in report) >= len(CHECKS) - 10
    assert all(row.reason for row in report if row.outcome == "skipped")


class GradientNorm(LocalExplainer):
    """A good one, to be spoilt below."""

    name: ClassVar[str] = "gradient_norm"

    def attribute(self, model, X, target, problem):
        X = X.clone().requires_grad_(True)
        outputs = model(X)
        chosen = outputs[:, 0] if target is None else outputs.gather(1, target[:, None])[:, 0]
        return torch.autograd.grad(chosen.sum(), X)[0]


class WrongShape(GradientNorm):
    def relevance(self, problem):
        return super().relevance(problem)[:, None]


class NotANumber(GradientNorm):
    def relevance(self, problem):
        return super().relevance(problem) * np.nan


class Signed(GradientNorm):
    def relevance(self, problem):
        return -super().relevance(problem)


class Raises(GradientNorm):
    def relevance(self, problem):
        raise RuntimeError("out of order")


class NeedsThreeInputs(GradientNorm):
    def relevance(self, problem):
        if problem.d < 3:
            raise IndexError("d < 3")
        return super().relevance(problem)


class BinaryOnly(GradientNorm):
    def relevance(self, problem):
        assert problem.n_outputs <= 2
        return super().relevance(problem)


class NeedsTwoRows(GradientNorm):
    def relevance(self, problem):
        assert len(problem.X_valid) > 1
        return super().relevance(problem)


class NoBatchNorm(GradientNorm):
    def relevance(self, problem):
        assert not any(isinstance(m, torch.nn.BatchNorm1d) for m in problem.fitted.modules())
        return super().relevance(problem)


class DenseFirstLayer(GradientNorm):
    needs: ClassVar[str] = "predict"

    def relevance(self, problem):
        assert isinstance(problem.fitted[0], torch.nn.Linear)
        return problem.fitted[0].weight.abs().sum(0)


class LastLayerDense(GradientNorm):
    def relevance(self, problem):
        assert isinstance(problem.fitted[-1], torch.nn.Linear)
        return super().relevance(problem)


class Random(GradientNorm):
    def relevance(self, problem):
        return super().relevance(problem) * np.random.default_rng().uniform(0.9, 1.1, problem.d)


class Remembers(GradientNorm):
    seen: ClassVar[list] = []

    def relevance(self, problem):
        self.seen.append(problem.d)
        return super().relevance(problem) * sum(self.seen) if len(set(self.seen)) > 1 else super().relevance(problem)


class Trains(GradientNorm):
    def unsupported(self, problem):
        reason = super().unsupported(problem)
        if reason is None:
            problem.fitted.train()
        return reason


class ScalesWeights(GradientNorm):
    def explain(self, problem, seed=0):
        with torch.no_grad():
            next(problem.fitted.parameters()).mul_(1.01)
        return super().explain(problem, seed)


class LeavesHooks(GradientNorm):
    def explain(self, problem, seed=0):
        problem.fitted[0].register_forward_hook(lambda *_: None)
        return super().explain(problem, seed)


class ChangesData(GradientNorm):
    def relevance(self, problem):
        problem.X_valid.sub_(problem.X_valid.mean(0))
        return super().relevance(problem)


class AsksForGradients(GradientNorm):
    def relevance(self, problem):
        X = problem.X_valid.requires_grad_(True)
        return torch.autograd.grad(problem.fitted(X).sum(), X)[0].abs().mean(0)


class SeedsNumpy(GradientNorm):
    def unsupported(self, problem):
        np.random.seed(0)  # noqa: NPY002
        return super().unsupported(problem)


class SeedsTorch(GradientNorm):
    def explain(self, problem, seed=0):
        torch.manual_seed(seed)
        return super().explain(problem, seed)


class SeedsRandom(GradientNorm):
    def unsupported(self, problem):
        random.seed(1)
        return super().unsupported(problem)


class SwitchesGradientsOff(GradientNorm):
    def relevance(self, problem):
        with torch.enable_grad():
            found = super().relevance(problem)
        torch.set_grad_enabled(False)
        return found


class SwitchesToDouble(GradientNorm):
    def relevance(self, problem):
        found = super().relevance(problem)
        torch.set_default_dtype(torch.float64)
        return found


class Talks(GradientNorm):
    def relevance(self, problem):
        print("explaining")
        return super().relevance(problem)


class RaisesInUnsupported(GradientNorm):
    def unsupported(self, problem):
        if problem.n_outputs == 5:
            raise KeyError("classes")
        return super().unsupported(problem)


class SaysTrue(GradientNorm):
    def unsupported(self, problem):
        return super().unsupported(problem) or False


class SaysNothing(GradientNorm):
    def unsupported(self, problem):
        return super().unsupported(problem) and ""


class ForgetsSuper(GradientNorm):
    def unsupported(self, problem):
        return "it needs a model" if problem.model is None else None


class ConstantsCount(GradientNorm):
    def explain(self, problem, seed=0):
        found = super().explain(problem, seed)
        found.relevance[:] += 1.0
        return found


class FavoursTheFirst(GradientNorm):
    def relevance(self, problem):
        return super().relevance(problem) * (1.0 + 1e-4 * np.arange(problem.d))


class AlwaysTheSame(GradientNorm):
    def relevance(self, problem):
        return np.ones(problem.d)


class NewIdentity(GradientNorm):
    def fingerprint(self):
        return {"now": np.random.default_rng().random()}


class NotJson(GradientNorm):
    def fingerprint(self):
        return {"array": np.zeros(2)}


class Spaced(GradientNorm):
    name: ClassVar[str] = "gradient norm"


class NeedsMagic(GradientNorm):
    needs: ClassVar[str] = "magic"


class SaysItAddsUp(GradientNorm):
    completeness: ClassVar[bool] = True


class ComparesRows(GradientNorm):
    def attribute(self, model, X, target, problem):
        values = super().attribute(model, X, target, problem)
        return values - values.mean(0)


class CutsSmallValues(GradientNorm):
    def attribute(self, model, X, target, problem):
        values = super().attribute(model, X, target, problem)
        return torch.where(values.abs() < 1e-2, 0.0, values)


class Variance(Selector):
    """A good selector, to be spoilt below."""

    name: ClassVar[str] = "variance"
    predicts: ClassVar[bool] = False

    def select(self, problem):
        return Selection(problem.X_train.var(0))


class SaysItPredicts(Variance):
    predicts: ClassVar[bool] = True


class DoesNotSayThatItPredicts(Variance):
    def select(self, problem):
        return Selection(problem.X_train.var(0), 0.5)


def local_class():
    class Local(GradientNorm):
        pass

    return Local


class LooksAtTestRows(GradientNorm):
    def attribute(self, model, X, target, problem):
        return super().attribute(model, X, target, problem) * len(problem.y_test)


class NoInputs(GradientNorm):
    def relevances(self, problem):
        found = super().relevances(problem)
        return found._replace(inputs=found.columns)


class OtherColumns(GradientNorm):
    def relevances(self, problem):
        found = super().relevances(problem)
        return found._replace(columns=2 * found.columns)


BAD = {
    LooksAtTestRows: "no_test_rows",
    WrongShape: "returns_relevance",
    NotANumber: "returns_relevance",
    Signed: "returns_relevance",
    Raises: "returns_relevance",
    NeedsThreeInputs: "two_inputs",
    BinaryOnly: "five_classes",
    NeedsTwoRows: "one_validation_row",
    NoBatchNorm: "batch_norm",
    DenseFirstLayer: "spectral",
    LastLayerDense: "all_spectral",
    Random: "deterministic",
    Remembers: "keeps_nothing",
    Trains: "model_unchanged",
    ScalesWeights: "model_unchanged",
    LeavesHooks: "model_unchanged",
    ChangesData: "data_unchanged",
    AsksForGradients: "data_unchanged",
    SeedsNumpy: "global_state_unchanged",
    SeedsTorch: "global_state_unchanged",
    SeedsRandom: "global_state_unchanged",
    SwitchesGradientsOff: "global_state_unchanged",
    SwitchesToDouble: "global_state_unchanged",
    Talks: "silent",
    RaisesInUnsupported: "unsupported_answers",
    SaysTrue: "unsupported_answers",
    SaysNothing: "unsupported_answers",
    ForgetsSuper: "max_inputs",
    ConstantsCount: "constant_input",
    FavoursTheFirst: "permuted_inputs",
    AlwaysTheSame: "relevant_input",
    SaysItAddsUp: "completeness",
    ComparesRows: "rows_apart",
    NoInputs: "several_columns",
    OtherColumns: "several_columns",
    CutsSmallValues: "scale_of_outputs",
    NewIdentity: "identity",
    NotJson: "identity",
    local_class(): "pickles",
    SaysItPredicts: "valid_score",
    DoesNotSayThatItPredicts: "valid_score",
    Spaced: "declaration",
    NeedsMagic: "declaration",
}


def test_the_unspoilt_one_passes():
    check_explainer(GradientNorm)
    assert [row.check for row in check_report(GradientNorm) if row.outcome != "passed"] == [
        "valid_score",
        "completeness",
    ]
    outcomes = {row.check: row.outcome for row in check_report(Variance)}
    assert outcomes["valid_score"] == "passed"


@pytest.mark.parametrize(("bad", "name"), BAD.items(), ids=lambda value: getattr(value, "__name__", value))
def test_bad_explainers_are_caught(bad, name):
    """By the check of that name alone: the others are run on two of them below."""
    check = next(check for check in CHECKS if check_name(check) == name)
    (found,) = report_of([check], bad)
    assert (found.check, found.outcome) == (name, "failed")
    assert found.reason.startswith(f"{name}: {bad.name}: expected ")
    assert ", got " in found.reason
    assert "\n" not in found.reason
    with pytest.raises(CheckFailed, match=f"^{name}: "):
        run_checks([check], bad)


@pytest.mark.parametrize("bad", [Signed, LeavesHooks])
def test_the_first_check_that_fails_is_raised(bad):
    report = check_report(bad)
    assert [row.check for row in report] == [check_name(check) for check in CHECKS]
    failed = [row.check for row in report if row.outcome == "failed"]
    assert BAD[bad] in failed
    with pytest.raises(CheckFailed, match=f"^{failed[0]}: "):
        check_explainer(bad)


def test_every_check_catches_something():
    assert set(BAD.values()) | {"regression", "binary", "spectral_batch_norm"} == {check_name(c) for c in CHECKS}


def test_something_else_than_an_explainer():
    with pytest.raises(CheckFailed, match="declaration: object: expected a subclass of Explainer, got object"):
        check_explainer(object())


def test_a_crash_inside_a_check_is_a_failure_of_the_explainer():
    class Unequal(GradientNorm):
        def __eq__(self, other):
            raise RuntimeError("no comparison")

        __hash__ = GradientNorm.__hash__

    Unequal.__qualname__ = "Unequal"
    globals()["Unequal"] = Unequal
    rows = {row.check: row for row in check_report(Unequal)}
    assert rows["pickles"].reason == "pickles: gradient_norm: expected no error, got RuntimeError: no comparison"


@pytest.mark.parametrize("explainer", [SeedsNumpy, SeedsTorch, SeedsRandom, SwitchesGradientsOff, SwitchesToDouble])
def test_the_suite_restores_what_it_and_the_explainer_touch(explainer):
    before = (random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist())  # noqa: NPY002
    check_report(explainer)
    after = (random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist())  # noqa: NPY002
    assert after == before
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("check", CHECKS, ids=check_name)
def test_checks_can_be_called_alone(check):
    assert check.__doc__
    check(GradientNorm())


@pytest.mark.parametrize("scene", [*SCENES, LinearScene((1.0, 0.0)), LinearScene((1.0, 0.0), "spectral")], ids=repr)
def test_scenes_give_equal_bits(scene):
    first, second = scene.problem(), scene.problem()
    assert first.fitted is not second.fitted
    for name in ("X_train", "y_train", "X_valid", "y_valid"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    for a, b in zip(first.fitted.state_dict().values(), second.fitted.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not first.fitted.training


def test_subclass_of_the_plain_base():
    class Variance(Explainer):
        name: ClassVar[str] = "variance"
        needs: ClassVar[str] = "data"

        def relevance(self, problem):
            return problem.X_train.var(0)

    outcomes = {row.check: row.outcome for row in check_report(Variance)}
    assert outcomes["model_unchanged"] == "skipped"
    assert outcomes["relevant_input"] == "failed"
