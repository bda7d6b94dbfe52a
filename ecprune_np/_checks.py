"""Arguments are checked here, once, with errors that name the argument and what came."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DTypes = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.longdouble))


def real_array(name: str, value: Any, dtype: Any = None) -> Array:
    """`value` as an array of finite reals, cast to `dtype` or, without one, to the dtype that computes."""
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        array = array.astype(np.float64 if dtype is None else dtype)
    if array.dtype not in DTypes:
        raise TypeError(f"{name}: expected float32, float64, longdouble or integers, got {array.dtype}")
    given = array
    if dtype is not None:
        with np.errstate(over="ignore"):  # reported just below
            array = array.astype(dtype, copy=False)
    all_finite(name, given, array)
    return array


def all_finite(name: str, given: Array, cast: Array, first_row: int = 0) -> None:
    """Raise where `cast`, which is `given` in another dtype, is not finite; rows are counted from `first_row`."""
    flat = cast.ravel("K")
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(flat @ flat):  # one fast pass: a sum of squares hides nothing that is not finite
            return
    finite = np.isfinite(cast)
    if not finite.all():
        index = [int(i) for i in np.argwhere(~finite)[0]]
        came = given[tuple(index)]
        place = [first_row + index[0], *index[1:]] if index else index
        raise ValueError(f"{name}: not finite at {place} ({came}{f' as {cast.dtype}' if np.isfinite(came) else ''})")


def samples(name: str, value: Any, width: int, dtype: Any) -> Array:
    """`value` as samples in rows, shape (N, width) with N ≥ 1."""
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
    with np.errstate(over="ignore"):
        total = array.sum()
    if not 0 < total < np.inf:
        raise ValueError(f"sample_weight: expected a positive, finite sum, got {total}")
    return array


def one_of(name: str, value: Any, choices: Collection[str]) -> str:
    """`value` if it is one of the names."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a name, got {type(value).__name__}")
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
    return value


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
        raise TypeError(f"{name}: expected {kind.__name__}, got {type(value).__name__}")


def per_layer(name: str, value: Any, shapes: Sequence[tuple[int, ...]], dtype: Any = None) -> tuple[Array, ...]:
    """`value` as one array of finite reals a layer, with the given shapes."""
    arrays = tuple(real_array(f"{name}[{l}]", a, dtype) for l, a in enumerate(sequence(name, value)))
    if len(arrays) != len(shapes):
        raise ValueError(f"{name}: expected {len(shapes)} layers, got {len(arrays)}")
    for l, (array, shape) in enumerate(zip(arrays, shapes)):
        if array.shape != shape:
            raise ValueError(f"{name}[{l}]: expected shape {shape}, got {array.shape}")
    return arrays


def boolean_masks(value: Any, shapes: Sequence[tuple[int, ...]]) -> tuple[npt.NDArray[np.bool_], ...]:
    """`masks` as one boolean array a layer, True = kept."""
    masks = tuple(np.asarray(m) for m in sequence("masks", value))
    if len(masks) != len(shapes):
        raise ValueError(f"masks: expected {len(shapes)} layers, got {len(masks)}")
    for l, (mask, shape) in enumerate(zip(masks, shapes)):
        if mask.dtype != np.bool_:
            raise TypeError(f"masks[{l}]: expected booleans (True = kept), got {mask.dtype}")
        if mask.shape != shape:
            raise ValueError(f"masks[{l}]: expected shape {shape}, got {mask.shape}")
    return masks


def formats(arrays: Sequence[Array]) -> list[tuple[tuple[int, ...], str]]:
    """The shape and dtype of each array, to be compared and shown."""
    return [(array.shape, str(array.dtype)) for array in arrays]


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


def no_overflow(what: str, arrays: Sequence[Array]) -> None:
    """Raise if a computed value overflowed: an oracle never returns inf or NaN."""
    for l, array in enumerate(arrays):
        if not np.isfinite(array).all():
            raise ValueError(
                f"{what}: overflow in layer {l} ({array.dtype}); expected magnitudes that can be squared, "
                "rescale the network or its inputs, or use a wider dtype"
            )
