"""What the suite ``tables`` shows, as the part of docs/semireal.md between its marks.

    python -m benchmarks.decoys                 # from reports/tables/tables.xaipack
    python -m benchmarks.decoys runs/tables     # from a run

Means over tables and networks, with the interval over data seeds; simulated targets, whose truth is known, stand apart
from decoys. Published figures stand below, on their own: they are of other tables, none of which comes with a package,
so nothing is compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import between
from xai_bench import InputError, Results, read
from xai_bench.paired import LEAST_DRAWS, Floats
from xai_bench.published import anchors
from xai_bench.results import claims, comparison, entrants, means
from xai_bench.statistics import bounded_interval, corrected_interval
from xai_bench.suites import reading
from xai_bench.suites.suite import CONTROLS
from xai_bench.wording import are, plural

ROOT = Path(__file__).parents[1]
PACK = ROOT / "reports" / "tables" / "tables.xaipack"
PAGE = ROOT / "docs" / "semireal.md"
BEGIN, END = "<!-- from benchmarks/decoys.py: begin -->", "<!-- from benchmarks/decoys.py: end -->"
KINDS = {
    "random_50": "random, 50 %",
    "random_75": "random, 75 %",
    "corrupted_50": "corrupted, 50 %",
    "second_order_50": "second order, 50 %",
}
"""End of the label of a dataset with decoys, to its head of a column."""
RULES = {"simulated_1": "inputs alone", "simulated_2": "inputs by twos"}
"""The same with a simulated target."""
JUDGES = {"retrained": "network", "trees": "trees", "ft_transformer": "transformer"}
INTERVALS = (
    "Brackets: 95 % intervals over draws; with decoys draws are splits of one file, and the interval is that of Nadeau "
    "and Bengio (2003); with simulated targets it counts half a further draw at chance."
)
MOST_NAMED = 6


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("results", nargs="?", type=Path, default=PACK, help="a pack or the folder of a run")
    results = read(arguments.parse_args().results)
    between.put(PAGE, BEGIN, END, f"\n{part(results)}\n")


def part(results: Results) -> str:
    """Sentences and tables, as Markdown."""
    decoys, simulated = datasets_of(results, KINDS), datasets_of(results, RULES)
    blocks = [
        f"{held(results)} {INTERVALS}",
        leaders(results, "recovery", decoys, "Random decoys"),
        leaders(results, "auroc_originals", decoys, "Decoys that are made of measured columns"),
        table_of(results, KINDS),
    ]
    if simulated:
        blocks += [leaders(results, "recovery", simulated, "Simulated targets"), table_of(results, RULES)]
    return "\n\n".join([*blocks, retention(results), theirs()]) + "\n"


def datasets_of(results: Results, ends: Mapping[str, str]) -> list[str]:
    """The datasets of the run whose labels end so."""
    return [label for label in dict.fromkeys(results.cells["dataset"]) if label.endswith(tuple(ends))]


def held(results: Results) -> str:
    """What was measured, and what of the suite was not there."""
    labels = list(dict.fromkeys(results.cells["dataset"]))
    absent = [entry.label for entry in reading.load("tables").datasets if entry.label not in labels]
    said = f"{len(labels)} datasets, {plural(results.cells['data_seed'].nunique(), 'draw')}."
    return f"{said} Not in this run: {', '.join(absent)}." if absent else said


def leaders(results: Results, metric: str, datasets: list[str], what: str) -> str:
    """Who leads on some of the datasets, by a metric."""
    values = entrants.values(results, metric)
    try:
        board = comparison.compared(values[values["dataset"].isin(datasets)], "methods", metric).leaderboard()
    except InputError as error:
        return f"{what}: {error}."
    families = values.loc[values["dataset"].isin(datasets), "family"].nunique()
    where = f"{what} ({plural(families, 'table')}, {plural(int(board['draws'].min()), 'draw')})"
    if board["draws"].min() < LEAST_DRAWS:
        return f"{where}: below five draws nothing is decided."
    if (best := comparison.leader(board)) is not None:
        return (
            f"{where}: {best['name']} leads; all {len(board) - 1} others are shown to be worse{claims.by_pairs(board)}."
        )
    first = board[board["first_group"]]["name"].tolist()
    named = ", ".join(first) if len(first) <= MOST_NAMED else f"among them {', '.join(first[:MOST_NAMED])}"
    count = f"{len(first)} of {len(board)} methods {are(len(first))}"
    return f"{where}: {count} not shown to be worse than the best{claims.by_pairs(board)}: {named}."


def table_of(results: Results, ends: Mapping[str, str]) -> str:
    """A row a method, a column a kind: the chance that a relevant column ranks above a decoy, or above noise."""
    rows = results.measurements
    rows = rows[rows["metric"].isin(["auroc", "auroc_originals"]) & ~rows["explainer"].isin(CONTROLS)]
    rows = rows.assign(kind=rows["dataset"].str.extract(f"({'|'.join(ends)})$")[0]).dropna(subset="kind")
    per_draw = rows.groupby(["explainer", "kind", "data_seed"])["value"].mean()
    tables = rows.groupby("kind")["dataset"].nunique()
    kinds = [kind for kind in ends if kind in tables]
    heads = [f"{ends[kind]} ({plural(int(tables[kind]), 'table')})" for kind in kinds]
    ratios = _splits(results, rows)
    methods = per_draw.groupby("explainer").mean().sort_values(ascending=False).index
    lines = [between.row(["Method", *heads]), between.row(["---", *["---"] * len(kinds)])]
    for method in methods:
        boxes = []
        for kind in kinds:
            values = per_draw.loc[method, kind].to_numpy()
            boxes.append(f"{values.mean():.3f}{_ends(values, ratios.get(kind))}")
        lines.append(between.row([f"`{method}`", *boxes]))
    return "\n".join(lines)


def _splits(results: Results, rows: pd.DataFrame) -> dict[str, float]:
    """Kinds whose draws are splits of the same tables, to the mean ratio of test to training rows."""
    known = means.splits(results.cells, results.draws)
    found = rows[["kind", "dataset"]].drop_duplicates()
    ratios = found.assign(ratio=found["dataset"].map(known)).groupby("kind")["ratio"]
    return ratios.agg(lambda of_kind: of_kind.mean(skipna=False)).dropna().to_dict()


def _ends(values: Floats, ratio: float | None) -> str:
    """The 95 % interval of the mean of values (draws,) of an AUROC, in brackets; "" where there is none."""
    ends = bounded_interval(values, 0, 1, 0.5) if ratio is None else corrected_interval(values, ratio)
    return f" [{max(ends[0], 0):.2f}, {min(ends[1], 1):.2f}]" if ends else ""


def retention(results: Results) -> str:
    """What three judges reach on the inputs that each method keeps."""
    rows = results.measurements
    kept = int(results.suite["retention"]["ks"][0])
    rows = rows[(rows["k"] == kept) & rows["metric"].isin([f"retention_{form}" for form in JUDGES])]
    reached = rows.pivot_table(index="explainer", columns="metric", values="value", sort=False)
    reached = reached[[f"retention_{form}" for form in JUDGES]]
    order = [name for name in reached.mean(axis=1).sort_values(ascending=False).index if name not in CONTROLS]
    draws = rows[["dataset", "data_seed"]].drop_duplicates()
    where = ", ".join(dict.fromkeys(draws["dataset"]))
    lines = [
        f"Score of judges on the {kept} inputs that a method ranks first (`{where}`, {len(draws)} draws; below five "
        "nothing is decided; `random` is the mean of random rankings):",
        "",
        between.row(["Method", *JUDGES.values()]),
        between.row(["---", *["--:"] * len(JUDGES)]),
    ]
    lines += [
        between.row([f"`{name}`", *(f"{value:.3f}" for value in reached.loc[name])]) for name in [*order, "random"]
    ]
    return "\n".join(lines)


def theirs() -> str:
    """Published figures of other tables, as means over these."""
    rows = pd.DataFrame(anchors.rows("decoys.csv"))
    rows = rows.assign(kind=rows["data"].str.split(" ", n=1).str[1], value=rows["mean"].astype(float))
    of_kinds = rows.pivot_table(index="method", columns="kind", values="value", sort=False)
    tables = rows["data"].str.split(" ").str[0].nunique()
    lines = [
        f"Published, for random decoys: the mean AUROC over {tables} other tables (Cherepanova et al. 2023, Table 11; "
        "of 9,873 to 1.2 million rows; selectors are tuned together with a judge). None of these tables comes with a "
        "package, so nothing is compared: what both have in common is the question.",
        "",
        between.row(["Theirs", *(f"{kind.replace(' ', ', ')} %" for kind in of_kinds.columns)]),
        between.row(["---", *["--:"] * len(of_kinds.columns)]),
    ]
    for method, values in of_kinds.sort_values(of_kinds.columns[0], ascending=False).iterrows():
        lines.append(between.row([str(method), *("" if np.isnan(value) else f"{value:.3f}" for value in values)]))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
