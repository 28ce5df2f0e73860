"""captum's methods by name, and the arguments of their ``attribute`` that a suite may set."""

from __future__ import annotations

import functools
import inspect
import math
from typing import Any, get_args

from xai_bench.errors import InputError, unknown

Value = bool | int | float | str
Parameters = dict[str, Value]

GIVEN = ("inputs", "baselines", "target", "additional_forward_args", "internal_batch_size")
"""Arguments of ``attribute`` that this package sets."""
NOT_OFFERED = (
    *("feature_mask", "custom_attribution_func", "return_convergence_delta", "return_input_shape"),
    *("show_progress", "verbose", "nt_samples_batch_size", "draw_baseline_from_distrib"),
)
MANY_BASELINES = ("DeepLiftShap", "GradientShap")
"""Methods that compare with many rows, a background."""
NOISE = ("smoothgrad", "smoothgrad_sq", "vargrad")
"""What NoiseTunnel does with the noisy copies: mean, mean square, variance."""


@functools.cache
def methods() -> dict[str, Any]:
    """The classes of ``captum.attr`` that need a model, rows and perhaps baselines only, by name."""
    import captum.attr

    found = {}
    for name in captum.attr.__all__:
        value = getattr(captum.attr, name)
        if inspect.isclass(value) and hasattr(value, "attribute"):
            built_from = _required(inspect.signature(value))
            asked = _required(inspect.signature(value.attribute))
            if built_from in (["model"], ["forward_func"]) and asked in (
                ["self", "inputs"],
                ["self", "inputs", "baselines"],
            ):
                found[name] = value
    return found


def _required(signature: inspect.Signature) -> list[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty and parameter.kind not in kinds
    ]


def check_method(name: str) -> None:
    """Raise InputError unless the generic wrapper knows the method."""
    core = core_of(name)
    if name == "Occlusion":
        raise InputError("Occlusion needs a window and pictures: use 'occlusion' instead")
    if name == "NoiseTunnel":
        raise InputError("NoiseTunnel goes around another method: write 'NoiseTunnel(Saliency)', say")
    if core not in methods():
        raise unknown("captum method", core, methods())
    if core != name and core in MANY_BASELINES:
        raise InputError(f"NoiseTunnel cannot go around {core}, which draws its own baselines: use {core} alone")


def core_of(method: str) -> str:
    """``Saliency`` of ``NoiseTunnel(Saliency)``; any other name itself."""
    return method.removeprefix("NoiseTunnel(").removesuffix(")") if method.startswith("NoiseTunnel(") else method


@functools.cache
def arguments(method: str) -> dict[str, inspect.Parameter]:
    """The arguments of a method's ``attribute`` by name."""
    import captum.attr

    core = core_of(method)
    classes = [getattr(captum.attr, core)] + ([captum.attr.NoiseTunnel] if core != method else [])
    parameters = [p for c in classes for p in inspect.signature(c.attribute).parameters.values()]
    return {p.name: p for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD}


def checked(method: str, parameters: Parameters, fields: frozenset[str], component: str) -> Parameters:
    """The arguments as captum wants them: a whole number where it asks for a float becomes one.

    ``fields`` of the ``component`` are set beside them.

    Raises
    ------
    InputError
        In one line: an argument that the method does not take, or a value that it cannot use.
    """
    accepted = [a for a in arguments(method) if a not in (*GIVEN, *NOT_OFFERED, *fields)]
    for name in parameters:
        if name in fields:
            raise InputError(f"{name!r} is a field of {component}: set it beside 'parameters', not inside")
        if name not in accepted:
            takes = ", ".join(accepted) or "none"
            raise InputError(f"unknown entry {name!r} in 'parameters': {method} takes {takes}")
    return {name: _checked(name, value, arguments(method)[name].annotation) for name, value in parameters.items()}


def _checked(name: str, value: Value, annotation: Any) -> Value:
    kinds = {annotation, *get_args(annotation)}
    if name in ("nt_type", "method"):
        offered = NOISE if name == "nt_type" else _rules_of_integration()
        if value not in offered:
            raise InputError(f"parameters.{name}: expected {', '.join(offered[:-1])} or {offered[-1]}, got {value!r}")
    elif bool in kinds:
        _expect(isinstance(value, bool), name, "true or false", value)
    elif float in kinds:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        _expect(number and math.isfinite(value) and value >= 0, name, "a finite number >= 0", value)  # type: ignore[arg-type,operator]
        return float(value)
    elif int in kinds:
        whole = isinstance(value, int) and not isinstance(value, bool)
        _expect(whole and value >= 1, name, "a whole number >= 1", value)  # type: ignore[operator]
    return value


def _expect(true: bool, name: str, what: str, value: Value) -> None:
    if not true:
        raise InputError(f"parameters.{name}: expected {what}, got {value!r}")


def _rules_of_integration() -> tuple[str, ...]:
    from xai_bench.explainers.captum_inside import SUPPORTED_METHODS

    return tuple(SUPPORTED_METHODS)
