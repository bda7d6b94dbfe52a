"""What each sentence of the conformance catalogue says, as a formula: the wrong one, written from the sentence alone.

A key is a sentence, or its beginning before "…"; a "{}" in it is a word that the formula takes.  Formulas of one weight
are of (E, w, s, a); those of a neuron's sensitivity of J (K, N, n) and the network; all others give what comes for a
network, importances and shifts a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from plain import (
    SLOPES,
    VALUES,
    Array,
    Entry,
    Function,
    Plain,
    cotangents_of,
    density,
    if_above,
    logistic,
    mu,
    normal,
    of_classes,
    probabilities,
    right,
    unit,
)

Pairs = list[tuple[Array, Array]]
Statement = Callable[..., Pairs]  # of a network, and the words of the sentence


def number(word: str) -> float:
    """The number that a word of a sentence is: rounded ones are those of the formats of floating-point numbers."""
    rounded = {f"{np.finfo(dtype).eps:.3g}": float(np.finfo(dtype).eps) for dtype in (np.float32, np.float64)}
    return rounded.get(word) or float(word)


def over(numerator: Array, denominator: Any) -> Array:
    """A quotient, 0 where nothing is to be divided by."""
    divisor = np.broadcast_to(denominator, np.shape(numerator))
    return np.array([0.0 if d == 0 else v / d for v, d in zip(np.ravel(numerator), divisor.ravel())]).reshape(
        np.shape(numerator)
    )


def everywhere(entry: Entry) -> Statement:
    return lambda net: net.entries(entry)


def importance(of: Callable[..., float]) -> Statement:
    """Another importance beside right shifts."""
    return everywhere(lambda E, w, s, a: (of(E, w, s, a), right(E, w, s, a)[1]))


def criterion(of: Callable[..., float]) -> Statement:
    """Another importance, and no shifts."""
    return everywhere(lambda E, w, s, a: (of(E, w, s, a), 0.0))


def about(centre: Callable[..., float]) -> Statement:
    """Another mean, in importance and shift."""
    return everywhere(lambda E, w, s, a: (w**2 * E(s * (a - centre(E, s, a)) ** 2), w * centre(E, s, a)))


def shift(of: Callable[..., float]) -> Statement:
    """Another shift beside right importances."""
    return everywhere(lambda E, w, s, a: (right(E, w, s, a)[0], of(E, w, s, a)))


def sensitivity(of: Callable[[Array, Plain], Any]) -> Statement:
    """Another s_i, of J (K, N, n)."""
    return lambda net: net.scores(s=[np.broadcast_to(of(J, net), J[0].shape) for J in net.J])


def importances(of: Callable[[Array, Plain], Any]) -> Statement:
    """What is done to the importances of each layer."""
    return lambda net: [(np.broadcast_to(of(I, net), I.shape), d) for I, d in net.scores()]


def shifts(of: Callable[[Array, Plain], Any]) -> Statement:
    """What is done to the shifts of each layer."""
    return lambda net: [(I, np.broadcast_to(of(d, net), d.shape)) for I, d in net.scores()]


def network(**of: Callable[[Plain], Any]) -> Statement:
    """Something else in the network."""
    return lambda net: net.but(**{name: function(net) for name, function in of.items()}).scores()


def chain(**how: Any) -> Statement:
    """Another chain rule."""
    return lambda net: net.scores(s=[(J**2).sum(axis=0) for J in net.jacobians(**how)])


def samples(chosen: Callable[..., Any]) -> Statement:
    """Some of the samples, of N."""
    return lambda net, *words: net.of(list(chosen(range(net.n), *map(int, words)))).scores()


# Activations: the value, and where only the derivative is wrong, the derivative

ACTIVATIONS: Mapping[str, Callable[..., Function]] = {
    "gelu is its tanh approximation, not z Φ(z) with erf.": lambda: (
        lambda z: z / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z)))
    ),
    "gelu is z sigmoid({} z), not z Φ(z) with erf.": lambda c: lambda z: z * logistic(number(c) * z),
    "gelu has erf(z), not erf(z/√2).": lambda: lambda z: z * normal(z * np.sqrt(2)),
    "gelu is Φ(z), without the factor z.": lambda: normal,
    "gelu lacks its factor 1/2.": lambda: lambda z: 2 * z * normal(z),
    "leaky_relu has the slope {} below zero, not 0.01.": lambda c: lambda z: if_above(z, z, number(c) * z),
    "elu has α = {} below zero, not 1.": lambda c: lambda z: if_above(z, z, number(c) * (np.exp(z) - 1)),
    "elu is selu, with its two constants.": lambda: (
        lambda z: 1.0507009873554805 * if_above(z, z, 1.6732632423543772 * (np.exp(z) - 1))
    ),
    "elu is exp(z) below zero, without the −1.": lambda: lambda z: if_above(z, z, np.exp(z)),
    "softplus has β = {}, not 1: log(1 + exp(β z))/β.": lambda c: (
        lambda z: if_above(z, z, 0) + np.log(1 + np.exp(number(c) * if_above(z, -z, z))) / number(c)
    ),
    "silu is z sigmoid({} z), not z sigmoid(z).": lambda c: lambda z: z * logistic(number(c) * z),
    "silu is sigmoid(z), without the factor z.": lambda: logistic,
    "silu is the hard swish z clip(z/6 + 1/2, 0, 1).": lambda: (
        lambda z: z * np.minimum(np.maximum(z / 6 + 1 / 2, 0), 1)
    ),
    "sigmoid is clip(0.2 z + 0.5, 0, 1).": lambda: lambda z: np.minimum(np.maximum(0.2 * z + 0.5, 0), 1),
    "sigmoid is clip(z/6 + 0.5, 0, 1).": lambda: lambda z: np.minimum(np.maximum(z / 6 + 0.5, 0), 1),
    "sigmoid is that of −z: exp(z) where exp(−z) is meant.": lambda: lambda z: 1 / (1 + np.exp(z)),
    "tanh is clip(z, −1, 1).": lambda: lambda z: np.minimum(np.maximum(z, -1), 1),
    "tanh is 1.7159 tanh(2 z/3).": lambda: lambda z: 1.7159 * np.tanh(2 * z / 3),
    "relu is cut off at 6.": lambda: lambda z: np.minimum(np.maximum(z, 0), 6),
    "relu is squared.": lambda: lambda z: if_above(z, z * z, 0),
    "sin takes its argument in degrees.": lambda: lambda z: np.sin(z * math.pi / 180),
    "sin is sin(30 z).": lambda: lambda z: np.sin(30 * z),
    "sin is sin(2π z).": lambda: lambda z: np.sin(2 * math.pi * z),
}
DERIVATIVES: Mapping[str, Callable[..., Function]] = {
    "relu'(0) is 1; it is 0.": lambda: lambda z: np.where(z == 0, 1, SLOPES["relu"](z)),
    "relu'(0) is 1/2; it is 0.": lambda: lambda z: np.where(z == 0, 0.5, SLOPES["relu"](z)),
    "The derivative of leaky_relu is that of relu.": lambda: SLOPES["relu"],
    "The derivative of elu below zero is elu itself, without the +1.": lambda: lambda z: if_above(z, 1, np.exp(z) - 1),
    "The derivative of elu is exp(z) also above zero.": lambda: np.exp,
    "The derivative of sigmoid is taken for σ², not σ (1 − σ).": lambda: lambda z: logistic(z) ** 2,
    "The derivative of sigmoid is taken for 1 − σ, not σ (1 − σ).": lambda: lambda z: 1 - logistic(z),
    "The derivative of sigmoid is taken for z (1 − z), as if z were the value.": lambda: lambda z: z * (1 - z),
    "The derivative of tanh is taken for 1 − tanh z, without the square.": lambda: lambda z: 1 - np.tanh(z),
    "The derivative of tanh is taken for 1 − z², as if z were the value.": lambda: lambda z: 1 - z * z,
    "The derivative of tanh is taken for 1 + tanh² z.": lambda: lambda z: 1 + np.tanh(z) ** 2,
    "The derivative of tanh is taken for a (1 − a), which is sigmoid's.": lambda: (
        lambda z: np.tanh(z) * (1 - np.tanh(z))
    ),
    "The derivative of softplus is taken for its second one, σ (1 − σ).": lambda: (
        lambda z: logistic(z) * (1 - logistic(z))
    ),
    "The derivative of softplus is taken for sigmoid(−z).": lambda: lambda z: logistic(-z),
    "The derivative of sin is taken for sin.": lambda: np.sin,
    "The derivative of silu is taken for sigmoid(z): its z σ'(z) is missing.": lambda: logistic,
    "The derivative of silu is taken for z σ'(z): its sigmoid(z) is missing.": lambda: (
        lambda z: z * SLOPES["sigmoid"](z)
    ),
    "The derivative of silu lacks a factor: σ + a (1 − σ) with σ for a.": lambda: (
        lambda z: logistic(z) + logistic(z) * (1 - logistic(z))
    ),
    "The derivative of gelu is taken for Φ(z): its z φ(z) is missing.": lambda: normal,
    "The derivative of gelu is taken for gelu itself.": lambda: VALUES["gelu"],
    "The derivative of gelu is that of z sigmoid({} z).": lambda c: (
        lambda z: logistic(number(c) * z) + number(c) * z * SLOPES["sigmoid"](number(c) * z)
    ),
    "The derivative of gelu has z φ(z) without 1/√(2π).": lambda: (
        lambda z: normal(z) + z * density(z) * np.sqrt(2 * np.pi)
    ),
    "The derivative of {} is evaluated at the activation a = σ(z), not at the preactivation z.": lambda name: (
        lambda z: SLOPES[name](VALUES[name](z))
    ),
    "The derivative of {} is that of {}; the forward pass is right.": lambda name, taken: SLOPES[taken],
}

# Passes


def _without_biases(*layers: int) -> Callable[[Plain], Any]:
    return lambda net: [0 * b if l in [k % len(net.b) for k in layers] else b for l, b in enumerate(net.b)]


def _as(name: str) -> dict[str, Callable[[Plain], Any]]:
    return {"value": lambda net: VALUES[name], "slope": lambda net: SLOPES[name]}


def _deviation(x: Array) -> Array:
    return np.array([np.std(column) or 1.0 for column in x.T])


def _squares_through_squares(net: Plain) -> Pairs:
    how = net.jacobians(lambda l, k, slopes: slopes**2, lambda w: w**2, lambda c: c**2)
    return net.scores(s=[s.sum(axis=0) for s in how])


def _next_layer(net: Plain) -> Pairs:
    s = [net.slope(z) ** 2 * [sum(w[:, i] ** 2) for i in range(w.shape[1])] for z, w in zip(net.z, net.w[1:])]
    return net.scores(s=[*s, net.s[-1]])


PASSES: Mapping[str, Statement] = {
    "The activation is applied to the output layer too, which has none.": network(
        end=lambda net: net.value, end_slope=lambda net: net.slope
    ),
    "The outputs are activated, and their derivative is taken at the output, not before it.": network(
        end=lambda net: net.value, end_slope=lambda net: lambda z: net.slope(net.value(z))
    ),
    "The forward pass leaves out the biases.": network(b=lambda net: [0 * b for b in net.b]),
    "The forward pass leaves out the biases of the first layer.": network(b=_without_biases(0)),
    "The forward pass leaves out the biases of the last hidden layer.": network(
        b=lambda net: _without_biases(-2)(net) if len(net.b) > 1 else net.b
    ),
    "The forward pass leaves out the biases of the second layer.": network(
        b=lambda net: _without_biases(1)(net) if len(net.b) > 1 else net.b
    ),
    "The biases are subtracted, not added.": network(b=lambda net: [-b for b in net.b]),
    "A layer's inputs are the preactivations of the layer before, not its activations.": lambda net: net.scores(
        a=[net.x, *net.z[:-1]]
    ),
    "No activation at all, in neither pass: the network is taken for a linear one.": network(**_as("identity")),
    "The samples are centred before they enter the network.": network(x=lambda net: net.x - net.E(net.x)),
    "The samples are standardised before they enter the network.": network(
        x=lambda net: (net.x - net.E(net.x)) / _deviation(net.x)
    ),
    "Every network is computed with {}, whatever the argument `activation` says.": lambda net, name: network(
        **_as(name)
    )(net),
    "The sensitivity stops at the next layer, as if that were the output: the later layers are missing.": _next_layer,
    "Squared sensitivities are propagated through squared weights: …": _squares_through_squares,
    "Absolute values are propagated through absolute weights: …": chain(
        factor=lambda l, k, slopes: abs(slopes), weights=abs, ends=abs
    ),
    "The derivative is taken with respect to the activation a_i, not the preactivation z_i: σ'(z_i) is missing.": chain(
        factor=lambda l, k, slopes: 1 + 0 * slopes if k == l else slopes
    ),
    "The derivative σ'(z_i) of a neuron's own layer is there twice.": chain(
        factor=lambda l, k, slopes: slopes * slopes if k == l else slopes
    ),
    "Only a neuron's own σ'(z_i) is there: the derivatives of the layers after it are missing from the chain.": chain(
        factor=lambda l, k, slopes: slopes if k == l else 1 + 0 * slopes
    ),
    "The derivative σ' of the last hidden layer is missing from the chain.": lambda net: chain(
        factor=lambda l, k, slopes: 1 + 0 * slopes if k == len(net.b) - 2 else slopes
    )(net),
    "No derivative σ' at all in the backward pass: …": chain(factor=lambda l, k, slopes: 1 + 0 * slopes),
    "The derivative σ' is evaluated at the activation a = σ(z), not at the preactivation z.": network(
        slope=lambda net: lambda z: net.slope(net.value(z))
    ),
    "The backward pass has σ(z) where σ'(z) belongs.": network(slope=lambda net: net.value),
    "The Jacobian is that at the mean sample, the same for all samples.": lambda net: net.scores(
        s=[np.repeat(s, net.n, axis=0) for s in net.but(x=net.E(net.x)[np.newaxis], omega=np.ones(1)).s]
    ),
    "The backward pass takes W where Wᵀ belongs: it shows in square layers only.": chain(
        weights=lambda w: w.T if w.shape[0] == w.shape[1] else w
    ),
}

# Several outputs


def _towards(net: Plain, c: Any) -> Array:
    """Σ_k c_k J_k, of c (N, K)."""
    return [np.einsum("nk,kni->ni", c * np.ones_like(net.f), J) for J in net.J]


def _gradient_of(c: Callable[[Plain], Any]) -> Statement:
    """The sensitivity where one gradient takes the place of the outputs', with ∂/∂f = c (N, K)."""
    return lambda net: net.scores(s=[g**2 for g in _towards(net, c(net))])


def _softmax(net: Plain) -> Array:
    """Of the outputs as they are, also of a single one."""
    return np.array([np.exp(f) / np.exp(f).sum() for f in net.f])


def _of_logits(row: Callable[[float, Array, Array], Array]) -> Statement:
    """The sensitivity where the outputs go through a function of class probabilities first, by p_r, e_r and p."""

    def formula(net: Plain) -> Pairs:
        p, e = _softmax(net), np.eye(net.k)
        c = np.array([[row(mine[r], e[r], mine) for mine in p] for r in range(net.k)])
        return net.but(cotangents=lambda f: c).scores()

    return formula


def _likeliest(net: Plain) -> Array:
    return np.eye(net.k)[np.argmax(net.f, axis=1)]


def _accumulated(net: Plain, order: Callable[[Plain], Sequence[tuple[int, int]]]) -> Pairs:
    """Each backward pass, of a sample's output, adds to all before it."""
    s = []
    for J in net.J:
        kept, total = np.zeros(J.shape[1:]), np.zeros(J.shape[2])
        for n, k in order(net):
            total = total + J[k, n]
            kept[n] += total**2
        s.append(kept)
    return net.scores(s=s)


def _restarted(net: Plain, over_outputs: bool) -> Pairs:
    """The same, from zero for each sample, or for each output."""
    s = []
    for J in net.J:
        kept = np.zeros(J.shape[1:])
        for n in range(net.n):
            for k in range(net.k):
                total = J[: k + 1, n].sum(axis=0) if over_outputs else J[k, : n + 1].sum(axis=0)
                kept[n] += total**2
        s.append(kept)
    return net.scores(s=s)


def _one_output(choose: Callable[[Array, Array], int]) -> Statement:
    """Only the output counts that a function of a sample's f (K,), and of all, names."""
    return sensitivity(lambda J, net: [J[choose(f, net.f), n] ** 2 for n, f in enumerate(net.f)])


OUTPUTS: Mapping[str, Statement] = {
    "The gradient of the sum of the outputs is squared, (Σ_k J_k)², …": sensitivity(lambda J, net: sum(J) ** 2),
    "The gradient of the mean of the outputs is squared, (Σ_k J_k / K)², …": sensitivity(
        lambda J, net: (sum(J) / net.k) ** 2
    ),
    "Gradients are accumulated over the outputs: …": lambda net: _restarted(net, True),
    "Gradients are accumulated over the samples: …": lambda net: _restarted(net, False),
    "Gradients are accumulated over samples and their outputs: …": lambda net: _accumulated(
        net, lambda net: [(n, k) for n in range(net.n) for k in range(net.k)]
    ),
    "Gradients are accumulated over outputs and their samples: …": lambda net: _accumulated(
        net, lambda net: [(n, k) for k in range(net.k) for n in range(net.n)]
    ),
    "Squared gradients are accumulated over the outputs: the first output counts K times.": sensitivity(
        lambda J, net: sum((net.k - k) * J[k] ** 2 for k in range(net.k))
    ),
    "The absolute Jacobian is summed over the outputs before it is squared, (Σ_k |J_k|)².": sensitivity(
        lambda J, net: sum(abs(J)) ** 2
    ),
    "The sensitivity is Σ_k |J_k|: …": sensitivity(lambda J, net: sum(abs(J))),
    "The sensitivity is Σ_k J_k: …": sensitivity(lambda J, net: sum(J)),
    "The sensitivity is the norm of the Jacobian, √Σ_k J_k², not its square.": sensitivity(
        lambda J, net: np.sqrt(sum(J**2))
    ),
    "The sensitivity is (Σ_k J_k²)²: …": sensitivity(lambda J, net: sum(J**2) ** 2),
    "Only the first output counts: s = J_1² …": sensitivity(lambda J, net: J[0] ** 2),
    "Only the last output counts: s = J_K² …": sensitivity(lambda J, net: J[net.k - 1] ** 2),
    "Only the first two outputs count.": sensitivity(lambda J, net: sum(J[k] ** 2 for k in range(min(net.k, 2)))),
    "The last output is left out.": sensitivity(lambda J, net: sum(J**2) - J[-1] ** 2),
    "The first output is left out.": sensitivity(lambda J, net: sum(J**2) - J[0] ** 2),
    "Only the largest output of each sample counts, argmax_k f_k, …": _one_output(lambda f, all_f: np.argmax(f)),
    "Only the smallest output of each sample counts, argmin_k f_k.": _one_output(lambda f, all_f: np.argmin(f)),
    "Only the output of each sample that is the largest absolutely counts.": _one_output(
        lambda f, all_f: np.argmax(abs(f))
    ),
    "Only the output counts that is the largest in the mean.": _one_output(
        lambda f, all_f: np.argmax([np.mean(column) for column in all_f.T])
    ),
    "The largest squared Jacobian of all outputs, max_k J_k², …": sensitivity(lambda J, net: np.max(J**2, axis=0)),
    "The smallest squared Jacobian of all outputs, min_k J_k², …": sensitivity(lambda J, net: np.min(J**2, axis=0)),
    "The sensitivity is the variance of the Jacobian over the outputs: …": sensitivity(
        lambda J, net: sum((J - sum(J) / net.k) ** 2) / net.k
    ),
    "All neurons of a layer have the same sensitivity, their mean.": sensitivity(
        lambda J, net: (J**2).sum(axis=0).mean(axis=1, keepdims=True)
    ),
    "The sensitivity is missing: w² Var[a] and w E[a] with plain moments (s = 1).": everywhere(
        lambda E, w, s, a: (w**2 * E((a - E(a)) ** 2), w * E(a))
    ),
    "The gradient is averaged over the samples before it is squared, E[J]², …": sensitivity(
        lambda J, net: sum(net.E(gradient) ** 2 for gradient in J)
    ),
    "The gradient of the sum over samples and outputs is squared, …": sensitivity(
        lambda J, net: sum(net.n * net.E(gradient) for gradient in J) ** 2
    ),
    "The gradient of the mean over samples and outputs is squared, …": sensitivity(
        lambda J, net: (sum(net.E(gradient) for gradient in J) / net.k) ** 2
    ),
    "The gradient is that of a loss ½ Σ_k f_k², not of the outputs: s = (Σ_k f_k J_k)².": _gradient_of(
        lambda net: net.f
    ),
    "The gradient is that of the squared error Σ_k f_k² with zero targets: s = (Σ_k 2 f_k J_k)².": _gradient_of(
        lambda net: 2 * net.f
    ),
    "The gradient is that of the mean squared error Σ_k f_k²/K with zero targets: …": _gradient_of(
        lambda net: 2 * net.f / net.k
    ),
    "The gradient is that of the squared error's mean over samples and outputs: …": _gradient_of(
        lambda net: 2 * net.f / (net.n * net.k)
    ),
    "The gradient is that of the outputs' norm ‖f‖: s = (Σ_k f_k J_k)²/‖f‖².": _gradient_of(
        lambda net: net.f / np.sqrt((net.f**2).sum(axis=1))[:, np.newaxis]
    ),
    "The sensitivity is that of the softmax of the outputs, …": _of_logits(lambda p, e, all_of: p * (e - all_of)),
    "The sensitivity is the Fisher information of class probabilities, …": _of_logits(
        lambda p, e, all_of: np.sqrt(p) * (e - all_of)
    ),
    "The sensitivity is that of the log-softmax of the outputs, …": _of_logits(lambda p, e, all_of: e - all_of),
    "The gradient is that of the cross-entropy with the largest output as the class, …": _gradient_of(
        lambda net: _softmax(net) - _likeliest(net)
    ),
    "The squares are averaged over the outputs: a factor 1/K, …": sensitivity(lambda J, net: sum(J**2) / net.k),
}

# The formulas


def _deviations(E: Any, s: Array, a: Array) -> float:
    return E(s * (a - mu(E, s, a)) ** 2)


def _mean_before_square(net: Plain) -> Pairs:
    pairs = []
    for w, s, a, J, (_, d) in zip(net.w, net.s, net.a, net.J, net.scores()):
        centred = [[a[:, j] - mu(net.E, s[:, i], a[:, j]) for j in range(w.shape[1])] for i in range(len(w))]
        means = [
            [sum(net.E(J_k[:, i] * centred[i][j]) ** 2 for J_k in J) for j in range(w.shape[1])] for i in range(len(w))
        ]
        pairs.append((w**2 * means, d))
    return pairs


def _left_over(columns: Array, q: int) -> tuple[float, Array]:
    """The squared distance of a column from the others' span, and the best combination of them."""
    others = np.delete(columns, q, axis=1)
    best, *_ = np.linalg.lstsq(others, columns[:, q], rcond=1e-10)
    return float(np.sum((columns[:, q] - others @ best) ** 2)), best


def _of_row(net: Plain, l: int, i: int, with_bias: bool, weighted: bool = True) -> Array:
    inputs = np.column_stack([net.a[l], np.ones(net.n)]) if with_bias else net.a[l]
    return np.sqrt(net.s[l][:, [i]] if weighted else np.ones((net.n, 1))) * inputs / np.sqrt(net.n)


def row_compensates(with_bias: bool, weighted: bool = True) -> Statement:
    """The row's other weights answer, with the bias or without it: w² times what they leave."""

    def formula(net: Plain) -> Pairs:
        found = []
        for l, w in enumerate(net.w):
            rows = [_of_row(net, l, i, with_bias, weighted) for i in range(len(w))]
            distance = [[_left_over(row, j)[0] for j in range(w.shape[1])] for row in rows]
            found.append((w**2 * distance, 0 * w))
        return found

    return formula


def _all_biases(net: Plain) -> Pairs:
    biases = np.concatenate([J.reshape(-1, J.shape[2]) for J in net.J], axis=1) / np.sqrt(net.n)
    pairs, start = [], 0
    for w, a, J in zip(net.w, net.a, net.J):
        I, d = np.zeros(w.shape), np.zeros(w.shape)
        for i, j in np.ndindex(w.shape):
            moved = (w[i, j] * a[:, j] * J[..., i]).ravel() / np.sqrt(net.n)
            best, *_ = np.linalg.lstsq(biases, moved, rcond=1e-10)
            I[i, j], d[i, j] = np.sum((moved - biases @ best) ** 2), best[start + i]
        pairs.append((I, d))
        start += len(w)
    return pairs


def _gradient(of: Callable[[float, Array], float]) -> Statement:
    """A criterion of w and of each sample's ∂Σf/∂w."""
    return lambda net: [
        (
            np.array([[of(w[i, j], sum(J)[:, i] * a[:, j]) for j in range(w.shape[1])] for i in range(len(w))]),
            0 * w,
        )
        for w, J, a in zip(net.w, net.J, net.a)
    ]


def _undefined(E: Any, s: Array, a: Array) -> float:
    return E(s * a) / E(s) if s.any() else np.nan


FORMULAS: Mapping[str, Statement] = {
    "The activations' plain mean E[a] takes the place of the sensitivity-weighted mean …": about(lambda E, s, a: E(a)),
    "The variance is taken about the plain mean, E[s (a − E[a])²]; the shift is right.": importance(
        lambda E, w, s, a: w**2 * E(s * (a - E(a)) ** 2)
    ),
    "Sensitivity and activation are averaged separately, E[s] Var[a], as if they were independent.": everywhere(
        lambda E, w, s, a: (w**2 * E(s) * E((a - E(a)) ** 2), w * E(a))
    ),
    "Sensitivity and activation are averaged separately, E[s] Var[a], as if they were independent; the shift is "
    "right.": importance(lambda E, w, s, a: w**2 * E(s) * E((a - E(a)) ** 2)),
    "The median of the activations takes the place of their weighted mean μ.": about(
        lambda E, s, a: (sorted(a)[(len(a) - 1) // 2] + sorted(a)[len(a) // 2]) / 2
    ),
    "The weighted variance is divided by S = E[s]: …": importance(
        lambda E, w, s, a: w**2 * _deviations(E, s, a) / E(s) if s.any() else 0.0
    ),
    "The weighted variance is multiplied by S = E[s], …": importance(
        lambda E, w, s, a: w**2 * _deviations(E, s, a) * E(s)
    ),
    "The mean is E[s a], without the division by S = E[s].": about(lambda E, s, a: E(s * a)),
    "The importance is that without compensation, R = w² E[s a²], and the shift is zero: …": criterion(
        lambda E, w, s, a: w**2 * E(s * a * a)
    ),
    "The importance is that without compensation, R = w² E[s a²]; the shift is right …": importance(
        lambda E, w, s, a: w**2 * E(s * a * a)
    ),
    "The importance is what compensation saves, R − I = w² S μ², …": importance(
        lambda E, w, s, a: w**2 * E(s) * mu(E, s, a) ** 2
    ),
    "The importance is |w| v: …": importance(lambda E, w, s, a: abs(w) * _deviations(E, s, a)),
    "The importance is w v: …": importance(lambda E, w, s, a: w * _deviations(E, s, a)),
    "The importance is v, without w².": importance(lambda E, w, s, a: _deviations(E, s, a)),
    "The importance has E[s |a − μ|]: the deviation is not squared.": importance(
        lambda E, w, s, a: w**2 * E(s * abs(a - mu(E, s, a)))
    ),
    "The mean is weighted with √s, where the weights are s.": about(lambda E, s, a: mu(E, np.sqrt(s), a)),
    "The mean is weighted with s², where the weights are s.": about(lambda E, s, a: mu(E, s * s, a)),
    "0/0 at dead neurons: where S = 0, I and δ* are 0.": about(_undefined),
    "0/0 in the shift of dead neurons: where S = 0, δ* is 0.": shift(lambda E, w, s, a: w * _undefined(E, s, a)),
    "A dead neuron's shift is w E[a]: where S = 0, it is 0.": shift(
        lambda E, w, s, a: w * (mu(E, s, a) if s.any() else E(a))
    ),
    "The mean is taken before the square: E[J (a − μ)]² in place of E[J² (a − μ)²].": _mean_before_square,
    "The importance is the magnitude |w|: …": criterion(lambda E, w, s, a: abs(w)),
    "The importance is w²: magnitude, …": criterion(lambda E, w, s, a: w * w),
    "The importance is |w| √(Σ_n a²), Wanda's: …": criterion(lambda E, w, s, a: abs(w) * math.sqrt(sum(a * a))),
    "The importance is |w| √(E[a²]), Wanda's with the mean: …": criterion(
        lambda E, w, s, a: abs(w) * math.sqrt(E(a * a))
    ),
    "The importance is w² E[a²]: Wanda's squared, …": criterion(lambda E, w, s, a: w**2 * E(a * a)),
    "The importance is w² Var[a]: no sensitivity, and no shift.": criterion(
        lambda E, w, s, a: w**2 * E((a - E(a)) ** 2)
    ),
    "The importance is |w ∂Σf/∂w|, gradient times weight: …": _gradient(lambda w, g: abs(w * np.mean(g))),
    "The importance is |∂Σf/∂w|, the gradient alone: …": _gradient(lambda w, g: abs(np.mean(g))),
    "The importance is (w ∂Σf/∂w)², gradient times weight squared: …": _gradient(lambda w, g: (w * np.mean(g)) ** 2),
    "The importance is w² E[(∂Σf/∂w)²], the empirical Fisher's of the summed outputs.": _gradient(
        lambda w, g: w**2 * np.mean(g * g)
    ),
    "The importance is ½ w² E[s a²], Optimal Brain Damage's: …": criterion(lambda E, w, s, a: w**2 * E(s * a * a) / 2),
    "The row's other weights compensate, not the bias: w²/[H⁻¹]_jj, …": row_compensates(with_bias=False),
    "The row's other weights compensate beside the bias: …": row_compensates(with_bias=True),
    "All biases of the network compensate jointly, not the neuron's own alone.": _all_biases,
}

# The shifts


def _accumulate(d: Array) -> Array:
    return np.array([[sum(row[: j + 1]) for j in range(len(row))] for row in d])


def _next_layers_shifts(net: Plain) -> Pairs:
    """As far as they fit: entry after entry, from the first again where they end."""
    pairs = net.scores()
    others = [d.ravel() for _, d in [*pairs[1:], pairs[0]]]
    return [(I, np.array([d[k % d.size] for k in range(I.size)]).reshape(I.shape)) for (I, _), d in zip(pairs, others)]


SHIFTS: Mapping[str, Statement] = {
    "The bias shift is w E[a], with the plain mean; the importance is right.": shift(lambda E, w, s, a: w * E(a)),
    "The bias shift is w E[s a], without the division by S = E[s]; …": shift(lambda E, w, s, a: w * E(s * a)),
    "The bias shift is w Σ_n s a, summed and without the division by S.": shift(lambda E, w, s, a: w * sum(s * a)),
    "The bias shift is w E[s a]/Σ_n s: …": shift(lambda E, w, s, a: w * E(s * a) / sum(s) if s.any() else 0.0),
    "The bias shift is divided by N twice too often.": shift(lambda E, w, s, a: w * mu(E, s, a) / len(a) / len(a)),
    "The bias shift is N times the right one: …": shift(lambda E, w, s, a: len(a) * w * mu(E, s, a)),
    "The mean in the bias shift is weighted with √s, …": shift(lambda E, w, s, a: w * mu(E, np.sqrt(s), a)),
    "The mean in the bias shift is weighted with s², …": shift(lambda E, w, s, a: w * mu(E, s * s, a)),
    "The bias shift is w μ S²: …": shift(lambda E, w, s, a: w * mu(E, s, a) * E(s) ** 2),
    "The bias shift is w μ/S: …": shift(lambda E, w, s, a: w * mu(E, s, a) / E(s) if s.any() else 0.0),
    "The bias shift is μ, without the weight w.": shift(lambda E, w, s, a: mu(E, s, a)),
    "The bias shift is |w| μ: …": shift(lambda E, w, s, a: abs(w) * mu(E, s, a)),
    "The bias shift is w |μ|: …": shift(lambda E, w, s, a: w * abs(mu(E, s, a))),
    "The bias shift is w E[s |a|]/S: …": shift(lambda E, w, s, a: w * mu(E, s, abs(a))),
    "The bias shift is w E[s a²]/S: …": shift(lambda E, w, s, a: w * mu(E, s, a * a)),
    "The bias shift is w √(E[s a²]/S), …": shift(lambda E, w, s, a: w * math.sqrt(mu(E, s, a * a))),
    "The bias shift is w a of the first sample, not of the mean.": shift(lambda E, w, s, a: w * a[0]),
    "The bias shift is w a of the last sample, not of the mean.": shift(lambda E, w, s, a: w * a[len(a) - 1]),
    "The bias shift is w times the median of the inputs.": shift(
        lambda E, w, s, a: w * (sorted(a)[(len(a) - 1) // 2] + sorted(a)[len(a) // 2]) / 2
    ),
    "The bias shift is w² μ: …": shift(lambda E, w, s, a: w * w * mu(E, s, a)),
    "The bias shift is μ/w: …": shift(lambda E, w, s, a: mu(E, s, a) / w),
    "The bias shift is w, without the mean μ.": shift(lambda E, w, s, a: w),
    "Each neuron's inputs have one mean, over all of them: the bias shift is w times that.": lambda net: [
        (I, w * [[np.mean([mu(net.E, s[:, i], a_j) for a_j in a.T])] for i in range(len(w))])
        for (I, _), w, s, a in zip(net.scores(), net.w, net.s, net.a)
    ],
    "The bias shift has the wrong sign: …": shifts(lambda d, net: -d),
    "The bias shift is zero; the importance is right.": shifts(lambda d, net: 0.0),
    "Every entry of a row has the row's total shift Σ_j w_j μ_j, not its own.": shifts(
        lambda d, net: [[sum(row)] for row in d]
    ),
    "Every entry of a row has the mean shift of the row, not its own.": shifts(
        lambda d, net: [[sum(row) / len(row)] for row in d]
    ),
    "Every entry of a column has the column's total shift, not its own.": shifts(lambda d, net: sum(d)),
    "Every entry has the shift of the row's other weights, …": shifts(
        lambda d, net: [[sum(np.delete(row, j)) for j in range(len(row))] for row in d]
    ),
    "The shifts are accumulated along the row.": shifts(lambda d, net: _accumulate(d)),
    "The bias shift is |w μ|: …": shifts(lambda d, net: abs(d)),
    "The bias shift has a factor 1/2.": shifts(lambda d, net: d * 0.5),
    "The bias shift has a factor 2.": shifts(lambda d, net: d + d),
    "The bias shift is squared.": shifts(lambda d, net: d * d),
    "The bias shift is divided by the number of outputs K.": shifts(lambda d, net: d / net.k),
    "The bias shift is divided by the number of the layer's inputs.": shifts(lambda d, net: d / len(d[0])),
    "Negative bias shifts are set to zero.": shifts(lambda d, net: if_above(d, d, 0.0)),
    "The bias shift is b + δ*, the new bias, not its change.": lambda net: [
        (I, np.array([row + own for row, own in zip(d, b)])) for (I, d), b in zip(net.scores(), net.b)
    ],
    "Each layer has the next layer's bias shifts.…": _next_layers_shifts,
}

# The importances


def _in_layers(of: Callable[[Array], Any]) -> Statement:
    """What each layer's importances are on a scale of their own."""
    return importances(lambda I, net: of(I))


def _in_rows(of: Callable[[Array], Any]) -> Statement:
    return importances(lambda I, net: [over(row, of(row)) for row in I])


def _together(of: Callable[[Array], Array]) -> Statement:
    def formula(net: Plain) -> Pairs:
        pairs = net.scores()
        values = list(of(np.concatenate([I.ravel() for I, _ in pairs])))
        return [(np.array([values.pop(0) for _ in range(I.size)]).reshape(I.shape), d) for I, d in pairs]

    return formula


def _ranks(values: Array) -> Array:
    flat = np.ravel(values)
    below = [sum(v < own) + sum(flat[:k] == own) for k, own in enumerate(flat) for v in [flat]]
    return np.array(below, float).reshape(np.shape(values))


def _share(values: Array) -> Array:
    return np.exp(values) / np.exp(values).sum()


def _without_scores(layer: int) -> Statement:
    return lambda net: [(0 * I, 0 * d) if l == layer % len(net.b) else (I, d) for l, (I, d) in enumerate(net.scores())]


IMPORTANCES: Mapping[str, Statement] = {
    "The importance has a factor 1/2, …": importances(lambda I, net: I * 0.5),
    "The importance has a factor 2, …": importances(lambda I, net: I + I),
    "The importance is summed over the samples: a factor N, …": importances(lambda I, net: net.n * I),
    "The importance is divided by N once too often, …": importances(lambda I, net: I / net.n),
    "Gradients of the mean over the samples are squared and averaged: a factor 1/N².": importances(
        lambda I, net: I / net.n / net.n
    ),
    "The importance is K times the right one.": importances(lambda I, net: net.k * I),
    "The importance is divided by K², …": importances(lambda I, net: I / net.k / net.k),
    "The importance is divided by (N K)², …": importances(lambda I, net: I / (net.n * net.k) ** 2),
    "The importance is divided by N K once too often.": importances(lambda I, net: I / (net.n * net.k)),
    "The variance is divided by N − 1: …": importances(lambda I, net: I / (1 - 1 / net.n)),
    "The variance is divided by max(N − 1, 1): …": importances(lambda I, net: I * net.n / max(net.n - 1, 1)),
    "The variance is divided by N + 1: …": importances(lambda I, net: I / (1 + 1 / net.n)),
    "Each layer's importances are divided by its number of weights.": _in_layers(lambda I: I / len(I) / len(I[0])),
    "Each layer's importances are multiplied by its number of weights.": _in_layers(lambda I: I * len(I) * len(I[0])),
    "The importance is the root of the right one, |w| √v.": _in_layers(lambda I: I**0.5),
    "The importance is squared.": _in_layers(lambda I: I * I),
    "The importance is 1/I: …": _in_layers(lambda I: I**-1.0),
    "The importance has the wrong sign.": _in_layers(lambda I: -I),
    "The importance is the logarithm of the right one.": _in_layers(lambda I: np.log(2) * np.log2(I)),
    "The importance is the logarithm log(1 + I) of the right one.": _in_layers(lambda I: np.log(1 + I)),
    "The importance is the logarithm log10(I) of the right one.": _in_layers(lambda I: np.log(I) / np.log(10)),
    "Every entry of a row has the row's total importance: …": _in_layers(lambda I: [[sum(row)] for row in I]),
    "Every entry of a row has the row's mean importance: …": _in_layers(lambda I: [[sum(row) / len(row)] for row in I]),
    "Every entry of a column has the column's total importance: …": _in_layers(lambda I: sum(I)),
    "Each layer's importances are divided by their sum.": _in_layers(lambda I: over(I, sum(I.ravel()))),
    "Each layer's importances are divided by their maximum.": _in_layers(lambda I: over(I, max(I.ravel()))),
    "Each layer's importances are divided by their mean.": _in_layers(lambda I: over(I, sum(I.ravel()) / I.size)),
    "Each layer's importances are divided by their Euclidean norm.": _in_layers(
        lambda I: over(I, math.sqrt(sum(I.ravel() ** 2)))
    ),
    "Each layer's importances are normalised to the range from 0 to 1.": _in_layers(
        lambda I: over(I - I.min(), I.max() - I.min())
    ),
    "Each layer's importances are normalised to mean 0 and deviation 1.": _in_layers(
        lambda I: over(I - I.mean(), math.sqrt(np.mean((I - I.mean()) ** 2)))
    ),
    "Each neuron's importances are divided by their sum.": _in_rows(sum),
    "Each neuron's importances are divided by their maximum.": _in_rows(max),
    "Each layer's importances go through a softmax.": _in_layers(_share),
    "The importances are replaced by their ranks within the layer.": _in_layers(_ranks),
    "The importances are divided by their sum over the network.": _together(lambda I: I / sum(I)),
    "The importances are divided by their maximum in the network.": _together(lambda I: I / max(I)),
    "The importances are divided by their mean in the network.": _together(lambda I: I * len(I) / sum(I)),
    "The importances are divided by their norm in the network.": _together(lambda I: I / math.sqrt(sum(I * I))),
    "The importances are normalised to the range from 0 to 1.": _together(lambda I: (I - min(I)) / (max(I) - min(I))),
    "The importances are replaced by their ranks within the network.": _together(_ranks),
    "The last layer has no scores: its entries are zero.": _without_scores(-1),
    "The first layer has no scores: its entries are zero.": _without_scores(0),
}

# The samples


def batches(indices: Sequence[int], size: int) -> list[Sequence[int]]:
    return [indices[k : k + size] for k in range(0, len(indices), size)]


def _of_batches(together: Callable[[list[Array], list[int]], Array], *of_shifts: Any) -> Statement:
    """Scores of each batch, put together by a function of them and the batches' sizes; the shifts by another."""

    def formula(net: Plain, size: str) -> Pairs:
        chosen = batches(range(net.n), int(size))
        scores, sizes = [net.of(list(batch)).scores() for batch in chosen], list(map(len, chosen))
        return [
            (together([I for I, _ in layer], sizes), (*of_shifts, together)[0]([d for _, d in layer], sizes))
            for layer in zip(*scores)
        ]

    return formula


def _plain_mean(values: list[Array], sizes: list[int]) -> Array:
    return sum(values) / len(values)


def _by_size(values: list[Array], sizes: list[int]) -> Array:
    return sum(n * v for n, v in zip(sizes, values)) / sum(sizes)


def _equal_batches(net: Plain, size: str) -> Pairs:
    """E is the mean of the batches' means: a sample's weight is one over the size of its batch."""
    chosen = batches(range(net.n), int(size))
    return net.but(omega=np.array([1 / len(batch) for batch in chosen for _ in batch])).scores()


SAMPLES: Mapping[str, Statement] = {
    "Only the first sample counts.": samples(lambda all_of: all_of[:1]),
    "Only the last sample counts.": samples(lambda all_of: all_of[-1:]),
    "The first sample is left out.": samples(lambda all_of: [n for n in all_of if n != 0]),
    "The last sample is left out.": samples(lambda all_of: [n for n in all_of if n != max(all_of)]),
    "The first and the last sample are left out.": samples(lambda all_of: [n for n in all_of if 0 < n < max(all_of)]),
    "Only a subset of the samples counts, their first half.": samples(lambda all_of: all_of[: len(all_of) // 2]),
    "Only a subset of the samples counts, their last half.": samples(lambda all_of: all_of[len(all_of) // 2 :]),
    "Only a subset of the samples counts, every second sample.": samples(
        lambda all_of: [n for n in all_of if n % 2 == 0]
    ),
    "Only a subset of the samples counts, every second sample from the second on.": samples(
        lambda all_of: [n for n in all_of if n % 2 == 1]
    ),
    "The first sample counts twice.": samples(lambda all_of: [0, *all_of]),
    "The last sample counts twice.": samples(lambda all_of: [*all_of, max(all_of)]),
    "Only a subset of the samples counts, the first {} (the first batch?).": samples(
        lambda all_of, size: all_of[:size]
    ),
    "Only a subset of the samples counts, the last {}.": samples(lambda all_of, size: all_of[-size:]),
    "Only the last batch of {} counts: …": samples(lambda all_of, size: batches(all_of, size)[-1]),
    "The incomplete last batch of {} is dropped.": samples(
        lambda all_of, size: [n for batch in batches(all_of, size) if len(batch) == size for n in batch] or all_of
    ),
    "Sensitivities and activations are of different samples: one of them comes in reverse order.": lambda net: (
        net.scores(s=[np.array(list(reversed(s))) for s in net.s])
    ),
    "Sensitivities and activations are of different samples: each is beside those of the next sample.": lambda net: (
        net.scores(s=[np.array([s[n - 1] for n in range(net.n)]) for s in net.s])
    ),
    "Importances and shifts of batches of {} are averaged: …": _of_batches(_plain_mean),
    "Importances and shifts of batches of {} are averaged by size: …": _of_batches(_by_size),
    "Importances of batches of {} are added, their shifts averaged: …": _of_batches(
        lambda values, sizes: sum(values), _plain_mean
    ),
    "Batches of {} count equally: …": _equal_batches,
}

# The arithmetic


def _divided_by(guard: Callable[[float, float], float], of_sum: bool = False) -> Statement:
    """μ with something else than S in its denominator: the mean of s, or its sum."""

    def formula(net: Plain, word: str) -> Pairs:
        def centre(E: Any, s: Array, a: Array) -> float:
            factor = len(a) if of_sum else 1
            return factor * E(s * a) / guard(factor * E(s), number(word))

        return about(centre)(net)

    return formula


def _each(of: Callable[[float, float], float]) -> Statement:
    """What is done to every importance, by the sentence's number."""
    return lambda net, word: importances(lambda I, _: [[of(v, number(word)) for v in row] for row in I])(net)


def _digits(v: float, d: int) -> float:
    return float(f"{v:.{d - 1}e}")


def _each_shift(of: Callable[[float, int], float]) -> Statement:
    return lambda net, word: shifts(lambda d, _: [[of(v, int(word)) for v in row] for row in d])(net)


def _differences(central: bool) -> Statement:
    def formula(net: Plain, word: str) -> Pairs:
        step, s = number(word), [np.zeros_like(z) for z in net.z]
        for l, i in ((l, i) for l, b in enumerate(net.b) for i in range(len(b))):

            def moved(by: float, l: int = l, i: int = i) -> Array:
                return net.but(b=[b + by * np.eye(len(b))[i] if k == l else b for k, b in enumerate(net.b)]).f

            ahead, behind = moved(step), moved(-step if central else 0.0)
            s[l][:, i] = (((ahead - behind) / (2 * step if central else step)) ** 2).sum(axis=1)
        return net.scores(s=s)

    return formula


ARITHMETIC: Mapping[str, Statement] = {
    "{} is added to S against a division by zero: …": _divided_by(lambda S, c: S + c),
    "{} is added to Σ_n s against a division by zero: …": _divided_by(lambda S, c: S + c, of_sum=True),
    "S is clamped to {} from below against a division by zero: …": _divided_by(max),
    "Σ_n s is clamped to {} from below against a division by zero: …": _divided_by(max, of_sum=True),
    "The mean μ is 0 where S is below {}, as for dead neurons: …": lambda net, word: about(
        lambda E, s, a: 0.0 if E(s) < number(word) else mu(E, s, a)
    )(net),
    "The importances are clipped to {} from below: a floor.": _each(max),
    "The importances are clipped to {} from above: a cap.": _each(min),
    "The importances are {} too large: it is added to them.": _each(lambda I, c: I + c),
    "The importances are set to zero below {}.": _each(lambda I, c: 0.0 if c > I else I),
    "The importances are raised to the power {}.": _each(lambda I, c: I**c),
    "The importances are logarithms, log(I + {}).": _each(lambda I, c: math.log(I + c)),
    "Every importance is rounded to {} decimals.": _each(lambda I, d: round(I, int(d))),
    "Every importance is rounded to {} significant digits.": _each(lambda I, d: _digits(I, int(d))),
    "Every bias shift is rounded to {} decimals.": _each_shift(lambda d, n: round(d, n)),
    "Every bias shift is rounded to {} significant digits.": _each_shift(_digits),
    "The derivatives are central differences with a step of {}: …": _differences(central=True),
    "The derivatives are forward differences with a step of {}: …": _differences(central=False),
}

# The options: metrics, targets, the samples' weights, the output's activation, one logit


def _metric(names: str, of: Callable[[Plain, Array, Array], Any]) -> Statement:
    """Other cotangents than c, of the outputs f, for some metrics; all others are right."""

    def formula(net: Plain) -> Pairs:
        if net.metric not in names.split():
            return net.scores()
        return net.but(cotangents=lambda f: np.asarray(of(net, f, net.cotangents(f)))).scores()

    return formula


def _one_logit(names: str, of: Callable[[Plain, Array, Array], Any]) -> Statement:
    return lambda net: _metric(names, of)(net) if net.k == 1 else net.scores()


def _winner(f: Array) -> Array:
    """p − e of the likeliest class."""
    p = probabilities(f)
    return np.array([p - np.eye(p.shape[1])[[list(row).index(max(row)) for row in p]]])[..., -f.shape[1] :]


def _weighted(omega: Callable[[Array], Array]) -> Statement:
    """Other weights of the samples; those that are all the same are none."""
    return lambda net: net.scores() if (net.omega == net.omega[0]).all() else net.but(omega=omega(net.omega)).scores()


def _times(factor: Callable[[Array], float]) -> Statement:
    """Importances times something of the samples' weights, where there are some."""
    return lambda net: importances(lambda I, _: I * (1.0 if (net.omega == net.omega[0]).all() else factor(net.omega)))(
        net
    )


def _gradients_weighted(net: Plain) -> Pairs:
    """s = (ω J)², of weights whose mean is 1, and plain means of it."""
    omega = net.omega / np.mean(net.omega)
    return net.but(omega=np.ones(net.n)).scores(s=[omega[:, np.newaxis] ** 2 * s for s in net.s])


def _in_the_mean_only(net: Plain) -> Pairs:
    return net.entries(lambda E, w, s, a: (w**2 * np.mean(s * (a - mu(E, s, a)) ** 2), w * mu(E, s, a)))


def _where_the_output_is_activated(**of: Callable[[Plain], Any]) -> Statement:
    return lambda net: net.scores() if net.end is VALUES["identity"] else network(**of)(net)


CLASSES, LOSSES = "softmax fisher", "mse cross_entropy"
OPTIONS: Mapping[str, Statement] = {
    "The option `metric` is taken and ignored: the change of the outputs themselves.": _metric(
        f"{CLASSES} {LOSSES}", lambda net, f, c: unit(f)
    ),
    "The derivative of softmax lacks its − p: p_r e_r in place of p_r (e_r − p).": _metric(
        "softmax", lambda net, f, c: of_classes(f, lambda p, e, all_of: p * e)
    ),
    "The Fisher metric is taken for diag p: its − p pᵀ is missing.": _metric(
        "fisher", lambda net, f, c: of_classes(f, lambda p, e, all_of: np.sqrt(p) * e)
    ),
    "The metric is that of the class probabilities (softmax), not their divergence (Fisher).": _metric(
        "fisher", lambda net, f, c: cotangents_of("softmax", None)(f)
    ),
    "The metric is the divergence of the class probabilities (Fisher), not their squared change (softmax).": _metric(
        "softmax", lambda net, f, c: cotangents_of("fisher", None)(f)
    ),
    "The metric is that of log-softmax: e_r − p, without the probability's factor.": _metric(
        CLASSES, lambda net, f, c: of_classes(f, lambda p, e, all_of: e - all_of)
    ),
    "The metric is the gradient of the cross-entropy with the likeliest class: …": _metric(
        "fisher", lambda net, f, c: _winner(f)
    ),
    "The loss is twice the right one: …": _metric(LOSSES, lambda net, f, c: c + c),
    "The squared error is halved, ½ (f − y)²: …": _metric("mse", lambda net, f, c: [(f - net.y) / net.k]),
    "The squared error is summed over the outputs, where it is averaged.": _metric(
        "mse", lambda net, f, c: [2 * (f - net.y)]
    ),
    "The loss is ½ Σ_k (f_k − y_k)², where it is the mean over k of (f_k − y_k)².": _metric(
        "mse", lambda net, f, c: [f - net.y]
    ),
    "The cross-entropy is divided by the number of classes.": _metric(
        "cross_entropy", lambda net, f, c: c / probabilities(f).shape[1]
    ),
    "The targets are ignored: the squared error is that with y = 0.": _metric("mse", lambda net, f, c: [2 * f / net.k]),
    "The gradient of the cross-entropy is p, where it is p − y.": _metric(
        "cross_entropy", lambda net, f, c: [probabilities(f)[:, -f.shape[1] :]]
    ),
    "One logit goes through a softmax of its own, which is 1 whatever it is: nothing counts. …": _one_logit(
        f"{CLASSES} cross_entropy", lambda net, f, c: [0 * f]
    ),
    "Of one logit only the second class counts: the first one's probability changes as much.": _one_logit(
        CLASSES, lambda net, f, c: [c[1]]
    ),
    "The two classes of one logit are exchanged: z is that of class 1.": _one_logit(
        "cross_entropy", lambda net, f, c: [probabilities(f)[:, 1:] - (1 - net.y[:, np.newaxis])]
    ),
    "The option `sample_weight` is taken and ignored.": _weighted(np.ones_like),
    "The samples' weights are squared.": _weighted(lambda omega: omega * omega),
    "The samples' weights, whose mean is 1, multiply gradients, which are squared then.": _gradients_weighted,
    "The roots of the samples' weights take their place.": _weighted(np.sqrt),
    "Weighted sums are divided by N, not by the sum of the weights.": _times(lambda omega: sum(omega) / len(omega)),
    "Weighted sums are not divided by the sum of the weights.": _times(sum),
    "The samples' weights enter the mean μ, not the variance v.": _in_the_mean_only,
    "Samples of weight 0 count in N.": _times(lambda omega: sum(v > 0 for v in omega) / len(omega)),
    "The option `output_activation` is taken and ignored.": network(
        end=lambda net: VALUES["identity"], end_slope=lambda net: SLOPES["identity"]
    ),
    "The derivative of the output's activation is missing from the backward pass.": network(
        end_slope=lambda net: SLOPES["identity"]
    ),
    "The last layer has the hidden layers' activation, whatever `output_activation` says.": (
        _where_the_output_is_activated(end=lambda net: net.value, end_slope=lambda net: net.slope)
    ),
    "Hidden layers have the output's activation too.": _where_the_output_is_activated(
        value=lambda net: net.end, slope=lambda net: net.end_slope
    ),
}

# The other kinds of answers: importances a layer, without shifts; of the loss's gradient, that by the biases too

Layers = Sequence[Array]


def _one_by_one(of: Callable[..., float]) -> Callable[..., Layers]:
    """An importance of (E, w, s, a), one weight after the other."""
    return lambda net: [I for I, _ in criterion(of)(net)]


def _of_gradients(of: Callable[[float, Array], float]) -> Callable[..., Layers]:
    """An importance of w and each sample's ∂ℓ/∂w."""
    return lambda net: [I for I, _ in _gradient(of)(net)]


def _alone(statement: Statement) -> Callable[..., Layers]:
    return lambda net: [I for I, _ in statement(net)]


def _inverse(columns: Array, damping: float) -> Array:
    """The diagonal of H⁻¹, H = CᵀC, to which a share of its mean diagonal is added."""
    H = columns.T @ columns
    return np.diag(np.linalg.inv(H + damping * np.trace(H) / len(H) * np.eye(len(H))))


def _row_inverted(of: Callable[[float, float], float], with_bias: bool = True) -> Callable[..., Layers]:
    """A function of w and [H⁻¹]_jj, with the Hessian of each row."""

    def formula(net: Plain, word: str = "0") -> Layers:
        found = []
        for l, w in enumerate(net.w):
            inverse = [_inverse(_of_row(net, l, i, with_bias), float(word)) for i in range(len(w))]
            found.append(np.array([[of(w[i, j], inverse[i][j]) for j in range(w.shape[1])] for i in range(len(w))]))
        return found

    return formula


def _parameters(
    net: Plain, jacobians: Sequence[Array], biases: bool = True
) -> tuple[Array, list[tuple[int, int, int]]]:
    """The outputs' derivatives by each parameter, a column each, and which weight (l, i, j) a column is of."""
    columns, places = [], []
    for l, (w, a, J) in enumerate(zip(net.w, net.a, jacobians)):
        for i, j in np.ndindex(w.shape):
            columns.append((J[..., i] * a[:, j]).ravel())
            places.append((l, i, j))
    if biases:
        columns += [J[..., i].ravel() for J in jacobians for i in range(J.shape[2])]
    return np.column_stack(columns) / np.sqrt(net.n), places


def _network_compensates(biases: bool = True, of: Callable[[Array], Array] = lambda J: J) -> Callable[..., Layers]:
    """All other parameters answer: w² times what they leave."""

    def formula(net: Plain) -> Layers:
        columns, places = _parameters(net, [of(J) for J in net.J], biases)
        found = [np.zeros(w.shape) for w in net.w]
        for q, (l, i, j) in enumerate(places):
            found[l][i, j] = net.w[l][i, j] ** 2 * _left_over(columns, q)[0]
        return found

    return formula


def _network_inverted(of: Callable[[float, float], float]) -> Callable[..., Layers]:
    def formula(net: Plain, word: str = "0") -> Layers:
        columns, places = _parameters(net, net.J)
        found, inverse = [np.zeros(w.shape) for w in net.w], _inverse(columns, float(word))
        for (l, i, j), own in zip(places, inverse):
            found[l][i, j] = of(net.w[l][i, j], own)
        return found

    return formula


def _layer_compensates(net: Plain) -> Layers:
    parts = [net.but(w=[w], b=[b]) for w, b in zip(net.w, net.b)]
    for part, a, J in zip(parts, net.a, net.J):
        part.__dict__.update(a=[a], J=[J])
    return [_network_compensates()(part)[0] for part in parts]


def loss_gradient(net: Plain) -> Pairs:
    """∂E[ℓ]/∂W and ∂E[ℓ]/∂b (EC-2.6)."""
    return [
        (np.array([[net.E(J[0, :, i] * a_j) for a_j in a.T] for i in range(J.shape[2])]), net.E(J[0]))
        for J, a in zip(net.J, net.a)
    ]


def _gradients(of: Callable[[Array, Array, Plain], tuple[Array, Array]]) -> Statement:
    return lambda net: [of(by_weights, by_biases, net) for by_weights, by_biases in loss_gradient(net)]


DIAGONAL = _one_by_one(lambda E, w, s, a: w * w * E(s * a * a))
RIGHT: Mapping[str, Callable[..., Any]] = {
    "uncompensated": DIAGONAL,
    "wanda": _one_by_one(lambda E, w, s, a: abs(w) * math.sqrt(E(a * a))),
    "gradient_magnitude": _of_gradients(lambda w, g: abs(w * np.mean(g))),
    "obc": _alone(row_compensates(with_bias=True)),
    "obs": _network_compensates(),
    "loss_gradient": loss_gradient,
}
KINDS: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "uncompensated": {
        "The importance is E[s a²], without w².": _one_by_one(lambda E, w, s, a: E(s * a * a)),
        "The importance is |w| E[s a²]: the weight is not squared.": _one_by_one(
            lambda E, w, s, a: abs(w) * E(s * a * a)
        ),
        "The importance is I = w² v, EC's, with the best shift of the bias: nothing is to compensate.": _one_by_one(
            lambda E, w, s, a: right(E, w, s, a)[0]
        ),
        "The importance is w² E[s |a|]: the activation is not squared.": _one_by_one(
            lambda E, w, s, a: w**2 * E(s * abs(a))
        ),
        "The importance is w² S μ²: the square of the mean in place of the mean of the squares.": _one_by_one(
            lambda E, w, s, a: w**2 * E(s) * mu(E, s, a) ** 2
        ),
        "Sensitivity and activation are averaged separately, E[s] E[a²].": _one_by_one(
            lambda E, w, s, a: w**2 * E(s) * E(a * a)
        ),
        "The mean is taken before the square: Σ_k E[J_k a]² w².": lambda net: [
            np.array(
                [
                    [w[i, j] ** 2 * sum(np.mean(J_k[:, i] * a_j) ** 2 for J_k in J) for j, a_j in enumerate(a.T)]
                    for i in range(len(w))
                ]
            )
            for w, J, a in zip(net.w, net.J, net.a)
        ],
    },
    "wanda": {
        "The importance is |w| E[a²]: the root is missing.": _one_by_one(lambda E, w, s, a: abs(w) * E(a * a)),
        "The importance is |w| √(Σ_n a²), the norm of the inputs: …": _one_by_one(
            lambda E, w, s, a: abs(w) * math.sqrt(sum(a * a))
        ),
        "The importance is |w| Σ_n a²: …": _one_by_one(lambda E, w, s, a: abs(w) * sum(a * a)),
        "The importance is w² E[a²], the square of the right one.": _one_by_one(lambda E, w, s, a: w * w * E(a * a)),
        "The importance is |w| E|a|: …": _one_by_one(lambda E, w, s, a: abs(w) * E(abs(a))),
        "The importance is |w| times the standard deviation of the inputs: …": _one_by_one(
            lambda E, w, s, a: abs(w) * math.sqrt(E((a - E(a)) ** 2))
        ),
        "The importance is |w| max_n |a|.": _one_by_one(lambda E, w, s, a: abs(w) * max(abs(a))),
        "The importance is w √E[a²], with the weight's sign.": _one_by_one(lambda E, w, s, a: w * math.sqrt(E(a * a))),
        "The importance is √E[a²], without |w|.": _one_by_one(lambda E, w, s, a: math.sqrt(E(a * a))),
        "The importance is |w|, without the inputs.": _one_by_one(lambda E, w, s, a: abs(w)),
        "Every layer is taken to receive preactivations: its activation is missing.": lambda net: [
            abs(w) * np.sqrt(net.E(a * a)) for w, a in zip(net.w, [net.x, *net.z])
        ],
    },
    "gradient_magnitude": {
        "The importance is |∂E[ℓ]/∂w|, without the weight.": _of_gradients(lambda w, g: abs(np.mean(g))),
        "The importance is w ∂E[ℓ]/∂w, with its sign.": _of_gradients(lambda w, g: w * np.mean(g)),
        "The importance is (w ∂E[ℓ]/∂w)²: it is squared.": _of_gradients(lambda w, g: (w * np.mean(g)) ** 2),
        "Absolute values are taken before the mean: |w| E|∂ℓ/∂w|.": _of_gradients(
            lambda w, g: abs(w) * np.mean(abs(g))
        ),
        "The importance is w² E[(∂ℓ/∂w)²], the empirical Fisher's.": _of_gradients(lambda w, g: w * w * np.mean(g * g)),
        "The gradient is summed over the samples, where it is averaged: a factor N.": _of_gradients(
            lambda w, g: abs(w * sum(g))
        ),
    },
    "obc": {
        "The bias does not compensate: …": _alone(row_compensates(with_bias=False)),
        "The Hessian is E[ã ãᵀ], the same for every row: …": _alone(row_compensates(with_bias=True, weighted=False)),
        "The Hessian is E[a aᵀ], without the sensitivity s_i and the bias.": _alone(
            row_compensates(with_bias=False, weighted=False)
        ),
        "Only the Hessian's diagonal is inverted: w² H_jj, Optimal Brain Damage.": DIAGONAL,
        "The importance is w² [H⁻¹]_jj: …": _row_inverted(lambda w, own: w * w * own),
        "The bias alone compensates, not the row's other weights: EC's importance.": _one_by_one(
            lambda E, w, s, a: right(E, w, s, a)[0]
        ),
        "The Hessian is damped: {} of its mean diagonal is added, which moves its inverse.": _row_inverted(
            lambda w, own: w * w / own
        ),
        "The Hessian is damped by {} of its mean diagonal, and the bias does not compensate.": _row_inverted(
            lambda w, own: w * w / own, with_bias=False
        ),
    },
    "obs": {
        "The biases do not compensate: …": _network_compensates(biases=False),
        "Only the Hessian's diagonal is inverted: w² H_qq, Optimal Brain Damage.": DIAGONAL,
        "The importance is w² [H⁻¹]_qq: …": _network_inverted(lambda w, own: w * w * own),
        "Each layer has a Hessian of its own: …": _layer_compensates,
        "Each neuron has a Hessian of its own, as in Optimal Brain Compression.": RIGHT["obc"],
        "The Hessian is that of the sum of the outputs.": _network_compensates(of=lambda J: np.array([sum(J)])),
        "The Hessian is that of the first output alone.": _network_compensates(of=lambda J: np.array([J[0]])),
        "The Hessian is damped: {} of its mean diagonal is added, which moves its inverse.": _network_inverted(
            lambda w, own: w * w / own
        ),
    },
    "loss_gradient": {
        "The gradient is summed over the samples, where it is averaged: a factor N.": _gradients(
            lambda g, b, net: (net.n * g, net.n * b)
        ),
        "The gradient has the wrong sign: it is the step of a descent.": _gradients(lambda g, b, net: (-g, -b)),
        "The gradient by the biases is summed over the samples, where it is averaged.": _gradients(
            lambda g, b, net: (g, net.n * b)
        ),
        "The gradient by the biases is divided by N twice.": _gradients(lambda g, b, net: (g, b / net.n)),
        "The gradient by the weights is summed over the samples, where it is averaged.": _gradients(
            lambda g, b, net: (net.n * g, b)
        ),
        "The gradient by the biases is zero.": _gradients(lambda g, b, net: (g, 0 * b)),
        "The gradient is divided by the number of outputs once too often.": _gradients(
            lambda g, b, net: (g / net.k, b / net.k)
        ),
    },
}

# The pruning step: weights and biases a layer

Place = tuple[int, int, int]  # layer, row, column: the order in which ties go
Count = Callable[[float, int], float]  # of the sparsity and n


def _round(s: float, n: int) -> float:
    return round(s * n)


def _groups(layers: Layers, scope: str) -> list[list[Place]]:
    """The places that are compared with each other."""
    places = [(l, i, j) for l, layer in enumerate(layers) for i, j in np.ndindex(layer.shape)]
    keys = {"global": lambda p: 0, "layer": lambda p: p[0], "row": lambda p: p[:2]}
    return [[p for p in places if keys[scope](p) == key] for key in sorted({keys[scope](p) for p in places})]


def _lowest(net: Plain, values: Layers, count: Count = _round, scope: str = "", last_first: bool = False) -> set[Place]:
    """The places of the lowest values, so many of each group."""
    gone: set[Place] = set()
    for group in _groups(values, scope or net.scope):
        ties = [tuple(-k for k in p) if last_first else p for p in group]
        order = sorted(zip([values[l][i, j] for l, i, j in group], ties, group))
        gone.update(p for _, _, p in order[: max(0, int(count(net.sparsity, len(group))))])
    return gone


def _own_importances(net: Plain) -> Layers:
    return [I for I, _ in net.scores()]


def _without(net: Plain, gone: set[Place], of_shifts: Callable[[int, int, list[float]], float] | None = None) -> Pairs:
    """The network without some weights, whose shifts are added; or a function of (l, i, the shifts of those gone)."""
    w, b = [v.copy() for v in net.w], [v.copy() for v in net.b]
    for l, i in ((l, i) for l, own in enumerate(net.b) for i in range(len(own))):
        columns = sorted(j for k, row, j in gone if (k, row) == (l, i))
        d = [net.scores()[l][1][i, j] for j in columns]
        b[l][i] = net.b[l][i] + sum(d) if of_shifts is None else of_shifts(l, i, d)
        w[l][i, columns] = 0
    return list(zip(w, b))


def _right_ones(net: Plain) -> set[Place]:
    return _lowest(net, _own_importances(net))


def _removed(of: Callable[[Plain], set[Place]]) -> Statement:
    """Other weights go, and their shifts are added."""
    return lambda net: _without(net, of(net))


def _counted(count: Count) -> Statement:
    return _removed(lambda net: _lowest(net, _own_importances(net), count))


def _compared(of: Callable[[Plain], Layers]) -> Statement:
    return _removed(lambda net: _lowest(net, of(net)))


def _biases(of: Callable[[Plain, int, int, list[float]], float]) -> Statement:
    """The right weights go, and each bias is a function of (l, i, the shifts of its row that go)."""
    return lambda net: _without(net, _right_ones(net), lambda l, i, d: of(net, l, i, d))


def _with_the_last(net: Plain, and_ties: bool) -> set[Place]:
    """All below the last one that goes, in importance, with all that tie with it or none."""
    gone: set[Place] = set()
    I = _own_importances(net)
    for group in _groups(I, net.scope):
        values = sorted(I[l][i, j] for l, i, j in group)
        n = round(net.sparsity * len(group))
        gone.update(
            (l, i, j)
            for l, i, j in group
            if n and (I[l][i, j] < values[n - 1] or (and_ties and I[l][i, j] == values[n - 1]))
        )
    return gone


def _beside_zeros(net: Plain) -> set[Place]:
    """Weights that are not zero go until there are round(s n) of them, as far as there are."""
    gone: set[Place] = set()
    I = _own_importances(net)
    for group in _groups(I, net.scope):
        others = sorted((I[l][i, j], (l, i, j)) for l, i, j in group if net.w[l][i, j] != 0)
        gone.update(p for _, p in others[: round(net.sparsity * len(group))])
    return gone | {
        (l, i, j) for l, w in enumerate(net.w) for i, j in np.ndindex(w.shape) if w[i, j] == 0 and net.sparsity
    }


def _layer_after_layer(net: Plain) -> Pairs:
    """In scope "layer", for a cut through all layers at once needs all importances at once."""
    if net.scope == "global":
        return _without(net, _right_ones(net))
    left = net
    for l in range(len(net.b)):
        gone = {p for p in _lowest(left, _own_importances(left)) if p[0] == l}
        pruned = _without(left, gone)
        left = left.but(w=[w for w, _ in pruned], b=[b for _, b in pruned])
    return list(zip(left.w, left.b))


def _with_biases(net: Plain) -> Pairs:
    together = [np.column_stack([I, b * b]) for I, b in zip(_own_importances(net), net.b)]
    gone = _lowest(net, together)
    pruned = _without(net, {(l, i, j) for l, i, j in gone if j < net.w[l].shape[1]})
    kept = [
        [0.0 if (l, i, net.w[l].shape[1]) in gone else net.b[l][i] for i in range(len(b))]
        for l, (_, b) in enumerate(pruned)
    ]
    return [(w, b - own + kept_b) for (w, b), own, kept_b in zip(pruned, net.b, kept)]


def _shares(net: Plain) -> Layers:
    return [over(I, I.sum()) for I in _own_importances(net)]


def _kept_shifts(net: Plain, l: int, i: int) -> float:
    d = net.scores()[l][1][i]
    return sum(d[j] for j in range(len(d)) if (l, i, j) not in _right_ones(net))


def _next_row(net: Plain) -> Pairs:
    pruned = _without(net, _right_ones(net))
    added = [b - own for (_, b), own in zip(pruned, net.b)]
    return [(w, own + [d[i - 1] for i in range(len(d))]) for (w, _), own, d in zip(pruned, net.b, added)]


def _plain_means(net: Plain) -> Pairs:
    gone = _right_ones(net)
    pruned, b = _without(net, gone), [own.copy() for own in net.b]
    for l, i, j in gone:
        b[l][i] += net.w[l][i, j] * np.mean(net.a[l][:, j])
    return [(w, own) for (w, _), own in zip(pruned, b)]


PRUNING: Mapping[str, Statement] = {
    "One weight too many goes, where some stay: round(s n) + 1 (off by one).": _counted(
        lambda s, n: round(s * n) + 1 if s > 0 else 0
    ),
    "One weight too few goes: round(s n) − 1 (off by one).": _counted(lambda s, n: round(s * n) - 1),
    "The number of weights is rounded down, ⌊s n⌋: it is round(s n).": _counted(lambda s, n: s * n // 1),
    "The number of weights is rounded up, ⌈s n⌉: it is round(s n).": _counted(lambda s, n: -(-s * n // 1)),
    "The fraction s is kept, where it is to be removed.": _counted(lambda s, n: n - round(s * n)),
    "The weights are compared within each layer, whatever the scope.": _removed(
        lambda net: _lowest(net, _own_importances(net), scope="layer")
    ),
    "All weights are compared with each other, whatever the scope.": _removed(
        lambda net: _lowest(net, _own_importances(net), scope="global")
    ),
    "The weights are compared within each neuron's row.": _removed(
        lambda net: _lowest(net, _own_importances(net), scope="row")
    ),
    "The weights of highest importance go, in place of the lowest.": _compared(
        lambda net: [-I for I in _own_importances(net)]
    ),
    "Masks are taken the wrong way round: what is to stay goes.": _removed(
        lambda net: {p for group in _groups(net.w, "global") for p in group} - _right_ones(net)
    ),
    "All weights that tie with the last one go: …": _removed(lambda net: _with_the_last(net, and_ties=True)),
    "All weights that tie with the last one stay: …": _removed(lambda net: _with_the_last(net, and_ties=False)),
    "Of weights that tie the last one goes first; ties go by (layer, row, column).": _removed(
        lambda net: _lowest(net, _own_importances(net), last_first=True)
    ),
    "Weights that are zero already do not count: round(s n) others go beside them.": _removed(_beside_zeros),
    "The weights are ranked by their magnitude |w|, not by importance.": _compared(lambda net: [abs(w) for w in net.w]),
    "The weights are ranked by R = w² E[s a²], yet biases are shifted.": _compared(DIAGONAL),
    "Importances are divided by their layer's sum before all are compared.": _compared(_shares),
    'In scope "layer", importances and shifts are found anew after each layer, …': _layer_after_layer,
    "The shifts are subtracted: b + Σ δ* is right.": _biases(lambda net, l, i, d: net.b[l][i] - sum(d)),
    "The biases are not shifted …": _biases(lambda net, l, i, d: net.b[l][i]),
    "The shifts of the weights that stay are added, in place of those that go.": _biases(
        lambda net, l, i, d: net.b[l][i] + _kept_shifts(net, l, i)
    ),
    "The shifts of all weights are added, before the masks.": _biases(
        lambda net, l, i, d: net.b[l][i] + sum(net.scores()[l][1][i])
    ),
    "The shifts of a row are averaged: they add up.": _biases(
        lambda net, l, i, d: net.b[l][i] + (sum(d) / len(d) if d else 0)
    ),
    "The shifts of a row are averaged over all its weights: they add up.": _biases(
        lambda net, l, i, d: net.b[l][i] + sum(d) / len(net.w[l][i])
    ),
    "Half the shift is added.": _biases(lambda net, l, i, d: net.b[l][i] + 0.5 * sum(d)),
    "The shifts are added twice.": _biases(lambda net, l, i, d: net.b[l][i] + sum(d) + sum(d)),
    "Only one weight's shift of each row is added: each overwrites the one before.": _biases(
        lambda net, l, i, d: net.b[l][i] + (d[-1] if d else 0)
    ),
    "The shifts are w E[a] with the plain mean: …": _plain_means,
    "Each neuron's shift is added to the next neuron's bias.": _next_row,
    "The biases are the shifts alone: b is missing.": _biases(lambda net, l, i, d: sum(d)),
    "The biases are zero: biases are never pruned.": _biases(lambda net, l, i, d: 0.0),
    "Biases of neurons that lose all weights are zero: biases are never pruned.": _biases(
        lambda net, l, i, d: net.b[l][i] + sum(d) if len(d) < len(net.w[l][i]) else 0.0
    ),
    "Biases are ranked with the weights, by b², and go too: …": _with_biases,
    "No weight is zero, though the biases are shifted.": lambda net: [
        (w, b) for w, (_, b) in zip(net.w, _without(net, _right_ones(net)))
    ],
    "The weights that stay are scaled by 1/(1 − s), as dropout does.": lambda net: [
        (w / (1 - net.sparsity) if net.sparsity < 1 else w, b) for w, b in _without(net, _right_ones(net))
    ],
    "Weights and biases are as they were.": lambda net: list(zip(net.w, net.b)),
}


def pruned(net: Plain) -> Pairs:
    """What is right (EC-5.1)."""
    return _without(net, _right_ones(net))


# The arrays: the wrong answer, of the right one and arrays for the biases


def _permuted(values: Array) -> Array:
    return values[np.argsort(np.sin(7.0 * np.arange(len(values))))]


SHAPES: Mapping[str, Callable[[Layers, Layers], Layers]] = {
    "The arrays are transposed: …": lambda r, b: [m.T for m in r],
    "The layers come in reverse order, the last one first.": lambda r, b: list(reversed(r)),
    "The layers come in reverse order, and are transposed.": lambda r, b: [m.T for m in reversed(r)],
    "The arrays are flattened: …": lambda r, b: [m.ravel() for m in r],
    "The arrays are flattened, column by column: …": lambda r, b: [m.ravel("F") for m in r],
    "All layers are in one flat array: …": lambda r, b: [np.concatenate([m.ravel() for m in r])],
    "Axes of length one are squeezed away: …": lambda r, b: [m.reshape([n for n in m.shape if n > 1]) for m in r],
    "The arrays are summed over each row: …": lambda r, b: [np.array([sum(row) for row in m]) for m in r],
    "The arrays are averaged over each row: …": lambda r, b: [np.array([np.mean(row) for row in m]) for m in r],
    "The biases are included as a last column: …": lambda r, b: [np.column_stack(pair) for pair in zip(r, b)],
    "The biases are included as a first column: …": lambda r, b: [np.column_stack(pair) for pair in zip(b, r)],
    "The biases have arrays of their own between the layers': …": lambda r, b: [v for pair in zip(r, b) for v in pair],
    "The first layer is missing: …": lambda r, b: r[1:],
    "The last layer is missing: …": lambda r, b: r[: len(r) - 1],
    "The rows of a layer are permuted: …": lambda r, b: [_permuted(m) for m in r],
    "The columns of a layer are permuted: …": lambda r, b: [_permuted(m.T).T for m in r],
    "The entries of a layer are all there, in another order …": lambda r, b: [
        _permuted(m.ravel()).reshape(m.shape) for m in r
    ],
}
