"""Finds datasets, models, explainers and metrics by name: entry points, plugin files, ``@register``.

The components of xai_bench itself are entry points like anybody else's. Nothing is imported before it is
asked for by name.
"""

from __future__ import annotations

import functools
import pickle
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from xai_bench import plugins as files
from xai_bench.component import canonical_json, sha256
from xai_bench.errors import FAILURES, InputError, reason_of, unknown
from xai_bench.plugins import Plugin
from xai_bench.sending import by_value
from xai_bench.sources import scripts
from xai_bench.sources.imports import reach
from xai_bench.sources.scripts import Place
from xai_bench.sources.syntax import tree_of

FAMILIES = ("datasets", "models", "explainers", "metrics")
"""What a suite is made of."""
KINDS = (*FAMILIES, "sections")
"""What can be registered: sections are those of a report."""
SHORT_FORMS = {
    ("datasets", "csv"): ("path", "file", "csv:PATH, such as csv:table.csv"),
    ("datasets", "simulated"): ("path", "file", "simulated:PATH, such as simulated:table.csv"),
    ("explainers", "captum"): ("method", "class", "captum:CLASS, such as captum:Saliency"),
    ("explainers", "shap"): ("method", "class", "shap:CLASS, such as shap:KernelExplainer"),
}
"""The field that may stand behind a colon in a name, what it is, and how that is written."""

T = TypeVar("T")
Named = tuple[str, str]
"""Family and name of a component."""

_registered: dict[str, dict[str, Any]] = {family: {} for family in KINDS}
_origins: dict[Named, str | Place] = {}
"""Where a registered component comes from: the module of a plugin, or a place in a script."""
_plugins: dict[str, Plugin] = {}
_loading: Plugin | None = None
_known_codes: dict[Named, str | None] = {}
"""Hashes that are not to be made again: those of installed code, and those that a worker was given."""


@functools.cache
def _entry_points(family: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"xai_bench.{family}"):
        if point.name in found and found[point.name].value != point.value:
            raise InputError(
                f"two packages offer {family} named {point.name!r}: {found[point.name].value} and "
                f"{point.value}; uninstall or rename one"
            )
        found[point.name] = point
    return found


def register(component: T) -> T:
    """Make a component class or a Metric known under its ``name``; works as a decorator.

    Raises
    ------
    InputError
        If the name is taken, or if it is not a component.
    """
    family, name = getattr(component, "family", None), getattr(component, "name", None)
    if family not in KINDS or not isinstance(name, str):
        raise InputError(
            f"cannot register {component!r}: expected a subclass of DataSource, Architecture or Explainer "
            "with a name, a Metric, or a Section with an id"
        )
    lacking = sorted(getattr(component, "__abstractmethods__", ()))
    if lacking:
        raise InputError(f"cannot register {name!r}: write its method {' and '.join(lacking)}")
    taken = _registered[family].get(name)
    frame = sys._getframe(1)
    names = frame.f_globals
    while frame.f_back is not None and frame.f_code.co_name != "<module>" and frame.f_back.f_globals is names:
        frame = frame.f_back  # A function of the module that registers: what called it counts.
    place = Place(names, frame.f_code.co_filename, frame.f_lineno)
    if name in _entry_points(family) or not (taken is None or taken is component or _follows(family, component, place)):
        raise InputError(f"the name {name!r} is taken among {family}: choose another one")
    _registered[family][name] = component
    if _loading is None:
        scripts.remember(place)
    _origins[family, name] = place if _loading is None else _loading.module
    return component


def _follows(family: str, component: Any, place: Place) -> bool:
    """Whether a component takes the place of an earlier one: its statement ran again, or a later cell has the name."""
    earlier, origin = _registered[family][component.name], _origins.get((family, component.name))
    if not isinstance(origin, Place) or _loading is not None or type(earlier) is not type(component):
        return False
    same_module = origin.names.get("__name__") == place.names.get("__name__")
    same_name = getattr(earlier, "__qualname__", "") == getattr(component, "__qualname__", "")
    other_cell = place.names.get("__name__") == "__main__" and origin.filename != place.filename
    return same_module and (same_name or other_cell)


def names(family: str) -> list[str]:
    """The known names of a family, sorted."""
    if family not in KINDS:
        raise unknown("kind of component", family, KINDS)
    return sorted({*_entry_points(family), *_registered[family]})


def source(family: str, name: str) -> str:
    """Where a component comes from: ``module:attribute`` of its entry point, or ``plugin``."""
    point = _entry_points(family).get(name)
    return point.value if point else "plugin"


def get(family: str, name: str) -> Any:
    """The component class (or Metric) of that name.

    Raises
    ------
    InputError
        If there is none; the nearest names are suggested.
    """
    if name not in names(family):
        raise unknown(family.removesuffix("s"), name, names(family))
    known = _registered[family].get(name)
    component = _loaded(_entry_points(family)[name]) if known is None else known
    if isinstance(component, type):
        component.plugin_sha256 = _code(family, name, component)  # type: ignore[attr-defined]
    return component


def _loaded(point: EntryPoint) -> Any:
    """What an entry point names.

    Raises
    ------
    InputError
        If its package is broken, or lacks something.
    """
    try:
        return point.load()
    except FAILURES as error:
        package = f" of the package {point.dist.name}" if point.dist else ""
        raise InputError(
            f"{point.name!r}{package} cannot be loaded ({reason_of(error)}): mend or uninstall it"
        ) from error


def installed(used: Iterable[Named]) -> dict[str, str]:
    """Distributions, with their versions, that components come from beside this package, and that plugins import."""
    metrics = (("metrics", name) for name in _entry_points("metrics"))
    points = (_entry_points(family).get(name) for family, name in (*used, *metrics) if is_foreign(family, name))
    found = {point.dist.name: point.dist.version for point in points if point is not None and point.dist}
    return found | {name: version for plugin in plugins() for name, version in plugin.installed}


def is_foreign(family: str, name: str) -> bool:
    """Whether the component of that name is from outside the package."""
    point = _entry_points(family).get(name)
    return point is None or point.module.partition(".")[0] != "xai_bench"


def code_of(component: Any) -> str | None:
    """The hash of the code of a component from outside the package, with the files that it ``depends_on``.

    None for components of the package, and for those that are not registered.

    Raises
    ------
    InputError
        If a file that it depends on is not there.
    """
    family, name = component.family, component.name
    known = _registered[family].get(name)
    if known is None and (point := _entry_points(family).get(name)) is not None:
        known = _loaded(point)
    return _code(family, name, component) if known is component else None


def _code(family: str, name: str, component: Any) -> str | None:
    if (family, name) in _known_codes:
        return _known_codes[family, name]
    origin = _origins.get((family, name)) if name in _registered[family] else None
    if origin is None:
        code, folder = _installed(_entry_points(family)[name], component)
    elif isinstance(origin, Place):
        code, folder = scripts.digest_of_script(component, origin), origin.folder
    else:
        code, folder = _plugins[origin].sha256, Path(_plugins[origin].folder)
    data = [[path, _hash_of_file(name, folder, path)] for path in getattr(component, "depends_on", ())]
    code = sha256(canonical_json([code, data])) if data else code
    if origin is None:
        _known_codes[family, name] = code
    return code


def _installed(point: EntryPoint, component: Any) -> tuple[str | None, Path]:
    """The hash of what an entry point offers: distribution, version, and the modules of its package that it imports."""
    if not is_foreign(point.group.removeprefix("xai_bench."), point.name):
        return None, Path()
    name = component.__module__ if isinstance(component, type) else point.module
    module, top = sys.modules[name], name.partition(".")[0]
    file = getattr(module, "__file__", None)
    distribution = [point.dist.name, point.dist.version] if point.dist else []
    if not file or not file.endswith(".py"):
        return sha256(canonical_json([point.value, distribution])), Path(file or "").parent
    folder = Path(getattr(sys.modules[top], "__file__", None) or file).parent
    folder = folder.parent if hasattr(sys.modules[top], "__path__") else folder
    start = tree_of(f"import {name}")
    assert start is not None
    reached = reach(start.body, lambda other: folder if other == top else None)
    return sha256(canonical_json([point.value, distribution, reached.digest()])), Path(file).parent


def _hash_of_file(name: str, folder: Path, path: str) -> str:
    file = folder / path
    if not file.is_file():
        found = "a folder" if file.is_dir() else "nothing"
        raise InputError(
            f"{name}: depends_on: expected a file at {path!r} in {str(folder)!r}, found {found}: correct the path"
        )
    return sha256(file.read_bytes())


def codes() -> dict[Named, str | None]:
    """The hashes of all registered metrics, for workers."""
    return {("metrics", name): code_of(metric) for name, metric in _registered["metrics"].items()}


def take_codes(given: Mapping[Named, str | None]) -> None:
    """In a worker: the hashes as the parent made them."""
    _known_codes.update(given)


def create(family: str, name: str, fields: dict[str, Any]) -> Any:
    """A component with its fields set. Short forms: ``csv:PATH`` is ``csv`` with ``path = PATH``, ``captum:CLASS`` and
    ``shap:CLASS`` are ``captum`` and ``shap`` with ``method = CLASS``.

    Raises
    ------
    InputError
        In one line: no such component, an unknown field, a wrong value, or neither short form nor field.
    """
    short, colon, rest = name.partition(":")
    if (family, short) in SHORT_FORMS:
        field, what, form = SHORT_FORMS[family, short]
        if colon:
            name, fields = short, {field: rest, **fields}
        elif field not in fields:
            raise InputError(f"{name} needs a {what}: write {form}; or set the field {field!r}")
    return get(family, name)(**fields)


def load_plugin(path: str | Path) -> Plugin:
    """Read a plugin file and register what it holds.

    Raises
    ------
    InputError
        If the file is missing or does not run.
    """
    plugin = files.read(Path(path))
    if plugin.module in _plugins:  # What it found by changing sys.path may have changed.
        plugin = files.complete(plugin)
    activate(plugin)
    plugin = _plugins[plugin.module] = files.complete(plugin)
    return plugin


def activate(plugin: Plugin) -> None:
    """Run a plugin's text once in this process; its ``@register`` calls make its components known.

    What an earlier text of the same file, or the same text elsewhere, has registered is forgotten.
    """
    global _loading
    known = _plugins.get(plugin.module)
    if known is not None and known.sha256 == plugin.sha256:
        return
    before = _state()
    for earlier in list(_plugins.values()):
        if plugin.path == earlier.path or plugin.sha256 == earlier.sha256:
            _forget_plugin(earlier)
    _plugins[plugin.module] = plugin
    without = _state()
    outer, _loading = _loading, plugin
    cause: BaseException | None = None
    try:
        files.execute(plugin)
        trouble = "registers nothing: put @register on its classes" if _state() == without else ""
    except FAILURES as error:
        cause, trouble = error, f"failed: {reason_of(error)}"
    finally:
        _loading = outer
    if trouble:
        for held, content in zip((_registered, _origins, _plugins), before, strict=True):
            held.clear()  # type: ignore[attr-defined]
            held.update(content)  # type: ignore[attr-defined]
        raise InputError(f"the plugin {plugin.filename!r} {trouble}") from cause


def _state() -> tuple[dict[str, dict[str, Any]], dict[Named, str | Place], dict[str, Plugin]]:
    return {family: dict(known) for family, known in _registered.items()}, dict(_origins), dict(_plugins)


def _forget_plugin(plugin: Plugin) -> None:
    for family, name in [named for named, origin in _origins.items() if origin == plugin.module]:
        _registered[family].pop(name, None)
        del _origins[family, name]
    _plugins.pop(plugin.module, None)


def of_scripts(family: str) -> bytes:
    """The components of a family that a script, a notebook or what they import has registered, for ``take``.

    Raises
    ------
    InputError
        If one cannot be sent to another process.
    """
    found = [known for name, known in _registered[family].items() if isinstance(_origins.get((family, name)), Place)]
    try:
        return by_value(found)
    except Exception as error:
        names = ", ".join(repr(component.name) for component in found)
        raise InputError(
            f"{names} cannot be sent to worker processes ({reason_of(error)}): use no open files, locks or the like "
            "there, or run without jobs"
        ) from None


def take(sent: bytes) -> None:
    """In a worker: what ``of_scripts`` sent becomes known."""
    for component in pickle.loads(sent):
        _registered[component.family][component.name] = component


def plugins() -> tuple[Plugin, ...]:
    """The plugin files active in this process."""
    return tuple(_plugins.values())


def forget(family: str, name: str) -> None:
    """Remove a registered component (for tests and interactive sessions)."""
    _registered[family].pop(name, None)
