"""What the reports of the benchmarks share: tables in words, and a page and a summary from templates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from matplotlib.axes import Axes

HERE = Path(__file__).parent


class Table(NamedTuple):
    """Words in cells: the first column is text, the others are numbers."""

    caption: str
    head: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """As a pipe table."""
        lines = ["| " + " | ".join(row) + " |" for row in (self.head, *self.rows)]
        lines.insert(1, "|:---|" + "---:|" * (len(self.head) - 1))
        return "\n".join(lines)


def write(prefix: str, folder: Path, content: Mapping[str, Any]) -> None:
    """Write index.html and summary.md from the templates with that prefix."""
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(HERE / "templates"), PackageLoader("xai_bench.report")]),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("index.html", "summary.md"):
        text = environment.get_template(f"{prefix}_{name}.j2").render(content)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def plain_numbers(axis: Axes) -> None:
    """Ticks of log axes as 0.1, 1, 10: text is drawn as it is, powers would show their markup."""
    for side in (axis.xaxis, axis.yaxis):
        if side.get_scale() != "linear":
            side.set_major_formatter("{x:g}")
            side.set_minor_formatter("")
