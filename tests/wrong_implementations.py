"""Implementations of EC as people write them, right ones and wrong ones: the conformance suite's own test.

Nothing here is taken from the package: activations, forward pass, Jacobians and moments are written once
more, in the textbook form of an automatic differentiation's result (σ' from the activation's value).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import erf

Candidate = Callable[..., Any]


def logistic(z):
    return 1 / (1 + np.exp(-z))


SIGMA = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, z * z.dtype.type(0.01)),
    "elu": lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0)) - 1),
    "sigmoid": logistic,
    "tanh": np.tanh,
    "softplus": lambda z: np.logaddexp(z, 0),
    "sin": np.sin,
    "silu": lambda z: z * logistic(z),
    "gelu": lambda z: z * (1 + erf(z / z.dtype.type(2**0.5))) / 2,
}
SLOPE = {
    "identity": lambda z: np.ones_like(z),
    "relu": lambda z: (z > 0).astype(z.dtype),
    "leaky_relu": lambda z: np.where(z > 0, z.dtype.type(1), z.dtype.type(0.01)),
    "elu": lambda z: np.where(z > 0, 1, SIGMA["elu"](z) + 1),
    "sigmoid": lambda z: logistic(z) * (1 - logistic(z)),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "softplus": logistic,
    "sin": np.cos,
    "silu": lambda z: logistic(z) + z * logistic(z) * (1 - logistic(z)),
    "gelu": lambda z: (
        (1 + erf(z / z.dtype.type(2**0.5))) / 2 + z * np.exp(-(z**2) / 2) / z.dtype.type((2 * np.pi) ** 0.5)
    ),
}


@dataclass
class Pass:
    """A forward and a backward pass: layer inputs a (N, m), preactivations z (N, n), Jacobians J (K, N, n), outputs."""

    weights: list
    a: list
    z: list
    J: list
    f: np.ndarray

    @property
    def N(self):
        return len(self.f)

    @property
    def layers(self):
        return range(len(self.weights))


def run(weights, biases, activation, x, sigma=None, slope=None, last=None) -> Pass:
    """One pass; `sigma` and `slope` (of z) replace the activation, `last` is the output's activation."""
    sigma, slope = sigma or SIGMA[activation], slope or SLOPE[activation]
    L = len(weights)
    a, z = [x], []
    for l in range(L):
        z.append(a[l] @ weights[l].T + biases[l])
        a.append(sigma(z[l]) if l < L - 1 or last else z[l])
    N, K = a[-1].shape
    g = np.repeat(np.eye(K, dtype=x.dtype)[:, None], N, axis=1)
    if last:
        g = g * slope(z[-1])
    J = [g]
    for l in range(L - 1, 0, -1):
        g = (g @ weights[l]) * slope(z[l - 1])
        J.insert(0, g)
    return Pass(weights, a[:-1], z, J, a[-1])


def squared(J):
    return (J**2).sum(axis=0)


def weighted(w, s, a):
    """The right formulas: two passes, weights s (N, n) with mean over the samples."""
    S = s.mean(axis=0)[:, None]
    mean = np.where(S > 0, (s.T @ a / len(a)) / np.where(S > 0, S, 1), 0)
    centred = a[:, None, :] - mean  # (N, n, m)
    return w**2 * np.mean(s[:, :, None] * centred**2, axis=0), w * mean


def lists(pairs):
    importance, shift = zip(*pairs)
    return list(importance), list(shift)


# ---- right ones


def numpy_float64(weights, biases, activation, x):
    p = run(weights, biases, activation, x)
    return lists(weighted(p.weights[l], squared(p.J[l]), p.a[l]) for l in p.layers)


def numpy_float32(weights, biases, activation, x):
    weights, biases = [w.astype(np.float32) for w in weights], [b.astype(np.float32) for b in biases]
    return numpy_float64(weights, biases, activation, x.astype(np.float32))


def batched(size: int) -> Candidate:
    """Two passes over batches: S and μ first, then the squares about μ."""

    def candidate(weights, biases, activation, x):
        parts = [run(weights, biases, activation, x[start : start + size]) for start in range(0, len(x), size)]
        pairs = []
        for l, w in enumerate(weights):
            s = [squared(p.J[l]) for p in parts]
            S = sum(block.sum(axis=0) for block in s)[:, None]
            first = sum(block.T @ p.a[l] for block, p in zip(s, parts))
            mean = np.divide(first, S, out=np.zeros_like(first), where=S > 0)
            square = sum(np.einsum("ni,nij->ij", block, (p.a[l][:, None] - mean) ** 2) for block, p in zip(s, parts))
            pairs.append((w**2 * square / len(x), w * mean))
        return lists(pairs)

    return candidate


def unit_vectors(weights, biases, activation, x):
    """Reverse mode one sample and one output at a time, the sums by `sum`, arrays of arrays as tuples."""
    N, importance, shift = len(x), [], []
    passes = [run(weights, biases, activation, x[n : n + 1]) for n in range(N)]
    for l, w in enumerate(weights):
        s = np.array([sum(p.J[l][k, 0] ** 2 for k in range(len(p.J[l]))) for p in passes])
        value, delta = weighted(w, s, np.array([p.a[l][0] for p in passes]))
        importance.append(value)
        shift.append(delta)
    return tuple(importance), tuple(shift)


def guarded(weights, biases, activation, x):
    """The guard at S = 0 as a division by the smallest normal number."""
    p = run(weights, biases, activation, x)
    pairs = []
    for l, w in enumerate(weights):
        s = squared(p.J[l])
        mean = (s.T @ p.a[l]) / np.maximum(s.sum(axis=0), np.finfo(float).tiny)[:, None]
        pairs.append((w**2 * np.einsum("ni,nij->ij", s, (p.a[l][:, None] - mean) ** 2) / p.N, w * mean))
    return lists(pairs)


def streamed(weights, biases, activation, x):
    """A sample at a time (West, 1979): mean and squares are updated with each."""
    moments = [(np.zeros(len(w), x.dtype), np.zeros_like(w), np.zeros_like(w)) for w in weights]
    for n in range(len(x)):
        p = run(weights, biases, activation, x[n : n + 1])
        for l in p.layers:
            S, mean, square = moments[l]
            s, step = squared(p.J[l])[0], p.a[l] - mean
            S = S + s
            share = np.divide(s, S, out=np.zeros_like(s), where=S > 0)[:, None]
            moments[l] = S, mean + share * step, square + (s[:, None] * (1 - share)) * step**2
    return lists((w**2 * square / len(x), w * mean) for w, (_, mean, square) in zip(weights, moments))


def scalar_loops(weights, biases, activation, x):
    """Sums one after the other, in the precision of the arguments."""
    p = run(weights, biases, activation, x)
    importance, shift = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for l, w in enumerate(weights):
        s, a, zero = squared(p.J[l]), p.a[l], x.dtype.type(0)
        for i, j in np.ndindex(w.shape):
            S = sum(s[:, i], zero)
            mean = sum((s[n, i] * a[n, j] for n in range(p.N)), zero) / S if S > 0 else zero
            v = sum((s[n, i] * (a[n, j] - mean) ** 2 for n in range(p.N)), zero) / x.dtype.type(p.N)
            importance[l][i, j], shift[l][i, j] = w[i, j] ** 2 * v, w[i, j] * mean
    return importance, shift


def about_the_first_sample(weights, biases, activation, x):
    """The textbook form of activations less those of the first sample: the offset cannot cancel."""
    p = run(weights, biases, activation, x)
    pairs = []
    for l, w in enumerate(weights):
        s, a = squared(p.J[l]), p.a[l] - p.a[l][0]
        S = s.mean(axis=0)[:, None]
        first = s.T @ a / p.N
        mean = np.divide(first, S, out=np.zeros_like(first), where=S > 0)
        shift = w * np.where(S > 0, p.a[l][0] + mean, 0)
        pairs.append((w**2 * np.maximum(s.T @ a**2 / p.N - first * mean, 0), shift))
    return lists(pairs)


def in_float32(candidate: Candidate) -> Candidate:
    """The same, in float32 from its arguments to its answer."""

    def single(weights, biases, activation, x):
        weights, biases = [w.astype("f") for w in weights], [b.astype("f") for b in biases]
        importance, shift = candidate(weights, biases, activation, x.astype("f"))
        return [np.float32(v) for v in importance], [np.float32(v) for v in shift]

    return single


def without_elu(weights, biases, activation, x):
    """Right, but for two activations that it does not have."""
    if activation in ("elu", "gelu"):
        raise NotImplementedError(activation)
    return numpy_float64(weights, biases, activation, x)


RIGHT: dict[str, Candidate] = {
    "numpy_float64": numpy_float64,
    "numpy_float32": numpy_float32,
    "batched_1": batched(1),
    "batched_7": batched(7),
    "batched_32": batched(32),
    "batched_100": batched(100),
    "batched_float32": in_float32(batched(7)),
    "streamed": streamed,
    "streamed_float32": in_float32(streamed),
    "scalar_loops": scalar_loops,
    "scalar_loops_float32": in_float32(scalar_loops),
    "about_the_first_sample": about_the_first_sample,
    "about_the_first_sample_float32": in_float32(about_the_first_sample),
    "unit_vectors": unit_vectors,
    "guarded": guarded,
    "without_elu": without_elu,
}


# ---- right formulas, weak arithmetic


def textbook(weights, biases, activation, x):
    p = run(weights, biases, activation, x)
    pairs = []
    for l, w in enumerate(weights):
        s = squared(p.J[l])
        S = s.mean(axis=0)[:, None]
        first, second = s.T @ p.a[l] / p.N, s.T @ p.a[l] ** 2 / p.N
        mean = np.divide(first, S, out=np.zeros_like(first), where=S > 0)
        pairs.append((w**2 * (second - first * mean), w * mean))
    return lists(pairs)


def textbook_clipped(weights, biases, activation, x):
    importance, shift = textbook(weights, biases, activation, x)
    return [np.maximum(v, 0) for v in importance], shift


WEAK: dict[str, Candidate] = {
    "textbook": textbook,
    "textbook_clipped": textbook_clipped,
    "textbook_float32": in_float32(textbook),
}


# ---- wrong ones


def with_s(sensitivity: Callable[[Pass], list], **changes: Any) -> Candidate:
    """The right moments of a wrong sensitivity."""

    def candidate(weights, biases, activation, x):
        p = run(weights, biases, activation, x, **changes)
        return lists(weighted(w, s, a) for w, s, a in zip(weights, sensitivity(p), p.a))

    return candidate


def with_moments(formula: Callable[..., Any]) -> Candidate:
    """A wrong formula of (w, s, a) in every layer."""

    def candidate(weights, biases, activation, x):
        p = run(weights, biases, activation, x)
        return lists(formula(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))

    return candidate


def after(change: Callable[..., Any]) -> Candidate:
    """Something done to the right answer: change(importance, shift, weights, x) -> (importance, shift)."""

    def candidate(weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        return change(importance, shift, weights, x)

    return candidate


def next_layer(weights, biases, activation, x):
    """Stops the chain rule one layer too early."""
    p, slope, pairs = run(weights, biases, activation, x), SLOPE[activation], []
    for l, w in enumerate(weights):
        if l == len(weights) - 1:
            s = np.ones_like(p.z[l])
        else:
            s = np.stack([(row * slope(p.z[l])) ** 2 for row in weights[l + 1]]).sum(axis=0)
        pairs.append(weighted(w, s, p.a[l]))
    return lists(pairs)


def diagonal_backward(weights, biases, activation, x):
    p, slope = run(weights, biases, activation, x), SLOPE[activation]
    s, pairs = np.ones_like(p.z[-1]), []
    for l in reversed(p.layers):
        pairs.insert(0, weighted(weights[l], s, p.a[l]))
        if l:
            s = (s @ np.square(weights[l])) * np.square(slope(p.z[l - 1]))
    return lists(pairs)


def gradient_of_activations(weights, biases, activation, x):
    """Retains the gradient of a, where that of z is needed."""
    p, pairs = run(weights, biases, activation, x), []
    for l, w in enumerate(weights):
        g = p.J[l] if l + 1 == len(weights) else p.J[l + 1] @ weights[l + 1]
        pairs.append(weighted(w, squared(g), p.a[l]))
    return lists(pairs)


def slope_of_a(weights, biases, activation, x):
    def slope(z):
        return SLOPE[activation](SIGMA[activation](z))

    return with_s(lambda p: [squared(J) for J in p.J], slope=slope)(weights, biases, activation, x)


def at_mean_sample(weights, biases, activation, x):
    p = run(weights, biases, activation, x)
    mean = run(weights, biases, activation, x.mean(axis=0)[None])
    return lists(weighted(w, np.tile(squared(J), (p.N, 1)), a) for w, J, a in zip(weights, mean.J, p.a))


def mse_gradient(weights, biases, activation, x):
    p = run(weights, biases, activation, x)
    s = [np.einsum("nk,kni->ni", 2 * p.f / p.f.shape[1], J) ** 2 for J in p.J]
    return lists(weighted(w, t, a) for w, t, a in zip(weights, s, p.a))


def probabilities(f):
    e = np.exp(f - f.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def class_probabilities(weights, biases, activation, x):
    p = run(weights, biases, activation, x)
    q = probabilities(p.f)
    jacobian = [np.stack([q[:, [k]] * (J[k] - np.einsum("nm,mni->ni", q, J)) for k in range(q.shape[1])]) for J in p.J]
    return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, jacobian, p.a))


def fisher(weights, biases, activation, x):
    p = run(weights, biases, activation, x)
    q = probabilities(p.f)
    s = [np.einsum("nk,kni->ni", q, J**2) - np.einsum("nk,kni->ni", q, J) ** 2 for J in p.J]
    return lists(weighted(w, t, a) for w, t, a in zip(weights, s, p.a))


def without_biases(weights, biases, activation, x):
    return numpy_float64(weights, [0 * b for b in biases], activation, x)


def with_output_activation(weights, biases, activation, x):
    p = run(weights, biases, activation, x, last=True)
    return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))


def preactivation_inputs(weights, biases, activation, x):
    p = run(weights, biases, activation, x)
    return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, [x, *p.z[:-1]]))


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


def each(function: Callable[[np.ndarray], np.ndarray]) -> Candidate:
    """A function of each layer's importance, on top of the right answer."""
    return after(lambda I, d, w, x: ([function(v) for v in I], d))


def network_normalised(importance, shift, weights, x):
    total = sum(v.sum() for v in importance)
    return [v / total if total else v for v in importance], shift


@dataclass(frozen=True)
class Wrong:
    """A wrong candidate and the id of the finding that must come first, None where any honest one will do."""

    name: str
    candidate: Candidate
    first: str | None

    def __str__(self):
        return self.name


WRONG: list[Wrong] = [
    Wrong("summed outputs", with_s(lambda p: [np.square(sum(J)) for J in p.J]), "gradient-of-the-sum"),
    Wrong("mean of outputs", with_s(lambda p: [np.square(sum(J) / len(J)) for J in p.J]), "gradient-of-the-mean"),
    Wrong("mean of squares", with_s(lambda p: [squared(J) / len(J) for J in p.J]), "mean-over-outputs"),
    Wrong("first output", with_s(lambda p: [J[0] ** 2 for J in p.J]), "first-output-only"),
    Wrong("absolute Jacobian", with_s(lambda p: [sum(abs(J)) for J in p.J]), "jacobian-not-squared"),
    Wrong("norm", with_s(lambda p: [np.linalg.norm(J, axis=0) for J in p.J]), "jacobian-norm"),
    Wrong(
        "batch gradient",
        with_s(lambda p: [np.tile(squared(J.mean(axis=1, keepdims=True)), (p.N, 1)) for J in p.J]),
        "gradient-averaged-over-samples",
    ),
    Wrong("no sensitivity", with_moments(lambda w, s, a: (w**2 * a.var(axis=0), w * a.mean(axis=0))), "no-sensitivity"),
    Wrong(
        "one s a layer",
        with_s(lambda p: [np.tile(squared(J).mean(1), (len(J[0, 0]), 1)).T for J in p.J]),
        "sensitivity-averaged-over-the-layer",
    ),
    Wrong("plain mean", with_moments(plain_mean), "plain-mean"),
    Wrong("plain shift", with_moments(lambda w, s, a: (weighted(w, s, a)[0], w * a.mean(axis=0))), "plain-mean-shift"),
    Wrong(
        "independent",
        with_moments(lambda w, s, a: (w**2 * np.outer(s.mean(axis=0), a.var(axis=0)), w * a.mean(axis=0))),
        "expectations-multiplied",
    ),
    Wrong(
        "weighted by the root",
        with_moments(
            lambda w, s, a: (
                w**2 * np.mean(s[:, :, None] * (a[:, None] - weighted(np.ones_like(w), s**0.5, a)[1]) ** 2, axis=0),
                weighted(w, s**0.5, a)[1],
            )
        ),
        "mean-weighted-by-root",
    ),
    Wrong(
        "np.average",
        with_moments(
            lambda w, s, a: (
                np.divide(weighted(w, s, a)[0], s.mean(0)[:, None], out=0 * w, where=s.mean(0)[:, None] > 0),
                weighted(w, s, a)[1],
            )
        ),
        "variance-per-sensitivity",
    ),
    Wrong(
        "unnormalised mean",
        with_moments(
            lambda w, s, a: (
                w**2 * np.mean(s[:, :, None] * (a[:, None] - s.T @ a / len(a)) ** 2, axis=0),
                w * (s.T @ a) / len(a),
            )
        ),
        "mean-not-normalised",
    ),
    Wrong(
        "unnormalised shift",
        with_moments(lambda w, s, a: (weighted(w, s, a)[0], w * (s.T @ a) / len(a))),
        "shift-not-normalised",
    ),
    Wrong("square of the mean", square_of_mean, "mean-before-square"),
    Wrong("OBD", with_moments(lambda w, s, a: (w**2 * (s.T @ a**2) / len(a), 0 * w)), "no-compensation"),
    Wrong(
        "OBD, right shift",
        with_moments(lambda w, s, a: (w**2 * (s.T @ a**2) / len(a), weighted(w, s, a)[1])),
        "importance-without-compensation",
    ),
    Wrong(
        "gain",
        with_moments(lambda w, s, a: (s.mean(0)[:, None] * weighted(w, s, a)[1] ** 2, weighted(w, s, a)[1])),
        "gain-for-importance",
    ),
    Wrong("sign of shift", after(lambda I, d, w, x: (I, [-v for v in d])), "shift-sign"),
    Wrong("no shift", after(lambda I, d, w, x: (I, [0 * v for v in d])), "shift-zero"),
    Wrong(
        "bare mean",
        with_moments(lambda w, s, a: (weighted(w, s, a)[0], weighted(np.ones_like(w), s, a)[1])),
        "shift-without-weight",
    ),
    Wrong(
        "absolute shift",
        with_moments(lambda w, s, a: (weighted(w, s, a)[0], weighted(abs(w), s, a)[1])),
        "shift-absolute",
    ),
    Wrong(
        "row's shift",
        after(lambda I, d, w, x: (I, [np.tile(v.sum(1), (v.shape[1], 1)).T for v in d])),
        "shift-of-the-row",
    ),
    Wrong(
        "|w| v",
        with_moments(lambda w, s, a: (weighted(abs(w) ** 0.5, s, a)[0], weighted(w, s, a)[1])),
        "weight-not-squared",
    ),
    Wrong(
        "v", with_moments(lambda w, s, a: (weighted(np.ones_like(w), s, a)[0], weighted(w, s, a)[1])), "weight-missing"
    ),
    Wrong("root", each(np.sqrt), "root-of-importance"),
    Wrong("half", each(lambda I: 0.5 * I), "half"),
    Wrong("double", each(lambda I: I + I), "double"),
    Wrong("sum over samples", after(lambda I, d, w, x: ([len(x) * v for v in I], d)), "sum-over-samples"),
    Wrong("mean loss", with_s(lambda p: [squared(J) / p.N for J in p.J]), "divided-by-samples-again"),
    Wrong("mean loss squared", with_s(lambda p: [squared(J / p.N) for J in p.J]), "gradient-of-the-sample-mean"),
    Wrong(
        "ddof=1",
        after(lambda I, d, w, x: ([v * np.float64(len(x)) / np.float64(len(x) - 1) for v in I], d)),
        "unbiased-variance",
    ),
    Wrong(
        "ddof=1 guarded",
        after(lambda I, d, w, x: ([v * len(x) / max(1, len(x) - 1) for v in I], d)),
        "unbiased-variance-guarded",
    ),
    Wrong("next layer", next_layer, "next-layer-only"),
    Wrong("diagonal backward", diagonal_backward, "squares-propagated"),
    Wrong("gradient of a", gradient_of_activations, "derivative-left-out"),
    Wrong(
        "linear backward", with_s(lambda p: [squared(J) for J in p.J], slope=np.ones_like), "derivatives-all-left-out"
    ),
    Wrong("slope of a", slope_of_a, "derivative-at-the-activation"),
    Wrong("at the mean sample", at_mean_sample, "derivative-at-the-mean"),
    Wrong("half square loss", with_s(lambda p: [np.einsum("nk,kni->ni", p.f, J) ** 2 for J in p.J]), "loss-for-output"),
    Wrong(
        "square loss",
        with_s(lambda p: [np.einsum("nk,kni->ni", 2 * p.f, J) ** 2 for J in p.J]),
        "squared-error-for-output",
    ),
    Wrong("mse", mse_gradient, "mean-squared-error-for-output"),
    Wrong("softmax", class_probabilities, "softmax-for-output"),
    Wrong("fisher", fisher, "fisher-for-output"),
    Wrong("batches averaged", batch_mean, "batch-importances-averaged-32"),
    Wrong("batches equal", equal_batches, "batches-weighted-equally-64"),
    Wrong("last batch dropped", drop_last, "incomplete-batch-dropped-128"),
    Wrong(
        "no last layer", after(lambda I, d, w, x: ([*I[:-1], 0 * I[-1]], [*d[:-1], 0 * d[-1]])), "last-layer-left-out"
    ),
    Wrong("no first layer", after(lambda I, d, w, x: ([0 * I[0], *I[1:]], [0 * d[0], *d[1:]])), "first-layer-left-out"),
    Wrong("activated output", with_output_activation, "output-activated"),
    Wrong("no biases", without_biases, "biases-left-out"),
    Wrong("z for a", preactivation_inputs, "preactivations-for-inputs"),
    Wrong("layer sum 1", each(lambda I: I / (I.sum() or 1)), "layer-sum-normalised"),
    Wrong("layer max 1", each(lambda I: I / (I.max() or 1)), "layer-max-normalised"),
    Wrong("layer mean 1", each(lambda I: I / (I.mean() or 1)), "layer-mean-normalised"),
    Wrong("layer norm 1", each(lambda I: I / (np.sqrt(np.sum(I**2)) or 1)), "layer-norm-normalised"),
    Wrong("row sum 1", each(lambda I: np.array([row / (row.sum() or 1) for row in I])), "row-sum-normalised"),
    Wrong("0/0", with_moments(unguarded), "nan-at-dead-neurons"),
    Wrong(
        "0/0 in the shift",
        with_moments(lambda w, s, a: (weighted(w, s, a)[0], unguarded(w, s, a)[1])),
        "nan-shift-at-dead-neurons",
    ),
    Wrong(
        "dead mean",
        with_moments(
            lambda w, s, a: (weighted(w, s, a)[0], np.where(s.sum(0)[:, None] > 0, weighted(w, s, a)[1], w * a.mean(0)))
        ),
        "plain-mean-at-dead-neurons",
    ),
    Wrong("S + 1e-8", with_moments(epsilon_guard), "sensitivity-plus-1e-08"),
    Wrong("max(S, 1e-12)", with_moments(clamp_guard), "sensitivity-at-least-1e-12"),
    Wrong("relu'(0) = 1", kink_one, "relu-slope-one-at-zero"),
    Wrong("relu'(0) = 1/2", kink_half, "relu-slope-half-at-zero"),
    Wrong("leaky 0.2", steep_leaky, "leaky-slope-0.2"),
    Wrong("gelu by tanh", tanh_gelu, "gelu-by-tanh"),
    # relations that need no catalogue
    Wrong("three times", each(lambda I: 3 * I), "importance-constant-factor"),
    Wrong("negative", each(lambda I: -I), "importance-sign"),
    Wrong("zero importance", each(lambda I: 0 * I), "importance-zero"),
    Wrong("shift doubled", after(lambda I, d, w, x: (I, [2 * v for v in d])), "bias_shift-constant-factor"),
    Wrong("transposed", after(lambda I, d, w, x: ([v.T for v in I], [v.T for v in d])), "transposed"),
    Wrong("layers reversed", after(lambda I, d, w, x: (I[::-1], d[::-1])), "layers-reversed"),
    Wrong("exchanged", after(lambda I, d, w, x: (d, I)), "exchanged"),
    Wrong(
        "rows rolled",
        after(lambda I, d, w, x: ([np.roll(v, 1, 0) for v in I], [np.roll(v, 1, 0) for v in d])),
        "rows-permuted",
    ),
    Wrong(
        "columns rolled",
        after(lambda I, d, w, x: ([v[:, ::-1] for v in I], [v[:, ::-1] for v in d])),
        "columns-permuted",
    ),
    Wrong(
        "Fortran order",
        after(
            lambda I, d, w, x: ([v.ravel("F").reshape(v.shape) for v in I], [v.ravel("F").reshape(v.shape) for v in d])
        ),
        "entries-permuted",
    ),
    Wrong("float32 inside", float32_inside, "float32-as-float64"),
    Wrong("float32 passes", float32_forward, "float32-as-float64"),
    Wrong("logarithm", each(lambda I: np.log1p(I / 1000)), "monotone"),
    Wrong("sum 1", after(network_normalised), "factor-per-case"),
    Wrong("layer sizes", each(lambda I: I * I.size), "factor-per-layer"),
    Wrong("sigmoid's slope", wrong_sigmoid, None),
    Wrong("last slope missing", no_last_slope, None),
    Wrong(
        "first layer doubled",
        after(lambda I, d, w, x: ([I[0] * (1 + np.arange(I[0].size).reshape(I[0].shape) % 3), *I[1:]], d)),
        "first-layer-only",
    ),
    Wrong(
        "always tanh",
        lambda weights, biases, activation, x: numpy_float64(weights, biases, "tanh", x),
        "one-activation-right",
    ),
    Wrong("S + 1e-30", with_moments(tiny_guard), "sensitivity-plus-1e-30"),
    Wrong("finite differences", finite_difference, None),
    Wrong("one sample raises", raises_for_one_sample, "no-answer"),
    Wrong("squeezed", squeezed, None),
    # combinations
    Wrong(
        "summed, plain mean", with_moments(lambda w, s, a: (0.5 * plain_mean(w, s, a)[0], plain_mean(w, s, a)[1])), None
    ),
    Wrong("half, wrong sign", after(lambda I, d, w, x: ([v / 2 for v in I], [-v for v in d])), None),
    Wrong(
        "float32, half", after(lambda I, d, w, x: ([v.astype("f") / 2 for v in I], [v.astype("f") for v in d])), "half"
    ),
    Wrong("root over N", after(lambda I, d, w, x: ([np.sqrt(v / len(x)) for v in I], d)), None),
    Wrong("sum over samples and outputs", with_s(lambda p: [squared(J) * p.N / len(J) for J in p.J]), None),
    Wrong("random", after(lambda I, d, w, x: ([np.random.default_rng(v.size).random(v.shape) for v in I], d)), None),
]
