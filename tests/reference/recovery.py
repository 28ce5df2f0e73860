"""Recovery scores literally: loops over pairs, and the mean over every order of the tied inputs."""

from __future__ import annotations

import itertools

import numpy as np


def items(relevance, truth):
    """Rows (relevance, role, grade) after blocks and groups, one by one."""
    strongest = ("relevant", "redundant", "suppressor", "negligible", "noise")
    grades = [None] * len(truth.roles) if truth.relevance is None else list(truth.relevance)

    def role_of(columns):
        return next(role for role in strongest if role in [truth.roles[c] for c in columns])

    attributes = [set(block) for block in truth.blocks]
    attributes += [{c} for c in range(len(truth.roles)) if not any(c in block for block in truth.blocks)]
    values = [sum(relevance[c] for c in columns) for columns in attributes]
    sums = [None if truth.relevance is None else sum(grades[c] for c in columns) for columns in attributes]
    rows, done = [], set()
    for i, columns in enumerate(attributes):
        if i in done:
            continue
        members = [i]
        for group in truth.groups:
            if columns & set(group):
                members = [k for k, other in enumerate(attributes) if other & set(group)]
        done |= set(members)
        best = None if truth.relevance is None else max(sums[k] for k in members)
        role = role_of(set().union(*(attributes[k] for k in members)))
        rows.append((max(values[k] for k in members), role, best))
    return rows


def relevant_or_noise(rows, chosen="relevant"):
    """Relevances, and whether each is of a relevant input (or of another role than noise)."""
    rest = [(value, role == chosen) for value, role, _ in rows if role in (chosen, "noise")]
    return [value for value, _ in rest], [mark for _, mark in rest]


def auroc(relevance, relevant):
    pairs = [
        (relevance[i] > relevance[j]) + 0.5 * (relevance[i] == relevance[j])
        for i in range(len(relevant))
        for j in range(len(relevant))
        if relevant[i] and not relevant[j]
    ]
    return sum(pairs) / len(pairs)


def orders(relevance):
    """Every order, best first, that agrees with the relevance."""
    levels = sorted(set(relevance), reverse=True)
    runs = [[i for i, value in enumerate(relevance) if value == level] for level in levels]
    for parts in itertools.product(*(itertools.permutations(run) for run in runs)):
        yield list(itertools.chain(*parts))


def average_precision(relevance, relevant):
    def of(order):
        hits, precisions = 0, []
        for position, i in enumerate(order, start=1):
            if relevant[i]:
                hits += 1
                precisions.append(hits / position)
        return sum(precisions) / len(precisions)

    return np.mean([of(order) for order in orders(relevance)])


def precision_at_p(relevance, relevant):
    p = sum(relevant)
    return np.mean([sum(relevant[i] for i in order[:p]) / p for order in orders(relevance)])


def contrast(relevance, relevant):
    lowest = min(value for value, mark in zip(relevance, relevant, strict=True) if mark)
    highest = max(value for value, mark in zip(relevance, relevant, strict=True) if not mark)
    return 0.5 if lowest == highest == 0 else lowest / (lowest + highest)


def support(relevance, relevant):
    """Precision and recall of the inputs above 0; None where nothing is selected."""
    selected = [mark for value, mark in zip(relevance, relevant, strict=True) if value > 0]
    return (sum(selected) / len(selected) if selected else None), sum(selected) / sum(relevant)


def somers_d(relevance, graded):
    total = pairs = 0
    for i, j in itertools.combinations(range(len(graded)), 2):
        if graded[i] != graded[j]:
            pairs += 1
            total += np.sign(relevance[i] - relevance[j]) * np.sign(graded[i] - graded[j])
    return total / pairs


def inversions(codes):
    return sum(codes[i] > codes[j] for i, j in itertools.combinations(range(len(codes)), 2))


def spearman_ceiling(graded):
    """The best over all rankings without ties, of at most 8 inputs."""
    mid = [np.mean([k for k, v in enumerate(sorted(graded)) if v == value]) for value in graded]
    return max(np.corrcoef(order, mid)[0, 1] for order in itertools.permutations(range(len(graded))))
