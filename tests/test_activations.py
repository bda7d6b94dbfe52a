"""EC-10: every activation's derivative against its own values."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from networks import ACTIVATIONS
from taylor import observed_order

import ecprune_np as ec

DTYPES = [np.float32, np.float64, np.longdouble]
Z = np.concatenate([np.linspace(-6, 6, 97), [-1e-9, 1e-9, 0.0]])
LABELS = ["identity", "relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "sin", "silu", "gelu"]


@pytest.mark.parametrize("name", LABELS, ids=[f"EC-10.{k} {name}" for k, name in enumerate(LABELS, 1)])
def test_derivative_is_the_complex_step_of_the_value(name: str) -> None:
    a = ec.ACTIVATIONS[name]
    expected = a.value(Z + 1e-200j).imag / 1e-200
    error = np.abs(a.derivative(Z) - expected) / np.maximum(np.abs(expected), 0.1)
    assert error.max() < 1e-14, (name, Z[error.argmax()], error.max())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_taylor_remainder_is_of_second_order(name: str) -> None:
    a = ec.ACTIVATIONS[name]
    z = np.array([-2.3, -0.7, 0.4, 1.9])
    assert observed_order(lambda h: a.value(z + h), a.derivative(z)) > 1.9


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_on_the_real_line_are_those_of_complex_arguments(name: str) -> None:
    a = ec.ACTIVATIONS[name]
    z = np.concatenate([Z, [-40.0, -700.0, 40.0]])
    error = np.abs(a.value(z + 0j).real - a.value(z)) / np.maximum(np.abs(a.value(z)), 1e-300)
    assert error.max() < 1e-14, (name, z[error.argmax()], error.max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dtype_is_kept_and_nothing_overflows(name: str, dtype: type) -> None:
    a = ec.ACTIVATIONS[name]
    largest = np.finfo(dtype).max
    z = np.array([-largest, -1e4, -100, -20, -1, 0, 1, 20, 100, 1e4, largest], dtype)
    before = z.copy()
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        value, derivative = a.value(z), a.derivative(z)
    assert value.dtype == derivative.dtype == dtype
    assert np.isfinite(value).all() and np.isfinite(derivative).all()
    assert (z == before).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_longdouble_is_more_precise_than_float64(name: str) -> None:
    """The two differ by the rounding of float64, and by more than none: longdouble does not pass through float64."""
    if np.finfo(np.longdouble).eps == np.finfo(np.float64).eps:
        pytest.skip("longdouble is float64 on this platform")
    a = ec.ACTIVATIONS[name]
    z = np.linspace(-9, 9, 181)
    for function in (a.value, a.derivative):
        wide, narrow = function(z.astype(np.longdouble)), function(z)
        error = np.abs(wide - narrow) / np.maximum(np.abs(wide), 1e-20)
        assert error.max() < 2e-14, (name, z[error.argmax()], error.max())
    exact = name in ("identity", "relu", "leaky_relu")
    assert exact or (a.value(z.astype(np.longdouble)) != a.value(z)).any()


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "silu", "gelu"])
def test_small_derivatives_keep_their_digits(name: str) -> None:
    """Where 1 − σ² would be 0 or all rounding, the derivative is still right to 12 digits."""
    a = ec.ACTIVATIONS[name]
    z = np.array([-18.0]) if name != "tanh" else np.array([18.0])
    expected = {
        "sigmoid": np.exp(-18) / (1 + np.exp(-18)) ** 2,
        "tanh": 1 / np.cosh(18) ** 2,
        "softplus": 1 / (1 + np.exp(18)),
        "silu": (1 - 18 / (1 + np.exp(-18))) / (1 + np.exp(18)),
        "gelu": -18 * np.exp(-162) / np.sqrt(2 * np.pi) * (1 - 1 / 18**2 + 1 / 18**4 - 3 / 18**6 + 15 / 18**8),
    }[name]
    assert abs(a.derivative(z)[0] / expected - 1) < (1e-8 if name == "gelu" else 1e-12)


def test_derivative_of_relu_at_zero_is_zero() -> None:
    assert ec.ACTIVATIONS["relu"].derivative(np.zeros(1))[0] == 0
