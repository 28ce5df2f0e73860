"""Who led the suite ``standard`` when the package was made: the method that is trusted where nothing else is known."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from xai_bench.results.entrants import Entrant

FILE = "standard.toml"


@dataclass(frozen=True)
class Leader:
    """The entrant with the highest mean.

    Attributes
    ----------
    explainer, model : its labels; ``model`` is "" for a method that needs no network
    metric, score : what it is the highest of
    families, draws : what that rests on
    source : the pack it was read from, and the version that measured it
    """

    explainer: str
    model: str
    metric: str
    score: float
    families: int
    draws: int
    source: str

    @property
    def name(self) -> str:
        """``saliency on mlp``, or the method alone."""
        return Entrant.of(self.explainer, self.model).id


@cache
def leader() -> Leader:
    """Read from the file that ``benchmarks/standard_leader.py`` makes."""
    return Leader(**tomllib.loads(files("xai_bench.analysis").joinpath(FILE).read_text(encoding="utf-8")))
