"""Training on a CUDA device: the step of ``models.torch_engine``, captured once as a CUDA graph and replayed.

A step of small networks is some sixty kernels of a few microseconds, which the host launches more slowly than the
device runs them; a graph is launched at once. What changes from step to step lies in tensors that stay where they are:
row numbers, masks, learning rate, the counter of Adam. The first steps are made as any others, which warms up the
libraries that a capture would refuse to start. Where a capture fails, all steps are made like these, and a warning
says why.

Batches and masks are those of every other device (``models.streams``, ``models.dropout``): a training on CUDA is the
one on the CPU but for rounding. Masks are drawn on the device, for several steps at once.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from xai_bench.models.dropout import keep_masks_of_steps
from xai_bench.models.losses import Tensors
from xai_bench.models.mlp import MLPFamily
from xai_bench.models.stack import Adam, Stack, padded
from xai_bench.models.streams import Streams
from xai_bench.models.torch_engine import TorchEngine

STEPS_BEFORE = 3
"""Steps that are made before one is captured."""
PARTS, SMALLEST_PART, BLOCK = 36, 2**11, 2**16
"""Of the flat buffers: how many tensors one launch of Adam takes, and numbers in one at the least and at the most."""
MASK_STEPS, MASK_VALUES = 16, 2**24
"""Steps whose masks are drawn at once, at the most, and values in them (1 GiB while they are drawn)."""


class DeviceStack(Stack):
    """A stack with fewer kernels a step; what they compute is slow on a CPU."""

    @staticmethod
    def _moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        var, mean = torch.var_mean(x, 1, correction=0)
        return mean, var, x - mean[:, None, :]

    @staticmethod
    def _column_norms(matrix: Tensor) -> Tensor:
        return torch.linalg.vector_norm(matrix, dim=1, keepdim=True)


class AdamInParts(Adam):
    """Adam on many parts of the flat buffers at once.

    A block of threads takes up to 65536 numbers of one tensor, one after the other: a small stack in one tensor would
    leave most of the device idle.
    """

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        size = max(padded(-(-stack.flat.numel() // PARTS)), SMALLEST_PART)
        if size < BLOCK:
            self._parts = [list(parts[0].split(size)) for parts in self._parts]
            self._counts = [torch.zeros_like(self.steps) for _ in self._parts[0]]


class GraphEngine(TorchEngine):
    """m networks of one architecture in training, and the best weights that each had so far.

    Attributes
    ----------
    refused : why no graph is used, "" where one is, or will be
    """

    stack_class = DeviceStack
    adam_class = AdamInParts

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
        super().__init__(architecture, data, columns, streams, width, rows)
        m, device = len(columns), data.device
        self.refused = "" if device.type == "cuda" else f"the device {device.type} has no CUDA graphs"
        self._graph: torch.cuda.CUDAGraph | None = None
        self._made = 0
        self._targets: Tensor | None = None
        if data.kind == "classification":  # what each row takes from the gradient of its class
            self._targets = torch.nn.functional.one_hot(data.y_train, data.n_outputs).to(data.dtype) / -rows
        self._index = torch.zeros(m, rows, dtype=torch.int64, device=device)
        self._rate = torch.zeros((), device=device)
        self._mask = [
            torch.zeros(m, rows, layer.n_out, dtype=data.dtype, device=device) if layer.dropout else None
            for layer in self.stack.layers
        ]
        values = sum(mask.numel() for mask in self._mask if mask is not None)
        self._mask_steps = max(min(MASK_STEPS, MASK_VALUES // max(values, 1)), 1)
        self._drawn: list[Tensor | None] = []
        self._drawn_from = -self._mask_steps

    def step(self, index: Tensor, step: int, rate: float) -> None:
        """Step number ``step``, from 0, on the rows ``index`` (m, rows), with a learning rate."""
        self._index.copy_(index)
        self._rate.fill_(rate)
        self._take_masks(step)
        if self._graph is None and not self.refused:
            self._approach_capture()
        elif self._graph is None:
            self._work()
        else:
            self._graph.replay()

    def _work(self) -> None:
        self._advance(self._index, self._mask, self._rate)

    def _loss_gradient(self, outputs: Tensor, index: Tensor) -> Tensor:
        if self._targets is None:
            return super()._loss_gradient(outputs, index)
        chosen, w = index.view(-1), self.data.w_train
        taken = self._targets.index_select(0, chosen).view(outputs.shape)
        gradient = torch.add(taken, outputs.softmax(2), alpha=1 / self.rows)
        return gradient if w is None else gradient * w.index_select(0, chosen).view(*index.shape, 1)

    def _take_masks(self, step: int) -> None:
        """Copy the masks of a step to where the captured step reads them."""
        at = step - self._drawn_from
        if not 0 <= at < self._mask_steps:
            self._drawn, self._drawn_from, at = self._draw_masks(step), step, 0
        for mask, drawn in zip(self._mask, self._drawn, strict=True):
            if mask is not None and drawn is not None:
                mask.copy_(drawn[at])

    def _draw_masks(self, first: int) -> list[Tensor | None]:
        """For every layer (steps, m, rows, n_out) from step ``first`` on, 0 or 1 / (1 - rate), or None."""
        masks: list[Tensor | None] = []
        for layer in self.stack.layers:
            if not layer.dropout:
                masks.append(None)
                continue
            size = layer.n_out, self.rows, layer.dropout
            keep = keep_masks_of_steps(self._keys[id(layer)], first, self._mask_steps, *size)
            by_row = keep.transpose(2, 3).to(self.data.dtype, memory_format=torch.contiguous_format)
            masks.append(by_row / (1 - layer.dropout))
        return masks

    def _approach_capture(self) -> None:
        """Make a step on the stream of captures; or capture one, and make it."""
        device = self.data.device
        side, here = stream_of_captures(device), torch.cuda.current_stream(device)
        side.wait_stream(here)
        if self._made == STEPS_BEFORE:
            self._capture(side)
            here.wait_stream(side)
            self._work() if self._graph is None else self._graph.replay()
            return
        with torch.cuda.stream(side):
            self._work()
        here.wait_stream(side)
        self._made += 1

    def _capture(self, side: torch.cuda.Stream) -> None:
        """Capture a step, which is not made thereby; where that fails, ``refused`` says why."""
        graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.data.device)
        try:
            with (
                torch.cuda.device(self.data.device),
                torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"),
            ):
                self._work()
        except RuntimeError as error:
            torch.cuda.set_stream(here)  # a capture that breaks off leaves its own
            self.refused = (str(error).strip().splitlines() or ["no reason given"])[0]
            warnings.warn(
                f"the training step could not be captured as a CUDA graph ({self.refused}): "
                "its kernels are launched one by one, which takes longer",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        self._graph = graph


@functools.cache
def stream_of_captures(device: torch.device) -> torch.cuda.Stream:
    """One stream a device: matrix products keep a workspace for each stream that they have run on."""
    return torch.cuda.Stream(device)
