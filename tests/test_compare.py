"""``compare`` and ``xai-bench compare``: any trained module, any function that predicts."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import nn

from tests.small_networks import network, rows
from xai_bench import InputError, cli, compare, write_report
from xai_bench.models.given import unwrapped
from xai_bench.results.store import read
from xai_bench.scoring.stability import over_rows
from xai_bench.trained.rows import rows_of, table_of
from xai_bench.trained.source import Content, RowsOfUser

NAMES = ["age", "dose", "noise", "weight"]


class Net(nn.Module):
    """y = class of age + dose; the hook and the mode are the user's business."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.first, self.relu, self.drop, self.last = nn.Linear(4, 2), nn.ReLU(), nn.Dropout(), nn.Linear(2, outputs)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([[3.0, 1.0, 0.0, 0.0], [-3.0, -1.0, 0.0, 0.0]]))
            self.first.bias.zero_()
            self.last.bias.zero_()
            if outputs == 2:
                self.last.weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))

    def forward(self, x):
        return self.last(self.drop(self.relu(self.first(x))))


def table(n=60):
    X = np.random.default_rng(0).normal(size=(n, 4))
    return pd.DataFrame(X, columns=NAMES), (3 * X[:, 0] + X[:, 1] > 0).astype(int)


def by_method(results, metric):
    found = results.measurements
    return found[found["metric"] == metric].groupby("explainer")["value"].mean()


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("compared")
    net = Net().train()
    net.last.weight.requires_grad_(False)
    calls = []
    net.first.register_forward_hook(lambda *_: calls.append(1))
    net.first.weight.grad = torch.ones_like(net.first.weight)
    before, hooks = copy.deepcopy(net.state_dict()), dict(net.first._forward_hooks)
    X, y = table()
    chosen = ["saliency", "column_norm", {"name": "lrp", "label": "relevance"}]
    results = compare(net, X, pd.Series(y, name="ill"), chosen, out=out)
    return results, net, before, hooks, out


def test_relevance_retention_sanity_and_stability(compared):
    results, *_ = compared
    assert set(results.cells.loc[results.cells["explainer"] != "oracle", "status"]) == {"done"}
    draw = next(iter(results.draws.values()))
    assert list(draw.feature_names) == NAMES
    assert draw.target_name == "ill"
    relevance = results.relevances()
    mean = relevance[relevance["explainer"] == "saliency"].groupby("input", sort=False)["relevance"].mean()
    assert mean.index.tolist() == NAMES
    assert mean["age"] == pytest.approx(3 * mean["dose"])
    assert mean["noise"] == mean["weight"] == 0
    assert (results.cells["test_score"] == 1).all()
    kept = results.measurements.query("metric == 'retention_masked' and explainer == 'saliency' and k == 2")
    assert (kept["value"] == 1).all()
    assert (by_method(results, "retention_masked_gain").drop("random") > 0).all()
    assert not by_method(results, "retention_retrained_gain").size
    sanity = by_method(results, "sanity_top")
    assert set(sanity.index) == {"saliency", "column_norm", "relevance"}
    stable = over_rows(results.cells[results.cells["cell"].isin(results.relevance)], results.relevance)
    assert stable["spearman"].tolist() == pytest.approx([1.0] * 3)
    assert stable["draws"].tolist() == [2] * 3


def test_the_model_is_left_as_it_was(compared):
    _, net, before, hooks, _ = compared
    assert net.training
    assert net.drop.training
    assert [p.requires_grad for p in net.parameters()] == [True, True, False, True]
    assert torch.equal(net.first.weight.grad, torch.ones(2, 4))
    assert net.first._forward_hooks == hooks
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_board_the_page_and_the_store(compared, tmp_path):
    results, *_, out = compared
    assert "retention" in results._repr_html_()
    board = results.leaderboard("methods", "retention")
    assert set(board["name"]) == {"saliency", "column_norm", "relevance"}
    page = write_report(results, tmp_path).read_text(encoding="utf-8")
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    in_order = sorted(board["name"], key=lambda name: summary.index(f"| {name} |"))
    assert board.set_index("name").loc[in_order, "score"].is_monotonic_decreasing
    assert "Stable over rows" in page
    assert "Nothing is trained anew" in page
    assert "On this dataset" in page
    assert "Networks, entrants and other scores" not in page
    assert "oracle" not in page
    inputs = page[page.index("Which inputs the methods name") :]
    assert inputs.index(">age<") < inputs.index(">dose<") < inputs.index(">weight<")
    assert read(out / "runs" / "compare").relevance.keys() == results.relevance.keys()


def test_what_is_stored_is_not_computed_again(compared):
    results, net, *_, out = compared
    X, y = table()
    chosen = ["saliency", "column_norm", {"name": "lrp", "label": "relevance"}]
    again = compare(net, X, pd.Series(y, name="ill"), chosen, out=out)
    assert again.provenance[-1]["cells"] == 0
    assert again.relevance.keys() == results.relevance.keys()


def test_parts_are_disjoint_and_so_are_their_roles():
    X, y = table(61)
    found = table_of(rows_of(X, y), y, "classification", ("0", "1"), None, False)
    source = RowsOfUser(content=Content(found), parts=3)
    seen = []
    for part in range(3):
        data = source.load(part)
        sizes = [len(getattr(data, f"X_{role}")) for role in ("train", "valid", "test")]
        assert max(sizes) - min(sizes) <= 1
        for role in ("train", "valid", "test"):
            chosen, labels = getattr(data, f"X_{role}"), getattr(data, f"y_{role}")
            seen += [(*row, int(label)) for row, label in zip(chosen.tolist(), labels, strict=True)]
            assert 0.25 < labels.mean() < 0.75
    expected = [(*row, int(label)) for row, label in zip(found.X.tolist(), y, strict=True)]
    assert sorted(seen) == sorted(expected)
    assert source.load(1).content_hash == source.load(1).content_hash
    np.testing.assert_array_equal(source.load(1).X_valid, source.load(1).X_valid)


def test_a_function_that_predicts(tmp_path):
    X, y = table()
    asked = []

    def predict(frame):
        asked.append(list(frame.columns))
        p = 1 / (1 + np.exp(-3 * frame["age"] - frame["dose"]))
        return p.to_numpy()

    chosen = ["permutation_importance", "saliency", "spectral", "feature_ablation", "f_test"]
    results = compare(predict, X, y, chosen, out=tmp_path)
    cells = results.cells[results.cells["data_seed"] == 0].set_index("explainer")
    assert set(map(tuple, asked)) == {tuple(NAMES)}
    assert cells.loc["saliency", "reason"].startswith("it needs gradients")
    assert cells.loc["spectral", "status"] == "unsupported"
    for method in ("permutation_importance", "feature_ablation"):
        assert cells.loc[method, "status"] == "done"
        relevance = results.relevance[cells.loc[method, "cell"]]
        assert relevance[0] > relevance[1] > 0
        assert (relevance[2:] == 0).all()
    assert (cells["test_score"].dropna() == 1).all()
    assert not (results.measurements["metric"] == "sanity_top").any(), "it has no weights"
    gains = by_method(results, "retention_masked_gain").drop("random")
    assert set(gains.index) == {"permutation_importance", "feature_ablation", "f_test"}
    assert (gains > 0).all()


def test_pictures_by_pixel_and_sequences_by_token(tmp_path):
    X = rows("lenet", 40)
    y = network("lenet")(X).argmax(1)
    results = compare(network("lenet"), X, y, ["saliency", "occlusion"], sanity=False, parts=1, out=tmp_path)
    (draw,) = results.draws.values()
    assert draw.feature_shape == (6, 6)
    assert draw.feature_names[:2] == ("pixel 1,1", "pixel 1,2")
    assert {len(vector) for vector in results.relevance.values()} == {36}
    X = rows("gru", 40)
    y = network("gru")(X)[:, 0]

    def value(X):
        return network("gru")(torch.from_numpy(X))[:, 0]

    results = compare(value, X, y, ["feature_ablation"], inputs=1, parts=1, name="tokens", out=tmp_path)
    (draw,) = results.draws.values()
    assert draw.feature_names == ("x1", "x2", "x3", "x4", "x5")
    assert draw.kind == "regression"
    (relevance,) = results.relevance.values()
    assert relevance.shape == (5,)
    assert relevance[4] == relevance.max(), "the last token"


def test_joined_axes_are_the_sums_of_their_numbers():
    found = table_of(rows_of(np.arange(40 * 6.0).reshape(40, 2, 3), np.zeros(40)), np.arange(40.0), "regression", (), 2,
                     False)  # fmt: skip
    assert found.inputs == ((0, 3), (1, 4), (2, 5))
    assert found.input_names == ("x1", "x2", "x3")
    assert found.feature_names == ("x1,1", "x1,2", "x1,3", "x2,1", "x2,2", "x2,3")


def test_columns_of_one_input_are_named(tmp_path):
    X, y = table()
    found = table_of(rows_of(X, y), y, "classification", ("0", "1"), {"both": ["noise", 0]}, False)
    place = [NAMES.index("noise"), 0]
    assert found.inputs[0] == tuple(sorted(place))
    assert found.input_names == ("both", *[name for j, name in enumerate(NAMES) if j not in place])
    results = compare(Net(), X, y, ["feature_ablation"], inputs={"both": ["age", "dose"]}, parts=1, out=tmp_path)
    relevance = results.relevances().set_index("input")["relevance"]
    assert relevance["both"] == relevance.max() > 0
    assert len(relevance) == 3


@pytest.mark.slow
def test_parts_in_worker_processes_are_those_of_this_one(compared, tmp_path):
    results, net, *_ = compared
    X, y = table()
    again = compare(net, X, pd.Series(y, name="ill"), ["saliency", "column_norm"], jobs=2, out=tmp_path)
    for key, relevance in again.relevance.items():
        assert np.array_equal(relevance, results.relevance[key])
    assert set(again.cells.loc[again.cells["explainer"] != "oracle", "status"]) == {"done"}


class Odd(nn.Module):
    def __init__(self, what):
        super().__init__()
        self.what, self.layer = what, nn.Linear(4, 2)

    def forward(self, x):
        said = self.layer(x)
        return {
            "tuple": lambda: (said, said),
            "nan": lambda: said * float("nan"),
            "three axes": lambda: said[:, None],
            "few rows": lambda: said[:1],
            "other rows": lambda: said - said.mean(0),
            "overwrites": lambda: x.add_(1) @ self.layer.weight.T,
            "random": lambda: nn.functional.dropout(said),
        }[self.what]()


ODD = {
    "tuple": "expected a tensor of scores, got tuple: wrap the model",
    "nan": "expected finite scores, got missing or infinite ones for 60 of 60 rows",
    "three axes": r"expected scores \(n,\) or \(n, outputs\) for n = 60 rows of the shape \(4,\), got \(60, 1, 2\)",
    "few rows": r"got \(1, 2\)",
    "other rows": "that depend on this row alone",
    "overwrites": "leaves its inputs as they are",
    "random": "use dropout in training only",
}


@pytest.mark.parametrize("what", ODD)
def test_a_model_that_cannot_be_used_is_one_line(what, tmp_path):
    with pytest.raises(InputError, match=ODD[what]) as caught:
        compare(Odd(what), *table(), out=tmp_path)
    assert "\n" not in str(caught.value)


def test_labels_are_no_scores(tmp_path):
    X, _ = table()
    y = np.arange(60) % 3
    with pytest.raises(InputError, match="got what looks like labels, such as"):
        compare(lambda rows: y[: len(rows)], X, y, out=tmp_path)


def test_what_torch_puts_around_a_module_is_taken_off():
    """Hooks in a compiled module are not called: LRP was then the gradient times the input, unnoticed."""
    first, last = nn.Linear(4, 3), nn.Linear(3, 2)
    wrapped = nn.DataParallel(torch.compile(nn.Sequential(first, torch.compile(nn.ReLU()), last)))
    plain = unwrapped(wrapped)
    assert [type(part) for part in plain] == [nn.Linear, nn.ReLU, nn.Linear]
    assert unwrapped(plain) is plain


CLOSED = {
    "scripted": (lambda: torch.jit.script(nn.Sequential(nn.Linear(4, 2))), "scripted or traced: use the module"),
    "traced inside": (lambda: nn.Sequential(torch.jit.trace(nn.Linear(4, 2), torch.ones(3, 4))), "scripted or traced"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(2)), "got lazy layers that have none yet: call it on some rows first"),
}


@pytest.mark.parametrize("what", CLOSED)
def test_a_module_that_cannot_be_looked_into_is_one_line(what, tmp_path):
    build, words = CLOSED[what]
    with pytest.raises(InputError, match=words):
        compare(build(), *table(), out=tmp_path)


WRONG = {
    "no model": (lambda X, y: (3, X, y), {}, "expected a torch.nn.Module, or a function"),
    "wrong shape": (lambda X, y: (Net(), X.iloc[:, :3], y), {}, "expected one for rows of the shape"),
    "labels out of range": (lambda X, y: (Net(), X, y + 1), {}, r"expected classes 0 .. 1, as the model has 2 outputs"),
    "texts": (lambda X, y: (Net(), X, np.array(["a", "b"])[y]), {}, "pass classes="),
    "wrong texts": (lambda X, y: (Net(), X, np.array(["a", "b"])[y]), {"classes": ["a", "c"]}, "got 'b'"),
    "names": (lambda X, y: (Net(), X, y), {"classes": ["a"]}, "expected 2 different names"),
    "missing": (lambda X, y: (Net(), X.mask(X > 2), y), {}, "expected finite numbers, got"),
    "few rows": (lambda X, y: (Net(), X[:30], y[:30]), {}, "expected at least 40 rows"),
    "another order": (lambda X, y: (Net(), X, pd.Series(y)[::-1]), {}, "got the index of X in another order"),
    "few targets": (lambda X, y: (Net(), X, y[:9]), {}, "expected 60 values"),
    "method": (lambda X, y: (Net(), X, y, ["saliensy"]), {}, "did you mean saliency"),
    "field": (lambda X, y: (Net(), X, y, [{"name": "lrp", "rul": 1}]), {}, "rul"),
    "twice": (lambda X, y: (Net(), X, y, ["lrp", "lrp"]), {}, "other labels than 'lrp'"),
    "one name": (lambda X, y: (Net(), X, y, "lrp"), {}, "expected a list of names"),
    "axes": (lambda X, y: (Net(), X, y), {"inputs": 2}, "expected axes of X among 1"),
    "column": (lambda X, y: (Net(), X, y), {"inputs": {"a": ["doze", "age"]}}, "did you mean dose"),
    "no list": (lambda X, y: (Net(), X, y), {"inputs": {"a": "dose"}}, "a: expected a list of columns, got 'dose'"),
    "overlap": (
        lambda X, y: (Net(), X, y),
        {"inputs": {"a": ["dose"], "b": ["dose"]}},
        "b: expected columns that stand",
    ),
    "name of a column": (lambda X, y: (Net(), X, y), {"inputs": {"age": ["dose"]}}, "choose another name"),
    "one input": (lambda X, y: (Net(), X, y), {"inputs": {"a": [0, 1, 2, 3]}}, "at least 2 inputs to compare, got 1"),
    "picture": (lambda X, y: (Net(), X, y), {"picture": True}, r"got \(n, 4\)"),
    "parts": (lambda X, y: (Net(), X, y), {"parts": 0}, "expected a whole number >= 1"),
    "regression": (lambda X, y: (Net(), X, y), {"kind": "regression"}, "expected one output in regression"),
    "kind": (lambda X, y: (Net(), X, y), {"kind": "other"}, "expected 'classification' or"),
    "one output": (lambda X, y: (Net(1), X, y + 1), {"kind": "classification"}, "expected one output a class"),
}


@pytest.mark.parametrize("what", WRONG)
def test_arguments_that_cannot_be_used_are_one_line(what, tmp_path):
    arguments, keywords, message = WRONG[what]
    with pytest.raises(InputError, match=message) as caught:
        compare(*arguments(*table()), **keywords, out=tmp_path)
    assert "\n" not in str(caught.value)


CODE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))

def build():
    return Net()

def predict(X):
    return (X["age"] > 0).to_numpy() * 1.0
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "net.py").write_text(CODE)
    module = nn.ModuleDict({"first": nn.Linear(4, 3), "last": nn.Linear(3, 2)})
    torch.save(module.state_dict(), tmp_path / "net.pt")
    safetensors.torch.save_file(module.state_dict(), tmp_path / "net.safetensors")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    X, y = table()
    X.assign(ill=y).to_csv(tmp_path / "rows.csv", index=False)
    X.assign(ill=y, text="a").to_csv(tmp_path / "texts.csv", index=False)
    np.savez(tmp_path / "rows.npz", X=X.to_numpy(), y=y)
    np.savez(tmp_path / "no_target.npz", X=X.to_numpy())
    np.savez(tmp_path / "other_labels.npz", X=X.to_numpy(), y=y + 5)
    np.savez(tmp_path / "narrow.npz", X=X.to_numpy()[:, :3], y=y)
    torch.save({"X": torch.from_numpy(X.to_numpy().copy()), "y": torch.from_numpy(y)}, tmp_path / "rows.pt")
    return tmp_path


def command(monkeypatch, folder, *words):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["xai-bench", "compare", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code


def test_the_command_writes_a_page(files, monkeypatch, capsys):
    words = ("--model", "net.py:build", "--weights", "net.safetensors", "--data", "rows.csv", "--target", "ill")
    assert command(monkeypatch, files, *words, "--explainers", "saliency,gradient_shap") == 0
    said = capsys.readouterr().out
    assert "compare: 8 cells: 6 done, 2 unsupported" in said
    assert (files / "reports" / "compare" / "index.html").is_file()
    known = set(read(files / "runs" / "compare").relevance)
    words = ("--model", "net.py:build", "--weights", "net.pt", "--data", "rows.pt", "--name", "again")
    assert command(monkeypatch, files, *words, "--explainers", "saliency", "-q") == 0
    assert capsys.readouterr() == ("", "")
    assert set(read(files / "runs" / "again").relevance).isdisjoint(known), "the rows have no names there"


BAD = {
    "function": ("net.py:buid", "net.pt", "rows.npz", (), "expected a function 'buid' in 'net.py', found none"),
    "no function": ("net.py", "net.pt", "rows.npz", (), "expected FILE.py:FUNCTION, got 'net.py'"),
    "no file": ("net.py:build", "none.pt", "rows.npz", (), "expected a file of weights"),
    "weights": ("net.py:build", "other.pt", "rows.npz", (), "the weights are not those of the module"),
    "data": ("net.py:build", "net.pt", "none.npz", (), "expected a file at 'none.npz', found nothing"),
    "narrow": ("net.py:build", "net.pt", "narrow.npz", (), "expected one for rows of the shape (3,)"),
    "no target": ("net.py:build", "net.pt", "no_target.npz", (), "expected arrays 'X' and 'y'"),
    "no column": ("net.py:build", "net.pt", "rows.csv", (), "the column of 'rows.csv' that is the target, got none"),
    "column": ("net.py:build", "net.pt", "rows.csv", ("--target", "il"), "did you mean ill"),
    "texts": (
        "net.py:build",
        "net.pt",
        "texts.csv",
        ("--target", "ill"),
        "texts or missing values in the column 'text'",
    ),
    "labels": ("net.py:build", "net.pt", "other_labels.npz", (), "expected classes 0 .. 1"),
    "weights as data": ("net.py:build", "net.pt", "net.pt", (), "expected arrays 'X' and 'y'"),
    "code as data": ("net.py:build", "net.pt", "net.py", (), "cannot read 'net.py' as a table"),
    "a builder": ("net.py:build", None, "rows.npz", (), "got one that fails on them"),
    "axes": ("net.py:build", "net.pt", "rows.npz", ("--inputs", "a"), "expected axes of X"),
    "join": ("net.py:build", "net.pt", "rows.npz", ("--join", "a,b"), "expected NAME:A,B"),
    "join a column": ("net.py:build", "net.pt", "rows.npz", ("--join", "a:x1,x9"), "unknown column 'x9'"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_on_the_command_line_is_one_line_and_code_2(what, files, monkeypatch, capsys):
    model, weights, data, further, message = BAD[what]
    words = ["--model", model, "--data", data, *further, *(["--weights", weights] if weights else [])]
    assert command(monkeypatch, files, *words) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
    assert not list(files.glob("runs/*/*"))
