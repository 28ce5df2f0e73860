"""A plugin file: its text with those of the modules beside it that it imports, and running them.

Workers receive the texts, so that no shared disk is needed. A plugin's modules are its own: two plugins may each have a
``helper.py``, and nobody else's ``import helper`` finds either.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from xai_bench.component import canonical_json, sha256
from xai_bench.errors import InputError
from xai_bench.sources.imports import RECORDED, Find, Source, below, distributions, on_path, reach
from xai_bench.sources.scripts import loaded_text
from xai_bench.sources.syntax import digest_of_text, tree_of
from xai_bench.validation import shown


@dataclass(frozen=True)
class Plugin:
    """A plugin file.

    Attributes
    ----------
    filename : the file's name
    text : of the file
    folder : where it lies
    module : under which name it runs
    modules : those below its folder that its imports reach
    elsewhere : (name, hash) of modules that its imports reach outside of its folder and that are not installed
    installed : (name, version) of the distributions that its imports reach, beside those that every run records
    """

    filename: str
    text: str
    folder: str = ""
    module: str = ""
    modules: tuple[Source, ...] = ()
    elsewhere: tuple[tuple[str, str], ...] = ()
    installed: tuple[tuple[str, str], ...] = ()

    @functools.cached_property
    def sha256(self) -> str:
        """A hash of the syntax of all texts, and of the versions."""
        modules = [[source.name, digest_of_text(source.text)] for source in self.modules]
        return sha256(canonical_json([digest_of_text(self.text), modules, self.elsewhere, self.installed]))

    @property
    def path(self) -> str:
        return str(Path(self.folder) / self.filename)


def read(path: Path) -> Plugin:
    """A plugin file, and what it imports from its folder.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        text = importlib.util.decode_source(path.read_bytes())
    except (OSError, ValueError, SyntaxError) as error:  # ValueError: bytes of no text, or no path
        reason = getattr(error, "strerror", None) or "not a UTF-8 text"
        raise InputError(f"cannot read the plugin {shown(str(path))}: {reason}; give the path of a .py file") from None
    folder = path.resolve().parent
    plugin = _reaching(Plugin(path.name, text, str(folder)), below(folder))
    texts = [plugin.path, text, *([source.name, source.text] for source in plugin.modules)]
    return replace(plugin, module=f"xai_bench_plugin_{sha256(canonical_json(texts))[:12]}")


def _reaching(plugin: Plugin, find: Find) -> Plugin:
    tree = tree_of(plugin.text)
    itself = Path(plugin.filename).stem
    reached = reach(
        tree.body if tree else [], lambda top: None if top == itself else find(top), beside=Path(plugin.folder)
    )
    folder = Path(plugin.folder)
    own: list[Source] = []
    elsewhere: list[tuple[str, str]] = []
    for name, source in sorted(reached.modules.items()):
        if Path(source.path).is_relative_to(folder):
            own.append(source)
        else:
            elsewhere.append((name, digest_of_text(loaded_text(name) or source.text)))
    others = reached.others | {name.partition(".")[0] for name, _ in elsewhere}
    return replace(plugin, modules=tuple(own), elsewhere=tuple(elsewhere), installed=tuple(distributions(others)))


def complete(plugin: Plugin) -> Plugin:
    """With the modules that it found on ``sys.path``, which it may have changed, now that it has run."""
    near, far = below(Path(plugin.folder)), on_path()

    def find(top: str) -> Path | None:
        found = near(top) or far(top)
        return found.resolve() if found else None

    return _reaching(plugin, find)


def execute(plugin: Plugin) -> None:
    """Run a plugin's text, as the module of its name.

    Raises
    ------
    Exception
        Whatever it raises.
    """
    remove(plugin)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.add(plugin)
    try:
        importlib.import_module(plugin.module)
    except BaseException:
        remove(plugin)
        raise


def remove(plugin: Plugin) -> None:
    """Forget a plugin's modules."""
    _finder.plugins.pop(plugin.module, None)
    for name in [name for name in sys.modules if name.partition(".")[0] == plugin.module]:
        del sys.modules[name]


class _Finder:
    """Finds the modules of plugins, by their texts; is its own loader."""

    def __init__(self) -> None:
        self.plugins: dict[str, tuple[Plugin, dict[str, Source]]] = {}

    def add(self, plugin: Plugin) -> None:
        own = Source("", "__init__.py", plugin.text)
        sources = {"": own, **{source.name: source for source in plugin.modules}}
        for source in plugin.modules:
            name, folder = source.name, Path(source.path).parent
            folder = folder.parent if source.is_package else folder
            while "." in name:  # A folder without __init__.py is a package too.
                name = name.rpartition(".")[0]
                sources.setdefault(name, Source(name, str(folder / "__init__.py"), ""))
                folder = folder.parent
        self.plugins[plugin.module] = plugin, sources

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, _, inner = name.partition(".")
        if root not in self.plugins or inner not in self.plugins[root][1]:
            return None
        plugin, sources = self.plugins[root]
        source = sources[inner]
        place = Path(source.path if inner else plugin.path)
        spec = ModuleSpec(name, self, origin=str(place), is_package=source.is_package)  # type: ignore[arg-type]
        spec.has_location = True
        if source.is_package:
            spec.submodule_search_locations = [str(place.parent)]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        root, _, inner = module.__name__.partition(".")
        plugin, sources = self.plugins[root]
        own = {name.partition(".")[0] for name in sources if name} - sys.stdlib_module_names - RECORDED
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _importing(plugin, own)}
        exec(compile(sources[inner].text, str(module.__file__), "exec"), module.__dict__)


_finder = _Finder()


def _importing(plugin: Plugin, own: set[str]) -> Any:
    """``__import__`` of a plugin's modules: what it has of its own comes first."""

    def imported(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level == 0 and top in own:
            module = builtins.__import__(f"{plugin.module}.{name}", globals, locals, fromlist or (), 0)
            return module if fromlist else sys.modules[f"{plugin.module}.{top}"]
        return builtins.__import__(name, globals, locals, fromlist or (), level)

    return imported
