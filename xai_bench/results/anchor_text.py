"""An anchor, and a run beside it, in words for the terminal and for documents."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xai_bench.published.anchors import Anchor
from xai_bench.results.anchors import Agreement
from xai_bench.results.formats import Shown
from xai_bench.wording import plural

WIDTH = 120
HEAD = ("Data", "Score", "Theirs", "Ours", "Published", "Ours, mean", "Difference", "Outcome")


def text(anchor: Anchor, found: Agreement | None = None) -> str:
    """What was published and how, what is not the same here, and the comparison of a run if there is one."""
    return "\n".join([*_about(anchor), *(_published(anchor) if found is None else _compared(found))]) + "\n"


def _about(anchor: Anchor) -> Iterator[str]:
    yield f"{anchor.name}: {anchor.title}"
    yield from _wrapped(f"source: {anchor.source}; licence: {anchor.licence}")
    yield "protocol:"
    for line in anchor.protocol:
        said = f"the same: {line.theirs}" if line.same else f"theirs: {line.theirs}; ours: {line.ours}"
        yield from _wrapped(f"{line.what}: {said}", "  ")
    yield "methods, theirs and ours:"
    for pair in anchor.methods:
        yield from _wrapped(f"{pair.theirs}: {ours_of(pair)}{f' ({pair.note})' if pair.note else ''}", "  ")
    if missing := anchor.without_counterpart():
        yield from _wrapped(f"nothing here stands for: {', '.join(missing)}")


def ours_of(pair: Any) -> str:
    """Our name of a method, and its network."""
    return f"{pair.ours} on {pair.model}" if pair.model else pair.ours


def _published(anchor: Anchor) -> Iterator[str]:
    rows = [(f.data, f.score, f.method, spread(f.value.mean, f.value.sd, f.value.n)) for f in anchor.figures]
    yield from aligned([("Data", "Score", "Theirs", "Published"), *rows])


def _compared(found: Agreement) -> Iterator[str]:
    rows = list(boxes(found))
    yield from aligned([HEAD, *rows])
    for row in found.table.to_dict("records"):
        if row["outcome"] == "differs":
            yield from _wrapped(f"{row['data']}, {row['score']}, {named(row)}: {row['why']}", "  ")
    for sentence in found.sentences():
        yield from _wrapped(sentence)


def boxes(found: Agreement) -> Iterator[tuple[str, ...]]:
    """The rows of the comparison as texts, see ``HEAD``."""
    for row in found.table.to_dict("records"):
        runs = None if row["published_n"] != row["published_n"] else row["published_n"]
        yield (
            str(row["data"]),
            str(row["score"]),
            str(row["method"]),
            named(row),
            spread(row["published"], row["published_sd"], runs),
            spread(row["ours"], row["ours_sd"], row["ours_n"]),
            difference(row),
            str(row["outcome"]),
        )


def shown(found: Agreement) -> Shown:
    """The comparison as a table of texts, with the reasons."""
    why = [str(row["why"]) for row in found.table.to_dict("records")]
    rows = [(*texts, reason) for texts, reason in zip(boxes(found), why, strict=True)]
    return Shown((*HEAD, "Why"), rows, text_columns=4)


def beside(found: Agreement, score: str) -> tuple[list[str], list[tuple[str, str, dict[str, float]]]]:
    """Everything published of a score, then everything of ours: data, and (source, method, mean by data) of each."""
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for figure in found.anchor.figures:
        if figure.score == score:
            rows.setdefault(("published", figure.method), {})[figure.data] = figure.value.mean
    for row in found.ours[found.ours["score"] == score].to_dict("records"):
        rows.setdefault(("ours", named(row)), {})[str(row["data"])] = float(row["mean"])
    data = dict.fromkeys(name for means in rows.values() for name in means)
    return list(data), [(source, name, means) for (source, name), means in rows.items()]


def scores_of(found: Agreement) -> list[str]:
    """The scores of which there are figures of ours, by their published names."""
    return list(dict.fromkeys(str(score) for score in found.ours["score"]))


def named(row: Mapping[Any, Any]) -> str:
    """``permutation_importance on mlp``, or the explainer alone."""
    return f"{row['explainer']} on {row['model']}" if row["model"] else str(row["explainer"])


def spread(mean: float, sd: float | None, n: int | None) -> str:
    """``0.642 (sd 0.079, 100 runs)``."""
    known = [f"sd {sd:.3f}"] if sd is not None and math.isfinite(sd) else []
    known += [plural(n, "run")] if n is not None else []
    return f"{mean:.3f} ({', '.join(known)})" if known else f"{mean:.3f}"


def difference(row: Mapping[Any, Any]) -> str:
    """``-0.012 ± 0.010``: ours less theirs, and its standard error."""
    error = f" ± {row['error']:.3f}" if math.isfinite(row["error"]) else ""
    return f"{row['difference']:+.3f}{error}"


def aligned(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Rows of texts in columns."""
    listed = list(rows)
    widths = [max(len(row[i]) for row in listed) for i in range(len(listed[0]))]
    for row in listed:
        yield "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()


def _wrapped(line: str, indent: str = "") -> list[str]:
    return textwrap.wrap(line, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False)
