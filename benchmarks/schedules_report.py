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
from choose_schedules import RAW
from pages import Table
from schedules_choice import SCHEDULE, SCORES, Choice
from schedules_claims import claims
from schedules_grid import SIZES, Size

from xai_bench.models.mlp import MLP, SpectralMLP

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
NOW = {"small": ("cosine", "last", 300.0), "medium": ("cosine", "last", 100.0)}
"""The points of the grid nearest to the defaults: 1000 steps, last weights."""
BEFORE = {"small": ("cosine", "best", 100.0), "medium": ("cosine", "best", 30.0)}
"""Those nearest to the defaults of version 0.2.0: 200 steps or 40 epochs, best of 20 looks."""


def points() -> pd.DataFrame:
    """What was measured; kept in the reports if it was measured here."""
    if RAW.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        lines = RAW.read_text().splitlines()
        text = "\n".join([lines[0], *sorted(lines[1:])]) + "\n"
        KEPT.write_bytes(gzip.compress(text.encode(), mtime=0))
    return pd.read_csv(KEPT, dtype={"version": str}, keep_default_na=False, na_values=[""]).drop_duplicates(list(POINT))


def share(value: float) -> str:
    """Two digits behind the point."""
    return "–" if not np.isfinite(value) else f"{value:.2f}".replace("0.", ".", 1)


def words_of(choice: Choice) -> str:
    """A schedule in words."""
    rate = "at a constant rate" if choice.rate == "constant" else "along half a cosine"
    kept = "last weights" if choice.kept == "last" else "best of 20 looks"
    return f"{choice.epochs:g} epochs {rate}, {kept}"


def grid_table(frame: pd.DataFrame, size: Size, network: str, penalty: float) -> Table:
    """One row a schedule of a network at one penalty; means over datasets and data seeds."""
    rows = frame[(frame["network"] == network) & (frame["penalty"] == penalty)]
    both = {score: rule.candidates(rows, score).set_index(SCHEDULE) for score in SCORES}
    means = rows.groupby(SCHEDULE).mean(numeric_only=True)
    losses = rule.by_seed(rows, "loss")
    head = ["schedule", "steps", "CPU s", "validation loss, ± SE", "above best, SE: mean", "worst"]
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
        loss = losses[key].dropna()
        error = f" ± {loss.std(ddof=1) / len(loss) ** 0.5:.3f}" if len(loss) > 1 else ""
        cells += [f"{loss.mean():.3f}{error}", f"{first['excess']:.1f}", f"{first['worst_excess']:.1f}"]
        for score in SCORES:
            found = both[score].loc[key]
            cells += [share(one[f"{name}_{score}"]) for name in ("share", "rank", "top")]
            cells += ["–" if np.isinf(found["rise"]) else f"{found['rise']:.2f} ({found['rise_high']:.2f})"]
            cells += [share(one[f"{name}_{score}"]) for name in ("auroc", "somers")]
        lines.append(cells)
    seeds = rows["data_seed"].nunique()
    longer = rows.loc[rows["epochs"].isin(size.long), "data_seed"].nunique()
    long = f"; {', '.join(f'{e:g}' for e in size.long)} epochs over {longer}" if longer else ""
    factor = "" if network == "mlp_unpenalised" else f", penalty times {penalty:g}"
    return Table(f"`{network}`{factor}, {seeds} data seeds{long}.", head, lines)


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


def section(name: str, size: Size, frame: pd.DataFrame, penalty: float) -> Iterator[str]:
    """One size of table in words and tables."""
    seeds, datasets = sorted(frame["data_seed"].unique()), ", ".join(f"`{case.label}`" for case in size.cases)
    yield f"## {name.capitalize()}"
    yield f"{datasets}; data seeds {', '.join(map(str, seeds))}."
    found = {score: rule.choices(frame, score, penalty) for score in SCORES}
    networks = list(dict.fromkeys(frame["network"]))
    yield "\n".join(sentence(frame, network, found) for network in networks)
    spectral = [network for network in networks if "spectral" in network]
    chosen = {network: [found[score][network] for score in SCORES] for network in spectral}
    if name in NOW:
        yield from before_and_now(name, frame, networks, penalty)
    yield from claims(frame, chosen)
    for network in networks:
        for factor in dict.fromkeys((1.0, found["first"][network].penalty)):
            table = grid_table(frame, size, network, factor)
            yield f"{table.caption}\n\n{table.markdown()}"


def defaults(frames: dict[str, pd.DataFrame], penalty: float) -> Iterator[str]:
    """What the choices come to, for the networks that all suites share."""
    spectral, plain = SpectralMLP(), MLP()
    yield "## Defaults"
    losses = {name: rule.losses_by_penalty(frames[name]).items() for name in NOW}
    each = "; ".join(
        f"{name} " + ", ".join(f"times {factor:g} {loss:.2f}" for factor, loss in found)
        for name, found in losses.items()
    )
    yield (
        "Penalty: mean logarithm of the lowest validation loss, over datasets and both networks, with the penalties of "
        f"version 0.2.0: {each}. The least above the lowest, where it is most: times {penalty:g}."
    )
    factor = plain.group_lasso / 2e-3
    yield (
        f"The defaults: L2 {spectral.l2_lambda:g} on lambda and {spectral.l2_phi:g} on phi (`spectral_mlp`), group "
        f"lasso {plain.group_lasso:g} (`mlp`), times {factor:g}{'' if factor == penalty else ', not what is chosen'}; "
        f"at least {plain.min_steps} gradient steps and {plain.epochs:g} epochs, a rate that falls along half a "
        f"cosine, last weights. The choices at the penalty times {penalty:g}:"
    )
    together = {name: words_of(rule.shared(frames[name], penalty)) for name in NOW}
    lines = ["- Together: " + "; ".join(f"{name}: {words}" for name, words in together.items()) + "."]
    found = {name: [rule.choices(frames[name], score, penalty) for score in SCORES] for name in NOW}
    for network in rule.SHARED:
        words = []
        for name, each_score in found.items():
            own = dict.fromkeys(of_score[network] for of_score in each_score)
            words.append(f"{name}: " + " and ".join(f"{words_of(one)} (by {one.by})" for one in own))
        lines.append(f"- `{network}`: {'; '.join(words)}.")
    yield "\n".join(lines)


def before_and_now(name: str, frame: pd.DataFrame, networks: Sequence[str], penalty: float) -> Iterator[str]:
    """What the defaults of today reach beside those of version 0.2.0, at the nearest points of the grid."""
    lines = []
    for network in networks:
        factor = penalty if network in rule.SHARED else 1.0
        old, new = (at(frame, network, Choice(p, *point[name], "")) for p, point in ((1.0, BEFORE), (factor, NOW)))
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
`benchmarks/schedules_grid.py`, with its two amendments. All points, also those of the other penalties:
`points.csv.gz`. Nothing was chosen by the truth: AUROC and Somers' D stand beside the signs so that the choice can be
judged.

- *Share on copies*: the share of the relevance on row-permuted copies that stand beside the inputs; .50 tells nothing.
- *Rank agreement*, *top quarter*: rank correlation, and overlap of the highest quarter, of two trainings on the same
  rows.
- *Later rise*: how much a sign gains at most from one length to the next, from this one on, and the upper end of its
  95 % interval over data seeds; below .01 the relevance has settled. It is not known for the longest length.
- *Loss above best*: validation loss less that of the network's best schedule, in standard errors over data seeds; mean
  and worst over the datasets. Up to 1 is good."""


def measured_by(frame: pd.DataFrame) -> str:
    """Which version of xai-bench measured the points of each size, where that was recorded."""
    unknown = "a version of xai-bench that was not recorded"
    versions = frame["version"] if "version" in frame else pd.Series(None, frame.index, dtype=object)
    by = ("xai-bench " + versions.astype(object)).where(versions.notna(), unknown).groupby(frame["size"]).unique()
    sizes: dict[str, list[str]] = {}
    for size in (name for name in SIZES if name in by.index):
        sizes.setdefault(" and ".join(sorted(by[size])), []).append(size)
    said = [f"{version} ({', '.join(names)})" for version, names in sizes.items()]
    return f"Measured by {'; '.join(said)}."


def main() -> None:
    """Write the page and print it but for its tables."""
    frame = points()
    each = {name: rule.balanced(frame[frame["size"] == name], size) for name, size in SIZES.items()}
    each = {name: rows for name, rows in each.items() if rows["data_seed"].nunique() > 1}
    penalty = rule.penalty_of([each[name] for name in NOW])
    parts = [INTRODUCTION, measured_by(frame), *defaults(each, penalty)]
    for name, rows in each.items():
        parts += section(name, SIZES[name], rows, penalty if name in NOW else 1.0)
    text = "\n\n".join(parts) + "\n"
    (FOLDER / "summary.md").write_text(text, encoding="utf-8", newline="\n")
    print("\n".join(line for line in text.splitlines() if not line.startswith("|")))


if __name__ == "__main__":
    main()
