"""The scores behind a leaderboard of methods, without the run that they are from: what is shipped of a comparison."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from xai_bench.errors import InputError, unknown
from xai_bench.results import entrants
from xai_bench.results.comparison import Comparison, compared
from xai_bench.suites.suite import CONTROLS

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

METRIC = "recovery"
SHIPPED = "shipped"
GENERAL = ("quick", "standard")
"""Comparisons of many kinds of data; the others have a purpose."""
SUFFIX = ".json.gz"
FLAGS = ["unsupported", "method_confirmed", "network_confirmed", "confirmatory"]
NUMBERS = ["value", "value_learned", "learned"]
COLUMNS = [*entrants.AXES, *NUMBERS, *FLAGS, "reason", "data"]
"""As ``entrants.values`` says; ``data``: the hash of the rows of the draw."""


@dataclass(frozen=True)
class Board:
    """Recovery of every entrant on every draw.

    Attributes
    ----------
    suite : its name
    versions : of xai_bench that measured
    machines : in words, the one that measured the most first: the costs are its own
    costs : median CPU seconds: label of a method to those of an explanation, of a network to those of a training
    columns : name of a column to its values, one an entrant and draw; see ``COLUMNS``
    """

    suite: str
    versions: tuple[str, ...]
    machines: tuple[str, ...]
    costs: Mapping[str, float]
    columns: Mapping[str, list[Any]]

    @classmethod
    def of(cls, results: Results) -> Board:
        """From a run or a pack.

        Raises
        ------
        InputError
            If it has no recovery to compare.
        """
        values = entrants.values(results, METRIC)
        draws = results.cells.drop_duplicates(["dataset", "data_seed"])
        hashes = {
            (row["dataset"], row["data_seed"]): results.draws[row["draw"]].content_hash[:12]
            for row in draws.to_dict("records")
            if row["draw"] in results.draws
        }
        data = [hashes.get(key, "") for key in zip(values["dataset"], values["draw"], strict=True)]
        frame = values.assign(data=data)[COLUMNS].astype({"draw": int, **dict.fromkeys(FLAGS, bool)})
        recorded = (str(record.get("versions", {}).get("xai-bench", "unknown")) for record in results.provenance)
        return cls(
            str(results.suite["name"]),
            tuple(dict.fromkeys(recorded)),
            tuple(dict.fromkeys([*_machine(results.cells), *results.machines])),
            _costs(results.cells),
            {name: _plain(frame[name]) for name in COLUMNS},
        )

    @cached_property
    def cells(self) -> pd.DataFrame:
        """As ``entrants.values`` gives them, with the column ``data``."""
        return pd.DataFrame(self.columns).astype(dict.fromkeys(NUMBERS, float))

    @cached_property
    def comparison(self) -> Comparison:
        """What is decided of its methods."""
        return compared(self.cells, "methods", METRIC)

    @property
    def values(self) -> pd.DataFrame:
        """One row a method and draw: see ``comparison.units``."""
        return self.comparison.values

    def write(self, path: Path) -> None:
        """As one file; equal boards give equal bytes."""
        text = json.dumps(asdict(self), separators=(",", ":"), allow_nan=False)
        path.write_bytes(gzip.compress(text.encode(), mtime=0))

    @classmethod
    def read(cls, content: bytes) -> Board:
        """From the bytes that ``write`` wrote."""
        known: dict[str, Any] = json.loads(gzip.decompress(content))
        versions, machines = tuple(known["versions"]), tuple(known["machines"])
        return cls(known["suite"], versions, machines, known["costs"], known["columns"])


def _machine(cells: pd.DataFrame) -> list[str]:
    """The machine that has measured the most; none if nothing was."""
    timed = cells[(cells["status"] == "done") & ~cells["explainer"].isin(CONTROLS)]
    return [str(name) for name in timed["machine"].mode()[:1]]


def _costs(cells: pd.DataFrame) -> dict[str, float]:
    """Median CPU seconds of a method's explanations, set-up included, and of a network's trainings, on one machine."""
    done = cells[(cells["status"] == "done") & cells["machine"].isin(_machine(cells))].assign(
        spent=lambda frame: frame["setup_cpu"] + frame["explain_cpu"]
    )
    found = done[~done["explainer"].isin(CONTROLS)].groupby("explainer", sort=False)["spent"].median()
    networks = done[(done["model"] != "") & (done["trained_on"] == done["machine"])].drop_duplicates("model_key")
    if "train_cpu" in networks:
        found = pd.concat([found, networks.groupby("model", sort=False)["train_cpu"].median().dropna()])
    return {str(name): float(seconds) for name, seconds in found.items()}


def _plain(values: pd.Series) -> list[Any]:
    """JSON-ready: missing numbers are None."""
    return [None if pd.isna(value) else value for value in values.tolist()]


def shipped_suites() -> list[str]:
    """The suites whose board comes with the package; first those for everybody."""
    return sorted(_files(), key=lambda suite: (suite not in GENERAL, suite))


def measured(name: str) -> Board | None:
    """The first shipped board that has costs of a method or network; None without one."""
    return next((board for board in map(shipped, shipped_suites()) if name in board.costs), None)


def shipped(suite: str) -> Board:
    """The board of a suite that comes with the package.

    Raises
    ------
    InputError
        If none does.
    """
    found = _files()
    if suite not in found:
        raise InputError(
            f"{unknown('shipped comparison', suite, found)}; or name a folder of results or a pack instead of {SHIPPED}"
        )
    return Board.read(found[suite].read_bytes())


def _files() -> dict[str, Any]:
    folder = files("xai_bench.results") / SHIPPED
    return {path.name.removesuffix(SUFFIX): path for path in folder.iterdir() if path.name.endswith(SUFFIX)}
