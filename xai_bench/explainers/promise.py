"""What a method promises of the inputs that it selects at a level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xai_bench.datasets.inputs import Inputs
from xai_bench.datasets.truth import Controls, Null


@dataclass(frozen=True)
class Promise:
    """At a level a, the inputs whose p-value is at most a are selected; an error is then at most a.

    Attributes
    ----------
    null : which inputs count as false, see ``GroundTruth.null``
    controls : ``type1``, the probability that such an input is selected; ``fdr``, the expected share of them in what is
        selected (a p-value is then the smallest level at which the input is)
    """

    null: Null
    controls: Controls = "type1"


def smallest_of_inputs(p_values: NDArray, inputs: Inputs) -> NDArray[np.float64]:
    """(n_inputs,) the smallest of the p-values of columns (d,) of each input, times their number (Bonferroni)."""
    return np.minimum([len(columns) * p_values[list(columns)].min() for columns in inputs], 1.0)


def checked_p_values(name: str, raw: NDArray, n: int) -> NDArray[np.float64]:
    """(n,) p-values of inputs in double precision, a copy.

    Raises
    ------
    ValueError
        If the method of that name returned something else than (n,) numbers in [0, 1].
    """
    values = np.array(raw, dtype=np.float64)
    if values.shape != (n,) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"{name}: expected ({n},) p-values in [0, 1], got shape {values.shape} of {values.tolist()[:5]}"
        )
    return values
