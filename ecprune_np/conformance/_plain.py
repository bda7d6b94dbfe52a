"""Findings and results as plain data for JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..error_analysis.comparison import digits
from ._outcome import Entry, Result
from .diagnosis import Finding


def finding_dict(finding: Finding) -> dict[str, Any]:
    """What is wrong."""
    return {
        "id": finding.id,
        "sentence": finding.sentence,
        "equation": finding.equation,
        "ranking": finding.ranking,
        "explained": finding.explained,
        "wrong": finding.wrong,
        "exact": finding.exact,
        "cases": list(finding.cases),
        "contradicted": list(finding.contradicted),
    }


def result_dict(result: Result) -> dict[str, Any]:
    """A case's verdict."""
    entry = result.worst_entry
    return {
        "case": result.case.name,
        "flags": list(result.case.flags),
        "status": result.status,
        "message": result.message,
        "overwrote": list(result.outcome.overwrote),
        "disturbed": list(result.outcome.disturbed),
        "traceback": result.outcome.traceback,
        "varies": result.outcome.varies,
        "not_given": list(result.outcome.not_given),
        "worst": None if entry is None else _entry_dict(entry),
    }


def _entry_dict(entry: Entry) -> dict[str, Any]:
    return {
        "quantity": entry.quantity,
        "layer": entry.layer,
        "row": entry.row,
        "column": entry.column,
        "value": _plain(entry.value),
        "reference": entry.reference,
        "error": _plain(entry.error),
        "tolerance": entry.tolerance,
        "digits": digits(entry.error) if np.isfinite(entry.value) else 0.0,
    }


def _plain(number: float) -> float | str:
    """JSON has no NaN and no infinity."""
    return number if np.isfinite(number) else str(number)
