"""How eigenvalues start of inputs that passed a round and are not active: by held-out loss, without the truth.

    python -m benchmarks.choose_moments_start             # what is missing in the scores, then the page
    python -m benchmarks.choose_moments_start --page      # the page from the committed scores only

The networks of ``spectral_moments`` are trained three times: such inputs are no candidates (version 1, ``ignored``), or
candidates whose eigenvalues start at 1/2 (``even``) or at 1 (``one``). The loss is that of networks on the rows of the
fold that they have not seen: cross-entropy, or the squared error in units of the variance. Nothing reported uses these
data seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks import moments_standard
from benchmarks.moments_rules import OfRule
from benchmarks.pages import Table
from xai_bench import registry
from xai_bench.datasets.base import Dataset
from xai_bench.explainers.base import Problem
from xai_bench.explainers.moments import SpectralMoments, found, rows_of
from xai_bench.models.moments.ensemble import train
from xai_bench.statistics import interval

SCORES = Path(__file__).parent / "scores"
RUNS, PAGE = SCORES / "moments_start.csv", SCORES / "moments_start.md"
SEEDS = (1000, 1001)
SERIES = "series (d=128)"
STARTS = ("ignored", "even", "one")
COLUMNS = ("family", "data_seed", "waiting", *STARTS)


def tables() -> Iterator[tuple[str, int]]:
    """Families of ``standard`` and a series whose neighbours are correlated, one data seed after the other."""
    families = [entry["name"] for entry in moments_standard.suite()["datasets"]]
    return ((family, seed) for seed in SEEDS for family in (*families, SERIES))


def loaded(family: str, seed: int) -> Dataset:
    """A draw, standardised."""
    if family == SERIES:
        return OfRule(rule="series", d=128).load(seed).standardised()
    (entry,) = (entry for entry in moments_standard.suite()["datasets"] if entry["name"] == family)
    fields = {name: value for name, value in entry.items() if name != "name"}
    return registry.create("datasets", family, fields).load(seed).standardised()


def losses(data: Dataset, seed: int) -> list[float]:
    """How many inputs wait, and the held-out loss of every start; NaN where none waits, and all starts are the same."""
    arrays = (torch.from_numpy(part) for part in (data.X_train, data.y_train, data.X_valid, data.y_valid))
    problem = Problem(None, *arrays, data.kind, data.n_outputs)
    known = found(problem)
    wait = known.waiting
    if not wait.any():
        return [0, *(np.nan for _ in STARTS)]
    without = replace(known, passed=np.where(wait, -np.inf, known.passed))
    starts = {
        "ignored": (without, without.starting),
        "even": (known, known.starting),
        "one": (known, np.where(wait, 1.0, known.starting)),
    }
    X, y = rows_of(problem)
    if data.kind == "regression":
        y = (y - y.mean()) / y.std()
    measured = []
    for of, start in starts.values():
        chosen = SpectralMoments().chosen(of)
        outputs = train(X[:, chosen], y, data.kind, data.n_outputs, start[chosen], seed).held_out
        measured.append(held_out_loss(outputs, y, data.kind))
    return [int(wait.sum()), *measured]


def held_out_loss(outputs: NDArray, y: NDArray, kind: str) -> float:
    """Mean cross-entropy of outputs (n, classes), or mean squared error of (n, 1)."""
    given, wanted = torch.from_numpy(outputs), torch.from_numpy(y)
    if kind == "classification":
        return float(torch.nn.functional.cross_entropy(given, wanted))
    return float(torch.mean((given[:, 0] - wanted) ** 2))


def page(frame: pd.DataFrame) -> str:
    """The tables where something waits, and what the starts differ by, families as units."""
    some = frame[frame["waiting"] > 0]
    columns = ["family", "data seed", "waiting", *STARTS]
    rows = [
        [f"`{r.family}`", str(r.data_seed), str(r.waiting), *(f"{getattr(r, s):.3f}" for s in STARTS)]
        for r in some.itertuples()
    ]
    families = some.groupby("family", sort=False)[list(STARTS)].mean()
    said = [
        f"- `{one}` less `{other}`: {_ends(families[one] - families[other])}."
        for one, other in (("even", "ignored"), ("one", "ignored"), ("one", "even"))
    ]
    about = (
        f"Of {len(frame)} tables (data seeds {', '.join(map(str, SEEDS))}) {len(some)} have inputs that passed a round "
        "of `moments` and are not active, since the active ones explain them. Held-out loss of the networks of "
        "`spectral_moments` where such inputs are no candidates (`ignored`, version 1), start at 1/2 (`even`, version "
        f"2) or at 1 (`one`); below the table the mean differences of {len(families)} families, with 95 % t intervals. "
        "A start at 1 cannot be pruned: the penalty takes up to .8. Written by `python -m "
        "benchmarks.choose_moments_start`."
    )
    blocks = ["# How inputs start that others explain", about, Table("", columns, rows).markdown(), "\n".join(said)]
    return "\n\n".join(blocks) + "\n"


def _ends(gap: pd.Series) -> str:
    found = interval(gap.to_numpy(np.float64), 0.95)
    verdict = "lower" if found.high < 0 else "higher" if found.low > 0 else "not told apart"
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}], {verdict}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not RUNS.exists():
        RUNS.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    done = set(committed()[["family", "data_seed"]].itertuples(index=False, name=None))
    for family, seed in () if options.page else tables():
        if (family, seed) not in done:
            row = [family, seed, *losses(loaded(family, seed), seed)]
            new = pd.DataFrame([row], columns=list(COLUMNS))
            new.to_csv(RUNS, mode="a", header=False, index=False, float_format="%.6f")
    PAGE.write_text(page(committed()), encoding="utf-8")


def committed() -> pd.DataFrame:
    """The losses that are kept."""
    return pd.read_csv(RUNS, keep_default_na=False, na_values={name: [""] for name in STARTS})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
