"""Words that messages and pages share: what follows a number agrees with it."""

from __future__ import annotations


def plural(n: int, noun: str, several: str = "") -> str:
    """``1 dataset``, ``3 datasets``, ``1,204 cells``; ``2 families`` where ``several`` is that word."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {several or f'{noun}s'}"


def are(n: int) -> str:
    """``is`` of one, else ``are``."""
    return "is" if n == 1 else "are"


def have(n: int) -> str:
    """``has`` of one, else ``have``."""
    return "has" if n == 1 else "have"
