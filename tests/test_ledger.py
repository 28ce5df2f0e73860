"""What a run will take: counted from the plan, timed by what is stored, and never guessed."""

from __future__ import annotations

from collections import Counter

import pytest

from xai_bench import forecast, read, run
from xai_bench.results.records import CellResult
from xai_bench.running import under_way
from xai_bench.running.block import LOADING, TRAINING, Prepared
from xai_bench.running.ledger import FollowUpCount, Forecast, Measured, Work, at_size, duration, remaining, work_of
from xai_bench.running.process import WARM_UP
from xai_bench.suites import plan, reading
from xai_bench.workers import Started


def explaining(explainer, model, dataset):
    return Work("explaining", model, dataset, explainer)


def test_nothing_known_is_said_and_nothing_is_written(tiny, tmp_path):
    found = forecast({**tiny, "limits": {"seconds": 30}}, out=tmp_path, jobs=2)
    assert found.cells == 52
    assert (found.settled, found.blocks, found.trainings) == (0, 12, 8)
    assert found.followups == (("retention", "draw", 4),)
    explained = 2 * 2 * (2 * 3 + 1)
    assert found.bound == explained * 30 / 2
    assert found.seconds == 0
    assert "not known yet: nothing was measured here of " in found.text()
    assert f"at most {duration(found.bound)}" in found.text()
    assert list(tmp_path.iterdir()) == []


def test_the_stored_costs_are_the_forecast(tiny, tmp_path):
    seen = []
    results = run(tiny, out=tmp_path, data_seeds=1, on_progress=lambda p: seen.append((p.remaining, p.unknown)))
    assert seen[0][1]
    assert not seen[-1][1]
    found = forecast(tiny, out=tmp_path)
    assert (found.cells, found.settled, found.trainings) == (26, 26, 4)
    assert found.followups == (("retention", "draw", 2),)
    assert found.unknown == ()
    cells = results.cells
    explained = (cells["setup_wall"] + cells["explain_wall"]).sum()
    trained = cells.drop_duplicates("model_key")["train_wall"].sum()
    other = sum(seconds for *_, seconds in results.provenance[-1]["seconds"])
    assert found.seconds == pytest.approx(explained + trained + other)
    spent = results.provenance[-1]["spent"]
    assert spent["explaining"] == pytest.approx(explained)
    assert spent["training"] == pytest.approx(trained)
    assert 0 < sum(spent.values()) <= results.provenance[-1]["wall"]
    assert found.text().startswith(f"about {duration(found.seconds)} on 1 worker, by what was measured here")
    both = forecast(tiny, out=tmp_path, jobs=2)
    assert both.seconds == pytest.approx(found.seconds / 2)
    again = forecast(tiny, out=tmp_path, fresh=True)
    assert again.cells == 52
    assert again.seconds == pytest.approx(2 * found.seconds)
    assert "missing" not in set(read(tmp_path / "runs" / "tiny").cells["status"]), "nothing was forgotten"
    run(tiny, out=tmp_path, data_seeds=1, fresh=True, on_progress=lambda p: seen.append(p.forecast))
    assert seen[-1].unknown == ()


def test_the_start_of_a_worker_and_warming_up_are_no_cost_of_a_block(monkeypatch):
    seconds = iter([5.0, 6.0, 8.0, 9.0, 12.0, 14.0, 14.5, 14.5, 16.0])
    monkeypatch.setattr(under_way.time, "monotonic", lambda: next(seconds))
    work = under_way.OpenBlock(block=None, begun=1.0)
    done = [CellResult(key, "done") for key in "ab"]
    first, second = ([Started(key, WARM_UP), Started(key), cell] for key, cell in zip("ab", done, strict=True))
    for content in (LOADING, TRAINING, Prepared(None, None, ()), *first, *second):
        work.take(content)
    assert work.starting == (5.0 - 1.0) + (12.0 - 9.0)
    assert work.cells == done


def test_the_power_of_the_inputs_is_fitted():
    assert at_size(100, [(10, 3.0)]) == pytest.approx(30.0), "one size: in proportion"
    assert at_size(100, [(10, 3.0), (20, 3.0), (40, 3.0)]) == pytest.approx(3.0)
    assert at_size(80, [(10, 1.0), (20, 4.0), (40, 16.0)]) == pytest.approx(64.0)
    assert at_size(40, [(10, 4.0), (20, 2.0)]) == pytest.approx(8**0.5), "it never falls"
    assert at_size(20, [(10, 2.0), (20, 4.0), (20, 16.0)]) == pytest.approx(8.0), "inside, the fit"


def test_a_power_counts_as_far_as_it_was_measured():
    steep = [(2, 10.0), (4, 40.0)]
    assert at_size(8, steep) == pytest.approx(160.0)
    assert at_size(2048, steep) == pytest.approx(160.0 * 256), "in proportion from there on"
    assert at_size(2048, [(2, 10.0), (4, 10.0)]) == pytest.approx(10.0 * 256), "a flat one does not stay flat either"
    wide = [(2, 10.0), (64, 10.0)]
    assert at_size(2048, wide) == pytest.approx(10.0)
    assert at_size(1, [(4, 10.0), (8, 40.0)]) == pytest.approx(2.5 / 2), "towards small sizes as well"


def test_no_explanation_takes_longer_than_the_limit():
    measured = Measured()
    measured.inputs = {"small": 2, "large": 2048}
    measured.add(explaining("lassonet", "", "small"), 12.0)
    measured.add(Work("training", "mlp", "small"), 12.0)
    work = {
        explaining("lassonet", "", "small"): 1,
        explaining("lassonet", "", "large"): 10,
        Work("training", "mlp", "large"): 1,
    }
    trained = 12.0 * 1024
    assert remaining(work, measured, 1) == (pytest.approx(12.0 * (1 + 10 * 1024) + trained), ())
    assert remaining(work, measured, 2, limit=60.0) == (pytest.approx((12.0 + 10 * 60.0 + trained) / 2), ())


def test_the_limit_of_a_suite_caps_its_forecast(tiny, tmp_path):
    suite = {**tiny, "models": [], "explainers": [{"name": "mutual_information"}]}
    cells = run(suite, out=tmp_path, data_seeds=1).cells.query("explainer == 'mutual_information'")
    explained = 9 * (cells["setup_wall"] + cells["explain_wall"]).sum()
    many = {**suite, "data_seeds": list(range(10))}
    free, limited = (forecast({**many, "limits": limits}, out=tmp_path) for limits in ({}, {"seconds": 1e-5}))
    assert limited.bound == pytest.approx(9 * len(cells) * 1e-5)
    assert free.seconds - limited.seconds == pytest.approx(explained - limited.bound)


def test_what_the_harness_adds_does_not_grow_with_the_inputs():
    measured = Measured()
    measured.inputs = {"small": 2, "large": 200, "huge": 2048}
    measured.add(Work("rest", "mlp", "small"), 9.0)
    of_huge = Work("rest", "mlp", "huge")
    assert measured.seconds(of_huge) == 9.0, "the start of a worker, not 9 s times 1024"
    measured.add(Work("rest", "mlp", "large"), 12.0)
    assert measured.seconds(of_huge) == 12.0, "the nearest number of inputs"


def test_what_is_not_supported_says_nothing_of_other_datasets():
    measured = Measured()
    measured.inputs = {"small": 10, "large": 100, "huge": 1000}
    measured.add(explaining("shapley", "mlp", "huge"), 0.0)
    assert measured.seconds(explaining("shapley", "mlp", "large")) == pytest.approx(0.0, abs=1e-5)
    measured.add(explaining("shapley", "mlp", "small"), 3.0)
    assert measured.seconds(explaining("shapley", "mlp", "large")) == pytest.approx(30.0)
    assert measured.seconds(explaining("shapley", "mlp", "huge")) == 0.0


def test_other_datasets_and_networks_count_by_the_number_of_inputs():
    measured = Measured()
    measured.inputs = {"small": 10, "large": 100, "huge": 1000}
    for seconds in (1.0, 2.0, 9.0):
        measured.add(explaining("lrp", "mlp", "small"), seconds)
    measured.add(explaining("lrp", "mlp", "large"), 40.0)
    assert measured.seconds(explaining("lrp", "mlp", "small")) == 2.0
    assert measured.seconds(explaining("lrp", "mlp", "huge")) == pytest.approx(40 * 20), (
        "20 times at 10 times the inputs"
    )
    assert measured.seconds(explaining("lrp", "spectral_mlp", "small")) == pytest.approx(2.0)
    assert measured.seconds(explaining("lrp", "mlp", "unseen")) == 21.0
    assert measured.seconds(explaining("lime", "mlp", "small")) is None
    work = {
        explaining("lrp", "mlp", "small"): 3,
        explaining("lime", "mlp", "small"): 1,
        Work("training", "mlp", "small"): 1,
    }
    assert remaining(work, measured, 2) == (3.0, ("lime", "training of mlp"))


def test_a_method_that_is_named_like_a_kind_of_work_is_a_method(tiny):
    labels = ["training", "retention", "rest", "sanity"]
    tiny["explainers"] = [{"name": "saliency", "label": label, "rows": 5 + i} for i, label in enumerate(labels)]
    blocks = plan.blocks(reading.from_dict({**tiny, "retention": None}))
    found = Counter()
    for work, count in work_of(blocks, ()).items():
        found[work.kind] += count
    assert found == {"rest": 8, "training": 8, "explaining": 8 * 4}


def test_durations_in_words():
    assert [duration(s) for s in (0.1, 1.2, 89, 91, 3600, 7261)] == [
        "1 second", "2 seconds", "89 seconds", "2 minutes", "60 minutes", "2 h 02 min",
    ]  # fmt: skip


def test_words_of_a_forecast():
    partly = Forecast(5, 0, 1, 1, (FollowUpCount("sanity", "network", 1),), 2, 60.0, ("a", "b", "c", "d", "e"), None)
    known = "; the rest takes about 60 seconds on 2 workers"
    assert partly.text() == f"not known yet: nothing was measured here of a, b, c, d and 1 more{known}"
    assert partly.plan() == "5 cells to compute (0 are stored), 1 block, 1 training, sanity of 1 network"
