"""What scores declare of themselves: title, bounds, direction. Stored with a run: reports need no plugin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.results.records import MetricFacts
from xai_bench.scoring.recovery import declaration


def declared(names: Iterable[str], stored: Mapping[str, MetricFacts]) -> dict[str, MetricFacts]:
    """Name to facts, in the order of tables: as stored with the run, else as declared now, else nothing but a name."""
    facts_of = {name: stored.get(name) or _declared_now(name) for name in names}
    return dict(sorted(facts_of.items(), key=lambda item: (item[1].order, item[0])))


def _declared_now(name: str) -> MetricFacts:
    """For stores that do not hold the facts of their scores."""
    try:
        return declaration(registry.get("metrics", name))
    except InputError:
        return MetricFacts(name, name, None, None)
