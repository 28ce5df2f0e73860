"""How often exactly the true inputs are found, by validation alone, on seven sets with a known truth.

Both forms of the path (``models.path``) walk with the same allowance of strengths and are refined where their supports
jump; on the steady path, in addition, what jumps at one strength is passed in parts and the noise of single batches is
averaged (``sparse_steps.py`` has why); on the slow path strengths are weak while inputs that nothing holds arrive at 0.
L1 (the lasso, or logistic regression), stochastic gates (the explainer ``stg``) and LassoNet (Lemhadri et al., JMLR
2021; package lassonet) give supports by paths of their own. All supports are judged by the same refits and the same
rule; those of the gates and of LassoNet on one split, since they take some ten seconds and a minute a path. The truth
is read when everything is chosen. Every run is a line of ``reports/sparse/supports.csv``; one that is there with the
same settings is not repeated, so this can be stopped.

    python benchmarks/sparse_supports.py             # what is missing, one data seed after the other; then the report
    python benchmarks/sparse_supports.py xor null    # of some sets, or methods
"""

from __future__ import annotations

import csv
import importlib.metadata
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sparse_report
import torch
from gates_path import gates_at
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, lasso_path
from sklearn.svm import l1_min_c

from xai_bench import registry
from xai_bench.component import canonical_json
from xai_bench.datasets.base import Bools, Dataset
from xai_bench.models.path import REFINED, STEADY, Rows, SparseSettings, slow, tuned
from xai_bench.models.sparse import JudgedPath, fold_numbers, judged_path, pooled_refits, refitted

RUNS = Path(__file__).parents[1] / "reports" / "sparse" / "supports.csv"
SEEDS = range(10)
CASES: dict[str, tuple[str, dict[str, int]]] = {
    "gaussian_correlated": ("gaussian_correlated", {"n": 4000}),
    "xor": ("xor", {"n": 1000, "d": 20}),
    "null": ("null", {"n": 2000, "d": 20}),
    "orange_skin": ("orange_skin", {"n": 4000, "d": 20}),
    "nonlinear_additive": ("nonlinear_additive", {"n": 4000, "d": 20}),
    "gaussian_independent": ("gaussian_independent", {"n": 4000, "d": 20}),
    "friedman1": ("friedman1", {"n": 2000, "d": 50}),
}
L1_STRENGTHS = 24
L1_WEAKEST = 0.01
"""The weakest L1 strength as a share of the one that leaves no input."""
GATE_STRENGTHS = tuple(float(strength) for strength in np.geomspace(0.01, 30, 24))
"""From most inputs to none on every set; of data seed 1000 the numbers of open gates were looked at, nothing else."""
LASSONET_RATIO = 1.05


class Walked(NamedTuple):
    """A path that was judged, the settings that choose from it, and how many networks were trained along it."""

    path: JudgedPath
    settings: SparseSettings
    networks: int


def of_form(data: Dataset, settings: SparseSettings, seed: int) -> Walked:
    """The path of strengths of this package."""
    path = judged_path(Rows.of(data), settings, seed)
    return Walked(path, settings, path.trainings)


def of_l1(data: Dataset, settings: SparseSettings, seed: int) -> Walked:
    """In every fold the supports of linear models along strengths of an L1 penalty, then none."""
    started, rows = time.process_time(), Rows.of(data)
    fold = fold_numbers(rows.y, rows.kind, settings.folds, seed)
    supports = np.stack([_linear(rows, np.flatnonzero(fold != f)) for f in range(settings.folds)], axis=1)
    return _judged(rows, fold, supports, settings, seed, time.process_time() - started, 0)


def _linear(rows: Rows, train: NDArray[np.intp]) -> Bools:
    """(levels, d) all inputs, then what L1 leaves from weak to strong, then none."""
    X, y = rows.X[train].astype(np.float64), rows.y[train]
    if rows.kind == "regression":
        coefficients = lasso_path(X, y - y.mean(), eps=L1_WEAKEST, n_alphas=L1_STRENGTHS)[1].T[::-1]
    else:
        least = l1_min_c(X, y, loss="log")
        coefficients = np.array([
            LogisticRegression(l1_ratio=1.0, solver="liblinear", C=least / share).fit(X, y).coef_[0]
            for share in np.geomspace(L1_WEAKEST, 1, L1_STRENGTHS)
        ])  # fmt: skip
    d = X.shape[1]
    return np.concatenate([np.ones((1, d), bool), coefficients != 0, np.zeros((1, d), bool)])


def of_gates(data: Dataset, settings: SparseSettings, seed: int) -> Walked:
    """All inputs, the open gates at every strength, and none, judged by refits on the validation rows."""
    started = time.process_time()
    found = gates_at(data, GATE_STRENGTHS, seed).numpy() > 0
    supports = np.concatenate([np.ones((1, data.d), bool), found, np.zeros((1, data.d), bool)])
    return _on_one_split(data, supports, settings, seed, time.process_time() - started, len(found))


def of_lassonet(data: Dataset, settings: SparseSettings, seed: int) -> Walked:
    """The supports of one LassoNet path on the training rows, judged by refits on the validation rows."""
    from lassonet import LassoNetClassifier, LassoNetRegressor

    started = time.process_time()
    kind: Any = LassoNetClassifier if data.kind == "classification" else LassoNetRegressor
    model = kind(hidden_dims=(100,), path_multiplier=LASSONET_RATIO, torch_seed=seed, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        steps = model.path(data.X_train, data.y_train, X_val=data.X_valid, y_val=data.y_valid)
    found = [np.ones(data.d, dtype=bool), *(step.selected.numpy() for step in steps), np.zeros(data.d, dtype=bool)]
    supports = np.array([support for support, _ in itertools.groupby(map(tuple, found))])
    return _on_one_split(data, supports, settings, seed, time.process_time() - started, len(steps))


def _on_one_split(
    data: Dataset, supports: Bools, settings: SparseSettings, seed: int, walk_cpu: float, networks: int
) -> Walked:
    """Refits of supports (levels, d) on the training rows, judged by the validation rows."""
    rows = Rows.of(data)
    fold = (np.arange(len(rows.X)) < len(data.X_train)).astype(np.intp)  # the validation rows are fold 0
    one = settings.model_copy(update={"votes": 1})
    return _judged(rows, fold, supports[:, None], one, seed, walk_cpu, networks)


def _judged(
    rows: Rows, fold: NDArray, supports: Bools, settings: SparseSettings, seed: int, walk_cpu: float, networks: int
) -> Walked:
    """Refits on all supports (levels, folds, d), as the path of this package has them."""
    started, held = time.process_time(), fold < supports.shape[1]
    refits = pooled_refits(rows, fold, supports, settings, seed, torch.float32)
    judged = type(refits)(refits.losses[:, held], refits.shortfalls[:, held])
    cpu = walk_cpu, time.process_time() - started
    levels = np.arange(len(supports), dtype=float)
    path = JudgedPath(levels, supports, {"refit": judged}, fold[held], rows.weight[held], *cpu)
    return Walked(path, settings, networks + path.trainings)


class Method(NamedTuple):
    """What makes a path, the form whose networks are refitted, and how many draws it gets."""

    walk: Callable[[Dataset, SparseSettings, int], Walked]
    settings: SparseSettings
    draws: int = len(SEEDS)


PLAIN = tuned("group_lasso", **REFINED, agreed_by="votes")
METHODS = {
    "spectral": Method(of_form, tuned("spectral", **REFINED, agreed_by="votes")),
    "group_lasso": Method(of_form, PLAIN),
    "steady_spectral": Method(of_form, tuned("spectral", **REFINED, **STEADY, agreed_by="votes")),
    "steady_group_lasso": Method(of_form, tuned("group_lasso", **REFINED, **STEADY, agreed_by="votes")),
    "slow_spectral": Method(of_form, slow("spectral", agreed_by="votes")),
    "slow_group_lasso": Method(of_form, slow("group_lasso", agreed_by="votes")),
    "l1": Method(of_l1, PLAIN),
    "stg": Method(of_gates, PLAIN),
    "lassonet": Method(of_lassonet, PLAIN, 3),
}


def one(name: str, method: str, seed: int) -> dict[str, Any]:
    """One path on one draw, chosen by held-out rows; then the truth is read."""
    data = registry.create("datasets", *CASES[name]).load(seed).standardised()
    walk, wanted, _ = METHODS[method]
    path, settings, networks = walk(data, wanted, seed)
    chosen = path.choose(settings)
    scores = {"all": np.ones(data.d, dtype=bool), "chosen": chosen.support}
    assert data.truth is not None
    if data.truth.relevant.any():
        scores["true"] = data.truth.relevant
    scored = {f"score_{which}": refitted(data, s, settings, seed).test_score for which, s in scores.items()}
    return {
        **key_of(name, method, seed),
        "version": importlib.metadata.version("xai-bench"),
        "rows": len(data.X_train) + len(data.X_valid) + len(data.X_test),
        "inputs": data.d,
        "relevant": listed(np.flatnonzero(data.canonical(data.truth.relevant))),
        "support": listed(np.flatnonzero(data.canonical(chosen.support))),
        **{f"score_{which}": scored.get(f"score_{which}") for which in ("all", "true", "chosen")},
        "networks": networks,
        "levels_walked": path.walked,
        "walk_cpu": round(path.walk_cpu, 2),
        "refit_cpu": round(path.refit_cpu, 2),
        "level": chosen.level,
        "strengths": listed(float(f"{strength:.6g}") for strength in path.strengths if np.isfinite(strength)),
        "sizes": listed(path.supports.sum(2).mean(1).round(2)),
        "changes": listed((path.supports[1:] != path.supports[:-1]).sum(2).mean(1).round(2)),
        "losses": listed(path.judgements["refit"].losses.mean(1).round(6)),
    }


def listed(values: Iterator[Any] | Sequence[Any] | NDArray) -> str:
    """Numbers with blanks between them."""
    return " ".join(f"{value:g}" for value in values)


def key_of(name: str, method: str, seed: int) -> dict[str, Any]:
    """What a run is known by; other settings are another run."""
    settings = canonical_json(METHODS[method].settings.identity()["fields"])
    return {"case": name, "method": method, "seed": seed, "settings": settings}


def wanted(names: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """All runs, one data seed after the other; LassoNet, the dearest, after three seeds of the others."""
    methods = [method for method in METHODS if method in names] or list(METHODS)
    names = [case for case in CASES if case in names] or list(CASES)
    first = list(itertools.product(SEEDS, names, [m for m in methods if m != "lassonet"]))
    dear = list(itertools.product(SEEDS, names, [m for m in methods if m == "lassonet"]))
    early = [run for run in first if run[0] < 3]
    for seed, name, method in [*early, *dear[: len(names)], *(r for r in first if r[0] >= 3), *dear[len(names) :]]:
        if seed < METHODS[method].draws:
            yield name, method, seed


def done(path: Path, fields: Sequence[str]) -> set[tuple[str, ...]]:
    """The keys of the runs that are kept."""
    if not path.exists():
        return set()
    with path.open(encoding="utf-8", newline="") as file:
        return {tuple(row[field] for field in fields) for row in csv.DictReader(file)}


def append(path: Path, record: dict[str, Any]) -> None:
    """One run more."""
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(record), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(record)


def main(names: list[str]) -> None:
    """Run what is missing of some sets and methods, or of all; then write the report."""
    unknown = sorted(set(names) - {*CASES, *METHODS})
    if unknown:
        expected = f"sets ({', '.join(CASES)}) or methods ({', '.join(METHODS)})"
        print(f"sparse_supports: expected {expected}, got {', '.join(unknown)}", file=sys.stderr)
        sys.exit(2)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    kept = done(RUNS, ("case", "method", "seed", "settings"))
    for run in wanted(names):
        if tuple(map(str, key_of(*run).values())) in kept:
            continue
        record = one(*run)
        append(RUNS, record)
        print(*run, record["walk_cpu"], record["refit_cpu"], file=sys.stderr, flush=True)
    sparse_report.write()


if __name__ == "__main__":
    main(sys.argv[1:])
