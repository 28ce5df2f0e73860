"""What an analysis of a table found: facts and tidy frames, in the order in which they are read."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from xai_bench.analysis.score import CONSTANT
from xai_bench.analysis.verdict import Verdict

SURE = 0.02
"""Adjusted p-value up to which an input is said to carry information. The chance of any wrong one is no larger."""


@dataclass(frozen=True)
class Asked:
    """What was analysed, and how.

    Attributes
    ----------
    name, target : of the table and of the column that is predicted
    kind : classification or regression
    rows, inputs, columns : of the table; ``columns`` are those that networks see
    classes : names, () in regression
    score, chance : what predictions are judged by, and what a constant guess reaches
    trainings : of each network, over folds and seeds
    folds, seeds : what they come from
    by : how rows are held out, in words
    permutations : of the target, in the test of each input
    null_trainings : of each network, on permuted targets
    version : of xai_bench
    permuted : in words where targets are permuted (within groups ...), "" for everywhere
    networks : with the settings that validation chose
    sampled : what was not taken whole: what, taken, of, why
    """

    name: str
    target: str
    kind: str
    rows: int
    inputs: int
    columns: int
    classes: tuple[str, ...]
    score: str
    chance: float
    trainings: int
    folds: int
    seeds: int
    by: str
    permutations: int
    null_trainings: int
    version: str
    permuted: str = ""
    networks: tuple[str, ...] = ()
    sampled: tuple[tuple[str, int, int, str], ...] = ()


@dataclass(frozen=True)
class Found:
    """The results.

    Attributes
    ----------
    asked : what was analysed
    columns : one row a column of the table: column, kind, used, done, why
    scores : model, kind (network or baseline), score, low, high; of networks also difference to the best baseline
        with its interval (difference, difference_low, difference_high) and the name of that baseline (against)
    inputs : one row an input, most relevant first: input, relevance (the mean share over trainings, networks and
        methods), low, high, above_chance (share of trainings whose permutation importance is above what trainings on
        permuted targets give), p_value (adjusted, of the hypothesis that the input carries no information about the
        target), cluster
    methods : the mean share of each input by each method on each network: input, network, method, relevance, low, high,
        above_chance
    trainings : network, seed, fold, method, input, relevance: everything behind these
    clusters : clusters of several inputs: cluster, inputs, relevance, low, high
    kept : inputs, score, low, high, random, gain, gain_low, gain_high
    agreement : network, method, and the mean rank correlation with each other one
    common : inputs that every method has among its first three
    notices : what a user is to know, in lines
    trust : which method to trust here, where targets were simulated
    """

    asked: Asked
    columns: pd.DataFrame
    scores: pd.DataFrame
    inputs: pd.DataFrame
    methods: pd.DataFrame
    trainings: pd.DataFrame
    clusters: pd.DataFrame
    kept: pd.DataFrame
    agreement: pd.DataFrame
    common: tuple[str, ...]
    notices: tuple[str, ...]
    trust: Verdict | None = None

    @property
    def informative(self) -> list[str]:
        """Inputs that carry information about the target, most relevant first."""
        sure = self.inputs["p_value"] <= SURE
        return [str(name) for name in self.inputs.loc[sure, "input"]]

    @property
    def constant(self) -> float:
        """What a constant guess reaches on the held-out rows: the commonest class, or the mean, of the others."""
        reached = self.scores.loc[self.scores["model"] == CONSTANT, "score"]
        return float(reached.iloc[0]) if len(reached) else self.asked.chance

    @property
    def learned(self) -> list[str]:
        """Networks whose score is clearly above that of a constant guess."""
        networks = self.scores[self.scores["kind"] == "network"]
        return [str(name) for name in networks.loc[networks["above_constant_low"] > 0, "model"]]

    @property
    def behind(self) -> pd.DataFrame:
        """Networks that are clearly below the best baseline."""
        return self.scores[self.scores["difference_high"] < 0]
