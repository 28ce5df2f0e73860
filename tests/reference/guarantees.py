"""Selections at a level, counted slowly: draw by draw, input by input."""

from __future__ import annotations

from collections.abc import Sequence

ROLES = {"marginal": ("noise", "suppressor"), "conditional": ("noise", "redundant"), "both": ("noise",)}


def is_null(j: int, roles: Sequence[str], groups: Sequence[Sequence[int]], null: str) -> bool:
    replaced = any(j in group and len(group) > 1 for group in groups)
    if null == "conditional":
        return roles[j] in ROLES[null] or replaced
    return roles[j] in ROLES[null] or (null == "both" and replaced and roles[j] == "suppressor")


def benjamini_hochberg(p_values: Sequence[float], level: float) -> list[bool]:
    """The k smallest are selected, for the largest k whose k-th smallest is at most k level / d."""
    d, ordered = len(p_values), sorted(p_values)
    k = max((i + 1 for i in range(d) if ordered[i] <= (i + 1) * level / d), default=0)
    return [bool(k) and p <= ordered[k - 1] for p in p_values]


def by_null_runs(found: Sequence[float], nulls: Sequence[Sequence[float]], level: float, largest: bool) -> list[bool]:
    """At most level (runs + 1) - 1 null runs are as large."""
    selected = []
    for j, value in enumerate(found):
        as_large = sum((max(run) if largest else run[j]) >= value for run in nulls)
        selected.append((1 + as_large) / (1 + len(nulls)) <= level)
    return selected


def knockoff_selection(difference: Sequence[float], level: float) -> list[bool]:
    """Candès et al. 2018, equation 3.10, with the 1 in the numerator."""
    for t in sorted({0.0, *(abs(w) for w in difference)}):
        below, above = sum(w <= -t for w in difference), sum(w >= t for w in difference)
        if (1 + below) / max(above, 1) <= level:
            return [w >= t for w in difference]
    return [False] * len(difference)


def shares(
    selections: Sequence[Sequence[bool]], roles: Sequence[str], groups: Sequence[Sequence[int]], null: str
) -> dict[str, float]:
    """power, type1, fdr and family of selections, one a draw."""
    d = range(len(roles))
    held = [is_null(j, roles, groups, null) for j in d]
    wanted = [roles[j] == "relevant" and not held[j] for j in d]
    false = [sum(held[j] and chosen[j] for j in d) for chosen in selections]
    hits = [sum(wanted[j] and chosen[j] for j in d) for chosen in selections]
    n = len(selections)
    return {
        "power": sum(hits) / (n * sum(wanted)) if any(wanted) else float("nan"),
        "type1": sum(false) / (n * sum(held)),
        "fdr": sum(v / max(sum(chosen), 1) for v, chosen in zip(false, selections, strict=True)) / n,
        "family": sum(v > 0 for v in false) / n,
    }
