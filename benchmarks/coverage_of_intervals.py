"""Coverage of the intervals of a single score: draws of real cells are resampled.

    python benchmarks/coverage_of_intervals.py [SCORES.csv] [--repeats N]

Every cell, an entrant on a dataset, with its AUROCs on twenty draws is a population; n draws are taken from it with
replacement, and the interval should contain the mean of the population in .95 of the repeats. Cells whose values are
all equal are left out: any interval covers them. SCORES.csv: see ``simulate_decisions.py``. The table is written to
``benchmarks/scores/coverage.csv``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from xai_bench.statistics import bounded_interval, interval

HERE = Path(__file__).parent / "scores"
NUMBERS = (5, 10, 20)


def coverages(values: np.ndarray, n: int, repeats: int, rng: np.random.Generator) -> dict[str, float]:
    """Of Student's t and of the bounded interval, with their mean widths; ``values`` (draws,) are AUROCs."""
    hits, widths = np.zeros(2), np.zeros(2)
    for _ in range(repeats):
        taken = values[rng.integers(len(values), size=n)]
        bounded = bounded_interval(taken, 0, 1, 0.5)
        assert bounded is not None
        for i, (low, high) in enumerate((interval(taken)[1:3], bounded)):
            hits[i] += low - 1e-12 <= values.mean() <= high + 1e-12
            widths[i] += high - low
    names = ("student", "bounded")
    return dict(zip((*names, *(f"{name}_width" for name in names)), [*hits / repeats, *widths / repeats], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path, nargs="?", default=HERE / "recovery.csv")
    parser.add_argument("--repeats", type=int, default=500)
    given = parser.parse_args()
    table = pd.read_csv(given.scores, keep_default_na=False, na_values=[""])
    names = [column for column in table.columns if column not in ("dataset", "draw")]
    rng, rows = np.random.default_rng(0), []
    for dataset, group in table.groupby("dataset"):
        for name in names:
            values = (group[name].to_numpy() + 1) / 2
            if np.ptp(values) > 0:
                for n in NUMBERS:
                    found = coverages(values, n, given.repeats, rng)
                    rows.append(
                        {"dataset": dataset, "entrant": name, "draws": n, "best": (values == 1).mean(), **found}
                    )
    cells = pd.DataFrame(rows)
    at_best = pd.cut(cells["best"], [-0.01, 0.25, 0.75, 1], labels=["up to 1/4", "1/4 to 3/4", "above 3/4"])
    groups = pd.concat([cells.assign(at_best="all"), cells.assign(at_best=at_best.astype(str))]).groupby(
        ["at_best", "draws"]
    )
    found = groups.agg(
        cells=("student", "size"), student_lowest=("student", "min"), student_mean=("student", "mean"),
        bounded_lowest=("bounded", "min"), bounded_mean=("bounded", "mean"), student_width=("student_width", "mean"),
        bounded_width=("bounded_width", "mean"),
    ).reset_index()  # fmt: skip
    print(f"{given.repeats} repeats\n{found.round(3).to_string(index=False)}")
    found.assign(repeats=given.repeats).round(4).to_csv(HERE / "coverage.csv", index=False)


if __name__ == "__main__":
    main()
