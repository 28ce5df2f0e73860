"""The rule of ``schedules_grid`` applied to what ``choose_schedules`` measured.

A frame holds the points of one size of table: one row a dataset, data seed, network, penalty and schedule. ``score`` is
``first`` (that of the first layer) or ``saliency``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from schedules_grid import AFFORDED, IMPROVEMENT, Size

from xai_bench.statistics import Interval, interval

SCHEDULE = ["rate", "kept", "epochs"]
SCORES = ("first", "saliency")
SHARED = ("spectral_mlp", "mlp")
"""Networks that all suites compare, on equal terms."""
SMALL = 0.01
"""Added to every loss: among losses far below a hundredth, differences are noise."""


class Choice(NamedTuple):
    """A schedule, and the step of the rule that it was found by: 3, or a fall-back a, b, c or d."""

    penalty: float
    rate: str
    kept: str
    epochs: float
    by: str


def balanced(frame: pd.DataFrame, size: Size) -> pd.DataFrame:
    """The rows of those data seeds for which all but the long trainings were measured."""
    expected = 2 * (len(size.epochs) + len(size.cosine)) * sum(len(case.networks) for case in size.cases)
    counts = frame[~frame["epochs"].isin(size.long)].groupby("data_seed").size()
    return frame[frame["data_seed"].isin(counts[counts == expected].index)]


def by_seed(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """(data seeds, schedules): means over the datasets that have the value."""
    return frame.dropna(subset=value).pivot_table(index="data_seed", columns=SCHEDULE, values=value, aggfunc="mean")


def signs(frame: pd.DataFrame, score: str) -> dict[str, pd.DataFrame]:
    """The two signs of settling, of one network at one penalty, both so that more is better."""
    agreement = frame.assign(agreement=(frame[f"rank_{score}"] + frame[f"top_{score}"]) / 2)
    found = {"agreement": by_seed(agreement, "agreement")}
    if frame[f"share_{score}"].notna().any():
        found["share"] = -by_seed(frame, f"share_{score}")
    return found


def improvements(values: pd.DataFrame) -> dict[tuple[str, str, float], Interval]:
    """Schedule to the improvement from its length to the next one of its row; none for the longest."""
    found = {}
    for rate, kept in dict.fromkeys((rate, kept) for rate, kept, _ in values.columns):
        lengths = sorted(values[rate, kept].columns)
        for one, following in itertools.pairwise(lengths):
            difference = (values[rate, kept, following] - values[rate, kept, one]).dropna()
            found[rate, kept, one] = interval(difference.to_numpy())
    return found


def rise(values: pd.DataFrame) -> pd.DataFrame:
    """Schedule to the largest improvement from there on, and the largest upper end of its interval; inf if unknown."""
    each = improvements(values)
    rows = []
    for rate, kept, epochs in values.columns:
        later = [v for (r, k, e), v in each.items() if (r, k) == (rate, kept) and e >= epochs]
        known = len(later) > 0 and all(v.n > 1 for v in later)
        rows.append((max(v.mean for v in later), max(v.high for v in later)) if known else (np.inf, np.inf))
    return pd.DataFrame(rows, index=values.columns, columns=["mean", "high"])


def excess(frame: pd.DataFrame) -> pd.DataFrame:
    """(schedules, datasets): how many standard errors a validation loss is above that of the best schedule.

    Both are means over the data seeds that have both; the standard error is that of the best one's mean.
    """
    found = {}
    for dataset, rows in frame.groupby("dataset"):
        loss = rows.pivot_table(index="data_seed", columns=SCHEDULE, values="loss")
        best = loss[loss.dropna(axis=1).mean().idxmin()]
        above = loss.sub(best, axis=0)
        found[dataset] = above.mean() / (best.std(ddof=1) / np.sqrt(len(best)))
    return pd.DataFrame(found)


def candidates(frame: pd.DataFrame, score: str) -> pd.DataFrame:
    """One row a schedule of one network at one penalty: steps, signs, how settled and how good it is."""
    each = signs(frame, score)
    rises = [rise(values) for values in each.values()]
    above = excess(frame)
    table = pd.DataFrame({"steps": frame.groupby(SCHEDULE)["steps"].mean()})
    table["sign"] = sum(values.mean() for values in each.values()) / len(each)
    table["rise"] = pd.concat([one["mean"] for one in rises], axis=1).max(axis=1)
    table["rise_high"] = pd.concat([one["high"] for one in rises], axis=1).max(axis=1)
    table["worst_excess"], table["excess"] = above.max(axis=1), above.mean(axis=1)
    return table.reset_index()


def choose(table: pd.DataFrame, penalty: float = 1.0) -> Choice:
    """The rule on the candidates of one network at one penalty."""
    good = table["worst_excess"] <= 1
    settled, about = table["rise_high"] < IMPROVEMENT, table["rise"] < IMPROVEMENT
    order = table.assign(rank=table["kept"].ne("last") + 0.5 * table["rate"].ne("constant"))
    steps = {
        "3": (settled & good, ["steps", "rank"]),
        "a": (about & good, ["steps", "rank"]),
        "b": (about, ["excess", "steps", "rank"]),
        "c": (good, ["sign", "steps", "rank"]),
        "d": (table["steps"] <= AFFORDED, ["sign", "steps", "rank"]),
    }
    order["sign"] = -order["sign"]
    for by, (which, first) in steps.items():
        if which.any():
            row = order[which].sort_values(first, kind="stable").iloc[0]
            return Choice(penalty, row["rate"], row["kept"], float(row["epochs"]), by)
    raise ValueError("choose: no schedule was measured")


def choices(frame: pd.DataFrame, score: str, penalty: float = 1.0) -> dict[str, Choice]:
    """Network to what the rule chooses for it at this penalty; a network without one has 1."""
    found = {}
    for network, rows in frame.groupby("network", sort=False):
        own = penalty if (rows["penalty"] == penalty).any() else 1.0
        found[str(network)] = choose(candidates(rows[rows["penalty"] == own], score), own)
    return found


def losses_by_penalty(frame: pd.DataFrame) -> pd.Series:
    """Penalty to the mean logarithm of the validation loss, over datasets and the shared networks of one size.

    Each at the schedule whose loss, a mean over data seeds, is lowest for it.
    """
    rows = frame[frame["network"].isin(SHARED)]
    mean = rows.groupby(["dataset", "network", "penalty", *SCHEDULE])["loss"].mean()
    return np.log(mean.groupby(["dataset", "network", "penalty"]).min() + SMALL).groupby("penalty").mean()


def penalty_of(frames: Sequence[pd.DataFrame]) -> float:
    """The penalty whose loss is least above the lowest of a size, on the size where it is most."""
    losses = pd.DataFrame([losses_by_penalty(frame) for frame in frames])
    return float(losses.sub(losses.min(axis=1), axis=0).max().idxmin())


def shared(frame: pd.DataFrame, penalty: float) -> Choice:
    """What all networks of a size get: the longest of the choices, with the best mean of the signs at that length."""
    compared = frame[frame["network"].isin(SHARED)]
    epochs = max(one.epochs for score in SCORES for one in choices(compared, score, penalty).values())
    means = []
    for network in SHARED:
        rows = frame[(frame["network"] == network) & (frame["penalty"] == penalty)]
        means += [candidates(rows, score).set_index(SCHEDULE)["sign"] for score in SCORES]
    sign = pd.concat(means, axis=1).mean(axis=1)
    rate, kept, _ = sign[sign.index.get_level_values("epochs") == epochs].idxmax()
    return Choice(penalty, rate, kept, epochs, "")
