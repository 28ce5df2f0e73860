"""The larger collection of datasets: P(y = 1 | x) term by term from the papers, and pictures and spectra by loops."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import voigt_profile
from scipy.stats import norm


def on_circle(a, b, width):
    return abs(((a - 0.5) ** 2 + (b - 0.5) ** 2) ** 0.5 - 0.35) <= width


def ring_xor(X):
    x = (X + 1) / 2
    return 1.0 * (on_circle(x[..., 0], x[..., 1], 0.0704) | ((x[..., 2] - 0.5) * (0.5 - x[..., 3]) >= 0.0337))


def ring_xor_sum(X):
    x = (X + 1) / 2
    sure = on_circle(x[..., 0], x[..., 1], 0.0479) | ((x[..., 2] - 0.5) * (0.5 - x[..., 3]) >= 0.0598)
    return np.where(sure, 1.0, norm.sf(1.4074, loc=x[..., 4] + x[..., 5], scale=0.2))


def not_odds(g):
    """P(y = 1), where P(y = 0) = g / (1 + g)."""
    return 1 / (1 + g)


def syn1(X):
    return np.exp(X[..., 0] * X[..., 1])


def syn2(X):
    return np.exp(X[..., 2] ** 2 + X[..., 3] ** 2 + X[..., 4] ** 2 + X[..., 5] ** 2 - 4)


def syn3(X):
    return np.exp(-10 * np.sin(0.2 * X[..., 6]) + abs(X[..., 7]) + X[..., 8] + np.exp(-X[..., 9]) - 2.4)


def switch(below, above):
    return lambda X: not_odds(np.where(X[..., 10] < 0, below(X), above(X)))


def corral(X):
    a0, a1, b0, b1 = (X[..., j] == 1 for j in range(4))
    return 1.0 * ((a0 & a1) | (b0 & b1))


def attributes(X):
    """Values from 1 of the six attributes of MONK, from their one-hot columns."""
    values, start = [], 0
    for size in (3, 3, 2, 3, 4, 2):
        values.append(1 + X[..., start : start + size].argmax(-1))
        start += size
    return values


def monk1(X):
    a1, a2, _, _, a5, _ = attributes(X)
    return 1.0 * ((a1 == a2) | (a5 == 1))


def monk2(X):
    return 1.0 * (sum(1 * (value == 1) for value in attributes(X)) == 2)


def monk3(X):
    _, a2, _, a4, a5, _ = attributes(X)
    return np.where(((a5 == 3) & (a4 == 1)) | ((a5 != 4) & (a2 != 3)), 0.95, 0.05)


def xor_of_bits(first, second, negated=False):
    return lambda X: 1.0 * (X[..., first] != X[..., second]) if not negated else 1.0 * (X[..., first] == X[..., second])


def or_but_not_and(X):
    return 1.0 * ((X[..., 2] == 1) & (X[..., 3] == 0))


DISPLAY = {  # top, upper left, upper right, middle, lower left, lower right, bottom
    0: (1, 1, 1, 0, 1, 1, 1),
    1: (0, 0, 1, 0, 0, 1, 0),
    2: (1, 0, 1, 1, 1, 0, 1),
    3: (1, 0, 1, 1, 0, 1, 1),
    4: (0, 1, 1, 1, 0, 1, 0),
    5: (1, 1, 0, 1, 0, 1, 1),
    6: (1, 1, 0, 1, 1, 1, 1),
    7: (1, 0, 1, 0, 0, 1, 0),
    8: (1, 1, 1, 1, 1, 1, 1),
    9: (1, 1, 1, 1, 0, 1, 1),
}


def led(X):
    """(n, 10) P(digit | segments)."""
    likelihood = [
        math.prod(np.where(X[..., j] == lit, 0.9, 0.1) for j, lit in enumerate(DISPLAY[digit])) for digit in range(10)
    ]
    return np.stack(likelihood, -1) / sum(likelihood)[..., None]


def two_moons(spread):
    def chance(X):
        lower = upper = 0.0
        for t in np.linspace(0, math.pi, 500):
            upper = upper + np.exp(-((X[..., 0] - math.cos(t)) ** 2 + (X[..., 1] - math.sin(t)) ** 2) / 2 / spread**2)
            across, up = 1 - math.cos(t), 0.5 - math.sin(t)
            lower = lower + np.exp(-((X[..., 0] - across) ** 2 + (X[..., 1] - up) ** 2) / 2 / spread**2)
        return lower / (lower + upper)

    return chance


def linear_sparse(relevant):
    return lambda X: norm.cdf(X[..., :relevant].sum(-1))


def centred_gaussians(gaps, scales, sigma):
    """Each input weighs by its gap over its variance."""
    return lambda X: 1 / (1 + np.exp(-(X[..., : len(gaps)] / scales) @ (gaps / sigma**2)))


def suppressor(a, b, strengths):
    signal, distractor, white = strengths
    covariance = distractor**2 * np.outer(b, b) + white**2 * np.eye(len(a))
    return lambda X: 1 / (1 + np.exp(-2 * signal * X @ np.linalg.inv(covariance) @ a))


def friedman1(x):
    return 10 * math.sin(math.pi * x[0] * x[1]) + 20 * (x[2] - 0.5) ** 2 + 10 * x[3] + 5 * x[4]


def friedman2(x):
    return math.sqrt(x[0] ** 2 + (x[1] * x[2] - 1 / (x[1] * x[3])) ** 2)


def friedman3(x):
    return math.atan((x[1] * x[2] - 1 / (x[1] * x[3])) / x[0])


T_PIXELS = {(1, 1), (2, 1), (3, 1), (2, 2)}
L_PIXELS = {(4, 5), (5, 5), (6, 5), (6, 6)}


def tetromino(scenario, background, y, signs, alpha):
    """One picture before the last division by the largest pixel of all; ``background`` (8, 8)."""
    picture = np.zeros((8, 8))
    for row in range(8):
        for column in range(8):
            in_t, in_l = (row, column) in T_PIXELS, (row, column) in L_PIXELS
            b = background[row, column]
            if scenario == "xor":
                signal = (signs[0] * in_t + signs[1] * in_l) / math.sqrt(8)
                picture[row, column] = alpha * signal + (1 - alpha) * b
            elif scenario == "linear":
                picture[row, column] = alpha * (in_l if y else in_t) / 2 + (1 - alpha) * b
            else:
                picture[row, column] = (1 - alpha * (in_l if y else in_t)) * b
    return picture


def spectrum(lines, wavelength, teff, feh, telluric, interstellar):
    """The flux at one wavelength; ``lines`` as (wavelength, kind, depth, sigma, gamma)."""
    highest = max(planck(3500 + 0.9 * i, teff) for i in range(4334))
    tau = 0.0
    for centre, kind, depth, sigma, gamma in lines:
        shape = voigt_profile(wavelength - centre, sigma, gamma) / voigt_profile(0, sigma, gamma)
        if abs(wavelength - centre) > 15 * (sigma + gamma):
            shape = 0.0
        factor = {
            "metal": (5500 / teff) ** 2 * 10 ** (0.4 * feh),
            "balmer": (teff / 5500) ** 4,
            "telluric": telluric,
            "interstellar": interstellar,
        }[kind]
        tau += depth * factor * shape
    return planck(wavelength, teff) / highest * math.exp(-tau)


def planck(wavelength, teff):
    h, c, k = 6.62607015e-34, 299792458.0, 1.380649e-23
    metres = wavelength * 1e-10
    return 2 * h * c**2 / metres**5 / (math.exp(h * c / (metres * k * teff)) - 1)
