"""The rule that says whether the relevance of a network has settled, from what further trainings showed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from xai_bench.results.records import SettlingFacts, Signs
from xai_bench.statistics import Interval, interval

RELEVANCES = ("first_layer", "saliency")
LEAST = 3
"""Draws below which nothing is said."""
ALIKE = 0.5
"""The share of copies where a network cannot tell them from the inputs."""
COLUMNS = [
    "dataset", "model", "relevance", "draws", "copies",
    *(f"{sign}{end}" for sign in ("share", "correlation", "initial", "excess") for end in ("", "_low", "_high")),
    "top", "settled", "reason",
]  # fmt: skip


def settling(plan: pd.DataFrame, known: Mapping[str, SettlingFacts]) -> pd.DataFrame:
    """One row a dataset, network and kind of relevance, over the draws on which the network was trained once more.

    A relevance has ``settled`` if, by intervals of 95 % over the draws, all of this holds, so that False stands for
    "not shown to have settled":

    - its ``share`` that falls on copies is below .5 (where there were copies): it tells inputs from columns that are
      unrelated to the target;
    - its ``correlation`` with that of a network trained from other initial weights is above 0, what two networks agree
      in before they are trained;
    - that correlation exceeds the one with its own initial weights (``excess``, paired by draw): what it says comes
      from the data rather than from where its training began.

    Where no relevance differs from another, the correlations are 0; where all are 0, the share is .5.

    Parameters
    ----------
    plan : model_key, dataset, model, data_seed of planned cells
    known : key of a network to what its further training showed

    Returns
    -------
    dataset, model, relevance (``first_layer`` or ``saliency``), draws, copies, the means share, correlation, initial
    and excess with ``_low`` and ``_high``, top (the mean), settled (NA below three draws), and the reason why there is
    nothing. See ``records.Signs``.
    """
    networks = plan.loc[plan["model_key"].isin(known.keys()), ["dataset", "model", "data_seed", "model_key"]]
    networks = networks.drop_duplicates()
    rows = []
    for (dataset, model), group in networks.groupby(["dataset", "model"], sort=False):
        facts = [known[key] for key in group["model_key"]]
        for relevance in RELEVANCES:
            rows.append({"dataset": dataset, "model": model, "relevance": relevance, **_summary(facts, relevance)})
    return pd.DataFrame(rows, columns=COLUMNS).astype({"settled": "boolean"})


def _summary(facts: list[SettlingFacts], relevance: str) -> dict[str, Any]:
    signs: list[Signs] = [found for one in facts if (found := getattr(one, relevance)) is not None]
    if not signs:
        return {"draws": 0, "copies": False, "reason": facts[0].reasons.get(relevance, "")}
    copies = any(one.copies for one in facts)
    correlations = [one.correlation or 0.0 for one in signs]
    initial = [one.initial or 0.0 for one in signs]
    measured = {
        "correlation": interval(correlations),
        "initial": interval(initial),
        "excess": interval([a - b for a, b in zip(correlations, initial, strict=True)]),
    }
    if copies:
        measured["share"] = interval([ALIKE if one.share is None else one.share for one in signs])
    row: dict[str, Any] = {"draws": len(signs), "copies": copies, "reason": ""}
    for name, found in measured.items():
        row |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
    row["top"] = sum(one.top or 0.0 for one in signs) / len(signs)
    return row | {"settled": _has_settled(measured) if len(signs) >= LEAST else None}


def _has_settled(measured: Mapping[str, Interval]) -> bool:
    """The rule, see ``settling``."""
    tells = "share" not in measured or measured["share"].high < ALIKE
    return tells and measured["correlation"].low > 0 and measured["excess"].low > 0


def of_networks(frame: pd.DataFrame) -> dict[tuple[str, str], bool]:
    """(dataset, model) to whether its relevance has settled, where that is known.

    It is the relevance that is read off the first layer, and saliency of networks whose first layer is not read.
    """
    found: dict[tuple[str, str], bool] = {}
    for row in frame[frame["settled"].notna()].itertuples():
        found.setdefault((str(row.dataset), str(row.model)), bool(row.settled))
    return found
