"""Elimination-compensation pruning of fully-connected networks: the reference implementation.

Ballini, Muscarnera, Fumagalli, Scotti, Regazzoni, arXiv:2602.20467.  The data flows one way:
network → trace → moments → scores → pruned network.  EC-n.m are the equations of `derivations/`, which
`python -m ecprune_np equations` prints; examples assume `import numpy as np` and `import ecprune_np as ec`.

Network
    MLP                         z^l = W^l a^{l-1} + b^l, a^l = σ(z^l)
    ACTIVATIONS                 σ and σ' by name
    forward                     the forward pass
    Trace                       what it saw
Derivatives
    pullback                    ∂(c_rᵀ f)/∂z^l, layer by layer
Losses
    mean_loss                   E[ℓ(f(x), y)]
    loss_gradient               and its derivatives
    Gradient                    in every weight and bias
    train                       training and fine-tuning
    accuracy                    how often the largest output is the right one
Data argument
    Batch                       samples with their weights and targets; x is an array, a Batch, or an iterator of them
    BatchError                  a batch was bad: which one
Moments
    collect_moments             S_i, μ_ij, v_ij over any number of samples
    Moments                     what they are merged and saved as
Scores
    elimination_compensation    I_ij = w_ij² v_ij and δ*_ij = w_ij μ_ij
    Scores                      importance and bias shift of every weight
Pruning
    prune                       the least important weights go, the biases answer
    prune_iteratively           in many bites
    prune_and_train             training what is left after every bite
    sparsity_schedule           how large these are
    joint_shifts                bias shifts that are optimal together
    Pruned                      the pruned network and its masks
    Summary                     what is left of it, and what it has cost
    SparseMLP                   the weights that are left, in compressed rows
Criteria
    criteria                    magnitude, gradient_magnitude, random, wanda, obd, obc, obs
    obc_update                  a row's weights and bias make up for what it loses
    obs_update                  all parameters do
Oracles
    oracle                      loops, complex_step, finite_differences, nonlinear; certify, refit_biases, true_change
Error analysis
    linearization_error         the true change beside the predicted one
    LinearizationError          where first order can be trusted
    standard_errors             how sure importances and shifts are, and whether there are enough samples
    StandardErrors              them, and which removed weights other samples would keep
    RemovedSet                  how many these are
Other frameworks
    interop                     networks from and to PyTorch, Keras, Flax, scikit-learn, safetensors, ONNX
Conformance
    conformance                 whether another implementation is right, and which mistake it makes
Data
    data                        handwritten digits
    load                        whatever a save wrote
"""

from . import conformance, criteria, data, interop, oracle
from .activations import ACTIVATIONS
from .batch import Batch, BatchError
from .criteria.surgeon import obc_update, obs_update
from .error_analysis import LinearizationError, RemovedSet, StandardErrors, linearization_error, standard_errors
from .evaluation import accuracy
from .fine_tuning import prune_and_train
from .loading import load
from .losses import Gradient, loss_gradient, mean_loss
from .mlp import MLP, Trace, forward, pullback
from .moments import Moments
from .pruning import Pruned, Summary, joint_shifts, prune, prune_iteratively, sparsity_schedule
from .scores import Scores, elimination_compensation
from .sparse import SparseMLP
from .streaming.collect import collect_moments
from .training import train

__version__ = "0.2.0"

__all__ = [  # noqa: RUF022  # in the order of reading, as above
    "MLP",
    "ACTIVATIONS",
    "forward",
    "Trace",
    "pullback",
    "mean_loss",
    "loss_gradient",
    "Gradient",
    "train",
    "accuracy",
    "Batch",
    "BatchError",
    "collect_moments",
    "Moments",
    "elimination_compensation",
    "Scores",
    "prune",
    "prune_iteratively",
    "prune_and_train",
    "sparsity_schedule",
    "joint_shifts",
    "Pruned",
    "Summary",
    "SparseMLP",
    "criteria",
    "obc_update",
    "obs_update",
    "oracle",
    "linearization_error",
    "LinearizationError",
    "standard_errors",
    "StandardErrors",
    "RemovedSet",
    "interop",
    "conformance",
    "data",
    "load",
]


def __dir__() -> list[str]:
    return sorted(__all__)
