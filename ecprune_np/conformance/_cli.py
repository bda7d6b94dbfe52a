"""The commands `verify` and `vectors`."""

from __future__ import annotations

import argparse
import os
import sys
from difflib import get_close_matches
from pathlib import Path

from .._files import save_json, save_text
from .._outputs import check_outputs, write
from ._case import Case
from ._cases import all_cases
from ._html import page
from ._kinds import KINDS, KindName
from ._outcome import LOW_ACCURACY
from ._report import Report
from ._suite import show_progress
from ._vectors import ENDING, check_vectors, write_vectors
from ._worker import CannotImport, check_in_worker

CODES = "Exit code 0: conforms, or with low accuracy (1 with --strict); 1: does not conform"
INTERRUPTED = 130  # as a shell has it for ctrl-C


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `verify` and `vectors write|check`, each with `run`: options -> exit code."""
    verify = commands.add_parser(
        "verify",
        help="verify an implementation, and say what is wrong with it",
        description="Run the conformance cases on a Python callable (weights, biases, activation, x) -> (importance, "
        "bias_shift), or of another --kind. Importing it RUNS THE MODULE'S CODE, in a process of its own. "
        f"{CODES}; 2: the candidate cannot be imported, or a file not be written; 130: interrupted.",
    )
    verify.add_argument(
        "candidate",
        metavar="package.module:function",
        nargs="?",
        help="the callable, or file.py:function; its code is run",
    )
    verify.add_argument(
        "--pruner",
        metavar="package.module:function",
        help="in its place a pruning step (weights, biases, activation, x, sparsity, scope) -> (weights, biases)",
    )
    verify.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="a case that takes longer is stopped and fails; importing has no limit (default: 60)",
    )
    _add_kind(verify)
    verify.add_argument("--case", metavar="NAME", action="append", help="only this case; may be given several times")
    verify.add_argument("--group", metavar="NAME", action="append", help="only this group; may be given several times")
    verify.add_argument("-x", dest="first_only", action="store_true", help="stop at the first case that fails")
    add_outputs(verify)
    _add_strict(verify)
    verify.set_defaults(run=_verify)

    vectors = commands.add_parser("vectors", help="the conformance cases as JSON files, for any language")
    actions = vectors.add_subparsers(dest="action", required=True, metavar="write|check")
    write = actions.add_parser("write", help="write DIR/<case>.json, one file a case, and a JSON schema")
    write.add_argument("directory", metavar="DIR")
    write.set_defaults(run=_write)
    check = actions.add_parser(
        "check",
        help=f"judge the results DIR/<case>{ENDING}",
        description=f'Judge DIR/<case>{ENDING}: {{"importance": [...], "bias_shift": [...]}}, '
        f"a nested list a layer. {CODES}.",
    )
    check.add_argument("directory", metavar="DIR")
    _add_kind(check)
    add_outputs(check)
    _add_strict(check)
    check.set_defaults(run=_check)


def _add_kind(parser: argparse.ArgumentParser) -> None:
    names = [name for name in KINDS if name != "pruner"]
    told = ", ".join(names)
    parser.add_argument(
        "--kind",
        metavar="NAME",
        choices=names,
        default="ec",
        help=f"what it returns: {told} (default: ec); what each is given is in the README of the vectors",
    )


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """The files that a report is written to."""
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the report as JSON")
    parser.add_argument(
        "--html", metavar="FILE", type=Path, help="write the report as a page with a picture per failing case"
    )


def _add_strict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strict", action="store_true", help="exit with 1 also for low accuracy")


def _verify(options: argparse.Namespace) -> int:
    try:
        target, kind = _target(options)
        chosen = _chosen(all_cases(kind), options.case or [], options.group or [])
        _check_outputs(options)
        report = check_in_worker(target, chosen, options.timeout, options.first_only, show_progress)
    except CannotImport as error:
        print(error, file=sys.stderr)
        return 2
    code = finish(report, options, options.strict)
    return INTERRUPTED if any(note.startswith("interrupted") for note in report.notes) else code


def _target(options: argparse.Namespace) -> tuple[str, KindName]:
    """What is to be imported, and of which kind it is."""
    if (options.candidate is None) == (options.pruner is None):
        raise ValueError("expected package.module:function, or --pruner package.module:function")
    if options.pruner is None:
        return options.candidate, options.kind
    if options.kind != "ec":
        raise ValueError(f"--kind {options.kind}: does not go with --pruner")
    return options.pruner, "pruner"


def _chosen(among: tuple[Case, ...], names: list[str], group_names: list[str]) -> tuple[Case, ...]:
    """The cases of these names and groups; all where none is named."""
    known = {case.name for case in among}, {case.group for case in among}
    for option, given, there in (("--case", names, known[0]), ("--group", group_names, known[1])):
        for name in given:
            if name not in there:
                near = get_close_matches(name, there, 3) or sorted(there)[:8]
                raise ValueError(f"{option}: there is no {name!r}; is it one of {', '.join(near)}?")
    if not names and not group_names:
        return among
    return tuple(case for case in among if case.name in names or case.group in group_names)


def _check_outputs(options: argparse.Namespace) -> None:
    check_outputs({"--json": options.json, "--html": options.html}, [])


def _write(options: argparse.Namespace) -> int:
    count = write_vectors(options.directory)
    print(f"{count} cases written to {options.directory}; put the results beside them as <case>{ENDING}")
    return 0


def _check(options: argparse.Namespace) -> int:
    _check_outputs(options)
    return finish(check_vectors(options.directory, options.kind), options, options.strict)


def finish(report: Report, options: argparse.Namespace, strict: bool = False) -> int:
    """Print the report, and write it to the files that are asked for; the exit code."""
    print(report.text(colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    write(options.json, lambda file: save_json(file, report.to_dict()))
    write(options.html, lambda file: save_text(file, page(report)))
    return int(not report.ok or (strict and report.verdict == LOW_ACCURACY))


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number of seconds, got {text}")
    return seconds
