"""Code blocks of a page of Markdown, run in their order: tutorials show what their code prints when they are built.

Of a page, all blocks share one namespace and one folder of their own:

- ```` ```python ````: run; shown are what it prints, and the value of a last expression.
- ```` ```python title="mine.py" ````: written to that file, and not run.
- ```` ```console ````: lines ``$ xai-bench ...`` are run by the command line in this process; shown is its output.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from xai_bench import cli

FENCE = re.compile(r"^```(python|console)(?: title=\"([\w./-]+)\")?\n(.*?)^```$\n", re.MULTILINE | re.DOTALL)
PROMPT = "$ "
RUN_ON = "\\\n"
"""A command that goes on in the next line."""


@dataclass(frozen=True)
class Cell:
    """A code block, or the text between two (``language`` is "" then); ``title``: the file that it is written to."""

    text: str
    language: str = ""
    title: str = ""


def cells(page: str) -> list[Cell]:
    """The page in pieces, code and text."""
    found, end = [], 0
    for block in FENCE.finditer(page):
        found += [Cell(page[end : block.start()]), Cell(block[3], block[1], block[2] or "")]
        end = block.end()
    return [*found, Cell(page[end:])]


def run(page: str) -> list[tuple[Cell, str]]:
    """All pieces of a page, with what their code printed.

    Raises
    ------
    RuntimeError
        If a block fails; it names the block.
    """
    found: list[tuple[Cell, str]] = []
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for cell in cells(page):
            try:
                found.append((cell, _output(cell, namespace)))
            except Exception as error:
                raise RuntimeError(f"{type(error).__name__}: {error}, in the block:\n{cell.text}") from error
    return found


def _output(cell: Cell, namespace: dict[str, Any]) -> str:
    if cell.title:
        with open(cell.title, "w", encoding="utf-8") as file:
            file.write(cell.text)
        return ""
    with _quiet() as out:
        if cell.language == "python":
            _python(cell.text, namespace)
        elif cell.language == "console":
            for command in _commands(cell.text):
                _command(command)
    return out.getvalue()


@contextlib.contextmanager
def _quiet() -> Iterator[io.StringIO]:
    """What is printed inside; progress and warnings, on stderr, are not shown."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield out


def _python(text: str, namespace: dict[str, Any]) -> None:
    tree = ast.parse(text)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<page>", "exec"), namespace)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), "<page>", "eval"), namespace)
        if isinstance(value, pd.DataFrame):
            print(value.to_string())
        elif value is not None:
            print(value)


def _commands(text: str) -> list[list[str]]:
    lines = text.replace(RUN_ON, " ").splitlines()
    return [shlex.split(line.removeprefix(PROMPT), comments=True) for line in lines if line.startswith(PROMPT)]


def _command(words: list[str]) -> None:
    if words[0] == "cd":
        os.chdir(words[1])
        return
    if words[0] != "xai-bench":
        raise ValueError(f"expected a command of xai-bench, got {words[0]!r}")
    before, sys.argv = sys.argv, words
    try:
        cli.main()
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError(f"exit code {ended.code}") from None
    finally:
        sys.argv = before


def shown(found: list[tuple[Cell, str]]) -> str:
    """The page as Markdown, with the output below each block."""
    parts = []
    for cell, output in found:
        title = f' title="{cell.title}"' if cell.title else ""
        parts.append(f"```{cell.language}{title}\n{cell.text}```\n" if cell.language else cell.text)
        if output.strip():
            parts.append(f"\n``` {{.text .printed}}\n{output.rstrip()}\n```\n")
    return "".join(parts)


def notebook(found: list[tuple[Cell, str]]) -> dict[str, Any]:
    """The page as a notebook of Jupyter (nbformat 4), with its outputs."""
    made = []
    for position, (cell, output) in enumerate(found):
        source = _source(cell)
        if not source.strip():
            continue
        one: dict[str, Any] = {"id": f"cell-{position}", "metadata": {}, "source": source.strip("\n")}
        if not cell.language:
            made.append({"cell_type": "markdown", **one})
            continue
        printed = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
        made.append({"cell_type": "code", "execution_count": None, "outputs": printed, **one})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": made}


def _source(cell: Cell) -> str:
    """What a cell of a notebook says, with the magics for files, commands and folders."""
    if cell.title:
        return f"%%writefile {cell.title}\n{cell.text}"
    if cell.language == "console":
        commands = [shlex.join(words) for words in _commands(cell.text)]
        return "\n".join(f"%{command}" if command.startswith("cd ") else f"!{command}" for command in commands)
    return cell.text
