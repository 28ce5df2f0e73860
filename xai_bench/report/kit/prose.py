"""Comparisons in prose, made from the frames. Names stand in backticks; nothing is crowned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from xai_bench.report.kit import comparisons
from xai_bench.report.kit.comparisons import Leader, Pair
from xai_bench.report.kit.frames import NO_MODEL, Frames, records
from xai_bench.report.kit.wording import bounds, listed, of_score, plural, unit
from xai_bench.statistics import Interval

FEW = 4
"""Datasets that are spelled out in a sentence."""


def on(pair: Pair) -> str:
    """A pair in words."""
    return f"`{pair.explainer}` (no model)" if pair.model == NO_MODEL else f"`{pair.explainer}` on `{pair.model}`"


def ticked(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return listed([f"`{name}`" for name in names], FEW)


def named(row: dict[str, Any]) -> str:
    """The pair and the dataset of a row."""
    return f"{on(Pair(row['model'], row['explainer']))}, `{row['dataset']}`"


def names_of(rows: pd.DataFrame) -> str:
    """Pairs and datasets of some rows."""
    return listed([named(row) for row in records(rows)])


def extreme(frames: Frames, scores: dict[str, str]) -> tuple[str, str]:
    """The best of several means in words, and where a worse one is."""
    signs = {frames.sign(metric) for metric in scores.values()}
    return ("highest", "below") if signs <= {1} else ("lowest", "above") if signs == {-1} else ("best", "behind")


def leaders(frames: Frames, frame: pd.DataFrame, scores: dict[str, str]) -> dict[str, Leader]:
    """Dataset to the best mean of the score that ``scores`` names for it."""
    of_each = {d: comparisons.leader(frames, frame, d, metric) for d, metric in scores.items()}
    return {d: best for d, best in of_each.items() if best is not None}


def crowd(frames: Frames, frame: pd.DataFrame, scores: dict[str, str], focus: Pair | None) -> str:
    """How many cannot be told from the best mean, and the method under study paired with it.

    Nothing is said of datasets on which fewer than two means have an interval.
    """
    tops = {d: best for d, best in leaders(frames, frame, scores).items() if best.near is not None}
    if not tops:
        return ""
    top, worse = extreme(frames, scores)
    shares = [
        f"{len(best.near or [])} of {len(best.compared)} on `{d}` ({frames.title(scores[d])})"
        for d, best in tops.items()
    ]
    text = f"Pairs of method and network that cannot be told from the {top} mean: {listed(shares, 8)}."
    left_out = [best.left_out for best in tops.values() if best.left_out]
    if left_out:
        text += f" Left out, of one draw: {plural(sum(left_out), 'value')} on {plural(len(left_out), 'dataset')}."
    tops = {d: best for d, best in tops.items() if focus in best.compared}
    if focus is None or not tops:
        return text
    apart = [d for d, best in tops.items() if focus not in (best.near or [])]
    everywhere = "on every dataset" if len(tops) == len(frames.datasets) else "wherever it is compared"
    text += f" {on(focus)} is " + (f"{worse} it on {ticked(apart)}." if apart else f"among them {everywhere}.")
    gaps = below(frames, tops, scores, focus)
    if gaps:
        return (
            f"{text} Paired by data seed, which sees smaller differences, it is {worse} the {top} on "
            f"{listed(gaps, FEW)}."
        )
    paired = [d for d, best in tops.items() if _paired(frames, d, scores[d], focus, best)]
    if not paired:
        return text
    where = "any of these" if len(paired) == len(tops) else ticked(paired)
    return f"{text} Nor does a comparison paired by data seed show it {worse} the {top} mean on {where}."


def _paired(frames: Frames, dataset: str, score: str, focus: Pair, best: Leader) -> bool:
    """Whether a pair is another than the best one and shares two data seeds with it."""
    if focus in best.top:
        return False
    gap = comparisons.difference(frames, dataset, score, focus, best.top[0])
    return gap is not None and gap.n > 1


def short(frames: Frames, frame: pd.DataFrame, scores: dict[str, str], focus: Pair | None, name: str) -> str:
    """The first screen: where the method under study stands, and how crowded the top is. ``name``: of the score."""
    tops, (top, worse) = leaders(frames, frame, scores), extreme(frames, scores)
    judged = [d for d, best in tops.items() if best.near is not None]
    own = {d: row for d in tops if focus and (row := comparisons.value(frame, d, focus, scores[d]))}
    if own:
        judged = [d for d in judged if focus in tops[d].compared]
    crowded = sum(2 * len(tops[d].near or []) > len(tops[d].compared) for d in judged) > len(judged) / 2
    if not focus or not own:
        means = [
            f"{of_score(best.row['mean'], scores[d])}{unit(scores[d])} on `{d}` "
            f"({on(best.top[0]) if len(best.top) == 1 else f'{len(best.top)} pairs'})"
            for d, best in tops.items()
        ]
        text = f"{top.capitalize()} means, {name.removesuffix(' of')}: {listed(means, FEW)}."
        return f"{text} The intervals of most pairs overlap these." if judged and crowded else text
    values = [f"{of_score(row['mean'], scores[d])}{unit(scores[d])} on `{d}`" for d, row in own.items()]
    text = f"`{focus.explainer}` reaches {name} {listed(values, FEW)}."
    if len(frames.data_seeds) == 1:
        return f"{text} With one data seed nothing can be told apart."
    close = [d for d in judged if focus in (tops[d].near or [])]
    if judged:
        text += f" Its interval overlaps that of the {top} mean on {len(close)} of {plural(len(judged), 'dataset')}"
        text += ", as do those of most pairs." if crowded else "."
    text += _uncompared(tops, list(own), focus)
    gaps = below(frames, tops, scores, focus)
    return f"{text} Paired by data seed it is {worse} the {top} on {listed(gaps, 2)}." if gaps else text


def _uncompared(tops: dict[str, Leader], datasets: list[str], focus: Pair) -> str:
    """On how many datasets its mean cannot be compared, since it, or every other mean, is of one draw."""
    single = [d for d in datasets if focus not in tops[d].compared]
    alone = [d for d in datasets if tops[d].compared == [focus]]
    text = f" On {plural(len(single), 'dataset')} it has one draw only, so no interval." if single else ""
    return text + (f" On {plural(len(alone), 'dataset')} no other pair has an interval." if alone else "")


def below(frames: Frames, tops: dict[str, Leader], scores: dict[str, str], focus: Pair) -> list[str]:
    """Datasets on which the mean is worse than the best one, paired, with the whole interval of the difference."""
    clauses = []
    for dataset, best in tops.items():
        gap = comparisons.difference(frames, dataset, scores[dataset], focus, best.top[0])
        sign = frames.sign(scores[dataset])
        if gap is not None and (gap.high < 0 if sign > 0 else gap.low > 0):
            clauses.append(f"`{dataset}` ({_gap(frames, scores[dataset], gap)} to {on(best.top[0])})")
    return clauses


def _gap(frames: Frames, score: str, gap: Interval) -> str:
    """The difference of two means of a score, with its name and interval."""
    return f"{frames.title(score)} {of_score(gap.mean, score)} {bounds(gap.low, gap.high, score)}{unit(score)}"


def counterpart(frames: Frames, scores: dict[str, str], focus: Pair | None, *, brief: bool = False) -> str:
    """The spectral method less the column norm of a plain network, paired by data seed."""
    pairs = comparisons.counterparts(frames)
    if focus is None or not pairs or len(frames.data_seeds) < 2:
        return ""
    clauses = []
    for other, kind in pairs[: 1 if brief else None]:
        shown: dict[str, list[str]] = {"above": [], "below": [], "": [], "single": []}
        for dataset, metric in scores.items():
            gap = comparisons.difference(frames, dataset, metric, focus, other)
            if gap is None:
                continue
            side = "single" if gap.n == 1 else "above" if gap.low > 0 else "below" if gap.high < 0 else ""
            known = side in ("above", "below")
            size = f" ({_gap(frames, metric, gap)})" if known else ""
            shown[side].append(f"`{dataset}`{size}")
        parts = [f"{side} on {listed(shown[side], FEW)}" for side in ("above", "below") if shown[side]]
        if shown[""] and brief:
            parts.append(f"no difference is shown on {plural(len(shown['']), 'dataset')}")
        elif shown[""]:
            parts.append(f"no difference is shown on {listed(shown[''], FEW)}")
        if shown["single"]:
            parts.append(f"one data seed is shared, so no interval, on {plural(len(shown['single']), 'dataset')}")
        if parts:
            clauses.append(f"to {on(other)}{f' ({kind})' if kind else ''}: {', '.join(parts)}")
    if not clauses:
        return ""
    if brief:
        return f"Compared {clauses[0]}."
    return (
        "The spectral relevance is the column norm of the folded layer: what the spectral form adds comes through "
        f"training. {on(focus)}, paired by data seed, compared {'; '.join(clauses)}."
    )


def spread(frames: Frames, scores: dict[str, str]) -> str:
    """Methods on one network, beside networks under one method."""
    spreads = {d: s for d, metric in scores.items() if (s := comparisons.spread(frames, d, metric))}
    if not spreads:
        return ""
    moved = [d for d, s in spreads.items() if s.of_networks > s.of_methods]
    agree = [d for d, s in spreads.items() if s.same_network > s.same_method]
    return (
        "Method or network? The score varies more over networks (models and seeds, one method) than over methods (one "
        f"network) on {len(moved)} of {plural(len(spreads), 'dataset')}. Two methods on one network rank the inputs "
        f"more alike than one method on two networks on {len(agree)} of {len(spreads)}."
    )
