"""Whether attributions add up: to the output of a row less that of the baseline, or of the background on average."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-2
"""Of the root mean square, over rows, of what the attributions of a row should add up to."""
ROUNDING = 1e-5
"""Of the largest output: what float32 loses of a difference of outputs."""


def miss(values: NDArray, differences: NDArray, outputs: NDArray) -> str | None:
    """By how much the sums of ``values`` (n, d) miss ``differences`` (n,), in words; None within the tolerance.

    ``outputs`` (n,) are those of the explained rows.
    """
    off = float(np.abs(values.reshape(len(values), -1).sum(1, dtype=np.float64) - differences).max())
    spread = float(np.sqrt(np.mean(np.square(differences, dtype=np.float64))))
    if off <= TOLERANCE * spread + ROUNDING * float(np.abs(outputs).max()):
        return None
    return f"the attributions of a row miss its output by {off:.3g}, where the root mean square is {spread:.3g}"
