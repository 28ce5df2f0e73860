"""Entrants: the unit of every comparison, a method on a network, or a method that needs none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from xai_bench.decisions import MARGIN, Decisions, Scores
from xai_bench.errors import InputError, unknown
from xai_bench.suites.suite import CONTROLS

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

Tier = Literal["compared", "control"]


@dataclass(frozen=True)
class Entrant:
    """A method on a network.

    Attributes
    ----------
    explainer : its label in the suite
    model : the network's label, None for a method that needs none
    tier : ``compared``, or ``control`` for random and oracle, which are never ranked
    """

    explainer: str
    model: str | None = None
    tier: Tier = "compared"

    @classmethod
    def of(cls, explainer: str, model: str) -> Entrant:
        """From the labels in a frame; ``model`` is "" for a method that needs none."""
        return cls(explainer, model or None, "control" if explainer in CONTROLS else "compared")

    @property
    def id(self) -> str:
        """``spectral on mlp``, or ``f_test`` alone."""
        return f"{self.explainer} on {self.model}" if self.model else self.explainer


def ids(frame: pd.DataFrame) -> pd.Series:
    """The id of the entrant of every row of a frame with the columns explainer and model."""
    return frame["explainer"].where(frame["model"] == "", frame["explainer"] + " on " + frame["model"])


def scores(results: Results, metric: str) -> Scores:
    """The scores of all entrants, paired by draw: 0 is chance, 1 the best possible.

    (value - chance) / (best - chance) of each draw, averaged over its model seeds and folds; never clipped. Controls,
    and draws on which chance is already the best, are left out.

    Raises
    ------
    InputError
        If the metric was not measured, is descriptive, or has no bound to reach.
    """
    rows = results.measurements
    rows = rows[(rows["metric"] == metric) & ~rows["explainer"].isin(CONTROLS) & rows["value"].notna()]
    if rows.empty:
        raise unknown("metric", metric, sorted(set(results.metrics) & set(results.measurements["metric"])))
    facts = results.metrics.get(metric)
    if facts is None or facts.descriptive or not np.isfinite(facts.best):
        raise InputError(f"{metric} cannot be ranked: expected a metric with a best value that is not descriptive")
    levels = {key: draw.chance.get(metric) for key, draw in results.draws.items()}
    chance = rows["draw"].map(levels).astype(float)
    room = facts.best - chance
    value = (rows["value"].astype(float) - chance) / room.where(room != 0)
    frame = pd.DataFrame(
        {"dataset": rows["dataset"], "draw": rows["data_seed"], "entrant": rows["entrant"], "value": value}
    )
    return Scores.of(frame[frame["value"].notna()])


def leaderboard(results: Results, metric: str = "auroc", margin: float = MARGIN) -> pd.DataFrame:
    """Entrants by their mean score, datasets weighing alike, with what the draws can tell apart.

    Ranked are entrants with a score on every dataset. ``rank_low`` and ``rank_high``: the ranks that the decided
    pairs leave. ``first_group``: not shown to be worse than the best. Below five draws nothing is decided.

    Parameters
    ----------
    metric : see ``scores``
    margin : differences of the score that make no practical difference

    Returns
    -------
    columns entrant, score, rank_low, rank_high, first_group, better_than, worse_than, undecided, datasets, draws; the
    highest score first

    Raises
    ------
    InputError
        See ``scores``; or if fewer than two entrants have a score on every dataset.
    """
    everything = scores(results, metric)
    known: list[bool] = np.all([np.isfinite(values).any(0) for values in everything.values], axis=0).tolist()
    if sum(known) < 2:
        raise InputError(f"leaderboard: expected two entrants with {metric} on every dataset, got {sum(known)}")
    names = tuple(name for name, keep in zip(everything.entrants, known, strict=True) if keep)
    ranked = Scores(names, everything.datasets, tuple(values[:, known] for values in everything.values))
    decided = Decisions(ranked, margin=margin)
    outcomes, ranks = decided.outcomes, decided.ranks()
    means = np.mean([np.nanmean(values, axis=0) for values in ranked.values], axis=0)
    frame = pd.DataFrame({
        "entrant": names,
        "score": means,
        "rank_low": ranks[:, 0],
        "rank_high": ranks[:, 1],
        "first_group": decided.not_worse_than_best,
        "better_than": np.isin(outcomes, ("better", "slightly better")).sum(1),
        "worse_than": np.isin(outcomes, ("worse", "slightly worse")).sum(1),
        "undecided": (outcomes == "undecided").sum(1) - 1,
        "datasets": len(ranked.datasets),
        "draws": min(len(values) for values in ranked.values),
    })  # fmt: skip
    return frame.sort_values(["score", "entrant"], ascending=[False, True], kind="stable", ignore_index=True)
