"""What a run records of the machine and the installation that computed it."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xai_bench.component import canonical_json, sha256

LIBRARIES = ("torch", "captum", "shap", "numpy", "scipy", "scikit-learn", "pandas", "xai-bench")
PACKAGE = Path(__file__).parents[1]


def recorded(device: str = "cpu") -> dict[str, Any]:
    """Versions and settings of this process that a result may depend on; no host, user or path.

    ``device``: where it computes, with its name.
    """
    return {
        "python": python(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": device,
        "versions": versions(LIBRARIES),
    }


def python() -> str:
    """The version of Python."""
    return platform.python_version()


def told(installed: Iterable[str], device: str) -> dict[str, Any]:
    """In a worker of a cluster: what a run has to know of it (see ``vetting``).

    Raises
    ------
    RuntimeError
        If it does not have the ``device``.
    """
    described = device if device == "cpu" else _described(device)
    return {"code": code(), "installed": versions(installed), "recorded": recorded(described)}


def _described(device: str) -> str:
    """See ``devices.described``; asked in another process, so that this one holds no memory of the device."""
    ask = f"from xai_bench.devices import described, resolve; print(described(resolve({device!r})))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    lines = (done.stdout if done.returncode == 0 else done.stderr).splitlines() or ["nothing"]
    if done.returncode:
        raise RuntimeError(lines[-1].partition("InputError: ")[2] or lines[-1])
    return lines[-1]


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Name of a distribution to its version here, ``unknown`` where it is not installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


@functools.cache
def code() -> str:
    """A hash of the code of this package: two of one version may differ while they are worked on."""
    files = sorted(PACKAGE.rglob("*.py"))
    return sha256(canonical_json([[str(file.relative_to(PACKAGE)), sha256(file.read_bytes())] for file in files]))


def _processor() -> str:
    """The name of the processor; "" where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
