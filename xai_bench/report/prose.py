"""The sentences of the report: each is derived from the stored numbers, and says no more than they do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from xai_bench.report.layout import number, pair_text, seconds, times, title, with_interval
from xai_bench.report.tables import Facts, Pair, agreement, spread
from xai_bench.statistics import Interval


@dataclass(frozen=True)
class Answer:
    """One of the three questions. ``short`` is for the first screen, ``long`` for the section."""

    key: str
    name: str
    question: str
    short: list[str]
    long: list[str]


def listed(words: Iterable[str], join: str = "and") -> str:
    """``a, b and c``"""
    found = list(words)
    return f"{', '.join(found[:-1])} {join} {found[-1]}" if len(found) > 1 else "".join(found)


def plural(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def answers(facts: Facts) -> list[Answer]:
    """The three questions, answered."""
    return [
        Answer(
            "recovery",
            "Recovery",
            "Does a method find the inputs that are truly relevant?",
            _recovery_short(facts),
            _recovery_long(facts),
        ),
        Answer("cost", "Cost", "What does an answer cost?", _cost_short(facts), _cost_long(facts)),
        Answer(
            "retention",
            "Retention",
            "How good is a model that keeps only the top-ranked inputs?",
            _retention_short(facts),
            _retention_long(facts),
        ),
    ]


def what_was_run(facts: Facts) -> str:
    """One line: how much of what."""
    parts = [
        plural(len(facts.datasets), "dataset"),
        plural(len(facts.models), "network"),
        plural(len(facts.explainers), "method"),
        plural(len(facts.planned_seeds), "data seed"),
        plural(facts.run["model_seed"].nunique(), "model seed"),
    ]
    folds = facts.run["fold"].nunique() if len(facts.run) and facts.run["fold"].max() >= 0 else 0
    return listed([*parts, plural(folds, "fold")] if folds else parts) + "."


def part_run(facts: Facts) -> str:
    """What is missing, if anything."""
    counts = facts.cells["status"].value_counts()
    if not counts.get("missing", 0):
        return ""
    planned = list(dict.fromkeys(facts.cells["dataset"]))
    absent = [name for name in planned if name not in facts.datasets]
    what = f" Not run at all: {listed(absent)}." if absent else ""
    return f"This is a part of the suite: {counts['missing']} of {len(facts.cells)} cells were not run.{what}"


def single_seed(facts: Facts) -> str:
    """A warning where no interval can be given."""
    if len(facts.planned_seeds) > 1:
        return ""
    return "There is one data seed only: no interval can be given, and no difference below can be told from chance."


def _focus(facts: Facts) -> str:
    return pair_text(facts.spectral) if facts.spectral else ""


# -- recovery ----------------------------------------------------------------------------------------


def _headlines(facts: Facts) -> list[tuple[str, str]]:
    found = ((dataset, facts.headline(dataset)) for dataset in facts.known)
    return [(dataset, metric) for dataset, metric in found if metric]


def _recovery_short(facts: Facts) -> list[str]:
    headlines = _headlines(facts)
    if not headlines:
        return ["No dataset of this run has a known truth, so recovery cannot be measured."]
    sentences = []
    if facts.spectral:
        values = []
        for dataset, metric in headlines:
            value = facts.score(dataset, facts.spectral, metric)
            if value:
                values.append(f"{with_interval(value)} on {dataset} ({title(metric)})")
        if values:
            sentences.append(f"{facts.spectral[1].capitalize()} relevance reaches {listed(values)}.")
        sentences += _standing(facts, _score_values(facts))
    else:
        for dataset, metric in headlines:
            sentences += _best(facts, dataset, metric, {p: facts.score(dataset, p, metric) for p in facts.pairs})
    sentences += _gaps_short(facts, headlines)
    return sentences


def _score_values(facts: Facts) -> list[tuple[str, dict[Pair, Interval | None]]]:
    return [(d, {p: facts.score(d, p, m) for p in facts.pairs}) for d, m in _headlines(facts)]


def _standing(facts: Facts, values: Sequence[tuple[str, dict[Pair, Interval | None]]]) -> list[str]:
    """On which datasets the interval of the spectral pair overlaps that of the highest mean."""
    near, far, unlearned = [], [], []
    for dataset, found in values:
        own = found.get(facts.spectral) if facts.spectral else None
        best, overlapping = facts.overlapping(dataset, found)
        if own is None or not math.isfinite(own.mean) or best is None or found[best].n < 2:  # type: ignore[union-attr]
            continue
        if not facts.all_learned(dataset, facts.spectral[0]):  # type: ignore[index]
            unlearned.append(dataset)
        else:
            (near if facts.spectral in overlapping else far).append(dataset)
    sentences = []
    if near:
        sentences.append(f"Its interval overlaps that of the highest mean on {listed(near)}.")
    if far:
        sentences.append(f"It stays below the highest mean, without overlap, on {listed(far)}.")
    if unlearned:
        sentences.append(f"Its network did not always learn on {listed(unlearned)}: it is not compared there.")
    return sentences


def _difference(gap: Interval) -> str:
    """``+0.012 [−0.030, 0.054]``"""
    sign = "+" if gap.mean > 0 else ""
    return f"{sign}{with_interval(gap)}"


def _told_apart(gap: Interval) -> bool:
    return math.isfinite(gap.low) and (gap.low > 0 or gap.high < 0)


def _gap(facts: Facts, dataset: str, metric: str, other: Pair) -> Interval | None:
    assert facts.spectral is not None
    if not (facts.score(dataset, facts.spectral, metric) and facts.score(dataset, other, metric)):
        return None
    frame = facts.results.measurements
    return facts.paired(frame[frame["metric"] == metric], dataset, facts.spectral, other)


def _gaps_short(facts: Facts, headlines: list[tuple[str, str]]) -> list[str]:
    if not facts.spectral or not facts.column_norms:
        return []
    sentences = []
    for pair, penalty in facts.column_norms:
        gaps = [(d, _gap(facts, d, m, pair)) for d, m in headlines]
        known = [(d, g) for d, g in gaps if g and math.isfinite(g.low)]
        if not known:
            continue
        above = [d for d, g in known if g.low > 0]
        below = [d for d, g in known if g.high < 0]
        words = [f"above it on {listed(above)}"] if above else []
        words += [f"below it on {listed(below)}"] if below else []
        text = listed(words) if words else f"not told apart from it on any of {plural(len(known), 'dataset')}"
        sentences.append(f"Against the column norm of a {penalty}, paired by data seed, it is {text}.")
    return sentences


def _best(facts: Facts, dataset: str, metric: str, found: dict[Pair, Interval | None]) -> list[str]:
    best, near = facts.overlapping(dataset, found)
    scored = [pair for pair, value in found.items() if value and math.isfinite(value.mean)]
    if best is None:
        if not scored:
            return []
        return [f"{dataset}: no pair is compared, since no network learned in every run."]
    value = found[best]
    assert value is not None
    equal = [pair for pair in scored if found[pair].mean == value.mean]  # type: ignore[union-attr]
    shown = f"{pair_text(best)}" if len(equal) == 1 else f"{plural(len(equal), 'pair')}, {pair_text(best)} among them"
    text = f"{dataset}, {title(metric)}: the highest mean is {with_interval(value)}, of {shown}"
    if value.n < 2:
        return [f"{text} (one data seed, no interval)."]
    return [f"{text}; {'the interval' if len(near) == 1 else 'the intervals'} of {len(near)} of {plural(len(scored), 'pair')} {'overlaps' if len(near) == 1 else 'overlap'} its own."]


def _recovery_long(facts: Facts) -> list[str]:
    headlines = _headlines(facts)
    if not headlines:
        return _recovery_short(facts)
    paragraphs = []
    for dataset, metric in headlines:
        found = {p: facts.score(dataset, p, metric) for p in facts.pairs}
        sentences = _best(facts, dataset, metric, found)
        if facts.spectral and found.get(facts.spectral):
            sentences.append(f"{facts.spectral[1].capitalize()} has {with_interval(found[facts.spectral])}.")
            for pair, penalty in facts.column_norms:
                gap = _gap(facts, dataset, metric, pair)
                if gap and gap.n:
                    verdict = "" if math.isnan(gap.low) else ": told apart" if _told_apart(gap) else ": not told apart"
                    sentences.append(f"Minus column norm of the {penalty}: {_difference(gap)}{verdict}.")
        sentences += _clear(facts, dataset)
        sentences += _spread(facts, dataset, metric)
        paragraphs.append(" ".join(sentences))
    return [*paragraphs, *_unlearned(facts)]


def _clear(facts: Facts, dataset: str) -> list[str]:
    value = facts.score(dataset, facts.spectral, "auroc_clear") if facts.spectral else None
    if not value:
        return []
    resolution = facts.draws[dataset].get("resolution")
    return [f"AUROC over inputs whose graded truth is at least {resolution:g}, and noise: {with_interval(value)}."]


def _spread(facts: Facts, dataset: str, metric: str) -> list[str]:
    found = spread(facts, dataset, metric)
    if found is None:
        return []
    within, across, methods, networks = found
    text = (
        f"On one and the same network the {methods} methods that ran on all {networks} kinds have a standard deviation of "
        f"{number(within)}; for one method the {networks} kinds of network have {number(across)}"
    )
    if within < across:
        text += ": the network matters more than the method that reads it"
    elif across < within:
        text += ": the method matters more than the network"
    rank = agreement(facts, dataset)
    tail = f". Two methods’ rankings on one network correlate by {number(rank, 2)} (median Spearman)." if rank is not None else "."
    return [text + tail]


def _unlearned(facts: Facts) -> list[str]:
    bad = [(d, m, right, total) for (d, m), (right, total) in facts.learned.items() if right < total]
    if not bad:
        return ["Every network learned: each is better than the constant guess (p < .01)."] if facts.learned else []
    words = [f"{model} on {dataset} ({total - right} of {total})" for dataset, model, right, total in bad]
    return [
        f"Networks that did not learn (not better than the constant guess at p < .01): {'; '.join(words)}. What a "
        "method reads from them says little; their rows are marked, and take no part in comparisons with the highest mean."
    ]


# -- cost --------------------------------------------------------------------------------------------


def _ratios(facts: Facts, column: str) -> dict[Pair, float]:
    """Pair to the median, over datasets both have, of its cost over that of the spectral pair."""
    table = facts.cost.pivot_table(index="dataset", columns=["model", "explainer"], values=column, aggfunc="first", sort=False)
    if facts.spectral not in table.columns:
        return {}
    ratios = table.div(table[facts.spectral], axis=0)
    return {p: float(np.nanmedian(ratios[p])) for p in facts.pairs if p in ratios and ratios[p].notna().any()}


def _overall(facts: Facts, pair: Pair, column: str) -> float:
    frame = facts.cost_overall
    rows = frame[(frame["model"] == pair[0]) & (frame["explainer"] == pair[1])]
    return float(rows[column].iloc[0]) if len(rows) else math.nan


def _cost_short(facts: Facts) -> list[str]:
    if facts.cost.empty:
        return ["Nothing was explained, so there is no cost to report."]
    sentences = []
    if facts.spectral and not math.isnan(_overall(facts, facts.spectral, "given_cpu")):
        given, end = (_overall(facts, facts.spectral, c) for c in ("given_cpu", "end_cpu"))
        train = _overall(facts, facts.spectral, "train_cpu")
        sentences.append(f"Given a trained network, {facts.spectral[1]} relevance takes {seconds(given)} of CPU (median).")
        same = {p: r for p, r in _ratios(facts, "given_cpu").items() if p[0] == facts.spectral[0] and p != facts.spectral}
        if same:
            cheap, dear = min(same, key=same.__getitem__), max(same, key=same.__getitem__)
            sentences.append(
                f"Other methods on the same network take {times(same[cheap])} ({cheap[1]}) to {times(same[dear])} times "
                f"({dear[1]}) as much."
            )
        sentences.append(f"End to end, training is nearly all of it: {seconds(train)} of {seconds(end)}." if train > 0.9 * end else f"End to end it takes {seconds(end)}, of which training is {seconds(train)}.")
        sentences += _training(facts)
    else:
        frame = facts.cost_overall
        low, high = frame.loc[frame["given_cpu"].idxmin()], frame.loc[frame["given_cpu"].idxmax()]
        for word, row in (("least", low), ("most", high)):
            sentences.append(f"Given a network, {row['explainer']} takes the {word}: {seconds(row['given_cpu'])} of CPU (median).")
    return sentences


def _training(facts: Facts) -> list[str]:
    """What the spectral form adds to training."""
    assert facts.spectral is not None
    mine = facts.networks[facts.networks["model"] == facts.spectral[0]].groupby("dataset")["train_cpu"].median()
    words = []
    for model in facts.models:
        if model != facts.spectral[0]:
            other = facts.networks[facts.networks["model"] == model].groupby("dataset")["train_cpu"].median()
            ratio = float((mine / other).median())
            if math.isfinite(ratio):
                words.append(f"{times(ratio)} times that of {model}")
    return [f"Training {facts.spectral[0]} takes {listed(words)} (median over datasets)."] if words else []


def _cost_long(facts: Facts) -> list[str]:
    paragraphs = [" ".join(_cost_short(facts))]
    if facts.cost.empty:
        return paragraphs
    partial = facts.cost_overall
    partial = partial[partial["datasets"] < len(facts.datasets)]
    jobs = {run.get("jobs") for run in facts.results.provenance}
    most = max((j or 1 for j in jobs), default=1)
    text = "CPU seconds come first because other work on a machine disturbs them less than wall time. Every time is that of one thread, and noisy: read factors, not digits."
    if most > 1:
        text += f" Up to {most} jobs ran at once and shared caches and memory bandwidth; that lengthens times, wall time most."
    paragraphs.append(text)
    if len(partial):
        names = dict.fromkeys(partial["explainer"])
        paragraphs.append(
            f"{listed(names)} ran on some datasets only (column “datasets”), the others being too large or not "
            "supported: their medians are over other datasets and are not comparable; the ratios above are, being taken on shared ones."
        )
    return paragraphs


# -- retention ---------------------------------------------------------------------------------------


def _area_values(facts: Facts, form: str) -> list[tuple[str, dict[Pair, Interval | None]]]:
    datasets = [d for d in facts.datasets if ((facts.areas["dataset"] == d) & facts.areas["mean"].notna()).any()]
    return [(d, {p: facts.area(d, p, form) for p in facts.pairs}) for d in datasets]


def _retention_short(facts: Facts) -> list[str]:
    if facts.areas.empty:
        return ["Retention was not judged in this run."]
    values = _area_values(facts, "retrained")
    values = [(d, found) for d, found in values if any(v and math.isfinite(v.mean) for v in found.values())]
    if not values:
        return ["No area has a value: all inputs are nowhere clearly better than random ones. The reasons stand below the table."]
    sentences = []
    if facts.spectral:
        own = [found[facts.spectral].mean for _, found in values if found.get(facts.spectral)]  # type: ignore[union-attr]
        own = [v for v in own if math.isfinite(v)]
        if own:
            extent = number(own[0]) if len(own) == 1 else f"{number(min(own))} to {number(max(own))}"
            sentences.append(
                f"Retrained on the top inputs of the {facts.spectral[1]} ranking, the judge keeps {extent} of what all inputs "
                f"add over random ones ({plural(len(own), 'dataset')}; 0 random, 1 all inputs)."
            )
        sentences += _standing(facts, values)
    else:
        for dataset, found in values:
            sentences += _best(facts, dataset, "retained area", found)
    none = [d for d in facts.datasets if d not in dict(values)]
    if none:
        sentences.append(f"No value on {listed(none)}; the reasons stand below the table.")
    return sentences


def _retention_long(facts: Facts) -> list[str]:
    if facts.areas.empty:
        return _retention_short(facts)
    paragraphs = [" ".join(_retention_short(facts))]
    details = []
    for dataset, found in _area_values(facts, "retrained"):
        details += _best(facts, dataset, "retrained area", found)
    if facts.spectral and details:
        paragraphs.append(" ".join(details))
    paragraphs.append(
        "The retrained form comes first: its judge is always the same plain network, trained on the kept inputs alone. The masked "
        "form blanks inputs of the explained network, which never saw such rows: it also measures how sparse that network is. "
        "Retention alone can be gamed: one of two inputs that say the same is enough. Values above 1 (fewer inputs do better "
        "than all) and below 0 are shown as they are."
    )
    return paragraphs
