"""A leaderboard as a table: its decisions, and beside them what else was measured of a method."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from xai_bench.report.kit import wording
from xai_bench.report.kit.frames import NO_MODEL, Frames, records
from xai_bench.report.kit.tables import EMPTY, Box, Column, Row, Table, counted, plain, share, valued
from xai_bench.report.kit.wording import number, seconds, without_paths
from xai_bench.results.comparison import Unit

KEYS = {"methods": ["explainer"], "entrants": ["explainer", "model"], "networks": ["model"]}


def joined(frames: Frames, of: Unit) -> pd.DataFrame:
    """The leaderboard, and beside it: retention (mean gain), given_cpu, end_cpu (median seconds), stable, false.

    Where nothing can be ranked, a row a method all the same, in the order of retention.
    """
    keys, board = KEYS[of], frames.board(of)
    unranked = board.empty
    if unranked:
        known = frames.timed[keys].drop_duplicates()
        names = [" on ".join(label for label in key if label != NO_MODEL) for key in known.itertuples(index=False)]
        board = pd.DataFrame({**known, "name": names}).reindex(columns=board.columns)
    board = board.assign(model=board["model"].fillna(NO_MODEL)) if "model" in keys else board
    beside = frames.cost(keys)[[*keys, "given_cpu", "end_cpu"]]
    for name, values in measured(frames, of).items():
        beside = beside.merge(values.rename(name).reset_index(), on=keys, how="left")
    found = board.merge(beside, on=keys, how="left")
    if unranked and "retention" in found:
        return found.sort_values("retention", ascending=False, kind="stable", ignore_index=True)
    return found


def measured(frames: Frames, of: Unit) -> dict[str, pd.Series]:
    """By ``KEYS``: points of retention, and of how many families where not of all (``retention_of``), stability of the
    p highest, and the share of false selections; means over datasets."""
    keys = KEYS[of]
    boards = {name: frames.board(of, name) for name in ("retention", "false_selections")}
    boards = {name: board.fillna({"model": NO_MODEL}).set_index(keys) for name, board in boards.items()}
    found = {name: board["score"] for name, board in boards.items()}
    known = frames.calibration.dropna(subset="threshold")
    silent = known.groupby(keys)["threshold"].min() >= 1  # Nothing is above such a share: it cannot be wrong.
    never = found["false_selections"].index.isin(silent.index[silent])
    found["false_selections"] = found["false_selections"].mask(never)
    gains = boards["retention"]
    part = gains["families"].astype(str) + " of " + gains["of_families"].astype(str) + " families"
    found["retention_of"] = part.where(gains["families"] < gains["of_families"], "")
    stable = frames.stability
    of_sets = stable["top_p"].where(stable["known"].astype(bool))
    stable = stable.assign(value=of_sets.fillna(stable["spearman"]))
    if stable.empty:
        stable = frames.stability_over_rows.rename(columns={"spearman": "value"})
    return found | {"stable": stable.groupby([*keys, "dataset"])["value"].mean().groupby(keys).mean()}


def table(frames: Frames, frame: pd.DataFrame, caption: str, *, first: str = "Method", fold: bool = False) -> Table:
    """Of ``joined``, the ranked first. Columns without a value are left out, ranks that no draw could decide too."""
    rows, ahead = records(frame), decided(frame)
    top = {name: frame[name].max() for name in ("retention", "end_cpu") if name in frame}

    def families(row: dict[str, Any]) -> Box:
        known = row["families"] == row["families"]  # it is NaN where nothing can be ranked
        return counted(row["families"], row["of_families"]) if known else EMPTY

    def networks(row: dict[str, Any]) -> Box:
        return counted(int(row["networks"]), int(most)) if row["networks"] > 0 else EMPTY

    most = frame["networks"].max()
    columns: list[tuple[Column, Callable[[dict[str, Any]], Box]]] = [
        (Column("Rank"), lambda row: ranks(row) if ahead else EMPTY),
        (Column("Recovery"), lambda row: plain(row["score"], bar=share(row["score"], 0.0, 1.0))),
        (Column("Retention, points"), lambda row: valued(row["retention"], partial(number, digits=1),
                                                         share(row["retention"], 0.0, top["retention"]),
                                                         row["retention_of"])),
        (Column("Given a model", "CPU time"), lambda row: valued(row["given_cpu"], seconds)),
        (Column("End to end", "CPU time"), lambda row: valued(row["end_cpu"], seconds)),
        (Column("Explained", "Networks"), networks),
        (Column("Learned", "Networks"), lambda row: valued(row["learned"], percent)),
        (Column("Stability"), lambda row: valued(row["stable"], partial(number, digits=2), share(row["stable"], 0, 1))),
        (Column("False selections"), lambda row: valued(row["false_selections"], partial(percent, digits=2))),
        (Column("Families"), families),
    ]  # fmt: skip
    drawn = [(column, [draw(row) for row in rows]) for column, draw in columns]
    shown = [(column, boxes) for column, boxes in drawn if any(box is not EMPTY for box in boxes)]
    if all(row["families"] == row["of_families"] for row in rows):
        shown = [pair for pair in shown if pair[0].name != "Families"]
    if not any(0 < row["networks"] < most for row in rows):
        shown = [pair for pair in shown if pair[0].name != "Explained"]
    lines = [
        Row(row["name"], [boxes[j] for _, boxes in shown], _kind(frames, row, ahead)) for j, row in enumerate(rows)
    ]
    return Table(caption, first, [column for column, _ in shown], lines, fold, "board")


def ranks(row: dict[str, Any]) -> Box:
    """The ranks that the decided pairs leave a row of a board: all of them if none is decided; empty if not ranked."""
    if not row["ranked"] or pd.isna(row["rank_low"]):
        return EMPTY
    low, high = int(row["rank_low"]), int(row["rank_high"])
    return Box(f"{low}–{high}" if high > low else str(low), value=low + high / 1000)


def values_of(frames: Frames, of: Unit, metric: str = "recovery") -> pd.DataFrame:
    """name, dataset, family, draw, value, learned: the scores behind a leaderboard, in its units; or no rows."""
    if (found := frames.comparison(of, metric)) is None:
        return pd.DataFrame(columns=["name", "dataset", "family", "draw", "value", "learned"])
    names = {column: found.values[column].map(without_paths) for column in ("name", "dataset")}
    return found.values.assign(**names, value=found.scale * found.values["value"])


def decided(frame: pd.DataFrame) -> bool:
    """Whether any pair was decided: else there are no ranks and no first group."""
    return bool((frame[["better_than", "worse_than", "equal"]].fillna(0).sum(axis=1) > 0).any())


def _kind(frames: Frames, row: dict[str, Any], ahead: bool) -> str:
    if frames.in_focus(row["explainer"]):
        return "focus"
    return "first" if ahead and row["ranked"] and row["first_group"] else "method"


def percent(value: float | None, digits: int = 0) -> str:
    """``98 %``."""
    return wording.DASH if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def notes(frames: Frames, frame: pd.DataFrame) -> list[str]:
    """Who is not ranked and why, and what the table leaves out."""
    out = []
    for reason, group in frame[(frame["ranked"] == False) & (frame["score"].notna())].groupby("reason"):  # noqa: E712
        out.append(f"Not ranked, {reason}: {wording.listed([f'`{name}`' for name in group['name']], 12)}.")
    absent = {
        "stability, which needs two model seeds": frame["stable"].isna().all(),
        "false selections, which need null runs (`[calibration]`)": frame["false_selections"].isna().all(),
        "retention": frame["retention"].isna().all(),
    }
    if any(absent.values()):
        out.append(f"Not measured here: {wording.listed([name for name, gone in absent.items() if gone])}.")
    return out
