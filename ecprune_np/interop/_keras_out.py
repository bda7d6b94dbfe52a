"""To Keras 3."""

from __future__ import annotations

from typing import Any

from .._types import Mask
from ..mlp import MLP
from ..pruning import Pruned
from ._chain import LeftOut, agree, as_steps
from ._common import framework, parts, same_network
from ._keras import coarsest, read, runner


def to_keras(network: Pruned | MLP, model: Any) -> Any:
    """A Sequential model of the layers of `model` that computes what the network computes.

    Layers, their names and dtypes, Dropout and the like stay as they are, nested models are taken apart, and
    BatchNormalization, which the network has in its weights, is left out.  A Dense without bias gets one where the
    network's is not zero.  The model is not compiled: the optimiser of the old one belongs to its weights.

    Weights that were removed stay zero in training: their kernels have a constraint that masks them after each step,
    behind the one that was there, and mask what is assigned to them, as the averages that an optimiser with `use_ema`
    keeps.  Files and clones of the model have the zeros, and neither constraint nor masks: export into a model that was
    loaded to go on training it.

    Parameters
    ----------
    network : Pruned or MLP
        What to write.
    model : keras.Model
        Sequential or Functional, as `from_keras` reads it; it is not changed.

    Returns
    -------
    keras.Sequential

    Raises
    ------
    ValueError
        Where the model is none that `from_keras` reads, or has other shapes or activations than the network; where a
        class of one's own computes the kernel of a Dense from other variables.
    TypeError
        Where `network` is no network, or `model` no model of Keras 3.

    Examples
    --------
    >>> smaller = ec.interop.to_keras(ec.prune(mlp, scores, 0.8), model)  # doctest: +SKIP
    >>> smaller.compile("adam", "mse")  # doctest: +SKIP
    """
    mlp, kept = parts(network)
    reading, old = read(model)
    same_network("model", old, mlp)
    keras = framework("keras")
    written = keras.Sequential([keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype)], name=model.name)
    values = iter(zip(mlp.weights, mlp.biases, kept))
    for layer in reading.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            continue
        config = layer.get_config()
        if config["name"] in [other.name for other in written.layers]:  # used twice, or of another nested model
            del config["name"]
        if hasattr(layer, "activation"):
            config["activation"] = layer.activation  # itself: not every function is known by its name
        if isinstance(layer, keras.layers.Dense):
            w, b, mask = next(values)
            config["use_bias"] = layer.use_bias or bool(b.any())
        copied = type(layer).from_config(config)
        written.add(copied)
        if isinstance(layer, keras.layers.Dense):
            if not isinstance(copied.kernel, keras.Variable):
                kind = type(layer).__qualname__
                raise ValueError(f"model: layer {layer.name} is {kind}, which computes its kernel; expected a Dense")
            copied.set_weights([w.T, b][: 1 + config["use_bias"]])
            if not mask.all():
                keep_zero(copied.kernel, mask.T)
    steps = [*as_steps(mlp), *(step for step in reading.steps if isinstance(step, LeftOut))]
    agree("model: after export", steps, mlp, runner(written), coarsest(reading))
    return written


def keep_zero(kernel: Any, mask: Mask) -> None:
    """Let a kernel mask itself: by a constraint after each step, and whatever is assigned to it.

    Constraints alone do not see the averages that an optimiser with `use_ema` assigns in the end.
    """
    kept = framework("keras.ops").convert_to_tensor(mask, kernel.dtype)
    before, assign = kernel.constraint, kernel.assign
    kernel.constraint = lambda values: kept * (values if before is None else before(values))
    kernel.assign = lambda values: assign(kept * framework("keras.ops").convert_to_tensor(values, kernel.dtype))
