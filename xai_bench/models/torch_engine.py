"""Training of networks of the MLP family by torch alone, on any device, in any precision: ``models.stack`` in use.

``models.graph_engine`` does the same on a CUDA device with fewer launches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from xai_bench.models.dropout import keep_masks
from xai_bench.models.losses import Tensors, gathered, loss, loss_gradient
from xai_bench.models.mlp import MLPFamily
from xai_bench.models.stack import Adam, Stack, padded
from xai_bench.models.streams import Streams


class TorchEngine:
    """m networks of one architecture in training, and the best weights that each had so far."""

    stack_class: ClassVar[type[Stack]] = Stack
    adam_class: ClassVar[type[Adam]] = Adam

    def __init__(
        self,
        architecture: MLPFamily,
        data: Tensors,
        columns: Sequence[tuple[int, ...]],
        streams: Sequence[Streams],
        width: int,
        rows: int,
    ) -> None:
        """``columns``, ``streams``: of every network; ``width``: columns that all have, padding included."""
        m, device, n = len(columns), data.device, len(data.X_train)
        self.data, self.columns, self.rows, self.width = data, columns, rows, width
        self.stack = self.stack_class(architecture, m, width, data.n_outputs, data.dtype, device)
        self.adam = self.adam_class(self.stack)
        self.best = self.stack.snapshot()
        self.best_loss = torch.full((m,), math.inf, dtype=data.dtype, device=device)
        X = gathered(data.X_train, columns, width)
        # One network after the other in one array: the first row of each.
        self._first_rows = n * torch.arange(len(X), device=device)[:, None]
        self._rows_of_all = X.view(-1, width)
        self._X_valid = _in_registers(gathered(data.X_valid, columns, width))
        dropping = [layer for layer in self.stack.layers if layer.dropout]
        self._keys = {
            id(layer): torch.tensor([s.dropout_key(which) for s in streams], device=device)
            for which, layer in enumerate(dropping)
        }
        self._predicted: dict[str, Tensor] = {}

    def load(self, slot: int, module: nn.Sequential) -> None:
        """Copy a module with at most ``width`` inputs into a slot."""
        self.stack.load(slot, module)
        self.best = self.stack.snapshot()

    def step(self, index: Tensor, step: int, rate: float) -> None:
        """Step number ``step``, from 0, on the rows ``index`` (m, rows), with a learning rate."""
        self._advance(index, self._masks(step), rate)

    def _advance(self, index: Tensor, masks: Sequence[Tensor | None], rate: float | Tensor) -> None:
        """One step: forward, backward, penalties, Adam. Nothing of it asks the device for a number."""
        chosen = index if len(self._first_rows) == 1 else index + self._first_rows
        x = self._rows_of_all.index_select(0, chosen.view(-1)).view(len(index), self.rows, self.width)
        outputs = self.stack.forward(x, masks)
        self.stack.backward(self._loss_gradient(outputs, index))
        self.adam.step(rate)

    def _loss_gradient(self, outputs: Tensor, index: Tensor) -> Tensor:
        """(m, rows, n_outputs): the gradient of the loss of outputs for the rows ``index`` (m, rows)."""
        data = self.data
        w = None if data.w_train is None else data.w_train[index]
        return loss_gradient(outputs, data.y_train[index], data.kind, w)

    def _masks(self, step: int) -> list[Tensor | None]:
        """For every layer (m, rows, n_out), 0 or 1 / (1 - rate), or None."""
        masks: list[Tensor | None] = []
        for layer in self.stack.layers:
            if not layer.dropout:
                masks.append(None)
                continue
            keep = keep_masks(self._keys[id(layer)], step, layer.n_out, self.rows, layer.dropout)
            masks.append(keep.transpose(1, 2).to(self.data.dtype) / (1 - layer.dropout))
        return masks

    def look(self) -> None:
        """Keep the weights of the networks whose validation loss is lower than before."""
        data = self.data
        outputs = self.stack.predict(self._X_valid)[:, : len(data.X_valid)]
        current = loss(outputs, data.y_valid[None], data.kind, data.w_valid)
        better = current < self.best_loss
        self.stack.keep(self.best, better)
        self.best_loss = torch.where(better, current, self.best_loss)

    def store(self, slot: int, module: nn.Sequential) -> float:
        """Copy the best weights of a network back into its module; returns their validation loss."""
        self.stack.store(slot, module, self.best)
        return float(self.best_loss[slot])

    def outputs(self, slot: int, part: str) -> Tensor:
        """(n, n_outputs) of a network at its best weights, on the rows of train, valid or test."""
        if part not in self._predicted:
            x = gathered(getattr(self.data, f"X_{part}"), self.columns, self.width)
            self._predicted[part] = self.stack.predict(x, self.best)
        return self._predicted[part][slot]


def _in_registers(x: Tensor) -> Tensor:
    """Rows of zeros behind x (m, n, width), so that no row falls into the remainder of a vectorised loop."""
    return nn.functional.pad(x, (0, 0, 0, padded(x.shape[1]) - x.shape[1]))
