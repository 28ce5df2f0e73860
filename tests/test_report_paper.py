"""What a report shows of the inputs themselves: relevances, histograms, pictures, spectra."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.reports import build, parsed
from xai_bench import plots
from xai_bench.datasets.stellar import LINES, WAVELENGTHS
from xai_bench.report.kit import drawing, pixels, spectra
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.markup import of_section
from xai_bench.report.kit.section import Section
from xai_bench.report.kit.shares import Pair, shares
from xai_bench.report.sections import histograms, maps, pictures, spectrum
from xai_bench.report.sections.networks import Networks
from xai_bench.report.sections.relevance import Relevance
from xai_bench.results.frames import Results

HISTOGRAMS = {
    "edges": [np.linspace(-1, 1, 5).tolist()] * 6,
    "counts": [[[1, 2, 3, 4]] * 6, [[8, 0, 0, 8]] * 6],
}


def drawn(kind: type[Section], results: Results) -> str:
    """The figure of a section on the dataset ``toy``; nothing where it has nothing to show."""
    section = kind(Frames(results), "toy")
    return section.figures()[0].drawing if section.needs() else ""


def decoded(image: str) -> np.ndarray:
    """(rows, columns, 3) of an <img>."""
    data = re.search(r"base64,([^\"]+)", image)
    return np.array(Image.open(io.BytesIO(base64.b64decode(data[1]))).convert("RGB"))


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
    svg = drawn(histograms.Histograms, build(tmp_path, facts=facts))
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
    assert [t for t in texts if t.startswith("x")] == [
        "x1: relevant (1)", "x2: relevant (0.5)", "x3: noise", "x4: noise", "x5: noise", "x6: noise",
    ]  # fmt: skip
    assert {"class no", "class yes"} <= set(texts)
    strokes = re.findall(rf'<path d="([^"]+)"[^>]*stroke:{histograms.CLASSES[0]}', svg)
    levels = np.array(re.findall(r"V([\d.]+)", strokes[0]), dtype=float)  # up to each bar, and back to the axis
    heights = levels[-1] - levels[:-1]
    assert heights / heights.max() == pytest.approx([0.25, 0.5, 0.75, 1.0], abs=0.01)


def test_no_histograms_without_views(tmp_path):
    assert not drawn(histograms.Histograms, build(tmp_path))


def test_kept_pixels_are_the_most_relevant(tmp_path):
    ink = np.arange(64) % 4 * 85
    views_ = {"pictures": [{"class": "0", "pixels": ink.tolist()}, {"class": "1", "pixels": (255 - ink).tolist()}]}
    frames = Frames(build(tmp_path, d=64, shape=(8, 8), facts={"views": views_}))
    found = pictures.kept(frames, "toy")
    assert [(line.method, line.network) for line in found.lines] == [
        ("whole", ""), ("spectral", "net"), ("column_norm", "plain"), ("saliency", "net"),
    ]  # fmt: skip
    best = set(np.argsort(-shares(frames, "toy")[Pair("net", "spectral")].mean)[: found.k].tolist())
    colors = decoded(found.lines[1].svgs[0]).reshape(64, 3)
    nothing, blank = ([int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in (pictures.NOTHING, pictures.BLANK))
    assert {j for j in range(64) if colors[j].tolist() != nothing} == best
    assert {j for j in range(64) if colors[j].tolist() == blank} == {j for j in best if ink[j] == 0}


def test_an_input_without_relevance_is_not_kept():
    assert pictures.most_relevant(np.array([0.0, 2.0, 0.0, 1.0]), 3).tolist() == [False, True, False, True]


@pytest.mark.parametrize("seed", range(5))
def test_names_are_spread_by_least_squares(seed):
    from sklearn.isotonic import IsotonicRegression

    positions = np.sort(np.random.default_rng(seed).uniform(0, 10, 12))
    gap, steps = 0.8, 0.8 * np.arange(12)
    expected = IsotonicRegression().fit_transform(np.arange(12), positions - steps) + steps
    found = plots.spaced(positions.tolist(), gap)
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
    np.testing.assert_allclose(spectrum.scores_of(relevance, known), [0.25, 0.05, 1.0])


def test_spectrum_has_a_panel_a_network_and_named_lines(tmp_path):
    results = build(tmp_path, d=300, facts=spectral_facts(), content={"test_mae": 0.05})
    svg = drawn(spectrum.Spectrum, results)
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
    assert {"net", "plain", "Mg b1", "Mg b3", "Fe 5270", "wavelength (Å)", "metal", "telluric or interstellar"} <= set(
        texts
    )
    assert (texts.count("spectral"), texts.count("column_norm"), texts.count("saliency")) == (1, 1, 2)
    (table,) = spectrum.Spectrum(Frames(results), "toy").tables()
    assert [row.name for row in table.rows] == ["Mg b1", "Mg b3", "Fe 5270"]
    for column in (-2, -1):
        assert max(row.boxes[column].value or 0 for row in table.rows) == 1
    (reached,) = Networks(Frames(results), "toy").tables()
    assert [column.name for column in reached.columns[1:3]] == ["Test MAE (dex)", "Noise floor (dex)"]
    assert [cell.main for cell in reached.rows[0].boxes[1:3]] == ["0.050", "0.012"]


def test_classification_has_no_error_in_units(tmp_path):
    (table,) = Networks(Frames(build(tmp_path, content={"test_mae": None})), "toy").tables()
    assert not any("MAE" in column.name for column in table.columns)


def shown_on(results: Results, *kinds: type[Section]) -> str:
    """Sections of the dataset ``toy`` as HTML, well formed."""
    html = "".join(of_section(kind(Frames(results), "toy"))[0] for kind in kinds)
    parser = parsed(html)
    assert len(parser.ids) == len(set(parser.ids))
    return html


def test_pictures_histograms_and_spectra_are_well_formed(tmp_path):
    ink = (np.arange(64) % 4 * 85).tolist()
    facts = {"views": {"pictures": [{"class": name, "pixels": ink} for name in "01"]}}
    html = shown_on(
        build(tmp_path / "pictures", d=64, shape=(8, 8), facts=facts), pictures.Pictures, maps.RelevanceMaps
    )
    assert 'class="paper digits"' in html
    assert "17 most relevant pixels" in html
    results = build(tmp_path / "spectra", d=300, facts=spectral_facts(), content={"test_mae": 0.05})
    assert "Relevance by line" in shown_on(results, spectrum.Spectrum, Networks)
    results = build(tmp_path / "histograms", facts={"views": {"histograms": HISTOGRAMS}})
    assert "Every input by class" in shown_on(results, histograms.Histograms)


def test_labels_of_figures_keep_their_digits():
    with drawing.style():
        figure, axes = drawing.new(2, 2)
        axes[0, 0].set_yticks([0.0], ["0.00125"])
        assert ">0.00125<" in drawing.svg(figure, "k")


@pytest.mark.parametrize(("d", "shape"), [(64, (8, 8)), (300, None)], ids=["picture", "long row"])
def test_many_inputs_are_maps(tmp_path, d, shape):
    html = shown_on(build(tmp_path, d=d, shape=shape), maps.RelevanceMaps)
    assert ("pictures" if shape else "strips") in html
    if shape is None:
        assert "the largest of 2 neighbouring inputs" in html
    else:
        assert 'width="8" height="8"' in html


@pytest.mark.parametrize("d", [6, 300, 1100])
def test_inputs_are_listed_by_the_truth_and_then_by_the_mean_over_methods(tmp_path, d):
    frames = Frames(build(tmp_path, d=d))
    section = Relevance(frames, "toy")
    (table, *_) = section.tables()
    own = shares(frames, "toy")
    means = {}
    for pair, one in own.items():
        means.setdefault(pair.explainer, []).append(one.mean)
    means = {name: np.mean(values, axis=0) for name, values in means.items()}
    overall = np.mean(list(means.values()), axis=0)
    assert [row.name for row in table.rows[:2]] == ["x1", "x2"]
    assert [row.boxes[0].main for row in table.rows[:3]] == ["relevant", "relevant", "noise"]
    rest = [int(row.name[1:]) - 1 for row in table.rows[2:]]
    assert (np.diff(overall[rest]) <= 0).all()
    for column, box in zip(table.columns[2:], table.rows[0].boxes[2:], strict=True):
        assert float(box.main) == pytest.approx(100 * means[column.name][0], abs=0.0051)
    if d <= 1000:
        assert len(table.rows) == d
        assert section.findings() == []
    else:
        highest = {j for values in means.values() for j in np.argsort(-values)[:20]}
        assert {0, 1, *highest} == {int(row.name[1:]) - 1 for row in table.rows}
        assert section.findings() == [
            f"Listed are {len(table.rows)} of 1,100 inputs: the relevant ones, and of every method the 20 highest."
        ]
    assert ("long" in table.look) == (d > 40)


def test_cells_are_drawn_where_they_are():
    values = np.array([[0.0, 1.0, 1.0], [0.5, 0.0, 1.0]])
    palette = ["#ffffff", "#aaaaaa", "#555555", "#000000"]
    assert decoded(pixels.drawn(values, 1.0, palette))[..., 0].tolist() == [[255, 0, 0], [0x55, 255, 0]]


def test_a_strip_keeps_the_largest_of_its_neighbours():
    assert maps.strip(np.array([1.0, 3.0, 2.0, 0.0, 5.0]), 2).tolist() == [[3.0, 2.0, 5.0]]
