"""What is left of a pruned network, and its scores at the cost of that alone (EC-5.8)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .batches import batches_of, known_length
from .metrics import Metric
from .mlp import MLP
from .moments import moments_of_batches, samples_per_batch
from .scores import Scores, elimination_compensation


def scores_of_survivors(
    mlp: MLP,
    x: npt.ArrayLike,
    metric: Metric = "output",
    *,
    sample_weight: npt.ArrayLike | None = None,
    batch_size: int | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
) -> Scores:
    """`elimination_compensation`, where weights on no path to an output get their 0 without any computing (EC-5.8).

    The other weights' values are the same up to rounding.  Arguments and errors as `elimination_compensation`.
    """
    reaching = reaching_outputs(mlp)
    blocks = [np.ix_(above, below) for below, above in pairwise(reaching)]
    weights = [w[block] for w, block in zip(mlp.weights, blocks)]
    survivors = mlp.replace(weights, [b[above] for b, above in zip(mlp.biases, reaching[1:])])
    size = samples_per_batch(survivors, batch_size)
    batches = batches_of(mlp, x, metric, sample_weight, y, loss, size)
    left = (replace(batch, x=batch.x.compress(reaching[0], axis=1)) for batch in batches)  # row by row, as x is
    moments = moments_of_batches(survivors, left, metric, loss, size, known_length(x))
    scores = elimination_compensation(survivors, moments)
    importance, bias_shift = [np.zeros_like(w) for w in mlp.weights], [np.zeros_like(w) for w in mlp.weights]
    for l, block in enumerate(blocks):
        importance[l][block], bias_shift[l][block] = scores.importance[l], scores.bias_shift[l]
    return Scores(importance, bias_shift)


def reaching_outputs(mlp: MLP) -> list[npt.NDArray[np.bool_]]:
    """Which inputs and which neurons, layer by layer, a path of weights that are not zero joins to an output.

    Where none of a layer does, its first is named: no layer of a network is empty.
    """
    reaching = [np.ones(mlp.sizes[-1], bool)]
    for w in reversed(mlp.weights):
        below = (w[reaching[0]] != 0).any(axis=0)
        below[0] |= not below.any()
        reaching.insert(0, below)
    return reaching
