"""EC in PyTorch with torch.func: per-sample Jacobians with respect to the biases, so of the preactivations.

python -m ecprune_np verify torch_func:candidate
"""

import torch
import torch.nn.functional as F
from torch.func import jacrev, vmap

ACTIVATIONS = {
    "identity": torch.clone,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "softplus": F.softplus,
    "sin": torch.sin,
    "silu": F.silu,
    "gelu": F.gelu,
}


def network(biases, weights, sigma, sample):
    """The output for one sample, with each layer's inputs beside it."""
    a, inputs = sample, []
    for w, b in zip(weights[:-1], biases[:-1]):
        inputs.append(a)
        a = sigma(w @ a + b)
    return weights[-1] @ a + biases[-1], (*inputs, a)


def layer_scores(w, J, a):
    """J (N, K, n) and a (N, m), one layer's importance and bias shift."""
    s = J.square().sum(dim=1)
    S = s.mean(dim=0)
    mean = torch.einsum("ni,nj->ij", s, a) / len(a) / S.where(S > 0, 1)[:, None]
    variance = torch.einsum("ni,nij->ij", s, (a[:, None] - mean).square()) / len(a)
    return w.square() * variance, w * mean


def candidate(weights, biases, activation, x, dtype=torch.float64):
    weights = tuple(torch.tensor(w, dtype=dtype) for w in weights)
    biases = tuple(torch.tensor(b, dtype=dtype) for b in biases)
    sigma = ACTIVATIONS[activation]
    jacobian = jacrev(lambda b, sample: network(b, weights, sigma, sample), has_aux=True)
    J, inputs = vmap(jacobian, in_dims=(None, 0))(biases, torch.tensor(x, dtype=dtype))
    pairs = [layer_scores(*layer) for layer in zip(weights, J, inputs)]
    return [importance.numpy() for importance, _ in pairs], [shift.numpy() for _, shift in pairs]


def candidate_float32(weights, biases, activation, x):
    return candidate(weights, biases, activation, x, torch.float32)
