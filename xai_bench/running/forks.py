"""Components that fork: two processes would go on with the work of one, and answer twice through one pipe."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import sysconfig
from collections.abc import Iterator

_watched = 0
"""How many blocks of ``refused`` are open."""
_forks = 0
"""How often a component forked in this process, so that its child would have gone on."""
_is_foreign = False
"""Whether the fork that happens now is such a one."""


class Forked(RuntimeError):
    """A component called os.fork()."""


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Inside, the child of an ``os.fork()`` that a component calls ends at once.

    Python itself and installed packages may fork: the children of ``multiprocessing`` and ``subprocess`` do not go on
    here. A child that comes back to a worker all the same ends there (see ``workers``).

    Raises
    ------
    Forked
        At the end, if a component forked.
    """
    global _watched, _forks
    _hook()
    before = _forks
    _watched += 1
    try:
        yield
    finally:
        _watched -= 1
        forked, _forks = _forks > before, before
    if forked:
        raise Forked("the component called os.fork(), which would double the worker: use multiprocessing or subprocess")


@functools.cache
def _hook() -> None:
    """Once a process: hooks of forks stay for good."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


@functools.cache
def _trusted() -> tuple[str, ...]:
    """Where Python and the installed packages lie."""
    paths = sysconfig.get_paths()
    return tuple({paths[name] + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _before() -> None:
    global _is_foreign
    caller = sys._getframe().f_back
    _is_foreign = bool(_watched) and caller is not None and not caller.f_code.co_filename.startswith(_trusted())


def _in_parent() -> None:
    global _forks
    _forks += _is_foreign


def _in_child() -> None:
    if _is_foreign:
        os._exit(0)
