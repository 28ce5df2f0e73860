"""What is stored: typed facts of cells, networks and draws, and the rows of a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Status = Literal["done", "unsupported", "failed", "timed_out"]
SETTLED = ("done", "unsupported")


@dataclass(frozen=True)
class Measurement:
    """One number of a cell. ``k`` is 0 where the metric has none; a value of None has a reason."""

    metric: str
    value: float | None
    k: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Costs:
    """What one explanation took: CPU and wall seconds, bytes above the start, rows through the model."""

    setup_cpu: float = 0.0
    setup_wall: float = 0.0
    explain_cpu: float = 0.0
    explain_wall: float = 0.0
    peak_memory: int | None = None
    forward_rows: int = 0
    backward_rows: int = 0


@dataclass(frozen=True)
class CellResult:
    """What became of one cell. ``relevance`` (d,) is in canonical order, None unless ``done``.

    ``chosen``: the setting that validation chose, where there was a choice; it is kept beside the costs.
    Of a cell that is ``timed_out``, ``costs.explain_wall`` is the limit that it did not keep.
    """

    key: str
    status: Status
    reason: str = ""
    costs: Costs = field(default_factory=Costs)
    relevance: NDArray[np.float64] | None = None
    measurements: tuple[Measurement, ...] = ()
    chosen: dict[str, Any] | None = None


@dataclass(frozen=True)
class ModelRecord:
    """A trained network: what it reached (JSON-ready) and its weights (safetensors)."""

    key: str
    content: dict[str, Any]
    weights: bytes


@dataclass(frozen=True)
class DrawRecord:
    """What is known of one draw of a dataset, JSON-ready, columns in canonical order."""

    key: str
    content: dict[str, Any]


@dataclass(frozen=True)
class PlanRow:
    """One cell of the suite under the labels of the suite. ``permutation``: the number of a null run, or -1."""

    cell: str
    draw: str
    model_key: str
    dataset: str
    model: str
    explainer: str
    data_seed: int
    model_seed: int
    fold: int
    permutation: int = -1
