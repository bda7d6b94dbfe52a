"""Wrong implementations that the diagnosis was not written against: they were there first, and measure it.

`python tests/implementations/held_back.py` prints the share whose first finding says what it must: 61 of 64 when the
diagnosis first saw them.  It has missed "five decimals", since mended, and the two arithmetics of few bits.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from implementations.passes import SIGMA, SLOPE, Wrong, after, each, lists, run, squared, weighted, with_moments, with_s


def only(name, sigma=None, slope=None):
    """Another value, another derivative, or both, of one activation."""

    def candidate(weights, biases, activation, x):
        mine = activation == name
        p = run(weights, biases, activation, x, sigma if mine else None, slope if mine else None)
        return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))

    return candidate


def on_rows(choose):
    """The right formulas on other samples."""

    def candidate(weights, biases, activation, x):
        p = run(weights, biases, activation, choose(x))
        return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))

    return candidate


def rounded(bits):
    """A rounding to so many bits of mantissa."""

    def function(v):
        mantissa, exponent = np.frexp(v)
        return np.ldexp(np.round(mantissa * 2.0**bits), exponent)

    return function


def in_few_bits(bits):
    """Every intermediate result of the passes is rounded."""
    cut = rounded(bits)

    def candidate(weights, biases, activation, x):
        weights, biases = [cut(w) for w in weights], [cut(b) for b in biases]
        p = run(weights, biases, activation, cut(x), lambda z: cut(SIGMA[activation](cut(z))))
        return lists(weighted(w, cut(squared(cut(J))), a) for w, J, a in zip(weights, p.J, p.a))

    return candidate


def differences(h, central):
    def candidate(weights, biases, activation, x):
        p, pairs = run(weights, biases, activation, x), []
        for l, w in enumerate(weights):
            s = np.empty_like(p.z[l])
            for i in range(len(w)):
                f = []
                for step in (h, -h if central else 0.0):
                    moved = [b.copy() for b in biases]
                    moved[l][i] += step
                    f.append(run(weights, moved, activation, x).f)
                s[:, i] = (((f[0] - f[1]) / (2 * h if central else h)) ** 2).sum(axis=1)
            pairs.append(weighted(w, s, p.a[l]))
        return lists(pairs)

    return candidate


def never_reset(weights, biases, activation, x):
    """`.grad` is never set to zero: over the outputs within a sample, and over the samples."""
    p = run(weights, biases, activation, x)
    s = []
    for J in p.J:
        K, N, n = J.shape
        total = np.cumsum(J.transpose(1, 0, 2).reshape(N * K, n), axis=0).reshape(N, K, n)
        s.append((total**2).sum(axis=1))
    return lists(weighted(w, t, a) for w, t, a in zip(weights, s, p.a))


class Memory:
    """The first answer for each shape is kept, whatever the values."""

    def __init__(self):
        self.kept = {}

    def __call__(self, weights, biases, activation, x):
        key = tuple(w.shape for w in weights)
        if key not in self.kept:
            p = run(weights, biases, activation, x)
            self.kept[key] = lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))
        return self.kept[key]


class Counter:
    """Sensitivities grow with every call."""

    def __init__(self):
        self.calls = itertools.count(1)

    def __call__(self, weights, biases, activation, x):
        p, n = run(weights, biases, activation, x), next(self.calls)
        return lists(weighted(w, squared(J) * n, a) for w, J, a in zip(weights, p.J, p.a))


def dropout(weights, biases, activation, x):
    rng = np.random.default_rng()
    p = run(weights, biases, activation, x, lambda z: SIGMA[activation](z) * (rng.random(z.shape) > 0.1) / 0.9)
    return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))


def noisy_subset(weights, biases, activation, x):
    rows = np.random.default_rng().choice(len(x), max(1, len(x) // 2), replace=False)
    return on_rows(lambda x: x[rows])(weights, biases, activation, x)


def largest_output(weights, biases, activation, x):
    p = run(weights, biases, activation, x)
    best, n = p.f.argmax(axis=1), np.arange(p.N)
    return lists(weighted(w, J[best, n] ** 2, a) for w, J, a in zip(weights, p.J, p.a))


def with_biases_as_columns(weights, biases, activation, x):
    p = run(weights, biases, activation, x)
    pairs = []
    for w, b, J, a in zip(weights, biases, p.J, p.a):
        wide = np.column_stack([w, b]), np.column_stack([a, np.ones(len(a))])
        pairs.append(weighted(wide[0], squared(J), wide[1]))
    return lists(pairs)


def obc(weights, biases, activation, x):
    """The row's other weights compensate, not the bias."""
    p, pairs = run(weights, biases, activation, x), []
    for w, J, a in zip(weights, p.J, p.a):
        I = np.empty_like(w)
        for i, row in enumerate(w):
            H = (squared(J)[:, i, None] * a).T @ a / p.N
            with np.errstate(all="ignore"):
                I[i] = row**2 / np.diag(np.linalg.pinv(H))
        pairs.append((np.nan_to_num(I), 0 * w))
    return lists(pairs)


def no_bias_in_last_layer(weights, biases, activation, x):
    p = run(weights, [*biases[:-2], *[0 * b for b in biases[-2:]]], activation, x)
    return lists(weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))


def own_slope_of_input(weights, biases, activation, x):
    """s of a neuron has the derivative at its own layer twice."""
    p = run(weights, biases, activation, x)
    s = [squared(J * SLOPE[activation](z)) for J, z in zip(p.J[:-1], p.z)]
    return lists(weighted(w, t, a) for w, t, a in zip(weights, [*s, squared(p.J[-1])], p.a))


def significant(d):
    def function(v):
        with np.errstate(all="ignore"):
            scale = 10.0 ** (d - 1 - np.floor(np.log10(np.abs(v))))
            return np.where(v == 0, 0, np.round(v * scale) / scale)

    return function


def ranks(importance, shift, weights, x):
    flat = np.concatenate([v.ravel() for v in importance])
    order = np.empty(len(flat))
    order[flat.argsort(kind="stable")] = np.arange(len(flat))
    ends = np.cumsum([v.size for v in importance])[:-1]
    return [part.reshape(v.shape) for part, v in zip(np.split(order, ends), importance)], shift


def next_shift(importance, shift, weights, x):
    """Each layer has the next one's shifts, as far as they fit."""
    return importance, [np.resize(s, w.shape) for s, w in zip([*shift[1:], shift[0]], weights)]


def plain(w, s, a):
    mean = np.broadcast_to(a.mean(axis=0), w.shape)
    return w**2 * np.mean(s[:, :, None] * (a[:, None] - mean) ** 2, axis=0), w * mean


def eps_guard(eps):
    def formula(w, s, a):
        mean = (s.T @ a / len(a)) / (s.mean(axis=0)[:, None] + eps)
        return w**2 * np.mean(s[:, :, None] * (a[:, None] - mean) ** 2, axis=0), w * mean

    return formula


def elu_slope(z):
    return np.where(z > 0, 1, SIGMA["elu"](z))


def flattened(importance, shift, weights, x):
    return [v.ravel() for v in importance], [v.ravel() for v in shift]


NOT_A_FUNCTION = "not a function|differ|again|random|earlier|first answer|call"

HELD_BACK: list[Wrong] = [
    # outputs
    Wrong("never reset", never_reset, says="accumulat|reset"),
    Wrong(
        "grad kept over outputs", with_s(lambda p: [squared(np.cumsum(J, axis=0)) for J in p.J]), says="accumulat|reset"
    ),
    Wrong("largest output", largest_output, says="largest output|argmax|maximum"),
    Wrong("last output", with_s(lambda p: [J[-1] ** 2 for J in p.J]), says="last output"),
    Wrong("two outputs", with_s(lambda p: [squared(J[:2]) for J in p.J]), says="output"),
    Wrong("l1 of outputs", with_s(lambda p: [abs(J).sum(0) ** 2 for J in p.J]), says="output|Jacobian"),
    Wrong("max over outputs", with_s(lambda p: [(J**2).max(axis=0) for J in p.J]), says="largest|maxim"),
    # not a function of the input
    Wrong("memoised by shape", Memory(), says=NOT_A_FUNCTION, state=True),
    Wrong("grows with calls", Counter(), says=NOT_A_FUNCTION, state=True),
    Wrong("dropout", dropout, says=NOT_A_FUNCTION, state=True),
    Wrong("random half", noisy_subset, says=NOT_A_FUNCTION, state=True),
    # samples
    Wrong("first sample", on_rows(lambda x: x[:1]), says="first sample"),
    Wrong("last sample left out", on_rows(lambda x: x[:-1] if len(x) > 1 else x), says="last sample"),
    Wrong("last batch of 32", on_rows(lambda x: x[(len(x) - 1) // 32 * 32 :]), says="last batch"),
    Wrong("every second sample", on_rows(lambda x: x[::2]), says="second sample|subset"),
    Wrong("first sixteen", on_rows(lambda x: x[:16]), says="first 16|first batch"),
    Wrong("first sample twice", on_rows(lambda x: np.concatenate([x[:1], x])), says="first sample|twice"),
    # forward pass
    Wrong("no bias in the last two", no_bias_in_last_layer, says="bias"),
    Wrong("silu without x", only("silu", lambda z: 1 / (1 + np.exp(-z))), says="silu"),
    Wrong("elu of 0.5", only("elu", lambda z: np.where(z > 0, z, 0.5 * np.expm1(np.minimum(z, 0)))), says="elu"),
    Wrong("softplus of 2", only("softplus", lambda z: np.logaddexp(0, 2 * z) / 2), says="softplus"),
    Wrong(
        "leaky 0.1",
        only("leaky_relu", lambda z: np.where(z > 0, z, 0.1 * z), lambda z: np.where(z > 0, 1, 0.1)),
        says="leaky_relu.*0.1",
    ),
    Wrong("gelu 1.702", only("gelu", lambda z: z / (1 + np.exp(-1.702 * z))), says="gelu"),
    Wrong("sin of degrees", only("sin", lambda z: np.sin(np.deg2rad(z))), says='sin\\b.*(value|forward)|"sin"'),
    Wrong("tanh by sigmoid", only("tanh", lambda z: 1 / (1 + np.exp(-z))), says="tanh"),
    # backward pass
    Wrong("elu's slope", only("elu", slope=elu_slope), says="elu.*derivative|derivative.*elu"),
    Wrong("softplus' slope", only("softplus", slope=np.tanh), says="softplus.*derivative|derivative.*softplus"),
    Wrong("silu's slope", only("silu", slope=lambda z: 1 / (1 + np.exp(-z))), says="silu.*derivative|derivative.*silu"),
    Wrong("gelu's slope", only("gelu", slope=lambda z: SIGMA["gelu"](z)), says="gelu.*derivative|derivative.*gelu"),
    Wrong("sin's slope", only("sin", slope=lambda z: -(np.cos(z) ** 2)), says="sin.*derivative|derivative.*sin"),
    Wrong(
        "sigmoid squared",
        only("sigmoid", slope=lambda z: SIGMA["sigmoid"](z) ** 2),
        says="sigmoid.*derivative|deri.*sigm",
    ),
    Wrong(
        "tanh without square", only("tanh", slope=lambda z: 1 - np.tanh(z)), says="tanh.*derivative|derivative.*tanh"
    ),
    Wrong("own slope twice", own_slope_of_input, says="derivative|backward|slope"),
    # formula
    Wrong("S + 3e-7", with_moments(eps_guard(3e-7)), says="3e-0?7"),
    Wrong(
        "weighted by s squared",
        with_moments(lambda w, s, a: (weighted(w, s, a)[0], weighted(w, s**2, a)[1])),
        says="shift",
    ),
    Wrong("obc", obc, says="row|OBC|Optimal Brain Compression"),
    Wrong("magnitude", after(lambda I, d, w, x: ([abs(v) for v in w], [0 * v for v in w])), says="magnitude|\\|w\\|"),
    Wrong(
        "wanda",
        with_moments(lambda w, s, a: (abs(w) * np.sqrt((a**2).sum(0)), 0 * w)),
        says="wanda|norm of the (input|activation)",
    ),
    # shift
    Wrong("shift over N", after(lambda I, d, w, x: (I, [v / len(x) for v in d])), says="shift.*N"),
    Wrong("next layer's shift", next_shift, says="shift"),
    Wrong(
        "row mean of shifts",
        after(lambda I, d, w, x: (I, [0 * v + v.mean(1, keepdims=True) for v in d])),
        says="shift.*(row|mean)",
    ),
    Wrong("shift w squared", after(lambda I, d, w, x: (I, [v * u for v, u in zip(d, w)])), says="shift.*w"),
    Wrong(
        "shift absolute value", after(lambda I, d, w, x: (I, [abs(v) for v in d])), says="shift.*(sign|abs|magnitude)"
    ),
    # importance
    Wrong("squared importance", each(np.square), says="square"),
    Wrong("log", each(lambda I: np.log(I + 1e-12)), says="logarithm"),
    Wrong("rank", after(ranks), says="rank"),
    Wrong("clipped at 1e-4", each(lambda I: np.maximum(I, 1e-4)), says="clip|floor|at least"),
    Wrong("capped at 1", each(lambda I: np.minimum(I, 1.0)), says="clip|cap|at most"),
    Wrong("plus 1e-6", each(lambda I: I + 1e-6), says="1e-0?6"),
    Wrong("five decimals", each(lambda I: np.round(I, 5)), says="round"),
    Wrong("four digits", each(significant(4)), says="round|digits"),
    Wrong("layer range", each(lambda I: (I - I.min()) / (np.ptp(I) or 1)), says="layer|normalis"),
    # arithmetic
    Wrong("bfloat16", in_few_bits(8), says="bfloat16"),
    Wrong("TF32", in_few_bits(11), says="TF32|float16"),
    Wrong("forward 1e-3", differences(1e-3, False), says="forward difference"),
    Wrong("central 1e-2", differences(1e-2, True), says="central difference"),
    Wrong("forward 1e-7", differences(1e-7, False), says="difference|numerical"),
    # shape
    Wrong("flattened", after(flattened), says="flat"),
    Wrong("biases as a column", with_biases_as_columns, says="bias"),
    Wrong("one layer short", after(lambda I, d, w, x: (I[:-1], d[:-1])), says="expected|layer"),
    # two at once
    Wrong(
        "plain mean of summed outputs",
        lambda weights, biases, activation, x: lists(
            plain(w, p_s, a)
            for w, p_s, a in (lambda p: [(w, J.sum(0) ** 2, a) for w, J, a in zip(weights, p.J, p.a)])(
                run(weights, biases, activation, x)
            )
        ),
        says="(sum.*plain mean)|(plain mean.*sum)",
    ),
    Wrong(
        "half of the gradient of the sum",
        lambda weights, biases, activation, x: lists(
            (0.5 * weighted(w, J.sum(0) ** 2, a)[0], weighted(w, J.sum(0) ** 2, a)[1])
            for p in [run(weights, biases, activation, x)]
            for w, J, a in zip(weights, p.J, p.a)
        ),
        says="sum",
    ),
    Wrong(
        "without biases, root",
        lambda weights, biases, activation, x: lists(
            (np.sqrt(weighted(w, squared(J), a)[0]), weighted(w, squared(J), a)[1])
            for p in [run(weights, [0 * b for b in biases], activation, x)]
            for w, J, a in zip(weights, p.J, p.a)
        ),
        says="bias",
    ),
    Wrong(
        "squares propagated, wrong sign",
        lambda weights, biases, activation, x: lists(
            (I, -d)
            for p in [run(weights, biases, activation, x, slope=np.ones_like)]
            for I, d in (weighted(w, squared(J), a) for w, J, a in zip(weights, p.J, p.a))
        ),
        says="linear|derivative|σ'",
    ),
]


def main() -> None:
    from ecprune_np import conformance

    helpful, rejected = 0, 0
    for wrong in HELD_BACK:
        report = conformance.check(wrong.candidate)
        rejected += not report.ok
        says = wrong.says_it(report)
        helpful += says
        if not says or report.ok:
            first = report.diagnosis[0] if report.diagnosis else None
            print(f"{wrong.name}: {report.verdict}; first finding: {first and first.id}: {first}")
    print(f"{helpful} of {len(HELD_BACK)} first findings are helpful, {rejected} of {len(HELD_BACK)} are rejected")


if __name__ == "__main__":
    main()
