"""Error rates of ``xai_bench.decisions`` where the truth is known, with the residuals of real scores.

    python benchmarks/simulate_decisions.py SCORES.csv [--repeats N] [--draws 10 20] [--datasets 3 15] [--jobs 2]

SCORES.csv has the columns dataset, draw, entrant, value (``scores_of_run`` writes it from a run). Three nulls:

- ``perm``: entrants are permuted within a draw: they are exchangeable.
- ``resid``: rows of residuals are resampled, all means equal: real covariances, and real atoms at the best score.
- ``margin``: as ``resid``, every second entrant better by exactly the margin: none of these pairs is "equal".

Printed for each: how often any of all pairs is decided wrongly; how often a step-down comparison of the first entrant
with all others is; how often an entrant that is as good as the best is left out of the first group (any of them, and
on average); the median half width.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.decisions import MARGIN, Decisions, Scores

NULLS = ("perm", "resid", "margin")


def scores_of_run(folder: str | Path, metric: str = "auroc") -> pd.DataFrame:
    """Columns dataset, draw, entrant, value of a stored run; controls left out; auroc as 2 AUROC - 1."""
    from xai_bench import read

    rows = read(folder).measurements
    rows = rows[(rows["metric"] == metric) & ~rows["explainer"].isin(["random", "oracle"])]
    value = 2 * rows["value"] - 1 if metric == "auroc" else rows["value"]
    entrant = rows["explainer"].where(rows["model"] == "", rows["explainer"] + " on " + rows["model"])
    frame = pd.DataFrame(
        {"dataset": rows["dataset"], "draw": rows["data_seed"], "entrant": entrant, "value": value.astype(float)}
    )
    complete = frame.groupby("entrant")["dataset"].nunique()
    return frame[frame["entrant"].isin(complete[complete == complete.max()].index)]


def simulated(scores: Scores, null: str, draws: int, datasets: int, rng: np.random.Generator) -> Scores:
    """Scores of the same entrants with the truth of the null; datasets beyond the real ones repeat them."""
    values: list[NDArray] = []
    shift = np.where(np.arange(scores.m) % 2, MARGIN, 0.0) if null == "margin" else np.zeros(scores.m)
    for k in range(datasets):
        x = scores.values[k % len(scores.values)]
        chosen = x[rng.integers(len(x), size=draws)]
        if null == "perm":
            values.append(rng.permuted(chosen, axis=1))
        else:
            centred = (chosen - x.mean(0)) * np.sqrt(len(x) / (len(x) - 1))
            values.append(centred + shift)
    return Scores(scores.entrants, tuple(f"{k}" for k in range(datasets)), tuple(values))


def one(scores: Scores, null: str, draws: int, datasets: int, seed: int) -> tuple[float, ...]:
    """(any pair wrong, any step-down wrong, any of the best left out, share of the best left out, half width)."""
    rng = np.random.default_rng([seed, draws, datasets, NULLS.index(null)])
    found = Decisions(simulated(scores, null, draws, datasets, rng), replicates=500, seed=seed)
    outcomes, odd = found.outcomes, np.arange(scores.m) % 2 == 1
    best = odd if null == "margin" else np.ones(scores.m, dtype=bool)
    same = odd[:, None] == odd[None, :] if null == "margin" else np.ones((scores.m, scores.m), dtype=bool)
    decided = np.isin(outcomes, ("better", "worse", "slightly better", "slightly worse"))
    called_small = np.isin(outcomes, ("equal", "slightly better", "slightly worse"))
    wrong = (decided & same) | (called_small & ~same)
    if null == "margin":  # the sign is wrong where the worse one is called better
        wrong |= ~same & odd[None, :] & np.isin(outcomes, ("better", "slightly better"))
    stepped = found.against(scores.entrants[0])
    wrong_step = False
    for j, (_, outcome) in enumerate(stepped, start=1):
        if same[0, j]:
            wrong_step |= outcome in ("better", "worse", "slightly better", "slightly worse")
        else:
            wrong_step |= outcome in ("equal", "better", "slightly better", "slightly worse")
    out = ~found.not_worse_than_best & best
    return float(wrong.any()), float(wrong_step), float(out.any()), float(out[best].mean()), found.smallest_detectable


def _cases(draws: list[int], datasets: list[int]) -> Iterator[tuple[str, int, int]]:
    for null in NULLS:
        for n in draws:
            for k in datasets:
                yield null, n, k


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--draws", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--datasets", type=int, nargs="+", default=[3, 15])
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    scores = Scores.of(pd.read_csv(given.scores))
    print(
        f"{scores.m} entrants, {len(scores.datasets)} datasets, {given.repeats} repeats: shares with a false decision"
    )
    print("null    draws  datasets  pairs  step-down  best left out: any, mean  half width")
    with ProcessPoolExecutor(given.jobs) as pool:
        for null, n, k in _cases(given.draws, given.datasets):
            asked = [(scores, null, n, k, seed) for seed in range(given.repeats)]
            mean = np.mean(list(pool.map(one, *zip(*asked, strict=True), chunksize=20)), axis=0)
            shares = f"{mean[0]:>7.3f} {mean[1]:>10.3f} {mean[2]:>18.3f} {mean[3]:>6.3f}"
            print(f"{null:<7} {n:>5} {k:>9} {shares} {mean[4]:>11.3f}", flush=True)


if __name__ == "__main__":
    main()
