"""Where it is computed: the name of a device, its way to every tensor, and one device a store."""

from __future__ import annotations

import copy
import sqlite3
import time

import numpy as np
import pytest
import torch

from tests.test_cli import TINY, call
from tests.test_every_combination import FIELDS
from tests.test_run import assert_same
from tests.toy import toy
from xai_bench import devices, forecast, pack, registry, run
from xai_bench.errors import InputError
from xai_bench.explainers import base
from xai_bench.models import stacked, training
from xai_bench.models.losses import Tensors
from xai_bench.models.mlp import MLP, SpectralMLP
from xai_bench.models.streams import Streams, Task
from xai_bench.models.training import fit_many, fit_one
from xai_bench.report import page
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.section import show
from xai_bench.report.sections.cost import Cost
from xai_bench.results import means
from xai_bench.running import block, process
from xai_bench.scoring import retention
from xai_bench.suites import plan, reading
from xai_bench.suites.suite import Retention

CARD = "cuda (a card)"
gpu = pytest.mark.gpu
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_auto_is_cuda_where_there_is_one(no_cuda):
    assert devices.resolve("auto") == devices.resolve("cpu") == "cpu"
    assert devices.described("cpu") == "cpu"


def test_names_with_an_index(two_cards):
    assert devices.resolve("auto") == "cuda"
    assert devices.resolve("cuda:1") == "cuda:1"
    with pytest.raises(InputError, match=r"expected an index below 2, got 'cuda:2': use cuda:0 \.\. cuda:1"):
        devices.resolve("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "meta", "CPU", "cuda:", "cuda:x", "cpu:0", ""])
def test_other_names_are_errors(name, two_cards):
    with pytest.raises(InputError, match=f"expected auto, cpu, cuda, or .*, got '{name}'$"):
        devices.resolve(name)


@pytest.mark.parametrize(("name", "message"), [("gpu", "got 'gpu'"), ("cuda", "got 'cuda', but torch finds no CUDA")])
def test_a_bad_device_is_one_line_and_costs_nothing(name, message, no_cuda, tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(TINY)
    run(tmp_path / "tiny.toml", out=tmp_path)
    arguments = ("run", tmp_path / "tiny.toml", "--out", tmp_path, "--device", name)
    for further in ((), ("--fresh",), ("--dry-run",)):
        code, _, err = call(*arguments, *further, capsys=capsys)
        assert code == 2
        assert message in err
        assert len(err.strip().splitlines()) == 1
    assert (tmp_path / "runs" / "tiny" / "results.sqlite").exists(), "nothing is lost"


def test_the_cpu_is_the_default(tiny, tmp_path):
    tiny |= {"data_seeds": [0], "datasets": tiny["datasets"][:1]}
    without, named = run(tiny, out=tmp_path / "a"), run(tiny, out=tmp_path / "b", device="cpu")
    assert_same(without, named)
    assert [record["device"] for record in (*without.provenance, *named.provenance)] == ["cpu", "cpu"]


def as_if_on_the_card(path, factor=1.0):
    """All that a store holds was computed on a CUDA device. ``factor``: of the seconds of its cells and trainings."""
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE provenance SET content = json_set(content, '$.device', ?)", (CARD,))
        database.execute("UPDATE models SET content = json_set(content, '$.trained_on.device', ?)", (CARD,))
        for table, column, names in (
            ("cells", "costs", ("setup_wall", "explain_wall")), ("models", "content", ("train_wall", "train_cpu"))
        ):  # fmt: skip
            for name in names:
                new = f"json_set({column}, '$.{name}', ? * json_extract({column}, '$.{name}'))"
                database.execute(f"UPDATE {table} SET {column} = {new}", (factor,))
    database.close()


def test_times_of_another_device_foretell_nothing(tiny, tmp_path):
    tiny["data_seeds"] = [0]
    run(tiny, out=tmp_path)
    as_if_on_the_card(tmp_path / "runs" / "tiny" / "results.sqlite")
    unknown = forecast(tiny, out=tmp_path, fresh=True).unknown
    assert {"saliency", "retention", "training of mlp"} <= set(unknown)
    again = run(tiny, out=tmp_path, fresh=True)
    assert [record["device"] for record in again.provenance] == ["cpu"]
    assert again.devices == ["cpu"]
    assert not forecast(tiny, out=tmp_path, fresh=True).unknown


def test_a_store_goes_on_on_another_device(tiny, tmp_path):
    path = tmp_path / "runs" / "tiny" / "results.sqlite"
    tiny |= {"data_seeds": [0], "retention": None}
    of_card = {**tiny, "explainers": [{"name": "saliency"}]}
    first = run(of_card, out=tmp_path)
    as_if_on_the_card(path, 1e6)
    more = {**tiny, "explainers": [{"name": "saliency"}, {"name": "lrp"}, {"name": "f_test"}]}
    both = run(more, out=tmp_path)
    assert both.devices == [CARD, "cpu"]
    done = both.cells[both.cells["model"] != ""].set_index("explainer")
    assert done.loc["saliency", "machine"].str.endswith(CARD).all()
    assert not done.loc["lrp", "machine"].str.endswith(CARD).any()
    assert done["trained_on"].str.endswith(CARD).all(), "networks are trained once"
    timed = means.timed(both.cells).set_index("explainer")
    assert timed.loc["saliency", "end_wall"].gt(1e3).all()
    assert timed.loc["lrp", ["train_wall", "end_wall"]].isna().all(axis=None)
    assert timed.loc["lrp", "given_wall"].lt(1e3).all()
    assert (timed.loc["f_test", "train_wall"] == 0).all()
    further = forecast({**more, "data_seeds": [0, 1]}, out=tmp_path)
    assert set(further.unknown) == {"saliency", "training of mlp", "training of spectral_mlp"}
    assert further.seconds < 1e3
    alone = run(more, out=tmp_path / "alone")
    assert_same(alone, both)
    assert set(first.cells["cell"]) < set(both.cells["cell"])
    said = f"Scores come from 2 devices, {CARD} and cpu: the same work has other last bits on each."
    assert said in page.devices(Frames(both))
    assert "Of these, 4 explanations had a network that another machine trained" in show(Cost, Frames(both)).html
    assert page.devices(Frames(alone)) == ""


def test_a_network_that_is_trained_again_here_counts_here(tiny, tmp_path):
    """A pack has no weights: a further method trains the network anew, on the device of this run."""
    tiny |= {"data_seeds": [0], "retention": None, "models": tiny["models"][:1]}
    run({**tiny, "explainers": [{"name": "saliency"}]}, out=tmp_path / "card")
    path = tmp_path / "card" / "runs" / "tiny" / "results.sqlite"
    as_if_on_the_card(path)
    known = [pack(path, tmp_path / "card.xaipack")]
    taken = run({**tiny, "explainers": [{"name": "saliency"}]}, out=tmp_path, known=known)
    assert taken.cells.query("model != ''")["trained_on"].str.endswith(CARD).all()
    assert taken.devices[0] == CARD
    more = {**tiny, "explainers": [{"name": "saliency"}, {"name": "lrp"}]}
    both = run(more, out=tmp_path, known=known)
    networks = both.cells[both.cells["model"] != ""]
    assert not networks["trained_on"].str.endswith(CARD).any()
    there = networks.set_index("explainer")["machine"].str.endswith(CARD)
    assert there["saliency"].all()
    assert not there["lrp"].any()


def test_the_device_reaches_everything_that_is_computed(tiny, tmp_path, monkeypatch):
    """``cpu:0`` is another name than the default, and computes the same."""
    tiny |= {
        "data_seeds": [0],
        "sanity": {},
        "limits": {"memory": "4GiB"},
        "tuning": {"tries": 2},
    }
    tiny["models"] = [{**tiny["models"][0], "tune": {"l2_lambda": [1e-2, 1e-3]}}, tiny["models"][1]]
    tiny["explainers"] = [*tiny["explainers"], {"name": "integrated_gradients"}]
    reference = run(tiny, out=tmp_path / "default")
    seen: dict[str, set[str]] = {}

    def spy(module, name, position):
        original = getattr(module, name)

        def spied(*arguments, **keywords):
            seen.setdefault(name, set()).add(str(keywords.get("device") or arguments[position]))
            return original(*arguments, **keywords)

        monkeypatch.setattr(module, name, spied)

    spy(training, "Tensors", 2)
    spy(retention, "Scorer", 5)
    for name, position in (("from_weights", 3), ("problem_of", 2), ("warm_up", 1), ("reset_peak_memory", 0)):
        spy(block, name, position)
    monkeypatch.setattr(block, "peak_memory", lambda device: seen.setdefault("peak_memory", {device}) and 0)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 0)
    monkeypatch.setattr(devices, "resolve", lambda _: "cpu:0")
    monkeypatch.setattr(devices, "described", lambda device: f"{device} (a card)")
    notices: list[str] = []
    found = run(tiny, out=tmp_path, device="cuda", on_progress=lambda p: notices.extend(p.notices))
    names = {"Tensors", "Scorer", "from_weights", "problem_of", "warm_up", "reset_peak_memory", "peak_memory"}
    assert seen == {name: {"cpu:0"} for name in names}
    assert ("", "cpu:0") in process._warm
    assert any("limit of memory is not kept on a CUDA device" in notice for notice in notices)
    assert found.provenance[0]["device"] == "cpu:0 (a card)"
    assert_same(reference, found)


def test_keys_do_not_depend_on_the_device(tiny):
    loaded = reading.from_dict({**tiny, "calibration": {"runs": 20}})
    here, there = plan.blocks(loaded), plan.blocks(loaded, "cuda")
    assert {b.device for b in there} == {"cuda"}
    assert [(b.model_key, [c.key for c in b.cells]) for b in here] == [
        (b.model_key, [c.key for c in b.cells]) for b in there
    ]


def test_tensors_are_moved():
    """torch's device meta holds tensors without their numbers: enough to see where they are."""
    data, architecture = toy(), SpectralMLP(hidden=(4,), epochs=0.1, min_steps=5, checkpoints=1)
    weights = block.safetensors.torch.save(fit_many(architecture, data, [0], chunk=1)[0].module.state_dict())
    module = block.from_weights(architecture, data, weights, "meta", 0)
    assert {p.device.type for p in (*module.parameters(), *module.buffers())} == {"meta"}
    problem = block.problem_of(data, module, "meta")
    assert {t.device.type for t in (problem.X_train, problem.y_train, problem.X_valid, problem.y_valid)} == {"meta"}
    draw = plan.draws(reading.load("quick"))[0]
    scorer = retention.Scorer(data, draw, Retention(), {"m": module}, {}, "meta")
    assert {t.device.type for t in (scorer._X, scorer._y, scorer._absent)} == {"meta"}


class Trivial(base.Explainer):
    name = "trivial"
    needs = "data"
    set_up: bool = False

    def relevance(self, problem):
        if self.set_up:
            with problem.clock.setting_up():
                pass
        return np.ones(problem.d)


def test_clocks_wait_for_the_device(monkeypatch, standing_clock):
    """What is still under way when a clock is stopped belongs to what was timed."""
    for module in (base, training, stacked):
        monkeypatch.setattr(module, "synchronise", lambda _: time.sleep(0.0625))
    problem = block.problem_of(toy(), None, "cpu")
    assert Trivial().explain(problem).explain_wall >= 0.0625
    assert Trivial(set_up=True).explain(problem).setup_wall >= 0.0625
    schedule = {"hidden": (4,), "epochs": 0.01, "min_steps": 1, "checkpoints": 1}
    assert fit_many(MLP(**schedule), toy(), [0], chunk=1)[0].train_wall >= 0.0625
    assert fit_one(MLP(**schedule), toy(), 0).train_wall >= 0.0625


def test_random_states_are_restored_and_cuda_is_not_started(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda *_: pytest.fail("CUDA was started"))
    before = torch.get_rng_state()
    with devices.forked_random():
        torch.manual_seed(1)
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)


@gpu
@needs_cuda
@pytest.mark.parametrize("kind", [MLP, SpectralMLP])
def test_initial_weights_are_the_same_on_cuda(kind):
    data, seen = toy(), tuple(range(12))
    states = []
    for device in ("cpu", "cuda"):
        tensors = Tensors(data, torch.float32, torch.device(device))
        streams = [Streams(Task(3, seen), len(data.X_train), 32)]
        (module,) = stacked.initial_networks(kind(hidden=(8,)), tensors, [seen], streams)
        states.append(module.state_dict())
    here, there = states
    for name, tensor in here.items():
        assert there[name].is_cuda
        assert torch.equal(tensor, there[name].cpu()), name


@gpu
@needs_cuda
def test_shap_gradient_on_cuda_draws_what_it_draws_on_the_cpu():
    data = toy()
    module = MLP(hidden=(16, 8)).network((12,), 3, torch.Generator().manual_seed(0)).eval()
    found = [
        registry.create("explainers", "shap_gradient", {})
        .explain(block.problem_of(data, copy.deepcopy(module).to(device), device))
        .relevance
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-6)


@gpu
@needs_cuda
@pytest.mark.parametrize("train", [fit_many, fit_one])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_training_on_cuda_is_the_same_but_for_rounding(train, kind):
    architecture = MLP(hidden=(16, 8), min_steps=60, epochs=1, checkpoints=4)  # dropout and batch norm included
    seeds = 0 if train is fit_one else [0]
    here, there = (train(architecture, toy(kind=kind), seeds, device=d) for d in ("cpu", "cuda"))
    here, there = (found if train is fit_one else found[0] for found in (here, there))
    assert there.valid_loss == pytest.approx(here.valid_loss, rel=1e-3)


NET = {"hidden": [16, 8], "epochs": 1, "min_steps": 100, "checkpoints": 4}
ON_CUDA = {
    "name": "cuda",
    "data_seeds": [0],
    "datasets": [{"name": "gaussian_correlated", "n": 600}, {"name": "digits"}, {"name": "friedman1", "n": 400}],
    "models": [{"name": "spectral_mlp", **NET}, {"name": "mlp", **NET}],
    "retention": {"judge": {"epochs": 0.5, "min_steps": 60, "checkpoints": 2}},
    "sanity": {"explainers": ["spectral", "saliency"]},
}


@gpu
@needs_cuda
def test_every_explainer_on_cuda(tmp_path):
    content = {**ON_CUDA, "datasets": [{"name": "tetromino_multiplicative", "n": 250}]}
    content["explainers"] = [{"name": e, **FIELDS.get(e, {})} for e in registry.names("explainers")]
    there = run(content, out=tmp_path, device="cuda")
    wrong = there.cells[~there.cells["status"].isin(["done", "unsupported"])]
    assert wrong.empty, wrong[["dataset", "model", "explainer", "reason"]].to_string()
    assert there.provenance[0]["device"] == f"cuda ({torch.cuda.get_device_name()})"


@gpu
@needs_cuda
def test_explainers_say_the_same_on_cuda(tmp_path):
    # The others draw on the device, whose generator is another one.
    same = ["spectral", "column_norm", "saliency", "input_x_gradient", "integrated_gradients", "deeplift", "lrp"]
    content = {**ON_CUDA, "explainers": [{"name": e, **FIELDS.get(e, {})} for e in same]}
    here, there = (run(content, out=tmp_path / device, device=device) for device in ("cpu", "cuda"))
    both = here.cells.merge(there.cells, on="cell")
    assert list(both["status_x"]) == list(both["status_y"])
    trained = both[both["model_x"] != ""]
    np.testing.assert_allclose(trained["valid_loss_x"], trained["valid_loss_y"], rtol=1e-2)
    chosen = both[both["explainer_x"].isin(same) & (both["status_x"] == "done")]
    assert set(chosen["explainer_x"]) == set(same)
    for key in chosen["cell"]:
        assert np.corrcoef(here.relevance[key], there.relevance[key])[0, 1] > 0.99
    names = ["dataset", "model", "explainer", "metric", "k"]
    scores = here.measurements.merge(there.measurements, on=names)
    scores = scores[scores["explainer"].isin(same) & scores["metric"].isin(["auroc", "average_precision"])]
    assert len(scores) > 0
    np.testing.assert_allclose(scores["value_x"], scores["value_y"], atol=0.05)
    again = run(content, out=tmp_path / "workers", device="cuda", jobs=2)
    assert list(again.cells["status"]) == list(here.cells["status"])
