"""Exported tables as people read them: numbers rounded, intervals in brackets, the first group bold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from xai_bench.errors import InputError
from xai_bench.results import tables
from xai_bench.results.formats import Shown

if TYPE_CHECKING:
    from xai_bench.results.frames import Results

DASH = "–"
RETRAINED = "retention_retrained_gain"
NOTE_OF_FIRST = "Bold: the first group, not shown to be worse than the best (comparisons with the best)."
NOTHING_DECIDED = "Nothing is bold: the draws decide no pair."
NOTE_OF_INTERVALS = "Brackets: 95 % interval over draws; none below five draws."


def shown(results: Results, name: str, of: str | None = None, metric: str | None = None) -> Shown:
    """The table of that name as texts: see ``tables.table`` for its arguments and errors."""
    if name == "recovery" and metric is None:
        metric = tables.headline(results)
    frame = tables.table(results, name, of, metric)
    score = metric or "recovery"
    if name == "leaderboard":
        return _leaderboard(frame, of or "methods", score)
    if name == "pairs":
        return _pairs(frame, score)
    if name in ("recovery", "retention"):
        return _matrix(results, frame, name, score)
    if name == "networks":
        return _networks(frame)
    return _cost(frame) if name == "cost" else plain(frame)


def _leaderboard(frame: pd.DataFrame, of: str, metric: str) -> Shown:
    digits = 1 if tables.is_points(metric) else 3
    rows, first_unranked = [], frozenset[int]()
    for i, row in enumerate(records(frame)):
        if not row["ranked"] and not first_unranked and i:
            first_unranked = frozenset([i])
        counts = [row[name] for name in ("better_than", "equal", "undecided", "worse_than")]
        rows.append((
            str(row["name"]), number(row["score"], digits), _range(row["rank_low"], row["rank_high"]),
            " / ".join(DASH if pd.isna(count) else str(count) for count in counts),
            f"{row['families']} of {row['of_families']}", str(row["draws"]), _percent(row["learned"]),
        ))  # fmt: skip
    strong = frozenset(i for i, first in enumerate(frame["first_group"]) if first) if _decided(frame) else frozenset()
    title = metric.replace("_", " ").capitalize()
    notes = [
        NOTE_OF_FIRST if strong else NOTHING_DECIDED, "Ranks: those that the decided pairs leave.",
        "Pairs: in how many it is better / practically equal / undecided / worse.",
    ]  # fmt: skip
    if first_unranked:
        notes.append("Below the line: not ranked, since some families have no score.")
    unit = ", points" if tables.is_points(metric) else ""
    head = (of.removesuffix("s").capitalize(), f"{title}{unit}", "Ranks", "Pairs", "Families", "Draws", "Learned")
    return Shown(head, rows, notes, strong, 2, first_unranked)


def _pairs(frame: pd.DataFrame, metric: str) -> Shown:
    digits = 1 if tables.is_points(metric) else 3
    rows = [
        (str(row["first"]), str(row["second"]), str(row["outcome"]), with_interval(row, "difference", digits),
         str(row["families"]), str(row["draws"]))
        for row in records(frame)
    ]  # fmt: skip
    notes = ["Difference: first less second. Brackets: simultaneous 95 % intervals; none below five draws."]
    return Shown(("First", "Second", "First is", "Difference", "Families", "Draws"), rows, notes, text_columns=3)


def _matrix(results: Results, frame: pd.DataFrame, name: str, metric: str) -> Shown:
    """A row an entrant, a column a dataset."""
    if name == "retention":
        gains = list(dict.fromkeys(frame["metric"]))
        metric = RETRAINED if RETRAINED in gains else next(iter(gains), RETRAINED)
        frame = frame[frame["metric"] == metric]
    digits = 1 if tables.is_points(metric) else 3
    datasets = list(dict.fromkeys(frame["dataset"]))
    entrants = [one for one in dict.fromkeys(results.cells["entrant"]) if one in set(frame["entrant"])]
    at = {(row["entrant"], row["dataset"]): row for row in records(frame)}
    rows = [
        (one, *(with_interval(at[one, d], "mean", digits) if (one, d) in at else DASH for d in datasets))
        for one in entrants
    ]
    first = _first_group(results, name if name == "retention" else metric)
    strong = frozenset(i for i, one in enumerate(entrants) if one in first)
    unit = ", points gained over random inputs" if name == "retention" else ""
    notes = [f"{metric}{unit}: mean over draws.", NOTE_OF_INTERVALS, NOTE_OF_FIRST if strong else NOTHING_DECIDED]
    return Shown(("Entrant", *datasets), rows, notes, strong)


def _first_group(results: Results, metric: str) -> set[str]:
    """Entrants that are not shown to be worse than the best; none where that cannot be said."""
    try:
        board = results.leaderboard("entrants", {"auroc": "recovery"}.get(metric, metric))
    except InputError:
        return set()
    return set(board.loc[board["first_group"], "name"]) if _decided(board) else set()


def _decided(board: pd.DataFrame) -> bool:
    """Whether the draws decide any pair of a leaderboard."""
    return bool((board[["better_than", "worse_than", "equal"]].fillna(0) > 0).any(axis=None))


def _networks(frame: pd.DataFrame) -> Shown:
    rows = [
        (row["dataset"], row["model"], with_interval(row, "mean", 3), number(row["chance"], 3),
         number(row["ceiling"], 3), _percent(row["learned"]), seconds(row["train_cpu"]), str(row["draws"]))
        for row in records(frame)
    ]  # fmt: skip
    head = ("Dataset", "Network", "Test score", "Chance", "Ceiling", "Learned", "Training, CPU s", "Draws")
    return Shown(head, rows, [NOTE_OF_INTERVALS], text_columns=2)


def _cost(frame: pd.DataFrame) -> Shown:
    machines = list(dict.fromkeys(frame["machine"]))
    rows, rules, last = [], [], None
    for i, row in enumerate(records(frame)):
        if last not in (None, row["machine"]):
            rules.append(i)
        last = row["machine"]
        numbers = [seconds(row[name]) for name in ("given_cpu", "end_cpu", "train_cpu")]
        own = (str(machines.index(row["machine"]) + 1),) if len(machines) > 1 else ()
        memory = number(row["peak_memory"] / 2**20, 1)
        rows.append((str(row["entrant"]), *own, *numbers, memory, number(row["rows_explained"], 0), str(row["cells"])))
    machine = ("Machine",) if len(machines) > 1 else ()
    notes = ["Medians over explanations: CPU seconds given a network, end to end, and of the training."]
    notes += (
        [f"Machine {i + 1}: {name}." for i, name in enumerate(machines)]
        if machine
        else [f"On {machines[0]}."]
        if machines
        else []
    )
    head = ("Entrant", *machine, "Given, s", "End to end, s", "Training, s", "Memory, MiB", "Rows", "Cells")
    return Shown(head, rows, notes, rules=frozenset(rules))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def plain(frame: pd.DataFrame) -> Shown:
    """Any frame: its columns, texts on the left as far as they stand there."""
    numeric = [bool(pd.api.types.is_numeric_dtype(kind)) for kind in frame.dtypes]
    left = next((i for i, one in enumerate(numeric) if one), len(numeric))
    rows = [tuple(map(_number_or_text, row)) for row in frame.itertuples(index=False)]
    return Shown([str(name) for name in frame.columns], rows, text_columns=left)


def _number_or_text(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def number(value: Any, digits: int) -> str:
    """``0.912``, ``−0.120``; a dash where there is none."""
    if value is None or pd.isna(value):
        return DASH
    text = f"{value:,.{digits}f}"
    return text.replace("-", "" if float(text.replace(",", "")) == 0 else "−")


def with_interval(row: dict[str, Any], name: str, digits: int) -> str:
    """``0.912 [0.850, 0.960]``, or the mean alone."""
    mean = number(row[name], digits)
    if pd.isna(row["low"]):
        return mean
    return f"{mean} [{number(row['low'], digits)}, {number(row['high'], digits)}]"


def seconds(value: Any) -> str:
    """Three significant digits."""
    return DASH if pd.isna(value) else f"{float(f'{value:.3g}'):g}"


def _range(low: Any, high: Any) -> str:
    if pd.isna(low):
        return DASH
    return str(low) if low == high else f"{low}–{high}"


def _percent(value: Any) -> str:
    return DASH if pd.isna(value) else f"{100 * value:.0f} %"
