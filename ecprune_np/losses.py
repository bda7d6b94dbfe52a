"""Losses and their gradient in every weight and bias, by hand (EC-2)."""

# NumPy declares what its ufuncs return as Any
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from ._frozen import Frozen
from ._types import Array, LossName
from .mlp import MLP, forward, pullback

PROBABILITY_SUM = 1e-5  # how far from 1 the sum of a sample's target probabilities may be, and one above 1


@dataclass(frozen=True, eq=False, repr=False)
class Gradient(Frozen):
    """∂loss/∂W^l and ∂loss/∂b^l, shaped as the network's weights and biases (EC-2.6).

    Attributes
    ----------
    weights : tuple of L arrays (n_l, n_{l-1})
        ∂loss/∂W^l.
    biases : tuple of L arrays (n_l,)
        ∂loss/∂b^l.

    Examples
    --------
    >>> _, gradient = ec.loss_gradient(ec.MLP([[[2.0]]], [[0.0]]), [[1.0], [2.0]], [[3.0], [3.0]])
    >>> gradient
    Gradient(1 layers, 2 parameters)
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    def __repr__(self) -> str:
        n_parameters = sum(a.size for a in (*self.weights, *self.biases))
        return f"Gradient({len(self.weights)} layers, {n_parameters:,} parameters)"


@dataclass(frozen=True)
class Loss:
    """A sample's loss ℓ(f, y), shape (N,), and its derivative ∂ℓ/∂f, shape (N, K)."""

    name: LossName
    value: Callable[[Array, Array], Array]
    derivative: Callable[[Array, Array], Array]


def mse(outputs: Array, y: Array) -> Array:
    """ℓ = (1/K) Σ_k (f_k − y_k)² (EC-2.4)."""
    return np.mean((outputs - y) ** 2, axis=1)


def mse_derivative(outputs: Array, y: Array) -> Array:
    """∂ℓ/∂f_k = (2/K) (f_k − y_k) (EC-2.4)."""
    return 2 * (outputs - y) / outputs.shape[1]


def cross_entropy(outputs: Array, y: Array) -> Array:
    """ℓ = −Σ_k y_k log softmax(f)_k, for logits f and target probabilities y (EC-2.5, EC-2.7)."""
    return -np.sum(two_classes(1 - y, y) * log_softmax(class_logits(outputs)), axis=1)


def cross_entropy_derivative(outputs: Array, y: Array) -> Array:
    """∂ℓ/∂f_k = p_k Σ_{m≠k} y_m − y_k Σ_{m≠k} p_m = p_k Σ_m y_m − y_k, without its cancellation (EC-2.5, EC-2.7)."""
    p, y = softmax(class_logits(outputs)), two_classes(1 - y, y)
    return (p * sum_of_others(y) - y * sum_of_others(p))[:, -outputs.shape[1] :]


LOSSES: dict[LossName, Loss] = {
    loss.name: loss
    for loss in (
        Loss("mse", mse, mse_derivative),
        Loss("cross_entropy", cross_entropy, cross_entropy_derivative),
    )
}


def softmax(outputs: Array) -> Array:
    """p_k = e^{f_k} / Σ_m e^{f_m}, shape (N, K)."""
    e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sum_of_others(p: Array) -> Array:
    """Σ_{m≠k} p_m for each k, shape (N, K): 1 − p_k to full relative precision."""
    return p @ (1 - np.eye(p.shape[1], dtype=p.dtype))


def log_softmax(outputs: Array) -> Array:
    """log p_k = f_k − log Σ_m e^{f_m}, shape (N, K)."""
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def class_logits(outputs: Array) -> Array:
    """The logits of all classes, shape (N, K); one logit z stands for the two logits (0, z) (EC-2.7)."""
    return two_classes(np.zeros_like(outputs), outputs)


def two_classes(first: Array, second: Array) -> Array:
    """Both as the columns of two classes, where `second` is of one logit; else `second`, which has all classes."""
    return np.concatenate([first, second], axis=1) if second.shape[1] == 1 else second


def targets(y: npt.ArrayLike, loss: LossName, n_samples: int, n_outputs: int, dtype: Any) -> Array:
    """`y` as target values or class probabilities, shape (N, K).

    For cross_entropy, integers of shape (N,) are class labels from 0 to K − 1; of one logit they are 0 and 1, and the
    probabilities are those of class 1.
    """
    _checks.one_of("loss", loss, LOSSES)
    given = _checks.as_array("y", y)
    if loss == "cross_entropy" and given.ndim == 1:
        return one_hot(given, n_samples, max(n_outputs, 2), dtype)[:, -n_outputs:]
    array = _checks.real_array("y", given, dtype)
    if array.shape != (n_samples, n_outputs):
        labels = f"({n_samples},) of labels or " if loss == "cross_entropy" else ""
        raise ValueError(f"y: expected shape {labels}({n_samples}, {n_outputs}), got {array.shape}")
    if loss == "cross_entropy":
        _check_probabilities(array)
    return array


def _check_probabilities(y: Array) -> None:
    """Raise for target probabilities that are not from 0 to 1, or, of two classes or more, do not sum to 1."""
    outside = (y < 0) | (y > 1 + PROBABILITY_SUM)
    if outside.any():
        index = [int(i) for i in np.argwhere(outside)[0]]
        raise ValueError(f"y: expected probabilities of classes, from 0 to 1, got {y[tuple(index)]} at {index}")
    wrong = np.abs(y.sum(axis=1) - 1) > PROBABILITY_SUM
    if y.shape[1] > 1 and wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"y: expected probabilities of classes that sum to 1, got {y[row].sum()} in row {row}")


def check_loss(mlp: MLP, loss: LossName) -> None:
    """Raise unless the loss is known, and the network ends in what it takes."""
    if _checks.one_of("loss", loss, LOSSES) == "cross_entropy":
        check_logits('loss "cross_entropy"', mlp)


def check_logits(what: str, mlp: MLP) -> None:
    """Raise where the network's outputs are probabilities, but `what` takes logits."""
    if mlp.output_activation == "sigmoid":
        raise ValueError(
            f"{what}: expected a network that ends in logits, got one that ends in sigmoid; "
            'dataclasses.replace(mlp, output_activation="identity") has its logits'
        )


def mean_loss(mlp: MLP, x: npt.ArrayLike, y: npt.ArrayLike, loss: LossName = "mse") -> float:
    """E[ℓ(f(x), y)], the mean over the samples (EC-2.4, EC-2.5).

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0)
        The samples.
    y : array (N, K) or (N,)
        Targets; for "cross_entropy" class probabilities, or integer labels (N,); those of one logit are of class 1.
    loss : {"mse", "cross_entropy"}, default "mse"
        (1/K) Σ_k (f_k − y_k)², or −Σ_k y_k log softmax(f)_k.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.

    Examples
    --------
    >>> ec.mean_loss(ec.MLP([[[2.0]]], [[0.0]]), [[1.0], [2.0]], [[3.0], [3.0]])
    1.0
    """
    outputs = forward(mlp, x).outputs
    check_loss(mlp, loss)
    y = targets(y, loss, len(outputs), mlp.sizes[-1], mlp.dtype)
    return float(LOSSES[loss].value(outputs, y).mean())


def loss_gradient(mlp: MLP, x: npt.ArrayLike, y: npt.ArrayLike, loss: LossName = "mse") -> tuple[float, Gradient]:
    """E[ℓ] and its gradient: ∂/∂W^l_ij = E[g_i a_j], ∂/∂b^l_i = E[g_i], with g = ∂ℓ/∂z^l (EC-2.6).

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0)
        The samples.
    y : array (N, K) or (N,)
        Targets; for "cross_entropy" class probabilities, or integer labels (N,); those of one logit are of class 1.
    loss : {"mse", "cross_entropy"}, default "mse"
        The squared error, or the cross-entropy of outputs that are logits.

    Returns
    -------
    float
        E[ℓ].
    Gradient
        Its derivatives in every weight and bias.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument, and for an overflow.

    Examples
    --------
    >>> value, gradient = ec.loss_gradient(ec.MLP([[[2.0]]], [[0.0]]), [[1.0], [2.0]], [[3.0], [3.0]])
    >>> value, gradient.weights[0], gradient.biases[0]
    (1.0, array([[1.]]), array([0.]))
    """
    trace = forward(mlp, x)
    check_loss(mlp, loss)
    y = targets(y, loss, len(trace.outputs), mlp.sizes[-1], mlp.dtype)
    value = LOSSES[loss].value(trace.outputs, y).mean()
    cotangent = LOSSES[loss].derivative(trace.outputs, y) / len(y)
    derivatives = pullback(mlp, trace, cotangent[np.newaxis])
    weights = tuple(g[0].T @ a for g, a in zip(derivatives, trace.inputs))
    biases = tuple(g[0].sum(axis=0) for g in derivatives)
    return float(value), Gradient(weights, biases)


def one_hot(labels: Array, n_samples: int, n_outputs: int, dtype: Any) -> Array:
    """Labels (N,), integers from 0 to K − 1 or booleans, as probabilities that are 0 and 1, shape (N, K)."""
    labels = labels.astype(np.int64) if labels.dtype.kind == "b" else labels
    if labels.dtype.kind not in "iu":
        raise TypeError(f"y: expected integer labels for shape (N,), got {labels.dtype}")
    if labels.shape != (n_samples,):
        raise ValueError(f"y: expected shape ({n_samples},), got {labels.shape}")
    outside = (labels < 0) | (labels >= n_outputs)
    if outside.any():
        index = int(np.argmax(outside))
        raise ValueError(f"y: expected labels from 0 to {n_outputs - 1}, got {labels[index]} at [{index}]")
    probabilities = np.zeros((n_samples, n_outputs), dtype)
    probabilities[np.arange(n_samples), labels] = 1
    return probabilities
