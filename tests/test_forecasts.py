"""What a run will take: counted from the plan, timed by what is stored, and never guessed."""

from __future__ import annotations

import pytest

from xai_bench import forecast, read, run
from xai_bench.forecasts import Forecast, Measured, Work, at_size, duration, remaining


def test_nothing_known_is_said_and_nothing_is_written(tiny, tmp_path):
    found = forecast({**tiny, "limits": {"seconds": 30}}, out=tmp_path, jobs=2)
    assert found.cells == 52
    assert (found.settled, found.blocks, found.trainings, found.retentions) == (0, 12, 8, 4)
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
    assert (found.cells, found.settled, found.trainings, found.retentions) == (26, 26, 4, 2)
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
    after = run(tiny, out=tmp_path, data_seeds=1, fresh=True, on_progress=lambda p: seen.append(p.forecast))
    assert seen[-1].unknown == ()
    assert len(after.provenance) == 1


def test_the_power_of_the_inputs_is_fitted():
    assert at_size(100, [(10, 3.0)]) == pytest.approx(30.0), "one size: in proportion"
    assert at_size(100, [(10, 3.0), (20, 3.0), (40, 3.0)]) == pytest.approx(3.0)
    assert at_size(80, [(10, 1.0), (20, 4.0), (40, 16.0)]) == pytest.approx(64.0)
    assert at_size(100, [(10, 4.0), (20, 2.0)]) == pytest.approx(8**0.5), "it never falls"


def test_other_datasets_and_networks_count_by_the_number_of_inputs():
    measured = Measured()
    measured.inputs = {"small": 10, "large": 100, "huge": 1000}
    for seconds in (1.0, 2.0, 9.0):
        measured.add(Work("lrp", "mlp", "small"), seconds)
    measured.add(Work("lrp", "mlp", "large"), 40.0)
    assert measured.seconds(Work("lrp", "mlp", "small")) == 2.0
    assert measured.seconds(Work("lrp", "mlp", "huge")) == pytest.approx(40 * 20), "20 times at 10 times the inputs"
    assert measured.seconds(Work("lrp", "spectral_mlp", "small")) == pytest.approx(2.0)
    assert measured.seconds(Work("lrp", "mlp", "unseen")) == 21.0
    assert measured.seconds(Work("lime", "mlp", "small")) is None
    work = {Work("lrp", "mlp", "small"): 3, Work("lime", "mlp", "small"): 1, Work("training", "mlp", "small"): 1}
    assert remaining(work, measured, 2) == (3.0, ("lime", "training of mlp"))


def test_durations_in_words():
    assert [duration(s) for s in (0.1, 1.2, 89, 91, 3600, 7261)] == [
        "1 second", "2 seconds", "89 seconds", "2 minutes", "60 minutes", "2 h 02 min",
    ]  # fmt: skip


def test_words_of_a_forecast():
    partly = Forecast(5, 0, 1, 1, 0, 2, 60.0, ("a", "b", "c", "d", "e"), None)
    known = "; the rest takes about 60 seconds on 2 workers"
    assert partly.text() == f"not known yet: nothing was measured here of a, b, c, d and 1 more{known}"
    assert partly.plan() == "5 cells to compute (0 are stored), 1 block, 1 training, retention of 0 draws"
