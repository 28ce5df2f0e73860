"""What was found, in sentences that are made from the numbers. The first one is what a reader must know first."""

from __future__ import annotations

import math

from xai_bench.analysis.found import SURE, Found
from xai_bench.analysis.score import CONSTANT
from xai_bench.report.kit.wording import bounds, listed, number
from xai_bench.tables.between import LEAK
from xai_bench.wording import plural

LISTED = 8
FIRST = 5
"""Inputs whose shares are told."""
MOSTLY = 0.5
"""Share of trainings above which an input is said to stand above chance in most."""


def words(found: Found) -> list[str]:
    """The answer in full: in brief, then inputs, agreement, clusters, fewer inputs; last what it does not say."""
    parts = [*brief(found), _leaks(found), *about_inputs(found), _clusters(found), _kept(found), limits(found)]
    return [text for text in parts if text]


def brief(found: Found) -> list[str]:
    """The answer in three lines: how well the target is predicted, which inputs tell something of it, their order."""
    return [" ".join(_predictions(found)), _information(found), _order(found)]


def about_inputs(found: Found) -> list[str]:
    """Where relevance and information differ, and whether methods agree."""
    if not found.learned:
        return []
    return [text for text in (_together(found), _spared(found), _agreement(found)) if text]


def _leaks(found: Found) -> str:
    """Columns that are nearly the target: all else may be about them."""
    names = found.columns.loc[found.columns["why"].str.contains(LEAK, regex=False), "column"].tolist()
    if not names:
        return ""
    are, they, them = ("is", "it is", "it") if len(names) == 1 else ("are", "they are", "them")
    return (
        f"{listed(names, LISTED)} {are} nearly the target: if {they} known only once the target is, the scores and the "
        f"order above say little, and the answer without {them} counts (drop)."
    )


def _predictions(found: Found) -> list[str]:
    asked = found.asked
    lines = [_behind(found)] if len(found.behind) else []
    if not found.learned:
        lines.append(
            f"No network predicts {asked.target!r} clearly better than a constant guess ({asked.score} "
            f"{_reached(found, intervals=True)})."
        )
    elif not lines:
        lines.append(f"The networks reach {asked.score} {_reached(found)}.")
    if not len(found.behind):
        lines.append(_baselines(found))
    return lines


def _behind(found: Found) -> str:
    """Networks below the best baseline, all in one sentence."""
    rows = found.behind.to_dict("records")
    best = str(rows[0]["against"])
    reached = number(found.scores.set_index("model")["score"][best])
    one = len(rows) == 1
    who, they_rely = (f"network {rows[0]['model']} is", "it relies") if one else ("networks are", "they rely")
    scores = listed([f"{number(row['score'])} ({row['model']})" for row in rows])
    below = [f"{number(-row['difference'])} {bounds(-row['difference_high'], -row['difference_low'])}" for row in rows]
    return (
        f"The {who} clearly below {best}: {found.asked.score} {scores} against {reached}, a difference of "
        f"{listed(below)}. What {they_rely} on need not be all that the table holds."
    )


def _reached(found: Found, intervals: bool = False) -> str:
    rows = []
    for row in found.scores[found.scores["kind"] == "network"].to_dict("records"):
        interval = f" {bounds(row['low'], row['high'])}" if intervals else ""
        rows.append(f"{number(row['score'])}{interval} ({row['model']})")
    return f"{listed(rows)}; a constant guess {number(found.constant)}"


def _baselines(found: Found) -> str:
    rows = found.scores[(found.scores["kind"] == "baseline") & (found.scores["model"] != CONSTANT)]
    return "On the same rows: " + listed([f"{r['model']} {number(r['score'])}" for r in rows.to_dict("records")]) + "."


def _information(found: Found) -> str:
    asked, names = found.asked, found.informative
    where = f" {asked.permuted}" if asked.permuted else ""
    tested = (
        f"{asked.permutations} permutations of the target{where}, chance of any wrong input at most {100 * SURE:g} %"
    )
    if not names:
        return (
            f"None of the {plural(asked.inputs, 'input')} was shown to carry information about {asked.target!r} by "
            f"itself ({tested})."
        )
    verb = "carries" if len(names) == 1 else "carry"
    return (
        f"{len(names)} of {plural(asked.inputs, 'input')} {verb} information about {asked.target!r}: "
        f"{listed(names, LISTED)} ({tested})."
    )


def _order(found: Found) -> str:
    if not found.learned:
        return "What these networks rely on says nothing about the target: no order of the inputs is given."
    rows = [
        f"{row['input']} {_percent(row['relevance'])}{_within(row['low'], row['high'])}"
        for row in found.inputs.head(FIRST).to_dict("records")
    ]
    return (
        f"What the networks rely on most (mean share of the relevance over methods and "
        f"{plural(2 * found.asked.trainings, 'training')}, 95 % interval): {listed(rows, LISTED)}."
    )


def _together(found: Found) -> str:
    """Inputs that networks rely on in most trainings, though they tell nothing alone."""
    inputs = found.inputs
    rows = inputs[(inputs["above_chance"] > MOSTLY) & (inputs["p_value"] > SURE)].to_dict("records")
    if not rows:
        return ""
    shown = listed([f"{row['input']} ({_percent(row['above_chance'])} of trainings)" for row in rows], LISTED)
    return (
        f"More relevant than chance gives in most trainings, but not shown to carry information alone: {shown}. Such "
        "inputs may tell something together with others."
    )


def _spared(found: Found) -> str:
    """Inputs that tell something alone, though most trainings do without."""
    inputs = found.inputs
    names = inputs.loc[(inputs["above_chance"] <= MOSTLY) & (inputs["p_value"] <= SURE), "input"].tolist()
    if not names:
        return ""
    verb = "Carries" if len(names) == 1 else "Carry"
    return (
        f"{verb} information, but not more relevant than chance gives in most trainings: {listed(names, LISTED)}. What "
        "such an input tells, others may tell as well."
    )


def _clusters(found: Found) -> str:
    rows = []
    for row in found.clusters.head(4).to_dict("records"):
        more = " ..." if len(row["inputs"]) > 4 else ""
        rows.append(f"{' + '.join(row['inputs'][:4])}{more} ({_percent(row['relevance'])} together)")
    if not rows:
        return ""
    return f"Closely related inputs, between which relevance may be divided by chance: {listed(rows)}."


def _kept(found: Found) -> str:
    if len(found.kept) < 2 or not found.learned:
        return ""
    first, *rows = found.kept.iloc[:-1].to_dict("records")
    everything = number(found.kept["score"].iloc[-1])
    one = f"{number(first['score'])} with {first['inputs']} (drawn at random: {number(first['random'])})"
    more = [f"{number(row['score'])} with {row['inputs']} ({number(row['random'])})" for row in rows]
    return (
        f"A small network that gets the first inputs only reaches {found.asked.score} {listed([one, *more])}; "
        f"{everything} with all."
    )


def _agreement(found: Found) -> str:
    values = found.agreement.drop(columns=["network", "method"]).to_numpy()
    pairs = [float(values[i, j]) for i in range(len(values)) for j in range(i)]
    known = [value for value in pairs if math.isfinite(value)]
    if not known:
        return ""
    shared = (
        f"all have {listed(list(found.common))} among their first three"
        if found.common
        else "no input is among the first three of all"
    )
    return (
        f"The methods' orders have rank correlations from {number(min(known), 2)} to {number(max(known), 2)}; {shared}."
    )


def limits(found: Found) -> str:
    """What was held out, what was chosen, and what the answer does not say."""
    return (
        f"Rows were held out {found.asked.by}. Of four settings each network has those with the lowest validation "
        f"loss: {listed(list(found.asked.networks))}. Relevance is what a network relies on, not a cause. Whether an "
        "input tells something that the others do not is another question."
    )


def _percent(share: float) -> str:
    return "–" if not math.isfinite(share) else f"{100 * share:.0f} %"


def _within(low: float, high: float) -> str:
    """`` [20, 31]`` per cent, or nothing."""
    return f" [{100 * low:.0f}, {100 * high:.0f}]" if math.isfinite(low) else ""
