"""What annotations share: arrays, masks, files, and the names that options take."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]
Masks: TypeAlias = tuple[Mask, ...]
File: TypeAlias = str | os.PathLike[str]

ActivationName: TypeAlias = Literal[
    "identity", "relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "sin", "silu", "gelu"
]
LossName: TypeAlias = Literal["mse", "cross_entropy"]
MetricName: TypeAlias = Literal["output", "softmax", "fisher", "mse", "cross_entropy"]
Metric: TypeAlias = MetricName | Callable[[Array], npt.ArrayLike]  # a callable: outputs (N, K) to cotangents (R, N, K)
Optimizer: TypeAlias = Literal["adam", "lbfgs"]
Scope: TypeAlias = Literal["global", "layer"]
Compensation: TypeAlias = Literal["independent", "guarded", "joint", "row", "refit"]
FreeBiases: TypeAlias = Literal["all", "touched"]
