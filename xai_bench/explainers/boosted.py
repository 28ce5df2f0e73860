"""Gradient-boosted trees of XGBoost (Chen and Guestrin, KDD 2016, arXiv 1603.02754): gain, and TreeSHAP.

They see no network. The package is xgboost; xgboost-cpu is the same without the libraries of graphics cards. It runs in
one thread. Of equally good splits xgboost takes that on the first column: the columns are shuffled by the seed.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xai_bench.explainers.base import (
    Problem,
    Relevance,
    Selection,
    Selector,
    rows_at_once,
    score_on_valid,
    summed_over_inputs,
)
from xai_bench.explainers.forests import seed_of
from xai_bench.explainers.optional import lacking


class Boosted(NamedTuple):
    """The booster, None where the training rows have one class; the column (d,) of the problem that each of its columns
    is; and the score on the validation rows."""

    booster: Any
    order: NDArray[np.intp]
    score: float


class XGBoost(Selector):
    """Boosted trees with the defaults of xgboost; its other parameters have the library's defaults too."""

    iterations: Annotated[int, Field(ge=1)] = 100
    """Rounds of boosting: one tree each, or one a class where there are more than two."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.3
    depth: Annotated[int, Field(ge=1)] = 6
    """Of a tree at the most."""

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or lacking("xgboost", "methods")

    def _fitted(self, problem: Problem) -> Boosted:
        import xgboost

        order, y = problem.generator.permutation(problem.d), problem.y_train.cpu().numpy()
        if problem.kind == "classification" and len(np.unique(y)) < 2:
            return Boosted(None, order, score_on_valid(problem, np.full(len(problem.y_valid), y[0])))
        parameters = {
            "eta": self.learning_rate,
            "max_depth": self.depth,
            "nthread": 1,
            "seed": seed_of(problem),
            "verbosity": 0,
            **objective(problem),
        }
        rows = xgboost.DMatrix(problem.X_train.cpu().numpy()[:, order], y, nthread=1)
        booster = xgboost.train(parameters, rows, self.iterations)
        predicted = booster.predict(xgboost.DMatrix(problem.X_valid.cpu().numpy()[:, order], nthread=1))
        if problem.kind == "classification":
            predicted = predicted.argmax(1) if predicted.ndim == 2 else predicted > 0.5
        return Boosted(booster, order, score_on_valid(problem, predicted))


def objective(problem: Problem) -> dict[str, Any]:
    """What xgboost minimises: squared error, or logistic loss of two or of more classes."""
    if problem.kind == "regression":
        return {"objective": "reg:squarederror"}
    if problem.n_outputs == 2:
        return {"objective": "binary:logistic"}
    return {"objective": "multi:softprob", "num_class": problem.n_outputs}


class XGBoostGain(XGBoost):
    """Gain of boosted trees: the fall of the loss by a split on the input; package xgboost, ``importance_type``.

    The mean over the splits on an input, as ``feature_importances_`` of xgboost has it, or their sum. An input on which
    no tree splits has 0. 1 to 2 CPU seconds for 800 rows of 64 inputs.
    """

    name: ClassVar[str] = "xgboost_gain"

    importance: Literal["gain", "total_gain"] = "gain"
    """``gain``: mean over the splits. ``total_gain``: their sum."""

    def select(self, problem: Problem) -> Selection:
        booster, order, score = self._fitted(problem)
        found = np.zeros(problem.d)
        if booster is not None:
            for column, value in booster.get_score(importance_type=self.importance).items():
                found[order[int(column.removeprefix("f"))]] = value
        return Selection(found, score)


class XGBoostShap(XGBoost):
    """TreeSHAP (Lundberg et al., arXiv 1905.04610) of boosted trees: mean |SHAP value| over validation rows.

    Worked out by xgboost itself, which has the authors' algorithm (``pred_contribs``), along the paths of the trees. Of
    the margin, or of the logit of the row's own class; the values of the columns of one input are added in each row.
    The trees are set-up. Cost: rows x trees x leaves x depth^2.
    """

    name: ClassVar[str] = "xgboost_shap"

    rows: Annotated[int, Field(ge=1)] = 256
    """Validation rows that are explained (drawn without replacement; all if there are fewer)."""

    def rows_explained(self, problem: Problem) -> int | None:
        return min(self.rows, len(problem.X_valid))

    def select(self, problem: Problem) -> Selection:
        fitted = self._fitted(problem)
        found = self._values(fitted, problem)
        return Selection(found.columns, fitted.score, found.inputs)

    def relevance(self, problem: Problem) -> NDArray:
        return self.relevances(problem).columns

    def relevances(self, problem: Problem) -> Relevance:
        with problem.clock.setting_up():
            fitted = self._fitted(problem)
        return self._values(fitted, problem)

    def _values(self, fitted: Boosted, problem: Problem) -> Relevance:
        import xgboost

        n, total = len(problem.X_valid), np.zeros(problem.d)
        over_inputs = np.zeros(len(problem.partition)) if problem.several else total
        if fitted.booster is None:
            return Relevance(total, over_inputs)
        rows = np.sort(problem.generator.permutation(n)[: self.rows])
        X, y = problem.X_valid.cpu().numpy()[rows], problem.y_valid.cpu().numpy()[rows]
        chunk = rows_at_once(len(X), problem.d * problem.n_outputs, problem.memory)
        for start in range(0, len(X), chunk):
            part = slice(start, start + chunk)
            some = xgboost.DMatrix(X[part][:, fitted.order], nthread=1)
            values = fitted.booster.predict(some, pred_contribs=True)[..., np.argsort(fitted.order)]
            if values.ndim == 3:
                values = np.take_along_axis(values, y[part, None, None], 1)[:, 0]
            total += np.abs(values, dtype=np.float64).sum(0)
            if problem.several:
                over_inputs += np.abs(summed_over_inputs(values, problem.partition)).sum(0)
        return Relevance(total / len(X), over_inputs / len(X))
