"""A method of one's own against a comparison that somebody else ran: what is run here for that."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xai_bench import registry
from xai_bench.errors import InputError, unknown
from xai_bench.results import boards
from xai_bench.results.boards import SHIPPED, Board
from xai_bench.results.placing import REFERENCES, Placed, own_names
from xai_bench.results.store import read
from xai_bench.running.request import Request
from xai_bench.running.run import compute
from xai_bench.suites import reading
from xai_bench.suites.suite import Entrants, Entry, Settling, Suite

if TYPE_CHECKING:
    from xai_bench.running.under_way import Progress


def place(
    suite: Suite | str | Path | dict[str, Any],
    explainers: Sequence[str],
    *,
    against: str | Path = SHIPPED,
    out: str | Path = ".",
    jobs: int | None = None,
    data_seeds: int | None = None,
    datasets: Sequence[str] = (),
    fresh: bool = False,
    device: str = "cpu",
    on_progress: Callable[[Progress], None] | None = None,
) -> Placed:
    """Run methods of one's own, and reference methods once more, on a suite that somebody else has run; compare.

    Parameters
    ----------
    explainers : registered methods that the other comparison does not have, with their default fields
    against : ``shipped``, the comparison of that suite that comes with the package, or a folder of results, or a pack
    suite, out, jobs, data_seeds, datasets, fresh, device, on_progress : see ``run``; the results are kept under a name
        of their own, ``SUITE_EXPLAINER``

    Raises
    ------
    InputError
        As ``run``; if there is no such comparison, or a method is unknown or in it already.
    """
    request = Request(
        suite, out=out, jobs=jobs, data_seeds=data_seeds, datasets=datasets, explainers=explainers, fresh=fresh,
        device=device, on_progress=on_progress,
    )  # fmt: skip
    asked = asked_against(request, against)
    return Placed(compute(asked.request), asked.board, asked.own)


class Against(NamedTuple):
    """What is run here, and what it is compared with."""

    request: Request
    board: Board
    own: tuple[str, ...]


def asked_against(request: Request, against: str | Path) -> Against:
    """The request whose suite holds the references and one's own methods only, where the other comparison has scores.

    Follow-ups are left out: places are by recovery.

    Raises
    ------
    InputError
        See ``place``.
    """
    suite = request.suite
    if not isinstance(suite, Suite):
        suite = reading.from_dict(suite) if isinstance(suite, dict) else reading.load(suite)
    board = boards.shipped(suite.name) if str(against) == SHIPPED else Board.of(read(against))
    if board.suite != suite.name:
        raise InputError(f"against: expected results of the suite {suite.name!r}, got those of {board.suite!r}")
    if request.known or request.models:
        raise InputError("against: expected all networks of the suite, trained here: do without --known and --models")
    own = own_names(request.explainers, board)
    known = [*registry.names("explainers"), *(entry.label for entry in suite.explainers)]
    for name in request.explainers:
        if name not in own and name not in REFERENCES:
            raise InputError(f"against: {name!r} is in that comparison already: name methods that are not")
    if not own:
        raise InputError(
            "against: expected methods of your own in explainers, got none: --explainers NAME --plugin FILE"
        )
    for name in own:
        if name.partition(":")[0] not in known:
            raise unknown("explainer", name, known)
    return Against(replace(request, suite=_reduced(suite, board, own), explainers=()), board, own)


def _reduced(suite: Suite, board: Board, own: Sequence[str]) -> Suite:
    """The suite with the references and one's own methods, on the datasets where the board has scores."""
    scored = set(board.values["dataset"])
    again = [entry for entry in suite.explainers if entry.label in REFERENCES]
    if not again:
        raise InputError(
            f"against: expected a suite that has one of {', '.join(REFERENCES)}, got {suite.name!r}: nothing in it can "
            "say whether local networks are like those"
        )
    listed = {entry.label: entry for entry in suite.explainers}
    added = [listed.get(name) or Entry(label=name, component=registry.create("explainers", name, {})) for name in own]
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", "_".join([suite.name, *own]))
    return suite.model_copy(
        update={
            "name": name,
            "title": f"{suite.title or suite.name}: {', '.join(own)}",
            "datasets": tuple(entry for entry in suite.datasets if entry.label in scored),
            "explainers": (*again, *added),
            "entrants": Entrants(explainers=tuple(entry.label for entry in again)),
            "focus": own[0],
            "retention": None,
            "calibration": None,
            "sanity": None,
            "settling": Settling(draws=0),
        }
    )
