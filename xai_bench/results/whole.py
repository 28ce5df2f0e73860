"""One suite and one plan from those of its parts: runs of the same suite on other data seeds, or with other entries."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from xai_bench.errors import InputError
from xai_bench.results.comparing import first_difference
from xai_bench.results.records import PlanRow
from xai_bench.suites.suite import CONTROLS

Prefer = Literal["first", "last"]
Suites = Sequence[tuple[str, Mapping[str, Any]]]
"""(how the user named the part, its suite as its ``config``)."""
K = TypeVar("K", bound=Hashable)

AXES = ("datasets", "models", "explainers")
SEEDS = ("data_seeds", "model_seeds")
FREE = ("title", "limits", "focus", "anchor")
"""Settings that no stored number depends on: they may differ between parts."""


def suite(parts: Suites, prefer: Prefer | None = None) -> dict[str, Any]:
    """The suite that all parts are parts of: their entries and seeds together, in their order.

    A setting that a part does not have is that of the others. ``prefer``: whose title and limits count.

    Raises
    ------
    InputError
        If they are parts of several suites: another name, another setting, or other facts under one label.
    """
    found: dict[str, Any] = {}
    names = dict.fromkeys(name for _, content in parts for name in content)
    for name in names:
        if name in AXES:
            found[name] = _entries(name, parts)
        elif name in SEEDS:
            found[name] = _seeds([content.get(name, []) for _, content in parts])
        else:
            found[name] = _setting(name, parts, prefer)
    return found


def _setting(name: str, parts: Suites, prefer: Prefer | None) -> Any:
    known = [(place, content[name]) for place, content in parts if content.get(name) not in (None, "")]
    if not known:
        return parts[0][1].get(name)
    for place, value in known[1:]:
        unequal = first_difference(known[0][1], value, name)
        if unequal and not (prefer and name in FREE):
            mend = "name whose counts: --prefer first or last" if name in FREE else "merge parts of one suite only"
            raise InputError(f"{unequal.text(known[0][0], place)}: {mend}")
    return known[-1 if prefer == "last" else 0][1]


def _entries(axis: str, parts: Suites) -> list[dict[str, Any]]:
    """The entries of an axis; a label may stand for one thing on some datasets and for another on others."""
    found: dict[Any, tuple[str, dict[str, Any]]] = {}
    order: list[Any] = []
    for place, content in parts:
        own = {(entry["label"], tuple(entry.get("datasets", ()))): entry for entry in content.get(axis, [])}
        for key, entry in own.items():
            where, known = found.setdefault(key, (place, entry))
            if unequal := first_difference(known, entry):
                raise InputError(
                    f"{axis}: {key[0]!r} is not the same: {unequal.text(where, place)}: merge parts of one suite only"
                )
        order = together(order, list(own))
    return [found[key][1] for key in order]


def together(first: Sequence[K], second: Sequence[K]) -> list[K]:
    """Both lists as one: what is new stands before what follows it in the second, or at the end."""
    result = list(first)
    for at, item in enumerate(second):
        if item not in result:
            following = next((later for later in second[at + 1 :] if later in result), None)
            result.insert(len(result) if following is None else result.index(following), item)
    return result


def _seeds(lists: Sequence[Sequence[int]]) -> list[int]:
    """All of them: in the order of the list that has all, else ascending."""
    every = sorted(set().union(*lists))
    return next((list(seeds) for seeds in lists if len(seeds) == len(every)), every)


def plan(parts: Iterable[tuple[str, Iterable[PlanRow]]], whole: Mapping[str, Any]) -> tuple[list[PlanRow], int]:
    """The rows of all parts in the order of the suite, and how many were left out.

    Null runs, and further trainings where they are not crossed, belong to the first data seed of a suite: what the
    parts have of them on other data seeds is left out.

    Raises
    ------
    InputError
        If parts have cells of other keys in one place: they were planned by versions that measure otherwise.
    """
    found: dict[tuple[Any, ...], tuple[str, PlanRow]] = {}
    left_out = set()
    for place, rows in parts:
        for row in rows:
            if not _belongs(row, whole):
                left_out.add(row.cell)
                continue
            name, known = found.setdefault(row.place, (place, row))
            if known != row:
                raise InputError(
                    f"{row.explainer!r} on {row.dataset!r}, data seed {row.data_seed}, has one key in {name!r} and "
                    f"another in {place!r}: other versions of xai-bench planned them; run one of them again"
                )
    return sorted((row for _, row in found.values()), key=_order(whole)), len(left_out)


def _belongs(row: PlanRow, whole: Mapping[str, Any]) -> bool:
    first = row.data_seed == whole["data_seeds"][0]
    if row.permutation >= 0:
        return first
    return first or whole.get("crossed", True) or row.model_seed == whole["model_seeds"][0]


def _order(whole: Mapping[str, Any]) -> Any:
    """The order in which ``suites.plan`` has the blocks of a suite, and their cells."""
    at = {axis: {entry["label"]: i for i, entry in reversed(list(enumerate(whole.get(axis, []))))} for axis in AXES} | {
        axis: {seed: i for i, seed in enumerate(whole[axis])} for axis in SEEDS
    }
    cells = {name: i - len(CONTROLS) for i, name in enumerate(CONTROLS)} | at["explainers"]

    def key(row: PlanRow) -> tuple[Any, ...]:
        return (
            row.permutation >= 0, at["datasets"].get(row.dataset, -1), row.permutation, at["data_seeds"][row.data_seed],
            row.fold, at["models"].get(row.model, -1), at["model_seeds"].get(row.model_seed, row.model_seed),
            cells.get(row.explainer, len(cells)),
        )  # fmt: skip

    return key
