"""The choice of the training schedules, and ``reports/schedules/summary.md``, from what ``choose_schedules`` measured.

The points are kept in ``reports/schedules/points.csv.gz``; equal points give equal bytes.

    python benchmarks/schedules_report.py              # from runs/schedules where it is, and keep its points
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import schedules_choice as rule
from choose_schedules import KEY as POINT
from choose_schedules import RAW, SCORES
from pages import Table
from schedules_choice import SCHEDULE, Choice
from schedules_claims import claims
from schedules_grid import SIZES, Size

from xai_bench.models.base import CHECKPOINTS, SMALL_TABLE
from xai_bench.models.mlp import MLP

FOLDER = Path(__file__).parent.parent / "reports" / "schedules"
KEPT = FOLDER / "points.csv.gz"
WORDS = {"first": "first layer", "saliency": "saliency"}
STEPS = {
    "3": "settled, and its validation loss within one standard error of the best (rule 3)",
    "a": "settled on average, not surely; validation loss within one standard error of the best (fall-back a)",
    "b": "settled on average; validation loss more than one standard error above the best (fall-back b)",
    "c": "not settled; the best signs with a good validation loss (fall-back c)",
    "d": "nothing settles or is good; the best signs within 1000 steps (fall-back d)",
}
NOW = {"small": ("cosine", "last", 300.0), "medium": ("cosine", "best", 100.0)}
"""The points of the grid nearest to the defaults: 1000 steps; last weights on small tables."""
BEFORE = {"small": ("cosine", "best", 100.0), "medium": ("cosine", "best", 30.0)}
"""Those nearest to the defaults of version 0.2.0: 200 steps or 40 epochs, best of 20 looks."""


def points() -> pd.DataFrame:
    """What was measured; kept in the reports if it was measured here."""
    if RAW.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        lines = RAW.read_text().splitlines()
        text = "\n".join([lines[0], *sorted(lines[1:])]) + "\n"
        KEPT.write_bytes(gzip.compress(text.encode(), mtime=0))
    return pd.read_csv(KEPT).drop_duplicates(list(POINT))


def share(value: float) -> str:
    """Two digits behind the point."""
    return "–" if not np.isfinite(value) else f"{value:.2f}".replace("0.", ".", 1)


def words_of(choice: Choice) -> str:
    """A schedule in words."""
    rate = "at a constant rate" if choice.rate == "constant" else "along half a cosine"
    kept = "last weights" if choice.kept == "last" else "best of 20 looks"
    penalty = "" if choice.penalty == 1 else f", penalty times {choice.penalty:g}"
    return f"{choice.epochs:g} epochs {rate}, {kept}{penalty}"


def grid_table(frame: pd.DataFrame, size: Size, network: str) -> Table:
    """One row a schedule of a network at the shipped penalty; means over datasets and data seeds."""
    rows = frame[(frame["network"] == network) & (frame["penalty"] == 1)]
    both = {score: rule.candidates(rows, score).set_index(SCHEDULE) for score in SCORES}
    means = rows.groupby(SCHEDULE).mean(numeric_only=True)
    head = ["schedule", "steps", "CPU s", "loss above best, SE: mean", "worst"]
    for score in SCORES:
        head += [
            f"{WORDS[score]}: share on copies",
            "rank agreement",
            "top quarter",
            "later rise (upper)",
            "AUROC",
            "Somers' D",
        ]
    lines = []
    for key, one in means.iterrows():
        rate, kept, epochs = key
        first = both["first"].loc[key]
        cells = [f"{epochs:g} epochs, {rate}, {kept}", f"{first['steps']:.0f}", f"{one['cpu']:.2g}"]
        cells += [f"{first['excess']:.1f}", f"{first['worst_excess']:.1f}"]
        for score in SCORES:
            found = both[score].loc[key]
            cells += [share(one[f"{name}_{score}"]) for name in ("share", "rank", "top")]
            cells += ["–" if np.isinf(found["rise"]) else f"{found['rise']:.2f} ({found['rise_high']:.2f})"]
            cells += [share(one[f"{name}_{score}"]) for name in ("auroc", "somers")]
        lines.append(cells)
    seeds = rows["data_seed"].nunique()
    long = f"; {', '.join(f'{e:g}' for e in size.long)} epochs over {len(size.long_seeds)}" if size.long else ""
    return Table(f"`{network}`, penalty as shipped, {seeds} data seeds{long}.", head, lines)


def at(frame: pd.DataFrame, network: str, choice: Choice) -> pd.Series:
    """Means over datasets and data seeds of what was measured at a schedule."""
    rows = frame[(frame["network"] == network) & (frame["penalty"] == choice.penalty)]
    return rows.set_index(SCHEDULE).loc[choice[1:4]].mean(numeric_only=True)


def sentence(frame: pd.DataFrame, network: str, found: dict[str, dict[str, Choice]]) -> str:
    """What was chosen for one network, once with each score, and what it reaches there."""
    parts = []
    for score in SCORES:
        choice = found[score][network]
        means = at(frame, network, choice)
        copies = means[f"share_{score}"]
        said = f", {share(copies)} of the relevance on copies" if np.isfinite(copies) else ""
        parts.append(
            f"with {WORDS[score]}, {words_of(choice)} ({means['steps']:.0f} steps; {STEPS[choice.by]}): rank agreement "
            f"{share(means[f'rank_{score}'])}{said}"
        )
    return f"- `{network}`: " + "; ".join(parts) + "."


def section(name: str, size: Size, frame: pd.DataFrame) -> Iterator[str]:
    """One size of table in words and tables."""
    seeds, datasets = sorted(frame["data_seed"].unique()), ", ".join(f"`{case.label}`" for case in size.cases)
    yield f"## {name.capitalize()}"
    yield f"{datasets}; data seeds {', '.join(map(str, seeds))}."
    found = {score: rule.choices(frame, score) for score in SCORES}
    networks = list(dict.fromkeys(frame["network"]))
    yield "\n".join(sentence(frame, network, found) for network in networks)
    spectral = [network for network in networks if "spectral" in network]
    chosen = {network: [found[score][network] for score in SCORES] for network in spectral}
    if name in NOW:
        yield from before_and_now(name, frame, networks)
    yield from claims(frame, chosen)
    for network in networks:
        table = grid_table(frame, size, network)
        yield f"{table.caption}\n\n{table.markdown()}"


def defaults(frames: dict[str, pd.DataFrame]) -> Iterator[str]:
    """What the choices come to, for the networks that all suites share."""
    yield "## Defaults"
    own = MLP()
    yield (
        f"`spectral_mlp` and `mlp`: at least {own.min_steps} gradient steps and {own.epochs:g} epochs, a rate "
        f"that falls along half a cosine; the last weights are kept on up to {SMALL_TABLE} training rows, the best of "
        f"{CHECKPOINTS} looks at the validation loss on more. The choices behind them, with both scores:"
    )
    lines = []
    for network in ("spectral_mlp", "mlp"):
        each = {}
        for name in NOW:
            if name in frames:
                found = chosen_everywhere(frames[name], network)
                each[name] = " and ".join(dict.fromkeys(f"{words_of(one)} (by {one.by})" for one in found))
        penalties = {one.penalty for frame in frames.values() for one in chosen_everywhere(frame, network)}
        said = "its penalty stays as shipped"
        if penalties == {1.0}:
            said = "no other penalty is chosen"
        elif len(penalties) == 1:
            said = f"everywhere the penalty times {penalties.pop():g} is chosen"
        lines.append(f"- `{network}`: " + "; ".join(f"{name}: {words}" for name, words in each.items()) + f"; {said}.")
    yield "\n".join(lines)


def chosen_everywhere(frame: pd.DataFrame, network: str) -> list[Choice]:
    """The choices with both scores."""
    return [rule.choices(frame, score)[network] for score in SCORES]


def before_and_now(name: str, frame: pd.DataFrame, networks: Sequence[str]) -> Iterator[str]:
    """What the defaults of today reach beside those of version 0.2.0, at the nearest points of the grid."""
    lines = []
    for network in networks:
        old, new = (at(frame, network, Choice(1.0, *point[name], "")) for point in (BEFORE, NOW))
        words = []
        for score in SCORES:
            pairs = [
                ("share on copies", f"share_{score}"),
                ("rank agreement", f"rank_{score}"),
                ("AUROC", f"auroc_{score}"),
            ]
            changes = ", ".join(f"{word} {share(old[key])} to {share(new[key])}" for word, key in pairs)
            words.append(f"{WORDS[score]}: {changes}")
        lines.append(f"- `{network}`: {'; '.join(words)}; validation loss {old['loss']:.2f} to {new['loss']:.2f}.")
    yield "From the defaults of version 0.2.0 to those of today, at the nearest points of the grid:"
    yield "\n".join(lines)


INTRODUCTION = """# Training schedules

How long must a network be trained before its relevance has settled? Measured by `benchmarks/choose_schedules.py` on
data seeds that no reported figure uses. The rule was written before any number was seen and stands in
`benchmarks/schedules_grid.py`, with its one amendment. All points, also those of the other penalties:
`points.csv.gz`. Nothing was chosen by the truth: AUROC and Somers' D stand beside the signs so that the choice can be
judged.

- *Share on copies*: the share of the relevance on row-permuted copies that stand beside the inputs; .50 tells nothing.
- *Rank agreement*, *top quarter*: rank correlation, and overlap of the highest quarter, of two trainings on the same
  rows.
- *Later rise*: how much a sign gains at most from one length to the next, from this one on, and the upper end of its
  95 % interval over data seeds; below .01 the relevance has settled. It is not known for the longest length.
- *Loss above best*: validation loss less that of the network's best schedule, in standard errors over data seeds; mean
  and worst over the datasets. Up to 1 is good."""


def main() -> None:
    """Write the page and print it but for its tables."""
    frame = points()
    each = {name: rule.balanced(frame[frame["size"] == name], size) for name, size in SIZES.items()}
    each = {name: rows for name, rows in each.items() if rows["data_seed"].nunique() > 1}
    parts = [INTRODUCTION, *defaults(each)]
    for name, rows in each.items():
        parts += section(name, SIZES[name], rows)
    text = "\n\n".join(parts) + "\n"
    (FOLDER / "summary.md").write_text(text, encoding="utf-8", newline="\n")
    print("\n".join(line for line in text.splitlines() if not line.startswith("|")))


if __name__ == "__main__":
    main()
