"""The pages of all components, from the registry: text, source, facts, fields with defaults and bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xai_bench import registry
from xai_bench.described import Description, description
from xai_bench.suites import shipped

ABOUT = {
    "suites": "Comparisons that come with the package: `xai-bench run NAME`.",
    "datasets": "What a suite can name under `[[datasets]]`.",
    "models": "What a suite can name under `[[models]]`.",
    "explainers": "What a suite can name under `[[explainers]]`. Further methods of captum and shap are `captum:CLASS` "
    "and `shap:CLASS`.",
    "metrics": "How a relevance is scored against a known truth.",
}


def page(family: str) -> str:
    """The page of a family, in Markdown."""
    names = sorted(shipped.shipped()) if family == "suites" else sorted(registry.names(family))
    shown = f"`xai-bench list {family}` lists them, `xai-bench list NAME` prints what stands here about one."
    lines = [f"# {family.capitalize()}", "", f"{ABOUT[family]} {shown}", ""]
    for name in names:
        lines += _one(description(f"{family}/{name}"))
    return "\n".join(lines) + "\n"


def _one(found: Description) -> Iterator[str]:
    yield from (f"## {found.name}", "")
    for paragraph in found.text.strip().split("\n\n"):
        yield from (_escaped(" ".join(paragraph.split())), "")
    for name, value in found.facts.items():
        if name != "missing":  # That is a fact about this machine.
            yield f"- {name}: {_fact(name, value)}"
    yield ""
    if found.fields:
        yield from ("| field | takes | default | |", "|---|---|---|---|")
        for line in found.fields:
            default = "required" if line.default is None else f"`{line.default}`"
            yield f"| `{line.name}` | {_cell(line.takes)} | {_cell(default)} | {_cell(_escaped(line.text))} |"
        yield ""


def _fact(name: str, value: str) -> str:
    return f"`{value}`" if name == "source" else _escaped(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _escaped(text: str) -> str:
    """Plain text as Markdown; what stands between double backquotes is code."""
    parts = re.split(r"``(.+?)``", text)
    return "".join(f"`{part}`" if i % 2 else re.sub(r"([*_<>\[\]\\`])", r"\\\1", part) for i, part in enumerate(parts))
