"""The average gradient outer product, of a network and of a kernel machine that is built on it.

Radhakrishnan, Beaglehole, Pandit and Belkin, Science 2024, arXiv 2212.13881. Of a function f from R^d to R^c it is the
matrix M = 1/n sum_i J(x_i)' J(x_i), with the Jacobian J (c, d) at the training rows; M_jj says how much f moves with
x_j.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from xai_bench.explainers.base import Explainer, Needs, Problem, Selection, Selector, rows_at_once, score_on_valid
from xai_bench.models.folding import fold_spectral

BATCH = 1024
FULL = 64
"""Bytes for every pair of rows: eight matrices of them."""


class AGOP(Explainer):
    """The diagonal of the average gradient outer product (arXiv 2212.13881) of the network's outputs.

    M_jj = 1/n sum_i sum_k (df_k / dx_j)^2 over training rows and all outputs, the logits in classification. Where
    ``saliency`` looks at the output of each row's own class, this looks at all of them. An input of several columns has
    the trace of its block. It costs one backward pass an output.
    """

    name: ClassVar[str] = "agop"
    needs: ClassVar[Needs] = "gradient"

    rows: Annotated[int, Field(ge=1)] = 1024
    """Training rows (drawn without replacement; all if there are fewer)."""

    def rows_explained(self, problem: Problem) -> int | None:
        return min(self.rows, len(problem.X_train))

    def relevance(self, problem: Problem) -> NDArray:
        model = fold_spectral(problem.fitted).requires_grad_(False)
        X = problem.background(self.rows)
        total = torch.zeros(problem.d, dtype=torch.float64, device=X.device)
        for part in X.split(rows_at_once(BATCH, problem.d, problem.memory)):
            rows = part.clone().requires_grad_(True)
            with torch.enable_grad():
                sums = model(rows).sum(0)
                for k in range(len(sums)):
                    (slopes,) = torch.autograd.grad(sums[k], rows, retain_graph=k + 1 < len(sums))
                    total += slopes.double().square().sum(0)
        return (total / len(X)).cpu().numpy()


class RecursiveFeatureMachine(Selector):
    """The diagonal of M of a recursive feature machine (arXiv 2212.13881): a kernel that learns which inputs matter.

    In every round kernel ridge regression with K(x, z) = exp(-||x - z||_M / L), ||v||_M^2 = v' M v, is solved on the
    training rows, and M becomes the average gradient outer product of the solution; M starts as the identity. Classes
    are one-hot targets, values are standardised. L and the ridge are those of the authors' code. The cost grows as
    rows^3 and d^2; .3 CPU seconds for 800 rows of 64 inputs.
    """

    name: ClassVar[str] = "recursive_feature_machine"

    rounds: Annotated[int, Field(ge=1)] = 5
    bandwidth: Annotated[float, Field(gt=0)] = 10.0
    """L."""
    ridge: Annotated[float, Field(gt=0)] = 1e-3
    """Added to the diagonal of K."""
    rows: Annotated[int, Field(ge=2)] = 2000
    """Training rows at the most; fewer where the memory is little."""
    max_inputs: Annotated[int, Field(ge=1)] | None = 2000

    def select(self, problem: Problem) -> Selection:
        X, y = problem.X_train.double().cpu().numpy(), problem.y_train.cpu().numpy()
        limit = self.rows if problem.memory is None else min(self.rows, max(2, math.isqrt(problem.memory // FULL)))
        chosen = np.sort(problem.generator.permutation(len(X))[:limit])
        X, y = X[chosen], y[chosen]
        mean, scale = 0.0, 1.0
        if problem.kind == "classification":
            targets = np.eye(problem.n_outputs)[y]
        else:
            mean, scale = float(y.mean(dtype=np.float64)), float(y.std(dtype=np.float64)) or 1.0
            targets = ((y - mean) / scale)[:, None]
        M = np.eye(problem.d)
        for _ in range(self.rounds):
            M = outer_product(X, self._weights(X, M, targets), M, self.bandwidth)
        kernel = np.exp(-distances(problem.X_valid.double().cpu().numpy(), X, M) / self.bandwidth)
        outputs = kernel @ self._weights(X, M, targets)
        predicted = outputs.argmax(1) if problem.kind == "classification" else outputs[:, 0] * scale + mean
        return Selection(np.diag(M).clip(0), score_on_valid(problem, predicted))

    def _weights(self, X: NDArray, M: NDArray, targets: NDArray) -> NDArray[np.float64]:
        """(n, c) weights of the training rows in the solution."""
        kernel = np.exp(-distances(X, X, M) / self.bandwidth)
        kernel[np.diag_indices_from(kernel)] += self.ridge
        return np.linalg.solve(kernel, targets)


def distances(X: NDArray, Z: NDArray, M: NDArray) -> NDArray[np.float64]:
    """(n, m) lengths ||x - z||_M of differences of rows; those of equal rows are 0."""
    along = Z @ M
    squares = np.einsum("ij,jk,ik->i", X, M, X, optimize=True)[:, None] + (along * Z).sum(1) - 2 * X @ along.T
    return np.sqrt(np.where(squares > 1e-10 * squares.max(initial=0), squares, 0.0))


def outer_product(X: NDArray, weights: NDArray, M: NDArray, bandwidth: float) -> NDArray[np.float64]:
    """(d, d) average gradient outer product at the rows X (n, d) of f(x) = sum_i weights_i K(x, x_i).

    The gradient at x is -1/L sum_i weights_i K(x, x_i) M (x - x_i) / ||x - x_i||_M; a row has none with itself.
    """
    lengths = distances(X, X, M)
    slopes = np.divide(np.exp(-lengths / bandwidth), lengths, out=np.zeros_like(lengths), where=lengths > 0)
    along, found = X @ M, np.zeros_like(M)
    for weight in weights.T:
        shares = slopes * weight
        gradients = (shares.sum(1)[:, None] * along - shares @ along) / bandwidth
        found += gradients.T @ gradients
    return found / len(X)
