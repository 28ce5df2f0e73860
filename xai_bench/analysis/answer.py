"""The answer: what was found, its words, its page and its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xai_bench.analysis.found import Asked, Found
from xai_bench.analysis.page import page, summary
from xai_bench.analysis.trust_words import words as trust_words
from xai_bench.analysis.verdict import Verdict
from xai_bench.analysis.words import brief, words
from xai_bench.errors import InputError
from xai_bench.results import formats


@dataclass(frozen=True)
class Answer:
    """Which inputs of a table tell something about its target. In a notebook it shows itself; ``print`` gives words.

    ``found`` has everything; the frames that are asked for most are attributes of the answer too.
    """

    found: Found

    @property
    def asked(self) -> Asked:
        """What was analysed, and how."""
        return self.found.asked

    @property
    def inputs(self) -> pd.DataFrame:
        """One row an input, most relevant first; see ``Found.inputs``."""
        return self.found.inputs

    @property
    def scores(self) -> pd.DataFrame:
        """Networks and baselines on the same rows; see ``Found.scores``."""
        return self.found.scores

    @property
    def columns(self) -> pd.DataFrame:
        """What every column holds and what was done with it."""
        return self.found.columns

    @property
    def trust(self) -> Verdict | None:
        """Which method to trust here; None unless targets were simulated."""
        return self.found.trust

    @property
    def notices(self) -> tuple[str, ...]:
        """What is to be known about the table, in lines."""
        return self.found.notices

    @property
    def words(self) -> list[str]:
        """The answer in sentences."""
        return words(self.found) + (trust_words(self.trust) if self.trust else [])

    @property
    def brief(self) -> list[str]:
        """The answer in three sentences at the most."""
        return brief(self.found)

    def __str__(self) -> str:
        return "\n".join([*self.words, *(f"notice: {line}" for line in self.notices)])

    def __repr__(self) -> str:
        return f"<answer about {self.asked.target!r}: {self.asked.inputs} inputs, {self.asked.rows} rows>"

    def _repr_html_(self) -> str:
        return page(self.found, whole=False)

    def write(self, folder: str | Path) -> Path:
        """Write ``index.html``, ``summary.md`` and ``inputs.csv`` (inputs x methods); returns the page.

        Raises
        ------
        InputError
            If the folder cannot be written to.
        """
        target = Path(folder)
        files = {
            "index.html": page(self.found),
            "summary.md": summary(self.found),
            "inputs.csv": formats.csv(self.found.methods),
        }
        try:
            target.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (target / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write to {str(folder)!r}: {error.strerror}; choose another folder") from None
        return target / "index.html"
