"""The report of ``sparse_supports.py``: a page and a summary from the kept runs. Equal runs give equal bytes.

python benchmarks/sparse_report.py               # anew from reports/sparse/supports.csv
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pages
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray
from pages import Table, plain_numbers
from scipy.stats import binomtest

from xai_bench.datasets.base import Bools, Floats
from xai_bench.report.kit import drawing
from xai_bench.wording import plural

RUNS = Path(__file__).parents[1] / "reports" / "sparse" / "supports.csv"
STEPS = RUNS.with_name("steps.csv")
WALKS = ("refined", "in parts", "steady", "slow")
METHODS = {
    "spectral": "spectral form",
    "group_lasso": "group lasso",
    "steady_spectral": "spectral form, steady",
    "steady_group_lasso": "group lasso, steady",
    "slow_spectral": "spectral form, slow",
    "slow_group_lasso": "group lasso, slow",
    "l1": "L1 (linear)",
    "stg": "STG",
    "lassonet": "LassoNet",
}
OTHERS = {"l1": "L1 on linear models", "stg": "stochastic gates (STG)", "lassonet": "LassoNet"}
FORMS = ("spectral", "group_lasso")
STEADY = ("steady_spectral", "steady_group_lasso")
SLOW = ("slow_spectral", "slow_group_lasso")
PATHS = {FORMS: "the same path", STEADY: "the same steady path", SLOW: "the same slow path"}
"""Two methods that differ in the form only."""
COLORS = {"spectral": drawing.HIGHLIGHT, "group_lasso": drawing.PLAIN}
NUMBERS = ("relevant", "support", "strengths", "sizes", "changes", "losses")
CASES = (
    "gaussian_correlated",
    "xor",
    "null",
    "orange_skin",
    "nonlinear_additive",
    "gaussian_independent",
    "friedman1",
)
DRAWS = {**dict.fromkeys(METHODS, 10), "lassonet": 3}
"""How many were planned of each set; fewer are said."""
FEWEST = 5
"""With fewer common draws of a set nothing is concluded of it."""
LEVEL = 0.05
CLOSE = 1.01
"""Ratio of two strengths between which none was put."""
FREE = 0.75
"""What falls at this share of the penalty's speed, or more, is hardly held by the data."""


class Steps(NamedTuple):
    """What the steps of a path are.

    Attributes
    ----------
    changes : (steps,) inputs that leave or come back, mean over the networks
    larger : (steps,) whether that is more than one input, and more than 5 % of the inputs
    close : (steps,) whether its strengths are so close that none is put between them
    falls : (steps,) whether the number of inputs falls by that much; else inputs come and go
    """

    changes: Floats
    larger: Bools
    close: Bools
    falls: Bools

    @classmethod
    def of(cls, strengths: Floats, sizes: Floats, changes: Floats) -> Self:
        """From (levels,) strengths, (levels,) mean numbers of inputs and (levels - 1,) mean changes."""
        asked = np.maximum(1, 0.05 * sizes[:-1]) + 1e-9
        close = strengths[1:] <= strengths[:-1] * (CLOSE + 1e-5)  # six digits are kept
        return cls(changes, changes > asked, close, -np.diff(sizes) > asked)

    @classmethod
    def of_run(cls, run: pd.Series) -> Self:
        """Without the step to the empty support that ends an unfinished path."""
        levels = len(run["strengths"])
        return cls.of(run["strengths"], run["sizes"][:levels], run["changes"][: levels - 1])


def read(path: Path) -> pd.DataFrame:
    """One row a run, in a fixed order, with its mistakes; lists of numbers as arrays."""
    frame = pd.read_csv(path, converters=dict.fromkeys(NUMBERS, _numbers), keep_default_na=False, na_values=[""])
    frame = frame.drop_duplicates(["case", "method", "seed"], keep="last")
    frame["method"] = pd.Categorical(frame["method"], list(METHODS))
    frame["relevant_inputs"] = frame["relevant"].map(len)
    frame = frame.sort_values(["inputs", "relevant_inputs", "case", "method", "seed"], ignore_index=True)
    sets = [(set(chosen), set(true)) for chosen, true in zip(frame["support"], frame["relevant"], strict=True)]
    frame["found"] = [len(chosen & true) for chosen, true in sets]
    frame["false"] = [len(chosen - true) for chosen, true in sets]
    frame["missed"] = [len(true - chosen) for chosen, true in sets]
    frame["exact"] = frame["false"] + frame["missed"] == 0
    return frame


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(word) for word in text.split()])


def supports_table(runs: pd.DataFrame) -> Table:
    """One row a dataset and method."""
    rows = []
    for (case, method), group in runs.groupby(["case", "method"], sort=False, observed=True):
        found, false, missed = (group[name].sum() for name in ("found", "false", "missed"))
        first = group.iloc[0]
        rows.append([
            f"`{case}`, {METHODS[method]}", f"{first['rows']}, {first['inputs']}, {first['relevant_inputs']}",
            f"{group['exact'].sum()} of {len(group)}", str(false), str(missed),
            f"{found / (found + false):.3f}" if found + false else "–",
            f"{found / (found + missed):.3f}" if found + missed else "–",
            " / ".join(mean_score(group[f"score_{which}"]) for which in ("all", "true", "chosen")),
            f"{group['networks'].median():.0f}",
            f"{group['walk_cpu'].median():.1f} + {group['refit_cpu'].median():.1f}",
        ])  # fmt: skip
    head = ["Data, method", "n, d, true inputs", "Exact", "False", "Missed", "Precision", "Recall",
            "Score: all / true / chosen", "Networks trained", "CPU seconds: path + refits"]  # fmt: skip
    return Table("Exact supports over data seeds", head, rows)


def mean_score(values: pd.Series) -> str:
    """The mean over seeds; a dash where there is none."""
    return "–" if values.isna().any() else f"{values.mean():.3f}"


def paths_table(runs: pd.DataFrame) -> Table:
    """One row a dataset and form: how far the paths were refined."""
    rows = []
    walked = runs[runs["method"].isin([*FORMS, *STEADY, *SLOW])]
    for (case, form), group in walked.groupby(["case", "method"], sort=False, observed=True):
        steps = [Steps.of_run(run) for _, run in group.iterrows()]
        larger = [int(s.larger.sum()) for s in steps]
        rows.append([
            f"`{case}`, {METHODS[form]}", f"{group['levels_walked'].median():.0f}",
            f"{np.median([len(s.changes) for s in steps]):.0f}", f"{larger.count(0)} of {len(group)}",
            f"{np.median(larger):.0f}", f"{np.median([(s.larger & s.close).sum() for s in steps]):.0f}",
            f"{np.median([(s.larger & s.falls).sum() for s in steps]):.0f}",
            f"{np.median([s.changes.max() for s in steps]):.1f}",
        ])  # fmt: skip
    head = ["Data, form", "Strengths trained at", "Steps of the path", "Refined as asked", "Steps beyond",
            "Of them within 1 %", "Of them falls", "Largest step"]  # fmt: skip
    return Table("How fine the paths are", head, rows)


def sentences(runs: pd.DataFrame) -> list[str]:
    """What came out, in words, computed from the runs."""
    exact = runs.pivot(index=["case", "seed"], columns="method", values="exact")
    pairs = compared_pairs(runs)
    compared = [exact[list(pair)].dropna().astype(bool) for pair in pairs]
    adjusted = holm([sign_test(both) for both in compared])
    said = list(zip(pairs, compared, adjusted, strict=True))
    result = [conclusion(pair, both, p, qualified(runs, pair)) for pair, both, p in said if pair in PATHS]
    result += [against(pair, both, p, by_case(both)) for pair, both, p in said]
    return [*result, *refinement(runs), *short_of_draws(runs)]


def compared_pairs(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Which methods are compared: as many tests are adjusted for."""
    measured = set(runs["method"].unique())
    pairs = [FORMS, *(("spectral", method) for method in OTHERS), STEADY, SLOW]
    return [pair for pair in pairs if set(pair) <= measured]


def sign_test(both: pd.DataFrame) -> float:
    """Exact two-sided sign test on the draws on which one of two methods is exact."""
    first, second = (both.iloc[:, i] for i in (0, 1))
    only, other = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(only, only + other).pvalue) if only + other else 1.0


def holm(values: list[float]) -> list[float]:
    """p values adjusted for their number (Holm 1979)."""
    order = np.argsort(values)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.sort(values) * np.arange(len(values), 0, -1)))
    return adjusted.tolist()


def by_case(both: pd.DataFrame) -> list[str]:
    """The sets on which the second of two methods is exact as often, or more often."""
    counts = both.groupby(level="case").sum()
    return counts.index[counts.iloc[:, 1] >= counts.iloc[:, 0]].tolist()


def conclusion(pair: tuple[str, str], both: pd.DataFrame, p: float, qualification: str) -> str:
    """Whether it is the spectral form, or the penalty, that finds the supports."""
    counts = f"{both[pair[0]].sum()} against {both[pair[1]].sum()} of {draws_of(both)}"
    means = f"With {PATHS[pair]}, allowance, refits and choice"
    of_sets = both.groupby(level="case").size().reindex(list(CASES), fill_value=0)
    if of_sets.min() < FEWEST:
        return (
            f"{means}: exact are {counts}, spectral form and group lasso. With fewer than {FEWEST} draws of "
            f"{plural(int((of_sets < FEWEST).sum()), 'set')} nothing is concluded."
        )
    if p >= LEVEL:
        return (
            f"It is not shown that the spectral form makes a difference. {means} the supports of spectral form and "
            f"group lasso are exact on {counts} (p = {p:.2g}). {qualification}"
        )
    better = "more" if both[pair[0]].sum() > both[pair[1]].sum() else "fewer"
    return (
        f"{means} the spectral form finds {better} exact supports than the group lasso on a plain network, {counts} "
        f"(p = {p:.2g}), on these sets. {qualification}"
    )


def qualified(runs: pd.DataFrame, pair: tuple[str, str]) -> str:
    """What the larger steps of two paths leave open."""
    parts = []
    for method in pair:
        steps = [Steps.of_run(run) for _, run in runs[runs["method"] == method].iterrows()]
        beyond = sum(int(s.larger.sum()) for s in steps)
        if beyond:
            used_up = sum(int((s.larger & s.falls & ~s.close).sum()) for s in steps)
            come_and_go = sum(int((s.larger & ~s.falls).sum()) for s in steps)
            within = sum(int((s.larger & s.falls & s.close).sum()) for s in steps)
            parts.append(
                f"{METHODS[method]} {beyond}: {within} falls between strengths closer than {100 * (CLOSE - 1):.0f} %, "
                f"{used_up} falls where the allowance is used up, {come_and_go} times inputs come and go"
            )
    if not parts:
        return "Both paths are as fine as asked."
    which = "Both paths are" if len(parts) == 2 else "One path is"
    text = f"{which} coarser than asked (steps that are larger: {'; '.join(parts)})."
    if pair == FORMS and not runs["method"].isin(STEADY).any():
        text += (
            " Whether the difference remains where the noise of single batches is averaged (`models.path.STEADY`) was "
            "not measured."
        )
    return text


def draws_of(both: pd.DataFrame) -> str:
    """How many draws two methods have in common, of how many sets."""
    return f"{plural(len(both), 'common draw')} of {plural(both.index.unique('case').size, 'set')}"


def against(pair: tuple[str, str], both: pd.DataFrame, p: float, as_often: list[str]) -> str:
    """Two methods on the same draws."""
    first, second = (both[method] for method in pair)
    names = METHODS[pair[0]], METHODS[pair[1]]
    text = (
        f"Exact on {draws_of(both)}: {names[0]} {first.sum()}, {names[1]} {second.sum()}; both on "
        f"{(first & second).sum()}, only {names[0]} on {(first & ~second).sum()}, only {names[1]} on "
        f"{(second & ~first).sum()} (exact sign test, Holm: p = {p:.2g})"
    )
    sets = ", ".join(f"`{case}`" for case in as_often) or "no set"
    return f"{text}. {names[1][0].upper()}{names[1][1:]} is exact as often, or more often, on {sets}."


def refinement(runs: pd.DataFrame) -> list[str]:
    """Whether successive supports differ as little as was asked for."""
    result = []
    for form in (*FORMS, *STEADY, *SLOW):
        group = runs[runs["method"] == form]
        if len(group):
            steps = [Steps.of_run(run) for _, run in group.iterrows()]
            larger = [int(s.larger.sum()) for s in steps]
            met, close = larger.count(0), sum(int((s.larger & s.close).sum()) for s in steps)
            allowed = json.loads(group["settings"].iloc[-1])["most_levels"]
            result.append(
                "Asked for: successive supports that differ by one input, or 5 %, at the most (mean over folds). "
                f"{METHODS[form].capitalize()}: {'met' if met == len(group) else 'missed'}: {met} of {len(group)} "
                f"paths keep to it; {sum(larger)} of {sum(len(s.changes) for s in steps)} steps are larger, {close} of "
                f"these remain at a ratio of strengths of {CLOSE:g} or less. Strengths trained at: median "
                f"{group['levels_walked'].median():.0f}, largest {group['levels_walked'].max():.0f} of {allowed:.0f} "
                "allowed."
            )
    return result


def study(path: Path) -> tuple[Table | None, list[str]]:
    """Why steps are larger, by ``sparse_steps.py``: a table, and a sentence a form; nothing where it was not run."""
    if not path.exists():
        return None, []
    walks = pd.read_csv(path, keep_default_na=False, na_values=[""]).drop_duplicates(
        ["case", "method", "walk", "seed"], keep="last"
    )
    rows, said = [], []
    for form in FORMS:
        of_form, parts = walks[walks["method"] == form], []
        for label, group in ((label, of_form[of_form["walk"] == label]) for label in WALKS):
            if group.empty:
                continue
            steps, larger, close, falls = (group[name].sum() for name in ("steps", "larger", "close", "falls"))
            largest = f"{group['largest'].max():.1f}"
            rows.append([
                f"{METHODS[form]}, {label}", f"{len(group)}", f"{steps}", f"{larger}", f"{close}", f"{falls}", largest,
                number(group["networks"].mean(), 1), number(group["speed"].median(), 2),
                number(group["inputs"].median(), 0), number(group["arrival"].median(), 0),
                f"{group['trained'].median():.0f}", f"{group['cpu'].median():.1f}",
            ])  # fmt: skip
            parts.append(f"{label} {larger} of {steps} steps ({falls} falls, the largest step {largest})")
        if parts:
            said.append(
                f"{METHODS[form].capitalize()}, larger steps on {plural(of_form['case'].nunique(), 'set')}, data "
                f"{seeds_of(of_form)}: {'; '.join(parts)}.{why_larger(of_form)}"
            )
    head = ["Form, walk", "Paths", "Steps", "Larger", "Of them within 1 %", "Of them falls", "Largest step",
            "Networks that take part, of 5", "Speed", "Inputs", "Arrive in steps", "Strengths trained at",
            "CPU seconds"]  # fmt: skip
    return Table("Why steps are larger", head, rows), said


def number(value: float, digits: int) -> str:
    """A dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def why_larger(walks: pd.DataFrame) -> str:
    """What one form's walks say: how the inputs of larger steps fall, and whether a slow walk parts them."""
    steady, slow = (walks[walks["walk"] == label] for label in ("steady", "slow"))
    speed, arrival, inputs = (steady[name].median() for name in ("speed", "arrival", "inputs"))
    text = ""
    if not math.isnan(speed):
        text = (
            f" Steady: the inputs that leave in larger steps, {inputs:.0f} a network, fall at {speed:.2f} of the speed "
            f"of the penalty alone and arrive at 0 within {arrival:.0f} gradient steps (medians)."
        )
        if speed >= FREE:
            text += (
                " Hardly held by the data, they fall from one size at one speed, and strengths in between do not part "
                "them."
            )
    if len(slow):
        larger, trained = slow["larger"].sum(), slow["trained"].median()
        text += (
            f" Slow, with weak strengths as inputs arrive: {plural(int(larger), 'larger step')}, at {trained:.0f} "
            "strengths a path (median)."
        )
    return text


def seeds_of(runs: pd.DataFrame) -> str:
    """The data seeds of some runs."""
    return f"seed{'s' * (runs['seed'].nunique() > 1)} {words(set(runs['seed'].tolist()))}"


def short_of_draws(runs: pd.DataFrame) -> list[str]:
    """Sets and methods with fewer draws than planned."""
    counted = runs.groupby(["case", "method"], sort=False, observed=False).size()
    counted = counted.unstack(fill_value=0).reindex(list(CASES), columns=list(METHODS), fill_value=0)
    few = [
        f"{METHODS[method]} {missing_draws(counted[method], planned)}"
        for method, planned in DRAWS.items()
        if counted[method].sum() > 0 and (counted[method] < planned).any()
    ]
    return [f"Fewer draws than planned: {'; '.join(few)}."] if few else []


def missing_draws(counted: pd.Series, planned: int) -> str:
    """The sets with fewer draws than planned, by their number."""
    groups = []
    for number, group in counted[counted < planned].groupby(counted):
        sets = "all sets" if len(group) == len(counted) else ", ".join(f"`{case}`" for case in group.index)
        groups.append(f"{number} of {planned} on {sets}")
    return ", ".join(groups)


def constants(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """The settings of the two forms."""
    last = runs.drop_duplicates("method", keep="last").set_index("method")["settings"]
    return [(METHODS[form], last[form]) for form in (*FORMS, *STEADY, *SLOW) if form in last]


def words(seeds: Iterable[int]) -> str:
    """Numbers that follow each other by the first and the last."""
    known = sorted(seeds)
    if len(known) > 2 and known == list(range(known[0], known[-1] + 1)):
        return f"{known[0]} to {known[-1]}"
    return ", ".join(map(str, known))


def figure(runs: pd.DataFrame, kind: str) -> str:
    """A panel a dataset, a line a path: held-out loss against the number of inputs, or that against strength."""
    runs = runs[runs["method"].isin(FORMS)]
    cases = list(dict.fromkeys(runs["case"]))
    across = min(4, len(cases))
    down = -(-len(cases) // across)
    with drawing.style():
        canvas, axes = drawing.new(2.5 * across, 2.1 * down, down, across)
        for axis, case in itertools.zip_longest(np.ravel(axes), cases):
            if case is None:
                axis.set_axis_off()
                continue
            for form in reversed(FORMS):
                group = runs[(runs["case"] == case) & (runs["method"] == form)]
                for _, run in group.iterrows():
                    panel(axis, run, COLORS[form], kind)
            axis.set(title=case)
            plain_numbers(axis)
        return drawing.svg(canvas, kind)


def panel(axis: pages.Axes, run: pd.Series, color: str, kind: str) -> None:
    """One line."""
    if kind == "losses":
        sizes = np.maximum(run["sizes"], 0.5)  # an empty support stands left of one input
        axis.plot(sizes, run["losses"], "-", color=color, lw=0.7, alpha=0.6)
        axis.plot(sizes[run["level"]], run["losses"][run["level"]], "o", color=color, ms=3.4, mew=0)
        axis.axvline(max(run["relevant_inputs"], 0.5), color=drawing.GREY, lw=0.8, ls=drawing.DASHES[2], zorder=0)
        axis.set(xscale="log", xlabel="inputs, mean over folds", ylabel="held-out loss")
    else:
        strengths = run["strengths"][1:]
        axis.plot(strengths, run["sizes"][1 : len(strengths) + 1], ".-", color=color, lw=0.8, ms=3, alpha=0.6)
        axis.set(xscale="log", xlabel="strength", ylabel="inputs, mean over folds")
        axis.set_ylim(bottom=0)


def others(runs: pd.DataFrame) -> str:
    """Which further methods were measured."""
    measured = [name for method, name in OTHERS.items() if (runs["method"] == method).any()]
    if not measured:
        return "No other method was measured"
    if len(measured) == 1:
        return f"{measured[0]} brings further supports"
    return f"{', '.join(measured[:-1])} and {measured[-1]} bring further supports"


def one_split(runs: pd.DataFrame) -> str:
    """What is said of the methods that have no folds."""
    parts = {
        "stg": "STG trains one network a strength",
        "lassonet": "the path of LassoNet is one network",
    }
    return " and ".join(f"{part} on one split" for method, part in parts.items() if (runs["method"] == method).any())


def write(path: Path = RUNS) -> None:
    """Write index.html and summary.md beside the runs."""
    runs = read(path)
    table, said = study(path.with_name(STEPS.name))
    pages.write("sparse", path.parent, {
        "seeds": seeds_of(runs),
        "sets": "One set" if runs["case"].nunique() == 1 else f"{runs['case'].nunique()} sets",
        "others": others(runs),
        "one_split": one_split(runs),
        "tests": len(compared_pairs(runs)),
        "study": bool(said),
        "steady": bool(runs["method"].isin(STEADY).any()),
        "slow": bool(runs["method"].isin(SLOW).any()),
        "sentences": [*sentences(runs), *said],
        "tables": [supports_table(runs), paths_table(runs), *([table] if table else [])],
        "losses": Markup(figure(runs, "losses")),
        "path": Markup(figure(runs, "path")),
        "constants": constants(runs),
    })  # fmt: skip


if __name__ == "__main__":
    write()
