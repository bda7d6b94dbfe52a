"""Training and fine-tuning with the hand-written gradients: Adam and L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args, overload

import numpy as np
import numpy.typing as npt

from . import _checks
from ._types import Array, LossName, Mask, Masks, Optimizer
from .losses import check_loss, loss_gradient, targets
from .mlp import MLP
from .pruning.pruned import Pruned

Callback = Callable[[int, float], None]


@overload
def train(
    mlp: MLP,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: LossName = ...,
    *,
    optimizer: Optimizer = ...,
    epochs: int = ...,
    batch_size: int | None = ...,
    learning_rate: float | None = ...,
    masks: Sequence[Mask] | None = ...,
    seed: int | None = ...,
    callback: Callback | None = ...,
) -> MLP: ...


@overload
def train(
    mlp: Pruned,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: LossName = ...,
    *,
    optimizer: Optimizer = ...,
    epochs: int = ...,
    batch_size: int | None = ...,
    learning_rate: float | None = ...,
    masks: Sequence[Mask] | None = ...,
    seed: int | None = ...,
    callback: Callback | None = ...,
) -> Pruned: ...


def train(
    mlp: MLP | Pruned,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: LossName = "mse",
    *,
    optimizer: Optimizer = "adam",
    epochs: int = 10,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    masks: Sequence[Mask] | None = None,
    seed: int | None = None,
    callback: Callback | None = None,
) -> MLP | Pruned:
    """The network after training on x and y, whose masked weights are zero and stay so.

    Parameters
    ----------
    mlp : MLP or Pruned
        Where training starts; it is not changed.  What a pruned network has lost stays zero.
    x : array (N, n_0)
        The samples.
    y : array (N, K) or (N,)
        Targets, as for `loss_gradient`.
    loss : {"mse", "cross_entropy"}, default "mse"
        What is made small.
    optimizer : {"adam", "lbfgs"}, default "adam"
        Mini-batches whose learning rate falls to zero along a half cosine; or all samples at once, in double precision.
    epochs : int, default 10
        Passes over the samples; iterations at most with "lbfgs".
    batch_size : int, optional
        Samples of a mini-batch, 64; for "adam" alone.
    learning_rate : float, optional
        Its largest value, 1e-3; for "adam" alone.
    masks : sequence of L bool arrays (n_l, n_{l-1}), optional
        True = trained, False = zero in the result.
    seed : int, optional
        Of the order of the samples, 0; for "adam" alone.
    callback : callable, optional
        Called with the epoch, from 1, and the mean training loss seen during it.

    Returns
    -------
    MLP or Pruned
        The trained network: as it was given, a pruned one with its masks.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument or one without effect, and where training diverges to a loss that is not finite.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 50)[:, np.newaxis]
    >>> mlp = ec.train(ec.MLP([[[1.0]]], [[0.0]]), x, 3 * x, optimizer="lbfgs")
    >>> mlp.weights[0].round(3)
    array([[3.]])
    """
    pruned = mlp if isinstance(mlp, Pruned) else None
    if pruned is not None:
        _checks.without_effect(masks=(masks, "beside a pruned network, which has its own"))
        masks = pruned.masks
    mlp = mlp.mlp if isinstance(mlp, Pruned) else mlp
    _checks.instance("mlp", mlp, MLP)
    x = _checks.samples("x", x, mlp.sizes[0], mlp.dtype)
    check_loss(mlp, loss)
    _checks.one_of("optimizer", optimizer, get_args(Optimizer))
    _checks.integer("epochs", epochs, 0)
    _checks.function("callback", callback)
    if optimizer == "lbfgs":
        why = 'with optimizer "lbfgs"'
        _checks.without_effect(batch_size=(batch_size, why), learning_rate=(learning_rate, why), seed=(seed, why))
    size = _checks.integer("batch_size", 64 if batch_size is None else batch_size, 1)
    rate = _checks.number("learning_rate", 1e-3 if learning_rate is None else learning_rate, 0, np.inf)
    shuffle = _checks.integer("seed", 0 if seed is None else seed, 0)
    y = targets(y, loss, len(x), mlp.sizes[-1], mlp.dtype)
    if masks is not None:
        masks = _checks.boolean_masks(masks, mlp.shapes)
        mlp = mlp.replace([np.where(m, w, 0) for w, m in zip(mlp.weights, masks)], mlp.biases)
    if epochs > 0 and optimizer == "adam":
        free = _trained_parameters(mlp, masks)
        mlp = _adam(mlp, x, y, loss, free, epochs, size, rate, shuffle, callback)
    elif epochs > 0:
        mlp = _lbfgs_of_inputs_in_use(mlp, x, y, loss, masks, epochs, callback)
    return mlp if pruned is None else Pruned(mlp, pruned.masks)


def _adam(
    mlp: MLP,
    x: Array,
    y: Array,
    loss: LossName,
    trained: Array,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    callback: Callback | None,
) -> MLP:
    """Adam (Kingma and Ba, 2015): θ −= η m̂ / (√v̂ + ε), β = (0.9, 0.999), ε = 1e-8."""
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8
    rng = np.random.default_rng(seed)
    parameters = flatten(mlp.weights, mlp.biases)
    m, v = np.zeros_like(parameters), np.zeros_like(parameters)
    step, n_steps = 0, epochs * -(-len(x) // batch_size)
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(x))
        total = 0.0
        for start in range(0, len(x), batch_size):
            chosen = order[start : start + batch_size]
            value, gradient = loss_gradient(unflatten(mlp, parameters), x[chosen], y[chosen], loss)
            g = flatten(gradient.weights, gradient.biases)
            rate = learning_rate * (1 + np.cos(np.pi * step / n_steps)) / 2
            step += 1
            m = beta_1 * m + (1 - beta_1) * g
            v = beta_2 * v + (1 - beta_2) * g**2
            update = (m / (1 - beta_1**step)) / (np.sqrt(v / (1 - beta_2**step)) + epsilon)
            parameters = np.where(trained, parameters - float(rate) * update, parameters)
            total += value * len(chosen)
        if callback is not None:
            callback(epoch, total / len(x))
    return unflatten(mlp, parameters)


def _lbfgs_of_inputs_in_use(
    mlp: MLP, x: Array, y: Array, loss: LossName, masks: Masks | None, epochs: int, callback: Callback | None
) -> MLP:
    """L-BFGS, where inputs that no weight reads any more are left out of all passes over the samples."""
    read = np.ones(mlp.sizes[0], bool) if masks is None else masks[0].any(axis=0)
    if masks is None or read.all() or not read.any():
        return _lbfgs(mlp, x, y, loss, _trained_parameters(mlp, masks), epochs, callback)
    smaller = mlp.replace([mlp.weights[0][:, read], *mlp.weights[1:]], mlp.biases)
    free = _trained_parameters(smaller, [masks[0][:, read], *masks[1:]])
    smaller = _lbfgs(smaller, x[:, read], y, loss, free, epochs, callback)
    first = np.zeros_like(mlp.weights[0])
    first[:, read] = smaller.weights[0]
    return mlp.replace([first, *smaller.weights[1:]], smaller.biases)


def _lbfgs(mlp: MLP, x: Array, y: Array, loss: LossName, trained: Array, epochs: int, callback: Callback | None) -> MLP:
    from scipy.optimize import OptimizeResult, minimize  # here, not above: slow to import

    start = flatten(mlp.weights, mlp.biases)

    def network(free: Array) -> MLP:
        parameters = start.copy()
        parameters[trained] = free
        return unflatten(mlp, parameters)

    def objective(free: Array) -> tuple[float, Array]:
        value, gradient = loss_gradient(network(free), x, y, loss)
        return value, flatten(gradient.weights, gradient.biases)[trained].astype(np.float64)

    epoch = 0

    def report(intermediate_result: OptimizeResult) -> None:
        nonlocal epoch
        epoch += 1
        if callback is not None:
            callback(epoch, float(intermediate_result.fun))

    result = minimize(
        objective,
        start[trained].astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        callback=report,
        options={"maxiter": epochs, "maxfun": 20 * epochs, "ftol": 0, "gtol": 1e-12, "maxcor": 20},
    )
    return network(result.x)


def flatten(weights: Sequence[Array], biases: Sequence[Array]) -> Array:
    """All weights, layer by layer, then all biases, as one vector."""
    return np.concatenate([a.ravel() for a in (*weights, *biases)])


def unflatten(mlp: MLP, parameters: Array) -> MLP:
    """The network of `mlp`'s shape with these parameters, the inverse of `flatten`."""
    shapes = [a.shape for a in (*mlp.weights, *mlp.biases)]
    ends = np.cumsum([int(np.prod(s)) for s in shapes])
    arrays = [a.reshape(s) for a, s in zip(np.split(parameters, ends[:-1]), shapes)]
    return mlp.replace(arrays[: mlp.n_layers], arrays[mlp.n_layers :])


def _trained_parameters(mlp: MLP, masks: Sequence[Array] | None) -> Array:
    """Where the flat vector holds something to train: every bias, and every weight that is kept."""
    kept = [np.ones(w.shape, bool) for w in mlp.weights] if masks is None else masks
    return flatten(kept, [np.ones(b.shape, bool) for b in mlp.biases])
