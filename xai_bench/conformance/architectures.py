"""The conformance suite for architectures: many small named checks. ``check_architecture(MyNetwork)``.

Networks get 12, 16 or 64 inputs: the first number that they take.
"""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xai_bench.conformance.base import (
    Check,
    CheckFailed,
    CheckResult,
    CheckSkipped,
    a_check,
    draw_from_every_stream,
    line,
    report_of,
    require_declaration,
    require_identity,
    require_pickles,
    require_silence,
    require_state_kept,
    run_checks,
)
from xai_bench.explainers.base import seeded
from xai_bench.models.base import Architecture

INPUTS = (12, 16, 64)
"""Numbers of inputs that are tried: any network of rows takes the first, pictures are squares."""
ROWS = 10


def check_architecture(architecture: Architecture | type[Architecture]) -> None:
    """Run every check on an architecture (a class is built with its default fields).

    Raises
    ------
    CheckFailed
        At the first check that fails.
    """
    run_checks(CHECKS, architecture)


def check_report(architecture: Architecture | type[Architecture]) -> list[CheckResult]:
    """(check, passed | failed | skipped, reason) of every check, in order."""
    return report_of(CHECKS, architecture)


def _built(architecture: Architecture, d: int, n_outputs: int, seed: int) -> nn.Module:
    """A new network, as the trainer gets it: torch's own initialisation is seeded. Only this calls the architecture."""
    with seeded(seed):
        return architecture.build(d, n_outputs, torch.Generator().manual_seed(seed))


def _network(architecture: Architecture, n_outputs: int = 3, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A network and rows (10, d) for it, d the first of ``INPUTS`` that it takes."""
    first: Exception | None = None
    for d in INPUTS:
        try:
            module = _built(architecture, d, n_outputs, seed)
            rows = torch.randn(ROWS, d, generator=torch.Generator().manual_seed(5))
            if isinstance(module, nn.Module):
                module.eval()(rows)
        except Exception as error:
            first = first or error
            continue
        return module.train(), rows
    raise CheckFailed(f"expected a network of 12, 16 or 64 inputs, got {line(first or ValueError())}") from first


def _outputs(module: nn.Module, rows: Tensor) -> Tensor:
    with torch.no_grad():
        outputs: Tensor = module.eval()(rows)
    return outputs


def _weights(module: nn.Module) -> dict[str, bytes]:
    return {name: tensor.detach().numpy().tobytes() for name, tensor in module.state_dict().items()}


def _same_bits(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and first.numpy().tobytes() == second.numpy().tobytes()


def _loss(architecture: Architecture, module: nn.Module, rows: Tensor) -> Tensor:
    targets = torch.arange(len(rows)) % 3
    return functional.cross_entropy(module(rows), targets) + architecture.penalty(module)


@a_check
def check_declaration(architecture: Architecture) -> None:
    """It is an Architecture with a name of one word."""
    require_declaration(architecture, Architecture)


@a_check
def check_identity(architecture: Architecture) -> None:
    """identity() is JSON, the same on every call, and the same for an architecture with equal fields."""
    require_identity(architecture)


@a_check
def check_pickles(architecture: Architecture) -> None:
    """Workers receive it pickled: the copy is equal, with the same hash and identity."""
    require_pickles(architecture, "architecture")


@a_check
def check_builds_a_module(architecture: Architecture) -> None:
    """build() returns a torch module with weights that can be trained."""
    module, _ = _network(architecture)
    if not isinstance(module, nn.Module):
        raise CheckFailed(f"expected a torch.nn.Module, got {type(module).__name__}")
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise CheckFailed("expected parameters to train, got none")


@a_check
def check_finite_weights(architecture: Architecture) -> None:
    """Initial weights are finite numbers of single precision."""
    for name, weight in _network(architecture)[0].named_parameters():
        if weight.dtype != torch.float32 or not torch.isfinite(weight).all():
            raise CheckFailed(f"expected finite float32 weights, got {name} of {weight.dtype}")


def _check_shape(architecture: Architecture, n_outputs: int) -> None:
    module, rows = _network(architecture, n_outputs)
    for n in (ROWS, 1):
        outputs = _outputs(module, rows[:n])
        if outputs.shape != (n, n_outputs) or not torch.isfinite(outputs).all():
            raise CheckFailed(f"expected ({n}, {n_outputs}) finite outputs, got {tuple(outputs.shape)}")


@a_check
def check_five_classes(architecture: Architecture) -> None:
    """Five classes: (n, 5) finite logits, for one row too."""
    _check_shape(architecture, 5)


@a_check
def check_two_classes(architecture: Architecture) -> None:
    """Two classes: (n, 2) finite logits, for one row too."""
    _check_shape(architecture, 2)


@a_check
def check_regression(architecture: Architecture) -> None:
    """A regression: (n, 1) finite values, for one row too."""
    _check_shape(architecture, 1)


@a_check
def check_same_weights(architecture: Architecture) -> None:
    """Equal generators give equal initial weights, bit by bit, whatever the global random states."""
    first = _weights(_network(architecture, seed=3)[0])
    draw_from_every_stream()
    second = _weights(_network(architecture, seed=3)[0])
    other = next((name for name in first if second.get(name) != first[name]), None)
    if other is not None or first.keys() != second.keys():
        raise CheckFailed(f"expected equal weights from equal generators, got others in {other}: draw from generator")


@a_check
def check_seeds_differ(architecture: Architecture) -> None:
    """Another generator gives other initial weights."""
    if _weights(_network(architecture, seed=0)[0]) == _weights(_network(architecture, seed=1)[0]):
        raise CheckFailed("expected other weights from another generator, got the same: draw them from generator")


@a_check
def check_keeps_nothing(architecture: Architecture) -> None:
    """Two networks share no weight: training one leaves the other as it is."""
    (first, _), (second, _) = _network(architecture), _network(architecture, seed=1)
    before = _weights(second)
    with torch.no_grad():
        for tensor in first.parameters():
            tensor.add_(1.0)
    if _weights(second) != before:
        raise CheckFailed("expected networks of their own, got shared weights: build new modules every time")


@a_check
def check_eval_deterministic(architecture: Architecture) -> None:
    """In eval mode equal rows give equal bits, and nothing in the network changes."""
    module, rows = _network(architecture)
    module.eval()
    before = _weights(module)
    first = _outputs(module, rows)
    draw_from_every_stream()
    if not _same_bits(first, _outputs(module, rows)):
        raise CheckFailed("expected equal outputs for equal rows in eval mode, got others")
    if _weights(module) != before:
        raise CheckFailed("expected a forward pass in eval mode to change nothing, got other weights or buffers")


@a_check
def check_rows_alone(architecture: Architecture) -> None:
    """In eval mode the outputs of a row do not depend on the other rows, to 1e-4 of the largest."""
    module, rows = _network(architecture)
    together = _outputs(module, rows)
    alone = torch.cat([_outputs(module, row[None]) for row in rows])
    difference = float((together - alone).abs().max())
    if difference > 1e-4 * max(1.0, float(together.abs().max())):
        raise CheckFailed(f"expected outputs that do not depend on other rows, got differences of {difference:.3g}")


@a_check
def check_uses_inputs(architecture: Architecture) -> None:
    """Gradients of the outputs with respect to the rows exist and are finite: explainers ask for them."""
    module, rows = _network(architecture)
    rows = rows.clone().requires_grad_(True)
    outputs = module.eval()(rows)
    if not outputs.requires_grad:
        raise CheckFailed("expected outputs with a gradient, got none: compute with torch")
    (gradient,) = torch.autograd.grad(outputs.sum(), rows, allow_unused=True)
    if gradient is None or not torch.isfinite(gradient).all():
        raise CheckFailed("expected finite gradients for the inputs, got none or others")


@a_check
def check_inputs_unchanged(architecture: Architecture) -> None:
    """The rows it is given stay as they were."""
    module, rows = _network(architecture)
    before = rows.clone()
    _outputs(module, rows)
    if not torch.equal(rows, before):
        raise CheckFailed("expected the rows as before, got changed ones: work on a copy")


@a_check
def check_state_dict(architecture: Architecture) -> None:
    """state_dict() holds all there is: loaded into another network, it gives the same outputs."""
    (module, rows), (other, _) = _network(architecture), _network(architecture, seed=1)
    other.load_state_dict(module.state_dict())
    if not _same_bits(_outputs(module, rows), _outputs(other, rows)):
        raise CheckFailed("expected the same outputs from a loaded state_dict, got others: register what is kept")


@a_check
def check_module_copies(architecture: Architecture) -> None:
    """The network can be copied and pickled, and gives the same outputs then."""
    module, rows = _network(architecture)
    outputs = _outputs(module, rows)
    for what, make in (("copied", copy.deepcopy), ("pickled", lambda kept: pickle.loads(pickle.dumps(kept)))):
        try:
            again: nn.Module = make(module)
        except Exception as error:
            raise CheckFailed(f"expected a network that can be {what}, got {line(error)}") from error
        if not _same_bits(outputs, _outputs(again, rows)):
            raise CheckFailed(f"expected the same outputs from a {what} network, got others")


@a_check
def check_trains(architecture: Architecture) -> None:
    """A step of gradient descent has a finite loss and finite gradients, and changes weights."""
    module, rows = _network(architecture)
    module.train()
    before = _weights(module)
    loss = _loss(architecture, module, rows)
    loss.backward()
    for name, parameter in module.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            raise CheckFailed(f"expected finite gradients, got others in {name}")
    torch.optim.Adam(module.parameters(), 1e-3).step()
    if not math.isfinite(loss.item()) or not all(torch.isfinite(p).all() for p in module.parameters()):
        raise CheckFailed(f"expected a finite loss and finite weights after a step, got a loss of {loss.item()}")
    if _weights(module) == before:
        raise CheckFailed("expected a step to change weights, got the same ones")


@a_check
def check_penalty(architecture: Architecture) -> None:
    """penalty() is one finite number, in double precision too, and changes no weight."""
    for dtype in (torch.float32, torch.float64):
        module = _network(architecture)[0].to(dtype)
        before = _weights(module)
        penalty: Any = architecture.penalty(module)
        if not isinstance(penalty, Tensor) or penalty.shape != () or not torch.isfinite(penalty):
            raise CheckFailed(f"expected a scalar tensor as penalty, got {str(penalty).splitlines()[0]}")
        if _weights(module) != before:
            raise CheckFailed("expected penalty() to change no weight, got others")


@a_check
def check_steps(architecture: Architecture) -> None:
    """steps(n) is a whole number >= 1, and more rows never take fewer steps."""
    steps: list[Any] = [architecture.steps(n) for n in (1, 20, 1000, 10**6)]
    if not all(isinstance(step, int) and step >= 1 for step in steps) or steps != sorted(steps):
        raise CheckFailed(f"expected steps(n) >= 1 that grow with n, got {steps} for 1, 20, 1000 and 1000000 rows")


@a_check
def check_global_state_unchanged(architecture: Architecture) -> None:
    """Random states, and torch's default dtype, gradient mode and threads, are as before."""

    def used() -> None:
        module, rows = _network(architecture)
        _outputs(module, rows)
        architecture.penalty(module)

    require_state_kept(used)


@a_check
def check_silent(architecture: Architecture) -> None:
    """It prints nothing."""
    require_silence(lambda: _outputs(*_network(architecture)))


@a_check
def check_dropout_is_off(architecture: Architecture) -> None:
    """Outputs in training mode may be random; after eval() none of its modules is in training mode."""
    module, _ = _network(architecture)
    if not any(
        isinstance(part, nn.modules.dropout._DropoutNd | nn.modules.batchnorm._BatchNorm) for part in module.modules()
    ):
        raise CheckSkipped("it has no dropout and no batch norm")
    left = [type(part).__name__ for part in module.eval().modules() if part.training]
    if left:
        raise CheckFailed(f"expected eval() to reach every part, got {left[0]} in training mode")


CHECKS: tuple[Check, ...] = (
    *(check_declaration, check_identity, check_pickles, check_builds_a_module, check_finite_weights),
    *(check_five_classes, check_two_classes, check_regression),
    *(check_same_weights, check_seeds_differ, check_keeps_nothing),
    *(check_eval_deterministic, check_dropout_is_off, check_rows_alone, check_uses_inputs, check_inputs_unchanged),
    *(check_state_dict, check_module_copies, check_trains, check_penalty, check_steps),
    *(check_global_state_unchanged, check_silent),
)
