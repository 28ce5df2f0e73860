"""How penalties, the learning rate and the judge were chosen: lowest validation loss, on data seeds 1000 and 1001.

No test row and no truth is looked at, and no reported figure uses these seeds. For every dataset the loss of a
setting is divided by the lowest one; settings are ordered by the mean logarithm of that ratio. Penalties and rates were
tried on schedules that keep the weights with the lowest validation loss. How long the networks whose relevance is read
are trained since then, and which weights are kept, is chosen by ``choose_schedules``: the loss is blind to weights on
noise inputs. The judge is asked for nothing but its score. Its schedule is the cheapest one within .01 of the best:
thousands of judges are trained.

    python benchmarks/choose_defaults.py spectral_mlp
    python benchmarks/choose_defaults.py mlp
    python benchmarks/choose_defaults.py judge           # the network that retention retrains
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pandas as pd
import torch

from xai_bench import registry
from xai_bench.component import stream_seed
from xai_bench.models.base import Architecture
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.training import fit_many
from xai_bench.scoring.retention import JUDGE, kept_counts

SEEDS = (1000, 1001)
DATASETS = ("gaussian_independent", "gaussian_correlated", "xor", "digits", "breast_cancer", "diabetes", "mnist_01")
PENALTIES = ((1e-6, 1e-4), (1e-6, 1e-3), (1e-6, 1e-2), (1e-2, 1e-4))
LEARNING_RATES = (3e-3, 1e-2)
EPOCHS = (20.0, 40.0)
MIN_STEPS = (200, 400)
SMALL = 0.01
"""Added to every loss: among losses far below a hundredth, differences are noise."""


def candidates(what: str) -> list[Architecture]:
    """All settings that are tried."""
    if what == "judge":
        grid = itertools.product((1e-3, 3e-3, 1e-2), (5.0, 10.0, 20.0), (150, 300, 600))
        return [MLP(**{**JUDGE, "learning_rate": r, "epochs": e, "min_steps": m}) for r, e, m in grid]
    grid = itertools.product(LEARNING_RATES, EPOCHS, MIN_STEPS)
    schedules = [{"learning_rate": r, "epochs": e, "min_steps": m, "checkpoints": 20} for r, e, m in grid]
    if what == "spectral_mlp":
        return [SpectralMLP(l2_lambda=a, l2_phi=b, **s) for (a, b), s in itertools.product(PENALTIES, schedules)]
    groups = sorted({round(2 * (a * b) ** 0.5, 12) for a, b in PENALTIES} | {0.0})
    return [MLP(group_lasso=g, **s) for g, s in itertools.product(groups, schedules)]


def main(what: str) -> None:
    """Print one line a setting, best first."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rows = []
    for name in DATASETS:
        source = registry.create("datasets", name, {})
        if source.missing():
            print(f"left out: {source.missing()}")
            continue
        for seed in SEEDS:
            data = source.load(seed).standardised()
            masks = None
            if what == "judge":
                rng = np.random.default_rng(stream_seed("choose", seed))
                counts = kept_counts(data.d, data.truth.n_relevant if data.truth else 0)
                masks = np.zeros((len(counts), data.d), dtype=bool)
                for row, k in zip(masks, counts, strict=True):
                    row[rng.permutation(data.d)[:k]] = True
            for architecture in candidates(what):
                m = 1 if masks is None else len(masks)
                fits = fit_many(architecture, data, [0] * m, masks, chunk=1 if masks is None else 16)
                facts = architecture.fields()
                penalty = {key: facts.get(key) for key in ("l2_lambda", "l2_phi", "group_lasso")}
                rows.append(
                    {
                        "architecture": architecture.name,
                        **penalty,
                        "learning_rate": facts["learning_rate"],
                        "epochs": facts["epochs"],
                        "min_steps": facts["min_steps"],
                        "dataset": name,
                        "loss": float(np.mean([fit.valid_loss for fit in fits])),
                    }
                )
    frame = pd.DataFrame(rows)
    setting = [c for c in frame if c not in ("dataset", "loss")]
    loss = frame.groupby([*setting, "dataset"], dropna=False)["loss"].mean().unstack()
    best = loss.groupby("architecture").transform("min")
    excess = np.log((loss + SMALL) / (best + SMALL))
    ordered = loss.assign(mean_log_ratio=excess.mean(axis=1)).sort_values(["architecture", "mean_log_ratio"])
    with pd.option_context("display.width", 250, "display.max_rows", None, "display.max_columns", None):
        print(ordered.round(4).to_string())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "spectral_mlp")
