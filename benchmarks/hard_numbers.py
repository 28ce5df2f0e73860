"""What the manual says of the suite ``hard``: mean precision at p over sets and sizes, beside published figures.

The text stands between two marks of ``docs/results.md``; ``make reports`` writes it anew from the pack.

python -m benchmarks.hard_numbers
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import between
from benchmarks.entrants import of_entrants
from benchmarks.pages import Table
from xai_bench.published.anchors import anchor
from xai_bench.results.frames import Results
from xai_bench.results.store import read
from xai_bench.statistics import LEAST_DRAWS, Interval, interval
from xai_bench.wording import plural

ROOT = Path(__file__).parents[1]
MANUAL = ROOT / "docs" / "results.md"
PACK = ROOT / "reports" / "hard" / "hard.xaipack"
BEGIN, END = "<!-- numbers of reports/hard -->", "<!-- end of the numbers of reports/hard -->"
METRIC, ANCHOR = "precision_at_p", "ring"
LEVEL = 0.95
LEAST_MEAN = 0.98
"""The aim for the mean of what is ours."""
OURS = ("`spectral_moments`", "`moments`")
ENTRANTS = {
    "`spectral_moments`": ("spectral_moments", ""),
    "`moments`": ("moments", ""),
    "`spectral`, start from moments": ("spectral", "spectral_mlp_moments"),
    "`spectral`, start at 1": ("spectral", "spectral_mlp"),
    "`column_norm`, start from moments": ("column_norm", "mlp_moments"),
    "`column_norm`": ("column_norm", "mlp"),
    "`saliency`, spectral, start from moments": ("saliency", "spectral_mlp_moments"),
    "`saliency`, spectral, start at 1": ("saliency", "spectral_mlp"),
    "`saliency`, plain, start from moments": ("saliency", "mlp_moments"),
    "`saliency`, plain": ("saliency", "mlp"),
    "`random_forest`": ("random_forest", ""),
    "`mutual_information`": ("mutual_information", ""),
}
"""Name to explainer and network, "" for none. ``column_norm`` of a spectral network is its ``spectral``."""
NETWORKS = {
    "spectral, start from moments": "spectral_mlp_moments",
    "spectral, start at 1": "spectral_mlp",
    "plain, start from moments": "mlp_moments",
    "plain": "mlp",
}
PAIRS = (
    ("`spectral_moments`", "`random_forest`"),
    ("`spectral_moments`", "`moments`"),
    ("`spectral`, start from moments", "`spectral`, start at 1"),
    ("`spectral`, start from moments", "`column_norm`, start from moments"),
    ("`column_norm`, start from moments", "`column_norm`"),
)


def sizes(results: Results) -> pd.DataFrame:
    """Label of a dataset to ``set`` (its name) and ``d``, in the order of the suite."""
    rows = {entry["label"]: (entry["name"], entry["fields"]["d"]) for entry in results.suite["datasets"]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["set", "d"])


def of_runs(results: Results) -> pd.DataFrame:
    """set, d, data_seed, entrant, value: the precision of every draw and fold that has one."""
    rows = results.measurements
    rows = of_entrants(rows[rows["metric"] == METRIC], ENTRANTS)
    rows = rows.join(sizes(results), on="dataset").assign(value=rows["value"].astype(float))
    return rows[["set", "d", "data_seed", "entrant", "value"]].dropna(subset="value")


def of_cells(runs: pd.DataFrame) -> pd.DataFrame:
    """(set, d) x entrant: the mean over draws of the mean over their folds; NaN where there is none."""
    draws = runs.groupby(["set", "d", "data_seed", "entrant"])["value"].mean()
    cells = draws.groupby(level=["set", "d", "entrant"]).mean().unstack("entrant")
    return cells.reindex(columns=[name for name in ENTRANTS if name in cells.columns])


def over_cells(values: pd.Series, level: float = LEVEL) -> Interval:
    """The mean of the cells that are there; its ends are NaN below five."""
    found = interval(values.dropna().to_numpy(np.float64), level)
    return found if found.n >= LEAST_DRAWS else found._replace(low=math.nan, high=math.nan)


def published(results: Results) -> pd.DataFrame:
    """(set, d) x method of theirs: the published precision of the data of the suite."""
    known = anchor(ANCHOR)
    pairs = {c.theirs: (c.ours, c.fields["d"]) for c in known.data for e in results.suite["datasets"] if c.fits(e)}
    rows = [(*pairs[f.data], f.method, f.value.mean) for f in known.figures if f.score == METRIC and f.data in pairs]
    return (
        pd.DataFrame(rows, columns=["set", "d", "method", "value"]).set_index(["set", "d", "method"])["value"].unstack()
    )


def table(cells: pd.DataFrame, theirs: pd.DataFrame) -> Table:
    """Mean precision by size and over all cells; then the published one of the methods that were published."""
    all_d = sorted(cells.index.unique("d"))
    rows = [_row(name, cells[name], all_d) for name in cells.columns]
    for method, name in _counterparts().items():
        if method in theirs:
            rows.append(_row(f"published: {name}", theirs[method].reindex(cells.index), all_d))
    return Table("", ["method, network", *(f"d = {d}" for d in all_d), "mean over cells", "cells"], rows)


def _row(name: str, values: pd.Series, all_d: list[int]) -> list[str]:
    by_size = values.groupby(level="d").mean()
    return [name, *(_number(by_size[d]) for d in all_d), _with_ends(over_cells(values)), str(values.count())]


def _counterparts() -> dict[str, str]:
    """Published method to what stands for it in the table, in the order of the table."""
    explainers = dict.fromkeys(explainer for explainer, _ in ENTRANTS.values())
    known = {pair.ours: pair.theirs for pair in anchor(ANCHOR).methods}
    return {known[name]: f"`{name}`" for name in explainers if name in known}


def accuracy(results: Results) -> Table:
    """Mean test accuracy of the networks by size."""
    cells = results.cells.drop_duplicates("model_key").dropna(subset="test_score").join(sizes(results), on="dataset")
    cells = cells.assign(test_score=cells["test_score"].astype(float))
    means = cells.groupby(["model", "set", "d"])["test_score"].mean()
    all_d = sorted(cells["d"].unique())
    rows = []
    for name, model in NETWORKS.items():
        if model in means.index.unique("model"):
            by_size = means[model].groupby(level="d").mean()
            rows.append([name, *(_number(by_size.get(d, math.nan)) for d in all_d), _number(means[model].mean())])
    return Table("", ["network", *(f"d = {d}" for d in all_d), "mean over cells"], rows)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _with_ends(found: Interval) -> str:
    ends = "" if math.isnan(found.low) else f" [{found.low:.3f}, {min(found.high, 1.0):.3f}]"
    return f"**{found.mean:.3f}**{ends}"


def aims(cells: pd.DataFrame, runs: pd.DataFrame) -> Iterator[str]:
    """Whether the mean of what is ours reaches the aim, by its interval; and how its worst cell does."""
    for name in OURS:
        if name not in cells:
            continue
        found, own = over_cells(cells[name]), runs.loc[runs["entrant"] == name, "value"]
        perfect = int((own > 1 - 1e-9).sum())
        yield (
            f"{name}: {perfect} of {len(own)} rankings (draw, fold) are perfect, the lowest cell is "
            f"{cells[name].min():.3f}; the aim, a mean of at least {LEAST_MEAN:g}, is {_aim(found)}."
        )


def _aim(found: Interval) -> str:
    if math.isnan(found.low):
        return f"not decided below {LEAST_DRAWS} cells"
    if found.low >= LEAST_MEAN:
        return "met (lower end of the interval)"
    return "missed" if found.high < LEAST_MEAN else "not shown to be met: it lies within the interval"


def differences(cells: pd.DataFrame) -> Iterator[str]:
    """Pairs of methods, by cell; their intervals hold for all pairs at once (Bonferroni)."""
    known = [(one, other) for one, other in PAIRS if {one, other} <= {*cells.columns}]
    for one, other in known:
        found = over_cells(cells[one] - cells[other], 1 - (1 - LEVEL) / len(known))
        if math.isnan(found.low):
            yield f"{one} less {other}: {found.n} cells have both, too few to say."
            continue
        verdict = "above" if found.low > 0 else "below" if found.high < 0 else "not told apart"
        numbers = f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]".replace("-", "−")
        yield f"{one} less {other}: {numbers}, {verdict}."


def of_theirs(cells: pd.DataFrame, theirs: pd.DataFrame) -> str:
    """The published means over the same cells, best first."""
    same = theirs.reindex(cells.index).dropna(axis=1)
    means = same.mean().sort_values(ascending=False, kind="stable")
    names = {pair.theirs: f"`{pair.ours}`" for pair in anchor(ANCHOR).methods}
    said = ", ".join(f"{names.get(str(name), str(name))} {value:.3f}" for name, value in means.items())
    return (
        f"Published for the same {len(same)} cells (Passemiers et al. 2024), all methods with a figure of each: {said}."
    )


def text(results: Results) -> str:
    """What stands between the marks."""
    runs = of_runs(results)
    cells, theirs = of_cells(runs), published(results)
    about = (
        f"Mean precision at p. A cell is a set at a size: {len(cells)} cells, of each {_draws(runs)} in "
        f"{results.suite['folds']} folds, which are one number. {LEVEL:.0%} t intervals over cells, since so few draws "
        "give none of a single cell. They hold how much cells differ as well, so for these cells they are rather too "
        "wide than too narrow: *not told apart* is no equality. Of other sets they say little: the sizes of one set "
        f"go together, and there are {cells.index.unique('set').size} sets only. No constant of `moments` was chosen "
        "on the four rules, but they were known when it was designed. Published figures are of one draw, of networks "
        "and rows that differ from ours."
    )
    listed = ["\n".join(f"- {line}" for line in lines) for lines in (aims(cells, runs), differences(cells))]
    note = (
        "Test accuracy of the networks; that of the networks that `spectral_moments` trains is not stored, see "
        "[reports/moments/summary.md](../reports/moments/summary.md)."
    )
    parts = [about, table(cells, theirs).markdown(), *listed, of_theirs(cells, theirs), note]
    return "\n" + "\n\n".join(filter(None, [*parts, accuracy(results).markdown()])) + "\n\n"


def _draws(runs: pd.DataFrame) -> str:
    counts = runs.groupby(["set", "d"])["data_seed"].nunique()
    low, high = int(counts.min()), int(counts.max())
    return plural(low, "draw") if low == high else f"{low} to {high} draws"


def today() -> str:
    """``text`` of the committed pack."""
    return text(read(PACK))


def write() -> None:
    """Put what the pack says today between the marks."""
    between.put(MANUAL, BEGIN, END, today())


if __name__ == "__main__":
    write()
