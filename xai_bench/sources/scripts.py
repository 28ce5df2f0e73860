"""The code of a component that a script, a notebook or a module registers, as a hash.

A component's own statement counts, and the functions, classes and values of its module that it names, transitively;
modules that it names count as a whole, what is installed by its version. A change elsewhere changes nothing.
"""

from __future__ import annotations

import ast
import linecache
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xai_bench.component import canonical_json, sha256
from xai_bench.sources.compiled import compiled
from xai_bench.sources.imports import RECORDED, decoded, imported_names, is_foreign, on_path, reach
from xai_bench.sources.statements import Statements
from xai_bench.sources.syntax import normal_form, tree_of


@dataclass(frozen=True, eq=False)
class Place:
    """Where a component was registered: a module's names, and the line of its file (or of a notebook's cell).

    ``line`` is that of the statement at the module's top, which may have called a function that registers.
    """

    names: dict[str, Any]
    filename: str
    line: int

    @property
    def folder(self) -> Path:
        """Of the module's file; the working directory, if there is none."""
        file = self.names.get("__file__")
        return Path(file).parent if file else Path()


_texts: dict[int, tuple[dict[str, Any], object, str]] = {}
"""Texts of modules as they were when they ran: a file that is edited afterwards is another code."""


def text_of(names: dict[str, Any]) -> str | None:
    """The text that a module was made from; of a notebook, all that was executed. None if there is none."""
    cells = _cells(names)
    if cells is not None:
        return cells
    spec, file = names.get("__spec__"), names.get("__file__")
    known = _texts.get(id(names))
    if known is not None and known[1] is spec:  # A module that is loaded again has another one.
        return known[2]
    if not file or not Path(file).is_file():
        return None
    text = decoded(Path(file).read_bytes())
    _texts[id(names)] = names, spec, text
    return text


def _cells(names: dict[str, Any]) -> str | None:
    """All cells that were executed, in their order; None in a module that is no notebook."""
    cells, shell = names.get("In"), names.get("get_ipython")
    if not isinstance(cells, list) or not callable(shell):
        return None
    plain = [shell().transform_cell(str(cell)) for cell in cells]
    return "\n".join(cell for cell in plain if tree_of(cell) is not None)


def remember(place: Place) -> None:
    """Keep the texts of a module and of the modules that it imports as they are now, when it runs."""
    text = text_of(place.names)
    tree = tree_of(text) if text is not None else None
    for name, _ in imported_names(tree.body if tree else [], ""):
        module, top = sys.modules.get(name), name.partition(".")[0]
        file = getattr(module, "__file__", None)
        if module and file and not {top} & (RECORDED | sys.stdlib_module_names) and not is_foreign(Path(file)):
            text_of(module.__dict__)


def loaded_text(name: str) -> str | None:
    """The text of a module that is loaded."""
    module = sys.modules.get(name)
    return None if module is None else text_of(module.__dict__)


def digest_of_script(component: Any, place: Place) -> str:
    """A hash of what a component consists of; ``place``: where it was registered."""
    names = place.names
    if isinstance(component, type) and _elsewhere(component, names):
        names = getattr(sys.modules.get(component.__module__), "__dict__", names)
    text = text_of(names)
    tree = tree_of(text) if text is not None else None
    statements = Statements(tree.body if tree else [])
    start = _own(component, place, statements)
    if not start:
        return sha256(canonical_json(compiled(component)))
    named = statements.named_by(start)
    reached = reach(named, on_path(place.folder), names.get("__package__") or "", loaded_text)
    return sha256(canonical_json([sorted(canonical_json(normal_form(one)) for one in named), reached.digest()]))


def _own(component: Any, place: Place, statements: Statements) -> list[ast.stmt]:
    """The statements that make a component: its class; of one that a call made, and of a Metric, what registers it."""
    if isinstance(component, type):
        top, _, inside = component.__qualname__.partition(".")
        own = statements.binding.get(top, [])
        if own and "<locals>" not in inside:
            return own
        return [*own, *_registering(place)]
    return _registering(place)


def _elsewhere(component: type, names: dict[str, Any]) -> bool:
    """Whether a class stands in another module than the one that registers it."""
    module = component.__module__
    if module in (names.get("__name__"), "__main__"):
        return False
    top = component.__qualname__.partition(".")[0]
    return hasattr(sys.modules.get(module), top)  # A class that ``type`` made names the module of its metaclass.


def _registering(place: Place) -> list[ast.stmt]:
    """The statement during which a component was registered."""
    in_its_file = Path(place.filename).name == Path(place.names.get("__file__") or "").name
    text = text_of(place.names) if in_its_file else "".join(linecache.getlines(place.filename))
    tree = tree_of(text or "")
    body = tree.body if tree else []
    return [node for node in body if node.lineno <= place.line <= (node.end_lineno or node.lineno)]
