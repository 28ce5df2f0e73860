"""What simpler or other models reach on the same rows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xai_bench.analysis.rows import Rows, Split
from xai_bench.analysis.score import CONSTANT, Score
from xai_bench.analysis.trainings import Step, scored, split_data
from xai_bench.datasets.base import Table

TREES = 100
FEWER_COLUMNS = 1 / 3
"""Of a large table, in regression, the share of the columns that a split of a tree looks at; of classes it is the root
of their number anyway."""


def models(kind: str, score: Score, seed: int, large: bool = False) -> dict[str, Any]:
    """Name to an estimator of scikit-learn, not fitted; of a ``large`` table a forest sees a third of the columns."""
    from sklearn import dummy, ensemble, linear_model

    if kind == "regression":
        return {
            CONSTANT: dummy.DummyRegressor(),
            "linear": linear_model.RidgeCV(np.logspace(-3, 3, 13)),
            "random forest": ensemble.RandomForestRegressor(
                TREES, max_features=FEWER_COLUMNS if large else 1.0, random_state=seed
            ),
            "gradient boosting": ensemble.HistGradientBoostingRegressor(random_state=seed, early_stopping=False),
        }
    weight = "balanced" if score.name == "balanced accuracy" else None
    return {
        CONSTANT: dummy.DummyClassifier(strategy="prior"),
        "linear": linear_model.LogisticRegression(max_iter=1000, class_weight=weight),
        "random forest": ensemble.RandomForestClassifier(TREES, class_weight=weight, random_state=seed),
        "gradient boosting": ensemble.HistGradientBoostingClassifier(
            class_weight=weight, random_state=seed, early_stopping=False
        ),
    }


def baseline_scores(
    table: Table, rows: Rows, chosen: Sequence[Split], score: Score, step: Step, large: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Name to scores (m,) on the held-out rows of every split; NaN where a model could not be fitted.

    They are fitted on the rows that networks train and validate on.
    """
    found: dict[str, list[float]] = {}
    for number, split in enumerate(chosen, 1):
        step(f"baselines {number} of {len(chosen)}")
        data, weights = split_data(table, rows, split)
        X, y = np.concatenate([data.X_train, data.X_valid]), np.concatenate([data.y_train, data.y_valid])
        w = None if weights is None else np.concatenate([weights.train, weights.valid])
        for name, model in models(rows.kind, score, split.seed, large).items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outputs = fitted_outputs(model, X, y, w, data.X_test, data.n_outputs)
            value = math.nan if outputs is None else scored(outputs, data, rows, split, score)
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def fitted_outputs(
    model: Any, X: NDArray, y: NDArray, weights: NDArray | None, X_test: NDArray, n_outputs: int
) -> NDArray | None:
    """(n, n_outputs) probabilities of all classes, or values; None where training rows have one class only."""
    if len(np.unique(y)) < 2:
        return None
    model.fit(X, y, sample_weight=weights)
    if not hasattr(model, "predict_proba"):
        return np.asarray(model.predict(X_test), dtype=np.float64)[:, None]
    outputs = np.zeros((len(X_test), n_outputs))
    outputs[:, model.classes_] = model.predict_proba(X_test)
    return outputs
