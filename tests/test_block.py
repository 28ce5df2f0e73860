"""What a worker tells of data and networks beside relevances: in original units, canonical order, no test rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from xai_bench import registry
from xai_bench.datasets.base import Dataset
from xai_bench.models.mlp import MLP
from xai_bench.models.training import fit_many
from xai_bench.results import gate
from xai_bench.results.records import Views
from xai_bench.running import block as computed
from xai_bench.running import describe as described
from xai_bench.running import scores as running_scores
from xai_bench.running.describe import FEW_INPUTS, HISTOGRAM_BINS, views
from xai_bench.scoring import recovery
from xai_bench.suites import plan, reading


def loaded(name: str, **fields: object) -> Dataset:
    return registry.create("datasets", name, fields).load(0)


def test_histograms_count_the_training_rows_of_every_class_in_original_units():
    raw = loaded("breast_cancer")
    found = views(raw.standardised())["histograms"]
    rows = raw.canonical(raw.X_train)
    counts = np.array(found["counts"])
    assert counts.shape == (2, raw.d, HISTOGRAM_BINS)
    assert (counts.sum(2) == np.bincount(raw.y_train)[:, None]).all()
    for j in (0, 7, raw.d - 1):
        edges = found["edges"][j]
        assert edges[0] == pytest.approx(rows[:, j].min(), rel=1e-4, abs=1e-6)
        assert edges[-1] == pytest.approx(rows[:, j].max(), rel=1e-4)
        low = rows[raw.y_train == 1, j] < edges[HISTOGRAM_BINS // 2]
        assert abs(counts[1, j, : HISTOGRAM_BINS // 2].sum() - low.sum()) <= 1  # a value may stand on an edge


def test_many_inputs_have_their_mean():
    raw = loaded("stellar_synthetic", n=60)
    assert raw.d > FEW_INPUTS
    mean = views(raw.standardised())["mean"]
    np.testing.assert_allclose(mean, raw.canonical(raw.X_train.astype(float)).mean(0), rtol=1e-5, atol=1e-6)


def test_pictures_are_training_rows_of_every_class():
    data = loaded("digits").standardised()
    found = views(data)["pictures"]
    assert [picture["class"] for picture in found] == [str(digit) for digit in range(10)]
    for digit, picture in enumerate(found):
        same = (np.rint(255 * data.X_train) == picture["pixels"]).all(1)
        assert digit in data.y_train[same]


def test_a_regression_of_few_inputs_has_no_view():
    assert views(loaded("diabetes").standardised()) == Views()


def test_mean_absolute_error_is_in_the_units_of_the_target():
    raw = loaded("diabetes")
    data = raw.standardised()
    (fitted,) = fit_many(MLP(hidden=(8,), epochs=0.1, min_steps=30, checkpoints=1), data, [0], chunk=1)
    outputs = fitted.module(torch.from_numpy(data.X_test))[:, 0].numpy().astype(float)
    predicted = outputs * data.target_std + data.target_mean
    assert fitted.test_mae == pytest.approx(np.abs(predicted - raw.y_test).mean(), rel=1e-4)
    (classifier,) = fit_many(MLP(hidden=(8,), epochs=0.1, min_steps=5), loaded("digits"), [0], chunk=1)
    assert classifier.test_mae is None


def test_what_the_blocks_of_a_draw_share_is_made_once_for_the_same_metrics(tiny, monkeypatch):
    """Facts of the data and scores of random rankings: the same whatever network the block has."""
    blocks = [b for b in plan.blocks(reading.from_dict(tiny)) if b.draw.data_seed == 0][:3]
    draw = blocks[0].draw
    assert {block.draw for block in blocks} == {draw}

    def shared():
        found = [list(computed.run_block(replace(block, cells=block.cells[:1]))) for block in blocks]
        assert {block.cells[0].label for block in blocks} == {"random"}
        prepared = [next(item for item in one if isinstance(item, computed.Prepared)) for one in found]
        return [(shared.draw, one[-1].measurements) for shared, one in zip(prepared, found, strict=True)]

    for cache in (described.recorded, computed._of_random):
        cache.cache_clear()
    first = shared()
    assert all(facts is first[0][0] and scores == first[0][1] for facts, scores in first)
    assert computed._of_random.cache_info().misses == 1
    assert first[0][0].facts == gate.facts(described.describe(described.load(draw), draw))
    truth = described.load(draw).truth_over_inputs
    assert first[0][1] == running_scores.of_random(truth, draw.key, blocks[0].rankings, recovery.metrics())
    fewer = [metric for metric in recovery.metrics() if metric.name != "auroc"]
    monkeypatch.setattr(recovery, "metrics", lambda: fewer)
    facts, scores = shared()[0]
    assert set(facts.facts.metrics) == {metric.name for metric in fewer} < set(first[0][0].facts.metrics)
    assert len(scores) < len(first[0][1])
