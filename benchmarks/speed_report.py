"""The report of ``make bench``: what pytest-benchmark measured, as ratios, on one page and as JSON.

python benchmarks/speed_report.py .benchmarks/speed.json     # writes reports/speed
python benchmarks/speed_report.py                            # anew from reports/speed/speed.json
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import engine
import numpy as np
from markupsafe import Markup
from pages import Table, plain_numbers, write

from xai_bench.report.kit import drawing
from xai_bench.running.run import provenance
from xai_bench.statistics import interval
from xai_bench.wording import have

FOLDER = Path(__file__).parents[1] / "reports" / "speed"
MIB = 2**20
AXES = {"d": "inputs", "n": "rows", "explainers": "explainers", "seeds": "data seeds"}
NEAR = 0.02
"""A long schedule that is better by no more than this is called equal in the sentence; the table shows all."""

Record = dict[str, Any]


class Ratio(NamedTuple):
    """Median of the paired ratios of the rounds, and the 95 % interval of their geometric mean."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float]) -> Ratio:
        logs = np.log(np.array(above) / np.array(below))
        mean = interval(logs)
        return cls(float(np.exp(np.median(logs))), math.exp(mean.low), math.exp(mean.high))

    def text(self) -> str:
        return f"{short(self.median)} [{short(self.low)}, {short(self.high)}]"


def short(value: float) -> str:
    """Two or three significant digits."""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def seconds(value: float) -> str:
    """With a unit."""
    if value >= 1:
        return f"{short(value)} s"
    return f"{short(1e3 * value)} ms" if value >= 1e-3 else f"{1e6 * value:.0f} µs"


def collected(paths: Sequence[Path]) -> Record:
    """What the report needs of the files of pytest-benchmark: no host, no user, no path."""
    contents = [json.loads(path.read_text()) for path in paths]
    content = contents[-1]
    latest = {
        one["fullname"]: one["extra_info"] for part in contents for one in part["benchmarks"] if one["extra_info"]
    }
    cpu = content["machine_info"].get("cpu", {})
    return {
        "date": content["datetime"][:10],
        "processor": cpu.get("brand_raw", "unknown"),
        "cores": cpu.get("count"),
        "system": f"{content['machine_info']['system']} {content['machine_info']['machine']}",
        "python": content["machine_info"]["python_version"],
        "versions": provenance(None)["versions"],
        "records": list(latest.values()),
    }


def of(content: Record, table: str) -> list[Record]:
    return [record for record in content["records"] if record["table"] == table]


def shipped(content: Record) -> Table:
    """A training step of the shipped network, alone and in stacks."""
    rows = [engine.cells(record) for record in of(content, "engine")]
    return Table("A training step of the shipped network (100-100-50, batch norm, dropout, penalty)", engine.HEAD, rows)


def training(content: Record) -> Table:
    """Ours beside a plain loop, and beside the plain layer."""
    limit = max((record["gigaflops"] for record in of(content, "machine")), default=math.nan)
    rows = []
    for record in of(content, "training"):
        if "aim" not in record:
            continue
        ratio = Ratio.of(record["theirs"], record["ours"])
        own = float(np.median(record["ours"]))
        reached = record["flops"] / own / 1e9 if "flops" in record else None
        lost = record.get("lost")
        rows.append(
            [
                record["what"],
                seconds(own),
                seconds(float(np.median(record["theirs"]))),
                ratio.text(),
                f"{record['aim']:g}",
                "–" if lost is None else f"{np.mean(lost):.3f} ± {np.std(lost, ddof=1) / math.sqrt(len(lost)):.3f}",
                "–" if reached is None else f"{reached:.0f} ({100 * reached / limit:.0f} %)",
            ]
        )
    head = ["", "ours", "baseline", "times faster", "aim", "accuracy lost", "GFLOP/s (of limit)"]
    return Table("Training and retraining beside a plain loop; baselines that run a part are scaled", head, rows)


def first_layer(content: Record) -> Table:
    rows = []
    for record in of(content, "training"):
        if "most" in record:
            ratio = Ratio.of(record["ours"], record["theirs"])
            own, other = (seconds(float(np.median(record[side]))) for side in ("ours", "theirs"))
            rows.append([record["what"], own, other, ratio.text(), f"{record['most']:.2f}"])
    return Table("A training step with a spectral first layer", ["", "spectral", "plain", "ratio", "at most"], rows)


def attribution(content: Record) -> Table:
    """Method by number of inputs: our seconds, and their ratio to the library's."""
    sizes = sorted({record["d"] for record in of(content, "attribution")})
    rows: dict[str, list[str]] = {}
    for record in of(content, "attribution"):
        cells = rows.setdefault(record["method"], ["–"] * (2 * len(sizes)))
        at = 2 * sizes.index(record["d"])
        cells[at] = seconds(float(np.median(record["ours"])))
        cells[at + 1] = charged(record).text() if "theirs" in record else "no such call"
    head = ["", *(text for d in sizes for text in (f"d = {d}", "ours / library"))]
    return Table(
        "One ranking at the defaults, all that the harness does included; what of it is charged to the method, as a "
        "ratio to the library's documented call (below 1: ours is faster)",
        head,
        [[name, *cells] for name, cells in sorted(rows.items())],
    )


def charged(record: Record) -> Ratio:
    """What a method is charged with, set-up and explaining, to the library's call; the whole call if unknown."""
    return Ratio.of(record.get("recorded", record["ours"]), record["theirs"])


def loops(content: Record) -> Table:
    rows = [
        [r["method"], seconds(float(np.median(r["ours"]))), seconds(float(np.median(r["theirs"]))), ratio.text()]
        for r in of(content, "loop")
        for ratio in [Ratio.of(r["theirs"], r["ours"])]
    ]
    return Table("Whole batches beside a loop over rows, d = 64", ["", "ours", "loop", "times faster"], rows)


def startup(content: Record) -> Table:
    rows = []
    for record in of(content, "startup"):
        own, bare = (float(np.median(record[side])) for side in ("ours", "theirs"))
        rows.append([record["what"], seconds(own), seconds(bare), f"{record['aim']:g} s"])
    return Table("Start-up", ["", "time", "bare interpreter", "aim"], rows)


def convergence(content: Record) -> Table:
    """Test scores of the short and the long schedule, means over seeds of the network."""
    rows = []
    for record in of(content, "convergence"):
        rows.append(
            [
                f"{record['dataset']}, {record['network']}",
                f"{record['steps'][0]:,} / {record['steps'][1]:,}",
                f"{np.mean(record['short']):.3f}",
                f"{np.mean(record['long']):.3f}",
                interval_text(np.array(record["short"]) - np.array(record["long"])),
                f"{record['chance']:.3f}",
            ]
        )
    head = ["", "steps", "short", "long", "short − long", "chance"]
    return Table("Short beside long schedule: test score on all inputs, means over three seeds", head, rows)


def interval_text(values: Iterable[float]) -> str:
    found = interval(list(values))
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]".replace("-", "−")


def curves_of(content: Record) -> dict[tuple[str, str], list[Record]]:
    """(axis, what) to its points in ascending order."""
    result: dict[tuple[str, str], list[Record]] = {}
    for record in of(content, "growth"):
        if record["axis"] in AXES:
            result.setdefault((record["axis"], record["what"]), []).append(record)
    return {key: sorted(points, key=lambda p: p[key[0]]) for key, points in result.items()}


def exponent(points: Sequence[Record], axis: str, field: str) -> float | None:
    """Slope of log field over log axis at the upper half of the points (at least three)."""
    known = [p for p in points if p.get(field)]
    known = known[-max(3, math.ceil(len(known) / 2)) :]
    if len(known) < 3:
        return None
    return float(np.polyfit(np.log([p[axis] for p in known]), np.log([p[field] for p in known]), 1)[0])


def growth(content: Record) -> Table:
    rows = []
    for (axis, what), points in curves_of(content).items():
        first, last = points[0], points[-1]
        slopes = [exponent(points, axis, field) for field in ("seconds", "grown")]
        rows.append(
            [
                f"{what}, {AXES[axis]} {first[axis]:,} to {last[axis]:,}",
                seconds(first["seconds"]),
                seconds(last["seconds"]),
                *("–" if slope is None else f"{slope:.2f}" for slope in slopes[:1]),
                "–" if last["grown"] is None else f"{last['grown'] / MIB:,.0f} MiB",
                *("–" if slope is None else f"{slope:.2f}" for slope in slopes[1:]),
            ]
        )
    head = ["", "first", "last", "exponent of time", "memory at the last", "exponent of memory"]
    return Table("Growth: exponents of the upper half of the points", head, rows)


def figure(content: Record, field: str, scale: float, label: str) -> str:
    """Log-log curves, a panel an axis."""
    curves = curves_of(content)
    axes_shown = [axis for axis in AXES if any(key[0] == axis for key in curves)]
    names = list(dict.fromkeys(what for _, what in curves))
    rest = iter(drawing.OTHERS)
    colors = {
        n: drawing.HIGHLIGHT if n == "spectral" else drawing.INK if n in ("training", "run") else next(rest)
        for n in names
    }
    with drawing.style():
        drawn, axes = drawing.new(3.0 * len(axes_shown), 2.7, 1, len(axes_shown))
        for axis, place in zip(axes_shown, axes[0], strict=True):
            for i, name in enumerate(names):
                points = [p for p in curves.get((axis, name), []) if p.get(field)]
                place.plot(
                    [p[axis] for p in points],
                    [p[field] * scale for p in points],
                    marker=drawing.MARKERS[i % len(drawing.MARKERS)],
                    color=colors[name],
                    ms=4,
                    lw=1.2,
                )
            place.set(xscale="log", yscale="log", xlabel=AXES[axis])
            low, high = np.log10(place.get_ylim())
            place.set_ylim(10 ** math.floor(low), 10 ** math.ceil(high))
            if axis in ("explainers", "seeds"):
                place.set_xticks([p[axis] for p in curves[axis, "run"]])
            plain_numbers(place)
        axes[0][0].set_ylabel(label)
        handles = [
            drawing.handle(color=colors[n], marker=drawing.MARKERS[i % len(drawing.MARKERS)], ls="-")
            for i, n in enumerate(names)
        ]
        drawn.legend(handles, names, loc="outside lower center", ncols=min(len(names), 5))
        return drawing.svg(drawn, field)


def sentences(content: Record) -> list[str]:
    """What the tables say, aim by aim."""
    found = []
    for record in of(content, "engine"):
        what = engine.found(record)
        reached = (what["alone"], what["stack"], what["share"])
        texts = (
            f"alone {short(what['alone'])} times as fast as the first release (aim {what['aims'][0]:g})",
            f"in the best stack {short(what['stack'])} times as fast as a plain loop (aim {what['aims'][1]:g})",
            f"{100 * what['share']:.0f} % of the matrix product's limit (aim {100 * what['aims'][2]:.0f} %)",
        )
        verdicts = ("met" if value >= aim else "missed" for value, aim in zip(reached, what["aims"], strict=True))
        both = "; ".join(f"{text}: {verdict}" for text, verdict in zip(texts, verdicts, strict=True))
        found.append(f"Shipped network, d = {record['d']}: {both}.")
    for record in of(content, "training"):
        if "aim" in record:
            ratio = Ratio.of(record["theirs"], record["ours"])
            verdict = "met" if ratio.median >= record["aim"] else "missed"
            lost = ""
            if "lost" in record:
                lost = f", at {np.mean(record['lost']):.3f} of accuracy lost (aim: at most .005)"
            found.append(
                f"{record['what']}: {short(ratio.median)} times faster (aim {record['aim']:g}: {verdict}){lost}."
            )
        if "most" in record:
            ratio = Ratio.of(record["ours"], record["theirs"])
            verdict = "met" if ratio.median <= record["most"] else "missed"
            found.append(f"{record['what']}: {short(ratio.median)} times (at most {record['most']:.2f}: {verdict}).")
    compared = [r for r in of(content, "attribution") if "theirs" in r]
    slower = [r for r in compared if charged(r).high > 1.10]
    if compared:
        sizes: dict[str, list[str]] = {}
        for record in slower:
            sizes.setdefault(record["method"], []).append(str(record["d"]))
        names = ", ".join(f"`{method}` ({', '.join(ds)})" for method, ds in sizes.items())
        within = len(compared) - len(slower)
        found.append(
            f"Of {len(compared)} comparisons with a library's documented call, {within} {have(within)} the "
            "upper end of their interval at 1.10 or below" + (f"; the others, with d: {names}." if slower else ".")
        )
    for record in of(content, "startup"):
        own = float(np.median(record["ours"]))
        verdict = "met" if own < record["aim"] else "missed"
        found.append(f"`{record['what']}` takes {seconds(own)} (aim {record['aim']:g} s: {verdict}).")
    for record in of(content, "growth"):
        if record["axis"] == "large":
            verdict = "met" if record["peak"] < record["limit"] else "missed"
            found.append(
                f"{record['d']:,} inputs and {record['n']:,} rows, a run with four explainers and retention: "
                f"{seconds(record['seconds'])}, {record['peak'] / 2**30:.2f} GiB for the whole process "
                f"(aim 4 GiB: {verdict})."
            )
    worse = [r for r in of(content, "convergence") if np.mean(r["long"]) - np.mean(r["short"]) > NEAR]
    if of(content, "convergence"):
        names = ", ".join(f"{r['dataset']} ({r['network']})" for r in worse)
        found.append(
            f"The long schedule is better by more than {NEAR} on {len(worse)} of {len(of(content, 'convergence'))} "
            "combinations of dataset and network" + (f": {names}." if worse else ".")
        )
    return found


def report(content: Record, folder: Path = FOLDER) -> None:
    """Write index.html, summary.md and speed.json."""
    machine = [
        f"{r['gigaflops']:.0f} GFLOP/s ({' × '.join(str(n) for n in r['shape'])})" for r in of(content, "machine")
    ]
    builders: dict[str, list[Callable[[Record], Table]]] = {
        "training": [shipped, training, first_layer],
        "convergence": [convergence],
        "attribution": [attribution, loops],
        "growth": [growth],
        "startup": [startup],
    }
    tables = {name: [t for t in (build(content) for build in some) if t.rows] for name, some in builders.items()}
    facts = {
        "Processor": f"{content['processor']}, {content['cores']} cores, one thread used",
        "Matrix product": ", ".join(machine) or "not measured",
        "System": f"{content['system']}, Python {content['python']}",
        "Libraries": ", ".join(f"{name} {version}" for name, version in content["versions"].items()),
        "Date": content["date"],
    }
    drawn = {}
    if curves_of(content):
        drawn = {
            "seconds": Markup(figure(content, "seconds", 1.0, "seconds")),
            "memory": Markup(figure(content, "grown", 1 / MIB, "MiB above the start")),
        }
    write("speed", folder, {"sentences": sentences(content), "tables": tables, "facts": facts, "figures": drawn})
    (folder / "speed.json").write_text(
        json.dumps(with_ratios(content), indent=1) + "\n", encoding="utf-8", newline="\n"
    )


def with_ratios(content: Record) -> Record:
    """The content with the ratio of the sides (ours to theirs) in every comparison; seconds at four digits."""
    records = []
    for record in content["records"]:
        sides = ("ours", "theirs", "recorded")
        new = {k: [float(f"{x:.4g}") for x in v] if k in sides else v for k, v in record.items()}
        if "theirs" in record:
            new["ours_to_theirs"] = [float(f"{x:.4g}") for x in Ratio.of(record["ours"], record["theirs"])]
        records.append(new)
    return {**content, "records": records}


def main(arguments: list[str]) -> None:
    if arguments:
        report(collected([Path(argument) for argument in arguments]))
    else:
        report(json.loads((FOLDER / "speed.json").read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
