"""Selectors that fit their own sparse network: the inputs on which it relies, exactly 0 for all others."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from xai_bench.datasets.base import Dataset
from xai_bench.explainers.base import Explainer, Join, Needs, Problem
from xai_bench.explainers.selectors import PermutationImportance
from xai_bench.models.path import Count, Diverged, Form, Rows, SparseSettings, tuned
from xai_bench.models.sparse import SparsePath, sparse_path

WINDOW = SparseSettings().window
SHRUNK = (1.0, 0.1, 0.01, 0.001)
"""Shares of the step that are tried one after the other where the path diverges."""
LEAST = float(np.finfo(np.float32).tiny)
"""Relevance of a chosen input whose shuffling does not raise the loss: above all that are not chosen."""


class SpectralPath(Explainer):
    """What the inputs that a path of L1 strengths on lambda chooses are worth to a spectral network.

    The strength is chosen on training and validation rows, see ``models.sparse``; the network is refitted on the
    chosen inputs without penalty. Their relevance is its permutation importance, the rise of its loss on validation
    rows (``selectors.PermutationImportance``): without a penalty its |lambda_j| ||phi_:j|| stay near their initial
    values and rank nothing. All other inputs have relevance 0, all of them where nothing can be predicted. The path is
    its set-up. The fields are some of ``models.path.SparseSettings``; the others have its defaults.
    """

    name: ClassVar[str] = "spectral_path"
    version: ClassVar[int] = 2
    needs: ClassVar[Needs] = "data"
    joins: ClassVar[Join] = "norm"
    form: ClassVar[Form] = "spectral"

    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (64, 32)
    levels: Count = 16
    first_steps: Count = 600
    level_steps: Count = 200
    refit_steps: Count = 1000
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Accuracy, or R2, that is given up for fewer inputs."""

    def settings(self) -> SparseSettings:
        """Those of the path."""
        return tuned(
            self.form,
            hidden=self.hidden,
            levels=self.levels,
            first_steps=self.first_steps,
            level_steps=self.level_steps,
            window=min(WINDOW, self.first_steps, self.level_steps),
            refit_steps=self.refit_steps,
            tolerance=self.tolerance,
            agreed_by="votes",
        )

    def unsupported(self, problem: Problem) -> str | None:
        needed = 2 * self.settings().folds
        if (n := len(problem.X_train) + len(problem.X_valid)) < needed:
            return f"it needs {needed} rows for its folds, and there are {n}"
        return super().unsupported(problem)

    def relevance(self, problem: Problem) -> NDArray:
        with problem.clock.setting_up():
            train, valid = len(problem.X_train), len(problem.X_valid)
            X = np.concatenate([problem.X_train.cpu().numpy(), problem.X_valid.cpu().numpy()])
            y = np.concatenate([problem.y_train.cpu().numpy(), problem.y_valid.cpu().numpy()])
            rows = Rows(X, y, problem.kind, problem.n_outputs, np.ones(train + valid))
            data, _ = rows.split(np.arange(train), np.arange(train, train + valid))
            path = _followed(data, self.settings(), int(problem.generator.integers(2**31)))
        result = np.zeros(problem.d)
        if path.support.any() and path.model is not None:
            kept = torch.from_numpy(path.support)
            reduced = replace(
                problem,
                model=path.model.module.to(problem.device),
                X_train=problem.X_train[:, kept],
                X_valid=problem.X_valid[:, kept],
                feature_shape=None,
                inputs=(),
            )
            rise = PermutationImportance(rows=len(problem.X_valid)).relevance(reduced)
            result[path.support] = np.maximum(rise, LEAST)
        return result


def _followed(data: Dataset, settings: SparseSettings, seed: int) -> SparsePath:
    """The path; where its steps diverge (a plain layer with thousands of like inputs), again with a tenth of them.

    Raises
    ------
    Diverged
        If steps of a thousandth still do.
    """
    for shrunk in SHRUNK:
        smaller = settings.model_copy(update={"proximal_rate": settings.proximal_rate * shrunk})
        try:
            return sparse_path(data, smaller, seed)
        except Diverged:
            if shrunk == SHRUNK[-1]:
                raise
    raise AssertionError("no steps were tried")


class GroupLassoPath(SpectralPath):
    """What the inputs that a path of group lasso strengths on the columns chooses are worth to a plain network.

    What ``spectral_path`` is without the spectral form: the same path, folds, refits and choice (Yuan and Lin 2006).
    """

    name: ClassVar[str] = "group_lasso_path"
    form: ClassVar[Form] = "group_lasso"
