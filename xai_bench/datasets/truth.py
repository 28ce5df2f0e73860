"""What is known of which inputs matter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from xai_bench.datasets.arrays import Bools, Floats, Ints
from xai_bench.datasets.inputs import Inputs, number_of, several_columns
from xai_bench.errors import InputError

Role = Literal["relevant", "redundant", "suppressor", "negligible", "noise"]
Null = Literal["marginal", "conditional"]
"""Which inputs are of no use: see ``GroundTruth.null``."""
Controls = Literal["type1", "fdr", "family"]
"""An error of a selection: per input, as a share of what is selected, of the selection as a whole."""
STRONGEST_FIRST: tuple[Role, ...] = ("relevant", "redundant", "suppressor", "negligible", "noise")
"""An input of several columns, or a group, has the strongest role of its members."""


class Window(NamedTuple):
    """A named stretch of inputs, such as the pixels around a spectral line; its largest relevance is its own.

    ``kind`` is the field's word for what it is (metal, telluric ...).
    """

    name: str
    kind: str
    role: Role
    columns: tuple[int, ...]


@dataclass(frozen=True)
class GroundTruth:
    """Which inputs are truly relevant. All indices are columns of the X beside it.

    Attributes
    ----------
    roles : (d,) of Role
        ``relevant``: in some minimal sufficient set. ``redundant``: predictive but not needed.
        ``suppressor``: helps to correct for noise only. ``negligible``: relevant, but below what data can
        show. ``noise``: independent of the target.
    relevance : (d,) float >= 0, or None
        Graded relevance, where the field defines one.
    groups : tuples of columns
        Interchangeable inputs: the best member counts, once.
    blocks : tuples of columns
        Columns of one attribute (one-hot): their relevance is summed.
    resolution : float, or None
        Graded relevance from which an input counts as clearly relevant.
    windows : tuple of Window
        Stretches of inputs that are scored as one, beside the inputs; all of the same number of columns.
    """

    roles: tuple[Role, ...]
    relevance: Floats | None = None
    groups: tuple[tuple[int, ...], ...] = ()
    blocks: tuple[tuple[int, ...], ...] = ()
    resolution: float | None = None
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        for role in self.roles:
            if role not in get_args(Role):
                raise InputError(f"unknown role {role!r}: expected one of {', '.join(get_args(Role))}")
        if self.relevance is not None:
            graded = np.asarray(self.relevance, dtype=np.float64)
            if graded.shape != (len(self.roles),) or not np.isfinite(graded).all() or (graded < 0).any():
                raise InputError(
                    f"graded truth: expected {len(self.roles)} finite values >= 0, one for each role, got shape "
                    f"{graded.shape}, lowest {graded.min(initial=0):g}: correct the grades"
                )
            object.__setattr__(self, "relevance", graded)
        for columns in (*self.groups, *self.blocks, *(window.columns for window in self.windows)):
            if any(not 0 <= column < len(self.roles) for column in columns):
                raise InputError(f"truth: expected columns in 0..{len(self.roles) - 1}, got {columns}: correct them")

    @property
    def relevant(self) -> Bools:
        """(d,) True where the role is ``relevant``."""
        return np.array([role == "relevant" for role in self.roles], dtype=bool)

    @property
    def n_relevant(self) -> int:
        return int(self.relevant.sum())

    def null(self, of: Null) -> Bools:
        """(d,) True for the inputs of which a null hypothesis holds.

        ``marginal``: the input alone is independent of the target: noise and suppressors. (Relevant inputs that act
        together only, as in XOR, may be too; roles do not say it, and they are not counted.) ``conditional``: it adds
        nothing once the others are known: noise, what is redundant, and every member of a group of interchangeable
        inputs, which the others replace.
        """
        roles = ("noise", "suppressor") if of == "marginal" else ("noise", "redundant")
        held = np.array([role in roles for role in self.roles], dtype=bool)
        if of == "conditional":
            for group in self.groups:
                held[list(group)] |= len(group) > 1
        return held

    def take(self, columns: Ints) -> GroundTruth:
        """The truth of ``X[:, columns]`` for a permutation of all columns."""
        position = np.empty(len(columns), dtype=int)
        position[columns] = np.arange(len(columns))
        moved = tuple(tuple(int(position[c]) for c in group) for group in self.groups)
        blocks = tuple(tuple(int(position[c]) for c in block) for block in self.blocks)
        windows = tuple(w._replace(columns=tuple(int(position[c]) for c in w.columns)) for w in self.windows)
        graded = None if self.relevance is None else self.relevance[columns]
        roles = tuple(self.roles[c] for c in columns)
        return replace(self, roles=roles, relevance=graded, groups=moved, blocks=blocks, windows=windows)

    def over(self, inputs: Inputs) -> GroundTruth:
        """The truth whose items are ``inputs``, a partition of the columns, in their order; it has no blocks.

        An input has the strongest role of its columns, the sum of their grades, and their places in groups and windows.
        """
        if not several_columns(inputs):
            return self
        at = number_of(inputs)

        def places(columns: Sequence[int]) -> tuple[int, ...]:
            return tuple(dict.fromkeys(int(at[column]) for column in columns))

        graded = self.relevance
        if graded is not None:
            graded = np.array([sum_of(graded[list(columns)].tolist()) for columns in inputs])
        return GroundTruth(
            roles=tuple(min((self.roles[c] for c in columns), key=STRONGEST_FIRST.index) for columns in inputs),
            relevance=graded,
            groups=tuple(places(group) for group in self.groups),
            resolution=self.resolution,
            windows=tuple(window._replace(columns=places(window.columns)) for window in self.windows),
        )


def sum_of(values: Sequence[float]) -> float:
    """The sum, rounded once: it does not depend on the order, and tenths add up to what they should."""
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf
