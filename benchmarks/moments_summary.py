"""The summary of ``moments.py``: tables and sentences from its runs. Equal runs give equal bytes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas as pd
from moments_rules import FAILURES, FRESH
from pages import Table

from xai_bench.statistics import Interval, interval

SHORT = {
    "moments": "moments",
    "spectral_moments": "spectral_moments",
    "random_forest": "random_forest",
    "spectral, start at 1": "spectral (1)",
    "spectral, start from moments": "spectral (moments)",
    "plain, start from moments": "plain (moments)",
}
OURS = ("moments", "spectral_moments")
OTHERS = ("random_forest", "spectral, start at 1", "plain, start from moments")
LEAST_RULES = 5
"""Below, no difference is stated."""
MOST_NOISE, MOST_SECONDS, LEAST_RING = 0.05, 10.0, 0.98
"""The aims: share of noise tables with a false selection; CPU seconds of the evidence at d = 2048; mean precision of it
on the ring family."""


def text(runs: pd.DataFrame) -> str:
    """The whole summary."""
    blocks = ["# Moments: inputs of rules that are new to the method", _intro(runs)]
    fresh, failures = runs[runs["part"] == "fresh"], runs[runs["part"] == "failure"]
    blocks += ["## Fresh rules", precision_table(fresh, FRESH).markdown(), *_fresh_words(fresh)]
    blocks += ["## Scores on rows that were not trained on", _score_note(), score_table(fresh).markdown()]
    names = tuple(dict.fromkeys(rule for rule, _ in FAILURES))
    blocks += ["## Where it fails, or is weak", precision_table(failures, names).markdown()]
    blocks += ["## Ring family", ring_table(runs).markdown(), *_ring_words(runs)]
    blocks += ["## Noise", _noise_words(runs)]
    return "\n\n".join(blocks) + "\n"


def _intro(runs: pd.DataFrame) -> str:
    fresh = runs[(runs["part"] == "fresh") & (runs["method"] == "moments")]
    draws = fresh.groupby("rule").size()
    spread = f"{draws.min()}" if draws.min() == draws.max() else f"{draws.min()} to {draws.max()}"
    return (
        f"Mean precision at p: the share of the p relevant inputs among the p highest ranked. {len(draws)} of "
        f"{len(FRESH)} fresh rules, {spread} data seeds each (of 0, 1, 2), 512 inputs, 833 rows. The rules and their "
        "formulas stand in `benchmarks/moments_rules.py`; they were written after the constants of the method were "
        "frozen. Every method may use all 833 rows; networks choose their checkpoint on a fifth of them. Written by "
        f"`python benchmarks/moments.py`, which measures what is missing. {_versions(runs)}"
    )


def _versions(runs: pd.DataFrame) -> str:
    """Which versions of xai-bench measured how many runs."""
    counts = runs["version"].fillna("not recorded").value_counts().sort_index()
    return f"Version of xai-bench: {', '.join(f'{name} ({count} runs)' for name, count in counts.items())}."


def _mean(values: pd.Series) -> str:
    return "–" if values.empty else f"{values.mean():.3f}"


def precision_table(runs: pd.DataFrame, rules: tuple[str, ...]) -> Table:
    """One row a rule, and the mean over rules."""
    rows = []
    for rule in rules:
        part = runs[runs["rule"] == rule]
        for n, some in part.groupby("rows", sort=False):
            cells = [_mean(some.loc[some["method"] == method, "precision"]) for method in SHORT]
            rows.append([f"`{rule}`", str(int(n) * 4 // 5), str(some["seed"].nunique()), *cells])
    means = [over_rules(runs, method) for method in SHORT]
    rows.append(
        ["mean over rules (how many)", "", "", *("–" if not m.n else f"**{m.mean:.3f}** ({m.n})" for m in means)]
    )
    return Table("", ["rule", "rows", "draws", *SHORT.values()], rows)


def over_rules(runs: pd.DataFrame, method: str, against: str | None = None) -> Interval:
    """Mean of the rules' mean precision, less that of another method on the same draws."""
    wide = runs.pivot_table(index=["rule", "rows", "seed"], columns="method", values="precision")
    if method not in wide or (against is not None and against not in wide):
        return interval([])
    values = wide[method] if against is None else wide[method] - wide[against]
    return interval(values.dropna().groupby(["rule", "rows"]).mean().to_numpy())


def _fresh_words(fresh: pd.DataFrame) -> list[str]:
    lines = []
    pairs = [*itertools.product(OURS, OTHERS), ("spectral_moments", "moments")]
    for method, other in pairs:
        found = over_rules(fresh, method, other)
        if found.n < LEAST_RULES:
            lines.append(f"- `{method}` against {other}: {found.n} rules have both, too few to say.")
            continue
        verdict = "above" if found.low > 0 else "below" if found.high < 0 else "not told apart"
        lines.append(
            f"- `{method}` less {other}: {found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}] over {found.n} "
            f"rules (t interval, rules as units): {verdict}."
        )
    false = fresh.loc[fresh["method"] == "moments", "false"].dropna()
    lines.append(
        f"- Of {len(false)} runs of `moments`, {int((false > 0).sum())} selected an input that does not matter, "
        f"{int(false.sum())} inputs in all."
    )
    return ["\n".join(lines)]


def _score_note() -> str:
    return (
        "Accuracy, or R2 in `mixed_regression` and `kinks`. `spectral_moments`: on the rows of the fold that a network "
        "has not seen, which the evidence has; the others: on test rows."
    )


def score_table(fresh: pd.DataFrame) -> Table:
    """Mean score of every method with one, by rule."""
    methods = [method for method in SHORT if method != "moments"]
    rows = []
    for rule in FRESH:
        part = fresh[fresh["rule"] == rule]
        if len(part):
            cells = [_mean(part.loc[part["method"] == method, "score"].dropna()) for method in methods]
            rows.append([f"`{rule}`", *cells])
    return Table("", ["rule", *(SHORT[method] for method in methods)], rows)


def ring_table(runs: pd.DataFrame) -> Table:
    """Mean precision and seconds, by set and number of inputs."""
    ring = runs[runs["part"] == "ring"]
    rows = []
    for (name, d), some in ring.sort_values(["rule", "d"], kind="stable").groupby(["rule", "d"], sort=False):
        cells = []
        for method in OURS:
            one = some[some["method"] == method]
            cells += [_mean(one["precision"]), _mean(one["cpu"])]
        score = _mean(some.loc[some["method"] == "spectral_moments", "score"].dropna())
        rows.append([f"`{name}`", str(d), *cells, score])
    head = ["set", "d", "moments", "CPU s", "spectral_moments", "CPU s", "accuracy"]
    return Table("", head, rows)


def _ring_words(runs: pd.DataFrame) -> list[str]:
    ring = runs[(runs["part"] == "ring") & (runs["method"] == "moments")]
    trained = runs[(runs["part"] == "ring") & (runs["method"] == "spectral_moments")]
    largest = ring[ring["d"] == 2048]
    if largest.empty:
        return ["The evidence at d = 2048 has not been measured yet."]
    most, perfect = largest["cpu"].max(), int((ring["precision"] == 1).sum())
    mean, met = ring["precision"].mean(), {True: "met", False: "missed"}
    return [
        f"The evidence: {ring['seed'].nunique()} draws, {ring['fold'].nunique()} folds of each, {len(ring)} cells; the "
        f"networks: {trained['seed'].nunique()} draws, one fold. {perfect} of {len(ring)} cells of the evidence have "
        f"precision 1; the mean is {mean:.3f}, the lowest cell {ring['precision'].min():.3f}. The aim of "
        f"{LEAST_RING:g}: {met[mean >= LEAST_RING]}. The evidence at d = 2048 took at most {most:.1f} CPU seconds of "
        f"one core, on a machine with other load. The aim of {MOST_SECONDS:g}: {met[most <= MOST_SECONDS]}."
    ]


def _noise_words(runs: pd.DataFrame) -> str:
    from scipy.stats import binomtest

    noise = runs[runs["part"] == "noise"]
    if noise.empty:
        return "Not measured yet."
    hits, n = int((noise["false"] > 0).sum()), len(noise)
    found = binomtest(hits, n).proportion_ci(method="exact")
    return (
        f"{hits} of {n} tables of pure noise ({int(noise['rows'].iloc[0])} rows, {int(noise['d'].iloc[0])} inputs) had "
        f"a selected input: {hits / n:.1%}, exact interval [{found.low:.1%}, {found.high:.1%}]. The aim of "
        f"{MOST_NOISE:.0%} at the most: {'met' if hits / n <= MOST_NOISE else 'missed'}."
    )


def read(path: Path) -> pd.DataFrame:
    """The runs in a fixed order."""
    runs = pd.read_csv(path, dtype={"version": str}, keep_default_na=False, na_values=[""])
    order = {rule: place for place, rule in enumerate(FRESH)}
    runs["place"] = runs["rule"].map(order).fillna(len(order))
    return runs.sort_values(
        ["part", "place", "rule", "rows", "d", "seed", "method", "fold"], kind="stable", ignore_index=True
    )
