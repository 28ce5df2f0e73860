"""What is asked of a run: its arguments, and what they come to once the suite is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from xai_bench.errors import InputError
from xai_bench.results.opening import FILE, is_empty
from xai_bench.results.records import PlanRow
from xai_bench.results.store import Store
from xai_bench.suites import plan, reading
from xai_bench.suites.suite import Limits, Suite
from xai_bench.validation import shown

if TYPE_CHECKING:
    from xai_bench.running.under_way import Progress


MOST = {"data_seeds": 100_000, "jobs": 4096}
COUNTED = {
    "data_seeds": "say how many; 3 stands for the data seeds 0, 1 and 2",
    "jobs": "say how many worker processes compute",
}
"""What a number of a request counts."""


@dataclass(frozen=True)
class Request:
    """The arguments of ``run`` and ``forecast``.

    Parameters
    ----------
    suite : a Suite, the name of a shipped one, the path of a .toml file, or the content of one as a dict
    out : folder below which ``runs/SUITE/results.sqlite`` is kept
    jobs : worker processes; None computes in this process. The scores are the same, bit for bit. A suite's limit of
        time is exact with workers, which are killed; in this process it is soft (see ``workers.ThisProcess``).
    scheduler : address of a scheduler of dask, such as ``tcp://HOST:8786``, whose workers compute in place of ``jobs``;
        they need this package, and no shared disk. The scores are the same, bit for bit
    data_seeds : compute the data seeds 0 .. data_seeds-1 instead of the suite's. Further data seeds that the stored
        plan has stay in it, with their results
    datasets, models, explainers : labels; compute nothing else. What is stored of the rest stays. Methods that use no
        network are computed unless ``models`` are named.
    fresh : forget the results that are stored; with ``datasets``, ``models``, ``explainers`` or ``data_seeds`` those
        that these name
    device : where networks are trained and explained: ``cpu``, ``cuda``, ``cuda:1``, or ``auto`` (``cuda`` where there
        is one). Methods of other libraries that know the CPU only, and the sparse paths, run there. What a store holds
        of another device stays: its scores, whose last bits differ, count as all others, its costs are kept apart. On a
        CUDA device ``peak_memory`` is that of the tensors on it, and a suite's limit of memory is not kept.
    known : folders of other runs, such as ``runs/quick`` of another machine, or packs: what they hold of this suite is
        copied, not computed. Their costs are those of their machines. A pack has no weights and relevances in single
        precision: what is scored or retained later of its cells is so by these
    focus : the explainer, network or entrant (``lrp on mlp``) that the report compares with all others, instead of the
        suite's
    on_progress : called after every block and every follow-up of a run; None shows a bar in a notebook, and nothing
        elsewhere
    """

    suite: Suite | str | Path | dict[str, Any]
    _: KW_ONLY
    out: str | Path = "."
    jobs: int | None = None
    scheduler: str | None = None
    data_seeds: int | None = None
    datasets: Sequence[str] = ()
    models: Sequence[str] = ()
    explainers: Sequence[str] = ()
    fresh: bool = False
    device: str = "cpu"
    known: Sequence[str | Path] = ()
    focus: str = ""
    on_progress: Callable[[Progress], None] | None = None


@dataclass(frozen=True)
class Asked:
    """What a request comes to.

    Attributes
    ----------
    suite : without the datasets that are not available; ``notices`` say which
    planned : all blocks of the suite
    chosen : those blocks, and those cells of them, that are to have a result
    wanted : labels that were asked for, by axis, and ``data_seeds``; empty for all
    device : as it is recorded, with its name
    """

    request: Request
    suite: Suite
    notices: tuple[str, ...]
    planned: list[plan.Block]
    chosen: list[plan.Block]
    wanted: dict[str, set[Any]]
    device: str

    @classmethod
    def of(cls, request: Request) -> Self:
        """Read the suite of a request, and plan it.

        Raises
        ------
        InputError
            For a bad suite, an unknown label, labels that do not occur together, missing data, ``data_seeds`` or
            ``jobs`` that are no whole numbers from 1 on, an ``out`` inside the results of a run, or a device that is
            not there.
        """
        from xai_bench import devices

        # A cluster has devices of its own, which its workers are asked for.
        is_elsewhere = request.scheduler is not None
        device, suite = request.device if is_elsewhere else devices.resolve(request.device), request.suite
        if not isinstance(suite, Suite):
            suite = reading.from_dict(suite) if isinstance(suite, dict) else reading.load(suite)
        if request.focus:
            reading.check_focus(suite, request.focus)
            suite = suite.model_copy(update={"focus": request.focus})
        for name in ("data_seeds", "jobs"):
            number = getattr(request, name)
            if number is not None and (isinstance(number, bool) or not isinstance(number, int | np.integer)):
                raise InputError(f"{name}: expected a whole number, got {shown(number)}: {COUNTED[name]}")
            if number is not None and number < 1:
                raise InputError(f"{name}: expected at least 1, got {number}")
            if number is not None and number > MOST[name]:
                raise InputError(f"{name}: expected at most {MOST[name]}, got {shown(number)}")
        if request.jobs is not None and request.scheduler is not None:
            raise InputError("expected jobs or a scheduler, got both: how many workers a cluster has is its own affair")
        check_out(Path(request.out))
        wanted: dict[str, set[Any]] = {
            axis: _wanted(request, suite, axis) for axis in ("datasets", "models", "explainers")
        }
        wanted["data_seeds"] = set(range(request.data_seeds or 0))
        if request.data_seeds is not None:
            suite = _with_data_seeds(suite, request)
            reading.check_size(suite)
        suite, notices = _available(suite)
        planned = plan.blocks(suite, device)
        chosen = _chosen(suite, planned, wanted)
        described = device if is_elsewhere else devices.described(device)
        return cls(request, suite, notices, planned, chosen, wanted, described)

    @property
    def folder(self) -> Path:
        """Where the results are kept."""
        return folder_of(self.request, self.suite)

    @property
    def limits(self) -> Limits:
        """What work may take in this run."""
        return self.suite.limits.kept(self.request.jobs if self.request.scheduler is None else 1)

    @property
    def is_part(self) -> bool:
        """Whether a part of the suite was asked for."""
        return any(self.wanted.values())

    def rows(self) -> Iterator[PlanRow]:
        """The plan, as it is stored."""
        for block in self.planned:
            for cell in block.cells:
                yield PlanRow(
                    cell=cell.key,
                    draw=block.draw.key,
                    model_key=block.model_key,
                    dataset=block.draw.dataset.label,
                    model=block.model_label,
                    explainer=cell.label,
                    data_seed=block.draw.data_seed,
                    model_seed=block.model_seed,
                    fold=block.draw.fold.number if block.draw.fold else -1,
                    permutation=-1 if block.draw.permutation is None else block.draw.permutation,
                )


def check_out(out: Path) -> None:
    """Raise InputError if ``out`` holds the results of a run: another would begin anew one level below."""
    if (out / FILE).is_file():
        parent = out.resolve().parent
        above = parent.parent if parent.name == "runs" else parent
        raise InputError(
            f"--out: expected the folder above runs/, got {str(out)!r}, which holds the results of a run: "
            f"to go on with it, give {str(above)!r}"
        )


def folder_of(request: Request, suite: Suite) -> Path:
    """Where the results of a suite are kept."""
    return Path(request.out) / "runs" / suite.name


def is_stored(folder: Path) -> bool:
    """Whether a run has begun there."""
    return (folder / FILE).is_file() and not is_empty(folder / FILE)


def _with_data_seeds(suite: Suite, request: Request) -> Suite:
    """The data seeds that are asked for, behind those of the stored plan: a part replaces no whole."""
    assert request.data_seeds is not None
    folder, stored = folder_of(request, suite), ()
    if is_stored(folder):
        with Store.reading(folder) as store:
            stored = tuple(store.suite().get("data_seeds", ()))
    # The first data seed of the plan stays the first: null runs and further trainings belong to it.
    seeds = tuple(dict.fromkeys((*stored, *range(request.data_seeds))))
    return suite.model_copy(update={"data_seeds": seeds})


def _wanted(request: Request, suite: Suite, axis: str) -> set[str]:
    labels: Sequence[str] = getattr(request, axis)
    return reading.narrowed(suite, axis, [labels] if isinstance(labels, str) else list(labels))


def _available(suite: Suite) -> tuple[Suite, tuple[str, ...]]:
    """The suite without optional datasets whose files are absent; files that are there are read once."""
    kept, notices = [], []
    for entry in suite.datasets:
        absent = entry.component.missing()
        if absent and not entry.optional:
            raise InputError(absent)
        if absent:
            notices.append(f"{entry.label} is left out: {absent}")
        else:
            if entry.component.reads_files:
                entry.component.load(suite.data_seeds[0])
            kept.append(entry)
    if not kept:
        raise InputError(f"no dataset of the suite {suite.name!r} is available: {'; '.join(notices)}")
    return suite.model_copy(update={"datasets": tuple(kept)}), tuple(notices)


def _chosen(suite: Suite, planned: list[plan.Block], wanted: dict[str, set[Any]]) -> list[plan.Block]:
    """The blocks and cells that are ``wanted``, by axis (none: all); controls come with any block."""
    datasets, models, explainers, seeds = (wanted[axis] for axis in ("datasets", "models", "explainers", "data_seeds"))
    chosen = []
    for block in planned:
        if seeds and block.draw.data_seed not in seeds:
            continue
        if (datasets and block.draw.dataset.label not in datasets) or (models and block.model_label not in models):
            continue
        cells = tuple(c for c in block.cells if not explainers or c.explainer is None or c.label in explainers)
        if any(cell.explainer is not None for cell in cells):
            chosen.append(replace(block, cells=cells))
    if not chosen:
        named = "; ".join(f"{axis} {', '.join(map(str, sorted(names)))}" for axis, names in wanted.items() if names)
        raise InputError(
            f"expected labels that occur together in the suite {suite.name!r}, got {named}: name fewer of them"
        )
    return chosen
