"""Error rates of ``xai_bench.decisions`` where the truth is known, with the residuals of real scores.

    python benchmarks/simulate_decisions.py [SCORES.csv] [--repeats N] [--draws 10 20] [--datasets 3 15] [--jobs 2]

SCORES.csv has the columns dataset, draw, and one an entrant (``python benchmarks/simulate_decisions.py --take RUN``
writes it from a stored run); ``benchmarks/scores/recovery.csv`` is that of 27 entrants on six datasets with twenty
draws (data seeds 1000 to 1019). Nulls:

- ``perm``: entrants are permuted within a draw: they are exchangeable.
- ``resid``: rows of residuals are resampled, all means equal: real covariances, and real atoms at the best score.
- ``margin``: as ``resid``, every second entrant better by exactly the margin: none of these pairs is "equal".
- ``families``: for problems of this kind; effects of families are resampled, all means over families equal. With 15 or
  more families only.

With ``--methods`` entrants are averaged over networks, and pairs of methods are decided on the networks of both,
as the leaderboard of methods does; entrants are named ``METHOD on NETWORK`` then.

Measured for each: how often any of all pairs is decided wrongly; how often any of the step-down comparisons of one
entrant with all others is; how often an entrant that is as good as the best is left out of the first group; the median
half width (of some repeats). The table says of which score the residuals are, and is written to
``benchmarks/scores/decisions.csv``; rows of other scores in that file stay. The scores of ``decisions_methods.csv`` are
those of ``reports/standard`` (``--take``, with ``--metric retention`` or without; then ``--methods --draws 20``: of
retention 400 repeats on 10 datasets, of recovery 200 on 15, ``--nulls resid`` only, without the first group).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.decisions import BETTER, MARGIN, QUANTILE, WORSE, Decisions, Scores
from xai_bench.results.same_networks import COLUMNS, SameNetworks

HERE = Path(__file__).parent / "scores"
NULLS = ("perm", "resid", "margin", "families")
MEASURED = ["pairs", "step_down", "first_group", "half_width"]
REPLICATES = 100
"""Of one decision; a report has more. The quantile is exceeded as often at any number."""
QUICKLY = (20, 0.76)
"""Replicates and quantile: what is not decided at .76 is not decided at the quantile that is used, and most is not."""
WIDTHS = 50
"""Repeats of which the half width is measured."""


def taken(folder: str | Path, metric: str = "recovery") -> pd.DataFrame:
    """Columns dataset, draw, and one an entrant: the scores of a stored run, of entrants with all of them."""
    from xai_bench import read
    from xai_bench.results import entrants

    found = entrants.values(read(folder), metric)
    found = found.assign(entrant=entrants.ids(found))
    return found.pivot(index=["dataset", "draw"], columns="entrant", values="value").dropna(axis=1).reset_index()


def scores_of(table: pd.DataFrame) -> Scores:
    """From the columns dataset, draw, and one an entrant."""
    names = tuple(column for column in table.columns if column not in ("dataset", "draw"))
    groups = {str(label): rows[list(names)].to_numpy(np.float64) for label, rows in table.groupby("dataset")}
    return Scores(names, tuple(groups), tuple(groups.values()))


def methods_of(scores: Scores) -> list[str]:
    """The method of every entrant."""
    return [name.split(" on ", 1)[0] for name in scores.entrants]


def of_methods(scores: Scores) -> Scores:
    """Averaged over networks; pairs of methods on the networks that both explain."""
    methods = np.array(methods_of(scores))
    names = list(dict.fromkeys(methods))
    values = tuple(np.column_stack([x[:, methods == name].mean(1) for name in names]) for x in scores.values)
    long = [
        pd.DataFrame({"name": name, "model": model, "dataset": dataset, "draw": np.arange(len(x)), "value": x[:, i]})
        for dataset, x in zip(scores.datasets, scores.values, strict=True)
        for i, (name, model) in enumerate(entrant.split(" on ", 1) if " on " in entrant else (entrant, "")
                                          for entrant in scores.entrants)
        if model
    ]  # fmt: skip
    same = SameNetworks(pd.concat(long)[COLUMNS])
    draws = {name: pd.Index(range(len(x))) for name, x in zip(scores.datasets, scores.values, strict=True)}
    return same.versions(Scores(tuple(names), scores.datasets, values), draws, 1)


def simulated(
    scores: Scores, null: str, draws: int, datasets: int, rng: np.random.Generator, methods: bool = False
) -> Scores:
    """Scores of the same entrants with the truth of the null; datasets beyond the real ones repeat them."""
    values: list[NDArray] = []
    units = methods_of(scores) if methods else list(scores.entrants)
    place = {unit: k for k, unit in enumerate(dict.fromkeys(units))}
    odd = np.array([place[unit] % 2 for unit in units])
    shift = np.where(odd, MARGIN, 0.0) if null == "margin" else np.zeros(scores.m)
    of_families = np.array([x.mean(0) for x in scores.values])
    of_families -= of_families.mean(0)
    for k in range(datasets):
        x = scores.values[k % len(scores.values)]
        chosen = x[rng.integers(len(x), size=draws)]
        if null == "perm":
            values.append(rng.permuted(chosen, axis=1))
            continue
        centred = (chosen - x.mean(0)) * np.sqrt(len(x) / (len(x) - 1))
        if null == "families":
            centred = centred + of_families[rng.integers(len(of_families))]
        values.append(centred + shift)
    found = Scores(scores.entrants, tuple(f"{k}" for k in range(datasets)), tuple(values))
    found = of_methods(found) if methods else found
    return found.of_families() if null == "families" else found


def one(scores: Scores, null: str, draws: int, datasets: int, seed: int, methods: bool = False) -> tuple[float, ...]:
    """The numbers of ``MEASURED`` in one repeat."""
    rng = np.random.default_rng([seed, draws, datasets, NULLS.index(null)])
    given = simulated(scores, null, draws, datasets, rng, methods)
    for replicates, quantile in (QUICKLY, (REPLICATES, QUANTILE)):
        found = Decisions(given, replicates=replicates, quantile=quantile, seed=seed)
        wrong = errors(found, null, seed)
        if not any(wrong) and seed >= WIDTHS:
            return *wrong, math.nan
    return *wrong, found.smallest_detectable


def errors(found: Decisions, null: str, number: int) -> tuple[float, float, float]:
    """Whether a pair, a step-down comparison, the membership in the first group is wrong; of the entrants by turns."""
    m = found.scores.m
    better = np.arange(m) % 2 == 1 if null == "margin" else np.zeros(m, dtype=bool)
    same = better[:, None] == better[None, :]
    # Of a pair that differs by the margin: whoever is called better must be the better one, and by no less.
    right = np.where(better[:, None] & ~better[None, :], "better", "worse")

    def wrong(outcomes: NDArray, same: NDArray, right: NDArray) -> float:
        decided = np.isin(outcomes, (*BETTER, *WORSE))
        return float(np.where(same, decided, (outcomes != "undecided") & (outcomes != right)).any())

    off = ~np.eye(m, dtype=bool)
    i = number % m
    best = np.flatnonzero(better == better.max())
    first = found.one(found.scores.entrants[best[number % len(best)]])
    return (
        wrong(found.outcomes[off], same[off], right[off]),
        wrong(np.array(found.one(found.scores.entrants[i]).step_down), same[i, off[i]], right[i, off[i]]),
        float(not first.not_worse_than_best),
    )


def _cases(nulls: list[str], draws: list[int], datasets: list[int]) -> Iterator[tuple[str, int, int]]:
    for null in nulls:
        for n in draws:
            for k in datasets:
                if null != "families" or k >= 15:
                    yield null, n, k


def _of_others(table: Path, score: str) -> list[dict[str, Any]]:
    """The rows of other scores in a table that may be there."""
    if not table.exists():
        return []
    rows = pd.read_csv(table, keep_default_na=False)
    return rows[rows["score"] != score].to_dict("records")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path, nargs="?", default=HERE / "recovery.csv")
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--draws", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--datasets", type=int, nargs="+", default=[3, 15])
    parser.add_argument("--nulls", nargs="+", default=list(NULLS), choices=NULLS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "decisions.csv")
    parser.add_argument("--take", type=Path, help="write the scores of a stored run to SCORES.csv, and stop")
    parser.add_argument("--metric", default="recovery", help="of SCORES.csv, or the one to take")
    parser.add_argument("--methods", action="store_true", help="average over networks")
    given = parser.parse_args()
    if given.take:
        taken(given.take, given.metric).round(5).to_csv(given.scores, index=False)
        return
    scores = scores_of(pd.read_csv(given.scores, keep_default_na=False, na_values=[""]))
    print(
        f"{scores.m} entrants, {len(scores.datasets)} datasets, {given.repeats} repeats: shares with a false decision"
    )
    rows: list[dict[str, Any]] = _of_others(given.out, given.metric)
    with ProcessPoolExecutor(given.jobs) as pool:
        for null, n, k in _cases(given.nulls, given.draws, given.datasets):
            asked = [(scores, null, n, k, seed, given.methods) for seed in range(given.repeats)]
            mean = np.nanmean(list(pool.map(one, *zip(*asked, strict=True), chunksize=20)), axis=0)
            case = {"score": given.metric, "null": null, "draws": n, "datasets": k, "repeats": given.repeats}
            error = math.sqrt(0.05 * 0.95 / given.repeats)
            rows.append({**case, **dict(zip(MEASURED, mean, strict=True)), "simulation_error": error})
            print(pd.DataFrame(rows[-1:]).round(4).to_string(index=False, header=len(rows) == 1), flush=True)
            pd.DataFrame(rows).round(5).to_csv(given.out, index=False)


if __name__ == "__main__":
    main()
