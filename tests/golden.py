"""Numbers of every component of the package on small fixed inputs: they change with a ``version`` only.

``python -m tests.golden --update`` writes those of today to ``tests/data/golden.json``; the fields are small ones, so
that it takes seconds. Numbers are kept to six digits and compared to three: they hold on other processors.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from xai_bench import registry, run
from xai_bench.datasets.base import GroundTruth, Window
from xai_bench.explainers.base import LocalExplainer, Problem
from xai_bench.metrics.recovery import random_scores
from xai_bench.models.spectral import SpectralLinear
from xai_bench.running.state import guarded
from xai_bench.scoring import recovery, retention, sanity, settling
from xai_bench.suites import plan
from xai_bench.suites.suite import CONTROLS

FILE = Path(__file__).parent / "data" / "golden.json"
TOLERANCE = 1e-3
ROUGH = 0.05, 2e-3
"""Relative and absolute tolerance of networks with weights whose gradient is 0 but for rounding (biases before a
normalisation): Adam makes whole steps of it, with another sign on another processor. So they are trained for few steps.
"""
Entry = dict[str, Any]

PATH = {"hidden": (8, 4), "levels": 3, "first_steps": 30, "level_steps": 10, "refit_steps": 20}
TRAINED = {"hidden": (8,), "steps": 20}
SMALL: dict[str, dict[str, Any]] = {
    "boruta": {"runs": 5, "trees": 10},
    "captum": {"method": "Saliency"},
    "gradient_boosting": {"iterations": 10, "repeats": 2},
    "conditional_permutation": {"permutations": 3},
    "leave_one_out": {"iterations": 5},
    "conditional_randomisation": {"strengths": 3, "folds": 2},
    "knockoffs": {"strengths": 5, "folds": 2},
    "sage": {"orders": 32, "background": 8},
    "lassonet": {"hidden": (8,), "lambda_start": 1.0, "path_multiplier": 4.0, "n_iters": (10, 3)},
    "random_forest": {"trees": 10},
    "random_forest_permutation": {"trees": 10},
    "shap": {"method": "GradientExplainer"},
    "tree_shap": {"trees": 10},
    "spectral_moments": {"steps": 20},
    "spectral_path": PATH,
    "group_lasso_path": PATH,
    "xgboost_gain": {"iterations": 5},
    "xgboost_shap": {"iterations": 5},
    "ebm": {"bags": 1, "interactions": 1, "max_rounds": 10},
    "tabnet": {"epochs": 2},
    "stg": TRAINED,
    "deep_lasso": TRAINED,
    "sequential_attention": {**TRAINED, "chosen": 2},
    "concrete_selector": TRAINED,
}
"""Fields of explainers that would take seconds."""
SHORT = {"epochs": 0.1, "min_steps": 10, "checkpoints": 2}
NET = {"hidden": (8,), **SHORT}
FEW = {**SHORT, "min_steps": 3}
NETS: dict[str, dict[str, Any]] = {
    "resnet": {"width": 8, **FEW},
    "spectral_resnet": {"width": 8, **FEW},
    "ft_transformer": {"d_token": 8, "heads": 2, **FEW},
    "spectral_ft_transformer": {"d_token": 8, "heads": 2, **FEW},
    "cnn": {"channels": (3,), "hidden": 8, **FEW},
    "spectral_cnn": {"channels": (3,), "hidden": 8, **FEW},
}
"""Fields of networks that are not of the MLP family."""
TRUTH = GroundTruth(
    roles=("relevant", "relevant", "relevant", "redundant", "suppressor", "negligible", "noise", "noise"),
    relevance=np.array([0.9, 0.6, 0.2, 0.1, 0.0, 0.0, 0.0, 0.0]),
    groups=((0, 3),),
    blocks=((6, 7),),
    resolution=0.3,
    windows=(Window("a", "line", "relevant", (0, 1)), Window("b", "line", "noise", (6, 7))),
)
RELEVANCES = np.array([[5, 4, 3, 2, 1, 1, 0, 0], [1, 0, 2, 0, 3, 0, 5, 4], [2, 2, 2, 2, 2, 2, 2, 2]], dtype=float)


def rows() -> tuple[np.ndarray, np.ndarray]:
    """(60, 6) inputs and two classes, from the first three of them."""
    X = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(np.int64)


def of_dataset(name: str) -> list[float] | None:
    """Of one draw: rows, targets, order of the columns, truth; None where files are absent."""
    source = registry.get("datasets", name)
    fields = {"n": 100} if "n" in source.model_fields else {}
    with tempfile.TemporaryDirectory() as folder:
        if name in ("csv", "simulated"):
            X, y = rows()
            fields = {"path": f"{folder}/table.csv", "target": "y", "kind": "classification"}
            np.savetxt(fields["path"], np.c_[X, y], delimiter=",", header="a,b,c,d,e,f,y", comments="", fmt="%.6g")
        component = registry.create("datasets", name, fields)
        if component.missing() is not None:
            return None
        data = component.load(3)
    parts = [data.X_train, data.X_valid, data.X_test, data.y_train, data.y_valid, data.y_test]
    facts = [n for part in parts for n in (len(part), part.mean(dtype=float), part.std(dtype=float))]
    first = [value for part in parts for value in np.ravel(part[0])[:4]]
    weights = np.arange(1, data.d + 1)
    truth = data.canonical_truth
    grades = [] if truth is None or truth.relevance is None else [weights @ truth.relevance]
    roles = [] if truth is None else [weights @ truth.relevant]
    ceiling = component.best_score(np.ones(data.d, dtype=bool), truth)
    return [*facts, *first, *data.permutation[:4], *grades, *roles, *([] if ceiling is None else [ceiling])]


def of_model(name: str) -> list[float]:
    """Weights, outputs and scores after a few steps."""
    given = {"module": _filled(nn.Sequential(nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2)))}
    fields = {"given": given, "hand_set_network": {}}.get(name, NETS.get(name, NET))
    component = registry.create("models", name, fields)
    data = registry.create("datasets", "gaussian_independent", {"n": 100, "d": 12}).load(3).standardised()
    if name == "hand_set_network":
        data = registry.create("datasets", "hand_set", {"n": 100}).load(3).in_canonical_order()
    if name in NETS and component.needs_picture:
        data = replace(data, feature_shape=(3, 4))
    fitted = component.fit(data, 5)
    sizes = [float(value.double().square().sum()) for value in fitted.module.state_dict().values()]
    outputs = fitted.module(torch.from_numpy(data.X_valid[:3])).flatten().tolist()
    return [*sizes, *outputs, fitted.valid_loss]


def of_explainer(name: str) -> list[float] | None:
    """The relevance of six inputs; None where its package is absent."""
    kind = registry.get("explainers", name)
    fields = {**SMALL.get(name, {}), **({"rows": 6} if issubclass(kind, LocalExplainer) else {})}
    explainer = registry.create("explainers", name, {k: v for k, v in fields.items() if k in kind.model_fields})
    X, y = map(torch.from_numpy, rows())
    shape = (2, 3) if name == "occlusion" else None
    model = _transformer() if name == "ft_attention" else _network(kind.needs)
    problem = Problem(model, X[:40], y[:40], X[40:], y[40:], "classification", 2, shape)
    reason = explainer.unsupported(problem)
    if reason is not None and "it needs the package" in reason:
        return None
    assert reason is None, reason
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return explainer.explain(problem, seed=7).relevance.tolist()


def _network(needs: str) -> nn.Module | None:
    if needs == "data":
        return None
    layers = [SpectralLinear(6, 8) if needs == "spectral" else nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)]
    return _filled(nn.Sequential(*layers))


def _transformer() -> nn.Module:
    source = registry.create("models", "ft_transformer", NETS["ft_transformer"])
    return _filled(source.network((6,), 2, torch.Generator().manual_seed(0)))


def _filled(model: nn.Module) -> nn.Module:
    """The module with fixed numbers as weights, in eval mode."""
    rng = np.random.default_rng(1)
    for tensor in model.state_dict().values():
        tensor.copy_(torch.from_numpy(rng.normal(size=tuple(tensor.shape))))
    return model.eval().requires_grad_(False)


def of_metric(name: str) -> list[float | None]:
    """Scores of three relevances, chance, and random rankings."""
    metric = registry.get("metrics", name)
    random = random_scores(metric, TRUTH, 10, np.random.default_rng(0)) if metric.reads == "ranks" else None
    found = [metric(relevance, TRUTH) for relevance in RELEVANCES]
    return [*found, metric.chance(TRUTH), None if random is None else random.mean()]


@functools.cache
def _results() -> Any:
    suite = {
        "name": "golden",
        "data_seeds": [3],
        "datasets": [{"name": "gaussian_independent", "n": 100, "d": 12}],
        "models": [{"name": "mlp", **{key: list(v) if isinstance(v, tuple) else v for key, v in NET.items()}}],
        "explainers": [{"name": "column_norm"}, {"name": "f_test"}],
        "retention": {"least_first": True, "judge": {"epochs": 0.1, "min_steps": 20, "checkpoints": 2}},
        "sanity": {},
        "calibration": {"runs": 20, "explainers": ["f_test"]},
    }
    with tempfile.TemporaryDirectory() as folder:
        return run(suite, out=folder)


def of_followups(prefix: str) -> list[float | None]:
    """Measurements of a small run: ``retention`` or ``sanity``."""
    found = _results().measurements
    found = found[found["metric"].str.startswith(prefix)]
    return found.sort_values(["explainer", "model", "metric", "k"])["value"].tolist()


def of_settling() -> list[float | None]:
    """Signs of settling in a small run."""
    (found,) = _results().trained_again.values()
    return [
        getattr(signs, name)
        for signs in (found.first_layer, found.saliency)
        for name in ("share", "correlation", "initial", "top")
    ]


def of_control(name: str) -> list[float | None]:
    """Scores of a control in a small run."""
    found = _results().measurements
    found = found[(found["explainer"] == name) & ~found["metric"].str.startswith(("retention", "sanity"))]
    return found.sort_values(["model", "metric", "k"])["value"].tolist()


def of_calibration() -> list[float]:
    """The mean relevance of null runs, by input."""
    results = _results()
    null = results._plan[results._plan["permutation"] >= 0]["cell"]
    return np.mean([results.relevance[cell] for cell in null], axis=0).tolist()


def everything() -> Iterator[tuple[str, list[int], Callable[[], list[Any] | None]]]:
    """(name, versions, how the numbers are made) of all that has golden numbers."""
    makers = {"datasets": of_dataset, "models": of_model, "explainers": of_explainer, "metrics": of_metric}
    shared = {"datasets": [plan.VERSION], "metrics": [recovery.VERSION]}
    for family, maker in makers.items():
        for name in registry.names(family):
            if not registry.is_foreign(family, name):
                version = registry.get(family, name).version
                yield f"{family}/{name}", [version, *shared.get(family, [])], functools.partial(maker, name)
    judge = registry.get("models", "mlp").version
    draw = [registry.get("datasets", "gaussian_independent").version, plan.VERSION]
    method = [registry.get("explainers", name).version for name in ("column_norm", "f_test")]
    yield "retention", [retention.VERSION, judge, *draw, *method], functools.partial(of_followups, "retention")
    yield "sanity", [sanity.VERSION, judge, *draw, *method], functools.partial(of_followups, "sanity")
    saliency = registry.get("explainers", "saliency").version
    yield "settling", [settling.VERSION, judge, *draw, method[0], saliency], of_settling
    for control in CONTROLS:
        versions = [plan.CONTROL_VERSION, recovery.VERSION, *draw]
        yield f"control {control}", versions, functools.partial(of_control, control)
    yield "calibration", [plan.PERMUTATION_VERSION, *draw, method[1]], of_calibration


def numbers(make: Callable[[], list[Any] | None]) -> list[float | None] | None:
    """What ``make`` gives, to six digits; None where files are absent."""
    with guarded():
        torch.set_num_threads(1)
        found = make()
    return None if found is None else [None if v is None or v != v else float(f"{float(v):.6g}") for v in found]


def differs(found: list[float | None], golden: list[float | None], rough: bool = False) -> bool:
    """Whether numbers are others than those of before; ``rough``: as ``ROUGH`` says."""
    if len(found) != len(golden) or [v is None for v in found] != [v is None for v in golden]:
        return True
    now, before = (np.array([v for v in values if v is not None]) for values in (found, golden))
    scale = float(np.abs(before).max(initial=0))
    rtol, atol = ROUGH if rough else (TOLERANCE, 1e-6 * min(scale, 1.0))
    return not np.allclose(now, before, rtol=rtol, atol=atol)


def is_rough(name: str) -> bool:
    """Whether an entry is that of a network that is compared roughly."""
    return name.removeprefix("models/") in NETS


def stored() -> dict[str, Entry]:
    """The golden numbers: name to versions and numbers."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def update() -> None:
    """Write the numbers of today; those whose files are absent here stay as they are."""
    before, now = stored(), {}
    for name, versions, make in everything():
        found = numbers(make)
        if found is not None:
            now[name] = {"version": versions, "numbers": found}
        elif name in before:
            now[name] = before[name]
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(now.items())]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    changed = [n for n in now if n in before and differs(now[n]["numbers"], before[n]["numbers"], is_rough(n))]
    careless = [name for name in changed if now[name]["version"] == before[name]["version"]]
    print(f"{len(now)} entries, {len(changed)} with other numbers than before")
    if careless:
        print(f"other numbers under the same version, raise it: {', '.join(careless)}")


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit("usage: python -m tests.golden --update")
    update()
