"""splitmix64, literally (Vigna's public-domain C code, https://prng.di.unimi.it/splitmix64.c), and masks made of it."""

from __future__ import annotations

import numpy as np

WORD = 2**64
GOLDEN = 0x9E3779B97F4A7C15


def output(state: int) -> int:
    """What the generator says at a state."""
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % WORD
    return z ^ (z >> 31)


def keep_mask(key: int, step: int, width: int, rows: int, rate: float) -> np.ndarray:
    """(width, rows) bool: what dropout keeps of one network's layer in one step."""
    base = output((key + (step + 1) * GOLDEN) % WORD)
    words = -(-rows // 4)
    keep = np.zeros((width, rows), dtype=bool)
    for feature in range(width):
        for row in range(rows):
            word = output((base + (feature * words + row // 4 + 1) * GOLDEN) % WORD)
            keep[feature, row] = (word >> (16 * (row % 4))) % 65536 < round(65536 * (1 - rate))
    return keep
