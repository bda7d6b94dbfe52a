"""The command `book`: the derivations side by side with the code that computes them, as pages for a browser."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from pathlib import Path

from .._files import save_text

SOURCE = Path(__file__).resolve().parents[2]  # a clone or an unpacked source distribution, or else site-packages
EXTRA = "needs the extra `book`: pip install 'ecprune_np[book]', or in a clone pip install -e '.[book]'"
WORKING_TREE = "needs a clone or an unpacked source distribution, which have derivations/ and tests/; this is neither"


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `book [--out DIR] [--open]`."""
    text = "write the derivations beside the code that computes them, as pages for a browser"
    about = "Needs a clone or an unpacked source distribution. Exit code 1: something is wrong, and nothing was written"
    parser = commands.add_parser("book", help=text, description=f"W{text[1:]}. {about}; 2: it cannot be made here.")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("book"), help="where to (default: book)")
    parser.add_argument("--open", action="store_true", help="show it in a browser")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the book; returns 0, or 1 where a label, link, formula or example is wrong, 2 where it cannot be made."""
    if not all((SOURCE / folder).is_dir() for folder in ("derivations", "tests")):
        print(f"book: {WORKING_TREE}", file=sys.stderr)
        return 2
    try:
        from ._site import Book, untested
    except ImportError as error:
        print(f"book: {EXTRA} ({error})", file=sys.stderr)
        return 2
    book = Book(SOURCE)
    files = book.pages()
    if book.wrong:
        print("\n".join(dict.fromkeys(book.wrong)), file=sys.stderr)
        return 1
    for name, text in files.items():
        (options.out / name).parent.mkdir(parents=True, exist_ok=True)
        save_text(options.out / name, text)
    for line in [*book.left_out, *untested(SOURCE)]:
        print(line)
    first = options.out / "index.html"
    print(f"{sum(name.endswith('.html') for name in files)} pages: {first}")
    if options.open:
        webbrowser.open(first.resolve().as_uri())
    return 0
