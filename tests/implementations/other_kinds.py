"""Implementations with options, and of other kinds of answers than EC's: right ones, and wrong ones with what is said.

Metrics are written as class probabilities and their Jacobians, criteria with explicit Hessians and their inverses, so
that nothing here is as in the package.
"""

from __future__ import annotations

import numpy as np

from .passes import SIGMA, SLOPE, Wrong, weighted


def probabilities(f):
    logits = f if f.shape[1] > 1 else np.hstack([np.zeros_like(f), f])
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def jacobian_of_probabilities(f):
    """∂p_r/∂f_k, (N, R, K)."""
    p = probabilities(f)
    J = np.einsum("nr,rk->nrk", p, np.eye(p.shape[1])) - p[:, :, None] * p[:, None]
    return J[:, :, -f.shape[1] :]


def to_targets(y, f):
    if y.ndim == 2:
        return y
    return np.eye(f.shape[1])[y] if f.shape[1] > 1 else y[:, None] * 1.0


def softmax_rows(f, y):
    return jacobian_of_probabilities(f)


def fisher_rows(f, y):
    return jacobian_of_probabilities(f) / np.sqrt(probabilities(f))[:, :, None]


def mse_rows(f, y):
    return (2 * (f - y) / f.shape[1])[:, None]


def cross_entropy_rows(f, y):
    return (probabilities(f)[:, -f.shape[1] :] - to_targets(y, f))[:, None]


ROWS = {
    "output": lambda f, y: np.tile(np.eye(f.shape[1]), (len(f), 1, 1)),
    "softmax": softmax_rows,
    "fisher": fisher_rows,
    "mse": mse_rows,
    "cross_entropy": cross_entropy_rows,
}


def passes(weights, biases, activation, x, metric="output", y=None, output="identity", rows=None, slope_at_end=True):
    """Inputs a of the layers, and G (N, R, n) = ∂(metric's features)/∂z."""
    a, z = [x], []
    for l, (w, b) in enumerate(zip(weights, biases)):
        z.append(a[l] @ w.T + b)
        a.append(SIGMA[activation if l < len(weights) - 1 else output](z[l]))
    g = (rows or ROWS[metric])(a[-1], y)
    G = [g * SLOPE[output](z[-1])[:, None] if slope_at_end else g]
    for l in range(len(weights) - 1, 0, -1):
        G.insert(0, (G[0] @ weights[l]) * SLOPE[activation](z[l - 1])[:, None])
    return a[:-1], G


def ec_with_options(rows=None, weigh=lambda v: v, slope_at_end=True, output=True):
    """EC with all options; what is handed in spoils one."""

    def candidate(
        weights, biases, activation, x, metric="output", y=None, sample_weight=None, output_activation="identity"
    ):
        end = output_activation if output else "identity"
        own = (rows or {}).get(metric)
        a, G = passes(weights, biases, activation, x, metric, y, end, own, slope_at_end)
        v = np.ones(len(x)) if sample_weight is None else weigh(sample_weight)
        pairs = [weighted(w, (g**2).sum(1) * (len(x) * v / v.sum())[:, None], b) for w, g, b in zip(weights, G, a)]
        return [I for I, _ in pairs], [d for _, d in pairs]

    return candidate


def not_normalised(weights, biases, activation, x, sample_weight=None):
    a, G = passes(weights, biases, activation, x)
    v = np.ones(len(x)) if sample_weight is None else sample_weight
    pairs = [weighted(w, (g**2).sum(1) * v[:, None], b) for w, g, b in zip(weights, G, a)]
    return [I for I, _ in pairs], [d for _, d in pairs]


def hessian_by_row(change=lambda H: H, bias=True, sensitivity=True, of=lambda w, inverse: w**2 / inverse):
    """w²/[H⁻¹]_jj with a row's H, the inverse of what is left where some columns are dependent."""

    def candidate(weights, biases, activation, x):
        a, G = passes(weights, biases, activation, x)
        answer = []
        for w, g, b in zip(weights, G, a):
            wide = np.hstack([b, np.ones((len(b), 1))]) if bias else b
            I = np.zeros_like(w)
            for i, row in enumerate(w):
                s = (g[:, :, i] ** 2).sum(1) if sensitivity else np.ones(len(b))
                H = change((wide * s[:, None]).T @ wide / len(b))
                I[i] = of(row, diagonal_of_inverse(H)[: len(row)])
            answer.append(I)
        return answer

    return candidate


def diagonal_of_inverse(H):
    """diag H⁻¹; infinite for a column that others, or nothing at all, can replace."""
    values, vectors = np.linalg.eigh(H)
    null = values <= 1e-12 * max(values.max(), 1e-300)
    diagonal = (vectors[:, ~null] ** 2 / values[~null]).sum(axis=1)
    return np.where((vectors[:, null] ** 2).sum(axis=1) > 1e-9, np.inf, diagonal)


def hessian_of_all(change=lambda H: H, with_biases=True, outputs=lambda g: g, of=lambda w, inverse: w**2 / inverse):
    """w²/[H⁻¹]_qq with the Hessian of all parameters."""

    def candidate(weights, biases, activation, x):
        a, G = passes(weights, biases, activation, x)
        columns = []
        for g, b in zip(map(outputs, G), a):
            columns.append(np.einsum("nri,nj->nrij", g, b).reshape(g.shape[0] * g.shape[1], -1))
            columns.append(g.reshape(g.shape[0] * g.shape[1], -1)[:, : None if with_biases else 0])
        A = np.hstack(columns)
        inverse = diagonal_of_inverse(change(A.T @ A / len(x)))
        answer, start = [], 0
        for w, block, bias in zip(weights, columns[::2], columns[1::2]):
            answer.append(of(w, inverse[start : start + w.size].reshape(w.shape)))
            start += block.shape[1] + bias.shape[1]
        return answer

    return candidate


def of_inputs(function):
    """function(w, a) in every layer."""

    def candidate(weights, biases, activation, x):
        return [function(w, b) for w, b in zip(weights, passes(weights, biases, activation, x)[0])]

    return candidate


def of_sensitivities(function):
    """function(w, s, a) in every layer."""

    def candidate(weights, biases, activation, x):
        a, G = passes(weights, biases, activation, x)
        return [function(w, (g**2).sum(1), b) for w, g, b in zip(weights, G, a)]

    return candidate


def gradients(weights, biases, activation, x, y, loss="mse", scale=1.0, sums=False):
    """E[g aᵀ] and E[g], or sums, a sample at a time."""
    weight, bias = [np.zeros_like(w) for w in weights], [np.zeros_like(b) for b in biases]
    for n in range(len(x)):
        a, G = passes(weights, biases, activation, x[n : n + 1], loss, y[n : n + 1])
        for l, (b, g) in enumerate(zip(a, G)):
            weight[l] += scale * np.outer(g[0, 0], b[0]) / (1 if sums else len(x))
            bias[l] += scale * g[0, 0] / (1 if sums else len(x))
    return weight, bias


def loss_gradient(weights, biases, activation, x, y, loss="mse"):
    return gradients(weights, biases, activation, x, y, loss)


def of_gradient(function, **more):
    """function(w, ∂ℓ/∂w) in every layer."""

    def candidate(weights, biases, activation, x, y):
        return [function(w, g) for w, g in zip(weights, gradients(weights, biases, activation, x, y, **more)[0])]

    return candidate


def loss_gradient_with(change=lambda w, b: (w, b), **more):
    """The gradient of the squared error, changed."""

    def candidate(weights, biases, activation, x, y):
        pairs = zip(*gradients(weights, biases, activation, x, y, **more))
        changed = [change(w, b) for w, b in pairs]
        return [w for w, _ in changed], [b for _, b in changed]

    return candidate


def per_sample(weights, biases, activation, x, y):
    """Absolute values of each sample's gradient, then the mean."""
    parts = [gradients(weights, biases, activation, x[n : n + 1], y[n : n + 1])[0] for n in range(len(x))]
    return [np.abs(w) * np.mean([np.abs(p[l]) for p in parts], axis=0) for l, w in enumerate(weights)]


def damped(share):
    return lambda H: H + share * np.mean(np.diag(H)) * np.eye(len(H))


RIGHT_KINDS = {
    "ec": ec_with_options(),
    "uncompensated": of_sensitivities(lambda w, s, a: w**2 * (s[:, :, None] * a[:, None] ** 2).mean(axis=0)),
    "wanda": of_inputs(lambda w, a: np.abs(w) * np.linalg.norm(a, axis=0) / np.sqrt(len(a))),
    "gradient_magnitude": of_gradient(lambda w, g: np.abs(w * g)),
    "obc": hessian_by_row(),
    "obs": hessian_of_all(),
    "loss_gradient": loss_gradient,
}

OPTION_MISTAKES = [
    Wrong("no metric", ec_with_options(dict.fromkeys(ROWS, ROWS["output"])), "metric-ignored"),
    Wrong(
        "probability alone",
        ec_with_options({
            "softmax": lambda f, y: (probabilities(f)[:, :, None] * np.eye(max(2, f.shape[1])))[:, :, -f.shape[1] :]
        }),
        "softmax-not-centred",
    ),
    Wrong("softmax as Fisher", ec_with_options({"fisher": softmax_rows}), "softmax-for-fisher"),
    Wrong("Fisher as softmax", ec_with_options({"softmax": fisher_rows}), "fisher-for-softmax"),
    Wrong("half squares", ec_with_options({"mse": lambda f, y: (f - y)[:, None]}), "loss-half-summed-over-outputs"),
    Wrong("sum of squares", ec_with_options({"mse": lambda f, y: 2 * (f - y)[:, None]}), "loss-summed-over-outputs"),
    Wrong(
        "no targets in cross-entropy",
        ec_with_options({"cross_entropy": lambda f, y: probabilities(f)[:, None, -f.shape[1] :]}),
        "probabilities-without-targets",
    ),
    Wrong(
        "softmax of one",
        ec_with_options({
            name: lambda f, y, rows=ROWS[name]: 0 * f[:, None] if f.shape[1] == 1 else rows(f, y)
            for name in ("softmax", "fisher", "cross_entropy")
        }),
        "softmax-of-one-logit",
    ),
    Wrong("no sample weights", ec_with_options(weigh=np.ones_like), "sample-weights-ignored"),
    Wrong("squared weights", ec_with_options(weigh=np.square), "sample-weights-squared"),
    Wrong("weights as they are", not_normalised, "sample-weights-not-normalised"),
    Wrong("no slope at the end", ec_with_options(slope_at_end=False), "output-derivative-left-out"),
    Wrong("no activation at the end", ec_with_options(output=False), "output-activation-ignored"),
]  # fmt: skip

WRONG_KINDS = {
    "uncompensated": [
        Wrong("bare", of_sensitivities(lambda w, s, a: s.T @ a**2 / len(a)), "weight-missing"),
        Wrong("OBD's half", of_sensitivities(lambda w, s, a: w**2 * (s.T @ a**2) / (2 * len(a))), "half"),
        Wrong("EC", of_sensitivities(lambda w, s, a: weighted(w, s, a)[0]), "compensated"),
        Wrong("sum", of_sensitivities(lambda w, s, a: w**2 * (s.T @ a**2)), "sum-over-samples"),
        Wrong("apart", of_sensitivities(lambda w, s, a: w**2 * np.outer(s.mean(0), (a**2).mean(0))),
              "expectations-multiplied"),
        Wrong("ones", of_sensitivities(lambda w, s, a: w**2 * (a**2).mean(axis=0)), "no-sensitivity"),
    ],
    "wanda": [
        Wrong("no root", of_inputs(lambda w, a: np.abs(w) * (a**2).mean(axis=0)), "without-root"),
        Wrong("norm", of_inputs(lambda w, a: np.abs(w) * np.linalg.norm(a, axis=0)), "norm-not-mean"),
        Wrong("deviation", of_inputs(lambda w, a: np.abs(w) * np.std(a, axis=0)), "deviation"),
        Wrong("signed", of_inputs(lambda w, a: w * np.sqrt((a**2).mean(axis=0))), "weight-signed"),
        Wrong("L1", of_inputs(lambda w, a: np.abs(w) * np.abs(a).mean(axis=0)), "mean-magnitude"),
        Wrong("transposed", of_inputs(lambda w, a: (np.abs(w) * np.sqrt((a**2).mean(axis=0))).T), "transposed"),
    ],
    "gradient_magnitude": [
        Wrong("gradient", of_gradient(lambda w, g: np.abs(g)), "gradient-alone"),
        Wrong("signed", of_gradient(lambda w, g: w * g), "gradient-signed"),
        Wrong("squared", of_gradient(lambda w, g: (w * g) ** 2), "gradient-squared"),
        Wrong("summed", of_gradient(lambda w, g: np.abs(w * g), sums=True), "gradient-summed"),
        Wrong("without 2", of_gradient(lambda w, g: np.abs(w * g), scale=0.5), "loss-half-as-large"),
        Wrong("by sample", per_sample, "absolute-before-mean"),
    ],
    "obc": [
        Wrong("no bias", hessian_by_row(bias=False), "without-bias"),
        Wrong("no sensitivity", hessian_by_row(sensitivity=False), "without-sensitivity"),
        Wrong("Frantar and Alistarh", hessian_by_row(bias=False, sensitivity=False), "without-sensitivity-and-bias"),
        Wrong("damped", hessian_by_row(change=damped(0.01)), "damped-by-0.01"),
        Wrong("halved", hessian_by_row(of=lambda w, inverse: w**2 / (2 * inverse)), "half"),
        Wrong("diagonal", hessian_by_row(change=lambda H: np.diag(np.diag(H))), "diagonal-inverted"),
    ],
    "obs": [
        Wrong("no biases", hessian_of_all(with_biases=False), "without-biases"),
        Wrong("one gradient", hessian_of_all(outputs=lambda g: g.sum(axis=1, keepdims=True)), "outputs-summed"),
        Wrong("damped", hessian_of_all(change=damped(1e-4)), "damped-by-0.0001"),
        Wrong("halved", hessian_of_all(of=lambda w, inverse: w**2 / (2 * inverse)), "half"),
        Wrong("diagonal", hessian_of_all(change=lambda H: np.diag(np.diag(H))), "diagonal-inverted"),
    ],
    "loss_gradient": [
        Wrong("summed", loss_gradient_with(sums=True), "gradient-summed"),
        Wrong("without 2", loss_gradient_with(scale=0.5), "loss-half-as-large"),
        Wrong("descent", loss_gradient_with(lambda w, b: (-w, -b)), "gradient-sign"),
        Wrong("no biases", loss_gradient_with(lambda w, b: (w, 0 * b)), "gradient-of-biases-zero"),
        Wrong("transposed", loss_gradient_with(lambda w, b: (w.T, b)), "transposed"),
    ],
}  # fmt: skip
