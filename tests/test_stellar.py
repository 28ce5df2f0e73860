"""Generated stellar spectra, their truth and their lines; the loader of the MILES library on small files."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from tests import stores
from tests.reference import more_datasets as literal
from xai_bench import registry
from xai_bench.datasets import stellar
from xai_bench.datasets.base import GroundTruth
from xai_bench.datasets.miles import MILES
from xai_bench.datasets.stellar import LINES, WAVELENGTHS, StellarSynthetic, flux, line_windows, mean_slope, pixel_roles
from xai_bench.errors import InputError
from xai_bench.metrics.windows import auroc_windows
from xai_bench.results.truth import truth_of
from xai_bench.scoring.recovery import facts_of

ROLES = np.array(pixel_roles())


def rng(seed=0):
    return np.random.default_rng(seed)


def nearest(wavelength):
    return int(np.abs(WAVELENGTHS - wavelength).argmin())


class TestSpectra:
    def test_wavelengths(self):
        assert WAVELENGTHS[0] == 3500
        assert 7399 < WAVELENGTHS[-1] <= 7400
        np.testing.assert_allclose(np.diff(WAVELENGTHS), 0.9)

    def test_flux_equals_the_literal_version(self):
        lines = [(line.wavelength, line.kind, line.depth, line.sigma, line.gamma) for line in LINES]
        stars = [(4200.0, -2.4, 0.3, 2.0), (5800.0, 0.1, 1.0, 0.0), (7400.0, 0.5, 0.0, 0.7)]
        spectra = flux(*np.array(stars).T)
        for j in [*rng().integers(0, 4334, 10), *(nearest(line.wavelength) for line in LINES)]:
            expected = [literal.spectrum(lines, WAVELENGTHS[j], *star) for star in stars]
            np.testing.assert_allclose(spectra[:, j], expected, rtol=1e-5)

    def test_what_the_lines_answer_to(self):
        def depth(name, teff, feh, telluric=1.0, interstellar=1.0):
            (line,) = (line for line in LINES if line.name == name)
            values = [np.array([value]) for value in (teff, feh, telluric, interstellar)]
            return (
                1
                - flux(*values)[0, nearest(line.wavelength)] / stellar.continuum(values[0])[0, nearest(line.wavelength)]
            )

        for line in LINES:
            base = depth(line.name, 5500.0, -1.0)
            rich, hot = depth(line.name, 5500.0, 0.0), depth(line.name, 7000.0, -1.0)
            wet, dusty = depth(line.name, 5500.0, -1.0, 2.0), depth(line.name, 5500.0, -1.0, 1.0, 2.0)
            if line.kind == "metal":
                assert rich > base + 0.05
                assert hot < base
            else:
                assert rich == pytest.approx(base, abs=0.01)  # H gamma lies in the far wing of metal lines at most
            if line.kind == "balmer":
                assert hot > base + 0.05
            assert (wet > base + 0.05) == (line.kind == "telluric")
            assert (dusty > base + 0.02) == (line.kind == "interstellar")

    def test_draw(self):
        table = StellarSynthetic(noise=0.02).draw(rng())
        assert table.X.shape == (985, 4334)
        assert (table.kind, table.target_name, table.target_units) == ("regression", "[Fe/H]", "dex")
        assert table.y.min() >= -2.5
        assert table.y.max() <= 0.5
        assert abs(table.y.mean() + 1) < 4 * math.sqrt(9 / 12 / 985)
        assert table.feature_names[:2] == ("3500.0", "3500.9")
        assert set(table.feature_units) == {"A"}
        quiet = StellarSynthetic(noise=1e-6).draw(rng())
        np.testing.assert_array_equal(quiet.y, table.y)
        assert (table.X - quiet.X).std() == pytest.approx(0.02, rel=0.01)
        assert quiet.X.max() == pytest.approx(1, abs=1e-4)

    def test_loads_by_name(self):
        data = registry.create("datasets", "stellar_synthetic", {"n": 60}).load(0)
        assert data.d == 4334
        first = int(np.argmin(data.permutation))
        assert data.feature_names[first] == "3500.0"

    @pytest.mark.parametrize(("fields", "line"), [({"noise": 0.0}, "noise"), ({"n": 3}, "20"), ({"d": 9}, "field 'd'")])
    def test_a_wrong_value_is_one_line(self, fields, line):
        with pytest.raises(InputError, match=line) as caught:
            StellarSynthetic(**fields)
        assert "\n" not in str(caught.value)


class TestTruth:
    def test_slope_by_finite_differences(self):
        """Over random stars, as they are drawn; four standard errors."""
        generator, size, step = rng(2), 3000, 1e-4
        teff, feh = generator.uniform(4000, 7500, size), generator.uniform(-2.5, 0.5, size)
        columns = generator.exponential(size=(2, size))
        chosen = np.r_[np.flatnonzero(ROLES == "relevant")[::10], np.flatnonzero(ROLES != "relevant")[::200]]
        ends = [flux(teff, feh + side, *columns)[:, chosen] for side in (-step, step)]
        slope = np.abs(ends[1] - ends[0]) / (2 * step)
        error = slope.std(0) / math.sqrt(size)
        assert (np.abs(slope.mean(0) - mean_slope()[chosen]) <= 4.5 * error + 1e-9).all()

    def test_error_floor_is_what_a_least_squares_fit_of_one_star_reaches(self):
        """Gauss-Newton from the true star, many noises: its mean absolute error is the bound's at that star."""
        star, noise = np.array([5500.0, -0.5, 1.0, 1.0]), 0.01
        steps = np.array([1.0, 1e-4, 1e-4, 1e-4])

        def spectrum(parameters):
            return flux(*parameters[:, None])[0]

        slopes = np.stack(
            [(spectrum(star + s * e) - spectrum(star - s * e)) / (2 * s) for s, e in zip(steps, np.eye(4), strict=True)]
        )
        half = slopes[:, ::2]  # every second pixel is enough
        noises = rng().normal(0.0, noise, (5000, half.shape[1]))
        errors = np.linalg.solve(half @ half.T, half @ noises.T)[1]
        bound = noise * np.sqrt(np.linalg.inv(half @ half.T)[1, 1]) * math.sqrt(2 / math.pi)
        assert np.abs(errors).mean() == pytest.approx(bound, rel=0.05)  # 5 standard errors
        single = np.sqrt(np.linalg.inv(slopes @ slopes.T)[1, 1]) * math.sqrt(2 / math.pi)
        assert 0.3 * single < stellar.cramer_rao_mae() < 3 * single  # a mean over stars
        assert StellarSynthetic(noise=0.02).error_floor() == pytest.approx(2 * StellarSynthetic().error_floor())

    def test_slope_of_one_star_to_many_digits(self):
        """The analytic derivative that the mean is taken of, for one star, by central differences."""
        star = [np.array([value]) for value in (5000.0, -0.7, 0.5, 0.5)]
        step = np.array([1e-4])
        finite = (flux(star[0], star[1] + step, *star[2:]) - flux(star[0], star[1] - step, *star[2:])) / 2e-4
        analytic = -0.4 * math.log(10) * stellar.optical_depth("metal", *star[:2]) * flux(*star)
        np.testing.assert_allclose(finite, analytic, rtol=1e-5, atol=1e-9)

    def test_graded_truth_is_in_units_of_the_noise(self):
        one, two = (StellarSynthetic(n=20, noise=noise).draw(rng()).truth for noise in (0.01, 0.02))
        np.testing.assert_allclose(one.relevance, mean_slope() / 0.01)
        np.testing.assert_allclose(one.relevance, 2 * two.relevance)
        assert one.resolution == 1

    def test_noise_pixels_answer_to_neither_metal_nor_temperature_lines(self):
        assert (mean_slope()[ROLES == "noise"] == 0).all()
        assert mean_slope()[ROLES == "relevant"].min() > 0
        assert (mean_slope()[ROLES == "relevant"] >= 0.01).mean() > 0.8
        other = mean_slope()[ROLES == "suppressor"]
        assert other.mean() < 0.02 * mean_slope()[ROLES == "relevant"].mean()

    def test_foreign_lines_overlap_no_metal_line(self):
        """As mean_slope takes for granted."""
        foreign = stellar.absorption("telluric") + stellar.absorption("interstellar")
        assert (foreign * stellar.absorption("metal")).max() < 1e-9

    def test_roles_by_line(self):
        expected = {"metal": "relevant", "balmer": "suppressor", "telluric": "noise", "interstellar": "noise"}
        for line in LINES:
            assert ROLES[nearest(line.wavelength)] == expected[line.kind], line.name
        for free in (3600, 4700, 5600, 7350):
            assert ROLES[nearest(free)] == "suppressor"
        counts = {role: int((role == ROLES).sum()) for role in set(ROLES)}
        assert counts["noise"] > 100
        assert 200 < counts["relevant"] < 500
        assert sum(counts.values()) == 4334

    def test_noise_resampled_changes_no_metal_pixel(self):
        """Spectra with other columns of gas differ in noise pixels and their wings only."""
        teff, feh = np.full(2, 5000.0), np.full(2, -1.0)
        few, many = flux(teff, feh, np.array([0.0, 3.0]), np.array([0.0, 3.0]))
        assert np.abs(few - many)[ROLES == "relevant"].max() < 1e-6
        assert np.abs(few - many)[ROLES == "noise"].max() > 0.1


class TestLines:
    def test_the_published_lines_are_there(self):
        metal = [round(line.wavelength) for line in LINES if line.kind == "metal"]
        for wavelength in (4272, 4384, 4531, 4668, 5015, 5270, 5335, 5406, 3934, 3968, 5167, 5184, 5890, 5896, 4300):
            assert wavelength in metal
        assert [round(x.wavelength) for x in LINES if x.kind == "balmer"] == [4102, 4340, 4861, 6563]
        assert len({line.name for line in LINES}) == len(LINES)
        assert all(line.source for line in LINES)

    def test_windows_are_equally_wide_and_apart(self):
        windows = line_windows()
        assert len(windows) == len(LINES)
        assert {window.columns.stop - window.columns.start for window in windows} == {5}
        for window in windows:
            inside = WAVELENGTHS[window.columns]
            assert np.abs(inside.mean() - window.line.wavelength) <= 0.45 + 1e-9
        for before, after in itertools.pairwise(windows):
            assert before.columns.stop <= after.columns.start

    def test_auroc_of_windows_equals_a_literal_one(self):
        truth = StellarSynthetic().draw(rng()).truth
        relevance = rng(1).random(len(WAVELENGTHS))
        largest = {w.name: max(relevance[c] for c in w.columns) for w in truth.windows}
        metal = [largest[line.name] for line in LINES if line.kind == "metal"]
        foreign = [largest[line.name] for line in LINES if line.kind in ("telluric", "interstellar")]
        wins = sum((m > f) + 0.5 * (m == f) for m in metal for f in foreign)
        assert auroc_windows(relevance, truth) == pytest.approx(wins / (len(metal) * len(foreign)))
        moved = rng(2).permutation(len(WAVELENGTHS))
        assert auroc_windows(relevance[moved], truth.take(moved)) == auroc_windows(relevance, truth)

    def test_windows_are_kept_with_the_truth(self):
        truth = StellarSynthetic().draw(rng()).truth
        facts = replace(stores.draw().facts, **facts_of(truth))
        assert truth_of(facts).windows == truth.windows

    def test_no_windows_no_score(self):
        truth = GroundTruth(("relevant", "noise"))
        assert auroc_windows(np.array([1.0, 2.0]), truth) is None
        assert auroc_windows.chance(truth) is None

    def test_windows_of_another_range(self):
        names = [window.line.name for window in line_windows(5000 + 0.9 * np.arange(500), width=9.0)]
        assert names == ["Fe 5015", "Mg b1", "Mg b2", "Mg b3", "Fe 5270", "Fe 5335", "Fe 5406"]
        first = line_windows(5000 + 0.9 * np.arange(500), width=9.0)[0].columns
        assert first == slice(17 - 4, 17 + 5)  # nine pixels around 5015.3


WAVES = 3500.0 + 0.9 * np.arange(40)
STARS = [f"s{i:04d}" for i in range(1, 31)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """30 stars with 40 wavelengths; star 3 has no [Fe/H], star 4 no Teff; a star without spectrum."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XAI_BENCH_DATA", str(tmp_path / "own"))
    place = tmp_path / "own" / "miles"
    place.mkdir(parents=True)
    spectra = 2 + rng(0).random((40, 30))
    spectra[:5] = spectra[-3:] = 0
    lines = [",".join([*STARS, "wav"])]
    lines += [",".join([*(repr(float(v)) for v in row), f"{w:.1f}"]) for row, w in zip(spectra, WAVES, strict=True)]
    (place / "miles_stars.csv").write_text("\n".join(lines) + "\n")
    rows = ["ID SpType Teff logg __Fe_H_"]
    for i, star in enumerate(STARS):
        rows.append(
            f'{star} "G2 V{i}" {"" if i != 3 else chr(34) * 2}{5000 + i if i != 3 else ""} 4.{i:02d} '
            f"{chr(34) * 2 if i == 2 else -0.1 * i}"
        )
    rows.append('s9999 "" 5000 4.1 -0.3')
    (place / "params.ascii").write_text("\n".join(rows) + "\n")
    place.joinpath("spectra.npy").write_bytes(b"")
    return place, spectra


def source(**fields):
    return MILES(first=5, last=3, **fields)


class TestMILES:
    def test_reads_cuts_and_normalises(self, folder):
        table = source().draw(rng())
        kept = [i for i in range(30) if i != 2]
        expected = folder[1][5:37, kept].T
        np.testing.assert_allclose(table.X, expected / expected.max(1, keepdims=True), rtol=1e-12)
        assert (table.X.max(1) == 1).all()
        np.testing.assert_allclose(table.y, [-0.1 * i for i in kept])
        assert table.feature_names == tuple(f"{w:.1f}" for w in WAVES[5:37])
        assert (table.target_name, table.target_units, table.kind) == ("[Fe/H]", "dex", "regression")
        assert table.notices == ("miles: 2 stars without [Fe/H] or spectrum are left out",)
        assert table.truth is None

    def test_other_targets(self, folder):
        warm = source(target="teff").draw(rng())
        assert list(warm.y) == [5000 + i for i in range(30) if i != 3]
        assert warm.target_units == "K"
        gravity = source(target="logg").draw(rng())
        np.testing.assert_allclose(gravity.y, [4 + i / 100 for i in range(30)])

    def test_loads_and_is_known_by_its_content(self, folder):
        assert source().missing() is None
        assert registry.create("datasets", "miles", {"first": 5, "last": 3}).load(0).d == 32
        before = source().fingerprint()
        assert set(before) == {"miles_stars.csv", "params.ascii"}
        with (folder[0] / "params.ascii").open("a") as file:
            file.write("s9998 x 1 1 1\n")
        assert source().fingerprint() != before

    def test_missing_says_where_to_get_and_put_them(self, folder):
        (folder[0] / "params.ascii").unlink()
        line = source().missing()
        for word in ("miles_stars.csv", "params.ascii", "$XAI_BENCH_DATA/miles", "data/miles", "https://"):
            assert word in line
        assert "\n" not in line
        assert source().fingerprint() == {}
        for call in (lambda: source().load(0), lambda: source().draw(rng())):
            with pytest.raises(InputError, match="found no folder"):
                call()

    def test_the_folder_data_is_found_too(self, folder, tmp_path, monkeypatch):
        monkeypatch.delenv("XAI_BENCH_DATA")
        assert source().missing() is not None
        (tmp_path / "data").mkdir()
        for file in folder[0].iterdir():
            file.rename(tmp_path / "data" / file.name)
        assert source().missing() is None

    @pytest.mark.parametrize(
        ("file", "change", "line"),
        [
            (
                "params.ascii",
                lambda text: text.replace("__Fe_H_", "FeH"),
                "expected a column '__Fe_H_' in params.ascii",
            ),
            (
                "params.ascii",
                lambda text: text.replace("\ns", "\nx"),
                "expected the same stars in both files, got s0001",
            ),
            ("params.ascii", lambda text: text + text.splitlines()[1] + "\n", "got s0001 again"),
            ("params.ascii", lambda text: text + "s1 a b c d e f g\n", "cannot read params.ascii"),
            ("params.ascii", lambda text: text.replace("-0.3\n", "poor\n"), "expected numbers in params.ascii"),
            ("params.ascii", lambda text: "", "cannot read params.ascii"),
            ("miles_stars.csv", lambda text: text.replace("wav", "w"), "expected a column 'wav' in miles_stars.csv"),
            ("miles_stars.csv", lambda text: "\n".join(text.splitlines()[:9]), "first + last = 8 wavelengths"),
            ("miles_stars.csv", lambda text: text.replace("2.", "-2."), "expected a positive flux, got none in s0001"),
            ("miles_stars.csv", lambda text: text.replace("2.6", "two"), "expected numbers in miles_stars.csv"),
        ],
    )
    def test_broken_files_are_one_line(self, folder, file, change, line):
        path = folder[0] / file
        path.write_text(change(path.read_text()))
        with pytest.raises(InputError) as caught:
            source().load(0)
        assert line in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(("fields", "line"), [({"target": "mass"}, "target"), ({"first": -1}, "first")])
    def test_a_wrong_value_is_one_line(self, fields, line):
        with pytest.raises(InputError, match=line) as caught:
            MILES(**fields)
        assert "\n" not in str(caught.value)
