"""Networks whose weights are set by hand: nothing is trained, and what they rely on is known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from xai_bench.component import Component
from xai_bench.datasets.base import Dataset
from xai_bench.datasets.hand_set import Block, Layer, NetworkName, relevant_inputs, wired
from xai_bench.devices import seeded
from xai_bench.errors import InputError
from xai_bench.models.base import FittedModel, Kind
from xai_bench.models.given import fitted_to


class HandSetNetwork(Component):
    """The network that the target of the dataset ``hand_set`` comes from: see there, and ``models.source.ModelSource``.

    Its fields are those of the dataset. It knows the columns as they are: the dataset needs ``standardise = false``.
    """

    family: ClassVar[str] = "models"
    name: ClassVar[str] = "hand_set_network"
    trains: ClassVar[bool] = False
    needs_picture: ClassVar[bool] = False

    wiring: NetworkName = "additive"
    """The field ``network`` of the dataset."""
    irrelevant: int = Field(default=12, ge=1)
    """Inputs that change nothing."""

    def unsupported(self, data: Dataset) -> str | None:
        """Why the network does not belong to a dataset, or None."""
        expected = relevant_inputs(self.wiring) + self.irrelevant
        if data.kind != "regression" or data.d != expected:
            return f"the network {self.wiring} is one for regression with {expected} columns: this is another dataset"
        if data.input_mean is not None:
            return "the network knows the columns as they are: set standardise = false for the dataset"
        return None

    def network(
        self, shape: tuple[int, ...], n_outputs: int, generator: torch.Generator, kind: Kind = "classification"
    ) -> nn.Module:
        """The same layers with weights drawn anew."""
        with seeded(int(torch.randint(2**62, (), generator=generator))):
            module = self.module()
            for part in module.modules():
                if isinstance(part, nn.Linear):
                    part.reset_parameters()
        return module

    def module(self) -> nn.Sequential:
        """The network, in single precision and eval mode: (n, d) to (n, 1)."""
        description = wired(self.wiring, self.irrelevant)
        parts: list[nn.Module] = []
        for part in description.parts:
            if isinstance(part, Block):
                parts.append(Skipped(part))
                continue
            if parts and not description.skips:
                parts.append(nn.ReLU())
            parts.append(_linear(part))
        return nn.Sequential(*parts).eval()

    def fit(
        self, data: Dataset, seed: int = 0, columns: Sequence[int] | None = None, *, device: str | torch.device = "cpu"
    ) -> FittedModel:
        """The network with its scores on a dataset in canonical order.

        Raises
        ------
        InputError
            If it is to see some of the columns only.
        """
        if columns is not None and len(columns) < data.d:
            raise InputError(
                f"a network set by hand needs all its inputs: expected {data.d} columns, got {len(columns)}"
            )
        return fitted_to(data, self.module(), device)


class Skipped(nn.Module):
    """z + Linear(ReLU(Linear(z))) for z (n, width)."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.added = nn.Sequential(_linear(block.first), nn.ReLU(), _linear(block.second))

    def forward(self, z: Tensor) -> Tensor:
        return z + self.added(z)


def _linear(layer: Layer) -> nn.Linear:
    linear = nn.Linear(*reversed(layer.weight.shape))
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(layer.weight))
        linear.bias.copy_(torch.from_numpy(layer.bias))
    return linear
