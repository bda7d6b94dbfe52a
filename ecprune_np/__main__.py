"""The command line: `python -m ecprune_np COMMAND`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__
from .demo import add_demo_arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 1 for bad input, with its message on standard error."""
    parser = argparse.ArgumentParser(prog="python -m ecprune_np", description="Elimination-compensation pruning.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_demo_arguments(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except (ValueError, TypeError, OSError) as error:
        print(f"{parser.prog} {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog} {options.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
