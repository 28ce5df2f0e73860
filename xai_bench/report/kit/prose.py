"""The three questions in prose, generated from the frames. Names stand in backticks; nothing is crowned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from xai_bench.report import comparisons, saturation
from xai_bench.report.kit.comparisons import Leader, Pair
from xai_bench.report.kit.frames import AREAS, CONTROLS, DESCRIPTIVE, NO_MODEL, Frames
from xai_bench.report.kit.wording import bounds, listed, number, plural, seconds, times, title

FEW = 4
"""Datasets that are spelled out in a sentence."""


@dataclass(frozen=True)
class Answer:
    """One question: a few sentences for the first screen, and paragraphs."""

    short: str
    paragraphs: list[str]


def headline(frames: Frames, dataset: str) -> list[str]:
    """The recovery scores of the first table: who finds the inputs, and who orders them."""
    found = set(frames.recovery.loc[frames.recovery["dataset"] == dataset, "metric"])
    chosen = [metric for metric in ("auroc", "auroc_clear", "auroc_windows", "somers_d") if metric in found]
    return chosen or [metric for metric in frames.metrics if metric in found.difference(DESCRIPTIVE)][:1]


def on(pair: Pair) -> str:
    """A pair in words."""
    return f"`{pair.explainer}` (no model)" if pair.model == NO_MODEL else f"`{pair.explainer}` on `{pair.model}`"


def ticked(names: Sequence[str]) -> str:
    return listed([f"`{name}`" for name in names], FEW)


def recovery(frames: Frames) -> Answer:
    """Does it find the inputs that are truly relevant?"""
    frame = frames.recovery
    methods = frame[~frame["explainer"].isin(CONTROLS) & ~frame["metric"].isin(DESCRIPTIVE)]
    known = [d for d in frames.datasets if d in set(methods["dataset"])]
    if not known:
        text = "No answer: no method was scored, since no truth is known on these datasets or no explanation is done."
        return Answer(text, [text, *_unlearned(frames)])
    focus = comparisons.focus(frames)
    first = _interval_words(frames, methods)
    unknown = [d for d in frames.datasets if d not in known]
    if unknown:
        first += f" No truth, or no score, is known for {ticked(unknown)}: nothing is said about recovery there."
    order = {d: headline(frames, d)[-1] for d in known}
    graded = {d: metric for d, metric in order.items() if metric != headline(frames, d)[0]}
    paragraphs = [
        first,
        _crowd(frames, frame, {d: headline(frames, d)[0] for d in known}, focus),
        _crowd(frames, frame, graded, focus),
        _counterpart_words(frames, order, focus),
        _spread_words(frames, order),
        *_unlearned(frames),
    ]
    short = _short(frames, frame, {d: headline(frames, d)[0] for d in known}, focus, _value_of_score)
    below = _below(frames, _leaders(frame, graded), graded, focus) if focus else []
    if below:
        short += f" Paired by data seed, its order of the inputs is below the highest on {listed(below, 2)}."
    return Answer(
        f"{short} {_counterpart_words(frames, order, focus, brief=True)}".strip(), [p for p in paragraphs if p]
    )


def _value_of_score(metric: str) -> str:
    return title(metric)


def _value_of_area(metric: str) -> str:
    return "a retained area of"


def _interval_words(frames: Frames, methods: pd.DataFrame) -> str:
    seeds, most = frames.data_seeds, int(methods["n"].max())
    if most == 1:
        only = f"Every value rests on one of the {len(seeds)} data seeds only"
        only = f"There is one data seed only ({seeds[0]})" if len(seeds) == 1 else only
        return (
            f"{only}: no intervals, and no difference can be judged. "
            "Values are those of this seed, averaged over its model seeds and folds."
        )
    fewer = (methods["n"] < len(seeds)).any()
    text = (
        f"Values are means over {'up to ' if fewer else ''}{most} data seeds with their 95 % interval (Student’s t). A "
        "method whose interval overlaps that of the highest mean is marked •: it cannot be told from it here."
    )
    if fewer:
        text += f" Where a value rests on fewer than the suite’s {len(seeds)} data seeds, their number is beside it."
    if (methods["n"] == 1).any():
        text += " A mean of one draw has no interval: it is neither near nor apart, and no such count includes it."
    return text


def _leaders(frame: pd.DataFrame, scores: dict[str, str]) -> dict[str, Leader]:
    found = {d: comparisons.leader(frame, d, metric) for d, metric in scores.items()}
    return {d: best for d, best in found.items() if best is not None}


def _crowd(frames: Frames, frame: pd.DataFrame, scores: dict[str, str], focus: Pair | None) -> str:
    """How many cannot be told from the highest mean, and the method under study paired with it."""
    leaders = {d: best for d, best in _leaders(frame, scores).items() if best.near is not None}
    if not leaders:
        return ""
    shares = [
        f"{len(best.near or [])} of {len(best.compared)} on `{d}` ({title(scores[d])})" for d, best in leaders.items()
    ]
    text = f"Pairs of method and network that cannot be told from the highest mean: {listed(shares, 8)}."
    left_out = [best.left_out for best in leaders.values() if best.left_out]
    if left_out:
        text += f" Left out, of one draw: {plural(sum(left_out), 'value')} on {plural(len(left_out), 'dataset')}."
    leaders = {d: best for d, best in leaders.items() if focus in best.compared}
    if focus is None or not leaders:
        return text
    apart = [d for d, best in leaders.items() if focus not in (best.near or [])]
    everywhere = "wherever it has an interval" if len(leaders) < len(shares) else "on every dataset"
    text += f" {on(focus)} is " + (f"below it on {ticked(apart)}." if apart else f"among them {everywhere}.")
    below = _below(frames, leaders, scores, focus)
    if below:
        text += (
            f" Paired by data seed, which sees smaller differences, it is below the highest on {listed(below, FEW)}."
        )
    else:
        text += " Nor does a comparison paired by data seed show it below the highest mean on any of these."
    return text


def _short(
    frames: Frames, frame: pd.DataFrame, scores: dict[str, str], focus: Pair | None, words: Callable[[str], str]
) -> str:
    """The first screen: where the method under study stands, and how crowded the top is."""
    leaders = _leaders(frame, scores)
    name = words(next(iter(scores.values()), ""))
    judged = [d for d, best in leaders.items() if best.near is not None]
    own = {d: row for d in leaders if focus and (row := comparisons.value(frame, d, focus, scores[d]))}
    if own:
        judged = [d for d in judged if focus in leaders[d].compared]
    crowded = sum(2 * len(leaders[d].near or []) > len(leaders[d].compared) for d in judged) > len(judged) / 2
    if not focus or not own:
        tops = [
            f"{number(best.row['mean'])} on `{d}` "
            f"({on(best.top[0]) if len(best.top) == 1 else f'{len(best.top)} pairs'})"
            for d, best in leaders.items()
        ]
        text = f"Highest means, {name.removesuffix(' of')}: {listed(tops, FEW)}."
        return f"{text} The intervals of most pairs overlap these." if judged and crowded else text
    values = [f"{number(row['mean'])} on `{d}`" for d, row in own.items()]
    text = f"`{focus.explainer}` reaches {name} {listed(values, FEW)}."
    if len(frames.data_seeds) == 1:
        return f"{text} With one data seed nothing can be told apart."
    close = [d for d in judged if focus in (leaders[d].near or [])]
    if judged:
        text += f" Its interval overlaps that of the highest mean on {len(close)} of {plural(len(judged), 'dataset')}"
        text += ", as do those of most pairs." if crowded else "."
    text += _uncompared(leaders, list(own), focus)
    below = _below(frames, leaders, scores, focus)
    return f"{text} Paired by data seed it is below the highest on {listed(below, 2)}." if below else text


def _uncompared(leaders: dict[str, Leader], datasets: list[str], focus: Pair) -> str:
    """On how many datasets its mean cannot be compared, since it, or every other mean, is of one draw."""
    single = [d for d in datasets if focus not in leaders[d].compared]
    alone = [d for d in datasets if leaders[d].compared == [focus]]
    text = f" On {plural(len(single), 'dataset')} it has one draw only, so no interval." if single else ""
    return text + (f" On {plural(len(alone), 'dataset')} no other pair has an interval." if alone else "")


def _below(frames: Frames, leaders: dict[str, Leader], scores: dict[str, str], focus: Pair) -> list[str]:
    """Datasets on which the paired difference to the highest mean is below 0 with its whole interval."""
    found = []
    for dataset, best in leaders.items():
        gap = comparisons.difference(frames, dataset, scores[dataset], focus, best.top[0])
        if gap is not None and gap.high < 0:
            words = f"{title(scores[dataset])} {number(gap.mean)} {bounds(gap.low, gap.high)}"
            found.append(f"`{dataset}` ({words} to {on(best.top[0])})")
    return found


def _counterpart_words(frames: Frames, scores: dict[str, str], focus: Pair | None, *, brief: bool = False) -> str:
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
            size = f" ({title(metric)} {number(gap.mean)} {bounds(gap.low, gap.high)})" if known else ""
            shown[side].append(f"`{dataset}`{size}")
        parts = [f"{side} on {listed(shown[side], FEW)}" for side in ("above", "below") if shown[side]]
        if shown[""] and brief:
            parts.append("no difference is shown elsewhere" if parts else "no difference is shown")
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


def _spread_words(frames: Frames, scores: dict[str, str]) -> str:
    """Methods on one network, beside networks under one method."""
    found = {d: s for d, metric in scores.items() if (s := comparisons.spread(frames, d, metric))}
    if not found:
        return ""
    moved = [d for d, s in found.items() if s.of_networks > s.of_methods]
    agree = [d for d, s in found.items() if s.same_network > s.same_method]
    return (
        "Method or network? The score varies more over networks (models and seeds, one method) than over methods (one "
        f"network) on {len(moved)} of {plural(len(found), 'dataset')}. Two methods on one network rank the inputs more "
        f"alike than one method on two networks on {len(agree)} of {len(found)}."
    )


def _unlearned(frames: Frames) -> list[str]:
    rows = frames.trained
    if rows.empty:
        return []
    poor = rows[rows["learned"] < rows["of"]]
    if poor.empty:
        return ["Every network learned its task (one-sided test against the constant guess, p < .01)."]
    names = [f"`{row.model}` on `{row.dataset}` ({row.learned} of {row.of} did)" for row in poor.itertuples()]
    return [
        f"Not every training learned: {listed(names, 12)}. An explanation of a network that has learned nothing says "
        "little about its method; such rows are marked †."
    ]


def cost(frames: Frames) -> Answer:
    """What does it cost?"""
    frame = frames.cost(["model", "explainer"])
    if frame.empty:
        text = "No answer: no explanation is done."
        return Answer(text, [text])
    focus = comparisons.focus(frames)
    given = frame["given_cpu"]
    fast, slow = frame.iloc[int(given.argmin())], frame.iloc[int(given.argmax())]
    first = (
        "Medians over seeds and datasets. Given a trained model, the least CPU time is "
        f"{seconds(fast.given_cpu)} ({on(Pair(fast.model, fast.explainer))}), the most {seconds(slow.given_cpu)} "
        f"({on(Pair(slow.model, slow.explainer))})."
    )
    short = first.removeprefix("Medians over seeds and datasets. ")
    if focus:
        row = frame[(frame["model"] == focus.model) & (frame["explainer"] == focus.explainer)].iloc[0]
        others = frame[frame["explainer"] != focus.explainer]["given_cpu"]
        short = f"`{focus.explainer}` takes {seconds(row.given_cpu)} of CPU time once its network is trained"
        if len(others) and 0 < row.given_cpu < others.median():
            middle = float(others.median())
            short += f"; the median of the other pairs is {seconds(middle)}, {times(middle / row.given_cpu)} as much"
        short += f". Training takes {seconds(row.train_cpu)}." if row.train_cpu > 0 else "."
    return Answer(short, [f"{first} {_end_words(frames, frame)}".strip(), _clock_words(frames, frame)])


def _end_words(frames: Frames, frame: pd.DataFrame) -> str:
    """Training, and what is left of the differences end to end."""
    if frames.trained.empty:
        return ""
    training = frames.trained.groupby("model", sort=False)["train_cpu"].median()
    trains = [f"{seconds(value)} for `{model}`" for model, value in training.items()]
    whole = frame[(frame["datasets"] == frame["datasets"].max()) & (frame["model"] != NO_MODEL)]
    low, high = whole["end_cpu"].min(), whole["end_cpu"].max()
    return (
        f"Training takes {listed(trains)}. End to end, pairs with a network that ran on "
        f"{plural(int(whole['datasets'].max()), 'dataset')} take {seconds(low)} to {seconds(high)}."
    )


def _clock_words(frames: Frames, frame: pd.DataFrame) -> str:
    jobs = max((record.get("jobs") or 1 for record in frames.results.provenance), default=1)
    text = "A time is one measurement on one thread; short ones are noisy, and only large factors mean something."
    if jobs > 1:
        text += (
            f" Up to {jobs} jobs ran at once and shared caches and memory: CPU seconds are the fairer clock, wall "
            "seconds may be too long."
        )
    if frame["datasets"].nunique() > 1:
        text += " A method that ran on fewer datasets has its medians over these only: compare it within the datasets."
    return text


def retention(frames: Frames) -> Answer:
    """How accurate is a model that keeps only its top inputs?"""
    frame = frames.retention
    methods = frame[~frame["explainer"].isin(CONTROLS)]
    valued = [d for d in frames.datasets if d in set(methods["dataset"])]
    if not valued:
        text = "No answer: " + (
            "retention was not asked for in this suite." if not frames.results.suite.get("retention")
            else "no area has a value; the reasons stand below." if len(frames.retention_reasons)
            else "retention has not been judged."
        )  # fmt: skip
        return Answer(text, [text, *_without_area(frames)])
    focus = comparisons.focus(frames)
    scores = {d: AREAS[0] for d in valued if ((methods["dataset"] == d) & (methods["metric"] == AREAS[0])).any()}
    above = methods[methods["mean"] > 1]
    paragraphs = [
        "The area under the test score over the logarithm of k, the number of inputs kept; 0 is a random choice, 1 is "
        "what all inputs reach at every k. First retrained: a judge network, trained on the kept inputs only. Beside "
        "it masked: the explained network, all other inputs at their mean.",
        _crowd(frames, frame, scores, focus),
        _counterpart_words(frames, scores, focus),
        *saturation.words(frames, valued),
        "Retention alone can be gamed, by inputs that predict without being needed; read it beside recovery. "
        + ("No mean is above 1." if above.empty
           else f"{plural(len(above), 'mean')} above 1, shown as they are: fewer inputs did better than all."),
        *_without_area(frames),
    ]  # fmt: skip
    return Answer(_short(frames, frame, scores, focus, _value_of_area), [p for p in paragraphs if p])


def _without_area(frames: Frames) -> list[str]:
    """Where no area is shown, and why."""
    notes = []
    for dataset, group in frames.retention_reasons.groupby("dataset", sort=False):
        seeds = listed([str(seed) for seed in sorted(group["data_seed"].unique())])
        notes.append(f"`{dataset}` (data seeds {seeds}; for example: {group['reason'].iloc[0]})")
    if not notes:
        return []
    return [f"No value on {'; '.join(notes)}. These draws are left out of the mean; the number of seeds left is given."]
