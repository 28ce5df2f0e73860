"""Tables over all datasets: the headline scores of every pair, and who stands where in one view."""

from __future__ import annotations

import pandas as pd

from xai_bench.report.kit import comparisons, wording
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.frames import CONTROLS, NO_MODEL, Frames
from xai_bench.report.kit.tables import (
    EMPTY,
    NO_BAR,
    Body,
    Box,
    Column,
    Row,
    Table,
    by_key,
    by_network,
    has_learned,
    mean_of,
    reached,
    scale_of,
    score,
)


def matrix(
    frames: Frames, frame: pd.DataFrame, scores: dict[str, list[str]], caption: str, controls: list[Row]
) -> Table:
    """Methods by network, datasets side by side. ``scores``: dataset to the scores that are shown."""
    rows, seeds = by_key(frame), len(frames.data_seeds)
    places = [(dataset, metric) for dataset, chosen in scores.items() for metric in chosen]
    scales = {place: scale_of(frames, *place) for place in places}

    def boxes(model: str, explainer: str) -> list[Box]:
        learned = {d: explainer in CONTROLS or has_learned(frames, d, model) for d in scores}
        return [score(rows.get((d, model, explainer, m)), scales[d, m], seeds, not learned[d]) for d, m in places]

    bodies = []
    for body in by_network(frames, boxes):
        facts = [(reached(frames, d, body.heading), len(chosen)) for d, chosen in scores.items()]
        bodies.append(Body(body.rows, body.heading, facts if body.heading != NO_MODEL else []))
    columns = [Column(frames.title(metric), dataset) for dataset, metric in places]
    bodies.append(Body(controls, "controls, not ranked"))
    return Table(caption, "Method, by network", columns, bodies, look="matrix")


def standings(frames: Frames, frame: pd.DataFrame, scores: dict[str, list[str]]) -> Table | None:
    """A row a dataset and score: the best mean and who cannot be told from it, the spectral method beside its plain
    counterpart, and whether method or network makes the difference."""
    focus = comparisons.focus(frames)
    others = comparisons.counterparts(frames) if focus else []
    signs = {frames.sign(metric) for metrics in scores.values() for metric in metrics}
    best = "highest" if signs <= {1} else "lowest" if signs == {-1} else "best"
    top = f"{best.capitalize()} mean"
    columns = [Column("Mean", top), Column("Reached by", top, text=True), Column("Not told apart", top)]
    if focus:
        own = f"{focus.explainer} on {focus.model}"
        columns += [Column("Mean", own), Column(f"less the {best}", own)]
        for pair, kind in others:
            columns.append(Column(f"less {pair.explainer} on {pair.model}" + (f" ({kind})" if kind else ""), own))
    deviation, agreement = "Standard deviation over", "Rank agreement"
    columns += [Column("methods, one network", deviation), Column("networks, one method", deviation)]
    columns += [Column("same network", agreement), Column("same method", agreement)]
    rows = [
        Row(f"{dataset}: {frames.title(metric)}", boxes)
        for dataset, metrics in scores.items()
        for metric in metrics
        if (boxes := _standing(frames, frame, dataset, metric, focus, [pair for pair, _ in others]))
    ]
    caption = "In one view. Differences are over the data seeds that both have."
    return Table(caption, "Dataset, score", columns, [Body(rows)], look="overview") if rows else None


def _standing(
    frames: Frames, frame: pd.DataFrame, dataset: str, metric: str, focus: Pair | None, others: list[Pair]
) -> list[Box]:
    """One row of ``standings``; [] without a value."""
    best, seeds = comparisons.leader(frames, frame, dataset, metric), len(frames.data_seeds)
    if best is None:
        return []
    one = best.top[0]
    who = one.explainer + (f" on {one.model}" if one.model != NO_MODEL else "")
    crowd = EMPTY
    if best.near is not None:
        single = f"{best.left_out} of one draw left out" if best.left_out else ""
        crowd = Box(f"{len(best.near)} of {len(best.compared)}", single, len(best.near))
    boxes = [mean_of(best.row, seeds), Box(who if len(best.top) == 1 else f"{len(best.top)} pairs", text=True), crowd]
    if focus:
        boxes.append(score(comparisons.value(frame, dataset, focus, metric), NO_BAR, seeds))
        for pair in (one, *others):
            gap = comparisons.difference(frames, dataset, metric, focus, pair)
            boxes.append(EMPTY if gap is None else mean_of({**gap._asdict(), "metric": metric}, seeds))
    spread = comparisons.spread(frames, dataset, metric)
    if spread is None:
        return [*boxes, *[EMPTY] * 4]
    return [
        *boxes,
        Box(wording.of_score(spread.of_methods, metric), value=spread.of_methods),
        Box(wording.of_score(spread.of_networks, metric), value=spread.of_networks),
        Box(wording.number(spread.same_network, 2), value=spread.same_network),
        Box(wording.number(spread.same_method, 2), value=spread.same_method),
    ]
