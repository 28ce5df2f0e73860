"""Convolutional networks for pictures, plain and with an eigenvalue for each pixel or channel.

A plain convolution says nothing of single pixels: all of them share its kernel. ``models.spectral_conv`` puts an
eigenvalue before each of them.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from xai_bench.datasets.base import Dataset
from xai_bench.errors import InputError
from xai_bench.models.base import Architecture
from xai_bench.models.mlp import Strength
from xai_bench.models.resnet import dense
from xai_bench.models.spectral import eigenvalue_penalty
from xai_bench.models.spectral_conv import SpectralConv2d

KERNEL = 3
"""Rows and columns of a kernel; a padding of 1 keeps the size of the picture."""


class CNNFamily(Architecture):
    """Convolutions of 3 x 3, each followed by ReLU and, as long as both sides have 2 pixels, a max pooling of 2 x 2;
    then one hidden dense layer with ReLU, and the prediction. It reads pictures only.

    The learning rate, and the penalties of the spectral one, were chosen on validation loss
    (``benchmarks/choose_networks.py``).
    """

    needs_picture: ClassVar[bool] = True

    channels: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (8, 16)
    """Of each convolution."""
    hidden: Annotated[int, Field(ge=1)] = 50
    """Nodes of the hidden dense layer."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3

    def unsupported(self, data: Dataset) -> str | None:
        return None if len(data.shape) > 1 else "it reads pictures, and the rows of this dataset have no shape"

    def build(self, shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> nn.Sequential:
        """nn.Sequential from (n, d) to (n, n_outputs). Weights are Glorot uniform, biases 0.

        Raises
        ------
        InputError
            If ``shape`` is not (rows, columns) or (channels, rows, columns).
        """
        if len(shape) not in (2, 3):
            raise InputError(f"{self.name}: expected pictures, (rows, columns), got rows of shape {shape}")
        n_in, rows, columns = shape if len(shape) == 3 else (1, *shape)
        layers: list[nn.Module] = [nn.Unflatten(1, (n_in, rows, columns))]
        for n_before, n_after in pairwise((n_in, *self.channels)):
            first = len(layers) == 1
            make = self.first_layer if first else plain
            layers += [make(n_before, n_after, (rows, columns), generator), nn.ReLU()]
            if min(rows, columns) >= 2:
                layers.append(nn.MaxPool2d(2))
                rows, columns = rows // 2, columns // 2
        values = self.channels[-1] * rows * columns
        layers += [nn.Flatten(), dense(values, self.hidden, generator), nn.ReLU()]
        return nn.Sequential(*layers, dense(self.hidden, n_outputs, generator))

    @abstractmethod
    def first_layer(self, n_in: int, n_out: int, shape: tuple[int, int], generator: torch.Generator) -> nn.Module:
        """The convolution that reads pictures of ``shape``."""


def plain(n_in: int, n_out: int, shape: tuple[int, int], generator: torch.Generator) -> nn.Conv2d:
    """A convolution with Glorot uniform weights and biases of 0, whatever the ``shape`` of the picture."""
    layer = nn.Conv2d(n_in, n_out, KERNEL, padding=KERNEL // 2)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class CNN(CNNFamily):
    """The plain one. Its first layer gives pixels no relevance: methods that read weights are unsupported."""

    name: ClassVar[str] = "cnn"

    def first_layer(self, n_in: int, n_out: int, shape: tuple[int, int], generator: torch.Generator) -> nn.Conv2d:
        return plain(n_in, n_out, shape, generator)


class SpectralCNN(CNNFamily):
    """The first convolution is a SpectralConv2d. Ours: the paper of the eigenvalues has dense layers only."""

    name: ClassVar[str] = "spectral_cnn"

    eigenvalues: Literal["pixel", "channel"] = "pixel"
    """One for each pixel of each channel, or one a channel, which tells channels apart but no pixels."""
    l1_lambda: Strength = 1e-4
    """Of sum |lambda| of the first layer, added to the mean loss."""
    l2_lambda: Strength = 0.0
    """Of sum lambda^2: all pixels share phi, so that it sets none of them to 0."""
    l2_phi: Strength = 1e-3
    """Of sum phi^2."""

    def first_layer(self, n_in: int, n_out: int, shape: tuple[int, int], generator: torch.Generator) -> SpectralConv2d:
        each = shape if self.eigenvalues == "pixel" else None
        return SpectralConv2d(n_in, n_out, KERNEL, padding=KERNEL // 2, shape=each, generator=generator)

    def penalty(self, module: nn.Module) -> Tensor:
        """l1_lambda |lambda|_1 + l2_lambda |lambda|^2 + l2_phi |phi|^2 of the first layer."""
        first = next(layer for layer in module.children() if isinstance(layer, SpectralConv2d))
        return eigenvalue_penalty(first, self.l1_lambda, self.l2_lambda, self.l2_phi)
