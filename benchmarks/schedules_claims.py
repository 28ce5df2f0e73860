"""Spectral against plain, on the grid of schedules: at equal epochs and at equal CPU seconds.

A claim is made only if the sign of the difference is shown by its 95 % interval at both schedules (that chosen with the
score of the first layer, that chosen with saliency), at equal epochs and at equal CPU seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from schedules_choice import Choice

from xai_bench.statistics import Interval, interval

SCORES = {"first": "the score of the first layer", "saliency": "saliency"}
METRICS = {"auroc": "AUROC", "somers": "Somers' D"}
PLAIN = "mlp"


def row_of(frame: pd.DataFrame, network: str, choice: Choice, value: str) -> pd.DataFrame:
    """(dataset and data seed, epochs): a value of one network along the row of a schedule, at its penalty."""
    rows = frame[(frame["network"] == network) & (frame["penalty"] == choice.penalty)]
    rows = rows[(rows["rate"] == choice.rate) & (rows["kept"] == choice.kept)].dropna(subset=value)
    return rows.pivot_table(index=["dataset", "data_seed"], columns="epochs", values=value)


def at_epochs(row: pd.DataFrame, epochs: pd.Series) -> pd.Series:
    """The value at any number of epochs: a straight line over the logarithm of the epochs, ends continued level."""
    found = {}
    for key, values in row.iterrows():
        known = values.dropna()
        found[key] = np.interp(np.log(epochs[key[0]]), np.log(known.index.to_numpy(float)), known.to_numpy())
    return pd.Series(found)


def cost_ratio(frame: pd.DataFrame, network: str) -> pd.Series:
    """Dataset to CPU seconds of the network for one of the plain one: medians over data seeds, longest shared row."""
    rows = frame[(frame["rate"] == "constant") & (frame["kept"] == "last") & (frame["penalty"] == 1)]
    seconds = rows.assign(each=rows["cpu"] / rows["steps"]).pivot_table(
        index="dataset", columns="network", values="each", aggfunc="median"
    )
    return seconds[network] / seconds[PLAIN]


def differences(frame: pd.DataFrame, network: str, choice: Choice, value: str) -> dict[str, Interval]:
    """``network`` less the plain one with the matching penalty, over data seeds (means over datasets)."""
    own, plain = (row_of(frame, name, choice, value) for name in (network, PLAIN))
    datasets = own.index.get_level_values(0).unique()
    equal = pd.Series(choice.epochs, index=datasets)
    ours = at_epochs(own, equal)
    found = {}
    for words, epochs in (("equal epochs", equal), ("equal CPU seconds", equal * cost_ratio(frame, network)[datasets])):
        difference = (ours - at_epochs(plain, epochs)).groupby(level=1).mean()
        found[words] = interval(difference.to_numpy())
    return found


def verdict(each: list[Interval]) -> str:
    """``higher`` or ``lower`` where all intervals say so, else ""."""
    if all(one.low > 0 for one in each):
        return "higher"
    return "lower" if all(one.high < 0 for one in each) else ""


def claims(frame: pd.DataFrame, chosen: Mapping[str, Sequence[Choice]]) -> Iterator[str]:
    """Sentences on spectral networks against the plain one, each at its choices, where the datasets have a truth."""
    lines = []
    for network, choices in chosen.items():
        for score, words in SCORES.items():
            for metric, title in METRICS.items():
                value = f"{metric}_{score}"
                if not frame[value].notna().any():
                    continue
                found = [differences(frame, network, choice, value) for choice in choices]
                said = verdict([one for of_choice in found for one in of_choice.values()])
                claim = f"is {said} than" if said else "cannot be told from"
                numbers = "; ".join(
                    f"{choice.epochs:g} epochs, {choice.rate}, {choice.kept}: "
                    + ", ".join(map(difference, each.items()))
                    for choice, each in dict(zip(choices, found, strict=True)).items()
                )
                lines.append(f"- {title} of {words}: `{network}` {claim} `{PLAIN}` ({numbers}).")
    if lines:
        yield "Spectral against plain, at the schedules chosen for the spectral network and matching penalties:"
        yield "\n".join(lines)


def difference(item: tuple[str, Interval]) -> str:
    """A difference in words."""
    where, found = item
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}] at {where}"
