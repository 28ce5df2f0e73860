"""All that a user may want to know of one component or suite: fields, defaults, bounds, texts, source, needs, cost."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from xai_bench import registry
from xai_bench.component import Component
from xai_bench.errors import InputError, unknown
from xai_bench.metrics.base import Metric
from xai_bench.results import boards
from xai_bench.suites import reading, shipped
from xai_bench.suites.suite import Entry, Suite
from xai_bench.validation import expected, shown
from xai_bench.wording import plural

NEEDS = {
    "data": "rows only, no network",
    "predict": "the outputs of a network",
    "gradient": "a network with gradients",
    "linear_first_layer": "a network whose first layer is an ordinary dense one",
    "spectral": "a network whose first layer is spectral",
}
"""What an explainer asks for, in words."""


@dataclass(frozen=True)
class Line:
    """A field of a component: its name, the values it takes, its default (None if it is required) and its text."""

    name: str
    takes: str
    default: str | None
    text: str = ""


@dataclass(frozen=True)
class Description:
    """Of one name that a suite can use.

    Attributes
    ----------
    name, family : of a component; ``suites`` of a suite
    text : its docstring; of a suite its title
    facts : what else is known: source, version, needs, cost; of a suite what it holds
    fields : of a component, own ones first
    """

    name: str
    family: str
    text: str
    facts: Mapping[str, str]
    fields: tuple[Line, ...] = ()

    def lines(self, width: int = 100) -> list[str]:
        """For a terminal."""
        found = [f"{self.name} ({self.family.removesuffix('s')})"]
        for part in self.text.strip().split("\n\n"):
            found += ["", *_wrapped(" ".join(part.split()), width)]
        found.append("")
        for name, value in self.facts.items():
            found += _wrapped(f"{name}: {value}", width)
        if self.fields:
            found += ["", "fields:"]
        for line in self.fields:
            default = "required" if line.default is None else f"default {line.default}"
            found += _wrapped(f"  {line.name}: {line.takes}; {default}", width, 6)
            found += [f"      {part}" for part in _wrapped(line.text, width - 6)]
        return found


def _wrapped(text: str, width: int, indent: int = 2) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def description(name: str) -> Description:
    """Of a suite or component; where several families have the name, ``FAMILY/NAME``.

    Raises
    ------
    InputError
        If there is none, or several.
    """
    family, slash, rest = name.partition("/")
    known = {"suites": shipped.shipped(), **{family: registry.names(family) for family in registry.FAMILIES}}
    if slash and family in known:
        if rest not in known[family]:
            raise unknown(family.removesuffix("s"), rest, known[family])
        return _of(family, rest)
    found = [family for family, names in known.items() if name in names]
    if not found:
        raise unknown("suite, component or kind", name, {*known, *(n for names in known.values() for n in names)})
    if len(found) > 1:
        choices = " or ".join(f"{family}/{name}" for family in found)
        raise InputError(f"{name!r} stands for several things: expected {choices}")
    return _of(found[0], name)


def _of(family: str, name: str) -> Description:
    if family == "suites":
        return _of_suite(reading.load(name))
    component = registry.get(family, name)
    source = {"source": registry.source(family, name)}
    if family == "metrics":
        return Description(name, family, _text_of_metric(component), source | _facts_of_metric(component))
    facts = source | {"version": str(component.version), **_facts(component), **_cost(family, name)}
    return Description(name, family, inspect.getdoc(component) or "", facts, _fields(component))


def _facts(component: Any) -> dict[str, str]:
    if component.family == "datasets":
        traits = ", ".join(component.traits) or "none beside those that a draw shows"
        return {"family": component.belongs_to or component.name, "traits": traits, **_lacking(component)}
    if component.family == "explainers":
        found = {"needs": needed(component), "joins": component.joins}
        if getattr(component, "completeness", False):
            found["completeness"] = "the attributions of a row add up to its output, less a constant"
        return found
    return {"trains": "here" if component.trains else "elsewhere"}


def needed(explainer: Any) -> str:
    """What an explainer, or its class, needs of a model, in words."""
    return explainer.asks or NEEDS.get(explainer.needs, explainer.needs)


def _lacking(source: Any) -> dict[str, str]:
    """What a dataset lacks on this machine."""
    required = any(field.is_required() for field in source.model_fields.values())
    reason = None if required else source().missing()
    return {"missing": reason} if reason else {}


def _cost(family: str, name: str) -> dict[str, str]:
    """Of its default settings, where a shipped comparison has measured it."""
    board = boards.measured(name)
    if board is None:
        return {} if family == "datasets" else {"cost": "not measured in a shipped comparison"}
    what = "a training" if family == "models" else "an explanation, with its set-up"
    return {"cost": f"{board.costs[name]:.3g} CPU seconds {what}, median in {board.suite} ({board.machines[0]})"}


def _text_of_metric(metric: Metric) -> str:
    from xai_bench.listing import listing

    summary = next((row["summary"] for row in listing("metrics") if row["name"] == metric.name), "")
    return f"{summary}." if summary else inspect.getdoc(metric.function) or metric.title


def _facts_of_metric(metric: Metric) -> dict[str, str]:
    return {
        "version": str(metric.version),
        "title": metric.title,
        "bounds": f"{metric.lower:g} to {metric.upper:g}; {metric.better} is better",
        "reads": f"{metric.reads} of a relevance",
        "ranked": "no, it is descriptive" if metric.descriptive else "yes, where chance has a score",
    }


def _fields(component: type[Component]) -> tuple[Line, ...]:
    """Own fields first, then those of the bases, with the texts below them."""
    texts: dict[str, str] = {}
    place: dict[str, int] = {}
    for depth, kind in enumerate(component.__mro__):
        if issubclass(kind, Component):
            for name, text in _texts(kind).items():
                texts[name] = texts.get(name) or text
                place.setdefault(name, depth)
    facts = sorted(component.model_fields.items(), key=lambda item: place.get(item[0], 0))
    return tuple(_field(name, field, texts.get(name, "")) for name, field in facts)


def _field(name: str, field: FieldInfo, text: str) -> Line:
    takes, default = expected(field.annotation, field.metadata), field.get_default(call_default_factory=True)
    written = "not set" if default is None else shown(default)
    return Line(name, takes, None if field.is_required() else written, field.description or text)


def _texts(kind: type) -> dict[str, str]:
    """Field to the text below it, of the fields that the class itself declares; {} where its source is not there."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):
        return {}
    found: dict[str, str] = {}
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            value = following.value if isinstance(following, ast.Expr) else None
            text = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
            found[node.target.id] = " ".join(text.split())
    return found


def _of_suite(suite: Suite) -> Description:
    facts = {
        "data seeds": ", ".join(map(str, suite.data_seeds)),
        "model seeds": ", ".join(map(str, suite.model_seeds)),
        **({"folds": str(suite.folds)} if suite.folds else {}),
    }
    for axis in ("datasets", "models", "explainers"):
        entries = getattr(suite, axis)
        facts[f"{axis} ({len(entries)})"] = ", ".join(map(_entry, entries))
    for name in ("retention", "calibration", "sanity"):
        if (part := getattr(suite, name)) is not None:
            facts[name] = f"on {plural(len(part.datasets), 'dataset')}" if part.datasets else "on all datasets"
    limits = suite.limits
    seconds = "any time" if limits.seconds is None else f"{limits.seconds:g} seconds"
    facts["limits"] = f"{seconds} and {limits.memory or 'any'} memory an explanation"
    return Description(suite.name, "suites", suite.title, facts)


def _entry(entry: Entry) -> str:
    """Its label, and the component where that is another word."""
    return entry.label if entry.label.startswith(entry.component.name) else f"{entry.label} ({entry.component.name})"
