"""Whether the workers of a cluster compute what this process would: versions, code and devices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from xai_bench.errors import InputError, one_line
from xai_bench.running import machine

if TYPE_CHECKING:
    from distributed import Client

Facts = dict[str, Any]
"""What ``look`` returns."""


@dataclass(frozen=True)
class Expected:
    """What workers must have.

    ``code``: see ``machine.code``; ``installed``: distributions, with their versions, that components come from beside
    this package; ``device``: where they are to compute.
    """

    code: str
    installed: Mapping[str, str]
    device: str


def look(client: Client, expected: Expected, workers: Collection[str] | None = None) -> dict[str, Facts | str]:
    """Address of every worker (or of those named) to what it has, or to the reason why it is of no use."""
    own, versions = machine.python(), cast(dict[str, Any], client.get_versions())
    pythons = {
        address: ".".join(str(facts["host"]["python"]).split(".")[:3])
        for address, facts in versions["workers"].items()
        if facts and (workers is None or address in workers)
    }
    found: dict[str, Facts | str] = {
        address: f"it has Python {python}, and this process {own}: a pickle of one is not for the other"
        for address, python in pythons.items()
        if python.split(".")[:2] != own.split(".")[:2]
    }
    rest = [address for address in pythons if address not in found]
    if rest:
        told = client.run(_told(), dict(expected.installed), expected.device, workers=rest, on_error="return")
        found |= {address: _judged(facts, expected) for address, facts in told.items()}
    return found


def _told() -> Callable[..., Any]:
    """What is asked of a worker, by value: the package may be missing there, or another version."""

    def told(installed: dict[str, str], device: str) -> Any:  # Within a function: it is sent by value.
        import importlib.util

        if importlib.util.find_spec("xai_bench") is None:
            return "xai-bench is not installed there"
        try:
            from xai_bench.running import machine
        except ImportError:
            return "its xai-bench is another version"
        return machine.told(installed, device)

    return told


def _judged(told: Any, expected: Expected) -> Facts | str:
    if not isinstance(told, dict):
        return one_line(told, 300)
    if told["code"] != expected.code:
        there, here = told["recorded"]["versions"]["xai-bench"], machine.versions(["xai-bench"])["xai-bench"]
        same = "other code of the same version" if there == here else f"this process has {here}"
        return f"it has xai-bench {there}, {same}: install the same there"
    for name, version in expected.installed.items():
        if told["installed"][name] != version:
            return f"it has {name} {told['installed'][name]}, and this process {version}: install the same there"
    return dict(told["recorded"])


def agreed(found: Mapping[str, Facts | str]) -> tuple[Facts, list[str]]:
    """What all workers agree in, and a notice where it is not what this process has.

    Raises
    ------
    InputError
        If one is of no use, or if two differ in a version or in the device: a result would depend on which of them
        had the time.
    """
    for address, facts in found.items():
        if isinstance(facts, str):
            raise InputError(f"scheduler: the worker at {address} cannot be used: {facts}")
    known = {address: facts for address, facts in found.items() if isinstance(facts, dict)}
    (first, model), *others = known.items()
    for address, facts in others:
        if difference := _difference(model, facts):
            name, one, other = difference
            raise InputError(
                f"scheduler: expected workers that are alike, got {name} {one} at {first} and {other} at {address}: "
                "install the same everywhere"
            )
    here = machine.recorded(str(model["device"]))
    difference = _difference(here, model)
    if difference is None:
        return model, []
    name, own, theirs = difference
    return model, [f"the workers have {name} {theirs}, this process {own}: numbers may differ from those made here"]


def fits(model: Facts, facts: Facts | str) -> str:
    """Why a worker that came later cannot be used beside those like ``model``; "" if it can."""
    if isinstance(facts, str):
        return facts
    difference = _difference(model, facts)
    return "" if difference is None else "it has {0} {2}, and the others {1}".format(*difference)


def _difference(one: Facts, other: Facts) -> tuple[str, str, str] | None:
    """The first library, or the device, in which two differ: (what, of one, of the other)."""
    for name, version in one["versions"].items():
        # torch says behind a plus for which device it was built.
        if version.partition("+")[0] != (theirs := other["versions"].get(name, "unknown")).partition("+")[0]:
            return name, version, theirs
    if one["device"] != other["device"]:
        return "the device", one["device"], other["device"]
    return None
