"""How much the outputs listen to each neuron, sample by sample: squares of the pullback, summed up (EC-3.9)."""

from __future__ import annotations

import numpy as np

from .._types import Array
from ..mlp import MLP, Trace
from .scratch import Scratch

SLAB_BYTES = 2**21  # what the pullback to one layer takes at a time, so that it stays near a core


def weighted_sensitivities(
    mlp: MLP, trace: Trace, cotangents: Array, share: Array, scratch: Scratch, out: list[Array]
) -> None:
    """share · s_i with s_i = Σ_r (c_rᵀ J_i)², per layer (N, n_l), into `out` (EC-3.9).

    `cotangents` has shape (R, N, K), `share` (N,).  It is `pullback` a slab of samples at a time, which is used up
    before the next one comes.  Cotangents that are the same for all samples are one row until the first σ' ≠ 1.
    """
    n_cotangents, n_samples = len(cotangents), len(share)
    size = max(1, SLAB_BYTES // (n_cotangents * max(mlp.sizes[1:]) * mlp.dtype.itemsize))
    for start in range(0, n_samples, size):
        rows = slice(start, start + size)
        g = cotangents[:, :1] if cotangents.strides[1] == 0 else cotangents[:, rows]
        for l in reversed(range(mlp.n_layers)):
            activation = mlp.layer_activation(l)
            s = np.multiply(np.einsum("rni,rni->ni", g, g), share[rows, np.newaxis], out=out[l][rows])
            if activation.name != "identity":
                slopes = activation.derivative(trace.preactivations[l][rows])
                s *= slopes
                s *= slopes  # not by the square of a slope, which may underflow
                if l > 0:
                    g = np.multiply(g, slopes, out=scratch.array(f"cotangents {l}", n_cotangents, *s.shape))
            if l > 0:
                below = scratch.array(f"cotangents {l - 1}", n_cotangents * g.shape[1], mlp.sizes[l])
                g = np.matmul(g.reshape(len(below), -1), mlp.weights[l], out=below).reshape(*g.shape[:2], -1)
