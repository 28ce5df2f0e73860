"""SAGE: how much of the network's performance each input brings, as Shapley values of the loss."""

from __future__ import annotations

import importlib.util
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from xai_bench.explainers.base import Explainer, Needs, Problem, rows_at_once
from xai_bench.explainers.forests import seed_of


class Sage(Explainer):
    """SAGE values: mean fall of the loss when an input joins a random set of others (package sage-importance).

    Inputs that are not in the set have the values of ``background`` training rows, over which the network's outputs (in
    classification its probabilities) are averaged. An input joins ``orders`` random orders, each with a validation row.
    A negative value counts as 0. SAGE's own intervals are of its random orders, not of the data: it states no
    hypothesis and has no p-values. Source: Covert, Lundberg, Lee, NeurIPS 2020, arXiv 2004.00668. Cost: ``orders``
    times ``background`` times d rows through the network.
    """

    name: ClassVar[str] = "sage"
    needs: ClassVar[Needs] = "predict"

    orders: Annotated[int, Field(ge=2)] = 512
    background: Annotated[int, Field(ge=1)] = 64

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is None and importlib.util.find_spec("sage") is None:
            return "it needs the package sage-importance: run pip install 'xai-bench[guarantees]'"
        return reason

    def rows_explained(self, problem: Problem) -> int | None:
        return min(self.orders, len(problem.X_valid))

    def relevance(self, problem: Problem) -> NDArray:
        import sage

        at_once = max(1, rows_at_once(self.orders * self.background, problem.d, problem.memory) // self.background)
        imputer = sage.MarginalImputer(_Outputs(problem), problem.background(self.background).cpu().numpy())
        regression = problem.kind == "regression"
        estimator = sage.PermutationEstimator(
            imputer, "mse" if regression else "cross entropy", random_state=seed_of(problem)
        )
        size = min(self.orders, at_once)
        found = estimator(
            problem.X_valid.cpu().numpy(),
            problem.y_valid.cpu().numpy(),
            batch_size=size,
            detect_convergence=False,
            n_permutations=self.orders,
            bar=False,
        )
        return np.clip(found.values, 0, None)


class _Outputs:
    """Rows (n, d) to values (n, 1), or probabilities (n, classes)."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @torch.no_grad()
    def __call__(self, X: NDArray) -> NDArray:
        outputs = self.problem.fitted(torch.from_numpy(X).to(self.problem.X_train)).double()
        return (outputs if self.problem.kind == "regression" else outputs.softmax(1)).cpu().numpy()
