"""How two runs differ: nothing, labels and versions of one only, and scores paired by draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests import stores
from tests.hand_made import build, only, plan, suite
from tests.test_cli import call
from tests.test_store import EARLIER, earlier
from xai_bench import diff, pack
from xai_bench.errors import InputError
from xai_bench.results import changes
from xai_bench.results.difference import compared
from xai_bench.results.records import MetricFacts, SettlingFacts, Signs
from xai_bench.results.store import Store
from xai_bench.statistics import bounded_interval, interval


def test_a_run_does_not_differ_from_itself_nor_from_its_pack(tmp_path):
    path = build(tmp_path / "a" / "results.sqlite")
    packed = pack(path, tmp_path / "a.xaipack")
    for one, two in ((path, path), (tmp_path / "a", packed), (packed, path)):
        found = compared(one, two)
        assert found.frame.empty
        assert (found.shared, found.equal) == (32, 32)


def test_costs_are_no_difference(tmp_path):
    assert diff(build(tmp_path / "a.sqlite"), build(tmp_path / "b.sqlite", cost=9.0, day=3)).empty


@pytest.mark.parametrize("number", EARLIER)
def test_earlier_schemas_are_compared(tmp_path, number):
    path = earlier(number, tmp_path)
    assert diff(path, pack(path, tmp_path / "b.xaipack")).empty


def rows(frame: pd.DataFrame, what: str, side: str = "both") -> pd.DataFrame:
    return frame[(frame["what"] == what) & (frame["side"] == side)]


def test_what_only_one_has(tmp_path):
    first = build(tmp_path / "a.sqlite", suite([0, 1], ["saliency", "lrp"]))
    second = build(tmp_path / "b.sqlite", suite([0, 2], ["saliency", "f_test"], ["toy"]))
    frame = diff(first, second)
    assert rows(frame, "dataset", "first")["name"].tolist() == ["other"]
    assert rows(frame, "explainer", "first")["name"].tolist() == ["lrp"]
    assert rows(frame, "explainer", "second")["name"].tolist() == ["f_test"]
    assert rows(frame, "data seed", "second")["name"].tolist() == ["2"]
    cells = rows(frame, "cell", "first").set_index("name")["cells"]
    assert cells["lrp on net, toy"] == 2
    assert cells["saliency on net, toy"] == 1
    assert cells["random on plain, other"] == 2
    own, other = (
        {row.cell for row in plan(of)}
        for of in (suite([0, 1], ["saliency", "lrp"]), suite([0, 2], ["saliency", "f_test"], ["toy"]))
    )
    assert cells.sum() == len(own - other)
    assert rows(frame, "score").empty


def test_versions_and_machines(tmp_path):
    first = build(tmp_path / "a.sqlite")
    changed = suite()
    changed["models"][0] |= {"version": 2, "fields": {"n": 10}}
    changed["limits"] = {"seconds": 5.0, "memory": None}
    versions = {"xai-bench": "0.4.0", "shap": "0.45"}
    frame = diff(first, build(tmp_path / "b.sqlite", changed, versions=versions, processor="Two", cores=8))
    both = frame[frame["side"] == "both"].set_index(["what", "name", "metric"])[["first", "second"]]
    assert both.loc[("model", "net", "version")].tolist() == [1, 2]
    assert both.loc[("model", "net", "fields.n")].tolist() == [9, 10]
    assert both.loc[("setting", "limits.seconds", "")].tolist() == [None, 5.0]
    assert both.loc[("library", "xai-bench", "")].tolist() == ["0.3.0", "0.4.0"]
    assert both.loc[("machine", "processor", "")].tolist() == ["One", "Two"]
    assert both.loc[("machine", "cores", "")].tolist() == ["2", "8"]
    assert rows(frame, "library", "first")["name"].tolist() == ["torch"]
    assert rows(frame, "library", "second")["name"].tolist() == ["shap"]
    assert not frame["what"].isin(["score", "cell", "status"]).any()


def higher(row, found):
    """AUROC of saliency on net is higher by a quarter of the distance to 1, that of lrp lower by .001."""
    values = []
    for m in found.measurements:
        if m.metric == "auroc" and row.explainer in ("saliency", "lrp") and row.model == "net":
            step = 0.25 * (1 - m.value) if row.explainer == "saliency" else -0.001 * m.value
            values.append(replace(m, value=m.value + step))
        else:
            values.append(m)
    return replace(found, measurements=tuple(values))


def test_scores_are_paired_by_draw_and_the_largest_change_comes_first(tmp_path):
    seeds = suite(range(6))
    found = compared(build(tmp_path / "a.sqlite", seeds), build(tmp_path / "b.sqlite", seeds, higher))
    assert (found.shared, found.equal) == (96, 72)
    scores = rows(found.frame, "score")
    assert scores["name"].tolist() == ["saliency on net", "lrp on net"]
    assert set(scores["metric"]) == {"auroc"}
    assert scores["cells"].tolist() == [12, 12]
    assert scores["draws"].tolist() == [6, 6]
    with Store.reading(tmp_path / "a.sqlite") as store:
        table = store.results().measurements
    own = table[(table["entrant"] == "saliency on net") & (table["metric"] == "auroc")]
    gain = 0.25 * (1 - own["value"])
    expected = gain.groupby(own["data_seed"]).mean()
    first = scores.iloc[0]
    assert first["difference"] == pytest.approx(gain.mean())
    assert first["first"] == pytest.approx(own["value"].mean())
    assert first["second"] == pytest.approx((own["value"] + gain).mean())
    assert (first["low"], first["high"]) == pytest.approx(bounded_interval(expected, -1, 1, 0))
    changed = rows(found.frame, "cell").set_index("name")["cells"]
    assert changed.to_dict() == dict.fromkeys(
        [f"{name} on net, {d}" for name in ("saliency", "lrp") for d in ("toy", "other")], 6
    )


def test_curves_and_relevances_count_for_equality(tmp_path):
    def curve(row, found):
        values = [replace(m, value=0.125) if m.k == 3 else m for m in found.measurements]
        return replace(found, measurements=tuple(values)) if row.cell == "toy-0--f_test" else found

    def relevance(row, found):
        return replace(found, relevance=np.nextafter(found.relevance, 2)) if row.cell == "toy-0--f_test" else found

    path = build(tmp_path / "a.sqlite")
    for name, change in (("b", curve), ("c", relevance)):
        frame = diff(path, build(tmp_path / f"{name}.sqlite", change=change))
        assert frame[["what", "side", "name", "cells"]].to_numpy().tolist() == [["cell", "both", "f_test, toy", 1]]


def test_results_that_became_others(tmp_path):
    failed = only("lrp", status="failed", reason="no", relevance=None, measurements=())
    frame = diff(build(tmp_path / "a.sqlite"), build(tmp_path / "b.sqlite", change=failed))
    found = rows(frame, "status")
    assert found[["first", "second"]].drop_duplicates().to_numpy().tolist() == [["done", "failed"]]
    assert found["cells"].sum() == 8
    assert rows(frame, "score").empty


def test_data_networks_and_code_of_metrics(tmp_path):
    path, other = build(tmp_path / "a.sqlite"), build(tmp_path / "b.sqlite")
    with Store(other) as store:
        store._db.execute("DELETE FROM models WHERE key = 'toy1net'")
        model = stores.network("toy1net", test_score=0.5)
        store.add([], 1, stores.draw("toy", 1, content_hash="new"), model)
        for row in plan(suite()):
            store._mark([row.cell], {"auroc": "2", "contrast": "1", "mine": "1"})
    frame = diff(path, other)
    assert rows(frame, "data")[["name", "cells"]].to_numpy().tolist() == [["toy", 1]]
    network = rows(frame, "network").iloc[0]
    assert (network["name"], network["metric"], network["cells"]) == ("net", "test_score", 1)
    assert network["difference"] == pytest.approx(-0.2 / 4)
    metric = rows(frame, "metric").iloc[0]
    assert (metric["name"], metric["first"], metric["second"]) == ("auroc", "1", "2")
    assert rows(frame, "metric", "second")["name"].tolist() == ["mine"]


def with_settling(path, correlation, share=0.2, networks=("toy", "other"), seeds=range(6)):
    """The store with one more training of network ``net``: on all of its draws the same signs, but for noise."""
    rng = np.random.default_rng(0)
    with Store(path) as store:
        for dataset in networks:
            for seed in seeds:
                signs = Signs(share, correlation + 0.01 * rng.random(), 0.1, 0.5)
                store.add_settling(f"{dataset}{seed}net", "key", SettlingFacts(first_layer=signs, copies=True))
    return path


def test_signs_of_settling_are_compared_and_what_follows_from_them(tmp_path):
    seeds = suite(range(6))
    first = with_settling(build(tmp_path / "a.sqlite", seeds), 0.8)
    same = with_settling(build(tmp_path / "b.sqlite", seeds), 0.8)
    assert diff(first, same).empty
    second = with_settling(build(tmp_path / "c.sqlite", seeds), 0.05, networks=("toy",))
    frame = diff(first, second)
    assert set(frame["what"]) == {"settling", "settled"}
    alone = rows(frame, "settling", "first").iloc[0]
    assert (alone["name"], alone["cells"]) == ("net", 6)
    change = rows(frame, "settling").iloc[0]
    assert (change["name"], change["metric"], change["cells"]) == ("net", "first_layer correlation", 6)
    assert change["difference"] == pytest.approx(-0.75)
    verdict = rows(frame, "settled").iloc[0]
    assert (verdict["name"], verdict["metric"]) == ("net, toy", "first_layer")
    assert verdict[["first", "second"]].tolist() == ["settled", "not shown to have settled"]


def test_settling_in_words(tmp_path, capsys):
    first = with_settling(build(tmp_path / "a.sqlite", suite(range(6))), 0.8)
    second = with_settling(build(tmp_path / "b.sqlite", suite(range(6))), 0.05, networks=("toy",))
    lines = call("diff", first, second, capsys=capsys)[1].splitlines()
    assert "only in the first: 6 networks that were trained once more" in lines
    assert "  net, toy, first_layer: settled -> not shown to have settled" in lines
    assert "Signs of settling that differ, second less first, means over datasets and draws:" in lines


def values(**columns) -> pd.DataFrame:
    return pd.DataFrame({"name": "a", "metric": "gain", "dataset": "x", "first": 0.0, **columns})


def test_datasets_weigh_alike_and_data_seeds_carry_the_interval():
    rng = np.random.default_rng(0)
    one = values(dataset="x", data_seed=range(8), second=rng.normal(size=8))
    two = values(dataset="y", data_seed=[*range(2, 8)] * 2, second=rng.normal(size=12))
    (found,) = changes.differences(pd.concat([one, two]), {}).to_dict("records")
    by_seed = two.groupby("data_seed")["second"].mean()
    assert found["difference"] == pytest.approx((one["second"].mean() + by_seed.mean()) / 2)
    expected = interval((one.set_index("data_seed")["second"][by_seed.index] + by_seed) / 2)
    assert (found["low"], found["high"]) == pytest.approx(expected[1:3])
    assert (found["draws"], found["cells"]) == (6, 20)


def test_below_five_draws_there_is_no_interval():
    (found,) = changes.differences(values(data_seed=range(4), second=[0.1, 0.2, 0.3, 0.4]), {}).to_dict("records")
    assert np.isnan(found["low"])
    assert changes.differences(values(data_seed=range(4), second=0.0), {}).empty


def test_differences_are_ordered_by_the_range_of_the_metric():
    both = [
        values(name=name, metric=name, data_seed=range(5), second=size)
        for name, size in (("wide", 3.0), ("narrow", 0.5))
    ]
    declared = {"wide": MetricFacts("wide", "wide", 0.0, 10.0), "narrow": MetricFacts("narrow", "narrow", 0.0, 1.0)}
    assert changes.differences(pd.concat(both), declared)["name"].tolist() == ["narrow", "wide"]


def test_the_command(tmp_path, capsys):
    first = build(tmp_path / "a.sqlite", suite(range(6)))
    second = build(tmp_path / "b.sqlite", suite(range(7), datasets=["toy"]), higher, processor="Two")
    code, out, _ = call("diff", first, second, capsys=capsys)
    assert code == 0
    lines = out.splitlines()
    assert lines[:2] == [f"first:  {first}", f"second: {second}"]
    assert "only in the first: dataset other" in lines
    assert "only in the second: data seed 6" in lines
    assert "  processor: One -> Two" in lines
    assert "36 of 48 cells with a result in both are equal bit for bit" in lines
    assert [line for line in lines if line.startswith("  saliency on net, auroc")]
    assert call("diff", first, first, capsys=capsys)[1].splitlines()[2:] == [
        "96 of 96 cells with a result in both are equal bit for bit"
    ]
    code, out, _ = call("diff", first, second, "--format", "csv", capsys=capsys)
    assert out.splitlines()[0].startswith("what,side,name,metric,first,second,difference,low,high,draws,cells")
    assert len(out.splitlines()) == len(diff(first, second)) + 1
    for arguments in ((first, "nowhere"), (tmp_path / "no.sqlite", first), (first, second, "--format", "latex")):
        code, out, err = call("diff", *arguments, capsys=capsys)
        assert (code, out, len(err.splitlines())) == (2, "", 1)


def test_a_store_without_a_run_is_one_line(tmp_path):
    with Store(tmp_path / "empty.sqlite") as store:
        store.set_meta("other", "x")
    with pytest.raises(InputError, match="no run is stored"):
        diff(build(tmp_path / "a.sqlite"), tmp_path / "empty.sqlite")
