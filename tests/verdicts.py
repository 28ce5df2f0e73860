"""What simulated targets say about three methods, made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from xai_bench.analysis.leader import Leader
from xai_bench.analysis.simulations import CHOOSING
from xai_bench.analysis.trusted import Trust
from xai_bench.analysis.verdict import Simulation

LEADER = Leader("forest", "", "recovery", 0.8, 15, 20, "a pack")
ASKED = Simulation("mice", "weight", 100, 250, 8, "regression", "R2", 0.41, 0.0, 6, 6, 12.0)
FAMILIES = ("additive", "pairwise")
DENSITIES = ("sparse", "dense")


def verdict(means, asked=ASKED, draws=6, spread=0.05, seed=0):
    """``means``: (purpose, family) to the mean recovery of ``good on mlp``, ``bad on mlp`` and ``forest``."""
    rng = np.random.default_rng(seed)
    rows = []
    for (purpose, family), values in means.items():
        for density in DENSITIES:
            for draw in range(draws):
                number = draw + (CHOOSING if purpose == "choose" else 0)
                for name, value in zip(("good on mlp", "bad on mlp", "forest"), values, strict=True):
                    explainer, _, model = name.partition(" on ")
                    rows.append({
                        "name": name, "explainer": explainer, "model": model, "dataset": f"{family}, {density}",
                        "family": family, "density": density, "draw": number, "seed": number, "purpose": purpose,
                        "value": value + spread * rng.normal(), "value_learned": np.nan, "learned": np.nan,
                        "reason": "", "confirmatory": True, "networks": 1,
                    })  # fmt: skip
    difficulty = pd.DataFrame({
        "kind": ["additive, sparse", "pairwise, sparse"], "relevant": [3, 3], "signal": [0.4, 0.5],
        "reached": [0.39, 0.42], "real": [asked.real] * 2,
    })  # fmt: skip
    return Trust(asked, pd.DataFrame(rows), difficulty, LEADER, None)


def alike(values):
    """The same means for choosing and scoring, in both families."""
    return {(purpose, family): values for purpose in ("choose", "score") for family in FAMILIES}
