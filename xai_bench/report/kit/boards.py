"""The leaderboards as the page shows them: frames of the results, joined by cost, retention, stability and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from xai_bench.decisions import Decisions, Scores
from xai_bench.errors import InputError
from xai_bench.results import entrants

if TYPE_CHECKING:
    from xai_bench.report.kit.frames import Frames

COLUMNS = ["name", "explainer", "model", "score", "rank_low", "rank_high", "first_group", "better_than", "worse_than",
           "equal", "undecided", "families", "of_families", "draws", "ranked", "reason", "learned", "score_learned"]  # fmt: skip


def _scores(frames: Frames, of: str, metric: str) -> Scores:
    scores = entrants.scores(frames.results, {"recovery": "auroc"}.get(metric, metric))
    names = [name.partition(" on ")[:: 2 if of != "networks" else -2] for name in scores.entrants]
    keep = [i for i, name in enumerate(names) if of != "networks" or names[i][0]]
    labels = [names[i][0] if of != "entrants" else scores.entrants[i] for i in keep]
    rows = []
    for dataset, values in zip(scores.datasets, scores.values, strict=True):
        for draw, line in enumerate(values):
            rows += [(dataset, draw, label, line[i]) for i, label in zip(keep, labels, strict=True)]
    frame = pd.DataFrame(rows, columns=["dataset", "draw", "entrant", "value"])
    return Scores.of(frame[frame["value"].notna()])


def board(frames: Frames, of: str = "methods", metric: str = "recovery") -> pd.DataFrame:
    """The leaderboard of methods, networks or entrants; an empty frame where there is none."""
    try:
        everything = _scores(frames, of, metric)
    except InputError:
        return pd.DataFrame(columns=COLUMNS)
    known = np.all([np.isfinite(v).any(0) for v in everything.values], axis=0)
    names = tuple(n for n, k in zip(everything.entrants, known, strict=True) if k)
    ranked = Scores(names, everything.datasets, tuple(v[:, known] for v in everything.values))
    rows: list[dict[str, Any]] = []
    means = [np.nanmean(v, axis=0) for v in everything.values]
    decided = Decisions(ranked) if len(names) > 1 else None
    for i, name in enumerate(everything.entrants):
        j = names.index(name) if name in names else -1
        explainer, _, model = name.partition(" on ")
        row = {"name": name, "explainer": explainer, "model": model or None, "ranked": j >= 0,
               "score": float(np.nanmean([m[i] for m in means])), "of_families": len(means),
               "families": int(sum(np.isfinite(m[i]) for m in means)), "draws": min(len(v) for v in everything.values),
               "reason": "" if j >= 0 else "no score on some datasets", "learned": 1.0, "score_learned": np.nan,
               "rank_low": np.nan, "rank_high": np.nan, "first_group": False, "better_than": 0, "worse_than": 0,
               "equal": 0, "undecided": 0}  # fmt: skip
        if decided is not None and j >= 0:
            o = decided.outcomes[j]
            low, high = decided.ranks()[j]
            row |= {"rank_low": low, "rank_high": high, "first_group": bool(decided.not_worse_than_best[j]),
                    "better_than": int(np.isin(o, ("better", "slightly better")).sum()), "equal": int((o == "equal").sum()),
                    "worse_than": int(np.isin(o, ("worse", "slightly worse")).sum()),
                    "undecided": int((o == "undecided").sum()) - 1}  # fmt: skip
        rows.append(row)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.sort_values(["ranked", "score", "name"], ascending=[False, False, True], ignore_index=True)


def pairs(frames: Frames, of: str = "methods", metric: str = "recovery") -> pd.DataFrame:
    """first, second, difference, low, high, outcome: every ordered pair of the ranked."""
    try:
        scores = _scores(frames, of, metric)
    except InputError:
        return pd.DataFrame(columns=["first", "second", "difference", "low", "high", "outcome", "families", "draws"])
    d = Decisions(scores)
    rows = [
        (a, b, d.difference[i, j], d.difference[i, j] - d.half_width[i, j], d.difference[i, j] + d.half_width[i, j],
         str(d.outcomes[i, j]), len(scores.datasets), min(map(len, scores.values)))
        for i, a in enumerate(scores.entrants) for j, b in enumerate(scores.entrants) if i != j
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["first", "second", "difference", "low", "high", "outcome", "families", "draws"])
