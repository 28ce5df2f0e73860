"""Training: many networks of the MLP family in one stack, any other architecture in an ordinary loop.

What a network becomes depends on (architecture, data, seed, sorted columns) only. Initial weights, batch order
and dropout each have their own stream, seeded with (seed, sorted columns).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.devices import seeded, synchronise
from xai_bench.models.base import Architecture, FittedModel, built
from xai_bench.models.dropout import keep_masks
from xai_bench.models.learning import fitted_model as fitted_model
from xai_bench.models.learning import score as score
from xai_bench.models.losses import RowWeights as RowWeights
from xai_bench.models.losses import Tensors, loss
from xai_bench.models.losses import loss_gradient as loss_gradient
from xai_bench.models.losses import row_losses as row_losses
from xai_bench.models.mlp import MLPFamily, scale_inputs
from xai_bench.models.moments.rounds import starting_scales
from xai_bench.models.stack import ADAM_BETAS, ADAM_EPS
from xai_bench.models.stacked import fit_stacked, is_served
from xai_bench.models.streams import Streams, Task, batch_rows, checkpoint_steps, learning_rate


def fit_many(
    architecture: Architecture,
    data: Dataset,
    seeds: Sequence[int],
    masks: NDArray[np.bool_] | None = None,
    *,
    row_weights: RowWeights | None = None,
    rows: int | None = None,
    chunk: int | None = None,
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
    chunk : networks side by side at the most; None for 16 on a CPU, on a CUDA device for as many as fill it. No bit of
        a result depends on it, nor on the companions (in float64 the last bits may depend on whether it is 1, on CUDA
        on how many there are).
    width : columns that every mask is padded to; None for the next power of two
    device : where the networks are trained, and stay. Initial weights, batches and masks are the same on all: what
        is trained on CUDA is what the CPU trains, but for rounding

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
    if isinstance(architecture, MLPFamily) and is_served(architecture):
        for task, one in fit_stacked(architecture, tensors, tasks, chunk, width, rows):
            fitted[task] = fitted_model(one.module, tensors, one.outputs, one.valid_loss, one.cpu, one.wall)
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
    cut = len(chosen) < data.d
    shape = (len(chosen),) if cut and not architecture.needs_picture else data.shape
    network = architecture.network(shape, data.n_outputs, streams.init, data.kind)
    start_from_rows(architecture, network, tensors, chosen)
    module = WithZeros(network, chosen, data.d) if cut and architecture.needs_picture else network
    module.to(device, dtype)
    dropouts = _seed_dropout(module, streams)
    X_train, X_valid, X_test = (x[:, list(chosen)] for x in (tensors.X_train, tensors.X_valid, tensors.X_test))
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, betas=ADAM_BETAS, eps=ADAM_EPS)
    steps = architecture.steps(n)
    looks = checkpoint_steps(architecture, n)
    best_loss, best = math.inf, {name: value.clone() for name, value in module.state_dict().items()}
    with seeded(stream_seed("dropout", seed, chosen)):
        for step in range(steps):
            module.train()
            index = streams.batches(1)[0].to(X_train.device)
            batch = X_train[index].requires_grad_(architecture.penalises_gradients)
            outputs = module(batch)
            w = None if tensors.w_train is None else tensors.w_train[index]
            fit = loss(outputs[None], tensors.y_train[index][None], tensors.kind, w)[0]
            total = fit + architecture.penalty(built(network))
            if architecture.penalises_gradients:
                total = total + architecture.gradient_penalty(fit, batch)
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
    for dropout in dropouts:
        del dropout.forward  # the class's own again
    module.load_state_dict(best)
    module.eval()
    synchronise(tensors.device)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    with torch.no_grad():
        outputs_of = {"train": module(X_train), "valid": module(X_valid), "test": module(X_test)}
    return fitted_model(module, tensors, outputs_of, best_loss, cpu, wall)


def start_from_rows(architecture: Architecture, network: nn.Module, data: Tensors, columns: Sequence[int]) -> None:
    """Set what of the initial weights of a network for some columns the training rows decide, where they decide any."""
    if isinstance(architecture, MLPFamily) and architecture.starts_from_moments():
        first = built(network)
        assert isinstance(first, nn.Sequential)
        scale_inputs(first, starting_scales(data, columns))


def _seed_dropout(module: nn.Module, streams: Streams) -> list[nn.Dropout]:
    """Let every Dropout draw from the network's own stream while it is trained; returns them."""
    dropouts = [child for child in module.modules() if isinstance(child, nn.Dropout)]
    for which, dropout in enumerate(dropouts):
        dropout.forward = _keyed_dropout(dropout, streams.dropout_key(which))  # type: ignore[method-assign, assignment]
    return dropouts


def _keyed_dropout(dropout: nn.Dropout, key: int) -> Callable[[Tensor], Tensor]:
    """What ``dropout`` does, with the masks of a key; every call in train mode is a step."""
    step = itertools.count()

    def forward(x: Tensor) -> Tensor:
        if not dropout.training or not dropout.p:
            return x
        if dropout.p == 1:
            return x * 0
        keys = torch.tensor([key], device=x.device)
        keep = keep_masks(keys, next(step), x[0].numel(), len(x), dropout.p)[0].T
        return x * keep.reshape(x.shape).to(x.dtype) / (1 - dropout.p)

    return forward


class WithZeros(nn.Module):
    """A network that needs all d inputs, for rows with some of them: the others are 0.

    Attributes
    ----------
    columns : (k,) the inputs that the rows have
    """

    columns: Tensor

    def __init__(self, network: nn.Module, columns: Sequence[int], d: int) -> None:
        super().__init__()
        self.network, self.d = network, d
        self.register_buffer("columns", torch.tensor(columns))

    def forward(self, x: Tensor) -> Tensor:
        """(n, k) to what the network says of (n, d)."""
        return self.network(x.new_zeros(len(x), self.d).index_copy(1, self.columns, x))
