"""Sentences that are made from frames. Names stand in backticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from xai_bench.decisions import LEAST_DRAWS
from xai_bench.report.kit.frames import NO_MODEL, Frames, records
from xai_bench.report.kit.ranking import decided
from xai_bench.report.kit.wording import listed, number, plural, seconds

FEW = 4
"""Names that are spelled out in a sentence."""


def ticked(names: Sequence[str], most: int = FEW) -> str:
    """Names in a sentence."""
    return listed([f"`{name}`" for name in names], most)


def named(row: dict[str, Any]) -> str:
    """The method, the network and the dataset of a row."""
    network = "" if row["model"] == NO_MODEL else f" on `{row['model']}`"
    return f"`{row['explainer']}`{network}, `{row['dataset']}`"


def names_of(rows: pd.DataFrame) -> str:
    """Methods, networks and datasets of some rows."""
    return listed([named(row) for row in records(rows)])


def sentences(frames: Frames, frame: pd.DataFrame) -> list[tuple[str, str]]:
    """What was found of recovery, cost and retention: a sentence each. ``frame``: ``ranking.joined`` of methods."""
    return [("recovery", _recovery(frames, frame)), ("cost", _cost(frame)), ("retention", _retention(frames, frame))]


def _recovery(frames: Frames, frame: pd.DataFrame) -> str:
    ranked = frame[frame["ranked"].fillna(False).astype(bool) & frame["score"].notna()]
    if ranked.empty:
        return "Recovery is not known: no truth is known, or nothing is done."
    best = [f"`{row['name']}` ({number(row['score'], 2)})" for row in records(ranked.head(3))]
    families = int(ranked["families"].max())
    where = f"over {families} {'family' if families == 1 else 'families'} of problems with a known truth"
    draws = int(ranked["draws"].min())
    if not decided(frame):
        why = f"{plural(draws, 'draw')} decide nothing, {LEAST_DRAWS} are needed" if draws < LEAST_DRAWS else "no pair is decided"
        return f"Recovery {where} is highest for {listed(best)} of {plural(len(ranked), 'method')}, but {why}."
    first = int(ranked["first_group"].sum())
    return (
        f"Recovery {where} is highest for {listed(best)}; of {plural(len(ranked), 'method')}, {first} "
        f"{'is' if first == 1 else 'are'} not shown to be worse than the best."
    )


def _cost(frame: pd.DataFrame) -> str:
    known = frame[frame["given_cpu"].notna()].sort_values("given_cpu")
    if known.empty:
        return "Cost is not known: no explanation is done."
    fast, slow = known.iloc[0], known.iloc[-1]
    text = f"Given a trained network, CPU time goes from {seconds(fast['given_cpu'])} (`{fast['name']}`)"
    return f"{text} to {seconds(slow['given_cpu'])} (`{slow['name']}`)."


def _retention(frames: Frames, frame: pd.DataFrame) -> str:
    known = frame[frame["retention"].notna()].sort_values("retention", ascending=False)
    if known.empty:
        why = "no gain has a value" if len(frames.retention_reasons) else "it was not asked for, or nothing is judged"
        return f"Retention is not known: {why}."
    best = [f"`{row['name']}` ({number(row['retention'], 1)})" for row in records(known.head(2))]
    return f"A model trained on the top inputs only gains most over random inputs with {listed(best)}, in points of the test score."
