"""Given networks: explained and scored as they are, never trained; and the protocol that all networks stand behind."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from xai_bench import forecast, run
from xai_bench.component import canonical_json
from xai_bench.datasets.base import Dataset
from xai_bench.datasets.gaussian import GaussianIndependent
from xai_bench.errors import InputError
from xai_bench.models.base import FittedModel
from xai_bench.models.given import Given
from xai_bench.models.mlp import MLP
from xai_bench.models.training import fit_many
from xai_bench.running.block import InCanonicalOrder, from_weights
from xai_bench.suites import plan, reading

CODE = """
import torch

def build():
    return torch.nn.Sequential(torch.nn.Linear({d}, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))

def other():
    return build()

def nothing():
    return 7
"""
D = 8


class Own(nn.Module):
    """A module of the user's, with a number that is no weight."""

    def __init__(self, slope: float = 1.0) -> None:
        super().__init__()
        self.first, self.head, self.slope = nn.Linear(D, 4), nn.Linear(4, 2), slope
        self.scale = nn.Parameter(torch.arange(4.0))

    def forward(self, x):
        return self.head(torch.relu(self.first(x)) * self.slope * self.scale)


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return module


@pytest.fixture
def files(tmp_path):
    """(module, weights): a file of code and one of weights, and the network itself."""
    code, weights = tmp_path / "net.py", tmp_path / "mine.pt"
    code.write_text(CODE.format(d=D))
    network = filled(nn.Sequential(nn.Linear(D, 3), nn.Tanh(), nn.Linear(3, 1)))
    torch.save(network.state_dict(), weights)
    return {"module": f"{code}:build", "path": str(weights)}, network


@pytest.fixture
def data() -> Dataset:
    return GaussianIndependent(n=120, d=D, relevant=3).load(0).standardised()


def test_a_dataset_in_canonical_order(data):
    found = data.in_canonical_order()
    order = np.argsort(data.permutation)
    assert (order != np.arange(D)).any()
    np.testing.assert_array_equal(found.X_test, data.X_test[:, order])
    np.testing.assert_array_equal(
        found.in_original_units(found.X_train), data.in_original_units(data.X_train)[:, order]
    )
    assert found.feature_names == tuple(data.feature_names[j] for j in order)
    assert found.permutation.tolist() == list(range(D))
    assert found.truth.roles == data.canonical_truth.roles
    assert found.truth_over_inputs.roles == data.truth_over_inputs.roles
    several = replace(data, inputs=((0, 3), *((j,) for j in range(D) if j not in (0, 3))), input_names=())
    found = several.in_canonical_order()
    assert found.inputs == several.canonical_inputs
    names = dict(zip(several.inputs, several.input_names, strict=True))
    for columns, name in zip(found.inputs, found.input_names, strict=True):
        assert name == names[tuple(sorted(int(np.flatnonzero(data.permutation == c)[0]) for c in columns))]


def test_it_is_scored_as_it_is_and_not_trained(files, data):
    fields, network = files
    data = data.in_canonical_order()
    fitted = Given(**fields).fit(data)
    guess = (network(torch.from_numpy(data.X_test))[:, 0] > 0).long().numpy()
    assert fitted.test_score == pytest.approx((guess == data.y_test).mean())
    assert isinstance(fitted, FittedModel)
    assert (fitted.train_cpu, fitted.train_wall) == (None, None)
    logits = network(torch.from_numpy(data.X_valid))[:, 0]
    expected = nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(data.y_valid).float())
    assert fitted.valid_loss == pytest.approx(expected.item(), rel=1e-5)
    assert not fitted.module.training
    assert not any(parameter.requires_grad for parameter in fitted.module.parameters())
    with pytest.raises(InputError, match="needs all its inputs"):
        Given(**fields).fit(data, 0, [0, 1])


def test_the_key_is_that_of_weights_and_code(files, tmp_path):
    fields, network = files
    known = canonical_json(Given(**fields).identity())
    assert str(tmp_path) not in known
    safetensors.torch.save_file(network.state_dict(), tmp_path / "copy.safetensors")
    (tmp_path / "again.py").write_text("# The same.\n" + CODE.format(d=D))
    moved = {"module": f"{tmp_path / 'again.py'}:build", "path": str(tmp_path / "copy.safetensors")}
    assert canonical_json(Given(**moved).identity()) == known
    assert canonical_json(pickle.loads(pickle.dumps(Given(**fields))).identity()) == known
    assert canonical_json(Given(**{**fields, "module": fields["module"].replace("build", "other")}).identity()) != known
    (tmp_path / "again.py").write_text(CODE.format(d=D).replace("Tanh", "ReLU"))
    assert canonical_json(Given(**moved).identity()) != known
    torch.save(filled(network, 1).state_dict(), fields["path"])
    assert canonical_json(Given(**fields).identity()) != known


def test_the_key_of_a_module():
    def key(module):
        return canonical_json(Given(module=module).identity())

    known = key(filled(Own()))
    assert key(filled(Own())) == known
    assert key(filled(Own(slope=2.0))) != known, "a number that is no weight"
    assert key(filled(Own(), 1)) != known

    class Other(Own):
        def forward(self, x):
            return -super().forward(x)

    assert key(filled(Other())) != known


def test_a_module_is_copied_and_keeps_its_weights(data):
    network = filled(Own())
    given = Given(module=network)
    X = torch.from_numpy(data.X_test)
    before = network.eval()(X)
    with torch.no_grad():
        network.head.weight.zero_()
    np.testing.assert_allclose(given.fit(data.in_canonical_order()).module(X), before.detach(), rtol=1e-5)


def test_new_weights_are_drawn_from_the_generator(files):
    for given, names in ((Given(**files[0]), ["0.weight"]), (Given(module=filled(Own())), ["first.weight", "scale"])):
        draws = [given.network((D,), 2, torch.Generator().manual_seed(seed)).state_dict() for seed in (0, 0, 1)]
        own = given._loaded().state_dict()
        for name in names:
            assert torch.equal(draws[0][name], draws[1][name])
            assert not torch.equal(draws[0][name], draws[2][name])
            assert not torch.equal(draws[0][name], own[name])


def test_columns_of_a_draw_reach_the_network_in_their_own_order(files, data):
    given = Given(**files[0])
    fitted = given.fit(data.in_canonical_order())
    weights = safetensors.torch.save(fitted.module.state_dict())
    expected = fitted.module(torch.from_numpy(data.in_canonical_order().X_test))
    moved = from_weights(given, data, weights, "cpu", 0)
    assert isinstance(moved, InCanonicalOrder)
    torch.testing.assert_close(moved(torch.from_numpy(data.X_test)), expected)
    as_given = from_weights(given, data.in_canonical_order(), weights, "cpu", 0)
    assert not isinstance(as_given, InCanonicalOrder)


@pytest.mark.parametrize("columns", [None, [1, 4]])
def test_architectures_are_fitted_as_by_fit_many(data, columns):
    architecture = MLP(hidden=(3,), epochs=0.1, min_steps=5, checkpoints=1)
    mask = np.isin(np.arange(D), columns or range(D))
    (expected,) = fit_many(architecture, data, [3], None if columns is None else mask[None])
    found = architecture.fit(data, 3, columns)
    for name, value in expected.module.state_dict().items():
        assert torch.equal(found.module.state_dict()[name], value)
    assert architecture.unsupported(data) is None


def suite(*models, **fields):
    return {
        "name": "given",
        "data_seeds": [0, 1],
        "model_seeds": [0, 1],
        "datasets": [
            {"name": "gaussian_independent", "n": 120, "d": D, "relevant": 3},
            {"name": "xor", "n": 60, "d": 4},
        ],
        "models": [*models, {"name": "mlp", "hidden": [3], "epochs": 0.1, "min_steps": 5, "checkpoints": 1}],
        "explainers": [{"name": "column_norm"}],
        **fields,
    }


def test_a_run_with_given_networks(files, tmp_path):
    fields, network = files
    judge = {"hidden": [3], "epochs": 0.1, "min_steps": 5, "checkpoints": 1}
    asked = suite({"name": "given", **fields}, {"name": "given", "label": "module", "module": network},
                  retention={"judge": judge}, sanity={"models": ["mine"]}, settling={"draws": 1})  # fmt: skip
    assert forecast(asked, out=tmp_path).trainings == 8, "of mlp alone"
    results = run(asked, out=tmp_path)
    cells = results.cells[results.cells["explainer"] == "column_norm"].set_index(["model", "dataset"])
    own = network[0].weight.detach().norm(dim=0).numpy()
    for label in ("mine", "module"):
        fits = cells.loc[[(label, "gaussian_independent")]]
        assert fits["data_seed"].tolist() == [0, 1], "one network a draw"
        assert (fits["status"] == "done").all()
        assert fits["train_cpu"].isna().all()
        assert fits["test_score"].notna().all()
        for cell in fits["cell"]:
            np.testing.assert_allclose(results.relevance[cell], own, rtol=1e-6)
        misfits = cells.loc[[(label, "xor")]]
        assert (misfits["status"] == "unsupported").all()
        assert misfits["reason"].str.startswith("the given network: expected a network for inputs (n, 4), got").all()
    rows = results.measurements
    rows = rows[(rows["model"] == "mine") & (rows["explainer"] == "column_norm")]
    assert rows.loc[rows["metric"] == "retention_masked_gain", "value"].notna().all()
    sanity = rows[(rows["metric"] == "sanity_top") & (rows["k"] == 1)]["value"]
    assert sanity.tolist() == pytest.approx([1.0, 1.0]), "the first layer is still the given one"
    again = results._plan[results._plan["model_key"].isin(results.trained_again)]
    assert set(again["model"]) == {"mlp"}
    assert forecast(asked, out=tmp_path).cells == 0


def test_null_runs_leave_given_networks_out(files):
    planned = plan.blocks(reading.from_dict(suite({"name": "given", **files[0]}, calibration={"runs": 20})))
    assert {b.model_label for b in planned if b.draw.permutation is not None} == {"mlp"}


def test_files_are_looked_for_beside_the_suite(files, tmp_path):
    (tmp_path / "s.toml").write_text(
        '[[datasets]]\nname = "xor"\n[[models]]\nname = "given"\npath = "mine.pt"\nmodule = "net.py:build"\n'
        '[[explainers]]\nname = "column_norm"\n'
    )
    (entry,) = reading.load(tmp_path / "s.toml").models
    assert entry.label == "mine"
    assert entry.component.identity() == Given(**files[0]).identity()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "absent.pt"}, r"given: expected a file of weights at 'absent.pt', found nothing: correct the path"),
        ({"path": ""}, "given: the field 'path' is required"),
        ({"module": "net.py"}, r"given: module: expected FILE.py:FUNCTION, got 'net.py'"),
        ({"module": "absent.py:build"}, r"cannot read the plugin 'absent.py'"),
        ({"module": "{code}:absent"}, r"given: expected a function 'absent' in 'net.py', found none"),
        ({"module": "{code}:nothing"}, r"given: net.py:nothing: expected a torch.nn.Module, got 7"),
        ({"path": "{code}"}, r"given: expected weights in 'net.py', as torch.save"),
        ({"other": 1}, r"given: unknown field 'other'"),
    ],
)
def test_mistakes_are_one_line(files, change, words):
    fields = files[0]
    code = fields["module"].rpartition(":")[0]
    with pytest.raises(InputError, match=words) as raised:
        Given(**{**fields, **{k: v.format(code=code) if isinstance(v, str) else v for k, v in change.items()}})
    assert "\n" not in str(raised.value)


def test_weights_of_another_module_are_one_line(files, tmp_path):
    fields, _ = files
    torch.save(nn.Linear(2, 2).state_dict(), fields["path"])
    with pytest.raises(InputError, match="given: the weights are not those of the module: ") as raised:
        Given(**fields)
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="given: expected no path beside a module"):
        Given(module=nn.Linear(2, 2), path="mine.pt")


def test_a_given_network_is_not_tuned(files):
    with pytest.raises(InputError, match="'given' cannot be tuned: it is not trained here"):
        reading.from_dict(suite({"name": "given", **files[0], "tune": {"label": ["a"]}}, tuning={"tries": 2}))
