"""Right implementations of EC, each in its own way, and those whose arithmetic is weak."""

from __future__ import annotations

import numpy as np

from .passes import Candidate, lists, numpy_float64, run, squared, weighted


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


def log_domain(weights, biases, activation, x):
    """Weights s/Σs first, then moments of these weights."""
    p, pairs = run(weights, biases, activation, x), []
    for l, w in enumerate(weights):
        s = squared(p.J[l])
        S = s.sum(axis=0)
        share = np.divide(s, S, out=np.zeros_like(s), where=S > 0)
        mean = share.T @ p.a[l]
        spread = np.stack([share[:, i] @ (p.a[l] - mean[i]) ** 2 for i in range(len(w))])
        pairs.append((w**2 * spread * (S / p.N)[:, None], w * mean))
    return lists(pairs)


def pairwise(weights, biases, activation, x):
    """The variance from differences of pairs of samples: Σ_nm s_n s_m (a_n − a_m)² / (2 N Σ s)."""
    p, pairs = run(weights, biases, activation, x), []
    for l, w in enumerate(weights):
        s, a = squared(p.J[l]), p.a[l]
        S = s.sum(axis=0)[:, None]
        apart = (a[:, None] - a) ** 2
        total = np.einsum("ni,mi,nmj->ij", s, s, apart, optimize=True) / 2
        mean = np.divide(s.T @ a, S, out=np.zeros_like(w), where=S > 0)
        pairs.append((w**2 * np.divide(total, S * p.N, out=np.zeros_like(w), where=S > 0), w * mean))
    return lists(pairs)


def merged(weights, biases, activation, x):
    """Two halves, merged as Chan, Golub and LeVeque (1979) do."""
    half = max(1, len(x) // 2)
    parts = [run(weights, biases, activation, rows) for rows in (x[:half], x[half:]) if len(rows)]
    pairs = []
    for l, w in enumerate(weights):
        S, mean, square = 0.0, np.zeros_like(w), np.zeros_like(w)
        for p in parts:
            s = squared(p.J[l])
            T = s.sum(axis=0)[:, None]
            new = np.divide(s.T @ p.a[l], T, out=np.zeros_like(w), where=T > 0)
            own = np.einsum("ni,nij->ij", s, (p.a[l][:, None] - new) ** 2)
            share = np.divide(T, S + T, out=np.zeros_like(w), where=S + T > 0)
            square = square + own + S * share * (new - mean) ** 2
            mean = mean + share * (new - mean)
            S = S + T
        pairs.append((w**2 * square / len(x), w * mean))
    return lists(pairs)


def fortran_order(weights, biases, activation, x):
    importance, shift = numpy_float64([np.asfortranarray(w) for w in weights], biases, activation, np.asfortranarray(x))
    return [np.asfortranarray(v) for v in importance], [np.asfortranarray(v) for v in shift]


def noisy_and_rude(weights, biases, activation, x):
    """Right, but it prints, lets NumPy raise from then on, and spoils its arguments."""
    print("computing ...")
    answer = numpy_float64(weights, biases, activation, x)
    np.seterr(all="raise")
    x[:] = np.nan
    return answer


def in_longdouble(weights, biases, activation, x):
    if activation == "gelu":
        raise NotImplementedError("SciPy's erf has no extended precision")
    weights, biases = [np.longdouble(w) for w in weights], [np.longdouble(b) for b in biases]
    importance, shift = numpy_float64(weights, biases, activation, np.longdouble(x))
    return [np.float64(v) for v in importance], [np.float64(v) for v in shift]


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
    "log_domain": log_domain,
    "pairwise": pairwise,
    "merged": merged,
    "merged_float32": in_float32(merged),
    "fortran_order": fortran_order,
    "in_longdouble": in_longdouble,
    "unit_vectors_float32": in_float32(unit_vectors),
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
