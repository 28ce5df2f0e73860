"""Our runs beside published tables: from stored runs to the committed tables and the page of the manual.

xai-bench run anchor_cpi --out RUNS (and the other suites whose names begin with anchor_), then
python benchmarks/anchors.py --runs RUNS/runs
writes reports/anchors/SUITE_agreement.csv and SUITE_ours.csv. --functional METHODS (names between commas) writes
functional.csv, what these methods pass of the functional tests. Every call writes docs/anchors.md from these files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from xai_bench import functional
from xai_bench.published.anchors import Anchor, anchor
from xai_bench.results import anchor_text, formats
from xai_bench.results.anchors import Agreement
from xai_bench.results.formats import Shown
from xai_bench.results.store import read
from xai_bench.suites import reading
from xai_bench.suites.shipped import shipped
from xai_bench.wording import are

ROOT = Path(__file__).parents[1]
TABLES, PAGE = ROOT / "reports" / "anchors", ROOT / "docs" / "anchors.md"
FUNCTIONAL = TABLES / "functional.csv"
HEAD = """# Published tables beside ours

A suite can name a published table, its *anchor*. `xai-bench anchor SUITE` shows what was published, and how;
`xai-bench anchor DIR` and the report of a run show the run beside it; `Results.anchor()` gives the table. Published
figures enter no mean, interval or ranking.

Two figures *agree* if their difference is shown to be below .03, *differ* if it is shown to be above, and are
*undecided* otherwise. The difference has the Monte Carlo errors of both; Holm's procedure over the pairs keeps the
chance of any wrong decision in a table at 5 %. What is undecided says how many draws of ours would decide it, if the
difference and both spreads stayed as they are.

What differs has a reason if one was measured: our figure with one thing done as theirs, by which more than half of the
difference is gone. What is left is then within .03, or within twice the errors of both; else it is a reason *in part*.
Without one the difference is *not explained*, and it is said what was tried. `python -m benchmarks.anchor_reasons`
measures reasons; `reports/anchors/reasons.csv` has every draw of them.

This page is written by `python benchmarks/anchors.py` from `reports/anchors/`.
"""
UNMEASURED = """Not measured yet: {}. `xai-bench anchor SUITE` shows what was published.
"""


def suites() -> list[str]:
    """The shipped suites that are made for an anchor."""
    return [name for name in shipped() if name.startswith("anchor_")]


def keep(runs: Path) -> None:
    """Write the tables of the runs that are there."""
    TABLES.mkdir(parents=True, exist_ok=True)
    for name in suites():
        if (runs / name).exists():
            found = read(runs / name).anchor()
            for what, frame in (("agreement", found.table), ("ours", found.ours)):
                frame.to_csv(TABLES / f"{name}_{what}.csv", index=False, float_format="%.6g")


def kept(name: str) -> Agreement | None:
    """What was kept of a suite, None if nothing was."""
    table, ours = (TABLES / f"{name}_{what}.csv" for what in ("agreement", "ours"))
    if not table.is_file():
        return None
    known = anchor(reading.load(name).anchor)
    return Agreement(
        known, *(_with_texts(pd.read_csv(path, keep_default_na=False, na_values=[""])) for path in (table, ours))
    )


def _with_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """With "" where a text is empty, which a CSV does not tell from a missing number."""
    return frame.assign(**{name: frame[name].astype(object).fillna("") for name in ("model", "why") if name in frame})


def page() -> str:
    """docs/anchors.md."""
    parts = [HEAD]
    if lacking := [f"`{name}`" for name in suites() if kept(name) is None]:
        parts.append(UNMEASURED.format(", ".join(lacking)))
    for name in suites():
        if (found := kept(name)) is not None:
            parts += [f"## {found.anchor.title}", *section(name, found)]
    if FUNCTIONAL.is_file():
        parts += functional_section(
            pd.read_csv(FUNCTIONAL, keep_default_na=False, na_values=[""]).fillna({"reason": ""})
        )
    return "\n".join(parts)


def functional_section(found: pd.DataFrame) -> list[str]:
    """Every method with what it passes, theirs first, and why it does not."""
    known, tests = anchor("functional"), list(dict.fromkeys(found["test"]))
    theirs = {(f.method, f.data): f.value.mean for f in known.figures}
    rows = [
        ("published", name, *(_mark(theirs.get((name, test))) for test in tests))
        for name in dict.fromkeys(f.method for f in known.figures)
    ]
    by_method = found.groupby("explainer", sort=False)
    rows += [("ours", str(name), *(_mark(score) for score in of["score"])) for name, of in by_method]
    missed = found[(found["reason"] != "") & found["score"].notna()]
    why = [(row["explainer"], row["test"], row["reason"]) for row in missed.to_dict("records")]
    lacking = found[found["score"].isna()].drop_duplicates("explainer")
    why += [(row["explainer"], "all", row["reason"]) for row in lacking.to_dict("records")]
    return [
        f"## {known.title}",
        f"Source: {known.source}. Licence: {known.licence}.\n",
        formats.markdown(_protocol(known)),
        " ".join(functional_words(found, theirs)) + "\n",
        formats.markdown(Shown(("Source", "Method", *tests), rows, text_columns=len(tests) + 2)),
        formats.markdown(Shown(("Method", "Test", "Why not passed"), why, text_columns=3)),
    ]


def functional_words(found: pd.DataFrame, theirs: dict[tuple[str, str], float]) -> list[str]:
    """How many pass everything, and how often a counterpart of theirs passes the same tests."""
    scored = found[found["score"].notna()]
    every = scored.groupby("explainer")["passed"].all()
    words = [
        f"{int(every.sum())} of {len(every)} methods that were run and give importances pass all "
        f"{found['test'].nunique()} tests."
    ]
    known = {pair.ours: pair.theirs for pair in anchor("functional").methods}
    both = [
        (row["passed"], theirs[known[row["explainer"]], row["test"]] >= functional.PASSED)
        for row in scored.to_dict("records")
        if (known.get(row["explainer"], ""), row["test"]) in theirs
    ]
    if both:
        same = sum(ours == other for ours, other in both)
        words.append(f"Of {len(both)} results with a published counterpart {same} {are(same)} the same, passed or not.")
    return words


def _mark(score: float | None) -> str:
    if score is None or score != score:
        return ""
    return "passed" if score >= functional.PASSED else f"{score:.3f}"


def section(name: str, found: Agreement) -> list[str]:
    """Protocols, what agrees, and everything side by side."""
    known = found.anchor
    about = f"Suite `{name}`, anchor `{known.name}`. Source: {known.source}. Licence: {known.licence}.\n"
    absent = [f"Nothing here stands for {', '.join(found.absent)}.\n"] if found.absent else []
    sides = [formats.markdown(_beside(found, score)) for score in anchor_text.scores_of(found)]
    return [
        about,
        formats.markdown(_protocol(known)),
        *absent,
        " ".join(found.sentences()) + "\n",
        formats.markdown(anchor_text.shown(found)),
        *sides,
    ]


def _protocol(known: Anchor) -> Shown:
    lines = [(line.what, line.theirs, "the same" if line.same else line.ours) for line in known.protocol]
    pairs = [(f"method {pair.theirs}", pair.note, anchor_text.ours_of(pair)) for pair in known.methods]
    return Shown(("Protocol", "Theirs", "Ours"), [*lines, *pairs], text_columns=3)


def _beside(found: Agreement, score: str) -> Shown:
    data, lines = anchor_text.beside(found, score)
    rows = [
        (source, name, *(f"{means[one]:.3f}" if one in means else "" for one in data)) for source, name, means in lines
    ]
    return Shown((f"All means, {score}", "Method", *data), rows, text_columns=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, help="a folder with runs of these suites")
    parser.add_argument("--functional", default="", help="methods for the functional tests, names between commas")
    asked = parser.parse_args()
    if asked.runs:
        keep(asked.runs)
    if asked.functional:
        found = functional.results(asked.functional.split(","))
        found.to_csv(FUNCTIONAL, index=False, float_format="%.6g")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
