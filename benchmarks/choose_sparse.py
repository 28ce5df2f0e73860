"""How the gradient step of the sparse path was chosen: as many tries for both forms, by held-out loss.

Draws with data seeds 1000 to 1002, which no reported figure uses. A try is judged by the loss of the network
that the whole recipe ends with (path, choice, vote, refit) on rows that the recipe never saw; the truth has no say.
For every dataset the loss is divided by the lowest one of the form; tries are ordered by the mean logarithm of that
ratio. Six tries a form: two kinds of step with three rates each, on the same strengths. (Adam, whose steps do not
shrink with the gradient, was run on seed 1000 only: at these strengths it leaves hardly any zeros.)

    python benchmarks/choose_sparse.py spectral
    python benchmarks/choose_sparse.py group_lasso
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
import torch

from xai_bench import registry
from xai_bench.datasets.base import Dataset
from xai_bench.models.path import SparseSettings
from xai_bench.models.sparse import sparse_path
from xai_bench.models.training import row_losses

SEEDS = (1000, 1001, 1002)
DATASETS = {
    "xor": {"n": 1000, "d": 20},
    "nonlinear_additive": {"n": 4000, "d": 20},
    "friedman1": {"n": 2000, "d": 50},
    "gaussian_correlated": {"n": 4000},
}
STEPS = [("sgd", 0.03), ("sgd", 0.1), ("sgd", 0.3), ("adam", 1e-3), ("adam", 3e-3), ("adam", 1e-2)]
SMALL = 0.01
"""Added to every loss: among losses far below a hundredth, differences are noise."""


def held_out_loss(data: Dataset, settings: SparseSettings, seed: int) -> tuple[float, int]:
    """The mean loss on the rows that the recipe never saw, and the number of inputs."""
    path = sparse_path(data, settings, seed)
    assert path.model is not None
    target = torch.from_numpy(data.y_test).to(torch.int64 if data.kind == "classification" else torch.float32)
    with torch.no_grad():
        outputs = path.model.module(torch.from_numpy(data.X_test[:, path.support]))
    return float(row_losses(outputs[None], target[None], data.kind).mean()), int(path.support.sum())


def tried(settings: SparseSettings, label: str) -> pd.DataFrame:
    """One row a dataset and seed."""
    rows = []
    for name, fields in DATASETS.items():
        for seed in SEEDS:
            data = registry.create("datasets", name, fields).load(seed).standardised()
            start = time.process_time()
            loss, inputs = held_out_loss(data, settings, seed)
            cpu = time.process_time() - start
            rows.append({"try": label, "dataset": name, "loss": loss, "inputs": inputs, "cpu": cpu})
    frame = pd.DataFrame(rows)
    print(frame.to_string(header=False), file=sys.stderr, flush=True)
    return frame


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Tries with their mean losses, best first."""
    loss = frame.groupby(["try", "dataset"])["loss"].mean().unstack()
    excess = np.log((loss + SMALL) / (loss.min() + SMALL))
    extra = frame.groupby("try")[["inputs", "cpu"]].mean()
    return loss.assign(mean_log_ratio=excess.mean(axis=1), **extra).sort_values("mean_log_ratio")


def main(form: str) -> None:
    """Print one line a try, best first."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    settings = {
        f"{kind} {rate:g}": SparseSettings(form=form, proximal=kind, proximal_rate=rate) for kind, rate in STEPS
    }
    frame = pd.concat([tried(one, label) for label, one in settings.items()])
    with pd.option_context("display.width", 200, "display.max_columns", None):
        print(ordered(frame).round(4).to_string())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "spectral")
