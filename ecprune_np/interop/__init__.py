"""Networks from and to other frameworks, each of which is imported where an object of it is handed in.

What comes in computes here what it computed there, or a ValueError or TypeError names what stands in the way; what
goes out computes there what the network computes.  A softmax at the end is left out, and that is said in a warning
(of scikit-learn's classifiers it is what `predict_proba` adds): outputs here are the logits.

from_layers         a list of (W, b)
from_torch          a PyTorch module, or a state dict
from_keras          a Keras 3 model, Sequential or Functional
from_sklearn        a fitted MLPRegressor or MLPClassifier
from_flax           a tree of Flax parameters
from_equinox        an Equinox MLP
from_safetensors    a safetensors file
from_onnx           an ONNX model
to_torch            a copy of a module or a state dict, and its masks
to_keras            a model of the same layers, which keeps what was removed at zero
to_sklearn          a copy of an estimator
keep_zeros          what was removed from it is zero again, after more training
to_flax             a tree of parameters, and its masks
to_safetensors      a file
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


def __dir__() -> list[str]:
    return sorted(__all__)
