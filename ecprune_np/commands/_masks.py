"""What is left: a bar a layer, and the masks as pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from .._html import card, table
from .._svg import WIDTH, drawing, path, px, text
from .._types import Array, Mask
from ..pruning import Pruned
from ._pixels import BLUE, ORANGE, Colour, in_blocks, picture, ramp

LAYERS = 12  # drawn, of a deep network; the table has them all
ROW = 38  # pixels from one bar to the next
STEPS = 60  # of opacity
TILE: Colour = (128, 128, 128, 28)
LEAST_SIDE = 4  # of an image
TILE_SIDE = 56  # pixels of a neuron's image


def bars(pruned: Pruned) -> str:
    """A bar a layer: the share of its weights that is left."""
    parts, drawn = [], pruned.masks[:LAYERS]
    for l, mask in enumerate(drawn):
        y, length = ROW * l, px(WIDTH * float(mask.mean()))
        parts.append(text(0, y + 13, f"layer {l}: {mask.shape[1]:,} → {mask.shape[0]:,}"))
        parts.append(text(WIDTH, y + 13, f"{mask.sum():,} of {mask.size:,}, {_share(mask)}", anchor="end", kind="ink"))
        parts.append(path("track", f"M0 {y + 19}h{WIDTH}v10h-{WIDTH}z"))
        parts.append(path("fill s0", f"M0 {y + 19}h{length}v10h-{length}z"))
    said = "; ".join(f"layer {l}: {_share(mask)}" for l, mask in enumerate(drawn))
    more = f"The first {LAYERS} of {len(pruned.masks)} layers; the table has them all."
    return card(
        "Weights left in each layer",
        drawing("Weights left in each layer", said, ROW * len(drawn), parts),
        more if len(pruned.masks) > LAYERS else "",
        _without("neurons", [(len(m) - m.any(axis=1).sum(), len(m)) for m in drawn]),
        _without("inputs", [(m.shape[1] - m.any(axis=0).sum(), m.shape[1]) for m in drawn]),
    )


def _share(mask: Mask) -> str:
    return f"{100 * mask.mean():.3g} %"


def _without(what: str, lost: Sequence[tuple[int, int]]) -> str:
    """Which layers have neurons, or inputs, that have lost every weight."""
    told = [f"{n:,} of {total:,} in layer {l}" for l, (n, total) in enumerate(lost) if n]
    return f"{what.capitalize()} without a weight: {', '.join(told)}." if told else f"All {what} have a weight left."


def counts(pruned: Pruned) -> str:
    """The numbers of the bars, and how many neurons and inputs have a weight left, as a table."""
    head = ("layer", "size", "weights left", "of", "share", "neurons with a weight", "inputs with a weight")
    rows = [
        (
            f"{l}",
            f"{mask.shape[1]:,} → {mask.shape[0]:,}",
            f"{mask.sum():,}",
            f"{mask.size:,}",
            _share(mask),
            f"{mask.any(axis=1).sum():,}",
            f"{mask.any(axis=0).sum():,}",
        )
        for l, mask in enumerate(pruned.masks)
    ]
    return table("Each layer in numbers", head, rows, 2)


def pictures(pruned: Pruned) -> Iterator[str]:
    """The first layer folded to the image that its inputs are, if they are one; then each layer's mask."""
    side = math.isqrt(pruned.masks[0].shape[1])
    if side >= LEAST_SIDE and side**2 == pruned.masks[0].shape[1]:
        yield _inputs(pruned.masks[0], side)
        yield _neurons(pruned.mlp.weights[0], pruned.masks[0], side)
    for l, mask in enumerate(pruned.masks[:LAYERS]):
        yield _mask(l, mask)


def _inputs(mask: Mask, side: int) -> str:
    """How many weights each input has left, folded to the image."""
    kept = mask.sum(axis=0)
    most = max(int(kept.max()), 1)
    shares, block = in_blocks(kept.reshape(side, side) / most)
    none = f"{(kept == 0).sum():,} of {kept.size:,} have none."
    colours = ramp(BLUE, STEPS)
    image = picture(_steps(shares), [TILE, *colours], f"{side} by {side} inputs as an image: {none}", 300, 1)
    stops = "".join(
        f"<stop offset='{place}' stop-color='rgb{BLUE}' stop-opacity='{opacity / 255:.2f}'/>"
        for place, (*_, opacity) in ((0, colours[0]), (1, colours[-1]))
    )
    scale = f"<linearGradient id='scale'>{stops}</linearGradient>"
    scale += "<rect x='20' y='0' width='180' height='9' fill='url(#scale)'/>"
    words = [text(8, 9, "0"), text(206, 9, f"{most:,} weights left")]
    return card(
        f"Inputs, as an image of {side} by {side}",
        image + drawing("Scale", f"The more weights, the stronger the colour, up to {most:,}.", 12, [scale, *words]),
        f"How many weights each input has left; {none}",
        _in_blocks(block),
    )


def _neurons(weights: Array, mask: Mask, side: int) -> str:
    """The weights that neurons of the first layer have left, each folded to the image, in one picture."""
    block = -(-side // TILE_SIDE)
    pitch = -(-side // block) + 1
    across = min(max(180 // pitch, 3), 8)  # so that an entry is two pixels wide or more
    chosen = np.sort(np.argsort(-mask.sum(axis=1), kind="stable")[: across**2])
    across = math.ceil(math.sqrt(len(chosen)))
    sheet = np.zeros((pitch * -(-len(chosen) // across) - 1, pitch * across - 1), np.uint8)
    for k, i in enumerate(chosen):
        y, x = pitch * (k // across), pitch * (k % across)
        relative = _relative(weights[i], mask[i]).reshape(side, side)
        sheet[y : y + pitch - 1, x : x + pitch - 1] = _signed_steps(_strongest(relative, block))
    palette = [(0, 0, 0, 0), TILE, *ramp(BLUE, STEPS), *ramp(ORANGE, STEPS)]
    said = f"{len(chosen)} neurons of the first layer, each as an image of its inputs, with the weights that are left"
    return card(
        "Neurons of the first layer",
        picture(sheet, palette, said, 360, sheet.shape[1] / sheet.shape[0]),
        f"Of {len(mask):,} neurons the {len(chosen)} with the most weights left." if len(chosen) < len(mask) else "",
        "Blue is positive, orange negative, and the stronger, the larger beside the neuron's largest weight.",
        f"A pixel is the largest of {block} by {block} weights." if block > 1 else "",
    )


def _relative(weights: Array, mask: Mask) -> Array:
    """The weights beside the largest of them, from -1 to 1: 0 where they are removed, and only there."""
    largest = np.abs(weights).max()
    size = np.abs(weights / largest) if largest > 0 else np.zeros_like(weights)
    return np.where(mask, np.where(weights < 0, -1, 1) * np.maximum(size, 1e-9), 0).astype(np.float64)


def _strongest(values: Array, block: int) -> Array:
    """Of each block of an image the entry that is furthest from zero."""
    starts = np.arange(0, len(values), block)
    high, low = (
        bound.reduceat(bound.reduceat(values, starts, axis=0), starts, axis=1) for bound in (np.maximum, np.minimum)
    )
    return np.where(high >= -low, high, low)


def _steps(shares: Array) -> Array:
    """The steps of a ramp for numbers from 0 to 1: 0 for zero alone."""
    steps: Array = np.ceil(shares * STEPS).astype(np.uint8)
    return steps


def _signed_steps(relative: Array) -> Array:
    """1 for what is removed, then STEPS steps for positive ones and STEPS for negative ones."""
    return np.where(relative < 0, 1 + STEPS, 1).astype(np.uint8) + _steps(np.abs(relative))


def _mask(l: int, mask: Mask) -> str:
    """A layer's mask: a row a neuron, a column an input."""
    n_neurons, n_inputs = mask.shape
    shares, block = in_blocks(mask)
    cell = min(360 / n_inputs, 14)
    ratio = n_inputs * cell / min(max(n_neurons * cell, 8), 420)
    said = f"Mask of layer {l}: {mask.sum():,} of {mask.size:,} weights left"
    return card(
        f"Mask of layer {l}",
        picture(_steps(shares), [(*BLUE, 0), *ramp(BLUE, STEPS)], said, math.ceil(n_inputs * cell), ratio),
        f"Neurons from top to bottom ({n_neurons:,}), inputs from left to right ({n_inputs:,}). What is blue is left.",
        _in_blocks(block),
    )


def _in_blocks(block: tuple[int, int]) -> str:
    if block == (1, 1):
        return ""
    return f"A pixel is the mean over {block[0]} by {block[1]} of them."
