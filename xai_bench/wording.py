"""Words that messages and pages share."""

from __future__ import annotations


def plural(n: int, noun: str) -> str:
    """``1 dataset``, ``3 datasets``, ``1,204 cells``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
