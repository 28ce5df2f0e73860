"""What a run shows, in at most three sentences that come from its leaderboards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xai_bench.errors import InputError
from xai_bench.paired import LEAST_DRAWS
from xai_bench.results.comparison import leader
from xai_bench.results.entrants import RECOVERY, RETENTION
from xai_bench.wording import are, plural

if TYPE_CHECKING:
    from xai_bench.results.comparison import Comparison, Unit
    from xai_bench.results.frames import Results

SCORES = (RECOVERY, RETENTION)
"""The scores that sentences name, the most important one first."""
TITLES = {RECOVERY: "recovery", RETENTION: "retention"}
SCALES = {RECOVERY: "2 AUROC - 1", RETENTION: "points over random"}
NAMED = 3
"""Names in one list at the most."""
HARDLY = 0.1
"""A dataset is hardly learned where no method sees more of its networks learn than this share."""


def claims(results: Results, of: Unit = "methods", file: str = "") -> list[str]:
    """Who leads, or is not shown to be worse; how many pairs are decided as what; what another score says.

    Parameters
    ----------
    of : see ``Results.leaderboard``
    file : the file that the numbers come from, named at the end; "" for none

    Returns
    -------
    up to three sentences; one that gives the reason where nothing can be compared
    """
    found, reasons = [], []
    for metric in SCORES:
        try:
            found.append(results.compare(of, metric))
        except InputError as error:
            reasons.append(str(error))
    found = [comparison for comparison in found if len(comparison.together) > 1]
    if not found:
        return [f"No {of} are compared: {reasons[0] if reasons else 'fewer than two have a score in every family'}."]
    sentences = [_leaders(found[0], results.focus), _decided(found[0])]
    if len(found) > 1:
        sentences.append(_second(*found))
    if file:
        sentences[-1] = f"{sentences[-1].removesuffix('.')} ({file})."
    return sentences


def _leaders(comparison: Comparison, focus: str) -> str:
    """Who leads, or who is not shown to be worse."""
    board = _ranked(comparison)
    families = int(board["of_families"].iloc[0])
    one = "this dataset" if comparison.values["dataset"].nunique() == 1 else "this family"
    where = f"On {one if families == 1 else f'these {families} families'}"
    draws = plural(int(board["draws"].min()), "draw")
    by = f"by {TITLES[comparison.metric]} ({SCALES[comparison.metric]}, {draws})"
    if board["draws"].min() < LEAST_DRAWS:
        return f"{where} {by}: {_values(comparison, board)}; below {LEAST_DRAWS} draws nothing is decided."
    group, unlearned = _first_group(comparison, board, by), _unlearned(comparison, board)
    return f"{where} {group}{unlearned}{_of_focus(comparison, focus)}."


def _first_group(comparison: Comparison, board: pd.DataFrame, by: str) -> str:
    """A leader is named where all others are shown to be worse; else those who are not.

    That is decided by comparisons with the best, which are fewer than all pairs: where the ranks, which follow the
    pairs, leave the first place to more of them, that is said too.
    """
    others = len(board) - 1
    if (first := leader(board)) is not None:
        named = f"{_marked(comparison, first)} leads {by}, {_number(comparison, first['score'])}"
        rest = "the other one" if others == 1 else f"all {others} others"
        return f"{named}: {rest} ranked {are(others)} shown to be worse{by_pairs(board)}"
    group = board[board["first_group"]]
    if len(group) == len(board):
        return f"none of {len(board)} is shown to be worse than the best {by}"
    if group.empty:  # Pairs of methods are decided on the networks of both: they need not form an order.
        return f"each of {len(board)} is shown to be worse than another one {by}"
    named = _listed([_marked(comparison, row) for _, row in group.iterrows()])
    count = f"{len(group)} of {len(board)} {are(len(group))}"
    return f"{count} not shown to be worse than the best {by}{by_pairs(board)}: {named}"


def by_pairs(board: pd.DataFrame) -> str:
    """To how many all pairs at once leave the first rank, if that is more than the first group."""
    possible = int(board["rank_low"].eq(1).sum())
    if possible <= board["first_group"].sum():
        return ""
    return f" in comparisons with the best alone (all pairs at once leave the first rank to {possible})"


def _unlearned(comparison: Comparison, board: pd.DataFrame) -> str:
    """What is left of the lead of a method without a network on the datasets that networks learn: pairs decided."""
    first = leader(board)
    if comparison.of != "methods" or first is None or not np.isnan(first["learned"]) or board["learned"].isna().all():
        return ""
    values = comparison.values
    learned = values.groupby(["name", "dataset"])["learned"].mean().groupby("dataset").max()
    hard = sorted(str(dataset) for dataset in learned.index[learned <= HARDLY])
    if not hard or len(hard) == values["dataset"].nunique():
        return ""
    rest = _ranked(comparison.without(hard)).set_index("name")
    return (
        f"; without {_listed([_name(dataset) for dataset in hard])}, hardly learned by networks, it is better than "
        f"{rest.loc[first['name'], 'better_than']} of {plural(len(rest) - 1, 'other')}"
    )


def _of_focus(comparison: Comparison, focus: str) -> str:
    """What is decided of the focus, if it is among those compared: against all others, step by step."""
    if focus not in comparison.scores.entrants:
        return ""
    outcome = comparison.against(focus)["outcome"]
    better, worse = (int(outcome.str.endswith(word).sum()) for word in ("better", "worse"))
    return f"; {_name(focus)} alone against the {len(outcome)} others is better than {better} and worse than {worse}"


def _decided(comparison: Comparison) -> str:
    """Numbers of the pairs, by what is decided."""
    found = comparison.counts()
    if np.isnan(comparison.smallest_detectable):
        return f"None of the {found['pairs']} pairs of {comparison.of} is decided."
    margin = _number(comparison, comparison.margin * comparison.scale)
    unknown = found["better"] - found["beyond"] - found["slightly"]
    better = f"{found['better']} {are(found['better'])} better"
    if found["better"]:
        better += f" ({found['beyond']} by over {margin}, {found['slightly']} by less, {unknown} open)"
    return (
        f"Of {plural(found['pairs'], 'pair')} of {comparison.of} {better}, {found['equal']} practically equal, "
        f"{found['undecided']} undecided."
    )


def _second(first: Comparison, second: Comparison) -> str:
    """Whether another score has the same leaders; both are named where they differ."""
    one, other = _ranked(first), _ranked(second)
    by = f"by {TITLES[second.metric]} ({SCALES[second.metric]}, {_families(other)})"
    if other["draws"].min() < LEAST_DRAWS:
        draws = plural(int(other["draws"].min()), "draw")
        said = f"{by}: {_values(second, other)}; of {draws}: below {LEAST_DRAWS} nothing is decided"
    else:
        said = f"{_first_group(second, other, by)}{_place(one, other)}{_both(first, second)}"
    return f"{said[:1].upper()}{said[1:]}."


def _place(one: pd.DataFrame, other: pd.DataFrame) -> str:
    """What becomes of who leads by the first score alone."""
    if (first := leader(one)) is None:
        return ""
    lead, known = first["name"], other.set_index("name")
    if lead not in known.index:
        return f"; {_name(lead)} is not ranked there"
    return "" if known.loc[lead, "first_group"] else f"; {_name(lead)} is worse"


def _both(first: Comparison, second: Comparison) -> str:
    """What the first score says on the families that both scores have, where it has others."""
    families = set(first.values["family"])
    both = families & set(second.values["family"])
    if both == families or not both:
        return ""
    shared = first.on(both)
    board = _ranked(shared)
    if len(board) < 2 or board["draws"].min() < LEAST_DRAWS:
        return ""
    where, by = f"on the {plural(len(both), 'family', 'families')} of both", f"by {TITLES[first.metric]}"
    if (best := leader(board)) is not None:
        return f"; {where}, {_name(best['name'])} leads {by}"
    count = int(board["first_group"].sum())
    return f"; {where}, {count} {are(count)} first {by}"


def _ranked(comparison: Comparison) -> pd.DataFrame:
    board = comparison.leaderboard()
    return board[board["ranked"] & board["confirmatory"]]


def _families(board: pd.DataFrame) -> str:
    return plural(int(board["of_families"].iloc[0]), "family", "families")


def _values(comparison: Comparison, board: pd.DataFrame) -> str:
    """Means, of which nothing is decided."""
    return _listed([f"{_name(row['name'])} {_number(comparison, row['score'])}" for _, row in board.iterrows()])


def _marked(comparison: Comparison, row: pd.Series) -> str:
    """A name; of a method that does not explain every network also on how many."""
    most = int(comparison.facts["networks"].max())
    few = comparison.of == "methods" and 0 < row["networks"] < most
    return f"{_name(row['name'])} (on {row['networks']} of {most} networks)" if few else _name(row["name"])


def _number(comparison: Comparison, value: float) -> str:
    digits, unit = (1, " points") if comparison.scale != 1 else (3, "")
    return f"{round(value, digits) + 0.0:.{digits}f}{unit}".replace("-", "−")


def _name(name: object) -> str:
    return f"`{name}`"


def _listed(names: Sequence[str]) -> str:
    shown, more = list(names[:NAMED]), len(names) - NAMED
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
