"""A table of texts in Markdown or LaTeX: bold names, rules between parts, nothing that is taken for a command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from xai_bench.errors import one_line

IN_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "−": "$-$", "–": "--", "—": "---", "…": r"\ldots{}", "≥": r"$\geq$",
    "≤": r"$\leq$", "±": r"$\pm$", "×": r"$\times$", "²": r"\textsuperscript{2}", "µ": r"$\mu$",
}  # fmt: skip
"""What LaTeX would take for a command, or its usual fonts do not have."""
FORMULAS = ("=", "+", "-", "@")
"""What a formula begins with in a spreadsheet."""
LEFT_OPEN = re.compile(r"([\\`*_\[\]<>|#~])")
"""What Markdown would take for marks."""


@dataclass(frozen=True)
class Shown:
    """A table of texts.

    Attributes
    ----------
    head : names of the columns; ``rows`` : texts, one for each column
    notes : what a reader must know, one sentence each
    strong : numbers of the rows that are bold, in their first ``strong_columns`` columns
    rules : numbers of the rows that a rule stands before
    text_columns : how many columns from the left are texts; the others are numbers, on the right
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    strong: frozenset[int] = field(default_factory=frozenset)
    strong_columns: int = 1
    rules: frozenset[int] = field(default_factory=frozenset)
    text_columns: int = 1


def markdown(table: Shown) -> str:
    """A table in the dialect of GitHub; rules between rows do not exist there, and are left out."""
    sides = ["---" if i < table.text_columns else "---:" for i in range(len(table.head))]
    lines = [_of_markdown(map(_in_markdown, table.head)), _of_markdown(sides)]
    for number, row in enumerate(table.rows):
        cells = [_in_markdown(text) for text in row]
        if number in table.strong:
            cells[: table.strong_columns] = [f"**{text}**" if text else "" for text in cells[: table.strong_columns]]
        lines.append(_of_markdown(cells))
    notes = "".join(f"\n{_in_markdown(note)}\n" for note in table.notes)
    return "\n".join(lines) + "\n" + notes


def csv(frame: pd.DataFrame) -> str:
    """A table in full as CSV. A text that a spreadsheet would take for a formula has an apostrophe before it."""
    texts = {str(name): column.map(_harmless) for name, column in frame.items() if not is_numeric_dtype(column)}
    return frame.assign(**texts).rename(columns=_harmless).to_csv(index=False)


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = one_line(value, len(value) + 1)
    return f"'{text}" if text.lstrip().startswith(FORMULAS) else text


def _of_markdown(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _in_markdown(text: str) -> str:
    return LEFT_OPEN.sub(r"\\\1", " ".join(text.split()))


def latex(table: Shown) -> str:
    """A tabular with the rules of the package booktabs; the notes stand before it as comments."""
    lines = [r"% Needs \usepackage{booktabs}.", *(f"% {' '.join(note.split())}" for note in table.notes)]
    sides = "l" * table.text_columns + "r" * (len(table.head) - table.text_columns)
    lines += [
        rf"\begin{{tabular}}{{{sides}}}",
        r"\toprule",
        _of_latex([in_latex(name) for name in table.head]),
        r"\midrule",
    ]
    for number, row in enumerate(table.rows):
        if number in table.rules:
            lines.append(r"\midrule")
        cells = [in_latex(text) for text in row]
        if number in table.strong:
            cells[: table.strong_columns] = [
                rf"\textbf{{{text}}}" if text else "" for text in cells[: table.strong_columns]
            ]
        lines.append(_of_latex(cells))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _of_latex(cells: Sequence[str]) -> str:
    # A row that begins with a bracket would be the argument of the line break before it.
    first = f"{{}}{cells[0]}" if cells and cells[0].startswith(("[", "*")) else "".join(cells[:1])
    return rf"{' & '.join([first, *cells[1:]])} \\"


def in_latex(text: str) -> str:
    """A text as LaTeX sets it, on one line."""
    return "".join(IN_LATEX.get(letter, letter) for letter in " ".join(text.split()))
