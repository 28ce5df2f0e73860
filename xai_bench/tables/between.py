"""What columns are to one another: copies of the target, identical columns, rows that repeat."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xai_bench.tables.columns import Read
from xai_bench.tables.target import Target

DIGITS = 6
"""Of standardised values, to which columns are compared."""
REPEATED_SHARE = 0.05
"""Rows that have a twin, above which a table is said to repeat ..."""
BY_CHANCE = 0.2
"""... unless more than this share of them is expected by chance, if columns were independent."""
LEAK = "a leak, if it is known only once the target is"
"""What is said of a column that is nearly the target."""
MOST_COMPARED = 5000
"""Rows, about, by which a column is compared with the target; ``LEAST_COMPARED`` at the least."""
LEAST_COMPARED = 40
ORDER_ALIKE = 0.99
"""Rank correlation with a number from which a column is nearly the target."""
ERRORS = 0.05
"""Of those that a constant guess makes, below which a column is nearly the classes."""
ROWS_OF_VALUE = 10
"""Rows a value on average, from which the values of a column are looked at one by one."""
MOST_APART = 100
"""Columns of whole numbers or categories, each of which may be what tells repeated rows apart."""


def related(reads: Sequence[Read], target: Target | None, keep: Sequence[str] = ()) -> list[Read]:
    """The columns, with copies of the target left out (unless they are in ``keep``) and identical ones noted."""
    result = list(reads)
    name = "" if target is None else target.name
    of_target = set() if target is None else signature(target.values, levels=target.kind == "classification")
    first: dict[bytes, str] = {}
    for i, read in enumerate(reads):
        column = read.column
        if not column.used:
            continue
        marks = signatures(read)
        if of_target & marks and column.name not in keep:
            result[i] = replace(read, column=column.left_out(f"it equals the target {name!r}"))
            continue
        if of_target & marks:
            result[i] = replace(read, column=column.noted(f"it equals the target {name!r}; kept, as was said"))
            continue
        twin = next((first[mark] for mark in sorted(marks) if mark in first), None)
        if twin is not None:
            result[i] = replace(read, column=column.noted(f"it says the same as {twin!r}: the two are interchangeable"))
        for mark in marks:
            first.setdefault(mark, column.name)
        if target is not None and column.name not in keep:
            found = telling(read, target)
            result[i] = replace(result[i], column=result[i].column.noted(found))
    return result


def telling(read: Read, target: Target) -> str:
    """In words how nearly a column is the target, "" where it is not: leaks are seldom exact copies."""
    rows = slice(None, None, max(1, len(target.values) // MOST_COMPARED))
    values, y = read.values[rows], target.values[rows]
    known = ~np.isnan(values)
    values, y = values[known], y[known]
    if len(y) < LEAST_COMPARED or len(np.unique(y)) < 2 or len(np.unique(values)) < 2:
        return ""
    if target.kind == "regression":
        found = _order_alike(values, y, target.name) if not read.column.levels else ""
    else:
        found = _classes_alike(values, y, target.name)
    return f"{found}: {LEAK}; if so, say drop = [{read.column.name!r}]" if found else ""


def _order_alike(values: NDArray, y: NDArray, name: str) -> str:
    from scipy.stats import spearmanr

    correlation = abs(float(spearmanr(values, y).statistic))
    if correlation < ORDER_ALIKE:
        return ""
    return f"it orders the rows nearly as the target {name!r} does (rank correlation {correlation:.3f})"


def _classes_alike(values: NDArray, y: NDArray, name: str) -> str:
    """A tree of one leaf a class, or of one a value where these are few, is seldom wrong."""
    from sklearn.tree import DecisionTreeClassifier

    classes, counts = np.unique(y, return_counts=True)
    numbers = np.unique(values, return_inverse=True)[1][:, None]  # trees compute in single precision
    different = int(numbers.max()) + 1
    leaves = different if different * ROWS_OF_VALUE <= len(y) else len(classes)
    tree = DecisionTreeClassifier(max_leaf_nodes=max(2, leaves), random_state=0).fit(numbers, y)
    right = int((tree.predict(numbers) == y).sum())
    others = len(y) - int(counts.max())
    return (
        f"it alone tells the target {name!r} in {right} of {len(y)} rows" if len(y) - right <= ERRORS * others else ""
    )


def signatures(read: Read) -> set[bytes]:
    """Two columns share one of these if one is a linear function of the other, or the same category in other words."""
    return signature(read.values, levels=bool(read.column.levels) or read.column.kind == "two values")


def signature(values: NDArray, levels: bool) -> set[bytes]:
    """``levels``: whether the values are names of something, so that other names say the same."""
    import pandas as pd

    found = set()
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    largest = np.abs(values[known]).max(initial=0.0)
    values = values / largest if largest > 0 else values  # squares of large numbers overflow
    if levels or len(np.unique(values[known])) == 2:
        codes = pd.factorize(values)[0]
        found.add(b"levels" + hashlib.sha256(codes.astype(np.int64).tobytes()).digest())
    spread = values[known].std() if known.any() else 0.0
    if spread > 0 and not levels:
        scaled = np.round((values - values[known].mean()) / spread, DIGITS)
        scaled = np.nan_to_num(scaled * np.sign(scaled[known][np.flatnonzero(scaled[known])[0]]), nan=1e9) + 0.0
        found.add(b"linear" + hashlib.sha256(scaled.tobytes()).digest())
    return found


@dataclass(frozen=True)
class Repeats:
    """``rows`` of ``of`` rows that have a twin in all inputs, but for the column ``apart`` ("" for none)."""

    rows: int
    of: int
    apart: str = ""

    @property
    def fact(self) -> str:
        """How many rows have a twin."""
        but = f" but {self.apart!r}" if self.apart else ""
        return f"rows repeat: {self.rows} of {self.of} rows have a twin in all inputs{but}"

    @property
    def line(self) -> str:
        """That, and what a user is to do."""
        return (
            f"{self.fact}; if rows belong together (one patient, one mouse), scores are too good unless such rows stay "
            "in one part: name their column with groups"
        )


def repeats(reads: Sequence[Read]) -> Repeats | None:
    """Rows that have a twin, if there are more than discrete columns give by chance; one column may tell them apart."""
    columns = [read for read in reads if read.column.used]
    if not columns:
        return None
    n = len(columns[0].values)
    rng = np.random.default_rng(0)
    total, alike, grouping = np.zeros(n, dtype=np.uint64), list[float](), dict[int, NDArray[np.uint64]]()
    for j, read in enumerate(columns):  # one by one: a large table is not held again
        code = np.unique(read.values, return_inverse=True, equal_nan=True)[1]
        marks = rng.integers(2**63, size=int(code.max()) + 1, dtype=np.uint64)[code]
        alike.append(float(((np.bincount(code) / n) ** 2).sum()))
        total += marks
        if len(grouping) < MOST_APART and code.max() + 1 <= n / 2 and _whole(read.values):
            grouping[j] = marks
    chance = float(np.prod(alike))
    for apart in (None, *grouping):
        rest: NDArray[np.uint64] = total if apart is None else total - grouping[apart]
        expected = -math.expm1(-n * (chance if apart is None else chance / alike[apart]))
        share = (twins := _twins(rest)) / n
        if share > REPEATED_SHARE and expected < BY_CHANCE * share:
            return Repeats(twins, n, "" if apart is None else columns[apart].column.name)
    return None


def _whole(values: NDArray[np.float64]) -> bool:
    known = values[~np.isnan(values)]
    return bool((known == np.floor(known)).all())


def _twins(marks: NDArray[np.uint64]) -> int:
    """Values that occur more than once, counted as often as they occur."""
    counts = np.unique(marks, return_counts=True)[1]
    return int(counts[counts > 1].sum())
