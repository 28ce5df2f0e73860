"""LassoNet: a network whose inputs leave one by one along a path of strengths."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xai_bench.explainers.base import Join, Problem, Selection, Selector, score_on_valid


class LassoNet(Selector):
    """The strength at which an input leaves a LassoNet (Lemhadri et al., JMLR 2021); package lassonet.

    A network with a linear skip connection; an input may act in it only while its skip weight is not 0, and the
    penalty on those grows along a path. The library's defaults; targets are standardised in regression, since the
    strengths are relative to the loss. ``valid_score`` is that of the point of the path with the lowest validation
    loss. Some 10,000 passes over the training rows: seconds to minutes.
    """

    name: ClassVar[str] = "lassonet"
    joins: ClassVar[Join] = "norm"

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (100,)
    M: Annotated[float, Field(gt=0)] = 10.0
    """Hierarchy: weights of an input in the network are at most M times its skip weight."""
    lambda_start: Annotated[float, Field(gt=0)] | None = None
    """The first strength; None: where inputs begin to leave, found by lassonet (some seconds)."""
    path_multiplier: Annotated[float, Field(gt=1)] = 1.02
    """From one strength to the next."""
    n_iters: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (1000, 100)
    """Passes over the training rows at the most: without penalty, and at every strength."""

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is None and importlib.util.find_spec("lassonet") is None:
            return "it needs the package lassonet: run pip install 'xai-bench[selectors]'"
        return reason

    def select(self, problem: Problem) -> Selection:
        from lassonet import LassoNetClassifier, LassoNetRegressor

        kind: Any = LassoNetClassifier if problem.kind == "classification" else LassoNetRegressor
        X, y = problem.X_train.cpu().numpy(), problem.y_train.cpu().numpy()
        X_valid, y_valid = problem.X_valid.cpu().numpy(), problem.y_valid.cpu().numpy()
        known = np.ones(len(y_valid), dtype=bool)
        if problem.kind == "classification":
            known = y_valid <= y.max()  # it counts the classes on the training rows
        watched = (X_valid[known], y_valid[known]) if known.any() else (X, y)
        mean, scale = 0.0, 1.0
        if problem.kind == "regression":  # strengths are relative to the loss
            mean, scale = float(y.mean()), float(y.std()) or 1.0
        scores: list[float] = []

        def score(fitted: Any, _path: list) -> None:
            scores.append(score_on_valid(problem, fitted.predict(X_valid).reshape(-1) * scale + mean))

        model = kind(
            hidden_dims=self.hidden,
            M=self.M,
            lambda_start="auto" if self.lambda_start is None else self.lambda_start,
            path_multiplier=self.path_multiplier,
            n_iters=self.n_iters,
            torch_seed=int(problem.generator.integers(2**31)),
            device=problem.device,
            verbose=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on the first strength, which it chooses itself
            path = model.path(
                X,
                y if problem.kind == "classification" else (y - mean) / scale,
                X_val=watched[0],
                y_val=watched[1] if problem.kind == "classification" else (watched[1] - mean) / scale,
                callback=score,
            )
        best = int(np.argmin([step.val_loss for step in path]))
        return Selection(leaving_strengths(path, self.path_multiplier), scores[best])


def leaving_strengths(path: list[Any], multiplier: float) -> NDArray[np.float64]:
    """(d,): the strength at which each input leaves for the first time; lassonet's ``feature_importances_``, finite.

    Inputs that the network without penalty does not use get 0 (lassonet: infinity), those that never leave the next
    strength of the path.
    """
    selected = np.stack([step.selected.numpy() for step in path])
    strengths = np.array([step.lambda_ for step in path])
    left = ~selected[1:]
    first = np.where(left.any(0), left.argmax(0) + 1, len(path))
    return np.where(selected[0], np.append(strengths, strengths[-1] * multiplier)[first], 0.0)
