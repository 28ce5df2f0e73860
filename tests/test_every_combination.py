"""Explainers on every dataset and model, with few rows: done, or unsupported with a reason, nothing else.

Every combination is a case of its own; a sample of them is run, see ``conftest``.
"""

from __future__ import annotations

import gzip
import os
import random

import numpy as np
import pytest

from tests.conftest import SEED
from xai_bench import registry, run
from xai_bench.datasets.packaged import Packaged
from xai_bench.scoring import recovery

SAMPLED = 8
"""Explainers that are run on a dataset, with one of the models."""

NET = {"hidden": [8, 6], "epochs": 0.1, "min_steps": 10, "checkpoints": 1}
MODELS = [
    {"name": "spectral_mlp", **NET},
    {"name": "spectral_mlp", "label": "all_spectral", "all_layers": True, "dropout": [0.1], **NET},
    {"name": "mlp", **NET},
    {"name": "mlp", "label": "relu_norm_everywhere", "activations": ["relu"], "batch_norm": [True], **NET},
]
FEW = {"max_inputs": 64, "rows": 3, "background": 4}
PATH = {"hidden": [6], "levels": 3, "first_steps": 10, "level_steps": 5, "refit_steps": 5}
TRAINED = {"hidden": [4], "steps": 5}
FIELDS = {
    "captum": {"method": "GuidedBackprop"},
    "shap": {"method": "GradientExplainer", "rows": 4, "background": 4, "samples": 4},
    "shap_kernel": {**FEW, "samples": 40},
    "shap_permutation": {**FEW, "samples": 1},
    "shap_deep": {"rows": 8, "background": 4},
    "shap_gradient": {"rows": 8, "background": 4, "samples": 4},
    "integrated_gradients": {"rows": 8, "n_steps": 4},
    "permutation_importance": {"rows": 20, "repeats": 1},
    "mutual_information": {"rows": 50},
    "spectral_moments": {"steps": 5},
    "spectral_path": PATH,
    "group_lasso_path": PATH,
    "smoothgrad": {"rows": 8, "nt_samples": 4},
    "gradient_shap": {"rows": 8, "n_samples": 4},
    "deeplift_shap": {"rows": 8, "background": 4},
    "feature_ablation": {"rows": 4},
    "occlusion": {"rows": 4, "stride": 2},
    "shapley_sampling": {"rows": 2, "n_samples": 1},
    "captum_kernel_shap": {"max_inputs": 64, "rows": 2, "n_samples": 20},
    "lime": {"max_inputs": 64, "rows": 2, "n_samples": 20},
    "mrmr": {"rows": 50},
    "lasso": {"strengths": 3},
    "random_forest": {"trees": 5},
    "random_forest_permutation": {"trees": 5, "repeats": 1},
    "gradient_boosting": {"iterations": 2, "repeats": 1},
    "tree_shap": {"trees": 3, "rows": 5},
    "boruta": {"runs": 2, "trees": 3},
    "conditional_permutation": {"rows": 10, "permutations": 1, "max_inputs": 64},
    "leave_one_out": {"iterations": 1, "max_inputs": 64},
    "conditional_randomisation": {"strengths": 2, "folds": 2, "max_inputs": 64},
    "knockoffs": {"strengths": 3, "folds": 2, "max_inputs": 64},
    "sage": {"orders": 8, "background": 4, "max_inputs": 64},
    "lassonet": {"hidden": [4], "lambda_start": 100.0, "path_multiplier": 4.0, "n_iters": [5, 2]},
    "xgboost_gain": {"iterations": 2},
    "xgboost_shap": {"iterations": 2, "rows": 5},
    "ebm": {"max_inputs": 64, "bags": 1, "interactions": 1, "max_rounds": 3},
    "tabnet": {"epochs": 1},
    "stg": TRAINED,
    "deep_lasso": TRAINED,
    "sequential_attention": TRAINED,
    "concrete_selector": TRAINED,
    "relieff": {"rows": 50},
    "recursive_feature_machine": {"max_inputs": 64, "rows": 50, "rounds": 1},
}


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Small files for the datasets that read some; returns the path of a table."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for part, n in (("train", 80), ("t10k", 40)):
        pictures = rng.integers(0, 256, (n, 28, 28)) * (rng.random((28, 28)) < 0.5)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(pictures))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(np.arange(n) % 10 * (np.arange(n) % 3 > 0)))
    monkeypatch.setenv("XAI_BENCH_DATA", str(tmp_path / "data"))
    table = tmp_path / "table.csv"
    values = rng.normal(size=(60, 3))
    table.write_text("a,b,c,y\n" + "".join(f"{a},{b},{c},{'yes' if a + b > 0 else 'no'}\n" for a, b, c in values))
    return table


def small(name: str, table: object) -> dict:
    """Fields that make a dataset small."""
    if name == "csv":
        return {"path": str(table), "target": "y", "kind": "classification"}
    if name == "simulated":
        return {"path": str(table), "target": "y", "kind": "classification", "relevant": 1}
    fields = registry.get("datasets", name).model_fields
    d = {"correlated_blocks": 30, "pathways": 50}.get(name, 24)  # whole blocks
    return {key: value for key, value in {"n": 160, "d": d}.items() if key in fields}


def sampled(dataset: str, config: pytest.Config) -> tuple[list[str], list[dict]]:
    """Explainers and models that are run on a dataset."""
    explainers = registry.names("explainers")
    if config.getoption("--every-combination"):
        return explainers, MODELS
    rng = random.Random(f"{os.environ[SEED]} {dataset}")
    return rng.sample(explainers, SAMPLED), rng.sample(MODELS, 1)


DATASETS = [name for name in registry.names("datasets") if not issubclass(registry.get("datasets", name), Packaged)]
"""Without tables of other packages, which may be absent and are large: they are read as a table of the user is."""


@pytest.mark.parametrize("name", DATASETS)
def test_done_or_unsupported(name, files, tmp_path, pytestconfig):
    dataset = {"name": name, **small(name, files)}
    absent = registry.create("datasets", name, small(name, files)).missing()
    if absent:
        assert name == "miles", "the other files were written above"
        pytest.skip(absent)
    chosen, models = sampled(name, pytestconfig)
    explainers = [{"name": explainer, **FIELDS.get(explainer, {})} for explainer in chosen]
    suite = {"name": "all", "data_seeds": [0], "datasets": [dataset], "models": models, "explainers": explainers}
    results = run(suite, out=tmp_path)
    cells = results.cells
    wrong = cells[~cells["status"].isin(["done", "unsupported"])]
    assert wrong.empty, wrong[["dataset", "model", "explainer", "reason"]].to_string()
    assert (cells.loc[cells["status"] == "unsupported", "reason"] != "").all()
    done = cells.loc[cells["status"] == "done", "explainer"].value_counts()
    draw = next(iter(results.draws.values()))
    limited = {e["name"] for e in explainers if "max_inputs" in e} if draw["d"] > 64 else set()
    flat = set() if draw["feature_shape"] else {"occlusion"}
    spectral = sum(model["name"] == "spectral_mlp" for model in models)
    layered = {"spectral": spectral, "column_norm": len(models) - spectral}
    without = {explainer for explainer, number in layered.items() if not number} | {"ft_attention"}
    linear = {"conditional_randomisation", "knockoffs"} if draw["n_outputs"] > 2 else set()
    assert set(done.index) | {"oracle"} == {*chosen, "random", "oracle"} - limited - flat - without - linear
    assert all(done.get(explainer, 0) == number for explainer, number in layered.items() if explainer in chosen)
    assert all(done[e] == len(models) for e in ("lrp", "shap_deep", "saliency") if e in chosen)
    assert_controls(results)


def assert_controls(results):
    """The oracle scores 1 unless a score is descriptive; the mean of random is within 4 standard errors of chance."""
    metrics = {metric.name: metric for metric in recovery.metrics() if metric.reads == "ranks"}
    scores = results.measurements.pivot_table(index=["dataset", "explainer"], columns="metric", values="value")
    chances = {draw: content["chance"] for draw, content in results.draws.items() if content["roles"]}
    labels = dict(results.cells[["draw", "dataset"]].itertuples(index=False))
    for draw, chance in chances.items():
        for metric, expected in chance.items():
            if expected is None or metric not in metrics:
                continue
            assert metrics[metric].descriptive or scores.loc[(labels[draw], "oracle"), metric] == 1.0, (
                labels[draw],
                metric,
            )
            mean, error = scores.loc[(labels[draw], "random"), [metric, f"{metric}_se"]]
            assert abs(mean - expected) < 4 * error, (labels[draw], metric, mean, expected, error)
