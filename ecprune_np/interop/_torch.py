"""From PyTorch: state dicts and modules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import _checks
from .._types import ActivationName, Array
from ..mlp import MLP
from ._chain import Linear, agree, folded, own_outputs, say_what_is_left_out
from ._common import framework, is_a, named
from ._state import from_state, read_state
from ._torch_graph import Reading, place, reading_of, traced


def from_torch(
    module: Any,
    activation: ActivationName | Sequence[ActivationName] | None = None,
    output_activation: ActivationName | None = None,
) -> MLP:
    """The network of a PyTorch module, as it computes in evaluation, or of a state dict.

    A module may be any whose forward pass is a chain of Linear layers, activations, BatchNorm1d (folded into the
    Linear before or after it), Dropout and Flatten: a Sequential, nested or not, or a class of its own, compiled or in
    DataParallel, with masks of `torch.nn.utils.prune`, weight norm or spectral norm.  A Softmax or LogSoftmax at its
    end is left out, with a warning: the network's outputs are the logits.  A Softplus needs beta 1, and in double
    precision the threshold 40, for at its default of 20 it is e^−20 away.  What was read is compared with the module's
    own outputs for a few random samples; a copy is run, with its hooks, and the module stays as it is.

    A state dict holds the weights and biases of Linear layers under any prefix, in the order of their numbers; it may
    hold masks (`weight_orig` and `weight_mask`) and weight norms.  It says neither which activations are between them,
    nor how they are called: keys of other layers are refused, but what looks like a chain of Linear layers is read as
    one.  A module that is at hand is the safer thing to hand over.

    Parameters
    ----------
    module : torch.nn.Module or mapping of names to tensors or arrays
        What to read.  float16 and bfloat16 become float32.
    activation : str or sequence of str, optional
        The activation of the hidden layers, or one for each: of a state dict with hidden layers, and only there.
    output_activation : str, optional
        The activation of the outputs: of a state dict only, where it is "identity" by default.

    Returns
    -------
    MLP

    Raises
    ------
    ValueError
        Where there is something that no `MLP` computes, which is named; where the module's own outputs are others than
        those of what was read; where an argument has no effect.
    TypeError
        Where `module` is neither a module nor a mapping.

    Examples
    --------
    >>> state = {"0.weight": np.ones((3, 2)), "0.bias": np.zeros(3), "2.weight": np.ones((1, 3))}
    >>> ec.interop.from_torch(state, "tanh")
    MLP(2-3-1, 'tanh', 'identity', float64)
    """
    if isinstance(module, Mapping):
        entries = read_state("module", module)
        activation = named("a state dict", activation, len(entries))
        return from_state(entries, activation, output_activation)
    if is_a(module, "keras", "Model"):  # a torch.nn.Module too, where Keras is on PyTorch
        raise TypeError("module: is a Keras model; hand it over to from_keras")
    if not is_a(module, "torch.nn", "Module"):
        kind = type(module).__name__
        raise TypeError(f"module: expected a torch.nn.Module or a state dict, got {kind}; a file is read by torch.load")
    without = "beside a module, whose activations are known"
    _checks.without_effect(activation=(activation, without), output_activation=(output_activation, without))
    reading, mlp = read(copied(module))
    say_what_is_left_out("module", reading.steps)
    return mlp


def read(module: Any) -> tuple[Reading, MLP]:
    """What a module computes in evaluation, as it was read and as a network; it is run, so hand over a copy.

    Raises ValueError that names what is no chain of Linear layers and activations, or says how its own outputs differ.
    """
    module.eval()
    with framework("torch").random.fork_rng([]):
        nodes = traced(module)
    try:
        reading = reading_of(module, nodes)
    except (ValueError, TypeError):
        raise
    except Exception as error:  # that of a parametrisation, from inside
        raise ValueError(f"module: a weight cannot be computed ({_checks.one_line(error)})") from error
    run, dtype = runner(module, reading)
    n_inputs = next(step.weight.shape[1] for step in reading.steps if isinstance(step, Linear))
    own_outputs("module", run, np.zeros((2, n_inputs)))
    reading = reading_of(module, nodes)  # masks and norms are up to date after a forward pass only
    mlp = folded("module", reading.steps)
    agree("module", reading.steps, mlp, run, dtype)
    return reading, mlp


def runner(module: Any, reading: Reading) -> tuple[Callable[[Array], Array], str]:
    """The module as a function of samples, with torch's random state as it was, and its dtype."""
    torch = framework("torch")
    owner, _, weight = place(module, reading.weights[0])
    weight = next(owner.parameters(), weight)  # which, where it is computed, is as old as the last forward pass
    devices = [weight.device] if weight.device.type == "cuda" else []

    def run(x: Array) -> Array:
        with torch.no_grad(), torch.random.fork_rng(devices):
            outputs = module(torch.from_numpy(x).to(weight.device, weight.dtype))
        return np.asarray(outputs.cpu().double())

    return run, str(weight.dtype).removeprefix("torch.")


def unwrapped(module: Any) -> Any:
    """The module itself, where it is compiled or wrapped in DataParallel."""
    parallel = (framework("torch.nn").DataParallel, framework("torch.nn.parallel").DistributedDataParallel)
    while is_a(module, "torch._dynamo", "OptimizedModule") or type(module) in parallel:
        if module._forward_hooks or module._forward_pre_hooks:
            raise ValueError(f"module: {type(module).__name__} around it has forward hooks of its own; remove them")
        module = module.module if type(module) in parallel else module._orig_mod
    return module


def copied(module: Any) -> Any:
    """A copy that can be run and written to, without wrappers.

    Masks and norms keep tensors that were computed, which `deepcopy` alone refuses.
    """
    module = unwrapped(module)
    memo: dict[int, Any] = {}
    for path, inner in module.named_modules():
        if is_a(inner, "torch.jit", "ScriptModule"):
            what = f"layer {path} is" if path else "is"
            raise ValueError(f"module: {what} TorchScript, which is not read; hand over the module that it was made of")
        for name, value in (vars(inner) | inner._parameters).items():
            if is_a(value, "torch.nn.parameter", "UninitializedTensorMixin"):
                raise ValueError(f"module: the {name} of {inner} has no values yet; call the module once")
            if is_a(value, "torch", "Tensor") and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    try:
        result = copy.deepcopy(module, memo)
    except Exception as error:
        raise ValueError(
            f"module: cannot be copied ({_checks.one_line(error)}); hand over its state_dict() and its activation"
        ) from error
    for inner in list(result.modules()):
        for name, child in inner._modules.items():
            inner._modules[name] = child if child is None else unwrapped(child)
    return result
