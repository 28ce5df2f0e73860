"""The file of the results: made at once or not at all, read without a trace, migrated, forgotten in parts."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import shutil
import sqlite3
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests import stores
from xai_bench import forget, read
from xai_bench.errors import InputError
from xai_bench.results import opening, schema
from xai_bench.results.records import CellResult
from xai_bench.results.store import Store

EARLIER = (1, 2, 3, 4)
"""Schemas before today's; ``data/schema_N.sqlite.gz`` was written by the code of its time, then given small pages."""


def earlier(number: int, folder: Path) -> Path:
    """A copy of the store of an earlier schema, in a folder as a run leaves it."""
    path = folder / "runs" / "small" / "results.sqlite"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.decompress((Path(__file__).parent / "data" / f"schema_{number}.sqlite.gz").read_bytes()))
    return path


def traces(folder: Path) -> dict[str, tuple[bytes, int]]:
    """File to its bytes and the time of its last change."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.fixture
def stored(tmp_path):
    return stores.build(tmp_path / "runs" / "hand" / "results.sqlite")


def assert_same(first, second):
    pd.testing.assert_frame_equal(first.table(), second.table(), check_exact=True)
    pd.testing.assert_frame_equal(first.cells, second.cells, check_exact=True)
    assert (first.draws, first.models, first.metrics) == (second.draws, second.models, second.metrics)
    assert (first.suite, first.provenance) == (second.suite, second.provenance)
    assert first.relevance.keys() == second.relevance.keys()
    for key, values in first.relevance.items():
        np.testing.assert_array_equal(values, second.relevance[key])


# Making a store


def make(path, barrier, queue):
    barrier.wait()
    try:
        db = opening.for_writing(path)
        with schema.transaction(db):
            db.execute("INSERT OR REPLACE INTO meta VALUES ('who', 'me')")
        opening.finish(db)
        queue.put("ok")
    except Exception as error:
        queue.put(f"{type(error).__name__}: {error}")


def test_processes_that_make_one_store_at_once_all_succeed(tmp_path):
    context, found = multiprocessing.get_context("fork"), []
    for trial in range(6):
        barrier, queue = context.Barrier(3), context.Queue()
        path = tmp_path / str(trial) / "results.sqlite"
        processes = [context.Process(target=make, args=(path, barrier, queue)) for _ in range(3)]
        for process in processes:
            process.start()
        found += [queue.get(timeout=60) for _ in processes]
        for process in processes:
            process.join(60)
    assert set(found) == {"ok"}


def test_a_store_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "STATEMENTS", (*schema.STATEMENTS[:4], "CREATE NONSENSE"))
    with pytest.raises(sqlite3.OperationalError):
        Store(tmp_path / "results.sqlite")
    monkeypatch.undo()
    with pytest.raises(InputError, match="no results"):
        read(tmp_path)
    with Store(tmp_path / "results.sqlite") as store:
        assert store.meta("schema_version") == str(schema.VERSION)


def test_a_finished_store_is_one_file(stored):
    assert [path.name for path in stored.parent.iterdir()] == ["results.sqlite"]
    assert stored.read_bytes()[18:20] != opening.WAL, "which could not be read where no log can be made beside it"


# Reading leaves no trace


@contextmanager
def nobody():
    """As a user without rights, where the tests have all."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def locked():
    """A folder that can be made read-only for everybody, outside of the tests' own, which is closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o755)
    shutil.rmtree(folder)


def close_off(path: Path) -> None:
    for part in path.parent.iterdir():
        part.chmod(0o444)
    path.parent.chmod(0o555)


@pytest.mark.skipif(os.name != "posix", reason="needs the rights of POSIX")
@pytest.mark.parametrize("number", [*EARLIER, 3])
def test_a_store_that_is_read_only_is_read(locked, number):
    path = stores.build(locked / "runs" / "hand" / "results.sqlite") if number == 3 else earlier(number, locked)
    before = read(path)
    close_off(path)
    files = traces(path.parent)
    with nobody():
        if os.geteuid():
            with pytest.raises(PermissionError):
                (path.parent / "x").touch()
        assert_same(before, read(path.parent))
        with pytest.raises(InputError, match="cannot write") as raised:
            forget(path.parent, explainers=["random"])
        assert "\n" not in str(raised.value)
    assert traces(path.parent) == files


def left_behind(path: Path, *, shared: bool) -> None:
    """A process died with changes beside the file; ``shared``: and with the index of these."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    with db:
        db.execute("UPDATE cells SET reason = 'from the log'")
    copies = {end: Path(f"{path}{end}").read_bytes() for end in ("", "-wal", "-shm")}
    db.close()
    for end, content in copies.items():
        if content and (shared or end != "-shm"):
            Path(f"{path}{end}").write_bytes(content)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("closed", [True, False])
def test_what_a_process_that_died_left_behind_is_read(locked, shared, closed):
    path = stores.build(locked / "runs" / "hand" / "results.sqlite")
    left_behind(path, shared=shared)
    if closed:
        close_off(path)
    files = traces(path.parent)
    with nobody() if closed else contextmanager(lambda: iter([None]))():
        assert set(read(path).cells["reason"]) == {"from the log"}
    after = traces(path.parent)
    index = f"{path.name}-shm"  # A live index holds the marks of its readers.
    assert {name: found for name, found in after.items() if name != index} == {
        name: found for name, found in files.items() if name != index
    }


def test_a_store_is_read_while_it_is_written(stored):
    with Store(stored) as store:
        store.add([stores.cell("new")], 1)
        assert "new" in read(stored).relevance
        with Store.reading(stored) as other, pytest.raises(InputError, match="cannot write"), other:
            other.set_meta("a", "b")


def test_reading_does_not_change_a_store_that_is_open_in_another_version(stored):
    """The header of a file in which changes are kept in a log, without one: a store of an earlier version at rest."""
    db = sqlite3.connect(stored)
    db.execute("PRAGMA journal_mode=WAL")
    db.close()
    files = traces(stored.parent)
    assert len(read(stored).cells) == len(stores.rows())
    assert traces(stored.parent) == files


# What cannot be read or written is one line, and stays as it is


def empty(path):
    path.write_bytes(b"")


def nothing_in_it(path):
    db = sqlite3.connect(path)
    db.execute("VACUUM")
    db.close()


def words(path):
    path.write_text("this is not a database, and long enough to be seen as none" * 20)


def foreign(path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE meta (name TEXT, value TEXT)")
    db.execute("CREATE TABLE cheese (name TEXT)")
    db.commit()
    db.close()


def newer(path):
    stores.build(path)
    db = sqlite3.connect(path)
    db.execute("UPDATE meta SET value = ? WHERE name = 'schema_version'", (str(schema.VERSION + 1),))
    db.commit()
    db.close()


def cut(path):
    stores.build(path)
    path.write_bytes(path.read_bytes()[:6000])


def scratched(path):
    stores.build(path)
    content = bytearray(path.read_bytes())
    content[100:4096] = os.urandom(3996)
    path.write_bytes(bytes(content))


def another_meta(path):
    """Another program has a table of that name, with other columns."""
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE meta (a)")
    db.commit()
    db.close()


BAD = [
    (another_meta, "not a store of results"),
    (words, "not a store of results"),
    (foreign, "not a store of results"),
    (newer, "upgrade xai-bench"),
    (cut, "damaged"),
    (scratched, "damaged"),
]


@pytest.mark.parametrize(("spoil", "message"), [*BAD, (empty, "empty"), (nothing_in_it, "empty")])
def test_a_file_that_is_no_store_is_one_line_and_stays(tmp_path, spoil, message):
    path = tmp_path / "results.sqlite"
    spoil(path)
    files = traces(tmp_path)
    for place in (path, tmp_path):
        with pytest.raises(InputError, match=message) as raised:
            read(place)
        assert "\n" not in str(raised.value)
    assert traces(tmp_path) == files
    with pytest.raises(InputError, match=message):
        forget(tmp_path, datasets=["toy"])
    assert traces(tmp_path) == files


@pytest.mark.parametrize(("spoil", "message"), BAD)
def test_nothing_is_written_to_a_file_that_is_no_store(tmp_path, spoil, message):
    path = tmp_path / "results.sqlite"
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=message) as raised, Store(path) as store:
        store.results()
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("spoil", [empty, nothing_in_it])
def test_an_empty_file_becomes_a_store_when_it_is_written(tmp_path, spoil):
    spoil(tmp_path / "results.sqlite")
    stores.build(tmp_path / "results.sqlite")
    assert len(read(tmp_path).cells) == len(stores.rows())


def test_a_damaged_text_is_one_line(stored):
    db = sqlite3.connect(stored)
    with db:
        db.execute("UPDATE models SET content = substr(content, 1, 20)")
    db.close()
    with pytest.raises(InputError, match="damaged") as raised:
        read(stored)
    assert "\n" not in str(raised.value)


def test_damage_deep_in_a_file_is_one_line(tmp_path):
    path = stores.build(tmp_path / "results.sqlite")
    content = bytearray(path.read_bytes())
    for start in range(4096 * 3, len(content) - 4096, 4096):
        content[start : start + 2048] = bytes(2048)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="damaged") as raised:
        read(tmp_path)
    assert "\n" not in str(raised.value)


# Earlier schemas


def old_rows(path: Path) -> dict[str, list[tuple]]:
    db = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    db.close()
    return found


@pytest.mark.parametrize("number", EARLIER)
def test_an_earlier_schema_is_read_with_all_its_rows(tmp_path, number):
    path = earlier(number, tmp_path)
    files, rows = traces(path.parent), old_rows(path)
    results = read(tmp_path)
    assert traces(path.parent) == files
    assert len(results.cells) + len(results.null_cells) == len(rows["plan"])
    assert results.cells["status"].isin(["done", "unsupported"]).all()
    assert len(results._measurements) == len(rows["measurements"])
    assert len(results.relevance) == sum(row[4] is not None for row in rows["cells"])
    assert (len(results.draws), len(results.models)) == (len(rows["draws"]), len(rows["models"]))
    assert next(iter(results.draws.values())).d == 4
    assert results.cells["test_score"].notna().any()


@pytest.mark.parametrize("number", EARLIER)
def test_an_earlier_schema_is_migrated_in_place_when_it_is_written(tmp_path, number):
    path = earlier(number, tmp_path)
    before, rows = read(path), old_rows(path)
    with Store(path) as store:
        assert store.meta("schema_version") == str(schema.VERSION)
        weights = [store.weights(key) for key in before.models]
    assert None not in weights
    assert_same(before, read(path))
    again = old_rows(path)
    for name, table in (("retention", "retained"), ("sanity", "randomised")):
        expected = [(cell, name, key, "") for cell, key in rows.pop(table, ())]
        expected += [row for row in rows.get("followed", ()) if row[1] == name]
        assert [row for row in again["followed"] if row[1] == name] == sorted(expected)
    for table, found in rows.items():
        expected = [row for row in found if row[0] != "schema_version"]
        kept = [row[: len(found[0])] for row in again[table] if row[0] != "schema_version"]
        assert kept == expected, table


@pytest.mark.parametrize("number", EARLIER)
def test_a_migration_that_fails_changes_nothing(tmp_path, number, monkeypatch):
    def broken(db):
        db.execute("DELETE FROM cells")
        raise RuntimeError("on purpose")

    path = earlier(number, tmp_path)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[:-1], broken))
    with pytest.raises(RuntimeError):
        Store(path)
    monkeypatch.undo()
    assert len(read(path).relevance) > 0


def test_values_that_an_earlier_version_should_not_have_stored(tmp_path):
    """R2 = -inf in the facts of a network, NaN without a reason, numpy's single precision as bytes."""
    path = earlier(2, tmp_path)
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE models SET content = json_set(content, '$.test_score', 12345)")
        db.execute("UPDATE models SET content = replace(content, '12345', '-Infinity')")
        db.execute("UPDATE measurements SET value = ? WHERE metric = 'auroc'", (memoryview(np.float32(0.5)),))
        db.execute("UPDATE measurements SET value = ? WHERE metric = 'average_precision'", (memoryview(np.int32(1)),))
        db.execute("UPDATE measurements SET value = -9e999 WHERE metric = 'retention_bayes'")
        db.execute("UPDATE measurements SET value = NULL WHERE metric = 'contrast'")
    db.close()
    for written in (False, True):
        if written:
            with Store(path) as store:
                assert all(seconds for seconds, _ in store.train_seconds().values())
        results = read(path)
        (model,) = results.models.values()
        assert model.test_score is None
        assert model.reasons == {"test_score": "the value is -inf"}
        found = results.measurements.set_index("metric")
        assert set(found.loc[["auroc"], "value"]) == {0.5}
        for metric in ("average_precision", "retention_bayes", "contrast"):
            assert found.loc[[metric], "value"].isna().all()
            assert (found.loc[[metric], "reason"] != "").all()
        results.table()


# Where results lie


def test_a_run_is_found_by_its_file_its_folder_and_the_folder_above(stored, tmp_path):
    for place in (stored, stored.parent, stored.parent.parent, tmp_path, str(tmp_path)):
        assert opening.locate(place) == stored
    stores.build(tmp_path / "runs" / "second" / "results.sqlite")
    with pytest.raises(InputError, match=r"several runs: name one of .*hand, .*second$") as raised:
        read(tmp_path)
    assert "\n" not in str(raised.value)
    for place in (tmp_path / "runs" / "absent", tmp_path / "nowhere"):
        with pytest.raises(InputError, match="no results in"):
            read(place)


# Forgetting


def test_forgetting_takes_all_that_belongs_to_the_cells_and_nothing_else(stored):
    before, rows = read(stored), stores.counts(stored)
    found = forget(stored, datasets=["toy"], models=["plain"])
    assert (found.cells, found.networks, found.draws) == (6, 2, 0)
    assert (
        str(found)
        == "6 cells, 18 scores, 2 networks, 0 draws; explainers lrp, random, saliency; models plain; datasets toy"
    )
    after = read(stored)
    gone = (before.cells["dataset"] == "toy") & (before.cells["model"] == "plain")
    assert (after.cells.loc[gone, "status"] == "missing").all()
    pd.testing.assert_frame_equal(after.cells[~gone], before.cells[~gone], check_exact=True, check_dtype=False)
    assert after.models.keys() == {
        key for key in before.models if not key.startswith("toy") or not key.endswith("plain")
    }
    left = stores.counts(stored)
    assert rows["measurements"] - left["measurements"] == found.measurements
    assert rows["followed"] - left["followed"] == 3
    assert left["judgements"] == rows["judgements"], "other cells of the draw were judged too"
    assert left["plan"] == rows["plan"]


def test_networks_and_draws_that_other_cells_use_stay(stored):
    before = read(stored)
    found = forget(stored, explainers=["saliency"])
    assert (found.cells, found.networks, found.draws) == (8, 0, 0)
    after = read(stored)
    assert (after.models, after.draws) == (before.models, before.draws)


def test_a_draw_goes_with_its_last_cell(stored):
    found = forget(stored, datasets=["toy"])
    assert (found.cells, found.networks, found.draws) == (14, 4, 2)
    assert read(stored).draws.keys() == {"other0", "other1"}
    assert stores.counts(stored)["judgements"] == 1
    assert len(read(stored).provenance) == 1
    forget(stored, datasets=["other"])
    assert read(stored).provenance == [], "a run of which nothing is left"
    assert str(forget(stored, datasets=["toy"])) == "nothing that is named is stored"


def test_forgetting_needs_names_that_exist(stored):
    before = stored.read_bytes()
    with pytest.raises(InputError, match="name what is to be forgotten"):
        forget(stored)
    with pytest.raises(InputError, match="did you mean saliency"):
        forget(stored, explainers=["salency"])
    assert stored.read_bytes() == before


# Taking from another store, and networks without weights


@pytest.mark.parametrize("number", EARLIER)
def test_cells_are_taken_from_an_earlier_schema(tmp_path, number):
    path = earlier(number, tmp_path)
    rows = old_rows(path)
    names = [name for name in stores.PlanRow.__annotations__ if number > 1 or name != "permutation"]
    plan = [stores.PlanRow(**dict(zip(names, row[1:], strict=True))) for row in rows["plan"]]
    files = traces(path.parent)
    with Store(tmp_path / "here.sqlite") as store, Store.reading(path) as other:
        store.begin(other.suite(), plan, {})
        assert store.take(other, plan) == len(rows["cells"])
        assert store.take(other, plan) == 0
        pd.testing.assert_frame_equal(store.results().table(), read(path).table(), check_exact=True)
        assert all(store.weights(key) for key in store.results().models)
    assert traces(path.parent) == files


def test_a_network_that_came_without_weights_gets_those_that_are_trained():
    with Store.in_memory() as store:
        known = stores.network("a")
        store.add([], 0, None, type(known)("a", known.facts, b""))
        assert store.weights("a") is None
        assert store.trained() == set()
        store.add([], 0, None, known)
        assert store.weights("a") == known.weights
        store.add([], 0, None, type(known)("a", known.facts, b"others"))
        assert store.weights("a") == known.weights, "one that is stored stays"


def test_settled_looks_at_the_keys_that_are_asked_for(stored):
    with Store.reading(stored) as store:
        keys = store.settled()
        some = [*sorted(keys)[:3], "absent"]
        assert store.settled(among=some) == keys & set(some)
        assert store.settled(5.0, among=[]) == set()


# Checksums, and damage


def turned(path, table, column):
    """One bit of the first blob of a column is turned, as a disk would."""
    db = sqlite3.connect(path)
    with db:
        key, blob = db.execute(f"SELECT key, {column} FROM {table} WHERE length({column}) > 0 LIMIT 1").fetchone()
        db.execute(f"UPDATE {table} SET {column} = ? WHERE key = ?", (bytes([blob[0] ^ 1]) + blob[1:], key))
    db.close()
    return key


def test_a_bit_that_turned_in_a_relevance_is_damage(stored):
    key = turned(stored, "cells", "relevance")
    with pytest.raises(InputError, match=f"damaged .the relevances of {key[:12]} are not those") as raised:
        read(stored)
    assert "\n" not in str(raised.value)
    with Store(stored) as store, pytest.raises(InputError, match="damaged"):
        store.relevances([key])


def test_a_bit_that_turned_in_weights_is_damage_when_they_are_used(stored):
    key = turned(stored, "models", "weights")
    read(stored)
    with Store(stored) as store, pytest.raises(InputError, match=f"damaged .the weights of {key[:12]}"):
        store.weights(key)


@pytest.mark.parametrize("number", EARLIER)
def test_an_earlier_store_gets_checksums(tmp_path, number):
    path = earlier(number, tmp_path)
    with Store(path) as store:
        keys = {row[0] for row in store._db.execute("SELECT key FROM checksums")}
        sealed = {row[0] for row in store._db.execute("SELECT key FROM cells WHERE relevance IS NOT NULL")}
        assert keys == sealed | {row[0] for row in store._db.execute("SELECT key FROM models")}


def test_a_result_that_is_stored_again_has_the_checksum_of_the_new_one(stored):
    (row, *_) = [row for row in stores.rows() if row.explainer == "saliency"]
    with Store(stored) as store:
        store.add([stores.cell(row.cell, np.arange(6.0))], 1)
        assert store.relevances([row.cell])[row.cell].tolist() == [0, 1, 2, 3, 4, 5]
        store.add([CellResult(row.cell, "unsupported", "no more")], 1)
        assert not store._db.execute("SELECT * FROM checksums WHERE key = ?", (row.cell,)).fetchall()
        store.forget(store.named({"explainers": ["saliency", "lrp", "random"]}))
        left = {row[0] for row in store._db.execute("SELECT key FROM checksums")}
        assert left == {key for (key,) in store._db.execute("SELECT key FROM cells WHERE relevance IS NOT NULL")}


def test_a_page_of_zeros_is_found_when_a_store_is_opened(tmp_path):
    """Its content would not be read by any of the first queries."""
    path = stores.build(tmp_path / "results.sqlite")
    db = sqlite3.connect(path)
    (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'judgements'").fetchone()
    db.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = bytes(4096)
    path.write_bytes(bytes(content))
    for action in (lambda: Store.reading(path), lambda: Store(path)):
        with pytest.raises(InputError, match="damaged") as raised:
            action()
        assert "\n" not in str(raised.value)


def test_a_full_disk_is_one_line_and_loses_nothing(stored):
    def fill():
        with Store(stored) as store:
            (pages,) = store._db.execute("PRAGMA page_count").fetchone()
            store._db.execute(f"PRAGMA max_page_count = {pages}")
            for i in range(2000):
                store.add([stores.cell(f"further {i}", np.ones(100))], 1)

    before = read(stored)
    with pytest.raises(InputError, match=r"cannot write results to .*full") as raised:
        fill()
    assert "\n" not in str(raised.value)
    after = read(stored)
    pd.testing.assert_frame_equal(before.cells, after.cells)
    assert before.relevance.keys() <= after.relevance.keys()
