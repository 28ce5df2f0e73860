"""What a run records of itself: one record, and one more of every other machine that computed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from xai_bench.component import canonical_json
from xai_bench.results.records import MACHINE
from xai_bench.results.store import Store

OF_RUN = ("jobs", "cluster", "threads", "plugins")
"""What the records of other machines have of the record of the run."""


@dataclass
class Runs:
    """The records of one run in a store.

    ``number``: of its own record; ``facts``: what stands there. Costs belong to the record of the machine that measured
    them: those of different machines are kept apart.
    """

    store: Store
    number: int
    facts: dict[str, Any]
    _others: dict[str, int] = field(default_factory=dict)
    _known: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def device(self) -> str:
        return str(self.facts["device"])

    def on(self, machine: Mapping[str, Any]) -> int:
        """The number of the record of what a machine computes (see ``running.machine.recorded``)."""
        if all(self.facts.get(name) == value for name, value in machine.items()):
            return self.number
        key = canonical_json(machine)
        if key not in self._others:
            facts: dict[str, Any] = {"started": now(), "part_of": self.facts["started"], **machine}
            facts |= {
                name: self.facts[name] for name in ("jobs", "cluster", "threads", "plugins") if name in self.facts
            }
            self._others[key] = number = self.store.record(facts)
            self._known[number] = facts
        return self._others[key]

    def machine(self, number: int) -> dict[str, Any]:
        """What tells the machine of that record apart from others."""
        facts = self._known.get(number, self.facts)
        return {name: facts[name] for name in MACHINE if name in facts}

    def end(self, facts: Mapping[str, Any]) -> None:
        """Complete the records."""
        self.store.end(self.number, {**self.facts, **facts})
        for number, known in self._known.items():
            self.store.end(number, {**known, "finished": now(), "cells": self.store.count(number)})


def now() -> str:
    """The time, as a text."""
    return datetime.now(UTC).isoformat(timespec="seconds")
