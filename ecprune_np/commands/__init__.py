"""The commands on a network of one's own, and the page that they write."""

from __future__ import annotations

import argparse

from . import _compare, _compare_scores, _demo, _prune, _score

__all__ = ["add_arguments"]


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `score`, `prune`, `compare`, `compare-scores` and `demo`."""
    for command in (_score, _prune, _compare, _compare_scores, _demo):
        command.add_arguments(commands)


def __dir__() -> list[str]:
    return sorted(__all__)
