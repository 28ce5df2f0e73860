"""From a TOML file or a dict to a validated suite; every mistake is one line.

Only what stands under ``grid`` is expanded; a list elsewhere is one value (``hidden = [100, 100, 50]``).
"""

from __future__ import annotations

import itertools
import math
import random
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from xai_bench import registry
from xai_bench.component import stream_seed
from xai_bench.errors import InputError, listed, unknown
from xai_bench.errors import one_line as as_one_line
from xai_bench.published import anchors
from xai_bench.suites import paths
from xai_bench.suites.shipped import shipped, text_of
from xai_bench.suites.suite import (
    CONTROLS,
    UNITS,
    Calibration,
    Draws,
    Entrants,
    Entry,
    Limits,
    Part,
    Retention,
    Sanity,
    Settling,
    Suite,
    Tuning,
)
from xai_bench.validation import one_line, plain, plain_fields, shown

Model = TypeVar("Model", bound=BaseModel)
MOST_ENTRIES, MOST_CELLS = 10_000, 10_000_000
"""Points of a grid, or settings to choose from, and cells of a suite, at the most."""
MOST_MEMORY = 2**60
"""Bytes."""
LONGEST_LABEL = 500
"""Letters."""
KEYS = {*Suite.model_fields, "plugins", "extends"}
AXES = ("datasets", "models", "explainers")
ENTRY_KEYS = ("name", "label", "grid", "optional", "standardise", "datasets", "tune")


def load(name_or_path: str | Path) -> Suite:
    """Read a shipped suite by its name, or any suite from a .toml file.

    Raises
    ------
    InputError
        In one line: unknown suite, unreadable file, TOML error (with its line), unknown or wrong field.
    """
    text, where = text_of(str(name_or_path))
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{where}: not valid TOML: too many brackets in one another") from None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise InputError(f"{where}: not valid TOML: {as_one_line(str(error).splitlines()[0], 200)}") from None
    content.setdefault("name", Path(where).name.removesuffix(".toml"))
    return from_dict(content, Path(where).parent if str(name_or_path) == where else None)


def from_dict(content: dict[str, Any], folder: Path | None = None) -> Suite:
    """Validate and expand what stands in a suite file. ``folder``: where the file lies (see ``suites.paths``).

    Raises
    ------
    InputError
        See ``load``.
    """
    try:
        return _read(content, folder)
    except RecursionError:
        raise InputError("suite: expected lists and tables, got too many in one another") from None


def _read(content: dict[str, Any], folder: Path | None) -> Suite:
    fields = _extended(_table(content, "the suite"))
    unexpected = set(fields) - KEYS
    if unexpected:
        raise InputError(f"suite: {unknown('field', min(unexpected), KEYS)}")
    paths.load_plugins(fields.pop("plugins", ()), folder)
    if "tuning" in fields:
        fields["tuning"] = _validated(Tuning, _table(fields["tuning"], "[tuning]"), "[tuning]")
    for axis in AXES:
        rows = fields.get(axis, [])
        if not isinstance(rows, list | tuple) or not all(isinstance(row, dict) for row in rows):
            raise InputError(f"suite: expected [[{axis}]] tables with a name, got {shown(rows)}")
        fields[axis] = tuple(
            _tuned(axis, entry, row, fields.get("tuning")) for row in rows for entry in _expand(axis, row, folder)
        )
        _check_labels(axis, fields[axis])
    for axis, what in (("datasets", "[[datasets]]"), ("explainers", "[[explainers]]")):
        if not fields[axis]:
            raise InputError(f"the suite is empty: it needs at least one {what} table")
    for seeds in ("data_seeds", "model_seeds"):
        _check_seeds(seeds, fields, "suite")
    if fields.get("retention") is not None:
        fields["retention"] = _retention(_table(fields["retention"], "[retention]"), fields)
    if "limits" in fields:
        fields["limits"] = _limits(fields["limits"])
    if "settling" in fields:
        fields["settling"] = _validated(Settling, _table(fields["settling"], "[settling]"), "[settling]")
    for name, kind in (("calibration", Calibration), ("sanity", Sanity)):
        if fields.get(name) is not None:
            fields[name] = _part(kind, _table(fields[name], f"[{name}]"), f"[{name}]", fields)
    if fields.get("entrants") is not None:
        fields["entrants"] = _validated(Entrants, _table(fields["entrants"], "[entrants]"), "[entrants]")
    suite = _validated(Suite, fields, "suite")
    if suite.folds == 1:
        raise InputError("suite: folds must be 0 (one split) or at least 2, got 1")
    _check_models(suite)
    _check_entrants(suite)
    if suite.anchor:
        anchors.anchor(suite.anchor)
    check_size(suite)
    return suite


def check_size(suite: Suite) -> None:
    """Raise InputError if a suite has more cells than a run can plan."""
    networks = len(suite.models) * len(suite.model_seeds) + 1
    draws = len(suite.datasets) * len(suite.data_seeds) * max(suite.folds, 1)
    nulls = len(suite.datasets) * 2 * suite.calibration.runs if suite.calibration else 0
    cells = (draws + nulls) * networks * (len(suite.explainers) + len(CONTROLS))
    if cells > MOST_CELLS:
        raise InputError(
            f"suite: expected at most {MOST_CELLS:,} cells, got about {cells:.2g}: fewer seeds, folds or grid points"
        )


def _extended(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a suite with that of the shipped one that it ``extends``: its rows first, its settings below."""
    base = content.pop("extends", None)
    if base is None:
        return content
    if not isinstance(base, str) or base not in shipped():
        raise InputError(f"suite: extends: {unknown('shipped suite', str(base), shipped())}")
    below = _extended(tomllib.loads(text_of(base)[0]))
    kept = {name: value for name, value in below.items() if name not in ("name", "title")}
    further = {axis: rows for axis in AXES if isinstance(rows := content.get(axis), list | tuple)}
    return {**kept, **content, **{axis: [*below.get(axis, []), *rows] for axis, rows in further.items()}}


def _table(value: Any, where: str) -> dict[str, Any]:
    """A copy of a table of a suite."""
    if not isinstance(value, Mapping):
        what = f"a {where} table" if where.startswith("[") else f"{where} as a table"
        raise InputError(f"suite: expected {what}, got {shown(value)}")
    for key in value:
        if not isinstance(key, str):
            raise InputError(f"suite: expected texts as names in {where}, got {shown(key)}")
    return dict(value)


def _check_seeds(name: str, table: dict[str, Any], where: str) -> None:
    """A single number could be a seed, or how many there are."""
    seeds = plain(table.get(name))
    if isinstance(seeds, int) and not isinstance(seeds, bool) and seeds >= 0:
        several = f"{list(range(seeds))} for {seeds} seeds" if 1 < seeds <= 20 else "a list for several"
        raise InputError(
            f"{where}: {name}: expected a list of seeds, got {shown(seeds)}: write [{shown(seeds)}] for that seed "
            f"alone, or {several}"
        )
    if isinstance(seeds, tuple) and len(set(map(repr, seeds))) < len(seeds):
        raise InputError(f"{where}: {name} holds a seed twice")


def _retention(table: dict[str, Any], suite: dict[str, Any]) -> Retention:
    _check_seeds("seeds", table, "[retention]")
    retention = _validated(Retention, table, "[retention]")
    _check_draws(retention, "[retention]", suite)
    registry.create("models", "mlp", _table(retention.judge, "[retention.judge]"))
    return retention


def _limits(table: Any) -> Limits:
    limits = _validated(Limits, _table(table, "[limits]"), "[limits]")
    if limits.memory is not None and not re.fullmatch(rf"\d+(\.\d+)? ?({'|'.join(UNITS)})", limits.memory):
        raise InputError(
            f'[limits]: memory: expected a number and one of {", ".join(UNITS)}, such as "2GiB", got '
            f"{shown(limits.memory)}"
        )
    if limits.memory is not None and float(limits.memory[:-3]) * UNITS[limits.memory[-3:]] > MOST_MEMORY:
        raise InputError(f"[limits]: memory: expected at most 1048576 TiB, got {shown(limits.memory)}")
    return limits


def _check_models(suite: Suite) -> None:
    labels = [entry.label for entry in suite.datasets]
    for entry in suite.models:
        for label in entry.datasets:
            if label not in labels:
                raise InputError(f"suite: datasets of the model {entry.label!r}: {unknown('dataset', label, labels)}")
    if any(entry.component.needs != "data" for entry in suite.explainers):
        if not suite.models:
            raise InputError("the suite has explainers that need a model: it needs at least one [[models]] table")
        for label in labels:
            if not suite.models_on(label):
                raise InputError(f"suite: expected a model for every dataset, got none for {label!r}: add one")


def _check_entrants(suite: Suite) -> None:
    """The focus, and what ``[entrants]`` lists, are names of the suite."""
    names = suite.names()
    if suite.focus:
        check_focus(suite, suite.focus)
    if suite.entrants is None:
        return
    for axis in ("explainers", "models"):
        for label in getattr(suite.entrants, axis):
            if label not in names[axis]:
                raise InputError(f"[entrants]: {unknown(axis.removesuffix('s'), label, names[axis])}")
    known = names["explainers"] + names["entrants"]
    for name in suite.entrants.diagram:
        if name not in known:
            raise InputError(f"[entrants]: diagram: {unknown('entrant', name, known)}")


def check_focus(suite: Suite, focus: str) -> None:
    """Raise InputError if the suite has no explainer, network or entrant of that name."""
    known = [name for names in suite.names().values() for name in names]
    if focus not in known:
        raise InputError(f"suite: focus: {unknown('explainer, model or entrant', focus, known)}")


def _part(kind: type[Part], table: dict[str, Any], where: str, suite: dict[str, Any]) -> Part:
    part = _validated(kind, table, where)
    for axis in AXES:
        _check_known(axis, getattr(part, axis), where, suite)
    if isinstance(part, Draws):
        _check_draws(part, where, suite)
    return part


def _check_draws(draws: Draws, where: str, suite: dict[str, Any]) -> None:
    _check_known("datasets", draws.datasets, where, suite)
    known = plain(suite.get("data_seeds", Suite.model_fields["data_seeds"].default))
    for seed in draws.data_seeds:
        if isinstance(known, tuple) and seed not in known:
            raise InputError(f"{where}: data_seeds: expected data seeds of the suite, got {seed}: add it there")


def _check_known(axis: str, labels: Iterable[str], where: str, suite: dict[str, Any]) -> None:
    known = [entry.label for entry in suite[axis]]
    for label in labels:
        if label not in known:
            raise InputError(f"{where}: {unknown(axis.removesuffix('s'), label, known)}")


def _validated(kind: type[Model], fields: dict[str, Any], where: str) -> Model:
    try:
        return kind(**plain_fields(kind, fields))
    except ValidationError as error:
        raise InputError(one_line(kind, where, fields, error)) from None
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _expand(axis: str, row: dict[str, Any], folder: Path | None) -> list[Entry]:
    row = _table(row, f"[[{axis}]]")
    if not isinstance(row.get("name"), str):
        raise InputError(f"suite: every [[{axis}]] table needs a name; known: {listed(registry.names(axis))}")
    if "optional" in row and (axis != "datasets" or not isinstance(row["optional"], bool)):
        raise InputError("suite: optional = true or false belongs to a [[datasets]] table")
    if "standardise" in row and (axis != "datasets" or not isinstance(row["standardise"], bool)):
        raise InputError("suite: standardise = true or false belongs to the suite, or to a [[datasets]] table")
    restricted = plain(row.get("datasets", ()))
    if "datasets" in row and (
        axis != "models" or not isinstance(restricted, tuple) or not restricted or set(map(type, restricted)) != {str}
    ):
        raise InputError(
            f"suite: datasets of {row['name']!r}: expected a list of labels in a [[models]] table, got "
            f"{shown(restricted)}"
        )
    grid = _of_lists(row.get("grid", {}))
    if (
        not isinstance(grid, dict)
        or not all(isinstance(key, str) for key in grid)
        or not all(isinstance(v, list) and v for v in grid.values())
    ):
        raise InputError(
            f"suite: grid of {row['name']!r}: expected lists, such as grid = {{d = [16, 64]}}, got {shown(grid)}"
        )
    label = row.get("label")
    if label is not None and not isinstance(label, str):
        raise InputError(f"suite: label of {row['name']!r}: expected a text, got {shown(label)}")
    fields = {key: value for key, value in row.items() if key not in ENTRY_KEYS}
    both = set(fields) & set(grid)
    if both:
        raise InputError(f"suite: {row['name']}: {min(both)!r} stands both as a field and under grid")
    if label is not None:
        _check_label(label)
    _check_points("grid", row["name"], grid)
    entries = []
    for chosen in itertools.product(*grid.values()):
        point = dict(zip(grid, chosen, strict=True))
        name, values = row["name"], {**fields, **point}
        if axis in ("datasets", "models"):
            name, values = paths.located(name, values, folder, optional=row.get("optional", False))
        component = registry.create(axis, name, values)
        component.check_size()
        suffix = ", ".join(f"{key}={_in_a_label(value)}" for key, value in point.items())
        base = label or getattr(component, "label", row["name"])
        named = f"{base} ({suffix})" if suffix else base
        if named:
            _check_label(named)
        entries.append(
            Entry(
                label=named,
                component=component,
                optional=row.get("optional", False),
                standardise=row.get("standardise"),
                datasets=restricted,
            )
        )
    return entries


def _check_label(label: str) -> None:
    if not label.strip() or len(label) > LONGEST_LABEL or as_one_line(label) != label:
        raise InputError(
            f"suite: expected labels of one line and 1 to {LONGEST_LABEL} letters, got {shown(as_one_line(label, 100))}"
        )


def _check_points(what: str, name: str, table: Mapping[str, list[Any]]) -> None:
    """Whether a table of lists has a number of points that can be listed."""
    points = math.prod(map(len, table.values()))
    if points > MOST_ENTRIES:
        raise InputError(f"suite: {what} of {shown(name)}: expected at most {MOST_ENTRIES} points, got {points:.3g}")


def _of_lists(table: Any) -> Any:
    """A table of lists, with lists where tuples, ranges or arrays stand; anything else as it is."""
    if not isinstance(table, dict):
        return table
    values = {name: value if isinstance(value, list) else plain(value) for name, value in table.items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _in_a_label(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)


def _tuned(axis: str, entry: Entry, row: dict[str, Any], tuning: Tuning | None) -> Entry:
    """The entry with the settings that are tried, if the row has a ``tune`` table."""
    table, name = _of_lists(row.get("tune")), row["name"]
    if table is None:
        return entry
    if axis == "datasets":
        raise InputError(f"suite: tune belongs to [[models]] and [[explainers]], got it for the dataset {name!r}")
    if (
        not isinstance(table, dict)
        or not table
        or not {str}.issuperset(map(type, table))
        or not all(isinstance(v, list) and v for v in table.values())
    ):
        raise InputError(
            f"suite: tune of {name!r}: expected lists, such as tune = {{alpha = [0.1, 1]}}, got {shown(table)}"
        )
    both = set(table) & {*row, *row.get("grid", {})}
    if both:
        raise InputError(f"suite: {name}: {min(both)!r} stands both under tune and as a field or under grid")
    if tuning is None:
        raise InputError(f"suite: tune of {name!r} needs a budget that is the same for all: [tuning] with tries = N")
    if axis == "models" and not entry.component.trains:
        raise InputError(f"suite: {name!r} cannot be tuned: it is not trained here: remove tune")
    if axis == "explainers" and not getattr(entry.component, "predicts", False):
        raise InputError(
            f"suite: {name!r} cannot be tuned: it has no validation score to choose by; explainers that fit what "
            "predicts have one, and so have [[models]]: remove tune"
        )
    _check_points("tune", name, table)
    points = [dict(zip(table, values, strict=True)) for values in itertools.product(*table.values())]
    if len(points) > tuning.tries:
        rng = random.Random(stream_seed("tuning", entry.component.identity(), table, tuning.tries))
        points = rng.sample(points, tuning.tries)
    result = entry.model_copy(update={"candidates": tuple(points), "tries": tuning.tries})
    for point in points:
        result.settled(point)  # A wrong field or value is an error now, not in a worker.
    return result


def _check_labels(axis: str, entries: tuple[Entry, ...]) -> None:
    seen: dict[str, list[Entry]] = {}
    for entry in entries:
        for other in seen.setdefault(entry.label, []):
            apart = entry.datasets and other.datasets and not set(entry.datasets) & set(other.datasets)
            if not apart:
                where = " on the same dataset" if axis == "models" else ""
                raise InputError(f"suite: two {axis} are called {entry.label!r}{where}: give one of them a label")
        if axis == "explainers" and entry.label in CONTROLS:
            raise InputError(f"suite: the control {entry.label!r} is always there: remove it, or choose another label")
        seen[entry.label].append(entry)


def narrowed(suite: Suite, axis: str, labels: list[str]) -> set[str]:
    """The labels of an axis that were asked for.

    Raises
    ------
    InputError
        If one does not exist in the suite.
    """
    known = [entry.label for entry in getattr(suite, axis)]
    for label in labels:
        if label not in known:
            raise unknown(f"{axis.removesuffix('s')} of the suite {suite.name!r}", label, known)
    return set(labels)
