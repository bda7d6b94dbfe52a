"""Scores of a network of one's own beside the right ones, with the same report and diagnosis as the suite's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, Metric
from ..batch import Batch, Samples, gathered_as_given
from ..error_analysis.comparison import scales
from ..metrics import metric_name
from ..mlp import MLP
from ..scores import elimination_compensation
from ..streaming.collect import collect_moments
from ._case import Case, Layers, Reference
from ._outcome import TOLERANCES, Outcome
from ._report import Report
from ._run import Malformed, outcome_of
from ._verdict import judge
from .diagnosis._own_network import Progress, diagnose_own

OWN = "your network"


def compare(
    mlp: MLP,
    x: Samples,
    importance: Sequence[Any],
    bias_shift: Sequence[Any] | None = None,
    metric: Metric = "output",
) -> Report:
    """Judge what another implementation has found on a network of one's own (EC-3.4, EC-3.5, EC-7.9).

    What is right is the fast path in float64, or longdouble where the network is.  Errors are measured as in the suite:
    |ΔI| against R = w² E[s a²], |Δδ*| against |w| √(E[s a²]/S), up to 1e-9 in float64, 1e-3 in float32, by the dtype
    that came; what rounding has done to the right numbers themselves is far below (`oracle.certify` bounds it).

    Mistakes are tried on a few rows of each layer.  Those within the forward or backward pass cost a pass over the
    samples each, which is less than collecting moments does; all samples are in memory, and what the layers receive.

    Parameters
    ----------
    mlp : MLP
        The network.
    x : array (N, n_0), ec.Batch, or an iterator of them
        The samples; in a batch with their weights, and with targets where the metric is a loss.
    importance : sequence of L arrays (n_l, n_{l-1})
        I_ij as found, float32 or float64.
    bias_shift : sequence of L arrays (n_l, n_{l-1}), optional
        δ*_ij as found; without them the verdict is on importances only, and says so.
    metric : str or callable, default "output"
        As for `collect_moments`.

    Returns
    -------
    Report
        With one result, whose case is the network.

    Raises
    ------
    TypeError, ValueError
        For a wrong argument; wrong shapes and numbers of what was found are told in the report.

    Examples
    --------
    >>> mlp = ec.MLP.initialize([4, 5, 2], "tanh", seed=0)
    >>> x = np.random.default_rng(0).standard_normal((50, 4))
    >>> scores = ec.elimination_compensation(mlp, x)
    >>> ec.conformance.compare(mlp, x, scores.importance).headline
    'conforms, as far as tried: 1 of 1 cases, importance only'
    >>> ec.conformance.compare(mlp, x, [2 * I for I in scores.importance], scores.bias_shift).diagnosis[0].id
    'double'
    """
    return compared(OWN, mlp, x, importance, bias_shift, metric)


def compared(
    name: str,
    mlp: MLP,
    x: Samples,
    importance: Any,
    bias_shift: Any,
    metric: Metric,
    progress: Progress = lambda mistakes: mistakes,
) -> Report:
    """`compare`, of a candidate of that name, with what shows that the hypotheses go on."""
    _checks.instance("mlp", mlp, MLP)
    dtype = np.promote_types(mlp.dtype, np.float64)
    mlp = mlp.astype(dtype)
    batch = gathered_as_given(x, mlp.sizes[0], dtype)
    case = own_case(mlp, batch, metric)
    try:
        outcome = outcome_of((importance, bias_shift), case.quantities)
    except Malformed as error:
        outcome = Outcome(problem=" ".join(str(error).split()))
    result = judge(case, outcome)
    tolerances = ", ".join(f"{tolerance:g} in {dtype}" for dtype, tolerance in TOLERANCES.items())
    notes = (
        f"right is the fast path in {dtype}, on {len(batch.x):,} samples, metric {metric_name(metric)}; errors of "
        f"importances are measured against w² E[s a²], of bias shifts against |w| √(E[s a²]/S), up to {tolerances}",
    )
    return Report(name, (result,), notes, found=tuple(diagnose_own(result, progress)))


def own_case(mlp: MLP, batch: Batch, metric: Metric) -> Case:
    """The network and its samples as a case, with what is right for them."""
    moments = collect_moments(mlp, batch, metric)
    scores = elimination_compensation(mlp, moments)
    arrays: list[Layers] = [scores.importance, scores.bias_shift, *scales(mlp, moments)]
    options: Any = {"metric": metric, "y": batch.y, "sample_weight": batch.sample_weight}
    sizes = "-".join(map(str, mlp.sizes))
    return Case(
        OWN,
        (OWN,),
        f"{sizes}, {len(batch.x):,} samples",
        mlp.weights,
        mlp.biases,
        mlp.activation,  # type: ignore[arg-type]
        batch.x,
        Reference(*(tuple(_double(a) for a in layers) for layers in arrays)),
        output_activation=mlp.output_activation,
        **options,
    )


def _double(a: Array) -> Array:
    return np.asarray(a, np.float64)
