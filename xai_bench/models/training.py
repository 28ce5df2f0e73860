"""Training: many networks of the MLP family in one stack, any other architecture in an ordinary loop.

What a network becomes depends on (architecture, data, seed, sorted columns) only. Initial weights, batch order
and dropout each have their own stream, seeded with (seed, sorted columns).
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.devices import forked_random, synchronise
from xai_bench.models.base import Architecture, FittedModel, Kind
from xai_bench.models.learning import fitted_model as fitted_model
from xai_bench.models.learning import score as score
from xai_bench.models.mlp import MLPFamily
from xai_bench.models.spectral import SpectralLinear
from xai_bench.models.stack import ADAM_BETAS, ADAM_EPS, Adam, Stack, padded

CHUNK = 16
"""Networks side by side at the most."""
PAIR = 2
"""Networks side by side at the least, filled up with a copy: a product of one matrix alone may round otherwise."""
GATHERED_VALUES = 2**26
"""Gathered training values of a chunk at the most (256 MiB in float32)."""
STEPS_AT_ONCE = 16
"""Steps whose batch order and dropout masks are drawn in one go."""


@dataclass(frozen=True)
class Task:
    """One network: the seed and the inputs that it sees."""

    seed: int
    columns: tuple[int, ...]  # sorted


def fit_many(
    architecture: Architecture,
    data: Dataset,
    seeds: Sequence[int],
    masks: NDArray[np.bool_] | None = None,
    *,
    row_weights: RowWeights | None = None,
    rows: int | None = None,
    chunk: int = CHUNK,
    width: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> list[FittedModel]:
    """Train one network for every seed, on the inputs in its mask only.

    Parameters
    ----------
    architecture : of the MLP family (trained ``chunk`` at a time), or any other (one after the other)
    data : standardised as wished
    seeds : (m,)
    masks : (m, d) bool, the inputs that network i sees; None for all inputs. A network that is asked for
        twice is trained once.
    row_weights : what each training and validation row counts in the mean losses; None for 1. Scores count all alike.
    rows : training rows of a batch; None for the architecture's ``batch_size``, in whole vector registers
    chunk : networks side by side at the most. The last bits of a result may depend on whether it is 1, never on the
        companions, nor on how many they are.
    width : columns that every mask is padded to; None for the next power of two
    device : where the networks are trained, and stay; initial weights are drawn on the CPU, the same for all

    Returns
    -------
    m fitted models; ``module`` takes the columns of its mask in ascending order.

    Raises
    ------
    ValueError
        If a mask is empty, shapes differ, or a training diverged.
    """
    d = data.d
    if masks is None:
        tasks = [Task(seed, tuple(range(d))) for seed in seeds]
    else:
        if masks.shape != (len(seeds), d):
            raise ValueError(f"fit_many: expected masks of shape ({len(seeds)}, {d}), got {masks.shape}")
        if not masks.any(1).all():
            raise ValueError("fit_many: a mask keeps no input")
        tasks = [Task(seed, tuple(np.flatnonzero(m).tolist())) for seed, m in zip(seeds, masks, strict=True)]
    tensors = Tensors(data, dtype, torch.device(device), row_weights)
    rows = rows or batch_rows(architecture, len(tensors.X_train))
    fitted: dict[Task, FittedModel] = {}
    if isinstance(architecture, MLPFamily):
        groups: dict[tuple[int, int], list[Task]] = defaultdict(list)
        for task in dict.fromkeys(tasks):
            k = len(task.columns)
            columns = width or bucket(k, d)
            fits = chunk if columns == d else max(1, min(chunk, GATHERED_VALUES // (len(tensors.X_train) * columns)))
            # Among masks the one that keeps all inputs is alone: a full chunk would be copies of it.
            alone = masks is not None and k == d and width is None
            groups[columns, 1 if alone else fits].append(task)
        for (columns, size), group in groups.items():
            for start in range(0, len(group), size):
                part = group[start : start + size]
                slots = max(len(part), min(size, PAIR))
                fitted.update(zip(part, _fit_stack(architecture, tensors, part, columns, slots, rows), strict=True))
    else:
        for task in dict.fromkeys(tasks):
            fitted[task] = fit_one(
                architecture,
                data,
                task.seed,
                task.columns,
                row_weights=row_weights,
                rows=rows,
                dtype=dtype,
                device=device,
            )
    return [fitted[task] for task in tasks]


def bucket(k: int, d: int) -> int:
    """The padded number of columns: the next power of two from 4 on, or d."""
    return min(d, max(4, 1 << (k - 1).bit_length()))


class RowWeights(NamedTuple):
    """What each row counts in the mean loss: (n_train,) and (n_valid,) >= 0, scaled to mean 1 before use."""

    train: NDArray[np.floating]
    valid: NDArray[np.floating]


class Tensors:
    """The arrays of a dataset as tensors, for every part; ``w_train`` and ``w_valid`` are None, or have mean 1."""

    def __init__(
        self, data: Dataset, dtype: torch.dtype, device: torch.device, row_weights: RowWeights | None = None
    ) -> None:
        self.kind: Kind = data.kind
        self.n_outputs = data.n_outputs
        self.target_std = data.target_std
        target_dtype = torch.int64 if data.kind == "classification" else dtype
        self.dtype, self.device = dtype, device
        self.X_train, self.X_valid, self.X_test = (
            torch.from_numpy(x).to(device, dtype) for x in (data.X_train, data.X_valid, data.X_test)
        )
        self.y_train, self.y_valid, self.y_test = (
            torch.from_numpy(y).to(device, target_dtype) for y in (data.y_train, data.y_valid, data.y_test)
        )
        self.w_train: Tensor | None = None
        self.w_valid: Tensor | None = None
        if row_weights is not None:
            self.w_train, self.w_valid = (torch.from_numpy(w / w.mean()).to(device, dtype) for w in row_weights)


def row_losses(outputs: Tensor, y: Tensor, kind: Kind) -> Tensor:
    """(m, n) cross-entropy, or squared error (its mean over targets), of outputs (m, n, n_outputs).

    ``y``: (m or 1, n), or (m or 1, n, n_outputs) in a regression of several targets.
    """
    if kind == "classification":
        chosen = outputs.gather(2, y.expand(len(outputs), -1)[:, :, None])[:, :, 0]
        return outputs.logsumexp(2) - chosen
    if y.ndim == 3:
        return (outputs - y).square().mean(2)
    return (outputs[:, :, 0] - y).square()


def loss(outputs: Tensor, y: Tensor, kind: Kind, row_weights: Tensor | None = None) -> Tensor:
    """(m,) mean of ``row_losses``, each row times its weight (n,) if there are weights."""
    losses = row_losses(outputs, y, kind)
    return losses.mean(1) if row_weights is None else (losses * row_weights).mean(1)


def loss_gradient(outputs: Tensor, y: Tensor, kind: Kind, row_weights: Tensor | None = None) -> Tensor:
    """(m, b, n_outputs): the gradient of ``loss`` for y (m, b) or (m, b, n_outputs), row weights (m, b)."""
    rows = outputs.shape[1]
    if kind == "classification":
        # Over an inner dimension of few classes softmax is eight times slower.
        gradient = outputs.transpose(1, 2).contiguous().softmax(1).transpose(1, 2).contiguous()
        gradient.scatter_add_(2, y[:, :, None], gradient.new_full((1, 1, 1), -1.0).expand(*y.shape, 1))
        gradient = gradient.div_(rows)
    elif y.ndim == 3:
        gradient = (outputs - y) * (2.0 / (rows * y.shape[2]))
    else:
        gradient = ((outputs[:, :, 0] - y) * (2.0 / rows))[:, :, None]
    return gradient if row_weights is None else gradient * row_weights[:, :, None]


def learning_rate(architecture: Architecture, step: int, steps: int) -> float:
    """The learning rate of a step (from 0) of so many."""
    if architecture.schedule == "constant":
        return architecture.learning_rate
    return architecture.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))


def checkpoint_steps(architecture: Architecture, steps: int) -> set[int]:
    """Numbers of steps done at which the validation loss is looked at, the last one included."""
    count = min(architecture.checkpoints, steps)
    return {round(steps * (i + 1) / count) for i in range(count)}


def batch_rows(architecture: Architecture, n: int) -> int:
    """Rows of a batch: the architecture's, or all; whole vector registers where there are enough rows."""
    rows = min(architecture.batch_size, n)
    return rows - rows % 32 if rows > 32 else rows


class Streams:
    """The randomness of one network: initial weights, batch order and dropout apart."""

    def __init__(self, task: Task, n: int, rows: int) -> None:
        self._task = task
        self.init, self._order = self._generator("weights"), self._generator("batches")
        self._dropout: dict[int, torch.Generator] = {}
        self._batches = self._draw_batches(n, rows)

    def _generator(self, name: str, *parts: int) -> torch.Generator:
        return torch.Generator().manual_seed(stream_seed(name, self._task.seed, self._task.columns, *parts))

    def _draw_batches(self, n: int, rows: int) -> Iterator[Tensor]:
        while True:
            order = torch.randperm(n, generator=self._order)
            yield from order[: n - n % rows].view(-1, rows)

    def batches(self, steps: int) -> Tensor:
        """(steps, rows): the row numbers of the next batches; an incomplete last batch of an epoch is left out."""
        return torch.stack([next(self._batches) for _ in range(steps)])

    def keep(self, dropout: int, rows: int, width: int, rate: float, dtype: torch.dtype) -> Tensor:
        """(STEPS_AT_ONCE, rows, width): 0 or 1 / (1 - rate), for the next steps of one dropout layer."""
        if dropout not in self._dropout:
            self._dropout[dropout] = self._generator("dropout", dropout)
        kept = torch.empty(STEPS_AT_ONCE, rows, width, dtype=dtype)
        return kept.bernoulli_(1 - rate, generator=self._dropout[dropout]).div_(1 - rate)


def _gathered(x: Tensor, columns: list[tuple[int, ...]], width: int) -> Tensor:
    """(m, n, width): the columns of every network, padded with 0; (1, n, d) if all see all inputs."""
    if width == x.shape[1]:
        if all(len(c) == width for c in columns):
            return x[None]
        result = x.new_zeros(len(columns), len(x), width)
        for slot, chosen in enumerate(columns):
            result[slot, :, : len(chosen)] = x[:, list(chosen)]
        return result
    padding = torch.cat([x, x.new_zeros(len(x), 1)], 1)
    index = torch.tensor([[*c, *([x.shape[1]] * (width - len(c)))] for c in columns], device=x.device)
    return padding[:, index].permute(1, 0, 2).contiguous()


def _fit_stack(
    architecture: MLPFamily, data: Tensors, tasks: list[Task], width: int, size: int, rows: int
) -> list[FittedModel]:
    """Train a chunk of networks; empty slots are filled with copies of the first network."""
    synchronise(data.device)
    cpu, wall = time.process_time(), time.perf_counter()
    filled = tasks + [tasks[0]] * (size - len(tasks))
    n = len(data.X_train)
    streams = [Streams(task, n, rows) for task in filled]
    modules = [
        architecture.build(len(task.columns), data.n_outputs, stream.init)
        for task, stream in zip(filled, streams, strict=True)
    ]
    stack = Stack(architecture, size, width, data.n_outputs, data.dtype, data.device)
    for slot, module in enumerate(modules):
        stack.load(slot, module)
    columns = [task.columns for task in filled]
    X_train, X_valid = _gathered(data.X_train, columns, width), _gathered(data.X_valid, columns, width)
    valid = _Evaluation(X_valid, data.y_valid, data.w_valid)
    best = stack.snapshot()
    best_loss = torch.full((size,), math.inf, dtype=data.dtype, device=data.device)

    optimiser = Adam(stack)
    # One network after the other in one array: the first row of each.
    first_rows = n * torch.arange(len(X_train), device=data.device)[:, None]
    rows_of_all = X_train.view(-1, width)
    steps = architecture.steps(n)
    looks = checkpoint_steps(architecture, steps)
    with torch.no_grad():
        for step in range(steps):
            at = step % STEPS_AT_ONCE
            if at == 0:
                count = min(STEPS_AT_ONCE, steps - step)
                order = torch.stack([s.batches(count) for s in streams], 1).to(data.device)
                dropout = _dropout_masks(stack, streams, rows)
            index = order[at]
            x = rows_of_all.index_select(0, (index + first_rows).view(-1)).view(size, rows, width)
            outputs = stack.forward(x, [None if mask is None else mask[at] for mask in dropout])
            w = None if data.w_train is None else data.w_train[index]
            stack.backward(loss_gradient(outputs, data.y_train[index], data.kind, w))
            optimiser.step(learning_rate(architecture, step, steps))
            if step + 1 in looks:
                current = valid.loss(stack, data.kind)
                better = current < best_loss
                stack.keep(best, better)
                best_loss = torch.where(better, current, best_loss)
    fitted_modules = []
    for slot in range(len(tasks)):
        modules[slot].to(data.device, data.dtype)
        stack.store(slot, modules[slot], best)
        fitted_modules.append(modules[slot])
    synchronise(data.device)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    outputs_of = {
        part: stack.predict(_gathered(getattr(data, f"X_{part}"), columns, width), best)[: len(tasks)]
        for part in ("train", "valid", "test")
    }
    return [
        fitted_model(
            module,
            data,
            {part: values[slot] for part, values in outputs_of.items()},
            float(best_loss[slot]),
            cpu / len(tasks),
            wall / len(tasks),
        )
        for slot, module in enumerate(fitted_modules)
    ]


class _Evaluation:
    """The loss on fixed rows; rows are padded to whole vector registers, which the loss leaves out."""

    def __init__(self, x: Tensor, y: Tensor, row_weights: Tensor | None) -> None:
        missing = padded(x.shape[1]) - x.shape[1]
        self.n = x.shape[1]
        self.x = torch.cat([x, x.new_zeros(len(x), missing, x.shape[2])], 1)
        self.y, self.row_weights = y[None], row_weights

    def loss(self, stack: Stack, kind: Kind) -> Tensor:
        return loss(stack.predict(self.x)[:, : self.n], self.y, kind, self.row_weights)


def _dropout_masks(stack: Stack, streams: list[Streams], rows: int) -> list[Tensor | None]:
    """For every layer (STEPS_AT_ONCE, m, rows, n_out), or None."""
    drawn: list[Tensor | None] = []
    for index, layer in enumerate(stack.layers):
        if layer.dropout:
            masks = [s.keep(index, rows, layer.n_out, layer.dropout, stack.flat.dtype) for s in streams]
            drawn.append(torch.stack(masks, 1).to(stack.flat.device))
        else:
            drawn.append(None)
    return drawn


def fit_one(
    architecture: Architecture,
    data: Dataset,
    seed: int,
    columns: Sequence[int] | None = None,
    *,
    row_weights: RowWeights | None = None,
    rows: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> FittedModel:
    """Train one network of any architecture by autograd, with the streams and the schedule of ``fit_many``."""
    tensors = Tensors(data, dtype, torch.device(device), row_weights)
    chosen = tuple(range(data.d)) if columns is None else tuple(sorted(columns))
    task = Task(seed, chosen)
    n = len(tensors.X_train)
    rows = rows or batch_rows(architecture, n)
    synchronise(tensors.device)
    cpu, wall = time.process_time(), time.perf_counter()
    streams = Streams(task, n, rows)
    module = architecture.build(len(chosen), data.n_outputs, streams.init).to(device, dtype)
    hooks = _seed_dropout(module, streams)
    X_train, X_valid, X_test = (x[:, list(chosen)] for x in (tensors.X_train, tensors.X_valid, tensors.X_test))
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, betas=ADAM_BETAS, eps=ADAM_EPS)
    steps = architecture.steps(n)
    looks = checkpoint_steps(architecture, steps)
    best_loss, best = math.inf, {name: value.clone() for name, value in module.state_dict().items()}
    with forked_random():
        torch.manual_seed(stream_seed("dropout", seed, chosen))
        for step in range(steps):
            module.train()
            index = streams.batches(1)[0].to(X_train.device)
            outputs = module(X_train[index])
            w = None if tensors.w_train is None else tensors.w_train[index]
            total = loss(outputs[None], tensors.y_train[index][None], tensors.kind, w)[0] + architecture.penalty(module)
            optimiser.zero_grad()
            total.backward()
            optimiser.param_groups[0]["lr"] = learning_rate(architecture, step, steps)
            optimiser.step()
            if step + 1 in looks:
                module.eval()
                with torch.no_grad():
                    current = float(loss(module(X_valid)[None], tensors.y_valid[None], tensors.kind, tensors.w_valid))
                if current < best_loss:
                    best_loss, best = current, {name: v.clone() for name, v in module.state_dict().items()}
    for hook in hooks:
        hook.remove()
    module.load_state_dict(best)
    module.eval()
    synchronise(tensors.device)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    with torch.no_grad():
        outputs_of = {"train": module(X_train), "valid": module(X_valid), "test": module(X_test)}
    return fitted_model(module, tensors, outputs_of, best_loss, cpu, wall)


def _seed_dropout(module: nn.Module, streams: Streams) -> list[RemovableHandle]:
    """Let every Dropout draw from the network's own stream while it is trained; returns the hooks."""
    dense, handles = -1, []
    for child in module.modules():
        if isinstance(child, nn.Linear | SpectralLinear):
            dense += 1
        elif isinstance(child, nn.Dropout):
            handles.append(child.register_forward_hook(_dropout_from(streams, max(dense, 0))))
    return handles


def _dropout_from(streams: Streams, layer: int) -> Callable[[nn.Dropout, tuple[Tensor], Tensor], Tensor | None]:
    waiting: list[Tensor] = []

    def hook(module: nn.Dropout, inputs: tuple[Tensor], _output: Tensor) -> Tensor | None:
        if not module.training:
            return None
        x = inputs[0]
        if not waiting:
            waiting.extend(streams.keep(layer, len(x), x[0].numel(), module.p, x.dtype))
        return x * waiting.pop(0).view(x.shape).to(x.device)

    return hook
