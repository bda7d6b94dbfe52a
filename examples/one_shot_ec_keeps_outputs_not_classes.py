"""Why one-shot EC loses to magnitude on the published 784-40-20-10 network, though it changes the outputs less.

    python examples/one_shot_ec_keeps_outputs_not_classes.py --checkpoint FILE

FILE as for mlpnet.py.  Of each method right after pruning: the test accuracy; E‖f_pruned − f‖² on the test images, in
per cent of the outputs' variance; the same as the importances of the removed weights add up to; what is left of the
first layer, and how many neurons in use.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import mlpnet
import mnist
import numpy as np

import ecprune_np as ec
from ecprune_np.data import Dataset
from ecprune_np.methods import Data, pruner

METHODS = ("magnitude", "wanda", "obd", "ec-unshifted", "ec")
SPARSITIES = (0.8, 0.9, 0.95)


def lines(mlp: ec.MLP, data: Dataset, n_samples: int) -> Iterator[list[str]]:
    """A line of the table for each sparsity and method."""
    x = data.x_train[np.random.default_rng(0).permutation(len(data.x_train))[:n_samples]]
    importance = ec.elimination_compensation(mlp, x).importance
    f = mlp(data.x_test)
    variance = f.var(axis=0).sum()
    for sparsity in SPARSITIES:
        for method in METHODS:
            pruned = pruner(method, mlp, Data(ec.Batch(x), None, 0))(sparsity)
            change = ((pruned.mlp(data.x_test) - f) ** 2).sum(axis=1).mean()
            counted = sum(values[~mask].sum() for values, mask in zip(importance, pruned.masks))
            accuracy = ec.accuracy(pruned.mlp, ec.Batch(data.x_test, y=data.y_test))
            percents = (
                100 * part for part in (accuracy, change / variance, counted / variance, pruned.masks[0].mean())
            )
            used = sum(int(mask.any(axis=1).sum()) for mask in pruned.masks)
            yield [f"{sparsity:g}", method, *(f"{percent:.1f}" for percent in percents), str(used)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mlpnet.add_files(parser)
    options = parser.parse_args(arguments)
    try:
        folder = mnist.mnist_folder(options.mnist)
        mnist.check_mnist(folder)
        mlp, data = mlpnet.load(mlpnet.checkpoint_of(options), folder, mlpnet.FULL)
    except (ValueError, OSError) as error:
        print(f"one_shot_ec_keeps_outputs_not_classes: {error}", file=sys.stderr)
        return 1
    head = ["ratio", "method", "accuracy", "change", "sum of I", "first layer left", "neurons in use"]
    print("\t".join(head))
    for line in lines(mlp, data, mlpnet.FULL.n_samples):
        print("\t".join(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
