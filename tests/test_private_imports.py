"""What this package uses of three libraries below their public names is still there.

It stands in one module a library. A failure names the version that lacks something: mend that module, or bound the
library in pyproject.toml.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from importlib.metadata import version
from pathlib import Path
from types import FunctionType

import pytest

ROOT = Path(__file__).parents[1]
INSIDE = {
    "captum": "xai_bench/explainers/captum_inside.py",
    "shap": "xai_bench/explainers/shap_inside.py",
    "sklearn": "xai_bench/sklearn_inside.py",
}
DISTRIBUTIONS = {"captum": "captum", "shap": "shap", "sklearn": "scikit-learn"}
ADDED = {"RelativeLasso.fit", "Lime.__init__", "Partition.__init__"}
"""Methods that are public or constructors: they are called by name here, or replace what Python has."""


def private(file: Path) -> list[tuple[str, str]]:
    """(module, name) that ``file`` imports of the three libraries, one of whose parts begins with an underscore."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [(node.module, alias.name) for alias in node.names]
    return [
        (module, name)
        for module, name in found
        if module.partition(".")[0] in INSIDE and any(part.startswith("_") for part in f"{module}.{name}".split("."))
    ]


IMPORTS = [pair for file in INSIDE.values() for pair in private(ROOT / file)]


def installed(library: str) -> str:
    return f"{DISTRIBUTIONS[library]} {version(DISTRIBUTIONS[library])}"


@pytest.mark.parametrize(("module", "name"), IMPORTS, ids=[".".join(pair) for pair in IMPORTS])
def test_private_name_is_there(module, name):
    library = module.partition(".")[0]
    try:
        there = hasattr(importlib.import_module(module), name)
    except ImportError:
        there = False
    assert there, f"{installed(library)} has no {module}.{name}, which {INSIDE[library]} imports"


@pytest.mark.parametrize("library", ["captum", "shap"])
def test_methods_that_are_replaced_are_there(library):
    """A method that the library no longer calls by that name would replace nothing."""
    inside = importlib.import_module(INSIDE[library].removesuffix(".py").replace("/", "."))
    replaced = 0
    for own in vars(inside).values():
        if not inspect.isclass(own) or own.__module__ != inside.__name__:
            continue
        bases = [base for base in own.__mro__ if base.__module__.partition(".")[0] == library]
        mine = [part for part in own.__mro__ if part.__module__ == inside.__name__]
        for name in {name for part in mine for name, value in vars(part).items() if isinstance(value, FunctionType)}:
            if bases and f"{own.__name__}.{name}" not in ADDED:
                there = any(name in vars(base) for base in bases)
                assert there, f"{installed(library)} has no {name} in {bases[0].__qualname__}, which {own} replaces"
                replaced += 1
    assert replaced >= 4


def test_private_names_are_imported_in_one_module_a_library():
    allowed = {ROOT / file for file in INSIDE.values()}
    files = [path for folder in ("xai_bench", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert {path for path in files if private(path)} == allowed
