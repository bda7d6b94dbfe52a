"""From and to scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, Mask
from ..mlp import MLP
from ..pruning import Pruned
from ._chain import LeftOut, Linear, Nonlinear, Step, agree, folded
from ._common import by_value, is_a, like, parts, same_network

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
KINDS = ("MLPClassifier", "MLPRegressor")
INSIDE = {  # where others keep a network, and what else they do
    "best_estimator_": "",
    "regressor_": "; what transforms the targets belongs to them",
    "estimator": ", fitted",
}


def from_sklearn(estimator: Any) -> MLP:
    """The network of a fitted `MLPRegressor` or `MLPClassifier`.

    A classifier's outputs here are its logits: one per class of `classes_`, or of two classes a single one, positive
    for the second.  Where samples have several labels, the outputs are their probabilities (sigmoid), as those of
    `predict_proba` are.  What was read is compared with `predict` or `predict_proba` for a few random samples.

    Parameters
    ----------
    estimator : sklearn.neural_network.MLPRegressor or MLPClassifier
        Fitted, and no pipeline: what scales the data before the network belongs to the data.

    Returns
    -------
    MLP

    Raises
    ------
    ValueError
        Where `estimator` is another one (of a pipeline or a search it says where the network is), is not fitted, has
        another output activation, or predicts something else than what was read.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> estimator = MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", tol=1, random_state=0).fit(x, x[:, 0] ** 2)
    >>> ec.interop.from_sklearn(estimator)
    MLP(1-5-1, 'relu', 'identity', float64)
    """
    steps = _steps(estimator)
    mlp = folded("estimator", steps)
    agree("estimator", steps, mlp, *_runner(estimator))
    return mlp


def to_sklearn(network: Pruned | MLP, estimator: Any) -> Any:
    """A copy of a fitted estimator that predicts what the network computes.

    Its optimiser, and the best coefficients and scores that it remembers from before, are forgotten, so that nothing
    brings back the dense network.  Training goes on from the pruned one with `partial_fit`, or with `fit` and
    `warm_start=True`; without `warm_start`, `fit` begins anew, and nothing of the pruned network is left.  scikit-learn
    has no masks: each training step moves the weights at zero too, and `keep_zeros` after it sets them back.

    Parameters
    ----------
    network : Pruned or MLP
        What to write.
    estimator : sklearn.neural_network.MLPRegressor or MLPClassifier
        Where to; it is not changed.

    Returns
    -------
    estimator
        Of the same class, with the same parameters.

    Raises
    ------
    ValueError
        As `from_sklearn`, and where the network has other shapes or activations.
    TypeError
        Where `network` is no network.

    Examples
    --------
    >>> from sklearn.neural_network import MLPRegressor
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> estimator = MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", tol=1, random_state=0).fit(x, x[:, 0] ** 2)
    >>> mlp = ec.interop.from_sklearn(estimator)
    >>> pruned = ec.prune(mlp, ec.elimination_compensation(mlp, x), 0.5)
    >>> sum(int((w == 0).sum()) for w in ec.interop.to_sklearn(pruned, estimator).coefs_)
    5
    """
    mlp, _ = parts(network)
    same_network("estimator", from_sklearn(estimator), mlp)
    copied = copy.deepcopy(estimator)
    old = estimator.coefs_[0]
    copied.coefs_ = [like(f"coefs_[{l}]", old, w.T) for l, w in enumerate(mlp.weights)]
    copied.intercepts_ = [like(f"intercepts_[{l}]", old, b) for l, b in enumerate(mlp.biases)]
    copied._best_coefs = [w.copy() for w in copied.coefs_]
    copied._best_intercepts = [b.copy() for b in copied.intercepts_]
    vars(copied).pop("_optimizer", None)
    if hasattr(copied, "_no_improvement_count"):  # of a stochastic solver, which compares with what was
        copied._no_improvement_count = 0
        copied.best_loss_ = None if copied.early_stopping else np.inf
        copied.best_validation_score_ = -np.inf if copied.early_stopping else None
    agree("estimator: after export", _steps(copied), mlp, *_runner(copied))
    return copied


def keep_zeros(estimator: Any, masks: Pruned | Sequence[Mask]) -> Any:
    """Set what was removed to zero again, after `partial_fit` or `fit`: in place, so that training can go on.

    What the estimator remembers as its best coefficients is masked too.

    Parameters
    ----------
    estimator : sklearn.neural_network.MLPRegressor or MLPClassifier
        As `to_sklearn` gave it, and trained on.  It is changed.
    masks : Pruned or sequence of arrays of bool
        The pruned network, or its masks: shaped as its weights, True = kept.

    Returns
    -------
    estimator
        The same.

    Raises
    ------
    ValueError
        Where it is no fitted network, or the masks have other shapes.
    TypeError
        Where the masks are no booleans.

    Examples
    --------
    >>> for epoch in range(10):  # doctest: +SKIP
    ...     ec.interop.keep_zeros(estimator.partial_fit(x, y), pruned)
    """
    _steps(estimator)
    kept = masks.masks if isinstance(masks, Pruned) else masks
    kept = _checks.boolean_masks(kept, [w.T.shape for w in estimator.coefs_])
    for coefs in (estimator.coefs_, getattr(estimator, "_best_coefs", [])):
        for w, mask in zip(coefs, kept):
            w[~mask.T] = 0
    return estimator


def _kind(estimator: Any) -> str | None:
    return next((kind for kind in KINDS if is_a(estimator, "sklearn.neural_network", kind)), None)


def _steps(estimator: Any) -> list[Step]:
    """What a fitted network computes, with what `predict_proba` makes of its logits left out at the end."""
    kind = _kind(estimator)
    if kind is None:
        found = f"{type(estimator).__name__}{_inside(estimator, 'estimator')}"
        raise ValueError(f"estimator: supported are {' and '.join(KINDS)}, got {found}")
    if not hasattr(estimator, "coefs_"):
        raise ValueError(f"estimator: expected a fitted {kind}, got one without coefs_")
    outputs = estimator.out_activation_
    if outputs not in ("identity", "softmax", "logistic") or (kind == "MLPRegressor" and outputs != "identity"):
        raise ValueError(f"estimator: expected the output activation identity, got {outputs}")
    steps: list[Step] = []
    n_layers = len(estimator.coefs_)
    for l, (w, b) in enumerate(zip(estimator.coefs_, estimator.intercepts_)):
        steps.append(Linear(str(l), by_value(f"coefs_[{l}]", w).T, by_value(f"intercepts_[{l}]", b)))
        if l < n_layers - 1 and estimator.activation != "identity":
            steps.append(Nonlinear(str(l), ACTIVATIONS[estimator.activation]))
    if outputs == "softmax":
        steps.append(LeftOut("the end", "softmax"))
    elif outputs == "logistic":  # of two classes one logit
        steps.append(LeftOut("the end", "sigmoid") if len(b) == 1 else Nonlinear("the end", "sigmoid"))
    return steps


def _runner(estimator: Any) -> tuple[Callable[[Array], Array], str]:
    """The estimator's own outputs as a function of samples, and their dtype."""
    dtype = estimator.coefs_[0].dtype

    def run(x: Array) -> Array:
        if _kind(estimator) == "MLPRegressor":
            predicted = estimator.predict(x.astype(dtype))
            return np.asarray(predicted).reshape(len(x), -1)
        probabilities = np.asarray(estimator.predict_proba(x.astype(dtype)))
        return probabilities[:, -1:] if len(estimator.intercepts_[-1]) == 1 else probabilities

    return run, str(dtype)


def _inside(estimator: Any, where: str) -> str:
    """Where an estimator keeps the network that is meant."""
    if _kind(estimator):
        return f"; hand over {where}"
    for name, step in getattr(estimator, "steps", []):
        found = _inside(step, f"{where}.named_steps[{name!r}]")
        if found:
            return f"{found}; the steps before it belong to the data: x = {where}[:-1].transform(x)"
    several = getattr(estimator, "estimators_", None)
    if isinstance(several, list) and several:
        found = _inside(several[0], f"{where}.estimators_[0]")
        return f"{found}, one of {len(several)}" if found else ""
    attribute = next((name for name in INSIDE if hasattr(estimator, name)), None)
    found = _inside(getattr(estimator, attribute), f"{where}.{attribute}") if attribute else ""
    return f"{found}{INSIDE[attribute]}" if found and attribute else ""
