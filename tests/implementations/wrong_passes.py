"""Wrong forward and backward passes, gradients and activations."""

from __future__ import annotations

import numpy as np

from .passes import SIGMA, SLOPE, lists, numpy_float64, run, squared, weighted, with_s


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
