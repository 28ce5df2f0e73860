"""Where tensors are computed: the CPU or a CUDA device, by torch's names (``cpu``, ``cuda``, ``cuda:1``)."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch

from xai_bench.errors import InputError


def resolve(name: str) -> str:
    """The name of the device to use: ``auto`` is ``cuda`` where torch finds one, else ``cpu``.

    Raises
    ------
    InputError
        For a name that is none, or a CUDA device that is not there.
    """
    available = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if available else "cpu"
    if name == "cpu":
        return name
    found = re.fullmatch(r"cuda(?::(\d+))?", name)
    if found is None:
        raise InputError(f"device: expected auto, cpu, cuda, or cuda:1 and so on, got {name!r}")
    if not available:
        raise InputError(f"device: expected one that is there, got {name!r}, but torch finds no CUDA: use cpu or auto")
    count = torch.cuda.device_count()
    if found[1] is not None and int(found[1]) >= count:
        raise InputError(f"device: expected an index below {count}, got {name!r}: use cuda:0 .. cuda:{count - 1}")
    return name


def described(device: str) -> str:
    """What a run records of its device: ``cpu``, or ``cuda`` with the name of the card, whatever its index."""
    return device if device == "cpu" else f"cuda ({torch.cuda.get_device_name(device)})"


def synchronise(device: torch.device | str) -> None:
    """Wait until the device has done all that was asked of it: to be called before a clock is read."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def forked_random() -> AbstractContextManager[None]:
    """torch's global random states are restored afterwards; a CUDA device that is not in use stays so."""
    used = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    return torch.random.fork_rng(devices=list(used))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch, numpy and random inside; their states outside are restored."""
    python, numpy_state = random.getstate(), np.random.get_state()
    try:
        with forked_random():
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
