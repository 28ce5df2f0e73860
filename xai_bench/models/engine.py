"""Training of networks of the MLP family on one CPU thread in float32: torch's matrix products, compiled loops between.

The fast form of ``models.stack``, which serves CUDA and float64 and is what this is tested against. Activations are
stored features first, (m, features, rows). Every network has its own products and its own loops, on arrays of the same
shape and alignment, so its bits depend neither on its companions nor on how many they are. On a shipped network a step
takes a quarter of what the stack of torch needs (``benchmarks/test_training.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xai_bench.models.dropout import threshold
from xai_bench.models.losses import Tensors, gathered
from xai_bench.models.mlp import MLP, Layer, MLPFamily, SpectralMLP
from xai_bench.models.stack import ADAM_BETAS, norm_after, padded, parameter_shapes, parts_of
from xai_bench.models.streams import Streams

REGISTER = 16
"""Float32 numbers of the widest vector register: every row of an array begins at a multiple."""
ACTIVATIONS = {None: 0, "relu": 1, "tanh": 2}
"""The numbers of ``models.kernels``."""


@dataclass(frozen=True)
class Places:
    """Where the tensors of one layer begin in a network's row of values; -1 for those that it does not have.

    ``stride``: from one row of the matrix to the next. ``running``: the mean of the batch norm, then the variance.
    """

    layer: Layer
    stride: int
    matrix: int
    lambda_in: int
    bias: int
    gamma: int
    beta: int
    running: int

    def view(self, values: Tensor, name: str) -> Tensor:
        """The tensors of that name of all networks: (m, n) or (m, n_out, n_in) of values (m, parameters)."""
        shape, start = parameter_shapes(self.layer)[name], getattr(self, name)
        strides = (values.stride(0), *((self.stride, 1) if len(shape) == 2 else (1,)))
        return values.as_strided((len(values), *shape), strides, values.storage_offset() + start)


def places(layers: Sequence[Layer]) -> tuple[list[Places], int, int]:
    """The places of all layers; how many values are trained; how many there are, running statistics included."""
    at, trained = 0, []
    for layer in layers:
        stride, where = padded(layer.n_in, REGISTER), dict.fromkeys(("lambda_in", "gamma", "beta"), -1)
        sizes = {name: padded(shape[0], REGISTER) for name, shape in parameter_shapes(layer).items()}
        sizes["matrix"] = layer.n_out * stride
        for name in ("matrix", *(name for name in sizes if name != "matrix")):
            where[name], at = at, at + sizes[name]
        trained.append((layer, stride, where))
    found, end = [], at
    for layer, stride, where in trained:
        found.append(Places(layer, stride, running=end if layer.batch_norm else -1, **where))
        end += padded(2 * layer.n_out, REGISTER) if layer.batch_norm else 0
    return found, at, end


def _array(row_weights: Tensor | None) -> NDArray[np.float32]:
    """(n,) as the loops take it: empty for none."""
    return np.zeros(0, dtype=np.float32) if row_weights is None else row_weights.contiguous().numpy()


class LayerStep:
    """One layer of m networks in a training step: buffers, products, and the loops before and after them.

    Attributes
    ----------
    z, g : (m, n_out, rows) the product, then the activations; the gradient of what the layer puts out
    out : what it puts out, z itself where neither batch norm nor dropout follow
    products, weight_gradients, input_gradients : (a, b, out) of every network; ``torch.mm`` fills out
    """

    def __init__(self, engine: Engine, where: Places, inputs: Tensor, before: LayerStep | None, which: int) -> None:
        """``inputs``: (m, n_in, rows), a view of what the layer ``before`` puts out; ``which``: of the dropouts."""
        kernels, layer, rows, m = engine.kernels, where.layer, engine.rows, engine.m
        shape = m, layer.n_out, padded(rows, REGISTER)
        self.z, self.last = torch.zeros(shape), layer is engine.layers[-1]
        self.out = torch.zeros(shape) if layer.batch_norm or layer.dropout else self.z
        # The gradient of what the layer puts out comes when that is no longer needed; z is, for the activation's.
        self.g = self.z if self.last else torch.zeros(shape) if self.out is self.z else self.out
        values, grad = engine.values.numpy(), engine.grad.numpy()
        weight, gradient = where.view(engine.values, "matrix"), where.view(engine.grad, "matrix")
        self.prepare: Callable[[], None] | None = None
        self.finish: Callable[[], None] | None = None
        if layer.spectral:
            product, dense = (torch.zeros(m, layer.n_out, where.stride) for _ in range(2))
            self.prepare = partial(kernels.spectral_weight, values, where.matrix, where.lambda_in, product.numpy())
            self.finish = partial(kernels.spectral_gradient, dense.numpy(), values, grad, where.matrix, where.lambda_in)
            weight, gradient = product[:, :, : layer.n_in], dense[:, :, : layer.n_in]
        g = self.g[:, :, :rows]
        self.products = list(zip(weight, inputs, self.z[:, :, :rows], strict=True))
        self.weight_gradients = list(zip(g, inputs.transpose(1, 2), gradient, strict=True))
        self.input_gradients: list[tuple[Tensor, Tensor, Tensor]] = []
        if before is not None:
            self.input_gradients = list(zip(weight.transpose(1, 2), g, before.g[:, :, :rows], strict=True))
        keep = np.zeros(shape if layer.dropout else (1, 1, 1), dtype=np.int8)
        stats = np.zeros((m, 2, layer.n_out), dtype=np.float32)
        at = ACTIVATIONS[layer.activation], where.bias, where.gamma, where.beta
        scale = np.float32(1 / (1 - layer.dropout))
        limit = threshold(layer.dropout) if layer.dropout else -1
        keys = np.array([s.dropout_key(which) for s in engine.streams], dtype=np.uint64)
        z, out, g_ = self.z.numpy(), self.out.numpy(), self.g.numpy()
        self.forward: Callable[[int], None] = partial(
            kernels.forward, rows, z, out, keep, stats, values, *at, where.running, limit, scale, keys
        )
        self.backward: Callable[[], None] = partial(
            kernels.backward, rows, g_, z, keep, stats, values, grad, *at, limit, scale
        )


class Engine:
    """m networks of one architecture in training, and the best weights that each had so far."""

    def __init__(
        self,
        architecture: MLPFamily,
        data: Tensors,
        columns: Sequence[tuple[int, ...]],
        streams: Sequence[Streams],
        width: int,
        rows: int,
    ) -> None:
        """``columns``, ``streams``: of every network; ``width``: columns that all have, padding included."""
        from xai_bench.models import kernels  # numba takes a moment, and compiles once

        self.kernels, self.architecture, self.data, self.streams = kernels, architecture, data, streams
        self.columns, self.m, self.rows, self.stride = columns, len(columns), rows, padded(width, REGISTER)
        self.layers = architecture.layers(width, data.n_outputs)
        self.places, self.trained, total = places(self.layers)
        self.values, self.grad, self.means, self.squares = (torch.zeros(self.m, total) for _ in range(4))
        for where in self.places:
            if where.layer.batch_norm:
                self.values[:, where.running + where.layer.n_out :][:, : where.layer.n_out] = 1.0
        self.best, self.best_loss = self.values.clone(), [math.inf] * self.m
        self._parts = {"train": gathered(data.X_train, columns, self.stride)}
        self._parts["valid"] = gathered(data.X_valid, columns, self.stride)
        self._X_train = self._parts["train"].numpy()
        self._batch = torch.zeros(self.m, rows, self.stride)
        self.steps: list[LayerStep] = []
        inputs, before, which = self._batch[:, :, :width].transpose(1, 2), None, 0
        for where in self.places:
            before = LayerStep(self, where, inputs, before, which)
            which += where.layer.dropout > 0
            inputs = before.out[:, :, :rows]
            self.steps.append(before)
        self._loss, self._valid_loss = self._losses()
        self._weights = [[where.view(self.values, "matrix")[i] for where in self.places] for i in range(self.m)]
        self._adam = self._adam_kernel()

    def _losses(self) -> tuple[Callable[..., None], Callable[..., float]]:
        """From the last product to its gradient, for the rows (m, rows) of a step; outputs to the validation loss."""
        data, kernels, last = self.data, self.kernels, self.steps[-1]
        w_train, w_valid = (_array(w) for w in (data.w_train, data.w_valid))
        if data.kind == "classification":
            gradient, mean = kernels.cross_entropy, kernels.mean_cross_entropy
            y_train, y_valid = (y.contiguous().numpy() for y in (data.y_train, data.y_valid))
        else:
            gradient, mean = kernels.squared_error, kernels.mean_squared_error
            y_train, y_valid = (y.reshape(len(y), -1).contiguous().numpy() for y in (data.y_train, data.y_valid))
        arrays = self.values.numpy(), self.grad.numpy()
        of_step = partial(gradient, last.z.numpy(), y_train, w_train, *arrays, self.places[-1].bias)
        return of_step, lambda outputs: float(mean(outputs, y_valid, w_valid))

    def _adam_kernel(self) -> Callable[..., None]:
        """A step on all trained values; to be called with the corrected rate and 1 / sqrt(1 - beta2^t)."""
        of, first = self.architecture, self.places[0]
        strengths = np.zeros(5, dtype=np.float32)
        if isinstance(of, SpectralMLP):
            strengths[1:] = 2 * of.l2_phi, of.l1_phi, 2 * of.l2_lambda, of.l1_lambda
        elif isinstance(of, MLP):
            strengths[0] = of.group_lasso
        arrays = (t.numpy() for t in (self.values, self.grad, self.means, self.squares))
        shape = first.layer.n_out, first.stride
        return partial(self.kernels.adam, *arrays, *shape, first.layer.spectral, self.trained, strengths)

    def load(self, slot: int, module: nn.Sequential) -> None:
        """Copy a module with at most ``width`` inputs into a slot; its padding columns stay 0."""
        with torch.no_grad():
            for where, parts in zip(self.places, parts_of(module), strict=True):
                for name, tensor in parts.items():
                    where.view(self.values, name)[slot][..., : tensor.shape[-1]] = tensor
        self.best[slot] = self.values[slot]

    def store(self, slot: int, module: nn.Sequential) -> float:
        """Copy the best weights of a network back into its module; returns their validation loss."""
        with torch.no_grad():
            for index, (where, parts) in enumerate(zip(self.places, parts_of(module), strict=True)):
                for name, tensor in parts.items():
                    tensor.copy_(where.view(self.best, name)[slot][..., : tensor.shape[-1]])
                if where.layer.batch_norm:
                    norm, n = norm_after(module, index), where.layer.n_out
                    norm.running_mean.copy_(self.best[slot, where.running : where.running + n])  # type: ignore[union-attr]
                    norm.running_var.copy_(self.best[slot, where.running + n : where.running + 2 * n])  # type: ignore[union-attr]
        return self.best_loss[slot]

    def step(self, index: Tensor, step: int, rate: float) -> None:
        """Step number ``step``, from 0, on the rows ``index`` (m, rows), with a learning rate."""
        rows, mm = index.numpy(), torch.mm
        self.kernels.gather(self._X_train, rows, self._batch.numpy())
        for layer in self.steps:
            if layer.prepare:
                layer.prepare()
            for a, b, out in layer.products:
                mm(a, b, out=out)
            if layer.last:
                self._loss(rows)
            else:
                layer.forward(step)
        for layer in reversed(self.steps):
            if not layer.last:
                layer.backward()
            for a, b, out in layer.weight_gradients:
                mm(a, b, out=out)
            if layer.finish:
                layer.finish()
            for a, b, out in layer.input_gradients:
                mm(a, b, out=out)
        beta_1, beta_2 = ADAM_BETAS
        self._adam(np.float32(rate / (1 - beta_1 ** (step + 1))), np.float32(1 / math.sqrt(1 - beta_2 ** (step + 1))))

    def look(self) -> None:
        """Keep the weights of the networks whose validation loss is lower than before."""
        for slot, current in enumerate(self.losses()):
            if current < self.best_loss[slot]:
                self.best_loss[slot] = current
                self.best[slot] = self.values[slot]

    def losses(self) -> list[float]:
        """The validation loss of every network as it is."""
        found = []
        for slot, values in enumerate(self.values):
            outputs = self._outputs(values, self._weights[slot], self._part(slot, "valid"))
            found.append(self._valid_loss(outputs.numpy()))
        return found

    def outputs(self, slot: int, part: str) -> Tensor:
        """(n, n_outputs) of a network at its best weights, on the rows of train, valid or test."""
        weights = [where.view(self.best, "matrix")[slot] for where in self.places]
        return self._outputs(self.best[slot], weights, self._part(slot, part)).T.contiguous()

    def _part(self, slot: int, part: str) -> Tensor:
        """(n, stride): what a network sees of the rows of a part."""
        if part not in self._parts:
            return gathered(getattr(self.data, f"X_{part}"), [self.columns[slot]], self.stride)[0]
        X = self._parts[part]
        return X[slot if len(X) > 1 else 0]

    def _outputs(self, values: Tensor, weights: Sequence[Tensor], X: Tensor) -> Tensor:
        """(n_outputs, n) in eval mode of one network's values, ``weights`` being views of them, for X (n, stride)."""
        x, array = X[:, : self.layers[0].n_in].T, values.numpy()
        for where, weight in zip(self.places, weights, strict=True):
            if where.layer.spectral:
                weight = weight * values[where.lambda_in :][: where.layer.n_in]
            x = torch.mm(weight, x)
            at = where.bias, where.gamma, where.beta, where.running
            self.kernels.evaluate(x.numpy(), array, ACTIVATIONS[where.layer.activation], *at)
        return x
