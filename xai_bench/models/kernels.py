"""What a training step does between its matrix products, in compiled loops over float32 arrays on one thread.

Importing this module compiles the loops, or loads them from numba's cache: it is imported where a network is first
trained. Activations are (m, features, rows): every loop over rows is contiguous, and belongs to one feature of one
network; only the first ``rows`` count, the others fill up a register. All parameters of a network lie in one row of
``flat`` (m, parameters), its gradients in one row of ``grad``; ``bias``, ``gamma`` and so on are where a layer's values
begin in such a row. No loop runs over two networks, so a
network's bits depend neither on its companions nor on how many they are.

``fastmath`` allows sums in vector registers and fused multiply-add. It does not allow the compiler to assume that
numbers are finite: a training that diverges stays visible.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

FAST = {"reassoc", "nsz", "contract"}
NONE, RELU, TANH = 0, 1, 2
BATCH_NORM_EPS, BATCH_NORM_MOMENTUM = np.float32(1e-5), np.float32(0.1)
BETA_1, BETA_2, ADAM_EPS = np.float32(0.9), np.float32(0.999), np.float32(1e-8)
NEW_1, NEW_2 = np.float32(1 - 0.9), np.float32(1 - 0.999)
ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
TINY = np.float32(np.finfo(np.float32).tiny)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def compiled(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile for one signature, at once; without numba's cache where no folder for it can be written."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(signature, cache=True, nogil=True, fastmath=FAST, error_model="numpy")(function)
        except (RuntimeError, OSError):
            return numba.njit(signature, nogil=True, fastmath=FAST, error_model="numpy")(function)

    return wrap


def within(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile into each loop that calls it, as a part of that loop.

    Left to the linker, the process that compiles calls a copy of its own, optimised by itself, and one that loads the
    loop from the cache calls the loop's: in the last bit they can differ.
    """
    return numba.njit(fastmath=FAST, error_model="numpy", forceinline=True)(function)


@within
def _tanh(x):
    """Rational approximation, odd, within 3e-7 of tanh; NaN stays NaN."""
    limit = np.float32(7.90531110763549805)
    x = limit if x > limit else (-limit if x < -limit else x)
    s = x * x
    p = np.float32(-2.76076847742355e-16)
    p = p * s + np.float32(2.00018790482477e-13)
    p = p * s + np.float32(-8.60467152213735e-11)
    p = p * s + np.float32(5.12229709037114e-08)
    p = p * s + np.float32(1.48572235717979e-05)
    p = p * s + np.float32(6.37261928875436e-04)
    p = p * s + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06)
    q = q * s + np.float32(1.18534705686654e-04)
    q = q * s + np.float32(2.26843463243900e-03)
    q = q * s + np.float32(4.89352518554385e-03)
    return x * p / q


@within
def _mixed(z):
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * MIX_1
    z = (z ^ (z >> np.uint64(27))) * MIX_2
    return z ^ (z >> np.uint64(31))


@within
def _activate(row, bias, activation):
    """Add the bias and apply the activation, in place."""
    if activation == TANH:
        for r in range(len(row)):
            row[r] = _tanh(row[r] + bias)
    elif activation == RELU:
        for r in range(len(row)):
            value = row[r] + bias
            row[r] = ZERO if value <= ZERO else value
    else:
        for r in range(len(row)):
            row[r] += bias


@compiled("void(float32[:,:,::1], int64[:,::1], float32[:,:,::1])")
def gather(X, index, out):
    """Rows ``index`` (m, rows) of X (m or 1, n, width) into ``out`` (m, rows, width)."""
    for i in range(index.shape[0]):
        source = i if X.shape[0] > 1 else 0
        for r in range(index.shape[1]):
            chosen, row = X[source, index[i, r]], out[i, r]
            for j in range(out.shape[2]):
                row[j] = chosen[j]


@compiled(
    "void(int64, float32[:,:,::1], float32[:,:,::1], int8[:,:,::1], float32[:,:,::1], float32[:,::1], int64, int64,"
    " int64, int64, int64, int64, float32, uint64[::1], int64)"
)
def forward(rows, z, out, keep, stats, flat, activation, bias, gamma, beta, running, threshold, scale, keys, step):
    """From the product z (m, h, rows) of a layer to its outputs ``out``; z becomes the activations.

    Parameters
    ----------
    out : z itself in a layer with neither batch norm nor dropout
    keep : (m, h, rows), which values dropout keeps, 0 or 1, is filled
    stats : (m, 2, h), mean and 1 / standard deviation of the batch norm, is filled
    gamma, beta, running : where the batch norm's values begin in ``flat``, running mean and then variance; gamma < 0
        for none
    threshold : of 65536, below which a 16-bit number keeps a value; -1 for no dropout
    scale : what kept values are multiplied with
    keys, step : (m,) and the number of the step: what the masks are a function of (``models.dropout``)
    """
    m, h, _ = z.shape
    n = np.float32(rows)
    unbiased = n / np.float32(max(rows - 1, 1))
    words = np.empty((rows + 3) // 4, np.uint64)
    fields = words.view(np.uint16)
    for i in range(m):
        base = _mixed(keys[i] + np.uint64(step + 1) * GOLDEN) if threshold >= 0 else np.uint64(0)
        for k in range(h):
            row, target = z[i, k, :rows], out[i, k, :rows]
            _activate(row, flat[i, bias + k], activation)
            if gamma >= 0:
                total = ZERO
                for r in range(rows):
                    total += row[r]
                mean = total / n
                total = ZERO
                for r in range(rows):
                    difference = row[r] - mean
                    total += difference * difference
                var = total / n
                inverse = ONE / np.sqrt(var + BATCH_NORM_EPS)
                stats[i, 0, k], stats[i, 1, k] = mean, inverse
                flat[i, running + k] += BATCH_NORM_MOMENTUM * (mean - flat[i, running + k])
                flat[i, running + h + k] += BATCH_NORM_MOMENTUM * (var * unbiased - flat[i, running + h + k])
                slope, shift = flat[i, gamma + k] * inverse, flat[i, beta + k]
                for r in range(rows):
                    target[r] = (row[r] - mean) * slope + shift
            elif threshold >= 0:
                for r in range(rows):
                    target[r] = row[r]
            if threshold >= 0:
                first = np.uint64(k * len(words) + 1)
                for w in range(len(words)):
                    words[w] = _mixed(base + (first + np.uint64(w)) * GOLDEN)
                kept = keep[i, k, :rows]
                for r in range(rows):
                    kept[r] = np.int32(fields[r]) < np.int32(threshold)
                for r in range(rows):
                    target[r] *= scale * np.float32(kept[r])


@compiled(
    "void(int64, float32[:,:,::1], float32[:,:,::1], int8[:,:,::1], float32[:,:,::1], float32[:,::1], float32[:,::1],"
    " int64, int64, int64, int64, int64, float32)"
)
def backward(rows, g, z, keep, stats, flat, grad, activation, bias, gamma, beta, threshold, scale):
    """From the gradient g (m, h, rows) of a layer's outputs to that of its product, in place.

    z, ``keep`` and ``stats`` are those of ``forward``; the gradients of bias, gamma and beta are put into ``grad``.
    """
    m, h, _ = z.shape
    n = np.float32(rows)
    for i in range(m):
        for k in range(h):
            row, gradient = z[i, k, :rows], g[i, k, :rows]
            if threshold >= 0:
                kept = keep[i, k, :rows]
                for r in range(rows):
                    gradient[r] *= scale * np.float32(kept[r])
            if gamma >= 0:
                mean, inverse = stats[i, 0, k], stats[i, 1, k]
                plain, product = ZERO, ZERO
                for r in range(rows):
                    plain += gradient[r]
                    product += gradient[r] * (row[r] - mean)
                product *= inverse
                grad[i, gamma + k], grad[i, beta + k] = product, plain
                slope = flat[i, gamma + k] * inverse
                by, less = product * inverse / n, plain / n
                for r in range(rows):
                    gradient[r] = (gradient[r] - less - (row[r] - mean) * by) * slope
            total = ZERO
            if activation == TANH:
                for r in range(rows):
                    gradient[r] *= ONE - row[r] * row[r]
                    total += gradient[r]
            elif activation == RELU:
                for r in range(rows):
                    gradient[r] = ZERO if row[r] <= ZERO else gradient[r]
                    total += gradient[r]
            else:
                for r in range(rows):
                    total += gradient[r]
            grad[i, bias + k] = total


@compiled("void(float32[:,:,::1], int64[::1], float32[::1], float32[:,::1], float32[:,::1], int64, int64[:,::1])")
def cross_entropy(z, y, weight, flat, grad, bias, index):
    """From the last product z (m, classes, rows), without bias, to the gradient of the mean cross-entropy, in place.

    ``y`` (n,) and ``weight`` (n,), empty for 1, are of all rows; ``index`` (m, rows) says which they are.
    """
    (m, classes, _), rows = z.shape, index.shape[1]
    for i in range(m):
        logits, offset = z[i], flat[i, bias : bias + classes]
        for r in range(rows):
            highest = logits[0, r] + offset[0]
            for c in range(classes):
                logits[c, r] += offset[c]
                highest = logits[c, r] if logits[c, r] > highest else highest
            total = ZERO
            for c in range(classes):
                logits[c, r] = np.exp(logits[c, r] - highest)
                total += logits[c, r]
            by = (weight[index[i, r]] if len(weight) else ONE) / np.float32(rows)
            for c in range(classes):
                logits[c, r] *= by / total
            logits[y[index[i, r]], r] -= by
        for c in range(classes):
            total = ZERO
            for r in range(rows):
                total += logits[c, r]
            grad[i, bias + c] = total


@compiled("void(float32[:,:,::1], float32[:,::1], float32[::1], float32[:,::1], float32[:,::1], int64, int64[:,::1])")
def squared_error(z, y, weight, flat, grad, bias, index):
    """The same for the mean squared error of targets y (n, targets)."""
    (m, targets, _), rows = z.shape, index.shape[1]
    half = np.float32(rows * targets)
    for i in range(m):
        for c in range(targets):
            total = ZERO
            row, offset = z[i, c], flat[i, bias + c]
            for r in range(rows):
                by = (weight[index[i, r]] if len(weight) else ONE) * TWO / half
                row[r] = (row[r] + offset - y[index[i, r], c]) * by
                total += row[r]
            grad[i, bias + c] = total


@compiled("float64(float32[:,::1], int64[::1], float32[::1])")
def mean_cross_entropy(outputs, y, weight):
    """Of the logits (classes, n) of one network; ``weight`` (n,), empty for 1."""
    classes, n = outputs.shape
    mean = np.float64(0.0)
    for r in range(n):
        highest = outputs[0, r]
        for c in range(classes):
            highest = outputs[c, r] if outputs[c, r] > highest else highest
        total = ZERO
        for c in range(classes):
            total += np.exp(outputs[c, r] - highest)
        mean += (np.log(total) + highest - outputs[y[r], r]) * (weight[r] if len(weight) else ONE)
    return mean / n


@compiled("float64(float32[:,::1], float32[:,::1], float32[::1])")
def mean_squared_error(outputs, y, weight):
    """The same for outputs (targets, n) and their values y (n, targets)."""
    targets, n = outputs.shape
    mean = np.float64(0.0)
    for r in range(n):
        total = ZERO
        for c in range(targets):
            total += (outputs[c, r] - y[r, c]) ** 2
        mean += total * (weight[r] if len(weight) else ONE)
    return mean / (n * targets)


@compiled("void(float32[:,::1], int64, int64, float32[:,:,::1])")
def spectral_weight(flat, matrix, eigenvalues, weight):
    """phi * lambda of a spectral layer into ``weight`` (m, h, stride)."""
    m, h, stride = weight.shape
    for i in range(m):
        value = flat[i, eigenvalues : eigenvalues + stride]
        for k in range(h):
            phi, row = flat[i, matrix + k * stride : matrix + (k + 1) * stride], weight[i, k]
            for j in range(stride):
                row[j] = phi[j] * value[j]


@compiled("void(float32[:,:,::1], float32[:,::1], float32[:,::1], int64, int64)")
def spectral_gradient(dense, flat, grad, matrix, eigenvalues):
    """From the gradient of the weight (m, h, stride) of a spectral layer to those of phi and lambda."""
    m, h, stride = dense.shape
    for i in range(m):
        value = flat[i, eigenvalues : eigenvalues + stride]
        total = grad[i, eigenvalues : eigenvalues + stride]
        total[:] = ZERO
        for k in range(h):
            start = matrix + k * stride
            phi, of_phi, row = flat[i, start : start + stride], grad[i, start : start + stride], dense[i, k]
            for j in range(stride):
                of_phi[j] = row[j] * value[j]
                total[j] += row[j] * phi[j]


@within
def _adam_alone(value, gradient, mean, square, rate, correction):
    """A step of Adam without a penalty."""
    for j in range(len(value)):
        g = gradient[j]
        mean[j] = BETA_1 * mean[j] + NEW_1 * g
        square[j] = BETA_2 * square[j] + NEW_2 * g * g
        value[j] -= rate * mean[j] / (np.sqrt(square[j]) * correction + ADAM_EPS)


@within
def _adam(value, gradient, mean, square, by, sign, rate, correction):
    """A step of Adam; ``by`` (len(value),) and ``sign``: the gradient's penalty is value * by + sign * sgn(value)."""
    for j in range(len(value)):
        v = value[j]
        direction = ONE if v > ZERO else (-ONE if v < ZERO else ZERO)
        g = gradient[j] + v * by[j] + sign * direction
        mean[j] = BETA_1 * mean[j] + NEW_1 * g
        square[j] = BETA_2 * square[j] + NEW_2 * g * g
        value[j] = v - rate * mean[j] / (np.sqrt(square[j]) * correction + ADAM_EPS)


@compiled(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[:,::1], int64, int64, int64, int64, float32[::1],"
    " float32, float32)"
)
def adam(flat, grad, means, squares, h, stride, eigenvalues, trained, strengths, rate, correction):
    """A step of Adam (arXiv 1412.6980) on the first ``trained`` values of every network, the penalty included.

    A row begins with the first layer's matrix (h, stride), then come its eigenvalues if it has any (stride,).

    Parameters
    ----------
    strengths : (5,) group lasso on the columns of the matrix; twice the L2 and the L1 on the matrix; the same on the
        eigenvalues
    rate : learning rate / (1 - beta1^t)
    correction : 1 / sqrt(1 - beta2^t)
    """
    group, double_l2, l1 = strengths[0], strengths[1], strengths[2]
    by = np.empty(stride, np.float32)
    for i in range(flat.shape[0]):
        value, gradient, mean, square = flat[i], grad[i], means[i], squares[i]
        by[:] = double_l2
        if group > ZERO:
            by[:] = ZERO
            for k in range(h):
                row = value[k * stride : (k + 1) * stride]
                for j in range(stride):
                    by[j] += row[j] * row[j]
            for j in range(stride):
                by[j] = group / max(np.sqrt(by[j]), TINY)
        for k in range(h):
            a, b = k * stride, (k + 1) * stride
            _adam(value[a:b], gradient[a:b], mean[a:b], square[a:b], by, l1, rate, correction)
        start = h * stride
        if eigenvalues:
            a, b = start, start + stride
            by[:] = strengths[3]
            _adam(value[a:b], gradient[a:b], mean[a:b], square[a:b], by, strengths[4], rate, correction)
            start = b
        _adam_alone(
            value[start:trained], gradient[start:trained], mean[start:trained], square[start:trained], rate, correction
        )


@compiled("void(float32[:,::1], float32[::1], int64, int64, int64, int64, int64)")
def evaluate(z, values, activation, bias, gamma, beta, running):
    """From the product z (h, n) of one network's layer to its outputs in eval mode, in place; ``values``: its row."""
    h = len(z)
    for k in range(h):
        row = z[k]
        _activate(row, values[bias + k], activation)
        if gamma >= 0:
            slope = values[gamma + k] / np.sqrt(values[running + h + k] + BATCH_NORM_EPS)
            mean, shift = values[running + k], values[beta + k]
            for r in range(len(row)):
                row[r] = (row[r] - mean) * slope + shift
