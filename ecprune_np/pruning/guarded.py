"""The paper's shifts, held back where they do harm: a factor a layer, judged by the true change (EC-5.12)."""

from __future__ import annotations

from collections.abc import Sequence

from .._types import Array, Metric
from ..batch import Samples
from ..mlp import MLP
from .refit import true_change

FACTORS = (1.0, 0.5, 0.25, 0.125, 0.0)  # of a layer's shifts


def guarded_biases(
    mlp: MLP, shifts: Sequence[Array], target: MLP, x: Samples, metric: Metric = "output"
) -> tuple[Array, ...]:
    """b^l + t_l δ^l with t_l ∈ [0, 1], so that E‖f − f_target‖²_M is not above that of no shift (EC-5.12).

    `mlp` has lost its weights already.  It starts from the best of FACTORS for all layers alike, no shift and the whole
    ones among them, and then takes for each layer, the last one first, the best of them: no choice raises the change.
    """

    def shifted(factors: Sequence[float]) -> list[Array]:
        return [b + (t * d).astype(mlp.dtype) for b, t, d in zip(mlp.biases, factors, shifts)]

    def change(factors: Sequence[float]) -> float:
        try:
            return true_change(mlp.replace(mlp.weights, shifted(factors)), target, x, metric)
        except ValueError:  # so large a shift overflows
            return float("inf")

    nothing = [0.0] * mlp.n_layers
    least, best = true_change(mlp, target, x, metric), nothing
    for l in [None, *reversed(range(mlp.n_layers))]:
        for t in FACTORS:
            trial = [t] * mlp.n_layers if l is None else [*best[:l], t, *best[l + 1 :]]
            if (value := change(trial)) < least:
                least, best = value, trial
    return tuple(shifted(best))
