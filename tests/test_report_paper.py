"""What a report shows of the inputs themselves: histograms, pictures, spectra, and scores with few of them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.reports import build, pages, parsed, section
from xai_bench.datasets.stellar import LINES, WAVELENGTHS
from xai_bench.report import write_report
from xai_bench.report.kit import drawing, pixels, saturation, spectra
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.shares import share, shares, trainings
from xai_bench.report.sections import distribution, inputs, lines, maps, pictures, retained, spectrum
from xai_bench.report.sections.first_inputs import FirstInputs
from xai_bench.report.sections.kept import Kept
from xai_bench.report.sections.lines import Lines
from xai_bench.report.sections.networks import Networks
from xai_bench.results.frames import Results

HISTOGRAMS = {
    "edges": [np.linspace(-1, 1, 5).tolist()] * 6,
    "counts": [[[1, 2, 3, 4]] * 6, [[8, 0, 0, 8]] * 6],
}
KS = (1, 2, 3, 10, 17, 50)


def drawn(kind: type[Section], results: Results) -> str:
    """The figure of a section on the dataset ``toy``; nothing where it has nothing to show."""
    section = kind(Frames(results), "toy")
    return section.figures()[0].drawing if section.needs() else ""


def spectral_facts(d: int = 300) -> dict[str, object]:
    """A stretch of the spectrum that holds the lines Mg b and two Fe lines, the last of them called noise."""
    axis = WAVELENGTHS[1800 : 1800 + d]

    def window(name: str, kind: str, role: str) -> dict[str, object]:
        line = next(line for line in LINES if line.name == name)
        centre = int(np.argmin(np.abs(axis - line.wavelength)))
        return {"name": name, "kind": kind, "role": role, "columns": list(range(centre - 2, centre + 3))}

    return {
        "feature_names": [f"{value:.1f}" for value in axis], "feature_units": ["A"] * d, "kind": "regression",
        "target_units": "dex", "target_name": "[Fe/H]", "floor_mae": 0.0123,
        "views": {"mean": np.linspace(0.5, 1, d).tolist()},
        "windows": [window("Mg b3", "metal", "relevant"), window("Mg b1", "metal", "relevant"),
                    window("Fe 5270", "telluric", "noise")],
    }  # fmt: skip


def test_histograms_are_shares_of_a_class(tmp_path):
    facts = {"views": {"histograms": HISTOGRAMS}, "class_names": ["no", "yes"]}
    svg = drawn(inputs.Inputs, build(tmp_path, facts=facts))
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
    assert [t for t in texts if t.startswith("x")] == [
        "x1: relevant (1)", "x2: relevant (0.5)", "x3: noise", "x4: noise", "x5: noise", "x6: noise",
    ]  # fmt: skip
    assert {"class no", "class yes"} <= set(texts)
    strokes = re.findall(rf'<path d="([^"]+)"[^>]*stroke:{inputs.CLASSES[0]}', svg)
    points = np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", strokes[0]), dtype=float)
    heights = (points[:, 1].max() - points[:, 1])[1:-1:2]
    assert heights / heights.max() == pytest.approx([0.25, 0.5, 0.75, 1.0], abs=0.01)


def test_no_histograms_without_views(tmp_path):
    assert not drawn(inputs.Inputs, build(tmp_path))


def test_relevances_are_counted_by_run_then_by_draw():
    # Two runs of one draw, one of another; each divided by its own largest value.
    counts = distribution.counted(
        {0: [np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.0, 3.0])], 1: [np.array([5.0, 5.0])]}
    )
    expected = np.full(distribution.BINS, np.nan)
    expected[0], expected[12], expected[-1] = 0.75, 0.25, 1.5
    np.testing.assert_allclose(counts, expected)


def test_deviation_over_trainings_is_of_the_first_draw(tmp_path):
    results = build(tmp_path, trainings=4)
    found = trainings(Frames(results), "toy")
    vectors = [share(results.relevance[f"0-net-spectral-{again}"]) for again in range(4)]
    one = found[Pair("net", "spectral")]
    assert one.n == 4
    np.testing.assert_allclose(one.sd, np.std(vectors, axis=0, ddof=1))
    np.testing.assert_allclose(one.mean, np.mean(vectors, axis=0))
    assert all(pair.model != "no model" for pair in found)
    draws = shares(Frames(results), "toy")[Pair("net", "spectral")]
    others = [share(results.relevance[f"{seed}-net-spectral-0"]) for seed in (1, 2)]
    np.testing.assert_allclose(draws.mean, np.mean([np.mean(vectors, axis=0), *others], axis=0))


def test_one_training_has_no_deviation_over_trainings(tmp_path):
    assert trainings(Frames(build(tmp_path)), "toy") == {}


def test_kept_pixels_are_the_most_relevant(tmp_path):
    ink = np.arange(64) % 4 * 85
    views_ = {"pictures": [{"class": "0", "pixels": ink.tolist()}, {"class": "1", "pixels": (255 - ink).tolist()}]}
    frames = Frames(build(tmp_path, d=64, shape=(8, 8), facts={"views": views_}))
    found = pictures.kept(frames, "toy")
    assert [(line.method, line.network) for line in found.lines] == [
        ("whole", ""), ("spectral", "net"), ("column_norm", "plain"), ("saliency", "net"),
    ]  # fmt: skip
    best = set(np.argsort(-shares(frames, "toy")[Pair("net", "spectral")].mean)[: found.k].tolist())
    kept, blank = set(), set()
    for color, path in re.findall(r'<path fill="(#\w+)" d="([^"]*)"', found.lines[1].svgs[0]):
        for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path):
            cells = {8 * int(y) + int(x) + i for i in range(int(width))}
            kept |= cells
            blank |= cells if color == pictures.BLANK else set()
    assert kept == best
    assert blank == {j for j in best if ink[j] == 0}


def test_an_input_without_relevance_is_not_kept():
    assert pictures.most_relevant(np.array([0.0, 2.0, 0.0, 1.0]), 3).tolist() == [False, True, False, True]


@pytest.mark.parametrize("seed", range(5))
def test_names_are_spread_by_least_squares(seed):
    from sklearn.isotonic import IsotonicRegression

    positions = np.sort(np.random.default_rng(seed).uniform(0, 10, 12))
    gap, steps = 0.8, 0.8 * np.arange(12)
    expected = IsotonicRegression().fit_transform(np.arange(12), positions - steps) + steps
    found = spectrum.spaced(positions.tolist(), gap)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert (np.diff(found) >= gap - 1e-9).all()


def test_lines_come_from_the_truth_or_from_the_wavelengths():
    facts = spectral_facts()
    known = spectra.marks(facts)
    assert [mark.name for mark in known] == ["Mg b1", "Mg b3", "Fe 5270"]
    assert [mark.role for mark in known] == ["relevant", "relevant", "noise"]
    assert (known[0].element, known[0].wavelength) == ("Mg", 5167.32)
    without = spectra.marks({**facts, "windows": []})
    assert [mark.name for mark in without] == ["Mg b1", "Mg b2", "Mg b3", "Fe 5270", "Fe 5335"][: len(without)]
    assert {mark.role for mark in without} == {""}
    axis = np.array([float(name) for name in facts["feature_names"]])  # type: ignore[attr-defined]
    for mark in without:
        assert abs(axis[list(mark.columns)].mean() - mark.wavelength) < 0.5
    assert spectra.marks({**facts, "feature_units": ["m"] * 300}) == []
    assert spectra.wavelengths({"feature_names": ["a", "b"], "feature_units": ["A", "A"]}) is None


def test_a_line_counts_by_the_largest_relevance_in_its_window():
    known = spectra.marks(spectral_facts())
    relevance = np.full(300, 0.1)
    relevance[known[0].columns[0]], relevance[known[2].columns[4]] = 0.5, 2.0
    np.testing.assert_allclose(lines.scores_of(relevance, known), [0.25, 0.05, 1.0])


def test_spectrum_has_a_panel_a_network_and_named_lines(tmp_path):
    results = build(tmp_path, d=300, facts=spectral_facts(), content={"test_mae": 0.05})
    svg = drawn(spectrum.Spectrum, results)
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
    assert {"net", "plain", "Mg b1", "Mg b3", "Fe 5270", "wavelength (Å)", "metal", "telluric or interstellar"} <= set(
        texts
    )
    assert (texts.count("spectral"), texts.count("column_norm"), texts.count("saliency")) == (1, 1, 2)
    (table,) = Lines(Frames(results), "toy").tables()
    assert [row.name for row in table.bodies[0].rows] == ["Mg b1", "Mg b3", "Fe 5270"]
    for column in (-2, -1):
        assert max(row.boxes[column].value or 0 for row in table.bodies[0].rows) == 1
    (reached,) = Networks(Frames(results), "toy").tables()
    assert [column.name for column in reached.columns[1:3]] == ["Test MAE (dex)", "Noise floor (dex)"]
    assert [cell.main for cell in reached.bodies[0].rows[0].boxes[1:3]] == ["0.050", "0.012"]


def test_classification_has_no_error_in_units(tmp_path):
    (table,) = Networks(Frames(build(tmp_path, content={"test_mae": None})), "toy").tables()
    assert not any("MAE" in column.name for column in table.columns)


def saturating(explainer: str, k: int) -> float:
    """Random inputs nearly do what all do, from 17 on; methods differ before."""
    if explainer == "random":
        return {1: 0.6, 2: 0.7, 3: 0.75, 10: 0.9, 17: 0.96}.get(k, 0.99)
    return {1: 0.7, 2: 0.8, 3: 0.9}.get(k, 0.99) if explainer != "saliency" or k > 2 else 0.55


def test_saturation_is_said_with_its_numbers(tmp_path):
    frames = Frames(build(tmp_path, d=784, ks=KS, curve=saturating))
    assert saturation.saturation(frames, "toy") == pytest.approx((17, 784, 0.96, 0.99, 0.5))
    text = " ".join(saturation.words(frames, ["toy"]))
    assert "17 inputs chosen at random out of 784 reach 0.960, all of them 0.990" in text
    assert (
        "with 2 inputs, where methods differ most, their means lie between 0.550 and 0.800, random inputs at 0.700"
        in text
    )
    assert "50 of 784 inputs: random inputs 0.990" in text
    svg = drawn(FirstInputs, frames.results)
    assert {"1", "2", "3", "10"} <= set(re.findall(r"<text[^>]*>([^<]+)</text>", svg))


def test_masked_gains_that_follow_the_network_are_said_to(tmp_path):
    results = build(tmp_path, d=300)
    rows = results._measurements["metric"] == "retention_masked_gain"
    cells = results._measurements["cell"]
    # 0.2 apart over networks, 0.1 over methods; then the other way round.
    for network, method, expected in ((0.2, 0.1, True), (0.1, 0.2, False)):
        gain = 0.3 + network * cells.str.contains("net") + method * cells.str.contains("saliency")
        results._measurements.loc[rows, "value"] = gain[rows]
        results.__dict__.pop("measurements", None)
        extra = results._plan[results._plan["explainer"] == "spectral"].assign(explainer="column_norm")
        changed = replace(results, _plan=pd.concat([results._plan, extra], ignore_index=True))
        text = " ".join(saturation.words(Frames(changed), ["toy"]))
        assert ("(14.1 points over networks, 7.1 over methods)" in text) == expected
        assert ("Masked curves" in text) == expected


def test_no_saturation_where_random_inputs_do_poorly(tmp_path):
    frames = Frames(build(tmp_path, d=784, ks=KS, curve=lambda name, k: 0.5 + 0.49 * (k == 784 or name != "random")))
    assert saturation.saturation(frames, "toy") is None
    assert not any("saturates" in text for text in saturation.words(frames, ["toy"]))
    assert not drawn(FirstInputs, frames.results)


def test_table_of_kept_inputs_puts_retrained_first(tmp_path):
    (table,) = Kept(Frames(build(tmp_path, d=300, ks=KS, curve=saturating)), "toy").tables()
    assert [(c.group, c.name) for c in table.columns] == [
        ("Retrained", "k = 1"), ("Retrained", "k = 3"), ("Retrained", "k = 10"), ("Retrained", "k = 17"),
        ("Retrained", "k = 50"), ("Masked", "k = 17"), ("Masked", "k = 50"),
    ]  # fmt: skip
    controls = {row.name: row for row in table.bodies[-1].rows}
    assert [cell.main for cell in controls["random"].boxes[:4]] == ["0.600", "0.750", "0.900", "0.960"]
    assert {cell.main for cell in controls["random"].boxes[5:]} == {"–"}


@pytest.mark.parametrize(
    ("ks", "expected"),
    [([1, 2, 3, 5, 8, 12, 20], [1, 2, 3, 5, 8, 12, 20]), ([*range(1, 100), 784], [1, 2, 5, 10, 20, 50, 100, 200, 784]),
     ([*range(1, 21)], [1, 2, 5, 10, 20])],
    ids=["few", "many", "dense"],
)  # fmt: skip
def test_ticks_do_not_touch(ks, expected):
    assert retained.ticks(ks) == expected


def test_curves_have_a_file_of_their_own_where_k_is_named(tmp_path):
    folder = write_report(
        build(tmp_path / "store", trainings=3, ks=(1, 2, 3), curve=lambda _, k: k / 10), tmp_path / "r"
    ).parent
    frame = pd.read_csv(folder / "curves.csv")
    assert list(frame) == ["dataset", "model", "explainer", "metric", "k", "mean", "low", "high", "n"]
    row = frame[(frame["model"] == "net") & (frame["explainer"] == "spectral") & (frame["k"] == 2)]
    assert row[["metric", "mean", "n"]].to_numpy().tolist() == [
        ["retention_masked", 0.2, 3],
        ["retention_retrained", 0.2, 3],
    ]
    assert set(pd.read_csv(folder / "measurements.csv")["k"]) == {0}
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert 'href="curves.csv"' in page
    assert "1, 2, 3 (those below d)" in section(page, "reading")
    assert "over the 3 trainings on the first draw" in page


def test_without_named_k_there_is_no_file_of_curves(tmp_path):
    folder = write_report(build(tmp_path / "store"), tmp_path / "r").parent
    assert not (folder / "curves.csv").exists()
    assert {1, 2, 3} <= set(pd.read_csv(folder / "measurements.csv")["k"])


def test_pages_with_pictures_histograms_and_spectra_are_well_formed(tmp_path):
    ink = (np.arange(64) % 4 * 85).tolist()
    facts = {"views": {"pictures": [{"class": name, "pixels": ink} for name in "01"]}}
    page, _ = pages(tmp_path / "pictures", d=64, shape=(8, 8), facts=facts)
    parser = parsed(page)
    assert len(parser.ids) == len(set(parser.ids))
    assert 'class="paper digits"' in page
    assert "17 most relevant pixels" in page
    page, _ = pages(tmp_path / "spectra", d=300, facts=spectral_facts(), content={"test_mae": 0.05})
    parser = parsed(page)
    assert len(parser.ids) == len(set(parser.ids))
    assert "Relevance by line" in page
    page, _ = pages(tmp_path / "histograms", facts={"views": {"histograms": HISTOGRAMS}})
    assert len(parsed(page).ids) == len(set(parsed(page).ids))
    assert "Every input by class" in page


def test_labels_of_figures_keep_their_digits():
    with drawing.style():
        figure, axes = drawing.new(2, 2)
        axes[0, 0].set_yticks([0.0], ["0.00125"])
        assert ">0.00125<" in drawing.svg(figure, "k")


@pytest.mark.parametrize(("d", "shape"), [(64, (8, 8)), (300, None)], ids=["picture", "long row"])
def test_many_inputs_are_maps(tmp_path, d, shape):
    page, _ = pages(tmp_path, d=d, shape=shape)
    parsed(page)
    assert ("pictures" if shape else "strips") in page
    if shape is None:
        assert "the largest of 2 neighbouring inputs" in page
    else:
        assert 'viewBox="0 0 8 8"' in page


def test_cells_are_drawn_where_they_are():
    values = np.array([[0.0, 1.0, 1.0], [0.5, 0.0, 1.0]])
    levels = np.zeros_like(values)
    palette = ["white", "light", "middle", "dark"]
    svg = pixels.drawn(values, 1.0, palette)
    for color, path in re.findall(r'<path fill="(\w+)" d="([^"]*)"', svg):
        for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path):
            levels[int(y), int(x) : int(x) + int(width)] = palette.index(color)
    assert levels.tolist() == [[0, 3, 3], [2, 0, 3]]


def test_a_strip_keeps_the_largest_of_its_neighbours():
    assert maps.strip(np.array([1.0, 3.0, 2.0, 0.0, 5.0]), 2).tolist() == [[3.0, 2.0, 5.0]]
