"""What scores declare of themselves: title, bounds, direction. Stored with a run: reports need no plugin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from xai_bench import registry
from xai_bench.errors import InputError


@dataclass(frozen=True)
class Declared:
    """The facts of a ``Metric``; a bound of None is not known, or not finite."""

    title: str
    lower: float | None = None
    upper: float | None = None
    better: str = "higher"
    reads: str = "ranks"
    descriptive: bool = False
    headline: bool = False
    order: int = 1000

    @property
    def best(self) -> float:
        """The bound at the better end; NaN where there is none."""
        bound = self.upper if self.better == "higher" else self.lower
        return float("nan") if bound is None else float(bound)

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return 1 if self.better == "higher" else -1

    @property
    def highest(self) -> str:
        """The best of several means, in words."""
        return "highest" if self.better == "higher" else "lowest"


def declared(names: Iterable[str], stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Declared]:
    """Name to facts, in the order of tables: as stored with the run, else as declared now, else nothing but a name."""
    known = {field.name for field in fields(Declared)}
    facts_of = {}
    for name in names:
        facts = stored.get(name) or _declared_now(name)
        facts_of[name] = Declared(**{"title": name, **{key: value for key, value in facts.items() if key in known}})
    return dict(sorted(facts_of.items(), key=lambda item: (item[1].order, item[0])))


def _declared_now(name: str) -> Mapping[str, Any]:
    """For stores that do not hold the facts of their scores."""
    try:
        facts: dict[str, Any] = registry.get("metrics", name).facts()
    except InputError:
        return {}
    return facts
