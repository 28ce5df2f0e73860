"""Whether the start from moments costs anything: against ``spectral`` on the families of ``standard``, paired by draw.

    python -m benchmarks.moments_standard                              # what is missing in runs/, then scores and page
    python -m benchmarks.moments_standard --explainer spectral_moments # of this method only
    python -m benchmarks.moments_standard --page                       # the page from the committed scores only

The suite is that of the families of ``standard`` whose relevant inputs are known, on all of its data seeds, with the
methods below in the place of its own. A run can be interrupted, and goes on. ``benchmarks/scores/moments_standard.csv``
keeps the score of every draw, with the version of the explainer; rows of another version go when it is measured anew.
The page is made from it, and so is what ``docs/results.md`` says of it, between two marks.
"""

from __future__ import annotations

import argparse
import math
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

import xai_bench
from benchmarks import between
from benchmarks.entrants import of_entrants
from benchmarks.pages import Table
from xai_bench import registry
from xai_bench.decisions import MARGIN
from xai_bench.results import entrants
from xai_bench.results.frames import Results
from xai_bench.results.means import Intervals
from xai_bench.suites import shipped

ROOT = Path(__file__).parents[1]
SCORES = Path(__file__).parent / "scores"
RUNS, PAGE = SCORES / "moments_standard.csv", SCORES / "moments_standard.md"
STANDARD = ROOT / "reports" / "standard" / "standard.xaipack"
MANUAL = ROOT / "docs" / "results.md"
BEGIN, END = "<!-- numbers of moments_standard -->", "<!-- end of the numbers of moments_standard -->"
NAME = "moments_standard"
LEVEL = 0.95
"""Of all families of one comparison at once."""
MODELS: tuple[dict[str, str], ...] = (
    {"name": "spectral_mlp"},
    {"name": "spectral_mlp", "label": "spectral_mlp_moments", "initial_eigenvalues": "moments"},
    {"name": "mlp"},
    {"name": "mlp", "label": "mlp_moments", "initial_columns": "moments"},
)
COLUMNS = ("family", "data_seed", "entrant", "recovery", "version", "explainer_version")
EXPLAINERS = ("spectral", "column_norm", "moments", "spectral_moments")
KEPT = {
    "spectral": ("spectral", "spectral_mlp"),
    "spectral_moments": ("spectral_moments", ""),
    "moments": ("moments", ""),
    "spectral, started": ("spectral", "spectral_mlp_moments"),
    "column_norm": ("column_norm", "mlp"),
    "column_norm, started": ("column_norm", "mlp_moments"),
}
"""Name of an entrant to its explainer and its network, "" for none."""
PAIRS = (
    ("spectral_moments", "spectral"),
    ("moments", "spectral"),
    ("spectral, started", "spectral"),
    ("column_norm, started", "column_norm"),
)
"""What is compared; the first is what the page is about."""
CHOSEN, KNOWN, MENDED, OTHER = "chosen on", "known", "mended on", "–"
SEEN = {
    "friedman1": CHOSEN,
    "switch": CHOSEN,
    "ring": KNOWN,
    "xor": KNOWN,
    "ring_xor": KNOWN,
    "gaussian_correlated": MENDED,
    "tetromino_xor": MENDED,
}
"""Families whose rule was among those that the constants of ``models.moments`` were chosen on, or was known then, or
showed what version 2 of ``spectral_moments`` mends."""
Verdict = Literal["ahead", "no loss", "below by less", "loss", "undecided", "too few draws"]


class Compared(NamedTuple):
    """An entrant less another on the draws of a family that both have.

    Attributes
    ----------
    of_entrant, of_other : their means
    mean, low, high : the mean difference and its interval; NaN where there is none
    draws, lower : how many there are, and in how many the entrant is the lower one
    worst : the lowest difference
    """

    family: str
    of_entrant: float
    of_other: float
    mean: float
    low: float
    high: float
    draws: int
    lower: int
    worst: float

    @property
    def verdict(self) -> Verdict:
        if math.isnan(self.low):
            return "too few draws"
        if self.low > 0:
            return "ahead"
        if self.low > -MARGIN:
            return "no loss" if self.high >= 0 else "below by less"
        return "loss" if self.high < 0 else "undecided"


def suite() -> dict[str, Any]:
    """The suite as it can be run."""
    standard = tomllib.loads(shipped.text_of("standard")[0])
    return {
        "name": NAME,
        "title": "The start from moments on the families of standard",
        "data_seeds": standard["data_seeds"],
        "model_seeds": standard["model_seeds"],
        "limits": standard["limits"],
        "datasets": [entry for entry in standard["datasets"] if _has_relevant_inputs(entry)],
        "models": list(MODELS),
        "explainers": [{"name": name} for name in EXPLAINERS],
        "settling": {"draws": 0},
    }


def _has_relevant_inputs(entry: dict[str, Any]) -> bool:
    fields = {name: value for name, value in entry.items() if name != "name"}
    truth = registry.create("datasets", entry["name"], fields).load(0).truth
    return truth is not None and bool(truth.relevant.any())


def measured(out: Path, data_seeds: int | None = None, explainers: Sequence[str] = ()) -> Results:
    """Run what is missing; ``data_seeds``: the first ones only. What ``standard`` has of it is taken from its pack."""
    known = [] if explainers else [STANDARD]
    return xai_bench.run(suite(), out=out, jobs=1, data_seeds=data_seeds, explainers=explainers, known=known)


def scores(results: Results) -> pd.DataFrame:
    """``COLUMNS``: recovery is 2 AUROC - 1; the versions are those of xai-bench that measured, and of the explainer."""
    rows = of_entrants(entrants.scored(results, entrants.RECOVERY), KEPT)
    rows = rows[rows["value"].notna()]
    version = [results.provenance[run]["versions"]["xai-bench"] for run in rows["run"].astype(int)]
    of_explainers = {entry["label"]: entry["version"] for entry in results.suite["explainers"]}
    facts = {"recovery": rows["value"], "version": version, "explainer_version": rows["explainer"].map(of_explainers)}
    return ordered(rows.assign(family=rows["dataset"], **facts)[list(COLUMNS)])


def ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """By family, draw and place of the entrant."""
    order = {name: place for place, name in enumerate(KEPT)}
    rows = rows.assign(place=rows["entrant"].map(order)).sort_values(["family", "data_seed", "place"], kind="stable")
    return rows.drop(columns="place").reset_index(drop=True)


def updated(before: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """The rows of before, and the new ones in the place of equal draws and of other versions of their explainers."""
    versions = new.groupby("entrant")["explainer_version"].first()
    current = before["entrant"].map(versions).fillna(before["explainer_version"])
    both = pd.concat([before[current == before["explainer_version"]], new])
    return ordered(both.drop_duplicates(["family", "data_seed", "entrant"], keep="last"))


def committed() -> pd.DataFrame:
    """The scores that are kept."""
    return pd.read_csv(RUNS, dtype={"version": str}, keep_default_na=False, na_values={"recovery": [""]})


def compared(frame: pd.DataFrame, entrant: str, other: str) -> list[Compared]:
    """By family; the intervals hold for all families of the frame at once (Bonferroni), NaN below five draws."""
    wide = frame.pivot(index=["family", "data_seed"], columns="entrant", values="recovery")
    families = list(dict.fromkeys(frame["family"]))
    intervals = Intervals(level=1 - (1 - LEVEL) / len(families))
    found = []
    for family in families:
        both = wide.loc[[family]].reindex(columns=[entrant, other]).dropna()
        gap = (both[entrant] - both[other]).to_numpy(np.float64)
        ends, worst = intervals.of(gap, family), float(gap.min()) if len(gap) else math.nan
        averages = both[entrant].mean(), both[other].mean(), float(both[entrant].mean() - both[other].mean())
        found.append(Compared(family, *averages, *ends, len(gap), int((gap < 0).sum()), worst))
    return found


def page(frame: pd.DataFrame) -> str:
    """The tables and sentences."""
    families = list(dict.fromkeys(frame["family"]))
    (entrant, other), *further = PAIRS
    found = compared(frame, entrant, other)
    blocks = [
        "# What the start from moments costs on the families of `standard`",
        _about(frame, found),
        _seen(families),
        f"## `{entrant}` less `{other}`",
        _main_table(found).markdown(),
        *_words(found, entrant, other),
    ]
    for one, another in further:
        rows = compared(frame, one, another)
        if any(row.verdict != "too few draws" for row in rows):
            blocks += [f"## `{one}` less `{another}`", _short(rows, one, another).markdown()]
            blocks += [_count(rows, one, another)]
    return "\n\n".join(blocks) + "\n"


def _about(frame: pd.DataFrame, found: list[Compared]) -> str:
    """What is shown, and what the verdicts mean."""
    return (
        f"Recovery (2 AUROC - 1) of {len(found)} families of the suite `standard` whose relevant inputs are known, "
        f"{_range([row.draws for row in found])} draws each (data seeds from 0 on), paired by draw. `started`: "
        "eigenvalues, or the scale of the columns, that start from the moments; `spectral` and `column_norm` are as in "
        f"`reports/standard`. Intervals are Student's t; they hold at {100 * LEVEL:g} % for all {len(found)} families "
        "of one comparison at once (Bonferroni). Of a family *no loss* is shown where the lower end is above "
        f"-{MARGIN:g}, *ahead* where it is above 0, a *loss* where the lower end is not above -{MARGIN:g} and the "
        f"upper end is below 0, *below by less* where both ends lie between -{MARGIN:g} and 0; the rest is undecided. "
        f"Measured by xai-bench {', '.join(dict.fromkeys(frame['version']))}; written by `python -m "
        f"benchmarks.moments_standard` from `{RUNS.name}`."
    )


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def _seen(families: list[str]) -> str:
    """What the method had seen of these rules."""
    chosen, known, mended = (
        ", ".join(f"`{name}`" for name in families if SEEN.get(name) == what) for what in (CHOSEN, KNOWN, MENDED)
    )
    return (
        "The constants of `moments` were chosen on |x| sums, checkerboards, products of three, shifted disks, boxes, "
        "stripes, Friedman1, the sets of L2X, a switch, several classes, trees, a rare class and heavy tails. So "
        f"{chosen} are not unseen (*{CHOSEN}*). The rules of {known} were known when the method "
        f"was designed, and that of `xor` is a checkerboard (*{KNOWN}*). Version 1 of `spectral_moments` had a loss "
        f"here on {mended} (*{MENDED}*): it ranked inputs below noise that the active ones explain, such as a second "
        "measurement of the same thing. Why was looked at on other draws of all these families (data seeds from 1000 "
        "on), with their truth. In version 2 such inputs are candidates, from eigenvalues of 1/2, from where networks "
        "can prune them ([held-out losses](moments_start.md) of this and other starts); on those draws it left "
        "correlated neighbours in a series behind what is relevant. It was measured here once, after that."
    )


def _main_table(found: list[Compared]) -> Table:
    rows = [
        [*_means(row), SEEN.get(row.family, OTHER), f"{row.lower} of {row.draws}", _number(row.worst), row.verdict]
        for row in found
    ]
    entrant, other = PAIRS[0]
    return Table("", ["family", other, entrant, "difference", "seen", "draws below", "lowest", "verdict"], rows)


def _short(found: list[Compared], entrant: str, other: str) -> Table:
    rows = [[*_means(row), str(row.draws), row.verdict] for row in found]
    return Table("", ["family", other, entrant, "difference", "draws", "verdict"], rows)


def _means(row: Compared) -> list[str]:
    return [
        f"`{row.family}`",
        *("–" if math.isnan(mean) else f"{mean:.3f}" for mean in (row.of_other, row.of_entrant)),
        _ends(row),
    ]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f}"


def _ends(row: Compared) -> str:
    ends = "" if math.isnan(row.low) else f" [{row.low:+.3f}, {row.high:+.3f}]"
    return f"{_number(row.mean)}{ends}"


def _words(found: list[Compared], entrant: str, other: str) -> Iterator[str]:
    """What is decided, and what the intervals rest on where all draws are equal."""
    yield f"{_count(found, entrant, other)} The aim, no loss on every family, is {_aim(found)}."
    lower = [f"`{row.family}` ({row.mean:+.3f})" for row in found if row.mean < -MARGIN]
    if lower:
        yield f"The mean is lower by more than {MARGIN:g}, whether or not a loss is shown, on {', '.join(lower)}."
    equal = [row for row in found if row.draws and row.low == row.high]
    if equal:
        names = ", ".join(f"`{row.family}`" for row in equal)
        least = min(row.draws for row in equal)
        share = 1 - ((1 - LEVEL) / len(found)) ** (1 / least)
        yield (
            f"All differences are equal on {names}, so that the interval has no width. At this level {least} such "
            f"draws exclude only what happens in more than {share:.0%} of draws."
        )


def _aim(found: list[Compared]) -> str:
    verdicts = {row.verdict for row in found}
    if "loss" in verdicts:
        return "missed"
    return "met" if verdicts <= {"ahead", "no loss", "below by less"} else "not shown"


def _count(found: list[Compared], entrant: str, other: str) -> str:
    """How many families have which verdict, and which, in one sentence."""
    parts = []
    for verdict in ("ahead", "no loss", "below by less", "loss", "undecided", "too few draws"):
        names = [f"`{row.family}`" for row in found if row.verdict == verdict]
        if names:
            parts.append(f"{verdict} on {len(names)} ({', '.join(names)})")
    return f"`{entrant}` against `{other}`, of {len(found)} families: {'; '.join(parts)}."


def manual(frame: pd.DataFrame) -> str:
    """What the manual says between the marks."""
    entrant, other = PAIRS[0]
    found = compared(frame, entrant, other)
    seen = [f"`{row.family}`" for row in found if row.family in SEEN]
    return (
        f"On the suite `standard`: {_count(found, entrant, other)} "
        f"The aim, no loss on every family, is {_aim(found)} ({_range([row.draws for row in found])} draws each, "
        "recovery paired by draw, intervals for all families at once; "
        f"[a verdict for each, and what it means](../benchmarks/scores/{PAGE.name})). Not unseen, as constants were "
        f"chosen on their rules, these were known, or version 1 lost there: {', '.join(seen)}.\n"
    )


def write() -> None:
    """The page, and what the manual says, from the scores that are kept."""
    frame = committed()
    PAGE.write_text(page(frame), encoding="utf-8")
    between.put(MANUAL, BEGIN, END, manual(frame))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="measure nothing")
    parser.add_argument("--out", type=Path, default=ROOT, help="the folder whose runs/ keeps the run")
    parser.add_argument("--data-seeds", type=int, help="the first ones only")
    parser.add_argument("--explainer", action="append", choices=EXPLAINERS, default=[], help="this one only (repeat)")
    options = parser.parse_args()
    if not options.page:
        new = scores(measured(options.out, options.data_seeds, options.explainer))
        updated(committed(), new).to_csv(RUNS, index=False, float_format="%.6f")
    write()


if __name__ == "__main__":
    main()
