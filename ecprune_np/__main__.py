"""The command line: `python -m ecprune_np COMMAND`, or `ecprune_np COMMAND`."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from . import __version__, book, commands, equations
from .conformance import _cli as conformance


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, as all errors are said."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 2 for bad input, with its message on standard error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Greek letters gets question marks
    script = Path(sys.argv[0]).stem == __package__
    parser: argparse.ArgumentParser = _Parser(
        prog=__package__ if script else f"python -m {__package__}",
        description="The reference for elimination-compensation pruning.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_arguments(subparsers)
    conformance.add_arguments(subparsers)
    equations.add_arguments(subparsers)
    book.add_arguments(subparsers)
    options = parser.parse_args(arguments)
    options.command_line = f"{parser.prog} {shlex.join(sys.argv[1:] if arguments is None else arguments)}"

    def warn(message: Warning | str, *_: object, **__: object) -> None:
        print(f"{parser.prog} {options.command}: warning: {message}", file=sys.stderr)

    try:
        with warnings.catch_warnings():
            warnings.showwarning = warn
            code = int(options.run(options))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, TypeError, OSError, MemoryError) as error:
        print(f"{parser.prog} {options.command}: {str(error) or 'not enough memory'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog} {options.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
