"""Evidence of every input that what is left of the target depends on it: alone, or together with one other input.

Derivation. Let r (C', n) be what a fit leaves of the target, whitened, and psi_a(x_j) the functions of ``basis``. If r
is independent of x_j, the moments

    z_ja = n^-1/2 sum_i r_i psi_a(x_ij)

have mean 0 and the covariance V_j = mean(psi psi' r^2). With V_j = L L' and psi~ = L^-1 psi they are uncorrelated with
variance 1, and nearly normal: sum_{a <= q} z_ja^2 is chi-square with q degrees of freedom, q C' over the columns of r.
An interaction that neither input shows alone has moments of products,

    z_jk,ab = n^-1/2 sum_i r_i psi~_a(x_ij) psi~_b(x_ik),

q^2 of them with a, b <= q. All pairs are one product of matrices, (r psi~) psi~', taken in blocks; it is symmetric, so
that half of the blocks do. For an input k and a partner j the statistic is sum_a z_ka^2 + sum_ab z_jk,ab^2, with
(q^2 + q) C' degrees of freedom. Since its tail falls with the statistic, only the largest one over all partners needs a
tail. Products of dependent inputs have another covariance: before an input enters, its best pairs are studentised
jointly.

How rough the dependence is nobody knows: q takes several values, the i-th with weight w_q ~ 2^-i. The evidence is the
largest -log p + log w_q, less log d for the choice among d inputs (log d(d - 1) among pairs, log d|A| where the partner
is one of |A| known inputs), less log 2 for the two kinds, alone and in pairs. So exp(-evidence) is about the
probability that any of the d inputs reaches it by chance. A chi-square with many degrees of freedom needs many rows:
q is used while q <= n_eff / 10 (pairs: q^2), with n_eff = n / mean(r^4).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xai_bench.models.moments.tails import minus_log_tail

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

ALONE = (1, 2, 4, 8)
"""Numbers of functions that are tried for an input alone."""
PAIRED = (1, 2, 4, 6)
"""And for a pair, of each input."""
WEIGHTS = (8 / 15, 4 / 15, 2 / 15, 1 / 15)
ROWS_A_FUNCTION = 10
COLUMNS_AT_ONCE = 128
"""Inputs of a block of pairs: its product stays in the cache."""
RETESTED = 8
"""Pairs of an input whose evidence is computed again, jointly, at the most (of each kind)."""
SINGULAR = 1e-9
JITTER = 1e-6
"""Added to the variances of V, so that it has a Cholesky factor whatever r is."""


def effective_rows(r: Floats) -> float:
    """n / mean(r^4) of a whitened residual r (C', n)."""
    return r.shape[1] / float(np.mean(r**4))


def allowed(counts: tuple[int, ...], power: int, rows: float) -> tuple[int, ...]:
    """The numbers of functions q with q^power <= rows / 10; the smallest one always."""
    return tuple(q for q in counts if q == counts[0] or q**power * ROWS_A_FUNCTION <= rows)


class Evidence:
    """The evidence of every input in one round.

    Parameters
    ----------
    psi : (d, FUNCTIONS, n) the functions of the inputs, see ``basis``
    r : (C', n) what is left of the target, whitened, see ``residual``
    active : known inputs: pairs with them pay less for the choice
    prediction : (p, FUNCTIONS, n) functions of p predictions of the target, which are further known partners

    Attributes
    ----------
    alone : (d,) in nats, of every input by itself
    screened : (d,) the larger one of that and of the evidence in pairs; above 0 it is more than is expected of chance
        among d inputs, as long as partners are independent: see ``retested``
    """

    def __init__(
        self, psi: Singles, r: Floats, active: tuple[int, ...] = (), prediction: Singles | None = None
    ) -> None:
        d, rows = len(psi), effective_rows(r)
        self.counts, self.active, self._c = allowed(PAIRED, 2, rows), active, len(r)
        self.inputs = Moments(psi, r)
        known = psi[list(active)] if prediction is None else np.concatenate([psi[list(active)], prediction])
        self.partners = Moments(known, r) if len(known) else None
        squares = np.concatenate([self.inputs.squares(part) for part in parts(d)])
        sums = np.cumsum(squares, axis=1).T
        tried = allowed(ALONE, 1, rows)
        found = weighed(sums[[q - 1 for q in tried]], [q * self._c for q in tried])
        self.alone = found.max(0) - np.log(d) - np.log(2)
        self._single = sums[[q - 1 for q in self.counts]]
        self.screened = self.alone
        if d > 1:
            largest = self._tails(any_pair(self.inputs, self.counts), d * (d - 1)).max(0)
            self.screened = np.maximum(self.screened, largest)
        if self.partners is not None:
            sums = known_pair(self.inputs, self.partners, active, self.counts)
            self.screened = np.maximum(self.screened, self._tails(sums, d * len(known)).max(0))

    def _tails(self, sums: Floats, choices: int, k: slice = slice(None)) -> Floats:
        """(number of q, d) evidence from sums over pairs; of one input ``k`` (number of q, partners)."""
        degrees = [(q * q + q) * self._c for q in self.counts]
        return weighed(self._single[:, k] + sums, degrees) - np.log(choices) - np.log(2)

    def retested(self, k: int) -> float:
        """The evidence of input k, its best pairs studentised jointly.

        psi~_a(x_j) psi~_b(x_k) have unit covariance where x_j and x_k are independent. Where they are not, as between
        neighbours in a series, the sum of squares is too large. For the pairs with the most evidence the statistic is
        z' V^-1 z with V = mean(r^2 phi phi') of all q^2 + q functions phi, summed over the columns of r; no pair gets
        more than at first.
        """
        best, d = float(self.alone[k]), len(self.screened)
        if self.screened[k] <= best:
            return best
        kinds = [(self.inputs, d * (d - 1))]
        if self.partners is not None:
            kinds.append((self.partners, d * len(self.partners.psi)))
        for others, choices in kinds:
            found = self._tails(self._row(k, others), choices, slice(k, k + 1))
            for place in np.argsort(-found, axis=None, kind="stable")[:RETESTED]:
                which, j = np.unravel_index(place, found.shape)
                if found[which, j] <= best:
                    break
                q = self.counts[which]
                tail = minus_log_tail(self._joint(k, others, int(j), q), (q * q + q) * self._c)[0]
                best = max(best, min(found[which, j], tail + np.log(WEIGHTS[which] / choices / 2)))
        return best

    def _row(self, k: int, others: Moments) -> Floats:
        """(number of q, e): sums of squares of input k with each of e partners; 0 with itself."""
        own, functions = slice(k, k + 1), self.counts[-1]
        weighted = [self.inputs.tilde(c, own, functions) * row for c, row in enumerate(self.inputs.r)]
        blocks = [summed(weighted, others, part, self.counts) for part in parts(len(others.psi))]
        found = np.concatenate(blocks, axis=2)[:, 0]
        same = [k] if others is self.inputs else [place for place, j in enumerate(self.active) if j == k]
        found[:, same] = 0.0
        return found.astype(np.float64)

    def _joint(self, k: int, others: Moments, j: int, q: int) -> float:
        """z' V^-1 z: n times the share of a constant that r phi explain; summed over the columns of r."""
        total = 0.0
        for c, row in enumerate(self.inputs.r):
            first = self.inputs.tilde(c, slice(k, k + 1), q)[:, 0].astype(np.float64)
            second = others.tilde(c, slice(j, j + 1), q)[:, 0]
            products = np.concatenate([first, (first[:, None] * second[None]).reshape(q * q, -1)]) * row
            sums = products.sum(1)
            total += float(sums @ np.linalg.lstsq(products @ products.T, sums, rcond=SINGULAR)[0])
        return total


def weighed(statistics: Floats, degrees: list[int]) -> Floats:
    """(number of q, ...) -log p + log w of statistics (number of q, ...)."""
    each = zip(statistics, degrees, WEIGHTS, strict=False)
    return np.array([minus_log_tail(s, k) + np.log(w) for s, k, w in each])


def parts(d: int) -> Iterator[slice]:
    """Inputs 0 .. d-1 in blocks."""
    return (slice(start, min(start + COLUMNS_AT_ONCE, d)) for start in range(0, d, COLUMNS_AT_ONCE))


class Moments:
    """Studentised functions psi~ of inputs, made for some inputs at a time: all of them would not fit.

    Attributes
    ----------
    psi : (d, FUNCTIONS, n)
    r : (C', n), and in single precision
    change : (C', d, FUNCTIONS, FUNCTIONS) L^-1
    """

    def __init__(self, psi: Singles, r: Floats) -> None:
        self.psi, self.r = psi, r.astype(np.float32)
        self.change = np.concatenate([self._inverse_factors(part) for part in parts(len(psi))], axis=1)

    def _inverse_factors(self, part: slice) -> Singles:
        psi = self.psi[part]
        n, functions = psi.shape[2], psi.shape[1]
        absent = np.eye(functions) * ~np.any(psi, axis=2)[:, None, :]
        found = []
        for row in self.r:
            V = ((psi * row**2) @ psi.transpose(0, 2, 1)).astype(np.float64) / n + absent
            found.append(np.linalg.inv(np.linalg.cholesky(V + JITTER * np.eye(functions))))
        return np.array(found, dtype=np.float32)

    def tilde(self, c: int, part: slice, functions: int) -> Singles:
        """(functions, inputs of the part, n): psi~ for column c of r."""
        made = self.change[c, part, :functions, :functions] @ self.psi[part, :functions]
        return np.ascontiguousarray(made.transpose(1, 0, 2))

    def squares(self, part: slice) -> Floats:
        """(inputs of the part, FUNCTIONS): z_ja^2, summed over the columns of r."""
        psi, n = self.psi[part], self.psi.shape[2]
        sums = (psi @ self.r.T).transpose(2, 0, 1)[:, :, :, None]
        z = (self.change[:, part] @ sums)[:, :, :, 0]
        return np.sum(np.square(z, dtype=np.float64), axis=0) / n


def pair_sums(first: Singles, second: Singles, counts: tuple[int, ...]) -> Singles:
    """(number of q, d, e): sum_{a, b <= q} z_ab^2 / n of inputs r psi~ (Q, d, n) with others psi~ (Q, e, n)."""
    functions, d, n = first.shape
    e = second.shape[1]
    z = (first.reshape(-1, n) @ second.reshape(-1, n).T).reshape(functions, d, functions, e)
    np.square(z, out=z)
    found = np.empty((len(counts), d, e), dtype=np.float32)
    total, before = np.zeros((d, e), dtype=np.float32), 0
    for place, q in enumerate(counts):
        for a in range(q):
            for b in range(q):
                if a >= before or b >= before:
                    total += z[a, :, b]
        found[place], before = total, q
    return found / np.float32(n)


def summed(weighted: list[Singles], others: Moments, columns: slice, counts: tuple[int, ...]) -> Singles:
    """``pair_sums`` of inputs r psi~, one (Q, d, n) for every column of r, with some columns of others; added up."""
    found = [pair_sums(first, others.tilde(c, columns, counts[-1]), counts) for c, first in enumerate(weighted)]
    return np.sum(found, axis=0) if len(found) > 1 else found[0]


def any_pair(moments: Moments, counts: tuple[int, ...]) -> Floats:
    """(number of q, d): the largest sum of squares over all partners of each input."""
    d, functions = len(moments.psi), counts[-1]
    largest = np.zeros((len(counts), d))
    for i, rows in enumerate(parts(d)):
        weighted = [moments.tilde(c, rows, functions) * row for c, row in enumerate(moments.r)]
        for columns in list(parts(d))[i:]:
            sums = summed(weighted, moments, columns, counts)
            if rows == columns:
                sums[:, range(sums.shape[1]), range(sums.shape[1])] = 0.0
            largest[:, rows] = np.maximum(largest[:, rows], sums.max(2))
            largest[:, columns] = np.maximum(largest[:, columns], sums.max(1))
    return largest


def known_pair(moments: Moments, partners: Moments, active: tuple[int, ...], counts: tuple[int, ...]) -> Floats:
    """(number of q, d): the largest sum of squares over known partners, the first of which are the active inputs."""
    d, functions = len(moments.psi), counts[-1]
    whole = slice(0, len(partners.psi))
    largest = np.zeros((len(counts), d))
    weighted = [partners.tilde(c, whole, functions) * row for c, row in enumerate(moments.r)]
    for columns in parts(d):
        sums = summed(weighted, moments, columns, counts)
        for place, j in enumerate(active):
            if columns.start <= j < columns.stop:
                sums[:, place, j - columns.start] = 0.0
        largest[:, columns] = sums.max(1)
    return largest
