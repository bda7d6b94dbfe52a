"""How much the outputs listen to each neuron, sample by sample: squares of the pullback, summed up (EC-3.2)."""

from __future__ import annotations

import numpy as np

from .._types import Array
from ..mlp import MLP, Trace
from .scratch import Scratch

BLOCK_BYTES = 28 * 2**20  # what a block of samples takes at a time, so that most of it stays in the cache
SLAB_BYTES = 2**21  # what the pullback to one layer takes at a time, so that it stays near a core


def samples_per_slab(mlp: MLP, n_cotangents: int) -> int:
    """As many samples as have SLAB_BYTES of cotangents at the widest layer."""
    return max(1, SLAB_BYTES // (n_cotangents * max(mlp.sizes[1:]) * mlp.dtype.itemsize))


def block_size(mlp: MLP, reduced: bool) -> int:
    """As many samples as BLOCK_BYTES hold, or as much as the network takes if that is more.

    A sample takes four arrays a layer, and the cotangents; where these are reduced two of what comes in and goes out.
    To add up the sums of a block takes some passes over all weights, which its samples are to be worth.
    """
    ends = mlp.sizes[0] + mlp.sizes[-1]
    per_sample = 4 * sum(mlp.sizes) + (-2 * ends if reduced else mlp.sizes[-1] ** 2)
    return max(1, max(BLOCK_BYTES // mlp.dtype.itemsize, mlp.n_weights) // per_sample)


def weighted_sensitivities(
    mlp: MLP, trace: Trace, cotangents: Array, share: Array, scratch: Scratch, out: list[Array]
) -> None:
    """share · s_i with s_i = Σ_r (c_rᵀ J_i)², per layer (N, n_l), into `out` (EC-3.2).

    `cotangents` has shape (R, N, K), `share` (N,).  It is `pullback` a slab of samples at a time, which is used up
    before the next one comes.  Cotangents that are the same for all samples are one row until the first σ' ≠ 1.
    """
    n_cotangents, n_samples = len(cotangents), len(share)
    size = samples_per_slab(mlp, n_cotangents)
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
