"""Several runs or packs of one suite become one: as the run of the whole, or one line that says what differs."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests import hand_made, stores
from tests.conftest import TINY_NET
from tests.hand_made import build, only, suite
from tests.test_cli import call
from tests.test_run import scores
from tests.test_store import EARLIER, earlier
from xai_bench import merge, pack, read, run
from xai_bench.component import canonical_json
from xai_bench.errors import InputError
from xai_bench.report.kit.frames import Frames
from xai_bench.report.sections.cost import Cost
from xai_bench.results import packing, schema, tables, taking, whole
from xai_bench.results.boards import Board
from xai_bench.results.records import CellResult, Costs, Measurement, PlanRow, SettlingFacts
from xai_bench.results.store import Store

COSTS = [*Costs.__annotations__, "train_cpu", "train_wall", "trained_on", "run", "machine"]
CARD = "cuda (X)"


def assert_same_measurements(first, second):
    """All numbers, the plan in its order, networks and draws; costs and runs apart."""
    pd.testing.assert_frame_equal(scores(first), scores(second), check_exact=True)
    for one, two in ((first.cells, second.cells), (first.null_cells, second.null_cells)):
        columns = one.columns.difference(COSTS)
        pd.testing.assert_frame_equal(one[columns], two[columns], check_exact=True)
    assert first.relevance.keys() == second.relevance.keys()
    for key, values in first.relevance.items():
        np.testing.assert_array_equal(values, second.relevance[key])
    assert (first.suite, first.draws) == (second.suite, second.draws)


@pytest.mark.parametrize(("out", "backwards"), [("both", False), ("both.xaipack", True), ("both.sqlite", True)])
def test_parts_over_data_seeds_and_methods_are_the_whole(tmp_path, out, backwards):
    everything = build(tmp_path / "whole" / "results.sqlite")
    parts = [
        build(tmp_path / f"{seed}{i}" / "results.sqlite", suite([seed], methods), day=2 + 2 * i + seed)
        for seed in (0, 1)
        for i, methods in enumerate((["saliency", "f_test"], ["saliency", "lrp"]))
    ]
    found = merge(tmp_path / out, *(reversed(parts) if backwards else parts))
    first, second = read(everything), read(found.path)
    if out.endswith("xaipack"):
        second.relevance = first.relevance
    first.suite["explainers"].sort(key=lambda entry: entry["label"])
    second.suite["explainers"].sort(key=lambda entry: entry["label"])
    assert set(second.cells["cell"]) == set(first.cells["cell"])
    frames = [scores(one) for one in (first, second)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    assert first.suite == second.suite
    assert first.draws == second.draws
    assert len(second.provenance) == 4
    assert (found.cells, found.shared, found.differing, found.left_out) == (len(first.cells), 16, {}, 0)
    assert [path.name for path in tmp_path.rglob(".*")] == []


RUN = {
    "name": "part",
    "data_seeds": [0, 1],
    "model_seeds": [0, 1],
    "crossed": False,
    "datasets": [{"name": "xor", "n": 60, "d": 4}],
    "models": [{"name": "mlp", "group_lasso": 0.0, **TINY_NET}],
    "explainers": [{"name": "saliency"}, {"name": "column_norm"}, {"name": "f_test"}],
    "retention": {"ks": [1], "judge": {"epochs": 0.1, "min_steps": 2, "checkpoints": 1}},
}


def test_the_parts_of_a_real_run_are_the_whole(tmp_path):
    everything = run(RUN, out=tmp_path / "whole")
    parts = [tmp_path / str(i) for i in range(3)]
    run({**RUN, "data_seeds": [0]}, out=parts[0], explainers=["saliency", "f_test"])
    run({**RUN, "data_seeds": [0], "explainers": RUN["explainers"][1:2]}, out=parts[1])
    run({**RUN, "data_seeds": [1]}, out=parts[2])
    found = merge(tmp_path / "merged", *parts)
    merged = read(found.path)
    assert_same_measurements(everything, merged)
    assert set(merged.machines) == set(everything.machines), "all on this one, whose processor is recorded"
    assert all("processor" in record for record in merged.provenance)
    assert found.left_out == 4, "further trainings belong to the first data seed of the whole"


def test_a_run_merged_with_itself_is_itself(tmp_path):
    path = build(
        tmp_path / "a.sqlite", change=only("lrp", status="failed", reason="no", relevance=None, measurements=())
    )
    merged = merge(tmp_path / "b.sqlite", path, path)
    assert pack(merged.path, tmp_path / "b.xaipack").read_bytes() == pack(path, tmp_path / "a.xaipack").read_bytes()
    assert merged.shared == merged.cells
    with Store.reading(merged.path) as store:
        assert store.weights("toy0net") == b"weights of toy0net"
        assert store.judgements("judge") == {"f0": (0.5, 0.1)}


def test_every_table_of_the_store_is_merged(tmp_path):
    parts = [build(tmp_path / f"{seed}.sqlite", suite([seed]), day=1 + seed) for seed in (0, 1)]
    for part, seed in zip(parts, (0, 1), strict=True):
        with Store(part) as store:
            store.add_settling(f"toy{seed}net", "key", SettlingFacts())
    expected: dict[str, set] = {}
    for part in parts:
        with Store.reading(part) as store:
            for table in schema.tables(store._db):
                rows = store._db.execute(f"SELECT * FROM {table}").fetchall()
                assert rows, f"{table}: the part has no row that could be lost"
                expected.setdefault(table, set()).update(map(_without_runs(table), rows))
    with Store.reading(merge(tmp_path / "c.sqlite", *parts).path) as store:
        for table, rows in expected.items():
            found = {_without_runs(table)(row) for row in store._db.execute(f"SELECT * FROM {table}")}
            assert found == rows, table


def _without_runs(table):
    """A row without what the merged store numbers anew: positions, runs; of the suite its name; JSON as it reads."""

    def kept(row):
        if table == "meta":
            return row[0]
        if table == "cells":
            row = (*row[: taking.RUN], *row[taking.RUN + 1 :])
        values = row[1:] if table in ("plan", "provenance") else row
        return tuple(
            canonical_json(json.loads(one)) if isinstance(one, str) and one.startswith("{") else one for one in values
        )

    return kept


def test_packs_merged_and_packed_keep_their_bytes(tmp_path):
    parts = [build(tmp_path / f"{seed}.sqlite", suite([seed]), day=1 + seed) for seed in (0, 1)]
    packs = [pack(part, part.with_suffix(".xaipack")) for part in parts]
    stores_ = pack(merge(tmp_path / "stores.sqlite", *parts).path, tmp_path / "c.xaipack")
    merged = merge(tmp_path / "packs.xaipack", *packs).path
    again = pack(merge(tmp_path / "d.sqlite", merged, packs[0]).path, tmp_path / "d.xaipack")
    assert stores_.read_bytes() == merged.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("pack_first", [False, True])
def test_a_store_beside_its_pack_keeps_full_precision(tmp_path, pack_first):
    path = build(tmp_path / "a.sqlite")
    parts = [pack(path, tmp_path / "a.xaipack"), path]
    found = read(merge(tmp_path / "b.sqlite", *(parts if pack_first else parts[::-1])).path)
    for key, values in read(path).relevance.items():
        np.testing.assert_array_equal(found.relevance[key], values)
    with Store.reading(tmp_path / "b.sqlite") as store:
        assert store.weights("toy0net") == b"weights of toy0net"


def moved(row: PlanRow, found: CellResult) -> CellResult:
    return replace(found, relevance=found.relevance + 1e-12) if row.cell == "toy-1-net-saliency" else found


def rescored(row: PlanRow, found: CellResult) -> CellResult:
    values = tuple(replace(m, value=0.5) if m.metric == "contrast" else m for m in found.measurements)
    return replace(found, measurements=values) if row.cell == "toy-1-net-saliency" else found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            moved,
            r"cell 'saliency' on 'net' of 'toy', data seed 1, has one key and two contents: relevance of input 0 is",
        ),
        (rescored, r"contrast is 0\.\d+ in '.*a.sqlite' and 0.5 in '.*b.sqlite': run one of them again, or name whose"),
        (only("f_test", status="unsupported", relevance=None, measurements=()), "status is 'done' in"),
    ],
)
def test_equal_keys_with_other_content_are_one_line(tmp_path, change, words):
    paths = build(tmp_path / "a.sqlite"), build(tmp_path / "b.sqlite", change=change)
    with pytest.raises(InputError, match=words) as raised:
        merge(tmp_path / "c.sqlite", *paths)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "c.sqlite").exists()


@pytest.mark.parametrize("prefer", ["first", "last"])
def test_whose_content_counts_can_be_named(tmp_path, prefer):
    paths = [build(tmp_path / "a.sqlite"), build(tmp_path / "b.sqlite", change=moved, day=2)]
    found = merge(tmp_path / "c.sqlite", *paths, prefer=prefer)
    kept, other = paths if prefer == "first" else paths[::-1]
    merged = read(found.path)
    assert_same_measurements(read(kept), merged)
    assert found.differing == {"cell": 1}
    aside = [record.get("set_aside") for record in merged.provenance]
    assert aside == ([None, 1] if prefer == "first" else [1, None]), other


def test_networks_and_draws_are_compared_before_cells(tmp_path):
    path = build(tmp_path / "a.sqlite")
    for name, kind, words in (
        (
            "n",
            {"model": stores.network("toy1net", test_score=0.71)},
            "network 'net' on 'toy', data seed 1, has one key",
        ),
        (
            "d",
            {"draw": stores.draw("toy", 1, content_hash="other")},
            "draw of 'toy', data seed 1, .*content_hash is 'toy1'",
        ),
    ):
        other = build(tmp_path / f"{name}.sqlite", change=moved)
        with Store(other) as store:
            for key in ("toy1", "toy1net"):
                store._db.execute("DELETE FROM models WHERE key = ?", (key,))
            store.add([], 1, **{"draw": None, **kind})
        with pytest.raises(InputError, match=words):
            merge(tmp_path / "c.sqlite", path, other)


def test_costs_are_not_compared_and_stay_those_of_the_first(tmp_path):
    paths = build(tmp_path / "a.sqlite"), build(tmp_path / "b.sqlite", cost=7.0, day=2, processor="Two")
    for order, cost in ((paths, 0.1), (paths[::-1], 7.0)):
        found = read(merge(tmp_path / f"{cost}.sqlite", *order).path)
        assert set(found.cells["explain_cpu"]) == {cost}
        assert len(found.provenance) == 2


def test_a_result_takes_the_place_of_none(tmp_path):
    failed = only("lrp", status="failed", reason="no", relevance=None, measurements=())
    late = only("lrp", status="timed_out", costs=Costs(explain_wall=5.0), relevance=None, measurements=())
    later = only("lrp", status="timed_out", costs=Costs(explain_wall=9.0), relevance=None, measurements=())
    paths = {name: build(tmp_path / f"{name}.sqlite", change=change, day=day) for day, (name, change) in
             enumerate({"done": None, "failed": failed, "late": late, "later": later}.items(), 1)}  # fmt: skip
    for i, (one, two) in enumerate(itertools.permutations(paths, 2)):
        found = read(merge(tmp_path / f"m{i}.sqlite", paths[one], paths[two]).path)
        cells = found.cells[found.cells["explainer"] == "lrp"]
        best = max(one, two, key=("failed", "late", "later", "done").index)
        assert set(cells["status"]) == {{"late": "timed_out", "later": "timed_out"}.get(best, best)}
        assert set(cells["explain_wall"]) == {{"late": 5.0, "later": 9.0}.get(best, 0.1)}
        assert all("set_aside" not in record for record in found.provenance)


def test_what_one_part_knows_more_of_a_cell_is_added(tmp_path):
    paths = [build(tmp_path / f"{name}.sqlite") for name in "ab"]
    cell = "toy-0-net-lrp"
    with Store(paths[0]) as store:
        store.add_followup("sanity", "", "sanity_", {cell: [Measurement("sanity_top", None, 1, "died")]})
    with Store(paths[1]) as store:
        store.add_followup("sanity", "key", "sanity_", {cell: [Measurement("sanity_top", 0.25, 1)]})
        draw = stores.draw("toy", 0, metrics={"auroc": "1", "contrast": "1", "new": "1"}, content_hash="toy0")
        store.add_scores(draw, {cell: {"new": "1"}}, {cell: [Measurement("new", 0.75)]})
    for order in (paths, paths[::-1]):
        path = merge(tmp_path / f"{order[0].stem}{order[1].stem}.sqlite", *order).path
        table = read(path).measurements
        own = table[table["cell"] == cell].set_index("metric")["value"]
        assert (own["sanity_top"], own["new"]) == (0.25, 0.75)
        assert read(path).draws["toy0"].metrics["new"] == "1"
        with Store.reading(path) as store:
            assert store.followed("sanity", "key", [cell]) == {cell}
            assert store.scored()[cell]["new"] == "1"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "another"}, "name is 'hand' in '.*' and 'another' in '.*': merge parts of one suite only"),
        ({"folds": 5}, "folds is 0 in .* and 5 in"),
        ({"models": [{"label": "net", "version": 2}]}, "models: 'net' is not the same: fields is "),
        ({"limits": {"seconds": 3.0}}, "limits.memory is None .* --prefer first or last"),
    ],
)
def test_parts_of_another_suite_are_refused(tmp_path, changed, words):
    other = tmp_path / "b.sqlite"
    with Store(other) as store:
        store.begin(suite(**changed), [], {})
    with pytest.raises(InputError, match=words):
        merge(tmp_path / "c", build(tmp_path / "a.sqlite"), other)
    if "limits" in changed:
        assert read(merge(tmp_path / "c", tmp_path / "a.sqlite", other, prefer="last").path).suite["limits"] == {
            "seconds": 3.0
        }


def on_two_devices(tmp_path, **recorded):
    """Saliency on the CPU, LRP and the F-test on a card, of the same networks. ``recorded``: of what trained them."""
    parts = [
        build(tmp_path / "cpu.sqlite", suite([0, 1], ["saliency"]), cost=1.0),
        build(tmp_path / "card.sqlite", suite([0, 1], ["lrp", "f_test"]), cost=5.0, day=2, device=CARD),
    ]
    for path in parts if recorded else ():
        with Store(path) as store:
            machine = canonical_json(hand_made.RECORD | recorded)
            store._db.execute("UPDATE models SET content = json_set(content, '$.trained_on', json(?))", (machine,))
    return read(merge(tmp_path / "both.sqlite", *parts).path)


def test_devices_are_merged_and_their_costs_kept_apart(tmp_path):
    both = on_two_devices(tmp_path)
    assert both.devices == ["cpu", CARD]
    cpu, card = both.machines
    assert card == f"{cpu}, {CARD}"
    assert set(both.leaderboard()["name"]) == {"saliency", "lrp", "f_test"}, "scores are pooled"
    frame = tables.cost(both).set_index(["entrant", "machine"])
    assert frame.loc[("saliency on net", cpu), "given_cpu"] == 1.0
    assert frame.loc[("lrp on net", card), "given_cpu"] == 5.0
    networks = frame.drop(index=("f_test", card))
    assert networks[["train_cpu", "end_cpu"]].isna().all(axis=None), "nobody knows where these were trained"
    assert frame.loc[("f_test", card), "end_cpu"] == 5.0
    assert tables.networks(both)["train_cpu"].isna().all()
    numbers = both.table()
    machines = numbers.groupby("explainer")["machine"].agg(set).to_dict()
    assert (machines["saliency"], machines["lrp"]) == ({cpu}, {card})
    assert "machine" not in read(tmp_path / "cpu.sqlite").table()
    assert Board.of(both).costs == {"lrp": 5.0, "f_test": 5.0}
    assert Board.of(both).machines == (card, cpu), "the costs are of the first"
    findings = Cost(Frames(both)).findings()
    assert f"12 explanations on {card}. Made elsewhere: 8 on {cpu} (" in findings[-2]
    assert "8 explanations had a network that another machine trained, or it is not known" in findings[-1]


def test_training_counts_on_the_device_that_is_recorded(tmp_path):
    both = on_two_devices(tmp_path, device=CARD)
    cpu, card = both.machines
    assert set(both.cells.loc[both.cells["model"] != "", "trained_on"]) == {card}
    frame = tables.cost(both).set_index(["entrant", "machine"])
    assert math.isnan(frame.loc[("saliency on net", cpu), "train_cpu"])
    assert frame.loc[("lrp on net", card), "end_cpu"] == frame.loc[("lrp on net", card), "train_cpu"] + 5.0
    assert tables.networks(both)["train_cpu"].notna().all()
    assert Board.of(both).costs.keys() == {"lrp", "f_test", "net", "plain"}
    assert len(Cost(Frames(both)).findings()) == 2
    assert Frames(both).stability_over_rows.empty, "all were trained here"


def test_where_a_network_was_trained_is_no_difference(tmp_path):
    """As its times: those of the first part are kept, with their machine."""
    parts = []
    for name, device in (("a", "cpu"), ("b", CARD)):
        parts.append(build(tmp_path / f"{name}.sqlite", suite([0]), device=device))
        with Store(parts[-1]) as store:
            store._db.execute("UPDATE models SET content = json_set(content, '$.trained_on.device', ?)", (device,))
    both = read(merge(tmp_path / "both.sqlite", *parts).path)
    assert {facts.trained_on["device"] for facts in both.models.values()} == {"cpu"}


def test_other_metrics_are_refused(tmp_path):
    path = build(tmp_path / "a.sqlite")
    other = build(tmp_path / "d.sqlite", suite([5]))
    with Store(other) as store:
        for row in hand_made.plan(suite([5])):
            store._mark([row.cell], {"auroc": "2", "contrast": "1"})
    with pytest.raises(InputError, match=r"the metric 'auroc' scored .* with other code"):
        merge(tmp_path / "c", path, other)


@pytest.mark.parametrize("number", EARLIER)
def test_an_earlier_schema_is_migrated(tmp_path, number):
    path = earlier(number, tmp_path)
    before = path.read_bytes()
    found = merge(tmp_path / "new", path, path)
    assert_same_measurements(read(path), read(found.path))
    assert path.read_bytes() == before


def test_what_is_there_is_never_overwritten(tmp_path):
    path = build(tmp_path / "results.sqlite")
    for out in (tmp_path, path):
        with pytest.raises(InputError, match="already"):
            merge(out, path, path)
    with pytest.raises(InputError, match="two or more"):
        merge(tmp_path / "b", path)
    with pytest.raises(InputError, match="cannot write"):
        merge(path / "b", path, path)
    with pytest.raises(InputError, match="expected first or last"):
        merge(tmp_path / "b", path, path, prefer="mine")


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [("ac", "abc", "abc"), ("ab", "c", "abc"), ("ab", "ca", "cab"), ("", "ab", "ab"), ("abd", "cd", "abcd")],
)
def test_lists_become_one_in_their_order(first, second, both):
    assert whole.together(first, second) == list(both)


def test_null_runs_belong_to_the_first_data_seed():
    rows = [PlanRow(f"{seed}{number}", str(seed), "", "toy", "", "f_test", seed, 0, -1, number)
            for seed in (5, 0) for number in (-1, 0, 1)]  # fmt: skip
    content = suite([0, 5])
    found, left_out = whole.plan([("a", rows)], content)
    assert [row.cell for row in found] == ["0-1", "5-1", "00", "01"]
    assert left_out == 2


def test_the_command(tmp_path, capsys):
    paths = build(tmp_path / "a.sqlite", suite([0])), build(tmp_path / "b.sqlite", suite([1]), day=2)
    code, out, _ = call("merge", tmp_path / "c.xaipack", *paths, capsys=capsys)
    assert (code, out.splitlines()[0]) == (
        0,
        f"written: {tmp_path / 'c.xaipack'} (32 cells, 0 of them in several parts)",
    )
    assert packing.is_pack(tmp_path / "c.xaipack")
    for arguments in (("d", *paths, "--prefer", "both"), ("d", paths[0], "nowhere"), ("c.xaipack", paths[0])):
        code, _, err = call("merge", *arguments, capsys=capsys)
        assert (code, len(err.splitlines())) == (2, 1)
