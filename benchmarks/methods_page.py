"""``docs/methods.md``: every method with its source, package, version, tests and cost, from what the package declares.

python -m benchmarks.methods_page        # write it; ``make reports`` does too
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Template

from xai_bench import registry
from xai_bench.described import needed
from xai_bench.explainers.base import Explainer, LocalExplainer, Selector
from xai_bench.results import boards

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "methods.md"
TEMPLATE = ROOT / "benchmarks" / "templates" / "methods.md.j2"
PACKAGES = {
    "captum": "captum",
    "hidimstat": "hidimstat",
    "interpret": "interpret-core",
    "lassonet": "lassonet",
    "pytorch_tabnet": "pytorch-tabnet",
    "sage": "sage-importance",
    "shap": "shap",
    "sklearn": "scikit-learn",
    "xgboost": "xgboost-cpu",
}
"""What a module is imported as, to the package that constraints.txt has the tested version of."""
ARXIV = r"arXiv \d{4}\.\d{4,5}"
YEAR = r"(?:19|20)\d\d\b(?!\.)"
CITED = rf"\(([A-Z][^()]*(?:{YEAR}|{ARXIV})[^()]*)\)"
"""Names and a year, or a number of arXiv, within brackets."""
AUTHORS = r"[A-Z][\w-]+(?: et al\.| and [A-Z][\w-]+|(?:, [A-Z][\w-]+)+ and [A-Z][\w-]+)?"
NAMED = rf"({AUTHORS},[^.:]*?{YEAR}[^:\n]*?{ARXIV})"
"""The same without brackets."""
BASES = {Explainer, LocalExplainer, Selector}


def page() -> str:
    """All of it, in Markdown."""
    known = versions()
    names = [name for name in registry.names("explainers") if not registry.is_foreign("explainers", name)]
    lines = [
        "| method | what it is | source | by | needs | version | tested in | CPU seconds |",
        "|---|---|---|---|---|---:|---|---:|",
        *("| " + " | ".join(cells(name, known)) + " |" for name in names),
    ]
    return Template(TEMPLATE.read_text(encoding="utf-8"), keep_trailing_newline=True).render(table="\n".join(lines))


def cells(name: str, known: dict[str, str]) -> Iterator[str]:
    """Of one method; ``known``: package to the version that was tested."""
    method: Any = registry.get("explainers", name)
    text = (inspect.getdoc(method) or "").splitlines()[0].rstrip(".")
    text = re.sub(rf" {CITED}| \({ARXIV}\)", "", text).replace("``", "`")
    yield f"`{name}`"
    yield text.replace("|", "\\|")
    yield source(method) or "–"
    yield ", ".join(f"{package} {known.get(package, '')}".strip() for package in packages(method)) or "here"
    yield needed(method)
    yield str(method.version)
    yield f"`{test_of(method)}`"
    yield cost(name)


def source(method: type[Explainer]) -> str:
    """The paper that the text of a method cites first, or that of the class or module above it; "" if none does."""
    texts = [inspect.getdoc(kind) or "" for kind in own(method)]
    texts.append(inspect.getdoc(sys.modules[method.__module__]) or "")
    for text in (" ".join(text.split()) for text in texts):
        for pattern in (NAMED, CITED):
            if found := re.search(pattern, text):
                return found[1].replace("|", "\\|")
        if found := re.search(ARXIV, text):
            return found[0]
    return ""


def packages(method: type[Explainer]) -> list[str]:
    """What the classes of a method import, and what their modules import outside of classes."""
    found: set[str] = set()
    for kind in own(method):
        tree = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
        for node in tree.body:
            if not isinstance(node, ast.ClassDef) or node.name == kind.__name__:
                found |= imported(node)
    return sorted(PACKAGES[name] for name in found & set(PACKAGES))


def imported(node: ast.AST) -> set[str]:
    """First parts of the modules that are imported in a node; what this package has inside of one counts as that."""
    names = []
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            names += [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom) and child.module:
            names.append(child.module)
    inside = {"xai_bench.explainers.captum_inside": "captum", "xai_bench.explainers.shap_inside": "shap"}
    return {inside.get(name, name.partition(".")[0]) for name in names}


def own(method: type[Explainer]) -> list[type]:
    """The classes of a method, but for those that all have."""
    return [kind for kind in method.__mro__ if issubclass(kind, Explainer) and kind not in BASES]


def test_of(method: type[Explainer]) -> str:
    """The file of tests that names its class most often, of several the first."""
    named = re.compile(rf"\b{method.__name__}\b")
    files = sorted((ROOT / "tests").glob("test_*.py"))
    return max(files, key=lambda file: len(named.findall(file.read_text(encoding="utf-8")))).name


def versions() -> dict[str, str]:
    """Package to the version in constraints.txt."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


def cost(name: str) -> str:
    """Median CPU seconds of an explanation, and the shipped comparison that they are from."""
    board = boards.measured(name)
    return "–" if board is None else f"{board.costs[name]:.2g} (`{board.suite}`)"


def write() -> None:
    """Into ``docs/``."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
