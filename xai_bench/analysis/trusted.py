"""Which method to trust on a table, as it shows itself."""

from __future__ import annotations

import numpy as np

from xai_bench.analysis.page import trust_page
from xai_bench.analysis.trust_words import words
from xai_bench.analysis.verdict import Verdict


class Trust(Verdict):
    """Which method to trust on a table like this one. In a notebook it shows itself; ``print`` gives words."""

    @property
    def words(self) -> list[str]:
        """The answer in sentences."""
        return words(self)

    def __str__(self) -> str:
        return "\n".join(self.words)

    def __repr__(self) -> str:
        choice, asked = self.choice, self.asked
        known = f"{choice.score:.3f}" if np.isfinite(choice.score) else "none"
        of_leader = f"{choice.leader_score:.3f} ({self.leader.name}, leader of standard)"
        return (
            f"Trust in methods on {asked.name}: {self.recommended!r} is recommended\n"
            f"simulated: {len(self.kinds)} kinds of targets, {asked.draws} draws that choose and as many that score\n"
            f"recovery: {known} ({choice.best}, who did best), {of_leader}"
        )

    def _repr_html_(self) -> str:
        return trust_page(self)
