"""Numbers and names as the report writes them. Rounding happens here and nowhere else."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from pandas import NA

from xai_bench.errors import reason_of
from xai_bench.wording import plural as plural

QUOTED = re.compile(r"(['\"])(?:~|[A-Za-z]:)?[/\\][^'\"]*[/\\]([^'\"/\\]*)\1")
PATH = re.compile(r"(?<![\w./\\~])(?:~|[A-Za-z]:)?[/\\](?!/)[^\s'\"<>|,;:()\[\]]*[/\\]([^\s'\"<>|,;:()\[\]/\\]*)")
DASH = "–"
LONGEST = 300
"""Characters of a reason."""
STATUS = {"failed": "failed", "timed_out": "out of time", "missing": "not run", "unsupported": "not supported"}
"""What became of a cell, in words."""
FORMS = {"retrained": "Retrained", "trees": "Trees", "ft_transformer": "Transformer", "masked": "Masked"}
"""Form of retention to its title."""
GAIN_TITLES = {
    **{f"retention_{form}_gain": title for form, title in FORMS.items()},
    **{f"retention_{form}_least_gain": f"{title}, least relevant" for form, title in FORMS.items()},
    **{f"retention_{form}_spread": f"{title}, difference" for form, title in FORMS.items()},
}
"""Scores that are differences of test scores. They are shown in points."""
SHARE_TITLES = {f"retention_{form}_share": f"{title}, share of the possible gain" for form, title in FORMS.items()}
POINTS = 100
"""Points in one unit of a test score."""


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


def of_score(value: float | None, score: str) -> str:
    """A value of the score of that name: ``0.972``; ``12.3`` points of a gain."""
    if score not in GAIN_TITLES or value is None:
        return number(value)
    return number(POINTS * value, 1)


def unit(score: str) -> str:
    """What stands behind a value of that score: `` points`` of a gain, else nothing."""
    return " points" if score in GAIN_TITLES else ""


def bounds(low: float, high: float, score: str = "") -> str:
    """``[0.961, 0.983]``, or nothing; ``score`` as in ``of_score``."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{of_score(low, score)}, {of_score(high, score)}]"


def interval_of(low: float, high: float, n: int, seeds: int, score: str = "") -> str:
    """``[0.961, 0.983]``; over fewer than the suite's data seeds also ``(3 of 10 seeds)``."""
    return f"{bounds(low, high, score)}{f' ({n} of {seeds} seeds)' if n < seeds else ''}".strip()


def draws(n: int, seeds: int, parts: int, planned: int) -> str:
    """``3 draws``, ``2 of 3 draws``; with folds ``3 draws, 15 folds`` or ``3 draws, 14 of 15 folds``.

    ``n`` of ``seeds`` draws have a value; ``parts`` of ``planned`` folds of all draws do.
    """
    text = plural(n, "draw") if n == seeds else f"{n} of {plural(seeds, 'draw')}"
    if planned > seeds:  # folds
        text += f", {plural(parts, 'fold')}" if parts == planned else f", {parts} of {plural(planned, 'fold')}"
    return text


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


def settled(known: Any) -> str:
    """Whether the relevance of a network has settled, in a table; ``known``: True, False, or neither (NA)."""
    if known is None or known is NA:
        return "not known"
    return "yes" if known else "not shown"


def unsettled(known: Any) -> str:
    """What is said of a network of which it is not shown that its relevance has settled; of others nothing."""
    return "" if known is None or known is NA or known else "relevance not shown to have settled"


def listed(names: Sequence[str], most: int = 6) -> str:
    """``a, b and c``, or ``a, b, c and 4 more``."""
    items = [str(name) for name in names]
    if len(items) > most:
        items = [*items[: most - 1], f"{len(items) - most + 1} more"]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"


def times(ratio: float) -> str:
    """A factor in words: ``1.4 times``, ``230 times``."""
    return f"{ratio:.1f} times" if ratio < 9.95 else f"{float(f'{ratio:.2g}'):,.0f} times"
