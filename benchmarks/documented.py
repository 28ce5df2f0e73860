"""How the documentation of each library calls its method: the baseline of the attribution benchmarks.

Same model, same rows, same numbers of samples as our explainer; everything that the documentation leaves at its default
is left there. A call returns what the library returns, summed up to one number an input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xai_bench.explainers.base import Problem
from xai_bench.explainers.captum import Captum
from xai_bench.explainers.captum_arguments import core_of
from xai_bench.explainers.shap import Shap

Call = Callable[[], Any]


def documented(explainer: Any, problem: Problem) -> Call | None:
    """The library's own call, or None for methods that no library has."""
    if isinstance(explainer, Captum):
        return lambda: by_captum(explainer, problem)
    if isinstance(explainer, Shap):
        return lambda: by_shap(explainer, problem)
    trees = {"random_forest": forest, "random_forest_permutation": forest_permutation, "tree_shap": tree_shap}
    others = {"mutual_information": mutual_information, "f_test": f_test, "permutation_importance": permutation}
    call = {**trees, **others}.get(explainer.name)
    return None if call is None else lambda: call(explainer, problem)


def by_captum(explainer: Captum, problem: Problem) -> Tensor:
    """``Method(model).attribute(inputs, baselines, target, ...)`` on all rows."""
    import captum.attr

    X, model = problem.X_valid, problem.fitted
    if problem.feature_shape is not None:
        X, model = X.reshape(-1, *problem.feature_shape), nn.Sequential(nn.Flatten(), model)
    method = getattr(captum.attr, core_of(explainer.method))(model)
    if core_of(explainer.method) != explainer.method:
        method = captum.attr.NoiseTunnel(method)
    keywords = dict(explainer.arguments(X))
    if explainer.method in ("DeepLiftShap", "GradientShap"):
        keywords["baselines"] = problem.background(explainer.background)
    elif explainer.method in ("IntegratedGradients", "DeepLift", "FeatureAblation", "Occlusion", "KernelShap", "Lime"):
        keywords["baselines"] = problem.X_train.mean(0, keepdim=True).reshape(1, *X.shape[1:])
    elif explainer.method == "ShapleyValueSampling":
        keywords["baselines"] = problem.X_train.mean(0, keepdim=True)
    rows = X.clone().requires_grad_(True)
    return method.attribute(rows, target=problem.y_valid, **keywords).detach().abs().mean(0)


def one_row_at_a_time(explainer: Captum, problem: Problem) -> Tensor:
    """The same in a loop over rows, as in many notebooks."""
    import captum.attr

    method = getattr(captum.attr, explainer.method)(problem.fitted)
    keywords = dict(explainer.arguments(problem.X_valid))
    if explainer.method == "IntegratedGradients":
        keywords["baselines"] = problem.X_train.mean(0, keepdim=True)
    found = [
        method.attribute(x[None].clone().requires_grad_(True), target=int(y), **keywords).detach()
        for x, y in zip(problem.X_valid, problem.y_valid, strict=True)
    ]
    return torch.cat(found).abs().mean(0)


def by_shap(explainer: Shap, problem: Problem) -> Any:
    """``Explainer(model, background)``, then ``shap_values`` or the call; the values of each row's own class."""
    import shap

    X, background, model = problem.X_valid, problem.background(explainer.background), problem.fitted
    rows, classes = np.arange(len(X)), problem.y_valid.numpy()

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.as_tensor(x, dtype=torch.float32)).numpy()

    if explainer.method == "DeepExplainer":
        values = shap.DeepExplainer(model, background).shap_values(X)
    elif explainer.method == "GradientExplainer":
        values = shap.GradientExplainer(model, background).shap_values(X, nsamples=explainer.samples)
    elif explainer.method == "KernelExplainer":
        samples = max(explainer.samples, 2 * problem.d)
        values = shap.KernelExplainer(predict, background.numpy()).shap_values(
            X.numpy(), nsamples=samples, l1_reg=False, silent=True
        )
    else:
        masker = shap.maskers.Independent(background.numpy(), max_samples=len(background))
        explain = shap.PermutationExplainer(predict, masker, seed=0)
        values = explain(X.numpy(), max_evals=explainer.samples * (2 * problem.d + 1), silent=True).values
    return np.abs(np.asarray(values)[rows, :, classes]).mean(0)


def arrays(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return tuple(x.numpy() for x in (problem.X_train, problem.y_train, problem.X_valid, problem.y_valid))  # type: ignore[return-value]


def forest(explainer: Any, problem: Problem) -> np.ndarray:
    """Fit, score on the validation rows, read the importances."""
    from sklearn.ensemble import RandomForestClassifier

    X, y, X_valid, y_valid = arrays(problem)
    fitted = RandomForestClassifier(n_estimators=explainer.trees, random_state=0).fit(X, y)
    fitted.score(X_valid, y_valid)
    return fitted.feature_importances_


def forest_permutation(explainer: Any, problem: Problem) -> np.ndarray:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.inspection import permutation_importance

    X, y, X_valid, y_valid = arrays(problem)
    fitted = RandomForestClassifier(n_estimators=explainer.trees, random_state=0).fit(X, y)
    return permutation_importance(fitted, X_valid, y_valid, n_repeats=explainer.repeats)["importances_mean"]


def tree_shap(explainer: Any, problem: Problem) -> np.ndarray:
    import shap
    from sklearn.ensemble import RandomForestClassifier

    X, y, X_valid, y_valid = arrays(problem)
    fitted = RandomForestClassifier(n_estimators=explainer.trees, random_state=0).fit(X, y)
    fitted.score(X_valid, y_valid)
    values = shap.TreeExplainer(fitted).shap_values(X_valid[: explainer.rows])
    return np.abs(np.asarray(values)[np.arange(len(X_valid)), :, y_valid]).mean(0)


def mutual_information(explainer: Any, problem: Problem) -> np.ndarray:
    from sklearn.feature_selection import mutual_info_classif

    X, y, _, _ = arrays(problem)
    rows = slice(0, explainer.rows)
    return mutual_info_classif(X[rows], y[rows], n_neighbors=explainer.neighbours, random_state=0)


def f_test(explainer: Any, problem: Problem) -> np.ndarray:
    from sklearn.feature_selection import f_classif

    X, y, _, _ = arrays(problem)
    return f_classif(X, y)[0]


def permutation(explainer: Any, problem: Problem) -> np.ndarray:
    """scikit-learn's permutation importance of a fitted network; the score is minus the mean loss."""
    from sklearn.inspection import permutation_importance

    class Fitted:
        def fit(self, X: np.ndarray, y: np.ndarray) -> None:
            raise NotImplementedError

        def score(self, X: np.ndarray, y: np.ndarray) -> float:
            with torch.no_grad():
                outputs = problem.fitted(torch.from_numpy(X))
            return -float(nn.functional.cross_entropy(outputs, torch.from_numpy(y)))

    _, _, X, y = arrays(problem)
    found = permutation_importance(Fitted(), X, y, n_repeats=explainer.repeats, random_state=0)
    return found["importances_mean"]
