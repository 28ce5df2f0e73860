"""What the loss of predictions rises by without an input that the others may stand in for; with a test of it."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from xai_bench.explainers.base import (
    Explainer,
    Needs,
    Problem,
    Relevance,
    Selection,
    Selector,
    rows_at_once,
    score_on_valid,
)
from xai_bench.explainers.forests import seed_of
from xai_bench.explainers.promise import Promise

Floats = NDArray[np.float64]
MISSING = "it needs the package hidimstat: run pip install 'xai-bench[guarantees]'"


class ConditionalPermutation(Explainer):
    """Rise of the loss when an input is replaced by a draw given the others: conditional permutation importance.

    The input is predicted from the others by ridge regression on the training rows, and what is left over is shuffled
    over the validation rows: what the others tell of it stays. Of an input with few values, or one that depends on the
    others in another way, that is an approximation. Drawn by hidimstat. The p-value is that of the one-sided t
    test that the mean over rows of a row's rise is at most 0, as in the paper. (hidimstat 0.4 tests over permutations
    of the same rows instead: with more of them any rise is significant.) The network keeps what it was trained on, so
    the test is of the input's use for this network. Source: Chamma, Engemann, Thirion, NeurIPS 2023, arXiv 2309.07593.
    Cost: one ridge regression an input, and ``permutations`` times rows times inputs through the network.
    """

    name: ClassVar[str] = "conditional_permutation"
    needs: ClassVar[Needs] = "predict"
    promise: ClassVar[Promise | None] = Promise("conditional")

    rows: Annotated[int, Field(ge=2)] = 1000
    """Validation rows at the most."""
    permutations: Annotated[int, Field(ge=1)] = 50

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is None and importlib.util.find_spec("hidimstat") is None:
            return MISSING
        if reason is None and (~problem.constant).sum() < 2:
            return "it needs two inputs that vary: one is predicted from the others"
        return reason

    def rows_explained(self, problem: Problem) -> int | None:
        return min(self.rows, len(problem.X_valid))

    def relevance(self, problem: Problem) -> NDArray:
        return self._rises(problem, [(column,) for column in range(problem.d)]).mean(1).clip(0)

    def relevances(self, problem: Problem) -> Relevance:
        d, several = problem.d, problem.several
        rises = self._rises(problem, [*((column,) for column in range(d)), *several])
        joint = dict(zip(several, rises[d:], strict=True))
        of_inputs = np.stack([joint.get(columns, rises[columns[0]]) for columns in problem.partition])
        return Relevance(rises[:d].mean(1).clip(0), of_inputs.mean(1).clip(0), p_values_of_rises(of_inputs))

    @torch.no_grad()
    def _rises(self, problem: Problem, parts: Sequence[Sequence[int]]) -> Floats:
        """(parts, rows): mean rise of a row's loss when the columns of a part are drawn anew together."""
        from hidimstat.samplers import ConditionalSampler
        from sklearn.linear_model import RidgeCV

        chosen = np.sort(problem.generator.permutation(len(problem.X_valid))[: self.rows])
        X_train, X = problem.X_train.double().cpu().numpy(), problem.X_valid.double().cpu().numpy()[chosen]
        y, constant = problem.y_valid.cpu().numpy()[chosen], problem.constant
        before = loss_of_rows(y, _outputs(problem, X))
        rises = np.zeros((len(parts), len(y)))
        # As hidimstat's CFI spawns them, so that the numbers are its own.
        for rise, part, rng in zip(
            rises, parts, np.random.default_rng(seed_of(problem)).spawn(len(parts)), strict=True
        ):
            columns = [column for column in part if not constant[column]]
            if not columns:
                continue
            sampler = ConditionalSampler(model_regression=RidgeCV(), data_type="continuous")
            rest = np.setdiff1d(np.arange(problem.d), columns)
            sampler.fit(X_train[:, rest], X_train[:, columns])
            drawn = sampler.sample(X[:, rest], X[:, columns], n_samples=self.permutations, random_state=rng)
            for values in drawn:
                changed = X.copy()
                changed[:, columns] = values
                rise += (loss_of_rows(y, _outputs(problem, changed)) - before) / len(drawn)
        return rises


def _outputs(problem: Problem, X: Floats) -> Floats:
    """What the network says of rows (n, d): values (n,), or logits (n, classes)."""
    size = rows_at_once(len(X), problem.d, problem.memory)
    parts = [problem.fitted(torch.from_numpy(X[i : i + size]).to(problem.X_train)) for i in range(0, len(X), size)]
    outputs = torch.cat(parts).double().cpu().numpy()
    return outputs[:, 0] if problem.kind == "regression" else outputs


def loss_of_rows(y: NDArray, outputs: Floats) -> Floats:
    """(n,): squared error of values (n,), or cross-entropy in nats of logits (n, classes)."""
    if outputs.ndim == 1:
        return (y - outputs) ** 2
    largest = outputs.max(1)
    total = largest + np.log(np.exp(outputs - largest[:, None]).sum(1))
    return total - outputs[np.arange(len(y)), y]


def p_values_of_rises(rises: Floats) -> Floats:
    """(k,): one-sided t test that the mean of each row of ``rises`` (k, n) is at most 0.

    1 where there is a single value; where all values are equal 0 if they are above 0, else 1.
    """
    from scipy.special import stdtr

    n, mean = rises.shape[1], rises.mean(1)
    if n < 2:
        return np.ones(len(rises))
    error = rises.std(1, ddof=1) / math.sqrt(n)
    level = np.divide(mean, error, out=np.where(mean > 0, np.inf, -np.inf), where=error > 0)
    return stdtr(n - 1, -level)


class LeaveOneOut(Selector):
    """LOCO: rise of the loss on validation rows when a model of its own is fitted again without the input.

    The model is scikit-learn's histogram gradient boosting, fitted once with all inputs and once without each; the
    p-value is that of the one-sided t test that the mean rise over rows is at most 0. A network cannot be had again
    without an input by a method that sees it as it is, so this one has a model of its own. (hidimstat 0.4 gives the
    same rises; its p-values test the residuals without the input, not the rises.) An input that the others replace
    rises nothing. Source: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, J. Am. Stat. Assoc. 113, 2018, arXiv 1604.04173.
    Cost: d + 1 models.
    """

    name: ClassVar[str] = "leave_one_out"
    promise: ClassVar[Promise | None] = Promise("conditional")

    iterations: Annotated[int, Field(ge=1)] = 100
    learning_rate: Annotated[float, Field(gt=0)] = 0.1

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        return "it needs two inputs: one is left out" if reason is None and problem.d < 2 else reason

    def rows_explained(self, problem: Problem) -> int | None:
        return len(problem.X_valid)

    def select(self, problem: Problem) -> Selection:
        X, X_valid = problem.X_train.cpu().numpy(), problem.X_valid.cpu().numpy()
        y, y_valid = problem.y_train.cpu().numpy(), problem.y_valid.cpu().numpy()
        seed, d, constant = seed_of(problem), problem.d, problem.constant

        def fitted(without: Sequence[int]) -> tuple[Floats, Floats]:
            """Losses (n_valid,) and predictions (n_valid,)."""
            kept = np.setdiff1d(np.arange(d), without)
            parts = [part[:, kept] if len(kept) else np.zeros((len(part), 1)) for part in (X, X_valid)]
            return _boosted(parts[0], y, parts[1], y_valid, problem.kind == "regression", self._model(problem, seed))

        with_all, predicted = fitted(())
        single = np.stack([with_all if constant[j] else fitted((j,))[0] for j in range(d)]) - with_all
        joint = {columns: fitted(columns)[0] - with_all for columns in problem.several}
        rises = np.stack([joint.get(columns, single[columns[0]]) for columns in problem.partition])
        return Selection(
            single.mean(1).clip(0),
            score_on_valid(problem, predicted),
            over_inputs=rises.mean(1).clip(0),
            p_values=p_values_of_rises(rises),
        )

    def _model(self, problem: Problem, seed: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        kind: Any = HistGradientBoostingRegressor if problem.kind == "regression" else HistGradientBoostingClassifier
        return kind(max_iter=self.iterations, learning_rate=self.learning_rate, early_stopping=False, random_state=seed)


def _boosted(
    X: NDArray, y: NDArray, X_valid: NDArray, y_valid: NDArray, regression: bool, model: Any
) -> tuple[Floats, Floats]:
    """Losses and predictions (n_valid,) each; a class that is not among the training rows has probability 1e-12."""
    if regression:
        predicted = model.fit(X, y).predict(X_valid)
        return loss_of_rows(y_valid.astype(np.float64), predicted.astype(np.float64)), predicted
    classes = np.unique(y)
    chances = np.full((len(y_valid), max(int(y.max()), int(y_valid.max())) + 1), 1e-12)
    if len(classes) < 2:
        chances[:, classes] = 1.0
    else:
        chances[:, classes] = model.fit(X, y).predict_proba(X_valid).clip(1e-12)
    return -np.log(chances[np.arange(len(y_valid)), y_valid]), chances.argmax(1)
