"""Why one-shot EC loses on relu at high sparsities: its shifts switch neurons on where they were silent.

A shift is optimal on the samples on which its neuron is active, and to first order: a silent one has s = 0 and does
not count.  Many shifts of one row add up, and the bias carries the neuron over zero on other samples.  784-300-100-10
on MNIST (as `mnist.py` trains it), EC's masks with all, half and none of the shifts, and with those of one layer.

    python examples/relu_shifts_switch_neurons_on.py [--mnist DIR] [--seed N]
"""

from __future__ import annotations

import argparse
import sys

import experiment
import mnist
import numpy as np
from rows import Case

import ecprune_np as ec

ARCHITECTURE = "784-300-100-10"
SPARSITIES = (0.8, 0.9, 0.95)


def shifted(mlp: ec.MLP, pruned: ec.MLP, parts: list[float]) -> ec.MLP:
    """The pruned network with only a part of each layer's shifts."""
    return pruned.replace(pruned.weights, [b + t * (c - b) for b, c, t in zip(mlp.biases, pruned.biases, parts)])


def active(mlp: ec.MLP, x: np.ndarray) -> float:
    """The fraction of the first hidden layer's preactivations that are positive."""
    return float((ec.forward(mlp, x).preactivations[0] > 0).mean())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    mnist.add_folder(parser)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    folder = mnist.mnist_folder(options.mnist)
    try:
        mnist.check_mnist(folder)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    data = mnist.load(folder, mnist.FULL)
    mlp = experiment.train(Case(ARCHITECTURE, "relu", options.seed), data, mnist.FULL)
    scores = ec.elimination_compensation(mlp, data.x_train[: mnist.FULL.n_scored])
    variants = {
        "all": [1, 1, 1],
        "half": [0.5, 0.5, 0.5],
        "layer 1": [1, 0, 0],
        "layer 2": [0, 1, 0],
        "layer 3": [0, 0, 1],
        "none": [0, 0, 0],
    }
    print("test loss with a part of the shifts, and how much of the first layer is active on the test samples")
    print("sparsity" + "".join(f"{name:>9}" for name in variants) + "    dense   all  none")
    for sparsity in SPARSITIES:
        pruned = ec.prune(mlp, scores, sparsity).mlp
        networks = {name: shifted(mlp, pruned, parts) for name, parts in variants.items()}
        losses = [ec.mean_loss(n, data.x_test, data.y_test, "cross_entropy") for n in networks.values()]
        share = [active(n, data.x_test) for n in (mlp, networks["all"], networks["none"])]
        row = "".join(f"{loss:9.3f}" for loss in losses) + "   " + "".join(f"{100 * s:4.0f} %" for s in share)
        print(f"{sparsity:8g}{row}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
