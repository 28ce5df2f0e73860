"""The store of a run: one SQLite file, written by the parent process only, one transaction a block.

``Store`` writes and looks up; ``Results`` is what everybody else reads: tidy tables and relevance vectors of
the cells that the stored plan asks for.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.component import canonical_json
from xai_bench.errors import InputError
from xai_bench.results import checksums, gate, lock, opening, packing, taking
from xai_bench.results.frames import Results
from xai_bench.results.records import (
    SETTLED,
    CellResult,
    DrawFacts,
    DrawRecord,
    Facts,
    Held,
    Measurement,
    MetricFacts,
    ModelFacts,
    ModelRecord,
    PlanRow,
    SettlingFacts,
)
from xai_bench.results.schema import transaction
from xai_bench.results.taking import Forgotten
from xai_bench.suites.suite import LONGEST_NAME, NAME

MODEL = (
    "INSERT INTO models VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
    "SET content = excluded.content, weights = excluded.weights WHERE length(models.weights) = 0"
)
"""A network is stored once; one that is known without its weights gets them when it is trained here."""
AT_ONCE = 20_000
"""Rows that are fetched together."""
CELLS = (
    "SELECT key, status, reason, costs, (SELECT count(*) FROM provenance WHERE id < cells.provenance) AS run FROM cells"
)
"""With the number of the run that measured a cell, from 0, in the order of ``Store.provenance``."""
ON_DEVICE = "SELECT id FROM provenance WHERE coalesce(json_extract(content, '$.device'), 'cpu') = ?"
"""The records of the runs on one device."""


class Store:
    """The store at ``path``, made if it is not there, brought up to date if it is of an earlier schema.

    Use it as a context manager. Everything that is stored passes the gate. ``Store.reading`` changes nothing.

    Raises
    ------
    InputError
        If the place cannot be written, or the file is not a store, is damaged, or has a newer schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = opening.for_writing(path)
        self._close: Callable[[sqlite3.Connection], None] = opening.finish

    @classmethod
    def reading(cls, place: str | Path) -> Store:
        """The results in a folder, a file or a pack; no file is changed.

        Raises
        ------
        InputError
            If there are none, or they cannot be read.
        """
        path = opening.locate(place)
        return cls._of(packing.unpacked(path) if packing.is_pack(path) else opening.for_reading(path), path)

    @classmethod
    def in_memory(cls) -> Store:
        """A new store that no file holds."""
        return cls._of(opening.in_memory(), Path(":memory:"))

    @classmethod
    def _of(cls, db: sqlite3.Connection, path: Path) -> Store:
        store = cls.__new__(cls)
        store.path, store._db, store._close = path, db, sqlite3.Connection.close
        return store

    def __enter__(self) -> Store:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._close(self._db)
        told = opening.in_words(error, self.path) if isinstance(error, sqlite3.Error) else None
        if told is not None:
            raise told from None

    # -- writing -----------------------------------------------------------------------------------

    def set_meta(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def begin(
        self,
        suite: Mapping[str, Any],
        plan: Iterable[PlanRow],
        provenance: Mapping[str, Any],
        metrics: Iterable[MetricFacts] = (),
    ) -> int:
        """Store the suite, its plan and what its metrics declare (in place of earlier ones), and a new provenance.

        Returns the number of the provenance.
        """
        with transaction(self._db):
            self.set_meta("suite", gate.json_text(suite))
            self._db.execute("DELETE FROM plan")
            rows = ((i, *vars(row).values()) for i, row in enumerate(plan))
            self._db.executemany("INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            for facts in map(gate.facts, metrics):
                self._db.execute("INSERT OR REPLACE INTO metrics VALUES (?, ?)", (facts.name, _json(facts)))
            return self.record(provenance)

    def record(self, provenance: Mapping[str, Any]) -> int:
        """Store what is recorded of a run, or of a machine that computes for one; returns its number."""
        cursor = self._db.execute("INSERT INTO provenance (content) VALUES (?)", (gate.json_text(provenance),))
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def count(self, provenance_id: int) -> int:
        """How many cells a run, or a machine, has measured that are stored."""
        query = "SELECT count(*) FROM cells WHERE provenance = ?"
        return int(self._db.execute(query, (provenance_id,)).fetchone()[0])

    def end(self, provenance_id: int, provenance: Mapping[str, Any]) -> None:
        """Complete a run's provenance."""
        self._db.execute("UPDATE provenance SET content = ? WHERE id = ?", (gate.json_text(provenance), provenance_id))

    def add(
        self,
        cells: Iterable[CellResult],
        provenance_id: int,
        draw: DrawRecord | None = None,
        model: ModelRecord | None = None,
    ) -> list[CellResult]:
        """Store one block in one transaction; returns the cells as they are stored.

        A result that the gate refuses is a failed cell. A failed cell takes the place of nothing but a failed cell.
        """
        passed = [gate.cell(cell) for cell in cells]
        with transaction(self._db):
            if draw is not None:
                row = (draw.key, _json(gate.facts(draw.facts)))
                self._db.execute("INSERT OR REPLACE INTO draws VALUES (?, ?)", row)
            if model is not None:
                self._db.execute(MODEL, (model.key, _json(gate.facts(model.facts)), model.weights))
                checksums.seal(self._db, (), [model.key])
            keys = [(cell.key,) for cell in passed]
            self._db.executemany("DELETE FROM measurements WHERE cell = ?", keys)
            self._db.executemany("DELETE FROM checksums WHERE key = ?", keys)
            rows = [_row_of(cell, provenance_id) for cell in passed]
            self._db.executemany("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._insert((cell.key, m) for cell in passed for m in cell.measurements)
            if draw is not None:
                self._mark([cell.key for cell in passed if cell.status in SETTLED], draw.facts.metrics)
            checksums.seal(self._db, [cell.key for cell in passed], ())
        return passed

    def add_followup(
        self, name: str, key: str, metrics: str, measurements: Mapping[str, Iterable[Measurement]], judge: str = ""
    ) -> None:
        """Store what a follow-up measured of cells, in place of all their metrics that begin with ``metrics``.

        ``key``: what the numbers depend on; "" for what failed, which counts as not followed. ``judge``: whose
        judgements are theirs, and are forgotten with the last of them.
        """
        with transaction(self._db):
            for cell, values in measurements.items():
                query = "DELETE FROM measurements WHERE cell = ? AND substr(metric, 1, ?) = ?"
                self._db.execute(query, (cell, len(metrics), metrics))
                self._measure(cell, values)
                self._db.execute("INSERT OR REPLACE INTO followed VALUES (?, ?, ?, ?)", (cell, name, key, judge))

    def add_settling(self, network: str, key: str, facts: SettlingFacts) -> None:
        """Store how far the relevance of a network has settled, in place of what was known of it.

        ``key``: what the facts depend on; "" for what failed, which is tried again.
        """
        row = (network, key, _json(gate.facts(facts)))
        self._db.execute("INSERT OR REPLACE INTO settling VALUES (?, ?, ?)", row)

    def add_judgements(self, judge: str, judgements: Mapping[str, tuple[float, float]]) -> None:
        """Store the (score, standard error) that one judge on one draw reached on every mask, if they are finite."""
        numbers = [(mask, [gate.number(one)[0] for one in found]) for mask, found in judgements.items()]
        rows = [(judge, mask, *found) for mask, found in numbers if None not in found]
        with transaction(self._db):
            self._db.executemany("INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?)", rows)

    def add_scores(
        self,
        draw: DrawRecord,
        metrics: Mapping[str, Mapping[str, str]],
        scores: Mapping[str, Iterable[Measurement]],
    ) -> None:
        """Store scores of cells of one draw, in place of those by the same ``metrics``.

        A score that is no number is None with a reason. ``metrics``: cell to the names and identities of the metrics
        that scored it now.
        """
        with transaction(self._db):
            row = (_json(gate.facts(draw.facts)), draw.key)
            self._db.execute("UPDATE draws SET content = ? WHERE key = ?", row)
            for cell, identities in metrics.items():
                rows = [(cell, name) for metric in identities for name in (metric, f"{metric}_se")]
                self._db.executemany("DELETE FROM measurements WHERE cell = ? AND metric = ?", rows)
                self._measure(cell, scores.get(cell, ()))
                self._mark([cell], {**self._identities(cell), **identities})

    def take(self, other: Store, plan: Iterable[PlanRow], seconds: float | None = None) -> int:
        """Copy what another store has settled of these cells and this one has not, with all that belongs to it.

        Networks, facts of draws, retention and the records of the runs come along, each run that measured one of the
        cells. ``seconds``: the limit of time under which a cell counts as settled (see ``settled``). Returns the number
        of cells.
        """
        here, there = self.settled(seconds), other.settled(seconds)
        return taking.take(self._db, other._db, [row for row in plan if row.cell in there and row.cell not in here])

    def named(self, part: Mapping[str, Collection[Any]]) -> set[str]:
        """Keys of the cells of a part of the plan: labels of datasets, models, explainers; data_seeds.

        A cell is meant if every axis that is given names it.
        """
        return taking.named(self._db, part)

    def forget(self, cells: Collection[str]) -> Forgotten:
        """Remove cells with all that belongs to them; what was removed.

        Networks, draws and judgements go with the last planned cell that uses them, the record of a run with the last
        cell that it measured. The plan stays.
        """
        return taking.remove(self._db, cells)

    def _mark(self, cells: Iterable[str], identities: Mapping[str, str]) -> None:
        text = canonical_json(dict(identities))
        self._db.executemany("INSERT OR REPLACE INTO scored VALUES (?, ?)", [(cell, text) for cell in cells])

    def _identities(self, cell: str) -> dict[str, str]:
        row = self._db.execute("SELECT metrics FROM scored WHERE cell = ?", (cell,)).fetchone()
        return json.loads(row[0]) if row else {}

    def _measure(self, cell: str, measurements: Iterable[Measurement]) -> None:
        self._insert((cell, m) for m in gate.measurements(measurements))

    def _insert(self, measurements: Iterable[tuple[str, Measurement]]) -> None:
        """Store (cell, measurement) pairs that have passed the gate."""
        rows = ((cell, m.metric, m.k, m.value, m.reason) for cell, m in measurements)
        self._db.executemany("INSERT OR REPLACE INTO measurements VALUES (?, ?, ?, ?, ?)", rows)

    # -- looking up --------------------------------------------------------------------------------

    def meta(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def suite(self) -> dict[str, Any]:
        """The suite of the plan, as its ``config``; {} if no run has begun.

        Raises
        ------
        InputError
            If its name could be that of another folder than its own.
        """
        found = json.loads(self.meta("suite") or "{}")
        name = found.get("name", "none") if isinstance(found, dict) else None
        if not isinstance(name, str) or len(name) > LONGEST_NAME or not re.fullmatch(NAME, name):
            raise opening.Damaged(self.path, ValueError("no suite has such a name"))
        return found

    def settled(self, seconds: float | None = None, among: Collection[str] | None = None) -> set[str]:
        """Keys of the cells that need not be computed again under a limit of so many seconds (None: no limit).

        A cell that ran out of time has that limit as its ``explain_wall``: it is settled up to there. ``among``: look
        at these keys only.
        """
        marks = ",".join("?" * len(SETTLED))
        query = (
            f"SELECT key FROM cells WHERE (status IN ({marks}) "
            "OR (status = 'timed_out' AND json_extract(costs, '$.explain_wall') >= ?))"
        )
        values = (*SETTLED, math.inf if seconds is None else seconds)
        if among is None:
            return {row[0] for row in self._db.execute(query, values)}
        query += " AND key = ?"
        return {key for key in among if self._db.execute(query, (*values, key)).fetchone()}

    def explain_seconds(self, device: str) -> dict[str, float]:
        """Cell key to the wall seconds of set-up and explanation; 0 for what is not supported, failures left out.

        Of the cells that were computed on the ``device``, as it is recorded.
        """
        query = (
            "SELECT key, json_extract(costs, '$.setup_wall') + json_extract(costs, '$.explain_wall') FROM cells "
            f"WHERE status IN ('done', 'unsupported', 'timed_out') AND provenance IN ({ON_DEVICE})"
        )
        return dict(self._db.execute(query, (device,)))

    def computed_elsewhere(self, device: str) -> set[str]:
        """Keys of the cells that were computed on another device."""
        query = f"SELECT key FROM cells WHERE provenance NOT IN ({ON_DEVICE})"
        return {key for (key,) in self._db.execute(query, (device,))}

    def train_seconds(self) -> dict[str, tuple[float, str | None]]:
        """Key of every network that was trained to its wall seconds, and the device; None where it is not recorded."""
        seconds, machine = "json_extract(content, '$.train_wall')", "json_extract(content, '$.trained_on')"
        device = (
            f"CASE WHEN {machine} IS NOT NULL THEN coalesce(json_extract(content, '$.trained_on.device'), 'cpu') END"
        )
        rows = self._db.execute(f"SELECT key, {seconds}, {device} FROM models WHERE {seconds} IS NOT NULL")
        return {key: (took, where) for key, took, where in rows}

    def trained(self) -> set[str]:
        """Keys of the networks whose weights are stored."""
        return {row[0] for row in self._db.execute("SELECT key FROM models WHERE length(weights) > 0")}

    def provenance(self) -> list[dict[str, Any]]:
        """One record a run, oldest first."""
        return [json.loads(c) for (c,) in self._db.execute("SELECT content FROM provenance ORDER BY id")]

    def relevances(self, keys: Iterable[str]) -> dict[str, NDArray[np.float64]]:
        """Relevance (n_inputs,), canonical order, of the cells that have one."""
        found = {}
        query = "SELECT relevance, columns FROM cells WHERE key = ? AND status = 'done'"
        for key in keys:
            row = self._db.execute(query, (key,)).fetchone()
            if row and row[0] is not None:
                self._check(key, "relevances", *row)
                found[key] = np.frombuffer(row[0], "<f8").copy()
        return found

    def check(self) -> None:
        """Raise InputError if a relevance is not what was stored. Weights are checked when they are used."""
        try:
            checksums.check_cells(self._db)
        except checksums.Wrong as wrong:
            raise opening.Damaged(self.path, wrong) from None

    def _check(self, key: str, what: str, *parts: bytes | None) -> None:
        try:
            checksums.check(self._db, key, what, *parts)
        except checksums.Wrong as wrong:
            raise opening.Damaged(self.path, wrong) from None

    def draw_facts(self, key: str) -> DrawFacts | None:
        """What is known of a draw."""
        row = self._db.execute("SELECT content FROM draws WHERE key = ?", (key,)).fetchone()
        return DrawFacts.from_json(json.loads(row[0])) if row else None

    def content_hash(self, key: str) -> str | None:
        """The hash of a draw's data; None if it is not known."""
        facts = self.draw_facts(key)
        return facts.content_hash or None if facts else None

    def weights(self, key: str) -> bytes | None:
        """A trained network's weights; None if they are not there."""
        row = self._db.execute("SELECT weights FROM models WHERE key = ?", (key,)).fetchone()
        if not row or not row[0]:
            return None
        self._check(key, "weights", row[0])
        return row[0]

    def model_choice(self, key: str) -> dict[str, Any] | None:
        """The setting that validation chose for a trained network, or None if there was no choice."""
        query = "SELECT json_extract(content, '$.model_chosen') FROM models WHERE key = ?"
        row = self._db.execute(query, (key,)).fetchone()
        return json.loads(row[0]) if row and row[0] is not None else None

    def settling(self, network: str) -> str:
        """The key under which it is stored how far a network's relevance has settled; "" if it is not stored."""
        row = self._db.execute("SELECT key FROM settling WHERE model = ?", (network,)).fetchone()
        return row[0] if row else ""

    def judgements(self, judge: str) -> dict[str, tuple[float, float]]:
        """Mask to (score, standard error) for one judge on one draw."""
        rows = self._db.execute("SELECT mask, value, error FROM judgements WHERE judge = ?", (judge,))
        return {mask: (value, error) for mask, value, error in rows}

    def scored(self) -> dict[str, dict[str, str]]:
        """Cell to the names and identities of the metrics that its scores are by."""
        rows = self._db.execute("SELECT cell, metrics FROM scored").fetchall()
        known = {text: json.loads(text) for text in {text for _, text in rows}}
        return {cell: known[text] for cell, text in rows}

    def followed(self, name: str, key: str, among: Iterable[str]) -> set[str]:
        """Those cells, of the keys ``among``, whose follow-up of that name is stored under ``key``."""
        query = "SELECT 1 FROM followed WHERE cell = ? AND name = ? AND key = ?"
        return {cell for cell in among if self._db.execute(query, (cell, name, key)).fetchone()}

    def results(self) -> Results:
        """All that is stored for the current plan.

        Raises
        ------
        InputError
            If a relevance is not what was stored.
        """
        self.check()
        relevance, columns = (
            {
                key: np.frombuffer(blob, "<f8").copy()
                for key, blob in self._db.execute(f"SELECT key, {name} FROM cells WHERE {name} IS NOT NULL")
            }
            for name in ("relevance", "columns")
        )
        return Results(
            suite=self.suite(),
            _plan=self._frame("SELECT * FROM plan ORDER BY position"),
            _cells=self._frame(CELLS),
            _measurements=self._scores(),
            models=Held(ModelFacts, self._db.execute("SELECT key, content FROM models")),
            draws=Held(DrawFacts, self._db.execute("SELECT key, content FROM draws")),
            metrics=dict(Held(MetricFacts, self._db.execute("SELECT name, content FROM metrics"))),
            relevance=relevance,
            provenance=self.provenance(),
            folder=self.path.parent,
            column_relevance=columns,
            trained_again=dict(Held(SettlingFacts, self._db.execute("SELECT model, content FROM settling"))),
        )

    def _frame(self, query: str) -> pd.DataFrame:
        """The rows of a query; so many at a time that their Python objects take no memory to speak of."""
        rows = self._db.execute(query)
        columns = [column[0] for column in rows.description]
        parts = []
        while chunk := rows.fetchmany(AT_ONCE):
            parts.append(pd.DataFrame.from_records(chunk, columns=columns, coerce_float=True))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def _scores(self) -> pd.DataFrame:
        """All measurements: their texts are categories, as there are ten and more of every cell."""
        known: dict[str, dict[str, int]] = {"cell": {}, "metric": {}, "reason": {}}
        codes: dict[str, list[NDArray[Any]]] = {name: [] for name in ("cell", "metric", "k", "value", "reason")}
        rows = self._db.execute("SELECT cell, metric, k, value, reason FROM measurements")
        while chunk := rows.fetchmany(AT_ONCE):
            for name, column in zip(codes, zip(*chunk, strict=True), strict=True):
                if name in known:
                    number = known[name]
                    found = np.fromiter((number.setdefault(text, len(number)) for text in column), np.int32, len(chunk))
                else:
                    found = np.array(column, np.int64 if name == "k" else np.float64)  # None is NaN
                codes[name].append(found)
        columns: dict[str, Any] = {}
        for name, parts in codes.items():
            values: Any = np.concatenate([*parts, np.empty(0, np.float64 if name == "value" else np.int32)])
            columns[name] = pd.Categorical.from_codes(values, pd.Index(list(known[name]))) if name in known else values
        return pd.DataFrame(columns)


def _row_of(cell: CellResult, provenance_id: int) -> tuple[Any, ...]:
    """The row of a cell that has passed the gate."""
    relevance, columns = (None if v is None else np.asarray(v, "<f8").tobytes() for v in (cell.relevance, cell.columns))
    return cell.key, cell.status, cell.reason, gate.costs_json(cell), relevance, provenance_id, columns


def _json(facts: Facts) -> str:
    return json.dumps(facts.to_json(), allow_nan=False)


def read(place: str | Path) -> Results:
    """The results in a folder that ``xai-bench run`` wrote, in the folder above its ``runs``, in a file or in a pack.

    No file is changed. A store of an earlier version is read as it is.

    Raises
    ------
    InputError
        If there are none, or they cannot be read.
    """
    with Store.reading(place) as store:
        try:
            results = store.results()
        except (ValueError, TypeError) as error:  # SQLite knows of no damage inside of a text.
            raise opening.Damaged(store.path, error) from None
    if not results.suite:
        raise InputError(f"no run is stored in {str(place)!r}: run the suite first")
    return results


def forget(
    place: str | Path,
    *,
    datasets: Collection[str] = (),
    models: Collection[str] = (),
    explainers: Collection[str] = (),
) -> Forgotten:
    """Remove stored cells, by the labels of their suite, with all that belongs to them; says what was removed.

    A cell is removed if every axis that is given names it. Networks and draws go with the last cell that uses them. The
    plan stays: the next run computes these cells again.

    Raises
    ------
    InputError
        If no axis is given, a label is unknown, there are no results, they lie in a pack, or a run writes to them.
    """
    part = {"datasets": list(datasets), "models": list(models), "explainers": list(explainers)}
    if not any(part.values()):
        raise InputError("expected labels of explainers, datasets or models, got none: name what is to be forgotten")
    path = opening.locate(place)
    if packing.is_pack(path):
        raise InputError(f"{str(place)!r} is a pack, which is never changed: name the folder of a run")
    with Store.reading(path) as store:
        taking.check_labels(store._db, part)
    with lock.held(path.parent), Store(path) as store:
        return store.forget(store.named(part))


def pack(place: str | Path, out: str | Path | None = None) -> Path:
    """Write stored results as one compressed file without weights, which is read like a store; returns its path.

    The same results give the same bytes. Relevances are kept in single precision, with their exact order and ties.

    Parameters
    ----------
    out : the file; SUITE.xaipack in the current folder by default

    Raises
    ------
    InputError
        If there are no results, or the file cannot be written.
    """
    with Store.reading(place) as store:
        suite = store.suite()
        if not suite:
            raise InputError(f"no run is stored in {str(place)!r}: run the suite first")
        content = packing.packed(store._db)
    path = Path(f"{suite['name']}{packing.SUFFIX}") if out is None else Path(out)
    try:
        packing.write(path, content)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}; choose another --out") from None
    return path
