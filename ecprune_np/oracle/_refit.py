"""The ceiling of bias compensation: all biases of a pruned network refitted to the dense outputs (EC-5.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from ..metrics import Metric
from ..mlp import MLP, forward, pullback
from ..pruning import Pruned
from ._common import Problem, evaluate_from, inputs_and_preactivations, problem
from ._nonlinear import fixed_cotangents

Array = npt.NDArray[Any]

MAX_STEPS = 200
STATIONARY = 1e-14  # of the value may lie along the Jacobian: a cosine of 1e-7 between it and the residual
PROGRESS = 1e-10  # of the value, relative: a step that gains less is the last


def refit_biases(
    pruned: Pruned,
    mlp: MLP,
    x: npt.ArrayLike,
    metric: Metric = "output",
    *,
    sample_weight: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
) -> Pruned:
    """min over all biases b of E‖f_{P,b} − f‖²_M, with M at the outputs f of the dense `mlp` (EC-5.4).

    The Levenberg-Marquardt method from the biases that `pruned` has, with the Jacobian from the pullback: a
    local minimum, never worse than the start.  Memory O(N R B) for B biases.  float32 and longdouble are
    computed in float64.  Raises ValueError where the two networks differ in shape or activation.
    """
    _checks.instance("pruned", pruned, Pruned)
    _checks.instance("mlp", mlp, MLP)
    given = (pruned.mlp.sizes, pruned.mlp.activation, pruned.mlp.output_activation)
    expected = (mlp.sizes, mlp.activation, mlp.output_activation)
    if given != expected:
        raise ValueError(f"pruned: expected a network with sizes and activations {expected} as mlp, got {given}")
    p = problem(mlp.astype(np.float64), x, metric, sample_weight, y, loss)
    refit = _Refit(p)
    start = pruned.mlp.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # a step that overflows is not taken
        biases = pruned.mlp.replace(pruned.mlp.weights, refit.minimize(start).biases).astype(pruned.mlp.dtype)
    better = refit.change(biases.astype(np.float64)) <= refit.change(start)
    return replace(pruned, mlp=biases if better else pruned.mlp)


def true_change(
    pruned_mlp: MLP,
    mlp: MLP,
    x: npt.ArrayLike,
    metric: Metric = "output",
    *,
    sample_weight: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    loss: str = "mse",
) -> float:
    """E‖f_pruned − f‖²_M with M at the outputs f of the dense `mlp`: what a pruning has really changed (EC-8.3)."""
    p = problem(mlp.astype(np.float64), x, metric, sample_weight, y, loss)
    return _Refit(p).change(pruned_mlp.astype(np.float64))


class _Refit:
    """The residuals √weight_n c_rᵀ (f_{P,b} − f), and their minimisation."""

    def __init__(self, p: Problem) -> None:
        _, preactivations = inputs_and_preactivations(p.mlp, p.x)
        self.x = p.x
        self.outputs = evaluate_from(p.mlp, p.mlp.n_layers - 1, preactivations[-1])
        c = fixed_cotangents(p, self.outputs)
        n_outputs = self.outputs.shape[1]
        if c is None:
            c = np.broadcast_to(np.eye(n_outputs)[:, np.newaxis], (n_outputs, *self.outputs.shape))
        self.cotangents = c * np.sqrt(p.weight)[:, np.newaxis]

    def residual(self, mlp: MLP) -> Array:
        change: Array = np.einsum("rnk,nk->rn", self.cotangents, forward(mlp, self.x).outputs - self.outputs).ravel()
        return change

    def change(self, mlp: MLP) -> float:
        return float(np.sum(self.residual(mlp) ** 2))

    def jacobian(self, mlp: MLP) -> Array:
        derivatives = pullback(mlp, forward(mlp, self.x), self.cotangents)
        return np.concatenate([g.reshape(-1, g.shape[-1]) for g in derivatives], axis=1)

    def step(self, mlp: MLP, d: Array) -> tuple[MLP, Array]:
        """The network with its biases moved by d, and its residual: infinite where so long a step overflows."""
        ends = np.cumsum(mlp.sizes[1:])
        try:
            moved = mlp.replace(mlp.weights, [b + s for b, s in zip(mlp.biases, np.split(d, ends[:-1]))])
            return moved, self.residual(moved)
        except ValueError:
            return mlp, np.array([np.inf])

    def minimize(self, mlp: MLP) -> MLP:
        """d = −(JᵀJ + λ σ₁²)⁻¹ Jᵀ r through the singular values σ of J, with λ from how the last step did."""
        r = self.residual(mlp)
        damping = 0.0  # a linear problem is solved by the first step
        for _ in range(MAX_STEPS):
            value = r @ r
            factor = np.asarray(np.linalg.qr(np.column_stack([self.jacobian(mlp), r]), mode="r"))
            U, singular, Vt = np.linalg.svd(factor[:, :-1], full_matrices=False)
            largest = singular[0]
            alive = singular > max(len(r), Vt.shape[1]) * np.finfo(np.float64).eps * largest
            U, relative, Vt = U[:, alive], singular[alive] / largest, Vt[alive]
            projected = U.T @ factor[:, -1]
            if projected @ projected <= STATIONARY * value:
                return mlp
            while True:
                d = -Vt.T @ (relative / (relative**2 + damping) * projected / largest)
                trial, new = self.step(mlp, d)
                if new @ new < value:
                    break
                damping = max(10 * damping, 1e-8)
                if damping > 1e16:  # no step down is left that rounding does not swallow
                    return mlp
            mlp, r, damping = trial, new, damping / 10 if damping > 1e-12 else 0.0
            if value - r @ r <= PROGRESS * value:
                return mlp
        return mlp
