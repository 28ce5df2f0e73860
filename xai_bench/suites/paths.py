"""Files that a suite names: they are looked for beside the suite's file, then in the working directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xai_bench import registry
from xai_bench.errors import InputError


def load_plugins(names: Any, folder: Path | None) -> None:
    """Make the components of a suite's plugin files known.

    Raises
    ------
    InputError
        If it is not a list of paths, or a file is missing or does not run.
    """
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f'suite: plugins: expected a list of paths, such as plugins = ["mine.py"], got {names!r}')
    for name in names:
        registry.load_plugin(_found(name, folder, "plugins"))


def located(row: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """A [[datasets]] table with the place of its file, if it is a ``csv`` whose path is relative."""
    short, colon, path = row["name"].partition(":") if isinstance(row.get("name"), str) else ("", "", "")
    if folder is None or short != "csv":
        return row
    wanted = not row.get("optional")

    def place(value: Any) -> Any:
        return str(_found(value, folder, "csv", wanted)) if isinstance(value, str) and value else value

    if colon:
        return {**row, "name": f"csv:{place(path)}"}
    row = {**row, "path": place(row["path"])} if "path" in row else row
    grid = row.get("grid")
    if isinstance(grid, dict) and isinstance(grid.get("path"), list):
        row = {**row, "grid": {**grid, "path": [place(value) for value in grid["path"]]}}
    return row


def _found(name: str, folder: Path | None, what: str, wanted: bool = True) -> Path:
    path = Path(name).expanduser()
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
