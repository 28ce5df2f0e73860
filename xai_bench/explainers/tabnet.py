"""The masks of TabNet."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from xai_bench.explainers.base import Problem, Selection, Selector, score_on_valid
from xai_bench.explainers.forests import arrays, seed_of
from xai_bench.explainers.optional import lacking


class TabNet(Selector):
    """Aggregated masks of a TabNet (Arik and Pfister, AAAI 2021, arXiv 1908.07442); package pytorch-tabnet.

    In every decision step a sparse mask says which inputs a row is read through. The relevance is the library's
    ``feature_importances_``: the masks, weighted with what the steps contribute, summed over training rows. The
    library's defaults; targets are standardised in regression. The weights with the best accuracy (the library: area
    under the curve, of two classes), or squared error, on the validation rows are kept. 1 to 4 CPU seconds for 800 rows
    of 64 inputs.
    """

    name: ClassVar[str] = "tabnet"

    width: Annotated[int, Field(ge=1)] = 8
    """Of the prediction and of the attention in each step, n_d and n_a."""
    decisions: Annotated[int, Field(ge=1)] = 3
    """Steps of decision, n_steps."""
    sparsity: Annotated[float, Field(ge=0)] = 1e-3
    """Strength of the entropy of the masks, lambda_sparse."""
    learning_rate: Annotated[float, Field(gt=0)] = 0.02
    epochs: Annotated[int, Field(ge=1)] = 100
    """Passes over the training rows at the most."""
    patience: Annotated[int, Field(ge=1)] = 10
    """Passes without a better validation score, after which it stops."""
    batch_size: Annotated[int, Field(ge=1)] = 1024

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem) or lacking("pytorch_tabnet", "methods")
        if reason is None and len(problem.X_train) < 2:
            return "it needs two training rows"
        return reason

    def select(self, problem: Problem) -> Selection:
        from pytorch_tabnet.tab_model import TabNetClassifier, TabNetRegressor

        X, y = arrays(problem)
        X_valid, y_valid = problem.X_valid.cpu().numpy(), problem.y_valid.cpu().numpy()
        classes = problem.kind == "classification"
        mean, scale = (0.0, 1.0) if classes else (float(y.mean()), float(y.std()) or 1.0)
        known = np.isin(y_valid, y) if classes else np.ones(len(y_valid), dtype=bool)
        watched = (X_valid[known], y_valid[known]) if known.any() else (X, y)
        batch = min(self.batch_size, len(X))
        kind: Any = TabNetClassifier if classes else TabNetRegressor
        model = kind(
            n_d=self.width,
            n_a=self.width,
            n_steps=self.decisions,
            lambda_sparse=self.sparsity,
            optimizer_params={"lr": self.learning_rate},
            seed=seed_of(problem),
            device_name=str(problem.device),
            verbose=0,
        )
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it prints when it stops
            warnings.simplefilter("ignore", UserWarning)
            model.fit(
                X,
                y if classes else ((y - mean) / scale)[:, None],
                eval_set=[(watched[0], watched[1] if classes else ((watched[1] - mean) / scale)[:, None])],
                eval_metric=["accuracy" if classes else "mse"],
                max_epochs=self.epochs,
                patience=self.patience,
                batch_size=batch,
                virtual_batch_size=min(128, batch),
                drop_last=len(X) % batch == 1,  # batch norm needs two rows
            )
        predicted = model.predict(X_valid)
        score = score_on_valid(problem, predicted if classes else predicted[:, 0] * scale + mean)
        return Selection(np.nan_to_num(model.feature_importances_), score)
