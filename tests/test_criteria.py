"""EC-6: the rival criteria against their formulas, written as loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from networks import Drawn, make, networks

import ecprune_np as ec


@given(networks(logits=True))
def test_each_criterion_is_its_formula(d: Drawn) -> None:
    """EC-6.4, EC-6.6 to EC-6.8."""
    trace = ec.forward(d.mlp, d.x)
    _, gradient = ec.loss_gradient(d.mlp, d.x, d.labels, "cross_entropy")
    moments = ec.collect_moments(d.mlp, d.x)
    criteria = [
        ec.criteria.magnitude(d.mlp),
        ec.criteria.gradient_magnitude(d.mlp, d.x, d.labels, "cross_entropy"),
        ec.criteria.wanda(d.mlp, d.x),
        ec.criteria.obd(d.mlp, d.x),
    ]
    for l, w in enumerate(d.mlp.weights):
        for i, j in np.ndindex(w.shape):
            norm = np.sqrt(sum(a**2 for a in trace.inputs[l][:, j]) / len(d.x))
            curvature = moments.variance[l][i, j] + moments.sensitivity[l][i] * moments.mean[l][i, j] ** 2
            expected = [
                abs(w[i, j]),
                abs(w[i, j] * gradient.weights[l][i, j]),
                abs(w[i, j]) * norm,
                w[i, j] ** 2 * curvature,
            ]
            got = [c.importance[l][i, j] for c in criteria]
            np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert all((s == 0).all() for c in criteria for s in c.bias_shift)


def test_random_is_reproducible_and_uniform() -> None:
    mlp = ec.MLP.initialize([50, 40])
    first, again, other = (ec.criteria.random(mlp, seed).importance[0] for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
    assert first.min() >= 0 and first.max() < 1
    assert first.mean() == pytest.approx(0.5, abs=0.03)


def test_ec_is_among_the_criteria() -> None:
    assert ec.criteria.elimination_compensation is ec.elimination_compensation
    d = make([2, 2])
    assert (ec.criteria.obd(d.mlp, d.x).importance[0] >= ec.elimination_compensation(d.mlp, d.x).importance[0]).all()
