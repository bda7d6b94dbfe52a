"""Pictures of arrays, a pixel an entry, as PNG within the page."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape

import numpy as np

from .._types import Array

LIMIT = 512  # pixels of a side: what is larger is drawn in blocks
BLUE, ORANGE = (47, 120, 214), (208, 108, 8)  # seen on white and on black, and told apart by the colour-blind

Colour = tuple[int, int, int, int]


def png(levels: Array, palette: Sequence[Colour]) -> bytes:
    """The file: `levels` (rows, columns) of numbers of the palette's colours, red, green, blue and opacity."""
    height, width = levels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # the first byte of a row: it is stored as it is
    rows[:, 1:] = levels
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    colours = bytes(c for colour in palette for c in colour[:3])
    opacities = bytes(colour[3] for colour in palette)
    parts = [(b"IHDR", header), (b"PLTE", colours), (b"tRNS", opacities)]
    parts += [(b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def picture(levels: Array, palette: Sequence[Colour], said: str, width: int, ratio: float) -> str:
    """An image of the page, at most `width` wide, `ratio` times as wide as high; `said` to those who do not see it."""
    data = base64.b64encode(png(levels, palette)).decode()
    sharp = " sharp" if levels.shape[1] * 2 <= width else ""
    return (
        f"<img class='pixels{sharp}' alt='{escape(said)}' style='width: {width}px; aspect-ratio: {ratio:.4f}' "
        f"src='data:image/png;base64,{data}'>"
    )


def ramp(colour: tuple[int, int, int], n: int) -> list[Colour]:
    """The colour in n opacities, of which the least is seen already."""
    return [(*colour, round(55 + 200 * k / n)) for k in range(1, n + 1)]


def in_blocks(values: Array) -> tuple[Array, tuple[int, int]]:
    """The means over blocks, so large that no side is longer than LIMIT, and the rows and columns of a block."""
    rows, columns = block = tuple(-(-n // LIMIT) for n in values.shape)
    starts = [np.arange(0, n, step) for n, step in zip(values.shape, block)]
    sums = np.add.reduceat(values, starts[0], axis=0, dtype=np.float64)
    sizes = [np.diff(np.append(first, n)) for first, n in zip(starts, values.shape)]
    return np.add.reduceat(sums, starts[1], axis=1) / np.outer(*sizes), (rows, columns)
