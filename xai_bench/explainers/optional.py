"""Packages that only some methods need: an extra of this package has them."""

from __future__ import annotations

import importlib.util


def lacking(package: str, extra: str) -> str | None:
    """Why a method cannot be used where ``package`` (its name when imported) is not installed, else None."""
    if importlib.util.find_spec(package) is not None:
        return None
    return f"it needs the package {package}: run pip install 'xai-bench[{extra}]'"
