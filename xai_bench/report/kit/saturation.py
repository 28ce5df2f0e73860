"""Where retained scores say little about the methods, in words that come from the numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

from xai_bench.report.kit import comparisons, wording
from xai_bench.report.kit.frames import CONTROLS, MASKED, NO_MODEL, Frames, records

FEW = 10
"""Inputs that are shown enlarged where more of them saturate."""
QUOTED = (17, 50)
"""Numbers of inputs that are quoted where there are at least MANY."""
MANY = 100
SMALL_PART = 40
"""A random choice of d / SMALL_PART inputs should leave something to find."""
SATURATED = 0.8
"""Share of what all inputs reach above the constant guess."""


class Saturation(NamedTuple):
    """``k`` random inputs of ``d`` reach ``random`` retrained, all inputs ``full``; a constant guess ``chance``."""

    k: int
    d: int
    random: float
    full: float
    chance: float


def saturation(frames: Frames, dataset: str) -> Saturation | None:
    """Of the retrained form: the random choice of few inputs that nearly does what all do, or None."""
    draws = frames.draws(dataset)
    curve = frames.curve(dataset, "retention_retrained")
    chance = frames.trained.loc[frames.trained["dataset"] == dataset, "chance"].mean()
    own = curve[curve["explainer"] == "random"].drop_duplicates("k").set_index("k")["mean"]
    if not draws or own.empty or not math.isfinite(chance):
        return None
    d = int(draws[0]["d"])
    few = [int(k) for k in own.index if k <= d / SMALL_PART]
    if not few or d not in own.index or sum(k <= FEW for k in few) < 3:
        return None
    level = Saturation(max(few), d, float(own[max(few)]), float(own[d]), float(chance))
    return level if level.random - level.chance >= SATURATED * (level.full - level.chance) > 0 else None


def words(frames: Frames, datasets: list[str]) -> list[str]:
    """Paragraphs on retained scores that say little about the methods; [] where none do."""
    return [*_few(frames, datasets), *_saturated(frames, datasets), *_sparse(frames, datasets)]


def _few(frames: Frames, datasets: list[str]) -> list[str]:
    """What a judge reaches with the quoted numbers of inputs, where there are many."""
    paragraphs = []
    focus = comparisons.focus(frames)
    for dataset in datasets:
        curve = frames.curve(dataset, "retention_retrained")
        values = {(r["model"], r["explainer"], int(r["k"])): float(r["mean"]) for r in records(curve)}
        d = int(frames.draws(dataset)[0]["d"])
        ks = [k for k in QUOTED if 2 * k <= d and any(key[2] == k for key in values)]
        if not frames.dense or d < MANY or not ks:
            continue
        clauses = []
        for k in ks:
            methods = {key: value for key, value in values.items() if key[2] == k and key[1] not in CONTROLS}
            random = next((value for key, value in values.items() if key[1:] == ("random", k)), None)
            model, explainer, _ = best = max(methods, key=lambda key: methods[key])
            texts = [f"random inputs {wording.number(random)}"]
            if focus and (own := methods.get((*focus, k))) is not None and (model, explainer) != focus:
                texts.append(f"`{focus.explainer}` on `{focus.model}` {wording.number(own)}")
            where = "" if model == NO_MODEL else f" on `{model}`"
            texts.append(f"the highest mean {wording.number(methods[best])} (`{explainer}`{where})")
            clauses.append(f"{k} of {d:,} inputs: {', '.join(texts)}")
        full = next((value for key, value in values.items() if key[2] == d), None)
        paragraphs.append(f"On `{dataset}`, retrained on {'; on '.join(clauses)}; on all: {wording.number(full)}.")
    return paragraphs


def _saturated(frames: Frames, datasets: list[str]) -> list[str]:
    paragraphs = []
    for dataset in datasets:
        if (level := saturation(frames, dataset)) is None:
            continue
        text = (
            f"On `{dataset}` retraining saturates: {level.k} inputs chosen at random out of {level.d:,} reach "
            f"{wording.number(level.random)}, all of them {wording.number(level.full)} (the constant guess "
            f"{wording.number(level.chance)}). Look at the first {FEW} inputs, which are drawn enlarged"
        )
        curve = frames.curve(dataset, "retention_retrained")
        curve = curve[(curve["k"] <= FEW) & ~curve["explainer"].isin(["oracle"])]
        methods = curve[curve["explainer"] != "random"].groupby("k")["mean"].agg(["min", "max"])
        if len(methods):
            k = int(str((methods["max"] - methods["min"]).idxmax()))
            low, high = (float(methods.loc[k, side]) for side in ("min", "max"))  # type: ignore[arg-type]
            random = float(curve.loc[(curve["explainer"] == "random") & (curve["k"] == k), "mean"].iloc[0])
            text += (
                f": with {wording.plural(k, 'input')}, where methods differ most, their means lie between "
                f"{wording.number(low)} and {wording.number(high)}, random inputs at {wording.number(random)}"
            )
        paragraphs.append(f"{text}.")
    return paragraphs


def _sparse(frames: Frames, datasets: list[str]) -> list[str]:
    """Where the masked gain depends on the network more than on the method."""
    gains = frames.retention
    gains = gains[(gains["metric"] == MASKED) & ~gains["explainer"].isin(CONTROLS) & (gains["model"] != NO_MODEL)]
    spreads = {}
    for dataset in datasets:
        means = gains[gains["dataset"] == dataset].pivot(index="model", columns="explainer", values="mean")
        means = means.dropna(axis=1)  # methods that ran on every network
        if min(means.shape) > 1:
            spreads[dataset] = math.sqrt(means.var(axis=0).mean()), math.sqrt(means.var(axis=1).mean())
    moved = [
        f"`{dataset}` ({wording.of_score(networks, MASKED)} points over networks, "
        f"{wording.of_score(methods, MASKED)} over methods)"
        for dataset, (networks, methods) in spreads.items()
        if networks > methods
    ]
    if not moved:
        return []
    return [
        "Masked curves measure how sparse a network is more than how good a ranking is: the standard deviation of the "
        "mean masked gain is larger over networks (one method) than over methods (one network) on "
        f"{len(moved)} of {wording.plural(len(spreads), 'dataset')}, {wording.listed(moved, 8)}."
    ]
