"""The numbers of the README that come from a committed pack, between two marks; ``make reports`` writes them anew.

python benchmarks/readme_numbers.py
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from xai_bench.results.frames import Results
from xai_bench.results.store import read
from xai_bench.statistics import by_data_seed

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PACK = ROOT / "reports" / "quick" / "quick.xaipack"
BEGIN, END = "<!-- numbers of reports/quick -->", "<!-- end of the numbers -->"
ROWS = (
    ("spectral", "spectral_mlp"),
    ("column_norm", "mlp"),
    ("saliency", "spectral_mlp"),
    ("integrated_gradients", "spectral_mlp"),
    ("shap_deep", "spectral_mlp"),
    ("lrp", "mlp"),
    ("mutual_information", ""),
)
NETWORKS = {
    "spectral_mlp": "`spectral_mlp`",
    "mlp": "`mlp`, matching penalty",
    "": "none",
}
COLUMNS = (
    ("gaussian_correlated", "somers_d", "correlated Gaussians: Somers' D"),
    ("gaussian_independent", "auroc", "independent Gaussians: AUROC"),
    ("diabetes", "retention_retrained_gain", "diabetes: points of R² gained over random inputs"),
)


def table(results: Results) -> str:
    """Some methods of the quick comparison, in Markdown: means over draws and their intervals."""
    rows = results.measurements
    seeds = sorted(int(seed) for seed in rows["data_seed"].unique())
    head = f"Means over {len(seeds)} draws (data seeds {', '.join(map(str, seeds))}) and their 95 % intervals:"
    lines = [
        head,
        "",
        f"| method | network | {' | '.join(title for *_, title in COLUMNS)} |",
        f"|---|---|{'---:|' * len(COLUMNS)}",
    ]
    for explainer, model in ROWS:
        own = rows[(rows["explainer"] == explainer) & (rows["model"] == model)]
        cells = [_interval(own, dataset, metric) for dataset, metric, _ in COLUMNS]
        lines.append(f"| `{explainer}` | {NETWORKS[model]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _interval(rows: pd.DataFrame, dataset: str, metric: str) -> str:
    chosen = rows[(rows["dataset"] == dataset) & (rows["metric"] == metric)]
    if chosen.empty:
        return "–"
    chosen = chosen.assign(value=chosen["value"].astype(float))
    (row,) = by_data_seed(chosen, "value").to_dict("records")
    scale, digits = (100, 1) if metric.endswith("_gain") else (1, 3)
    mean, low, high = (f"{scale * row[name]:.{digits}f}".replace("-", "−") for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def block(text: str) -> str:
    """What stands between the marks.

    Raises
    ------
    ValueError
        If a mark is missing.
    """
    found = re.search(f"{re.escape(BEGIN)}\n(.*?){re.escape(END)}", text, flags=re.S)
    if found is None:
        raise ValueError(f"README.md: expected the marks {BEGIN!r} and {END!r}")
    return found.group(1)


def write() -> None:
    """Put today's table between the marks."""
    text = README.read_text(encoding="utf-8")
    before, after = f"{BEGIN}\n{block(text)}{END}", f"{BEGIN}\n{table(read(PACK))}{END}"
    README.write_text(text.replace(before, after), encoding="utf-8")


if __name__ == "__main__":
    write()
