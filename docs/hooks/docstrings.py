"""The docstrings of this project, in the form that mkdocstrings expects: it reads types where texts stand here."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from typing import Any

import griffe

SECTION = re.compile(r"^(Parameters|Attributes|Returns)\n-+\n(.*?)(?=^\w[\w ]*\n-{3,}$|\Z)", re.MULTILINE | re.DOTALL)
ITEM = re.compile(r"^([\w*][\w*, ]*?) : (.*(?:\n +.*)*)$", re.MULTILINE)
INDENT = " " * 4
MADE = ("xai_bench.running.run.run", "xai_bench.running.run.forecast")
"""Functions that no ``def`` defines."""


def converted(text: str, returned: str = "") -> str:
    """``name : text`` as a name and its text, and what is returned under its type ``returned``."""

    def section(found: re.Match[str]) -> str:
        title, content = found.groups()
        if title == "Returns":
            listed = ITEM.sub(lambda item: f"- `{item[1]}`: {' '.join(item[2].split())}", content)
            before, dash, rest = listed.partition("- `")
            listed = f"{before.rstrip()}\n\n{dash}{rest}" if before and dash else listed
            content = f"{returned or 'found'}\n{textwrap.indent(listed, INDENT)}"
        else:
            content = ITEM.sub(rf"\1\n{INDENT}\2", content)
        return f"{title}\n{'-' * len(title)}\n{content}"

    return SECTION.sub(section, text)


class Docstrings(griffe.Extension):
    """Converts every docstring; functions that are made when their module is imported get theirs."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = converted(obj.docstring.value, str(getattr(obj, "returns", None) or ""))

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        if attr.docstring is None and attr.path in MADE:
            text = inspect.getdoc(function(attr.path)) or ""
            attr.docstring = griffe.Docstring(converted(text), parent=attr)


def function(path: str) -> Any:
    """The object of that path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)
