"""The synthetic datasets row by row, their best classifiers, and their ceilings by enumeration."""

from __future__ import annotations

import itertools
import math


def gaussian_independent(rng, n, d, relevant, sigma, max_gap, centred):
    """Rows, classes and gaps, each from a child of the generator: gaps, classes, inputs row after row."""
    of_gaps, of_classes, of_inputs = rng.spawn(3)
    gaps = [max_gap * of_gaps.random() for _ in range(relevant)]
    classes = [int(of_classes.integers(0, 2)) for _ in range(n)]
    rows = []
    for y in classes:
        row = []
        for f in range(d):
            if f >= relevant:
                mean = 0.0
            elif centred:
                mean = gaps[f] / 2 if y == 1 else -gaps[f] / 2
            else:
                mean = gaps[f] - 0.5 if y == 1 else -0.5
            row.append(mean + sigma * of_inputs.normal())
        rows.append(row)
    return rows, classes, gaps + [0.0] * (d - relevant)


def gaussian_correlated(rng, n, flip, noise, sigma):
    """Each from a child of the generator: classes, first members, flips, noise inputs."""
    of_classes, of_firsts, of_coins, of_others = rng.spawn(4)
    classes = [int(of_classes.integers(0, 2)) for _ in range(n)]
    firsts = [[sigma * of_firsts.normal() for _ in flip] for _ in range(n)]
    coins = [[of_coins.random() for _ in flip] for _ in range(n)]
    others = [[sigma * of_others.normal() for _ in range(noise)] for _ in range(n)]
    rows = []
    for y, first, coin, other in zip(classes, firsts, coins, others, strict=True):
        row = []
        for m, p in enumerate(flip):
            minus = y == 1 and coin[m] < p
            row += [first[m], -first[m] if minus else first[m]]
        rows.append(row + other)
    return rows, classes


def xor(x):
    return 1 if (x[0] - 0.5) * (0.5 - x[1]) >= 0 else 0


def ring(x):
    r = abs(math.sqrt((x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2) - 0.35)
    return 1 if r <= 0.1151 else 0


def uniform(rng, n, d, rule):
    rows, classes = [], []
    inputs = rng.spawn(1)[0]
    for _ in range(n):
        x = [inputs.random() for _ in range(d)]
        classes.append(rule(x))
        rows.append([2 * value - 1 for value in x])
    return rows, classes


def best_independent(row, kept, gaps, relevant, centred):
    """The class whose density is higher, from the kept inputs."""
    lead = 0.0
    for f in range(relevant):
        if kept[f]:
            low, high = (-gaps[f] / 2, gaps[f] / 2) if centred else (-0.5, gaps[f] - 0.5)
            lead += (row[f] - low) ** 2 - (row[f] - high) ** 2
    return 1 if lead > 0 else 0


def best_correlated(row, kept, pairs):
    """Class 1 if some pair that is kept whole has opposite signs."""
    for m in range(pairs):
        if kept[2 * m] and kept[2 * m + 1] and row[2 * m] == -row[2 * m + 1]:
            return 1
    return 0


def best_xor(row, kept):
    x = [(value + 1) / 2 for value in row]
    return xor(x) if kept[0] and kept[1] else 1


def chord(t, radius):
    """The length of a circle's chord at the coordinate t; the circle's centre is .5."""
    return 2 * math.sqrt(max(radius**2 - (t - 0.5) ** 2, 0.0))


def best_ring(row, kept):
    """With one input t: class 1 if more than half of the line at t lies in the ring."""
    x = [(value + 1) / 2 for value in row]
    if kept[0] and kept[1]:
        return ring(x)
    if kept[0] or kept[1]:
        t = x[0] if kept[0] else x[1]
        return 1 if chord(t, 0.35 + 0.1151) - chord(t, 0.35 - 0.1151) > 0.5 else 0
    return 1


def ceiling_correlated(flip, whole):
    """Half the sum over all flip patterns of the larger of the two classes' probabilities."""
    total = 0.0
    kept = [p for p, is_whole in zip(flip, whole, strict=True) if is_whole]
    for pattern in itertools.product([False, True], repeat=len(kept)):
        in_class_0 = 0.0 if any(pattern) else 1.0
        in_class_1 = math.prod(p if flipped else 1 - p for p, flipped in zip(kept, pattern, strict=True))
        total += max(in_class_0, in_class_1) / 2
    return total
