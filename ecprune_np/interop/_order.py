"""In which order layers follow one another, from their names' numbers and their shapes, never from a file's order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain, groupby, pairwise, permutations

MAX_BLOCKS = 6
HEAD = r"actor|critic|policy|value|advantage|mu|mean|sigma|std|log_?(std|var)|[ih]"  # side by side, or recurrent
REMEDY = "hand over the module, of PyTorch, or the layers in their order: from_layers([(W, b), ...])"


def in_order(argument: str, shapes: Mapping[str, tuple[int, int]]) -> list[str]:
    """The layers, by path, from inputs to outputs: (n_out, n_in) are the shapes of their weights.

    Names that differ in their numbers alone are one block, ordered by these numbers; blocks are ordered by their
    shapes where there is only one way.  Raises ValueError where the order is not known, or two networks are there.
    """
    _one_network(argument, shapes)
    _one_path(argument, shapes)
    blocks = [sorted(block, key=_numbers) for _, block in groupby(sorted(shapes, key=_words), key=_words)]
    for block in blocks:
        for first, second in pairwise(block):
            if _numbers(first) == _numbers(second):
                raise ValueError(f"{argument}: which of {first!r} and {second!r} comes first is not known; {REMEDY}")
            _fit(argument, first, second, shapes)
    if len(blocks) > MAX_BLOCKS:
        raise ValueError(f"{argument}: the order of {', '.join(map(repr, shapes))} is not known; {REMEDY}")
    orders = [list(chain(*order)) for order in permutations(blocks)]
    fitting = [order for order in orders if all(shapes[b][1] == shapes[a][0] for a, b in pairwise(order))]
    if not fitting:
        first, second = next((a, b) for a, b in pairwise(chain(*blocks)) if shapes[b][1] != shapes[a][0])
        _fit(argument, first, second, shapes)
    if len(fitting) > 1:
        raise ValueError(f"{argument}: the order of {', '.join(map(repr, shapes))} is not known; {REMEDY}")
    return fitting[0]


def _one_network(argument: str, shapes: Mapping[str, tuple[int, int]]) -> None:
    """Raise where two groups of layers, each of two or more, may be two networks, side by side."""
    stacks: dict[str, list[str]] = {}
    for path in shapes:
        stacks.setdefault(path.rpartition(".")[0], []).append(path)
    parents = [parent for parent, paths in stacks.items() if len(paths) > 1]
    if all(re.fullmatch(r"((module|_orig_mod)\.?)*[\d.]*", parent) for parent in parents):
        return  # a Sequential in a Sequential
    around = [p for p in parents if len({_words(path) for path in stacks[p]}) == len(stacks[p])]  # first and last ones
    parents = [p for p in parents if p not in around or not any(_is_inside(q, p) for q in parents)]
    inputs = [shapes[min(stacks[parent], key=_numbers)][1] for parent in parents]
    numbered = len({_words(parent) for parent in parents}) == 1 and all(re.search(r"\.\d+$", p) for p in parents)
    if len(parents) > 1 and not (numbered and len(set(inputs)) == len(inputs)):
        raise ValueError(
            f"{argument}: {' and '.join(map(repr, parents))} may be two networks; "
            f"hand over the entries of one of them; if they are one, {REMEDY}"
        )


def _one_path(argument: str, shapes: Mapping[str, tuple[int, int]]) -> None:
    """Raise where names say that layers are side by side, whatever their shapes would allow."""
    last = {re.sub(r"(\.\d+)+$", "", path).rpartition(".")[2]: shape for path, shape in shapes.items()}
    aside = [name for name in last if re.fullmatch(HEAD, name)]
    if {"w1", "w2", "w3"} == set(last) and last["w1"] == last["w3"] == last["w2"][::-1]:  # w2 (σ(w1 a) · w3 a)
        aside = sorted(last)
    if len(aside) > 1:
        names = " and ".join(map(repr, aside))
        raise ValueError(f"{argument}: {names} may be side by side; if each follows the one before it, {REMEDY}")


def _is_inside(path: str, parent: str) -> bool:
    return path.startswith(f"{parent}." if parent else "") and path != parent


def _fit(argument: str, first: str, second: str, shapes: Mapping[str, Sequence[int]]) -> None:
    if shapes[second][1] != shapes[first][0]:
        raise ValueError(
            f"{argument}: {first!r} has {shapes[first][0]} outputs, {second!r} {shapes[second][1]} inputs; "
            f"expected the layers of one network, in a chain; of two networks hand over one"
        )


def _numbers(path: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", path))


def _words(path: str) -> str:
    """A path without its numbers: nested ones count as one."""
    return re.sub(r"\d+", "#", re.sub(r"(?<![^.])\d+(\.\d+)+(?=\.|$)", "0", path))
