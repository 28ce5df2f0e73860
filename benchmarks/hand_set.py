"""The error of a method apart from that of training: methods on networks whose weights are set by hand.

    python -m benchmarks.hand_set       # runs the suite hand_set into runs/ (two CPU minutes), writes
                                        # scores/hand_set.csv and the part of docs/semireal.md between its marks

What a network relies on is known exactly, by four definitions: the total Sobol index, the mean absolute effect, the
mean absolute Shapley value, the mean absolute slope. Each method is scored against all of them (Somers' D of the
ranking), on the network itself and on an mlp that was trained on the same rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import between
from xai_bench import Results, run
from xai_bench.datasets import hand_set
from xai_bench.datasets.truth import GroundTruth
from xai_bench.metrics.recovery import auroc, somers_d
from xai_bench.suites.suite import CONTROLS

FILE = Path(__file__).parent / "scores" / "hand_set.csv"
PAGE = Path(__file__).parents[1] / "docs" / "semireal.md"
BEGIN, END = "<!-- from benchmarks/hand_set.py: begin -->", "<!-- from benchmarks/hand_set.py: end -->"
TRUTHS = {
    "sobol": "Total Sobol index",
    "absolute": "Mean absolute effect",
    "shapley": "Mean absolute Shapley value",
    "slope": "Mean absolute slope",
}
EXACT, TRAINED = "set_by_hand", "trained"
MEANT = {
    "permutation_importance": "sobol",
    "shap_kernel": "shapley",
    "shap_permutation": "shapley",
    "saliency": "slope",
}
"""Methods that estimate one of the four: with the squared error, permuting an input costs twice its total index."""
SAME = 0.02
"""Differences of Somers' D below it are not told apart in words."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=Path("."), help="folder that receives runs/")
    results = run("hand_set", out=arguments.parse_args().out, jobs=None)
    rows = scored(results)
    rows.to_csv(FILE, index=False, float_format="%.4f")
    between.put(PAGE, BEGIN, END, f"\n{part(pd.read_csv(FILE, keep_default_na=False, na_values=['']))}\n")


def exact(network: str, truth: str, d: int) -> NDArray[np.float64]:
    """(d,) the effect of every input by one of the four definitions; 0 of irrelevant ones."""
    known = hand_set.total_indices(network) if truth == "sobol" else hand_set.absolute_effects(network, truth)
    return np.concatenate([known, np.zeros(d - len(known))])


def scored(results: Results) -> pd.DataFrame:
    """network, method, model, score, truth, draws, mean, lowest, highest, test_score: one row a mean over draws."""
    found = []
    cells = results.cells[results.cells["status"].eq("done") & ~results.cells["explainer"].isin(CONTROLS)]
    for (network, method, model), group in cells.groupby(["dataset", "explainer", "model"], sort=False):
        relevances = [results.relevance[key] for key in group["cell"]]
        for truth in TRUTHS:
            grades = exact(network, truth, len(relevances[0]))
            roles = tuple("relevant" if grade > 0 else "noise" for grade in grades)
            scores = {"somers_d": somers_d, "auroc": auroc} if truth == "sobol" else {"somers_d": somers_d}
            for score, metric in scores.items():
                values = np.array([metric(relevance, GroundTruth(roles, grades)) for relevance in relevances])
                found.append(
                    {
                        "network": network,
                        "method": method,
                        "model": model,
                        "score": score,
                        "truth": truth,
                        "draws": len(values),
                        "mean": values.mean(),
                        "lowest": values.min(),
                        "highest": values.max(),
                        "test_score": group["test_score"].mean(),
                    }
                )
    return pd.DataFrame(found)


def part(rows: pd.DataFrame) -> str:
    """Two sentences and two tables, as Markdown."""
    return "\n\n".join([*words(rows), by_definition(rows), by_network(rows)]) + "\n"


def words(rows: pd.DataFrame) -> list[str]:
    """What the numbers say: methods by what they estimate, where irrelevant inputs rank high, what training adds."""
    own, trained = means(rows, EXACT), means(rows, TRAINED)
    meant = [f"{name} {own.loc[name, what]:.2f} ({_within(TRUTHS[what])})" for name, what in MEANT.items()]
    best, which = own.max(axis=1), own.idxmax(axis=1)
    others = best.drop(list(MEANT)).sort_values(ascending=False)
    areas = rows[(rows["score"] == "auroc") & (rows["model"] == EXACT) & (rows["mean"] < 1 - SAME)]
    misled = areas.groupby("network", sort=False)["method"].agg(", ".join)
    gained = pd.Series({name: trained.loc[name, what] - own.loc[name, what] for name, what in which.items()}).dropna()
    return [
        "Somers' D on the networks themselves, mean over networks and draws. Methods that estimate one of the four "
        f"definitions, against that one: {', '.join(meant)}. The others, against the one that fits them best: "
        f"{', '.join(f'{name} {value:.2f}' for name, value in others.items())}.",
        *(f"On `{where}` irrelevant inputs rank above some relevant ones: {names}." for where, names in misled.items()),
        f"On the network that was trained on the same rows Somers' D is {gained.median():+.2f} (median over methods, "
        f"by the same definition), from {gained.min():+.2f} ({gained.idxmin()}) to {gained.max():+.2f} "
        f"({gained.idxmax()}). Above 0 the trained network is the easier one.",
    ]


def _within(title: str) -> str:
    """A title within a sentence."""
    return title[:1].lower() + title[1:]


def means(rows: pd.DataFrame, model: str) -> pd.DataFrame:
    """Method by definition: Somers' D, the mean over networks that the method supports."""
    chosen_rows = rows[(rows["score"] == "somers_d") & (rows["model"] == model)]
    return chosen_rows.pivot_table(index="method", columns="truth", values="mean", sort=False)[list(TRUTHS)]


def by_definition(rows: pd.DataFrame) -> str:
    """A row a method: Somers' D by each definition on the networks, and by the best one after training."""
    own, trained = means(rows, EXACT), means(rows, TRAINED)
    best = own.max(axis=1).sort_values(ascending=False)
    networks = rows[rows["model"] == EXACT].groupby("method")["network"].nunique()
    head = ["Method", *TRUTHS.values(), "Networks", "Best definition, after training"]
    lines = [between.row(head), between.row(["---", *["--:"] * (len(head) - 1)])]
    for method in best.index:
        values = [f"{own.loc[method, truth]:.2f}" for truth in TRUTHS]
        at = int(np.argmax([own.loc[method, truth] for truth in TRUTHS]))
        values[at] = f"**{values[at]}**"
        after = trained.loc[method, list(TRUTHS)[at]] if method in trained.index else np.nan
        lines.append(between.row([f"`{method}`", *values, str(networks[method]), f"{after:.2f}"]))
    return "\n".join(lines)


def by_network(rows: pd.DataFrame) -> str:
    """A row a method: Somers' D against the total Sobol index, and the AUROC where it is not 1, network by network."""
    chosen = rows[(rows["model"] == EXACT) & (rows["truth"] == "sobol")]
    table = chosen.set_index(["method", "network", "score"])["mean"]
    networks = list(dict.fromkeys(rows["network"]))
    lines = [between.row(["Method", *networks]), between.row(["---", *["--:"] * len(networks)])]
    for method in dict.fromkeys(chosen["method"]):
        lines.append(between.row([f"`{method}`", *(_box(table, method, network) for network in networks)]))
    return "\n".join(lines)


def _box(table: pd.Series, method: str, network: str) -> str:
    if (method, network, "somers_d") not in table.index:
        return ""
    area = table[method, network, "auroc"]
    said = f"{table[method, network, 'somers_d']:.2f}"
    return said if area >= 1 - SAME else f"{said} (AUROC {area:.2f})"


if __name__ == "__main__":
    main()
