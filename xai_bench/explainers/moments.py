"""Evidence from moments of the data, and a spectral network that starts from it. Ours, not the paper's."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xai_bench.explainers.base import Explainer, Join, Needs, Problem, Selection, Selector
from xai_bench.models.moments.basis import FUNCTIONS
from xai_bench.models.moments.rounds import ROWS, TESTED, Found, find

LEAST_ROWS = 20
LEAST = 1e-6
"""Relevance of what the network does not tell apart, relative to the largest: the order of the evidence."""
BYTES = 4 * FUNCTIONS
"""Of the functions of one value of an input."""


def rows_of(problem: Problem) -> tuple[NDArray, NDArray]:
    """Training and validation rows (n, d), and their targets (n,)."""
    X = np.concatenate([problem.X_train.cpu().numpy(), problem.X_valid.cpu().numpy()])
    return X, np.concatenate([problem.y_train.cpu().numpy(), problem.y_valid.cpu().numpy()])


def found(problem: Problem) -> Found:
    """The evidence of the training and validation rows."""
    X, y = rows_of(problem)
    return find(X, y, problem.n_outputs if problem.kind == "classification" else None)


def too_much(problem: Problem) -> str | None:
    """Why the rounds cannot be done, or None."""
    n = len(problem.X_train) + len(problem.X_valid)
    if n < LEAST_ROWS:
        return f"it needs {LEAST_ROWS} rows, and there are {n}"
    needed = BYTES * min(n, ROWS) * problem.d
    if problem.memory is not None and 2 * needed > problem.memory:
        return f"its functions of {problem.d} inputs take {needed / 2**20:.0f} MiB, more than half of the limit"
    return None


class Moments(Selector):
    """Evidence without a network: chi-square tests of moments, alone and in pairs, in rounds; see ``models.moments``.

    Eight functions of each input are correlated with what is left of the target, and so are all products of functions
    of two inputs. What passes is fitted, and the rest asked again. It sees dependence on one or two inputs of any shape
    that eight (pairs: six) functions show, and on further ones once the others are known; not a parity of three. All
    training and validation rows are used, up to 4000. The relevance is log(1 + exp(evidence)).
    """

    name: ClassVar[str] = "moments"
    joins: ClassVar[Join] = "max"
    predicts: ClassVar[bool] = False

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or too_much(problem)

    def select(self, problem: Problem) -> Selection:
        return Selection(np.logaddexp(0, found(problem).evidence))


class SpectralMoments(Explainer):
    """|lambda_j| ||phi_:j|| of spectral networks whose eigenvalues start from the evidence of ``moments``.

    Ours, one step beyond arXiv 2406.01183, whose eigenvalues start at 1. Candidates are the active inputs, then those
    with the most evidence: eight more than have passed a round, 24 at the least and 80 at the most. lambda_j starts at
    the logistic function of the evidence, no less than .05, and is pruned by an L1 penalty while five folds times three
    networks train. The relevance is the mean over the networks. What they leave at 0, and other inputs, follow in the
    same order, with a millionth of the largest relevance at the most. What passed and is not active, since others
    explain it, is ordered by the evidence that it passed with, and starts at .5.
    """

    name: ClassVar[str] = "spectral_moments"
    version: ClassVar[int] = 2
    needs: ClassVar[Needs] = "data"
    joins: ClassVar[Join] = "norm"

    further: Annotated[int, Field(ge=0)] = 8
    """Candidates beside the inputs that passed a test."""
    candidates: Annotated[int, Field(ge=1)] = 24
    """At the least."""
    steps: Annotated[int, Field(ge=1)] = 800
    """Gradient steps of each network."""

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or too_much(problem)

    def relevance(self, problem: Problem) -> NDArray:
        with problem.clock.setting_up():
            return self.trained(problem)[0]

    def chosen(self, known: Found) -> NDArray[np.intp]:
        """The candidates, in ascending order."""
        count = min(int(np.isfinite(known.passed).sum()) + self.further, TESTED)
        other = ~np.isin(np.arange(len(known.evidence)), known.active)
        return np.sort(np.lexsort((-known.ordered, other))[: max(count, self.candidates)])

    def trained(self, problem: Problem) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The relevance (d,), and outputs (n, n_outputs) for training and validation rows of networks without them."""
        from xai_bench.models.moments.ensemble import train

        known = found(problem)
        chosen = self.chosen(known)
        X, y = rows_of(problem)
        mean, scale = 0.0, 1.0
        if problem.kind == "regression":
            mean, scale = float(y.mean(dtype=np.float64)), float(y.std(dtype=np.float64)) or 1.0
        start, seed = known.starting[chosen], int(problem.generator.integers(2**31))
        ensemble = train(X[:, chosen], (y - mean) / scale, problem.kind, problem.n_outputs, start, seed, self.steps)
        behind = np.logaddexp(0, known.ordered)
        behind[list(known.active)] += behind.max()
        relevance = LEAST * (ensemble.relevance.max() or 1.0) * behind / behind.max()
        relevance[chosen] += ensemble.relevance
        return relevance, np.asarray(ensemble.held_out * scale + mean, np.float64)
