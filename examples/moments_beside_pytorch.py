"""Moments beside a well-written PyTorch version, which gives the same numbers; the aim is 0.9 times its time.

784-300-100-10, 12,000 samples, float64, both on the same number of threads.  The PyTorch version is one
`autograd.grad` an output with respect to all preactivations, squares summed, and two matrix products a layer.
The exit status is 1 where the aim is missed.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from in_turn import medians, network_and_samples

import ecprune_np as ec

BATCH = 1500


def torch_moments(weights: list[torch.Tensor], biases: list[torch.Tensor], x: torch.Tensor) -> list[tuple]:
    """Per layer S, E[s a] and E[s a²]."""
    totals = [[0, 0, 0] for _ in weights]
    for batch in x.split(BATCH):
        a, inputs, preactivations = batch, [], []
        for w, b in zip(weights, biases):
            inputs.append(a.detach())
            z = torch.nn.functional.linear(a, w, b).requires_grad_()
            preactivations.append(z)
            a = torch.relu(z)
        sums = [torch.zeros_like(z) for z in preactivations]
        for k in range(z.shape[1]):
            for s, g in zip(sums, torch.autograd.grad(z[:, k].sum(), preactivations, retain_graph=True)):
                s.addcmul_(g, g)
        for total, s, a in zip(totals, sums, inputs):
            total[0] += s.sum(dim=0)
            total[1] += s.T @ a
            total[2] += s.T @ a**2
    return [tuple(value / len(x) for value in total) for total in totals]


def main(repeats: int = 7, n_samples: int = 12_000) -> float:
    mlp, x = network_and_samples(n_samples)
    weights, biases = ([torch.tensor(array) for array in arrays] for arrays in (mlp.weights, mlp.biases))
    samples = torch.from_numpy(x)
    moments = ec.collect_moments(mlp, x)
    for l, (sensitivity, _, square) in enumerate(torch_moments(weights, biases, samples)):
        np.testing.assert_allclose(sensitivity, moments.sensitivity[l], rtol=1e-10)
        np.testing.assert_allclose(square, moments.second_moment[l], rtol=1e-10, atol=1e-14)
    times = medians(
        {
            "PyTorch": lambda: torch_moments(weights, biases, samples),
            "moments": lambda: ec.collect_moments(mlp, x),
        },
        repeats,
    )
    for name, seconds in times.items():
        print(f"{name:<10} {seconds:7.3f} s")
    ratio = times["moments"] / times["PyTorch"]
    print(f"moments / PyTorch ({torch.get_num_threads()} threads)  {ratio:.2f}")
    return ratio


if __name__ == "__main__":
    sys.exit(main() > 0.9)
