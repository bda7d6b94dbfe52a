"""Makes the embedded subset of MNIST: 14×14 means of 2×2 pixels, 6,000 training and 1,500 test images.

    python examples/make_digits.py --mnist DIR [--out FILE]

The first images of the training and of the test set, in their order, so that the file can be made again
byte by byte.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import ecprune_np
from ecprune_np._files import save_arrays
from ecprune_np.data import load_mnist

N_TRAIN, N_TEST = 6000, 1500


def halve(x: np.ndarray) -> np.ndarray:
    """Images of 28×28 in rows to 14×14 bytes: the mean of each square of four pixels, rounded."""
    squares = np.rint(255 * x).reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    return np.rint(squares).astype(np.uint8).reshape(-1, 196)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", metavar="DIR", help="folder with the four IDX files (or ECPRUNE_MNIST)")
    default = Path(ecprune_np.__file__).parent / "data" / "digits_14x14.npz"
    parser.add_argument("--out", type=Path, default=default, help="the file to write (default: the embedded one)")
    options = parser.parse_args()
    try:
        mnist = load_mnist(options.mnist)
    except ValueError as error:
        print(f"make_digits: {error}", file=sys.stderr)
        return 1
    save_arrays(
        options.out,
        {
            "x_train": halve(mnist.x_train[:N_TRAIN]),
            "y_train": mnist.y_train[:N_TRAIN],
            "x_test": halve(mnist.x_test[:N_TEST]),
            "y_test": mnist.y_test[:N_TEST],
        },
    )
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
