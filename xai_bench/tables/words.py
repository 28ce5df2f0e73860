"""Words that have a meaning in any table."""

from __future__ import annotations

MISSING = frozenset(
    {
        "", "na", "n/a", "n.a.", "#n/a", "#na", "nan", "null", "none", "nil", "missing", "unknown", "not available",
        "?", "-", "--", "---", "–", "—", ".", "..", "...", "#value!", "#div/0!", "#ref!", "#name?", "#num!",
        "#null!", "inf", "-inf", "+inf",
    }
)  # fmt: skip
"""Words that stand for no number, in small letters."""
