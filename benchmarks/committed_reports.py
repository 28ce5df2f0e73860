"""The reports that are committed: ``reports/SUITE`` holds the pack, the pages, the summary and one picture.

python -m benchmarks.committed_reports quick standard    # run what is missing into runs/, pack it, draw the pages
python -m benchmarks.committed_reports                     # show the marks and write the list of reports only

A report whose numbers this version would not give again is marked in ``reports/measured.toml``: ``hard = "measured by
..."``. The mark is shown on its page, in its summary and in ``reports/README.md``. A suite that is measured anew loses
its mark. ``stale`` says what has changed; ``tests/test_committed_reports.py`` fails where that is not marked.
"""

from __future__ import annotations

import html
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import xai_bench
from benchmarks import hard_numbers, methods_page, moments_standard, paper_numbers, readme_numbers
from xai_bench import plots, registry
from xai_bench.report import write_report
from xai_bench.report.kit.markup import render
from xai_bench.results import boards
from xai_bench.results.frames import Results
from xai_bench.results.packing import SUFFIX
from xai_bench.results.store import Store, pack, read
from xai_bench.running.followups.retention import RetentionFollowUp
from xai_bench.running.under_way import Progress
from xai_bench.scoring import recovery, sanity, settling
from xai_bench.suites import plan
from xai_bench.suites.suite import Entry, Suite
from xai_bench.wording import plural

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"
BOARDS = ROOT / "xai_bench" / "results" / boards.SHIPPED
MARKS = "measured.toml"
LIST = "README.md"
PAGE = "index.html"
PICTURE = "picture.png"
"""The leaderboard as a picture."""
AXES = ("datasets", "models", "explainers")
PARTS = 10
"""So often a run says how far it is."""


def make(suite: str, reports: Path = REPORTS, out: Path = ROOT, jobs: int = 1) -> Path:
    """Run what is missing of a suite, pack it and draw its report from the pack; returns the page.

    Raises
    ------
    SystemExit
        If a cell failed: the report stays as it was.
    """
    results = xai_bench.run(suite, out=out, jobs=jobs, on_progress=_Steps(suite))
    if len(results.failed):
        reasons = "; ".join(sorted(set(results.failed["reason"])))
        raise SystemExit(f"{suite}: {len(results.failed)} cells failed, the report stays as it was: {reasons}")
    name = results.suite["name"]
    folder = reports / name
    packed = read(pack(out / "runs" / name, folder / f"{name}{SUFFIX}"))
    page = write_report(packed, folder, jobs)
    draw(packed, folder / PICTURE)
    unmark(name, reports)
    return page


def draw(results: Results, path: Path) -> None:
    """The leaderboard as a picture; none where there is nothing to rank."""
    try:
        plots.save(results, "leaderboard", path)
    except xai_bench.InputError:
        path.unlink(missing_ok=True)


def ship(results: Results) -> None:
    """What ``xai-bench run SUITE --against shipped`` compares with; none where there is nothing to rank."""
    path = BOARDS / f"{results.suite['name']}{boards.SUFFIX}"
    try:
        boards.Board.of(results).write(path)
    except xai_bench.InputError:
        path.unlink(missing_ok=True)


class _Steps:
    """Prints how far a run is, a few times."""

    def __init__(self, suite: str) -> None:
        self.suite, self.said = suite, 0

    def __call__(self, progress: Progress) -> None:
        total = progress.total + progress.followups
        step = PARTS * (progress.finished + progress.followed) // max(total, 1)
        if step > self.said:
            self.said = step
            print(f"{self.suite}: {100 * step // PARTS} %", flush=True)


def marks(reports: Path = REPORTS) -> dict[str, str]:
    """Report to what is said of its age, in the order of the file."""
    path = reports / MARKS
    return dict(tomllib.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def unmark(name: str, reports: Path = REPORTS) -> None:
    """Remove the mark of a report, if it has one."""
    path = reports / MARKS
    if name in marks(reports):
        kept = [
            line for line in path.read_text(encoding="utf-8").splitlines() if line.partition("=")[0].strip() != name
        ]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def folders(reports: Path = REPORTS) -> list[Path]:
    """The reports that have a page, by name."""
    return sorted(path.parent for path in reports.glob("*/index.html"))


def listed_files(reports: Path = REPORTS) -> dict[str, str]:
    """Every report to the file that is read first: its page, else its summary; by name."""
    found = {path.parent.name: path.name for name in ("summary.md", PAGE) for path in reports.glob(f"*/{name}")}
    return dict(sorted(found.items()))


def pack_of(folder: Path) -> Path | None:
    """The pack of a report, if it has one."""
    path = folder / f"{folder.name}{SUFFIX}"
    return path if path.is_file() else None


def show_mark(folder: Path, mark: str) -> None:
    """Put the mark below the titles of page and summary (those that are there), for an earlier one; "" for none."""
    page, summary = folder / "index.html", folder / "summary.md"
    if page.is_file():
        text = re.sub(r'<p class="notice" id="measured">.*?</p>\n', "", page.read_text(encoding="utf-8"))
        line = f'<p class="notice" id="measured">{html.escape(sentence(mark))}</p>\n'
        page.write_text(text.replace("</h1>\n", f"</h1>\n{line}", 1) if mark else text, encoding="utf-8")
    if summary.is_file():
        text = re.sub(r"\n> Note: .*\n", "", summary.read_text(encoding="utf-8"), count=1)
        note = f"\n> Note: {sentence(mark)}\n"
        summary.write_text(re.sub(r"\A(# .*\n)", rf"\g<1>{note}", text) if mark else text, encoding="utf-8")


def sentence(mark: str) -> str:
    """A mark as it is shown."""
    return f"{mark[:1].upper()}{mark[1:].rstrip('.')}."


def listed(reports: Path = REPORTS) -> str:
    """The list of reports, in Markdown: which version measured each."""
    known = marks(reports)
    lines = [
        "# Reports",
        "",
        "Written by `make reports`. A pack (`SUITE.xaipack`) holds every number; `xai-bench report` and `export`,",
        "`--known` and `xai_bench.read` read it. Published tables beside ours (`anchors`) are a page of the manual.",
        "",
        "| report | title | in short | measured |",
        "|:---|:---|:---|:---|",
    ]
    for name, first in listed_files(reports).items():
        path = pack_of(reports / name)
        texts = [sentence(known[name])] if name in known else []
        if path is not None or not texts:
            by = recorded(reports / name / "summary.md")
            texts.insert(0, by if path is None else f"{by[:-1]}; [pack]({name}/{path.name}).")
        said = " ".join(texts)
        of = titled(reports / name / "summary.md")
        lines.append(f"| [{name}]({name}/{first}) | {of} | [summary]({name}/summary.md) | {said} |")
    return "\n".join(lines) + "\n"


def recorded(summary: Path) -> str:
    """What a summary says of the versions that measured, as a sentence; that it says nothing, if so."""
    text = summary.read_text(encoding="utf-8") if summary.is_file() else ""
    found = re.search(r"\bMeasured (by xai-bench .+?)(?:, drawn|\.(?:\s|$))", text)
    return sentence(found[1]) if found else "The version is not recorded."


def titled(summary: Path) -> str:
    """The title of a summary, "" where there is none."""
    text = summary.read_text(encoding="utf-8") if summary.is_file() else ""
    found = re.match(r"# (.+)", text)
    return found[1].strip() if found else ""


def page_of(reports: Path = REPORTS) -> str:
    """The list of reports as a page."""
    known = marks(reports)
    rows = [
        (name, first, titled(reports / name / "summary.md"), sentence(known[name]) if name in known else "")
        for name, first in listed_files(reports).items()
    ]
    return str(render("list.html", rows=rows))


def finish(reports: Path = REPORTS) -> None:
    """Show the marks, write the list, and what the package holds of the packs."""
    known = marks(reports)
    for name in dict.fromkeys((*(folder.name for folder in folders(reports)), *known)):
        show_mark(reports / name, known.get(name, ""))
    (reports / LIST).write_text(listed(reports), encoding="utf-8")
    (reports / PAGE).write_text(page_of(reports), encoding="utf-8")
    if reports == REPORTS:
        for path in filter(None, map(pack_of, folders(reports))):
            ship(read(path))
        methods_page.write()
        if readme_numbers.PACK.is_file():
            readme_numbers.write()
        if paper_numbers.PACK.is_file():
            paper_numbers.write()
        if hard_numbers.PACK.is_file():
            hard_numbers.write()
        moments_standard.write()


def stale(path: Path) -> list[str]:
    """What in a pack this version would compute in another way; [] for nothing. Files that datasets read are taken
    as they were."""
    results = read(path)
    changed = [text for axis in AXES for entry in results.suite[axis] for text in _changed(axis, entry)]
    if changed:
        return changed
    suite = suite_of(results.suite)
    blocks = plan.blocks(suite)
    keys = {cell.key for block in blocks for cell in block.cells}
    lost = [cell for cell in results._plan["cell"] if cell not in keys]
    if lost:
        return [f"{len(lost)} cells have another key: how data are split, or how controls are made"]
    with Store.reading(path) as store:
        return [*_scores(store), *_followed(store, suite, blocks, results)]


def _changed(axis: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """Why an entry of a suite is not what it was."""
    what = f"{axis} {entry['label']}"
    try:
        now = _entry(axis, entry).identity()
    except xai_bench.InputError as error:
        yield f"{what}: {error}"
        return
    for name, value in now.items():
        if entry.get(name) != _plain(value):
            yield f"{what}: {name} was {entry.get(name)!r}, is {_plain(value)!r}"


def _plain(value: Any) -> Any:
    """Lists for tuples, as in JSON."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _entry(axis: str, stored: Mapping[str, Any]) -> Entry:
    """The entry of today, with the fingerprint of files that is stored."""
    kind = registry.get(axis, stored["name"])
    component = kind(**stored["fields"])
    fingerprint = stored.get("fingerprint", {})

    class AsStored(kind):  # type: ignore[misc, valid-type]
        def fingerprint(self) -> dict[str, Any]:
            return fingerprint

    return Entry(
        label=stored["label"],
        component=AsStored.model_construct(**{name: getattr(component, name) for name in kind.model_fields}),
        standardise=stored.get("standardise"),
        datasets=tuple(stored.get("datasets", ())),
        candidates=tuple(stored.get("candidates", ())),
        tries=stored.get("tries", 0),
    )


def suite_of(config: Mapping[str, Any]) -> Suite:
    """The suite of a pack, with the components of today."""
    axes = {axis: tuple(_entry(axis, entry) for entry in config[axis]) for axis in AXES}
    rest = {name: value for name, value in config.items() if name in Suite.model_fields}
    return Suite.model_validate({**rest, **axes}, strict=False)


def _scores(store: Store) -> Iterator[str]:
    current = recovery.identities()
    stored = {item for metrics in store.scored().values() for item in metrics.items()}
    for name in sorted({name for name, identity in stored if current.get(name) != identity}):
        yield f"metrics {name}: scored by other code"


def _followed(store: Store, suite: Suite, blocks: list[plan.Block], results: Results) -> Iterator[str]:
    rows = results.measurements
    judged = set(rows.loc[rows["metric"].str.startswith("retention_"), "cell"])
    if (followup := RetentionFollowUp.of(suite)) is not None:
        for of_draw in plan.by_draw(blocks).values():
            key = followup.key(of_draw[0].draw, followup._plain_networks(of_draw).values())
            judged -= store.followed("retention", key, judged)
    if judged:
        yield f"retention: {len(judged)} cells were judged in another way"
    shaken = set(rows.loc[rows["metric"].str.startswith("sanity_"), "cell"])
    if shaken - store.followed("sanity", sanity.key(), shaken):
        yield "sanity: networks were initialised anew in another way"
    other = [network for network in results.trained_again if store.settling(network) != settling.key()]
    if other:
        yield f"settling: {plural(len(other), 'network')}, trained once more in another way"


def main(suites: Iterable[str]) -> None:
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for suite in suites:
        print(f"report: {make(suite, jobs=jobs)}", flush=True)
    finish()


if __name__ == "__main__":
    main(sys.argv[1:])
