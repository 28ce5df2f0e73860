"""The follow-ups that a suite can ask for: one module each, listed here."""

from __future__ import annotations

from typing import Any

from xai_bench.running.followups.base import FollowUp
from xai_bench.running.followups.retention import RetentionFollowUp
from xai_bench.running.followups.sanity import SanityFollowUp
from xai_bench.running.followups.settling import SettlingFollowUp
from xai_bench.suites.suite import Suite

FOLLOW_UPS: tuple[type[FollowUp[Any, Any]], ...] = (RetentionFollowUp, SanityFollowUp, SettlingFollowUp)


def asked_by(suite: Suite) -> list[FollowUp[Any, Any]]:
    """The follow-ups of a suite, with its settings."""
    return [followup for kind in FOLLOW_UPS if (followup := kind.of(suite)) is not None]
