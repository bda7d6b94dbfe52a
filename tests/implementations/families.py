"""More wrong implementations, in families: each row spoils one thing, and says what the first finding must say."""

from __future__ import annotations

import itertools

import numpy as np

from .passes import SIGMA, SLOPE, Wrong, after, each, lists, numpy_float64, run, squared, weighted, with_moments, with_s


def changed_run(**changes):
    """The right formulas on a pass with something else in it."""

    def candidate(weights, biases, activation, x):
        p = run(weights, biases, activation, x, **changes)
        return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))

    return candidate


def only_for(name, **changes):
    """As `changed_run`, in networks with one activation."""
    wrong = changed_run(**changes)

    def candidate(weights, biases, activation, x):
        return (wrong if activation == name else numpy_float64)(weights, biases, activation, x)

    return candidate


def samples(choose):
    return lambda weights, biases, activation, x: numpy_float64(weights, biases, activation, choose(x))


def arguments(change):
    """Something done to the arguments."""
    return lambda *given: numpy_float64(*change(*given))


def guarded(guard):
    def formula(w, s, a):
        mean = (s.T @ a / len(a)) / guard(s.mean(axis=0)[:, None])
        return w**2 * np.mean(s[:, :, None] * (a[:, None] - mean) ** 2, axis=0), w * mean

    return with_moments(formula)


def shifts(function):
    """Another shift of (w, s, a), beside the right importance."""
    return with_moments(lambda w, s, a: (weighted(w, s, a)[0], function(w, s, a)))


def mu(s, a):
    return weighted(np.ones((s.shape[1], a.shape[1])), s, a)[1]


def by_steps(h, central):
    """Derivatives by forward or central differences."""

    def candidate(weights, biases, activation, x):
        p, pairs = run(weights, biases, activation, x), []
        for l, w in enumerate(weights):
            s = np.zeros_like(p.z[l])
            for i in range(len(w)):
                ahead, behind = [b.copy() for b in biases], [b.copy() for b in biases]
                ahead[l][i] += h
                behind[l][i] -= h * central
                moved = run(weights, ahead, activation, x).f - run(weights, behind, activation, x).f
                s[:, i] = ((moved / (h + h * central)) ** 2).sum(axis=1)
            pairs.append(weighted(w, s, p.a[l]))
        return lists(pairs)

    return candidate


def in_half(weights, biases, activation, x):
    """float16 in the passes, float64 in the moments."""
    half = [[v.astype(np.float16) for v in arrays] for arrays in (weights, biases)]
    p = run(*half, activation, x.astype(np.float16))
    return lists(weighted(w, squared(J.astype(float)), a.astype(float)) for w, J, a in zip(weights, p.J, p.a))


def truncated(v, bits):
    """The float32 with so many bits of its mantissa left."""
    return (v.astype(np.float32).view(np.uint32) & np.uint32(2**32 - 2 ** (23 - bits))).view(np.float32).astype(float)


def matmul_in(bits):
    """Every factor of a matrix product is cut, as TF32 (10 bits) or bfloat16 (7 bits) do."""

    def candidate(weights, biases, activation, x):
        cut = [truncated(w, bits) for w in weights]
        p = run(cut, biases, activation, truncated(x, bits), lambda z: truncated(SIGMA[activation](z), bits))
        return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))

    return candidate


class Random:
    """A random subset of the samples, another one at each call."""

    def __init__(self, share):
        self.rng, self.share = np.random.default_rng(1), share

    def __call__(self, weights, biases, activation, x):
        kept = self.rng.random(len(x)) < self.share
        return numpy_float64(weights, biases, activation, x[kept] if kept.any() else x[:1])


class KeptGradients:
    """Gradients of the last call are added where they fit."""

    def __init__(self):
        self.last = {}

    def __call__(self, weights, biases, activation, x):
        p = run(weights, biases, activation, x)
        sums = [J + self.last.get((l, J.shape), 0) for l, J in enumerate(p.J)]
        self.last = {(l, J.shape): J for l, J in enumerate(sums)}
        return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, sums, p.a))


class FirstForEver:
    """The answer to the first case of a number of layers and samples, where it fits."""

    def __init__(self):
        self.kept = {}

    def __call__(self, weights, biases, activation, x):
        key = tuple(w.shape for w in weights), len(x)
        if key not in self.kept:
            self.kept[key] = numpy_float64(weights, biases, activation, x)
        return self.kept[key]


class Drifting:
    def __init__(self):
        self.calls = itertools.count()

    def __call__(self, weights, biases, activation, x):
        importance, shift = numpy_float64(weights, biases, activation, x)
        return [v * (1 + 0.01 * next(self.calls)) for v in importance], shift


def accumulated(axis):
    return with_s(lambda p: [squared(np.cumsum(J, axis=axis)) for J in p.J])


def jacobian_of(function):
    """s as a function of the Jacobian (K, N, n) and the outputs (N, K)."""
    return with_s(lambda p: [function(J, p.f) for J in p.J])


def magnitudes(function):
    return after(lambda I, d, w, x: ([function(v) for v in w], [0 * v for v in w]))


def two(first, second):
    """Both: `second` changes the answer of `first`."""
    return lambda *given: second(*first(*given), *given)


def logistic(z):
    return 1 / (1 + np.exp(-z))


SLOPES = [  # activation, wrong derivative
    ("elu", lambda z: np.ones_like(z)),
    ("elu", lambda z: np.where(z > 0, 1, SIGMA["elu"](z) - 1)),
    ("sigmoid", lambda z: logistic(z)),
    ("sigmoid", lambda z: logistic(z) * (1 + logistic(z))),
    ("tanh", lambda z: 1 - z**2),
    ("tanh", lambda z: 1 + np.tanh(z)),
    ("tanh", lambda z: np.tanh(z)),
    ("softplus", lambda z: logistic(-z)),
    ("softplus", lambda z: np.exp(z)),
    ("sin", lambda z: np.sin(z)),
    ("sin", lambda z: np.ones_like(z)),
    ("silu", lambda z: logistic(z) * (1 + z)),
    ("silu", lambda z: z * logistic(z) * (1 - logistic(z))),
    ("gelu", lambda z: SLOPE["silu"](1.702 * z)),
    ("gelu", lambda z: SLOPE["relu"](z)),
    ("leaky_relu", lambda z: (z > 0) * 1.0),
    ("leaky_relu", lambda z: np.where(z > 0, 1, -0.01)),
    ("relu", lambda z: np.ones_like(z)),
]
VALUES = [  # activation, wrong value
    ("elu", lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0)))),
    ("elu", lambda z: np.where(z > 0, z, 0.9 * np.expm1(np.minimum(z, 0)))),
    ("sigmoid", lambda z: np.clip(z / 6 + 0.5, 0, 1)),
    ("sigmoid", lambda z: 2 * logistic(z) - 1),
    ("tanh", lambda z: np.clip(z, -1, 1)),
    ("softplus", lambda z: np.log(1 + z**2)),
    ("softplus", lambda z: np.logaddexp(0, 3 * z) / 3),
    ("silu", lambda z: z * logistic(1.3 * z)),
    ("gelu", lambda z: z * (z > 0)),
    ("sin", lambda z: np.cos(z)),
    ("leaky_relu", lambda z: np.where(z > 0, z, 0.07 * z)),
    ("relu", lambda z: np.abs(z)),
]

FAMILIES: list[Wrong] = [
    *(
        Wrong(f"{n}: derivative of {name}", only_for(name, slope=slope), says=f"derivative.*{name}|{name}.*derivative")
        for n, (name, slope) in enumerate(SLOPES)
    ),
    *(
        Wrong(f"{n}: value of {name}", only_for(name, sigma=value), says=f"{name}.*(value|is|has)|value.*{name}")
        for n, (name, value) in enumerate(VALUES)
    ),
    Wrong("accumulated over outputs", accumulated(0), "gradients-accumulated-over-outputs"),
    Wrong("accumulated over samples", accumulated(1), "gradients-accumulated-over-samples"),
    Wrong("last output only", jacobian_of(lambda J, f: J[-1] ** 2), "last-output-only"),
    Wrong(
        "largest of |f|",
        jacobian_of(lambda J, f: J[abs(f).argmax(1), np.arange(len(f))] ** 2),
        "largest-absolute-output-only",
    ),
    Wrong("softmax-weighted", jacobian_of(lambda J, f: squared(J * np.exp(f.T)[:, :, None])), says="formula itself"),
    Wrong("median output", jacobian_of(lambda J, f: np.median(J, axis=0) ** 2), says="output"),
    Wrong("root of the sum", jacobian_of(lambda J, f: abs(J.sum(0))), says="output|Jacobian|sum"),
    Wrong("random 9 of 10", Random(0.9), says="not a function", state=True),
    Wrong("random half", Random(0.5), says="not a function", state=True),
    Wrong("kept gradients", KeptGradients(), says="not a function", state=True),
    Wrong("the first for ever", FirstForEver(), says="earlier", state=True),
    Wrong("drifting", Drifting(), says="not a function", state=True),
    Wrong("last sample only", samples(lambda x: x[-1:]), "last-sample-only"),
    Wrong("first sample left out", samples(lambda x: x[1:] if len(x) > 1 else x), "first-sample-left-out"),
    Wrong("first ten", samples(lambda x: x[:10]), "first-10-samples-only"),
    Wrong("first half", samples(lambda x: x[: max(1, len(x) // 2)]), "first-half-only"),
    Wrong("every third", samples(lambda x: x[::3]), says="samples|formula"),
    Wrong("last batch of 64", samples(lambda x: x[(len(x) - 1) // 64 * 64 :]), "last-batch-only-64"),
    Wrong("batch of 48", samples(lambda x: x[(len(x) - 1) // 48 * 48 :]), says="batch|samples"),
    Wrong("biases times zero", arguments(lambda w, b, s, x: (w, [0 * v for v in b], s, x)), "biases-left-out"),
    Wrong("first bias", arguments(lambda w, b, s, x: (w, [0 * b[0], *b[1:]], s, x)), says="bias"),
    Wrong("biases doubled", arguments(lambda w, b, s, x: (w, [2 * v for v in b], s, x)), says="forward pass"),
    Wrong("standardised", arguments(lambda w, b, s, x: (w, b, s, x - x.mean(0))), "inputs-centred"),
    Wrong("always relu", arguments(lambda w, b, s, x: (w, b, "relu", x)), "always-relu"),
    Wrong("S + 2e-6", guarded(lambda S: S + 2e-6), "sensitivity-plus-2e-06"),
    Wrong("max(S, 5e-5)", guarded(lambda S: np.maximum(S, 5e-5)), "sensitivity-at-least-5e-05"),
    Wrong("OBD halved", with_moments(lambda w, s, a: (w**2 * (s.T @ a**2) / len(a) / 2, 0 * w)), says="Brain Damage"),
    Wrong("squared magnitude", magnitudes(np.square), says="magnitude"),
    Wrong("fourth power", magnitudes(lambda w: w**4), says="magnitude"),
    Wrong("shift over N", shifts(lambda w, s, a: w * mu(s, a) / len(a)), says="divided by N"),
    Wrong("shift w²", shifts(lambda w, s, a: w**2 * mu(s, a)), "shift-has-squared-weight"),
    Wrong("shift w |μ|", shifts(lambda w, s, a: w * abs(mu(s, a))), "shift-of-absolute-mean"),
    Wrong("shift √s", shifts(lambda w, s, a: w * mu(np.sqrt(s), a)), "shift-weighted-by-root"),
    Wrong("shift of a²", shifts(lambda w, s, a: w * mu(s, a**2)), "shift-of-squares"),
    Wrong("shift a₀", shifts(lambda w, s, a: w * a[0]), "shift-of-first-sample"),
    Wrong("row mean of shifts", shifts(lambda w, s, a: 0 * w + (w * mu(s, a)).mean(1)[:, None]), says="mean shift"),
    Wrong("shift max", shifts(lambda w, s, a: w * a.max(axis=0)), says="bias shift"),
    Wrong("shift rounded", after(lambda I, d, w, x: (I, [np.round(v, 3) for v in d])), says="round"),
    Wrong("cubed", each(lambda I: I**3), says="power 3"),
    Wrong("to 0.7", each(lambda I: I**0.7), says="power 0.7"),
    Wrong("three decimals", each(lambda I: np.round(I, 3)), "importance-rounded-to-3-decimals"),
    Wrong("two digits", each(lambda I: np.vectorize(lambda v: float(f"{v:.1e}"))(I)), "importance-rounded-to-2-digits"),
    Wrong("floor 1e-2", each(lambda I: np.maximum(I, 1e-2)), "importance-at-least-0.01"),
    Wrong("cap 0.5", each(lambda I: np.minimum(I, 0.5)), "importance-at-most-0.5"),
    Wrong("plus 1e-8", each(lambda I: I + 1e-8), "importance-plus-1e-08"),
    Wrong("log(I + 1e-6)", each(lambda I: np.log(I + 1e-6)), says="logarithm"),
    Wrong("z scores", each(lambda I: (I - I.mean()) / (I.std() or 1)), "layer-deviation-normalised"),
    Wrong("ranks a layer", each(lambda I: I.ravel().argsort().argsort().reshape(I.shape) * 1.0), says="rank"),
    Wrong("per row max", each(lambda I: I / np.where(I.max(1) > 0, I.max(1), 1)[:, None]), "row-max-normalised"),
    Wrong("float16", in_half, says="float16"),
    Wrong("tf32", matmul_in(10), says="TF32"),
    Wrong("bf16", matmul_in(7), says="bfloat16"),
    Wrong("forward 1e-4", by_steps(1e-4, 0), "forward-differences-0.0001"),
    Wrong("forward 1e-5", by_steps(1e-5, 0), "forward-differences-1e-05"),
    Wrong("forward 1e-2", by_steps(1e-2, 0), "forward-differences-0.01"),
    Wrong("central 1e-3", by_steps(1e-3, 1), "central-differences-0.001"),
    Wrong("central 1e-6", by_steps(1e-6, 1), says="difference|numerical"),
    Wrong("biases first", after(lambda I, d, w, x: [[np.column_stack([v[:, 0], v]) for v in q] for q in (I, d)]),
          "biases-included-first"),
    Wrong("one array", after(lambda I, d, w, x: [[np.concatenate([v.ravel() for v in q])] for q in (I, d)]),
          "all-in-one"),
    Wrong("row sums", after(lambda I, d, w, x: ([v.sum(1) for v in I], [v.sum(1) for v in d])), "summed-over-rows"),
    Wrong("no first layer at all", after(lambda I, d, w, x: (I[1:], d[1:])), says="first layer"),
    Wrong("pairs a layer", after(lambda I, d, w, x: list(zip(I, d))), says="expected"),
    Wrong(
        "no biases, half",
        two(
            arguments(lambda w, b, s, x: (w, [0 * v for v in b], s, x)),
            lambda I, d, *given: ([v / 2 for v in I], d),
        ),
        says="biases.*factor 1/2",
    ),
    Wrong(
        "last output, shift sign",
        two(jacobian_of(lambda J, f: J[-1] ** 2), lambda I, d, *given: (I, [-v for v in d])),
        says="last output",
    ),
    Wrong(
        "summed outputs, first sample left out",
        lambda w, b, s, x: with_s(lambda p: [J.sum(0) ** 2 for J in p.J])(w, b, s, x[1:] if len(x) > 1 else x),
        says="sum.*first sample|first sample.*sum",
    ),
    Wrong(
        "linear backward, root",
        two(changed_run(slope=np.ones_like), lambda I, d, *given: ([np.sqrt(v) for v in I], d)),
        says="derivative|linear",
    ),
    Wrong(
        "next layer's slope, ddof",
        two(changed_run(slope=SLOPE["tanh"]), lambda I, d, w, b, s, x: ([v * len(x) for v in I], d)),
        says="derivative|backward",
    ),
]  # fmt: skip
