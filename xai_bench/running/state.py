"""The state of a process that numbers depend on: saved before somebody else's code runs, compared and restored after.

Not restored: functions of torch or numpy that were replaced, threads that go on, what a C library keeps for itself.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import locale
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.modules import module as modules

from xai_bench.running.forks import refused
from xai_bench.workers import Spent

HOOKS = tuple(name for name in sorted(vars(modules)) if name.startswith("_global_") and "hook" in name)
"""torch's tables of hooks that every module calls."""
FLOATING = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
SKLEARN = {
    "assume_finite": False,
    "transform_output": "default",
    "array_api_dispatch": False,
    "working_memory": 1024,
    "enable_metadata_routing": False,
}
"""What of scikit-learn's settings numbers depend on, as they are at first."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGALRM] if hasattr(signal, "SIGALRM") else []))


class NotRestored(Spent):
    """Somebody's code changed the state of this process, and it cannot be set back."""


@dataclass(frozen=True)
class Part:
    """One piece of state: how it is read and set. ``standard``: what it is in every worker; None for what is found."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    standard: Any = None


AUTOCAST = (("cpu", False, torch.bfloat16), ("cuda", False, torch.float16))


def _autocast() -> tuple[Any, ...]:
    kinds = [kind for kind, *_ in AUTOCAST]
    return tuple((kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds)


def _set_autocast(value: tuple[Any, ...]) -> None:
    for kind, enabled, dtype in value:
        torch.set_autocast_enabled(kind, enabled)
        torch.set_autocast_dtype(kind, dtype)


def _set_device(device: torch.device) -> None:
    torch.set_default_device(None if device == torch.device("cpu") else device)


def _modes() -> tuple[int, int]:
    """How many modes intercept torch's functions."""
    return torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()


def _pop_modes(value: tuple[int, int]) -> None:
    for _ in range(torch._C._len_torch_function_stack() - value[0]):
        torch._C._pop_torch_function_stack()
    for _ in range(torch._C._len_torch_dispatch_stack() - value[1]):
        torch._C._pop_torch_dispatch_stack()


def _hooks() -> tuple[Any, ...]:
    tables = (vars(modules)[name] for name in HOOKS)
    return tuple(dict(table) if isinstance(table, dict) else table for table in tables)


def _set_hooks(value: tuple[Any, ...]) -> None:
    for name, content in zip(HOOKS, value, strict=True):
        table = vars(modules)[name]
        if isinstance(table, dict):
            table.clear()
            table.update(content)
        else:
            setattr(modules, name, content)


def _backends() -> tuple[Any, ...]:
    cudnn = torch.backends.cudnn
    return (
        torch.backends.mkldnn.enabled,
        torch.get_float32_matmul_precision(),
        (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
    )


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_backends(value: tuple[Any, ...]) -> None:
    torch.backends.mkldnn.set_flags(value[0])
    torch.set_float32_matmul_precision(value[1])
    cudnn = torch.backends.cudnn
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = value[2]


def _set_filters(value: list[Any]) -> None:
    warnings.resetwarnings()
    warnings.filters.extend(value)  # type: ignore[attr-defined]


def _environment() -> dict[Any, Any]:
    return dict(
        vars(os.environ)["_data"]
    )  # A copy of os.environ decodes every value, which takes longer than all else.


def _set_environment(value: dict[Any, Any]) -> None:
    for key in _environment().keys() - value.keys():
        del os.environ[os.fsdecode(key)]
    for key, text in value.items():
        os.environ[os.fsdecode(key)] = os.fsdecode(text)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _set_folder(value: str | None) -> None:
    if value is not None:
        os.chdir(value)


def _sklearn() -> dict[str, Any]:
    module = sys.modules.get("sklearn")
    settings = module.get_config() if module is not None and hasattr(module, "get_config") else SKLEARN
    return {name: settings.get(name, value) for name, value in SKLEARN.items()}


def _set_sklearn(value: dict[str, Any]) -> None:
    import sklearn

    sklearn.set_config(**{name: item for name, item in value.items() if name in sklearn.get_config()})


@functools.cache
def _blas() -> list[Any]:
    """The libraries of linear algebra that numpy and scipy call."""
    import scipy.linalg  # noqa: F401  so that its library is loaded
    from threadpoolctl import ThreadpoolController

    return [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]


def _blas_threads() -> list[int]:
    return [library.num_threads for library in _blas()]


def _set_blas_threads(value: list[int]) -> None:
    for library, threads in zip(_blas(), value, strict=True):
        library.set_num_threads(threads)


def _signals() -> list[Any]:
    return [signal.getsignal(number) for number in SIGNALS]


def _set_signals(value: list[Any]) -> None:
    for number, handler in zip(SIGNALS, value, strict=True):
        if handler is not None:
            signal.signal(number, handler)


def _set_path(value: list[str]) -> None:
    sys.path[:] = value


def _flushes() -> bool:
    """Whether denormal numbers are taken for 0."""
    return sys.float_info.min * 0.5 == 0.0


PARTS = (
    Part("default dtype", torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    Part("default device", torch.get_default_device, _set_device, torch.device("cpu")),
    Part("modes of torch", _modes, _pop_modes, (0, 0)),
    Part("inference mode", torch.is_inference_mode_enabled, lambda value: _keep(torch.inference_mode(value)), False),
    Part("gradient mode", torch.is_grad_enabled, torch.set_grad_enabled, True),
    Part("autocast", _autocast, _set_autocast, AUTOCAST),
    Part("backends", _backends, _set_backends, (True, "highest", (True, False, False, True))),
    Part(
        "deterministic algorithms",
        _deterministic,
        lambda value: torch._C._set_deterministic_algorithms(value[0], warn_only=value[1]),
        (False, False),
    ),
    Part("anomaly mode", torch.is_anomaly_enabled, torch.set_anomaly_enabled, False),
    Part("threads", torch.get_num_threads, torch.set_num_threads, 1),
    Part("threads of linear algebra", _blas_threads, _set_blas_threads),
    Part("denormal numbers", _flushes, torch.set_flush_denormal, True),
    Part("hooks", _hooks, _set_hooks, tuple({} if isinstance(vars(modules)[name], dict) else None for name in HOOKS)),
    Part("floating-point errors", np.geterr, lambda value: np.seterr(**value), FLOATING),
    Part("filters of warnings", lambda: list(warnings.filters), _set_filters),
    Part("environment", _environment, _set_environment),
    Part("working directory", _folder, _set_folder),
    Part("locale", lambda: locale.setlocale(locale.LC_ALL), lambda value: locale.setlocale(locale.LC_ALL, value)),
    Part("settings of scikit-learn", _sklearn, _set_sklearn, SKLEARN),
    Part("buffers of numpy", np.getbufsize, np.setbufsize),
    Part("search path of modules", lambda: list(sys.path), _set_path),
    Part("limit of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
    Part("handlers of signals", _signals, _set_signals),
    Part("collection of garbage", gc.isenabled, lambda value: gc.enable() if value else gc.disable()),
)
_entered: list[Any] = []
_spare: list[np.random.MT19937] = []


def _keep(context: Any) -> None:
    """Enter a context for good: it ends when it is forgotten."""
    context.__enter__()
    _entered.append(context)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Whatever runs inside, the state of the process is the same afterwards.

    The global generators of random numbers, too, which begin anew inside.

    Raises
    ------
    NotRestored
        If it cannot be set back.
    Forked
        If a component forked.
    """
    before = _read()
    try:
        with _generators(), refused():
            yield
    finally:
        _restore(before)


def _read() -> list[Any]:
    with torch._C.DisableTorchFunction():  # A mode that somebody entered would intercept the reading.
        return [part.read() for part in PARTS]


def _restore(before: list[Any]) -> None:
    changed = [(part, value) for part, value, now in zip(PARTS, before, _read(), strict=True) if now != value]
    if not changed:
        return
    with torch._C.DisableTorchFunction():
        for part, value in changed:
            with contextlib.suppress(Exception):  # What is read below decides.
                part.write(value)
    lost = [part.name for part, value, now in zip(PARTS, before, _read(), strict=True) if now != value]
    if lost:
        raise NotRestored(f"code of a component changed what cannot be set back: {', '.join(lost)}")


@contextlib.contextmanager
def _generators() -> Iterator[None]:
    """The global generators of random numbers begin anew inside, and go on afterwards from where they were."""
    python, of_numpy, of_torch = random.getstate(), np.random.get_bit_generator(), torch.get_rng_state()  # type: ignore[attr-defined]
    of_cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    # Another generator takes its place: to copy the state of numpy's takes longer than all else.
    spare = _spare.pop() if _spare else np.random.MT19937(0)
    try:
        np.random.set_bit_generator(spare)  # type: ignore[attr-defined]
        np.random.seed(0)
        random.seed(0)
        torch.default_generator.manual_seed(0)  # torch.manual_seed records where it was called from, for 0.5 ms.
        if of_cuda:
            torch.cuda.manual_seed_all(0)
        yield
    finally:
        np.random.set_bit_generator(of_numpy)  # type: ignore[attr-defined]
        _spare.append(spare)
        random.setstate(python)
        torch.set_rng_state(of_torch)
        if of_cuda:
            torch.cuda.set_rng_state_all(of_cuda)


def standardise() -> None:
    """Bring a worker into the state in which everything is computed: one thread, no denormal numbers."""
    for part in PARTS:
        if part.standard is not None and part.read() != part.standard:
            part.write(part.standard)


@contextlib.contextmanager
def standard() -> Iterator[None]:
    """Inside, this process is as a worker is; afterwards it is as its user left it."""
    import scipy.linalg  # noqa: F401  what is loaded later would use all cores
    from threadpoolctl import threadpool_limits

    with guarded(), threadpool_limits(1, user_api="blas"):
        standardise()
        yield
