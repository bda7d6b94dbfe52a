"""The command line: `python -m ecprune_np COMMAND`, or `ecprune_np COMMAND`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__, book, demo, equations
from .conformance import _cli as conformance


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 1 for bad input, with its message on standard error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Greek letters gets question marks
    script = Path(sys.argv[0]).stem == __package__
    parser = argparse.ArgumentParser(
        prog=__package__ if script else f"python -m {__package__}",
        description="The reference for elimination-compensation pruning.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo.add_arguments(commands)
    conformance.add_arguments(commands)
    equations.add_arguments(commands)
    book.add_arguments(commands)
    options = parser.parse_args(arguments)
    try:
        code = int(options.run(options))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, TypeError, OSError) as error:
        print(f"{parser.prog} {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog} {options.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
