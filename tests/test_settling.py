"""Settling: further trainings beside copies, the signs that they give, the rule, and where it is stored and shown."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests import reports, stores
from tests.reports import text_of
from xai_bench import forget, pack, read, registry, run
from xai_bench.component import stream_seed
from xai_bench.datasets.base import Dataset
from xai_bench.errors import InputError
from xai_bench.models.base import Architecture
from xai_bench.models.mlp import MLP
from xai_bench.models.training import fit_many
from xai_bench.report.kit import wording
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.section import show
from xai_bench.report.sections.networks import Networks
from xai_bench.report.sections.scores import Scores
from xai_bench.report.sections.settling import Settling
from xai_bench.results import settling as rule
from xai_bench.results.records import SettlingFacts, Signs
from xai_bench.results.store import Store
from xai_bench.running import loop
from xai_bench.running.describe import load
from xai_bench.running.followups import settling as followup
from xai_bench.scoring import settling
from xai_bench.suites import plan, reading

NET = {"hidden": [4], "epochs": 0.1, "min_steps": 10, "checkpoints": 1}
SUITE = {
    "name": "settling",
    "data_seeds": [0, 1, 2, 3],
    "model_seeds": [0, 1],
    "folds": 2,
    "crossed": False,
    "datasets": [{"name": "xor", "n": 120, "d": 5}],
    "models": [{"name": "spectral_mlp", **NET}, {"name": "mlp", **NET}],
    "explainers": [{"name": "column_norm"}, {"name": "f_test"}],
    "settling": {"draws": 3},
}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    parts = {f"X_{part}": rng.normal(size=(n, 4)).astype(np.float32) for part, n in PARTS.items()}
    targets = {f"y_{part}": rng.integers(0, 2, n) for part, n in PARTS.items()}
    return Dataset(
        **parts,
        **targets,
        kind="classification",
        n_outputs=2,
        feature_names=("a", "b=0", "b=1", "c"),
        permutation=np.array([3, 0, 1, 2]),
        inputs=((0,), (1, 2), (3,)),
    )


PARTS = {"train": 12, "valid": 5, "test": 7}


def test_copies_stand_behind_the_inputs_with_their_rows_in_one_other_order(data):
    beside = settling.with_copies(data, 7)
    for part, n in PARTS.items():
        before, after = getattr(data, f"X_{part}"), getattr(beside, f"X_{part}")
        np.testing.assert_array_equal(after[:, :4], before)
        order = [int(np.flatnonzero((before == row).all(1))[0]) for row in after[:, 4:]]
        assert sorted(order) == list(range(n))
        assert order != list(range(n))
    assert beside.inputs == ((0,), (1, 2), (3,), (4,), (5, 6), (7,))
    assert beside.input_names == ("a", "b", "c", "copy of a", "copy of b", "copy of c")
    assert beside.permutation.tolist() == [3, 0, 1, 2, 7, 4, 5, 6]
    assert (beside.y_train is data.y_train, beside.d, beside.truth) == (True, 8, None)
    np.testing.assert_array_equal(settling.with_copies(data, 7).X_train, beside.X_train)
    assert (settling.with_copies(data, 8).X_train != beside.X_train).any()


def expected_in_both(first, second, k):
    """Literal: the mean over all orders of ties, of the larger possible overlap where both tie for the last places."""

    def sets(values):
        last = sorted(values)[-k]
        above = [i for i, v in enumerate(values) if v > last]
        tied = [i for i, v in enumerate(values) if v == last]
        return [{*above, *some} for some in itertools.combinations(tied, k - len(above))]

    return np.mean([[len(a & b) / k for b in sets(second)] for a in sets(first)])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_signs_of_two_trainings(k):
    from scipy.stats import spearmanr

    rng = np.random.default_rng(k)
    first, second, untrained = rng.random(6), rng.random(12), rng.random(6)
    varying = np.array([True, True, True, False, True, True])
    found = settling.signs(first, second, untrained, varying, k)
    assert found.share == pytest.approx(sum(second[6:]) / sum(second))
    assert found.correlation == pytest.approx(spearmanr(first[varying], second[:6][varying])[0])
    assert found.initial == pytest.approx(spearmanr(first[varying], untrained[varying])[0])
    assert found.top == pytest.approx(expected_in_both(first, second[:6], k))
    tied = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    assert settling.signs(tied, first, untrained, varying, k).top == pytest.approx(expected_in_both(tied, first, k))
    without = settling.signs(first, second[:6], untrained, varying, k)
    assert replace(found, share=None) == without


def test_signs_that_are_not_defined():
    zero, some = np.zeros(4), np.arange(4.0)
    found = settling.signs(some, np.zeros(8), zero, np.ones(4, dtype=bool), 2)
    assert found == Signs(share=None, correlation=None, initial=None, top=0.5)


def facts(share, correlation, initial, copies=True):
    found = Signs(share if copies else None, correlation, initial, 1.0)
    return SettlingFacts(first_layer=found, reasons={"saliency": "not here"}, k=2, copies=copies)


SPREAD = (-0.03, 0.0, 0.03)


@pytest.mark.parametrize(
    ("share", "correlation", "initial", "settled"),
    [
        (0.3, 0.8, 0.1, True),
        (0.49, 0.8, 0.1, False),
        (None, 0.8, 0.1, True),
        (0.3, 0.05, -0.5, False),
        (0.3, 0.5, 0.47, False),
        (0.3, None, None, False),
    ],
)
def test_the_rule(share, correlation, initial, settled):
    """Means of three draws that spread by .03: the ends of the intervals are .075 away."""
    copies = share is not None

    def moved(value, by):
        return None if value is None else value + by

    known = {
        f"m{i}": facts(moved(share, e), moved(correlation, e), moved(initial, -e), copies) for i, e in enumerate(SPREAD)
    }
    rows = pd.DataFrame(
        {"model_key": [*known, *known, "other"], "dataset": "d", "model": "m", "data_seed": [0, 1, 2, 0, 1, 2, 3]}
    )
    first, saliency = rule.settling(rows, known).to_dict("records")
    assert (first["settled"], first["draws"], first["copies"]) == (settled, 3, copies)
    assert (first["relevance"], saliency["relevance"]) == ("first_layer", "saliency")
    assert (saliency["draws"], saliency["reason"]) == (0, "not here")
    assert pd.isna(saliency["settled"])
    if copies:
        assert first["share"] == pytest.approx(share)
        assert first["share_high"] == pytest.approx(share + 4.302653 * 0.03 / np.sqrt(3))
    assert rule.of_networks(rule.settling(rows, known)) == {("d", "m"): settled}
    alone = {key: replace(one, first_layer=None, saliency=one.first_layer) for key, one in known.items()}
    assert rule.of_networks(rule.settling(rows, alone)) == {("d", "m"): settled}, "no first layer to read"
    del known["m0"]
    assert rule.settling(rows, known)["settled"].isna().all(), "two draws say nothing"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run(SUITE, out=tmp_path_factory.mktemp("settling"))


def test_the_networks_of_the_first_draws_are_trained_once_more(results):
    planned = results._plan.drop_duplicates("model_key").set_index("model_key")
    trained = planned.loc[list(results.trained_again)]
    assert sorted(zip(trained["model"], trained["data_seed"], trained["model_seed"], trained["fold"], strict=True)) == [
        (model, seed, 0, 0) for model in ("mlp", "spectral_mlp") for seed in (0, 1, 2)
    ]
    assert results.provenance[-1]["spent"]["settling"] > 0
    frame = results.settling
    assert frame[["model", "relevance", "draws"]].values.tolist() == [
        [model, relevance, 3] for model in ("spectral_mlp", "mlp") for relevance in ("first_layer", "saliency")
    ]
    first = frame.drop_duplicates("model").set_index("model")["settled"]
    for table in (results.cells, results.table(), results.measurements.merge(results.cells[["cell", "settled"]])):
        for model, shown in table.groupby("model")["settled"]:
            assert shown.isna().all() if model == "" else (shown == first[model]).all()


def test_the_signs_are_those_of_a_training_beside_copies(results):
    """Against the weights of a network that is trained here."""
    block = next(b for b in plan.blocks(reading.from_dict(SUITE)) if b.model_label == "mlp")
    data, found = load(block.draw), results.trained_again[block.model_key]
    seed = stream_seed("settling", block.model_key)
    first, second = (
        pd.Series(fit_many(MLP(**NET), rows, [which])[0].module[0].weight.norm(dim=0).numpy())
        for rows, which in ((data, 0), (settling.with_copies(data, seed), seed))
    )
    assert found.first_layer.share == pytest.approx(second[5:].sum() / second.sum())
    assert found.first_layer.correlation == pytest.approx(first.corr(second[:5], "spearman"))
    assert (found.k, found.copies) == (2, True), "xor of two inputs"
    assert found.saliency is not None
    assert found.train_cpu > 0


def test_it_is_computed_once_and_again_if_it_failed(tmp_path, monkeypatch):
    small = {**SUITE, "data_seeds": [0], "model_seeds": [0], "folds": 0}
    with monkeypatch.context() as patched:
        patched.setattr(followup.settling, "relevances", lambda *_: 1 / 0)
        failed = run(small, out=tmp_path)
    reasons = {one.reasons["first_layer"] for one in failed.trained_again.values()}
    (reason,) = reasons
    assert reason.startswith("ZeroDivisionError: division by zero")
    assert failed.settling["reason"].tolist() == [reason] * 4
    again = run(small, out=tmp_path)
    assert all(one.first_layer for one in again.trained_again.values())
    with monkeypatch.context() as patched:
        patched.setattr(loop.Loop, "_store_followup", lambda *_: pytest.fail("it was computed again"))
        run(small, out=tmp_path)
    monkeypatch.setattr(settling, "VERSION", 99)
    with Store.reading(tmp_path) as store:
        suite = reading.from_dict(small)
        asked = followup.SettlingFollowUp.of(suite)
        due = [asked.due([block], store) for block in plan.blocks(suite) if asked.covers([block])]
    assert len([task for task in due if task is not None]) == 2
    off = run({**small, "name": "off", "settling": {"draws": 0}}, out=tmp_path)
    assert off.trained_again == {}
    assert off.cells["settled"].isna().all()


class Convolution(Architecture):
    name = "convolution"
    min_steps: int = 4
    epochs: float = 0.1
    needs_picture = True

    def build(self, shape, n_outputs, generator):
        picture, layer = torch.nn.Unflatten(1, (1, *shape)), torch.nn.Conv2d(1, 2, 3)
        return torch.nn.Sequential(picture, layer, torch.nn.Flatten(), torch.nn.Linear(72, n_outputs))


def test_pictures_have_no_copies_and_a_convolution_has_no_first_layer_relevance(plugin_registry, tmp_path):
    registry.register(Convolution)
    suite = {
        **SUITE,
        "data_seeds": [0],
        "model_seeds": [0],
        "folds": 0,
        "datasets": [{"name": "digits"}],
        "models": [{"name": "convolution"}, {"name": "mlp", **NET}],
        "explainers": [{"name": "column_norm"}],
    }
    results = run(suite, out=tmp_path)
    assert not any(one.copies for one in results.trained_again.values())
    frame = results.settling.set_index(["model", "relevance"])
    assert frame.loc[("convolution", "first_layer"), "reason"] == settling.OUTSIDE
    assert frame["share"].isna().all()
    assert frame["correlation"].notna().tolist() == [False, True, True, True]


@pytest.fixture
def shown(tmp_path):
    """A store by hand with two networks, of which one has settled."""
    path = tmp_path / "results.sqlite"
    keys = reports.build(tmp_path).models
    with Store(path) as store:
        for i, key in enumerate(sorted(key for key in keys if key)):
            known = facts(0.3, 0.8, 0.1) if key.startswith("net") else facts(0.49, 0.2, 0.6)
            store.add_settling(key, "key", replace(known, train_cpu=float(i)))
        store.set_meta("suite", json.dumps({**store.suite(), "settling": {"draws": 3}}))
    return Frames(read(path))


def test_the_section_names_the_networks_that_are_not_shown_to_have_settled(shown):
    found = show(Settling, shown)
    said = "First layer: of 2 networks by dataset with a signal, 1 is not shown to have settled: `plain` on `toy`."
    assert said in found.summary
    assert "0.490" in found.html
    assert show(Networks, shown, "toy").html.count("not shown") == 1
    scores = text_of(show(Scores, shown, "toy").html)
    assert "plain: relevance not shown to have settled." in scores
    assert scores.count("to have settled") == 1


def test_the_section_says_why_it_is_empty(by_hand):
    assert show(Settling, Frames(by_hand)) is None, "a suite of an earlier version"
    off = replace(by_hand, suite={**by_hand.suite, "settling": {"draws": 0}})
    assert "[settling]" in show(Settling, Frames(off)).absent


def test_in_words():
    assert [wording.settled(known) for known in (True, False, None, pd.NA, np.bool_(False))] == [
        "yes", "not shown", "not known", "not known", "not shown",
    ]  # fmt: skip
    assert [wording.unsettled(known) for known in (True, False, None, pd.NA)] == [
        "", "relevance not shown to have settled", "", "",
    ]  # fmt: skip


def test_null_runs_and_data_without_a_network_are_not_covered():
    suite = reading.from_dict({**SUITE, "calibration": {"runs": 20}})
    asked = followup.SettlingFollowUp.of(suite)
    covered = [block for block in plan.blocks(suite) if asked.covers([block])]
    assert {(b.model_label, b.draw.data_seed, b.model_seed, b.draw.fold.number) for b in covered} == {
        (model, seed, 0, 0) for model in ("mlp", "spectral_mlp") for seed in (0, 1, 2)
    }
    assert not any(block.draw.permutation is not None for block in covered)


@pytest.mark.parametrize("value", [-1, 1.5, "all"])
def test_a_wrong_number_of_draws_is_one_line(value):
    with pytest.raises(InputError, match=r"^\[settling\]: draws: expected .*, got ") as raised:
        reading.from_dict({**SUITE, "settling": {"draws": value}})
    assert "\n" not in str(raised.value)


def test_it_is_packed_taken_and_forgotten_with_its_network(tmp_path):
    path = stores.build(tmp_path / "runs" / "hand" / "results.sqlite")
    with Store(path) as store:
        store.add_settling("toy0net", "key", facts(0.3, 0.8, float("nan")))
        store.add_settling("other0net", "", SettlingFacts(reasons={"first_layer": "no luck"}))
    before = read(path).trained_again
    assert before["toy0net"].first_layer.initial is None
    packed = pack(path, tmp_path / "hand.xaipack")
    assert read(packed).trained_again == before
    with Store(tmp_path / "here.sqlite") as here, Store.reading(packed) as other:
        here.begin(other.suite(), stores.rows(), {})
        here.add_settling("toy0net", "", SettlingFacts(reasons={"first_layer": "failed here"}))
        here.take(other, stores.rows())
        assert here.results().trained_again == before
        assert (here.settling("toy0net"), here.settling("other0net"), here.settling("absent")) == ("key", "", "")
        here.add_settling("toy0net", "newer", facts(0.1, 0.9, 0.0))
        here.take(other, stores.rows())
        assert here.settling("toy0net") == "newer", "what is known here stays"
    forget(path, datasets=["toy"], models=["net"])
    assert read(path).trained_again.keys() == {"other0net"}


def test_data_without_a_signal_are_not_counted(shown, monkeypatch):
    monkeypatch.setitem(shown.__dict__, "cells", shown.cells.assign(traits="no_signal"))
    assert "by dataset" not in show(Settling, shown).summary
