"""The suites that come with the package: their names and titles, and the text of any suite."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from xai_bench.errors import InputError, unknown


def shipped() -> list[str]:
    """Names of the suites that come with the package."""
    return sorted(path.name.removesuffix(".toml") for path in _folder() if path.name.endswith(".toml"))


def title(name: str) -> str:
    """The title of a shipped suite."""
    return str(tomllib.loads(text_of(name)[0]).get("title", ""))


def _folder() -> list[Any]:
    return list(files("xai_bench.suites").iterdir())


def text_of(name: str) -> tuple[str, str]:
    for path in _folder():
        if path.name == f"{name}.toml":
            return path.read_text(encoding="utf-8"), path.name
    if not name.endswith(".toml"):
        raise InputError(f"{unknown('suite', name, shipped())}; or give the path of a .toml file")
    try:
        return Path(name).read_text(encoding="utf-8-sig"), name
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a UTF-8 text"
        raise InputError(f"cannot read the suite {name!r}: {reason}") from None
