"""Why figures of ours are not the published ones: our figure with one thing done as theirs, measured draw by draw.

python -m benchmarks.anchor_reasons --measure shap,conditional_rows --draws 5
python -m benchmarks.anchor_reasons --runs RUNS/runs       (what a stored run of anchor_cpi tells without a new fit)
adds a line a draw and score to reports/anchors/reasons.csv; what stands there is not measured again, so that several
processes can share the work (--data, --first). Every call then writes the means to xai_bench/published/*_reasons.csv,
of changes with five draws and more; python benchmarks/anchors.py shows them where a figure differs.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.anchors import TABLES
from xai_bench import registry
from xai_bench.datasets.base import Dataset
from xai_bench.explainers.conditional import ConditionalPermutation, loss_of_rows, p_values_of_rises
from xai_bench.explainers.forests import arrays, forest
from xai_bench.metrics.ranking import area_under_roc
from xai_bench.models.mlp import MLP
from xai_bench.models.training import fit_many
from xai_bench.published.anchors import anchor
from xai_bench.results.frames import Results
from xai_bench.results.store import read
from xai_bench.running.block import problem_of
from xai_bench.scoring.retention import JUDGE, area_of_classes
from xai_bench.statistics import LEAST_DRAWS

Floats = NDArray[np.float64]
Scores = dict[str, float]
PUBLISHED = Path(__file__).parents[1] / "xai_bench" / "published"
MEASURED = TABLES / "reasons.csv"
COLUMNS = ["change", "data", "score", "draw", "value"]
LEVEL = 0.05


@dataclass(frozen=True)
class Change:
    """One thing done as theirs.

    Attributes
    ----------
    anchor, method : whose figures it is about
    words : what is changed, as a table says it after "with"
    data : names of theirs
    measure : of a name of theirs and a draw: names of scores of theirs, and their values; None of what runs tell
    """

    anchor: str
    method: str
    words: str
    data: tuple[str, ...]
    measure: Callable[[str, int], Scores] | None


def draw_of(name: str, data: str, seed: int, **changed: Any) -> Dataset:
    """The draw that stands for published data, standardised, with some fields ``changed``."""
    pair = next(pair for pair in anchor(name).data if pair.theirs == data)
    return registry.create("datasets", pair.ours, {**pair.fields, **changed}).load(seed).standardised()


def signals(data: Dataset) -> NDArray[np.bool_]:
    """(d,) the relevant columns, in the order of X."""
    assert data.truth is not None
    return data.truth.relevant


def of_p_values(p_values: Floats, relevant: NDArray[np.bool_]) -> Scores:
    """Area under the curve of p-values (d,), and shares that are below the level."""
    found = p_values < LEVEL
    return {
        "auc": float(area_under_roc(-p_values, relevant)),
        "power": float(found[relevant].mean()),
        "type1error": float(found[~relevant].mean()),
    }


def judge_of_all_inputs(data: str, seed: int) -> Scores:
    """Test AUC of the judge of retention on all of 100 inputs."""
    whole = draw_of("syn", data, seed, d=100)
    whole = replace(whole, X_train=whole.X_train[:10_000], y_train=whole.y_train[:10_000])
    fitted = fit_many(MLP(**JUDGE), whole, [0])[0]
    return {"auc": _area(fitted.module, whole, np.ones(whole.d, dtype=bool))}


def judge_of_lasso(data: str, seed: int) -> Scores:
    """The same of as many of 100 inputs as are relevant, those that the Lasso puts first."""
    whole = draw_of("syn", data, seed, d=100)
    relevance = registry.create("explainers", "lasso", {}).explain(problem_of(whole, None)).relevance
    kept = np.zeros(whole.d, dtype=bool)
    order = np.lexsort((np.random.default_rng(seed).permutation(whole.d), -relevance))
    kept[order[: signals(whole).sum()]] = True
    whole = replace(whole, X_train=whole.X_train[:10_000], y_train=whole.y_train[:10_000])
    return {"auc": _area(fit_many(MLP(**JUDGE), whole, [0], kept[None])[0].module, whole, kept)}


def _area(network: torch.nn.Module, data: Dataset, kept: NDArray[np.bool_]) -> float:
    with torch.no_grad():
        outputs = network(torch.from_numpy(data.X_test[:, kept]))
    return area_of_classes(outputs.double().softmax(1).numpy(), data.y_test)


def mean_of_shap_values(data: str, seed: int) -> Scores:
    """|mean SHAP value| over validation rows, of 100 trees; in classification of the first class."""
    import shap

    drawn = draw_of("cpi", data, seed)
    problem = problem_of(drawn, None)
    trees = forest(problem, 100, 1).fit(*arrays(problem))
    values = np.asarray(shap.TreeExplainer(trees).shap_values(drawn.X_valid, check_additivity=False))
    relevance = np.abs((values[..., 0] if values.ndim == 3 else values).mean(0))
    return {"auc": float(area_under_roc(relevance, signals(drawn)))}


def p_value_of_forest(data: str, seed: int) -> Scores:
    """p-value of permutation importance on validation rows: its mean over shuffles over their standard deviation."""
    from scipy.stats import norm
    from sklearn.inspection import permutation_importance

    drawn = draw_of("cpi", data, seed)
    problem = problem_of(drawn, None)
    trees = forest(problem, 40, 1).fit(*arrays(problem))
    found = permutation_importance(trees, drawn.X_valid, drawn.y_valid, n_repeats=10, random_state=seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_values = 1 - norm.cdf(found.importances_mean / found.importances_std)
    return {"auc": of_p_values(np.nan_to_num(p_values, nan=1.0), signals(drawn))["auc"]}


def with_more_rows(data: str, seed: int) -> tuple[Dataset, Dataset, torch.nn.Module]:
    """A draw of which 800 rows train a network and 200 choose its weights; the same with 1000 rows for a test."""
    large = draw_of("cpi", data, seed, n=2188)  # 1400 training rows, 350 validation rows, 438 test rows
    fitted_on = replace(
        large,
        X_train=large.X_train[:800],
        y_train=large.y_train[:800],
        X_valid=large.X_valid[:200],
        y_valid=large.y_valid[:200],
    )
    rows = np.concatenate([large.X_train[800:], large.X_test])[:1000]
    targets = np.concatenate([large.y_train[800:], large.y_test])[:1000]
    network = registry.create("models", "mlp", {}).fit(fitted_on, 0).module
    return fitted_on, replace(fitted_on, X_valid=rows, y_valid=targets), network


def conditional_test_on_more_rows(data: str, seed: int) -> Scores:
    """p-values of conditional permutation on 1000 rows that the network has not seen."""
    _, tested, network = with_more_rows(data, seed)
    found = ConditionalPermutation(permutations=20).explain(problem_of(tested, network))
    assert found.p_values is not None
    return of_p_values(found.p_values, signals(tested))


def permutation_test_on_more_rows(data: str, seed: int) -> Scores:
    """p-values of the rise of a row's loss where an input is shuffled, of 1000 rows that the network has not seen."""
    _, tested, network = with_more_rows(data, seed)
    rng, shuffles = np.random.default_rng(seed), 10

    def losses(X: NDArray) -> Floats:
        with torch.no_grad():
            outputs = network(torch.from_numpy(X)).double().numpy()
        return loss_of_rows(tested.y_valid, outputs[:, 0] if tested.kind == "regression" else outputs)

    before, rises = losses(tested.X_valid), np.zeros((tested.d, len(tested.X_valid)))
    for j in range(tested.d):
        for _ in range(shuffles):
            X = tested.X_valid.copy()
            X[:, j] = rng.permutation(X[:, j])
            rises[j] += (losses(X) - before) / shuffles
    return {"auc": of_p_values(p_values_of_rises(rises), signals(tested))["auc"]}


def target_by_a_forest(data: str, seed: int) -> Scores:
    """d0CRT with the residuals of a forest on the rows that it is fitted on, and of one Lasso for the input."""
    from scipy.stats import norm
    from sklearn.linear_model import Lasso

    drawn = draw_of("cpi", data, seed)
    problem, X = problem_of(drawn, None), drawn.X_train.astype(float)
    X, y, n = (X - X.mean(0)) / X.std(0), drawn.y_train.astype(float), len(drawn.X_train)
    statistic = np.zeros(drawn.d)
    for j in range(drawn.d):
        rest = np.delete(X, j, 1)
        trees = forest(problem, 20, 1).fit(rest, drawn.y_train)
        left = y - (trees.predict(rest) if drawn.kind == "regression" else trees.predict_proba(rest)[:, 1])
        strength = 0.1 * np.abs(rest.T @ X[:, j]).max() / n
        lasso = Lasso(alpha=strength, fit_intercept=False).fit(rest, X[:, j])
        own = X[:, j] - lasso.predict(rest)
        variance = (own**2).mean() + strength * np.abs(lasso.coef_).sum()
        statistic[j] = left @ own / np.sqrt(n * variance * (left**2).mean())
    return of_p_values(2 * norm.sf(np.abs(statistic)), signals(drawn))


def signed_knockoffs(data: str, seed: int) -> Scores:
    """The difference of the Lasso's coefficients with its sign, by cross-validation as ours."""
    from sklearn.linear_model import LassoCV

    return _knockoffs(data, seed, LassoCV(alphas=20, cv=5, random_state=seed))


def logistic_knockoffs(data: str, seed: int) -> Scores:
    """The same of a logistic Lasso that is chosen by the area under the curve."""
    from sklearn.linear_model import LogisticRegressionCV

    return _knockoffs(
        data,
        seed,
        LogisticRegressionCV(penalty="l1", solver="liblinear", max_iter=200, cv=5, scoring="roc_auc", random_state=0),
    )


def _knockoffs(data: str, seed: int, estimator: Any) -> Scores:
    from hidimstat import ModelXKnockoff

    drawn = draw_of("cpi", data, seed)
    y = drawn.y_train.astype(float)
    if drawn.kind == "regression":
        y = y - y.mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method = ModelXKnockoff(estimator=estimator, preconfigure_lasso_path=False, random_state=seed)
        difference = np.ravel(method.fit_importance(drawn.X_train.astype(float), y)[0])
    return {"auc": float(area_under_roc(difference, signals(drawn)))}


CPI, SYN = (tuple(pair.theirs for pair in anchor(name).data) for name in ("cpi", "syn"))
P_VALUES = {"conditional_permutation": "CPI-DNN", "leave_one_out": "LOCO", "conditional_randomisation": "d0CRT"}
"""Explainers whose p-values a run of ``anchor_cpi`` holds, and the methods that they stand for."""
CHANGES = {
    "inputs": Change("syn", "no selection", "100 inputs", SYN, judge_of_all_inputs),
    "lasso_inputs": Change("syn", "lasso", "100 inputs", SYN, judge_of_lasso),
    "shap": Change("cpi", "SHAP", "the absolute value of the mean SHAP value", CPI, mean_of_shap_values),
    "forest_p": Change(
        "cpi", "MDI", "the p-value of the permutation importance of a forest (40 trees)", CPI, p_value_of_forest
    ),
    "conditional_rows": Change(
        "cpi", "CPI-DNN", "a test on 1000 rows and the order of its p-values", CPI, conditional_test_on_more_rows
    ),
    "permutation_p": Change(
        "cpi", "Permfit-DNN", "the order of p-values on 1000 rows", CPI, permutation_test_on_more_rows
    ),
    "forest_residuals": Change(
        "cpi", "d0CRT", "the residuals of a forest (20 trees) on its own rows", CPI, target_by_a_forest
    ),
    "signed": Change("cpi", "Knockoff-Lasso", "the signs of the differences", CPI, signed_knockoffs),
    "logistic": Change("cpi", "Knockoff-Lasso", "a logistic Lasso and signs", ("Classification",), logistic_knockoffs),
    **{
        f"p_{explainer}": Change("cpi", method, "the order of its p-values", CPI, None)
        for explainer, method in P_VALUES.items()
    },
}


def kept() -> pd.DataFrame:
    """What was measured: change, data, score, draw, value."""
    return (
        pd.read_csv(MEASURED, keep_default_na=False, na_values=[""])
        if MEASURED.is_file()
        else pd.DataFrame(columns=COLUMNS)
    )


def add(change: str, data: str, draw: int, scores: Scores) -> None:
    """Append what was measured of one draw, in one write."""
    head = "" if MEASURED.is_file() else ",".join(COLUMNS) + "\n"
    lines = [f'{change},"{data}",{score},{draw},{value:.6g}\n' for score, value in scores.items()]
    with MEASURED.open("a", encoding="utf-8") as file:
        file.write(head + "".join(lines))


def measure(names: list[str], chosen: list[str], draws: range) -> None:
    """Measure what is missing, draw by draw over the data."""
    for draw in draws:
        for name in names:
            change = CHANGES[name]
            for data in change.data:
                there = kept()
                done = (there["change"] == name) & (there["data"] == data) & (there["draw"] == draw)
                if change.measure is None or done.any() or (chosen and data not in chosen):
                    continue
                add(name, data, draw, change.measure(data, draw))


def told_by(results: Results) -> Iterator[tuple[str, str, int, Scores]]:
    """Change, data, draw and scores of the p-values that a run of ``anchor_cpi`` holds."""
    labels = {
        entry["label"]: pair.theirs
        for pair in anchor("cpi").data
        for entry in results.suite["datasets"]
        if pair.fits(entry)
    }
    for row in results.cells.to_dict("records"):
        if row["explainer"] in P_VALUES and row["model"] in ("", "mlp") and row["cell"] in results.tested:
            roles = results.draws[row["draw"]].roles or ()
            relevant = np.array([role == "relevant" for role in roles])
            area = area_under_roc(-np.array(results.tested[row["cell"]].p_values), relevant)
            yield f"p_{row['explainer']}", labels[row["dataset"]], int(row["data_seed"]), {"auc": float(area)}


def write(found: pd.DataFrame) -> None:
    """Means over draws, where there are enough, as the reasons of each anchor."""
    lines: dict[str, list[str]] = {}
    order = {name: place for place, name in enumerate(CHANGES)}
    found = found.drop_duplicates(["change", "data", "score", "draw"])
    for (name, data, score), rows in found.groupby(["change", "data", "score"], sort=False):
        change, values = CHANGES[str(name)], rows.sort_values("draw")["value"]
        if len(values) >= LEAST_DRAWS:
            lines.setdefault(change.anchor, []).append(
                f'{order[str(name)]:02d}{score},"{data}",{change.method},{change.words},'
                f"{values.mean():.4f},{values.std(ddof=1):.4f},{len(values)}"
            )
    for name, listed in lines.items():
        head = (
            "# Measured by benchmarks/anchor_reasons.py: our figure with one thing done as theirs; draws 0, 1, 2 ...\n"
            "score,data,method,change,mean,sd,n\n"
        )
        text = head + "".join(f"{line[2:]}\n" for line in sorted(listed))
        (PUBLISHED / f"{name}_reasons.csv").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", default="", help=f"names between commas: {', '.join(CHANGES)}")
    parser.add_argument("--data", action="append", default=[], help="only these data (a name of theirs)")
    parser.add_argument("--first", type=int, default=0, help="the first draw")
    parser.add_argument("--draws", type=int, default=5, help="how many draws")
    parser.add_argument("--runs", type=Path, help="a folder with a run of anchor_cpi")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    measure(
        [name for name in asked.measure.split(",") if name], asked.data, range(asked.first, asked.first + asked.draws)
    )
    if asked.runs:
        there = set(kept()[["change", "data", "draw"]].itertuples(index=False, name=None))
        for name, data, draw, scores in told_by(read(asked.runs / "anchor_cpi")):
            if (name, data, draw) not in there:
                add(name, data, draw, scores)
    write(kept())


if __name__ == "__main__":
    main()
