"""Many networks of the MLP family as one stack of arrays: forward, backward and weights by hand.

All parameters of a stack of m networks lie in one flat buffer, their gradients in another; every layer is a
view of both, so that one fused Adam step serves the whole stack. Shapes depend on the architecture, the data
and the number of inputs only, never on which networks stand side by side: every tensor of every network is
padded to whole vector registers, so that no number falls into the remainder of a vectorised loop. The literal
version that this is compared with is ``models.training.fit_one``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from xai_bench.models.mlp import MLP, Layer, MLPFamily, SpectralMLP
from xai_bench.models.spectral import SpectralLinear

ALIGN = 64
REGISTER = 8
BATCH_NORM_EPS = 1e-5
BATCH_NORM_MOMENTUM = 0.1
ADAM_BETAS, ADAM_EPS = (0.9, 0.999), 1e-8


def padded(n: int, to: int = ALIGN) -> int:
    """``n`` rounded up to a multiple of ``to``."""
    return -(-n // to) * to


@dataclass(eq=False)
class LayerState:
    """Views of one layer's parameters and gradients, and what its forward pass keeps for the backward one.

    ``weight``: the matrix, or the buffer of its product with the eigenvalues; ``dense``: a buffer for its gradient.
    """

    layer: Layer
    value: dict[str, Tensor]
    grad: dict[str, Tensor]
    weight: Tensor
    dense: Tensor
    running_mean: Tensor | None = None
    running_var: Tensor | None = None
    inputs: Tensor | None = None
    activated: Tensor | None = None
    normalised: Tensor | None = None
    inverse_std: Tensor | None = None
    dropped: Tensor | None = None


def parameter_shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    """Names and shapes of one layer's trained tensors."""
    shapes: dict[str, tuple[int, ...]] = {}
    if layer.spectral:
        shapes["lambda_in"] = (layer.n_in,)
    shapes["matrix"] = (layer.n_out, layer.n_in)
    shapes["bias"] = (layer.n_out,)
    if layer.batch_norm:
        shapes["gamma"] = (layer.n_out,)
        shapes["beta"] = (layer.n_out,)
    return shapes


class Stack:
    """m networks with the same layers; ``load`` and ``store`` exchange weights with nn.Sequential modules."""

    def __init__(
        self, architecture: MLPFamily, m: int, width: int, n_outputs: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.architecture, self.m, self.width = architecture, m, width
        self.layers = architecture.layers(width, n_outputs)
        shapes = [shape for layer in self.layers for shape in parameter_shapes(layer).values()]
        total = sum(padded(m * padded(math.prod(shape), REGISTER)) for shape in shapes)
        self.flat = torch.zeros(total, dtype=dtype, device=device)
        self.flat_grad = torch.zeros_like(self.flat)
        self.states: list[LayerState] = []
        start = 0
        for layer in self.layers:
            value, grad = {}, {}
            for name, shape in parameter_shapes(layer).items():
                step = padded(math.prod(shape), REGISTER)
                strides = (step, shape[1], 1) if len(shape) == 2 else (step, 1)
                value[name] = self.flat.as_strided((m, *shape), strides, start)
                grad[name] = self.flat_grad.as_strided((m, *shape), strides, start)
                start += padded(m * step)
            weight, dense = value["matrix"], grad["matrix"]
            if layer.spectral:
                weight, dense = torch.empty_like(weight), torch.empty_like(dense)
            state = LayerState(layer, value, grad, weight, dense)
            if layer.batch_norm:
                state.running_mean = torch.zeros(m, layer.n_out, dtype=dtype, device=device)
                state.running_var = torch.ones(m, layer.n_out, dtype=dtype, device=device)
            self.states.append(state)
        self._norms = [s for s in self.states if s.layer.batch_norm]

    def load(self, slot: int, module: nn.Sequential) -> None:
        """Copy a module with at most ``width`` inputs into a slot; its padding columns stay 0."""
        with torch.no_grad():
            for state, parts in zip(self.states, parts_of(module), strict=True):
                for name, tensor in parts.items():
                    state.value[name][slot][..., : tensor.shape[-1]] = tensor

    def store(self, slot: int, module: nn.Sequential, snapshot: Snapshot) -> None:
        """Copy one network of a snapshot back into its module."""
        with torch.no_grad():
            for index, (state, parts) in enumerate(zip(self.states, parts_of(module), strict=True)):
                for name, tensor in parts.items():
                    tensor.copy_(_same_view(snapshot.flat, state.value[name])[slot][..., : tensor.shape[-1]])
                if state.layer.batch_norm:
                    norm = norm_after(module, index)
                    mean, var = snapshot.running[self._norms.index(state)]
                    norm.running_mean.copy_(mean[slot])  # type: ignore[union-attr]
                    norm.running_var.copy_(var[slot])  # type: ignore[union-attr]

    # -- one training step -------------------------------------------------------------------------

    def forward(self, x: Tensor, dropout_masks: Sequence[Tensor | None]) -> Tensor:
        """Train-mode outputs (m, b, n_outputs) of x (m, b, width); keeps what ``backward`` needs.

        ``dropout_masks``: for every layer (m, b, n_out), 0 or 1 / (1 - rate), or None.
        """
        for state, mask in zip(self.states, dropout_masks, strict=True):
            layer, value = state.layer, state.value
            state.inputs = x
            if layer.spectral:
                torch.mul(value["matrix"], value["lambda_in"][:, None, :], out=state.weight)
            x = torch.baddbmm(value["bias"][:, None, :], x, state.weight.transpose(1, 2))
            if layer.activation == "relu":
                x = x.relu_()
            elif layer.activation == "tanh":
                x = x.tanh_()
            state.activated = x
            if layer.batch_norm:
                x = self._normalise(state, x)
            state.dropped = mask
            if mask is not None:
                x = x * mask
        return x

    def _normalise(self, state: LayerState, x: Tensor) -> Tensor:
        rows = x.shape[1]
        mean, var, centred = self._moments(x)
        assert state.running_mean is not None
        assert state.running_var is not None
        state.running_mean.lerp_(mean, BATCH_NORM_MOMENTUM)
        state.running_var.lerp_(var * (rows / max(rows - 1, 1)), BATCH_NORM_MOMENTUM)
        state.inverse_std = (var + BATCH_NORM_EPS).rsqrt_()
        state.normalised = centred.mul_(state.inverse_std[:, None, :])
        return torch.addcmul(state.value["beta"][:, None, :], state.normalised, state.value["gamma"][:, None, :])

    @staticmethod
    def _moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance (m, n_out) over the rows of x (m, b, n_out), and x less its mean."""
        mean = x.mean(1)
        centred = x - mean[:, None, :]
        return mean, centred.square().mean(1), centred

    @staticmethod
    def _column_norms(matrix: Tensor) -> Tensor:
        """(m, 1, n_in) for (m, n_out, n_in)."""
        return matrix.square().sum(1, keepdim=True).sqrt_()

    def backward(self, gradient: Tensor) -> None:
        """Fill the gradient buffer from d loss / d outputs (m, b, n_outputs), penalties included."""
        for index in range(len(self.states) - 1, -1, -1):
            state = self.states[index]
            layer = state.layer
            if state.dropped is not None:
                gradient = gradient * state.dropped
            if layer.batch_norm:
                gradient = self._normalise_backward(state, gradient)
            assert state.activated is not None
            assert state.inputs is not None
            if layer.activation == "relu":
                gradient = torch.ops.aten.threshold_backward(gradient, state.activated, 0)
            elif layer.activation == "tanh":
                gradient = torch.ops.aten.tanh_backward(gradient, state.activated)
            torch.sum(gradient, 1, out=state.grad["bias"])
            if layer.spectral:
                torch.bmm(gradient.transpose(1, 2), state.inputs, out=state.dense)
                torch.mul(state.dense, state.value["lambda_in"][:, None, :], out=state.grad["matrix"])
                torch.sum(state.dense.mul_(state.value["matrix"]), 1, out=state.grad["lambda_in"])
            else:
                torch.bmm(gradient.transpose(1, 2), state.inputs, out=state.grad["matrix"])
            if index:
                gradient = torch.bmm(gradient, state.weight)
        self._penalise()

    @staticmethod
    def _normalise_backward(state: LayerState, gradient: Tensor) -> Tensor:
        normalised, inverse_std = state.normalised, state.inverse_std
        assert normalised is not None
        assert inverse_std is not None
        product = gradient * normalised
        torch.sum(product, 1, out=state.grad["gamma"])
        torch.sum(gradient, 1, out=state.grad["beta"])
        rows = gradient.shape[1]
        mean_gradient = (state.grad["beta"] / rows)[:, None, :]
        mean_product = (state.grad["gamma"] / rows)[:, None, :]
        scale = (state.value["gamma"] * inverse_std)[:, None, :]
        return (gradient - mean_gradient).addcmul_(normalised, mean_product, value=-1).mul_(scale)

    def _penalise(self) -> None:
        architecture, first = self.architecture, self.states[0]
        matrix, grad = first.value["matrix"], first.grad["matrix"]
        if isinstance(architecture, SpectralMLP):
            eigenvalues, eigen_grad = first.value["lambda_in"], first.grad["lambda_in"]
            if architecture.l2_lambda:
                eigen_grad.add_(eigenvalues, alpha=2 * architecture.l2_lambda)
            if architecture.l1_lambda:
                eigen_grad.add_(eigenvalues.sign(), alpha=architecture.l1_lambda)
            if architecture.l2_phi:
                grad.add_(matrix, alpha=2 * architecture.l2_phi)
            if architecture.l1_phi:
                grad.add_(matrix.sign(), alpha=architecture.l1_phi)
        elif isinstance(architecture, MLP) and architecture.group_lasso:
            norms = self._column_norms(matrix)
            tiny = torch.finfo(matrix.dtype).tiny  # a column of zeros stays where it is
            grad.addcmul_(matrix, architecture.group_lasso / norms.clamp_min_(tiny))

    # -- evaluation --------------------------------------------------------------------------------

    def predict(self, x: Tensor, snapshot: Snapshot | None = None) -> Tensor:
        """Eval-mode outputs (m, n, n_outputs) of x (m or 1, n, width)."""
        flat = self.flat if snapshot is None else snapshot.flat
        for state in self.states:
            layer = state.layer
            value = {name: _same_view(flat, view) for name, view in state.value.items()}
            weight = value["matrix"] * value["lambda_in"][:, None, :] if layer.spectral else value["matrix"]
            x = torch.baddbmm(value["bias"][:, None, :], x.expand(self.m, -1, -1), weight.transpose(1, 2))
            if layer.activation == "relu":
                x = x.relu_()
            elif layer.activation == "tanh":
                x = x.tanh_()
            if layer.batch_norm:
                if snapshot is None:
                    mean, var = state.running_mean, state.running_var
                else:
                    mean, var = snapshot.running[self._norms.index(state)]
                assert mean is not None
                assert var is not None
                scale = value["gamma"] * (var + BATCH_NORM_EPS).rsqrt()
                x = torch.addcmul((value["beta"] - mean * scale)[:, None, :], x, scale[:, None, :])
        return x

    def snapshot(self) -> Snapshot:
        """A copy of all weights and running statistics."""
        running = [(s.running_mean.clone(), s.running_var.clone()) for s in self._norms]  # type: ignore[union-attr]
        return Snapshot(self.flat.detach().clone(), running)

    def keep(self, snapshot: Snapshot, better: Tensor) -> None:
        """Copy the networks where ``better`` (m,) is True into the snapshot; the host does not wait for ``better``."""
        pairs = [(_same_view(snapshot.flat, view), view) for state in self.states for view in state.value.values()]
        for statistics, state in zip(snapshot.running, self._norms, strict=True):
            assert state.running_mean is not None
            assert state.running_var is not None
            pairs += zip(statistics, (state.running_mean, state.running_var), strict=True)
        for kept, now in pairs:
            kept.copy_(torch.where(better.view(-1, *[1] * (now.ndim - 1)), now, kept))


class Adam:
    """Adam (arXiv 1412.6980) over the parameters and gradients of a stack, in one fused step."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.means, self.squares = torch.zeros_like(stack.flat), torch.zeros_like(stack.flat)
        self.steps = torch.zeros((), device=stack.flat.device)
        self._parts = [[t] for t in (stack.flat, stack.flat_grad, self.means, self.squares)]
        self._counts = [self.steps]

    def step(self, learning_rate: float | Tensor) -> None:
        """Change the parameters by the gradients; inside ``torch.no_grad``.

        ``learning_rate``: a number, or a float32 tensor () on the device, which a captured step reads anew.
        """
        values, gradients, means, squares = self._parts
        adam(
            values,
            gradients,
            means,
            squares,
            [],
            self._counts,
            fused=True,
            amsgrad=False,
            beta1=ADAM_BETAS[0],
            beta2=ADAM_BETAS[1],
            lr=learning_rate,
            weight_decay=0.0,
            eps=ADAM_EPS,
            maximize=False,
        )


@dataclass
class Snapshot:
    """Weights of a stack in one flat buffer, and (mean, var) of every batch norm, (m, n_out) each."""

    flat: Tensor
    running: list[tuple[Tensor, Tensor]]


def _same_view(flat: Tensor, view: Tensor) -> Tensor:
    """What ``view`` is of one flat buffer, of another one."""
    return flat.as_strided(view.shape, view.stride(), view.storage_offset())


def parts_of(module: nn.Sequential) -> list[dict[str, Tensor]]:
    """The trained tensors of every dense layer, under the names of ``parameter_shapes``."""
    parts: list[dict[str, Tensor]] = []
    for child in module:
        if isinstance(child, SpectralLinear):
            assert child.bias is not None
            parts.append({"lambda_in": child.lambda_in, "matrix": child.phi, "bias": child.bias})
        elif isinstance(child, nn.Linear):
            parts.append({"matrix": child.weight, "bias": child.bias})
        elif isinstance(child, nn.BatchNorm1d):
            parts[-1].update(gamma=child.weight, beta=child.bias)
    return parts


def norm_after(module: nn.Sequential, dense: int) -> nn.BatchNorm1d:
    """The batch norm that follows the dense layer with that index."""
    seen = -1
    for child in module:
        if isinstance(child, SpectralLinear | nn.Linear):
            seen += 1
        elif isinstance(child, nn.BatchNorm1d) and seen == dense:
            return child
    raise LookupError(f"no batch norm after dense layer {dense}")
