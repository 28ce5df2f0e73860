"""The global random states, for sources that draw from them."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator

import numpy as np


@contextlib.contextmanager
def seeded_globals(seed: int) -> Iterator[None]:
    """Seed numpy, random, and torch if it is loaded; their states outside are restored."""
    torch = sys.modules.get("torch")  # which datasets do not load
    python, numpy_state = random.getstate(), np.random.get_state()
    with contextlib.ExitStack() as restored:
        restored.callback(random.setstate, python)
        restored.callback(np.random.set_state, numpy_state)
        if torch is not None:
            cuda = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
            restored.enter_context(torch.random.fork_rng(devices=list(cuda)))
            torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        yield
