"""Arguments are checked here, once, with errors that name the argument and what came."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ._types import Array, Masks

Name = TypeVar("Name", bound=str)
HALVES = ("float16", "bfloat16", "bool")  # samples may have them, networks not
DTypes = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.longdouble))


def dense(name: str, value: Any) -> None:
    """Raise for a sparse array, and for one with masked entries, alone or in a list, which an array cannot express."""
    for array in (value, *value) if isinstance(value, (list, tuple)) else (value,):
        layout = str(getattr(array, "layout", ""))  # as PyTorch calls it
        if hasattr(array, "toarray") or layout.startswith("torch.sparse"):
            makes_one = f"its {'to_dense' if layout else 'toarray'}() makes one"
            raise TypeError(f"{name}: expected a dense array, got {type(array).__name__}; {makes_one}")
        if np.ma.is_masked(array):
            raise ValueError(f"{name}: expected no masked entries, got {array.mask.sum()} of them; fill or drop them")


def as_array(name: str, value: Any) -> Array:
    """`value` as an array of whatever it holds; raises where it is none, as a list of rows of unlike length."""
    dense(name, value)
    if str(getattr(value, "dtype", "")) == "torch.bfloat16":  # which NumPy does not have
        value = value.float()
    try:
        return np.asarray(value)
    except Exception as error:  # NumPy's, or that of an object which says that it can be an array
        raise ValueError(f"{name}: expected an array, got {type(value).__name__} ({one_line(error)})") from error


def real_array(name: str, value: Any, dtype: Any = None) -> Array:
    """`value` as an array of finite reals, cast to `dtype` or, without one, to the dtype that computes."""
    array = as_array(name, value)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "iu" or (dtype is not None and array.dtype.name in HALVES):
        array = array.astype(np.float64 if dtype is None else dtype)  # by value
    if array.dtype not in DTypes:
        kind = type(value).__name__
        objects = f"{kind} of objects, of which astype(float) makes numbers" if array.ndim else kind
        came = array.dtype if array.dtype != object else objects
        raise TypeError(f"{name}: expected float32, float64, longdouble or integers, got {came}")
    given = array
    if dtype is not None:
        with overflow_raised_later():
            array = array.astype(dtype, copy=False)
    all_finite(name, given, array)
    return array


def all_finite(name: str, given: Array, cast: Array, first_row: int = 0) -> None:
    """Raise where `cast`, which is `given` in another dtype, is not finite; rows are counted from `first_row`."""
    flat = cast.ravel("K")
    with overflow_raised_later():
        if np.isfinite(flat @ flat):  # one fast pass: a sum of squares hides nothing that is not finite
            return
    finite = np.isfinite(cast)
    if not finite.all():
        index = [int(i) for i in np.argwhere(~finite)[0]]
        came = given[tuple(index)]
        place = [first_row + index[0], *index[1:]] if index else index
        raise ValueError(f"{name}: not finite at {place} ({came}{f' as {cast.dtype}' if np.isfinite(came) else ''})")


def at_once(name: str, value: Any, width: int) -> None:
    """Raise for batches and what gives them, where one array of all samples is expected."""
    several = isinstance(value, (list, tuple))
    for item in value if several else (value,):
        if hasattr(item, "sample_weight"):  # as an ec.Batch has
            came = f"a {type(value).__name__} of {type(item).__name__}" if several else type(item).__name__
            raise TypeError(
                f"{name}: expected an array (N, {width}), got {came}; hand over its x, and its y as targets"
            )
    is_array = several or hasattr(value, "__array__") or hasattr(value, "shape")
    if isinstance(value, Iterable) and not is_array and not isinstance(value, (str, bytes)):
        what = "the array in it" if isinstance(value, Mapping) else "all samples as one array"
        raise TypeError(f"{name}: expected an array (N, {width}), got {type(value).__name__}; hand over {what}")


def samples(name: str, value: Any, width: int, dtype: Any) -> Array:
    """`value` as samples in rows, shape (N, width) with N ≥ 1."""
    at_once(name, value, width)
    array = real_array(name, value, dtype)
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(f"{name}: expected shape (N, {width}), got {array.shape}")
    if len(array) == 0:
        raise ValueError(f"{name}: expected at least one sample, got shape {array.shape}")
    return array


def sample_weights(value: Any, n_samples: int, dtype: Any) -> Array:
    """`sample_weight` as non-negative weights, shape (N,), that do not sum to zero."""
    array = real_array("sample_weight", value, dtype)
    if array.shape != (n_samples,):
        raise ValueError(f"sample_weight: expected shape ({n_samples},), got {array.shape}")
    if (array < 0).any():
        index = int(np.argmax(array < 0))
        raise ValueError(f"sample_weight: expected no negative weight, got {array[index]} at [{index}]")
    with overflow_raised_later():
        total = array.sum()
    if not 0 < total < np.inf:
        raise ValueError(f"sample_weight: expected a positive, finite sum, got {total}")
    return array


def one_of(name: str, value: Any, choices: Collection[Name]) -> Name:
    """`value` if it is one of the names."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a name, got {type(value).__name__}")
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
    return value  # type: ignore[return-value]  # it is equal to one of them


def integer(name: str, value: Any, minimum: int) -> int:
    """`value` as an int of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    if value < minimum:
        raise ValueError(f"{name}: expected at least {minimum}, got {value}")
    return int(value)


def number(name: str, value: Any, minimum: float, maximum: float) -> float:
    """`value` as a float in [minimum, maximum]."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    if not minimum <= float(value) <= maximum:
        raise ValueError(f"{name}: expected a number from {minimum:g} to {maximum:g}, got {value}")
    return float(value)


def instance(name: str, value: Any, kind: type) -> None:
    """Raise unless `value` is a `kind`."""
    if not isinstance(value, kind):
        inside = "; hand over its mlp, and its masks where there are any" if hasattr(value, "masks") else ""
        raise TypeError(f"{name}: expected {kind.__name__}, got {type(value).__name__}{inside}")


def function(name: str, value: Any) -> None:
    """Raise unless `value` is a function to be called, or None."""
    if value is not None and not callable(value):
        raise TypeError(f"{name}: expected a function, got {type(value).__name__}")


def per_layer(name: str, value: Any, shapes: Sequence[tuple[int, ...]], dtype: Any = None) -> tuple[Array, ...]:
    """`value` as one array of finite reals a layer, with the given shapes."""
    arrays = tuple(real_array(f"{name}[{l}]", a, dtype) for l, a in enumerate(sequence(name, value)))
    if len(arrays) != len(shapes):
        raise ValueError(f"{name}: expected {len(shapes)} layers, got {len(arrays)}")
    for l, (array, shape) in enumerate(zip(arrays, shapes)):
        if array.shape != shape:
            raise ValueError(f"{name}[{l}]: expected shape {shape}, got {array.shape}")
    return arrays


def boolean_masks(value: Any, shapes: Sequence[tuple[int, ...]]) -> Masks:
    """`masks` as one boolean array a layer, True = kept."""
    masks = tuple(as_array(f"masks[{l}]", mask) for l, mask in enumerate(sequence("masks", value)))
    if len(masks) != len(shapes):
        raise ValueError(f"masks: expected {len(shapes)} layers, got {len(masks)}")
    for l, (mask, shape) in enumerate(zip(masks, shapes)):
        if mask.dtype != np.bool_:
            raise TypeError(f"masks[{l}]: expected booleans (True = kept), got {mask.dtype}")
        if mask.shape != shape:
            raise ValueError(f"masks[{l}]: expected shape {shape}, got {mask.shape}")
    return masks


def float_type(name: str, value: Any) -> np.dtype[Any]:
    """`value` as one of the dtypes that compute."""
    try:
        dtype = np.dtype(value)
    except TypeError:
        dtype = np.dtype(object)
    if value is None or dtype not in DTypes:
        came = value if isinstance(value, (str, type, np.dtype)) else type(value).__name__
        raise TypeError(f"{name}: expected float32, float64 or longdouble, got {came}")
    checked: np.dtype[Any] = dtype
    return checked


def path(name: str, value: Any) -> Path:
    """`value` as the path of a file."""
    if not isinstance(value, (str, os.PathLike)) or "\0" in str(value):
        came = repr(value) if isinstance(value, str) else type(value).__name__
        raise TypeError(f"{name}: expected the path of a file, got {came}")
    return Path(value)


def formats(arrays: Sequence[Array]) -> list[tuple[tuple[int, ...], str]]:
    """The shape and dtype of each array, to be compared and shown."""
    return [(array.shape, str(array.dtype)) for array in arrays]


def one_line(error: Exception) -> str:
    """What an error of another library says, and of what class it is, in a line that is not too long."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 300 else f'{text[:300]} ...'}"


def sequence(name: str, value: Any) -> Sequence[Any]:
    """`value` if it is a list or a tuple: one entry a layer."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name}: expected a list or tuple with one array a layer, got {type(value).__name__}")
    return value


def frozen(array: Array) -> Array:
    """A copy that cannot be written to."""
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy


def layer_shapes(weights: Sequence[Array], biases: Sequence[Array]) -> None:
    """Raise unless weights (n_l, n_{l-1}) and biases (n_l,) fit together, layer by layer."""
    if len(weights) == 0:
        raise ValueError("weights: expected at least one layer, got none")
    if len(biases) != len(weights):
        raise ValueError(f"biases: expected {len(weights)} layers as in weights, got {len(biases)}")
    for l, (w, b) in enumerate(zip(weights, biases)):
        if w.ndim != 2 or 0 in w.shape:
            raise ValueError(f"weights[{l}]: expected shape (n_out, n_in) with no zero, got {w.shape}")
        if l > 0 and w.shape[1] != len(weights[l - 1]):
            raise ValueError(f"weights[{l}]: expected {len(weights[l - 1])} columns, got {w.shape[1]}")
        if b.shape != (len(w),):
            raise ValueError(f"biases[{l}]: expected shape ({len(w)},), got {b.shape}")


def without_effect(**given: tuple[Any, str]) -> None:
    """Raise for an argument, name=(value, why), that is not None though nothing would come of it."""
    for name, (value, why) in given.items():
        if value is not None:
            came = repr(value) if isinstance(value, (str, int, float)) else type(value).__name__
            raise ValueError(f"{name}: expected none, for it has no effect {why}; got {came}")


def overflow_raised_later() -> np.errstate:
    """A context where overflow, and what follows from it, is silent: a check of the results names its place."""
    return np.errstate(over="ignore", invalid="ignore", under="ignore")


def no_overflow(what: str, arrays: Sequence[Array]) -> None:
    """Raise if a computed value overflowed: an oracle never returns inf or NaN."""
    for l, array in enumerate(arrays):
        if not np.isfinite(array).all():
            raise ValueError(
                f"{what}: overflow in layer {l} ({array.dtype}); expected magnitudes that can be squared, "
                "rescale the network or its inputs, or use a wider dtype"
            )
