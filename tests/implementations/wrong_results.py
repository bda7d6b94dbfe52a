"""Wrong formulas, samples, arithmetic and shapes."""

from __future__ import annotations

import numpy as np

from .passes import SLOPE, lists, numpy_float64, run, squared, weighted, with_s
from .right import numpy_float32


def plain_mean(w, s, a):
    mean = np.tile(a.mean(axis=0), (len(w), 1))
    return w**2 * np.mean(s[:, :, None] * (a[:, None] - mean) ** 2, axis=0), w * mean


def unguarded(w, s, a):
    mean = (s.T @ a) / s.sum(axis=0)[:, None]
    return w**2 * np.mean(s[:, :, None] * (a[:, None] - mean) ** 2, axis=0), w * mean


def epsilon_guard(w, s, a):
    mean = np.mean(s[:, :, None] * a[:, None], axis=0) / (np.mean(s, axis=0)[:, None] + 1e-8)
    return w**2 * np.mean(s[:, :, None] * (a[:, None] - mean) ** 2, axis=0), w * mean


def tiny_guard(w, s, a):
    mean = np.mean(s[:, :, None] * a[:, None], axis=0) / (np.mean(s, axis=0)[:, None] + 1e-30)
    return w**2 * np.mean(s[:, :, None] * (a[:, None] - mean) ** 2, axis=0), w * mean


def clamp_guard(w, s, a):
    mean = np.mean(s[:, :, None] * a[:, None], axis=0) / np.maximum(np.mean(s, axis=0), 1e-12)[:, None]
    return w**2 * np.mean(s[:, :, None] * (a[:, None] - mean) ** 2, axis=0), w * mean


def square_of_mean(weights, biases, activation, x):
    p, pairs = run(weights, biases, activation, x), []
    for w, J, a in zip(weights, p.J, p.a):
        _, shift = weighted(w, squared(J), a)
        change = [np.mean(Jk[:, :, None] * (shift - w * a[:, None]), axis=0) ** 2 for Jk in J]
        pairs.append((sum(change), shift))
    return lists(pairs)


def batch_mean(weights, biases, activation, x, size=32):
    parts = [numpy_float64(weights, biases, activation, x[n : n + size]) for n in range(0, len(x), size)]
    layers = range(len(weights))
    return [sum(p[0][l] for p in parts) / len(parts) for l in layers], [
        sum(p[1][l] for p in parts) / len(parts) for l in layers
    ]


def equal_batches(weights, biases, activation, x, size=64):
    passes = [run(weights, biases, activation, x[n : n + size]) for n in range(0, len(x), size)]
    pairs = []
    for l, w in enumerate(weights):
        blocks = [(squared(p.J[l]), p.a[l]) for p in passes]
        S = np.mean([s.mean(axis=0) for s, _ in blocks], axis=0)[:, None]
        first = np.mean([s.T @ a / len(a) for s, a in blocks], axis=0)
        mean = np.divide(first, S, out=np.zeros_like(first), where=S > 0)
        v = np.mean([np.einsum("ni,nij->ij", s, (a[:, None] - mean) ** 2) / len(a) for s, a in blocks], axis=0)
        pairs.append((w**2 * v, w * mean))
    return lists(pairs)


def drop_last(weights, biases, activation, x, size=128):
    return numpy_float64(weights, biases, activation, x[: len(x) // size * size] if len(x) >= size else x)


def tanh_gelu(weights, biases, activation, x):
    if activation != "gelu":
        return numpy_float64(weights, biases, activation, x)

    def sigma(z):
        return z / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (z + 0.044715 * z**3)))

    def slope(z):
        return sigma(z + 1e-200j).imag / 1e-200

    p = run(weights, biases, activation, x, sigma, slope)
    return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))


def steep_leaky(weights, biases, activation, x):
    if activation != "leaky_relu":
        return numpy_float64(weights, biases, activation, x)
    p = run(weights, biases, activation, x, lambda z: np.maximum(z, 0.2 * z), lambda z: np.where(z > 0, 1, 0.2))
    return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))


def kink_one(weights, biases, activation, x):
    if activation != "relu":
        return numpy_float64(weights, biases, activation, x)
    p = run(weights, biases, activation, x, slope=lambda z: (z >= 0) * 1.0)
    return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))


def kink_half(weights, biases, activation, x):
    if activation != "relu":
        return numpy_float64(weights, biases, activation, x)
    p = run(weights, biases, activation, x, slope=lambda z: ((z > 0) * 1.0 + (z >= 0)) / 2)
    return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))


def float32_inside(weights, biases, activation, x):
    importance, shift = numpy_float32(weights, biases, activation, x)
    return [v.astype(float) for v in importance], [v.astype(float) for v in shift]


def float32_forward(weights, biases, activation, x):
    """The forward and backward pass in float32, the moments in float64."""
    p = run([w.astype("f") for w in weights], [b.astype("f") for b in biases], activation, x.astype("f"))
    return lists(weighted(w, squared(J).astype(float), a.astype(float)) for w, J, a in zip(weights, p.J, p.a))


def finite_difference(weights, biases, activation, x):
    """s from central differences with a step of 1e-4: six digits."""
    h, pairs = 1e-4, []
    p = run(weights, biases, activation, x)
    for l, w in enumerate(weights):
        s = np.zeros_like(p.z[l])
        for i in range(len(w)):
            moved = []
            for sign in (1, -1):
                shifted = [b.copy() for b in biases]
                shifted[l][i] += sign * h
                moved.append(run(weights, shifted, activation, x).f)
            s[:, i] = (((moved[0] - moved[1]) / (2 * h)) ** 2).sum(axis=1)
        pairs.append(weighted(w, s, p.a[l]))
    return lists(pairs)


def raises_for_one_sample(weights, biases, activation, x):
    if len(x) < 2:
        raise ValueError("need at least two samples")
    return numpy_float64(weights, biases, activation, x)


def squeezed(weights, biases, activation, x):
    importance, shift = numpy_float64(weights, biases, activation, x)
    return [np.squeeze(v) for v in importance], [np.squeeze(v) for v in shift]


def wrong_sigmoid(weights, biases, activation, x):
    """The slope of the sigmoid is that of tanh."""
    return with_s(
        lambda p: [squared(J) for J in p.J], slope=SLOPE["tanh"] if activation == "sigmoid" else SLOPE[activation]
    )(weights, biases, activation, x)


def no_last_slope(weights, biases, activation, x):
    """The last hidden layer's σ' is missing: wrong for all layers but the last."""
    p = run(weights, biases, activation, x)
    pairs = []
    for l, w in enumerate(weights):
        g = np.repeat(np.eye(p.f.shape[1])[:, None], p.N, axis=1)
        for m in range(len(weights) - 1, l, -1):
            g = g @ weights[m] * (SLOPE[activation](p.z[m - 1]) if m < len(weights) - 1 else 1)
        pairs.append(weighted(w, squared(g), p.a[l]))
    return lists(pairs)


def network_normalised(importance, shift, weights, x):
    total = sum(v.sum() for v in importance)
    return [v / total if total else v for v in importance], shift
