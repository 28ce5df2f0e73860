"""Names for the arrays that datasets are made of, and whatever a user hands over as one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xai_bench.errors import InputError, one_line

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]


def array_of(values: Any, what: str) -> NDArray:
    """A numpy array of a tensor on any device, a frame, or whatever numpy understands; NaN where one is masked.

    ``what``: its name, for messages.

    Raises
    ------
    InputError
        If numpy cannot read it.
    """
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu().numpy()
        if isinstance(values, np.ma.MaskedArray):
            values = values.astype(np.float64).filled(np.nan) if np.ma.is_masked(values) else values.data
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what}: expected an array, got what numpy cannot read: {one_line(error, 200)}") from None
