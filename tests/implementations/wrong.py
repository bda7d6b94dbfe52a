"""Wrong implementations, and the finding that must come first."""

from __future__ import annotations

import numpy as np

from .passes import Wrong, after, each, numpy_float64, squared, weighted, with_moments, with_s
from .wrong_passes import (
    at_mean_sample,
    class_probabilities,
    diagonal_backward,
    fisher,
    gradient_of_activations,
    mse_gradient,
    next_layer,
    preactivation_inputs,
    slope_of_a,
    with_output_activation,
    without_biases,
)
from .wrong_results import (
    batch_mean,
    clamp_guard,
    drop_last,
    epsilon_guard,
    equal_batches,
    finite_difference,
    float32_forward,
    float32_inside,
    kink_half,
    kink_one,
    network_normalised,
    no_last_slope,
    plain_mean,
    raises_for_one_sample,
    square_of_mean,
    squeezed,
    steep_leaky,
    tanh_gelu,
    tiny_guard,
    unguarded,
    wrong_sigmoid,
)

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
        "plain variance",
        with_moments(lambda w, s, a: (plain_mean(w, s, a)[0], weighted(w, s, a)[1])),
        "plain-mean-importance",
    ),
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
    Wrong("shift doubled", after(lambda I, d, w, x: (I, [2 * v for v in d])), "shift-double"),
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
    Wrong("sum 1", after(network_normalised), "network-sum-normalised"),
    Wrong("layer sizes", each(lambda I: I * I.size), "times-layer-size"),
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
        "always-tanh",
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
