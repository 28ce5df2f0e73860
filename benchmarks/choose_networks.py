"""Learning rates and penalties of the networks beyond the MLP, chosen on validation loss: data seeds >= 1000, no truth.

``python benchmarks/choose_networks.py`` prints, for every setting, its validation loss over the lowest one of that network
and draw, averaged over draws (geometric mean), and writes ``benchmarks/scores/choose_networks.csv``. It takes about ten
minutes on one core.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from xai_bench import registry

TABLE = Path(__file__).parent / "scores" / "choose_networks.csv"
SEEDS = (1000, 1001)
TABLES = (
    ("friedman1", {"n": 500, "d": 32}),
    ("gaussian_independent", {"n": 1000, "d": 32}),
    ("breast_cancer", {}),
    ("diabetes", {}),
)
PICTURES = (("digits", {}), ("tetromino_multiplicative", {"n": 500}))
RATES = (1e-2, 3e-3, 1e-3)
LASSO = tuple({"group_lasso": s} for s in (0.2, 0.02, 0.002))
SQUARES = tuple({"l2_lambda": s, "l2_phi": s / 100} for s in (1.0, 0.1, 0.01))
LEAST = tuple({"l1_lambda": s, "l2_phi": 10 * s} for s in (1e-2, 1e-3, 1e-4))
GRIDS = (
    ("resnet", TABLES, LASSO),
    ("spectral_resnet", TABLES, SQUARES),
    ("cnn", PICTURES, ({},)),
    ("spectral_cnn", PICTURES, LEAST),
    ("ft_transformer", TABLES, LASSO),
    ("spectral_ft_transformer", TABLES, SQUARES),
)


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for network, sources, penalties in GRIDS:
        for (name, fields), seed in itertools.product(sources, SEEDS):
            data = registry.create("datasets", name, fields).load(seed).standardised()
            for rate, penalty in itertools.product(RATES, penalties):
                fitted = registry.create("models", network, {"learning_rate": rate, **penalty}).fit(data, seed)
                setting = f"learning_rate {rate:g}" + "".join(f", {key} {value:g}" for key, value in penalty.items())
                rows.append((network, setting, name, seed, fitted.valid_loss, fitted.valid_score, fitted.train_cpu))
        columns = ["network", "setting", "dataset", "data_seed", "valid_loss", "valid_score", "cpu"]
        table = pd.DataFrame(rows, columns=columns)
        table.to_csv(TABLE, index=False, float_format="%.5g")
        print(summary(table[table["network"] == network]).to_string(), flush=True)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row a setting of one network, the best one first: ``loss``, over the lowest one of each draw, and seconds."""
    logs = np.log(table["valid_loss"].clip(lower=1e-6))
    over = logs - logs.groupby([table["dataset"], table["data_seed"]]).transform("min")
    grouped = table.assign(loss=over).groupby("setting")
    found = pd.DataFrame({"loss": np.exp(grouped["loss"].mean()), "cpu": grouped["cpu"].mean()})
    return found.sort_values("loss").round(3)


if __name__ == "__main__":
    main()
