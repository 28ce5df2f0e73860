"""Classes of shap with tolerances that this package takes away. Loading this module loads shap.

shap leaves an input out where a row and the background differ by less than 1e-8, whatever the scale of the column, and
sets what kernel SHAP finds to 0 below 1e-10, whatever the scale of the outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shap
from numpy.typing import NDArray
from shap.explainers._deep.deep_pytorch import linear_1d, nonlinear_1d, op_handler, passthrough

from xai_bench.explainers.kinds_of_layers import LINEAR, ONE_NUMBER, PASSING

__all__ = ["OUTPUT_SCALE", "Independent", "Kernel", "Partition", "Sampling", "op_handler"]

OUTPUT_SCALE = 2.0**100
"""Outputs are multiplied by it, and values divided: exact, and shap's 1e-10 become 1e-40."""


# shap looks layers up by the name of their class; those that it knows keep their rule.
for kinds, rule in ((PASSING, passthrough), (LINEAR, linear_1d), (ONE_NUMBER, nonlinear_1d)):
    for kind in kinds:
        op_handler.setdefault(kind.__name__, rule)
op_handler.setdefault("Addition_Module", linear_1d)  # captum's sum of two


class _ExactInvariants:
    """What the two maskers below add to shap's."""

    data: NDArray

    def invariants(self, x: NDArray) -> NDArray[np.bool_]:
        """(b, d): where the row ``x`` (d,) is equal to a background row, to the last bit."""
        return x == self.data


class Independent(_ExactInvariants, shap.maskers.Independent):
    """shap's, with exact equality."""


class Partition(_ExactInvariants, shap.maskers.Partition):
    """shap's, with exact equality; columns are clustered as standardised ones, since shap adds noise of 1e-8."""

    def __init__(self, data: NDArray) -> None:
        spread = data.std(0, dtype=np.float64)
        standardised = (data - data.mean(0, dtype=np.float64)) / np.where(spread > 0, spread, 1.0)
        clustering = shap.utils.hclust(standardised, metric="correlation")
        super().__init__(data, max_samples=len(data), clustering=clustering)


class _ExactGroups:
    """What the two explainers below add to shap's."""

    def varying_groups(self, x: Any) -> NDArray[np.intp]:
        """The inputs in which the row ``x`` (1, d) differs from a background row."""
        return np.flatnonzero((x != self.data.data).any(0))  # type: ignore[attr-defined]


class Kernel(_ExactGroups, shap.KernelExplainer):
    """shap's, with exact equality."""


class Sampling(_ExactGroups, shap.SamplingExplainer):
    """shap's, with exact equality."""
