"""Networks from and to other frameworks, each of which is imported where an object of it is handed in.

What comes in computes here what it computed there, or a ValueError or TypeError names what stands in the way.  What
goes out computes there what the network computes.
"""

from ._equinox import from_equinox
from ._flax import from_flax, to_flax
from ._keras import from_keras
from ._keras_out import to_keras
from ._layers import from_layers
from ._onnx import from_onnx
from ._safetensors import from_safetensors, to_safetensors
from ._sklearn import from_sklearn, keep_zeros, to_sklearn
from ._torch import from_torch
from ._torch_out import to_torch

__all__ = [
    "from_equinox",
    "from_flax",
    "from_keras",
    "from_layers",
    "from_onnx",
    "from_safetensors",
    "from_sklearn",
    "from_torch",
    "keep_zeros",
    "to_flax",
    "to_keras",
    "to_safetensors",
    "to_sklearn",
    "to_torch",
]
