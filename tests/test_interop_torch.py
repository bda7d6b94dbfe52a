"""PyTorch modules: the same outputs here, and back there; what computes something else is refused by name."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from architectures import (
    Layer,
    architectures,
    assert_computes,
    assert_zero_where_removed,
    pruned_of,
    read_and_said,
    samples,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ecprune_np.interop import from_torch, to_torch

torch: Any = pytest.importorskip("torch", reason="PyTorch is in the extra `peers`")
nn: Any = torch.nn
F: Any = torch.nn.functional
prune: Any = pytest.importorskip("torch.nn.utils.prune")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads have nothing to share in networks of this size."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def compiled(module: Any) -> Any:
    return torch.compile(module, backend="eager")


class Sin(nn.Module):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        return x.sin()


class Own(nn.Module):  # type: ignore[misc]
    """Layers in a class of one's own, with what people write around them."""

    def __init__(self, layers: list[Any]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Any, scale: float | None = None) -> Any:
        x = x.view(x.size(0), -1).contiguous()
        for layer in self.layers:
            x = layer(x)
        if scale is not None:
            x = scale * x
        return F.dropout(x, 0.5, training=self.training)


class OwnLinear(nn.Linear):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        return F.linear(x, self.weight, self.bias)


ACTIVATIONS: dict[str, Callable[[], Any]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softplus": lambda: nn.Softplus(threshold=50),
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "sin": Sin,
}
EXTRAS = ["dropout", "norm before", "norm behind", "own"]
WEIGHTS = ["plain", "mask", "weight_norm", "spectral_norm", "old weight_norm", "old spectral_norm"]


def tensor(array: np.ndarray, dtype: str) -> Any:
    return torch.tensor(np.asarray(array)).to(getattr(torch, dtype))


def outputs(module: Any, x: np.ndarray, training: bool = False) -> np.ndarray:
    """What a module computes, in evaluation or in training without dropping."""
    module.train(training)
    for layer in module.modules():
        if isinstance(layer, (nn.Dropout, nn.AlphaDropout)):
            layer.eval()
    parameter = next(module.parameters())
    with torch.no_grad():
        return np.asarray(module(torch.tensor(x).to(parameter.dtype)).double())


def linear(layer: Layer, kind: str) -> Any:
    n, m = layer.weight.shape
    own = "own" in layer.extras and not kind.endswith("norm")
    built = (OwnLinear if own else nn.Linear)(m, n, bias=layer.bias is not None).double()
    built.weight.data = tensor(layer.weight, "float64")
    if layer.bias is not None:
        built.bias.data = tensor(layer.bias, "float64")
    utils = nn.utils
    if kind == "mask":
        prune.random_unstructured(built, "weight", 0.3)
        if layer.bias is not None:
            prune.random_unstructured(built, "bias", 0.3)
            prune.random_unstructured(built, "weight", 0.2)  # a container of two
    elif kind.endswith("norm"):
        old = getattr(utils, kind.removeprefix("old ")) if kind.startswith("old") else None
        built = (old or getattr(utils.parametrizations, kind))(built)
    return built


def batch_norm(width: int) -> Any:
    built = nn.BatchNorm1d(width, affine=width % 2 == 0).double()
    built.running_mean.normal_()
    built.running_var.uniform_(0.5, 2)
    for parameter in built.parameters():
        parameter.data.normal_()
    return built


@st.composite
def modules(draw: st.DrawFn) -> Any:
    """Any module that is a chain, with or without a wrapper, in any dtype, in training or in evaluation."""
    layers = draw(architectures(sorted(ACTIVATIONS), EXTRAS))
    kind = draw(st.sampled_from(WEIGHTS), label="weights")
    dtype = draw(st.sampled_from(["float32", "float64", "float16", "bfloat16"]), label="dtype")
    torch.manual_seed(0)
    parts: list[Any] = [nn.Flatten()]
    for layer in layers:
        n, m = layer.weight.shape
        if "norm behind" in layer.extras and len(parts) > 1:
            parts.append(batch_norm(m))
        block = [linear(layer, kind)]
        if "norm before" in layer.extras:
            block.append(batch_norm(n))
        block.append(ACTIVATIONS[layer.activation]())
        if "dropout" in layer.extras:
            block.append(nn.Dropout(0.5))
        parts += block if "own" in layer.extras else [nn.Sequential(*block)]
    ends = layers[-1].activation == "identity" and len(layers[-1].weight) > 1
    end = draw(st.sampled_from(["", "softmax", "log_softmax"])) if ends else ""
    if end:
        parts.append(nn.Softmax(dim=1) if end == "softmax" else nn.LogSoftmax(dim=-1))
    wrapper = draw(st.sampled_from([nn.Sequential, Own, "compiled", "parallel"]), label="wrapper")
    module = Own(parts) if wrapper is Own else nn.Sequential(*parts)
    module = module.to(getattr(torch, dtype)).train(draw(st.booleans(), label="training"))
    if wrapper == "compiled":
        module = compiled(module)
    elif wrapper == "parallel":
        module = nn.DataParallel(module)
    return module, dtype, end


@settings(max_examples=60)
@given(modules())
def test_a_module_is_read_pruned_and_written(drawn: Any) -> None:
    module, dtype, end = drawn
    inner = getattr(module, "_orig_mod", getattr(module, "module", module))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    random_state, training = torch.get_rng_state(), [m.training for m in inner.modules()]
    mlp = read_and_said(from_torch, module, end)
    pruned = pruned_of(mlp)
    written = to_torch(pruned, module)
    assert [m.training for m in inner.modules()] == training
    assert (torch.get_rng_state() == random_state).all()
    after = module.state_dict()
    assert all((after[key] == before[key]).all() for key in before)
    assert {str(p.dtype) for p in written.parameters()} == {f"torch.{dtype}"}
    assert written.training == training[0]
    x = samples(mlp)
    assert_computes(outputs(inner, x), mlp, x, dtype, end)
    for _ in range(2):
        assert_computes(outputs(written, x), pruned.mlp, x, dtype, end)
    if not isinstance(written, Own):  # whose last dropout is a function
        assert_computes(outputs(written, x, training=True), pruned.mlp, x, dtype, end)
    again = read_and_said(from_torch, written, end)
    assert again.activation == mlp.activation
    assert_zero_where_removed(again, pruned)


# What was removed stays removed


def plain(sizes: tuple[int, ...] = (4, 5, 3)) -> Any:
    torch.manual_seed(0)
    layers = [part for m, n in pairwise(sizes) for part in (nn.Linear(m, n), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


def train(module: Any, steps: int = 3) -> None:
    x = torch.ones(2, 4)
    optimizer = torch.optim.Adam(module.parameters(), 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        module(x).square().mean().backward()
        optimizer.step()


def test_masks_keep_what_was_removed_at_zero() -> None:
    module = plain()
    pruned = pruned_of(from_torch(module))
    written, masks = to_torch(pruned, module, masks=True)
    for l, mask in zip((0, 2), masks):
        prune.custom_from_mask(written[l], "weight", mask)
    train(written)
    trained = from_torch(written)  # whose `weight` is as old as the last forward pass
    assert_zero_where_removed(trained, pruned)
    assert any((a != b).any() for a, b in zip(trained.weights, pruned.mlp.weights))
    again = from_torch(written.state_dict(), "tanh")
    assert all((a == b).all() for a, b in zip(again.weights, trained.weights))


def test_a_masked_module_has_the_new_masks() -> None:
    module = plain()
    for l in (0, 2):
        prune.l1_unstructured(module[l], "weight", 0.25)
    module.load_state_dict({k: v + 0.1 if "orig" in k else v for k, v in module.state_dict().items()})
    pruned = pruned_of(from_torch(module))
    written, masks = to_torch(pruned, module, masks=True)
    train(written)
    assert_zero_where_removed(from_torch(written), pruned)
    assert all((layer.weight_mask == mask).all() for layer, mask in zip((written[0], written[2]), masks))
    back = to_torch(from_torch(module), module)  # a network without masks of its own: those that were there stay
    train(back)
    removed = [(module[l].weight_mask == 0).numpy() for l in (0, 2)]
    assert not any(w[r].any() for w, r in zip(from_torch(back).weights, removed))


def test_a_written_module_trains_as_any() -> None:
    module = nn.Sequential(nn.Linear(4, 5, bias=False), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3))
    module(torch.ones(2, 4)).sum().backward()
    pruned = pruned_of(from_torch(module))
    written = to_torch(pruned, module)
    assert all(p.grad is None and p.requires_grad for p in written.parameters())
    assert module[0].weight.grad is not None
    train(written)
    assert copy.deepcopy(written).state_dict().keys() == written.state_dict().keys()


def test_layers_that_share_a_weight() -> None:
    shared = nn.Linear(4, 4)
    module = nn.Sequential(shared, nn.Tanh(), shared)
    mlp = from_torch(module)
    assert_computes(outputs(module, samples(mlp)), mlp, samples(mlp), "float32")
    with pytest.raises(ValueError, match=r"0\.weight and 0\.weight are one parameter, which .* has two values"):
        to_torch(pruned_of(mlp), module)
    both = mlp.replace([0.5 * mlp.weights[0]] * 2, [mlp.biases[0] + 1] * 2)
    written = to_torch(both, module)
    assert written[0] is written[2]
    assert_computes(outputs(written, samples(mlp)), both, samples(mlp), "float32")
    with pytest.raises(ValueError, match=r"0\.bias and 0\.bias are one parameter"):
        to_torch(both.replace(both.weights, mlp.biases[:1] + both.biases[1:]), module)
    apart = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    apart[2].weight = apart[0].weight
    prune.identity(apart[0], "bias")
    with pytest.raises(ValueError, match=r"0\.weight and 2\.weight are one parameter"):
        to_torch(pruned_of(from_torch(apart)), apart)
    with pytest.raises(ValueError, match=r"'0\.weight' and '2\.weight' are one tensor"):
        to_torch(pruned_of(mlp), apart.state_dict())


# What is refused


class Impostor:
    class ReLU(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x.clamp(0.1)

    class Linear(nn.Linear):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return F.linear(x, 2 * self.weight, self.bias)


class Function(nn.Module):  # type: ignore[misc]
    """A forward pass that is a function of one's own."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.a, self.b, self.function = nn.Linear(4, 4), nn.Linear(4, 4), function

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def hooked(hook: Callable[..., Any], place: str = "register_forward_hook") -> Any:
    module = plain()
    getattr(module[0], place)(hook)
    return module


def edited() -> Any:
    """A graph that calls itself Sequential and skips its activation."""
    traced = torch.fx.symbolic_trace(plain())
    (node,) = [node for node in traced.graph.nodes if node.target == "1"]
    with traced.graph.inserting_after(node):
        negative = traced.graph.call_function(torch.neg, (node.args[0],))
    node.replace_all_uses_with(negative)
    traced.graph.erase_node(node)
    traced.recompile()
    type(traced).__name__ = "Sequential"
    return traced


def changed_in_training() -> Any:
    return Function(lambda self, x: self.b(self.a(x) + 1.0 if self.training else self.a(x)))


def branching(self: Any, x: Any) -> Any:
    return self.b(x) if x.sum() > 0 else self.a(x)


def lost(self: Any, x: Any) -> Any:
    x = self.a(x)
    F.relu(x, inplace=True)
    return self.b(x)


def computed_weight(self: Any, x: Any) -> Any:
    return F.linear(x, self.a.weight * self.b.weight)


class Uncopied(nn.Linear):  # type: ignore[misc]
    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("a lock")


def orthogonal() -> Any:
    return nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(4, 3)))


def mostly_dead() -> Any:
    """Its last layer sees something of one sample in a few."""
    module = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 3))
    module[0].weight.data[:] = torch.ones(1, 2)
    module[0].bias.data -= 1.5
    module[2].register_forward_pre_hook(lambda layer, x: (1.5 * x[0],))
    return module


def clipped(dtype: Any) -> Any:
    """A hook takes part only where preactivations are large."""
    module = nn.Sequential(nn.Linear(4, 5), nn.Softplus(threshold=40)).to(dtype)
    module[0].register_forward_hook(lambda layer, x, y: y.clamp(-5, 5))
    return module


def subclassed() -> Any:
    class Labelled(torch.Tensor):  # type: ignore[misc, name-defined]
        pass

    module = plain()
    module[0].weight = nn.Parameter(module[0].weight.detach().as_subclass(Labelled))
    return module


def quantised() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(plain(), {nn.Linear})


def compiled_hook() -> Any:
    module = compiled(plain())
    module.register_forward_hook(lambda layer, x, y: 2 * y)
    return module


def own_forward() -> Any:
    module = plain()
    module[0].forward = lambda x: 2 * F.linear(x, module[0].weight)
    return module


L = nn.Linear
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "convolution": (
        lambda: nn.Sequential(L(4, 3), nn.Sequential(nn.Conv1d(1, 1, 1))),
        r"layer 1\.0 is Conv1d\(",
    ),
    "recurrent": (lambda: nn.LSTM(4, 3), r"it is LSTM\(4, 3\); supported are Linear, Identity"),
    "slope": (
        lambda: nn.Sequential(L(4, 3), nn.LeakyReLU(0.2)),
        "layer 1 is LeakyReLU.* {'negative_slope': 0.01}",
    ),
    "alpha": (lambda: nn.Sequential(L(4, 3), nn.ELU(2.0)), r"expected {'alpha': 1\.0} for it"),
    "tanh gelu": (lambda: nn.Sequential(L(4, 3), nn.GELU("tanh")), "expected {'approximate': 'none'} for it"),
    "beta": (lambda: nn.Sequential(L(4, 3), nn.Softplus(2.0)), r"expected {'beta': 1\.0} for it"),
    "threshold": (lambda: nn.Sequential(L(4, 3), nn.Softplus(threshold=5)), r"expected {'threshold': 20\.0} for it"),
    "double softplus": (
        lambda: nn.Sequential(L(4, 3), nn.Softplus()).double(),
        r"expected {'threshold': 40\.0} for it",
    ),
    "softmax of one": (lambda: nn.Sequential(L(4, 1), nn.Softmax(1)), "layer 1 is the softmax of one output, which is"),
    "log of one": (lambda: nn.Sequential(L(4, 1), nn.LogSoftmax(1)), "expected a sigmoid, or none"),
    "not computed": (lambda: orthogonal().half(), "a weight cannot be computed .NotImplementedError: .*orgqr"),
    "two activations": (
        lambda: nn.Sequential(L(4, 3), nn.ReLU(), nn.Tanh()),
        "layer 2 is tanh; expected one activation",
    ),
    "activation first": (lambda: nn.Sequential(nn.ReLU(), L(4, 3)), "layer 0 is relu; expected one activation after"),
    "softmax inside": (
        lambda: nn.Sequential(L(4, 3), nn.Softmax(1), L(3, 3)),
        "layer 1 is softmax; supported at the end",
    ),
    "softmax over samples": (
        lambda: nn.Sequential(L(4, 3), nn.Softmax(0)),
        r"Softmax\(dim=0\); expected dim=1",
    ),
    "no statistics": (
        lambda: nn.Sequential(L(4, 3), nn.BatchNorm1d(3, track_running_stats=False)),
        "which keeps no statistics; expected track_running_stats=True",
    ),
    "norm at the end": (
        lambda: nn.Sequential(L(4, 3), nn.ReLU(), nn.BatchNorm1d(3)),
        "layer 2 scales what an activation gives; expected a Linear next",
    ),
    "norm, activation": (
        lambda: nn.Sequential(L(4, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.ReLU()),
        "layer 3 is relu; expected one activation after each Linear",
    ),
    "no layers": (lambda: nn.Sequential(nn.Flatten()), "expected at least one Linear layer, got none"),
    "widths": (
        lambda: nn.Sequential(L(4, 3), L(4, 3)),
        r"its own forward pass fails .*: RuntimeError",
    ),
    "flattened rows": (
        lambda: nn.Sequential(L(4, 1), nn.Flatten(0)),
        r"its own outputs have shape \(32,\), .* \(32, 1\)",
    ),
    "lazy": (
        lambda: nn.Sequential(nn.LazyLinear(3)),
        "the weight of LazyLinear.* has no values yet; call",
    ),
    "meta": (lambda: plain().to("meta"), "weight of 0: is on the device meta, whose values cannot be read"),
    "subclass": (subclassed, "cannot be copied"),
    "quantised": (quantised, "layer 0 is DynamicQuantizedLinear.*; supported are Linear"),
    "TorchScript inside": (
        lambda: nn.Sequential(torch.jit.script(L(4, 3)), L(3, 2)),
        "layer 0 is TorchScript, which is not read; hand over the module",
    ),
    "TorchScript": (lambda: torch.jit.script(plain()), "is TorchScript, which is not read; hand over the module"),
    "not copied": (lambda: Uncopied(4, 3), r"cannot be copied \(RuntimeError: a lock\); hand over its state_dict"),
    "hook": (
        lambda: hooked(lambda layer, x, y: 2 * y),
        "its own outputs are .* away from those of",
    ),
    "clamp in a hook": (
        lambda: hooked(lambda layer, x, y: y.clamp(-3, 3)),
        "something else takes part: a forward",
    ),
    "hook of large outputs": (lambda: clipped(torch.float32), "its own outputs are .* away from those of"),
    "hook of large doubles": (lambda: clipped(torch.float64), "its own outputs are .* away from those of"),
    "hook of what is mostly dead": (mostly_dead, "its own outputs are .* away from those of"),
    "hook before": (lambda: hooked(lambda layer, x: (2 * x[0],), "register_forward_pre_hook"), "its own outputs are"),
    "hook around": (compiled_hook, "OptimizedModule around it has forward hooks of its own; remove them"),
    "not its ReLU": (
        lambda: nn.Sequential(L(4, 3), Impostor.ReLU()),
        "node clamp is neither a layer nor",
    ),
    "not its Linear": (lambda: nn.Sequential(Impostor.Linear(4, 3)), "the weight of linear is computed, by mul"),
    "own forward": (own_forward, "no chain that torch.fx can follow"),
    "edited graph": (edited, "node neg is neither a layer nor an activation"),
    "sum": (lambda: Function(lambda self, x: self.b(F.relu(self.a(x))) + 1.0), "node add is neither a layer nor"),
    "skip": (
        lambda: Function(lambda self, x: self.b(x + self.a(x))),
        "layer a is beside the chain|node add is neither",
    ),
    "gate": (
        lambda: Function(lambda self, x: self.b(self.a(x) * torch.sigmoid(x))),
        "sigmoid is beside the chain",
    ),
    "control flow": (
        lambda: Function(branching),
        "no chain that torch.fx can follow .*TraceError.* hand over",
    ),
    "in place and lost": (lambda: Function(lost), "node relu is beside the chain"),
    "tuple": (lambda: Function(lambda self, x: (self.a(x), x)), "it returns a tuple; expected one chain"),
    "constant": (lambda: Function(lambda self, x: F.relu(self.a.weight)), "takes no output of a layer before it"),
    "no input": (lambda: Function(lambda self, x: torch.ones(3)), "takes no output of a layer before it"),
    "weight": (lambda: Function(computed_weight), "the weight of linear is computed, by mul; expected a parameter"),
    "dropout": (
        lambda: Function(lambda self, x: F.dropout(self.a(x))),
        "dropout drops in evaluation too; expected",
    ),
    "functional slope": (
        lambda: Function(lambda self, x: F.leaky_relu(self.a(x), 0.3)),
        r"node leaky_relu; expected {'negative_slope': 0\.01} for it",
    ),
    "random": (lambda: Function(lambda self, x: self.a(x) + torch.rand(4)), "node add is neither a layer nor an act"),
    "functional softmax": (lambda: Function(lambda self, x: F.softmax(self.a(x), 0)), "node softmax; expected dim=1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_network_computes_is_named(name: str) -> None:
    make, words = REFUSED[name]
    module = make()
    random_state = torch.get_rng_state()
    with pytest.raises(ValueError, match=f"^module: .*({words})"):
        from_torch(module)
    assert (torch.get_rng_state() == random_state).all()


ACCEPTED: dict[str, Callable[[Any, Any], Any]] = {
    "functions": lambda self, x: F.gelu(self.b(F.silu(self.a(x)))),
    "methods": lambda self, x: self.b(self.a(x).relu_()).tanh(),
    "torch": lambda self, x: torch.sigmoid(self.b(torch.sin(self.a(torch.flatten(x, 1))))),
    "parameters": lambda self, x: F.elu(self.b(F.leaky_relu(self.a(x), 0.01)), alpha=1.0),
    "keywords": lambda self, x: F.softplus(input=self.b(input=F.relu(self.a(x))), threshold=60),
    "linear": lambda self, x: F.linear(F.linear(x, self.a.weight, self.a.bias), weight=self.b.weight, bias=self.b.bias),
    "shapes": lambda self, x: self.b(self.a(x.reshape(-1, x.shape[1])).view(x.size(0), x.dim() * 2)).float(),
    "dropout": lambda self, x: self.b(F.alpha_dropout(torch.dropout(self.a(x), 0.5, False))),
    "twice": lambda self, x: self.a(F.relu(self.a(x))),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_chain_of_functions_is_read_and_written(name: str) -> None:
    torch.manual_seed(0)
    module = Function(ACCEPTED[name])
    mlp = from_torch(module)
    assert_computes(outputs(module, samples(mlp)), mlp, samples(mlp), "float32")
    if name != "twice":
        pruned = pruned_of(mlp)
        assert_computes(outputs(to_torch(pruned, module), samples(mlp)), pruned.mlp, samples(mlp), "float32")


def test_a_function_softmax_is_left_out() -> None:
    module = Function(lambda self, x: self.a(x).softmax(-1))
    mlp = read_and_said(from_torch, module, "softmax")
    assert_computes(outputs(module, samples(mlp)), mlp, samples(mlp), "float32", "softmax")


def test_a_hook_that_looks_on_is_let_pass() -> None:
    seen: list[Any] = []
    assert from_torch(hooked(lambda layer, x, y: seen.append(y.shape))).sizes == (4, 5, 3)
    assert seen


def test_a_graph_that_was_traced_is_read() -> None:
    module = torch.fx.symbolic_trace(plain())
    pruned = pruned_of(from_torch(module))
    assert_computes(outputs(to_torch(pruned, module), samples(pruned.mlp)), pruned.mlp, samples(pruned.mlp), "float32")


def test_values_that_were_loaded_since_the_last_forward_pass_are_read() -> None:
    module = plain()
    prune.random_unstructured(module[0], "weight", 0.5)
    nn.utils.weight_norm(module[2])
    other = {key: value if "mask" in key else 2 * value + 0.1 for key, value in module.state_dict().items()}
    module.load_state_dict(other)
    mlp = from_torch(module)
    assert_computes(outputs(module, samples(mlp)), mlp, samples(mlp), "float32")


def test_a_submodule_may_be_missing_or_compiled() -> None:
    module = Function(lambda self, x: self.b(self.a(x)))
    module.a, module.absent = compiled(module.a), None
    assert from_torch(module).sizes == (4, 4, 4)
    module = nn.DataParallel(compiled(plain()))
    assert from_torch(module).sizes == (4, 5, 3)


@pytest.mark.parametrize("what", [None, "model.pt", 3, torch.ones(2)], ids=lambda what: type(what).__name__)
def test_what_is_no_module_is_named(what: Any) -> None:
    message = f"module: expected a torch.nn.Module or a state dict, got {type(what).__name__}"
    with pytest.raises(TypeError, match=message):
        from_torch(what)
    with pytest.raises(TypeError, match=message):
        to_torch(from_torch(plain()), what)


@pytest.mark.parametrize("name", ["activation", "output_activation"])
def test_an_activation_beside_a_module_has_no_effect_and_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected none, for it has no effect beside a module, whose"):
        from_torch(plain(), **{name: "relu"})


def test_what_cannot_be_written_is_named() -> None:
    pruned = pruned_of(from_torch(plain()))
    cases: list[tuple[Any, str]] = [
        (plain((4, 6, 3)), r"expected layers of shapes \[\(5, 4\), \(3, 5\)\] as in the network, got \[\(6, 4\)"),
        (nn.Sequential(L(4, 5), nn.ReLU(), L(5, 3)), r"expected the network's activations \['tanh', 'identity'\]"),
        (weight_norm_and_mask(), "what 0.weight is made of cannot be removed .*; remove it, then export"),
        (Unbiased(), "there is no bias beside first; expected one"),
        (Trained(), "after export, in training mode: its own outputs are .* away"),
    ]
    for module, words in cases:
        with pytest.raises(ValueError, match=f"^module: {words}"):
            to_torch(pruned, module)
    mlp = pruned.mlp.replace(pruned.mlp.weights, [0 * b for b in pruned.mlp.biases])
    assert_computes(outputs(to_torch(mlp, Unbiased()), samples(mlp)), mlp, samples(mlp), "float32")
    with pytest.raises(TypeError, match="masks: expected bool, got str"):
        to_torch(pruned, plain(), masks="yes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"0\.weight: the network's values are too large for torch\.float16"):
        to_torch(pruned.mlp.replace([1e6 * w for w in pruned.mlp.weights], pruned.mlp.biases), plain().half())


def weight_norm_and_mask() -> Any:
    module = plain()
    nn.utils.weight_norm(module[0])
    prune.random_unstructured(module[0], "weight_v", 0.2)
    return module


class Unbiased(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Parameter(torch.ones(shape)) for shape in ((5, 4), (3, 5)))

    def forward(self, x: Any) -> Any:
        return F.linear(F.linear(x, self.first).tanh(), self.second)


class Trained(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.chain = plain()

    def forward(self, x: Any) -> Any:
        y = self.chain(x)
        return y + 1.0 if self.training else y


def test_a_parametrised_weight_is_written_plain() -> None:
    class Double(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, w: Any) -> Any:
            return 2 * w

    module = plain()
    nn.utils.parametrize.register_parametrization(module[0], "weight", Double())
    nn.utils.parametrize.register_parametrization(module[0], "bias", Double())
    pruned = pruned_of(from_torch(module))
    written = to_torch(pruned, module)
    assert type(written[0]) is nn.Linear
    assert_computes(outputs(written, samples(pruned.mlp)), pruned.mlp, samples(pruned.mlp), "float32")


# State dicts of tensors


def test_a_state_dict_goes_out_in_its_own_dtype() -> None:
    module = plain().half()
    pruned = pruned_of(from_torch(module.state_dict(), "tanh"))
    state, masks = to_torch(pruned, module.state_dict(), masks=True)
    assert {value.dtype for value in [*state.values(), *masks]} == {torch.float16}
    module.load_state_dict(state)
    assert_computes(outputs(module, samples(pruned.mlp)), pruned.mlp, samples(pruned.mlp), "float16")


TENSORS: dict[str, tuple[Callable[[], Any], str]] = {
    "sparse": (
        lambda: torch.ones(3, 4).to_sparse(),
        r"module\['0.weight'\]: is a sparse tensor; hand over",
    ),
    "quantised": (lambda: torch.quantize_per_tensor(torch.ones(3, 4), 0.1, 0, torch.qint8), "is quantised; hand over"),
    "meta": (lambda: torch.ones(3, 4, device="meta"), "is on the device meta, whose values cannot be read"),
    "int8": (lambda: torch.ones(3, 4, dtype=torch.int8), "'0.weight' holds int8; a quantised weight"),
    "complex": (lambda: torch.ones(3, 4, dtype=torch.complex64), "got an array of complex64"),
}


@pytest.mark.filterwarnings("ignore:.*quant:UserWarning")
@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_without_real_values_is_named(name: str) -> None:
    make, words = TENSORS[name]
    with pytest.raises((ValueError, TypeError), match=words):
        from_torch({"0.weight": make()})


def test_float8_is_read_by_value() -> None:
    assert (from_torch({"weight": torch.ones(3, 4).to(torch.float8_e4m3fn)}).weights[0] == 1).all()
