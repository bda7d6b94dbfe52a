"""Elimination-compensation pruning of fully-connected networks: the reference implementation.

The data flows one way: network → trace → moments → scores → pruned network.

Ballini, Muscarnera, Fumagalli, Scotti, Regazzoni, arXiv:2602.20467.
"""

from . import conformance, criteria, interop, oracle
from .activations import ACTIVATIONS
from .batches import Batch, BatchError
from .joint import joint_shifts
from .linearization import LinearizationError, linearization_error
from .losses import Gradient, accuracy, loss_gradient, mean_loss
from .mlp import MLP, Trace, forward, pullback
from .moments import Moments, collect_moments
from .pruning import Pruned, prune, prune_iteratively, sparsity_schedule
from .scores import Scores, elimination_compensation
from .sparse import SparseMLP
from .surgeon import obc_update, obs_update
from .training import train

__version__ = "0.1.0"

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "Batch",
    "BatchError",
    "Gradient",
    "LinearizationError",
    "Moments",
    "Pruned",
    "Scores",
    "SparseMLP",
    "Trace",
    "accuracy",
    "collect_moments",
    "conformance",
    "criteria",
    "elimination_compensation",
    "forward",
    "interop",
    "joint_shifts",
    "linearization_error",
    "loss_gradient",
    "mean_loss",
    "obc_update",
    "obs_update",
    "oracle",
    "prune",
    "prune_iteratively",
    "pullback",
    "sparsity_schedule",
    "train",
]
