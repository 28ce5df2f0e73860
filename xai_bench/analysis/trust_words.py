"""What simulated targets say about methods, in sentences that are made from the numbers."""

from __future__ import annotations

import math

from xai_bench.analysis.difficulty import REFERENCE
from xai_bench.analysis.verdict import Choice, Verdict
from xai_bench.decisions import BETTER
from xai_bench.paired import LEAST_DRAWS
from xai_bench.report.kit.wording import bounds, listed, number
from xai_bench.wording import plural

CLOSE = 0.05
"""Difference of scores up to which two targets are said to be predicted about as well."""


def words(trust: Verdict) -> list[str]:
    """The recommendation; that of every kind of target; how hard the targets are; what was not done."""
    parts = [_recommendation(trust), _by_kind(trust), _difficulty(trust), _limits(trust)]
    return [text for text in parts if text]


def _recommendation(trust: Verdict) -> str:
    choice, leader = trust.choice, trust.leader
    source = f"the leader of `standard` ({leader.metric} {number(leader.score)} there)"
    if choice.best == leader.name:
        return (
            f"Trust `{leader.name}` here: {source} also did best on the targets that choose, with a recovery of "
            f"{number(choice.score)} on those that score."
        )
    numbers = (
        f"a recovery of {number(choice.score)} against {number(choice.leader_score)}, a difference of "
        f"{number(choice.difference)} {bounds(choice.low, choice.high)}"
    )
    if choice.outcome in BETTER:
        return f"Trust `{choice.best}` here: it is shown to be better than `{leader.name}`, {source}: {numbers}."
    return (
        f"Nothing is shown to beat `{leader.name}`, {source}, on targets simulated on this table: trust it. "
        f"`{choice.best}` did best on the targets that choose; on those that score it has {numbers}: "
        f"{_outcome(choice)}."
    )


def _outcome(choice: Choice) -> str:
    if choice.draws < LEAST_DRAWS:
        return f"below {LEAST_DRAWS} draws nothing is decided"
    return {"undecided": "undecided", "equal": "practically equal"}.get(choice.outcome, f"shown to be {choice.outcome}")


def _by_kind(trust: Verdict) -> str:
    rows = trust.by_kind().to_dict("records")
    beaten = [
        f"{row['kind']}: `{row['best']}` ({number(row['score'])} against {number(row['leader_score'])})"
        for row in rows
        if row["outcome"] in BETTER and row["best"] != trust.leader.name
    ]
    others = [str(row["kind"]) for row in rows if not (row["outcome"] in BETTER and row["best"] != trust.leader.name)]
    parts = []
    if beaten:
        parts.append(f"By kind of target, shown to be better than `{trust.leader.name}`: {listed(beaten)}.")
    if others:
        parts.append(
            f"{'Nothing beats it' if beaten else f'Nothing beats `{trust.leader.name}`'} on: {listed(others)}."
        )
    return " ".join(parts)


def _difficulty(trust: Verdict) -> str:
    asked, rows = trust.asked, trust.difficulty
    if not asked.score:
        signal = float(rows["signal"].iloc[0])
        return (
            f"Without a real target {100 * signal:.0f} % of the variance of each simulated one comes from the inputs."
        )
    low, high = float(rows["reached"].min()), float(rows["reached"].max())
    reached = number(low) if math.isclose(low, high, abs_tol=5e-4) else f"{number(low)} to {number(high)}"
    numbers = f"{asked.score} {reached} against {number(asked.real)}"
    apart = float((rows["reached"] - rows["real"]).abs().max())
    if apart <= CLOSE:
        text = f"A {REFERENCE} predicts the simulated targets about as well as {asked.target!r}: {numbers}."
    else:
        text = (
            f"A {REFERENCE} does not predict all simulated targets as well as {asked.target!r}, whatever their noise: "
            f"{numbers}."
        )
    if asked.real <= asked.chance:
        text += " That is no better than a constant guess: where nothing can be predicted, no method finds much."
    return text


def _limits(trust: Verdict) -> str:
    asked = trust.asked
    taken = f"{plural(asked.rows, 'row')}" + (f" of {asked.of_rows:,}" if asked.rows < asked.of_rows else "")
    cut = f" ({asked.asked} were asked for; the time was over)" if asked.draws < asked.asked else ""
    return (
        f"Simulated on {taken}: {plural(asked.draws, 'draw')} of every kind that choose and as many others that "
        f"score{cut}. A recommendation for targets of these kinds; the real one may be of another kind."
    )
