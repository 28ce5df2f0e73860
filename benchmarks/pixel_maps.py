"""Pixel maps of a spectral convolution beside those of the dense spectral layer, on digits: three trainings each.

``python benchmarks/pixel_maps.py`` writes ``benchmarks/scores/pixel_maps.csv`` (the relevance of every pixel),
``pixel_maps.png`` (means over trainings) and ``pixel_maps.md``. It takes half a CPU minute.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from xai_bench import registry
from xai_bench.running.block import problem_of

FILE = Path(__file__).parent / "scores" / "pixel_maps.csv"
TRAININGS = (0, 1, 2)
MAPS = (("spectral_mlp", "spectral"), ("spectral_cnn", "spectral"), ("spectral_cnn", "saliency"))


def main() -> None:
    torch.set_num_threads(1)
    data = registry.create("datasets", "digits", {}).load(0).standardised()
    rows, scores = [], {}
    for network in dict.fromkeys(network for network, _ in MAPS):
        for seed in TRAININGS:
            fitted = registry.create("models", network, {}).fit(data, seed)
            scores.setdefault(network, []).append(fitted.test_score)
            for _, method in (pair for pair in MAPS if pair[0] == network):
                found = registry.create("explainers", method, {}).explain(problem_of(data, fitted.module), seed=0)
                values = found.relevance / found.relevance.max()
                rows += [(network, method, seed, pixel, value) for pixel, value in enumerate(values)]
    table = pd.DataFrame(rows, columns=["network", "method", "training", "pixel", "relevance"])
    table.to_csv(FILE, index=False, float_format="%.4g")
    maps = {pair: _maps(table, *pair) for pair in MAPS}
    draw({pair: values.mean(0) for pair, values in maps.items()}, data.feature_shape)
    FILE.with_suffix(".md").write_text(words(maps, scores, data.X_train.std(0) > 0), encoding="utf-8")


def _maps(table: pd.DataFrame, network: str, method: str) -> np.ndarray:
    """(trainings, pixels)."""
    chosen = table[(table["network"] == network) & (table["method"] == method)]
    return chosen.pivot(index="training", columns="pixel", values="relevance").to_numpy()


def draw(means: dict[tuple[str, str], np.ndarray], shape: tuple[int, int]) -> None:
    figure, axes = plt.subplots(1, len(means), figsize=(3 * len(means), 3.2))
    for axis, ((network, method), values) in zip(axes, means.items(), strict=True):
        axis.imshow(values.reshape(shape), cmap="viridis", vmin=0)
        axis.set_title(f"{method}, {network}", fontsize=9)
        axis.set_axis_off()
    figure.tight_layout()
    figure.savefig(FILE.with_suffix(".png"), dpi=80)


def words(maps: dict[tuple[str, str], np.ndarray], scores: dict[str, list[float]], varies: np.ndarray) -> str:
    """Accuracies, agreement of trainings, agreement of maps, and pixels near zero, of the pixels that vary."""
    lines = [
        "# Pixel maps",
        "",
        "`python benchmarks/pixel_maps.py`: digits, data seed 0, three trainings; rank correlations over the "
        f"{varies.sum()} pixels that vary on the training rows.",
        "",
    ]
    for network, reached in scores.items():
        lines.append(f"- `{network}`: test accuracy {', '.join(f'{score:.3f}' for score in reached)}.")
    for (network, method), values in maps.items():
        pairs = [spearmanr(a[varies], b[varies])[0] for a, b in combinations(values, 2)]
        small = (values[:, varies] < 0.01).mean()
        lines.append(
            f"- `{method}` of `{network}`: rank correlation of two trainings {np.mean(pairs):.2f}; "
            f"{small:.0%} of the pixels below 1 % of the largest relevance."
        )
    for one, other in combinations(maps, 2):
        value = spearmanr(maps[one].mean(0)[varies], maps[other].mean(0)[varies])[0]
        lines.append(f"- mean maps, `{one[1]}` of `{one[0]}` and `{other[1]}` of `{other[0]}`: {value:.2f}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
