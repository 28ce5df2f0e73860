"""Methods that look at predictions or at the data only."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from xai_bench.explainers.base import Explainer, Kind, Needs, Problem, Selection, Selector

BATCH = 8192


class PermutationImportance(Explainer):
    """Rise of the mean loss when one input is shuffled over rows (Breiman 2001; Fisher et al., arXiv 1801.01489).

    Computed by scikit-learn on validation rows; a fall counts as 0.
    """

    name: ClassVar[str] = "permutation_importance"
    needs: ClassVar[Needs] = "predict"

    rows: Annotated[int, Field(ge=1)] = 1000
    """Validation rows at the most."""
    repeats: Annotated[int, Field(ge=1)] = 5

    def relevance(self, problem: Problem) -> NDArray:
        from sklearn.inspection import permutation_importance

        n = len(problem.X_valid)
        rows = np.sort(problem.generator.permutation(n)[: self.rows])
        found = permutation_importance(
            _Fitted(problem.fitted, problem.kind, problem.device),
            problem.X_valid.cpu().numpy()[rows],
            problem.y_valid.cpu().numpy()[rows],
            n_repeats=self.repeats,
            random_state=int(problem.generator.integers(2**31)),
        )
        return np.clip(found["importances_mean"], 0, None)


class _Fitted:
    """A fitted network as scikit-learn wants it: ``score`` is minus the mean loss."""

    def __init__(self, model: nn.Module, kind: Kind, device: torch.device) -> None:
        self.model, self.kind, self.device = model, kind, device

    def fit(self, X: NDArray, y: NDArray) -> None:
        raise NotImplementedError("the network is fitted already")

    def score(self, X: NDArray, y: NDArray) -> float:
        with torch.no_grad():
            parts = torch.as_tensor(X, device=self.device).split(BATCH)
            outputs = torch.cat([self.model(part) for part in parts]).double()
        target = torch.as_tensor(y, device=self.device)
        if self.kind == "classification":
            return -float(nn.functional.cross_entropy(outputs, target))
        return -float((outputs[:, 0] - target).square().mean())


class MutualInformation(Selector):
    """Mutual information of each input alone with the target, in nats (Kraskov et al. 2004; Ross 2014).

    Estimated by scikit-learn from nearest neighbours. It looks at the data, not at a model, and at one input at a
    time: what only acts together it cannot see. The estimate is its set-up.
    """

    name: ClassVar[str] = "mutual_information"

    rows: Annotated[int, Field(ge=10)] = 2000
    """Training rows at the most."""
    neighbours: Annotated[int, Field(ge=1)] = 3

    def select(self, problem: Problem) -> Selection:
        from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

        estimate: Any = mutual_info_classif if problem.kind == "classification" else mutual_info_regression
        n = len(problem.X_train)
        rows = np.sort(problem.generator.permutation(n)[: self.rows])
        X, y = problem.X_train.cpu().numpy()[rows], problem.y_train.cpu().numpy()[rows]
        seed = int(problem.generator.integers(2**31))
        found = estimate(X, y, n_neighbors=self.neighbours, random_state=seed)
        return Selection(np.asarray(found, dtype=np.float64))
