"""The truth over inputs in the facts of a draw."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from xai_bench.datasets.base import GroundTruth, Window
from xai_bench.results.records import DrawFacts


def truth_of(facts: DrawFacts) -> GroundTruth | None:
    """The truth in the facts of a draw, or None."""
    if facts.roles is None:
        return None
    return GroundTruth(
        roles=cast(Any, facts.roles),
        relevance=None if facts.graded is None else np.array(facts.graded),
        groups=facts.groups,
        blocks=facts.blocks,
        resolution=facts.resolution,
        windows=tuple(Window(w.name, w.kind, cast(Any, w.role), w.columns) for w in facts.windows),
    )
