"""Tests that model the distribution of the inputs: knockoffs and the conditional randomisation test; by hidimstat."""

from __future__ import annotations

import importlib.util
import warnings
from abc import abstractmethod
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xai_bench.explainers.base import Join, Problem, Selection, Selector
from xai_bench.explainers.conditional import MISSING, Floats
from xai_bench.explainers.forests import seed_of
from xai_bench.explainers.promise import Promise, smallest_of_inputs


class _Linear(Selector):
    """What both share: the target as numbers, a Lasso whose strength cross-validation chooses, no constant inputs."""

    predicts: ClassVar[bool] = False
    joins: ClassVar[Join] = "max"

    strengths: Annotated[int, Field(ge=1)] = 20
    """On the Lasso's path."""
    folds: Annotated[int, Field(ge=2)] = 5

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is None and problem.n_outputs > 2:
            return f"it needs values or two classes, not {problem.n_outputs}: the target is taken as a number"
        if reason is None and (~problem.constant).sum() < 2:
            return "it needs two inputs that vary: one is predicted from the others"
        if reason is None and importlib.util.find_spec("hidimstat") is None:
            return MISSING
        return reason

    def select(self, problem: Problem) -> Selection:
        varying = ~problem.constant
        X = problem.X_train.double().cpu().numpy()[:, varying]
        y = problem.y_train.double().cpu().numpy()
        relevance, p_values = np.zeros(problem.d), np.ones(problem.d)
        if np.ptp(y) > 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a Lasso that stops early, and of covariances that are not definite
                relevance[varying], p_values[varying] = self._tested(X, y - y.mean(), problem)
        return Selection(relevance, p_values=self._of_inputs(p_values, problem))

    def _lasso(self, seed: int) -> Any:
        from sklearn.linear_model import LassoCV
        from sklearn.model_selection import KFold

        return LassoCV(alphas=self.strengths, cv=KFold(self.folds, shuffle=True, random_state=seed), random_state=seed)

    @abstractmethod
    def _tested(self, X: Floats, y: Floats, problem: Problem) -> tuple[Floats, Floats]:
        """Relevance and p-value (d,) of inputs that vary."""

    @abstractmethod
    def _of_inputs(self, p_values: Floats, problem: Problem) -> NDArray | None:
        """(n_inputs,) from those of the columns (d,)."""


class Knockoffs(_Linear):
    """Model-X knockoffs: is an input of more use than a copy of it that the target never saw?

    Copies are drawn so that they are to the other inputs as the originals are (second-order Gaussian, equal
    correlations, the covariance shrunk by Ledoit and Wolf); a Lasso gets both. The statistic is |coefficient| less that
    of the copy; the relevance is its positive part. What is selected at a level keeps the false discovery rate below
    it, where inputs are Gaussian: the "p-value" is the smallest such level (knockoff+). Below .05 nothing can be
    selected unless twenty inputs are: 1 / level are the least. Two classes are taken as numbers. Linear: what only acts
    together it cannot see. Inputs of several columns are ranked only. Source: Candès, Fan, Janson, Lv, J. R. Stat. Soc.
    B 80, 2018, arXiv 1610.02351.
    """

    name: ClassVar[str] = "knockoffs"
    promise: ClassVar[Promise | None] = Promise("conditional", "fdr")

    def _tested(self, X: Floats, y: Floats, problem: Problem) -> tuple[Floats, Floats]:
        from hidimstat import ModelXKnockoff

        seed = seed_of(problem)
        method = ModelXKnockoff(estimator=self._lasso(seed), preconfigure_lasso_path=False, random_state=seed)
        difference = method.fit_importance(X, y)[0]
        return difference.clip(0), knockoff_levels(difference)

    def _of_inputs(self, p_values: Floats, problem: Problem) -> NDArray | None:
        return None if problem.several else p_values[[columns[0] for columns in problem.partition]]


def knockoff_levels(difference: Floats) -> Floats:
    """(d,) the smallest level at which knockoff+ selects each input, at most 1; of the differences (d,) to the copies.

    At a level q it selects those of at least T, the smallest t among 0 and the sizes of the differences with (1 +
    #{difference <= -t}) / #{difference >= t} <= q.
    """
    steps = np.unique(np.append(0.0, np.abs(difference)))
    least = [(1 + (difference <= -t).sum()) / max(int((difference >= t).sum()), 1) for t in steps]
    so_far = np.minimum.accumulate(least)
    place = np.searchsorted(steps, difference, side="right") - 1
    return np.where(place >= 0, so_far[place], 1.0).clip(max=1.0)


class ConditionalRandomisation(_Linear):
    """Distilled conditional randomisation test (d0CRT): does an input tell of the target what the others do not?

    A Lasso predicts the target from the other inputs, another one the input from them; the statistic is the covariance
    of what is left over, in units of its standard deviation given that the input is Gaussian given the others. Its
    two-sided p-value is exact then, whatever the target is. Every input is tested, none is screened out. The relevance
    is the size of the statistic. Two classes are taken as numbers. Linear: what only acts together it cannot see. An
    input of several columns has the smallest of their p-values times their number. Sources: Candès et al. 2018,
    arXiv 1610.02351; Liu, Katsevich, Janson, Ramdas, Biometrika 109, 2022, arXiv 2006.03980. Cost: two Lassos an input.
    """

    name: ClassVar[str] = "conditional_randomisation"
    promise: ClassVar[Promise | None] = Promise("conditional")

    strengths: Annotated[int, Field(ge=1)] = 10
    """On the Lasso's path."""

    def _tested(self, X: Floats, y: Floats, problem: Problem) -> tuple[Floats, Floats]:
        from hidimstat import D0CRT

        seed = seed_of(problem)
        method = D0CRT(
            estimator=self._lasso(seed),
            lasso_screening=self._lasso(seed),
            model_distillation_x=self._lasso(seed),
            screening_threshold=100,
            random_state=seed,
        )
        statistic = method.fit_importance(X, y)
        return np.nan_to_num(np.abs(statistic)), np.nan_to_num(method.pvalues_, nan=1.0)

    def _of_inputs(self, p_values: Floats, problem: Problem) -> NDArray | None:
        return smallest_of_inputs(p_values, problem.partition)
