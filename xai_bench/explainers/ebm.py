"""Explainable boosting machines: additive models of single inputs and of a few pairs of them."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from xai_bench.explainers.base import Problem, Selection, Selector, score_on_valid
from xai_bench.explainers.forests import arrays, seed_of
from xai_bench.explainers.optional import lacking


class EBM(Selector):
    """Mean |contribution| of an input to an explainable boosting machine (Nori et al., arXiv 1909.09223).

    Package interpret (``interpret-core``), ``term_importances``: the mean over training rows of what a term adds to the
    output. A pair counts half for each of its inputs. The bags, pairs and rounds are those that interpret had as
    defaults in its version 0.4 (now 14, three pairs an input, and 50,000); its other parameters have today's defaults.
    The dearest of the selectors: 40 CPU seconds for 800 rows of 64 inputs, 7 without pairs.
    """

    name: ClassVar[str] = "ebm"

    bags: Annotated[int, Field(ge=1)] = 8
    """Models of parts of the training rows, whose mean it is; the other rows stop each."""
    interactions: Annotated[int, Field(ge=0)] = 10
    """Pairs of inputs, those that interpret finds strongest (FAST)."""
    max_rounds: Annotated[int, Field(ge=1)] = 5000
    """Of boosting, at the most."""
    max_inputs: Annotated[int, Field(ge=1)] | None = 256

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or lacking("interpret", "methods")

    def select(self, problem: Problem) -> Selection:
        from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

        X, y = arrays(problem)
        if problem.kind == "classification" and len(np.unique(y)) < 2:
            return Selection(np.zeros(problem.d), score_on_valid(problem, np.full(len(problem.y_valid), y[0])))
        kind: Any = ExplainableBoostingClassifier if problem.kind == "classification" else ExplainableBoostingRegressor
        model = kind(
            feature_types=["continuous"] * problem.d,
            outer_bags=self.bags,
            interactions=min(self.interactions, problem.d * (problem.d - 1) // 2),
            max_rounds=self.max_rounds,
            n_jobs=1,
            random_state=seed_of(problem),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on few rows, and on what several classes lack
            model.fit(X, y)
        found = np.zeros(problem.d)
        for columns, value in zip(model.term_features_, model.term_importances(), strict=True):
            found[list(columns)] += value / len(columns)
        return Selection(found, score_on_valid(problem, model.predict(problem.X_valid.cpu().numpy())))
