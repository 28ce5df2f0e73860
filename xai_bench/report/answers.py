"""The three questions in prose, generated from the tables. Names stand in backticks; nothing is crowned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from xai_bench.report import comparisons
from xai_bench.report.comparisons import Leader, Pair
from xai_bench.report.tables import AREAS, NO_MODEL, Tables
from xai_bench.report.wording import bounds, interval, listed, number, plural, seconds, times, title

FEW = 6
"""Datasets, or notes, that are spelled out in prose."""


@dataclass(frozen=True)
class Answer:
    """One question: a sentence or two for the first screen, paragraphs, and one point a dataset."""

    short: str
    before: list[str]
    points: list[str]
    after: list[str]


def headline(tables: Tables, dataset: str) -> list[str]:
    """The recovery scores that stand in the first table: enough to see who finds the inputs, and their order."""
    found = set(tables.recovery.loc[tables.recovery["dataset"] == dataset, "metric"])
    chosen = [metric for metric in ("auroc", "auroc_clear", "somers_d") if metric in found]
    return chosen or [metric for metric in tables.metrics if metric in found][:1]


def on(pair: Pair) -> str:
    """A pair in words."""
    return f"`{pair.explainer}` (no model)" if pair.model == NO_MODEL else f"`{pair.explainer}` on `{pair.model}`"


def recovery(tables: Tables) -> Answer:
    """Does it find the inputs that are truly relevant?"""
    frame = tables.recovery
    known = [d for d in tables.datasets if d in set(frame["dataset"])]
    unknown = [d for d in tables.datasets if d not in known]
    if not known:
        text = (
            "Recovery cannot be answered here: no score was measured, because the truly relevant inputs are not "
            "known on these datasets or no cell is done."
        )
        return Answer(text, [text], [], _unlearned(tables))
    focus = comparisons.focus(tables)
    before = ["Scores are means over data seeds" + _interval_words(tables)]
    if unknown:
        names = [f"`{d}`" for d in unknown]
        before[0] += f" No truth is known for {listed(names, FEW)}, so nothing is said about recovery there."
    points = [" ".join([_dataset_words(tables, d), *_standings(tables, frame, d, headline(tables, d), focus)])
              for d in known]  # fmt: skip
    after = [text for text in (_counterpart_words(tables, known, focus), _spread_words(tables, known)) if text]
    return Answer(_short(frame, known, "auroc", "AUROC", focus), before, points, [*after, *_unlearned(tables)])


def _interval_words(tables: Tables) -> str:
    n = len(tables.data_seeds)
    if n == 1:
        return (
            f" – there is one only ({tables.data_seeds[0]}), so there are no intervals and no differences can be judged."
        )
    return (
        f" with their 95 % interval (Student’s t, {n} data seeds). An interval that overlaps that of the highest mean "
        "is marked •; such methods cannot be told apart here."
    )


def _dataset_words(tables: Tables, dataset: str) -> str:
    facts = tables.draws(dataset)[0]
    relevant = f", {facts['n_relevant']} relevant" if facts.get("n_relevant") is not None else ""
    return f"`{dataset}` ({plural(facts['d'], 'input')}{relevant})."


def _standings(
    tables: Tables, frame: pd.DataFrame, dataset: str, metrics: list[str], focus: Pair | None
) -> list[str]:
    """Who leads, how many cannot be told from it, and where the method under study stands."""
    sentences = []
    for metric in metrics:
        best = comparisons.leader(frame, dataset, metric)
        if best is None:
            continue
        text = f"{title(metric)}: {_leader_words(best)}"
        if focus and focus not in best.top:
            row = comparisons.value(frame, dataset, focus, metric)
            if row is None:
                text += f"; {on(focus)} has no value"
            elif best.near is None:
                text += f"; {on(focus)} has {interval(row)}"
            else:
                place = "overlaps it" if focus in best.near else "lies below it"
                text += f"; that of {on(focus)}, {interval(row)}, {place}"
        sentences.append(f"{text}.")
    return sentences


def _leader_words(best: Leader) -> str:
    top = len(best.top)
    who = on(best.top[0]) if top == 1 else f"{top} of {best.of} pairs"
    if 1 < top <= 3:
        who = listed([on(pair) for pair in best.top])
    text = f"the highest mean is {interval(best.row)}, reached by {who}"
    if best.near is None or top == best.of:
        return text
    others, rest = len(set(best.near) - set(best.top)), best.of - top
    if others == 0:
        return f"{text}; no other interval overlaps it" if rest else text
    return f"{text}; the intervals of {others} of the {rest} others overlap it"


def _short(frame: pd.DataFrame, datasets: list[str], metric: str, name: str, focus: Pair | None) -> str:
    """The first screen: where the method under study stands, or how many share the lead."""
    leaders = {d: found for d in datasets if (found := comparisons.leader(frame, d, metric))}
    if not leaders:
        return f"{name} was not measured; see the table for the other scores."
    if focus:
        own = {d: row for d in leaders if (row := comparisons.value(frame, d, focus, metric))}
        values = [f"{number(row['mean'])} on `{d}`" for d, row in own.items()]
        if own:
            judged = [d for d in own if leaders[d].near is not None]
            close = [d for d in judged if focus in (leaders[d].near or [])]
            text = f"`{focus.explainer}` reaches {name} {listed(values, 4)}."
            if not judged:
                return f"{text} With one data seed there are no intervals to compare."
            short_of = [
                f"`{d}` ({number(leaders[d].row['mean'])}, {on(leaders[d].top[0])})" for d in judged if d not in close
            ]
            text += f" Its interval overlaps that of the highest mean on {len(close)} of {plural(len(judged), 'dataset')}"
            return f"{text}; it lies below on {listed(short_of, 3)}." if short_of else f"{text}."
    words = []
    for dataset, best in list(leaders.items())[:3]:
        share = "" if best.near is None else f", {len(best.near)} of {best.of} pairs cannot be told from it"
        words.append(f"the highest mean on `{dataset}` is {number(best.row['mean'])}{share}")
    return f"{name}: {'; '.join(words)}."


def _counterpart_words(tables: Tables, datasets: list[str], focus: Pair | None) -> str:
    """The spectral method less the column norm of a plain network, paired by data seed."""
    pairs = comparisons.counterparts(tables)
    if focus is None or not pairs:
        return ""
    clauses = []
    for other, kind in pairs:
        values = []
        for dataset in datasets:
            metric = headline(tables, dataset)[-1]
            gap = comparisons.difference(tables, dataset, metric, focus, other)
            if gap is not None:
                values.append(f"{number(gap.mean)} {bounds(gap.low, gap.high)}".strip() + f" on `{dataset}` ({title(metric)})")
        if values:
            clauses.append(f"{on(other)}{f' ({kind})' if kind else ''}: {listed(values, FEW)}")
    if not clauses:
        return ""
    return (
        f"What the spectral form adds shows against its plain counterpart, the column norm. {on(focus)} less "
        f"{'; less '.join(clauses)}. Differences are paired by data seed."
    )


def _spread_words(tables: Tables, datasets: list[str]) -> str:
    """Methods on one network, beside networks under one method."""
    found = {}
    for dataset in datasets:
        metric = headline(tables, dataset)[-1]
        spread = comparisons.spread(tables, dataset, metric)
        if spread:
            found[dataset] = metric, spread
    if not found:
        return ""
    scores = [f"{number(s.of_methods)} and {number(s.of_networks)} on `{d}` ({title(m)})" for d, (m, s) in found.items()]
    agree = [f"{number(s.same_network, 2)} and {number(s.same_method, 2)} on `{d}`" for d, (_, s) in found.items()]
    closer = sum(s.of_methods < s.of_networks for _, s in found.values())
    text = (
        "Method or network? The standard deviation of the score over methods on one network, and over networks (models "
        f"and seeds) under one method, is {listed(scores, FEW)}. The rank correlation of two relevance vectors, "
        f"same network and then same method, is {listed(agree, FEW)}."
    )
    return f"{text} The network matters more than the method on {closer} of {plural(len(found), 'dataset')}."


def _unlearned(tables: Tables) -> list[str]:
    rows = tables.trained
    if rows.empty:
        return []
    poor = rows[rows["learned"] < rows["of"]]
    if poor.empty:
        return ["Every network learned its task (one-sided test against the constant guess, p < .01)."]
    names = [
        f"`{row.model}` on `{row.dataset}` ({row.learned} of {row.of} trainings learned)" for row in poor.itertuples()
    ]
    return [
        f"Not learned: {listed(names, 12)}. Explanations of a network that has learned nothing say little about a "
        "method; such rows are marked †."
    ]


def cost(tables: Tables) -> Answer:
    """What does it cost?"""
    frame = tables.cost(["model", "explainer"])
    if frame.empty:
        text = "Cost cannot be answered here: no cell is done."
        return Answer(text, [text], [], [])
    focus = comparisons.focus(tables)
    everywhere = frame[frame["datasets"] == frame["datasets"].max()]
    fast, slow = frame.loc[frame["given_cpu"].idxmin()], frame.loc[frame["given_cpu"].idxmax()]
    extremes = (
        f"Given a trained model, the cheapest is {on(Pair(fast.model, fast.explainer))} with "
        f"{seconds(fast.given_cpu)} of CPU time, the dearest {on(Pair(slow.model, slow.explainer))} with "
        f"{seconds(slow.given_cpu)}"
    )
    training = tables.trained.groupby("model", sort=False)["train_cpu"].median()
    trains = [f"`{model}` {seconds(value)}" for model, value in training.items()]
    end = everywhere.loc[everywhere["end_cpu"].idxmin()]
    before = [f"Medians over seeds and datasets. {extremes}."]
    short = f"{extremes}."
    if focus:
        row = frame[(frame["model"] == focus.model) & (frame["explainer"] == focus.explainer)].iloc[0]
        middle = float(frame["given_cpu"].median())
        own = f"{on(focus)} takes {seconds(row.given_cpu)} of CPU time given a trained model"
        other = f"the median pair takes {seconds(middle)}"
        if row.given_cpu > 0 and middle > row.given_cpu:
            other += f", {times(middle / row.given_cpu)} as much"
        train = f"; training takes {seconds(row.train_cpu)}" if focus.model != NO_MODEL else ""
        short = f"{own}, {other}{train}."
        before.append(f"{own}; {other}.")
    if trains:
        before.append(
            f"Training takes {listed(trains)}. End to end the least is {seconds(end.end_cpu)} "
            f"({on(Pair(end.model, end.explainer))}), among pairs that ran on all {plural(int(end.datasets), 'dataset')}."
        )
    return Answer(short, [" ".join(before)], [], [_clock_words(tables)])


def _clock_words(tables: Tables) -> str:
    jobs = sorted({record.get("jobs") or 1 for record in tables.results.provenance})
    text = "Every time is of one thread and one measurement; short times are noisy, and only large factors mean something."
    if jobs and jobs[-1] > 1:
        text += (
            f" Up to {jobs[-1]} jobs ran at once: they share caches and memory, so CPU seconds are the fairer clock and "
            "wall seconds may be too long."
        )
    partial = tables.cost(["model", "explainer"])
    if partial["datasets"].nunique() > 1:
        text += " Where a method ran on fewer datasets, its medians are over these only and not comparable line by line."
    return text


def retention(tables: Tables) -> Answer:
    """How accurate is a model that keeps only its top inputs?"""
    retrained, masked = AREAS
    frame = tables.retention
    valued = [d for d in tables.datasets if d in set(frame["dataset"])]
    if not valued:
        text = "Retention cannot be answered here: " + (
            "it was not asked for in this suite." if not tables.results.suite.get("retention")
            else "no area has a value; the reasons stand below." if len(tables.retention_reasons)
            else "it has not been judged."
        )  # fmt: skip
        return Answer(text, [text], [], _without_area(tables))
    focus = comparisons.focus(tables)
    before = [
        "The area under the test score over the logarithm of k, the number of inputs kept, on a scale where 0 is a "
        "random choice and 1 is what all inputs reach. Retrained comes first: a judge network trained on the kept "
        "inputs only. Masked stands beside it: the explained network, its other inputs set to their mean."
    ]
    points = [" ".join([f"`{d}`.", *_standings(tables, frame, d, [retrained], focus)]) for d in valued]
    above = frame[(frame["mean"] > 1) & ~frame["explainer"].isin(["random", "oracle"])]
    after = [
        "Masked curves also measure how sparse a network is, since a network that ignores most inputs loses little "
        "with them. Retention alone can be gamed, by inputs that predict without being needed: read it beside recovery. "
        + ("No mean is above 1." if above.empty else f"{plural(len(above), 'mean')} above 1, shown as they are: fewer "
           "inputs did better than all.")
    ]  # fmt: skip
    short = _short(frame, valued, retrained, "a retained area (retrained) of", focus)
    return Answer(short.replace("reaches a retained", "keeps a retained"), before, points,
                  [*after, *_without_area(tables)])  # fmt: skip


def _without_area(tables: Tables) -> list[str]:
    """Where no area is shown, and why."""
    reasons = tables.retention_reasons
    notes = []
    for dataset, group in reasons.groupby("dataset", sort=False):
        seeds = sorted(group["data_seed"].unique())
        example = group["reason"].iloc[0]
        notes.append(f"`{dataset}` (data seeds {listed([str(s) for s in seeds])}; for example: {example})")
    if not notes:
        return []
    return [f"No value on {'; '.join(notes)}. Such draws are left out of the mean, and the number of seeds is given."]


def spread_frame(tables: Tables) -> pd.DataFrame:
    """One row a dataset and headline score: the fields of ``comparisons.Spread``."""
    rows = []
    for dataset in tables.datasets:
        for metric in headline(tables, dataset):
            found = comparisons.spread(tables, dataset, metric)
            if found and np.isfinite(found.of_methods):
                rows.append({"dataset": dataset, "metric": metric, **found.__dict__})
    return pd.DataFrame(rows)
