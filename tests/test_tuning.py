"""Choosing settings by validation: the same tries for all, what was chosen is stored, and keys hold the choice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conftest import TINY_NET
from tests.test_run import assert_same
from tests.toy import toy
from xai_bench import Problem, fit_many, read, registry, run, write_report
from xai_bench.errors import InputError
from xai_bench.running.tuning import Tuned, fit_best
from xai_bench.suites import plan, reading

SELECTOR = """
import time
import torch
from xai_bench import register
from xai_bench.explainers.base import Selection, Selector

@register
class Power(Selector):
    name = "power"
    power: float = 1.0
    scored: bool = True
    def select(self, problem):
        noise = float(problem.generator.random()) + float(torch.rand(()))
        time.sleep(0.02)
        # The score is highest at 2; the relevance tells the setting and the stream that was drawn.
        return Selection(problem.X_train.std(0) ** self.power + noise, -abs(self.power - 2) if self.scored else None)
"""
BUDGET = {"tuning": {"tries": 4}}


@pytest.fixture
def tuned(tiny, tmp_path, plugin_registry, standing_clock):
    path = tmp_path / "power.py"
    path.write_text(SELECTOR)
    plugin_registry.load_plugin(path)
    return {
        **tiny,
        **BUDGET,
        "models": [{**tiny["models"][0], "tune": {"learning_rate": [1e-5, 1e-2], "l2_lambda": [0.0, 1e-2]}}],
        "explainers": [{"name": "spectral"}, {"name": "power", "tune": {"power": [0.5, 1.0, 2.0, 3.0]}}],
    }


def test_validation_chooses_and_the_choice_is_stored(tuned, tmp_path):
    results = run(tuned, out=tmp_path)
    cells = results.cells
    assert set(cells["status"]) == {"done", "unsupported"}  # no oracle for diabetes
    power = cells[cells["explainer"] == "power"]
    assert list(power["chosen"]) == [{"power": 2.0}] * 4
    assert list(power["setup_wall"]) == pytest.approx([0.08] * 4), "all four tries are set-up"
    assert (power["explain_wall"] == 0).all()
    assert cells.loc[cells["explainer"] == "spectral", "chosen"].isna().all()
    entry = reading.from_dict(tuned).models[0]
    for key, content in results.models.items():
        row = cells[cells["model_key"] == key].iloc[0]
        (source,) = [e.component for e in reading.from_dict(tuned).datasets if e.label == row["dataset"]]
        data = source.load(int(row["data_seed"])).standardised()
        tries = [
            (fit_many(entry.settled(setting).component, data, [0], chunk=1)[0].valid_loss, setting)
            for setting in entry.candidates
        ]
        assert len(tries) == 4
        best = min(tries, key=lambda pair: pair[0])
        assert (content["valid_loss"], content["model_chosen"]) == best
    page = write_report(results, tmp_path / "report").read_text(encoding="utf-8")
    assert "tries = 4" in page
    assert "chosen 4 times: {&#34;power&#34;: 2.0}" in page


def test_stored_networks_keep_the_setting_that_was_chosen(tuned, tmp_path):
    net = {key: value for key, value in TINY_NET.items() if key != "hidden"}
    tuned["models"] = [{"name": "mlp", **net, "tune": {"hidden": [[2], [8]]}}]
    tuned["explainers"] = [{"name": "column_norm"}, {"name": "saliency"}]
    run(tuned, out=tmp_path, explainers=["column_norm"])
    assert_same(run(tuned, out=tmp_path), run(tuned, out=tmp_path / "again"))


def test_a_try_depends_on_its_own_setting_only(tuned):
    data = toy()
    tensors = [torch.from_numpy(x) for x in (data.X_train, data.y_train, data.X_valid, data.y_valid)]
    problem = Problem(None, *tensors, "classification", 3)
    power = registry.create("explainers", "power", {})
    alone = Tuned.of(power, [{"power": 2.0}]).explain(problem, seed=5).relevance
    among = Tuned.of(power, [{"power": 1.0}, {"power": 2.0}, {"power": 3.0}]).explain(problem, seed=5).relevance
    np.testing.assert_array_equal(alone, among)
    other = Tuned.of(power, [{"power": 2.0}]).explain(problem, seed=6).relevance
    assert (alone != other).all()


def test_without_a_score_the_cell_fails(tuned, tmp_path):
    tuned["explainers"] = [{"name": "power", "scored": False, "tune": {"power": [1.0, 2.0]}}]
    failed = run({**tuned, "models": [], "retention": None}, out=tmp_path).failed
    assert failed["reason"].str.contains("no validation score to choose by").all()
    assert len(read(tmp_path / "runs" / "tiny").failed) == 4


def keys(content):
    cells = [cell for block in plan.blocks(reading.from_dict(content)) for cell in block.cells]
    return [cell.key for cell in cells if cell.explainer is not None]


def test_keys_hold_candidates_and_budget(tuned):
    reference = keys(tuned)
    assert len(set(reference)) == len(reference)
    more = {**tuned, "tuning": {"tries": 5}}
    assert not {k for k in keys(more) if k in reference}
    untuned = {**tuned, "models": [{k: v for k, v in tuned["models"][0].items() if k != "tune"}]}
    untuned["explainers"] = [{"name": "spectral"}]
    plain = {k: v for k, v in untuned.items() if k != "tuning"}
    assert keys(untuned) == keys(plain), "what has nothing to choose does not depend on the budget"


def test_more_settings_than_tries_are_drawn_once(tuned):
    tuned["tuning"] = {"tries": 2}
    loaded, again = reading.from_dict(tuned), reading.from_dict(tuned)
    assert loaded.models[0].candidates == again.models[0].candidates
    assert [len(entry.candidates) for entry in (*loaded.models, *loaded.explainers)] == [2, 0, 2]
    tuned["tuning"] = {"tries": 4}
    assert len(reading.from_dict(tuned).models[0].candidates) == 4


def test_a_try_that_diverges_is_out():
    wild = {"hidden": [8, 8, 8, 8], "activations": "relu", "batch_norm": False}
    rows = {"name": "mlp", **TINY_NET, **wild, "min_steps": 60, "tune": {"learning_rate": [1e12, 1e-2]}}
    content = {"name": "t", "datasets": [{"name": "xor"}], "models": [rows], "explainers": [{"name": "saliency"}]}
    entry = reading.from_dict({**content, **BUDGET}).models[0]
    assert fit_best(entry, toy(), 0)[1] == {"learning_rate": 1e-2}
    only = entry.model_copy(update={"candidates": entry.candidates[:1]})
    with pytest.raises(ValueError, match="diverged"):
        fit_best(only, toy(), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tuning": 3}, r"expected a \[tuning\] table"),
        ({"tuning": {"tries": 0}}, "tries"),
        ({"tuning": {"tries": 3, "trys": 3}}, "unknown field 'trys': did you mean tries"),
        ({"explainers": [{"name": "saliency", "tune": {"rows": [1, 2]}}]}, "no validation score to choose by"),
        *(
            (
                {"explainers": [{"name": n, "tune": {field: [10, 20]}}]},
                f"'{n}' cannot be tuned: it has no .* remove tune",
            )
            for n, field in (("mutual_information", "neighbours"), ("mrmr", "rows"), ("f_test", "max_inputs"))
        ),
        ({"models": [{"name": "mlp", "tune": {"hiden": [[4]]}}]}, "did you mean hidden"),
        ({"models": [{"name": "mlp", "tune": {"epochs": 3}}]}, "expected lists"),
        ({"models": [{"name": "mlp", "epochs": 1, "tune": {"epochs": [3]}}]}, "both under tune and"),
        ({"datasets": [{"name": "xor", "tune": {"n": [100]}}]}, "for the dataset"),
    ],
)
def test_a_mistake_is_one_clear_line(tiny, change, message):
    with pytest.raises(InputError, match=message) as caught:
        reading.from_dict({**tiny, **BUDGET, **change})
    assert "\n" not in str(caught.value)


def test_tune_needs_a_budget(tiny):
    tiny["models"] = [{"name": "mlp", "tune": {"epochs": [1, 2]}}]
    with pytest.raises(InputError, match=r"\[tuning\] with tries = N"):
        reading.from_dict(tiny)
