"""The surgeons' formulas (OBC, OBS), and what people get wrong in them: columns left out, damping, diagonals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..._types import Array
from ._parts import Parts, quotient, right, uncompensated

Importances = Callable[[Parts], list[Array]]
Rows = tuple[tuple[str, str, Importances], ...]  # id, what is done wrong, the wrong importances
DEPENDENT = 1e-7  # a column is dependent on others where the projector onto them has so much of it
DAMPINGS = (1e-2, 1e-3, 1e-4, 1e-6)


def distances(columns: Array) -> Array:
    """The squared distance of each column from the span of the others."""
    if not np.isfinite(columns).all():
        return np.full(columns.shape[1], np.nan)
    inverse = np.linalg.pinv(columns, rcond=1e-11)
    lacking = 1 - np.einsum("jn,nj->j", inverse, columns)
    squared = quotient(np.ones(columns.shape[1]), (inverse**2).sum(axis=1))
    return np.where(lacking > DEPENDENT, 0, squared)


def _rows_of_neuron(s: Array, a: Array, with_bias: bool = True) -> Array:
    wide = np.column_stack([a, np.ones(len(a))]) if with_bias else a
    rows: Array = np.sqrt(s / len(a))[:, np.newaxis] * wide
    return rows


def obc(p: Parts, with_bias: bool = True) -> list[Array]:
    """w² times the squared distance of a_j from the other inputs and 1, weighted by s_i (EC-6.3)."""
    return [
        w**2 * np.array([distances(_rows_of_neuron(own, a, with_bias))[: w.shape[1]] for own in s.T])
        for w, s, a in zip(p.w, p.s, p.a)
    ]


def _all_gradients(p: Parts, with_biases: bool = True) -> tuple[Array, list[slice]]:
    """∂f/∂θ of all parameters, a row a sample and output, and where each layer's weights are."""
    blocks, places, start = [], [], 0
    for J, a in zip(p.J, p.a):
        of_weights = J[..., np.newaxis] * a[:, np.newaxis]
        blocks.append(of_weights.reshape(len(J) * len(a), -1))
        places.append(slice(start, start + blocks[-1].shape[1]))
        start = places[-1].stop
        if with_biases:
            blocks.append(J.reshape(len(J) * len(a), -1))
            start += J.shape[2]
    return np.concatenate(blocks, axis=1) / np.sqrt(p.n_samples), places


def obs(p: Parts, with_biases: bool = True) -> list[Array]:
    """w² times the squared distance of a derivative from all others (EC-6.1)."""
    columns, places = _all_gradients(p, with_biases)
    squared = distances(columns)
    return [w**2 * squared[place].reshape(w.shape) for w, place in zip(p.w, places)]


def _obs_by_layer(p: Parts) -> list[Array]:
    alone = [replace(p, w=(w,), J=(J,), a=(a,)) for w, J, a in zip(p.w, p.J, p.a)]
    return [obs(layer)[0] for layer in alone]


def by_layer(function: Callable[[Array, Array, Array], Array]) -> Importances:
    """A formula of (w, s, a), the same in every layer."""
    return lambda p: [function(w, s, a) for w, s, a in zip(p.w, p.s, p.a)]


def _inverted(H: Array, damping: float) -> Array:
    """diag (H + λ mean(diag H) I)⁻¹, as the solvers of the field damp it."""
    damped = H + damping * np.diag(H).mean() * np.eye(len(H))
    inverse: Array = np.diag(np.linalg.pinv(damped, hermitian=True))
    return inverse


def _damped_obc(damping: float, with_bias: bool = True, multiplied: bool = False) -> Importances:
    def of_row(w: Array, s: Array, a: Array) -> Array:
        rows = _rows_of_neuron(s, a, with_bias)
        inverse = _inverted(rows.T @ rows, damping)[: len(w)]
        return w**2 * inverse if multiplied else quotient(w**2, inverse)

    return by_layer(lambda w, s, a: np.array([of_row(row, own, a) for row, own in zip(w, s.T)]))


def _damped_obs(damping: float, multiplied: bool = False) -> Importances:
    def importances(p: Parts) -> list[Array]:
        columns, places = _all_gradients(p)
        inverse = _inverted(columns.T @ columns, damping)
        parts = [inverse[place].reshape(w.shape) for w, place in zip(p.w, places)]
        return [w**2 * part if multiplied else quotient(w**2, part) for w, part in zip(p.w, parts)]

    return importances


def _equal_s(p: Parts) -> Parts:
    return replace(p, s=tuple(np.ones_like(s) for s in p.s))


OBC: Rows = (
    ("without-bias", "The bias does not compensate: the row's inputs lack the column of ones (or are not centred).",
     lambda p: obc(p, with_bias=False)),
    ("without-sensitivity", "The Hessian is E[ã ãᵀ], the same for every row: the sensitivity s_i is missing.",
     lambda p: obc(_equal_s(p))),
    ("without-sensitivity-and-bias", "The Hessian is E[a aᵀ], without the sensitivity s_i and the bias.",
     lambda p: obc(_equal_s(p), with_bias=False)),
    ("diagonal-inverted", "Only the Hessian's diagonal is inverted: w² H_jj, Optimal Brain Damage.",
     by_layer(uncompensated)),
    ("inverse-multiplied", "The importance is w² [H⁻¹]_jj: it is to be divided by the inverse's diagonal.",
     _damped_obc(0, multiplied=True)),
    ("bias-only", "The bias alone compensates, not the row's other weights: EC's importance.",
     by_layer(lambda w, s, a: right(w, s, a)[0])),
    *((f"damped-by-{c:g}", f"The Hessian is damped: {c:g} of its mean diagonal is added, which moves its inverse.",
       _damped_obc(c)) for c in DAMPINGS),
    *((f"damped-by-{c:g}-without-bias", f"The Hessian is damped by {c:g} of its mean diagonal, and the bias does "
       "not compensate.", _damped_obc(c, with_bias=False)) for c in DAMPINGS),
)  # fmt: skip

OBS: Rows = (
    ("without-biases", "The biases do not compensate: the derivatives by the biases are missing from the Hessian.",
     lambda p: obs(p, with_biases=False)),
    ("diagonal-inverted", "Only the Hessian's diagonal is inverted: w² H_qq, Optimal Brain Damage.",
     by_layer(uncompensated)),
    ("inverse-multiplied", "The importance is w² [H⁻¹]_qq: it is to be divided by the inverse's diagonal.",
     _damped_obs(0, multiplied=True)),
    ("by-layer", "Each layer has a Hessian of its own: those of other layers do not compensate.", _obs_by_layer),
    ("by-row", "Each neuron has a Hessian of its own, as in Optimal Brain Compression.", obc),
    ("outputs-summed", "The Hessian is that of the sum of the outputs.",
     lambda p: obs(replace(p, J=tuple(J.sum(axis=0, keepdims=True) for J in p.J)))),
    ("first-output", "The Hessian is that of the first output alone.",
     lambda p: obs(replace(p, J=tuple(J[:1] for J in p.J)))),
    *((f"damped-by-{c:g}", f"The Hessian is damped: {c:g} of its mean diagonal is added, which moves its inverse.",
       _damped_obs(c)) for c in DAMPINGS),
)  # fmt: skip
