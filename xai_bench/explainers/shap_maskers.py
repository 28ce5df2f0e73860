"""Rows of coalitions of inputs, for shap's explainers, made batch by batch."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


def masker_of(reference: NDArray, coalitions: int, at_once: int) -> Any:
    """shap's own masker with exact equality, or one with the same rows if all coalitions have more than ``at_once``."""
    if coalitions * len(reference) <= at_once:
        from xai_bench.explainers.shap_inside import Independent

        return Independent(reference, max_samples=len(reference))
    return Masker(reference)


class Masker:
    """``shap_inside.Independent(reference)`` for coalitions that are written as changes of the one before.

    Absent inputs are those of the background rows ``reference`` (b, d).
    """

    supports_delta_masking = True

    def __init__(self, reference: NDArray) -> None:
        self.reference, self.shape = reference, reference.shape

    def invariants(self, x: NDArray) -> NDArray[np.bool_]:
        """(b, d): where the row ``x`` (d,) is equal to a background row, to the last bit (shap: to 1e-8)."""
        return x == self.reference

    def __call__(self, changes: NDArray[np.int64], x: NDArray) -> tuple[tuple[Coalitions], NDArray[np.bool_]]:
        """The masked rows, b of each of m coalitions, and (m, b): which of them differ from the coalition before.

        ``changes`` are inputs j that enter or leave: -j - 1 if more of them make the same coalition. The first one
        may be none, a number beyond all inputs: the empty coalition.
        """
        last = changes >= 0
        coalition: NDArray[np.int64] = np.cumsum(last) - last
        flipped = np.where(last, changes, -changes - 1)
        varying = np.zeros((last.sum(), len(self.reference)), dtype=bool)
        some = flipped < len(x)
        coalition, flipped = coalition[some], flipped[some]
        np.logical_or.at(varying, coalition, ~self.invariants(x).T[flipped])
        varying[0] = True
        return (Coalitions(x, self.reference, coalition, flipped, np.arange(varying.size)),), varying


class Coalitions:
    """What stands for an array (n, d) of copies of a row ``x`` whose absent inputs are those of a background row.

    Row i b + j is coalition i before background row j of b: the first coalition is empty but for the inputs
    ``flipped`` in it, every further one is that before it but for those. ``rows`` (n,) are the ones in question. A
    slice of it is an array.
    """

    def __init__(
        self,
        x: NDArray,
        reference: NDArray,
        coalition: NDArray[np.int64],
        flipped: NDArray[np.int64],
        rows: NDArray[np.int64],
    ) -> None:
        self.x, self.reference, self.coalition, self.flipped, self.rows = x, reference, coalition, flipped, rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, which: slice) -> NDArray: ...
    @overload
    def __getitem__(self, which: NDArray[np.bool_]) -> Coalitions: ...
    def __getitem__(self, which: slice | NDArray[np.bool_]) -> NDArray | Coalitions:
        rows = self.rows[which]
        if not isinstance(which, slice):
            return Coalitions(self.x, self.reference, self.coalition, self.flipped, rows)
        coalition, background = np.divmod(rows, len(self.reference))
        first, last = coalition[0], coalition[-1]
        start, stop = np.searchsorted(self.coalition, [first, last], side="right")
        changed = np.zeros((last - first + 1, len(self.x)), dtype=bool)
        changed[0] = np.bincount(self.flipped[:start], minlength=len(self.x)) % 2
        changed[self.coalition[start:stop] - first, self.flipped[start:stop]] = True
        present = np.logical_xor.accumulate(changed, axis=0)
        return np.where(present[coalition - first], self.x, self.reference[background])
