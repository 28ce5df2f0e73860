"""Reading suites: expansion, labels, and one clear line for every mistake."""

from __future__ import annotations

import pytest

from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.suites import plan, reading, shipped


def test_every_shipped_suite_is_valid():
    for name in shipped.shipped():
        assert reading.load(name).name == name


def test_the_paper_on_published_schedules_differs_in_the_schedules_only():
    schedule = ("learning_rate", "batch_size", "epochs")

    def networks(name, dataset):
        found = {model.label: model.component.fields() for model in reading.load(name).models_on(dataset)}
        assert all(fields["schedule"] == "constant" and fields["checkpoints"] == 1 for fields in found.values())
        return {label: {k: v for k, v in fields.items() if k not in schedule} for label, fields in found.items()}

    full = reading.load("paper_full")
    assert [entry.label for entry in full.datasets] == ["gaussian_independent", "gaussian_correlated", "mnist_01"]
    for entry in full.datasets:
        assert networks("paper", entry.label) == networks("paper_full", entry.label)
        assert entry.component in [other.component for other in reading.load("paper").datasets]


def test_only_the_grid_is_expanded(tiny):
    tiny["datasets"] = [{"name": "xor", "n": 100, "grid": {"d": [4, 8]}}]
    tiny["models"] = [{"name": "mlp", "hidden": [10, 5]}]
    loaded = reading.from_dict(tiny)
    assert [entry.label for entry in loaded.datasets] == ["xor (d=4)", "xor (d=8)"]
    assert [entry.component.d for entry in loaded.datasets] == [4, 8]
    assert loaded.models[0].component.hidden == (10, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datasets": [{"name": "gausian_independent"}]}, "did you mean gaussian_independent"),
        ({"datasets": [{"name": "xor", "rows": 5}]}, "unknown field 'rows'"),
        ({"datasets": [{"name": "xor", "n": "many"}]}, "xor: n: .* got 'many'"),
        ({"datasets": [{"name": "xor", "n": 0}]}, "xor: n: .* got 0"),
        ({"datasets": [{"label": "x"}]}, "needs a name"),
        ({"datasets": []}, "at least one"),
        ({"datasets": "xor"}, "expected"),
        ({"explainers": []}, "at least one"),
        ({"models": []}, "needs at least one"),
        ({"explainers": [{"name": "saliency"}, {"name": "saliency", "rows": 3}]}, "give one of them a label"),
        ({"explainers": [{"name": "saliency", "label": "random"}]}, "always there"),
        ({"explainers": [{"name": "saliency", "grid": {"rows": 3}}]}, "expected lists"),
        ({"explainers": [{"name": "saliency", "rows": 3, "grid": {"rows": [3]}}]}, "both as a field and under grid"),
        ({"models": [{"name": "mlp", "optional": True}]}, "belongs to a"),
        ({"data_seeds": []}, "data_seeds"),
        ({"data_seeds": [0, 0]}, "twice"),
        ({"data_seeds": [-1]}, "data_seeds"),
        ({"data_seeds": 3}, "data_seeds"),
        ({"folds": 1}, "folds"),
        ({"foldz": 2}, "did you mean folds"),
        ({"name": "a/b"}, "name"),
        ({"limits": 60}, r"expected a \[limits\] table"),
        ({"limits": {"seconds": 0}}, "seconds: .* got 0"),
        ({"limits": {"second": 1}}, "did you mean seconds"),
        ({"limits": {"memory": "2GB"}}, "such as \"2GiB\", got '2GB'"),
        ({"models": [{"name": "mlp", "standardise": True}]}, "belongs to the suite"),
        ({"retention": {"orders": 3}}, "orders"),
        ({"retention": {"order": 30}}, "did you mean orders"),
        ({"retention": {"judge": {"epochz": 3}}}, "did you mean epochs"),
        ({"retention": {"ks": [0]}}, "ks"),
        ({"retention": {"datasets": ["diabetis"]}}, "did you mean diabetes"),
        ({"retention": {"data_seeds": [7]}}, "data_seeds: expected data seeds of the suite, got 7"),
        ({"sanity": {"datasets": ["diabetis"]}}, "did you mean diabetes"),
        ({"sanity": {"data_seeds": [0, 7]}}, "data_seeds: expected data seeds of the suite, got 7"),
        ({"extends": "quik"}, "did you mean quick"),
        ({"extends": 3}, "unknown shipped suite '3'"),
        ({"extends": "quick", "datasets": "xor"}, r"expected \[\[datasets\]\] tables"),
        ({"models": [{"name": "mlp", "datasets": ["diabetis"]}]}, "did you mean diabetes"),
        ({"models": [{"name": "mlp", "datasets": ["diabetes"]}]}, "none for 'gaussian_correlated'"),
        ({"models": [{"name": "mlp", "datasets": "diabetes"}]}, "expected a list of labels"),
        ({"explainers": [{"name": "saliency", "datasets": ["diabetes"]}]}, "expected a list of labels"),
        ({"models": [{"name": "mlp", "datasets": ["diabetes"]}, {"name": "mlp"}]}, "on the same dataset"),
    ],
)
def test_a_mistake_is_one_clear_line(tiny, change, message):
    with pytest.raises(InputError, match=message) as caught:
        reading.from_dict({**tiny, **change})
    assert "\n" not in str(caught.value)


def test_a_suite_that_extends_another_has_its_rows_and_settings():
    further = {"name": "more", "extends": "quick", "datasets": [{"name": "corral"}], "rankings": 50}
    quick, more = reading.load("quick"), reading.from_dict(further)
    assert [entry.label for entry in more.datasets] == [*(entry.label for entry in quick.datasets), "corral"]
    assert more.config() == {
        **quick.config(),
        "name": "more",
        "title": "",
        "rankings": 50,
        "datasets": [*quick.config()["datasets"], more.config()["datasets"][-1]],
    }
    with pytest.raises(InputError, match="name"):
        reading.from_dict({"extends": "quick"})


def test_standard_plus_has_all_that_standard_has():
    standard, plus = reading.load("standard"), reading.load("standard_plus")
    for axis in reading.AXES:
        entries = getattr(standard, axis)
        assert getattr(plus, axis)[: len(entries)] == entries
    for name in ("data_seeds", "model_seeds", "folds", "crossed", "standardise", "rankings", "settling", "entrants"):
        assert getattr(plus, name) == getattr(standard, name)
    assert plus.retention.seeds == standard.retention.seeds
    for axis in reading.AXES:
        for entry in getattr(standard, axis):
            assert plus.calibration.covers(axis, entry.label) >= standard.calibration.covers(axis, entry.label)


def test_files_that_cannot_be_read(tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text("name = ")
    for name, message in [(str(bad), "not valid TOML"), (str(tmp_path / "no.toml"), "cannot read"), ("quik", "quick")]:
        with pytest.raises(InputError, match=message):
            reading.load(name)


def test_keys_depend_on_what_results_depend_on_only(tiny):
    def keys(**change):
        return [cell.key for block in plan.blocks(reading.from_dict({**tiny, **change})) for cell in block.cells]

    reference = keys()
    assert len(set(reference)) == len(reference)
    relabelled = [{**tiny["datasets"][0], "label": "pairs"}, tiny["datasets"][1]]
    assert keys(datasets=relabelled, name="other", title="t") == reference
    assert set(keys(explainers=[*tiny["explainers"], {"name": "lrp"}])) > set(reference)
    assert set(keys(data_seeds=[0, 1, 2])) > set(reference)
    assert not set(keys(standardise=False)) & set(reference)
    assert not set(keys(datasets=[{"name": "gaussian_correlated", "n": 301}])) & set(reference)


def test_a_dataset_can_have_its_own_standardisation(tiny):
    tiny["datasets"] = [{"name": "xor"}, {"name": "xor", "standardise": False, "label": "raw"}]
    loaded = reading.from_dict(tiny)
    assert [draw.standardise for draw in plan.draws(loaded)] == [True, True, False, False]
    off = reading.from_dict({**tiny, "datasets": [{"name": "xor"}], "standardise": False})
    assert [draw.key for draw in plan.draws(off)] == [draw.key for draw in plan.draws(loaded)][2:]
    assert [entry.get("standardise") for entry in loaded.config()["datasets"]] == [None, False]


def test_models_for_some_datasets_share_a_label(tiny):
    tiny["models"] = [
        {"name": "mlp", "label": "net", "group_lasso": 0.0, "datasets": ["diabetes"]},
        {"name": "mlp", "label": "net", "group_lasso": 0.1, "datasets": ["gaussian_correlated"]},
        {"name": "spectral_mlp"},
    ]
    loaded = reading.from_dict(tiny)
    found = {
        (b.draw.dataset.label, b.model.component.fields().get("group_lasso")) for b in plan.blocks(loaded) if b.model
    }
    assert found == {
        ("diabetes", 0.0),
        ("gaussian_correlated", 0.1),
        ("diabetes", None),
        ("gaussian_correlated", None),
    }
    assert loaded.plain_model("diabetes").component.group_lasso == 0.0
    assert loaded.plain_model("gaussian_correlated").component.group_lasso == 0.1


def test_seeds_that_are_not_crossed(tiny):
    tiny |= {"data_seeds": [3, 4, 5], "model_seeds": [7, 8], "crossed": False}
    seeds = {(b.draw.data_seed, b.model_seed) for b in plan.blocks(reading.from_dict(tiny)) if b.model}
    assert seeds == {(3, 7), (3, 8), (4, 7), (5, 7)}


def test_methods_without_a_model_run_once(tiny):
    blocks = plan.blocks(reading.from_dict(tiny))
    without = [b for b in blocks if b.model is None]
    assert len(without) == 4  # two datasets, two data seeds
    assert all([c.label for c in b.cells] == ["random", "oracle", "mutual_information"] for b in without)


def test_plugin_hash_is_part_of_the_identity(tmp_path, plugin_registry):
    text = "from xai_bench import Explainer, register\n@register\nclass Mine(Explainer):\n    name = 'mine'\n"
    text += "    def relevance(self, problem): return problem.X_train.var(0)\n"
    path = tmp_path / "mine.py"
    path.write_text(text)
    plugin = registry.load_plugin(path)
    assert registry.create("explainers", "mine", {}).identity()["plugin"] == plugin.sha256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1/0", "ZeroDivisionError"),
        ("x = 1", "registers nothing"),
        (
            "from xai_bench import Explainer, register\n@register\nclass A(Explainer):\n    name = 'lrp'\n"
            "    def relevance(self, problem): ...\n",
            "taken",
        ),
        (
            "from xai_bench import Explainer, register\n@register\nclass A(Explainer):\n    name = 'a'\n",
            "write its method",
        ),
        ("from xai_bench import register\n@register\nclass A: pass\n", "cannot register"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_bad_plugin_is_one_clear_line(tmp_path, plugin_registry, text, message):
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        registry.load_plugin(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot read"):
        registry.load_plugin(tmp_path / "absent.py")


WHO = {
    "name": "who",
    "datasets": [{"name": "xor"}],
    "models": [{"name": "mlp"}],
    "explainers": [{"name": "saliency"}, {"name": "f_test"}],
}


def test_confirmatory_entrants_and_a_focus_are_names_of_the_suite():
    listed = {"explainers": ["saliency"], "models": ["mlp"], "diagram": ["f_test", "saliency on mlp"]}
    for focus in ("saliency", "mlp", "saliency on mlp", "f_test"):
        suite = reading.from_dict({**WHO, "entrants": listed, "focus": focus})
        assert suite.config()["focus"] == focus
        assert suite.config()["entrants"]["explainers"] == ["saliency"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"focus": "salency"}, "focus: unknown explainer, model or entrant 'salency': did you mean saliency"),
        ({"focus": "f_test on mlp"}, "focus: unknown explainer, model or entrant 'f_test on mlp'"),
        ({"entrants": {"explainers": ["f_tst"]}}, "[entrants]: unknown explainer 'f_tst': did you mean f_test"),
        ({"entrants": {"models": ["spectral_mlp"]}}, "[entrants]: unknown model 'spectral_mlp'"),
        ({"entrants": {"diagram": ["saliency on mpl"]}}, "[entrants]: diagram: unknown entrant 'saliency on mpl'"),
        ({"entrants": {"diagram": ["f_test"] * 13}}, "[entrants]: diagram: expected"),
        ({"entrants": ["f_test"]}, "expected a [entrants] table, got"),
    ],
)
def test_unknown_entrants_are_one_line(content, line):
    with pytest.raises(InputError) as caught:
        reading.from_dict({**WHO, **content})
    assert line in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
