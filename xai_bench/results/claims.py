"""What a run shows, in at most three sentences that come from its leaderboards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xai_bench.errors import InputError
from xai_bench.paired import LEAST_DRAWS
from xai_bench.results.entrants import RECOVERY, RETENTION

if TYPE_CHECKING:
    from xai_bench.results.comparison import Comparison, Unit
    from xai_bench.results.frames import Results

SCORES = (RECOVERY, RETENTION)
"""The scores that sentences name, the most important one first."""
TITLES = {RECOVERY: "recovery", RETENTION: "retention"}
NAMED = 6
"""Names in one sentence at the most."""


def claims(results: Results, of: Unit = "methods", file: str = "") -> list[str]:
    """Who leads in the first group; how many pairs are decided, and what could not be; where two scores disagree.

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
    """Who leads, and who is not shown to be worse."""
    board = _ranked(comparison)
    best, draws = board.iloc[0], int(board["draws"].min())
    what = f"By {TITLES[comparison.metric]} ({_scope(comparison, board)})"
    lead = f"{what} {_name(best['name'])} has the highest mean, {_number(comparison, best['score'])}"
    if draws < LEAST_DRAWS:
        others = [_name(name) for name in board["name"].iloc[1:]]
        return f"{lead}, before {_listed(others)}; below {LEAST_DRAWS} draws nothing is decided."
    group = [_name(name) for name in board.loc[board["first_group"], "name"] if name != best["name"]]
    if group:
        rest = f"not shown to be worse than the best of {len(board)}: {_listed(group)}"
    else:
        rest = f"all {len(board) - 1} others are shown to be worse than the best"
    return f"{lead}; {rest}{_of_focus(comparison, focus)}."


def _of_focus(comparison: Comparison, focus: str) -> str:
    """What is decided of the focus, if it is among those compared."""
    if focus not in comparison.scores.entrants:
        return ""
    outcome = comparison.against(focus)["outcome"]
    better, worse = (int(outcome.str.endswith(word).sum()) for word in ("better", "worse"))
    return f"; {_name(focus)} is better than {better} and worse than {worse} of the {len(outcome)} others"


def _decided(comparison: Comparison) -> str:
    """Shares of the pairs, and what could have been shown."""
    shares, m = comparison.shares(), len(comparison.together)
    pairs = m * (m - 1) // 2
    if np.isnan(comparison.smallest_detectable):
        return f"None of the {pairs} pairs of {comparison.of} is decided, and no detectable difference is known."
    counts = {word: round(share * pairs) for word, share in shares.items()}
    margin = _number(comparison, comparison.margin * comparison.scale)
    return (
        f"Of {pairs} pairs of {comparison.of} {counts['better']} are decided as better, {counts['slightly better']} as "
        f"better by less than {margin}, {counts['equal']} as practically equal, and {counts['undecided']} stay "
        f"undecided: the median pair would have to differ by {_number(comparison, comparison.smallest_detectable)}."
    )


def _second(first: Comparison, second: Comparison) -> str:
    """Whether another score has the same leaders; both are named where they differ."""
    one, other = _ranked(first), _ranked(second)
    best, title = other.iloc[0], TITLES[second.metric]
    number = _number(second, best["score"])
    where = f"By {title} ({_scope(second, other)})"
    if best["name"] == one["name"].iloc[0]:
        return f"{where} {_name(best['name'])} leads too, {number}."
    lead = one["name"].iloc[0]
    known = other.set_index("name")
    if lead not in known.index:
        how = f"{_name(lead)} is not ranked there"
    elif int(other["draws"].min()) < LEAST_DRAWS:
        how = f"{_name(lead)} has {_number(second, known.loc[lead, 'score'])}"
    elif known.loc[lead, "first_group"]:
        how = f"{_name(lead)}, with {_number(second, known.loc[lead, 'score'])}, is not shown to be worse"
    else:
        how = f"{_name(lead)}, with {_number(second, known.loc[lead, 'score'])}, is shown to be worse"
    return f"{where} another one has the highest mean, {_name(best['name'])}, {number}; {how}."


def _ranked(comparison: Comparison) -> pd.DataFrame:
    board = comparison.leaderboard()
    return board[board["ranked"] & board["confirmatory"]]


def _scope(comparison: Comparison, board: pd.DataFrame) -> str:
    """What a leaderboard rests on."""
    families, draws = int(board["of_families"].iloc[0]), int(board["draws"].min())
    score = "2 AUROC - 1" if comparison.metric == RECOVERY else "points over random inputs"
    return f"{score}, {families} famil{'y' if families == 1 else 'ies'}, {draws} draw{'' if draws == 1 else 's'}"


def _number(comparison: Comparison, value: float) -> str:
    return f"{value:.1f} points" if comparison.scale != 1 else f"{value:.3f}"


def _name(name: object) -> str:
    return f"`{name}`"


def _listed(names: Sequence[str]) -> str:
    shown, more = list(names[:NAMED]), len(names) - NAMED
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
