"""Tests on ranks, as papers print them: Friedman, Nemenyi's critical difference, Wilcoxon's signed ranks.

They ask whether entrants differ on further families of this kind, and see family means only: with few families no
difference can be shown. Source: Demsar 2006, JMLR 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xai_bench.paired import Scores

LEVEL = 0.05
MOST = 12
"""Entrants of a critical-difference diagram at the most."""


@dataclass(frozen=True)
class RankTests:
    """What ranks within families say of k entrants.

    Attributes
    ----------
    mean_ranks : name to its mean rank over families, 1 is the best; equal scores share their ranks
    families : how many
    statistic, p_value : Friedman's test that all are alike
    critical_difference : of two mean ranks, by Nemenyi, at .05
    nemenyi, wilcoxon : (k, k) p-values of pairs; those of Wilcoxon adjusted by Holm
    """

    mean_ranks: pd.Series
    families: int
    statistic: float
    p_value: float
    critical_difference: float
    nemenyi: pd.DataFrame
    wilcoxon: pd.DataFrame


def rank_tests(scores: Scores) -> RankTests | str:
    """Compare up to twelve entrants by their ranks within families, or the reason why that is left out.

    Parameters
    ----------
    scores : of entrants with a score in every family, the better the higher
    """
    reason, whole = left_out(len(scores.means), scores.m), np.all(np.isfinite(scores.means), axis=0)
    if not reason and not whole.all():
        names = [name for name, known in zip(scores.entrants, whole, strict=True) if not known]
        reason = f"not in every family: {', '.join(names)}"
    if reason:
        return reason
    import scikit_posthocs
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    k, n = scores.m, len(scores.means)
    means = pd.DataFrame(scores.means, columns=list(scores.entrants))
    ranks = pd.Series(rankdata(-scores.means, axis=1).mean(0), index=means.columns)
    friedman = friedmanchisquare(*scores.means.T) if k > 2 else None
    melted = means.melt(var_name="entrant", value_name="score")
    return RankTests(
        mean_ranks=ranks.sort_values(kind="stable"),
        families=n,
        statistic=math.nan if friedman is None else float(friedman.statistic),
        p_value=math.nan if friedman is None else float(friedman.pvalue),
        critical_difference=float(studentized_range.ppf(1 - LEVEL, k, np.inf)) / math.sqrt(2)
        * math.sqrt(k * (k + 1) / (6 * n)),
        nemenyi=scikit_posthocs.posthoc_nemenyi_friedman(means),
        wilcoxon=scikit_posthocs.posthoc_wilcoxon(
            melted, val_col="score", group_col="entrant", zero_method="zsplit", p_adjust="holm"
        ),
    )  # fmt: skip


def left_out(families: int, k: int) -> str:
    """Why k entrants cannot be compared by their ranks in so many families; "" if they can.

    The smallest p-value that Wilcoxon's test can give is 2 / 2^families; Holm's first step asks for .05 / pairs.
    """
    if k < 2:
        return f"expected at least two entrants, got {k}"
    if k > MOST:
        return f"expected at most {MOST} entrants, got {k}"
    smallest, step = 2.0 ** (1 - families), LEVEL / math.comb(k, 2)
    if smallest > step:
        return (
            f"{families} families are too few for {k} entrants: the smallest p-value that can come out is "
            f"{smallest:.2g}, and the first of {math.comb(k, 2)} pairs must be below {step:.2g} (Holm)"
        )
    return ""
