"""Finds datasets, models, explainers and metrics by name: entry points, plugin files, ``@register``.

The components of xai_bench itself are entry points like anybody else's. Nothing is imported before it is
asked for by name.
"""

from __future__ import annotations

import functools
import sys
import types
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from xai_bench.component import sha256
from xai_bench.errors import InputError, unknown

FAMILIES = ("datasets", "models", "explainers", "metrics")
"""What a suite is made of."""
KINDS = (*FAMILIES, "sections")
"""What can be registered: sections are those of a report."""
SHORT_FORMS = {
    ("datasets", "csv"): ("path", "file", "csv:PATH, such as csv:table.csv"),
    ("explainers", "captum"): ("method", "class", "captum:CLASS, such as captum:Saliency"),
    ("explainers", "shap"): ("method", "class", "shap:CLASS, such as shap:KernelExplainer"),
}
"""The field that may stand behind a colon in a name, what it is, and how that is written."""

T = TypeVar("T")


@dataclass(frozen=True)
class Plugin:
    """A plugin file: workers receive its text, so that no shared disk is needed."""

    filename: str
    text: str

    @property
    def sha256(self) -> str:
        return sha256(self.text)


_registered: dict[str, dict[str, Any]] = {family: {} for family in KINDS}
_plugins: dict[str, Plugin] = {}
_loading: Plugin | None = None


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
    if name in _entry_points(family) or (taken is not None and taken is not component):
        raise InputError(f"the name {name!r} is taken among {family}: choose another one")
    if _loading is not None and isinstance(component, type):
        component.plugin_sha256 = _loading.sha256  # type: ignore[attr-defined]
    _registered[family][name] = component
    return component


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
    if name in _registered[family]:
        return _registered[family][name]
    return _entry_points(family)[name].load()


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
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a UTF-8 text"
        raise InputError(f"cannot read the plugin {str(path)!r}: {reason}; give the path of a .py file") from None
    plugin = Plugin(path.name, text)
    activate(plugin)
    return plugin


def activate(plugin: Plugin) -> None:
    """Run a plugin's text once in this process; its ``@register`` calls make its components known."""
    global _loading
    if plugin.sha256 in _plugins:
        return
    module = types.ModuleType(f"xai_bench_plugin_{plugin.sha256[:12]}")
    module.__file__ = plugin.filename
    sys.modules[module.__name__] = module
    before = {family: dict(known) for family, known in _registered.items()}
    _loading = plugin
    try:
        exec(compile(plugin.text, plugin.filename, "exec"), module.__dict__)
    except Exception as error:
        _registered.update(before)
        line = str(error).splitlines()[0] if str(error) else ""
        raise InputError(f"the plugin {plugin.filename!r} failed: {type(error).__name__}: {line}") from error
    finally:
        _loading = None
    if _registered == before:
        raise InputError(f"the plugin {plugin.filename!r} registers nothing: put @register on its classes")
    _plugins[plugin.sha256] = plugin


def plugins() -> tuple[Plugin, ...]:
    """The plugin files active in this process."""
    return tuple(_plugins.values())


def forget(family: str, name: str) -> None:
    """Remove a registered component (for tests and interactive sessions)."""
    _registered[family].pop(name, None)
