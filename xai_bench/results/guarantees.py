"""Selections at a level: what they find, and how often they are false, against what was promised."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.datasets.truth import Controls, GroundTruth, Null
from xai_bench.errors import InputError
from xai_bench.proportions import clustered
from xai_bench.results.selections import share
from xai_bench.results.truth import truth_of

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
MARGIN = 1.5
"""A promise is kept if the upper bound of the error is at most so many times the level."""
METHOD = ["model", "explainer"]
NULLS = (*get_args(Null), "both")
"""Inputs that count as false: by one hypothesis, or by both of them."""
ERRORS: tuple[Controls, ...] = ("type1", "fdr", "family")
SHARES = ("power", *ERRORS)
COLUMNS = [
    "dataset", *METHOD, "entrant", "rule", "controls", "null", "stated", "null_runs", "draws", "of_draws",
    *(f"{name}{end}" for name in SHARES for end in ("", "_low", "_high")), "selected", "outcome",
]  # fmt: skip


class Rule(NamedTuple):
    """How inputs are selected from p-values, and what is controlled then.

    ``null``: the hypothesis that is stated, or ``both``, where none is: an input counts as false if both hold.
    """

    name: str
    controls: Controls
    null: str
    null_runs: int = 0


def guarantees(results: Results, level: float = 0.05, *, pooled: bool = False) -> pd.DataFrame:
    """Power and errors of selections at a level, of every method on every dataset whose truth is known.

    Rules, as far as a method has them:

    - ``p_values``: its own p-values are at most the level. Controls the type-1 error, of each input.
    - ``benjamini_hochberg``: their procedure on these p-values. Controls the false discovery rate.
    - ``q_values``: a method's own control of the false discovery rate.
    - ``null_each``: the relevance of an input is above its own in all but few null runs, whose targets are permuted:
      (1 + null runs where it is as large) / (1 + null runs) is at most the level. Controls the type-1 error (Altmann
      et al. 2010, Bioinformatics 26).
    - ``null_largest``: it is above the largest of any input in them. Controls the probability of any false selection.
    - ``null_each_share``, ``null_largest_share``: the same of shares, relevances divided by their sum over the inputs.

    Null runs are of the first data seed. They are the same for all draws, so their own error is not in the intervals:
    at 40 null runs and a level of .05 an error is .05 +- .03.

    Parameters
    ----------
    level : what is asked for, above 0 and below 1
    pooled : draws of all datasets together, ``dataset`` is "" then

    Returns
    -------
    dataset, model ("" without one), explainer, entrant, rule, controls (``type1``, ``fdr`` or ``family``)
    null : inputs that count as false: ``marginal``, ``conditional`` (see ``GroundTruth.null``), or ``both``: of which
        both hypotheses hold
    stated : whether it is the hypothesis that the method states; null runs say ``both``
    null_runs : that set the threshold; 0 where none do
    draws, of_draws : data seeds with a result, of how many
    power : share of the relevant inputs, which the hypothesis does not call null, that are selected
    type1 : share of the null inputs that are selected
    fdr : mean share of null inputs in what is selected, 0 where nothing is
    family : share of the draws in which any null input is selected
        each with ``_low`` and ``_high``, see ``proportions.clustered``; NaN where there are no such inputs
    selected : mean number of inputs
    outcome : of the controlled error where the null is the stated one: ``kept`` if the upper bound is at most 1.5 times
        the level, ``exceeded`` if the lower bound is above that, else ``undecided``; "" elsewhere

    Raises
    ------
    InputError
        If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"level: expected a number between 0 and 1, got {level}")
    counted = pd.DataFrame(list(_counts(results, level, _of_null_runs(results))))
    if counted.empty:
        return pd.DataFrame(columns=COLUMNS)
    places = results.cells[["dataset", *METHOD, "data_seed"]].drop_duplicates()
    planned = Counter(zip(*(places[name] for name in ("dataset", *METHOD)), strict=True))
    if pooled:
        counted["seed"] = list(zip(counted["dataset"], counted["seed"], strict=True))
        counted["dataset"] = ""
    by = ["dataset", *METHOD, "entrant", "rule", "controls", "null", "stated"]
    rows = [
        {**dict(zip(by, key, strict=True)), **_summary(group, planned, level, str(key[0]), bool(key[-1]))}
        for key, group in counted.groupby(by, sort=False)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def by_cell(results: Results, level: float = 0.05) -> pd.DataFrame:
    """Shares of every cell whose method has p-values of its own, at a level, of the null hypothesis that it states.

    Returns
    -------
    dataset, model, explainer, data_seed, metric (``power`` or ``type1_error``), k (0), value; without those that are
    not defined
    """
    found = [
        {**{name: row[name] for name in ("dataset", *METHOD)}, "data_seed": row["seed"], "metric": metric, "k": 0,
         "value": row[hits] / row[of]}
        for row in _counts(results, level, {})
        if row["stated"] and row["rule"] == "p_values"
        for metric, hits, of in (("power", "hits", "wanted"), ("type1_error", "false", "nulls"))
        if row[of]
    ]  # fmt: skip
    return pd.DataFrame(found, columns=["dataset", *METHOD, "data_seed", "metric", "k", "value"])


def _counts(results: Results, level: float, nulls: Mapping[tuple[str, str, str], Floats]) -> Iterator[dict[str, Any]]:
    """One row a cell, rule and null hypothesis: what was selected. ``nulls``: see ``_of_null_runs``."""
    truths = {key: truth_of(facts) for key, facts in results.draws.items()}
    held = {(key, name): _held(truth, name) for key, truth in truths.items() if truth for name in NULLS}
    for cell in results.cells.to_dict("records"):
        truth = truths.get(cell["draw"])
        if cell["status"] != "done" or truth is None or cell["cell"] not in results.relevance:
            continue
        of_null_runs = nulls.get((cell["dataset"], cell["model"], cell["explainer"]))
        for rule, above in _selections(results, cell["cell"], of_null_runs, level):
            for name in NULLS:
                yield {
                    **{column: cell[column] for column in ("dataset", *METHOD, "entrant")},
                    **rule._asdict(), "rule": rule.name, "null": name, "stated": name == rule.null,
                    "seed": cell["data_seed"], **_counted(above, truth.relevant, held[cell["draw"], name]),
                }  # fmt: skip


def _selections(results: Results, cell: str, nulls: Floats | None, level: float) -> Iterator[tuple[Rule, Bools]]:
    """Every rule of a cell and what it selects (n_inputs,)."""
    tested = results.tested.get(cell)
    if tested is not None:
        own = np.array(tested.p_values)
        if tested.controls == "fdr":
            yield Rule("q_values", "fdr", tested.null), own <= level
        else:
            yield Rule("p_values", "type1", tested.null), own <= level
            yield Rule("benjamini_hochberg", "fdr", tested.null), benjamini_hochberg(own) <= level
    if nulls is not None:
        found, runs = results.relevance[cell], len(nulls)
        for end, one, others in (("", found, nulls), ("_share", share(found), _shares(nulls))):
            yield Rule(f"null_each{end}", "type1", "both", runs), exceeding(one, others) <= level
            largest = np.repeat(others.max(1, keepdims=True), others.shape[1], axis=1)
            yield Rule(f"null_largest{end}", "family", "both", runs), exceeding(one, largest) <= level


def _shares(relevances: Floats) -> Floats:
    """(runs, d), each row divided by its sum; zeros stay zeros."""
    total = relevances.sum(1, keepdims=True)
    return np.divide(relevances, total, out=np.zeros_like(relevances), where=total > 0)


def exceeding(found: Floats, nulls: Floats) -> Floats:
    """(d,) p-values of ``found`` (d,) among as many values of null runs, ``nulls`` (runs, d): (1 + those as large) / (1
    + runs)."""
    return (1 + (nulls >= found).sum(0)) / (1 + len(nulls))


def benjamini_hochberg(p_values: Floats) -> Floats:
    """(d,) the smallest level at which their procedure selects each input.

    Source: Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57.
    """
    d = len(p_values)
    order = np.argsort(p_values, kind="stable")
    adjusted = np.minimum.accumulate((p_values[order] * d / np.arange(1, d + 1))[::-1])[::-1]
    result = np.empty(d)
    result[order] = adjusted.clip(max=1)
    return result


def _of_null_runs(results: Results) -> dict[tuple[str, str, str], Floats]:
    """(dataset, model, explainer) to the relevances (runs, n_inputs) of its null runs; none where one is missing."""
    found: dict[tuple[str, str, str], Floats] = {}
    for (dataset, model, explainer), group in results.null_cells.groupby(["dataset", *METHOD], sort=False):
        if (group["status"] == "done").all():
            found[str(dataset), str(model), str(explainer)] = np.stack(
                [results.relevance[cell] for cell in group["cell"]]
            )
    return found


def _held(truth: GroundTruth, null: str) -> Bools:
    """(n_inputs,) True where the hypothesis holds, one of ``NULLS``."""
    kinds: tuple[Null, ...] = get_args(Null) if null == "both" else (cast(Null, null),)
    return np.all([truth.null(kind) for kind in kinds], axis=0)


def _counted(above: Bools, relevant: Bools, held: Bools) -> dict[str, float]:
    """What a selection has of null and of relevant inputs."""
    wanted, false, size = relevant & ~held, int((above & held).sum()), int(above.sum())
    return {
        "false": false, "nulls": int(held.sum()), "hits": int((above & wanted).sum()), "wanted": int(wanted.sum()),
        "selected": size, "false_share": false / max(size, 1), "any_false": float(false > 0),
    }  # fmt: skip


def _summary(group: pd.DataFrame, planned: Counter[Any], level: float, dataset: str, stated: bool) -> dict[str, Any]:
    """Shares over draws of one method and rule, with their intervals."""
    draws = group.groupby("seed", sort=False)
    total, mean = draws[["false", "nulls", "hits", "wanted"]].sum(), draws[["false_share", "any_false"]].mean()
    there = (total["nulls"] > 0).astype(float)
    found = {
        "power": clustered(total["hits"], total["wanted"]),
        "type1": clustered(total["false"], total["nulls"]),
        "fdr": clustered(mean["false_share"] * there, there),
        "family": clustered(mean["any_false"] * there, there),
    }
    row: dict[str, Any] = {
        "null_runs": int(group["null_runs"].max()), "draws": len(total), "selected": float(group["selected"].mean())
    }  # fmt: skip
    method = tuple(group[METHOD].iloc[0])
    row["of_draws"] = sum(n for key, n in planned.items() if key[1:] == method and dataset in ("", key[0]))
    for name, value in found.items():
        row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    controlled = found[group["controls"].iloc[0]]
    return row | {"outcome": outcome(controlled.low, controlled.high, level) if stated else ""}


def outcome(low: float, high: float, level: float) -> str:
    """``kept``, ``exceeded`` or ``undecided``; "" where there is no interval."""
    if math.isnan(high):
        return ""
    if high <= MARGIN * level:
        return "kept"
    return "exceeded" if low > MARGIN * level else "undecided"


def null_inputs(results: Results) -> pd.DataFrame:
    """What counts as false on every dataset whose truth is known, means over its draws.

    Returns
    -------
    dataset, inputs, relevant, and null_marginal, null_conditional, null_both: numbers of inputs
    """
    rows = []
    for dataset, group in results.cells.groupby("dataset", sort=False):
        facts = [results.draws[key] for key in group["draw"].unique() if key in results.draws]
        truths = [truth for truth in map(truth_of, facts) if truth is not None]
        if truths:
            held = {name: [_held(truth, name) for truth in truths] for name in NULLS}
            rows.append({
                "dataset": dataset, "inputs": float(np.mean([len(truth.roles) for truth in truths])),
                "relevant": float(np.mean([truth.n_relevant for truth in truths])),
                **{f"null_{name}": float(np.mean([one.sum() for one in found])) for name, found in held.items()},
            })  # fmt: skip
    return pd.DataFrame(rows, columns=["dataset", "inputs", "relevant", *(f"null_{name}" for name in NULLS)])
