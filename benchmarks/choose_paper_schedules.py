"""How the schedules of the suite ``paper`` were chosen: the published ones beside short ones, on validation loss.

The published trainings take 500 to 5000 epochs. For every experiment the published schedule (Adam at a constant
rate, batches of 500) trains the published network, all layers spectral, once on data seed 1000; the short ones
train the four networks of the suite on data seeds 1000 and 1001. No test row and no truth is looked at, and no
reported figure uses these seeds. The suite has the cheapest schedule whose log(loss + .01), averaged over networks and
seeds, is within .01 of the best (among losses far below a hundredth, differences are noise), provided that the
published network's loss is not above that of the published schedule by more than one standard error (over rows).

    python benchmarks/choose_paper_schedules.py [gaussian_independent ...]
"""

from __future__ import annotations

import itertools
import sys
import time
from typing import Any, NamedTuple

import torch

from xai_bench import registry
from xai_bench.models.mlp import MLP, MLPFamily, SpectralMLP
from xai_bench.models.training import fit_many, row_losses

SEEDS = (1000, 1001)


class Experiment(NamedTuple):
    """An experiment of arXiv 2406.01183: data, network, penalties and schedule as published.

    ``short``: grids of learning rate, batch size, epochs and least number of steps.
    """

    data: dict[str, Any]
    network: dict[str, Any]
    l2_lambda: float
    l2_phi: float
    published: dict[str, Any]
    short: dict[str, list[Any]]


GAUSSIAN = {
    "hidden": (100, 100, 50),
    "activations": ("tanh", "relu"),
    "batch_norm": (True, False),
    "dropout": (0.2, 0.0),
}
DIGITS = {"hidden": (100, 100, 50), "activations": ("relu",), "batch_norm": (True, False), "dropout": (0.0,)}
STARS = {
    "hidden": (200, 50, 50),
    "activations": ("relu", "tanh"),
    "batch_norm": (True, False),
    "dropout": (0.01, 0.0),
}
EXPERIMENTS = {
    "gaussian_independent": Experiment(
        {"n": 60_000},
        GAUSSIAN,
        1e-6,
        1e-2,
        {"learning_rate": 1e-2, "batch_size": 500, "epochs": 1000.0},
        {"learning_rate": [3e-3, 1e-2], "batch_size": [500], "epochs": [3.0, 6.0, 12.0], "min_steps": [1]},
    ),
    "gaussian_correlated": Experiment(
        {"n": 100_000},
        GAUSSIAN,
        1e-6,
        1e-4,
        {"learning_rate": 1e-2, "batch_size": 500, "epochs": 500.0},
        {"learning_rate": [1e-2, 3e-2], "batch_size": [500], "epochs": [6.0, 12.0, 24.0], "min_steps": [1]},
    ),
    "mnist_01": Experiment(
        {},
        DIGITS,
        1e-2,
        1e-4,
        {"learning_rate": 1e-4, "batch_size": 500, "epochs": 5000.0},
        {"learning_rate": [1e-3, 1e-2], "batch_size": [128], "epochs": [20.0, 40.0, 80.0], "min_steps": [1]},
    ),
    "mnist": Experiment(
        {},
        DIGITS,
        1e-2,
        1e-4,
        {"learning_rate": 1e-4, "batch_size": 500, "epochs": 5000.0},
        {"learning_rate": [1e-3, 1e-2], "batch_size": [128], "epochs": [10.0, 20.0, 40.0], "min_steps": [1]},
    ),
    "stellar_synthetic": Experiment(
        {},
        STARS,
        1e-2,
        1e-4,
        {"learning_rate": 1e-2, "batch_size": 500, "epochs": 1000.0},
        {"learning_rate": [1e-3, 1e-2], "batch_size": [128], "epochs": [50.0, 100.0, 200.0], "min_steps": [1]},
    ),
}


def networks(one: Experiment, schedule: dict[str, Any]) -> dict[str, MLPFamily]:
    """The four networks of the suite: label to architecture."""
    common: dict[str, Any] = {**one.network, **schedule}
    spectral: dict[str, Any] = {"l2_lambda": one.l2_lambda, "l2_phi": one.l2_phi}
    return {
        "all_spectral": SpectralMLP(all_layers=True, **spectral, **common),
        "spectral_mlp": SpectralMLP(**spectral, **common),
        "mlp": MLP(group_lasso=round(2 * (one.l2_lambda * one.l2_phi) ** 0.5, 12), **common),
        "mlp_unpenalised": MLP(group_lasso=0.0, **common),
    }


def main(names: list[str]) -> None:
    """Print one line a training."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for name in names:
        one = EXPERIMENTS[name]
        source = registry.create("datasets", name, one.data)
        if source.missing():
            print(f"left out: {source.missing()}")
            continue
        for seed in SEEDS:
            data = source.load(seed).standardised()

            def train(what: str, architecture: MLPFamily, seed: int = seed, data: Any = data, name: str = name) -> None:
                start = time.process_time()
                (fit,) = fit_many(architecture, data, [0], chunk=1)
                cpu = time.process_time() - start
                with torch.no_grad():
                    outputs = fit.module(torch.from_numpy(data.X_valid))[None]
                rows = row_losses(outputs, torch.from_numpy(data.y_valid)[None], data.kind)[0]
                error = float(rows.std()) / len(rows) ** 0.5
                print(
                    f"{name} {seed} {what}: validation loss {fit.valid_loss:.5f} (standard error {error:.5f}), "
                    f"score {fit.valid_score:.4f}; {cpu:.1f} CPU s",
                    flush=True,
                )

            for values in itertools.product(*one.short.values()):
                schedule = dict(zip(one.short, values, strict=True))
                words = ", ".join(f"{key} {value:g}" for key, value in schedule.items())
                for label, architecture in networks(one, schedule).items():
                    train(f"{label}, {words}", architecture)
            if seed == SEEDS[0]:
                schedule = {**one.published, "schedule": "constant", "min_steps": 1, "checkpoints": 200}
                train("all_spectral, as published", networks(one, schedule)["all_spectral"])


if __name__ == "__main__":
    main(sys.argv[1:] or list(EXPERIMENTS))
