"""Inputs of several columns: how the relevances of columns become one, and what a run makes of it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks import attributions, close, network, problem
from tests.test_draws import Given, table
from xai_bench import DataSource, Explainer, GroundTruth, LocalExplainer, Table, pack, read, register, run
from xai_bench.datasets.inputs import each_column, inputs_of
from xai_bench.explainers import forests
from xai_bench.explainers.base import Relevance, Selection, Selector, score_on_valid
from xai_bench.explainers.captum import InputXGradient
from xai_bench.explainers.forests import RandomForest, TreeShap
from xai_bench.explainers.perturbation import Occlusion
from xai_bench.explainers.selectors import FTest, Lasso, PermutationImportance
from xai_bench.explainers.spectral import ColumnNorm
from xai_bench.models.training import loss
from xai_bench.report import write_report
from xai_bench.results.store import Store
from xai_bench.running.describe import describe, views
from xai_bench.running.tuning import Tuned
from xai_bench.scoring import retention

INPUTS = ((0, 4), (1,), (2, 3, 5))


class Opaque(nn.Module):
    """A network that shows no first layer."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        return self.inside(x * 1.0)


def grouped(model=None, **fields):
    return replace(problem(model or network(), n=40, n_train=60), inputs=INPUTS, **fields)


def by_input(values, join):
    return np.array([join(np.array([values[column] for column in columns])) for columns in INPUTS])


@pytest.mark.parametrize("aggregate", ["mean_abs", "abs_mean", "rms"])
def test_local_attributions_are_summed_with_their_signs_in_every_row(aggregate):
    p = grouped()
    p.X_train[:, 4] = 0.5  # constant: what it gets is not counted
    values = attributions(InputXGradient(), p)
    rows = [[sum(row[c] for c in columns if c != 4) for columns in INPUTS] for row in values]
    expected = {
        "mean_abs": [np.mean([abs(row[i]) for row in rows]) for i in range(3)],
        "abs_mean": [abs(np.mean([row[i] for row in rows])) for i in range(3)],
        "rms": [np.mean([row[i] ** 2 for row in rows]) ** 0.5 for i in range(3)],
    }
    found = InputXGradient(aggregate=aggregate).explain(p)
    close(found.over_inputs, np.array(expected[aggregate]))
    plain = InputXGradient(aggregate=aggregate).explain(replace(p, inputs=()))
    np.testing.assert_array_equal(found.relevance, plain.relevance)
    np.testing.assert_array_equal(plain.over_inputs, plain.relevance)


@pytest.mark.parametrize("wrap", [lambda model: model, Opaque])
def test_permutation_importance_shuffles_the_columns_of_an_input_together(wrap):
    p, explainer = grouped(wrap(network())), PermutationImportance(repeats=3)
    rng = np.random.default_rng(5)
    rows = np.sort(rng.permutation(len(p.X_valid)))
    orders = explainer._orders(len(rows), int(rng.integers(2**31)))
    X, y = p.X_valid[rows], p.y_valid[rows]

    def loss_of(x):
        return float(loss(p.fitted(x)[None].double(), y[None], p.kind))

    expected = []
    for columns in INPUTS:
        rises = []
        for order in orders:
            x = X.clone()
            for column in columns:
                x[:, column] = X[order, column]
            rises.append(loss_of(x) - loss_of(X))
        expected.append(max(np.mean(rises), 0))
    found = explainer.explain(p, seed=5)
    close(found.over_inputs, np.array(expected))
    np.testing.assert_array_equal(found.relevance, explainer.explain(replace(p, inputs=()), seed=5).relevance)


@pytest.mark.parametrize("fall", [forests.permutation_fall, forests.forest_permutation_fall])
def test_forests_shuffle_the_columns_of_an_input_together(fall):
    p = replace(problem(network(n_outputs=1), "regression", n=40, n_train=60), inputs=INPUTS)
    X, y, X_valid = p.X_train.numpy(), p.y_train.numpy(), p.X_valid.numpy()
    model = forests.forest(p, 10, 2).fit(X, y)
    rng, expected = np.random.default_rng(1), np.zeros(3)
    parts = INPUTS
    jobs = [(i, r) for i in range(3) for r in range(4)]
    if fall is forests.forest_permutation_fall:
        jobs.sort(key=lambda job: (job[1], job[0]))  # all inputs at once
    for i, _ in jobs:
        order, shuffled = rng.permutation(len(X_valid)), X_valid.copy()
        for column in parts[i]:
            shuffled[:, column] = X_valid[order, column]
        whole, hurt = (score_on_valid(p, model.predict(rows)) for rows in (X_valid, shuffled))
        expected[i] += (whole - hurt) / 4
    found = fall(model, replace(p, generator=np.random.default_rng(1)), 4, parts)
    np.testing.assert_allclose(found, np.clip(expected, 0, None), atol=1e-12)
    columns, inputs = forests.falls_of(fall, model, replace(p, generator=np.random.default_rng(1)), 4)
    alone = fall(model, replace(p, generator=np.random.default_rng(1)), 4, each_column(6))
    np.testing.assert_array_equal(columns, alone)
    assert inputs[1] == columns[1]
    assert len(inputs) == 3


def test_tree_shap_adds_the_values_of_an_input_in_every_row():
    import shap

    p, explainer = grouped(), TreeShap(trees=5, rows=20)
    found = explainer.explain(p, seed=2)
    with_rng = replace(p, generator=np.random.default_rng(2))
    fitted, _ = explainer._fitted(with_rng)
    rows = np.sort(with_rng.generator.permutation(len(p.X_valid))[:20])
    values = shap.TreeExplainer(fitted).shap_values(p.X_valid.numpy()[rows], check_additivity=False)
    expected = np.zeros(3)
    for row, label in zip(values, p.y_valid.numpy()[rows], strict=True):
        expected += [abs(sum(row[c, label] for c in columns)) / 20 for columns in INPUTS]
    close(found.over_inputs, expected)


@pytest.mark.parametrize(
    ("explainer", "join"),
    [
        (ColumnNorm(), lambda values: np.sqrt((values**2).sum())),
        (Lasso(strengths=5), lambda values: np.sqrt((values**2).sum())),
        (RandomForest(trees=5), np.sum),
        (FTest(), np.max),
        (Tuned.of(Lasso(), [{"strengths": 5}]), lambda values: np.sqrt((values**2).sum())),
    ],
    ids=["column_norm", "lasso", "random_forest", "f_test", "tuned"],
)
def test_relevances_of_columns_are_joined_as_the_method_declares(explainer, join):
    found = explainer.explain(grouped(), seed=1)
    np.testing.assert_allclose(found.over_inputs, by_input(found.relevance, join), rtol=1e-12)
    assert found.over_inputs.shape == (3,)


class OnlyRelevance(Explainer):
    name: ClassVar[str] = "only_relevance"
    needs: ClassVar = "data"

    def relevance(self, problem):
        return problem.X_train.abs().mean(0)


class Squared(InputXGradient):
    """A subclass that knows of columns only."""

    def relevance(self, problem):
        return super().relevance(problem) ** 2


class Jointly(Selector):
    name: ClassVar[str] = "jointly"
    predicts: ClassVar[bool] = False

    def select(self, problem):
        return Selection(np.ones(problem.d), over_inputs=np.arange(len(problem.partition)))


class Wrong(OnlyRelevance):
    def relevances(self, problem):
        return Relevance(np.ones(problem.d), -np.ones(len(problem.partition)))


class OneColumn(LocalExplainer):
    name: ClassVar[str] = "one_column"

    def attribute(self, model, X, target, problem):
        return torch.where(torch.arange(X.shape[1]) == 2, 1.0, -0.25).expand(X.shape)


def test_a_method_that_knows_of_columns_only_works_unchanged():
    p = grouped()
    for explainer in (OnlyRelevance(), Squared()):
        found = explainer.explain(p)
        np.testing.assert_allclose(found.over_inputs, by_input(found.relevance, np.sum))
    np.testing.assert_allclose(Squared().explain(p).relevance, InputXGradient().explain(p).relevance ** 2)
    np.testing.assert_allclose(OneColumn().explain(p).over_inputs, [0.5, 0.25, 0.5])
    np.testing.assert_array_equal(Jointly().explain(p).over_inputs, [0, 1, 2])


def test_what_a_method_says_of_inputs_is_checked_and_a_constant_input_gets_0():
    with pytest.raises(ValueError, match="relevances >= 0"):
        Wrong().explain(grouped())
    p = grouped()
    p.X_train[:, [2, 3, 4, 5]] = 1.0
    assert Jointly().explain(p).over_inputs.tolist() == [0, 1, 0]
    found = OnlyRelevance().explain(p)
    assert found.over_inputs.tolist() == [found.relevance[0], found.relevance[1], 0]


def test_occlusion_covers_all_channels_of_a_window():
    side, pixels = 3, 9
    p = problem(network(18), n=3)
    p = replace(p, feature_shape=(side, side), inputs=tuple((j, j + pixels) for j in range(pixels)))
    mean, expected = p.X_train.mean(0), []
    for x, label in zip(p.X_valid, p.y_valid.tolist(), strict=True):
        total, count = np.zeros((side, side)), np.zeros((side, side))
        for a in range(side):
            for b in range(side):
                covered = x.clone()
                covered[[a * side + b, a * side + b + pixels]] = mean[[a * side + b, a * side + b + pixels]]
                total[a, b] += float((p.fitted(x[None]) - p.fitted(covered[None]))[0, label])
                count[a, b] += 1
        expected.append((total / count).ravel())
    found = Occlusion(window=1).explain(p)
    close(found.over_inputs, np.abs(expected).mean(0))
    close(found.relevance, np.tile(np.abs(expected).mean(0) / 2, 2))
    other = replace(p, inputs=tuple((2 * j, 2 * j + 1) for j in range(pixels)))
    assert "not ordered by channel" in Occlusion().unsupported(other)


REST = [j for j in range(16) if j not in (0, 1, 4, 5)]


def draw_of(source):
    return SimpleNamespace(dataset=SimpleNamespace(component=source))


class Pets(DataSource):
    """The class depends on the first of three kinds and on the age; weight is noise."""

    name: ClassVar[str] = "pets"

    def draw(self, rng):
        kind, age, weight = rng.integers(3, size=200), rng.normal(size=200), rng.normal(size=200)
        return Table(
            X=np.column_stack([kind == 0, age, kind == 1, weight, kind == 2]),
            y=((kind == 0) | (age > 1)).astype(int),
            kind="classification",
            truth=GroundTruth(("relevant", "relevant", "relevant", "noise", "noise")),
            feature_names=("kind=cat", "age", "kind=dog", "weight", "kind=eel"),
            feature_units=("", "years", "", "kg", ""),
            inputs=((0, 2, 4), (1,), (3,)),
        )


class Channels(DataSource):
    """Pictures of two channels; the class is the sign of one pixel's sum."""

    name: ClassVar[str] = "channels"

    def draw(self, rng):
        X = rng.random((120, 32)).astype(np.float32)
        roles = tuple("relevant" if j % 16 == 5 else "noise" for j in range(32))
        pixels = tuple((j, j + 16) for j in range(16))
        y = (X[:, 5] + X[:, 21] > 1).astype(int)
        return Table(X, y, "classification", GroundTruth(roles), inputs=pixels, feature_shape=(4, 4))


def test_pictures_whose_inputs_are_patches_are_shown_as_a_table():
    rows = np.random.default_rng(0).random((60, 16))
    patches = Given(
        table(X=rows, y=np.arange(60) % 2, feature_shape=(4, 4), inputs=((0, 1, 4, 5), *((j,) for j in REST)))
    )
    data = patches.load(0)
    found = views(data)
    assert not found.pictures
    assert np.array(found.histograms.counts).shape[:2] == (2, 13)
    first = np.array(found.histograms.counts)[:, 0].sum(0)
    expected = np.bincount(data.X_train[:, [0, 1, 4, 5]].argmax(1), minlength=4)
    assert first[first > 0].tolist() == expected.tolist()
    assert describe(data, draw_of(patches)).feature_shape is None
    assert data.shape == (4, 4)


NET = {"hidden": [8], "epochs": 0.1, "min_steps": 30, "checkpoints": 2}
JUDGE = {"judge": {"epochs": 0.1, "min_steps": 20, "checkpoints": 2}, "masked_to": 2}


@pytest.fixture
def masks(monkeypatch):
    """(data, masks over the columns of X) of everything that the judge was trained on."""
    seen, original = [], retention.fit_many

    def watched(judge, data, seeds, masks, **options):
        seen.append((data, masks))
        return original(judge, data, seeds, masks, **options)

    monkeypatch.setattr(retention, "fit_many", watched)
    return seen


def test_a_run_speaks_of_inputs(tmp_path, plugin_registry, masks):
    register(Pets)
    names = ("spectral", "saliency", "permutation_importance", "mutual_information", "random")
    suite = {
        "name": "categories",
        "data_seeds": [0],
        "datasets": [{"name": "monk1", "noise": 2}, {"name": "pets"}],
        "models": [{"name": "spectral_mlp", **NET}],
        "explainers": [{"name": name} for name in names[:-1]] + [{"name": "random_forest", "trees": 5}],
        "retention": JUDGE,
        "sanity": {},
    }
    results = run(suite, out=tmp_path)
    assert set(results.cells["status"]) == {"done"}
    facts = {row.dataset: results.draws[row.draw] for row in results.cells.itertuples()}
    assert facts["monk1"].d == 8
    assert facts["monk1"].n_columns == 19
    assert facts["monk1"].n_relevant == 3
    assert facts["pets"].feature_names == ("kind", "age", "weight")
    assert facts["pets"].feature_units == ("", "years", "kg")
    assert facts["pets"].roles == ("relevant", "relevant", "noise")
    assert facts["pets"].columns == ("kind=cat", "age", "kind=dog", "weight", "kind=eel")
    assert facts["pets"].inputs == ((0, 2, 4), (1,), (3,))
    histograms = np.array(facts["pets"].views.histograms.counts)
    assert histograms.shape[:2] == (2, 3)
    assert (histograms.sum((0, 2)) == facts["pets"].n_train).all()
    for row in results.cells[~results.cells["explainer"].isin(["oracle", "random"])].itertuples():
        known = facts[row.dataset]
        assert results.relevance[row.cell].shape == (known.d,)
        assert results.column_relevance[row.cell].shape == (known.n_columns,)
    oracle = results.measurements[results.measurements["explainer"] == "oracle"]
    assert (oracle.loc[oracle["metric"] == "auroc", "value"] == 1).all()
    kept = results.measurements[results.measurements["metric"] == "retention_retrained"]
    assert kept.groupby("dataset")["k"].agg(lambda k: sorted(set(k))).to_dict() == {
        "monk1": [1, 2, 3, 8],
        "pets": [1, 2, 3],
    }
    assert (results.measurements["metric"] == "sanity_top").any()
    assert results.measurements.loc[results.measurements["metric"] == "sanity_top", "value"].notna().any()
    for data, some in masks:
        for mask in some:
            inputs_of(mask, data.inputs)  # raises where an input is kept in part
    assert "because it failed" not in write_report(results, tmp_path / "report").read_text(encoding="utf-8")
    packed = read(pack(tmp_path, out=tmp_path / "categories.xaipack"))
    assert packed.column_relevance == {}
    for cell, relevance in packed.relevance.items():
        np.testing.assert_allclose(relevance, results.relevance[cell], rtol=1e-6)
    with Store.in_memory() as other, Store.reading(tmp_path) as store:
        other.begin(store.suite(), [], {})
        assert other.take(store, store_plan(results)) == len(results.cells)
        key = next(iter(results.column_relevance))
        taken = other._db.execute("SELECT columns, provenance FROM cells WHERE key = ?", (key,)).fetchone()
        np.testing.assert_array_equal(np.frombuffer(taken[0], "<f8"), results.column_relevance[key])
        assert taken[1] == 2


def store_plan(results):
    from xai_bench.results.records import PlanRow

    names = ("cell", "draw", "model_key", "dataset", "model", "explainer", "data_seed", "model_seed", "fold")
    return [PlanRow(*(getattr(row, name) for name in names)) for row in results.cells.itertuples()]


def test_a_run_on_pictures_with_channels_ranks_pixels(tmp_path, plugin_registry, masks):
    register(Channels)
    suite = {
        "name": "pixels",
        "data_seeds": [0],
        "datasets": [{"name": "channels"}],
        "models": [{"name": "mlp", **NET}],
        "explainers": [{"name": name} for name in ("saliency", "occlusion", "permutation_importance")],
        "retention": JUDGE,
    }
    results = run(suite, out=tmp_path)
    assert set(results.cells["status"]) == {"done"}
    (facts,) = results.draws.values()
    assert (facts.d, facts.n_columns, facts.feature_shape, facts.n_relevant) == (16, 32, (4, 4), 1)
    assert all(len(picture.pixels) == 16 for picture in facts.views.pictures)
    assert {len(values) for values in results.relevance.values()} == {16}
    assert {len(values) for values in results.column_relevance.values()} == {32}
    kept = results.measurements[results.measurements["metric"] == "retention_masked"]
    assert sorted(set(kept["k"])) == [1, 2, 3, 16]
    assert masks
    for data, some in masks:
        for mask in some:
            inputs_of(mask, data.inputs)
