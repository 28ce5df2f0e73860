"""The conformance suites of data sources, architectures and metrics: shipped ones pass, broken ones are caught."""

from __future__ import annotations

import functools
import random
import sys
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import xai_bench
from tests.disordered import Disordered, Ordered
from xai_bench import cli, registry
from xai_bench.conformance import architectures, data_sources, elsewhere, explainers, families, metrics
from xai_bench.conformance.base import CheckFailed, CheckSkipped, check_name
from xai_bench.datasets.base import DataSource, GroundTruth, Table
from xai_bench.datasets.packaged import Packaged
from xai_bench.datasets.tables import CSV
from xai_bench.errors import InputError
from xai_bench.metrics.proportion import pearson
from xai_bench.metrics.recovery import auroc
from xai_bench.models.base import Architecture

DATA_FIELDS = {
    "csv": {
        "path": pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40) % 7, "y": np.arange(40) % 2}),
        "target": "y",
        "kind": "classification",
    },
    "linear_sparse": {"n": 60, "d": 30},
    "simulated": {"path": pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4))), "kind": "classification"},
    "mnist": {"rows": 60},
    "mnist_01": {"rows": 60},
}


@pytest.fixture
def no_files(monkeypatch, tmp_path):
    """Sources that read the data folder find none: their own tests write small files."""
    monkeypatch.setenv("XAI_BENCH_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def shipped(family):
    for name in registry.names(family):
        if family == "metrics":
            yield registry.get(family, name)
            continue
        kind = registry.get(family, name)
        if family == "models" and not kind.trains:
            continue  # It is made of files: tests/test_given.py
        if family == "datasets" and issubclass(kind, Packaged):
            continue  # tests/test_semi_synthetic.py writes a small package
        few = {"n": 60} if "n" in kind.model_fields else {}
        yield registry.create(family, name, DATA_FIELDS.get(name, few) if family == "datasets" else {})


@pytest.mark.parametrize(
    "component", [c for family in ("datasets", "models", "metrics") for c in shipped(family)], ids=families.case_name
)
def test_shipped_components_pass(component, no_files):
    report = families.check_report(component)
    assert [row for row in report if row.outcome == "failed"] == []
    skipped = [row for row in report if row.outcome == "skipped"]
    assert all(row.reason for row in skipped)
    absent = component.family == "datasets" and component.missing()
    assert len(skipped) < len(report) / 2 or absent


class Plain(DataSource):
    """A good one, to be spoilt below."""

    name: ClassVar[str] = "plain"
    n: int = 60

    def draw(self, rng):
        X = rng.normal(size=(self.n, 4))
        return Table(X=X, y=(X[:, 0] > 0).astype(int), kind="classification", truth=self.truth())

    def truth(self):
        return GroundTruth(("relevant", "noise", "noise", "noise"), relevance=np.array([1.0, 0.0, 0.0, 0.0]))

    def ceiling(self, mask, truth=None):
        return 1.0 if mask[0] else 0.5


class Spaced(Plain):
    name: ClassVar[str] = "plain data"


class NoLabel(Plain):
    @property
    def label(self):
        return "two\nlines"


class RandomIdentity(Plain):
    def fingerprint(self):
        return {"now": np.random.default_rng().random()}


class RaisesInMissing(Plain):
    def missing(self):
        raise OSError("no disk")


class NumbersAsText(Plain):
    def draw(self, rng):
        return replace(super().draw(rng), X=super().draw(rng).X.astype(str))


class FewNames(Plain):
    def draw(self, rng):
        return replace(super().draw(rng), feature_names=("a", "b"))


class Infinite(Plain):
    def draw(self, rng):
        table = super().draw(rng)
        table.X[0, 0] = np.inf
        return table


class ClassesFromOne(Plain):
    def draw(self, rng):
        table = super().draw(rng)
        return replace(table, y=table.y + 1)


class NameTwice(Plain):
    def draw(self, rng):
        return replace(super().draw(rng), feature_names=("a", "b", "a", "c"))


class FreshEntropy(Plain):
    def draw(self, rng):
        return super().draw(np.random.default_rng())


class DrawsWithNumpy(Plain):
    def draw(self, rng):
        table = super().draw(rng)
        return replace(table, X=table.X + np.random.normal(size=table.X.shape))  # noqa: NPY002


class DrawsWithTorch(Plain):
    def draw(self, rng):
        table = super().draw(rng)
        return replace(table, X=table.X + torch.randn(table.X.shape).numpy())


class DrawsWithRandom(Plain):
    def draw(self, rng):
        table = super().draw(rng)
        return replace(table, X=table.X + random.random())


class SeedsTheGlobal(Plain):
    def draw(self, rng):
        np.random.seed(0)  # noqa: NPY002
        table = super().draw(rng)
        return replace(table, X=table.X + np.random.normal(size=table.X.shape))  # noqa: NPY002


class OneSplit(Plain):
    def load(self, data_seed, fold=None):
        return super().load(0, fold)


class Counts(Plain):
    seen: ClassVar[list] = []

    def draw(self, rng):
        self.seen.append(1)
        table = super().draw(rng)
        return replace(table, X=table.X + 0.01 * len(self.seen))


class HandsOutWhatItKeeps(Plain):
    kept: ClassVar[dict] = {}

    def draw(self, rng):
        key = rng.bit_generator.state["state"]["state"]
        if key not in self.kept:
            self.kept[key] = super().draw(rng)
        return self.kept[key]


class SwitchesToDouble(Plain):
    def draw(self, rng):
        torch.set_default_dtype(torch.float64)
        return super().draw(rng)


class Talks(Plain):
    def draw(self, rng):
        print("drawing")
        return super().draw(rng)


class DrawsByFold(Plain):
    def load(self, data_seed, fold=None):
        return super().load(data_seed if fold is None else data_seed + fold.number, fold)


class TooFewRoles(Plain):
    def truth(self):
        return GroundTruth(("relevant", "noise", "noise"))


class SharedColumns(Plain):
    def truth(self):
        return replace(super().truth(), groups=((1, 2), (2, 3)))


class NoiseAboveRelevant(Plain):
    def truth(self):
        return GroundTruth(("relevant", "noise", "noise", "noise"), relevance=np.array([1.0, 2.0, 0.0, 0.0]))


class RolesBySeed(Plain):
    def draw(self, rng):
        table = super().draw(rng)
        order = np.random.default_rng(int(abs(table.X[0, 0]) * 1e6)).permutation(4)
        return replace(table, truth=GroundTruth(tuple("relevant" if j == order[0] else "noise" for j in range(4))))


class RolesByRows(Plain):
    def truth(self):
        return GroundTruth(("relevant", "relevant" if self.n > 60 else "noise", "noise", "noise"))


class DrawsByColumn(Plain):
    def draw(self, rng):
        X = np.column_stack([rng.normal(size=self.n) for _ in range(4)])
        return replace(super().draw(rng), X=X, y=(X[:, 0] > 0).astype(int))


class ConstantRelevant(Plain):
    def truth(self):
        return GroundTruth(("relevant", "relevant", "noise", "noise"))

    def draw(self, rng):
        table = super().draw(rng)
        table.X[:, 1] = 3.0
        return table


class CeilingAboveOne(Plain):
    def ceiling(self, mask, truth=None):
        return 1.5


class CeilingFalls(Plain):
    def ceiling(self, mask, truth=None):
        return 1.0 - 0.1 * float(mask.sum())


class RandomCeiling(Plain):
    def ceiling(self, mask, truth=None):
        return float(np.random.default_rng().random())


class NegativeFloor(Plain):
    def error_floor(self):
        return -1.0


def local_source():
    class Local(Plain):
        pass

    return Local


@functools.cache
def drawn_elsewhere(hashes, source):
    return elsewhere.drawn_with(hashes, source)


@pytest.fixture(autouse=True)
def _few_processes(monkeypatch):
    """Only what meets sets is drawn in other processes: they start slowly."""
    meets = (Disordered, Ordered)
    draw = lambda hashes, source: drawn_elsewhere(hashes, source) if isinstance(source, meets) else "the same"  # noqa: E731
    monkeypatch.setattr(data_sources, "drawn_with", draw)


BAD_SOURCES = [
    (Disordered, "order_of_sets"),
    (Spaced, "declaration"),
    (NoLabel, "declaration"),
    (RandomIdentity, "identity"),
    (local_source(), "pickles"),
    (RaisesInMissing, "missing_answers"),
    (NumbersAsText, "shapes"),
    (FewNames, "shapes"),
    (Infinite, "loads"),
    (ClassesFromOne, "targets"),
    (NameTwice, "names"),
    (FreshEntropy, "deterministic"),
    (DrawsWithNumpy, "own_generator"),
    (DrawsWithTorch, "own_generator"),
    (DrawsWithRandom, "own_generator"),
    (SeedsTheGlobal, "own_generator"),
    (SeedsTheGlobal, "global_state_unchanged"),
    (OneSplit, "seeds_differ"),
    (Counts, "keeps_nothing"),
    (HandsOutWhatItKeeps, "keeps_nothing"),
    (SwitchesToDouble, "global_state_unchanged"),
    (Talks, "silent"),
    (DrawsByFold, "folds"),
    (TooFewRoles, "truth_fits"),
    (SharedColumns, "truth_fits"),
    (NoiseAboveRelevant, "truth_agrees"),
    (RolesBySeed, "truth_is_fixed"),
    (RolesByRows, "truth_is_fixed"),
    (DrawsByColumn, "nested_rows"),
    (ConstantRelevant, "relevant_inputs_vary"),
    (CeilingAboveOne, "ceiling"),
    (CeilingFalls, "ceiling"),
    (RandomCeiling, "ceiling"),
    (NegativeFloor, "error_floor"),
]


class Small(Architecture):
    """A good one, to be spoilt below."""

    name: ClassVar[str] = "small"

    def build(self, d, n_outputs, generator):
        layers = [nn.Linear(d, 6), nn.Tanh(), nn.BatchNorm1d(6), nn.Dropout(0.1), nn.Linear(6, n_outputs)]
        with torch.no_grad():
            for layer in (layers[0], layers[-1]):
                layer.weight.normal_(generator=generator)
                layer.bias.zero_()
        return nn.Sequential(*layers)


class Around(nn.Module):
    """A module around another one."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


class SpacedNet(Small):
    name: ClassVar[str] = "small net"


class RandomNetIdentity(Small):
    def fingerprint(self):
        return {"now": np.random.default_rng().random()}


class NoModule(Small):
    def build(self, d, n_outputs, generator):
        return lambda x: x


class Frozen(Small):
    def build(self, d, n_outputs, generator):
        return super().build(d, n_outputs, generator).requires_grad_(False)


class NotANumber(Small):
    def build(self, d, n_outputs, generator):
        module = super().build(d, n_outputs, generator)
        with torch.no_grad():
            module[0].bias.fill_(float("nan"))
        return module


class OneOutput(Small):
    def build(self, d, n_outputs, generator):
        return super().build(d, 1, generator)


class TwoOutputs(Small):
    def build(self, d, n_outputs, generator):
        return super().build(d, max(n_outputs, 2), generator)


class NeedsMany(Small):
    def build(self, d, n_outputs, generator):
        if n_outputs < 3:
            raise ValueError("three classes at least")
        return super().build(d, n_outputs, generator)


class UnseededWeights(Small):
    def build(self, d, n_outputs, generator):
        unseeded = torch.Generator()
        unseeded.seed()
        return super().build(d, n_outputs, unseeded)


class OneSeed(Small):
    def build(self, d, n_outputs, generator):
        return super().build(d, n_outputs, torch.Generator().manual_seed(0))


class SharesAModule(Small):
    shared: ClassVar[dict] = {}

    def build(self, d, n_outputs, generator):
        module = super().build(d, n_outputs, generator)
        module[2] = self.shared.setdefault("norm", module[2])
        return module


class NoisyModule(Around):
    def forward(self, x):
        return super().forward(x) + torch.randn(1)


class Noisy(Small):
    def build(self, d, n_outputs, generator):
        return NoisyModule(super().build(d, n_outputs, generator))


class CountingModule(Around):
    def __init__(self, inner):
        super().__init__(inner)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class CountsCalls(Small):
    def build(self, d, n_outputs, generator):
        return CountingModule(super().build(d, n_outputs, generator))


class StubbornModule(Around):
    def train(self, mode=True):
        self.inner.train(True)
        return self


class StaysInTraining(Small):
    def build(self, d, n_outputs, generator):
        return StubbornModule(super().build(d, n_outputs, generator))


class CentredModule(Around):
    def forward(self, x):
        return super().forward(x - x.mean(0))


class Centred(Small):
    def build(self, d, n_outputs, generator):
        return CentredModule(super().build(d, n_outputs, generator))


class DetachedModule(Around):
    def forward(self, x):
        return super().forward(x.detach())


class Detached(Small):
    def build(self, d, n_outputs, generator):
        return DetachedModule(super().build(d, n_outputs, generator))


class OverwritingModule(Around):
    def forward(self, x):
        return super().forward(x.mul_(2) if not x.requires_grad else x)


class Overwrites(Small):
    def build(self, d, n_outputs, generator):
        return OverwritingModule(super().build(d, n_outputs, generator))


class UnregisteredModule(Around):
    def __init__(self, inner, scale):
        super().__init__(inner)
        self.scale = scale

    def forward(self, x):
        return super().forward(x) * self.scale


class Unregistered(Small):
    def build(self, d, n_outputs, generator):
        scale = torch.rand((), generator=generator)
        return UnregisteredModule(super().build(d, n_outputs, generator), scale)


class WithALambda(Small):
    def build(self, d, n_outputs, generator):
        module = Around(super().build(d, n_outputs, generator))
        module.extra = lambda x: x
        return module


class InfinitePenalty(Small):
    def penalty(self, module):
        return torch.tensor(float("inf"))


class VectorPenalty(Small):
    def penalty(self, module):
        return module[0].weight.norm(dim=0)


class ShrinkingPenalty(Small):
    def penalty(self, module):
        with torch.no_grad():
            module[0].weight.mul_(0.9)
        return torch.zeros(())


class HugeLoss(Small):
    def penalty(self, module):
        return 1e38 * module[0].weight.square().sum() * 1e10


class FewerSteps(Small):
    def steps(self, n):
        return max(1, 1000 - n)


class SeedsTorch(Small):
    def penalty(self, module):
        torch.manual_seed(0)
        return torch.zeros(())


class TalkingNet(Small):
    def build(self, d, n_outputs, generator):
        print("building")
        return super().build(d, n_outputs, generator)


def local_net():
    class Local(Small):
        pass

    return Local


BAD_NETS = [
    (SpacedNet, "declaration"),
    (RandomNetIdentity, "identity"),
    (local_net(), "pickles"),
    (NoModule, "builds_a_module"),
    (Frozen, "builds_a_module"),
    (NotANumber, "finite_weights"),
    (OneOutput, "five_classes"),
    (TwoOutputs, "regression"),
    (NeedsMany, "two_classes"),
    (UnseededWeights, "same_weights"),
    (OneSeed, "seeds_differ"),
    (SharesAModule, "keeps_nothing"),
    (Noisy, "eval_deterministic"),
    (CountsCalls, "eval_deterministic"),
    (StaysInTraining, "dropout_is_off"),
    (Centred, "rows_alone"),
    (Detached, "uses_inputs"),
    (Overwrites, "inputs_unchanged"),
    (Unregistered, "state_dict"),
    (WithALambda, "module_copies"),
    (InfinitePenalty, "penalty"),
    (VectorPenalty, "penalty"),
    (ShrinkingPenalty, "penalty"),
    (HugeLoss, "trains"),
    (FewerSteps, "steps"),
    (SeedsTorch, "global_state_unchanged"),
    (TalkingNet, "silent"),
]

GOOD = auroc


def of(function=None, base=GOOD, chance=None, **facts):
    """``auroc`` with another function, or other facts."""
    return replace(base, function=function or base.function, chance=chance or base.chance, **facts)


def nan_where_undefined(relevance, truth):
    score = GOOD(relevance, truth)
    return float("nan") if score is None else score


def in_array_order(relevance, truth):
    order = np.argsort(-relevance, kind="stable")
    return GOOD(-np.argsort(order).astype(float), truth)


def normalised_in_place(relevance, truth):
    relevance /= max(relevance.sum(), 1e-300)
    return GOOD(relevance, truth)


def sorted_truth(relevance, truth):
    if truth.relevance is not None:
        truth.relevance.sort()
    return GOOD(relevance, truth)


def jittered(relevance, truth):
    return GOOD(relevance * np.random.default_rng().uniform(0.9, 1.1, len(relevance)), truth)


def drawn(relevance, truth):
    return GOOD(relevance + 1e-12 * np.random.rand(), truth)  # noqa: NPY002


def loud(relevance, truth):
    print("scoring")
    return GOOD(relevance, truth)


def reads_values(relevance, truth):
    score = GOOD(relevance, truth)
    return None if score is None else score * relevance.max() / (relevance.max() + relevance.mean() + 1e-300)


def scaled_up(relevance, truth):
    return None if not truth.n_relevant else min(1.0, float(relevance[truth.relevant].mean()))


def raises(relevance, truth):
    raise KeyError("roles")


BAD_METRICS = [
    (of(name="two words"), "declaration"),
    (of(reads="sizes"), "declaration"),
    (of(lower=1.0, upper=0.0), "declaration"),
    (of(title=""), "declaration"),
    (of(lambda relevance, truth: None), "defined"),
    (of(raises), "defined"),
    (of(nan_where_undefined), "numbers"),
    (of(lambda relevance, truth: True), "numbers"),
    (of(upper=0.9), "bounds"),
    (of(upper=2.0), "reaches_upper"),
    (of(lambda relevance, truth: GOOD(-relevance, truth)), "larger_is_better"),
    (of(chance=lambda truth: 0.6 if GOOD.chance(truth) else None), "chance"),
    (of(chance=lambda truth: None), "chance"),
    (of(chance=lambda truth: 1.0), "chance_within_bounds"),
    (of(in_array_order), "ties"),
    (of(in_array_order), "order_of_columns"),
    (of(reads_values), "monotone"),
    (of(scaled_up, base=pearson, lower=0.0), "scale"),
    (of(normalised_in_place), "arguments_unchanged"),
    (of(sorted_truth), "arguments_unchanged"),
    (of(jittered), "deterministic"),
    (of(drawn), "global_state_unchanged"),
    (of(loud), "silent"),
]

BAD = [*BAD_SOURCES, *BAD_NETS, *BAD_METRICS]


@pytest.mark.parametrize("component", [Plain(), Small(), GOOD], ids=families.case_name)
def test_the_unspoilt_ones_pass(component):
    xai_bench.check(component)
    assert [row.outcome for row in families.check_report(component)].count("skipped") <= 1


@pytest.mark.parametrize(("bad", "name"), BAD, ids=lambda v: v if isinstance(v, str) else getattr(v, "__name__", ""))
def test_broken_ones_are_caught(bad, name):
    (check,) = [c for c in families.checks_of(bad) if check_name(c) == name]
    with pytest.raises(CheckFailed) as caught:
        check(bad() if isinstance(bad, type) else bad)
    reason = str(caught.value)
    assert reason.startswith(f"{name}: {bad.name}: expected "), reason
    assert len(reason.splitlines()) == 1
    with pytest.raises(CheckFailed):
        xai_bench.check(bad)


@pytest.mark.parametrize("family", ["datasets", "models", "metrics"])
def test_every_check_catches_something(family):
    caught = {name for bad, name in BAD if bad.family == family}
    assert caught == {check_name(check) for check in families.CHECKS[family]}
    assert all(check.__doc__ for check in families.CHECKS[family])


def test_a_source_that_draws_globally_is_told_from_what():
    with pytest.raises(CheckFailed, match="some from the global generator of numpy"):
        data_sources.check_own_generator(DrawsWithNumpy())


def test_a_sorted_set_passes():
    data_sources.check_order_of_sets(Ordered())


def test_what_no_other_process_can_draw_is_skipped():
    class Local(Ordered):
        pass

    with pytest.raises(CheckSkipped, match="put it into a module or a plugin file"):
        data_sources.check_order_of_sets(Local())


def test_absent_files_are_skipped_with_the_reason(tmp_path):
    source = CSV(path=str(tmp_path / "no.csv"), target="y", kind="regression")
    rows = {row.check: row for row in families.check_report(source)}
    assert rows["loads"].outcome == "skipped"
    assert "expected a file" in rows["loads"].reason
    assert rows["missing_answers"].outcome == "passed"


def test_torchs_own_initial_weights_are_seeded():
    class OwnWeights(Small):
        def build(self, d, n_outputs, generator):
            return nn.Sequential(nn.Linear(d, 4), nn.ReLU(), nn.Linear(4, n_outputs))

    architectures.check_same_weights(OwnWeights())
    architectures.check_seeds_differ(OwnWeights())
    architectures.check_global_state_unchanged(OwnWeights())


def test_pictures_get_a_square():
    class Pictures(Small):
        def build(self, d, n_outputs, generator):
            side = int(d**0.5)
            return nn.Sequential(nn.Unflatten(1, (1, side, side)), nn.Conv2d(1, 2, 2), nn.Flatten(), nn.LazyLinear(3))

    module, rows = architectures._network(Pictures())
    assert rows.shape == (10, 16)
    assert module(rows).shape == (10, 3)


@pytest.mark.parametrize(
    ("suite", "check", "good", "word"),
    [
        (data_sources, data_sources.check_data_source, Plain, "DataSource"),
        (architectures, architectures.check_architecture, Small, "Architecture"),
        (metrics, metrics.check_metric, GOOD, "Metric"),
        (explainers, explainers.check_explainer, None, "Explainer"),
    ],
)
def test_one_family_by_its_name(suite, check, good, word):
    if good is not None:
        check(good)
        assert len(suite.check_report(good)) == len(suite.CHECKS)
    with pytest.raises(CheckFailed, match=f"declaration: object: expected .*{word}, got object"):
        check(object())


@pytest.mark.parametrize(("check", "component"), families.cases(Plain(), GOOD), ids=families.case_name)
def test_cases_are_for_pytest(check, component):
    check(component)


def test_no_component():
    with pytest.raises(InputError, match="expected a data source, an architecture, an explainer or a metric"):
        xai_bench.check(object())


def test_names_are_looked_up_in_all_families(plugin_registry):
    assert families.named("xor") == registry.create("datasets", "xor", {})
    assert families.named("datasets/xor") == families.named("xor")
    assert families.named("auroc") is auroc
    assert families.named("captum:Saliency").method == "Saliency"
    assert families.named("models/mlp").family == "models"

    class Double(Small):
        name: ClassVar[str] = "xor"

    plugin_registry.register(Double)
    for name in ("datasets/xor", "models/xor"):
        assert families.named(name).family == name.split("/")[0]
    for name, line in (
        ("xor", "'xor' stands for several components: expected datasets/xor or models/xor"),
        ("xro", "unknown component 'xro': did you mean xor"),
        ("datasets/xro", "unknown dataset 'xro': did you mean xor"),
        ("csv:table.csv", "csv: the field 'target' is required"),
    ):
        with pytest.raises(InputError, match=line):
            families.named(name)


def test_a_skip_is_a_skip_for_pytest():
    with pytest.raises(CheckSkipped, match="it knows no error floor"):
        data_sources.check_error_floor(Plain())


PLUGIN = """
from xai_bench import Metric, register
two, none = lambda relevance, truth: 2.0, lambda truth: None
register(Metric("above_its_bounds", two, none, 0.0, 1.0, "above", reads="values"))
"""


@pytest.mark.parametrize(
    ("name", "code", "last"),
    [
        ("auroc", 0, "auroc: 16 of 16 checks passed or skipped, 0 failed"),
        ("datasets/xor", 0, "datasets/xor: 23 of 23 checks passed or skipped, 0 failed"),
        ("mlp", 0, "mlp: 23 of 23 checks passed or skipped, 0 failed"),
        ("above_its_bounds", 1, "13 of 16 checks passed or skipped, 3 failed"),
        ("xro", 2, "did you mean xor"),
    ],
)
def test_the_command(name, code, last, tmp_path, plugin_registry, monkeypatch, capsys):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    monkeypatch.setattr(sys, "argv", ["xai-bench", "check", name, "--plugin", str(tmp_path / "plugin.py")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    said = capsys.readouterr()
    assert last in (said.out + said.err).strip().splitlines()[-1]
