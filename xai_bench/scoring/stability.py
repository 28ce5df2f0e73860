"""How far relevances agree: of one method over retrained networks, and of several methods on one network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.component import stream_seed
from xai_bench.metrics.recovery import reduced
from xai_bench.results.records import DrawFacts
from xai_bench.results.truth import truth_of
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

Floats = NDArray[np.float64]
PAIR = ["dataset", "model", "explainer"]
NETWORK = ["dataset", "model", "data_seed", "model_seed", "fold"]
MEASURES = ("top_p", "support", "spearman")
FACTS = ("networks", "known", "always")
FEW = 3
"""Highest inputs that are compared where no truth is known, or a tenth of all if these are more."""
SAME = 1 - 1e-9
"""Rank correlation from which two rankings are one."""


def stability(cells: pd.DataFrame, relevance: Mapping[str, Floats], draws: Mapping[str, DrawFacts]) -> pd.DataFrame:
    """One row a dataset, network and method with at least two model seeds.

    Parameters
    ----------
    cells : explanations that are done: cell, draw, model_key ("" without a network), the pair, the seeds
    relevance, draws : cell key to relevances (n_inputs,), draw key to what is known of it

    Returns
    -------
    top_p : Nogueira's index of the sets of the p highest ranked, p the number of relevant inputs, or, where no truth is
        known, a tenth of all and three at the least; ties are broken at random, anew for each network, so that equal
        relevances do not look stable
    support : Nogueira's index of the inputs of relevance above 0, where all relevances have exact zeros
    spearman : mean rank correlation over pairs of networks
        Each is the mean over draws (data seeds and folds), with ``_low``, ``_high`` and ``_n`` (draws): of the indices
        by their published variance; of the correlation by Student's t over draws, or of one draw by the jackknife.
    networks : in one draw, the least
    known : whether there is a truth
    always : without a truth, the names of the inputs that are among the p highest of every network
    """
    rows = []
    for key, group in cells[cells["model_key"] != ""].groupby(PAIR, sort=False):
        repeated = [part for _, part in group.groupby(["data_seed", "fold"]) if len(part) > 1]
        if not repeated:
            continue
        row: dict[str, Any] = {**dict(zip(PAIR, key, strict=True)), "networks": min(map(len, repeated))}
        row["known"] = truth_of(draws[repeated[0]["draw"].iloc[0]]) is not None
        row["always"] = () if row["known"] else _always(repeated, relevance, draws)
        estimates = [_of_draw(part, relevance, draws) for part in repeated]
        for measure in MEASURES:
            values = [one[measure] for one in estimates if math.isfinite(one[measure].value)]
            summary = _over_draws(values) if measure == "spearman" else combined(values)
            row |= dict(zip(_names(measure), summary, strict=True))
        rows.append(row)
    return pd.DataFrame(rows, columns=[*PAIR, *FACTS, *(name for m in MEASURES for name in _names(m))])


def _names(measure: str) -> tuple[str, str, str, str]:
    return measure, f"{measure}_low", f"{measure}_high", f"{measure}_n"


def _over_draws(values: list[Estimate]) -> Interval:
    if len(values) > 1:
        return interval([one.value for one in values])
    return combined(values)


def _of_draw(
    part: pd.DataFrame, relevance: Mapping[str, Floats], draws: Mapping[str, DrawFacts]
) -> dict[str, Estimate]:
    """The three measures over the networks of one draw."""
    vectors = np.array([relevance[cell] for cell in part["cell"]])
    facts = draws[part["draw"].iloc[0]]
    undefined = Estimate(math.nan, math.nan)
    measures = {"top_p": undefined, "support": undefined, "spearman": mean_rank_correlation(vectors)}
    if all(recovery.has_support(vector, facts.constant) for vector in vectors):
        measures["support"] = selection_stability(vectors > 0)
    truth = truth_of(facts)
    ranked, p = list(vectors), _first(vectors.shape[1])
    if truth is not None:
        items = [reduced(vector, truth) for vector in vectors]
        ranked, p = [one.relevance for one in items], int(items[0].relevant.sum())
    if 0 < p < len(ranked[0]):
        sets = [_top(one, p, cell) for one, cell in zip(ranked, part["cell"], strict=True)]
        measures["top_p"] = selection_stability(np.array(sets))
    return measures


def _first(d: int) -> int:
    """How many of d inputs are compared where no truth is known."""
    return max(FEW, math.ceil(d / 10))


def _always(
    parts: Sequence[pd.DataFrame], relevance: Mapping[str, Floats], draws: Mapping[str, DrawFacts]
) -> tuple[str, ...]:
    """Names of the inputs that are among the first of every network of every draw."""
    names = draws[parts[0]["draw"].iloc[0]].feature_names
    sets = [_top(relevance[cell], _first(len(names)), cell) for part in parts for cell in part["cell"]]
    return tuple(names[j] for j in np.flatnonzero(np.all(sets, axis=0)))


def _top(relevance: np.ndarray, p: int, cell: str) -> np.ndarray:
    """(a,) True for the p highest."""
    ties = np.random.default_rng(stream_seed("ties", cell)).permutation(len(relevance))
    result = np.zeros(len(relevance), dtype=bool)
    result[np.lexsort((ties, -relevance))[:p]] = True
    return result


def over_rows(cells: pd.DataFrame, relevance: Mapping[str, Floats]) -> pd.DataFrame:
    """One row a method, dataset and network that was not trained here, and is the same in at least two draws.

    ``cells`` and ``relevance`` are as for ``stability``, with ``train_cpu``, missing where nothing was trained.

    Returns
    -------
    spearman : mean rank correlation over pairs of draws, that is of the rows that were explained
    lowest : that of the pair that agrees least
    draws : their number
    """
    given = cells[(cells["model_key"] != "") & cells["train_cpu"].isna()] if "train_cpu" in cells else cells.iloc[:0]
    rows = []
    for key, group in given.groupby(PAIR, sort=False):
        vectors = [relevance[cell] for cell in group["cell"]]
        if len(vectors) < 2:
            continue
        matrix = rank_correlations(vectors)
        values = matrix[np.triu_indices(len(vectors), 1)]
        known = values[np.isfinite(values)]
        mean, lowest = (float(known.mean()), float(known.min())) if len(known) else (math.nan, math.nan)
        rows.append({**dict(zip(PAIR, key, strict=True)), "spearman": mean, "lowest": lowest, "draws": len(vectors)})
    return pd.DataFrame(rows, columns=[*PAIR, "spearman", "lowest", "draws"])


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


def agreement(cells: pd.DataFrame, order: Sequence[str], relevance: Mapping[str, Floats]) -> Agreement | None:
    """None with fewer than two methods. A method without a network is compared on every network of its draw.

    ``cells``: explanations whose ``relevance`` is stored, as for ``stability``. ``order``: of the methods.
    """
    rows, names = cells, [name for name in order if name in set(cells["explainer"])]
    if len(names) < 2:
        return None
    at = {name: i for i, name in enumerate(names)}
    m = len(names)
    total, count, lowest = np.zeros((m, m)), np.zeros((m, m), dtype=int), np.full((m, m), np.inf)
    alone = dict(iter(rows[rows["model_key"] == ""].groupby(["dataset", "data_seed", "fold"])))
    trained = rows[rows["model_key"] != ""]
    shared = [(key, part) for key, part in trained.groupby(NETWORK, sort=False)]
    if not shared:
        shared = [((key[0], "", key[1], 0, key[2]), part.iloc[:0]) for key, part in alone.items()]
    for key, part in shared:
        together = pd.concat([part, alone.get((key[0], key[2], key[4]), part.iloc[:0])])
        position = [at[name] for name in together["explainer"]]
        matrix = rank_correlations([relevance[cell] for cell in together["cell"]])
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


def pairs(agreement: Agreement) -> pd.DataFrame:
    """Every pair of methods: explainer, other, spearman, networks."""
    names = agreement.names
    rows = [
        {"explainer": names[i], "other": names[j], "spearman": agreement.mean[i, j],
         "networks": int(agreement.networks[i, j])}
        for i in range(len(names))
        for j in range(i + 1, len(names))
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["explainer", "other", "spearman", "networks"])
