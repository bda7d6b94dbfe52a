"""EC in JAX: the pullback of every output at once, by vmap over unit cotangents.

python -m ecprune_np verify jax_candidate:candidate
"""

from functools import partial

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "sin": jnp.sin,
    "silu": jax.nn.silu,
    "gelu": lambda z: jax.nn.gelu(z, approximate=False),
}


def forward(changes, weights, biases, sigma, x):
    """The outputs where `changes[l]` (N, n_l) is added to the preactivations, and the layers' inputs."""
    a, inputs = x, []
    for l, (w, b, change) in enumerate(zip(weights, biases, changes)):
        inputs.append(a)
        z = a @ w.T + b + change
        a = z if l == len(weights) - 1 else sigma(z)
    return a, inputs


@partial(jax.jit, static_argnames="activation")
def scores(weights, biases, activation, x):
    """Importances w² E[s (a − μ)²] and shifts w μ, with μ = E[s a]/E[s] and s_i = Σ_k (∂f_k/∂z_i)²."""
    changes = [jnp.zeros((len(x), len(b)), x.dtype) for b in biases]
    sigma = ACTIVATIONS[activation]
    outputs, pullback, inputs = jax.vjp(lambda c: forward(c, weights, biases, sigma, x), changes, has_aux=True)
    n_samples, n_outputs = outputs.shape
    cotangents = jnp.broadcast_to(jnp.eye(n_outputs, dtype=x.dtype)[:, None], (n_outputs, n_samples, n_outputs))
    (jacobians,) = jax.vmap(pullback)(cotangents)
    importance, bias_shift = [], []
    for w, J, a in zip(weights, jacobians, inputs):
        s = jnp.sum(J**2, axis=0)
        S = jnp.mean(s, axis=0)[:, None]
        mean = jnp.where(S > 0, s.T @ a / n_samples / jnp.where(S > 0, S, 1), 0)
        variance = jnp.mean(s[:, :, None] * (a[:, None, :] - mean) ** 2, axis=0)
        importance.append(w**2 * variance)
        bias_shift.append(w * mean)
    return importance, bias_shift


def candidate(weights, biases, activation, x, dtype=jnp.float64):
    return scores(
        [jnp.asarray(w, dtype) for w in weights],
        [jnp.asarray(b, dtype) for b in biases],
        activation,
        jnp.asarray(x, dtype),
    )


def candidate_float32(weights, biases, activation, x):
    return candidate(weights, biases, activation, x, jnp.float32)
