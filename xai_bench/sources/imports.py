"""What the imports of a text reach: modules whose text counts, and the versions of what is installed.

Imports that only happen when the code runs (``importlib.import_module(name)``) are not seen.
"""

from __future__ import annotations

import ast
import functools
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

from xai_bench.sources.syntax import digest_of_text, tree_of

RECORDED = frozenset({"xai_bench", "torch", "captum", "shap", "numpy", "scipy", "sklearn", "pandas", "pydantic"})
"""Libraries whose versions every run records: in no key, as for the components of the package."""
INSTALLED = ("site-packages", "dist-packages")

Find = Callable[[str], Path | None]
"""The folder in which a module of that top-level name lies, if it is one whose text counts; else None."""


@dataclass(frozen=True)
class Source:
    """The text of one module. ``name``: dotted, "" for the file that all begins with. ``path``: of its file."""

    name: str
    path: str
    text: str

    @property
    def is_package(self) -> bool:
        return self.path.endswith("__init__.py")


@dataclass
class Reached:
    """What the static imports of a text reach: modules whose text counts, and top-level names of all others."""

    modules: dict[str, Source] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    def digest(self) -> list[Any]:
        """Hashes of the modules, and the versions of distributions; JSON-ready."""
        texts = [[name, digest_of_text(source.text)] for name, source in sorted(self.modules.items())]
        return [texts, distributions(self.others)]


def reach(
    start: Iterable[ast.stmt],
    find: Find,
    package: str = "",
    loaded: Callable[[str], str | None] = lambda _: None,
    beside: Path | None = None,
) -> Reached:
    """Every module that the imports in some statements reach, and the imports of those modules, and so on.

    ``package``: what relative imports in ``start`` begin from. ``loaded``: the text of a module of that name if it is
    known; the file may have been edited since. ``beside``: the folder in which relative imports look, whatever else
    has that name.
    """
    reached = Reached()
    waiting = [*imported_names(start, package)]
    while waiting:
        name, relative = waiting.pop()
        top = name.partition(".")[0]
        if name in reached.modules or not name:
            continue
        folder = find(top) or (beside if relative else None)
        if folder is None:
            if not relative:
                reached.others.add(top)
            continue
        source = _read(folder, name)
        if source is not None:
            source = replace(source, text=loaded(name) or source.text)
            reached.modules[name] = source
            tree = tree_of(source.text)
            inside = name if source.is_package else name.rpartition(".")[0]
            waiting += imported_names(tree.body if tree else [], inside)
    return reached


def imported_names(statements: Iterable[ast.stmt], package: str) -> Iterator[tuple[str, bool]]:
    """(dotted name, whether the import was relative) of all that may be modules, packages above them included."""
    for node in (node for statement in statements for node in ast.walk(statement)):
        found: list[str] = []
        relative = False
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base, relative = node.module or "", node.level > 0
            if node.level:
                above = package.split(".") if package else []
                if node.level - 1 > len(above):
                    continue
                base = ".".join([*above[: len(above) - node.level + 1], *filter(None, [base])])
            found = [base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)]
        for name in found:
            parts = name.split(".")
            yield from ((".".join(parts[:k]), relative) for k in range(1, len(parts) + 1))


def _read(folder: Path, name: str) -> Source | None:
    for ending in (".py", "/__init__.py"):
        path = name.replace(".", "/") + ending
        if (folder / path).is_file():
            return Source(name, str(folder / path), decoded((folder / path).read_bytes()))
    return None


def decoded(content: bytes) -> str:
    """The text of a Python file in the encoding that it declares; what cannot be read stands for itself."""
    try:
        return importlib.util.decode_source(content)
    except (SyntaxError, UnicodeDecodeError):
        return content.decode(errors="replace")


def is_foreign(path: Path) -> bool:
    """Whether a file was installed, and so has a version."""
    return any(part in INSTALLED for part in path.parts)


def below(folder: Path) -> Find:
    """Modules in a folder, and packages in it; not the standard library's, nor those that every run records."""

    def find(top: str) -> Path | None:
        if top in sys.stdlib_module_names or top in RECORDED:
            return None
        own = folder / top
        if own.with_name(f"{top}.py").is_file() or (own / "__init__.py").is_file():
            return folder
        # A folder without __init__.py is a package only where there is no other one of that name.
        return folder if own.is_dir() and _place(top, ()) in (None, folder) else None

    return find


def on_path(*folders: Path) -> Find:
    """Modules that an import finds, in ``folders`` first, unless they are installed or part of Python."""

    def find(top: str) -> Path | None:
        if top in sys.stdlib_module_names or top in RECORDED:
            return None
        place = _place(top, tuple(map(str, folders)))
        return None if place is None or is_foreign(place) else place

    return find


def _place(top: str, folders: tuple[str, ...]) -> Path | None:
    """The folder in which Python finds the file or the package of a top-level name."""
    module = sys.modules.get(top)
    spec = getattr(module, "__spec__", None)
    if spec is None or not spec.origin:
        try:
            spec = importlib.machinery.PathFinder.find_spec(top, [*folders, *sys.path])
        except (ImportError, ValueError):
            spec = None
    if spec is None or spec.origin in ("built-in", "frozen"):
        return None
    if spec.origin is None:  # A package without __init__.py.
        folders_of_it = list(spec.submodule_search_locations or ())
        return Path(folders_of_it[0]).parent if folders_of_it else None
    place = Path(spec.origin).parent
    return place.parent if spec.submodule_search_locations is not None else place


@functools.cache
def _owners() -> dict[str, list[str]]:
    return {top: sorted(set(names)) for top, names in packages_distributions().items()}


def distributions(tops: Iterable[str]) -> list[tuple[str, str]]:
    """(name, version) of the distributions that some top-level modules belong to, sorted; not of what is recorded."""
    asked = [top for top in tops if top not in RECORDED and top not in sys.stdlib_module_names]
    if not asked:
        return []
    found = []
    for name in sorted({name for top in asked for name in _owners().get(top, [])}):
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found
