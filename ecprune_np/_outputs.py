"""What a command writes: checked before the work, said after it; and how far it has come, on a terminal."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from ._text import size

Item = TypeVar("Item")

BAR = 30  # characters


def check_outputs(outputs: dict[str, Path | None], inputs: Sequence[Path]) -> None:
    """Raise for a file that cannot be written, or would replace an input or another output: before any work is done."""
    taken = {path.resolve(): f"the input {path}" for path in inputs}
    for option, path in outputs.items():
        if path is None:
            continue
        if path.exists() and not path.is_file():
            raise ValueError(
                f"{option}: expected a file, got {path}, which is a {'folder' if path.is_dir() else 'device'}"
            )
        if path.resolve() in taken:
            raise ValueError(f"{option}: expected a file of its own, got {path}, which is {taken[path.resolve()]}")
        taken[path.resolve()] = f"what {option} writes"
        try:
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise ValueError(f"{option}: {path} cannot be written: {error.strerror}") from None


def check_suffix(option: str, path: Path | None, *suffixes: str) -> None:
    """Raise where a file's name does not end as what is written into it."""
    if path is not None and path.suffix.lower() not in suffixes:
        raise ValueError(f"{option}: expected a file that ends in {' or '.join(suffixes)}, got {path}")


def write(file: Path | None, save: Callable[[Path], object]) -> None:
    """Save a file that is asked for, and say so and how large it is."""
    if file is not None:
        save(file)
        print(f"wrote {file}, {size(file.stat().st_size)}")


def show(text: str) -> None:
    """A line on standard error in place of the last one, where that is a terminal; none for no text."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def counted(k: int, n: int) -> str:
    """That the k-th of n is at work, as a bar too."""
    done = BAR * (k - 1) // n
    return f"{k}/{n} [{'#' * done}{'.' * (BAR - done)}]"


def progress(label: str, items: Iterable[Item]) -> Iterator[Item]:
    """The items, counted on a terminal."""
    todo = list(items)
    try:
        for k, item in enumerate(todo, start=1):
            show(f"{label} {counted(k, len(todo))}")
            yield item
    finally:
        show("")


def epoch_progress(epochs: int) -> Callable[[int, float], None]:
    """A callback for `train` that shows the epoch and its loss on a terminal."""

    def report(epoch: int, loss: float) -> None:
        show("" if epoch == epochs else f"training {epoch}/{epochs}, loss {loss:.4f}")

    return report
