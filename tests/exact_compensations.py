"""What "joint" and "row" should be, from their definitions and without rounding: what certificates are held to."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import ecprune_np as ec
from ecprune_np.oracle._exact_activations import ACTIVATIONS
from ecprune_np.oracle._exact_arithmetic import decided, each
from ecprune_np.oracle._exact_distances import dependencies, inverse
from ecprune_np.oracle._exact_network import as_given, first_digits, passed
from ecprune_np.pruning.row import EPSILON, RIDGE


def exact_joint(mlp: ec.MLP, x: Any, masks: Any, metric: Any = "output", digits: int = 50) -> list[np.ndarray]:
    """d, per layer: the shortest argmin E‖Σ_i J_i (d_i − u_i)‖²_M (EC-5.4)."""
    given = as_given(mlp, x, metric)

    def rounded(R: Any) -> np.ndarray:
        p = passed(R, given)
        u = [a @ np.where(mask, R.number(0), w).T for a, w, mask in zip(p.inputs, p.weights, masks)]
        change = sum((g * u_l[:, np.newaxis]).sum(axis=2) for g, u_l in zip(p.derivatives, u))
        columns = np.concatenate([g.reshape(-1, g.shape[2]) for g in p.derivatives], axis=1)
        weight = (p.probability[:, np.newaxis] * p.factors).ravel()
        return R.rounded(shortest(R, columns, weight, change.ravel()), mlp.dtype)

    d = decided(rounded, first_digits(mlp, metric, digits))
    return np.split(d, np.cumsum(mlp.sizes[1:-1]))


def shortest(R: Any, A: np.ndarray, weight: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The shortest of the x that minimise Σ_n weight_n (A x − right)_n²."""
    counted = each(R.is_positive, weight).astype(bool)
    A, weight, right = A[counted], weight[counted], right[counted]
    if len(A) == 0:
        return np.full(A.shape[1], R.number(0))
    weighted = weight[:, np.newaxis] * A
    basis, _ = dependencies(R, A if len(A) < A.shape[1] else A.T @ weighted)
    if not basis:
        return np.full(A.shape[1], R.number(0))
    B, DB = A[:, basis], weighted[:, basis]
    G = inverse(R, B.T @ DB)
    C, t = G @ (DB.T @ A), G @ (DB.T @ right)  # A = B C, and C x = t
    return C.T @ (inverse(R, C @ C.T) @ t)


def exact_row(
    mlp: ec.MLP, x: Any, masks: Any, metric: Any = "output", target: ec.MLP | None = None, digits: int = 50
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """w and b of every layer: argmin E[(s_i/S_i + ε)(w·a' + b − z*_i)²] + λ ‖w − w_i‖² (EC-5.10)."""
    given = as_given(mlp, x, metric)
    aim = mlp if target is None else target

    def rounded(R: Any) -> list[list[np.ndarray]]:
        p = passed(R, given)
        zero, a, z_a = R.number(0), R.numbers(given.x), R.numbers(given.x)
        found = []
        for l, mask in enumerate(masks):
            z = z_a @ R.numbers(aim.weights[l]).T + R.numbers(aim.biases[l])
            weights = np.where(mask, p.weights[l], zero)
            biases = R.numbers(mlp.biases[l])
            s = p.sensitivity(l)
            for i, kept in enumerate(mask):
                total = s[:, i].sum()
                share = p.probability * R.number(EPSILON)
                if R.is_positive(total):
                    share = share + s[:, i] / total
                weights[i, kept], biases[i] = row(R, a[:, kept], share, z[:, i], weights[i, kept], biases[i])
            activation = partial(ACTIVATIONS[mlp.layer_activation(l).name], R)
            z_a = each(lambda pair: pair[0], each(activation, z))
            a = each(lambda pair: pair[0], each(activation, a @ weights.T + biases))
            found.append([R.rounded(weights, mlp.dtype), R.rounded(biases, mlp.dtype)])
        return found

    weights, biases = zip(*decided(rounded, digits))  # rationals would double their length from layer to layer
    return list(weights), list(biases)


def row(R: Any, a: np.ndarray, share: np.ndarray, z: np.ndarray, w: np.ndarray, b: Any) -> tuple[np.ndarray, Any]:
    """One row's least squares, with the bias taken out first."""
    total = share.sum()
    mean = share @ a / total
    centred, z_mean = a - mean, share @ z / total
    C = centred.T @ (share[:, np.newaxis] * centred)
    spread = C.diagonal().sum() if len(w) else R.number(0)
    if R.is_positive(spread):
        ridge = R.number(RIDGE) * spread / R.number(len(w))
        G = C + np.diag(np.full(len(w), ridge))
        w = inverse(R, G) @ (centred.T @ (share * (z - z_mean)) + w * ridge)
    return w, z_mean - mean @ w if len(w) else z_mean
