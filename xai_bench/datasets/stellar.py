"""Stellar spectra: a generator whose relevant pixels are known, and the lines that it is made of.

The generator is a caricature with the right geometry: a black-body continuum set by Teff times exp(-tau), where tau
sums Gaussian or Voigt lines. The optical depth of metal lines grows with [Fe/H], that of Balmer lines with Teff;
telluric and interstellar lines answer to neither. The spectra have the wavelengths of the MILES library
(Sánchez-Blázquez et al. 2006, MNRAS 371, 703), which ``xai_bench.datasets.miles`` reads.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from xai_bench.datasets.base import DataSource, Floats, GroundTruth, Role, Table, Trait, Window

LineKind = Literal["metal", "balmer", "telluric", "interstellar"]

STEP = 0.9
WAVELENGTHS: Floats = 3500.0 + STEP * np.arange(4334)
"""(4334,) Angstrom in air, 3500 to 7399.7."""
WAVELENGTHS.setflags(write=False)
TEFF = (4000.0, 7500.0)
FEH = (-2.5, 0.5)
SUN = 5500.0
"""Kelvin at which the depths of the lines are given, at [Fe/H] = 0."""
GROWTH = 0.4
"""Optical depth of metal lines goes with 10^(GROWTH [Fe/H]): between the weak and the saturated curve of growth."""
RADIATION = 1.438777e8
"""hc / k in Angstrom Kelvin."""
REACH = 3.0
"""Widths (sigma + gamma) within which a pixel belongs to a line."""
CUT = 15.0
"""Widths beyond which a line's profile is 0."""


class Line(NamedTuple):
    """An absorption line.

    Attributes
    ----------
    name : unique, for figures and tables
    element : what absorbs
    wavelength : Angstrom in air
    kind : metal, balmer, telluric or interstellar
    depth : optical depth at the centre, at SUN and [Fe/H] = 0, or for the mean column of a telluric or
        interstellar line; set by eye, no measurement
    sigma, gamma : Angstrom, widths of the Gaussian and the Lorentz part; gamma 0 is a Gaussian
    source : of the wavelength
    """

    name: str
    element: str
    wavelength: float
    kind: LineKind
    depth: float
    sigma: float
    gamma: float
    source: str

    @property
    def reach(self) -> float:
        """Angstrom on either side within which a pixel belongs to the line."""
        return REACH * (self.sigma + self.gamma)


NIST = "NIST Atomic Spectra Database"
LICK = "Lick index, Worthey et al. 1994, ApJS 94, 687"
FRAUNHOFER = "Fraunhofer line; Gray and Corbally, Stellar Spectral Classification, 2009"
DIB = "Herbig 1995, ARA&A 33, 19"
SKY = "Moore, Minnaert, Houtgast 1966, NBS Monograph 61"

LINES: tuple[Line, ...] = (
    Line("Ca II K", "Ca", 3933.66, "metal", 2.5, 4.0, 2.0, NIST),
    Line("Ca II H", "Ca", 3968.47, "metal", 2.2, 4.0, 2.0, NIST),
    Line("Fe 4271", "Fe", 4271.76, "metal", 0.5, 2.5, 0.0, NIST),
    Line("G band", "CH", 4300.0, "metal", 0.6, 6.0, 0.0, FRAUNHOFER),
    Line("Fe 4383", "Fe", 4383.54, "metal", 0.6, 2.5, 0.0, NIST),
    Line("Fe 4531", "Fe", 4531.15, "metal", 0.4, 2.5, 0.0, NIST),
    Line("Fe 4668", "Fe", 4668.0, "metal", 0.3, 3.5, 0.0, LICK),
    Line("Fe 5015", "Fe", 5015.0, "metal", 0.3, 3.0, 0.0, LICK),
    Line("Mg b1", "Mg", 5167.32, "metal", 0.7, 1.8, 0.5, NIST),
    Line("Mg b2", "Mg", 5172.68, "metal", 0.8, 1.8, 0.5, NIST),
    Line("Mg b3", "Mg", 5183.60, "metal", 0.9, 1.8, 0.5, NIST),
    Line("Fe 5270", "Fe", 5270.0, "metal", 0.5, 2.5, 0.0, LICK),
    Line("Fe 5335", "Fe", 5335.0, "metal", 0.45, 2.5, 0.0, LICK),
    Line("Fe 5406", "Fe", 5406.0, "metal", 0.35, 2.5, 0.0, LICK),
    Line("Na D2", "Na", 5889.95, "metal", 0.8, 1.8, 0.4, NIST),
    Line("Na D1", "Na", 5895.92, "metal", 0.7, 1.8, 0.4, NIST),
    Line("H delta", "H", 4101.74, "balmer", 0.4, 4.0, 3.0, NIST),
    Line("H gamma", "H", 4340.47, "balmer", 0.4, 4.0, 3.0, NIST),
    Line("H beta", "H", 4861.33, "balmer", 0.5, 4.0, 3.0, NIST),
    Line("H alpha", "H", 6562.80, "balmer", 0.6, 4.0, 3.0, NIST),
    Line("DIB 5780", "interstellar", 5780.5, "interstellar", 0.10, 2.0, 0.0, DIB),
    Line("DIB 5797", "interstellar", 5797.1, "interstellar", 0.07, 2.0, 0.0, DIB),
    Line("DIB 6284", "interstellar", 6283.9, "interstellar", 0.15, 3.0, 0.0, DIB),
    Line("DIB 6614", "interstellar", 6613.6, "interstellar", 0.08, 2.0, 0.0, DIB),
    Line("O2 B band", "O2", 6870.0, "telluric", 0.25, 6.0, 0.0, SKY),
    Line("H2O 7186", "H2O", 7186.0, "telluric", 0.15, 8.0, 0.0, SKY),
)
"""The Fe I, Ca, Mg, Na and CH features are blends in spectra of this resolution: one broad line stands for each.
Lick features stand at the wavelength in the name of the index.
H epsilon, 3970, is left out: it coincides with Ca II H."""


class LineWindow(NamedTuple):
    """The columns around a line; all windows of a spectrum have equally many."""

    line: Line
    columns: slice


def line_windows(wavelengths: Floats = WAVELENGTHS, width: float = 5.0) -> tuple[LineWindow, ...]:
    """Windows of (up to) ``width`` Angstrom around the lines, to score each by the largest relevance inside.

    Equal widths, because the maximum over more pixels is larger by chance. 5 Angstrom keep the lines of Na D and of
    Mg b apart.

    Parameters
    ----------
    wavelengths : (d,) Angstrom, evenly spaced and ascending

    Returns
    -------
    One window for every line that lies in the spectrum with its whole window, by wavelength.
    """
    step = float(wavelengths[1] - wavelengths[0])
    half = math.floor((width / step - 1) / 2 + 1e-9)
    windows = []
    for line in sorted(LINES, key=lambda line: line.wavelength):
        centre = round((line.wavelength - float(wavelengths[0])) / step)
        if half <= centre < len(wavelengths) - half:
            windows.append(LineWindow(line, slice(centre - half, centre + half + 1)))
    return tuple(windows)


def continuum(teff: Floats) -> Floats:
    """(k, 4334) black bodies of the temperatures teff (k,), divided by their largest value in this range."""
    wavelengths = WAVELENGTHS / WAVELENGTHS[0]
    planck = wavelengths**-5 / np.expm1(RADIATION / (WAVELENGTHS * np.asarray(teff)[:, None]))
    return planck / planck.max(1, keepdims=True)


@functools.cache
def absorption(kind: LineKind) -> Floats:
    """(4334,) the optical depth of all lines of a kind at SUN, [Fe/H] = 0 and mean columns. Read only."""
    from scipy.special import voigt_profile

    total = np.zeros(len(WAVELENGTHS))
    for line in LINES:
        if line.kind == kind:
            distance = WAVELENGTHS - line.wavelength
            profile = voigt_profile(distance, line.sigma, line.gamma) / voigt_profile(0.0, line.sigma, line.gamma)
            total += line.depth * np.where(np.abs(distance) <= CUT * (line.sigma + line.gamma), profile, 0.0)
    total.setflags(write=False)
    return total


def optical_depth(kind: LineKind, teff: Floats, feh: Floats) -> Floats:
    """(k, 4334) optical depth of the metal or Balmer lines of stars with teff (k,) in Kelvin and feh (k,) in dex."""
    hot = np.asarray(teff) / SUN
    factor = hot**-2 * 10 ** (GROWTH * np.asarray(feh)) if kind == "metal" else hot**4
    return factor[:, None] * absorption(kind)


def flux(teff: Floats, feh: Floats, telluric: Floats, interstellar: Floats) -> Floats:
    """(k, 4334) spectra without noise; the last two arguments are columns (k,) in units of their mean."""
    tau = optical_depth("metal", teff, feh) + optical_depth("balmer", teff, feh)
    tau += np.outer(telluric, absorption("telluric")) + np.outer(interstellar, absorption("interstellar"))
    return continuum(teff) * np.exp(-tau)


@functools.cache
def mean_slope() -> Floats:
    """(4334,) |d flux / d [Fe/H]| per dex, averaged over the stars that ``stellar_synthetic`` draws. Read only.

    The derivative is -GROWTH ln 10 tau_metal flux. Its mean is a Gauss-Legendre sum over Teff and [Fe/H]; the columns
    of gas do not matter, because no telluric or interstellar line of the table overlaps a metal line.
    """
    nodes, weights = np.polynomial.legendre.leggauss(12)
    teff, feh = (low + (high - low) * (nodes + 1) / 2 for low, high in (TEFF, FEH))
    total = np.zeros(len(WAVELENGTHS))
    none = np.zeros(len(nodes))
    for metallicity, weight in zip(feh, weights / 2, strict=True):
        feh_here = np.full(len(nodes), metallicity)
        slope = GROWTH * math.log(10) * optical_depth("metal", teff, feh_here) * flux(teff, feh_here, none, none)
        total += weight * (weights / 2) @ slope
    total.setflags(write=False)
    return total


def pixel_roles() -> tuple[Role, ...]:
    """Metal lines are relevant, telluric and interstellar ones noise; Balmer lines and the continuum tell Teff."""
    metal, foreign = _inside(("metal",)), _inside(("telluric", "interstellar"))
    return tuple("relevant" if m else "noise" if f else "suppressor" for m, f in zip(metal, foreign, strict=True))


def _inside(kinds: Sequence[LineKind]) -> Floats:
    """(4334,) True within reach of a line of these kinds."""
    near = [np.abs(WAVELENGTHS - line.wavelength) <= line.reach for line in LINES if line.kind in kinds]
    return np.any(near, axis=0)


def windows() -> tuple[Window, ...]:
    """The windows of all lines, with the role of the line."""
    role: dict[LineKind, Role] = {
        "metal": "relevant",
        "balmer": "suppressor",
        "telluric": "noise",
        "interstellar": "noise",
    }
    return tuple(
        Window(line.name, line.kind, role[line.kind], tuple(range(columns.start, columns.stop)))
        for line, columns in line_windows()
    )


@functools.cache
def cramer_rao_mae() -> float:
    """Mean absolute error in dex at noise 1 of an efficient unbiased estimator of [Fe/H], proportional to the noise.

    The Cramér-Rao bound with Teff and both columns of gas unknown, at mean columns; a normal error of that standard
    deviation, averaged over the stars that ``stellar_synthetic`` draws (Gauss-Legendre sums over Teff and [Fe/H]).
    """
    nodes, weights = np.polynomial.legendre.leggauss(12)
    teff, feh = (low + (high - low) * (nodes + 1) / 2 for low, high in (TEFF, FEH))
    one, step = np.ones(len(nodes)), 1.0
    mean = 0.0
    for metallicity, weight in zip(feh, weights / 2, strict=True):
        feh_here = metallicity * one
        spectra = flux(teff, feh_here, one, one)
        slopes = np.stack(
            [
                -GROWTH * math.log(10) * optical_depth("metal", teff, feh_here) * spectra,
                (flux(teff + step, feh_here, one, one) - flux(teff - step, feh_here, one, one)) / (2 * step),
                -absorption("telluric") * spectra,
                -absorption("interstellar") * spectra,
            ],
            axis=1,
        )
        variance = np.linalg.inv(slopes @ slopes.swapaxes(1, 2))[:, 0, 0]
        mean += weight * float((weights / 2) @ np.sqrt(variance))
    return mean * math.sqrt(2 / math.pi)


class StellarSynthetic(DataSource):
    """Generated spectra, 3500 to 7400 Angstrom, from which [Fe/H] is to be read.

    Teff is uniform in 4000 .. 7500 K and [Fe/H] in -2.5 .. 0.5 dex; the telluric and the interstellar column are
    exponentially distributed; ``noise`` is the standard deviation of the flux, whose continuum peaks at 1. Graded
    truth: |d flux / d [Fe/H]| / noise, averaged over the stars; 1 is one standard deviation of a pixel for one dex.
    Pixels outside metal lines correct for Teff: suppressors.
    """

    name: ClassVar[str] = "stellar_synthetic"
    belongs_to: ClassVar[str] = "stellar"
    traits: ClassVar[tuple[Trait, ...]] = ("marginal", "redundant", "correlated")

    n: int = Field(default=985, ge=20)
    noise: float = Field(default=0.01, gt=0)

    def draw(self, rng: np.random.Generator) -> Table:
        hot, metal, sky, gas, errors = rng.spawn(5)
        teff, feh = hot.uniform(*TEFF, self.n), metal.uniform(*FEH, self.n)
        spectra = flux(teff, feh, sky.exponential(size=self.n), gas.exponential(size=self.n))
        return Table(
            X=spectra + errors.normal(0.0, self.noise, spectra.shape),
            y=feh,
            kind="regression",
            truth=GroundTruth(pixel_roles(), relevance=mean_slope() / self.noise, resolution=1.0, windows=windows()),
            feature_names=tuple(f"{wavelength:.1f}" for wavelength in WAVELENGTHS),
            feature_units=("A",) * len(WAVELENGTHS),
            target_name="[Fe/H]",
            target_units="dex",
        )

    def error_floor(self) -> float:
        """In dex: the Cramér-Rao bound, see ``cramer_rao_mae``."""
        return cramer_rao_mae() * self.noise
