"""How the schedules of the suite ``paper`` were chosen: the published ones beside short ones, on validation loss.

The published trainings take 500 to 5000 epochs. For every experiment the published schedule (Adam at a constant
rate, batches of 500) trains the published network, all layers spectral, once on data seed 1000; the short ones
train the four networks of the suite on data seeds 1000 and 1001. No test row and no truth is looked at, and no
reported figure uses these seeds. The suite has the cheapest schedule whose log(loss + .01), averaged over networks and
seeds, is within .01 of the best (among losses far below a hundredth, differences are noise), provided that the
published network's loss is not above that of the published schedule by more than one standard error (over rows).
Data, networks, penalties and published schedules are those of the suite ``paper_full``.

    python benchmarks/choose_paper_schedules.py [gaussian_independent ...]
"""

from __future__ import annotations

import itertools
import sys
import time

import torch

from xai_bench.datasets.base import Dataset
from xai_bench.models.mlp import MLPFamily
from xai_bench.models.training import fit_many, row_losses
from xai_bench.suites import reading

SEEDS = (1000, 1001)
TRIED: dict[str, tuple[list[float], int, list[float]]] = {
    "gaussian_independent": ([3e-3, 1e-2], 500, [3.0, 6.0, 12.0]),
    "gaussian_correlated": ([1e-2, 3e-2], 500, [6.0, 12.0, 24.0]),
    "mnist_01": ([1e-3, 1e-2], 128, [20.0, 40.0, 80.0]),
    "mnist": ([1e-3, 1e-2], 128, [10.0, 20.0, 40.0]),
    "stellar_synthetic": ([1e-3, 1e-2], 128, [50.0, 100.0, 200.0]),
}
"""Dataset to learning rates, batch size and epochs of the short schedules; their rates fall along half a cosine."""
SHORT = {"schedule": "cosine", "checkpoints": 20, "min_steps": 1}


def train(what: str, architecture: MLPFamily, data: Dataset) -> None:
    """Print what one training reaches."""
    start = time.process_time()
    (fit,) = fit_many(architecture, data, [0], chunk=1)
    cpu = time.process_time() - start
    with torch.no_grad():
        outputs = fit.module(torch.from_numpy(data.X_valid))[None]
    rows = row_losses(outputs, torch.from_numpy(data.y_valid)[None], data.kind)[0]
    error = float(rows.std()) / len(rows) ** 0.5
    print(
        f"{what}: validation loss {fit.valid_loss:.5f} (standard error {error:.5f}), score {fit.valid_score:.4f}; "
        f"{cpu:.1f} CPU s",
        flush=True,
    )


def main(names: list[str]) -> None:
    """Print one line a training."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    published = reading.load("paper_full")
    for entry in published.datasets:
        if entry.label not in names:
            continue
        if absent := entry.component.missing():
            print(f"left out: {absent}")
            continue
        rates, batch, epochs = TRIED[entry.label]
        networks = {model.label: model.component for model in published.models_on(entry.label)}
        for seed in SEEDS:
            data = entry.component.load(seed).standardised()
            where = f"{entry.label} {seed}"
            for rate, passes in itertools.product(rates, epochs):
                schedule = {**SHORT, "learning_rate": rate, "batch_size": batch, "epochs": passes}
                for label, network in networks.items():
                    words = f"{where} {label}, learning rate {rate:g}, batch size {batch}, {passes:g} epochs"
                    train(words, network.model_copy(update=schedule), data)
            if seed == SEEDS[0]:
                train(f"{where} all_spectral, as published", networks["all_spectral"], data)


if __name__ == "__main__":
    main(sys.argv[1:] or list(TRIED))
