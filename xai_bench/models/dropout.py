"""Which values dropout keeps: a function of the network, the layer, the step and the position, on every device.

Counters instead of a generator: every 64-bit word is the finaliser of splitmix64 (Steele, Lea and Flood 2014,
https://doi.org/10.1145/2660193.2660195) of a key, a step and a position, and serves four values. So the compiled loops,
torch on a CPU and torch on a CUDA device draw the same masks, whatever else is drawn. This is torch's version; the
compiled one is in ``models.kernels``, and tests compare them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xai_bench.component import stream_seed

FIELDS = 2**16
GOLDEN = 0x9E3779B97F4A7C15 - 2**64
MIX_1, MIX_2 = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64


def dropout_key(seed: int, columns: tuple[int, ...], which: int) -> int:
    """The key of the masks of a network's dropout layer number ``which``, from 0."""
    return stream_seed("dropout", seed, columns, which)


def threshold(rate: float) -> int:
    """A 16-bit number below it keeps a value: the share that is kept, 1 - rate, times 65536."""
    return round(FIELDS * (1 - rate))


def keep_masks(keys: Tensor, step: int, width: int, rows: int, rate: float) -> Tensor:
    """(m, width, rows) bool for keys (m,) int64: what is kept in a step, counted from 0; True with 1 - rate.

    The word of a position serves four rows of one feature, its lowest 16 bits the first one.
    """
    words = -(-rows // 4)
    counter = torch.arange(1, width * words + 1, device=keys.device)
    base = _mixed(keys + _wrapped((step + 1) * GOLDEN))
    drawn = _mixed(base[:, None] + counter * GOLDEN)
    shifts = torch.arange(0, 64, 16, device=keys.device)
    fields = (drawn[:, :, None] >> shifts) & (FIELDS - 1)
    return fields.view(len(keys), width, 4 * words)[:, :, :rows] < threshold(rate)


def keep_masks_of_steps(keys: Tensor, first: int, steps: int, width: int, rows: int, rate: float) -> Tensor:
    """(steps, m, width, rows) bool: ``keep_masks`` of the steps ``first``, ``first`` + 1 and so on, drawn at once."""
    later = torch.tensor([_wrapped(step * GOLDEN) for step in range(steps)], device=keys.device)
    drawn = keep_masks((later[:, None] + keys).view(-1), first, width, rows, rate)
    return drawn.view(steps, len(keys), width, rows)


def _mixed(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * MIX_1
    z = (z ^ _shifted(z, 27)) * MIX_2
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, by: int) -> Tensor:
    """To the right, zeros coming in: int64 would bring in its sign."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def _wrapped(value: int) -> int:
    """As a signed 64-bit number."""
    return (value + 2**63) % 2**64 - 2**63
