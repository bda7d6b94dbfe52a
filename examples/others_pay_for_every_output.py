"""Moments beside PyTorch's loop over the outputs and BackPACK's DiagGGNExact, for 10, 100 and 1000 outputs.

784-300-100-K, in float64 and float32.  The loop is `moments_beside_pytorch.py`'s: one `autograd.grad` an output.
BackPACK's exact diagonal of the Gauss-Newton matrix is E[s_i a_j²], a part of the moments: of the cross-entropy with
the metric "fisher", of the squared error, but for a factor, with "output".  All give the same numbers, as is checked.
All go on the same number of threads, in turn; without BackPACK (pip install backpack-for-pytorch) its side is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from in_turn import fastest, network_and_samples
from moments_beside_pytorch import torch_moments

import ecprune_np as ec

OUTPUTS = (10, 100, 1000)
SAMPLES = (6000, 1000, 100)
BATCH = 50  # of BackPACK, which keeps K rows of every layer for each sample


def backpack_diagonals(mlp: ec.MLP, x: torch.Tensor, metric: str) -> list[np.ndarray]:
    """E[s_i a_j²] of every layer."""
    from backpack import backpack, extend
    from backpack.extensions import DiagGGNExact

    layers: list[torch.nn.Module] = []
    for w, b in zip(mlp.weights, mlp.biases):
        linear = torch.nn.Linear(*w.T.shape, dtype=x.dtype)
        linear.weight.data, linear.bias.data = torch.tensor(w), torch.tensor(b)
        layers += [linear, torch.nn.ReLU()]
    model = extend(torch.nn.Sequential(*layers[:-1]))
    loss = extend(torch.nn.CrossEntropyLoss() if metric == "fisher" else torch.nn.MSELoss(reduction="sum"))
    totals = [np.zeros_like(w) for w in mlp.weights]
    for batch in x.split(BATCH):
        outputs = model(batch)
        y = torch.zeros(len(batch), dtype=torch.int64) if metric == "fisher" else torch.zeros_like(outputs)
        model.zero_grad()
        with backpack(DiagGGNExact()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the samples need no gradient
            loss(outputs, y).backward()
        share = len(batch) / len(x) if metric == "fisher" else 1 / (2 * len(x))
        for total, linear in zip(totals, layers[::2]):
            total += share * linear.weight.diag_ggn_exact.numpy()
    return totals


def assert_alike(values: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    """To rounding, beside the largest of a layer: activations near a kink have few digits of their own."""
    for value, truth in zip(values, expected):
        assert np.abs(value - truth).max() <= 1e3 * np.finfo(truth.dtype).eps * truth.max()


def compare(n_outputs: int, n_samples: int, metric: str, dtype: type, repeats: int) -> None:
    """How many times as long the others take."""
    mlp, x = network_and_samples(n_samples, n_outputs)
    mlp, x = mlp.astype(dtype), x.astype(dtype)
    weights, biases = ([torch.tensor(a) for a in arrays] for arrays in (mlp.weights, mlp.biases))
    samples = torch.from_numpy(x)
    sides = {"moments": partial(ec.collect_moments, mlp, x, metric)}
    truth = sides["moments"]().second_moment
    if metric == "output":
        sides["a loop in PyTorch"] = partial(torch_moments, weights, biases, samples)
        assert_alike([np.asarray(square) for _, _, square in sides["a loop in PyTorch"]()], truth)
    try:
        diagonals = backpack_diagonals(mlp, samples, metric)
    except ImportError as error:
        print(f"BackPACK is left out: {error}")
    else:
        sides["BackPACK"] = partial(backpack_diagonals, mlp, samples, metric)
        assert_alike(diagonals, truth)
    times = fastest(sides, repeats)
    ours, ours_cpu = times.pop("moments")
    print(f"K = {n_outputs:4}, {metric}, {np.dtype(dtype)}: moments {1e3 * ours / n_samples:7.3f} ms a sample", end="")
    for name, (wall, cpu) in times.items():
        print(f"; {name} {wall / ours:.1f} times as long ({cpu / ours_cpu:.1f})", end="")
    print()


def main(repeats: int = 4) -> None:
    for n_outputs, n_samples in zip(OUTPUTS, SAMPLES):
        for metric in ("output", "fisher"):
            for dtype in (np.float64, np.float32):
                compare(n_outputs, n_samples, metric, dtype, repeats)
    print(f"{torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
