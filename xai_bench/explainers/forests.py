"""Methods that fit trees to the data: forests (Breiman 2001), boosting, TreeSHAP and shadow inputs; scikit-learn.

They see no network. What a tree of few rows splits on is partly chance: every input gets some impurity importance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xai_bench.datasets.inputs import Inputs, each_column
from xai_bench.explainers.base import (
    Join,
    Problem,
    Relevance,
    Selection,
    Selector,
    elements_at_once,
    rows_at_once,
    score_on_valid,
    summed_over_inputs,
)

BATCH = 8192
Fall = Callable[[Any, Problem, int, Inputs], NDArray[np.float64]]
"""A function of a fitted model, a problem, a number of repeats and parts: see ``permutation_fall``."""


def arrays(problem: Problem) -> tuple[NDArray, NDArray]:
    """Training rows (n, d) and targets (n,)."""
    return problem.X_train.cpu().numpy(), problem.y_train.cpu().numpy()


def seed_of(problem: Problem) -> int:
    """A seed for scikit-learn, from the problem's generator."""
    return int(problem.generator.integers(2**31))


def forest(problem: Problem, trees: int, min_leaf: int) -> Any:
    """A random forest with scikit-learn's other defaults, not fitted; one thread."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind: Any = RandomForestClassifier if problem.kind == "classification" else RandomForestRegressor
    return kind(n_estimators=trees, min_samples_leaf=min_leaf, random_state=seed_of(problem), n_jobs=1)


def falls_of(fall: Fall, model: Any, problem: Problem, repeats: int) -> tuple[NDArray, NDArray | None]:
    """(d,) falls of the columns, and (n_inputs,) of the inputs, whose columns are shuffled together.

    The latter are None where every input is a column.
    """
    columns = fall(model, problem, repeats, each_column(problem.d))
    if not problem.several:
        return columns, None
    joint = dict(zip(problem.several, fall(model, problem, repeats, problem.several), strict=True))
    return columns, np.array([joint[part] if part in joint else columns[part[0]] for part in problem.partition])


def permutation_fall(model: Any, problem: Problem, repeats: int, parts: Inputs) -> NDArray[np.float64]:
    """(parts,): mean fall of the score on validation rows when the columns of a part are shuffled over rows together.

    A rise counts as 0. Many shuffled copies are predicted in one call.
    """
    X, n = problem.X_valid.cpu().numpy(), len(problem.X_valid)
    scored = score_on_valid(problem, model.predict(X))
    falls = np.zeros(len(parts))
    together = max(rows_at_once(BATCH, problem.d, problem.memory) // n, 1)
    jobs = [j for j in range(len(parts)) for _ in range(repeats)]
    for start in range(0, len(jobs), together):
        chunk = jobs[start : start + together]
        copies = np.tile(X, (len(chunk), 1))
        for i, j in enumerate(chunk):
            columns = np.array(parts[j])
            copies[i * n : (i + 1) * n, columns] = X[np.ix_(problem.generator.permutation(n), columns)]
        predicted = model.predict(copies)
        for i, j in enumerate(chunk):
            falls[j] += (scored - score_on_valid(problem, predicted[i * n : (i + 1) * n])) / repeats
    return np.clip(falls, 0, None)


def forest_permutation_fall(fitted: Any, problem: Problem, repeats: int, parts: Inputs) -> NDArray[np.float64]:
    """``permutation_fall`` of a forest at a cost that does not grow with d.

    A row's vote in a tree changes only if a shuffled column lies on its way to the leaf: only those ways are gone
    again.
    """
    X, n = problem.X_valid.cpu().numpy(), len(problem.X_valid)
    part_of = np.full(problem.d, -1)
    for number, columns in enumerate(parts):
        part_of[list(columns)] = number
    classes = getattr(fitted, "classes_", None)
    trees = [tree.tree_ for tree in fitted.estimators_]
    before = [_votes(tree, tree.apply(X), classes is not None) for tree in trees]
    ways = [_parts_on_the_way(tree, X, part_of) for tree in trees]
    total = np.sum(before, axis=0)

    def score(votes: NDArray) -> float:
        mean = votes / len(trees)
        return score_on_valid(problem, mean[:, 0] if classes is None else classes[mean.argmax(1)])

    scored, falls = score(total), np.zeros(len(parts))
    together = max(elements_at_once(problem.memory) // total.size, 1)
    for start in range(0, len(parts), together):
        stop = min(start + together, len(parts))
        for _ in range(repeats):
            orders = np.stack([problem.generator.permutation(n) for _ in range(start, stop)])
            votes = np.broadcast_to(total, (stop - start, *total.shape)).copy()
            for tree, old, (rows, numbers) in zip(trees, before, ways, strict=True):
                here = (numbers >= start) & (numbers < stop)
                row, shuffled = rows[here], numbers[here]
                leaves = _leaves(tree, X, row, part_of, shuffled, orders[shuffled - start, row])
                votes[shuffled - start, row] += _votes(tree, leaves, classes is not None) - old[row]
            falls[start:stop] += [(scored - score(of_part)) / repeats for of_part in votes]
    return np.clip(falls, 0, None)


def _votes(tree: Any, leaves: NDArray, classes: bool) -> NDArray[np.float64]:
    """(m, outputs): what a tree says in these leaves (m,): shares of the classes, or a value."""
    values = tree.value[leaves, 0]
    return values / values.sum(1, keepdims=True) if classes else values


def _parts_on_the_way(tree: Any, X: NDArray, part_of: NDArray) -> tuple[NDArray, NDArray]:
    """Pairs (row, part), each once: the tree asks for a column of that part on that row's way to its leaf.

    ``part_of``: (d,) the part of each column, or -1.
    """
    rows, nodes = tree.decision_path(X).nonzero()
    asked = tree.feature[nodes]
    numbers = np.where(asked >= 0, part_of[asked], -1)
    pairs = np.unique(rows[numbers >= 0].astype(np.int64) * X.shape[1] + numbers[numbers >= 0])
    return pairs // X.shape[1], pairs % X.shape[1]


def _leaves(tree: Any, X: NDArray, row: NDArray, part_of: NDArray, shuffled: NDArray, source: NDArray) -> NDArray:
    """(m,) leaves of the rows ``row`` with the columns of the part ``shuffled`` taken from the row ``source``."""
    node = np.zeros(len(row), dtype=np.int64)
    going = np.flatnonzero(tree.feature[node] >= 0)
    while len(going):
        at = node[going]
        asked = tree.feature[at]
        values = X[np.where(part_of[asked] == shuffled[going], source[going], row[going]), asked]
        node[going] = np.where(values <= tree.threshold[at], tree.children_left[at], tree.children_right[at])
        going = going[tree.feature[node[going]] >= 0]
    return node


class RandomForest(Selector):
    """Impurity importance of a random forest: the share of the impurity that splits on the input take away."""

    name: ClassVar[str] = "random_forest"

    trees: Annotated[int, Field(ge=1)] = 500
    min_leaf: Annotated[int, Field(ge=1)] = 1
    """Training rows in a leaf at the least."""

    def select(self, problem: Problem) -> Selection:
        fitted = forest(problem, self.trees, self.min_leaf).fit(*arrays(problem))
        score = score_on_valid(problem, fitted.predict(problem.X_valid.cpu().numpy()))
        return Selection(fitted.feature_importances_, score)


class RandomForestPermutation(Selector):
    """Permutation importance of a random forest: fall of accuracy, or of R2, on validation rows.

    ``repeats`` passes of every validation row through every tree for every input on its way.
    """

    name: ClassVar[str] = "random_forest_permutation"

    trees: Annotated[int, Field(ge=1)] = 500
    min_leaf: Annotated[int, Field(ge=1)] = 1
    """Training rows in a leaf at the least."""
    repeats: Annotated[int, Field(ge=1)] = 5

    def rows_explained(self, problem: Problem) -> int | None:
        return len(problem.X_valid)

    def select(self, problem: Problem) -> Selection:
        fitted = forest(problem, self.trees, self.min_leaf).fit(*arrays(problem))
        score = score_on_valid(problem, fitted.predict(problem.X_valid.cpu().numpy()))
        columns, inputs = falls_of(forest_permutation_fall, fitted, problem, self.repeats)
        return Selection(columns, score, inputs)


class GradientBoosting(Selector):
    """Permutation importance of gradient boosting (Friedman 2001): fall of accuracy, or of R2, on validation rows.

    scikit-learn's histogram form, which has no impurity importance: the exact one needs minutes where this needs
    seconds (n d log n for every tree), and permutation is what scikit-learn recommends for both.
    """

    name: ClassVar[str] = "gradient_boosting"

    iterations: Annotated[int, Field(ge=1)] = 100
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    repeats: Annotated[int, Field(ge=1)] = 5

    def rows_explained(self, problem: Problem) -> int | None:
        return len(problem.X_valid)

    def select(self, problem: Problem) -> Selection:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        kind: Any = HistGradientBoostingRegressor
        if problem.kind == "classification":
            kind = HistGradientBoostingClassifier
            if len(problem.y_train.unique()) < 2:
                constant = np.full(len(problem.y_valid), int(problem.y_train[0]))
                return Selection(np.zeros(problem.d), score_on_valid(problem, constant))
        model = kind(
            max_iter=self.iterations,
            learning_rate=self.learning_rate,
            early_stopping=False,
            random_state=seed_of(problem),
        )
        fitted = model.fit(*arrays(problem))
        score = score_on_valid(problem, fitted.predict(problem.X_valid.cpu().numpy()))
        columns, inputs = falls_of(permutation_fall, fitted, problem, self.repeats)
        return Selection(columns, score, inputs)


class TreeShap(Selector):
    """TreeSHAP (Lundberg et al., arXiv 1905.04610) of a random forest: mean |SHAP value| over validation rows.

    Of the row's own class in classification; the values of the columns of one input are added in each row. The forest
    is set-up; shap's TreeExplainer with its default, the distribution of the training rows along the tree's paths.
    Cost: rows x trees x leaves x depth^2.
    """

    name: ClassVar[str] = "tree_shap"

    trees: Annotated[int, Field(ge=1)] = 100
    """scikit-learn's default."""
    min_leaf: Annotated[int, Field(ge=1)] = 1
    """Training rows in a leaf at the least."""
    rows: Annotated[int, Field(ge=1)] = 256
    """Validation rows that are explained (drawn without replacement; all if there are fewer)."""

    def rows_explained(self, problem: Problem) -> int | None:
        return min(self.rows, len(problem.X_valid))

    def select(self, problem: Problem) -> Selection:
        fitted, score = self._fitted(problem)
        found = self._values(fitted, problem)
        return Selection(found.columns, score, found.inputs)

    def relevance(self, problem: Problem) -> NDArray:
        return self.relevances(problem).columns

    def relevances(self, problem: Problem) -> Relevance:
        with problem.clock.setting_up():
            fitted, _ = self._fitted(problem)
        return self._values(fitted, problem)

    def _fitted(self, problem: Problem) -> tuple[Any, float]:
        fitted = forest(problem, self.trees, self.min_leaf).fit(*arrays(problem))
        return fitted, score_on_valid(problem, fitted.predict(problem.X_valid.cpu().numpy()))

    def _values(self, fitted: Any, problem: Problem) -> Relevance:
        import shap

        n = len(problem.X_valid)
        rows = np.sort(problem.generator.permutation(n)[: self.rows])
        X, y = problem.X_valid.cpu().numpy()[rows], problem.y_valid.cpu().numpy()[rows]
        explainer = shap.TreeExplainer(fitted)
        total = np.zeros(problem.d)
        over_inputs = np.zeros(len(problem.partition)) if problem.several else total
        chunk = rows_at_once(len(X), problem.d * problem.n_outputs, problem.memory)
        for start in range(0, len(X), chunk):
            part = slice(start, start + chunk)
            values = np.asarray(explainer.shap_values(X[part], check_additivity=False))
            if values.ndim == 3:  # classes that the forest never saw have no values
                column = np.searchsorted(fitted.classes_, y[part]).clip(max=len(fitted.classes_) - 1)
                values = np.take_along_axis(values, column[:, None, None], 2)[:, :, 0]
            total += np.abs(values).sum(0)
            if problem.several:
                over_inputs += np.abs(summed_over_inputs(values, problem.partition)).sum(0)
        return Relevance(total / len(X), over_inputs / len(X))


class Boruta(Selector):
    """Shadow inputs (Kursa and Rudnicki, J. Stat. Softw. 2010): is an input more important than shuffled ones?

    In every run a random forest gets the inputs and a shuffled copy of each. The relevance is the mean over runs of
    the impurity importance minus the largest of a copy, or 0 if that is negative: what does no better than the best
    of d inputs that cannot matter. The original tests the count of such runs; the mean difference keeps a grade.
    """

    name: ClassVar[str] = "boruta"
    joins: ClassVar[Join] = "max"

    runs: Annotated[int, Field(ge=1)] = 20
    trees: Annotated[int, Field(ge=1)] = 100
    min_leaf: Annotated[int, Field(ge=1)] = 1
    """Training rows in a leaf at the least."""

    def select(self, problem: Problem) -> Selection:
        X, y = arrays(problem)
        n, d = X.shape
        margin, score = np.zeros(d), 0.0
        X_valid = problem.X_valid.cpu().numpy()
        for _ in range(self.runs):
            shadows = np.stack([X[problem.generator.permutation(n), j] for j in range(d)], axis=1)
            fitted = forest(problem, self.trees, self.min_leaf).fit(np.hstack([X, shadows]), y)
            found = fitted.feature_importances_
            margin += (found[:d] - found[d:].max()) / self.runs
            hidden = np.stack([X_valid[problem.generator.permutation(len(X_valid)), j] for j in range(d)], axis=1)
            score += score_on_valid(problem, fitted.predict(np.hstack([X_valid, hidden]))) / self.runs
        return Selection(np.clip(margin, 0, None), score)
