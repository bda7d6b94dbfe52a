"""Running the suite on a callable: all its cases, or one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from .. import _checks
from ._case import Case
from ._cases import all_cases, cases
from ._kinds import KINDS, KindName, taken_by
from ._outcome import FAILED, INACCURATE, SKIPPED, Outcome
from ._report import Report
from ._run import Candidate, run
from ._suite import run_suite
from ._verdict import judge
from .diagnosis import diagnose


def check(candidate: Candidate, among: Sequence[Case] | None = None, *, kind: KindName | None = None) -> Report:
    """Run the candidate on every case and judge its answers.

    One whose signature names `metric`, `y`, `sample_weight` or `output_activation` (for gradients `loss`) is given the
    cases that use them too.

    It runs in this process, so that a candidate which hangs, hangs: `python -m ecprune_np verify` has a time limit.

    Parameters
    ----------
    candidate : callable
        `candidate(weights, biases, activation, x)`, called with fresh copies, returns `(importance, bias_shift)`, two
        lists of float32 or float64 arrays shaped as the weights.  Whatever it raises is that case's failure;
        NotImplementedError skips the case; None in the place of importance or bias_shift leaves that out.
    among : sequence of Case, optional
        In place of all cases of the kind.
    kind : str, optional
        What it returns, as the README of the vectors has it: "ec" (the default), "uncompensated", "wanda",
        "gradient_magnitude", "obc", "obs", "loss_gradient" or "pruner".

    Returns
    -------
    Report
        With one result a case.

    Raises
    ------
    TypeError
        Where the candidate cannot be called.
    ValueError
        For an unknown kind, and one beside cases, which have their own.

    Examples
    --------
    >>> def candidate(weights, biases, activation, x):
    ...     scores = ec.elimination_compensation(ec.MLP(weights, biases, activation), x)
    ...     return scores.importance, scores.bias_shift
    >>> ec.conformance.check(candidate, ec.conformance.cases()[:3]).verdict
    'conforms'
    >>> def magnitudes(weights, biases, activation, x):
    ...     return [abs(w) for w in weights]
    >>> ec.conformance.check(magnitudes, kind="wanda").diagnosis[0].id
    'magnitude-alone'
    """
    if among is not None:
        _checks.without_effect(kind=(kind, "beside cases, which have their own"))
    kind = "ec" if kind is None else kind
    _checks.one_of("kind", kind, get_args(KindName))
    _check_callable(candidate, kind)
    takes = tuple(taken_by(candidate))
    chosen = cases(kind, takes) if among is None else tuple(among)
    left_out = not_offered(all_cases(kind), takes) if among is None else ()
    results = run_suite(lambda case: run(candidate, case), chosen)
    return Report(name_of(candidate), results, takes=takes, not_offered=left_out)


def not_offered(among: Sequence[Case], takes: Sequence[str]) -> tuple[Case, ...]:
    """The cases that use a keyword which the candidate does not take."""
    return tuple(case for case in among if not set(takes).issuperset(case.names_of_options))


def check_pruner(pruner: Candidate) -> Report:
    """Run a pruning step on every case, and judge what it makes of the network (EC-5.1).

    It is to remove exactly round(sparsity · n) weights, of all or of each layer, those of lowest importance, ties by
    (layer, row, column); to add the shifts of those that go to the biases beside them; and to move nothing else, its
    arguments included.  No importances at the cut are nearly equal; they tie only where every order of summation gives
    the same number.

    Parameters
    ----------
    pruner : callable
        `pruner(weights, biases, activation, x, sparsity, scope)`, called with fresh copies, returns
        `(weights, biases)`, float32 or float64; scope is "global" or "layer".

    Returns
    -------
    Report
        With one result a case.

    Raises
    ------
    TypeError
        Where the pruner cannot be called.

    Examples
    --------
    >>> def pruner(weights, biases, activation, x, sparsity, scope):
    ...     mlp = ec.MLP(weights, biases, activation)
    ...     pruned = ec.prune(mlp, ec.elimination_compensation(mlp, x), sparsity, scope).mlp
    ...     return pruned.weights, pruned.biases
    >>> ec.conformance.check_pruner(pruner).verdict
    'conforms'
    """
    return check(pruner, kind="pruner")


def check_case(candidate: Candidate, case: Case, strict: bool = False) -> None:
    """Assert that the candidate is right on one case: for `pytest.mark.parametrize("case", cases(), ids=str)`.

    Parameters
    ----------
    candidate : callable
        As for `check`.
    case : Case
        The case.
    strict : bool, default False
        Whether the accuracy of ill-conditioned cases is asserted too.

    Raises
    ------
    TypeError
        Where the candidate cannot be called.
    AssertionError
        Where it is wrong, with the worst entry and the likely mistakes.
    unittest.SkipTest
        Where it raises NotImplementedError, or does not take a keyword of the case; pytest counts the test as skipped.

    Examples
    --------
    >>> def candidate(weights, biases, activation, x):
    ...     scores = ec.elimination_compensation(ec.MLP(weights, biases, activation), x)
    ...     return scores.importance, scores.bias_shift
    >>> ec.conformance.check_case(candidate, ec.conformance.cases()[0])
    """
    _check_callable(candidate, case.kind)
    missing = set(case.names_of_options).difference(taken_by(candidate))
    outcome = Outcome(skipped=f"takes no {' and no '.join(sorted(missing))}") if missing else run(candidate, case)
    result = judge(case, outcome)
    if result.status == SKIPPED:
        from unittest import SkipTest  # here, not above: unittest is slow to import

        raise SkipTest(result.message)
    if result.status == FAILED or (strict and result.status == INACCURATE):
        likely = [f"  judging by this case alone: {f.id}: {f.sentence}" for f in diagnose([result])[:3]]
        raise AssertionError("\n".join([f"{case}: {result.message}", f"  the case: {case.note}", *likely]))


def name_of(candidate: Candidate) -> str:
    """module:function, as the command line takes it, as far as the candidate has them."""
    name = getattr(candidate, "__qualname__", type(candidate).__qualname__)
    return f"{getattr(candidate, '__module__', '')}:{name}".lstrip(":")


def _check_callable(candidate: Any, kind: KindName) -> None:
    if not callable(candidate):
        expected = f"a callable {KINDS[kind].signature}"
        raise TypeError(f"candidate: expected {expected}, got {type(candidate).__name__}")
