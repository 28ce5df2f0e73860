"""How far relevances agree: of one method over retrained networks, and of several methods on one network."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from xai_bench.component import stream_seed
from xai_bench.metrics.recovery import reduced
from xai_bench.report.shares import Floats
from xai_bench.report.tables import NO_MODEL, PAIR, Tables
from xai_bench.scoring import recovery
from xai_bench.statistics import (
    Estimate,
    Interval,
    combined,
    interval,
    mean_rank_correlation,
    rank_correlations,
    selection_stability,
)

NETWORK = ["dataset", "model", "data_seed", "model_seed", "fold"]
MEASURES = ("top_p", "support", "spearman")
SAME = 1 - 1e-9
"""Rank correlation from which two rankings are one."""


def stability(tables: Tables) -> pd.DataFrame:
    """One row a dataset, network and method with at least two model seeds.

    top_p : Nogueira's index of the sets of the p highest ranked, p the number of relevant inputs; ties are broken at
        random, anew for each network, so that equal relevances do not look stable
    support : Nogueira's index of the inputs of relevance above 0, where all relevances have exact zeros
    spearman : mean rank correlation over pairs of networks
        Each is the mean over draws (data seeds and folds), with ``_low``, ``_high`` and ``_n`` (draws): of the indices
        by their published variance; of the correlation by Student's t over draws, or of one draw by the jackknife.
    networks : in one draw, the least
    """
    rows = tables.timed
    found = []
    for key, group in rows[rows["model"] != NO_MODEL].groupby(PAIR, sort=False):
        draws = [part for _, part in group.groupby(["data_seed", "fold"]) if len(part) > 1]
        if not draws:
            continue
        row: dict[str, Any] = {**dict(zip(PAIR, key, strict=True)), "networks": min(map(len, draws))}
        estimates = [_of_draw(tables, part) for part in draws]
        for measure in MEASURES:
            values = [one[measure] for one in estimates if math.isfinite(one[measure].value)]
            summary = _over_draws(values) if measure == "spearman" else combined(values)
            row |= dict(zip(_names(measure), summary, strict=True))
        found.append(row)
    return pd.DataFrame(found, columns=[*PAIR, "networks", *(name for m in MEASURES for name in _names(m))])


def _names(measure: str) -> tuple[str, str, str, str]:
    return measure, f"{measure}_low", f"{measure}_high", f"{measure}_n"


def _over_draws(values: list[Estimate]) -> Interval:
    if len(values) > 1:
        return interval([one.value for one in values])
    return combined(values)


def _of_draw(tables: Tables, part: pd.DataFrame) -> dict[str, Estimate]:
    """The three measures over the networks of one draw."""
    vectors = np.array([tables.results.relevance[cell] for cell in part["cell"]])
    content = tables.results.draws[part["draw"].iloc[0]]
    undefined = Estimate(math.nan, math.nan)
    found = {"top_p": undefined, "support": undefined, "spearman": mean_rank_correlation(vectors)}
    if all(recovery.has_support(vector, content["constant"]) for vector in vectors):
        found["support"] = selection_stability(vectors > 0)
    truth = recovery.truth_of(content)
    if truth is not None:
        items = [reduced(vector, truth) for vector in vectors]
        p, a = int(items[0].relevant.sum()), len(items[0].roles)
        if 0 < p < a:
            sets = [_top(one.relevance, p, cell) for one, cell in zip(items, part["cell"], strict=True)]
            found["top_p"] = selection_stability(np.array(sets))
    return found


def _top(relevance: np.ndarray, p: int, cell: str) -> np.ndarray:
    """(a,) True for the p highest."""
    ties = np.random.default_rng(stream_seed("ties", cell)).permutation(len(relevance))
    result = np.zeros(len(relevance), dtype=bool)
    result[np.lexsort((ties, -relevance))[:p]] = True
    return result


class Agreement(NamedTuple):
    """Rank correlations between methods on the same network.

    Attributes
    ----------
    names : (m,) methods, in the order of the suite
    mean : (m, m) over networks; NaN where two methods never met
    networks : (m, m) networks on which both had a ranking
    same : groups of methods that rank identically on every network on which both have a ranking
    """

    names: list[str]
    mean: Floats
    networks: np.ndarray
    same: list[list[str]]


def agreement(tables: Tables) -> Agreement | None:
    """None with fewer than two methods. A method without a network is compared on every network of its draw."""
    rows = tables.with_relevance
    names = list(dict.fromkeys(explainer for _, explainer in tables.pairs if explainer in set(rows["explainer"])))
    if len(names) < 2:
        return None
    at = {name: i for i, name in enumerate(names)}
    m = len(names)
    total, count, lowest = np.zeros((m, m)), np.zeros((m, m), dtype=int), np.full((m, m), np.inf)
    alone = dict(iter(rows[rows["model"] == NO_MODEL].groupby(["dataset", "data_seed", "fold"])))
    trained = rows[rows["model"] != NO_MODEL]
    shared = [(key, part) for key, part in trained.groupby(NETWORK, sort=False)]
    if not shared:
        shared = [((key[0], "", key[1], 0, key[2]), part.iloc[:0]) for key, part in alone.items()]
    for key, part in shared:
        cells = pd.concat([part, alone.get((key[0], key[2], key[4]), part.iloc[:0])])
        position = [at[name] for name in cells["explainer"]]
        matrix = rank_correlations([tables.results.relevance[cell] for cell in cells["cell"]])
        finite = np.isfinite(matrix)
        place = np.ix_(position, position)
        total[place] += np.where(finite, matrix, 0.0)
        count[place] += finite
        lowest[place] = np.minimum(lowest[place], np.where(finite, matrix, np.inf))
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return Agreement(names, mean, count, _same(names, (count > 0) & (lowest >= SAME)))


def _same(names: list[str], equal: np.ndarray) -> list[list[str]]:
    """Groups of at least two names that are all equal to the first."""
    groups, taken = [], set[int]()
    for i in range(len(names)):
        members = [j for j in range(i, len(names)) if equal[i, j] and j not in taken]
        if len(members) > 1:
            groups.append([names[j] for j in members])
            taken |= set(members)
    return groups


def pairs(found: Agreement) -> pd.DataFrame:
    """Every pair of methods: explainer, other, spearman, networks."""
    rows = [
        {"explainer": found.names[i], "other": found.names[j], "spearman": found.mean[i, j],
         "networks": int(found.networks[i, j])}
        for i in range(len(found.names))
        for j in range(i + 1, len(found.names))
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["explainer", "other", "spearman", "networks"])
