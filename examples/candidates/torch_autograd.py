"""EC in PyTorch with autograd: one backward pass per output.

python -m ecprune_np verify torch_autograd:candidate
"""

import torch
import torch.nn.functional as F

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "sin": torch.sin,
    "silu": F.silu,
    "gelu": F.gelu,
}


def scores(weights, biases, activation, x, dtype):
    """Importances w² E[s (a − μ)²] and shifts w μ, with μ = E[s a]/E[s] and s_i = Σ_k (∂f_k/∂z_i)²."""
    weights = [torch.tensor(w, dtype=dtype) for w in weights]
    biases = [torch.tensor(b, dtype=dtype, requires_grad=True) for b in biases]
    a, inputs, preactivations = torch.tensor(x, dtype=dtype), [], []
    for l, (w, b) in enumerate(zip(weights, biases)):
        inputs.append(a)
        preactivations.append(a @ w.T + b)
        a = ACTIVATIONS[activation](preactivations[l])
    outputs = preactivations[-1]
    sensitivities = [torch.zeros_like(z) for z in preactivations]
    for k in range(outputs.shape[1]):
        gradients = torch.autograd.grad(outputs[:, k].sum(), preactivations, retain_graph=True)
        sensitivities = [s + g**2 for s, g in zip(sensitivities, gradients)]
    importance, bias_shift = [], []
    for w, s, a in zip(weights, sensitivities, inputs):
        a = a.detach()
        total = s.sum(dim=0)[:, None]
        mean = torch.where(total > 0, s.T @ a / torch.where(total > 0, total, 1), 0)
        variance = (s[:, :, None] * (a[:, None, :] - mean) ** 2).mean(dim=0)
        importance.append((w**2 * variance).numpy())
        bias_shift.append((w * mean).numpy())
    return importance, bias_shift


def candidate(weights, biases, activation, x):
    return scores(weights, biases, activation, x, torch.float64)


def candidate_float32(weights, biases, activation, x):
    return scores(weights, biases, activation, x, torch.float32)
