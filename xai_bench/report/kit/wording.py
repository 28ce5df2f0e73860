"""Numbers and names as the report writes them. Rounding happens here and nowhere else."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from xai_bench.errors import reason_of
from xai_bench.wording import plural as plural

QUOTED = re.compile(r"(['\"])(?:~|[A-Za-z]:)?[/\\][^'\"]*[/\\]([^'\"/\\]*)\1")
PATH = re.compile(r"(?<![\w./\\~])(?:~|[A-Za-z]:)?[/\\](?!/)[^\s'\"<>|,;:()\[\]]*[/\\]([^\s'\"<>|,;:()\[\]/\\]*)")
DASH = "–"
LONGEST = 300
"""Characters of a reason."""
STATUS = {"failed": "failed", "timed_out": "out of time", "missing": "not run", "unsupported": "not supported"}
"""What became of a cell, in words."""
AREA_TITLES = {
    "retention_retrained_area": "Retrained",
    "retention_masked_area": "Masked",
    "retention_retrained_least_area": "Retrained, least relevant",
    "retention_retrained_gap_area": "Retrained, difference",
    "retention_masked_least_area": "Masked, least relevant",
    "retention_masked_gap_area": "Masked, difference",
}


def without_paths(text: Any) -> str:
    """One printable line, in which a file is named without its folders: a report tells nothing about the machine."""
    line = "".join(c if c.isprintable() else "�" for c in " ".join(str(text).split()))
    return PATH.sub(r"\1", QUOTED.sub(r"\1\2\1", line))


def reason(error: BaseException) -> str:
    """Why something failed: one short printable line, even for an exception that cannot be put into words."""
    try:
        text = without_paths(reason_of(error))
    except Exception:
        text = type(error).__name__
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def number(value: float | None, digits: int = 3) -> str:
    """``0.972``, ``−0.120``; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:.{digits}f}"
    return text.replace("-", "" if float(text) == 0 else "−")


def bounds(low: float, high: float) -> str:
    """``[0.961, 0.983]``, or nothing."""
    return f"[{number(low)}, {number(high)}]" if math.isfinite(low) and math.isfinite(high) else ""


def interval_of(low: float, high: float, n: int, seeds: int) -> str:
    """``[0.961, 0.983]``; over fewer than the suite's data seeds also ``(3 of 10 seeds)``."""
    return f"{bounds(low, high)}{f' ({n} of {seeds} seeds)' if n < seeds else ''}".strip()


def interval(row: dict[str, Any]) -> str:
    """``0.972 [0.961, 0.983]``; without the brackets where one data seed gives no interval."""
    return f"{number(row['mean'])} {bounds(row['low'], row['high'])}".strip()


def seconds(value: float | None) -> str:
    """Two significant digits with a unit: ``0.31 ms``, ``12 ms``, ``1.4 s``."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    for scale, unit in ((1e-6, "µs"), (1e-3, "ms")):
        if value < 999.5 * scale:
            return f"{_two_digits(value / scale)} {unit}"
    return f"{_two_digits(value)} s"


def _two_digits(value: float) -> str:
    shown = float(f"{value:.2g}")
    return f"{shown:.1f}" if shown < 10 else f"{round(value):,}"


def size(value: float | None) -> str:
    """Bytes as MiB."""
    if value is None or not math.isfinite(value):
        return DASH
    mib = value / 2**20
    return f"{mib:.1f} MiB" if mib < 99.95 else f"{mib:,.0f} MiB"


def count(value: float | None) -> str:
    """``16,384``."""
    return DASH if value is None or not math.isfinite(value) else f"{round(value):,}"


def p_value(value: float | None) -> str:
    """``0.013``, or ``< 0.001``."""
    if value is None or not math.isfinite(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """``a, b and c``, or ``a, b, c and 4 more``."""
    items = [str(name) for name in names]
    if len(items) > most:
        items = [*items[: most - 1], f"{len(items) - most + 1} more"]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"


def times(ratio: float) -> str:
    """A factor in words: ``1.4 times``, ``230 times``."""
    return f"{ratio:.1f} times" if ratio < 9.95 else f"{float(f'{ratio:.2g}'):,.0f} times"
