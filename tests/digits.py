"""How many digits are right on every conformance case, against exact arithmetic, and how many are certified.

    python tests/digits.py scores     importances and shifts: true digits, and what a certificate claims of them
    python tests/digits.py pruned     of "independent", "joint" and "row", at half the weights
    python tests/digits.py obs        OBS and OBC: errors on the scale of R, and relative to themselves

Some minutes each; the derivations quote the last lines.  The extra `exact` is needed.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from test_certify_pruned import gaps
from test_exact import check_certificate

import ecprune_np as ec


def scores(case: Any) -> Iterator[tuple[str, np.ndarray]]:
    """True digits less certified ones."""
    yield "importances and shifts", check_certificate(case.mlp, ec.Batch(case.x), "output")


def pruned(case: Any) -> Iterator[tuple[str, np.ndarray]]:
    """True digits less certified ones."""
    for compensation in ("independent", "joint", "row"):
        yield compensation, gaps(case.mlp, case.x, compensation, 0.5)


def obs(case: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Errors."""
    scale = np.concatenate([R.ravel() for R in ec.oracle.exact(case.mlp, case.x).uncompensated])
    for name in ("obs", "obc"):
        truth = ec.oracle.exact_criterion(name, case.mlp, case.x).importance  # type: ignore[arg-type]
        found = getattr(ec.criteria, name)(case.mlp, case.x).importance
        error, right = (
            np.concatenate([a.ravel() for a in arrays]) for arrays in (map(np.subtract, found, truth), truth)
        )
        for what, size in (("on the scale of R", scale), ("relative", right)):
            relative = np.divide(np.abs(error), size, out=np.zeros_like(size), where=size > 0)
            yield f"{name} {what}", relative


COMMANDS: dict[str, Callable[[Any], Iterator[tuple[str, np.ndarray]]]] = {
    "scores": scores,
    "pruned": pruned,
    "obs": obs,
}


def main(command: str) -> None:
    warnings.simplefilter("ignore")
    found: dict[str, list[np.ndarray]] = {}
    for case in ec.conformance.cases():
        for what, values in COMMANDS[command](case):
            print(f"{case.name:<24} {what:<24} median {np.median(values):.2g}, at most {values.max():.2g}", flush=True)
            found.setdefault(what, []).append(values)
    print()
    for what, parts in found.items():
        every = np.concatenate(parts)
        worst = " ".join(f"{part.max():.1g}" for part in sorted(parts, key=np.max)[:-4:-1])
        print(
            f"{what:<24} median {np.median(every):.2g}, 9 of 10 below {np.quantile(every, 0.9):.2g}, "
            f"the worst three cases {worst}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    main(sys.argv[1])
