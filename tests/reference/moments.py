"""The evidence of ``models.moments`` one number at a time, with scipy's chi-square."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.stats import chi2, rankdata


def functions(x):
    """(8, n) of one column: each raw function less its projections on the constant and on those before it."""
    n = len(x)
    q25, median, q75 = np.quantile(x, [0.25, 0.5, 0.75])
    scale = (q75 - q25) / 1.349 or np.std(x)
    if np.ptp(x) == 0:
        return np.zeros((8, n))
    raw = [np.clip((x - median) / scale, -3.5, 3.5)]
    raw += [np.cos(a * math.pi * (rankdata(x) - 0.5) / n) for a in range(2, 9)]
    done = [np.ones(n)]
    found = []
    for one in raw:
        rest = one.copy()
        for other in done:
            rest = rest - (rest @ other) / n * other
        if np.linalg.norm(rest) <= 0.05 * np.linalg.norm(one):
            found.append(np.zeros(n))
            continue
        rest = rest * math.sqrt(n) / np.linalg.norm(rest)
        done.append(rest)
        found.append(rest)
    return np.array(found)


def studentised(psi, r):
    """(8, n) psi~ = L^-1 psi with L L' = mean(psi psi' r^2); functions that are 0 stay so."""
    present = [a for a in range(8) if psi[a].any()]
    found = np.zeros_like(psi)
    if present:
        V = np.zeros((len(present), len(present)))
        for (s, a), (t, b) in itertools.product(enumerate(present), repeat=2):
            V[s, t] = np.mean(psi[a] * psi[b] * r**2)
        found[present] = np.linalg.solve(np.linalg.cholesky(V), psi[present])
    return found


def evidence(X, r, active=(), prediction=None):
    """(d,) for columns X (n, d) and a whitened residual r (C, n); ``prediction``: (n, p) columns."""
    n, d = X.shape
    c = len(r)
    limit = n / np.mean(np.array(r) ** 4) / 10
    columns = [X[:, j] for j in range(d)] + ([] if prediction is None else list(prediction.T))
    tilde = [[studentised(functions(x), row) for x in columns] for row in r]
    weights = [8 / 15, 4 / 15, 2 / 15, 1 / 15]
    known = [*active, *range(d, len(columns))]
    result = []
    for k in range(d):
        best = -math.inf
        z = [[sum(row * tilde[i][k][a]) / math.sqrt(n) for a in range(8)] for i, row in enumerate(r)]
        for q, w in zip((1, 2, 4, 8), weights, strict=True):
            if q == 1 or q <= limit:
                statistic = sum(z[i][a] ** 2 for i in range(c) for a in range(q))
                best = max(best, -chi2.logsf(statistic, q * c) + math.log(w) - math.log(d))
        for j, (q, w) in itertools.product(range(len(columns)), zip((1, 2, 4, 6), weights, strict=True)):
            if j == k or (q > 1 and q * q > limit):
                continue
            statistic = sum(z[i][a] ** 2 for i in range(c) for a in range(q))
            for i, a, b in itertools.product(range(c), range(q), range(q)):
                statistic += sum(r[i] * tilde[i][j][a] * tilde[i][k][b]) ** 2 / n
            tail = -chi2.logsf(statistic, (q * q + q) * c) + math.log(w)
            if j < d:
                best = max(best, tail - math.log(d * (d - 1)))
            if j in known:
                best = max(best, tail - math.log(d * len(known)))
        result.append(best - math.log(2))
    return np.array(result)


def left_out(psi, Y, order, decay, strength):
    """(n, C) of every row the prediction of a fit to the others, by kernel ridge with an intercept, solved each time.

    Centring and scale of the kernel are those of all rows, as the closed form has them.
    """
    n = len(Y)
    omega = np.arange(1.0, 9.0) ** -decay
    omega /= omega.sum()
    ones = [sum(omega[a] * np.outer(one[a], one[a]) for a in range(8)) for one in psi]
    K = np.zeros((n, n))
    for size in range(1, order + 1):
        sums = [np.prod(chosen, axis=0) for chosen in itertools.combinations(ones, size)]
        if sums:
            K += sum(sums) / np.mean(np.diag(sum(sums)))
    H = np.eye(n) - 1 / n
    K = H @ K @ H
    found = []
    for i in range(n):
        seen = [k for k in range(n) if k != i]
        # An intercept without penalty: bordered equations.
        A = np.zeros((n, n))
        A[: n - 1, : n - 1] = K[np.ix_(seen, seen)] + strength * n * np.eye(n - 1)
        A[: n - 1, n - 1] = A[n - 1, : n - 1] = 1
        solution = np.linalg.solve(A, np.vstack([Y[seen], np.zeros((1, Y.shape[1]))]))
        found.append(K[i, seen] @ solution[:-1] + solution[-1])
    return np.array(found)


def joint_statistic(first, second, r, q):
    """Of one column of r: z' V^-1 z for the q functions of an input and the q^2 products with those of its partner."""
    phi = [*first[:q], *(first[a] * second[b] for a in range(q) for b in range(q))]
    present = [one for one in phi if one.any()]
    z = np.array([sum(r * one) / math.sqrt(len(r)) for one in present])
    V = np.array([[np.mean(r**2 * one * other) for other in present] for one in present])
    return z @ np.linalg.solve(V, z)


def retested(X, r, k):
    """Evidence of input k alone, or with a partner: the smaller one of ``evidence`` and that of the joint statistic."""
    n, d = X.shape
    c, limit = len(r), n / np.mean(np.array(r) ** 4) / 10
    tilde = [[studentised(functions(x), row) for x in X.T] for row in r]
    weights = [8 / 15, 4 / 15, 2 / 15, 1 / 15]
    z = [[sum(row * tilde[i][k][a]) / math.sqrt(n) for a in range(8)] for i, row in enumerate(r)]

    def single(q):
        return sum(z[i][a] ** 2 for i in range(c) for a in range(q))

    best = max(
        -chi2.logsf(single(q), q * c) + math.log(w) - math.log(d)
        for q, w in zip((1, 2, 4, 8), weights, strict=True)
        if q == 1 or q <= limit
    )
    for j, (q, w) in itertools.product(range(d), zip((1, 2, 4, 6), weights, strict=True)):
        if j == k or (q > 1 and q * q > limit):
            continue
        apart, joint = single(q), 0.0
        for i, row in enumerate(r):
            for a, b in itertools.product(range(q), range(q)):
                apart += sum(row * tilde[i][j][a] * tilde[i][k][b]) ** 2 / n
            joint += joint_statistic(tilde[i][k], tilde[i][j], row, q)
        tail = -chi2.logsf(min(apart, joint), (q * q + q) * c)
        best = max(best, tail + math.log(w) - math.log(d * (d - 1)))
    return best - math.log(2)


def trained(X, y, kind, n_outputs, start, rates, training, streams):
    """|lambda| and ||phi|| (d,) of networks trained one by one with autograd; ``rates`` of Adam at each step."""
    import torch
    from torch import nn

    from xai_bench.models.moments.ensemble import NETWORK

    X, found = torch.from_numpy(X).float(), []
    for rows, stream in zip(training, streams, strict=True):
        net = NETWORK.build((X.shape[1],), n_outputs, stream.init)
        first = next(net.children())
        first.lambda_in.data.copy_(torch.from_numpy(start))
        others = [p for p in net.parameters() if p is not first.lambda_in]
        adam = torch.optim.Adam(others)
        for rate in rates:
            index = rows[stream.batches(1)[0]]
            outputs = net(X[index])
            target = torch.from_numpy(y)[index]
            if kind == "classification":
                loss = nn.functional.cross_entropy(outputs, target)
            else:
                loss = (outputs[:, 0] - target.float()).square().mean()
            net.zero_grad()
            loss.backward()
            adam.param_groups[0]["lr"] = rate
            adam.step()
            with torch.no_grad():
                moved = first.lambda_in - 0.05 * first.lambda_in.grad
                first.lambda_in.copy_(moved.sign() * (moved.abs() - 0.05 * 0.02).clamp_min(0))
        found.append((first.lambda_in.detach().abs().numpy(), first.phi.detach().norm(dim=0).numpy()))
    return found
