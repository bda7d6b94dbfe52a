"""To PyTorch: state dicts and modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, Mask
from ..mlp import MLP
from ..pruning import Pruned
from ._chain import LeftOut, agree, as_steps
from ._common import by_value, framework, is_a, like, parts, same_network
from ._state import mask_of, write_state
from ._torch import copied, read, runner
from ._torch_graph import Reading, place


def to_torch(network: Pruned | MLP, module: Any, masks: bool = False) -> Any:
    """A copy of a module or state dict, as `from_torch` reads it, that computes what the network computes.

    The copy keeps dtype, device, mode and what else the module has.  What would undo the pruning at the next forward
    pass goes: weight norm and other parametrisations of a weight are removed, batch norms that the network has in its
    weights become Identity; masks of `torch.nn.utils.prune` stay and become the network's.  A Linear without bias gets
    one where the network's is not zero.  A compiled or wrapped module comes back plain.  Gradients are cleared.  In a
    state dict `weight` takes the place of a weight norm, which the module that loads it then must not have.

    Training moves what was removed, unless it is masked: for each Linear
    `torch.nn.utils.prune.custom_from_mask(linear, "weight", mask)` keeps it at zero.

    Parameters
    ----------
    network : Pruned or MLP
        What to write.
    module : torch.nn.Module or mapping of names to tensors or arrays
        Where to; it is not changed.
    masks : bool, default False
        Whether to return the masks too.

    Returns
    -------
    torch.nn.Module or mapping
        With `masks`, a tuple of it and a list of the masks, one per Linear in the order of the layers: zeros and ones,
        in the dtype and on the device of the weight.

    Raises
    ------
    ValueError
        Where the module is none that `from_torch` reads, or has other shapes or activations than the network; where
        layers share a weight in which the network's differ; where the written module's own outputs are others than the
        network's, in evaluation or (Dropout aside) in training.
    TypeError
        Where `network` is no network, or `module` neither a module nor a mapping.

    Examples
    --------
    >>> state = {"weight": np.ones((1, 2), np.float32), "bias": np.zeros(1, np.float32)}
    >>> ec.interop.to_torch(ec.MLP([[[2.0, 0.0]]], [[1.0]]), state)
    {'weight': array([[2., 0.]], dtype=float32), 'bias': array([1.], dtype=float32)}
    """
    mlp, kept = parts(network)
    _checks.instance("masks", masks, bool)
    if isinstance(module, Mapping):
        written, new_masks = write_state("module", module, mlp, kept)
        return (written, new_masks) if masks else written
    if not is_a(module, "torch.nn", "Module"):
        raise TypeError(f"module: expected a torch.nn.Module or a state dict, got {type(module).__name__}")
    reading, old = read(copied(module))
    same_network("module", old, mlp)
    written = copied(module)
    for path in reading.normalisations:
        parent, name, layer = place(written, path)
        parent._modules[name] = framework("torch.nn").Identity().train(layer.training)
    _shared(written, reading.weights, [*zip(mlp.weights, kept)])
    _shared(written, reading.biases, [(b,) for b in mlp.biases])
    new_masks = []
    for weight, bias, w, b, mask in zip(reading.weights, reading.biases, mlp.weights, mlp.biases, kept):
        new_masks.append(_write(written, weight, w, mask))
        if bias is not None:
            _write(written, bias, b, np.ones(b.shape, bool), place(written, weight)[-1])
        elif b.any():
            raise ValueError(f"module: there is no bias beside {weight}; expected one, for the network's is not zero")
    for parameter in written.parameters():
        parameter.grad = None
    _check(written, reading, mlp)
    return (written, new_masks) if masks else written


def _write(module: Any, path: str, values: Array, kept: Mask, beside: Any = None) -> Any:
    """Put values where a path leads to, and make sure that they stay; returns the mask, as `values` are.

    A bias that is missing becomes a parameter as the weight `beside` it is.
    """
    utils, parametrize = framework("torch.nn.utils"), framework("torch.nn.utils.parametrize")
    owner, name, _ = place(module, path)
    try:
        if parametrize.is_parametrized(owner, name):
            owner.__class__ = _own_class(type(owner))
            parametrize.remove_parametrizations(owner, name)
        for hook in list(owner._forward_pre_hooks.values()):
            if is_a(hook, "torch.nn.utils.weight_norm", "WeightNorm") and hook.name == name:
                utils.remove_weight_norm(owner, name)
            elif is_a(hook, "torch.nn.utils.spectral_norm", "SpectralNorm") and hook.name == name:
                utils.remove_spectral_norm(owner, name)
    except Exception as error:
        raise ValueError(
            f"module: what {path} is made of cannot be removed ({_checks.one_line(error)}); remove it, then export"
        ) from error
    if f"{name}_mask" in owner._buffers:
        parameter = owner._parameters[f"{name}_orig"]
        old_mask = owner._buffers[f"{name}_mask"]
        parameter.data = like(path, parameter, values)
        mask = like(path, old_mask, mask_of(values, kept, by_value(path, old_mask, "fiub")))
        owner._buffers[f"{name}_mask"] = mask
        setattr(owner, name, (parameter * mask).detach())  # as every forward pass does
        return mask
    parameter = getattr(owner, name)
    if parameter is None:
        parameter = framework("torch.nn").Parameter(like(path, beside, values))
        owner.register_parameter(name, parameter)
    parameter.data = like(path, parameter, values)
    return like(path, parameter, kept)


def _own_class(shared: type) -> type:
    """The class of a parametrised layer for one layer alone: copies share theirs, and removing changes it."""
    members = {name: value for name, value in vars(shared).items() if name not in ("__dict__", "__weakref__")}
    return type(shared.__name__, shared.__bases__, members)


def _shared(module: Any, paths: Sequence[str | None], values: Sequence[tuple[Array, ...]]) -> None:
    """Raise where layers share a parameter, for which the network has two values."""
    first: dict[Any, tuple[str, tuple[Array, ...]]] = {}
    for path, value in zip(paths, values):
        if path is not None:
            owner, name, _ = place(module, path)
            parameter = owner._parameters.get(f"{name}_orig", owner._parameters.get(name))
            key = (id(owner), name) if parameter is None else id(parameter)
            other, expected = first.setdefault(key, (path, value))
            if not all(np.array_equal(a, b) for a, b in zip(value, expected)):
                raise ValueError(
                    f"module: {other} and {path} are one parameter, which in the network has two values; "
                    "expected layers that share nothing: copy.deepcopy one of them"
                )


def _check(written: Any, reading: Reading, mlp: MLP) -> None:
    """Raise unless the written module computes what the network computes: twice, and in training mode."""
    steps = [*as_steps(mlp), *(step for step in reading.steps if isinstance(step, LeftOut))]
    trial = copied(written).eval()
    run, dtype = runner(trial, reading)
    for training in (False, False) if reading.drops else (False, False, True):
        trial.train(training)
        for layer in trial.modules():
            if is_a(layer, "torch.nn.modules.dropout", "_DropoutNd"):
                layer.eval()
        when = "training mode" if training else "evaluation"
        agree(f"module: after export, in {when}", steps, mlp, run, dtype)
