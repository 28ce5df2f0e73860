"""What a careful user would write: one network after the other, whole rows, autograd, torch's own Adam.

The baseline of the training benchmarks. Inputs that are not kept are set to 0, as is usual where models are retrained
on what a method keeps (ROAR, Hooker et al., arXiv 1806.10758).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xai_bench.datasets.base import Dataset
from xai_bench.models.mlp import MLP
from xai_bench.models.training import batch_rows, checkpoint_steps, learning_rate


@dataclass(frozen=True)
class PlainLoop:
    """Trains networks with the fields of ``architecture`` on one dataset."""

    architecture: MLP
    data: Dataset

    def fit(self, seed: int, kept: Sequence[int] | None = None) -> float:
        """Train on the inputs ``kept``, the others at 0; the test score of the best checkpoint."""
        torch.manual_seed(seed)
        of, data = self.architecture, self.data
        X_train, X_valid, X_test = (self._only(x, kept) for x in (data.X_train, data.X_valid, data.X_test))
        y_train, y_valid, y_test = (torch.from_numpy(y) for y in (data.y_train, data.y_valid, data.y_test))
        model = of.build((data.d,), data.n_outputs, torch.Generator().manual_seed(seed))
        optimiser = torch.optim.Adam(model.parameters(), lr=of.learning_rate)
        steps = of.steps(len(X_train))
        looks, best, kept_state = checkpoint_steps(of, len(X_train)), math.inf, model.state_dict()
        batches = self._batches(len(X_train))
        for step in range(steps):
            index = next(batches)
            optimiser.param_groups[0]["lr"] = learning_rate(of, step, steps)
            optimiser.zero_grad()
            model.train()
            objective = self._loss(model(X_train[index]), y_train[index])
            if of.group_lasso:
                objective = objective + of.penalty(model)
            objective.backward()
            optimiser.step()
            if step + 1 in looks:
                model.eval()
                with torch.no_grad():
                    loss = float(self._loss(model(X_valid), y_valid))
                if loss < best:
                    best, kept_state = loss, {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(kept_state)
        model.eval()
        with torch.no_grad():
            outputs = model(X_test)
        if data.kind == "classification":
            return float((outputs.argmax(1) == y_test).double().mean())
        return 1 - float((outputs[:, 0] - y_test).square().mean() / y_test.var(unbiased=False))

    def _only(self, x: object, kept: Sequence[int] | None) -> Tensor:
        rows = torch.as_tensor(x)
        if kept is None:
            return rows
        masked = torch.zeros_like(rows)
        masked[:, list(kept)] = rows[:, list(kept)]
        return masked

    def _batches(self, n: int) -> Iterator[Tensor]:
        rows = batch_rows(self.architecture, n)
        while True:
            order = torch.randperm(n)
            yield from order[: n - n % rows].view(-1, rows)

    def _loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        if self.data.kind == "classification":
            return nn.functional.cross_entropy(outputs, y)
        return (outputs[:, 0] - y).square().mean()
