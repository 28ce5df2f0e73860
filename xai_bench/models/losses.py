"""A dataset as tensors, and the loss of a network's outputs on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xai_bench.datasets.base import Dataset
from xai_bench.models.base import Kind

ALIGNED = 64
"""Bytes."""


class RowWeights(NamedTuple):
    """What each row counts in the mean loss: (n_train,) and (n_valid,) >= 0, scaled to mean 1 before use."""

    train: NDArray[np.floating]
    valid: NDArray[np.floating]


class Tensors:
    """The arrays of a dataset as tensors, for every part; ``w_train`` and ``w_valid`` are None, or have mean 1."""

    def __init__(
        self, data: Dataset, dtype: torch.dtype, device: torch.device, row_weights: RowWeights | None = None
    ) -> None:
        self.kind: Kind = data.kind
        self.n_outputs = data.n_outputs
        self.target_std = data.target_std
        target_dtype = torch.int64 if data.kind == "classification" else dtype
        self.dtype, self.device = dtype, device
        self.X_train, self.X_valid, self.X_test = (
            torch.from_numpy(x).to(device, dtype) for x in (data.X_train, data.X_valid, data.X_test)
        )
        self.y_train, self.y_valid, self.y_test = (
            torch.from_numpy(y).to(device, target_dtype) for y in (data.y_train, data.y_valid, data.y_test)
        )
        self.w_train: Tensor | None = None
        self.w_valid: Tensor | None = None
        if row_weights is not None:
            self.w_train, self.w_valid = (torch.from_numpy(w / w.mean()).to(device, dtype) for w in row_weights)


def gathered(x: Tensor, columns: Sequence[tuple[int, ...]], width: int) -> Tensor:
    """(m, n, width): the columns of x (n, d) that every network sees, then zeros; (1, n, width) if all see all."""
    if all(len(chosen) == x.shape[1] for chosen in columns):
        whole = nn.functional.pad(x, (0, width - x.shape[1]))
        # The last bits of a product may depend on where its rows begin: torch's own memory is aligned.
        fits = whole.is_contiguous() and whole.data_ptr() % ALIGNED == 0
        return (whole if fits else whole.clone(memory_format=torch.contiguous_format))[None]
    result = x.new_zeros(len(columns), len(x), width)
    for slot, chosen in enumerate(columns):
        result[slot, :, : len(chosen)] = x[:, list(chosen)]
    return result


def row_losses(outputs: Tensor, y: Tensor, kind: Kind) -> Tensor:
    """(m, n) cross-entropy, or squared error (its mean over targets), of outputs (m, n, n_outputs).

    ``y``: (m or 1, n), or (m or 1, n, n_outputs) in a regression of several targets.
    """
    if kind == "classification":
        chosen = outputs.gather(2, y.expand(len(outputs), -1)[:, :, None])[:, :, 0]
        return outputs.logsumexp(2) - chosen
    if y.ndim == 3:
        return (outputs - y).square().mean(2)
    return (outputs[:, :, 0] - y).square()


def loss(outputs: Tensor, y: Tensor, kind: Kind, row_weights: Tensor | None = None) -> Tensor:
    """(m,) mean of ``row_losses``, each row times its weight (n,) if there are weights."""
    losses = row_losses(outputs, y, kind)
    return losses.mean(1) if row_weights is None else (losses * row_weights).mean(1)


def loss_gradient(outputs: Tensor, y: Tensor, kind: Kind, row_weights: Tensor | None = None) -> Tensor:
    """(m, b, n_outputs): the gradient of ``loss`` for y (m, b) or (m, b, n_outputs), row weights (m, b)."""
    rows = outputs.shape[1]
    if kind == "classification":
        # Over an inner dimension of few classes softmax is eight times slower.
        gradient = outputs.transpose(1, 2).contiguous().softmax(1).transpose(1, 2).contiguous()
        gradient.scatter_add_(2, y[:, :, None], gradient.new_full((1, 1, 1), -1.0).expand(*y.shape, 1))
        gradient = gradient.div_(rows)
    elif y.ndim == 3:
        gradient = (outputs - y) * (2.0 / (rows * y.shape[2]))
    else:
        gradient = ((outputs[:, :, 0] - y) * (2.0 / rows))[:, :, None]
    return gradient if row_weights is None else gradient * row_weights[:, :, None]
