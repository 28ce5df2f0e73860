"""What was found, in sentences that are made from the numbers. The first one is what a reader must know first."""

from __future__ import annotations

import math

from xai_bench.analysis.found import SURE, Found
from xai_bench.report.kit.wording import bounds, listed, number
from xai_bench.wording import plural

LISTED = 8
MOSTLY = 0.5
"""Share of trainings from which an input is said to stand above chance in most."""


def words(found: Found) -> list[str]:
    """The answer: predictions, inputs, clusters, fewer inputs, agreement; then what it does not say."""
    parts = [*_predictions(found), _information(found), _order(found), _together(found), _clusters(found)]
    return [text for text in [*parts, _kept(found), _agreement(found), _limits(found)] if text]


def _predictions(found: Found) -> list[str]:
    asked = found.asked
    lines = []
    for row in found.behind.to_dict("records"):
        best = found.scores.set_index("model").loc[row["against"]]
        lines.append(
            f"The network {row['model']} is clearly below {row['against']}: {asked.score} "
            f"{number(row['score'])} against {number(best['score'])}, a difference of {number(row['difference'])} "
            f"{bounds(row['difference_low'], row['difference_high'])}. What it relies on need not be all that the "
            "table holds."
        )
    if not found.learned:
        lines.append(
            f"No network predicts {asked.target!r} clearly better than a constant guess ({asked.score} "
            f"{_reached(found)}): what these networks rely on says nothing about the target."
        )
    elif not lines:
        lines.append(f"The networks reach {asked.score} {_reached(found)}. {_baselines(found)}")
    return lines


def _reached(found: Found) -> str:
    networks = found.scores[found.scores["kind"] == "network"]
    rows = [f"{number(row['score'])} ({row['model']})" for row in networks.to_dict("records")]
    return f"{listed(rows)}; a constant guess {number(found.asked.chance)}"


def _baselines(found: Found) -> str:
    rows = found.scores[(found.scores["kind"] == "baseline") & (found.scores["model"] != "constant")]
    return "On the same rows: " + listed([f"{r['model']} {number(r['score'])}" for r in rows.to_dict("records")]) + "."


def _information(found: Found) -> str:
    asked, names = found.asked, found.informative
    tested = f"{asked.permutations} permutations of the target, chance of any wrong input at most {100 * SURE:g} %"
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
        return ""
    rows = [
        f"{row['input']} {_percent(row['relevance'])} [{_percent(row['low'])}, {_percent(row['high'])}]"
        for row in found.inputs.head(5).to_dict("records")
    ]
    return (
        f"What the networks rely on most, as the mean share of relevance over methods and "
        f"{plural(2 * found.asked.trainings, 'training')}: {listed(rows, LISTED)}."
    )


def _together(found: Found) -> str:
    """Inputs that networks rely on in most trainings, though they tell nothing alone."""
    if not found.learned:
        return ""
    inputs = found.inputs
    rows = inputs[(inputs["above_chance"] >= MOSTLY) & (inputs["p_value"] > SURE)].to_dict("records")
    if not rows:
        return ""
    shown = listed([f"{row['input']} ({_percent(row['above_chance'])} of trainings)" for row in rows], LISTED)
    return (
        f"More relevant than chance gives in most trainings, but not shown to carry information alone: {shown}. Such "
        "inputs may tell something together with others."
    )


def _clusters(found: Found) -> str:
    rows = []
    for row in found.clusters.head(4).to_dict("records"):
        more = " ..." if len(row["inputs"]) > 4 else ""
        rows.append(f"{' + '.join(row['inputs'][:4])}{more} ({_percent(row['relevance'])} together)")
    return f"Interchangeable inputs, between which no method can decide: {listed(rows)}." if rows else ""


def _kept(found: Found) -> str:
    if len(found.kept) < 2 or not found.learned:
        return ""
    rows = found.kept.iloc[:-1].to_dict("records")
    everything = found.kept["score"].iloc[-1]
    shown = [f"{row['inputs']}: {number(row['score'])} (random {number(row['random'])})" for row in rows]
    return (
        f"A small network with the first inputs only reaches {found.asked.score} {listed(shown)}; with all "
        f"{number(everything)}."
    )


def _agreement(found: Found) -> str:
    if not found.learned:
        return ""
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


def _limits(found: Found) -> str:
    return (
        f"Rows were held out {found.asked.by}. Of four settings each network has those with the lowest validation "
        f"loss: {listed(list(found.asked.networks))}. Relevance is what a network relies on, not a cause. Whether an "
        "input tells something that the others do not is another question."
    )


def _percent(share: float) -> str:
    return "–" if not math.isfinite(share) else f"{100 * share:.0f} %"
