"""The store of a run: one SQLite file, written by the parent process only, one transaction a block.

``Store`` writes and looks up; ``Results`` is what everybody else reads: tidy tables and relevance vectors of
the cells that the stored plan asks for.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xai_bench.errors import InputError
from xai_bench.results.frames import Results
from xai_bench.results.records import SETTLED, CellResult, DrawRecord, Measurement, ModelRecord, PlanRow

SCHEMA_VERSION = 2
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE provenance (id INTEGER PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE plan (
  position INTEGER PRIMARY KEY, cell TEXT NOT NULL, draw TEXT NOT NULL, model_key TEXT NOT NULL,
  dataset TEXT NOT NULL, model TEXT NOT NULL, explainer TEXT NOT NULL,
  data_seed INTEGER NOT NULL, model_seed INTEGER NOT NULL, fold INTEGER NOT NULL, permutation INTEGER NOT NULL);
CREATE TABLE draws (key TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE models (key TEXT PRIMARY KEY, content TEXT NOT NULL, weights BLOB NOT NULL);
CREATE TABLE cells (
  key TEXT PRIMARY KEY, status TEXT NOT NULL, reason TEXT NOT NULL, costs TEXT NOT NULL,
  relevance BLOB, provenance INTEGER NOT NULL);
CREATE TABLE measurements (
  cell TEXT NOT NULL, metric TEXT NOT NULL, k INTEGER NOT NULL, value REAL, reason TEXT NOT NULL,
  PRIMARY KEY (cell, metric, k)) WITHOUT ROWID;
CREATE TABLE randomised (cell TEXT PRIMARY KEY, sanity TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE retained (cell TEXT PRIMARY KEY, retention TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE judgements (
  judge TEXT NOT NULL, mask TEXT NOT NULL, value REAL NOT NULL, error REAL NOT NULL,
  PRIMARY KEY (judge, mask)) WITHOUT ROWID;
"""

CONTRIBUTING_RUNS = """
SELECT id, content FROM other.provenance
WHERE id IN (SELECT provenance FROM other.cells JOIN wanted ON cell = key) ORDER BY id
"""
TAKEN = (
    "INSERT OR REPLACE INTO main.cells SELECT key, status, reason, costs, relevance, new "
    "FROM other.cells JOIN wanted ON cell = key JOIN runs ON old = provenance",
    "DELETE FROM main.measurements WHERE cell IN (SELECT cell FROM wanted)",
    "INSERT INTO main.measurements SELECT * FROM other.measurements WHERE cell IN (SELECT cell FROM wanted)",
    "INSERT OR REPLACE INTO main.randomised SELECT * FROM other.randomised WHERE cell IN (SELECT cell FROM wanted)",
    "INSERT OR REPLACE INTO main.retained SELECT * FROM other.retained WHERE cell IN (SELECT cell FROM wanted)",
    "INSERT OR IGNORE INTO main.draws SELECT * FROM other.draws WHERE key IN (SELECT draw FROM wanted)",
    "INSERT OR IGNORE INTO main.models SELECT * FROM other.models WHERE key IN (SELECT model FROM wanted)",
    "INSERT OR IGNORE INTO main.judgements SELECT * FROM other.judgements",
)
"""What ``Store.take`` copies of the cells in ``wanted``."""


class Store:
    """Open (and create) the SQLite file of a run; use it as a context manager.

    Raises
    ------
    InputError
        If the place cannot be written, the file is not a store, or it has another schema version.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        if not create and not path.is_file():
            raise InputError(f"no results in {str(path.parent)!r}: expected a folder that `xai-bench run` wrote")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=60)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
        except (OSError, sqlite3.OperationalError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"cannot write results to {str(path.parent)!r}: {reason}; choose another --out") from None
        except sqlite3.DatabaseError:
            raise InputError(
                f"{str(path)!r} is not a store of results: move it away, or choose another --out"
            ) from None
        self._prepare()

    def _prepare(self) -> None:
        tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            with self._db:
                self._db.executescript(SCHEMA)
                self.set_meta("schema_version", str(SCHEMA_VERSION))
            return
        found = self.meta("schema_version") if "meta" in tables else None
        if found != str(SCHEMA_VERSION):
            raise InputError(
                f"{str(self.path)!r} has schema version {found}, this program writes {SCHEMA_VERSION}: "
                "use --fresh, or another --out"
            )

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    # -- writing -----------------------------------------------------------------------------------

    def set_meta(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def begin(
        self,
        suite: Mapping[str, Any],
        plan: Iterable[PlanRow],
        provenance: Mapping[str, Any],
        metrics: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> int:
        """Store the suite and its plan (in place of earlier ones) and a new provenance; returns its id.

        ``metrics``: score to what it declares of itself. What is stored of others stays.
        """
        with self._db:
            self._add_metrics(metrics or {})
            self.set_meta("suite", json.dumps(suite))
            self._db.execute("DELETE FROM plan")
            rows = [(i, *asdict(row).values()) for i, row in enumerate(plan)]
            self._db.executemany("INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            cursor = self._db.execute("INSERT INTO provenance (content) VALUES (?)", (json.dumps(provenance),))
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _add_metrics(self, metrics: Mapping[str, Mapping[str, Any]]) -> None:
        self.set_meta("metrics", json.dumps({**self.metrics(), **metrics}))

    def end(self, provenance_id: int, provenance: Mapping[str, Any]) -> None:
        """Complete a run's provenance."""
        with self._db:
            self._db.execute("UPDATE provenance SET content = ? WHERE id = ?", (json.dumps(provenance), provenance_id))

    def add(
        self,
        cells: Iterable[CellResult],
        provenance_id: int,
        draw: DrawRecord | None = None,
        model: ModelRecord | None = None,
    ) -> None:
        """Store one block in one transaction. A failed cell takes the place of nothing but a failed cell."""
        with self._db:
            if draw is not None:
                self._db.execute("INSERT OR REPLACE INTO draws VALUES (?, ?)", (draw.key, json.dumps(draw.content)))
            if model is not None:
                row = (model.key, json.dumps(model.content), model.weights)
                self._db.execute("INSERT OR IGNORE INTO models VALUES (?, ?, ?)", row)
            for cell in cells:
                blob = None if cell.relevance is None else np.asarray(cell.relevance, "<f8").tobytes()
                costs = asdict(cell.costs) | ({} if cell.chosen is None else {"chosen": cell.chosen})
                row_ = (cell.key, cell.status, cell.reason, json.dumps(costs), blob, provenance_id)
                self._db.execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?)", row_)
                self._measure(cell.key, cell.measurements)

    def add_retention(
        self,
        retention: str,
        judge: str,
        measurements: Mapping[str, Iterable[Measurement]],
        judgements: Mapping[str, tuple[float, float]],
    ) -> None:
        """Store the retention of the cells of one draw under its key, and what the judge reached on every mask."""
        with self._db:
            rows = [(judge, mask, value, error) for mask, (value, error) in judgements.items()]
            self._db.executemany("INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?)", rows)
            for cell, values in measurements.items():
                self._db.execute("DELETE FROM measurements WHERE cell = ? AND metric LIKE 'retention%'", (cell,))
                self._measure(cell, values)
                self._db.execute("INSERT OR REPLACE INTO retained VALUES (?, ?)", (cell, retention))

    def add_sanity(self, sanity: str, found: Mapping[str, Iterable[Measurement] | str]) -> None:
        """Store what became of relevances as layers were initialised anew, under its key; a reason under none."""
        with self._db:
            for cell, values in found.items():
                self._db.execute("DELETE FROM measurements WHERE cell = ? AND metric LIKE 'sanity%'", (cell,))
                if isinstance(values, str):
                    self._measure(cell, [Measurement("sanity_top", None, 1, values)])
                else:
                    self._measure(cell, values)
                    self._db.execute("INSERT OR REPLACE INTO randomised VALUES (?, ?)", (cell, sanity))

    def add_scores(self, draw: DrawRecord, scores: Mapping[str, Iterable[Measurement]]) -> None:
        """Store further scores of cells of one draw."""
        with self._db:
            self._db.execute("UPDATE draws SET content = ? WHERE key = ?", (json.dumps(draw.content), draw.key))
            for cell, measurements in scores.items():
                self._measure(cell, measurements)

    def take(self, other: Store, plan: Iterable[PlanRow], seconds: float | None = None) -> int:
        """Copy what another store has settled of these cells and this one has not, with all that belongs to it.

        Networks, facts of draws, retention and the records of the runs come along, each run that measured one of the
        cells. ``seconds``: the limit of time under which a cell counts as settled (see ``settled``). Returns the number
        of cells.
        """
        here, there = self.settled(seconds), other.settled(seconds)
        # A cell may stand under several labels.
        rows = {(row.cell, row.draw, row.model_key) for row in plan if row.cell in there and row.cell not in here}
        if not rows:
            return 0
        self._db.execute("ATTACH DATABASE ? AS other", (str(other.path),))
        try:
            with self._db:
                self._db.execute("CREATE TEMP TABLE wanted (cell TEXT PRIMARY KEY, draw TEXT, model TEXT)")
                self._db.executemany("INSERT INTO wanted VALUES (?, ?, ?)", rows)
                self._db.execute("CREATE TEMP TABLE runs (old INTEGER PRIMARY KEY, new INTEGER)")
                for old, content in self._db.execute(CONTRIBUTING_RUNS).fetchall():
                    new = self._db.execute("INSERT INTO provenance (content) VALUES (?)", (content,)).lastrowid
                    self._db.execute("INSERT INTO runs VALUES (?, ?)", (old, new))
                for statement in TAKEN:
                    self._db.execute(statement)
                self._add_metrics({**other.metrics(), **self.metrics()})
        finally:
            for table in ("wanted", "runs"):
                self._db.execute(f"DROP TABLE IF EXISTS temp.{table}")
            self._db.execute("DETACH DATABASE other")
        return len(rows)

    def _measure(self, cell: str, measurements: Iterable[Measurement]) -> None:
        rows = [(cell, m.metric, m.k, m.value, m.reason) for m in measurements]
        self._db.executemany("INSERT OR REPLACE INTO measurements VALUES (?, ?, ?, ?, ?)", rows)

    # -- looking up --------------------------------------------------------------------------------

    def meta(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Score to what it declares of itself: title, bounds, direction ..."""
        return dict(json.loads(self.meta("metrics") or "{}"))

    def settled(self, seconds: float | None = None) -> set[str]:
        """Keys of the cells that need not be computed again under a limit of so many seconds (None: no limit).

        A cell that ran out of time has that limit as its ``explain_wall``: it is settled up to there.
        """
        marks = ",".join("?" * len(SETTLED))
        query = (
            f"SELECT key FROM cells WHERE status IN ({marks}) "
            "OR (status = 'timed_out' AND json_extract(costs, '$.explain_wall') >= ?)"
        )
        return {row[0] for row in self._db.execute(query, (*SETTLED, math.inf if seconds is None else seconds))}

    def explain_seconds(self) -> dict[str, float]:
        """Cell key to the wall seconds of set-up and explanation; 0 for what is not supported, failures left out."""
        query = (
            "SELECT key, json_extract(costs, '$.setup_wall') + json_extract(costs, '$.explain_wall') FROM cells "
            "WHERE status IN ('done', 'unsupported', 'timed_out')"
        )
        return dict(self._db.execute(query))

    def train_seconds(self) -> dict[str, float]:
        """Key of every trained network to its wall seconds."""
        return dict(self._db.execute("SELECT key, json_extract(content, '$.train_wall') FROM models"))

    def provenance(self) -> list[dict[str, Any]]:
        """One record a run, oldest first."""
        return [json.loads(c) for (c,) in self._db.execute("SELECT content FROM provenance ORDER BY id")]

    def relevances(self, keys: Iterable[str]) -> dict[str, NDArray[np.float64]]:
        """Relevance (d,), canonical order, of the cells that have one."""
        found = {}
        for key in keys:
            row = self._db.execute("SELECT relevance FROM cells WHERE key = ? AND status = 'done'", (key,)).fetchone()
            if row and row[0] is not None:
                found[key] = np.frombuffer(row[0], "<f8").copy()
        return found

    def draw_content(self, key: str) -> dict[str, Any] | None:
        """What is known of a draw."""
        row = self._db.execute("SELECT content FROM draws WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def weights(self, key: str) -> bytes | None:
        """A trained network's weights."""
        row = self._db.execute("SELECT weights FROM models WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def model_choice(self, key: str) -> dict[str, Any] | None:
        """The setting that validation chose for a trained network, or None if there was no choice."""
        query = "SELECT json_extract(content, '$.model_chosen') FROM models WHERE key = ?"
        row = self._db.execute(query, (key,)).fetchone()
        return json.loads(row[0]) if row and row[0] is not None else None

    def judgements(self, judge: str) -> dict[str, tuple[float, float]]:
        """Mask to (score, standard error) for one judge on one draw."""
        rows = self._db.execute("SELECT mask, value, error FROM judgements WHERE judge = ?", (judge,))
        return {mask: (value, error) for mask, value, error in rows}

    def retained(self, retention: str) -> set[str]:
        """Keys of the cells whose retention is known under this key."""
        return {row[0] for row in self._db.execute("SELECT cell FROM retained WHERE retention = ?", (retention,))}

    def randomised(self, sanity: str) -> set[str]:
        """Keys of the cells whose relevance was followed under this key."""
        return {row[0] for row in self._db.execute("SELECT cell FROM randomised WHERE sanity = ?", (sanity,))}

    def results(self) -> Results:
        """All that is stored for the current plan."""
        read = pd.read_sql_query
        plan = read("SELECT * FROM plan ORDER BY position", self._db)
        cells = read("SELECT key, status, reason, costs, provenance FROM cells", self._db)
        measurements = read("SELECT * FROM measurements", self._db)
        relevance = {
            key: np.frombuffer(blob, "<f8").copy()
            for key, blob in self._db.execute("SELECT key, relevance FROM cells WHERE relevance IS NOT NULL")
        }
        models = {key: json.loads(c) for key, c in self._db.execute("SELECT key, content FROM models")}
        draws = {key: json.loads(c) for key, c in self._db.execute("SELECT key, content FROM draws")}
        suite = json.loads(self.meta("suite") or "{}")
        runs, folder = self.provenance(), self.path.parent
        return Results(suite, plan, cells, measurements, models, draws, relevance, runs, folder, self.metrics())


def read(folder: str | Path) -> Results:
    """The results in a folder that ``xai-bench run`` wrote.

    Raises
    ------
    InputError
        If there are none.
    """
    with Store(Path(folder) / "results.sqlite", create=False) as store:
        results = store.results()
    if not results.suite:
        raise InputError(f"no run is stored in {str(folder)!r}: run the suite first")
    return results
