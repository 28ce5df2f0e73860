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
        return np.asarray(unmasked(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what}: expected an array, got what numpy cannot read: {one_line(error, 200)}") from None


def one_a_row(values: Any, what: str) -> NDArray:
    """(n,) values of an array (n,) or (n, 1); otherwise as ``array_of``.

    Raises
    ------
    InputError
        If it has another shape.
    """
    array = array_of(values, what)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(f"{what}: expected one value a row, (n,), got the shape {array.shape}")
    return array


def unmasked(values: Any) -> Any:
    """The values, of a masked array as numbers with NaN for what is masked: ``np.asarray`` would show what is below."""
    return np.ma.filled(values.astype(np.float64), np.nan) if np.ma.is_masked(values) else values


def check_order(X: Any, values: Any, what: str) -> None:
    """Refuse a Series whose index says that its rows stand in another order than those of a DataFrame X.

    ``what``: its name, for messages.
    """
    import pandas as pd

    if not (isinstance(X, pd.DataFrame) and isinstance(values, pd.Series | pd.DataFrame)):
        return
    index, own = X.index, values.index
    if len(index) != len(own) or index.equals(own) or not (index.is_unique and own.is_unique):
        return
    if index.isin(own).all():
        raise InputError(
            f"{what}: expected the rows in the order of X, got the index of X in another order: hand over {what}.loc"
            f"[X.index], or {what}.to_numpy() if the index means nothing"
        )
