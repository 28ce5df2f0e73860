"""Files that a suite names: they are looked for beside the suite's file, then in the working directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.places import expanded
from xai_bench.validation import shown

TABLES = ("csv", "simulated", "decoys", "simulated_on")
"""Datasets whose ``path`` is a file of the user."""


def load_plugins(names: Any, folder: Path | None) -> None:
    """Make the components of a suite's plugin files known.

    Raises
    ------
    InputError
        If it is not a list of paths, or a file is missing or does not run.
    """
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f'suite: plugins: expected a list of paths, such as plugins = ["mine.py"], got {shown(names)}')
    for name in names:
        registry.load_plugin(_found(name, folder, "plugins"))


def located(
    name: str, fields: dict[str, Any], folder: Path | None, *, optional: bool = False
) -> tuple[str, dict[str, Any]]:
    """Name and fields of a component, with the places of its files: of a table, and of a ``given`` network.

    Raises
    ------
    InputError
        If the file is not there, unless the dataset is ``optional``.
    """
    if name == "given" and folder is not None:
        return name, {**fields, **_files_of_given(fields, folder)}
    short, colon, path = name.partition(":")
    value = path if colon else fields.get("path")
    if folder is None or short not in TABLES or not isinstance(value, str) or not value:
        return name, fields
    place = str(_found(value, folder, short, not optional))
    return (f"{short}:{place}", fields) if colon else (name, {**fields, "path": place})


def _files_of_given(fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    path, module = fields.get("path"), fields.get("module")
    if isinstance(path, str) and path:
        found["path"] = str(_found(path, folder, "given: path"))
    if isinstance(module, str) and ":" in module:
        file, _, function = module.rpartition(":")
        found["module"] = f"{_found(file, folder, 'given: module')}:{function}"
    return found


def _found(name: str, folder: Path | None, what: str, wanted: bool = True) -> Path:
    path = expanded(name)
    if folder is None or path.is_absolute():
        return path
    for candidate in (folder / path, path):
        if candidate.is_file():
            return candidate
    if not wanted:
        return path
    raise InputError(
        f"{what}: expected a file {name!r} in the suite's folder {str(folder.absolute())!r} or in the working "
        "directory, found none: correct the path"
    )
