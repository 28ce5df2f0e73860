"""What the manual says of the suites ``paper`` and ``paper_full``: scores side by side, what the spectral form adds.

The text stands between two marks of ``docs/results.md``; ``make reports`` writes it anew from the packs.

python benchmarks/paper_numbers.py
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import between
from xai_bench.results import means
from xai_bench.results.frames import Results
from xai_bench.results.store import read
from xai_bench.statistics import LEAST_DRAWS

ROOT = Path(__file__).parents[1]
MANUAL = ROOT / "docs" / "results.md"
PACK = ROOT / "reports" / "paper" / "paper.xaipack"
FULL = ROOT / "reports" / "paper_full" / "paper_full.xaipack"
BEGIN, END = "<!-- numbers of reports/paper -->", "<!-- end of the numbers of reports/paper -->"
LEVEL = 0.95
UPPER = 1.0
"""The best value of every score here."""
OURS = ("all_spectral", "spectral")
OTHERS = {
    "the plain one with the matching penalty": ("mlp", "column_norm"),
    "the plain one without penalty": ("mlp_unpenalised", "column_norm"),
}
"""What the relevance of the all-spectral network is compared with."""
ENTRANTS = {
    "`spectral`, all layers": OURS,
    "`spectral`, first layer": ("spectral_mlp", "spectral"),
    "`column_norm`, matching penalty": ("mlp", "column_norm"),
    "`column_norm`, no penalty": ("mlp_unpenalised", "column_norm"),
    "`saliency`, all layers spectral": ("all_spectral", "saliency"),
}


@dataclass(frozen=True)
class Asked:
    """A row of the table.

    Attributes
    ----------
    data : the dataset in words
    score : the score in words
    dataset, metric, k : where it is stored
    chance : the score of chance, NaN where it has none that is known
    """

    data: str
    score: str
    dataset: str
    metric: str
    k: int = 0
    chance: float = math.nan


ROWS = (
    Asked("correlated Gaussians", "Spearman with the gap", "gaussian_correlated", "spearman", chance=0.0),
    Asked("independent Gaussians", "AUROC, gaps of at least .2", "gaussian_independent", "auroc_clear", chance=0.5),
    Asked("independent Gaussians", "Somers' D with the gap", "gaussian_independent", "somers_d", chance=0.0),
    Asked(
        "stellar spectra", "AUROC of metal against telluric windows", "stellar_synthetic", "auroc_windows", chance=0.5
    ),
    Asked("stellar spectra", "R², retrained on 10 pixels", "stellar_synthetic", "retention_retrained", 10),
    Asked("digits 0 and 1", "accuracy, retrained on 3 pixels", "mnist_01", "retention_retrained", 3),
    Asked("ten digits", "accuracy, retrained on 10 pixels", "mnist", "retention_retrained", 10),
    Asked("ten digits", "accuracy, retrained on 50 pixels", "mnist", "retention_retrained", 50),
)


def of_draws(results: Results, asked: Asked, entrant: tuple[str, str]) -> pd.Series:
    """Data seed to the score of a method on a network; trainings on one draw are averaged."""
    rows = results.measurements
    chosen = (rows["dataset"] == asked.dataset) & (rows["metric"] == asked.metric) & (rows["k"] == asked.k)
    chosen &= (rows["model"] == entrant[0]) & (rows["explainer"] == entrant[1])
    found = rows[chosen].assign(value=rows["value"].astype(float)).dropna(subset="value")
    return found.groupby("data_seed", observed=True)["value"].mean()


def mean_and_ends(results: Results, asked: Asked, values: pd.Series) -> tuple[float, float, float]:
    """A mean over draws and its 95 % interval: NaN below five draws."""
    numbers = values.to_numpy(dtype=np.float64)
    intervals = means.Intervals(means.splits(results.cells, results.draws), results.metrics, lambda *_: asked.chance)
    low, high = intervals.of(numbers, asked.dataset, asked.metric)
    return float(numbers.mean()), low, min(high, UPPER)


def differences(results: Results, rows: Sequence[Asked] = ROWS) -> pd.DataFrame:
    """The all-spectral network less each of the others, paired by draw.

    Intervals hold for all rows at once (Bonferroni); they are corrected where draws are splits of one file.

    Returns
    -------
    other, data, score, difference, low, high (NaN below five draws), of the rows that both have
    """
    measured = []
    for other, entrant in OTHERS.items():
        for asked in rows:
            both = pd.concat([of_draws(results, asked, OURS), of_draws(results, asked, entrant)], axis=1).dropna()
            if len(both):
                measured.append((other, asked, (both.iloc[:, 0] - both.iloc[:, 1]).to_numpy(dtype=np.float64)))
    level = 1 - (1 - LEVEL) / max(len(measured), 1)
    intervals = means.Intervals(means.splits(results.cells, results.draws), level=level)
    found = [
        (other, asked.data, asked.score, float(values.mean()), *intervals.of(values, asked.dataset))
        for other, asked, values in measured
    ]
    return pd.DataFrame(found, columns=["other", "data", "score", "difference", "low", "high"])


def sentences(found: pd.DataFrame) -> Iterator[str]:
    """What the differences decide, one sentence an outcome."""
    for other, rows in found.groupby("other", sort=False):
        ahead, behind, few = rows["low"] > 0, rows["high"] < 0, rows["low"].isna()
        outcomes = {
            f"The all-spectral network is ahead of {other}": rows[ahead],
            f"It is behind {other}": rows[behind],
            f"Between it and {other} no difference is shown": rows[~ahead & ~behind & ~few],
        }
        for words, chosen in outcomes.items():
            if len(chosen):
                yield f"{words}: {'; '.join(f'{row.data} ({row.score})' for row in chosen.itertuples())}."
    if few_of_any := int(found["low"].isna().sum()):
        yield f"Nothing is decided below {LEAST_DRAWS} draws: {few_of_any} of {len(found)} differences."


def paired(found: pd.DataFrame) -> list[str]:
    """The differences as lines of Markdown."""
    if found.empty:
        return []
    lines = [f"| all spectral less | {' | '.join(OTHERS)} |", "|---|" + "---:|" * len(OTHERS)]
    for (data, score), rows in found.groupby(["data", "score"], sort=False):
        said = {row.other: _signed(row) for row in rows.itertuples()}
        lines.append(f"| {data}: {score} | {' | '.join(said.get(other, '–') for other in OTHERS)} |")
    return lines


def _signed(row: Any) -> str:
    ends = "" if math.isnan(row.low) else f" [{row.low:+.3f}, {row.high:+.3f}]"
    return f"{row.difference:+.3f}{ends}".replace("-", "−")


def table(results: Results, rows: Sequence[Asked] = ROWS) -> list[str]:
    """Means and 95 % intervals over draws, lines of Markdown; rows that nobody has are left out."""
    lines = [f"| | {' | '.join(ENTRANTS)} | draws |", "|---|" + "---:|" * (len(ENTRANTS) + 1)]
    for asked in rows:
        scores = [of_draws(results, asked, entrant) for entrant in ENTRANTS.values()]
        if any(map(len, scores)):
            cells = " | ".join(_cell(results, asked, values) for values in scores)
            lines.append(f"| {asked.data}: {asked.score} | {cells} | {max(map(len, scores))} |")
    return lines


def _cell(results: Results, asked: Asked, values: pd.Series) -> str:
    if values.empty:
        return "–"
    mean, low, high = mean_and_ends(results, asked, values)
    return f"{mean:.3f}" + ("" if math.isnan(low) else f" [{low:.3f}, {high:.3f}]")


def networks(results: Results) -> str:
    """Mean test scores of the networks on every dataset, in one sentence."""
    cells = results.cells.drop_duplicates("model_key").dropna(subset="test_score")
    scores = cells.groupby(["dataset", "model"], sort=False)["test_score"].mean()
    parts = [
        f"`{dataset}` " + ", ".join(f"{value:.3f}" for value in group.to_numpy())
        for dataset, group in scores.groupby(level=0, sort=False)
    ]
    labels = ", ".join(f"`{label}`" for label in dict.fromkeys(cells["model"]))
    return f"Test scores (accuracy, of spectra R²) of {labels}: {'; '.join(parts)}."


def text(results: Results, full: Results | None = None) -> str:
    """What stands between the marks."""
    parts = _of(results)
    if full is not None:
        parts += ["At the published 500 to 5000 epochs (`paper_full`):", *_of(full)]
    return "\n" + "\n\n".join(filter(None, parts)) + "\n\n"


def _of(results: Results) -> list[str]:
    found = differences(results)
    return ["\n".join(table(results)), "\n".join(paired(found)), " ".join(sentences(found)), networks(results)]


def today() -> str:
    """``text`` of the committed packs."""
    return text(read(PACK), read(FULL) if FULL.is_file() else None)


def write() -> None:
    """Put what the packs say today between the marks."""
    between.put(MANUAL, BEGIN, END, today())


if __name__ == "__main__":
    write()
