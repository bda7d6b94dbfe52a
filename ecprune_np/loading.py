"""Whatever a `save` of this package wrote, read back as what it was."""

from __future__ import annotations

from ._files import Contents, kind_of, load_arrays
from ._types import File
from .mlp import MLP
from .moments import Moments
from .pruning.pruned import Pruned
from .scores import Scores
from .sparse import SparseMLP

KINDS = {kind.__name__: kind for kind in (MLP, Pruned, SparseMLP, Moments, Scores)}


def load(file: File) -> MLP | Pruned | SparseMLP | Moments | Scores:
    """Read a network, a pruned or a sparse one, moments or scores: what the file says that it holds.

    Nothing is ever unpickled.

    Parameters
    ----------
    file : path
        Written by the `save` of one of these.

    Returns
    -------
    MLP, Pruned, SparseMLP, Moments or Scores
        What was saved.

    Raises
    ------
    TypeError, ValueError
        Where the file is missing, damaged or of another kind, or an array is missing or wrong; names the file.

    Examples
    --------
    >>> ec.MLP([[[2.0, 1.0]]], [[0.0]]).save("network.npz")
    >>> ec.load("network.npz")
    MLP(2-1, 'tanh', 'identity', float64)
    """
    contents = Contents(file, load_arrays(file))
    kind = kind_of(contents.arrays)
    if kind is None:
        raise ValueError(f"{file}: expected a file that a save wrote, got arrays of no kind that is known")
    return KINDS[kind].load(contents)  # type: ignore[arg-type]  # in the place of its path
