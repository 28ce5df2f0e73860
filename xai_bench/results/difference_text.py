"""The difference of two runs in words, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from xai_bench.results.comparing import ABSENT
from xai_bench.results.difference import Difference
from xai_bench.validation import shown
from xai_bench.wording import plural

MOST = 20
"""Lines of one kind."""
GROUPS = {
    "setting": "Settings", "library": "Libraries and plugins", "machine": "Machines", "dataset": "Datasets",
    "model": "Networks", "explainer": "Methods", "metric": "Metrics", "data": "Data", "status": "Results",
    "settled": "Verdicts on settling",
}  # fmt: skip
"""Kinds of things that differ in both, and their heading."""
HEAD = ("", "first", "second", "difference", "95 % interval", "draws")


def text(found: Difference) -> str:
    """Lines of text; what is long is cut, and says so."""
    return "\n".join(_lines(found))


def _lines(found: Difference) -> Iterator[str]:
    frame = found.frame
    yield f"first:  {found.names[0]}\nsecond: {found.names[1]}"
    for side in ("first", "second"):
        rows = frame[frame["side"] == side]
        for what, group in rows.groupby("what", sort=False):
            if what in ("cell", "settling"):
                count = int(group["cells"].sum())
                again = f" that {'was' if count == 1 else 'were'} trained once more"
                counted = plural(count, "cell") if what == "cell" else f"{plural(count, 'network')}{again}"
                yield f"only in the {side}: {counted}"
            else:
                names = group["name"].tolist()
                more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
                kind = str(what) if len(names) == 1 else f"{what!s}s"
                yield f"only in the {side}: {kind} {', '.join(names[:MOST])}{more}"
    for what, title in GROUPS.items():
        yield from _changed(title, frame[(frame["side"] == "both") & (frame["what"] == what)])
    if not found.shared:
        yield "no cell has a result in both"
        return
    yield f"{found.equal:,} of {plural(found.shared, 'cell')} with a result in both are equal bit for bit"
    titles = {"network": "Test scores of networks", "settling": "Signs of settling", "score": "Scores"}
    for what, title in titles.items():
        yield from _scores(title, frame[(frame["what"] == what) & (frame["side"] == "both")])


def _changed(title: str, rows: pd.DataFrame) -> Iterator[str]:
    if rows.empty:
        return
    yield f"{title} that differ:"
    for row in rows.head(MOST).to_dict("records"):
        name = ", ".join(part for part in (str(row["name"]), str(row["metric"])) if part)
        if row["what"] == "data":
            yield f"  {row['name']}: other data in {plural(int(row['cells']), 'draw')}"
            continue
        cells = f" ({plural(int(row['cells']), 'cell')})" if row["what"] == "status" else ""
        yield f"  {name}: {_value(row['first'])} -> {_value(row['second'])}{cells}"
    yield from _more(rows)


def _scores(title: str, rows: pd.DataFrame) -> Iterator[str]:
    if rows.empty:
        return
    yield f"{title} that differ, second less first, means over datasets and draws:"
    table: list[tuple[str, ...]] = [HEAD]
    for row in rows.head(MOST).to_dict("records"):
        bounds = f"[{row['low']:+.3f}, {row['high']:+.3f}]" if math.isfinite(row["low"]) else ""
        numbers = (
            f"{row['first']:.3f}",
            f"{row['second']:.3f}",
            f"{row['difference']:+.3f}",
            bounds,
            str(row["draws"]),
        )
        table.append((f"{row['name']}, {row['metric']}", *numbers))
    widths = [max(len(line[i]) for line in table) for i in range(len(HEAD))]
    for name, *shown_ in table:
        yield f"  {name:<{widths[0]}}  " + "  ".join(f"{n:>{w}}" for n, w in zip(shown_, widths[1:], strict=True))
    yield from _more(rows)


def _more(rows: pd.DataFrame) -> Iterator[str]:
    if len(rows) > MOST:
        yield f"  and {len(rows) - MOST} more: all with --format csv"


def _value(value: Any) -> str:
    if value == "" or value is ABSENT:
        return ABSENT
    return value if isinstance(value, str) else shown(value)
