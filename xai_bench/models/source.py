"""Where the networks of a suite come from: trained here, or given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import nn

from xai_bench.datasets.base import Dataset
from xai_bench.models.base import FittedModel, Kind


class ModelSource(Protocol):
    """What stands under ``[[models]]``: an ``Architecture``, which is trained here, or a ``Given`` network.

    Everybody who wants a network of a dataset asks a source; whether it is trained is nobody else's concern.
    """

    name: ClassVar[str]
    trains: ClassVar[bool]
    """Whether the network comes from the data and a seed. One that does not is the same in every draw."""
    needs_picture: ClassVar[bool]
    """See ``Architecture``."""

    def identity(self) -> dict[str, Any]:
        """All that its networks depend on beside data and seed, JSON-ready."""

    def unsupported(self, data: Dataset) -> str | None:
        """Why it has no network for this dataset, or None."""

    def fit(
        self, data: Dataset, seed: int, columns: Sequence[int] | None = None, *, device: str | torch.device = "cpu"
    ) -> FittedModel:
        """The network for a dataset, in eval mode, with its scores.

        Parameters
        ----------
        data : standardised as wished; of a given network in canonical order
        seed : of all randomness of a training
        columns : those that the network sees, ascending; None for all
        """

    def network(
        self, shape: tuple[int, ...], n_outputs: int, generator: torch.Generator, kind: Kind = "classification"
    ) -> nn.Module:
        """The same module with new weights, which are drawn from ``generator``."""
