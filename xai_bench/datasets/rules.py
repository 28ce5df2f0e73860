"""What a simulated target depends on: which of the given inputs, alone or together, and how strongly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from xai_bench.datasets.arrays import Floats, Ints
from xai_bench.datasets.inputs import Inputs, number_of
from xai_bench.datasets.truth import GroundTruth, Role
from xai_bench.errors import InputError

TWIN = 0.8
"""Rank correlation with a relevant input, without its sign, from which an input is redundant."""
SAME = 0.95
"""From which the two are interchangeable: the better one counts."""
FEW_VALUES = 5
"""Different values of an input below which its curve is a line: a parabola of two values is a constant."""


@dataclass(frozen=True)
class Places:
    """Every value as its place among those of its column.

    Attributes
    ----------
    columns : (n, d) mean ranks, from -1 to 1
    inputs : the columns of each input
    """

    columns: Floats
    inputs: Inputs

    @classmethod
    def of(cls, X: Floats, inputs: Inputs) -> Places:
        """Of rows X (n, d) without missing values."""
        return cls(2 * (rankdata(X, axis=0) - 0.5) / len(X) - 1, inputs)

    @property
    def varying(self) -> Ints:
        """The numbers of the inputs that are not constant."""
        moves = np.ptp(self.columns, axis=0) > 0
        return np.flatnonzero([moves[list(part)].any() for part in self.inputs])

    def alike(self, j: int) -> Floats:
        """(n_inputs,) the largest rank correlation of their columns with those of input j, without its sign."""
        centred = self.columns - self.columns.mean(0)
        length = np.sqrt((centred**2).sum(0))
        unit = centred / np.where(length > 0, length, np.inf)
        of_columns = np.abs(unit[:, list(self.inputs[j])].T @ unit).max(0)
        found = np.zeros(len(self.inputs))
        np.maximum.at(found, number_of(self.inputs), of_columns)
        found[j] = 1.0
        return found


def chosen(places: Places, count: int, rng: np.random.Generator) -> list[int]:
    """The numbers of ``count`` inputs, none a twin of another as far as there are enough others.

    Raises
    ------
    InputError
        If fewer inputs vary.
    """
    order = rng.permutation(places.varying).tolist()
    if len(order) < count:
        raise InputError(f"relevant: expected at most {len(order)}, the inputs that vary, got {count}")
    found, twins, free = list[int](), list[int](), np.ones(len(places.inputs), dtype=bool)
    for j in order:
        if len(found) == count:
            break
        if free[j]:
            found.append(j)
            free &= places.alike(j) < TWIN
        else:
            twins.append(j)
    return [*found, *twins[: count - len(found)]]


def values(places: Places, relevant: list[int], order: int, rng: np.random.Generator) -> Floats:
    """(n,) what the inputs say, with mean 0 and variance 1.

    Inputs are taken ``order`` at a time. One alone adds a curve of its place: a line, a parabola, a step or a wave.
    Several add, half and half, the sum and the product of their lines. Every level of a category has a random number.
    """
    lines = {j: _line(places, j, rng) for j in relevant}
    total = np.zeros(len(places.columns))
    for start in range(0, len(relevant), order):
        group = relevant[start : start + order]
        if len(group) == 1:
            term = _curve(lines[group[0]], rng)
        else:
            together = np.prod([lines[j] for j in group], axis=0)
            term = _standardised(np.sum([lines[j] for j in group], axis=0)) + _standardised(together)
        total += np.sqrt(len(group)) * _standardised(term)
    return _standardised(total)


def _line(places: Places, j: int, rng: np.random.Generator) -> Floats:
    columns = list(places.inputs[j])
    weights = rng.choice([-1.0, 1.0], 1) if len(columns) == 1 else rng.normal(size=len(columns))
    return _standardised(places.columns[:, columns] @ weights)


def _curve(line: Floats, rng: np.random.Generator) -> Floats:
    kind, at = int(rng.integers(4)), rng.uniform(-0.5, 0.5)
    if kind == 0 or len(np.unique(line)) < FEW_VALUES:
        return line
    if kind == 1:
        return (line - at) ** 2
    return (line > at).astype(np.float64) if kind == 2 else np.sin(2 * line + at)


def _standardised(numbers: Floats) -> Floats:
    """With mean 0 and variance 1; 0 where all are equal."""
    centred = numbers - numbers.mean()
    spread = centred.std()
    return centred / spread if spread > 1e-12 else np.zeros_like(centred)


def truth_of(places: Places, relevant: list[int]) -> GroundTruth:
    """The role of every column: what the rule takes is relevant, its twins are redundant, noise is all the rest.

    An input that can hardly be told from a relevant one is in a group with it: the better of them counts.
    """
    columns = [list(part) for part in places.inputs]
    alike = np.array([places.alike(j) for j in relevant])
    roles: list[Role] = ["noise"] * places.columns.shape[1]
    of_input: list[Role] = ["redundant" if strength >= TWIN else "noise" for strength in alike.max(0)]
    for j in relevant:
        of_input[j] = "relevant"
    groups: dict[int, list[int]] = {}
    for j, role in enumerate(of_input):
        for column in columns[j]:
            roles[column] = role
        nearest = int(alike[:, j].argmax())
        if role == "redundant" and alike[nearest, j] >= SAME:
            groups.setdefault(nearest, list(columns[relevant[nearest]])).extend(columns[j])
    return GroundTruth(tuple(roles), groups=tuple(tuple(group) for group in groups.values()))
