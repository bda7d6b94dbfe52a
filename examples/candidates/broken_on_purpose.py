"""EC in PyTorch as one would write it first, and wrong: one backward pass from the sum of the outputs.

python -m ecprune_np verify broken_on_purpose:candidate
"""

import torch
from torch_autograd import ACTIVATIONS


def candidate(weights, biases, activation, x):
    a, layers = torch.tensor(x), []
    for w, b in zip(weights, biases):
        z = a @ torch.tensor(w).T + torch.tensor(b, requires_grad=True)
        z.retain_grad()
        layers.append((torch.tensor(w), a.detach(), z))
        a = ACTIVATIONS[activation](z)
    layers[-1][2].sum().backward()  # here: (Σ_k J_k)² is not Σ_k J_k²
    importance, bias_shift = [], []
    for w, a, z in layers:
        s = z.grad**2
        total = s.sum(dim=0)[:, None]
        mean = s.T @ a / torch.where(total > 0, total, 1)
        importance.append((w**2 * (s[:, :, None] * (a[:, None] - mean) ** 2).mean(dim=0)).numpy())
        bias_shift.append((w * mean).numpy())
    return importance, bias_shift
