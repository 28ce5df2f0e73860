"""Which inputs the data speak for: rounds of evidence, each on what a fit to the inputs found so far leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xai_bench.models.losses import Tensors
from xai_bench.models.moments.basis import basis
from xai_bench.models.moments.evidence import Evidence
from xai_bench.models.moments.residual import target, whitened
from xai_bench.models.moments.ridge import Ridge, fit

Floats = NDArray[np.float64]

LEVEL = 0.05
"""Chance, over all rounds together, that an input enters that has nothing to do with the target."""
ROUNDS = 10
MOST = 40
"""Inputs that enter at the most."""
TESTED = 2 * MOST
"""Inputs of a round that are tested again at the most."""
ALIKE = 3
"""Functions whose correlation makes an input wait for another."""
LOWEST = 0.05
"""Start of an eigenvalue without evidence."""
EVEN = 0.5
"""And of one with evidence that the active inputs explain."""
ROWS = 4000
"""More rows are thinned out, evenly: the work grows with rows times d^2."""


@dataclass(frozen=True, eq=False)
class Found:
    """What the data say of every input.

    Attributes
    ----------
    evidence : (d,) of an active input at its entry, of the others in the last round, never above that of an active one
    active : the inputs that entered and were confirmed, those with the most evidence first
    passed : (d,) of an active input the same, of others the largest evidence with which they passed a round, though
        they waited or were not confirmed; -inf where they never did

    What the active inputs explain has less evidence in the last round than noise has. That may be a proxy, but also a
    second measurement of the same thing, or an input that is little use beside them. What passed is therefore
    ``ordered`` by the evidence that it passed with, and starts at even odds: networks find out what it is good for.
    """

    evidence: Floats
    active: tuple[int, ...]
    passed: Floats

    @property
    def ordered(self) -> Floats:
        """(d,) ``passed``, where an input did, else ``evidence``."""
        return np.where(np.isfinite(self.passed), self.passed, self.evidence)

    @property
    def waiting(self) -> NDArray[np.bool_]:
        """(d,) which inputs passed and are not active."""
        found = np.isfinite(self.passed)
        found[list(self.active)] = False
        return found

    @property
    def starting(self) -> Floats:
        """(d,) what eigenvalues start at: ``starting_values``, but 1/2 of inputs that wait.

        From 1/2 the penalty can prune them: in 800 steps it takes .8 from an eigenvalue that tells nothing.
        """
        return np.where(self.waiting, EVEN, starting_values(self.evidence))


def find(X: NDArray, y: NDArray, classes: int | None) -> Found:
    """Evidence of the columns of X (n, d) about y: (n,) of so many ``classes``, or values (n,) or (n, C) if None.

    1. The residual of the target is whitened, and the evidence of every input computed (``evidence``).
    2. Inputs with an evidence above log(rounds / level), tested again (``Evidence.retested``), enter, those with the
       most first. A proxy waits: an input enters only if none of its first three functions has a correlation of
       sqrt(2 log(d^2) / n) or more with the same function of one that entered in this round; what both tell is
       explained before it is asked again. What the fit leaves of a rough effect may still let a close copy in.
    3. The target is fitted on the active inputs (``ridge``). Its leave-one-out residual is the next target of the
       rounds, its prediction a further known partner: what acts on top of all that is known, such as the rest of a
       disjunction, is a pair with the prediction. On from 1, until nothing enters, or ten rounds or 40 inputs are done.
    4. Confirmation: from the last one to enter, an active input is dropped if the leave-one-out risk without it is no
       higher.
    """
    thinned = np.linspace(0, len(X) - 1, min(len(X), ROWS)).astype(np.intp)
    psi, Y = basis(X[thinned]), target(y[thinned], classes)
    d, n = len(psi), len(Y)
    bar = math.log(ROUNDS / LEVEL)
    near = math.sqrt(2 * math.log(max(d, 2) ** 2) / n)
    entered: dict[int, float] = {}
    passed = np.full(d, -math.inf)
    model, current, prediction = fit(psi[:0], Y), np.full(d, -math.log(2 * d)), None
    for _ in range(ROUNDS):
        r = whitened(Y - model.left_out, Y)
        if not len(r):
            break
        current, passing = _tested(Evidence(psi, r, tuple(entered), prediction), entered, bar)
        passed[passing] = np.maximum(passed[passing], current[passing])
        new = _without_proxies(psi, passing, near)[: MOST - len(entered)]
        entered |= {j: float(current[j]) for j in new}
        if not new:
            break
        model = fit(psi[list(entered)], Y)
        prediction = basis(whitened(model.left_out, Y).T)
    return _ranked(current, {j: entered[j] for j in _confirmed(psi, Y, list(entered), model)}, passed)


def _tested(evidence: Evidence, entered: dict[int, float], bar: float) -> tuple[Floats, list[int]]:
    """(d,) evidence, that of the first inputs above ``bar`` tested again; those that pass, with the most first."""
    found = evidence.screened.copy()
    above = [j for j in np.argsort(-found, kind="stable").tolist() if found[j] > bar and j not in entered]
    for j in above[:TESTED]:
        found[j] = evidence.retested(j)
    passing = [j for j in above[:TESTED] if found[j] > bar]
    return found, sorted(passing, key=lambda j: -found[j])


def _without_proxies(psi: NDArray[np.float32], passing: list[int], near: float) -> list[int]:
    """The inputs that pass, but for those that are like one before them."""
    n = psi.shape[2]
    taken: list[int] = []
    for j in passing:
        alike = (psi[taken, :ALIKE] * psi[j, :ALIKE]).sum(2) / n
        if not (np.abs(alike) >= near).any():
            taken.append(j)
    return taken


def _confirmed(psi: NDArray[np.float32], Y: Floats, entered: list[int], model: Ridge) -> list[int]:
    kept, risk = list(entered), model.risk
    for j in reversed(entered):
        without = [k for k in kept if k != j]
        other = fit(psi[without], Y, (model.kernel,))
        if other.risk <= risk:
            kept, risk = without, other.risk
    return kept


def _ranked(current: Floats, active: dict[int, float], passed: Floats) -> Found:
    """Active inputs with the evidence of their entry, all others below them."""
    found, order = current.copy(), sorted(active, key=lambda j: -active[j])
    if order:
        found = np.minimum(found, np.nextafter(active[order[-1]], -math.inf))
        found[order] = passed[order] = [active[j] for j in order]
    return Found(found, tuple(order), passed)


def starting_scales(data: Tensors, columns: Sequence[int]) -> Tensor:
    """(k,) ``starting_values`` for some columns, by the training rows; rows all count alike."""
    X, y = data.X_train[:, list(columns)].cpu().numpy(), data.y_train.cpu().numpy()
    found = find(X, y, data.n_outputs if data.kind == "classification" else None)
    return torch.from_numpy(starting_values(found.evidence))


def starting_values(evidence: Floats) -> Floats:
    """(d,) what eigenvalues start at: the logistic function of the evidence, no less than .05."""
    return np.clip(1 / (1 + np.exp(-np.clip(evidence, -50.0, 50.0))), LOWEST, 1.0)
