"""``xai-bench new``: a small installable package with one component, to start from."""

from __future__ import annotations

import builtins
import keyword
import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from xai_bench import registry
from xai_bench.errors import InputError, unknown

FAMILY_OF = {"explainer": "explainers", "dataset": "datasets", "model": "models", "metric": "metrics"}
"""What can be started, and its family."""


def new_package(kind: str, name: str, out: str | Path = ".") -> Path:
    """Write a package with one component that works, its entry point, a test of its contract and a suite to run.

    Parameters
    ----------
    kind : ``explainer``, ``dataset``, ``model`` or ``metric``
    name : the word by which suites name it
    out : folder below which the folder ``name`` is made

    Returns
    -------
    the folder

    Raises
    ------
    InputError
        If the kind is not known, the name is no identifier or taken, or the folder exists or cannot be written.
        Nothing is overwritten.
    """
    if kind not in FAMILY_OF:
        raise unknown("kind of package", kind, FAMILY_OF)
    family, folder = FAMILY_OF[kind], Path(out) / name
    if not (name.isascii() and name.isidentifier() and name == name.lower()) or keyword.iskeyword(name):
        raise InputError(
            f"expected a name of small letters, digits and underscores that is no word of Python, got {name!r}: "
            "choose another one"
        )
    if name in registry.names(family):
        raise InputError(f"the name {name!r} is taken among {family}: choose another one")
    texts = _texts(kind, family, name)
    try:
        folder.mkdir(parents=True)
        for path, text in texts.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise InputError(f"{str(folder)!r} exists: choose another name or --out; nothing is overwritten") from None
    except OSError as error:
        raise InputError(f"cannot write {str(folder)!r}: {error.strerror}; choose another --out") from None
    return folder


def _texts(kind: str, family: str, name: str) -> dict[str, str]:
    """File below the package's folder to its text."""
    module, folder = f"xai_bench_{name}", files("xai_bench.starter") / "templates"
    templates = {
        "pyproject.toml": "project.toml.txt",
        "README.md": "README.md",
        "suite.toml": f"{kind}_suite.toml",
        f"{module}.py": f"{kind}.py.txt",
        f"tests/test_{name}.py": "test.py.txt",
    }
    texts = {path: (folder / template).read_text(encoding="utf-8") for path, template in templates.items()}
    made = _made(kind, name, texts[f"{module}.py"])
    words = {
        "kind": kind,
        "article": "an" if kind == "explainer" else "a",
        "family": family,
        "name": name,
        "title": name.replace("_", " ").strip().capitalize() or name,
        "module": module,
        "project": "-".join(part for part in module.split("_") if part),
        "made": made,
        "built": made if kind == "metric" else f"{made}()",
        "version": version("xai-bench").rpartition(".")[0],
    }
    return {path: Template(text).substitute(words) for path, text in texts.items()}


def _made(kind: str, name: str, text: str) -> str:
    """What the module calls its component: nothing that it uses already, nor a name of the test."""
    made = name if kind == "metric" else "".join(part.capitalize() for part in name.split("_")) or kind.capitalize()
    used = set(re.findall(r"\w+", text)) | {"pytest", "cases", "case_name", "check", "component", *dir(builtins)}
    return f"{made}_metric" if kind == "metric" and made in used else made + kind.capitalize() if made in used else made
