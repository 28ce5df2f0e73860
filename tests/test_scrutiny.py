"""Null runs, stability, agreement and sanity, from a store filled by hand: literal numbers, and how it looks."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.reference import stability as literal
from tests.reports import build, entry, parsed, rows, section
from xai_bench.report import write_report
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.section import known, show
from xai_bench.report.sections.calibration import Calibration
from xai_bench.report.sections.stability import Stability
from xai_bench.results.frames import Results
from xai_bench.results.records import (
    CellResult,
    DrawFacts,
    DrawRecord,
    Measurement,
    ModelFacts,
    ModelRecord,
    PlanRow,
)
from xai_bench.results.store import Store
from xai_bench.scoring import stability
from xai_bench.statistics import interval

D, SEEDS, MODEL_SEEDS = 8, (0, 1, 2), (0, 1, 2)
METHODS = ("saliency", "twin", "sparse")
CHANCE = {"auroc": 0.5, "average_precision": 0.4, "somers_d": None}


def relevance(method: str, data_seed: int, model_seed: int) -> np.ndarray:
    """``twin`` is the square of ``saliency``; ``sparse`` has zeros."""
    name = "saliency" if method == "twin" else method
    rng = np.random.default_rng([data_seed, model_seed, METHODS.index(name)])
    values = rng.random(D) + np.r_[1.0, 0.6, np.zeros(D - 2)]
    if method == "sparse":
        return np.where(values > 0.7, values, 0.0)
    return values**2 if method == "twin" else values


def learned(data_seed: int, model_seed: int) -> bool:
    return (data_seed, model_seed) != (1, 2)


def auroc(method: str, data_seed: int, model_seed: int) -> float:
    return 0.9 - 0.05 * METHODS.index(method) + 0.01 * data_seed if learned(data_seed, model_seed) else 0.5


def null(number: int) -> np.ndarray:
    """The largest share is (10 + number % 20) / 100, in the judges a hundredth less; three of them are above."""
    share = (10 + number % 20) / 100 - (0.01 if number >= 20 else 0) + (0.2 if number in (25, 30, 39) else 0)
    return np.r_[share, np.full(D - 1, (1 - share) / (D - 1))] * 7


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    suite = {
        "name": "hand", "data_seeds": list(SEEDS), "model_seeds": list(MODEL_SEEDS), "folds": 0, "rankings": 200,
        "retention": None, "calibration": {"runs": 20, "datasets": [], "models": [], "explainers": []},
        "sanity": {"datasets": [], "models": [], "explainers": []}, "datasets": [entry("toy", "toy")],
        "models": [entry("net", "mlp", group_lasso=0.0)], "explainers": [entry(m, m) for m in METHODS],
    }  # fmt: skip
    plan, found = [], []
    for seed in SEEDS:
        facts = {
            "dataset": "toy", "kind": "classification", "d": D, "n_outputs": 2, "n_train": 64, "n_valid": 16,
            "n_test": 20, "feature_names": [f"x{j + 1}" for j in range(D)], "feature_units": [], "feature_shape": None,
            "class_names": [], "target_name": "class", "target_units": "", "target_std": 1.0, "constant": [],
            "ceiling": 0.9, "roles": ["relevant"] * 2 + ["noise"] * 5 + ["redundant"], "graded": None, "groups": [],
            "blocks": [], "windows": [], "resolution": None, "n_relevant": 2, "spearman_ceiling": None,
            "chance": CHANCE, "notices": [],
        }  # fmt: skip
        draw = DrawRecord(f"draw{seed}", DrawFacts.from_json(facts))
        for number in MODEL_SEEDS:
            key = f"net{seed}{number}"
            content = {
                "kind": "classification", "train_score": 0.9, "valid_score": 0.9, "test_score": 0.7 + 0.05 * number,
                "chance": 0.5, "p_value": 1e-9, "learned": learned(seed, number), "valid_loss": 0.1, "train_cpu": 1.0,
                "train_wall": 1.0, "ceiling": 0.9, "parameters": 100,
            }  # fmt: skip
            for method in METHODS:
                cell = f"{seed}-{number}-{method}"
                plan.append(PlanRow(cell, draw.key, key, "toy", "net", method, seed, number, -1))
                scores = [Measurement("auroc", auroc(method, seed, number)), Measurement("somers_d", 0.25)]
                for k in (1, 2, 3):
                    scores += [Measurement(f"sanity_{way}", 1 - 0.3 * k, k) for way in ("top", "bottom")]
                result = CellResult(cell, "done", "", relevance=relevance(method, seed, number), measurements=scores)
                found.append((result, draw, ModelRecord(key, ModelFacts.from_json(content), b"")))
    for number in range(40):
        for method in ("saliency", "sparse"):
            cell = f"null-{number}-{method}"
            plan.append(PlanRow(cell, f"null{number}", "", "toy", "net", method, 0, number, -1, number))
            if method == "saliency":
                found.append((CellResult(cell, "done", "", relevance=null(number)), None, None))
            elif number < 5:
                found.append((CellResult(cell, "failed", "ValueError: no luck (/opt/x/y.py:3)"), None, None))
    with Store(tmp_path_factory.mktemp("store") / "results.sqlite") as store:
        run = store.begin(suite, plan, {"versions": {}, "plugins": {}})
        for cell, draw, model in found:
            store.add([cell], run, draw, model)
        return store.results()


@pytest.fixture(scope="module")
def frames(results) -> Frames:
    return Frames(results)


@pytest.fixture(scope="module")
def report(results, tmp_path_factory):
    return write_report(results, tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="module")
def page(report) -> str:
    return (report / "index.html").read_text(encoding="utf-8")


def test_stability_of_sets_and_rankings(frames):
    frame = frames.stability.set_index("explainer")
    for method in METHODS:
        tops, supports, means = [], [], []
        for seed in SEEDS:
            vectors = [relevance(method, seed, m) for m in MODEL_SEEDS]
            sets = [[bool(v >= sorted(vector)[-2]) for v in vector] for vector in vectors]
            tops.append(literal.nogueira(sets))
            if method == "sparse":
                supports.append(literal.nogueira([[bool(v > 0) for v in vector] for vector in vectors]))
            means.append(literal.jackknife(vectors)[0])
        half = 1.959964 * np.sqrt(sum(variance for _, variance in tops)) / 3
        mean = np.mean([index for index, _ in tops])
        found = frame.loc[method, ["top_p", "top_p_low", "top_p_high", "top_p_n"]].astype(float)
        np.testing.assert_allclose(found, (mean, mean - half, mean + half, 3), rtol=1e-5)
        found = frame.loc[method, ["spearman", "spearman_low", "spearman_high", "spearman_n"]].astype(float)
        np.testing.assert_allclose(found, interval(means), rtol=1e-9)
        if method == "sparse":
            assert frame.loc[method, "support"] == pytest.approx(np.mean([index for index, _ in supports]))
        else:
            assert np.isnan(frame.loc[method, "support"])
    assert (frame["networks"] == 3).all()


@pytest.fixture(scope="module")
def unknown(results):
    """The same relevances where no truth is known."""
    return Frames(replace(results, draws={key: replace(facts, roles=None) for key, facts in results.draws.items()}))


def test_stability_has_an_answer_without_a_truth(unknown, frames):
    frame = unknown.stability.set_index("explainer")
    for method in METHODS:
        vectors = {seed: [relevance(method, seed, m) for m in MODEL_SEEDS] for seed in SEEDS}
        if method != "sparse":  # its zeros are ties
            sets = {seed: [[bool(v >= sorted(one)[-3]) for v in one] for one in vectors[seed]] for seed in SEEDS}
            expected = np.mean([literal.nogueira(sets[seed])[0] for seed in SEEDS])
            assert frame.loc[method, "top_p"] == pytest.approx(expected)
            every = np.all([one for seed in SEEDS for one in sets[seed]], axis=0)
            assert frame.loc[method, "always"] == tuple(f"x{j + 1}" for j in np.flatnonzero(every))
    assert not frame["known"].any()
    assert frames.stability["known"].all()
    text = " ".join(Stability(unknown).findings())
    assert "toy: inputs that are among the first of every network, by saliency on net: " in text
    assert not any("of every network, by" in line for line in Stability(frames).findings())


def test_calibration_has_an_answer_without_a_truth(unknown, frames):
    row = unknown.calibration.set_index("explainer").loc["saliency"]
    own = [relevance("saliency", seed, m) for seed in SEEDS for m in MODEL_SEEDS]
    above = np.array([one / one.sum() > row["threshold"] for one in own])
    assert row["inputs_above"] == pytest.approx(above.sum(1).mean())
    assert set(row["names"]) == {f"x{j + 1}" for j in np.flatnonzero(above.mean(0) >= 0.5)}
    assert frames.calibration.set_index("explainer").loc["saliency", "names"] == ()
    assert any("toy: inputs above the threshold in most runs" in line for line in Calibration(unknown).findings())
    assert not any("in most runs" in line for line in Calibration(frames).findings())


def test_ties_do_not_look_stable():
    sets = [stability._top(np.ones(10), 3, f"cell {i}") for i in range(200)]
    assert abs(np.mean(sets, axis=0) - 0.3).max() < 4 * np.sqrt(0.3 * 0.7 / 200)


def test_agreement_is_the_mean_over_networks_and_names_the_same_rankings(frames):
    found = frames.agreement
    assert found.names == list(METHODS)
    assert found.same == [["saliency", "twin"]]
    expected = np.mean([
        spearmanr(relevance("saliency", seed, m), relevance("sparse", seed, m)).statistic
        for seed in SEEDS for m in MODEL_SEEDS
    ])  # fmt: skip
    table = stability.pairs(found).set_index(["explainer", "other"])
    assert table.loc[("saliency", "sparse"), "spearman"] == pytest.approx(expected)
    assert table.loc[("saliency", "twin")].tolist() == [pytest.approx(1), 9]


def test_the_sections_say_what_was_found(page, report):
    parser = parsed(page)
    assert len(parser.ids) == len(set(parser.ids))
    html = "".join(section(page, name) for name in ("calibration", "stability", "agreement", "sanity"))
    text = re.sub(r"<[^>]+>", "", html)
    for words in (
        "False selections in at most one null run of five: 1 of 1 pair",
        "3 of 20",
        "Without a threshold, 0 of 20 null runs are done: ValueError: no luck (y.py:3): sparse on net, toy.",
        "Identical rankings on every network: saliency and twin.",
        "With all layers new, the mean rank correlation with the original lies between 0.10",
    ):
        assert words in text, words
    assert html.count("<svg ") == 2
    assert rows(html)["saliency"]
    summary = (report / "summary.md").read_text(encoding="utf-8")
    assert "Identical rankings on every network: `saliency` and `twin`." in summary
    assert "/opt" not in page


def test_null_runs_stand_in_no_other_table(results):
    frames = Frames(results)
    assert len(frames.cells) == len(SEEDS) * len(MODEL_SEEDS) * len(METHODS)
    assert not {m for m in frames.metrics if m.startswith("sanity")}
    assert set(results.failed["explainer"]) == {"sparse"}


def left_out(frames: Frames) -> dict[str, str]:
    """Section to the reason why it is left out, or nothing."""
    kinds = [kind for kind in known() if kind.id in ("calibration", "stability", "agreement", "sanity")]
    return {shown.id: shown.absent for kind in kinds if (shown := show(kind, frames)) is not None}


def test_without_any_of_it_one_sentence_says_so(tmp_path):
    plain = left_out(Frames(build(tmp_path / "plain", truth=False)))
    assert [name for name, absent in plain.items() if not absent] == ["agreement"]
    everything = ("spectral", "column_norm", "saliency", "mutual_information", "random", "oracle")
    broken = build(tmp_path / "broken", statuses=dict.fromkeys(everything, ("failed", "broken")))
    assert all(left_out(Frames(broken)).values())
    page = write_report(broken, tmp_path / "report").read_text(encoding="utf-8")
    assert "Not in this report: " in page
    assert "null runs were not asked for (<code>[calibration]</code>)" in page
