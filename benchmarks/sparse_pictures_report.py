"""The report of ``sparse_pictures.py``: a page and a summary from the kept runs. Equal runs give equal bytes.

python benchmarks/sparse_pictures_report.py      # anew from reports/sparse_pictures/runs.jsonl
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pages
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray
from pages import Table, plain_numbers

from xai_bench.report.kit import drawing, pixels

HERE = Path(__file__).parent
RUNS = HERE.parent / "reports" / "sparse_pictures" / "runs.jsonl"
FORMS = {"spectral": "spectral", "group_lasso": "group lasso"}
COLORS = {"spectral": drawing.HIGHLIGHT, "group_lasso": drawing.PLAIN}
JUDGES = {"refit": "refits judge", "path": "its own networks judge"}
READING = ["case", "judged_by", "tolerance", "form"]
SIDE = 28


def read(path: Path) -> pd.DataFrame:
    """One row a run and reading, in a fixed order; of runs that were repeated the last."""
    frame = pd.read_json(path, lines=True, dtype=False, convert_dates=False)
    frame["judged_by"] = pd.Categorical(frame["judged_by"].fillna("refit"), list(JUDGES))
    keys = [*READING, "seed"]
    frame = frame.drop_duplicates(keys, keep="last")
    order = {case: i for i, case in enumerate(dict.fromkeys(frame["case"].sort_values()))}
    frame["order"] = frame["case"].map(order)
    frame["form"] = pd.Categorical(frame["form"], list(FORMS))
    return frame.sort_values(["order", "judged_by", "tolerance", "form", "seed"], ignore_index=True)


def chosen(runs: pd.DataFrame) -> NDArray[np.bool_]:
    """(runs, d) which inputs each run chose, in canonical order."""
    result = np.zeros((len(runs), int(runs["d"].iloc[0])), dtype=bool)
    for row, support in zip(result, runs["support"], strict=True):
        row[support] = True
    return result


def stability(selected: NDArray[np.bool_]) -> float:
    """Nogueira's index of m selections (m, d): 1 if all are equal, 0 as random ones (JMLR 18(174), definition 4)."""
    m, d = selected.shape
    share, size = selected.mean(0), selected.sum(1).mean()
    expected = size / d * (1 - size / d)
    return float(1 - m / (m - 1) * (share * (1 - share)).mean() / expected) if m > 1 and expected > 0 else np.nan


def mean_score(runs: pd.DataFrame, which: str) -> str:
    """The mean of one score over seeds."""
    values = [scores.get(which) for scores in runs["scores"]]
    return "–" if None in values else f"{np.mean(values):.3f}"


def cpu(runs: pd.DataFrame) -> str:
    """Median seconds: the walk, and the refits of all folds and levels."""
    return f"{runs['walk_cpu'].median():.1f} + {runs['refit_cpu'].median():.1f}"


class Goal(NamedTuple):
    """What is asked of a set of pictures: so few pixels, and so good on test rows."""

    pixels: int
    retrained: bool
    accuracy: str

    def met(self, runs: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(runs,) few enough, and (runs,) good enough."""
        if self.retrained:
            lost = np.array([scores["all"] - scores["chosen"] for scores in runs["scores"]])
            return runs["support"].map(len).to_numpy() <= self.pixels, lost <= 0.01 + 1e-9
        own = np.array([scores.get("unrefitted", np.nan) for scores in runs["scores"]])
        return runs["unrefitted_inputs"].to_numpy() <= self.pixels, own >= 0.99

    def counted(self, runs: pd.DataFrame) -> str:
        """In words."""
        few, good = self.met(runs)
        return (
            f"at most {self.pixels} pixels on {few.sum()}, {self.accuracy} on {good.sum()}, both on "
            f"{(few & good).sum()} of {len(runs)} seeds ({words(sorted(runs['seed'].tolist()))})"
        )


GOALS = {
    "mnist_01": Goal(30, False, "at least .99"),
    "mnist": Goal(150, True, "at most .01 below all pixels"),
}


def counted_pixels(sizes: pd.Series) -> str:
    """Mean and range."""
    return f"{sizes.mean():.1f} ({sizes.min():.0f} to {sizes.max():.0f})"


def reading(case: str, judge: str, tolerance: float, form: str) -> str:
    """What a row of the pictures is about."""
    return f"`{case}`, {FORMS[form]}, {JUDGES[judge]}, tolerance {tolerance:g}"


def pictures_table(runs: pd.DataFrame) -> Table:
    """One row a set of pictures, judge, tolerance and form."""
    rows = []
    for key, group in runs.groupby(READING, sort=False, observed=True):
        few, good = GOALS[key[0]].met(group)
        rows.append([
            reading(*key), f"{(few & good).sum()} of {len(group)}",
            counted_pixels(group["support"].map(len)), mean_score(group, "chosen"), mean_score(group, "all"),
            counted_pixels(group["unrefitted_inputs"]), mean_score(group, "unrefitted"),
            f"{stability(chosen(group)):.2f}", cpu(group),
        ])  # fmt: skip
    head = ["Data, form, choice", "As asked", "Pixels: mean (range)", "Accuracy, refitted", "Accuracy, all pixels",
            "Pixels of the path's network", "Its accuracy, not retrained", "Stability",
            "CPU seconds: walk + refits"]  # fmt: skip
    return Table("Pictures: pixels and accuracy over data seeds", head, rows)


def constants(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """The settings of each form, and what a case changes in them."""
    result = []
    for form, group in runs.groupby("form", sort=False, observed=True):
        base = json.loads(group["settings"].iloc[0])
        result.append((FORMS[form], group["settings"].iloc[0]))
        for case, of_case in group.groupby("case", sort=False):
            own = json.loads(of_case["settings"].iloc[0])
            changed = [f"{name} = {value}" for name, value in own.items() if value != base[name]]
            if changed:
                result.append((f"{FORMS[form]}, {case}", ", ".join(changed)))
    return result


def sentences(pictures: pd.DataFrame) -> list[str]:
    """What came out, in words, computed from the runs."""
    result = []
    for key, group in pictures.groupby(READING, sort=False, observed=True):
        goal, d = GOALS[key[0]], group["d"].iloc[0]
        gaps = [scores["all"] - scores["chosen"] for scores in group["scores"]]
        own = counted_pixels(group["unrefitted_inputs"])
        if goal.retrained:
            side = "below" if np.mean(gaps) >= 0 else "above"
            line = (
                f"{counted_pixels(group['support'].map(len))} of {d} pixels; refitted on them the accuracy is "
                f"{abs(np.mean(gaps)):.4f} {side} that of all pixels"
            )
        else:
            line = (
                f"the path's network, not retrained, has {own} of {d} pixels and an accuracy of "
                f"{mean_score(group, 'unrefitted')}"
            )
        result.append(f"{reading(*key)}: {line}; {goal.counted(group)}.")
    return result


def words(seeds: list[int]) -> str:
    """Numbers that follow each other by the first and the last."""
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def curves(runs: pd.DataFrame) -> str:
    """Held-out loss against the number of inputs, a panel a dataset, a line a seed."""
    cases = list(dict.fromkeys(runs["case"]))
    across = min(3, len(cases))
    down = -(-len(cases) // across)
    with drawing.style():
        figure, axes = drawing.new(3.2 * across, 2.2 * down, down, across)
        for axis, case in zip(axes.ravel(), cases, strict=False):
            group = runs[(runs["case"] == case) & (runs["tolerance"] == 0) & (runs["judged_by"] == "refit")]
            for form in reversed(FORMS):
                for _, run in group[group["form"] == form].iterrows():
                    # An empty support stands left of one input.
                    sizes, losses = np.maximum(run["sizes"], 0.5), run["losses"]
                    axis.plot(sizes, losses, "-", color=COLORS[form], lw=0.7, alpha=0.5)
                    axis.plot(sizes[run["level"]], losses[run["level"]], "o", color=COLORS[form], ms=3.4, mew=0)
            axis.set(xscale="log", title=case, xlabel="inputs, mean over folds", ylabel="held-out loss")
            plain_numbers(axis)
        for axis in axes.ravel()[len(cases) :]:
            axis.set_axis_off()
        return drawing.svg(figure, "curves")


def along_the_path(runs: pd.DataFrame) -> str:
    """Number of inputs against strength, data seed 0."""
    cases = list(dict.fromkeys(runs["case"]))
    across = min(3, len(cases))
    down = -(-len(cases) // across)
    with drawing.style():
        figure, axes = drawing.new(3.2 * across, 2.0 * down, down, across)
        for axis, case in zip(axes.ravel(), cases, strict=False):
            group = runs[(runs["case"] == case) & (runs["tolerance"] == 0) & (runs["judged_by"] == "refit")]
            for form in reversed(FORMS):
                for _, run in group[group["form"] == form].head(1).iterrows():
                    strengths = np.array(run["strengths"])[1:]
                    sizes = np.array(run["sizes"])[1 : len(strengths) + 1]
                    axis.plot(strengths, sizes, ".-", color=COLORS[form], lw=1.2, ms=4)
            axis.set(xscale="log", yscale="symlog", title=case, xlabel="strength", ylabel="inputs, mean over folds")
            axis.set_ylim(bottom=0)
            plain_numbers(axis)
        for axis in axes.ravel()[len(cases) :]:
            axis.set_axis_off()
        return drawing.svg(figure, "path")


def maps(runs: pd.DataFrame) -> list[tuple[str, Markup]]:
    """How often each pixel is chosen, as 28 x 28 pictures."""
    palette = pixels.colors()
    return [
        (
            reading(*key).replace("`", ""),
            Markup(pixels.drawn(chosen(group).mean(0).reshape(SIDE, SIDE), 1.0, palette)),
        )
        for key, group in runs.groupby(READING, sort=False, observed=True)
    ]


def write(path: Path = RUNS) -> None:
    """Write index.html and summary.md beside the runs."""
    runs = read(path)
    seeds = words(sorted(runs["seed"].unique().tolist()))
    content = {
        "seeds": seeds,
        "sentences": sentences(runs),
        "tables": [pictures_table(runs)],
        "curves": Markup(curves(runs)),
        "path": Markup(along_the_path(runs)),
        "maps": maps(runs),
        "scale": pixels.colors(),
        "constants": constants(runs),
    }
    pages.write("sparse_pictures", path.parent, content)


if __name__ == "__main__":
    write()
