"""Methods that look at predictions or at the data only; those with forests are in ``forests``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from xai_bench.explainers.base import (
    Explainer,
    Join,
    Needs,
    Problem,
    Relevance,
    Selection,
    Selector,
    rows_at_once,
    score_on_valid,
)
from xai_bench.explainers.promise import Promise, smallest_of_inputs
from xai_bench.models.folding import first_and_rest, fold_spectral
from xai_bench.models.training import loss


class PermutationImportance(Explainer):
    """Rise of the mean loss when one input is shuffled over rows (Breiman 2001; Fisher et al., arXiv 1801.01489).

    On validation rows; a fall counts as 0. All inputs are shuffled alike, as by scikit-learn, whose values these are.
    In a network that begins with a dense layer a shuffled input is a difference to the outputs of that layer only.
    The columns of an input are shuffled together.
    """

    name: ClassVar[str] = "permutation_importance"
    version: ClassVar[int] = 2
    needs: ClassVar[Needs] = "predict"

    rows: Annotated[int, Field(ge=1)] = 256
    """Validation rows at the most."""
    repeats: Annotated[int, Field(ge=1)] = 5

    def rows_explained(self, problem: Problem) -> int | None:
        return min(self.rows, len(problem.X_valid))

    def relevance(self, problem: Problem) -> NDArray:
        return self._rises(problem, [[column] for column in range(problem.d)])

    def relevances(self, problem: Problem) -> Relevance:
        d, several = problem.d, problem.several
        rises = self._rises(problem, [*([column] for column in range(d)), *several])
        joint = dict(zip(several, rises[d:], strict=True))
        over_inputs = [joint[columns] if columns in joint else rises[columns[0]] for columns in problem.partition]
        return Relevance(rises[:d], np.array(over_inputs))

    @torch.no_grad()
    def _rises(self, problem: Problem, parts: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """(parts,): rise of the loss when the columns of a part are shuffled together."""
        n, d = len(problem.X_valid), problem.d
        rows = torch.from_numpy(np.sort(problem.generator.permutation(n)[: self.rows])).to(problem.device)
        X, y = problem.X_valid[rows], problem.y_valid[rows]
        orders = torch.from_numpy(self._orders(len(X), int(problem.generator.integers(2**31)))).to(problem.device)
        at_once = max(1, rows_at_once(self.repeats * len(X), d, problem.memory) // len(X))
        network = _ColumnsChanged(problem.fitted, X)
        before, losses = loss(network.unchanged()[None].double(), y[None], problem.kind), np.zeros(len(parts))
        varying = set(X.ne(X[0]).any(0).nonzero()[:, 0].tolist())
        for number, part in enumerate(parts):
            if columns := [column for column in part if column in varying]:
                outputs = [network(columns, some).double() for some in orders.split(at_once)]
                losses[number] = torch.cat([loss(o, y[None], problem.kind) for o in outputs]).mean() - before
        return np.clip(losses, 0, None)

    def _orders(self, n: int, seed: int) -> NDArray[np.int64]:
        """(repeats, n): the rows whose values stand in each row; every shuffle goes on from the one before."""
        first = np.random.RandomState(seed).randint(2**31)
        source, order, orders = np.random.RandomState(first), np.arange(n), [np.arange(n)]
        for _ in range(self.repeats):
            source.shuffle(order)
            orders.append(orders[-1][order])
        return np.stack(orders[1:])


class _ColumnsChanged:
    """What a network gives for rows (n, d), and for the same rows with some columns in another order."""

    def __init__(self, model: nn.Module, X: Tensor) -> None:
        self.model, self.stored, self.columns = fold_spectral(model), X, X.T.contiguous()
        self.weight: Tensor | None = None
        if (parts := first_and_rest(self.model)) is not None:
            first, self.model = parts
            self.stored, self.weight = first(X), first.weight.T.contiguous()

    def unchanged(self) -> Tensor:
        """(n, n_outputs)."""
        return self.model(self.stored)

    def __call__(self, columns: Sequence[int], orders: Tensor) -> Tensor:
        """(r, n, n_outputs): the rows ``orders`` (r, n) give the values of the columns."""
        if self.weight is None:
            x = self.stored.repeat(len(orders), 1)
            for column in columns:
                x[:, column] = self.columns[column][orders].flatten()
        else:
            x = self.stored
            for column in columns:
                values = self.columns[column]
                x = torch.addcmul(x, (values[orders] - values)[:, :, None], self.weight[column])
            x = x.flatten(0, 1)
        return self.model(x).unflatten(0, orders.shape)


class MutualInformation(Selector):
    """Mutual information of each input alone with the target, in nats (Kraskov et al. 2004; Ross 2014).

    Estimated by scikit-learn from nearest neighbours. It looks at the data, not at a model, and at one input at a
    time: what only acts together it cannot see. The estimate is its set-up.
    """

    name: ClassVar[str] = "mutual_information"
    joins: ClassVar[Join] = "max"
    predicts: ClassVar[bool] = False

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


class FTest(Selector):
    """F test of each input alone: analysis of variance over classes, or linear regression.

    The relevance is the share of variance explained, F / (F + df2 / df1): the order of F, without its infinities. It
    sees differences of the mean only. Its p-value is exact where the input is Gaussian within classes, or the target
    given the input; an input of several columns has the smallest of theirs times their number.
    """

    name: ClassVar[str] = "f_test"
    promise: ClassVar[Promise | None] = Promise("marginal")
    joins: ClassVar[Join] = "max"
    predicts: ClassVar[bool] = False

    def select(self, problem: Problem) -> Selection:
        X, y = problem.X_train.cpu().numpy(), problem.y_train.cpu().numpy()
        explaining = 1
        if problem.kind == "classification":
            members = (y == np.unique(y)[:, None]).astype(np.float64)
            explaining = len(members) - 1
            sums, squares = sums_and_squares(members, X)
            of_mean = sums.sum(0) ** 2 / len(X)
            explained = (sums**2 / members.sum(1, keepdims=True)).sum(0) - of_mean
        else:
            y = y.astype(np.float64) - y.mean(dtype=np.float64)
            sums, squares = sums_and_squares(np.stack([np.ones(len(y)), y]), X)
            of_mean = sums[0] ** 2 / len(X)
            explained = sums[1] ** 2 / max(y @ y, np.finfo(float).tiny)
        total = squares - of_mean
        shares = np.divide(explained, total, out=np.zeros_like(total), where=total > 0).clip(0, 1)
        return Selection(shares, p_values=smallest_of_inputs(_of_shares(shares, explaining, len(X)), problem.partition))


def _of_shares(shares: NDArray[np.float64], explaining: int, n: int) -> NDArray[np.float64]:
    """(d,) p-values of F tests, from the shares of variance explained: Beta(df1 / 2, df2 / 2) without a difference."""
    rest = n - 1 - explaining
    if explaining < 1 or rest < 1:
        return np.ones(len(shares))
    from scipy.special import betainc

    return betainc(rest / 2, explaining / 2, 1 - shares)


def sums_and_squares(weights: NDArray[np.float64], X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``weights`` (g, n) times ``X - X[0]`` (n, d), and the sums of squares (d,) of the latter, in float64.

    Differences to a row of the data make constant inputs 0, whatever rounding does to a mean; the variance from these
    sums has a relative error of at most some n epsilon. Rows are taken in blocks that stay in the cache.
    """
    sums, squares = np.zeros((len(weights), X.shape[1])), np.zeros(X.shape[1])
    rows = max(2**15 // X.shape[1], 1)
    for start in range(0, len(X), rows):
        moved = np.subtract(X[start : start + rows], X[0], dtype=np.float64)
        sums += weights[:, start : start + rows] @ moved
        squares += np.einsum("ij,ij->j", moved, moved)
    return sums, squares


class MRMR(Selector):
    """Minimum redundancy, maximum relevance (Peng, Long and Ding, IEEE TPAMI 2005): inputs are ranked one by one.

    Next comes the input with the largest I(x_j; y) minus its mean I(x_j; x_s) with those ranked before. Mutual
    information is that of three states, below, within and above mean +- std / 2 (Ding and Peng 2005), of inputs and
    of the target in regression. The relevance is the share of inputs ranked at or behind it: 1, 1 - 1/d, ..., 1/d.
    The cost grows as d^2, and so does its memory, up to the half of what it may take.
    """

    name: ClassVar[str] = "mrmr"
    joins: ClassVar[Join] = "max"
    predicts: ClassVar[bool] = False

    rows: Annotated[int, Field(ge=10)] = 2000
    """Training rows at the most."""

    def select(self, problem: Problem) -> Selection:
        n, d = len(problem.X_train), problem.d
        rows = np.sort(problem.generator.permutation(n)[: self.rows])
        X, y = problem.X_train.double().cpu().numpy()[rows], problem.y_train.cpu().numpy()[rows]
        states = indicators(three_states(X), np.arange(-1, 2))
        labels = three_states(y.astype(np.float64)) if problem.kind == "regression" else y
        criterion = information(indicators(labels[:, None], np.unique(labels)), states)[0]
        pairs = None if problem.memory is not None and 16 * d**2 > problem.memory else informations(states)
        redundancy, waiting = np.zeros(d), np.ones(d, dtype=bool)
        order = np.empty(d, dtype=np.int64)
        for place in range(d):
            value = np.where(waiting, criterion - redundancy / max(place, 1), -np.inf)
            # Ties (to rounding) are broken at random, not by the array's order.
            order[place] = problem.generator.choice(np.flatnonzero(value >= value.max() - 1e-9))
            waiting[order[place]] = False
            if place + 1 < d:
                one = order[place]
                redundancy += information(states[:, one : one + 1], states)[0] if pairs is None else pairs[one]
        relevance = np.empty(d)
        relevance[order] = 1 - np.arange(d) / d
        return Selection(relevance)


def three_states(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """-1, 0 or 1 by column: below mean - std / 2, within, above mean + std / 2."""
    mean, half = values.mean(0), values.std(0) / 2
    return (values > mean + half).astype(np.int64) - (values < mean - half)


def indicators(values: NDArray[np.int64], states: NDArray[np.int64]) -> NDArray[np.float32]:
    """(states, d, n): 1 where one of d variables, ``values`` (n, d), is in a state, else 0."""
    return np.stack([state == values.T for state in states]).astype(np.float32)


def informations(variables: NDArray[np.float32]) -> NDArray[np.float64]:
    """(d, d) mutual information in nats of all pairs of discrete variables, given by ``indicators``."""
    s, d, _ = variables.shape
    some = max(2**21 // (s * s * d), 1)
    parts = [information(variables[:, start : start + some], variables) for start in range(0, d, some)]
    return np.concatenate(parts)


def information(ones: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """(m, d) mutual information in nats of m discrete variables with d others, both given by ``indicators``.

    Every row is in one state of each. From counts c of rows, as
    log n + (sum c_ab log c_ab - sum c_a log c_a - sum c_b log c_b) / n.
    """
    (a, m, n), (b, d, _) = ones.shape, others.shape
    c_log_c = np.arange(n + 1.0)
    c_log_c[1:] *= np.log(c_log_c[1:])

    def summed(counts: NDArray[np.float32], axes: int | tuple[int, ...]) -> NDArray[np.float64]:
        return c_log_c[counts.astype(np.intp)].sum(axes)

    joint = (ones.reshape(a * m, n) @ others.reshape(b * d, n).T).reshape(a, m, b, d)
    apart = summed(joint[..., 0].sum(2), 0)[:, None] + summed(joint[:, 0].sum(0), 0)
    return np.clip(np.log(n) + (summed(joint, (0, 2)) - apart) / n, 0, None)


class Lasso(Selector):
    """Lasso (Tibshirani 1996), or one L1 logistic regression a class against the others; scikit-learn.

    Inputs are standardised. Along a path of strengths, from the one where the first input enters down to a thousandth
    of it, the validation rows choose (loss). The relevance is |coefficient|, or its norm over classes; exact zeros
    are left out. Linear: what only acts together it cannot see.
    """

    name: ClassVar[str] = "lasso"
    joins: ClassVar[Join] = "norm"

    strengths: Annotated[int, Field(ge=1)] = 20
    """On the path, evenly on a log scale."""

    def select(self, problem: Problem) -> Selection:
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(problem.X_train.double().cpu().numpy())
        X, X_valid = (scaler.transform(part.double().cpu().numpy()) for part in (problem.X_train, problem.X_valid))
        y, y_valid = problem.y_train.cpu().numpy(), problem.y_valid.cpu().numpy()
        if problem.kind == "regression":
            coefficients, predicted = self._regression(X, y, X_valid, y_valid)
            return Selection(np.abs(coefficients), score_on_valid(problem, predicted))
        classes = np.unique(y)
        if len(classes) < 2:
            return Selection(np.zeros(problem.d), score_on_valid(problem, np.full(len(y_valid), classes[0])))
        seed = int(problem.generator.integers(2**31))
        positive = classes[1:] if len(classes) == 2 else classes  # two classes are one question
        found = [self._one_class(X, y == k, X_valid, y_valid == k, seed) for k in positive]
        scores = np.stack([values for _, values in found])
        answer = (scores[0] > 0).astype(int) if len(classes) == 2 else scores.argmax(0)
        coefficients = np.stack([w for w, _ in found])
        return Selection(np.linalg.norm(coefficients, axis=0), score_on_valid(problem, classes[answer]))

    def _regression(self, X: NDArray, y: NDArray, X_valid: NDArray, y_valid: NDArray) -> tuple[NDArray, NDArray]:
        from sklearn.linear_model import lasso_path

        first = max(np.abs(X.T @ (y - y.mean())).max() / len(y), np.finfo(float).tiny)
        _, path, _ = lasso_path(X, y - y.mean(), alphas=first * np.logspace(0, -3, self.strengths))
        predicted = X_valid @ path + y.mean()
        best = ((predicted - y_valid[:, None]) ** 2).mean(0).argmin()
        return path[:, best], predicted[:, best]

    def _one_class(
        self, X: NDArray, y: NDArray, X_valid: NDArray, y_valid: NDArray, seed: int
    ) -> tuple[NDArray, NDArray]:
        """Coefficients (d,) and scores (n_valid,) of "is it this class?" at the best strength."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.svm import l1_min_c

        penalty = inspect.signature(LogisticRegression).parameters.get("penalty")
        l1: dict[str, Any] = {"l1_ratio": 1.0}  # scikit-learn before 1.8: penalty = "l1"
        if penalty is not None and penalty.default == "l2":
            l1 = {"penalty": "l1"}
        best = np.inf, np.zeros(X.shape[1]), np.zeros(len(X_valid))
        for C in l1_min_c(X, y, loss="log") * np.logspace(0, 3, self.strengths):
            model = LogisticRegression(C=C, solver="liblinear", random_state=seed, **l1).fit(X, y)
            scores = model.decision_function(X_valid)
            loss = float(np.logaddexp(0, np.where(y_valid, -scores, scores)).mean())
            if loss < best[0]:
                best = loss, model.coef_[0], scores
        return best[1], best[2]
