"""Which network learns what, after equal numbers of steps: datasets of ``standard`` by networks, default fields.

``python benchmarks/networks.py`` trains what ``benchmarks/scores/networks.csv`` lacks (data seed 0, model seed 0),
adds it there row by row, and writes ``networks.md`` beside it. All of it takes four CPU minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from xai_bench import registry
from xai_bench.datasets.base import DataSource
from xai_bench.suites import plan, reading

FILE = Path(__file__).parent / "scores" / "networks.csv"
DATASETS = ("diabetes", "breast_cancer", "tetromino_xor", "ring_xor", "digits")
NETWORKS = ("mlp", "spectral_mlp", "resnet", "spectral_resnet", "cnn", "spectral_cnn", "ft_transformer")
COLUMNS = ["dataset", "inputs", "network", "test_score", "learned", "steps", "rows_a_step", "train_cpu", "reason"]


def main() -> None:
    torch.set_num_threads(1)
    found = pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=COLUMNS)
    rows = found.to_dict("records")
    known = {(row["dataset"], row["network"]) for row in rows}
    draws = plan.draws(reading.load("standard").model_copy(update={"data_seeds": (0,)}))
    sources = {draw.dataset.component.name: draw.dataset.component for draw in draws}
    for network in NETWORKS:
        for name in DATASETS:
            if (name, network) not in known:
                rows.append(trained(name, sources[name], network))
                pd.DataFrame(rows, columns=COLUMNS).to_csv(FILE, index=False, float_format="%.4g")
    FILE.with_suffix(".md").write_text(markdown(pd.read_csv(FILE)), encoding="utf-8")


def trained(name: str, source: DataSource, network: str) -> dict[str, object]:
    """The row of one network on one dataset."""
    data = source.load(0).standardised()
    architecture = registry.create("models", network, {})
    row: dict[str, object] = {"dataset": name, "inputs": data.d, "network": network}
    reason = architecture.unsupported(data)
    if reason is not None:
        return {**row, "reason": reason}
    fitted, n = architecture.fit(data, 0), len(data.y_train)
    facts = {"test_score": fitted.test_score, "learned": fitted.learned, "train_cpu": fitted.train_cpu}
    return {**row, **facts, "steps": architecture.steps(n), "rows_a_step": min(architecture.batch_size, n)}


def markdown(table: pd.DataFrame) -> str:
    """The test scores as a table, the seconds as another, and what can be said of them."""
    scores, seconds, learned, reasons = (
        table.pivot(index="dataset", columns="network", values=what).reindex(index=DATASETS, columns=NETWORKS)
        for what in ("test_score", "train_cpu", "learned", "reason")
    )
    lacking = reasons.notna().replace({True: "-", False: "not trained"})
    parts = [
        "# Which network learns what",
        "`python benchmarks/networks.py`: one draw (data seed 0) of datasets of `standard`, one training each with the "
        "default fields, at least 1000 steps of 128 rows (`ft_transformer`: 64). Accuracy, or R2 (regressions) "
        "on test rows; a star where no better than chance; - where the network does not take the data. "
        "One training on one draw: differences of a few hundredths say nothing.",
        _table(scores, lacking, lambda v, row, column: f"{v:.3f}" + ("" if learned.loc[row, column] else " *")),
        "CPU seconds of a training, on a busy machine:",
        _table(seconds, lacking, lambda v, row, column: f"{v:.1f}"),
        _words(scores, seconds),
    ]
    return "\n\n".join(parts) + "\n"


def _table(values: pd.DataFrame, lacking: pd.DataFrame, shown: Callable[[float, str, str], str]) -> str:
    lines = [f"| | {' | '.join(values.columns)} |", "|---" * (len(values.columns) + 1) + "|"]
    for row in values.index:
        cells = [
            lacking.loc[row, column] if pd.isna(value := values.loc[row, column]) else shown(value, row, column)
            for column in values.columns
        ]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _words(scores: pd.DataFrame, seconds: pd.DataFrame) -> str:
    """Each network against ``mlp`` where both were trained."""
    lines = []
    for network in NETWORKS[1:]:
        both = scores[[network, "mlp"]].dropna()
        if both.empty:
            continue
        gaps = both[network] - both["mlp"]
        cost = (seconds[network] / seconds["mlp"]).median()
        lines.append(
            f"- `{network}`: on {len(gaps)} datasets test score minus that of `mlp` from {gaps.min():+.3f} "
            f"({gaps.idxmin()}) to {gaps.max():+.3f} ({gaps.idxmax()}), median {gaps.median():+.3f}; "
            f"{cost:.0f} times its CPU seconds."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
