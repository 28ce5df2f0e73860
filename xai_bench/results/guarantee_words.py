"""What selections promise and what became of it: names, sentences and a short table, made from the frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from xai_bench.results.guarantees import MARGIN
from xai_bench.results.shown import records
from xai_bench.wording import plural

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

RULES = {
    "p_values": "own p-values",
    "benjamini_hochberg": "own p-values, Benjamini and Hochberg",
    "q_values": "own control of false discoveries",
    "null_each": "relevance against its own in null runs",
    "null_largest": "relevance against the largest in null runs",
    "null_each_share": "share against its own in null runs",
    "null_largest_share": "share against the largest in null runs",
}
"""Of an input that is selected, in words."""
ERRORS = {"type1": "type-1 error", "fdr": "false discovery rate", "family": "any false selection"}
CORRELATED = (
    "A marginal hypothesis says that an input alone is independent of the target. Roles call an input noise also where "
    "it is correlated with relevant ones, as in real inputs with a simulated target: there the hypothesis does not "
    "hold, and what is exceeded says nothing against the method."
)
SHORT = ["explainer", "model", "rule", "power", "controls", "error", "low", "high", "outcome"]


def stated(frame: pd.DataFrame) -> pd.DataFrame:
    """Of a frame of ``guarantees`` the rows of the hypothesis that is stated, with the ``error`` that is controlled.

    Added are ``error``, ``low`` and ``high``.
    """
    rows = frame[frame["stated"].astype(bool)].reset_index(drop=True)
    for name, end in (("error", ""), ("low", "_low"), ("high", "_high")):
        values = [row[f"{row['controls']}{end}"] for row in records(rows)]
        rows[name] = pd.Series(values, index=rows.index, dtype=float)
    return rows


def short(results: Results, level: float) -> pd.DataFrame:
    """All datasets together: how inputs are selected, power, the controlled error, its interval, the outcome."""
    return stated(results.guarantees(level, pooled=True))[SHORT]


def sentences(results: Results, level: float = 0.05) -> list[str]:
    """What is kept, exceeded and undecided on all datasets together, one sentence for each rule."""
    rows = short(results, level)
    if rows.empty:
        return ["No method has p-values or null runs on data whose truth is known: nothing is selected at a level."]
    draws = int(results.guarantees(level, pooled=True)["draws"].max())
    datasets = stated(results.guarantees(level))["dataset"].nunique()
    said = [
        f"Selections at level {level:g}, on {plural(datasets, 'dataset')}, {plural(draws, 'draw')}: a promise is kept "
        f"if the upper bound of the error is at most {MARGIN * level:g}, exceeded if its lower bound is above."
    ]
    for rule, group in rows.groupby("rule", sort=False):
        parts = []
        for outcome in ("kept", "exceeded", "undecided"):
            found = [_named(row) for row in records(group[group["outcome"] == outcome])]
            if found:
                parts.append(f"{outcome}: {', '.join(found)}")
        error = ERRORS[str(group["controls"].iloc[0])]
        said.append(f"Selected by {RULES[str(rule)]} ({error}): {'; '.join(parts) or 'no interval'}.")
    return [*said, *_alone(results, level)]


def _alone(results: Results, level: float) -> list[str]:
    """What becomes of a promise on a dataset by itself, which all of them together may hide."""
    rows = stated(results.guarantees(level))
    judged = rows[rows["outcome"] != ""]
    found = [
        f"{row['explainer']} on {row['dataset']} {row['error']:.3f} ({RULES[row['rule']]})"
        for row in records(judged[judged["outcome"] == "exceeded"])
    ]
    if not found and judged["dataset"].nunique() < 2:
        return []
    counts = judged["outcome"].value_counts()
    kept, undecided = counts.get("kept", 0), counts.get("undecided", 0)
    exceeded = judged[(judged["outcome"] == "exceeded") & (judged["null"] == "marginal")]["dataset"]
    traits = results.cells.drop_duplicates("dataset").set_index("dataset")["traits"]
    dependent = exceeded.map(traits).fillna("").str.contains("correlated").any()
    return [
        f"On single datasets the promise is exceeded {len(found)}, undecided {undecided} and kept {kept} of "
        f"{plural(len(judged), 'time')}, without a correction for their number"
        f"{': ' if found else ''}{'; '.join(found)}.",
        *([CORRELATED] if dependent else []),
    ]


def _named(row: dict[str, Any]) -> str:
    """``f_test`` .048 at a power of .83."""
    found = f"{row['explainer']} {row['error']:.3f}"
    return found if pd.isna(row["power"]) else f"{found} (power {row['power']:.2f})"
